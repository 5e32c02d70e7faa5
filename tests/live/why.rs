//! `sockscope why` against induced causes: each in namespaces of its own, with a real connect and `ip route get` as oracle.

#[path = "why/cgroup.rs"]
mod cgroup;
#[path = "why/dashboard.rs"]
mod dashboard;
#[path = "why/firewall.rs"]
mod firewall;
#[path = "why/healthy.rs"]
mod healthy;
#[path = "why/listener.rs"]
mod listener;
#[path = "why/probe.rs"]
mod probe;
#[path = "why/route.rs"]
mod route;
#[path = "why/transfer.rs"]
mod transfer;
#[path = "why/world.rs"]
mod world;

pub(crate) use cgroup::{bpf_programs_of_a_cgroup_are_named, bpf_programs_of_the_server_are_named};
pub(crate) use dashboard::{
    dashboard_asks_with_the_mark_of_the_socket, dashboard_explains_a_waiting_connection_a_port_and_a_process,
};
pub(crate) use firewall::{rules_that_stop_a_packet_are_named, translations_without_a_listener_are_named};
pub(crate) use healthy::{
    healthy_paths_are_reachable, ordinary_user_gets_no_wrong_certain_verdict,
    rules_with_unknown_conditions_are_never_certain,
};
pub(crate) use listener::{listeners_that_do_not_serve_are_named, processes_that_cannot_serve_are_named};
pub(crate) use probe::{
    real_connect_confirms_or_contradicts_the_prediction, real_connect_is_that_of_the_client,
    watch_ends_with_the_first_other_answer,
};
pub(crate) use route::{first_of_several_causes_is_named, routes_that_fail_are_named};
pub(crate) use transfer::{connections_that_do_not_move_are_named, server_in_a_frozen_cgroup_is_named};
