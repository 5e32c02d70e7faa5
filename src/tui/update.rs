//! Actions: how each changes the state, and the effects it asks for.

mod click;
mod export;
mod filter;
mod why;

use super::app::{App, NamePrompt, Overlay};
use super::chart;
use super::compare::TwoMoments;
use super::completion_menu::Menu;
use super::event::{Action, Effect, FoldTo, Motion, Recorded};
use super::layout::state_bar;
use super::past::{Searched, SeekRequest, SeekTo};
use super::remote::{self, Refused};
use super::{details, navigate, offers, overlay};
use crate::explain::explain;
use crate::format::clock;
use crate::model::lang::tr;
use crate::msg;
use crate::table::{TABLES, TableId};
use crate::view::Line;
use crate::view::group::Group;
use std::sync::Arc;
use std::time::Duration;

/// Poll intervals of `+` and `-`, milliseconds.
const PACES: [u64; 9] = [100, 250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

/// Carries out an action; returns the effects for the runner.
pub fn update(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Redraw],
        Action::Refresh => match &app.overlay {
            Some(Overlay::Why(..)) => return why::ask_again(app),
            _ => return vec![Effect::Refresh],
        },
        Action::ChangeInterval(by) => return pace(app, by),
        Action::Back => back(app),
        Action::View(n) => {
            if usize::from(n) < app.view_states.len() {
                navigate::to_view(app, usize::from(n));
            }
        }
        Action::CycleView(by) => {
            let n = app.view_states.len() as isize;
            navigate::to_view(app, (app.active as isize + isize::from(by)).rem_euclid(n) as usize);
        }
        Action::Go(motion) => go(app, motion),
        Action::Fold(to) => fold(app, to),
        Action::Enter => return enter(app),
        Action::ScrollDetails(_) | Action::ScrollDetailsHalf(_) => {
            let half = (app.layout().details.height / 2).max(1) as i16;
            let by = match action {
                Action::ScrollDetails(by) => by,
                Action::ScrollDetailsHalf(n) => half.saturating_mul(i16::from(n)),
                _ => 0,
            };
            app.details_top = app.details_top.saturating_add_signed(isize::from(by));
            app.details_top = app.details_top.min(details::extent(app));
        }
        Action::Filter => {
            let before = app.view_state().text.clone();
            let cursor = before.len();
            app.overlay = Some(Overlay::Filter { before, cursor, menu: Menu::default() });
        }
        Action::ClearFilter => app.set_filter(String::new()),
        Action::Edit(e) => filter::edit(app, e),
        Action::AcceptFilter => return filter::accept(app),
        Action::FilterHistory(by) => filter::from_history(app, by),
        Action::Complete(by) => filter::complete_word(app, by),
        Action::SaveAs => {
            if app.view_state().error.is_none() && !app.view_state().text.trim().is_empty() {
                app.overlay = Some(Overlay::Name {
                    text: String::new(),
                    cursor: 0,
                    proposed: false,
                    prompt: NamePrompt::Filter,
                });
            }
        }
        Action::SaveView => {
            app.overlay = Some(Overlay::Name {
                text: String::new(),
                cursor: 0,
                proposed: false,
                prompt: NamePrompt::View,
            });
        }
        Action::SavedList => app.overlay = Some(Overlay::Saved(0)),
        Action::ColumnList => app.overlay = Some(Overlay::Columns(0)),
        Action::MoveColumn(by) => {
            if let Some(Overlay::Columns(at)) = app.overlay {
                app.overlay = Some(Overlay::Columns(app.view_state_mut().move_column(at, by)));
            }
        }
        Action::SearchColumns => {
            let text = format!("{} ", overlay::palette::SHOW);
            app.overlay = Some(Overlay::Palette { cursor: text.len(), text, at: 0 });
        }
        Action::ResetColumns => app.view_state_mut().choose_columns(None),
        Action::MoveCell(by) => filter::move_cell(app, by),
        Action::FilterByCell(same) => filter::by_cell(app, same),
        Action::Group(by) => {
            let view_state = app.view_state_mut();
            let n = view_state.groupings().count() as isize;
            let next = (view_state.grouping as isize + isize::from(by)).rem_euclid(n) as usize;
            if next != view_state.grouping {
                view_state.set_grouping(next);
            }
        }
        Action::SortList => {
            let at = app
                .view_state()
                .view
                .sort
                .first()
                .and_then(|k| app.view_state().columns().position(|c| c.name == k.column.name));
            app.overlay = Some(Overlay::Sort(at.unwrap_or(0)));
        }
        Action::Reverse => app.view_state_mut().reverse(),
        Action::Pause if app.past.is_some() => return live(app),
        Action::Pause => {
            app.paused = !app.paused;
            if !app.paused
                && let Some(s) = app.paused_latest.take()
            {
                app.show(s);
            }
            app.missed = 0;
            if app.paused && app.snapshot.is_some() {
                // A snapshot that is still being arranged is dropped.
                app.paused_latest = app.pending.take();
                app.missed = u32::from(app.paused_latest.is_some());
            }
        }
        Action::Help => app.overlay = Some(Overlay::Help { top: 0, find: String::new(), typing: None }),
        Action::Find => {
            if let Some(Overlay::Help { find, typing, top }) = &mut app.overlay {
                (*typing, *top) = (Some(find.len()), 0);
            }
        }
        Action::Palette => app.overlay = Some(Overlay::Palette { text: String::new(), cursor: 0, at: 0 }),
        Action::Undo(again) => navigate::undo(app, again),
        Action::Navigate(by) => navigate::go_in_history(app, isize::from(by)),
        Action::MarkRange => {
            if let Some(snap) = app.snapshot.clone() {
                app.view_state_mut().mark_range(&snap);
                app.status_message = Some(msg!(
                    "{} marked; {} for actions",
                    app.view_state().marks.len(),
                    app.key_label("act")
                ));
            }
        }
        Action::ToggleMouse => {
            app.mouse_released = !app.mouse_released;
            let how = if app.mouse_released {
                let label = app.key_label("mouse");
                msg!("mouse capture off: select text with the terminal; {} turns it on again", label)
            } else {
                tr("mouse capture on").to_owned()
            };
            app.status_message = Some(how);
            return vec![Effect::Mouse(!app.mouse_released)];
        }
        Action::ResizeDetails(by) => click::resize_details(app, by),
        Action::MouseDrag(x, y) => click::drag(app, x, y),
        Action::MouseUp => (app.dragging, app.scrolling) = (false, false),
        Action::ChartSpan => {
            app.chart_span = (app.chart_span + 1) % chart::SPANS.len();
            let span = details::span_text(chart::SPANS[app.chart_span]);
            app.status_message = Some(msg!("charts in the details: last {}", span));
        }
        Action::Explain => explain_here(app),
        Action::Why => return why::open(app),
        Action::CopyAnswer => return why::copy(app),
        Action::GoToPeer => navigate::to_peer(app),
        Action::AlertList => app.overlay = Some(Overlay::Alerts(0)),
        Action::RaiseFdLimit => match offers::raise(app) {
            Ok(act) => app.overlay = Some(Overlay::Confirm(act, 0)),
            Err(why) => app.status_message = Some(why),
        },
        Action::ExportList => {
            let differences = match &app.overlay {
                Some(Overlay::Differences(_, comparison)) => Some(Arc::clone(comparison)),
                _ => None,
            };
            app.overlay = Some(Overlay::Write(0, differences));
        }
        Action::Compare => return compare(app),
        Action::ActionList => {
            // What is left copies.
            app.status_message = remote::refused(app, Refused::Action);
            app.overlay = Some(Overlay::Act(0));
        }
        Action::Seek(to) => return seek(app, to),
        Action::Live => return live(app),
        Action::ToggleRecording if app.recorded => {
            app.status_message = Some(tr("a recording is shown: nothing to record").to_owned());
        }
        Action::ToggleRecording if app.options.hosts => {
            app.status_message = remote::refused(app, Refused::Recording);
        }
        Action::ToggleRecording => return vec![Effect::Record(app.recording == Recorded::Off)],
        Action::ToggleNames => {
            app.names = !app.names;
            let how = if app.names {
                tr("resolving remote addresses (DNS)")
            } else {
                tr("addresses shown without DNS names")
            };
            app.status_message = Some(how.to_owned());
        }
        Action::Mark | Action::MarkAll => {
            if let Some(snap) = app.snapshot.clone() {
                let view_state = app.view_state_mut();
                if action == Action::Mark {
                    view_state.mark(&snap);
                } else {
                    view_state.mark_all(&snap);
                }
                let n = view_state.marks.len();
                app.status_message = Some(msg!("{} marked; {} for actions", n, app.key_label("act")));
            }
        }
        Action::Confirm => {
            if let Some(Overlay::Confirm(act, _)) = app.overlay.take() {
                return vec![Effect::Act(act)];
            }
        }

        Action::FocusStates => {
            if let Some((first, _)) = state_bar::states(app).first() {
                app.overlay = Some(Overlay::States(app.filtered_state().unwrap_or(*first)));
            }
        }
        Action::Click(x, y) => {
            if let Some(action) = click::click(app, x, y) {
                return update(app, action);
            }
        }
        Action::Wheel(x, y, by) => click::wheel(app, x, y, by),
    }
    vec![]
}

/// Asks for a moment of the past. A step beyond the last one is back to what is live.
fn seek(app: &mut App, to: SeekTo) -> Vec<Effect> {
    let Some(snap) = &app.snapshot else { return vec![] };
    if let Some(why) = remote::refused(app, Refused::Past) {
        app.status_message = Some(why);
        return vec![];
    }
    let is_last = match &app.past {
        Some(past) => past.number + 1 >= past.moments,
        None => !app.recorded || app.ended,
    };
    let is_forward = match to {
        SeekTo::Samples(n) | SeekTo::Seconds(n) => n > 0,
        SeekTo::Begin(_, forward) => forward,
        SeekTo::Moment(_) => false,
    };
    if is_last && is_forward {
        if app.past.is_none() {
            app.status_message = Some(tr("what is shown is the newest").to_owned());
        }
        return live(app);
    }
    // Keys are faster than answers: the next step begins where the last one will end.
    let shown = snap.sample.at.unix_ns;
    let is_first = !std::mem::replace(&mut app.seeking, true);
    let from = is_first.then_some(shown);
    let filter =
        matches!(to, SeekTo::Begin(Searched::Match, _)).then(|| app.view_state().view.filter.clone());
    vec![Effect::Seek(SeekRequest { from, to, filter })]
}

/// Opens the differences between the marked moment and the one that is shown. Without a marked one this one is marked; if they
/// are the same it is unmarked.
fn compare(app: &mut App) -> Vec<Effect> {
    let Some(shown) = app.snapshot.clone() else { return vec![] };
    if let Some(why) = remote::refused(app, Refused::Compare) {
        app.status_message = Some(why);
        return vec![];
    }
    let time = shown.sample.at.unix_ns;
    match app.compare_from.take() {
        None => {
            app.status_message = Some(msg!(
                "{} marked: {} at another moment lists the differences",
                clock(time),
                app.key_label("compare")
            ));
            app.compare_from = Some(shown);
        }
        Some(marked) if marked.sample.at.unix_ns == time => {
            app.status_message = Some(tr("moment unmarked").to_owned());
        }
        Some(marked) => {
            app.compare_from = Some(Arc::clone(&marked));
            return vec![Effect::Compare(TwoMoments(marked, shown))];
        }
    }
    vec![]
}

/// Returns from the past: the newest snapshot is shown, and a pause ends. A recording is played on from the moment that is shown.
fn live(app: &mut App) -> Vec<Effect> {
    let was_seeking = std::mem::take(&mut app.seeking);
    if app.past.take().is_none() {
        return if was_seeking { vec![Effect::StopSearch] } else { vec![] };
    }
    (app.paused, app.ended, app.missed) = (false, false, 0);
    let latest = app.paused_latest.take();
    match &app.snapshot {
        Some(shown) if app.recorded => vec![Effect::Resume(shown.sample.at.unix_ns)],
        _ => {
            if let Some(s) = latest {
                app.show(s);
            }
            vec![Effect::StopSearch]
        }
    }
}

fn pace(app: &mut App, by: i8) -> Vec<Effect> {
    let now = app.interval.as_millis() as u64;
    let next = if by < 0 { PACES.iter().rev().find(|p| **p < now) } else { PACES.iter().find(|p| **p > now) };
    match next {
        Some(ms) => {
            app.interval = Duration::from_millis(*ms);
            vec![Effect::Interval(app.interval)]
        }
        None => vec![],
    }
}

fn back(app: &mut App) {
    match app.overlay.take() {
        Some(Overlay::Filter { before, .. }) => {
            app.history.stop_recalling();
            app.set_filter(before);
        }
        // Back to the filter to be saved.
        Some(Overlay::Name { prompt: NamePrompt::Filter, .. }) => {
            let text = app.view_state().text.clone();
            app.overlay =
                Some(Overlay::Filter { before: text.clone(), cursor: text.len(), menu: Menu::default() });
        }
        // Back to the whole help.
        Some(Overlay::Help { find, typing, .. }) if typing.is_some() || !find.is_empty() => {
            app.overlay = Some(Overlay::Help { top: 0, find: String::new(), typing: None });
        }
        None if app.details => app.toggle_details(),
        None if !app.view_state().marks.is_empty() => app.view_state_mut().marks.clear(),
        None if !app.view_state().text.is_empty() => app.set_filter(String::new()),
        Some(_) | None => {}
    }
}

/// Explains the selected cell, else the state of the row or group, else the table.
fn explain_here(app: &mut App) {
    if let Some(Overlay::Why(page, _)) = &app.overlay {
        let topic = page.cause().map(|c| explain(c.name, app.options.lang, &TABLES));
        match topic {
            Some(Ok(text)) => app.overlay = Some(Overlay::Explain { text, top: 0 }),
            Some(Err(why)) => app.status_message = Some(why),
            None => app.status_message = Some(tr("no cause to explain").to_owned()),
        }
        return;
    }
    let view_state = app.view_state();
    let line = view_state.lines.get(view_state.cursor);
    let state = match (line, &app.snapshot) {
        (Some(Line::Group(g)), _) => view_state.arranged.groups.get(*g as usize).and_then(Group::state),
        (Some(Line::Row(r)), Some(snap)) if view_state.view.table.is_sockets() => {
            let (snap, row) = snap.at(TableId::Sockets, *r as usize);
            snap.get_socket(row).map(|s| s.state)
        }
        _ => None,
    };
    let usual = view_state.view.table.topic;
    let word = match (view_state.selected_column, state) {
        (Some("state") | None, Some(s)) => s.name(),
        (Some(cell), _) => cell,
        (None, None) => usual,
    };
    match explain(word, app.options.lang, &TABLES) {
        Ok(text) => app.overlay = Some(Overlay::Explain { text, top: 0 }),
        Err(why) => app.status_message = Some(why),
    }
}

fn fold(app: &mut App, to: FoldTo) {
    let Some(snap) = app.snapshot.clone() else { return };
    let view_state = app.view_state_mut();
    match to {
        FoldTo::Open => view_state.open(&snap),
        FoldTo::Closed => view_state.close(&snap),
        FoldTo::All => view_state.fold_all(&snap),
    }
}

/// Moves the selection of the table, or of the overlay.
fn go(app: &mut App, motion: Motion) {
    let height = usize::from(app.layout().body.height).max(1);
    let by = match motion {
        Motion::Lines(n) => isize::from(n),
        Motion::Halves(n) => isize::from(n) * (height / 2).max(1) as isize,
        Motion::Pages(n) => isize::from(n) * height.saturating_sub(1).max(1) as isize,
        Motion::Top => isize::MIN / 2,
        Motion::Bottom => isize::MAX / 2,
        Motion::Group(_) => 0,
    };
    if overlay::go(app, by) {
        return;
    }
    let Some(snap) = app.snapshot.clone() else { return };
    let view_state = app.view_state_mut();
    match motion {
        Motion::Top => view_state.go_top(&snap),
        Motion::Group(by) => view_state.go_group(&snap, by),
        _ => {
            let to = view_state.cursor.saturating_add_signed(by);
            view_state.select(&snap, to);
        }
    }
    app.details_top = 0;
}

/// Enter: in the table folds a group or opens the details, in an overlay chooses.
fn enter(app: &mut App) -> Vec<Effect> {
    if app.overlay.is_none() {
        let Some(snap) = app.snapshot.clone() else { return vec![] };
        if !app.view_state_mut().toggle(&snap) {
            app.toggle_details();
        }
        return vec![];
    }
    let mut chosen = overlay::enter(app);
    if let Some((format, differences)) = chosen.export.take() {
        export::ask_name(app, format, differences.as_deref());
    }
    if let Some(action) = chosen.action {
        chosen.effects.extend(update(app, action));
    }
    chosen.effects
}
