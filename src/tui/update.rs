//! What each action does.

use super::act::{Act, offers};
use super::app::{App, NamePrompt, Overlay};
use super::completion_menu::Menu;
use super::event::{Action, Edit, Effect, FoldTo, Motion};
use super::{input, mouse, palette};
use crate::explain::explain;
use crate::filter::complete::complete;
use crate::filter::from_cell::{both, filter_of};
use crate::model::State;
use crate::model::limit::{Ceiling, Limit};
use crate::table::{TABLES, TableId};
use crate::view::Line;
use crate::view::group::Group;
use std::sync::Arc;
use std::time::Duration;

/// The intervals `+` and `-` go through, milliseconds.
const PACES: [u64; 9] = [100, 250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

/// Does what was asked and says what is to be done outside.
pub fn update(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Redraw],
        Action::Refresh => return vec![Effect::Refresh],
        Action::ChangeInterval(by) => return pace(app, by),
        Action::Back => back(app),
        Action::View(n) => {
            if usize::from(n) < app.view_states.len() {
                to_view(app, usize::from(n));
            }
        }
        Action::CycleView(by) => {
            let n = app.view_states.len() as isize;
            to_view(app, (app.active as isize + isize::from(by)).rem_euclid(n) as usize);
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
            let most = super::details::height(app).saturating_sub(usize::from(app.layout().details.height));
            app.details_top = app.details_top.min(most);
        }
        Action::Filter => {
            let before = app.view_state().text.clone();
            let cursor = before.len();
            app.overlay = Some(Overlay::Filter { before, cursor, menu: Menu::default() });
        }
        Action::ClearFilter => app.set_filter(String::new()),
        Action::Edit(e) => edit(app, e),
        Action::AcceptFilter => return keep(app),
        Action::FilterHistory(by) => past(app, by),
        Action::Complete(by) => complete_at(app, by),
        Action::SaveAs => {
            if app.view_state().error.is_none() && !app.view_state().text.trim().is_empty() {
                app.overlay =
                    Some(Overlay::Name { text: String::new(), cursor: 0, prompt: NamePrompt::Filter });
            }
        }
        Action::SaveView => {
            app.overlay = Some(Overlay::Name { text: String::new(), cursor: 0, prompt: NamePrompt::View });
        }
        Action::SavedList => app.overlay = Some(Overlay::Saved(0)),
        Action::ColumnList => app.overlay = Some(Overlay::Columns(0)),
        Action::MoveColumn(by) => {
            if let Some(Overlay::Columns(at)) = app.overlay {
                app.overlay = Some(Overlay::Columns(app.view_state_mut().move_column(at, by)));
            }
        }
        Action::ResetColumns => app.view_state_mut().pick(None),
        Action::MoveCell(by) => to_cell(app, by),
        Action::FilterByCell(same) => by_cell(app, same),
        Action::Group(by) => {
            let view_state = app.view_state_mut();
            let n = view_state.view.table.groupings.len() as isize;
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
        Action::Pause => {
            app.paused = !app.paused;
            if !app.paused
                && let Some(s) = app.paused_latest.take()
            {
                app.show(s);
            }
            app.missed = 0;
            if app.paused && app.snapshot.is_some() {
                // What is not on the screen yet is not put there now.
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
        Action::Palette => palette::open(app),
        Action::Undo(again) => app.undo(again),
        Action::Navigate(by) => app.visit(isize::from(by)),
        Action::MarkRange => {
            if let Some(snap) = app.snapshot.clone() {
                app.view_state_mut().mark_range(&snap);
                app.status_message = Some(format!("{} marked; K acts on them", app.view_state().marks.len()));
            }
        }
        Action::ToggleMouse => {
            app.mouse_released = !app.mouse_released;
            let how = if app.mouse_released {
                "the mouse is the terminal's: select and copy; y takes it back"
            } else {
                "the mouse works here again"
            };
            app.status_message = Some(how.to_owned());
            return vec![Effect::Mouse(!app.mouse_released)];
        }
        Action::ResizeDetails(by) => mouse::pane(app, by),
        Action::MouseDrag(x, y) => mouse::drag(app, x, y),
        Action::MouseUp => app.dragging = false,
        Action::Explain => explain_here(app),
        Action::GoToPeer => other_end(app),
        Action::AlertList => app.overlay = Some(Overlay::Alerts(0)),
        Action::RaiseFdLimit => match super::act::raise(app) {
            Ok(act) => app.overlay = Some(Overlay::Confirm(act, 0)),
            Err(why) => app.status_message = Some(why),
        },
        Action::ExportList => app.overlay = Some(Overlay::Write(0)),
        Action::ActionList => app.overlay = Some(Overlay::Act(0)),
        Action::ToggleNames => {
            app.names = !app.names;
            let how =
                if app.names { "names of far addresses, as the resolver tells them" } else { "addresses" };
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
                app.status_message = Some(format!("{n} marked; K acts on them"));
            }
        }
        Action::Confirm => {
            if let Some(Overlay::Confirm(act, _)) = app.overlay.take() {
                return vec![Effect::Act(act)];
            }
        }

        Action::FocusStates => {
            if let Some((first, _)) = mouse::strip_states(app).first() {
                app.overlay = Some(Overlay::States(filtered_state(app).unwrap_or(*first)));
            }
        }
        Action::Click(x, y) => return mouse::click(app, x, y),
        Action::Wheel(x, y, by) => mouse::wheel(app, x, y, by),
    }
    vec![]
}

/// Goes to a view. Each has a filter of its own; where one stays behind, that is said.
fn to_view(app: &mut App, to: usize) {
    let from = app.view_state();
    let left = (to != app.active && !from.text.trim().is_empty()).then_some(from.view.table.title);
    app.active = to;
    app.overlay = None;
    app.details_top = 0;
    if let Some(title) = left.filter(|_| app.view_state().text.trim().is_empty()) {
        app.status_message = Some(format!("no filter here; that of {title} stays there"));
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
            app.history.leave();
            app.set_filter(before);
        }
        // Back to the filter that was to be saved.
        Some(Overlay::Name { prompt: NamePrompt::Filter, .. }) => {
            let text = app.view_state().text.clone();
            app.overlay =
                Some(Overlay::Filter { before: text.clone(), cursor: text.len(), menu: Menu::default() });
        }
        // From what was found to all of the help.
        Some(Overlay::Help { find, typing, .. }) if typing.is_some() || !find.is_empty() => {
            app.overlay = Some(Overlay::Help { top: 0, find: String::new(), typing: None });
        }
        None if app.details => app.details = false,
        None if !app.view_state().marks.is_empty() => app.view_state_mut().marks.clear(),
        None if !app.view_state().text.is_empty() => app.set_filter(String::new()),
        Some(_) | None => {}
    }
}

fn edit(app: &mut App, e: Edit) {
    match &mut app.overlay {
        Some(Overlay::Name { text, cursor, .. }) => input::edit(text, cursor, e),
        Some(Overlay::Palette { text, cursor, at }) => {
            input::edit(text, cursor, e);
            *at = 0;
        }
        Some(Overlay::Help { find, typing: Some(cursor), top }) => {
            input::edit(find, cursor, e);
            *top = 0;
        }
        Some(Overlay::Filter { cursor, menu, .. }) => {
            *menu = Menu::default();
            app.history.leave();
            let mut text = app.view_states[app.active].text.clone();
            input::edit(&mut text, cursor, e);
            if text != app.view_state().text {
                app.set_filter(text);
            }
        }
        _ => {}
    }
}

/// Ends typing and keeps the filter, unless there is something wrong with it.
fn keep(app: &mut App) -> Vec<Effect> {
    if app.view_state().error.is_some() {
        return vec![];
    }
    app.overlay = None;
    let text = app.view_state().text.clone();
    if app.history.push(&text) { vec![Effect::Remember(text.trim().to_owned())] } else { vec![] }
}

/// The filter typed before, or after.
fn past(app: &mut App, by: i8) {
    let now = app.view_state().text.clone();
    let Some(text) = app.history.turn(&now, by) else { return };
    if let Some(Overlay::Filter { cursor, menu, .. }) = &mut app.overlay {
        *menu = Menu::default();
        *cursor = text.len();
        app.set_filter(text);
    }
}

/// Opens the menu at the cursor and takes its first item, or the next.
fn complete_at(app: &mut App, by: i8) {
    let snapshot = app.snapshot.clone();
    let view_state = &app.view_states[app.active];
    let (table, mut text) = (view_state.view.table, view_state.text.clone());
    let Some(Overlay::Filter { cursor, menu, .. }) = &mut app.overlay else { return };
    if menu.at.is_none() {
        menu.found = complete(&text, *cursor, table, snapshot.as_deref(), &app.options.saved);
    }
    if let Some(to) = menu.turn(&mut text, by) {
        *cursor = to;
        // One that fits is taken, and what follows it can be completed at once.
        if menu.found.items.len() == 1 {
            *menu = Menu::default();
        }
        app.history.leave();
        app.set_filter(text);
    }
}

/// Goes to the cell beside.
fn to_cell(app: &mut App, by: i8) {
    let slots = super::draw::table::slots(app, app.layout().body);
    let now = slots.iter().position(|s| Some(s.column.name) == app.view_state().selected_column);
    let next = match now {
        None if by > 0 => 0,
        None => slots.len().saturating_sub(1),
        Some(i) => i.saturating_add_signed(isize::from(by)).min(slots.len().saturating_sub(1)),
    };
    app.view_state_mut().selected_column = slots.get(next).map(|s| s.column.name);
}

/// Filters by the cell that was gone to; where none was, by one to choose; on a group, by what it has in common.
fn by_cell(app: &mut App, same: bool) {
    let Some(snap) = app.snapshot.clone() else { return };
    let view_state = app.view_state();
    let more = match view_state.lines.get(view_state.cursor) {
        Some(Line::Group(g)) => {
            let group = view_state.view.group.zip(view_state.arranged.groups.get(*g as usize));
            group.and_then(|(by, g)| g.filter(by, &snap)).map(|f| (f, true))
        }
        Some(Line::Row(r)) => {
            match view_state.selected_column.and_then(|name| view_state.view.table.column(name)) {
                Some(c) => filter_of(view_state.view.table, c, &snap, *r as usize).map(|f| (f, false)),
                None if same => {
                    app.overlay = Some(Overlay::Cells(0));
                    return;
                }
                None => None,
            }
        }
        None => None,
    };
    match more {
        Some((more, several)) => add_filter(app, &more, same, several),
        None => app.status_message = Some("go to a cell first: , and . or a click".to_owned()),
    }
}

/// Goes to the far end of the selected connection.
fn other_end(app: &mut App) {
    let Some(snap) = app.snapshot.clone() else { return };
    let view_state = app.view_state();
    let here = view_state.row().filter(|_| view_state.view.table.is_sockets());
    let Some(row) = here else { return };
    let said = match snap.other_end(row) {
        Some(other) => {
            app.leave();
            if app.view_state_mut().reveal(&snap, other) {
                None
            } else {
                Some("the other end does not match the filter")
            }
        }
        None if snap.ends.is_empty() => {
            // It is looked for while the details are open.
            app.details = true;
            Some("looking for the other end; press o again")
        }
        None => Some("the other end is not on this machine"),
    };
    app.status_message = said.map(str::to_owned);
}

/// Says what the cell that was gone to is; else the state of the row or group; else what the table is about.
fn explain_here(app: &mut App) {
    let view_state = app.view_state();
    let line = view_state.lines.get(view_state.cursor);
    let state = match (line, &app.snapshot) {
        (Some(Line::Group(g)), _) => view_state.arranged.groups.get(*g as usize).and_then(Group::state),
        (Some(Line::Row(r)), Some(snap)) if view_state.view.table.is_sockets() => {
            Some(snap.socket(*r as usize).state)
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

/// Puts one more condition to the filter.
fn add_filter(app: &mut App, more: &str, same: bool, several: bool) {
    let more = match (same, several) {
        (true, _) => more.to_owned(),
        (false, false) => format!("not {more}"),
        (false, true) => format!("not ({more})"),
    };
    let view_state = app.view_state();
    let text = if view_state.error.is_some() { String::new() } else { view_state.text.clone() };
    let text = both(&text, &more, &view_state.view.filter);
    app.set_filter(text);
}

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
    let moved = |at: usize, n: usize| at.saturating_add_signed(by).min(n.saturating_sub(1));
    if app.overlay.as_mut().and_then(Overlay::line).is_some() {
        let n = super::overlay::list::len(app);
        if let Some(at) = app.overlay.as_mut().and_then(Overlay::line) {
            *at = moved(*at, n);
        }
        return;
    }
    match &mut app.overlay {
        Some(Overlay::Help { top, .. }) => {
            let to = moved(*top, usize::MAX);
            let most = super::overlay::help::furthest(app);
            if let Some(Overlay::Help { top, .. }) = &mut app.overlay {
                *top = to.min(most);
            }
            return;
        }
        Some(Overlay::Confirm(_, top)) => {
            let to = moved(*top, usize::MAX);
            let most = super::overlay::confirm::furthest(app);
            if let Some(Overlay::Confirm(_, top)) = &mut app.overlay {
                *top = to.min(most);
            }
            return;
        }
        Some(Overlay::Palette { .. }) => return palette::go(app, by),
        Some(Overlay::Explain { top, .. }) => {
            let to = moved(*top, usize::MAX);
            let most = super::overlay::explain::furthest(app);
            if let Some(Overlay::Explain { top, .. }) = &mut app.overlay {
                *top = to.min(most);
            }
            return;
        }
        Some(Overlay::States(s)) => {
            let now = *s;
            let states = mouse::strip_states(app);
            let at = states.iter().position(|(s, _)| *s == now).unwrap_or(0);
            if let Some((s, _)) = states.get(moved(at, states.len())) {
                app.overlay = Some(Overlay::States(*s));
            }
            return;
        }
        _ => {}
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

fn fold(app: &mut App, to: FoldTo) {
    let Some(snap) = app.snapshot.clone() else { return };
    let view_state = app.view_state_mut();
    match to {
        FoldTo::Open => view_state.open(&snap),
        FoldTo::Closed => view_state.close(&snap),
        FoldTo::All => view_state.fold_all(&snap),
    }
}

fn enter(app: &mut App) -> Vec<Effect> {
    match app.overlay {
        Some(Overlay::Columns(at)) => {
            app.overlay = Some(Overlay::Columns(app.view_state_mut().turn_column(at)))
        }
        Some(Overlay::Cells(at)) => {
            app.overlay = None;
            let view_state = app.view_state();
            let cell = view_state.columns().nth(at).zip(view_state.row()).zip(app.snapshot.as_ref());
            let more = cell.and_then(|((c, row), snap)| filter_of(view_state.view.table, c, snap, row));
            if let Some(more) = more {
                add_filter(app, &more, true, false);
            }
        }
        Some(Overlay::Saved(at)) => {
            app.overlay = None;
            let chosen = super::preset::saved(&app.options).into_iter().nth(at);
            match chosen {
                Some((name, _)) if name.starts_with('@') => app.set_filter(name),
                Some((name, _)) => drop(app.open_view(&name)),
                None => {}
            }
        }
        Some(Overlay::Alerts(at)) => {
            app.overlay = None;
            to_alert(app, at);
        }
        Some(Overlay::Write(at)) => {
            app.overlay = None;
            return super::export::take(app, at).map(Effect::Write).into_iter().collect();
        }
        Some(Overlay::Act(at)) => {
            app.overlay = None;
            match offers(app).into_iter().nth(at).map(|o| o.act) {
                // Nothing is lost by a copy.
                Some(act @ Act::Copy(_)) => return vec![Effect::Act(act)],
                Some(act) => app.overlay = Some(Overlay::Confirm(act, 0)),
                None => {}
            }
        }
        Some(Overlay::Name { .. }) => return save(app),
        Some(Overlay::Sort(at)) => {
            let column = app.view_state().columns().nth(at);
            if let Some(c) = column {
                app.view_state_mut().sort_by(c);
            }
            app.overlay = None;
        }
        Some(Overlay::States(s)) => {
            app.overlay = None;
            choose_state(app, s);
        }
        Some(Overlay::Palette { .. }) => return palette::choose(app),
        Some(Overlay::Help { ref mut typing, .. }) => *typing = None,
        Some(Overlay::Filter { .. } | Overlay::Explain { .. } | Overlay::Confirm(..)) => {}
        None => {
            let Some(snap) = app.snapshot.clone() else { return vec![] };
            if !app.view_state_mut().toggle(&snap) {
                app.details = !app.details;
                app.details_top = 0;
            }
        }
    }
    vec![]
}

/// Goes to the limit of an alert, with its details.
fn to_alert(app: &mut App, at: usize) {
    let limit = app.snapshot.as_ref().and_then(|s| s.alerts.get(at)).map(|a| a.limit as usize);
    if let Some(limit) = limit {
        app.details = true;
        to_limit(app, limit);
    }
}

/// Goes to the limit that the header says is nearest to full.
pub(crate) fn to_worst(app: &mut App) {
    let Some(snap) = &app.snapshot else { return };
    let worst = app.worst.map(|(process, _)| process as u32);
    let descriptors = |l: &Limit| l.ceiling == Ceiling::Fds && l.process.is_some() && l.process == worst;
    let limit = match snap.alerts.first() {
        Some(a) => Some(a.limit as usize),
        None => snap.limits.iter().position(descriptors),
    };
    match limit {
        Some(limit) => to_limit(app, limit),
        None => app.active = TableId::Limits as usize,
    }
}

/// Goes to a limit, by its row.
pub(crate) fn to_limit(app: &mut App, row: usize) {
    let Some(snap) = app.snapshot.clone() else { return };
    app.active = TableId::Limits as usize;
    app.details_top = 0;
    app.view_state_mut().arrange(&snap);
    if !app.view_state_mut().reveal(&snap, row) {
        app.status_message = Some("it does not match the filter".to_owned());
    }
}

/// Saves the filter in the bar, or the view, under the name that was typed.
fn save(app: &mut App) -> Vec<Effect> {
    let Some(Overlay::Name { text, prompt, .. }) = &app.overlay else { return vec![] };
    let (name, prompt) = (text.trim().trim_start_matches('@').to_owned(), *prompt);
    if !crate::filter::is_name(&name) {
        app.status_message = Some("a name is one word of letters, digits, - _ and .".to_owned());
        return vec![];
    }
    app.overlay = None;
    match prompt {
        NamePrompt::Filter => {
            let filter = app.view_state().text.trim().to_owned();
            app.options.saved.insert(name.clone(), filter.clone());
            vec![Effect::Save { name, filter }]
        }
        // The tables have their names, and keep them.
        NamePrompt::View if crate::table::table(&name).is_some() => {
            app.status_message = Some(format!("{name} is a table's name"));
            vec![]
        }
        NamePrompt::View => {
            let view = app.view_state().preset();
            app.options.views.insert(name.clone(), view.clone());
            vec![Effect::SaveView { name, view }]
        }
    }
}

/// The state that the filter of the view of sockets asks for and nothing else.
pub(crate) fn filtered_state(app: &App) -> Option<State> {
    State::parse(app.view_states[0].text.trim().strip_prefix("state:")?)
}

/// Filters the view of sockets to a state, or back to all when it is filtered to it.
pub(crate) fn choose_state(app: &mut App, s: State) {
    let again = filtered_state(app) == Some(s);
    app.active = 0;
    let word = s.name().to_ascii_lowercase().replace('_', "-");
    app.set_filter(if again { String::new() } else { format!("state:{word}") });
}

impl App {
    /// The snapshot on the screen.
    pub fn snapshot(&self) -> Option<&Arc<crate::model::Snapshot>> {
        self.snapshot.as_ref()
    }
}
