//! The types of settings: each parses and validates its own value.

use super::schema::{Context, Leaf, MapKey, did_you_mean};
use crate::cli::error::UsageError;
use crate::filter::{Filter, Names, Number};
use crate::format::duration::parse_duration;
use crate::format::{Column, Kind};
use crate::model::limit::LIMIT_KINDS;
use crate::model::{LimitKind, Netns};
use crate::table::{self, TABLES, Table};
use crate::view::group::GroupBy;
use crate::view::preset::NO_GROUPS;
use crate::view::sort;
use clap::ValueEnum;
use clap::builder::PossibleValue;
use std::time::Duration;
use toml_edit::Value;

/// A percentage from text: `80%`, `80` or `0.8`.
fn percentage(text: &str) -> Result<f64, String> {
    let invalid = || format!("invalid percentage {text:?}: expected a number such as 80% or 0.8");
    let number: f64 = text.trim().trim_end_matches('%').trim().parse().map_err(|_| invalid())?;
    let share = if text.contains('%') || number > 1.0 { number / 100.0 } else { number };
    if share > 0.0 && share <= 10.0 { Ok(share) } else { Err(invalid()) }
}

/// A duration given to this flag.
pub(in crate::cli) fn flag_duration(flag: &str, text: &str) -> Result<Duration, UsageError> {
    parse_duration(text).map_err(|e| UsageError(format!("{flag}: {e}")))
}

/// A percentage given to this flag, as a share of 1.
pub(in crate::cli) fn flag_percentage(flag: &str, text: &str) -> Result<f64, UsageError> {
    percentage(text).map_err(|e| UsageError(format!("{flag}: {e}")))
}

/// Bytes of a text: `512M`, `1G`.
fn size(text: &str) -> Result<u64, String> {
    match Number::parse(text.trim(), Kind::Bytes) {
        Some(Number::Whole(n)) if n > 0 => Ok(n),
        Some(Number::Real(n)) if n >= 1.0 && n < u64::MAX as f64 => Ok(n as u64),
        _ => Err(format!("invalid size {text:?}: expected bytes, such as 512M or 1G")),
    }
}

/// A size given to this flag.
pub(in crate::cli) fn flag_size(flag: &str, text: &str) -> Result<u64, UsageError> {
    size(text).map_err(|e| UsageError(format!("{flag}: {e}")))
}

/// The limit of this name.
pub(in crate::cli) fn limit(name: &str) -> Result<LimitKind, String> {
    LimitKind::parse(name).ok_or_else(|| {
        let names: Vec<&str> = LIMIT_KINDS.iter().map(|c| c.name).collect();
        let hint = did_you_mean(name, names.iter().copied());
        format!("unknown limit {name:?}{hint} (limits: {})", names.join(", "))
    })
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "expected text in quotes".to_owned())
}

fn in_quotes(text: &str) -> String {
    format!("{text:?}")
}

impl Leaf for bool {
    const SWITCH: bool = true;

    fn parse(value: &Value, _: &Context<'_>) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| "expected true or false".to_owned())
    }

    fn to_toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Leaf for Duration {
    fn parse(value: &Value, _: &Context<'_>) -> Result<Self, String> {
        parse_duration(text(value)?)
    }

    fn to_toml(&self) -> Option<String> {
        let ms = self.as_millis();
        let (number, unit) = match ms {
            _ if ms.is_multiple_of(60_000) => (ms / 60_000, "m"),
            _ if ms.is_multiple_of(1000) => (ms / 1000, "s"),
            _ => (ms, "ms"),
        };
        Some(in_quotes(&format!("{number}{unit}")))
    }
}

/// A share of 1, written as a percentage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(pub f64);

impl Leaf for Share {
    fn parse(value: &Value, _: &Context<'_>) -> Result<Self, String> {
        percentage(text(value)?).map(Self)
    }

    fn to_toml(&self) -> Option<String> {
        Some(in_quotes(&format!("{}%", (self.0 * 1e6).round() / 1e4)))
    }
}

/// Number of events that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsKept(pub usize);

impl EventsKept {
    /// Least and most: an event takes some 500 bytes, and each poll passes over all of them.
    pub const RANGE: std::ops::RangeInclusive<usize> = 100..=200_000;
}

impl Leaf for EventsKept {
    fn parse(value: &Value, _: &Context<'_>) -> Result<Self, String> {
        let typed = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let number = typed.trim().replace(['_', ','], "").parse().ok();
        let (least, most) = (Self::RANGE.start(), Self::RANGE.end());
        number
            .filter(|n| Self::RANGE.contains(n))
            .map(Self)
            .ok_or_else(|| format!("invalid number {}: expected {least} to {most}", in_quotes(&typed)))
    }

    fn to_toml(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// Bytes of memory, written with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySize(pub usize);

impl Leaf for MemorySize {
    fn parse(value: &Value, _: &Context<'_>) -> Result<Self, String> {
        let typed = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        usize::try_from(size(&typed)?).map(Self).map_err(|e| e.to_string())
    }

    fn to_toml(&self) -> Option<String> {
        let units = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
        let unit = units.into_iter().find(|(n, _)| self.0.is_multiple_of(*n));
        Some(unit.map_or_else(|| self.0.to_string(), |(n, unit)| in_quotes(&format!("{}{unit}", self.0 / n))))
    }
}

/// A value, and whether it was set rather than the default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen<T> {
    /// The value in force.
    pub value: T,
    /// Set in the file or by a flag.
    pub is_set: bool,
}

impl<T> Chosen<T> {
    /// The default.
    pub const fn default_of(value: T) -> Self {
        Self { value, is_set: false }
    }

    /// The value, if it was set.
    pub fn set(self) -> Option<T> {
        self.is_set.then_some(self.value)
    }
}

impl<T: Leaf> Leaf for Chosen<T> {
    fn parse(value: &Value, context: &Context<'_>) -> Result<Self, String> {
        T::parse(value, context).map(|value| Self { value, is_set: true })
    }

    fn to_toml(&self) -> Option<String> {
        self.value.to_toml()
    }
}

impl<T: Leaf> Leaf for Option<T> {
    fn parse(value: &Value, context: &Context<'_>) -> Result<Self, String> {
        T::parse(value, context).map(Some)
    }
}

/// The words of an enumeration, as flags and the file take them.
fn one_of<T: ValueEnum>(word: &str) -> Result<T, String> {
    T::from_str(word, false).map_err(|_| {
        let names: Vec<String> = choices_of::<T>().iter().map(|c| c.get_name().to_owned()).collect();
        let hint = did_you_mean(word, names.iter().map(String::as_str));
        let (last, rest) = names.split_last().map_or(("", &[][..]), |(l, r)| (l.as_str(), r));
        format!("invalid value {word:?}: expected {} or {last}{hint}", rest.join(", "))
    })
}

fn choices_of<T: ValueEnum>() -> Vec<PossibleValue> {
    T::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect()
}

/// The choices of `--backend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BackendArg {
    /// First that works: netlink, proc, portable
    Auto,
    /// Kernel socket diagnostics
    #[value(help = "Kernel sock_diag")]
    Netlink,
    /// /proc/net
    Proc,
    /// The crates netstat2 and sysinfo: a second implementation to compare with, not a fallback
    #[value(help = "The crates netstat2 and sysinfo: a second implementation to compare with")]
    Portable,
}

/// The choices of `--owners`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OwnersArg {
    /// The cheapest that is permitted
    Auto,
    /// Kernel iterator, all at once
    #[value(help = "Kernel iterator (bpf_iter), all at once; needs CAP_BPF and CAP_PERFMON")]
    Bpf,
    /// Scan of /proc/PID/fd, process by process
    Walk,
}

/// The choices of `--events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EventsArg {
    /// BPF if permitted, else `sock_diag`
    #[value(help = "BPF if permitted, else sock_diag")]
    Auto,
    /// BPF tracepoints
    #[value(help = "BPF tracepoints; needs CAP_BPF and CAP_PERFMON")]
    Bpf,
    /// Closes by `sock_diag`
    #[value(name = "sock_diag", help = "Closes by sock_diag; needs no privilege")]
    SockDiag,
    /// No events
    Off,
}

/// The choices of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorArg {
    /// If the terminal supports it
    #[value(help = "If the terminal supports it and NO_COLOR is not set")]
    Auto,
    /// Even when piped
    Always,
    /// No color
    Never,
}

/// Terminal sequence of desktop notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Notify {
    /// No desktop notification
    Off,
    /// OSC 9 (iTerm2, Windows Terminal, kitty, foot)
    Osc9,
    /// OSC 777 (urxvt, foot, Ghostty)
    Osc777,
}

/// The choices of `--lang`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LangArg {
    /// Language of the locale
    Auto,
    /// English
    En,
    /// Korean
    Ko,
}

macro_rules! word_leaves {
    ($($type:ty),*) => {$(
        impl Leaf for $type {
            fn parse(value: &Value, _: &Context<'_>) -> Result<Self, String> {
                one_of(text(value)?)
            }

            fn to_toml(&self) -> Option<String> {
                Some(in_quotes(self.to_possible_value()?.get_name()))
            }

            fn choices() -> Vec<PossibleValue> {
                choices_of::<Self>()
            }
        }
    )*};
}
word_leaves!(BackendArg, EventsArg, OwnersArg, ColorArg, LangArg, Notify);

impl Leaf for Netns {
    fn parse(value: &Value, _: &Context<'_>) -> Result<Self, String> {
        Ok(Self::parse(text(value)?))
    }

    fn to_toml(&self) -> Option<String> {
        let name = match self {
            Self::All => "all",
            Self::Here => "here",
            Self::Named(name) => name,
        };
        Some(in_quotes(name))
    }
}

/// A program and its arguments; empty: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine(pub Vec<String>);

impl Leaf for CommandLine {
    fn parse(value: &Value, _: &Context<'_>) -> Result<Self, String> {
        let words = value.as_array().and_then(|a| a.iter().map(|w| w.as_str().map(str::to_owned)).collect());
        words.map(Self).ok_or_else(|| "expected a list of strings: the program and its arguments".to_owned())
    }

    fn to_toml(&self) -> Option<String> {
        Some(format!("{:?}", self.0))
    }
}

/// Keys of a command; the map's name is the command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyList(pub Vec<String>);

impl Leaf for KeyList {
    fn parse(value: &Value, context: &Context<'_>) -> Result<Self, String> {
        let keys: Option<Vec<String>> = match value {
            Value::Array(a) => a.iter().map(|w| w.as_str().map(str::to_owned)).collect(),
            v => v.as_str().map(|w| vec![w.to_owned()]),
        };
        let keys = keys.ok_or("expected a key or a list of keys, in quotes")?;
        (context.validators.keys)(&context.name, &keys).map(|()| Self(keys))
    }
}

/// Columns of the table that the map's name names, as in `--columns`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnList(pub Vec<&'static Column>);

impl Leaf for ColumnList {
    fn parse(value: &Value, context: &Context<'_>) -> Result<Self, String> {
        let table = table_named(&context.name)?;
        table::columns(text(value)?, table).map(Self).map_err(|e| e.to_string())
    }
}

/// The key of a map by table.
#[derive(Clone, Copy, Debug)]
pub struct TableKey(pub &'static Table);

impl PartialEq for TableKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl MapKey for TableKey {
    fn parse(name: &str) -> Result<Self, String> {
        table_named(name).map(Self)
    }
}

impl MapKey for LimitKind {
    fn parse(name: &str) -> Result<Self, String> {
        limit(name)
    }
}

fn table_named(name: &str) -> Result<&'static Table, String> {
    table::table(name)
        .ok_or_else(|| format!("unknown table {name:?}{}", did_you_mean(name, TABLES.iter().map(|t| t.name))))
}

/// The table of the view that is being read.
fn view_table(context: &Context<'_>) -> Result<&'static Table, String> {
    table_named(context.table.as_deref().unwrap_or("sockets"))
}

fn check_filter(text: &str, tables: &[&'static Table], context: &Context<'_>) -> Result<(), String> {
    let names = Names { services: context.validators.services, saved: &context.saved };
    let mut error = None;
    for table in tables {
        match Filter::parse_named(text, table, names) {
            Ok(_) => return Ok(()),
            Err(e) => error = error.or(Some(e.message)),
        }
    }
    error.map_or(Ok(()), Err)
}

fn check_grouping(text: &str, context: &Context<'_>) -> Result<(), String> {
    if text == NO_GROUPS {
        return Ok(());
    }
    GroupBy::parse(text, view_table(context)?).map(drop).map_err(|e| e.to_string())
}

/// Values that stay text, with the check they pass.
macro_rules! text_leaves {
    ($($(#[doc = $about:literal])* $name:ident = |$text:ident, $context:ident| $check:expr;)*) => {$(
        $(#[doc = $about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name(pub String);

        impl Leaf for $name {
            fn parse(value: &Value, $context: &Context<'_>) -> Result<Self, String> {
                let $text = text(value)?;
                let checked: Result<(), String> = $check;
                checked.map(|()| Self($text.to_owned()))
            }

            fn to_toml(&self) -> Option<String> {
                Some(in_quotes(&self.0))
            }
        }
    )*};
}

text_leaves! {
    /// Name of a theme.
    ThemeName = |text, context| (context.validators.theme)(text);
    /// Name of a table or of one of the file's views.
    ViewName = |text, context| view_exists(text, &context.views);
    /// Name of a table.
    TableName = |text, _context| table_named(text).map(drop);
    /// A filter for any table.
    SavedFilter = |text, context| check_filter(text, &TABLES, context);
    /// A filter of a view.
    ViewFilter = |text, context| check_filter(text, &[view_table(context)?], context);
    /// Columns of a view.
    ViewColumns = |text, context| table::columns(text, view_table(context)?).map(drop).map_err(|e| e.to_string());
    /// Sort order of a view.
    ViewSort = |text, context| sort::parse(text, view_table(context)?).map(drop).map_err(|e| e.to_string());
    /// Grouping of a view.
    ViewGroup = |text, context| check_grouping(text, context);
}

/// Name of a table or a view as it is typed: also the number of its key, or its title in any case.
pub(in crate::cli) fn view_named(name: &str, views: &[String]) -> Result<String, String> {
    let number = name.parse::<usize>().ok().and_then(|n| TABLES.get(n.checked_sub(1)?));
    let titled = || TABLES.iter().find(|t| t.title.eq_ignore_ascii_case(name));
    match number.or_else(titled).filter(|_| view_exists(name, views).is_err()) {
        Some(table) => Ok(table.noun.to_owned()),
        None => view_exists(name, views).map(|()| name.to_owned()),
    }
}

/// Checks that a table or a view of this name exists.
pub(in crate::cli) fn view_exists(name: &str, views: &[String]) -> Result<(), String> {
    if table::table(name).is_some() || views.iter().any(|v| v == name) {
        return Ok(());
    }
    let known = TABLES.iter().map(|t| t.noun).chain(views.iter().map(String::as_str));
    Err(format!("unknown table or view {name:?}{}", did_you_mean(name, known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_with_units_are_parsed() {
        for (text, ms) in
            [("1s", 1000), ("500ms", 500), ("0.5", 500), ("2", 2000), ("1m", 60_000), (" 3 s", 3000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "0", "0s", "10ms", "-1s", "1x", "NaN", "inf", "9999h", "s", "1..2"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn views_are_named_by_table_title_and_number() {
        let views = ["mine".to_owned(), "7".to_owned()];
        for (typed, want) in [
            ("limits", "limits"),
            ("Limits", "limits"),
            ("forwarding", "forwards"),
            ("3", "processes"),
            ("7", "7"),
            ("mine", "mine"),
        ] {
            assert_eq!(view_named(typed, &views).as_deref(), Ok(want), "{typed}");
        }
        for typed in ["0", "10", "Mine", ""] {
            assert!(view_named(typed, &views).is_err(), "{typed}");
        }
    }

    #[test]
    fn percentages_are_parsed_in_every_spelling() {
        for (text, want) in [("80%", 0.8), ("80", 0.8), ("0.8", 0.8), (" 5 %", 0.05), ("1", 1.0)] {
            assert!((percentage(text).unwrap() - want).abs() < 1e-9, "{text}");
        }
        for text in ["", "x", "-1", "0", "5000%"] {
            assert!(percentage(text).is_err(), "{text}");
        }
    }

    #[test]
    fn unknown_limit_names_the_nearest() {
        assert!(limit("acept").unwrap_err().contains("did you mean \"accept\"?"));
    }
}
