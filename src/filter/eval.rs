//! Evaluation of filters, compiled for many rows.
//!
//! [`compile`] resolves everything independent of rows: states become bit sets, text is case-folded, patterns are compiled. A
//! [`Prepared`] adds results for one snapshot: a process is tested once, not once for each of its sockets.

use super::ast::{Cmp, Expr, Field, Op, Operand, Term, Test};
use super::number::Number;
use super::operand;
use super::text_match::{Buf, Needle, glob};
use crate::format::{self, Column, Kind, Role, TextMatch, Value};
use crate::model::{Addr, Endpoint, Family, Proto, ProtoSet, Snapshot, Socket, State, StateSet};
use crate::table::Table;
use crate::table::{PROCESSES, end_name, ip_end};
use regex::Regex;
use std::cell::RefCell;
use std::cmp::Ordering;

/// A node of the compiled tree.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    And(Box<[Self]>),
    Or(Box<[Self]>),
    Not(Box<Self>),
    States(StateSet),
    Protos(ProtoSet),
    /// Local or remote port, or either, in any of these ranges.
    Ports(Ends, Box<[(u16, u16)]>),
    /// Local or remote endpoint, or either, matching any of these.
    Hosts(Ends, Box<[Pattern]>),
    /// The kernel chose the local port, if it reports that.
    AutoChosen,
    /// The local port is in the ephemeral range.
    AutoRange,
    Word(Word),
    /// A value of any column.
    Column(&'static Column, ValueTest),
    /// A column of the owners of a socket; the number is its slot in [`Prepared`].
    Process(&'static Column, ValueTest, usize),
}

/// Endpoints of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    Local,
    Remote,
    Either,
}

/// A test of one value.
#[derive(Clone, Debug)]
pub(crate) enum ValueTest {
    Any(Box<[Pattern]>),
    Compare(Cmp, Number),
    Regex(Box<Regex>),
}

/// One compiled operand.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    Missing,
    Number(Number),
    Range(Number, Option<Number>),
    Mask(u64, u64),
    /// A network, a range of ports, and the interface.
    Host(Option<(Addr, u8)>, Option<(u16, u16)>, Option<String>),
    States(StateSet),
    Bool(bool),
    Part(Needle),
    Whole(Needle),
    /// Equal text, case-sensitive.
    Exact(String),
    Glob(String),
}

/// A bare word.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    needle: Needle,
    /// The word as states are spelled.
    state: Needle,
    states: StateSet,
    protos: ProtoSet,
    digits: bool,
    in_endpoint: bool,
    /// It has the `%` before an interface.
    zoned: bool,
    columns: Box<[&'static Column]>,
    slot: usize,
}

/// Compiles a tree. `slots` counts the tests to be prepared for each snapshot.
///
/// `ss` evaluates every expression twice, in the kernel and in user space, and shows what passes both; only `autobound`
/// differs between the two (the kernel chose the port; the port is in the ephemeral range). Both are required here too.
pub(crate) fn ready(e: &Expr, table: &'static Table, slots: &mut usize) -> Node {
    let chosen = compile(e, table, slots, &Node::AutoChosen);
    if e.has_autobound() {
        Node::And(Box::new([compile(e, table, slots, &Node::AutoRange), chosen]))
    } else {
        chosen
    }
}

fn compile(e: &Expr, table: &'static Table, slots: &mut usize, auto: &Node) -> Node {
    match e {
        Expr::And(all) => Node::And(by_cost(all.iter().map(|e| compile(e, table, slots, auto)).collect())),
        Expr::Or(any) => Node::Or(by_cost(any.iter().map(|e| compile(e, table, slots, auto)).collect())),
        Expr::Not(e) => Node::Not(Box::new(compile(e, table, slots, auto))),
        Expr::AutoBound => auto.clone(),
        Expr::Word(w) => Node::Word(word(w, table, slots)),
        Expr::Term(t) => term(t, table, slots),
    }
}

/// Cheap tests first: the order of `and` and `or` changes nothing but the time.
fn by_cost(mut nodes: Vec<Node>) -> Box<[Node]> {
    fn cost(n: &Node) -> u8 {
        match n {
            Node::States(_) | Node::Protos(_) | Node::Ports(..) => 0,
            Node::Hosts(..) | Node::AutoChosen | Node::AutoRange | Node::Process(..) => 1,
            Node::Not(n) => cost(n),
            Node::And(all) | Node::Or(all) => all.iter().map(cost).max().unwrap_or(0),
            Node::Column(..) => 2,
            Node::Word(_) => 3,
        }
    }
    nodes.sort_by_key(cost);
    nodes.into()
}

fn word(text: &str, table: &'static Table, slots: &mut usize) -> Word {
    let needle = Needle::new(text);
    let state = Needle::new(&text.replace('-', "_"));
    let exact = State::parse(text);
    let states = State::all()
        .filter(|s| exact == Some(*s) || state.is_in(s.name()))
        .fold(StateSet::empty(), StateSet::with);
    let protos = Proto::ALL
        .iter()
        .filter(|(_, n)| needle.is_in(n))
        .fold(ProtoSet::empty(), |set, (p, _)| set.with(*p));
    *slots += 1;
    Word {
        states,
        protos,
        digits: !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()),
        zoned: text.contains('%'),
        in_endpoint: needle.may_be_in_endpoint(),
        needle,
        state,
        columns: table.words.iter().filter_map(|n| table.column(n)).collect(),
        slot: *slots - 1,
    }
}

fn term(t: &Term, table: &'static Table, slots: &mut usize) -> Node {
    let sockets = table.is_sockets();
    let (test, not) = value_test(t);
    let node = match (t.field, &test) {
        (Field::Column(c), ValueTest::Any(_)) if sockets && c.is(Role::State) => match &t.test {
            Test::List(_, operands) => Node::States(operand::state_set(operands)),
            _ => Node::Column(c, test),
        },
        (Field::Column(c), ValueTest::Any(patterns)) if sockets && c.is(Role::Proto) => {
            let value = |name: &'static str| patterns.iter().any(|p| p.matches(&Value::text(name)));
            Node::Protos(
                Proto::ALL.iter().filter(|(_, n)| value(n)).fold(ProtoSet::empty(), |s, (p, _)| s.with(*p)),
            )
        }
        (field, _) if sockets && ends(field, Kind::Port).is_some() => {
            match (ends(field, Kind::Port), ranges(&t.test)) {
                (Some(ends), Some(ranges)) => Node::Ports(ends, ranges.into()),
                // `none`, or a pattern: matched against the displayed text.
                _ => column_or_both(field, test, table),
            }
        }
        (field, ValueTest::Any(patterns)) if sockets && ends(field, Kind::Endpoint).is_some() => {
            match ends(field, Kind::Endpoint) {
                Some(ends) => Node::Hosts(ends, patterns.clone()),
                None => column_or_both(field, test, table),
            }
        }
        (Field::Column(c), _) if sockets && process_twin(c).is_some() => {
            *slots += 1;
            Node::Process(c, test, *slots - 1)
        }
        (field, _) => column_or_both(field, test, table),
    };
    if not { Node::Not(Box::new(node)) } else { node }
}

/// A test of a column, or of both columns of a field that covers both endpoints.
fn column_or_both(field: Field, test: ValueTest, table: &'static Table) -> Node {
    let names = match field {
        Field::Column(c) => return Node::Column(c, test),
        Field::EitherEnd => ["local", "remote"],
        Field::EitherPort => ["local_port", "remote_port"],
    };
    let node = |n: &str| table.column(n).map(|c| Node::Column(c, test.clone()));
    Node::Or(names.into_iter().filter_map(node).collect())
}

/// The endpoints that a field of this kind (port or endpoint) covers.
pub(crate) fn ends(field: Field, kind: Kind) -> Option<Ends> {
    match (field, kind) {
        (Field::EitherPort, Kind::Port) | (Field::EitherEnd, Kind::Endpoint) => Some(Ends::Either),
        (Field::Column(c), _) => match (c.role?, kind) {
            (Role::LocalPort, Kind::Port) | (Role::Local | Role::LocalAddr, Kind::Endpoint) => {
                Some(Ends::Local)
            }
            (Role::RemotePort, Kind::Port) | (Role::Remote | Role::RemoteAddr, Kind::Endpoint) => {
                Some(Ends::Remote)
            }
            _ => None,
        },
        _ => None,
    }
}

/// The port ranges that a test accepts (before a `!=` negates it), if it tests ports only.
pub(crate) fn ranges(test: &Test) -> Option<Vec<(u16, u16)>> {
    let clamp = |n: f64| n.clamp(0.0, 65535.0) as u16;
    match test {
        Test::List(_, operands) => operands
            .iter()
            .map(|o| match o {
                Operand::Number(n) => Some((clamp(n.f64()), clamp(n.f64()))),
                Operand::Range(a, b) => Some((clamp(a.f64()), b.map_or(u16::MAX, |b| clamp(b.f64())))),
                _ => None,
            })
            .collect(),
        Test::Compare(cmp, n) => {
            let n = clamp(n.f64());
            Some(match cmp {
                Cmp::Less if n == 0 => Vec::new(),
                Cmp::Less => vec![(0, n - 1)],
                Cmp::AtMost => vec![(0, n)],
                Cmp::More if n == u16::MAX => Vec::new(),
                Cmp::More => vec![(n + 1, u16::MAX)],
                Cmp::AtLeast => vec![(n, u16::MAX)],
            })
        }
        Test::Regex(..) => None,
    }
}

/// The column of the processes table with the same value as this column of the process's sockets.
fn process_twin(c: &Column) -> Option<&'static Column> {
    PROCESSES.column(c.process_column?)
}

/// A test, and whether it is negated.
fn value_test(t: &Term) -> (ValueTest, bool) {
    match &t.test {
        Test::List(op, operands) => {
            let column = match t.field {
                Field::Column(c) => Some(c),
                _ => None,
            };
            let text_match = column.map_or(TextMatch::Part, |c| c.text_match);
            let whole = *op != Op::Has || text_match != TextMatch::Part;
            // Interface names are case-sensitive.
            let exact = text_match == TextMatch::Exact;
            let patterns = operands
                .iter()
                .map(|o| match o {
                    Operand::Missing => Pattern::Missing,
                    Operand::Number(n) => Pattern::Number(*n),
                    Operand::Range(a, b) => Pattern::Range(*a, *b),
                    Operand::Mask(v, m) => Pattern::Mask(*v, *m),
                    Operand::Host(a, p, zone) => Pattern::Host(*a, *p, zone.clone()),
                    Operand::States(s) => Pattern::States(*s),
                    Operand::Bool(b) => Pattern::Bool(*b),
                    Operand::Text(s) if exact => Pattern::Exact(s.clone()),
                    Operand::Text(s) if whole => Pattern::Whole(Needle::new(s)),
                    Operand::Text(s) => Pattern::Part(Needle::new(s)),
                    Operand::Glob(s) => Pattern::Glob(s.clone()),
                })
                .collect();
            (ValueTest::Any(patterns), *op == Op::Differs)
        }
        Test::Compare(cmp, n) => (ValueTest::Compare(*cmp, *n), false),
        // The parser has compiled it already; a pattern that fails now matches nothing.
        Test::Regex(not, pattern) => match operand::regex(pattern) {
            Ok(r) => (ValueTest::Regex(Box::new(r)), *not),
            Err(_) => (ValueTest::Any(Box::default()), *not),
        },
    }
}

impl ValueTest {
    fn matches(&self, v: &Value<'_>) -> bool {
        match self {
            Self::Any(patterns) => patterns.iter().any(|p| p.matches(v)),
            Self::Compare(cmp, n) => {
                let order = match v {
                    Value::Uint(x) => n.against_whole(*x),
                    Value::States(c) => n.against_whole(u64::from(c.total())),
                    v => match v.number() {
                        Some(x) => n.against(x),
                        None => return false,
                    },
                };
                match cmp {
                    Cmp::Less => order == Ordering::Less,
                    Cmp::AtMost => order != Ordering::Greater,
                    Cmp::More => order == Ordering::Greater,
                    Cmp::AtLeast => order != Ordering::Less,
                }
            }
            Self::Regex(r) => match v {
                Value::Missing(_) => false,
                v => with_text(v, |s| r.is_match(s)),
            },
        }
    }
}

/// Calls `f` with the text of a value, without a copy if possible.
fn with_text<T>(v: &Value<'_>, f: impl FnOnce(&str) -> T) -> T {
    match v {
        Value::Text(s) => f(s),
        Value::Endpoint(e) => f(Buf::new().endpoint(e)),
        Value::Addr(a) => f(Buf::new().addr(a)),
        Value::State(s) => f(s.name()),
        Value::Missing(_) => f(""),
        v => f(&format::exact(v)),
    }
}

fn in_host(e: &Endpoint, addr: Option<(Addr, u8)>, port: Option<(u16, u16)>) -> bool {
    port.is_none_or(|(a, b)| (a..=b).contains(&e.port))
        && addr.is_none_or(|(net, len)| e.addr.in_prefix(&net, len))
}

impl Pattern {
    fn matches(&self, v: &Value<'_>) -> bool {
        match (self, v) {
            (Self::Missing, v) => v.is_missing(),
            (_, Value::Missing(_)) => false,
            (Self::Number(n), Value::Uint(x)) => n.against_whole(*x) == Ordering::Equal,
            (Self::Number(n), v) => v.number().is_some_and(|x| n.against(x) == Ordering::Equal),
            (Self::Range(a, b), v) => {
                let order = |n: &Number| match v {
                    Value::Uint(x) => Some(n.against_whole(*x)),
                    v => v.number().map(|x| n.against(x)),
                };
                order(a).is_some_and(|o| o != Ordering::Less)
                    && b.as_ref().is_none_or(|b| order(b).is_some_and(|o| o != Ordering::Greater))
            }
            (Self::Mask(want, mask), Value::Uint(x)) => x & mask == *want,
            (Self::Host(a, p, None), Value::Endpoint(e)) => in_host(e, *a, *p),
            (Self::Host(a, None, None), Value::Addr(x)) => in_host(&Endpoint::new(*x, 0), *a, None),
            (Self::Host(a, p, z), Value::Zoned { end, with_port, zone }) => {
                z.as_ref().is_none_or(|z| z == zone) && in_host(end, *a, *p) && (*with_port || p.is_none())
            }
            (Self::States(s), Value::State(x)) => s.has(*x),
            (Self::States(s), Value::States(c)) => c.present().any(|(x, _)| s.has(x)),
            (Self::Bool(b), Value::Bool(x)) => b == x,
            (Self::Part(n), v) => with_text(v, |s| n.is_in(s)),
            (Self::Whole(n), v) => with_text(v, |s| n.equals(s)),
            (Self::Exact(w), v) => with_text(v, |s| s == w),
            (Self::Glob(g), v) => with_text(v, |s| glob(g, s)),
            _ => false,
        }
    }

    /// Tests an endpoint of an IP socket. The remote endpoint of a listener is `0.0.0.0:0` or `[::]:0`, as for `ss`.
    fn matches_end(&self, snap: &Snapshot, s: &Socket, e: &Endpoint) -> bool {
        match self {
            Self::Missing => e.is_none(),
            Self::Host(a, p, zone) => {
                // A network contains no missing address, although the kernel writes one as zeros; `*`, /0 and `0.0.0.0` match it,
                // as for `ss`.
                let is_network = a.is_some_and(|(net, len)| len > 0 && len < super::ast::full(&net));
                !(e.is_none() && is_network)
                    && in_host(e, *a, *p)
                    && zone.as_ref().is_none_or(|z| is_bound_to(snap, s, z))
            }
            other => other.matches(&ip_end(snap, s, e)),
        }
    }
}

/// True if the socket is bound to the interface of this name or index.
fn is_bound_to(snap: &Snapshot, s: &Socket, zone: &str) -> bool {
    s.iface != 0 && (snap.iface_or_index(s.id.netns, s.iface) == zone || zone.parse() == Ok(s.iface))
}

/// Test results of one snapshot that many rows share.
pub(crate) struct Prepared {
    /// For each slot, the result for each process.
    processes: Vec<Vec<bool>>,
    /// For each slot of a word, the users and the ports whose name or service contains it.
    users: Vec<Vec<u32>>,
    ports: Vec<Vec<u16>>,
}

impl Prepared {
    /// Prepares one tree for the sockets of one snapshot.
    pub(crate) fn new(node: &Node, slots: usize, snap: &Snapshot) -> Self {
        let mut out = Self {
            processes: vec![Vec::new(); slots],
            users: vec![Vec::new(); slots],
            ports: vec![Vec::new(); slots],
        };
        out.fill(node, snap);
        out
    }

    fn fill(&mut self, node: &Node, snap: &Snapshot) {
        match node {
            Node::And(all) | Node::Or(all) => all.iter().for_each(|n| self.fill(n, snap)),
            Node::Not(n) => self.fill(n, snap),
            Node::Process(c, test, slot) => {
                if let Some(twin) = process_twin(c) {
                    self.processes[*slot] = (0..snap.sample.processes.len())
                        .map(|p| test.matches(&twin.value(snap, p)))
                        .collect();
                }
            }
            Node::Word(w) => {
                let is = |p: &crate::model::Process| {
                    w.needle.is_in(&p.info.comm)
                        || w.digits && p.info.pid.to_string().starts_with(w.needle.as_str())
                };
                self.processes[w.slot] = snap.sample.processes.iter().map(is).collect();
                self.users[w.slot] =
                    snap.sample.users.iter().filter(|(_, n)| w.needle.is_in(n)).map(|(u, _)| *u).collect();
                if !w.digits {
                    self.ports[w.slot] = snap
                        .sample
                        .services
                        .iter()
                        .filter(|(_, n)| w.needle.is_in(n))
                        .map(|(p, _)| p)
                        .collect();
                }
            }
            _ => {}
        }
    }
}

/// True if a row matches.
pub(crate) fn eval(node: &Node, snap: &Snapshot, row: usize, prepared: Option<&Prepared>) -> bool {
    match node {
        Node::And(all) => all.iter().all(|n| eval(n, snap, row, prepared)),
        Node::Or(any) => any.iter().any(|n| eval(n, snap, row, prepared)),
        Node::Not(n) => !eval(n, snap, row, prepared),
        Node::States(set) => set.has(snap.socket(row).state),
        Node::Protos(set) => set.has(snap.socket(row).proto),
        Node::Ports(ends, ranges) => {
            let s = snap.socket(row);
            let has = |p: u16| ranges.iter().any(|(a, b)| (*a..=*b).contains(&p));
            is_ip(s)
                && match ends {
                    Ends::Local => has(s.local.port),
                    Ends::Remote => has(s.remote.port),
                    Ends::Either => has(s.local.port) || has(s.remote.port),
                }
        }
        Node::Hosts(ends, patterns) => {
            let s = snap.socket(row);
            if is_ip(s) {
                let has = |e: &Endpoint| patterns.iter().any(|p| p.matches_end(snap, s, e));
                match ends {
                    Ends::Local => has(&s.local),
                    Ends::Remote => has(&s.remote),
                    Ends::Either => has(&s.local) || has(&s.remote),
                }
            } else {
                let has = |name: u32| {
                    let v = Value::from_opt(end_name(snap, name), crate::model::Missing::NotApplicable);
                    patterns.iter().any(|p| match p {
                        // `*` is any endpoint.
                        Pattern::Host(None, None, _) => true,
                        p => p.matches(&v),
                    })
                };
                match ends {
                    Ends::Local => has(s.local_name),
                    Ends::Remote => has(s.remote_name),
                    Ends::Either => has(s.local_name) || has(s.remote_name),
                }
            }
        }
        Node::AutoChosen => match snap.socket(row).auto_port {
            Some(chosen) => chosen,
            None => in_local_range(snap, row),
        },
        Node::AutoRange => in_local_range(snap, row),
        Node::Word(w) => match prepared {
            Some(p) => has_word(w, snap, row, p),
            None => has_word_plain(w, snap, row),
        },
        Node::Column(c, test) => c.any_value(snap, row, &mut |v| test.matches(v)),
        Node::Process(c, test, slot) => {
            let known = prepared.map(|p| p.processes[*slot].as_slice()).filter(|p| !p.is_empty());
            match (known, snap.owners(row)) {
                (Some(known), owners) if !owners.is_empty() => {
                    owners.iter().any(|o| known.get(o.process as usize).copied().unwrap_or(false))
                }
                _ => c.any_value(snap, row, &mut |v| test.matches(v)),
            }
        }
    }
}

/// True if the local port is in the ephemeral range (`ip_local_port_range`).
fn in_local_range(snap: &Snapshot, row: usize) -> bool {
    let s = snap.socket(row);
    let (low, high) = snap.system().local_ports.unwrap_or((32768, 60999));
    is_ip(s) && (low..=high).contains(&s.local.port)
}

fn is_ip(s: &Socket) -> bool {
    matches!(s.family, Family::Inet | Family::Inet6)
}

/// Searches a bare word in a socket.
fn has_word(w: &Word, snap: &Snapshot, row: usize, p: &Prepared) -> bool {
    let s = snap.socket(row);
    if w.states.has(s.state) || w.protos.has(s.proto) {
        return true;
    }
    let known = &p.processes[w.slot];
    let owners = snap.owners(row);
    if owners.iter().any(|o| known.get(o.process as usize).copied().unwrap_or(false)) {
        return true;
    }
    if owners.is_empty()
        && let Some(f) = snap.last_owner(row)
        && (w.needle.is_in(&f.comm) || w.digits && f.pid.to_string().starts_with(w.needle.as_str()))
    {
        return true;
    }
    if is_ip(s) {
        let mut buf = Buf::new();
        if w.in_endpoint
            && (w.needle.is_in_lower(buf.endpoint(&s.local)) || w.needle.is_in_lower(buf.endpoint(&s.remote)))
        {
            return true;
        }
        if w.zoned && [s.local, s.remote].iter().any(|e| w.needle.is_in(&snap.end_text(s, e))) {
            return true;
        }
        let ports = &p.ports[w.slot];
        if !ports.is_empty() && (ports.contains(&s.local.port) || ports.contains(&s.remote.port)) && {
            plain_column(w, "service", snap, row)
        } {
            return true;
        }
    } else {
        let has = |i| end_name(snap, i).is_some_and(|n| w.needle.is_in(n));
        if has(s.local_name) || has(s.remote_name) {
            return true;
        }
    }
    // A user without a name is shown as a number, which a numeric word must not match: it searches ports and pids.
    p.users[w.slot].contains(&s.uid) && plain_column(w, "user", snap, row)
}

fn plain_column(w: &Word, name: &str, snap: &Snapshot, row: usize) -> bool {
    w.columns.iter().find(|c| c.name == name).is_some_and(|c| word_in(w, c, snap, row))
}

/// Searches a bare word in a row of any table, column by column.
fn has_word_plain(w: &Word, snap: &Snapshot, row: usize) -> bool {
    w.columns.iter().any(|c| word_in(w, c, snap, row))
}

fn word_in(w: &Word, c: &'static Column, snap: &Snapshot, row: usize) -> bool {
    thread_local! {
        static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
    }
    if w.digits && matches!(c.role, Some(Role::User | Role::Service)) {
        return false;
    }
    if c.kind == Kind::Endpoint && !w.in_endpoint && !w.zoned {
        // Endpoints of other families contain more than hexadecimal digits.
        return c.any_value(snap, row, &mut |v| matches!(v, Value::Text(s) if w.needle.is_in(s)));
    }
    // A missing remote endpoint is shown empty, but matches as `*`.
    c.any_value(snap, row, &mut |v| match v {
        Value::Missing(_) => c.is(Role::Remote) && is_ip(snap.socket(row)) && w.needle.is_in("*"),
        Value::State(s) => w.states.has(*s) || w.state.is_in(s.name()),
        Value::Uint(n) if c.kind == Kind::Id => {
            w.digits
                && TEXT.with_borrow_mut(|t| {
                    use std::fmt::Write;
                    t.clear();
                    let _ = write!(t, "{n}");
                    t.starts_with(w.needle.as_str())
                })
        }
        v => with_text(v, |s| w.needle.is_in(s)),
    })
}
