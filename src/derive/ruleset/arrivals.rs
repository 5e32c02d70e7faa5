//! Connections of other hosts to listening ports through the filter rules of a namespace: which are stopped, by which rule.
//!
//! The rules are evaluated once for all ports of a protocol; the result is then narrowed to each.

use super::fields::Fields;
use super::filter::{Decision, HookPass, decisions};
use super::first_packet::{Facts, Known};
use super::interval::Intervals;
use super::local_addresses;
use super::packets::{Field, PacketBox};
use super::registers::interface_name;
use super::text;
use super::walk::Evaluation;
use crate::model::Addr;
use crate::model::nft::{NF_INET_LOCAL_IN, NF_INET_PRE_ROUTING, NFPROTO_IPV4, NFPROTO_IPV6};
use crate::model::path::{RTN_LOCAL, RTN_UNICAST};

/// `NF_CT_STATE_UNTRACKED_BIT`.
const CT_UNTRACKED: u128 = 64;
/// Most packets that are joined with each other for a shorter text.
const MAX_JOINED: usize = 32;

/// First packets of connections of other hosts to this namespace.
#[derive(Debug)]
pub(in crate::derive) struct Arrivals {
    /// Packets are IPv6.
    pub(in crate::derive) v6: bool,
    /// `IPPROTO_*`.
    pub(in crate::derive) proto: u8,
    /// Destination ports.
    pub(in crate::derive) ports: Intervals,
    /// Destination addresses beside those of loopback.
    pub(in crate::derive) addrs: Intervals,
}

/// The part of [`Arrivals`] that is for one endpoint.
#[derive(Debug)]
pub(in crate::derive) struct Part {
    /// Conditions of the packets that no rule stops, in words; an empty text for none.
    pub(in crate::derive) passed: Vec<String>,
    /// Packets that are stopped.
    pub(in crate::derive) stopped: Vec<Decision>,
}

/// Result of the rules.
#[derive(Debug)]
pub(in crate::derive) struct Arrived {
    v6: bool,
    entry: PacketBox,
    passed: Vec<PacketBox>,
    stopped: Vec<Decision>,
}

impl Arrivals {
    fn entry(&self, fields: &mut Fields) -> PacketBox {
        let loopback = if self.v6 { Addr::v6(1u128.to_be_bytes()) } else { Addr::v4([127, 0, 0, 1]) };
        let facts = Facts {
            family: if self.v6 { NFPROTO_IPV6 } else { NFPROTO_IPV4 },
            v6: self.v6,
            proto: self.proto,
            source: None,
            source_port: None,
            dest: loopback,
            dest_port: None,
            iif: None,
            oif: None,
            source_kind: Some(RTN_UNICAST),
            dest_kind: Some(RTN_LOCAL),
            is_reply: false,
            mark: None,
            uid: None,
            translated: false,
        };
        let mut out = facts.packets(NF_INET_LOCAL_IN, false, fields);
        let others = text::all_addresses(self.v6).subtract(&local_addresses::loopback(self.v6));
        out.set(Field::SADDR, others);
        out.set(Field::DADDR, self.addrs.clone());
        out.set(Field::DPORT, self.ports.clone());
        let interfaces = Intervals::value(interface_name("lo")).complement(u128::MAX);
        out.set(Field::IIF, interfaces);
        out
    }

    /// Follows the packets; `None` if the rules are too many.
    pub(in crate::derive) fn follow(&self, evaluation: &mut Evaluation<'_, '_>) -> Option<Arrived> {
        let entry = self.entry(evaluation.fields);
        let family = if self.v6 { NFPROTO_IPV6 } else { NFPROTO_IPV4 };
        let early = HookPass { is_early: true, ..HookPass::new(NF_INET_PRE_ROUTING) };
        let late = HookPass { is_late: true, ..HookPass::new(NF_INET_PRE_ROUTING) };
        let mut out = Arrived { v6: self.v6, passed: vec![entry.clone()], entry, stopped: Vec::new() };
        for pass in [early, late, HookPass::new(NF_INET_LOCAL_IN)] {
            let found = decisions(evaluation, family, pass, std::mem::take(&mut out.passed));
            if !found.complete {
                return None;
            }
            out.stopped.extend(found.stopped);
            out.passed = found.passed;
            for untracked in &found.untracked {
                let marked = |b: &PacketBox| {
                    let mut both = b.intersect(untracked)?;
                    both.set(Field::CT_STATE, Intervals::value(CT_UNTRACKED));
                    Some(both)
                };
                let parts =
                    out.passed.iter().flat_map(|b| b.subtract(untracked).into_iter().chain(marked(b)));
                out.passed = parts.collect();
            }
        }
        Some(out)
    }
}

impl Arrived {
    /// The part for a port, and for an address if the listener has one.
    pub(in crate::derive) fn part(&self, fields: &Fields, port: u16, addr: Option<&Addr>) -> Option<Part> {
        let port = Intervals::value(port.into());
        let addr = addr.map(|a| Intervals::value(text::address_value(a)));
        let narrow = |b: &PacketBox| {
            let b = b.narrowed(Field::DPORT, &port)?;
            match &addr {
                Some(a) => b.narrowed(Field::DADDR, a),
                None => Some(b),
            }
        };
        let entry = narrow(&self.entry)?;
        let known = Known::new(&entry, fields);
        // The state is decided: each packet is new or untracked.
        let words = |b: &PacketBox| known.conditions(&b.without(Field::CT_STATE), fields, self.v6);
        let is_possible = |b: &PacketBox| words(b).is_some();
        let passed = join(self.passed.iter().filter_map(narrow).filter(is_possible).collect());
        let mut passed: Vec<String> = passed.iter().filter_map(words).collect();
        passed.sort_unstable();
        passed.dedup();
        if passed.iter().any(String::is_empty) {
            passed = vec![String::new()];
        }
        let is_stopped = |d: &&Decision| narrow(&d.packets).is_some_and(|b| is_possible(&b));
        let stopped = self.stopped.iter().filter(is_stopped).cloned().collect();
        Some(Part { passed, stopped })
    }
}

/// The same packets in fewer boxes: two that differ in one field are one.
fn join(mut all: Vec<PacketBox>) -> Vec<PacketBox> {
    let mut i = 0;
    while i < all.len() && all.len() <= MAX_JOINED {
        let joined = (i + 1..all.len()).find_map(|k| Some((k, all[i].joined(&all[k])?)));
        match joined {
            Some((k, b)) => {
                all[i] = b;
                all.remove(k);
                i = 0;
            }
            None => i += 1,
        }
    }
    all
}
