//! The decoders of the collector, each as a function of any bytes: for `crate::fuzzing`.

use super::scenario::{Scenario, ScenarioSource};
use super::source::Source;
use crate::model::{AttrSet, Backend, BackendInfo, Needs, ProtoSet, Reads, Sample, Stamp, Wants};
use std::sync::Arc;

pub(crate) use super::containers::fuzzing::{engine_json, http_answer};
pub(crate) use super::netfilter::fuzzing::{conntrack, conntrack_text, nft, xtables};
pub(crate) use super::netlink::fuzzing::route;
pub(crate) use super::proc_net::fuzzing::{captured_tree, proc_line};
pub(crate) use super::procs::fuzzing::btf;
pub(crate) use super::sock_diag::fuzzing::sock_diag;

/// Everything that can be read.
pub(super) fn wants() -> Wants {
    let needs = Needs { info_words: u64::MAX, attrs: AttrSet::ALL, reads: Reads::all() };
    Wants::new(needs, ProtoSet::all())
}

/// A sample without rows, of a fixed time.
pub(super) fn sample() -> Sample {
    let at = Stamp { boot_ns: 1_000_000_000_000, unix_ns: 1_777_885_200_000_000_000 };
    let info = BackendInfo { backend: Backend::Netlink, reason: String::new() };
    Sample::empty(at, "fuzz".into(), Arc::new(info), wants())
}

/// A scene, at two polls; nothing if it is not one.
pub(crate) fn scene(bytes: &[u8]) -> Vec<Sample> {
    let Ok(scene) =
        std::str::from_utf8(bytes).map_err(|_| ()).and_then(|t| Scenario::parse(t).map_err(|_| ()))
    else {
        return Vec::new();
    };
    let mut source = ScenarioSource::new(scene);
    (0..2).filter_map(|_| source.sample(&wants()).ok()).collect()
}
