//! The agent as a child of the dashboard, which gave up its privileges: the collector process.
//!
//! Standard input is one end of a socket pair. Over it comes, once, one end of a pair for each thread of the dashboard that asks:
//! samples, details of rows, questions why, and acts. Each is served by a thread of its own, and answers its own kind of questions
//! alone. The process ends as soon as standard input does. It has no terminal, no open file and no environment of the dashboard but the
//! sockets of container engines, and reads no configuration; settings that decide how it reads come with the stream of samples.

use super::{Answers, Asked, End, Inbox, Link, by, replies, serve};
use crate::app::action;
use crate::app::exit_status::{ExitStatus, RunError};
use crate::app::open_source::open;
use crate::cli::{Args, Plan, Settings, UsageError};
use crate::collect::remote::{AskKind, Methods};
use crate::collect::{Engines, Source};
use clap::Parser;
use rustix::cmsg_space;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{
    DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal, setpriority_process,
    setsid,
};
use rustix::thread::{set_name, set_no_new_privs};
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// Streams in the order in which they are received, and the kind of questions that each answers. Samples come over the first.
const STREAMS: [(&str, AskKind); 4] =
    [("frames", AskKind::Open), ("probe", AskKind::Probe), ("why", AskKind::Why), ("act", AskKind::Act)];

/// Nice value of the thread that reads samples: drawing and other processes go first.
const NICE: i32 = 5;

/// Runs until standard input ends.
pub(in crate::app) fn run(read_only: bool) -> Result<ExitStatus, RunError> {
    let failed =
        |what: &'static str| move |e: io::Error| RunError::Dashboard(format!("collector: {what}: {e}"));
    close_inherited().map_err(failed("close inherited files"))?;
    // In a session of its own no signal of the terminal reaches it. It is no group leader, unless it was started by hand.
    let _ = setsid();
    // Before the first request: nothing that is started here gains a privilege, and nothing is.
    set_no_new_privs(true).map_err(|e| failed("no_new_privs")(e.into()))?;
    // execve(2) with file capabilities does this only if they are more than those of the process before.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|e| failed("memory")(e.into()))?;
    // Beside the end of standard input, which also shows a dashboard that ended before this call. It ends a stopped process, too; it
    // needs the permission of kill(2), which a user lacks for root.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let _ = set_name(c"sockscope");
    let mut life = io::stdin().lock();
    let streams = receive(&life).map_err(failed("receive the streams"))?;
    let args = Args::try_parse_from(["sockscope", "agent", "--stdio"]);
    let args = args.map_err(|e| UsageError(e.to_string()))?;
    let plan = Plan::new(args, &Arc::default(), Settings::default())?;
    let shared = Arc::new(Mutex::new(Methods::default()));
    for (stream, (name, kind)) in streams.into_iter().zip(STREAMS) {
        if kind == AskKind::Act && read_only {
            continue;
        }
        let (plan, shared) = (plan.without_command(), Arc::clone(&shared));
        let work = move || one(&stream, kind, &plan, &shared);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        thread.map_err(failed("start a thread"))?;
    }
    // Nothing more is sent: this is the end of the dashboard.
    let _ = life.read(&mut [0]);
    Ok(ExitStatus::Success)
}

/// Closes what the dashboard was started with beside its standard files, such as the terminal of a shell (`exec 3< /dev/tty`).
fn close_inherited() -> io::Result<()> {
    let all = std::fs::read_dir("/proc/self/fd")?.flatten();
    let open: Vec<i32> = all.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        // One of them was the directory that was read.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}

/// The sockets that the first message has.
fn receive(life: impl AsFd) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(life, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut out = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            out.extend(fds);
        }
    }
    if out.is_empty() { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(out) }
}

/// Serves one stream until it ends.
fn one(stream: &OwnedFd, kind: AskKind, plan: &Plan, shared: &Mutex<Methods>) {
    let current = || shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if kind == AskKind::Open {
        let _ = setpriority_process(None, NICE);
    }
    let open = |methods: &Methods| -> Result<Box<dyn Source>, RunError> {
        if kind != AskKind::Open {
            return Err(RunError::Dashboard("no samples over this stream".to_owned()));
        }
        *shared.lock().unwrap_or_else(PoisonError::into_inner) = methods.clone();
        open(&by(plan, methods), Engines::Later)
    };
    let mut hand = action::here;
    let mut reply = |asked: Asked, _: &Methods| {
        let hand: Option<&mut action::Hand<'_>> = if kind == AskKind::Act { Some(&mut hand) } else { None };
        replies::reply(&by(plan, &current()), asked, hand)
    };
    let mut link = Link { input: stream, output: stream, inbox: Inbox::default() };
    match serve(&mut link, open, &mut Answers { kinds: &[kind], reply: &mut reply }) {
        // The dashboard sees the end of the stream, and has its own words for it.
        Ok(()) | Err(End::Closed | End::Failed(_)) => {}
    }
}
