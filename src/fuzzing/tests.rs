use super::*;
use std::fs;
use std::path::{Path, PathBuf};

/// Changed copies of the seeds that are run of each target.
const CHANGED: u64 = 64;

fn fuzz_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The seeds of a target, in the order of their names.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let dir =
        fs::read_dir(fuzz_dir().join("seeds").join(name)).unwrap_or_else(|e| panic!("seeds of {name}: {e}"));
    let mut files: Vec<PathBuf> = dir.map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().map(|f| fs::read(f).unwrap()).collect()
}

/// Pseudo-random numbers, the same in every run (`xorshift64*`).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }

    /// A copy with a few changes: bytes set, removed, repeated, cut.
    fn changed(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut out = seed.to_vec();
        for _ in 0..=self.below(6) {
            let (at, end) = (self.below(out.len()), self.below(out.len()));
            match self.below(6) {
                0 if !out.is_empty() => out[at] = self.below(256) as u8,
                1 if !out.is_empty() => out[at] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b'0', b'-'][self.below(8)],
                2 => out.truncate(at),
                3 => drop(out.drain(at.min(end)..at.max(end).min(at.min(end) + 64))),
                4 => {
                    let part = out[at.min(end)..at.max(end).min(at.min(end) + 64)].to_vec();
                    out.splice(at..at, part);
                }
                _ => out.insert(at, self.below(256) as u8),
            }
        }
        out
    }
}

#[test]
fn seeds_and_changed_seeds_are_decoded_without_a_panic() {
    std::thread::scope(|scope| {
        for t in TARGETS {
            scope.spawn(move || {
                let seeds = seeds(t.name);
                assert!(!seeds.is_empty(), "{} has no seeds", t.name);
                let mut random = Random(0x9e37_79b9_7f4a_7c15);
                for i in 0..seeds.len() as u64 + CHANGED {
                    let seed = &seeds[i as usize % seeds.len()];
                    let input = if i < seeds.len() as u64 { seed.clone() } else { random.changed(seed) };
                    let done = std::panic::catch_unwind(|| (t.run)(&input));
                    assert!(done.is_ok(), "{}: {:?}", t.name, input.escape_ascii().to_string());
                }
            });
        }
    });
}

#[test]
fn fuzz_programs_and_seeds_are_those_of_the_targets() {
    let mut names: Vec<&str> = TARGETS.iter().map(|t| t.name).collect();
    let manifest = fs::read_to_string(fuzz_dir().join("Cargo.toml")).unwrap();
    let programs: Vec<&str> = manifest
        .split("[[bin]]")
        .skip(1)
        .filter_map(|b| b.split_once("name = \"")?.1.split('"').next())
        .collect();
    assert_eq!(programs, names);
    let dirs = fs::read_dir(fuzz_dir().join("seeds")).unwrap();
    let mut dirs: Vec<String> = dirs.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    dirs.sort();
    names.sort_unstable();
    assert_eq!(dirs, names);
}

/// Samples of the smallest scenario with everything in them.
fn scenario_samples(n: usize) -> Vec<crate::model::Sample> {
    use crate::collect::Source;
    use crate::collect::scenario::{Scenario, ScenarioSource};
    let mut source = ScenarioSource::new(Scenario::named("small").unwrap());
    let sample = |_| {
        let mut sample = source.sample(&Wants::recording()).unwrap();
        crate::frame::canonical(&mut sample);
        sample
    };
    (0..n).map(sample).collect()
}

/// The seeds of frames are frames of today. `SOCKSCOPE_WRITE_SEEDS=1` writes them.
#[test]
fn seeds_of_frames_are_read() {
    let samples = scenario_samples(4);
    let file = |target: &str| fuzz_dir().join("seeds").join(target).join("small");
    if std::env::var_os("SOCKSCOPE_WRITE_SEEDS").is_some() {
        let mut encoder = crate::frame::Encoder::new();
        let frame = |(i, s): (usize, &crate::model::Sample)| {
            encoder.frame(s, i.checked_sub(1).map(|j| &samples[j])).unwrap()
        };
        let stream = samples.iter().enumerate().map(frame).collect::<Vec<_>>().concat();
        for (target, bytes) in [("frame_payload", crate::frame::payloads(&samples)), ("frame_stream", stream)]
        {
            fs::create_dir_all(file(target).parent().unwrap()).unwrap();
            fs::write(file(target), bytes).unwrap();
        }
    }
    let read = crate::frame::from_payloads(&fs::read(file("frame_payload")).unwrap());
    assert_eq!(read.len(), samples.len());
    let stream = fs::read(file("frame_stream")).unwrap();
    let mut frames = crate::frame::Frames::new(&*stream);
    for (i, want) in samples.iter().enumerate() {
        let got = frames.sample().unwrap().unwrap().unwrap();
        assert!(got.sockets == want.sockets && got.processes == want.processes, "sample {i}");
    }
    assert_eq!(frames.skipped(), crate::frame::Skipped::default());
}
