//! Tracked connections: a dump of `ctnetlink`, or the file where that is refused.

use super::{addr, be32, each, endpoint, nested, number, open, proto};
use crate::collect::netlink::socket::{DumpError, Malformed, NetlinkSocket};
use crate::collect::netlink::wire::Request;
use crate::model::{Endpoint, Flow, Proto};
use std::hash::{DefaultHasher, Hash, Hasher};

/// `NFNL_SUBSYS_CTNETLINK` and `IPCTNL_MSG_CT_GET`.
const SUBSYSTEM: u8 = 1;
const GET: u8 = 1;

/// Adds every tracked connection of TCP and its like, up to this many; how many messages made no sense, and whether there
/// were more.
pub(crate) fn read(
    talk: &mut NetlinkSocket,
    netns: u16,
    most: usize,
    out: &mut Vec<Flow>,
) -> Result<(u32, bool), DumpError> {
    let begin = out.len();
    let mut cut = false;
    let done = talk.dump(&Request::netfilter(SUBSYSTEM, GET, 0), |message| {
        if out.len() - begin >= most {
            cut = true;
        } else if let Some(flow) = decode(message, netns)? {
            out.push(flow);
        }
        Ok(())
    })?;
    Ok((done.malformed, cut))
}

/// One message; `None` for a protocol without ports.
pub(crate) fn decode(message: &[u8], netns: u16) -> Result<Option<Flow>, Malformed> {
    let (_, attrs) = open(message)?;
    let (mut orig, mut reply) = (None, None);
    let mut flow = blank(netns);
    let (mut there, mut back) = (None, None);
    // One pass: a table of a hundred thousand is walked once a second.
    for (kind, bytes) in attrs.iter() {
        match kind {
            1 => orig = Some(bytes),
            2 => reply = Some(bytes),
            3 => flow.status = number(bytes).ok_or(Malformed)? as u32,
            4 => {
                flow.tcp_state =
                    nested(bytes).get(1).and_then(|t| nested(t).get(1)).and_then(|b| b.first().copied());
            }
            8 => flow.mark = number(bytes).map_or(0, |n| n as u32),
            18 => flow.zone = number(bytes).map_or(0, |n| n as u16),
            7 => flow.timeout_s = number(bytes).map(|n| n as u32),
            9 => there = nested(bytes).get(2).and_then(number),
            10 => back = nested(bytes).get(2).and_then(number),
            12 => flow.id = number(bytes).map_or(0, |n| n as u32),
            _ => {}
        }
    }
    flow.bytes = there.zip(back);
    let Some((orig, of)) = tuple(orig.ok_or(Malformed)?)? else { return Ok(None) };
    let Some((back, _)) = tuple(reply.ok_or(Malformed)?)? else { return Ok(None) };
    (flow.proto, flow.orig, flow.reply) = (of, orig, back);
    Ok(Some(flow))
}

/// Source and destination.
type Ends = (Endpoint, Endpoint);

/// `CTA_TUPLE_IP` and `CTA_TUPLE_PROTO`.
fn tuple(bytes: &[u8]) -> Result<Option<(Ends, Proto)>, Malformed> {
    let attrs = nested(bytes);
    let ports = nested(attrs.get(2).ok_or(Malformed)?);
    let Some(of) = ports.get(1).and_then(|b| b.first()).and_then(|n| proto(*n)) else { return Ok(None) };
    let port = |kind| be32(&ports, kind).map_or(0, |n| n as u16);
    let (mut src, mut dst) = (None, None);
    for (kind, bytes) in each(attrs.get(1).ok_or(Malformed)?) {
        match kind {
            1 | 3 => src = addr(bytes),
            2 | 4 => dst = addr(bytes),
            _ => {}
        }
    }
    let src = endpoint(src, port(2)).ok_or(Malformed)?;
    let dst = endpoint(dst, port(3)).ok_or(Malformed)?;
    Ok(Some(((src, dst), of)))
}

/// Lines of `/proc/net/nf_conntrack`, and how many made no sense.
pub(crate) fn from_proc(text: &[u8], netns: u16) -> (Vec<Flow>, u32) {
    let text = String::from_utf8_lossy(text);
    let (mut out, mut malformed) = (Vec::new(), 0);
    for l in text.lines() {
        // What has no ports is none of ours.
        match l.split_ascii_whitespace().nth(3).map(|n| n.parse().map(proto)) {
            Some(Ok(None)) => {}
            Some(Ok(Some(of))) => match line(l, netns, of) {
                Some(flow) => out.push(flow),
                None => malformed += 1,
            },
            _ => malformed += 1,
        }
    }
    (out, malformed)
}

/// `ipv4 2 tcp 6 431999 ESTABLISHED src=… dst=… sport=… dport=… [UNREPLIED] src=… …`
fn line(line: &str, netns: u16, of: Proto) -> Option<Flow> {
    let mut words = line.split_ascii_whitespace();
    let timeout_s = words.nth(4).and_then(|w| w.parse().ok());
    let (mut addrs, mut ports, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut status, mut state, mut mark, mut zone) = (2, None, 0, 0);
    for w in words {
        match w.split_once('=') {
            Some(("src" | "dst", a)) => addrs.push(a.parse().ok()?),
            Some(("sport" | "dport", p)) => ports.push(p.parse().ok()?),
            Some(("mark", n)) => mark = n.parse().unwrap_or(0),
            Some(("zone", n)) => zone = n.parse().unwrap_or(0),
            Some(("bytes", n)) => bytes.push(n.parse().ok()?),
            None if w == "[UNREPLIED]" => status = 0,
            None if w == "[ASSURED]" => status |= 4,
            None if state.is_none() => {
                state = (0u8..10).find(|n| {
                    let f = Flow { tcp_state: Some(*n), ..blank(netns) };
                    f.state() == w
                });
            }
            _ => {}
        }
    }
    let end = |i: usize| Some(Endpoint::new(*addrs.get(i)?, *ports.get(i)?));
    // The file tells no number: its ends stand for it.
    let mut h = DefaultHasher::new();
    (of, end(0)?, end(1)?, zone).hash(&mut h);
    let id = h.finish() as u32;
    Some(Flow {
        proto: of,
        mark,
        zone,
        orig: (end(0)?, end(1)?),
        reply: (end(2)?, end(3)?),
        status,
        tcp_state: state,
        timeout_s,
        bytes: bytes.first().copied().zip(bytes.get(1).copied()),
        id,
        ..blank(netns)
    })
}

fn blank(netns: u16) -> Flow {
    Flow {
        netns,
        proto: Proto::Tcp,
        orig: (Endpoint::default(), Endpoint::default()),
        reply: (Endpoint::default(), Endpoint::default()),
        status: 0,
        tcp_state: None,
        timeout_s: None,
        bytes: None,
        mark: 0,
        zone: 0,
        id: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attr::push;

    fn tuple_bytes(src: [u8; 4], dst: [u8; 4], proto: u8, sport: u16, dport: u16) -> Vec<u8> {
        let (mut ip, mut ports, mut out) = (Vec::new(), Vec::new(), Vec::new());
        push(&mut ip, 1, &src);
        push(&mut ip, 2, &dst);
        push(&mut ports, 1, &[proto]);
        push(&mut ports, 2, &sport.to_be_bytes());
        push(&mut ports, 3, &dport.to_be_bytes());
        push(&mut out, 1 | 0x8000, &ip);
        push(&mut out, 2 | 0x8000, &ports);
        out
    }

    #[test]
    fn a_message_as_the_kernel_sends_it() {
        let mut m = vec![2, 0, 0, 0];
        push(&mut m, 1 | 0x8000, &tuple_bytes([203, 0, 113, 5], [10, 0, 0, 1], 6, 50000, 8080));
        push(&mut m, 2 | 0x8000, &tuple_bytes([172, 17, 0, 2], [203, 0, 113, 5], 6, 80, 50000));
        push(&mut m, 3, &0x2eu32.to_be_bytes());
        push(&mut m, 7, &431_999u32.to_be_bytes());
        push(&mut m, 12, &77u32.to_be_bytes());
        let (mut state, mut info, mut count) = (Vec::new(), Vec::new(), Vec::new());
        push(&mut state, 1, &[3]);
        push(&mut info, 1 | 0x8000, &state);
        push(&mut m, 4 | 0x8000, &info);
        push(&mut count, 2, &1234u64.to_be_bytes());
        push(&mut m, 9 | 0x8000, &count);
        push(&mut m, 0xa | 0x8000, &count);
        let f = decode(&m, 3).unwrap().unwrap();
        assert_eq!((f.netns, f.proto, f.id, f.timeout_s), (3, Proto::Tcp, 77, Some(431_999)));
        assert_eq!(
            format!("{} {} {} {}", f.orig.0, f.orig.1, f.reply.0, f.reply.1),
            "203.0.113.5:50000 10.0.0.1:8080 172.17.0.2:80 203.0.113.5:50000"
        );
        assert_eq!(
            (f.state(), f.bytes, f.is_redirected(), f.is_masqueraded()),
            ("ESTABLISHED", Some((1234, 1234)), true, false)
        );
        // Cut anywhere it is an error or a shorter truth, never a panic.
        for n in 0..m.len() {
            let _ = decode(&m[..n], 0);
        }
        // ICMP has no ports.
        let mut m = vec![2, 0, 0, 0];
        push(&mut m, 1, &tuple_bytes([1; 4], [2; 4], 1, 0, 0));
        push(&mut m, 2, &tuple_bytes([2; 4], [1; 4], 1, 0, 0));
        assert_eq!(decode(&m, 0), Ok(None));
        assert_eq!(decode(&[2, 0, 0, 0], 0), Err(Malformed));
    }

    #[test]
    fn lines_of_the_file() {
        let text = b"ipv4     2 tcp      6 431999 ESTABLISHED src=10.1.0.2 dst=10.1.0.1 sport=50000 dport=8080 packets=3 bytes=200 \
            src=172.17.0.2 dst=10.1.0.2 sport=80 dport=50000 packets=2 bytes=100 [ASSURED] mark=0 zone=0 use=2\n\
            ipv6     10 udp      17 29 src=2001:db8::1 dst=2001:db8::2 sport=5 dport=53 [UNREPLIED] src=2001:db8::2 dst=2001:db8::1 sport=53 dport=5 mark=0 use=2\n\
            ipv4     2 icmp     1 29 src=10.1.0.2 dst=10.1.0.1 type=8 code=0 id=5 src=10.1.0.1 dst=10.1.0.2 type=0 code=0 id=5 use=2\n\
            garbage\n";
        let (all, malformed) = from_proc(text, 1);
        assert_eq!((all.len(), malformed), (2, 1));
        assert_eq!(
            (all[0].state(), all[0].bytes, all[0].is_redirected()),
            ("ESTABLISHED", Some((200, 100)), true)
        );
        assert_eq!((all[1].state(), all[1].proto, all[1].is_redirected()), ("UNREPLIED", Proto::Udp, false));
    }
}
