//! Decoding of the families other than IP, by bytes as laid out in the kernel headers: complete messages, shorter ones of
//! older kernels, longer ones of future kernels. Independent of the families that the running kernel supports.

use super::{message, sample};
use crate::collect::netlink::socket::{DumpStats, Malformed, read_messages};
use crate::collect::sock_diag::inet::decode;
use crate::collect::sock_diag::{non_ip, tipc};
use crate::model::attr::{self, push};
use crate::model::diag_attr::{inet, xdp};
use crate::model::struct_layout::{UMEM, XDP_STATS};
use crate::model::{Attrs, Family, Proto, Sample, Socket, State, TimerKind};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn word(n: u32) -> [u8; 4] {
    n.to_ne_bytes()
}

fn words(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|n| n.to_ne_bytes()).collect()
}

fn name(s: &Sample, index: u32) -> &str {
    &s.names[index as usize]
}

/// The only socket of a sample and its attributes.
fn only(s: &Sample) -> (Socket, Attrs<'_>) {
    assert_eq!(s.sockets.len(), 1);
    (s.sockets[0], s.attrs_of(&s.sockets[0]))
}

/// Decodes every truncation of a message: each is decoded or reported as malformed, and reading its attributes terminates.
fn cut_anywhere(whole: &[u8], decode: impl Fn(&[u8], &mut Sample) -> Result<(), Malformed>) {
    for cut in 0..=whole.len() {
        let mut s = sample();
        let result = decode(&whole[..cut], &mut s);
        assert!(result.is_err() || !s.sockets.is_empty(), "{cut}");
        for k in &s.sockets {
            read_all(&s, k);
        }
    }
}

/// Reads the attributes that columns use.
fn read_all(s: &Sample, k: &Socket) {
    let a = s.attrs_of(k);
    let _ = (a.tipc(), a.drops(), a.skmem().map(|m| m.backlog()), a.shutdown(), a.kind(), a.xdp_queue());
    let _ = (
        a.structure(&UMEM),
        a.field(&XDP_STATS, "tx_ring_empty"),
        a.sctp_primary(),
        a.addresses(inet::PEERS),
    );
    let _ =
        (a.bpf_maps().map(Iterator::count), a.packet_filter().map(|b| crate::model::bpf::program(b).len()));
    assert!(s.names.len() > k.local_name.max(k.remote_name) as usize);
}

/// `TIPC_NLA_SOCK` of a connected socket with every attribute of `tipc_sk_fill_sock_diag`.
fn tipc_socket() -> Vec<u8> {
    let mut stat = Vec::new();
    push(&mut stat, 1, &word(4096));
    push(&mut stat, 2, &word(17));
    push(&mut stat, 3, &[]);
    push(&mut stat, 5, &word(3));
    let mut con = Vec::new();
    push(&mut con, 2, &word(0x0100_1002));
    push(&mut con, 3, &word(99));
    push(&mut con, 1, &[]);
    push(&mut con, 4, &word(18888));
    push(&mut con, 5, &word(17));
    let mut group = Vec::new();
    push(&mut group, 1, &word(4711));
    push(&mut group, 5, &word(1));
    let mut sock = Vec::new();
    push(&mut sock, 6, &word(5));
    push(&mut sock, 9, &word(1));
    push(&mut sock, 7, &word(777));
    push(&mut sock, 8, &word(1000));
    push(&mut sock, 10, &0x5_0000_0009_u64.to_ne_bytes());
    push(&mut sock, 1, &word(0x0100_1001));
    push(&mut sock, 2, &word(42));
    push(&mut sock, 3 | 0x8000, &con);
    push(&mut sock, 4, &[]);
    push(&mut sock, 5 | 0x8000, &stat);
    push(&mut sock, 0xc | 0x8000, &group);
    sock
}

fn in_message(nested: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, 2 | 0x8000, nested);
    out
}

#[test]
fn tipc_whole_short_and_long() {
    let mut s = sample();
    tipc::tipc(&in_message(&tipc_socket()), &mut s).unwrap();
    let (k, a) = only(&s);
    assert_eq!((k.family, k.proto, k.state), (Family::Tipc, Proto::Tipc, State::Established));
    assert_eq!((name(&s, k.local_name), name(&s, k.remote_name)), ("1001001:42", "1001002:99"));
    assert_eq!((k.inode, k.uid, k.id.cookie), (777, 1000, 0x5_0000_0009));
    assert_eq!((k.recv_q, k.send_q, a.kind(), a.drops()), (4096, 17, Some(5), Some(3)));
    let t = a.tipc().unwrap();
    assert!(t.link_congested && !t.connection_congested && t.published);
    assert_eq!((t.via, t.group), (Some((18888, 17)), Some(4711)));

    // A kernel without most attributes, and a listener: no peer, no congestion.
    let mut sock = Vec::new();
    push(&mut sock, 9, &word(10));
    push(&mut sock, 1, &word(1));
    push(&mut sock, 2, &word(7));
    let mut s = sample();
    tipc::tipc(&in_message(&sock), &mut s).unwrap();
    let (k, a) = only(&s);
    assert_eq!((k.state, name(&s, k.local_name), k.remote_name), (State::Listen, "1:7", 0));
    assert_eq!((a.drops(), a.tipc()), (None, Some(attr::Tipc::default())));

    // Longer and unknown attributes.
    let mut sock = Vec::new();
    push(&mut sock, 9, &words(&[4, 77]));
    push(&mut sock, 7, &words(&[5, 6, 7]));
    push(&mut sock, 900, &[1; 9]);
    let mut stat = Vec::new();
    push(&mut stat, 4, &words(&[1, 2]));
    push(&mut stat, 5, &words(&[8, 9]));
    push(&mut stat, 77, &[0; 3]);
    push(&mut sock, 5, &stat);
    // Too short for a u32: missing.
    push(&mut sock, 8, &[1, 2, 3]);
    let mut s = sample();
    tipc::tipc(&in_message(&sock), &mut s).unwrap();
    let (k, a) = only(&s);
    assert_eq!((k.state, k.inode, k.uid, a.drops()), (State::FinWait1, 5, 0, Some(8)));
    assert!(a.tipc().is_some_and(|t| t.connection_congested && !t.link_congested));

    assert!(tipc::tipc(&[], &mut sample()).is_err(), "nothing nested");
    cut_anywhere(&in_message(&tipc_socket()), tipc::tipc);
}

/// `struct xdp_diag_msg` followed by these attributes.
fn xdp_message(attrs: &[u8]) -> Vec<u8> {
    let mut out = vec![44, 3, 0, 0];
    out.extend(words(&[777, 5, 1]));
    out.extend_from_slice(attrs);
    out
}

fn xdp_attrs() -> Vec<u8> {
    let mut a = Vec::new();
    push(&mut a, xdp::INFO, &words(&[2, 7]));
    push(&mut a, xdp::UID, &word(1000));
    for (n, entries) in
        [(xdp::RX_RING, 2048), (xdp::TX_RING, 1024), (xdp::FILL_RING, 512), (xdp::COMPLETION_RING, 256)]
    {
        push(&mut a, n, &word(entries));
    }
    let mut umem = 16_777_216_u64.to_ne_bytes().to_vec();
    umem.extend(words(&[3, 4096, 4096, 256, 2, 7, 1, 5]));
    push(&mut a, xdp::UMEM, &umem);
    push(&mut a, xdp::MEMINFO, &words(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
    let stats: Vec<u8> = (11u64..17).flat_map(u64::to_ne_bytes).collect();
    push(&mut a, xdp::STATS, &stats);
    a
}

#[test]
fn xdp_whole_short_and_long() {
    let interfaces = BTreeMap::from([(2, "eth0".to_owned())]);
    let decode = |m: &[u8], s: &mut Sample| non_ip::xdp(m, &interfaces, s);
    let mut s = sample();
    decode(&xdp_message(&xdp_attrs()), &mut s).unwrap();
    let (k, a) = only(&s);
    assert_eq!((k.family, k.proto, k.state), (Family::Xdp, Proto::Xdp, State::Unconn));
    assert_eq!((name(&s, k.local_name), k.iface, a.xdp_queue()), ("eth0:q7", 2, Some((2, 7))));
    assert_eq!((k.inode, k.uid, k.id.cookie, a.kind()), (777, 1000, 0x1_0000_0005, Some(3)));
    assert_eq!((k.recv_q, k.send_q, a.drops()), (1, 3, Some(9)));
    let rings = [xdp::RX_RING, xdp::TX_RING, xdp::FILL_RING, xdp::COMPLETION_RING].map(|n| a.xdp_ring(n));
    assert_eq!(rings, [Some(2048), Some(1024), Some(512), Some(256)]);
    let umem = |f| a.field(&UMEM, f).unwrap();
    assert_eq!(
        (umem("size"), umem("id"), umem("num_pages"), umem("chunk_size")),
        (16_777_216, 3, 4096, 4096)
    );
    assert_eq!((umem("headroom"), umem("ifindex"), umem("queue_id")), (256, 2, 7));
    assert_eq!((umem("flags"), umem("refs")), (1, 5));
    let counted: Vec<_> = XDP_STATS.fields.iter().map(|f| a.field(&XDP_STATS, f.name).unwrap()).collect();
    assert_eq!(counted, [11, 12, 13, 14, 15, 16]);

    // Linux 5.8: three counters; and an umem cut within a number.
    let mut short = Vec::new();
    push(&mut short, xdp::UMEM, &[0; 21]);
    push(&mut short, xdp::STATS, &[1; 24]);
    let mut s = sample();
    decode(&xdp_message(&short), &mut s).unwrap();
    let (k, a) = only(&s);
    assert_eq!((a.field(&UMEM, "num_pages"), a.field(&UMEM, "headroom")), (Some(0), None));
    assert!(
        a.field(&XDP_STATS, "rx_queue_full").is_some() && a.field(&XDP_STATS, "fill_ring_empty").is_none()
    );
    assert_eq!((k.iface, k.local_name, a.xdp_queue(), a.drops()), (0, 0, None, None));

    // A longer structure, an attribute of a future kernel, an interface without a known name.
    let mut long = Vec::new();
    push(&mut long, xdp::INFO, &words(&[9, 1, 0xffff, 0xffff]));
    push(&mut long, xdp::RX_RING, &words(&[64, 0xdead]));
    push(&mut long, 40, &[7; 13]);
    push(&mut long, xdp::STATS, &[[0; 48].as_slice(), &[0xff; 24]].concat());
    let mut s = sample();
    decode(&xdp_message(&long), &mut s).unwrap();
    let (k, a) = only(&s);
    assert_eq!((name(&s, k.local_name), a.xdp_ring(xdp::RX_RING)), ("if9:q1", Some(64)));
    assert_eq!(a.field(&XDP_STATS, "tx_ring_empty"), Some(0));
    cut_anywhere(&xdp_message(&xdp_attrs()), decode);
}

/// `struct vsock_diag_msg`.
fn vsock_message(state: u8, shutdown: u8, dst: (u32, u32)) -> Vec<u8> {
    let mut out = vec![40, 1, state, shutdown];
    out.extend(words(&[3, 1024, dst.0, dst.1, 777, 5, 1]));
    out
}

#[test]
fn vsock_whole_short_and_long() {
    let mut s = sample();
    non_ip::vsock(&vsock_message(1, 2, (2, 9999)), &mut s).unwrap();
    let (k, a) = only(&s);
    assert_eq!((k.family, k.proto, k.state), (Family::Vsock, Proto::Vsock, State::Established));
    assert_eq!((name(&s, k.local_name), name(&s, k.remote_name)), ("3:1024", "2:9999"));
    assert_eq!((k.inode, k.id.cookie, a.kind(), a.shutdown()), (777, 0x1_0000_0005, Some(1), Some(2)));

    // A listener on any context has no peer.
    let mut listen = vsock_message(10, 0, (u32::MAX, u32::MAX));
    listen[4..8].fill(0xff);
    let mut s = sample();
    non_ip::vsock(&listen, &mut s).unwrap();
    let (k, _) = only(&s);
    assert_eq!((k.state, name(&s, k.local_name), k.remote_name), (State::Listen, "*:1024", 0));

    // Appended by a future kernel: an attribute is kept, a truncated one is reported.
    let mut long = vsock_message(1, 0, (2, 1));
    push(&mut long, 1, &[1, 2, 3]);
    let mut s = sample();
    non_ip::vsock(&long, &mut s).unwrap();
    assert_eq!(only(&s).1.get(1), Some(&[1, 2, 3][..]));
    long.extend([9, 0, 1]);
    assert!(non_ip::vsock(&long, &mut sample()).is_err());
    cut_anywhere(&vsock_message(1, 2, (2, 9999)), non_ip::vsock);
}

/// `struct sockaddr_storage` of this IPv4 address.
fn storage(last: u8) -> Vec<u8> {
    let mut b = vec![0; 128];
    b[..8].copy_from_slice(&[2, 0, 0x0b, 0x59, 10, 0, 0, last]);
    b[..2].copy_from_slice(&2u16.to_ne_bytes());
    b
}

#[test]
fn an_association_has_states_addresses_and_a_primary_path() {
    use State::{CloseWait, Closed, Established, FinWait1, FinWait2, LastAck, SynSent};
    let mut info = vec![0u8; 360];
    info[4..8].copy_from_slice(&word(5));
    info[168..296].copy_from_slice(&storage(9));
    info[304..308].copy_from_slice(&word(12));
    let mut v6 = vec![0; 128];
    v6[..2].copy_from_slice(&10u16.to_ne_bytes());
    v6[8..24].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let mut attrs = Vec::new();
    push(&mut attrs, inet::INFO, &info);
    push(&mut attrs, inet::LOCALS, &[storage(1), storage(2)].concat());
    push(&mut attrs, inet::PEERS, &[storage(9), v6, vec![0xee; 128], vec![2, 0, 0]].concat());
    let mut whole = super::body(2, 5, &attrs);
    // The active timer, T3-rtx.
    whole[2] = 4;
    let mut s = sample();
    decode(&whole, Proto::Sctp, &mut s).unwrap();
    let (k, a) = only(&s);
    assert_eq!((k.state, k.timer.kind), (FinWait2, TimerKind::On), "SHUTDOWN_SENT, not CLOSING");
    assert!(k.id.kernel_cookie().is_none(), "the cookie is its endpoint's");
    let addresses = |n| a.addresses(n).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(addresses(inet::LOCALS), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(addresses(inet::PEERS), ["10.0.0.9", "2001:db8::1"], "complete ones of known families");
    assert_eq!(a.sctp_primary().unwrap().to_string(), "10.0.0.9");
    let field = |n| a.field(&crate::model::struct_layout::SCTP, n);
    assert_eq!((field("state"), field("p_srtt_ms"), field("nodelay")), (Some(5), Some(12), Some(0)));

    // An endpoint has TCP states; the structure of an older kernel ends before the primary path.
    let mut attrs = Vec::new();
    push(&mut attrs, inet::INFO, &info[..170]);
    push(&mut attrs, inet::LOCALS, &storage(1));
    let mut s = sample();
    decode(&super::body(2, 10, &attrs), Proto::Sctp, &mut s).unwrap();
    let (k, a) = only(&s);
    assert_eq!((k.state, a.sctp_primary(), a.addresses(inet::PEERS)), (State::Listen, None, None));
    let peers = |state: u8| {
        let mut attrs = Vec::new();
        push(&mut attrs, inet::PEERS, &storage(9));
        let mut s = sample();
        decode(&super::body(2, state, &attrs), Proto::Sctp, &mut s).map(|()| s.sockets[0].state)
    };
    let want = [Closed, SynSent, SynSent, Established, FinWait1, FinWait2, CloseWait, LastAck];
    assert!((0..8).map(|n| peers(n).unwrap()).eq(want));
    assert_eq!(peers(8), Ok(State::Unknown(8)));
    cut_anywhere(&whole, |m, s| decode(m, Proto::Sctp, s));
}

proptest! {
    #[test]
    fn garbage_never_harms_any_family(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let none = BTreeMap::new();
        let mut s = sample();
        let _ = tipc::tipc(&bytes, &mut s);
        let _ = non_ip::vsock(&bytes, &mut s);
        let _ = non_ip::xdp(&bytes, &none, &mut s);
        let _ = non_ip::packet(&bytes, &none, &mut s);
        let _ = non_ip::netlink(&bytes, &mut s);
        let _ = non_ip::unix(&bytes, &mut s);
        let _ = decode(&bytes, Proto::Sctp, &mut s);
        let whole = message(20, 2, 7, &bytes);
        let _ = read_messages(&whole, 7, &mut DumpStats::default(), &mut |m| tipc::tipc(m, &mut s));
        for k in &s.sockets {
            read_all(&s, k);
        }
    }
}
