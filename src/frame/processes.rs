//! Processes with their descriptors.

use super::FrameError;
use super::ints::Moves;
use super::pairs::Pairs;
use super::table::{Column, TableReader, TableWriter, from_json, to_json};
use crate::model::process::FdKind;
use crate::model::{FdKinds, FdUsage, Missing, ProcInfo, Process, Sample};
use std::sync::{Arc, LazyLock};

/// Fields of [`FdUsage`] that change often, each a column.
macro_rules! usage {
    ($name:literal, $field:ident) => {
        Column::Int {
            name: $name,
            moves: Moves::No,
            get: |p: &Process| p.fds.as_ref().map_or(0, |u| u64::from(u.$field)),
            set: |p, n| match &mut p.fds {
                Ok(u) => n.try_into().map(|n| u.$field = n).is_ok(),
                Err(_) => n == 0,
            },
        }
    };
}

/// Column of the number of descriptors of one kind.
macro_rules! kind {
    ($name:literal, $kind:ident) => {
        Column::Int {
            name: $name,
            moves: Moves::No,
            get: |p: &Process| kinds(p).map_or(0, |k| u64::from(k.get(FdKind::$kind))),
            set: |p, n| match kinds_mut(p) {
                Some(k) => n.try_into().map(|n| k.set(FdKind::$kind, n)).is_ok(),
                None => n == 0,
            },
        }
    };
}

fn kinds(p: &Process) -> Option<FdKinds> {
    p.fds.as_ref().ok()?.kinds
}

fn kinds_mut(p: &mut Process) -> Option<&mut FdKinds> {
    p.fds.as_mut().ok()?.kinds.as_mut()
}

/// Usage without the fields that have columns of their own.
fn without_columns(fds: &Result<FdUsage, Missing>) -> Result<FdUsage, Missing> {
    fds.map(|u| FdUsage {
        open: 0,
        open_at_ns: 0,
        above_soft: 0,
        highest: None,
        kinds: u.kinds.map(|_| FdKinds::default()),
        kinds_at_ns: 0,
        ..u
    })
}

fn same_text(a: &Process, b: &Process) -> bool {
    (Arc::ptr_eq(&a.info, &b.info) || a.info == b.info)
        && a.fds_hidden == b.fds_hidden
        && (Arc::ptr_eq(&a.fd_targets, &b.fd_targets) || a.fd_targets == b.fd_targets)
        && a.halted == b.halted
        && a.freezer == b.freezer
        && without_columns(&a.fds) == without_columns(&b.fds)
}

/// Sets everything that has no column of its own, and keeps the rest.
fn set_text(p: &mut Process, read: &Process) {
    let mut read = read.clone();
    if let (Ok(new), Ok(old)) = (&mut read.fds, &p.fds) {
        *new = FdUsage {
            soft: new.soft,
            hard: new.hard,
            kinds: new.kinds.map(|empty| old.kinds.unwrap_or(empty)),
            ..*old
        };
    }
    *p = read;
}

/// Columns. `process` holds what changes rarely, with the names of its fields.
pub(super) static COLUMNS: LazyLock<Vec<Column<Process>>> = LazyLock::new(|| {
    vec![
        Column::Text {
            name: "process",
            same: same_text,
            get: |p| to_json(&Process { fds: without_columns(&p.fds), ..p.clone() }),
            read: |json| from_json(json, set_text),
        },
        usage!("fds_open", open),
        usage!("fds_open_at_ns", open_at_ns),
        usage!("fds_above_soft", above_soft),
        usage!("fds_kinds_at_ns", kinds_at_ns),
        Column::Int {
            name: "fds_highest",
            moves: Moves::No,
            get: |p| p.fds.as_ref().ok().and_then(|u| u.highest).map_or(0, |n| u64::from(n) + 1),
            set: |p, n| match &mut p.fds {
                Ok(u) => {
                    u.highest = n.checked_sub(1).and_then(|n| n.try_into().ok());
                    n <= 1 << 32
                }
                Err(_) => n == 0,
            },
        },
        kind!("fds_sockets", Socket),
        kind!("fds_files", File),
        kind!("fds_pipes", Pipe),
        kind!("fds_eventfd", Eventfd),
        kind!("fds_epoll", Epoll),
        kind!("fds_timerfd", Timerfd),
        kind!("fds_signalfd", Signalfd),
        kind!("fds_inotify", Inotify),
        kind!("fds_memfd", Memfd),
        kind!("fds_pidfd", Pidfd),
        kind!("fds_other", Other),
    ]
});

/// Counterparts of the processes of `new`.
pub(super) fn pair(new: &Sample, old: &Sample) -> Pairs {
    let key = |p: &Process| (p.info.pid, p.info.start_ns);
    Pairs::by_sorted_key(&new.processes, &old.processes, |p| p.info.pid.into(), key)
}

/// Bytes of the texts of a process.
pub(super) fn texts_len(p: &Process) -> usize {
    let info = &p.info;
    let targets: usize = p.fd_targets.iter().map(|t| t.path.len() + size_of_val(&*t.fds)).sum();
    let cgroup = info.cgroup.as_ref().map_or(0, |c| c.len());
    info.comm.len() + info.cmdline.len() + cgroup + targets + p.freezer.as_ref().map_or(0, |f| f.len())
}

pub(super) fn put(new: &Sample, old: &Sample, pairs: &Pairs) -> Option<Vec<u8>> {
    let (rows, before) = (&*new.processes, &*old.processes);
    let mut table = TableWriter::new(pairs, before.len(), 0);
    let differing = pairs.differing(|i, j| !same_text(&rows[i], &before[j]) || rows[i].fds != before[j].fds);
    table.columns(&COLUMNS, &differing, rows, before);
    table.finish()
}

pub(super) fn read(table: &TableReader<'_>, old: &Sample) -> Result<Vec<Process>, FrameError> {
    let blank = || Process {
        info: Arc::new(ProcInfo {
            pid: 0,
            ppid: 0,
            start_ns: 0,
            comm: "".into(),
            cmdline: "".into(),
            uid: 0,
            cgroup: None,
        }),
        fds: Err(Missing::NotRead),
        fds_hidden: None,
        fd_targets: Arc::from([]),
        halted: None,
        freezer: None,
    };
    let mut rows = table.rows(&old.processes, blank)?;
    table.columns(&COLUMNS, &mut rows, &old.processes)?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_descriptor_has_a_column() {
        let mut p = crate::testing::process(7, "nginx", 0, 40, 1024);
        for (kind, _) in FdKind::ALL {
            let mut k = FdKinds::default();
            k.add(kind);
            if let Ok(u) = &mut p.fds {
                u.kinds = Some(k);
            }
            let counted = COLUMNS.iter().filter(|c| match c {
                Column::Int { name, get, .. } => {
                    !name.contains("open") && !name.contains("_at") && get(&p) == 1
                }
                Column::Text { .. } => false,
            });
            assert_eq!(counted.count(), 1, "{kind:?}");
        }
    }
}
