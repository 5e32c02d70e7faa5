//! Actions offered for the selected row, the marked rows, the group and everything that matches the filter.

use super::act::Act;
use super::app::App;
use super::remote::{self, Refused};
use crate::filter::from_cell::endpoint_text;
use crate::format::{exact, thousands};
use crate::model::lang::{in_english, tr};
use crate::model::signal::{SIGNALS, SignalInfo};
use crate::model::{ProcInfo, Snapshot, Socket, State};
use crate::msg;
use crate::view::Line;
use std::collections::HashMap;
use std::sync::Arc;

/// Letter of an action, on the selected row or group and, in upper case, on many rows. It belongs to the action on every kind of
/// row, and moves nothing in a list.
pub(crate) type Letters = [&'static str; 2];

const CLOSE: Letters = ["s", "S"];
const RAISE: Letters = ["f", ""];
const ROW: Letters = ["r", ""];
const TUPLE: Letters = ["a", ""];
const EXPRESSION: Letters = ["e", ""];
const CELL: Letters = ["v", ""];

/// Letters of the signals, in their order: a hang-up, a dump of the core.
const SIGNAL_LETTERS: [Letters; SIGNALS.len()] =
    [["t", "T"], ["u", "U"], ["i", "I"], ["d", "D"], ["o", "O"], ["x", "X"]];

/// Signals with their letters.
fn signals() -> impl Iterator<Item = (SignalInfo, Letters)> {
    SIGNALS.into_iter().zip(SIGNAL_LETTERS)
}

/// Every letter of an action.
#[cfg(test)]
pub(crate) fn letters() -> Vec<&'static str> {
    let all = [CLOSE, RAISE, ROW, TUPLE, EXPRESSION, CELL].into_iter().chain(SIGNAL_LETTERS).flatten();
    all.filter(|letter| !letter.is_empty()).collect()
}

/// Part of the list of actions, in the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    /// Copies, which change nothing.
    Copy,
    /// The marked rows.
    Marked,
    /// The selected group.
    Group,
    /// The selected socket.
    Socket,
    /// Processes of the selected row.
    Process,
    /// Every row that matches the filter.
    Matching,
}

impl Section {
    /// Its letter among those of an action. The marked rows come first: with marks, all that match have no letter.
    const fn letter(self, letters: Letters) -> &'static str {
        match self {
            Self::Copy | Self::Group | Self::Socket | Self::Process => letters[0],
            Self::Marked | Self::Matching => letters[1],
        }
    }

    /// Title in the list.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Copy => tr("copy"),
            Self::Marked => tr("marked rows"),
            Self::Group => tr("this group"),
            Self::Socket => tr("this socket"),
            Self::Process => tr("process"),
            Self::Matching => tr("all that match the filter"),
        }
    }
}

/// An action offered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offer {
    pub(crate) section: Section,
    /// Letter; empty for a further action of the same kind.
    pub(crate) letter: &'static str,
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) act: Act,
}

/// Maximum number of rows an action may affect.
const MAX_ROWS: usize = 10_000;

fn offer(
    section: Section,
    letters: Letters,
    name: impl Into<String>,
    text: impl Into<String>,
    act: Act,
) -> Offer {
    Offer { section, letter: section.letter(letters), name: name.into(), text: text.into(), act }
}

/// A socket in a line: `tcp 10.0.0.4:443 - 203.0.113.5:50000 nginx 812 fd 7`.
pub(crate) fn socket_line(snap: &Snapshot, row: usize) -> String {
    let s = snap.socket(row);
    let mut out = format!("{} {}", s.proto.name(), snap.end_text(s, &s.local));
    if !s.remote.is_none() {
        out.push_str(&format!(" - {}", snap.end_text(s, &s.remote)));
    }
    for o in snap.owners(row).iter().take(3) {
        let fd = o.fd().map_or_else(String::new, |fd| format!(" fd {fd}"));
        out.push_str(&format!("  {} {}{fd}", snap.process(o).info.name(), snap.process(o).info.pid));
    }
    crate::model::text::escape(&out).into_owned()
}

/// Actions offered in the current state.
pub(crate) fn offers(app: &App) -> Vec<Offer> {
    let Some(snap) = &app.snapshot else { return vec![] };
    let view_state = app.view_state();
    let sockets = view_state.view.table.is_sockets();
    let mut out = Vec::new();
    let row = match view_state.lines.get(view_state.cursor) {
        Some(Line::Row(r)) => Some(*r as usize),
        _ => None,
    };
    if !app.is_read_only() {
        out.extend(marked_offers(app, snap, sockets));
        out.extend(group_offers(app, snap, sockets));
    }
    if let (Some(row), false) = (row, app.is_read_only()) {
        if sockets && row < snap.live && snap.socket(row).proto.is_inet() {
            out.push(offer(
                Section::Socket,
                CLOSE,
                tr("close this socket"),
                socket_line(snap, row),
                close(snap, vec![*snap.socket(row)]),
            ));
        }
        for p in owners(app, snap, row) {
            for (sig, letters) in signals() {
                let process = crate::model::text::escape(&p.name()).into_owned();
                let text = format!("{process} {}: {}", p.pid, tr(sig.help));
                let act = Act::Signal(vec![Arc::clone(&p)], sig);
                out.push(offer(Section::Process, letters, sig.name, text, act));
            }
        }
    }
    if let Ok(act @ Act::RaiseFdLimit(_, _, new)) = &raise(app)
        && let Act::RaiseFdLimit(p, ..) = act
    {
        let process = crate::model::text::escape(&p.name()).into_owned();
        out.push(offer(
            Section::Process,
            RAISE,
            tr("raise fd limit"),
            msg!("{} {}: soft limit to {}", process, p.pid, thousands(new.0)),
            act.clone(),
        ));
    }
    if !app.is_read_only() {
        out.extend(filter_offers(app, snap, sockets));
    }
    if let Some(row) = row {
        let (snap, row) = snap.at(view_state.id(), row);
        let cells: Vec<String> =
            in_english(|| view_state.columns().map(|c| exact(&c.value(snap, row))).collect());
        let copy = |letters, name: String, text: String| {
            offer(Section::Copy, letters, name, text.clone(), Act::Copy(text))
        };
        out.push(offer(Section::Copy, ROW, tr("copy row"), cells.join(" "), Act::Copy(cells.join("\t"))));
        if sockets {
            let s = snap.socket(row);
            let (local, remote) = (snap.end_text(s, &s.local), snap.end_text(s, &s.remote));
            let tuple = format!("{} {local} {remote}", s.proto.name());
            out.push(copy(TUPLE, tr("copy 5-tuple").to_owned(), tuple));
            out.push(copy(EXPRESSION, tr("copy as ss filter").to_owned(), ss_filter(snap, s)));
        }
        if let Some(c) = view_state.selected_column.and_then(|name| view_state.view.table.column(name)) {
            out.push(copy(CELL, msg!("copy {}", c.title), in_english(|| exact(&c.value(snap, row)))));
        }
    }
    out.sort_by_key(|o| o.section);
    // A letter is that of the first of several processes.
    let mut taken = Vec::new();
    for o in &mut out {
        if taken.contains(&o.letter) {
            o.letter = "";
        } else {
            taken.push(o.letter);
        }
    }
    out
}

/// The socket as a filter for `ss`, also valid here.
fn ss_filter(snap: &Snapshot, s: &Socket) -> String {
    use crate::model::Family;
    let name = |index: u32| snap.name(index).unwrap_or("*");
    match s.family {
        Family::Inet | Family::Inet6 if s.remote.is_none() => format!("src {}", endpoint_text(&s.local)),
        Family::Inet | Family::Inet6 => {
            let ends = format!("src {} dst {}", endpoint_text(&s.local), endpoint_text(&s.remote));
            snap.zone(s, &s.remote.addr).map_or(ends.clone(), |zone| format!("{ends} dev {zone}"))
        }
        Family::Unix if s.local_name != 0 => format!("src unix:{}", name(s.local_name)),
        _ => format!("proto:{} inode:{}", s.proto.name(), { s.inode }),
    }
}

fn close(snap: &Snapshot, sockets: Vec<Socket>) -> Act {
    Act::CloseSockets(sockets, Arc::clone(&snap.sample.namespaces))
}

/// Actions on all rows of the selected group.
fn group_offers(app: &App, snap: &Snapshot, sockets: bool) -> Vec<Offer> {
    let view_state = app.view_state();
    let Some(Line::Group(i)) = view_state.lines.get(view_state.cursor) else { return vec![] };
    let Some(g) = view_state.arranged.groups.get(*i as usize) else { return vec![] };
    let (from, to) = (g.start as usize, (g.start + g.len) as usize);
    let rows: Vec<usize> =
        view_state.arranged.rows.get(from..to).unwrap_or_default().iter().map(|r| *r as usize).collect();
    let title = crate::model::text::escape(&g.title(snap)).into_owned();
    row_offers(app, snap, sockets, &rows, (Rows::Group, &title), 1)
}

/// Actions on all rows that match the filter; none without a filter, so that never a whole machine is affected.
fn filter_offers(app: &App, snap: &Snapshot, sockets: bool) -> Vec<Offer> {
    let view_state = app.view_state();
    let (filter, rows) = (view_state.text.trim(), &view_state.arranged.rows);
    if filter.is_empty() || view_state.error.is_some() || rows.len() < 2 {
        return vec![];
    }
    let rows: Vec<usize> = rows.iter().map(|r| *r as usize).collect();
    row_offers(app, snap, sockets, &rows, (Rows::Filter, filter), 2)
}

/// Choice of the rows of an action.
#[derive(Clone, Copy)]
enum Rows {
    /// The rows of the selected group.
    Group,
    /// The rows that match the filter.
    Filter,
}

/// Actions on many rows, described by their choice and its name; from `least` sockets on.
fn row_offers(
    app: &App,
    snap: &Snapshot,
    sockets: bool,
    rows: &[usize],
    (choice, named): (Rows, &str),
    least: usize,
) -> Vec<Offer> {
    let mut out = Vec::new();
    let section = match choice {
        Rows::Group => Section::Group,
        Rows::Filter => Section::Matching,
    };
    if rows.len() > MAX_ROWS {
        return out;
    }
    // Offers for a group and for the filter are listed together; their names must differ.
    let on_rows = |action: &str, n: usize| match choice {
        Rows::Group => msg!("{} these {}", action, thousands(n as u64)),
        Rows::Filter => msg!("{} all {}", action, thousands(n as u64)),
    };
    if sockets {
        let live = closable(snap, rows);
        if live.len() >= least {
            let noun = socket_noun(snap, rows);
            let text = match choice {
                Rows::Group => msg!("every {} in group {}", noun, named),
                Rows::Filter => msg!("every {} matching {}", noun, named),
            };
            out.push(offer(section, CLOSE, on_rows(tr("close"), live.len()), text, close(snap, live)));
        }
    }
    let processes = distinct_processes(app, snap, rows);
    let n = match processes.len() {
        1 => tr("1 process").to_owned(),
        n => msg!("{} processes", thousands(n as u64)),
    };
    for (sig, letters) in signals().filter(|_| !processes.is_empty()) {
        let text = msg!("{} owning {}: {}", n, named, tr(sig.help));
        out.push(offer(
            section,
            letters,
            on_rows(sig.name, processes.len()),
            text,
            Act::Signal(processes.clone(), sig),
        ));
    }
    out
}

/// Sockets of these rows that can be closed: open IP sockets.
fn closable(snap: &Snapshot, rows: &[usize]) -> Vec<Socket> {
    let live = rows.iter().filter(|r| **r < snap.live).map(|r| *snap.socket(*r));
    live.filter(|s| s.proto.is_inet()).collect()
}

/// Noun for the rows: only IP sockets can be closed.
fn socket_noun(snap: &Snapshot, rows: &[usize]) -> &'static str {
    if rows.iter().all(|r| snap.socket(*r).proto.is_inet()) { tr("socket") } else { tr("IP socket") }
}

/// Processes of these rows, each once, by pid.
fn distinct_processes(app: &App, snap: &Snapshot, rows: &[usize]) -> Vec<Arc<ProcInfo>> {
    let mut all: Vec<Arc<ProcInfo>> = rows.iter().flat_map(|r| owners(app, snap, *r)).collect();
    all.sort_by_key(|p| (p.pid, p.start_ns));
    all.dedup_by_key(|p| (p.pid, p.start_ns));
    all
}

/// Actions on the marked rows.
fn marked_offers(app: &App, snap: &Snapshot, sockets: bool) -> Vec<Offer> {
    let rows = app.view_state().marked(snap);
    let mut out = Vec::new();
    if sockets && !rows.is_empty() && rows.len() <= MAX_ROWS {
        let live = closable(snap, &rows);
        let text = msg!("every marked {} that is still open", socket_noun(snap, &rows));
        if !live.is_empty() {
            out.push(offer(
                Section::Marked,
                CLOSE,
                msg!("close {} marked", thousands(live.len() as u64)),
                text,
                close(snap, live),
            ));
        }
    }
    let all = distinct_processes(app, snap, &rows);
    if !all.is_empty() {
        for (sig, letters) in signals() {
            let text = match all.len() {
                1 => msg!("1 process of marked rows: {}", tr(sig.help)),
                n => msg!("{} processes of marked rows: {}", n, tr(sig.help)),
            };
            out.push(offer(
                Section::Marked,
                letters,
                msg!("{} marked", sig.name),
                text,
                Act::Signal(all.clone(), sig),
            ));
        }
    }
    out
}

/// Action that raises the fd limit of the selected process: to the hard limit, or both doubled if it is reached.
pub(crate) fn raise(app: &App) -> Result<Act, String> {
    let snap = app.snapshot.as_ref().ok_or_else(|| tr("no data yet"))?;
    if let Some(why) = remote::refused(app, Refused::Action) {
        return Err(why);
    }
    if app.is_read_only() {
        return Err(tr("actions are disabled: --read-only, demo data, recording, the past or captured tree")
            .to_owned());
    }
    let row = app.view_state().row().ok_or_else(|| tr("select a process first"))?;
    let p = (app.view_state().view.table.process_of)(snap, row);
    let p = p
        .and_then(|p| snap.sample.processes.get(p as usize))
        .ok_or_else(|| tr("the selected row has no process"))?;
    let (soft, hard) = match &p.fds {
        Ok(u) => u.soft.zip(u.hard).ok_or_else(|| tr("limits unknown"))?,
        Err(why) => return Err(msg!("limits unknown: {}", why)),
    };
    // The kernel caps both limits at fs.nr_open.
    let most = snap.system().nr_open.unwrap_or(u64::MAX);
    let twice = |n: u64| n.saturating_mul(2).min(most.max(n));
    let new = if soft < hard { (hard.min(most.max(soft)), hard) } else { (twice(soft), twice(hard)) };
    if new.0 <= soft {
        return Err(tr("the fd limit is already at the maximum (fs.nr_open)").to_owned());
    }
    Ok(Act::RaiseFdLimit(Arc::clone(&p.info), (soft, hard), new))
}

/// Processes of a row: its owners, or the process itself.
fn owners(app: &App, snap: &Snapshot, row: usize) -> Vec<Arc<ProcInfo>> {
    let process = |i: u32| snap.sample.processes.get(i as usize).map(|p| Arc::clone(&p.info));
    let mut all = (app.view_state().view.table.owners)(snap, row);
    all.dedup();
    all.into_iter().take(4).filter_map(process).collect()
}

/// Effect of closing a socket (`tcp_abort`, `udp_abort`, `raw_abort`).
fn outcome(s: &Socket) -> &'static str {
    match s.state {
        State::Listen => tr("The listener closes; new connections are refused."),
        State::TimeWait => tr("The 5-tuple is free at once; late segments may hit a new connection."),
        State::SynSent => tr("The pending connect() fails."),
        // The kernel sends a RST only in these states (tcp_need_reset).
        State::Established | State::CloseWait | State::FinWait1 | State::FinWait2 | State::SynRecv
            if s.proto.has_tcp_states() =>
        {
            tr("The application gets an error, the peer gets a RST.")
        }
        _ => tr("The application gets an error."),
    }
}

/// Title and lines of the confirmation: every socket or process affected.
pub(crate) fn confirmation(app: &App, act: &Act) -> (String, Vec<String>) {
    let Some(snap) = &app.snapshot else { return (String::new(), vec![]) };
    match act {
        Act::Signal(all, sig) => {
            let escape = |s: &str| crate::model::text::escape(s).into_owned();
            let title = match all.as_slice() {
                [p] => msg!("Send {} to {} {}?", sig.name, escape(&p.name()), p.pid),
                _ => msg!("Send {} to {} processes?", sig.name, all.len()),
            };
            let mut lines = vec![tr(sig.help).to_owned()];
            match all.as_slice() {
                [p] => lines.push(escape(&p.cmdline)),
                _ => lines.extend(
                    all.iter().map(|p| format!("{} {}  {}", p.pid, escape(&p.name()), escape(&p.cmdline))),
                ),
            }
            (title, lines)
        }
        Act::CloseSockets(sockets, _) => {
            let title = match sockets.as_slice() {
                [s] => msg!("Close this socket? {}", outcome(s)),
                all => {
                    let n = thousands(all.len() as u64);
                    msg!("Close {} sockets? Applications get an error, peers get a RST.", n)
                }
            };
            let rows: HashMap<_, _> = if sockets.len() > 1 {
                (0..snap.live).map(|row| (snap.socket(row).id, row)).collect()
            } else {
                sockets.iter().filter_map(|s| Some((s.id, snap.find(s.id)?))).collect()
            };
            let line = |s: &Socket| match rows.get(&s.id) {
                Some(row) => socket_line(snap, *row),
                None => format!("{} {} - {}  {}", s.proto.name(), s.local, s.remote, tr("already closed")),
            };
            (title, sockets.iter().map(line).collect())
        }
        Act::RaiseFdLimit(p, old, new) => {
            let process = crate::model::text::escape(&p.name()).into_owned();
            let limit = |n: u64| if n == u64::MAX { tr("unlimited").to_owned() } else { thousands(n) };
            let mut lines = vec![
                msg!("soft limit {} {} {}", limit(old.0), app.glyphs.arrow, limit(new.0)),
                if old.1 == new.1 {
                    msg!("hard limit {} (unchanged)", limit(old.1))
                } else {
                    msg!(
                        "hard limit {} {} {} (needs CAP_SYS_RESOURCE)",
                        limit(old.1),
                        app.glyphs.arrow,
                        limit(new.1)
                    )
                },
            ];
            lines.push(tr("until the process exits; see details to make it permanent").to_owned());
            (msg!("Raise the fd limit of {} {}?", process, p.pid), lines)
        }
        Act::Copy(_) => (String::new(), vec![]),
    }
}
