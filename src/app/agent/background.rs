//! Questions answered in a thread of their own, so that samples go on meanwhile. Replies are in the order of the questions.

use super::End;
use crate::app::questions::{Answered, Asked};
use crate::collect::remote::{Methods, StreamError};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Most questions that wait: a reader sends one of each kind.
const MAX_WAITING: usize = 64;

/// A question with the methods by which it is answered, or its reply if that is known.
pub(super) type Job = Result<(Asked, Methods), Answered>;

/// The thread.
pub(super) struct Background {
    jobs: Sender<Job>,
    replies: Receiver<Answered>,
    done: Arc<OwnedFd>,
    /// Questions without a reply.
    waiting: usize,
}

impl Background {
    /// Starts the thread. It ends after this is dropped, or with the process.
    pub(super) fn start(
        mut reply: impl FnMut(Asked, &Methods) -> Answered + Send + 'static,
    ) -> io::Result<Self> {
        let done = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (jobs, inbox) = channel::<Job>();
        let (outbox, replies) = channel();
        let wake = Arc::clone(&done);
        std::thread::Builder::new().name("replies".to_owned()).spawn(move || {
            for job in inbox {
                let reply = job.map_or_else(|known| known, |(asked, methods)| reply(asked, &methods));
                if outbox.send(reply).is_err() {
                    break;
                }
                let _ = rustix::io::write(&wake, &1_u64.to_ne_bytes());
            }
        })?;
        Ok(Self { jobs, replies, done, waiting: 0 })
    }

    /// Adds a question.
    pub(super) fn submit(&mut self, job: Job) -> Result<(), End> {
        self.waiting += 1;
        if self.waiting > MAX_WAITING || self.jobs.send(job).is_err() {
            return Err(StreamError::Unexpected.into());
        }
        Ok(())
    }

    /// Replies that are there.
    pub(super) fn take(&mut self) -> Vec<Answered> {
        let _ = rustix::io::read(&self.done, &mut [0; 8]);
        let out: Vec<Answered> = self.replies.try_iter().collect();
        self.waiting -= out.len();
        out
    }

    /// Descriptor that can be read once a reply is there.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }
}
