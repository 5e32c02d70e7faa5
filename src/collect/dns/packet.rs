//! IP packets of port 53: endpoints and the messages in them.
//!
//! Of TCP a message is read if it begins with a segment; what a later segment adds is not. An answer longer than its segment has its
//! code and its first addresses.

use super::PORT;
use super::message::{self, Message};
use crate::model::{Addr, Endpoint, Proto};

/// `ETH_P_IP`.
const IPV4: u16 = 0x0800;
/// Most messages of one TCP segment.
const MESSAGES_MAX: usize = 64;

/// Endpoints of a packet, and its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Datagram<'a> {
    proto: Proto,
    from: Endpoint,
    to: Endpoint,
    payload: &'a [u8],
}

/// Calls `each` with protocol, sender, receiver and message: questions to port 53, answers from it.
pub(super) fn messages(
    ether_type: u16,
    packet: &[u8],
    each: &mut dyn FnMut(Proto, Endpoint, Endpoint, Message),
) {
    let Some(d) = datagram(ether_type, packet) else { return };
    let mut take = |bytes: &[u8], whole: bool| {
        let Some(m) = message::decode(bytes) else { return false };
        let of_port = if m.is_answer { d.from.port } else { d.to.port };
        // The beginning of a question may be the middle of something else.
        if of_port == PORT && (whole || m.is_answer) {
            each(d.proto, d.from, d.to, m);
        }
        true
    };
    if d.proto == Proto::Udp {
        take(d.payload, true);
        return;
    }
    let mut rest = d.payload;
    for _ in 0..MESSAGES_MAX {
        let Some((len, after)) = rest.split_first_chunk::<2>() else { return };
        let len = usize::from(u16::from_be_bytes(*len));
        let (message, next) = after.split_at(len.min(after.len()));
        if !take(message, message.len() == len) {
            return;
        }
        rest = next;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

fn datagram(ether_type: u16, packet: &[u8]) -> Option<Datagram<'_>> {
    let (protocol, src, dst, transport) = if ether_type == IPV4 {
        let addr = |at: usize| Some(Addr::v4(packet.get(at..at + 4)?.try_into().ok()?));
        let header = usize::from(packet.first()? & 0xf) * 4;
        // Offloading leaves the length of long packets 0.
        let total = match usize::from(u16_at(packet, 2)?) {
            0 => packet.len(),
            n => n.min(packet.len()),
        };
        (*packet.get(9)?, addr(12)?, addr(16)?, packet.get(header.max(20)..total)?)
    } else {
        let addr = |at: usize| Some(Addr::v6(packet.get(at..at + 16)?.try_into().ok()?));
        let end = match usize::from(u16_at(packet, 4)?) {
            0 => packet.len(),
            n => (n + 40).min(packet.len()),
        };
        (*packet.get(6)?, addr(8)?, addr(24)?, packet.get(40..end)?)
    };
    let (proto, payload) = match protocol {
        17 => {
            let len = usize::from(u16_at(transport, 4)?).min(transport.len());
            (Proto::Udp, transport.get(8..len)?)
        }
        6 => {
            let header = usize::from(transport.get(12)? >> 4) * 4;
            (Proto::Tcp, transport.get(header.max(20)..)?)
        }
        _ => return None,
    };
    let (from, to) = (u16_at(transport, 0)?, u16_at(transport, 2)?);
    Some(Datagram { proto, from: Endpoint::new(src, from), to: Endpoint::new(dst, to), payload })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An IPv4 packet by UDP.
    pub(in super::super) fn udp4(from: ([u8; 4], u16), to: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
        out.extend_from_slice(&from.0);
        out.extend_from_slice(&to.0);
        out.extend_from_slice(&from.1.to_be_bytes());
        out.extend_from_slice(&to.1.to_be_bytes());
        out.extend_from_slice(&(payload.len() as u16 + 8).to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(payload);
        let len = out.len() as u16;
        out[2..4].copy_from_slice(&len.to_be_bytes());
        out
    }

    /// A message about `name`, one label.
    pub(in super::super) fn about(name: &str, id: u16, flags: u16) -> Vec<u8> {
        let mut out = [id.to_be_bytes(), flags.to_be_bytes()].concat();
        out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0, name.len() as u8]);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&[0, 0, 1, 0, 1]);
        out
    }

    fn tcp6(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0x60, 0, 0, 0, 0, 0, 6, 64];
        out.extend_from_slice(&[0xfd; 16]);
        out.extend_from_slice(&[0xfe; 16]);
        out.extend_from_slice(&from.to_be_bytes());
        out.extend_from_slice(&to.to_be_bytes());
        // 32 bytes of header.
        out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x18]);
        out.resize(40 + 32, 0);
        out.extend_from_slice(payload);
        let len = (out.len() - 40) as u16;
        out[4..6].copy_from_slice(&len.to_be_bytes());
        out
    }

    fn found(ether_type: u16, packet: &[u8]) -> Vec<(Proto, Endpoint, Endpoint, u16)> {
        let mut out = Vec::new();
        messages(ether_type, packet, &mut |proto, from, to, m| out.push((proto, from, to, m.id)));
        out
    }

    #[test]
    fn datagram_has_its_endpoints_and_its_message_without_padding() {
        let mut packet = udp4(([10, 0, 0, 1], 40000), ([10, 0, 0, 53], 53), &about("a", 7, 0x100));
        packet.extend_from_slice(&[0; 18]);
        let end = |s: &str, port| Endpoint::new(s.parse().unwrap(), port);
        assert_eq!(found(IPV4, &packet), [(Proto::Udp, end("10.0.0.1", 40000), end("10.0.0.53", 53), 7)]);
        // An answer to port 53 is none from a resolver.
        let odd = udp4(([10, 0, 0, 1], 40000), ([10, 0, 0, 53], 53), &about("a", 7, 0x8180));
        assert_eq!(found(IPV4, &odd), []);
    }

    #[test]
    fn segment_has_each_message_and_the_beginning_of_a_long_answer() {
        let with_len = |m: &[u8], len: usize| [&(len as u16).to_be_bytes(), m].concat();
        let (a, b) = (about("a", 1, 0x100), about("b", 2, 0x100));
        let two = [with_len(&a, a.len()), with_len(&b, b.len())].concat();
        let ids = |p: &[u8]| found(0x86dd, p).iter().map(|f| f.3).collect::<Vec<_>>();
        assert_eq!(ids(&tcp6(40000, 53, &two)), [1, 2]);
        // A question that continues in the next segment, an answer that does, and an acknowledgement.
        assert_eq!(ids(&tcp6(40000, 53, &with_len(&a, 600))), [0; 0]);
        assert_eq!(ids(&tcp6(53, 40000, &with_len(&about("a", 3, 0x8180), 6000))), [3]);
        assert_eq!(ids(&tcp6(40000, 53, &[])), [0; 0]);
    }

    #[test]
    fn every_prefix_is_decoded_or_refused() {
        let packet = udp4(([10, 0, 0, 1], 40000), ([10, 0, 0, 53], 53), &about("abc", 7, 0x100));
        for end in 0..packet.len() {
            found(IPV4, &packet[..end]);
            found(0x86dd, &packet[..end]);
        }
    }
}
