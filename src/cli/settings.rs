//! The settings: one typed field each, with its help, default and flag. The configuration file, flags, the commented
//! file, `sockscope config`, the manual page and the reference are made of this list.

pub mod flags;
mod list;
pub mod schema;
pub mod template;
pub mod value;

pub(crate) use list::TOP_SORT;
pub use list::{Alerts, Settings, Thresholds, View, settings};
