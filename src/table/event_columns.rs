//! Columns about the connections of the last seconds, of the tables of ports, processes and peers.

use crate::format::Value;
use crate::model::Snapshot;
use crate::model::snapshot::{EventFigure, EventStats};

/// Value of a figure of a row.
pub(super) fn figure<'a>(
    snap: &'a Snapshot,
    stats: &'a [EventStats],
    row: usize,
    figure: EventFigure,
) -> Value<'a> {
    let stats = stats.get(row).copied().unwrap_or_default();
    snap.event_figure(&stats, figure).map_or_else(Value::Missing, Value::from)
}

/// A column about the events of a table's rows.
macro_rules! event_column {
    ($rows:ident, $name:literal, $title:literal, $kind:ident, $drop:literal, $figure:ident, $help:literal) => {
        Column::new(
            $name,
            $title,
            Kind::$kind,
            $drop,
            |s, r| {
                crate::table::event_columns::figure(
                    s,
                    &s.events.window.$rows,
                    r,
                    crate::model::snapshot::EventFigure::$figure,
                )
            },
            $help,
        )
        .over_time()
        .needs(Needs::EVENTS)
    };
}
pub(super) use event_column;
