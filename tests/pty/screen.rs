//! A program in a real pseudo-terminal: keys in, screen content out.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, SlavePty, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest wait for a screen, sized for a busy machine. Checked every few milliseconds.
const PATIENCE: Duration = Duration::new(60, 0);

#[derive(Default)]
struct Seen {
    parser: vt100::Parser,
    raw: Vec<u8>,
}

/// A running program and its terminal.
pub(crate) struct Screen {
    master: Box<dyn MasterPty + Send>,
    // Kept open, so that the terminal can be read after the program exits.
    _slave: Box<dyn SlavePty + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    seen: Arc<Mutex<Seen>>,
    before: String,
    // No settings and no history except those of `env`.
    _home: tempfile::TempDir,
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

impl Screen {
    /// Starts sockscope in a terminal of this size.
    pub(crate) fn sockscope(cols: u16, rows: u16, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start(Path::new(env!("CARGO_BIN_EXE_sockscope")), cols, rows, args, env)
    }

    /// Starts a program in a terminal of this size: 256 colours and UTF-8 unless `env` overrides it.
    pub(crate) fn start(program: &Path, cols: u16, rows: u16, args: &[&str], env: &[(&str, &str)]) -> Self {
        let pair = native_pty_system().openpty(size(cols, rows)).unwrap();
        let before = format!("{:?}", pair.master.get_termios());
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.cwd(".");
        for name in ["NO_COLOR", "COLORTERM", "LC_ALL", "LC_CTYPE", "SUDO_UID", "SUDO_GID"] {
            command.env_remove(name);
        }
        let home = tempfile::tempdir().unwrap();
        command.env("XDG_CONFIG_HOME", home.path());
        command.env("XDG_STATE_HOME", home.path());
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        let seen = Arc::new(Mutex::new(Seen {
            parser: vt100::Parser::new(some(rows), some(cols), 0),
            raw: Vec::new(),
        }));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let into = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut buf = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut buf) {
                let mut seen = into.lock().unwrap();
                seen.parser.process(&buf[..n]);
                seen.raw.extend_from_slice(&buf[..n]);
            }
        });
        Self { master: pair.master, _slave: pair.slave, writer, child, seen, before, _home: home }
    }

    /// Types keys.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// Current text of the screen.
    pub(crate) fn text(&self) -> String {
        self.seen.lock().unwrap().parser.screen().contents()
    }

    /// All output written to the terminal.
    pub(crate) fn raw(&self) -> Vec<u8> {
        self.seen.lock().unwrap().raw.clone()
    }

    /// Color of the first character of this text on the screen.
    pub(crate) fn color_of(&self, text: &str) -> Option<vt100::Color> {
        let seen = self.seen.lock().unwrap();
        let screen = seen.parser.screen();
        let (rows, cols) = screen.size();
        let (rows, cols) = (rows.get(), cols.get());
        (0..rows).rev().find_map(|row| {
            let line: Vec<&vt100::Cell> = (0..cols).filter_map(|col| screen.cell(row, col)).collect();
            (0..line.len()).find_map(|at| {
                let found: String =
                    line[at..].iter().map(|c| c.contents()).take(text.chars().count()).collect();
                (found == text).then(|| line[at].fgcolor())
            })
        })
    }

    /// True if every cell has a background of its own.
    pub(crate) fn has_ground(&self) -> bool {
        let seen = self.seen.lock().unwrap();
        let screen = seen.parser.screen();
        let (rows, cols) = screen.size();
        let mut cells = (0..rows.get()).flat_map(|y| (0..cols.get()).filter_map(move |x| screen.cell(y, x)));
        cells.all(|c| c.bgcolor() != vt100::Color::Default)
    }

    /// Waits until the screen meets a condition; on failure the message has the screen.
    pub(crate) fn until(&self, what: &str, mut wanted: impl FnMut(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if wanted(&text) {
                return text;
            }
            assert!(Instant::now() < end, "never on the screen: {what}\n{}", framed(&text));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the screen shows this text.
    pub(crate) fn shows(&self, text: &str) -> String {
        self.until(text, |s| s.contains(text))
    }

    /// Chooses an action of the last row by its line in the list, such as `t SIGTERM`, and confirms it.
    pub(crate) fn acts(&mut self, line: &str) {
        self.keys("\x1b[FK");
        self.shows(line);
        self.keys(&line[..1]);
        self.until("question", |t| t.contains('?') && !t.contains(line));
        self.keys("y");
    }

    /// Resizes the terminal.
    pub(crate) fn resize(&mut self, cols: u16, rows: u16) {
        self.seen.lock().unwrap().parser.screen_mut().set_size(some(rows), some(cols));
        self.master.resize(size(cols, rows)).unwrap();
    }

    /// Sends a signal to the program.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Checks that the program is still running.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the program to exit; returns its exit code.
    pub(crate) fn ends(&mut self) -> u32 {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(Instant::now() < end, "did not end\n{}", framed(&self.text()));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asserts that the terminal is restored after exit: mode, screen, cursor, mouse and paste.
    pub(crate) fn is_restored(&self) {
        let after = format!("{:?}", self.master.get_termios());
        assert_eq!(after, self.before, "termios");
        // The last output may not have arrived yet.
        self.until("the first screen again", |_| {
            let seen = self.seen.lock().unwrap();
            let s = seen.parser.screen();
            !s.alternate_screen()
                && !s.hide_cursor()
                && !s.bracketed_paste()
                && s.mouse_protocol_mode() == vt100::MouseProtocolMode::None
        });
        let raw = String::from_utf8_lossy(&self.raw()).into_owned();
        for (on, off) in
            [("\x1b[?1049h", "\x1b[?1049l"), ("\x1b[?1002h", "\x1b[?1002l"), ("\x1b[?2004h", "\x1b[?2004l")]
        {
            assert!(raw.rfind(off) > raw.rfind(on), "{off:?} is not after {on:?}");
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn some(n: u16) -> NonZero<u16> {
    NonZero::new(n).unwrap()
}

fn framed(text: &str) -> String {
    text.lines().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "| {line}");
        all
    })
}
