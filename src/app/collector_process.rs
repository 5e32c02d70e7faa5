//! The collector as a process of its own, which keeps the privileges that this one gives up.
//!
//! It is started before the configuration, the locale and the terminal are looked at, with a fixed command line and no environment but
//! the variables that name sockets of container engines, and has nothing but socket pairs to this process: one for each thread here
//! that asks, so that an answer that takes long holds up no other. Then this process gives up its capabilities, and with `sudo` becomes the user who called it. When this process ends, the
//! last of its sockets is closed, and the collector ends.
//!
//! (Giving them up in one process loses the owners of sockets, new network namespaces and `SOCK_DESTROY`.)

use super::environment::{self, Account};
use super::exit_status::RunError;
use super::open_source::methods;
use super::questions::{Answered, Asked, probe_of};
use crate::cli::args::Command as Subcommand;
use crate::cli::{Args, Plan, user_file};
use crate::collect::remote::{ActOn, Ask, FrameSource, Hello, Methods, Outcome, Reply, StreamError};
use crate::collect::{CollectError, ENGINE_VARIABLES};
use crate::diagnose::why::{Answer, Question};
use crate::privilege::{self, PrivilegeError, User};
use crate::tui::event::{ProbeRequest, ProbeResult};
use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::ffi::{CString, OsString};
use std::io::{self, IoSlice, IsTerminal};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longest wait for its hello and for its source, while there is no screen yet. It is long for a busy machine: without an answer
/// the privilege is lost until the next start.
const START_MAX: Duration = Duration::from_secs(15);
/// Longest wait for the reply to a question: one that comes later is not read.
const REPLY_MAX: Duration = Duration::from_secs(60);

/// Arguments of the collector process; the last one is there if it takes no acts.
const ARGS: [&str; 3] = ["agent", "--collector-process", "--read-only"];

/// Reason why there is no answer.
pub(super) const ENDED: &str = "ended";

/// Source over a stream to the collector process.
pub(super) type Stream = FrameSource<UnixStream, UnixStream>;

/// A running collector process, and the streams to it that are not taken yet.
#[derive(Debug)]
pub(super) struct CollectorProcess {
    /// The collector ends when this is closed.
    _life: UnixStream,
    child: Child,
    frames: Option<UnixStream>,
    probes: Option<UnixStream>,
    why: Option<UnixStream>,
    acts: Option<UnixStream>,
}

/// Reason why the dashboard does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// The process cannot be started.
    #[error("start the collector process: {0} (--no-sandbox runs without one)")]
    Spawn(#[from] io::Error),
    /// A privilege cannot be given up.
    #[error("{0} (--no-sandbox runs without a collector process)")]
    Privilege(#[from] PrivilegeError),
}

/// Returns `Some` if this command line is that of the collector process: true if it takes no acts.
pub(super) fn is_asked(args: &[OsString]) -> Option<bool> {
    match args.get(1..) {
        Some(args) if args == &ARGS[..2] => Some(false),
        Some(args) if args == ARGS => Some(true),
        _ => None,
    }
}

/// Returns true if this command line is that of the dashboard of this machine.
fn is_dashboard(args: &Args) -> bool {
    let global = &args.global;
    let is_live = global.proc_root.is_none() && global.demo.is_none() && global.from.is_none();
    let is_here = global.host.is_empty() && global.hosts.is_none() && global.at.is_none();
    matches!(args.command, None | Some(Subcommand::Top(_)))
        && !args.diagnose
        && is_live
        && is_here
        && !global.settings.has("no_sandbox")
}

/// Starts the collector and gives up the privileges of this process, if it has any and the command line is that of a dashboard of
/// this machine on a terminal. To be called before any thread is started.
pub(super) fn start(args: &Args) -> Result<Option<CollectorProcess>, StartError> {
    let is_shown = || io::stdout().is_terminal() && io::stdin().is_terminal();
    if !is_dashboard(args) || !privilege::has_any() || !is_shown() {
        return Ok(None);
    }
    let process = CollectorProcess::spawn(args.global.settings.has("read_only"))?;
    let caller = environment::sudo_user().filter(|_| rustix::process::getuid().is_root());
    if let Some((user, account)) = caller.map(|(uid, gid)| user(uid, gid)) {
        // In a user namespace without this user, the environment is that of an outer one.
        if privilege::give_up(Some(&user)).is_ok() {
            environment::set_account(account);
            return Ok(Some(process));
        }
    }
    // The home directory of root has the mode 0550 in some distributions: afterwards nothing could be made in it.
    let is_root = rustix::process::getuid().is_root();
    if let Some(file) = environment::session_file().filter(|_| is_root) {
        let _ = user_file::make_directory_of(&file);
    }
    privilege::give_up(None)?;
    Ok(Some(process))
}

/// The user with these ids, and the account.
fn user(uid: u32, gid: u32) -> (User, Account) {
    let entry = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    let name = entry.as_ref().and_then(|e| CString::new(e.name.clone()).ok());
    let groups = name.and_then(|name| nix::unistd::getgrouplist(&name, gid.into()).ok());
    let groups = groups.map_or_else(|| vec![gid], |all| all.iter().map(|g| g.as_raw()).collect());
    let account = entry.map_or_else(Account::default, |e| Account { name: Some(e.name), home: Some(e.dir) });
    (User { uid, gid, groups }, account)
}

impl CollectorProcess {
    fn spawn(read_only: bool) -> io::Result<Self> {
        let (life, theirs) = UnixStream::pair()?;
        let engines = ENGINE_VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        // The file of this process, also if another version replaced it meanwhile.
        let child = Command::new("/proc/self/exe")
            .arg0("sockscope")
            .args(if read_only { &ARGS[..] } else { &ARGS[..2] })
            .env_clear()
            .envs(engines)
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pairs = [(); 4].map(|()| UnixStream::pair());
        let [frames, probes, why, acts] = pairs;
        let ((frames, a), (probes, b), (why, c), (acts, d)) = (frames?, probes?, why?, acts?);
        let theirs = [a.as_fd(), b.as_fd(), c.as_fd(), d.as_fd()];
        let theirs = if read_only { &theirs[..3] } else { &theirs[..] };
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(theirs));
        match sendmsg(&life, &[IoSlice::new(b"s")], &mut control, SendFlags::NOSIGNAL) {
            // It ended already, which its streams report.
            Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => {}
            Err(e) => return Err(e.into()),
        }
        let acts = (!read_only).then_some(acts);
        Ok(Self { _life: life, child, frames: Some(frames), probes: Some(probes), why: Some(why), acts })
    }

    /// Its pid.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Closes the stream of acts: the collector takes none from then on.
    pub(super) fn take_no_acts(&mut self) {
        self.acts = None;
    }

    /// In a few words, for the help.
    pub(super) fn in_words(&self) -> String {
        let acts = if self.acts.is_some() { "reads and acts" } else { "reads" };
        let uid = rustix::process::getuid().as_raw();
        format!("this process: user {uid}, no capabilities; collector process {} {acts}", self.pid())
    }

    /// The stream of samples, its source opened for this plan; the inner error is the reason why the collector cannot be used. A source
    /// that cannot be opened is an error as it is without a collector.
    pub(super) fn frames(&mut self, plan: &Plan) -> Result<Result<Stream, String>, RunError> {
        let wanted =
            Methods { backend: plan.backend(), netns: Some(plan.settings.netns.clone()), ..methods(plan) };
        let opened = connect(self.frames.take(), START_MAX, START_MAX).and_then(|mut stream| {
            let reply = stream.ask::<Question, ProbeResult, Answer>(&Ask::Open(wanted));
            // A sample may take as long as it does: the screen shows its age.
            Ok((reply.map_err(|e| in_words(e, START_MAX))?, stream.input().set_read_timeout(None), stream))
        });
        match opened {
            Ok((Reply::Refused(why), ..)) => Err(RunError::Dashboard(why)),
            Ok((_, Ok(()), stream)) => Ok(Ok(stream)),
            Ok((_, Err(e), _)) => Ok(Err(e.to_string())),
            Err(why) => Ok(Err(why)),
        }
    }

    /// The stream of questions about rows.
    pub(super) fn probes(&mut self) -> Asker {
        Asker::new(self.probes.take())
    }

    /// The stream of questions why a connection does not work.
    pub(super) fn why(&mut self) -> Asker {
        Asker::new(self.why.take())
    }

    /// The stream of acts; `None` if none are taken.
    pub(super) fn acts(&mut self) -> Option<Asker> {
        self.acts.take().map(|stream| Asker::new(Some(stream)))
    }
}

/// Waits for the hello of the collector this long, and for every reply that long.
fn connect(stream: Option<UnixStream>, hello: Duration, reply: Duration) -> Result<Stream, String> {
    let unusable = |e: io::Error| e.to_string();
    let stream = stream.ok_or_else(|| unusable(io::ErrorKind::NotConnected.into()))?;
    let input = stream.try_clone().map_err(unusable)?;
    input.set_read_timeout(Some(hello)).map_err(unusable)?;
    let connected = FrameSource::connect(input, stream, &Hello::ours()).map_err(|e| in_words(e, hello))?;
    connected.input().set_read_timeout(Some(reply)).map_err(unusable)?;
    Ok(connected)
}

/// The error of a stream that was waited for this long.
pub(super) fn in_words(e: CollectError, waited: Duration) -> String {
    match e {
        CollectError::Io { source, .. } if source.kind() == io::ErrorKind::WouldBlock => {
            format!("no answer within {} s", waited.as_secs())
        }
        CollectError::Io { source, .. } if source.kind() == io::ErrorKind::ConnectionReset => {
            ENDED.to_owned()
        }
        CollectError::Unavailable { why, .. } if why == StreamError::Ended.to_string() => ENDED.to_owned(),
        CollectError::Unavailable { why, .. } => why,
        e => e.to_string(),
    }
}

/// A stream of questions, connected with the first one.
#[derive(Debug)]
pub(super) struct Asker {
    unused: Option<UnixStream>,
    stream: Option<Stream>,
    /// Reason why there is no stream any more.
    lost: String,
}

impl Asker {
    fn new(stream: Option<UnixStream>) -> Self {
        Self { unused: stream, stream: None, lost: ENDED.to_owned() }
    }

    /// The reply, or the reason why there is none.
    fn ask(&mut self, ask: &Asked) -> Result<Answered, String> {
        if self.unused.is_some() {
            match connect(self.unused.take(), START_MAX, REPLY_MAX) {
                Ok(stream) => self.stream = Some(stream),
                Err(why) => self.lost = why,
            }
        }
        let Some(stream) = &mut self.stream else { return Err(self.lost.clone()) };
        let reply = stream.ask(ask).map_err(|e| in_words(e, REPLY_MAX));
        if stream.is_broken() {
            self.stream = None;
            self.lost = reply.as_ref().err().cloned().unwrap_or_else(|| ENDED.to_owned());
        }
        reply
    }

    /// Details of one row; `None` if the collector does not answer any more.
    pub(super) fn details(&mut self, request: &ProbeRequest) -> Option<ProbeResult> {
        match self.ask(&Ask::Probe(probe_of(request))) {
            Ok(Reply::Probed(result)) => Some(result),
            _ => None,
        }
    }

    /// Answer why a connection does not work; `None` if the collector does not answer any more.
    pub(super) fn answer(&mut self, question: &Question) -> Option<Result<(u64, Answer), String>> {
        match self.ask(&Ask::Why(question.clone())) {
            Ok(Reply::Answered(result)) => Some(result),
            Ok(Reply::Refused(why)) => Some(Err(why)),
            _ => None,
        }
    }

    /// Carries out an act. There is no other way without the collector: this process has no privilege.
    pub(super) fn act(&mut self, act: ActOn) -> Outcome {
        let why = match self.ask(&Ask::Act(act)) {
            Ok(Reply::Acted(outcome)) => return outcome,
            Ok(Reply::Refused(why)) => why,
            Ok(_) => ENDED.to_owned(),
            Err(why) => format!("collector process: {why}; start sockscope again to act"),
        };
        Outcome { done: 0, error: Some(why) }
    }
}
