//! What can be done to the row at the cursor, and to all rows that the filter lets through.

use super::app::App;
use crate::model::signal::{SIGNALS, Sig};
use crate::model::{ProcInfo, Snapshot, Socket};
use crate::query::cell::endpoint;
use crate::query::format::{exact, thousands};
use crate::query::view::Line;
use std::sync::Arc;

/// Something to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Send this process a signal.
    Signal(Arc<ProcInfo>, Sig),
    /// End these sockets.
    End(Vec<Socket>),
    /// Put this text on the clipboard.
    Copy(String),
}

/// One thing that is offered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Offer {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) act: Act,
}

/// Rows that one order may hit at the most.
const MOST: usize = 10_000;

fn offer(name: impl Into<String>, text: impl Into<String>, act: Act) -> Offer {
    Offer { name: name.into(), text: text.into(), act }
}

/// A socket in a line: `tcp 10.0.0.4:443 - 203.0.113.5:50000 nginx 812 fd 7`.
fn line_of(snap: &Snapshot, row: usize) -> String {
    let s = snap.socket(row);
    let mut out = format!("{} {} - {}", s.proto.name(), endpoint(&s.local), endpoint(&s.remote));
    for o in snap.owners(row).iter().take(3) {
        let fd = o.fd().map_or_else(String::new, |fd| format!(" fd {fd}"));
        out.push_str(&format!("  {} {}{fd}", snap.process(o).info.comm, snap.process(o).info.pid));
    }
    crate::model::text::escape(&out).into_owned()
}

/// Everything that is offered here.
pub(super) fn offers(app: &App) -> Vec<Offer> {
    let Some(snap) = &app.snapshot else { return vec![] };
    let sheet = app.sheet();
    let sockets = sheet.view.table.name == "list";
    let mut out = Vec::new();
    let row = match sheet.lines.get(sheet.cursor) {
        Some(Line::Row(r)) => Some(*r as usize),
        _ => None,
    };
    if let (Some(row), false) = (row, app.options.read_only) {
        if sockets && row < snap.live {
            out.push(offer("end this socket", line_of(snap, row), Act::End(vec![*snap.socket(row)])));
        }
        for p in holders(app, snap, row) {
            for sig in SIGNALS {
                let who = crate::model::text::escape(&p.comm).into_owned();
                let text = format!("{who} {}: {}", p.pid, sig.help);
                out.push(offer(sig.name, text, Act::Signal(Arc::clone(&p), sig)));
            }
        }
    }
    let live: Vec<Socket> = if sockets {
        let rows = sheet.arranged.rows.iter().map(|r| *r as usize).filter(|r| *r < snap.live);
        rows.map(|r| *snap.socket(r)).collect()
    } else {
        vec![]
    };
    // All of a machine is never meant; a filter is.
    if !app.options.read_only && live.len() > 1 && live.len() <= MOST && !sheet.text.trim().is_empty() {
        let name = format!("end all {}", thousands(live.len() as u64));
        out.push(offer(name, format!("every socket that matches {}", sheet.text.trim()), Act::End(live)));
    }
    if let Some(row) = row {
        let cells: Vec<String> = sheet.columns().map(|c| exact(&c.value(snap, row))).collect();
        out.push(offer("copy the row", cells.join(" "), Act::Copy(cells.join("\t"))));
        if let Some(c) = sheet.cell.and_then(|name| sheet.view.table.column(name)) {
            let text = exact(&c.value(snap, row));
            out.push(offer(format!("copy {}", c.name), text.clone(), Act::Copy(text)));
        }
        if sockets {
            let s = snap.socket(row);
            let tuple = format!("{} {} {}", s.proto.name(), endpoint(&s.local), endpoint(&s.remote));
            let ss = format!("src {} dst {}", endpoint(&s.local), endpoint(&s.remote));
            out.push(offer("copy the 5-tuple", tuple.clone(), Act::Copy(tuple)));
            out.push(offer("copy as filter", ss.clone(), Act::Copy(ss)));
        }
    }
    out
}

/// The processes of the row: those that hold it, or the one it is.
fn holders(app: &App, snap: &Snapshot, row: usize) -> Vec<Arc<ProcInfo>> {
    let of = |i: u32| snap.sample.processes.get(i as usize).map(|p| Arc::clone(&p.info));
    let mut all: Vec<u32> = match app.sheet().view.table.name {
        "list" => snap.owners(row).iter().map(|o| o.process).collect(),
        "processes" => vec![row as u32],
        "ports" => snap.ports.get(row).map_or_else(Vec::new, |p| p.processes.clone()),
        _ => vec![],
    };
    all.dedup();
    all.into_iter().take(4).filter_map(of).collect()
}

/// What exactly would be hit, line by line, for the question before it is done.
pub(super) fn question(app: &App, act: &Act) -> (String, Vec<String>) {
    let Some(snap) = &app.snapshot else { return (String::new(), vec![]) };
    match act {
        Act::Signal(p, sig) => {
            let who = crate::model::text::escape(&p.comm).into_owned();
            let line = crate::model::text::escape(&p.cmdline).into_owned();
            (format!("send {} to {who} {}?", sig.name, p.pid), vec![sig.help.to_owned(), line])
        }
        Act::End(sockets) => {
            let title = match sockets.len() {
                1 => "end this socket? its program gets an error, the far end a reset".to_owned(),
                n => format!("end these {} sockets?", thousands(n as u64)),
            };
            let mut lines: Vec<String> =
                sockets.iter().take(12).filter_map(|s| Some(line_of(snap, snap.find(s.id)?))).collect();
            if sockets.len() > lines.len() {
                lines.push(format!("and {} more", thousands((sockets.len() - lines.len()) as u64)));
            }
            (title, lines)
        }
        Act::Copy(_) => (String::new(), vec![]),
    }
}
