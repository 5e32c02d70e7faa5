//! Kinds of limits that could not be judged, in words.

use crate::format::thousands;
use crate::model::Snapshot;
use crate::model::lang::tr;
use crate::model::limit::{LimitKind, UnjudgedPart};
use crate::msg;

/// One line per reason with the kinds it concerns, of the kinds that are wanted: `fds: 12 processes: not permitted`.
pub fn lines(snap: &Snapshot, is_wanted: &dyn Fn(LimitKind) -> bool) -> Vec<String> {
    let mut reasons: Vec<(UnjudgedPart, &str, Vec<&'static str>)> = Vec::new();
    for u in snap.unjudged.iter().filter(|u| is_wanted(u.kind)) {
        let name = u.kind.info().name;
        match reasons.iter_mut().find(|(part, reason, _)| (*part, *reason) == (u.part, &*u.reason)) {
            Some((_, _, kinds)) => kinds.push(name),
            None => reasons.push((u.part, &u.reason, vec![name])),
        }
    }
    let line = |(part, reason, kinds): (UnjudgedPart, &str, Vec<&str>)| {
        let kinds = kinds.join(", ");
        match part_text(part) {
            None => format!("{kinds}: {}", tr(reason)),
            Some(part) => format!("{kinds}: {part}: {}", tr(reason)),
        }
    };
    reasons.into_iter().map(line).collect()
}

/// The part that is missing; `None` for all of it.
fn part_text(part: UnjudgedPart) -> Option<String> {
    let count = |n: u32| thousands(u64::from(n));
    Some(match part {
        UnjudgedPart::All => return None,
        UnjudgedPart::Processes(1) => msg!("{} process", 1),
        UnjudgedPart::Processes(n) => msg!("{} processes", count(n)),
        UnjudgedPart::Sockets(1) => msg!("{} socket", 1),
        UnjudgedPart::Sockets(n) => msg!("{} sockets", count(n)),
        UnjudgedPart::Namespaces(1) => msg!("{} network namespace", 1),
        UnjudgedPart::Namespaces(n) => msg!("{} network namespaces", count(n)),
    })
}
