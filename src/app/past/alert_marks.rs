//! Alerts of the moments of a recording, for the time bar and for searches: derived in parts, while nothing else is to be done.
//!
//! They are not recorded. An alert depends on thresholds, and those of the reader apply: `--warn` shows in a recording at once, and
//! one that was made before has its alerts too.
//!
//! The samples in key frames are derived first, each on its own, since one a minute is quick to read. Where another limit is
//! exceeded at the next one, an alert began in between: these minutes come first, then all others, the newest first.

use super::search::{Search, Slice};
use super::{Context, next_alert};
use crate::derive::Engine;
use crate::model::Snapshot;
use crate::recording::{Moments, Recording, RecordingError};
use crate::table::{Identity, LIMITS};
use rustc_hash::FxHashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Least number of samples of a stretch.
const LEAST: usize = 30;
/// Most stretches that are derived in a row, so that what comes before the first of them is read once.
const IN_A_ROW: usize = 10;
/// Stretches before, whose key frames are derived first: what grows slowly has its forecast from them.
const KEYS_BEFORE: usize = 10;
/// Samples just before, which are derived first too: what grows fast has its forecast from them.
const SAMPLES_BEFORE: [usize; 11] = [48, 40, 32, 24, 16, 12, 8, 5, 3, 2, 1];
/// Samples for which a search waits until those in progress come to where it is.
const NEAR: usize = 2 * LEAST;
/// Time that one part of the work takes; the sample that is read then is finished.
const PART: Duration = Duration::from_millis(50);

/// Samples from one key frame to the next.
#[derive(Debug)]
struct Stretch {
    /// Number of the key frame.
    key: usize,
    /// Numbers that are marked: from the one after the key frame to the next key frame.
    numbers: Range<usize>,
    /// Limits that are exceeded in the key frame; `None` before it was read.
    exceeded: Option<FxHashSet<Identity>>,
    /// True if all are marked.
    done: bool,
}

/// Samples that are derived one after the other.
#[derive(Debug)]
struct Run {
    engine: Engine,
    /// Numbers to derive before them, in reverse order.
    before: Vec<usize>,
    /// Numbers to mark.
    numbers: Range<usize>,
}

/// Progress of marking the alerts of a recording.
#[derive(Debug)]
pub(in crate::app) struct AlertMarks {
    stretches: Vec<Stretch>,
    /// Stretches whose key frame was not read, the newest last.
    unread: usize,
    run: Option<Run>,
    is_done: bool,
}

impl AlertMarks {
    /// Nothing is known yet, except that no alert begins with the first sample: there is none before it.
    pub(super) fn new(recording: &mut Recording) -> Self {
        recording.set_alert(0, false);
        let mut keys = vec![0];
        for key in recording.keys() {
            if keys.last().is_some_and(|last| key >= last + LEAST) {
                keys.push(key);
            }
        }
        let last = recording.len().saturating_sub(1);
        let ends = keys.iter().copied().skip(1).chain([last]);
        let stretch = |(&key, end): (&usize, usize)| Stretch {
            key,
            numbers: key + 1..end + 1,
            exceeded: None,
            done: key == end,
        };
        let stretches: Vec<Stretch> = keys.iter().zip(ends).map(stretch).collect();
        Self { unread: stretches.len(), stretches, run: None, is_done: false }
    }

    /// True if every moment is marked.
    pub(super) const fn is_done(&self) -> bool {
        self.is_done
    }

    /// Does a part of the work; true if marks changed.
    pub(super) fn part(
        &mut self,
        recording: &mut Recording,
        context: &Context,
    ) -> Result<bool, RecordingError> {
        let began = Instant::now();
        let mut changed = false;
        while began.elapsed() < PART && !self.is_done {
            // A file that cannot be read is not asked for again.
            changed |= self.step(recording, context).inspect_err(|_| self.is_done = true)?;
        }
        Ok(changed)
    }

    /// Continues a search for the next alert: the moments that are not known in its direction are marked first.
    pub(super) fn search(
        &mut self,
        search: &Search,
        recording: &mut Recording,
        context: &Context,
    ) -> Result<Slice, RecordingError> {
        let (from_ns, forward) = search.place();
        let from = recording.number_at(from_ns);
        let began = Instant::now();
        loop {
            let number = match next_alert(recording, from, forward) {
                None => return Ok(Slice::Nothing),
                Some((number, Some(_))) => return Ok(Slice::Found(number)),
                Some((number, None)) => number,
            };
            if began.elapsed() >= PART {
                let at = recording.mark(number).map_or(from_ns, |m| m.at.unix_ns);
                return Ok(Slice::Searched(at));
            }
            let is_next = |run: &Run| number.checked_sub(run.numbers.start).is_some_and(|n| n < NEAR);
            if self.run.as_ref().is_none_or(|run| run.numbers.end <= number || !is_next(run)) {
                let n = self.stretches.partition_point(|s| s.numbers.end <= number);
                self.run = Some(self.run(n..n + 1, context));
            }
            self.advance(recording, context)?;
        }
    }

    /// Derives one sample; true if marks changed.
    fn step(&mut self, recording: &mut Recording, context: &Context) -> Result<bool, RecordingError> {
        if self.run.is_some() {
            return self.advance(recording, context);
        }
        if let Some(unread) = self.unread.checked_sub(1) {
            self.unread = unread;
            if let Some(stretch) = self.stretches.get_mut(unread) {
                let snap = derive(recording, context, &mut engine(context), stretch.key)?;
                let limits = |snap: &Snapshot| {
                    let rows = snap.alerts.iter().map(|a| a.limit as usize);
                    rows.filter_map(|row| (LIMITS.identity)(snap, row)).collect()
                };
                stretch.exceeded = snap.as_deref().map(limits);
            }
            return Ok(false);
        }
        match self.next_stretches() {
            Some(stretches) => self.run = Some(self.run(stretches, context)),
            None => self.is_done = true,
        }
        Ok(false)
    }

    /// Stretches to mark next.
    fn next_stretches(&self) -> Option<Range<usize>> {
        let begins = |n: &usize| {
            let at = |n: usize| self.stretches.get(n).and_then(|s| s.exceeded.as_ref());
            match (at(*n), at(*n + 1)) {
                (Some(before), Some(after)) => !after.is_subset(before),
                // The last one has no key frame after it.
                _ => true,
            }
        };
        let open = |n: &usize| !self.stretches[*n].done;
        let all = 0..self.stretches.len();
        if let Some(n) = all.clone().filter(open).rfind(begins) {
            return Some(n..n + 1);
        }
        let last = all.rev().find(open)?;
        let first = (0..last).rev().take(IN_A_ROW - 1).take_while(open).last().unwrap_or(last);
        Some(first..last + 1)
    }

    /// The samples to derive for these stretches.
    fn run(&self, stretches: Range<usize>, context: &Context) -> Run {
        let stretches = self.stretches.get(stretches).unwrap_or(&[]);
        let (Some(first), Some(last)) = (stretches.first(), stretches.last()) else {
            return Run { engine: engine(context), before: Vec::new(), numbers: 0..0 };
        };
        let earlier = self.stretches.iter().rev().map(|s| s.key).skip_while(|key| *key > first.key);
        let just_before = SAMPLES_BEFORE.iter().filter_map(|n| first.key.checked_sub(*n));
        let mut before: Vec<usize> = earlier.take(KEYS_BEFORE + 1).chain(just_before).collect();
        before.sort_unstable_by(|a, b| b.cmp(a));
        before.dedup();
        Run { engine: engine(context), before, numbers: first.numbers.start..last.numbers.end }
    }

    /// Derives the next sample of the run; true if marks changed.
    fn advance(&mut self, recording: &mut Recording, context: &Context) -> Result<bool, RecordingError> {
        let Some(run) = &mut self.run else { return Ok(false) };
        if let Some(number) = run.before.pop() {
            derive(recording, context, &mut run.engine, number)?;
            return Ok(false);
        }
        let Some(number) = run.numbers.next() else {
            self.run = None;
            return Ok(false);
        };
        let snap = derive(recording, context, &mut run.engine, number)?;
        let begins = snap.is_some_and(|snap| snap.has_new_alert());
        recording.set_alert(number, begins);
        let whole = self.stretches.iter_mut().find(|s| s.numbers.end == number + 1);
        let is_whole = whole.map(|s| s.done = true).is_some();
        Ok(begins || is_whole)
    }
}

fn engine(context: &Context) -> Engine {
    Engine::new().with_alert_rules(context.rules.clone())
}

/// Snapshot of a moment after those that the engine had; `None` if its frame is damaged.
fn derive(
    recording: &mut Recording,
    context: &Context,
    engine: &mut Engine,
    number: usize,
) -> Result<Option<Arc<Snapshot>>, RecordingError> {
    match recording.sample(number) {
        Ok(sample) => Ok(Some(engine.step(context.complete(sample.clone())))),
        Err(e @ RecordingError::Io { .. }) => Err(e),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Encoder;
    use crate::model::{AlertRules, Hosts, ProtoSet, Sample, Services, Wants};
    use crate::testing;
    use crate::tui::Searched;

    fn context() -> Context {
        Context {
            services: Arc::<Services>::default(),
            hosts: Arc::<Hosts>::default(),
            rules: AlertRules::default(),
            protos: ProtoSet::ALL,
        }
    }

    /// Samples a second apart: a process has nearly all of its descriptors open for a while and then again, another one opens more
    /// and more from the hundredth on.
    fn samples() -> Vec<Sample> {
        let sample = |n: usize| {
            let brief = if (130..140).contains(&n) || n >= 250 { 90 } else { 10 };
            let growing = 300 + 2 * n.saturating_sub(100) as u32;
            let processes = vec![
                testing::process(700, "brief", 33, brief, 100),
                testing::process(812, "growing", 33, growing, 1000),
            ];
            let mut sample = testing::snapshot(vec![], processes, &[]).sample;
            let ns = n as u64 * 1_000_000_000;
            (sample.at.boot_ns, sample.at.unix_ns) = (1_000_000_000_000 + ns, 1_777_885_200_000_000_000 + ns);
            sample.wants = Wants::recording();
            sample
        };
        (0..400).map(sample).collect()
    }

    fn recording(samples: &[Sample]) -> Recording {
        let mut encoder = Encoder::new();
        let before = |i: usize| i.checked_sub(1).and_then(|j| samples.get(j));
        let frames = samples.iter().enumerate().map(|(i, s)| encoder.frame(s, before(i)).unwrap());
        let bytes: Vec<u8> = frames.flatten().collect();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.sscope");
        std::fs::write(&file, bytes).unwrap();
        Recording::open(&file).unwrap()
    }

    /// Numbers of the samples with which an alert begins, of one engine that has all of them.
    fn begins(samples: &[Sample]) -> Vec<usize> {
        let mut engine = engine(&context());
        let begins = |(n, s): (usize, &Sample)| {
            let snap = engine.step(context().complete(s.clone()));
            (n > 0 && snap.has_new_alert()).then_some(n)
        };
        samples.iter().enumerate().filter_map(begins).collect()
    }

    fn searched(marks: &mut AlertMarks, recording: &mut Recording, from: usize, forward: bool) -> Slice {
        let from = recording.mark(from).unwrap().at.unix_ns;
        let search = Search::new(Searched::Alert, forward, None, from);
        loop {
            match marks.search(&search, recording, &context()).unwrap() {
                Slice::Searched(_) => {}
                found => return found,
            }
        }
    }

    #[test]
    fn marks_are_those_of_one_engine_for_all_samples() {
        let samples = samples();
        let wanted = begins(&samples);
        assert!(wanted.len() == 3 && wanted.contains(&130) && wanted.contains(&250), "{wanted:?}");
        let mut recording = recording(&samples);
        let mut marks = AlertMarks::new(&mut recording);
        let known = |r: &Recording| (0..r.len()).filter(|n| r.mark(*n).unwrap().alert.is_some()).count();
        assert_eq!(known(&recording), 1, "the first has nothing before it");
        while !marks.is_done() {
            marks.part(&mut recording, &context()).unwrap();
        }
        assert_eq!(known(&recording), samples.len());
        let marked = |n: &usize| recording.mark(*n).unwrap().alert == Some(true);
        assert_eq!((0..samples.len()).filter(marked).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn minutes_in_which_an_alert_began_come_first() {
        let samples = samples();
        let mut recording = recording(&samples);
        let mut marks = AlertMarks::new(&mut recording);
        let mut order = Vec::new();
        while !marks.is_done() {
            marks.step(&mut recording, &context()).unwrap();
            if let Some(run) = marks.run.as_ref().filter(|run| !run.before.is_empty())
                && order.last() != Some(&run.numbers)
            {
                order.push(run.numbers.clone());
            }
        }
        // The newest, of which it is not known; those in which a threshold was passed and stays so; all others in a row.
        assert_eq!(order, [361..400, 301..361, 241..301, 1..241]);
    }

    #[test]
    fn search_finds_the_next_alert_in_either_direction() {
        let samples = samples();
        let wanted = begins(&samples);
        for (from, forward) in [(399, false), (250, false), (0, true), (131, true), (250, true), (5, false)] {
            let mut recording = recording(&samples);
            let mut marks = AlertMarks::new(&mut recording);
            let next = if forward {
                wanted.iter().find(|n| **n > from)
            } else {
                wanted.iter().rfind(|n| **n < from)
            };
            let wanted = next.map_or(Slice::Nothing, |n| Slice::Found(*n));
            assert_eq!(searched(&mut marks, &mut recording, from, forward), wanted, "{from} {forward}");
        }
    }

    #[test]
    fn recording_of_one_sample_has_no_alert_to_find() {
        let samples = samples();
        let mut recording = recording(&samples[..1]);
        let mut marks = AlertMarks::new(&mut recording);
        assert_eq!(searched(&mut marks, &mut recording, 0, true), Slice::Nothing);
        assert!(!marks.part(&mut recording, &context()).unwrap() && marks.is_done());
    }
}
