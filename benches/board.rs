//! The dashboard in a pseudo-terminal, with the time of its output.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const ROWS: u16 = 50;
const COLUMNS: u16 = 160;

pub(crate) struct Board {
    _master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    output: Receiver<(Instant, Vec<u8>)>,
    parser: vt100::Parser,
}

impl Board {
    pub(crate) fn start(program: &str, args: &[&str]) -> Self {
        let pair = native_pty_system()
            .openpty(PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 })
            .unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.cwd(".");
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let (send, output) = channel();
        std::thread::spawn(move || {
            let mut buf = vec![0; 1 << 16];
            while let Ok(n @ 1..) = reader.read(&mut buf) {
                if send.send((Instant::now(), buf[..n].to_vec())).is_err() {
                    return;
                }
            }
        });
        let non_zero = |n| NonZero::new(n).unwrap();
        let parser = vt100::Parser::new(non_zero(ROWS), non_zero(COLUMNS), 0);
        Self { _master: pair.master, writer, child, output, parser }
    }

    pub(crate) fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// Reads output until `wanted` is on the screen; returns the time of that output.
    pub(crate) fn until(&mut self, within: Duration, wanted: impl Fn(&str) -> bool) -> Option<Instant> {
        let end = Instant::now() + within;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let (when, bytes) = self.output.recv_timeout(left).ok()?;
            self.parser.process(&bytes);
            if wanted(&self.text()) {
                return Some(when);
            }
        }
    }

    /// Types a key; returns the time until the screen shows its effect.
    pub(crate) fn latency(&mut self, key: &str, shown: impl Fn(&str) -> bool) -> Option<Duration> {
        // Earlier output does not count.
        while let Ok((_, bytes)) = self.output.try_recv() {
            self.parser.process(&bytes);
        }
        let began = Instant::now();
        self.writer.write_all(key.as_bytes()).unwrap();
        self.writer.flush().unwrap();
        self.until(Duration::from_secs(5), shown).map(|when| when - began)
    }

    /// Reads output for this time.
    pub(crate) fn idle(&mut self, time: Duration) {
        self.until(time, |_| false);
    }

    /// This file of the dashboard, and of its collector process if it has one.
    fn files(&self, name: &str) -> Vec<String> {
        let pid = self.child.process_id().unwrap().to_string();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let all = std::iter::once(&*pid).chain(children.split_whitespace());
        all.filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/{name}")).ok()).collect()
    }

    /// Value in `/proc/PID/status` of both, megabytes.
    pub(crate) fn megabytes(&self, name: &str) -> f64 {
        let value = |text: &String| -> f64 {
            let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        self.files("status").iter().map(value).sum::<f64>() / 1024.0
    }

    /// CPU time of both so far, in hundredths of a second.
    pub(crate) fn ticks(&self) -> f64 {
        let ticks = |text: &String| -> f64 {
            let after = text.rsplit(") ").next().unwrap();
            after.split(' ').skip(11).take(2).map(|n| n.parse::<f64>().unwrap()).sum()
        };
        self.files("stat").iter().map(ticks).sum()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
