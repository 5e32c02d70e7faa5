//! Polls for commands that print: one sample and one engine step each.

use super::exit_status::RunError;
use super::malloc_tuning::Trimmer;
use super::open_source::{open_live, open_recording};
use crate::cli::Plan;
use crate::collect::{CollectError, Engines, RecordedSource, Source};
use crate::derive::Engine;
use crate::model::{AlertRules, Hosts, Sample, Services, Snapshot, Wants};
use std::sync::Arc;

/// A source and its engine.
pub(super) struct Reader {
    source: Box<dyn Source>,
    engine: Engine,
    wants: Wants,
    services: Arc<Services>,
    hosts: Arc<Hosts>,
    is_recorded: bool,
    trimmer: Trimmer,
}

impl Reader {
    /// Opens the data of the plan.
    pub(super) fn open(plan: &Plan, wants: Wants) -> Result<Self, RunError> {
        match open_recording(plan, false)? {
            Some(recorded) => Ok(Self::of_recording(plan, recorded, wants)),
            None => Self::open_live(plan, wants),
        }
    }

    /// Opens the backend of the plan, whatever recording it names.
    pub(super) fn open_live(plan: &Plan, wants: Wants) -> Result<Self, RunError> {
        Ok(Self::new(plan, open_live(plan, Engines::Now)?, wants))
    }

    /// Reads a recording from its moment on. The samples before it are derived first.
    pub(super) fn of_recording(plan: &Plan, mut recorded: RecordedSource, wants: Wants) -> Self {
        let history = recorded.history(&wants);
        let mut out = Self { is_recorded: true, ..Self::new(plan, Box::new(recorded), wants) };
        for sample in history {
            out.step(sample);
        }
        out
    }

    fn new(plan: &Plan, source: Box<dyn Source>, wants: Wants) -> Self {
        Self {
            source,
            engine: Engine::new()
                .with_alert_rules(plan.settings.alerts.rules())
                .with_events_kept(plan.settings.events_kept.0),
            wants,
            services: Arc::clone(&plan.services),
            hosts: Arc::default(),
            is_recorded: false,
            trimmer: Trimmer::default(),
        }
    }

    /// True if the data is a recording: the samples before the first poll were derived already, and time does not pass between
    /// two polls.
    pub(super) const fn is_recorded(&self) -> bool {
        self.is_recorded
    }

    /// Uses other alert rules than the settings.
    pub(super) fn with_rules(mut self, rules: AlertRules) -> Self {
        self.engine = self.engine.with_alert_rules(rules);
        self
    }

    /// Sets the number of events of earlier polls that are kept.
    pub(super) fn keep_events(&mut self, rows: usize) {
        self.engine = std::mem::take(&mut self.engine).with_events_kept(rows);
    }

    /// Changes what the next polls read.
    pub(super) fn set_wants(&mut self, wants: Wants) {
        self.wants = wants;
    }

    /// Polls once. The end of a recording is an error.
    pub(super) fn poll(&mut self) -> Result<Arc<Snapshot>, RunError> {
        let sample = self.source.sample(&self.wants)?;
        Ok(self.step(sample))
    }

    /// Polls once; `None` at the end of a recording.
    pub(super) fn poll_next(&mut self) -> Result<Option<Arc<Snapshot>>, RunError> {
        match self.source.sample(&self.wants) {
            Ok(sample) => Ok(Some(self.step(sample))),
            Err(CollectError::EndOfRecording) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn step(&mut self, mut sample: Sample) -> Arc<Snapshot> {
        sample.services = Arc::clone(&self.services);
        sample.hosts = Arc::clone(&self.hosts);
        let snap = self.engine.step(sample);
        self.trimmer.after_poll(snap.facts.len());
        snap
    }
}
