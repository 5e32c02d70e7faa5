//! Polls, and the page of each.

use super::findings;
use super::published::Published;
use crate::app::exit_status::RunError;
use crate::app::malloc_tuning::Trimmer;
use crate::app::poller::cpu_time;
use crate::app::print::print_error;
use crate::cli::Plan;
use crate::cli::settings::value::EventsArg;
use crate::collect::{CollectError, Source};
use crate::derive::Engine;
use crate::model::text::escape;
use crate::model::{Reads, Services, Snapshot, Wants};
use crate::output::metrics::{Input, Own, Page, Totals};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Source, engine, and counters over all polls.
pub(super) struct Collector {
    source: Box<dyn Source>,
    engine: Engine,
    wants: Wants,
    services: Arc<Services>,
    totals: Totals,
    own: Own,
    top: usize,
    trimmer: Trimmer,
    last: Option<Arc<Snapshot>>,
}

/// Data of each poll: that of a recording, events unless they are off.
fn wants(plan: &Plan) -> Wants {
    let wants = Wants::recording();
    let wants = if plan.settings.dns { wants.with(Reads::DNS) } else { wants };
    if plan.settings.events == EventsArg::Off { wants.without(Reads::EVENTS) } else { wants }
}

impl Collector {
    pub(super) fn new(plan: &Plan, source: Box<dyn Source>, top: usize) -> Self {
        Self {
            source,
            engine: Engine::new()
                .with_alert_rules(plan.settings.alerts.rules())
                .with_events_kept(plan.settings.events_kept.0),
            wants: wants(plan),
            services: Arc::clone(&plan.services),
            totals: Totals::default(),
            own: Own { version: env!("CARGO_PKG_VERSION"), ..Own::default() },
            top,
            trimmer: Trimmer::default(),
            last: None,
        }
    }

    /// Polls and renders the page.
    pub(super) fn poll(&mut self) -> Result<Page, RunError> {
        let mut sample = self.source.sample(&self.wants)?;
        sample.services = Arc::clone(&self.services);
        let snap = self.engine.step(sample);
        self.trimmer.after_poll(snap.facts.len());
        self.totals.add(&snap, self.top);
        self.own.polls += 1;
        let page = self.render(&snap);
        self.last = Some(snap);
        Ok(page)
    }

    fn render(&mut self, snap: &Snapshot) -> Page {
        self.own.cpu_s = cpu_time().as_secs_f64();
        let findings = findings::counts(snap);
        Page::new(Input { snap, totals: &self.totals, findings: &findings, own: &self.own }, self.top)
    }

    /// Polls at this interval until the process ends. While polls fail, the page is that of the last one, with its time and the number
    /// of failures.
    pub(super) fn run(mut self, every: Duration, published: &Published) {
        let mut next = Instant::now() + every;
        let mut was_failing = false;
        loop {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            // After a long poll or a suspend, no poll is made twice to catch up.
            next = (next + every).max(Instant::now());
            match self.poll() {
                Ok(page) => {
                    published.put(page);
                    was_failing = false;
                }
                Err(RunError::Collect(CollectError::EndOfRecording)) => return,
                Err(e) => {
                    self.own.poll_errors += 1;
                    if !std::mem::replace(&mut was_failing, true) {
                        print_error(&escape(&format!("poll failed: {e}")));
                    }
                    if let Some(snap) = self.last.clone() {
                        published.put(self.render(&snap));
                    }
                }
            }
        }
    }
}
