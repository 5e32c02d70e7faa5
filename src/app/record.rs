//! `sockscope record`: samples to files.

use super::environment;
use super::exit_status::{ExitStatus, RunError};
use super::open_source::open;
use super::print::print_error;
use crate::cli::record::RecordPlan;
use crate::cli::{Plan, UsageError};
use crate::collect::Engines;
use crate::frame::{Encoder, FrameKind};
use crate::model::{FaultSubject, Sample, Wants};
use crate::recording::{Outcome, Writer};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time within which a signal ends the recording.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);

/// Records until it is interrupted or the time is over.
pub(super) fn run(plan: &Plan, record: &RecordPlan) -> Result<ExitStatus, RunError> {
    let default = environment::recording_dir();
    let no_default =
        || UsageError("record: HOME is not set, or is not yours: name a directory with -o".to_owned());
    let dir = record.dir.as_deref().or(default.as_deref()).ok_or_else(no_default)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let watched = signal_hook::flag::register(signal, Arc::clone(&stop));
        watched.map_err(|e| RunError::Dashboard(format!("watch signals: {e}")))?;
    }
    let mut writer = Writer::open(dir, record.retention)?;
    let mut source = open(plan, Engines::Later)?;
    let every = record.every.unwrap_or_else(|| plan.interval());
    let start = Instant::now();
    let deadline = record.during.map(|t| start + t);
    let wants = Wants::recording();
    let mut encoder = Encoder::new();
    let mut before: Option<Sample> = None;
    let mut next = start;
    let mut paused = false;
    print_error(&format!("recording to {}", dir.display()));
    loop {
        let sample = source.sample(&wants)?;
        if before.is_none() {
            report_missing(&sample);
        }
        if writer.needs_key(sample.at) {
            encoder.restart();
        }
        let frame =
            encoder.frame(&sample, before.as_ref()).map_err(|e| RunError::Dashboard(e.to_string()))?;
        let kind = if encoder.is_at_key() { FrameKind::Key } else { FrameKind::Delta };
        match writer.write(&frame, kind, sample.at)? {
            Outcome::Written if paused => {
                print_error("recording again");
                paused = false;
            }
            Outcome::Written => {}
            Outcome::Dropped(why) => {
                // What follows cannot be read without this frame.
                encoder.restart();
                if !paused {
                    print_error(&format!("recording paused: {why}"));
                }
                paused = true;
            }
        }
        before = Some(sample);
        next += every;
        // After a long poll or a suspend, no sample is taken twice to catch up.
        next = next.max(Instant::now());
        let until = deadline.map_or(next, |d| d.min(next));
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(SIGNAL_CHECK.min(until.saturating_duration_since(Instant::now())));
        }
        if stop.load(Ordering::Relaxed) || deadline.is_some_and(|d| Instant::now() >= d) {
            break;
        }
    }
    writer.close()?;
    Ok(ExitStatus::Success)
}

/// Prints what cannot be recorded, once.
fn report_missing(sample: &Sample) {
    let hidden = sample.processes.iter().filter(|p| p.fds_hidden.is_some()).count();
    if hidden > 0 {
        print_error(&format!(
            "the sockets of {hidden} processes of other users are recorded without their owner"
        ));
    }
    for fault in sample.faults.iter().filter(|f| f.kind.hides_data() && f.subject != FaultSubject::Containers)
    {
        print_error(&crate::model::text::escape(&fault.to_string()));
    }
}
