//! Columns of CPU share, memory, threads and start time of a process.

use super::cell::{any_owner, first_owner, proc_info, reported};
use crate::format::{Column, Kind, Needs, Value};
use crate::model::{Missing, ProcUsage, Reads, Snapshot};

/// Usage of a process, or the reason why it is unknown.
fn usage(snap: &Snapshot, process: usize) -> Result<&ProcUsage, Missing> {
    match snap.sample.usage.get(process) {
        Some(known) => known.as_ref().map_err(|why| *why),
        None if snap.sample.wants.reads(Reads::USAGE) => Err(Missing::NotReported),
        None => Err(Missing::NotRead),
    }
}

fn cpu(snap: &Snapshot, process: usize) -> Value<'_> {
    let share = |_| Value::from_opt(snap.processes[process].cpu.map(|x| x * 100.0), Missing::Pending);
    usage(snap, process).map_or_else(Value::Missing, share)
}

fn rss(snap: &Snapshot, process: usize) -> Value<'_> {
    usage(snap, process).map_or_else(Value::Missing, |u| reported(u.rss))
}

fn threads(snap: &Snapshot, process: usize) -> Value<'_> {
    usage(snap, process).map_or_else(Value::Missing, |u| Value::from(u.threads))
}

fn started(snap: &Snapshot, process: usize) -> Value<'_> {
    let (at, start) = (snap.sample.at, proc_info(snap, process).start_ns);
    let since = at.boot_ns.checked_sub(start).filter(|_| start > 0);
    reported(since.and_then(|ns| at.unix_ns.checked_sub(ns)).map(|ns| {
        let secs = std::time::Duration::from_secs(ns / 1_000_000_000);
        humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + secs).to_string()
    }))
}

macro_rules! usage_columns {
    ($($process:ident $owner:ident: $name:literal, $title:literal, $kind:ident, $drop:literal, $get:ident,
       $needs:expr, $help:literal, $of_owner:literal, |$c:ident| $more:expr;)*) => {$(
        /// Of a process.
        pub(crate) const $process: Column = {
            let $c = Column::new($name, $title, Kind::$kind, $drop, $get, $help).needs($needs);
            $more
        };
        /// Of the first owner of a socket.
        pub(crate) const $owner: Column = {
            let $c = Column::new(
                $name,
                $title,
                Kind::$kind,
                64,
                |s, r| first_owner(s, r, |o| $get(s, o.process as usize)),
                $of_owner,
            )
                .needs($needs.or(Needs::OWNERS))
                .process_column($name)
                .any(|s, r, t| any_owner(s, r, t, $get));
            $more
        };
    )*};
}

usage_columns! {
    CPU OWNER_CPU: "cpu_pct", "CPU%", Percent, 47, cpu, Needs::USAGE,
        "CPU time of the process between two polls, in percent of one core.",
        "CPU time of the process that owns the socket, in percent of one core.",
        |c| c.called(&["cpu"]).over_time();
    RSS OWNER_RSS: "rss", "RSS", Bytes, 47, rss, Needs::USAGE,
        "Resident memory of the process.",
        "Resident memory of the process that owns the socket.",
        |c| c.called(&["memory", "mem"]);
    THREADS OWNER_THREADS: "threads", "THREADS", Count, 47, threads, Needs::USAGE,
        "Number of threads of the process.",
        "Number of threads of the process that owns the socket.",
        |c| c.called(&["nlwp"]);
    STARTED OWNER_STARTED: "started", "STARTED", Text, 47, started, Needs::NONE,
        "Start time of the process, UTC.",
        "Start time of the process that owns the socket, UTC.",
        |c| c.called(&["start_time"]).dim().wide(10, 20, 20);
}
