//! Rows of an answer.

use super::error::SqlError;
use rusqlite::Rows;
use rusqlite::types::ValueRef;

/// A value of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// Text, not escaped; of a blob its bytes in hexadecimal.
    Text(String),
}

/// The answer to a statement, read row by row.
pub struct Answer<'a> {
    sql: &'a str,
    /// Names of its columns.
    pub columns: Vec<String>,
    rows: Rows<'a>,
}

impl std::fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl<'a> Answer<'a> {
    pub(super) const fn new(sql: &'a str, columns: Vec<String>, rows: Rows<'a>) -> Self {
        Self { sql, columns, rows }
    }

    /// The next row.
    pub fn next_row(&mut self) -> Result<Option<Vec<Cell>>, SqlError> {
        let n = self.columns.len();
        let row = self.rows.next().map_err(|e| SqlError::new(self.sql, &e))?;
        let Some(row) = row else { return Ok(None) };
        let cell = |i| {
            Ok(match row.get_ref(i)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(n) => Cell::Integer(n),
                ValueRef::Real(n) => Cell::Real(n),
                ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Blob(bytes) => {
                    Cell::Text(bytes.iter().fold(String::new(), |text, b| text + &format!("{b:02x}")))
                }
            })
        };
        let cells = (0..n).map(cell).collect::<Result<_, _>>();
        cells.map(Some).map_err(|e| SqlError::new(self.sql, &e))
    }
}
