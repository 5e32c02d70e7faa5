//! Standard output that was closed when the program was started (`>&-`).
//!
//! The Rust runtime opens `/dev/null` in its place before `main`, and output would be lost without an error. So this is looked at
//! earlier, in a function that the loader calls.

use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Called by the loader before the runtime starts; it uses nothing of the standard library but an atomic.
#[allow(unsafe_code)]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = {
    extern "C" fn look() {
        // Safety: the standard descriptor is only asked for its flags.
        let fd = unsafe { rustix::fd::BorrowedFd::borrow_raw(1) };
        CLOSED.store(rustix::io::fcntl_getfd(fd).is_err(), Ordering::Relaxed);
    }
    look
};

/// Returns true if standard output was closed when the program was started.
pub(super) fn was_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}
