//! The program on a real kernel: sockets, processes, rules and namespaces created here, compared with the output of `ss`,
//! `lsof`, `lsfd`, `nft`, `iptables` and `conntrack`.
//!
//! ```text
//! cargo test --test live                               all of them
//! cargo test --test live -- --list                     their names
//! cargo test --test live -- limits                     those with this in their name
//! cargo test --test live -- --exact live::act::NAME    one
//! ```
//!
//! This test is its own harness (`harness = false`) with the command line and the output of libtest. Each case is a separate
//! process in new network, mount and pid namespaces, so it can use any port, sees nothing of the machine, and
//! can run in parallel with others. A non-root user gets a user namespace too; cases that need the machine's root use
//! `sudo -n`. A case whose requirements are missing fails with the reason; with `SOCKSCOPE_TEST_LIGHT=1`
//! (`tests/run --light`) all of them are listed as ignored.
//!
//! To add a case: `pub(crate) fn subject_condition_result() -> Result<(), String>` in the module of its subject, and its
//! name in [`CASES`].

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "isolation/cases.rs"]
mod cases;
// Each test program uses part of it.
#[allow(dead_code)]
#[path = "isolation/namespaces.rs"]
mod namespaces;
#[path = "isolation/proc_status.rs"]
mod proc_status;
#[allow(dead_code)]
#[path = "pty/screen.rs"]
mod screen;
#[path = "isolation/wait.rs"]
mod wait;

#[path = "live/act.rs"]
mod act;
#[path = "live/ceilings.rs"]
mod ceilings;
#[path = "live/chains.rs"]
mod chains;
#[path = "live/churn.rs"]
mod churn;
#[path = "live/collector_files.rs"]
mod collector_files;
#[path = "live/collector_process.rs"]
mod collector_process;
#[path = "live/collector_streams.rs"]
mod collector_streams;
#[path = "live/collector_views.rs"]
mod collector_views;
#[path = "live/compare.rs"]
mod compare;
#[path = "live/descriptors.rs"]
mod descriptors;
#[path = "live/dns.rs"]
mod dns;
#[path = "live/ephemeral.rs"]
mod ephemeral;
#[path = "live/event_findings.rs"]
mod event_findings;
#[path = "live/event_life.rs"]
mod event_life;
#[path = "live/event_loss.rs"]
mod event_loss;
#[path = "live/event_sources.rs"]
mod event_sources;
#[path = "live/events.rs"]
mod events;
#[path = "live/expressions.rs"]
mod expressions;
#[path = "live/families.rs"]
mod families;
#[path = "live/fields.rs"]
mod fields;
#[path = "live/findings.rs"]
mod findings;
#[path = "live/forwards.rs"]
mod forwards;
#[path = "live/habits.rs"]
mod habits;
#[path = "live/holders.rs"]
mod holders;
#[path = "live/host_peers.rs"]
mod host_peers;
#[path = "live/host_screen.rs"]
mod host_screen;
#[path = "live/hostile_names.rs"]
mod hostile_names;
#[path = "live/hostile_rules.rs"]
mod hostile_rules;
#[path = "live/hosts.rs"]
mod hosts;
#[path = "live/limits.rs"]
mod limits;
#[path = "live/listener_filter.rs"]
mod listener_filter;
#[path = "live/netns.rs"]
mod netns;
#[path = "live/owners.rs"]
mod owners;
#[path = "live/packets.rs"]
mod packets;
#[path = "live/programs.rs"]
mod programs;
#[path = "live/recording.rs"]
mod recording;
#[path = "live/rows.rs"]
mod rows;
#[path = "live/shells.rs"]
mod shells;
#[path = "live/ship.rs"]
mod ship;
#[path = "live/short_lived.rs"]
mod short_lived;
#[path = "live/tables.rs"]
mod tables;
#[path = "live/watchers.rs"]
mod watchers;
#[path = "live/why.rs"]
mod why;
#[path = "live/world.rs"]
mod world;

use cases::Case;
use namespaces::Scope;
use std::process::ExitCode;

macro_rules! cases {
    ($($scope:ident $module:ident $tools:tt { $($case:ident)* })*) => {
        &[$($(Case {
            name: concat!("live::", stringify!($module), "::", stringify!($case)),
            tools: &$tools,
            scope: Scope::$scope,
            run: $module::$case,
        },)*)*]
    };
}

/// Every case, slow ones first, with its privileges, module and required programs.
const CASES: &[Case] = cases! {
    User findings [] {
        tcp_under_trouble_has_its_findings_and_no_other
        next_hop_without_an_answer_is_named
    }
    User expressions ["ss"] {
        expressions_of_ss_select_the_rows_of_ss
        filter_in_the_kernel_loses_no_row
    }
    User expressions ["python3"] {
        field_pushed_down_loses_no_row_of_any_protocol
    }
    User limits ["perl", "ss"] {
        fd_leak_is_predicted_and_fluctuation_is_not
        full_accept_queue_is_critical_with_the_drops_of_the_kernel
        check_judges_its_whole_window
        local_ports_at_100_percent_make_connect_fail
        process_at_its_fd_limit_continues_when_the_limit_is_raised
        check_exits_with_0_1_2_or_3
        close_wait_older_than_a_minute_is_found_by_one_check
        sockets_never_bound_are_counted_by_protocol
        process_that_leaves_close_wait_open_is_named_with_its_fds
        process_near_its_fd_limit_has_its_fds_grouped_by_target
        process_without_permission_has_no_counts
        ended_process_leaves_no_row_and_no_alert
    }
    User ephemeral ["perl"] {
        port_ceiling_is_full_exactly_when_the_call_fails
    }
    User recording [] {
        replay_gives_the_json_of_each_moment
        killed_writer_leaves_whole_samples
        full_file_system_pauses_the_recording
        second_writer_is_refused
        diff_finds_the_new_listener
    }
    User churn [] {
        owners_under_churn_match_a_walk_of_proc
        owners_by_bpf_under_churn_match_a_walk_of_proc
        table_cut_short_opens_and_closes_nothing
    }
    User netns ["python3"] {
        link_local_peers_of_two_links_are_two_peers
        peer_process_of_one_way_and_self_connected_sockets_is_known
    }
    User netns ["ip", "perl", "ss"] {
        namespaces_that_come_and_go_are_no_faults
        equal_addresses_in_two_namespaces_are_two_sockets
    }
    User watchers ["ip", "unshare"] {
        namespaces_watched_by_two_programs_end
    }
    User compare ["ss", "lsof"] {
        listener_with_waiting_clients_has_its_queue_and_backlog
        sockets_in_every_state_match_ss_and_lsof
        listener_shared_by_three_processes_has_three_owners
        random_sockets_match_ss_and_lsof
        ended_process_is_no_owner
    }
    User habits ["ss", "netstat", "lsof"] {
        command_lines_of_other_tools_select_their_rows
    }
    User families ["ss"] {
        sockets_of_every_family_match_ss
    }
    User descriptors ["lsfd"] {
        fds_of_every_family_match_lsfd
    }
    User fields ["ss", "perl"] {
        fields_of_every_family_match_ss
        protocol_the_kernel_lacks_is_reported
    }
    User act [] {
        closing_one_connection_leaves_the_other
        reused_pid_keeps_its_limit_and_gets_no_signal
    }
    User forwards ["ip", "nft", "iptables-nft", "iptables-legacy", "conntrack", "socat", "perl", "setpriv"] {
        rules_of_nft_and_iptables_match_nft_and_conntrack
        rules_of_iptables_legacy_are_numbered_as_iptables_does
        proxy_has_its_target_and_its_client
    }
    User listener_filter ["ip", "nft", "iptables-nft", "perl"] {
        verdicts_agree_with_real_connections
    }
    User chains ["ip", "nft", "iptables-nft", "iptables-legacy", "socat", "perl", "busybox"] {
        rules_with_conditions_state_them
        forwards_in_a_row_lead_from_the_first_client_to_the_last_server
        rules_of_nft_and_legacy_are_the_same_rows
        rules_with_clients_are_reachable_and_unevaluated_conditions_are_named
    }
    User packets ["ip", "nft", "iptables-nft-restore", "iptables-legacy-restore", "conntrack", "perl"] {
        random_rulesets_send_packets_to_the_target_of_forwards
    }
    User owners [] {
        bpf_without_permission_falls_back_to_proc
    }
    User programs ["nginx", "bash"] {
        nginx_has_its_workers_and_clients_in_every_view
        process_near_its_fd_limit_is_red_before_open_fails
        hostile_names_are_escaped
    }
    User shells ["bash", "fish", "zsh"] {
        bash_completes_values
        fish_completes_values
        zsh_loads_the_completion
    }
    Root collector_process ["prlimit"] {
        screen_has_no_privilege_and_shows_owners_of_others
        acts_are_carried_out_by_the_collector_process
        killed_collector_process_is_shown
        stopped_collector_process_is_shown_by_the_age_of_its_data
        collector_process_that_never_answers_is_left
        collector_process_has_no_file_of_the_dashboard
        recorded_data_has_no_collector_process
    }
    Root collector_files ["prlimit", "mount"] {
        configuration_and_history_are_those_of_the_caller_of_sudo
        recording_is_that_of_the_caller_of_sudo
        root_keeps_its_history_in_a_home_that_is_read_only
    }
    Root collector_streams [] {
        forged_acts_are_refused
        read_only_collector_closes_the_stream_of_acts
        hostile_streams_end_alone
    }
    Root collector_views ["ip", "nft", "perl"] {
        every_view_is_that_of_a_dashboard_without_a_collector_process
    }
    Root host_peers ["ip", "perl", "nft", "ss"] {
        ends_of_connections_are_joined_across_hosts
        map_has_one_edge_between_two_hosts
        dashboard_leads_to_the_other_host
    }
    Root host_screen ["ip", "perl"] {
        stalled_and_killed_hosts_disturb_no_other
        hostile_hosts_are_named_and_bounded
        details_and_why_are_read_on_the_host_of_the_row
    }
    Root hosts ["ip", "perl", "ssh", "ssh-keygen", "prlimit", "strip"] {
        rows_of_hosts_are_those_of_each_command_inside
        hosts_that_fail_do_not_hide_the_others
        hosts_are_recorded_and_their_events_printed
        no_row_of_any_host_has_its_reason
        no_agent_is_left_behind
        rows_through_a_real_ssh_are_those_of_the_host
        hostile_hosts_share_a_bound_of_memory
        agents_read_as_their_reader_asks
        program_is_copied_to_a_host_without_one
        other_commands_read_hosts_or_name_the_command_there
        why_is_answered_by_the_host
    }
    Root hostile_names ["bash", "fish", "zsh", "mount"] {
        bash_inserts_hostile_names_as_one_word
        zsh_inserts_hostile_names_as_one_word
        fish_inserts_hostile_names_as_one_word
    }
    User events ["python3"] {
        closes_are_counted_without_bpf
    }
    User dns ["python3"] {
        process_without_bpf_is_that_of_the_waiting_socket
        burst_is_seen_or_counted_as_lost
        capture_is_on_only_while_it_is_wanted
    }
    Root dns ["python3", "setpriv"] {
        questions_have_their_process_result_and_latency
        question_without_an_answer_times_out
        command_prints_questions_and_groups
        command_without_net_raw_names_the_capability
        check_warns_of_a_failing_resolver
        recorded_questions_are_printed_from_the_recording
    }
    Root ship ["python3"] {
        failing_receiver_loses_nothing
        batches_wait_for_the_receiver_across_runs
    }
    Root event_findings [] {
        findings_name_who_connects_where_and_how_often
    }
    User event_life ["python3", "ss", "stdbuf"] {
        closes_are_those_of_ss
    }
    Root event_life ["python3", "sysctl"] {
        each_kind_of_connection_has_its_users_bytes_and_end
    }
    Root short_lived [] {
        sockets_that_live_between_two_polls_are_reported_once
    }
    Root event_loss ["setpriv"] {
        closes_beyond_the_receive_buffer_are_counted_as_lost
        events_beyond_the_ring_are_counted_with_their_bytes
    }
    Root event_sources ["python3", "setpriv", "unshare", "mount"] {
        source_follows_the_capabilities
        source_without_bpf_is_sock_diag_with_the_reason
    }
    Root events ["python3", "setpriv"] {
        short_connections_are_all_seen_with_process_and_bytes
        end_of_a_connection_has_its_cause
        command_prints_each_event_and_stops_after_the_number
        command_without_capabilities_prints_closes_and_says_so
    }
    Root fields ["perl", "setpriv"] {
        bpf_maps_of_a_socket_have_id_and_size
        bpf_maps_in_a_namespace_without_a_process_are_read
    }
    Root netns ["python3", "setpriv", "unshare"] {
        namespaces_without_a_process_are_read
        namespace_of_visible_and_hidden_processes_is_one
        namespace_of_ip_netns_exec_has_its_name_for_every_user
    }
    Root hostile_rules ["nft", "iptables-legacy-restore", "setpriv", "unshare"] {
        namespace_of_another_user_delays_no_forwards
        large_iptables_table_of_another_user_is_named
        unreadable_list_of_iptables_tables_is_reported
        dashboard_beside_a_namespace_that_is_late_answers_keys
    }
    Root why ["ip", "nft", "iptables-nft", "iptables-legacy", "nsenter", "perl", "prlimit", "python3", "setpriv", "ss", "sysctl"] {
        listeners_that_do_not_serve_are_named
        processes_that_cannot_serve_are_named
        rules_that_stop_a_packet_are_named
        translations_without_a_listener_are_named
        routes_that_fail_are_named
        first_of_several_causes_is_named
        healthy_paths_are_reachable
        ordinary_user_gets_no_wrong_certain_verdict
        rules_with_unknown_conditions_are_never_certain
        dashboard_explains_a_waiting_connection_a_port_and_a_process
        dashboard_asks_with_the_mark_of_the_socket
        real_connect_confirms_or_contradicts_the_prediction
        real_connect_is_that_of_the_client
        watch_ends_with_the_first_other_answer
        bpf_programs_of_a_cgroup_are_named
        bpf_programs_of_the_server_are_named
        connections_that_do_not_move_are_named
        server_in_a_frozen_cgroup_is_named
    }
    Root packets ["ip", "nft", "iptables-nft-restore", "iptables-legacy-restore", "conntrack", "perl"] {
        kube_proxy_with_2_to_50_endpoints_sends_packets_to_the_target_of_forwards
        many_services_of_kube_proxy_are_all_listed
        rulesets_of_programs_send_packets_to_the_target_of_forwards
        odd_rulesets_send_packets_to_the_target_of_forwards
    }
    Root tables ["python3", "setpriv"] {
        thread_with_its_own_descriptors_is_its_process
        thread_that_unshares_its_descriptors_is_found_in_the_next_poll
        process_without_its_main_thread_is_owner
        socket_registered_with_an_io_uring_has_an_owner
        socket_in_flight_has_the_reason
        exchanged_sockets_have_their_owners_in_the_next_poll_or_within_two_seconds
    }
    RootHostPids owners [] {
        bpf_owners_under_churn_are_true
    }
    Root ceilings ["perl", "prlimit"] {
        ceiling_is_full_exactly_when_the_call_fails
    }
    Root ceilings ["perl", "unshare", "bash"] {
        inotify_ceiling_of_a_user_namespace_is_its_own
    }
    Root limits ["setpriv"] {
        check_behind_subset_pid_is_unknown_with_the_limits_it_could_not_read
        check_behind_hidepid_is_unknown_for_a_user
    }
    Root owners [] {
        bpf_owners_in_a_pid_namespace_match_proc
        bpf_with_another_proc_falls_back_to_proc
    }
};

/// Cases that another case runs in nested namespaces.
const NESTED: &[Case] = cases! {
    User limits [] {
        from_another_user_namespace
    }
    Root owners [] {
        with_the_proc_of_another_pid_namespace
    }
};

fn main() -> ExitCode {
    // Child processes of cases.
    if churn::actor() || holders::is_holder() {
        return ExitCode::SUCCESS;
    }
    cases::main(CASES, NESTED)
}
