//! The terminal's answer on its background, found among the keys.
//!
//! The question is OSC 11 (xterm's control sequences, "Operating System Commands"); the answer is `ESC ] 11 ; rgb :
//! RRRR / GGGG / BBBB` with BEL or `ESC \` at its end. The reader of keys takes it for Alt-], letters, and Ctrl-G or
//! Alt-\. Nobody waits for it: it may come late or never, and whatever is not it is a key and stays one.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// The question.
pub(crate) const QUESTION: &[u8] = b"\x1b]11;?\x1b\\";

/// What every answer begins with, after `ESC ]`.
const HEAD: &str = "11;rgb";
/// An answer is no longer.
const MOST: usize = 40;

/// Watches the keys for the answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// What may be the answer, as it came.
    held: Vec<Event>,
    text: String,
    done: bool,
}

/// What became of an event.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    /// These are what the user did, in this order; most often the one.
    Keys(Vec<Event>),
    /// It may belong to the answer.
    Held,
    /// The answer: red, green and blue.
    Background(u32),
}

impl Answer {
    /// Nothing was asked.
    pub(crate) fn none() -> Self {
        Self { done: true, ..Self::default() }
    }

    /// Whether something is held that only more input decides.
    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Gives back what was held: it was no answer.
    pub(crate) fn give_up(&mut self) -> Vec<Event> {
        self.text.clear();
        std::mem::take(&mut self.held)
    }

    /// Takes the next event in.
    pub(crate) fn hear(&mut self, event: Event) -> Heard {
        if self.done {
            return Heard::Keys(vec![event]);
        }
        let key = match &event {
            Event::Key(KeyEvent { code: KeyCode::Char(c), modifiers, kind: KeyEventKind::Press, .. }) => {
                Some((*c, *modifiers))
            }
            _ => None,
        };
        let begins = key == Some((']', KeyModifiers::ALT));
        match key {
            _ if self.held.is_empty() && !begins => Heard::Keys(vec![event]),
            Some((']', KeyModifiers::ALT)) if self.held.is_empty() => {
                self.held.push(event);
                Heard::Held
            }
            Some(('g', KeyModifiers::CONTROL) | ('\\', KeyModifiers::ALT)) => match color(&self.text) {
                Some(rgb) => {
                    self.done = true;
                    self.give_up();
                    Heard::Background(rgb)
                }
                None => self.no_answer(event),
            },
            // A capital comes with its shift.
            Some((c, m)) if (m - KeyModifiers::SHIFT).is_empty() && self.goes_on(c) => {
                self.text.push(c);
                self.held.push(event);
                Heard::Held
            }
            _ => self.no_answer(event),
        }
    }

    fn no_answer(&mut self, event: Event) -> Heard {
        let mut all = self.give_up();
        all.push(event);
        Heard::Keys(all)
    }

    fn goes_on(&self, c: char) -> bool {
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

    fn told(all: Vec<Event>) -> (Vec<Event>, Option<u32>) {
        let mut answer = Answer::default();
        let (mut out, mut rgb) = (Vec::new(), None);
        for e in all {
            match answer.hear(e) {
                Heard::Keys(k) => out.extend(k),
                Heard::Held => {}
                Heard::Background(c) => rgb = Some(c),
            }
        }
        out.extend(answer.give_up());
        (out, rgb)
    }

    #[test]
    fn the_answer_is_taken_out_and_every_key_stays() {
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
            let (left, rgb) = told(all.clone());
            assert_eq!(rgb, want, "{script}");
            let expected = if want.is_some() { keys("/aj<enter>") } else { all };
            assert_eq!(left, expected, "{script}");
        }
        let mut none = Answer::none();
        assert_eq!(none.hear(Event::Key(key("alt-]"))), Heard::Keys(vec![Event::Key(key("alt-]"))]));
    }
}
