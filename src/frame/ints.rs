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

    /// Prediction for a value that was `old`. Zero stays zero: never, or not running.
    fn predict(&self, old: u64) -> u64 {
        match self.moves {
            _ if old == 0 => 0,
            Moves::No => old,
            Moves::Up(_) => old.wrapping_add_signed(self.shift),
            Moves::Down(_) => old.wrapping_sub(self.shift as u64),
        }
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
        let mut sink = Sink::default();
        let mut last = 0;
        let mut clock = Clock::new(moves, self.elapsed_ns);
        let mut row = |i: usize| {
            let value = new(i);
            match self.pairs.old[i] {
                NEW => {
                    sink.push(i, zigzag(value.wrapping_sub(last)));
                    last = value;
                }
                j => {
                    let before = old(j as usize);
                    sink.push(i, zigzag(value.wrapping_sub(clock.predict(before))));
                    clock.learn(before, value);
                }
            }
        };
        if moves == Moves::No {
            for i in rows {
                row(*i as usize);
            }
        } else {
            (0..self.pairs.old.len()).for_each(row);
        }
        (!sink.is_zero()).then(|| {
            let mut out = Vec::new();
            sink.finish(&mut out);
            out
        })
    }

    /// Reads a column. `set` is called with each row that is new or changed and its value, and returns whether that is a value of the
    /// column.
    pub(super) fn read_ints(
        &self,
        mut input: Input<'_>,
        moves: Moves,
        old: impl Fn(usize) -> u64,
        mut set: impl FnMut(usize, u64) -> bool,
    ) -> Result<(), FrameError> {
        let mut numbers = Numbers::new(&mut input, self.pairs.old.len())?;
        let mut next = numbers.read()?;
        let mut last = 0;
        let mut clock = Clock::new(moves, self.elapsed_ns);
        let mut row = |i: usize, number: u64| {
            let difference = unzigzag(number);
            let value = match self.pairs.old[i] {
                NEW => {
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
            if set(i, value) { Ok(()) } else { Err(input.malformed()) }
        };
        if moves == Moves::No {
            let mut new_rows = self.pairs.new_rows.iter().peekable();
            loop {
                let at = next.map_or(usize::MAX, |(i, _)| i);
                while let Some(i) = new_rows.next_if(|i| (**i as usize) < at) {
                    row(*i as usize, 0)?;
                }
                let Some((i, number)) = next else { return Ok(()) };
                new_rows.next_if(|n| **n as usize == i);
                row(i, number)?;
                next = numbers.read()?;
            }
        }
        for i in 0..self.pairs.old.len() {
            let number = match next {
                Some((at, number)) if at == i => {
                    next = numbers.read()?;
                    number
                }
                _ => 0,
            };
            row(i, number)?;
        }
        Ok(())
    }
}
