//! Values of cells, not yet formatted.

use crate::model::{Addr, Endpoint, Missing, State, StateCounts};
use std::borrow::Cow;
use std::cmp::Ordering;

/// The content of one cell. Its unit is its column's [`super::Kind`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Missing, with the reason: `-` on screen, `null` in JSON, last in a sort either way.
    Missing(Missing),
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Uint(u64),
    /// A number.
    Float(f64),
    /// A lower bound; differs from [`Value::Float`] only on screen.
    AtLeast(f64),
    /// Text, not escaped.
    Text(Cow<'a, str>),
    /// A state.
    State(State),
    /// An address.
    Addr(Addr),
    /// An address with its port.
    Endpoint(Endpoint),
    /// A link-local address with its interface, and with its port if `with_port`.
    Zoned {
        /// The address and its port.
        end: Endpoint,
        /// True for an endpoint, false for an address.
        with_port: bool,
        /// Interface name, or index if it has none.
        zone: Cow<'a, str>,
    },
    /// Counts by state.
    States(StateCounts),
    /// Eight levels, oldest first: powers of two.
    Levels([u8; 8]),
    /// Several values (the owners of a socket, the processes of a port).
    List(Vec<Self>),
    /// Named values in order (one owner: pid, fd, comm).
    Record(Vec<(&'static str, Self)>),
}

impl Value<'_> {
    /// The same without borrowed text.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Missing(why) => Value::Missing(why),
            Self::Bool(b) => Value::Bool(b),
            Self::Uint(n) => Value::Uint(n),
            Self::Float(n) => Value::Float(n),
            Self::AtLeast(n) => Value::AtLeast(n),
            Self::Text(s) => Value::Text(Cow::Owned(s.into_owned())),
            Self::State(s) => Value::State(s),
            Self::Addr(a) => Value::Addr(a),
            Self::Endpoint(e) => Value::Endpoint(e),
            Self::Zoned { end, with_port, zone } => {
                Value::Zoned { end, with_port, zone: Cow::Owned(zone.into_owned()) }
            }
            Self::States(c) => Value::States(c),
            Self::Levels(l) => Value::Levels(l),
            Self::List(items) => Value::List(items.into_iter().map(Value::into_owned).collect()),
            Self::Record(fields) => {
                Value::Record(fields.into_iter().map(|(name, v)| (name, v.into_owned())).collect())
            }
        }
    }
}

impl<'a> Value<'a> {
    /// Borrowed text.
    pub const fn text(s: &'a str) -> Self {
        Self::Text(Cow::Borrowed(s))
    }

    /// The value, or the reason why it is missing.
    pub fn from_opt<T: Into<Self>>(v: Option<T>, why: Missing) -> Self {
        v.map_or(Self::Missing(why), Into::into)
    }

    /// Returns whether it is missing.
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }

    /// Its number, if it has one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Uint(n) => Some(*n as f64),
            Self::Float(n) | Self::AtLeast(n) => Some(*n),
            Self::Bool(b) => Some(f64::from(u8::from(*b))),
            // The current level.
            Self::Levels(l) => Some(f64::from(l[7])),
            _ => None,
        }
    }

    /// Rank of its kind in a sort: numbers, states, counts by state, texts, addresses, lists, records, missing values.
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::Bool(_) | Self::Uint(_) | Self::Float(_) | Self::AtLeast(_) | Self::Levels(_) => 0,
            Self::State(_) => 1,
            Self::States(_) => 2,
            Self::Text(_) => 3,
            Self::Addr(_) | Self::Endpoint(_) | Self::Zoned { .. } => 4,
            Self::List(_) => 5,
            Self::Record(_) => 6,
            Self::Missing(_) => 7,
        }
    }

    /// Total order for sorting: by kind (`rank`), then by value. A column can hold values of several kinds: the
    /// local end of an IP socket is an endpoint, that of a UNIX socket a text. Missing values are last.
    pub fn order(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank()).then_with(|| match (self, other) {
            (Self::Missing(a), Self::Missing(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::State(a), Self::State(b)) => a.cmp(b),
            (Self::States(a), Self::States(b)) => a.total().cmp(&b.total()),
            (Self::List(a), Self::List(b)) => order_each(a.iter(), b.iter()),
            (Self::Record(a), Self::Record(b)) => order_each(a.iter().map(|f| &f.1), b.iter().map(|f| &f.1)),
            (a, b) => match (a.endpoint(), b.endpoint()) {
                (Some(x), Some(y)) => x.cmp(&y).then_with(|| a.zone().cmp(&b.zone())),
                _ => a.order_number(b),
            },
        })
    }

    /// Interface of a link-local address.
    pub fn zone(&self) -> Option<&str> {
        match self {
            Self::Zoned { zone, .. } => Some(zone),
            _ => None,
        }
    }

    /// The endpoint, or the address with port 0.
    pub const fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Self::Endpoint(e) | Self::Zoned { end: e, with_port: true, .. } => Some(*e),
            Self::Zoned { end, .. } => Some(Endpoint::new(end.addr, 0)),
            Self::Addr(a) => Some(Endpoint::new(*a, 0)),
            _ => None,
        }
    }

    /// Order of two numbers. Integers are not rounded to a float, which would make different ones equal.
    fn order_number(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Uint(a), Self::Uint(b)) => a.cmp(b),
            (Self::Uint(a), b) => order_mixed(*a, b.number().unwrap_or(0.0)),
            (a, Self::Uint(b)) => order_mixed(*b, a.number().unwrap_or(0.0)).reverse(),
            (a, b) => float_key(a.number().unwrap_or(0.0)).cmp(&float_key(b.number().unwrap_or(0.0))),
        }
    }
}

/// Order of two sequences: by their first difference, then by length.
fn order_each<'v, 'a: 'v>(
    mut a: impl ExactSizeIterator<Item = &'v Value<'a>>,
    mut b: impl ExactSizeIterator<Item = &'v Value<'a>>,
) -> Ordering {
    let lengths = a.len().cmp(&b.len());
    a.by_ref().zip(b.by_ref()).map(|(x, y)| x.order(y)).find(|o| o.is_ne()).unwrap_or(lengths)
}

/// Order of an integer and a float, exact.
fn order_mixed(a: u64, b: f64) -> Ordering {
    // 2^64, which no u64 reaches.
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    if b.is_nan() || b >= LIMIT {
        Ordering::Less
    } else if b < 0.0 {
        Ordering::Greater
    } else {
        a.cmp(&(b.trunc() as u64)).then(if b.fract() > 0.0 { Ordering::Less } else { Ordering::Equal })
    }
}

/// Integer that orders as the float does: -0 equals 0, and NaN is the largest.
pub(crate) fn float_key(n: f64) -> u64 {
    if n.is_nan() {
        return u64::MAX;
    }
    let bits = (n + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

impl From<u64> for Value<'_> {
    fn from(n: u64) -> Self {
        Self::Uint(n)
    }
}
impl From<u32> for Value<'_> {
    fn from(n: u32) -> Self {
        Self::Uint(u64::from(n))
    }
}
impl From<u16> for Value<'_> {
    fn from(n: u16) -> Self {
        Self::Uint(u64::from(n))
    }
}
impl From<u8> for Value<'_> {
    fn from(n: u8) -> Self {
        Self::Uint(u64::from(n))
    }
}
impl From<bool> for Value<'_> {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}
impl From<f64> for Value<'_> {
    /// NaN and infinity (a share of zero) are missing.
    fn from(n: f64) -> Self {
        if n.is_finite() { Self::Float(n) } else { Self::Missing(Missing::NotApplicable) }
    }
}
impl From<f32> for Value<'_> {
    fn from(n: f32) -> Self {
        Self::from(f64::from(n))
    }
}
impl<'a> From<&'a str> for Value<'a> {
    fn from(s: &'a str) -> Self {
        Self::text(s)
    }
}
impl From<String> for Value<'_> {
    fn from(s: String) -> Self {
        Self::Text(Cow::Owned(s))
    }
}
impl From<State> for Value<'_> {
    fn from(s: State) -> Self {
        Self::State(s)
    }
}
impl From<Addr> for Value<'_> {
    fn from(a: Addr) -> Self {
        Self::Addr(a)
    }
}
impl From<Endpoint> for Value<'_> {
    fn from(e: Endpoint) -> Self {
        Self::Endpoint(e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = Value<'static>> {
        let near = prop_oneof![0..4_u64, (1_u64 << 53) - 2..(1 << 53) + 3, u64::MAX - 2..=u64::MAX];
        let float = prop_oneof![
            near.clone().prop_map(|n| n as f64),
            (0..8_u8).prop_map(|n| f64::from(n) / 2.0 - 1.0),
            Just(-0.0),
            Just(f64::NAN),
            Just(-f64::NAN),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
        ];
        let addr = prop_oneof!["10.0.0.[12]", "::1", "fe80::[12]"].prop_map(|a: String| a.parse::<Addr>());
        let addr = addr.prop_filter_map("an address", Result::ok);
        let leaf = prop_oneof![
            prop_oneof![Just(Missing::NotReported), Just(Missing::Gone), Just(Missing::NotApplicable)]
                .prop_map(Value::Missing),
            any::<bool>().prop_map(Value::Bool),
            near.prop_map(Value::Uint),
            float.clone().prop_map(Value::Float),
            float.prop_map(Value::AtLeast),
            "[ab]{0,2}".prop_map(Value::from),
            prop_oneof![Just(State::Listen), Just(State::TimeWait)].prop_map(Value::State),
            addr.clone().prop_map(Value::Addr),
            (addr.clone(), 0..2_u16, any::<bool>(), "[ab]").prop_map(|(a, port, with_port, zone)| {
                Value::Zoned { end: Endpoint::new(a, port), with_port, zone: zone.into() }
            }),
            (addr, 0..3_u16).prop_map(|(a, port)| Value::Endpoint(Endpoint::new(a, port))),
            Just(Value::States(StateCounts::default())),
            prop::array::uniform8(0..3_u8).prop_map(Value::Levels),
        ];
        leaf.prop_recursive(2, 12, 3, |inner| {
            let list = prop::collection::vec(inner, 0..3);
            prop_oneof![
                list.clone().prop_map(Value::List),
                list.prop_map(|l| Value::Record(l.into_iter().map(|v| ("field", v)).collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn order_is_total(a in any_value(), b in any_value(), c in any_value()) {
            prop_assert_eq!(a.order(&a), Ordering::Equal);
            prop_assert_eq!(a.order(&b), b.order(&a).reverse(), "antisymmetric");
            if a.order(&b).is_le() && b.order(&c).is_le() {
                prop_assert!(a.order(&c).is_le(), "transitive");
            }
            if a.order(&b).is_eq() {
                prop_assert_eq!(a.order(&c), b.order(&c), "equals are in one place");
            }
        }
    }

    #[test]
    fn kinds_are_ranked_and_missing_is_last() {
        let end = Endpoint::new("10.0.0.1".parse().unwrap(), 80);
        let sorted = [
            Value::Uint(7),
            Value::text("a"),
            Value::text("b"),
            Value::from(end),
            Value::Missing(Missing::Gone),
        ];
        for pair in sorted.windows(2) {
            assert_eq!(pair[0].order(&pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(Value::Uint((1 << 53) + 1).order(&Value::Uint(1 << 53)), Ordering::Greater);
        assert_eq!(Value::Uint((1 << 53) + 1).order(&Value::Float((1_u64 << 53) as f64)), Ordering::Greater);
        assert_eq!(Value::Float(f64::NAN).order(&Value::Uint(u64::MAX)), Ordering::Greater);
    }
}
