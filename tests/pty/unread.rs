//! The program in a pseudo-terminal that is read only on request, and that can be closed.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// Longest wait, sized for a busy machine.
const PATIENCE: Duration = Duration::new(60, 0);

/// The terminal itself, its output and its keys.
type Ends = (Box<dyn MasterPty + Send>, Box<dyn Read + Send>, Box<dyn Write + Send>);

/// A running program and its terminal. The other end of the terminal is only held by the program.
pub(crate) struct Unread {
    ends: Option<Ends>,
    child: Box<dyn Child + Send + Sync>,
    home: tempfile::TempDir,
}

impl Unread {
    /// Starts sockscope in a terminal of this size.
    pub(crate) fn start(cols: u16, rows: u16, args: &[&str]) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_sockscope"));
        command.args(args);
        for (name, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8")] {
            command.env(name, value);
        }
        for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
            command.env(name, home.path());
        }
        let child = pair.slave.spawn_command(command).unwrap();
        let (reader, writer) = (pair.master.try_clone_reader().unwrap(), pair.master.take_writer().unwrap());
        Self { ends: Some((pair.master, reader, writer)), child, home }
    }

    /// Types keys.
    pub(crate) fn keys(&mut self, keys: &str) {
        let (_, _, writer) = self.ends.as_mut().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// Reads the output until it has this text.
    pub(crate) fn reads_until(&mut self, text: &str) {
        let (_, reader, _) = self.ends.as_mut().unwrap();
        let (mut all, mut buf) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&all).contains(text) {
            match reader.read(&mut buf) {
                Ok(n @ 1..) => all.extend_from_slice(&buf[..n]),
                other => panic!("{other:?} before {text:?}:\n{}", String::from_utf8_lossy(&all)),
            }
        }
    }

    /// Returns true if the main thread waits in a write to standard output.
    pub(crate) fn blocks_in_write(&self) -> bool {
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", self.pid())).unwrap_or_default();
        let mut words = call.split(' ');
        // write(2) of x86-64 and of the architectures with generic numbers.
        matches!(words.next(), Some("1" | "64")) && words.next() == Some("0x1")
    }

    /// Closes the terminal.
    pub(crate) fn close(&mut self) {
        self.ends = None;
    }

    /// Sends a signal to the program.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits for the program to exit; returns its exit code.
    pub(crate) fn ends(&mut self) -> u32 {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(Instant::now() < end, "did not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns true if the session was saved.
    pub(crate) fn has_session(&self) -> bool {
        self.home.path().join("sockscope/session.json").exists()
    }

    fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
