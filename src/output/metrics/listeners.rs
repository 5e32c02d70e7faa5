//! Listeners: accept queues, clients, drops and exposure; port forwards.

use super::limits::netns_label;
use super::series::{Group, Point, top_groups};
use crate::model::snapshot::Port;
use crate::model::{Forward, Snapshot, State};
use rustc_hash::{FxHashMap, FxHashSet};

/// Label value of a port that the kernel chose.
const EPHEMERAL: &str = "ephemeral";

/// Listeners with the same labels: protocol, endpoint, scope, command, namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct ListenerGroup {
    /// Usage, length and capacity of the fullest accept queue.
    queue: Option<(f64, u64, u64)>,
    clients: u64,
}

/// Groups with their labels.
pub(super) type ListenerGroups = Vec<([String; 5], ListenerGroup)>;

impl Group for ListenerGroup {
    fn merge(&mut self, other: Self) {
        self.queue = self.queue.into_iter().chain(other.queue).max_by(|a, b| a.0.total_cmp(&b.0));
        self.clients += other.clients;
    }

    fn pressure(&self) -> [f64; 3] {
        [self.queue.map_or(0.0, |q| q.0), self.clients as f64, 0.0]
    }
}

/// Returns whether the kernel chose the port. If that was not read, those of the ephemeral range count as such.
fn is_ephemeral(snap: &Snapshot, p: &Port) -> bool {
    let chosen = p.sockets.iter().filter_map(|row| snap.get_socket(*row as usize)?.auto_port);
    if let Some(auto) = chosen.reduce(|a, b| a || b) {
        return auto;
    }
    let nets = snap.sample.counters.iter().flat_map(|c| &c.nets);
    let of_netns = nets.filter(|n| n.netns == p.netns).find_map(|n| n.ports);
    let range = of_netns.map(|(low, high, _)| (low, high)).or(snap.system().local_ports);
    range.is_none_or(|(low, high)| (low..=high).contains(&p.local.port))
}

fn is_listener(p: &Port) -> bool {
    p.state == State::Listen
}

/// Labels of a listener: protocol, endpoint, scope, command of its first process, namespace. A port that the kernel chose has no
/// number.
pub(super) fn listener_labels(snap: &Snapshot, p: &Port) -> [String; 5] {
    let addr = if p.local.addr.is_v4() { p.local.addr.to_string() } else { format!("[{}]", p.local.addr) };
    let local = if is_ephemeral(snap, p) {
        format!("{addr}:{EPHEMERAL}")
    } else {
        format!("{addr}:{}", p.local.port)
    };
    let process = p.processes.first().and_then(|i| snap.sample.processes.get(*i as usize));
    [
        p.proto.name().to_owned(),
        local,
        p.scope.name().to_owned(),
        process.map_or(String::new(), |p| p.info.name().into_owned()),
        netns_label(snap, p.netns),
    ]
}

/// Listeners of a snapshot.
pub(super) fn listeners(snap: &Snapshot) -> impl Iterator<Item = &Port> {
    snap.ports.iter().filter(|p| is_listener(p))
}

/// Groups of listeners.
pub(super) fn listener_groups(snap: &Snapshot, top: usize) -> ListenerGroups {
    let mut groups: FxHashMap<[String; 5], ListenerGroup> = FxHashMap::default();
    for p in listeners(snap) {
        // The kernel admits one connection more than the backlog.
        let queue = p.fullest.map(|q| (q.share(), q.waiting, q.backlog.saturating_add(1)));
        let one = ListenerGroup { queue, clients: p.clients.len() as u64 };
        groups.entry(listener_labels(snap, p)).or_default().merge(one);
    }
    top_groups(groups, top)
}

fn points(g: &ListenerGroups, value: impl Fn(&ListenerGroup) -> Option<f64>) -> Vec<Point> {
    let each = g.iter();
    each.filter_map(|(labels, l)| Some(Point::new(labels.iter().map(String::as_str), value(l)?))).collect()
}

pub(super) fn queue(g: &ListenerGroups) -> Vec<Point> {
    points(g, |l| l.queue.map(|q| q.1 as f64))
}

/// Capacities, where the backend reports them.
pub(super) fn queue_max(snap: &Snapshot, g: &ListenerGroups) -> Vec<Point> {
    if !snap.sample.backend.backend.reports_backlogs() {
        return Vec::new();
    }
    points(g, |l| l.queue.map(|q| q.2 as f64))
}

pub(super) fn clients(g: &ListenerGroups) -> Vec<Point> {
    points(g, |l| Some(l.clients as f64))
}

/// Number of rows.
#[derive(Default)]
struct Count(u64);

impl Group for Count {
    fn merge(&mut self, other: Self) {
        self.0 += other.0;
    }

    fn pressure(&self) -> [f64; 3] {
        [self.0 as f64, 0.0, 0.0]
    }
}

/// Listeners, and bound datagram sockets whose port the kernel did not choose, by reachability.
pub(super) fn exposure(snap: &Snapshot, top: usize) -> Vec<Point> {
    let mut groups: FxHashMap<[String; 3], Count> = FxHashMap::default();
    for p in snap.ports.iter().filter(|p| is_listener(p) || !is_ephemeral(snap, p)) {
        let labels = [p.proto.name().to_owned(), p.scope.name().to_owned(), netns_label(snap, p.netns)];
        groups.entry(labels).or_default().0 += 1;
    }
    let each = top_groups(groups, top).into_iter();
    each.map(|(labels, n)| Point::new(labels, n.0 as f64)).collect()
}

/// Forwards with the same labels: protocol, port, mechanism, namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct ForwardGroup {
    dead: Option<u64>,
    clients: u64,
}

/// Groups with their labels.
pub(super) type ForwardGroups = Vec<([String; 4], ForwardGroup)>;

impl Group for ForwardGroup {
    fn merge(&mut self, other: Self) {
        self.dead = self.dead.into_iter().chain(other.dead).reduce(|a, b| a + b);
        self.clients += other.clients;
    }

    fn pressure(&self) -> [f64; 3] {
        [self.dead.unwrap_or(0) as f64, self.clients as f64, 0.0]
    }
}

/// Port of a forward as text: a rule can forward a range, or every port.
fn forwarded_port(f: &Forward, ephemeral: &FxHashSet<(u16, u16)>) -> String {
    match (f.host.port, f.last_port) {
        (0, _) => "any".to_owned(),
        (port, last) if last > port => format!("{port}-{last}"),
        (port, _) if ephemeral.contains(&(f.netns, port)) => EPHEMERAL.to_owned(),
        (port, _) => port.to_string(),
    }
}

/// Groups of forwards.
pub(super) fn forward_groups(snap: &Snapshot, top: usize) -> ForwardGroups {
    // A proxy such as `kubectl port-forward :80` listens on a port that the kernel chose.
    let chosen = snap.ports.iter().filter(|p| is_ephemeral(snap, p)).map(|p| (p.netns, p.local.port));
    let ephemeral: FxHashSet<(u16, u16)> = chosen.collect();
    let mut groups: FxHashMap<[String; 4], ForwardGroup> = FxHashMap::default();
    for f in snap.forward_rows() {
        let via = f.known_via().next().map_or("", |v| v.kind.name());
        let labels = [
            f.proto.map_or("any", |p| p.name()).to_owned(),
            forwarded_port(f, &ephemeral),
            via.to_owned(),
            netns_label(snap, f.netns),
        ];
        let one = ForwardGroup { dead: f.listens.map(|l| u64::from(!l)), clients: u64::from(f.clients) };
        groups.entry(labels).or_default().merge(one);
    }
    top_groups(groups, top)
}

pub(super) fn forward_dead(g: &ForwardGroups) -> Vec<Point> {
    let each = g.iter();
    each.filter_map(|(labels, f)| Some(Point::new(labels.iter().map(String::as_str), f.dead? as f64)))
        .collect()
}

pub(super) fn forward_clients(g: &ForwardGroups) -> Vec<Point> {
    let each = g.iter();
    each.map(|(labels, f)| Point::new(labels.iter().map(String::as_str), f.clients as f64)).collect()
}
