//! The classic BPF program of the packet socket (`bpf(4)`, `Documentation/networking/filter.rst`): UDP and TCP of port 53, once.
//!
//! The socket is cooked (`SOCK_DGRAM`): offset 0 is the IP header. What the link layer knows is read at the ancillary offsets.
//! IPv6 extension headers are not followed, and of fragments only the first has the ports.

/// `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    pub(super) code: u16,
    /// Instructions to skip if the test holds, and if not.
    pub(super) then: u8,
    pub(super) or: u8,
    pub(super) value: u32,
}

const fn step(code: u16, value: u32) -> Instruction {
    Instruction { code, then: 0, or: 0, value }
}

const fn test(code: u16, value: u32, then: u8, or: u8) -> Instruction {
    Instruction { code, then, or, value }
}

/// `BPF_LD` with `BPF_W`, `BPF_H`, `BPF_B` and `BPF_ABS`; `BPF_H` and `BPF_IND`; `BPF_LDX | BPF_B | BPF_MSH`.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_AT_X: u16 = 0x48;
const LOAD_X_HEADER_LENGTH: u16 = 0xb1;
/// `BPF_JMP | BPF_JEQ | BPF_K`, `BPF_JSET`; `BPF_RET | BPF_K`.
const JUMP_EQUAL: u16 = 0x15;
const JUMP_SET: u16 = 0x45;
const RETURN: u16 = 0x06;
/// `SKF_AD_OFF` with `SKF_AD_PROTOCOL`, `_PKTTYPE`, `_HATYPE` (`linux/filter.h`).
const PROTOCOL: u32 = 0xffff_f000;
const PACKET_TYPE: u32 = 0xffff_f000 + 4;
const LINK_TYPE: u32 = 0xffff_f000 + 28;
/// `PACKET_OTHERHOST`, `PACKET_OUTGOING` (`linux/if_packet.h`).
const OTHER_HOST: u32 = 3;
const OUTGOING: u32 = 4;
/// `ARPHRD_LOOPBACK` (`linux/if_arp.h`).
const LOOPBACK: u32 = 772;
/// `ETH_P_IP`, `ETH_P_IPV6` (`linux/if_ether.h`).
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
/// `IPPROTO_TCP`, `IPPROTO_UDP`.
const TCP: u32 = 6;
const UDP: u32 = 17;
/// Port of DNS.
const PORT: u32 = super::PORT as u32;
/// Bytes kept of a packet.
const KEPT: u32 = super::PACKET_MAX as u32;

/// The program: 25 drops a packet, 26 keeps it.
pub(super) static PROGRAM: [Instruction; 27] = [
    step(LOAD_WORD, PACKET_TYPE),
    test(JUMP_EQUAL, OTHER_HOST, 23, 0),
    // The loopback device shows each packet twice: as it leaves and as it arrives.
    test(JUMP_EQUAL, OUTGOING, 2, 0),
    step(LOAD_WORD, LINK_TYPE),
    test(JUMP_EQUAL, LOOPBACK, 20, 0),
    step(LOAD_WORD, PROTOCOL),
    test(JUMP_EQUAL, IPV4, 0, 10),
    step(LOAD_BYTE, 9),
    test(JUMP_EQUAL, UDP, 1, 0),
    test(JUMP_EQUAL, TCP, 0, 15),
    // Offset of the fragment.
    step(LOAD_HALF, 6),
    test(JUMP_SET, 0x1fff, 13, 0),
    step(LOAD_X_HEADER_LENGTH, 0),
    step(LOAD_HALF_AT_X, 0),
    test(JUMP_EQUAL, PORT, 11, 0),
    step(LOAD_HALF_AT_X, 2),
    test(JUMP_EQUAL, PORT, 9, 8),
    test(JUMP_EQUAL, IPV6, 0, 7),
    step(LOAD_BYTE, 6),
    test(JUMP_EQUAL, UDP, 1, 0),
    test(JUMP_EQUAL, TCP, 0, 4),
    step(LOAD_HALF, 40),
    test(JUMP_EQUAL, PORT, 3, 0),
    step(LOAD_HALF, 42),
    test(JUMP_EQUAL, PORT, 1, 0),
    step(RETURN, 0),
    step(RETURN, KEPT),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Metadata of a packet, from the link layer.
    #[derive(Clone, Copy)]
    struct Link {
        protocol: u32,
        packet_type: u32,
        device: u32,
    }

    /// Runs the program as the kernel does: a load outside of the packet drops it.
    fn run(packet: &[u8], link: Link) -> u32 {
        let (mut a, mut x, mut pc) = (0_u32, 0_u32, 0_usize);
        let at = |from: u32, n: usize| {
            let bytes = packet.get(from as usize..from as usize + n)?;
            Some(bytes.iter().fold(0, |v, b| v << 8 | u32::from(*b)))
        };
        loop {
            let i = PROGRAM[pc];
            pc += 1;
            let loaded = match (i.code, i.value) {
                (LOAD_WORD, PROTOCOL) => Some(link.protocol),
                (LOAD_WORD, PACKET_TYPE) => Some(link.packet_type),
                (LOAD_WORD, LINK_TYPE) => Some(link.device),
                (LOAD_HALF, k) => at(k, 2),
                (LOAD_BYTE, k) => at(k, 1),
                (LOAD_HALF_AT_X, k) => at(x + k, 2),
                (LOAD_X_HEADER_LENGTH, k) => {
                    let Some(n) = at(k, 1) else { return 0 };
                    x = 4 * (n & 0xf);
                    continue;
                }
                (JUMP_EQUAL | JUMP_SET, k) => {
                    let holds = if i.code == JUMP_SET { a & k != 0 } else { a == k };
                    pc += usize::from(if holds { i.then } else { i.or });
                    continue;
                }
                (RETURN, k) => return k,
                other => panic!("{other:?}"),
            };
            let Some(value) = loaded else { return 0 };
            a = value;
        }
    }

    fn v4(protocol: u8, ports: (u16, u16), options: usize) -> Vec<u8> {
        let mut out = vec![0; 20 + options];
        out[0] = 0x40 | ((20 + options) / 4) as u8;
        out[9] = protocol;
        out.extend_from_slice(&ports.0.to_be_bytes());
        out.extend_from_slice(&ports.1.to_be_bytes());
        out.resize(out.len() + 16, 0);
        out
    }

    fn v6(next: u8, ports: (u16, u16)) -> Vec<u8> {
        let mut out = vec![0x60; 40];
        out[6] = next;
        out.extend_from_slice(&ports.0.to_be_bytes());
        out.extend_from_slice(&ports.1.to_be_bytes());
        out.resize(out.len() + 16, 0);
        out
    }

    const OUT4: Link = Link { protocol: IPV4, packet_type: OUTGOING, device: 1 };
    const OUT6: Link = Link { protocol: IPV6, ..OUT4 };

    #[test]
    fn packets_of_port_53_are_kept_and_no_others() {
        for (protocol, want) in [(17, KEPT), (6, KEPT), (1, 0), (132, 0)] {
            for options in [0, 4, 40] {
                assert_eq!(run(&v4(protocol, (40000, 53), options), OUT4), want);
                assert_eq!(run(&v4(protocol, (53, 40000), options), OUT4), want);
                assert_eq!(run(&v4(protocol, (40000, 5353), options), OUT4), 0);
            }
            assert_eq!(run(&v6(protocol, (40000, 53)), OUT6), want);
            assert_eq!(run(&v6(protocol, (53, 40000)), OUT6), want);
            assert_eq!(run(&v6(protocol, (54, 40000)), OUT6), 0);
        }
        // ARP.
        assert_eq!(run(&v4(17, (40000, 53), 0), Link { protocol: 0x0806, ..OUT4 }), 0);
        assert_eq!(run(&v4(17, (40000, 53), 0)[..21], OUT4), 0);
    }

    #[test]
    fn later_fragments_are_dropped() {
        let mut packet = v4(17, (40000, 53), 0);
        packet[6] = 0x20;
        assert_eq!(run(&packet, OUT4), KEPT);
        packet[7] = 1;
        assert_eq!(run(&packet, OUT4), 0);
    }

    #[test]
    fn loopback_shows_a_packet_once_and_others_both_ways() {
        let packet = v4(17, (40000, 53), 0);
        let host = |device, packet_type| run(&packet, Link { packet_type, device, ..OUT4 });
        assert_eq!((host(772, OUTGOING), host(772, 0)), (KEPT, 0));
        assert_eq!((host(1, OUTGOING), host(1, 0), host(1, OTHER_HOST)), (KEPT, KEPT, 0));
    }
}
