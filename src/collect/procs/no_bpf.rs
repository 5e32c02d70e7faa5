//! Stands in for `bpf` on architectures for which the BPF program is not built: it is an object for 64-bit little-endian
//! machines, and its loader (`aya`) has no bindings for 32-bit x86. Owners are found by scanning `/proc` there.

use super::fd_scan::Found;
use std::convert::Infallible;

/// A process and its open descriptors.
pub(super) struct Told {
    pub(super) pid: u32,
    pub(super) start_ns: u64,
    pub(super) found: Found,
}

/// The same states as where the program is built, of which two cannot be reached.
#[derive(Default)]
pub(super) enum Loader {
    #[default]
    Idle,
    #[expect(dead_code, reason = "cannot be made")]
    Loading(Infallible),
    #[expect(dead_code, reason = "cannot be made")]
    Ready(Infallible),
    Refused(String),
}

impl Loader {
    pub(super) fn begin(&mut self) {
        if matches!(self, Self::Idle) {
            *self = Self::Refused("BPF owner lookup: not built for this architecture".to_owned());
        }
    }

    #[expect(clippy::unused_self, reason = "the same call as where the program is built")]
    pub(super) fn first(&mut self) -> Option<Vec<Told>> {
        None
    }

    pub(super) fn read(&mut self) -> Option<Vec<Told>> {
        self.begin();
        None
    }
}
