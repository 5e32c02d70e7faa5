//! Runs an action that was confirmed in the dashboard, and reports the result in one line.

use crate::actions::{close_socket, send_signal, set_fd_limit};
use crate::collect::remote::{ActOn, MAX_TARGETS, Outcome, ProcessId, SocketTarget, signal_named};
use crate::format::thousands;
use crate::model::lang::tr;
use crate::model::text::escape;
use crate::model::{Namespace, Socket};
use crate::msg;
use crate::tui::act::Act;
use crossterm::clipboard::CopyToClipboard;
use crossterm::execute;
use std::io;

/// Carries out an act: here, or in the process that has the privilege to.
pub(super) type Hand<'a> = dyn FnMut(ActOn) -> Outcome + 'a;

/// Runs the action by this hand; returns the result in one line. Without one nothing but a copy to the clipboard is done, whatever the
/// screen asks for.
pub(super) fn run(act: &Act, hand: Option<&mut Hand<'_>>) -> String {
    let disabled = || {
        tr("actions are disabled: --read-only, demo data, recording, the past or captured tree").to_owned()
    };
    match (act, hand) {
        (Act::Signal(processes, sig), Some(hand)) => {
            let targets = |p: &[_]| p.iter().map(|p: &std::sync::Arc<_>| ProcessId::from(&**p)).collect();
            let parts = processes.chunks(MAX_TARGETS).map(|p| ActOn::Signal(targets(p), sig.name.into()));
            let Outcome { done, error } = all(parts, hand);
            match (error, processes.as_slice()) {
                (None, [p]) => msg!("{} sent to {} {}", sig.name, escape(&p.name()), p.pid),
                (None, _) => msg!("{} sent to {} processes", sig.name, done),
                (Some(error), [_]) => msg!("failed: {}", error),
                (Some(error), _) => {
                    msg!("{} sent to {} of {} processes; {}", sig.name, done, processes.len(), error)
                }
            }
        }
        (Act::CloseSockets(sockets, namespaces), Some(hand)) => {
            let targets = |s: &[Socket]| s.iter().map(|s| target(s, namespaces)).collect();
            let Outcome { done, error } =
                all(sockets.chunks(MAX_TARGETS).map(|s| ActOn::Close(targets(s))), hand);
            match error {
                None if done == 1 => tr("1 socket closed").to_owned(),
                None => msg!("{} sockets closed", done),
                Some(error) if sockets.len() == 1 => msg!("failed: {}", error),
                Some(error) => msg!("{} of {} sockets closed; {}", done, sockets.len(), error),
            }
        }
        (Act::RaiseFdLimit(process, _, new), Some(hand)) => {
            match hand(ActOn::FdLimit(ProcessId::from(&**process), *new)).error {
                None => {
                    msg!("{} {}: fd limit is now {}", escape(&process.name()), process.pid, thousands(new.0))
                }
                Some(e) => msg!("failed: {}", e),
            }
        }
        (Act::Signal(..) | Act::CloseSockets(..) | Act::RaiseFdLimit(..), None) => disabled(),
        // By OSC 52, which works over ssh too; a terminal without it ignores it.
        (Act::Copy(text), _) => match execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text)) {
            Ok(()) => tr("copied (if the terminal supports OSC 52)").to_owned(),
            Err(e) => msg!("copy failed: {}", e),
        },
    }
}

/// Carries out the parts of an action, in order; the error is the first one.
fn all(parts: impl Iterator<Item = ActOn>, hand: &mut Hand<'_>) -> Outcome {
    parts.fold(Outcome::default(), |sum, part| {
        let outcome = hand(part);
        Outcome { done: sum.done + outcome.done, error: sum.error.or(outcome.error) }
    })
}

/// Identity of a socket of these namespaces.
fn target(s: &Socket, namespaces: &[Namespace]) -> SocketTarget {
    let other = namespaces.get(usize::from(s.id.netns)).filter(|_| s.id.netns > 0);
    SocketTarget::new(s, other.map_or(0, |n| n.inode))
}

/// Carries out an act in this process. The identity of each target is compared at that time.
pub(super) fn here(act: ActOn) -> Outcome {
    let results: Vec<Result<(), String>> = match act {
        ActOn::Signal(processes, name) => match signal_named(&name) {
            Some(signal) => {
                processes.iter().map(|p| send_signal(&p.info(), signal).map_err(|e| e.to_string())).collect()
            }
            None => vec![Err(format!("not a signal that is sent: {}", escape(&name)))],
        },
        ActOn::Close(sockets) => sockets
            .iter()
            .map(|s| close_socket(&s.socket(), &s.namespaces()).map_err(|e| e.to_string()))
            .collect(),
        ActOn::FdLimit(process, limits) => {
            vec![set_fd_limit(&process.info(), limits).map_err(|e| e.to_string())]
        }
    };
    let done = results.iter().filter(|r| r.is_ok()).count();
    Outcome { done, error: results.into_iter().find_map(Result::err) }
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
            assert!(run(act, None).starts_with("actions are disabled"), "{act:?}");
        }
        assert!(child.try_wait().unwrap().is_none(), "it runs");
        assert!(run(&signal, Some(&mut here)).contains("sent to sleep"));
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn act_on_another_start_time_or_signal_reaches_nobody() {
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let start_ns = crate::collect::procs::start_time_ns(child.id()).unwrap();
        let pid = child.id();
        let id = |start_ns| ProcessId { pid, start_ns, comm: "sleep".into() };
        let forged = here(ActOn::Signal(vec![id(start_ns + 1)], "SIGKILL".into()));
        assert_eq!(forged.done, 0);
        assert!(forged.error.is_some_and(|e| e.contains("another process")));
        let forged = here(ActOn::FdLimit(id(start_ns - 1), (1, 1)));
        assert!(forged.error.is_some_and(|e| e.contains("another process")));
        let unknown = here(ActOn::Signal(vec![id(start_ns)], "SIGSTOP".into()));
        assert!(unknown.done == 0 && unknown.error.is_some_and(|e| e.contains("not a signal")));
        assert!(child.try_wait().unwrap().is_none(), "it runs");
        assert_eq!(here(ActOn::Signal(vec![id(start_ns)], "SIGKILL".into())).done, 1);
        assert!(!child.wait().unwrap().success());
    }
}
