//! `sockscope record --host`: a recording of each host, in a directory of its name.

use super::exit_status::{ExitStatus, RunError};
use super::fleet::Fleet;
use super::fleet_list::partial;
use super::print::print_error;
use super::recorder::{Recorder, report_dropped};
use crate::cli::Plan;
use crate::cli::record::RecordPlan;
use crate::model::Wants;
use crate::model::text::escape;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time within which a signal ends the recording.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);

/// Directory of a host: its name, with what a file name cannot have replaced.
fn directory_of(dir: &Path, host: &str) -> PathBuf {
    let safe = |c: char| if c == '/' || c == '\\' { '_' } else { c };
    let name: String = host.chars().map(safe).collect();
    dir.join(if name.starts_with('.') { format!("_{name}") } else { name })
}

/// Records until it is interrupted or the time is over.
pub(super) fn run(
    plan: &Plan,
    record: &RecordPlan,
    dir: &Path,
    wants: Wants,
    stop: &AtomicBool,
) -> Result<ExitStatus, RunError> {
    let mut fleet = Fleet::open(plan, wants)?;
    let mut recorders = Vec::new();
    for name in fleet.names() {
        recorders.push(Recorder::open(&directory_of(dir, name), record.retention, record.redact)?);
    }
    print_error(&format!("recording {} hosts to directories in {}", recorders.len(), dir.display()));
    let every = record.every.unwrap_or_else(|| plan.interval());
    let deadline = record.during.map(|t| Instant::now() + t);
    let mut next = Instant::now();
    let mut recorded = false;
    loop {
        for (i, sample) in fleet.samples() {
            if let Some(recorder) = recorders.get_mut(i) {
                let host = sample.host.clone();
                if let Some(change) = recorder.push(sample)? {
                    print_error(&escape(&format!("{host}: {}", change.text())));
                }
                recorded = true;
            }
        }
        next = (next + every).max(Instant::now());
        let until = deadline.map_or(next, |d| d.min(next));
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(SIGNAL_CHECK.min(until.saturating_duration_since(Instant::now())));
        }
        if stop.load(Ordering::Relaxed) || deadline.is_some_and(|d| Instant::now() >= d) {
            break;
        }
    }
    let mut counts = (0, 0);
    for recorder in recorders {
        let (written, dropped) = recorder.counts();
        counts = (counts.0 + written, counts.1 + dropped);
        recorder.close()?;
    }
    report_dropped(counts)?;
    Ok(if recorded { partial(&fleet, ExitStatus::Success) } else { ExitStatus::Partial })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_of_a_host_stays_in_the_recording() {
        let of = |host| directory_of(Path::new("/r"), host);
        assert_eq!(of("web-1"), Path::new("/r/web-1"));
        assert_eq!(of("../x"), Path::new("/r/_.._x"));
        assert_eq!(of("ssh://a@b:22"), Path::new("/r/ssh:__a@b:22"));
        assert_eq!(of(".."), Path::new("/r/_.."));
    }
}
