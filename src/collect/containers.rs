//! Names, images and published ports of containers, as the engines tell them on their local sockets.
//!
//! Asked on a thread of its own with read-only GETs, so that neither a poll nor the screen waits for an engine that is
//! slow; what was told last is what samples carry. They are asked again when a container appears that none of them has
//! named, and now and then while there are any.

mod answer;
mod http;
#[cfg(test)]
mod tests;

use super::{CollectError, Source};
use crate::model::{
    Container, ContainerEngine, FaultKind, FaultSubject, Process, Reads, Sample, Unit, Wants,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long one engine may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How old an answer may be while there are containers.
const AGE: Duration = Duration::from_secs(10);
/// The least time between two questions.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a container that no engine names is asked for at once.
const TRIES: u8 = 3;
/// Most paths of control groups that are remembered.
const PATHS: usize = 16_384;
/// Whether the engines are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engines {
    /// They are not: containers have their ids.
    Off,
    /// They are, and the first sample does not wait for their answer.
    Later,
    /// They are, and the first sample has their answer, if it comes soon.
    Now,
}

/// A conversation with the engines, shared with the thread that leads it.
#[derive(Clone, Debug)]
pub(crate) struct Asked(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The last answers.
    told: Arc<[Container]>,
    /// The sockets that did not answer, and why.
    refused: Vec<(PathBuf, io::ErrorKind, String)>,
    /// There is a thread that asks.
    asking: bool,
    answered: bool,
    ask: bool,
    ended: bool,
}

impl Asked {
    /// Nobody is asked.
    pub(crate) fn nobody() -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() }))
    }

    /// Starts to ask; waits for the first answer where that is wanted.
    pub(crate) fn start(how: Engines) -> Self {
        let this = Self::nobody();
        if how == Engines::Off {
            return this;
        }
        let shared = Arc::clone(&this.0);
        // Without a thread nobody is asked, and ids stand for names.
        let started = std::thread::Builder::new().name("engines".into()).spawn(move || lead(&shared));
        this.lock().asking = started.is_ok();
        if how == Engines::Now {
            this.wait();
        }
        this
    }

    /// Waits for the first answer, not longer than one engine may take.
    pub(crate) fn wait(&self) {
        let state = self.lock();
        drop(self.0.changed.wait_timeout_while(state, TIMEOUT, |s| s.asking && !s.answered));
    }

    /// What the engines said last.
    pub(crate) fn told(&self) -> Arc<[Container]> {
        Arc::clone(&self.lock().told)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    fn again(&self) {
        self.lock().ask = true;
        self.0.changed.notify_all();
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks whenever that is wanted, until nobody is interested any more.
fn lead(shared: &Shared) {
    loop {
        let (told, refused) = ask_all(&sockets());
        {
            let mut state = lock(shared);
            if *state.told != *told {
                state.told = told.into();
            }
            (state.refused, state.answered, state.ask) = (refused, true, false);
        }
        shared.changed.notify_all();
        std::thread::sleep(PAUSE);
        let mut state = lock(shared);
        while !state.ask && !state.ended {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.ended {
            return;
        }
    }
}

/// The sockets that there can be, the machine's own engines first: of what two say of one container the first stands.
fn sockets() -> Vec<PathBuf> {
    let named = |variable: &str| {
        let value = std::env::var(variable).ok()?;
        Some(PathBuf::from(value.strip_prefix("unix://")?))
    };
    let mut out = vec![
        named("DOCKER_HOST").unwrap_or_else(|| "/var/run/docker.sock".into()),
        named("CONTAINER_HOST").unwrap_or_else(|| "/run/podman/podman.sock".into()),
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

type Refused = Vec<(PathBuf, io::ErrorKind, String)>;

/// Asks each of them, one after the other.
fn ask_all(sockets: &[PathBuf]) -> (Vec<Container>, Refused) {
    let mut told: Vec<Container> = Vec::new();
    let mut refused = Vec::new();
    for socket in sockets {
        match ask(socket) {
            Ok(list) => {
                for c in list {
                    if told.iter().all(|t| t.id != c.id) {
                        told.push(c);
                    }
                }
            }
            // There is no such engine, or it does not run.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {}
            Err(e) => refused.push((socket.clone(), e.kind(), e.to_string())),
        }
    }
    (told, refused)
}

fn ask(socket: &Path) -> io::Result<Vec<Container>> {
    let end = Instant::now() + TIMEOUT;
    let is_podman = socket.ends_with("podman.sock");
    let engine = if is_podman { ContainerEngine::Podman } else { ContainerEngine::Docker };
    let mut told = answer::containers(&http::get(socket, "/containers/json", end)?, engine)?;
    if is_podman {
        // The interface it shares with Docker knows no pods.
        if let Ok(body) = http::get(socket, "/v4.0.0/libpod/containers/json", end) {
            answer::add_pods(&body, &mut told);
        }
    }
    Ok(told)
}

/// A source whose samples carry what the engines said.
pub(crate) struct Named {
    source: Box<dyn Source>,
    asked: Asked,
    /// The container of each path of a control group.
    paths: FxHashMap<Box<str>, Option<Box<str>>>,
    /// How often each container that no engine named was asked for.
    tries: FxHashMap<Box<str>, u8>,
    /// The containers that had processes at the last poll.
    there: Vec<Box<str>>,
    last: Instant,
    told: Arc<[Container]>,
}

impl Named {
    pub(crate) fn new(source: Box<dyn Source>, asked: Asked) -> Self {
        let (paths, tries) = (FxHashMap::default(), FxHashMap::default());
        Self { source, asked, paths, tries, there: Vec::new(), last: Instant::now(), told: Arc::default() }
    }

    /// Puts what is known of the containers into the sample, and asks again where that may tell more.
    fn fill(&mut self, sample: &mut Sample) {
        let mut known = self.asked.told().to_vec();
        let api = known.len();
        let monitor = |p: &Process| Container::of_monitor(&p.info.comm, &p.info.cmdline);
        let watched: Vec<Container> = sample.processes.iter().filter_map(monitor).collect();
        for c in &watched {
            if known.iter().all(|k| k.id != c.id) {
                known.push(c.clone());
            }
        }
        if self.paths.len() > PATHS {
            self.paths.clear();
        }
        if self.tries.len() > PATHS {
            self.tries.clear();
        }
        let mut there: FxHashSet<&str> = watched.iter().map(|c| &*c.id).collect();
        for path in sample.processes.iter().filter_map(|p| p.info.cgroup.as_deref()) {
            if !self.paths.contains_key(path) {
                self.paths.insert(path.into(), engines_own(path));
            }
        }
        let of_path = |p: &Process| self.paths.get(p.info.cgroup.as_deref()?)?.as_deref();
        there.extend(sample.processes.iter().filter_map(of_path));
        let (mut ask, mut nameless) = (false, 0);
        for id in &there {
            if known[..api].iter().any(|k| *k.id == **id) {
                continue;
            }
            let name = known[api..].iter().find(|k| *k.id == **id).and_then(|k| k.name.as_ref());
            nameless += u32::from(name.is_none());
            let tries = self.tries.entry((*id).into()).or_default();
            if *tries < TRIES && self.last.elapsed() >= PAUSE || *tries == 0 {
                *tries += 1;
                ask = true;
            }
        }
        // What is told of one that went is not kept until the answer is old.
        ask |= sample.wants.reads(Reads::PROCESSES) && self.there.iter().any(|id| !there.contains(&**id));
        if sample.wants.reads(Reads::PROCESSES) {
            self.there = there.iter().map(|id| (*id).into()).collect();
        }
        if ask || (api > 0 || !there.is_empty()) && self.last.elapsed() > AGE {
            self.last = Instant::now();
            self.asked.again();
        }
        if nameless > 0 {
            for (socket, kind, why) in &self.asked.lock().refused {
                let denied = *kind == io::ErrorKind::PermissionDenied;
                let kind = if denied { FaultKind::NotPermitted } else { FaultKind::Failed };
                sample.faults.add(kind, FaultSubject::Containers, format!("{}: {why}", socket.display()));
            }
        }
        if *self.told != *known {
            self.told = known.into();
        }
        sample.containers = Arc::clone(&self.told);
    }
}

impl Source for Named {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        let mut sample = self.source.sample(wants)?;
        self.fill(&mut sample);
        Ok(sample)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.asked.lock().ended = true;
        self.asked.0.changed.notify_all();
    }
}

/// The id of the container of this path, where one of the engines that are asked may run it.
fn engines_own(path: &str) -> Option<Box<str>> {
    use ContainerEngine::{Docker, Podman, Unknown};
    let c = Unit::parse(path).container?;
    matches!(c.engine, Docker | Podman | Unknown).then_some(c.id)
}
