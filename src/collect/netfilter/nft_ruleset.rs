//! The rules of `nf_tables` that send a connection elsewhere (`include/uapi/linux/netfilter/nf_tables.h`).
//!
//! Chains, rules and the sets they look into are read as they are; [`super::nft_eval`] goes through them as the kernel
//! would. iptables-nft writes the same tables, with its own matches inside.

use super::nft_eval::{self, Table};
use super::{be32, each, nested, open, text};
use crate::collect::netlink::socket::{DumpError, Malformed, NetlinkSocket};
use crate::collect::netlink::wire::Request;
use crate::model::NatRule;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// `NFNL_SUBSYS_NFTABLES`, and the numbers of its questions.
const SUBSYSTEM: u8 = 10;
const GET_CHAIN: u8 = 4;
const GET_RULE: u8 = 7;
const GET_SET: u8 = 10;
const GET_SETELEM: u8 = 13;

/// Elements of one set that are looked at.
const MOST_ELEMENTS: usize = 10_000;

/// Where a thing of `nf_tables` stands: family (`NFPROTO_*`), table, name.
pub(crate) type Place = (u8, String, String);

/// One chain.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// Number of the hook it hangs at, where it is a base chain of type `nat`.
    pub(crate) nat_hook: Option<u32>,
    /// Its place among the chains of that hook: the lowest goes first.
    pub(crate) priority: i32,
    /// Its rules.
    pub(crate) rules: Vec<Rule>,
}

/// One rule: its handle and its expressions as they are.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) handle: u64,
    pub(crate) expressions: Vec<u8>,
}

/// One set or map.
#[derive(Debug, Default)]
pub(crate) struct Set {
    pub(crate) interval: bool,
    pub(crate) key_len: usize,
    pub(crate) elements: Vec<Element>,
}

/// `NFT_SET_INTERVAL`.
const SET_INTERVAL: u32 = 4;
/// `NFT_SET_ELEM_INTERVAL_END`.
const INTERVAL_END: u32 = 1;

/// One element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) key: Vec<u8>,
    /// The last key of a range, where it says so itself.
    pub(crate) key_end: Option<Vec<u8>>,
    /// What a map has for it.
    pub(crate) data: Vec<u8>,
    /// The chain that a verdict map jumps to.
    pub(crate) jump: Option<String>,
    /// It only ends the range before.
    pub(crate) end: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) rules: Vec<NatRule>,
    pub(crate) malformed: u32,
    /// The tables changed while they were read.
    pub(crate) interrupted: bool,
    /// There was more than is looked at.
    pub(crate) cut: bool,
}

/// Reads the tables of the namespace that the conversation is in.
pub(crate) fn read(
    talk: &mut NetlinkSocket,
    netns: u16,
    interfaces: &BTreeMap<u32, String>,
) -> Result<Found, DumpError> {
    let mut table = Table { interfaces: interfaces.clone(), ..Table::default() };
    let (mut malformed, mut interrupted, mut cut) = (0, false, false);
    let done = talk.dump(&Request::netfilter(SUBSYSTEM, GET_CHAIN, 0), |m| {
        let (place, chain) = chain(m)?;
        table.chains.insert(place, chain);
        Ok(())
    })?;
    malformed += done.malformed;
    interrupted |= done.interrupted;
    // No chain translates anything: nothing more is to be read.
    if table.chains.values().all(|c| c.nat_hook.is_none()) {
        return Ok(Found { malformed, interrupted, ..Found::default() });
    }
    let done = talk.dump(&Request::netfilter(SUBSYSTEM, GET_RULE, 0), |m| {
        let (place, rule) = rule(m)?;
        table.chains.entry(place).or_default().rules.push(rule);
        Ok(())
    })?;
    malformed += done.malformed;
    interrupted |= done.interrupted;
    let mut sets: FxHashMap<Place, Set> = FxHashMap::default();
    let done = talk.dump(&Request::netfilter(SUBSYSTEM, GET_SET, 0), |m| {
        let (place, set) = set(m)?;
        sets.insert(place, set);
        Ok(())
    })?;
    malformed += done.malformed;
    interrupted |= done.interrupted;
    for place in table.looked_into() {
        let Some(set) = sets.get_mut(&place) else { continue };
        let mut ask = Request::netfilter(SUBSYSTEM, GET_SETELEM, place.0);
        ask.text_attribute(1, &place.1);
        ask.text_attribute(2, &place.2);
        let done = talk.dump(&ask, |m| {
            let (_, attrs) = open(m)?;
            for (_, e) in each(attrs.get(3).unwrap_or(&[])) {
                if set.elements.len() < MOST_ELEMENTS {
                    set.elements.push(element(e));
                } else {
                    cut = true;
                }
            }
            Ok(())
        });
        match done {
            Ok(done) => {
                malformed += done.malformed;
                interrupted |= done.interrupted;
                interrupted |= done.interrupted;
            }
            // Taken away since it was told.
            Err(e) if e.is_unsupported() => {}
            Err(e) => return Err(e),
        }
    }
    table.sets = sets;
    let (rules, more) = nft_eval::run(&table, netns);
    Ok(Found { rules, malformed, interrupted, cut: cut || more })
}

pub(crate) fn chain(message: &[u8]) -> Result<(Place, Chain), Malformed> {
    let (family, attrs) = open(message)?;
    let name = |kind| attrs.get(kind).map(text).ok_or(Malformed);
    let place = (family, name(1)?, name(3)?);
    let is_nat = attrs.get(7).is_some_and(|t| text(t) == "nat");
    let at = attrs.get(4).filter(|_| is_nat);
    let of_hook = |kind| at.and_then(|h| be32(&nested(h), kind));
    let priority = of_hook(2).map_or(0, u32::cast_signed);
    Ok((place, Chain { nat_hook: of_hook(1), priority, rules: Vec::new() }))
}

pub(crate) fn rule(message: &[u8]) -> Result<(Place, Rule), Malformed> {
    let (family, attrs) = open(message)?;
    let name = |kind| attrs.get(kind).map(text).ok_or(Malformed);
    let handle = attrs.get(3).and_then(super::number).ok_or(Malformed)?;
    let expressions = attrs.get(4).unwrap_or(&[]).to_vec();
    Ok(((family, name(1)?, name(2)?), Rule { handle, expressions }))
}

fn set(message: &[u8]) -> Result<(Place, Set), Malformed> {
    let (family, attrs) = open(message)?;
    let name = |kind| attrs.get(kind).map(text).ok_or(Malformed);
    let set = Set {
        interval: be32(&attrs, 3).unwrap_or(0) & SET_INTERVAL != 0,
        key_len: be32(&attrs, 5).unwrap_or(0) as usize,
        elements: Vec::new(),
    };
    Ok(((family, name(1)?, name(2)?), set))
}

fn element(bytes: &[u8]) -> Element {
    let attrs = nested(bytes);
    let value = |kind| attrs.get(kind).and_then(|d| nested(d).get(1)).map(<[u8]>::to_vec);
    let verdict = attrs.get(2).and_then(|d| nested(d).get(2));
    Element {
        key: value(1).unwrap_or_default(),
        key_end: value(10),
        data: value(2).unwrap_or_default(),
        jump: verdict.and_then(|v| nested(v).get(2)).map(text),
        end: be32(&attrs, 3).unwrap_or(0) & INTERVAL_END != 0,
    }
}

impl Set {
    /// First and last key of each range, with the element that begins it.
    pub(crate) fn ranges(&self) -> Vec<(Vec<u8>, Vec<u8>, &Element)> {
        let mut all: Vec<&Element> = self.elements.iter().collect();
        if !self.interval || all.iter().any(|e| e.key_end.is_some()) {
            let last = |e: &Element| e.key_end.clone().unwrap_or_else(|| e.key.clone());
            return all.into_iter().filter(|e| !e.end).map(|e| (e.key.clone(), last(e), e)).collect();
        }
        // The end of a range is an element of its own, one beyond; of two with one key the end comes first.
        all.sort_by(|a, b| a.key.cmp(&b.key).then(b.end.cmp(&a.end)));
        let mut out = Vec::new();
        for (i, e) in all.iter().enumerate().filter(|(_, e)| !e.end) {
            let next = all[i + 1..].iter().find(|n| n.key > e.key);
            let last = next.map_or_else(|| vec![0xff; e.key.len()], |n| before(&n.key));
            out.push((e.key.clone(), last, *e));
        }
        out
    }
}

/// One less, as a number in network order.
fn before(key: &[u8]) -> Vec<u8> {
    let mut out = key.to_vec();
    for b in out.iter_mut().rev() {
        let (less, under) = b.overflowing_sub(1);
        *b = less;
        if !under {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_sets() {
        let e = |key: [u8; 2], end| Element { key: key.to_vec(), end, ..Element::default() };
        let plain = Set { elements: vec![e([0, 80], false), e([1, 187], false)], ..Set::default() };
        assert_eq!(
            plain.ranges().iter().map(|r| (r.0[1], r.1[1])).collect::<Vec<_>>(),
            [(80, 80), (187, 187)]
        );
        // 80-89 and 90-99 and everything from 0xff00.
        let elements = vec![
            e([0, 100], true),
            e([0, 90], false),
            e([0, 90], true),
            e([0, 80], false),
            e([255, 0], false),
        ];
        let ranges = Set { interval: true, key_len: 2, elements };
        let got: Vec<_> = ranges.ranges().into_iter().map(|r| (r.0, r.1)).collect();
        assert_eq!(
            got,
            [(vec![0, 80], vec![0, 89]), (vec![0, 90], vec![0, 99]), (vec![255, 0], vec![255, 255]),]
        );
        assert_eq!(before(&[1, 0]), [0, 255]);
    }
}
