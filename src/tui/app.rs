//! State of the dashboard: what events change and frames are drawn from.

mod options;
mod overlay;
mod session;

pub use options::{Options, StartView};
pub(crate) use overlay::{NamePrompt, Overlay};

use super::command::Focus;
use super::completion_menu::History;
use super::event::{ProbeRequest, ProbeResult, Recorded};
use super::nav_history::NavHistory;
use super::past::PastPosition;
use super::socket_history::SocketHistory;
use super::theme::{ASCII, Color, Glyphs, Palette, Theme, UNICODE, contrast};
use super::view_state::ViewState;
use crate::filter::from_cell::and_text;
use crate::model::lang::noop;
use crate::model::text::strip_os_error;
use crate::model::{Addr, AttrSet, Needs, Reads, Shown, Snapshot, State, Wants};
use crate::table::{TABLES, TableId};
use crate::view::wants::wants;
use ratatui::layout::{Rect, Size};
use rustc_hash::FxHashSet;
use std::sync::Arc;
use std::time::Duration;

/// Theme for the background of the terminal. If that is unknown, or the configured theme is made for another one, it paints
/// its own, so that no text disappears; in sixteen colors, which have no such background, it does without colors.
pub(crate) fn theme(options: &Options, ground: Option<u32>) -> Theme {
    let configured = options.palette.as_ref();
    let depth = configured.map_or(options.color, |p| options.color.least(p.most));
    let palette = configured.filter(|_| depth < Color::Basic).unwrap_or_else(|| Palette::for_ground(ground));
    let suits = ground.is_some_and(|g| contrast::is_dark(g) == palette.is_dark());
    Theme::new(palette, depth, !suits || configured.is_some_and(|p| p.high))
}

/// Least width for details beside the table that were not asked for.
pub(crate) const SIDE_BY_SIDE: u16 = 160;
/// Most sockets for which such details read every attribute.
const SIDE_SOCKETS: usize = 10_000;

/// True if a snapshot shows that the machine has few sockets: one that is partial does not.
fn has_few_sockets(snap: &Snapshot) -> bool {
    let is_partial = snap.sample.wants.max_sockets.is_some_and(|max| snap.live >= max as usize);
    !is_partial && snap.live <= SIDE_SOCKETS
}

/// The dashboard.
#[derive(Debug)]
pub struct App {
    pub(crate) options: Options,
    pub(crate) theme: Theme,
    pub(crate) glyphs: Glyphs,
    pub(crate) area: Rect,
    /// Snapshot shown.
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    /// While paused: the newest snapshot not shown, and the number received.
    pub(crate) paused: bool,
    pub(crate) paused_latest: Option<Arc<Snapshot>>,
    /// Snapshot to be shown as soon as its rows are arranged.
    pub(crate) pending: Option<Arc<Snapshot>>,
    pub(crate) missed: u32,
    pub(crate) interval: Duration,
    /// Actual interval between polls, if longer than configured.
    pub(crate) effective_interval: Duration,
    /// Age of the newest snapshot, if the next one is late.
    pub(crate) late: Option<Duration>,
    pub(crate) failed: Option<String>,
    /// Moment of the past that is shown; `None`: live.
    pub(crate) past: Option<PastPosition>,
    /// A moment of the past was asked for.
    pub(crate) seeking: bool,
    /// Moment from which differences are listed.
    pub(crate) compare_from: Option<Arc<Snapshot>>,
    /// The data is a recording.
    pub(crate) recorded: bool,
    /// State of the recording that is written.
    pub(crate) recording: Recorded,
    /// The last sample of a recording was received.
    pub(crate) ended: bool,
    /// Confinement of this program, in a few words.
    pub(crate) sandbox: Option<String>,
    pub(crate) view_states: [ViewState; 9],
    pub(crate) active: usize,
    pub(crate) overlay: Option<Overlay>,
    pub(crate) details: bool,
    /// True if the details that a wide screen shows by itself were closed.
    pub(crate) side_closed: bool,
    pub(crate) details_top: usize,
    /// Time span of the charts: index in [`SPANS`](super::chart::SPANS).
    pub(crate) chart_span: usize,
    /// The process nearest to its fd limit: row and share.
    pub(crate) worst: Option<(usize, f64)>,
    pub(crate) history: History,
    /// Message on the last action; cleared by the next key.
    pub(crate) status_message: Option<String>,
    /// True if remote addresses are shown by host name.
    pub(crate) names: bool,
    /// Sequence number of the snapshot whose alerts were last sent.
    pub(crate) alerts_sent: u64,
    /// Addresses already sent to the resolver.
    pub(crate) resolved: FxHashSet<Addr>,
    /// History of the selected socket.
    pub(crate) socket_history: SocketHistory,
    /// Probe for the details, and its result.
    pub(crate) detail_probe: Option<(ProbeRequest, Option<ProbeResult>)>,
    /// Needs last sent to the poller.
    pub(crate) last_wants: Option<Wants>,
    /// Sockets and processes on screen, as last sent to the poller.
    pub(crate) last_shown: Arc<Shown>,
    pub(crate) nav_history: NavHistory,
    /// Size of the details pane beside and below the table, percent; `None`: the default.
    pub(crate) pane: (Option<u16>, Option<u16>),
    /// True if the scroll bar is being dragged.
    pub(crate) scrolling: bool,
    /// True if the details border is being dragged.
    pub(crate) dragging: bool,
    /// True if mouse capture is off.
    pub(crate) mouse_released: bool,
    /// The key pressed last.
    pub(crate) previous_key: Option<crossterm::event::KeyEvent>,
    /// True if the getting-started card is shown.
    pub(crate) greeting: bool,
}

impl App {
    /// True if nothing can be acted on: it was forbidden, or what is shown is not there any more.
    pub(crate) const fn is_read_only(&self) -> bool {
        self.options.read_only || self.options.hosts || self.past.is_some()
    }

    /// Reason why nothing can be acted on; `None`: actions are enabled.
    pub(crate) fn read_only_by(&self) -> Option<&'static str> {
        match self.past {
            _ if self.options.read_only => Some(self.options.read_only_by),
            Some(_) => Some(noop("the past")),
            None => None,
        }
    }

    /// Returns whether text is typed: a filter, a search, a name.
    pub fn is_typing(&self) -> bool {
        self.focus().is_text()
    }

    /// The key to show for a command, by its name.
    pub(crate) fn key_label(&self, command: &str) -> String {
        self.options.key_label(command)
    }

    /// A dashboard without data.
    pub fn new(options: Options) -> Self {
        let mut view_states = TABLES.map(ViewState::new);
        for view_state in &mut view_states {
            view_state.multiple_hosts = options.hosts;
        }
        for (name, columns) in &options.columns {
            if let Some(view_state) = view_states.iter_mut().find(|s| s.view.table.name == name) {
                view_state.choose_columns(Some(columns.clone()));
            }
        }
        let mut app = Self {
            theme: theme(&options, options.ground),
            glyphs: Glyphs { moving: !options.calm, ..if options.ascii { ASCII } else { UNICODE } },
            area: Rect::default(),
            snapshot: None,
            paused: false,
            paused_latest: None,
            pending: None,
            missed: 0,
            interval: options.interval,
            effective_interval: Duration::ZERO,
            late: None,
            failed: None,
            past: None,
            seeking: false,
            compare_from: None,
            recorded: options.recorded,
            recording: Recorded::Off,
            ended: false,
            sandbox: None,
            view_states,
            active: 0,
            overlay: None,
            details: false,
            side_closed: false,
            details_top: 0,
            chart_span: 0,
            worst: None,
            names: options.names,
            alerts_sent: 0,
            resolved: FxHashSet::default(),
            socket_history: SocketHistory::default(),
            detail_probe: None,
            last_wants: None,
            last_shown: Arc::default(),
            history: History::new(options.history.clone()),
            status_message: None,
            nav_history: NavHistory::new(Vec::new(), 0),
            pane: (None, None),
            scrolling: false,
            dragging: false,
            mouse_released: false,
            previous_key: None,
            greeting: options.first,
            options,
        };
        app.status_message = app.options.status_message.as_deref().map(|s| strip_os_error(s).into_owned());
        if let Some(p) = &app.options.palette
            && let Some(first) = crate::tui::theme::contrast_check::true_color_faults(p).first()
        {
            app.status_message = Some(format!("theme {}: {first}", p.name));
        }
        if let Some(session) = app.options.session.take() {
            app.resume(&session);
        }
        if let Some(view) = app.options.view.take() {
            app.open_view(&view);
        }
        if let Some(start) = app.options.start.take()
            && let Some(view_state) = app.view_states.iter_mut().find(|s| s.view.table.id == start.table)
        {
            view_state.start(start.sort, start.grouping);
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

    /// Sets the filter of the current view.
    pub(crate) fn set_filter(&mut self, text: String) {
        self.view_states[self.active].set_filter(text, self.options.names());
    }

    /// The snapshot shown.
    pub const fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// The state that the filter of the sockets view selects, if it selects nothing else.
    pub(crate) fn filtered_state(&self) -> Option<State> {
        State::parse(self.view_states[0].text.trim().strip_prefix("state:")?)
    }

    /// Filters the sockets view to a state; clears the filter if it selects that state already.
    pub(crate) fn toggle_state_filter(&mut self, s: State) {
        let again = self.filtered_state() == Some(s);
        self.active = 0;
        let word = s.name().to_ascii_lowercase().replace('_', "-");
        self.set_filter(if again { String::new() } else { format!("state:{word}") });
    }

    /// Adds a condition to the filter, negated unless `same`; `several`: it has more than one term.
    pub(crate) fn add_filter(&mut self, more: &str, same: bool, several: bool) {
        let more = match (same, several) {
            (true, _) => more.to_owned(),
            (false, false) => format!("not {more}"),
            (false, true) => format!("not ({more})"),
        };
        let view_state = self.view_state();
        let text = if view_state.error.is_some() { String::new() } else { view_state.text.clone() };
        let text = and_text(&text, &more, &view_state.view.filter);
        self.set_filter(text);
    }

    /// The keyboard focus.
    pub(crate) fn focus(&self) -> Focus {
        match self.overlay {
            None => Focus::Table,
            Some(Overlay::Filter { .. }) => Focus::Filter,
            Some(Overlay::States(_)) => Focus::States,
            Some(Overlay::Sort(_)) => Focus::Sort,
            Some(Overlay::Columns(_)) => Focus::Columns,
            Some(Overlay::Cells(_) | Overlay::Saved(_) | Overlay::Act(_) | Overlay::Write(..)) => Focus::Pick,
            Some(Overlay::Alerts(_)) => Focus::Alerts,
            Some(Overlay::Why(..)) => Focus::Why,
            Some(Overlay::Differences(..)) => Focus::Differences,
            Some(Overlay::Confirm(..)) => Focus::Confirm,
            Some(Overlay::Name { .. }) => Focus::Name,
            Some(Overlay::Help { typing: Some(_), .. }) => Focus::Find,
            Some(Overlay::Help { .. } | Overlay::Explain { .. }) => Focus::Help,
            Some(Overlay::Palette { .. }) => Focus::Palette,
        }
    }

    /// Data needed for the current screen; also for the first poll, before the loop runs.
    pub fn wants(&self) -> Wants {
        self.wants_for(self.snapshot.as_ref().is_none_or(|s| has_few_sockets(s)))
    }

    /// The same for the next poll of the collector thread, which polls at once after the first, partial snapshot: until it is known
    /// that there are few sockets, nothing is read for details that a wide screen shows by itself.
    pub(crate) fn next_wants(&self) -> Wants {
        self.wants_for(self.snapshot.as_ref().is_some_and(|s| has_few_sockets(s)))
    }

    /// Data needed for the current screen; `few`: the machine has few sockets.
    fn wants_for(&self, few: bool) -> Wants {
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
        // The state bar counts every state and shows the process nearest to its limit.
        w.needs |= Needs::OWNERS;
        // Not in the first polls: sockets and their owners are to be on screen at once.
        if self.options.events && self.snapshot.as_ref().is_some_and(|s| s.seq >= 2) {
            w.needs |= Needs::EVENTS;
        }
        // Capture is off until it is asked for: by its view or by the setting.
        if self.options.dns {
            w.needs |= Needs::DNS;
        }
        // Alerts are shown in every view.
        w.needs |= Needs::reads(Reads::LIMITS);
        // The map joins the connections between hosts.
        if self.options.hosts && view_state.id() == TableId::Map {
            w.needs |= Needs::JOINED;
        }
        // Details that stand there by themselves do not make a large machine slow.
        if self.details || (few && self.shows_details()) {
            match view_state.id() {
                TableId::Sockets => {
                    w.needs |= Needs::NAT | Needs::attrs(AttrSet::ALL) | Needs::info(u128::MAX);
                }
                TableId::Processes => w.needs |= Needs::FD_KINDS,
                TableId::Ports
                | TableId::Peers
                | TableId::Limits
                | TableId::Forwards
                | TableId::Map
                | TableId::Events
                | TableId::Dns => {}
            }
        }
        w
    }

    /// True if the details pane is shown: it was opened, or the screen is wide.
    pub(crate) const fn shows_details(&self) -> bool {
        self.details || (self.options.side_details && !self.side_closed && self.area.width >= SIDE_BY_SIDE)
    }

    /// Opens or closes the details pane. One that a wide screen shows by itself stays when it is opened.
    pub(crate) const fn toggle_details(&mut self) {
        self.details = !self.details;
        self.side_closed = !self.details;
        self.details_top = 0;
    }

    /// The size of the screen.
    pub const fn size(&self) -> Size {
        Size { width: self.area.width, height: self.area.height }
    }
}
