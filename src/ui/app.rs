//! The state of the dashboard.

use super::{Action, Effect, Event, Signal};
use crate::model::{Snapshot, Wants};
use ratatui::layout::Rect;
use std::sync::Arc;
use std::time::Duration;

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Color {
    /// 24 bits.
    #[default]
    True,
    /// The 256 of xterm.
    Indexed,
    /// The 16 of old.
    Basic,
    /// None: bold, dim, reverse and underline only.
    None,
}

/// What the dashboard starts with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time between polls.
    pub interval: Duration,
    /// Filter text of the first view.
    pub filter: String,
    /// Name of the table to start with: `sockets`, `ports`, `processes`, `peers`.
    pub table: String,
    /// Colours.
    pub color: Color,
    /// No characters beyond ASCII.
    pub ascii: bool,
    /// Numbers instead of names for ports and users.
    pub numeric: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            filter: String::new(),
            table: "sockets".into(),
            color: Color::True,
            ascii: false,
            numeric: false,
        }
    }
}

/// The dashboard.
#[derive(Debug)]
pub struct App {
    pub(super) options: Options,
    pub(super) area: Rect,
    pub(super) snapshot: Option<Arc<Snapshot>>,
    pub(super) failed: Option<String>,
}

impl App {
    /// A dashboard that has seen nothing yet.
    pub fn new(options: Options) -> Self {
        Self { options, area: Rect::default(), snapshot: None, failed: None }
    }

    /// What to read for the first frame, for who starts the poller before the loop runs.
    pub fn wants(&self) -> Wants {
        Wants::default()
    }

    /// The effects it starts with.
    pub(super) fn start(&mut self) -> Vec<Effect> {
        vec![Effect::Wants(self.wants())]
    }

    /// The screen has this size now.
    pub fn resize(&mut self, size: ratatui::layout::Size) {
        self.area = Rect::new(0, 0, size.width, size.height);
    }

    /// Takes one event in.
    pub fn handle(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Input(crossterm::event::Event::Resize(w, h)) => {
                self.area = Rect::new(0, 0, w, h);
                vec![]
            }
            Event::Input(crossterm::event::Event::Key(k))
                if k.code == crossterm::event::KeyCode::Char('q') =>
            {
                update(self, Action::Quit)
            }
            Event::Input(_) | Event::Signal(Signal::Continue) => vec![],
            Event::Fresh(s) => {
                self.snapshot = Some(s);
                self.failed = None;
                vec![]
            }
            Event::Failed(why) => {
                self.failed = Some(why);
                vec![]
            }
            Event::Signal(_) | Event::InputClosed => update(self, Action::Quit),
        }
    }
}

/// Does what was asked and says what is to be done outside.
pub fn update(_app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Quit => vec![Effect::Quit],
    }
}
