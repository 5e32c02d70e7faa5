//! Replacement of `bpf` on architectures without the BPF program: the object is for 64-bit little-endian machines, and its
//! loader (`aya`) has no bindings for 32-bit x86. Owners are found by scanning `/proc` there.

use super::fd_scan::FdSet;
use std::convert::Infallible;

/// Descriptors of one process.
pub(crate) struct ProcessFds {
    pub(crate) pid: u32,
    pub(crate) start_ns: u64,
    pub(crate) fds: FdSet,
}

/// Loaded program, which there is none of.
pub(crate) struct Program(Infallible);

impl Program {
    pub(crate) fn read_process(&self, _pid: u32) -> Result<Option<ProcessFds>, String> {
        match self.0 {}
    }
}

/// Loading state, with the same variants as in `bpf`; two of them cannot be reached.
#[derive(Default)]
pub(crate) enum Loader {
    #[default]
    Idle,
    #[expect(dead_code, reason = "cannot be constructed")]
    Loading(Infallible),
    #[expect(dead_code, reason = "cannot be constructed")]
    Ready(Program),
    Unavailable(String),
}

impl Loader {
    pub(crate) fn begin(&mut self) {
        if matches!(self, Self::Idle) {
            *self = Self::Unavailable("not built for this architecture".to_owned());
        }
    }

    #[expect(clippy::unused_self, reason = "same signature as in bpf")]
    pub(crate) fn take_startup_read(&mut self) -> Option<Vec<ProcessFds>> {
        None
    }

    pub(crate) fn read(&mut self) -> Option<Vec<ProcessFds>> {
        self.begin();
        None
    }
}
