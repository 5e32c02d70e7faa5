//! sockscope with real sockets, compared with similar tools and the bare kernel: `cargo bench --bench figures`.
//!
//! ```sh
//! cargo bench --bench figures                     # at 1,000, 10,000 and 100,000 sockets
//! cargo bench --bench figures -- 1000000          # at a million (10 GB of memory, mostly the kernel's)
//! cargo bench --bench figures -- 100000 --only dashboard
//! ```
//!
//! The sockets are in a separate network namespace (and, for a non-root user, a user namespace), and closed afterwards.

// Benches may panic.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bare;
mod board;
// Each bench uses part of it.
#[allow(dead_code)]
mod clock;
#[allow(dead_code)]
#[path = "../examples/sockfarm/farm.rs"]
mod farm;
mod measured;

use board::Board;
use clock::Times;
use farm::{Farm, FarmSpec};
use measured::Run;
use sockscope::collect::Source;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::derive::Engine;
use sockscope::format::Needs;
use sockscope::model::tcp_info::info_words;
use sockscope::model::{AttrSet, Reads, Snapshot, Wants};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const INSIDE: &str = "SOCKSCOPE_BENCH_INSIDE";
const BARE: &str = "SOCKSCOPE_BENCH_BARE";
const US: &str = env!("CARGO_BIN_EXE_sockscope");

fn main() {
    if let Some(result) = farm::run_child() {
        result.unwrap();
        return;
    }
    if measured::run_wrapper() || run_bare() {
        return;
    }
    if std::env::var_os(INSIDE).is_none() {
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let status = command
            .args(["--net", "--", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(std::env::args().skip(1))
            .env(INSIDE, "1")
            .status()
            .unwrap();
        std::process::exit(status.code().unwrap_or(1));
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let only = args.iter().position(|a| a == "--only").and_then(|i| args.get(i + 1));
    let mut sizes: Vec<usize> = args.iter().filter_map(|a| a.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000, 100_000];
    }
    for n in sizes {
        let part = |name: &str| only.is_none_or(|o| o == name);
        let mut spec = FarmSpec::new(n);
        spec.processes = 10;
        let farm = Farm::start(&spec).unwrap();
        println!("\n## {n} sockets, {} processes\n", farm.pids().count());
        if part("lists") {
            lists(n);
        }
        if part("attributes") {
            attributes(n);
        }
        if part("polls") {
            polls(n, "steady");
        }
        if part("dashboard") {
            dashboard(n);
        }
        drop(farm);
        if part("polls") || part("churn") {
            spec.churn = 1_000;
            let farm = Farm::start(&spec).unwrap();
            polls(n, "1,000 sockets opened and closed per second");
            drop(farm);
        }
    }
}

/// Runs as the bare kernel benchmark; `false` in the parent.
fn run_bare() -> bool {
    match std::env::var(BARE).as_deref() {
        Ok("dump") => bare::dump(0),
        Ok("info") => bare::dump(2),
        Ok("scan") => bare::scan_fds(),
        _ => return false,
    };
    true
}

fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[values.len() / 2]
}

/// A compared program, and the number of sockets up to which it is run.
struct Contender {
    name: &'static str,
    program: String,
    args: Vec<&'static str>,
    sockets_max: usize,
    runs: Vec<Run>,
}

/// Complete runs, alternating: sockscope, similar tools, the bare kernel.
fn lists(n: usize) {
    let own = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
    let env = |kind: &str| format!("{BARE}={kind}");
    let kinds = ["dump", "info", "scan"].map(|k| -> &'static str { env(k).leak() });
    let own_exe: &'static str = own.leak();
    let plain = "proto,state,local,remote,recv_q,send_q";
    let all = usize::MAX;
    let mut contenders: Vec<Contender> = [
        ("bare dump", "env", vec![kinds[0], own_exe], all),
        ("bare dump with tcp_info", "env", vec![kinds[1], own_exe], all),
        ("bare scan of /proc/*/fd", "env", vec![kinds[2], own_exe], all),
        ("sockscope list, no owners", US, vec!["list", "-n", "--netns", "here", "-c", plain], all),
        ("sockscope list, owners", US, vec!["list", "-n", "--netns", "here"], all),
        (
            "sockscope list, owners from /proc",
            US,
            vec!["list", "-n", "--netns", "here", "--owners", "walk"],
            all,
        ),
        (
            "sockscope list, owners by bpf_iter",
            US,
            vec!["list", "-n", "--netns", "here", "--owners", "bpf"],
            all,
        ),
        ("sockscope list, owners, json", US, vec!["list", "--netns", "here", "-f", "json"], 100_000),
        ("ss -Htuan", "ss", vec!["-Htuan"], all),
        ("ss -Htuanp", "ss", vec!["-Htuanp"], 100_000),
        ("netstat -tuan", "netstat", vec!["-tuan"], 100_000),
        ("netstat -tuanp", "netstat", vec!["-tuanp"], 100_000),
        ("lsof -nP -iTCP -iUDP", "lsof", vec!["-nP", "-iTCP", "-iUDP"], 100_000),
    ]
    .into_iter()
    .map(|(name, program, args, sockets_max)| Contender {
        name,
        program: program.into(),
        args,
        sockets_max,
        runs: vec![],
    })
    .collect();
    let rounds = if n > 10_000 { 7 } else { 15 };
    for round in 0..=rounds {
        for e in contenders.iter_mut().filter(|e| n <= e.sockets_max) {
            // Slow ones run less often.
            if e.runs.len() >= 3 && e.runs.iter().all(|r| r.wall > Duration::from_secs(2)) {
                continue;
            }
            let run = measured::run(&e.program, &e.args);
            // The first run is a warm-up.
            if round > 0 || run.wall > Duration::from_secs(2) {
                e.runs.push(run);
            }
        }
    }
    println!("| one listing | time | CPU | peak memory |\n|---|---|---|---|");
    let wall = |name: &str| {
        let e = contenders.iter().find(|e| e.name == name && !e.runs.is_empty())?;
        Some((
            median(e.runs.iter().map(|r| ms(r.wall)).collect()),
            median(e.runs.iter().map(|r| ms(r.cpu)).collect()),
        ))
    };
    for e in contenders.iter().filter(|e| !e.runs.is_empty()) {
        let (w, c) = wall(e.name).unwrap();
        let peak = median(e.runs.iter().map(|r| r.peak).collect()) as f64 / 1024.0;
        println!("| {} | {w:.1} ms | {c:.1} ms | {peak:.0} MB |", e.name);
    }
    println!();
    let ratio = |what: &str, ours: &str, theirs: &[&str], target: &str| {
        let Some(us) = wall(ours) else { return };
        let them: Option<Vec<_>> = theirs.iter().map(|t| wall(t)).collect();
        let Some(them) = them else { return };
        let sum = them.iter().fold((0.0, 0.0), |s, t| (s.0 + t.0, s.1 + t.1));
        println!(
            "{what}: {:.2} x time, {:.2} x CPU, {:.1} x faster{target}",
            us.0 / sum.0,
            us.1 / sum.1,
            sum.0 / us.0
        );
    };
    ratio("no owners / bare dump", "sockscope list, no owners", &["bare dump"], " (at most 1.3)");
    ratio(
        "owners / bare dump + bare scan",
        "sockscope list, owners",
        &["bare dump", "bare scan of /proc/*/fd"],
        " (at most 1.15)",
    );
    ratio(
        "owners from /proc / bare dump + bare scan",
        "sockscope list, owners from /proc",
        &["bare dump", "bare scan of /proc/*/fd"],
        "",
    );
    // As root in the initial user namespace; otherwise this is a scan again.
    ratio(
        "owners by bpf_iter / bare dump + bare scan",
        "sockscope list, owners by bpf_iter",
        &["bare dump", "bare scan of /proc/*/fd"],
        " (at most 0.45)",
    );
    ratio("no owners / ss -Htuan", "sockscope list, no owners", &["ss -Htuan"], "");
    ratio("owners / ss -Htuanp", "sockscope list, owners", &["ss -Htuanp"], " (at least 15)");
    ratio("owners / netstat -tuanp", "sockscope list, owners", &["netstat -tuanp"], "");
    ratio("owners / lsof", "sockscope list, owners", &["lsof -nP -iTCP -iUDP"], "");
}

/// Reads all attributes of all sockets, compared with receiving and discarding the same dump.
fn attributes(n: usize) {
    let wants = Wants::default().without(Reads::OWNERS | Reads::PROCESSES).with_attrs(AttrSet::ALL);
    let mut source = NetlinkSource::new("requested".into()).unwrap();
    let (mut ours, mut theirs, mut ratios) = (vec![], vec![], vec![]);
    let rounds = if n > 10_000 { 15 } else { 60 };
    for round in 0..rounds + 2 {
        let began = Instant::now();
        bare::dump(AttrSet::ALL.bits());
        let dump = began.elapsed();
        let began = Instant::now();
        let sample = source.sample(&wants).unwrap();
        let took = began.elapsed();
        drop(sample);
        if round < 2 {
            continue;
        }
        ours.push(ms(took));
        theirs.push(ms(dump));
        ratios.push(took.as_secs_f64() / dump.as_secs_f64());
    }
    println!(
        "every attribute: {:.1} ms, bare dump of the same {:.1} ms, ratio {:.2} (at most 1.4)",
        median(ours),
        median(theirs),
        median(ratios)
    );
}

/// Consecutive polls as the dashboard makes them, compared with the bare dumps.
fn polls(n: usize, what: &str) {
    let plain = Wants::default().without(Reads::OWNERS | Reads::PROCESSES);
    let owners = plain.clone().with(Reads::OWNERS | Reads::PROCESSES);
    let needs = Needs { info_words: 0, ..owners.needs } | Needs::RATES | Needs::info(info_words(&[68]));
    let info = Wants { needs, ..owners.clone() };
    println!(
        "\n| poll, {what} | time | CPU | bare dump | ratio | decode + join + derive |\n|---|---|---|---|---|---|"
    );
    for (name, wants, attrs) in
        [("no owners", plain, 0u8), ("owners", owners, 0), ("owners, tcp_info (as the dashboard)", info, 2)]
    {
        let mut source = NetlinkSource::new("requested".into()).unwrap();
        let mut engine = Engine::new();
        let mut snap: Option<Arc<Snapshot>> = None;
        let (mut ours, mut work, mut theirs, mut ratios, mut shares) =
            (vec![], vec![], vec![], vec![], vec![]);
        let rounds = if what != "steady" {
            8
        } else if n > 10_000 {
            12
        } else {
            40
        };
        for round in 0..rounds + 2 {
            // At the dashboard's interval, for the same amount of churn between polls.
            std::thread::sleep(Duration::from_millis(if what == "steady" { 20 } else { 1000 }));
            let began = Instant::now();
            bare::dump(attrs);
            let dump = began.elapsed();
            let (began, busy) = (Instant::now(), cpu_time());
            let sample = source.sample(&wants).unwrap();
            let next = engine.step(sample);
            let (took, cpu) = (began.elapsed(), cpu_time() - busy);
            // The previous snapshot is freed when the next one is shown.
            drop(snap.replace(next));
            if round < 2 {
                continue;
            }
            ours.push(ms(took));
            work.push(cpu.0 + cpu.1);
            theirs.push(ms(dump));
            ratios.push(took.as_secs_f64() / dump.as_secs_f64());
            // Share of user space; the rest is the kernel.
            shares.push(100.0 * cpu.0 / (cpu.0 + cpu.1).max(0.001));
        }
        println!(
            "| {name} | {:.1} ms | {:.1} ms | {:.1} ms | {:.2} | {:.0} % |",
            median(ours),
            median(work),
            median(theirs),
            median(ratios),
            median(shares)
        );
    }
}

/// User and system time of this process so far, milliseconds.
#[derive(Clone, Copy)]
struct CpuTime(f64, f64);

impl std::ops::Sub for CpuTime {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Self(self.0 - o.0, self.1 - o.1)
    }
}

fn cpu_time() -> CpuTime {
    use nix::sys::resource::{UsageWho, getrusage};
    let u = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let ms = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 * 1e3 + t.tv_usec() as f64 / 1e3;
    CpuTime(ms(u.user_time()), ms(u.system_time()))
}

const WAIT: Duration = Duration::from_secs(60);

/// Line number of the selection.
fn selected(text: &str) -> Option<usize> {
    text.lines().position(|l| l.starts_with('▌'))
}

fn dashboard(n: usize) {
    let args = ["--netns", "here"];
    let rounds = if n > 100_000 { 3 } else { 7 };
    let mut firsts = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        let mut board = Board::start(US, &args);
        let shown = board.until(WAIT, |t| t.lines().skip(3).any(|l| l.contains("tcp ") || l.contains("▸ ")));
        firsts.push(shown.expect("no first frame") - began);
    }
    println!();
    Times::new(firsts).line("dashboard: first frame with sockets", (n <= 100_000).then_some(150.0));

    let mut board = Board::start(US, &args);
    board.until(WAIT, |t| t.contains("figures")).expect("no owners");
    board.idle(Duration::from_secs(3));
    let (before, began) = (board.ticks(), Instant::now());
    board.idle(Duration::from_secs(10));
    let cpu = (board.ticks() - before) / began.elapsed().as_secs_f64();
    println!("{:<46} {cpu:.1} % of a core", "dashboard: at 1 s");
    println!(
        "{:<46} {:.0} MB, peak {:.0} MB",
        "dashboard: resident",
        board.megabytes("VmRSS:"),
        board.megabytes("VmHWM:")
    );
    println!("{}", board.text().lines().next().unwrap_or_default());

    let target = Some(if n > 100_000 { 50.0 } else { 16.0 });
    // Keys at irregular times relative to the polls.
    let pause = |i: u64| Duration::from_millis(7 + i * 37 % 61);
    let mut all = Vec::new();
    for i in 0..200 {
        let at = selected(&board.text()).expect("no selection");
        let key = if i / 2 % 2 == 0 { "j" } else { "k" };
        all.push(
            board
                .latency(key, |t| selected(t).is_some_and(|s| s != at))
                .expect("no effect within five seconds"),
        );
        board.idle(pause(i));
    }
    Times::new(all).line("keys: moving", target);

    let mut all = Vec::new();
    let text = "port:20001";
    for round in 0..12 {
        board.latency("/", |t| t.contains(" / "));
        for i in 0..text.len() {
            let typed = format!("/ {}", &text[..=i]);
            all.push(
                board.latency(&text[i..=i], |t| t.contains(&typed)).expect("no effect within five seconds"),
            );
            board.idle(pause(round * 10 + i as u64));
        }
        board.latency("\x1b", |t| !t.contains(text));
        board.idle(pause(round));
    }
    Times::new(all).line("keys: typing a filter", target);

    let mut all = Vec::new();
    for i in 0..40 {
        for (key, title) in [("2", "CLIENTS"), ("3", "SOFT"), ("1", "REMOTE")] {
            let head = |t: &str| t.lines().skip(2).take(3).any(|l| l.contains(title));
            all.push(board.latency(key, head).expect("no effect within five seconds"));
            board.idle(pause(i));
        }
    }
    Times::new(all).line("keys: views", target);

    let mut all = Vec::new();
    for i in 0..20 {
        for by in ["by local", "by remote", "by process", "not grouped", "by state"] {
            all.push(board.latency("g", |t| t.contains(by)).expect("no effect within five seconds"));
            board.idle(pause(i));
        }
    }
    Times::new(all).line("keys: grouping", target);
    println!(
        "{:<46} {:.0} MB, peak {:.0} MB",
        "dashboard: resident, afterwards",
        board.megabytes("VmRSS:"),
        board.megabytes("VmHWM:")
    );
}
