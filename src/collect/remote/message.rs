//! Messages between an agent and its reader, among frames.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | magic `SsM` and the number of this layout |
//! | 4 | 1 | kind |
//! | 5 | 3 | zero |
//! | 8 | 4 | length of what follows, bytes, little-endian |
//!
//! What follows is JSON, of which unknown keys are ignored, or text. Samples are frames as in a recording, see
//! [`crate::frame`]; they begin with another magic.

use super::methods::Methods;
use crate::frame::{FrameError, FrameHead, HEADER_LEN, MAGIC as FRAME_MAGIC, head_of};
use crate::model::text::escape;
use crate::model::{Shown, Wants};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// First bytes of every message.
pub(super) const MAGIC: [u8; 4] = *b"SsM1";
/// Length of the header of a message, bytes.
const HEAD: usize = 12;
/// Longest message of a known kind, bytes.
const MAX_MESSAGE: u32 = 64 << 10;
/// Longest reply to a question, bytes.
const MAX_REPLY: u32 = 1 << 20;
/// Longest message of an unknown kind, bytes: it is skipped, not kept.
const MAX_UNKNOWN: u32 = 1 << 20;
/// Most bytes before the first message: what a start-up file of the remote shell prints.
const MAX_PREAMBLE: usize = 64 << 10;
/// Most bytes of them that are kept for an error.
const SHOWN_PREAMBLE: usize = 160;

/// Kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// First message in each direction: [`super::Hello`].
    Hello,
    /// To the agent: [`Request`].
    Request,
    /// From the agent, instead of a frame: the reason why there is no sample, as text.
    Failed,
    /// To the agent: [`super::Ask`].
    Ask,
    /// From the agent: [`super::Reply`].
    Reply,
}

impl Kind {
    /// All with their numbers.
    const ALL: [(Self, u8); 5] =
        [(Self::Hello, 1), (Self::Request, 2), (Self::Failed, 3), (Self::Ask, 4), (Self::Reply, 5)];

    fn number(self) -> u8 {
        Self::ALL.iter().find(|(k, _)| *k == self).map_or(0, |(_, n)| *n)
    }

    /// Longest message, bytes.
    const fn limit(self) -> u32 {
        match self {
            Self::Reply => MAX_REPLY,
            _ => MAX_MESSAGE,
        }
    }
}

/// Request to an agent. What is not given stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Data of the samples from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wants: Option<Wants>,
    /// Owners and names of all sockets are checked in each sample ([`crate::model::Verify::All`]).
    #[serde(default)]
    pub verify_all: bool,
    /// Sockets and processes that a screen shows, whose owners and names are checked first ([`crate::model::Verify::Shown`]); of
    /// each sample from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Arc<Shown>>,
    /// One sample now.
    #[serde(default)]
    pub poll: bool,
    /// Time between samples that the agent sends without being asked, milliseconds; 0: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// Methods by which the samples from now on are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Methods>,
}

/// Error of a stream. Nothing after it is used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The bytes are no stream of an agent.
    #[error("not the stream of an agent: {0:?}")]
    NotAgent(String),
    /// Neither a message nor a frame begins where one must.
    #[error("stream of the agent is damaged")]
    Damaged,
    /// A message is longer than its kind allows.
    #[error("message of {len} bytes is longer than the {limit} allowed")]
    TooLong {
        /// Announced length.
        len: u32,
        /// Bound.
        limit: u32,
    },
    /// A message that cannot be read.
    #[error("message of the agent is malformed: {0}")]
    Malformed(String),
    /// A frame that cannot be read.
    #[error("{0}")]
    Frame(FrameError),
    /// A sample larger than the share of the memory that its host has.
    #[error("sample takes more than {} MiB, the share of the memory that each host has: name fewer hosts", .0 >> 20)]
    Memory(u64),
    /// A message at the wrong time: no hello first, or a second one.
    #[error("unexpected message from the agent")]
    Unexpected,
    /// No protocol that both know.
    #[error("sockscope {version} there speaks protocol {theirs}, this one {ours}: install the same version")]
    Protocol {
        /// Version of the other end.
        version: String,
        /// Its protocols.
        theirs: String,
        /// Protocols of this version.
        ours: String,
    },
    /// No schema of frames that both know.
    #[error(
        "sockscope {version} there writes frames of schema {theirs}, this one reads up to {ours}: update this one"
    )]
    Schema {
        /// Version of the other end.
        version: String,
        /// Its oldest schema.
        theirs: u16,
        /// Newest schema that this version reads.
        ours: u16,
    },
    /// The stream ends.
    #[error("the agent ended")]
    Ended,
}

impl From<FrameError> for StreamError {
    fn from(e: FrameError) -> Self {
        Self::Frame(e)
    }
}

/// One message as bytes.
pub fn message(kind: Kind, body: &[u8]) -> Result<Vec<u8>, StreamError> {
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let limit = kind.limit();
    if len > limit {
        return Err(StreamError::TooLong { len, limit });
    }
    let mut out = Vec::with_capacity(HEAD + body.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[kind.number(), 0, 0, 0]);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(body);
    Ok(out)
}

/// A request as bytes.
pub fn request(r: &Request) -> Result<Vec<u8>, StreamError> {
    let body = serde_json::to_vec(r).map_err(|e| StreamError::Malformed(e.to_string()))?;
    message(Kind::Request, &body)
}

/// Whole part of a stream.
#[derive(Debug)]
pub enum Item {
    /// A message.
    Message(Kind, Vec<u8>),
    /// A frame with its payload, not verified yet.
    Frame(FrameHead, Vec<u8>),
}

/// Bytes that were received and not used yet. It holds at most one item and what was received with it.
#[derive(Debug, Default)]
pub struct Inbox {
    buffer: Vec<u8>,
    /// Bytes of a message of unknown kind that are still to be skipped.
    skip: usize,
    /// The first message began.
    started: bool,
    /// Start of what came before it.
    preamble: Vec<u8>,
    before: usize,
    /// Longest frame, bytes, if it is less than that of any frame.
    longest: Option<u32>,
}

impl Inbox {
    /// Refuses longer frames, bytes.
    pub const fn within(&mut self, longest: u32) {
        self.longest = Some(longest);
    }

    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        self.buffer.extend_from_slice(&bytes[skipped..]);
    }

    /// Number of bytes that wait for the rest of their item.
    pub const fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes before the first message, for an error: the start of what a shell printed.
    pub fn preamble(&self) -> String {
        let mut shown = self.preamble.clone();
        // The last bytes may be the start of a message.
        if !self.started && shown.len() == self.before {
            shown.extend_from_slice(&self.buffer);
        }
        let text = String::from_utf8_lossy(&shown[..shown.len().min(SHOWN_PREAMBLE)]).into_owned();
        escape(text.trim()).into_owned()
    }

    /// Next whole item; `None` until more bytes are there.
    pub fn take(&mut self) -> Result<Option<Item>, StreamError> {
        if !self.started && !self.start()? {
            return Ok(None);
        }
        loop {
            let Some(magic) = self.buffer.first_chunk::<4>() else {
                let is_start = |m: [u8; 4]| m.starts_with(&self.buffer);
                return if is_start(MAGIC) || is_start(FRAME_MAGIC) {
                    Ok(None)
                } else {
                    Err(StreamError::Damaged)
                };
            };
            if *magic == FRAME_MAGIC {
                return self.frame();
            }
            if *magic != MAGIC {
                return Err(StreamError::Damaged);
            }
            let Some(head) = self.buffer.first_chunk::<HEAD>() else { return Ok(None) };
            let len = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
            let kind = Kind::ALL.iter().find(|(_, n)| *n == head[4]).map(|(k, _)| *k);
            let limit = kind.map_or(MAX_UNKNOWN, Kind::limit);
            if len > limit {
                return Err(StreamError::TooLong { len, limit });
            }
            let whole = HEAD + len as usize;
            let Some(kind) = kind else {
                let here = whole.min(self.buffer.len());
                self.buffer.drain(..here);
                self.skip = whole - here;
                continue;
            };
            if self.buffer.len() < whole {
                return Ok(None);
            }
            let body = self.buffer[HEAD..whole].to_vec();
            self.buffer.drain(..whole);
            return Ok(Some(Item::Message(kind, body)));
        }
    }

    fn frame(&mut self) -> Result<Option<Item>, StreamError> {
        let Some(header) = self.buffer.first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let head = head_of(header)?;
        if let Some(limit) = self.longest.filter(|limit| head.len > *limit) {
            return Err(FrameError::TooLarge {
                subject: "bytes",
                value: head.len.into(),
                limit: limit.into(),
            }
            .into());
        }
        let whole = HEADER_LEN + head.len as usize;
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let body = self.buffer[HEADER_LEN..whole].to_vec();
        self.buffer.drain(..whole);
        Ok(Some(Item::Frame(head, body)))
    }

    /// Skips what a start-up file of the remote shell printed; true at the first message.
    fn start(&mut self) -> Result<bool, StreamError> {
        let found = self.buffer.windows(MAGIC.len()).position(|w| w == MAGIC);
        let skipped = found.unwrap_or(self.buffer.len().saturating_sub(MAGIC.len() - 1));
        let kept = skipped.min(SHOWN_PREAMBLE.saturating_sub(self.preamble.len()));
        self.preamble.extend_from_slice(&self.buffer[..kept]);
        self.before += skipped;
        self.buffer.drain(..skipped);
        if self.before > MAX_PREAMBLE {
            return Err(StreamError::NotAgent(self.preamble()));
        }
        self.started = found.is_some();
        Ok(self.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items of a stream that arrives in pieces of this length.
    fn items(bytes: &[u8], piece: usize) -> Result<Vec<(Kind, Vec<u8>)>, StreamError> {
        let mut inbox = Inbox::default();
        let mut out = Vec::new();
        for piece in bytes.chunks(piece) {
            inbox.push(piece);
            while let Some(item) = inbox.take()? {
                match item {
                    Item::Message(kind, body) => out.push((kind, body)),
                    Item::Frame(..) => panic!("no frame was sent"),
                }
            }
        }
        Ok(out)
    }

    #[test]
    fn messages_arrive_in_pieces_after_what_a_shell_printed() {
        let mut bytes = b"Welcome to web-1\nSsM \x1b[2J\n".to_vec();
        bytes.extend(message(Kind::Hello, b"one").unwrap());
        let mut unknown = message(Kind::Hello, &vec![7; 40_000]).unwrap();
        unknown[4] = 200;
        bytes.extend(unknown);
        bytes.extend(message(Kind::Failed, b"two").unwrap());
        let want = vec![(Kind::Hello, b"one".to_vec()), (Kind::Failed, b"two".to_vec())];
        for piece in [1, 3, 11, 4096, bytes.len()] {
            assert_eq!(items(&bytes, piece).unwrap(), want, "pieces of {piece}");
        }
        // Cut off anywhere: no error, and nothing that was not sent.
        for cut in 0..bytes.len() {
            let got = items(&bytes[..cut], 4096).unwrap();
            assert!(want.starts_with(&got), "cut at {cut}");
        }
    }

    #[test]
    fn sizes_are_refused_before_anything_is_kept() {
        let mut long = message(Kind::Hello, b"x").unwrap();
        long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(items(&long, 4096), Err(StreamError::TooLong { len: u32::MAX, limit: MAX_MESSAGE }));
        long[4] = 200;
        assert_eq!(items(&long, 4096), Err(StreamError::TooLong { len: u32::MAX, limit: MAX_UNKNOWN }));
        let mut damaged = message(Kind::Hello, b"x").unwrap();
        damaged.extend_from_slice(b"nonsense");
        assert_eq!(items(&damaged, 4096), Err(StreamError::Damaged));
        assert!(message(Kind::Failed, &vec![0; MAX_MESSAGE as usize + 1]).is_err());
    }

    #[test]
    fn stream_of_something_else_is_named_without_its_escapes() {
        let mut motd = b"bash: \x1b]0;x\x07 not found\n".to_vec();
        motd.resize(MAX_PREAMBLE + 10, b'.');
        let e = items(&motd, 4096).unwrap_err();
        assert!(
            matches!(&e, StreamError::NotAgent(t) if t.starts_with("bash: ") && !t.contains('\x1b')),
            "{e}"
        );
        let mut inbox = Inbox::default();
        inbox.push(b"no such command\n");
        assert!(inbox.take().unwrap().is_none());
        assert_eq!(inbox.preamble(), "no such command");
    }
}
