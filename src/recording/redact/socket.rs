//! Sockets: endpoints, names and the attributes that hold addresses.

use super::Redactor;
use crate::model::attr::push;
use crate::model::diag_attr::{inet, netlink, own, packet, tipc, unix, xdp};
use crate::model::{Addr, Attrs, Family, Proto, Sample, Socket};
use rustc_hash::FxHashMap;

/// Attributes of IP sockets that are numbers and names of the kernel.
const INET: &[u16] = &[
    inet::MEMINFO,
    inet::VEGASINFO,
    inet::CONG,
    inet::TOS,
    inet::TCLASS,
    inet::SKMEMINFO,
    inet::SHUTDOWN,
    inet::DCTCPINFO,
    inet::PROTOCOL,
    inet::SKV6ONLY,
    inet::MARK,
    inet::BBRINFO,
    inet::CLASS_ID,
    inet::ULP_INFO,
    inet::CGROUP_ID,
    inet::SOCKOPT,
];
const UNIX: &[u16] =
    &[unix::VFS, unix::PEER, unix::ICONS, unix::RQLEN, unix::UID, unix::MEMINFO, unix::SHUTDOWN];
const PACKET: &[u16] =
    &[packet::INFO, packet::RX_RING, packet::TX_RING, packet::FANOUT, packet::UID, packet::MEMINFO];
const NETLINK: &[u16] = &[netlink::MEMINFO, netlink::GROUPS, netlink::FLAGS];
const XDP: &[u16] = &[
    xdp::INFO,
    xdp::UID,
    xdp::RX_RING,
    xdp::TX_RING,
    xdp::UMEM,
    xdp::FILL_RING,
    xdp::COMPLETION_RING,
    xdp::MEMINFO,
    xdp::STATS,
];
const TIPC: &[u16] = &[
    tipc::ADDR,
    tipc::REF,
    tipc::CON,
    tipc::HAS_PUBL,
    tipc::STAT,
    tipc::TYPE,
    tipc::INO,
    tipc::UID,
    tipc::STATE,
    tipc::COOKIE,
    tipc::GROUP,
];
/// Those of sockscope's own.
const OWN: &[u16] = &[
    own::KIND,
    own::PROTOCOL,
    own::PORT_ID,
    own::VSOCK_SHUTDOWN,
    own::BPF_MAPS,
    own::PROC_DROPS,
    own::PROC_TCP,
];

/// Attributes that stay as they are. One that is not listed is left out.
fn kept(proto: Proto) -> &'static [u16] {
    match proto {
        Proto::Unix => UNIX,
        Proto::Packet => PACKET,
        Proto::Netlink => NETLINK,
        Proto::Xdp => XDP,
        Proto::Tipc => TIPC,
        Proto::Vsock => &[],
        _ => INET,
    }
}

/// Size of `struct sockaddr_storage`, and the offset of the primary address in `struct sctp_info`.
const STORAGE: usize = 128;
const SCTP_PRIMARY: usize = 168;
/// Size of `struct tcp_diag_md5sig`, and its part before the key.
const MD5SIG: usize = 100;
const MD5SIG_HEAD: usize = 20;

impl Redactor {
    pub(super) fn sockets(&self, sample: &mut Sample) {
        let old_names = std::mem::replace(&mut sample.names, vec!["".into()]);
        let old_attrs = std::mem::take(&mut sample.attrs);
        let mut names: FxHashMap<(Proto, u32), u32> = FxHashMap::default();
        // Consecutive sockets with equal attributes share them.
        let mut last: Option<(u32, u16, Family, Proto)> = None;
        let mut sockets = std::mem::take(&mut sample.sockets);
        for s in &mut sockets {
            let Socket {
                id: _,
                inode: _,
                local,
                remote,
                iface: _,
                recv_q: _,
                send_q: _,
                uid: _,
                attr_at,
                attr_len,
                info_at: _,
                local_name,
                remote_name,
                family,
                proto,
                state: _,
                timer: _,
                auto_port: _,
            } = s;
            self.endpoint(local);
            self.endpoint(remote);
            for index in [local_name, remote_name] {
                let name = old_names.get(*index as usize).map_or("", |n| n);
                if name.is_empty() {
                    *index = 0;
                    continue;
                }
                *index = *names.entry((*proto, *index)).or_insert_with(|| {
                    sample.names.push(self.end_name(*proto, name).into());
                    sample.names.len() as u32 - 1
                });
            }
            let from = *attr_at as usize;
            let raw = old_attrs.get(from..from + usize::from(*attr_len)).unwrap_or(&[]);
            let this = (*attr_at, *attr_len, *family, *proto);
            if last.replace(this) == Some(this) {
                let (at, len) = sample.sockets.last().map_or((0, 0), |s: &Socket| (s.attr_at, s.attr_len));
                (s.attr_at, s.attr_len) = (at, len);
            } else {
                let redacted = self.attrs(raw, *family, *proto);
                sample.push_attrs(s, &redacted);
            }
            sample.sockets.push(*s);
        }
    }

    fn attrs(&self, raw: &[u8], family: Family, proto: Proto) -> Vec<u8> {
        let mut out = Vec::with_capacity(raw.len());
        for (number, value) in Attrs::new(raw, family, proto).iter() {
            let mut value = value.to_vec();
            let is_sctp = proto == Proto::Sctp;
            if OWN.contains(&number) || kept(proto).contains(&number) {
                push(&mut out, number, &value);
                continue;
            }
            match number {
                inet::INFO if kept(proto) == INET => {
                    if let Some(primary) = value.get_mut(SCTP_PRIMARY..).filter(|_| is_sctp) {
                        self.sockaddr(primary);
                    }
                }
                inet::LOCALS | inet::PEERS if is_sctp => {
                    value.truncate(value.len() / STORAGE * STORAGE);
                    value.chunks_exact_mut(STORAGE).for_each(|a| self.sockaddr(a));
                }
                inet::MD5SIG if kept(proto) == INET => {
                    value.truncate(value.len() / MD5SIG * MD5SIG);
                    value.chunks_exact_mut(MD5SIG).for_each(|key| self.md5_key(key));
                }
                _ => continue,
            }
            push(&mut out, number, &value);
        }
        out
    }

    /// `struct sockaddr_in` or `sockaddr_in6`; any other family is overwritten.
    fn sockaddr(&self, b: &mut [u8]) {
        let family = b.first_chunk::<2>().map(|f| u16::from_ne_bytes(*f));
        let range = match family {
            Some(2) => 4..8,
            Some(10) => 8..24,
            _ => return b.fill(0),
        };
        let end = range.end + if family == Some(10) { 4 } else { 0 };
        match b.get_mut(range) {
            Some(addr) => addr.copy_from_slice(&self.addr_bytes(addr, None, family == Some(10))),
            None => return b.fill(0),
        }
        // Padding.
        b.iter_mut().skip(end).for_each(|b| *b = 0);
    }

    /// Family, prefix length and address of the peer; the rest is the key.
    fn md5_key(&self, key: &mut [u8]) {
        if key[0] == 2 {
            let addr = self.addr(Addr::v4([key[4], key[5], key[6], key[7]]));
            key[4..8].copy_from_slice(&addr.octets()[12..]);
            key[8..MD5SIG].fill(0);
        } else {
            let addr = self.addr_bytes(&key[4..MD5SIG_HEAD], None, true);
            key[4..MD5SIG_HEAD].copy_from_slice(&addr);
            key[MD5SIG_HEAD..].fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 4] = [203, 0, 113, 77];

    /// A value of an attribute that has the address of a peer in it, or bytes that nothing is known of.
    fn value(number: u16) -> Vec<u8> {
        let mut out = vec![0; 300];
        match number {
            inet::LOCALS | inet::PEERS => {
                out.truncate(2 * STORAGE);
                out[..2].copy_from_slice(&2_u16.to_ne_bytes());
                out[4..8].copy_from_slice(&SECRET);
                out[8..12].copy_from_slice(&SECRET);
                out[STORAGE..STORAGE + 4].copy_from_slice(&SECRET);
            }
            inet::INFO => {
                out[SCTP_PRIMARY..SCTP_PRIMARY + 2].copy_from_slice(&2_u16.to_ne_bytes());
                out[SCTP_PRIMARY + 4..SCTP_PRIMARY + 8].copy_from_slice(&SECRET);
            }
            inet::MD5SIG => {
                (out[0], out[1]) = (2, 32);
                out[4..8].copy_from_slice(&SECRET);
                out[20..24].copy_from_slice(&SECRET);
            }
            _ => out = SECRET.repeat(4),
        }
        out
    }

    #[test]
    fn attributes_with_addresses_are_redacted() {
        let r = Redactor::new().unwrap();
        for (proto, _) in Proto::ALL {
            for number in (0..64).chain([0x3f01, 0x3fff]) {
                if OWN.contains(&number) || kept(proto).contains(&number) {
                    continue;
                }
                let mut raw = Vec::new();
                push(&mut raw, number, &value(number));
                let out = r.attrs(&raw, Family::Inet, proto);
                // `tcp_info` has no addresses.
                let is_found = out.windows(4).any(|w| w == SECRET);
                assert!(!is_found || (number == inet::INFO && proto != Proto::Sctp), "{proto:?} {number}");
            }
        }
        let mut raw = Vec::new();
        push(&mut raw, inet::PEERS, &value(inet::PEERS));
        let out = r.attrs(&raw, Family::Inet, Proto::Sctp);
        let peers = Attrs::new(&out, Family::Inet, Proto::Sctp).addresses(inet::PEERS).unwrap();
        assert_eq!(peers, [r.addr(Addr::v4(SECRET))]);
    }
}
