//! The collector as a process of its own, which keeps the privileges that this one gives up.
//!
//! It is started before the configuration, the locale and the terminal are looked at, with a fixed command line and no environment, and
//! has nothing but socket pairs to this process: one for each thread here that asks, so that an answer that takes long holds up no
//! other. Then this process gives up its capabilities, and with `sudo` becomes the user who called it. When this process ends, the
//! last of its sockets is closed, and the collector ends.
//!
//! (Giving them up in one process loses the owners of sockets, new network namespaces and `SOCK_DESTROY`.)

use super::asked::{Answered, Asked};
use super::environment;
use super::open_source::methods;
use crate::cli::args::Command as Subcommand;
use crate::cli::{Args, Plan};
use crate::collect::remote::{
    ActOn, Ask, FrameSource, Hello, Methods, Outcome, ProbeOf, ProcessId, Reply, SocketTarget,
};
use crate::diagnose::why::{Answer, Question};
use crate::privilege::{self, PrivilegeError, User};
use crate::tui::event::{ProbeRequest, ProbeResult};
use rustix::cmsg_space;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::ffi::{CString, OsString};
use std::io::{self, IoSlice, IsTerminal};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Arguments of the collector process; the last one is there if it takes no acts.
const ARGS: [&str; 3] = ["agent", "--collector-process", "--read-only"];

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
    if let Some((user, home)) = caller.map(|(uid, gid)| user(uid, gid)) {
        // In a user namespace without this user, the environment is that of an outer one.
        if privilege::give_up(Some(&user)).is_ok() {
            environment::set_home(home);
            return Ok(Some(process));
        }
    }
    privilege::give_up(None)?;
    Ok(Some(process))
}

/// The user with these ids, and the home directory.
fn user(uid: u32, gid: u32) -> (User, Option<std::path::PathBuf>) {
    let entry = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    let name = entry.as_ref().and_then(|e| CString::new(e.name.clone()).ok());
    let groups = name.and_then(|name| nix::unistd::getgrouplist(&name, gid.into()).ok());
    let groups = groups.map_or_else(|| vec![gid], |all| all.iter().map(|g| g.as_raw()).collect());
    (User { uid, gid, groups }, entry.map(|e| e.dir))
}

impl CollectorProcess {
    fn spawn(read_only: bool) -> io::Result<Self> {
        let (life, theirs) = UnixStream::pair()?;
        let child = Command::new("/proc/self/exe")
            .arg0("sockscope")
            .args(if read_only { &ARGS[..] } else { &ARGS[..2] })
            .env_clear()
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
        sendmsg(&life, &[IoSlice::new(b"s")], &mut control, SendFlags::NOSIGNAL)?;
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

    /// The stream of samples, its source opened for this plan; the outer error is that of a collector that ended.
    pub(super) fn frames(&mut self, plan: &Plan) -> io::Result<Result<Stream, String>> {
        let mut stream = connect(self.frames.take())?;
        let wanted =
            Methods { backend: plan.backend(), netns: Some(plan.settings.netns.clone()), ..methods(plan) };
        match stream.ask::<Question, ProbeResult, Answer>(&Ask::Open(wanted)).map_err(io::Error::other)? {
            Reply::Refused(why) => Ok(Err(why)),
            _ => Ok(Ok(stream)),
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

fn connect(stream: Option<UnixStream>) -> io::Result<Stream> {
    let stream = stream.ok_or(io::ErrorKind::NotConnected)?;
    let input = stream.try_clone()?;
    FrameSource::connect(input, stream, &Hello::ours()).map_err(io::Error::other)
}

/// A stream of questions, connected with the first one.
#[derive(Debug)]
pub(super) struct Asker {
    unused: Option<UnixStream>,
    stream: Option<Stream>,
}

impl Asker {
    const fn new(stream: Option<UnixStream>) -> Self {
        Self { unused: stream, stream: None }
    }

    /// The reply; `None` if the collector ended.
    fn ask(&mut self, ask: &Asked) -> Option<Answered> {
        if self.unused.is_some() {
            self.stream = connect(self.unused.take()).ok();
        }
        let reply = self.stream.as_mut()?.ask(ask).ok();
        if reply.is_none() {
            self.stream = None;
        }
        reply
    }

    /// Details of one row; `None` if the collector ended.
    pub(super) fn details(&mut self, request: &ProbeRequest) -> Option<ProbeResult> {
        let inet = request.inet.as_deref().map(|(s, netns)| SocketTarget::new(s, netns.unwrap_or(0)));
        let process = ProcessId::from(&*request.process);
        match self.ask(&Ask::Probe(ProbeOf { process, socket: request.socket, inet }))? {
            Reply::Probed(result) => Some(result),
            _ => None,
        }
    }

    /// Answer why a connection does not work; `None` if the collector ended.
    pub(super) fn answer(&mut self, question: &Question) -> Option<Result<(u64, Answer), String>> {
        match self.ask(&Ask::Why(question.clone()))? {
            Reply::Answered(result) => Some(result),
            Reply::Refused(why) => Some(Err(why)),
            _ => None,
        }
    }

    /// Carries out an act. There is no other way once the collector ended: this process has no privilege.
    pub(super) fn act(&mut self, act: ActOn) -> Outcome {
        match self.ask(&Ask::Act(act)) {
            Some(Reply::Acted(outcome)) => outcome,
            Some(Reply::Refused(why)) => Outcome { done: 0, error: Some(why) },
            _ => {
                let why = "the collector process ended: start sockscope again to act";
                Outcome { done: 0, error: Some(why.to_owned()) }
            }
        }
    }
}
