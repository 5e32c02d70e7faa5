//! Opens the page that answers why the selected row does not work, and copies it.

use crate::diagnose::finding::{
    Diagnosis, dns_diagnoses, event_diagnoses, forward_diagnosis, limit_diagnosis, socket_diagnoses,
};
use crate::diagnose::why::{Question, of_process};
use crate::model::Snapshot;
use crate::model::lang::tr;
use crate::table::TableId;
use crate::tui::act::Act;
use crate::tui::answer_page::AnswerPage;
use crate::tui::app::{App, Overlay};
use crate::tui::event::Effect;
use crate::view::Line;
use std::sync::Arc;

/// The question about a row of a table.
fn question(table: TableId, snap: &Snapshot, row: usize) -> Option<Question> {
    match table {
        TableId::Sockets => Question::of_socket(snap, row),
        TableId::Ports => Question::of_port(snap, snap.ports.get(row)?),
        TableId::Processes => Some(Question::Process(snap.sample.processes.get(row)?.info.pid)),
        TableId::Peers => Question::of_peer(snap, snap.peers.get(row)?),
        TableId::Limits => Question::of_limit(snap, snap.limits.get(row)?),
        TableId::Forwards => Question::of_forward(snap, snap.forward_rows().get(row)?),
        TableId::Map => Question::of_edge(snap, snap.map().edges.get(row)?),
        TableId::Events => Question::of_event(snap.events.rows.get(row)?),
        TableId::Dns => Question::of_dns(snap.dns.rows.get(row)?),
    }
}

/// Findings of a row: evidence, and meaning.
fn findings(table: TableId, snap: &Snapshot, row: usize) -> Vec<(String, &'static str)> {
    let found: Vec<Diagnosis> = match table {
        TableId::Sockets => socket_diagnoses(snap, row).collect(),
        TableId::Limits => limit_diagnosis(snap, row).into_iter().collect(),
        TableId::Forwards => forward_diagnosis(snap, row).into_iter().collect(),
        TableId::Events => snap.events.rows.get(row).map(|e| event_diagnoses(snap, e)).unwrap_or_default(),
        TableId::Dns => snap.dns.rows.get(row).map(|q| dns_diagnoses(snap, q)).unwrap_or_default(),
        TableId::Ports | TableId::Processes | TableId::Peers | TableId::Map => Vec::new(),
    };
    found.into_iter().map(|d| (d.evidence, d.help)).collect()
}

/// The selected row, or the first one of the selected group.
fn selected(app: &App) -> Option<usize> {
    let view_state = app.view_state();
    match view_state.lines.get(view_state.cursor)? {
        Line::Row(row) => Some(*row as usize),
        Line::Group(group) => {
            let first = view_state.arranged.groups.get(*group as usize)?.start;
            view_state.arranged.rows.get(first as usize).map(|row| *row as usize)
        }
    }
}

/// Opens the page for the selected row, or for the selected alert, and requests its answer.
pub(super) fn open(app: &mut App) -> Vec<Effect> {
    let Some(snap) = app.snapshot.clone() else { return vec![] };
    let row = match app.overlay {
        Some(Overlay::Alerts(at)) => snap.alerts.get(at).map(|a| (TableId::Limits, a.limit as usize)),
        _ => selected(app).map(|row| (app.view_state().id(), row)),
    };
    let Some((table, row)) = row else {
        app.status_message = Some(tr("select a row first").to_owned());
        return vec![];
    };
    let host = snap.host_of(table, row).map(|h| Arc::clone(&h.name));
    let (snap, row) = snap.at(table, row);
    let (question, findings) = (question(table, snap, row), findings(table, snap, row));
    let subject = match &question {
        Some(question) => question.subject(snap),
        None if findings.is_empty() => {
            app.status_message =
                Some(tr("nothing to ask about this row: no IP connection, port or process").to_owned());
            return vec![];
        }
        None => tr("this row").to_owned(),
    };
    let live = app.past.is_none() && !app.recorded;
    let of_sample = match question {
        Some(Question::Process(pid)) => of_process(snap, pid),
        _ => None,
    };
    let answer = (!live && question.is_some()).then(|| {
        Err(tr("only answered live: routes, rules and neighbours of the past are not recorded").to_owned())
    });
    let waiting = None;
    let mut page =
        AnswerPage { subject, question, answer, of_sample, host, waiting, reading: false, live, findings };
    let effects = ask(app, &mut page);
    app.overlay = Some(Overlay::Why(Box::new(page), 0));
    effects
}

/// Requests the answer of a page, of the host of its row.
fn ask(app: &mut App, page: &mut AnswerPage) -> Vec<Effect> {
    if !page.is_askable() {
        return vec![];
    }
    let waiting = page.host.clone().map(|host| app.wait_for(host));
    page.ask(waiting)
}

/// Requests the answer of the page that is open once more.
pub(super) fn ask_again(app: &mut App) -> Vec<Effect> {
    let Some(Overlay::Why(mut page, top)) = app.overlay.take() else { return vec![] };
    let effects = ask(app, &mut page);
    app.overlay = Some(Overlay::Why(page, top));
    effects
}

/// Copies the page that is open.
pub(super) fn copy(app: &App) -> Vec<Effect> {
    match &app.overlay {
        Some(Overlay::Why(page, _)) => vec![Effect::Act(Act::Copy(page.text()))],
        _ => vec![],
    }
}
