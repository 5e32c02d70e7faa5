//! `sockscope events` and `sockscope dns`: prints what happens as it does.

use super::exit_status::{ExitStatus, RunError};
use super::fleet::Fleet;
use super::fleet_list::partial;
use super::print::print_error;
use super::reader::{Extent, Reader};
use super::watch::is_closed_within;
use super::{environment, listing};
use crate::cli::Plan;
use crate::cli::events::EventsPlan;
use crate::format::{Style, thousands};
use crate::model::sample::{EventSource, Events};
use crate::model::text::escape;
use crate::model::wants::ProtoSet;
use crate::model::{FaultSubject, Needs, Reads, Snapshot, State, StateSet, Verify, Wants};
use crate::output::{Format, JsonHead, JsonKeys, Listing, Rows, TableStream, csv, json};
use crate::table::{Table, TableId};
use crate::view::View;
use crate::view::sort::SortKey;
use crate::view::summary::{Summary, Totals};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between two polls that read no sockets: events are printed that late.
const PAUSE: Duration = Duration::from_millis(200);
/// Rows written at once: few enough for one thread, whose buffers stay in the cache.
const ROWS: usize = 1024;
/// Time in which a program that has begun to count an event has counted it.
const IN_FLIGHT: Duration = Duration::from_millis(10);

/// Prints events until it is interrupted, the pipe is closed, the time is over or enough were printed.
pub(super) fn run(plan: &Plan, events: &EventsPlan) -> Result<ExitStatus, RunError> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let watched = signal_hook::flag::register(signal, Arc::clone(&stop));
        watched.map_err(|e| RunError::Dashboard(format!("watch signals: {e}")))?;
    }
    if plan.hosts.is_named() {
        return run_hosts(plan, events, &stop);
    }
    let extent = Extent { whole: true, events: true, ..Extent::default() };
    let mut reader = Reader::open_extent(plan, wants(events, false), extent)?;
    reader.keep_events(0);
    let Some(mut snap) = reader.poll_next()? else { return Ok(ExitStatus::NoMatch) };
    report_source(events.list.table, &snap, "")?;
    // Closes have no process, nor do questions without BPF: that of the socket in the poll before is taken.
    let reads_sockets = matches!(snap.sample.events.source, Some(EventSource::SockDiag) | None);
    if reads_sockets {
        reader.set_wants(wants(events, true));
    }
    let pause = if reader.is_recorded() {
        Duration::ZERO
    } else if reads_sockets || plan.demo.is_some() {
        plan.interval().min(Duration::from_secs(1))
    } else {
        PAUSE
    };
    let deadline = events.during.filter(|_| !reader.is_recorded()).map(|t| Instant::now() + t);
    let end = events.during.filter(|_| reader.is_recorded());
    let end = end.map(|t| snap.sample.at.boot_ns.saturating_add(t.as_nanos() as u64));
    let mut printer = Printer::new(plan, events);
    let mut unread = false;
    loop {
        printer.take(&snap, &|at| reader.spans(at))?;
        let over = deadline.is_some_and(|d| Instant::now() >= d)
            || end.is_some_and(|end| snap.sample.at.boot_ns >= end);
        if over || printer.is_done() || stop.load(Ordering::Relaxed) {
            break;
        }
        let left = deadline.map_or(pause, |d| d.saturating_duration_since(Instant::now()).min(pause));
        unread = is_closed_or_stopped(left, &stop);
        if unread {
            break;
        }
        match reader.poll_next()? {
            Some(next) => snap = next,
            None => break,
        }
    }
    // The first has the events since the last poll, the second those that were counted until then, and what was lost.
    for _ in 0..2 {
        if unread || printer.is_done() || reader.is_recorded() {
            break;
        }
        let Some(next) = reader.poll_next()? else { break };
        snap = next;
        printer.take(&snap, &|at| reader.spans(at))?;
        std::thread::sleep(IN_FLIGHT);
    }
    let status = printer.finish()?;
    match events.list.table.id {
        TableId::Dns => report_questions(&snap),
        _ => report_end(&snap, printer.counted),
    }
    Ok(status)
}

/// Prints events of several hosts, in the order of their polls.
fn run_hosts(plan: &Plan, events: &EventsPlan, stop: &AtomicBool) -> Result<ExitStatus, RunError> {
    // A host whose source reports no processes needs the owners of its sockets; which one it is, is not known before.
    let mut fleet = Fleet::open(plan, wants(events, true))?;
    fleet.keep_events(0);
    let mut known: Vec<bool> = fleet.names().map(|_| false).collect();
    let deadline = events.during.map(|t| Instant::now() + t);
    let mut printer = Printer::new(plan, events);
    let mut last: Vec<Option<Arc<Snapshot>>> = fleet.names().map(|_| None).collect();
    loop {
        for (i, snap) in fleet.poll() {
            if let Some(known) = known.get_mut(i)
                && !std::mem::replace(known, true)
                && let Err(e) = report_source(events.list.table, &snap, &format!("{}: ", snap.sample.host))
            {
                print_error(&format!("{}: {e}", snap.sample.host));
            }
            printer.take(&snap, &|_| true)?;
            if let Some(last) = last.get_mut(i) {
                *last = Some(snap);
            }
        }
        let left = deadline.map_or(PAUSE, |d| d.saturating_duration_since(Instant::now()).min(PAUSE));
        if printer.is_done()
            || deadline.is_some_and(|d| Instant::now() >= d)
            || stop.load(Ordering::Relaxed)
            || is_closed_or_stopped(left, stop)
        {
            break;
        }
    }
    let status = printer.finish()?;
    for snap in last.iter().flatten() {
        match events.list.table.id {
            TableId::Dns => report_questions(snap),
            _ => report_end(snap, 0),
        }
    }
    Ok(partial(&fleet, status))
}

/// The order in which the rows came.
fn by_number(table: &'static Table) -> Vec<SortKey> {
    table.column("seq").map(|column| SortKey { column, descending: false }).into_iter().collect()
}

/// Waits; returns true if standard output has no reader any more. Ends early on a signal.
fn is_closed_or_stopped(time: Duration, stop: &AtomicBool) -> bool {
    let until = Instant::now() + time;
    while !stop.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(Instant::now());
        if is_closed_within(left.min(PAUSE)) {
            return true;
        }
        if left <= PAUSE {
            return false;
        }
    }
    false
}

/// Data that the polls read: events and what the columns need beside them; sockets and their owners if the source reports no
/// processes.
fn wants(events: &EventsPlan, with_sockets: bool) -> Wants {
    let asked = listing::wants(&events.list).needs.reads;
    let mut needs = events.list.table.always_needs | Needs::reads(asked & Reads::CGROUPS);
    let mut protos = ProtoSet::empty();
    let mut states = StateSet::ALL;
    if with_sockets {
        needs |= Needs::OWNERS;
        protos = ProtoSet::TCP_UDP;
        // A connection in TIME_WAIT has no owner, and its close was reported.
        states = StateSet::only(&State::all().filter(|s| *s != State::TimeWait).collect::<Vec<_>>());
    }
    Wants { states, verify: Verify::All, ..Wants::new(needs, protos) }
}

/// Prints the source and what it does not report, after the host if there are several; fails without a source.
fn report_source(table: &'static Table, snap: &Snapshot, host: &str) -> Result<(), RunError> {
    if table.id == TableId::Dns {
        return report_capture(snap, host);
    }
    let e = &snap.sample.events;
    let faults = snap.sample.faults.iter().filter(|f| f.subject == FaultSubject::Events);
    for fault in faults {
        print_error(&escape(&format!("{host}{fault}")));
    }
    match e.source {
        Some(source) => {
            print_error(&format!("{host}events by {}", source_text(e, source)));
            Ok(())
        }
        None if e.reason.is_empty() => {
            let backend = snap.sample.backend.backend.name();
            Err(RunError::Dashboard(format!("no source of events: the {backend} backend reports none")))
        }
        None => Err(RunError::Dashboard(format!("no source of events: {}", escape(&e.reason)))),
    }
}

/// Prints how the processes of DNS questions are found; fails if no packets are captured.
fn report_capture(snap: &Snapshot, host: &str) -> Result<(), RunError> {
    let dns = &snap.sample.dns;
    if !dns.on {
        let why = match (snap.sample.wants.reads(Reads::DNS), &*dns.reason) {
            (true, "") => format!("the {} backend captures none", snap.sample.backend.backend.name()),
            (false, "") => "they were not recorded (sockscope record --dns)".to_owned(),
            (_, why) => escape(why).into_owned(),
        };
        return Err(RunError::Dashboard(format!("no DNS questions: {why}")));
    }
    for fault in snap.sample.faults.iter().filter(|f| f.subject == FaultSubject::Dns) {
        print_error(&escape(&format!("{host}{fault}")));
    }
    let by = match snap.sample.events.source {
        Some(EventSource::Bpf) => "processes by bpf",
        Some(EventSource::Script) => "demo data",
        _ => {
            "processes by sock_diag: of a socket that lives shorter than its question takes to be read there is none"
        }
    };
    print_error(&format!("{host}DNS on port 53; {by}"));
    Ok(())
}

/// Prints the number of questions that have no answer yet, and what was lost.
fn report_questions(snap: &Snapshot) {
    let dns = &snap.sample.dns;
    if dns.waiting > 0 {
        print_error(&format!("{} questions wait for their answers", thousands(u64::from(dns.waiting))));
    }
    if snap.dns.lost > 0 {
        print_error(&format!("{} packets of port 53 were lost", thousands(snap.dns.lost)));
    }
}

/// Source with what it does not report, and why it is this one.
fn source_text(e: &Events, source: EventSource) -> String {
    let mut out = format!("{}: {}", source.interface(), source.sees());
    if !e.reason.is_empty() {
        out.push_str("; ");
        out.push_str(&escape(&e.reason));
    }
    out
}

/// Prints the number of events that were not listed.
fn report_end(snap: &Snapshot, counted: u64) {
    if counted > 0 {
        print_error(&format!("{} events were counted, not listed: too many at once", thousands(counted)));
    }
    if snap.events.lost > 0 {
        print_error(&format!("{} events were lost", thousands(snap.events.lost)));
    }
}

/// Output of matching events.
struct Printer<'a> {
    plan: &'a Plan,
    events: &'a EventsPlan,
    view: View,
    style: Style,
    color: bool,
    table: TableStream,
    totals: Totals,
    /// Rows printed.
    printed: u64,
    /// Events that were only counted.
    counted: u64,
    began: bool,
}

impl<'a> Printer<'a> {
    fn new(plan: &'a Plan, events: &'a EventsPlan) -> Self {
        let env = environment::TerminalEnv::read();
        let list = &events.list;
        Self {
            plan,
            events,
            view: View { sort: by_number(list.table), ..listing::view(list) },
            style: listing::style(plan, &env),
            color: listing::colors(plan, &env),
            table: TableStream::new(listing::width()),
            totals: Totals::default(),
            printed: 0,
            counted: 0,
            began: false,
        }
    }

    /// Rows still to be printed.
    fn left(&self) -> u64 {
        self.events.count.map_or(u64::MAX, |n| n.saturating_sub(self.printed))
    }

    fn is_done(&self) -> bool {
        self.left() == 0
    }

    /// Prints or sums up the new events of a poll.
    fn take(&mut self, snap: &Snapshot, spans: &dyn Fn(u64) -> bool) -> Result<(), RunError> {
        let list = &self.events.list;
        listing::resolve_all_hosts(list, snap);
        let mut arranged = self.view.arrange(snap);
        arranged.rows.retain(|r| spans(list.table.unix_ns(snap, *r as usize)));
        let is_events = list.table.id == TableId::Events;
        let counted =
            |r: &u32| snap.events.rows.get(*r as usize).filter(|e| is_events && e.counted).map(|e| e.count);
        self.counted = arranged.rows.iter().filter_map(counted).fold(self.counted, u64::saturating_add);
        if let Some(by) = list.group {
            self.printed += arranged.rows.len() as u64;
            let summary = Summary::new(snap, list.table, &arranged, by, &list.columns, &[]);
            self.totals.add(summary);
            return Ok(());
        }
        arranged.rows.truncate(usize::try_from(self.left()).unwrap_or(usize::MAX));
        listing::resolve_hosts(list, snap, &arranged.rows);
        // An empty one prints the header.
        for first in (0..arranged.rows.len().max(1)).step_by(ROWS) {
            let rows = &arranged.rows[first..arranged.rows.len().min(first + ROWS)];
            self.write(&Rows { snap, columns: &list.columns, rows }, Some(snap), false)?;
            self.printed += rows.len() as u64;
        }
        Ok(())
    }

    /// Writes rows; the header before the first ones.
    fn write(
        &mut self,
        grid: &dyn crate::output::Grid,
        snap: Option<&Snapshot>,
        last: bool,
    ) -> Result<(), RunError> {
        let list = &self.events.list;
        // The bracket of an array comes with its first element.
        if list.format == Format::Json && grid.is_empty() {
            return Ok(());
        }
        let first = !std::mem::replace(&mut self.began, true);
        if grid.is_empty() && !first && !last {
            return Ok(());
        }
        let listing = Listing {
            grid,
            header: list.header && first,
            style: &self.style,
            width: None,
            optional: 0,
            named: &list.named,
            keys: match snap.map(JsonHead::new) {
                Some(head) if list.all_columns() => JsonKeys::All(head),
                Some(head) if !list.chosen => JsonKeys::PerProtocol(head),
                _ => JsonKeys::Columns,
            },
            color: self.color,
        };
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        let written = match list.format {
            Format::Table => self.table.write(&mut out, &listing),
            Format::Csv => csv::write(&mut out, &listing),
            Format::Ndjson => json::write_lines(&mut out, &listing),
            Format::Json => json::write_elements(&mut out, &listing, self.printed == 0),
            // Of the map only.
            Format::Dot | Format::Mermaid => Ok(()),
        };
        written.and_then(|()| out.flush()).map_err(RunError::stdout)
    }

    /// Prints the groups, and ends the output.
    fn finish(&mut self) -> Result<ExitStatus, RunError> {
        let list = &self.events.list;
        let matched = self.printed > 0;
        if list.group.is_some() {
            let further = self.totals.further;
            let totals = std::mem::take(&mut self.totals).into_summary(&list.sort, list.top);
            self.printed = 0;
            self.write(&totals, None, true)?;
            if further > 0 {
                print_error(&format!(
                    "{} {} of further groups are not shown",
                    thousands(further),
                    list.table.noun
                ));
            }
        }
        if list.format == Format::Json {
            let end: &[u8] = if matched { b"\n]\n" } else { b"[]\n" };
            io::stdout().lock().write_all(end).map_err(RunError::stdout)?;
        }
        if let Some(note) = self.plan.mistyped.as_ref().filter(|_| !matched) {
            print_error(note);
        }
        Ok(if matched { ExitStatus::Success } else { ExitStatus::NoMatch })
    }
}
