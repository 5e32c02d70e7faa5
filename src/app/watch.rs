//! `--watch`: the listing at every interval; a table is redrawn, NDJSON prints one event per change.

mod short_lived;

use super::exit_status::{ExitStatus, RunError};
use super::listing;
use super::reader::Reader;
use crate::cli::Plan;
use crate::cli::list_plan::ListPlan;
use crate::cli::list_plan::default_columns;
use crate::format::{Column, Kind, thousands};
use crate::model::{Reads, Snapshot, StateSet, Verify};
use crate::output::{Event, Format, JsonHead, JsonKeys, Rows, json};
use crate::table::{EVENTS, Identity};
use crate::view::Arranged;
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use short_lived::{Notes, ShortLived, between};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs until it is interrupted, the output pipe is closed, or the timeout is over.
pub(super) fn run(plan: &Plan, list: &ListPlan, every: Duration) -> Result<ExitStatus, RunError> {
    let mut wants = listing::wants(list);
    // All states are read, so that a row that leaves the filtered ones is reported as changed, not closed.
    wants.states = StateSet::ALL;
    // Any of them may be printed.
    wants.verify = Verify::All;
    // Sockets that live between two polls.
    let with_short_lived = list.table.is_sockets();
    if with_short_lived {
        wants = wants.with(Reads::EVENTS);
    }
    let mut reader = Reader::open(plan, wants)?;
    let mut events = Events::default();
    let mut notes = Notes::default();
    let mut last: Option<Arc<Snapshot>> = None;
    let deadline = list.watch_timeout.map(|t| Instant::now() + t);
    loop {
        let start = Instant::now();
        let Some(snap) = reader.poll_next()? else { return Ok(ExitStatus::Success) };
        let short_lived = last.as_ref().filter(|_| with_short_lived).and_then(|old| between(old, &snap));
        if with_short_lived {
            notes.print(&snap);
        }
        let mut out = io::stdout().lock();
        let written = if list.format == Format::Ndjson {
            let reported = match short_lived {
                Some(found) => write_short_lived(&mut out, list, &snap, &found),
                None => Ok(FxHashSet::default()),
            };
            let written =
                reported.and_then(|reported| events.write(&mut out, list, Arc::clone(&snap), reported));
            written.map_err(RunError::stdout)
        } else {
            let short_lived = short_lived.as_ref().map(|found| &found.snap);
            redraw(&mut out, plan, list, &snap, short_lived, last.is_none())
        };
        written?;
        out.flush().map_err(RunError::stdout)?;
        drop(out);
        last = Some(snap);
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
    short_lived: Option<&Snapshot>,
    first: bool,
) -> Result<(), RunError> {
    let (mut page, mut height) = listing::begin_page(list, first);
    let view = listing::view(list);
    let more =
        short_lived.map(|snap| (snap, view.arrange(snap))).filter(|(_, a)| !a.rows.is_empty() && !list.count);
    // They have a title and a header, and at most a third of the screen.
    let more_height = height.map(|h| h / 3);
    let more_rows = |a: &Arranged| a.rows.len().min(more_height.unwrap_or(usize::MAX)) + 3;
    if let (Some(h), Some((_, a))) = (&mut height, &more) {
        *h = h.saturating_sub(more_rows(a)).max(1);
    }
    let _ = listing::resolve_all_hosts(list, snap);
    let rows = view.arrange(snap);
    listing::resolve_hosts(list, snap, &rows.rows);
    listing::write(&mut page, plan, list, snap, &rows, height)?;
    if let Some((snap, arranged)) = &more {
        let n = arranged.rows.len();
        let noun = if n == 1 { list.table.singular } else { list.table.noun };
        let _ = writeln!(page, "\n{} {noun} opened and closed since the previous poll", thousands(n as u64));
        listing::resolve_hosts(list, snap, &arranged.rows);
        listing::write(&mut page, plan, list, snap, arranged, more_height)?;
    }
    out.write_all(&page).map_err(RunError::stdout)
}

/// Writes an object for each socket that was opened and closed since the previous poll, with its end. Returns those that were
/// written.
fn write_short_lived(
    out: &mut dyn Write,
    list: &ListPlan,
    snap: &Snapshot,
    ShortLived { snap: sockets, ends }: &ShortLived,
) -> io::Result<FxHashSet<Identity>> {
    let mut rows = listing::view(list).arrange(sockets).rows;
    rows.sort_unstable();
    listing::resolve_hosts(list, sockets, &rows);
    let mut reported = FxHashSet::default();
    let keys = if list.chosen {
        json::Keys::new(&list.columns, JsonKeys::Columns)
    } else {
        json::Keys::per_protocol(&list.columns)
    };
    let end_columns = default_columns(&EVENTS, Format::Ndjson);
    let end_keys = json::Keys::per_protocol(&end_columns);
    let mut buf = String::new();
    for r in rows {
        let Some(id) = (list.table.identity)(sockets, r as usize) else { continue };
        let Some((end, left)) = ends.get(r as usize) else { continue };
        reported.insert(id);
        buf.clear();
        json::event_head(&mut buf, Event::ShortLived, JsonHead::new(snap), &id, Some(sockets));
        buf.push_str(",\"before\":");
        keys.push_object(&mut buf, &Rows { snap: sockets, columns: &list.columns, rows: &[r] }, 0);
        buf.push_str(",\"after\":");
        match left {
            Some(row) => keys.push_object(&mut buf, &Rows { snap, columns: &list.columns, rows: &[*row] }, 0),
            None => buf.push_str("null"),
        }
        buf.push_str(",\"end\":");
        end_keys.push_object(&mut buf, &Rows { snap, columns: &end_columns, rows: &[*end] }, 0);
        buf.push_str("}\n");
        out.write_all(buf.as_bytes())?;
    }
    Ok(reported)
}

/// Events against the previous poll.
#[derive(Default)]
pub(super) struct Events {
    previous: Option<(Arc<Snapshot>, FxHashMap<Identity, u32>)>,
    /// Rows that were reported as short-lived at the previous poll. Their sockets ended after it had read the sockets, so that what is
    /// left of one in `TIME_WAIT` is read now.
    reported: FxHashSet<Identity>,
}

impl Events {
    /// Writes an object for each row that was opened, closed or changed; at the first poll, for each row. New ones in `reported`
    /// have been written, at this poll or the previous one.
    pub(super) fn write(
        &mut self,
        out: &mut dyn Write,
        list: &ListPlan,
        snap: Arc<Snapshot>,
        reported: FxHashSet<Identity>,
    ) -> io::Result<()> {
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
                        (None, None) if reported.contains(&id) || self.reported.contains(&id) => {}
                        (None, None) => write_event(Event::Opened, id, None, Some((&snap, *r)))?,
                    }
                }
            }
        }
        self.previous = Some((snap, now));
        self.reported = reported;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plan::What;
    use crate::cli::{Args, Settings};
    use crate::model::Services;
    use clap::Parser;

    #[test]
    fn socket_that_was_reported_as_short_lived_is_not_opened_at_the_next_poll() {
        let args = Args::parse_from(["sockscope", "list", "-c", "proto"]);
        let plan = Plan::new(args, Services::well_known(), Settings::default()).unwrap();
        let What::List(list) = &plan.what else { panic!("a listing") };
        let nothing = Arc::new(crate::testing::snapshot(vec![], vec![], &["host"]));
        let rows = Arc::new(crate::testing::machine());
        let opened = |polls: &[(&Arc<Snapshot>, bool)]| {
            let (mut events, mut out) = (Events::default(), Vec::new());
            for (snap, reports) in polls {
                let ids = (0..rows.live).filter(|_| *reports).filter_map(|r| (list.table.identity)(&rows, r));
                events.write(&mut out, list, Arc::clone(snap), ids.collect()).unwrap();
            }
            String::from_utf8(out).unwrap().matches("\"opened\"").count()
        };
        assert_eq!(opened(&[(&nothing, false), (&rows, false)]), rows.live);
        assert_eq!(opened(&[(&nothing, false), (&rows, true)]), 0);
        assert_eq!(opened(&[(&nothing, false), (&nothing, true), (&rows, false)]), 0);
        assert_eq!(
            opened(&[(&nothing, false), (&nothing, true), (&nothing, false), (&rows, false)]),
            rows.live
        );
    }
}
