//! Columns of systemd units and containers, the same in every table that has them.

use crate::format::{Column, Kind, Needs, Value};
use crate::model::{Container, Missing, Reads, Snapshot, Unit};

/// Visits the units of a row, the one that is shown first, until a call returns `true`.
pub(crate) type UnitsOf = for<'a> fn(&'a Snapshot, usize, &mut dyn FnMut(&'a Unit) -> bool) -> bool;

/// The part of a unit that a column shows.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Unit,
    Slice,
    Container,
    ContainerId,
    Engine,
    Image,
    Pod,
    Published,
}

/// One column, independent of the table.
pub(crate) struct Spec {
    part: Part,
    name: &'static str,
    aliases: &'static [&'static str],
    title: &'static str,
    drop: u8,
    help: &'static str,
    width: (u16, u16, u16),
}

pub(crate) const UNIT: Spec = Spec {
    part: Part::Unit,
    name: "unit",
    aliases: &["service_unit"],
    title: "UNIT",
    drop: 51,
    help: "Systemd unit, from the control group: nginx.service, session-3.scope.",
    width: (8, 18, 40),
};
pub(crate) const SLICE: Spec = Spec {
    part: Part::Slice,
    name: "slice",
    aliases: &[],
    title: "SLICE",
    drop: 52,
    help: "Systemd slice of the unit, from the control group: system.slice, user-1000.slice.",
    width: (8, 16, 40),
};
pub(crate) const CONTAINER: Spec = Spec {
    part: Part::Container,
    name: "container",
    aliases: &["ctr"],
    title: "CONTAINER",
    drop: 34,
    help: "Container name if the engine reports it, else the short ID. A filter tests the full ID too.",
    width: (9, 14, 32),
};
pub(crate) const CONTAINER_ID: Spec = Spec {
    part: Part::ContainerId,
    name: "container_id",
    aliases: &[],
    title: "CONTAINER ID",
    drop: 53,
    help: "Full container ID, from the control group.",
    width: (12, 12, 64),
};
pub(crate) const ENGINE: Spec = Spec {
    part: Part::Engine,
    name: "container_engine",
    aliases: &["engine", "runtime"],
    title: "ENGINE",
    drop: 53,
    help: "Container engine: docker, podman, containerd, crio, lxc, machine, flatpak, snap.",
    width: (6, 8, 10),
};
pub(crate) const IMAGE: Spec = Spec {
    part: Part::Image,
    name: "image",
    aliases: &[],
    title: "IMAGE",
    drop: 52,
    help: "Container image, as reported by the engine.",
    width: (8, 20, 60),
};
pub(crate) const POD: Spec = Spec {
    part: Part::Pod,
    name: "pod",
    aliases: &["pod_uid"],
    title: "POD",
    drop: 53,
    help: "Pod of the container: its name if the engine reports it, else its UID.",
    width: (8, 16, 64),
};

pub(crate) const PUBLISHED: Spec = Spec {
    part: Part::Published,
    name: "published",
    aliases: &["published_ports"],
    title: "PUBLISHED",
    drop: 53,
    help: "Published ports of the container, as reported by the engine: 0.0.0.0:8080->80/tcp.",
    width: (10, 22, 80),
};

/// One of these columns, over the units that a function visits.
macro_rules! unit_column {
    ($spec:path, $units:path) => {
        crate::table::units::column(
            &$spec,
            |s, r| crate::table::units::value(&$spec, s, r, $units),
            |s, r, t| crate::table::units::any(&$spec, s, r, $units, t),
        )
    };
}
pub(crate) use unit_column;

pub(crate) const fn column(
    spec: &Spec,
    get: crate::format::column::GetFn,
    any: crate::format::column::AnyFn,
) -> Column {
    let (min, normal, max) = spec.width;
    Column::new(spec.name, spec.title, Kind::Text, spec.drop, get, spec.help)
        .called(spec.aliases)
        .wide(min, normal, max)
        .needs(Needs::CGROUPS)
        .any(any)
}

/// The value of the first unit of the row.
pub(crate) fn value<'a>(spec: &Spec, snap: &'a Snapshot, row: usize, units: UnitsOf) -> Value<'a> {
    let mut first = None;
    units(snap, row, &mut |u| {
        first = Some(u);
        true
    });
    let Some(u) = first else {
        let read = snap.sample.wants.reads_any(Reads::CGROUPS | Reads::PROCESSES);
        return Value::Missing(if read { Missing::NotReported } else { Missing::NotRead });
    };
    unit_part(spec.part, u)
}

fn unit_part(part: Part, u: &Unit) -> Value<'_> {
    let na = Missing::NotApplicable;
    match (part, &u.container) {
        (Part::Unit, _) => Value::from_opt(u.name.as_deref(), na),
        (Part::Slice, _) => Value::from_opt(u.slice.as_deref(), na),
        (_, None) => Value::Missing(na),
        (_, Some(c)) => container_part(part, c),
    }
}

fn container_part(part: Part, c: &Container) -> Value<'_> {
    match part {
        Part::Container => Value::text(c.label()),
        Part::ContainerId => Value::text(&c.id),
        Part::Engine => Value::text(c.engine.name()),
        Part::Image => Value::from_opt(c.image.as_deref(), Missing::NotReported),
        Part::Pod => Value::from_opt(c.pod.as_ref().map(crate::model::Pod::label), Missing::NotApplicable),
        Part::Published if c.ports.is_empty() => Value::Missing(Missing::NotApplicable),
        Part::Published => {
            let all: Vec<String> = c.ports.iter().map(ToString::to_string).collect();
            Value::from(all.join(", "))
        }
        Part::Unit | Part::Slice => Value::Missing(Missing::NotApplicable),
    }
}

/// Tests every value of every unit of the row: of a container its name and its ID.
pub(crate) fn any(
    spec: &Spec,
    snap: &Snapshot,
    row: usize,
    units: UnitsOf,
    test: &mut dyn FnMut(&Value<'_>) -> bool,
) -> bool {
    let mut none = true;
    let mut found = |u: &Unit| {
        none = false;
        let c = u.container.as_ref();
        // Each port is a value of its own.
        if let (Part::Published, Some(c)) = (spec.part, c)
            && !c.ports.is_empty()
        {
            return c.ports.iter().any(|p| test(&Value::from(p.to_string())));
        }
        let more = match spec.part {
            Part::Container => c.map(|c| &*c.id),
            Part::Pod => c.and_then(|c| c.pod.as_ref()).filter(|p| p.name.is_some()).map(|p| &*p.uid),
            _ => None,
        };
        test(&unit_part(spec.part, u)) || more.is_some_and(|m| test(&Value::text(m)))
    };
    if units(snap, row, &mut found) {
        return true;
    }
    none && test(&value(spec, snap, row, units))
}

/// Units of a socket: of its own control group, then of its owners.
pub(crate) fn socket_units<'a>(snap: &'a Snapshot, row: usize, f: &mut dyn FnMut(&'a Unit) -> bool) -> bool {
    let first = snap.unit_of(row);
    if first.is_some_and(&mut *f) {
        return true;
    }
    let mut last = first;
    snap.owners(row).iter().filter_map(|o| snap.unit_of_process(o.process as usize)).any(|u| {
        let again = last.is_some_and(|l| std::ptr::eq(l, u));
        last = Some(u);
        !again && f(u)
    })
}

/// The unit of a process.
pub(crate) fn process_units<'a>(snap: &'a Snapshot, row: usize, f: &mut dyn FnMut(&'a Unit) -> bool) -> bool {
    snap.unit_of_process(row).is_some_and(f)
}

/// Units of the sockets of a listening endpoint.
pub(crate) fn port_units<'a>(snap: &'a Snapshot, row: usize, f: &mut dyn FnMut(&'a Unit) -> bool) -> bool {
    snap.ports[row].sockets.iter().any(|s| socket_units(snap, *s as usize, f))
}
