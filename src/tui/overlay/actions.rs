//! List of actions on the selection.

use super::chosen::Chosen;
use super::list::{Entry, List};
use crate::model::lang::tr;
use crate::msg;
use crate::tui::act::Act;
use crate::tui::app::{App, Overlay};
use crate::tui::event::Effect;
use crate::tui::offers::offers;

pub(super) fn list(app: &App, at: usize) -> List {
    let mut section = None;
    let entries = offers(app).into_iter().map(|o| Entry {
        mark: if o.letter.is_empty() { " " } else { o.letter },
        heading: (section.replace(o.section) != Some(o.section)).then(|| o.section.title()),
        ..Entry::new(o.name, o.text)
    });
    let entries: Vec<Entry> = entries.collect();
    let title = match app.read_only_by() {
        Some(why) => msg!("actions   only copies: {}", tr(why)),
        None => tr("actions").to_owned(),
    };
    List { empty: tr("no actions available here"), ..List::new(title, at, entries) }
}

/// Selects the action of a letter; false if there is none.
pub(super) fn select(app: &mut App, letter: char) -> bool {
    let Some(Overlay::Act(_)) = app.overlay else { return false };
    let at = offers(app).iter().position(|o| o.letter.chars().eq([letter]));
    if let Some(i) = at {
        app.overlay = Some(Overlay::Act(i));
    }
    at.is_some()
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

#[cfg(test)]
mod tests {
    use crate::tui::command::Focus;
    use crate::tui::key_script::key;
    use crate::tui::keymap::Keymap;
    use crate::tui::offers::letters;

    #[test]
    fn letters_of_actions_have_no_command_in_a_list() {
        let all = letters();
        for (i, c) in all.iter().enumerate() {
            assert_eq!(Keymap::default().action(&key(c), Focus::Pick), None, "{c}");
            assert!(c.len() == 1 && !all[..i].contains(c), "{c}");
        }
    }
}
