//! Key bindings: the default keys of every command and the configured ones.

use super::command::{self, COMMANDS, Command, Focus};
use super::event::{Action, Edit};
use super::key::{self, Key};
use super::layouts;
use crate::format::did_you_mean;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::collections::BTreeMap;

/// Error in the configured keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeymapError {
    /// Unknown command.
    #[error("unknown command {0:?}{1}")]
    UnknownCommand(String, String),
    /// Not a key.
    #[error("invalid key {0:?}: expected one such as q, ctrl-d, shift-up, pgdn or f1")]
    InvalidKey(String),
    /// Two commands are bound to one key in the same focus.
    #[error("key {0:?} is bound to both {1} and {2}")]
    Conflict(String, &'static str, &'static str),
}

/// Key bindings of every command.
///
/// Configured keys replace the default keys of their command, and are unbound from any other command that has them by
/// default in the same focus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap {
    /// Keys of each of [`COMMANDS`].
    keys: Vec<Vec<Key>>,
}

impl Default for Keymap {
    /// The default keys.
    fn default() -> Self {
        let keys = |c: &Command| c.keys.iter().filter_map(|k| key::parse(k)).collect();
        Self { keys: COMMANDS.iter().map(keys).collect() }
    }
}

impl Keymap {
    /// The default keys with these changes, by current or former name of the command.
    pub fn new(changes: &BTreeMap<String, Vec<String>>) -> Result<Self, KeymapError> {
        let mut map = Self::default();
        let mut changed = Vec::new();
        for (name, words) in changes {
            let Some(at) = command::index(name) else {
                // A name near a former one leads to the current one.
                let near = did_you_mean::nearest(name, command::names()).and_then(command::index);
                let near = near.map(|at| COMMANDS[at].name);
                let hint = near.map_or(String::new(), |n| format!(", did you mean {n:?}?"));
                return Err(KeymapError::UnknownCommand(name.clone(), hint));
            };
            let keys: Result<Vec<Key>, _> = words
                .iter()
                .map(|w| key::parse(w).ok_or_else(|| KeymapError::InvalidKey(w.clone())))
                .collect();
            if changed.contains(&at) {
                // Under its current and its former name.
                map.keys[at].extend(keys?);
            } else {
                map.keys[at] = keys?;
                changed.push(at);
            }
        }
        for &at in &changed {
            for k in map.keys[at].clone() {
                for other in (0..COMMANDS.len()).filter(|o| *o != at) {
                    if !COMMANDS[other].overlaps(&COMMANDS[at]) || !map.keys[other].contains(&k) {
                        continue;
                    }
                    if changed.contains(&other) {
                        return Err(KeymapError::Conflict(
                            key::label(k, true),
                            COMMANDS[at].name,
                            COMMANDS[other].name,
                        ));
                    }
                    map.keys[other].retain(|o| *o != k);
                }
            }
        }
        Ok(map)
    }

    /// Keys of one of [`COMMANDS`], by its index; the first is the one to show.
    pub fn keys(&self, command: usize) -> &[Key] {
        &self.keys[command]
    }

    /// Label of the key to show for a command; empty if it has none.
    pub fn label(&self, command: &str, ascii: bool) -> String {
        let found = self.commands().find(|(c, _)| c.name == command).and_then(|(_, keys)| keys.first());
        found.map_or_else(String::new, |k| key::label(*k, ascii))
    }

    /// Every command with its keys, in the order of the registry.
    pub fn commands(&self) -> impl Iterator<Item = (&'static Command, &[Key])> {
        COMMANDS.iter().zip(self.keys.iter().map(Vec::as_slice))
    }

    /// Action of a key in this focus.
    pub fn action(&self, key: &KeyEvent, focus: Focus) -> Option<Action> {
        let pressed = key::from_event(key);
        let bound = |pressed| self.commands().find(|(c, keys)| c.applies(focus) && keys.contains(&pressed));
        let found = bound(pressed).or_else(|| match key.code {
            // A letter of another layout is the key at its place, unless text is typed.
            KeyCode::Char(c) if !focus.is_text() => {
                bound(key::from_event(&KeyEvent::new(KeyCode::Char(layouts::latin(c)?), key.modifiers)))
            }
            _ => None,
        });
        match (found, key.code) {
            (Some((c, _)), _) => Some(c.action),
            (None, KeyCode::Char(c))
                if focus.is_text()
                    && !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) =>
            {
                Some(Action::Edit(Edit::Insert(c)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::key_script;

    fn changed(list: &[(&str, &[&str])]) -> Result<Keymap, KeymapError> {
        let own = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        Keymap::new(&list.iter().map(|(n, w)| ((*n).to_owned(), own(w))).collect())
    }

    fn act(map: &Keymap, key: &str, focus: Focus) -> Option<Action> {
        map.action(&key_script::key(key), focus)
    }

    #[test]
    fn default_keys_act_by_focus() {
        let map = Keymap::default();
        for focus in Focus::ALL {
            assert_eq!(act(&map, "ctrl-c", focus), Some(Action::Quit), "{focus:?}");
        }
        assert_eq!(act(&map, "q", Focus::Filter), Some(Action::Edit(Edit::Insert('q'))));
        assert_eq!(act(&map, "q", Focus::Help), Some(Action::Back));
        assert_eq!(Keymap::new(&BTreeMap::new()), Ok(map));
    }

    #[test]
    fn letters_of_other_layouts_act_as_the_key_at_their_place() {
        let map = Keymap::default();
        let typed = |c: char, focus| map.action(&KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE), focus);
        for (foreign, latin) in [
            ('ㅂ', 'q'),
            ('й', 'q'),
            ('о', 'j'),
            ('О', 'J'),
            ('ㅓ', 'j'),
            ('ㄲ', 'R'),
            ('ｑ', 'q'),
            ('؟', '?'),
        ] {
            assert_eq!(typed(foreign, Focus::Table), typed(latin, Focus::Table), "{foreign}");
        }
        assert_eq!(typed('й', Focus::Filter), Some(Action::Edit(Edit::Insert('й'))));
        assert_eq!(typed('好', Focus::Table), None);
    }

    #[test]
    fn configured_key_is_unbound_from_its_default_command() {
        let map = changed(&[("quit", &["Q", "F10"]), ("details", &["i"]), ("group", &["q"])]).unwrap();
        assert_eq!(act(&map, "Q", Focus::Table), Some(Action::Quit));
        assert_eq!(act(&map, "f10", Focus::Table), Some(Action::Quit));
        assert_eq!(act(&map, "q", Focus::Table), Some(Action::Group(1)), "moved");
        assert_eq!(act(&map, "g", Focus::Table), None, "unbound");
        assert_eq!(act(&map, "q", Focus::Help), Some(Action::Back), "another focus");
        // An empty list unbinds the command.
        let unbound = changed(&[("refresh", &[])]).unwrap();
        assert_eq!(act(&unbound, "r", Focus::Table), None);
        // The default command of a key loses it.
        let moved = changed(&[("refresh", &["u"])]).unwrap();
        assert_eq!(act(&moved, "u", Focus::Table), Some(Action::Refresh));
        assert!(moved.commands().any(|(c, keys)| c.name == "undo" && keys.is_empty()));
    }

    #[test]
    fn former_command_names_are_accepted() {
        for (former, current) in command::FORMER_NAMES {
            let renamed = changed(&[(former, &["ctrl-b"])]);
            assert_eq!(renamed, changed(&[(current, &["ctrl-b"])]), "{former}");
            assert!(renamed.is_ok_and(|map| map != Keymap::default()), "{former}");
        }
        let both = changed(&[("other-end", &["f9"]), ("go-to-peer", &["f10"])]).unwrap();
        assert_eq!(act(&both, "f9", Focus::Table), act(&both, "f10", Focus::Table));
        assert!(act(&both, "f9", Focus::Table).is_some());
    }

    #[test]
    fn errors_name_the_command_and_the_key() {
        let message = |list: &[(&str, &[&str])]| changed(list).unwrap_err().to_string();
        assert_eq!(message(&[("quitt", &["Q"])]), "unknown command \"quitt\", did you mean \"quit\"?");
        // The former name "quit-at-once" leads to the current one.
        assert_eq!(
            message(&[("quit-at-onc", &["Q"])]),
            "unknown command \"quit-at-onc\", did you mean \"quit-now\"?"
        );
        for key in ["", "hyper-x", "ctrl-", "enterr", "qq"] {
            assert!(message(&[("quit", &[key])]).contains("invalid key"), "{key}");
        }
        assert_eq!(
            message(&[("group", &["x"]), ("sort", &["x"])]),
            "key \"x\" is bound to both group and sort"
        );
    }
}
