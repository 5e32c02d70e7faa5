//! The collecting thread: samples, steps the engine, hands over the newest snapshot.
//!
//! The thread that draws never waits for it.

use crate::collect::Source;
use crate::derive::Engine;
use crate::model::{AlertRules, AttrSet, Hosts, Reads, Services, Snapshot, Wants};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Sockets of a long table that the first frame is made of.
const FIRST_SOCKETS: u32 = 4096;

/// What the poller tells.
#[derive(Debug)]
pub(super) enum News {
    /// A new snapshot.
    Fresh(Arc<Snapshot>),
    /// Polls come this often: more seldom than was asked for, as each takes long.
    Paced(Duration),
    /// A poll failed; the next is tried after the interval.
    Failed(String),
    /// The thread has ended by a fault of this program.
    Broken(String),
}

/// A lock that a panicking thread held is still a lock: what it guards here is whole at any moment.
fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Control {
    wants: Wants,
    interval: Duration,
    /// Poll at once.
    now: bool,
    stop: bool,
}

#[derive(Debug)]
struct Shared {
    control: Mutex<Control>,
    changed: Condvar,
}

/// A running collecting thread.
#[derive(Debug)]
pub(super) struct Poller {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Poller {
    /// Starts it. The first snapshot is made without looking for owners, so that sockets are on the screen at once;
    /// the second follows immediately. `tell` is called on the collecting thread and says whether to go on.
    pub(super) fn start(
        mut source: Box<dyn Source>,
        wants: Wants,
        (interval, max_cpu): (Duration, f64),
        services: Arc<Services>,
        hosts: Arc<Hosts>,
        rules: AlertRules,
        mut tell: impl FnMut(News) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            control: Mutex::new(Control { wants, interval, now: true, stop: false }),
            changed: Condvar::new(),
        });
        let inner = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("poller".into()).spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| {
                poll(&inner, source.as_mut(), max_cpu, &services, &hosts, rules, &mut tell);
            }));
            if let Err(panic) = ended {
                tell(News::Broken(format!("the collecting thread failed: {}", panic_text(panic.as_ref()))));
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks for other things; polls at once when that is a change.
    pub(super) fn set_wants(&self, wants: Wants) {
        self.change(|c| {
            if c.wants != wants {
                c.wants = wants;
                c.now = true;
            }
        });
    }

    /// Changes the time between two polls.
    pub(super) fn set_interval(&self, interval: Duration) {
        self.change(|c| c.interval = interval);
    }

    /// Polls at once.
    pub(super) fn refresh(&self) {
        self.change(|c| c.now = true);
    }

    fn change(&self, f: impl FnOnce(&mut Control)) {
        f(&mut lock(&self.shared.control));
        self.shared.changed.notify_one();
    }
}

impl Drop for Poller {
    /// Asks the thread to end and does not wait: a dump under way ends with the process.
    fn drop(&mut self) {
        self.change(|c| c.stop = true);
        if let Some(t) = self.thread.take()
            && t.is_finished()
        {
            let _ = t.join();
        }
    }
}

/// How nice polls are to the thread that draws, and to the rest of the machine.
const NICE: i32 = 5;

fn poll(
    shared: &Shared,
    source: &mut dyn Source,
    max_cpu: f64,
    services: &Arc<Services>,
    hosts: &Arc<Hosts>,
    rules: AlertRules,
    tell: &mut dyn FnMut(News) -> bool,
) {
    let mut engine = Engine::new().owners_follow().alerting(rules);
    let mut started: Option<Instant> = None;
    let (mut first, mut yielding) = (true, false);
    let mut pace = Pace::new(max_cpu);
    loop {
        let mut wants = {
            let mut c = lock(&shared.control);
            loop {
                if c.stop {
                    return;
                }
                let due = started.map(|s| s + pace.of(c.interval));
                let now = Instant::now();
                match due {
                    Some(due) if !c.now && due > now => {
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
            c.wants.clone()
        };
        started = Some(Instant::now());
        let used = cpu_time();
        if first {
            first = false;
            yielding = true;
            wants = wants.without(Reads::OWNERS);
            // What is quickest to read comes first.
            wants.needs.attrs = AttrSet::NONE;
            wants.at_most = Some(FIRST_SOCKETS);
        }
        let news = match source.sample(&wants) {
            Ok(mut sample) => {
                sample.services = Arc::clone(services);
                sample.hosts = Arc::clone(hosts);
                News::Fresh(engine.step(sample))
            }
            Err(e) => News::Failed(e.to_string()),
        };
        if !tell(news) {
            return;
        }
        if std::mem::take(&mut yielding) {
            // From the first frame on keys go first, also where polls take every core: this thread (`setpriority(2)` is by
            // thread) and those it starts. Where that is refused nothing is lost.
            let _ = rustix::process::setpriority_process(None, NICE);
        }
        let asked = lock(&shared.control).interval;
        if let Some(real) = pace.polled(cpu_time().saturating_sub(used), asked)
            && !tell(News::Paced(real))
        {
            return;
        }
    }
}

/// User and system time of this process so far.
fn cpu_time() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// How often it is polled, so that polls take no more than their share.
#[derive(Debug)]
struct Pace {
    max_cpu: f64,
    /// Polls so far.
    polls: u32,
    /// What a poll takes.
    takes: Duration,
    told: Option<Duration>,
}

impl Pace {
    /// The first polls find out what later ones know: they say nothing.
    const FIRST: u32 = 2;

    const fn new(max_cpu: f64) -> Self {
        Self { max_cpu, polls: 0, takes: Duration::ZERO, told: None }
    }

    /// The time between two polls, where this was asked for.
    fn of(&self, asked: Duration) -> Duration {
        asked.max(Duration::try_from_secs_f64(self.takes.as_secs_f64() / self.max_cpu).unwrap_or(asked))
    }

    /// A poll took this much; what to tell where the time between two is another now.
    fn polled(&mut self, took: Duration, asked: Duration) -> Option<Duration> {
        self.polls += 1;
        if self.polls <= Self::FIRST {
            return None;
        }
        // One that took long by chance is forgotten soon.
        self.takes = if self.takes.is_zero() { took } else { (self.takes * 3 + took) / 4 };
        // As it is shown: in tenths of a second.
        let shown = |d: Duration| Duration::from_millis((d.as_millis() as u64).div_ceil(100) * 100);
        let real = self.of(asked);
        let real = if real > asked { shown(real) } else { asked };
        if self.told.unwrap_or(asked) == real {
            return None;
        }
        self.told = Some(real);
        Some(real)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_done_less_often() {
        let (ms, second) = (Duration::from_millis, Duration::from_secs(1));
        let mut p = Pace::new(0.25);
        assert_eq!((p.polled(ms(900), second), p.polled(ms(900), second)), (None, None), "the first ones");
        assert_eq!(p.of(second), second);
        assert_eq!(p.polled(ms(100), second), None, "a tenth of a core");
        assert_eq!(p.of(second), second);
        for _ in 0..40 {
            p.polled(ms(1000), second);
        }
        assert!(p.of(second) > ms(3990), "a quarter of a core: {:?}", p.of(second));
        assert_eq!(p.told, Some(ms(4000)));
        assert_eq!(p.of(Duration::from_secs(10)), Duration::from_secs(10), "asked for more seldom");
        let back: Vec<Duration> = (0..40).filter_map(|_| p.polled(ms(10), second)).collect();
        assert_eq!(back.last(), Some(&second));
        assert!(back.is_sorted_by(|a, b| a > b), "{back:?}");
    }
}
