//! Registers of `nf_tables` while a rule is evaluated: constants, and parts of packet fields.

use super::fields::{Fields, Form, Key};
use super::interval::Intervals;
use super::mark_versions::{ALL_BITS, Written};
use super::packets::Field;
use super::xt::{mark, masked};
use crate::model::nft::{
    NFPROTO_IPV6, NFT_CMP_EQ, NFT_CMP_GT, NFT_CMP_GTE, NFT_CMP_LT, NFT_CMP_LTE, NFT_CMP_NEQ, NFT_META_IIF,
    NFT_META_IIFNAME, NFT_META_L4PROTO, NFT_META_MARK, NFT_META_NFPROTO, NFT_META_OIF, NFT_META_OIFNAME,
    NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER, NFT_REG_1, NFT_REG_4, NFT_REG32_00,
    NFT_REG32_15,
};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Interface names by index.
pub(in crate::derive) type Interfaces = BTreeMap<u32, String>;

/// Widest field whose values are tried one by one under a mask.
const MAX_TRIED: u64 = 0xffff;
/// Length of an interface name (`IFNAMSIZ`).
const IFNAMSIZ: u8 = 16;

/// Index of a register: four bytes each.
pub(super) fn index(register: u32) -> Option<usize> {
    match register {
        NFT_REG_1..=NFT_REG_4 => Some((register - NFT_REG_1) as usize * 4),
        NFT_REG32_00..=NFT_REG32_15 => Some((register - NFT_REG32_00) as usize),
        _ => None,
    }
}

/// The loaded part of one field, and how its bytes are a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) field: Field,
    /// Bytes of the whole field.
    width: u8,
    /// Bytes of it that are compared, from the first.
    len: u8,
    /// Bytes loaded.
    loaded: u8,
    /// In the byte order of the host.
    pub(super) host_order: bool,
    /// An index of an interface, whose field is its name.
    is_index: bool,
    /// Mask and xor applied.
    mask: Option<(u128, u128)>,
    /// Added to the field (`numgen … offset`).
    pub(super) add: u32,
}

impl Part {
    const fn new(field: Field, width: u8, len: u8) -> Self {
        Self { field, width, len, loaded: len, host_order: false, is_index: false, mask: None, add: 0 }
    }

    const fn host(field: Field, width: u8) -> Self {
        Self { host_order: true, ..Self::new(field, width, width) }
    }

    fn number(&self, bytes: &[u8]) -> u128 {
        let digit = |n: u128, b: &u8| n << 8 | u128::from(*b);
        let little = self.host_order && cfg!(target_endian = "little");
        if little { bytes.iter().rev().fold(0, digit) } else { bytes.iter().fold(0, digit) }
    }

    /// Field, mask and xor of a number of four bytes.
    pub(super) fn linear(&self) -> Option<(Field, u128, u128)> {
        let whole = self.host_order && self.width == 4 && self.loaded == 4 && self.add == 0 && !self.is_index;
        let (mask, xor) = self.mask.unwrap_or((ALL_BITS, 0));
        whole.then_some((self.field, mask, xor))
    }

    /// The values of the field from one key to another. `None` if they are not a range.
    pub(super) fn span(&self, first: &[u8], last: &[u8], interfaces: &Interfaces) -> Option<Intervals> {
        if self.mask.is_some() {
            return (first == last).then(|| self.masked_equal(first))?;
        }
        let n = first.len().min(last.len()).min(self.len.into());
        let (first, last) = (first.get(..n)?, last.get(..n)?);
        if self.is_index {
            let index = self.number(first);
            return (first == last).then(|| interface(index as u32, interfaces));
        }
        // A comparison up to the zero byte after a name is one with the whole name.
        let names = [Field::IIF, Field::OIF, Field::NEXT_IIF, Field::NEXT_OIF];
        let is_name = names.contains(&self.field);
        if is_name && first == last && first.contains(&0) {
            let mut name = [0; IFNAMSIZ as usize];
            name.get_mut(..n)?.copy_from_slice(first);
            return Some(Intervals::value(u128::from_be_bytes(name)));
        }
        if self.host_order && n != usize::from(self.width) {
            return None;
        }
        let shift = 8 * u32::from(self.width).saturating_sub(n as u32);
        let ones = if shift >= 128 { u128::MAX } else { (1u128 << shift) - 1 };
        let low = self.number(first).checked_shl(shift).unwrap_or(0);
        let high = self.number(last).checked_shl(shift).unwrap_or(0) | ones;
        let add = u128::from(self.add);
        if high < add {
            return Some(Intervals::empty());
        }
        Some(Intervals::span(low.saturating_sub(add), high - add))
    }

    /// The values that are equal to a number under the mask, if that is a prefix.
    fn masked_equal(&self, data: &[u8]) -> Option<Intervals> {
        let (mask, xor) = self.mask?;
        let want = self.number(data.get(..usize::from(self.len))?);
        let all = if self.width >= 16 { u128::MAX } else { (1 << (8 * u32::from(self.width))) - 1 };
        let host_part = all & !mask;
        if xor != 0 || host_part & host_part.wrapping_add(1) != 0 {
            return None;
        }
        Some(if want & host_part == 0 { Intervals::span(want, want | host_part) } else { Intervals::empty() })
    }

    /// The values of the field that compare like this. `None` if they cannot be listed.
    pub(super) fn compared(&self, op: u32, data: &[u8], interfaces: &Interfaces) -> Option<Intervals> {
        let max = self.field.highest();
        if let Some((mask, xor)) = self.mask {
            if let Some(equal) = self.masked_equal(data).filter(|_| matches!(op, NFT_CMP_EQ | NFT_CMP_NEQ)) {
                return Some(if op == NFT_CMP_EQ { equal } else { equal.complement(max) });
            }
            // Every value is tried, which a rule on addresses must not make take minutes.
            if self.field.max > MAX_TRIED {
                return None;
            }
            let want = self.number(data.get(..usize::from(self.len).min(data.len()))?);
            let holds = |v: u128| {
                let v = v & mask ^ xor;
                match op {
                    NFT_CMP_EQ => v == want,
                    NFT_CMP_NEQ => v != want,
                    NFT_CMP_LT => v < want,
                    NFT_CMP_LTE => v <= want,
                    NFT_CMP_GT => v > want,
                    _ => v >= want,
                }
            };
            return Some(Intervals::union_of((0..=max).filter(|v| holds(*v)).map(|v| (v, v)).collect()));
        }
        let span = self.span(data, data, interfaces)?;
        if matches!(op, NFT_CMP_EQ | NFT_CMP_NEQ) {
            return Some(if op == NFT_CMP_EQ { span } else { span.complement(max) });
        }
        let (low, high) = span.hull()?;
        Some(match op {
            NFT_CMP_LT => low.checked_sub(1).map_or_else(Intervals::empty, |n| Intervals::span(0, n)),
            NFT_CMP_LTE => Intervals::span(0, high),
            NFT_CMP_GT => high.checked_add(1).map_or_else(Intervals::empty, |n| Intervals::span(n, max)),
            NFT_CMP_GTE => Intervals::span(low, max),
            _ => return None,
        })
    }

    /// The part under a mask. `None` if it does not cover the whole field.
    fn with_mask(self, fields: &mut Fields, mask: &[u8], xor: &[u8]) -> Option<Self> {
        if self.mask.is_some() || self.is_index || self.add != 0 {
            return None;
        }
        let (mask, xor) =
            (self.number(mask.get(..self.len.into())?), self.number(xor.get(..self.len.into())?));
        if self.len != self.width {
            return None;
        }
        if self.field.max <= MAX_TRIED {
            return Some(Self { mask: Some((mask, xor)), ..self });
        }
        // The bits up to the width of the loaded bytes; addresses of IPv4 have four.
        let all = if self.width >= 16 { u128::MAX } else { (1u128 << (8 * u32::from(self.width))) - 1 };
        let host_part = all & !mask;
        if mask == all && xor == 0 {
            return Some(self);
        }
        if xor == 0 && host_part & host_part.wrapping_add(1) == 0 {
            return Some(Self { mask: Some((mask, xor)), ..self });
        }
        Some(Self { field: masked(fields, self.field, mask, xor), ..self })
    }
}

/// The name of an interface as a value.
pub(super) fn interface_name(name: &str) -> u128 {
    let mut bytes = [0; IFNAMSIZ as usize];
    let len = name.len().min(bytes.len());
    bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
    u128::from_be_bytes(bytes)
}

fn interface(index: u32, interfaces: &Interfaces) -> Intervals {
    let name = interfaces.get(&index).cloned().unwrap_or_else(|| format!("if{index}"));
    Intervals::value(interface_name(&name))
}

/// Content of four bytes.
#[derive(Clone, Debug, Default)]
enum Slot {
    #[default]
    Unknown,
    Const([u8; 4]),
    /// Part of a load, by its number of four bytes: parts with their first byte.
    Load(Rc<[(u8, Part)]>, u8),
}

/// The registers.
#[derive(Clone, Debug, Default)]
pub(super) struct Registers([Slot; 20]);

impl Registers {
    fn fill(&mut self, register: Option<u32>, len: usize, mut slot: impl FnMut(u8) -> Slot) {
        let Some(at) = register.and_then(index) else { return };
        for (i, to) in self.0.iter_mut().skip(at).take(len.div_ceil(4)).enumerate() {
            *to = slot(i as u8);
        }
    }

    pub(super) fn load(&mut self, register: Option<u32>, parts: &[(u8, Part)]) {
        let len = parts.last().map_or(0, |(at, p)| at + p.loaded);
        let parts: Rc<[(u8, Part)]> = parts.into();
        self.fill(register, len.into(), |i| Slot::Load(parts.clone(), i));
    }

    pub(super) fn store(&mut self, register: Option<u32>, value: &[u8]) {
        self.fill(register, value.len(), |i| {
            let mut bytes = [0; 4];
            let from = value.get(4 * usize::from(i)..).unwrap_or(&[]);
            let len = from.len().min(4);
            bytes[..len].copy_from_slice(&from[..len]);
            Slot::Const(bytes)
        });
    }

    pub(super) fn forget(&mut self, register: Option<u32>, len: usize) {
        self.fill(register, len, |_| Slot::Unknown);
    }

    /// Bytes of a constant.
    pub(super) fn bytes(&self, register: Option<u32>, len: usize) -> Option<Vec<u8>> {
        let at = register.and_then(index)?;
        let mut out = Vec::with_capacity(len + 3);
        for slot in self.0.get(at..at + len.div_ceil(4))? {
            match slot {
                Slot::Const(bytes) => out.extend_from_slice(bytes),
                _ => return None,
            }
        }
        out.truncate(len);
        Some(out)
    }

    /// The parts of fields in the first `len` bytes, each with its first byte.
    pub(super) fn parts(&self, register: Option<u32>, len: usize) -> Option<Vec<(usize, Part)>> {
        let at = register.and_then(index)?;
        let (mut out, mut from) = (Vec::new(), 0);
        while from < len {
            let Slot::Load(parts, 0) = self.0.get(at + from / 4)? else { return None };
            out.extend(parts.iter().map(|(i, p)| (from + usize::from(*i), *p)));
            from += parts.last().map_or(4, |(i, p)| usize::from(i + p.loaded)).next_multiple_of(4);
        }
        out.retain(|(i, _)| *i < len);
        Some(out)
    }

    /// The number of four bytes in a register.
    pub(super) fn written(&self, register: Option<u32>) -> Written {
        if let Some(bytes) = self.bytes(register, 4).as_deref().and_then(|b| b.first_chunk()) {
            return Written::constant(u32::from_ne_bytes(*bytes));
        }
        let part = match self.parts(register, 4).as_deref() {
            Some([(0, part)]) => part.linear(),
            _ => None,
        };
        part.map_or(Written::Unknown, |(field, mask, xor)| Written::Linear { field, mask, xor })
    }

    /// The random number in a register.
    pub(super) fn random(&self, register: Option<u32>) -> Option<Part> {
        match self.parts(register, 2)?[..] {
            [(0, p)] if p.field.is_random() => Some(p),
            _ => None,
        }
    }

    /// Converts the byte order of a field.
    pub(super) fn swap(&mut self, from: Option<u32>, to: Option<u32>, len: usize) {
        match self.parts(from, len).as_deref() {
            Some([(0, part)]) => {
                let swapped = Part { host_order: !part.host_order, ..*part };
                self.load(to, &[(0, swapped)]);
            }
            _ => self.forget(to, len),
        }
    }

    /// Applies a mask and xor.
    pub(super) fn bitwise(
        &mut self,
        fields: &mut Fields,
        (from, to, len): (Option<u32>, Option<u32>, usize),
        mask: &[u8],
        xor: &[u8],
    ) {
        let part = match self.parts(from, len).as_deref() {
            Some([(0, part)]) => part.with_mask(fields, mask, xor),
            _ => None,
        };
        match part {
            Some(part) => self.load(to, &[(0, part)]),
            None => self.forget(to, len),
        }
    }
}

/// Part of a random number below `modulus`.
pub(super) fn random_part(fields: &mut Fields, name: &str, modulus: u32, offset: u32) -> Part {
    let field = fields.random(name, u64::from(modulus.max(1)) - 1);
    Part { add: offset, ..Part::host(field, 4) }
}

/// Part of another value that a rule depends on, of this many bytes.
pub(super) fn other_part(fields: &mut Fields, key: Key, name: &str, len: u8) -> Part {
    let max = if len >= 8 { u64::MAX } else { (1 << (8 * u64::from(len))) - 1 };
    let form = if name == "mark" || name == "ct mark" { Form::Hex } else { Form::Number };
    Part::host(fields.known(key, name, form, max), len.clamp(1, 16))
}

/// Part of a small field that the kernel loads as a number of four bytes.
pub(super) const fn word_part(field: Field) -> Part {
    Part::host(field, 4)
}

/// The parts that a `payload` expression loads.
pub(super) fn payload_parts(
    fields: &mut Fields,
    base: u32,
    offset: u32,
    len: u32,
    family: u8,
) -> Vec<(u8, Part)> {
    let (source, dest, addr) = if family == NFPROTO_IPV6 { (8, 24, 16) } else { (12, 16, 4) };
    let whole: &[(u32, Field, u8)] = match base {
        NFT_PAYLOAD_NETWORK_HEADER => &[
            (source, Field::SADDR, addr),
            (dest, Field::DADDR, addr),
            (if family == NFPROTO_IPV6 { 6 } else { 9 }, Field::PROTO, 1),
        ],
        NFT_PAYLOAD_TRANSPORT_HEADER => &[(0, Field::SPORT, 2), (2, Field::DPORT, 2)],
        _ => &[],
    };
    let (mut out, mut at) = (Vec::new(), offset);
    while at < offset + len {
        let Some((_, field, width)) = whole.iter().find(|(from, ..)| *from == at) else { break };
        let part = Part::new(fields.now(*field), *width, (offset + len - at).min((*width).into()) as u8);
        out.push(((at - offset) as u8, part));
        at += u32::from(*width);
    }
    if at < offset + len || out.is_empty() {
        let name = match base {
            NFT_PAYLOAD_NETWORK_HEADER => format!("IP header byte {offset}"),
            NFT_PAYLOAD_TRANSPORT_HEADER => format!("transport header byte {offset}"),
            _ => format!("payload byte {offset}"),
        };
        let mut part = other_part(fields, Key::Payload(base, offset, len), &name, len.min(16) as u8);
        part.host_order = false;
        return vec![(0, part)];
    }
    out
}

/// The part that a `meta` expression loads.
pub(super) fn meta_part(fields: &mut Fields, key: u32) -> Part {
    match key {
        NFT_META_MARK => Part::host(mark(fields), 4),
        NFT_META_IIF => Part { is_index: true, ..Part::host(fields.now(Field::IIF), 4) },
        NFT_META_OIF => Part { is_index: true, ..Part::host(fields.now(Field::OIF), 4) },
        NFT_META_IIFNAME => Part::new(fields.now(Field::IIF), IFNAMSIZ, IFNAMSIZ),
        NFT_META_OIFNAME => Part::new(fields.now(Field::OIF), IFNAMSIZ, IFNAMSIZ),
        NFT_META_NFPROTO => Part::new(Field::FAMILY, 1, 1),
        NFT_META_L4PROTO => Part::new(Field::PROTO, 1, 1),
        _ => {
            let name = meta_name(key);
            other_part(fields, Key::Meta(key), name, if matches!(key, 1 | 8 | 19) { 2 } else { 4 })
        }
    }
}

/// Name of a `meta` key in nft(8).
fn meta_name(key: u32) -> &'static str {
    match key {
        0 => "length",
        1 => "ether type",
        2 => "priority",
        8 => "iiftype",
        9 => "oiftype",
        10 => "skuid",
        11 => "skgid",
        19 => "pkttype",
        20 => "cpu",
        21 => "iifgroup",
        22 => "oifgroup",
        23 => "cgroup",
        24 => "random",
        _ => "meta",
    }
}
