//! Columns of the table of sockets.

mod age;
pub(super) mod bpf;
mod cells;
mod congestion;
mod family;
mod mptcp;
mod netlink;
mod packet;
mod sctp;
mod tcp;
mod tcp_info;
mod tipc;
mod ulp;
mod unix;
mod xdp;

use self::cells::{
    absent, activity, any_peer_process, cgroup, cmdline, comm, comm_any, fds_open, fds_pct, fds_soft,
    finding, ip_only, is_ip, kind, limited, local, local_addr, not_tcp, owner, owners, peer_certainty,
    peer_host, peer_nat, peer_process, pid, pid_any, port, processes, rate, recv_q, remote, remote_addr,
    send_q, service, shared_key, skmem, sockopt, timer, uid,
};
pub(crate) use self::cells::{end_name, ip_end};
use super::cell::{
    accept_limit as listener_limit, any_owner, applicable, families, fd_limit, first_owner, host_name, na,
    netns_tone, no_owner, protos, reported, scope_tone, scopes, user_value,
};
use super::definition::{Collapsed, Grouping, Table, TableId};
use super::units::{self, unit_column};
use super::{contexts, threads, usage};
use crate::diagnose::finding::socket_diagnoses;
use crate::diagnose::route;
use crate::format::{Column, Gauge, Kind, Needs, Role, RowProtos, TextMatch, Tone, Value};
use crate::model::snapshot::{accept_share, certainty};
use crate::model::tcp_info::info_words;
use crate::model::{AttrSet, Family, Missing, Proto, ProtoSet, SkMem, Snapshot, TimerKind};

/// Columns with this key are the same for sockets of one kind, state, owner and attributes.
const KEY: crate::format::column::SharedKeyFn = shared_key;

const SKMEM: Needs = Needs::attrs(AttrSet::SKMEM);
const INFO: Needs = Needs::RATES;

fn certainties() -> Vec<&'static str> {
    [true, false].map(certainty).into()
}

const fn row_protos(protos: ProtoSet) -> RowProtos {
    RowProtos { protos, proto_of: |s, r| s.socket(r).proto }
}

const TCP: RowProtos = row_protos(ProtoSet::TCP);
const INFO_OF: RowProtos = row_protos(ProtoSet::TCP_INFO);
const CONN: RowProtos = row_protos(ProtoSet::TCP_STATES);
const IP: RowProtos = row_protos(ProtoSet::INET);
/// Sockets that can be bound to an interface.
const LINK: RowProtos = row_protos(ProtoSet::INET.union(ProtoSet::new(&[Proto::Packet, Proto::Xdp])));
const SHUT: RowProtos = row_protos(ProtoSet::INET.union(ProtoSet::new(&[Proto::Unix, Proto::Vsock])));
/// Sockets that can listen.
const LISTENERS: RowProtos =
    row_protos(ProtoSet::TCP_STATES.union(ProtoSet::new(&[Proto::Unix, Proto::Vsock, Proto::Tipc])));
/// Sockets whose memory the kernel reports.
const SKMEM_OF: RowProtos = row_protos(ProtoSet::INET.union(ProtoSet::new(&[
    Proto::Unix,
    Proto::Packet,
    Proto::Netlink,
    Proto::Xdp,
])));

macro_rules! owner_column {
    ($name:literal, $title:literal, $kind:ident, $drop:literal, $get:ident, $help:literal) => {
        Column::new(
            $name,
            $title,
            Kind::$kind,
            $drop,
            |s, r| first_owner(s, r, |o| $get(s, o.process as usize)),
            $help,
        )
        .needs(Needs::OWNERS)
        .any(|s, r, t| any_owner(s, r, t, $get))
    };
}

macro_rules! skmem_column {
    ($name:literal, $title:literal, $get:ident, $help:literal) => {
        Column::new($name, $title, Kind::Bytes, 60, |s, r| skmem(s, r, SkMem::$get), $help)
            .needs(SKMEM)
            .protos(SKMEM_OF)
    };
}

macro_rules! sockopt_column {
    ($name:literal, $title:literal, $bit:literal, $help:literal) => {
        Column::new($name, $title, Kind::Bool, 70, |s, r| sockopt(s, r, $bit), $help).protos(IP)
    };
}

/// Dims a former owner.
fn owner_tone(snap: &Snapshot, row: usize) -> Tone {
    if snap.owners(row).is_empty() && snap.last_owner(row).is_some() { Tone::Dim } else { Tone::Plain }
}

/// The descriptor limit of the first owner.
fn owner_fd_limit(snap: &Snapshot, row: usize) -> Option<usize> {
    fd_limit(snap, snap.owners(row).first()?.process)
}

/// The accept queue of a listener.
fn accept_limit(snap: &Snapshot, row: usize) -> Option<usize> {
    let s = snap.socket(row);
    listener_limit(snap, s.id.netns, s.proto, s.local, s.iface)
}

const GENERAL: &[Column] = &[
    Column::new("proto", "PROTO", Kind::Text, 1, |s, r| Value::text(s.socket(r).proto.name()),
        "Transport protocol: tcp, udp, raw, unix and so on.").role(Role::Proto).dim().values(protos)
        .called(&["protocol", "netid"]).wide(3, 5, 8).shared(KEY),
    Column::new("family", "FAMILY", Kind::Text, 45, |s, r| Value::text(s.socket(r).family.name()),
        "Address family of the socket: inet, inet6, unix and so on.").role(Role::Family).values(families)
        .called(&["fam"]).wide(4, 6, 8).shared(KEY),
    Column::new("state", "STATE", Kind::State, 2, |s, r| Value::State(s.socket(r).state),
        "Socket state as in RFC 9293; UNCONN for a datagram socket without a peer.").role(Role::State)
        .called(&["st"]).shared(KEY),
    Column::new("local", "LOCAL", Kind::Endpoint, 0, local,
        "Local endpoint: address and port, or the name of a UNIX socket.").role(Role::Local)
        .called(&["src", "source", "laddr"]).wide(12, 21, 47),
    Column::new("remote", "REMOTE", Kind::Endpoint, 0, remote,
        "Remote endpoint: address and port.").role(Role::Remote)
        .called(&["dst", "dest", "destination", "peer", "raddr"]).wide(12, 21, 47),
    Column::new("local_addr", "LOCAL ADDR", Kind::Addr, 40, local_addr, "Local address.").role(Role::LocalAddr).called(&["lhost"]),
    Column::new("local_port", "LPORT", Kind::Port, 40, |s, r| port(s.socket(r), s.socket(r).local.port),
        "Local port; for raw sockets the IP protocol number.").role(Role::LocalPort)
        .called(&["lport", "sport"]).protos(IP),
    Column::new("remote_addr", "REMOTE ADDR", Kind::Addr, 40, remote_addr, "Remote address.").role(Role::RemoteAddr)
        .called(&["host", "rhost"]),
    Column::new("remote_host", "REMOTE HOST", Kind::Text, 42, |s, r| host_name(s, remote_addr(s, r)),
        "DNS name of the remote address (list --resolve, n in the dashboard).").role(Role::RemoteHost)
        .called(&["rname"]).wide(10, 24, 47).protos(IP),
    Column::new("remote_port", "RPORT", Kind::Port, 40, |s, r| port(s.socket(r), s.socket(r).remote.port),
        "Remote port.").role(Role::RemotePort)
        .called(&["rport", "dport"]).protos(IP),
    Column::new("owner", "PROCESS", Kind::Text, 0, owner,
        "Process that owns the socket: name, pid and number of further owners; the last owner if there is none now.").role(Role::Owner).tone(owner_tone).process_column("comm")
        .called(&["held_by"]).wide(10, 18, 32).needs(Needs::OWNERS).any(comm_any).shared(KEY),
    Column::new("recv_q", "RECV-Q", Kind::Bytes, 10, recv_q,
        "Bytes received and not read by the application; of a listener, connections in the accept queue.").role(Role::RecvQ)
        .called(&["recvq"]),
    Column::new("send_q", "SEND-Q", Kind::Bytes, 11, send_q,
        "Bytes not sent or not acknowledged; of a listener, the limit of its accept queue.").role(Role::SendQ)
        .called(&["sendq"]),
    Column::new("activity", "ACTIVITY", Kind::Trend, 47, activity,
        "Bytes per second in both directions at the last eight polls; level n is less than 2^n.")
        .needs(INFO).protos(CONN),
    Column::new("rx", "RX/s", Kind::BytesPerSec, 12, |s, r| rate(s, r, s.rates(r).rx),
        "Bytes received per second, from tcp_info of two polls.").role(Role::Rx)
        .called(&["rx_per_s", "in_rate"]).needs(INFO).protos(CONN),
    Column::new("tx", "TX/s", Kind::BytesPerSec, 13, |s, r| rate(s, r, s.rates(r).tx),
        "Bytes sent and acknowledged per second, from tcp_info of two polls.").role(Role::Tx)
        .called(&["tx_per_s", "out_rate"]).needs(INFO).protos(CONN),
    Column::new("retrans_rate", "RETR/s", Kind::PerSec, 48, |s, r| rate(s, r, s.rates(r).retrans),
        "Segments retransmitted per second, from tcp_info of two polls.")
        .needs(INFO).protos(CONN),
    Column::new("age_s", "AGE", Kind::Secs, 15, age::age,
        "Age of the socket; age_from shows the source and whether it is a lower bound.").role(Role::Age).dim()
        .called(&["age"]).needs(age::NEEDS).wide(4, 7, 8),
    Column::new("age_from", "AGE FROM", Kind::Text, 48, age::age_from,
        "Source of the age: opened (observed), process start (upper bound), idle time or first seen (lower bounds).")
        .needs(age::NEEDS).wide(6, 13, 13),
    Column::new("waiting_s", "WAITING", Kind::Secs, 48,
        |s, r| match s.facts[r].waiting_since_ns {
            0 => na(),
            _ if r >= s.live => Value::Missing(Missing::Gone),
            since => Value::from(s.sample.at.boot_ns.saturating_sub(since) as f64 / 1e9),
        },
        "Time since the receive queue (of a listener: the accept queue) was last empty or shrinking.")
        .called(&["waiting"]),
    Column::new("state_age_s", "IN STATE", Kind::Secs, 47, age::state_age,
        "Time in the current state (lower bound if the socket predates sockscope).")
        .called(&["state_age", "in_state"]).needs(age::NEEDS).wide(4, 7, 8),
    Column::new("process", "COMMAND", Kind::Text, 41, comm,
        "Command name of the process that owns the socket, or owned it last. A filter tests all owners.").role(Role::Process).process_column("comm")
        .called(&["proc", "comm", "program", "users"]).wide(6, 15, 24).needs(Needs::OWNERS).any(comm_any).shared(KEY),
    Column::new("pid", "PID", Kind::Id, 41, pid,
        "Process ID of the process that owns the socket, or owned it last. A filter tests all owners.").process_column("pid")
        .needs(Needs::OWNERS).any(pid_any).shared(KEY),
    Column::new("fd", "FD", Kind::Id, 43, |s, r| first_owner(s, r, |o| reported(o.fd())),
        "File descriptor number of the socket in the process.")
        .needs(Needs::OWNERS).wide(3, 4, 9)
        .any(|s, r, t| match s.owners(r) {
            [] => t(&no_owner(s, r)),
            owners => owners.iter().any(|o| t(&reported(o.fd()))),
        }),
    Column::new("owners", "OWNERS", Kind::List, 44, owners,
        "Every file descriptor of the socket: pid, fd, comm.").role(Role::Owners).process_column("comm")
        .needs(Needs::OWNERS).wide(8, 24, 60).any(comm_any),
    Column::new("holders", "OWNER COUNT", Kind::Count, 46, |s, r| Value::from(processes(s, r) as u64),
        "Number of processes that own the socket.")
        .called(&["owner_count", "owners_count"]).needs(Needs::OWNERS).shared(KEY),
    Column::new("owner_missing", "NO OWNER REASON", Kind::Text, 46,
        |s, r| s.facts[r].owner_missing.map_or(Value::Missing(Missing::NotApplicable), |m| Value::text(m.reason())),
        "Reason why the socket has no known owner.")
        .needs(Needs::OWNERS).wide(12, 28, 60).shared(KEY),
    Column::new("uid", "UID", Kind::Id, 42, |s, r| uid(s, r).map_or_else(Value::Missing, Value::from),
        "User ID of the socket.").shared(KEY),
    Column::new("user", "USER", Kind::Text, 30, |s, r| uid(s, r).map_or_else(Value::Missing, |u| user_value(s, u)),
        "User of the socket; the number if the user has no name.").role(Role::User).dim().text_match(TextMatch::Whole)
        .wide(4, 8, 16).shared(KEY),
    owner_column!("cmdline", "COMMAND LINE", Text, 49, cmdline, "Command line of the process that owns the socket.").dim().process_column("cmdline")
        .called(&["command", "cmd", "args"]).wide(12, 30, 80).shared(KEY),
    Column::new("cgroup", "CGROUP", Kind::Text, 52, cgroup,
        "Control group (v2) that the socket was created in; that of its process if not reported.").role(Role::Cgroup)
        .needs(Needs::CGROUPS).wide(12, 30, 80).shared(KEY),
    unit_column!(units::UNIT, units::socket_units).shared(KEY),
    unit_column!(units::SLICE, units::socket_units).shared(KEY),
    unit_column!(units::CONTAINER, units::socket_units).shared(KEY),
    unit_column!(units::CONTAINER_ID, units::socket_units).shared(KEY),
    unit_column!(units::ENGINE, units::socket_units).shared(KEY),
    unit_column!(units::IMAGE, units::socket_units).shared(KEY),
    unit_column!(units::POD, units::socket_units).shared(KEY),
    unit_column!(units::PUBLISHED, units::socket_units).shared(KEY),
    usage::OWNER_CPU,
    usage::OWNER_RSS,
    usage::OWNER_THREADS,
    usage::OWNER_STARTED.shared(KEY),
    threads::OWNER.shared(KEY),
    contexts::OWNER.shared(KEY),
    contexts::SOCKET,
    owner_column!("fds_open", "FDS", Count, 53, fds_open, "Open file descriptors of the process that owns the socket.").process_column("fds_open")
        .percent_column("fds_pct").called(&["fds"]).shared(KEY),
    owner_column!("fds_soft", "FDS SOFT", Count, 54, fds_soft,
        "Soft limit of file descriptors of the process that owns the socket.").process_column("fds_soft").percent_column("fds_pct").shared(KEY),
    owner_column!("fds_pct", "FDS%", Percent, 53, fds_pct,
        "Open file descriptors of the process that owns the socket, in percent of its soft limit.").process_column("fds_pct").gauge(Gauge { amounts: None, limit: owner_fd_limit }).shared(KEY),
    Column::new("service", "SERVICE", Kind::Text, 31, service,
        "Service name of the server port, or protocol name of a raw socket.").role(Role::Service).dim().text_match(TextMatch::Whole)
        .wide(4, 9, 16).protos(IP),
    Column::new("scope", "SCOPE", Kind::Text, 46,
        |s, r| if is_ip(s.socket(r)) { Value::text(s.socket(r).local.addr.scope().name()) } else { na() },
        "Scope of the local address: loopback, link-local, private, multicast, public; any for the wildcard.").tone(|s, r| scope_tone(s.socket(r).local.addr.scope())).values(scopes)
        .called(&["local_scope"]).wide(6, 10, 10).protos(IP),
    Column::new("remote_scope", "REMOTE SCOPE", Kind::Text, 46,
        |s, r| match remote_addr(s, r) {
            Value::Missing(m) => Value::Missing(m),
            v => v.endpoint().map_or_else(na, |e| Value::text(e.addr.scope().name())),
        },
        "Scope of the remote address: loopback, link-local, private, multicast, public.").values(scopes)
        .wide(6, 10, 12).protos(IP),
    Column::new("direction", "DIR", Kind::Text, 32,
        |s, r| Value::from_opt(s.facts[r].direction.name(), Missing::NotApplicable),
        "Direction of the connection: in if a local listener accepted it, out if this host connected.").role(Role::Direction).values(|| vec!["in", "out"])
        .called(&["dir"]).needs(Needs::LISTENERS).wide(3, 3, 3).protos(IP),
    Column::new("iface", "IFACE", Kind::Text, 33,
        |s, r| {
            let k = s.socket(r);
            match k.iface {
                0 => na(),
                i => s.iface(k.id.netns, i).map_or_else(|| Value::from(format!("if{i}")), Value::text),
            }
        },
        "Interface the socket is bound to.").role(Role::Iface).text_match(TextMatch::Exact)
        .called(&["dev", "device", "interface"]).wide(4, 8, 15).shared(KEY).protos(LINK),
    Column::new("netns", "NETNS", Kind::Text, 9,
        |s, r| s.sample.namespaces.get(usize::from(s.socket(r).id.netns))
            .map_or(Value::Missing(Missing::NotReported), |n| Value::text(&n.name)),
        "Network namespace of the socket.").role(Role::Netns).tone(|s, r| netns_tone(s.socket(r).id.netns)).text_match(TextMatch::Whole)
        .called(&["ns", "namespace"]).wide(4, 10, 24).shared(KEY),
    Column::new("inode", "INODE", Kind::Id, 55,
        |s, r| if s.socket(r).inode == 0 { na() } else { Value::from(s.socket(r).inode) },
        "Inode of the socket, as in /proc/PID/fd.")
        .called(&["ino"]).wide(6, 9, 20),
    Column::new("cookie", "COOKIE", Kind::Id, 56,
        |s, r| reported(s.socket(r).id.kernel_cookie()),
        "Kernel ID of the socket, unique in its network namespace until reboot.")
        .called(&["sk"]).wide(6, 10, 20),
    Column::new("timer", "TIMER", Kind::Text, 57,
        |s, r| timer(s, r, |k| if k.timer.kind == TimerKind::Off { na() } else { Value::text(k.timer.kind.name()) }),
        "Running timer: on (retransmission), keepalive, timewait, persist.").values(|| vec!["on", "keepalive", "timewait", "persist", "unknown"])
        .wide(4, 9, 9).protos(CONN),
    Column::new("timer_expires_ms", "EXPIRES", Kind::Millis, 57,
        |s, r| timer(s, r, |k| if k.timer.kind == TimerKind::Off { na() } else { Value::from(k.timer.expires_ms) }),
        "Time until the timer expires.")
        .called(&["timer_expires", "expires"]).protos(CONN),
    Column::new("retransmits", "RETRY", Kind::Count, 57,
        |s, r| timer(s, r, |k| Value::from(k.timer.retrans)),
        "Expirations of the timer without a response: retransmissions or probes.")
        .called(&["timer_retrans"]).protos(CONN),
    Column::new("drops", "DROPS", Kind::Count, 50,
        |s, r| Value::from_opt(s.attrs(r).drops(), absent(s, r, AttrSet::SKMEM)),
        "Packets dropped because the receive buffer was full.")
        .needs(SKMEM),
    skmem_column!("skmem_rmem_alloc", "RMEM", rmem_alloc, "Receive buffer in use."),
    skmem_column!("skmem_rcvbuf", "RCVBUF", rcvbuf, "Limit of the receive buffer.").called(&["rcvbuf"]),
    skmem_column!("skmem_wmem_alloc", "WMEM", wmem_alloc, "Send memory passed to the device and not freed yet."),
    skmem_column!("skmem_sndbuf", "SNDBUF", sndbuf, "Limit of the send buffer.").called(&["sndbuf"]),
    skmem_column!("skmem_fwd_alloc", "FWD", fwd_alloc, "Memory reserved for the socket and unused."),
    skmem_column!("skmem_wmem_queued", "WQUEUED", wmem_queued, "Send queue memory, overhead included."),
    skmem_column!("skmem_optmem", "OPTMEM", optmem, "Memory of socket options and filters."),
    skmem_column!("skmem_backlog", "SKBACKLOG", backlog, "Packets queued while the socket is locked."),
    Column::new("congestion", "CONG", Kind::Text, 58,
        |s, r| Value::from_opt(s.attrs(r).congestion(), absent(s, r, AttrSet::CONG)),
        "Congestion control algorithm.").text_match(TextMatch::Whole)
        .called(&["cong", "cc"]).needs(Needs::attrs(AttrSet::CONG)).wide(4, 7, 15).protos(CONN),
    Column::new("tos", "TOS", Kind::Hex, 59,
        |s, r| Value::from_opt(s.attrs(r).tos(), absent(s, r, AttrSet::TOS)),
        "IPv4 type of service byte.")
        .needs(Needs::attrs(AttrSet::TOS)).wide(4, 4, 6).protos(IP),
    Column::new("tclass", "TCLASS", Kind::Hex, 59,
        |s, r| Value::from_opt(s.attrs(r).tclass(), absent(s, r, AttrSet::TCLASS)),
        "IPv6 traffic class byte.")
        .needs(Needs::attrs(AttrSet::TCLASS)).wide(4, 6, 6).protos(IP),
    Column::new("class_id", "CLASS", Kind::Hex, 59,
        |s, r| Value::from_opt(s.attrs(r).class_id(), absent(s, r, AttrSet::TCLASS)),
        "Traffic control class ID, or the priority of the socket.")
        .needs(Needs::attrs(AttrSet::TCLASS)).protos(IP),
    Column::new("peer_process", "PEER PROCESS", Kind::Text, 31, peer_process,
        "Process at the remote end, if it is on this host or on another one of --host.")
        .called(&["other_process"]).needs(Needs::LOCAL_PEERS).wide(8, 14, 24).any(any_peer_process),
    Column::new("peer_host", "PEER HOST", Kind::Text, 31, peer_host,
        "Host at the remote end, if it is one of those of --host.").text_match(TextMatch::Whole)
        .needs(Needs::JOINED).wide(6, 12, 30).protos(IP),
    Column::new("peer_certainty", "PEER IS", Kind::Text, 56, peer_certainty,
        "Certainty that the remote end on another host is this one: certain or likely.")
        .values(certainties).needs(Needs::JOINED).wide(6, 7, 7).protos(IP),
    Column::new("peer_nat", "PEER NAT", Kind::Text, 56, peer_nat,
        "Host that translates addresses between this end and the one on another host.").text_match(TextMatch::Whole)
        .needs(Needs::JOINED).wide(6, 12, 30).protos(IP),
    Column::new("accept_pct", "ACCEPT%", Kind::Percent, 34, |s, r| {
        let l = s.socket(r);
        let limit_known = s.sample.backend.backend.reports_backlogs() && l.is_listener();
        applicable(limit_known.then(|| accept_share(l.recv_q.into(), l.send_q.into()) * 100.0))
    }, "Usage of the accept queue of a listener; 100% is backlog + 1.").gauge(Gauge { amounts: Some(|s, r| (s.socket(r).recv_q.into(), s.socket(r).send_q.into())), limit: accept_limit }).called(&["queue_pct"]).protos(LISTENERS),
    Column::new("client", "ORIG CLIENT", Kind::Endpoint, 32,
        |s, r| route::original_client(s, r).map_or_else(na, |(e, _)| Value::Endpoint(e)),
        "Original client of a forwarded connection, from conntrack or the two connections of the proxy.")
        .called(&["orig_remote", "real_client"]).needs(Needs::NAT).protos(IP),
    Column::new("asked_for", "ORIG DST", Kind::Endpoint, 33,
        |s, r| route::original_destination(s, r).map_or_else(na, Value::Endpoint),
        "Original destination of a forwarded connection, before DNAT or the proxy.")
        .called(&["orig_dst", "orig_local", "via"]).needs(Needs::NAT).wide(12, 22, 47).protos(IP),
    Column::new("ct_state", "CT STATE", Kind::Text, 62,
        |s, r| s.flow(r).map_or_else(na, |f| Value::text(f.state())),
        "State of the conntrack entry (conntrack(8)).").needs(Needs::NAT).wide(8, 11, 11).protos(IP),
    Column::new("ct_timeout_s", "CT TIMEOUT", Kind::Secs, 62,
        |s, r| applicable(s.flow(r).and_then(|f| f.timeout_s)),
        "Time until the conntrack entry expires.").needs(Needs::NAT).wide(5, 10, 10).protos(IP),
    Column::new("ct_bytes", "CT BYTES", Kind::Bytes, 62,
        |s, r| applicable(s.flow(r).and_then(|f| f.bytes).map(|(a, b)| a + b)),
        "Bytes in both directions, if conntrack counts them (net.netfilter.nf_conntrack_acct).").needs(Needs::NAT).wide(5, 8, 8).protos(IP),
    Column::new("ct_mark", "CT MARK", Kind::Hex, 63,
        |s, r| applicable(s.flow(r).map(|f| f.mark)),
        "Mark of the conntrack entry.").needs(Needs::NAT).wide(5, 8, 12).protos(IP),
    Column::new("ct_zone", "CT ZONE", Kind::Id, 63,
        |s, r| applicable(s.flow(r).map(|f| f.zone)),
        "Zone of the conntrack entry.").needs(Needs::NAT).wide(5, 7, 7).protos(IP),
    Column::new("finding", "FINDING", Kind::Text, 35, finding,
        "Findings, separated by commas: see sockscope explain.").tone(|_, _| Tone::Warning)
        .called(&["findings"]).needs(Needs::FINDINGS).wide(10, 16, 60)
        .any(|s, r, t| socket_diagnoses(s, r).any(|d| d.names().any(|n| t(&Value::text(n)))) || t(&finding(s, r))),
    Column::new("auto_port", "AUTO PORT", Kind::Bool, 61, |s, r| ip_only(s, r, s.socket(r).auto_port),
        "Local port chosen by the kernel, not by bind().")
        .needs(Needs::AUTO_PORT).protos(IP),
    Column::new("type", "TYPE", Kind::Text, 57, kind,
        "Type of the socket (socket(2)): stream, dgram, seqpacket, raw.")
        .called(&["socktype"]).wide(4, 6, 10).shared(KEY),
    Column::new("mark", "MARK", Kind::Hex, 59, |s, r| ip_only(s, r, s.attrs(r).mark()),
        "Firewall mark of the socket; reported only with CAP_NET_ADMIN.").role(Role::Mark)
        .called(&["fwmark"]).shared(KEY).protos(IP),
    Column::new("cgroup_id", "CGROUP ID", Kind::Id, 59, |s, r| ip_only(s, r, s.attrs(r).cgroup_id()),
        "ID of the control group that the socket was created in: the inode of its directory.")
        .wide(6, 10, 20).shared(KEY).protos(IP),
    Column::new("shutdown", "SHUT", Kind::Text, 58,
        |s, r| s.attrs(r).shutdown().map_or(Value::Missing(absent(s, r, AttrSet::SHUTDOWN)), |b| {
            Value::text(match b & 3 { 0 => "neither", 1 => "receive", 2 => "send", _ => "both" })
        }),
        "Directions that are shut down: neither, receive, send, both.").values(|| vec!["neither", "receive", "send", "both"])
        .needs(Needs::attrs(AttrSet::SHUTDOWN)).wide(4, 7, 7).protos(SHUT),
    Column::new("v6only", "V6ONLY", Kind::Bool, 58, |s, r| match s.socket(r).family { Family::Inet => na(), _ => ip_only(s, r, s.attrs(r).v6only()) },
        "IPv6 socket that accepts no IPv4 peers (IPV6_V6ONLY).").shared(KEY).protos(IP),
    sockopt_column!("opt_recverr", "RECVERR", 0, "IP_RECVERR: errors are queued for the application.").shared(KEY),
    sockopt_column!("opt_is_icsk", "ICSK", 1, "Connection-oriented socket.").shared(KEY),
    sockopt_column!("opt_freebind", "FREEBIND", 2, "IP_FREEBIND: may bind to a nonexistent address.").shared(KEY),
    sockopt_column!("opt_hdrincl", "HDRINCL", 3, "IP_HDRINCL: the application writes the IP header.").shared(KEY),
    sockopt_column!("opt_mc_loop", "MCLOOP", 4, "IP_MULTICAST_LOOP: receives its own multicast packets.").shared(KEY),
    sockopt_column!("opt_transparent", "TPROXY", 5, "IP_TRANSPARENT: accepts packets for foreign addresses.").shared(KEY),
    sockopt_column!("opt_mc_all", "MCALL", 6, "IP_MULTICAST_ALL: receives groups joined by other sockets.").shared(KEY),
    sockopt_column!("opt_nodefrag", "NODEFRAG", 7, "IP_NODEFRAG: fragments are not reassembled.").shared(KEY),
    sockopt_column!("opt_bind_addr_no_port", "LATEBIND", 8, "IP_BIND_ADDRESS_NO_PORT: the port is chosen by connect().").shared(KEY),
    sockopt_column!("opt_recverr_rfc4884", "RFC4884", 9, "IP_RECVERR_RFC4884: ICMP errors carry extensions.").shared(KEY),
    sockopt_column!("opt_defer_connect", "TFO", 10, "TCP_FASTOPEN_CONNECT: the SYN is deferred until the first write.").shared(KEY),
    Column::new("snd_wscale", "SND-WSCALE", Kind::Count, 61,
        |s, r| Value::from_opt(s.attrs(r).tcp_info().and_then(|t| t.snd_wscale()), absent(s, r, AttrSet::INFO)),
        "Window scale for sending.")
        .called(&["wscale"]).needs(Needs::info(info_words(&[6]))).protos(INFO_OF),
    Column::new("rcv_wscale", "RCV-WSCALE", Kind::Count, 61,
        |s, r| Value::from_opt(s.attrs(r).tcp_info().and_then(|t| t.rcv_wscale()), absent(s, r, AttrSet::INFO)),
        "Window scale for receiving.")
        .needs(Needs::info(info_words(&[6]))).protos(INFO_OF),
    Column::new("app_limited", "APPLIM", Kind::Bool, 61,
        |s, r| Value::from_opt(s.attrs(r).tcp_info().and_then(|t| t.app_limited()), absent(s, r, AttrSet::INFO)),
        "Delivery rate limited by the application, not by the network.")
        .needs(Needs::info(info_words(&[6]))).protos(INFO_OF),
    Column::new("send_rate", "SEND RATE", Kind::BytesPerSec, 61,
        |s, r| {
            let rate = s.attrs(r).tcp_info().and_then(|t| {
                let rtt = t.rtt_us().filter(|us| *us > 0)?;
                Some(t.snd_cwnd()? as f64 * t.snd_mss()? as f64 * 1e6 / rtt as f64)
            });
            Value::from_opt(rate, not_tcp(s, r))
        },
        "Rate that the congestion window allows: cwnd * mss / rtt, the `send` of ss.")
        .needs(Needs::info(info_words(&[16, 68, 80]))).protos(TCP),
    Column::new("rwnd_limited_pct", "RWND-LIM%", Kind::Percent, 61, |s, r| limited(s, r, crate::model::TcpInfo::rwnd_limited_us),
        "Share of the busy time limited by the peer's receive window.")
        .needs(Needs::info(info_words(&[168, 176]))).protos(TCP),
    Column::new("sndbuf_limited_pct", "SNDBUF-LIM%", Kind::Percent, 61, |s, r| limited(s, r, crate::model::TcpInfo::sndbuf_limited_us),
        "Share of the busy time limited by the local send buffer.")
        .needs(Needs::info(info_words(&[168, 184]))).protos(TCP),
    Column::new("retrans_pct", "RETRANS%", Kind::Percent, 61,
        |s, r| {
            let share = s.attrs(r).tcp_info().and_then(|t| {
                let sent = t.data_segs_out().filter(|n| *n > 0)?;
                Some(t.total_retrans()? as f64 * 100.0 / sent as f64)
            });
            Value::from_opt(share, not_tcp(s, r))
        },
        "Share of data segments retransmitted since connect.")
        .needs(Needs::info(info_words(&[100, 156]))).protos(TCP),
    Column::new("closed", "CLOSED", Kind::Bool, 62, |s, r| Value::from(r >= s.live),
        "Closed socket that is still shown for a moment.").shared(KEY),
    super::host::HOSTNAME.shared(KEY),
];

/// All columns, in the order of the reference, with the protocols whose sockets can have a value where a column declares none.
const PARTS: [(&[Column], ProtoSet); 13] = [
    (GENERAL, ProtoSet::ALL),
    (unix::COLUMNS, ProtoSet::new(&[Proto::Unix])),
    (netlink::COLUMNS, ProtoSet::new(&[Proto::Netlink])),
    (packet::COLUMNS, ProtoSet::new(&[Proto::Packet])),
    (bpf::COLUMNS, ProtoSet::INET),
    (xdp::COLUMNS, ProtoSet::new(&[Proto::Xdp])),
    (tcp::COLUMNS, ProtoSet::TCP),
    (tipc::COLUMNS, ProtoSet::new(&[Proto::Tipc])),
    (mptcp::COLUMNS, ProtoSet::new(&[Proto::Mptcp])),
    (ulp::COLUMNS, ProtoSet::TCP),
    (congestion::COLUMNS, ProtoSet::TCP),
    (sctp::COLUMNS, ProtoSet::new(&[Proto::Sctp])),
    (&tcp_info::COLUMNS, ProtoSet::TCP_INFO),
];

/// Returns true for the parts whose values are those of the attributes alone, without `tcp_info`.
const fn is_of_attributes(part: usize) -> bool {
    matches!(part, 1..=5 | 7)
}

const COUNT: usize = {
    let (mut n, mut part) = (0, 0);
    while part < PARTS.len() {
        n += PARTS[part].0.len();
        part += 1;
    }
    n
};

static COLUMNS: [Column; COUNT] = {
    let mut out = [GENERAL[0]; COUNT];
    let (mut n, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut i = 0;
        while i < PARTS[part].0.len() {
            out[n] = PARTS[part].0[i];
            if out[n].protos.is_none() && part > 0 {
                out[n].protos = Some(row_protos(PARTS[part].1));
            }
            if is_of_attributes(part) {
                out[n].shared = Some(KEY);
            }
            n += 1;
            i += 1;
        }
        part += 1;
    }
    out
};

/// One row per socket.
pub static SOCKETS: Table = Table {
    id: TableId::Sockets,
    name: "list",
    title: "Sockets",
    noun: "sockets",
    singular: "socket",
    help: "Every socket with the process that owns it.",
    columns: &COLUMNS,
    defaults: &[
        "proto", "state", "local", "remote", "owner", "recv_q", "send_q", "rx", "tx", "rtt_us", "age_s",
    ],
    wide_columns: &["activity", "direction", "user", "service", "unit", "cmdline"],
    in_gauge: &[],
    netns_after: Some("remote"),
    words: &["proto", "state", "local", "remote", "process", "pid", "user", "service", "container"],
    order: &[("state", false), ("local", false), ("remote", false)],
    groupings: &[
        Grouping::by("state", "state").collapsed(Collapsed::Nested),
        Grouping::by("local", "local endpoint"),
        Grouping::by("remote", "remote address"),
        Grouping::by("process", "process"),
        Grouping::FLAT,
    ],
    always_needs: Needs::NONE,
    topic: "socket",
    len: |s| s.socket_count(),
    live: |s| s.live.min(s.socket_count()),
    identity: crate::table::identity::socket,
    owners: |s, r| s.owners(r).iter().map(|o| o.process).collect(),
    process_of: |s, r| s.owners(r).first().map(|o| o.process),
    sockets: |s, r| std::iter::once(r).chain(s.local_peer(r)).map(|r| r as u32).collect(),
    remote_of: |s, r| Some(s.socket(r).remote.addr),
    unread: super::unread_sockets,
};
