//! TCP attributes beside `tcp_info`: transfer counters, BBR, MD5 signature keys, BPF storage.

use super::attrs::Attrs;
use crate::model::addr::Addr;
use crate::model::bytes::{read_u32, read_u64};
use crate::model::diag_attr::{inet, own};
use crate::model::proto::Proto;

/// Bytes and retransmissions of a connection since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes received.
    pub received: Option<u64>,
    /// Bytes sent and acknowledged.
    pub acked: Option<u64>,
    /// Retransmitted segments. MPTCP does not report them: `mptcpi_retransmits` counts a `DATA_FIN` sent again (`icsk_retransmits`).
    pub retrans: Option<u64>,
}

/// BBR path model (`struct tcp_bbr_info`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bbr {
    /// Bandwidth estimate, bytes per second.
    pub bw: Option<u64>,
    /// Minimum round-trip time, microseconds.
    pub min_rtt_us: Option<u32>,
    /// Pacing gain: factor on the bandwidth.
    pub pacing_gain: Option<f64>,
    /// Congestion window gain: factor on the bandwidth-delay product.
    pub cwnd_gain: Option<f64>,
}

/// Peer prefix with a TCP MD5 signature key (RFC 2385). The key itself is never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Md5Key {
    /// Peer address.
    pub addr: Addr,
    /// Prefix length in bits.
    pub prefix_len: u8,
}

/// Size of `struct tcp_diag_md5sig`, bytes.
pub(crate) const MD5SIG: usize = 100;

/// Bytes of it before the key.
pub(crate) const MD5SIG_HEAD: usize = 20;

impl<'a> Attrs<'a> {
    /// Transfer counters, for protocols that have them (TCP, MPTCP).
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
        Some(Transfer { received: read_u64(raw, 64), acked: read_u64(raw, 72), retrans: None })
    }

    /// Field of `tcp_info` by name, from `/proc/net/tcp`, which has only four of them.
    pub fn proc_tcp(&self, field: &str) -> Option<u64> {
        /// Clock tick of `/proc` (`USER_HZ`), microseconds.
        const TICK_US: u64 = 10_000;
        let raw = if self.proto == Proto::Tcp { self.get(own::PROC_TCP)? } else { return None };
        let column = |i: usize| read_u32(raw, i * 4).map(u64::from);
        match field {
            "rto_us" => Some(column(0)? * TICK_US),
            "ato_us" => Some(column(1)? * TICK_US),
            "snd_cwnd" => column(3),
            "snd_ssthresh" => column(4).filter(|n| *n < 0x7fff_ffff),
            _ => None,
        }
    }

    /// Quick ACKs left (`icsk_ack.quick`), from `/proc/net/tcp`.
    pub fn quick_acks(&self) -> Option<u32> {
        read_u32(self.get(own::PROC_TCP).filter(|_| self.proto == Proto::Tcp)?, 8).map(|n| n >> 1)
    }

    /// Interactive-session flag (`icsk_ack.pingpong`), from `/proc/net/tcp`.
    pub fn bidirectional(&self) -> Option<bool> {
        read_u32(self.get(own::PROC_TCP).filter(|_| self.proto == Proto::Tcp)?, 8).map(|n| n & 1 != 0)
    }

    /// BBR parameters, if the socket uses BBR.
    pub fn bbr(&self) -> Option<Bbr> {
        let raw = if self.is_inet() { self.get(inet::BBRINFO)? } else { return None };
        let gain = |offset| read_u32(raw, offset).map(|n| f64::from(n) / 256.0);
        Some(Bbr {
            bw: read_u32(raw, 0).zip(read_u32(raw, 4)).map(|(lo, hi)| u64::from(lo) | u64::from(hi) << 32),
            min_rtt_us: read_u32(raw, 8),
            pacing_gain: gain(12),
            cwnd_gain: gain(16),
        })
    }

    /// Peers with an MD5 signature key; reported only with `CAP_NET_ADMIN`.
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

    /// BPF maps with local storage for an IP socket: map id and value size in bytes.
    pub fn bpf_maps(&self) -> Option<impl Iterator<Item = (u32, u32)> + 'a> {
        let raw = if self.is_inet() { self.get(own::BPF_MAPS)? } else { return None };
        Some(raw.chunks_exact(8).filter_map(|b| Some((read_u32(b, 0)?, read_u32(b, 4)?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;
    use crate::model::attr::push;
    use crate::model::struct_layout::{DCTCP, VEGAS};

    fn words(all: &[u32]) -> Vec<u8> {
        all.iter().flat_map(|n| n.to_ne_bytes()).collect()
    }

    #[test]
    fn congestion_control_parameters_are_read() {
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
    fn md5_keys_are_read_without_the_key() {
        let mut b = Vec::new();
        let mut key = vec![0u8; MD5SIG];
        (key[0], key[1]) = (2, 32);
        key[4..8].copy_from_slice(&[127, 0, 0, 5]);
        push(&mut b, inet::MD5SIG, &key);
        let keys = Attrs::new(&b, Family::Inet, Proto::Tcp).md5_keys().unwrap();
        assert_eq!((keys.len(), keys[0].addr.to_string(), keys[0].prefix_len), (1, "127.0.0.5".into(), 32));
    }
}
