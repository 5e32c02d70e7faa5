//! Terminal mode: raw mode, alternate screen, mouse capture, and their restoration.

pub mod backend;
pub mod decoder;
pub mod link;
mod sgr;

use super::event::Event;
use super::terminal::decoder::{BACKGROUND, Decoder, READY, Received};
use super::terminal::link::link;
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal as SignalInfo, getpid, kill_process};
use rustix::termios::{QueueSelector, tcflush};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

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

/// Alternate screen, cleared (GNU screen and mosh have none), bracketed paste, no cursor.
const ENTER: &str = "\x1b[?1049h\x1b[m\x1b[2J\x1b[?2004h\x1b[?25l";
/// Clicks, drags and the wheel (mode 1002), and no report of a mouse that only moves, in decimal numbers: mode 1006, and
/// 1015 for urxvt without it; of both, terminals use the last they know.
const MOUSE_ON: &str = "\x1b[?1002h\x1b[?1015h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1015l\x1b[?1002l";

fn send(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn take() -> io::Result<()> {
    ENTERED.store(true, Ordering::SeqCst);
    link().reset();
    enable_raw_mode()?;
    send(ENTER)?;
    send(MOUSE_ON)
}

/// Restores the terminal; idempotent. Every step is attempted even if another fails, so that a terminal that is gone
/// is not left half restored.
pub fn leave() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut end = format!("\x1b[?2004l{MOUSE_OFF}\x1b[m\x1b[2J");
    // Where there is no alternate screen the prompt follows on the last line, as after any program.
    let rows = crossterm::terminal::size().map_or(1, |(_, rows)| rows.max(1));
    let _ = write!(end, "\x1b[{rows}H\x1b[?1049l\x1b[?25h");
    let _ = send(&end);
    // A reply that comes later would be typed into the shell.
    let start = Instant::now();
    let wait = link().leave_wait(start);
    while !wait.is_zero() && start.elapsed() < wait && !link().leave_wait(Instant::now()).is_zero() {
        std::thread::sleep(Duration::from_millis(5));
    }
    if !wait.is_zero() {
        let _ = tcflush(io::stdout(), QueueSelector::IFlush);
    }
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
    let _ = tcflush(io::stdout(), QueueSelector::OFlush);
    // A signal to the process goes to the main thread. This one has a handler, and means no more than a look at the size.
    let _ = kill_process(getpid(), SignalInfo::WINCH);
}

/// Restores the mode of the terminal without writing to it.
pub fn abandon() {
    // Also if the main thread is held up while it restores the terminal.
    ENTERED.store(false, Ordering::SeqCst);
    let _ = disable_raw_mode();
}

/// Turns mouse capture on or off; without it the terminal's own selection works.
pub fn mouse(taken: bool) -> io::Result<()> {
    send(if taken { MOUSE_ON } else { MOUSE_OFF })
}

/// Time after which Escape is a key when nothing follows it. A slow line needs a millisecond for a byte.
const HOLD: Duration = Duration::from_millis(25);

/// Starts the threads that read the terminal: one reads input, one detects that the terminal is gone.
/// They end with the process, or when the receiver is dropped. With `ask` the terminal is queried for its background, too;
/// replies are events.
pub fn read_input(events: Sender<Event>, ask: bool) -> io::Result<()> {
    let watcher = events.clone();
    link().asked(0, Instant::now());
    send(&format!("{}{READY}", if ask { BACKGROUND } else { "" }))?;
    std::thread::Builder::new().name("input".into()).spawn(move || {
        let stdin = io::stdin();
        let hold = Timespec { tv_sec: 0, tv_nsec: HOLD.subsec_nanos().into() };
        let mut decoder = Decoder::default();
        let mut buf = [0; 4096];
        loop {
            let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
            let received = match poll(&mut fds, decoder.is_holding().then_some(&hold)) {
                Err(rustix::io::Errno::INTR) => continue,
                Ok(0) => decoder.release(),
                _ => match rustix::io::read(&stdin, &mut buf) {
                    Ok(n @ 1..) => decoder.feed(&buf[..n]),
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
                    Ok(_) | Err(_) => {
                        let _ = events.send(Event::InputClosed);
                        return;
                    }
                },
            };
            for item in received {
                let event = match item {
                    Received::Input(event) => Event::Input(event),
                    Received::Background(rgb) => Event::Background(rgb),
                    Received::Ready => {
                        link().answered(Instant::now());
                        Event::TerminalReady
                    }
                };
                if events.send(event).is_err() {
                    return;
                }
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
