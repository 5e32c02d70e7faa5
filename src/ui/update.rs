//! What each action does.

use super::app::{App, Over};
use super::event::{Action, Edit, Effect, FoldTo, Motion};
use super::{hit, input};
use crate::model::State;
use crate::query::complete::complete;
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
        Action::Pace(by) => return pace(app, by),
        Action::Back => back(app),
        Action::View(n) => {
            if usize::from(n) < app.sheets.len() {
                app.active = usize::from(n);
                app.over = None;
                app.details_top = 0;
            }
        }
        Action::Turn(by) => {
            let n = app.sheets.len() as isize;
            app.active = (app.active as isize + isize::from(by)).rem_euclid(n) as usize;
            app.over = None;
            app.details_top = 0;
        }
        Action::Go(motion) => go(app, motion),
        Action::Fold(to) => fold(app, to),
        Action::Enter => enter(app),
        Action::Details(by) => {
            app.details_top = app.details_top.saturating_add_signed(isize::from(by));
            let most =
                super::draw::details::height(app).saturating_sub(usize::from(app.layout().details.height));
            app.details_top = app.details_top.min(most);
        }
        Action::Filter => {
            let before = app.sheet().text.clone();
            let cursor = before.len();
            app.over = Some(Over::Filter { before, cursor });
        }
        Action::Unfilter => app.set_filter(String::new()),
        Action::Edit(e) => edit(app, e),
        Action::Keep => {
            if app.sheet().error.is_none() {
                app.over = None;
            }
        }
        Action::Group(by) => {
            let sheet = app.sheet_mut();
            let n = sheet.kind.groupings().len() as isize;
            let next = (sheet.grouping as isize + isize::from(by)).rem_euclid(n) as usize;
            if next != sheet.grouping {
                sheet.set_grouping(next);
            }
        }
        Action::Sort => {
            let at = app
                .sheet()
                .view
                .sort
                .first()
                .and_then(|k| app.sheet().columns().position(|c| c.name == k.column.name));
            app.over = Some(Over::Sort(at.unwrap_or(0)));
        }
        Action::Reverse => app.sheet_mut().reverse(),
        Action::Pause => {
            app.paused = !app.paused;
            if !app.paused
                && let Some(s) = app.newer.take()
            {
                app.show(s);
            }
            app.missed = 0;
        }
        Action::Help => app.over = Some(Over::Help(0)),
        Action::States => {
            if let Some((first, _)) = hit::strip_states(app).first() {
                app.over = Some(Over::States(filtered_state(app).unwrap_or(*first)));
            }
        }
        Action::Click(x, y) => return hit::click(app, x, y),
        Action::Wheel(x, y, by) => hit::wheel(app, x, y, by),
    }
    vec![]
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
    match app.over.take() {
        Some(Over::Filter { before, .. }) => app.set_filter(before),
        None if app.details => app.details = false,
        None if !app.sheet().text.is_empty() => app.set_filter(String::new()),
        Some(_) | None => {}
    }
}

fn edit(app: &mut App, e: Edit) {
    let snapshot = app.snapshot.clone();
    let sheet = &mut app.sheets[app.active];
    let Some(Over::Filter { cursor, .. }) = &mut app.over else { return };
    let mut text = sheet.text.clone();
    if e == Edit::Complete {
        let found = complete(&text, *cursor, sheet.view.table, snapshot.as_deref());
        if let Some(c) = found.items.first().map(|i| &i.text) {
            text.replace_range(found.span.clone(), c);
            *cursor = found.span.start + c.len();
        }
    } else {
        input::edit(&mut text, cursor, e);
    }
    if text != sheet.text {
        app.set_filter(text);
    }
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
    match &mut app.over {
        Some(Over::Help(top)) => {
            let top = moved(*top, usize::MAX);
            app.over = Some(Over::Help(top.min(super::draw::help::furthest(app))));
            return;
        }
        Some(Over::Sort(at)) => {
            *at = moved(*at, app.sheets[app.active].columns().count());
            return;
        }
        Some(Over::States(s)) => {
            let now = *s;
            let states = hit::strip_states(app);
            let at = states.iter().position(|(s, _)| *s == now).unwrap_or(0);
            if let Some((s, _)) = states.get(moved(at, states.len())) {
                app.over = Some(Over::States(*s));
            }
            return;
        }
        Some(Over::Filter { .. }) | None => {}
    }
    let Some(snap) = app.snapshot.clone() else { return };
    let sheet = app.sheet_mut();
    match motion {
        Motion::Top => sheet.go_top(&snap),
        Motion::Group(by) => sheet.go_group(&snap, by),
        _ => {
            let to = sheet.cursor.saturating_add_signed(by);
            sheet.select(&snap, to);
        }
    }
    app.details_top = 0;
}

fn fold(app: &mut App, to: FoldTo) {
    let Some(snap) = app.snapshot.clone() else { return };
    let sheet = app.sheet_mut();
    match to {
        FoldTo::Open => sheet.open(&snap),
        FoldTo::Closed => sheet.close(&snap),
        FoldTo::All => sheet.fold_all(&snap),
    }
}

fn enter(app: &mut App) {
    match app.over {
        Some(Over::Sort(at)) => {
            let column = app.sheet().columns().nth(at);
            if let Some(c) = column {
                app.sheet_mut().sort_by(c);
            }
            app.over = None;
        }
        Some(Over::States(s)) => {
            app.over = None;
            choose_state(app, s);
        }
        Some(Over::Filter { .. } | Over::Help(_)) => {}
        None => {
            let Some(snap) = app.snapshot.clone() else { return };
            if !app.sheet_mut().toggle(&snap) {
                app.details = !app.details;
                app.details_top = 0;
            }
        }
    }
}

/// The state that the filter of the view of sockets asks for and nothing else.
pub(super) fn filtered_state(app: &App) -> Option<State> {
    State::parse(app.sheets[0].text.trim().strip_prefix("state:")?)
}

/// Filters the view of sockets to a state, or back to all when it is filtered to it.
pub(super) fn choose_state(app: &mut App, s: State) {
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
