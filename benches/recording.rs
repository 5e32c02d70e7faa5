//! Frames of real samples, compared with the polls they are made from: `cargo bench --bench recording`.
//!
//! ```sh
//! cargo bench --bench recording                # at 10,000 and 100,000 sockets
//! cargo bench --bench recording -- 1000
//! ```
//!
//! The sockets are in a separate network namespace, and closed afterwards. Each second a fiftieth of them is opened and closed, and a fifth
//! sends and receives. A sample is taken each second, and has what `sockscope record` records.

// Benches may panic.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Each bench uses part of it.
#[allow(dead_code)]
#[path = "../examples/sockfarm/farm.rs"]
mod farm;

use farm::{Farm, FarmSpec};
use rustix::time::{ClockId, clock_gettime};
use sockscope::collect::Source;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::frame::{Decoder, Encoder, HEADER_LEN, canonical, head_of};
use sockscope::model::{Sample, Wants};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const INSIDE: &str = "SOCKSCOPE_BENCH_INSIDE";
/// Samples of one size: a key frame every minute, so one in sixty is one.
const SAMPLES: usize = 40;
/// Most connections that send and receive.
const ACTIVE_MAX: usize = 4_000;

fn main() {
    if let Some(result) = farm::run_child() {
        result.unwrap();
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
    let mut sizes: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![10_000, 100_000];
    }
    for n in sizes {
        measure(n);
    }
}

fn measure(n: usize) {
    let active = (n / 10).min(ACTIVE_MAX);
    let mut spec = FarmSpec::new(n.saturating_sub(active * 2));
    (spec.processes, spec.churn) = (10, n / 50);
    let farm = Farm::start(&spec).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let traffic = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || exchange(active, &stop)
    });
    std::thread::sleep(Duration::from_secs(2));
    let mut source = NetlinkSource::new("requested".into()).unwrap();
    let mut encoder = Encoder::new();
    let (mut polls, mut encodes, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut frames, mut samples): (Vec<Vec<u8>>, Vec<Sample>) = (Vec::new(), Vec::new());
    let mut before: Option<Sample> = None;
    for _ in 0..SAMPLES {
        let start = Instant::now();
        let (sample, took) = cpu(|| source.sample(&Wants::recording()).unwrap());
        polls.push(took);
        let (frame, took) = cpu(|| encoder.frame(&sample, before.as_ref()).unwrap());
        encodes.push(took);
        sizes.push(frame.len());
        frames.push(frame);
        if samples.len() < 5 {
            let mut kept = sample.clone();
            canonical(&mut kept);
            samples.push(kept);
        }
        before = Some(sample);
        std::thread::sleep(Duration::from_secs(1).saturating_sub(start.elapsed()));
    }
    stop.store(true, Ordering::Relaxed);
    traffic.join().unwrap();
    drop(farm);
    let mut decoder = Decoder::new();
    let mut decodes = Vec::new();
    for (i, frame) in frames.iter().enumerate() {
        let (header, body) = frame.split_at(HEADER_LEN);
        let head = head_of(header.try_into().unwrap()).unwrap();
        let (sample, took) = cpu(|| decoder.frame(&head, body).unwrap());
        assert!(samples.get(i).is_none_or(|s| s == sample), "sample {i} differs");
        decodes.push(took);
    }
    let ms = |all: &[Duration]| {
        let mut all: Vec<f64> = all.iter().map(|d| d.as_secs_f64() * 1e3).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let mean = |all: &[usize]| all.iter().sum::<usize>() as f64 / all.len() as f64 / 1e3;
    let sockets = before.map_or(0, |s| s.sockets.len());
    // A minute has one key frame and 59 deltas.
    let rate = (sizes[0] as f64 / 1e3 + 59.0 * mean(&sizes[1..])) / 60.0;
    println!("\n## {sockets} sockets\n");
    println!("poll                 {:8.2} ms CPU (median)", ms(&polls[1..]));
    println!("key frame            {:8.2} ms CPU, {:8.1} KB", ms(&encodes[..1]), sizes[0] as f64 / 1e3);
    println!("delta frame          {:8.2} ms CPU, {:8.1} KB", ms(&encodes[1..]), mean(&sizes[1..]));
    println!("recording            {rate:8.1} KB/s at one sample a second");
    println!("delta / poll         {:8.2} x", ms(&encodes[1..]) / ms(&polls[1..]));
    println!("decode key, delta    {:8.2} ms, {:8.2} ms CPU", ms(&decodes[..1]), ms(&decodes[1..]));
}

/// CPU time of this process: the farm and its peers are others.
fn cpu<T>(f: impl FnOnce() -> T) -> (T, Duration) {
    let now = || {
        let t = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
    };
    let began = now();
    let out = f();
    (out, now().saturating_sub(began))
}

/// Connections that send and receive some bytes each second, one after the other.
fn exchange(connections: usize, stop: &AtomicBool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let mut pairs: Vec<(TcpStream, TcpStream)> = (0..connections)
        .map(|_| {
            let client = TcpStream::connect(to).unwrap();
            (client, listener.accept().unwrap().0)
        })
        .collect();
    let mut bytes = [7; 1400];
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        for (i, (client, server)) in pairs.iter_mut().enumerate() {
            let n = 1 + i * 37 % bytes.len();
            client.write_all(&bytes[..n]).unwrap();
            server.read_exact(&mut bytes[..n]).unwrap();
        }
        std::thread::sleep(Duration::from_secs(1).saturating_sub(start.elapsed()));
    }
}
