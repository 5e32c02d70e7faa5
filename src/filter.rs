//! The filter language of the dashboard and of scripts; a superset of `ss` expressions.
//!
//! ```text
//! nginx                              a word: in process, address, state, user or service
//! :443   port:8000-8999   sport>1024 ports: local, remote or both
//! state:close-wait,time-wait         one of several
//! remote:10.0.0.0/8   10.0.0.0/8     networks
//! rx>1M   rtt>50ms   age<10s   fds>80%
//! proc~^ng   proc:ng*   proc=nginx   regular expression, glob, exact
//! a b   a and b   a or b   not a   ( )
//! @leaks                             the saved filter of that name
//! state established '( dport = :ssh or sport = :ssh )' dst 10.0.0.0/8
//! ```
//!
//! A missing value satisfies no comparison; `field!=x` is exactly `not field=x`, and `field:none` matches missing values. In
//! tests of ports and addresses the remote endpoint of a listener is `0.0.0.0:0`, as for `ss`; a network does not contain it.

mod ast;
pub mod complete;
mod error;
mod eval;
pub mod from_cell;
mod language;
mod name;
pub mod number;
pub(crate) mod operand;
mod parse;
mod pushdown;
mod raw_value;
mod state_sets;
#[cfg(test)]
mod tests;
mod text_match;

use crate::format::{Column, Kind, Needs, Role};
use crate::model::{ProtoSet, Reads, Services, Snapshot, State, StateSet};
use crate::table::{Table, TableId};
pub use error::{FilterError, Problem};
pub use name::{Names, Saved, is_name, quote};
use std::fmt;
use std::sync::Arc;

pub use crate::filter::ast::{Cmp, Expr, Field, Op, Operand, Term, Test};
pub use crate::filter::language::{Form, LANGUAGE};
pub use crate::filter::number::Number;
pub use crate::filter::pushdown::Pushdown;

/// A parsed filter over the rows of one table. Two filters are equal if their trees are.
#[derive(Clone)]
pub struct Filter {
    table: &'static Table,
    expr: Option<Arc<Expr>>,
    node: Option<Arc<eval::Node>>,
    slots: usize,
}

impl Filter {
    /// Matches every row.
    pub fn everything(table: &'static Table) -> Self {
        Self { table, expr: None, node: None, slots: 0 }
    }

    /// Parses text, with well-known port names.
    pub fn parse(text: &str, table: &'static Table) -> Result<Self, FilterError> {
        Self::parse_with(text, table, Services::well_known())
    }

    /// Parses text, with these port names and no saved filters.
    pub fn parse_with(text: &str, table: &'static Table, services: &Services) -> Result<Self, FilterError> {
        Self::parse_named(text, table, Names { services, saved: &Saved::new() })
    }

    /// Parses text, with these port names and saved filters.
    pub fn parse_named(text: &str, table: &'static Table, names: Names<'_>) -> Result<Self, FilterError> {
        let expr = parse::parse(text, table, names)?;
        let mut slots = 0;
        let node = expr.as_ref().map(|e| Arc::new(eval::ready(e, table, &mut slots)));
        Ok(Self { table, expr: expr.map(Arc::new), node, slots })
    }

    /// Filter of one condition of this one.
    #[must_use]
    pub fn part(&self, e: &Expr) -> Self {
        let mut slots = 0;
        let node = Some(Arc::new(eval::ready(e, self.table, &mut slots)));
        Self { table: self.table, expr: Some(Arc::new(e.clone())), node, slots }
    }

    /// Table of the filter.
    pub const fn table(&self) -> &'static Table {
        self.table
    }

    /// Expression tree; `None` if it matches everything.
    pub fn expr(&self) -> Option<&Expr> {
        self.expr.as_deref()
    }

    /// True if it matches everything.
    pub const fn is_everything(&self) -> bool {
        self.expr.is_none()
    }

    /// True if a row matches. For many rows of one snapshot use [`Filter::over`].
    pub fn matches(&self, snap: &Snapshot, row: usize) -> bool {
        self.node.as_ref().is_none_or(|n| eval::eval(n, snap, row, None))
    }

    /// The filter prepared for one snapshot.
    pub fn over<'a>(&'a self, snap: &'a Snapshot) -> Matcher<'a> {
        let prepared = match &self.node {
            Some(n) if self.table.is_sockets() => Some(eval::Prepared::new(n, self.slots, snap)),
            _ => None,
        };
        Matcher { node: self.node.as_deref(), snap, prepared }
    }

    /// Data needed to evaluate it.
    pub fn needs(&self) -> Needs {
        fn expr_needs(e: &Expr, table: &'static Table) -> Needs {
            match e {
                Expr::And(all) | Expr::Or(all) => {
                    all.iter().fold(Needs::NONE, |n, e| n | expr_needs(e, table))
                }
                Expr::Not(e) => expr_needs(e, table),
                Expr::Word(_) => {
                    table.words.iter().filter_map(|w| table.column(w)).fold(Needs::NONE, |n, c| n | c.needs)
                }
                // Forwarded connections only if the filter names them: they belong to no local socket.
                Expr::Term(Term { field: Field::Column(c), test })
                    if c.kind == Kind::State && table.is_sockets() && test.names_state(State::Forwarded) =>
                {
                    c.needs | Needs::reads(Reads::FORWARDED)
                }
                Expr::Term(Term { field: Field::Column(c), .. }) => c.needs,
                Expr::Term(_) => Needs::NONE,
                Expr::AutoBound => Needs::AUTO_PORT,
            }
        }
        self.expr.as_ref().map_or(Needs::NONE, |e| expr_needs(e, self.table))
    }

    /// Columns that it tests, once per test; without those that a bare word searches.
    pub fn columns(&self) -> Vec<&'static Column> {
        fn collect_columns(e: &Expr, out: &mut Vec<&'static Column>) {
            match e {
                Expr::And(all) | Expr::Or(all) => all.iter().for_each(|e| collect_columns(e, out)),
                Expr::Not(e) => collect_columns(e, out),
                Expr::Term(Term { field: Field::Column(c), .. }) => out.push(c),
                Expr::Term(_) | Expr::Word(_) | Expr::AutoBound => {}
            }
        }
        let mut out = Vec::new();
        if let Some(e) = &self.expr {
            collect_columns(e, &mut out);
        }
        out
    }

    /// Protocols that it names: they are read in addition to the default ones.
    pub fn protos(&self) -> ProtoSet {
        fn named_protos(e: &Expr) -> ProtoSet {
            match e {
                Expr::And(all) | Expr::Or(all) => {
                    all.iter().fold(ProtoSet::empty(), |s, e| s | named_protos(e))
                }
                Expr::Term(Term { field: Field::Column(c), .. })
                    if matches!(c.role, Some(Role::Proto | Role::Family)) =>
                {
                    pushdown::bounds(e).protos
                }
                _ => ProtoSet::empty(),
            }
        }
        match &self.expr {
            Some(e) if matches!(self.table.id, TableId::Sockets | TableId::Ports) => named_protos(e),
            _ => ProtoSet::empty(),
        }
    }

    /// Bounds for reading sockets; none for other tables.
    pub fn pushdown(&self) -> Pushdown {
        match &self.expr {
            Some(e) if self.table.is_sockets() => pushdown::bounds(e),
            _ => Pushdown { states: StateSet::ALL, protos: ProtoSet::ALL, prefilter: None },
        }
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.table == other.table && self.expr == other.expr
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({:?}: {self})", self.table.id)
    }
}

impl fmt::Display for Filter {
    /// The canonical text: parsing it gives an equal filter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.as_ref().map_or(Ok(()), |e| fmt::Display::fmt(e.as_ref(), f))
    }
}

/// A filter prepared for one snapshot.
pub struct Matcher<'a> {
    node: Option<&'a eval::Node>,
    snap: &'a Snapshot,
    prepared: Option<eval::Prepared>,
}

impl Matcher<'_> {
    /// True if a row matches.
    pub fn matches(&self, row: usize) -> bool {
        self.node.is_none_or(|n| eval::eval(n, self.snap, row, self.prepared.as_ref()))
    }
}

impl fmt::Debug for Matcher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matcher").field("node", &self.node).finish_non_exhaustive()
    }
}
