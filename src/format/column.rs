//! Columns: kind, widths, needs, role and how a value is read.

use super::did_you_mean::same_word;
use super::value::Value;
use crate::model::{Missing, Needs, Proto, ProtoSet, Snapshot, tcp_info::TcpField};

/// Kind and unit of the values of a column: decides how they are formatted and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A plain number, grouped in thousands on screen.
    Count,
    /// A number that may be large: grouped in thousands, from a million scaled by 1000.
    Amount,
    /// A number that is an identifier: pid, inode, cookie. Never grouped or scaled.
    Id,
    /// A number shown in hexadecimal: mark, cookie.
    Hex,
    /// Bytes, scaled by 1024 on screen.
    Bytes,
    /// Bytes per second.
    BytesPerSec,
    /// A number per second.
    PerSec,
    /// A number per minute, with sign.
    PerMin,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Secs,
    /// A moment, seconds since 1970; on screen the time of day in UTC.
    Time,
    /// Percent, 0 to 100 and above.
    Percent,
    /// A port.
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
    /// A sparkline: [`super::Value::Levels`].
    Trend,
    /// Structured: abbreviated on screen, complete in JSON.
    List,
}

/// Type of the values of a column in JSON, Parquet and SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A string.
    Text,
    /// True or false.
    Boolean,
    /// A whole number to reckon with.
    Integer,
    /// A whole number that is an identifier.
    Unsigned,
    /// A number.
    Float,
    /// An array or object: JSON.
    Json,
}

impl Kind {
    /// The type in which its values are stored.
    pub const fn storage(self) -> Storage {
        match self {
            Self::Text | Self::Addr | Self::Endpoint | Self::State => Storage::Text,
            Self::Bool => Storage::Boolean,
            Self::Count | Self::Amount | Self::Bytes | Self::Millis | Self::Port => Storage::Integer,
            Self::Id | Self::Hex => Storage::Unsigned,
            Self::BytesPerSec
            | Self::PerSec
            | Self::PerMin
            | Self::Micros
            | Self::Secs
            | Self::Time
            | Self::Percent => Storage::Float,
            Self::States | Self::Trend | Self::List => Storage::Json,
        }
    }

    /// Returns whether its values are changes over time.
    const fn is_over_time(self) -> bool {
        matches!(self, Self::BytesPerSec | Self::PerSec | Self::PerMin | Self::Trend)
    }

    /// Default alignment and widths under a title of this length.
    const fn layout(self, title: u16) -> (Align, Width) {
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
            Self::Time => (Align::Left, 12, 12, 12),
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

/// Alignment of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Left, for text.
    Left,
    /// Right, for numbers.
    Right,
}

/// Widths in screen columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    /// Least width; with less the column is dropped.
    pub min: u16,
    /// Normal width; values change without moving the neighbours.
    pub normal: u16,
    /// Greatest width, for longer content if there is space.
    pub max: u16,
}

/// Reads a row's value.
pub type GetFn = for<'a> fn(&'a Snapshot, usize) -> Value<'a>;

/// Calls back with each value of a row until one call returns `true`; returns whether one did.
pub type AnyFn = fn(&Snapshot, usize, &mut dyn FnMut(&Value<'_>) -> bool) -> bool;

/// Reader of a row's value.
#[derive(Clone, Copy, Debug)]
pub enum Get {
    /// A function.
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
    /// Owner of a limit: a process or an endpoint, identified by its pid or port at the end.
    Subject,
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

/// A percentage drawn as a bar. All functions take a row of the column's own table.
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

/// Comparison of text with `:` in a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextMatch {
    /// Any part of the text, ignoring case.
    Part,
    /// The whole text, ignoring case.
    Whole,
    /// The whole text, case and all.
    Exact,
}

/// One column of one table: the only place that defines it.
#[derive(Clone, Copy)]
pub struct Column {
    /// Its name: `--columns`, `--sort`, filter field, JSON key and CSV header.
    pub name: &'static str,
    /// Other words a filter and a flag accept for it.
    pub aliases: &'static [&'static str],
    /// Its title on screen, in capitals.
    pub title: &'static str,
    /// One sentence: meaning and source.
    pub help: &'static str,
    /// Kind of its values.
    pub kind: Kind,
    /// Alignment of its cells.
    pub align: Align,
    /// Its widths.
    pub width: Width,
    /// Drop order on a narrow screen: higher numbers are dropped first, 0 last.
    pub drop: u8,
    /// Data that must be read for it.
    pub needs: Needs,
    /// The value of a row.
    pub get: Get,
    /// All values of a row if it can have several (owners): a filter matches if any does.
    pub any: Option<AnyFn>,
    /// Its part in the table.
    pub role: Option<Role>,
    /// Emphasis of a cell; `None`: plain, zeros faint.
    pub tone: Option<ToneFn>,
    /// Bar.
    pub gauge: Option<Gauge>,
    /// Every value it can have, if they are few and fixed.
    pub values: Option<fn() -> Vec<&'static str>>,
    /// Comparison of its text in a filter.
    pub text_match: TextMatch,
    /// The column of the table of processes with the same value for each owner of the row.
    pub process_column: Option<&'static str>,
    /// The column with the same amount as a percentage, for `fds>80%`.
    pub percent_column: Option<&'static str>,
    /// The value is one over time although its kind does not show it.
    pub over_time: bool,
    /// Key of the rows that have the same value in all columns with such a key; `None` if every row has a value of its own.
    pub shared: Option<SharedKeyFn>,
    /// Protocols whose rows can have a value; `None`: rows of any protocol, or of none.
    pub protos: Option<RowProtos>,
}

/// Protocols whose rows can have a value in a column, and the protocol of a row.
#[derive(Clone, Copy)]
pub struct RowProtos {
    /// The protocols; in rows of others the column is empty and its JSON key is left out.
    pub protos: ProtoSet,
    /// The protocol of a row of the column's table.
    pub proto_of: fn(&Snapshot, usize) -> Proto,
}

/// Key of rows that share values, see [`shared`](field@Column::shared): fixed fields, and bytes of the sample.
pub type SharedKey<'a> = ([u64; 4], &'a [u8]);

/// The key of a row; `None` if it shares values with no other.
pub type SharedKeyFn = for<'a> fn(&'a Snapshot, usize) -> Option<SharedKey<'a>>;

impl std::fmt::Debug for Column {
    /// Its name identifies it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Column({})", self.name)
    }
}

impl Column {
    /// A column with the default layout of its kind and without needs.
    pub(crate) const fn new(
        name: &'static str,
        title: &'static str,
        kind: Kind,
        drop: u8,
        get: GetFn,
        help: &'static str,
    ) -> Self {
        let (align, width) = kind.layout(title.len() as u16);
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
            percent_column: None,
            over_time: false,
            shared: None,
            protos: None,
        }
    }

    /// Sets the protocols whose rows can have a value.
    pub(crate) const fn protos(mut self, protos: RowProtos) -> Self {
        self.protos = Some(protos);
        self
    }

    /// Returns whether rows of the protocol can have a value.
    pub fn is_for(&self, proto: Proto) -> bool {
        self.protos.is_none_or(|p| p.protos.has(proto))
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

    /// Marks a value that needs two polls although its kind does not show it.
    pub(crate) const fn over_time(mut self) -> Self {
        self.over_time = true;
        self
    }

    /// Sets the key of the rows that have the same value. All columns of a table with a key have the same one.
    pub(crate) const fn shared(mut self, key: SharedKeyFn) -> Self {
        self.shared = Some(key);
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

    /// Sets the comparison of its text in a filter.
    pub(crate) const fn text_match(mut self, text_match: TextMatch) -> Self {
        self.text_match = text_match;
        self
    }

    /// Names the column of the table of processes with the same value for each owner of the row.
    pub(crate) const fn process_column(mut self, name: &'static str) -> Self {
        self.process_column = Some(name);
        self
    }

    /// Names the column of the same table with the same amount as a percentage.
    pub(crate) const fn percent_column(mut self, name: &'static str) -> Self {
        self.percent_column = Some(name);
        self
    }

    /// Sets its aliases.
    pub(crate) const fn called(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Sets its widths; the title always fits the normal one.
    pub(crate) const fn wide(mut self, min: u16, normal: u16, max: u16) -> Self {
        let title = self.title.len() as u16;
        let normal = if normal < title { title } else { normal };
        self.width = Width { min, normal, max: if max < normal { normal } else { max } };
        self
    }

    /// Sets the data that must be read for it.
    pub(crate) const fn needs(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// Sets the reader of several values of a row.
    pub(crate) const fn any(mut self, any: AnyFn) -> Self {
        self.any = Some(any);
        self
    }

    /// Returns whether its values are changes over time, which need two polls.
    pub const fn is_over_time(&self) -> bool {
        self.over_time || self.kind.is_over_time()
    }

    /// The value of a row; not applicable to a row of a protocol that cannot have one, whatever the kernel sent.
    pub fn value<'a>(&self, snap: &'a Snapshot, row: usize) -> Value<'a> {
        if self.protos.is_some_and(|p| !p.protos.has((p.proto_of)(snap, row))) {
            return Value::Missing(Missing::NotApplicable);
        }
        match self.get {
            Get::Fn(f) => f(snap, row),
            Get::Tcp(field) => super::tcp_field::tcp_field_value(snap, row, field),
        }
    }

    /// Returns whether any value of a row satisfies the test.
    pub fn any_value(&self, snap: &Snapshot, row: usize, test: &mut dyn FnMut(&Value<'_>) -> bool) -> bool {
        match self.any {
            Some(f) => f(snap, row, test),
            None => test(&self.value(snap, row)),
        }
    }

    /// Returns whether it has this role.
    pub fn is(&self, role: Role) -> bool {
        self.role == Some(role)
    }

    /// Returns whether its gauge shows an amount and its limit instead of a percentage.
    pub fn shows_amounts(&self) -> bool {
        self.gauge.is_some_and(|g| g.amounts.is_some())
    }

    /// Returns whether the end of its text matters as much as the start: a port, a pid. It is then cut in the middle.
    pub fn keeps_end(&self) -> bool {
        matches!(self.kind, Kind::Endpoint | Kind::Addr) || self.role == Some(Role::Subject)
    }

    /// Returns whether the word is its name or an alias, in any case, `-` and `_` alike.
    pub fn is_called(&self, word: &str) -> bool {
        same_word(self.name, word) || self.aliases.iter().any(|a| same_word(a, word))
    }
}

impl PartialEq for Column {
    /// Within one table the name identifies a column.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Column {}
