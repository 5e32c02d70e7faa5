//! Frames in a file, found by their headers.

use crate::frame::{FrameError, FrameHead, HEADER_LEN, MAX_SUMMARY, head_of, states_of};
use crate::model::StateCounts;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes searched at once for the next frame after a damaged one.
const SEARCHED: usize = 1 << 16;

/// Next header at or after `offset`, which becomes its place, and sockets by state. What is damaged is skipped.
pub(super) fn next_head(
    file: &File,
    len: u64,
    offset: &mut u64,
    refused: &mut Option<FrameError>,
) -> io::Result<Option<(FrameHead, Option<StateCounts>)>> {
    let mut start = [0; HEADER_LEN + MAX_SUMMARY];
    loop {
        let whole = len.saturating_sub(*offset).min(start.len() as u64) as usize;
        file.read_exact_at(&mut start[..whole], *offset)?;
        let Some((header, body)) = start[..whole].split_first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        match head_of(header) {
            Ok(head) if *offset + HEADER_LEN as u64 + u64::from(head.len) <= len => {
                let body = &body[..body.len().min(head.len as usize)];
                return Ok(Some((head, states_of(body))));
            }
            Err(e @ (FrameError::Schema { .. } | FrameError::ByteOrder)) => {
                refused.get_or_insert(e);
            }
            // Damaged, or cut off: a whole frame can follow where a file was written to again.
            Ok(_) | Err(_) => {}
        }
        match find_magic(file, len, *offset + 1)? {
            Some(next) => *offset = next,
            None => return Ok(None),
        }
    }
}

/// Place of the next bytes that look like a frame.
fn find_magic(file: &File, len: u64, from: u64) -> io::Result<Option<u64>> {
    let magic = crate::frame::MAGIC;
    let mut buffer = vec![0; SEARCHED];
    let mut from = from;
    while from + magic.len() as u64 <= len {
        let wanted = SEARCHED.min((len - from) as usize);
        file.read_exact_at(&mut buffer[..wanted], from)?;
        if let Some(n) = buffer[..wanted].windows(magic.len()).position(|w| w == magic) {
            return Ok(Some(from + n as u64));
        }
        from += (wanted + 1 - magic.len()) as u64;
    }
    Ok(None)
}

/// Length of a file up to the end of its last whole frame.
pub(super) fn whole_length(file: &File) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let (mut offset, mut end) = (0, 0);
    while let Some((head, _)) = next_head(file, len, &mut offset, &mut None)? {
        let body = offset + HEADER_LEN as u64;
        offset = body + u64::from(head.len);
        // The last one can have its length and not its bytes: a file system that was not synced.
        if offset == len {
            let mut bytes = vec![0; head.len as usize];
            file.read_exact_at(&mut bytes, body)?;
            if !head.matches(&bytes) {
                return Ok(end);
            }
        }
        end = offset;
    }
    Ok(end)
}
