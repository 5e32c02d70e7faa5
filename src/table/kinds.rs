//! Columns of what only some kinds of sockets have: UNIX, netlink, packet and XDP sockets, MPTCP, TLS, SCTP, and the
//! figures of congestion algorithms.

use super::sockets::{absent, na};
use crate::format::{Column, Kind, Needs, Value};
use crate::model::attr::{inet, xdp};
use crate::model::struct_layout::{
    DCTCP, MPTCP, PACKET, RX_RING, SCTP, Structure, TX_RING, UMEM, Unit, VEGAS, XDP_STATS,
};
use crate::model::{AttrSet, Missing, Proto, Snapshot, Socket, names};

const INFO: Needs = Needs::attrs(AttrSet::INFO);
const VEGAS_BIT: Needs = Needs::attrs(AttrSet::VEGAS);

/// Whether the kernel attaches this to sockets of that kind at all.
pub(crate) fn can_have(s: &Socket, wanted: AttrSet) -> bool {
    match wanted {
        AttrSet::NONE | AttrSet::SKMEM => true,
        AttrSet::SHUTDOWN => s.proto.is_inet() || matches!(s.proto, Proto::Unix | Proto::Vsock),
        AttrSet::CONG | AttrSet::INFO | AttrSet::VEGAS => s.proto.has_tcp_states(),
        _ => s.proto.is_inet(),
    }
}

/// What is there, else why not: a socket of another kind never has it.
fn of<'a, T: Into<Value<'a>>>(
    snap: &Snapshot,
    row: usize,
    proto: Proto,
    wanted: AttrSet,
    v: Option<T>,
) -> Value<'a> {
    match v {
        Some(v) => v.into(),
        None if snap.socket(row).proto == proto => Value::Missing(match absent(snap, row, wanted) {
            // It has none: of a socket of the right kind that is all there is to say.
            Missing::NotReported => Missing::NotApplicable,
            why => why,
        }),
        None => na(),
    }
}

/// A structure as a record, each field by its name.
fn record<'a>(snap: &Snapshot, row: usize, s: &Structure, wanted: AttrSet) -> Value<'a> {
    let all = snap.attrs(row).structure(s).map(|raw| {
        let value = |f: &crate::model::struct_layout::Field| {
            let n = f.of(raw)?;
            Some((
                f.name,
                if f.unit == Unit::Flags { Value::from(format!("0x{n:x}")) } else { Value::Uint(n) },
            ))
        };
        Value::Record(s.fields.iter().filter_map(value).collect())
    });
    of(snap, row, s.proto, wanted, all)
}

/// The names of the bits that are set, `-` for none.
fn bits<'a>(flags: u32, names: &[&str]) -> Value<'a> {
    let set: Vec<&str> =
        names.iter().enumerate().filter(|(i, _)| flags >> i & 1 != 0).map(|(_, n)| *n).collect();
    if set.is_empty() { na() } else { Value::from(set.join(",")) }
}

fn mptcp_field<'a>(snap: &Snapshot, row: usize, name: &str) -> Value<'a> {
    of(snap, row, Proto::Mptcp, AttrSet::INFO, snap.attrs(row).field(&MPTCP, name))
}

fn subflow<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    let all = snap.attrs(row).subflow().map(|s| {
        let hex = |n: Option<u64>| n.map(|n| Value::from(format!("0x{n:x}")));
        let fields = [
            ("remote_token", hex(s.remote_token.map(u64::from))),
            ("remote_id", s.remote_id.map(Value::from)),
            ("local_token", hex(s.local_token.map(u64::from))),
            ("local_id", s.local_id.map(Value::from)),
            ("map_seq", hex(s.map_seq)),
            ("map_sfseq", s.map_sfseq.map(Value::from)),
            ("ssn_offset", hex(s.ssn_offset.map(u64::from))),
            ("map_datalen", s.map_datalen.map(Value::from)),
        ];
        Value::Record(fields.into_iter().filter_map(|(n, v)| Some((n, v?))).collect())
    });
    of(snap, row, Proto::Tcp, AttrSet::INFO, all)
}

fn tls<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    let all = snap.attrs(row).tls().map(|t| {
        let version = t.version.map(|v| {
            Value::from(match v {
                0x0303 => "1.2".to_owned(),
                0x0304 => "1.3".to_owned(),
                v => format!("0x{v:04x}"),
            })
        });
        let by = |c: Option<u16>| c.map(|c| Value::text(names::tls_by(c)));
        let fields = [
            ("version", version),
            ("cipher", t.cipher.map(|c| Value::from(names::tls_cipher(c)))),
            ("tx", by(t.tx)),
            ("rx", by(t.rx)),
            ("zero_copy_tx", Some(Value::Bool(t.zero_copy_tx))),
            ("rx_no_pad", Some(Value::Bool(t.rx_no_pad))),
        ];
        Value::Record(fields.into_iter().filter_map(|(n, v)| Some((n, v?))).collect())
    });
    of(snap, row, Proto::Tcp, AttrSet::INFO, all)
}

fn md5_keys<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    let keys = snap.attrs(row).md5_keys().map(|all| {
        Value::List(all.iter().map(|k| Value::from(format!("{}/{}", k.addr, k.prefix_len))).collect())
    });
    of(snap, row, Proto::Tcp, AttrSet::INFO, keys)
}

/// The clients that wait at a UNIX listener: the inode of each, and who holds it.
fn pending<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    let Some(inodes) = snap.attrs(row).pending() else { return na() };
    let owners = &snap.sample.owners;
    let one = |inode: u32| {
        let at = owners.partition_point(|o| o.inode < u64::from(inode));
        let who = owners.get(at).filter(|o| inode != 0 && o.inode == u64::from(inode)).map(|o| {
            let p = &snap.process(o).info;
            [("comm", Value::from(p.comm.to_string())), ("pid", Value::from(p.pid))]
        });
        Value::Record(
            who.into_iter().flatten().chain(std::iter::once(("inode", Value::from(inode)))).collect(),
        )
    };
    Value::List(inodes.map(one).collect())
}

fn group_names<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    let a = snap.attrs(row);
    let Some(groups) = a.netlink_group_numbers() else { return na() };
    let protocol = a.protocol().unwrap_or(u16::MAX);
    let names: Vec<String> = groups.map(|g| names::netlink_group(protocol, g)).collect();
    if names.is_empty() { na() } else { Value::from(names.join(",")) }
}

/// The protocol of a socket whose family has several: netlink and packet.
fn link_protocol<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    let name: fn(u16) -> String = match snap.socket(row).proto {
        Proto::Netlink => names::netlink_protocol,
        Proto::Packet => names::ether,
        _ => return na(),
    };
    Value::from_opt(snap.attrs(row).protocol().map(name), Missing::NotReported)
}

fn addresses<'a>(snap: &Snapshot, row: usize, number: u16) -> Value<'a> {
    let all = snap.attrs(row).addresses(number);
    let all = all.map(|a| Value::List(a.into_iter().map(|a| Value::from(a.to_string())).collect()));
    of(snap, row, Proto::Sctp, AttrSet::NONE, all)
}

fn xdp_rings<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    if snap.socket(row).proto != Proto::Xdp {
        return na();
    }
    let a = snap.attrs(row);
    let rings = [
        ("rx", xdp::RX_RING),
        ("tx", xdp::TX_RING),
        ("fill", xdp::FILL_RING),
        ("completion", xdp::COMPLETION_RING),
    ];
    Value::Record(
        rings.into_iter().filter_map(|(name, n)| Some((name, Value::from(a.xdp_ring(n)?)))).collect(),
    )
}

fn bbr<'a, T: Into<Value<'a>>>(
    snap: &Snapshot,
    row: usize,
    get: fn(crate::model::attr::Bbr) -> Option<T>,
) -> Value<'a> {
    of(snap, row, Proto::Tcp, AttrSet::VEGAS, snap.attrs(row).bbr().and_then(get))
}

macro_rules! structure_column {
    ($name:literal, $title:literal, $s:ident, $wanted:ident, $needs:expr, $help:literal) => {
        Column::new($name, $title, Kind::List, 71, |s, r| record(s, r, &$s, AttrSet::$wanted), $help)
            .needs($needs)
            .wide(8, 24, 60)
    };
}

/// The columns.
pub(crate) const COLUMNS: &[Column] = &[
    Column::new("peer_inode", "PEER INODE", Kind::Id, 63,
        |s, r| s.attrs(r).unix_peer().filter(|i| *i != 0).map_or_else(na, Value::from),
        "Inode of the far end of a UNIX socket."),
    Column::new("pending", "PENDING", Kind::List, 63, pending,
        "Clients that wait to be accepted by a UNIX listener: who each is, and the inode of its socket.")
        .needs(Needs::OWNERS).wide(8, 24, 60),
    Column::new("vfs_inode", "FILE INODE", Kind::Id, 63,
        |s, r| s.attrs(r).vfs().map_or_else(na, |v| Value::from(v.inode)),
        "Inode of the file that a UNIX socket is bound to, as stat(1) tells it.")
        .wide(6, 10, 20),
    Column::new("vfs_dev", "FILE DEV", Kind::Text, 63,
        |s, r| s.attrs(r).vfs().map_or_else(na, |v| Value::from(format!("{}:{}", v.dev >> 20, v.dev & 0xf_ffff))),
        "Device of that file: major and minor number.")
        .wide(4, 8, 12),
    Column::new("link_protocol", "LINK PROTO", Kind::Text, 63, link_protocol,
        "Protocol of a netlink socket (rtnl, genl, uevent), or what a packet socket listens to (ip, arp, * for all).")
        .called(&["netlink_protocol", "ether_type"]).wide(4, 10, 12),
    Column::new("port_id", "PORT ID", Kind::Id, 63,
        |s, r| s.attrs(r).port_id().map_or_else(na, Value::from),
        "Address of a netlink socket: usually the pid of who made it; 0 for the kernel.")
        .called(&["portid"]).wide(4, 8, 12),
    Column::new("groups", "GROUPS", Kind::Hex, 63,
        |s, r| s.attrs(r).netlink_groups().map_or_else(na, Value::from),
        "Multicast groups that a netlink socket has joined, one bit each: the first 64."),
    Column::new("group_names", "GROUP NAMES", Kind::Text, 63, group_names,
        "The same by name (link, ipv4-route), all of them; by number where they have no fixed name.")
        .wide(8, 20, 60),
    Column::new("netlink_flags", "NL FLAGS", Kind::Text, 63,
        |s, r| s.attrs(r).netlink_flags().map_or_else(na, |f| {
            bits(f, &["cb-running", "pktinfo", "broadcast-error", "no-enobufs", "listen-all-nsid", "cap-ack", "ext-ack",
                "strict-chk"])
        }),
        "Flags of a netlink socket, such as cb-running: a dump to it is under way.")
        .wide(6, 12, 40),
    structure_column!("packet_info", "PACKET", PACKET, NONE, Needs::NONE,
        "What a packet socket was set to: version, reserve, copy_thresh, tstamp, flags."),
    Column::new("packet_flags", "PKT FLAGS", Kind::Text, 63,
        |s, r| s.attrs(r).packet_flags()
            .map_or_else(na, |f| bits(f, &["running", "auxdata", "origdev", "vnethdr", "loss"])),
        "Flags of a packet socket: running, auxdata, origdev, vnethdr, loss.")
        .wide(6, 12, 40),
    structure_column!("rx_ring", "RX RING", RX_RING, NONE, Needs::NONE,
        "Receive ring of a packet socket, shared with its program: blocks, frames and their sizes."),
    structure_column!("tx_ring", "TX RING", TX_RING, NONE, Needs::NONE,
        "Send ring of a packet socket, shared with its program: blocks, frames and their sizes."),
    Column::new("fanout", "FANOUT", Kind::Id, 63,
        |s, r| s.attrs(r).packet_fanout().map_or_else(na, |(group, _)| Value::from(u32::from(group))),
        "Fanout group of a packet socket: its members share the packets."),
    Column::new("fanout_type", "FANOUT TYPE", Kind::Text, 63,
        |s, r| s.attrs(r).packet_fanout().map_or_else(na, |(_, kind)| Value::from(names::fanout(kind))),
        "How that group shares them: hash, lb, cpu, rollover, random, qm, cbpf, ebpf.")
        .wide(4, 11, 11),
    super::bpf::FILTER,
    super::bpf::MAPS,
    Column::new("xdp_rings", "XDP RINGS", Kind::List, 71, xdp_rings,
        "Entries of the rings of an XDP socket: rx, tx, fill, completion.")
        .wide(8, 24, 60),
    structure_column!("xdp_umem", "XDP UMEM", UMEM, NONE, Needs::NONE,
        "Memory of an XDP socket that its packets lie in."),
    structure_column!("xdp_stats", "XDP STATS", XDP_STATS, NONE, Needs::NONE,
        "What an XDP socket counted: dropped and wrong packets, empty and full rings."),
    Column::new("tcp_option_names", "TCP-OPT NAMES", Kind::Text, 51,
        |s, r| of(s, r, Proto::Tcp, AttrSet::INFO, s.attrs(r).tcp_info().and_then(|t| t.options()).map(|n| {
            bits(n as u32, &["ts", "sack", "wscale", "ecn", "ecnseen", "fastopen", "usec_ts"])
        })),
        "Options that both ends of a TCP connection agreed on: ts, sack, wscale, ecn, ecnseen, fastopen, usec_ts.")
        .needs(Needs::info(1)).wide(6, 16, 44),
    Column::new("quick_acks", "QACK", Kind::Count, 71,
        |s, r| of(s, r, Proto::Tcp, AttrSet::NONE, s.attrs(r).quick_acks()),
        "Acknowledgements that it still sends at once; only /proc/net/tcp tells.")
        .called(&["qack"]),
    Column::new("bidir", "BIDIR", Kind::Bool, 71,
        |s, r| of(s, r, Proto::Tcp, AttrSet::NONE, s.attrs(r).bidirectional()),
        "Whether data goes both ways in turn, so that acknowledgements ride on it; only /proc/net/tcp tells.")
        .called(&["pingpong"]),
    Column::new("tipc_congestion", "TIPC CONG", Kind::Text, 71,
        |s, r| s.attrs(r).tipc().map_or_else(na, |t| Value::text(match t {
            t if t.link_congested => "link",
            t if t.connection_congested => "conn",
            _ => "none",
        })),
        "What holds a TIPC socket up: link (to the other node), conn (the far end does not take it), none.")
        .wide(4, 9, 9),
    Column::new("tipc_published", "TIPC PUBL", Kind::Bool, 71,
        |s, r| s.attrs(r).tipc().map_or_else(na, |t| Value::Bool(t.published)),
        "Whether a TIPC socket serves a name."),
    Column::new("tipc_via", "TIPC VIA", Kind::Text, 71,
        |s, r| s.attrs(r).tipc().and_then(|t| t.via)
            .map_or_else(na, |(kind, instance)| Value::from(format!("{kind},{instance}"))),
        "Type and instance of the name by which a TIPC socket came to its far end.")
        .wide(6, 12, 21),
    Column::new("tipc_group", "TIPC GROUP", Kind::Id, 71,
        |s, r| s.attrs(r).tipc().and_then(|t| t.group).map_or_else(na, Value::from),
        "Communication group that a TIPC socket is in."),
    Column::new("mptcp_token", "MPTCP TOKEN", Kind::Hex, 71,
        |s, r| {
            let token = s.attrs(r).mptcp_token();
            let proto = if s.socket(r).proto == Proto::Mptcp { Proto::Mptcp } else { Proto::Tcp };
            of(s, r, proto, AttrSet::INFO, token)
        },
        "Token of the MPTCP connection: the same for the connection and for its TCP subflows.")
        .needs(INFO).called(&["token"]),
    Column::new("mptcp_subflows", "SUBFLOWS", Kind::Count, 71, |s, r| mptcp_field(s, r, "subflows_total"),
        "Subflows of an MPTCP connection, the first one included.")
        .needs(INFO),
    Column::new("mptcp_flags", "MPTCP FLAGS", Kind::Text, 71,
        |s, r| of(s, r, Proto::Mptcp, AttrSet::INFO,
            s.attrs(r).field(&MPTCP, "flags").map(|f| bits(f as u32, &["fallback", "remote-key"]))),
        "Flags of an MPTCP connection: fallback (plain TCP after all), remote-key (the far end's key came).")
        .needs(INFO).wide(6, 11, 24),
    structure_column!("mptcp_info", "MPTCP", MPTCP, INFO, INFO,
        "Everything the kernel tells of an MPTCP connection (struct mptcp_info)."),
    Column::new("subflow_flags", "SUBFLOW", Kind::Text, 71,
        |s, r| of(s, r, Proto::Tcp, AttrSet::INFO, s.attrs(r).subflow().and_then(|f| f.letters())),
        "Flags of an MPTCP subflow: M m capable, J j joined, B b backup (capitals: the far end), e established, c connected, v mapping valid.")
        .needs(INFO).wide(4, 7, 9),
    Column::new("subflow_info", "SUBFLOW MAP", Kind::List, 71, subflow,
        "An MPTCP subflow: tokens and numbers of both ends, and how its bytes map to the connection's.")
        .needs(INFO).wide(8, 24, 60),
    Column::new("ulp", "ULP", Kind::Text, 71,
        |s, r| of(s, r, Proto::Tcp, AttrSet::INFO, s.attrs(r).ulp().map(|u| Value::from(u.to_owned()))),
        "Protocol above TCP that the kernel runs on the socket: tls, mptcp.")
        .needs(INFO).wide(4, 5, 12),
    Column::new("tls_info", "TLS", Kind::List, 71, tls,
        "Kernel TLS: version, cipher, who encrypts (tx) and decrypts (rx), and its options.")
        .needs(INFO).wide(8, 24, 60),
    Column::new("md5_keys", "MD5 KEYS", Kind::List, 71, md5_keys,
        "Far ends for which there is a key for TCP MD5 signatures, told only to administrators; never the keys.")
        .needs(INFO).wide(8, 16, 60),
    Column::new("bbr_bw", "BBR BW", Kind::BytesPerSec, 71, |s, r| bbr(s, r, |b| b.bw),
        "Bandwidth of the path by BBR's model.")
        .needs(VEGAS_BIT),
    Column::new("bbr_min_rtt_us", "BBR MRTT", Kind::Micros, 71, |s, r| bbr(s, r, |b| b.min_rtt_us),
        "Smallest round-trip time by BBR's model.")
        .called(&["bbr_min_rtt"]).needs(VEGAS_BIT),
    Column::new("bbr_pacing_gain", "BBR PGAIN", Kind::Count, 71, |s, r| bbr(s, r, |b| b.pacing_gain),
        "Factor on the bandwidth at which BBR sends now: above 1 it looks for more, below 1 it drains.")
        .needs(VEGAS_BIT),
    Column::new("bbr_cwnd_gain", "BBR CGAIN", Kind::Count, 71, |s, r| bbr(s, r, |b| b.cwnd_gain),
        "Factor on what fits the path that BBR has under way at the most.")
        .needs(VEGAS_BIT),
    structure_column!("dctcp_info", "DCTCP", DCTCP, VEGAS, VEGAS_BIT,
        "Figures of DCTCP: enabled, ce_state, alpha (1024: every byte marked), ab_ecn, ab_tot."),
    structure_column!("vegas_info", "VEGAS", VEGAS, VEGAS, VEGAS_BIT,
        "Figures of TCP Vegas: enabled, rttcnt, rtt_us, min_rtt_us."),
    structure_column!("sctp_info", "SCTP", SCTP, INFO, INFO,
        "Everything the kernel tells of an SCTP association (struct sctp_info)."),
    Column::new("sctp_state", "SCTP STATE", Kind::Text, 71,
        |s, r| of(s, r, Proto::Sctp, AttrSet::INFO,
            s.attrs(r).field(&SCTP, "state").map(|n| Value::from(names::sctp_state(n)))),
        "State of an SCTP association as SCTP names it: COOKIE_WAIT, SHUTDOWN_SENT.")
        .needs(INFO).wide(6, 17, 17),
    Column::new("sctp_primary", "SCTP PRIMARY", Kind::Addr, 71,
        |s, r| of(s, r, Proto::Sctp, AttrSet::INFO, s.attrs(r).sctp_primary().map(Value::Addr)),
        "Address of the far end that an SCTP association sends to.")
        .needs(INFO),
    Column::new("sctp_local", "SCTP LOCAL", Kind::List, 71, |s, r| addresses(s, r, inet::LOCALS),
        "Own addresses of an SCTP association.")
        .wide(8, 20, 60),
    Column::new("sctp_peer", "SCTP PEER", Kind::List, 71, |s, r| addresses(s, r, inet::PEERS),
        "Addresses of the far end of an SCTP association.")
        .wide(8, 20, 60),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::SOCKETS;
    use crate::testing::machine;

    #[test]
    fn what_a_kind_never_has_is_not_said_to_be_missing() {
        let snap = machine();
        let value = |name: &str, row| SOCKETS.column(name).unwrap().value(&snap, row);
        // A UNIX listener, and a TCP connection of which nothing was asked.
        let (unix, tcp) = (12, 2);
        for name in [
            "congestion",
            "tos",
            "class_id",
            "mark",
            "cgroup_id",
            "v6only",
            "opt_recverr",
            "auto_port",
            "app_limited",
        ] {
            assert_eq!(value(name, unix), Value::Missing(Missing::NotApplicable), "{name}");
        }
        for name in ["congestion", "tos", "shutdown", "app_limited"] {
            assert_eq!(value(name, tcp), Value::Missing(Missing::NotRead), "{name}");
        }
        assert_eq!(value("skmem_rcvbuf", unix), Value::Missing(Missing::NotRead));
    }
}
