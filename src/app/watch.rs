//! `--watch`: the listing at every interval; a table is redrawn, NDJSON prints one event per change.

use super::exit_status::{ExitStatus, RunError};
use super::listing;
use super::reader::Reader;
use crate::cli::Plan;
use crate::cli::list_plan::ListPlan;
use crate::format::{Column, Kind};
use crate::model::{Snapshot, StateSet, Verify};
use crate::output::{Event, Format, JsonHead, JsonKeys, Rows, json};
use crate::table::Identity;
use rustc_hash::FxHashMap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs until it is interrupted, the output pipe is closed, or the timeout is over.
pub(super) fn run(plan: &Plan, list: &ListPlan, every: Duration) -> Result<ExitStatus, RunError> {
    let mut wants = listing::wants(list);
    // All states are read, so that a row that leaves the filtered ones is reported as changed, not closed.
    wants.states = StateSet::ALL;
    // Any of them may be printed.
    wants.verify = Verify::All;
    let mut reader = Reader::open(plan, wants)?;
    let mut events = Events::default();
    let mut first = true;
    let deadline = list.watch_timeout.map(|t| Instant::now() + t);
    loop {
        let start = Instant::now();
        let Some(snap) = reader.poll_next()? else { return Ok(ExitStatus::Success) };
        let mut out = io::stdout().lock();
        let written = if list.format == Format::Ndjson {
            events.write(&mut out, list, snap).map_err(RunError::stdout)
        } else {
            redraw(&mut out, plan, list, &snap, first)
        };
        written?;
        out.flush().map_err(RunError::stdout)?;
        drop(out);
        first = false;
        let next = if reader.is_recorded() { Duration::ZERO } else { every.saturating_sub(start.elapsed()) };
        match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
            Some(left) if left <= next => {
                let _ = is_closed_within(left);
                return Ok(ExitStatus::Success);
            }
            _ if is_closed_within(next) => return Ok(ExitStatus::Success),
            _ => {}
        }
    }
}

/// Waits, and returns true as soon as standard output has no reader any more: without an event to write, no error would tell.
pub(super) fn is_closed_within(time: Duration) -> bool {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let stdout = io::stdout();
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => return false,
            Ok(_) if fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) => return true,
            // Not a file to poll, or interrupted.
            _ if left.is_zero() => return false,
            Err(Errno::INTR) => {}
            _ => {
                std::thread::sleep(left);
                return false;
            }
        }
    }
}

/// On a terminal the table replaces the previous one, cut to the screen; elsewhere an empty line separates them.
fn redraw(
    out: &mut dyn Write,
    plan: &Plan,
    list: &ListPlan,
    snap: &Snapshot,
    first: bool,
) -> Result<(), RunError> {
    let mut page = Vec::new();
    let mut height = None;
    if io::stdout().is_terminal() {
        page.extend_from_slice(b"\x1b[H\x1b[2J");
        height = listing::terminal_size().map(|(_, h)| usize::from(h).saturating_sub(2).max(1));
    } else if !first && !list.count {
        page.push(b'\n');
    }
    let _ = listing::resolve_all_hosts(list, snap);
    let rows = listing::view(list).arrange(snap);
    listing::resolve_hosts(list, snap, &rows.rows);
    listing::write(&mut page, plan, list, snap, &rows, height)?;
    out.write_all(&page).map_err(RunError::stdout)
}

/// Events against the previous poll.
#[derive(Default)]
struct Events {
    previous: Option<(Arc<Snapshot>, FxHashMap<Identity, u32>)>,
}

impl Events {
    /// Writes an object for each row that was opened, closed or changed; at the first poll, for each row.
    fn write(&mut self, out: &mut dyn Write, list: &ListPlan, snap: Arc<Snapshot>) -> io::Result<()> {
        listing::resolve_all_hosts(list, &snap);
        let rows = listing::view(list).arrange(&snap).rows;
        listing::resolve_hosts(list, &snap, &rows);
        let identity = |s: &Snapshot, r: u32| (list.table.identity)(s, r as usize);
        let now: FxHashMap<Identity, u32> =
            rows.iter().filter_map(|r| Some((identity(&snap, *r)?, *r))).collect();
        let keys = if list.chosen {
            json::Keys::new(&list.columns, JsonKeys::Columns)
        } else {
            json::Keys::per_protocol(&list.columns)
        };
        let mut buf = String::new();
        let mut write_event =
            |what: Event, id: Identity, before: Option<(&Snapshot, u32)>, after: Option<(&Snapshot, u32)>| {
                let row = |x: Option<(&Snapshot, u32)>, buf: &mut String| match x {
                    Some((snap, r)) => {
                        keys.push_object(buf, &Rows { snap, columns: &list.columns, rows: &[r] }, 0);
                    }
                    None => buf.push_str("null"),
                };
                buf.clear();
                let shown = after.or(before);
                json::event_head(&mut buf, what, JsonHead::new(&snap), &id, shown.map(|s| s.0));
                buf.push_str(",\"before\":");
                row(before, &mut buf);
                buf.push_str(",\"after\":");
                row(after, &mut buf);
                buf.push_str("}\n");
                out.write_all(buf.as_bytes())
            };
        match &self.previous {
            None => {
                for r in &rows {
                    if let Some(id) = identity(&snap, *r) {
                        write_event(Event::Present, id, None, Some((&snap, *r)))?;
                    }
                }
            }
            Some((old, matched)) => {
                let all = |s: &Snapshot| -> FxHashMap<Identity, u32> {
                    let n = (list.table.live)(s);
                    (0..n as u32).filter_map(|r| Some((identity(s, r)?, r))).collect()
                };
                let (there, was) = (all(&snap), all(old));
                for (id, r) in matched.iter().filter(|(id, _)| !now.contains_key(id)) {
                    match there.get(id) {
                        Some(after) => {
                            write_event(Event::Changed, *id, Some((old, *r)), Some((&snap, *after)))?;
                        }
                        None => write_event(Event::Closed, *id, Some((old, *r)), None)?,
                    }
                }
                for r in &rows {
                    let Some(id) = identity(&snap, *r) else { continue };
                    match (matched.get(&id), was.get(&id)) {
                        (Some(b), _) if !row_changed(list, old, *b, &snap, *r) => {}
                        (Some(b), _) | (None, Some(b)) => {
                            write_event(Event::Changed, id, Some((old, *b)), Some((&snap, *r)))?;
                        }
                        (None, None) => write_event(Event::Opened, id, None, Some((&snap, *r)))?,
                    }
                }
            }
        }
        self.previous = Some((snap, now));
        Ok(())
    }
}

/// True if a row changed: the state of a socket, or a shown value of another row that is not a rate, a time or a list.
fn row_changed(list: &ListPlan, old: &Snapshot, before: u32, new: &Snapshot, after: u32) -> bool {
    let (before, after) = (before as usize, after as usize);
    if list.table.is_sockets() {
        return old.socket(before).state != new.socket(after).state;
    }
    let is_fact = |c: &&&Column| !c.is_over_time() && !matches!(c.kind, Kind::Secs);
    list.columns.iter().filter(is_fact).any(|c| c.value(old, before) != c.value(new, after))
}
