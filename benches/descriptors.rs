//! Counting the descriptors of all processes, by `stat` as sockscope does and by a scan of `/proc/*/fd`:
//! `cargo bench --bench descriptors`. It starts 1,000 processes with 50 descriptors each.

// Benches may panic.
#![allow(missing_docs, clippy::unwrap_used)]

use sockscope::collect::procs::Procs;
use sockscope::model::{Backend, BackendInfo, Reads, Sample, Stamp, Wants};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PROCESSES: usize = 1_000;
const RUNS: usize = 21;

/// Starts a process that opens its descriptors and sleeps.
fn start_process() -> Child {
    let script = "for i in {10..56}; do eval \"exec $i</dev/null\"; done; exec sleep 1000";
    Command::new("bash").args(["-c", script]).stdin(Stdio::null()).spawn().unwrap()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Reads the targets of all descriptors of all processes.
fn scan_fds() -> usize {
    let mut n = 0;
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        for fd in std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            n += usize::from(std::fs::read_link(fd.path()).is_ok());
        }
    }
    n
}

fn main() {
    let mut processes: Vec<Child> = (0..PROCESSES).map(|_| start_process()).collect();
    std::thread::sleep(Duration::from_secs(5));
    let why = Arc::new(BackendInfo { backend: Backend::Netlink, reason: String::new() });
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
    let (mut by_stat, mut by_listing) =
        (Procs::new(Path::new("/proc")), Procs::new(Path::new("/proc")).counting_at_most(10_000));
    let (first, ..) = read(&mut by_stat);
    let (mut stat, mut listed, mut scanned) = (vec![], vec![], vec![]);
    let mut totals = (0, 0);
    for _ in 0..RUNS {
        let (took, n, counted) = read(&mut by_stat);
        stat.push(took);
        totals = (n, counted);
        listed.push(read(&mut by_listing).0);
        let began = Instant::now();
        std::hint::black_box(scan_fds());
        scanned.push(began.elapsed());
    }
    for p in &mut processes {
        let _ = p.kill();
        let _ = p.wait();
    }
    println!("{} processes with {} descriptors, medians of {RUNS} alternating runs", totals.0, totals.1);
    println!("first poll, with names and limits  {:>8.2} ms", first.as_secs_f64() * 1e3);
    for (method, times) in [
        ("counted by stat                  ", stat),
        ("counted by listing, 10,000 a poll", listed),
        ("scan of /proc/*/fd               ", scanned),
    ] {
        println!("{method}  {:>8.2} ms", median(times).as_secs_f64() * 1e3);
    }
}
