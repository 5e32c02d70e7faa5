//! The filter language: one for the dashboard and for scripts, and all that `ss` understands.
//!
//! ```text
//! nginx                              a word: in the process, address, state, user, service
//! :443   port:8000-8999   sport>1024 ports, of either end or of one
//! state:close-wait,time-wait         one of several
//! remote:10.0.0.0/8   10.0.0.0/8     networks
//! rx>1M   rtt>50ms   age<10s   fds>80%
//! proc~^ng   proc:ng*   proc=nginx   pattern, glob, the whole name
//! a b   a and b   a or b   not a   ( )
//! @leaks                             the saved filter of that name
//! state established '( dport = :ssh or sport = :ssh )' dst 10.0.0.0/8
//! ```
//!
//! What is missing satisfies no comparison; `field!=x` is exactly `not field=x`, and `field:none` asks for it. In tests of
//! ports and addresses the far end of a listener is `0.0.0.0:0`, as for `ss`.

mod ast;
pub mod complete;
mod eval;
pub mod from_cell;
mod language;
mod number;
pub(crate) mod operand;
mod parse;
mod pushdown;
mod raw_value;
mod state_sets;
#[cfg(test)]
mod tests;
mod text_match;

use crate::format::{Column, Kind, Needs, Role};
use crate::model::{Prefilter, ProtoSet, Reads, Services, Snapshot, State, StateSet};
use crate::table::Table;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use crate::filter::ast::{Cmp, Expr, Field, Op, Operand, Term, Test};
pub use crate::filter::language::{Form, LANGUAGE};
pub use crate::filter::number::Number;

/// A text as a value of a filter: bare where that means the same, else in quotes.
pub fn quote(text: &str) -> String {
    ast::quoted(text, |s| !ast::plain_value(s))
}

/// Filters by name, as the configuration file has them.
pub type Saved = BTreeMap<String, String>;

/// Whether a filter can be saved under this name: `@name` is one word.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 40
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// What the words of a filter may stand for beside fields and values.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Ports by name.
    pub services: &'a Services,
    /// Filters by name: `@name`.
    pub saved: &'a Saved,
}

/// A parsed filter over the rows of one table. Two are equal when they ask the same in the same words.
#[derive(Clone)]
pub struct Filter {
    table: &'static Table,
    expr: Option<Arc<Expr>>,
    node: Option<Arc<eval::Node>>,
    slots: usize,
}

/// What kind of thing is wrong with a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The text is too long.
    TooLong,
    /// Too many parentheses within each other.
    TooDeep,
    /// A parenthesis without its partner.
    Parenthesis,
    /// A quotation that does not end.
    Quote,
    /// Something is missing.
    Incomplete,
    /// Something stands where nothing belongs.
    Unexpected,
    /// A field that the table does not have.
    UnknownField,
    /// A value that the field cannot have.
    BadValue,
    /// A regular expression that is none, or too large.
    BadPattern,
}

/// What is wrong with a filter's text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", hint.as_ref().map_or_else(String::new, |h| format!(" ({h})")))]
pub struct FilterError {
    /// What kind of thing.
    pub kind: Problem,
    /// Where, in bytes of the text.
    pub span: Range<usize>,
    /// What is wrong, in plain words; safe to show.
    pub message: String,
    /// What to write instead, where that can be guessed; safe to show.
    pub hint: Option<String>,
}

/// What of a filter the reading of sockets may use: never less than the filter lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushdown {
    /// States that can match.
    pub states: StateSet,
    /// Protocols that can match.
    pub protos: ProtoSet,
    /// What the kernel may test, of sockets of the IP families. A part that cannot be put to it (an interface that is
    /// not there, marks without the right to see them) is to be taken as true, also within a `Not`.
    pub prefilter: Option<Prefilter>,
}

impl Filter {
    /// Lets every row through.
    pub fn everything(table: &'static Table) -> Self {
        Self { table, expr: None, node: None, slots: 0 }
    }

    /// From text, with the port names everybody knows.
    pub fn parse(text: &str, table: &'static Table) -> Result<Self, FilterError> {
        Self::parse_with(text, table, Services::well_known())
    }

    /// From text, with these port names and no saved filters.
    pub fn parse_with(text: &str, table: &'static Table, services: &Services) -> Result<Self, FilterError> {
        Self::parse_named(text, table, Names { services, saved: &Saved::new() })
    }

    /// From text, with what its words stand for.
    pub fn parse_named(text: &str, table: &'static Table, names: Names<'_>) -> Result<Self, FilterError> {
        let expr = parse::parse(text, table, names)?;
        let mut slots = 0;
        let node = expr.as_ref().map(|e| Arc::new(eval::ready(e, table, &mut slots)));
        Ok(Self { table, expr: expr.map(Arc::new), node, slots })
    }

    /// The table it is about.
    pub const fn table(&self) -> &'static Table {
        self.table
    }

    /// Its tree; `None` when it lets everything through.
    pub fn expr(&self) -> Option<&Expr> {
        self.expr.as_deref()
    }

    /// Whether it lets everything through.
    pub const fn is_everything(&self) -> bool {
        self.expr.is_none()
    }

    /// Whether a row of its table matches. For many rows of one snapshot use [`Filter::over`].
    pub fn matches(&self, snap: &Snapshot, row: usize) -> bool {
        self.node.as_ref().is_none_or(|n| eval::eval(n, snap, row, None))
    }

    /// The filter made ready for one snapshot.
    pub fn over<'a>(&'a self, snap: &'a Snapshot) -> Matcher<'a> {
        let prepared = match &self.node {
            Some(n) if self.table.is_sockets() => Some(eval::Prepared::new(n, self.slots, snap)),
            _ => None,
        };
        Matcher { node: self.node.as_deref(), snap, prepared }
    }

    /// What must be read to evaluate it.
    pub fn needs(&self) -> Needs {
        fn of(e: &Expr, table: &'static Table) -> Needs {
            match e {
                Expr::And(all) | Expr::Or(all) => all.iter().fold(Needs::NONE, |n, e| n | of(e, table)),
                Expr::Not(e) => of(e, table),
                Expr::Word(_) => {
                    table.words.iter().filter_map(|w| table.column(w)).fold(Needs::NONE, |n, c| n | c.needs)
                }
                // Only who asks for what passes through gets it: it is nobody's socket.
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
        self.expr.as_ref().map_or(Needs::NONE, |e| of(e, self.table))
    }

    /// The columns that it looks at, each once for each test; not those that a bare word looks through.
    pub fn columns(&self) -> Vec<&'static Column> {
        fn of(e: &Expr, out: &mut Vec<&'static Column>) {
            match e {
                Expr::And(all) | Expr::Or(all) => all.iter().for_each(|e| of(e, out)),
                Expr::Not(e) => of(e, out),
                Expr::Term(Term { field: Field::Column(c), .. }) => out.push(c),
                Expr::Term(_) | Expr::Word(_) | Expr::AutoBound => {}
            }
        }
        let mut out = Vec::new();
        if let Some(e) = &self.expr {
            of(e, &mut out);
        }
        out
    }

    /// Protocols that it names: they are read beside the usual ones.
    pub fn protos(&self) -> ProtoSet {
        fn of(e: &Expr) -> ProtoSet {
            match e {
                Expr::And(all) | Expr::Or(all) => all.iter().fold(ProtoSet::empty(), |s, e| s | of(e)),
                Expr::Term(Term { field: Field::Column(c), .. })
                    if matches!(c.role, Some(Role::Proto | Role::Family)) =>
                {
                    pushdown::bounds(e).protos
                }
                _ => ProtoSet::empty(),
            }
        }
        match &self.expr {
            Some(e) if self.table.is_sockets() => of(e),
            _ => ProtoSet::empty(),
        }
    }

    /// What the reading of sockets may leave out. Of other tables than that of sockets, nothing.
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

/// A filter made ready for one snapshot.
pub struct Matcher<'a> {
    node: Option<&'a eval::Node>,
    snap: &'a Snapshot,
    prepared: Option<eval::Prepared>,
}

impl Matcher<'_> {
    /// Whether a row matches.
    pub fn matches(&self, row: usize) -> bool {
        self.node.is_none_or(|n| eval::eval(n, self.snap, row, self.prepared.as_ref()))
    }
}

impl fmt::Debug for Matcher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matcher").field("node", &self.node).finish_non_exhaustive()
    }
}
