//! What is done about an alert, as the configuration file asks: the bell, a notification, a command.

use crate::cli::config::Alerts;
use crate::model::text::escape;
use std::io::Write;
use std::process::{Command, Stdio};

/// Does it; an error in a line.
pub(super) fn raise(how: &Alerts, json: &str, text: &str) -> Result<(), String> {
    let mut out = String::new();
    if how.bell {
        out.push('\x07');
    }
    // What ends the sequence, or means something in it, cannot come from a name.
    let plain: String = escape(text).chars().map(|c| if c == ';' { ',' } else { c }).collect();
    match how.notify.as_deref() {
        Some("osc9") => out.push_str(&format!("\x1b]9;{plain}\x07")),
        Some("osc777") => out.push_str(&format!("\x1b]777;notify;sockscope;{plain}\x07")),
        _ => {}
    }
    if !out.is_empty() {
        let mut screen = std::io::stdout();
        let told = screen.write_all(out.as_bytes()).and_then(|()| screen.flush());
        told.map_err(|e| format!("alert not told: {e}"))?;
    }
    match how.command.split_first() {
        Some((program, args)) => run(program, args, json),
        None => Ok(()),
    }
}

/// Starts the command and does not wait for it. Its output goes nowhere: the screen is taken.
fn run(program: &str, args: &[String], json: &str) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("alert command {program}: {e}");
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let json = format!("{json}\n");
    // One that does not read must not hold up the screen, and one that ended must not stay a zombie.
    std::thread::Builder::new()
        .name("alert".into())
        .spawn(move || {
            let mut child = child;
            if let Some(mut input) = child.stdin.take() {
                let _ = input.write_all(json.as_bytes());
            }
            let _ = child.wait();
        })
        .map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_command_gets_the_alert_and_no_shell_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("got $(id) ; x");
        let how = Alerts { command: vec!["tee".into(), file.display().to_string()], ..Alerts::default() };
        raise(&how, "{\"limit\":\"fds\"}", "text").unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while std::fs::read_to_string(&file).unwrap_or_default() != "{\"limit\":\"fds\"}\n" {
            assert!(Instant::now() < until, "nothing came");
            std::thread::sleep(Duration::from_millis(10));
        }
        let none = Alerts { command: vec!["/no/such/program".into()], ..Alerts::default() };
        assert!(raise(&none, "{}", "").unwrap_err().contains("/no/such/program"));
    }
}
