//! Errors in lists of columns, sort orders and groupings.

use super::definition::Table;
use crate::format::did_you_mean;
use crate::model::text::escape;

/// An invalid list of columns, sort order or grouping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Unknown column.
    #[error("no column \"{}\" in the table of {table}{}", escape(word), suggestion(*nearest))]
    UnknownColumn {
        /// The word.
        word: String,
        /// The table.
        table: &'static str,
        /// The nearest column name.
        nearest: Option<&'static str>,
    },
    /// An invalid sort direction.
    #[error("invalid sort direction \"{}\": expected {column}:asc or {column}:desc", escape(word))]
    Direction {
        /// The word.
        word: String,
        /// The column.
        column: &'static str,
    },
    /// More columns than a grouping can have.
    #[error("groups by at most {0} columns")]
    TooManyGroups(usize),
    /// An empty column name.
    #[error("empty column name in the list")]
    Empty,
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |n| format!("; did you mean \"{n}\"?"))
}

/// The column of that name, or an error that names the nearest.
pub(crate) fn column(
    word: &str,
    table: &'static Table,
) -> Result<&'static crate::format::Column, QueryError> {
    if word.is_empty() {
        return Err(QueryError::Empty);
    }
    table.column(word).ok_or_else(|| QueryError::UnknownColumn {
        word: word.chars().take(60).collect(),
        table: table.noun,
        nearest: did_you_mean::nearest(word, names(table)),
    })
}

/// Every name and alias of a table's columns.
pub(crate) fn names(table: &'static Table) -> impl Iterator<Item = &'static str> {
    table.columns.iter().flat_map(|c| std::iter::once(c.name).chain(c.aliases.iter().copied()))
}

/// The columns named in a list with commas: `proto,local,rx`. A list that begins with `+` or `-` changes the default ones:
/// `+rx,tx` adds, `-rx,tx` removes; `all` is every column.
pub fn columns(text: &str, table: &'static Table) -> Result<Vec<&'static crate::format::Column>, QueryError> {
    columns_from(text, table, &table.default_columns())
}

/// Returns whether a list of columns changes the default ones.
pub fn changes_columns(text: &str) -> bool {
    text.trim_start().starts_with(['+', '-'])
}

/// The same with other default columns.
pub fn columns_from(
    text: &str,
    table: &'static Table,
    default: &[&'static crate::format::Column],
) -> Result<Vec<&'static crate::format::Column>, QueryError> {
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    let relative = changes_columns(text);
    let mut out = if relative { default.to_vec() } else { Vec::new() };
    for word in words {
        if word.eq_ignore_ascii_case("all") {
            out.extend(table.columns.iter());
            continue;
        }
        let minus = match word.as_bytes().first() {
            Some(b'+') => false,
            Some(b'-') => relative,
            _ => text.trim_start().starts_with('-'),
        };
        let c = column(word.trim_start_matches(['+', '-']), table)?;
        if minus {
            out.retain(|x| x.name != c.name);
        } else if !out.iter().any(|x| x.name == c.name) {
            out.push(c);
        }
    }
    Ok(out)
}
