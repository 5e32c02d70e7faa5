//! Reasons why a filter matches no row: how many rows there are, the condition that none matches, and the values nearest to it.

use crate::filter::{Cmp, Expr, Field, Filter, Op, Operand, Term, Test};
use crate::format::{Column, Kind, Role, Style, Value, cell, did_you_mean, thousands};
use crate::model::lang::tr;
use crate::model::{Proto, Snapshot};
use crate::msg;
use crate::table::{Table, TableId};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Most values of a column that are listed.
const VALUES_MAX: usize = 5;
/// Most different values of a column that are compared with a misspelled word.
const DISTINCT_MAX: usize = 2000;

/// Reason for a view without rows although its table has some.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NoMatch {
    /// Rows that were tested.
    pub total: usize,
    /// Sockets of which none is a row of the table, which is made from them.
    sockets: Option<usize>,
    /// The sample does not have what the table is made from.
    unread: bool,
    /// The filter, as it was understood.
    filter: String,
    /// Condition that excludes all of them.
    near: Option<Near>,
}

/// Condition that excludes all rows.
#[derive(Clone, Debug, PartialEq)]
enum Near {
    /// No row matches this condition of the filter; what the rows have instead.
    Alone(String, Values),
    /// This many rows match the filter without this condition.
    AllBut(usize, String),
    /// Rows match each condition, none matches all, and leaving out one is not enough.
    Together,
}

/// Values that the rows have in the column of a condition.
#[derive(Clone, Debug, PartialEq)]
enum Values {
    /// Nothing worth listing.
    None,
    /// A value spelled nearly as that of the condition.
    Similar(String),
    /// Title of the column and its most frequent values with their counts.
    Present(&'static str, Vec<(String, usize)>),
    /// Title of the column and its greatest value.
    Highest(&'static str, String),
    /// Title of the column and its smallest value.
    Lowest(&'static str, String),
    /// The table has no such protocol; its listeners are in that of sockets.
    InSockets(Proto),
    /// The column has no value in any row: title, reason.
    Missing(&'static str, &'static str),
}

impl Near {
    /// The condition of two hosts; `None` if they have none in common.
    fn with(self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Alone(term, values), Self::Alone(same, more)) if term == *same => {
                Some(Self::Alone(term, values.with(more)))
            }
            (Self::AllBut(n, term), Self::AllBut(more, same)) if term == *same => {
                Some(Self::AllBut(n + more, term))
            }
            (Self::Together, Self::Together) => Some(Self::Together),
            _ => None,
        }
    }
}

impl Values {
    /// The values of two hosts.
    fn with(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Present(title, list), Self::Present(_, more)) => {
                let mut counts: BTreeMap<String, usize> = BTreeMap::new();
                for (value, n) in list.iter().chain(more) {
                    *counts.entry(value.clone()).or_default() += n;
                }
                let mut all: Vec<(String, usize)> = counts.into_iter().collect();
                all.sort_by_key(|(_, n)| Reverse(*n));
                all.truncate(VALUES_MAX);
                Self::Present(title, all)
            }
            (same, other) if same == *other => same,
            _ => Self::None,
        }
    }
}

impl NoMatch {
    /// Finds the reason, in the first `total` rows of the table of the filter.
    pub(super) fn new(filter: &Filter, snap: &Snapshot, total: usize) -> Self {
        let near = filter.expr().and_then(|e| {
            if total > 0 {
                near(filter, e, snap, total)
            } else {
                parts(e).iter().find_map(|e| elsewhere(filter, e))
            }
        });
        let derived = matches!(filter.table().id, TableId::Ports | TableId::Peers | TableId::Map);
        let sockets = (total == 0 && derived && near.is_none()).then_some(snap.live);
        let read = snap.sample.wants.needs.reads;
        let unread = total == 0 && !read.contains(filter.table().always_needs.reads);
        Self {
            total,
            sockets,
            unread,
            filter: filter.expr().map(ToString::to_string).unwrap_or_default(),
            near,
        }
    }

    /// The reason for several hosts: what holds for each of them.
    pub(super) fn of_hosts(hosts: impl IntoIterator<Item = Self>) -> Self {
        let mut hosts = hosts.into_iter();
        let first = hosts.next().unwrap_or_default();
        hosts.fold(first, Self::with)
    }

    fn with(self, other: Self) -> Self {
        // No condition excludes the rows of a host that has none.
        let near = match (self.total, other.total) {
            (_, 0) => self.near,
            (0, _) => other.near,
            _ => self.near.zip(other.near).and_then(|(near, other)| near.with(&other)),
        };
        Self {
            total: self.total + other.total,
            sockets: self.sockets.into_iter().chain(other.sockets).reduce(|a, b| a + b),
            unread: self.unread && other.unread,
            filter: self.filter,
            near,
        }
    }

    /// Lines to print for the rows of this table: first the filter and the number of rows it was tested on, then the near miss.
    pub fn lines(&self, table: &Table) -> Vec<String> {
        if self.total == 0 {
            return std::iter::once(self.none(table)).chain(self.near_miss()).collect();
        }
        let n = thousands(self.total as u64);
        let mut out = vec![msg!("no {} matches {}, {} looked at", tr(table.singular), self.filter, n)];
        out.extend(self.near_miss());
        out
    }

    /// Line for a table without rows, with the reason if it is made from sockets.
    pub fn none(&self, table: &Table) -> String {
        if self.unread {
            return msg!("{} were not read at this moment, only while they are shown", tr(table.noun));
        }
        let none = msg!("no {}", tr(table.noun));
        let Some(n) = self.sockets else { return none };
        let n = match n {
            0 => return none,
            n => thousands(n as u64),
        };
        match table.id {
            TableId::Ports => msg!("{}: none of the sockets is a listener, {} looked at", none, n),
            TableId::Map => msg!("{}: none of the sockets is an open connection, {} looked at", none, n),
            _ => msg!("{}: none of the sockets has a remote address, {} looked at", none, n),
        }
    }

    /// The near miss alone.
    pub fn near_miss(&self) -> Option<String> {
        Some(match self.near.as_ref()? {
            Near::Alone(term, values) => {
                let none = msg!("none match {}", term);
                match values {
                    Values::None => none,
                    Values::Similar(value) => msg!("{}; did you mean {}?", none, value),
                    Values::Present(title, list) => {
                        let list: Vec<String> =
                            list.iter().map(|(v, n)| format!("{v} {}", thousands(*n as u64))).collect();
                        msg!("{}; {} has {}", none, title, list.join(", "))
                    }
                    Values::Highest(title, value) => msg!("{}; the highest {} is {}", none, title, value),
                    Values::Lowest(title, value) => msg!("{}; the lowest {} is {}", none, title, value),
                    Values::InSockets(proto) if !proto.has_listeners() => {
                        msg!("{}; such sockets: sockscope list proto:{}", none, proto.name())
                    }
                    Values::InSockets(proto) => {
                        msg!("{}; such listeners: sockscope list proto:{} state:listen", none, proto.name())
                    }
                    Values::Missing(title, why) => msg!("{}; no {}: {}", none, title, tr(why)),
                }
            }
            Near::AllBut(1, term) => msg!("1 matches without {}", term),
            Near::AllBut(n, term) => msg!("{} match without {}", thousands(*n as u64), term),
            Near::Together => tr("some match each condition, none matches all of them").to_owned(),
        })
    }
}

/// Conditions that a row must match, all of them.
fn parts(e: &Expr) -> &[Expr] {
    match e {
        Expr::And(all) => all,
        e => std::slice::from_ref(e),
    }
}

fn near(filter: &Filter, e: &Expr, snap: &Snapshot, total: usize) -> Option<Near> {
    let parts = parts(e);
    // Of each row the conditions that it does not match: up to two tell all that is needed.
    let parts_of: Vec<Filter> = parts.iter().map(|e| filter.part(e)).collect();
    let matchers: Vec<_> = parts_of.iter().map(|f| f.over(snap)).collect();
    let mut matched = vec![0usize; parts.len()];
    let mut only_failed = vec![0usize; parts.len()];
    for row in 0..total {
        let mut failed = None;
        let mut several = false;
        for (i, m) in matchers.iter().enumerate() {
            if m.matches(row) {
                matched[i] += 1;
            } else {
                several |= failed.is_some();
                failed = Some(i);
            }
        }
        if let Some(i) = failed.filter(|_| !several) {
            only_failed[i] += 1;
        }
    }
    if let Some(i) = matched.iter().position(|n| *n == 0) {
        let values = values(filter, &parts[i], snap, total);
        // The only condition of the filter is no news.
        let known = parts.len() == 1 && values == Values::None;
        return (!known).then(|| Near::Alone(parts[i].to_string(), values));
    }
    let best = (0..parts.len()).max_by_key(|i| only_failed[*i])?;
    Some(match only_failed[best] {
        0 => Near::Together,
        n => Near::AllBut(n, parts[best].to_string()),
    })
}

/// Values of the rows instead of the one that the condition requires.
fn values(filter: &Filter, e: &Expr, snap: &Snapshot, total: usize) -> Values {
    if let Some(Near::Alone(_, values)) = elsewhere(filter, e) {
        return values;
    }
    match e {
        Expr::Term(Term { field: Field::Column(c), test }) => column_values(c, test, snap, total),
        Expr::Word(word) => {
            let columns = filter.table().words.iter().filter_map(|w| filter.table().column(w));
            let columns = columns.filter(|c| c.kind == Kind::Text);
            let texts = columns.flat_map(|c| distinct(c, snap, total).into_keys()).collect::<Vec<_>>();
            similar(word, &texts)
        }
        _ => Values::None,
    }
}

/// The condition, if it is for a protocol that the table does not have and that of sockets has.
fn elsewhere(filter: &Filter, e: &Expr) -> Option<Near> {
    match e {
        Expr::Term(Term { field: Field::Column(c), test: Test::List(Op::Has | Op::Is, list) })
            if filter.table().id == TableId::Ports && c.is(Role::Proto) =>
        {
            Some(Near::Alone(e.to_string(), Values::InSockets(not_ip(list)?)))
        }
        _ => None,
    }
}

/// The protocol that is named, if it is none over IP.
fn not_ip(list: &[Operand]) -> Option<Proto> {
    match list {
        [Operand::Text(word)] => Proto::parse(word).filter(|p| !p.is_inet()),
        _ => None,
    }
}

fn column_values(c: &'static Column, test: &Test, snap: &Snapshot, total: usize) -> Values {
    let numbers = |row: usize| {
        let value = c.value(snap, row);
        value.number().map(|n| (n, text(c, &value)))
    };
    let known = (0..total).map(|row| c.value(snap, row)).find(|v| !v.is_missing());
    let asks_missing = matches!(test, Test::List(Op::Has | Op::Is, list) if list.contains(&Operand::Missing));
    if known.is_none() && !asks_missing {
        return match c.value(snap, 0) {
            Value::Missing(why) => Values::Missing(c.title, why.reason()),
            _ => Values::None,
        };
    }
    match test {
        Test::Compare(Cmp::More | Cmp::AtLeast, _) => {
            let top = (0..total).filter_map(numbers).max_by(|a, b| a.0.total_cmp(&b.0));
            top.map_or(Values::None, |(_, v)| Values::Highest(c.title, v))
        }
        Test::Compare(..) => {
            let least = (0..total).filter_map(numbers).min_by(|a, b| a.0.total_cmp(&b.0));
            least.map_or(Values::None, |(_, v)| Values::Lowest(c.title, v))
        }
        Test::List(Op::Has | Op::Is, list) => {
            let all = distinct(c, snap, total);
            if let [Operand::Text(word)] = &list[..]
                && !is_known(c, word)
            {
                let texts: Vec<String> = all.keys().cloned().collect();
                if let found @ Values::Similar(_) = similar(word, &texts) {
                    return found;
                }
            }
            // Many different values explain nothing.
            let few = matches!(c.kind, Kind::State | Kind::Bool) || all.len() <= VALUES_MAX;
            if !few || all.is_empty() {
                return Values::None;
            }
            let mut list: Vec<(String, usize)> = all.into_iter().collect();
            list.sort_by_key(|(_, n)| Reverse(*n));
            list.truncate(VALUES_MAX);
            Values::Present(c.title, list)
        }
        Test::List(..) | Test::Regex(..) => Values::None,
    }
}

fn text(c: &Column, value: &Value<'_>) -> String {
    cell(value, c.kind, &Style::default()).into_owned()
}

/// The values of a column, as shown, with the number of rows that have each.
fn distinct(c: &'static Column, snap: &Snapshot, total: usize) -> BTreeMap<String, usize> {
    let mut out = BTreeMap::new();
    for row in 0..total {
        c.any_value(snap, row, &mut |v| {
            if !v.is_missing() {
                *out.entry(text(c, v)).or_default() += 1;
            }
            false
        });
        if out.len() > DISTINCT_MAX {
            break;
        }
    }
    out
}

/// True if the word is one that the column can have: that no row has it is no misspelling.
fn is_known(c: &Column, word: &str) -> bool {
    c.values.is_some_and(|values| values().iter().any(|v| did_you_mean::same_word(v, word)))
}

fn similar(word: &str, values: &[String]) -> Values {
    let found = did_you_mean::nearest(word, values.iter().map(String::as_str));
    found.map_or(Values::None, |v| Values::Similar(v.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::Table;
    use crate::filter::Filter;
    use crate::table::{PORTS, PROCESSES, SOCKETS};
    use crate::testing::machine;
    use crate::view::View;

    fn lines(table: &'static Table, filter: &str) -> Vec<String> {
        let view = View { filter: Filter::parse(filter, table).unwrap(), ..View::new(table) };
        let arranged = view.arrange(&machine());
        assert!(arranged.rows.is_empty(), "{filter}: {:?}", arranged.rows);
        arranged.no_match.unwrap().lines(table)
    }

    #[test]
    fn filter_without_a_match_names_the_condition_and_the_nearest_values() {
        for (table, filter, want) in [
            (&SOCKETS, "state:closing", "none match state:closing; STATE has "),
            (&SOCKETS, "proc:ngnix", "none match process:ngnix; did you mean nginx?"),
            (&SOCKETS, "ngnix", "none match ngnix; did you mean nginx?"),
            (&SOCKETS, "proc:nginx port:9", "none match port:9"),
            (&SOCKETS, "proto:sctp", "none match proto:sctp; PROTO has "),
            (&SOCKETS, "recv_q>1G", "none match recv_q>1G; the highest RECV-Q is "),
            (&PROCESSES, "fds<1", "none match fds_open<1; the lowest FDS is "),
        ] {
            let lines = lines(table, filter);
            let singular = if table.noun == "sockets" { "socket" } else { "process" };
            assert!(lines[0].starts_with(&format!("no {singular} matches ")), "{lines:?}");
            assert!(lines[0].ends_with(" looked at"), "{lines:?}");
            assert!(lines[1].starts_with(want), "{filter}: {lines:?}");
        }
    }

    #[test]
    fn tables_that_were_not_read_are_not_called_empty() {
        for table in crate::table::TABLES {
            let mut snap = machine();
            snap.sample.wants.needs.reads = table.always_needs.reads;
            let without = |snap: &crate::model::Snapshot| {
                super::NoMatch::new(&Filter::everything(table), snap, 0).none(table)
            };
            assert!(!without(&snap).contains("not read"), "{}", table.name);
            snap.sample.wants.needs.reads = crate::model::Reads::empty();
            let is_optional = !table.always_needs.reads.is_empty();
            assert_eq!(without(&snap).contains("not read at this moment"), is_optional, "{}", table.name);
        }
    }

    #[test]
    fn conditions_that_match_alone_are_counted_without_each_other() {
        let all = lines(&SOCKETS, "state:listen state:established");
        assert!(all[1].contains("match") && all[1].contains("without"), "{all:?}");
    }

    #[test]
    fn known_value_that_no_row_has_is_no_misspelling() {
        let mut tried = 0;
        for table in crate::table::TABLES {
            for c in table.columns.iter().filter(|c| c.values.is_some()) {
                for value in c.values.map_or_else(Vec::new, |values| values()) {
                    let Ok(filter) = Filter::parse(&format!("{}:{value}", c.name), table) else { continue };
                    let view = View { filter, ..View::new(table) };
                    let lines = view.arrange(&machine()).no_match.map_or_else(Vec::new, |n| n.lines(table));
                    assert!(!lines.iter().any(|l| l.contains("did you mean")), "{}: {lines:?}", c.name);
                    tried += lines.len();
                }
            }
        }
        assert!(tried > 20, "{tried}");
        assert_eq!(
            lines(&SOCKETS, "family:vsock")[1].split(';').next_back(),
            Some(" FAMILY has inet 10, inet6 3, unix 2")
        );
    }

    #[test]
    fn protocol_without_ports_is_in_the_table_of_sockets() {
        let nothing = crate::testing::snapshot(vec![], vec![], &["host"]);
        for (filter, want) in [
            (
                "proto:unix",
                &[
                    "no ports",
                    "none match proto:unix; such listeners: sockscope list proto:unix state:listen",
                ][..],
            ),
            (
                "proto:unix backlog>3",
                &[
                    "no ports",
                    "none match proto:unix; such listeners: sockscope list proto:unix state:listen",
                ],
            ),
            (
                "proto:packet",
                &["no ports", "none match proto:packet; such sockets: sockscope list proto:packet"],
            ),
            ("proto:tcp", &["no ports"]),
        ] {
            let view = View { filter: Filter::parse(filter, &PORTS).unwrap(), ..View::new(&PORTS) };
            assert_eq!(view.arrange(&nothing).no_match.unwrap().lines(&PORTS), want, "{filter}");
        }
    }

    #[test]
    fn reason_of_several_hosts_holds_for_each() {
        let machine = machine();
        let reason = |filter: &str| {
            let filter = Filter::parse(filter, &SOCKETS).unwrap();
            super::NoMatch::new(&filter, &machine, machine.sockets().count())
        };
        let nothing = crate::testing::snapshot(vec![], vec![], &["host"]);
        let none = super::NoMatch::new(&Filter::parse("family:vsock", &SOCKETS).unwrap(), &nothing, 0);
        let rows = reason("family:vsock").total;
        let both = super::NoMatch::of_hosts([reason("family:vsock"), none, reason("family:vsock")]);
        let lines = both.lines(&SOCKETS);
        assert!(lines[0].ends_with(&format!("{} looked at", 2 * rows)), "{lines:?}");
        assert!(lines[1].ends_with("FAMILY has inet 20, inet6 6, unix 4"), "{lines:?}");
        let one = reason("state:listen state:established").near_miss().unwrap();
        let n: usize = one.split(' ').next().unwrap().parse().unwrap();
        let two = ["state:listen state:established"; 2].map(reason);
        let two = super::NoMatch::of_hosts(two).near_miss().unwrap();
        assert!(two.starts_with(&(2 * n).to_string()), "{one}: {two}");
        let other = super::NoMatch::of_hosts([reason("family:vsock"), reason("proto:sctp")]);
        assert_eq!(other.near_miss(), None);
    }

    #[test]
    fn filter_that_matches_has_no_reason() {
        assert!(View::new(&SOCKETS).arrange(&machine()).no_match.is_none());
    }
}
