//! Notification of an alert, as configured: terminal bell, desktop notification, command.

use super::environment;
use crate::cli::settings::Alerts;
use crate::cli::settings::value::{CommandLine, Notify};
use crate::model::text::escape;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Notifies on the terminal as configured; an error is one line.
pub(super) fn notify(how: &Alerts, text: &str) -> Result<(), String> {
    let mut out = String::new();
    if how.bell {
        out.push('\x07');
    }
    // A process name must not be able to end the sequence or add parameters to it.
    let plain: String = escape(text).chars().map(|c| if c == ';' { ',' } else { c }).collect();
    match how.notify {
        Notify::Osc9 => out.push_str(&format!("\x1b]9;{plain}\x07")),
        Notify::Osc777 => out.push_str(&format!("\x1b]777;notify;sockscope;{plain}\x07")),
        Notify::Off => {}
    }
    if !out.is_empty() {
        let mut screen = std::io::stdout();
        let written = screen.write_all(out.as_bytes()).and_then(|()| screen.flush());
        written.map_err(|e| format!("alert notification failed: {e}"))?;
    }
    Ok(())
}

/// Starts the configured command, with the alert on its standard input; an error is one line.
pub(super) fn run_command(command: &CommandLine, json: &str) -> Result<(), String> {
    match command.0.split_first() {
        Some((program, args)) => run(program, args, json),
        None => Ok(()),
    }
}

/// Time after which a command is killed.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of commands at the same time; further alerts run none.
const MAX_RUNNING: usize = 4;
/// Number of commands running now.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// A permit to run one command, given back when dropped.
struct Permit;

impl Permit {
    fn acquire() -> Option<Self> {
        let next = |n: usize| (n < MAX_RUNNING).then_some(n + 1);
        RUNNING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).ok().map(|_| Self)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts the command and does not wait for it. Its output is discarded, since the dashboard has the terminal.
fn run(program: &str, args: &[String], json: &str) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("alert command {program}: {e}");
    let Some(permit) = Permit::acquire() else {
        return Err(format!("alert command {program}: not started, {MAX_RUNNING} are still running"));
    };
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    for (name, value) in environment::account_variables() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child = command.spawn().map_err(failed)?;
    let json = format!("{json}\n");
    // A command that does not read its input blocks only this thread: when it exits or is killed the pipe breaks.
    let mut input = child.stdin.take();
    let thread = |name: &str| std::thread::Builder::new().name(name.into());
    let write = move || {
        if let Some(pipe) = &mut input {
            // The command may exit without reading everything.
            let _ = pipe.write_all(json.as_bytes());
        }
    };
    thread("alert-input").spawn(write).map_err(failed)?;
    let wait = move || {
        let _permit = permit;
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                let _ = child.kill();
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // Reaped, so that it does not stay a zombie.
        let _ = child.wait();
    };
    thread("alert-wait").spawn(wait).map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The permits are shared by all tests.
    static SERIAL: std::sync::Mutex<()> = std::sync::Mutex::new(());

    #[test]
    fn command_gets_the_alert_without_a_shell() {
        let _serial = SERIAL.lock();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("got $(id) ; x");
        let command = CommandLine(vec!["tee".into(), file.display().to_string()]);
        run_command(&command, "{\"limit\":\"fds\"}").unwrap();
        let deadline = Instant::now() + Duration::new(60, 0);
        while std::fs::read_to_string(&file).unwrap_or_default() != "{\"limit\":\"fds\"}\n" {
            assert!(Instant::now() < deadline, "no input");
            std::thread::sleep(Duration::from_millis(10));
        }
        let none = CommandLine(vec!["/no/such/program".into()]);
        assert!(run_command(&none, "{}").unwrap_err().contains("/no/such/program"));
    }

    #[test]
    fn hanging_commands_do_not_block_and_are_limited() {
        let _serial = SERIAL.lock();
        let command = CommandLine(vec!["sleep".into(), "5".into()]);
        // More than a pipe buffer holds, so that writing blocks.
        let json = "x".repeat(1 << 20);
        let results: Vec<_> = (0..=MAX_RUNNING).map(|_| run_command(&command, &json)).collect();
        // None was waited for, since so many are still running.
        let last = results.last().and_then(|r| r.as_ref().err());
        assert!(last.is_some_and(|e| e.contains("still running")), "{results:?}");
        // Permits are given back when they exit.
        let deadline = Instant::now() + Duration::new(60, 0);
        while RUNNING.load(Ordering::SeqCst) > 0 {
            assert!(Instant::now() < deadline, "permits not given back");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
