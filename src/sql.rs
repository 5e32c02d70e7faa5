//! SQL over the tables of the program: `SQLite` in memory, filled with what one statement reads.
//!
//! A statement is parsed against empty tables first: `SQLite` reports which columns it reads, and names what is unknown. Only those
//! columns are loaded, a row per row and moment, and the statement then runs over them. Rows are not reduced to changes: a
//! moment is found by `time = …` and a count needs no reconstruction.
//!
//! Nothing but `SELECT` is allowed: no file is opened, attached or written, no extension loaded. The database is bounded by
//! [`MAX_BYTES`].
//!
//! Measured over a recording of 10,900 sockets and 60 samples (651,596 rows; two cores, other work beside it), decoding and
//! derivation included: one column 3.4 s and 93 MB, four columns 3.9 s and 103 MB, `SELECT *` (every column) 28 s and 496 MB. The
//! program is about 0.6 MB larger with `sql` and `parquet` (14.8 MB), and `SQLite` takes most of a minute of one core to compile.

mod answer;
mod database;
mod error;
mod schema;
mod statement;

pub use answer::{Answer, Cell};
pub use database::{Database, MAX_BYTES};
pub use error::SqlError;
pub use schema::schema;
pub use statement::{Source, Statement};
