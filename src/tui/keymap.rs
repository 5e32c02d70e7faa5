//! Which keys mean which command: those of the list, and what the user put in their focus.

use super::command::{COMMANDS, Command, Focus, key_name};
use super::event::{Action, Edit};
use super::key_script;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::collections::BTreeMap;

/// What is wrong with a change of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeymapError {
    /// There is no command of that name.
    #[error("no command {0:?}{1}")]
    NoCommand(String, String),
    /// That is no key.
    #[error("{0:?} is no key: write it like q, ctrl-d, shift-up, pgdn or f1")]
    NoKey(String),
    /// Two commands want one key in one focus.
    #[error("{0:?} is asked for by {1} and by {2}, which apply in one place")]
    Twice(String, &'static str, &'static str),
}

/// The keys of every command.
///
/// A command that is given keys has these and no other. A key that it takes is taken from the command of the list that
/// has it in the same focus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap {
    /// Beside each of [`COMMANDS`].
    keys: Vec<Vec<String>>,
}

impl Default for Keymap {
    /// As the list says.
    fn default() -> Self {
        Self { keys: COMMANDS.iter().map(|c| c.keys.iter().map(|k| (*k).to_owned()).collect()).collect() }
    }
}

/// A key as the list writes it; `None` for what is none.
fn key(word: &str) -> Option<String> {
    // A letter by itself says whether it is a capital.
    let folded = if word.chars().count() == 1 { word.to_owned() } else { word.to_ascii_lowercase() };
    let name = key_name(&key_script::key(&folded))?;
    (name == folded).then_some(name)
}

impl Keymap {
    /// With these keys by name of command.
    pub fn new(changes: &BTreeMap<String, Vec<String>>) -> Result<Self, KeymapError> {
        let mut map = Self::default();
        let mut changed = Vec::new();
        for (name, words) in changes {
            let Some(at) = COMMANDS.iter().position(|c| c.name == name) else {
                let near = crate::format::did_you_mean::nearest(name, COMMANDS.iter().map(|c| c.name));
                let hint = near.map_or(String::new(), |n| format!(", did you mean {n:?}?"));
                return Err(KeymapError::NoCommand(name.clone(), hint));
            };
            let keys: Result<Vec<String>, _> =
                words.iter().map(|w| key(w).ok_or_else(|| KeymapError::NoKey(w.clone()))).collect();
            map.keys[at] = keys?;
            changed.push(at);
        }
        for &at in &changed {
            for k in map.keys[at].clone() {
                for other in (0..COMMANDS.len()).filter(|o| *o != at) {
                    if !COMMANDS[other].meets(&COMMANDS[at]) || !map.keys[other].contains(&k) {
                        continue;
                    }
                    if changed.contains(&other) {
                        return Err(KeymapError::Twice(k, COMMANDS[at].name, COMMANDS[other].name));
                    }
                    map.keys[other].retain(|o| *o != k);
                }
            }
        }
        Ok(map)
    }

    /// The keys of one of [`COMMANDS`], by its place there; the first is the one to show.
    pub fn of(&self, command: usize) -> &[String] {
        &self.keys[command]
    }

    /// The commands with their keys, in the order of the list.
    pub fn commands(&self) -> impl Iterator<Item = (&'static Command, &[String])> {
        COMMANDS.iter().zip(self.keys.iter().map(Vec::as_slice))
    }

    /// What a key does there.
    pub fn action(&self, key: &KeyEvent, focus: Focus) -> Option<Action> {
        let name = key_name(key)?;
        let found = self.commands().find(|(c, keys)| c.applies(focus) && keys.contains(&name));
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

    fn changed(list: &[(&str, &[&str])]) -> Result<Keymap, KeymapError> {
        let own = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        Keymap::new(&list.iter().map(|(n, w)| ((*n).to_owned(), own(w))).collect())
    }

    fn act(map: &Keymap, key: &str, focus: Focus) -> Option<Action> {
        map.action(&key_script::key(key), focus)
    }

    #[test]
    fn keys_of_the_list() {
        let map = Keymap::default();
        for focus in Focus::ALL {
            assert_eq!(act(&map, "ctrl-c", focus), Some(Action::Quit), "{focus:?}");
        }
        assert_eq!(act(&map, "q", Focus::Filter), Some(Action::Edit(Edit::Insert('q'))));
        assert_eq!(act(&map, "q", Focus::Help), Some(Action::Back));
        assert_eq!(Keymap::new(&BTreeMap::new()), Ok(map));
    }

    #[test]
    fn a_key_that_is_taken_is_gone_where_it_was() {
        let map = changed(&[("quit", &["Q", "F10"]), ("details", &["i"]), ("group", &["q"])]).unwrap();
        assert_eq!(act(&map, "Q", Focus::Table), Some(Action::Quit));
        assert_eq!(act(&map, "f10", Focus::Table), Some(Action::Quit));
        assert_eq!(act(&map, "q", Focus::Table), Some(Action::Group(1)), "taken");
        assert_eq!(act(&map, "g", Focus::Table), None, "given up");
        assert_eq!(act(&map, "q", Focus::Help), Some(Action::Back), "another place");
        // `refresh` is asked for nothing and has nothing.
        let none = changed(&[("refresh", &[])]).unwrap();
        assert_eq!(act(&none, "r", Focus::Table), None);
        // From a command of the list the key is taken.
        let taken = changed(&[("refresh", &["s"])]).unwrap();
        assert_eq!(act(&taken, "s", Focus::Table), Some(Action::Refresh));
        assert!(taken.commands().any(|(c, keys)| c.name == "sort" && keys.is_empty()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |list: &[(&str, &[&str])]| changed(list).unwrap_err().to_string();
        assert_eq!(said(&[("quitt", &["Q"])]), "no command \"quitt\", did you mean \"quit\"?");
        for key in ["", "hyper-x", "ctrl-", "enterr", "qq"] {
            assert!(said(&[("quit", &[key])]).contains("is no key"), "{key}");
        }
        assert_eq!(
            said(&[("group", &["x"]), ("sort", &["x"])]),
            "\"x\" is asked for by group and by sort, which apply in one place"
        );
    }
}
