//! Polls for the commands that print: each call is one sample and one step of the engine.

use super::{RunError, open};
use crate::cli::Plan;
use crate::collect::{Engines, Source};
use crate::derive::Engine;
use crate::model::{AlertRules, Hosts, Services, Snapshot, Wants};
use std::sync::Arc;

/// A source with its engine.
pub(super) struct Reader {
    source: Box<dyn Source>,
    engine: Engine,
    wants: Wants,
    services: Arc<Services>,
    hosts: Arc<Hosts>,
}

impl Reader {
    /// Opens the backend of the plan, to read this at every poll.
    pub(super) fn open(plan: &Plan, wants: Wants) -> Result<Self, RunError> {
        let source = open(plan, Engines::Now)?;
        Ok(Self {
            source,
            engine: Engine::new().alerting(plan.settings.alerts.rules()),
            wants,
            services: Arc::clone(&plan.services),
            hosts: Arc::default(),
        })
    }

    /// With other rules for alerts.
    pub(super) fn alerting(mut self, rules: AlertRules) -> Self {
        self.engine = self.engine.alerting(rules);
        self
    }

    /// Reads this from now on.
    pub(super) fn wants(&mut self, wants: Wants) {
        self.wants = wants;
    }

    /// Reads the machine once.
    pub(super) fn poll(&mut self) -> Result<Arc<Snapshot>, RunError> {
        let mut sample = self.source.sample(&self.wants)?;
        sample.services = Arc::clone(&self.services);
        sample.hosts = Arc::clone(&self.hosts);
        Ok(self.engine.step(sample))
    }
}
