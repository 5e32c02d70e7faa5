//! `sockscope who`: the processes that hold a port, or the forward that takes it.

use super::exit_status::{ExitStatus, RunError};
use super::listing::{view, wants, write};
use super::print::print_error;
use super::reader::Reader;
use crate::cli::Plan;
use crate::cli::who::WhoPlan;
use crate::diagnose::visibility::hidden;
use std::io;

/// Prints the holders: listening and unconnected sockets, else any other socket on the port, else a port forward.
pub(super) fn run(plan: &Plan, who: &WhoPlan) -> Result<ExitStatus, RunError> {
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
