//! Frames of the last minutes in memory.

use super::RecordingError;
use crate::frame::{Decoder, Encoder, FrameError, HEADER_LEN, head_of};
use crate::model::{Mark, Sample, Snapshot};
use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

/// Frames from one key frame to the next: a step back reads at most this many.
const CHUNK: usize = 20;
/// The same where a key frame is larger than [`LARGE`]: there each delta takes tens of milliseconds.
const CHUNK_OF_LARGE: usize = 5;
/// Bytes of the key frame of some fifty thousand sockets.
const LARGE: usize = 1 << 20;

#[derive(Debug)]
struct Frame {
    mark: Mark,
    bytes: Box<[u8]>,
}

/// Samples of the last minutes, within a time and a number of bytes.
#[derive(Debug)]
pub struct Ring {
    keep: Duration,
    max_bytes: usize,
    encoder: Encoder,
    /// Each begins with a key frame.
    chunks: VecDeque<Vec<Frame>>,
    bytes: usize,
}

impl Ring {
    /// An empty ring. Neither limit is exceeded by more than one chunk.
    pub fn new(keep: Duration, max_bytes: usize) -> Self {
        Self { keep, max_bytes, encoder: Encoder::new(), chunks: VecDeque::new(), bytes: 0 }
    }

    /// Adds the sample of a snapshot; `before` is the snapshot of the previous call.
    pub fn push(&mut self, snap: &Snapshot, before: Option<&Snapshot>) -> Result<(), FrameError> {
        let frame = self.encode(&snap.sample, before.map(|s| &s.sample))?;
        self.add(frame, snap);
        Ok(())
    }

    /// Frame of a sample for [`Self::add`]; `before` is the sample of the previous call. A sample has a frame before its snapshot has
    /// been derived: while it is written, that takes no memory yet.
    pub fn encode(&mut self, sample: &Sample, before: Option<&Sample>) -> Result<Box<[u8]>, FrameError> {
        let is_whole = |c: &Vec<Frame>| {
            let is_large = c.first().is_some_and(|key| key.bytes.len() > LARGE);
            c.len() >= if is_large { CHUNK_OF_LARGE } else { CHUNK }
        };
        if self.chunks.back().is_none_or(is_whole) {
            self.encoder.restart();
        }
        let frame = self.encoder.frame(sample, before);
        Ok(frame.inspect_err(|_| self.encoder.restart())?.into_boxed_slice())
    }

    /// Adds the frame of the sample of a snapshot, the last that was made.
    pub fn add(&mut self, bytes: Box<[u8]>, snap: &Snapshot) {
        // What the first one has began before it.
        let alert = Some(!self.chunks.is_empty() && snap.has_new_alert());
        let mark = Mark { at: snap.sample.at, alert, states: Some(snap.states) };
        self.bytes += bytes.len();
        let frame = Frame { mark, bytes };
        match self.chunks.back_mut() {
            Some(chunk) if !self.encoder.is_at_key() => chunk.push(frame),
            _ => self.chunks.push_back(vec![frame]),
        }
        let oldest = mark.at.boot_ns.saturating_sub(u64::try_from(self.keep.as_nanos()).unwrap_or(u64::MAX));
        while self.chunks.len() > 1
            && (self.bytes > self.max_bytes || self.chunks[1][0].mark.at.boot_ns < oldest)
        {
            let gone = self.chunks.pop_front().unwrap_or_default();
            self.bytes -= gone.iter().map(|f| f.bytes.len()).sum::<usize>();
        }
    }

    /// Bytes of all frames.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn place(&self, number: usize) -> Option<(usize, usize)> {
        let mut left = number;
        for (c, chunk) in self.chunks.iter().enumerate() {
            if left < chunk.len() {
                return Some((c, left));
            }
            left -= chunk.len();
        }
        None
    }
}

/// Samples by number, oldest first.
pub trait Moments: Send {
    /// Number of samples.
    fn len(&self) -> usize;

    /// True without samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Figures of a sample.
    fn mark(&self, number: usize) -> Option<Mark>;

    /// Reads samples one after the other, until `each` returns false. One that cannot be read is left out.
    fn read(
        &mut self,
        numbers: Range<usize>,
        each: &mut dyn FnMut(usize, &Sample) -> bool,
    ) -> Result<(), RecordingError>;

    /// Number of the last sample that is not later than a time, nanoseconds since 1970; the first if all are.
    fn number_at(&self, unix_ns: u64) -> usize {
        let found = (0..self.len()).rfind(|n| self.mark(*n).is_some_and(|m| m.at.unix_ns <= unix_ns));
        found.unwrap_or(0)
    }
}

impl Moments for Ring {
    fn len(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }

    fn mark(&self, number: usize) -> Option<Mark> {
        let (chunk, frame) = self.place(number)?;
        Some(self.chunks[chunk][frame].mark)
    }

    fn read(
        &mut self,
        numbers: Range<usize>,
        each: &mut dyn FnMut(usize, &Sample) -> bool,
    ) -> Result<(), RecordingError> {
        let Some((first, skipped)) = self.place(numbers.start) else { return Ok(()) };
        let mut decoder = Decoder::new();
        let chunks = self.chunks.iter().skip(first).flatten();
        for (n, frame) in (numbers.start - skipped..numbers.end).zip(chunks) {
            decode(&mut decoder, &frame.bytes)
                .map_err(|source| RecordingError::Frame { path: PathBuf::from("memory"), source })?;
            if n >= numbers.start && !decoder.last().is_none_or(|s| each(n, s)) {
                break;
            }
        }
        Ok(())
    }
}

fn decode(decoder: &mut Decoder, bytes: &[u8]) -> Result<(), FrameError> {
    let (header, body) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(FrameError::Truncated("header"))?;
    decoder.frame(&head_of(header)?, body).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::canonical;
    use crate::testing;

    /// Snapshots a second apart, each with a socket less.
    fn snapshots(n: usize) -> Vec<Snapshot> {
        let mut snap = testing::many(n + 10);
        (snap.sample.at.boot_ns, snap.sample.at.unix_ns) = (1_000_000_000, 1_777_885_200_000_000_000);
        canonical(&mut snap.sample);
        let next = |_| {
            let now = snap.clone();
            snap.sample.at.boot_ns += 1_000_000_000;
            snap.sample.at.unix_ns += 1_000_000_000;
            snap.sample.sockets.remove(0);
            canonical(&mut snap.sample);
            now
        };
        (0..n).map(next).collect()
    }

    fn filled(ring: &mut Ring, snaps: &[Snapshot]) {
        for (i, s) in snaps.iter().enumerate() {
            ring.push(s, i.checked_sub(1).map(|j| &snaps[j])).unwrap();
        }
    }

    #[test]
    fn any_moments_are_read_back() {
        let snaps = snapshots(50);
        let mut ring = Ring::new(Duration::from_secs(600), usize::MAX);
        filled(&mut ring, &snaps);
        assert_eq!(ring.len(), 50);
        for numbers in [0..1, 49..50, 3..41, 20..21, 19..50, 0..50, 45..90, 60..90, 7..7] {
            let mut read = Vec::new();
            ring.read(numbers.clone(), &mut |n, sample| {
                assert!(*sample == snaps[n].sample, "{n}");
                read.push(n);
                true
            })
            .unwrap();
            assert_eq!(read, numbers.filter(|n| *n < 50).collect::<Vec<_>>());
        }
        let mut read = 0;
        ring.read(10..50, &mut |n, _| {
            read += 1;
            n < 12
        })
        .unwrap();
        assert_eq!(read, 3, "10, 11, 12");
        let at = |n: usize| snaps[n].sample.at.unix_ns;
        for (ns, want) in [(at(7), 7), (at(7) + 1, 7), (0, 0), (u64::MAX, 49)] {
            assert_eq!(ring.number_at(ns), want);
        }
    }

    #[test]
    fn time_and_bytes_are_bounded() {
        let snaps = snapshots(200);
        let mut ring = Ring::new(Duration::from_secs(60), usize::MAX);
        filled(&mut ring, &snaps);
        assert!((60..60 + 2 * CHUNK).contains(&ring.len()), "{}", ring.len());
        assert_eq!(ring.mark(ring.len() - 1).unwrap().at, snaps[199].sample.at);
        let all = ring.bytes() / ring.len();
        let mut ring = Ring::new(Duration::MAX, all * 50);
        filled(&mut ring, &snaps);
        assert!(ring.bytes() <= all * 50 + all * CHUNK * 3 && ring.len() < 200, "{}", ring.len());
        let mut read = 0;
        ring.read(0..1, &mut |_, _| {
            read += 1;
            true
        })
        .unwrap();
        assert_eq!(read, 1);
    }
}
