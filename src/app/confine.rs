//! Confinement of the dashboard and of readers of recorded data by Landlock, and the thread outside of it.
//!
//! Live data: the thread that draws and writes files, those that read keys and arrange rows. The collector and the prober cannot
//! be (see `sandbox`). Captured trees and demo data: everything but the thread outside.

use super::environment;
use crate::cli::Plan;
use crate::cli::plan::What;
use crate::cli::serve::{Listen, ServePlan};
use crate::sandbox::{Allowed, restrict};
use rustix::fs::PROC_SUPER_MAGIC;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};

/// Returns true if the data is recorded: a file tree or a scenario, which may come from a machine that was broken into.
fn is_recorded(plan: &Plan) -> bool {
    // A mounted `/proc` is no captured tree.
    plan.demo.is_some()
        || plan.recording.is_some()
        || plan
            .proc_root
            .as_ref()
            .is_some_and(|root| rustix::fs::statfs(root).is_ok_and(|s| s.f_type != PROC_SUPER_MAGIC))
}

/// Confines a command that only prints, if its data is recorded.
pub(super) fn printing(plan: &Plan) {
    if is_recorded(plan) && !plan.settings.no_sandbox {
        // Names are resolved by the resolver of the system, which may connect by TCP.
        let serves = match &plan.what {
            What::Serve(serve) => Some(serve),
            _ => None,
        };
        // It listens first and is confined further then.
        let tcp = plan.settings.resolve || serves.is_some();
        let write = recorded(plan).into_iter().chain(serves.into_iter().flat_map(|s| served(s))).collect();
        let _ = restrict(&Allowed { read: sources(plan), write, make: outputs(plan), tcp });
    }
}

/// Confines the threads of a server that answer and write, after it listens and the collector runs: neither the kernel's files nor
/// another connection is open to them.
pub(super) fn server(plan: &Plan, serve: &ServePlan) {
    if !plan.settings.no_sandbox {
        let _ = restrict(&Allowed { write: served(serve), ..Allowed::default() });
    }
}

/// Directories of the file and of the socket of a server.
fn served(serve: &ServePlan) -> Vec<PathBuf> {
    let socket = match &serve.listen {
        Some(Listen::Unix(path)) => Some(path),
        _ => None,
    };
    let files = serve.textfile.iter().chain(socket).filter_map(|f| std::path::absolute(f).ok());
    files.flat_map(|f| directories(&f)).collect()
}

/// The directory that a recording is written to, of demo data or a captured tree.
fn recorded(plan: &Plan) -> Vec<PathBuf> {
    let What::Record(record) = &plan.what else { return Vec::new() };
    let dir = record.dir.clone().or_else(environment::recording_dir);
    let dir = dir.and_then(|d| std::path::absolute(d).ok());
    dir.iter().flat_map(|d| directories(&d.join("file"))).collect()
}

/// The file that an export writes, if it is there, and the directories in which it is made: its own, and that of the file to which it
/// links.
fn outputs(plan: &Plan) -> Vec<PathBuf> {
    let What::Export(export) = &plan.what else { return Vec::new() };
    let Some(file) = &export.file else { return Vec::new() };
    let dir = |f: &Path| f.parent().map(|d| if d.as_os_str().is_empty() { ".".into() } else { d.to_owned() });
    let real = std::fs::canonicalize(file).ok();
    let dirs = [dir(file), real.as_deref().and_then(dir)];
    dirs.into_iter().flatten().chain(real).collect()
}

/// Files and directories that the command line names, which are opened later.
fn sources(plan: &Plan) -> Vec<PathBuf> {
    let recording = plan.recording.iter().filter_map(|r| r.path.clone().or_else(environment::recording_dir));
    plan.proc_root.iter().cloned().chain(plan.demo.iter().map(PathBuf::from)).chain(recording).collect()
}

/// Stage at which the dashboard is confined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before the source of the data is opened.
    BeforeSource,
    /// After the threads that read the live machine were started.
    AfterCollector,
}

/// Confines the calling thread, and those it starts from now on, at the stage that fits the data. Returns what is in force, once.
pub(super) fn dashboard(plan: &Plan, stage: Stage) -> Option<String> {
    let is_now = is_recorded(plan) == (stage == Stage::BeforeSource);
    if !is_now {
        return None;
    }
    if plan.settings.no_sandbox {
        return Some("none (--no-sandbox)".to_owned());
    }
    let config = plan.config_file.clone().or_else(environment::config_file);
    let files = [config, environment::history_file(), environment::session_file()];
    // Not a device such as /dev/null.
    let files = files.iter().flatten().filter(|f| f.is_file() || !f.exists());
    let recording = plan.record.iter().filter_map(|dir| dir.clone().or_else(environment::recording_dir));
    let write = files.flat_map(|f| directories(f)).chain(recording).collect();
    // Files of exports are opened outside.
    Some(restrict(&Allowed { read: sources(plan), write, make: Vec::new(), tcp: false }))
}

/// Directory in which a file is written: the nearest one that exists, but not all of the system, and that of the file to which
/// it links.
fn directories(file: &Path) -> Vec<PathBuf> {
    let existing = |f: &Path| {
        f.ancestors().skip(1).find(|d| d.is_dir()).filter(|d| d.parent().is_some()).map(Path::to_owned)
    };
    [existing(file), std::fs::canonicalize(file).ok().as_deref().and_then(existing)]
        .into_iter()
        .flatten()
        .collect()
}

type Job = Box<dyn FnOnce() + Send>;

/// Thread that is started before the dashboard is confined: it acts on processes and sockets, starts the alert command and the
/// resolver, or opens the files of exports. Jobs run in order.
pub(super) struct Outside(Sender<Job>);

impl Outside {
    /// Starts the thread; it ends when this is dropped.
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, inbox) = channel::<Job>();
        std::thread::Builder::new().name("outside".into()).spawn(move || {
            for job in inbox {
                job();
            }
        })?;
        Ok(Self(jobs))
    }

    /// Runs a job there, after those before it.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        let _ = self.0.send(Box::new(job));
    }
}
