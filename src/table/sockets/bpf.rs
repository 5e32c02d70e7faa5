//! Columns of BPF: the filter of a packet socket, the storage maps of an IP socket.

use crate::format::{Column, Kind, Needs, Value};
use crate::model::{AttrSet, FaultSubject, Missing, Proto, ProtoSet, Reads, Snapshot, bpf};
use crate::table::cell::na;

/// The reason why a socket has none.
fn no_value<'a>(snap: &Snapshot, row: usize, read: bool) -> Value<'a> {
    Value::Missing(match () {
        () if row >= snap.live => Missing::Gone,
        () if !read => Missing::NotRead,
        () => Missing::NotApplicable,
    })
}

fn filter<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    if snap.socket(row).proto != Proto::Packet {
        return na();
    }
    match snap.attrs(row).packet_filter() {
        None => no_value(
            snap,
            row,
            snap.sample.wants.reads(Reads::BPF) || snap.sample.wants.needs.attrs == AttrSet::ALL,
        ),
        Some([]) => Value::Missing(Missing::NotPermitted),
        Some(raw) => {
            let all: Vec<_> = bpf::program(raw).collect();
            let numbers: Vec<String> = all.iter().map(ToString::to_string).collect();
            let lines = all
                .iter()
                .enumerate()
                .map(|(i, instruction)| Value::from(format!("{i} {}", instruction.text(i))));
            Value::Record(vec![
                ("instructions", Value::from(all.len() as u64)),
                ("program", Value::List(lines.collect())),
                ("numbers", Value::from(numbers.join(", "))),
            ])
        }
    }
}

fn maps<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    if !snap.socket(row).proto.is_inet() {
        return na();
    }
    match snap.attrs(row).bpf_maps() {
        None if snap.sample.faults.iter().any(|f| f.subject == FaultSubject::BpfMaps) => {
            Value::Missing(Missing::NotPermitted)
        }
        None => no_value(snap, row, snap.sample.wants.reads(Reads::BPF)),
        Some(all) => map_list(all),
    }
}

/// Storage maps as a value: ID and size of each.
pub fn map_list<'a>(all: impl Iterator<Item = (u32, u32)>) -> Value<'a> {
    let record =
        |(id, size)| Value::Record(vec![("map_id", Value::from(id)), ("value_bytes", Value::from(size))]);
    Value::List(all.map(record).collect())
}

/// The filter of a packet socket.
pub(crate) const FILTER: Column = Column::new(
    "bpf_filter",
    "BPF FILTER",
    Kind::List,
    71,
    filter,
    "Classic BPF filter of a packet socket: number of instructions, disassembly, and as printed by ss -b.",
)
.needs(Needs::BPF)
.protos(super::row_protos(ProtoSet::new(&[Proto::Packet])))
.wide(8, 24, 80);

/// The maps of an IP socket.
pub(crate) const MAPS: Column = Column::new(
    "bpf_maps",
    "BPF MAPS",
    Kind::List,
    71,
    maps,
    "BPF maps with storage for the socket (sk_storage): map ID and value size.",
)
.needs(Needs::BPF)
.wide(8, 24, 60);

/// The columns.
pub(super) const COLUMNS: &[Column] = &[FILTER, MAPS];
