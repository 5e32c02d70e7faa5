//! The menu of what can be typed at the cursor, and the filters typed before.

use crate::filter::complete::Completions;

/// What the filter bar offers while it is typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Menu {
    /// What can stand at the cursor; empty: nothing is offered.
    pub(crate) found: Completions,
    /// Which of them stands in the text now; `None`: none yet.
    pub(crate) at: Option<usize>,
}

impl Menu {
    /// Whether something is offered.
    pub(crate) fn is_open(&self) -> bool {
        !self.found.items.is_empty()
    }

    /// The next of them, or the one before, put into the text; the new cursor.
    pub(crate) fn turn(&mut self, text: &mut String, by: i8) -> Option<usize> {
        let n = self.found.items.len();
        let next = match (self.at, by) {
            _ if n == 0 => return None,
            (None, 0..) => 0,
            (None, _) => n - 1,
            (Some(i), by) => (i as isize + isize::from(by)).rem_euclid(n as isize) as usize,
        };
        let item = &self.found.items[next].text;
        text.replace_range(self.found.span.clone(), item);
        self.found.span.end = self.found.span.start + item.len();
        self.at = Some(next);
        Some(self.found.span.end)
    }
}

/// Most filters that are remembered.
const MOST: usize = 200;

/// Filter history, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    all: Vec<String>,
    /// Which of them stands in the bar, and what stood there before.
    now: Option<(usize, String)>,
}

impl History {
    pub(crate) fn new(all: Vec<String>) -> Self {
        Self { all, now: None }
    }

    /// Remembers one; whether it is new.
    pub(crate) fn push(&mut self, text: &str) -> bool {
        self.now = None;
        let text = text.trim();
        if text.is_empty() || self.all.last().is_some_and(|last| last == text) {
            return false;
        }
        self.all.retain(|t| t != text);
        self.all.push(text.to_owned());
        if self.all.len() > MOST {
            self.all.remove(0);
        }
        true
    }

    /// The one before, or after: what to put into the bar, in which this stands now.
    pub(crate) fn turn(&mut self, text: &str, by: i8) -> Option<String> {
        let (at, typed) = match self.now.take() {
            Some((at, typed)) => (at, typed),
            None => (self.all.len(), text.to_owned()),
        };
        let next = at.saturating_add_signed(isize::from(by));
        if next >= self.all.len() {
            return Some(typed);
        }
        self.now = Some((next, typed));
        self.all.get(next).cloned()
    }

    /// Something else was typed.
    pub(crate) fn leave(&mut self) {
        self.now = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::complete::Item;

    #[test]
    fn completions_go_round() {
        let item = |t: &str| Item { text: t.into(), help: String::new() };
        let found = Completions { span: 6..8, items: vec![item("close-wait"), item("closed")] };
        let mut menu = Menu { found, at: None };
        let mut text = "state:cl nginx".to_owned();
        assert_eq!(menu.turn(&mut text, 1), Some(16));
        assert_eq!(text, "state:close-wait nginx");
        assert_eq!(menu.turn(&mut text, 1), Some(12));
        assert_eq!(text, "state:closed nginx");
        menu.turn(&mut text, 1);
        assert_eq!(text, "state:close-wait nginx");
        assert_eq!(Menu::default().turn(&mut text, 1), None);
    }

    #[test]
    fn history_goes_back_and_comes_again() {
        let mut h = History::new(vec!["a".into()]);
        assert!(h.push("b") && !h.push(" b ") && !h.push("") && h.push("a"));
        assert_eq!(h.turn("new", -1).as_deref(), Some("a"));
        assert_eq!(h.turn("a", -1).as_deref(), Some("b"));
        assert_eq!(h.turn("b", -1).as_deref(), Some("b"), "there is none before");
        assert_eq!(h.turn("b", 1).as_deref(), Some("a"));
        assert_eq!(h.turn("a", 1).as_deref(), Some("new"));
        assert_eq!(h.turn("new", 1).as_deref(), Some("new"));
    }
}
