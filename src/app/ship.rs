//! `sockscope ship`: events, listeners and limits to a receiver by HTTP, as NDJSON.
//!
//! Rows are collected into batches; a batch is a file in a directory until the receiver has taken it, so that a receiver that is
//! down, slow or restarted loses nothing as long as the directory has room. What is lost then is counted, and sent as a row. The
//! directory holds what is sent, not samples: a batch is sent again byte for byte under the same id, and takes a twentieth of the
//! space.

mod delivery;
mod http;
mod rows;
mod spool;

use super::environment;
use super::exit_status::{ExitStatus, RunError};
use super::print::print_error;
use super::reader::{Extent, Reader};
use crate::cli::ship::ShipPlan;
use crate::cli::{Plan, UsageError};
use crate::format::thousands;
use crate::model::{ProtoSet, Verify, Wants};
use delivery::{Bell, Delivery};
use http::Http;
use rows::RowWriter;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use spool::{Spool, random_id};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Time within which a signal is noticed.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);
/// Time that a receiver has to take what waits at the end.
const LAST: Duration = Duration::from_secs(5);

/// Sends until it is interrupted, the time is over, or all of a recording was taken.
pub(super) fn run(plan: &Plan, ship: &ShipPlan) -> Result<ExitStatus, RunError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let watched = signal_hook::flag::register(signal, Arc::clone(&stop));
        watched.map_err(|e| RunError::Dashboard(format!("watch signals: {e}")))?;
    }
    let dir = ship.spool.clone().or_else(environment::spool_dir);
    let unnamed =
        || UsageError("ship --spool: HOME is not set, or is not yours: name a directory".to_owned());
    let dir = dir.ok_or_else(unnamed)?;
    let failed = |e: io::Error| RunError::Dashboard(format!("open {}: {e}", dir.display()));
    let spool = Spool::open(&dir, ship.max_size).map_err(failed)?;
    let run = random_id().map_err(failed)?;
    ship.warning().iter().for_each(|w| print_error(w));
    let waiting = spool.waiting();
    if waiting.batches > 0 {
        print_error(&format!("{} rows of an earlier run wait in {}", thousands(waiting.rows), dir.display()));
    }
    print_error(&format!("to {}; what waits is kept in {}", ship.shown, dir.display()));
    let bell = Bell::default();
    let mut collector = Collector { plan, ship, spool: &spool, bell: &bell, stop: &stop, failing: false };
    let mut receiver = Http::new(ship);
    let (collected, taken) = thread::scope(|scope| {
        let delivery = Delivery::new(&spool, &bell);
        let sending = thread::Builder::new()
            .name("ship".into())
            .spawn_scoped(scope, move || delivery.run(&mut receiver));
        let sending = sending.map_err(|e| RunError::Dashboard(format!("start a thread: {e}")))?;
        let collected = collector.run(&run);
        // A recording is sent whole, unless it is interrupted.
        while plan.recording.is_some()
            && collected.is_ok()
            && !stop.load(Ordering::Relaxed)
            && spool.waiting().batches > 0
        {
            thread::sleep(SIGNAL_CHECK);
        }
        bell.end(Instant::now() + LAST);
        let taken = sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, RunError>((collected, taken))
    })?;
    let waiting = spool.waiting();
    if waiting.rows > 0 {
        let text =
            format!("{} rows wait in {}: the next run sends them", thousands(waiting.rows), dir.display());
        print_error(&text);
    }
    print_error(&format!("{} rows were taken", thousands(taken)));
    collected?;
    Ok(if plan.recording.is_some() && waiting.rows > 0 { ExitStatus::NoMatch } else { ExitStatus::Success })
}

/// Collects rows into batches.
struct Collector<'a> {
    plan: &'a Plan,
    ship: &'a ShipPlan,
    spool: &'a Spool,
    bell: &'a Bell,
    stop: &'a AtomicBool,
    /// The last batch could not be kept.
    failing: bool,
}

impl Collector<'_> {
    /// Polls until the end; `run`: start of the ids of rows.
    fn run(&mut self, run: &str) -> Result<(), RunError> {
        let mut writer = RowWriter::new(&self.ship.kinds, run);
        let wants = Wants { verify: Verify::All, ..Wants::new(writer.needs(), ProtoSet::TCP_UDP) };
        let extent = Extent { whole: true, events: true, ..Extent::default() };
        let mut reader = Reader::open_extent(self.plan, wants, extent)?;
        reader.keep_events(0);
        let start = Instant::now();
        let deadline = self.ship.during.filter(|_| !reader.is_recorded()).map(|t| start + t);
        let (mut text, mut rows, mut since) = (String::new(), 0, start);
        let mut first = true;
        while let Some(snap) = reader.poll_next()? {
            if std::mem::take(&mut first) {
                let e = &snap.sample.events;
                match e.source {
                    Some(source) => {
                        print_error(&format!("events by {}: {}", source.interface(), source.sees()));
                    }
                    None => print_error(&format!("no events: {}", e.reason)),
                }
            }
            let lost = self.spool.take_lost();
            if lost.batches > 0 {
                let what = "removed before the receiver took them: the directory was full";
                writer.push_loss(&snap, what, lost.batches, lost.rows, &mut text);
                rows += 1;
                print_error(&format!(
                    "{} rows in {} batches were lost: no room",
                    thousands(lost.rows),
                    lost.batches
                ));
            }
            if rows == 0 {
                since = Instant::now();
            }
            rows += writer.push(&snap, &mut text);
            let ended = self.stop.load(Ordering::Relaxed) || deadline.is_some_and(|d| Instant::now() >= d);
            // A recording is read faster than it was made.
            let due = since.elapsed() >= self.ship.flush && !reader.is_recorded();
            if rows >= self.ship.rows || rows > 0 && (due || ended) {
                self.keep(&std::mem::take(&mut text), std::mem::take(&mut rows));
            }
            if ended {
                return Ok(());
            }
            let next =
                Instant::now() + if reader.is_recorded() { Duration::ZERO } else { self.plan.interval() };
            let next = deadline.map_or(next, |d| d.min(next));
            while Instant::now() < next && !self.stop.load(Ordering::Relaxed) {
                thread::sleep(SIGNAL_CHECK.min(next.saturating_duration_since(Instant::now())));
            }
        }
        if rows > 0 {
            self.keep(&text, rows);
        }
        Ok(())
    }

    /// Makes batches of rows and keeps them until they are taken.
    fn keep(&mut self, text: &str, rows: u64) {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        debug_assert_eq!(lines.len() as u64, rows);
        let size = usize::try_from(self.ship.rows).unwrap_or(usize::MAX);
        for batch in lines.chunks(size) {
            let kept = self.spool.push(batch.concat().as_bytes(), batch.len() as u64, self.ship.encoding);
            match kept {
                Ok(()) => self.failing = false,
                Err(e) if !std::mem::replace(&mut self.failing, true) => {
                    print_error(&format!("keep a batch: {e}"));
                }
                Err(_) => {}
            }
        }
        self.bell.added();
    }
}
