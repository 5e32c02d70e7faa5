//! Samples as payloads of frames.

use super::memory::{MAX_MEMORY, Memory};
use super::pairs::Pairs;
use super::parts::{self, NUMBER_PARTS, PARTS, Split};
use super::summary;
use super::table::TableReader;
use super::varint::{Input, put, put_bytes};
use super::wire::{self, FrameHead, FrameKind};
use super::{FrameError, dns, events, flows, owners, processes, sockets};
use crate::model::{Backend, BackendInfo, Sample, Stamp, Wants};
use std::sync::Arc;

/// Names of the tables.
mod table_name {
    pub(super) const SOCKETS: &str = "sockets";
    pub(super) const OWNERS: &str = "owners";
    pub(super) const PROCESSES: &str = "processes";
    pub(super) const NETNS_BY_PID: &str = "netns_by_pid";
    pub(super) const FLOWS: &str = "flows";
    pub(super) const EVENTS: &str = "events";
    pub(super) const DNS: &str = "dns";
}

/// Section of a delta frame: time of the sample from which it is the difference, nanoseconds since boot. One that is not that of the
/// sample at hand is the difference from a sample that was lost.
const BASE: &str = "base_boot_ns";

/// Sample without anything, the base of a key frame.
fn nothing() -> Sample {
    let backend = BackendInfo { backend: Backend::Netlink, reason: String::new() };
    let at = Stamp { boot_ns: 0, unix_ns: 0 };
    Sample::empty(at, "".into(), Arc::new(backend), Wants::default())
}

/// Writes samples as frames.
#[derive(Debug, Default)]
pub struct Encoder {
    numbers: Vec<Split>,
    /// Frames since the last key frame; `None` before the first.
    since_key: Option<u32>,
}

impl Encoder {
    /// Delta frames between two key frames, if nothing asks for one earlier.
    pub const KEY_EVERY: u32 = 59;

    /// An encoder whose first frame is a key frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next frame a key frame, as after an error in writing.
    pub const fn restart(&mut self) {
        self.since_key = None;
    }

    /// True if the last frame was a key frame.
    pub fn is_at_key(&self) -> bool {
        self.since_key == Some(0)
    }

    /// Frame of a sample. `before` is the one of the previous call, if it is still there: else the frame is a key frame.
    pub fn frame(&mut self, sample: &Sample, before: Option<&Sample>) -> Result<Vec<u8>, FrameError> {
        let base =
            before.filter(|old| self.since_key.is_some_and(|n| n < Self::KEY_EVERY) && follows(sample, old));
        let (kind, since) = match (base, self.since_key) {
            (Some(_), Some(n)) => (FrameKind::Delta, n + 1),
            _ => (FrameKind::Key, 0),
        };
        let payload = self.payload(sample, base);
        self.since_key = Some(since);
        let pieces = payload.iter().map(|piece| &**piece);
        let mut frame = wire::seal_pieces(kind, sample.at, &summary::encode(sample), pieces)?;
        if sample.redacted {
            wire::mark_redacted(&mut frame);
        }
        Ok(frame)
    }

    /// Payload in pieces: the largest ones are not copied.
    fn payload(&mut self, sample: &Sample, base: Option<&Sample>) -> Vec<Vec<u8>> {
        let empty;
        let old = match base {
            Some(old) => old,
            None => {
                self.numbers = vec![Split::default(); NUMBER_PARTS.len()];
                empty = Sample { info_words: sample.info_words, ..nothing() };
                &empty
            }
        };
        let elapsed_ns = sample.at.boot_ns.saturating_sub(old.at.boot_ns);
        let mut out = Vec::new();
        let mut section = |name: &str, data: Option<Vec<u8>>| {
            if let Some(data) = data {
                let mut head = Vec::new();
                put_bytes(&mut head, name.as_bytes());
                put(&mut head, data.len() as u64);
                out.extend([head, data]);
            }
        };
        section(BASE, base.map(|base| base.at.boot_ns.to_le_bytes().to_vec()));
        for part in PARTS {
            section(part.name, parts::put(part, sample, base));
        }
        for (part, state) in NUMBER_PARTS.iter().zip(&mut self.numbers) {
            section(part.name, parts::put_numbers_of(part, sample, state));
        }
        let process_pairs = processes::pair(sample, old);
        section(table_name::PROCESSES, processes::put(sample, old, &process_pairs));
        section(table_name::OWNERS, owners::put(sample, old, &process_pairs));
        section(table_name::NETNS_BY_PID, owners::put_namespaces(sample, old));
        let socket_pairs = sockets::pair(sample, old);
        section(table_name::SOCKETS, sockets::put(sample, old, &socket_pairs, elapsed_ns));
        section(table_name::FLOWS, flows::put(sample, old, elapsed_ns));
        section(table_name::EVENTS, events::put(&sample.events.list));
        section(table_name::DNS, dns::put(&sample.dns.list));
        out
    }
}

/// True if the sample can be written as the difference from `old`.
fn follows(sample: &Sample, old: &Sample) -> bool {
    sample.info_words == old.info_words
        && sample.redacted == old.redacted
        && sample.host == old.host
        && sample.at.boot_ns >= old.at.boot_ns
}

/// State of a [`Decoder`] after a frame.
#[derive(Debug)]
pub struct Checkpoint((Sample, Vec<Split>));

/// Reads frames as samples.
#[derive(Debug)]
pub struct Decoder {
    last: Option<(Sample, Vec<Split>)>,
    buffers: sockets::Buffers,
    /// Limit of the memory of one sample, bytes.
    memory: u64,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { last: None, buffers: sockets::Buffers::default(), memory: MAX_MEMORY }
    }
}

impl Decoder {
    /// A decoder whose first frame must be a key frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses samples that take more memory, bytes. The previous sample and the frame are held beside it.
    pub const fn within(&mut self, memory: u64) {
        self.memory = memory;
    }

    /// Forgets the sample before, as after a gap.
    pub fn reset(&mut self) {
        self.last = None;
    }

    /// Sample read last.
    pub fn last(&self) -> Option<&Sample> {
        self.last.as_ref().map(|(s, _)| s)
    }

    /// The sample read last, with what the next frame needs beside it.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.last.clone().map(Checkpoint)
    }

    /// Continues as after the frame of a checkpoint.
    pub fn resume(&mut self, checkpoint: &Checkpoint) {
        self.last = Some(checkpoint.0.clone());
    }

    /// Reads one frame. After an error the next frame must be a key frame.
    pub fn frame(&mut self, head: &FrameHead, body: &[u8]) -> Result<&Sample, FrameError> {
        let memory = Memory::new(self.memory);
        let payload = wire::payload_within(head, body, self.memory)?;
        memory.take(payload.len())?;
        let last = self.last.take();
        let base = match head.kind {
            FrameKind::Key => {
                if let Some((sample, _)) = last {
                    self.buffers = sockets::Buffers::from_sample(sample);
                }
                None
            }
            FrameKind::Delta => Some(last.ok_or(FrameError::NoKey)?),
            FrameKind::End => return Err(FrameError::Malformed("frame kind")),
        };
        let mut read = decode(head.at, &payload, base, &mut self.buffers, &memory)?;
        read.0.redacted = head.redacted;
        Ok(&self.last.insert(read).0)
    }
}

fn decode(
    at: Stamp,
    payload: &[u8],
    base: Option<(Sample, Vec<Split>)>,
    buffers: &mut sockets::Buffers,
    memory: &Memory,
) -> Result<(Sample, Vec<Split>), FrameError> {
    let mut sections: Vec<(&[u8], &[u8])> = Vec::new();
    let mut input = Input::new(payload, "payload");
    while !input.is_empty() {
        if sections.len() == MAX_SECTIONS {
            return Err(input.malformed());
        }
        sections.push((input.bytes()?, input.bytes()?));
    }
    let section = |name: &str| sections.iter().find(|(n, _)| *n == name.as_bytes()).map(|(_, data)| *data);
    let wanted = section(BASE).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    if base.as_ref().is_some_and(|(old, _)| wanted != Some(old.at.boot_ns)) {
        return Err(FrameError::NoKey);
    }
    let (old, mut numbers) = base.unwrap_or_else(|| (nothing(), vec![Split::default(); NUMBER_PARTS.len()]));
    let elapsed_ns = at.boot_ns.saturating_sub(old.at.boot_ns);
    let mut new = Sample { at, ..nothing() };
    for part in PARTS {
        memory.take(section(part.name).map_or(0, |json| json.len() * JSON_COST))?;
        parts::read(part, section(part.name), &mut new, &old)?;
    }
    for (part, state) in NUMBER_PARTS.iter().zip(&mut numbers) {
        memory.take(section(part.name).map_or(0, |json| json.len() * JSON_COST))?;
        parts::read_numbers(part, section(part.name), &mut new, state)?;
    }
    // Each new row takes bytes in at least one column, unless it equals the row before it.
    let budget = payload.len() as u64 * ROWS_PER_BYTE;
    let table = |name: &'static str, old_rows: usize| {
        let data = section(name).map(|data| Input::new(data, name));
        data.map(|data| TableReader::new(data, old_rows, budget, elapsed_ns, memory)).transpose()
    };
    let process_pairs;
    match table(table_name::PROCESSES, old.processes.len())? {
        Some(t) => {
            new.processes = processes::read(&t, &old)?;
            process_pairs = t.pairs;
        }
        None => {
            new.processes.clone_from(&old.processes);
            process_pairs = Pairs::by_position(old.processes.len(), old.processes.len());
        }
    }
    let owners = table(table_name::OWNERS, old.owners.len())?;
    new.owners = match owners {
        None if process_pairs.is_identity(old.processes.len()) => Arc::clone(&old.owners),
        t => owners::read(t.as_ref(), &old, &process_pairs)?.into(),
    };
    new.netns_by_pid = match table(table_name::NETNS_BY_PID, old.netns_by_pid.len())? {
        Some(t) => owners::read_namespaces(&t, &old)?.into(),
        None => Arc::clone(&old.netns_by_pid),
    };
    let sockets_table = match table(table_name::SOCKETS, old.sockets.len())? {
        Some(t) => t,
        None => TableReader::unchanged(old.sockets.len(), elapsed_ns, memory),
    };
    sockets::read(&sockets_table, &mut new, &old, std::mem::take(buffers))?;
    let flows_table = match table(table_name::FLOWS, old.flows.len())? {
        Some(t) => t,
        None => TableReader::unchanged(old.flows.len(), elapsed_ns, memory),
    };
    new.flows = flows::read(&flows_table, &old)?;
    if let Some(t) = table(table_name::EVENTS, 0)? {
        new.events.list = events::read(&t)?;
    }
    if let Some(t) = table(table_name::DNS, 0)? {
        new.dns.list = dns::read(&t)?;
    }
    check(&new)?;
    memory.fits(new.processes.iter().map(processes::texts_len).sum())?;
    *buffers = sockets::Buffers::from_sample(old);
    Ok((new, numbers))
}

/// Samples of payloads, each with its length (four bytes, little-endian) before it; the first is a key frame, the others are deltas a
/// second apart. For the fuzz target: a checksum and a compression are in the way of any bytes.
#[cfg(any(test, fuzzing))]
pub(crate) fn from_payloads(mut bytes: &[u8]) -> Vec<Sample> {
    let mut out: Vec<Sample> = Vec::new();
    let mut base = None;
    let mut buffers = sockets::Buffers::default();
    while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
        let len = (u32::from_le_bytes(*len) as usize).min(rest.len());
        let boot_ns = 1_000_000_000 * (out.len() as u64 + 1);
        let at = Stamp { boot_ns, unix_ns: boot_ns };
        let Ok(read) = decode(at, &rest[..len], base, &mut buffers, &Memory::new(MAX_MEMORY)) else { break };
        out.push(read.0.clone());
        base = Some(read);
        bytes = &rest[len..];
    }
    out
}

/// Payloads of samples, as [`from_payloads`] reads them.
#[cfg(test)]
pub(crate) fn payloads(samples: &[Sample]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    let at = |i: usize| Stamp { boot_ns: 1_000_000_000 * (i as u64 + 1), unix_ns: 0 };
    let timed: Vec<Sample> =
        samples.iter().enumerate().map(|(i, s)| Sample { at: at(i), ..s.clone() }).collect();
    let samples = &timed;
    for (i, sample) in samples.iter().enumerate() {
        let payload = encoder.payload(sample, i.checked_sub(1).and_then(|j| samples.get(j))).concat();
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&payload);
    }
    out
}

/// Most sections of a payload.
const MAX_SECTIONS: usize = 1024;
/// Memory that a byte of JSON takes: the value that it is read as, with what is read from it.
const JSON_COST: usize = 8;
/// Most new rows a byte of payload.
const ROWS_PER_BYTE: u64 = 4;

/// Indices that the rest of the program relies on.
fn check(sample: &Sample) -> Result<(), FrameError> {
    let processes = sample.processes.len();
    if sample.owners.iter().any(|o| o.process as usize >= processes) {
        return Err(FrameError::Malformed("owners"));
    }
    Ok(())
}

/// Puts the arenas of a sample in the order of its sockets, as a [`Decoder`] makes them. Nothing that can be asked of the
/// sample changes.
pub fn canonical(sample: &mut Sample) {
    sockets::canonical(sample);
}
