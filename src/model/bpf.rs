//! Disassembler for classic BPF socket filters (`struct sock_filter`, `include/uapi/linux/filter.h`), in the notation
//! of `tcpdump -d`; Linux extensions as in the kernel's `bpf_asm`.

use super::bytes::read_u32;
use std::fmt;

/// One instruction (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Opcode: class, size, mode, operation and source bits.
    pub code: u16,
    /// Instructions to skip if the comparison is true.
    pub jt: u8,
    /// Instructions to skip if it is false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// Instructions of a program; a trailing partial one is ignored.
pub fn program(raw: &[u8]) -> impl ExactSizeIterator<Item = Instruction> + '_ {
    raw.chunks_exact(8).map(|b| Instruction {
        code: u16::from_ne_bytes([b[0], b[1]]),
        jt: b[2],
        jf: b[3],
        k: read_u32(b, 4).unwrap_or(0),
    })
}

/// Linux extensions: data outside the packet, from `SKF_AD_OFF` in steps of four (`SKF_AD_*`).
const EXTENSIONS: [&str; 16] = [
    "proto",
    "type",
    "ifidx",
    "nla",
    "nlan",
    "mark",
    "queue",
    "hatype",
    "rxhash",
    "cpu",
    "alu_xor_x",
    "vlan_tci",
    "vlan_avail",
    "poff",
    "rand",
    "vlan_tpid",
];

/// `SKF_AD_OFF` as an unsigned operand.
const SKF_AD_OFF: u32 = 0xffff_f000;

/// `BPF_X`: the operand is the index register, not `k`.
const BPF_X: u16 = 0x08;

impl Instruction {
    /// Operand of a load, by addressing mode.
    fn load_operand(self) -> Option<String> {
        let k = self.k;
        Some(match self.code & 0xe0 {
            0x00 => format!("#{k:#x}"),
            0x20 => match k.checked_sub(SKF_AD_OFF).map(|n| EXTENSIONS.get(n as usize / 4)) {
                Some(Some(name)) if k.is_multiple_of(4) => format!("#{name}"),
                _ => format!("[{k}]"),
            },
            0x40 => format!("[x + {k}]"),
            0x60 => format!("M[{k}]"),
            0x80 => "#len".to_owned(),
            0xa0 => format!("4*([{k}]&0xf)"),
            _ => return None,
        })
    }

    /// Assembly text of the instruction at this index; `None` for an invalid opcode.
    fn assembly(self, index: usize) -> Option<String> {
        let Self { code, jt, jf, k } = self;
        let size = ["", "h", "b", ""][usize::from(code >> 3 & 3)];
        Some(match code & 0x07 {
            // Classic BPF has no 8-byte load.
            0x00 | 0x01 if code & 0x18 == 0x18 => return None,
            0x00 => format!("ld{size} {}", self.load_operand()?),
            0x01 => format!("ldx{size} {}", self.load_operand()?),
            0x02 => format!("st M[{k}]"),
            0x03 => format!("stx M[{k}]"),
            0x05 => {
                let target = |n: u32| index as u64 + 1 + u64::from(n);
                let name = match code & 0xf0 {
                    0x00 => return Some(format!("ja {}", target(k))),
                    0x10 => "jeq",
                    0x20 => "jgt",
                    0x30 => "jge",
                    0x40 => "jset",
                    _ => return None,
                };
                let operand = if code & BPF_X == 0 { format!("#{k:#x}") } else { "x".to_owned() };
                format!("{name} {operand} jt {} jf {}", target(u32::from(jt)), target(u32::from(jf)))
            }
            0x06 if code & 0x18 == 0x10 => "ret a".to_owned(),
            0x06 => format!("ret #{k}"),
            0x07 if code == 0x87 => "txa".to_owned(),
            0x07 if code == 0x07 => "tax".to_owned(),
            _ => return self.arithmetic(),
        })
    }

    /// Assembly text of class `BPF_ALU`; `None` for any other class.
    fn arithmetic(self) -> Option<String> {
        const NAMES: [&str; 11] =
            ["add", "sub", "mul", "div", "or", "and", "lsh", "rsh", "neg", "mod", "xor"];
        if self.code & 0x07 != 0x04 {
            return None;
        }
        let name = NAMES.get(usize::from(self.code >> 4))?;
        Some(match *name {
            "neg" => "neg".to_owned(),
            name if self.code & BPF_X != 0 => format!("{name} x"),
            name @ ("or" | "and" | "xor") => format!("{name} #{:#x}", self.k),
            name => format!("{name} #{}", self.k),
        })
    }

    /// Assembly text: `jeq #0x800 jt 2 jf 5`, with jump targets as instruction indexes. Invalid opcodes print as
    /// numbers.
    pub fn text(self, index: usize) -> String {
        self.assembly(index).unwrap_or_else(|| format!("unknown {self}"))
    }
}

impl fmt::Display for Instruction {
    /// Four numbers, as `ss -b` prints them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x} {} {} {}", self.code, self.jt, self.jf, self.k)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(all: &[(u16, u8, u8, u32)]) -> Vec<u8> {
        let encode = |(code, jt, jf, k): &(u16, u8, u8, u32)| {
            let mut b = code.to_ne_bytes().to_vec();
            b.extend([*jt, *jf]);
            b.extend(k.to_ne_bytes());
            b
        };
        all.iter().flat_map(encode).collect()
    }

    fn disassemble(all: &[(u16, u8, u8, u32)]) -> Vec<String> {
        program(&raw(all)).enumerate().map(|(i, insn)| insn.text(i)).collect()
    }

    #[test]
    fn port_filter_disassembles_like_tcpdump() {
        // IPv4 half of `tcpdump -d 'tcp dst port 443'` on Ethernet.
        let all = [
            (0x28, 0, 0, 12),
            (0x15, 0, 8, 0x800),
            (0x30, 0, 0, 23),
            (0x15, 0, 6, 6),
            (0x28, 0, 0, 20),
            (0x45, 4, 0, 0x1fff),
            (0xb1, 0, 0, 14),
            (0x48, 0, 0, 16),
            (0x15, 0, 1, 443),
            (0x06, 0, 0, 262_144),
            (0x06, 0, 0, 0),
        ];
        let want = [
            "ldh [12]",
            "jeq #0x800 jt 2 jf 10",
            "ldb [23]",
            "jeq #0x6 jt 4 jf 10",
            "ldh [20]",
            "jset #0x1fff jt 10 jf 6",
            "ldxb 4*([14]&0xf)",
            "ldh [x + 16]",
            "jeq #0x1bb jt 9 jf 10",
            "ret #262144",
            "ret #0",
        ];
        assert_eq!(disassemble(&all), want);
        let second = program(&raw(&all)).nth(1).map(|i| i.to_string());
        assert_eq!(second.as_deref(), Some("0x15 0 8 2048"), "as ss prints it");
    }

    #[test]
    fn every_class_disassembles() {
        for (insn, want) in [
            ((0x00, 0, 0, 7), "ld #0x7"),
            ((0x01, 0, 0, 7), "ldx #0x7"),
            ((0x20, 0, 0, 0xffff_f008), "ld #ifidx"),
            ((0x20, 0, 0, 0xffff_f03c), "ld #vlan_tpid"),
            ((0x20, 0, 0, 0xffff_f040), "ld [4294963264]"),
            ((0x60, 0, 0, 3), "ld M[3]"),
            ((0x61, 0, 0, 3), "ldx M[3]"),
            ((0x80, 0, 0, 0), "ld #len"),
            ((0x02, 0, 0, 1), "st M[1]"),
            ((0x03, 0, 0, 1), "stx M[1]"),
            ((0x04, 0, 0, 9), "add #9"),
            ((0x0c, 0, 0, 0), "add x"),
            ((0x1c, 0, 0, 0), "sub x"),
            ((0x54, 0, 0, 0xf0), "and #0xf0"),
            ((0x74, 0, 0, 4), "rsh #4"),
            ((0x84, 0, 0, 0), "neg"),
            ((0xa4, 0, 0, 1), "xor #0x1"),
            ((0x05, 0, 0, 3), "ja 4"),
            ((0x1d, 1, 0, 0), "jeq x jt 2 jf 1"),
            ((0x25, 0, 2, 5), "jgt #0x5 jt 1 jf 3"),
            ((0x35, 0, 2, 5), "jge #0x5 jt 1 jf 3"),
            ((0x16, 0, 0, 0), "ret a"),
            ((0x07, 0, 0, 0), "tax"),
            ((0x87, 0, 0, 0), "txa"),
            ((0xffff, 1, 2, 3), "unknown 0xffff 1 2 3"),
        ] {
            assert_eq!(disassemble(&[insn]), [want], "{insn:?}");
        }
    }

    #[test]
    fn partial_instruction_is_ignored() {
        let b = raw(&[(0x06, 0, 0, 1), (0x06, 0, 0, 2)]);
        assert_eq!(program(&b[..15]).len(), 1);
        assert_eq!(program(&[]).len(), 0);
        for code in 0..=u16::MAX {
            let _ = Instruction { code, jt: 255, jf: 255, k: u32::MAX }.text(usize::from(u16::MAX));
        }
    }
}
