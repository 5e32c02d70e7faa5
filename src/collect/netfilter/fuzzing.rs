//! Rulesets and tracked connections from any bytes.

use super::budget::Budget;
use super::{conntrack as ct, iptables_legacy, nft_ruleset};
use crate::collect::fuzz_sample::sample;
use crate::collect::netlink::socket::NetlinkSocket;
use crate::model::xtables::{Hook, Table};
use crate::model::{Family, Netfilter, Sample};

/// Most connections kept.
const FLOWS: usize = 256;

/// The ruleset of these messages, dump by dump: chains, tables, rules, sets, elements of each set.
pub(crate) fn nft(bytes: &[u8]) -> Sample {
    let mut sample = sample();
    let read = NetlinkSocket::replay(bytes).ok().and_then(|(mut s, _kernel)| {
        nft_ruleset::read(&mut s, 0, &Budget::own(), nft_ruleset::Which::OfForwards).ok()
    });
    let nft = read.map(|dump| dump.ruleset).into_iter().collect();
    sample.netfilter = Some(Netfilter { nft, iptables: Vec::new() });
    sample
}

/// The table `nat` of iptables-legacy with these entries; the first byte chooses the family and its hooks.
pub(crate) fn xtables(bytes: &[u8]) -> Sample {
    let mut sample = sample();
    let Some((first, raw)) = bytes.split_first() else { return sample };
    let family = if first & 1 != 0 { Family::Inet6 } else { Family::Inet };
    let (entries, _) = iptables_legacy::parse_entries(raw, family);
    let hook = |number: u32| Hook { number, first: u32::from(*first & 0xfe) * number, underflow: 0 };
    let hooks = (0..5).map(hook).collect();
    let table = Table { netns: 0, family, name: "nat".into(), hooks, entries };
    sample.netfilter = Some(Netfilter { nft: Vec::new(), iptables: vec![table] });
    sample
}

/// The tracked connections of these messages.
pub(crate) fn conntrack(bytes: &[u8]) -> Sample {
    let mut sample = sample();
    sample.netfilter = Some(Netfilter::default());
    if let Ok((mut socket, _kernel)) = NetlinkSocket::replay(bytes) {
        // An error ends the dump with what was read before.
        let _ = ct::read(&mut socket, 0, (FLOWS, &Budget::own()), &mut sample.flows);
    }
    sample
}

/// The tracked connections of this `/proc/net/nf_conntrack`.
pub(crate) fn conntrack_text(bytes: &[u8]) -> Sample {
    let mut sample = sample();
    sample.netfilter = Some(Netfilter::default());
    sample.flows = ct::from_proc(bytes, 0).0;
    sample
}
