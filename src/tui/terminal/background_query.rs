//! Reply of the terminal to the query of its background colour, picked out of the key events.
//!
//! The query is OSC 11 (xterm control sequences, "Operating System Commands"); the reply is `ESC ] 11 ; rgb :
//! RRRR / GGGG / BBBB` with BEL or `ESC \` at its end. The key parser reads it as Alt-], letters, and Ctrl-G or
//! Alt-\. Nothing blocks on it: it may arrive late or never, and all other events pass through as keys.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// The query.
pub(crate) const QUESTION: &[u8] = b"\x1b]11;?\x1b\\";

/// Start of every reply, after `ESC ]`.
const HEAD: &str = "11;rgb";
/// Maximum length of a reply.
const MOST: usize = 40;

/// Detector of the reply among the key events.
#[derive(Debug, Default)]
pub(crate) struct BackgroundQuery {
    /// Events that may belong to the reply.
    held: Vec<Event>,
    text: String,
    done: bool,
}

/// Outcome of an event.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Events of the user, in order; usually the one.
    Keys(Vec<Event>),
    /// The event may belong to the reply.
    Held,
    /// The reply: red, green and blue.
    Background(u32),
}

impl BackgroundQuery {
    /// A detector for when no query was sent.
    pub(crate) fn disabled() -> Self {
        Self { done: true, ..Self::default() }
    }

    /// True if events are held until more input arrives.
    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Returns the held events, which are not a reply.
    pub(crate) fn release(&mut self) -> Vec<Event> {
        self.text.clear();
        std::mem::take(&mut self.held)
    }

    /// Processes the next event.
    pub(crate) fn feed(&mut self, event: Event) -> Outcome {
        if self.done {
            return Outcome::Keys(vec![event]);
        }
        let key = match &event {
            Event::Key(KeyEvent { code: KeyCode::Char(c), modifiers, kind: KeyEventKind::Press, .. }) => {
                Some((*c, *modifiers))
            }
            _ => None,
        };
        let begins = key == Some((']', KeyModifiers::ALT));
        match key {
            _ if self.held.is_empty() && !begins => Outcome::Keys(vec![event]),
            Some((']', KeyModifiers::ALT)) if self.held.is_empty() => {
                self.held.push(event);
                Outcome::Held
            }
            Some(('g', KeyModifiers::CONTROL) | ('\\', KeyModifiers::ALT)) => match color(&self.text) {
                Some(rgb) => {
                    self.done = true;
                    self.release();
                    Outcome::Background(rgb)
                }
                None => self.not_a_reply(event),
            },
            // Capitals are reported with shift.
            Some((c, m)) if (m - KeyModifiers::SHIFT).is_empty() && self.continues(c) => {
                self.text.push(c);
                self.held.push(event);
                Outcome::Held
            }
            _ => self.not_a_reply(event),
        }
    }

    fn not_a_reply(&mut self, event: Event) -> Outcome {
        let mut all = self.release();
        all.push(event);
        Outcome::Keys(all)
    }

    fn continues(&self, c: char) -> bool {
        match HEAD.chars().nth(self.text.len()) {
            Some(want) => c == want,
            None => self.text.len() < MOST && (c.is_ascii_hexdigit() || matches!(c, ':' | '/' | 'a')),
        }
    }
}

/// `11;rgb:RRRR/GGGG/BBBB`, one to four digits each (XParseColor(3)); `rgba:` has one more.
fn color(text: &str) -> Option<u32> {
    let (_, digits) = text.strip_prefix(HEAD)?.split_once(':')?;
    let mut parts = digits.split('/').map(|part| {
        let most = (1u32 << (4 * part.len().min(4) as u32)) - 1;
        u32::from_str_radix(part, 16).ok().filter(|_| (1..=4).contains(&part.len())).map(|n| n * 255 / most)
    });
    let mut next = || parts.next().flatten();
    Some(next()? << 16 | next()? << 8 | next()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::key_script::{key, keys};

    fn filtered(all: Vec<Event>) -> (Vec<Event>, Option<u32>) {
        let mut query = BackgroundQuery::default();
        let (mut out, mut rgb) = (Vec::new(), None);
        for e in all {
            match query.feed(e) {
                Outcome::Keys(k) => out.extend(k),
                Outcome::Held => {}
                Outcome::Background(c) => rgb = Some(c),
            }
        }
        out.extend(query.release());
        (out, rgb)
    }

    #[test]
    fn reply_is_removed_and_all_keys_pass() {
        for (script, want) in [
            ("<alt-]>11;rgb:1010/1111/1414<alt-\\>", Some(0x0010_1114)),
            ("<alt-]>11;rgb:ffff/FFFF/fafa<ctrl-g>", Some(0x00ff_fffa)),
            ("<alt-]>11;rgb:f/0/f<alt-\\>", Some(0x00ff_00ff)),
            ("<alt-]>11;rgba:ff/80/00/ff<alt-\\>", Some(0x00ff_8000)),
            ("<alt-]>11;rgb:zz/80/00<alt-\\>", None),
            ("<alt-]>q", None),
            ("<alt-]>11", None),
            ("j<alt-]><alt-]>", None),
            ("<alt-]>11;rgb:1/2<ctrl-g>", None),
            ("<ctrl-g><alt-\\>/nginx<enter>", None),
        ] {
            let mut all = keys("/a");
            all.extend(keys(script));
            all.extend(keys("j<enter>"));
            let (left, rgb) = filtered(all.clone());
            assert_eq!(rgb, want, "{script}");
            let expected = if want.is_some() { keys("/aj<enter>") } else { all };
            assert_eq!(left, expected, "{script}");
        }
        let mut none = BackgroundQuery::disabled();
        assert_eq!(none.feed(Event::Key(key("alt-]"))), Outcome::Keys(vec![Event::Key(key("alt-]"))]));
    }
}
