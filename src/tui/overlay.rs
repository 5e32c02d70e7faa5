//! What is drawn over the dashboard, one file each.

pub(crate) mod confirm;
pub(crate) mod explain;
pub(crate) mod greeting;
pub(crate) mod help;
pub(crate) mod list;
pub(crate) mod palette;
