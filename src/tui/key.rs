//! Key combinations: parsed from their names, taken from events, and labelled for people.

use crokey::OneToThree;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with its modifiers.
pub type Key = crokey::KeyCombination;

/// The combination of a key event. Shift belongs to the character (`Q`, `{`), and control ignores case, whatever the
/// terminal reports.
pub fn from_event(event: &KeyEvent) -> Key {
    let (mut code, mut modifiers) = (event.code, event.modifiers);
    match code {
        KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => {
            code = KeyCode::Char(c.to_ascii_lowercase());
            modifiers.remove(KeyModifiers::SHIFT);
        }
        KeyCode::Char(c) if !c.is_ascii_alphabetic() => modifiers.remove(KeyModifiers::SHIFT),
        KeyCode::Tab if modifiers.contains(KeyModifiers::SHIFT) => code = KeyCode::BackTab,
        KeyCode::BackTab => modifiers.insert(KeyModifiers::SHIFT),
        _ => {}
    }
    Key::one_key(code, modifiers).normalized()
}

/// The key of a name such as `q`, `Q`, `ctrl-d`, `shift-up`, `pgdn` or `f1`; `None` if it is not one.
pub fn parse(name: &str) -> Option<Key> {
    let mut chars = name.chars();
    if let (Some(c), None) = (chars.next(), chars.next()) {
        return Some(from_event(&KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)));
    }
    let name = name.to_ascii_lowercase().replace("pgdn", "pagedown").replace("pgup", "pageup");
    let key = crokey::parse(&name).ok()?;
    // The terminal reports one key at a time.
    matches!(key.codes, OneToThree::One(_)).then(|| from_event(&key.into()))
}

/// Label of a key on screen: `↵`, `^C`, `PgDn`; with `ascii` without other characters.
pub fn label(key: Key, ascii: bool) -> String {
    let pick = |symbol: &'static str, word: &'static str| if ascii { word } else { symbol }.to_owned();
    let mut modifiers = key.modifiers;
    let base = match *key.codes.first() {
        KeyCode::Char(' ') => "space".to_owned(),
        KeyCode::Char(c) => {
            modifiers.remove(KeyModifiers::SHIFT);
            if modifiers.contains(KeyModifiers::CONTROL) { c.to_ascii_uppercase() } else { c }.to_string()
        }
        KeyCode::Enter => pick("↵", "Enter"),
        KeyCode::Up => pick("↑", "Up"),
        KeyCode::Down => pick("↓", "Down"),
        KeyCode::Left => pick("←", "Left"),
        KeyCode::Right => pick("→", "Right"),
        KeyCode::BackTab => "Tab".to_owned(),
        KeyCode::PageUp => "PgUp".to_owned(),
        KeyCode::PageDown => "PgDn".to_owned(),
        KeyCode::Backspace => "Bksp".to_owned(),
        KeyCode::Delete => "Del".to_owned(),
        KeyCode::F(n) => format!("F{n}"),
        other => format!("{other:?}"),
    };
    let mut out = String::new();
    for (modifier, mark) in
        [(KeyModifiers::CONTROL, "^"), (KeyModifiers::ALT, "A-"), (KeyModifiers::SHIFT, "S-")]
    {
        if modifiers.contains(modifier) {
            out.push_str(mark);
        }
    }
    out + &base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_in_every_spelling() {
        for (name, same, shown) in [
            ("q", "q", "q"),
            ("Q", "shift-q", "Q"),
            ("ctrl-d", "CTRL-D", "^D"),
            ("pgdn", "PageDown", "PgDn"),
            ("shift-tab", "backtab", "S-Tab"),
            ("delete", "del", "Del"),
            ("f10", "F10", "F10"),
            ("alt-left", "Alt-Left", "A-Left"),
            ("-", "minus", "-"),
            ("enter", "Enter", "Enter"),
        ] {
            assert_eq!(parse(name), parse(same), "{name}");
            assert_eq!(parse(name).map(|k| label(k, true)).as_deref(), Some(shown), "{name}");
        }
        for wrong in ["", "hyper-x", "ctrl-", "enterr", "qq", "a-b"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn events_match_however_the_terminal_reports_shift() {
        let event = |code, modifiers| from_event(&KeyEvent::new(code, modifiers));
        let (plain, shift, control) = (KeyModifiers::NONE, KeyModifiers::SHIFT, KeyModifiers::CONTROL);
        for (name, code, modifiers) in [
            ("Q", KeyCode::Char('Q'), plain),
            ("Q", KeyCode::Char('Q'), shift),
            ("{", KeyCode::Char('{'), shift),
            ("ctrl-d", KeyCode::Char('D'), control | shift),
            ("shift-tab", KeyCode::BackTab, plain),
            ("shift-tab", KeyCode::Tab, shift),
            ("space", KeyCode::Char(' '), plain),
        ] {
            assert_eq!(Some(event(code, modifiers)), parse(name), "{name}");
        }
        assert_ne!(Some(event(KeyCode::Char('q'), plain)), parse("Q"));
    }
}
