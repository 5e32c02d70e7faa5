//! Navigation history: undo and redo of view settings, back and forward between locations.

use super::view_state::Key;
use crate::view::preset::Preset;

/// Entries kept of each kind.
const MAX_ENTRIES: usize = 100;

/// A view and the line selected in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Location {
    pub(crate) view: usize,
    pub(crate) key: Option<Key>,
}

/// Earlier settings and locations.
#[derive(Debug)]
pub(crate) struct NavHistory {
    /// Current settings of each view.
    now: Vec<Preset>,
    undo: Vec<(usize, Preset)>,
    redo: Vec<(usize, Preset)>,
    locations: Vec<Location>,
    /// Index of the current location.
    at: usize,
}

impl NavHistory {
    pub(crate) fn new(now: Vec<Preset>, view: usize) -> Self {
        let locations = vec![Location { view, key: None }];
        Self { now, undo: Vec::new(), redo: Vec::new(), locations, at: 0 }
    }

    /// Records the settings and the location after an event.
    pub(crate) fn record(&mut self, settings: Preset, location: Location) {
        let view = location.view;
        if self.now[view] != settings {
            let before = std::mem::replace(&mut self.now[view], settings);
            self.undo.push((view, before));
            self.redo.clear();
            if self.undo.len() > MAX_ENTRIES {
                self.undo.remove(0);
            }
        }
        if self.locations[self.at].view != view {
            self.push_location();
        }
        self.locations[self.at] = location;
    }

    /// Keeps the current location before a jump elsewhere.
    pub(crate) fn push_location(&mut self) {
        self.locations.truncate(self.at + 1);
        self.locations.extend(self.locations.last().copied());
        if self.locations.len() > MAX_ENTRIES {
            self.locations.remove(0);
        }
        self.at = self.locations.len() - 1;
    }

    /// Settings to restore on undo (or redo), the view they belong to, and the number of steps left.
    pub(crate) fn step(&mut self, redo: bool) -> Option<(usize, Preset, usize)> {
        let (from, to) =
            if redo { (&mut self.redo, &mut self.undo) } else { (&mut self.undo, &mut self.redo) };
        let (view, settings) = from.pop()?;
        let left = from.len();
        to.push((view, std::mem::replace(&mut self.now[view], settings.clone())));
        Some((view, settings, left))
    }

    /// The previous (-1) or next location.
    pub(crate) fn go(&mut self, by: isize) -> Option<Location> {
        let to = self.at.saturating_add_signed(by);
        let location = self.locations.get(to).copied().filter(|_| to != self.at)?;
        self.at = to;
        Some(location)
    }
}
