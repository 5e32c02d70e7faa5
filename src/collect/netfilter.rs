//! Firewall rules (`nf_tables`, iptables-legacy) and tracked connections (`ctnetlink`) of one network namespace.

mod attrs;
mod budget;
mod conntrack;
mod cta;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod iptables_legacy;
mod nft_ruleset;
mod nfta;
mod reader;

use super::netlink::socket::{DumpError, NetlinkSocket};
use crate::collect::netns::owner;
use crate::model::{Family, FaultKind, FaultSubject, Netfilter, Reads, Sample};
use crate::privilege::{FIREWALL, raise};
use budget::{Budget, FilledBy};
use nft_ruleset::Which;
pub(crate) use reader::Reader;
use rustix::net::netlink::NETFILTER;
use std::io;
use std::path::Path;

/// Most tracked connections kept of the namespace of this process.
const MAX_FLOWS: usize = 1_000_000;
/// Most tracked connections kept of another namespace.
const MAX_OTHER_FLOWS: usize = 100_000;

/// Reads the namespace of the calling thread, which has this number, inode and name.
pub(crate) fn read(reader: &mut Reader, (netns, inode, name): (u16, u64, &str), sample: &mut Sample) {
    let _raised = raise(FIREWALL);
    let by = if owner::is_own() { FilledBy::Administrator } else { FilledBy::AnyUser };
    let budget = reader.budget(netns, by, sample);
    let bytes = budget.bytes_left();
    let mut netfilter = sample.netfilter.take().unwrap_or_default();
    match NetlinkSocket::open(Some(NETFILTER)) {
        Ok(mut socket) => {
            netfilter.nft.extend(reader.read(&mut socket, (netns, inode, name), &budget, sample));
            let own = netfilter.nft.iter().filter(|r| r.netns == netns);
            let nft_denied = own.clone().next().is_none();
            let translates =
                own.flat_map(|r| &r.tables).flat_map(|t| &t.chains).any(|c| c.nat_hook().is_some());
            let wanted = translates || sample.wants.reads(Reads::FIREWALL);
            let dump = iptables_legacy::read(netns, wanted, &budget);
            reader.settle(netns, by, bytes, &budget);
            sample.faults.add_many(FaultKind::Malformed, FaultSubject::IptablesRules, "", dump.malformed);
            netfilter.iptables.extend(dump.tables);
            for (family, e) in dump.errors {
                // Without the privilege for either, one error for the rules is enough.
                if nft_denied && e.kind() == io::ErrorKind::PermissionDenied {
                    continue;
                }
                let of = if netns == 0 { String::new() } else { format!("{name}: ") };
                add_table_fault(&of, family, e, sample);
            }
            read_flows(&mut socket, netns, &budget, sample);
            let addresses = super::netlink::links::addresses(&mut sample.faults);
            sample.addresses.extend(addresses.into_iter().map(|a| (netns, a)));
        }
        Err(e) => sample.faults.add(FaultKind::Unsupported, FaultSubject::NftRules, e.to_string()),
    }
    sample.netfilter = Some(netfilter);
}

/// Rules of all tables of the namespace of the calling thread, for a packet of any kind; an error if some are not readable.
pub(crate) fn read_all() -> Result<Netfilter, String> {
    let _raised = raise(FIREWALL);
    let budget = Budget::own();
    let refused = |e: &DumpError| {
        if e.is_not_permitted() { "not permitted, requires CAP_NET_ADMIN".to_owned() } else { e.to_string() }
    };
    let mut out = Netfilter::default();
    let read = NetlinkSocket::open(Some(NETFILTER))
        .map_err(DumpError::from)
        .and_then(|mut socket| nft_ruleset::read(&mut socket, 0, &budget, Which::All));
    match read {
        Ok(dump) if dump.late || dump.truncated || dump.malformed > 0 || dump.interrupted => {
            return Err("nf_tables: not all rules were read".to_owned());
        }
        Ok(dump) => out.nft.push(dump.ruleset),
        // A kernel without nf_tables.
        Err(e) if e.is_unsupported() => {}
        Err(e) => return Err(refused(&e)),
    }
    let legacy = iptables_legacy::read(0, true, &budget);
    if let Some((_, e)) = legacy.errors.into_iter().next() {
        return Err(format!("iptables-legacy: {}", refused(&DumpError::Io(e))));
    }
    if legacy.malformed > 0 {
        return Err("iptables-legacy: not all rules were read".to_owned());
    }
    out.iptables = legacy.tables;
    Ok(out)
}

/// Tracked connections; from `/proc/net/nf_conntrack` if `ctnetlink` is not available.
fn read_flows(socket: &mut NetlinkSocket, netns: u16, budget: &Budget, sample: &mut Sample) {
    let before = sample.flows.len();
    let max = if netns == 0 { MAX_FLOWS } else { MAX_OTHER_FLOWS };
    let e = match conntrack::read(socket, netns, (max, budget), &mut sample.flows) {
        Ok((malformed, truncated)) => {
            sample.faults.add_many(FaultKind::Malformed, FaultSubject::Conntrack, "", malformed);
            if truncated {
                sample.faults.add(FaultKind::Failed, FaultSubject::Conntrack, "too many: not all were read");
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

/// Adds the fault of the tables of a family that were not read.
fn add_table_fault(of: &str, family: Family, e: io::Error, sample: &mut Sample) {
    if e.raw_os_error() == Some(rustix::io::Errno::ACCESS.raw_os_error()) {
        let why = format!("{of}only root outside user namespaces may read the list of tables in /proc/net");
        return sample.faults.add(FaultKind::NotPermitted, FaultSubject::IptablesRules, why);
    }
    let error = DumpError::Io(e);
    if error.is_not_permitted() || error.is_unsupported() || error.is_rejected() {
        return add_fault(FaultSubject::IptablesRules, &error, None, sample);
    }
    let tables = if family == Family::Inet6 { "ip6tables" } else { "iptables" };
    sample.faults.add(FaultKind::Failed, FaultSubject::IptablesRules, format!("{of}{tables}: {error}"));
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
