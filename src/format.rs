//! Columns, values, and values as text.

pub mod column;
pub mod column_layout;
pub mod did_you_mean;
pub mod duration;
pub mod moment;
pub mod number;
mod style;
mod tcp_field;
pub mod text;
pub mod value;
pub mod width;

pub use crate::model::Needs;
pub use column::{Align, Column, Gauge, Get, Kind, Role, RowProtos, Storage, TextMatch, Tone, Width};
pub use duration::{age, duration};
pub use number::{amount, bytes, clock, date_and_time, percent, thousands};
pub use style::Style;
pub use text::{cell, exact, push_cell};
pub use value::Value;
pub use width::{shorten, shorten_middle, shorten_name, width, wrap};
