//! Polls for commands that print: one sample and one engine step each.

use super::exit_status::RunError;
use super::malloc_tuning::Trimmer;
use super::open_source::{open_live, open_live_in, open_recording, span};
use crate::cli::Plan;
use crate::collect::{CollectError, Engines, RecordedSource, Source};
use crate::derive::Engine;
use crate::model::{AlertRules, Hosts, Netns, Sample, Services, Snapshot, Wants};
use std::sync::Arc;
use std::time::Duration;

/// A source and its engine.
pub(super) struct Reader {
    source: Box<dyn Source>,
    engine: Engine,
    wants: Wants,
    services: Arc<Services>,
    hosts: Arc<Hosts>,
    is_recorded: bool,
    /// Span of the events, nanoseconds since 1970.
    span: Option<(u64, u64)>,
    trimmer: Trimmer,
}

/// Part of a recording to read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// All of it if the command line names neither a moment nor a span; otherwise its last sample.
    pub(super) whole: bool,
    /// Only the moment, if the command line names one, and not what follows it.
    pub(super) one_moment: bool,
    /// Least time between two samples.
    pub(super) every: Option<Duration>,
    /// Events are read: those before the end of a span are in the sample that follows it.
    pub(super) events: bool,
}

impl Reader {
    /// Opens the data of the plan.
    pub(super) fn open(plan: &Plan, wants: Wants) -> Result<Self, RunError> {
        match open_recording(plan, false)? {
            Some(recorded) => Ok(Self::of_recording(plan, recorded, wants)),
            None => Self::open_live(plan, wants),
        }
    }

    /// Opens the data of the plan, of a recording this part.
    pub(super) fn open_extent(plan: &Plan, wants: Wants, extent: Extent) -> Result<Self, RunError> {
        let Some(mut recorded) = open_recording(plan, extent.whole)? else {
            return Self::open_live(plan, wants);
        };
        let span = span(plan, &recorded)?;
        if extent.one_moment && plan.recording.as_ref().is_some_and(|r| r.between.is_none() && r.at.is_some())
        {
            recorded = recorded.first_only();
        }
        if span.is_some() && extent.events {
            recorded = recorded.and_one_more();
        }
        if let Some(every) = extent.every {
            recorded = recorded.with_every(every);
        }
        let mut out = Self::of_recording(plan, recorded, wants);
        out.span = span;
        Ok(out)
    }

    /// True if a time, nanoseconds since 1970, is in the span of the command line. Without a span any time is.
    pub(super) fn spans(&self, unix_ns: u64) -> bool {
        self.span.is_none_or(|(start, end)| (start..=end).contains(&unix_ns))
    }

    /// Opens the backend of the plan, whatever recording it names.
    pub(super) fn open_live(plan: &Plan, wants: Wants) -> Result<Self, RunError> {
        Ok(Self::new(plan, open_live(plan, Engines::Now)?, wants))
    }

    /// Opens the backend of the plan for these network namespaces.
    pub(super) fn open_in(plan: &Plan, netns: Netns, wants: Wants) -> Result<Self, RunError> {
        Ok(Self::new(plan, open_live_in(plan, Engines::Off, netns)?, wants))
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
            span: None,
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
