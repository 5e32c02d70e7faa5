//! Every field that `ss` prints has a column here, by which it can be shown, filtered and written as JSON, and that is
//! explained in both languages. The list is that of the calls of `out()` in `ss.c`, so it holds fields that its manual lacks.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use sockscope::explain::{Lang, explain};
use sockscope::model::limit::LIMIT_KINDS;
use sockscope::model::struct_layout;
use sockscope::table::{SOCKETS, TABLES};

/// Names of `ss` and, after the arrow if it differs, the name here: a column, or a column and a part of it.
/// In brackets: the option that makes `ss` print it.
const FIELDS: &[(&str, &str)] = &[
    (
        "columns",
        "Netid>proto State>state Recv-Q>recv_q Send-Q>send_q Local>local Address>local_addr Port>local_port %dev>iface \
         Peer>remote Peer-Address>remote_addr Peer-Port>remote_port Process>owners",
    ),
    ("-p, -T", "comm>process pid fd users>owners tid>tids"),
    ("-Z, -z", "proc_ctx sock_ctx"),
    (
        "-e, -o",
        "timer expires>timer_expires_ms retrans>retransmits uid ino>inode sk>cookie fwmark>mark cgroup v6only shutdown \
         ts>tcp_option_names usec_ts>tcp_option_names sack>tcp_option_names ecn>tcp_option_names \
         ecnseen>tcp_option_names fastopen>tcp_option_names",
    ),
    ("--tos", "tos tclass class_id"),
    (
        "--inet-sockopt",
        "recverr>opt_recverr is_icsk>opt_is_icsk freebind>opt_freebind hdrincl>opt_hdrincl mc_loop>opt_mc_loop \
         transparent>opt_transparent mc_all>opt_mc_all nodefrag>opt_nodefrag bind_addr_no_port>opt_bind_addr_no_port \
         recverr_rfc4884>opt_recverr_rfc4884 defer_connect>opt_defer_connect",
    ),
    (
        "-m",
        "r>skmem_rmem_alloc rb>skmem_rcvbuf t>skmem_wmem_alloc tb>skmem_sndbuf f>skmem_fwd_alloc w>skmem_wmem_queued \
         o>skmem_optmem bl>skmem_backlog d>drops",
    ),
    (
        "-i of TCP",
        "cong_alg>congestion wscale>snd_wscale wscale-in>rcv_wscale rto backoff rtt rttvar ato qack bidir mss pmtu rcvmss \
         advmss cwnd ssthresh bytes_sent bytes_retrans bytes_acked bytes_received segs_out segs_in data_segs_out \
         data_segs_in ce_state>dctcp_info.ce_state alpha>dctcp_info.alpha ab_ecn>dctcp_info.ab_ecn \
         ab_tot>dctcp_info.ab_tot fallback_mode>dctcp_info.enabled bw>bbr_bw mrtt>bbr_min_rtt \
         pacing_gain>bbr_pacing_gain cwnd_gain>bbr_cwnd_gain send>send_rate lastsnd lastrcv lastack pacing_rate \
         pacing-max>max_pacing_rate delivery_rate delivered delivered_ce app_limited busy rwnd_limited sndbuf_limited \
         rwnd-share>rwnd_limited_pct sndbuf-share>sndbuf_limited_pct unacked retrans>retrans_now retrans-total>total_retrans \
         lost sacked dsack_dups fackets reordering reord_seen rcv_rtt rcv_space rcv_ssthresh notsent minrtt rcv_ooopack \
         snd_wnd rcv_wnd rehash md5keys>md5_keys tcp-ulp>ulp version>tls_info cipher>tls_info rxconf>tls_info \
         txconf>tls_info zc_ro_tx>tls_info no_pad_rx>tls_info rttcnt>vegas_info.rttcnt",
    ),
    (
        "-i of a subflow of MPTCP",
        "flags>subflow_flags token>mptcp_token rem>subflow_info loc>subflow_info seq>subflow_info sfseq>subflow_info \
         ssnoff>subflow_info maplen>subflow_info",
    ),
    (
        "-M -i",
        "subflows>mptcp_info.subflows add_addr_signal>mptcp_info.add_addr_signal \
         add_addr_accepted>mptcp_info.add_addr_accepted subflows_max>mptcp_info.subflows_max \
         add_addr_signal_max>mptcp_info.add_addr_signal_max add_addr_accepted_max>mptcp_info.add_addr_accepted_max \
         fallback>mptcp_flags remote_key>mptcp_flags token>mptcp_info.token write_seq>mptcp_info.write_seq \
         snd_una>mptcp_info.snd_una rcv_nxt>mptcp_info.rcv_nxt local_addr_used>mptcp_info.local_addr_used \
         local_addr_max>mptcp_info.local_addr_max csum_enabled>mptcp_info.csum_enabled \
         retransmits>mptcp_info.retransmits bytes_retrans>mptcp_info.bytes_retrans bytes_sent>mptcp_info.bytes_sent \
         bytes_received>mptcp_info.bytes_received bytes_acked>mptcp_info.bytes_acked \
         subflows_total>mptcp_info.subflows_total endp_laminar_max>mptcp_info.endp_laminar_max \
         last_data_sent>mptcp_info.last_data_sent_ms last_data_recv>mptcp_info.last_data_recv_ms \
         last_ack_recv>mptcp_info.last_ack_recv_ms",
    ),
    (
        "-S",
        "state>sctp_state locals>sctp_local peers>sctp_peer primary>sctp_primary tag>sctp_info.tag rwnd>sctp_info.rwnd \
         unackdata>sctp_info.unackdata penddata>sctp_info.penddata instrms>sctp_info.instrms \
         outstrms>sctp_info.outstrms inqueue>sctp_info.inqueue outqueue>sctp_info.outqueue \
         overerr>sctp_info.overall_error maxburst>sctp_info.max_burst maxseg>sctp_info.maxseg \
         prwnd>sctp_info.peer_rwnd ptag>sctp_info.peer_tag pcapable>sctp_info.peer_capable \
         psack>sctp_info.peer_sack autoclose>sctp_info.autoclose adapind>sctp_info.adaptation_ind \
         pdpoint>sctp_info.pd_point nodelay>sctp_info.nodelay nofrag>sctp_info.disable_fragments \
         v4mapped>sctp_info.v4mapped fraginl>sctp_info.frag_interleave",
    ),
    ("-u, -w", "drops protocol>local_port"),
    (
        "-x",
        "u_str>type u_dgr>type u_seq>type path>local peer>remote inode peer-inode>peer_inode queue>recv_q backlog>send_q \
         ino>vfs_inode dev>vfs_dev icons>pending",
    ),
    (
        "-0",
        "p_raw>type p_dgr>type protocol>link_protocol interface>iface ver>packet_info.version \
         cpy_thresh>packet_info.copy_thresh running>packet_flags auxdata>packet_flags origdev>packet_flags \
         vnethdr>packet_flags loss>packet_flags blk_size>rx_ring.block_size blk_nr>rx_ring.blocks \
         frm_size>rx_ring.frame_size frm_nr>rx_ring.frames tmo>rx_ring.retire_ms features>rx_ring.features \
         ring_tx>tx_ring.blocks fanout>fanout fanout-type>fanout_type bpf>bpf_filter",
    ),
    (
        "-f netlink",
        "protocol>link_protocol process>local portid>port_id dst-group>remote groups cb>netlink_flags",
    ),
    ("-f vsock", "cid>local port>local state ino>inode"),
    (
        "-f tipc",
        "node>local identity>local type cong>tipc_congestion drop>drops publ>tipc_published via>tipc_via",
    ),
    (
        "-f xdp",
        "iface qid>local rx>xdp_rings tx>xdp_rings fill>xdp_rings comp>xdp_rings id>xdp_umem.id size>xdp_umem.size \
         num_pages>xdp_umem.num_pages chunk_size>xdp_umem.chunk_size headroom>xdp_umem.headroom \
         ifindex>xdp_umem.ifindex qid>xdp_umem.queue_id zc>xdp_umem.flags refs>xdp_umem.refs \
         dropped>xdp_stats.rx_dropped invalid>xdp_stats.rx_invalid queue-full>xdp_stats.rx_queue_full \
         fill-empty>xdp_stats.fill_ring_empty tx-invalid>xdp_stats.tx_invalid tx-empty>xdp_stats.tx_ring_empty",
    ),
    ("--bpf-maps", "map_id>bpf_maps map_value>bpf_maps"),
];

/// Option, name in `ss` and name here of each field.
fn fields() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let one = |(option, names): &(&'static str, &'static str)| {
        let option = *option;
        let names: &'static str = names;
        names.split_whitespace().map(move |n| {
            let (theirs, ours) = n.split_once('>').unwrap_or((n, n));
            (option, theirs, ours)
        })
    };
    FIELDS.iter().flat_map(one)
}

#[test]
fn every_field_of_ss_is_a_column_or_part_of_one() {
    let mut missing = Vec::new();
    for (option, theirs, ours) in fields() {
        let (column, part) = ours.split_once('.').map_or((ours, None), |(c, p)| (c, Some(p)));
        let known = SOCKETS.column(column).is_some_and(|c| match part {
            None => true,
            Some(part) => {
                struct_layout::by_column(c.name).is_some_and(|s| s.fields.iter().any(|f| f.name == part))
            }
        });
        if !known {
            missing.push(format!("ss {option}: {theirs} ({ours})"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(fields().count() > 200, "{}", fields().count());
}

#[test]
fn each_of_them_is_explained() {
    for (_, _, ours) in fields() {
        let column = SOCKETS.column(ours.split('.').next().unwrap()).unwrap();
        for lang in [Lang::En, Lang::Ko] {
            let text = explain(column.name, lang, &TABLES);
            assert!(text.is_ok_and(|t| t.len() > 40), "{}", column.name);
        }
    }
}

/// Counts of `ss -s` other than of listable sockets; `limits` has them as rows.
#[test]
fn orphaned_and_timewait_are_ceilings() {
    for name in ["orphans", "time-wait"] {
        assert!(LIMIT_KINDS.iter().any(|c| c.name == name), "{name}");
    }
}
