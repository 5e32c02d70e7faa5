//! Containers of real engines, started here and compared with the output of the engines.
//!
//! ```text
//! cargo test --test containers                                   all of them
//! cargo test --test containers -- --list                         their names
//! cargo test --test containers -- podman                         those with this in their name
//! cargo test --test containers -- --exact containers::docker::NAME   one
//! ```
//!
//! This test is its own harness (`harness = false`) with the command line and the output of libtest. It needs root (it asks
//! `sudo -n` otherwise). Each case is a separate process in new network, mount and pid namespaces with its own `/run`,
//! and starts its own engine there: all of it ends with the case, and neither the machine's engines nor its
//! firewall is touched. Nothing is downloaded: the only image is built from busybox. On a machine that cannot run the
//! engines the cases fail; with `SOCKSCOPE_TEST_LIGHT=1` (`tests/run --light`) all of them are
//! listed as ignored.
//!
//! To add a case: `pub(crate) fn subject_condition_result(docker: &Docker) -> Result<(), String>` in the module of its
//! subject, and a line in [`CASES`]. See [`docker::Docker`] for what it offers.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Each test program uses part of it.
#[allow(dead_code)]
#[path = "isolation/cases.rs"]
mod cases;
#[allow(dead_code)]
#[path = "isolation/namespaces.rs"]
mod namespaces;
#[path = "isolation/wait.rs"]
mod wait;

#[path = "containers/docker.rs"]
mod docker;
#[path = "containers/forwards.rs"]
mod forwards;
#[path = "containers/podman.rs"]
mod podman;
#[path = "containers/units.rs"]
mod units;
#[path = "containers/why.rs"]
mod why;
#[path = "containers/world.rs"]
mod world;

use cases::Case;
use docker::Docker;
use namespaces::Scope;
use podman::Podman;
use std::process::ExitCode;

const DOCKER: &[&str] =
    &["dockerd", "docker", "iptables", "ip", "busybox", "perl", "setpriv", "script", "conntrack"];
const PODMAN: &[&str] = &["podman", "slirp4netns", "pasta", "newuidmap", "ip", "busybox", "perl", "setpriv"];

macro_rules! cases {
    ($($engine:ident $tools:ident ($start:expr) { $($module:ident $case:ident)* })*) => {
        &[$($(Case {
            name: concat!("containers::", stringify!($engine), "::", stringify!($case)),
            tools: $tools,
            scope: Scope::Root,
            run: || $module::$case(&$start?),
        },)*)*]
    };
}

/// Every case, with its engine and its module.
const CASES: &[Case] = cases! {
    // Default settings: a published port has a proxy process and DNAT.
    docker DOCKER (Docker::start(&[])) {
        units container_is_named_in_every_table
        units ordinary_user_sees_ids_and_what_is_missing
        units hidden_process_has_its_unit
        units container_that_stops_while_watched_is_gone
        units namespace_made_in_a_container_is_its_own
        units mounted_namespaces_have_their_names
        forwards published_port_has_rule_and_proxy
        why published_ports_that_fail_have_their_cause
    }
    // DNAT only.
    docker_without_proxy DOCKER (Docker::start(&["--userland-proxy=false"])) {
        units container_is_named_in_every_table
        forwards published_port_has_a_rule_alone
    }
    // Rootless.
    podman PODMAN (Podman::start()) {
        podman rootless_container_is_named
        podman rootless_published_port_has_forwarder_and_target
        podman port_forwarded_by_pasta_has_target_and_client
    }
};

fn main() -> ExitCode {
    cases::main(CASES, &[])
}
