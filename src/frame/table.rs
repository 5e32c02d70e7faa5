//! Tables as named columns.

use super::FrameError;
use super::ints::{Change, Coding, Moves};
use super::memory::Memory;
use super::pairs::{NEW, Pairs};
use super::texts::{Text, Values};
use super::varint::{Input, put_bytes};
use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// One column of a table of `R`.
pub(super) enum Column<R> {
    /// Integer.
    Int {
        /// Name: never given to another column.
        name: &'static str,
        /// Change by itself.
        moves: Moves,
        /// Value of a row.
        get: fn(&R) -> u64,
        /// Sets it; false if it is not in the range of the column.
        set: fn(&mut R, u64) -> bool,
    },
    /// Text.
    Text {
        /// Name: never given to another column.
        name: &'static str,
        /// True if two rows have the same value.
        same: fn(&R, &R) -> bool,
        /// Value of a row.
        get: fn(&R) -> Cow<'_, [u8]>,
        /// Reads a value, once for all rows that have it; `None` if it is not one of the column.
        read: fn(&[u8]) -> Option<Setter<R>>,
    },
}

/// Sets a text column of a row to a value that was read.
pub(super) type Setter<R> = Box<dyn Fn(&mut R)>;

/// Integer column of a field whose type an integer converts to.
macro_rules! int {
    ($name:literal, $($field:tt).+) => {
        int!($name, super::ints::Moves::No, $($field).+)
    };
    ($name:literal, $moves:expr, $($field:tt).+) => {
        $crate::frame::table::Column::Int {
            name: $name,
            moves: $moves,
            get: |r| u64::from(r.$($field).+),
            set: |r, n| n.try_into().map(|n| r.$($field).+ = n).is_ok(),
        }
    };
}

/// Integer column of an `Option`: 0 for `None`, else the value plus 1. For types of at most 32 bits.
macro_rules! option {
    ($name:literal, $($field:tt).+) => {
        option!($name, super::ints::Moves::No, $($field).+)
    };
    ($name:literal, $moves:expr, $($field:tt).+) => {
        $crate::frame::table::Column::Int {
            name: $name,
            moves: $moves,
            get: |r| r.$($field).+.map_or(0, |n| u64::from(n) + 1),
            set: |r, n| match n.checked_sub(1) {
                None => { r.$($field).+ = None; true }
                Some(n) => n.try_into().map(|n| r.$($field).+ = Some(n)).is_ok(),
            },
        }
    };
}

/// Adds two integer columns of an `Option<u64>`: the value, 0 for `None`, and 1 if there is one. The value must come first.
macro_rules! option_u64 {
    ($out:ident, $name:literal, $known:literal, $field:ident) => {
        $out.push($crate::frame::table::Column::Int {
            name: $name,
            moves: $crate::frame::ints::Moves::No,
            get: |r| r.$field.unwrap_or(0),
            set: |r, n| {
                r.$field = Some(n);
                true
            },
        });
        $out.push($crate::frame::table::Column::Int {
            name: $known,
            moves: $crate::frame::ints::Moves::No,
            get: |r| u64::from(r.$field.is_some()),
            set: |r, n| {
                if n == 0 {
                    r.$field = None;
                } else {
                    r.$field.get_or_insert(0);
                }
                n <= 1
            },
        });
    };
}

/// Text column of a field, as JSON.
macro_rules! json {
    ($name:literal, $field:ident) => {
        $crate::frame::table::Column::Text {
            name: $name,
            same: |a, b| a.$field == b.$field,
            get: |r| $crate::frame::table::to_json(&r.$field),
            read: |json| $crate::frame::table::from_json(json, |r, v| r.$field.clone_from(v)),
        }
    };
}

/// Adds three integer columns of an endpoint: the halves of its address as numbers, and the port.
macro_rules! endpoint {
    ($out:ident, $high:literal, $low:literal, $port:literal, $($field:tt).+) => {
        $out.push($crate::frame::table::Column::Int {
            name: $high,
            moves: $crate::frame::ints::Moves::No,
            get: |r| $crate::frame::table::half(&r.$($field).+.addr, 0),
            set: |r, n| {
                $crate::frame::table::set_half(&mut r.$($field).+.addr, 0, n);
                true
            },
        });
        $out.push($crate::frame::table::Column::Int {
            name: $low,
            moves: $crate::frame::ints::Moves::No,
            get: |r| $crate::frame::table::half(&r.$($field).+.addr, 8),
            set: |r, n| {
                $crate::frame::table::set_half(&mut r.$($field).+.addr, 8, n);
                true
            },
        });
        $out.push(int!($port, $($field).+.port));
    };
}
pub(super) use {endpoint, int, json, option, option_u64};

/// Reads a value as JSON.
pub(super) fn from_json<R: 'static, V: DeserializeOwned + 'static>(
    json: &[u8],
    set: fn(&mut R, &V),
) -> Option<Setter<R>> {
    let value: V = serde_json::from_slice(json).ok()?;
    Some(Box::new(move |row| set(row, &value)))
}

/// Value as JSON; empty if it has none, which no type of a sample is.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Cow<'static, [u8]> {
    Cow::Owned(serde_json::to_vec(value).unwrap_or_default())
}

/// Eight bytes of an address as a number.
pub(super) fn half(addr: &crate::model::Addr, from: usize) -> u64 {
    let octets = addr.octets();
    (from..from + 8).fold(0, |n, k| n << 8 | u64::from(octets[k]))
}

pub(super) fn set_half(addr: &mut crate::model::Addr, from: usize, n: u64) {
    let mut octets = *addr.octets();
    octets[from..from + 8].copy_from_slice(&n.to_be_bytes());
    *addr = crate::model::Addr::v6(octets);
}

/// Kind of a column in a frame.
const INT: u8 = 0;
const TEXT: u8 = 1;

/// Table being written.
pub(super) struct TableWriter<'a> {
    pub(super) coding: Coding<'a>,
    out: Vec<u8>,
    old_rows: usize,
    columns: usize,
}

impl<'a> TableWriter<'a> {
    pub(super) fn new(pairs: &'a Pairs, old_rows: usize, elapsed_ns: u64) -> Self {
        let mut out = Vec::new();
        pairs.put(&mut out);
        Self { coding: Coding { pairs, elapsed_ns }, out, old_rows, columns: 0 }
    }

    /// Writes an integer column that was made row by row.
    pub(super) fn put_ints(&mut self, name: &str, data: Option<Vec<u8>>) {
        self.put(name, INT, data);
    }

    fn put(&mut self, name: &str, kind: u8, data: Option<Vec<u8>>) {
        if let Some(data) = data {
            put_bytes(&mut self.out, name.as_bytes());
            self.out.push(kind);
            put_bytes(&mut self.out, &data);
            self.columns += 1;
        }
    }

    /// Writes an integer column.
    pub(super) fn ints(
        &mut self,
        name: &str,
        moves: Moves,
        rows: &[u32],
        new: impl Fn(usize) -> u64,
        old: impl Fn(usize) -> u64,
    ) {
        let data = self.coding.put_ints(moves, rows, new, old);
        self.put(name, INT, data);
    }

    /// Writes a text column.
    pub(super) fn texts<'v>(
        &mut self,
        name: &str,
        rows: &[u32],
        values: &Values<
            impl Fn(usize, usize) -> bool,
            impl Fn(usize, usize) -> bool,
            impl Fn(usize) -> Cow<'v, [u8]>,
            impl Fn(usize) -> Option<Cow<'v, [u8]>>,
        >,
    ) {
        let data = self.coding.put_texts(rows, values);
        self.put(name, TEXT, data);
    }

    /// Writes the columns of a registry; `rows` are those that can differ from the prediction.
    pub(super) fn columns<R>(&mut self, columns: &[Column<R>], rows: &[u32], new: &'a [R], old: &'a [R]) {
        for column in columns {
            match column {
                Column::Int { name, moves, get, .. } => {
                    self.ints(name, *moves, rows, |i| get(&new[i]), |j| get(&old[j]));
                }
                Column::Text { name, same, get, .. } => self.texts(
                    name,
                    rows,
                    &Values {
                        same_as_old: |i: usize, j: usize| same(&new[i], &old[j]),
                        same_as_new: |i: usize, l: usize| same(&new[i], &new[l]),
                        bytes: |i: usize| get(&new[i]),
                        old_bytes: |_| None,
                    },
                ),
            }
        }
    }

    /// The table; `None` if it is that of the sample before.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        let unchanged = self.columns == 0 && self.coding.pairs.is_identity(self.old_rows);
        (!unchanged).then_some(self.out)
    }
}

/// Table being read.
pub(super) struct TableReader<'a> {
    pub(super) pairs: Pairs,
    elapsed_ns: u64,
    columns: Vec<(&'a [u8], u8, Input<'a>)>,
    pub(super) memory: &'a Memory,
}

/// Memory that a row takes beside its fields while the table is read: its counterpart, and where its texts are.
const ROW_COST: usize = 32;

/// Most columns of one table.
const MAX_COLUMNS: usize = 1024;

impl<'a> TableReader<'a> {
    pub(super) fn new(
        mut input: Input<'a>,
        old_rows: usize,
        budget: u64,
        elapsed_ns: u64,
        memory: &'a Memory,
    ) -> Result<Self, FrameError> {
        // Before anything is allocated for that many.
        let mut head = input;
        let rows = head.int()?;
        memory.take(usize::try_from(rows).unwrap_or(usize::MAX).saturating_mul(ROW_COST))?;
        let pairs = Pairs::read(&mut input, old_rows, budget)?;
        let mut columns = Vec::new();
        while !input.is_empty() {
            if columns.len() == MAX_COLUMNS {
                return Err(input.malformed());
            }
            columns.push((input.bytes()?, input.byte()?, input.part()?));
        }
        Ok(Self { pairs, elapsed_ns, columns, memory })
    }

    /// Table that is not in the frame: that of the sample before, moved on by the time between them.
    pub(super) fn unchanged(rows: usize, elapsed_ns: u64, memory: &'a Memory) -> Self {
        Self { pairs: Pairs::by_position(rows, rows), elapsed_ns, columns: Vec::new(), memory }
    }

    fn column(&self, name: &str, kind: u8) -> Option<Input<'a>> {
        self.columns.iter().find(|(n, k, _)| *n == name.as_bytes() && *k == kind).map(|(_, _, data)| *data)
    }

    const fn coding(&self) -> Coding<'_> {
        Coding { pairs: &self.pairs, elapsed_ns: self.elapsed_ns }
    }

    /// Reads an integer column. One that is missing is as predicted.
    pub(super) fn ints(
        &self,
        name: &str,
        moves: Moves,
        old: impl Fn(usize) -> u64,
        change: impl FnMut(usize, Change) -> bool,
    ) -> Result<(), FrameError> {
        match self.column(name, INT) {
            Some(data) => self.coding().read_ints(data, moves, old, change),
            None if moves == Moves::No => Ok(()),
            None => {
                // No row differs from its prediction, which moves.
                let nothing = Input::new(&[0, 0], "column");
                self.coding().read_ints(nothing, moves, old, change)
            }
        }
    }

    /// Reads a text column.
    pub(super) fn texts<'o>(
        &self,
        name: &str,
        old: impl Fn(usize) -> Cow<'o, [u8]>,
        set: impl FnMut(usize, Text<'_>) -> bool,
    ) -> Result<(), FrameError> {
        self.column(name, TEXT).map_or(Ok(()), |data| self.coding().read_texts(data, self.memory, old, set))
    }

    /// Rows before their columns are read: their counterparts, or blank ones.
    pub(super) fn rows<R: Clone>(&self, old: &[R], blank: impl Fn() -> R) -> Result<Vec<R>, FrameError> {
        self.rows_in(Vec::new(), old, blank)
    }

    /// The same in memory that was used before.
    pub(super) fn rows_in<R: Clone>(
        &self,
        memory: Vec<R>,
        old: &[R],
        blank: impl Fn() -> R,
    ) -> Result<Vec<R>, FrameError> {
        self.memory.take(self.pairs.old.len().saturating_mul(size_of::<R>()))?;
        let mut out = memory;
        out.clear();
        out.reserve_exact(self.pairs.old.len());
        for run in self.pairs.runs() {
            if run.old == NEW {
                out.extend(std::iter::repeat_with(&blank).take(run.len));
            } else {
                let from = run.old as usize;
                out.extend_from_slice(&old[from..from + run.len]);
            }
        }
        Ok(out)
    }

    /// Reads the columns of a registry into the rows: texts first, since a text can hold the kind of a row.
    pub(super) fn columns<R>(
        &self,
        columns: &[Column<R>],
        rows: &mut [R],
        old: &[R],
    ) -> Result<(), FrameError> {
        for column in columns {
            if let Column::Text { name, get, read, .. } = column {
                let mut entries: Vec<Option<Setter<R>>> = Vec::new();
                let set = |i: usize, text: Text<'_>| {
                    let Some(entry) = text.entry else {
                        return read(text.value).map(|set| set(&mut rows[i])).is_some();
                    };
                    if entry >= entries.len() {
                        entries.resize_with(entry + 1, || None);
                    }
                    if entries[entry].is_none() {
                        entries[entry] = read(text.value);
                    }
                    entries[entry].as_ref().map(|set| set(&mut rows[i])).is_some()
                };
                self.texts(name, |j| get(&old[j]), set)?;
            }
        }
        for column in columns {
            if let Column::Int { name, moves, get, set } = column {
                let change = |i: usize, change: Change| {
                    let value = change.apply(if *moves == Moves::No { 0 } else { get(&rows[i]) });
                    set(&mut rows[i], value)
                };
                self.ints(name, *moves, |j| get(&old[j]), change)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Column;
    use std::collections::HashSet;

    fn assert_unique_names<R>(columns: &[Column<R>]) {
        let name = |c: &Column<R>| match c {
            Column::Int { name, .. } | Column::Text { name, .. } => *name,
        };
        let names: HashSet<&str> = columns.iter().map(name).collect();
        assert_eq!(names.len(), columns.len());
    }

    #[test]
    fn names_of_columns_are_unique() {
        assert_unique_names(&super::super::sockets::COLUMNS);
        assert_unique_names(&super::super::processes::COLUMNS);
        assert_unique_names(&super::super::flows::COLUMNS);
        assert_unique_names(&super::super::events::COLUMNS);
        assert_unique_names(&super::super::dns::COLUMNS);
    }
}
