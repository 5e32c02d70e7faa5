//! A real collector process at the other end of its streams: forged acts and hostile bytes.

use super::compare::check;
use super::world::{World, listen};
use crate::wait::{until, until_ok};
use rustix::cmsg_space;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::Value;
use sockscope::collect::Source;
use sockscope::collect::remote::{
    ActOn, Ask, FrameSource, Hello, Inbox, Item, Kind, Methods, Outcome, ProbeOf, ProcessId, Reply,
    SocketTarget, message,
};
use sockscope::model::{Endpoint, Sample, Socket, State, Wants};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

/// The collector process as the dashboard starts it, and its streams: samples, details, why, acts.
struct Collector {
    process: Child,
    life: Option<UnixStream>,
    streams: [Option<UnixStream>; 4],
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Text of any error.
fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}

impl Collector {
    fn start(args: &[&str]) -> Result<Self, String> {
        let (life, theirs) = UnixStream::pair().map_err(text)?;
        let process = Command::new(env!("CARGO_BIN_EXE_sockscope"))
            .args(["agent", "--collector-process"])
            .args(args)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(text)?;
        let (mut ours, mut theirs) = ([const { None }; 4], Vec::new());
        for stream in &mut ours {
            let (a, b) = UnixStream::pair().map_err(text)?;
            *stream = Some(a);
            theirs.push(b);
        }
        let fds: Vec<_> = theirs.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        sendmsg(&life, &[IoSlice::new(b"s")], &mut control, SendFlags::empty()).map_err(text)?;
        Ok(Self { process, life: Some(life), streams: ours })
    }

    fn take(&mut self, stream: usize) -> Result<UnixStream, String> {
        self.streams[stream].take().ok_or_else(|| format!("stream {stream} is taken"))
    }

    /// The source of samples.
    fn frames(&mut self) -> Result<FrameSource<UnixStream, UnixStream>, String> {
        let stream = self.take(0)?;
        FrameSource::connect(stream.try_clone().map_err(text)?, stream, &Hello::ours()).map_err(text)
    }

    /// A stream of questions, which asks whatever it is given.
    fn raw(&mut self, stream: usize) -> Result<Raw, String> {
        let mut raw = Raw { stream: self.take(stream)?, inbox: Inbox::default() };
        raw.stream.write_all(&Hello::ours().to_bytes().map_err(text)?).map_err(text)?;
        match raw.next()? {
            Some((Kind::Hello, _)) => Ok(raw),
            other => Err(format!("not a hello: {:?}", other.map(|(kind, _)| kind))),
        }
    }
}

/// A stream whose questions are not checked here.
struct Raw {
    stream: UnixStream,
    inbox: Inbox,
}

impl Raw {
    /// Next message; `None` at the end of the stream.
    fn next(&mut self) -> Result<Option<(Kind, Vec<u8>)>, String> {
        let mut chunk = [0; 4096];
        loop {
            match self.inbox.take().map_err(text)? {
                Some(Item::Message(kind, body)) => return Ok(Some((kind, body))),
                Some(Item::Frame(..)) => return Err("a frame".to_owned()),
                None => {}
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(e) => return Err(text(e)),
                Ok(n) => self.inbox.push(&chunk[..n]),
            }
        }
    }

    fn ask(&mut self, ask: &Ask<Value>) -> Result<Reply<Value, Value>, String> {
        let body = serde_json::to_vec(ask).map_err(text)?;
        self.stream.write_all(&message(Kind::Ask, &body).map_err(text)?).map_err(text)?;
        match self.next()? {
            Some((Kind::Reply, body)) => serde_json::from_slice(&body).map_err(text),
            other => Err(format!("not a reply: {:?}", other.map(|(kind, _)| kind))),
        }
    }

    fn act(&mut self, act: ActOn) -> Result<Outcome, String> {
        match self.ask(&Ask::Act(act))? {
            Reply::Acted(outcome) => Ok(outcome),
            Reply::Refused(why) => Ok(Outcome { done: 0, error: Some(why) }),
            _ => Err("another reply".to_owned()),
        }
    }

    /// The act reaches nothing, and the reason has this text.
    fn refuses(&mut self, act: ActOn, why: &str) -> Result<(), String> {
        let name = format!("{act:?}");
        let outcome = self.act(act)?;
        let has_reason = outcome.error.as_ref().is_some_and(|e| e.contains(why));
        check(outcome.done == 0 && has_reason, || format!("{name}: {outcome:?}, expected {why:?}"))
    }

    /// Reads to the end of the stream.
    fn ends(&mut self) -> Result<(), String> {
        while self.next()?.is_some() {}
        Ok(())
    }
}

/// The process with this pid and the established socket with this local endpoint, as the collector reports them.
fn targets(sample: &Sample, pid: u32, local: &str) -> Option<(ProcessId, Socket)> {
    let process = sample.processes.iter().find(|p| p.info.pid == pid)?;
    let is_it = |s: &&Socket| s.state == State::Established && s.local.to_string() == local;
    Some((ProcessId::from(&*process.info), *sample.sockets.iter().find(is_it)?))
}

/// Acts with another start time, cookie, endpoint, namespace or signal reach nothing, nor do acts over another stream; the same acts
/// with the right identity are carried out.
pub(crate) fn forged_acts_are_refused() -> Result<(), String> {
    let listener = listen("127.0.0.1:7921", 8, false);
    let (mut near, far) = World::pair(&listener, None);
    let mut sleep = World::default();
    let child = Command::new("sleep").arg("1000").spawn().map_err(text)?;
    let pid = child.id();
    sleep.children.push(child);
    let mut collector = Collector::start(&[])?;
    let mut frames = collector.frames()?;
    let local = near.local_addr().map_err(text)?.to_string();
    let (process, socket) = until_ok(|| {
        let sample = frames.sample(&Wants::recording()).map_err(text)?;
        targets(&sample, pid, &local).ok_or_else(|| "no process or no socket".to_owned())
    })?;
    let mut acts = collector.raw(3)?;

    let other = |start_ns| ProcessId { start_ns, ..process.clone() };
    let another = "another process";
    acts.refuses(ActOn::Signal(vec![other(process.start_ns + 1)], "SIGKILL".into()), another)?;
    acts.refuses(ActOn::Signal(vec![other(0)], "SIGKILL".into()), another)?;
    acts.refuses(ActOn::FdLimit(other(process.start_ns - 1), (8, 8)), another)?;
    acts.refuses(ActOn::Signal(vec![process.clone()], "SIGSTOP".into()), "not a signal that is sent")?;
    acts.refuses(ActOn::Signal(vec![process.clone(); 129], "SIGKILL".into()), "more targets")?;
    let target = SocketTarget::new(&socket, 0);
    let peer = target.remote;
    for (forged, why) in [
        (SocketTarget { cookie: target.cookie + 1_000_000, ..target }, "already closed"),
        (SocketTarget { remote: Endpoint { port: peer.port ^ 1, ..peer }, ..target }, "already closed"),
        (SocketTarget { netns: 1, ..target }, "entity not found"),
    ] {
        acts.refuses(ActOn::Close(vec![forged]), why)?;
    }
    // Over another stream.
    let kill = ActOn::Signal(vec![process.clone()], "SIGKILL".into());
    collector.raw(1)?.refuses(kill.clone(), "not answered here")?;
    collector.raw(2)?.refuses(kill.clone(), "not answered here")?;
    // And another question over this one.
    let probe = Ask::Probe(ProbeOf { process: process.clone(), socket: None, inet: None });
    for ask in [probe, Ask::Open(Methods::default()), Ask::Why(Value::Null)] {
        let reply = acts.ask(&ask)?;
        check(matches!(reply, Reply::Refused(_)), || format!("{ask:?}: {reply:?}"))?;
    }
    check(sleep.children[0].try_wait().map_err(text)?.is_none(), || "the process ended".to_owned())?;
    near.write_all(b"x").map_err(|e| format!("the connection is closed: {e}"))?;
    (&far).read_exact(&mut [0]).map_err(|e| format!("the connection is closed: {e}"))?;

    let closed = acts.act(ActOn::Close(vec![target]))?;
    check(closed.done == 1 && closed.error.is_none(), || format!("{closed:?}"))?;
    check(near.read(&mut [0]).is_err(), || "the connection is open".to_owned())?;
    let killed = acts.act(kill)?;
    check(killed.done == 1 && killed.error.is_none(), || format!("{killed:?}"))?;
    check(!sleep.children[0].wait().map_err(text)?.success(), || "it was not killed".to_owned())
}

/// A collector that takes no acts closes their stream, whatever it is sent.
pub(crate) fn read_only_collector_closes_the_stream_of_acts() -> Result<(), String> {
    let mut collector = Collector::start(&["--read-only"])?;
    let mut acts = Raw { stream: collector.take(3)?, inbox: Inbox::default() };
    acts.ends()?;
    check(collector.frames()?.sample(&Wants::default()).is_ok(), || "no sample".to_owned())
}

/// Streams with bytes that are none of the protocol are closed, each alone and within bounds; the others are served, and the process
/// ends with its dashboard.
pub(crate) fn hostile_streams_end_alone() -> Result<(), String> {
    let too_long = [&b"SsM1\x04\0\0\0"[..], &u32::MAX.to_le_bytes()].concat();
    let no_json = message(Kind::Ask, b"{\"act\":{\"reboot\":[]}}").map_err(text)?;
    let mut collector = Collector::start(&[])?;
    // A question that is not known is refused, and the next one is answered.
    let mut acts = collector.raw(3)?;
    acts.stream.write_all(&no_json).map_err(text)?;
    let reply = acts.next()?.map(|(_, body)| String::from_utf8_lossy(&body).into_owned());
    check(reply.as_ref().is_some_and(|r| r.contains("unknown question")), || format!("{reply:?}"))?;
    acts.refuses(ActOn::Signal(vec![], "SIGSTOP".into()), "not a signal")?;
    // A message longer than its kind allows.
    acts.stream.write_all(&too_long).map_err(text)?;
    acts.ends()?;
    // Endless bytes before the hello: the stream is closed long before they end.
    let mut endless = collector.take(1)?;
    let line = [b'x'; 4096];
    let sent = (0..4096).take_while(|_| endless.write_all(&line).is_ok()).count();
    check(sent < 4096, || "all of it was read".to_owned())?;
    // Requests without end that are never read for their frames.
    let why = collector.take(2)?;
    drop(why);
    let mut frames = collector.frames()?;
    for _ in 0..2 {
        check(frames.sample(&Wants::default()).is_ok(), || "no sample".to_owned())?;
    }
    collector.life = None;
    let status = until("the end of the process", || collector.process.try_wait().ok().flatten())?;
    check(status.success(), || format!("{status}"))
}
