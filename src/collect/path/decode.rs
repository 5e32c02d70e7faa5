//! Messages of rtnetlink(7) about routes, rules, links, addresses and neighbours.

use crate::collect::netlink::socket::{Malformed, NetlinkSocket};
use crate::collect::netlink::wire::Request;
use crate::model::bytes::read_u32;
use crate::model::path::{Link, LinkAddr, Neighbour, PolicyRule, Route};
use crate::model::{Addr, Attrs, Family, Proto, text};

const fn attrs(bytes: &[u8]) -> Attrs<'_> {
    Attrs::new(bytes, Family::Inet, Proto::Tcp)
}

fn number(attrs: &Attrs<'_>, kind: u16) -> Option<u32> {
    read_u32(attrs.get(kind)?, 0)
}

fn string(attrs: &Attrs<'_>, kind: u16) -> Option<Box<str>> {
    Some(text::from_c_str(attrs.get(kind)?).into())
}

/// An address of four or sixteen bytes.
fn address(raw: &[u8]) -> Option<Addr> {
    match raw.len() {
        4 => raw.try_into().ok().map(Addr::v4),
        16 => raw.try_into().ok().map(Addr::v6),
        _ => None,
    }
}

/// Route of an `RTM_NEWROUTE` message: `struct rtmsg`, 12 bytes, and attributes.
pub(super) fn route(message: &[u8]) -> Option<Route> {
    const RTA_OIF: u16 = 4;
    const RTA_GATEWAY: u16 = 5;
    const RTA_PREFSRC: u16 = 7;
    const RTA_METRICS: u16 = 8;
    const RTA_TABLE: u16 = 15;
    const RTA_VIA: u16 = 18;
    const RTAX_MTU: u16 = 2;
    let rest = attrs(message.get(12..)?);
    // RTA_VIA is an address family in two bytes, then the address.
    let via = || rest.get(RTA_VIA).and_then(|v| address(v.get(2..)?));
    Some(Route {
        kind: *message.get(7)?,
        table: number(&rest, RTA_TABLE).or_else(|| message.get(4).map(|t| u32::from(*t))).unwrap_or(0),
        oif: number(&rest, RTA_OIF).unwrap_or(0),
        gateway: rest.get(RTA_GATEWAY).and_then(address).or_else(via),
        source: rest.get(RTA_PREFSRC).and_then(address),
        mtu: rest.get(RTA_METRICS).and_then(|m| number(&attrs(m), RTAX_MTU)),
        flags: read_u32(message, 8).unwrap_or(0),
    })
}

/// Rule of an `RTM_NEWRULE` message: `struct fib_rule_hdr`, 12 bytes, and attributes.
pub(super) fn policy_rule(message: &[u8]) -> Option<PolicyRule> {
    const FRA_DST: u16 = 1;
    const FRA_SRC: u16 = 2;
    const FRA_IIFNAME: u16 = 3;
    const FRA_PRIORITY: u16 = 6;
    const FRA_FWMARK: u16 = 10;
    const FRA_TABLE: u16 = 15;
    const FRA_FWMASK: u16 = 16;
    const FRA_OIFNAME: u16 = 17;
    const FRA_UID_RANGE: u16 = 20;
    let rest = attrs(message.get(12..)?);
    let mask = number(&rest, FRA_FWMASK).unwrap_or(u32::MAX);
    let network = |kind, len: Option<&u8>| Some((address(rest.get(kind)?)?, *len?));
    Some(PolicyRule {
        v6: message.first()? == &10,
        priority: number(&rest, FRA_PRIORITY).unwrap_or(0),
        action: *message.get(7)?,
        table: number(&rest, FRA_TABLE).unwrap_or(0),
        mark: number(&rest, FRA_FWMARK).filter(|m| *m != 0).map(|m| (m, mask)),
        uids: rest.get(FRA_UID_RANGE).and_then(|r| Some((read_u32(r, 0)?, read_u32(r, 4)?))),
        source: network(FRA_SRC, message.get(2)),
        dest: network(FRA_DST, message.get(1)),
        iif: string(&rest, FRA_IIFNAME),
        oif: string(&rest, FRA_OIFNAME),
    })
}

/// Interface of an `RTM_NEWLINK` message: `struct ifinfomsg`, 16 bytes, and attributes.
pub(super) fn link(message: &[u8]) -> Option<Link> {
    const IFLA_ADDRESS: u16 = 1;
    const IFLA_IFNAME: u16 = 3;
    const IFLA_MTU: u16 = 4;
    const IFLA_MASTER: u16 = 10;
    const IFLA_OPERSTATE: u16 = 16;
    const IFLA_LINKINFO: u16 = 18;
    const IFLA_INFO_KIND: u16 = 1;
    let rest = attrs(message.get(16..)?);
    Some(Link {
        index: read_u32(message, 4)?,
        name: string(&rest, IFLA_IFNAME)?,
        flags: read_u32(message, 8)?,
        operstate: rest.get(IFLA_OPERSTATE).and_then(|o| o.first().copied()).unwrap_or(0),
        mtu: number(&rest, IFLA_MTU).unwrap_or(0),
        master: number(&rest, IFLA_MASTER),
        kind: rest.get(IFLA_LINKINFO).and_then(|i| string(&attrs(i), IFLA_INFO_KIND)).unwrap_or_default(),
        mac: rest.get(IFLA_ADDRESS).unwrap_or(&[]).into(),
    })
}

/// Address of an `RTM_NEWADDR` message: `struct ifaddrmsg`, 8 bytes, and attributes.
pub(super) fn link_addr(message: &[u8]) -> Option<LinkAddr> {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const IFA_FLAGS: u16 = 8;
    let rest = attrs(message.get(8..)?);
    Some(LinkAddr {
        link: read_u32(message, 4)?,
        addr: address(rest.get(IFA_LOCAL).or_else(|| rest.get(IFA_ADDRESS))?)?,
        prefix: *message.get(1)?,
        flags: number(&rest, IFA_FLAGS).unwrap_or_else(|| message.get(2).map_or(0, |f| u32::from(*f))),
    })
}

/// The entry of a neighbour at an interface: `struct ndmsg`, 12 bytes, and attributes.
pub(super) fn neighbour(socket: &mut NetlinkSocket, oif: u32, addr: Addr) -> Option<Neighbour> {
    let mut found = None;
    let family = if addr.is_v4() { 2 } else { 10 };
    let complete = each_neighbour(socket, family, |link, dest, entry| {
        if (link, dest) == (oif, addr) {
            found = Some(entry);
        }
    });
    found.filter(|_| complete)
}

/// Passes on interface, address and entry of each neighbour of an address family. Returns `false` if they could not all be read.
pub(super) fn each_neighbour(
    socket: &mut NetlinkSocket,
    family: u8,
    mut f: impl FnMut(u32, Addr, Neighbour),
) -> bool {
    let read = socket.dump(&Request::neighbours(family), |message| {
        if let Some((link, dest, entry)) = neighbour_entry(message) {
            f(link, dest, entry);
        }
        Ok::<(), Malformed>(())
    });
    read.is_ok()
}

/// Interface, address and entry of an `RTM_NEWNEIGH` message.
fn neighbour_entry(message: &[u8]) -> Option<(u32, Addr, Neighbour)> {
    const NDA_DST: u16 = 1;
    const NDA_LLADDR: u16 = 2;
    let rest = attrs(message.get(12..)?);
    let state = u16::from_ne_bytes(*message.get(8..)?.first_chunk()?);
    let mac = rest.get(NDA_LLADDR).unwrap_or(&[]).into();
    Some((read_u32(message, 4)?, address(rest.get(NDA_DST)?)?, Neighbour { state, mac }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attr::push;
    use crate::model::path::{NUD_FAILED, RTN_UNICAST};

    fn message(head: &[u8], parts: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = head.to_vec();
        for (kind, bytes) in parts {
            push(&mut out, *kind, bytes);
        }
        out
    }

    #[test]
    fn route_message_is_decoded_up_to_the_bytes_present() {
        let mut metrics = Vec::new();
        push(&mut metrics, 2, &1400u32.to_ne_bytes());
        let m = message(
            &[2, 32, 0, 0, 254, 0, 0, RTN_UNICAST, 0, 2, 0, 0],
            &[
                (4, &3u32.to_ne_bytes()),
                (5, &[10, 0, 0, 1]),
                (7, &[10, 0, 0, 4]),
                (15, &254u32.to_ne_bytes()),
                (8, &metrics),
            ],
        );
        let r = route(&m).unwrap();
        assert_eq!((r.kind, r.oif, r.table, r.mtu), (RTN_UNICAST, 3, 254, Some(1400)));
        assert_eq!((r.gateway, r.source), (Some(Addr::v4([10, 0, 0, 1])), Some(Addr::v4([10, 0, 0, 4]))));
        let via = message(
            &[2, 32, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0],
            &[(18, &[10, 0, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])],
        );
        assert_eq!(route(&via).unwrap().gateway.map(|g| g.is_v4()), Some(false), "RFC 8950");
        for n in 0..m.len() {
            let _ = (route(&m[..n]), policy_rule(&m[..n]), link(&m[..n]), link_addr(&m[..n]));
        }
    }

    #[test]
    fn rule_link_address_and_neighbour_messages_are_decoded() {
        let rule = message(
            &[2, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0],
            &[
                (6, &100u32.to_ne_bytes()),
                (10, &7u32.to_ne_bytes()),
                (16, &0xffu32.to_ne_bytes()),
                (20, &[1000u32, 1001].map(u32::to_ne_bytes).concat()),
            ],
        );
        let r = policy_rule(&rule).unwrap();
        assert_eq!((r.priority, r.action, r.mark, r.uids), (100, 8, Some((7, 0xff)), Some((1000, 1001))));
        let mut head = [0; 16];
        head[4..8].copy_from_slice(&5u32.to_ne_bytes());
        head[8..12].copy_from_slice(&1u32.to_ne_bytes());
        let l = link(&message(&head, &[(3, b"eth0\0"), (4, &1500u32.to_ne_bytes()), (16, &[3])])).unwrap();
        assert!(l.is_up() && l.has_no_carrier() && !l.is_loopback());
        assert!(!Link { flags: 0x1_0001, operstate: 6, ..l.clone() }.has_no_carrier());
        assert!(Link { flags: 1, operstate: 6, ..l.clone() }.has_no_carrier(), "not yet noticed");
        assert_eq!((l.index, &*l.name, l.mtu), (5, "eth0", 1500));
        let mut head = [2, 24, 0, 0, 0, 0, 0, 0];
        head[4..8].copy_from_slice(&5u32.to_ne_bytes());
        let a = link_addr(&message(&head, &[(1, &[10, 0, 0, 9]), (2, &[10, 0, 0, 4])])).unwrap();
        assert_eq!((a.link, a.addr, a.prefix), (5, Addr::v4([10, 0, 0, 4]), 24), "not that of the peer");
        let mut head = [0; 12];
        head[4..8].copy_from_slice(&5u32.to_ne_bytes());
        head[8] = NUD_FAILED as u8;
        let (link, addr, n) = neighbour_entry(&message(&head, &[(1, &[10, 0, 0, 9])])).unwrap();
        assert_eq!((link, addr, n.state), (5, Addr::v4([10, 0, 0, 9]), NUD_FAILED));
    }
}
