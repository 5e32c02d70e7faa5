//! Matches the rows of two polls by the kernel's identity.
//!
//! The kernel dumps a table in nearly the same order every time, so the two lists are merged in one pass and only rows out
//! of order are looked up in a map.

use crate::model::{Namespace, Snapshot, Socket, SocketId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Cow;

/// Placeholder for a row that the previous poll did not have.
pub(super) const NONE: u32 = u32::MAX;
/// Rows searched ahead in the previous poll before a row is left for the map.
const LOOKAHEAD: usize = 16;

/// Matching rows of two polls.
#[derive(Debug)]
pub(super) struct RowPairs {
    /// For each live row its row in the previous snapshot, which may be a closed one; [`NONE`] if it is new.
    pub previous: Vec<u32>,
    /// For each row of the previous snapshot, true if it is in this poll.
    pub still_present: Vec<bool>,
}

/// Pairs `rows` with those of the snapshot `before`. A socket that was read twice (it moved during the dump) is removed, and
/// equal synthetic ids are made unique; `rows` is copied only in those cases.
pub(super) fn pair(
    before: Option<&Snapshot>,
    namespaces: &[Namespace],
    rows: &mut Cow<'_, [Socket]>,
) -> RowPairs {
    let renumbering = before.and_then(|b| netns_renumbering(&b.sample.namespaces, namespaces));
    let previous_id =
        |row: usize| before.and_then(|b| translate_id(renumbering.as_ref(), b.get_socket(row)?.id));
    let live = before.map_or(0, |b| b.live);
    let mut previous = vec![NONE; rows.len()];
    let mut still_present = vec![false; before.map_or(0, Snapshot::socket_count)];
    let mut unmatched = Vec::with_capacity(if live == 0 { rows.len() } else { 0 });
    let mut next = 0;
    for (row, s) in rows.iter().enumerate() {
        match (next..live.min(next + LOOKAHEAD)).find(|old| previous_id(*old) == Some(s.id)) {
            Some(old) => {
                (previous[row], still_present[old]) = (old as u32, true);
                next = old + 1;
            }
            None => unmatched.push(row as u32),
        }
    }
    if unmatched.is_empty() {
        return RowPairs { previous, still_present };
    }

    let pool: FxHashMap<SocketId, u32> = (0..still_present.len())
        .filter(|old| !still_present[*old])
        .filter_map(|old| Some((previous_id(old)?, old as u32)))
        .collect();
    let mut taken = shared_ids(&unmatched, &previous, rows);
    let mut duplicates = Vec::new();
    for row in unmatched {
        let mut id = rows[row as usize].id;
        if !taken.insert(id) {
            if id.kernel_cookie().is_some() {
                duplicates.push(row as usize);
                continue;
            }
            // A synthetic id is a hash that two sockets can share: they are numbered in order.
            while !taken.insert(id) {
                id.cookie = id.cookie.wrapping_add(1) | SocketId::SYNTHETIC;
            }
            rows.to_mut()[row as usize].id = id;
        }
        if let Some(old) = pool.get(&id) {
            (previous[row as usize], still_present[*old as usize]) = (*old, true);
        }
    }
    if !duplicates.is_empty() {
        remove_indexes(rows.to_mut(), &duplicates);
        remove_indexes(&mut previous, &duplicates);
    }
    RowPairs { previous, still_present }
}

/// Identities that matched rows share with unmatched ones.
fn shared_ids(unmatched: &[u32], previous: &[u32], rows: &[Socket]) -> FxHashSet<SocketId> {
    let mut shared = FxHashSet::default();
    // All rows of the first poll are unmatched: reserve once.
    shared.reserve(unmatched.len());
    if unmatched.len() < rows.len() {
        let ids: FxHashSet<SocketId> = unmatched.iter().map(|r| rows[*r as usize].id).collect();
        let matched = rows.iter().zip(previous).filter(|(_, old)| **old != NONE);
        shared.extend(matched.map(|(s, _)| s.id).filter(|id| ids.contains(id)));
    }
    shared
}

/// Removes the items at these indexes, which are in ascending order.
fn remove_indexes<T>(list: &mut Vec<T>, indexes: &[usize]) {
    let mut index = 0;
    let mut indexes = indexes.iter().peekable();
    list.retain(|_| {
        let removed = indexes.next_if(|i| **i == index).is_some();
        index += 1;
        !removed
    });
}

/// The new number of each old namespace, if any changed. Numbers are not stable from poll to poll; the inode is, or the name
/// if the inode is not known.
pub(super) fn netns_renumbering(old: &[Namespace], new: &[Namespace]) -> Option<Vec<Option<u16>>> {
    let same = |a: &Namespace, b: &Namespace| a.inode == b.inode && (a.inode != 0 || a.name == b.name);
    if old.len() <= new.len() && old.iter().zip(new).all(|(a, b)| same(a, b)) {
        return None;
    }
    // The inode of a deleted namespace can be reused: a namespace with the same number and inode is the same.
    let number = |(i, a): (usize, &Namespace)| {
        let same_number = new.get(i).is_some_and(|b| same(a, b)).then_some(i);
        same_number.or_else(|| new.iter().position(|b| same(a, b))).map(|i| i as u16)
    };
    Some(old.iter().enumerate().map(number).collect())
}

/// An identity of the previous poll with the namespace number of this one; `None` if its namespace is gone.
pub(super) fn translate_id(renumbering: Option<&Vec<Option<u16>>>, id: SocketId) -> Option<SocketId> {
    match renumbering {
        None => Some(id),
        Some(m) => Some(SocketId { netns: m.get(usize::from(id.netns)).copied()??, ..id }),
    }
}
