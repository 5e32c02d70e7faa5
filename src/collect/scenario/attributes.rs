//! Timers and attributes of sockets, encoded as the kernel sends them.

use super::series::Series;
use super::series::noise_below;
use super::spec::SocketSpec;
use crate::model::attr::push;
use crate::model::diag_attr::inet;
use crate::model::tcp_info::TCP_FIELDS;
use crate::model::{AttrSet, Family, Proto, Socket, State, Timer, TimerKind};

/// Size of `tcp_info` on current kernels.
const INFO_LEN: usize = 248;

/// Timer of a socket of this age, in polls.
pub(super) fn timer(spec: &SocketSpec, state: State, age: u32) -> Timer {
    let remaining = |ms: u32| ms.saturating_sub(age.saturating_mul(1000));
    let (kind, retrans, expires_ms) = match (spec.timer, state) {
        (Some((kind, ms)), _) => (TimerKind::from_kernel(kind), 0, remaining(ms)),
        (None, State::TimeWait | State::FinWait2) => (TimerKind::Timewait, 0, remaining(60_000)),
        (None, State::SynSent) => (TimerKind::On, age.min(6) as u8, 1000 << age.min(6)),
        (None, State::SynRecv) => (TimerKind::On, 0, 900),
        _ => return Timer::default(),
    };
    Timer { kind, retrans, expires_ms }
}

/// Attributes of a socket as the kernel would send them.
pub(super) fn attributes(spec: &SocketSpec, s: &Socket, wanted: AttrSet, ticks: u32, seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if matches!(s.state, State::TimeWait | State::SynRecv) {
        return out;
    }
    push(&mut out, inet::SHUTDOWN, &[u8::from(s.state == State::CloseWait)]);
    if wanted.contains(AttrSet::TOS) {
        push(&mut out, inet::TOS, &[0]);
    }
    if s.family == Family::Inet6 {
        if wanted.contains(AttrSet::TCLASS) {
            push(&mut out, inet::TCLASS, &[0]);
        }
        if matches!(s.state, State::Listen | State::Closed | State::Unconn) {
            push(&mut out, inet::SKV6ONLY, &[u8::from(spec.v6only)]);
        }
    }
    if wanted.contains(AttrSet::SKMEM) {
        let drops = spec.drops.at(ticks, seed).max(0.0) as u32;
        // The queues of a listener hold connections, not bytes.
        let (received, queued) = if s.is_listener() { (0, 0) } else { (s.recv_q, s.send_q) };
        let mem = [received, 131_072, 0, 16_384, 0, queued, 0, 0, drops];
        push(&mut out, inet::SKMEMINFO, &mem.map(u32::to_ne_bytes).concat());
    }
    if s.proto == Proto::Tcp && wanted.contains(AttrSet::INFO) {
        push(&mut out, inet::INFO, &tcp_info(spec, s, ticks, seed));
    }
    if s.proto == Proto::Tcp && wanted.contains(AttrSet::CONG) {
        push(&mut out, inet::CONG, b"cubic\0");
    }
    out
}

fn tcp_info(spec: &SocketSpec, s: &Socket, ticks: u32, seed: u64) -> Vec<u8> {
    let total = |c: &Series, salt: u64| c.sum(ticks, seed ^ salt).max(0.0) as u64;
    // Bytes before the first poll: those of an hour.
    let before = |c: &Series| (c.start * 3600.0).max(0.0) as u64 + 1;
    let (received, acked) = (total(&spec.rx, 1) + before(&spec.rx), total(&spec.tx, 2) + before(&spec.tx));
    let retrans = total(&spec.retrans, 4);
    // Before the handshake is complete nothing is measured.
    let measured = !matches!(s.state, State::SynSent | State::SynRecv);
    let rtt = if measured { spec.rtt_us.at(ticks, seed ^ 3).max(0.0) as u64 } else { 0 };
    let idle = spec.rx.start == 0.0 && spec.tx.start == 0.0;
    let since = if idle { 1000 * u64::from(ticks) + 60_000 } else { noise_below(seed, 900) };
    let connection = |name: &str| match name {
        "rtt_us" => rtt,
        "rttvar_us" => rtt / 4,
        "min_rtt_us" => rtt * 3 / 4,
        "rto_us" => 200_000 + rtt,
        "ato_us" => 40_000,
        "options" => 7,
        "snd_mss" | "rcv_mss" | "advmss" => 1448,
        "pmtu" => 1500,
        "snd_cwnd" => 10 + noise_below(seed, 40),
        "snd_ssthresh" => 0x7fff_ffff,
        "reordering" => 3,
        "rcv_space" => 14_480,
        "rcv_ssthresh" => 64_076,
        "total_retrans" => retrans,
        "bytes_retrans" => retrans * 1448,
        "bytes_received" => received,
        "bytes_acked" => acked,
        "bytes_sent" => acked + retrans * 1448,
        "segs_in" => received / 1200 + 4,
        "segs_out" => acked / 1200 + 4,
        "data_segs_in" => received / 1200 + 1,
        "data_segs_out" | "delivered" => acked / 1200 + 1,
        "unacked" => u64::from(s.send_q.div_ceil(1448)),
        "last_data_sent_ms" | "last_data_recv_ms" | "last_ack_recv_ms" => since,
        "pacing_rate" => 14_480_000_000_u64.checked_div(rtt).unwrap_or(0),
        "max_pacing_rate" => u64::MAX,
        "delivery_rate" => spec.tx.at(ticks, seed ^ 2).max(0.0) as u64,
        "snd_wnd" => 64_256,
        "rcv_wnd" => 65_536,
        _ => 0,
    };
    let mut info = vec![0u8; INFO_LEN];
    for f in TCP_FIELDS.iter().filter(|f| f.offset + f.width <= INFO_LEN) {
        let value = match (f.name, s.is_listener()) {
            ("state", _) => u64::from(s.state.info().kernel),
            ("unacked", true) => u64::from(s.recv_q),
            ("sacked", true) => u64::from(s.send_q),
            (_, true) => 0,
            (name, false) => connection(name),
        };
        let field = &mut info[f.offset..f.offset + f.width];
        field.copy_from_slice(&value.to_le_bytes()[..f.width]);
        if cfg!(target_endian = "big") {
            field.reverse();
        }
    }
    info
}
