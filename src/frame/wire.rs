//! Frames as bytes: a header of fixed size with checksum and time, and a compressed payload.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | magic `SsF` and the number of this layout |
//! | 4 | 4 | length of the payload, bytes |
//! | 8 | 4 | CRC-32 (IEEE 802.3) of the payload |
//! | 12 | 1 | kind |
//! | 13 | 1 | flags: bit 0, the recording machine is big-endian; bit 1, the sample is redacted |
//! | 14 | 2 | schema |
//! | 16 | 8 | time of the sample, nanoseconds since 1970-01-01 UTC |
//! | 24 | 8 | time of the sample, nanoseconds since boot |
//! | 32 | 4 | CRC-32 of the header up to here: a damaged length is found before anything is read by it |
//!
//! Numbers are little-endian. The payload is one frame of zstd, after a skippable one with a summary (see `summary`).

use super::FrameError;
use crate::model::Stamp;
use std::io::{self, Read, Write};

/// Length of the header of a frame, bytes.
pub const HEADER_LEN: usize = 36;
/// Bytes of the header that its checksum covers.
const CHECKED: usize = 32;
/// Schema of what is written: raised when a column changes its meaning, not when one is added.
pub const SCHEMA: u16 = 1;
/// Longest payload, bytes, as in the file.
pub const MAX_FRAME: u32 = 128 << 20;

/// First bytes of every frame.
pub const MAGIC: [u8; 4] = *b"SsF1";
/// Longest payload after decompression, bytes: a key frame of a million sockets has about a third of it.
const MAX_PAYLOAD: u64 = 256 << 20;
/// Of zstd: the best ratio for the time, as measured on real samples.
const LEVEL: i32 = 3;
const BIG_ENDIAN: u8 = 1;
const REDACTED: u8 = 2;
/// Offset of the flags.
const FLAGS: usize = 13;

/// Kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Whole sample.
    Key,
    /// Difference from the sample before.
    Delta,
    /// End of a recording that was closed in order; no payload.
    End,
}

impl FrameKind {
    /// All with their numbers in a frame.
    const ALL: [(Self, u8); 3] = [(Self::Key, 1), (Self::Delta, 2), (Self::End, 3)];
}

/// Header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Kind.
    pub kind: FrameKind,
    /// Schema, at most [`SCHEMA`].
    pub schema: u16,
    /// Time of the sample.
    pub at: Stamp,
    /// True if the sample is redacted.
    pub redacted: bool,
    /// Length of the payload that follows, bytes.
    pub len: u32,
    /// CRC-32 of the payload.
    crc: u32,
}

/// A frame of a payload, after a summary: none, or one skippable frame of zstd.
pub fn seal(kind: FrameKind, at: Stamp, summary: &[u8], payload: &[u8]) -> Result<Vec<u8>, FrameError> {
    seal_pieces(kind, at, summary, std::iter::once(payload))
}

/// The same of a payload in pieces: that of a million sockets is held once, and what it is compressed to is not copied.
pub(super) fn seal_pieces<'a>(
    kind: FrameKind,
    at: Stamp,
    summary: &[u8],
    payload: impl Iterator<Item = &'a [u8]> + Clone,
) -> Result<Vec<u8>, FrameError> {
    let mut out = vec![0; HEADER_LEN];
    out.extend_from_slice(summary);
    let mut out = compress(payload, out).map_err(|e| FrameError::Compression(e.to_string()))?;
    let compressed = &out[HEADER_LEN..];
    let limit = u64::from(MAX_FRAME);
    let len = u32::try_from(compressed.len()).ok().filter(|n| *n <= MAX_FRAME);
    let Some(len) = len else {
        return Err(FrameError::TooLarge { subject: "bytes", value: compressed.len() as u64, limit });
    };
    let number = FrameKind::ALL.iter().find(|(k, _)| *k == kind).map_or(0, |(_, n)| *n);
    let mut header = Vec::with_capacity(HEADER_LEN);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&len.to_le_bytes());
    header.extend_from_slice(&crc32fast::hash(compressed).to_le_bytes());
    header.push(number);
    header.push(if cfg!(target_endian = "big") { BIG_ENDIAN } else { 0 });
    header.extend_from_slice(&SCHEMA.to_le_bytes());
    header.extend_from_slice(&at.unix_ns.to_le_bytes());
    header.extend_from_slice(&at.boot_ns.to_le_bytes());
    header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
    out[..HEADER_LEN].copy_from_slice(&header);
    Ok(out)
}

/// Appends the compressed payload. Its length is known before, as of one that is compressed as a whole.
fn compress<'a>(payload: impl Iterator<Item = &'a [u8]> + Clone, out: Vec<u8>) -> io::Result<Vec<u8>> {
    let len: usize = payload.clone().map(<[u8]>::len).sum();
    let mut encoder = zstd::stream::write::Encoder::new(out, LEVEL)?;
    encoder.set_pledged_src_size(Some(len as u64))?;
    for piece in payload {
        encoder.write_all(piece)?;
    }
    encoder.finish()
}

/// Marks a frame as one of a redacted sample.
pub(super) fn mark_redacted(frame: &mut [u8]) {
    if let Some(header) = frame.get_mut(..HEADER_LEN) {
        header[FLAGS] |= REDACTED;
        let crc = crc32fast::hash(&header[..CHECKED]);
        header[CHECKED..].copy_from_slice(&crc.to_le_bytes());
    }
}

fn bytes_at<const N: usize>(header: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&header[at..at + N]);
    out
}

/// Header of a frame.
pub fn head_of(header: &[u8; HEADER_LEN]) -> Result<FrameHead, FrameError> {
    if header[..4] != MAGIC {
        return Err(FrameError::Magic);
    }
    if crc32fast::hash(&header[..CHECKED]) != u32::from_le_bytes(bytes_at(header, CHECKED)) {
        return Err(FrameError::Checksum);
    }
    let len = u32::from_le_bytes(bytes_at(header, 4));
    if len > MAX_FRAME {
        let (value, limit) = (len.into(), MAX_FRAME.into());
        return Err(FrameError::TooLarge { subject: "bytes", value, limit });
    }
    let schema = u16::from_le_bytes(bytes_at(header, 14));
    if schema > SCHEMA {
        return Err(FrameError::Schema { found: schema, newest: SCHEMA });
    }
    let kind = FrameKind::ALL.iter().find(|(_, n)| *n == header[12]).map(|(k, _)| *k);
    let big_endian = header[FLAGS] & BIG_ENDIAN != 0;
    if big_endian != cfg!(target_endian = "big") {
        return Err(FrameError::ByteOrder);
    }
    Ok(FrameHead {
        kind: kind.ok_or(FrameError::Malformed("frame kind"))?,
        schema,
        at: Stamp {
            unix_ns: u64::from_le_bytes(bytes_at(header, 16)),
            boot_ns: u64::from_le_bytes(bytes_at(header, 24)),
        },
        redacted: header[FLAGS] & REDACTED != 0,
        len,
        crc: u32::from_le_bytes(bytes_at(header, 8)),
    })
}

impl FrameHead {
    /// True if the payload is the one that was written with this header.
    pub fn matches(&self, body: &[u8]) -> bool {
        body.len() == self.len as usize && crc32fast::hash(body) == self.crc
    }
}

/// Payload of a frame, verified and decompressed.
pub fn payload_of(head: &FrameHead, body: &[u8]) -> Result<Vec<u8>, FrameError> {
    payload_within(head, body, MAX_PAYLOAD)
}

/// The same with a bound on its length, bytes.
pub(super) fn payload_within(head: &FrameHead, body: &[u8], limit: u64) -> Result<Vec<u8>, FrameError> {
    let limit = limit.min(MAX_PAYLOAD);
    if !head.matches(body) {
        return Err(FrameError::Checksum);
    }
    let damaged = |e: io::Error| FrameError::Compression(e.to_string());
    let mut out = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(damaged)?;
    let read = decoder.take(limit + 1).read_to_end(&mut out).map_err(damaged)?;
    if read as u64 > limit {
        return Err(FrameError::TooLarge { subject: "bytes", value: read as u64, limit });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_is_found() {
        let at = Stamp { boot_ns: 5, unix_ns: 7 };
        let frame = seal(FrameKind::Key, at, b"", b"some payload").unwrap();
        let read = |frame: &[u8]| {
            let (header, body) = frame.split_at(HEADER_LEN);
            let head = head_of(header.try_into().unwrap())?;
            payload_of(&head, body).map(|payload| (head.kind, head.at, payload))
        };
        assert_eq!(read(&frame), Ok((FrameKind::Key, at, b"some payload".to_vec())));
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged).is_err(), "bit {bit}");
        }
    }
}
