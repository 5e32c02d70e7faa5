//! Events in, effects out: keys, mouse, snapshots and results of background work.

use super::app::{App, Options, Overlay, theme};
use super::arrange::ArrangeResult;
use super::command::Focus;
use super::completion_menu::Menu;
use super::event::{Action, Effect, Event, ProbeRequest, Signal};
use super::input;
use super::key;
use super::layout::content_width;
use super::nav_history::Location;
use super::on_screen;
use super::overlay;
use super::synonyms::instead;
use super::update::update;
use crate::diagnose::alert::alert_json;
use crate::diagnose::finding::limit_diagnosis;
use crate::format::clock;
use crate::model::Snapshot;
use crate::model::history::Subject;
use crate::model::lang::{fill, tr};
use crate::model::text::strip_os_error;
use crate::msg;
use crate::table::TableId;
use crate::tui::terminal::backend::bounded;
use crate::view::Line;
use crossterm::event::{
    Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
};
use ratatui::layout::{Rect, Size};
use std::fmt::Display;
use std::sync::Arc;

/// Message for a key that has no command in this focus.
fn no_command(options: &Options, focus: Focus, event: &KeyEvent) -> String {
    let ascii = options.ascii;
    let pressed = key::from_event(event);
    let label = key::label(pressed, ascii);
    if let KeyCode::Char(c) = event.code
        && !c.is_ascii()
    {
        return msg!("no key {}: keys are those of a Latin keyboard layout", c);
    }
    match instead(pressed).filter(|_| focus == Focus::Table) {
        Some((commands, advice)) => {
            let labels: Vec<String> = commands.iter().map(|c| options.key_label(c)).collect();
            let labels: Vec<&dyn Display> = labels.iter().map(|l| l as &dyn Display).collect();
            msg!("no key {}: {}", label, fill(tr(advice), &labels))
        }
        None => msg!("no key {}", label),
    }
}

/// The character of a key without modifiers.
fn typed(key: &KeyEvent) -> Option<char> {
    match key.code {
        KeyCode::Char(c) if (key.modifiers - KeyModifiers::SHIFT).is_empty() => Some(c),
        _ => None,
    }
}

/// The subject whose history the details of a row show.
fn subject(table: TableId, snap: &Snapshot, row: usize) -> Option<Subject> {
    match table {
        TableId::Sockets => snap.get_socket(row).map(|s| Subject::Socket(s.id)),
        TableId::Processes => snap.process_subject(row),
        TableId::Limits => snap.limits.get(row).map(|l| snap.limit_subject(l)),
        TableId::Ports
        | TableId::Peers
        | TableId::Forwards
        | TableId::Map
        | TableId::Events
        | TableId::Dns => None,
    }
}

impl App {
    /// Effects at the start.
    pub(crate) fn start(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.after_event(&mut effects);
        effects
    }

    /// Sets how this program is confined, for the help.
    pub fn set_sandbox(&mut self, state: Option<String>) {
        self.sandbox = state;
    }

    /// Sets the size of the screen.
    pub fn resize(&mut self, size: Size) {
        self.area = Rect::new(0, 0, size.width, size.height);
        self.keep_in_sight();
    }

    pub(crate) fn keep_in_sight(&mut self) {
        let height = usize::from(self.layout().body.height);
        self.view_state_mut().show_cursor(height);
    }

    /// Handles one event.
    pub fn handle(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = match event {
            Event::Input(input) => self.input(input),
            Event::Fresh(latest) => {
                if let Some(s) = latest.take() {
                    (self.failed, self.late) = (None, None);
                    if self.paused && self.snapshot.is_some() {
                        self.missed += 1;
                        self.paused_latest = Some(s);
                    } else {
                        self.show(s);
                    }
                }
                self.new_alerts()
            }
            Event::Late(age) => {
                self.late = Some(age);
                vec![]
            }
            // An answer that comes after the return is of no use.
            Event::Past(..) if !self.seeking => vec![],
            Event::Past(snap, position) => {
                // The first step back ends a pause: what comes is kept beside it, and shown after the return.
                if !self.paused {
                    self.paused_latest = self.pending.take().or_else(|| self.snapshot.clone());
                }
                (self.paused, self.missed) = (true, 0);
                if position.number == 0 {
                    self.status_message = Some(tr("the first moment that is kept").to_owned());
                }
                self.past = Some(position);
                self.show_past(snap);
                vec![]
            }
            Event::Recording(state, what) => {
                self.recording = state;
                self.status_message = Some(strip_os_error(&what).into_owned());
                vec![]
            }
            Event::Marks(periods) => {
                if let Some(past) = &mut self.past {
                    past.periods = periods;
                }
                vec![]
            }
            Event::NoMoment => {
                // The next step is seen from what is shown.
                self.seeking &= self.past.is_some();
                self.status_message = Some(tr("nothing like it in the past that is kept").to_owned());
                vec![]
            }
            Event::Compared(comparison) => {
                // Something else can have been opened since.
                if self.overlay.is_none() {
                    self.overlay = Some(Overlay::Differences(0, comparison));
                }
                vec![]
            }
            Event::Searching(ns) => {
                if self.seeking {
                    self.status_message = Some(msg!("searching: {}", clock(ns)));
                }
                vec![]
            }
            Event::EndOfRecording => {
                self.ended = true;
                vec![]
            }
            Event::Failed(why) => {
                self.failed = Some(strip_os_error(&why).into_owned());
                vec![]
            }
            Event::Probed(request, seen) => {
                // Results of earlier requests are dropped.
                if let Some(c) = self.detail_probe.as_mut().filter(|c| c.0 == request) {
                    c.1 = Some(*seen);
                }
                vec![]
            }
            Event::Answered(question, result) => {
                // The page can have been closed, or opened for another row.
                if let Some(Overlay::Why(page, _)) = &mut self.overlay {
                    page.take(&question, *result);
                }
                vec![]
            }
            Event::Arranged(answer) => {
                self.arranged(*answer);
                vec![]
            }
            Event::EffectiveInterval(real) => {
                self.effective_interval = real;
                vec![]
            }
            Event::HostNames | Event::TerminalReady => vec![],
            Event::Background(rgb) => {
                self.options.ground = Some(rgb);
                self.theme = theme(&self.options, Some(rgb));
                vec![]
            }
            Event::Status(what) => {
                self.status_message = Some(strip_os_error(&what).into_owned());
                vec![]
            }
            Event::Signal(Signal::Continue) => vec![Effect::Redraw],
            Event::Signal(Signal::Stop) => vec![Effect::Suspend],
            Event::Signal(_) | Event::InputClosed => vec![Effect::Quit],
        };
        self.after_event(&mut effects);
        effects
    }

    fn input(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Key(k) if k.kind != KeyEventKind::Release => {
                self.status_message = None;
                self.greeting = false;
                let repeated = self.previous_key.replace(k) == Some(k);
                match self.options.keymap.action(&k, self.focus()) {
                    Some(action) => {
                        let effects = update(self, action);
                        if repeated && k.code == KeyCode::Char('g') && matches!(action, Action::Group(_)) {
                            self.status_message = Some(msg!(
                                "{} changes the grouping; {}: first line, {}: last line",
                                self.key_label("group"),
                                self.key_label("top"),
                                self.key_label("bottom")
                            ));
                        }
                        effects
                    }
                    None if typed(&k).is_some_and(|c| overlay::select(self, c)) => {
                        update(self, Action::Enter)
                    }
                    None => {
                        self.status_message = Some(no_command(&self.options, self.focus(), &k));
                        vec![]
                    }
                }
            }
            Input::Mouse(m) => match m.kind {
                MouseEventKind::Drag(MouseButton::Left) => update(self, Action::MouseDrag(m.column, m.row)),
                MouseEventKind::Up(MouseButton::Left) => update(self, Action::MouseUp),
                MouseEventKind::Down(MouseButton::Left) => update(self, Action::Click(m.column, m.row)),
                MouseEventKind::ScrollDown => update(self, Action::Wheel(m.column, m.row, 1)),
                MouseEventKind::ScrollUp => update(self, Action::Wheel(m.column, m.row, -1)),
                _ => vec![],
            },
            Input::Paste(text) => {
                if let Some(Overlay::Name { text: name, cursor, proposed, .. }) = &mut self.overlay {
                    if std::mem::take(proposed) {
                        (*name, *cursor) = (String::new(), 0);
                    }
                    input::paste(name, cursor, &text);
                    return vec![];
                }
                if self.focus() != Focus::Filter {
                    update(self, Action::Filter);
                }
                if let Some(Overlay::Filter { cursor, menu, .. }) = &mut self.overlay {
                    *menu = Menu::default();
                    let mut line = self.view_states[self.active].text.clone();
                    input::paste(&mut line, cursor, &text);
                    self.set_filter(line);
                }
                vec![]
            }
            Input::Resize(width, height) => {
                let Size { width, height } = bounded(Size::new(width, height));
                self.resize(Size { width, height });
                vec![]
            }
            _ => vec![],
        }
    }

    /// Shows a snapshot, after background arranging if it is large.
    pub(crate) fn show(&mut self, s: Arc<Snapshot>) {
        self.missed = 0;
        self.paused_latest = None;
        if self.is_large(&s) {
            self.pending = Some(s);
            let view_state = self.view_state_mut();
            view_state.stale = true;
            view_state.forget_job();
            return;
        }
        self.put(s);
    }

    /// Shows a moment of the past; the newest snapshot is kept.
    fn show_past(&mut self, s: Arc<Snapshot>) {
        let latest = self.paused_latest.take();
        self.show(s);
        self.paused_latest = latest;
    }

    /// True if the current view has enough rows to be arranged in the background.
    fn is_large(&self, s: &Snapshot) -> bool {
        self.options.background_above.is_some_and(|n| self.view_state().view.table.rows(s) >= n)
    }

    fn put(&mut self, s: Arc<Snapshot>) {
        self.pending = None;
        let share = |number: usize| {
            let (on, row) = s.at(TableId::Processes, number);
            Some((number, on.fds(row).ok()?.share()?))
        };
        self.worst =
            (0..TableId::Processes.table().rows(&s)).filter_map(share).max_by(|a, b| a.1.total_cmp(&b.1));
        self.snapshot = Some(s);
        for view_state in &mut self.view_states {
            view_state.stale = true;
        }
    }

    /// Notifications of the new alerts in the newest snapshot.
    fn new_alerts(&mut self) -> Vec<Effect> {
        let newest = self.paused_latest.as_ref().or(self.pending.as_ref()).or(self.snapshot.as_ref());
        let Some(snap) = newest.filter(|s| s.seq != self.alerts_sent) else { return vec![] };
        let new = snap.alerts.iter().filter(|a| a.new).map(|a| {
            let (snap, row) = snap.at(TableId::Limits, a.limit as usize);
            Effect::NotifyAlert(
                alert_json(snap, row),
                limit_diagnosis(snap, row).map(|d| d.evidence).unwrap_or_default(),
            )
        });
        let new = new.collect();
        self.alerts_sent = snap.seq;
        new
    }

    /// Records the selected socket, and requests a probe for the details.
    fn request_probe(&mut self, snap: &Snapshot, effects: &mut Vec<Effect>) {
        let view_state = &self.view_states[self.active];
        let Some(row) = view_state.row() else { return };
        let (mut socket, mut inet) = (None, None);
        let table = view_state.view.table;
        let is_remote = snap.merged.is_some();
        let (snap, row) = snap.at(table.id, row);
        if let Some(subject) = subject(table.id, snap, row) {
            snap.numbers.watch(&subject);
        }
        if table.is_sockets() {
            self.socket_history.record(snap, row);
            socket = snap.owners(row).first().and_then(|o| Some((o.fd()?, o.inode)));
            inet = ProbeRequest::inet(snap, row);
        }
        // A probe reads this machine, where the same pid is another process.
        if is_remote {
            return;
        }
        let process = (table.process_of)(snap, row).and_then(|p| snap.sample.processes.get(p as usize));
        let Some(p) = process.filter(|_| self.shows_details()) else { return };
        let request = ProbeRequest { process: Arc::clone(&p.info), socket, inet };
        if self.detail_probe.as_ref().is_none_or(|(known, _)| *known != request) {
            self.detail_probe = Some((request.clone(), None));
            effects.push(Effect::Probe(request));
        }
    }

    /// Requests the host names of the visible remote addresses, once each.
    fn request_host_names(&mut self, snap: &Snapshot, height: usize, effects: &mut Vec<Effect>) {
        if !self.names {
            return;
        }
        let view_state = &self.view_states[self.active];
        let mut ask = Vec::new();
        for line in view_state.lines.iter().skip(view_state.top).take(height) {
            let addr = match line {
                Line::Row(r) => {
                    let (snap, row) = snap.at(view_state.id(), *r as usize);
                    (view_state.view.table.remote_of)(snap, row)
                }
                Line::Group(_) => None,
            };
            ask.extend(addr.filter(|a| !a.is_any() && self.resolved.insert(*a)));
        }
        if !ask.is_empty() {
            effects.push(Effect::Resolve(ask));
        }
    }

    /// Rearranges a stale view, in the background if it is large.
    fn arrange(&mut self, effects: &mut Vec<Effect>) {
        if let Some(pending) = self.pending.clone() {
            if self.is_large(&pending) {
                self.request_arrange(&pending, effects);
            } else {
                // The current view is a small one meanwhile.
                self.put(pending);
            }
        }
        let Some(snap) = self.snapshot.clone().filter(|_| self.view_state().stale) else { return };
        if !self.is_large(&snap) {
            self.view_state_mut().arrange(&snap);
            return;
        }
        let here = self.view_state().shows_snapshot(&snap);
        if self.pending.is_none() {
            self.request_arrange(&snap, effects);
        }
        if !here {
            self.view_state_mut().clear();
        }
    }

    fn request_arrange(&mut self, snap: &Arc<Snapshot>, effects: &mut Vec<Effect>) {
        let active = self.active;
        let Some(job) = self.view_states[active].job(snap) else { return };
        effects.push(Effect::Arrange(Box::new(job)));
        // The newest job replaces others, which may be dropped.
        for (_, view_state) in self.view_states.iter_mut().enumerate().filter(|(i, _)| *i != active) {
            view_state.forget_job();
        }
    }

    /// Takes over the result of a background job, if it is still of use.
    fn arranged(&mut self, answer: ArrangeResult) {
        let ArrangeResult { view, snap, done } = answer;
        let shown = self.snapshot.as_ref().map_or(0, |s| s.seq);
        let comes = snap.seq > shown && self.pending.as_ref().is_some_and(|c| c.seq >= snap.seq);
        let view_state = self.view_state();
        if view_state.view.table != view.table
            || view_state.view.group != view.group
            || !(snap.seq == shown || comes)
        {
            for view_state in self.view_states.iter_mut().filter(|s| s.view.table == view.table) {
                view_state.forget_job_if(snap.seq, &view);
            }
            return;
        }
        if snap.seq != shown {
            let later = self.pending.take().filter(|c| c.seq > snap.seq);
            self.put(Arc::clone(&snap));
            self.pending = later;
        }
        let view_state = self.view_state_mut();
        view_state.take(done, &snap);
        view_state.stale = view_state.view != view;
    }

    /// Records view settings and location; a filter counts when it is typed, not letter by letter.
    fn record_history(&mut self) {
        if self.focus().is_text() {
            return;
        }
        let view_state = self.view_state();
        let location = Location { view: self.active, key: view_state.selected };
        let settings = view_state.preset();
        self.nav_history.record(settings, location);
    }

    /// Brings everything up to date after an event: rows, history, scroll position, probes, needs.
    fn after_event(&mut self, effects: &mut Vec<Effect>) {
        self.arrange(effects);
        self.record_history();
        self.keep_in_sight();
        if let Some(snap) = self.snapshot.clone() {
            let height = usize::from(self.layout().body.height);
            content_width::measure(self, &snap, height);
            self.request_probe(&snap, effects);
            self.request_host_names(&snap, height, effects);
            let shown = on_screen::shown(self, &snap, height);
            if *self.last_shown != shown {
                self.last_shown = Arc::new(shown);
                effects.push(Effect::Shown(Arc::clone(&self.last_shown)));
            }
        }
        let wants = self.next_wants();
        if self.last_wants.as_ref() != Some(&wants) {
            self.last_wants = Some(wants.clone());
            effects.push(Effect::Wants(wants));
        }
    }
}
