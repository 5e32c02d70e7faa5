//! Bytes of the terminal to events: keys, mouse, pastes, and replies to queries.
//!
//! Sequences as of xterm (its "Control Sequences"), the Linux console (`console_codes(4)`), urxvt(7) and st. Its
//! own, because a reply to a query must never pass as keys, and because what other parsers drop or misread is in
//! daily use: urxvt's modified arrows (`ESC ESC [ D`, `ESC [ c`), st's Delete (`ESC [ P`), the keypad.

mod csi;
mod reply;

pub(super) use reply::{BACKGROUND, READY};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

/// Item that the terminal sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// Key, mouse or paste.
    Input(Event),
    /// Its background: red, green and blue, eight bits each (reply to OSC 11).
    Background(u32),
    /// It has processed everything sent before the query (reply to DSR 5).
    Ready,
}

/// Longest string sequence (OSC, DCS) that is waited for, in bytes.
const LONGEST_STRING: usize = 4096;
/// Start and end of a bracketed paste.
const PASTE: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// Result of reading one item at the start of the bytes.
enum Step {
    /// An item of that many bytes.
    Took(usize, Option<Received>),
    /// More bytes are needed.
    Incomplete,
}

/// Decoder of a stream of bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// Text of an unfinished paste.
    paste: Option<Vec<u8>>,
}

impl Decoder {
    /// True if bytes are held that may be the start of a sequence.
    pub const fn is_holding(&self) -> bool {
        !self.bytes.is_empty() && self.paste.is_none()
    }

    /// Adds bytes and returns what is complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Received> {
        self.bytes.extend_from_slice(bytes);
        self.take(false)
    }

    /// Returns the held bytes as keys: nothing follows them, so Escape was a key.
    pub fn release(&mut self) -> Vec<Received> {
        self.take(true)
    }

    fn take(&mut self, last: bool) -> Vec<Received> {
        let (mut out, mut at) = (Vec::new(), 0);
        while at < self.bytes.len() {
            let rest = &self.bytes[at..];
            if let Some(text) = &mut self.paste {
                let end = rest.windows(PASTE_END.len()).position(|w| w == PASTE_END);
                // The end may come in two parts.
                let n = end.unwrap_or_else(|| rest.len().saturating_sub(PASTE_END.len() - 1));
                text.extend_from_slice(&rest[..n]);
                at += n;
                if end.is_none() {
                    break;
                }
                at += PASTE_END.len();
                let text = self.paste.take().unwrap_or_default();
                out.push(Received::Input(Event::Paste(String::from_utf8_lossy(&text).into_owned())));
                continue;
            }
            if rest.starts_with(PASTE) {
                self.paste = Some(Vec::new());
                at += PASTE.len();
                continue;
            }
            match step(rest) {
                Step::Took(n, item) => {
                    out.extend(item);
                    at += n.max(1);
                }
                Step::Incomplete if last => {
                    let (n, item) = as_keys(rest);
                    out.extend(item);
                    at += n;
                }
                Step::Incomplete => break,
            }
        }
        self.bytes.drain(..at);
        out
    }
}

/// A key with modifiers.
const fn key(code: KeyCode, modifiers: KeyModifiers) -> Received {
    Received::Input(Event::Key(KeyEvent::new(code, modifiers)))
}

/// The same item with another modifier.
fn with(item: Option<Received>, more: KeyModifiers) -> Option<Received> {
    match item {
        Some(Received::Input(Event::Key(k))) => Some(key(k.code, k.modifiers | more)),
        other => other,
    }
}

/// The item at the start of these bytes, of which there is at least one.
fn step(b: &[u8]) -> Step {
    if b[0] != 0x1b {
        return character(b);
    }
    match b.get(1) {
        None => Step::Incomplete,
        Some(b'[') => csi::sequence(b),
        Some(b'O') => ss3(b),
        Some(b']') => reply::string(b, LONGEST_STRING),
        Some(b'P' | b'_' | b'^' | b'X') if b.len() > 2 => reply::string(b, LONGEST_STRING),
        // urxvt marks Alt by one more Escape.
        Some(0x1b) => match b.get(2) {
            None => Step::Incomplete,
            Some(b'[' | b'O') => match step(&b[1..]) {
                Step::Took(n, item @ Some(Received::Input(Event::Key(_)))) => {
                    Step::Took(n + 1, with(item, KeyModifiers::ALT))
                }
                // A reply, the mouse or a paste right behind the key: each frame is answered by one.
                Step::Took(..) => Step::Took(1, Some(key(KeyCode::Esc, KeyModifiers::NONE))),
                Step::Incomplete => Step::Incomplete,
            },
            Some(_) => Step::Took(1, Some(key(KeyCode::Esc, KeyModifiers::NONE))),
        },
        Some(_) => match character(&b[1..]) {
            Step::Took(n, item) => Step::Took(n + 1, with(item, KeyModifiers::ALT)),
            Step::Incomplete => Step::Incomplete,
        },
    }
}

/// The first bytes as one key, when the sequence they may start does not go on.
fn as_keys(b: &[u8]) -> (usize, Option<Received>) {
    match (b[0], b.get(1)) {
        (0x1b, Some(next @ 0x20..0x7f)) => {
            (2, Some(key(KeyCode::Char(char::from(*next)), KeyModifiers::ALT)))
        }
        (0x1b, _) => (1, Some(key(KeyCode::Esc, KeyModifiers::NONE))),
        // Part of a UTF-8 character.
        _ => (b.len(), None),
    }
}

/// A character or a control code.
fn character(b: &[u8]) -> Step {
    let plain = KeyModifiers::NONE;
    let control = |c: u8| Some(key(KeyCode::Char(char::from(c)), KeyModifiers::CONTROL));
    let item = match b[0] {
        // Line feed: the keypad's Enter on some terminals, Ctrl-J on the others, where it is Enter to every shell.
        b'\r' | b'\n' => Some(key(KeyCode::Enter, plain)),
        b'\t' => Some(key(KeyCode::Tab, plain)),
        // Both are sent by the Backspace key, by setting of the terminal.
        0x7f | 0x08 => Some(key(KeyCode::Backspace, plain)),
        0 => control(b' '),
        c @ 1..=0x1a => control(c - 1 + b'a'),
        c @ 0x1c..=0x1f => control(c - 0x1c + b'4'),
        _ => return utf8(b),
    };
    Step::Took(1, item)
}

fn utf8(b: &[u8]) -> Step {
    let len = match b[0] {
        0x20..0x80 => 1,
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return Step::Took(1, None),
    };
    let end = b.len().min(len);
    match std::str::from_utf8(&b[..end]) {
        Ok(text) => {
            let item = text.chars().next().map(|c| {
                let shift = if c.is_uppercase() { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
                key(KeyCode::Char(c), shift)
            });
            Step::Took(end, item)
        }
        // No error in what is there, but it is not all.
        Err(e) if e.error_len().is_none() => Step::Incomplete,
        Err(_) => Step::Took(1, None),
    }
}

/// `ESC O` and one byte: arrows in application mode, function keys, the keypad.
fn ss3(b: &[u8]) -> Step {
    let Some(last) = b.get(2) else { return Step::Incomplete };
    let (plain, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
    let item = match last {
        b'A'..=b'D' | b'F' | b'H' => csi::motion(*last).map(|code| key(code, plain)),
        b'P'..=b'S' => Some(key(KeyCode::F(last - b'P' + 1), plain)),
        b'M' => Some(key(KeyCode::Enter, plain)),
        b'I' => Some(key(KeyCode::Tab, plain)),
        // urxvt: Ctrl with an arrow.
        b'a'..=b'd' => csi::motion(last.to_ascii_uppercase()).map(|code| key(code, control)),
        b'j'..=b'y' => Some(key(KeyCode::Char(char::from(last - b'j' + b'*')), plain)),
        b'X' => Some(key(KeyCode::Char('='), plain)),
        // Escape or another sequence after Alt-O.
        0x00..0x20 | 0x7f.. => return Step::Took(2, Some(key(KeyCode::Char('O'), KeyModifiers::ALT))),
        _ => None,
    };
    Step::Took(3, item)
}

#[cfg(test)]
mod tests;
