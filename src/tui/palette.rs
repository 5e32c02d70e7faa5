//! Everything that can be asked for, found by a few letters: commands, views, columns, saved filters, themes.

use super::app::{App, Overlay};
use super::command::{COMMANDS, Focus, key_label};
use super::event::Effect;
use super::theme::palette::PALETTES;
use super::theme::{Color, Theme};
use super::{preset, update};
use crate::format::Column;
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

/// What a line of the palette does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// One of [`COMMANDS`].
    Command(usize),
    /// Sort by the column.
    Sort(&'static Column),
    /// Show the column, or hide it.
    Turn(&'static Column),
    /// A saved filter or view, by its name.
    Saved(String),
    /// One of [`PALETTES`].
    Theme(usize),
}

/// One line of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) target: Target,
    /// What it is called.
    pub(crate) name: String,
    /// What it does.
    pub(crate) text: String,
    /// The key that does the same.
    pub(crate) key: String,
}

/// Everything, in the order of the lists it comes from.
fn all(app: &App) -> Vec<Found> {
    let mut out = Vec::new();
    for (i, (c, keys)) in app.options.keymap.commands().enumerate() {
        // What only moves is not looked for, and the palette is open.
        if c.applies(Focus::Table) && c.section != "Move" && c.name != "palette" {
            let key = keys.first().map_or(String::new(), |k| key_label(k, app.glyphs.ascii).into_owned());
            let (name, text) = (c.name.replace('-', " "), c.help.to_owned());
            out.push(Found { target: Target::Command(i), name, text, key });
        }
    }
    let bare =
        |target, name: String, text: &str| Found { target, name, text: text.to_owned(), key: String::new() };
    for (name, text) in preset::saved(&app.options) {
        out.push(bare(Target::Saved(name.clone()), name, &text));
    }
    for (column, shown) in app.view_state().choices() {
        let word = if shown { "hide" } else { "show" };
        out.push(bare(Target::Turn(column), format!("{word} {}", column.name), column.help));
    }
    for column in app.view_state().view.table.columns {
        out.push(bare(Target::Sort(column), format!("sort by {}", column.name), column.help));
    }
    for (i, p) in PALETTES.iter().enumerate() {
        out.push(bare(Target::Theme(i), format!("theme {}", p.name), &p.help));
    }
    out
}

/// What fits the letters, the best first; everything where there are none.
pub(crate) fn found(app: &App, letters: &str) -> Vec<Found> {
    let all = all(app);
    if letters.trim().is_empty() {
        return all;
    }
    let pattern = Pattern::parse(letters, CaseMatching::Ignore, Normalization::Smart);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut buffer = Vec::new();
    let mut score = |text: &str| pattern.score(Utf32Str::new(text, &mut buffer), &mut matcher);
    let mut scored: Vec<(u32, Found)> = all
        .into_iter()
        .filter_map(|f| {
            // The name says more than what is said of it.
            let name = score(&f.name).map(|s| s * 4);
            let both = score(&format!("{} {}", f.name, f.text));
            Some((name.max(both)?, f))
        })
        .collect();
    scored.sort_by_key(|(s, _)| std::cmp::Reverse(*s));
    scored.into_iter().map(|(_, f)| f).collect()
}

/// Does what the line says.
pub(crate) fn choose(app: &mut App) -> Vec<Effect> {
    let Some(Overlay::Palette { text, at, .. }) = app.overlay.take() else { return vec![] };
    let Some(f) = found(app, &text).into_iter().nth(at) else { return vec![] };
    match f.target {
        Target::Command(i) => return update(app, COMMANDS[i].action),
        Target::Sort(column) => app.view_state_mut().sort_by(column),
        Target::Turn(column) => {
            let at = app.view_state().choices().iter().position(|(c, _)| *c == column);
            if let Some(at) = at {
                app.view_state_mut().turn_column(at);
            }
        }
        Target::Saved(name) if name.starts_with('@') => app.set_filter(name),
        Target::Saved(name) => drop(app.open_view(&name)),
        Target::Theme(i) => {
            let p = &PALETTES[i];
            app.theme = Theme::new(p, app.options.color, p.most == Color::True);
            app.options.palette = Some(p.clone());
        }
    }
    vec![]
}

/// The line after, or before.
pub(crate) fn go(app: &mut App, by: isize) {
    let Some(Overlay::Palette { text, at, .. }) = &app.overlay else { return };
    let n = found(app, text).len();
    let to = at.saturating_add_signed(by).min(n.saturating_sub(1));
    if let Some(Overlay::Palette { at, .. }) = &mut app.overlay {
        *at = to;
    }
}

/// Opens it.
pub(crate) fn open(app: &mut App) {
    app.overlay = Some(Overlay::Palette { text: String::new(), cursor: 0, at: 0 });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::{Action, Options};

    fn names(letters: &str) -> Vec<String> {
        found(&App::new(Options::default()), letters).into_iter().map(|f| f.name).collect()
    }

    #[test]
    fn a_few_letters_find_it() {
        assert_eq!(names("help")[0], "help");
        assert_eq!(names("srtrtt")[0], "sort by rtt_us");
        assert_eq!(names("thlig")[0], "theme light");
        assert_eq!(names("proces")[0], "processes");
        assert!(names("accept queue").iter().any(|n| n == "ports"), "what it does counts too");
        assert_eq!(names("zzzzqq"), [""; 0]);
        let every = names("");
        for name in ["undo", "save view", "show inode", "hide proto", "sort by age_s", "theme mono"] {
            assert!(every.iter().any(|n| n == name), "{name}");
        }
    }

    #[test]
    fn every_command_of_the_table_is_there_but_what_moves() {
        let all = all(&App::new(Options::default()));
        for (i, c) in COMMANDS.iter().enumerate().filter(|(_, c)| c.applies(Focus::Table)) {
            let there = all.iter().any(|f| f.target == Target::Command(i));
            assert_eq!(there, c.section != "Move" && c.action != Action::Palette, "{}", c.name);
        }
    }
}
