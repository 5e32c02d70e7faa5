//! Frames of real samples, compared with the polls they are made from, and steps back: `cargo bench --bench recording`.
//!
//! ```sh
//! cargo bench --bench recording                        # at 10,000 and 100,000 sockets
//! cargo bench --bench recording -- 1000
//! cargo bench --bench recording -- 1000 kept.sscope    # keeps the frames
//! cargo bench --bench recording -- kept.sscope         # the same samples again, or those of `sockscope record`
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
use sockscope::derive::Engine;
use sockscope::frame::{Decoder, Encoder, FrameKind, FrameReader, HEADER_LEN, canonical, head_of};
use sockscope::model::{Sample, Snapshot, Wants};
use sockscope::recording::{Moments, Recording, Ring};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const INSIDE: &str = "SOCKSCOPE_BENCH_INSIDE";
/// Samples of one size: a key frame every minute, so the first one of sixty is one.
const SAMPLES: usize = 60;
/// Most connections that send and receive.
const ACTIVE_MAX: usize = 4_000;
/// Samples before a moment from which the dashboard derives it, with at most this many sockets, as in `app::past`.
const HISTORY: [(usize, &[usize]); 2] = [(30_000, &[9, 4, 1, 0]), (usize::MAX, &[1, 0])];

fn main() {
    if let Some(result) = farm::run_child() {
        result.unwrap();
        return;
    }
    let file = std::env::args().skip(1).map(PathBuf::from).find(|a| a.extension().is_some());
    if let Some(file) = file.as_ref().filter(|f| f.exists()) {
        let (frames, kinds) = frames_of(file);
        encode_again(&frames, &kinds);
        decode(&frames, &[]);
        step_back(&frames);
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
        measure(n, file.as_deref());
    }
}

fn measure(n: usize, keep: Option<&Path>) {
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
    let (mut polls, mut encodes) = (Vec::new(), Vec::new());
    let (mut frames, mut samples): (Vec<Vec<u8>>, Vec<Sample>) = (Vec::new(), Vec::new());
    let mut before: Option<Sample> = None;
    for _ in 0..SAMPLES {
        let start = Instant::now();
        let (sample, took) = cpu(|| source.sample(&Wants::recording()).unwrap());
        polls.push(took);
        let (frame, took) = cpu(|| encoder.frame(&sample, before.as_ref()).unwrap());
        encodes.push(took);
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
    println!("\n## {} sockets\n", before.map_or(0, |s| s.sockets.len()));
    println!("poll                 {:8.2} ms CPU (median)", median_ms(&polls[1..]));
    report_encoding(&encodes, &frames);
    println!("delta / poll         {:8.2} x", median_ms(&encodes[1..]) / median_ms(&polls[1..]));
    if let Some(file) = keep {
        fs::write(file, frames.concat()).unwrap();
    }
    decode(&frames, &samples);
    drop(samples);
    step_back(&frames);
}

fn median_ms(all: &[Duration]) -> f64 {
    let mut all: Vec<f64> = all.iter().map(|d| d.as_secs_f64() * 1e3).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

fn report_encoding(took: &[Duration], frames: &[Vec<u8>]) {
    let sizes: Vec<f64> = frames.iter().map(|f| f.len() as f64 / 1e3).collect();
    let mean = sizes[1..].iter().sum::<f64>() / (sizes.len() - 1) as f64;
    // A minute has one key frame and 59 deltas.
    let rate = 59.0_f64.mul_add(mean, sizes[0]) / 60.0;
    println!("key frame            {:8.2} ms CPU, {:8.1} KB", median_ms(&took[..1]), sizes[0]);
    println!("delta frame          {:8.2} ms CPU, {mean:8.1} KB", median_ms(&took[1..]));
    println!("recording            {rate:8.1} KB/s at one sample a second");
}

fn frames_of(file: &Path) -> (Vec<Vec<u8>>, Vec<FrameKind>) {
    let bytes = fs::read(file).unwrap();
    let mut reader = FrameReader::new(&*bytes);
    let (mut frames, mut kinds) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(frame) = reader.read().unwrap() {
        let frame = frame.unwrap();
        let len = HEADER_LEN + frame.body.len();
        if frame.head.kind != FrameKind::End {
            frames.push(bytes[at..at + len].to_vec());
            kinds.push(frame.head.kind);
        }
        at += len;
    }
    (frames, kinds)
}

fn read<'a>(decoder: &'a mut Decoder, frame: &[u8]) -> &'a Sample {
    let (header, body) = frame.split_at(HEADER_LEN);
    decoder.frame(&head_of(header.try_into().unwrap()).unwrap(), body).unwrap()
}

/// Encodes samples that were recorded.
fn encode_again(frames: &[Vec<u8>], kinds: &[FrameKind]) {
    let (mut decoder, mut encoder) = (Decoder::new(), Encoder::new());
    let mut before: Option<Sample> = None;
    let (mut again, mut took) = (Vec::new(), Vec::new());
    for (frame, kind) in frames.iter().zip(kinds) {
        let sample = read(&mut decoder, frame).clone();
        if *kind == FrameKind::Key {
            encoder.restart();
        }
        let (frame, t) = cpu(|| encoder.frame(&sample, before.as_ref()).unwrap());
        again.push(frame);
        took.push(t);
        before = Some(sample);
    }
    println!("\n## {} sockets\n", before.map_or(0, |s| s.sockets.len()));
    report_encoding(&took, &again);
}

/// Decodes frames, the first of which must be these samples.
fn decode(frames: &[Vec<u8>], samples: &[Sample]) {
    let mut decoder = Decoder::new();
    let mut took = Vec::new();
    for (i, frame) in frames.iter().enumerate() {
        let (sample, t) = cpu(|| read(&mut decoder, frame));
        assert!(samples.get(i).is_none_or(|s| s == sample), "sample {i} differs");
        took.push(t);
    }
    println!("decode key, delta    {:8.2} ms, {:8.2} ms CPU", median_ms(&took[..1]), median_ms(&took[1..]));
}

/// Steps of the dashboard in its past: reading the samples, and deriving the snapshot.
fn step_back(frames: &[Vec<u8>]) {
    let mut ring = Ring::new(Duration::from_secs(600), usize::MAX);
    let mut decoder = Decoder::new();
    let mut engine = Engine::new();
    let mut before: Option<Arc<Snapshot>> = None;
    let mut pushes = Vec::new();
    for frame in frames {
        let snap = engine.step(read(&mut decoder, frame).clone());
        let ((), took) = cpu(|| ring.push(&snap, before.as_deref()).unwrap());
        pushes.push(took);
        before = Some(snap);
    }
    println!(
        "push                 {:8.2} ms CPU, {:8.1} KB in memory",
        median_ms(&pushes),
        ring.bytes() as f64 / 1e3
    );
    let sockets = before.as_ref().map_or(0, |s| s.sample.sockets.len());
    drop((engine, before, decoder));
    println!("\nof the last minutes:");
    steps_of(&mut ring, sockets);
    drop(ring);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.sscope");
    fs::write(&file, frames.concat()).unwrap();
    println!("of a recording:");
    steps_of(&mut Recording::open(&file).unwrap(), sockets);
}

/// Steps back from the last moment to the first.
fn steps_of(moments: &mut dyn Moments, sockets: usize) {
    let (mut reads, mut steps, mut walls) = (Vec::new(), Vec::new(), Vec::new());
    let derived_from = HISTORY.iter().find(|(most, _)| sockets <= *most).map_or(HISTORY[1].1, |(_, d)| *d);
    let back = derived_from.first().copied().unwrap_or(0);
    for number in (back..moments.len()).rev() {
        let began = Instant::now();
        let mut engine = Engine::new();
        let mut derived = Duration::ZERO;
        let mut snap = None;
        let ((), took) = cpu(|| {
            let each = &mut |n: usize, sample: &Sample| {
                if derived_from.contains(&(number - n)) {
                    let sample = sample.clone();
                    let (next, took) = cpu(|| engine.step(sample));
                    derived += took;
                    snap = Some(next);
                }
                true
            };
            moments.read(number - back..number + 1, each).unwrap();
        });
        walls.push(began.elapsed());
        reads.push(took.saturating_sub(derived));
        steps.push(derived);
        assert!(snap.is_some());
    }
    for (what, all) in [("first step back", &..1), ("further ones, median", &..reads.len())] {
        let (r, s, w) = (median_ms(&reads[*all]), median_ms(&steps[*all]), median_ms(&walls[*all]));
        println!("{what:<20} {w:8.2} ms: read {r:.2} ms, derive {s:.2} ms CPU");
    }
    walls.sort_unstable();
    let at = |share: usize| walls[(walls.len() - 1) * share / 100].as_secs_f64() * 1e3;
    println!("{:<20} {:8.2} ms, slowest {:.2} ms", "95th percentile", at(95), at(100));
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
