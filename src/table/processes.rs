//! Columns of the table of processes.

use super::cell::{cgroup, cmdline, fd_limit, proc_info, reported, summed_rate, user_value};
use super::definition::{Grouping, Table, TableId};
use super::event_columns::event_column;
use super::units::{self, unit_column};
use super::{contexts, threads, usage};
use crate::diagnose::fd_leak;
use crate::format::{Column, Gauge, Kind, Needs, Role, TextMatch, Tone, Value};
use crate::model::{FdKind, FdUsage, FullIn, Missing, ProcInfo, Reads, Snapshot, State};

fn fds<'a>(snap: &'a Snapshot, row: usize, get: impl FnOnce(&FdUsage) -> Value<'a>) -> Value<'a> {
    snap.fds(row).map_or_else(Value::Missing, get)
}

fn kind(snap: &Snapshot, row: usize, k: FdKind) -> Value<'_> {
    let usual = if snap.sample.wants.reads(Reads::FD_KINDS) { Missing::Pending } else { Missing::NotRead };
    let why = snap.sample.processes[row].fds_hidden.unwrap_or(usual);
    fds(snap, row, |u| Value::from_opt(u.kinds.map(|x| x.get(k)), why))
}

fn full_in<'a>(snap: &Snapshot, row: usize, get: fn(&FullIn) -> f64) -> Value<'a> {
    let f = &snap.processes[row];
    match (snap.fds(row), &f.fds_full_in) {
        (Err(why), _) => Value::Missing(why),
        (Ok(u), _) if u.soft.is_none_or(|n| n == u64::MAX) => Value::Missing(Missing::NotApplicable),
        (_, Some(f)) => Value::from(get(f)),
        // Full already, or falling.
        (Ok(u), None) if u.share().is_some_and(|s| s >= 1.0) || f.fds_per_min.is_some_and(|n| n < 0.0) => {
            Value::Missing(Missing::NotApplicable)
        }
        (_, None) if f.fds_per_min.is_none() => Value::Missing(Missing::Pending),
        (_, None) => Value::Missing(Missing::Stable),
    }
}

/// Number of file descriptors at eight points evenly spread over the observed time.
fn trend<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    if let Err(why) = snap.fds(row) {
        return Value::Missing(why);
    }
    let seen = resample(&snap.processes[row].fd_history, 8);
    let all = || seen.iter().flatten().copied();
    let (Some(low), Some(high), 8) = (all().min(), all().max(), seen.len()) else {
        return Value::Missing(Missing::Pending);
    };
    let mut out = [0; 8];
    for (level, n) in out.iter_mut().zip(&seen) {
        *level = n.map_or(0, |n| ((n - low) * 35 / (high - low).max(1)) as u8);
    }
    Value::Levels(out)
}

/// A series resampled at evenly spread points; empty if it has only one reading.
fn resample(series: &[(u64, u64)], points: usize) -> Vec<Option<u64>> {
    let (Some(first), Some(last)) = (series.first(), series.last()) else { return vec![] };
    if first.0 >= last.0 || points < 2 {
        return vec![];
    }
    let at = |i: usize| first.0 + (u128::from(last.0 - first.0) * i as u128 / (points as u128 - 1)) as u64;
    (0..points).map(|i| Some(series[series.partition_point(|p| p.0 <= at(i)).max(1) - 1].1)).collect()
}

fn limit<'a>(n: Option<u64>) -> Value<'a> {
    match n {
        // Unlimited is not a number to compare with.
        Some(u64::MAX) => Value::Missing(Missing::NotApplicable),
        n => reported(n),
    }
}

fn sockets(snap: &Snapshot, row: usize) -> Value<'_> {
    let n = snap.sockets_of(row).len() as u64;
    // Without access to its descriptors, no socket found is unknown, not zero.
    match snap.sample.processes[row].fds_hidden {
        Some(why) if n == 0 => Value::Missing(why),
        None if !snap.sample.wants.reads(Reads::OWNERS) => Value::Missing(Missing::NotRead),
        _ => Value::Uint(n),
    }
}

fn states(snap: &Snapshot, row: usize) -> Value<'_> {
    match sockets(snap, row) {
        Value::Missing(m) => Value::Missing(m),
        _ => Value::States(snap.processes[row].states),
    }
}

fn states_any(snap: &Snapshot, row: usize, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
    snap.processes[row].states.present().any(|(s, _)| test(&Value::State(s)))
}

macro_rules! state_column {
    ($name:literal, $title:literal, $state:ident, $help:literal) => {
        Column::new(
            $name,
            $title,
            Kind::Count,
            40,
            |s, r| match states(s, r) {
                Value::States(c) => Value::from(c.get(State::$state)),
                other => other,
            },
            $help,
        )
        .needs(Needs::OWNERS)
    };
}

macro_rules! kind_column {
    ($name:literal, $title:literal, $kind:ident, $drop:literal, $help:literal) => {
        Column::new($name, $title, Kind::Count, $drop, |s, r| kind(s, r, FdKind::$kind), $help)
            .needs(Needs::FD_KINDS)
    };
}

static COLUMNS: &[Column] = &[
    Column::new("pid", "PID", Kind::Id, 1, |s, r| Value::from(proc_info(s, r).pid), "Process ID."),
    Column::new("comm", "COMMAND", Kind::Text, 0, |s, r| Value::text(&proc_info(s, r).comm), "Command name.")
        .role(Role::Process)
        .tone(|_, _| Tone::Strong)
        .called(&["process", "proc", "program", "name"])
        .wide(6, 16, 24),
    Column::new(
        "user",
        "USER",
        Kind::Text,
        10,
        |s, r| user_value(s, proc_info(s, r).uid),
        "Effective user; the number if the user has no name.",
    )
    .role(Role::User)
    .dim()
    .text_match(TextMatch::Whole)
    .wide(4, 8, 16),
    Column::new(
        "fds_open",
        "FDS",
        Kind::Count,
        2,
        |s, r| fds(s, r, |u| Value::from(u.open)),
        "Open file descriptors.",
    )
    .called(&["fds", "open"])
    .percent_column("fds_pct")
    .wide(4, 6, 9),
    Column::new(
        "fds_soft",
        "SOFT",
        Kind::Amount,
        4,
        |s, r| fds(s, r, |u| limit(u.soft)),
        "Soft limit of file descriptors.",
    )
    .called(&["soft"])
    .percent_column("fds_pct"),
    Column::new(
        "fds_hard",
        "HARD",
        Kind::Amount,
        20,
        |s, r| fds(s, r, |u| limit(u.hard)),
        "Hard limit of file descriptors: the process may raise its soft limit up to it.",
    )
    .dim()
    .called(&["hard"]),
    Column::new(
        "fds_pct",
        "FDS%",
        Kind::Percent,
        3,
        |s, r| fds(s, r, |u| reported(u.share().map(|x| x * 100.0))),
        "Open file descriptors numbered below the soft limit, in percent of it.",
    )
    .gauge(Gauge { amounts: None, limit: |s, r| fd_limit(s, r as u32) }),
    Column::new(
        "fds_left",
        "LEFT",
        Kind::Count,
        41,
        |s, r| {
            fds(s, r, |u| match u.soft {
                Some(u64::MAX) => Value::Missing(Missing::NotApplicable),
                soft => reported(soft.map(|x| x.saturating_sub(u64::from(u.below_soft())))),
            })
        },
        "Free file descriptor numbers below the soft limit.",
    ),
    Column::new(
        "fds_per_min",
        "FDS/min",
        Kind::PerMin,
        11,
        |s, r| Value::from_opt(s.processes[r].fds_per_min, Missing::Pending),
        "Change of open file descriptors per minute over the last polls.",
    )
    .called(&["fds_growth"]),
    Column::new(
        "fds_trend",
        "TREND",
        Kind::Trend,
        18,
        trend,
        "Trend of open file descriptors, scaled from the lowest (0) to the highest (35) value.",
    ),
    Column::new(
        "fds_full_in_s",
        "FULL IN",
        Kind::Secs,
        9,
        |s, r| full_in(s, r, |f| f.likely),
        "Time until the soft limit is reached at the current rate; stable if it does not grow.",
    )
    .called(&["fds_full_in", "fds_eta"]),
    Column::new(
        "fds_full_in_low_s",
        "EARLIEST",
        Kind::Secs,
        46,
        |s, r| full_in(s, r, |f| f.low),
        "Earliest time until the soft limit is reached: upper quartile of the slopes.",
    ),
    Column::new(
        "fds_full_in_high_s",
        "LATEST",
        Kind::Secs,
        46,
        |s, r| full_in(s, r, |f| f.high),
        "Latest time until the soft limit is reached: lower quartile of the slopes.",
    ),
    Column::new(
        "fds_growing",
        "TOP GROWTH",
        Kind::Text,
        32,
        |s, r| match s.processes[r].fds_growing {
            Some((kind, n)) => Value::from(format!("{} {n:+.1}/min", FdKind::ALL[kind as usize].1)),
            None => Value::Missing(Missing::NotApplicable),
        },
        "Type of file descriptor that grows fastest, and its growth per minute.",
    )
    .needs(Needs::FD_KINDS)
    .wide(8, 16, 24),
    Column::new(
        "fds_suspects",
        "SUSPECTS",
        Kind::List,
        47,
        |s, r| {
            let lines: Vec<String> = fd_leak::suspects(s, r).iter().map(fd_leak::Suspect::line).collect();
            if lines.is_empty() {
                Value::Missing(Missing::NotApplicable)
            } else {
                Value::List(lines.into_iter().map(Value::from).collect())
            }
        },
        "Common properties of many file descriptors: CLOSE_WAIT, same peer, same file or directory.",
    )
    .needs(Needs::FD_KINDS.or(Needs::OWNERS).or(Needs::LIMITS))
    .wide(12, 40, 160),
    Column::new(
        "fds_highest",
        "HIGHEST",
        Kind::Count,
        46,
        |s, r| {
            let why = s.sample.processes[r].fds_hidden.unwrap_or(Missing::NotReported);
            fds(s, r, |u| Value::from_opt(u.highest, why))
        },
        "Highest file descriptor number in use. The limit applies to this number.",
    )
    .needs(Needs::FD_KINDS),
    Column::new(
        "fds_read_s",
        "FDS AGE",
        Kind::Secs,
        48,
        |s, r| {
            fds(s, r, |u| match u.open_at_ns {
                0 => Value::Missing(Missing::NotReported),
                at => Value::from(s.sample.at.boot_ns.saturating_sub(at) as f64 / 1e9),
            })
        },
        "Age of the file descriptor count: before Linux 6.2 each poll counts only some processes.",
    )
    .called(&["fds_age"]),
    Column::new(
        "fds_sockets",
        "SOCKETS",
        Kind::Count,
        5,
        sockets,
        "Sockets of the process among those read.",
    )
    .called(&["sockets"])
    .needs(Needs::OWNERS),
    kind_column!("fds_files", "FILES", File, 21, "File descriptors of files, directories and devices.")
        .called(&["files"]),
    kind_column!("fds_pipes", "PIPES", Pipe, 22, "File descriptors of pipes.").called(&["pipes"]),
    kind_column!(
        "fds_all_sockets",
        "ALL SOCKETS",
        Socket,
        45,
        "File descriptors of sockets of every family."
    ),
    kind_column!("fds_eventfd", "EVENTFD", Eventfd, 45, "File descriptors of eventfd."),
    kind_column!("fds_epoll", "EPOLL", Epoll, 45, "File descriptors of epoll."),
    kind_column!("fds_timerfd", "TIMERFD", Timerfd, 45, "File descriptors of timerfd."),
    kind_column!("fds_signalfd", "SIGNALFD", Signalfd, 45, "File descriptors of signalfd."),
    kind_column!("fds_inotify", "INOTIFY", Inotify, 45, "File descriptors of inotify."),
    kind_column!("fds_memfd", "MEMFD", Memfd, 45, "File descriptors of memfd."),
    kind_column!("fds_pidfd", "PIDFD", Pidfd, 45, "File descriptors of pidfd."),
    kind_column!("fds_other", "OTHER", Other, 44, "File descriptors of other types."),
    Column::new(
        "listening",
        "LISTENS",
        Kind::Count,
        12,
        |s, r| match sockets(s, r) {
            Value::Missing(m) => Value::Missing(m),
            _ => Value::from(s.processes[r].listening),
        },
        "Listening sockets.",
    )
    .called(&["listen", "serves"])
    .needs(Needs::OWNERS),
    Column::new("sockets_by_state", "STATES", Kind::States, 13, states, "Sockets by state.")
        .called(&["states", "state"])
        .needs(Needs::OWNERS)
        .wide(8, 24, 60)
        .any(states_any),
    state_column!("established", "ESTAB", Established, "Connections in ESTABLISHED.").called(&["estab"]),
    state_column!(
        "close_wait",
        "CLOSE-WAIT",
        CloseWait,
        "Connections in CLOSE_WAIT, closed only by the peer: a leak if they keep growing."
    ),
    Column::new(
        "close_wait_per_min",
        "CW/min",
        Kind::PerMin,
        41,
        |s, r| match states(s, r) {
            Value::States(c) if c.get(State::CloseWait) == 0 => Value::Missing(Missing::NotApplicable),
            Value::Missing(why) => Value::Missing(why),
            _ => Value::from_opt(s.processes[r].close_wait_per_min, Missing::Pending),
        },
        "Change of connections in CLOSE_WAIT per minute: a leak if it stays above 0.",
    )
    .needs(Needs::OWNERS),
    state_column!("syn_sent", "SYN-SENT", SynSent, "Connections in SYN_SENT."),
    Column::new(
        "rx",
        "RX/s",
        Kind::BytesPerSec,
        14,
        |s, r| summed_rate(s.processes[r].rx, &s.processes[r].states),
        "Bytes received per second by its sockets.",
    )
    .role(Role::Rx)
    .called(&["rx_per_s"])
    .needs(Needs::OWNERS.or(Needs::RATES)),
    Column::new(
        "tx",
        "TX/s",
        Kind::BytesPerSec,
        15,
        |s, r| summed_rate(s.processes[r].tx, &s.processes[r].states),
        "Bytes sent per second by its sockets.",
    )
    .role(Role::Tx)
    .called(&["tx_per_s"])
    .needs(Needs::OWNERS.or(Needs::RATES)),
    Column::new(
        "age_s",
        "AGE",
        Kind::Secs,
        16,
        |s, r| match proc_info(s, r).start_ns {
            0 => Value::Missing(Missing::NotReported),
            start => Value::from(s.sample.at.boot_ns.saturating_sub(start) as f64 / 1e9),
        },
        "Time since the process started.",
    )
    .role(Role::Age)
    .dim()
    .called(&["age"])
    .wide(4, 5, 8),
    Column::new(
        "ppid",
        "PPID",
        Kind::Id,
        42,
        |s, r| {
            if proc_info(s, r).ppid == 0 {
                Value::Missing(Missing::NotApplicable)
            } else {
                Value::from(proc_info(s, r).ppid)
            }
        },
        "Process ID of the parent.",
    ),
    Column::new(
        "uid",
        "UID",
        Kind::Id,
        43,
        |s, r| {
            let uid = Some(proc_info(s, r).uid).filter(|uid| *uid != ProcInfo::NO_UID);
            Value::from_opt(uid, Missing::NotReported)
        },
        "Effective user ID.",
    ),
    unit_column!(units::UNIT, units::process_units),
    unit_column!(units::SLICE, units::process_units),
    unit_column!(units::CONTAINER, units::process_units),
    unit_column!(units::CONTAINER_ID, units::process_units),
    unit_column!(units::ENGINE, units::process_units),
    unit_column!(units::IMAGE, units::process_units),
    unit_column!(units::POD, units::process_units),
    unit_column!(units::PUBLISHED, units::process_units),
    usage::CPU,
    usage::RSS,
    usage::THREADS,
    usage::STARTED,
    threads::PROCESS,
    contexts::PROCESS,
    Column::new("cgroup", "CGROUP", Kind::Text, 44, cgroup, "Control group (v2).").wide(12, 30, 80),
    Column::new("cmdline", "COMMAND LINE", Kind::Text, 17, cmdline, "Command line with its arguments.")
        .dim()
        .called(&["command", "cmd", "args"])
        .wide(12, 30, 200),
    event_column!(processes, opened_per_s),
    event_column!(processes, failed_per_s).tone(|s, r| {
        if s.events.window.processes.get(r).is_some_and(|w| w.failed > 0) {
            Tone::Warning
        } else {
            Tone::Plain
        }
    }),
    event_column!(processes, closed_per_s),
    event_column!(processes, duration_p50_us),
    event_column!(processes, duration_p99_us),
    super::host::HOSTNAME,
];

/// One row per process.
pub static PROCESSES: Table = Table {
    id: TableId::Processes,
    name: "processes",
    title: "Processes",
    noun: "processes",
    singular: "process",
    help: "Every process with its file descriptors, limits and sockets.",
    columns: COLUMNS,
    defaults: &[
        "pid",
        "comm",
        "user",
        "fds_open",
        "fds_soft",
        "fds_pct",
        "fds_per_min",
        "fds_sockets",
        "listening",
        "sockets_by_state",
        "rx",
        "tx",
        "cmdline",
    ],
    wide_columns: &["fds_hard", "unit", "opened_per_s", "failed_per_s"],
    in_gauge: &[],
    netns_after: None,
    words: &["comm", "pid", "user", "cmdline", "unit", "container"],
    order: &[("fds_pct", true), ("fds_open", true), ("pid", false)],
    groupings: &[Grouping::FLAT],
    always_needs: Needs::OWNERS,
    topic: "limits",
    len: |s| s.sample.processes.len(),
    live: |s| s.sample.processes.len(),
    identity: crate::table::identity::process,
    owners: |_, r| vec![r as u32],
    process_of: |_, r| Some(r as u32),
    sockets: |s, r| s.sockets_of(r).to_vec(),
    remote_of: |_, _| None,
    unread: |_| Vec::new(),
};
