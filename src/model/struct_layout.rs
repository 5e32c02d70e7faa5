//! Field tables of the structures attached to sockets besides `tcp_info`.

use super::bytes::{read_u32, read_u64};
use super::diag_attr::{inet, packet, xdp};
use super::proto::Proto;

/// Unit of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldUnit {
    /// Count: packets, segments, events.
    Count,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSec,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Flag bits, or an identifier.
    Flags,
}

/// Field of a structure.
#[derive(Debug)]
pub struct Field {
    /// Name: that of the kernel without its prefix, with the unit appended.
    pub name: &'static str,
    /// Byte offset in the structure.
    pub offset: usize,
    /// Width in bytes: 1, 2, 4 or 8.
    pub width: usize,
    /// Unit.
    pub unit: FieldUnit,
    /// Description, one sentence.
    pub help: &'static str,
    /// First and last of the numbers that stand for "no value".
    pub unset: Option<(u64, u64)>,
}

impl Field {
    /// True if this number stands for "no value".
    pub fn is_unset(&self, number: u64) -> bool {
        self.unset.is_some_and(|(first, last)| (first..=last).contains(&number))
    }

    /// Value of the field; `None` if the bytes end before it.
    pub fn read(&self, bytes: &[u8]) -> Option<u64> {
        match self.width {
            1 => bytes.get(self.offset).map(|b| u64::from(*b)),
            2 => {
                let b = bytes.get(self.offset..self.offset + 2)?;
                b.try_into().ok().map(|b| u64::from(u16::from_ne_bytes(b)))
            }
            4 => read_u32(bytes, self.offset).map(u64::from),
            _ => read_u64(bytes, self.offset),
        }
    }
}

/// Structure in one attribute of the sockets of one protocol.
#[derive(Debug)]
pub struct Structure {
    /// Column that shows it.
    pub name: &'static str,
    /// Kernel name.
    pub kernel: &'static str,
    /// Protocol of the sockets that have it.
    pub proto: Proto,
    /// Attribute number.
    pub attr: u16,
    /// Fields, in kernel order.
    pub fields: &'static [Field],
}

macro_rules! structure {
    ($(#[$doc:meta])* $id:ident $name:literal $kernel:literal $proto:ident $attr:expr;
     $($field:literal @ $offset:literal : $width:literal $unit:ident, $help:literal;)*) => {
        $(#[$doc])*
        pub const $id: Structure = Structure {
            name: $name,
            kernel: $kernel,
            proto: Proto::$proto,
            attr: $attr,
            fields: &[$(
                Field { name: $field, offset: $offset, width: $width, unit: FieldUnit::$unit, help: $help, unset: None },
            )*],
        };
    };
}

structure! {
    /// Multipath TCP (`include/uapi/linux/mptcp.h`), up to Linux 6.18.
    MPTCP "mptcp_info" "struct mptcp_info" Mptcp inet::INFO;
    "subflows" @ 0:1 Count, "Additional subflows.";
    "add_addr_signal" @ 1:1 Count, "Local addresses announced to the peer (ADD_ADDR).";
    "add_addr_accepted" @ 2:1 Count, "Peer addresses accepted (ADD_ADDR).";
    "subflows_max" @ 3:1 Count, "Maximum number of additional subflows.";
    "add_addr_signal_max" @ 4:1 Count, "Maximum number of local addresses announced.";
    "add_addr_accepted_max" @ 5:1 Count, "Maximum number of peer addresses accepted.";
    "flags" @ 8:4 Flags, "Bit 0: fell back to plain TCP; bit 1: key of the peer received.";
    "token" @ 12:4 Flags, "Local token of the connection.";
    "write_seq" @ 16:8 Flags, "Sequence number of the next byte to send.";
    "snd_una" @ 24:8 Flags, "First unacknowledged byte.";
    "rcv_nxt" @ 32:8 Flags, "Next expected byte.";
    "local_addr_used" @ 40:1 Count, "Local addresses in use.";
    "local_addr_max" @ 41:1 Count, "Maximum number of local addresses in use.";
    "csum_enabled" @ 42:1 Count, "DSS checksum enabled.";
    "retransmits" @ 44:4 Count, "Consecutive retransmissions of DATA_FIN without an acknowledgment.";
    "bytes_retrans" @ 48:8 Bytes, "Bytes retransmitted over another subflow.";
    "bytes_sent" @ 56:8 Bytes, "Bytes sent, retransmissions included.";
    "bytes_received" @ 64:8 Bytes, "Bytes received.";
    "bytes_acked" @ 72:8 Bytes, "Bytes sent and acknowledged.";
    "subflows_total" @ 80:1 Count, "Subflows in total, the first one included.";
    "endp_laminar_max" @ 81:1 Count, "Maximum number of laminar endpoints.";
    "last_data_sent_ms" @ 84:4 Millis, "Time since data was last sent.";
    "last_data_recv_ms" @ 88:4 Millis, "Time since data was last received.";
    "last_ack_recv_ms" @ 92:4 Millis, "Time since an ACK was last received.";
}

structure! {
    /// DCTCP state (`struct tcp_dctcp_info`).
    DCTCP "dctcp_info" "struct tcp_dctcp_info" Tcp inet::DCTCPINFO;
    "enabled" @ 0:2 Count, "0: the peer does not support ECN, so it behaves like reno.";
    "ce_state" @ 2:2 Count, "Last received segment had a CE mark.";
    "alpha" @ 4:4 Count, "Smoothed fraction of marked bytes; 1024 is all.";
    "ab_ecn" @ 8:4 Bytes, "Bytes acknowledged with an ECN mark in this window.";
    "ab_tot" @ 12:4 Bytes, "Bytes acknowledged in this window.";
}

structure! {
    /// TCP Vegas state (`struct tcpvegas_info`).
    VEGAS "vegas_info" "struct tcpvegas_info" Tcp inet::VEGASINFO;
    "enabled" @ 0:4 Count, "Vegas is active.";
    "rttcnt" @ 4:4 Count, "Round-trip samples in this window.";
    "rtt_us" @ 8:4 Micros, "Round-trip time.";
    "min_rtt_us" @ 12:4 Micros, "Minimum round-trip time.";
}

structure! {
    /// SCTP association (`struct sctp_info`, `include/uapi/linux/sctp.h`).
    SCTP "sctp_info" "struct sctp_info" Sctp inet::INFO;
    "tag" @ 0:4 Flags, "Local verification tag.";
    "state" @ 4:4 Count, "Association state (enum sctp_state).";
    "rwnd" @ 8:4 Bytes, "Local receive window.";
    "unackdata" @ 12:2 Count, "Chunks sent and not acknowledged.";
    "penddata" @ 14:2 Count, "Chunks received and not read.";
    "instrms" @ 16:2 Count, "Inbound streams.";
    "outstrms" @ 18:2 Count, "Outbound streams.";
    "fragmentation_point" @ 20:4 Bytes, "Message size above which fragmentation starts.";
    "inqueue" @ 24:4 Count, "Chunks in the receive queue.";
    "outqueue" @ 28:4 Count, "Chunks in the send queue.";
    "overall_error" @ 32:4 Count, "Consecutive errors.";
    "max_burst" @ 36:4 Count, "Maximum burst of packets.";
    "maxseg" @ 40:4 Bytes, "Maximum fragment size.";
    "peer_rwnd" @ 44:4 Bytes, "Receive window of the peer.";
    "peer_tag" @ 48:4 Flags, "Verification tag of the peer.";
    "peer_capable" @ 52:1 Flags, "Capabilities of the peer, one bit each.";
    "peer_sack" @ 53:1 Count, "Immediate SACK requested for the next packet.";
    "isacks" @ 56:8 Count, "SACKs received.";
    "osacks" @ 64:8 Count, "SACKs sent.";
    "opackets" @ 72:8 Count, "Packets sent.";
    "ipackets" @ 80:8 Count, "Packets received.";
    "rtxchunks" @ 88:8 Count, "Chunks retransmitted.";
    "outofseqtsns" @ 96:8 Count, "Chunks received out of order.";
    "idupchunks" @ 104:8 Count, "Duplicate chunks received.";
    "gapcnt" @ 112:8 Count, "Gap ACK blocks received.";
    "ouodchunks" @ 120:8 Count, "Unordered chunks sent.";
    "iuodchunks" @ 128:8 Count, "Unordered chunks received.";
    "oodchunks" @ 136:8 Count, "Ordered chunks sent.";
    "iodchunks" @ 144:8 Count, "Ordered chunks received.";
    "octrlchunks" @ 152:8 Count, "Control chunks sent.";
    "ictrlchunks" @ 160:8 Count, "Control chunks received.";
    "p_state" @ 296:4 Count, "State of the primary path.";
    "p_cwnd" @ 300:4 Bytes, "Congestion window of the primary path.";
    "p_srtt_ms" @ 304:4 Millis, "Smoothed round-trip time of the primary path.";
    "p_rto_ms" @ 308:4 Millis, "Retransmission timeout of the primary path.";
    "p_hbinterval_ms" @ 312:4 Millis, "Time between heartbeats.";
    "p_pathmaxrxt" @ 316:4 Count, "Maximum retransmissions on the path.";
    "p_sackdelay_ms" @ 320:4 Millis, "Delay of SACKs.";
    "p_sackfreq" @ 324:4 Count, "Packets per SACK, at most.";
    "p_ssthresh" @ 328:4 Bytes, "Slow-start threshold of the primary path.";
    "p_partial_bytes_acked" @ 332:4 Bytes, "Bytes acknowledged toward the next window increase.";
    "p_flight_size" @ 336:4 Bytes, "Bytes in flight.";
    "p_error" @ 340:2 Count, "Errors of the primary path.";
    "autoclose" @ 344:4 Count, "Idle seconds before the association closes; 0 for never.";
    "adaptation_ind" @ 348:4 Count, "Adaptation layer indication.";
    "pd_point" @ 352:4 Bytes, "Bytes after which a partial message is delivered.";
    "nodelay" @ 356:1 Count, "Small messages are sent without delay (SCTP_NODELAY).";
    "disable_fragments" @ 357:1 Count, "Fragmentation disabled: large messages are refused.";
    "v4mapped" @ 358:1 Count, "IPv4 addresses reported as IPv4-mapped IPv6.";
    "frag_interleave" @ 359:1 Count, "Interleaved delivery of messages allowed.";
}

structure! {
    /// Packet socket (`struct packet_diag_info`, `include/uapi/linux/packet_diag.h`).
    PACKET "packet_info" "struct packet_diag_info" Packet packet::INFO;
    "version" @ 4:4 Count, "Ring version: 0 is TPACKET_V1, 2 is TPACKET_V3.";
    "reserve" @ 8:4 Bytes, "Bytes reserved before each packet in the ring.";
    "copy_thresh" @ 12:4 Bytes, "Packet size above which packets are also queued whole.";
    "tstamp" @ 16:4 Flags, "Timestamp source, SOF_TIMESTAMPING_* bits.";
    "flags" @ 20:4 Flags, "Flag bits: running, auxdata, origdev, vnethdr, loss.";
}

/// Ring of a packet socket (`struct packet_diag_ring`).
const RING: &[Field] = &[
    Field {
        name: "block_size",
        offset: 0,
        width: 4,
        unit: FieldUnit::Bytes,
        help: "Block size.",
        unset: None,
    },
    Field {
        name: "blocks",
        offset: 4,
        width: 4,
        unit: FieldUnit::Count,
        help: "Number of blocks.",
        unset: None,
    },
    Field {
        name: "frame_size",
        offset: 8,
        width: 4,
        unit: FieldUnit::Bytes,
        help: "Size of a frame: one packet with its header.",
        unset: None,
    },
    Field {
        name: "frames",
        offset: 12,
        width: 4,
        unit: FieldUnit::Count,
        help: "Number of frames.",
        unset: None,
    },
    Field {
        name: "retire_ms",
        offset: 16,
        width: 4,
        unit: FieldUnit::Millis,
        help: "Timeout after which a partly filled block is delivered.",
        unset: None,
    },
    Field {
        name: "private_size",
        offset: 20,
        width: 4,
        unit: FieldUnit::Bytes,
        help: "Private area of the application in each block.",
        unset: None,
    },
    Field {
        name: "features",
        offset: 24,
        width: 4,
        unit: FieldUnit::Flags,
        help: "Feature bits: fill the receive hash.",
        unset: None,
    },
];

/// Receive ring of a packet socket.
pub const RX_RING: Structure = Structure {
    name: "rx_ring",
    kernel: "struct packet_diag_ring",
    proto: Proto::Packet,
    attr: packet::RX_RING,
    fields: RING,
};

/// Transmit ring of a packet socket.
pub const TX_RING: Structure = Structure { name: "tx_ring", attr: packet::TX_RING, ..RX_RING };

structure! {
    /// Memory of an XDP socket (`struct xdp_diag_umem`, `include/uapi/linux/xdp_diag.h`).
    UMEM "xdp_umem" "struct xdp_diag_umem" Xdp xdp::UMEM;
    "size" @ 0:8 Bytes, "Size of the memory region.";
    "id" @ 8:4 Count, "UMEM id.";
    "num_pages" @ 12:4 Count, "Number of pages.";
    "chunk_size" @ 16:4 Bytes, "Size of a chunk: one packet.";
    "headroom" @ 20:4 Bytes, "Bytes reserved before each packet.";
    "ifindex" @ 24:4 Count, "Interface index.";
    "queue_id" @ 28:4 Count, "Queue of the interface.";
    "flags" @ 32:4 Flags, "Bit 0: zero-copy.";
    "refs" @ 36:4 Count, "Sockets using it.";
}

structure! {
    /// Statistics of an XDP socket (`struct xdp_diag_stats`).
    XDP_STATS "xdp_stats" "struct xdp_diag_stats" Xdp xdp::STATS;
    "rx_dropped" @ 0:8 Count, "Packets dropped on receive.";
    "rx_invalid" @ 8:8 Count, "Invalid descriptors in the fill ring.";
    "rx_queue_full" @ 16:8 Count, "Packets dropped because the receive ring was full.";
    "fill_ring_empty" @ 24:8 Count, "Times the fill ring was empty.";
    "tx_invalid" @ 32:8 Count, "Invalid descriptors in the send ring.";
    "tx_ring_empty" @ 40:8 Count, "Times the send ring was empty.";
}

/// All structures.
pub const STRUCTURES: [&Structure; 9] =
    [&MPTCP, &SCTP, &DCTCP, &VEGAS, &PACKET, &RX_RING, &TX_RING, &UMEM, &XDP_STATS];

/// Structure shown by the column of this name.
pub fn by_column(column: &str) -> Option<&'static Structure> {
    STRUCTURES.into_iter().find(|s| s.name == column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_overlap_and_names_are_unique() {
        for s in STRUCTURES {
            let mut end = 0;
            for f in s.fields {
                assert!(f.offset >= end, "{}.{} overlaps the field before it", s.name, f.name);
                assert!(matches!(f.width, 1 | 2 | 4 | 8) && f.offset % f.width == 0, "{}", f.name);
                assert!(f.help.ends_with('.'));
                end = f.offset + f.width;
            }
            let mut names: Vec<_> = s.fields.iter().map(|f| f.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), s.fields.len());
            assert_eq!(by_column(s.name).unwrap().attr, s.attr);
        }
    }

    #[test]
    fn shorter_and_longer_struct_is_read() {
        let mut b = vec![0u8; 200];
        b[12..16].copy_from_slice(&0x50a3_854cu32.to_ne_bytes());
        b[72..80].copy_from_slice(&1000u64.to_ne_bytes());
        let value = |name: &str, b: &[u8]| MPTCP.fields.iter().find(|f| f.name == name).unwrap().read(b);
        assert_eq!((value("token", &b), value("bytes_acked", &b)), (Some(0x50a3_854c), Some(1000)));
        // Length on Linux 5.16.
        assert_eq!((value("token", &b[..48]), value("bytes_acked", &b[..48])), (Some(0x50a3_854c), None));
        assert_eq!(value("bytes_acked", &b[..79]), None, "truncated");
    }
}
