//! Hosts of the dashboard: each is polled by a thread of its own, and another thread merges their last snapshots.
//!
//! No host waits for another: one that is stalled, gone or hostile keeps its last snapshot, with the reason.

use super::fleet::{BACKOFF, CONNECT, Connection};
use super::fleet_asks::FleetAsks;
use super::panic_report;
use crate::collect::remote::{Remote, RemoteEnd, SshCommand};
use crate::derive::Engine;
use crate::derive::host_peers::{self, JoinedHost};
use crate::model::snapshot::{HostState, RemoteHost, Viewer};
use crate::model::{AlertRules, Hosts, Sample, Services, Snapshot, Stamp, StateCounts, Wants};
use crate::tui::event::{AskedHost, HostAsk, HostReply};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two looks at whether to go on while an answer is waited for.
const SLICE: Duration = Duration::from_millis(100);
/// Time beyond twice the interval after which an answer is late.
const GRACE: Duration = Duration::from_secs(2);
/// Time without an answer after which a host is connected again.
const STALLED: Duration = Duration::from_secs(60);
/// Time between two merges while a host is late: its age is shown.
const TICK: Duration = Duration::from_secs(1);
/// Longest time for which a merge waits for the answers of the other hosts.
const GATHER: Duration = Duration::from_millis(300);
/// Fewest events of earlier polls that are kept of each host.
const EVENTS_KEPT: usize = 500;

/// Requests to all hosts.
struct Control {
    wants: Wants,
    interval: Duration,
    /// Number of requests to poll at once.
    asked: u64,
    stop: bool,
}

/// Last answer of a host.
struct Post {
    snap: Arc<Snapshot>,
    /// Time of the last answer.
    answered: Option<Instant>,
    /// Time since which the first answer is waited for.
    since: Instant,
    /// Reason for which the connection ended, and whether the host refused it.
    end: Option<RemoteEnd>,
    clock_s: i64,
    /// It has an answer that was not merged yet.
    fresh: bool,
}

impl Post {
    fn new(name: &Arc<str>, now: Instant) -> Self {
        let snap = Arc::new(Snapshot::unanswered(Arc::clone(name)));
        Self { snap, answered: None, since: now, end: None, clock_s: 0, fresh: false }
    }

    /// State at a time, and the reason.
    fn state(&self, now: Instant, interval: Duration) -> (HostState, String) {
        let age = self.answered.map(|t| now.saturating_duration_since(t));
        match (&self.end, age) {
            (Some(end), _) if end.refused => (HostState::Refused, end.why.clone()),
            (Some(end), _) => (HostState::Gone, end.why.clone()),
            (None, None) => (HostState::Connecting, String::new()),
            (None, Some(age)) if age > interval * 2 + GRACE => (HostState::Slow, "no answer".to_owned()),
            (None, Some(_)) => (HostState::Up, String::new()),
        }
    }

    fn host(&self, name: &Arc<str>, now: Instant, interval: Duration) -> RemoteHost {
        let (state, reason) = self.state(now, interval);
        RemoteHost {
            name: Arc::clone(name),
            state,
            reason,
            age_s: now.saturating_duration_since(self.answered.unwrap_or(self.since)).as_secs(),
            clock_s: self.clock_s,
            is_new: self.fresh,
            snap: Arc::clone(&self.snap),
        }
    }
}

struct Shared {
    control: Mutex<Control>,
    changed: Condvar,
    posts: Mutex<Vec<Post>>,
    posted: Condvar,
    asks: FleetAsks,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn change(&self, f: impl FnOnce(&mut Control)) {
        f(&mut lock(&self.control));
        self.changed.notify_all();
    }

    fn post(&self, host: usize, f: impl FnOnce(&mut Post)) {
        if let Some(post) = lock(&self.posts).get_mut(host) {
            f(post);
        }
        self.posted.notify_one();
    }

    fn is_stopped(&self) -> bool {
        lock(&self.control).stop
    }

    /// Waits until then, or until a poll is asked for that is not the one of this number; `None` at the end.
    fn wait(&self, until: Instant, asked: Option<u64>) -> Option<()> {
        let mut c = lock(&self.control);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if c.stop {
                return None;
            }
            if left.is_zero() || asked.is_some_and(|n| n != c.asked) {
                return Some(());
            }
            c = self.changed.wait_timeout(c, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Settings that snapshots of all hosts have in common.
#[derive(Clone)]
pub(super) struct Common {
    /// Port names.
    pub(super) services: Arc<Services>,
    /// Host names of addresses.
    pub(super) names: Arc<Hosts>,
    /// Alert thresholds.
    pub(super) rules: AlertRules,
    /// Events of earlier polls that are kept, of all hosts together.
    pub(super) events_kept: usize,
}

/// Running threads of all hosts.
pub(super) struct FleetPoller(Arc<Shared>);

impl FleetPoller {
    /// Starts the threads. `send` is called with each merged snapshot and returns whether to go on, `on_reply` with each reply to a
    /// question, from any thread.
    pub(super) fn start(
        connection: &Connection,
        interval: Duration,
        common: &Common,
        send: impl FnMut(Snapshot) -> bool + Send + 'static,
        on_reply: impl Fn(AskedHost, HostReply) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let names = connection.names.clone();
        let now = Instant::now();
        let shared = Arc::new(Shared {
            control: Mutex::new(Control { wants: Wants::default(), interval, asked: 0, stop: false }),
            changed: Condvar::new(),
            posts: Mutex::new(names.iter().map(|name| Post::new(name, now)).collect()),
            posted: Condvar::new(),
            asks: FleetAsks::new(&names, on_reply),
        });
        let kept = (common.events_kept / names.len().max(1))
            .clamp(EVENTS_KEPT.min(common.events_kept), common.events_kept);
        for (index, name) in names.iter().enumerate() {
            let mut host = Host {
                index,
                name: Arc::clone(name),
                ssh: connection.ssh.clone(),
                shared: Arc::clone(&shared),
                common: Common { events_kept: kept, ..common.clone() },
            };
            std::thread::Builder::new().name("fleet-host".into()).spawn(move || host.run())?;
        }
        let (inner, common) = (Arc::clone(&shared), common.clone());
        std::thread::Builder::new()
            .name("fleet".into())
            .spawn(move || merge(&inner, &names, &common, send))?;
        Ok(Self(shared))
    }

    /// Changes what is read; polls at once if that is a change.
    pub(super) fn set_wants(&self, wants: Wants) {
        self.0.change(|c| {
            if c.wants != wants {
                c.wants = wants;
                c.asked += 1;
            }
        });
    }

    /// Changes the interval.
    pub(super) fn set_interval(&self, interval: Duration) {
        self.0.change(|c| c.interval = interval);
    }

    /// Asks a host.
    pub(super) fn ask(&self, asked: AskedHost, ask: &HostAsk) {
        self.0.asks.ask(asked, ask);
    }

    /// Polls all hosts at once.
    pub(super) fn refresh(&self) {
        self.0.change(|c| c.asked += 1);
    }
}

impl Drop for FleetPoller {
    /// Ends the threads without waiting for them: commands of `ssh` end with their standard input.
    fn drop(&mut self) {
        self.0.change(|c| c.stop = true);
        self.0.posted.notify_one();
    }
}

/// One host with its thread.
struct Host {
    index: usize,
    name: Arc<str>,
    ssh: SshCommand,
    shared: Arc<Shared>,
    common: Common,
}

impl Host {
    /// Connects and polls, and connects again later and later after the connection ended.
    fn run(&mut self) {
        let mut pause = BACKOFF[0];
        loop {
            // What a hostile agent makes of this thread stays in it.
            let served = catch_unwind(AssertUnwindSafe(|| self.serve(&mut pause)));
            let end = match served {
                Ok(None) => return,
                Ok(Some(end)) => end,
                Err(panic) => RemoteEnd {
                    why: format!(
                        "the thread of this host panicked: {}",
                        panic_report::panic_text(panic.as_ref())
                    ),
                    refused: false,
                },
            };
            self.shared.asks.set(self.index, Err(end.why.clone()));
            self.shared.post(self.index, |post| (post.end, post.fresh) = (Some(end), true));
            if self.shared.wait(Instant::now() + pause, None).is_none() {
                return;
            }
            pause = (pause * 2).min(BACKOFF[1]);
        }
    }

    /// Polls until the connection ends; `None` if the dashboard ends first.
    fn serve(&self, pause: &mut Duration) -> Option<RemoteEnd> {
        let lost = |why: String| Some(RemoteEnd { why, refused: false });
        let (shared, index) = (Arc::clone(&self.shared), self.index);
        let on_reply = move |number, reply| shared.asks.replied(index, number, reply);
        let mut remote = match Remote::start_asked(&self.ssh, &self.name, on_reply) {
            Ok(remote) => remote,
            Err(e) => return lost(format!("start a thread: {e}")),
        };
        self.shared.asks.set(self.index, Ok(remote.asker()));
        let mut engine = Engine::new()
            .with_alert_rules(self.common.rules.clone())
            .with_events_kept(self.common.events_kept);
        let mut has_answered = false;
        loop {
            let (wants, interval, number) = {
                let c = lock(&self.shared.control);
                (c.wants.clone(), c.interval, c.asked)
            };
            remote.ask(&wants);
            let asked = Instant::now();
            let limit = if has_answered { STALLED } else { CONNECT };
            let sample = loop {
                match remote.answer(Instant::now() + SLICE) {
                    Some(Ok(sample)) => break sample,
                    Some(Err(end)) => return Some(end),
                    None if self.shared.is_stopped() => return None,
                    None if asked.elapsed() > limit => {
                        return lost(format!("no answer within {} s", limit.as_secs()));
                    }
                    None => {}
                }
            };
            (*pause, has_answered) = (BACKOFF[0], true);
            self.take(sample, &mut engine);
            self.shared.wait(asked + interval, Some(number))?;
        }
    }

    /// Derives the snapshot of a sample and posts it.
    fn take(&self, mut sample: Sample, engine: &mut Engine) {
        sample.host = Arc::clone(&self.name);
        sample.services = Arc::clone(&self.common.services);
        sample.hosts = Arc::clone(&self.common.names);
        let theirs = i128::from(sample.at.unix_ns);
        let clock_s = (theirs - i128::from(now().unix_ns)) / 1_000_000_000;
        let snap = engine.step(sample);
        self.shared.post(self.index, |post| {
            let since = post.since;
            *post = Post {
                snap,
                answered: Some(Instant::now()),
                since,
                end: None,
                clock_s: i64::try_from(clock_s).unwrap_or(0),
                fresh: true,
            };
        });
    }
}

/// Time by the clocks of this machine.
fn now() -> Stamp {
    let ns = |id| {
        let t = rustix::time::clock_gettime(id);
        (t.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(t.tv_nsec as u64)
    };
    Stamp { boot_ns: ns(rustix::time::ClockId::Boottime), unix_ns: ns(rustix::time::ClockId::Realtime) }
}

/// Joins the connections between hosts.
fn join(hosts: &[RemoteHost], interval: Duration) {
    // A host in time can have answered that long ago.
    let in_time_s = (interval * 2 + GRACE).as_secs();
    let joined = hosts.iter().map(|h| JoinedHost {
        snap: Arc::clone(&h.snap),
        late_s: if h.is_late() { h.age_s.saturating_sub(in_time_s) } else { 0 },
    });
    host_peers::join(&joined.collect::<Vec<_>>());
}

/// Merges the last snapshots whenever hosts have answered, and every second while one is late.
fn merge(shared: &Shared, names: &[Arc<str>], common: &Common, mut send: impl FnMut(Snapshot) -> bool) {
    let label: Arc<str> = match names {
        [one] => Arc::clone(one),
        _ => format!("{} hosts", names.len()).into(),
    };
    let mut history: Arc<Vec<(Stamp, StateCounts)>> = Arc::default();
    let mut states: Vec<HostState> = Vec::new();
    let mut fresh_since: Option<Instant> = None;
    let mut merged_at: Option<Instant> = None;
    for seq in 1.. {
        let mut posts = lock(&shared.posts);
        let (hosts, interval): (Vec<RemoteHost>, Duration) = loop {
            if shared.is_stopped() {
                return;
            }
            let interval = lock(&shared.control).interval;
            let now = Instant::now();
            let hosts: Vec<RemoteHost> =
                posts.iter().zip(names).map(|(post, name)| post.host(name, now, interval)).collect();
            if posts.iter().any(|p| p.fresh) {
                fresh_since.get_or_insert(now);
            }
            let awaited = posts.iter().zip(&hosts).any(|(p, h)| !p.fresh && !h.is_late());
            let gathered =
                fresh_since.is_some_and(|t| !awaited || now.saturating_duration_since(t) >= GATHER);
            let changed = hosts.iter().map(|h| h.state).ne(states.iter().copied());
            let ticked = merged_at.is_none_or(|t| now.saturating_duration_since(t) >= TICK);
            if gathered || changed || (ticked && hosts.iter().any(RemoteHost::is_late)) {
                break (hosts, interval);
            }
            let pause = if fresh_since.is_some() { GATHER / 4 } else { TICK };
            posts = shared.posted.wait_timeout(posts, pause).unwrap_or_else(PoisonError::into_inner).0;
        };
        // Ages alone do not make a point of the history.
        let is_round = fresh_since.take().is_some();
        posts.iter_mut().for_each(|p| p.fresh = false);
        drop(posts);
        states = hosts.iter().map(|h| h.state).collect();
        merged_at = Some(Instant::now());
        let viewer = Viewer {
            seq,
            at: now(),
            label: Arc::clone(&label),
            wants: lock(&shared.control).wants.clone(),
            services: Arc::clone(&common.services),
            names: Arc::clone(&common.names),
            history: Arc::clone(&history),
        };
        if hosts.iter().any(|h| h.is_new) && host_peers::is_wanted(&viewer.wants) {
            join(&hosts, interval);
        }
        let snap = Snapshot::merge(viewer, hosts);
        if is_round {
            history = Arc::clone(&snap.history);
        }
        if !send(snap) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_late_after_twice_the_interval_and_a_grace() {
        let start = Instant::now();
        let (second, after) = (Duration::from_secs(1), |s| start + Duration::from_secs(s));
        let mut post = Post::new(&"web-1".into(), start);
        assert_eq!(post.state(after(100), second).0, HostState::Connecting);
        post.answered = Some(start);
        assert_eq!(post.state(after(4), second).0, HostState::Up);
        assert_eq!(post.state(after(5), second).0, HostState::Slow);
        assert_eq!(post.state(after(5), second * 2).0, HostState::Up);
        post.end = Some(RemoteEnd { why: "the agent ended".into(), refused: false });
        let host = post.host(&"web-1".into(), after(9), second);
        assert_eq!((host.state, host.age_s, &*host.reason), (HostState::Gone, 9, "the agent ended"));
        post.end = Some(RemoteEnd { why: "no sockscope there".into(), refused: true });
        assert_eq!(post.state(after(9), second).0, HostState::Refused);
    }
}
