//! Conditions that a packet must meet to reach a rule, common to `nf_tables` and iptables.

use super::registers::{PacketField, RegValue, Registers, addr, be16};
use super::xt::{self, PortRange};
use crate::model::{Addr, Family, NatRule, Proto, text};

/// Conditions collected up to a rule.
#[derive(Clone, Debug, Default)]
pub(super) struct MatchState {
    pub(super) family: Option<Family>,
    /// `IPPROTO_*`.
    pub(super) proto: Option<u8>,
    /// Destinations: network and prefix length.
    pub(super) dests: Vec<(Addr, u8)>,
    /// Prefix length of a mask on the destination, for the comparison that follows.
    pub(super) prefix_len: Option<u8>,
    pub(super) ports: Vec<PortRange>,
    pub(super) iface: Option<String>,
    /// There are conditions beside these.
    pub(super) partial: bool,
    /// Names of those conditions that have one.
    pub(super) conditions: Vec<Box<str>>,
    /// Entries of the map of the last lookup.
    pub(super) map: Vec<MapEntry>,
}

/// Key and value of a map entry.
#[derive(Clone, Debug, Default)]
pub(super) struct MapEntry {
    pub(super) key: Constraint,
    pub(super) value: Box<[u8]>,
}

/// Conditions of one key of a set.
#[derive(Clone, Debug, Default)]
pub(super) struct Constraint {
    pub(super) dest: Option<(Addr, u8)>,
    pub(super) ports: Option<PortRange>,
    pub(super) proto: Option<u8>,
    pub(super) iface: Option<String>,
}

impl MatchState {
    /// Without conditions other than the address family.
    pub(super) fn new(family: Option<Family>) -> Self {
        Self { family, ..Self::default() }
    }

    /// Adds a match of iptables: ports, or a condition by its name.
    pub(super) fn xt_match(&mut self, name: &str, info: &[u8]) {
        match xt::ports(name, info) {
            Some(ports) => self.ports = ports,
            // Destinations of forwards are local anyway, and comments match everything.
            None if matches!(name, "addrtype" | "comment" | "tcp" | "udp") => {}
            None => self.condition(name),
        }
    }

    /// Adds a condition by name.
    pub(super) fn condition(&mut self, name: &str) {
        self.partial = true;
        if self.conditions.iter().all(|c| **c != *name) {
            self.conditions.push(name.into());
        }
    }

    /// Adds a condition on this field.
    pub(super) fn condition_on(&mut self, field: Option<PacketField>) {
        match field.and_then(PacketField::name) {
            Some(name) => self.condition(name),
            None => self.partial = true,
        }
    }

    /// Sets the destination; nft leaves out the trailing bytes of a prefix that ends at a byte.
    pub(super) fn set_destination(&mut self, bytes: &[u8]) {
        let mut whole = bytes.to_vec();
        let len = if bytes.len() <= 4 { 4 } else { 16 };
        whole.resize(len, 0);
        let prefix_len = self.prefix_len.take().unwrap_or((bytes.len() * 8) as u8);
        if let Some(a) = addr(&whole) {
            self.dests = vec![(a, prefix_len)];
        }
    }

    /// Adds the conditions of a key.
    pub(super) fn narrow(&mut self, key: &Constraint) {
        if let Some(dest) = key.dest {
            self.dests = vec![dest];
        }
        if let Some(ports) = key.ports {
            self.ports = vec![ports];
        }
        self.proto = key.proto.or(self.proto);
        self.iface = key.iface.clone().or(self.iface.take());
    }

    /// The NAT rules of a target at this location: one for each destination and port range.
    pub(super) fn nat_rules(&self, netns: u16, location: &str, sent: xt::NewDestination) -> Vec<NatRule> {
        let target = sent.addr;
        let (dests, ports) = (self.dests.len().max(1), self.ports.len().max(1));
        let rule = |i: usize| {
            let dest = self.dests.get(i / ports).copied();
            NatRule {
                netns,
                family: self.family.or_else(|| target.or(dest.map(|t| t.0)).map(family)),
                proto: self.proto.and_then(Proto::from_ip_number),
                dest,
                ports: self.ports.get(i % ports).copied(),
                iface: self.iface.clone(),
                target,
                target_ports: sent.ports,
                target_last: sent.last_addr,
                shadowed_by: None,
                partial: self.partial,
                conditions: self.conditions.clone(),
                location: location.to_owned(),
            }
        };
        (0..dests * ports).map(rule).collect()
    }
}

impl Constraint {
    /// Conditions of a range of keys, if the registers from `at` on were looked up.
    pub(super) fn new(regs: &Registers, at: usize, key_len: usize, first: &[u8], last: &[u8]) -> Self {
        let mut out = Self::default();
        for (i, from) in (at..).zip((0..key_len.max(1)).step_by(4)) {
            let Some(RegValue::PacketField(field, 0)) = regs.get(i) else { continue };
            let (a, b) = (first.get(from..).unwrap_or(&[]), last.get(from..).unwrap_or(&[]));
            match field {
                PacketField::DestinationPort => out.ports = Some((be16(a), be16(b))),
                PacketField::Protocol => out.proto = a.first().copied(),
                PacketField::Interface => {
                    let name = text::from_c_str(a.get(..16).unwrap_or(a));
                    // A range of names is a common prefix.
                    let common = a.iter().zip(b).take_while(|(x, y)| x == y).count();
                    let more = if a.get(..16) == b.get(..16) { "" } else { "*" };
                    out.iface = Some(format!("{}{more}", name.get(..common).unwrap_or(&name)));
                }
                PacketField::Destination => {
                    let next = regs.get(i + 1);
                    let v6 = next == Some(RegValue::PacketField(PacketField::Destination, 4));
                    let len = if v6 { 16 } else { 4 };
                    if let (Some(low), Some(high)) =
                        (a.get(..len).and_then(addr), b.get(..len).and_then(addr))
                    {
                        out.dest = Some((low, common_prefix(&low, &high)));
                    }
                }
                _ => {}
            }
        }
        out
    }
}

fn family(a: Addr) -> Family {
    if a.is_v4() { Family::Inet } else { Family::Inet6 }
}

/// Length of the longest prefix that contains both.
fn common_prefix(low: &Addr, high: &Addr) -> u8 {
    let mut n = 0u8;
    for (a, b) in low.octets().iter().zip(high.octets()) {
        let same = (a ^ b).leading_zeros() as u8;
        n += same.min(8);
        if same < 8 {
            break;
        }
    }
    if low.is_v4() { n.saturating_sub(96) } else { n }
}
