//! `sockscope record`: samples to files.

use super::exit_status::{ExitStatus, RunError};
use super::fleet_record;
use super::open_source::{open, open_recording};
use super::print::print_error;
use super::recorder::{Change, Recorder, directory, report_dropped};
use crate::cli::record::RecordPlan;
use crate::cli::{Plan, UsageError};
use crate::collect::{CollectError, Engines, Source};
use crate::model::{FaultSubject, Reads, Sample, Wants};
use crate::recording::Recording;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time within which a signal ends the recording.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);

/// Data of each sample: DNS questions only if they are asked for.
fn recording_wants(plan: &Plan) -> Wants {
    let wants = Wants::recording();
    if plan.settings.dns { wants.with(Reads::DNS) } else { wants }
}

/// Records until it is interrupted or the time is over.
pub(super) fn run(plan: &Plan, record: &RecordPlan) -> Result<ExitStatus, RunError> {
    if plan.recording.is_some() {
        return copy(plan, record);
    }
    let dir = directory(record.dir.as_deref(), "record -o")?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let watched = signal_hook::flag::register(signal, Arc::clone(&stop));
        watched.map_err(|e| RunError::Dashboard(format!("watch signals: {e}")))?;
    }
    if plan.hosts.is_named() {
        return fleet_record::run(plan, record, &dir, recording_wants(plan), &stop);
    }
    let mut recorder = Recorder::open(&dir, record.retention, record.redact)?;
    let mut source = open(plan, Engines::Later)?;
    let every = record.every.unwrap_or_else(|| plan.interval());
    let start = Instant::now();
    let deadline = record.during.map(|t| start + t);
    let wants = recording_wants(plan);
    let mut first = true;
    let mut next = start;
    let redacted = if record.redact { ", redacted" } else { "" };
    print_error(&format!("recording to {}{redacted}", dir.display()));
    loop {
        let sample = source.sample(&wants)?;
        if std::mem::take(&mut first) {
            report_missing(&sample);
        }
        if let Some(change) = recorder.push(sample)? {
            print_error(&change.text());
        }
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
    let counts = recorder.counts();
    recorder.close()?;
    report_dropped(counts)?;
    Ok(ExitStatus::Success)
}

/// Copies the samples of a recording, redacted if that is asked for.
fn copy(plan: &Plan, record: &RecordPlan) -> Result<ExitStatus, RunError> {
    let out = record.dir.as_deref().unwrap_or(Path::new(""));
    let Some(mut source) = open_recording(plan, true)? else { return Ok(ExitStatus::Success) };
    if !source.is_separate(out) {
        let why = format!("{} is the recording that is read; name another directory", out.display());
        return Err(UsageError(format!("record -o: {why}")).into());
    }
    let mut recorder = Recorder::open(out, record.retention, record.redact)?;
    if Recording::open(out).is_ok() {
        let why = format!("{} has a recording already; name another directory", out.display());
        return Err(UsageError(format!("record -o: {why}")).into());
    }
    let mut copied = 0_u64;
    loop {
        match source.sample(&Wants::recording()) {
            Ok(sample) => {
                if let Some(Change::Paused(why)) = recorder.push(sample)? {
                    return Err(RunError::Dashboard(format!("copy the recording: {why}")));
                }
                copied += 1;
            }
            Err(CollectError::EndOfRecording) => break,
            Err(e) => return Err(e.into()),
        }
    }
    recorder.close()?;
    let redacted = if record.redact { ", redacted" } else { "" };
    print_error(&format!("{copied} samples copied to {}{redacted}", out.display()));
    Ok(ExitStatus::Success)
}

/// Prints what cannot be recorded, once.
fn report_missing(sample: &Sample) {
    let hidden = sample.processes.iter().filter(|p| p.fds_hidden.is_some()).count();
    if hidden > 0 {
        print_error(&format!(
            "the sockets of {hidden} {} of other users are recorded without their owner",
            if hidden == 1 { "process" } else { "processes" }
        ));
    }
    for fault in sample.faults.iter().filter(|f| f.kind.hides_data() && f.subject != FaultSubject::Containers)
    {
        print_error(&crate::model::text::escape(&fault.to_string()));
    }
}
