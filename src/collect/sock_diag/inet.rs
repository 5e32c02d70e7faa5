//! `struct inet_diag_msg` and its attributes to a socket.

use super::{AF_INET, AF_INET6};
use crate::collect::netlink::socket::Malformed;
use crate::collect::netlink::wire::InetMsg;
use crate::model::attr;
use crate::model::{
    Addr, Attrs, Endpoint, Family, Proto, Sample, Socket, SocketId, State, Timer, TimerKind, bytes, diag_attr,
};
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};
use zerocopy::FromBytes;

/// The cookie of one message.
pub(crate) fn cookie(message: &[u8]) -> Result<u64, Malformed> {
    let (m, _) = InetMsg::read_from_prefix(message).map_err(|_| Malformed)?;
    Ok(u64::from(m.id.cookie[0]) | u64::from(m.id.cookie[1]) << 32)
}

/// Adds the socket of one message to the sample.
pub(crate) fn decode(message: &[u8], proto: Proto, sample: &mut Sample) -> Result<(), Malformed> {
    let (m, attrs) = InetMsg::read_from_prefix(message).map_err(|_| Malformed)?;
    let family = match m.family {
        AF_INET => Family::Inet,
        AF_INET6 => Family::Inet6,
        _ => return Err(Malformed),
    };
    let association = proto == Proto::Sctp && is_association(attrs, family);
    let state = match proto {
        _ if association => State::from_kernel_sctp(m.state).ok_or(Malformed)?,
        _ if proto.has_tcp_states() => State::from_kernel_tcp(m.state).ok_or(Malformed)?,
        _ => State::from_kernel_datagram(m.state),
    };
    let timer = match (proto, m.timer) {
        // `SCTP_EVENT_TIMEOUT_T3_RTX`: what goes out again.
        (Proto::Sctp, 4) => TimerKind::On,
        (_, n) => TimerKind::from_kernel(n),
    };
    let addr = |b: [u8; 16]| match family {
        Family::Inet => Addr::v4([b[0], b[1], b[2], b[3]]),
        _ => Addr::v6(b),
    };
    let (attr_at, attr_len, info_at, left) = keep(attrs, family, proto, sample)?;
    let mut cookie = u64::from(m.id.cookie[0]) | u64::from(m.id.cookie[1]) << 32;
    if association {
        // Its endpoint has that cookie, and so have the others of the same endpoint.
        let mut hash = FxHasher::default();
        (cookie, m.id.dst, m.id.dport).hash(&mut hash);
        cookie = hash.finish() | SocketId::SYNTHETIC;
    }
    sample.sockets.push(Socket {
        id: SocketId { netns: 0, cookie },
        inode: u64::from(m.inode),
        local: Endpoint::new(addr(m.id.src), u16::from_be_bytes(m.id.sport)),
        remote: Endpoint::new(addr(m.id.dst), u16::from_be_bytes(m.id.dport)),
        iface: m.id.iface,
        recv_q: m.rqueue,
        send_q: m.wqueue,
        uid: m.uid,
        attr_at,
        attr_len,
        info_at,
        local_name: 0,
        remote_name: 0,
        family,
        proto,
        state,
        timer: if proto.has_tcp_states() {
            Timer { kind: timer, retrans: m.retrans, expires_ms: m.expires }
        } else {
            Timer::default()
        },
        auto_port: None,
    });
    if left > 0 { Err(Malformed) } else { Ok(()) }
}

/// Whether a message of `sctp_diag` is of an association, which has states of its own, and not of an endpoint.
fn is_association(attrs: &[u8], family: Family) -> bool {
    Attrs::new(attrs, family, Proto::Sctp).get(diag_attr::inet::PEERS).is_some()
}

/// Keeps what a socket's attributes say: where they lie in the sample, where the words of its `tcp_info` do, and how many
/// bytes at their end were none. What is left over is cut off, so that whoever reads them later finds whole ones.
fn keep(
    attrs: &[u8],
    family: Family,
    proto: Proto,
    sample: &mut Sample,
) -> Result<(u32, u16, u32, usize), Malformed> {
    let mut walk = Attrs::new(attrs, family, proto).iter();
    let (mut info, mut changed) = (None, false);
    while let Some((number, payload)) = walk.next() {
        // Other protocols have other structures under the same number.
        if number == diag_attr::inet::INFO && proto == Proto::Tcp && info.is_none() {
            info = Some((attrs.len() - walk.leftover(), payload));
        }
        changed |= matches!(number, diag_attr::inet::MD5SIG | diag_attr::inet::SK_BPF_STORAGES);
    }
    let left = walk.leftover();
    let whole = &attrs[..attrs.len() - left];
    if changed {
        let mut open = Vec::with_capacity(whole.len());
        for (number, b) in Attrs::new(whole, family, proto).iter() {
            match number {
                diag_attr::inet::MD5SIG => attr::push(&mut open, number, &without_keys(b)),
                diag_attr::inet::SK_BPF_STORAGES => {
                    attr::push(&mut open, diag_attr::own::BPF_MAPS, &without_values(b, family, proto));
                }
                _ => attr::push(&mut open, number, b),
            }
        }
        let attr_at = u32::try_from(sample.attrs.len()).map_err(|_| Malformed)?;
        let attr_len = u16::try_from(open.len()).map_err(|_| Malformed)?;
        sample.attrs.extend(open);
        return Ok((attr_at, attr_len, Socket::NO_INFO, left));
    }
    let mut info_at = Socket::NO_INFO;
    let (mut before, mut behind) = (whole, &whole[..0]);
    if let Some((end, payload)) = info
        && let Some(at) = keep_info(payload, sample)
    {
        info_at = at?;
        let begin = end - (payload.len() + 4).next_multiple_of(4).min(end);
        (before, behind) = (&whole[..begin], &whole[end..]);
    }
    let len = before.len() + behind.len();
    // Mostly all but `tcp_info` is what the neighbour has.
    if let Some(last) = sample
        .sockets
        .last()
        .filter(|s| usize::from(s.attr_len) == len && s.family == family && s.proto == proto)
        && let Some(same) = sample.attrs.get(last.attr_at as usize..last.attr_at as usize + len)
        && same[..before.len()] == *before
        && same[before.len()..] == *behind
    {
        return Ok((last.attr_at, last.attr_len, info_at, left));
    }
    let attr_at = u32::try_from(sample.attrs.len()).map_err(|_| Malformed)?;
    let attr_len = u16::try_from(len).map_err(|_| Malformed)?;
    sample.attrs.extend_from_slice(before);
    sample.attrs.extend_from_slice(behind);
    Ok((attr_at, attr_len, info_at, left))
}

/// Keeps the words of `tcp_info` that are wanted: its place. `None` where they are not those of its neighbours: then it
/// stays among the attributes as it came. A kernel's structures have one length, and whole words since Linux 5.5.
fn keep_info(payload: &[u8], sample: &mut Sample) -> Option<Result<u32, Malformed>> {
    let there = 1u64.checked_shl(payload.len() as u32 / 8).map_or(u64::MAX, |end| end - 1);
    let words = sample.wants.needs.info_words & there;
    if sample.infos.is_empty() {
        sample.info_words = words;
    }
    if !payload.len().is_multiple_of(8) || words == 0 || words != sample.info_words {
        return None;
    }
    let at = u32::try_from(sample.infos.len() / sample.info_len()).map_err(|_| Malformed);
    for (i, word) in payload.chunks_exact(8).take(64).enumerate() {
        if words >> i & 1 != 0 {
            sample.infos.extend_from_slice(word);
        }
    }
    Some(at)
}

/// What a BPF map keeps beside a socket can be as large as a page and is the program's own: which maps, and how large the
/// values are (`SK_DIAG_BPF_STORAGE*`, `include/uapi/linux/sock_diag.h`), is kept.
fn without_values(all: &[u8], family: Family, proto: Proto) -> Vec<u8> {
    let mut out = Vec::new();
    for (_, map) in Attrs::new(all, family, proto).iter().filter(|(n, _)| *n == 1) {
        let map = Attrs::new(map, family, proto);
        let Some(id) = map.get(2).and_then(|b| bytes::read_u32(b, 0)) else { continue };
        out.extend(id.to_ne_bytes());
        out.extend(map.get(3).map_or(0, |value| value.len() as u32).to_ne_bytes());
    }
    out
}

/// The keys of MD5 signatures are secrets: for whom there are some is kept, and not what they are.
fn without_keys(all: &[u8]) -> Vec<u8> {
    let mut out = all.to_vec();
    for one in out.chunks_mut(attr::MD5SIG) {
        if let Some(key) = one.get_mut(attr::MD5SIG_HEAD..) {
            key.fill(0);
        }
    }
    out
}
