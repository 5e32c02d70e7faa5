//! Replacement of `bpf` on architectures without the BPF program, see `procs/no_bpf.rs`.

use super::record::{Count, CountKey, Record};
use rustix::fd::BorrowedFd;
use std::collections::BTreeSet;
use std::convert::Infallible;

/// Programs, which cannot be loaded.
pub(super) struct Program {
    /// Reason why accepted connections have no process.
    pub(super) without_accepts: String,
    never: Infallible,
}

impl Program {
    pub(super) fn load() -> Result<Self, String> {
        Err("not built for this architecture".to_owned())
    }

    pub(super) fn watch(&mut self, _: &BTreeSet<u32>) -> Result<(), String> {
        match self.never {}
    }

    pub(super) fn drain(&mut self, _: impl FnMut(&Record)) {
        match self.never {}
    }

    pub(super) fn counts(&mut self, _: impl FnMut(CountKey, Count)) -> Result<u64, String> {
        match self.never {}
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        match self.never {}
    }
}
