//! Frames: samples as bytes, for the scrollback of the dashboard, for recordings, and for streams between processes and hosts.
//!
//! A *key* frame holds a whole sample, a *delta* frame what differs from the sample before. A sample is a set of tables
//! (sockets, owners, processes, tracked connections, events) and of parts (everything else, by the names of their fields). A table
//! is written column by column, each with its name, so that a reader skips a column it does not know and leaves one that is
//! missing at its default. Nothing depends on the order of fields in a struct.
//!
//! Frames are exact: what a [`Decoder`] returns equals what was given to the [`Encoder`], row order included. A time that is
//! reported as "milliseconds ago" or "milliseconds left" changes in every sample although nothing happens. Such a column is
//! predicted by the time between the two samples, and only the difference from the prediction is written: nearly always zero,
//! because the kernel reads all of them with the same clock.
//!
//! Frames come from other hosts and from files of others: sizes and counts are bounded before anything is allocated for
//! them, what a frame makes in memory has a limit ([`Decoder::within`]), and no input panics (`fuzz/`).

mod dns;
mod events;
mod flows;
mod ints;
mod memory;
mod owners;
mod pairs;
mod parts;
mod processes;
mod reader;
mod runs;
mod sample;
mod sockets;
mod summary;
mod table;
mod texts;
mod varint;
mod wire;

pub use memory::MAX_MEMORY;
pub use reader::{FrameReader, Frames, RawFrame, Skipped};
#[cfg(any(test, fuzzing))]
pub(crate) use sample::from_payloads;
#[cfg(test)]
pub(crate) use sample::payloads;
pub use sample::{Checkpoint, Decoder, Encoder, canonical};
pub use summary::{MAX_SUMMARY, states_of};
pub use wire::{FrameHead, FrameKind, HEADER_LEN, MAGIC, MAX_FRAME, SCHEMA, head_of, payload_of, seal};

/// Error in a frame. Nothing of the frame is used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Data ends early.
    #[error("frame is cut off in {0}")]
    Truncated(&'static str),
    /// Bytes that no version writes.
    #[error("frame is malformed in {0}")]
    Malformed(&'static str),
    /// A size or count above its bound.
    #[error("frame announces {value} {subject}, more than the {limit} allowed")]
    TooLarge {
        /// Counted thing.
        subject: &'static str,
        /// Announced number.
        value: u64,
        /// Bound.
        limit: u64,
    },
    /// No frame starts here.
    #[error("not a frame of a recording")]
    Magic,
    /// Checksum (CRC-32) of header or payload differs.
    #[error("checksum of the frame is wrong")]
    Checksum,
    /// Written by a newer version.
    #[error("frame has schema {found}; this version reads up to {newest}")]
    Schema {
        /// Its schema number.
        found: u16,
        /// Newest known.
        newest: u16,
    },
    /// Written on a machine of the other byte order: kernel structures are recorded as received.
    #[error("frame was recorded on a machine of the other byte order")]
    ByteOrder,
    /// Delta frame without the sample before.
    #[error("frame needs its predecessor, which is missing")]
    NoKey,
    /// Compressed data is damaged (zstd).
    #[error("frame cannot be decompressed: {0}")]
    Compression(String),
}
