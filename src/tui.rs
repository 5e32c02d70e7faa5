//! The dashboard: an [`App`] that events change and frames are drawn from.
//!
//! ```text
//! event -> keymap -> Action -> update(&mut App) -> [Effect] -> runner
//!                                     App -> draw -> frame
//! ```
//!
//! Each of these may name only those before it: actions and events as data (`act`, `arrange`, `export`, `event`,
//! `command`, `key`, `layouts`, `keymap`), drawing basics (`theme`, `canvas`), state (`view_state`, `nav_history`, `app`), placement
//! (`layout`), pages (`details`, `offers`, `overlay`), frames (`draw`, `screenshot`), and what changes state (`navigate`, `mouse`,
//! `update`, `handle`). So drawing and updating share the layout and never each other's code.
//!
//! It knows snapshots and queries, not their source: a live machine, a recording and a test scenario look the same.
//! It reads no clock (but for `terminal`, which times the line) and no environment: time comes in with the snapshots, everything else in [`Options`].

pub mod act;
mod answer_page;
pub mod app;
pub mod arrange;
mod canvas;
mod chart;
pub mod command;
pub mod compare;
mod completion_menu;
pub(crate) mod details;
pub mod draw;
mod entry;
pub mod event;
pub mod export;
mod handle;
mod input;
pub mod key;
pub mod key_script;
pub mod keymap;
pub mod layout;
mod layouts;
mod mouse;
mod nav_history;
mod navigate;
pub(crate) mod offers;
mod on_screen;
pub mod overlay;
pub mod past;
mod remote;
pub mod screenshot;
mod socket_history;
mod synonyms;
pub mod terminal;
pub mod theme;
mod update;
mod view_state;

pub use app::{App, Options, StartView};
pub use draw::draw;
pub use event::{Action, Effect, Event, Latest, Signal};
pub use past::{PastPosition, Searched, SeekRequest, SeekTo};
pub use theme::Color;
pub use update::update;

use ratatui::Terminal;
use ratatui::backend::Backend;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// Runs the dashboard until it is quit, its input ends or a signal terminates it.
///
/// Blocks for an event, takes all that are waiting, handles them, carries out
/// the effects with `apply`, and draws once. Nothing is drawn without an event, nor before the line to the terminal is free:
/// `hold` returns the time to wait, given that a key was pressed or not.
pub fn run_loop<B: Backend>(
    terminal: &mut Terminal<B>,
    events: &Receiver<Event>,
    app: &mut App,
    apply: &mut dyn FnMut(Effect),
    hold: &mut dyn FnMut(bool) -> Option<Duration>,
) -> Result<(), B::Error> {
    app.resize(terminal.size()?);
    for effect in app.start() {
        apply(effect);
    }
    let mut batch = Vec::new();
    // Changed since the last frame, and by a key.
    let (mut changed, mut urgent) = (true, false);
    loop {
        let wait = if changed { hold(urgent) } else { None };
        if changed && wait.is_none() {
            terminal.draw(|f| draw(app, f))?;
            (changed, urgent) = (false, false);
        }
        let first = match wait {
            Some(wait) => events.recv_timeout(wait),
            None => events.recv().map_err(RecvTimeoutError::from),
        };
        match first {
            Ok(first) => batch.push(first),
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        batch.extend(events.try_iter());
        for event in batch.drain(..) {
            changed |= !matches!(event, Event::TerminalReady);
            urgent |= matches!(event, Event::Input(_) | Event::Signal(_) | Event::Background(_));
            for effect in app.handle(event) {
                match effect {
                    Effect::Quit => {
                        apply(Effect::Quit);
                        return Ok(());
                    }
                    Effect::Suspend => {
                        apply(Effect::Suspend);
                        terminal.clear()?;
                    }
                    Effect::Redraw => terminal.clear()?,
                    other => apply(other),
                }
            }
        }
    }
}
