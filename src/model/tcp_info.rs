//! `struct tcp_info`, field by field (`include/uapi/linux/tcp.h`).

use super::bytes::{Endian, bit_field};
use super::bytes::{read_u32, read_u64};
pub use super::struct_layout::{Field as TcpField, FieldUnit};

impl TcpField {
    /// Bits of the 4-byte words of the structure that contain it.
    pub const fn words(&self) -> u128 {
        let one = 1 << (self.offset / 4);
        if self.width == 8 { one | one << 1 } else { one }
    }
}

/// The words of `tcp_info`, as [`TcpField::words`], of the fields at these offsets.
pub const fn info_words(offsets: &[usize]) -> u128 {
    let (mut out, mut i) = (0, 0);
    while i < offsets.len() {
        out |= words_at(offsets[i]);
        i += 1;
    }
    out
}

const fn words_at(offset: usize) -> u128 {
    let mut i = 0;
    while i < TCP_FIELDS.len() {
        let f = &TCP_FIELDS[i];
        if f.offset <= offset && offset < f.offset + f.width {
            return f.words();
        }
        i += 1;
    }
    // Bit fields are within one word.
    1 << (offset / 4)
}

/// View of the bytes of `tcp_info` that the kernel sent. A field beyond their end is `None`.
#[derive(Clone, Copy, Debug)]
pub struct TcpInfo<'a> {
    bytes: &'a [u8],
    /// Words present: bit n stands for bytes 4n to 4n + 3 of the structure.
    words: u128,
}

impl<'a> TcpInfo<'a> {
    /// View of the payload of `INET_DIAG_INFO`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, words: u128::MAX }
    }

    /// View of selected words, stored consecutively.
    pub const fn from_words(bytes: &'a [u8], words: u128) -> Self {
        Self { bytes, words }
    }

    /// Position in `bytes` of a byte of the structure.
    #[inline]
    fn kept_offset(&self, offset: usize) -> Option<usize> {
        let word = 1u128.checked_shl(offset as u32 / 4)?;
        if self.words & word == 0 {
            return None;
        }
        let before = (self.words & (word - 1)).count_ones() as usize;
        Some(before * 4 + offset % 4)
    }

    fn byte(&self, offset: usize) -> Option<u8> {
        self.bytes.get(self.kept_offset(offset)?).copied()
    }

    /// Field by its entry in [`TCP_FIELDS`].
    pub fn field(&self, f: &TcpField) -> Option<u64> {
        // A field of eight bytes has two words, and both or none are kept.
        let at = self.kept_offset(f.offset).filter(|_| self.words & f.words() == f.words())?;
        match f.width {
            1 => self.bytes.get(at).map(|b| u64::from(*b)),
            2 => self.bytes.get(at..at + 2)?.try_into().ok().map(|b| u64::from(u16::from_ne_bytes(b))),
            4 => read_u32(self.bytes, at).map(u64::from),
            _ => read_u64(self.bytes, at),
        }
    }

    /// Send window scale (`tcpi_snd_wscale`), 0 to 14.
    pub fn snd_wscale(&self) -> Option<u8> {
        self.byte(6).map(|b| bit_field(b, 0, 4, Endian::NATIVE))
    }

    /// Receive window scale (`tcpi_rcv_wscale`), 0 to 14.
    pub fn rcv_wscale(&self) -> Option<u8> {
        self.byte(6).map(|b| bit_field(b, 4, 4, Endian::NATIVE))
    }

    /// True if the delivery rate was limited by the application, not by the network (`tcpi_delivery_rate_app_limited`).
    pub fn app_limited(&self) -> Option<bool> {
        self.byte(7).map(|b| bit_field(b, 0, 1, Endian::NATIVE) != 0)
    }
}

macro_rules! unset {
    () => {
        None
    };
    ($first:literal, $last:literal) => {
        Some(($first, $last))
    };
}

macro_rules! tcp_fields {
    ($($name:ident $index:ident @ $offset:literal : $width:literal $unit:ident $(unset $first:literal..=$last:literal)?, $help:literal;)*) => {
        /// All whole-byte fields of `struct tcp_info` up to Linux 6.18, in kernel order.
        pub const TCP_FIELDS: &[TcpField] = &[$(
            TcpField {
                name: stringify!($name), offset: $offset, width: $width, unit: FieldUnit::$unit, help: $help,
                unset: unset!($($first, $last)?),
            },
        )*];
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Index { $($index,)* }
        impl TcpInfo<'_> {
            $(
                #[doc = $help]
                #[inline]
                pub fn $name(&self) -> Option<u64> {
                    self.field(&TCP_FIELDS[Index::$index as usize])
                }
            )*
        }
    };
}

tcp_fields! {
    state STATE @ 0:1 Count, "State number of the kernel.";
    ca_state CA_STATE @ 1:1 Count, "Congestion avoidance: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss.";
    retransmits RETRANSMITS @ 2:1 Count, "Consecutive retransmission timeouts without an ACK.";
    probes PROBES @ 3:1 Count, "Unanswered window or keepalive probes.";
    backoff BACKOFF @ 4:1 Count, "Doublings of the retransmission timer.";
    options OPTIONS @ 5:1 Flags, "Negotiated options: 1 timestamps, 2 SACK, 4 window scale, 8 ECN, 16 ECN seen, 32 SYN data, 64 microsecond timestamps, 128 accepted by Fast Open.";
    rto_us RTO @ 8:4 Micros, "Retransmission timeout.";
    ato_us ATO @ 12:4 Micros, "Delayed-acknowledgement timeout.";
    snd_mss SND_MSS @ 16:4 Bytes, "Maximum segment size for sending.";
    rcv_mss RCV_MSS @ 20:4 Bytes, "Segment size estimated from received segments.";
    unacked UNACKED @ 24:4 Count, "Unacknowledged segments; on a listener the length of the accept queue.";
    sacked SACKED @ 28:4 Count, "Selectively acknowledged segments; on a listener the limit of the accept queue.";
    lost LOST @ 32:4 Count, "Segments considered lost.";
    retrans RETRANS @ 36:4 Count, "Segments being retransmitted now.";
    fackets FACKETS @ 40:4 Count, "Segments up to the highest selectively acknowledged (old kernels).";
    last_data_sent_ms LAST_DATA_SENT @ 44:4 Millis, "Time since data was last sent.";
    last_ack_sent_ms LAST_ACK_SENT @ 48:4 Millis, "Not tracked by the kernel: always 0.";
    last_data_recv_ms LAST_DATA_RECV @ 52:4 Millis, "Time since data was last received.";
    last_ack_recv_ms LAST_ACK_RECV @ 56:4 Millis, "Time since an ACK was last received.";
    pmtu PMTU @ 60:4 Bytes, "Path MTU.";
    rcv_ssthresh RCV_SSTHRESH @ 64:4 Bytes, "Current limit of the advertised receive window.";
    // 0: not measured yet.
    rtt_us RTT @ 68:4 Micros unset 0..=0, "Round-trip time, smoothed.";
    rttvar_us RTTVAR @ 72:4 Micros, "Round-trip time, mean deviation.";
    // INT_MAX and above: no threshold yet.
    snd_ssthresh SND_SSTHRESH @ 76:4 Count unset 0x7fff_ffff..=0xffff_ffff, "Slow-start threshold in segments; empty until one is set.";
    snd_cwnd SND_CWND @ 80:4 Count, "Congestion window in segments.";
    advmss ADVMSS @ 84:4 Bytes, "Segment size advertised to the peer.";
    reordering REORDERING @ 88:4 Count, "Tolerated reordering in segments.";
    rcv_rtt_us RCV_RTT @ 92:4 Micros, "Round-trip time estimated by the receiver.";
    rcv_space RCV_SPACE @ 96:4 Bytes, "Receive buffer target of autotuning.";
    total_retrans TOTAL_RETRANS @ 100:4 Count, "Segments retransmitted since connect.";
    // All ones: unlimited.
    pacing_rate PACING_RATE @ 104:8 BytesPerSec unset 0xffff_ffff_ffff_ffff..=0xffff_ffff_ffff_ffff, "Pacing rate.";
    max_pacing_rate MAX_PACING_RATE @ 112:8 BytesPerSec unset 0xffff_ffff_ffff_ffff..=0xffff_ffff_ffff_ffff, "Maximum pacing rate.";
    bytes_acked BYTES_ACKED @ 120:8 Bytes, "Bytes acknowledged since connect.";
    bytes_received BYTES_RECEIVED @ 128:8 Bytes, "Bytes received since connect.";
    segs_out SEGS_OUT @ 136:4 Count, "Segments sent.";
    segs_in SEGS_IN @ 140:4 Count, "Segments received.";
    notsent_bytes NOTSENT @ 144:4 Bytes, "Bytes in the send queue that are not sent yet.";
    min_rtt_us MIN_RTT @ 148:4 Micros, "Minimum recent round-trip time.";
    data_segs_in DATA_SEGS_IN @ 152:4 Count, "Segments with data received.";
    data_segs_out DATA_SEGS_OUT @ 156:4 Count, "Segments with data sent.";
    delivery_rate DELIVERY_RATE @ 160:8 BytesPerSec, "Recent delivery rate.";
    busy_time_us BUSY_TIME @ 168:8 Micros, "Time with data to send or unacknowledged.";
    rwnd_limited_us RWND_LIMITED @ 176:8 Micros, "Busy time limited by the peer's receive window.";
    sndbuf_limited_us SNDBUF_LIMITED @ 184:8 Micros, "Busy time limited by the local send buffer.";
    delivered DELIVERED @ 192:4 Count, "Segments delivered, retransmissions included.";
    delivered_ce DELIVERED_CE @ 196:4 Count, "Delivered segments acknowledged with an ECN congestion mark.";
    bytes_sent BYTES_SENT @ 200:8 Bytes, "Bytes sent, retransmissions included.";
    bytes_retrans BYTES_RETRANS @ 208:8 Bytes, "Bytes retransmitted.";
    dsack_dups DSACK_DUPS @ 216:4 Count, "Duplicate segments reported by the peer (DSACK).";
    reord_seen REORD_SEEN @ 220:4 Count, "Reorderings seen.";
    rcv_ooopack RCV_OOOPACK @ 224:4 Count, "Segments received out of order.";
    snd_wnd SND_WND @ 228:4 Bytes, "Window advertised by the peer.";
    rcv_wnd RCV_WND @ 232:4 Bytes, "Window advertised to the peer.";
    rehash REHASH @ 236:4 Count, "Path changes (rehash) after timeouts.";
    total_rto TOTAL_RTO @ 240:2 Count, "Retransmission timeouts since connect.";
    total_rto_recoveries TOTAL_RTO_RECOVERIES @ 242:2 Count, "Recoveries from a timeout.";
    total_rto_time_ms TOTAL_RTO_TIME @ 244:4 Millis, "Time spent in recovery from timeouts.";
    received_ce RECEIVED_CE @ 248:4 Count, "Segments received with a CE mark (AccECN).";
    delivered_e1_bytes DELIVERED_E1 @ 252:4 Bytes, "Bytes delivered with ECT(1) (AccECN).";
    delivered_e0_bytes DELIVERED_E0 @ 256:4 Bytes, "Bytes delivered with ECT(0) (AccECN).";
    delivered_ce_bytes DELIVERED_CEB @ 260:4 Bytes, "Bytes delivered with a CE mark (AccECN).";
    received_e1_bytes RECEIVED_E1 @ 264:4 Bytes, "Bytes received with ECT(1) (AccECN).";
    received_e0_bytes RECEIVED_E0 @ 268:4 Bytes, "Bytes received with ECT(0) (AccECN).";
    received_ce_bytes RECEIVED_CEB @ 272:4 Bytes, "Bytes received with a CE mark (AccECN).";
    accecn_fail_mode ACCECN_FAIL @ 276:2 Flags, "Reason why AccECN is not in use.";
    accecn_opt_seen ACCECN_OPT @ 278:2 Flags, "Accurate ECN options seen.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_overlap_and_names_are_unique() {
        let mut end = 0;
        for f in TCP_FIELDS {
            assert!(f.offset >= end, "{} overlaps the field before it", f.name);
            assert!(matches!(f.width, 1 | 2 | 4 | 8) && f.offset % f.width == 0, "{}", f.name);
            assert!(!f.help.is_empty());
            end = f.offset + f.width;
        }
        let mut names: Vec<_> = TCP_FIELDS.iter().map(|f| f.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TCP_FIELDS.len());
    }

    #[test]
    fn selected_words_read_like_whole_struct() {
        let whole: Vec<u8> = (0..280u32).map(|i| i as u8).collect();
        let chosen: Vec<&TcpField> = TCP_FIELDS.iter().step_by(3).collect();
        let words = chosen.iter().fold(0, |w, f| w | f.words());
        let kept: Vec<u8> =
            (0..70).filter(|w| words >> w & 1 != 0).flat_map(|w| whole[4 * w..4 * w + 4].to_vec()).collect();
        let (all, some) = (TcpInfo::new(&whole), TcpInfo::from_words(&kept, words));
        for f in TCP_FIELDS {
            let kept = words & f.words() == f.words();
            assert_eq!(some.field(f), all.field(f).filter(|_| kept), "{}", f.name);
            assert_eq!(info_words(&[f.offset]), f.words(), "{}", f.name);
            assert_eq!(info_words(&[f.offset + f.width - 1]), f.words(), "{}", f.name);
        }
        assert_eq!(some.snd_wscale().is_some(), words & 0b10 != 0);
    }

    #[test]
    fn numbers_that_mean_no_value_are_unset() {
        for (name, unset, value) in [
            ("rtt_us", 0, 1),
            ("snd_ssthresh", 0x7fff_ffff, 0x7fff_fffe),
            ("pacing_rate", u64::MAX, u64::MAX - 1),
            ("max_pacing_rate", u64::MAX, 0),
        ] {
            let field = TCP_FIELDS.iter().find(|f| f.name == name).unwrap();
            assert!(field.is_unset(unset) && !field.is_unset(value), "{name}");
        }
        assert!(!TCP_FIELDS[0].is_unset(0));
    }

    #[test]
    fn shorter_and_longer_struct_is_read() {
        let mut b = vec![0u8; 400];
        b[68..72].copy_from_slice(&410u32.to_ne_bytes());
        b[120..128].copy_from_slice(&(1u64 << 40).to_ne_bytes());
        b[6] = if cfg!(target_endian = "big") { 0x79 } else { 0x97 };
        let long = TcpInfo::new(&b);
        assert_eq!(long.rtt_us(), Some(410));
        assert_eq!(long.bytes_acked(), Some(1 << 40));
        assert_eq!((long.snd_wscale(), long.rcv_wscale()), (Some(7), Some(9)));
        let short = TcpInfo::new(&b[..104]);
        assert_eq!(short.rtt_us(), Some(410));
        assert_eq!(short.total_retrans(), Some(0));
        assert_eq!(short.bytes_acked(), None);
        assert_eq!(TcpInfo::new(&b[..126]).bytes_acked(), None, "truncated");
        assert_eq!(TcpInfo::new(&[]).state(), None);
    }
}
