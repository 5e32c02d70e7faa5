//! Limits by kind, class of their owner and namespace; ephemeral ports by class of destination.

use super::processes::earlier;
use super::series::{Group, OTHER, Point, top_groups};
use crate::model::{Limit, LimitKind, LimitSubject, Snapshot};
use rustc_hash::{FxHashMap, FxHashSet};

/// Limits with the same labels: of those with a maximum the fullest, of counters the sum.
#[derive(Clone, Debug, Default)]
pub(super) struct LimitGroup {
    used: u64,
    /// Capacity of the fullest; `None` for counters, and if it is unlimited.
    max: Option<u64>,
    share: f64,
    full_s: Option<f64>,
}

/// Groups with their labels.
pub(super) type LimitGroups = Vec<([String; 3], LimitGroup)>;

impl Group for LimitGroup {
    fn merge(&mut self, other: Self) {
        self.full_s = earlier(self.full_s, other.full_s);
        match (self.max, other.max) {
            (None, None) => self.used += other.used,
            (Some(_), None) => {}
            _ if other.share >= self.share => {
                (self.used, self.max, self.share) = (other.used, other.max, other.share);
            }
            _ => {}
        }
    }

    fn pressure(&self) -> [f64; 3] {
        [self.share, self.used as f64, 0.0]
    }
}

/// Class of the owner of a limit.
const fn subject_class(subject: &LimitSubject) -> &'static str {
    match subject {
        LimitSubject::System => "system",
        LimitSubject::Net => "netns",
        LimitSubject::Process(..) => "process",
        LimitSubject::Listener(..) => "listener",
        LimitSubject::NamedListener(..) => "named-listener",
        LimitSubject::Route(..) => "destination",
        LimitSubject::LocalPorts(..) => "local-address",
        LimitSubject::User(_) => "user",
        LimitSubject::Cgroup(_) => "cgroup",
        LimitSubject::Neighbours(true) => "ipv6",
        LimitSubject::Neighbours(false) => "ipv4",
    }
}

/// Label of a namespace: the same after a restart.
pub(super) fn netns_label(snap: &Snapshot, netns: u16) -> String {
    snap.sample.namespaces.get(usize::from(netns)).map_or("", |n| n.name_without_pid()).to_owned()
}

/// Labels of a limit: kind, class of its owner, namespace.
pub(super) fn limit_labels(snap: &Snapshot, l: &Limit) -> [String; 3] {
    [l.kind.info().name.to_owned(), subject_class(&l.subject).to_owned(), netns_label(snap, l.netns)]
}

fn limit_group(l: &Limit) -> LimitGroup {
    let share = l.share();
    LimitGroup {
        used: l.used,
        max: l.capacity().filter(|_| share.is_some()),
        share: share.unwrap_or(0.0),
        full_s: l.full_in.map(|f| f.likely),
    }
}

fn grouped<const N: usize>(
    rows: impl Iterator<Item = ([String; N], LimitGroup)>,
    top: usize,
) -> Vec<([String; N], LimitGroup)> {
    let mut groups: FxHashMap<[String; N], LimitGroup> = FxHashMap::default();
    for (labels, one) in rows {
        groups.entry(labels).or_default().merge(one);
    }
    top_groups(groups, top)
}

/// Groups of limits. What is beyond the first is grouped by kind: usages of different kinds have no sum.
pub(super) fn limit_groups(snap: &Snapshot, top: usize) -> LimitGroups {
    let row = |l| (limit_labels(snap, l), limit_group(l));
    let mut out = grouped(snap.limits.iter().map(row), top);
    if out.pop_if(|(labels, _)| labels[0] == OTHER).is_some() {
        let kept: FxHashSet<[String; 3]> = out.iter().map(|(labels, _)| labels.clone()).collect();
        let rest = snap.limits.iter().map(row).filter(|(labels, _)| !kept.contains(labels));
        let by_kind = rest.map(|([kind, ..], g)| ([kind, OTHER.into(), OTHER.into()], g));
        out.extend(grouped(by_kind, usize::MAX));
    }
    out
}

/// Groups of ephemeral ports: class of the destination, or `bind`; protocol; namespace.
pub(super) fn ephemeral_groups(snap: &Snapshot, top: usize) -> LimitGroups {
    let rows = snap.limits.iter().filter(|l| l.kind == LimitKind::Ports).filter_map(|l| {
        let (class, proto) = match &l.subject {
            LimitSubject::Route(_, to) => (to.addr.scope().name(), "tcp"),
            LimitSubject::LocalPorts(proto, _) => ("bind", proto.name()),
            _ => return None,
        };
        Some(([class.to_owned(), proto.to_owned(), netns_label(snap, l.netns)], limit_group(l)))
    });
    grouped(rows, top)
}

fn points(groups: &LimitGroups, value: impl Fn(&LimitGroup) -> Option<f64>) -> Vec<Point> {
    let each = groups.iter();
    each.filter_map(|(labels, g)| Some(Point::new(labels.iter().map(String::as_str), value(g)?))).collect()
}

pub(super) fn used(g: &LimitGroups) -> Vec<Point> {
    points(g, |l| Some(l.used as f64))
}

pub(super) fn max(g: &LimitGroups) -> Vec<Point> {
    points(g, |l| l.max.map(|m| m as f64))
}

pub(super) fn full_seconds(g: &LimitGroups) -> Vec<Point> {
    points(g, |l| l.full_s)
}
