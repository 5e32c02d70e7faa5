//! How old a socket is, how long it has been in its state, and from where that is known.

use crate::diagnose::in_state;
use crate::format::{Needs, Value};
use crate::model::{Missing, Snapshot, State};
use crate::table::cell::opt;

/// The words of `tcp_info` that these of its bytes lie in.
pub(crate) const fn bytes(offsets: &[usize]) -> u64 {
    let (mut out, mut i) = (0, 0);
    while i < offsets.len() {
        out |= 1 << (offsets[i] / 8);
        i += 1;
    }
    out
}

/// Since data was last sent, since it last came in, and since an acknowledgement did.
const IDLE: u64 = bytes(&[44, 52, 56]);

/// What the ages read, with the process behind a serving socket: all of it whenever an age is asked for, so that a
/// row's age does not hang on the columns beside it.
pub(crate) const NEEDS: Needs = Needs::OWNERS.or(Needs::info(IDLE));

/// How old a socket is, in seconds, and how that is known.
fn age_of(snap: &Snapshot, row: usize) -> Option<(f64, &'static str)> {
    let (f, s) = (&snap.facts[row], snap.socket(row));
    let end = if f.closed_ns > 0 { f.closed_ns } else { snap.sample.at.boot_ns };
    let seen = end.saturating_sub(f.first_seen_ns) as f64 / 1e9;
    if !f.older {
        return Some((seen, "opened"));
    }
    // A server opens what it serves by when it starts.
    if s.serves()
        && let Some(o) = snap.owners(row).first()
    {
        let began = end.saturating_sub(snap.process(o).info.start_ns) as f64 / 1e9;
        return Some((began.max(seen), "process start"));
    }
    // These begin to count with the connection.
    let idle = snap
        .attrs(row)
        .tcp_info()
        .filter(|_| connected(s.state))
        .and_then(|t| [t.last_data_sent_ms(), t.last_data_recv_ms()].into_iter().flatten().max());
    match idle.map(|ms| ms as f64 / 1e3) {
        Some(idle) if idle > seen => Some((idle, "idle time")),
        // Of the first poll this says nothing at all.
        _ => (seen >= 1.0).then_some((seen, "first seen")),
    }
}

/// Whether the handshake was finished and the kernel still keeps the whole socket.
const fn connected(state: State) -> bool {
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
    match age_of(snap, row) {
        // They were there before anybody looked.
        Some((secs, "idle time" | "first seen")) => Value::AtLeast(secs),
        found => opt(found.map(|(secs, _)| secs)),
    }
}

pub(crate) fn age_from<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    opt(age_of(snap, row).map(|(_, from)| from))
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
    fn whole_where_there_is_room() {
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
