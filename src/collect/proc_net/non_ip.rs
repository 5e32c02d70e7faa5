//! Lines of `/proc/net/unix` (`net/unix/af_unix.c`, `unix_seq_show`), `netlink` (`net/netlink/af_netlink.c`,
//! `netlink_native_seq_show`) and `packet` (`net/packet/af_packet.c`, `packet_seq_show`).
//!
//! They have less than `sock_diag`: no peers, no queues and no users of UNIX sockets, no interface names of packet sockets.

use super::line::Malformed;
use crate::model::attr;
use crate::model::{Family, Proto, Sample, Socket, SocketId, State, diag_attr, names, text};

/// `__SO_ACCEPTCON` in the flags of a UNIX listener.
const LISTENING: u32 = 1 << 16;
/// `SS_CONNECTED` of `include/uapi/linux/net.h`.
const CONNECTED: u32 = 3;
/// Protocol of a packet socket that receives every protocol (`ETH_P_ALL`).
const EVERY_PROTOCOL: u32 = 3;

/// Returns true if this is the header of one of these tables.
pub(crate) fn is_header(line: &[u8]) -> bool {
    line.starts_with(b"Num ") || line.starts_with(b"sk ")
}

/// Parses a line of the table of this protocol: the socket, to which the caller assigns an id, and its attributes.
pub(crate) fn socket(line: &[u8], proto: Proto, sample: &mut Sample) -> Result<(Socket, Vec<u8>), Malformed> {
    let parsed = match proto {
        Proto::Unix => unix(line, sample),
        Proto::Netlink => netlink(line, sample),
        _ => packet(line, sample),
    };
    parsed.ok_or(Malformed)
}

fn name(sample: &mut Sample, name: String) -> u32 {
    sample.names.push(name.into());
    sample.names.len() as u32 - 1
}

/// A word in hexadecimal, in decimal.
fn hex(word: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()
}

fn decimal<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|c| *c == b' ').filter(|w| !w.is_empty())
}

fn with_kind(kind: u32) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    attr::push(&mut out, diag_attr::own::KIND, &[u8::try_from(kind).ok()?]);
    Some(out)
}

/// `0000000015e71f96: 00000002 00000000 00010000 0001 01 12839 /run/x.sock`; the path may contain blanks.
fn unix(line: &[u8], sample: &mut Sample) -> Option<(Socket, Vec<u8>)> {
    let mut fields = words(line);
    let flags = hex(fields.nth(3)?)?;
    let kind = hex(fields.next()?)?;
    let connected = hex(fields.next()?)?;
    let inode_word = fields.next()?;
    let state = match connected {
        _ if flags & LISTENING != 0 => State::Listen,
        CONNECTED => State::Established,
        _ => State::Unconn,
    };
    let mut s = Socket::new(SocketId { netns: 0, cookie: 0 }, Family::Unix, Proto::Unix, state);
    s.inode = decimal(inode_word)?;
    // The path is whatever follows the inode and one blank.
    let at = inode_word.as_ptr() as usize - line.as_ptr() as usize + inode_word.len();
    if let Some(path) = line.get(at + 1..).filter(|p| !p.is_empty()) {
        s.local_name = name(sample, text::from_bytes(path).into_owned());
    }
    Some((s, with_kind(kind)?))
}

/// `00000000ced1e4a6 0   812        00000001 0        0        0     2        0        462`.
fn netlink(line: &[u8], sample: &mut Sample) -> Option<(Socket, Vec<u8>)> {
    let fields: Vec<&[u8]> = words(line).collect();
    let protocol: u16 = decimal(fields.get(1)?)?;
    let port: u32 = decimal(fields.get(2)?)?;
    let id = SocketId { netns: 0, cookie: 0 };
    let mut s = Socket::new(id, Family::Netlink, Proto::Netlink, State::Unconn);
    (s.recv_q, s.send_q) = (decimal(fields.get(4)?)?, decimal(fields.get(5)?)?);
    s.inode = decimal(fields.get(9)?)?;
    let owner = if port == 0 { "kernel".to_owned() } else { port.to_string() };
    s.local_name = name(sample, format!("{}:{owner}", names::netlink_protocol(protocol)));
    let mut attrs = Vec::new();
    attr::push(&mut attrs, diag_attr::own::PROTOCOL, &protocol.to_ne_bytes());
    attr::push(&mut attrs, diag_attr::own::PORT_ID, &port.to_ne_bytes());
    Some((s, attrs))
}

/// `00000000ced1e4a6 3      3    0003   2     1 0      0      5678`.
fn packet(line: &[u8], sample: &mut Sample) -> Option<(Socket, Vec<u8>)> {
    let fields: Vec<&[u8]> = words(line).collect();
    let kind = decimal(fields.get(2)?)?;
    let protocol = hex(fields.get(3)?)?;
    let id = SocketId { netns: 0, cookie: 0 };
    let mut s = Socket::new(id, Family::Packet, Proto::Packet, State::Unconn);
    s.iface = decimal(fields.get(4)?)?;
    (s.recv_q, s.uid, s.inode) =
        (decimal(fields.get(6)?)?, decimal(fields.get(7)?)?, decimal(fields.get(8)?)?);
    let what = if protocol == EVERY_PROTOCOL { "*".to_owned() } else { format!("0x{protocol:04x}") };
    let on = if s.iface == 0 { "*".to_owned() } else { format!("if{}", s.iface) };
    s.local_name = name(sample, format!("{what}:{on}"));
    Some((s, with_kind(kind)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, BackendInfo, Stamp, Wants};

    fn sample() -> Sample {
        let info = BackendInfo { backend: Backend::Proc, reason: String::new() };
        Sample::empty(Stamp::default(), "x".into(), info.into(), Wants::default())
    }

    #[test]
    fn lines_of_unix_netlink_and_packet_are_parsed() {
        let mut all = sample();
        let mut parse = |line: &str, proto| {
            let (s, attrs) = socket(line.as_bytes(), proto, &mut all).unwrap();
            let kind = attr::Attrs::new(&attrs, s.family, s.proto).kind();
            (s.state, s.inode, all.names[s.local_name as usize].to_string(), kind)
        };
        let listener = "0000000015e71f96: 00000002 00000000 00010000 0001 01 12839 /run/my app.sock";
        assert_eq!(parse(listener, Proto::Unix), (State::Listen, 12839, "/run/my app.sock".into(), Some(1)));
        let nameless = "00000000e1581187: 00000003 00000000 00000000 0002 03  1175";
        assert_eq!(parse(nameless, Proto::Unix), (State::Established, 1175, String::new(), Some(2)));
        let abstract_name = "00000000e1581187: 00000003 00000000 00000000 0001 01 7 @/tmp/x";
        assert_eq!(parse(abstract_name, Proto::Unix).2, "@/tmp/x");
        let route =
            "00000000ced1e4a6 0   812        00000001 5        0        0     2        0        462     ";
        assert_eq!(parse(route, Proto::Netlink), (State::Unconn, 462, "rtnl:812".into(), None));
        let tap = "00000000ced1e4a6 3      3    0003   2     1 9      33     5678";
        assert_eq!(parse(tap, Proto::Packet), (State::Unconn, 5678, "*:if2".into(), Some(3)));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(line: Vec<u8>, words in proptest::collection::vec("[0-9a-f:]{1,17}", 0..12)) {
            for proto in [Proto::Unix, Proto::Netlink, Proto::Packet] {
                let _ = socket(&line, proto, &mut sample());
                let _ = socket(words.join(" ").as_bytes(), proto, &mut sample());
            }
        }
    }
}
