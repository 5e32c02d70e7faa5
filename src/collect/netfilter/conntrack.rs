//! Tracked connections: a dump of `ctnetlink`, or `/proc/net/nf_conntrack` without the privilege for it.

use super::attrs::{addr, iter, message, nested, number};
use super::budget::Budget;
#[allow(clippy::wildcard_imports, reason = "constants of the kernel headers, all prefixed")]
use super::cta::*;
use crate::collect::netlink::socket::{DumpError, Malformed, NetlinkSocket};
use crate::collect::netlink::wire::Request;
use crate::model::{Addr, Endpoint, Flow, Proto};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Appends tracked connections of protocols with ports, at most `max`; the number of malformed messages, and true if there
/// were more.
pub(super) fn read(
    socket: &mut NetlinkSocket,
    netns: u16,
    (max, budget): (usize, &Budget),
    out: &mut Vec<Flow>,
) -> Result<(u32, bool), DumpError> {
    let begin = out.len();
    let request = Request::netfilter(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET, 0);
    let more = |messages: u32| (messages as usize) < max && !budget.is_out_of_time();
    let done = socket.dump_while(&request, more, |message| {
        if let Some(flow) = decode(message, netns)?
            && out.len() - begin < max
        {
            out.push(flow);
        }
        Ok(())
    })?;
    Ok((done.malformed, done.truncated))
}

/// One message; `None` for a protocol without ports.
fn decode(bytes: &[u8], netns: u16) -> Result<Option<Flow>, Malformed> {
    let (_, attrs) = message(bytes)?;
    let (mut orig, mut reply) = (None, None);
    let mut flow = empty_flow(netns);
    let (mut orig_bytes, mut reply_bytes) = (None, None);
    // A single pass: this runs for every entry at every poll.
    for (kind, bytes) in attrs.iter() {
        match kind {
            CTA_TUPLE_ORIG => orig = Some(bytes),
            CTA_TUPLE_REPLY => reply = Some(bytes),
            CTA_STATUS => flow.status = number(bytes).ok_or(Malformed)? as u32,
            CTA_PROTOINFO => {
                let tcp = nested(bytes).get(CTA_PROTOINFO_TCP).map(nested);
                flow.tcp_state = tcp.and_then(|t| t.get(CTA_PROTOINFO_TCP_STATE)?.first().copied());
            }
            CTA_TIMEOUT => flow.timeout_s = number(bytes).map(|n| n as u32),
            CTA_MARK => flow.mark = number(bytes).map_or(0, |n| n as u32),
            CTA_COUNTERS_ORIG => orig_bytes = nested(bytes).get(CTA_COUNTERS_BYTES).and_then(number),
            CTA_COUNTERS_REPLY => reply_bytes = nested(bytes).get(CTA_COUNTERS_BYTES).and_then(number),
            CTA_ID => flow.id = number(bytes).map_or(0, |n| n as u32),
            CTA_ZONE => flow.zone = number(bytes).map_or(0, |n| n as u16),
            _ => {}
        }
    }
    flow.bytes = orig_bytes.zip(reply_bytes);
    let Some((orig, proto)) = tuple(orig.ok_or(Malformed)?)? else { return Ok(None) };
    let Some((reply, _)) = tuple(reply.ok_or(Malformed)?)? else { return Ok(None) };
    (flow.proto, flow.orig, flow.reply) = (proto, orig, reply);
    Ok(Some(flow))
}

/// Source and destination.
type Ends = (Endpoint, Endpoint);

/// `CTA_TUPLE_*` of one direction.
fn tuple(bytes: &[u8]) -> Result<Option<(Ends, Proto)>, Malformed> {
    let attrs = nested(bytes);
    let l4 = nested(attrs.get(CTA_TUPLE_PROTO).ok_or(Malformed)?);
    let proto = l4.get(CTA_PROTO_NUM).and_then(|b| Proto::from_ip_number(*b.first()?));
    let Some(proto) = proto else { return Ok(None) };
    let port = |kind| l4.get(kind).and_then(number).map_or(0, |n| n as u16);
    let (mut src, mut dst): (Option<Addr>, Option<Addr>) = (None, None);
    for (kind, bytes) in iter(attrs.get(CTA_TUPLE_IP).ok_or(Malformed)?) {
        match kind {
            CTA_IP_V4_SRC | CTA_IP_V6_SRC => src = addr(bytes),
            CTA_IP_V4_DST | CTA_IP_V6_DST => dst = addr(bytes),
            _ => {}
        }
    }
    let src = Endpoint::new(src.ok_or(Malformed)?, port(CTA_PROTO_SRC_PORT));
    let dst = Endpoint::new(dst.ok_or(Malformed)?, port(CTA_PROTO_DST_PORT));
    Ok(Some(((src, dst), proto)))
}

/// Flows of the lines of `/proc/net/nf_conntrack`, and the number of malformed lines.
pub(super) fn from_proc(text: &[u8], netns: u16) -> (Vec<Flow>, u32) {
    let text = String::from_utf8_lossy(text);
    let (mut out, mut malformed) = (Vec::new(), 0);
    for line in text.lines() {
        match line.split_ascii_whitespace().nth(3).map(|n| n.parse().map(Proto::from_ip_number)) {
            // A protocol without ports.
            Some(Ok(None)) => {}
            Some(Ok(Some(proto))) => match parse_line(line, netns, proto) {
                Some(flow) => out.push(flow),
                None => malformed += 1,
            },
            _ => malformed += 1,
        }
    }
    (out, malformed)
}

/// `ipv4 2 tcp 6 431999 ESTABLISHED src=… dst=… sport=… dport=… [UNREPLIED] src=… …`
fn parse_line(line: &str, netns: u16, proto: Proto) -> Option<Flow> {
    let mut words = line.split_ascii_whitespace();
    let timeout_s = words.nth(4).and_then(|w| w.parse().ok());
    let (mut addrs, mut ports, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut status, mut state, mut mark, mut zone) = (IPS_SEEN_REPLY, None, 0, 0);
    for w in words {
        match w.split_once('=') {
            Some(("src" | "dst", a)) => addrs.push(a.parse().ok()?),
            Some(("sport" | "dport", p)) => ports.push(p.parse().ok()?),
            Some(("mark", n)) => mark = n.parse().unwrap_or(0),
            Some(("zone", n)) => zone = n.parse().unwrap_or(0),
            Some(("bytes", n)) => bytes.push(n.parse().ok()?),
            None if w == "[UNREPLIED]" => status = 0,
            None if w == "[ASSURED]" => status |= IPS_ASSURED,
            None if state.is_none() => {
                state = (0u8..10).find(|n| {
                    let f = Flow { tcp_state: Some(*n), ..empty_flow(netns) };
                    f.state() == w
                });
            }
            _ => {}
        }
    }
    let end = |i: usize| Some(Endpoint::new(*addrs.get(i)?, *ports.get(i)?));
    // The file has no id: a hash of the tuple stands for it.
    let mut h = DefaultHasher::new();
    (proto, end(0)?, end(1)?, zone).hash(&mut h);
    let id = h.finish() as u32;
    Some(Flow {
        proto,
        mark,
        zone,
        orig: (end(0)?, end(1)?),
        reply: (end(2)?, end(3)?),
        status,
        tcp_state: state,
        timeout_s,
        bytes: bytes.first().copied().zip(bytes.get(1).copied()),
        id,
        ..empty_flow(netns)
    })
}

fn empty_flow(netns: u16) -> Flow {
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

    /// `NLA_F_NESTED` (`netlink.h`).
    const NLA_F_NESTED: u16 = 0x8000;

    fn tuple_bytes(src: [u8; 4], dst: [u8; 4], proto: u8, sport: u16, dport: u16) -> Vec<u8> {
        let (mut ip, mut ports, mut out) = (Vec::new(), Vec::new(), Vec::new());
        push(&mut ip, CTA_IP_V4_SRC, &src);
        push(&mut ip, CTA_IP_V4_DST, &dst);
        push(&mut ports, CTA_PROTO_NUM, &[proto]);
        push(&mut ports, CTA_PROTO_SRC_PORT, &sport.to_be_bytes());
        push(&mut ports, CTA_PROTO_DST_PORT, &dport.to_be_bytes());
        push(&mut out, CTA_TUPLE_IP | NLA_F_NESTED, &ip);
        push(&mut out, CTA_TUPLE_PROTO | NLA_F_NESTED, &ports);
        out
    }

    #[test]
    fn ctnetlink_message_is_decoded() {
        let mut m = vec![2, 0, 0, 0];
        push(
            &mut m,
            CTA_TUPLE_ORIG | NLA_F_NESTED,
            &tuple_bytes([203, 0, 113, 5], [10, 0, 0, 1], 6, 50000, 8080),
        );
        push(
            &mut m,
            CTA_TUPLE_REPLY | NLA_F_NESTED,
            &tuple_bytes([172, 17, 0, 2], [203, 0, 113, 5], 6, 80, 50000),
        );
        push(&mut m, CTA_STATUS, &0x2eu32.to_be_bytes());
        push(&mut m, CTA_TIMEOUT, &431_999u32.to_be_bytes());
        push(&mut m, CTA_ID, &77u32.to_be_bytes());
        let (mut state, mut info, mut count) = (Vec::new(), Vec::new(), Vec::new());
        push(&mut state, CTA_PROTOINFO_TCP_STATE, &[3]);
        push(&mut info, CTA_PROTOINFO_TCP | NLA_F_NESTED, &state);
        push(&mut m, CTA_PROTOINFO | NLA_F_NESTED, &info);
        push(&mut count, CTA_COUNTERS_BYTES, &1234u64.to_be_bytes());
        push(&mut m, CTA_COUNTERS_ORIG | NLA_F_NESTED, &count);
        push(&mut m, CTA_COUNTERS_REPLY | NLA_F_NESTED, &count);
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
        // A truncated message is an error or lacks attributes; it never panics.
        for n in 0..m.len() {
            let _ = decode(&m[..n], 0);
        }
        // ICMP has no ports.
        let mut m = vec![2, 0, 0, 0];
        push(&mut m, CTA_TUPLE_ORIG, &tuple_bytes([1; 4], [2; 4], 1, 0, 0));
        push(&mut m, CTA_TUPLE_REPLY, &tuple_bytes([2; 4], [1; 4], 1, 0, 0));
        assert_eq!(decode(&m, 0), Ok(None));
        assert_eq!(decode(&[2, 0, 0, 0], 0), Err(Malformed));
    }

    #[test]
    fn proc_lines_are_parsed_and_malformed_ones_counted() {
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
