//! Questions over snapshots: the column registry, the filter language, order and groups.
//!
//! Everything here is a pure function of its arguments. The dashboard and the scripts ask through the same types.

pub mod cell;
pub mod column;
pub mod complete;
pub mod error;
pub mod explain;
pub mod filter;
pub mod finding;
pub mod fit;
pub mod format;
pub mod group;
pub mod hidden;
pub mod identity;
pub mod leak;
pub mod order;
pub mod path;
pub mod preset;
pub mod remedy;
pub mod suggest;
pub mod summary;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod value;
pub mod view;
pub mod wants;

/// Names of ports: what [`filter::Filter::parse_with`] takes.
pub mod services {
    pub use crate::model::Services;
}

pub use column::{Align, Column, Get, Kind, Needs, Width};
pub use error::{QueryError, columns};
pub use identity::Identity;
pub use table::{TABLES, Table, table};
pub use value::Value;
