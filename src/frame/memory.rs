//! Memory that one frame may take, counted while it is read.
//!
//! Compression, dictionaries and rows that refer to the sample before make a sample of any size from a few bytes. So what is made
//! from a frame is counted where it is made, against a limit for the whole of it.

use super::FrameError;
use std::cell::Cell;

/// Limit of a frame whose reader has no other, bytes: about four times a sample of a million sockets.
pub const MAX_MEMORY: u64 = 4 << 30;

/// Memory left.
#[derive(Debug)]
pub(super) struct Memory {
    left: Cell<u64>,
    limit: u64,
}

impl Memory {
    pub(super) const fn new(limit: u64) -> Self {
        Self { left: Cell::new(limit), limit }
    }

    /// Counts what is about to be made.
    pub(super) fn take(&self, bytes: usize) -> Result<(), FrameError> {
        self.fits(bytes)?;
        self.left.set(self.left.get() - bytes as u64);
        Ok(())
    }

    /// Refuses what does not fit, without counting it.
    pub(super) fn fits(&self, bytes: usize) -> Result<(), FrameError> {
        let (bytes, limit) = (bytes as u64, self.limit);
        if bytes <= self.left.get() {
            return Ok(());
        }
        let value = (limit - self.left.get()).saturating_add(bytes);
        Err(FrameError::TooLarge { subject: "bytes of memory", value, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_refused_from_the_limit_on() {
        let memory = Memory::new(100);
        assert_eq!((memory.take(60), memory.fits(40), memory.take(40)), (Ok(()), Ok(()), Ok(())));
        let e = FrameError::TooLarge { subject: "bytes of memory", value: 101, limit: 100 };
        assert_eq!(memory.take(1), Err(e));
        assert!(memory.take(usize::MAX).is_err());
    }
}
