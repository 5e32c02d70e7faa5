//! What comes in and what goes out.

use crate::model::{Snapshot, Wants};
use std::sync::Arc;
use std::time::Duration;

/// Everything the dashboard can be told, in one queue.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key, the mouse, a paste, a new size.
    Input(crossterm::event::Event),
    /// A poll has been made into a snapshot.
    Fresh(Arc<Snapshot>),
    /// A poll failed; the line says what was tried and why it failed.
    Failed(String),
    /// The system asks for something.
    Signal(Signal),
    /// The terminal is gone: nothing more can come in.
    InputClosed,
}

/// Signals that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGINT`.
    Interrupt,
    /// `SIGTERM`.
    Terminate,
    /// `SIGHUP`.
    Hangup,
    /// `SIGCONT`: stopped for a while, and what is on the screen is not ours any more.
    Continue,
}

/// What the dashboard wants done outside of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Read this from now on.
    Wants(Wants),
    /// Poll this often from now on.
    Interval(Duration),
    /// Poll at once.
    Refresh,
    /// Give the terminal back, stop this process, and take it again when it goes on
    /// ([`super::terminal::suspend`] does that).
    Suspend,
    /// End.
    Quit,
}

/// What a key, a click or the runner asks the dashboard to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Quit.
    Quit,
}
