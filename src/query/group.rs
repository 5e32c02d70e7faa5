//! Groups of rows.

use super::order::SortKey;
use super::view::View;
use super::{Column, Kind, QueryError, Table, Value, error, format};
use crate::model::snapshot::Direction;
use crate::model::{Addr, Endpoint, Family, Proto, Snapshot, State, StateCounts};
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// A served endpoint with more connections than this in one state has a group of its own there.
const HANDFUL: usize = 3;

/// By what rows are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// By state and, inside a state, by served endpoint.
    State,
    /// By local endpoint.
    Local,
    /// By remote address.
    Remote,
    /// By owning process.
    Process,
    /// By what a column says.
    Column(&'static Column),
}

impl GroupBy {
    /// From a word: `state`, `local`, `remote`, `process` or the name of a column.
    pub fn parse(word: &str, table: &'static Table) -> Result<Self, QueryError> {
        if table.name == "list" {
            for (name, by) in [
                ("state", Self::State),
                ("local", Self::Local),
                ("remote", Self::Remote),
                ("process", Self::Process),
            ] {
                if word.eq_ignore_ascii_case(name) {
                    return Ok(by);
                }
            }
        }
        error::column(word, table).map(Self::Column)
    }

    /// The word for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Process => "process",
            Self::Column(c) => c.name,
        }
    }
}

/// One group of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its identity from poll to poll: a hash of what it is grouped by.
    pub id: u64,
    /// 0 for a group, 1 for a group within one.
    pub depth: u8,
    /// What it is called: `CLOSE_WAIT`, `0.0.0.0:443`. Raw: whoever shows it escapes it.
    pub title: String,
    /// A filter that lets through just its rows, within the group around it: `state:close-wait`.
    pub filter: Option<String>,
    /// Where its rows begin in [`super::view::Arranged::rows`].
    pub start: u32,
    /// How many they are.
    pub len: u32,
    /// Its rows by state; of sockets only.
    pub states: StateCounts,
    /// Bytes received and not read, listeners apart.
    pub recv_q: u64,
    /// Bytes not acknowledged, listeners apart.
    pub send_q: u64,
    /// Bytes received a second.
    pub rx: Option<f64>,
    /// Bytes sent a second.
    pub tx: Option<f64>,
    /// Different remote addresses.
    pub hosts: u32,
    /// A line on what it means.
    pub note: Option<&'static str>,
}

/// What the rows of one group have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    State(State),
    Endpoint(Proto, Endpoint),
    Addr(Addr),
    /// Pid, start, name.
    Process(u32, u64, String),
    /// What a column shows.
    Text(String),
    /// Nothing there; last.
    None(String),
}

/// Puts rows that are in order into groups: reorders them and tells the groups.
pub(super) fn arrange(rows: &mut Vec<u32>, snap: &Snapshot, view: &View, by: GroupBy) -> Vec<Group> {
    let order = view.order();
    let mut buckets = split(rows, |r| key(snap, view, by, r));
    let sort = Sort { first: order.first().copied(), chosen: !view.sort.is_empty(), by };
    let mut summed: Vec<(Key, Vec<u32>, Group)> = buckets
        .drain(..)
        .map(|(k, of)| {
            let g = sum(&k, &of, snap, view, by, 0, 0);
            (k, of, g)
        })
        .collect();
    summed.sort_by(|a, b| sort.compare(a, b));
    let around = Around { snap, view, sort, listeners: Listeners::new(snap) };
    let mut groups = Vec::new();
    rows.clear();
    for (key, of, mut group) in summed {
        group.start = rows.len() as u32;
        let id = group.id;
        groups.push(group);
        if by == GroupBy::State && matches!(key, Key::State(s) if s != State::Listen) {
            served(rows, &mut groups, of, id, &around);
        } else {
            rows.extend(of);
        }
    }
    groups
}

/// What grouping within a group looks at.
struct Around<'a> {
    snap: &'a Snapshot,
    view: &'a View,
    sort: Sort,
    listeners: Listeners,
}

/// Within a state: the connections of each served endpoint that has more than a handful, then the others.
fn served(rows: &mut Vec<u32>, groups: &mut Vec<Group>, of: Vec<u32>, outer: u64, around: &Around<'_>) {
    let Around { snap, view, sort, listeners } = around;
    let inbound = |r: &u32| snap.facts[*r as usize].direction == Direction::In;
    let accepted: Vec<u32> = of.iter().copied().filter(inbound).collect();
    let mut buckets = split(&accepted, |r| {
        let s = snap.socket(r);
        Key::Endpoint(s.proto, listeners.of(s.proto, s.local))
    });
    buckets.retain(|(_, of)| of.len() > HANDFUL);
    let grouped: FxHashSet<u32> = buckets.iter().flat_map(|(_, of)| of.iter().copied()).collect();
    let mut summed: Vec<(Key, Vec<u32>, Group)> = buckets
        .into_iter()
        .map(|(k, of)| {
            let mut g = sum(&k, &of, snap, view, GroupBy::Local, 1, outer);
            if let Key::Endpoint(proto, e) = &k
                && e.addr.is_any()
            {
                g.filter = Some(format!("proto:{} local_port:{} direction:in", proto.name(), e.port));
            }
            (k, of, g)
        })
        .collect();
    let sort = Sort { by: GroupBy::Local, ..*sort };
    summed.sort_by(|a, b| sort.compare(a, b));
    // Rows outside a group stand before the groups within, so that every group is one range.
    rows.extend(of.into_iter().filter(|r| !grouped.contains(r)));
    for (_, of, mut group) in summed {
        group.start = rows.len() as u32;
        groups.push(group);
        rows.extend(of);
    }
}

/// The endpoints that are served.
struct Listeners(FxHashSet<(Proto, Endpoint)>);

impl Listeners {
    fn new(snap: &Snapshot) -> Self {
        Self(snap.ports.iter().map(|p| (p.proto, p.local)).collect())
    }

    /// The endpoint that took a connection in: the same address, else the wildcard.
    fn of(&self, proto: Proto, local: Endpoint) -> Endpoint {
        let any = |a| Endpoint::new(a, local.port);
        let like = if local.addr.is_v4() { [Addr::ANY4, Addr::ANY6] } else { [Addr::ANY6, Addr::ANY4] };
        [local, any(like[0]), any(like[1])]
            .into_iter()
            .find(|e| self.0.contains(&(proto, *e)))
            .unwrap_or(local)
    }
}

/// Rows by key; keys in the order in which they first occur, rows within as they were.
fn split(rows: &[u32], key: impl Fn(usize) -> Key) -> Vec<(Key, Vec<u32>)> {
    let mut index: FxHashMap<Key, usize> = FxHashMap::default();
    let mut out: Vec<(Key, Vec<u32>)> = Vec::new();
    for r in rows {
        let k = key(*r as usize);
        if let Some(i) = index.get(&k) {
            out[*i].1.push(*r);
        } else {
            index.insert(k.clone(), out.len());
            out.push((k, vec![*r]));
        }
    }
    out
}

fn key(snap: &Snapshot, view: &View, by: GroupBy, row: usize) -> Key {
    let ip = |f: Family| matches!(f, Family::Inet | Family::Inet6);
    let by_column = |name: &str| {
        let column = view.table.column(name);
        column.map_or_else(|| Key::None(String::new()), |c| column_key(c, snap, row))
    };
    match by {
        GroupBy::State => Key::State(snap.socket(row).state),
        GroupBy::Local => {
            let s = snap.socket(row);
            if ip(s.family) { Key::Endpoint(s.proto, s.local) } else { by_column("local") }
        }
        GroupBy::Remote => {
            let s = snap.socket(row);
            if ip(s.family) && !s.remote.is_none() {
                Key::Addr(s.remote.addr)
            } else {
                Key::None("no peer".to_owned())
            }
        }
        GroupBy::Process => match snap.owners(row).first() {
            Some(o) => {
                let p = &snap.process(o).info;
                Key::Process(p.pid, p.start_ns, p.comm.to_string())
            }
            None => match snap.former(row) {
                Some(f) => Key::None(format!("was {} {}", f.comm, f.pid)),
                None => {
                    Key::None(snap.facts[row].owner_missing.map_or("no process", |m| m.reason()).to_owned())
                }
            },
        },
        GroupBy::Column(c) => column_key(c, snap, row),
    }
}

fn column_key(c: &Column, snap: &Snapshot, row: usize) -> Key {
    match c.value(snap, row) {
        Value::Missing(m) => Key::None(m.reason().to_owned()),
        Value::State(s) => Key::State(s),
        Value::Addr(a) => Key::Addr(a),
        v => Key::Text(format::exact(&v)),
    }
}

/// How groups are ordered.
#[derive(Clone, Copy)]
struct Sort {
    first: Option<SortKey>,
    chosen: bool,
    by: GroupBy,
}

impl Sort {
    fn compare(&self, a: &(Key, Vec<u32>, Group), b: &(Key, Vec<u32>, Group)) -> Ordering {
        let by_key = || a.0.cmp(&b.0);
        if self.by == GroupBy::State {
            return by_key();
        }
        let none = |k: &Key| matches!(k, Key::None(_));
        let turn = |o: Ordering, descending: bool| if descending { o.reverse() } else { o };
        let own = match (self.chosen, self.first) {
            (true, Some(k)) => match k.column.name {
                "rx" => float(a.2.rx, b.2.rx, k.descending),
                "tx" => float(a.2.tx, b.2.tx, k.descending),
                "recv_q" => turn(a.2.recv_q.cmp(&b.2.recv_q), k.descending),
                "send_q" => turn(a.2.send_q.cmp(&b.2.send_q), k.descending),
                name if name == self.by.name() => turn(by_key(), k.descending),
                // As their first rows stand: the rows came in order, and `sort_by` is stable.
                _ => return none(&a.0).cmp(&none(&b.0)),
            },
            _ => b.2.len.cmp(&a.2.len),
        };
        none(&a.0).cmp(&none(&b.0)).then(own).then_with(by_key)
    }
}

fn float(a: Option<f64>, b: Option<f64>, descending: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => {
            if descending {
                b.total_cmp(&a)
            } else {
                a.total_cmp(&b)
            }
        }
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

fn sum(key: &Key, of: &[u32], snap: &Snapshot, view: &View, by: GroupBy, depth: u8, outer: u64) -> Group {
    let mut hasher = FxHasher::default();
    (view.table.name, by.name(), depth, outer).hash(&mut hasher);
    key.hash(&mut hasher);
    let mut out = Group {
        id: hasher.finish(),
        depth,
        title: title(key),
        filter: filter(key, by),
        start: 0,
        len: of.len() as u32,
        states: StateCounts::default(),
        recv_q: 0,
        send_q: 0,
        rx: None,
        tx: None,
        hosts: 0,
        note: match key {
            Key::State(s) => Some(s.info().meaning),
            _ => None,
        },
    };
    if view.table.name == "list" {
        let mut hosts: FxHashSet<Addr> = FxHashSet::default();
        for r in of {
            let s = snap.socket(*r as usize);
            out.states.add(s.state);
            if !s.is_listener() {
                out.recv_q += u64::from(s.recv_q);
                out.send_q += u64::from(s.send_q);
            }
            let rates = snap.rates(*r as usize);
            out.rx = add(out.rx, rates.rx.map(f64::from));
            out.tx = add(out.tx, rates.tx.map(f64::from));
            if matches!(s.family, Family::Inet | Family::Inet6) && !s.remote.is_none() {
                hosts.insert(s.remote.addr);
            }
        }
        out.hosts = hosts.len() as u32;
    } else {
        let number = |name: &str, r: u32| {
            view.table
                .column(name)
                .filter(|c| c.kind == Kind::BytesPerSec)
                .and_then(|c| c.value(snap, r as usize).number())
        };
        for r in of {
            out.rx = add(out.rx, number("rx", *r));
            out.tx = add(out.tx, number("tx", *r));
        }
    }
    out
}

fn add(sum: Option<f64>, one: Option<f64>) -> Option<f64> {
    match (sum, one) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

fn title(key: &Key) -> String {
    match key {
        Key::State(s) => s.name().to_owned(),
        Key::Endpoint(_, e) => e.to_string(),
        Key::Addr(a) => a.to_string(),
        Key::Process(pid, _, comm) => format!("{comm} {pid}"),
        Key::Text(s) | Key::None(s) => s.clone(),
    }
}

/// A filter that lets through just the rows of a group, where there is one.
fn filter(key: &Key, by: GroupBy) -> Option<String> {
    Some(match (key, by) {
        (Key::State(s), _) => format!("{}:{}", by.name(), s.name().to_ascii_lowercase().replace('_', "-")),
        (Key::Endpoint(proto, e), _) if e.addr.is_v4() => {
            format!("proto:{} local:{}:{}", proto.name(), e.addr, e.port)
        }
        (Key::Endpoint(proto, e), _) => format!("proto:{} local:[{}]:{}", proto.name(), e.addr, e.port),
        (Key::Addr(a), GroupBy::Remote) => format!("remote:{a}"),
        (Key::Addr(a), _) => format!("{}:{a}", by.name()),
        (Key::Process(pid, ..), _) => format!("pid:{pid}"),
        (Key::Text(s), _) => format!("{}={}", by.name(), super::filter::quote(s)),
        // `none` would let through what is missing for other reasons too.
        (Key::None(_), _) => return None,
    })
}
