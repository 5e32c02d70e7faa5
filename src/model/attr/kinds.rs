//! What only some kinds of sockets have: UNIX, netlink and packet sockets, MPTCP, TLS, congestion algorithms.

use super::{AttrIter, Attrs, inet, netlink, packet, read_u32, read_u64, unix, xdp};
use crate::model::struct_layout::{Endian, Structure, bitmap_bits};
use crate::model::{Addr, Family, Proto};

/// What a socket has moved since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes received.
    pub received: Option<u64>,
    /// Bytes sent and acknowledged.
    pub acked: Option<u64>,
    /// Segments sent again; of MPTCP, times that data were sent again over another subflow.
    pub retrans: Option<u64>,
}

/// BBR's model of the path (`struct tcp_bbr_info`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bbr {
    /// Bandwidth, bytes a second.
    pub bw: Option<u64>,
    /// Smallest round-trip time, microseconds.
    pub min_rtt_us: Option<u32>,
    /// Factor on the bandwidth at which it sends.
    pub pacing_gain: Option<f64>,
    /// Factor on what fits the path that it has under way.
    pub cwnd_gain: Option<f64>,
}

/// Kernel TLS on a TCP socket (`TLS_INFO_*`, `include/uapi/linux/tls.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Version as TLS numbers it: 0x0303 is 1.2, 0x0304 is 1.3.
    pub version: Option<u16>,
    /// Number of the cipher (`TLS_CIPHER_*`).
    pub cipher: Option<u16>,
    /// Who encrypts (`TLS_CONF_*`): 1 nobody yet, 2 the kernel, 3 the device, 4 the device for whole records.
    pub tx: Option<u16>,
    /// Who decrypts, likewise.
    pub rx: Option<u16>,
    /// Whether the device sends from the page cache without a copy.
    pub zero_copy_tx: bool,
    /// Whether records are expected to be without padding.
    pub rx_no_pad: bool,
}

/// The MPTCP side of a TCP socket (`MPTCP_SUBFLOW_ATTR_*`, `include/uapi/linux/mptcp.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subflow {
    /// The far end's token, of a subflow that joined.
    pub remote_token: Option<u32>,
    /// This end's token: that of the connection it belongs to.
    pub local_token: Option<u32>,
    /// Number of the far end's address.
    pub remote_id: Option<u8>,
    /// Number of this end's address.
    pub local_id: Option<u8>,
    /// Connection sequence number at which the present mapping begins.
    pub map_seq: Option<u64>,
    /// Subflow sequence number at which it begins.
    pub map_sfseq: Option<u32>,
    /// Difference between the subflow's sequence numbers and those of TCP.
    pub ssn_offset: Option<u32>,
    /// Length of the mapping, bytes.
    pub map_datalen: Option<u16>,
    /// `MPTCP_SUBFLOW_FLAG_*`.
    pub flags: Option<u32>,
}

impl Subflow {
    /// The flags in the letters of `ss`: capable, joined, backup (upper case: of the far end), fully established,
    /// connected, mapping valid.
    pub fn letters(&self) -> Option<String> {
        let flags = self.flags?;
        Some("MmJjBbecv".chars().enumerate().filter(|(i, _)| flags >> i & 1 != 0).map(|(_, c)| c).collect())
    }
}

/// For whom a TCP socket has a key for MD5 signatures (RFC 2385). The key itself is never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Md5Key {
    /// Address of the far end.
    pub addr: Addr,
    /// Length of its prefix.
    pub prefix_len: u8,
}

/// Where in the file system a UNIX socket is bound (`struct unix_diag_vfs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vfs {
    /// Inode of the file.
    pub inode: u32,
    /// Device: major number above the lower 20 bits, minor in them.
    pub dev: u32,
}

/// Bytes of one `struct tcp_diag_md5sig`, and of what stands in it before the key.
pub(crate) const MD5SIG: usize = 100;
pub(crate) const MD5SIG_HEAD: usize = 20;

impl<'a> Attrs<'a> {
    /// The bytes of a structure, of a socket that has it.
    pub fn structure(&self, s: &Structure) -> Option<&'a [u8]> {
        if self.proto == s.proto { self.get(s.attr) } else { None }
    }

    /// One field of a structure by name, of a socket that has it.
    pub fn field(&self, s: &Structure, name: &str) -> Option<u64> {
        s.fields.iter().find(|f| f.name == name)?.of(self.structure(s)?)
    }

    /// What it has moved since its start, of a protocol that counts that.
    pub fn transfer(&self) -> Option<Transfer> {
        if let Some(t) = self.tcp_info() {
            return Some(Transfer {
                received: t.bytes_received(),
                acked: t.bytes_acked(),
                retrans: t.total_retrans(),
            });
        }
        if self.proto != Proto::Mptcp {
            return None;
        }
        // Offsets as in [`crate::model::struct_layout::MPTCP`].
        let raw = self.get(inet::INFO)?;
        Some(Transfer {
            received: read_u64(raw, 64),
            acked: read_u64(raw, 72),
            retrans: read_u32(raw, 44).map(u64::from),
        })
    }

    /// A field of `tcp_info` as `/proc/net/tcp` tells it, by name; no more than four are there.
    pub fn proc_tcp(&self, field: &str) -> Option<u64> {
        /// A clock tick of `/proc` (`USER_HZ`), microseconds.
        const TICK_US: u64 = 10_000;
        let raw = if self.proto == Proto::Tcp { self.get(inet::PROC_TCP)? } else { return None };
        let at = |i: usize| read_u32(raw, i * 4).map(u64::from);
        match field {
            "rto_us" => Some(at(0)? * TICK_US),
            "ato_us" => Some(at(1)? * TICK_US),
            "snd_cwnd" => at(3),
            "snd_ssthresh" => at(4).filter(|n| *n < 0x7fff_ffff),
            _ => None,
        }
    }

    /// Acknowledgements that it still sends at once, as `/proc/net/tcp` tells.
    pub fn quick_acks(&self) -> Option<u32> {
        read_u32(self.get(inet::PROC_TCP).filter(|_| self.proto == Proto::Tcp)?, 8).map(|n| n >> 1)
    }

    /// Whether it is a conversation both ways (`pingpong`), as `/proc/net/tcp` tells.
    pub fn bidirectional(&self) -> Option<bool> {
        read_u32(self.get(inet::PROC_TCP).filter(|_| self.proto == Proto::Tcp)?, 8).map(|n| n & 1 != 0)
    }

    /// BBR's figures, where that algorithm is in use.
    pub fn bbr(&self) -> Option<Bbr> {
        let raw = if self.is_inet() { self.get(inet::BBRINFO)? } else { return None };
        let gain = |at| read_u32(raw, at).map(|n| f64::from(n) / 256.0);
        Some(Bbr {
            bw: read_u32(raw, 0).zip(read_u32(raw, 4)).map(|(lo, hi)| u64::from(lo) | u64::from(hi) << 32),
            min_rtt_us: read_u32(raw, 8),
            pacing_gain: gain(12),
            cwnd_gain: gain(16),
        })
    }

    /// What is nested in `INET_DIAG_ULP_INFO`: a name 1, TLS 2, MPTCP 3.
    fn ulp_part(&self, number: u16) -> Option<&'a [u8]> {
        let nested = if self.is_inet() { self.get(inet::ULP_INFO)? } else { return None };
        part(nested, number)
    }

    /// The protocol above TCP that the kernel runs on this socket: `tls`, `mptcp`.
    pub fn ulp(&self) -> Option<&'a str> {
        let raw = self.ulp_part(1)?;
        let end = raw.iter().position(|b| *b == 0).unwrap_or(raw.len());
        std::str::from_utf8(&raw[..end]).ok().filter(|s| !s.is_empty())
    }

    /// Kernel TLS.
    pub fn tls(&self) -> Option<Tls> {
        let nested = self.ulp_part(2)?;
        let half = |n| part(nested, n).and_then(|b| b.get(..2)).map(|b| u16::from_ne_bytes([b[0], b[1]]));
        Some(Tls {
            version: half(1),
            cipher: half(2),
            tx: half(3),
            rx: half(4),
            zero_copy_tx: part(nested, 5).is_some(),
            rx_no_pad: part(nested, 6).is_some(),
        })
    }

    /// The MPTCP side of a subflow.
    pub fn subflow(&self) -> Option<Subflow> {
        let nested = self.ulp_part(3)?;
        let word = |n| part(nested, n).and_then(|b| read_u32(b, 0));
        let byte = |n| part(nested, n).and_then(|b| b.first().copied());
        Some(Subflow {
            remote_token: word(1),
            local_token: word(2),
            map_seq: part(nested, 4).and_then(|b| read_u64(b, 0)),
            map_sfseq: word(5),
            ssn_offset: word(6),
            map_datalen: part(nested, 7).and_then(|b| b.get(..2)).map(|b| u16::from_ne_bytes([b[0], b[1]])),
            flags: word(8),
            remote_id: byte(9),
            local_id: byte(10),
        })
    }

    /// The token of an MPTCP connection: its own, or of the one that a subflow belongs to.
    pub fn mptcp_token(&self) -> Option<u32> {
        match self.proto {
            Proto::Mptcp => read_u32(self.get(inet::INFO)?, 12),
            _ => self.subflow()?.local_token,
        }
        .filter(|t| *t != 0)
    }

    /// For whom it has keys for MD5 signatures; the kernel tells it only with `CAP_NET_ADMIN`.
    pub fn md5_keys(&self) -> Option<Vec<Md5Key>> {
        let raw = if self.is_inet() { self.get(inet::MD5SIG)? } else { return None };
        let key = |k: &[u8]| {
            let addr = if k[0] == 2 {
                Addr::v4([k[4], k[5], k[6], k[7]])
            } else {
                Addr::v6(k.get(4..20)?.try_into().ok()?)
            };
            Some(Md5Key { addr, prefix_len: k[1] })
        };
        Some(raw.chunks_exact(MD5SIG).filter_map(key).collect())
    }

    /// The BPF maps that keep something beside an IP socket: the id of each and the size of its value, bytes.
    pub fn bpf_maps(&self) -> Option<impl Iterator<Item = (u32, u32)> + 'a> {
        let raw = if self.is_inet() { self.get(super::BPF_MAPS)? } else { return None };
        Some(raw.chunks_exact(8).filter_map(|b| Some((read_u32(b, 0)?, read_u32(b, 4)?))))
    }

    /// The filter of a packet socket, empty where the kernel does not tell it to us.
    pub fn packet_filter(&self) -> Option<&'a [u8]> {
        if self.family == Family::Packet { self.get(packet::FILTER) } else { None }
    }

    /// Inode and device of the path of a UNIX socket.
    pub fn vfs(&self) -> Option<Vfs> {
        let raw = if self.family == Family::Unix { self.get(unix::VFS)? } else { return None };
        Some(Vfs { inode: read_u32(raw, 0)?, dev: read_u32(raw, 4)? })
    }

    /// Inodes of the clients that wait to be accepted by a UNIX listener, 0 for one that has gone.
    pub fn pending(&self) -> Option<impl Iterator<Item = u32> + 'a> {
        let raw = if self.family == Family::Unix { self.get(unix::ICONS)? } else { return None };
        Some(raw.chunks_exact(4).filter_map(|b| read_u32(b, 0)))
    }

    /// Protocol number of a netlink or packet socket.
    pub fn protocol(&self) -> Option<u16> {
        let raw = self.get(super::PROTOCOL)?;
        Some(u16::from_ne_bytes([*raw.first()?, *raw.get(1)?]))
    }

    /// Port id of a netlink socket; 0 is the kernel's.
    pub fn port_id(&self) -> Option<u32> {
        read_u32(self.get(super::PORT_ID)?, 0)
    }

    /// `NDIAG_FLAG_*` of a netlink socket.
    pub fn netlink_flags(&self) -> Option<u32> {
        if self.family == Family::Netlink { read_u32(self.get(netlink::FLAGS)?, 0) } else { None }
    }

    /// Numbers of the multicast groups that a netlink socket has joined, counted from 1.
    pub fn netlink_group_numbers(&self) -> Option<impl Iterator<Item = u32> + 'a> {
        let raw = if self.family == Family::Netlink { self.get(netlink::GROUPS)? } else { return None };
        // `unsigned long` of the kernel, taken to be that of this program: it matters on big-endian machines only.
        Some(bitmap_bits(raw, size_of::<usize>(), Endian::NATIVE).map(|n| n + 1))
    }

    /// `PDI_*` flags of a packet socket.
    pub fn packet_flags(&self) -> Option<u32> {
        if self.family == Family::Packet { read_u32(self.get(packet::INFO)?, 20) } else { None }
    }

    /// Interface and queue of an XDP socket.
    pub fn xdp_queue(&self) -> Option<(u32, u32)> {
        let raw = if self.family == Family::Xdp { self.get(xdp::INFO)? } else { return None };
        read_u32(raw, 0).zip(read_u32(raw, 4))
    }

    /// Entries of a ring of an XDP socket ([`xdp::RX_RING`] and its kin).
    pub fn xdp_ring(&self, number: u16) -> Option<u32> {
        if self.family == Family::Xdp { read_u32(self.get(number)?, 0) } else { None }
    }

    /// Inode of a UNIX socket's far end.
    pub fn unix_peer(&self) -> Option<u32> {
        if self.family == Family::Unix { read_u32(self.get(unix::PEER)?, 0) } else { None }
    }
    /// Bits of the multicast groups that a netlink socket has joined, the first 64.
    pub fn netlink_groups(&self) -> Option<u64> {
        if self.family != Family::Netlink {
            return None;
        }
        let raw = self.get(netlink::GROUPS)?;
        Some(raw.iter().take(8).enumerate().fold(0, |all, (i, b)| all | u64::from(*b) << (8 * i)))
    }
    /// Fanout group and type of a packet socket.
    pub fn packet_fanout(&self) -> Option<(u16, u16)> {
        if self.family != Family::Packet {
            return None;
        }
        let n = read_u32(self.get(packet::FANOUT)?, 0)?;
        Some((n as u16, (n >> 16) as u16))
    }
}

/// The payload of one attribute nested in another.
fn part(nested: &[u8], number: u16) -> Option<&[u8]> {
    AttrIter { rest: nested }.find(|(n, _)| *n == number).map(|(_, b)| b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attr::push;
    use crate::model::struct_layout::{DCTCP, MPTCP, SCTP, VEGAS};

    #[test]
    fn one_number_is_another_structure_for_another_protocol() {
        let mut info = vec![0u8; 96];
        info[12..16].copy_from_slice(&0xabcd_abcd_u32.to_ne_bytes());
        info[64..72].copy_from_slice(&1000u64.to_ne_bytes());
        let mut b = Vec::new();
        push(&mut b, inet::INFO, &info);
        let a = |p| Attrs::new(&b, Family::Inet, p);
        assert!(a(Proto::Tcp).tcp_info().is_some() && a(Proto::Mptcp).tcp_info().is_none());
        assert_eq!(a(Proto::Mptcp).mptcp_token(), Some(0xabcd_abcd));
        assert_eq!(a(Proto::Mptcp).field(&MPTCP, "bytes_received"), Some(1000));
        assert_eq!(a(Proto::Mptcp).transfer().unwrap().received, Some(1000));
        assert_eq!(a(Proto::Sctp).field(&SCTP, "unackdata"), Some(0xabcd));
        assert!(a(Proto::Tcp).structure(&MPTCP).is_none() && a(Proto::Sctp).transfer().is_none());
    }

    fn words(all: &[u32]) -> Vec<u8> {
        all.iter().flat_map(|n| n.to_ne_bytes()).collect()
    }

    #[test]
    fn algorithms() {
        let mut b = Vec::new();
        push(&mut b, inet::BBRINFO, &words(&[5, 1, 700, 739, 512]));
        push(&mut b, inet::DCTCPINFO, &words(&[1 | 1 << 16, 512, 10, 20]));
        push(&mut b, inet::VEGASINFO, &words(&[1, 3, 410]));
        let a = Attrs::new(&b, Family::Inet, Proto::Tcp);
        let bbr = a.bbr().unwrap();
        assert_eq!((bbr.bw, bbr.min_rtt_us, bbr.cwnd_gain), (Some(5 | 1 << 32), Some(700), Some(2.0)));
        assert!((bbr.pacing_gain.unwrap() - 2.887).abs() < 0.001);
        assert_eq!((a.field(&DCTCP, "ce_state"), a.field(&DCTCP, "alpha")), (Some(1), Some(512)));
        assert_eq!((a.field(&VEGAS, "rtt_us"), a.field(&VEGAS, "min_rtt_us")), (Some(410), None));
    }

    #[test]
    fn above_tcp() {
        let nest = |parts: &[(u16, &[u8])]| {
            let mut out = Vec::new();
            for (n, b) in parts {
                push(&mut out, *n, b);
            }
            out
        };
        let half = u16::to_ne_bytes;
        let tls = nest(&[(1, &half(0x0304)), (2, &half(51)), (3, &half(2)), (4, &half(1)), (6, &[])]);
        let sub = nest(&[
            (1, &[0; 4]),
            (2, &7u32.to_ne_bytes()),
            (4, &9u64.to_ne_bytes()),
            (7, &1000u16.to_ne_bytes()),
            (8, &0xc3u32.to_ne_bytes()),
            (9, &[1]),
            (10, &[2]),
        ]);
        let mut b = Vec::new();
        // As the kernel nests: with the flag NLA_F_NESTED.
        push(&mut b, inet::ULP_INFO | 0x8000, &nest(&[(1, b"mptcp\0"), (2, &tls), (3 | 0x8000, &sub)]));
        let a = Attrs::new(&b, Family::Inet6, Proto::Tcp);
        assert_eq!(a.ulp(), Some("mptcp"));
        let t = a.tls().unwrap();
        assert_eq!((t.version, t.cipher, t.tx, t.rx), (Some(0x0304), Some(51), Some(2), Some(1)));
        assert!(t.rx_no_pad && !t.zero_copy_tx);
        let s = a.subflow().unwrap();
        assert_eq!((s.local_token, s.map_seq, s.map_datalen), (Some(7), Some(9), Some(1000)));
        assert_eq!((s.local_id, s.remote_id, s.map_sfseq), (Some(2), Some(1), None));
        assert_eq!((s.letters().as_deref(), a.mptcp_token()), (Some("Mmec"), Some(7)));
    }

    #[test]
    fn lists() {
        let mut b = Vec::new();
        let mut key = vec![0u8; MD5SIG];
        (key[0], key[1]) = (2, 32);
        key[4..8].copy_from_slice(&[127, 0, 0, 5]);
        push(&mut b, inet::MD5SIG, &key);
        let keys = Attrs::new(&b, Family::Inet, Proto::Tcp).md5_keys().unwrap();
        assert_eq!((keys.len(), keys[0].addr.to_string(), keys[0].prefix_len), (1, "127.0.0.5".into(), 32));

        let mut b = Vec::new();
        push(&mut b, unix::VFS, &words(&[9, 254 << 20 | 1]));
        push(&mut b, unix::ICONS, &words(&[1, 0, 3]));
        let a = Attrs::new(&b, Family::Unix, Proto::Unix);
        assert_eq!(a.vfs(), Some(Vfs { inode: 9, dev: 254 << 20 | 1 }));
        assert_eq!(a.pending().unwrap().collect::<Vec<_>>(), [1, 0, 3]);

        // 32 bits each twice, or 64: the first and the seventh group and the second of the next 64.
        let longs = if cfg!(target_pointer_width = "64") {
            [0x41u64, 2].map(u64::to_ne_bytes).concat()
        } else {
            words(&[0x41, 0, 2, 0])
        };
        let mut b = Vec::new();
        push(&mut b, netlink::GROUPS, &longs);
        let a = Attrs::new(&b, Family::Netlink, Proto::Netlink);
        assert_eq!(a.netlink_group_numbers().unwrap().collect::<Vec<_>>(), [1, 7, 66]);
        let inet = Attrs::new(&b, Family::Inet, Proto::Tcp);
        assert!(inet.pending().is_none() && inet.netlink_group_numbers().is_none() && inet.vfs().is_none());
    }
}
