//! The thread that filters, sorts and groups where there are many rows. The newest job is done next; those before it that were
//! not begun are dropped.

use crate::tui::arrange::{ArrangeJob, ArrangeResult};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// What was asked last and is not begun.
#[derive(Debug, Default)]
struct Slot {
    job: Mutex<Option<Box<ArrangeJob>>>,
    filled: Condvar,
}

/// A running thread. It ends with the process.
#[derive(Debug)]
pub(super) struct Arranger(Arc<Slot>);

impl Arranger {
    /// Starts it. `tell` gets each answer, or `None` when it failed by a fault of this program; it says whether to go on.
    pub(super) fn start(
        mut tell: impl FnMut(Option<Box<ArrangeResult>>) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let slot = Arc::new(Slot::default());
        let inner = Arc::clone(&slot);
        std::thread::Builder::new().name("arranger".into()).spawn(move || {
            loop {
                let mut job = inner.job.lock().unwrap_or_else(PoisonError::into_inner);
                let next = loop {
                    match job.take() {
                        Some(next) => break next,
                        None => job = inner.filled.wait(job).unwrap_or_else(PoisonError::into_inner),
                    }
                };
                drop(job);
                let answer = catch_unwind(AssertUnwindSafe(|| Box::new(next.work()))).ok();
                let failed = answer.is_none();
                if !tell(answer) || failed {
                    return;
                }
            }
        })?;
        Ok(Self(slot))
    }

    /// Asks for this next.
    pub(super) fn ask(&self, job: Box<ArrangeJob>) {
        *self.0.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
        self.0.filled.notify_one();
    }
}
