//! Tune glibc malloc so that large snapshot buffers return to the OS.

/// Threshold in bytes: lists of a snapshot of a few thousand sockets.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD: i32 = 256 * 1024;
/// Address space below which all threads share one arena, bytes: each other one reserves 64 MB of it, and there are eight a processor.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ONE_ARENA_BELOW: u64 = 4 << 30;

/// Rows by which the snapshots must have shrunk for freed memory to be returned: a few megabytes.
const TRIM_ROWS: usize = 8192;
/// Polls after which the last snapshot from before is gone, those that the dashboard holds for its display included.
const TRIM_AFTER: u8 = 3;

/// Returns freed memory to the OS after snapshots have become much smaller.
///
/// What is below the `mmap` threshold stays in the arenas of the threads that allocated it, among few blocks that are still used: of
/// 40,000 connections that were closed 330 to 460 MB stayed resident.
#[derive(Debug, Default)]
pub(super) struct Trimmer {
    /// Most rows of a snapshot since memory was last returned.
    peak: usize,
    /// Polls until memory is returned; 0: it is not due.
    due: u8,
}

impl Trimmer {
    /// Notes the rows of a new snapshot; returns memory if that is due.
    pub(super) fn after_poll(&mut self, rows: usize) {
        if self.is_due(rows) {
            trim();
        }
    }

    /// Returns true if memory is to be returned after a poll with this number of rows.
    fn is_due(&mut self, rows: usize) -> bool {
        self.peak = self.peak.max(rows);
        if rows <= self.peak / 2 && self.peak - rows >= TRIM_ROWS {
            self.peak = rows;
            self.due = TRIM_AFTER;
            return false;
        }
        let last = self.due == 1;
        self.due = self.due.saturating_sub(1);
        last
    }
}

/// Returns the free pages of all arenas (`malloc_trim(3)`).
#[cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "no crate offers malloc_trim(3) without unsafe")
)]
fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes an integer, locks each arena while it works on it, and touches no memory in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_returned_once_after_snapshots_have_shrunk_by_half() {
        let run = |rows: &[usize]| -> Vec<usize> {
            let mut t = Trimmer::default();
            (0..rows.len()).filter(|i| t.is_due(rows[*i])).collect()
        };
        assert_eq!(run(&[80_000, 80_000, 100, 100, 100, 100, 100, 100]), [5]);
        // While they still shrink it is too early.
        assert_eq!(run(&[80_000, 30_000, 10_000, 100, 100, 100, 100]), [6]);
        assert_eq!(run(&[80_000, 50_000, 45_000, 50_000, 60_000, 50_000]), [0usize; 0], "not by half");
        assert_eq!(run(&[8000, 10, 10, 10, 10, 10]), [0usize; 0], "a few megabytes");
        assert_eq!(run(&[20_000, 10, 10, 10, 10, 20_000, 10, 10, 10, 10]), [4, 9]);
    }
}
