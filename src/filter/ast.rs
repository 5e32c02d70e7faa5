//! The expression tree of a filter, and its canonical text, which parses to the same tree.

use super::number::Number;
use crate::format::{Column, Kind};
use crate::model::text::is_hostile;
use crate::model::{Addr, State, StateSet};
use std::fmt::{self, Write};

/// A condition on one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// All of them; two or more, none of them an `And`.
    And(Vec<Self>),
    /// Any of them; two or more, none of them an `Or`.
    Or(Vec<Self>),
    /// Negation.
    Not(Box<Self>),
    /// A bare word: a substring in any of the table's word columns.
    Word(String),
    /// The kernel chose the local port.
    AutoBound,
    /// A field and a test.
    Term(Term),
}

/// A field and a test on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// The tested field.
    pub field: Field,
    /// The test.
    pub test: Test,
}

/// Field of a term.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field {
    /// A column.
    Column(&'static Column),
    /// Local or remote endpoint of a socket.
    EitherEnd,
    /// Local or remote port of a socket.
    EitherPort,
}

impl Field {
    /// Its name in canonical text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Column(c) => c.name,
            Self::EitherEnd => "addr",
            Self::EitherPort => "port",
        }
    }

    /// Kind of its values.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Column(c) => c.kind,
            Self::EitherEnd => Kind::Endpoint,
            Self::EitherPort => Kind::Port,
        }
    }
}

/// Operator of a list of operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `:`: equals one of them; free text contains one of them.
    Has,
    /// `=`: free text that equals one of them.
    Is,
    /// `!=`: equals none of them.
    Differs,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cmp {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

/// A test of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Against a list.
    List(Op, Vec<Operand>),
    /// Against a number.
    Compare(Cmp, Number),
    /// Against a regular expression; the flag negates.
    Regex(bool, String),
}

impl Test {
    /// True if it names this state, and not all states.
    pub fn names_state(&self, s: State) -> bool {
        let named = |o: &Operand| matches!(o, Operand::States(set) if set.has(s) && *set != StateSet::ALL);
        matches!(self, Self::List(Op::Has | Op::Is, list) if list.iter().any(named))
    }
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// `none`: the value is missing.
    Missing,
    /// A number.
    Number(Number),
    /// Inclusive range; open-ended without the second.
    Range(Number, Option<Number>),
    /// `(value & mask) == value`.
    Mask(u64, u64),
    /// An address with its prefix length, a port range, or both, and the interface (`%eth0`); neither is anything with an address.
    Host(Option<(Addr, u8)>, Option<(u16, u16)>, Option<String>),
    /// One of these states.
    States(StateSet),
    /// Yes or no.
    Bool(bool),
    /// Text; any case.
    Text(String),
    /// Text with `*`, `?` and `[…]`; any case.
    Glob(String),
}

/// Keywords; a bare word equal to one must be quoted.
pub(crate) const RESERVED: &[&str] = &[
    "and",
    "or",
    "not",
    "state",
    "exclude",
    "excl",
    "src",
    "dst",
    "sport",
    "dport",
    "dev",
    "fwmark",
    "cgroup",
    "autobound",
    "eq",
    "ne",
    "neq",
    "gt",
    "lt",
    "ge",
    "geq",
    "le",
    "leq",
    "none",
];

impl Expr {
    /// True if it contains `autobound`.
    pub fn has_autobound(&self) -> bool {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().any(Self::has_autobound),
            Self::Not(e) => e.has_autobound(),
            Self::AutoBound => true,
            Self::Word(_) | Self::Term(_) => false,
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(all) => joined(f, all, " and ", |e| matches!(e, Self::Or(_))),
            Self::Or(all) => joined(f, all, " or ", |_| false),
            Self::Not(e) => {
                f.write_str("not ")?;
                wrapped(f, e, matches!(**e, Self::And(_) | Self::Or(_)))
            }
            Self::Word(w) => f.write_str(&quoted(w, |s| !plain_word(s))),
            Self::AutoBound => f.write_str("autobound"),
            Self::Term(t) => fmt::Display::fmt(t, f),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, all: &[Expr], by: &str, wrap: fn(&Expr) -> bool) -> fmt::Result {
    for (i, e) in all.iter().enumerate() {
        if i > 0 {
            f.write_str(by)?;
        }
        wrapped(f, e, wrap(e))?;
    }
    Ok(())
}

fn wrapped(f: &mut fmt::Formatter<'_>, e: &Expr, wrap: bool) -> fmt::Result {
    if wrap { write!(f, "({e})") } else { fmt::Display::fmt(e, f) }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.name())?;
        match &self.test {
            Test::List(op, operands) => {
                f.write_str(match op {
                    Op::Has => ":",
                    Op::Is => "=",
                    Op::Differs => "!=",
                })?;
                for (i, o) in operands.iter().enumerate() {
                    if i > 0 {
                        f.write_char(',')?;
                    }
                    operand(f, o, self.field.kind())?;
                }
                Ok(())
            }
            Test::Compare(cmp, n) => {
                f.write_str(match cmp {
                    Cmp::Less => "<",
                    Cmp::AtMost => "<=",
                    Cmp::More => ">",
                    Cmp::AtLeast => ">=",
                })?;
                f.write_str(&n.text(self.field.kind()))
            }
            Test::Regex(not, pattern) => {
                f.write_str(if *not { "!~" } else { "~" })?;
                f.write_str(&quoted(pattern, |_| true))
            }
        }
    }
}

fn operand(f: &mut fmt::Formatter<'_>, o: &Operand, kind: Kind) -> fmt::Result {
    match o {
        Operand::Missing => f.write_str("none"),
        Operand::Number(n) => f.write_str(&n.text(kind)),
        Operand::Range(a, b) => {
            write!(f, "{}-", a.text(kind))?;
            b.as_ref().map_or(Ok(()), |b| f.write_str(&b.text(kind)))
        }
        Operand::Mask(v, m) => write!(f, "0x{v:x}/0x{m:x}"),
        Operand::Host(None, None, _) => f.write_str("*"),
        Operand::Host(addr, port, zone) => {
            let zone = zone.as_ref().map_or_else(String::new, |z| format!("%{z}"));
            if let Some((a, len)) = addr {
                if a.is_v4() {
                    write!(f, "{a}{zone}")?;
                } else {
                    write!(f, "[{a}{zone}]")?;
                }
                if *len != full(a) {
                    write!(f, "/{len}")?;
                }
            }
            match port {
                None => Ok(()),
                Some((a, b)) if a == b => write!(f, ":{a}"),
                Some((a, b)) => write!(f, ":{a}-{b}"),
            }
        }
        Operand::States(set) => {
            // Two states need no name that only readers of ss(8) know.
            let mut groups = super::state_sets::GROUPS.iter().filter(|(_, s)| s().states().count() > 2);
            if let Some((name, _)) = groups.find(|(_, s)| s() == *set) {
                return f.write_str(name);
            }
            for (i, s) in set.states().enumerate() {
                if i > 0 {
                    f.write_char(',')?;
                }
                f.write_str(&s.name().to_ascii_lowercase().replace('_', "-"))?;
            }
            Ok(())
        }
        Operand::Bool(b) => f.write_str(if *b { "yes" } else { "no" }),
        // Bare, it could be read as an address.
        Operand::Text(s) if matches!(kind, Kind::Endpoint | Kind::Addr) => f.write_str(&quoted(s, |_| true)),
        Operand::Text(s) => f.write_str(&quoted(s, |s| !plain_value(s))),
        Operand::Glob(s) => {
            // Quotes would make it plain text, so special characters are escaped instead.
            for c in s.chars() {
                if is_hostile(c) {
                    write!(f, "\\u{{{:x}}}", c as u32)?;
                } else {
                    if c.is_whitespace()
                        || matches!(c, ',' | '(' | ')' | '|' | '&' | '\\' | '"' | '\'' | '=' | '~')
                    {
                        f.write_char('\\')?;
                    }
                    f.write_char(c)?;
                }
            }
            Ok(())
        }
    }
}

/// Prefix length of a single address.
pub(crate) fn full(a: &Addr) -> u8 {
    if a.is_v4() { 32 } else { 128 }
}

/// The text, in double quotes if it needs them.
pub(crate) fn quoted(s: &str, must: fn(&str) -> bool) -> String {
    if !must(s) {
        return s.to_owned();
    }
    let mut out = String::with_capacity(s.len() + 2);
    out.push('"');
    for c in s.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if is_hostile(c) => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// True if a word needs no quotes. Digits alone need none; anything that could be an address, an operator or a field with
/// an operator does.
fn plain_word(s: &str) -> bool {
    !s.is_empty()
        && s.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '+'))
        && s.chars().all(|c| !is_hostile(c))
        && s.starts_with(|c: char| c.is_alphanumeric())
        && !RESERVED.iter().any(|w| w.eq_ignore_ascii_case(s))
        && family_word(s).is_none()
}

/// Expansion of a word for an address family or for a protocol of one family, as in `netstat` and `ss -6`.
pub(crate) fn family_word(word: &str) -> Option<&'static str> {
    const WORDS: &[(&[&str], &str)] = &[
        (&["ipv4", "ip4", "inet4"], "family:inet"),
        (&["ipv6", "ip6", "inet6"], "family:inet6"),
        (&["tcp4"], "proto:tcp family:inet"),
        (&["tcp6"], "proto:tcp family:inet6"),
        (&["udp4"], "proto:udp family:inet"),
        (&["udp6"], "proto:udp family:inet6"),
        (&["raw4"], "proto:raw family:inet"),
        (&["raw6"], "proto:raw family:inet6"),
    ];
    WORDS.iter().find(|(words, _)| words.iter().any(|w| w.eq_ignore_ascii_case(word))).map(|(_, text)| *text)
}

/// True if text needs no quotes after `field:`.
pub(crate) fn plain_value(s: &str) -> bool {
    !s.is_empty()
        && s.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '+' | '/' | '@'))
        && s.chars().all(|c| !is_hostile(c))
        && s != "-"
        && !s.eq_ignore_ascii_case("none")
}
