//! The last page, shared by the thread that makes it and those that answer.

use crate::output::metrics::Page;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The last page with its number, from 1.
#[derive(Debug, Default)]
pub(super) struct Published {
    last: Mutex<(u64, Arc<Page>)>,
    changed: Condvar,
}

impl Published {
    /// Replaces the page.
    pub(super) fn put(&self, page: Page) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (last.0 + 1, Arc::new(page));
        self.changed.notify_all();
    }

    /// The page.
    pub(super) fn page(&self) -> Arc<Page> {
        Arc::clone(&self.last.lock().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// A page after the one of this number, with its number; `None` if none is made within the time.
    pub(super) fn newer(&self, than: u64, within: Duration) -> Option<(u64, Arc<Page>)> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(last, within, |last| last.0 <= than);
        let (last, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (last.0 > than).then(|| (last.0, Arc::clone(&last.1)))
    }
}
