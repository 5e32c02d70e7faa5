//! The decoders of the collector, each as a function of any bytes: for `crate::fuzzing`.

use super::fuzz_sample::wants;
use super::scenario::{Scenario, ScenarioSource};
use super::source::Source;
use crate::model::Sample;

pub(crate) use super::containers::fuzzing::{engine_json, http_answer};
pub(crate) use super::dns::fuzzing::dns;
pub(crate) use super::events::fuzzing::{event_closes, event_records};
pub(crate) use super::netfilter::fuzzing::{conntrack, conntrack_text, nft, xtables};
pub(crate) use super::netlink::fuzzing::route;
pub(crate) use super::proc_net::fuzzing::{captured_tree, proc_line};
pub(crate) use super::procs::fuzzing::btf;
pub(crate) use super::sock_diag::fuzzing::sock_diag;

/// A scenario, at two polls; nothing if it is not one.
pub(crate) fn scenario(bytes: &[u8]) -> Vec<Sample> {
    let Ok(scenario) =
        std::str::from_utf8(bytes).map_err(|_| ()).and_then(|t| Scenario::parse(t).map_err(|_| ()))
    else {
        return Vec::new();
    };
    let mut source = ScenarioSource::new(scenario);
    (0..2).filter_map(|_| source.sample(&wants()).ok()).collect()
}
