//! Requests to the thread of a host, from any thread: samples and questions, one of each kind at a time.
//!
//! Replies come in the order in which their questions were sent. A question that was not sent yet is replaced by the next one of
//! its kind, so that a screen that asks faster than a host answers makes no queue.

use super::ask::AskKind;
use super::frame_source::{Arrived, FrameSource};
use super::remote_end::RemoteEnd;
use crate::collect::source::CollectError;
use crate::model::{Sample, Wants};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reason why a question has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoReply {
    /// The agent, of this version, does not answer questions of this kind.
    NotAnswered(String),
    /// The connection ended before, or there is none: the reason.
    Lost(String),
}

/// Function that takes replies: the number of a question, and the body of the reply or the reason why there is none.
pub(super) type OnReply = Box<dyn FnMut(u64, Result<Vec<u8>, NoReply>) + Send>;

/// A question.
struct Question {
    number: u64,
    kind: AskKind,
    body: Vec<u8>,
}

/// Requests that were not sent yet.
#[derive(Default)]
struct Slot {
    sample: Option<Wants>,
    questions: Vec<Question>,
    /// No more samples are taken.
    closed: bool,
    /// The connection ended: the reason.
    ended: Option<NoReply>,
}

impl Slot {
    /// Adds a question in place of one of its kind.
    fn put(&mut self, question: Question) {
        self.questions.retain(|q| q.kind != question.kind);
        self.questions.push(question);
    }
}

/// Requests that were not sent yet, and what wakes the thread that sends them.
pub(super) struct Requests {
    slot: Mutex<Slot>,
    wake: OwnedFd,
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

impl Requests {
    pub(super) fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { slot: Mutex::default(), wake })
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// Requests a sample.
    pub(super) fn sample(&self, wants: &Wants) {
        self.slot().sample = Some(wants.clone());
        self.wake();
    }

    /// Ends the thread.
    pub(super) fn close(&self) {
        self.slot().closed = true;
        self.wake();
    }

    /// Takes all out; `None` if no more are sent.
    fn take(&self) -> Option<(Option<Wants>, Vec<Question>)> {
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        let mut slot = self.slot();
        (!slot.closed).then(|| (slot.sample.take(), std::mem::take(&mut slot.questions)))
    }
}

/// Handle that asks a host, for other threads.
#[derive(Clone, Debug)]
pub struct Asker(pub(super) Arc<Requests>);

impl Asker {
    /// Asks a question with a body ([`super::Ask`] as JSON). The number, which is given with the reply, must be another one for each
    /// question.
    pub fn ask(&self, number: u64, kind: AskKind, body: Vec<u8>) -> Result<(), NoReply> {
        let mut slot = self.0.slot();
        if let Some(why) = &slot.ended {
            return Err(why.clone());
        }
        slot.put(Question { number, kind, body });
        drop(slot);
        self.0.wake();
        Ok(())
    }
}

/// Both directions of the stream of a host. When it is dropped, questions without a reply get the reason.
pub(super) struct Exchange {
    pub(super) requests: Arc<Requests>,
    pub(super) answers: Sender<Result<Sample, RemoteEnd>>,
    pub(super) on_reply: OnReply,
    /// A sample was asked for.
    awaits_sample: bool,
    /// Questions that were sent, in order.
    asked: VecDeque<(u64, AskKind)>,
    /// Reason why the connection ended.
    pub(super) end: String,
}

impl Exchange {
    pub(super) fn new(
        requests: Arc<Requests>,
        answers: Sender<Result<Sample, RemoteEnd>>,
        on_reply: OnReply,
    ) -> Self {
        let end = "the connection ended".to_owned();
        Self { requests, answers, on_reply, awaits_sample: false, asked: VecDeque::new(), end }
    }

    /// Sends requests and takes what arrives, until the stream ends or its reader does.
    pub(super) fn run<R: Read + AsFd, W: Write>(
        &mut self,
        source: &mut FrameSource<R, W>,
    ) -> Result<(), CollectError> {
        loop {
            // The stream is not read before something is asked for: an agent that sends without being asked waits.
            while self.awaits()
                && let Some(arrived) = source.arrived()?
            {
                match arrived {
                    Arrived::Sample(sample) => {
                        if !std::mem::take(&mut self.awaits_sample) {
                            return Err(source.unexpected());
                        }
                        if self.answers.send(Ok(*sample)).is_err() {
                            return Ok(());
                        }
                    }
                    Arrived::Reply(body) => match self.asked.pop_front() {
                        Some((number, _)) => (self.on_reply)(number, Ok(body)),
                        None => return Err(source.unexpected()),
                    },
                }
            }
            let Some((wants, questions)) = self.requests.take() else { return Ok(()) };
            let is_new = self.send(source, wants, questions)?;
            // It may be there already.
            if !is_new && self.wait(source.input())? {
                source.receive()?;
            }
        }
    }

    fn awaits(&self) -> bool {
        self.awaits_sample || !self.asked.is_empty()
    }

    /// Waits for requests, and for the stream if something was asked for; true if the stream can be read.
    fn wait(&self, stream: &impl AsFd) -> Result<bool, CollectError> {
        let mut fds = vec![PollFd::new(&self.requests.wake, PollFlags::IN)];
        fds.extend(self.awaits().then(|| PollFd::new(stream, PollFlags::IN)));
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => Ok(fds.get(1).is_some_and(|fd| !fd.revents().is_empty())),
            Err(e) => Err(CollectError::io("wait for", "the stream of the agent", e)),
        }
    }

    /// Sends what was requested; true if it was. Of each kind of questions one is sent, and the next after its reply.
    fn send<R: Read, W: Write>(
        &mut self,
        source: &mut FrameSource<R, W>,
        wants: Option<Wants>,
        questions: Vec<Question>,
    ) -> Result<bool, CollectError> {
        let mut is_new = false;
        if let Some(wants) = wants {
            source.request(&wants)?;
            (self.awaits_sample, is_new) = (true, true);
        }
        for question in questions {
            let Question { number, kind, body } = question;
            if !source.hello().answers(kind) {
                let version = source.hello().version.clone();
                (self.on_reply)(number, Err(NoReply::NotAnswered(version)));
            } else if self.asked.iter().any(|(_, k)| *k == kind) {
                let mut slot = self.requests.slot();
                if slot.questions.iter().all(|q| q.kind != kind) {
                    slot.questions.push(Question { number, kind, body });
                }
            } else {
                source.send_question(&body)?;
                self.asked.push_back((number, kind));
                is_new = true;
            }
        }
        Ok(is_new)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let why = NoReply::Lost(std::mem::take(&mut self.end));
        let left = {
            let mut slot = self.requests.slot();
            slot.ended = Some(why.clone());
            std::mem::take(&mut slot.questions)
        };
        let unsent = left.into_iter().map(|q| q.number);
        for number in self.asked.drain(..).map(|(number, _)| number).chain(unsent) {
            (self.on_reply)(number, Err(why.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
