//! Figures of a sample in front of its payload, so that a chart of a recording needs no more of it.
//!
//! They stand in a skippable frame of zstd (RFC 8878, 3.1.2), which readers of the payload pass over.

use super::varint::{self, Input};
use crate::model::{Sample, State, StateCounts};

/// Magic number of the skippable frame.
const MAGIC: [u8; 4] = 0x184D_2A50_u32.to_le_bytes();
/// Magic number and length.
const HEADER: usize = 8;
/// Longest skippable frame: its header, and a state and a number of at most five bytes for each state.
pub const MAX_SUMMARY: usize = HEADER + 6 * State::COUNT;

/// Most sockets in one state, so that sums of an untrusted file do not overflow.
const MOST_SOCKETS: u32 = 1 << 27;

/// Number of a state in a file: that of `enum tcp_states`, and others above.
fn number(state: State) -> u8 {
    match state {
        State::Unconn => 32,
        State::Forwarded => 33,
        other => other.info().kernel,
    }
}

/// Figures of a sample as bytes.
pub(super) fn encode(sample: &Sample) -> Vec<u8> {
    let mut states = StateCounts::default();
    sample.sockets.iter().for_each(|s| states.add(s.state));
    let mut figures = Vec::new();
    for (state, n) in states.present() {
        figures.push(number(state));
        varint::put(&mut figures, n.into());
    }
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&(figures.len() as u32).to_le_bytes());
    out.append(&mut figures);
    out
}

/// Sockets by state, from the first bytes after the header of a frame; `None` if they are not there.
pub fn states_of(body: &[u8]) -> Option<StateCounts> {
    let (header, rest) = body.split_at_checked(HEADER)?;
    let (magic, len) = header.split_at(MAGIC.len());
    let len = u32::from_le_bytes(len.try_into().ok()?) as usize;
    let figures = rest.get(..len).filter(|_| magic == MAGIC && len <= MAX_SUMMARY - HEADER)?;
    let mut figures = Input::new(figures, "summary");
    let mut states = StateCounts::default();
    while let Ok(n) = figures.byte() {
        let count = figures.int().ok().and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= MOST_SOCKETS)?;
        // A state that is not known here is left out.
        if let Some(state) = State::all().find(|s| number(*s) == n) {
            states.set(state, count);
        }
    }
    Some(states)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn states_are_read_from_the_first_bytes() {
        let snap = testing::many(300);
        let mut wanted = StateCounts::default();
        snap.sample.sockets.iter().for_each(|s| wanted.add(s.state));
        let bytes = encode(&snap.sample);
        assert!(bytes.len() <= MAX_SUMMARY);
        assert_eq!(states_of(&bytes), Some(wanted));
        for cut in 0..bytes.len() {
            assert_eq!(states_of(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(states_of(b"neither a magic number nor a length"), None);
    }

    #[test]
    fn states_have_distinct_numbers() {
        let mut numbers: Vec<u8> = State::all().map(number).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|w| w[0] < w[1]), "{numbers:?}");
    }

    #[test]
    fn numbers_of_a_hostile_file_are_refused() {
        let frame = |figures: &[u8]| {
            let mut out = MAGIC.to_vec();
            out.extend_from_slice(&(figures.len() as u32).to_le_bytes());
            out.extend_from_slice(figures);
            states_of(&out)
        };
        assert_eq!(frame(&[]), Some(StateCounts::default()));
        assert_eq!(frame(&[200, 1]), Some(StateCounts::default()), "a state that is not known");
        assert_eq!(frame(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f]), None, "too many");
        assert_eq!(frame(&[1]), None, "cut off");
        assert_eq!(frame(&[1; MAX_SUMMARY]), None, "too long");
    }
}
