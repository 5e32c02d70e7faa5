//! Steps of a process: whether it runs, and its descriptors.

use super::{Client, Step};
use crate::diagnose::cause::{
    CLIENT_FDS, CLIENT_HALTED, Cause, SERVER_BLOCKED, SERVER_FDS, SERVER_FROZEN, SERVER_STOPPED,
};
use crate::format::thousands;
use crate::model::{FdUsage, Halted, Process, Snapshot};

/// `nginx 812`.
pub(super) fn name(p: &Process) -> String {
    format!("{} {}", p.info.name(), p.info.pid)
}

/// True if the next descriptor fails with `EMFILE`.
fn is_full(u: &FdUsage) -> bool {
    u.soft.is_some_and(|soft| u64::from(u.below_soft()) >= soft)
}

/// Steps of the client.
pub(super) fn client(snap: &Snapshot, client: &Client) -> Vec<Step> {
    let Some(pid) = client.pid else { return Vec::new() };
    let Some(p) = snap.sample.processes.iter().find(|p| p.info.pid == pid) else {
        return vec![Step::not_visible("process", format!("pid {pid} does not exist or is hidden"))];
    };
    let mut out = Vec::new();
    if let Some(h) = p.halted {
        let step = Step::fails("process", &CLIENT_HALTED, format!("{} is {}", name(p), halted_text(h)));
        out.push(if h == Halted::Uninterruptible { step.likely() } else { step });
    }
    out.push(match &p.fds {
        Ok(u) if is_full(u) => {
            let soft = u.soft.map_or_else(|| "its limit".into(), thousands);
            let open = thousands(u.open.into());
            Step::fails("process", &CLIENT_FDS, format!("{} has {open} of {soft} descriptors open", name(p)))
        }
        Ok(u) => {
            let soft = u.soft.map_or_else(|| "unlimited".into(), thousands);
            Step::ok("process", format!("{}, {} of {soft} descriptors", name(p), thousands(u.open.into())))
        }
        Err(why) => Step::not_visible("process", format!("{}: descriptors, {}", name(p), why.reason())),
    });
    out
}

/// State of a process that does not run.
const fn halted_text(h: Halted) -> &'static str {
    match h {
        Halted::Stopped => "stopped by a signal (state T)",
        Halted::Traced => "stopped by a debugger (state t)",
        Halted::Frozen => "in a frozen cgroup",
        Halted::Uninterruptible => "in uninterruptible sleep (state D)",
    }
}

/// Reason why none of these processes serves a socket, if there is one: cause, evidence, and whether it is certain.
pub(super) fn idle(owners: &[&Process]) -> Option<(&'static Cause, String, bool)> {
    let first = owners.first()?;
    if owners.iter().all(|p| p.halted.is_some()) {
        let halted = first.halted?;
        let cause = match halted {
            Halted::Stopped | Halted::Traced => &SERVER_STOPPED,
            Halted::Frozen => &SERVER_FROZEN,
            Halted::Uninterruptible => &SERVER_BLOCKED,
        };
        let mut text = format!("{} is {}", name(first), halted_text(halted));
        if let Some(file) = first.freezer.as_ref().filter(|_| halted == Halted::Frozen) {
            text.push_str(&format!(" ({file})"));
        }
        return Some((cause, text, halted != Halted::Uninterruptible));
    }
    let full = |p: &&Process| p.fds.as_ref().is_ok_and(is_full);
    if owners.iter().all(full) {
        let u = first.fds.as_ref().ok()?;
        let soft = u.soft.map_or_else(|| "its limit".into(), thousands);
        let text = format!("{} has {} of {soft} descriptors open", name(first), thousands(u.open.into()));
        return Some((&SERVER_FDS, text, true));
    }
    None
}
