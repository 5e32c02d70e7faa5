//! List of the differences between two moments.

use super::chosen::Chosen;
use super::list::{Entry, List};
use crate::format::moment::MomentArg;
use crate::format::{age, clock};
use crate::model::lang::tr;
use crate::model::text::escape;
use crate::tui::app::App;
use crate::tui::compare::Comparison;
use crate::tui::event::Action;
use crate::tui::past::SeekTo;
use crate::tui::theme::Theme;
use crate::view::diff::{Change, Difference, Subject};
use ratatui::style::Style;
use std::sync::Arc;

/// Most columns for the name of what differs.
const NAME: u16 = 44;

pub(super) fn list(app: &App, at: usize, comparison: &Comparison) -> List {
    let (before, after) = comparison.times_ns;
    let apart = age(after.saturating_sub(before) as f64 / 1e9);
    // Written once: there can be thousands, and each is drawn at every key.
    let entries = Arc::clone(comparison.lines.get_or_init(|| entries(app, comparison)));
    List {
        empty: tr("no difference"),
        width: 150,
        names: NAME,
        ..List::new(
            format!("{} {} {} (+{apart})", clock(before), app.glyphs.arrow, clock(after)),
            at,
            entries,
        )
    }
}

fn entries(app: &App, comparison: &Comparison) -> Arc<[Entry]> {
    let mut heading = None;
    let entry = |d: &Difference| {
        let (mark, mark_style): (_, fn(&Theme) -> Style) = match d.change {
            Change::New => (app.glyphs.new, |t| t.good),
            Change::Gone => (app.glyphs.gone, |t| t.bad),
            Change::Changed => ("~", |t| t.warn),
        };
        let first = heading.replace(d.subject) != Some(d.subject);
        Entry {
            mark,
            mark_style,
            heading: first.then(|| tr(d.subject.plural())),
            ..Entry::new(escape(&d.name), escape(&text(app, d)))
        }
    };
    comparison.rows.iter().map(entry).collect()
}

/// State before and after, processes, connections that came and went.
fn text(app: &App, d: &Difference) -> String {
    let mut out = match d.change {
        Change::New => d.after.clone(),
        Change::Gone => d.before.clone(),
        Change::Changed if d.subject == Subject::Connections => {
            moved_states(&d.before, &d.after, app.glyphs.arrow)
        }
        Change::Changed => format!("{} {} {}", d.before, app.glyphs.arrow, d.after),
    };
    if let Some((opened, closed)) = d.turnover.filter(|_| d.change == Change::Changed) {
        out.push_str(&format!(" (+{opened} -{closed})"));
    }
    if !d.process.is_empty() && !d.name.contains(&d.process) {
        out.push_str(&format!("  {}", d.process));
    }
    if !d.netns.is_empty() {
        out.push_str(&format!("  netns {}", d.netns));
    }
    out
}

/// States whose numbers differ, with both: `CLOSE_WAIT 5→12`.
fn moved_states(before: &str, after: &str, arrow: &str) -> String {
    let number = |text: &str, state: &str| {
        let of = text.split(", ").filter_map(|part| part.split_once(' ')).find(|(name, _)| *name == state);
        of.map_or_else(|| "0".to_owned(), |(_, n)| n.to_owned())
    };
    let mut states: Vec<&str> = Vec::new();
    for (name, _) in before.split(", ").chain(after.split(", ")).filter_map(|part| part.split_once(' ')) {
        if !states.contains(&name) {
            states.push(name);
        }
    }
    let moved = states.into_iter().filter_map(|state| {
        let (was, is) = (number(before, state), number(after, state));
        (was != is).then(|| format!("{state} {was}{arrow}{is}"))
    });
    let moved: Vec<String> = moved.collect();
    // As many as before, but others.
    if moved.is_empty() { after.to_owned() } else { moved.join(", ") }
}

/// Shows the rows of a difference; those of what is gone at the moment before.
pub(super) fn enter(app: &mut App, at: usize, comparison: &Comparison) -> Chosen {
    let Some(d) = comparison.rows.get(at) else { return Chosen::default() };
    app.overlay = None;
    let (view, filter) = d.rows();
    app.active = view as usize;
    app.set_filter(filter.to_owned());
    let (before, after) = comparison.times_ns;
    let wanted = if d.change == Change::Gone { before } else { after };
    let shown = app.snapshot.as_ref().map_or(0, |s| s.sample.at.unix_ns);
    let action = (shown != wanted).then_some(Action::Seek(SeekTo::Moment(MomentArg::Unix(wanted))));
    Chosen { action, ..Chosen::default() }
}

#[cfg(test)]
mod tests {
    use super::moved_states;

    #[test]
    fn states_that_moved_are_named_with_both_numbers() {
        for (before, after, want) in [
            ("ESTABLISHED 30, CLOSE_WAIT 5", "ESTABLISHED 30, CLOSE_WAIT 12", "CLOSE_WAIT 5>12"),
            ("ESTABLISHED 3", "TIME_WAIT 3", "ESTABLISHED 3>0, TIME_WAIT 0>3"),
            ("ESTABLISHED 3", "ESTABLISHED 3", "ESTABLISHED 3"),
        ] {
            assert_eq!(moved_states(before, after, ">"), want);
        }
    }
}
