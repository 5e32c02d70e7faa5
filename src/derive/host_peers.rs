//! Both ends of a connection between two hosts.
//!
//! **Candidates.** The two ends of a connection have mirrored endpoints: the local one of each is the remote one of the other
//! (an IPv4-mapped address is its IPv4 address). Only open TCP, MPTCP, SCTP, DCCP and connected UDP sockets are joined, only
//! with one of another host, and only if no third socket of any host has the endpoints of either end: two candidates are none.
//! Loopback, link-local and multicast addresses have another meaning on each host and join nothing.
//!
//! **Contradictions.** Ends are not joined if they were not open at the same time, if the namespace of one has no such address
//! (where its addresses were read), or if their byte counters cannot be of one connection. Bytes that one end has acknowledged
//! were received by the other, so at one moment `acked` ≤ `received`; hosts are not read at one moment, but whichever was read
//! first, this holds in at least one direction.
//!
//! **Certainty.** A join is certain if each address is held by one of the hosts alone and is public: nothing else can have it. A
//! private address (RFC 1918, RFC 6598, `fc00::/7`) can also belong to a host that was not asked, so such a join is likely, and
//! certain only if the byte counters of both directions agree and are more than a handshake has. An address that two hosts
//! have joins nothing without that proof, and is likely with it.
//!
//! **NAT.** A connection that a conntrack entry of any of the hosts translates is joined by that entry: the client has the
//! tuple of its original direction, the server that of its reply direction, through several hosts one after the other. The
//! entry of the host of an end proves which socket of that host it is, so that the end's own address (of a container) need
//! not be unique, and the address that it is translated to is judged in its place.

mod evidence;
mod index;

use self::evidence::{Counters, Evidence};
use self::index::Index;
use super::map;
use crate::model::sample::Flow;
use crate::model::snapshot::HostLink;
use crate::model::{Addr, Endpoint, Proto, ProtoSet, Reads, Scope, Snapshot, Socket, State, Wants};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Most hosts that translate one connection.
const MAX_HOPS: usize = 4;

/// Protocols with connections.
const PROTOS: ProtoSet = ProtoSet::TCP_STATES.union(ProtoSet::new(&[Proto::Udp, Proto::UdpLite]));

/// Time by which two lives that are seen only by polls may miss each other, seconds.
const SLACK_S: u64 = 10;

/// Protocol, local and remote endpoint of a socket; or source and destination of a packet.
type Tuple = (Proto, Endpoint, Endpoint);

/// One host with its last snapshot.
#[derive(Clone, Debug)]
pub struct JoinedHost {
    /// Its snapshot.
    pub snap: Arc<Snapshot>,
    /// Seconds for which its rows are known to be old; 0 for a host that answers.
    pub late_s: u64,
}

/// Socket row of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct End {
    host: u32,
    row: u32,
}

/// Host that an address must belong to for a join.
#[derive(Clone, Copy, Debug)]
struct Claim {
    addr: Addr,
    host: u32,
}

/// Host that has an address; several if equal addresses were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    One(u32),
    Several,
}

struct Join<'a> {
    hosts: &'a [JoinedHost],
    ends: Index<End>,
    flows: Index<(u32, &'a Flow)>,
    /// Tuples of the reply direction of the same entries, as their server has them.
    replies: FxHashSet<Tuple>,
    holders: FxHashMap<Addr, Holder>,
    /// Namespaces whose addresses were read, and those addresses.
    read: FxHashSet<(u32, u16)>,
    held: FxHashSet<(u32, u16, Addr)>,
}

/// True if the other ends of connections were asked for: by a column, by details, or by findings, which see both sides.
pub const fn is_wanted(wants: &Wants) -> bool {
    wants.reads_any(Reads::LOCAL_PEERS.union(Reads::NEXT_HOPS))
}

/// Joins the sockets of these hosts: each snapshot gets the other ends of its connections. Linear in the number of sockets and
/// conntrack entries.
pub fn join(hosts: &[JoinedHost]) {
    let weak: Arc<[_]> = hosts.iter().map(|h| Arc::downgrade(&h.snap)).collect();
    for (host, links) in hosts.iter().zip(links(hosts)) {
        host.snap.host_peers.set(links, Arc::clone(&weak));
    }
    map::collect_joined(&hosts.iter().map(|h| Arc::clone(&h.snap)).collect::<Vec<_>>());
}

/// Links of each host, sorted by row.
fn links(hosts: &[JoinedHost]) -> Vec<Vec<HostLink>> {
    let mut out: Vec<Vec<HostLink>> = hosts.iter().map(|_| Vec::new()).collect();
    let join = Join::new(hosts);
    let mut pairs = join.direct();
    pairs.extend(join.translated());
    // An end with two partners has none.
    let mut partners: FxHashMap<End, u32> = FxHashMap::default();
    for end in pairs.iter().flat_map(|p| p.ends) {
        *partners.entry(end).or_default() += 1;
    }
    pairs.retain(|p| p.ends.iter().all(|end| partners.get(end) == Some(&1)));
    for Pair { ends: [a, b], certain, nat } in pairs {
        for (from, to) in [(a, b), (b, a)] {
            if let Some(links) = out.get_mut(from.host as usize) {
                links.push(HostLink { row: from.row, host: to.host, peer: to.row, certain, nat });
            }
        }
    }
    for links in &mut out {
        links.sort_unstable_by_key(|l| l.row);
    }
    out
}

/// Both ends of one connection.
struct Pair {
    ends: [End; 2],
    certain: bool,
    nat: Option<u32>,
}

const fn local_remote(s: &Socket) -> Tuple {
    (s.proto, s.local, s.remote)
}

/// True for an address that means one host wherever it is seen.
fn is_routed(addr: Addr) -> bool {
    matches!(addr.scope(), Scope::Public | Scope::Private)
}

fn is_candidate(s: &Socket) -> bool {
    PROTOS.has(s.proto)
        && s.has_peer()
        && !matches!(s.state, State::Listen | State::Closed | State::Forwarded)
}

impl<'a> Join<'a> {
    fn new(hosts: &'a [JoinedHost]) -> Self {
        let mut join = Self {
            hosts,
            ends: Index::default(),
            flows: Index::default(),
            replies: FxHashSet::default(),
            holders: FxHashMap::default(),
            read: FxHashSet::default(),
            held: FxHashSet::default(),
        };
        for (host, of) in (0u32..).zip(hosts) {
            for (netns, addr) in &of.snap.sample.addresses {
                join.read.insert((host, *netns));
                join.hold(host, *netns, *addr);
            }
            for (row, s) in (0u32..).zip(of.snap.live_sockets()).filter(|(_, s)| is_candidate(s)) {
                join.ends.add(local_remote(s), End { host, row });
                if !join.read.contains(&(host, s.id.netns)) {
                    join.hold(host, s.id.netns, s.local.addr);
                }
            }
            for flow in &of.snap.sample.flows {
                if !flow.is_over() && (flow.is_redirected() || flow.is_masqueraded()) {
                    join.flows.add((flow.proto, flow.orig.0, flow.orig.1), (host, flow));
                    join.replies.insert((flow.proto, flow.reply.0, flow.reply.1));
                }
            }
        }
        join
    }

    fn hold(&mut self, host: u32, netns: u16, addr: Addr) {
        self.held.insert((host, netns, addr));
        let holder = self.holders.entry(addr).or_insert(Holder::One(host));
        if *holder != Holder::One(host) {
            *holder = Holder::Several;
        }
    }

    fn snap(&self, host: u32) -> Option<&'a Snapshot> {
        self.hosts.get(host as usize).map(|h| &*h.snap)
    }

    fn socket(&self, end: End) -> Option<&'a Socket> {
        self.snap(end.host)?.get_socket(end.row as usize)
    }

    /// Pairs with mirrored endpoints.
    fn direct(&self) -> Vec<Pair> {
        let pair = |(tuple, a): (&Tuple, End)| {
            let (proto, local, remote) = *tuple;
            let mirrored = (proto, remote, local);
            let routed = is_routed(local.addr) && is_routed(remote.addr);
            let is_translated = |t: &Tuple| self.flows.has(t) || self.replies.contains(t);
            // Each pair is found twice.
            let b = self.ends.only(&mirrored, |_| true).filter(|b| routed && a < *b && a.host != b.host)?;
            self.ends.only(tuple, |_| true)?;
            if is_translated(tuple) || is_translated(&mirrored) {
                return None;
            }
            let claims =
                [Claim { addr: local.addr, host: a.host }, Claim { addr: remote.addr, host: b.host }];
            Some(Pair { ends: [a, b], certain: self.certainty(a, b, &claims)?, nat: None })
        };
        self.ends.iter().filter_map(pair).collect()
    }

    /// Pairs whose addresses are translated between them.
    fn translated(&self) -> Vec<Pair> {
        if self.flows.is_empty() {
            return Vec::new();
        }
        self.ends.iter().filter_map(|(tuple, client)| self.server(*tuple, client)).collect()
    }

    /// Entry that translates packets of this tuple first: of the host itself, else the only one.
    fn flow(&self, tuple: &Tuple, own: u32) -> Option<(u32, &'a Flow)> {
        let of_host = self.flows.only(tuple, |(host, _)| *host == own);
        of_host.or_else(|| self.flows.only(tuple, |(host, _)| *host != own))
    }

    /// Follows a connection from its client through the conntrack entries to its server. Addresses are claimed where packets go
    /// from one host to another, not within the host that translates them.
    fn server(&self, tuple: Tuple, client: End) -> Option<Pair> {
        let (proto, mut source, mut dest) = tuple;
        let (first, flow) = self.flow(&tuple, client.host)?;
        let is_own = first == client.host;
        self.ends.only(&tuple, |end| !is_own || end.host == client.host)?;
        let mut claims: Vec<Claim> = Vec::new();
        // Host that packets have left last, and the one whose address is their source.
        let (mut at, mut sender) = (client.host, client.host);
        let mut next = (first, flow);
        for _ in 0..MAX_HOPS {
            let (nat, flow) = next;
            if nat != at {
                claims.push(Claim { addr: source.addr, host: sender });
                if flow.is_redirected() {
                    claims.push(Claim { addr: dest.addr, host: nat });
                }
            }
            (source, dest) = (flow.reply.1, flow.reply.0);
            at = nat;
            if flow.is_masqueraded() {
                sender = nat;
            }
            let arriving = (proto, dest, source);
            let here = self.ends.only(&arriving, |end| end.host == nat);
            if let Some(server) = here.or_else(|| self.ends.only(&arriving, |_| true)) {
                if server.host == client.host {
                    return None;
                }
                if server.host != at {
                    claims.push(Claim { addr: source.addr, host: sender });
                    claims.push(Claim { addr: dest.addr, host: server.host });
                }
                let certain = self.certainty(client, server, &claims)?;
                return Some(Pair { ends: [client, server], certain, nat: Some(first) });
            }
            next = self.flows.only(&(proto, source, dest), |(_, f)| !std::ptr::eq(*f, flow))?;
        }
        None
    }

    /// Certainty of a join; `None` if it is contradicted, or two hosts have an address and nothing proves which one it is.
    fn certainty(&self, a: End, b: End, claims: &[Claim]) -> Option<bool> {
        if !self.is_overlapping(a, b) || self.is_absent(a)? || self.is_absent(b)? {
            return None;
        }
        let evidence = self.counters(a)?.evidence(&self.counters(b)?);
        let is_shared = |c: &Claim| match self.holders.get(&c.addr) {
            Some(Holder::One(host)) => *host != c.host,
            Some(Holder::Several) => true,
            // A router can translate to an address that none of its interfaces has.
            None => false,
        };
        let agree = evidence == Evidence::Agrees;
        if evidence == Evidence::Contradicts || !claims.iter().all(|c| is_routed(c.addr)) {
            return None;
        }
        if claims.iter().any(is_shared) {
            return agree.then_some(false);
        }
        Some(agree || claims.iter().all(|c| c.addr.scope() == Scope::Public))
    }

    fn counters(&self, end: End) -> Option<Counters> {
        let host = self.hosts.get(end.host as usize)?;
        let counters = Counters::new(&host.snap, end.row as usize);
        // Of a host that is late it is not known whether it is idle still.
        Some(Counters { idle: counters.idle && host.late_s == 0, ..counters })
    }

    /// True if the namespace of a socket has other addresses than its own.
    fn is_absent(&self, end: End) -> Option<bool> {
        let s = self.socket(end)?;
        let (host, netns) = (end.host, s.id.netns);
        Some(self.read.contains(&(host, netns)) && !self.held.contains(&(host, netns, s.local.addr)))
    }

    /// True if both were open at one time. Only a host that is late shows sockets that may have been closed since.
    fn is_overlapping(&self, a: End, b: End) -> bool {
        // Seconds before now, of which the earlier is the larger number: opened, and last seen.
        let life = |end: End| {
            let host = self.hosts.get(end.host as usize)?;
            let facts = host.snap.facts.get(end.row as usize)?;
            let seen_s =
                host.snap.sample.at.boot_ns.saturating_sub(facts.first_seen_ns).div_ceil(1_000_000_000);
            let opened = if facts.preexisting { u64::MAX } else { host.late_s + seen_s };
            Some((opened, host.late_s))
        };
        let (Some((a_opened, a_seen)), Some((b_opened, b_seen))) = (life(a), life(b)) else { return false };
        a_opened.saturating_add(SLACK_S) >= b_seen && b_opened.saturating_add(SLACK_S) >= a_seen
    }
}

#[cfg(test)]
mod tests;
