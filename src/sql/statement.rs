//! A statement: parsed, and what it reads.

use super::error::SqlError;
use super::schema::create_table;
use crate::format::Column;
use crate::table::{TABLES, Table};
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, Error};
use std::sync::{Arc, Mutex, PoisonError};

/// A table that a statement reads.
#[derive(Clone, Debug)]
pub struct Source {
    /// The table.
    pub table: &'static Table,
    /// Its columns that are read, besides the time, in the order of the registry.
    pub columns: Vec<&'static Column>,
}

/// A `SELECT`, checked.
#[derive(Clone, Debug)]
pub struct Statement {
    pub(super) text: String,
    sources: Vec<Source>,
}

impl Statement {
    /// Checks a statement against the tables.
    pub fn parse(sql: &str) -> Result<Self, SqlError> {
        let failed = |e: Error| SqlError::new(sql, &e);
        let db = Connection::open_in_memory().map_err(failed)?;
        for table in TABLES {
            let columns: Vec<&Column> = table.columns.iter().collect();
            db.execute_batch(&create_table(table, &columns)).map_err(failed)?;
        }
        let read: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let seen = Arc::clone(&read);
        read_only(&db, move |table, column| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push((table.to_owned(), column.to_owned()));
        })
        .map_err(failed)?;
        let statement = db.prepare(sql).map_err(failed)?;
        if statement.column_count() == 0 {
            return Err(if sql.trim().is_empty() {
                SqlError::Invalid { at: None, message: "no statement".to_owned(), hint: None }
            } else {
                SqlError::NotASelect
            });
        }
        drop(statement);
        let read = read.lock().unwrap_or_else(PoisonError::into_inner);
        let sources =
            TABLES.into_iter().filter(|t| read.iter().any(|(name, _)| name == t.noun)).map(|table| {
                let is_read = |c: &&Column| read.iter().any(|(t, name)| t == table.noun && name == c.name);
                Source { table, columns: table.columns.iter().filter(is_read).collect() }
            });
        Ok(Self { text: sql.to_owned(), sources: sources.collect() })
    }

    /// Tables that it reads.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }
}

/// Allows nothing but `SELECT`. `read` is called with table and column of everything that a statement reads.
pub(super) fn read_only(db: &Connection, read: impl Fn(&str, &str) + Send + 'static) -> Result<(), Error> {
    // An unknown name in double quotes is an error, not a text.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    db.authorizer(Some(move |context: AuthContext<'_>| match context.action {
        AuthAction::Read { table_name, column_name } => {
            read(table_name, column_name);
            Authorization::Allow
        }
        AuthAction::Select | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Function { function_name } if function_name != "load_extension" => Authorization::Allow,
        _ => Authorization::Deny,
    }))
}
