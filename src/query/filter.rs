//! The filter language.

use super::{Needs, Table, Value, format};
use crate::model::{Prefilter, ProtoSet, Services, Snapshot, StateSet};
use std::fmt;
use std::ops::Range;

/// A parsed filter over the rows of one table.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    table: &'static Table,
    words: Vec<(Option<&'static super::Column>, String)>,
}

/// What is wrong with a filter's text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// Where, in bytes of the text.
    pub span: Range<usize>,
    /// What is wrong, in plain words.
    pub message: String,
    /// What to write instead, where that can be guessed.
    pub hint: Option<String>,
}

/// What of a filter the reading of sockets may use: never less than the filter lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushdown {
    /// States that can match.
    pub states: StateSet,
    /// Protocols that can match.
    pub protos: ProtoSet,
    /// What the kernel may test.
    pub prefilter: Option<Prefilter>,
}

impl Filter {
    /// Lets every row through.
    pub fn everything(table: &'static Table) -> Self {
        Self { table, words: Vec::new() }
    }

    /// From text, with the port names everybody knows.
    pub fn parse(text: &str, table: &'static Table) -> Result<Self, FilterError> {
        Self::parse_with(text, table, Services::well_known())
    }

    /// From text, with these port names.
    pub fn parse_with(text: &str, table: &'static Table, _services: &Services) -> Result<Self, FilterError> {
        let mut words = Vec::new();
        for w in text.split_whitespace() {
            match w.split_once(':') {
                Some((f, v)) if !f.is_empty() => {
                    let Some(c) = table.column(f) else {
                        return Err(FilterError {
                            span: 0..f.len(),
                            message: format!("no field \"{f}\""),
                            hint: None,
                        });
                    };
                    words.push((Some(c), v.to_ascii_lowercase()));
                }
                _ => words.push((None, w.to_ascii_lowercase())),
            }
        }
        Ok(Self { table, words })
    }

    /// The table it is about.
    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// Whether it lets everything through.
    pub fn is_everything(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether a row of its table matches.
    pub fn matches(&self, snap: &Snapshot, row: usize) -> bool {
        let style = format::Style::default();
        self.words.iter().all(|(c, w)| {
            let has = |c: &'static super::Column| {
                c.any_value(snap, row, &mut |v: &Value<'_>| {
                    format::cell(v, c.kind, &style).to_ascii_lowercase().contains(w.as_str())
                })
            };
            match c {
                Some(c) => has(c),
                None => self.table.words.iter().filter_map(|n| self.table.column(n)).any(has),
            }
        })
    }

    /// What must be read to evaluate it.
    pub fn needs(&self) -> Needs {
        Needs::OWNERS
    }

    /// What the reading of sockets may leave out.
    pub fn pushdown(&self) -> Pushdown {
        Pushdown { states: StateSet::ALL, protos: ProtoSet::ALL, prefilter: None }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (c, w)) in self.words.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            if let Some(c) = c {
                write!(f, "{}:", c.name)?;
            }
            f.write_str(w)?;
        }
        Ok(())
    }
}
