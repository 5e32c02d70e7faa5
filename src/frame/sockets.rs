//! Sockets, with their attributes, `tcp_info` and names.

use super::FrameError;
use super::ints::Moves;
use super::pairs::{NEW, Pairs};
use super::table::{Column, TableReader, TableWriter, endpoint, int, json};
use super::texts::Values;
use crate::model::tcp_info::{FieldUnit, TCP_FIELDS};
use crate::model::{Family, Proto, Sample, Socket, SocketId, State};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Milliseconds.
const MS: u64 = 1_000_000;

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
            set: |s, json| serde_json::from_slice(json).map(|k| s.timer.kind = k).is_ok(),
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
    let (rows, before) = (&*new.sockets, &*old.sockets);
    let pairs = table.coding.pairs;
    let words: Vec<(u32, Moves)> = kept_words(new.info_words).map(|w| (w, moves_of_word(w))).collect();
    let is_moving: Vec<bool> = words.iter().map(|(_, m)| *m != Moves::No).collect();
    let differs = |a: Option<&[u8]>, b: Option<&[u8]>| match (a, b) {
        (Some(a), Some(b)) => {
            a != b && a.chunks_exact(4).zip(b.chunks_exact(4)).zip(&is_moving).any(|((a, b), m)| !m && a != b)
        }
        (None, None) => false,
        _ => true,
    };
    let infos: Vec<Option<&[u8]>> = rows.iter().map(|s| info_of(new, s)).collect();
    let olds: Vec<Option<&[u8]>> = before.iter().map(|s| info_of(old, s)).collect();
    let differing = pairs.differing(|i, j| differs(infos[i], olds[j]));
    table.ints(
        "has_tcp_info",
        Moves::No,
        &differing,
        |i| u64::from(infos[i].is_some()),
        |j| u64::from(olds[j].is_some()),
    );
    for (k, (word, moves)) in words.into_iter().enumerate() {
        let name = info_column(word);
        table.ints(&name, moves, &differing, |i| word_at(infos[i], k), |j| word_at(olds[j], k));
    }
}

/// Column of a word of `tcp_info`, by its offset in bytes.
fn info_column(word: u32) -> String {
    format!("tcp_info+{}", word * 4)
}

/// Source of a byte string of a row that is read.
#[derive(Clone, Copy)]
enum Blob {
    /// That of a row of the sample before.
    Old(u32),
    /// Range of the bytes that were read.
    Read(usize, usize),
}

/// Byte strings of all rows of a text column.
struct Blobs {
    rows: Vec<Blob>,
    bytes: Vec<u8>,
}

impl Blobs {
    fn read<'o>(
        table: &TableReader<'_>,
        name: &str,
        old: impl Fn(usize) -> &'o [u8],
    ) -> Result<Self, FrameError> {
        let row = |j: &u32| if *j == NEW { Blob::Read(0, 0) } else { Blob::Old(*j) };
        let mut out = Self { rows: table.pairs.old.iter().map(row).collect(), bytes: Vec::new() };
        let mut last = (0, 0);
        table.texts(
            name,
            |j| Cow::Borrowed(old(j)),
            |i, value| {
                // Equal neighbours share their bytes.
                if out.bytes.get(last.0..last.1) != Some(value) {
                    let from = out.bytes.len();
                    out.bytes.extend_from_slice(value);
                    last = (from, out.bytes.len());
                }
                out.rows[i] = Blob::Read(last.0, last.1);
                true
            },
        )?;
        Ok(out)
    }

    fn get<'a>(&'a self, i: usize, old: impl Fn(usize) -> &'a [u8]) -> &'a [u8] {
        match self.rows[i] {
            Blob::Old(j) => old(j as usize),
            Blob::Read(from, to) => self.bytes.get(from..to).unwrap_or(&[]),
        }
    }
}

/// Reads the table into `new`, whose `info_words` are set.
pub(super) fn read(table: &TableReader<'_>, new: &mut Sample, old: &Sample) -> Result<(), FrameError> {
    let before = &*old.sockets;
    let blank = || {
        let id = SocketId { netns: 0, cookie: 0 };
        Socket::new(id, Family::Inet, Proto::Tcp, State::Closed)
    };
    let mut rows = table.rows(before, blank);
    table.columns(&COLUMNS, &mut rows, before)?;
    let attrs = Blobs::read(table, "attrs", |j| attrs_of(old, &before[j]))?;
    let local = Blobs::read(table, "local_name", |j| name_of(old, before[j].local_name))?;
    let remote = Blobs::read(table, "remote_name", |j| name_of(old, before[j].remote_name))?;

    let mut arenas = Arenas::new(new);
    for (i, s) in rows.iter_mut().enumerate() {
        arenas.push_attrs(s, attrs.get(i, |j| attrs_of(old, &before[j])));
        s.local_name = arenas.push_name(local.get(i, |j| name_of(old, before[j].local_name)));
        s.remote_name = arenas.push_name(remote.get(i, |j| name_of(old, before[j].remote_name)));
    }
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
    let olds: Vec<Option<&[u8]>> = before.iter().map(|s| info_of(old, s)).collect();
    let mut has: Vec<bool> =
        table.pairs.old.iter().map(|j| olds.get(*j as usize).is_some_and(Option::is_some)).collect();
    table.ints(
        "has_tcp_info",
        Moves::No,
        |j| u64::from(olds[j].is_some()),
        |i, n| {
            has[i] = n == 1;
            n <= 1
        },
    )?;
    let len = new.info_len();
    let mut count = 0_u32;
    for (i, s) in rows.iter_mut().enumerate() {
        s.info_at = Socket::NO_INFO;
        if !has[i] {
            continue;
        }
        s.info_at = count;
        count += 1;
        match olds.get(table.pairs.old[i] as usize).copied().flatten().filter(|o| o.len() == len) {
            Some(info) => new.infos.extend_from_slice(info),
            None => new.infos.resize(new.infos.len() + len, 0),
        }
    }
    let infos = &mut new.infos;
    for (k, word) in kept_words(new.info_words).enumerate() {
        table.ints(
            &info_column(word),
            moves_of_word(word),
            |j| word_at(olds[j], k),
            |i, n| {
                let Ok(n) = u32::try_from(n) else { return false };
                if rows[i].info_at == Socket::NO_INFO {
                    return n == 0;
                }
                let at = rows[i].info_at as usize * len + k * 4;
                infos.get_mut(at..at + 4).is_some_and(|slot| {
                    slot.copy_from_slice(&n.to_ne_bytes());
                    true
                })
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
}

impl<'a> Arenas<'a> {
    pub(super) fn new(sample: &'a mut Sample) -> Self {
        sample.attrs.clear();
        sample.names = vec!["".into()];
        Self { sample, last: (0, 0), names: rustc_hash::FxHashMap::default() }
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
