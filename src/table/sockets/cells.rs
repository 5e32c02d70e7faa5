//! Values of the cells of the table of sockets.

use crate::diagnose::finding::socket_diagnoses;
use crate::format::Value;
use crate::format::column::SharedKey;
use crate::model::snapshot::Direction;
use crate::model::{
    AttrSet, Backend, Endpoint, Family, Missing, Proto, Reads, SkMem, Snapshot, Socket, State,
};
use crate::msg;
use crate::table::cell::{applicable, first_owner, na, no_owner, process_name, reported, without_port};

/// A value that only IP sockets have.
pub(crate) fn ip_only<'a, T: Into<Value<'a>>>(snap: &Snapshot, row: usize, v: Option<T>) -> Value<'a> {
    if is_ip(snap.socket(row)) { reported(v) } else { na() }
}

/// Everything that the columns with a shared key are computed from, apart from what is the same for the whole snapshot. `None`
/// for a socket of several descriptors, or with a former owner.
pub(crate) fn shared_key(snap: &Snapshot, row: usize) -> Option<SharedKey<'_>> {
    let (s, f) = (snap.socket(row), &snap.facts[row]);
    let owner = match snap.owners(row) {
        [] if snap.last_owner(row).is_none() => 0,
        [only] => u64::from(only.process) + 1,
        _ => return None,
    };
    let flags = u64::from(row < snap.live) | u64::from(s.inode == 0) << 1;
    let kind = (s.proto as u64) | (s.family as u64) << 8 | s.state.rank() << 16 | flags << 28;
    let missing = f.owner_missing.map_or(0, |m| m as u64 + 1);
    let words = [
        kind | u64::from(s.id.netns) << 32 | missing << 48,
        u64::from(s.uid) | u64::from(s.iface) << 32,
        owner,
        0,
    ];
    let at = s.attr_at as usize;
    Some((words, snap.sample.attrs.get(at..at + usize::from(s.attr_len)).unwrap_or(&[])))
}

/// Name of an endpoint without an IP address.
pub(crate) fn end_name(snap: &Snapshot, index: u32) -> Option<&str> {
    if index == 0 { None } else { snap.name(index) }
}

/// The reason why a socket of this family and protocol lacks an attribute.
pub(crate) fn absent(snap: &Snapshot, row: usize, wanted: AttrSet) -> Missing {
    if row >= snap.live {
        Missing::Gone
    } else if !can_have(snap.socket(row), wanted) {
        Missing::NotApplicable
    } else if snap.sample.wants.attrs(wanted) {
        Missing::NotReported
    } else {
        Missing::NotRead
    }
}

/// Returns whether the kernel attaches this attribute to sockets of that kind.
pub(crate) fn can_have(s: &Socket, wanted: AttrSet) -> bool {
    match wanted {
        AttrSet::NONE | AttrSet::SKMEM => true,
        AttrSet::SHUTDOWN => s.proto.is_inet() || matches!(s.proto, Proto::Unix | Proto::Vsock),
        AttrSet::CONG | AttrSet::INFO | AttrSet::VEGAS => s.proto.has_tcp_states(),
        _ => s.proto.is_inet(),
    }
}

pub(crate) fn is_ip(s: &Socket) -> bool {
    matches!(s.family, Family::Inet | Family::Inet6)
}

/// An end of an IP socket, a link-local one with its interface.
pub(crate) fn ip_end<'a>(snap: &'a Snapshot, s: &Socket, end: &Endpoint) -> Value<'a> {
    snap.zone(s, &end.addr).map_or(Value::Endpoint(*end), |zone| Value::Zoned {
        end: *end,
        with_port: true,
        zone,
    })
}

pub(crate) fn local(snap: &Snapshot, row: usize) -> Value<'_> {
    let s = snap.socket(row);
    if is_ip(s) {
        ip_end(snap, s, &s.local)
    } else {
        Value::from_opt(end_name(snap, s.local_name), Missing::NotApplicable)
    }
}

pub(crate) fn remote(snap: &Snapshot, row: usize) -> Value<'_> {
    let s = snap.socket(row);
    if !is_ip(s) {
        Value::from_opt(end_name(snap, s.remote_name), Missing::NotApplicable)
    } else if s.remote.is_none() {
        na()
    } else {
        ip_end(snap, s, &s.remote)
    }
}

pub(crate) fn local_addr(snap: &Snapshot, row: usize) -> Value<'_> {
    without_port(local(snap, row))
}

pub(crate) fn remote_addr(snap: &Snapshot, row: usize) -> Value<'_> {
    without_port(remote(snap, row))
}

pub(crate) fn port<'a>(s: &Socket, port: u16) -> Value<'a> {
    if is_ip(s) && port != 0 { Value::from(port) } else { na() }
}

pub(crate) fn uid(snap: &Snapshot, row: usize) -> Result<u32, Missing> {
    let s = snap.socket(row);
    match s.state {
        // The kernel reports 0 for these, which have no owner.
        State::TimeWait => Err(Missing::TimeWait),
        State::SynRecv => Err(Missing::Handshake),
        _ if s.inode == 0 && s.uid == 0 && is_ip(s) && row < snap.live => Err(Missing::Orphan),
        _ if s.proto.is_inet()
            || s.proto == Proto::Packet
            || snap.sample.backend.backend != Backend::Proc =>
        {
            Ok(s.uid)
        }
        // Not in /proc/net/unix and netlink.
        _ => Err(Missing::NotReported),
    }
}

pub(crate) fn comm(snap: &Snapshot, row: usize) -> Value<'_> {
    match snap.owners(row).first() {
        Some(o) => Value::text(&snap.process(o).info.comm),
        None => snap.last_owner(row).map_or_else(|| no_owner(snap, row), |f| Value::text(&f.comm)),
    }
}

pub(crate) fn comm_any(snap: &Snapshot, row: usize, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
    let owners = snap.owners(row);
    if owners.is_empty() {
        return test(&comm(snap, row));
    }
    owners.iter().any(|o| test(&Value::text(&snap.process(o).info.comm)))
}

pub(crate) fn pid(snap: &Snapshot, row: usize) -> Value<'_> {
    match snap.owners(row).first() {
        Some(o) => Value::from(snap.process(o).info.pid),
        None => snap.last_owner(row).map_or_else(|| no_owner(snap, row), |f| Value::from(f.pid)),
    }
}

pub(crate) fn pid_any(snap: &Snapshot, row: usize, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
    let owners = snap.owners(row);
    if owners.is_empty() {
        return test(&pid(snap, row));
    }
    owners.iter().any(|o| test(&Value::from(snap.process(o).info.pid)))
}

/// Number of distinct owning processes; the owners are sorted by process.
pub(crate) fn processes(snap: &Snapshot, row: usize) -> usize {
    let owners = snap.owners(row);
    owners.iter().enumerate().filter(|(i, o)| *i == 0 || owners[i - 1].process != o.process).count()
}

pub(crate) fn owner(snap: &Snapshot, row: usize) -> Value<'_> {
    let Some(o) = snap.owners(row).first() else {
        return snap.last_owner(row).map_or_else(
            || no_owner(snap, row),
            |f| Value::from(msg!("was {}", format!("{} {}", f.comm, f.pid))),
        );
    };
    Value::from(process_name(&snap.process(o).info, processes(snap, row).saturating_sub(1)))
}

pub(crate) fn owners(snap: &Snapshot, row: usize) -> Value<'_> {
    let owners = snap.owners(row);
    if owners.is_empty() && !snap.sample.wants.reads(Reads::OWNERS) {
        return Value::Missing(Missing::NotRead);
    }
    Value::List(
        owners
            .iter()
            .map(|o| {
                let p = &snap.process(o).info;
                Value::Record(vec![
                    ("pid", Value::from(p.pid)),
                    ("fd", reported(o.fd())),
                    ("comm", Value::text(&p.comm)),
                ])
            })
            .collect(),
    )
}

/// A share of the busy time, in percent.
pub(crate) fn limited<'a>(
    snap: &'a Snapshot,
    row: usize,
    part: fn(&crate::model::TcpInfo<'a>) -> Option<u64>,
) -> Value<'a> {
    let share = snap.attrs(row).tcp_info().and_then(|t| {
        let busy = t.busy_time_us().filter(|us| *us > 0)?;
        Some(part(&t)? as f64 * 100.0 / busy as f64)
    });
    Value::from_opt(share, not_tcp(snap, row))
}

/// The reason why a value derived from `tcp_info` is missing.
pub(crate) fn not_tcp(snap: &Snapshot, row: usize) -> Missing {
    match snap.socket(row).proto {
        Proto::Tcp if snap.attrs(row).tcp_info().is_none() => absent(snap, row, AttrSet::INFO),
        _ => Missing::NotApplicable,
    }
}

pub(crate) fn activity<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    match rate(snap, row, snap.rates(row).rx) {
        Value::Missing(why) if why != Missing::Gone => Value::Missing(why),
        _ => Value::Levels(snap.facts[row].activity),
    }
}

/// Socket type, if the kernel reports it or the protocol has only one.
pub(crate) fn kind(snap: &Snapshot, row: usize) -> Value<'_> {
    match (snap.attrs(row).kind(), snap.socket(row).proto) {
        (Some(1), _) | (None, Proto::Tcp | Proto::Mptcp) => Value::text("stream"),
        (Some(2), _) | (None, Proto::Udp | Proto::UdpLite | Proto::Icmp) => Value::text("dgram"),
        (Some(3), _) | (None, Proto::Raw) => Value::text("raw"),
        (Some(5), _) => Value::text("seqpacket"),
        (Some(n), _) => Value::from(n.to_string()),
        (None, _) => reported(None::<u32>),
    }
}

/// First owner of a socket as text, which needs no longer exist.
fn owner_text<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    match snap.owners(row).first() {
        Some(o) => Value::from(process_name(&snap.process(o).info, 0)),
        None => Value::Missing(snap.facts[row].owner_missing.unwrap_or(Missing::NoVisibleProcess)),
    }
}

pub(crate) fn peer_process(snap: &Snapshot, row: usize) -> Value<'_> {
    if let Some(other) = snap.local_peer(row) {
        return owner_text(snap, other);
    }
    snap.host_peers.get(row).map_or_else(na, |p| owner_text(&p.snap, p.row))
}

/// Tests the command name of each owner of the other end, and the process as it is shown.
pub(crate) fn any_peer_process(
    snap: &Snapshot,
    row: usize,
    test: &mut dyn FnMut(&Value<'_>) -> bool,
) -> bool {
    let mut any = |on: &Snapshot, row: usize| {
        on.owners(row).iter().any(|o| test(&Value::text(&on.process(o).info.comm)))
    };
    let found = match snap.local_peer(row) {
        Some(other) => any(snap, other),
        None => snap.host_peers.get(row).is_some_and(|p| any(&p.snap, p.row)),
    };
    found || test(&peer_process(snap, row))
}

/// Host of the other end among several: its own one, or the one that it was joined with.
pub(crate) fn peer_host(snap: &Snapshot, row: usize) -> Value<'_> {
    if snap.host_peers.is_known() && snap.local_peer(row).is_some() {
        return Value::text(&snap.sample.host);
    }
    snap.host_peers.get(row).map_or_else(na, |p| Value::from(p.snap.sample.host.to_string()))
}

/// Certainty of the other end on another host.
pub(crate) fn peer_certainty(snap: &Snapshot, row: usize) -> Value<'_> {
    snap.host_peers.get(row).map_or_else(na, |p| Value::text(p.certainty()))
}

/// Host that translates addresses between both ends.
pub(crate) fn peer_nat(snap: &Snapshot, row: usize) -> Value<'_> {
    let nat = snap.host_peers.get(row).and_then(|p| p.nat);
    nat.map_or_else(na, |name| Value::from(name.to_string()))
}

pub(crate) fn finding(snap: &Snapshot, row: usize) -> Value<'_> {
    let names: Vec<&str> = socket_diagnoses(snap, row).map(|d| d.finding.name).collect();
    if names.is_empty() { na() } else { Value::from(names.join(",")) }
}

/// Length of a queue, if the backend reports it.
pub(crate) fn queue<'a>(snap: &Snapshot, n: u32, is_reported: fn(Backend) -> bool) -> Value<'a> {
    if is_reported(snap.sample.backend.backend) {
        Value::from(n)
    } else {
        Value::Missing(Missing::NotReported)
    }
}

/// Returns true if the source has no queues of this socket: `/proc/net/unix`.
fn is_without_queues(snap: &Snapshot, s: &Socket) -> bool {
    s.family == Family::Unix && snap.sample.backend.backend == Backend::Proc
}

pub(crate) fn recv_q<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    let s = snap.socket(row);
    if is_without_queues(snap, s) {
        return Value::Missing(Missing::NotReported);
    }
    queue(snap, s.recv_q, Backend::reports_queues)
}

pub(crate) fn send_q<'a>(snap: &Snapshot, row: usize) -> Value<'a> {
    let s = snap.socket(row);
    if is_without_queues(snap, s) {
        return Value::Missing(Missing::NotReported);
    }
    queue(snap, s.send_q, if s.is_listener() { Backend::reports_backlogs } else { Backend::reports_queues })
}

pub(crate) fn rate<'a>(snap: &Snapshot, row: usize, r: Option<f32>) -> Value<'a> {
    let s = snap.socket(row);
    match r {
        // The kernel counts nothing for listeners.
        Some(_) if s.state == State::Listen => na(),
        Some(r) => Value::from(r),
        None if !s.proto.has_tcp_states() || matches!(s.state, State::Listen | State::TimeWait) => na(),
        None if row >= snap.live => Value::Missing(Missing::Gone),
        None if !snap.sample.wants.attrs(AttrSet::INFO) => Value::Missing(Missing::NotRead),
        None if snap.attrs(row).transfer().is_none() => Value::Missing(Missing::NotReported),
        None => Value::Missing(Missing::Pending),
    }
}

pub(crate) fn skmem<'a>(snap: &'a Snapshot, row: usize, get: fn(&SkMem<'a>) -> Option<u32>) -> Value<'a> {
    let v = snap.attrs(row).skmem().and_then(|m| get(&m));
    Value::from_opt(v, absent(snap, row, AttrSet::SKMEM))
}

pub(crate) fn service(snap: &Snapshot, row: usize) -> Value<'_> {
    let s = snap.socket(row);
    if s.proto == Proto::Raw {
        return applicable(snap.sample.services.protocol(s.local.port));
    }
    if !is_ip(s) || s.proto == Proto::Icmp {
        return na();
    }
    let name = |port| snap.sample.services.name(port, s.proto == Proto::Udp);
    let served = s.serves() || snap.facts[row].direction == Direction::In;
    let (a, b) = if served { (s.local.port, 0) } else { (s.remote.port, s.local.port) };
    Value::from_opt(name(a).or_else(|| name(b)), Missing::NotApplicable)
}

pub(crate) fn timer<'a>(snap: &Snapshot, row: usize, get: fn(&Socket) -> Value<'a>) -> Value<'a> {
    let s = snap.socket(row);
    match s.proto.has_tcp_states() {
        true if !snap.sample.backend.backend.reports_queues() => Value::Missing(Missing::NotReported),
        true => get(s),
        false => na(),
    }
}

pub(crate) fn sockopt<'a>(snap: &Snapshot, row: usize, bit: u8) -> Value<'a> {
    ip_only(snap, row, snap.attrs(row).sockopt().map(|b| b >> bit & 1 != 0))
}

fn fd<'a>(snap: &'a Snapshot, process: usize, get: fn(&crate::model::FdUsage) -> Value<'a>) -> Value<'a> {
    snap.fds(process).map_or_else(Value::Missing, get)
}

pub(crate) fn fds_open(snap: &Snapshot, process: usize) -> Value<'_> {
    fd(snap, process, |u| Value::from(u.open))
}
pub(crate) fn fds_soft(snap: &Snapshot, process: usize) -> Value<'_> {
    fd(snap, process, |u| reported(u.soft))
}
pub(crate) fn fds_pct(snap: &Snapshot, process: usize) -> Value<'_> {
    fd(snap, process, |u| reported(u.share().map(|s| s * 100.0)))
}
pub(crate) fn cmdline(snap: &Snapshot, process: usize) -> Value<'_> {
    crate::table::cell::cmdline(snap, process)
}
/// Control group of the socket; that of the first owner if not reported.
pub(crate) fn cgroup(snap: &Snapshot, row: usize) -> Value<'_> {
    match snap.attrs(row).cgroup_id() {
        Some(id) => reported(snap.sample.cgroups.get(&id).map(AsRef::as_ref)),
        None => first_owner(snap, row, |o| crate::table::cell::cgroup(snap, o.process as usize)),
    }
}
