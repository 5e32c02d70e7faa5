//! Steps of the source: address, and ephemeral ports left for the destination.

use super::{Outgoing, Step};
use crate::diagnose::cause::{PORTS_OUT, SOURCE_NOT_LOCAL};
use crate::format::thousands;
use crate::model::path::Hop;
use crate::model::{Addr, Proto, Snapshot, Socket, State};
use std::collections::BTreeSet;

/// Steps of source address and port.
pub(super) fn steps((pairs, netns): (&Snapshot, u16), q: &Outgoing, first: &Hop) -> Vec<Step> {
    if let Some(source) = q.source.filter(|s| !first.net.has_addr(s)) {
        if first.net.links.is_empty() {
            return vec![Step::not_visible("source", format!("{source}: addresses were not read"))];
        }
        let text = format!("{source} is not an address of {}", first.net.name);
        return vec![Step::fails("source", &SOURCE_NOT_LOCAL, text)];
    }
    let Some(source) = q.source.or_else(|| first.route()?.source) else { return Vec::new() };
    let range = first.net.sysctls.get("ipv4/ip_local_port_range").and_then(|r| range(r));
    let Some((low, high)) = range.filter(|_| q.proto == Proto::Tcp) else {
        return vec![Step::ok("source", source.to_string())];
    };
    let reserved = first.net.sysctls.get("ipv4/ip_local_reserved_ports").map_or("", |r| &**r);
    let mut taken = reserved_in(reserved, low, high);
    let reserved = taken.len();
    let mut waits = 0;
    for s in pairs.live_sockets().iter().filter(|s| is_in(s, (netns, q.proto), (low, high))) {
        let is_pair = s.remote == q.dest && (s.local.addr == source);
        if (is_pair || blocks(s, source)) && taken.insert(s.local.port) {
            waits += usize::from(s.state == State::TimeWait);
        }
    }
    let all = usize::from(high - low) + 1;
    let (left, used) = (all - taken.len().min(all), taken.len() - reserved);
    if left > 0 {
        let left = thousands(left as u64);
        return vec![Step::ok("source", format!("{source}, {left} ephemeral ports left for {}", q.dest))];
    }
    let waits =
        if waits > 0 { format!(", {} of them in TIME_WAIT", thousands(waits as u64)) } else { String::new() };
    let text = format!(
        "no ephemeral port of {low}-{high} left from {source} to {}, {} taken{waits}",
        q.dest,
        thousands(used as u64)
    );
    vec![Step::fails("source", &PORTS_OUT, text)]
}

/// First and last port of `net.ipv4.ip_local_port_range`.
fn range(text: &str) -> Option<(u16, u16)> {
    let mut words = text.split_whitespace().map(str::parse);
    let (low, high) = (words.next()?.ok()?, words.next()?.ok()?);
    (low <= high).then_some((low, high))
}

/// Ports of `net.ipv4.ip_local_reserved_ports` (`8080,9000-9010`) in a range.
fn reserved_in(text: &str, low: u16, high: u16) -> BTreeSet<u16> {
    let spans = text.split(',').filter_map(|part| {
        let (a, b) = part.split_once('-').unwrap_or((part, part));
        Some((a.trim().parse::<u16>().ok()?, b.trim().parse::<u16>().ok()?))
    });
    spans.flat_map(|(a, b)| a.max(low)..=b.min(high)).collect()
}

fn is_in(s: &Socket, (netns, proto): (u16, Proto), (low, high): (u16, u16)) -> bool {
    s.id.netns == netns && s.proto == proto && (low..=high).contains(&s.local.port)
}

/// True for a socket whose port `connect()` does not choose: one that was bound to it by the application.
fn blocks(s: &Socket, source: Addr) -> bool {
    let overlaps = s.local.addr.is_any() || s.local.addr == source;
    overlaps && (s.is_listener() || s.auto_port == Some(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_range_and_reserved_ports_are_read() {
        assert_eq!(range("32768\t60999"), Some((32768, 60999)));
        assert_eq!((range("1"), range("9 1")), (None, None));
        let got = reserved_in("80,40000-40002,40005", 40001, 40010);
        assert_eq!(got.into_iter().collect::<Vec<_>>(), [40001, 40002, 40005]);
        assert!(reserved_in("", 1, 9).is_empty());
    }
}
