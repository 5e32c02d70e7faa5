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
    #[allow(clippy::useless_conversion, reason = "the type depends on the target")]
    let total = u64::try_from(info.totalram).unwrap_or(u64::MAX).saturating_mul(info.mem_unit.into());
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
#[error("{0}")]
pub struct RemoteEnd(pub String);

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
        thread::Builder::new().name("host".to_owned()).spawn(move || {
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
            Err(RecvTimeoutError::Disconnected) => Some(Err(RemoteEnd("the connection ended".to_owned()))),
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
    /// The host has no program that is an agent.
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
    let mut child = command.spawn(host, words).map_err(|e| RemoteEnd(format!("start {program}: {e}")))?;
    let (input, output, errors) = (child.stdout.take(), child.stdin.take(), child.stderr.take());
    running.keep(child);
    let (Some(mut input), Some(mut output), Some(errors)) = (input, output, errors) else {
        return Err(RemoteEnd(format!("start {program}: no pipes")).into());
    };
    let errors = keep_errors(errors);
    if let Some(copy) = copy {
        copy.send(&mut input, &mut output).map_err(|e| match e {
            CopyError::Ended => ended(&e.to_string(), running, &errors),
            CopyError::Refused(_) => {
                let line = running.status().map_or_else(String::new, |_| errors.last_line());
                let more = if line.is_empty() { line } else { format!(": {line}") };
                RemoteEnd(format!("--copy-agent: {e}{more}")).into()
            }
            e => RemoteEnd(format!("--copy-agent: {e}")).into(),
        })?;
    }
    let connected = FrameSource::connect(input, output, &Hello::ours());
    let source = connected.map_err(|e| ended(&e.to_string(), running, &errors))?;
    Ok(Connected { source, errors })
}

/// Failure of a command whose output ended with this error.
fn ended(error: &str, running: &Running, errors: &Errors) -> Failure {
    let status = running.status();
    let line = errors.last_line();
    let is_missing = status.is_some_and(|s| is_missing(s, &line));
    Failure { end: RemoteEnd(explain(error, status, &line)), is_missing }
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

/// One line: what failed, the last line of standard error, what to do.
fn explain(error: &str, status: Option<ExitStatus>, line: &str) -> String {
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
        Some(SSH_FAILED) => "ssh failed; try: ssh HOST true".to_owned(),
        Some(2) if status.is_some_and(|s| is_missing(s, line)) => {
            "the sockscope there has no agent: install the version of this one, or copy it: --copy-agent".to_owned()
        }
        _ if !line.is_empty() => format!("{error}: {line}"),
        _ => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::copy::script_binary;
    use super::*;

    fn command(script: &str) -> SshCommand {
        let program = ["sh", "-c", script, "test-ssh"].map(str::to_owned).to_vec();
        let agent = vec!["sockscope".into(), "agent".into(), "--stdio".into()];
        SshCommand {
            program,
            batch: true,
            agent,
            methods: Methods::default(),
            memory: MAX_MEMORY,
            copy: None,
        }
    }

    #[test]
    fn memory_is_divided_among_the_hosts() {
        for (all, hosts, want) in [
            (8 << 30, 1, 2 << 30),
            (8 << 30, 4, 512 << 20),
            (8 << 30, 1000, (8 << 30) / 4000),
            (64 << 30, 1, MAX_MEMORY),
            (1 << 20, 50, MIN_SHARE),
            (8 << 30, 0, 2 << 30),
        ] {
            assert_eq!(share(all, hosts), want, "{hosts}");
        }
    }

    #[test]
    fn samples_above_the_share_are_refused_whichever_size_announces_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("stream");
        let at = crate::model::Stamp { boot_ns: 1, unix_ns: 1 };
        let mut sample = crate::testing::many(3_000).sample;
        crate::frame::canonical(&mut sample);
        let rows = crate::frame::Encoder::new().frame(&sample, None).unwrap();
        let zeros = crate::frame::seal(crate::frame::FrameKind::Key, at, b"", &vec![0; 8 << 20]).unwrap();
        // Its length alone is too much: nothing is read of it.
        let noise: Vec<u8> =
            (0..1_u32 << 19).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let long = crate::frame::seal(crate::frame::FrameKind::Key, at, b"", &noise).unwrap();
        for (name, frame) in [("rows", rows.clone()), ("zeros", zeros), ("long", long)] {
            std::fs::write(&file, [Hello::ours().to_bytes().unwrap(), frame].concat()).unwrap();
            let mut command = command(&format!("cat {}", file.display()));
            command.memory = MIN_SHARE;
            let mut remotes: Vec<Remote> =
                (0..4).map(|_| Remote::start(&command, "web-1").unwrap()).collect();
            for remote in &mut remotes {
                remote.ask(&Wants::default());
                let e =
                    remote.answer(Instant::now() + Duration::from_secs(60)).unwrap().map(|_| ()).unwrap_err();
                assert!(e.0.contains("share of the memory") && e.0.contains("1 MiB"), "{name}: {e}");
            }
        }
        std::fs::write(&file, [Hello::ours().to_bytes().unwrap(), rows].concat()).unwrap();
        let mut roomy = command(&format!("cat {}", file.display()));
        roomy.memory = 64 << 20;
        let mut remote = Remote::start(&roomy, "web-1").unwrap();
        remote.ask(&Wants::default());
        let answer = remote.answer(Instant::now() + Duration::from_secs(60)).unwrap();
        assert!(answer.is_ok_and(|s| s.sockets.len() == sample.sockets.len()));
        assert!(remote.hello().is_some_and(|h| h.version == env!("CARGO_PKG_VERSION")));
    }

    /// Command that runs what it is given in a shell, as a host does, with this home; other programs are not found.
    fn host_with_home(home: &std::path::Path, binary: AgentBinary) -> SshCommand {
        let script = format!(
            "while [ \"$1\" != -- ]; do shift; done; shift 2; unset XDG_CACHE_HOME; HOME={} exec sh -c \"$*\"",
            home.display()
        );
        SshCommand { agent: vec!["/no/such/sockscope".into()], copy: Some(binary), ..command(&script) }
    }

    /// Reason why the first request has no answer.
    fn reason(command: &SshCommand) -> String {
        let mut remote = Remote::start(command, "web-1").unwrap();
        remote.ask(&Wants::default());
        remote.answer(Instant::now() + Duration::from_secs(60)).unwrap().map(|_| ()).unwrap_err().0
    }

    #[test]
    fn program_is_copied_to_a_host_without_one_and_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let (home, stream, log) =
            (dir.path().join("home"), dir.path().join("stream"), dir.path().join("log"));
        std::fs::create_dir(&home).unwrap();
        let frame = crate::frame::Encoder::new().frame(&crate::testing::many(3).sample, None).unwrap();
        std::fs::write(&stream, [Hello::ours().to_bytes().unwrap(), frame].concat()).unwrap();
        let agent = |version: u32| {
            let (stream, log) = (stream.display(), log.display());
            script_binary(&format!(
                "#!/bin/sh\necho $0 $1 {version} >>{log}\n[ $1 = version ] || cat {stream}\n"
            ))
        };
        let runs = |binary| {
            let mut remote = Remote::start(&host_with_home(&home, binary), "web-1").unwrap();
            remote.ask(&Wants::default());
            let answer = remote.answer(Instant::now() + Duration::from_secs(60)).unwrap();
            answer.map(|s| s.sockets.len()).map_err(|e| e.0)
        };
        let cache = home.join(".cache/sockscope");
        let copies = || {
            let names =
                std::fs::read_dir(&cache).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            names.collect::<Vec<_>>()
        };
        assert!(runs(agent(1)).is_ok_and(|n| n >= 3));
        let first = copies();
        assert!(first.len() == 1 && first[0].starts_with("sockscope-"), "{first:?}");
        let mode = |path: &std::path::Path| {
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
        };
        assert_eq!((mode(&cache), mode(&cache.join(&first[0]))), (0o700, 0o700));
        assert!(runs(agent(1)).is_ok());
        let log_text = std::fs::read_to_string(&log).unwrap();
        assert_eq!(log_text.matches(" version 1\n").count(), 1, "it is sent once: {log_text}");
        assert_eq!(log_text.matches(" agent 1\n").count(), 2, "{log_text}");
        // A changed copy is replaced, and so is one of another version.
        std::fs::write(cache.join(&first[0]), "#!/bin/sh\nexit 3\n").unwrap();
        assert!(runs(agent(1)).is_ok() && copies() == first);
        assert!(runs(agent(2)).is_ok());
        let second = copies();
        assert!(second.len() == 1 && second != first, "{second:?}");
    }

    #[test]
    fn copy_that_cannot_serve_is_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let broken = script_binary("#!/no/such/ld.so\n");
        let e = reason(&host_with_home(dir.path(), broken));
        assert!(e.starts_with("--copy-agent: the copy does not start: "), "{e}");
        let cache = dir.path().join(".cache/sockscope");
        assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 0, "nothing is left of it");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let e = reason(&host_with_home(&file, script_binary("#!/bin/sh\n")));
        assert!(e.starts_with("--copy-agent: cannot write to ") && e.contains("file/.cache"), "{e}");
        let without = SshCommand { copy: None, ..host_with_home(dir.path(), script_binary("")) };
        assert!(reason(&without).contains("--copy-agent"));
    }

    /// Answer to the first request of a host that this script stands for.
    fn answer(script: &str) -> String {
        let mut remote = Remote::start(&command(script), "web-1").unwrap();
        remote.ask(&Wants::default());
        let answer = remote.answer(Instant::now() + Duration::from_secs(60));
        answer.expect("an answer").map(|_| ()).unwrap_err().0
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
        assert!(end.0.starts_with("start /no/such/ssh: "), "{end}");
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
