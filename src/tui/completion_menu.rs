//! Completions and history of the filter bar.

use crate::filter::complete::Completions;

/// Completions offered in the filter bar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Menu {
    /// Completions at the cursor; empty: none.
    pub(crate) found: Completions,
    /// The one inserted; `None`: none yet.
    pub(crate) at: Option<usize>,
}

impl Menu {
    /// True if there are completions.
    pub(crate) fn is_open(&self) -> bool {
        !self.found.items.is_empty()
    }

    /// Inserts the next (1) or previous completion; returns the new cursor.
    pub(crate) fn cycle(&mut self, text: &mut String, by: i8) -> Option<usize> {
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

/// Maximum length of the history.
const MAX_ENTRIES: usize = 200;

/// Filter history, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    all: Vec<String>,
    /// Index of the recalled entry, and the text before it was recalled.
    now: Option<(usize, String)>,
}

impl History {
    pub(crate) fn new(all: Vec<String>) -> Self {
        Self { all, now: None }
    }

    /// Adds a filter; `false` if it is empty or the last one.
    pub(crate) fn push(&mut self, text: &str) -> bool {
        self.now = None;
        let text = text.trim();
        if text.is_empty() || self.all.last().is_some_and(|last| last == text) {
            return false;
        }
        self.all.retain(|t| t != text);
        self.all.push(text.to_owned());
        if self.all.len() > MAX_ENTRIES {
            self.all.remove(0);
        }
        true
    }

    /// The previous (-1) or next entry, for a filter bar with this text.
    pub(crate) fn cycle(&mut self, text: &str, by: i8) -> Option<String> {
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

    /// Ends recalling, since the text was edited.
    pub(crate) fn stop_recalling(&mut self) {
        self.now = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::complete::Item;

    #[test]
    fn completions_cycle() {
        let item = |t: &str| Item { text: t.into(), help: String::new() };
        let found = Completions { span: 6..8, items: vec![item("close-wait"), item("closed")] };
        let mut menu = Menu { found, at: None };
        let mut text = "state:cl nginx".to_owned();
        assert_eq!(menu.cycle(&mut text, 1), Some(16));
        assert_eq!(text, "state:close-wait nginx");
        assert_eq!(menu.cycle(&mut text, 1), Some(12));
        assert_eq!(text, "state:closed nginx");
        menu.cycle(&mut text, 1);
        assert_eq!(text, "state:close-wait nginx");
        assert_eq!(Menu::default().cycle(&mut text, 1), None);
    }

    #[test]
    fn history_recalls_and_returns_to_the_typed_text() {
        let mut h = History::new(vec!["a".into()]);
        assert!(h.push("b") && !h.push(" b ") && !h.push("") && h.push("a"));
        assert_eq!(h.cycle("new", -1).as_deref(), Some("a"));
        assert_eq!(h.cycle("a", -1).as_deref(), Some("b"));
        assert_eq!(h.cycle("b", -1).as_deref(), Some("b"), "there is none before");
        assert_eq!(h.cycle("b", 1).as_deref(), Some("a"));
        assert_eq!(h.cycle("a", 1).as_deref(), Some("new"));
        assert_eq!(h.cycle("new", 1).as_deref(), Some("new"));
    }
}
