//! Structures that a kernel attaches to sockets beside `tcp_info`: what each of their fields is, in one place.

use super::Proto;
use super::bytes::{read_u32, read_u64};
use super::diag_attr::{inet, packet, xdp};

/// What a number of a structure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A plain number: packets, segments, events.
    Count,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSec,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Bits that each mean something, or a number that is a name.
    Flags,
}

/// One field of a structure: where it lies and what it says.
#[derive(Debug)]
pub struct Field {
    /// Its name here: the kernel's without its prefix, the unit appended where it has one.
    pub name: &'static str,
    /// Byte offset in the structure.
    pub offset: usize,
    /// Width in bytes: 1, 2, 4 or 8.
    pub width: usize,
    /// What it counts.
    pub unit: Unit,
    /// One plain sentence.
    pub help: &'static str,
}

impl Field {
    /// Its value in these bytes; `None` where they end before it.
    pub fn of(&self, bytes: &[u8]) -> Option<u64> {
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

/// A structure that lies in one attribute of the sockets of one protocol.
#[derive(Debug)]
pub struct Structure {
    /// The column that shows it.
    pub name: &'static str,
    /// The kernel's name of it.
    pub kernel: &'static str,
    /// The protocol whose sockets have it.
    pub proto: Proto,
    /// The attribute it lies in.
    pub attr: u16,
    /// Its fields, in the kernel's order.
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
                Field { name: $field, offset: $offset, width: $width, unit: Unit::$unit, help: $help },
            )*],
        };
    };
}

structure! {
    /// Multipath TCP (`include/uapi/linux/mptcp.h`), up to Linux 6.18.
    MPTCP "mptcp_info" "struct mptcp_info" Mptcp inet::INFO;
    "subflows" @ 0:1 Count, "Subflows beside the first one.";
    "add_addr_signal" @ 1:1 Count, "Own addresses announced to the far end.";
    "add_addr_accepted" @ 2:1 Count, "Addresses of the far end that were taken up.";
    "subflows_max" @ 3:1 Count, "Most subflows beside the first one.";
    "add_addr_signal_max" @ 4:1 Count, "Most own addresses that are announced.";
    "add_addr_accepted_max" @ 5:1 Count, "Most addresses of the far end that are taken up.";
    "flags" @ 8:4 Flags, "Bit 0: fell back to plain TCP; bit 1: the far end's key came.";
    "token" @ 12:4 Flags, "This end's name of the connection.";
    "write_seq" @ 16:8 Flags, "Sequence number of the next byte to send.";
    "snd_una" @ 24:8 Flags, "First byte not acknowledged yet.";
    "rcv_nxt" @ 32:8 Flags, "Next byte that is waited for.";
    "local_addr_used" @ 40:1 Count, "Own addresses in use.";
    "local_addr_max" @ 41:1 Count, "Most own addresses that are used.";
    "csum_enabled" @ 42:1 Count, "Whether the data carry a checksum of MPTCP's own.";
    "retransmits" @ 44:4 Count, "Times that data were sent again over another subflow.";
    "bytes_retrans" @ 48:8 Bytes, "Bytes sent again over another subflow.";
    "bytes_sent" @ 56:8 Bytes, "Bytes sent, retransmissions included.";
    "bytes_received" @ 64:8 Bytes, "Bytes received.";
    "bytes_acked" @ 72:8 Bytes, "Bytes sent and acknowledged.";
    "subflows_total" @ 80:1 Count, "All subflows, the first one included.";
    "endp_laminar_max" @ 81:1 Count, "Most endpoints of the kind laminar.";
    "last_data_sent_ms" @ 84:4 Millis, "Since data was last sent.";
    "last_data_recv_ms" @ 88:4 Millis, "Since data last came in.";
    "last_ack_recv_ms" @ 92:4 Millis, "Since an acknowledgement last came in.";
}

structure! {
    /// DCTCP's view (`struct tcp_dctcp_info`).
    DCTCP "dctcp_info" "struct tcp_dctcp_info" Tcp inet::DCTCPINFO;
    "enabled" @ 0:2 Count, "0: the far end does not mark, so it works like reno.";
    "ce_state" @ 2:2 Count, "Whether the last segment that came was marked.";
    "alpha" @ 4:4 Count, "Share of marked bytes, smoothed: 1024 is all of them.";
    "ab_ecn" @ 8:4 Bytes, "Bytes acknowledged with a mark in this window.";
    "ab_tot" @ 12:4 Bytes, "Bytes acknowledged in this window.";
}

structure! {
    /// TCP Vegas' view (`struct tcpvegas_info`).
    VEGAS "vegas_info" "struct tcpvegas_info" Tcp inet::VEGASINFO;
    "enabled" @ 0:4 Count, "Whether it decides now.";
    "rttcnt" @ 4:4 Count, "Round trips measured in this window.";
    "rtt_us" @ 8:4 Micros, "Round-trip time.";
    "min_rtt_us" @ 12:4 Micros, "Smallest round-trip time.";
}

structure! {
    /// An SCTP association (`struct sctp_info`, `include/uapi/linux/sctp.h`).
    SCTP "sctp_info" "struct sctp_info" Sctp inet::INFO;
    "tag" @ 0:4 Flags, "Verification tag of this end.";
    "state" @ 4:4 Count, "State as SCTP numbers it.";
    "rwnd" @ 8:4 Bytes, "Receive window of this end.";
    "unackdata" @ 12:2 Count, "Chunks sent and not acknowledged.";
    "penddata" @ 14:2 Count, "Chunks received and not read.";
    "instrms" @ 16:2 Count, "Streams that come in.";
    "outstrms" @ 18:2 Count, "Streams that go out.";
    "fragmentation_point" @ 20:4 Bytes, "Size above which messages are cut.";
    "inqueue" @ 24:4 Count, "Chunks in the receive queue.";
    "outqueue" @ 28:4 Count, "Chunks in the send queue.";
    "overall_error" @ 32:4 Count, "Errors in a row.";
    "max_burst" @ 36:4 Count, "Packets that may go out at once.";
    "maxseg" @ 40:4 Bytes, "Largest fragment.";
    "peer_rwnd" @ 44:4 Bytes, "Receive window of the far end.";
    "peer_tag" @ 48:4 Flags, "Verification tag of the far end.";
    "peer_capable" @ 52:1 Flags, "What the far end can do, one bit each.";
    "peer_sack" @ 53:1 Count, "Whether the next packet is acknowledged at once.";
    "isacks" @ 56:8 Count, "Acknowledgements received.";
    "osacks" @ 64:8 Count, "Acknowledgements sent.";
    "opackets" @ 72:8 Count, "Packets sent.";
    "ipackets" @ 80:8 Count, "Packets received.";
    "rtxchunks" @ 88:8 Count, "Chunks sent again.";
    "outofseqtsns" @ 96:8 Count, "Chunks that came out of order.";
    "idupchunks" @ 104:8 Count, "Chunks that came twice.";
    "gapcnt" @ 112:8 Count, "Gaps acknowledged.";
    "ouodchunks" @ 120:8 Count, "Unordered chunks sent.";
    "iuodchunks" @ 128:8 Count, "Unordered chunks received.";
    "oodchunks" @ 136:8 Count, "Ordered chunks sent.";
    "iodchunks" @ 144:8 Count, "Ordered chunks received.";
    "octrlchunks" @ 152:8 Count, "Control chunks sent.";
    "ictrlchunks" @ 160:8 Count, "Control chunks received.";
    "p_state" @ 296:4 Count, "State of the primary path.";
    "p_cwnd" @ 300:4 Bytes, "Congestion window of the primary path.";
    "p_srtt_ms" @ 304:4 Millis, "Round-trip time of the primary path, smoothed.";
    "p_rto_ms" @ 308:4 Millis, "Retransmission timeout of the primary path.";
    "p_hbinterval_ms" @ 312:4 Millis, "Time between heartbeats.";
    "p_pathmaxrxt" @ 316:4 Count, "Errors after which the path is given up.";
    "p_sackdelay_ms" @ 320:4 Millis, "How long an acknowledgement is held back.";
    "p_sackfreq" @ 324:4 Count, "Packets after which one is sent at the latest.";
    "p_ssthresh" @ 328:4 Bytes, "Slow-start threshold of the primary path.";
    "p_partial_bytes_acked" @ 332:4 Bytes, "Bytes acknowledged towards a larger window.";
    "p_flight_size" @ 336:4 Bytes, "Bytes under way.";
    "p_error" @ 340:2 Count, "Errors of the primary path.";
    "autoclose" @ 344:4 Count, "Seconds without traffic after which it closes, 0 for never.";
    "adaptation_ind" @ 348:4 Count, "Number of the adaptation layer.";
    "pd_point" @ 352:4 Bytes, "Bytes after which part of a message is handed over.";
    "nodelay" @ 356:1 Count, "Whether small messages go out at once.";
    "disable_fragments" @ 357:1 Count, "Whether large messages are refused and not cut.";
    "v4mapped" @ 358:1 Count, "Whether IPv4 addresses are shown as IPv6 ones.";
    "frag_interleave" @ 359:1 Count, "Whether messages may come in mixed.";
}

structure! {
    /// A packet socket (`struct packet_diag_info`, `include/uapi/linux/packet_diag.h`).
    PACKET "packet_info" "struct packet_diag_info" Packet packet::INFO;
    "version" @ 4:4 Count, "Version of the ring: 0 is TPACKET_V1, 2 is TPACKET_V3.";
    "reserve" @ 8:4 Bytes, "Bytes kept free before each packet in the ring.";
    "copy_thresh" @ 12:4 Bytes, "Packets larger than that are handed over whole beside the ring.";
    "tstamp" @ 16:4 Flags, "Which clock stamps packets, as SOF_TIMESTAMPING_* bits.";
    "flags" @ 20:4 Flags, "Bits: running, auxdata, origdev, vnethdr, loss.";
}

/// A ring of a packet socket.
const RING: &[Field] = &[
    Field { name: "block_size", offset: 0, width: 4, unit: Unit::Bytes, help: "Size of one block." },
    Field { name: "blocks", offset: 4, width: 4, unit: Unit::Count, help: "How many blocks." },
    Field {
        name: "frame_size",
        offset: 8,
        width: 4,
        unit: Unit::Bytes,
        help: "Room for one packet and its header.",
    },
    Field { name: "frames", offset: 12, width: 4, unit: Unit::Count, help: "How many packets fit." },
    Field {
        name: "retire_ms",
        offset: 16,
        width: 4,
        unit: Unit::Millis,
        help: "After that a block is handed over though it is not full.",
    },
    Field {
        name: "private_size",
        offset: 20,
        width: 4,
        unit: Unit::Bytes,
        help: "Room of the program's own in each block.",
    },
    Field { name: "features", offset: 24, width: 4, unit: Unit::Flags, help: "Bits: fill the receive hash." },
];

/// The receive ring of a packet socket.
pub const RX_RING: Structure = Structure {
    name: "rx_ring",
    kernel: "struct packet_diag_ring",
    proto: Proto::Packet,
    attr: packet::RX_RING,
    fields: RING,
};

/// The send ring of a packet socket.
pub const TX_RING: Structure = Structure { name: "tx_ring", attr: packet::TX_RING, ..RX_RING };

structure! {
    /// The memory of an XDP socket (`struct xdp_diag_umem`, `include/uapi/linux/xdp_diag.h`).
    UMEM "xdp_umem" "struct xdp_diag_umem" Xdp xdp::UMEM;
    "size" @ 0:8 Bytes, "Size of the memory.";
    "id" @ 8:4 Count, "Its number.";
    "num_pages" @ 12:4 Count, "Its pages.";
    "chunk_size" @ 16:4 Bytes, "Room for one packet.";
    "headroom" @ 20:4 Bytes, "Bytes kept free before each packet.";
    "ifindex" @ 24:4 Count, "The interface it is registered with.";
    "queue_id" @ 28:4 Count, "The queue it is registered with.";
    "flags" @ 32:4 Flags, "Bit 0: packets are not copied.";
    "refs" @ 36:4 Count, "Sockets that use it.";
}

structure! {
    /// What an XDP socket counted (`struct xdp_diag_stats`).
    XDP_STATS "xdp_stats" "struct xdp_diag_stats" Xdp xdp::STATS;
    "rx_dropped" @ 0:8 Count, "Packets dropped on receive.";
    "rx_invalid" @ 8:8 Count, "Descriptors of the fill ring that were wrong.";
    "rx_queue_full" @ 16:8 Count, "Packets dropped because the receive ring was full.";
    "fill_ring_empty" @ 24:8 Count, "Times that the fill ring was empty.";
    "tx_invalid" @ 32:8 Count, "Descriptors of the send ring that were wrong.";
    "tx_ring_empty" @ 40:8 Count, "Times that the send ring was empty.";
}

/// All of them.
pub const STRUCTURES: [&Structure; 9] =
    [&MPTCP, &SCTP, &DCTCP, &VEGAS, &PACKET, &RX_RING, &TX_RING, &UMEM, &XDP_STATS];

/// The structure that the column of this name shows.
pub fn named(column: &str) -> Option<&'static Structure> {
    STRUCTURES.into_iter().find(|s| s.name == column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_neither_overlap_nor_repeat() {
        for s in STRUCTURES {
            let mut end = 0;
            for f in s.fields {
                assert!(f.offset >= end, "{}.{} begins before its neighbour ends", s.name, f.name);
                assert!(matches!(f.width, 1 | 2 | 4 | 8) && f.offset % f.width == 0, "{}", f.name);
                assert!(f.help.ends_with('.'));
                end = f.offset + f.width;
            }
            let mut names: Vec<_> = s.fields.iter().map(|f| f.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), s.fields.len());
            assert_eq!(named(s.name).unwrap().attr, s.attr);
        }
    }

    #[test]
    fn shorter_and_longer_are_normal() {
        let mut b = vec![0u8; 200];
        b[12..16].copy_from_slice(&0x50a3_854cu32.to_ne_bytes());
        b[72..80].copy_from_slice(&1000u64.to_ne_bytes());
        let of = |name: &str, b: &[u8]| MPTCP.fields.iter().find(|f| f.name == name).unwrap().of(b);
        assert_eq!((of("token", &b), of("bytes_acked", &b)), (Some(0x50a3_854c), Some(1000)));
        // As Linux 5.16 has it.
        assert_eq!((of("token", &b[..48]), of("bytes_acked", &b[..48])), (Some(0x50a3_854c), None));
        assert_eq!(of("bytes_acked", &b[..79]), None, "cut in the middle");
    }
}
