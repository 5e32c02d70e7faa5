//! The database of one statement.

use super::answer::Answer;
use super::error::SqlError;
use super::schema::create_table;
use super::statement::{Source, Statement, read_only};
use crate::model::Snapshot;
use crate::output::stored::{Stored, stored};
use crate::output::time_text;
use rusqlite::{Connection, Error};

/// Most bytes of the rows that a statement reads.
pub const MAX_BYTES: u64 = 2 << 30;
const PAGE: u64 = 4096;

/// Tables in memory with what a statement reads.
#[derive(Debug)]
pub struct Database {
    db: Connection,
    statement: Statement,
}

impl Database {
    /// Empty tables.
    pub fn new(statement: Statement) -> Result<Self, SqlError> {
        Self::with_bound(statement, MAX_BYTES)
    }

    fn with_bound(statement: Statement, bytes: u64) -> Result<Self, SqlError> {
        let db = Connection::open_in_memory();
        let make = |db: Connection| {
            db.execute_batch(&format!(
                "PRAGMA page_size = {PAGE}; PRAGMA max_page_count = {}; PRAGMA journal_mode = OFF; PRAGMA temp_store = MEMORY;",
                bytes / PAGE
            ))?;
            for s in statement.sources() {
                db.execute_batch(&create_table(s.table, &s.columns))?;
            }
            db.execute_batch("BEGIN")?;
            Ok(db)
        };
        match db.and_then(make) {
            Ok(db) => Ok(Self { db, statement }),
            Err(e) => Err(SqlError::new("", &e)),
        }
    }

    /// The statement.
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Adds rows of a table that the statement reads.
    pub fn add(&mut self, source: &Source, snap: &Snapshot, rows: &[u32]) -> Result<(), SqlError> {
        insert(&self.db, source, snap, rows).map_err(|e| SqlError::new("", &e))
    }

    /// Answers the statement; no row can be added any more.
    pub fn answer<T>(self, take: impl FnOnce(Answer<'_>) -> T) -> Result<T, SqlError> {
        let sql = &self.statement.text;
        let failed = |e: Error| SqlError::new(sql, &e);
        self.db.execute_batch("COMMIT").map_err(failed)?;
        read_only(&self.db, |_, _| ()).map_err(failed)?;
        let mut statement = self.db.prepare(sql).map_err(failed)?;
        let names = statement.column_names().into_iter().map(str::to_owned).collect();
        let rows = statement.raw_query();
        Ok(take(Answer::new(sql, names, rows)))
    }
}

fn insert(db: &Connection, source: &Source, snap: &Snapshot, rows: &[u32]) -> Result<(), Error> {
    let places = vec!["?"; source.columns.len() + 1].join(",");
    let mut insert = db.prepare(&format!("INSERT INTO \"{}\" VALUES ({places})", source.table.noun))?;
    let of_sample = time_text(snap.sample.at.unix_ns);
    for row in rows {
        let unix_ns = source.table.unix_ns(snap, *row as usize);
        if unix_ns == snap.sample.at.unix_ns {
            insert.raw_bind_parameter(1, &of_sample)?;
        } else {
            insert.raw_bind_parameter(1, time_text(unix_ns))?;
        }
        for (i, c) in source.columns.iter().enumerate() {
            let i = i + 2;
            match stored(c.value(snap, *row as usize), c.kind) {
                Stored::Null => insert.raw_bind_parameter(i, rusqlite::types::Null),
                Stored::Boolean(b) => insert.raw_bind_parameter(i, b),
                Stored::Integer(n) => insert.raw_bind_parameter(i, n),
                Stored::Unsigned(n) => match i64::try_from(n) {
                    Ok(n) => insert.raw_bind_parameter(i, n),
                    // No integer of SQLite.
                    Err(_) => insert.raw_bind_parameter(i, n.to_string()),
                },
                Stored::Float(n) => insert.raw_bind_parameter(i, n),
                Stored::Text(text) => insert.raw_bind_parameter(i, &*text),
            }?;
        }
        insert.raw_execute()?;
    }
    Ok(())
}
