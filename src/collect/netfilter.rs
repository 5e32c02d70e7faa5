//! Firewall rules (`nf_tables`, iptables-legacy) and tracked connections (`ctnetlink`) of one network namespace.

mod attrs;
mod conntrack;
mod cta;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod iptables_legacy;
mod nft_ruleset;
mod nfta;

use super::netlink::socket::{DumpError, NetlinkSocket};
use crate::model::{FaultKind, FaultSubject, Sample, nft};
use crate::privilege::{FIREWALL, raise};
use rustix::net::netlink::NETFILTER;
use std::path::Path;

/// Most tracked connections kept of one namespace.
const MAX_FLOWS: usize = 1_000_000;

/// Reads the namespace of the calling thread, which has this number.
pub(crate) fn read(netns: u16, sample: &mut Sample) {
    let _raised = raise(FIREWALL);
    let mut netfilter = sample.netfilter.take().unwrap_or_default();
    match NetlinkSocket::open(Some(NETFILTER)) {
        Ok(mut socket) => {
            netfilter.nft.extend(read_nft(&mut socket, netns, sample));
            match iptables_legacy::read(netns) {
                Ok(dump) => {
                    sample.faults.add_many(
                        FaultKind::Malformed,
                        FaultSubject::IptablesRules,
                        "",
                        dump.malformed,
                    );
                    netfilter.iptables.extend(dump.tables);
                }
                Err(e) => add_fault(FaultSubject::IptablesRules, &DumpError::Io(e), None, sample),
            }
            read_flows(&mut socket, netns, sample);
            let addresses = super::netlink::links::addresses(&mut sample.faults);
            sample.addresses.extend(addresses.into_iter().map(|a| (netns, a)));
        }
        Err(e) => sample.faults.add(FaultKind::Unsupported, FaultSubject::NftRules, e.to_string()),
    }
    sample.netfilter = Some(netfilter);
}

/// The `nf_tables` ruleset; read once more if it changed during the dump.
fn read_nft(socket: &mut NetlinkSocket, netns: u16, sample: &mut Sample) -> Option<nft::Ruleset> {
    let mut read = nft_ruleset::read(socket, netns);
    if read.as_ref().is_ok_and(|d| d.interrupted) {
        sample.faults.add(FaultKind::Interrupted, FaultSubject::NftRules, "");
        read = nft_ruleset::read(socket, netns);
    }
    match read {
        Ok(dump) => {
            if dump.truncated {
                sample.faults.add(
                    FaultKind::Failed,
                    FaultSubject::NftRules,
                    "a set has too many elements: not all were read",
                );
            }
            sample.faults.add_many(FaultKind::Malformed, FaultSubject::NftRules, "", dump.malformed);
            Some(dump.ruleset)
        }
        Err(e) => {
            add_fault(FaultSubject::NftRules, &e, None, sample);
            None
        }
    }
}

/// Tracked connections; from `/proc/net/nf_conntrack` if `ctnetlink` is not available.
fn read_flows(socket: &mut NetlinkSocket, netns: u16, sample: &mut Sample) {
    let before = sample.flows.len();
    let e = match conntrack::read(socket, netns, MAX_FLOWS, &mut sample.flows) {
        Ok((malformed, truncated)) => {
            sample.faults.add_many(FaultKind::Malformed, FaultSubject::Conntrack, "", malformed);
            if truncated {
                sample.faults.add(
                    FaultKind::Failed,
                    FaultSubject::Conntrack,
                    "more than 1,000,000: not all were read",
                );
            }
            return;
        }
        Err(e) => e,
    };
    sample.flows.truncate(before);
    if let Ok(text) = std::fs::read(Path::new(super::netns::THREAD_SELF).join("net/nf_conntrack")) {
        let (flows, malformed) = conntrack::from_proc(&text, netns);
        sample.faults.add_many(FaultKind::Malformed, FaultSubject::Conntrack, "", malformed);
        sample.flows.extend(flows);
        return;
    }
    // Their number is readable without privilege.
    let count = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count");
    let count = count.ok().and_then(|n| n.trim().parse().ok()).filter(|_| e.is_not_permitted());
    add_fault(FaultSubject::Conntrack, &e, count, sample);
}

/// Adds the fault of a failed read, with the number of entries that exist if that is known.
fn add_fault(subject: FaultSubject, e: &DumpError, count: Option<u64>, sample: &mut Sample) {
    let (kind, detail) = if e.is_not_permitted() {
        let count = count.map_or_else(String::new, |n| format!("; there are {n}"));
        (FaultKind::NotPermitted, format!("it needs CAP_NET_ADMIN{count}"))
    } else if e.is_unsupported() || e.is_rejected() {
        (FaultKind::Unsupported, e.to_string())
    } else {
        (FaultKind::Failed, e.to_string())
    };
    sample.faults.add(kind, subject, detail);
}
