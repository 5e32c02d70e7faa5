//! Pushdown: bounds on a filter that reading sockets can apply.
//!
//! Each subtree has two bounds, one for the rows that match and one for those that do not. Both are supersets, so `not` swaps
//! them, `and` intersects and `or` joins.

use super::ast::{Expr, Field, Op, Operand, Term, Test};
use super::eval::{Ends, ends, ranges};
use super::operand;
use crate::format::{Kind, Role, Value};
use crate::model::{Addr, Family, Prefilter, Proto, ProtoSet, Side, StateSet};

/// Maximum size of a kernel condition; larger ones are evaluated only here.
const MAX_PARTS: usize = 400;

/// Part of a filter that reading sockets can apply: always a superset of the rows that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushdown {
    /// States that can match.
    pub states: StateSet,
    /// Protocols that can match.
    pub protos: ProtoSet,
    /// Condition for the kernel, on sockets of the IP families. A part that cannot be compiled (an unknown interface, marks
    /// without the privilege to see them) counts as true, also within a `Not`.
    pub prefilter: Option<Prefilter>,
}

/// No bounds.
const ALL: Pushdown = Pushdown { states: StateSet::ALL, protos: ProtoSet::ALL, prefilter: None };

/// The bounds of a tree over sockets.
pub(crate) fn bounds(e: &Expr) -> Pushdown {
    let mut out = rows(e, true);
    if out.prefilter.as_ref().is_some_and(|p| parts(p) > MAX_PARTS) {
        out.prefilter = None;
    }
    out
}

fn parts(p: &Prefilter) -> usize {
    match p {
        Prefilter::And(all) | Prefilter::Or(all) => 1 + all.iter().map(parts).sum::<usize>(),
        Prefilter::Not(p) => 1 + parts(p),
        _ => 1,
    }
}

/// Bound for the rows whose result is `yes`.
fn rows(e: &Expr, yes: bool) -> Pushdown {
    match (e, yes) {
        (Expr::And(all), true) | (Expr::Or(all), false) => {
            all.iter().map(|e| rows(e, yes)).reduce(meet).unwrap_or(ALL)
        }
        (Expr::And(all), false) | (Expr::Or(all), true) => {
            all.iter().map(|e| rows(e, yes)).reduce(join).unwrap_or(ALL)
        }
        (Expr::Not(e), yes) => rows(e, !yes),
        // The kernel tests one of its two conditions (see `eval::ready`).
        (Expr::AutoBound, true) => {
            Pushdown { protos: ip_protos(), prefilter: Some(Prefilter::AutoBound), ..ALL }
        }
        (Expr::AutoBound, false) | (Expr::Word(_), _) => ALL,
        (Expr::Term(t), yes) => term(t, yes),
    }
}

fn meet(a: Pushdown, b: Pushdown) -> Pushdown {
    let prefilter = match (a.prefilter, b.prefilter) {
        (Some(Prefilter::And(mut x)), Some(y)) => {
            x.push(y);
            Some(Prefilter::And(x))
        }
        (Some(x), Some(y)) => Some(Prefilter::And(vec![x, y])),
        (x, y) => x.or(y),
    };
    Pushdown { states: a.states & b.states, protos: a.protos & b.protos, prefilter }
}

fn join(a: Pushdown, b: Pushdown) -> Pushdown {
    let prefilter = match (a.prefilter, b.prefilter) {
        (Some(Prefilter::Or(mut x)), Some(y)) => {
            x.push(y);
            Some(Prefilter::Or(x))
        }
        (Some(x), Some(y)) => Some(Prefilter::Or(vec![x, y])),
        _ => None,
    };
    Pushdown { states: a.states | b.states, protos: a.protos | b.protos, prefilter }
}

fn ip_protos() -> ProtoSet {
    Proto::ALL.iter().filter(|(p, _)| p.is_inet()).fold(ProtoSet::empty(), |s, (p, _)| s.with(*p))
}

fn term(t: &Term, yes: bool) -> Pushdown {
    let differs = matches!(t.test, Test::List(Op::Differs, _) | Test::Regex(true, _));
    let yes = yes != differs;
    let role = match t.field {
        Field::Column(c) => c.role,
        _ => None,
    };
    match (role, &t.test) {
        (Some(Role::State), Test::List(_, operands)) => {
            let set = operand::state_set(operands);
            Pushdown { states: if yes { set } else { !set }, ..ALL }
        }
        (Some(Role::Proto), Test::List(_, operands)) => {
            let has = |n: &str| operands.iter().any(|o| matches_word(o, n));
            let set =
                Proto::ALL.iter().filter(|(_, n)| has(n)).fold(ProtoSet::empty(), |s, (p, _)| s.with(*p));
            Pushdown { protos: if yes { set } else { !set }, ..ALL }
        }
        (Some(Role::Family), Test::List(_, operands)) => family(operands, yes),
        (Some(Role::Iface), Test::List(_, operands)) => {
            let names: Option<Vec<Prefilter>> = operands
                .iter()
                .map(|o| match o {
                    Operand::Text(s) => Some(Prefilter::Iface(s.clone())),
                    _ => None,
                })
                .collect();
            // An interface name applies only to sockets bound to an interface; one whose interface has no name is
            // shown under another, so the negation is not pushed down.
            match names {
                Some(names) if yes => Pushdown { prefilter: Some(any(names)), ..ALL },
                _ => ALL,
            }
        }
        // Only an exact path, not a substring.
        (Some(Role::Cgroup), Test::List(Op::Is, operands)) if yes => {
            // Protocols without a cgroup of their own show that of their process, which the kernel does not test.
            let paths: Option<Vec<Prefilter>> = operands
                .iter()
                .map(|o| match o {
                    Operand::Text(s) if s.starts_with('/') => Some(Prefilter::Cgroup(s.clone())),
                    _ => None,
                })
                .collect();
            Pushdown { prefilter: paths.map(any), ..ALL }
        }
        (Some(Role::Mark), Test::List(_, operands)) if yes => {
            let marks: Option<Vec<Prefilter>> = operands.iter().map(mark).collect();
            marks.map_or(ALL, |marks| Pushdown { protos: ip_protos(), prefilter: Some(any(marks)), ..ALL })
        }
        _ => {
            if let Some(which) = ends(t.field, Kind::Port) {
                return ports(which, &t.test, yes);
            }
            if let (Some(which), Test::List(_, operands)) = (ends(t.field, Kind::Endpoint), &t.test) {
                return hosts(which, operands, yes);
            }
            ALL
        }
    }
}

/// True if an operand of an enumerated column matches this word.
fn matches_word(o: &Operand, word: &str) -> bool {
    match o {
        Operand::Text(s) => s.eq_ignore_ascii_case(word),
        Operand::Glob(g) => super::text_match::glob(g, word),
        _ => false,
    }
}

fn family(operands: &[Operand], yes: bool) -> Pushdown {
    let mut protos = ProtoSet::empty();
    for (f, name) in Family::ALL {
        if operands.iter().any(|o| matches_word(o, name)) != yes {
            continue;
        }
        protos |= match f {
            Family::Inet | Family::Inet6 => ip_protos(),
            // In the other families the family is the protocol.
            _ => Proto::parse(name).map_or(ProtoSet::ALL, |p| ProtoSet::empty().with(p)),
        };
    }
    Pushdown { protos, ..ALL }
}

fn any(mut parts: Vec<Prefilter>) -> Prefilter {
    if parts.len() == 1
        && let Some(one) = parts.pop()
    {
        one
    } else {
        Prefilter::Or(parts)
    }
}

fn mark(o: &Operand) -> Option<Prefilter> {
    match o {
        Operand::Number(n) => {
            let Value::Uint(value) = Value::Uint(n.f64() as u64) else { return None };
            Some(Prefilter::Mark { value: u32::try_from(value).ok()?, mask: u32::MAX })
        }
        Operand::Mask(v, m) => Some(Prefilter::Mark { value: u32::try_from(*v).ok()?, mask: *m as u32 }),
        _ => None,
    }
}

fn sides(which: Ends) -> &'static [Side] {
    match which {
        Ends::Local => &[Side::Local],
        Ends::Remote => &[Side::Remote],
        Ends::Either => &[Side::Local, Side::Remote],
    }
}

fn ports(which: Ends, test: &Test, yes: bool) -> Pushdown {
    let Some(ranges) = ranges(test) else { return ALL };
    let mut parts = Vec::new();
    for (low, high) in ranges {
        parts.extend(sides(which).iter().map(|side| Prefilter::Ports { side: *side, low, high }));
    }
    ip_only(any(parts), yes)
}

/// A condition that only IP sockets can match, or its negation.
fn ip_only(p: Prefilter, yes: bool) -> Pushdown {
    if yes {
        Pushdown { protos: ip_protos(), prefilter: Some(p), ..ALL }
    } else {
        Pushdown { prefilter: Some(Prefilter::Not(Box::new(p))), ..ALL }
    }
}

fn hosts(which: Ends, operands: &[Operand], yes: bool) -> Pushdown {
    let mut parts = Vec::new();
    for o in operands {
        let Operand::Host(addr, port, zone) = o else { return ALL };
        if addr.is_none() && port.is_none() {
            // Any endpoint of any family.
            return ALL;
        }
        // The kernel treats an IPv4-mapped address as IPv6, the evaluator as IPv4.
        if !yes && addr.is_some_and(|(net, len)| !net.is_v4() && len < 96 && covers_mapped(&net, len)) {
            return ALL;
        }
        // A network contains no missing address here, but the zeros that stand for one in the kernel.
        let has_zeros = |(net, len): &(Addr, u8)| {
            *len < super::ast::full(net)
                && [Addr::ANY4, Addr::ANY6].iter().any(|any| any.in_prefix(net, *len))
        };
        if !yes && addr.as_ref().is_some_and(has_zeros) {
            return ALL;
        }
        // An interface is known by its name where the condition is tested, by its name or index here; so the negation is not
        // pushed down, nor an index.
        if zone.is_some() && !yes {
            return ALL;
        }
        for side in sides(which) {
            let mut both = Vec::new();
            let name = zone.as_ref().filter(|z| z.parse::<u32>().is_err());
            both.extend(name.map(|z| Prefilter::Iface(z.clone())));
            if let Some((addr, len)) = addr {
                both.push(Prefilter::Prefix { side: *side, addr: *addr, len: *len });
            }
            if let Some((low, high)) = port {
                both.push(Prefilter::Ports { side: *side, low: *low, high: *high });
            }
            parts.push(if both.len() == 1 { both.remove(0) } else { Prefilter::And(both) });
        }
    }
    ip_only(any(parts), yes)
}

/// True if the first `len` bits are those of `::ffff:0:0`.
fn covers_mapped(net: &Addr, len: u8) -> bool {
    let (a, b) = (u128::from_be_bytes(*net.octets()), u128::from_be_bytes(*Addr::ANY4.octets()));
    len == 0 || (a ^ b) >> (128 - u32::from(len)) == 0
}

#[cfg(test)]
mod tests {
    use crate::filter::{Filter, Problem};
    use crate::model::{Endpoint, Family, Proto, State};
    use crate::table::SOCKETS;
    use crate::testing::{process, row, snapshot};

    /// Operands of every field that is pushed down, missing values included.
    const PUSHED_DOWN: &[&str] = &[
        "state:listen",
        "state!=listen",
        "proto:tcp",
        "proto:unix",
        "proto!=udp",
        "family:inet6",
        "family!=inet",
        "iface:eth0",
        "iface:none",
        "iface!=none",
        "dev 0",
        "cgroup=/",
        "cgroup=/system.slice/nginx.service",
        "cgroup:none",
        "cgroup!=none",
        "mark:1",
        "mark:0x1/0xff",
        "mark:none",
        "mark!=none",
        "mark:1,none",
        "sport = 80",
        "sport = 0",
        "sport != 80",
        "sport = *",
        "dport = *",
        "dport gt 100",
        "port:none",
        "lport:none",
        "rport:none",
        "rport!=none",
        "src 10.0.0.0/8",
        "dst 10.0.0.0/8",
        "dst *",
        "remote:none",
        "remote!=none",
        "remote:0.0.0.0/8",
        "remote:0.0.0.0/0",
        "remote:::/0",
        "local:none",
        "local!=none",
        "remote:none remote:0.0.0.0/8",
        "proto:unix mark:none",
        "autobound",
    ];

    #[test]
    fn bounds_of_every_field_keep_every_row_that_matches() {
        let mut rows = Vec::new();
        for (proto, _) in Proto::ALL {
            for (local, remote) in
                [("10.0.0.4:80", "*"), ("10.0.0.4:80", "10.0.0.9:443"), ("[::1]:80", "[::1]:9")]
            {
                for state in [State::Listen, State::Established, State::Unconn, State::TimeWait] {
                    let mut r = row(proto, state, local, remote, &[0]);
                    if !proto.is_inet() {
                        // Names instead of addresses.
                        (r.socket.local, r.socket.remote) = (Endpoint::default(), Endpoint::default());
                        r.socket.family = Family::ALL
                            .iter()
                            .find(|(_, n)| *n == proto.name())
                            .map_or(Family::Unix, |(f, _)| *f);
                    }
                    rows.push(r);
                }
            }
        }
        let mut bound = row(Proto::Udp, State::Unconn, "0.0.0.0:0", "*", &[]);
        bound.socket.iface = 2;
        rows.push(bound);
        let snap = snapshot(rows, vec![process(812, "nginx", 33, 10, 1024)], &[]);
        for text in PUSHED_DOWN {
            for text in [(*text).to_owned(), format!("not ({text})")] {
                let filter = Filter::parse(&text, &SOCKETS).unwrap_or_else(|e| panic!("{text}: {e}"));
                let push = filter.pushdown();
                for r in (0..snap.live).filter(|r| filter.matches(&snap, *r)) {
                    let s = snap.socket(r);
                    assert!(
                        push.protos.has(s.proto) && push.states.has(s.state),
                        "{text} loses {:?} {:?}",
                        s.proto,
                        s.state
                    );
                }
            }
        }
    }

    #[test]
    fn ports_are_c_numbers() {
        let rows = || vec![row(Proto::Tcp, State::Listen, "10.0.0.4:22", "*", &[])];
        let snap = snapshot(rows(), vec![], &[]);
        let matches =
            |text: &str| Filter::parse(text, &SOCKETS).map(|f| f.matches(&snap, 0)).map_err(|e| e.kind);
        for text in [
            "sport = 22",
            "sport = 0x16",
            "sport = :0X16",
            "sport = 026",
            "port:0x10-0x20",
            "src 10.0.0.4:026",
        ] {
            assert_eq!(matches(text), Ok(true), "{text}");
        }
        for text in ["sport = *", "sport = :*", "dport = *", "dev 0"] {
            assert_eq!(matches(text), Ok(true), "{text}");
        }
        for text in ["sport != *", "dev != 0", "remote:0.0.0.0/8", "sport = 0x17"] {
            assert_eq!(matches(text), Ok(false), "{text}");
        }
        assert_eq!((matches("remote:none"), matches("dst 0.0.0.0/0")), (Ok(true), Ok(true)));
        for text in ["sport = 08", "sport = 0x", "sport = 0x10000", "sport = 22x", "sport = 0200000"] {
            assert_eq!(matches(text), Err(Problem::BadValue), "{text}");
        }
    }
}
