//! One column of integers: the difference of each row from its prediction, zeros as runs.

use super::FrameError;
use super::pairs::{NEW, Pairs};
use super::runs::{Numbers, Sink};
use super::varint::{Input, unzigzag, zigzag};

/// Change of a value by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moves {
    /// None.
    No,
    /// Time since an event: grows by one each so many nanoseconds.
    Up(u64),
    /// Time left: falls by one each so many nanoseconds.
    Down(u64),
}

/// Largest difference from the prediction that is taken for a difference of clocks, not for an event: the dump takes its time, and
/// the kernel counts in jiffies.
const CLOCK_STEP: i64 = 64;

/// Predicts values that move by themselves: by the time between the samples at first, then as the row before moved.
#[derive(Debug)]
struct Clock {
    moves: Moves,
    shift: i64,
}

impl Clock {
    const fn new(moves: Moves, elapsed_ns: u64) -> Self {
        let shift = match moves {
            Moves::No => 0,
            Moves::Up(unit) | Moves::Down(unit) => (elapsed_ns / if unit == 0 { 1 } else { unit }) as i64,
        };
        Self { moves, shift }
    }

    /// Distance, modulo 2^64, by which values move.
    const fn shift(&self) -> u64 {
        match self.moves {
            Moves::No => 0,
            Moves::Up(_) => self.shift as u64,
            Moves::Down(_) => (self.shift as u64).wrapping_neg(),
        }
    }

    /// Prediction for a value that was `old`. Zero stays zero: never, or not running.
    const fn predict(&self, old: u64) -> u64 {
        Change::By(self.shift()).apply(old)
    }

    fn learn(&mut self, old: u64, value: u64) {
        let moved = match self.moves {
            Moves::Up(_) if old != 0 => value.wrapping_sub(old) as i64,
            Moves::Down(_) if old != 0 => old.wrapping_sub(value) as i64,
            _ => return,
        };
        if moved.wrapping_sub(self.shift).unsigned_abs() <= CLOCK_STEP as u64 {
            self.shift = moved;
        }
    }
}

/// One column being written, row by row in ascending order.
#[derive(Debug)]
pub(super) struct IntColumn {
    clock: Clock,
    /// Value of the new row before.
    last: u64,
    sink: Sink,
}

impl IntColumn {
    pub(super) fn new(moves: Moves, elapsed_ns: u64) -> Self {
        Self { clock: Clock::new(moves, elapsed_ns), last: 0, sink: Sink::default() }
    }

    /// Row without a counterpart.
    pub(super) fn add_new(&mut self, row: usize, value: u64) {
        self.sink.push(row, zigzag(value.wrapping_sub(self.last)));
        self.last = value;
    }

    /// Row whose counterpart has the value `before`. One that is as predicted can be left out if the column does not move.
    pub(super) fn add(&mut self, row: usize, value: u64, before: u64) {
        let difference = value.wrapping_sub(self.clock.predict(before));
        if difference != 0 {
            self.sink.push(row, zigzag(difference));
            self.clock.learn(before, value);
        }
    }

    /// The column; `None` if every row is as predicted.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        (!self.sink.is_zero()).then(|| {
            let mut out = Vec::new();
            self.sink.finish(&mut out);
            out
        })
    }
}

/// Change of a row that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It has this value.
    To(u64),
    /// The value of its counterpart moved as predicted: by this, modulo 2^64. Zero stays zero.
    By(u64),
}

impl Change {
    /// Value of a row whose counterpart has the value `before`.
    pub(super) const fn apply(self, before: u64) -> u64 {
        match self {
            Self::To(value) => value,
            Self::By(_) if before == 0 => 0,
            Self::By(shift) => before.wrapping_add(shift),
        }
    }
}

/// One column of a table.
#[derive(Debug)]
pub(super) struct Coding<'a> {
    pub(super) pairs: &'a Pairs,
    /// Time between the samples.
    pub(super) elapsed_ns: u64,
}

impl Coding<'_> {
    /// Writes the column. `rows` are those that can differ from the prediction, all new ones among them, in ascending order; not used
    /// for a column that moves. Returns `None` if every row is as predicted.
    pub(super) fn put_ints(
        &self,
        moves: Moves,
        rows: &[u32],
        new: impl Fn(usize) -> u64,
        old: impl Fn(usize) -> u64,
    ) -> Option<Vec<u8>> {
        let mut column = IntColumn::new(moves, self.elapsed_ns);
        let mut row = |i: usize| match self.pairs.old[i] {
            NEW => column.add_new(i, new(i)),
            j => column.add(i, new(i), old(j as usize)),
        };
        if moves == Moves::No {
            for i in rows {
                row(*i as usize);
            }
        } else {
            (0..self.pairs.old.len()).for_each(row);
        }
        column.finish()
    }

    /// Reads a column. `change` is called with each row that is new, changed or moved, in ascending order, and returns true if the
    /// result is a value of the column.
    pub(super) fn read_ints(
        &self,
        mut input: Input<'_>,
        moves: Moves,
        old: impl Fn(usize) -> u64,
        mut change: impl FnMut(usize, Change) -> bool,
    ) -> Result<(), FrameError> {
        let rows = self.pairs.old.len();
        let mut numbers = Numbers::new(&mut input, rows)?;
        let malformed = input.malformed();
        let mut new_rows = self.pairs.new_rows.iter().map(|i| *i as usize).peekable();
        let mut last = 0_u64;
        let mut clock = Clock::new(moves, self.elapsed_ns);
        let mut start = 0;
        loop {
            let next = numbers.read()?;
            let at = next.map_or(rows, |(i, _)| i);
            // Rows that are as predicted.
            while start < at {
                let new = new_rows.peek().map_or(at, |i| at.min(*i));
                let shift = clock.shift();
                if shift != 0 && !(start..new).all(|i| change(i, Change::By(shift))) {
                    return Err(malformed);
                }
                start = new;
                if new_rows.next_if(|i| *i < at).is_some() {
                    if !change(start, Change::To(last)) {
                        return Err(malformed);
                    }
                    start += 1;
                }
            }
            let Some((i, number)) = next else { return Ok(()) };
            start = i + 1;
            let difference = unzigzag(number);
            let value = match self.pairs.old[i] {
                NEW => {
                    new_rows.next();
                    last = difference.wrapping_add(last);
                    last
                }
                j => {
                    let before = old(j as usize);
                    let value = difference.wrapping_add(clock.predict(before));
                    clock.learn(before, value);
                    value
                }
            };
            if !change(i, Change::To(value)) {
                return Err(malformed);
            }
        }
    }
}
