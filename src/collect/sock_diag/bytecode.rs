//! Compiles a [`Prefilter`] to the bytecode that the kernel runs on each socket of a dump (`INET_DIAG_REQ_BYTECODE`,
//! `inet_diag_bc_run` in `net/ipv4/inet_diag.c`).
//!
//! A block of instructions succeeds by reaching its end and fails by jumping four bytes past it. Two consecutive blocks are
//! "and" once the failure jumps of the first are extended, and "or" with one jump between them.
//!
//! The bytecode accepts a superset of the prefilter: a condition that the kernel cannot test, or tests differently from the
//! filter language (a missing value), is true, and false below a "not".

use crate::model::{Addr, Prefilter, Side};
use std::collections::BTreeMap;

/// Operation codes, `INET_DIAG_BC_*`.
const JMP: u8 = 1;
const S_GE: u8 = 2;
const S_LE: u8 = 3;
const D_GE: u8 = 4;
const D_LE: u8 = 5;
const AUTO: u8 = 6;
const S_COND: u8 = 7;
const D_COND: u8 = 8;
const DEV_COND: u8 = 9;
const MARK_COND: u8 = 10;
const CGROUP_COND: u8 = 13;

/// Longest bytecode, bytes: jumps are sixteen bits, and the kernel verifies it in quadratic time.
const MAX_LEN: usize = 16 * 1024;

/// Resolves names of the host.
pub(crate) trait Names {
    /// The index of an interface.
    fn iface(&self, name: &str) -> Option<u32>;
    /// The id of a cgroup: the inode of its directory.
    fn cgroup(&self, path: &str) -> Option<u64>;
}

/// Accepts sockets whose local port the kernel chose.
pub(crate) fn auto_port() -> Vec<u8> {
    op(AUTO, &[])
}

/// Names of this host: interfaces as read, cgroups from the mounted version 2 hierarchy.
pub(crate) struct HostNames<'a>(pub(super) &'a BTreeMap<u32, String>);

impl Names for HostNames<'_> {
    fn iface(&self, name: &str) -> Option<u32> {
        self.0.iter().find(|(_, n)| *n == name).map(|(i, _)| *i)
    }

    fn cgroup(&self, path: &str) -> Option<u64> {
        crate::collect::cgroups::id(path)
    }
}

/// The bytecode of a prefilter; `None` if it would accept everything or is too long.
pub(crate) fn compile(p: &Prefilter, names: &dyn Names) -> Option<Vec<u8>> {
    match superset(p, names) {
        Block::Code(code) if code.len() <= MAX_LEN => Some(code),
        Block::Code(_) | Block::True => None,
        Block::False => Some(never()),
    }
}

/// A block of instructions, or a constant.
enum Block {
    True,
    False,
    Code(Vec<u8>),
}

/// Accepts a superset of the prefilter.
fn superset(p: &Prefilter, names: &dyn Names) -> Block {
    match p {
        Prefilter::And(all) => all.iter().fold(Block::True, |a, x| and(a, superset(x, names))),
        Prefilter::Or(any) => any.iter().fold(Block::False, |a, x| or(a, superset(x, names))),
        Prefilter::Not(x) => not(subset(x, names)),
        Prefilter::Mark { value, mask } => {
            Block::Code(op(MARK_COND, &[value.to_ne_bytes(), mask.to_ne_bytes()].concat()))
        }
        Prefilter::Cgroup(path) => {
            names.cgroup(path).map_or(Block::True, |id| Block::Code(op(CGROUP_COND, &id.to_ne_bytes())))
        }
        other => exact(other, names).unwrap_or(Block::True),
    }
}

/// Accepts a subset of the prefilter.
fn subset(p: &Prefilter, names: &dyn Names) -> Block {
    match p {
        Prefilter::And(all) => all.iter().fold(Block::True, |a, x| and(a, subset(x, names))),
        Prefilter::Or(any) => any.iter().fold(Block::False, |a, x| or(a, subset(x, names))),
        Prefilter::Not(x) => not(superset(x, names)),
        // Without a peer, the remote port is 0 and the address a wildcard in the kernel, but missing in the filter language;
        // in TIME_WAIT, mark and cgroup exist in the kernel but are not reported.
        Prefilter::Ports { low: 0, .. } | Prefilter::Mark { .. } | Prefilter::Cgroup(_) => Block::False,
        Prefilter::Prefix { addr, len, .. }
            if Addr::ANY4.in_prefix(addr, *len)
                || Addr::ANY6.in_prefix(addr, *len)
                || covers_mapped(addr, *len) =>
        {
            Block::False
        }
        other => exact(other, names).unwrap_or(Block::False),
    }
}

/// True if an IPv6 prefix contains IPv4-mapped addresses, which are IPv4 in the filter language and IPv6 in the kernel.
fn covers_mapped(addr: &Addr, len: u8) -> bool {
    let mapped = Addr::ANY4.octets();
    let bit = |b: &[u8; 16], i: u8| b[usize::from(i) / 8] >> (7 - i % 8) & 1;
    !addr.is_v4() && (0..len.min(96)).all(|i| bit(mapped, i) == bit(addr.octets(), i))
}

/// The block of a condition that the kernel and the filter language evaluate alike.
fn exact(p: &Prefilter, names: &dyn Names) -> Option<Block> {
    match p {
        Prefilter::AutoBound => Some(Block::Code(auto_port())),
        Prefilter::Ports { side, low, high } => {
            let (ge, le) = match side {
                Side::Local => (S_GE, S_LE),
                Side::Remote => (D_GE, D_LE),
            };
            let port = |code, port: u16| Block::Code(op(code, &[[0, 0], port.to_ne_bytes()].concat()));
            let from = if *low == 0 { Block::True } else { port(ge, *low) };
            let to = if *high == u16::MAX { Block::True } else { port(le, *high) };
            Some(and(from, to))
        }
        Prefilter::Prefix { side, addr, len } => {
            let code = match side {
                Side::Local => S_COND,
                Side::Remote => D_COND,
            };
            // struct inet_diag_hostcond: family, prefix length, port (-1: any), address.
            let (family, len, bytes) = if addr.is_v4() {
                (super::tables::AF_INET, (*len).min(32), &addr.octets()[12..])
            } else {
                (super::tables::AF_INET6, (*len).min(128), &addr.octets()[..])
            };
            let mut arg = vec![family, len, 0, 0];
            arg.extend((-1i32).to_ne_bytes());
            arg.extend(bytes);
            Some(Block::Code(op(code, &arg)))
        }
        Prefilter::Iface(name) => Some(Block::Code(op(DEV_COND, &names.iface(name)?.to_ne_bytes()))),
        _ => None,
    }
}

/// An instruction with its argument: continues with the next one if true, fails otherwise.
fn op(code: u8, arg: &[u8]) -> Vec<u8> {
    let len = 4 + arg.len();
    let mut out = vec![code, len as u8];
    out.extend((len as u16 + 4).to_ne_bytes());
    out.extend(arg);
    out
}

/// Always fails.
fn never() -> Vec<u8> {
    jump(8)
}

/// A `struct inet_diag_bc_op` that jumps `by` bytes from its own start.
fn jump(by: usize) -> Vec<u8> {
    let mut out = vec![JMP, 4];
    out.extend((by.min(usize::from(u16::MAX)) as u16).to_ne_bytes());
    out
}

fn and(a: Block, b: Block) -> Block {
    match (a, b) {
        (Block::False, _) | (_, Block::False) => Block::False,
        (Block::True, x) | (x, Block::True) => x,
        (Block::Code(mut a), Block::Code(b)) => {
            let end = a.len();
            let mut at = 0;
            while at < end {
                let no = usize::from(u16::from_ne_bytes([a[at + 2], a[at + 3]]));
                if at + no == end + 4 {
                    let longer = (no + b.len()).min(usize::from(u16::MAX)) as u16;
                    a[at + 2..at + 4].copy_from_slice(&longer.to_ne_bytes());
                }
                at += usize::from(a[at + 1]);
            }
            a.extend(b);
            Block::Code(a)
        }
    }
}

fn or(a: Block, b: Block) -> Block {
    match (a, b) {
        (Block::True, _) | (_, Block::True) => Block::True,
        (Block::False, x) | (x, Block::False) => x,
        (Block::Code(mut a), Block::Code(b)) => {
            a.extend(jump(4 + b.len()));
            a.extend(b);
            Block::Code(a)
        }
    }
}

fn not(a: Block) -> Block {
    match a {
        Block::True => Block::False,
        Block::False => Block::True,
        Block::Code(mut a) => {
            a.extend(jump(8));
            Block::Code(a)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_partition_puts_every_socket_in_one_half() {
        let halves = crate::collect::sock_diag::parallel_dump::port_partition(None)
            .map(|p| compile(&p, &TestNames).unwrap());
        let ports = [0, 1, 80, 32_767, 32_768, 46_883, 46_884, 60_999, 65_535];
        let mut count = [0; 2];
        for local in ports {
            for remote in ports {
                let end = |port| Endpoint::new(Addr::v4([10, 0, 0, 1]), port);
                let s = Sock { v6: false, local: end(local), remote: end(remote), iface: 0, auto: false };
                let [one, other] = [run(&halves[0], &s), run(&halves[1], &s)];
                assert!(one != other, "{local} {remote}");
                count[usize::from(other)] += 1;
            }
        }
        assert!(count[0] > 20 && count[1] > 20, "{count:?}");
    }
    use crate::model::Endpoint;
    use proptest::prelude::*;

    struct TestNames;
    impl Names for TestNames {
        fn iface(&self, name: &str) -> Option<u32> {
            (name == "lo").then_some(1)
        }
        fn cgroup(&self, _: &str) -> Option<u64> {
            None
        }
    }

    #[derive(Clone, Copy, Debug)]
    struct Sock {
        v6: bool,
        local: Endpoint,
        remote: Endpoint,
        iface: u32,
        auto: bool,
    }

    /// `inet_diag_bc_run`, with the checks of `inet_diag_bc_audit`.
    fn run(code: &[u8], s: &Sock) -> bool {
        let mut len = code.len() as i64;
        let mut at = 0usize;
        while len > 0 {
            let (op, yes, no) = (code[at], code[at + 1], u16::from_ne_bytes([code[at + 2], code[at + 3]]));
            assert!(yes >= 4 && yes % 4 == 0 && i64::from(yes) <= len + 4, "audit: yes");
            assert!(no >= 4 && no % 4 == 0 && i64::from(no) <= len + 4, "audit: no");
            let port = || u16::from_ne_bytes([code[at + 6], code[at + 7]]);
            let end = if matches!(op, S_GE | S_LE | S_COND) { s.local } else { s.remote };
            let ok = match op {
                JMP => false,
                AUTO => s.auto,
                S_GE | D_GE => end.port >= port(),
                S_LE | D_LE => end.port <= port(),
                DEV_COND => code[at + 4..at + 8] == s.iface.to_ne_bytes(),
                S_COND | D_COND => {
                    let (family, bits) = (code[at + 4], usize::from(code[at + 5]));
                    let want = &code[at + 12..at + usize::from(yes)];
                    let full = *end.addr.octets();
                    let have: &[u8] = match (family, s.v6) {
                        (2, false) => &full[12..],
                        (2, true) if end.addr.is_v4() => &full[12..],
                        (10, true) => &full,
                        _ => &[],
                    };
                    !have.is_empty() && (0..bits).all(|i| (have[i / 8] ^ want[i / 8]) >> (7 - i % 8) & 1 == 0)
                }
                _ => panic!("code {op}"),
            };
            let step = if ok { usize::from(yes) } else { usize::from(no) };
            len -= step as i64;
            at += step;
        }
        len == 0
    }

    /// The filter language: a missing peer matches nothing.
    fn eval(p: &Prefilter, s: &Sock) -> bool {
        let end = |side: &Side| match side {
            Side::Local => s.local,
            Side::Remote => s.remote,
        };
        match p {
            Prefilter::And(all) => all.iter().all(|x| eval(x, s)),
            Prefilter::Or(any) => any.iter().any(|x| eval(x, s)),
            Prefilter::Not(x) => !eval(x, s),
            Prefilter::Ports { side, low, high } => {
                let e = end(side);
                e.port != 0 && (*low..=*high).contains(&e.port)
            }
            Prefilter::Prefix { side, addr, len } => {
                let e = end(side);
                !(*side == Side::Remote && e.is_none()) && e.addr.in_prefix(addr, *len)
            }
            Prefilter::Iface(name) => name == "lo" && s.iface == 1,
            Prefilter::AutoBound => s.auto,
            _ => false,
        }
    }

    fn addrs() -> impl Strategy<Value = Addr> {
        prop::sample::select(vec![
            "10.0.0.1",
            "10.0.0.2",
            "127.0.0.1",
            "0.0.0.0",
            "::",
            "::1",
            "2001:db8::1",
            "::ffff:0:1",
        ])
        .prop_map(|s| s.parse().unwrap())
    }

    fn prefilters() -> impl Strategy<Value = Prefilter> {
        let side = || prop::sample::select(vec![Side::Local, Side::Remote]);
        let leaf = prop_oneof![
            (side(), 0u16..6, 0u16..6).prop_map(|(side, a, b)| Prefilter::Ports {
                side,
                low: a.min(b),
                high: a.max(b)
            }),
            (side(), 0u16..6).prop_map(|(side, low)| Prefilter::Ports { side, low, high: u16::MAX }),
            (side(), addrs(), prop::sample::select(vec![0u8, 8, 31, 32, 64, 96, 128]))
                .prop_map(|(side, addr, len)| Prefilter::Prefix { side, addr, len }),
            prop::sample::select(vec!["lo", "eth9"]).prop_map(|n| Prefilter::Iface(n.into())),
            Just(Prefilter::AutoBound),
            Just(Prefilter::Cgroup("x".into())),
        ];
        leaf.prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Prefilter::And),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Prefilter::Or),
                inner.prop_map(|x| Prefilter::Not(Box::new(x))),
            ]
        })
    }

    fn socks() -> impl Strategy<Value = Sock> {
        (any::<bool>(), addrs(), 0u16..7, addrs(), 0u16..7, 0u32..3, any::<bool>()).prop_map(
            |(v6, la, lp, ra, rp, iface, auto)| {
                let fit = |a: Addr| if v6 || a.is_v4() { a } else { Addr::ANY4 };
                Sock {
                    v6,
                    local: Endpoint::new(fit(la), lp),
                    remote: Endpoint::new(fit(ra), rp),
                    iface,
                    auto,
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn bytecode_accepts_every_wanted_socket(p in prefilters(), s in socks()) {
            if let Some(code) = compile(&p, &TestNames) {
                prop_assert!(run(&code, &s) || !eval(&p, &s), "{p:?} over {s:?}: {code:?}");
            }
        }
    }

    #[test]
    fn exact_conditions_accept_no_unwanted_socket() {
        let s = |lp, rp| Sock {
            v6: false,
            local: Endpoint::new(Addr::v4([10, 0, 0, 1]), lp),
            remote: Endpoint::new(Addr::v4([10, 9, 0, 1]), rp),
            iface: 0,
            auto: false,
        };
        let ports = |side, low, high| Prefilter::Ports { side, low, high };
        let p = Prefilter::And(vec![
            Prefilter::Or(vec![ports(Side::Local, 443, 443), ports(Side::Remote, 80, 90)]),
            Prefilter::Not(Box::new(Prefilter::Prefix {
                side: Side::Remote,
                addr: Addr::v4([10, 8, 0, 0]),
                len: 16,
            })),
        ]);
        let code = compile(&p, &TestNames).unwrap();
        for (lp, rp, want) in [(443, 1, true), (1, 85, true), (1, 91, false), (444, 79, false)] {
            assert_eq!(run(&code, &s(lp, rp)), want, "{lp} {rp}");
        }
        assert_eq!(compile(&Prefilter::And(vec![]), &TestNames), None);
        assert!(!run(&compile(&Prefilter::Or(vec![]), &TestNames).unwrap(), &s(1, 1)));
    }
}
