//! `kcmp(2)`: order of two tasks by the address of their descriptor table.

use rustix::io::Errno;
use std::cmp::Ordering;

/// `KCMP_FILES` of `include/uapi/linux/kcmp.h`.
const KCMP_FILES: libc::c_int = 2;

/// Order of the descriptor tables of two tasks, by their ids in the pid namespace of this process: equal if they share one. An
/// exited task has none, which differs from every other. Needs the permission to read `/proc/PID/fd` of both, and a kernel
/// with `CONFIG_KCMP`.
#[expect(unsafe_code, reason = "no crate offers kcmp(2)")]
pub(crate) fn compare_fd_tables(a: u32, b: u32) -> Result<Ordering, Errno> {
    let none: libc::c_ulong = 0;
    // SAFETY: the call takes numbers only, reads and writes no memory of this process.
    match unsafe { libc::syscall(libc::SYS_kcmp, a as libc::pid_t, b as libc::pid_t, KCMP_FILES, none, none) }
    {
        0 => Ok(Ordering::Equal),
        1 => Ok(Ordering::Less),
        2 => Ok(Ordering::Greater),
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
        // 3: different, but without an order.
        _ => Err(Errno::OPNOTSUPP),
    }
}

/// Returns true if the kernel has the call, and no seccomp filter (that of containers) refuses it.
pub(crate) fn is_available() -> bool {
    let own = std::process::id();
    compare_fd_tables(own, own).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_a_table_and_processes_have_their_own() {
        let own = std::process::id();
        let tid = std::thread::spawn(|| {
            let tid = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
            (tid, compare_fd_tables(std::process::id(), tid))
        });
        assert_eq!(tid.join().unwrap().1, Ok(Ordering::Equal));
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let order = compare_fd_tables(own, child.id());
        assert_eq!(order.map(Ordering::reverse), compare_fd_tables(child.id(), own));
        assert_ne!(order, Ok(Ordering::Equal));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(compare_fd_tables(own, child.id()), Err(Errno::SRCH));
    }
}
