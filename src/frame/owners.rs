//! Descriptors that refer to sockets, and namespaces of processes.

use super::FrameError;
use super::ints::{Change, Moves};
use super::pairs::{NEW, Pairs};
use super::table::{Column, TableReader, TableWriter, int};
use crate::model::{Owner, Sample};
use std::sync::{Arc, LazyLock};

/// Owner whose process is that of the sample being written: its number there, if it was in both.
fn renumbered(owner: &Owner, new_process: &[u32]) -> u64 {
    match new_process.get(owner.process as usize) {
        Some(&NEW) | None => u64::from(owner.process),
        Some(i) => u64::from(*i),
    }
}

/// Writes the table; `processes` are the counterparts of the processes.
pub(super) fn put(new: &Sample, old: &Sample, processes: &Pairs) -> Option<Vec<u8>> {
    if Arc::ptr_eq(&new.owners, &old.owners) && processes.is_identity(old.processes.len()) {
        return None;
    }
    let (rows, before) = (&*new.owners, &*old.owners);
    let new_process = processes.inverse(old.processes.len());
    let pairs = Pairs::by_sorted_key(rows, before, |o| o.inode, |o| (o.inode, o.fd));
    let mut table = TableWriter::new(&pairs, before.len(), 0);
    let differing =
        pairs.differing(|i, j| u64::from(rows[i].process) != renumbered(&before[j], &new_process));
    table.ints("inode", Moves::No, &differing, |i| rows[i].inode, |j| before[j].inode);
    table.ints("fd", Moves::No, &differing, |i| rows[i].fd.into(), |j| before[j].fd.into());
    table.ints(
        "process",
        Moves::No,
        &differing,
        |i| rows[i].process.into(),
        |j| renumbered(&before[j], &new_process),
    );
    // Unchanged owners follow the numbers of their processes.
    table.finish()
}

/// Owners of the sample; without a table those of the previous sample, of the processes as they are numbered now.
pub(super) fn read(
    table: Option<&TableReader<'_>>,
    old: &Sample,
    processes: &Pairs,
) -> Result<Vec<Owner>, FrameError> {
    let new_process = processes.inverse(old.processes.len());
    let before = &*old.owners;
    let follow = |o: &Owner| Owner { process: renumbered(o, &new_process) as u32, ..*o };
    let Some(table) = table else { return Ok(before.iter().map(follow).collect()) };
    let row = |j: &u32| before.get(*j as usize).map_or(Owner { inode: 0, process: 0, fd: 0 }, follow);
    let mut rows: Vec<Owner> = table.pairs.old.iter().map(row).collect();
    let set =
        |slot: &mut u32, change: Change| change.apply((*slot).into()).try_into().map(|n| *slot = n).is_ok();
    table.ints(
        "inode",
        Moves::No,
        |j| before[j].inode,
        |i, change| {
            rows[i].inode = change.apply(rows[i].inode);
            true
        },
    )?;
    table.ints("fd", Moves::No, |j| before[j].fd.into(), |i, change| set(&mut rows[i].fd, change))?;
    table.ints(
        "process",
        Moves::No,
        |j| renumbered(&before[j], &new_process),
        |i, change| set(&mut rows[i].process, change),
    )?;
    Ok(rows)
}

/// Process in a namespace other than the first.
type InNamespace = (u32, u16);

static NAMESPACE_COLUMNS: LazyLock<Vec<Column<InNamespace>>> =
    LazyLock::new(|| vec![int!("pid", 0), int!("netns", 1)]);

/// Writes the table of [`Sample::netns_by_pid`].
pub(super) fn put_namespaces(new: &Sample, old: &Sample) -> Option<Vec<u8>> {
    let (rows, before) = (&*new.netns_by_pid, &*old.netns_by_pid);
    let pairs = Pairs::by_sorted_key(rows, before, |(pid, _)| (*pid).into(), |(pid, _)| *pid);
    let mut table = TableWriter::new(&pairs, before.len(), 0);
    let differing = pairs.differing(|i, j| rows[i] != before[j]);
    table.columns(&NAMESPACE_COLUMNS, &differing, rows, before);
    table.finish()
}

/// Reads the table of [`Sample::netns_by_pid`].
pub(super) fn read_namespaces(table: &TableReader<'_>, old: &Sample) -> Result<Vec<InNamespace>, FrameError> {
    let mut rows = table.rows(&old.netns_by_pid, || (0, 0))?;
    table.columns(&NAMESPACE_COLUMNS, &mut rows, &old.netns_by_pid)?;
    Ok(rows)
}
