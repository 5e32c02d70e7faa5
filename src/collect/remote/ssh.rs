//! An agent on another host, started by the system's `ssh`.
//!
//! Names reach `ssh` as arguments of their own, never as part of a shell command; keys, jump hosts, shared connections and
//! passwords are those of the user's configuration.

use super::frame_source::FrameSource;
use super::hello::Hello;
use crate::collect::source::Source;
use crate::model::text::escape;
use crate::model::{Sample, Wants};
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Most connections that are being made at the same time.
const CONNECTING: usize = 16;
/// Bytes of standard error that are kept: the last ones.
const STDERR_KEPT: usize = 4 << 10;
/// Time in which an ended command reports its exit status.
const REAP: Duration = Duration::from_secs(2);
/// Exit status of `ssh` for errors of its own (ssh(1)).
const SSH_FAILED: i32 = 255;
/// Exit status of a shell for a command that does not exist (POSIX, Shell Command Language, 2.8.2).
const NOT_FOUND: i32 = 127;
/// Longest name of a host (RFC 1035, with a user before it).
const MAX_NAME: usize = 320;

/// Refuses what is no name of a host: an option of `ssh`, blanks, control characters.
pub fn check_host(name: &str) -> Result<(), String> {
    let why = if name.is_empty() {
        "is empty"
    } else if name.starts_with('-') {
        "begins with a hyphen, as an option of ssh"
    } else if name.len() > MAX_NAME {
        "is too long"
    } else if name
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || escape(c.encode_utf8(&mut [0; 4])) != c.to_string())
    {
        "has a blank or a control character"
    } else {
        return Ok(());
    };
    Err(format!("invalid host {:?}: it {why}", escape(name)))
}

/// Command that starts an agent.
#[derive(Clone, Debug)]
pub struct SshCommand {
    /// Program with its first arguments: `ssh`.
    pub program: Vec<String>,
    /// It may not ask for a password or a confirmation.
    pub batch: bool,
    /// Command on the host.
    pub agent: Vec<String>,
}

impl SshCommand {
    /// The arguments for a host.
    fn args(&self, host: &str) -> Vec<String> {
        let mut out: Vec<String> = self.program.iter().skip(1).cloned().collect();
        out.push("-T".to_owned());
        if self.batch {
            out.extend(["-o".to_owned(), "BatchMode=yes".to_owned()]);
        }
        out.extend(["--".to_owned(), host.to_owned()]);
        out.extend(self.agent.iter().cloned());
        out
    }

    fn spawn(&self, host: &str) -> io::Result<Child> {
        let program = self.program.first().map_or("ssh", String::as_str);
        Command::new(program)
            .args(self.args(host))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }
}

/// Reason why a host has no more samples, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct RemoteEnd {
    /// Reason.
    pub why: String,
    /// True if the host is there but serves none: no permission, no agent, an agent of another version.
    pub refused: bool,
}

impl RemoteEnd {
    const fn lost(why: String) -> Self {
        Self { why, refused: false }
    }
}

/// A bounded number of connections that are being made.
#[derive(Debug, Default)]
struct Gate {
    inside: Mutex<usize>,
    left: Condvar,
}

static GATE: Gate = Gate { inside: Mutex::new(0), left: Condvar::new() };

impl Gate {
    fn enter(&'static self) -> Pass {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |n: &mut usize| *n >= CONNECTING;
        let mut inside = self.left.wait_while(inside, full).unwrap_or_else(PoisonError::into_inner);
        *inside += 1;
        Pass(self)
    }
}

struct Pass(&'static Gate);

impl Drop for Pass {
    fn drop(&mut self) {
        *self.0.inside.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.left.notify_one();
    }
}

/// The command that is connected to a host: it is ended when this is dropped.
#[derive(Debug, Default)]
struct Running(Mutex<Slot>);

#[derive(Debug, Default)]
struct Slot {
    child: Option<Child>,
    ended: bool,
}

impl Running {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a command; one that comes too late is ended.
    fn keep(&self, child: Child) {
        let mut slot = self.slot();
        slot.child = Some(child);
        if slot.ended {
            drop(slot);
            self.end();
        }
    }

    /// Ends the command: the agent ends with its standard input.
    fn end(&self) {
        let mut slot = self.slot();
        slot.ended = true;
        if let Some(mut child) = slot.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Exit status of a command whose output ended.
    fn status(&self) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < REAP {
            if let Some(child) = self.slot().child.as_mut()
                && let Ok(Some(status)) = child.try_wait()
            {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

/// Samples of one host, read by a thread of its own, so that each wait for one has a deadline.
#[derive(Debug)]
pub struct Remote {
    requests: Sender<Wants>,
    answers: Receiver<Result<Sample, RemoteEnd>>,
    running: Arc<Running>,
    /// A request was not answered yet.
    asked: bool,
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.running.end();
    }
}

impl Remote {
    /// Connects to a host in a thread. Errors are the first answer.
    pub fn start(command: &SshCommand, host: &str) -> io::Result<Self> {
        let (requests, inbox) = channel::<Wants>();
        let (outbox, answers) = channel();
        let running = Arc::new(Running::default());
        let (command, host, kept) = (command.clone(), host.to_owned(), Arc::clone(&running));
        thread::Builder::new().name("host".to_owned()).spawn(move || {
            let read = read_host(&command, &host, &kept, &inbox, &outbox);
            if let Err(end) = read {
                let _ = outbox.send(Err(end));
            }
        })?;
        Ok(Self { requests, answers, running, asked: false })
    }

    /// Asks for a sample, unless one is being waited for.
    pub fn ask(&mut self, wants: &Wants) {
        if !self.asked {
            self.asked = true;
            let _ = self.requests.send(wants.clone());
        }
    }

    /// The sample that was asked for; `None` if it does not arrive until then.
    pub fn answer(&mut self, deadline: Instant) -> Option<Result<Sample, RemoteEnd>> {
        match self.answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(answer) => {
                self.asked = false;
                Some(answer)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                Some(Err(RemoteEnd::lost("the connection ended".to_owned())))
            }
        }
    }
}

/// Serves requests until the stream or the requests end.
fn read_host(
    command: &SshCommand,
    host: &str,
    running: &Running,
    requests: &Receiver<Wants>,
    answers: &Sender<Result<Sample, RemoteEnd>>,
) -> Result<(), RemoteEnd> {
    let pass = GATE.enter();
    let mut child = command.spawn(host).map_err(|e| {
        RemoteEnd::lost(format!("start {}: {e}", command.program.first().map_or("ssh", String::as_str)))
    })?;
    let (input, output, errors) = (child.stdout.take(), child.stdin.take(), child.stderr.take());
    running.keep(child);
    let (Some(input), Some(output), Some(errors)) = (input, output, errors) else { return Ok(()) };
    let errors = keep_errors(errors);
    let reason = |e: String| {
        let (status, line) = (running.status(), errors.last_line());
        RemoteEnd { refused: is_refusal(&e, status, &line), why: explain(&e, status, &line) }
    };
    let mut source =
        FrameSource::connect(input, output, &Hello::ours()).map_err(|e| reason(e.to_string()))?;
    drop(pass);
    for wants in requests {
        let sample = source.sample(&wants).map_err(|e| reason(e.to_string()))?;
        if answers.send(Ok(sample)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Standard error of a command, of which the last bytes are kept.
#[derive(Debug, Default)]
struct Errors {
    kept: Mutex<Vec<u8>>,
    ended: AtomicBool,
}

/// Reads standard error in a thread.
fn keep_errors(mut errors: impl Read + Send + 'static) -> Arc<Errors> {
    let all = Arc::new(Errors::default());
    let out = Arc::clone(&all);
    let read = move || {
        let mut chunk = [0; 1024];
        while let Ok(n) = errors.read(&mut chunk) {
            if n == 0 {
                break;
            }
            let mut kept = all.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(&chunk[..n]);
            let over = kept.len().saturating_sub(STDERR_KEPT);
            kept.drain(..over);
        }
        all.ended.store(true, Ordering::Release);
    };
    let _ = thread::Builder::new().name("host-errors".to_owned()).spawn(read);
    out
}

impl Errors {
    /// Last line with text, escaped, of a command that has exited. A shared connection of `ssh` keeps the output open for longer
    /// than the command runs, so that its end is not waited for without a bound.
    fn last_line(&self) -> String {
        let start = Instant::now();
        while !self.ended.load(Ordering::Acquire) && start.elapsed() < REAP {
            thread::sleep(Duration::from_millis(5));
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept);
        let line = text.lines().map(str::trim).rfind(|l| !l.is_empty()).unwrap_or("");
        escape(&line.chars().take(200).collect::<String>()).into_owned()
    }
}

/// True if the host can be reached and does not serve.
fn is_refusal(error: &str, status: Option<ExitStatus>, line: &str) -> bool {
    match status.and_then(|s| s.code()) {
        Some(NOT_FOUND | 2) => true,
        Some(SSH_FAILED) => ["Permission denied", "verification failed", "Too many authentication"]
            .iter()
            .any(|w| line.contains(w)),
        // Of an agent of another version, see `StreamError`.
        _ => error.contains(" there speaks ") || error.contains(" there writes "),
    }
}

/// One line: what failed, the last line of standard error, what to do.
fn explain(error: &str, status: Option<ExitStatus>, line: &str) -> String {
    match status.and_then(|s| s.code()) {
        Some(NOT_FOUND) => {
            "no sockscope there: install it in a directory of the PATH that ssh gives to commands".to_owned()
        }
        Some(SSH_FAILED) if !line.is_empty() => {
            if line.starts_with("ssh:") {
                line.to_owned()
            } else {
                format!("ssh: {line}")
            }
        }
        Some(SSH_FAILED) => "ssh failed; try: ssh HOST true".to_owned(),
        Some(2) if line.contains("agent") && line.contains("unrecognized") => {
            "the sockscope there has no agent: install the version of this one".to_owned()
        }
        _ if !line.is_empty() => format!("{error}: {line}"),
        _ => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(script: &str) -> SshCommand {
        let program = ["sh", "-c", script, "test-ssh"].map(str::to_owned).to_vec();
        SshCommand { program, batch: true, agent: vec!["sockscope".into(), "agent".into(), "--stdio".into()] }
    }

    /// Answer to the first request of a host that this script stands for.
    fn answer(script: &str) -> String {
        let mut remote = Remote::start(&command(script), "web-1").unwrap();
        remote.ask(&Wants::default());
        let answer = remote.answer(Instant::now() + Duration::from_secs(60));
        answer.expect("an answer").map(|_| ()).unwrap_err().why
    }

    #[test]
    fn names_that_ssh_would_take_for_something_else_are_refused() {
        for name in ["web-1", "root@10.0.0.4", "fe80::1%eth0", "ssh://root@web-1:22", "웹"] {
            assert_eq!(check_host(name), Ok(()), "{name}");
        }
        for name in ["", "-oProxyCommand=sh", "a b", "a\nb", "a\u{1b}[2J", "a\u{202e}b", &"x".repeat(400)] {
            let e = check_host(name).unwrap_err();
            assert!(e.starts_with("invalid host") && !e.contains('\x1b'), "{e}");
        }
    }

    #[test]
    fn name_is_an_argument_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("args");
        let script = format!("printf '%s\\n' \"$@\" > {}; exit 1", file.display());
        let mut remote = Remote::start(&command(&script), "$(id);web-1").unwrap();
        remote.ask(&Wants::default());
        assert!(remote.answer(Instant::now() + Duration::from_secs(60)).unwrap().is_err());
        let args = std::fs::read_to_string(file).unwrap();
        assert_eq!(args, "-T\n-o\nBatchMode=yes\n--\n$(id);web-1\nsockscope\nagent\n--stdio\n");
    }

    #[test]
    fn reason_of_a_failure_is_that_of_ssh() {
        let refused = answer("echo 'ssh: connect to host web-1 port 22: \x1b[31mrefused' >&2; exit 255");
        assert!(refused.starts_with("ssh: connect") && refused.contains("refused"), "{refused}");
        assert!(!refused.contains('\x1b'), "{refused}");
        assert!(answer("exit 127").starts_with("no sockscope there"));
        assert!(answer("echo hello there; exit 0").contains("not the stream of an agent: \"hello there\""));
        assert!(answer("exit 0").contains("the agent ended"));
        let mut none = command("exit 0");
        none.program = vec!["/no/such/ssh".into()];
        let mut remote = Remote::start(&none, "web-1").unwrap();
        let end = remote.answer(Instant::now() + Duration::from_secs(60)).unwrap().unwrap_err();
        assert!(end.why.starts_with("start /no/such/ssh: "), "{end}");
    }

    #[test]
    fn host_that_does_not_answer_is_waited_for_no_longer_and_its_command_ends() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", file.display());
        let mut remote = Remote::start(&command(&script), "web-1").unwrap();
        remote.ask(&Wants::default());
        while !file.exists() {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(remote.answer(Instant::now()).is_none());
        let pid = std::fs::read_to_string(file).unwrap();
        drop(remote);
        assert!(!std::path::Path::new(&format!("/proc/{}", pid.trim())).exists(), "the command is reaped");
    }
}
