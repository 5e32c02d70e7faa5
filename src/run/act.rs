//! Carries out what was asked for in the dashboard, and says how it went.

use crate::collect::act::{end, signal};
use crate::ui::act::Act;
use crossterm::clipboard::CopyToClipboard;
use crossterm::execute;
use std::io;

/// Does it; what came of it in a line.
pub(super) fn carry_out(act: &Act) -> String {
    match act {
        Act::Signal(process, sig) => match signal(process, *sig) {
            Ok(()) => {
                format!("{} sent to {} {}", sig.name, crate::model::text::escape(&process.comm), process.pid)
            }
            Err(e) => format!("not done: {e}"),
        },
        Act::End(sockets) => {
            let failed: Vec<String> =
                sockets.iter().filter_map(|s| Some(end(s).err()?.to_string())).collect();
            let done = sockets.len() - failed.len();
            match failed.first() {
                None => format!("{done} {} ended", if done == 1 { "socket" } else { "sockets" }),
                Some(why) => format!("{done} of {} ended; {why}", sockets.len()),
            }
        }
        // The terminal keeps it, also over ssh (OSC 52); one that does not know it ignores it.
        Act::Copy(text) => match execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text)) {
            Ok(()) => "copied, if the terminal allows it".to_owned(),
            Err(e) => format!("not copied: {e}"),
        },
    }
}
