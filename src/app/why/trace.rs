//! The path of a packet through the namespaces of this machine: read hop by hop, evaluated in between.

use crate::collect::PathReader;
use crate::derive::path::Rules;
use crate::diagnose::why::PathEnd;
use crate::model::nft::NF_INET_POST_ROUTING;
use crate::model::path::{
    FirstPacket, HookVerdict, Hop, Lookup, NetState, RTN_LOCAL, Route, RouteAnswer, Stage,
};
use crate::model::{Addr, Endpoint, Proto, Snapshot};

/// Most namespaces on a path.
const MAX_HOPS: usize = 8;
/// Most namespaces whose addresses are compared with a next hop.
const MAX_NAMESPACES: usize = 512;
/// Most addresses of a namespace at which a port is tried.
const MAX_ADDRESSES: usize = 16;

/// Reader of paths.
pub(super) struct Tracer<'a> {
    reader: PathReader,
    snap: &'a Snapshot,
    /// Addresses of each namespace by its inode, when they were needed.
    addresses: Option<Vec<(u64, Vec<Addr>)>>,
}

impl<'a> Tracer<'a> {
    pub(super) const fn new(reader: PathReader, snap: &'a Snapshot) -> Self {
        Self { reader, snap, addresses: None }
    }

    /// Follows a packet from a namespace on.
    pub(super) fn follow(&mut self, netns: u16, packet: FirstPacket, stage: Stage) -> (Vec<Hop>, PathEnd) {
        let mut hops: Vec<Hop> = Vec::new();
        let (mut netns, mut packet, mut stage) = (netns, packet, stage);
        loop {
            let inode = self.snap.netns_inode(netns);
            let inode = if inode == 0 && netns == 0 { self.reader.own() } else { inode };
            let state = match self.reader.state(inode) {
                Ok(state) => state,
                Err(e) => {
                    let name = self.snap.sample.namespaces.get(usize::from(netns)).map_or("?", |n| &n.name);
                    return (hops, PathEnd::NotEntered(name.to_owned(), reason(&e)));
                }
            };
            let hop = self.hop(netns, inode, state, packet, stage);
            let next = next_hop(&hop);
            let is_source_translated = translates_source(&hop.net);
            hops.push(hop);
            let (Some((addr, oif)), Some(hop)) = (next, hops.last()) else { return (hops, PathEnd::AtHop) };
            let Some(to) = self.holder(inode, &addr, hop) else { return (hops, PathEnd::Remote(addr)) };
            let seen = hops.iter().any(|h| h.net.inode == to);
            if seen || hops.len() >= MAX_HOPS {
                return (hops, PathEnd::AtHop);
            }
            let number = self.snap.sample.namespaces.iter().position(|n| n.inode == to);
            let Some(number) = number.and_then(|n| u16::try_from(n).ok()) else {
                return (hops, PathEnd::Remote(addr));
            };
            let own = || {
                let v4 = hop.dest().addr.is_v4();
                let on = hop.net.addrs.iter().find(|a| a.link == oif && a.addr.is_v4() == v4);
                on.map(|a| a.addr).or_else(|| hop.route()?.source)
            };
            let kept = hop.packet.source.or_else(|| hop.route()?.source);
            let source = if is_source_translated { own() } else { kept };
            let iif = match self.reader.state(to) {
                Ok(state) => state
                    .addrs
                    .iter()
                    .find(|a| a.addr == addr)
                    .and_then(|a| Some((a.link, state.link(a.link)?.name.clone()))),
                Err(e) => {
                    let name = self.snap.sample.namespaces.get(usize::from(number)).map_or("?", |n| &n.name);
                    return (hops, PathEnd::NotEntered(name.to_owned(), reason(&e)));
                }
            };
            packet = FirstPacket {
                proto: hop.packet.proto,
                source,
                dest: hop.dest(),
                mark: 0,
                uid: None,
                iif,
                translated: false,
            };
            (netns, stage) = (number, Stage::Input);
        }
    }

    /// Reads and evaluates one hop.
    fn hop(&self, netns: u16, inode: u64, net: NetState, packet: FirstPacket, stage: Stage) -> Hop {
        let rules = Rules::new(&net);
        let translation = rules.as_ref().ok().and_then(|r| r.translation(&packet, stage));
        let to = translation.as_ref().filter(|t| t.conditions.is_empty()).and_then(|t| t.to);
        let lookup = self.reader.lookup(inode, &packet, to.unwrap_or(packet.dest));
        let is_local = matches!(&lookup.route, RouteAnswer::Found(r) if r.kind == RTN_LOCAL);
        let stage = if stage != Stage::Output && !is_local { Stage::Forward } else { stage };
        let (verdict, reply) = match &rules {
            Ok(r) => (r.verdict(&packet, to, stage, &lookup), r.reply(&packet, to, stage, &lookup)),
            Err(why) => (HookVerdict::Unknown((&**why).into()), HookVerdict::Unknown((&**why).into())),
        };
        drop(rules);
        Hop { netns, stage, net, packet, translation, lookup, verdict, reply }
    }

    /// The namespace that has an address, if it is one only; of several the one with the hardware address of the neighbour.
    fn holder(&mut self, from: u64, addr: &Addr, hop: &Hop) -> Option<u64> {
        let reader = &self.reader;
        let all = self.addresses.get_or_insert_with(|| {
            let each = reader.namespaces().into_iter().take(MAX_NAMESPACES);
            each.filter_map(|(inode, _)| Some((inode, reader.addresses(inode).ok()?))).collect()
        });
        let mut holders =
            all.iter().filter(|(inode, addrs)| *inode != from && addrs.contains(addr)).map(|h| h.0);
        let first = holders.next()?;
        let others: Vec<u64> = holders.collect();
        if others.is_empty() {
            return Some(first);
        }
        let mac = hop.lookup.neighbour.as_ref().map(|n| &n.mac).filter(|m| !m.is_empty())?;
        let has_mac =
            |inode: &u64| self.reader.state(*inode).is_ok_and(|s| s.links.iter().any(|l| l.mac == *mac));
        std::iter::once(first).chain(others).find(has_mac)
    }

    /// A hop for each address of a namespace at which clients of other hosts reach a port.
    pub(super) fn addresses(
        &mut self,
        netns: u16,
        proto: Proto,
        port: u16,
        source: Option<Addr>,
    ) -> Vec<Hop> {
        let inode = self.snap.netns_inode(netns);
        let inode = if inode == 0 && netns == 0 { self.reader.own() } else { inode };
        let Ok(net) = self.reader.state(inode) else { return Vec::new() };
        let rules = Rules::new(&net);
        let outside = net.addrs.iter().filter_map(|a| {
            let link = net.link(a.link).filter(|l| l.is_up() && !l.is_loopback())?;
            // Link-local addresses are for neighbours.
            (!a.addr.needs_zone()).then_some((a, link))
        });
        let hops = outside.take(MAX_ADDRESSES).map(|(a, link)| {
            let packet = FirstPacket {
                proto,
                source: source.filter(|s| s.is_v4() == a.addr.is_v4()),
                dest: Endpoint::new(a.addr, port),
                mark: 0,
                uid: None,
                iif: Some((link.index, link.name.clone())),
                translated: false,
            };
            let route = Route { kind: RTN_LOCAL, oif: link.index, ..Route::default() };
            let lookup = Lookup { route: RouteAnswer::Found(route), neighbour: None };
            let verdict = match &rules {
                Ok(r) => r.verdict(&packet, None, Stage::Input, &lookup),
                Err(why) => HookVerdict::Unknown((&**why).into()),
            };
            let light = NetState { netfilter: None, ..net.clone() };
            let translation = rules.as_ref().ok().and_then(|r| r.translation(&packet, Stage::Input));
            Hop {
                netns,
                stage: Stage::Input,
                net: light,
                packet,
                translation,
                lookup,
                verdict,
                reply: HookVerdict::Passes,
            }
        });
        hops.collect()
    }
}

/// The packet of a client on the network of the interface by which it arrives.
pub(super) fn from_neighbour(hop: &Hop) -> FirstPacket {
    let mut packet = hop.packet.clone();
    if packet.source.is_none() {
        let mut bytes = *packet.dest.addr.octets();
        // Of .1 it is .254, of .2 .253: neither the network nor the host itself.
        bytes[15] ^= 0xff;
        packet.source = Some(if packet.dest.addr.is_v4() {
            Addr::v4([bytes[12], bytes[13], bytes[14], bytes[15]])
        } else {
            Addr::v6(bytes)
        });
    }
    packet
}

/// Reason of an error, for a user.
fn reason(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::PermissionDenied => "not permitted, requires CAP_SYS_ADMIN".to_owned(),
        std::io::ErrorKind::NotFound => "it is gone".to_owned(),
        _ => e.to_string(),
    }
}

/// Address and interface to which a packet leaves a hop; `None` if it does not.
fn next_hop(hop: &Hop) -> Option<(Addr, u32)> {
    let r = hop.route().filter(|r| r.kind == crate::model::path::RTN_UNICAST)?;
    (!matches!(hop.verdict, HookVerdict::Stopped(_))).then(|| (r.gateway.unwrap_or(hop.dest().addr), r.oif))
}

/// True if rules of the namespace may translate the source of packets that leave.
fn translates_source(net: &NetState) -> bool {
    let Some(rules) = &net.netfilter else { return false };
    let nft = rules.nft.iter().flat_map(|r| &r.tables).flat_map(|t| &t.chains);
    let by_nft = nft.filter(|c| c.nat_hook() == Some(NF_INET_POST_ROUTING)).any(|c| !c.rules.is_empty());
    by_nft || rules.iptables.iter().any(|t| &*t.name == "nat")
}
