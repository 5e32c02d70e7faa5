//! Runs an action that was confirmed in the dashboard, and reports the result in one line.

use crate::actions::{close_socket, send_signal, set_fd_limit};
use crate::format::thousands;
use crate::model::lang::tr;
use crate::model::text::escape;
use crate::msg;
use crate::tui::act::Act;
use crossterm::clipboard::CopyToClipboard;
use crossterm::execute;
use std::io;

/// Runs the action; returns the result in one line. With `read_only` nothing but a copy to the clipboard is done, whatever the screen
/// asks for.
pub(super) fn run(act: &Act, read_only: bool) -> String {
    match act {
        Act::Signal(..) | Act::CloseSockets(..) | Act::RaiseFdLimit(..) if read_only => {
            tr("actions are disabled: --read-only, demo data, recording, the past or captured tree")
                .to_owned()
        }
        Act::Signal(processes, sig) => {
            let errors: Vec<String> =
                processes.iter().filter_map(|p| Some(send_signal(p, *sig).err()?.to_string())).collect();
            let sent = processes.len() - errors.len();
            match (errors.first(), processes.as_slice()) {
                (None, [p]) => msg!("{} sent to {} {}", sig.name, escape(&p.name()), p.pid),
                (None, _) => msg!("{} sent to {} processes", sig.name, sent),
                (Some(error), [_]) => msg!("failed: {}", error),
                (Some(error), _) => {
                    msg!("{} sent to {} of {} processes; {}", sig.name, sent, processes.len(), error)
                }
            }
        }
        Act::CloseSockets(sockets, namespaces) => {
            let errors: Vec<String> =
                sockets.iter().filter_map(|s| Some(close_socket(s, namespaces).err()?.to_string())).collect();
            let closed = sockets.len() - errors.len();
            match errors.first() {
                None if closed == 1 => tr("1 socket closed").to_owned(),
                None => msg!("{} sockets closed", closed),
                Some(error) if sockets.len() == 1 => msg!("failed: {}", error),
                Some(error) => msg!("{} of {} sockets closed; {}", closed, sockets.len(), error),
            }
        }
        Act::RaiseFdLimit(process, _, new) => match set_fd_limit(process, *new) {
            Ok(()) => {
                msg!("{} {}: fd limit is now {}", escape(&process.name()), process.pid, thousands(new.0))
            }
            Err(e) => msg!("failed: {}", e),
        },
        // By OSC 52, which works over ssh too; a terminal without it ignores it.
        Act::Copy(text) => match execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text)) {
            Ok(()) => tr("copied (if the terminal supports OSC 52)").to_owned(),
            Err(e) => msg!("copy failed: {}", e),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProcInfo;
    use crate::model::signal::SIGNALS;
    use std::process::{Command, Stdio};
    use std::sync::Arc;

    #[test]
    fn read_only_does_nothing_to_a_process_that_is_there() {
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        let start_ns = crate::collect::procs::start_time_ns(pid).unwrap();
        let blank = crate::testing::process(pid, "sleep", 0, 3, 1024).info;
        let info = Arc::new(ProcInfo { pid, start_ns, ..(*blank).clone() });
        let kill = *SIGNALS.iter().find(|s| s.name == "SIGKILL").unwrap();
        let signal = Act::Signal(vec![Arc::clone(&info)], kill);
        for act in
            [&signal, &Act::RaiseFdLimit(info, (64, 64), (32, 32)), &Act::CloseSockets(vec![], [].into())]
        {
            assert!(run(act, true).starts_with("actions are disabled"), "{act:?}");
        }
        assert!(child.try_wait().unwrap().is_none(), "it runs");
        assert!(run(&signal, false).contains("sent to sleep"));
        assert!(!child.wait().unwrap().success());
    }
}
