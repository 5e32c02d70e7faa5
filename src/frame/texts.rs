//! One column of byte strings: unchanged, changed in some words, or an entry of the frame's dictionary.

use super::FrameError;
use super::ints::Coding;
use super::memory::Memory;
use super::pairs::NEW;
use super::runs::{Numbers, Sink};
use super::varint::{Input, put, put_bytes};
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// Code of a row: as the row before, or as its counterpart.
const SAME: u64 = 0;
/// Code: some 4-byte words differ from the counterpart.
const PATCH: u64 = 1;
/// Code of the first entry of the dictionary.
const FIRST: u64 = 2;

/// Entries of the dictionary with which a new row is compared before its value is made: most columns have few values.
const RECENT: usize = 8;

/// Value of a row that is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) value: &'a [u8],
    /// Number in the dictionary, from 0; `None` for the empty value before the first entry, and for one that was patched.
    pub(super) entry: Option<usize>,
}

/// Most bytes of the values of all rows: this many a row, and these.
const MEAN_MAX: usize = 1024;
const ALWAYS: usize = 16 << 20;

/// Longest value that is patched: one bit a word.
const PATCHED_MAX: usize = 64 * 4;

/// Access to the values of a column, by row.
pub(super) struct Values<S, N, B, O> {
    /// True if the value of a row is that of its counterpart.
    pub(super) same_as_old: S,
    /// True if the values of two new rows are equal.
    pub(super) same_as_new: N,
    /// Value of a row.
    pub(super) bytes: B,
    /// Value of a row of the sample before, if a change of some words is likely.
    pub(super) old_bytes: O,
}

fn patch(new: &[u8], old: &[u8], masks: &mut Vec<u8>, words: &mut Vec<u8>) -> bool {
    if new.len() != old.len() || new.len() > PATCHED_MAX || !new.len().is_multiple_of(4) {
        return false;
    }
    let mut mask = 0_u64;
    for (k, (n, o)) in new.chunks_exact(4).zip(old.chunks_exact(4)).enumerate() {
        if n != o {
            mask |= 1 << k;
            words.extend(n.iter().zip(o).map(|(n, o)| n ^ o));
        }
    }
    put(masks, mask);
    true
}

impl Coding<'_> {
    /// Writes a column; `rows` as in [`Coding::put_ints`].
    pub(super) fn put_texts<'v>(
        &self,
        rows: &[u32],
        v: &Values<
            impl Fn(usize, usize) -> bool,
            impl Fn(usize, usize) -> bool,
            impl Fn(usize) -> Cow<'v, [u8]>,
            impl Fn(usize) -> Option<Cow<'v, [u8]>>,
        >,
    ) -> Option<Vec<u8>> {
        let mut codes = Sink::default();
        let (mut sizes, mut bytes) = (Vec::new(), Vec::new());
        let mut dictionary: FxHashMap<Cow<'v, [u8]>, u64> = FxHashMap::default();
        let mut last: Option<usize> = None;
        // New rows whose values became entries, and their codes.
        let mut recent: Vec<(usize, u64)> = Vec::new();
        for i in rows.iter().map(|i| *i as usize) {
            let old = self.pairs.old[i];
            if old == NEW {
                let before = last.replace(i);
                // Before the first new row is the empty value.
                if before.is_some_and(|l| (v.same_as_new)(i, l)) {
                    continue;
                }
                if let Some((_, code)) = recent.iter().find(|(l, _)| (v.same_as_new)(i, *l)) {
                    codes.push(i, *code);
                    continue;
                }
                let value = (v.bytes)(i);
                if before.is_none() && value.is_empty() {
                    continue;
                }
                let code = entry(value, &mut dictionary, &mut sizes, &mut bytes);
                if recent.len() < RECENT {
                    recent.push((i, code));
                }
                codes.push(i, code);
                continue;
            }
            if (v.same_as_old)(i, old as usize) {
                continue;
            }
            let value = (v.bytes)(i);
            let base = (v.old_bytes)(old as usize);
            if base.is_some_and(|base| patch(&value, &base, &mut sizes, &mut bytes)) {
                codes.push(i, PATCH);
            } else {
                codes.push(i, entry(value, &mut dictionary, &mut sizes, &mut bytes));
            }
        }
        (!codes.is_zero()).then(|| {
            let mut out = Vec::with_capacity(bytes.len() + sizes.len() + 16);
            codes.finish(&mut out);
            put_bytes(&mut out, &sizes);
            out.extend_from_slice(&bytes);
            out
        })
    }

    /// Reads a column. `set` is called with each row that is new or changed and its value, and returns whether that is a value of the
    /// column.
    pub(super) fn read_texts<'o>(
        &self,
        mut input: Input<'_>,
        memory: &Memory,
        old: impl Fn(usize) -> Cow<'o, [u8]>,
        mut set: impl FnMut(usize, Text<'_>) -> bool,
    ) -> Result<(), FrameError> {
        let mut codes = Numbers::new(&mut input, self.pairs.old.len())?;
        let mut sizes = input.part()?;
        let mut dictionary: Vec<&[u8]> = Vec::new();
        let mut last = Text { value: &[], entry: None };
        let mut patched = Vec::new();
        let mut new_rows = self.pairs.new_rows.iter().peekable();
        let malformed = input.malformed();
        // An entry of the dictionary can stand in every row.
        let mut left = (self.pairs.old.len() * MEAN_MAX).saturating_add(ALWAYS);
        let mut set = |i, text: Text<'_>| {
            left = left.checked_sub(text.value.len()).ok_or_else(|| malformed.clone())?;
            memory.take(text.value.len())?;
            if set(i, text) { Ok(()) } else { Err(malformed.clone()) }
        };
        loop {
            let next = codes.read()?;
            let at = next.map_or(usize::MAX, |(i, _)| i);
            while let Some(i) = new_rows.next_if(|i| (**i as usize) < at) {
                set(*i as usize, last)?;
            }
            let Some((i, code)) = next else { return Ok(()) };
            let is_new = new_rows.next_if(|n| **n as usize == i).is_some();
            if code == PATCH {
                if is_new {
                    return Err(malformed);
                }
                let base = old(self.pairs.old[i] as usize);
                let mask = sizes.int()?;
                patched.clear();
                patched.extend_from_slice(&base);
                for k in (0..64).filter(|k| mask & 1 << k != 0) {
                    let word = patched.get_mut(k * 4..k * 4 + 4).ok_or_else(|| malformed.clone())?;
                    word.iter_mut().zip(input.take(4)?).for_each(|(w, x)| *w ^= x);
                }
                set(i, Text { value: &patched, entry: None })?;
                continue;
            }
            let entry = usize::try_from(code.wrapping_sub(FIRST)).unwrap_or(usize::MAX);
            if entry == dictionary.len() {
                let len = usize::try_from(sizes.int()?).unwrap_or(usize::MAX);
                dictionary.push(input.take(len)?);
            }
            let value = *dictionary.get(entry).ok_or_else(|| malformed.clone())?;
            let text = Text { value, entry: Some(entry) };
            if is_new {
                last = text;
            }
            set(i, text)?;
        }
    }
}

/// Code of a value, which becomes an entry of the dictionary if it is none yet.
fn entry<'v>(
    value: Cow<'v, [u8]>,
    dictionary: &mut FxHashMap<Cow<'v, [u8]>, u64>,
    sizes: &mut Vec<u8>,
    bytes: &mut Vec<u8>,
) -> u64 {
    let next = FIRST + dictionary.len() as u64;
    match dictionary.entry(value) {
        std::collections::hash_map::Entry::Occupied(known) => *known.get(),
        std::collections::hash_map::Entry::Vacant(new) => {
            put(sizes, new.key().len() as u64);
            bytes.extend_from_slice(new.key());
            new.insert(next);
            next
        }
    }
}

const _: () = assert!(SAME == 0 && PATCH < FIRST);
