//! The threads that collect for the dashboard: of this machine, or of several hosts.

use super::fleet_poller::FleetPoller;
use super::poller::Poller;
use crate::model::{Shown, Wants};
use crate::tui::SeekRequest;
use crate::tui::event::{AskedHost, HostAsk};
use std::sync::Arc;
use std::time::Duration;

/// Running collector threads.
pub(super) enum Collector {
    /// One source: this machine, a recording, demo data.
    One(Poller),
    /// Several hosts, without a past and without a recording.
    Fleet(FleetPoller),
}

impl Collector {
    /// Changes what is read; polls at once if that is a change.
    pub(super) fn set_wants(&self, wants: Wants) {
        match self {
            Self::One(p) => p.set_wants(wants),
            Self::Fleet(p) => p.set_wants(wants),
        }
    }

    /// Changes what the next poll checks first.
    pub(super) fn set_shown(&self, shown: Arc<Shown>) {
        if let Self::One(p) = self {
            p.set_shown(shown);
        }
    }

    /// Changes the interval.
    pub(super) fn set_interval(&self, interval: Duration) {
        match self {
            Self::One(p) => p.set_interval(interval),
            Self::Fleet(p) => p.set_interval(interval),
        }
    }

    /// Polls at once.
    pub(super) fn refresh(&self) {
        match self {
            Self::One(p) => p.refresh(),
            Self::Fleet(p) => p.refresh(),
        }
    }

    /// Function that polls at once, for another thread.
    pub(super) fn refresher(&self) -> impl FnOnce() + Send + 'static {
        let refresh = match self {
            Self::One(p) => Some(p.refresher()),
            Self::Fleet(_) => None,
        };
        move || refresh.into_iter().for_each(|refresh| refresh())
    }

    /// Asks another host.
    pub(super) fn ask(&self, asked: AskedHost, ask: &HostAsk) {
        if let Self::Fleet(p) = self {
            p.ask(asked, ask);
        }
    }

    /// Shows a moment of the past.
    pub(super) fn seek(&self, request: SeekRequest) {
        if let Self::One(p) = self {
            p.seek(request);
        }
    }

    /// Ends a search in the past.
    pub(super) fn stop_search(&self) {
        if let Self::One(p) = self {
            p.stop_search();
        }
    }

    /// Continues a recording after a moment, nanoseconds since 1970.
    pub(super) fn resume(&self, unix_ns: u64) {
        if let Self::One(p) = self {
            p.resume(unix_ns);
        }
    }

    /// Begins or ends writing a recording.
    pub(super) fn record(&self, on: bool) {
        if let Self::One(p) = self {
            p.record(on);
        }
    }
}
