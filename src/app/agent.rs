//! `sockscope agent --stdio`: samples of this host to a reader on another one, over standard input and output.
//!
//! Beside samples it answers questions ([`replies`]), in a thread of their own ([`background`]). The other thread waits for both directions
//! at once, so that the end of either ends the program, also in the middle of a frame that is not read.

mod background;
mod child;
mod replies;

use super::exit_status::{ExitStatus, RunError};
use super::malloc_tuning::Trimmer;
use super::open_source::{event_method_arg, open};
use super::questions::{Answered, Asked};
use crate::cli::settings::value::{BackendArg, OwnersArg};
use crate::cli::{Plan, Settings, UsageError};
use crate::collect::remote::{
    Ask, AskKind, Hello, Inbox, Item, Kind, Methods, Reply, Request, StreamError, message,
};
use crate::collect::{Engines, Source};
use crate::frame::Encoder;
use crate::model::{Backend, OwnersBy, Sample, Shown, Verify, Wants};
use background::Background;
pub(super) use child::run as run_child;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes written at once: a pipe that can be written takes as many without blocking (`PIPE_BUF`, pipe(7)).
const PIECE: usize = 4096;
/// Bytes read at once.
const CHUNK: usize = 1 << 14;
/// Most bytes of requests that wait while a frame is written: a reader sends the next one after its answer.
const MAX_WAITING: usize = 1 << 18;
/// Shortest time between samples that are sent without being asked for.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Reason why the agent ends.
enum End {
    /// Standard input ended, or standard output is not read any more.
    Closed,
    /// Another error.
    Failed(RunError),
}

impl From<RunError> for End {
    fn from(e: RunError) -> Self {
        Self::Failed(e)
    }
}

impl From<StreamError> for End {
    fn from(e: StreamError) -> Self {
        Self::Failed(RunError::Dashboard(format!("agent: {e}")))
    }
}

impl From<io::Error> for End {
    fn from(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Failed(RunError::Output { subject: "the stream of the agent", source }),
        }
    }
}

/// Both directions of the stream.
struct Link<I, O> {
    input: I,
    output: O,
    inbox: Inbox,
}

/// Event that the agent waited for.
enum Next {
    /// A message.
    Message(Kind, Vec<u8>),
    /// The deadline.
    Due,
    /// Replies of the other thread.
    Replies,
}

impl<I: AsFd, O: AsFd> Link<I, O> {
    /// Waits until a request arrived, until there is space for output if that is wanted, until `beside` can be read, or until the
    /// deadline; true if there is space, or if `beside` can be read.
    fn wait(
        &mut self,
        writes: bool,
        deadline: Option<Instant>,
        beside: Option<BorrowedFd<'_>>,
    ) -> Result<bool, End> {
        let timeout = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
        if self.inbox.waiting() > MAX_WAITING {
            return Err(StreamError::Unexpected.into());
        }
        let output = if writes { PollFlags::OUT } else { PollFlags::empty() };
        let mut fds = vec![PollFd::new(&self.input, PollFlags::IN), PollFd::new(&self.output, output)];
        fds.extend(beside.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(io::Error::from(e).into()),
        }
        let (input, output) = (fds[0].revents(), fds[1].revents());
        let is_beside = fds.get(2).is_some_and(|fd| !fd.revents().is_empty());
        let broken = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        if output.intersects(broken) {
            return Err(End::Closed);
        }
        if input.intersects(PollFlags::IN | broken) {
            let mut chunk = [0; CHUNK];
            match rustix::io::read(&self.input, &mut chunk) {
                Ok(0) => return Err(End::Closed),
                Ok(n) => self.inbox.push(&chunk[..n]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(e) => return Err(io::Error::from(e).into()),
            }
        }
        Ok(output.contains(PollFlags::OUT) || is_beside)
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), End> {
        while !bytes.is_empty() {
            if !self.wait(true, None, None)? {
                continue;
            }
            match rustix::io::write(&self.output, &bytes[..bytes.len().min(PIECE)]) {
                Ok(n) => bytes = &bytes[n..],
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(e) => return Err(io::Error::from(e).into()),
            }
        }
        Ok(())
    }

    /// Next message, or the deadline, or replies at this descriptor.
    fn next(&mut self, deadline: Option<Instant>, beside: Option<BorrowedFd<'_>>) -> Result<Next, End> {
        loop {
            match self.inbox.take()? {
                Some(Item::Message(kind, body)) => return Ok(Next::Message(kind, body)),
                Some(Item::Frame(..)) => return Err(StreamError::Unexpected.into()),
                None if deadline.is_some_and(|d| Instant::now() >= d) => return Ok(Next::Due),
                None if self.wait(false, deadline, beside)? => return Ok(Next::Replies),
                None => {}
            }
        }
    }
}

/// Opens the source of the data, read by these methods.
type Opener<'a> = dyn FnMut(&Methods) -> Result<Box<dyn Source>, RunError> + 'a;

/// Samples as they were requested.
struct Agent<'a> {
    open: &'a mut Opener<'a>,
    /// The source, opened with the first sample.
    source: Option<Box<dyn Source>>,
    /// Reason why it could not be opened: the agent ends once its reader has it.
    failed: Option<RunError>,
    methods: Methods,
    encoder: Encoder,
    before: Option<Sample>,
    wants: Option<Wants>,
    shown: Option<Arc<Shown>>,
    every: Option<Duration>,
    trimmer: Trimmer,
}

impl Agent<'_> {
    /// Takes a request; true if a sample is asked for.
    fn request(&mut self, request: Request) -> bool {
        if let Some(wants) = request.wants {
            self.wants = Some(wants);
        }
        if let Some(methods) = request.methods {
            self.set_methods(methods);
        }
        if let Some(shown) = request.shown {
            self.shown = Some(shown);
        }
        if let Some(wants) = &mut self.wants {
            wants.verify = match &self.shown {
                _ if request.verify_all => Verify::All,
                Some(shown) => Verify::Shown(Arc::clone(shown)),
                None => Verify::IfFew,
            };
        }
        if let Some(ms) = request.interval_ms {
            self.every = (ms > 0).then(|| Duration::from_millis(ms).max(MIN_INTERVAL));
        }
        request.poll
    }

    fn set_methods(&mut self, methods: Methods) {
        if methods != self.methods {
            self.methods = methods;
            self.source = None;
        }
    }

    /// Opens the source by these methods.
    fn open(&mut self, methods: Methods) -> Answered {
        self.set_methods(methods);
        if self.source.is_none() {
            match (self.open)(&self.methods) {
                Ok(source) => self.source = Some(source),
                Err(e) => return Reply::Refused(e.to_string()),
            }
        }
        Reply::Opened
    }

    /// The next sample as a frame, or the reason why there is none as a message.
    fn sample(&mut self) -> Result<Vec<u8>, StreamError> {
        let wants = self.wants.clone().unwrap_or_default();
        let source = match &mut self.source {
            Some(source) => source,
            none => match (self.open)(&self.methods) {
                Ok(source) => none.insert(source),
                Err(e) => {
                    let why = message(Kind::Failed, e.to_string().as_bytes());
                    self.failed = Some(e);
                    return why;
                }
            },
        };
        let sample = match source.sample(&wants) {
            Ok(sample) => sample,
            Err(e) => return message(Kind::Failed, e.to_string().as_bytes()),
        };
        let frame = self.encoder.frame(&sample, self.before.as_ref())?;
        self.trimmer.after_poll(sample.sockets.len());
        self.before = Some(sample);
        Ok(frame)
    }
}

/// Serves requests until the stream ends in either direction.
pub(super) fn run(plan: &Plan) -> Result<ExitStatus, RunError> {
    if io::stdout().is_terminal() || io::stdin().is_terminal() {
        let why = "agent --stdio: it talks to another sockscope, not to a terminal: sockscope --host HOST";
        return Err(UsageError(why.to_owned()).into());
    }
    let mut link = Link { input: io::stdin(), output: io::stdout(), inbox: Inbox::default() };
    let open = |methods: &Methods| open(&by(plan, methods), Engines::Now);
    let of_thread = Arc::new(plan.without_command());
    // The reader is on another host: no acts.
    let mut reply =
        move |asked: Asked, methods: &Methods| replies::reply(&by(&of_thread, methods), asked, None);
    let kinds = &[AskKind::Open, AskKind::Probe, AskKind::Why, AskKind::Connect];
    let served = match Background::start(reply.clone()) {
        Ok(background) => serve_by(&mut link, open, kinds, Hand::Beside(background)),
        // No more threads: they are answered all the same.
        Err(_) => serve(&mut link, open, &mut Answers { kinds, reply: &mut reply }),
    };
    match served {
        Ok(()) | Err(End::Closed) => Ok(ExitStatus::Success),
        Err(End::Failed(e)) => Err(e),
    }
}

/// The plan of an agent that reads by these methods.
fn by(plan: &Plan, methods: &Methods) -> Plan {
    let mut plan = plan.without_command();
    apply(methods, &mut plan.settings);
    plan
}

/// Changes the settings of this host to those that the reader asks for.
fn apply(methods: &Methods, settings: &mut Settings) {
    match methods.owners {
        Some(OwnersBy::BpfIter) => settings.owners = OwnersArg::Bpf,
        Some(OwnersBy::Walk) => settings.owners = OwnersArg::Walk,
        None => {}
    }
    if let Some(events) = methods.events {
        settings.events = event_method_arg(events);
    }
    settings.no_engine |= methods.no_engine;
    if let Some(backend) = methods.backend {
        settings.backend = match backend {
            Backend::Netlink => BackendArg::Netlink,
            Backend::Proc => BackendArg::Proc,
            Backend::Portable => BackendArg::Portable,
            Backend::Script => BackendArg::Auto,
        };
    }
    if let Some(netns) = &methods.netns {
        settings.netns = netns.clone();
    }
}

/// Questions that an agent answers.
struct Answers<'a> {
    /// Their kinds: others are refused.
    kinds: &'a [AskKind],
    /// The reply to one, read by these methods.
    reply: &'a mut dyn FnMut(Asked, &Methods) -> Answered,
}

/// Serves samples, and answers questions between them.
fn serve<I: AsFd, O: AsFd>(
    link: &mut Link<I, O>,
    open: impl FnMut(&Methods) -> Result<Box<dyn Source>, RunError>,
    answers: &mut Answers<'_>,
) -> Result<(), End> {
    serve_by(link, open, answers.kinds, Hand::Between(answers.reply))
}

/// Place where questions are answered.
enum Hand<'a> {
    /// Between samples.
    Between(&'a mut dyn FnMut(Asked, &Methods) -> Answered),
    /// In another thread.
    Beside(Background),
}

impl Hand<'_> {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Between(_) => None,
            Self::Beside(background) => Some(background.fd()),
        }
    }
}

fn serve_by<I: AsFd, O: AsFd>(
    link: &mut Link<I, O>,
    mut open: impl FnMut(&Methods) -> Result<Box<dyn Source>, RunError>,
    kinds: &[AskKind],
    mut hand: Hand<'_>,
) -> Result<(), End> {
    let ours = Hello::ours().answering(kinds);
    link.send(&ours.to_bytes()?)?;
    let Next::Message(Kind::Hello, body) = link.next(None, None)? else {
        return Err(StreamError::Unexpected.into());
    };
    ours.agree(&Hello::parse(&body)?)?;
    let mut agent = Agent {
        open: &mut open,
        source: None,
        failed: None,
        methods: Methods::default(),
        encoder: Encoder::new(),
        before: None,
        wants: None,
        shown: None,
        every: None,
        trimmer: Trimmer::default(),
    };
    let mut due = None;
    loop {
        let asked = match link.next(due, hand.fd())? {
            Next::Message(Kind::Request, body) => {
                let request = serde_json::from_slice(&body);
                let asked = agent.request(request.map_err(|e| StreamError::Malformed(e.to_string()))?);
                due = agent.every.map(|every| due.unwrap_or_else(|| Instant::now() + every));
                asked
            }
            Next::Message(Kind::Ask, body) => {
                let asked = match serde_json::from_slice::<Asked>(&body) {
                    Ok(ask) if !kinds.contains(&ask.kind()) => {
                        Err(Reply::Refused(format!("not answered here: {}", ask.kind().name())))
                    }
                    Ok(Ask::Open(methods)) => Err(agent.open(methods)),
                    Ok(ask) => Ok(ask),
                    Err(e) => Err(Reply::Refused(format!("unknown question: {e}"))),
                };
                match &mut hand {
                    Hand::Between(reply) => {
                        let reply = asked.map_or_else(|known| known, |ask| reply(ask, &agent.methods));
                        link.send(&replies::to_bytes(&reply)?)?;
                    }
                    Hand::Beside(background) => {
                        background.submit(asked.map(|ask| (ask, agent.methods.clone())))?;
                    }
                }
                false
            }
            Next::Replies => {
                if let Hand::Beside(background) = &mut hand {
                    for reply in background.take() {
                        link.send(&replies::to_bytes(&reply)?)?;
                    }
                }
                false
            }
            Next::Message(..) => false,
            Next::Due => true,
        };
        if asked {
            link.send(&agent.sample()?)?;
            if let Some(e) = agent.failed.take() {
                return Err(e.into());
            }
            due = agent.every.map(|every| Instant::now() + every);
        }
    }
}

#[cfg(test)]
mod tests;
