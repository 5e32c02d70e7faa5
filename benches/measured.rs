//! Wall time, CPU time and peak memory of a program.
//!
//! Each program runs as the only child of a small process, because `getrusage` has the peak memory of all children that
//! exited, and the sum of their CPU time.

use nix::sys::resource::{UsageWho, getrusage};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Environment variable of that process: it runs its arguments.
const WRAPPER: &str = "SOCKSCOPE_BENCH_MEASURE";

/// Cost of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Wall time.
    pub(crate) wall: Duration,
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Peak resident memory, kilobytes.
    pub(crate) peak: u64,
}

/// Runs a program and discards its output.
pub(crate) fn run(program: &str, args: &[&str]) -> Run {
    let out = Command::new(std::env::current_exe().unwrap())
        .arg(program)
        .args(args)
        .env(WRAPPER, "1")
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let mut words = text.split_whitespace().map(|w| w.parse::<u64>().unwrap());
    let mut next = || words.next().unwrap_or_else(|| panic!("{program} {args:?} failed"));
    let (wall, cpu, peak) = (next(), next(), next());
    Run { wall: Duration::from_micros(wall), cpu: Duration::from_micros(cpu), peak }
}

/// Runs as the wrapper process; `false` in the parent.
pub(crate) fn run_wrapper() -> bool {
    if std::env::var_os(WRAPPER).is_none() {
        return false;
    }
    let mut args = std::env::args_os().skip(1);
    let mut command = Command::new(args.next().unwrap());
    command.args(args).env_remove(WRAPPER).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let status = command.status().unwrap();
    let wall = began.elapsed();
    assert!(status.code().is_some(), "killed by a signal");
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
