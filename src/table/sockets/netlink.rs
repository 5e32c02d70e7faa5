//! Columns of netlink sockets.

use super::family::bit_names;
use crate::format::{Column, Kind, Value};
use crate::model::{Missing, Proto, ProtoSet, Snapshot, names};
use crate::table::cell::na;

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
        Proto::Packet => names::ether_type,
        _ => return na(),
    };
    Value::from_opt(snap.attrs(row).protocol().map(name), Missing::NotReported)
}

/// The columns.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Column] = &[
    Column::new("link_protocol", "LINK PROTO", Kind::Text, 63, link_protocol,
        "Protocol of a netlink socket (rtnl, genl, uevent), or EtherType of a packet socket (ip, arp, * for all).")
        .protos(super::row_protos(ProtoSet::new(&[Proto::Netlink, Proto::Packet])))
        .called(&["netlink_protocol", "ether_type"]).wide(4, 10, 12),
    Column::new("port_id", "PORT ID", Kind::Id, 63,
        |s, r| s.attrs(r).port_id().map_or_else(na, Value::from),
        "Port ID of a netlink socket: usually the pid of its creator; 0 for the kernel.")
        .called(&["portid"]).wide(4, 8, 12),
    Column::new("groups", "GROUPS", Kind::Hex, 63,
        |s, r| s.attrs(r).netlink_groups().map_or_else(na, Value::from),
        "Multicast groups of a netlink socket, a bit mask of the first 64."),
    Column::new("group_names", "GROUP NAMES", Kind::Text, 63, group_names,
        "Multicast groups by name (link, ipv4-route), or by number if they have no fixed name.")
        .wide(8, 20, 60),
    Column::new("netlink_flags", "NL FLAGS", Kind::Text, 63,
        |s, r| s.attrs(r).netlink_flags().map_or_else(na, |f| {
            bit_names(f, &["cb-running", "pktinfo", "broadcast-error", "no-enobufs", "listen-all-nsid", "cap-ack", "ext-ack",
                "strict-chk"])
        }),
        "Flags of a netlink socket, such as cb-running: a dump is in progress.")
        .wide(6, 12, 40),
];
