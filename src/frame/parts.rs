//! Everything of a sample that is not a table: single values and short lists, as JSON with the names of their fields.
//!
//! A part is written when it differs from that of the sample before. Parts made of counters differ in every sample: of these the numbers
//! are taken out and written as differences, and the rest, their *shape*, when that changes.

use super::FrameError;
use super::ints::{Change, Coding, Moves};
use super::pairs::Pairs;
use super::varint::{Input, put_bytes};
use crate::model::Sample;
use crate::model::sample::{Dns, Events};
use serde_json::Value;

/// One part that is written as a whole.
pub(super) struct Part {
    /// Name: never given to another part.
    pub(super) name: &'static str,
    same: fn(&Sample, &Sample) -> bool,
    get: fn(&Sample) -> serde_json::Result<Vec<u8>>,
    set: fn(&mut Sample, &[u8]) -> serde_json::Result<()>,
    copy: fn(&mut Sample, &Sample),
}

macro_rules! parts {
    ($($field:ident)*) => {
        &[$(Part {
            name: stringify!($field),
            same: |a, b| a.$field == b.$field,
            get: |s| serde_json::to_vec(&s.$field),
            set: |s, json| Ok(s.$field = serde_json::from_slice(json)?),
            copy: |s, old| s.$field = old.$field.clone(),
        },)*
        // The list of events is a table.
        Part {
            name: "event_source",
            same: |a, b| {
                let (a, b) = (&a.events, &b.events);
                a.source == b.source && a.reason == b.reason && a.since_ns == b.since_ns && a.counts == b.counts && a.lost == b.lost
            },
            get: |s| serde_json::to_vec(&Events { list: Vec::new(), ..s.events.clone() }),
            set: |s, json| {
                let list = std::mem::take(&mut s.events.list);
                s.events = Events { list, ..serde_json::from_slice(json)? };
                Ok(())
            },
            copy: |s, old| {
                let list = std::mem::take(&mut s.events.list);
                s.events = Events { list: Vec::new(), ..old.events.clone() };
                s.events.list = list;
            },
        },
        // Likewise that of DNS questions.
        Part {
            name: "dns_capture",
            same: |a, b| {
                let (a, b) = (&a.dns, &b.dns);
                (a.on, a.since_ns, a.waiting, a.lost) == (b.on, b.since_ns, b.waiting, b.lost) && a.reason == b.reason
            },
            get: |s| serde_json::to_vec(&Dns { list: Vec::new(), reason: s.dns.reason.clone(), ..s.dns }),
            set: |s, json| {
                let list = std::mem::take(&mut s.dns.list);
                s.dns = Dns { list, ..serde_json::from_slice(json)? };
                Ok(())
            },
            copy: |s, old| {
                let list = std::mem::take(&mut s.dns.list);
                s.dns = Dns { list, reason: old.dns.reason.clone(), ..old.dns };
            },
        }]
    };
}

/// All parts that are written as a whole.
pub(super) const PARTS: &[Part] = parts! {
    host backend wants namespaces info_words owners_by users cgroups containers contexts tids privileges netfilter addresses failed_hops faults
};

/// Writes a part; `None` if it is that of the sample before. A key frame has all of them.
pub(super) fn put(part: &Part, new: &Sample, old: Option<&Sample>) -> Option<Vec<u8>> {
    if old.is_some_and(|old| (part.same)(new, old)) {
        return None;
    }
    // No type of a sample has maps with keys other than text and numbers, the one error there is.
    (part.get)(new).ok()
}

/// Reads a part; without one it is that of the sample before.
pub(super) fn read(
    part: &Part,
    json: Option<&[u8]>,
    sample: &mut Sample,
    old: &Sample,
) -> Result<(), FrameError> {
    match json {
        Some(json) => (part.set)(sample, json).map_err(|_| FrameError::Malformed(part.name)),
        None => {
            (part.copy)(sample, old);
            Ok(())
        }
    }
}

/// One part of which the numbers are written as differences.
pub(super) struct NumberPart {
    /// Name: never given to another part.
    pub(super) name: &'static str,
    get: fn(&Sample) -> serde_json::Result<Value>,
    set: fn(&mut Sample, Value) -> serde_json::Result<()>,
}

macro_rules! number_parts {
    ($($field:ident)*) => {
        &[$(NumberPart {
            name: stringify!($field),
            get: |s| serde_json::to_value(&s.$field),
            set: |s, v| Ok(s.$field = serde_json::from_value(v)?),
        },)*]
    };
}

/// All parts of which the numbers are written as differences.
pub(super) const NUMBER_PARTS: &[NumberPart] = number_parts! { duration_us system counters usage };

/// Shape and numbers of such a part in the sample before.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Split {
    shape: Vec<u8>,
    numbers: Vec<u64>,
}

/// Takes the numbers out of a value: each becomes 0.
fn take_numbers(value: &mut Value, numbers: &mut Vec<u64>) {
    match value {
        Value::Number(n) => {
            if let Some(number) = n.as_u64() {
                numbers.push(number);
                *value = Value::from(0_u64);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|v| take_numbers(v, numbers)),
        Value::Object(fields) => fields.values_mut().for_each(|v| take_numbers(v, numbers)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Puts the numbers of a shape back.
fn put_numbers(value: &mut Value, numbers: &mut impl Iterator<Item = u64>) {
    match value {
        Value::Number(n) if n.as_u64().is_some() => {
            if let Some(number) = numbers.next() {
                *value = Value::from(number);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|v| put_numbers(v, numbers)),
        Value::Object(fields) => fields.values_mut().for_each(|v| put_numbers(v, numbers)),
        Value::Number(_) | Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Writes a part and makes `state` that of its sample; `None` if it is that of the sample before.
pub(super) fn put_numbers_of(part: &NumberPart, new: &Sample, state: &mut Split) -> Option<Vec<u8>> {
    let mut value = (part.get)(new).ok()?;
    let mut split = Split::default();
    take_numbers(&mut value, &mut split.numbers);
    split.shape = serde_json::to_vec(&value).ok()?;
    if split == *state {
        return None;
    }
    let old = std::mem::replace(state, split);
    let mut out = Vec::new();
    put_bytes(&mut out, if state.shape == old.shape { &[] } else { &state.shape });
    let pairs = Pairs::by_position(state.numbers.len(), old.numbers.len());
    let coding = Coding { pairs: &pairs, elapsed_ns: 0 };
    let differing = pairs.differing(|i, j| state.numbers[i] != old.numbers[j]);
    let column = coding.put_ints(Moves::No, &differing, |i| state.numbers[i], |j| old.numbers[j]);
    out.extend_from_slice(column.as_deref().unwrap_or(&[0, 0]));
    Some(out)
}

/// Reads a part into the sample and makes `state` that of its sample; without one it is that of the sample before.
pub(super) fn read_numbers(
    part: &NumberPart,
    data: Option<&[u8]>,
    sample: &mut Sample,
    state: &mut Split,
) -> Result<(), FrameError> {
    let mut shape: Value;
    if let Some(data) = data {
        let mut input = Input::new(data, part.name);
        let written = input.bytes()?;
        if !written.is_empty() {
            written.clone_into(&mut state.shape);
        }
        shape = serde_json::from_slice(&state.shape).map_err(|_| input.malformed())?;
        let mut places = Vec::new();
        take_numbers(&mut shape, &mut places);
        let pairs = Pairs::by_position(places.len(), state.numbers.len());
        let mut numbers: Vec<u64> = state.numbers.iter().copied().take(places.len()).collect();
        numbers.resize(places.len(), 0);
        let old = &state.numbers;
        Coding { pairs: &pairs, elapsed_ns: 0 }.read_ints(
            Input::new(input.rest(), part.name),
            Moves::No,
            |j| old[j],
            |i, change: Change| {
                numbers[i] = change.apply(numbers[i]);
                true
            },
        )?;
        state.numbers = numbers;
    } else if !state.shape.is_empty() {
        shape = serde_json::from_slice(&state.shape).map_err(|_| FrameError::Malformed(part.name))?;
    } else {
        return Ok(());
    }
    put_numbers(&mut shape, &mut state.numbers.iter().copied());
    (part.set)(sample, shape).map_err(|_| FrameError::Malformed(part.name))
}
