//! The sample of a decoder, derived and printed.

use crate::derive::Engine;
use crate::format::{Style, Value};
use crate::model::text::is_hostile;
use crate::model::{Sample, Snapshot};
use crate::output::{Format, JsonHead, JsonKeys, Listing, Rows, write};
use crate::table::TABLES;
use crate::view::View;

/// Rows of each kind that are derived and printed: the decoders take any number, and the rest is slow.
const ROWS: usize = 4;

/// Derives two snapshots of a sample and prints every column of every row of every table.
pub(super) fn show(mut sample: Sample) {
    sample.sockets.truncate(ROWS);
    sample.processes.truncate(ROWS);
    sample.flows.truncate(ROWS);
    sample.events.list.truncate(ROWS);
    let n = sample.processes.len() as u32;
    sample.owners = sample.owners.iter().filter(|o| o.process < n).copied().collect();
    let mut later = sample.clone();
    later.at.boot_ns = later.at.boot_ns.saturating_add(1_000_000_000);
    let mut engine = Engine::new();
    engine.step(sample);
    print(&engine.step(later));
}

fn print(snap: &Snapshot) {
    for table in TABLES {
        let columns: Vec<_> = table.columns.iter().collect();
        let rows = View::new(table).arrange(snap).rows;
        let values = rows.iter().flat_map(|r| columns.iter().map(move |c| (*r as usize, c)));
        for (row, c) in values {
            let excluded = c.protos.map(|p| (p.proto_of)(snap, row)).filter(|proto| !c.is_for(*proto));
            let value = c.value(snap, row);
            assert!(
                excluded.is_none() || matches!(value, Value::Missing(_)),
                "{excluded:?} {c:?}: {value:?}"
            );
        }
        let grid = Rows { snap, columns: &columns, rows: &rows };
        let style = &Style::default();
        let list = Listing {
            grid: &grid,
            header: true,
            style,
            width: Some(200),
            color: false,
            optional: 0,
            named: &[],
            keys: JsonKeys::PerProtocol(JsonHead::new(snap)),
        };
        // NDJSON and CSV are made of the same values as JSON.
        for (format, name) in [(Format::Table, "table"), (Format::Json, "json")] {
            let mut out = Vec::new();
            assert!(write(&mut out, format, &list).is_ok());
            let text = String::from_utf8(out);
            assert!(text.is_ok(), "{} as {name} is not UTF-8", table.name);
            let text = text.unwrap_or_default();
            let raw = text.chars().find(|c| is_hostile(*c) && *c != '\n');
            assert!(raw.is_none(), "{} as {name}: {raw:?}", table.name);
            if format == Format::Json {
                let read = serde_json::from_str::<Vec<serde::de::IgnoredAny>>(&text).map(|all| all.len());
                assert!(read.as_ref().is_ok_and(|n| *n == rows.len()), "{}: {read:?}: {text}", table.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, BackendInfo, Family, Proto, Socket, SocketId, Stamp, State, Wants, attr};

    fn sample() -> Sample {
        let by = BackendInfo { backend: Backend::Netlink, reason: String::new() };
        Sample::empty(Stamp::default(), "h".into(), by.into(), Wants::default())
    }

    #[test]
    fn socket_with_every_attribute_has_only_values_of_its_protocol() {
        for (proto, name) in Proto::ALL {
            let families = match proto {
                Proto::Unix => &[Family::Unix][..],
                Proto::Packet => &[Family::Packet],
                Proto::Netlink => &[Family::Netlink],
                Proto::Vsock => &[Family::Vsock],
                Proto::Xdp => &[Family::Xdp],
                Proto::Tipc => &[Family::Tipc],
                _ => &[Family::Inet, Family::Inet6],
            };
            for family in families {
                let mut attrs = Vec::new();
                for number in (0..64).chain(0x3f00..0x3f40) {
                    attr::push(&mut attrs, number, &[number as u8 | 1; 256]);
                }
                let mut sample = sample();
                let mut s = Socket::new(SocketId { netns: 0, cookie: 7 }, *family, proto, State::Established);
                sample.push_attrs(&mut s, &attrs);
                sample.sockets.push(s);
                eprintln!("{name} {family:?}");
                show(sample);
            }
        }
    }
}
