//! Keys written down: `/ng<Enter>`. For tests, demonstrations and recordings of what was pressed.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

/// The key of that name, as [`super::command::key_name`] writes it; an unknown name is its first character.
pub fn key(name: &str) -> KeyEvent {
    let (mut mods, mut rest) = (KeyModifiers::NONE, name);
    for (word, m) in
        [("ctrl-", KeyModifiers::CONTROL), ("alt-", KeyModifiers::ALT), ("shift-", KeyModifiers::SHIFT)]
    {
        if let Some(r) = rest.strip_prefix(word) {
            mods |= m;
            rest = r;
        }
    }
    let code = match rest {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "space" => KeyCode::Char(' '),
        "backspace" => KeyCode::Backspace,
        "delete" => KeyCode::Delete,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pgup" => KeyCode::PageUp,
        "pgdn" => KeyCode::PageDown,
        "lt" => KeyCode::Char('<'),
        other => match other.strip_prefix('f').and_then(|n| n.parse().ok()) {
            Some(n @ 1..=24) => KeyCode::F(n),
            _ => KeyCode::Char(other.chars().next().unwrap_or(' ')),
        },
    };
    if code == KeyCode::Tab && mods == KeyModifiers::SHIFT {
        return KeyEvent::new(KeyCode::BackTab, mods);
    }
    KeyEvent::new(code, mods)
}

/// The events of a key script: characters stand for themselves, `<enter>`, `<ctrl-d>`, `<lt>` for keys, in any case.
pub fn keys(script: &str) -> Vec<Event> {
    let mut out = Vec::new();
    let mut rest = script;
    while let Some(c) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|r| r.split_once('>')).filter(|(n, _)| n.len() > 1);
        if let Some((name, after)) = named {
            out.push(Event::Key(key(&name.to_ascii_lowercase())));
            rest = after;
        } else {
            out.push(Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)));
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}
