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

/// Part a column plays in its table, for code that needs that part and not a name; at most one column of a table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Transport protocol.
    Proto,
    /// Address family.
    Family,
    /// Socket state.
    State,
    /// Local endpoint.
    Local,
    /// Local address.
    LocalAddr,
    /// Local port.
    LocalPort,
    /// Remote endpoint.
    Remote,
    /// Remote address.
    RemoteAddr,
    /// Remote port.
    RemotePort,
    /// DNS name of the remote address.
    RemoteHost,
    /// Process with its pid: `nginx 812 +4`.
    Owner,
    /// List of all processes.
    Owners,
    /// Command name of a process.
    Process,
    /// User name.
    User,
    /// Service name of a port.
    Service,
    /// Network namespace.
    Netns,
    /// Interface.
    Iface,
    /// Control group.
    Cgroup,
    /// Firewall mark.
    Mark,
    /// Direction of a connection.
    Direction,
    /// Receive queue.
    RecvQ,
    /// Send queue.
    SendQ,
    /// Bytes received a second.
    Rx,
    /// Bytes sent a second.
    Tx,
    /// Age.
    Age,
}

/// Emphasis of a cell; the theme decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Normal text.
    Plain,
    /// The name of the row.
    Strong,
    /// Secondary text.
    Dim,
    /// Carries no information in this row.
    Faint,
    /// Highlighted without being a problem.
    Accent,
    /// Needs attention.
    Warning,
    /// A problem now.
    Critical,
}

/// Reads the tone of a row's cell.
pub type ToneFn = fn(&Snapshot, usize) -> Tone;

/// Reads an amount of a row and its limit.
pub type AmountsFn = fn(&Snapshot, usize) -> (u64, u64);

/// How a percentage is drawn as a bar. All functions take a row of the column's own table.
#[derive(Clone, Copy, Debug)]
pub struct Gauge {
    /// Amount and limit, shown instead of the percentage.
    pub amounts: Option<AmountsFn>,
    /// The row of the table of limits that the gauge shows.
    pub limit: fn(&Snapshot, usize) -> Option<usize>,
}

impl Gauge {
    /// A bar with its percentage, of no limit that has a row.
    pub const PERCENT: Self = Self { amounts: None, limit: |_, _| None };
}

/// How a filter compares text with `:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextMatch {
    /// Any part of the text, ignoring case.
    Part,
    /// The whole text, ignoring case.
    Whole,
    /// The whole text, case and all.
    Exact,
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
    /// Its part in the table.
    pub role: Option<Role>,
    /// Emphasis of a cell; `None`: plain, zeros faint.
    pub tone: Option<ToneFn>,
    /// How it is drawn as a bar.
    pub gauge: Option<Gauge>,
    /// Every value it can have, where these are few and known.
    pub values: Option<fn() -> Vec<&'static str>>,
    /// How a filter compares its text.
    pub text_match: TextMatch,
    /// The column of the table of processes with the same value for each owner of the row.
    pub process_column: Option<&'static str>,
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
            role: None,
            tone: None,
            gauge: None,
            values: None,
            text_match: TextMatch::Part,
            process_column: None,
        }
    }

    /// Sets its part in the table.
    pub(crate) const fn role(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    /// Sets the emphasis of its cells.
    pub(crate) const fn tone(mut self, tone: ToneFn) -> Self {
        self.tone = Some(tone);
        self
    }

    /// Secondary in every row.
    pub(crate) const fn dim(self) -> Self {
        self.tone(|_, _| Tone::Dim)
    }

    /// Drawn as a bar.
    pub(crate) const fn gauge(mut self, gauge: Gauge) -> Self {
        self.gauge = Some(gauge);
        self
    }

    /// Sets every value it can have; a filter compares them whole.
    pub(crate) const fn values(mut self, values: fn() -> Vec<&'static str>) -> Self {
        self.values = Some(values);
        self.text_match = TextMatch::Whole;
        self
    }

    /// Sets how a filter compares its text.
    pub(crate) const fn text_match(mut self, text_match: TextMatch) -> Self {
        self.text_match = text_match;
        self
    }

    /// Names the column of the table of processes with the same value for each owner of the row.
    pub(crate) const fn process_column(mut self, name: &'static str) -> Self {
        self.process_column = Some(name);
        self
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

    /// Whether it plays this part.
    pub fn is(&self, role: Role) -> bool {
        self.role == Some(role)
    }

    /// Whether its gauge shows an amount and its limit instead of a percentage.
    pub fn shows_amounts(&self) -> bool {
        self.gauge.is_some_and(|g| g.amounts.is_some())
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
