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
    /// Counts by state.
    States(StateCounts),
    /// Eight levels, oldest first: powers of two.
    Levels([u8; 8]),
    /// Several values (the owners of a socket, the processes of a port).
    List(Vec<Self>),
    /// Named values in order (one owner: pid, fd, comm).
    Record(Vec<(&'static str, Self)>),
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

    /// Total order for sorting. Missing values are last, also in a descending sort.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Missing(a), Self::Missing(b)) => a.cmp(b),
            (Self::Missing(_), _) => Ordering::Greater,
            (_, Self::Missing(_)) => Ordering::Less,
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::State(a), Self::State(b)) => a.cmp(b),
            (Self::Addr(a), Self::Addr(b)) => a.cmp(b),
            (Self::Endpoint(a), Self::Endpoint(b)) => a.cmp(b),
            (Self::States(a), Self::States(b)) => a.total().cmp(&b.total()),
            (Self::List(a), Self::List(b)) => {
                for (x, y) in a.iter().zip(b) {
                    match x.order(y) {
                        Ordering::Equal => {}
                        o => return o,
                    }
                }
                a.len().cmp(&b.len())
            }
            (Self::Uint(a), Self::Uint(b)) => a.cmp(b),
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            },
        }
    }
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
