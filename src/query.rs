//! Questions over snapshots: the column registry, the filter language, order and groups.
//!
//! Everything here is a pure function of its arguments. The dashboard and the scripts ask through the same types.

pub mod column;
pub mod fit;
pub mod table;
pub mod value;

pub use column::{Align, Column, Get, Kind, Needs, Width};
pub use table::Table;
pub use value::Value;
