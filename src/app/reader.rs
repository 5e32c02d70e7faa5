//! Polls for commands that print: one sample and one engine step each.

use super::exit_status::RunError;
use super::malloc_tuning::Trimmer;
use super::open_source::open;
use crate::cli::Plan;
use crate::collect::{Engines, Source};
use crate::derive::Engine;
use crate::model::{AlertRules, Hosts, Services, Snapshot, Wants};
use std::sync::Arc;

/// A source and its engine.
pub(super) struct Reader {
    source: Box<dyn Source>,
    engine: Engine,
    wants: Wants,
    services: Arc<Services>,
    hosts: Arc<Hosts>,
    trimmer: Trimmer,
}

impl Reader {
    /// Opens the backend of the plan.
    pub(super) fn open(plan: &Plan, wants: Wants) -> Result<Self, RunError> {
        let source = open(plan, Engines::Now)?;
        Ok(Self {
            source,
            engine: Engine::new()
                .with_alert_rules(plan.settings.alerts.rules())
                .with_events_kept(plan.settings.events_kept.0),
            wants,
            services: Arc::clone(&plan.services),
            hosts: Arc::default(),
            trimmer: Trimmer::default(),
        })
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

    /// Polls once.
    pub(super) fn poll(&mut self) -> Result<Arc<Snapshot>, RunError> {
        let mut sample = self.source.sample(&self.wants)?;
        sample.services = Arc::clone(&self.services);
        sample.hosts = Arc::clone(&self.hosts);
        let snap = self.engine.step(sample);
        self.trimmer.after_poll(snap.facts.len());
        Ok(snap)
    }
}
