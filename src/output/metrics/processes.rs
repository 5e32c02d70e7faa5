//! Processes by command, unit and container: descriptors and sockets.

use super::series::{Group, Point, top_groups};
use crate::model::{Snapshot, State, StateCounts, Unit};
use rustc_hash::FxHashMap;

/// Processes with the same labels: command, unit, container.
#[derive(Clone, Debug, Default)]
pub(super) struct ProcessGroup {
    count: u64,
    fds: Option<u64>,
    /// Usage, open descriptors below the limit and the limit of the process closest to it.
    worst: Option<(f64, u64, u64)>,
    full_s: Option<f64>,
    states: StateCounts,
}

/// The earlier of two forecasts.
pub(super) fn earlier(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.into_iter().chain(b).min_by(f64::total_cmp)
}

impl Group for ProcessGroup {
    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.fds = self.fds.into_iter().chain(other.fds).reduce(|a, b| a + b);
        self.worst = self.worst.into_iter().chain(other.worst).max_by(|a, b| a.0.total_cmp(&b.0));
        self.full_s = earlier(self.full_s, other.full_s);
        self.states.merge(&other.states);
    }

    fn pressure(&self) -> [f64; 3] {
        let sockets = f64::from(self.states.total());
        [self.worst.map_or(0.0, |w| w.0), f64::from(self.states.get(State::CloseWait)), sockets]
    }
}

/// Label of a unit: without the number of a session or of a transient unit, and empty for the scope of a container, which is named
/// by its id.
fn unit_label(unit: &Unit) -> &str {
    let name = unit.name.as_deref().unwrap_or("");
    if unit.container.as_ref().is_some_and(|c| name.contains(&*c.id)) {
        return "";
    }
    for (start, ending, short) in [
        ("session-", ".scope", "session.scope"),
        ("run-", ".scope", "run.scope"),
        ("run-", ".service", "run.service"),
    ] {
        if name.starts_with(start) && name.ends_with(ending) && name.bytes().any(|b| b.is_ascii_digit()) {
            return short;
        }
    }
    name
}

/// Labels of a command in a unit.
pub(super) fn command_labels(comm: &str, unit: Option<&Unit>) -> [String; 3] {
    let container = unit.and_then(|u| u.container.as_ref()).map_or("", |c| c.label());
    [comm.to_owned(), unit.map_or("", unit_label).to_owned(), container.to_owned()]
}

/// Groups with their labels.
pub(super) type ProcessGroups = Vec<([String; 3], ProcessGroup)>;

/// Groups of processes.
pub(super) fn process_groups(snap: &Snapshot, top: usize) -> ProcessGroups {
    let mut groups: FxHashMap<[String; 3], ProcessGroup> = FxHashMap::default();
    for (i, (p, facts)) in snap.sample.processes.iter().zip(&snap.processes).enumerate() {
        let usage = p.fds.as_ref().ok();
        let worst = usage.and_then(|u| Some((u.share()?, u64::from(u.below_soft()), u.soft?)));
        let one = ProcessGroup {
            count: 1,
            fds: usage.map(|u| u64::from(u.open)),
            worst,
            full_s: facts.fds_full_in.map(|f| f.likely),
            states: facts.states,
        };
        groups.entry(command_labels(&p.info.name(), snap.unit_of_process(i))).or_default().merge(one);
    }
    top_groups(groups, top)
}

/// Groups as points of one value; those without it have none.
fn points(g: &ProcessGroups, value: impl Fn(&ProcessGroup) -> Option<f64>) -> Vec<Point> {
    let each = g.iter();
    each.filter_map(|(labels, p)| Some(Point::new(labels.iter().map(String::as_str), value(p)?))).collect()
}

pub(super) fn count(g: &ProcessGroups) -> Vec<Point> {
    points(g, |p| Some(p.count as f64))
}

pub(super) fn fds(g: &ProcessGroups) -> Vec<Point> {
    points(g, |p| p.fds.map(|n| n as f64))
}

pub(super) fn worst_fds(g: &ProcessGroups) -> Vec<Point> {
    points(g, |p| p.worst.map(|w| w.1 as f64))
}

pub(super) fn worst_max(g: &ProcessGroups) -> Vec<Point> {
    points(g, |p| p.worst.map(|w| w.2 as f64))
}

pub(super) fn worst_ratio(g: &ProcessGroups) -> Vec<Point> {
    points(g, |p| p.worst.map(|w| w.0))
}

pub(super) fn full_seconds(g: &ProcessGroups) -> Vec<Point> {
    points(g, |p| p.full_s)
}

/// Sockets by state. `CLOSE_WAIT` is there with 0, so that a leak is an increase of a series that exists.
pub(super) fn sockets(g: &ProcessGroups) -> Vec<Point> {
    let mut out = Vec::new();
    for (labels, p) in g.iter().filter(|(_, p)| p.states.total() > 0) {
        let states = State::all().map(|s| (s, p.states.get(s)));
        for (state, n) in states.filter(|(s, n)| *n > 0 || *s == State::CloseWait) {
            let labels = labels.iter().map(String::as_str).chain([state.name()]);
            out.push(Point::new(labels, f64::from(n)));
        }
    }
    out
}
