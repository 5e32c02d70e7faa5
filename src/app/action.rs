//! Carries out what was asked for in the dashboard, and says how it went.

use crate::actions::{end, raise, signal};
use crate::tui::act::Act;
use crossterm::clipboard::CopyToClipboard;
use crossterm::execute;
use std::io;

/// Does it; what came of it in a line.
pub(super) fn carry_out(act: &Act) -> String {
    match act {
        Act::Signal(processes, sig) => {
            let failed: Vec<String> =
                processes.iter().filter_map(|p| Some(signal(p, *sig).err()?.to_string())).collect();
            let done = processes.len() - failed.len();
            match (failed.first(), processes.as_slice()) {
                (None, [p]) => {
                    format!("{} sent to {} {}", sig.name, crate::model::text::escape(&p.name()), p.pid)
                }
                (None, _) => format!("{} sent to {done} processes", sig.name),
                (Some(why), [_]) => format!("not done: {why}"),
                (Some(why), _) => {
                    format!("{} sent to {done} of {} processes; {why}", sig.name, processes.len())
                }
            }
        }
        Act::CloseSockets(sockets, namespaces) => {
            let failed: Vec<String> =
                sockets.iter().filter_map(|s| Some(end(s, namespaces).err()?.to_string())).collect();
            let done = sockets.len() - failed.len();
            match failed.first() {
                None => format!("{done} {} ended", if done == 1 { "socket" } else { "sockets" }),
                Some(why) if sockets.len() == 1 => format!("not done: {why}"),
                Some(why) => format!("{done} of {} ended; {why}", sockets.len()),
            }
        }
        Act::RaiseFdLimit(process, _, new) => match raise(process, *new) {
            Ok(()) => format!(
                "{} {} may have {} descriptors open now",
                crate::model::text::escape(&process.name()),
                process.pid,
                crate::format::thousands(new.0)
            ),
            Err(e) => format!("not done: {e}"),
        },
        // The terminal keeps it, also over ssh (OSC 52); one that does not know it ignores it.
        Act::Copy(text) => match execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text)) {
            Ok(()) => "copied, if the terminal allows it".to_owned(),
            Err(e) => format!("not copied: {e}"),
        },
    }
}
