//! What was asked before and where one was: undo and redo, back and forward.

use super::app::App;
use super::view_state::Key;
use crate::view::preset::Preset;

/// Steps that are kept.
const MOST: usize = 100;

/// Where one was: the view, and the line one stood at.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spot {
    view: usize,
    key: Option<Key>,
}

/// The way here.
#[derive(Debug)]
pub(crate) struct Past {
    /// What is asked of each view now.
    now: Vec<Preset>,
    undo: Vec<(usize, Preset)>,
    redo: Vec<(usize, Preset)>,
    spots: Vec<Spot>,
    /// Which of them one stands at.
    at: usize,
}

impl Past {
    pub(crate) fn new(now: Vec<Preset>, view: usize) -> Self {
        Self { now, undo: Vec::new(), redo: Vec::new(), spots: vec![Spot { view, key: None }], at: 0 }
    }
}

impl App {
    /// Notes what changed by the last event. A filter counts when it is typed, not letter by letter.
    pub(crate) fn note(&mut self) {
        if self.place().is_text() {
            return;
        }
        let (view, asked, key) = (self.active, self.sheet().preset(), self.sheet().selected);
        let past = &mut self.past;
        if past.now[view] != asked {
            let before = std::mem::replace(&mut past.now[view], asked);
            past.undo.push((view, before));
            past.redo.clear();
            if past.undo.len() > MOST {
                past.undo.remove(0);
            }
        }
        if past.spots[past.at].view != view {
            self.leave();
        }
        self.past.spots[self.past.at] = Spot { view, key };
    }

    /// Keeps where one stands, because one goes elsewhere.
    pub(crate) fn leave(&mut self) {
        let past = &mut self.past;
        past.spots.truncate(past.at + 1);
        past.spots.extend(past.spots.last().copied());
        if past.spots.len() > MOST {
            past.spots.remove(0);
        }
        past.at = past.spots.len() - 1;
    }

    /// Asks what was asked before, or again what was asked after that.
    pub(crate) fn undo(&mut self, again: bool) {
        let past = &mut self.past;
        let (from, to) =
            if again { (&mut past.redo, &mut past.undo) } else { (&mut past.undo, &mut past.redo) };
        let Some((view, asked)) = from.pop() else {
            self.said = Some(if again { "nothing to do again" } else { "nothing to undo" }.to_owned());
            return;
        };
        to.push((view, std::mem::replace(&mut past.now[view], asked.clone())));
        let left = from.len();
        self.active = view;
        self.over = None;
        self.sheets[view].apply(&asked, self.options.names());
        self.said = Some(match left {
            0 => "as at first".to_owned(),
            n => format!("{n} more; U does it again"),
        });
        if again {
            self.said = None;
        }
    }

    /// To the place before, or the one after.
    pub(crate) fn visit(&mut self, by: isize) {
        let to = self.past.at.saturating_add_signed(by);
        let Some(spot) = self.past.spots.get(to).copied().filter(|_| to != self.past.at) else {
            self.said = Some(if by < 0 { "no place before" } else { "no place after" }.to_owned());
            return;
        };
        self.past.at = to;
        self.active = spot.view;
        self.over = None;
        self.details_top = 0;
        if let Some(key) = spot.key {
            self.sheet_mut().stand_at(key);
        }
    }
}
