//! Names, images and published ports of containers, from the local API sockets of Docker and Podman.
//!
//! A background thread queries the engines with read-only GETs, so that a slow engine delays neither a poll nor the screen;
//! samples have the latest answer. Engines are queried again when a container starts or exits, and every few seconds while
//! there are containers.

mod engine_socket;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod http;
mod response;
#[cfg(test)]
mod tests;

use super::source::{CollectError, Source};
use crate::model::{
    Container, ContainerEngine, FaultKind, FaultSubject, Process, Reads, Sample, Unit, Wants,
};
pub use engine_socket::ENGINE_VARIABLES;
use engine_socket::{EngineSocket, engine_sockets};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Timeout of one engine.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Age up to which an answer is used while there are containers.
const MAX_AGE: Duration = Duration::from_secs(10);
/// Minimum interval between two queries.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Immediate queries for a container that no engine knows.
const ATTEMPTS: u8 = 3;
/// Cgroup paths that are cached.
const CACHED_PATHS: usize = 16_384;

/// Querying of container engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engines {
    /// No: containers are shown by id.
    Off,
    /// Yes, without waiting for the answer in the first sample.
    Later,
    /// Yes; the first sample waits for the answer, up to the timeout of one engine.
    Now,
}

/// Queries to the engines, shared with the thread that makes them.
#[derive(Clone, Debug)]
pub(crate) struct EngineQueries(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// One engine with its latest answer.
#[derive(Debug)]
struct Engine {
    socket: EngineSocket,
    containers: Vec<Container>,
    /// Entries that are not understood.
    odd: usize,
    error: Option<io::Error>,
}

impl Engine {
    fn store(&mut self, answer: io::Result<Answer>) {
        match answer {
            Ok((containers, odd)) => (self.containers, self.odd, self.error) = (containers, odd, None),
            Err(e) => {
                // One that is late still has its containers.
                if e.kind() != io::ErrorKind::TimedOut {
                    (self.containers, self.odd) = (Vec::new(), 0);
                }
                self.error = Some(e);
            }
        }
    }

    /// Kind and reason of an answer that is missing or incomplete.
    fn fault(&self) -> Option<(io::ErrorKind, String)> {
        match &self.error {
            None if self.odd == 0 => None,
            None => Some((io::ErrorKind::InvalidData, format!("{} containers not understood", self.odd))),
            // Not installed, or not running.
            Some(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => None,
            Some(e) => Some((e.kind(), e.to_string())),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// Engines in the order in which they count.
    engines: Vec<Engine>,
    /// Containers of the latest answers.
    containers: Arc<[Container]>,
    /// Engines that have not answered yet: they are not asked again before.
    pending: BTreeSet<EngineSocket>,
    /// The thread was started.
    running: bool,
    /// The first queries are complete.
    answered: bool,
    /// Another round of queries is requested.
    requested: bool,
    /// The source was dropped.
    stopped: bool,
}

impl State {
    /// Takes the answer of one engine.
    fn store(&mut self, socket: &EngineSocket, answer: io::Result<Answer>) {
        self.pending.remove(socket);
        if let Some(engine) = self.engines.iter_mut().find(|e| e.socket == *socket) {
            engine.store(answer);
        }
        self.merge();
    }

    /// Sets the engines to ask; those that are known keep their answer.
    fn set_engines(&mut self, sockets: Vec<EngineSocket>) {
        let mut known = std::mem::take(&mut self.engines);
        let engine = |socket: EngineSocket| match known.iter().position(|e| e.socket == socket) {
            Some(i) => known.swap_remove(i),
            None => Engine { socket, containers: Vec::new(), odd: 0, error: None },
        };
        self.engines = sockets.into_iter().map(engine).collect();
        self.merge();
    }

    /// The containers of all engines; of two with the same id the first one counts.
    fn merge(&mut self) {
        let mut all: Vec<Container> = Vec::new();
        let mut seen = FxHashSet::default();
        for engine in &self.engines {
            all.extend(engine.containers.iter().filter(|c| seen.insert(&*c.id)).cloned());
        }
        if *self.containers != *all {
            self.containers = all.into();
        }
    }

    /// Engines that could not be asked, or not completely, with the reason.
    fn errors(&self) -> impl Iterator<Item = (&Path, io::ErrorKind, String)> {
        self.engines.iter().filter_map(|e| e.fault().map(|(kind, why)| (&*e.socket.path, kind, why)))
    }
}

impl EngineQueries {
    /// No queries are made.
    pub(crate) fn disabled() -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() }))
    }

    /// Starts the thread; waits for the first answer if requested.
    pub(crate) fn start(how: Engines) -> Self {
        let this = Self::disabled();
        if how == Engines::Off {
            return this;
        }
        let shared = Arc::clone(&this.0);
        // Without a thread containers are shown by id.
        let started = std::thread::Builder::new().name("engines".into()).spawn(move || run_queries(&shared));
        this.lock().running = started.is_ok();
        if how == Engines::Now {
            this.wait_for_first();
        }
        this
    }

    /// Waits for the first answer, up to the timeout of one engine.
    pub(crate) fn wait_for_first(&self) {
        let state = self.lock();
        drop(self.0.changed.wait_timeout_while(state, TIMEOUT, |s| s.running && !s.answered));
    }

    /// Containers of the latest answers.
    pub(crate) fn containers(&self) -> Arc<[Container]> {
        Arc::clone(&self.lock().containers)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    fn request(&self) {
        self.lock().requested = true;
        self.0.changed.notify_all();
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Queries the engines on request, until the source is dropped.
fn run_queries(shared: &Arc<Shared>) {
    loop {
        lock(shared).requested = false;
        query_all(shared, engine_sockets());
        std::thread::sleep(MIN_INTERVAL);
        let mut state = lock(shared);
        while !state.requested && !state.stopped {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped {
            return;
        }
    }
}

/// Queries the engines at the same time, each with its own deadline, and publishes each answer when it comes. Returns when
/// all have answered; one that blocks longer than its deadline is left behind.
fn query_all(shared: &Arc<Shared>, sockets: Vec<EngineSocket>) {
    let ask: Vec<EngineSocket> = {
        let mut state = lock(shared);
        state.set_engines(sockets.clone());
        sockets.into_iter().filter(|e| state.pending.insert(e.clone())).collect()
    };
    for socket in ask {
        let (to, asked) = (Arc::clone(shared), socket.clone());
        let publish = move || {
            let answer = query(&asked);
            lock(&to).store(&asked, answer);
            to.changed.notify_all();
        };
        if let Err(e) = std::thread::Builder::new().name("engine".into()).spawn(publish) {
            lock(shared).store(&socket, Err(e));
        }
    }
    let state = lock(shared);
    let late = TIMEOUT + MIN_INTERVAL;
    let waited = shared.changed.wait_timeout_while(state, late, |s| !s.pending.is_empty() && !s.stopped);
    waited.unwrap_or_else(PoisonError::into_inner).0.answered = true;
    shared.changed.notify_all();
}

/// Containers of one engine, and the number of entries that are not understood.
type Answer = (Vec<Container>, usize);

fn query(socket: &EngineSocket) -> io::Result<Answer> {
    let deadline = Instant::now() + TIMEOUT;
    let is_podman = socket.path.ends_with("podman.sock");
    let engine = if is_podman { ContainerEngine::Podman } else { ContainerEngine::Docker };
    let body = http::get(socket, "/containers/json", deadline)?;
    let (mut containers, odd) = response::containers(&body, engine)?;
    if is_podman {
        // Only its own API has pods.
        if let Ok(body) = http::get(socket, "/v4.0.0/libpod/containers/json", deadline) {
            response::add_pods(&body, &mut containers);
        }
    }
    Ok((containers, odd))
}

/// Source that adds the containers known to the engines to the samples of another one.
pub(crate) struct ContainerNames {
    source: Box<dyn Source>,
    queries: EngineQueries,
    /// Container id by cgroup path.
    cgroup_containers: FxHashMap<Box<str>, Option<Box<str>>>,
    /// Queries made for each container that no engine knows.
    attempts: FxHashMap<Box<str>, u8>,
    /// Containers with processes in the previous poll.
    running: Vec<Box<str>>,
    last_query: Instant,
    published: Arc<[Container]>,
}

impl ContainerNames {
    pub(crate) fn new(source: Box<dyn Source>, queries: EngineQueries) -> Self {
        Self {
            source,
            queries,
            cgroup_containers: FxHashMap::default(),
            attempts: FxHashMap::default(),
            running: Vec::new(),
            last_query: Instant::now(),
            published: Arc::default(),
        }
    }

    /// Adds the known containers to the sample, and requests another query if it may find more.
    fn fill(&mut self, sample: &mut Sample) {
        let mut known = self.queries.containers().to_vec();
        let from_engines = known.len();
        let monitored = |p: &Process| Container::from_conmon(&p.info.comm, &p.info.cmdline);
        let by_monitor: Vec<Container> = sample.processes.iter().filter_map(monitored).collect();
        for c in &by_monitor {
            if known.iter().all(|k| k.id != c.id) {
                known.push(c.clone());
            }
        }
        if self.cgroup_containers.len() > CACHED_PATHS {
            self.cgroup_containers.clear();
        }
        if self.attempts.len() > CACHED_PATHS {
            self.attempts.clear();
        }
        let mut running: FxHashSet<&str> = by_monitor.iter().map(|c| &*c.id).collect();
        for path in sample.processes.iter().filter_map(|p| p.info.cgroup.as_deref()) {
            if !self.cgroup_containers.contains_key(path) {
                self.cgroup_containers.insert(path.into(), engine_container(path));
            }
        }
        let by_cgroup = |p: &Process| self.cgroup_containers.get(p.info.cgroup.as_deref()?)?.as_deref();
        running.extend(sample.processes.iter().filter_map(by_cgroup));
        let (mut query, mut nameless) = (false, 0);
        for id in &running {
            if known[..from_engines].iter().any(|k| *k.id == **id) {
                continue;
            }
            let name = known[from_engines..].iter().find(|k| *k.id == **id).and_then(|k| k.name.as_ref());
            nameless += u32::from(name.is_none());
            let attempts = self.attempts.entry((*id).into()).or_default();
            if *attempts < ATTEMPTS && self.last_query.elapsed() >= MIN_INTERVAL || *attempts == 0 {
                *attempts += 1;
                query = true;
            }
        }
        // A container that exited is not kept until the answer is outdated.
        query |=
            sample.wants.reads(Reads::PROCESSES) && self.running.iter().any(|id| !running.contains(&**id));
        if sample.wants.reads(Reads::PROCESSES) {
            self.running = running.iter().map(|id| (*id).into()).collect();
        }
        if query || (from_engines > 0 || !running.is_empty()) && self.last_query.elapsed() > MAX_AGE {
            self.last_query = Instant::now();
            self.queries.request();
        }
        if nameless > 0 {
            for (socket, kind, detail) in self.queries.lock().errors() {
                let denied = kind == io::ErrorKind::PermissionDenied;
                let kind = if denied { FaultKind::NotPermitted } else { FaultKind::Failed };
                sample.faults.add(kind, FaultSubject::Containers, format!("{}: {detail}", socket.display()));
            }
        }
        if *self.published != *known {
            self.published = known.into();
        }
        sample.containers = Arc::clone(&self.published);
    }
}

impl Source for ContainerNames {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        let mut sample = self.source.sample(wants)?;
        self.fill(&mut sample);
        Ok(sample)
    }
}

impl Drop for ContainerNames {
    fn drop(&mut self) {
        self.queries.lock().stopped = true;
        self.queries.0.changed.notify_all();
    }
}

/// Id of the container of this cgroup path, if it may belong to one of the queried engines.
fn engine_container(path: &str) -> Option<Box<str>> {
    use ContainerEngine::{Docker, Podman, Unknown};
    let c = Unit::parse(path).container?;
    matches!(c.engine, Docker | Podman | Unknown).then_some(c.id)
}
