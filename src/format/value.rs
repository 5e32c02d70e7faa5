//! What a cell holds, before anybody decides how it looks.

use crate::model::{Addr, Endpoint, Missing, State, StateCounts};
use std::borrow::Cow;
use std::cmp::Ordering;

/// The content of one cell. Its unit is its column's [`super::Kind`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Not there, and why: `-` on screen, `null` in JSON, last in a sort either way.
    Missing(Missing),
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Uint(u64),
    /// A number.
    Float(f64),
    /// A number that it is at least; told apart from [`Value::Float`] on screen alone.
    AtLeast(f64),
    /// Text, raw: whoever shows it escapes it.
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

    /// The value, or why there is none.
    pub fn from_opt<T: Into<Self>>(v: Option<T>, why: Missing) -> Self {
        v.map_or(Self::Missing(why), Into::into)
    }

    /// Whether there is nothing.
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }

    /// As a number, where it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Uint(n) => Some(*n as f64),
            Self::Float(n) | Self::AtLeast(n) => Some(*n),
            Self::Bool(b) => Some(f64::from(u8::from(*b))),
            // How much it is now.
            Self::Levels(l) => Some(f64::from(l[7])),
            _ => None,
        }
    }

    /// A total order for sorting; what is missing comes last here, and a descending sort keeps it last.
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
    /// What is no number (a share of nothing) is missing.
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
