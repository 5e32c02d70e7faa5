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

/// The columns about events, each once: the name of the column chooses its title, kind, figure, alias and help; the first argument is the
/// list of the table's rows in the event window.
macro_rules! event_column {
    ($rows:ident, opened_per_s) => {
        crate::table::event_columns::event_column!(
            $rows, "opened_per_s", "OPENED/s", PerSec, Opened, "opened",
            "TCP connections opened per second over the last 30 seconds: connects that succeeded, and connections accepted."
        )
    };
    ($rows:ident, failed_per_s) => {
        crate::table::event_columns::event_column!(
            $rows, "failed_per_s", "FAILED/s", PerSec, Failed, "failed",
            "TCP connects that failed per second, over the last 30 seconds."
        )
    };
    ($rows:ident, closed_per_s) => {
        crate::table::event_columns::event_column!(
            $rows, "closed_per_s", "CLOSED/s", PerSec, Closed, "closed",
            "TCP connections that ended per second, over the last 30 seconds."
        )
    };
    ($rows:ident, duration_p50_us) => {
        crate::table::event_columns::event_column!(
            $rows, "duration_p50_us", "P50", Micros, P50, "p50",
            "Median duration of the TCP connections that ended within the last 30 seconds."
        )
    };
    ($rows:ident, duration_p99_us) => {
        crate::table::event_columns::event_column!(
            $rows, "duration_p99_us", "P99", Micros, P99, "p99",
            "99th percentile of the durations of the TCP connections that ended within the last 30 seconds."
        )
    };
    ($rows:ident, $name:literal, $title:literal, $kind:ident, $figure:ident, $alias:literal, $help:literal) => {
        Column::new(
            $name,
            $title,
            Kind::$kind,
            49,
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
        .called(&[$alias])
    };
}
pub(super) use event_column;
