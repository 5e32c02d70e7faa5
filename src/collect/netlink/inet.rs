//! `struct inet_diag_msg` and its attributes to a socket.

use super::dump::Malformed;
use super::wire::InetMsg;
use super::{AF_INET, AF_INET6};
use crate::model::attr;
use crate::model::{Addr, Attrs, Endpoint, Family, Proto, Sample, Socket, SocketId, State, Timer, TimerKind};
use zerocopy::FromBytes;

/// The cookie of one message.
pub(super) fn cookie(message: &[u8]) -> Result<u64, Malformed> {
    let (m, _) = InetMsg::read_from_prefix(message).map_err(|_| Malformed)?;
    Ok(u64::from(m.id.cookie[0]) | u64::from(m.id.cookie[1]) << 32)
}

/// Adds the socket of one message to the sample.
pub(super) fn decode(message: &[u8], proto: Proto, sample: &mut Sample) -> Result<(), Malformed> {
    let (m, attrs) = InetMsg::read_from_prefix(message).map_err(|_| Malformed)?;
    let family = match m.family {
        AF_INET => Family::Inet,
        AF_INET6 => Family::Inet6,
        _ => return Err(Malformed),
    };
    let state = if proto.has_tcp_states() {
        State::from_kernel_tcp(m.state).ok_or(Malformed)?
    } else {
        State::from_kernel_datagram(m.state)
    };
    let addr = |b: [u8; 16]| match family {
        Family::Inet => Addr::v4([b[0], b[1], b[2], b[3]]),
        _ => Addr::v6(b),
    };
    // What is left over at the end of the attributes is cut off, so that whoever reads them later finds whole ones.
    let keep = usize::from(sample.wants.info_bytes);
    let too_long = |number, len| number == attr::inet::INFO && proto == Proto::Tcp && len > keep;
    let mut walk = Attrs::new(attrs, family, proto).iter();
    let mut as_it_is = true;
    for (number, b) in walk.by_ref() {
        as_it_is &= !too_long(number, b.len()) && number != attr::inet::MD5SIG;
    }
    let whole = &attrs[..attrs.len() - walk.leftover()];
    let attr_at = u32::try_from(sample.attrs.len()).map_err(|_| Malformed)?;
    if as_it_is {
        sample.attrs.extend_from_slice(whole);
    } else {
        for (number, b) in Attrs::new(whole, family, proto).iter() {
            match number {
                _ if too_long(number, b.len()) => attr::push(&mut sample.attrs, number, &b[..keep]),
                attr::inet::MD5SIG => attr::push(&mut sample.attrs, number, &without_keys(b)),
                _ => attr::push(&mut sample.attrs, number, b),
            }
        }
    }
    let attr_len = u16::try_from(sample.attrs.len() - attr_at as usize).map_err(|_| Malformed)?;
    sample.sockets.push(Socket {
        id: SocketId { netns: 0, cookie: u64::from(m.id.cookie[0]) | u64::from(m.id.cookie[1]) << 32 },
        inode: u64::from(m.inode),
        local: Endpoint::new(addr(m.id.src), u16::from_be_bytes(m.id.sport)),
        remote: Endpoint::new(addr(m.id.dst), u16::from_be_bytes(m.id.dport)),
        iface: m.id.iface,
        recv_q: m.rqueue,
        send_q: m.wqueue,
        uid: m.uid,
        attr_at,
        attr_len,
        local_name: 0,
        remote_name: 0,
        family,
        proto,
        state,
        timer: if proto.has_tcp_states() {
            Timer { kind: TimerKind::from_kernel(m.timer), retrans: m.retrans, expires_ms: m.expires }
        } else {
            Timer::default()
        },
        auto_port: None,
    });
    if walk.leftover() > 0 { Err(Malformed) } else { Ok(()) }
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
