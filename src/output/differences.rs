//! Differences between two moments as rows.

use super::Grid;
use crate::format::{Column, Kind, Value};
use crate::model::Missing;
use crate::view::diff::Difference;

/// Differences as rows.
#[derive(Debug)]
pub struct Differences<'a> {
    /// The differences, in order.
    pub rows: &'a [Difference],
    /// [`Self::COLUMNS`].
    pub columns: &'a [&'static Column],
}

/// Column of [`Differences`]: its values are not those of a snapshot. Of lower `priority` is what gives way first on a narrow terminal.
const fn column(
    name: &'static str,
    title: &'static str,
    kind: Kind,
    priority: u8,
    help: &'static str,
) -> Column {
    Column::new(name, title, kind, priority, |_, _| Value::Missing(Missing::NotApplicable), help)
}

impl Differences<'_> {
    /// Its columns.
    pub const COLUMNS: &'static [Column] = &COLUMNS;
}

static COLUMNS: [Column; 9] = [
    column("change", "CHANGE", Kind::Text, 0, "Kind of the difference: new, gone or changed.").wide(7, 7, 7),
    column(
        "subject",
        "SUBJECT",
        Kind::Text,
        0,
        "Thing that differs: listener, connections, process or limit.",
    )
    .wide(11, 11, 11),
    column("name", "NAME", Kind::Text, 0, "Endpoint, process, or owner of the limit.").wide(12, 30, 60),
    column("process", "PROCESS", Kind::Text, 20, "Names of the processes."),
    column("netns", "NETNS", Kind::Text, 30, "Network namespace."),
    column("before", "BEFORE", Kind::Text, 0, "State before.").wide(8, 24, 60),
    column("after", "AFTER", Kind::Text, 0, "State after.").wide(8, 24, 60),
    column("opened", "OPENED", Kind::Count, 10, "Connections opened in between and still open."),
    column("closed", "CLOSED", Kind::Count, 10, "Connections closed in between."),
];

impl Grid for Differences<'_> {
    fn columns(&self) -> &[&'static Column] {
        self.columns
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        let d = &self.rows[row];
        let text = |t: &'_ String| {
            if t.is_empty() { Value::Missing(Missing::NotApplicable) } else { Value::from(t.clone()) }
        };
        let count = |n: Option<u64>| n.map_or(Value::Missing(Missing::NotApplicable), Value::from);
        match column {
            0 => Value::text(d.change.name()),
            1 => Value::text(d.subject.name()),
            2 => text(&d.name),
            3 => text(&d.process),
            4 => text(&d.netns),
            5 => text(&d.before),
            6 => text(&d.after),
            7 => count(d.turnover.map(|t| t.0)),
            _ => count(d.turnover.map(|t| t.1)),
        }
    }
}
