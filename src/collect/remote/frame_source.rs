//! Source of samples over a stream.

mod exchange;

pub(super) use exchange::Arrived;

use super::ask::{Ask, Reply};
use super::hello::{Agreed, Hello};
use super::message::{Inbox, Item, Kind, Request, StreamError, message, request};
use super::methods::Methods;
use crate::collect::source::{CollectError, Source};
use crate::frame::{Decoder, FrameError, FrameKind, MAX_MEMORY};
use crate::model::text::escape;
use crate::model::{Sample, Shown, Verify, Wants};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

/// Bytes read at once.
const CHUNK: usize = 1 << 16;

/// Samples that an agent sends, one for each call.
#[derive(Debug)]
pub struct FrameSource<R, W> {
    input: R,
    output: W,
    inbox: Inbox,
    decoder: Decoder,
    chunk: Vec<u8>,
    hello: Hello,
    agreed: Agreed,
    /// Request that was sent last.
    sent: Option<Wants>,
    /// Rows on a screen that were sent last.
    shown: Option<Arc<Shown>>,
    /// The stream cannot be used any more.
    is_broken: bool,
    /// Methods by which the agent reads, to be sent with the first request.
    methods: Option<Methods>,
    /// Limit of the memory of a sample, bytes.
    memory: u64,
}

impl<R: Read, W: Write> FrameSource<R, W> {
    /// Exchanges hellos and agrees on what both speak. It waits for the one of the agent as long as the stream does.
    pub fn connect(input: R, output: W, ours: &Hello) -> Result<Self, CollectError> {
        Self::greet(input, output, ours)?.agree(ours)
    }

    /// Agrees on the protocol and the schema that both know.
    pub fn agree(mut self, ours: &Hello) -> Result<Self, CollectError> {
        self.agreed = ours.agree(&self.hello).map_err(|e| unusable(&e))?;
        Ok(self)
    }

    /// Exchanges hellos.
    pub fn greet(input: R, mut output: W, ours: &Hello) -> Result<Self, CollectError> {
        write(&mut output, &ours.to_bytes().map_err(|e| unusable(&e))?)?;
        let mut out = Self {
            input,
            output,
            inbox: Inbox::default(),
            decoder: Decoder::new(),
            chunk: vec![0; CHUNK],
            hello: Hello::default(),
            agreed: Agreed { protocol: 0, schema: 0 },
            sent: None,
            shown: None,
            is_broken: false,
            methods: None,
            memory: MAX_MEMORY,
        };
        let item = out.read()?;
        let Item::Message(Kind::Hello, body) = item else { return Err(unusable(&StreamError::Unexpected)) };
        out.hello = Hello::parse(&body).map_err(|e| unusable(&e))?;
        Ok(out)
    }

    /// Sends the methods by which the agent reads with the next request.
    #[must_use]
    pub fn with_methods(mut self, methods: Methods) -> Self {
        self.methods = (methods != Methods::default()).then_some(methods);
        self
    }

    /// Refuses samples that take more memory than this, bytes. Beside it the previous sample is held, and a frame of a quarter.
    #[must_use]
    pub fn within(mut self, memory: u64) -> Self {
        self.memory = memory;
        self.decoder.within(memory);
        self.inbox.within(u32::try_from(memory / 4).unwrap_or(u32::MAX));
        self
    }

    /// Stream from the agent.
    pub const fn input(&self) -> &R {
        &self.input
    }

    /// Hello of the agent.
    pub const fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Protocol and schema in use.
    pub const fn agreed(&self) -> Agreed {
        self.agreed
    }

    /// True if nothing more comes from this stream: its agent ended, or sent what cannot be read.
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Asks a question and waits for the reply.
    pub fn ask<Q: Serialize, P: DeserializeOwned, A: DeserializeOwned>(
        &mut self,
        ask: &Ask<Q>,
    ) -> Result<Reply<P, A>, CollectError> {
        if !self.hello.answers(ask.kind()) {
            return Ok(Reply::Refused(format!("the agent does not answer: {}", ask.kind().name())));
        }
        let malformed = |e: serde_json::Error| unusable(&StreamError::Malformed(e.to_string()));
        let body = serde_json::to_vec(ask).map_err(malformed)?;
        write(&mut self.output, &message(Kind::Ask, &body).map_err(|e| unusable(&e))?)?;
        let reply = match self.read()? {
            Item::Message(Kind::Reply, body) => serde_json::from_slice(&body).map_err(malformed),
            Item::Frame(..) | Item::Message(..) => Err(unusable(&StreamError::Unexpected)),
        };
        self.is_broken |= reply.is_err();
        reply
    }

    /// An error of the stream; of a size that another limit would allow, with the share.
    fn of_share(memory: u64, e: StreamError) -> StreamError {
        match e {
            StreamError::Frame(FrameError::TooLarge { subject: "bytes" | "bytes of memory", .. })
                if memory < MAX_MEMORY =>
            {
                StreamError::Memory(memory)
            }
            e => e,
        }
    }

    /// Next item of the stream. After an error there is none.
    fn read(&mut self) -> Result<Item, CollectError> {
        let item = self.next();
        self.is_broken |= item.is_err();
        item
    }

    fn next(&mut self) -> Result<Item, CollectError> {
        loop {
            if let Some(item) = self.take()? {
                return Ok(item);
            }
            self.fill()?;
        }
    }

    /// Next item of what was received.
    fn take(&mut self) -> Result<Option<Item>, CollectError> {
        self.inbox.take().map_err(|e| unusable(&Self::of_share(self.memory, e)))
    }

    /// Receives once.
    fn fill(&mut self) -> Result<(), CollectError> {
        let read = match self.input.read(&mut self.chunk) {
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(e) => return Err(CollectError::io("read", "the stream of the agent", e)),
            Ok(n) => n,
        };
        if read == 0 {
            let shown = self.inbox.preamble();
            let is_agent = self.agreed.protocol > 0 || shown.is_empty();
            let end = if is_agent { StreamError::Ended } else { StreamError::NotAgent(shown) };
            return Err(unusable(&end));
        }
        self.inbox.push(&self.chunk[..read]);
        Ok(())
    }

    /// Asks for a sample, which arrives later.
    pub(super) fn request(&mut self, wants: &Wants) -> Result<(), CollectError> {
        // Rows on a screen change more often than the rest.
        let plain = Wants { verify: Verify::IfFew, ..wants.clone() };
        let changed = self.sent.as_ref() != Some(&plain);
        let shown = match &wants.verify {
            Verify::Shown(shown) => Some(Arc::clone(shown)),
            Verify::IfFew | Verify::All => None,
        };
        let ask = Request {
            wants: changed.then(|| plain.clone()),
            verify_all: wants.verify == Verify::All,
            shown: shown.clone().filter(|_| shown != self.shown),
            poll: true,
            interval_ms: None,
            methods: self.methods.take(),
        };
        write(&mut self.output, &request(&ask).map_err(|e| unusable(&e))?)?;
        self.sent = Some(plain);
        self.shown = shown.or_else(|| self.shown.take());
        Ok(())
    }

    /// Sample of an item that must be one.
    fn sample_of(&mut self, item: &Item) -> Result<Sample, CollectError> {
        match item {
            Item::Frame(head, body) if head.kind != FrameKind::End => match self.decoder.frame(head, body) {
                Ok(sample) => Ok(sample.clone()),
                Err(e) => {
                    self.is_broken = true;
                    Err(unusable(&Self::of_share(self.memory, e.into())))
                }
            },
            Item::Message(Kind::Failed, why) => {
                let why = escape(&String::from_utf8_lossy(why)).into_owned();
                Err(CollectError::Unavailable { backend: "agent", why })
            }
            Item::Frame(..) | Item::Message(..) => {
                self.is_broken = true;
                Err(unusable(&StreamError::Unexpected))
            }
        }
    }
}

/// An error of the stream as one of a source.
fn unusable(e: &StreamError) -> CollectError {
    CollectError::Unavailable { backend: "agent", why: e.to_string() }
}

fn write(output: &mut impl Write, bytes: &[u8]) -> Result<(), CollectError> {
    let written = output.write_all(bytes).and_then(|()| output.flush());
    match written {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()), // The reason is what can still be read.
        other => other.map_err(|e| CollectError::io("write", "the stream of the agent", e)),
    }
}

impl<R: Read + Send, W: Write + Send> Source for FrameSource<R, W> {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        self.request(wants)?;
        let item = self.read()?;
        self.sample_of(&item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Encoder;
    use crate::testing;
    use std::io;

    /// Stream of an agent that sent these samples.
    fn stream(samples: &[Sample]) -> Vec<u8> {
        let mut out = Hello::ours().to_bytes().unwrap();
        let mut encoder = Encoder::new();
        for (i, s) in samples.iter().enumerate() {
            out.extend(encoder.frame(s, i.checked_sub(1).map(|j| &samples[j])).unwrap());
        }
        out
    }

    fn samples(n: u64) -> Vec<Sample> {
        let sample = |i| {
            let mut s = testing::many(30).sample;
            s.at.boot_ns += i * 1_000_000_000;
            crate::frame::canonical(&mut s);
            s
        };
        (0..n).map(sample).collect()
    }

    fn read_all(bytes: &[u8]) -> (usize, CollectError) {
        let mut source = match FrameSource::connect(bytes, io::sink(), &Hello::ours()) {
            Ok(source) => source,
            Err(e) => return (0, e),
        };
        for n in 0.. {
            if let Err(e) = source.sample(&Wants::default()) {
                return (n, e);
            }
        }
        unreachable!()
    }

    #[test]
    fn samples_are_those_that_were_sent() {
        let sent = samples(3);
        let bytes = stream(&sent);
        let mut requests = Vec::new();
        let mut source = FrameSource::connect(&bytes[..], &mut requests, &Hello::ours()).unwrap();
        assert_eq!(source.hello().version, env!("CARGO_PKG_VERSION"));
        for s in &sent {
            let got = source.sample(&Wants::default()).unwrap();
            assert!(got == *s, "sample at {:?}", s.at);
        }
        drop(source);
        let mut inbox = Inbox::default();
        inbox.push(&requests);
        let mut asked = Vec::new();
        while let Some(Item::Message(kind, body)) = inbox.take().unwrap() {
            if kind == Kind::Request {
                asked.push(serde_json::from_slice::<Request>(&body).unwrap());
            }
        }
        assert_eq!(asked.iter().map(|r| r.wants.is_some()).collect::<Vec<_>>(), [true, false, false]);
        assert!(asked.iter().all(|r| r.poll));
    }

    /// Bytes of an agent of the first protocol: later versions read them too.
    #[test]
    fn agent_of_the_first_protocol_is_read() {
        let bytes = include_bytes!("../../../fuzz/seeds/agent_stream/protocol-1");
        let mut source = FrameSource::connect(&bytes[..], io::sink(), &Hello::ours()).unwrap();
        assert_eq!((source.hello().host.as_str(), source.agreed().protocol), ("web-1", 1));
        for _ in 0..3 {
            assert!(!source.sample(&Wants::default()).unwrap().sockets.is_empty());
        }
        assert!(source.sample(&Wants::default()).unwrap_err().to_string().contains("the agent ended"));
    }

    #[test]
    fn stream_cut_off_anywhere_ends_with_the_samples_before() {
        let bytes = stream(&samples(2));
        let step = (bytes.len() / 400).max(1);
        for cut in (0..bytes.len()).step_by(step).chain(bytes.len() - 40..bytes.len()) {
            let (n, e) = read_all(&bytes[..cut]);
            assert!(n < 2, "cut at {cut}");
            assert!(e.to_string().starts_with("agent: "), "{e}");
        }
        assert_eq!(read_all(&bytes).0, 2);
    }

    #[test]
    fn hostile_agents_are_bounded() {
        let hello = Hello::ours().to_bytes().unwrap();
        let good = stream(&samples(1));
        // The payload is another than the checksum in the header.
        let mut damaged = good.clone();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        let failed = [hello.clone(), message(Kind::Failed, b"no \x1b[2J access").unwrap()].concat();
        for (name, bytes, want) in [
            ("checksum", damaged, "checksum"),
            ("no frame", [&hello[..], b"SsF1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"].concat(), "checksum"),
            ("second hello", [hello.clone(), hello.clone()].concat(), "unexpected"),
            ("frame first", good[hello.len()..].to_vec(), "agent: "),
            ("other program", b"bash: sockscope: command not found\n".to_vec(), "command not found"),
            ("refusal", failed, "no "),
            ("nothing", Vec::new(), "ended"),
        ] {
            let (n, e) = read_all(&bytes);
            let e = e.to_string();
            assert!(n == 0 && e.contains(want) && !e.contains('\x1b'), "{name}: {e}");
        }
    }

    #[test]
    fn agent_of_another_protocol_is_refused_with_its_version() {
        let other = Hello { protocols: (7, 9), version: "9.0".into(), ..Hello::ours() };
        let (_, e) = read_all(&other.to_bytes().unwrap());
        assert!(e.to_string().contains("sockscope 9.0 there speaks protocol 7 to 9"), "{e}");
    }
}
