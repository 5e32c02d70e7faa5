//! Age of a socket and time in its state, with the source of the age.

use crate::diagnose::in_state;
use crate::format::{Needs, Value};
use crate::model::tcp_info::info_words;
use crate::model::{Missing, Snapshot, State};
use crate::table::cell::reported;

/// Times since data was last sent, data was last received, and an ACK was last received.
const IDLE: u128 = info_words(&[44, 52, 56]);

/// Needs of the ages, owners of listeners included: always all of them, so that an age does not depend on the other columns.
pub(crate) const NEEDS: Needs = Needs::OWNERS.or(Needs::info(IDLE));

/// Age of a socket in seconds, and its source.
fn age_and_source(snap: &Snapshot, row: usize) -> Option<(f64, &'static str)> {
    let (f, s) = (&snap.facts[row], snap.socket(row));
    let end = snap.closed_ns(row).unwrap_or(snap.sample.at.boot_ns);
    let seen = end.saturating_sub(f.first_seen_ns) as f64 / 1e9;
    if !f.preexisting {
        return Some((seen, "opened"));
    }
    // A server opens its listeners when it starts.
    if s.serves()
        && let Some(o) = snap.owners(row).first()
    {
        let began = end.saturating_sub(snap.process(o).info.start_ns) as f64 / 1e9;
        return Some((began.max(seen), "process start"));
    }
    // The kernel counts these from connect.
    let idle = snap
        .attrs(row)
        .tcp_info()
        .filter(|_| is_connected(s.state))
        .and_then(|t| [t.last_data_sent_ms(), t.last_data_recv_ms()].into_iter().flatten().max());
    match idle.map(|ms| ms as f64 / 1e3) {
        Some(idle) if idle > seen => Some((idle, "idle time")),
        // In the first poll this is not known.
        _ => (seen >= 1.0).then_some((seen, "first seen")),
    }
}

/// Returns whether the handshake is complete and the full socket still exists.
const fn is_connected(state: State) -> bool {
    matches!(
        state,
        State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::LastAck
            | State::Closing
    )
}

pub(crate) fn age<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    match age_and_source(snap, row) {
        // These sockets predate the first poll.
        Some((secs, "idle time" | "first seen")) => Value::AtLeast(secs),
        found => reported(found.map(|(secs, _)| secs)),
    }
}

pub(crate) fn age_from<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    reported(age_and_source(snap, row).map(|(_, from)| from))
}

pub(crate) fn state_age<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    match in_state(snap, row) {
        (secs, true) if secs < 1.0 => Value::Missing(Missing::NotReported),
        (secs, true) => Value::AtLeast(secs),
        (secs, false) => Value::from(secs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Kind;
    use crate::format::{Style, cell};
    use crate::table::SOCKETS;

    #[test]
    fn ages_fit_their_normal_width() {
        for name in ["age_s", "state_age_s"] {
            let room = usize::from(SOCKETS.column(name).map_or(0, |c| c.width.normal));
            for secs in [9, 94, 599, 3599, 86_399, 863_999, 86_400 * 364] {
                let value = Value::AtLeast(f64::from(secs));
                let text = cell(&value, Kind::Secs, &Style::default());
                assert!(text.chars().count() <= room, "{name}: {text} in {room}");
            }
        }
    }
}
