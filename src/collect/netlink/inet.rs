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
    let mut walk = Attrs::new(attrs, family).iter();
    while walk.next().is_some() {}
    let whole = &attrs[..attrs.len() - walk.leftover()];
    let attr_len = u16::try_from(whole.len()).map_err(|_| Malformed)?;
    let attr_at = u32::try_from(sample.attrs.len()).map_err(|_| Malformed)?;
    let keep = usize::from(sample.wants.info_bytes);
    let too_long = |(number, b): (u16, &[u8])| number == attr::inet::INFO && b.len() > keep;
    let attr_len = if Attrs::new(whole, family).iter().any(too_long) {
        for (number, b) in Attrs::new(whole, family).iter() {
            let b = if number == attr::inet::INFO { &b[..b.len().min(keep)] } else { b };
            attr::push(&mut sample.attrs, number, b);
        }
        (sample.attrs.len() - attr_at as usize) as u16
    } else {
        sample.attrs.extend_from_slice(whole);
        attr_len
    };
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
