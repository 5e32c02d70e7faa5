//! Samples and replies of one stream as they arrive: neither waits for the other.

use super::{FrameSource, Kind, StreamError, message, unusable, write};
use crate::collect::remote::Item;
use crate::collect::source::CollectError;
use crate::model::Sample;
use std::io::{Read, Write};

/// Part of a stream that arrived.
#[derive(Debug)]
pub(in crate::collect::remote) enum Arrived {
    /// A sample that was asked for.
    Sample(Box<Sample>),
    /// Body of the reply to a question.
    Reply(Vec<u8>),
}

impl<R: Read, W: Write> FrameSource<R, W> {
    /// Asks a question with this body, whose reply arrives later.
    pub(in crate::collect::remote) fn send_question(&mut self, body: &[u8]) -> Result<(), CollectError> {
        write(&mut self.output, &message(Kind::Ask, body).map_err(|e| unusable(&e))?)
    }

    /// Receives once, without waiting if the stream can be read.
    pub(in crate::collect::remote) fn receive(&mut self) -> Result<(), CollectError> {
        let filled = self.fill();
        self.is_broken |= filled.is_err();
        filled
    }

    /// Next part of what was received, if it is whole.
    pub(in crate::collect::remote) fn arrived(&mut self) -> Result<Option<Arrived>, CollectError> {
        match self.take() {
            Ok(None) => Ok(None),
            Ok(Some(Item::Message(Kind::Reply, body))) => Ok(Some(Arrived::Reply(body))),
            Ok(Some(item)) => self.sample_of(&item).map(|s| Some(Arrived::Sample(Box::new(s)))),
            Err(e) => {
                self.is_broken = true;
                Err(e)
            }
        }
    }

    /// Error of a part that was not asked for; nothing after it is used.
    pub(in crate::collect::remote) fn unexpected(&mut self) -> CollectError {
        self.is_broken = true;
        unusable(&StreamError::Unexpected)
    }
}
