//! List of actions on the selection.

use super::chosen::Chosen;
use super::list::{Entry, List};
use crate::model::lang::tr;
use crate::tui::act::Act;
use crate::tui::app::{App, Overlay};
use crate::tui::event::Effect;
use crate::tui::offers::offers;

pub(super) fn list(app: &App, at: usize) -> List {
    let entries = offers(app).into_iter().map(|o| Entry::new(o.name, o.text)).collect();
    List { empty: tr("no actions available here"), ..List::new(tr("actions"), at, entries) }
}

/// Asks for confirmation; a copy needs none.
pub(super) fn enter(app: &mut App, at: usize) -> Chosen {
    app.overlay = None;
    match offers(app).into_iter().nth(at).map(|o| o.act) {
        Some(act @ Act::Copy(_)) => Chosen { effects: vec![Effect::Act(act)], ..Chosen::default() },
        act => {
            app.overlay = act.map(|act| Overlay::Confirm(act, 0));
            Chosen::default()
        }
    }
}
