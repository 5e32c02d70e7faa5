//! The nat tables of iptables-legacy (`linux/netfilter_ipv4/ip_tables.h`, `netfilter_ipv6/ip6_tables.h`).
//!
//! A table is one run of entries. Each has a header of addresses and interfaces, matches and a target; chains of users begin
//! with an entry whose target is `ERROR`, and a jump is the offset of an entry. Asking for a table makes it where there is
//! none, so only one that `/proc/net/ip_tables_names` lists is asked for.

mod sockopt;
#[cfg(test)]
mod tests;

use super::nft_eval::Way;
use super::{addr, text, xt};
use crate::collect::sock_diag::HERE;
use crate::model::{Family, NatRule};
use rustc_hash::FxHashMap;
use std::io;
use std::mem::{offset_of, size_of};
use std::path::Path;

/// The table.
const TABLE: &str = "nat";
/// `XT_TABLE_MAXNAMELEN`.
const NAME: usize = 32;
/// Most bytes of a table that are read.
const MOST: usize = 16 << 20;
/// Most rules that it is told as.
const RULES: usize = 4096;
/// Rules that are looked at, over all the ways there are.
const STEPS: usize = 200_000;
/// Chains within chains that are gone into.
const DEEPEST: usize = 16;
/// How often a table that changed between two questions is asked for again.
const RETRIES: u32 = 3;

/// `NF_INET_NUMHOOKS`, and the chain that each hook begins in.
const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// `struct ipt_getinfo`.
#[repr(C)]
struct Info {
    name: [u8; NAME],
    valid_hooks: u32,
    hook_entry: [u32; 5],
    underflow: [u32; 5],
    num_entries: u32,
    size: u32,
}

/// `struct ipt_get_entries`, before its entries.
#[repr(C)]
struct Head {
    name: [u8; NAME],
    size: u32,
    entries: [u64; 0],
}

/// `struct ipt_entry` and `struct ip6t_entry`, whose addresses are longer.
#[repr(C)]
struct Entry<const ADDR: usize, const FLAGS: usize> {
    src: [u8; ADDR],
    dst: [u8; ADDR],
    src_mask: [u8; ADDR],
    dst_mask: [u8; ADDR],
    iface: [u8; 16],
    out_iface: [u8; 16],
    iface_mask: [u8; 16],
    out_iface_mask: [u8; 16],
    proto: u16,
    /// Of IPv4 flags and inverting flags, of IPv6 the traffic class before them.
    flags: [u8; FLAGS],
    nfcache: u32,
    target_offset: u16,
    next_offset: u16,
    comefrom: u32,
    counters: [u64; 2],
}

/// `IPT_INV_*`, the same for both families.
const INV_IN: u8 = 1;
const INV_SRC: u8 = 8;
const INV_DST: u8 = 0x10;
const INV_PROTO: u8 = 0x40;

/// `struct xt_entry_match`: size, name and revision, then what the match says.
const MATCH: usize = 32;

/// Where the hooks begin, and the entries.
#[derive(Debug, Default)]
struct Table {
    v6: bool,
    /// Of each hook its first entry and the one that is its policy.
    hooks: Vec<(usize, (usize, usize))>,
    entries: Vec<u8>,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) rules: Vec<NatRule>,
    /// There was more than is looked at.
    pub(crate) cut: bool,
    /// The table made no sense at some place.
    pub(crate) malformed: u32,
}

/// The rules of the namespace that the calling thread is in; nothing where nobody uses such a table.
pub(crate) fn read(netns: u16) -> io::Result<Found> {
    let mut out = Found::default();
    for v6 in [false, true] {
        let list = if v6 { "net/ip6_tables_names" } else { "net/ip_tables_names" };
        match std::fs::read_to_string(Path::new(HERE).join(list)) {
            Ok(names) if names.lines().any(|t| t == TABLE) => {}
            // None is in use, or the file is closed to us, as the table is.
            _ => continue,
        }
        let Some(table) = fetch(v6)? else { continue };
        let found = run(&table, netns);
        out.rules.extend(found.rules);
        out.cut |= found.cut;
        out.malformed += found.malformed;
    }
    Ok(out)
}

/// Asks the kernel for the table.
fn fetch(v6: bool) -> io::Result<Option<Table>> {
    let socket = sockopt::open(v6)?;
    for _ in 0..RETRIES {
        let mut raw = [0; size_of::<Info>()];
        raw[..TABLE.len()].copy_from_slice(TABLE.as_bytes());
        sockopt::ask(&socket, v6, sockopt::GET_INFO, &mut raw)?;
        let word = |at: usize| word(&raw, at).unwrap_or(0) as usize;
        let valid = word(offset_of!(Info, valid_hooks));
        let hook = |i: usize| {
            let first = word(offset_of!(Info, hook_entry) + 4 * i);
            (i, (first, word(offset_of!(Info, underflow) + 4 * i)))
        };
        let size = word(offset_of!(Info, size));
        if size > MOST {
            return Err(io::Error::other("a table larger than is read"));
        }
        let mut raw = vec![0; size_of::<Head>() + size];
        raw[..TABLE.len()].copy_from_slice(TABLE.as_bytes());
        let at = offset_of!(Head, size);
        raw[at..at + 4].copy_from_slice(&(size as u32).to_ne_bytes());
        match sockopt::ask(&socket, v6, sockopt::GET_ENTRIES, &mut raw) {
            Ok(n) => {
                let hooks = (0..HOOKS.len()).filter(|i| valid & 1 << i != 0).map(hook).collect();
                let entries = raw.get(size_of::<Head>()..n).unwrap_or(&[]).to_vec();
                return Ok(Some(Table { v6, hooks, entries }));
            }
            // It changed since its size was told.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("it changes faster than it is read"))
}

fn word(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(b.get(at..at + 4)?.try_into().ok()?))
}

fn half(b: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_ne_bytes(b.get(at..at + 2)?.try_into().ok()?)))
}

/// One entry, as far as it matters.
#[derive(Debug)]
struct Rule<'a> {
    way: Way,
    target: &'a str,
    info: &'a [u8],
    /// How many bytes on the next one begins.
    next: usize,
}

struct Run<'a> {
    table: &'a Table,
    netns: u16,
    /// Names of the users' chains by the offset of their first rule.
    chains: FxHashMap<usize, String>,
    steps: usize,
    found: Found,
}

/// All rules that change a destination and can be reached.
fn run(table: &Table, netns: u16) -> Found {
    let chains = FxHashMap::default();
    let mut run = Run { table, netns, chains, steps: 0, found: Found::default() };
    let mut at = 0;
    while at < table.entries.len() {
        let Some(rule) = rule(table, at, &Way::default()) else { break };
        at += rule.next;
        if rule.target == "ERROR" {
            run.chains.insert(at, text(rule.info));
        }
    }
    let family = if table.v6 { Family::Inet6 } else { Family::Inet };
    for (hook, (first, policy)) in &table.hooks {
        let way = Way::of(family);
        run.chain(HOOKS[*hook], *first, Some(*policy), &way, 0);
    }
    run.found
}

impl Run<'_> {
    /// Goes through a chain from this entry up to its policy, or to where the next chain begins.
    fn chain(&mut self, name: &str, first: usize, policy: Option<usize>, way: &Way, depth: usize) {
        let (mut at, mut number) = (first, 0);
        while at < self.table.entries.len() && policy.is_none_or(|p| at < p) {
            self.steps += 1;
            if self.steps > STEPS || depth > DEEPEST {
                self.found.cut |= self.steps > STEPS;
                return;
            }
            let Some(rule) = rule(self.table, at, way) else {
                self.found.malformed += 1;
                return;
            };
            number += 1;
            match rule.target {
                "ERROR" => return,
                // A verdict: what is not negative is the entry to jump to.
                "" => {
                    let to = word(rule.info, 0).map(u32::cast_signed).and_then(|v| usize::try_from(v).ok());
                    // Not below the next rule, and not past all chains.
                    if let Some(to) = to.filter(|to| *to != at + rule.next)
                        && let Some(name) = self.chains.get(&to).cloned()
                    {
                        self.chain(&name, to, None, &rule.way, depth + 1);
                    }
                }
                target => {
                    if let Some(sent) = xt::target(target, rule.info, self.table.v6) {
                        let program = if self.table.v6 { "ip6tables" } else { "iptables" };
                        let place = format!("{program}-legacy {TABLE} {name} rule {number}");
                        for rule in rule.way.rules(self.netns, &place, sent) {
                            self.found.cut |= self.found.rules.len() >= RULES;
                            if self.found.rules.len() < RULES && !self.found.rules.contains(&rule) {
                                self.found.rules.push(rule);
                            }
                        }
                    }
                }
            }
            at += rule.next;
        }
    }
}

/// The entry at this offset, behind what led there; `None` where it makes no sense.
fn rule<'a>(table: &'a Table, at: usize, before: &Way) -> Option<Rule<'a>> {
    if table.v6 {
        parse::<16, 3>(&table.entries, at, before)
    } else {
        parse::<4, 2>(&table.entries, at, before)
    }
}

fn parse<'a, const ADDR: usize, const FLAGS: usize>(
    entries: &'a [u8],
    at: usize,
    before: &Way,
) -> Option<Rule<'a>> {
    let all = entries.get(at..)?;
    let next = half(all, offset_of!(Entry<ADDR, FLAGS>, next_offset))?;
    let target_at = half(all, offset_of!(Entry<ADDR, FLAGS>, target_offset))?;
    let begin = size_of::<Entry<ADDR, FLAGS>>();
    if target_at < begin || next < target_at + MATCH || next > all.len() {
        return None;
    }
    let e = &all[..next];
    let inverted = *e.get(offset_of!(Entry<ADDR, FLAGS>, flags) + FLAGS - 1)?;
    let bytes = |at: usize, len: usize| e.get(at..at + len).unwrap_or(&[]);
    let mut way = before.clone();

    let bits = |at: usize| bytes(at, ADDR).iter().map(|b| b.count_ones()).sum::<u32>() as u8;
    let to = bits(offset_of!(Entry<ADDR, FLAGS>, dst_mask));
    if inverted & INV_DST != 0 {
        way.condition("destination");
    } else if to > 0 {
        way.to = vec![(addr(bytes(offset_of!(Entry<ADDR, FLAGS>, dst), ADDR))?, to)];
    }
    if bits(offset_of!(Entry<ADDR, FLAGS>, src_mask)) > 0 || inverted & INV_SRC != 0 {
        way.condition("source");
    }
    if bytes(offset_of!(Entry<ADDR, FLAGS>, out_iface_mask), 16).iter().any(|b| *b != 0) {
        way.condition("out-interface");
    }
    let mask = bytes(offset_of!(Entry<ADDR, FLAGS>, iface_mask), 16);
    if mask.iter().any(|b| *b != 0) {
        // As far as the mask goes; with the zero byte behind it, it is the whole name.
        let len = mask.iter().take_while(|b| **b != 0).count();
        let raw = bytes(offset_of!(Entry<ADDR, FLAGS>, iface), 16);
        let name = text(&raw[..len.min(raw.len())]);
        let more = if raw.iter().take(len).all(|b| *b != 0) { "+" } else { "" };
        let not = if inverted & INV_IN != 0 { "!" } else { "" };
        way.iface = Some(format!("{not}{name}{more}"));
    }
    match half(e, offset_of!(Entry<ADDR, FLAGS>, proto))? as u8 {
        0 => {}
        _ if inverted & INV_PROTO != 0 => way.condition("protocol"),
        proto => way.proto = Some(proto),
    }
    let mut at = begin;
    while at < target_at {
        let size = half(e, at)?;
        if size < MATCH || at + size > target_at {
            return None;
        }
        way.xt_match(&text(bytes(at + 2, 29)), bytes(at + MATCH, size - MATCH));
        at += size;
    }
    let size = half(e, target_at)?;
    if size < MATCH || target_at + size > next {
        return None;
    }
    let name = e.get(target_at + 2..target_at + 31)?;
    let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
    let target = std::str::from_utf8(&name[..end]).ok()?;
    Some(Rule { way, target, info: bytes(target_at + MATCH, size - MATCH), next })
}
