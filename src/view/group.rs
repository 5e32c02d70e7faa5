//! Groups of rows.

mod services;

pub use services::Service;

use super::sort::SortKey;
use crate::format::{self, Column, Kind, Role, Value};
use crate::model::lang::{noop, tr};
use crate::model::snapshot::Direction;
use crate::model::{Addr, Endpoint, Family, Missing, Proto, Snapshot, State, StateCounts};
use crate::msg;
use crate::table::{Grouping, HOSTNAME_COLUMN, QueryError, Table, error};
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};

/// Connections above which a listening endpoint gets its own group within a state.
const MIN_CLIENTS: usize = 3;
/// The same for a remote endpoint; higher, so that small connection pools are listed one by one.
const MIN_POOL: usize = 8;

/// Grouping of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// By state and, within a state, by the listening endpoint, local or remote.
    State,
    /// By local endpoint.
    Local,
    /// By remote address.
    Remote,
    /// By owning process.
    Process,
    /// By the value of a column.
    Column(&'static Column),
    /// By the values of several columns.
    Columns(Several),
}

/// Most columns of one grouping.
const SEVERAL_MAX: usize = 8;

/// Columns whose values together are the key of a group, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Several([Option<&'static Column>; SEVERAL_MAX]);

impl Several {
    /// The columns.
    pub fn columns(&self) -> impl Iterator<Item = &'static Column> + '_ {
        self.0.iter().flatten().copied()
    }
}

impl GroupBy {
    /// Parses a grouping: `state`, `local`, `remote`, `process`, a column name, or several of them with commas.
    pub fn parse(text: &str, table: &'static Table) -> Result<Self, QueryError> {
        if !text.contains(',') {
            return Self::parse_one(text, table);
        }
        let mut several = Several([None; SEVERAL_MAX]);
        for word in text.split(',') {
            for column in Self::parse_one(word.trim(), table)?.key_columns(table) {
                if several.columns().any(|c| c == column) {
                    continue;
                }
                let free = several.0.iter_mut().find(|c| c.is_none());
                *free.ok_or(QueryError::TooManyGroups(SEVERAL_MAX))? = Some(column);
            }
        }
        Ok(Self::Columns(several))
    }

    fn parse_one(word: &str, table: &'static Table) -> Result<Self, QueryError> {
        if table.is_sockets() {
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

    /// The columns with the grouped values, for the data they need.
    pub fn columns(&self, table: &'static Table) -> Vec<&'static Column> {
        match self {
            Self::Column(c) => vec![c],
            Self::Columns(several) => several.columns().collect(),
            by => table.column(by.name()).into_iter().collect(),
        }
    }

    /// Columns of the key in a row per group.
    pub(super) fn key_columns(&self, table: &'static Table) -> Vec<&'static Column> {
        let names: &[&str] = match self {
            Self::State => &["state"],
            Self::Local => &["proto", "local"],
            Self::Remote => &["remote_addr"],
            Self::Process => &["process", "pid"],
            Self::Column(_) | Self::Columns(_) => return self.columns(table),
        };
        names.iter().filter_map(|n| table.column(n)).collect()
    }

    /// Name of the grouping.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Process => "process",
            Self::Column(c) => c.name,
            Self::Columns(_) => "columns",
        }
    }
}

/// The grouping of a view with this name: one that the view offers, or by any column, or by several.
pub fn grouping_named(text: &str, table: &'static Table) -> Option<Grouping> {
    let by = GroupBy::parse(text, table).ok()?;
    let is_offered = |g: &&Grouping| g.name.and_then(|n| GroupBy::parse(n, table).ok()) == Some(by);
    match (table.groupings.iter().find(is_offered), by) {
        (Some(offered), _) => Some(*offered),
        (None, GroupBy::Columns(_)) => {
            // A name that a person typed: few and short, and kept as long as the program runs.
            let name: &'static str = Box::leak(text.to_owned().into_boxed_str());
            Some(Grouping::by(name, name))
        }
        (None, by) => Some(Grouping::by(by.name(), by.name())),
    }
}

/// One group of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Identity across polls: a hash of its key.
    pub id: u64,
    /// 0 for a group, 1 for a group within one.
    pub depth: u8,
    /// Index of its host, if its value means something on one host only: of a snapshot of several hosts.
    pub host: Option<u16>,
    /// Common value of its rows.
    pub key: Key,
    /// Index of its first row in [`super::Arranged::rows`].
    pub start: u32,
    /// Number of rows.
    pub len: u32,
    /// Rows by state, without those that have just closed; sockets only.
    pub states: StateCounts,
    /// Receive queue in bytes, without listeners.
    pub recv_q: u64,
    /// Send queue in bytes, without listeners.
    pub send_q: u64,
    /// Receive rate, bytes/s.
    pub rx: Option<f64>,
    /// Send rate, bytes/s.
    pub tx: Option<f64>,
    /// Distinct remote addresses.
    pub hosts: u32,
    /// One-line explanation.
    pub note: Option<&'static str>,
}

/// Common value of the rows of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A state.
    State(State),
    /// A local endpoint.
    Local(Proto, Endpoint),
    /// Listening endpoint of incoming connections.
    Listener(Proto, Endpoint),
    /// Remote endpoint of outgoing connections.
    To(Proto, Endpoint),
    /// A remote address, or the value of an address column.
    Addr(Addr),
    /// IPv4 and IPv6 sockets of one service, without a peer.
    Service(Service),
    /// A link-local address or endpoint with its interface.
    Zoned(Option<Proto>, String),
    /// A process, by its row in the snapshot.
    Process(u32),
    /// Value of a column.
    Text(String),
    /// Values of several columns.
    Several(Vec<Self>),
    /// Missing value with its reason; sorted last.
    None(String),
}

/// Groups sorted rows: reorders them and returns the groups.
pub(crate) fn arrange(
    rows: &mut Vec<u32>,
    snap: &Snapshot,
    table: &'static Table,
    sort: &[SortKey],
    by: GroupBy,
) -> Vec<Group> {
    let default = super::sort::default(table);
    let first = sort.first().or(default.first()).copied();
    let own_order = sort.is_empty() || sort == default;
    let named = table.groupings.iter().find(|g| g.name == Some(by.name()));
    let by_first_row = named.is_some_and(|g| g.by_first_row);
    let grouper = Grouper {
        snap,
        table,
        by,
        sort: Sort { first, chosen: !sort.is_empty(), by, by_first_row },
        listeners: Listeners::new(snap),
    };
    let buckets = if by == GroupBy::State {
        let state = |r| {
            let (snap, row) = snap.at(table.id, r);
            snap.socket(row).state
        };
        Buckets::new(rows, state).map(|s| (None, Key::State(s)))
    } else {
        Buckets::new(rows, |r| host_key(snap, table, by, r))
    };
    let mut summed: Vec<(Group, &[u32])> =
        buckets.iter().map(|(k, members)| (grouper.sum(k.clone(), members, 0, 0), members)).collect();
    // Their numbers are sorted: a group is large, and there can be as many as rows.
    let mut order: Vec<u32> = (0..summed.len() as u32).collect();
    order.sort_by(|a, b| grouper.sort.compare(&summed[*a as usize].0, &summed[*b as usize].0));
    let mut summed: Vec<Option<(Group, &[u32])>> = summed.drain(..).map(Some).collect();
    let mut groups = Vec::with_capacity(summed.len());
    rows.clear();
    for i in order {
        let Some((mut group, members)) = summed[i as usize].take() else { continue };
        group.start = rows.len() as u32;
        let (id, nested) =
            (group.id, by == GroupBy::State && !matches!(group.key, Key::State(State::Listen)));
        groups.push(group);
        if nested {
            grouper.nest(rows, &mut groups, members, id);
            continue;
        }
        if by != GroupBy::State {
            rows.extend(members);
            continue;
        }
        let mut listeners = members.to_vec();
        if own_order {
            // By port, IPv4 and IPv6 adjacent.
            listeners.sort_by_key(|r| {
                let (snap, row) = grouper.at(*r);
                let s = snap.socket(row);
                (s.local.port, s.proto)
            });
        }
        grouper.fold_services(rows, &mut groups, &listeners, id);
    }
    groups
}

/// Rows by key: keys in the order of first occurrence, rows within a key in their previous order.
struct Buckets<K> {
    keys: Vec<K>,
    starts: Vec<u32>,
    rows: Vec<u32>,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(rows: &[u32], key: impl Fn(usize) -> K) -> Self {
        let mut index: FxHashMap<K, u32> = FxHashMap::default();
        let mut keys = Vec::new();
        let buckets: Vec<u32> = rows
            .iter()
            .map(|r| match index.entry(key(*r as usize)) {
                Entry::Occupied(e) => *e.get(),
                Entry::Vacant(e) => {
                    keys.push(e.key().clone());
                    *e.insert(keys.len() as u32 - 1)
                }
            })
            .collect();
        let (starts, rows) = place(rows, &buckets, keys.len());
        Self { keys, starts, rows }
    }

    fn map<T>(self, f: impl Fn(K) -> T) -> Buckets<T> {
        Buckets { keys: self.keys.into_iter().map(f).collect(), starts: self.starts, rows: self.rows }
    }
}

impl<K> Buckets<K> {
    fn iter(&self) -> impl Iterator<Item = (&K, &[u32])> {
        self.keys
            .iter()
            .zip(self.starts.windows(2))
            .map(|(k, w)| (k, &self.rows[w[0] as usize..w[1] as usize]))
    }
}

/// Rows in the order of their buckets, and the start of each bucket; one more at the end.
fn place(rows: &[u32], bucket_by_row: &[u32], count: usize) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; count + 1];
    for b in bucket_by_row {
        starts[*b as usize + 1] += 1;
    }
    for i in 1..starts.len() {
        starts[i] += starts[i - 1];
    }
    let mut next = starts.clone();
    let mut out = vec![0u32; rows.len()];
    for (r, b) in rows.iter().zip(bucket_by_row) {
        out[next[*b as usize] as usize] = *r;
        next[*b as usize] += 1;
    }
    (starts, out)
}

/// Listening endpoints, by the index of their host.
struct Listeners(FxHashSet<(usize, Proto, Endpoint)>);

impl Listeners {
    fn new(snap: &Snapshot) -> Self {
        let of = |(host, snap): (usize, &Snapshot)| -> Vec<_> {
            snap.ports.iter().map(|p| (host, p.proto, p.local)).collect()
        };
        Self(snap.each_host().enumerate().flat_map(of).collect())
    }

    /// The listening endpoint of an incoming connection: the same address, else the wildcard.
    fn listening_endpoint(&self, host: usize, proto: Proto, local: Endpoint) -> Endpoint {
        let any = |a| Endpoint::new(a, local.port);
        let like = if local.addr.is_v4() { [Addr::ANY4, Addr::ANY6] } else { [Addr::ANY6, Addr::ANY4] };
        [local, any(like[0]), any(like[1])]
            .into_iter()
            .find(|e| self.0.contains(&(host, proto, *e)))
            .unwrap_or(local)
    }
}

fn is_ip(f: Family) -> bool {
    matches!(f, Family::Inet | Family::Inet6)
}

/// Key of a row, and the index of its host if the same key on another host is another thing: a pid, a listening endpoint.
fn host_key(snap: &Snapshot, table: &Table, by: GroupBy, row: usize) -> (Option<u16>, Key) {
    let (on, at) = snap.at(table.id, row);
    let mut key = key(on, table, by, at);
    if snap.merged.is_none() {
        return (None, key);
    }
    let host = snap.host_index(table.id, row);
    let of_host = match (&key, by) {
        (Key::None(_), _) => false,
        (Key::Process(_) | Key::Zoned(..) | Key::Local(..), _) | (_, GroupBy::Local) => true,
        (_, GroupBy::Column(c)) => c.kind == Kind::Id,
        (_, GroupBy::Columns(several)) => {
            several.columns().any(|c| matches!(c.kind, Kind::Id | Kind::Endpoint))
        }
        _ => false,
    };
    if let Key::Process(p) = &mut key {
        *p = snap.process_number(host, *p);
    }
    (of_host.then_some(host as u16), key)
}

fn key(snap: &Snapshot, table: &Table, by: GroupBy, row: usize) -> Key {
    let by_column = |name: &str| {
        let column = table.column(name);
        column.map_or_else(|| Key::None(String::new()), |c| column_key(c, snap, row))
    };
    match by {
        GroupBy::State => Key::State(snap.socket(row).state),
        GroupBy::Local => {
            let s = snap.socket(row);
            match is_ip(s.family) {
                true if s.zone_index(&s.local.addr) != 0 => {
                    Key::Zoned(Some(s.proto), snap.end_text(s, &s.local))
                }
                true => Key::Local(s.proto, s.local),
                false => by_column("local"),
            }
        }
        GroupBy::Remote => {
            let s = snap.socket(row);
            let peer = is_ip(s.family) && !s.remote.is_none();
            match snap.zone(s, &s.remote.addr) {
                _ if !peer => Key::None(noop("no peer").to_owned()),
                Some(zone) => Key::Zoned(None, format!("{}%{zone}", s.remote.addr)),
                None => Key::Addr(s.remote.addr),
            }
        }
        GroupBy::Process => match snap.owners(row).first() {
            Some(o) => Key::Process(o.process),
            None => match snap.last_owner(row) {
                Some(f) => Key::None(format!("was {} {}", f.comm, f.pid)),
                None => Key::None(
                    snap.facts[row].owner_missing.map_or(noop("no process"), Missing::reason).to_owned(),
                ),
            },
        },
        GroupBy::Column(c) => column_key(c, snap, row),
        GroupBy::Columns(several) => {
            Key::Several(several.columns().map(|c| column_key(c, snap, row)).collect())
        }
    }
}

fn column_key(c: &Column, snap: &Snapshot, row: usize) -> Key {
    match c.value(snap, row) {
        Value::Missing(m) => Key::None(m.reason().to_owned()),
        Value::State(s) => Key::State(s),
        Value::Addr(a) => Key::Addr(a),
        v @ Value::Zoned { .. } => Key::Zoned(None, format::exact(&v)),
        v => Key::Text(format::exact(&v)),
    }
}

/// Order of groups.
#[derive(Clone, Copy)]
struct Sort {
    first: Option<SortKey>,
    chosen: bool,
    by: GroupBy,
    by_first_row: bool,
}

impl Sort {
    fn compare(&self, a: &Group, b: &Group) -> Ordering {
        let by_key = || a.key.cmp(&b.key).then(a.host.cmp(&b.host));
        if self.by == GroupBy::State {
            return by_key();
        }
        let none = |k: &Key| matches!(k, Key::None(_));
        let turn = |o: Ordering, descending: bool| if descending { o.reverse() } else { o };
        let own = match (self.chosen, self.first) {
            (true, Some(k)) => match k.column.role {
                Some(Role::Rx) => float(a.rx, b.rx, k.descending),
                Some(Role::Tx) => float(a.tx, b.tx, k.descending),
                Some(Role::RecvQ) => turn(a.recv_q.cmp(&b.recv_q), k.descending),
                Some(Role::SendQ) => turn(a.send_q.cmp(&b.send_q), k.descending),
                _ if k.column.name == self.by.name() => turn(by_key(), k.descending),
                // By their first rows: the rows are sorted, and `sort_by` is stable.
                _ => return none(&a.key).cmp(&none(&b.key)),
            },
            _ if self.by_first_row => return none(&a.key).cmp(&none(&b.key)),
            _ => b.len.cmp(&a.len),
        };
        none(&a.key).cmp(&none(&b.key)).then(own).then_with(by_key)
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

/// Inputs of grouping.
struct Grouper<'a> {
    snap: &'a Snapshot,
    table: &'static Table,
    by: GroupBy,
    sort: Sort,
    listeners: Listeners,
}

impl Grouper<'_> {
    /// Snapshot of the host of a row, and the row there.
    fn at(&self, row: u32) -> (&Snapshot, usize) {
        self.snap.at(self.table.id, row as usize)
    }

    /// Within a state: the connections of each local or remote endpoint with enough of them;
    /// the others after them, so that every group is one range.
    fn nest(&self, rows: &mut Vec<u32>, groups: &mut Vec<Group>, members: &[u32], outer: u64) {
        const ALONE: u32 = 0;
        let mut keys: Vec<(Option<u16>, Key)> = vec![(None, Key::None(String::new()))];
        let mut by_listener: FxHashMap<(usize, Proto, Endpoint), u32> = FxHashMap::default();
        let mut by_local: FxHashMap<(usize, Proto, Endpoint), u32> = FxHashMap::default();
        let mut by_remote: FxHashMap<(Proto, Endpoint), u32> = FxHashMap::default();
        let mut bucket: Vec<u32> = members
            .iter()
            .map(|r| {
                let (snap, row) = self.at(*r);
                let host = self.snap.host_index(self.table.id, *r as usize);
                let of_host = self.snap.merged.is_some().then_some(host as u16);
                let s = snap.socket(row);
                let mut add = |host, key| {
                    keys.push((host, key));
                    keys.len() as u32 - 1
                };
                match snap.facts[row].direction {
                    Direction::None => ALONE,
                    Direction::In => *by_local.entry((host, s.proto, s.local)).or_insert_with(|| {
                        let at = self.listeners.listening_endpoint(host, s.proto, s.local);
                        *by_listener
                            .entry((host, s.proto, at))
                            .or_insert_with(|| add(of_host, Key::Listener(s.proto, at)))
                    }),
                    Direction::Out => *by_remote
                        .entry((s.proto, s.remote))
                        .or_insert_with(|| add(None, Key::To(s.proto, s.remote))),
                }
            })
            .collect();
        let mut count = vec![0usize; keys.len()];
        for b in &bucket {
            count[*b as usize] += 1;
        }
        let enough =
            |i: usize| count[i] > if matches!(keys[i].1, Key::To(..)) { MIN_POOL } else { MIN_CLIENTS };
        bucket.iter_mut().filter(|b| !enough(**b as usize)).for_each(|b| *b = ALONE);
        let (starts, placed) = place(members, &bucket, keys.len());
        let range = |i: usize| &placed[starts[i] as usize..starts[i + 1] as usize];
        let mut summed: Vec<(Group, &[u32])> = (1..keys.len())
            .filter(|i| enough(*i))
            .map(|i| (self.sum(keys[i].clone(), range(i), 1, outer), range(i)))
            .collect();
        let sort = Sort { by: GroupBy::Local, ..self.sort };
        summed.sort_by(|a, b| sort.compare(&a.0, &b.0));
        for (mut group, members) in summed {
            group.start = rows.len() as u32;
            groups.push(group);
            rows.extend(members);
        }
        let alone = range(0);
        let state = |r: u32| {
            let (snap, row) = self.at(r);
            snap.socket(row).state
        };
        if alone.first().is_some_and(|r| state(*r) == State::Unconn) {
            self.fold_services(rows, groups, alone, outer);
        } else {
            rows.extend(alone);
        }
    }

    /// A group of these rows.
    fn sum(&self, (host, key): (Option<u16>, Key), members: &[u32], depth: u8, outer: u64) -> Group {
        let mut hasher = FxHasher::default();
        (self.table.id, self.by.name(), depth, outer).hash(&mut hasher);
        if let Some(host) = host {
            host.hash(&mut hasher);
        }
        match &key {
            Key::Process(p) => {
                let process = self.snap.process_row(*p as usize);
                process.map(|p| (p.info.pid, p.info.start_ns)).hash(&mut hasher);
            }
            Key::Service(service) => {
                Service { process: 0, ..*service }.hash(&mut hasher);
                let owner = self.snap.process_row(service.process as usize);
                owner.map(|p| (p.info.pid, p.info.start_ns)).hash(&mut hasher);
            }
            key => key.hash(&mut hasher),
        }
        let mut out = Group {
            id: hasher.finish(),
            host,
            depth,
            start: 0,
            len: members.len() as u32,
            states: StateCounts::default(),
            recv_q: 0,
            send_q: 0,
            rx: None,
            tx: None,
            hosts: 0,
            note: match &key {
                Key::State(s) => Some(s.info().meaning),
                Key::Service(_) => Some(noop("IPv4 and IPv6 sockets of one service")),
                _ => None,
            },
            key,
        };
        if self.table.is_sockets() {
            self.sum_sockets(&mut out, members);
            return out;
        }
        let number = |role: Role, r: u32| {
            let column = self.table.with_role(role).filter(|c| c.kind == Kind::BytesPerSec);
            let (snap, row) = self.at(r);
            column.and_then(|c| c.value(snap, row).number())
        };
        for r in members {
            out.rx = add(out.rx, number(Role::Rx, *r));
            out.tx = add(out.tx, number(Role::Tx, *r));
        }
        out
    }

    fn sum_sockets(&self, out: &mut Group, members: &[u32]) {
        // A short list is sorted, a long one hashed.
        let few = members.len() <= 32;
        let mut seen: Vec<u128> = Vec::with_capacity(if few { members.len() } else { 0 });
        let mut hosts: FxHashSet<u128> = FxHashSet::default();
        // Rows that have just closed are shown and not counted.
        for r in members.iter().filter(|r| (**r as usize) < self.snap.live) {
            let (snap, row) = self.at(*r);
            let s = snap.socket(row);
            out.states.add(s.state);
            if !s.is_listener() {
                out.recv_q += u64::from(s.recv_q);
                out.send_q += u64::from(s.send_q);
            }
            let rates = snap.rates(row);
            out.rx = add(out.rx, rates.rx.map(f64::from));
            out.tx = add(out.tx, rates.tx.map(f64::from));
            if is_ip(s.family) && !s.remote.is_none() {
                // One host per link: the interface in bits that are zero in a link-local address (RFC 4291, 2.5.6).
                let zone = u128::from(s.zone_index(&s.remote.addr)) << 64;
                let addr = u128::from_be_bytes(*s.remote.addr.octets()) ^ zone;
                if few {
                    seen.push(addr);
                } else {
                    hosts.insert(addr);
                }
            }
        }
        seen.sort_unstable();
        seen.dedup();
        out.hosts = (seen.len() + hosts.len()) as u32;
    }
}

fn add(sum: Option<f64>, one: Option<f64>) -> Option<f64> {
    match (sum, one) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

impl Group {
    /// Name of its host, if it is of one host among several.
    fn host_name<'a>(&self, snap: &'a Snapshot) -> Option<&'a str> {
        let hosts = &snap.merged.as_ref()?.hosts;
        hosts.get(usize::from(self.host?)).map(|h| &*h.name)
    }

    /// Title: `CLOSE_WAIT`, `0.0.0.0:443`, on one host among several `web-1 0.0.0.0:443`. Not escaped.
    pub fn title(&self, snap: &Snapshot) -> String {
        let title = self.key_title(snap);
        self.host_name(snap).map_or(title.clone(), |host| format!("{host} {title}"))
    }

    fn key_title(&self, snap: &Snapshot) -> String {
        key_title(&self.key, snap)
    }

    /// The state of its rows, if they are grouped by state.
    pub const fn state(&self) -> Option<State> {
        match &self.key {
            Key::State(s) => Some(*s),
            _ => None,
        }
    }

    /// A filter for exactly its rows, within the outer group if there is one: `state:close-wait`.
    pub fn filter(&self, by: GroupBy, snap: &Snapshot) -> Option<String> {
        let filter = self.key_filter(by, snap)?;
        Some(match self.host_name(snap) {
            Some(host) => format!("{HOSTNAME_COLUMN}={} {filter}", crate::filter::quote(host)),
            None => filter,
        })
    }

    fn key_filter(&self, by: GroupBy, snap: &Snapshot) -> Option<String> {
        key_filter(&self.key, by, snap)
    }
}

fn key_title(key: &Key, snap: &Snapshot) -> String {
    match key {
        Key::State(s) => s.name().to_owned(),
        Key::Several(keys) => {
            let titles: Vec<String> = keys.iter().map(|key| key_title(key, snap)).collect();
            titles.join(" ")
        }
        Key::Local(_, e) | Key::Listener(_, e) => e.to_string(),
        Key::To(_, e) => msg!("to {}", e),
        Key::Addr(a) => a.to_string(),
        Key::Service(s) => s.endpoint(),
        Key::Process(p) => snap
            .process_row(*p as usize)
            .map_or_else(String::new, |p| format!("{} {}", p.info.name(), p.info.pid)),
        Key::Zoned(_, s) | Key::Text(s) => s.clone(),
        // A reason, or the last owner.
        Key::None(s) => {
            s.strip_prefix("was ").map_or_else(|| tr(s).to_owned(), |owner| msg!("was {}", owner))
        }
    }
}

fn key_filter(key: &Key, by: GroupBy, snap: &Snapshot) -> Option<String> {
    let end = |e: &Endpoint| {
        if e.addr.is_v4() { format!("{}:{}", e.addr, e.port) } else { format!("[{}]:{}", e.addr, e.port) }
    };
    Some(match key {
        Key::State(s) => {
            format!("{}:{}", by.name(), s.info().name.to_ascii_lowercase().replace('_', "-"))
        }
        Key::Listener(proto, e) if e.addr.is_any() => {
            format!("proto:{} local_port:{} direction:in", proto.name(), e.port)
        }
        Key::Local(proto, e) | Key::Listener(proto, e) => {
            format!("proto:{} local:{}", proto.name(), end(e))
        }
        Key::To(proto, e) => format!("proto:{} remote:{} direction:out", proto.name(), end(e)),
        Key::Addr(a) => format!("{}:{a}", by.name()),
        Key::Service(s) => {
            let pid = snap.process_row(s.process as usize)?.info.pid;
            format!("{} pid:{pid}", s.filter())
        }
        Key::Zoned(Some(proto), s) => format!("proto:{} local:{s}", proto.name()),
        Key::Zoned(None, s) => format!("{}:{s}", by.name()),
        Key::Process(p) => format!("pid:{}", snap.process_row(*p as usize)?.info.pid),
        Key::Several(keys) => match by {
            GroupBy::Columns(several) => {
                let parts = keys.iter().zip(several.columns());
                let parts: Option<Vec<String>> =
                    parts.map(|(key, c)| key_filter(key, GroupBy::Column(c), snap)).collect();
                parts?.join(" ")
            }
            _ => return None,
        },
        Key::Text(s) => format!("{}={}", by.name(), crate::filter::quote(s)),
        // `none` would also match values missing for other reasons.
        Key::None(_) => return None,
    })
}
