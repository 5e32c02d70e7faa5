//! Integers of variable length (LEB128), and bounded reading.

use super::FrameError;

/// Appends an integer: seven bits a byte, low ones first, the top bit set on all but the last.
pub(super) fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends bytes with their length.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Signed difference as an integer that is small for small differences of either sign.
pub(super) const fn zigzag(n: u64) -> u64 {
    let n = n as i64;
    ((n << 1) ^ (n >> 63)) as u64
}

/// Inverse of [`zigzag`].
pub(super) const fn unzigzag(n: u64) -> u64 {
    (n >> 1) ^ (n & 1).wrapping_neg()
}

/// Rest of an input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    rest: &'a [u8],
    /// Name of the section, for errors.
    pub(super) section: &'static str,
}

impl<'a> Input<'a> {
    pub(super) const fn new(bytes: &'a [u8], section: &'static str) -> Self {
        Self { rest: bytes, section }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn byte(&mut self) -> Result<u8, FrameError> {
        let (first, rest) = self.rest.split_first().ok_or(FrameError::Truncated(self.section))?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn int(&mut self) -> Result<u64, FrameError> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            // The tenth byte has one bit left.
            if shift == 63 && b > 1 {
                break;
            }
            n |= u64::from(b & 0x7f) << shift;
            if b < 0x80 {
                return Ok(n);
            }
        }
        Err(FrameError::Malformed(self.section))
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(FrameError::Truncated(self.section))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Bytes written by [`put_bytes`].
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], FrameError> {
        let n = self.int()?;
        self.take(usize::try_from(n).unwrap_or(usize::MAX))
    }

    /// Part written by [`put_bytes`], as an input of its own.
    pub(super) fn part(&mut self) -> Result<Self, FrameError> {
        Ok(Self::new(self.bytes()?, self.section))
    }

    pub(super) const fn malformed(&self) -> FrameError {
        FrameError::Malformed(self.section)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integer_survives(n: u64) {
            let mut out = Vec::new();
            put(&mut out, n);
            let mut input = Input::new(&out, "test");
            prop_assert_eq!((input.int().unwrap(), input.is_empty()), (n, true));
            prop_assert_eq!(unzigzag(zigzag(n)), n);
        }

        #[test]
        fn any_bytes_are_an_integer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut input = Input::new(&bytes, "test");
            if let Ok(n) = input.int() {
                let mut again = Vec::new();
                put(&mut again, n);
                prop_assert!(again.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn integer_of_more_than_64_bits_is_refused() {
        let mut bytes = vec![0xff; 9];
        bytes.push(2);
        assert_eq!(Input::new(&bytes, "test").int(), Err(FrameError::Malformed("test")));
        bytes[9] = 1;
        assert_eq!(Input::new(&bytes, "test").int(), Ok(u64::MAX));
    }
}
