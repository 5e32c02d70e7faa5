//! Samples of a recording by time.

use super::RecordingError;
use super::retention::files;
use super::ring::Moments;
use super::scan::next_head;
use crate::frame::{Checkpoint, Decoder, FrameError, FrameHead, FrameKind, HEADER_LEN};
use crate::model::{Mark, Sample, Stamp, StateCounts};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

/// Place of one sample.
#[derive(Clone, Copy, Debug)]
struct Place {
    file: u32,
    offset: u64,
    head: FrameHead,
    /// Sockets by state, as the summary has them.
    states: Option<StateCounts>,
    /// True if an alert begins with the sample, once it was derived: see [`Mark::alert`].
    alert: Option<bool>,
}

/// One sample of a recording, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Number, from 0.
    pub number: usize,
    /// Time of the sample.
    pub at: Stamp,
}

/// A recording that is read: a file, or a directory of files.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    files: Vec<(PathBuf, File)>,
    places: Vec<Place>,
    decoder: Decoder,
    /// Number of the sample in the decoder.
    decoded: Option<usize>,
    /// Samples after one key frame, by number, from which those that follow are read.
    kept: Vec<(usize, Checkpoint)>,
    /// Bytes that belong to no whole frame.
    skipped: u64,
    /// First reason why a frame was left out.
    refused: Option<FrameError>,
}

/// Most sockets of all samples that are kept: some hundred megabytes.
const KEPT_SOCKETS: u32 = 250_000;
/// Least number of sockets that a sample counts as.
const LEAST_SOCKETS: u32 = 20_000;
/// Least number of samples from one that is kept to the next.
const LEAST_SPACING: usize = 5;
/// Files scanned at once.
const SCANS: usize = 8;

/// A file and the places of its samples.
struct Scan {
    path: PathBuf,
    file: File,
    /// Its samples.
    places: Vec<Place>,
    /// Bytes that belong to no whole frame.
    skipped: u64,
    /// First reason why a frame was left out.
    refused: Option<FrameError>,
}

fn scan(path: &Path) -> Result<Scan, RecordingError> {
    let failed = |e| RecordingError::io("read", path, e);
    let file = File::open(path).map_err(|e| RecordingError::io("open", path, e))?;
    let data = file.metadata().map_err(failed)?;
    if !data.is_file() {
        return Err(failed(io::Error::other("not a regular file")));
    }
    let (mut places, mut refused) = (Vec::new(), None);
    let mut offset = 0;
    while let Some((head, states)) =
        next_head(&file, data.len(), &mut offset, &mut refused).map_err(failed)?
    {
        let body = offset + HEADER_LEN as u64;
        if head.kind != FrameKind::End {
            // The number of the file is that of its place among the others.
            places.push(Place { file: 0, offset: body, head, states, alert: None });
        }
        offset = body + u64::from(head.len);
    }
    Ok(Scan { path: path.to_owned(), file, places, skipped: data.len() - offset.min(data.len()), refused })
}

/// Scans files, several at once: the headers are far from each other, and each one is a wait for the disk.
fn scan_all(paths: &[PathBuf]) -> Result<Vec<Scan>, RecordingError> {
    let threads = paths.len().clamp(1, SCANS);
    let share = |k: usize| -> Vec<(usize, Result<Scan, RecordingError>)> {
        paths.iter().enumerate().skip(k).step_by(threads).map(|(n, path)| (n, scan(path))).collect()
    };
    let share = &share;
    let mut all = thread::scope(|scope| {
        let start = |k| thread::Builder::new().name("scan".into()).spawn_scoped(scope, move || share(k));
        let others: Vec<_> = (1..threads).map(|k| start(k).map_err(|_| k)).collect();
        let mut all = share(0);
        for other in others {
            all.extend(match other {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // No more threads are allowed.
                Err(k) => share(k),
            });
        }
        all
    });
    all.sort_by_key(|(n, _)| *n);
    all.into_iter().map(|(_, scan)| scan).collect()
}

impl Recording {
    /// Opens a recording and reads the times of its samples.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let is_dir = std::fs::metadata(path).map_err(|e| RecordingError::io("open", path, e))?.is_dir();
        let paths = if is_dir {
            files(path)?.into_iter().map(|(path, _)| path).collect()
        } else {
            vec![path.to_owned()]
        };
        let mut out = Self {
            path: path.to_owned(),
            files: Vec::new(),
            places: Vec::new(),
            decoder: Decoder::new(),
            decoded: None,
            kept: Vec::new(),
            skipped: 0,
            refused: None,
        };
        for scan in scan_all(&paths)? {
            let file = out.files.len() as u32;
            out.places.extend(scan.places.into_iter().map(|place| Place { file, ..place }));
            out.skipped += scan.skipped;
            out.refused = out.refused.or(scan.refused);
            out.files.push((scan.path, scan.file));
        }
        if out.places.is_empty() {
            let why = match &out.refused {
                Some(e) => format!(": {e}"),
                None if is_dir => format!(" (files are named as {})", super::file_name(0)),
                None => String::new(),
            };
            return Err(RecordingError::Empty { path: out.path, why });
        }
        Ok(out)
    }

    /// Bytes at the ends of files that belong to no whole frame.
    pub const fn skipped_bytes(&self) -> u64 {
        self.skipped
    }

    /// True if this directory is not the one of any of its files.
    pub fn is_separate(&self, dir: &Path) -> bool {
        let Ok(dir) = std::fs::canonicalize(dir) else { return true };
        let holds = |f: &Path| std::fs::canonicalize(f).is_ok_and(|f| f.parent() == Some(&*dir));
        !self.files.iter().any(|(f, _)| holds(f))
    }

    /// True if all samples are redacted.
    pub fn is_redacted(&self) -> bool {
        self.places.iter().all(|p| p.head.redacted)
    }

    /// Sample by number.
    pub fn moment(&self, number: usize) -> Option<Moment> {
        self.places.get(number).map(|p| Moment { number, at: p.head.at })
    }

    /// Last sample that is not later than a time, nanoseconds since 1970.
    pub fn at(&self, unix_ns: u64) -> Result<Moment, RecordingError> {
        // A clock that was set back makes times that are not sorted.
        let found = self.places.iter().rposition(|p| p.head.at.unix_ns <= unix_ns);
        match found.and_then(|n| self.moment(n)) {
            Some(moment) => Ok(moment),
            None => Err(self.no_moment(format!("at {}", time_text(unix_ns)))),
        }
    }

    /// Numbers of the samples from one time to another, both included, nanoseconds since 1970.
    pub fn between(&self, start: u64, end: u64) -> Result<Range<usize>, RecordingError> {
        let first = self.places.iter().position(|p| p.head.at.unix_ns >= start);
        let last = self.places.iter().rposition(|p| p.head.at.unix_ns <= end);
        match (first, last) {
            (Some(first), Some(last)) if first <= last => Ok(first..last + 1),
            _ => Err(self.no_moment(format!("between {} and {}", time_text(start), time_text(end)))),
        }
    }

    fn no_moment(&self, what: String) -> RecordingError {
        RecordingError::NoMoment {
            what,
            from: time_text(self.places.first().map_or(0, |p| p.head.at.unix_ns)),
            to: time_text(self.places.last().map_or(0, |p| p.head.at.unix_ns)),
        }
    }

    /// Reads a sample.
    pub fn sample(&mut self, number: usize) -> Result<&Sample, RecordingError> {
        self.reach(number, false)
    }

    /// Reads a sample. With `keep` some of those from the key frame to it are kept, for the next step back.
    fn reach(&mut self, number: usize, keep: bool) -> Result<&Sample, RecordingError> {
        let key = self.key_before(number);
        let mut from = match self.decoded {
            Some(last) if (key..=number).contains(&last) => last + 1,
            _ => key,
        };
        let kept = self.kept.iter().rfind(|(n, _)| (key..=number).contains(n));
        if let Some((n, checkpoint)) = kept.filter(|(n, _)| *n >= from) {
            self.decoder.resume(checkpoint);
            (self.decoded, from) = (Some(*n), n + 1);
        }
        let spacing = self.spacing(number);
        // Not while one sample after the other is read.
        let keep = keep && number.saturating_sub(from) >= spacing;
        if keep {
            self.kept.retain(|(n, _)| (key..from).contains(n));
        }
        for n in from..=number {
            self.decoded = None;
            self.decode(n)?;
            self.decoded = Some(n);
            // The key frame itself is read as fast.
            if keep
                && (key + 1..number).contains(&n)
                && (n - key).is_multiple_of(spacing)
                && let Some(checkpoint) = self.decoder.checkpoint()
            {
                self.kept.push((n, checkpoint));
            }
        }
        let missing = || RecordingError::Frame { path: self.path.clone(), source: FrameError::NoKey };
        self.decoder.last().ok_or_else(missing)
    }

    /// Samples from one that is kept to the next, so that all of them have at most [`KEPT_SOCKETS`].
    fn spacing(&self, number: usize) -> usize {
        let sockets = self.places.get(number).and_then(|p| p.states).map_or(LEAST_SOCKETS, |s| s.total());
        let kept = (KEPT_SOCKETS / sockets.max(LEAST_SOCKETS)).max(1) as usize;
        (number - self.key_before(number).min(number)).div_ceil(kept + 1).max(LEAST_SPACING)
    }

    /// Keeps whether an alert begins with a sample. It is not recorded: it depends on the rules of the reader, and on the samples
    /// before.
    pub fn set_alert(&mut self, number: usize, begins: bool) {
        if let Some(place) = self.places.get_mut(number) {
            place.alert = Some(begins);
        }
    }

    /// Numbers of the samples in key frames: those that are read without others.
    pub fn keys(&self) -> impl Iterator<Item = usize> {
        let keys = self.places.iter().enumerate().filter(|(_, p)| p.head.kind == FrameKind::Key);
        keys.map(|(n, _)| n)
    }

    fn key_before(&self, number: usize) -> usize {
        let key = self.places.iter().take(number + 1).rposition(|p| p.head.kind == FrameKind::Key);
        key.unwrap_or(number)
    }

    fn decode(&mut self, number: usize) -> Result<(), RecordingError> {
        let unknown = RecordingError::Frame { path: self.path.clone(), source: FrameError::NoKey };
        let Some(place) = self.places.get(number) else { return Err(unknown) };
        let Some((path, file)) = self.files.get(place.file as usize) else { return Err(unknown) };
        let mut body = vec![0; place.head.len as usize];
        file.read_exact_at(&mut body, place.offset).map_err(|e| RecordingError::io("read", path, e))?;
        let frame = self.decoder.frame(&place.head, &body);
        frame.map_err(|source| RecordingError::Frame { path: path.clone(), source })?;
        Ok(())
    }
}

impl Moments for Recording {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn mark(&self, number: usize) -> Option<Mark> {
        self.places.get(number).map(|p| Mark { at: p.head.at, alert: p.alert, states: p.states })
    }

    fn read(
        &mut self,
        numbers: Range<usize>,
        each: &mut dyn FnMut(usize, &Sample) -> bool,
    ) -> Result<(), RecordingError> {
        for n in numbers.start..numbers.end.min(self.places.len()) {
            match self.reach(n, true) {
                Ok(sample) if !each(n, sample) => break,
                Err(e @ RecordingError::Io { .. }) => return Err(e),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Time as text, UTC, with seconds.
fn time_text(unix_ns: u64) -> String {
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_ns)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Encoder, FrameKind, canonical};
    use crate::recording::{Retention, Writer};
    use crate::testing;
    use std::fs;

    /// Samples a second apart: a socket is gone in each.
    fn samples(n: usize) -> Vec<Sample> {
        let mut sample = testing::many(40).sample;
        (sample.at.boot_ns, sample.at.unix_ns) = (5_000_000_000, 1_777_885_200_000_000_000);
        canonical(&mut sample);
        let next = |s: &mut Sample| {
            let now = s.clone();
            s.at.boot_ns += 1_000_000_000;
            s.at.unix_ns += 1_000_000_000;
            s.sockets.remove(0);
            canonical(s);
            now
        };
        (0..n).map(|_| next(&mut sample)).collect()
    }

    /// Frames of the samples, with a key frame at each of these numbers.
    fn frames(samples: &[Sample], keys: &[usize]) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::new();
        let frame = |(i, s): (usize, &Sample)| {
            if keys.contains(&i) {
                encoder.restart();
            }
            encoder.frame(s, i.checked_sub(1).and_then(|j| samples.get(j))).unwrap()
        };
        samples.iter().enumerate().map(frame).collect()
    }

    fn open(bytes: &[u8]) -> Result<Recording, RecordingError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.sscope");
        fs::write(&file, bytes).unwrap();
        Recording::open(&file)
    }

    /// Samples that can be read, by their number among those written.
    fn readable(recording: &mut Recording, written: &[Sample]) -> Vec<usize> {
        let mut out = Vec::new();
        for n in 0..recording.len() {
            if let Ok(sample) = recording.sample(n) {
                let i = written.iter().position(|w| w.at == sample.at).unwrap();
                assert!(*sample == written[i], "sample {i}");
                out.push(i);
            }
        }
        out
    }

    #[test]
    fn steps_back_start_from_a_sample_that_is_kept() {
        let written = samples(30);
        let mut recording = open(&frames(&written, &[14]).concat()).unwrap();
        for n in [29_usize, 28, 20, 21, 13, 12, 2, 14, 0, 27, 1, 13] {
            let mut read = Vec::new();
            let each = &mut |m: usize, sample: &Sample| {
                assert!(*sample == written[m], "{m}");
                read.push(m);
                true
            };
            Moments::read(&mut recording, n.saturating_sub(1)..n + 1, each).unwrap();
            assert_eq!(read, (n.saturating_sub(1)..=n).collect::<Vec<_>>());
            assert!(recording.kept.len() <= 3 && recording.kept.is_sorted_by_key(|k| k.0), "{n}");
        }
        let numbers = |r: &Recording| r.kept.iter().map(|k| k.0).collect::<Vec<_>>();
        assert_eq!(numbers(&recording), [5, 10]);
        // Reading one after the other keeps nothing.
        let mut recording = open(&frames(&written, &[14]).concat()).unwrap();
        Moments::read(&mut recording, 0..30, &mut |_, _| true).unwrap();
        assert!(recording.kept.is_empty());
    }

    #[test]
    fn every_sample_is_found_in_any_order() {
        let written = samples(9);
        let mut recording = open(&frames(&written, &[4]).concat()).unwrap();
        for n in [8, 0, 5, 4, 3, 3, 1, 7, 2, 6] {
            assert!(*recording.sample(n).unwrap() == written[n], "{n}");
            let mut states = StateCounts::default();
            written[n].sockets.iter().for_each(|s| states.add(s.state));
            assert_eq!(recording.mark(n).unwrap().states, Some(states), "{n}: without reading the sample");
        }
        let first = written[0].at.unix_ns;
        for (ns, want) in [(first, 0), (first + 999_999_999, 0), (first + 1_000_000_000, 1), (u64::MAX, 8)] {
            assert_eq!(recording.at(ns).unwrap().number, want);
        }
        let second = 1_000_000_000;
        for (start, end, want) in [
            (0, u64::MAX, 0..9),
            (first, first, 0..1),
            (first + second, first + 3 * second, 1..4),
            (first + 1, first + second, 1..2),
        ] {
            assert_eq!(recording.between(start, end).unwrap(), want);
        }
        for (start, end) in [(0, first - 1), (first + 9 * second, u64::MAX), (first + 1, first + 2)] {
            let e = recording.between(start, end).unwrap_err().to_string();
            assert!(e.starts_with("no sample between"), "{e}");
        }
        let e = recording.at(first - 1).unwrap_err().to_string();
        assert!(e.contains("recorded: 2026-05-04T09:00:00Z to 2026-05-04T09:00:08Z"), "{e}");
    }

    #[test]
    fn files_of_a_directory_are_read_in_the_order_of_their_names() {
        let written = samples(3 * SCANS + 1);
        let all: Vec<usize> = (0..written.len()).collect();
        let frames = frames(&written, &all);
        let dir = tempfile::tempdir().unwrap();
        for (hour, frame) in (0..).zip(&frames) {
            fs::write(dir.path().join(crate::recording::file_name(hour * 3_600_000_000_000)), frame).unwrap();
        }
        assert_eq!(readable(&mut Recording::open(dir.path()).unwrap(), &written), all);
        fs::create_dir(dir.path().join("2026-05-04T09.sscope")).unwrap();
        assert_eq!(readable(&mut Recording::open(dir.path()).unwrap(), &written), all);
    }

    #[test]
    fn file_cut_anywhere_keeps_its_whole_samples() {
        let written = samples(3);
        let frames = frames(&written, &[]);
        let whole = frames.concat();
        let two = frames[0].len() + frames[1].len();
        for len in 0..whole.len() {
            let want = [frames[0].len(), two].iter().filter(|end| **end <= len).count();
            match open(&whole[..len]) {
                Ok(mut r) => {
                    assert_eq!(readable(&mut r, &written).len(), want, "{len}");
                    assert_eq!(r.skipped_bytes() as usize, len - [0, frames[0].len(), two][want], "{len}");
                }
                Err(e) => assert!(want == 0 && e.to_string().contains("no recorded samples"), "{len}: {e}"),
            }
        }
    }

    #[test]
    fn damage_costs_the_samples_up_to_the_next_key_frame() {
        let written = samples(9);
        let frames = frames(&written, &[3, 6]);
        let start = |i: usize| frames[..i].iter().map(Vec::len).sum::<usize>();
        for bit in (start(4) * 8..start(5) * 8).step_by(37) {
            let mut bytes = frames.concat();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut recording = open(&bytes).unwrap();
            assert_eq!(readable(&mut recording, &written), [0, 1, 2, 3, 6, 7, 8], "bit {bit}");
        }
        // Bytes of something else between two frames.
        let mut bytes = frames[..5].concat();
        bytes.extend_from_slice(b"SsF1 something else SsF1");
        bytes.extend(frames[5..].concat());
        assert_eq!(readable(&mut open(&bytes).unwrap(), &written).len(), 9);
    }

    #[test]
    fn writer_continues_after_a_torn_tail() {
        let written = samples(6);
        let frames = frames(&written, &[3]);
        let dir = tempfile::tempdir().unwrap();
        let write = |range: Range<usize>| {
            let retention = Retention { min_free: 0, ..Retention::default() };
            let mut writer = Writer::open(dir.path(), retention).unwrap();
            for i in range {
                let kind = if i % 3 == 0 { FrameKind::Key } else { FrameKind::Delta };
                writer.write(&frames[i], kind, written[i].at).unwrap();
            }
            writer
        };
        let file = write(0..2);
        assert!(matches!(Writer::open(dir.path(), Retention::default()), Err(RecordingError::Locked(_))));
        drop(file);
        let path = dir.path().join("2026-05-04T09.sscope");
        let mut torn = fs::read(&path).unwrap();
        torn.extend_from_slice(&frames[2][..50]);
        fs::write(&path, &torn).unwrap();
        write(3..6).close().unwrap();
        let mut recording = Recording::open(dir.path()).unwrap();
        assert_eq!(recording.skipped_bytes(), 0);
        assert_eq!(readable(&mut recording, &written), [0, 1, 3, 4, 5]);
    }
}
