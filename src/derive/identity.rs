//! Matches the rows of two polls by the kernel's identity.
//!
//! The kernel dumps a table in nearly the same order every time, so the two lists are merged in one pass and only rows out
//! of order are looked up in a map.

use crate::model::{Namespace, Snapshot, Socket, SocketId};
use rustc_hash::FxHashSet;
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

    let unmatched_before = (0..still_present.len() as u32).filter(|old| !still_present[*old as usize]);
    let pool = SortedIds::new(unmatched_before.filter_map(|old| Some((previous_id(old as usize)?, old))));
    let mut suspects: FxHashSet<SocketId> = FxHashSet::default();
    let mut taken: FxHashSet<SocketId> = FxHashSet::default();
    {
        let ids = unmatched.iter().map(|r| rows[*r as usize].id);
        let matched = rows.iter().zip(&previous).filter(|(_, old)| **old != NONE).map(|(s, _)| s.id);
        add_repeated(&mut suspects, ids, unmatched.len(), matched.clone());
        if !suspects.is_empty() {
            taken.extend(matched.filter(|id| suspects.contains(id)));
        }
    }
    let mut used: Option<FxHashSet<SocketId>> = None;
    let mut duplicates = Vec::new();
    for row in unmatched {
        let mut id = rows[row as usize].id;
        if suspects.contains(&id) && !taken.insert(id) {
            if id.kernel_cookie().is_some() {
                duplicates.push(row as usize);
                continue;
            }
            // A synthetic id is a hash that two sockets can share: they are numbered in order.
            let used = used.get_or_insert_with(|| rows.iter().map(|s| s.id).collect());
            while !used.insert(id) {
                id.cookie = id.cookie.wrapping_add(1) | SocketId::SYNTHETIC;
            }
            rows.to_mut()[row as usize].id = id;
        }
        if let Some(old) = pool.last(id) {
            (previous[row as usize], still_present[old as usize]) = (old, true);
        }
    }
    if !duplicates.is_empty() {
        remove_indexes(rows.to_mut(), &duplicates);
        remove_indexes(&mut previous, &duplicates);
    }
    RowPairs { previous, still_present }
}

/// Rows sorted by identity: where a whole table comes in another order, less than half as long as a map.
struct SortedIds(Vec<(u64, u16, u32)>);

impl SortedIds {
    fn new(rows: impl Iterator<Item = (SocketId, u32)>) -> Self {
        let mut all: Vec<(u64, u16, u32)> = rows.map(|(id, row)| (id.cookie, id.netns, row)).collect();
        all.sort_unstable();
        Self(all)
    }

    /// The last row with this identity.
    fn last(&self, id: SocketId) -> Option<u32> {
        let key = (id.cookie, id.netns);
        let end = self.0.partition_point(|(cookie, netns, _)| (*cookie, *netns) <= key);
        let (cookie, netns, row) = *self.0.get(end.checked_sub(1)?)?;
        ((cookie, netns) == key).then_some(row)
    }
}

/// Adds identities that may be those of several rows: of two in `ids`, which has `count`, or of one in `ids` and one in `matched`. A
/// few others are among them, since a bit is all that is kept of each.
fn add_repeated(
    repeated: &mut FxHashSet<SocketId>,
    ids: impl Iterator<Item = SocketId>,
    count: usize,
    matched: impl Iterator<Item = SocketId>,
) {
    let mask = (count * 8).next_power_of_two().max(64) - 1;
    let mut bits = vec![0u64; mask.div_ceil(64)];
    let index = |id: SocketId| {
        let hash = (id.cookie ^ u64::from(id.netns) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 20) as usize & mask
    };
    for id in ids {
        let i = index(id);
        if bits[i / 64] >> (i % 64) & 1 != 0 {
            repeated.insert(id);
        }
        bits[i / 64] |= 1 << (i % 64);
    }
    repeated.extend(matched.filter(|id| {
        let i = index(*id);
        bits[i / 64] >> (i % 64) & 1 != 0
    }));
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
