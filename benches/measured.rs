//! A program run to its end: how long it took, how much work it was, how much memory it had.
//!
//! Each runs below a small process of its own: the kernel tells a process the most memory that any of its ended children
//! had, and their time together.

use nix::sys::resource::{UsageWho, getrusage};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Set in the process between: it runs its arguments.
const BETWEEN: &str = "SOCKSCOPE_BENCH_MEASURE";

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// From start to end.
    pub(crate) wall: Duration,
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Resident at the most, kilobytes.
    pub(crate) peak: u64,
}

/// Runs a program, its output thrown away.
pub(crate) fn run(program: &str, args: &[&str]) -> Run {
    let out = Command::new(std::env::current_exe().unwrap())
        .arg(program)
        .args(args)
        .env(BETWEEN, "1")
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let mut words = text.split_whitespace().map(|w| w.parse::<u64>().unwrap());
    let mut next = || words.next().unwrap_or_else(|| panic!("{program} {args:?} did not run"));
    let (wall, cpu, peak) = (next(), next(), next());
    Run { wall: Duration::from_micros(wall), cpu: Duration::from_micros(cpu), peak }
}

/// In the process between: does its part.
pub(crate) fn between() -> bool {
    if std::env::var_os(BETWEEN).is_none() {
        return false;
    }
    let mut args = std::env::args_os().skip(1);
    let mut command = Command::new(args.next().unwrap());
    command.args(args).env_remove(BETWEEN).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let done = command.status().unwrap();
    let wall = began.elapsed();
    assert!(done.code().is_some(), "ended by a signal");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let micros = |t: nix::sys::time::TimeVal| t.tv_sec() as u64 * 1_000_000 + t.tv_usec() as u64;
    println!(
        "{} {} {}",
        wall.as_micros(),
        micros(usage.user_time()) + micros(usage.system_time()),
        usage.max_rss()
    );
    true
}
