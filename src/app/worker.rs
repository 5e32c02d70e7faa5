//! A background thread that runs the newest job; jobs that were not started are replaced by it.

use crate::sync::Mailbox;
use std::io;

/// A running worker thread. It stops after its current job once this is dropped.
#[derive(Debug)]
pub(super) struct Worker<J>(Mailbox<J>);

impl<J: Send + 'static> Worker<J> {
    /// Starts a thread of this name. `run` returns whether to go on.
    pub(super) fn start(name: &str, mut run: impl FnMut(J) -> bool + Send + 'static) -> io::Result<Self> {
        let jobs = Mailbox::default();
        let inbox = jobs.clone();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(job) = inbox.wait() {
                if !run(job) {
                    return;
                }
            }
        })?;
        Ok(Self(jobs))
    }

    /// Submits a job, to be run next.
    pub(super) fn submit(&self, job: J) {
        self.0.put(job);
    }
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        self.0.close();
    }
}
