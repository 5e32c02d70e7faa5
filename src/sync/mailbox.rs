//! A latest-wins mailbox: room for one value, which a newer one replaces.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A mailbox for one value. A value that was not taken yet is replaced by the next one, so a slow reader neither blocks the
/// writer nor makes a queue grow. Clones share the same mailbox.
#[derive(Debug)]
pub struct Mailbox<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    slot: Mutex<Slot<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    closed: bool,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self(Arc::new(Shared {
            slot: Mutex::new(Slot { value: None, closed: false }),
            changed: Condvar::new(),
        }))
    }
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Mailbox<T> {
    // A panic elsewhere cannot leave the slot half written, so a poisoned lock is still good.
    fn slot(&self) -> MutexGuard<'_, Slot<T>> {
        self.0.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a value in, replacing one that was not taken. Returns true if the mailbox was empty, so that the reader must
    /// be notified.
    pub fn put(&self, value: T) -> bool {
        let was_empty = self.slot().value.replace(value).is_none();
        self.0.changed.notify_one();
        was_empty
    }

    /// Takes the value out, if there is one.
    pub fn take(&self) -> Option<T> {
        self.slot().value.take()
    }

    /// Waits for a value and takes it out; `None` once the mailbox is closed and empty.
    pub fn wait(&self) -> Option<T> {
        let mut slot = self.slot();
        loop {
            match slot.value.take() {
                Some(value) => return Some(value),
                None if slot.closed => return None,
                None => slot = self.0.changed.wait(slot).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Closes the mailbox: readers that wait get what is left, then `None`.
    pub fn close(&self) {
        self.slot().closed = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::Mailbox;

    #[test]
    fn newest_value_replaces_one_not_taken() {
        let mailbox = Mailbox::default();
        assert!(mailbox.put(1));
        assert!(!mailbox.put(2), "it was full");
        assert_eq!((mailbox.take(), mailbox.take()), (Some(2), None));
    }

    #[test]
    fn waiting_reader_gets_the_value_and_ends_when_closed() {
        let mailbox = Mailbox::default();
        let reader = mailbox.clone();
        let thread = std::thread::spawn(move || std::iter::from_fn(|| reader.wait()).last());
        mailbox.put(1);
        mailbox.put(2);
        mailbox.close();
        assert_eq!(thread.join().unwrap(), Some(2));
    }
}
