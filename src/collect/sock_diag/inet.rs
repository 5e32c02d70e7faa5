//! Decodes `struct inet_diag_msg` and its attributes.

use super::tables::{AF_INET, AF_INET6};
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
        _ if association => State::from_kernel_sctp(m.state),
        _ if proto.has_tcp_states() => State::from_kernel_tcp(m.state),
        _ => State::from_kernel_datagram(m.state),
    };
    let timer = match (proto, m.timer) {
        // `SCTP_EVENT_TIMEOUT_T3_RTX`: retransmission.
        (Proto::Sctp, 4) => TimerKind::On,
        (_, n) => TimerKind::from_kernel(n),
    };
    let addr = |b: [u8; 16]| match family {
        Family::Inet => Addr::v4([b[0], b[1], b[2], b[3]]),
        _ => Addr::v6(b),
    };
    let (attr_at, attr_len, info_at, leftover) = store_attrs(attrs, family, proto, sample)?;
    let mut cookie = u64::from(m.id.cookie[0]) | u64::from(m.id.cookie[1]) << 32;
    if association {
        // All associations of an endpoint share its cookie.
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
    if leftover > 0 { Err(Malformed) } else { Ok(()) }
}

/// True if a message of `sctp_diag` describes an association, which has its own states, rather than an endpoint.
fn is_association(attrs: &[u8], family: Family) -> bool {
    Attrs::new(attrs, family, Proto::Sctp).get(diag_attr::inet::PEERS).is_some()
}

/// Stores the attributes of a socket in the sample: their offset and length, the index of its `tcp_info`, and the number of
/// trailing bytes that are not a whole attribute. Those are cut off.
fn store_attrs(
    attrs: &[u8],
    family: Family,
    proto: Proto,
    sample: &mut Sample,
) -> Result<(u32, u16, u32, usize), Malformed> {
    let mut walk = Attrs::new(attrs, family, proto).iter();
    let (mut info, mut has_secrets) = (None, false);
    while let Some((number, payload)) = walk.next() {
        // Other protocols use the same number for other structures.
        if number == diag_attr::inet::INFO && proto == Proto::Tcp && info.is_none() {
            info = Some((attrs.len() - walk.leftover(), payload));
        }
        has_secrets |= matches!(number, diag_attr::inet::MD5SIG | diag_attr::inet::SK_BPF_STORAGES);
    }
    let leftover = walk.leftover();
    let whole = &attrs[..attrs.len() - leftover];
    if has_secrets {
        let mut stripped = Vec::with_capacity(whole.len());
        for (number, b) in Attrs::new(whole, family, proto).iter() {
            match number {
                diag_attr::inet::MD5SIG => attr::push(&mut stripped, number, &zero_md5_keys(b)),
                diag_attr::inet::SK_BPF_STORAGES => {
                    attr::push(&mut stripped, diag_attr::own::BPF_MAPS, &bpf_map_sizes(b, family, proto));
                }
                _ => attr::push(&mut stripped, number, b),
            }
        }
        let attr_at = u32::try_from(sample.attrs.len()).map_err(|_| Malformed)?;
        let attr_len = u16::try_from(stripped.len()).map_err(|_| Malformed)?;
        sample.attrs.extend(stripped);
        return Ok((attr_at, attr_len, Socket::NO_INFO, leftover));
    }
    let mut info_at = Socket::NO_INFO;
    let (mut before, mut after) = (whole, &whole[..0]);
    if let Some((end, payload)) = info
        && let Some(at) = store_info(payload, sample)
    {
        info_at = at?;
        let begin = end - (payload.len() + 4).next_multiple_of(4).min(end);
        (before, after) = (&whole[..begin], &whole[end..]);
    }
    let len = before.len() + after.len();
    // Everything but `tcp_info` is mostly equal to that of the previous socket: share it.
    if let Some(last) = sample
        .sockets
        .last()
        .filter(|s| usize::from(s.attr_len) == len && s.family == family && s.proto == proto)
        && let Some(same) = sample.attrs.get(last.attr_at as usize..last.attr_at as usize + len)
        && same[..before.len()] == *before
        && same[before.len()..] == *after
    {
        return Ok((last.attr_at, last.attr_len, info_at, leftover));
    }
    let attr_at = u32::try_from(sample.attrs.len()).map_err(|_| Malformed)?;
    let attr_len = u16::try_from(len).map_err(|_| Malformed)?;
    sample.attrs.extend_from_slice(before);
    sample.attrs.extend_from_slice(after);
    Ok((attr_at, attr_len, info_at, leftover))
}

/// Stores the requested words of `tcp_info` and returns their index. `None` if they are not the same words as of the other
/// sockets: it then stays among the attributes. On one kernel all have the same length.
fn store_info(payload: &[u8], sample: &mut Sample) -> Option<Result<u32, Malformed>> {
    let present = 1u128.checked_shl(payload.len() as u32 / 4).map_or(u128::MAX, |end| end - 1);
    let words = sample.wants.needs.info_words & present;
    if sample.infos.is_empty() {
        sample.info_words = words;
    }
    if !payload.len().is_multiple_of(4) || words == 0 || words != sample.info_words {
        return None;
    }
    let at = u32::try_from(sample.infos.len() / sample.info_len()).map_err(|_| Malformed);
    // In runs of consecutive words.
    let mut left = words;
    while left != 0 {
        let first = left.trailing_zeros();
        let count = (left >> first).trailing_ones();
        sample.infos.extend_from_slice(payload.get(first as usize * 4..(first + count) as usize * 4)?);
        left &= u128::MAX.checked_shl(first + count).unwrap_or(0);
    }
    Some(at)
}

/// BPF socket storage (`SK_DIAG_BPF_STORAGE*`, `include/uapi/linux/sock_diag.h`) as map ids and sizes: a value can be as large
/// as a page, and its layout is private to the BPF program.
fn bpf_map_sizes(all: &[u8], family: Family, proto: Proto) -> Vec<u8> {
    let mut out = Vec::new();
    for (_, map) in Attrs::new(all, family, proto).iter().filter(|(n, _)| *n == 1) {
        let map = Attrs::new(map, family, proto);
        let Some(id) = map.get(2).and_then(|b| bytes::read_u32(b, 0)) else { continue };
        out.extend(id.to_ne_bytes());
        out.extend(map.get(3).map_or(0, |value| value.len() as u32).to_ne_bytes());
    }
    out
}

/// MD5 signatures with their keys zeroed: the keys are secrets.
fn zero_md5_keys(all: &[u8]) -> Vec<u8> {
    let mut out = all.to_vec();
    for signature in out.chunks_mut(attr::MD5SIG) {
        if let Some(key) = signature.get_mut(attr::MD5SIG_HEAD..) {
            key.fill(0);
        }
    }
    out
}
