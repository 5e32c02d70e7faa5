//! The sample that the fuzz targets fill.

use crate::model::{AttrSet, Backend, BackendInfo, Needs, ProtoSet, Reads, Sample, Stamp, Wants};
use std::sync::Arc;

/// Everything that can be read.
pub(super) fn wants() -> Wants {
    let needs = Needs { info_words: u128::MAX, attrs: AttrSet::ALL, reads: Reads::all() };
    Wants::new(needs, ProtoSet::all())
}

/// A sample without rows, of a fixed time.
pub(super) fn sample() -> Sample {
    let at = Stamp { boot_ns: 1_000_000_000_000, unix_ns: 1_777_885_200_000_000_000 };
    let info = BackendInfo { backend: Backend::Netlink, reason: String::new() };
    Sample::empty(at, "fuzz".into(), Arc::new(info), wants())
}
