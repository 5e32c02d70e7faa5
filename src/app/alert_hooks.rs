//! What is done about an alert, as the configuration file asks: the bell, a notification, a command.

use crate::cli::settings::Alerts;
use crate::cli::settings::value::Notify;
use crate::model::text::escape;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Does it; an error in a line.
pub(super) fn raise(how: &Alerts, json: &str, text: &str) -> Result<(), String> {
    let mut out = String::new();
    if how.bell {
        out.push('\x07');
    }
    // What ends the sequence, or means something in it, cannot come from a name.
    let plain: String = escape(text).chars().map(|c| if c == ';' { ',' } else { c }).collect();
    match how.notify {
        Notify::Osc9 => out.push_str(&format!("\x1b]9;{plain}\x07")),
        Notify::Osc777 => out.push_str(&format!("\x1b]777;notify;sockscope;{plain}\x07")),
        Notify::Off => {}
    }
    if !out.is_empty() {
        let mut screen = std::io::stdout();
        let told = screen.write_all(out.as_bytes()).and_then(|()| screen.flush());
        told.map_err(|e| format!("alert not told: {e}"))?;
    }
    match how.command.0.split_first() {
        Some((program, args)) => run(program, args, json),
        None => Ok(()),
    }
}

/// How long a command may run.
const PATIENCE: Duration = Duration::from_secs(30);
/// Commands that may run beside each other; an alert beyond that is not told by one.
const AT_ONCE: usize = 4;
/// Commands that run now.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Counts one command for as long as it lives.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let room = |n: usize| (n < AT_ONCE).then_some(n + 1);
        RUNNING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, room).ok().map(|_| Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts the command and does not wait for it. Its output goes nowhere: the screen is taken.
fn run(program: &str, args: &[String], json: &str) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("alert command {program}: {e}");
    let Some(place) = Place::take() else {
        return Err(format!("alert command {program}: {AT_ONCE} of them still run; this alert was not told"));
    };
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let json = format!("{json}\n");
    // One that does not read must hold up nobody: its end breaks the pipe, and it is ended when its time is over.
    let mut input = child.stdin.take();
    let thread = |name: &str| std::thread::Builder::new().name(name.into());
    let write = move || {
        if let Some(pipe) = &mut input {
            // It may end without reading; what it then misses it did not want.
            let _ = pipe.write_all(json.as_bytes());
        }
    };
    thread("alert-input").spawn(write).map_err(failed)?;
    let wait = move || {
        let _place = place;
        let until = Instant::now() + PATIENCE;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() >= until {
                let _ = child.kill();
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // What has ended must not stay a zombie.
        let _ = child.wait();
    };
    thread("alert-end").spawn(wait).map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::settings::value::CommandLine;

    /// The number of commands is one for all tests.
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

    #[test]
    fn a_command_gets_the_alert_and_no_shell_reads_it() {
        let _one = ONE.lock();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("got $(id) ; x");
        let how = Alerts {
            command: CommandLine(vec!["tee".into(), file.display().to_string()]),
            ..Alerts::default()
        };
        raise(&how, "{\"limit\":\"fds\"}", "text").unwrap();
        let until = Instant::now() + Duration::new(60, 0);
        while std::fs::read_to_string(&file).unwrap_or_default() != "{\"limit\":\"fds\"}\n" {
            assert!(Instant::now() < until, "nothing came");
            std::thread::sleep(Duration::from_millis(10));
        }
        let none = Alerts { command: CommandLine(vec!["/no/such/program".into()]), ..Alerts::default() };
        assert!(raise(&none, "{}", "").unwrap_err().contains("/no/such/program"));
    }

    #[test]
    fn commands_that_neither_read_nor_end_hold_up_nobody_and_are_few() {
        let _one = ONE.lock();
        let how = Alerts { command: CommandLine(vec!["sleep".into(), "5".into()]), ..Alerts::default() };
        // More than a pipe holds, so that writing it blocks.
        let json = "x".repeat(1 << 20);
        let told: Vec<_> = (0..=AT_ONCE).map(|_| raise(&how, &json, "")).collect();
        // It waited for none of them: so many still run.
        assert!(told.last().is_some_and(|r| r.as_ref().is_err_and(|e| e.contains("still run"))), "{told:?}");
        // Once they have ended there is room again.
        let until = Instant::now() + Duration::new(60, 0);
        while RUNNING.load(Ordering::SeqCst) > 0 {
            assert!(Instant::now() < until, "they are still counted");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
