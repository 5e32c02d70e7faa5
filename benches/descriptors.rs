//! How many descriptors every process of a machine has: counted by `stat` as this program does, beside a walk over
//! `/proc/*/fd`: `cargo bench --bench descriptors`. It starts 1,000 processes with 50 descriptors each.

// A measurement that cannot go on stops there.
#![allow(missing_docs, clippy::unwrap_used)]

use sockscope::collect::procs::Procs;
use sockscope::model::{Backend, BackendInfo, Reads, Sample, Stamp, Wants};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PROCESSES: usize = 1_000;
const RUNS: usize = 21;

/// One that opens its descriptors and waits.
fn holder() -> Child {
    let script = "for i in {10..56}; do eval \"exec $i</dev/null\"; done; exec sleep 1000";
    Command::new("bash").args(["-c", script]).stdin(Stdio::null()).spawn().unwrap()
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of[of.len() / 2]
}

/// Every descriptor of every process, and where it leads.
fn walk() -> usize {
    let mut n = 0;
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        for fd in std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            n += usize::from(std::fs::read_link(fd.path()).is_ok());
        }
    }
    n
}

fn main() {
    let mut holders: Vec<Child> = (0..PROCESSES).map(|_| holder()).collect();
    std::thread::sleep(Duration::from_secs(5));
    let why = Arc::new(BackendInfo { backend: Backend::Netlink, why: String::new() });
    let wants = Wants::default().with(Reads::PROCESSES).without(Reads::OWNERS | Reads::FD_KINDS);
    let read = |procs: &mut Procs| {
        let mut s = Sample::empty(Stamp::default(), "h".into(), Arc::clone(&why), wants.clone());
        let began = Instant::now();
        procs.read(&mut s);
        let took = began.elapsed();
        let counted: u64 =
            s.processes.iter().filter_map(|p| Some(u64::from(p.fds.as_ref().ok()?.open))).sum();
        (took, s.processes.len(), counted)
    };
    let (mut by_stat, mut by_turn) =
        (Procs::new(Path::new("/proc")), Procs::new(Path::new("/proc")).counting_at_most(10_000));
    let (first, ..) = read(&mut by_stat);
    let (mut stat, mut turn, mut walked) = (vec![], vec![], vec![]);
    let mut seen = (0, 0);
    for _ in 0..RUNS {
        let (took, n, counted) = read(&mut by_stat);
        stat.push(took);
        seen = (n, counted);
        turn.push(read(&mut by_turn).0);
        let began = Instant::now();
        std::hint::black_box(walk());
        walked.push(began.elapsed());
    }
    for h in &mut holders {
        let _ = h.kill();
        let _ = h.wait();
    }
    println!("{} processes with {} descriptors, medians of {RUNS} in turn", seen.0, seen.1);
    println!("first look, names and limits too   {:>8.2} ms", first.as_secs_f64() * 1e3);
    for (what, of) in [
        ("counts by stat, refreshed        ", stat),
        ("counted one by one, 10,000 a poll", turn),
        ("walk over /proc/*/fd             ", walked),
    ] {
        println!("{what}  {:>8.2} ms", median(of).as_secs_f64() * 1e3);
    }
}
