//! Moments of the past: requests, and the place of one among those that are kept.

use crate::filter::Filter;
use crate::format::moment::MomentArg;
use crate::model::Period;
use std::sync::Arc;

/// Moment of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekTo {
    /// Number of samples later, or earlier if negative.
    Samples(i32),
    /// Number of seconds later, or earlier if negative.
    Seconds(i32),
    /// A time that was typed.
    Moment(MomentArg),
    /// Next (true) or previous moment at which one of these began.
    Begin(Searched, bool),
}

/// Thing whose beginning is searched for in the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Searched {
    /// Alert.
    Alert,
    /// Finding of a row.
    Finding,
    /// Row that matches the filter.
    Match,
}

/// Request for a moment of the past.
#[derive(Clone, Debug, PartialEq)]
pub struct SeekRequest {
    /// Time from which it is seen, nanoseconds since 1970; `None`: the moment that was sought last.
    pub from: Option<u64>,
    /// The moment.
    pub to: SeekTo,
    /// Filter of [`Searched::Match`].
    pub filter: Option<Filter>,
}

/// Place of a moment among those that are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct PastPosition {
    /// Its number.
    pub number: usize,
    /// Number of moments.
    pub moments: usize,
    /// Time of the first and of the last, nanoseconds since 1970.
    pub span_ns: (u64, u64),
    /// The moments in order, several in one if there are many.
    pub periods: Arc<[Period]>,
}
