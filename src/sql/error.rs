//! Errors of SQL, in one line, with what may have been meant.

use super::schema::is_keyword;
use crate::format::did_you_mean;
use crate::table::{TABLES, Table};
use rusqlite::{Error, ErrorCode};

/// Error of a statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// The text is not a statement that can be answered.
    #[error("query{}: {message}{}", at_text(*at), hint.as_ref().map_or(String::new(), |h| format!("; {h}")))]
    Invalid {
        /// Place of the error in characters, from 1.
        at: Option<usize>,
        /// The error.
        message: String,
        /// Correction.
        hint: Option<String>,
    },
    /// The statement is not a query.
    #[error("query: only SELECT is answered: nothing is changed, no file is opened and no setting read")]
    NotASelect,
    /// The rows take more than [`MAX_BYTES`](super::MAX_BYTES).
    #[error(
        "query: the rows take more than {} GiB of memory: shorten --between, set --every, or read fewer columns; export --format parquet has no such limit",
        super::MAX_BYTES >> 30
    )]
    TooLarge,
    /// The statement failed while it ran.
    #[error("query: {0}")]
    Failed(String),
}

fn at_text(at: Option<usize>) -> String {
    at.map_or(String::new(), |n| format!(", at character {n}"))
}

impl SqlError {
    /// Error of `SQLite` about a statement.
    pub(super) fn new(sql: &str, e: &Error) -> Self {
        match e {
            Error::SqlInputError { msg, .. } if msg.starts_with("not authorized") => Self::NotASelect,
            Error::SqlInputError { msg, offset, .. } => {
                let byte = usize::try_from(*offset).ok();
                let at = byte.map(|b| sql.char_indices().take_while(|(i, _)| *i < b).count() + 1);
                Self::Invalid { at, message: msg.clone(), hint: hint(sql, msg) }
            }
            Error::MultipleStatement => {
                Self::Invalid { at: None, message: "more than one statement".to_owned(), hint: None }
            }
            Error::SqliteFailure(code, message) => match code.code {
                ErrorCode::DiskFull => Self::TooLarge,
                ErrorCode::AuthorizationForStatementDenied => Self::NotASelect,
                ErrorCode::Unknown if message.as_deref().is_some_and(|m| m.starts_with("no such ")) => {
                    let message = message.clone().unwrap_or_default();
                    Self::Invalid { at: None, hint: hint(sql, &message), message }
                }
                _ => Self::Failed(message.clone().unwrap_or_else(|| code.to_string())),
            },
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Name that may have been meant, by the message of `SQLite`.
fn hint(sql: &str, message: &str) -> Option<String> {
    if let Some(name) = message.strip_prefix("no such table: ") {
        let known = TABLES.iter().find(|t| t.name == name).map(|t| t.noun);
        let near = known.or_else(|| did_you_mean::nearest(name, TABLES.iter().map(|t| t.noun)));
        let all: Vec<&str> = TABLES.iter().map(|t| t.noun).collect();
        return Some(match near {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("tables: {}", all.join(", ")),
        });
    }
    if let Some(name) = message.strip_prefix("no such column: ") {
        let word = name.split(" - ").next().unwrap_or(name).trim_matches('"');
        let word = word.rsplit('.').next().unwrap_or(word).trim_matches('"').to_ascii_lowercase();
        let named: Vec<&Table> = TABLES.into_iter().filter(|t| names(sql, t.noun)).collect();
        let alias = named.iter().find_map(|t| t.column(&word)).map(|c| c.name);
        let columns = named.iter().flat_map(|t| t.columns.iter().map(|c| c.name)).chain(["time"]);
        let near = alias.or_else(|| did_you_mean::nearest(&word, columns))?;
        return Some(format!("did you mean {near:?}?"));
    }
    let near = message.strip_prefix("near \"")?.split('"').next()?.to_ascii_lowercase();
    is_keyword(&near).then(|| format!("the column is written \"{near}\", in double quotes"))
}

/// Returns true if a word is in the statement.
fn names(sql: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    sql.split(|c: char| !is_part(c)).any(|w| w.eq_ignore_ascii_case(word))
}
