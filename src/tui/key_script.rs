//! Key scripts such as `/ng<Enter>`: for tests, screenshots and demonstrations.

use super::key;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

/// The event of a key's name; an unknown name is its first character.
pub fn key(name: &str) -> KeyEvent {
    let first = if name == "lt" { '<' } else { name.chars().next().unwrap_or(' ') };
    match key::parse(name).filter(|_| name.chars().count() > 1) {
        Some(key) => key.into(),
        None => KeyEvent::new(KeyCode::Char(first), KeyModifiers::NONE),
    }
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

/// The character that an event types; `None` for a named key.
pub fn typed(event: &Event) -> Option<char> {
    match event {
        Event::Key(KeyEvent { code: KeyCode::Char(c), modifiers: KeyModifiers::NONE, .. }) => Some(*c),
        _ => None,
    }
}

/// The name of an event's key, as the key bar shows it; empty for other events.
pub fn label(event: &Event) -> String {
    match event {
        Event::Key(k) => key::label(key::from_event(k), false),
        _ => String::new(),
    }
}
