//! Packets of port 53 as any bytes, for `crate::fuzzing`.

use super::matcher::{Matcher, Seen, TIMEOUT_NS};
use super::packet;
use crate::collect::fuzz_sample::sample;
use crate::model::Sample;
use crate::model::sample::Dns;

/// Packets one after the other: two bytes of length and one that is odd for IPv6, and the IP packet.
pub(crate) fn dns(mut bytes: &[u8]) -> Sample {
    let mut out = sample();
    let mut matcher = Matcher::default();
    let begin = out.at.boot_ns.saturating_sub(2 * TIMEOUT_NS);
    let mut at_ns = begin;
    while let Some((head, rest)) = bytes.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([head[0], head[1]])).min(rest.len());
        let ether_type = if head[2] & 1 == 0 { 0x0800 } else { 0x86dd };
        at_ns += 1_000_000;
        let seen = Seen { netns: 0, iface: 2, outgoing: head[2] & 2 == 0, at_ns };
        packet::messages(ether_type, &rest[..len], &mut |proto, from, to, message| {
            matcher.message(seen, (proto, from, to), message, &mut |_| (None, None));
        });
        bytes = &rest[len..];
    }
    matcher.expire(out.at.boot_ns.max(at_ns + TIMEOUT_NS));
    assert_eq!(matcher.number(), 0, "questions wait forever");
    out.dns = Dns { on: true, since_ns: begin, list: matcher.done, lost: matcher.lost, ..Dns::default() };
    out
}
