//! Frames from a stream of bytes, which may be cut off or damaged.

use super::FrameError;
use super::sample::Decoder;
use super::wire::{FrameHead, FrameKind, HEADER_LEN, MAGIC, head_of};
use crate::model::Sample;
use std::io::{self, Read};

/// Bytes read at once.
const CHUNK: usize = 1 << 16;

/// Part of a stream that could not be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Bytes that belong to no whole frame.
    pub bytes: u64,
    /// Whole frames that need one that is missing or damaged.
    pub frames: u64,
}

/// One whole frame.
#[derive(Debug)]
pub struct RawFrame<'a> {
    /// Header.
    pub head: FrameHead,
    /// Payload, verified and compressed.
    pub body: &'a [u8],
    /// Bytes of the stream so far that belonged to no whole frame.
    pub skipped: u64,
}

/// Whole frames of a stream, in order. What is damaged is skipped up to the next frame.
#[derive(Debug)]
pub struct FrameReader<R> {
    input: R,
    buffer: Vec<u8>,
    /// Start of what was not used yet in `buffer`.
    start: usize,
    ended: bool,
    skipped_bytes: u64,
}

impl<R: Read> FrameReader<R> {
    /// Reads from the start of the stream.
    pub const fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), start: 0, ended: false, skipped_bytes: 0 }
    }

    /// Bytes that belonged to no whole frame so far.
    pub const fn skipped_bytes(&self) -> u64 {
        self.skipped_bytes
    }

    /// Next whole frame. `None` at the end of the stream.
    ///
    /// A frame of a newer schema or of the other byte order is an error of its own, after which the next call continues with the
    /// frame that follows.
    pub fn read(&mut self) -> io::Result<Option<Result<RawFrame<'_>, FrameError>>> {
        loop {
            if !self.fill(HEADER_LEN)? {
                self.skip(self.buffer.len() - self.start);
                return Ok(None);
            }
            let Some(header) = self.buffer[self.start..].first_chunk::<HEADER_LEN>() else { return Ok(None) };
            let head = match head_of(header) {
                Ok(head) => head,
                Err(e @ (FrameError::Schema { .. } | FrameError::ByteOrder)) => {
                    self.skip(1);
                    self.resync()?;
                    return Ok(Some(Err(e)));
                }
                Err(_) => {
                    self.skip(1);
                    self.resync()?;
                    continue;
                }
            };
            let whole = HEADER_LEN + head.len as usize;
            let is_whole = self.fill(whole)?;
            let body = self.start + HEADER_LEN..self.start + whole;
            if is_whole && self.buffer.get(body.clone()).is_some_and(|b| head.matches(b)) {
                self.start += whole;
                let skipped = self.skipped_bytes;
                return Ok(self.buffer.get(body).map(|body| Ok(RawFrame { head, body, skipped })));
            }
            self.skip(1);
            self.resync()?;
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.start += bytes;
        self.skipped_bytes += bytes as u64;
    }

    /// Skips to what looks like the start of a frame.
    fn resync(&mut self) -> io::Result<()> {
        while self.fill(MAGIC.len())? {
            let rest = &self.buffer[self.start..];
            match rest.windows(MAGIC.len()).position(|w| w == MAGIC) {
                Some(n) => {
                    self.skip(n);
                    return Ok(());
                }
                None => self.skip(rest.len() + 1 - MAGIC.len()),
            }
        }
        Ok(())
    }

    /// Reads until `wanted` bytes are there; false if the stream ends before.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        while self.buffer.len() - self.start < wanted {
            if self.ended {
                return Ok(false);
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            let used = self.buffer.len();
            self.buffer.resize(used + CHUNK.max((wanted - used).min(CHUNK * 16)), 0);
            let read = loop {
                match self.input.read(&mut self.buffer[used..]) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            self.buffer.truncate(used + *read.as_ref().unwrap_or(&0));
            self.ended = read? == 0;
        }
        Ok(true)
    }
}

/// Samples of a stream of frames.
#[derive(Debug)]
pub struct Frames<R> {
    reader: FrameReader<R>,
    decoder: Decoder,
    unreadable: u64,
    skipped_before: u64,
    /// The last frame was the one that ends a recording in order.
    closed: bool,
}

impl<R: Read> Frames<R> {
    /// Reads from the start of the stream.
    pub fn new(input: R) -> Self {
        let (reader, decoder) = (FrameReader::new(input), Decoder::new());
        Self { reader, decoder, unreadable: 0, skipped_before: 0, closed: false }
    }

    /// Parts that could not be used so far.
    pub const fn skipped(&self) -> Skipped {
        Skipped { bytes: self.reader.skipped_bytes, frames: self.unreadable }
    }

    /// True if the stream was closed in order: its writer was not killed.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Next sample; `None` at the end. After a damaged part the next one is that of the next key frame. A frame of a newer schema
    /// or of the other byte order is an error.
    pub fn sample(&mut self) -> io::Result<Option<Result<&Sample, FrameError>>> {
        loop {
            let Some(frame) = self.reader.read()? else { return Ok(None) };
            let RawFrame { head, body, skipped } = match frame {
                Ok(frame) => frame,
                Err(e) => return Ok(Some(Err(e))),
            };
            self.closed = head.kind == FrameKind::End;
            if self.closed {
                continue;
            }
            // Bytes were skipped: the frame before is not the one that this one was written after.
            if skipped != self.skipped_before {
                self.skipped_before = skipped;
                self.decoder.reset();
            }
            // The borrow of the sample ends where it is not returned.
            if self.decoder.frame(&head, body).is_ok() {
                return Ok(self.decoder.last().map(Ok));
            }
            self.unreadable += 1;
        }
    }
}
