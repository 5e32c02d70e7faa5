//! `sockscope agent --stdio`: samples of this host to a reader on another one, over standard input and output.
//!
//! One thread: it waits for both directions at once, so that the end of either ends the program, also in the middle of a frame
//! that is not read.

use super::exit_status::{ExitStatus, RunError};
use super::open_source::{event_method_arg, open};
use crate::cli::settings::value::OwnersArg;
use crate::cli::{Plan, Settings, UsageError};
use crate::collect::remote::{Hello, Inbox, Item, Kind, Methods, Request, StreamError, message};
use crate::collect::{Engines, Source};
use crate::frame::Encoder;
use crate::model::{OwnersBy, Sample, Verify, Wants};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::io::{self, IsTerminal};
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

impl<I: AsFd, O: AsFd> Link<I, O> {
    /// Waits until a request arrived, until there is space for output if that is wanted, or until the deadline; true if there is
    /// space.
    fn wait(&mut self, writes: bool, deadline: Option<Instant>) -> Result<bool, End> {
        let timeout = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
        if self.inbox.waiting() > MAX_WAITING {
            return Err(StreamError::Unexpected.into());
        }
        let output = if writes { PollFlags::OUT } else { PollFlags::empty() };
        let mut fds = [PollFd::new(&self.input, PollFlags::IN), PollFd::new(&self.output, output)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(io::Error::from(e).into()),
        }
        let (input, output) = (fds[0].revents(), fds[1].revents());
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
        Ok(output.contains(PollFlags::OUT))
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), End> {
        while !bytes.is_empty() {
            if !self.wait(true, None)? {
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

    /// Next message; `None` at the deadline.
    fn next(&mut self, deadline: Option<Instant>) -> Result<Option<(Kind, Vec<u8>)>, End> {
        loop {
            match self.inbox.take()? {
                Some(Item::Message(kind, body)) => return Ok(Some((kind, body))),
                Some(Item::Frame(..)) => return Err(StreamError::Unexpected.into()),
                None if deadline.is_some_and(|d| Instant::now() >= d) => return Ok(None),
                None => {
                    self.wait(false, deadline)?;
                }
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
    every: Option<Duration>,
}

impl Agent<'_> {
    /// Takes a request; true if a sample is asked for.
    fn request(&mut self, request: Request) -> bool {
        if let Some(wants) = request.wants {
            self.wants = Some(wants);
        }
        if let Some(methods) = request.methods.filter(|m| *m != self.methods) {
            self.methods = methods;
            self.source = None;
        }
        if let Some(wants) = &mut self.wants {
            wants.verify = if request.verify_all { Verify::All } else { Verify::IfFew };
        }
        if let Some(ms) = request.interval_ms {
            self.every = (ms > 0).then(|| Duration::from_millis(ms).max(MIN_INTERVAL));
        }
        request.poll
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
    let open = |methods: &Methods| {
        let mut plan = plan.without_command();
        apply(methods, &mut plan.settings);
        open(&plan, Engines::Now)
    };
    match serve(&mut link, open) {
        Ok(()) | Err(End::Closed) => Ok(ExitStatus::Success),
        Err(End::Failed(e)) => Err(e),
    }
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
}

fn serve<I: AsFd, O: AsFd>(
    link: &mut Link<I, O>,
    mut open: impl FnMut(&Methods) -> Result<Box<dyn Source>, RunError>,
) -> Result<(), End> {
    let ours = Hello::ours();
    link.send(&ours.to_bytes()?)?;
    let Some((Kind::Hello, body)) = link.next(None)? else { return Err(StreamError::Unexpected.into()) };
    ours.agree(&Hello::parse(&body)?)?;
    let mut agent = Agent {
        open: &mut open,
        source: None,
        failed: None,
        methods: Methods::default(),
        encoder: Encoder::new(),
        before: None,
        wants: None,
        every: None,
    };
    let mut due = None;
    loop {
        let asked = match link.next(due)? {
            Some((Kind::Request, body)) => {
                let request = serde_json::from_slice(&body);
                let asked = agent.request(request.map_err(|e| StreamError::Malformed(e.to_string()))?);
                due = agent.every.map(|every| due.unwrap_or_else(|| Instant::now() + every));
                asked
            }
            Some(_) => false,
            None => true,
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
mod tests {
    use super::*;
    use crate::cli::settings::value::EventsArg;
    use crate::collect::EventMethod;
    use crate::collect::remote::{FrameSource, request};
    use crate::collect::scenario::{Scenario, ScenarioSource};
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    fn demo() -> Box<dyn Source> {
        Box::new(ScenarioSource::new(Scenario::named("small").unwrap()))
    }

    /// An agent in a thread, and the other end of its stream.
    fn agent() -> (UnixStream, std::thread::JoinHandle<Result<(), String>>) {
        let (here, there) = UnixStream::pair().unwrap();
        // Less than a frame, so that writing has to wait for the reader.
        rustix::net::sockopt::set_socket_send_buffer_size(&there, 4096).unwrap();
        let serve = move || {
            let mut link = Link { input: &there, output: &there, inbox: Inbox::default() };
            match serve(&mut link, |_| Ok(demo())) {
                Err(End::Failed(e)) => Err(e.to_string()),
                Ok(()) | Err(End::Closed) => Ok(()),
            }
        };
        (here, std::thread::spawn(serve))
    }

    #[test]
    fn samples_are_those_of_the_source() {
        let (here, thread) = agent();
        let mut remote = FrameSource::connect(&here, &here, &Hello::ours()).unwrap();
        let mut local = demo();
        let wants = Wants::default();
        for _ in 0..3 {
            let (mut got, mut want) = (remote.sample(&wants).unwrap(), local.sample(&wants).unwrap());
            crate::frame::canonical(&mut want);
            crate::frame::canonical(&mut got);
            (got.at, got.duration_us) = (want.at, want.duration_us);
            assert!(
                got.sockets == want.sockets && got.processes == want.processes && got.names == want.names
            );
            assert_eq!(got.host, want.host);
        }
        drop(remote);
        drop(here);
        assert_eq!(thread.join().unwrap(), Ok(()), "it ends with its stream");
    }

    #[test]
    fn agent_ends_in_the_middle_of_a_frame_that_is_not_read() {
        let (mut here, thread) = agent();
        here.write_all(&Hello::ours().to_bytes().unwrap()).unwrap();
        let poll = Request { wants: Some(Wants::recording()), poll: true, ..Request::default() };
        // More answers than the buffer of the socket holds.
        for _ in 0..50 {
            here.write_all(&request(&poll).unwrap()).unwrap();
        }
        here.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(thread.join().unwrap(), Ok(()));
    }

    #[test]
    fn what_a_reader_of_another_version_sends_is_refused_or_skipped() {
        let (mut here, thread) = agent();
        let other = Hello { protocols: (8, 9), version: "9.0".into(), ..Hello::ours() };
        here.write_all(&other.to_bytes().unwrap()).unwrap();
        let why = thread.join().unwrap().unwrap_err();
        assert!(why.contains("sockscope 9.0 there speaks protocol 8 to 9"), "{why}");
        for wrong in [&b"7"[..], b"{\"wants\":7}", b"\xff"] {
            let (mut here, thread) = agent();
            here.write_all(&Hello::ours().to_bytes().unwrap()).unwrap();
            let mut unknown = message(Kind::Failed, &[0; 5000]).unwrap();
            unknown[4] = 99;
            here.write_all(&unknown).unwrap();
            here.write_all(&message(Kind::Request, wrong).unwrap()).unwrap();
            assert!(thread.join().unwrap().unwrap_err().contains("malformed"));
        }
    }

    #[test]
    fn source_is_opened_with_the_first_sample_and_again_for_other_methods() {
        let (here, there) = UnixStream::pair().unwrap();
        let (tx, opened) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut link = Link { input: &there, output: &there, inbox: Inbox::default() };
            let open = |methods: &Methods| {
                tx.send(methods.clone()).unwrap();
                Ok(demo())
            };
            matches!(serve(&mut link, open), Err(End::Closed))
        });
        let walk = Methods { owners: Some(OwnersBy::Walk), events: Some(EventMethod::Off), no_engine: true };
        let source = FrameSource::connect(&here, &here, &Hello::ours()).unwrap();
        assert!(opened.try_recv().is_err(), "nothing is read before it is asked for");
        let mut source = source.with_methods(walk.clone());
        for _ in 0..2 {
            source.sample(&Wants::default()).unwrap();
        }
        assert_eq!(opened.try_iter().collect::<Vec<_>>(), std::slice::from_ref(&walk));
        let mut source = source.with_methods(Methods { no_engine: true, ..Methods::default() });
        source.sample(&Wants::default()).unwrap();
        assert_eq!(opened.try_iter().map(|m| m.owners).collect::<Vec<_>>(), [None]);
        drop(source);
        drop(here);
        assert!(thread.join().unwrap());
    }

    #[test]
    fn agent_without_a_source_gives_the_reason_and_ends() {
        let (here, there) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn(move || {
            let mut link = Link { input: &there, output: &there, inbox: Inbox::default() };
            let result = serve(&mut link, |_| Err(RunError::Dashboard("open: no backend".to_owned())));
            matches!(result, Err(End::Failed(e)) if e.to_string().contains("no backend"))
        });
        let mut source = FrameSource::connect(&here, &here, &Hello::ours()).unwrap();
        let e = source.sample(&Wants::default()).map(|_| ()).unwrap_err().to_string();
        assert!(e.contains("open: no backend"), "{e}");
        assert!(thread.join().unwrap());
    }

    #[test]
    fn methods_of_the_reader_are_those_of_the_settings_unless_none_are_asked_for() {
        let mut settings = Settings { no_engine: true, ..Settings::default() };
        apply(&Methods::default(), &mut settings);
        assert!(settings.no_engine, "an agent that does not query engines is not made to");
        let auto = Settings::default();
        assert!(settings.owners == auto.owners && settings.events == auto.events);
        let bpf = Methods {
            owners: Some(OwnersBy::BpfIter),
            events: Some(EventMethod::SockDiag),
            no_engine: false,
        };
        apply(&bpf, &mut settings);
        assert!(settings.owners == OwnersArg::Bpf && settings.events == EventsArg::SockDiag);
    }

    #[test]
    fn samples_are_sent_by_themselves_at_an_interval() {
        let (mut here, thread) = agent();
        here.write_all(&Hello::ours().to_bytes().unwrap()).unwrap();
        let every = Request { interval_ms: Some(1), ..Request::default() };
        here.write_all(&request(&every).unwrap()).unwrap();
        let mut inbox = Inbox::default();
        let mut frames = 0;
        while frames < 3 {
            let mut chunk = [0; 4096];
            let n = io::Read::read(&mut here, &mut chunk).unwrap();
            assert!(n > 0, "the agent ended");
            inbox.push(&chunk[..n]);
            while let Some(item) = inbox.take().unwrap() {
                frames += usize::from(matches!(item, Item::Frame(..)));
            }
        }
        drop(here);
        assert_eq!(thread.join().unwrap(), Ok(()));
    }
}
