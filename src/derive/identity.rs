//! Which row of the poll before a row is: by the kernel's identity, never by place.
//!
//! Place helps all the same: the kernel tells its tables in nearly the same order every time, so the two lists
//! are walked side by side and only what does not fit is looked up.

use crate::model::{Namespace, Snapshot, Socket, SocketId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::borrow::Cow;

/// In place of a row: there was none.
pub(super) const NONE: u32 = u32::MAX;
/// How far ahead a row is looked for before it is left for later.
const AHEAD: usize = 16;

/// The rows of two polls side by side.
#[derive(Debug)]
pub(super) struct Pairs {
    /// Beside each live row the row it was before ([`NONE`]: it was not there); that can be one that had closed.
    pub was: Vec<u32>,
    /// Beside each row of the snapshot before: whether it is here.
    pub here: Vec<bool>,
}

/// Pairs `rows` with those of the snapshot `before`. A socket that was read twice (it moved during the dump) is removed, and
/// equal synthetic ids are made unique; only then `rows` becomes a copy.
pub(super) fn pair(
    before: Option<&Snapshot>,
    namespaces: &[Namespace],
    rows: &mut Cow<'_, [Socket]>,
) -> Pairs {
    let moved = before.and_then(|b| renumbered(&b.sample.namespaces, namespaces));
    let then = |row: usize| before.and_then(|b| id_now(moved.as_ref(), b.get_socket(row)?.id));
    let live = before.map_or(0, |b| b.live);
    let mut was = vec![NONE; rows.len()];
    let mut here = vec![false; before.map_or(0, Snapshot::socket_count)];
    let mut loose = Vec::with_capacity(if live == 0 { rows.len() } else { 0 });
    let mut next = 0;
    for (row, s) in rows.iter().enumerate() {
        match (next..live.min(next + AHEAD)).find(|old| then(*old) == Some(s.id)) {
            Some(old) => {
                (was[row], here[old]) = (old as u32, true);
                next = old + 1;
            }
            None => loose.push(row as u32),
        }
    }
    if loose.is_empty() {
        return Pairs { was, here };
    }

    let pool: FxHashMap<SocketId, u32> =
        (0..here.len()).filter(|old| !here[*old]).filter_map(|old| Some((then(old)?, old as u32))).collect();
    let mut taken = rows_like(&loose, &was, rows);
    let mut twice = Vec::new();
    for row in loose {
        let mut id = rows[row as usize].id;
        if !taken.insert(id) {
            if id.kernel_cookie().is_some() {
                twice.push(row as usize);
                continue;
            }
            // A hash of what two sockets have in common: they are told apart by their order.
            while !taken.insert(id) {
                id.cookie = id.cookie.wrapping_add(1) | SocketId::SYNTHETIC;
            }
            rows.to_mut()[row as usize].id = id;
        }
        if let Some(old) = pool.get(&id) {
            (was[row as usize], here[*old as usize]) = (*old, true);
        }
    }
    if !twice.is_empty() {
        remove(rows.to_mut(), &twice);
        remove(&mut was, &twice);
    }
    Pairs { was, here }
}

/// Identities that paired rows share with loose ones.
fn rows_like(loose: &[u32], was: &[u32], rows: &[Socket]) -> FxHashSet<SocketId> {
    let mut shared = FxHashSet::default();
    // Room at once: all of the first poll's rows are loose.
    shared.reserve(loose.len());
    if loose.len() < rows.len() {
        let ids: FxHashSet<SocketId> = loose.iter().map(|r| rows[*r as usize].id).collect();
        let paired = rows.iter().zip(was).filter(|(_, was)| **was != NONE);
        shared.extend(paired.map(|(s, _)| s.id).filter(|id| ids.contains(id)));
    }
    shared
}

/// Takes the rows at these places, in order, out of a list.
fn remove<T>(list: &mut Vec<T>, places: &[usize]) {
    let mut at = 0;
    let mut places = places.iter().peekable();
    list.retain(|_| {
        let out = places.next_if(|p| **p == at).is_some();
        at += 1;
        !out
    });
}

/// Where namespaces are numbered anew: the new number of each old one. A number means nothing from poll to poll; the
/// inode does, and where none is known, the name.
pub(super) fn renumbered(old: &[Namespace], new: &[Namespace]) -> Option<Vec<Option<u16>>> {
    let same = |a: &Namespace, b: &Namespace| a.inode == b.inode && (a.inode != 0 || a.name == b.name);
    if old.len() <= new.len() && old.iter().zip(new).all(|(a, b)| same(a, b)) {
        return None;
    }
    // The inode of one that went can be that of another: one that stands where it stood is the same.
    let number = |(i, a): (usize, &Namespace)| {
        let stays = new.get(i).is_some_and(|b| same(a, b)).then_some(i);
        stays.or_else(|| new.iter().position(|b| same(a, b))).map(|i| i as u16)
    };
    Some(old.iter().enumerate().map(number).collect())
}

/// An identity of the poll before in the numbers of this one; `None` when its namespace is gone.
pub(super) fn id_now(moved: Option<&Vec<Option<u16>>>, id: SocketId) -> Option<SocketId> {
    match moved {
        None => Some(id),
        Some(m) => Some(SocketId { netns: m.get(usize::from(id.netns)).copied()??, ..id }),
    }
}
