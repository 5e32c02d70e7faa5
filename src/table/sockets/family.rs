//! Cell helpers of the columns that only some socket families have.

use super::cells::absent;
use crate::format::{Needs, Value};
use crate::model::struct_layout::{FieldUnit, Structure};
use crate::model::{AttrSet, Missing, Proto, Snapshot};
use crate::table::cell::na;

pub(super) const INFO: Needs = Needs::attrs(AttrSet::INFO);
pub(super) const VEGAS_BIT: Needs = Needs::attrs(AttrSet::VEGAS);

/// The value, or the reason why it is missing; not applicable to sockets of another protocol.
pub(super) fn family_value<'a, T: Into<Value<'a>>>(
    snap: &Snapshot,
    row: usize,
    proto: Proto,
    wanted: AttrSet,
    v: Option<T>,
) -> Value<'a> {
    match v {
        Some(v) => v.into(),
        None if snap.socket(row).proto == proto => Value::Missing(match absent(snap, row, wanted) {
            // A socket of this protocol without the attribute does not use it.
            Missing::NotReported => Missing::NotApplicable,
            why => why,
        }),
        None => na(),
    }
}

/// A structure as a record, each field by its name.
pub(super) fn structure_record<'a>(snap: &Snapshot, row: usize, s: &Structure, wanted: AttrSet) -> Value<'a> {
    let all = snap.attrs(row).structure(s).map(|raw| {
        let value = |f: &crate::model::struct_layout::Field| {
            let n = f.read(raw)?;
            Some((
                f.name,
                if f.unit == FieldUnit::Flags { Value::from(format!("0x{n:x}")) } else { Value::Uint(n) },
            ))
        };
        Value::Record(s.fields.iter().filter_map(value).collect())
    });
    family_value(snap, row, s.proto, wanted, all)
}

/// The names of the bits that are set, `-` for none.
pub(super) fn bit_names<'a>(flags: u32, names: &[&str]) -> Value<'a> {
    let set: Vec<&str> =
        names.iter().enumerate().filter(|(i, _)| flags >> i & 1 != 0).map(|(_, n)| *n).collect();
    if set.is_empty() { na() } else { Value::from(set.join(",")) }
}

macro_rules! structure_column {
    ($name:literal, $title:literal, $s:ident, $wanted:ident, $needs:expr, $help:literal) => {
        Column::new(
            $name,
            $title,
            Kind::List,
            71,
            |s, r| structure_record(s, r, &$s, AttrSet::$wanted),
            $help,
        )
        .needs($needs)
        .wide(8, 24, 60)
    };
}
pub(super) use structure_column;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::SOCKETS;
    use crate::testing::machine;

    #[test]
    fn attribute_of_another_family_is_not_applicable() {
        let snap = machine();
        let value = |name: &str, row| SOCKETS.column(name).unwrap().value(&snap, row);
        // A UNIX listener, and a TCP connection read without attributes.
        let (unix, tcp) = (12, 2);
        for name in [
            "congestion",
            "tos",
            "class_id",
            "mark",
            "cgroup_id",
            "v6only",
            "opt_recverr",
            "auto_port",
            "app_limited",
        ] {
            assert_eq!(value(name, unix), Value::Missing(Missing::NotApplicable), "{name}");
        }
        for name in ["congestion", "tos", "shutdown", "app_limited"] {
            assert_eq!(value(name, tcp), Value::Missing(Missing::NotRead), "{name}");
        }
        assert_eq!(value("skmem_rcvbuf", unix), Value::Missing(Missing::NotRead));
    }
}
