//! `sockscope serve`: metrics over HTTP, in a file, or once on standard output.
//!
//! One thread polls at a steady interval and renders the page; a request is answered with the last page, so that no client can
//! cause a poll. The threads that listen and answer, and the one that writes the file, are confined.

mod collector;
mod findings;
mod http;
mod listener;
mod published;

use super::confine;
use super::exit_status::{ExitStatus, RunError};
use super::open_source;
use super::print::{print, print_error};
use crate::cli::Plan;
use crate::cli::serve::{Listen, ServePlan};
use crate::cli::user_file;
use crate::collect::Engines;
use crate::output::metrics::Form;
use collector::Collector;
use listener::Listener;
use published::Published;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Time within which a signal ends the server.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);

/// Serves until it is interrupted; with `--once` writes one page.
pub(super) fn run(plan: &Plan, serve: &ServePlan) -> Result<ExitStatus, RunError> {
    let engines = if serve.once { Engines::Now } else { Engines::Later };
    if serve.once {
        let mut collector = Collector::new(plan, open_source::open_live(plan, engines)?, serve.top);
        let page = collector.poll()?;
        match &serve.textfile {
            Some(file) => write_file(file, page.form(Form::Text))?,
            None => return print(page.form(Form::Text)),
        }
        return Ok(ExitStatus::Success);
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let watched = signal_hook::flag::register(signal, Arc::clone(&stop));
        watched.map_err(|e| RunError::Dashboard(format!("watch signals: {e}")))?;
    }
    // Before the first poll: an address in use is an error at once.
    let listener = serve.listen.as_ref().map(Listener::bind).transpose()?;
    let mut collector = Collector::new(plan, open_source::open_live(plan, engines)?, serve.top);
    let published = Arc::new(Published::default());
    published.put(collector.poll()?);
    {
        let (published, every) = (Arc::clone(&published), serve.every);
        start("collector", move || collector.run(every, &published))?;
    }
    confine::server(plan, serve);
    if let Some(listener) = &listener {
        print_error(&format!("serving metrics at {}", listener.url()));
        if let Some(Listen::Tcp(addr)) = &serve.listen
            && !addr.ip().is_loopback()
        {
            print_error(
                "everyone who reaches this port can read the names of processes, units and listeners",
            );
        }
        listener.start(&published)?;
    }
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let Some((number, page)) = published.newer(written, SIGNAL_CHECK) else { continue };
        written = number;
        if let Some(file) = &serve.textfile {
            // A full disk passes; the old file shows its time.
            if let Err(e) = write_file(file, page.form(Form::Text)) {
                print_error(&e.to_string());
            }
        }
    }
    if let Some(listener) = listener {
        listener.remove();
    }
    Ok(ExitStatus::Success)
}

/// Starts a thread of this name.
fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), RunError> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|e| RunError::Dashboard(format!("start thread {name}: {e}")))
}

/// Writes a page for the textfile collector: complete by a rename, and readable for its user.
fn write_file(file: &Path, page: &str) -> Result<(), RunError> {
    let failed = |e: std::io::Error| RunError::Dashboard(format!("write {}: {e}", file.display()));
    user_file::write_whole(file, failed, |mut out| {
        out.write_all(page.as_bytes()).map_err(failed)?;
        match out.metadata() {
            Ok(m) if m.is_file() => out.set_permissions(Permissions::from_mode(0o644)).map_err(failed),
            _ => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests;
