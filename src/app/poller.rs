//! The collector thread: samples, steps the engine, sends the newest snapshot. The drawing thread never waits for it.

use super::malloc_tuning::Trimmer;
use super::panic_report;
use super::past::{self, Context, Past, Search, Slice, Sought};
use super::recorder::Beside;
use crate::collect::{CollectError, Source};
use crate::derive::Engine;
use crate::model::{AttrSet, Period, Reads, Shown, Snapshot, Verify, Wants};
use crate::tui::event::Recorded;
use crate::tui::{PastPosition, SeekRequest};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Maximum number of sockets of the first frame, so that it appears at once.
const FIRST_SOCKETS: u32 = 4096;

/// Rows from which two snapshots are held at most: more than 20 MB each.
const LARGE: usize = 100_000;
/// Time for the screen to change to the last snapshot, in steps: sorting a million rows takes a part of a second.
const RELEASE_STEP: Duration = Duration::from_millis(10);
const RELEASE_STEPS: u32 = 200;

/// Messages of the collector thread.
#[derive(Debug)]
pub(super) enum PollEvent {
    /// A new snapshot.
    Fresh(Arc<Snapshot>),
    /// Interval raised to stay within the CPU budget, or back to the configured one.
    EffectiveInterval(Duration),
    /// A poll failed; the next one follows after the interval.
    Failed(String),
    /// A moment of the past that was asked for.
    Past(Arc<Snapshot>, PastPosition),
    /// The recording that is written began, ended, waits for space or continues; for the status line.
    Recording(Recorded, String),
    /// Figures of the moments of a recording, after the alerts of more of them were derived.
    Marks(Arc<[Period]>),
    /// No moment is meant by the request.
    NoMoment,
    /// A search in the past came to this time, nanoseconds since 1970.
    Searching(u64),
    /// The last sample of a recording was sent before; no other follows.
    EndOfRecording,
    /// The thread panicked.
    Panicked(String),
}

/// Locks, also after a panic elsewhere: the state is never left half written.
fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Control {
    wants: Wants,
    /// Rows on screen.
    shown: Arc<Shown>,
    interval: Duration,
    /// Poll without waiting for the interval.
    now: bool,
    /// Requests for the past that were not answered yet.
    seeks: Vec<SeekRequest>,
    /// End a search in the past.
    stop_search: bool,
    /// Moment of a recording after which to continue.
    resume: Option<u64>,
    /// Begin or end writing a recording.
    record: Option<bool>,
    /// A recording is written: its end is waited for.
    records: bool,
    stop: bool,
}

#[derive(Debug)]
struct Shared {
    control: Mutex<Control>,
    changed: Condvar,
}

impl Shared {
    fn change(&self, f: impl FnOnce(&mut Control)) {
        f(&mut lock(&self.control));
        self.changed.notify_one();
    }

    /// Waits until a large snapshot is not shown any more: the previous one, while the rows of the last are sorted. Else three
    /// are held while the next is read. The wait is bounded: a paused screen holds its snapshot.
    fn await_release(&self, shown: &Weak<Snapshot>) {
        let is_large = || shown.upgrade().is_some_and(|s| s.facts.len() >= LARGE);
        let mut c = lock(&self.control);
        for _ in 0..RELEASE_STEPS {
            if c.stop || !is_large() {
                return;
            }
            c = self.changed.wait_timeout(c, RELEASE_STEP).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A running collector thread.
#[derive(Debug)]
pub(super) struct Poller {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Poller {
    /// Starts the thread with an engine without history. The first snapshot omits the owners, so that sockets are on screen at once; the second follows
    /// immediately. `send` is called on the collector thread and returns whether to continue.
    pub(super) fn start(
        mut source: Box<dyn Source>,
        wants: Wants,
        (interval, max_cpu): (Duration, f64),
        (context, past, beside): (Context, Past, Beside),
        engine: Engine,
        mut send: impl FnMut(PollEvent) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            control: Mutex::new(Control {
                wants,
                shown: Arc::default(),
                interval,
                now: true,
                seeks: Vec::new(),
                stop_search: false,
                resume: None,
                record: beside.at_once().then_some(true),
                records: false,
                stop: false,
            }),
            changed: Condvar::new(),
        });
        let inner = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("poller".into()).spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| {
                poll(&inner, source.as_mut(), max_cpu, (context, past, beside), engine, &mut send);
            }));
            if let Err(panic) = result {
                send(PollEvent::Panicked(format!(
                    "the collector thread panicked: {}",
                    panic_report::panic_text(panic.as_ref())
                )));
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Changes what is read; polls at once if that is a change.
    pub(super) fn set_wants(&self, wants: Wants) {
        self.change(|c| {
            if c.wants != wants {
                c.wants = wants;
                c.now = true;
            }
        });
    }

    /// Changes what the next poll checks first.
    pub(super) fn set_shown(&self, shown: Arc<Shown>) {
        self.change(|c| c.shown = shown);
    }

    /// Changes the interval.
    pub(super) fn set_interval(&self, interval: Duration) {
        self.change(|c| c.interval = interval);
    }

    /// Shows a moment of the past.
    pub(super) fn seek(&self, request: SeekRequest) {
        self.change(|c| c.seeks.push(request));
    }

    /// Ends a search in the past.
    pub(super) fn stop_search(&self) {
        self.change(|c| {
            c.seeks.clear();
            c.stop_search = true;
        });
    }

    /// Continues a recording after a moment, nanoseconds since 1970.
    pub(super) fn resume(&self, unix_ns: u64) {
        self.change(|c| c.resume = Some(unix_ns));
    }

    /// Begins or ends writing a recording.
    pub(super) fn record(&self, on: bool) {
        self.change(|c| c.record = Some(on));
    }

    /// Polls at once.
    pub(super) fn refresh(&self) {
        self.change(|c| c.now = true);
    }

    /// Function that polls at once, for another thread.
    pub(super) fn refresher(&self) -> impl FnOnce() + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.change(|c| c.now = true)
    }

    fn change(&self, f: impl FnOnce(&mut Control)) {
        self.shared.change(f);
    }
}

impl Drop for Poller {
    /// Stops the thread without waiting: a running dump ends with the process. A recording gets a moment for its end.
    fn drop(&mut self) {
        self.change(|c| c.stop = true);
        let until = Instant::now() + CLOSE_MAX;
        while lock(&self.shared.control).records
            && self.thread.as_ref().is_some_and(|t| !t.is_finished())
            && Instant::now() < until
        {
            std::thread::sleep(CLOSE_MAX / 50);
        }
        if let Some(t) = self.thread.take()
            && t.is_finished()
        {
            let _ = t.join();
        }
    }
}

/// Time for the end of a recording.
const CLOSE_MAX: Duration = Duration::from_millis(500);

/// Nice value of the collector thread, so that drawing and other processes go first.
const NICE: i32 = 5;

fn poll(
    shared: &Shared,
    source: &mut dyn Source,
    max_cpu: f64,
    (mut context, mut past, mut beside): (Context, Past, Beside),
    mut engine: Engine,
    send: &mut dyn FnMut(PollEvent) -> bool,
) {
    let mut started: Option<Instant> = None;
    let (mut first, mut yielding) = (true, false);
    let mut pace = Pace::new(max_cpu);
    let mut trimmer = Trimmer::default();
    // Time of the moment that was sought last.
    let mut sought = 0;
    // Snapshot that was added to the past last.
    let mut kept: Option<Arc<Snapshot>> = None;
    // Last snapshot, and its predecessor.
    let mut sent: [Weak<Snapshot>; 2] = Default::default();
    // A recording is not played on while a moment of it is shown, and after its end.
    let mut held = false;
    // Search in the past that is under way.
    let mut search: Option<Search> = None;
    // Time before which no alerts of a recording are derived in the background.
    let mut rest_until = Instant::now();
    loop {
        let mut wants = {
            let mut c = lock(&shared.control);
            loop {
                if c.stop {
                    drop(c);
                    // An end that cannot be written is not worth an error.
                    let _ = beside.end();
                    return;
                }
                if let Some(on) = c.record.take() {
                    drop(c);
                    let (state, what) = if on { beside.begin() } else { beside.end() };
                    let event = PollEvent::Recording(state, what);
                    if !send(event) {
                        return;
                    }
                    c = lock(&shared.control);
                    c.records = state != Recorded::Off;
                    continue;
                }
                if let Some(ns) = c.resume.take() {
                    source.resume(ns);
                    (held, search) = (false, None);
                    c.now = true;
                }
                if std::mem::take(&mut c.stop_search) {
                    search = None;
                }
                let due = started.map(|s| s + pace.effective(c.interval));
                let now = Instant::now();
                let is_due = !held && (c.now || due.is_none_or(|due| due <= now));
                let requests = std::mem::take(&mut c.seeks);
                if !requests.is_empty() || (search.is_some() && !is_due) {
                    context.protos = c.wants.protos;
                    drop(c);
                    held |= matches!(past, Past::Recording(..));
                    let result = match &mut search {
                        Some(search) if requests.is_empty() => match past.search(search, &context) {
                            Ok(Slice::Found(number)) => {
                                let moments = past.moments();
                                sought = moments.mark(number).map_or(sought, |m| m.at.unix_ns);
                                past::moment(moments, &context, number, engine.seq())
                            }
                            Ok(Slice::Nothing) => Ok(Sought::Nothing),
                            Ok(Slice::Searched(ns)) if !send(PollEvent::Searching(ns)) => return,
                            Ok(Slice::Searched(_)) => {
                                c = lock(&shared.control);
                                continue;
                            }
                            Err(e) => Err(e),
                        },
                        // A new request ends a search.
                        _ => past::seek(past.moments(), &context, (&requests, &mut sought), engine.seq()),
                    };
                    search = None;
                    let event = match result {
                        Ok(Sought::Moment(snap, position)) => {
                            engine.number_after(snap.seq);
                            Some(PollEvent::Past(snap, position))
                        }
                        Ok(Sought::Nothing) => Some(PollEvent::NoMoment),
                        Ok(Sought::Search(started)) => {
                            search = Some(started);
                            None
                        }
                        Err(e) => Some(PollEvent::Failed(e.to_string())),
                    };
                    if event.is_some_and(|event| !send(event)) {
                        return;
                    }
                    c = lock(&shared.control);
                    continue;
                }
                if held && !past.has_unmarked() {
                    c = shared.changed.wait(c).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                if held && rest_until <= now {
                    drop(c);
                    let event = match past.mark_alerts(&context) {
                        Ok(marks) => marks.map(PollEvent::Marks),
                        Err(e) => Some(PollEvent::Failed(e.to_string())),
                    };
                    if event.is_some_and(|event| !send(event)) {
                        return;
                    }
                    // Half of a core at most.
                    rest_until = Instant::now() + now.elapsed();
                    c = lock(&shared.control);
                    continue;
                }
                let due = if held { Some(rest_until) } else { due };
                match due {
                    Some(due) if (held || !c.now) && due > now => {
                        c = shared
                            .changed
                            .wait_timeout(c, due - now)
                            .unwrap_or_else(PoisonError::into_inner)
                            .0;
                    }
                    _ => break,
                }
            }
            c.now = first && c.wants.reads(Reads::OWNERS);
            Wants { verify: Verify::Shown(Arc::clone(&c.shown)), ..c.wants.clone() }
        };
        shared.await_release(&sent[1]);
        started = Some(Instant::now());
        let cpu_before = cpu_time() + source.cpu_elsewhere();
        if first {
            first = false;
            yielding = true;
            wants = wants.without(Reads::OWNERS | Reads::EVENTS | Reads::DNS);
            // Only what is quick to read.
            wants.needs.attrs = AttrSet::NONE;
            wants.max_sockets = Some(FIRST_SOCKETS);
        }
        let protos = wants.protos;
        let records = beside.is_on() && wants.max_sockets.is_none();
        if records {
            wants = wants.with_recording();
        }
        let (mut rows, mut to_record) = (None, None);
        let event = match source.sample(&wants) {
            Ok(mut sample) => {
                if records {
                    to_record = Some(sample.clone());
                    // Of what is read for the recording alone, the screen shows nothing.
                    sample.retain_protos(protos);
                }
                sample.services = Arc::clone(&context.services);
                sample.hosts = Arc::clone(&context.hosts);
                // The first sample has a part of the sockets only.
                let mut ring = match &mut past {
                    Past::Ring(ring) if sample.wants.max_sockets.is_none() => Some(ring),
                    _ => None,
                };
                let before = kept.take();
                // What cannot be kept is not in the past; the next one is written whole.
                let frame = ring
                    .as_mut()
                    .and_then(|ring| ring.encode(&sample, before.as_deref().map(|s| &s.sample)).ok());
                drop(before);
                let snap = engine.step(sample);
                rows = Some(snap.facts.len());
                let last = std::mem::replace(&mut sent[0], Arc::downgrade(&snap));
                sent[1] = last;
                if let Some(ring) = ring {
                    kept = Some(Arc::clone(&snap));
                    if let Some(frame) = frame {
                        ring.add(frame, &snap);
                    }
                }
                PollEvent::Fresh(snap)
            }
            Err(CollectError::EndOfRecording) => PollEvent::EndOfRecording,
            Err(e) => PollEvent::Failed(e.to_string()),
        };
        held |= matches!(event, PollEvent::EndOfRecording);
        if !send(event) {
            return;
        }
        if let Some((state, what)) = to_record.and_then(|sample| beside.push(sample)) {
            lock(&shared.control).records = state != Recorded::Off;
            if !send(PollEvent::Recording(state, what)) {
                return;
            }
        }
        // The next poll is not yet due, and what shows this one does not wait.
        if let Some(rows) = rows {
            trimmer.after_poll(rows);
        }
        if std::mem::take(&mut yielding) {
            // From the first frame on, keys go first even if polls use every core. `setpriority(2)` is per thread, and threads
            // started from here inherit it. Failure is harmless.
            let _ = rustix::process::setpriority_process(None, NICE);
        }
        let configured = lock(&shared.control).interval;
        if let Some(effective) =
            pace.record((cpu_time() + source.cpu_elsewhere()).saturating_sub(cpu_before), configured)
            && !send(PollEvent::EffectiveInterval(effective))
        {
            return;
        }
    }
}

/// CPU time (user and system) of this process so far.
pub(super) fn cpu_time() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// Poll interval that keeps polling within its CPU budget.
#[derive(Debug)]
struct Pace {
    max_cpu: f64,
    /// Number of polls so far.
    polls: u32,
    /// CPU time of a poll, moving average.
    cost: Duration,
    /// Effective interval that was reported last.
    reported: Option<Duration>,
}

impl Pace {
    /// Polls that fill caches and do not count.
    const WARM_UP: u32 = 2;

    const fn new(max_cpu: f64) -> Self {
        Self { max_cpu, polls: 0, cost: Duration::ZERO, reported: None }
    }

    /// The interval to use for a configured one.
    fn effective(&self, configured: Duration) -> Duration {
        configured
            .max(Duration::try_from_secs_f64(self.cost.as_secs_f64() / self.max_cpu).unwrap_or(configured))
    }

    /// Records the CPU time of a poll; returns the effective interval if it changed.
    fn record(&mut self, took: Duration, configured: Duration) -> Option<Duration> {
        self.polls += 1;
        if self.polls <= Self::WARM_UP {
            return None;
        }
        // Smoothed, so that a single slow poll is forgotten soon.
        self.cost = if self.cost.is_zero() { took } else { (self.cost * 3 + took) / 4 };
        // In steps of 100 ms, as the header shows it.
        let rounded = |d: Duration| Duration::from_millis((d.as_millis() as u64).div_ceil(100) * 100);
        let effective = self.effective(configured);
        let effective = if effective > configured { rounded(effective) } else { configured };
        if self.reported.unwrap_or(configured) == effective {
            return None;
        }
        self.reported = Some(effective);
        Some(effective)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports what each poll is to check first.
    struct Requests(std::sync::mpsc::Sender<Verify>);

    impl Source for Requests {
        fn sample(&mut self, wants: &Wants) -> Result<crate::model::Sample, CollectError> {
            let _ = self.0.send(wants.verify.clone());
            let why = "nothing to read".to_owned();
            Err(CollectError::Unavailable { backend: "test", why })
        }
    }

    #[test]
    fn next_poll_checks_what_the_screen_shows() {
        let (requests, received) = std::sync::mpsc::channel();
        let poller = Poller::start(
            Box::new(Requests(requests)),
            Wants::default(),
            (Duration::from_secs(3600), 1.0),
            (
                Context {
                    services: Arc::default(),
                    hosts: Arc::default(),
                    rules: crate::model::AlertRules::default(),
                    protos: crate::model::ProtoSet::ALL,
                },
                Past::Ring(crate::recording::Ring::new(Duration::ZERO, 0)),
                Beside::default(),
            ),
            Engine::new(),
            |_| true,
        )
        .unwrap();
        let shown = Arc::new(Shown { inodes: vec![7], pids: vec![812] });
        poller.set_shown(Arc::clone(&shown));
        poller.refresh();
        let last = std::iter::from_fn(|| received.recv_timeout(Duration::from_secs(30)).ok());
        assert!(last.take(3).any(|v| v == Verify::Shown(Arc::clone(&shown))));
    }

    #[test]
    fn expensive_polls_raise_the_interval() {
        let (ms, second) = (Duration::from_millis, Duration::from_secs(1));
        let mut p = Pace::new(0.25);
        assert_eq!((p.record(ms(900), second), p.record(ms(900), second)), (None, None), "warm-up");
        assert_eq!(p.effective(second), second);
        assert_eq!(p.record(ms(100), second), None, "a tenth of a core");
        assert_eq!(p.effective(second), second);
        for _ in 0..40 {
            p.record(ms(1000), second);
        }
        assert!(p.effective(second) > ms(3990), "a quarter of a core: {:?}", p.effective(second));
        assert_eq!(p.reported, Some(ms(4000)));
        assert_eq!(p.effective(Duration::from_secs(10)), Duration::from_secs(10), "already longer");
        let back: Vec<Duration> = (0..40).filter_map(|_| p.record(ms(10), second)).collect();
        assert_eq!(back.last(), Some(&second));
        assert!(back.is_sorted_by(|a, b| a > b), "{back:?}");
    }
}
