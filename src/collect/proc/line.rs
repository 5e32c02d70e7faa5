//! One line of `/proc/net/tcp` and its kin to a socket (`net/ipv4/tcp_ipv4.c`, `get_tcp4_sock`).
//!
//! The fields that everybody reads come from the crate `procfs`; timer and retransmits, which it leaves out, are
//! read here.

use crate::model::{Addr, Endpoint, Family, Proto, Socket, SocketId, State, Timer, TimerKind};
use procfs::net::{TcpNetEntries, UdpNetEntries};
use procfs::{ExplicitSystemInfo, FromBufReadSI};
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

/// Longest line that is looked at, bytes; the kernel pads them to 150.
const LONGEST: usize = 1024;

/// The clock ticks of `/proc` (`USER_HZ`), in milliseconds.
const TICK_MS: u64 = 10;

/// A line that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Addresses stand in the byte order of the machine.
const fn system() -> ExplicitSystemInfo {
    ExplicitSystemInfo {
        boot_time_secs: 0,
        ticks_per_second: 100,
        page_size: 4096,
        is_little_endian: cfg!(target_endian = "little"),
    }
}

/// The socket of a line.
pub(super) fn socket(line: &[u8], proto: Proto, family: Family) -> Result<Socket, Malformed> {
    let text = std::str::from_utf8(line).map_err(|_| Malformed)?;
    if text.len() > LONGEST || !text.is_ascii() {
        return Err(Malformed);
    }
    // The parser takes a table: titles first.
    let table = format!("sl\n{text}");
    let mut s = if proto.has_tcp_states() {
        let parsed = TcpNetEntries::from_buf_read(table.as_bytes(), &system()).map_err(|_| Malformed)?;
        let e = parsed.0.first().ok_or(Malformed)?;
        let state = State::from_kernel_tcp(e.state.clone() as u8).ok_or(Malformed)?;
        let mut s = Socket::new(SocketId { netns: 0, cookie: 0 }, family, proto, state);
        (s.local, s.remote) = (endpoint(e.local_address), endpoint(e.remote_address));
        (s.recv_q, s.send_q, s.uid, s.inode) = (e.rx_queue, e.tx_queue, e.uid, e.inode);
        s.timer = timer(text);
        s
    } else {
        let parsed = UdpNetEntries::from_buf_read(table.as_bytes(), &system()).map_err(|_| Malformed)?;
        let e = parsed.0.first().ok_or(Malformed)?;
        let state = State::from_kernel_datagram(e.state.clone() as u8);
        let mut s = Socket::new(SocketId { netns: 0, cookie: 0 }, family, proto, state);
        (s.local, s.remote) = (endpoint(e.local_address), endpoint(e.remote_address));
        (s.recv_q, s.send_q, s.uid, s.inode) = (e.rx_queue, e.tx_queue, e.uid, e.inode);
        s
    };
    s.id.cookie = cookie(&s, false);
    Ok(s)
}

fn endpoint(a: SocketAddr) -> Endpoint {
    let addr = match a {
        SocketAddr::V4(a) => Addr::v4(a.ip().octets()),
        SocketAddr::V6(a) => Addr::v6(a.ip().octets()),
    };
    Endpoint::new(addr, a.port())
}

/// `tr:tm->when retrnsmt`, the sixth and seventh field, all hexadecimal.
fn timer(line: &str) -> Timer {
    let mut words = line.split_ascii_whitespace().skip(5);
    let running = words.next().and_then(|w| {
        let (kind, when) = w.split_once(':')?;
        Some((u8::from_str_radix(kind, 16).ok()?, u64::from_str_radix(when, 16).ok()?))
    });
    let retrans = words.next().and_then(|w| u64::from_str_radix(w, 16).ok()).unwrap_or(0);
    match running {
        Some((kind, ticks)) if kind > 0 => Timer {
            kind: TimerKind::from_kernel(kind),
            retrans: retrans.min(255) as u8,
            expires_ms: (ticks * TICK_MS).min(u64::from(u32::MAX)) as u32,
        },
        _ => Timer::default(),
    }
}

/// An identity made of what stays the same while a socket lives. A connection is its two ends, through every state; what
/// has no far end, or has the ends of another (`exactly`), is told by its inode.
pub(super) fn cookie(s: &Socket, exactly: bool) -> u64 {
    let mut h = rustc_hash::FxHasher::default();
    (s.proto as u8, s.local, s.remote).hash(&mut h);
    if exactly || s.remote.is_none() {
        (s.family as u8, s.inode).hash(&mut h);
    }
    h.finish() | SocketId::MADE_UP
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str =
        "   0: 0100007F:1F90 0200007F:D431 01 0000000A:00000003 02:00000BB8 00000004  1000        0 4242 1 ";

    #[test]
    fn a_line_is_a_socket() {
        let s = socket(TCP.as_bytes(), Proto::Tcp, Family::Inet).unwrap();
        assert_eq!(
            (s.local.to_string(), s.remote.to_string()),
            ("127.0.0.1:8080".into(), "127.0.0.2:54321".into())
        );
        assert_eq!((s.state, s.send_q, s.recv_q, s.uid, s.inode), (State::Established, 10, 3, 1000, 4242));
        assert_eq!(s.timer, Timer { kind: TimerKind::Keepalive, retrans: 4, expires_ms: 30_000 });
        assert_eq!(s.id.kernel_cookie(), None);
        let mapped = "1: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000200007F:8000 06 00000000:00000000 03:00000177 00000000 0 0 0 3";
        let s = socket(mapped.as_bytes(), Proto::Tcp, Family::Inet6).unwrap();
        assert_eq!((s.local.to_string(), s.state, s.inode), ("127.0.0.1:80".into(), State::TimeWait, 0));
        let udp = "12: 00000000:0035 00000000:0000 07 00000000:00000100 00:00000000 00000000 101 0 77 2 0000000000000000 5";
        let s = socket(udp.as_bytes(), Proto::Udp, Family::Inet).unwrap();
        assert_eq!((s.state, s.recv_q, s.timer), (State::Unconn, 256, Timer::default()));
    }

    #[test]
    fn a_connection_keeps_its_identity_through_its_states() {
        let a = socket(TCP.as_bytes(), Proto::Tcp, Family::Inet).unwrap();
        let later = TCP.replace(" 01 ", " 06 ").replace(" 4242 ", " 0 ");
        let b = socket(later.as_bytes(), Proto::Tcp, Family::Inet).unwrap();
        assert_eq!(a.id, b.id);
        assert_ne!(cookie(&a, true), cookie(&b, true));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for cut in 0..TCP.len() - 8 {
            let _ = socket(&TCP.as_bytes()[..cut], Proto::Tcp, Family::Inet);
        }
        let long = "x".repeat(5000);
        for bad in ["", "garbage", "0: zz:1 1:1 01 0:0 0 0 0 0 0", &TCP.replace(" 01 ", " FF "), &long] {
            assert_eq!(socket(bad.as_bytes(), Proto::Tcp, Family::Inet), Err(Malformed), "{bad}");
        }
        assert_eq!(socket(b"\xff\xfe: 1", Proto::Udp, Family::Inet), Err(Malformed));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end_well(line: Vec<u8>, text in "[0-9A-F: ]{0,200}") {
            let _ = socket(&line, Proto::Tcp, Family::Inet);
            let _ = socket(text.as_bytes(), Proto::Tcp, Family::Inet6);
            let _ = socket(text.as_bytes(), Proto::Udp, Family::Inet);
        }
    }
}
