//! An iterator over the descriptors of one process (`bpf_iter_link_info.task.pid`, since Linux 6.1). The loader has none with
//! parameters.

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::io;

/// Commands and the attach type of `bpf(2)` (`include/uapi/linux/bpf.h`).
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_ITER_CREATE: libc::c_int = 33;
const BPF_TRACE_ITER: u32 = 28;

/// `bpf_iter_link_info.task`, padded to the length of the union.
#[repr(C)]
struct TaskInfo {
    tid: u32,
    pid: u32,
    pid_fd: u32,
    pad: u32,
}

/// `bpf_attr.link_create` of an iterator.
#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    info: u64,
    info_len: u32,
    pad: u32,
}

/// `bpf_attr.iter_create`.
#[repr(C)]
struct IterCreate {
    link: u32,
    flags: u32,
}

/// A call of `bpf(2)` that returns a descriptor.
#[expect(unsafe_code, reason = "the loader offers no iterator with parameters")]
fn bpf<T>(command: libc::c_int, attr: &T) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes of the attributes and writes none for these commands.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    match i32::try_from(fd) {
        // SAFETY: a new descriptor, which nothing else owns.
        Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Opens an iterator of this program over the process with this pid, in the pid namespace of the caller.
pub(super) fn open(program: BorrowedFd<'_>, pid: u32) -> io::Result<OwnedFd> {
    let task = TaskInfo { tid: 0, pid, pid_fd: 0, pad: 0 };
    let link = bpf(
        BPF_LINK_CREATE,
        &LinkCreate {
            program: program.as_raw_fd() as u32,
            target: 0,
            attach_type: BPF_TRACE_ITER,
            flags: 0,
            // `task` outlives the call, which copies it.
            info: std::ptr::from_ref(&task) as u64,
            info_len: size_of::<TaskInfo>() as u32,
            pad: 0,
        },
    )?;
    bpf(BPF_ITER_CREATE, &IterCreate { link: link.as_raw_fd() as u32, flags: 0 })
}
