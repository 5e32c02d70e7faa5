//! Terminal mode: raw mode, alternate screen, mouse capture, and their restoration.

pub mod backend;
pub(crate) mod background_query;

use super::event::Event;
use super::terminal::background_query::{BackgroundQuery, Outcome, QUESTION};
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal as SignalInfo, getpid, kill_process};
use std::io::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

/// True if the terminal is in dashboard mode.
static ENTERED: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// Guard of the dashboard mode: raw mode, alternate screen, mouse capture and bracketed paste.
///
/// Dropping it restores the terminal, and so does a panic, before its message is printed.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Enters the dashboard mode.
    pub fn enter() -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                leave();
                before(info);
            }));
        });
        // Created first, so that its drop undoes a partial change.
        let guard = Self(());
        take()?;
        Ok(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        leave();
    }
}

fn take() -> io::Result<()> {
    ENTERED.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableMouseCapture, EnableBracketedPaste, cursor::Hide)
}

/// Restores the terminal; idempotent. Every step is attempted even if another fails, so that a terminal that is gone
/// is not left half restored.
pub fn leave() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    let _ = execute!(out, DisableBracketedPaste, DisableMouseCapture);
    let _ = execute!(out, LeaveAlternateScreen, cursor::Show);
    let _ = out.flush();
    let _ = disable_raw_mode();
}

/// Restores the terminal, stops this process as Ctrl-Z does elsewhere, and enters the dashboard mode again when it
/// resumes.
pub fn suspend() -> io::Result<()> {
    leave();
    kill_process(getpid(), SignalInfo::STOP)?;
    take()
}

/// Frees the main thread from writing to a terminal that is not read: what waits in the terminal is dropped, and a signal
/// wakes the write. Returns immediately.
pub fn drop_output() {
    let _ = rustix::termios::tcflush(io::stdout(), rustix::termios::QueueSelector::OFlush);
    // A signal to the process goes to the main thread. This one has a handler, and means no more than a look at the size.
    let _ = kill_process(getpid(), SignalInfo::WINCH);
}

/// Restores the mode of the terminal without writing to it.
pub fn abandon() {
    if ENTERED.swap(false, Ordering::SeqCst) {
        let _ = disable_raw_mode();
    }
}

/// Turns mouse capture on or off; without it the terminal's own selection works.
pub fn mouse(taken: bool) -> io::Result<()> {
    if taken {
        execute!(io::stdout(), EnableMouseCapture)
    } else {
        execute!(io::stdout(), DisableMouseCapture)
    }
}

/// Time that a possible start of a reply is held back when nothing follows.
const HOLD: Duration = Duration::from_millis(100);

/// Starts the threads that read the terminal: one reads input, one detects that the terminal is gone.
/// They end with the process, or when the receiver is dropped. With `ask` the terminal is queried for its background;
/// the reply is an event.
pub fn read_input(events: Sender<Event>, ask: bool) -> io::Result<()> {
    let watcher = events.clone();
    let mut query = if ask { BackgroundQuery::default() } else { BackgroundQuery::disabled() };
    if ask {
        let mut out = io::stdout();
        out.write_all(QUESTION)?;
        out.flush()?;
    }
    std::thread::Builder::new().name("input".into()).spawn(move || {
        loop {
            let more = !query.is_holding() || !matches!(crossterm::event::poll(HOLD), Ok(false));
            let outcome = if more {
                match crossterm::event::read() {
                    Ok(event) => query.feed(event),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => {
                        let _ = events.send(Event::InputClosed);
                        return;
                    }
                }
            } else {
                Outcome::Keys(query.release())
            };
            let sent = match outcome {
                Outcome::Keys(all) => all.into_iter().try_for_each(|e| events.send(Event::Input(e))),
                Outcome::Held => Ok(()),
                Outcome::Background(rgb) => events.send(Event::Background(rgb)),
            };
            if sent.is_err() {
                return;
            }
        }
    })?;
    std::thread::Builder::new().name("hangup".into()).spawn(move || {
        // Without requested events, poll returns only when the other end of the terminal is closed.
        let stdout = io::stdout();
        loop {
            let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
            match poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
                Ok(_) => {
                    let _ = watcher.send(Event::InputClosed);
                    return;
                }
            }
        }
    })?;
    Ok(())
}
