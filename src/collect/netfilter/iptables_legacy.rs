//! The tables of iptables-legacy that translate destinations, or that packets pass before (`linux/netfilter_ipv4/ip_tables.h`, `netfilter_ipv6/ip6_tables.h`).
//!
//! A table is a sequence of entries. Each has a header of addresses and interfaces, matches and a target; user-defined chains
//! begin with an entry whose target is `ERROR`, and a jump is the offset of an entry. Requesting a table loads its module,
//! so only tables listed in `/proc/net/ip_tables_names` are requested.

mod sockopt;
#[cfg(test)]
mod tests;

use super::budget::Budget;
use crate::collect::netns::THREAD_SELF;
use crate::model::xtables::{Entry, Extension, Hook, Table};
use crate::model::{Family, text};
use std::io;
use std::mem::{offset_of, size_of};
use std::path::Path;

/// The only table that translates addresses.
const NAT: &str = "nat";
/// All tables, in the order of their priorities.
const TABLES: [&str; 5] = ["raw", "mangle", NAT, "filter", "security"];
/// `XT_TABLE_MAXNAMELEN`.
const XT_TABLE_MAXNAMELEN: usize = 32;
/// `XT_EXTENSION_MAXNAMELEN`.
const XT_EXTENSION_MAXNAMELEN: usize = 29;
/// Retries when the table changes between the request for its size and the request for its entries.
const RETRIES: u32 = 3;
/// `NF_INET_NUMHOOKS`.
const NF_INET_NUMHOOKS: usize = 5;

/// `struct ipt_getinfo`.
#[repr(C)]
struct GetInfo {
    name: [u8; XT_TABLE_MAXNAMELEN],
    valid_hooks: u32,
    hook_entry: [u32; 5],
    underflow: [u32; 5],
    num_entries: u32,
    size: u32,
}

/// `struct ipt_get_entries`, before its entries.
#[repr(C)]
struct GetEntries {
    name: [u8; XT_TABLE_MAXNAMELEN],
    size: u32,
    entries: [u64; 0],
}

/// `struct ipt_entry` and `struct ip6t_entry`, whose addresses are longer.
#[repr(C)]
struct RawEntry<const ADDR: usize, const FLAGS: usize> {
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

/// Length of `struct xt_entry_match` and `struct xt_entry_target`: size, name and revision, before their own structure.
const EXTENSION_HEADER: usize = 32;

/// The tables of one namespace, and the number of malformed entries.
#[derive(Debug, Default)]
pub(super) struct Dump {
    pub(super) tables: Vec<Table>,
    pub(super) malformed: u32,
    /// Families whose tables were not read.
    pub(super) errors: Vec<(Family, io::Error)>,
}

/// Names of the tables that are in use, one a line; none where the kernel has no iptables-legacy. In a user namespace whose
/// root is another user of the initial one the list is not readable.
fn names(v6: bool) -> io::Result<String> {
    let list = if v6 { "net/ip6_tables_names" } else { "net/ip_tables_names" };
    match std::fs::read_to_string(Path::new(THREAD_SELF).join(list)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        names => names,
    }
}

/// True if the table that translates addresses is in use in the namespace of the calling thread.
pub(super) fn translates() -> bool {
    [false, true].into_iter().any(|v6| names(v6).is_ok_and(|n| n.lines().any(|t| t == NAT)))
}

/// Reads the tables of the namespace of the calling thread; unless `wanted` none if they do not translate addresses.
/// A family has all of its tables or none: the rules of the others would seem to decide alone.
pub(super) fn read(netns: u16, wanted: bool, budget: &Budget) -> Dump {
    let mut out = Dump::default();
    if !wanted && [false, true].into_iter().all(|v6| names(v6).is_ok()) && !translates() {
        return out;
    }
    for family in [Family::Inet, Family::Inet6] {
        let before = out.tables.len();
        if let Err(e) = read_family(netns, family, budget, &mut out) {
            out.tables.truncate(before);
            out.errors.push((family, e));
        }
    }
    out
}

fn read_family(netns: u16, family: Family, budget: &Budget, out: &mut Dump) -> io::Result<()> {
    let v6 = family == Family::Inet6;
    let names = names(v6)?;
    for name in TABLES.into_iter().filter(|t| names.lines().any(|n| n == *t)) {
        let (hooks, raw) = fetch(name, v6, budget)?;
        let (entries, complete) = parse_entries(&raw, family);
        out.malformed += u32::from(!complete);
        out.tables.push(Table { netns, family, name: name.into(), hooks, entries });
    }
    Ok(())
}

/// Hooks and raw entries of a table.
fn fetch(name: &str, v6: bool, budget: &Budget) -> io::Result<(Vec<Hook>, Vec<u8>)> {
    let socket = sockopt::open(v6)?;
    for _ in 0..RETRIES {
        let mut info = [0; size_of::<GetInfo>()];
        info[..name.len()].copy_from_slice(name.as_bytes());
        sockopt::get(&socket, v6, sockopt::IPT_SO_GET_INFO, &mut info)?;
        let field = |at: usize| read_u32(&info, at).unwrap_or(0);
        let valid = field(offset_of!(GetInfo, valid_hooks));
        let hook = |i: usize| Hook {
            number: i as u32,
            first: field(offset_of!(GetInfo, hook_entry) + 4 * i),
            underflow: field(offset_of!(GetInfo, underflow) + 4 * i),
        };
        let size = field(offset_of!(GetInfo, size));
        if !budget.charge_bytes(size as usize) {
            let (table, left) = (size >> 20, budget.bytes_left() >> 20);
            let why = format!("the table {name} is too large to be read: {table} MiB, with {left} MiB left");
            return Err(io::Error::other(why));
        }
        let mut raw = vec![0; size_of::<GetEntries>() + size as usize];
        raw[..name.len()].copy_from_slice(name.as_bytes());
        let at = offset_of!(GetEntries, size);
        raw[at..at + 4].copy_from_slice(&size.to_ne_bytes());
        match sockopt::get(&socket, v6, sockopt::IPT_SO_GET_ENTRIES, &mut raw) {
            Ok(n) => {
                let hooks = (0..NF_INET_NUMHOOKS).filter(|i| valid & 1 << i != 0).map(hook).collect();
                return Ok((hooks, raw.get(size_of::<GetEntries>()..n).unwrap_or(&[]).to_vec()));
            }
            // The table changed since its size was read.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => budget.return_bytes(size as usize),
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("table kept changing during the read"))
}

fn read_u32(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(b.get(at..at + 4)?.try_into().ok()?))
}

fn read_u16(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

/// The entries of a table of this family, up to the first malformed one; whether there was none.
pub(super) fn parse_entries(raw: &[u8], family: Family) -> (Vec<Entry>, bool) {
    if family == Family::Inet6 { parse::<16, 3>(raw) } else { parse::<4, 2>(raw) }
}

/// The entries of a table, up to the first malformed one; whether there was none.
fn parse<const ADDR: usize, const FLAGS: usize>(raw: &[u8]) -> (Vec<Entry>, bool) {
    let mut out = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        let Some(entry) = parse_entry::<ADDR, FLAGS>(raw, at) else { return (out, false) };
        at += entry.len as usize;
        out.push(entry);
    }
    (out, true)
}

/// The entry at this offset.
fn parse_entry<const ADDR: usize, const FLAGS: usize>(raw: &[u8], at: usize) -> Option<Entry> {
    let all = raw.get(at..)?;
    let len = usize::from(read_u16(all, offset_of!(RawEntry<ADDR, FLAGS>, next_offset))?);
    let target_at = usize::from(read_u16(all, offset_of!(RawEntry<ADDR, FLAGS>, target_offset))?);
    let begin = size_of::<RawEntry<ADDR, FLAGS>>();
    if target_at < begin || len < target_at + EXTENSION_HEADER || len > all.len() {
        return None;
    }
    let e = &all[..len];
    let addr = |at: usize| {
        let mut out = [0; 16];
        out[..ADDR].copy_from_slice(e.get(at..at + ADDR)?);
        Some(out)
    };
    let name = |at: usize| e.get(at..at + 16)?.try_into().ok();
    let flags = offset_of!(RawEntry<ADDR, FLAGS>, flags) + FLAGS - 2;
    let mut matches = Vec::new();
    let mut next = begin;
    while next < target_at {
        let (extension, size) = parse_extension(e.get(..target_at)?, next)?;
        matches.push(extension);
        next += size;
    }
    Some(Entry {
        offset: at as u32,
        len: len as u32,
        src: addr(offset_of!(RawEntry<ADDR, FLAGS>, src))?,
        src_mask: addr(offset_of!(RawEntry<ADDR, FLAGS>, src_mask))?,
        dst: addr(offset_of!(RawEntry<ADDR, FLAGS>, dst))?,
        dst_mask: addr(offset_of!(RawEntry<ADDR, FLAGS>, dst_mask))?,
        iface: name(offset_of!(RawEntry<ADDR, FLAGS>, iface))?,
        iface_mask: name(offset_of!(RawEntry<ADDR, FLAGS>, iface_mask))?,
        out_iface: name(offset_of!(RawEntry<ADDR, FLAGS>, out_iface))?,
        out_iface_mask: name(offset_of!(RawEntry<ADDR, FLAGS>, out_iface_mask))?,
        proto: read_u16(e, offset_of!(RawEntry<ADDR, FLAGS>, proto))?,
        flags: *e.get(flags)?,
        invflags: *e.get(flags + 1)?,
        matches,
        target: parse_extension(e, target_at)?.0,
    })
}

/// The match or target at this offset, and its length.
fn parse_extension(entry: &[u8], at: usize) -> Option<(Extension, usize)> {
    let size = usize::from(read_u16(entry, at)?);
    let all = entry.get(at..at + size).filter(|_| size >= EXTENSION_HEADER)?;
    let extension = Extension {
        name: text::from_c_str(all.get(2..2 + XT_EXTENSION_MAXNAMELEN)?).into(),
        revision: *all.get(EXTENSION_HEADER - 1)?,
        info: all.get(EXTENSION_HEADER..)?.into(),
    };
    Some((extension, size))
}
