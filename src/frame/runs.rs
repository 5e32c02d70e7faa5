//! One number a row, most of them zero: lengths of the runs of zeros, and the other numbers.

use super::FrameError;
use super::varint::{Input, put, put_bytes};

/// Collects one number a row; most are zero.
#[derive(Debug, Default)]
pub(super) struct Sink {
    runs: Vec<u8>,
    values: Vec<u8>,
    /// Rows so far.
    next: usize,
}

impl Sink {
    /// Number of a row; rows in between are zero.
    pub(super) fn push(&mut self, row: usize, number: u64) {
        if number != 0 {
            put(&mut self.runs, (row - self.next) as u64);
            put(&mut self.values, number);
            self.next = row + 1;
        }
    }

    pub(super) const fn is_zero(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn finish(self, out: &mut Vec<u8>) {
        put_bytes(out, &self.runs);
        put_bytes(out, &self.values);
    }
}

/// Numbers written by [`Sink`].
#[derive(Debug)]
pub(super) struct Numbers<'a> {
    runs: Input<'a>,
    values: Input<'a>,
    next: usize,
    rows: usize,
}

impl<'a> Numbers<'a> {
    pub(super) fn new(input: &mut Input<'a>, rows: usize) -> Result<Self, FrameError> {
        Ok(Self { runs: input.part()?, values: input.part()?, next: 0, rows })
    }

    /// Next row whose number is not zero, and the number.
    pub(super) fn read(&mut self) -> Result<Option<(usize, u64)>, FrameError> {
        if self.runs.is_empty() {
            return if self.values.is_empty() { Ok(None) } else { Err(self.values.malformed()) };
        }
        let run = usize::try_from(self.runs.int()?).unwrap_or(usize::MAX);
        let row = self.next.saturating_add(run);
        if row >= self.rows {
            return Err(self.runs.malformed());
        }
        self.next = row + 1;
        Ok(Some((row, self.values.int()?)))
    }
}
