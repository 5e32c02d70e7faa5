//! Decoding of messages by bytes: current, shorter, longer, truncated and malformed ones.

mod families;

use super::inet::decode;
use crate::collect::netlink::socket::{DumpError, DumpStats, read_messages};
use crate::collect::netlink::wire;
use crate::model::attr;
use crate::model::diag_attr::inet;
use crate::model::{Backend, BackendInfo, Endpoint, Family, Proto, Sample, Stamp, State, TimerKind, Wants};
use proptest::prelude::*;
use std::sync::Arc;

fn sample() -> Sample {
    let info = BackendInfo { backend: Backend::Netlink, reason: String::new() };
    Sample::empty(Stamp::default(), "test".into(), Arc::new(info), Wants::default())
}

/// `struct inet_diag_msg` as sent by Linux 6.18 for an IPv4 socket, followed by these attributes.
fn body(family: u8, state: u8, attrs: &[u8]) -> Vec<u8> {
    let mut b = vec![family, state, 1, 3];
    b.extend(443u16.to_be_bytes());
    b.extend(50000u16.to_be_bytes());
    let mut src = [0u8; 16];
    let mut dst = [0u8; 16];
    if family == 2 {
        src[..4].copy_from_slice(&[10, 0, 0, 4]);
        dst[..4].copy_from_slice(&[203, 0, 113, 5]);
    } else {
        src[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 4]);
        dst[0] = 0x20;
        dst[15] = 1;
    }
    b.extend(src);
    b.extend(dst);
    b.extend(2u32.to_ne_bytes());
    b.extend(0x0000_0005_u32.to_ne_bytes());
    b.extend(0x0000_0001_u32.to_ne_bytes());
    for n in [250u32, 7, 9, 1000, 4242] {
        b.extend(n.to_ne_bytes());
    }
    b.extend_from_slice(attrs);
    b
}

fn message(kind: u16, flags: u16, seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut b = Vec::new();
    b.extend((16 + payload.len() as u32).to_ne_bytes());
    b.extend(kind.to_ne_bytes());
    b.extend(flags.to_ne_bytes());
    b.extend(seq.to_ne_bytes());
    b.extend(0u32.to_ne_bytes());
    b.extend_from_slice(payload);
    b.resize(b.len().next_multiple_of(4), 0);
    b
}

fn some_attrs(info_len: usize) -> Vec<u8> {
    let mut a = Vec::new();
    let mut info = vec![0u8; info_len];
    if info_len >= 72 {
        info[68..72].copy_from_slice(&410u32.to_ne_bytes());
    }
    attr::push(&mut a, inet::INFO, &info);
    attr::push(&mut a, inet::CONG, b"bbr\0");
    // An attribute of a future kernel.
    attr::push(&mut a, 99, &[1, 2, 3, 4, 5]);
    a
}

#[test]
fn every_field_of_a_message() {
    let mut s = sample();
    decode(&body(2, 1, &some_attrs(280)), Proto::Tcp, &mut s).unwrap();
    let k = s.sockets[0];
    assert_eq!(k.local, Endpoint::new("10.0.0.4".parse().unwrap(), 443));
    assert_eq!(k.remote, Endpoint::new("203.0.113.5".parse().unwrap(), 50000));
    assert_eq!((k.family, k.proto, k.state), (Family::Inet, Proto::Tcp, State::Established));
    assert_eq!((k.iface, k.id.cookie, k.inode, k.uid), (2, 0x1_0000_0005, 4242, 1000));
    assert_eq!((k.recv_q, k.send_q), (7, 9));
    assert_eq!((k.timer.kind, k.timer.retrans, k.timer.expires_ms), (TimerKind::On, 3, 250));
    assert_eq!(s.attrs_of(&k).congestion(), Some("bbr"));
    assert_eq!(s.attrs_of(&k).tcp_info().unwrap().rtt_us(), Some(410));
}

#[test]
fn mapped_addresses_are_ipv4() {
    let mut s = sample();
    decode(&body(10, 1, &[]), Proto::Tcp, &mut s).unwrap();
    assert_eq!(s.sockets[0].family, Family::Inet6);
    assert_eq!(s.sockets[0].local.to_string(), "10.0.0.4:443");
    assert_eq!(s.sockets[0].remote.to_string(), "[2000::1]:50000");
}

#[test]
fn kernels_older_and_newer_are_read_as_far_as_they_go() {
    for (len, rtt) in
        [(0, None), (71, None), (104, Some(410)), (232, Some(410)), (280, Some(410)), (1000, Some(410))]
    {
        let mut s = sample();
        decode(&body(2, 1, &some_attrs(len)), Proto::Tcp, &mut s).unwrap();
        let k = s.sockets[0];
        assert_eq!(s.attrs_of(&k).tcp_info().unwrap().rtt_us(), rtt, "{len}");
        assert_eq!(s.attrs_of(&k).congestion(), Some("bbr"), "what follows is read too");
    }
}

#[test]
fn a_message_cut_anywhere_is_said_and_harms_nothing() {
    let whole = body(2, 1, &some_attrs(104));
    for cut in 0..whole.len() {
        let mut s = sample();
        let result = decode(&whole[..cut], Proto::Tcp, &mut s);
        assert_eq!(s.sockets.len(), usize::from(cut >= 72), "{cut}");
        if let Some(k) = s.sockets.first() {
            let _ = s.attrs_of(k).tcp_info().map(|i| i.rtt_us());
            assert!(s.attrs_of(k).iter().count() <= 3);
        }
        // Cut between two attributes: not detectable.
        assert!(result.is_err() || cut >= 72, "{cut}");
    }
    assert!(decode(&body(3, 1, &[]), Proto::Tcp, &mut sample()).is_err());
    for number in [0, 14, 255] {
        let mut s = sample();
        decode(&body(2, number, &[]), Proto::Tcp, &mut s).unwrap();
        assert_eq!(s.sockets[0].state, State::Unknown(number));
    }
    // A datagram socket is unconnected in every state except ESTABLISHED.
    let mut s = sample();
    decode(&body(2, 7, &[]), Proto::Udp, &mut s).unwrap();
    assert_eq!(s.sockets[0].state, State::Unconn);
    assert_eq!(s.sockets[0].timer.kind, TimerKind::Off);
}

#[test]
fn maps_beside_a_socket_are_kept_without_what_is_in_them() {
    let map = |id: u32, value: &[u8]| {
        let mut one = Vec::new();
        attr::push(&mut one, 2, &id.to_ne_bytes());
        attr::push(&mut one, 3, value);
        one
    };
    let mut nested = Vec::new();
    attr::push(&mut nested, 1, &map(42, b"a secret of the program"));
    // An attribute of a future kernel, one without an id, and a truncated one.
    attr::push(&mut nested, 9, &map(7, b"x"));
    attr::push(&mut nested, 1, &[]);
    attr::push(&mut nested, 1 | 0x8000, &map(43, &[]));
    let mut attrs = Vec::new();
    attr::push(&mut attrs, inet::TOS, &[4]);
    attr::push(&mut attrs, inet::SK_BPF_STORAGES | 0x8000, &nested);
    attr::push(&mut attrs, inet::CONG, b"cubic\0");
    let mut s = sample();
    decode(&body(2, 1, &attrs), Proto::Tcp, &mut s).unwrap();
    let a = s.attrs_of(&s.sockets[0]);
    assert_eq!(a.bpf_maps().unwrap().collect::<Vec<_>>(), [(42, 23), (43, 0)]);
    assert_eq!((a.tos(), a.congestion()), (Some(4), Some("cubic")), "what stands around it is read");
    assert!(!s.attrs.windows(6).any(|w| w == b"secret"));
    for cut in 0..attrs.len() {
        let _ = decode(&body(2, 1, &attrs[..cut]), Proto::Tcp, &mut sample());
    }
}

fn count(bytes: &[u8]) -> (Result<bool, DumpError>, DumpStats, usize) {
    let (mut done, mut n) = (DumpStats::default(), 0);
    let ended = read_messages(bytes, 7, &mut done, &mut |_| {
        n += 1;
        Ok(())
    });
    (ended, done, n)
}

#[test]
fn what_the_kernel_says_besides_sockets() {
    let socket = message(20, 2, 7, &body(2, 1, &[]));
    let done = message(wire::DONE, 2, 7, &0i32.to_ne_bytes());
    let (ended, d, n) = count(&[socket.clone(), socket.clone(), done.clone()].concat());
    assert!(ended.unwrap() && n == 2 && d == DumpStats { messages: 2, ..DumpStats::default() });
    let (ended, _, n) = count(&socket);
    assert!(!ended.unwrap() && n == 1, "more will come");
    let (ended, d, _) =
        count(&[message(20, 2 | wire::DUMP_INTR, 7, &body(2, 1, &[])), done.clone()].concat());
    assert!(ended.unwrap() && d.interrupted);
    let (ended, _, n) = count(&[message(20, 2, 6, &body(2, 1, &[])), done].concat());
    assert!(ended.unwrap() && n == 0, "the tail of an earlier dump");
    let refused = count(&message(wire::ERROR, 0, 7, &(-2i32).to_ne_bytes())).0.unwrap_err();
    assert!(refused.is_unsupported());
    assert!(count(&message(wire::DONE, 0, 7, &(-22i32).to_ne_bytes())).0.is_err());
    assert!(matches!(count(&message(wire::OVERRUN, 0, 7, &[])).0, Err(DumpError::Lost)));
    assert!(count(&message(wire::ERROR, 0, 7, &i32::MIN.to_ne_bytes())).0.is_err());
    assert!(count(&message(wire::ERROR, 0, 7, &0i32.to_ne_bytes())).0.is_ok(), "an acknowledgement");
}

#[test]
fn a_receive_cut_anywhere_ends() {
    let whole =
        [message(20, 2, 7, &body(2, 1, &some_attrs(104))), message(wire::DONE, 2, 7, &[0; 4])].concat();
    for cut in 0..whole.len() {
        let (ended, d, _) = count(&whole[..cut]);
        assert!(!ended.unwrap() || cut + 4 >= whole.len());
        assert!(d.malformed <= 1);
    }
    // A length below the header size must not loop.
    for len in [0u32, 1, 15] {
        let mut bad = message(20, 2, 7, &[]);
        bad[..4].copy_from_slice(&len.to_ne_bytes());
        let (ended, d, n) = count(&bad);
        assert!(!ended.unwrap() && d.malformed == 1 && n == 0);
    }
}

/// The error of the last message and of an error message is the kernel's number, whatever it is.
#[test]
fn any_error_code_is_an_error() {
    for kind in [2, 3] {
        for (code, want) in [(-13, 13), (-1, 1), (i32::MIN, i32::MAX)] {
            let bad = message(kind, 0, 7, &i32::to_ne_bytes(code));
            let (ended, ..) = count(&bad);
            match ended {
                Err(DumpError::Io(e)) => assert_eq!(e.raw_os_error(), Some(want), "{kind} {code}"),
                other => panic!("{kind} {code}: {other:?}"),
            }
        }
    }
}

proptest! {
    #[test]
    fn garbage_never_harms(bytes in prop::collection::vec(any::<u8>(), 0..600), seq in any::<u32>()) {
        let mut s = sample();
        let mut done = DumpStats::default();
        let _ = read_messages(&bytes, seq, &mut done, &mut |m| decode(m, Proto::Tcp, &mut s));
        let _ = decode(&bytes, Proto::Udp, &mut s);
        for k in &s.sockets {
            let a = s.attrs_of(k);
            let _ = (a.skmem().map(|m| m.drops()), a.cgroup_id(), a.sockopt(), a.tcp_info().map(|t| t.rtt_us()));
        }
    }
}

/// `struct inet_diag_req`: no family and prefix lengths, the attributes, any socket, the states, no database.
#[test]
fn tcp_is_asked_for_whatever_the_family() {
    let bytes = wire::Request::tcp(2, 1 << 10 | 1 << 1).with_seq(7);
    let mut want = message(18, 0x301, 7, &[0, 0, 0, 2]);
    want.extend([0; 40]);
    want.extend([255; 8]);
    want.extend((1u32 << 10 | 1 << 1).to_ne_bytes());
    want.extend([0; 4]);
    let len = want.len() as u32;
    want[..4].copy_from_slice(&len.to_ne_bytes());
    assert_eq!(bytes, want);
    assert_eq!(len, 76);
}
