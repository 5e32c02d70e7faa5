//! The program on a slow serial line, at whose other end is a terminal that answers.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Longest wait, sized for a busy machine.
const PATIENCE: Duration = Duration::new(90, 0);
/// Query that the terminal answers when it comes to it, and the answer.
const QUERY: &[u8] = b"\x1b[5n";
const ANSWER: &[u8] = b"\x1b[0n";

/// A running program, its line and the terminal.
pub(crate) struct SlowLine {
    _master: Box<dyn MasterPty + Send>,
    /// Output of the line.
    chunks: Receiver<Vec<u8>>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    parser: vt100::Parser,
    /// Bytes so far.
    pub(crate) bytes: usize,
    tail: Vec<u8>,
    _home: tempfile::TempDir,
}

impl SlowLine {
    /// Starts sockscope at 80×24 on a line of so many bytes a second.
    pub(crate) fn start(args: &[&str], rate: u64) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_sockscope"));
        command.args(args);
        for (name, value) in [("TERM", "vt220"), ("LANG", "C.UTF-8")] {
            command.env(name, value);
        }
        for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
            command.env(name, home.path());
        }
        let child = pair.slave.spawn_command(command).unwrap();
        let (mut reader, writer) =
            (pair.master.try_clone_reader().unwrap(), pair.master.take_writer().unwrap());
        let (line, chunks) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buf = [0; 32];
            while let Ok(n @ 1..) = reader.read(&mut buf) {
                std::thread::sleep(Duration::from_micros(n as u64 * 1_000_000 / rate));
                if line.send(buf[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            _master: pair.master,
            chunks,
            writer,
            child,
            parser: vt100::Parser::new(NonZero::new(24).unwrap(), NonZero::new(80).unwrap(), 0),
            bytes: 0,
            tail: Vec::new(),
            _home: home,
        }
    }

    /// Types keys.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// Text on the screen.
    pub(crate) fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// Passes bytes on at the rate of the line until a condition holds.
    pub(crate) fn runs_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < end, "no {what}:\n{}", self.text());
            let Ok(chunk) = self.chunks.recv_timeout(Duration::from_millis(10)) else { continue };
            self.bytes += chunk.len();
            self.parser.process(&chunk);
            self.tail.extend_from_slice(&chunk);
            let mut answers = 0;
            while let Some(at) = self.tail.windows(QUERY.len()).position(|w| w == QUERY) {
                self.tail.drain(..at + QUERY.len());
                answers += 1;
            }
            let keep = self.tail.len().saturating_sub(QUERY.len());
            self.tail.drain(..keep);
            for _ in 0..answers {
                self.writer.write_all(ANSWER).unwrap();
            }
        }
    }
}

impl Drop for SlowLine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
