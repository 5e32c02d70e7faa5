//! Sockets, with their attributes, `tcp_info` and names.

use super::FrameError;
use super::ints::{IntColumn, Moves};
use super::pairs::{NEW, Pairs};
use super::table::{Column, TableReader, TableWriter, endpoint, int, json};
use super::texts::Values;
use crate::model::tcp_info::{FieldUnit, TCP_FIELDS};
use crate::model::{Family, Proto, Sample, Socket, SocketId, State};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

/// Milliseconds.
const MS: u64 = 1_000_000;

/// Bytes of `tcp_info` that are compared at once: what changes is near to each other.
const BLOCK: usize = 64;

/// Columns of the fixed part of a row.
pub(super) static COLUMNS: LazyLock<Vec<Column<Socket>>> = LazyLock::new(|| {
    let mut out: Vec<Column<Socket>> = vec![
        json!("family", family),
        json!("proto", proto),
        json!("state", state),
        Column::Text {
            name: "timer",
            same: |a, b| a.timer.kind == b.timer.kind,
            get: |s| super::table::to_json(&s.timer.kind),
            read: |json| super::table::from_json(json, |s, kind| s.timer.kind = *kind),
        },
        int!("netns", id.netns),
        int!("cookie", id.cookie),
        int!("inode", inode),
        int!("iface", iface),
        int!("recv_q", recv_q),
        int!("send_q", send_q),
        int!("uid", uid),
        int!("timer_retrans", timer.retrans),
        int!("timer_expires_ms", Moves::Down(MS), timer.expires_ms),
        Column::Int {
            name: "auto_port",
            moves: Moves::No,
            get: |s| s.auto_port.map_or(0, |auto| 1 + u64::from(auto)),
            set: |s, n| {
                s.auto_port = [None, Some(false), Some(true)].get(n as usize).copied().flatten();
                n < 3
            },
        },
    ];
    endpoint!(out, "local_addr_high", "local_addr_low", "local_port", local);
    endpoint!(out, "remote_addr_high", "remote_addr_low", "remote_port", remote);
    out
});

/// Words of `tcp_info` that grow by themselves: times since an event.
fn moves_of_word(word: u32) -> Moves {
    let field = TCP_FIELDS.iter().find(|f| f.offset == word as usize * 4);
    match field {
        Some(f) if f.unit == FieldUnit::Millis && f.name.starts_with("last_") => Moves::Up(MS),
        _ => Moves::No,
    }
}

/// Offsets of the words in the structure divided by 4, in the order in which they are kept.
fn kept_words(words: u128) -> impl Iterator<Item = u32> {
    (0..128).filter(move |w| words & 1 << w != 0)
}

fn info_of<'a>(sample: &'a Sample, s: &Socket) -> Option<&'a [u8]> {
    if s.info_at == Socket::NO_INFO {
        return None;
    }
    let len = sample.info_len();
    let at = (s.info_at as usize).checked_mul(len)?;
    sample.infos.get(at..at + len)
}

fn attrs_of<'a>(sample: &'a Sample, s: &Socket) -> &'a [u8] {
    let at = s.attr_at as usize;
    sample.attrs.get(at..at + usize::from(s.attr_len)).unwrap_or(&[])
}

fn name_of(sample: &Sample, index: u32) -> &[u8] {
    sample.names.get(index as usize).map_or(&[], |n| n.as_bytes())
}

fn word_at(info: Option<&[u8]>, k: usize) -> u64 {
    let bytes = info.and_then(|i| i.get(k * 4..k * 4 + 4)).and_then(|b| b.try_into().ok());
    bytes.map_or(0, |b| u64::from(u32::from_ne_bytes(b)))
}

/// True if columns other than those that move by themselves differ, or are in an arena.
fn fixed_part_differs(a: &Socket, b: &Socket) -> bool {
    let mut b = *b;
    (b.attr_at, b.attr_len, b.info_at) = (a.attr_at, a.attr_len, a.info_at);
    (b.local_name, b.remote_name) = (a.local_name, a.remote_name);
    b.timer.expires_ms = a.timer.expires_ms;
    *a != b
}

/// Counterparts of the sockets of `new`.
pub(super) fn pair(new: &Sample, old: &Sample) -> Pairs {
    Pairs::by_key(&new.sockets, &old.sockets, |s| s.id)
}

/// Writes the table. Both samples keep the same words of `tcp_info`.
pub(super) fn put(new: &Sample, old: &Sample, pairs: &Pairs, elapsed_ns: u64) -> Option<Vec<u8>> {
    let mut table = TableWriter::new(pairs, old.sockets.len(), elapsed_ns);
    let (rows, before) = (&*new.sockets, &*old.sockets);
    let differing = pairs.differing(|i, j| fixed_part_differs(&rows[i], &before[j]));
    table.columns(&COLUMNS, &differing, rows, before);

    let values = |index: fn(&Socket) -> u32| {
        let bytes = move |sample, s: &Socket| name_of(sample, index(s));
        Values {
            same_as_old: move |i: usize, j: usize| bytes(new, &rows[i]) == bytes(old, &before[j]),
            same_as_new: move |i: usize, l: usize| bytes(new, &rows[i]) == bytes(new, &rows[l]),
            bytes: move |i: usize| Cow::Borrowed(bytes(new, &rows[i])),
            old_bytes: |_| None,
        }
    };
    let named = pairs.differing(|i, j| {
        let (a, b) = (&rows[i], &before[j]);
        a.local_name | a.remote_name | b.local_name | b.remote_name != 0
    });
    table.texts("local_name", &named, &values(|s| s.local_name));
    table.texts("remote_name", &named, &values(|s| s.remote_name));

    let attrs = pairs.differing(|i, j| attrs_of(new, &rows[i]) != attrs_of(old, &before[j]));
    table.texts(
        "attrs",
        &attrs,
        &Values {
            same_as_old: |_, _| false,
            same_as_new: |i: usize, l: usize| attrs_of(new, &rows[i]) == attrs_of(new, &rows[l]),
            bytes: |i: usize| Cow::Borrowed(attrs_of(new, &rows[i])),
            old_bytes: |j: usize| Some(Cow::Borrowed(attrs_of(old, &before[j]))),
        },
    );
    put_infos(&mut table, new, old);
    table.finish()
}

fn put_infos(table: &mut TableWriter<'_>, new: &Sample, old: &Sample) {
    let words: Vec<(u32, Moves)> = kept_words(new.info_words).map(|w| (w, moves_of_word(w))).collect();
    let moving: Vec<usize> = (0..words.len()).filter(|k| words[*k].1 != Moves::No).collect();
    let column = |moves| IntColumn::new(moves, table.coding.elapsed_ns);
    let mut has = column(Moves::No);
    let mut columns: Vec<IntColumn> = words.iter().map(|(_, moves)| column(*moves)).collect();
    for (i, j) in table.coding.pairs.old.iter().enumerate() {
        let info = info_of(new, &new.sockets[i]);
        let Some(before) = old.sockets.get(*j as usize) else {
            has.add_new(i, info.is_some().into());
            columns.iter_mut().enumerate().for_each(|(k, c)| c.add_new(i, word_at(info, k)));
            continue;
        };
        let before = info_of(old, before);
        match (info, before) {
            (None, None) => {}
            (Some(info), Some(before)) => {
                let mut block = |first: usize, new: &[u8], old: &[u8]| {
                    for (k, (n, o)) in new.chunks_exact(4).zip(old.chunks_exact(4)).enumerate() {
                        if n != o && words[first + k].1 == Moves::No {
                            columns[first + k].add(i, word_at(Some(n), 0), word_at(Some(o), 0));
                        }
                    }
                };
                let (blocks, rest) = info.as_chunks::<BLOCK>();
                let (old_blocks, old_rest) = before.as_chunks::<BLOCK>();
                for (b, (new, old)) in blocks.iter().zip(old_blocks).enumerate() {
                    if new != old {
                        block(b * BLOCK / 4, new, old);
                    }
                }
                block(blocks.len() * BLOCK / 4, rest, old_rest);
                for k in &moving {
                    columns[*k].add(i, word_at(Some(info), *k), word_at(Some(before), *k));
                }
            }
            _ => {
                has.add(i, info.is_some().into(), before.is_some().into());
                for (k, c) in columns.iter_mut().enumerate() {
                    c.add(i, word_at(info, k), word_at(before, k));
                }
            }
        }
    }
    table.put_ints("has_tcp_info", has.finish());
    for ((word, _), column) in words.into_iter().zip(columns) {
        table.put_ints(&info_column(word), column.finish());
    }
}

/// Column of a word of `tcp_info`, by its offset in bytes.
fn info_column(word: u32) -> String {
    format!("tcp_info+{}", word * 4)
}

/// Byte strings of the rows that have a new one.
#[derive(Default)]
struct Blobs {
    /// Rows, ascending, with the ranges of their bytes.
    rows: Vec<(usize, Range<usize>)>,
    bytes: Vec<u8>,
}

impl Blobs {
    fn read<'o>(
        table: &TableReader<'_>,
        name: &str,
        old: impl Fn(usize) -> &'o [u8],
    ) -> Result<Self, FrameError> {
        let mut out = Self::default();
        let mut last = (None, 0..0);
        table.texts(
            name,
            |j| Cow::Borrowed(old(j)),
            |i, text| {
                // Neighbours with the same entry share their bytes.
                if text.entry.is_none() || text.entry != last.0 {
                    let from = out.bytes.len();
                    out.bytes.extend_from_slice(text.value);
                    last = (text.entry, from..out.bytes.len());
                }
                out.rows.push((i, last.1.clone()));
                true
            },
        )?;
        Ok(out)
    }

    /// Byte string of each row, in ascending order: a new one, or that of its counterpart.
    fn reader<'a>(
        &'a self,
        pairs: &'a Pairs,
        old: impl Fn(usize) -> &'a [u8] + 'a,
    ) -> impl FnMut(usize) -> &'a [u8] {
        let mut rows = self.rows.iter().peekable();
        move |i| match rows.next_if(|(row, _)| *row == i) {
            Some((_, range)) => self.bytes.get(range.clone()).unwrap_or(&[]),
            None if pairs.old[i] == NEW => &[],
            None => old(pairs.old[i] as usize),
        }
    }
}

/// Memory of the largest parts of a sample, used again.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    sockets: Vec<Socket>,
    attrs: Vec<u8>,
    infos: Vec<u8>,
}

impl Buffers {
    /// Takes it from a sample that is not needed any more.
    pub(super) fn from_sample(sample: Sample) -> Self {
        Self { sockets: sample.sockets, attrs: sample.attrs, infos: sample.infos }
    }
}

/// Reads the table into `new`, whose `info_words` are set.
pub(super) fn read(
    table: &TableReader<'_>,
    new: &mut Sample,
    old: &Sample,
    buffers: Buffers,
) -> Result<(), FrameError> {
    let before = &*old.sockets;
    let blank = || {
        let id = SocketId { netns: 0, cookie: 0 };
        Socket::new(id, Family::Inet, Proto::Tcp, State::Closed)
    };
    (new.attrs, new.infos) = (buffers.attrs, buffers.infos);
    let mut rows = table.rows_in(buffers.sockets, before, blank)?;
    table.columns(&COLUMNS, &mut rows, before)?;
    let attrs = Blobs::read(table, "attrs", |j| attrs_of(old, &before[j]))?;
    let local = Blobs::read(table, "local_name", |j| name_of(old, before[j].local_name))?;
    let remote = Blobs::read(table, "remote_name", |j| name_of(old, before[j].remote_name))?;

    let mut attrs = attrs.reader(&table.pairs, |j| attrs_of(old, &before[j]));
    let mut local = local.reader(&table.pairs, |j| name_of(old, before[j].local_name));
    let mut remote = remote.reader(&table.pairs, |j| name_of(old, before[j].remote_name));
    let mut arenas = Arenas::new(new);
    for (i, s) in rows.iter_mut().enumerate() {
        arenas.push_attrs(s, attrs(i));
        s.local_name = arenas.push_name(local(i));
        s.remote_name = arenas.push_name(remote(i));
        // Many rows can refer to one of the sample before.
        table.memory.fits(arenas.len())?;
    }
    table.memory.take(arenas.len())?;
    read_infos(table, &mut rows, new, old)?;
    new.sockets = rows;
    Ok(())
}

fn read_infos(
    table: &TableReader<'_>,
    rows: &mut [Socket],
    new: &mut Sample,
    old: &Sample,
) -> Result<(), FrameError> {
    let before = &*old.sockets;
    let old_info = |j: u32| before.get(j as usize).and_then(|s| info_of(old, s));
    let mut has: Vec<bool> = table.pairs.old.iter().map(|j| old_info(*j).is_some()).collect();
    table.ints(
        "has_tcp_info",
        Moves::No,
        |j| u64::from(old_info(j as u32).is_some()),
        |i, change| {
            let n = change.apply(has[i].into());
            has[i] = n == 1;
            n <= 1
        },
    )?;
    let len = new.info_len();
    // Offset of the entry of each row.
    let mut offsets: Vec<Option<usize>> = Vec::with_capacity(rows.len());
    let infos = &mut new.infos;
    infos.clear();
    let mut count = 0_u32;
    for (i, s) in rows.iter_mut().enumerate() {
        s.info_at = Socket::NO_INFO;
        if !has[i] {
            offsets.push(None);
            continue;
        }
        s.info_at = count;
        count += 1;
        table.memory.take(len)?;
        offsets.push(Some(infos.len()));
        match old_info(table.pairs.old[i]).filter(|o| o.len() == len) {
            Some(info) => infos.extend_from_slice(info),
            None => infos.resize(infos.len() + len, 0),
        }
    }
    for (k, word) in kept_words(new.info_words).enumerate() {
        table.ints(
            &info_column(word),
            moves_of_word(word),
            |j| word_at(old_info(j as u32), k),
            |i, change| {
                let Some(offset) = offsets[i] else { return change.apply(0) == 0 };
                let slot = infos.get_mut(offset + k * 4..).and_then(|rest| rest.first_chunk_mut::<4>());
                let Some(slot) = slot else { return false };
                let value = u32::try_from(change.apply(u32::from_ne_bytes(*slot).into()));
                value.map(|n| *slot = n.to_ne_bytes()).is_ok()
            },
        )?;
    }
    Ok(())
}

/// Arenas of a sample, filled row by row.
pub(super) struct Arenas<'a> {
    sample: &'a mut Sample,
    last: (u32, u16),
    names: rustc_hash::FxHashMap<Box<[u8]>, u32>,
    /// Bytes of the names, of which two copies are held.
    names_len: usize,
}

impl<'a> Arenas<'a> {
    pub(super) fn new(sample: &'a mut Sample) -> Self {
        sample.attrs.clear();
        sample.names = vec!["".into()];
        Self { sample, last: (0, 0), names: rustc_hash::FxHashMap::default(), names_len: 0 }
    }

    /// Bytes in the arenas.
    fn len(&self) -> usize {
        self.sample.attrs.len() + self.names_len
    }

    /// Attributes of the next row. Equal ones of consecutive rows are shared.
    pub(super) fn push_attrs(&mut self, s: &mut Socket, raw: &[u8]) {
        let raw = &raw[..raw.len().min(usize::from(u16::MAX))];
        let (at, len) = (self.last.0 as usize, usize::from(self.last.1));
        if self.sample.attrs.get(at..at + len) != Some(raw) {
            self.last = (self.sample.attrs.len() as u32, raw.len() as u16);
            self.sample.attrs.extend_from_slice(raw);
        }
        (s.attr_at, s.attr_len) = self.last;
    }

    /// Index of a name.
    pub(super) fn push_name(&mut self, name: &[u8]) -> u32 {
        if name.is_empty() {
            return 0;
        }
        if let Some(known) = self.names.get(name) {
            return *known;
        }
        let index = self.sample.names.len() as u32;
        self.names_len += 2 * (name.len() + size_of::<Box<str>>());
        self.sample.names.push(String::from_utf8_lossy(name).into());
        self.names.insert(name.into(), index);
        index
    }
}

/// Puts the arenas of a sample in the order of its sockets, as a reader of frames makes them.
pub(super) fn canonical(sample: &mut Sample) {
    let old = sample.clone();
    let mut rows = std::mem::take(&mut sample.sockets);
    let mut arenas = Arenas::new(sample);
    for s in &mut rows {
        arenas.push_attrs(s, attrs_of(&old, s));
        s.local_name = arenas.push_name(name_of(&old, s.local_name));
        s.remote_name = arenas.push_name(name_of(&old, s.remote_name));
    }
    sample.infos.clear();
    let mut count = 0;
    for s in &mut rows {
        match info_of(&old, s) {
            Some(info) => {
                sample.infos.extend_from_slice(info);
                s.info_at = count;
                count += 1;
            }
            None => s.info_at = Socket::NO_INFO,
        }
    }
    sample.sockets = rows;
}
