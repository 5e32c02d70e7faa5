//! `sockscope who`: the processes that hold a port, or the forward that takes it.

use super::exit_status::{ExitStatus, RunError};
use super::fleet::Fleet;
use super::fleet_list;
use super::listing::{view, wants, write};
use super::print::print_error;
use super::reader::Reader;
use crate::cli::Plan;
use crate::cli::who::WhoPlan;
use crate::diagnose::visibility::hidden;
use std::io;

/// Prints the holders: listening and unconnected sockets, else any other socket on the port, else a port forward.
pub(super) fn run(plan: &Plan, who: &WhoPlan) -> Result<ExitStatus, RunError> {
    if plan.hosts.is_named() {
        return run_hosts(plan, who);
    }
    for list in [&who.bound, &who.connected, &who.forwards] {
        let snap = Reader::open(plan, wants(list))?.poll()?;
        let rows = view(list).arrange(&snap);
        if rows.rows.is_empty() {
            continue;
        }
        let mut out = io::stdout().lock();
        let status = write(&mut out, plan, list, &snap, &rows, None)?;
        drop(out);
        if list.table.is_sockets() && rows.rows.iter().any(|r| snap.owners(*r as usize).is_empty()) {
            for h in hidden(&snap) {
                print_error(&h.summary);
            }
        }
        return Ok(status);
    }
    print_error(&format!("port {}: free, no socket and no forward", who.subject));
    Ok(ExitStatus::NoMatch)
}

/// Prints the holders on several hosts: of the first kind that any of them has. A host without is named.
fn run_hosts(plan: &Plan, who: &WhoPlan) -> Result<ExitStatus, RunError> {
    let mut fleet = Fleet::open(plan, wants(&who.bound))?;
    for (list, kind) in [(&who.bound, "listener"), (&who.connected, "socket"), (&who.forwards, "forward")] {
        fleet.set_wants(wants(list));
        let (with, without): (Vec<_>, Vec<_>) = fleet
            .poll()
            .into_iter()
            .map(|(_, snap)| snap)
            .partition(|snap| !view(list).arrange(snap).rows.is_empty());
        if with.is_empty() {
            continue;
        }
        let status = fleet_list::print(plan, list, &fleet, &with)?;
        for snap in &without {
            print_error(&format!("{}: port {}: no {kind}", snap.sample.host, who.subject));
        }
        return Ok(status);
    }
    print_error(&format!("port {}: free on every host that answered, no socket and no forward", who.subject));
    Ok(fleet_list::partial(&fleet, ExitStatus::NoMatch))
}
