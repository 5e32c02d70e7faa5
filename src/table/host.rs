//! Column of the host a row is of, which every table has.

use crate::format::{Column, Kind, TextMatch, Value};

/// Name of the column: as the key of a JSON row.
pub const HOSTNAME_COLUMN: &str = "hostname";

/// Host name. Rows of one table can be of several hosts, each in a snapshot of its own.
pub(super) const HOSTNAME: Column = Column::new(
    HOSTNAME_COLUMN,
    "HOSTNAME",
    Kind::Text,
    2,
    |s, _| Value::text(&s.sample.host),
    "Host that the row is of; with --host as it is named there.",
)
.text_match(TextMatch::Whole)
.called(&["on"])
.wide(6, 12, 30);
