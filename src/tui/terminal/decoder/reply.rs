//! Strings of the terminal: `ESC ]`, `ESC P` and the like, up to BEL or `ESC \`.

use super::{Received, Step};

/// Query of the background colour (OSC 11).
pub(crate) const BACKGROUND: &str = "\x1b]11;?\x1b\\";
/// Query answered once everything before it is processed (DSR 5): `ESC [ 0 n`. Every terminal answers it.
pub(crate) const READY: &str = "\x1b[5n";

/// A string sequence; one longer than `longest` bytes is dropped.
pub(super) fn string(b: &[u8], longest: usize) -> Step {
    let end = b[2..].iter().position(|c| matches!(c, 0x07 | 0x1b)).map(|n| n + 2);
    match end {
        None if b.len() > longest => Step::Took(b.len(), None),
        None => Step::Incomplete,
        Some(n) if b[n] == 0x07 => Step::Took(n + 1, reply(&b[1..n])),
        Some(n) => match b.get(n + 1) {
            None => Step::Incomplete,
            Some(b'\\') => Step::Took(n + 2, reply(&b[1..n])),
            // Another sequence interrupts it.
            Some(_) => Step::Took(n, None),
        },
    }
}

fn reply(body: &[u8]) -> Option<Received> {
    let text = std::str::from_utf8(body).ok()?;
    color(text.strip_prefix("]11;")?).map(Received::Background)
}

/// `rgb:RRRR/GGGG/BBBB`, one to four digits each (XParseColor(3)); `rgba:` has one more; `#RRGGBB` of old ones.
fn color(text: &str) -> Option<u32> {
    if let Some(hex) = text.strip_prefix('#').filter(|h| h.len() == 6) {
        return u32::from_str_radix(hex, 16).ok();
    }
    let digits = text.strip_prefix("rgb:").or_else(|| text.strip_prefix("rgba:"))?;
    let mut parts = digits.split('/').map(|part| {
        let most = (1u32 << (4 * part.len().min(4) as u32)) - 1;
        u32::from_str_radix(part, 16).ok().filter(|_| (1..=4).contains(&part.len())).map(|n| n * 255 / most)
    });
    let mut next = || parts.next().flatten();
    Some(next()? << 16 | next()? << 8 | next()?)
}
