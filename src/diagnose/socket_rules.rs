//! Rules about sockets: thresholds, and the evidence each finding shows.

use super::limit::halted_words;
use super::state_age::in_state;
use crate::format::{age, thousands};
use crate::model::counter_window::CounterSnapshot;
use crate::model::lang::{noop, tr};
use crate::model::snapshot::Port;
use crate::model::state_age::unread_s;
use crate::model::{FilterVerdict, Missing, Proto, Reads, Snapshot, Socket, State, TimerKind};
use crate::msg;

/// Seconds in `CLOSE_WAIT` or `FIN_WAIT2` that no application needs.
const STUCK_S: f64 = crate::model::limit::STALE_S;
/// Seconds without a shrinking queue after which it counts as unread.
const WAITS_S: f64 = 10.0;
/// Share of retransmitted segments that slows TCP down noticeably.
const LOSS: f64 = 0.02;
/// Least number of segments for a share.
const ENOUGH: u32 = 50;
/// Seconds of observation after which counters since connect are ignored.
const WATCHED_S: f64 = 10.0;
/// Least busy time for a share, milliseconds.
const BUSY_MS: u32 = 1000;
/// Share of the busy time spent on one wait that makes it the bottleneck.
const LIMITED: f64 = 0.5;

/// A duration, marked if it is a lower bound.
fn bounded_age(secs: f64, least: bool) -> String {
    if least { msg!("at least {}", age(secs)) } else { age(secs) }
}

/// Time for which the receive queue has not shrunk, if that is long.
fn stalled_for(snap: &Snapshot, row: usize) -> Option<String> {
    let since = Some(snap.facts[row].waiting_since_ns).filter(|ns| *ns > 0)?;
    let secs = snap.sample.at.boot_ns.saturating_sub(since) as f64 / 1e9;
    // In one reading the kernel's own time counts: since the last ACK, which came with the data or after it.
    let secs =
        secs.max(unread_s(&snap.facts[row], snap.socket(row), snap.attrs(row), snap.sample.at.boot_ns));
    // Data present when the socket was first seen may be older.
    let least = snap.facts[row].preexisting && since <= snap.facts[row].first_seen_ns;
    (secs >= WAITS_S).then(|| bounded_age(secs, least))
}

/// True if a connection has been in the accept queue of this listener for long. Under load the queue is never
/// empty, but its connections change.
fn has_old_pending(snap: &Snapshot, row: usize) -> bool {
    let l = snap.socket(row);
    let is_old = |r: usize| {
        let seen = snap.sample.at.boot_ns.saturating_sub(snap.facts[r].first_seen_ns);
        seen as f64 / 1e9 >= WAITS_S
    };
    (0..snap.live).any(|r| is_pending_of(snap, r, l) && is_old(r))
}

/// True if a row is a connection in the accept queue of this listener.
fn is_pending_of(snap: &Snapshot, row: usize, l: &Socket) -> bool {
    let s = snap.socket(row);
    s.id.netns == l.id.netns
        && s.proto == Proto::Tcp
        && s.local.port == l.local.port
        && (l.local.addr.is_any() || s.local.addr == l.local.addr)
        && s.state != State::Listen
        && snap.facts[row].owner_missing == Some(Missing::AcceptQueue)
}

/// True if the accept queue of a listener is full. The kernel admits one more than the limit
/// (`sk_acceptq_is_full`, `unix_recvq_full`), so `listen(fd, 0)` admits one.
fn is_full(snap: &Snapshot, s: &Socket) -> bool {
    let limit_known = s.send_q > 0 || snap.sample.backend.backend.reports_backlogs();
    limit_known && s.recv_q > s.send_q
}

/// The first owner of a socket.
fn owner_name(snap: &Snapshot, row: usize) -> String {
    snap.owners(row).first().map_or_else(
        || tr("the application").to_owned(),
        |o| {
            let fd = o.fd().map_or_else(String::new, |fd| format!(" (fd {fd})"));
            format!("{} {}{fd}", snap.process(o).info.name(), snap.process(o).info.pid)
        },
    )
}

/// Counters of the last 30 to 60 seconds if they are enough for a share; else, if the socket was not observed for long (as
/// in a single reading), since connect. With the period in words.
fn recent_counters(
    snap: &Snapshot,
    row: usize,
    enough: fn(&CounterSnapshot) -> bool,
) -> Option<(CounterSnapshot, String)> {
    let recent = snap.recent_delta(row);
    let secs = recent.map_or(0.0, |m| m.at_ns as f64 / 1e9);
    match recent {
        Some(m) if enough(&m) => Some((m, msg!("last {}", age(secs)))),
        _ if secs < WATCHED_S => {
            let since_connect =
                CounterSnapshot::new(snap.sample.at.boot_ns, &snap.attrs(row).tcp_info()?).filter(enough)?;
            Some((since_connect, tr("since connect").to_owned()))
        }
        _ => None,
    }
}

/// Evidence that one wait took most of the busy time.
fn limited(
    snap: &Snapshot,
    row: usize,
    by: &'static str,
    waited_ms: fn(&CounterSnapshot) -> u32,
) -> Option<String> {
    let (m, when) = recent_counters(snap, row, |m| m.busy_ms > BUSY_MS)?;
    let share = f64::from(waited_ms(&m)) / f64::from(m.busy_ms);
    (share >= LIMITED)
        .then(|| msg!("{} for {}% of busy time ({})", tr(by), format!("{:.0}", share * 100.0), when))
}

/// Rules stop every connection of another host. Known only where the firewall was read.
pub(super) fn firewalled(snap: &Snapshot, row: usize) -> Option<String> {
    let s = snap.socket(row);
    // Asked of every row, also where the firewall is not read.
    if !s.serves() || !snap.sample.wants.reads(Reads::FIREWALL) {
        return None;
    }
    let is_of = |p: &&Port| {
        p.local == s.local && p.proto == s.proto && p.netns == s.id.netns && p.sockets.contains(&(row as u32))
    };
    let filtered = snap.ports.iter().find(is_of)?.filtered.as_ref()?;
    (filtered.verdict == FilterVerdict::Stopped).then(|| msg!("new connections: {}", filtered.detail))
}

pub(super) fn accept_queue_full(snap: &Snapshot, row: usize) -> Option<String> {
    let s = snap.socket(row);
    (s.state == State::Listen && is_full(snap, s)).then(|| {
        let (n, limit) = (thousands(u64::from(s.recv_q)), thousands(u64::from(s.send_q)));
        msg!("accept queue full: {} of {}", n, limit)
    })
}

pub(super) fn owner_halted(snap: &Snapshot, row: usize) -> Option<String> {
    let s = snap.socket(row);
    let halted = snap.owners(row).iter().find_map(|o| Some((snap.process(o), snap.process(o).halted?)));
    let (p, how) = halted.filter(|_| s.recv_q > 0)?;
    let now = snap.sample.at.boot_ns;
    let mut waited = unread_s(&snap.facts[row], s, snap.attrs(row), now);
    if s.state == State::Listen {
        let pending = (0..snap.live).filter(|r| is_pending_of(snap, *r, s));
        let oldest = pending.map(|r| unread_s(&snap.facts[r], snap.socket(r), snap.attrs(r), now));
        waited = oldest.fold(waited, f64::max);
    }
    (waited >= how.wait_s()).then(|| {
        let (name, how) = (format!("{} {}", p.info.name(), p.info.pid), halted_words(how));
        msg!("{} is {}: waiting for {}", name, how, age(waited))
    })
}

pub(super) fn close_wait_leak(snap: &Snapshot, row: usize) -> Option<String> {
    let (secs, least) = in_state(snap, row);
    (snap.socket(row).state == State::CloseWait && secs >= STUCK_S)
        .then(|| msg!("CLOSE_WAIT for {}, not closed by {}", bounded_age(secs, least), owner_name(snap, row)))
}

pub(super) fn not_reading(snap: &Snapshot, row: usize) -> Option<String> {
    let s = snap.socket(row);
    // Data of a connection in an accept queue cannot be read yet, and kernel sockets have no reader.
    let owned = !snap.owners(row).is_empty()
        || !matches!(
            snap.facts[row].owner_missing,
            Some(Missing::AcceptQueue | Missing::Orphan | Missing::NoVisibleProcess)
        );
    // An unread FIN counts as one byte.
    let open = matches!(s.state, State::Established | State::Unconn) && s.recv_q > 1;
    let bytes = thousands(u64::from(s.recv_q));
    if s.state == State::Listen || s.proto == Proto::Netlink || !owned {
        return None;
    }
    match stalled_for(snap, row).filter(|_| open) {
        // The byte counter shows that nothing was read.
        Some(time) if snap.attrs(row).transfer().is_some() => {
            Some(msg!("no reads for {}, {} bytes unread: {}", time, bytes, owner_name(snap, row)))
        }
        Some(time) => Some(msg!(
            "receive queue not shrinking for {}, {} bytes unread: {}",
            time,
            bytes,
            owner_name(snap, row)
        )),
        None => None,
    }
}

pub(super) fn not_accepting(snap: &Snapshot, row: usize) -> Option<String> {
    let s = snap.socket(row);
    if s.state != State::Listen || is_full(snap, s) {
        return None;
    }
    let time = stalled_for(snap, row).filter(|_| s.proto != Proto::Tcp || has_old_pending(snap, row))?;
    let n = match s.recv_q {
        1 => tr("1 connection").to_owned(),
        n => msg!("{} connections", thousands(u64::from(n))),
    };
    Some(msg!("{} waiting for {}, not accept()ed by {}", n, time, owner_name(snap, row)))
}

pub(super) fn peer_not_reading(snap: &Snapshot, row: usize) -> Option<String> {
    let s = snap.socket(row);
    // A window is closed for moments in any bulk transfer; probes carry no data.
    if s.send_q == 0 || s.state == State::Listen {
        return None;
    }
    let bytes = thousands(u64::from(s.send_q));
    let idle_s = snap.attrs(row).tcp_info().and_then(|t| t.last_data_sent_ms()).map(|ms| ms as f64 / 1e3);
    let closed = idle_s
        .filter(|idle_s| s.timer.kind == TimerKind::Persist && *idle_s >= WAITS_S)
        .map(|idle_s| msg!("zero window for {}, {} bytes in the send queue", age(idle_s), bytes));
    let Some((reader, unread)) = unread_at_peer(snap, row) else { return closed };
    let sender = closed.unwrap_or_else(|| msg!("{} bytes in the send queue", bytes));
    Some(msg!("{}; on {}: {}", sender, reader, unread))
}

/// Host and evidence of the other end of a connection, if its application there does not read.
fn unread_at_peer(snap: &Snapshot, row: usize) -> Option<(String, String)> {
    let peer = snap.host_peers.get(row)?;
    let unread = not_reading(&peer.snap, peer.row)?;
    let host = &peer.snap.sample.host;
    Some((if peer.certain { host.to_string() } else { format!("{host} ({})", tr("likely")) }, unread))
}

pub(super) fn no_answer(snap: &Snapshot, row: usize) -> Option<String> {
    let s = snap.socket(row);
    // For SCTP the counter is of all retransmissions ever.
    let sending = s.state != State::SynSent
        && s.proto != Proto::Sctp
        && s.timer.kind == TimerKind::On
        && s.timer.retrans >= 3;
    sending.then(|| msg!("{} retransmissions without ACK", s.timer.retrans))
}

pub(super) fn no_answer_to_connect(snap: &Snapshot, row: usize) -> Option<String> {
    let s = snap.socket(row);
    (s.state == State::SynSent && s.timer.retrans >= 1)
        .then(|| msg!("{} SYNs sent without an answer", u32::from(s.timer.retrans) + 1))
}

pub(super) fn neighbour_failed(snap: &Snapshot, row: usize) -> Option<String> {
    let s = snap.socket(row);
    if s.timer.kind != TimerKind::On || s.timer.retrans == 0 {
        return None;
    }
    let hops = &snap.sample.failed_hops;
    let hop = hops.iter().find(|h| h.netns == s.id.netns && h.dest == s.remote.addr)?;
    let same = hops.iter().filter(|h| (h.netns, h.hop, h.iface) == (hop.netns, hop.hop, hop.iface));
    let waiting: u32 = same.map(|h| h.waiting).sum();
    let name = snap.sample.namespaces.get(usize::from(hop.netns)).and_then(|n| n.interfaces.get(&hop.iface));
    let link = name.cloned().unwrap_or_else(|| format!("#{}", hop.iface));
    Some(if hop.hop.is_v4() {
        msg!("next hop {} ({}) does not answer ARP; sockets that wait for it: {}", hop.hop, link, waiting)
    } else {
        msg!(
            "next hop {} ({}) does not answer neighbor discovery; sockets that wait for it: {}",
            hop.hop,
            link,
            waiting
        )
    })
}

pub(super) fn loss(snap: &Snapshot, row: usize) -> Option<String> {
    let (m, when) = recent_counters(snap, row, |m| m.sent >= ENOUGH)?;
    // What the peer received twice was not lost.
    let lost = m.retransmitted.saturating_sub(m.spurious);
    let share = f64::from(lost) / f64::from(m.sent);
    let now = snap.rates(row).retrans.filter(|n| *n > 0.0);
    let now = now.map_or_else(String::new, |n| msg!(", now {}/s", format!("{n:.1}")));
    (share >= LOSS)
        .then(|| msg!("{}% of segments retransmitted ({}){}", format!("{:.1}", share * 100.0), when, now))
}

pub(super) fn receiver_limited(snap: &Snapshot, row: usize) -> Option<String> {
    limited(snap, row, noop("receiver-limited"), |m| m.rwnd_ms)
}

pub(super) fn send_buffer_limited(snap: &Snapshot, row: usize) -> Option<String> {
    limited(snap, row, noop("send-buffer-limited"), |m| m.sndbuf_ms)
}

pub(super) fn half_closed(snap: &Snapshot, row: usize) -> Option<String> {
    let (secs, least) = in_state(snap, row);
    let held = !snap.owners(row).is_empty();
    (snap.socket(row).state == State::FinWait2 && held && secs >= STUCK_S)
        .then(|| msg!("half-closed for {}, kept open by {}", bounded_age(secs, least), owner_name(snap, row)))
}

pub(super) fn drops(snap: &Snapshot, row: usize) -> Option<String> {
    if !snap.socket(row).proto.is_datagram() {
        return None;
    }
    // Drops of a load that is long over need no action.
    let m = snap.recent_delta(row).filter(|m| m.drops > 0)?;
    Some(msg!("{} packets dropped (last {})", thousands(u64::from(m.drops)), age(m.at_ns as f64 / 1e9)))
}
