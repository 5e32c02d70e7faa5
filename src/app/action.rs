//! Runs an action that was confirmed in the dashboard, and reports the result in one line.

use crate::actions::{close_socket, send_signal, set_fd_limit};
use crate::format::thousands;
use crate::model::text::escape;
use crate::tui::act::Act;
use crossterm::clipboard::CopyToClipboard;
use crossterm::execute;
use std::io;

/// Runs the action; returns the result in one line.
pub(super) fn run(act: &Act) -> String {
    match act {
        Act::Signal(processes, sig) => {
            let errors: Vec<String> =
                processes.iter().filter_map(|p| Some(send_signal(p, *sig).err()?.to_string())).collect();
            let sent = processes.len() - errors.len();
            match (errors.first(), processes.as_slice()) {
                (None, [p]) => format!("{} sent to {} {}", sig.name, escape(&p.name()), p.pid),
                (None, _) => format!("{} sent to {sent} processes", sig.name),
                (Some(error), [_]) => format!("failed: {error}"),
                (Some(error), _) => {
                    format!("{} sent to {sent} of {} processes; {error}", sig.name, processes.len())
                }
            }
        }
        Act::CloseSockets(sockets, namespaces) => {
            let errors: Vec<String> =
                sockets.iter().filter_map(|s| Some(close_socket(s, namespaces).err()?.to_string())).collect();
            let closed = sockets.len() - errors.len();
            match errors.first() {
                None => format!("{closed} {} closed", if closed == 1 { "socket" } else { "sockets" }),
                Some(error) if sockets.len() == 1 => format!("failed: {error}"),
                Some(error) => format!("{closed} of {} sockets closed; {error}", sockets.len()),
            }
        }
        Act::RaiseFdLimit(process, _, new) => match set_fd_limit(process, *new) {
            Ok(()) => {
                format!("{} {}: fd limit is now {}", escape(&process.name()), process.pid, thousands(new.0))
            }
            Err(e) => format!("failed: {e}"),
        },
        // By OSC 52, which works over ssh too; a terminal without it ignores it.
        Act::Copy(text) => match execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text)) {
            Ok(()) => "copied (if the terminal supports OSC 52)".to_owned(),
            Err(e) => format!("copy failed: {e}"),
        },
    }
}
