//! What was asked before and where one was: undo and redo, back and forward.

use super::app::App;
use super::view_state::Key;
use crate::view::preset::Preset;

/// Steps that are kept.
const MOST: usize = 100;

/// Where one was: the view, and the line one stood at.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Location {
    view: usize,
    key: Option<Key>,
}

/// The way here.
#[derive(Debug)]
pub(crate) struct NavHistory {
    /// What is asked of each view now.
    now: Vec<Preset>,
    undo: Vec<(usize, Preset)>,
    redo: Vec<(usize, Preset)>,
    locations: Vec<Location>,
    /// Which of them one stands at.
    at: usize,
}

impl NavHistory {
    pub(crate) fn new(now: Vec<Preset>, view: usize) -> Self {
        Self { now, undo: Vec::new(), redo: Vec::new(), locations: vec![Location { view, key: None }], at: 0 }
    }
}

impl App {
    /// Notes what changed by the last event. A filter counts when it is typed, not letter by letter.
    pub(crate) fn record_history(&mut self) {
        if self.focus().is_text() {
            return;
        }
        let (view, asked, key) = (self.active, self.view_state().preset(), self.view_state().selected);
        let past = &mut self.nav_history;
        if past.now[view] != asked {
            let before = std::mem::replace(&mut past.now[view], asked);
            past.undo.push((view, before));
            past.redo.clear();
            if past.undo.len() > MOST {
                past.undo.remove(0);
            }
        }
        if past.locations[past.at].view != view {
            self.leave();
        }
        self.nav_history.locations[self.nav_history.at] = Location { view, key };
    }

    /// Keeps where one stands, because one goes elsewhere.
    pub(crate) fn leave(&mut self) {
        let past = &mut self.nav_history;
        past.locations.truncate(past.at + 1);
        past.locations.extend(past.locations.last().copied());
        if past.locations.len() > MOST {
            past.locations.remove(0);
        }
        past.at = past.locations.len() - 1;
    }

    /// Asks what was asked before, or again what was asked after that.
    pub(crate) fn undo(&mut self, again: bool) {
        let past = &mut self.nav_history;
        let (from, to) =
            if again { (&mut past.redo, &mut past.undo) } else { (&mut past.undo, &mut past.redo) };
        let Some((view, asked)) = from.pop() else {
            self.status_message =
                Some(if again { "nothing to do again" } else { "nothing to undo" }.to_owned());
            return;
        };
        to.push((view, std::mem::replace(&mut past.now[view], asked.clone())));
        let left = from.len();
        self.active = view;
        self.overlay = None;
        self.view_states[view].apply(&asked, self.options.names());
        self.status_message = Some(match left {
            0 => "as at first".to_owned(),
            n => format!("{n} more; U does it again"),
        });
        if again {
            self.status_message = None;
        }
    }

    /// To the place before, or the one after.
    pub(crate) fn visit(&mut self, by: isize) {
        let to = self.nav_history.at.saturating_add_signed(by);
        let Some(location) =
            self.nav_history.locations.get(to).copied().filter(|_| to != self.nav_history.at)
        else {
            self.status_message = Some(if by < 0 { "no place before" } else { "no place after" }.to_owned());
            return;
        };
        self.nav_history.at = to;
        self.active = location.view;
        self.overlay = None;
        self.details_top = 0;
        if let Some(key) = location.key {
            self.view_state_mut().stand_at(key);
        }
    }
}
