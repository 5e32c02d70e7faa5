//! Samples of the collector process, and of this one if that ended.
//!
//! A dashboard whose collector is gone keeps its rows, its past and its recording, and continues with what a user without privilege
//! can read: what is missing is counted as a fault in every sample, and is named in the status line once.

use super::collector_process::Stream;
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
}

impl ProcessSource {
    /// Samples of the collector process with this pid, over this stream; `None` if it ended already.
    pub(super) fn new(stream: Option<Stream>, pid: u32, plan: &Plan) -> Self {
        let pid = i32::try_from(pid).ok().map(Pid::from_raw);
        let clock = pid.and_then(|pid| ClockId::pid_cpu_clock_id(pid).ok());
        Self { stream, clock, cpu: Duration::ZERO, plan: plan.without_command(), own: None }
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
            let why = match result {
                Err(e) => format!("{e}; reading without privilege"),
                Ok(_) => "reading without privilege".to_owned(),
            };
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
        let why = "it ended, sockscope reads without privilege";
        sample.faults.add(FaultKind::NotUsed, FaultSubject::CollectorProcess, why);
        Ok(sample)
    }

    fn cpu_elsewhere(&mut self) -> Duration {
        let now = self.clock.and_then(|clock| clock.now().ok()).map(Duration::from);
        // Never less than before, also once it ended.
        self.cpu = now.map_or(self.cpu, |now| now.max(self.cpu));
        self.cpu
    }
}
