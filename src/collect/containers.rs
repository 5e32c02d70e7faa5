//! Names, images and published ports of containers, from the local API sockets of Docker and Podman.
//!
//! A background thread queries the engines with read-only GETs, so that a slow engine delays neither a poll nor the screen;
//! samples have the latest answer. Engines are queried again when a container starts or exits, and every few seconds while
//! there are containers.

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
use rustc_hash::{FxHashMap, FxHashSet};
use std::io;
use std::path::{Path, PathBuf};
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

#[derive(Debug, Default)]
struct State {
    /// Containers of the latest answers.
    containers: Arc<[Container]>,
    /// Errors of the latest queries.
    errors: Vec<QueryError>,
    /// The thread was started.
    running: bool,
    /// The first queries are complete.
    answered: bool,
    /// Another round of queries is requested.
    requested: bool,
    /// The source was dropped.
    stopped: bool,
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
fn run_queries(shared: &Shared) {
    loop {
        let (containers, errors) = query_all(&engine_sockets());
        {
            let mut state = lock(shared);
            if *state.containers != *containers {
                state.containers = containers.into();
            }
            (state.errors, state.answered, state.requested) = (errors, true, false);
        }
        shared.changed.notify_all();
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

/// Sockets of possible engines, those of the system first: if two report the same container, the first one counts.
fn engine_sockets() -> Vec<PathBuf> {
    let from_env = |variable: &str| {
        let value = std::env::var(variable).ok()?;
        Some(PathBuf::from(value.strip_prefix("unix://")?))
    };
    let mut out = vec![
        from_env("DOCKER_HOST").unwrap_or_else(|| "/var/run/docker.sock".into()),
        from_env("CONTAINER_HOST").unwrap_or_else(|| "/run/podman/podman.sock".into()),
    ];
    let uid = rustix::process::geteuid();
    let mut users = vec![match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => format!("/run/user/{}", uid.as_raw()).into(),
    }];
    if uid.is_root() {
        users.extend(std::fs::read_dir("/run/user").into_iter().flatten().flatten().map(|e| e.path()));
    }
    for dir in users {
        out.extend([dir.join("docker.sock"), dir.join("podman/podman.sock")]);
    }
    let mut seen = std::collections::BTreeSet::new();
    out.retain(|p| seen.insert(p.clone()));
    out
}

/// A socket that could not be queried.
#[derive(Debug)]
struct QueryError {
    socket: PathBuf,
    kind: io::ErrorKind,
    detail: String,
}

/// Queries the engines at the same time: each has its own deadline.
fn query_all(sockets: &[PathBuf]) -> (Vec<Container>, Vec<QueryError>) {
    let answers: Vec<io::Result<Answer>> = std::thread::scope(|scope| {
        let ask = |socket| std::thread::Builder::new().spawn_scoped(scope, move || query(socket));
        let threads: Vec<_> = sockets.iter().map(|s| ask(s)).collect();
        let join = |t: io::Result<std::thread::ScopedJoinHandle<'_, io::Result<Answer>>>| {
            t?.join().unwrap_or_else(|_| Err(io::Error::other("query failed")))
        };
        threads.into_iter().map(join).collect()
    });
    let mut containers: Vec<Container> = Vec::new();
    let mut errors = Vec::new();
    let mut add_error = |socket: &PathBuf, kind, detail| {
        errors.push(QueryError { socket: socket.clone(), kind, detail });
    };
    for (socket, answer) in sockets.iter().zip(answers) {
        match answer {
            Ok((list, odd)) => {
                for c in list {
                    if containers.iter().all(|k| k.id != c.id) {
                        containers.push(c);
                    }
                }
                if odd > 0 {
                    add_error(socket, io::ErrorKind::InvalidData, format!("{odd} containers not understood"));
                }
            }
            // Not installed, or not running.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {}
            Err(e) => add_error(socket, e.kind(), e.to_string()),
        }
    }
    (containers, errors)
}

/// Containers of one engine, and the number of entries that are not understood.
type Answer = (Vec<Container>, usize);

fn query(socket: &Path) -> io::Result<Answer> {
    let deadline = Instant::now() + TIMEOUT;
    let is_podman = socket.ends_with("podman.sock");
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
            for e in &self.queries.lock().errors {
                let denied = e.kind == io::ErrorKind::PermissionDenied;
                let kind = if denied { FaultKind::NotPermitted } else { FaultKind::Failed };
                sample.faults.add(
                    kind,
                    FaultSubject::Containers,
                    format!("{}: {}", e.socket.display(), e.detail),
                );
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
