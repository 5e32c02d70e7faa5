//! Samples of the collector process, and of this one if that ended.
//!
//! A dashboard whose collector is gone keeps its rows, its past and its recording, and continues with what a user without privilege
//! can read: what is missing is counted as a fault in every sample, and is named in the status line once.

use super::collector_process::{ENDED, Stream, in_words};
use super::open_source::open;
use crate::cli::Plan;
use crate::collect::{CollectError, Engines, Source};
use crate::model::{FaultKind, FaultSubject, Sample, Wants};
use nix::time::ClockId;
use nix::unistd::Pid;
use std::time::Duration;

/// Name in errors.
const NAME: &str = "collector process";

/// The source.
pub(super) struct ProcessSource {
    /// Stream to the collector process, until it ends.
    stream: Option<Stream>,
    /// CPU clock of the collector process.
    clock: Option<ClockId>,
    /// CPU time of it that was read last.
    cpu: Duration,
    plan: Plan,
    own: Option<Box<dyn Source>>,
    /// Reason why there is no stream.
    lost: String,
}

impl ProcessSource {
    /// Samples of the collector process with this pid, over this stream, or the reason why there is none.
    pub(super) fn new(stream: Result<Stream, String>, pid: u32, plan: &Plan) -> Self {
        let pid = i32::try_from(pid).ok().map(Pid::from_raw);
        let clock = pid.and_then(|pid| ClockId::pid_cpu_clock_id(pid).ok());
        let (stream, lost) = match stream {
            Ok(stream) => (Some(stream), String::new()),
            Err(why) => (None, why),
        };
        Self { stream, clock, cpu: Duration::ZERO, plan: plan.without_command(), own: None, lost }
    }
}

impl Source for ProcessSource {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        if let Some(stream) = &mut self.stream {
            let result = stream.sample(wants);
            if !stream.is_broken() {
                return result;
            }
            (self.stream, self.clock) = (None, None);
            self.lost = result.map_or_else(|e| in_words(e, Duration::ZERO), |_| ENDED.to_owned());
            let why = format!("{}; reading without privilege", self.lost);
            return Err(CollectError::Unavailable { backend: NAME, why });
        }
        let own = match &mut self.own {
            Some(own) => own,
            none => {
                let opened = open(&self.plan, Engines::Later);
                let unavailable = |why| CollectError::Unavailable { backend: NAME, why };
                none.insert(opened.map_err(|e| unavailable(e.to_string()))?)
            }
        };
        let mut sample = own.sample(wants)?;
        sample.faults.add(FaultKind::NotUsed, FaultSubject::CollectorProcess, self.lost.as_str());
        Ok(sample)
    }

    fn cpu_elsewhere(&mut self) -> Duration {
        let now = self.clock.and_then(|clock| clock.now().ok()).map(Duration::from);
        // Never less than before, also once it ended.
        self.cpu = now.map_or(self.cpu, |now| now.max(self.cpu));
        self.cpu
    }
}
