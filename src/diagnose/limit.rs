//! Rules about limits: the owner of a limit, and its usage.

use super::fd_leak;
use crate::format::{age, percent, thousands};
use crate::model::lang::tr;
use crate::model::limit::{Limit, LimitKind, LimitSubject, STALE_S};
use crate::model::{FdKind, Halted, Namespace, ProcInfo, Proto, Snapshot};
use crate::msg;

/// Seconds until full above which a forecast is not mentioned.
const FORECAST_S: f64 = 86_400.0;

fn limit(snap: &Snapshot, row: usize) -> &Limit {
    &snap.limits[row]
}

/// The process of a limit.
pub(crate) fn process(snap: &Snapshot, row: usize) -> Option<&ProcInfo> {
    limit(snap, row).process.and_then(|p| snap.sample.processes.get(p as usize)).map(|p| &*p.info)
}

/// The owner of a limit in words. Unique among the limits of one kind: it names the interface a listener is bound to, and the
/// network namespace unless it is that of this process.
pub fn subject(snap: &Snapshot, row: usize) -> String {
    match (&limit(snap, row).subject, process(snap, row)) {
        (LimitSubject::Process(pid, _), Some(p)) => format!("{} {pid}", p.name()),
        _ => label(snap, row),
    }
}

/// The setting that defines a limit; of the neighbour table that of its address family.
pub fn set_by(l: &Limit) -> String {
    let text = tr(l.kind.info().set_by);
    match l.subject {
        LimitSubject::Neighbours(true) => text.replace("net.ipv4.", "net.ipv6."),
        _ => text.to_owned(),
    }
}

/// Name of the owner of a limit for graphs. Stable between runs: a process is named without its pid, so that processes of the
/// same name share one.
pub fn label(snap: &Snapshot, row: usize) -> String {
    label_in(snap, row, |n| &n.name)
}

/// Label without pids, the same after a restart: that of performance data. Of namespaces named by processes of one command it is
/// equal.
pub fn stable_label(snap: &Snapshot, row: usize) -> String {
    label_in(snap, row, Namespace::name_without_pid)
}

fn label_in(snap: &Snapshot, row: usize, name: fn(&Namespace) -> &str) -> String {
    let l = limit(snap, row);
    let netns = || snap.sample.namespaces.get(usize::from(l.netns)).filter(|_| l.netns > 0);
    let within = |what: String| match netns() {
        Some(n) => format!("{what} netns {}", name(n)),
        None => what,
    };
    match &l.subject {
        LimitSubject::System => tr("this host").to_owned(),
        LimitSubject::Net if l.max.is_none() && l.kind == LimitKind::Accept => {
            within(tr("all listeners").to_owned())
        }
        LimitSubject::Neighbours(six) => within((if *six { "IPv6" } else { "IPv4" }).to_owned()),
        LimitSubject::Net => match netns() {
            Some(n) => format!("netns {}", name(n)),
            None => tr("this host").to_owned(),
        },
        LimitSubject::Process(pid, _) => {
            process(snap, row).map_or_else(|| pid.to_string(), |p| p.name().into_owned())
        }
        LimitSubject::Listener(proto, local, iface) => {
            let device = match (*iface, snap.iface(l.netns, *iface)) {
                (0, _) => String::new(),
                (_, Some(name)) => format!("%{name}"),
                (n, None) => format!("%if{n}"),
            };
            within(format!("{} {local}{device}", proto.name()))
        }
        LimitSubject::NamedListener(proto, name) => within(format!("{} {name}", proto.name())),
        LimitSubject::Route(from, to) => within(msg!("{} to {}", from, to)),
        LimitSubject::LocalPorts(proto, addr) => within(match (proto, addr.is_any()) {
            (Proto::Tcp, _) => format!("bind {addr}"),
            (_, true) => format!("{} {}", proto.name(), if addr.is_v4() { "IPv4" } else { "IPv6" }),
            (_, false) => format!("{} bind {addr}", proto.name()),
        }),
        LimitSubject::User(uid) => {
            snap.user(*uid).map_or_else(|| msg!("user {}", uid), |u| msg!("user {}", u))
        }
        LimitSubject::Cgroup(path) => path.to_string(),
    }
}

/// The process whose descriptors a limit is about.
pub(super) fn fd_process(snap: &Snapshot, row: usize) -> Option<usize> {
    let l = limit(snap, row);
    l.process.filter(|_| matches!(l.kind, LimitKind::Fds | LimitKind::CloseWait)).map(|p| p as usize)
}

/// Evidence of a limit that is nearly reached: usage, losses and forecast.
pub(super) fn near_limit(snap: &Snapshot, row: usize) -> Option<String> {
    let l = snap.limits.get(row)?;
    let mut out = format!("{} {}", subject(snap, row), tr(l.kind.info().title));
    match l.max {
        Some(max) => {
            let share = percent(l.share().unwrap_or(0.0) * 100.0);
            let usage = msg!("{} of {}", thousands(l.used), thousands(max));
            if l.capacity().is_some_and(|c| l.used >= c) {
                out.push_str(&format!(" {},", tr("full")));
            }
            out.push_str(&format!(" {share} ({usage})"));
        }
        None => out.push_str(&format!(" {}", thousands(l.used))),
    }
    if let Some(n) = l.drops_new.filter(|n| *n > 0) {
        out.push_str(&msg!(", {} lost just now", thousands(n)));
    }
    if let Some(f) = l.full_in.filter(|f| f.likely < FORECAST_S) {
        out.push_str(&msg!(", full in ~{}", age(f.likely)));
    }
    let facts = fd_process(snap, row).filter(|_| l.grows).map(|p| &snap.processes[p]);
    // Connections in CLOSE_WAIT are what leaks, whatever else is open meanwhile.
    if let Some(n) = facts.filter(|f| f.close_wait_leak).and_then(|f| f.close_wait_per_min) {
        out.push_str(&msg!(", mostly connections in CLOSE_WAIT ({}/min)", format!("{n:+.0}")));
        return Some(out);
    }
    let growing = facts.and_then(|f| f.fds_growing);
    if let Some((kind, n)) = growing {
        out.push_str(&msg!(", mostly {} ({}/min)", tr(FdKind::ALL[kind as usize].1), format!("{n:+.0}")));
    }
    Some(out)
}

/// The state of a process that does not run, in words.
pub(super) fn halted_words(h: Halted) -> &'static str {
    match h {
        Halted::Stopped => tr("stopped by a signal (state T)"),
        Halted::Traced => tr("stopped by a debugger (state t)"),
        Halted::Frozen => tr("frozen (its cgroup)"),
        Halted::Uninterruptible => tr("blocked in uninterruptible sleep (state D)"),
    }
}

/// Evidence of a process that does not run while clients wait.
pub(super) fn process_halted(snap: &Snapshot, row: usize) -> Option<String> {
    let l = limit(snap, row);
    let process = l.process.filter(|_| l.kind == LimitKind::Halted)?;
    let how = halted_words(snap.sample.processes.get(process as usize)?.halted?);
    let clients = match l.used {
        1 => tr("1 client waiting").to_owned(),
        n => msg!("{} clients waiting", thousands(n)),
    };
    Some(msg!("{} is {}: {}", subject(snap, row), how, clients))
}

/// Evidence of a process that does not close connections its peers have closed.
pub(super) fn connection_leak(snap: &Snapshot, row: usize) -> Option<String> {
    let l = limit(snap, row);
    let process = l.process.filter(|_| l.kind == LimitKind::CloseWait)? as usize;
    let rate =
        l.per_min.filter(|n| *n > 0.0).map_or_else(String::new, |n| msg!(", {}/min", format!("{n:+.0}")));
    let which = fd_leak::suspects(snap, process).into_iter().find(|s| s.certain);
    let which = which.map_or_else(|| msg!("{} in CLOSE_WAIT", thousands(l.used)), |s| s.line());
    let stale = match l.stale {
        0 => String::new(),
        n => msg!(", {} of them for {} or longer", thousands(n), age(STALE_S)),
    };
    Some(msg!("{} leaks connections: {}{}{}", subject(snap, row), which, stale, rate))
}
