//! What the allocator does with memory that is let go.

/// From this size on, bytes: lists of a snapshot of some thousand sockets.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: i32 = 256 * 1024;

/// Has what is as large as a snapshot's lists given back to the system when it is let go.
///
/// The C library does so at first; once it has seen such sizes freed it keeps them in the heap of the thread that asked for
/// them (mallopt(3), `M_MMAP_THRESHOLD`), and threads that hand snapshots to each other come to hold several times what
/// they use: 130 MB where 58 are in use, with 100,000 sockets. A threshold that is said stays as it is.
#[cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "no crate offers mallopt(3) without unsafe")
)]
pub(super) fn set_mmap_threshold() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: two integers go in, no memory of ours is touched, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}
