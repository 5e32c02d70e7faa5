//! An agent on another host, started by the system's `ssh`.
//!
//! Names reach `ssh` as arguments of their own, never as part of a shell command; keys, jump hosts, shared connections and
//! passwords are those of the user's configuration.

use super::copy::{AgentBinary, CopyError, SCRIPT};
use super::frame_source::FrameSource;
use super::hello::Hello;
use super::methods::Methods;
use crate::collect::source::Source;
use crate::frame::MAX_MEMORY;
use crate::model::text::escape;
use crate::model::{Sample, Wants};
use std::io::{self, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Most connections that are being made at the same time.
const CONNECTING: usize = 16;
/// Stack of each of the two threads of a host, bytes: with the default of 2 MB, hundreds of hosts exceed a limited address space.
const STACK: usize = 512 << 10;
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
    /// Methods by which the agent reads.
    pub methods: Methods,
    /// Limit of the memory of a sample, bytes.
    pub memory: u64,
    /// Program to copy to a host that has none.
    pub copy: Option<AgentBinary>,
}

/// Least memory of the samples of a host, however many there are, bytes: a quiet host takes less.
const MIN_SHARE: u64 = 1 << 20;
/// Samples of a host that are held at the same time: of the decoder, of the two polls that are compared, and the one being read.
const HELD: u64 = 4;

/// Limit of the memory of a sample, bytes, of each of these hosts: the samples of all take half of the memory of this machine, or
/// of what a limit leaves to this process (`RLIMIT_AS`).
pub fn share_of_memory(hosts: usize) -> u64 {
    let info = rustix::system::sysinfo();
    let limit = rustix::process::getrlimit(rustix::process::Resource::As).current.unwrap_or(u64::MAX);
    let total = u128::from(info.totalram) * u128::from(info.mem_unit);
    let total = u64::try_from(total).unwrap_or(u64::MAX);
    share(total.min(limit) / 2, hosts)
}

fn share(all: u64, hosts: usize) -> u64 {
    (all / (hosts.max(1) as u64) / HELD).clamp(MIN_SHARE, MAX_MEMORY)
}

impl SshCommand {
    /// The arguments for a command on a host.
    fn args(&self, host: &str, command: &[String]) -> Vec<String> {
        let mut out: Vec<String> = self.program.iter().skip(1).cloned().collect();
        out.push("-T".to_owned());
        if self.batch {
            out.extend(["-o".to_owned(), "BatchMode=yes".to_owned()]);
        }
        out.extend(["--".to_owned(), host.to_owned()]);
        out.extend_from_slice(command);
        out
    }

    fn spawn(&self, host: &str, command: &[String]) -> io::Result<Child> {
        let program = self.program.first().map_or("ssh", String::as_str);
        Command::new(program)
            .args(self.args(host, command))
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

    const fn refused(why: String) -> Self {
        Self { why, refused: true }
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

    /// Keeps a command and ends the previous one; one that comes too late is ended.
    fn keep(&self, child: Child) {
        let mut slot = self.slot();
        if let Some(mut before) = slot.child.replace(child) {
            let _ = before.kill();
            let _ = before.wait();
        }
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
    hello: Arc<OnceLock<Hello>>,
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
        let hello = Arc::new(OnceLock::new());
        let (command, host, kept) = (command.clone(), host.to_owned(), Arc::clone(&running));
        let greeted = Arc::clone(&hello);
        thread::Builder::new().name("host".to_owned()).stack_size(STACK).spawn(move || {
            let read = read_host(&command, &host, (&kept, &greeted), &inbox, &outbox);
            if let Err(end) = read {
                let _ = outbox.send(Err(end));
            }
        })?;
        Ok(Self { requests, answers, hello, running, asked: false })
    }

    /// Hello of the agent, once it is connected.
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.get()
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
    (running, hello): (&Running, &OnceLock<Hello>),
    requests: &Receiver<Wants>,
    answers: &Sender<Result<Sample, RemoteEnd>>,
) -> Result<(), RemoteEnd> {
    let pass = GATE.enter();
    let connected = match connect(command, host, running, None) {
        Err(Failure { is_missing: true, .. }) if command.copy.is_some() => {
            connect(command, host, running, command.copy.as_ref())
        }
        other => other,
    };
    let Connected { source, errors } = connected.map_err(|f| f.end)?;
    drop(pass);
    let _ = hello.set(source.hello().clone());
    let mut source = source.with_methods(command.methods.clone()).within(command.memory);
    for wants in requests {
        let sample = source.sample(&wants).map_err(|e| ended(&e.to_string(), running, &errors).end)?;
        if answers.send(Ok(sample)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Agent that answered.
struct Connected {
    source: FrameSource<ChildStdout, ChildStdin>,
    errors: Arc<Errors>,
}

/// Agent that did not.
struct Failure {
    end: RemoteEnd,
    /// The host has no program that is an agent for this one.
    is_missing: bool,
}

impl From<RemoteEnd> for Failure {
    fn from(end: RemoteEnd) -> Self {
        Self { end, is_missing: false }
    }
}

/// Starts the agent of a host, or a copy of this one.
fn connect(
    command: &SshCommand,
    host: &str,
    running: &Running,
    copy: Option<&AgentBinary>,
) -> Result<Connected, Failure> {
    let script = ["sh", "-c", SCRIPT].map(str::to_owned);
    let words = if copy.is_some() { &script[..] } else { &command.agent };
    let program = command.program.first().map_or("ssh", String::as_str);
    let mut child =
        command.spawn(host, words).map_err(|e| RemoteEnd::lost(format!("start {program}: {e}")))?;
    let (input, output, errors) = (child.stdout.take(), child.stdin.take(), child.stderr.take());
    running.keep(child);
    let (Some(mut input), Some(mut output), Some(errors)) = (input, output, errors) else {
        return Err(RemoteEnd::lost(format!("start {program}: no pipes")).into());
    };
    let errors = keep_errors(errors, host);
    if let Some(copy) = copy {
        copy.send(&mut input, &mut output).map_err(|e| match e {
            CopyError::Ended => ended(&e.to_string(), running, &errors),
            CopyError::Refused(_) => {
                let line = running.status().map_or_else(String::new, |_| errors.last_line());
                let more = if line.is_empty() { line } else { format!(": {line}") };
                RemoteEnd::refused(format!("--copy-agent: {e}{more}")).into()
            }
            e => RemoteEnd::refused(format!("--copy-agent: {e}")).into(),
        })?;
    }
    let ours = Hello::ours();
    let greeted = FrameSource::greet(input, output, &ours);
    let greeted = greeted.map_err(|e| ended(&e.to_string(), running, &errors))?;
    // One of another version, in whose place a copy of this one would do.
    let agreed = greeted
        .agree(&ours)
        .map_err(|e| Failure { end: RemoteEnd::refused(e.to_string()), is_missing: true });
    Ok(Connected { source: agreed?, errors })
}

/// Failure of a command whose output ended with this error.
fn ended(error: &str, running: &Running, errors: &Errors) -> Failure {
    let status = running.status();
    let line = errors.last_line();
    let is_missing = status.is_some_and(|s| is_missing(s, &line));
    let end =
        RemoteEnd { refused: is_refusal(status, &line), why: explain(error, status, &line, &errors.host) };
    Failure { end, is_missing }
}

/// True if the host has no program, or one without an agent.
fn is_missing(status: ExitStatus, line: &str) -> bool {
    match status.code() {
        Some(NOT_FOUND) => true,
        Some(2) => line.contains("agent") && line.contains("unrecognized"),
        _ => false,
    }
}

/// Standard error of a command, of which the last bytes are kept.
#[derive(Debug, Default)]
struct Errors {
    /// Name of the host, escaped.
    host: String,
    kept: Mutex<Vec<u8>>,
    ended: AtomicBool,
}

/// Reads standard error in a thread.
fn keep_errors(mut errors: impl Read + Send + 'static, host: &str) -> Arc<Errors> {
    let all = Arc::new(Errors { host: escape(host).into_owned(), ..Errors::default() });
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
    let _ = thread::Builder::new().name("host-errors".to_owned()).stack_size(STACK).spawn(read);
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
fn is_refusal(status: Option<ExitStatus>, line: &str) -> bool {
    match status.and_then(|s| s.code()) {
        Some(NOT_FOUND | 2) => true,
        Some(SSH_FAILED) => ["Permission denied", "verification failed", "Too many authentication"]
            .iter()
            .any(|w| line.contains(w)),
        _ => false,
    }
}

/// One line: what failed, the last line of standard error, what to do.
fn explain(error: &str, status: Option<ExitStatus>, line: &str, host: &str) -> String {
    match status.and_then(|s| s.code()) {
        Some(NOT_FOUND) => {
            "no sockscope there: install it in a directory of the PATH that ssh gives to commands, or copy this one: --copy-agent"
                .to_owned()
        }
        Some(SSH_FAILED) if !line.is_empty() => {
            if line.starts_with("ssh:") {
                line.to_owned()
            } else {
                format!("ssh: {line}")
            }
        }
        Some(SSH_FAILED) => format!("ssh failed; try: ssh {host} true"),
        Some(2) if status.is_some_and(|s| is_missing(s, line)) => {
            "the sockscope there has no agent: install the version of this one, or copy it: --copy-agent".to_owned()
        }
        _ if !line.is_empty() => format!("{error}: {line}"),
        _ => error.to_owned(),
    }
}

#[cfg(test)]
mod tests;
