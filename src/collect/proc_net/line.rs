//! Parser of one line of `/proc/net/tcp` and similar tables (`net/ipv4/tcp_ipv4.c`, `get_tcp4_sock`).
//!
//! The common fields are parsed by the crate `procfs`; timer and retransmits, which it does not have, are parsed here.

use crate::model::attr;
use crate::model::{
    Addr, Endpoint, Family, Proto, Scope, Socket, SocketId, State, Timer, TimerKind, diag_attr,
};
use procfs::net::{TcpNetEntries, UdpNetEntries};
use procfs::{ExplicitSystemInfo, FromBufReadSI};
use rustc_hash::FxHashSet;
use std::cmp::Ordering;
use std::net::SocketAddr;

/// Longest line that is parsed, bytes; the kernel pads lines to 150.
pub(crate) const LINE_MAX: usize = 1024;

/// Clock tick of `/proc` (1/`USER_HZ`), milliseconds.
const TICK_MS: u64 = 10;

/// Error of a line that cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Parameters of the parser: addresses are in the byte order of the machine that wrote the table.
const fn system_info(is_little_endian: bool) -> ExplicitSystemInfo {
    ExplicitSystemInfo { boot_time_secs: 0, ticks_per_second: 100, page_size: 4096, is_little_endian }
}

/// Returns true if this is the header line.
pub(crate) fn is_header(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"sl ")
}

/// Byte order of the machine whose tables these are. Addresses are written as numbers in its order, and two kinds of them are known:
/// those of its interfaces (`own`), and loopback ones, which almost every machine has. Most of those found decide; that of this
/// machine if there is none.
pub(crate) fn is_little_endian(tables: &str, own: &[Addr]) -> bool {
    let own: FxHashSet<Addr> = own.iter().copied().collect();
    let is_known = |a: Addr| !a.is_any() && (own.contains(&a) || a.scope() == Scope::Loopback);
    let (mut little, mut big) = (0u32, 0u32);
    for hex in tables.split_ascii_whitespace().filter_map(|word| word.split_once(':')).map(|(addr, _)| addr) {
        let [Some(as_little), Some(as_big)] = [true, false].map(|order| address(hex, order)) else {
            continue;
        };
        // Of those that read the same either way, nothing follows.
        if is_known(as_little) != is_known(as_big) {
            *(if is_known(as_little) { &mut little } else { &mut big }) += 1;
        }
    }
    match little.cmp(&big) {
        Ordering::Equal => cfg!(target_endian = "little"),
        order => order == Ordering::Greater,
    }
}

/// Address of 8 or 32 hexadecimal digits: 32-bit numbers in this byte order.
fn address(hex: &str, little: bool) -> Option<Addr> {
    let mut bytes = [0u8; 16];
    if !hex.is_ascii() || !matches!(hex.len(), 8 | 32) {
        return None;
    }
    for (i, out) in bytes.chunks_exact_mut(4).take(hex.len() / 8).enumerate() {
        let word = u32::from_str_radix(hex.get(i * 8..i * 8 + 8)?, 16).ok()?;
        out.copy_from_slice(&if little { word.to_le_bytes() } else { word.to_be_bytes() });
    }
    let [a, b, c, d, ..] = bytes;
    Some(if hex.len() == 8 { Addr::v4([a, b, c, d]) } else { Addr::v6(bytes) })
}

/// Parses a line; the caller assigns the id of the socket.
pub(crate) fn socket(line: &[u8], proto: Proto, family: Family, little: bool) -> Result<Socket, Malformed> {
    let text = std::str::from_utf8(line).map_err(|_| Malformed)?;
    if text.len() > LINE_MAX || !text.is_ascii() {
        return Err(Malformed);
    }
    let number = state_number(text).ok_or(Malformed)?;
    // The parser expects a table with a header, and rejects states that it does not know.
    let table = |state: &str| Some(format!("sl\n{}", with_state(text, state)?));
    let id = SocketId { netns: 0, cookie: 0 };
    Ok(if proto.has_tcp_states() {
        let table = table("01").ok_or(Malformed)?;
        let parsed =
            TcpNetEntries::from_buf_read(table.as_bytes(), &system_info(little)).map_err(|_| Malformed)?;
        let e = parsed.0.first().ok_or(Malformed)?;
        let mut s = Socket::new(id, family, proto, State::from_kernel_tcp(number));
        (s.local, s.remote) = (endpoint(e.local_address), endpoint(e.remote_address));
        (s.recv_q, s.send_q, s.uid, s.inode) = (e.rx_queue, e.tx_queue, e.uid, e.inode);
        s.timer = timer(text).ok_or(Malformed)?;
        s
    } else {
        let table = table("07").ok_or(Malformed)?;
        let parsed =
            UdpNetEntries::from_buf_read(table.as_bytes(), &system_info(little)).map_err(|_| Malformed)?;
        let e = parsed.0.first().ok_or(Malformed)?;
        let mut s = Socket::new(id, family, proto, State::from_kernel_datagram(number));
        (s.local, s.remote) = (endpoint(e.local_address), endpoint(e.remote_address));
        (s.recv_q, s.send_q, s.uid, s.inode) = (e.rx_queue, e.tx_queue, e.uid, e.inode);
        s
    })
}

/// Fourth field: the state, two hexadecimal digits.
fn state_word(line: &str) -> Option<&str> {
    line.split_ascii_whitespace().nth(3).filter(|w| w.len() == 2)
}

fn state_number(line: &str) -> Option<u8> {
    u8::from_str_radix(state_word(line)?, 16).ok()
}

/// The line with another state.
fn with_state(line: &str, state: &str) -> Option<String> {
    let word = state_word(line)?;
    let at = word.as_ptr() as usize - line.as_ptr() as usize;
    Some([line.get(..at)?, state, line.get(at + word.len()..)?].concat())
}

/// Further fields of a line, as attributes of our own: timeouts, cwnd and ssthresh of TCP sockets, drops of others. Lines of
/// older kernels do not have them.
pub(crate) fn attributes(line: &[u8], proto: Proto, state: State) -> Vec<u8> {
    let mut out = Vec::new();
    let text = std::str::from_utf8(line).unwrap_or("");
    let mut words = text.split_ascii_whitespace().skip(12);
    if !proto.has_tcp_states() {
        if let Some(drops) = words.next().and_then(|w| w.parse::<u32>().ok()) {
            attr::push(&mut out, diag_attr::own::PROC_DROPS, &drops.to_ne_bytes());
        }
        return out;
    }
    // Of listeners the last fields are others, and request and TIME_WAIT sockets have none.
    let fields: Vec<u32> = words.take(5).filter_map(|w| w.parse::<i64>().ok()).map(|n| n as u32).collect();
    if fields.len() == 5 && state != State::Listen {
        let bytes: Vec<u8> = fields.iter().flat_map(|n| n.to_ne_bytes()).collect();
        attr::push(&mut out, diag_attr::own::PROC_TCP, &bytes);
    }
    out
}

fn endpoint(a: SocketAddr) -> Endpoint {
    let addr = match a {
        SocketAddr::V4(a) => Addr::v4(a.ip().octets()),
        SocketAddr::V6(a) => Addr::v6(a.ip().octets()),
    };
    Endpoint::new(addr, a.port())
}

/// Timer: `tr:tm->when` and `retrnsmt`, the sixth and seventh field, hexadecimal, and `timeout`, the ninth. Retransmits are
/// counted in the seventh, probes in the ninth (`inet_sk_diag_fill` puts either in `idiag_retrans`).
fn timer(line: &str) -> Option<Timer> {
    let mut words = line.split_ascii_whitespace().skip(5);
    let (kind, when) = words.next()?.split_once(':')?;
    let kind = TimerKind::from_kernel(u8::from_str_radix(kind, 16).ok()?);
    let ticks = u64::from_str_radix(when, 16).ok()?;
    let retransmits = u64::from_str_radix(words.next()?, 16).ok()?;
    let probes: u64 = words.nth(1)?.parse().ok()?;
    let count = match kind {
        TimerKind::Off => return Some(Timer::default()),
        TimerKind::Keepalive | TimerKind::Persist => probes,
        TimerKind::On | TimerKind::Timewait | TimerKind::Unknown => retransmits,
    };
    Some(Timer {
        kind,
        retrans: count.min(u64::from(u8::MAX)) as u8,
        expires_ms: ticks.saturating_mul(TICK_MS).min(u64::from(u32::MAX)) as u32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(line: &[u8], proto: Proto, family: Family) -> Result<Socket, Malformed> {
        super::socket(line, proto, family, cfg!(target_endian = "little"))
    }

    #[test]
    fn byte_order_is_that_of_the_loopback_addresses() {
        let native = cfg!(target_endian = "little");
        let (v4, v6): (Addr, Addr) = ("10.0.0.4".parse().unwrap(), "2001:db8::7".parse().unwrap());
        let own = [v4, v6];
        for (table, little) in [
            ("  sl  local_address\n 0: 0100007F:1F90 00000000:0000 0A", true),
            (" 0: 7F000001:1F90 00000000:0000 0A", false),
            (" 0: 3500007F:0035 00000000:0000 07", true),
            (" 0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A", true),
            (" 0: 00000000000000000000000000000001:0016 00000000000000000000000000000000:0000 0A", false),
            (" 0: 00000000:0016 00000000:0000 0A", native),
            ("", native),
            // No loopback address, but those of the interfaces.
            (" 0: 0400000A:1F90 0900000A:0050 01", true),
            (" 0: 0A000004:1F90 0A000009:0050 01", false),
            (" 0: B80D0120000000000000000007000000:0016 B80D0120000000000000000008000000:9C40 01", true),
            (" 0: 20010DB8000000000000000000000007:0016 20010DB8000000000000000000000008:9C40 01", false),
            // One that looks like loopback in the other order, and more that do not.
            (" 0: 0400000A:1F90 01A8A87F:0050 01\n 1: 0400000A:1F90 0100007F:0050 01", true),
        ] {
            assert_eq!(is_little_endian(table, &own), little, "{table}");
        }
        let line = b" 0: 7F000001:1F90 0A000002:D431 01 0:0 00:0 0 0 0 7";
        let s = super::socket(line, Proto::Tcp, Family::Inet, false).unwrap();
        assert_eq!(
            (s.local.to_string(), s.remote.to_string()),
            ("127.0.0.1:8080".into(), "10.0.0.2:54321".into())
        );
    }

    const TCP: &str =
        "   0: 0100007F:1F90 0200007F:D431 01 0000000A:00000003 02:00000BB8 00000000  1000        4 4242 1 ";

    // Addresses as on a little-endian machine.
    #[cfg(target_endian = "little")]
    #[test]
    fn tcp_and_udp_lines_are_parsed() {
        let s = socket(TCP.as_bytes(), Proto::Tcp, Family::Inet).unwrap();
        assert_eq!(
            (s.local.to_string(), s.remote.to_string()),
            ("127.0.0.1:8080".into(), "127.0.0.2:54321".into())
        );
        assert_eq!((s.state, s.send_q, s.recv_q, s.uid, s.inode), (State::Established, 10, 3, 1000, 4242));
        assert_eq!(s.timer, Timer { kind: TimerKind::Keepalive, retrans: 4, expires_ms: 30_000 });
        let mapped = "1: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000200007F:8000 06 00000000:00000000 03:00000177 00000000 0 0 0 3";
        let s = socket(mapped.as_bytes(), Proto::Tcp, Family::Inet6).unwrap();
        assert_eq!((s.family, s.local.addr.is_v4(), s.remote.addr.is_v4()), (Family::Inet6, true, true));
        assert_eq!(s.timer, Timer { kind: TimerKind::Timewait, retrans: 0, expires_ms: 3750 });
        assert_eq!((s.local.to_string(), s.state, s.inode), ("127.0.0.1:80".into(), State::TimeWait, 0));
        let udp = "12: 00000000:0035 00000000:0000 07 00000000:00000100 00:00000000 00000000 101 0 77 2 0000000000000000 5";
        let s = socket(udp.as_bytes(), Proto::Udp, Family::Inet).unwrap();
        assert_eq!((s.state, s.recv_q, s.timer), (State::Unconn, 256, Timer::default()));
    }

    #[test]
    fn further_fields_become_attributes() {
        let attrs = |line: &str, proto, state| attributes(line.as_bytes(), proto, state);
        let whole = TCP.trim_end().to_owned() + " 00000000abcdef00 21 4 31 10 -1";
        let raw = attrs(&whole, Proto::Tcp, State::Established);
        let a = attr::Attrs::new(&raw, Family::Inet, Proto::Tcp);
        let values = ["rto_us", "ato_us", "snd_cwnd", "snd_ssthresh", "rtt_us"].map(|n| a.proc_tcp(n));
        assert_eq!(values, [Some(210_000), Some(40_000), Some(10), None, None]);
        assert_eq!((a.quick_acks(), a.bidirectional()), (Some(15), Some(true)));
        let found = whole.replace("-1", "7");
        let raw = attrs(&found, Proto::Tcp, State::Established);
        assert_eq!(attr::Attrs::new(&raw, Family::Inet, Proto::Tcp).proc_tcp("snd_ssthresh"), Some(7));
        assert!(
            attrs(&whole, Proto::Tcp, State::Listen).is_empty()
                && attrs(TCP, Proto::Tcp, State::TimeWait).is_empty()
        );
        let udp = "12: 00000000:0035 00000000:0000 07 0:0 00:0 0 101 0 77 2 0000000000000000 5";
        let raw = attrs(udp, Proto::Udp, State::Unconn);
        assert_eq!(attr::Attrs::new(&raw, Family::Inet, Proto::Udp).drops(), Some(5));
        for cut in 0..whole.len() {
            let _ = attrs(&whole[..cut], Proto::Tcp, State::Established);
        }
    }

    #[test]
    fn timer_is_that_of_sock_diag() {
        let parse = |running: &str, resent: &str, probes: &str| {
            let line = format!("0: 0100007F:1F90 0200007F:D431 01 0:0 {running} {resent} 0 {probes} 4242 1");
            socket(line.as_bytes(), Proto::Tcp, Family::Inet).map(|s| s.timer)
        };
        let timer = |kind, retrans, expires_ms| Ok(Timer { kind, retrans, expires_ms });
        assert_eq!(parse("00:00000000", "00000003", "2"), timer(TimerKind::Off, 0, 0));
        assert_eq!(parse("01:00000014", "00000003", "2"), timer(TimerKind::On, 3, 200));
        assert_eq!(parse("02:00000014", "00000003", "2"), timer(TimerKind::Keepalive, 2, 200));
        assert_eq!(parse("04:00000014", "00000003", "2"), timer(TimerKind::Persist, 2, 200));
        assert_eq!(parse("01:FFFFFFFFFFFFFFFF", "FFFFFFFF", "0"), timer(TimerKind::On, 255, u32::MAX));
        for (running, resent, probes) in
            [("01", "0", "0"), ("01:x", "0", "0"), ("01:0", "y", "0"), ("1:0", "0", "-1")]
        {
            assert_eq!(parse(running, resent, probes), Err(Malformed), "{running} {resent} {probes}");
        }
    }

    #[test]
    fn malformed_line_is_refused() {
        for cut in 0..TCP.len() - 8 {
            let _ = socket(&TCP.as_bytes()[..cut], Proto::Tcp, Family::Inet);
        }
        let long = "x".repeat(5000);
        for bad in ["", "garbage", "0: zz:1 1:1 01 0:0 0 0 0 0 0", &TCP.replace(" 01 ", " F "), &long] {
            assert_eq!(socket(bad.as_bytes(), Proto::Tcp, Family::Inet), Err(Malformed), "{bad}");
        }
        assert_eq!(socket(b"\xff\xfe: 1", Proto::Udp, Family::Inet), Err(Malformed));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(
            line: Vec<u8>,
            text in "[0-9A-F: ]{0,200}",
            words in proptest::collection::vec("[0-9A-F]{1,17}(:[0-9A-F]{1,17})?", 0..12),
        ) {
            let _ = socket(words.join(" ").as_bytes(), Proto::Tcp, Family::Inet);
            let _ = socket(&line, Proto::Tcp, Family::Inet);
            let _ = socket(text.as_bytes(), Proto::Tcp, Family::Inet6);
            let _ = socket(text.as_bytes(), Proto::Udp, Family::Inet);
        }
    }
}
