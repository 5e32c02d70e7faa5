//! The whole program against real sockets, and `ss` beside it in the same run: `cargo bench --bench figures`.
//!
//! Runs in a user and network namespace of its own, so an ordinary user can run it. `-- --quick` leaves the machine with
//! 100,000 sockets out.

// A measurement that cannot go on stops there.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod bare;
// Each takes its part.
#[allow(dead_code)]
mod clock;
#[path = "../examples/sockfarm/farm.rs"]
mod farm;

use clock::Times;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const INSIDE: &str = "SOCKSCOPE_BENCH_INSIDE";
const US: &str = env!("CARGO_BIN_EXE_sockscope");

fn main() {
    if let Some(done) = farm::child() {
        done.unwrap();
        return;
    }
    if std::env::var_os(INSIDE).is_none() {
        let status = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "--", "sh", "-c"])
            .arg("ip link set lo up && exec \"$0\" \"$@\"")
            .arg(std::env::current_exe().unwrap())
            .args(std::env::args().skip(1))
            .env(INSIDE, "1")
            .status()
            .unwrap();
        std::process::exit(status.code().unwrap_or(1));
    }
    at(1_000, &Goals { first: Some(100.0), list: Some(50.0), key: 16.0, cpu: Some(2.0), memory: None });
    if !std::env::args().any(|a| a == "--quick") {
        at(100_000, &Goals { first: None, list: None, key: 50.0, cpu: None, memory: Some(120.0) });
    }
}

/// What is aimed at: milliseconds, percent of a core, megabytes.
struct Goals {
    first: Option<f64>,
    list: Option<f64>,
    key: f64,
    cpu: Option<f64>,
    memory: Option<f64>,
}

fn at(sockets: usize, goals: &Goals) {
    let farm = farm::Farm::start(sockets / 2, 4).unwrap();
    println!("\n{sockets} sockets");
    let rounds = if sockets > 10_000 { 7 } else { 40 };
    bares(rounds.min(15));
    lists(rounds, goals.list);
    firsts(rounds.min(15), goals.first);
    dashboard(goals);
    drop(farm);
}

fn run(program: &str, args: &[&str]) {
    Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
}

/// Our reading beside the kernel's part of it, in turn.
fn bares(rounds: usize) {
    use sockscope::collect::Source;
    use sockscope::model::{AttrSet, Wants};
    let mut source = sockscope::collect::netlink::NetlinkSource::new("asked for".into()).unwrap();
    let plain = Wants { owners: false, processes: false, ..Wants::default() };
    let all = Wants { attrs: AttrSet::ALL, ..plain.clone() };
    let joined = Wants { owners: true, processes: true, ..plain.clone() };
    for (what, wants, attrs) in [
        ("read: addresses and states", plain, 0u8),
        ("read: every attribute", all, 0xfe),
        ("read: with owners, as in every poll", joined, 0),
    ] {
        source.sample(&wants).unwrap();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let began = Instant::now();
            drop(source.sample(&wants).unwrap());
            ours.push(began.elapsed());
            let began = Instant::now();
            bare::dump(attrs);
            theirs.push(began.elapsed());
        }
        let (a, b) = (Times::of(ours), Times::of(theirs));
        a.line(what, None);
        b.line("   bare dump", None);
        println!("   ratio {:.2}", a.median().as_secs_f64() / b.median().as_secs_f64());
    }
    Times::measure(rounds.min(5), || {
        bare::walk();
    })
    .line("bare walk of every descriptor", None);
}

/// Whole processes in turn, ours and `ss`.
fn lists(rounds: usize, goal: Option<f64>) {
    type Run = (&'static str, &'static [&'static str]);
    let pairs: [(&str, Run, Run); 4] = [
        (
            "list, no owners  | ss -tuan",
            (US, &["list", "-n", "-c", "proto,state,local,remote,recv_q,send_q"]),
            ("ss", &["-tuan"]),
        ),
        ("list, owners     | ss -tuanp", (US, &["list", "-n"]), ("ss", &["-tuanp"])),
        ("list, json       | ss -tuanpiem", (US, &["list", "--format", "json"]), ("ss", &["-tuanpiem"])),
        (
            "list lport:20001 state:listen | ss",
            (US, &["list", "-n", "lport:20001", "state:listen"]),
            ("ss", &["-tlnp", "sport = :20001"]),
        ),
    ];
    for (what, ours, theirs) in pairs {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            for ((program, args), all) in [(ours, &mut a), (theirs, &mut b)] {
                let began = Instant::now();
                run(program, args);
                all.push(began.elapsed());
            }
        }
        let (a, b) = (Times::of(a), Times::of(b));
        a.line(what.split(" |").next().unwrap_or(what).trim(), goal);
        b.line(&format!("   {}", what.split("| ").nth(1).unwrap_or("")), None);
        println!("   ratio {:.2}", a.median().as_secs_f64() / b.median().as_secs_f64());
    }
}

/// The dashboard in a pseudo-terminal, and when its output came.
struct Board {
    _master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    output: Receiver<(Instant, Vec<u8>)>,
    parser: vt100::Parser,
}

impl Board {
    fn start() -> Self {
        let pair = native_pty_system()
            .openpty(PtySize { rows: 50, cols: 160, pixel_width: 0, pixel_height: 0 })
            .unwrap();
        let mut command = CommandBuilder::new(US);
        command.cwd(".");
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let (tell, output) = channel();
        std::thread::spawn(move || {
            let mut buf = vec![0; 1 << 16];
            while let Ok(n @ 1..) = reader.read(&mut buf) {
                if tell.send((Instant::now(), buf[..n].to_vec())).is_err() {
                    return;
                }
            }
        });
        let some = |n| NonZero::new(n).unwrap();
        let parser = vt100::Parser::new(some(50), some(160), 0);
        Self { _master: pair.master, writer, child, output, parser }
    }

    /// Takes output in until this is on the screen; when that was.
    fn until(&mut self, wanted: impl Fn(&str) -> bool) -> Instant {
        loop {
            let (when, bytes) = self.output.recv_timeout(Duration::from_secs(30)).unwrap();
            self.parser.process(&bytes);
            if wanted(&self.parser.screen().contents()) {
                return when;
            }
        }
    }

    /// Until nothing has come for a while.
    fn quiet(&mut self) {
        while self.output.recv_timeout(Duration::from_millis(60)).is_ok() {}
    }

    /// Types a key and waits for the first of what it changes.
    fn answer(&mut self, key: &str) -> Option<Duration> {
        let began = Instant::now();
        self.writer.write_all(key.as_bytes()).unwrap();
        self.writer.flush().unwrap();
        let (when, _) = self.output.recv_timeout(Duration::from_millis(500)).ok()?;
        while self.output.recv_timeout(Duration::from_millis(4)).is_ok() {}
        Some(when - began)
    }

    fn status(&self, name: &str) -> f64 {
        let pid = self.child.process_id().unwrap();
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// User and system time so far, in ticks of a hundredth of a second.
    fn ticks(&self) -> f64 {
        let pid = self.child.process_id().unwrap();
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let after = text.rsplit(") ").next().unwrap();
        after.split(' ').skip(11).take(2).map(|n| n.parse::<f64>().unwrap()).sum()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From the start of the process to the first frame with a socket in it.
fn firsts(rounds: usize, goal: Option<f64>) {
    let mut all = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        let mut board = Board::start();
        all.push(board.until(|t| t.lines().any(|l| l.contains("tcp ") || l.contains("▸ "))) - began);
    }
    Times::of(all).line("dashboard: first frame with sockets", goal);
}

fn dashboard(goals: &Goals) {
    let mut board = Board::start();
    board.until(|t| t.contains("sockfarm") || t.contains("figures"));
    board.quiet();
    std::thread::sleep(Duration::from_secs(3));
    let (before, began) = (board.ticks(), Instant::now());
    std::thread::sleep(Duration::from_secs(10));
    let cpu = (board.ticks() - before) / began.elapsed().as_secs_f64();
    let goal = |g: Option<f64>, x: f64| {
        g.map_or_else(String::new, |g| format!("   target {g} {}", if x <= g { "met" } else { "MISSED" }))
    };
    println!("{:<46} {cpu:.1} % of a core{}", "dashboard: at 1 s", goal(goals.cpu, cpu));

    while board.output.try_recv().is_ok() {}
    // What it draws of itself would be taken for the answer.
    board.answer(" ");
    for (what, keys) in [
        ("keys: moving", &["j", "j", "k", "\x1b[6~", "\x1b[5~", "\x1b[F", "\x1b[H"][..]),
        ("keys: typing a filter", &["/", "\x15", "p", "o", "r", "t", ":", "2", "0", "0", "0", "1", "\r"]),
        ("keys: dropping it", &["x"]),
        ("keys: grouping", &["g", "g", "g", "g", "g"]),
        ("keys: sorting and turning round", &["s", "j", "\r", "S", "S"]),
        ("keys: views", &["2", "3", "4", "1"]),
    ] {
        let mut all = Vec::new();
        for _ in 0..20 {
            all.extend(keys.iter().filter_map(|k| board.answer(k)));
        }
        Times::of(all).line(what, Some(goals.key));
    }
    let (rss, peak) = (board.status("VmRSS:") / 1024.0, board.status("VmHWM:") / 1024.0);
    println!("{:<46} {rss:.0} MB, at most {peak:.0} MB{}", "dashboard: memory", goal(goals.memory, peak));
}
