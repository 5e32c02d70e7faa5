//! The state of the dashboard, and the way of an event into it.

use super::act::Act;
use super::arrange::ArrangeResult;
use super::command::Focus;
use super::completion_menu::{History, Menu};
use super::event::{ProbeRequest, ProbeResult};
use super::keymap::Keymap;
use super::layout::{Layout, Shape};
use super::nav_history::NavHistory;
use super::socket_history::SocketHistory;
pub use super::theme::Color;
use super::theme::{ASCII, Glyphs, Palette, Theme, UNICODE, contrast};
use super::view_state::ViewState;
use super::{Action, Effect, Event, Signal, input, update};
use crate::explain::Lang;
use crate::filter::{Names, Saved};
use crate::format::Column;
use crate::model::text::without_number;
use crate::model::wants::ProtoSet;
use crate::model::{Addr, AttrSet, Needs, Reads, Services, Snapshot, State, Wants};
use crate::table::limits::{alert_json, finding};
use crate::table::{TABLES, TableId};
use crate::view::Line;
use crate::view::preset::{Presets, Session};
use crate::view::wants::wants;
use crossterm::event::{Event as Input, KeyEventKind, MouseButton, MouseEventKind};
use ratatui::layout::{Rect, Size};
use rustc_hash::FxHashSet;
use std::sync::Arc;
use std::time::Duration;

/// What the dashboard starts with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time between polls.
    pub interval: Duration,
    /// What of the machine is read on purpose, where that is not all: it is said below.
    pub only: Option<&'static str>,
    /// Filter text of the first view.
    pub filter: String,
    /// A word to begin with.
    pub status_message: Option<String>,
    /// The table or the view to start with.
    pub view: Option<String>,
    /// Views by name.
    pub views: Presets,
    /// How it was left, to go on from there.
    pub session: Option<Session>,
    /// Names instead of far addresses.
    pub names: bool,
    /// Which protocols are read.
    pub protos: ProtoSet,
    /// How many colours.
    pub color: Color,
    /// Which colours; `None`: those that suit the terminal's background.
    pub palette: Option<Palette>,
    /// No characters beyond ASCII.
    pub ascii: bool,
    /// Numbers instead of names for ports and users.
    pub numeric: bool,
    /// Nothing can be ended or signalled.
    pub read_only: bool,
    /// The language of what is explained.
    pub lang: Lang,
    /// Names that a filter may write ports by.
    pub services: Arc<Services>,
    /// Filters by name.
    pub saved: Saved,
    /// Filters typed before, oldest first.
    pub history: Vec<String>,
    /// Columns of a table, by the table's name, where somebody chose them.
    pub columns: Vec<(String, Vec<&'static Column>)>,
    /// Which keys mean what.
    pub keymap: Keymap,
    /// It is started for the first time: the keys that matter are shown.
    pub first: bool,
    /// From so many rows on they are arranged elsewhere ([`Effect::Arrange`]); `None`: never.
    pub background_above: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            only: None,
            filter: String::new(),
            status_message: None,
            view: None,
            views: Presets::new(),
            session: None,
            names: false,
            protos: ProtoSet::TCP_UDP,
            color: Color::True,
            palette: None,
            ascii: false,
            numeric: false,
            read_only: false,
            lang: Lang::En,
            services: Arc::clone(Services::well_known()),
            saved: Saved::new(),
            history: Vec::new(),
            columns: Vec::new(),
            keymap: Keymap::default(),
            first: false,
            background_above: None,
        }
    }
}

impl Options {
    /// What the words of a filter stand for.
    pub(crate) fn names(&self) -> Names<'_> {
        Names { services: &self.services, saved: &self.saved }
    }
}

/// What gets a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamePrompt {
    /// The filter in the bar.
    Filter,
    /// The whole view.
    View,
}

/// What lies over the table, or has the keys instead of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Overlay {
    /// The filter is typed: how it stood before, the cursor in bytes, and what can be typed there.
    Filter { before: String, cursor: usize, menu: Menu },
    /// The name to save the filter or the view under is typed.
    Name { text: String, cursor: usize, prompt: NamePrompt },
    /// One moves in the state strip.
    States(State),
    /// The columns to sort by; the line one stands at.
    Sort(usize),
    /// The columns to show; the line one stands at.
    Columns(usize),
    /// The cells of the selected row to filter by.
    Cells(usize),
    /// The saved filters.
    Saved(usize),
    /// What can be done; the line one stands at.
    Act(usize),
    /// The alerts; the line one stands at.
    Alerts(usize),
    /// What can be written to a file; the line one stands at.
    Write(usize),
    /// The question before it is done, its list scrolled by this.
    Confirm(Act, usize),
    /// A topic, scrolled by this.
    Explain { text: String, top: usize },
    /// The help, scrolled by this; only what has this in it; whether that is being typed, and where the cursor stands.
    Help { top: usize, find: String, typing: Option<usize> },
    /// Everything that can be done: the letters typed, the line one stands at.
    Palette { text: String, cursor: usize, at: usize },
}

impl Overlay {
    /// The line one stands at, where it is a list to choose from and nothing is typed.
    pub(crate) const fn line(&mut self) -> Option<&mut usize> {
        match self {
            Self::Sort(at)
            | Self::Columns(at)
            | Self::Cells(at)
            | Self::Saved(at)
            | Self::Act(at)
            | Self::Alerts(at)
            | Self::Write(at) => Some(at),
            _ => None,
        }
    }
}

/// The theme over this background of the terminal, as far as that is known. One that was asked for and suits another
/// background brings its own.
fn theme(options: &Options, ground: Option<u32>) -> Theme {
    match &options.palette {
        Some(p) => {
            let suits = ground.is_some_and(|g| contrast::is_dark(g) == p.is_dark());
            Theme::new(p, options.color, p.high || !suits)
        }
        None => Theme::new(Palette::for_ground(ground), options.color, false),
    }
}

/// The dashboard.
#[derive(Debug)]
pub struct App {
    pub(crate) options: Options,
    pub(crate) theme: Theme,
    pub(crate) glyphs: Glyphs,
    pub(crate) area: Rect,
    /// What is on the screen.
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    /// While paused the newest that is not, and how many came.
    pub(crate) paused: bool,
    pub(crate) paused_latest: Option<Arc<Snapshot>>,
    /// One that is shown as soon as its rows are arranged.
    pub(crate) pending: Option<Arc<Snapshot>>,
    pub(crate) missed: u32,
    pub(crate) interval: Duration,
    /// Time between polls as it is, where that is longer than was asked for.
    pub(crate) effective_interval: Duration,
    pub(crate) failed: Option<String>,
    pub(crate) view_states: [ViewState; 6],
    pub(crate) active: usize,
    pub(crate) overlay: Option<Overlay>,
    pub(crate) details: bool,
    pub(crate) details_top: usize,
    /// The process nearest to its limit: row and share.
    pub(crate) worst: Option<(usize, f64)>,
    pub(crate) history: History,
    /// A word on what was just done; goes with the next key.
    pub(crate) status_message: Option<String>,
    /// Far addresses are shown by name.
    pub(crate) names: bool,
    /// The snapshot whose alerts were told.
    alarmed: u64,
    /// Addresses that the resolver was asked for.
    asked: FxHashSet<Addr>,
    /// How the selected socket developed.
    pub(crate) socket_history: SocketHistory,
    /// What the details look request at, and what the runner found.
    pub(crate) detail_probe: Option<(ProbeRequest, Option<ProbeResult>)>,
    wanted: Option<Wants>,
    pub(crate) nav_history: NavHistory,
    /// Shares of the screen that the details take beside and below the table, percent; `None`: the usual.
    pub(crate) pane: (Option<u16>, Option<u16>),
    /// The border of the details is held by the mouse.
    pub(crate) dragging: bool,
    /// The mouse is left to the terminal.
    pub(crate) mouse_released: bool,
    /// The keys that matter are shown until one is pressed.
    pub(crate) greeting: bool,
}

impl App {
    /// A dashboard that has seen nothing yet.
    pub fn new(options: Options) -> Self {
        let mut view_states = TABLES.map(ViewState::new);
        for (name, columns) in &options.columns {
            if let Some(view_state) = view_states.iter_mut().find(|s| s.view.table.name == name) {
                view_state.pick(Some(columns.clone()));
            }
        }
        let mut app = Self {
            theme: theme(&options, None),
            glyphs: if options.ascii { ASCII } else { UNICODE },
            area: Rect::default(),
            snapshot: None,
            paused: false,
            paused_latest: None,
            pending: None,
            missed: 0,
            interval: options.interval,
            effective_interval: Duration::ZERO,
            failed: None,
            view_states,
            active: 0,
            overlay: None,
            details: false,
            details_top: 0,
            worst: None,
            names: options.names,
            alarmed: 0,
            asked: FxHashSet::default(),
            socket_history: SocketHistory::default(),
            detail_probe: None,
            wanted: None,
            history: History::new(options.history.clone()),
            status_message: None,
            nav_history: NavHistory::new(Vec::new(), 0),
            pane: (None, None),
            dragging: false,
            mouse_released: false,
            greeting: options.first,
            options,
        };
        app.status_message = app.options.status_message.as_deref().map(|s| without_number(s).into_owned());
        if let Some(p) = &app.options.palette
            && let Some(first) = p.faults().first()
        {
            app.status_message = Some(format!("theme {}: {first}", p.name));
        }
        if let Some(session) = app.options.session.take() {
            app.resume(&session);
        }
        if let Some(view) = app.options.view.take() {
            app.open_view(&view);
        }
        if !app.options.filter.is_empty() {
            app.set_filter(app.options.filter.clone());
        }
        app.nav_history =
            NavHistory::new(app.view_states.iter().map(ViewState::preset).collect(), app.active);
        app
    }

    pub(crate) fn view_state(&self) -> &ViewState {
        &self.view_states[self.active]
    }

    pub(crate) fn view_state_mut(&mut self) -> &mut ViewState {
        &mut self.view_states[self.active]
    }

    /// Takes a text as the filter of the view shown.
    pub(crate) fn set_filter(&mut self, text: String) {
        self.view_states[self.active].set_filter(text, self.options.names());
    }

    /// Where keys go.
    pub(crate) fn focus(&self) -> Focus {
        match self.overlay {
            None => Focus::Table,
            Some(Overlay::Filter { .. }) => Focus::Filter,
            Some(Overlay::States(_)) => Focus::States,
            Some(Overlay::Sort(_)) => Focus::Sort,
            Some(Overlay::Columns(_)) => Focus::Columns,
            Some(
                Overlay::Cells(_)
                | Overlay::Saved(_)
                | Overlay::Act(_)
                | Overlay::Alerts(_)
                | Overlay::Write(_),
            ) => Focus::Pick,
            Some(Overlay::Confirm(..)) => Focus::Confirm,
            Some(Overlay::Name { .. }) => Focus::Name,
            Some(Overlay::Help { typing: Some(_), .. }) => Focus::Find,
            Some(Overlay::Help { .. } | Overlay::Explain { .. }) => Focus::Help,
            Some(Overlay::Palette { .. }) => Focus::Palette,
        }
    }

    /// Where everything is now.
    pub fn layout(&self) -> Layout {
        self.layout_in(self.area)
    }

    pub(crate) fn layout_in(&self, area: Rect) -> Layout {
        let view_state = self.view_state();
        Layout::new(
            area,
            Shape {
                filter: matches!(self.focus(), Focus::Filter | Focus::Name) || !view_state.text.is_empty(),
                error: view_state.error.is_some(),
                details: self.details,
                pane: self.pane,
            },
        )
    }

    /// What to read for what is shown now; for who starts the poller before the loop runs.
    pub fn wants(&self) -> Wants {
        let view_state = self.view_state();
        let columns: Vec<_> = view_state.columns().collect();
        let mut w = wants(
            view_state.view.table,
            &columns,
            &view_state.view.filter,
            &view_state.view.sort,
            self.options.protos,
            false,
        );
        // The strip counts every state, and names who is nearest to a limit.
        w.needs |= Needs::OWNERS;
        // Alerts are shown in every view.
        w.needs |= Needs::reads(Reads::LIMITS);
        if self.details {
            match view_state.id() {
                TableId::Sockets => {
                    w.needs |= Needs::NAT | Needs::attrs(AttrSet::ALL) | Needs::info(u64::MAX);
                }
                TableId::Processes => w.needs |= Needs::FD_KINDS,
                TableId::Ports | TableId::Peers | TableId::Limits | TableId::Forwards => {}
            }
        }
        w
    }

    /// The effects it starts with.
    pub(crate) fn start(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.after_event(&mut effects);
        effects
    }

    /// The size of the screen.
    pub const fn size(&self) -> Size {
        Size { width: self.area.width, height: self.area.height }
    }

    /// The screen has this size now.
    pub fn resize(&mut self, size: Size) {
        self.area = Rect::new(0, 0, size.width, size.height);
        self.keep_in_sight();
    }

    pub(crate) fn keep_in_sight(&mut self) {
        let height = usize::from(self.layout().body.height);
        self.view_state_mut().show_cursor(height);
    }

    /// Takes one event in.
    pub fn handle(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = match event {
            Event::Input(input) => self.input(input),
            Event::Fresh(latest) => {
                if let Some(s) = latest.take() {
                    self.failed = None;
                    if self.paused && self.snapshot.is_some() {
                        self.missed += 1;
                        self.paused_latest = Some(s);
                    } else {
                        self.show(s);
                    }
                }
                self.new_alerts()
            }
            Event::Failed(why) => {
                self.failed = Some(without_number(&why).into_owned());
                vec![]
            }
            Event::Probed(request, seen) => {
                // Only the last that was asked for is waited for.
                if let Some(c) = self.detail_probe.as_mut().filter(|c| c.0 == request) {
                    c.1 = Some(*seen);
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
            Event::HostNames => vec![],
            Event::Background(rgb) => {
                self.theme = theme(&self.options, Some(rgb));
                vec![]
            }
            Event::Status(what) => {
                self.status_message = Some(without_number(&what).into_owned());
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
                match self.options.keymap.action(&k, self.focus()) {
                    Some(action) => update(self, action),
                    None => vec![],
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
                self.resize(Size { width, height });
                vec![]
            }
            _ => vec![],
        }
    }

    /// Puts a snapshot on the screen.
    pub(crate) fn show(&mut self, s: Arc<Snapshot>) {
        self.missed = 0;
        self.paused_latest = None;
        if self.is_long(&s) {
            self.pending = Some(s);
            let view_state = self.view_state_mut();
            view_state.stale = true;
            view_state.forget();
            return;
        }
        self.put(s);
    }

    /// Whether the rows shown are so many that they are arranged elsewhere.
    fn is_long(&self, s: &Snapshot) -> bool {
        self.options.background_above.is_some_and(|n| (self.view_state().view.table.len)(s) >= n)
    }

    fn put(&mut self, s: Arc<Snapshot>) {
        self.pending = None;
        self.worst = (0..s.sample.processes.len())
            .filter_map(|p| Some((p, s.fds(p).ok()?.share()?)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        self.snapshot = Some(s);
        for view_state in &mut self.view_states {
            view_state.stale = true;
        }
    }

    /// What is to be done outside about the alerts that are new in what came.
    fn new_alerts(&mut self) -> Vec<Effect> {
        let newest = self.paused_latest.as_ref().or(self.pending.as_ref()).or(self.snapshot.as_ref());
        let Some(snap) = newest.filter(|s| s.seq != self.alarmed) else { return vec![] };
        let new = snap.alerts.iter().filter(|a| a.new).map(|a| {
            let row = a.limit as usize;
            Effect::NotifyAlert(alert_json(snap, row), finding(snap, row).unwrap_or_default())
        });
        let new = new.collect();
        self.alarmed = snap.seq;
        new
    }

    /// Follows the selected socket, and asks for what is read of one only: where its process works, their contexts.
    fn request_probe(&mut self, snap: &Snapshot, effects: &mut Vec<Effect>) {
        let view_state = &self.view_states[self.active];
        let Some(row) = view_state.row() else { return };
        let (mut socket, mut inet) = (None, None);
        let table = view_state.view.table;
        if table.is_sockets() {
            self.socket_history.follow(snap, row);
            socket = snap.owners(row).first().and_then(|o| Some((o.fd()?, o.inode)));
            inet = ProbeRequest::inet(snap, row);
        }
        let process = (table.process_of)(snap, row).and_then(|p| snap.sample.processes.get(p as usize));
        let Some(p) = process.filter(|_| self.details) else { return };
        let request = ProbeRequest { process: Arc::clone(&p.info), socket, inet };
        if self.detail_probe.as_ref().is_none_or(|(known, _)| *known != request) {
            self.detail_probe = Some((request.clone(), None));
            effects.push(Effect::Probe(request));
        }
    }

    /// Asks for the names of the far addresses in sight, once each.
    fn ask_names(&mut self, snap: &Snapshot, height: usize, effects: &mut Vec<Effect>) {
        if !self.names {
            return;
        }
        let view_state = &self.view_states[self.active];
        let mut ask = Vec::new();
        for line in view_state.lines.iter().skip(view_state.top).take(height) {
            let addr = match line {
                Line::Row(r) => (view_state.view.table.remote_of)(snap, *r as usize),
                Line::Group(_) => None,
            };
            ask.extend(addr.filter(|a| !a.is_any() && self.asked.insert(*a)));
        }
        if !ask.is_empty() {
            effects.push(Effect::Resolve(ask));
        }
    }

    /// Arranges what is stale, or asks for it where that takes long.
    fn arrange(&mut self, effects: &mut Vec<Effect>) {
        if let Some(pending) = self.pending.clone() {
            if self.is_long(&pending) {
                self.ask(&pending, effects);
            } else {
                // Another table is shown meanwhile, a short one.
                self.put(pending);
            }
        }
        let Some(snap) = self.snapshot.clone().filter(|_| self.view_state().stale) else { return };
        if !self.is_long(&snap) {
            self.view_state_mut().arrange(&snap);
            return;
        }
        let here = self.view_state().is_of(&snap);
        if self.pending.is_none() {
            self.ask(&snap, effects);
        }
        if !here {
            self.view_state_mut().clear();
        }
    }

    fn ask(&mut self, snap: &Arc<Snapshot>, effects: &mut Vec<Effect>) {
        let active = self.active;
        let Some(job) = self.view_states[active].job(snap) else { return };
        effects.push(Effect::Arrange(Box::new(job)));
        // The newest is done next, and others may be dropped.
        for (_, view_state) in self.view_states.iter_mut().enumerate().filter(|(i, _)| *i != active) {
            view_state.forget();
        }
    }

    /// Takes over what was arranged elsewhere, if it is still of use.
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
                view_state.forget_if(snap.seq, &view);
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

    /// After every event: what is shown is arranged, the selection is in sight, and what must be read is asked for.
    fn after_event(&mut self, effects: &mut Vec<Effect>) {
        self.arrange(effects);
        self.record_history();
        self.keep_in_sight();
        if let Some(snap) = self.snapshot.clone() {
            let height = usize::from(self.layout().body.height);
            let form = super::draw::format(self);
            self.view_state_mut().measure(&snap, height, form);
            self.request_probe(&snap, effects);
            self.ask_names(&snap, height, effects);
        }
        let wants = self.wants();
        if self.wanted.as_ref() != Some(&wants) {
            self.wanted = Some(wants.clone());
            effects.push(Effect::Wants(wants));
        }
    }
}
