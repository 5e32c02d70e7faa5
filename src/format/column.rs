//! What a column is.

use super::Value;
use super::did_you_mean::same_word;
use crate::model::{Needs, Snapshot, tcp_info::TcpField};

/// What a column's values are and in which unit; decides how they are shown and what a filter may compare them with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A plain number, grouped in thousands on screen.
    Count,
    /// A plain number that may be large: grouped in thousands, from a million on scaled by 1000.
    Amount,
    /// A number that is a name: pid, inode, cookie. Never grouped or scaled.
    Id,
    /// A number shown in hexadecimal: mark, cookie.
    Hex,
    /// Bytes, scaled by 1024 on screen.
    Bytes,
    /// Bytes a second.
    BytesPerSec,
    /// A number a second.
    PerSec,
    /// A number a minute, with its sign.
    PerMin,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Secs,
    /// Percent, 0 to 100 and above.
    Percent,
    /// A port, with its service's name where wanted.
    Port,
    /// An address.
    Addr,
    /// An address and port.
    Endpoint,
    /// A state.
    State,
    /// Yes or no.
    Bool,
    /// Counts by state.
    States,
    /// A small curve: [`super::Value::Levels`].
    Trend,
    /// Structured: shown in short, whole in JSON.
    List,
}

impl Kind {
    /// Whether its values are changes over time, which one poll alone cannot tell.
    pub const fn is_over_time(self) -> bool {
        matches!(self, Self::BytesPerSec | Self::PerSec | Self::PerMin | Self::Trend)
    }

    /// Where its cells stand and how wide they usually are, under a title of this length.
    const fn usual(self, title: u16) -> (Align, Width) {
        let (align, min, normal, max) = match self {
            Self::Text | Self::List | Self::States => (Align::Left, 6, 12, 40),
            Self::Count => (Align::Right, 4, 7, 14),
            Self::Amount => (Align::Right, 5, 7, 7),
            Self::Id => (Align::Right, 5, 7, 20),
            Self::Hex => (Align::Right, 4, 10, 18),
            Self::Bytes | Self::Secs => (Align::Right, 4, 6, 8),
            Self::BytesPerSec | Self::PerSec | Self::PerMin | Self::Micros | Self::Millis => {
                (Align::Right, 5, 6, 8)
            }
            Self::Percent => (Align::Right, 4, 4, 7),
            Self::Port => (Align::Right, 5, 5, 5),
            Self::Addr => (Align::Left, 9, 15, 39),
            Self::Endpoint => (Align::Left, 12, 22, 47),
            Self::State => (Align::Left, 6, 11, 11),
            Self::Bool => (Align::Left, 3, 3, 3),
            Self::Trend => (Align::Left, 8, 8, 8),
        };
        let normal = if title > normal { title } else { normal };
        let min = if min > normal { normal } else { min };
        let max = if max < normal { normal } else { max };
        (align, Width { min, normal, max })
    }
}

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Widths in screen columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    /// Below this the column is dropped instead.
    pub min: u16,
    /// What it takes when there is room; values change without moving the neighbours.
    pub normal: u16,
    /// It may grow to this where the content is longer and room is left.
    pub max: u16,
}

/// Reads a row's value.
pub type GetFn = for<'a> fn(&'a Snapshot, usize) -> Value<'a>;

/// Calls back with each of a row's values until one call says `true`; whether one did.
pub type AnyFn = fn(&Snapshot, usize, &mut dyn FnMut(&Value<'_>) -> bool) -> bool;

/// How a row's value is read.
#[derive(Clone, Copy, Debug)]
pub enum Get {
    /// By a function.
    Fn(GetFn),
    /// A field of `tcp_info` of a socket row.
    Tcp(&'static TcpField),
}

/// One column of one table: the one place where all is said about it.
#[derive(Clone, Copy)]
pub struct Column {
    /// Its name: `--columns`, `--sort`, filter field, JSON key and CSV header.
    pub name: &'static str,
    /// Other words a filter and a flag accept for it.
    pub aliases: &'static [&'static str],
    /// Its title on screen, in capitals.
    pub title: &'static str,
    /// One plain sentence: what it is, where it comes from.
    pub help: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Where cells stand.
    pub align: Align,
    /// Its widths.
    pub width: Width,
    /// On a narrow screen columns with a higher number go first; 0 stays to the last.
    pub drop: u8,
    /// What must be read for it.
    pub needs: Needs,
    /// The value of a row.
    pub get: Get,
    /// All values of a row, where it can have several (owners): a filter matches when any does.
    pub any: Option<AnyFn>,
}

impl std::fmt::Debug for Column {
    /// Its name says which it is.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Column({})", self.name)
    }
}

impl Column {
    /// A column with the alignment and widths that its kind usually has, read by a function, needing nothing.
    pub(crate) const fn new(
        name: &'static str,
        title: &'static str,
        kind: Kind,
        drop: u8,
        get: GetFn,
        help: &'static str,
    ) -> Self {
        let (align, width) = kind.usual(title.len() as u16);
        Self {
            name,
            aliases: &[],
            title,
            help,
            kind,
            align,
            width,
            drop,
            needs: Needs::NONE,
            get: Get::Fn(get),
            any: None,
        }
    }

    /// With other words for it.
    pub(crate) const fn called(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// With these widths; its title always fits the normal one.
    pub(crate) const fn wide(mut self, min: u16, normal: u16, max: u16) -> Self {
        let title = self.title.len() as u16;
        let normal = if normal < title { title } else { normal };
        self.width = Width { min, normal, max: if max < normal { normal } else { max } };
        self
    }

    /// With what must be read for it.
    pub(crate) const fn needs(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// With several values a row.
    pub(crate) const fn any(mut self, any: AnyFn) -> Self {
        self.any = Some(any);
        self
    }

    /// The value of a row.
    pub fn value<'a>(&self, snap: &'a Snapshot, row: usize) -> Value<'a> {
        match self.get {
            Get::Fn(f) => f(snap, row),
            Get::Tcp(field) => super::tcp_field::tcp_field_value(snap, row, field),
        }
    }

    /// Whether any of a row's values satisfies the test.
    pub fn any_value(&self, snap: &Snapshot, row: usize, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
        match self.any {
            Some(f) => f(snap, row, test),
            None => test(&self.value(snap, row)),
        }
    }

    /// Whether this word names it: its name or an alias, in any case, `-` and `_` alike.
    pub fn is_called(&self, word: &str) -> bool {
        same_word(self.name, word) || self.aliases.iter().any(|a| same_word(a, word))
    }
}

impl PartialEq for Column {
    /// Within one table a column is what it is called.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Column {}
