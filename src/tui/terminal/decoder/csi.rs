//! `ESC [`: cursor and function keys, mouse, reports.

use super::{Received, Step, key};
use crossterm::event::{Event, KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

/// Longest sequence, in bytes; a longer one is dropped.
const LONGEST: usize = 64;

/// The key of a final byte: arrows, Home and End.
pub(super) const fn motion(last: u8) -> Option<KeyCode> {
    Some(match last {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'H' => KeyCode::Home,
        b'F' => KeyCode::End,
        _ => return None,
    })
}

/// A sequence that starts with `ESC [`.
pub(super) fn sequence(b: &[u8]) -> Step {
    let body = &b[2..];
    match body.first() {
        None => return Step::Incomplete,
        // The Linux console: F1 to F5.
        Some(b'[') => {
            return body.get(1).map_or(Step::Incomplete, |c| {
                let f = matches!(c, b'A'..=b'E').then(|| key(KeyCode::F(c - b'A' + 1), KeyModifiers::NONE));
                Step::Took(4, f)
            });
        }
        // The mouse of a terminal without mode 1006: button and place, each with 32 added.
        Some(b'M') => {
            return body.get(1..4).map_or(Step::Incomplete, |m| {
                let place = |c: u8| u16::from(c.saturating_sub(32));
                Step::Took(6, mouse(u16::from(m[0].saturating_sub(32)), place(m[1]), place(m[2]), None))
            });
        }
        Some(_) => {}
    }
    // Parameters, then the final byte. `$` is final after a number only: urxvt's Shift.
    let end = body.iter().enumerate().position(|(i, c)| match c {
        b'$' => i > 0 && body[..i].iter().all(u8::is_ascii_digit),
        0x20..=0x3f => false,
        _ => true,
    });
    match end {
        None if body.len() > LONGEST => Step::Took(b.len(), None),
        None => Step::Incomplete,
        // A control code ends it: what follows is another item.
        Some(n) if !(0x40..0x7f).contains(&body[n]) && body[n] != b'$' => Step::Took(n + 2, None),
        Some(n) => Step::Took(n + 3, item(&body[..n], body[n])),
    }
}

/// Modifiers of a parameter: 1 and a bit each for Shift, Alt, Ctrl.
fn modifiers(n: u16) -> KeyModifiers {
    let bits = n.saturating_sub(1);
    [(1, KeyModifiers::SHIFT), (2, KeyModifiers::ALT), (4, KeyModifiers::CONTROL)]
        .into_iter()
        .filter(|(bit, _)| bits & bit != 0)
        .fold(KeyModifiers::NONE, |all, (_, m)| all | m)
}

fn item(params: &[u8], last: u8) -> Option<Received> {
    let text = std::str::from_utf8(params).ok()?;
    if let Some(text) = text.strip_prefix('<') {
        let n = numbers(text);
        return match (n.as_slice(), last) {
            ([b, x, y], b'M' | b'm') => mouse(*b, *x, *y, Some(last == b'm')),
            _ => None,
        };
    }
    if text.starts_with(['?', '>', '=']) {
        return None;
    }
    let n = numbers(text);
    let (first, second) = (n.first().copied().unwrap_or(0), n.get(1).copied().unwrap_or(1));
    let shift = KeyModifiers::SHIFT;
    let held = modifiers(second);
    Some(match last {
        b'A'..=b'D' | b'F' | b'H' => key(motion(last)?, held),
        // st's Delete; F1 to F4 come this way with modifiers only.
        b'P' if params.is_empty() => key(KeyCode::Delete, KeyModifiers::NONE),
        b'P'..=b'S' if !params.is_empty() => key(KeyCode::F(last - b'P' + 1), held),
        b'Z' => key(KeyCode::BackTab, shift),
        // urxvt: Shift with an arrow.
        b'a'..=b'd' if params.is_empty() => key(motion(last.to_ascii_uppercase())?, shift),
        b'n' if text == "0" => Received::Ready,
        // st's Insert.
        b'h' if text == "4" => key(KeyCode::Insert, KeyModifiers::NONE),
        // urxvt's mode 1015: button with 32 added.
        b'M' if n.len() == 3 => return mouse(first.saturating_sub(32), n[1], n[2], None),
        b'~' if first == 27 => character(*n.get(2)?, held)?,
        b'~' => key(numbered(first)?, held),
        b'$' => key(numbered(first)?, shift),
        b'^' => key(numbered(first)?, KeyModifiers::CONTROL),
        b'@' => key(numbered(first)?, KeyModifiers::CONTROL | shift),
        b'u' => character(first, held)?,
        _ => return None,
    })
}

/// Parameters; what follows a colon in one of them is left out.
fn numbers(text: &str) -> Vec<u16> {
    let number = |p: &str| p.split(':').next().and_then(|p| p.parse().ok()).unwrap_or(0);
    if text.is_empty() { vec![] } else { text.split(';').map(number).collect() }
}

/// The key of `ESC [ N ~`.
const fn numbered(n: u16) -> Option<KeyCode> {
    Some(match n {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        11..=15 => KeyCode::F(n as u8 - 10),
        17..=21 => KeyCode::F(n as u8 - 11),
        23 | 24 => KeyCode::F(n as u8 - 12),
        _ => return None,
    })
}

/// A key by its character code, as `modifyOtherKeys` and the kitty keyboard protocol report it.
fn character(code: u16, held: KeyModifiers) -> Option<Received> {
    let code = match code {
        9 if held.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
        9 => KeyCode::Tab,
        10 | 13 => KeyCode::Enter,
        27 => KeyCode::Esc,
        8 | 127 => KeyCode::Backspace,
        32.. => KeyCode::Char(char::from_u32(u32::from(code))?),
        _ => return None,
    };
    Some(key(code, held))
}

/// A mouse report, counted from 1; `up`: the button was released, if the report tells it apart.
fn mouse(bits: u16, x: u16, y: u16, up: Option<bool>) -> Option<Received> {
    let button = match bits & 3 {
        1 => MouseButton::Middle,
        2 => MouseButton::Right,
        // Also the release of any button.
        _ => MouseButton::Left,
    };
    let released = up.unwrap_or(bits & 3 == 3);
    let kind = match bits & 0b1110_0000 {
        0 if released => MouseEventKind::Up(button),
        0 => MouseEventKind::Down(button),
        32 if bits & 3 == 3 => MouseEventKind::Moved,
        32 => MouseEventKind::Drag(button),
        64 => match bits & 3 {
            0 => MouseEventKind::ScrollUp,
            1 => MouseEventKind::ScrollDown,
            2 => MouseEventKind::ScrollLeft,
            _ => MouseEventKind::ScrollRight,
        },
        _ => return None,
    };
    let held = [(4, KeyModifiers::SHIFT), (8, KeyModifiers::ALT), (16, KeyModifiers::CONTROL)];
    let modifiers =
        held.into_iter().filter(|(bit, _)| bits & bit != 0).fold(KeyModifiers::NONE, |all, (_, m)| all | m);
    let (column, row) = (x.saturating_sub(1), y.saturating_sub(1));
    Some(Received::Input(Event::Mouse(MouseEvent { kind, column, row, modifiers })))
}
