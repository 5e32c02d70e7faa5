//! Tune glibc malloc so that large snapshot buffers return to the OS.

/// Threshold in bytes: lists of a snapshot of a few thousand sockets.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD: i32 = 256 * 1024;
/// Address space below which all threads share one arena, bytes: each other one reserves 64 MB of it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ONE_ARENA_BELOW: u64 = 1 << 30;

/// Fixes `M_MMAP_THRESHOLD` (mallopt(3)), so that buffers of a snapshot are unmapped when they are freed.
///
/// By default glibc raises the threshold after the first large free and then keeps such buffers in the arena of the thread that
/// allocated them. As threads pass snapshots to each other, memory use grew to 130 MB with 58 MB in use (100,000 sockets). A
/// threshold that is set explicitly is not raised.
///
/// Where the address space is limited (`RLIMIT_AS`), threads share one arena (`M_ARENA_MAX`).
#[cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "no crate offers mallopt(3) without unsafe")
)]
pub(super) fn tune_malloc() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    let limited = rustix::process::getrlimit(rustix::process::Resource::As)
        .current
        .is_some_and(|bytes| bytes < ONE_ARENA_BELOW);
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two integers and touches no memory of ours; no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD);
        if limited {
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
    }
}
