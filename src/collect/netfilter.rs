//! Forwarding as the kernel has it: the rules of `nf_tables` and the table of tracked connections (`nfnetlink`).

mod conntrack;
mod iptables_legacy;
mod nft_eval;
mod nft_ruleset;
mod xt;

use super::netlink::socket::{DumpError, Malformed, NetlinkSocket};
use crate::model::attr::AttrIter;
use crate::model::{
    Addr, Attrs, Endpoint, Family, FaultKind, FaultSubject, Proto, Reads, Sample, Scope, Socket, State,
};
use rustc_hash::FxHashSet;
use rustix::net::netlink::NETFILTER;
use std::collections::BTreeMap;
use std::path::Path;

/// Tracked connections that are kept of one namespace.
const MOST_FLOWS: usize = 1_000_000;

/// The attributes of a message of a netfilter subsystem, behind its `struct nfgenmsg`, and that one's family.
fn open(message: &[u8]) -> Result<(u8, Attrs<'_>), Malformed> {
    let family = *message.first().ok_or(Malformed)?;
    Ok((family, nested(message.get(4..).ok_or(Malformed)?)))
}

/// Attributes within an attribute; their form is the same everywhere.
const fn nested(bytes: &[u8]) -> Attrs<'_> {
    Attrs::new(bytes, Family::Inet, Proto::Tcp)
}

fn each(bytes: &[u8]) -> AttrIter<'_> {
    nested(bytes).iter()
}

/// A number in network order, of one, two, four or eight bytes.
fn number(bytes: &[u8]) -> Option<u64> {
    (matches!(bytes.len(), 1 | 2 | 4 | 8)).then(|| bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
}

fn be32(attrs: &Attrs<'_>, kind: u16) -> Option<u32> {
    number(attrs.get(kind)?).map(|n| n as u32)
}

/// A text that ends with a zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    crate::model::text::from_bytes(&bytes[..end]).into_owned()
}

fn addr(bytes: &[u8]) -> Option<Addr> {
    match bytes.len() {
        4 => Some(Addr::v4(bytes.try_into().ok()?)),
        16 => Some(Addr::v6(bytes.try_into().ok()?)),
        _ => None,
    }
}

fn proto(number: u8) -> Option<Proto> {
    match number {
        6 => Some(Proto::Tcp),
        17 => Some(Proto::Udp),
        132 => Some(Proto::Sctp),
        136 => Some(Proto::UdpLite),
        _ => None,
    }
}

/// Reads what the namespace of the calling thread forwards, of this number.
pub(crate) fn read(number: u16, interfaces: &BTreeMap<u32, String>, sample: &mut Sample) {
    let mut nat = sample.nat.take().unwrap_or_default();
    let talk = NetlinkSocket::open(Some(NETFILTER));
    let mut talk = match talk {
        Ok(talk) => talk,
        Err(e) => {
            sample.faults.add(FaultKind::Unsupported, FaultSubject::NftRules, e.to_string());
            sample.nat = Some(nat);
            return;
        }
    };
    let mut read = nft_ruleset::read(&mut talk, number, interfaces);
    if read.as_ref().is_ok_and(|f| f.interrupted) {
        sample.faults.add(FaultKind::Interrupted, FaultSubject::NftRules, "");
        read = nft_ruleset::read(&mut talk, number, interfaces);
    }
    match read {
        Ok(found) => {
            if found.cut {
                sample.faults.add(
                    FaultKind::Failed,
                    FaultSubject::NftRules,
                    "there are more than are looked at",
                );
            }
            sample.faults.add_many(FaultKind::Malformed, FaultSubject::NftRules, "", found.malformed);
            nat.rules.extend(found.rules);
        }
        Err(e) => refused(FaultSubject::NftRules, &e, sample),
    }
    match iptables_legacy::read(number) {
        Ok(found) => {
            if found.cut {
                sample.faults.add(
                    FaultKind::Failed,
                    FaultSubject::IptablesRules,
                    "there are more than are looked at",
                );
            }
            sample.faults.add_many(FaultKind::Malformed, FaultSubject::IptablesRules, "", found.malformed);
            nat.rules.extend(found.rules);
        }
        Err(e) => refused(FaultSubject::IptablesRules, &DumpError::Io(e), sample),
    }
    let before = nat.flows.len();
    match conntrack::read(&mut talk, number, MOST_FLOWS, &mut nat.flows) {
        Ok((malformed, cut)) => {
            sample.faults.add_many(FaultKind::Malformed, FaultSubject::Conntrack, "", malformed);
            if cut {
                sample.faults.add(FaultKind::Failed, FaultSubject::Conntrack, "there are more than are kept");
            }
        }
        Err(e) => {
            nat.flows.truncate(before);
            let file = Path::new(super::sock_diag::HERE).join("net/nf_conntrack");
            match std::fs::read(file) {
                Ok(text) => {
                    let (found, malformed) = conntrack::from_proc(&text, number);
                    sample.faults.add_many(FaultKind::Malformed, FaultSubject::Conntrack, "", malformed);
                    nat.flows.extend(found);
                }
                Err(_) => {
                    // How many there are anybody may know.
                    let count = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count");
                    let n = count.ok().and_then(|n| n.trim().parse().ok()).filter(|_| e.is_not_permitted());
                    refused_of(FaultSubject::Conntrack, &e, n, sample);
                }
            }
        }
    }
    nat.addresses
        .extend(super::netlink::links::addresses(&mut sample.faults).into_iter().map(|a| (number, a)));
    sample.nat = Some(nat);
    if sample.wants.reads(Reads::FORWARDED) {
        forwarded(number, before, sample);
    }
}

fn refused(subject: FaultSubject, e: &DumpError, sample: &mut Sample) {
    refused_of(subject, e, None, sample);
}

/// Says why something was not read, and how many there are where that is known.
fn refused_of(subject: FaultSubject, e: &DumpError, n: Option<u64>, sample: &mut Sample) {
    let (kind, detail) = if e.is_not_permitted() {
        let n = n.map_or_else(String::new, |n| format!("; there are {n}"));
        (FaultKind::NotPermitted, format!("it needs CAP_NET_ADMIN{n}"))
    } else if e.is_unsupported() || e.is_refused() {
        (FaultKind::Unsupported, e.to_string())
    } else {
        (FaultKind::Failed, e.to_string())
    };
    sample.faults.add(kind, subject, detail);
}

/// Adds a row for every tracked connection from `first` on that only passes through: neither end is an address of this
/// namespace.
fn forwarded(netns: u16, first: usize, sample: &mut Sample) {
    let Some(nat) = sample.nat.take() else { return };
    let here: FxHashSet<Addr> = nat.addresses.iter().filter(|(n, _)| *n == netns).map(|(_, a)| *a).collect();
    for f in nat.flows.iter().skip(first) {
        let client = f.orig.0.addr;
        let server = f.reply.0.addr;
        if [client, server].iter().any(|a| here.contains(a) || a.scope() == Scope::Loopback)
            || !sample.wants.protos.has(f.proto)
        {
            continue;
        }
        let family = if client.is_v4() { Family::Inet } else { Family::Inet6 };
        let mut s = Socket::new(f.row_id(), family, f.proto, State::Forwarded);
        (s.local, s.remote) = (f.orig.1, f.orig.0);
        sample.sockets.push(s);
    }
    sample.nat = Some(nat);
}

fn endpoint(addr: Option<Addr>, port: u16) -> Option<Endpoint> {
    Some(Endpoint::new(addr?, port))
}
