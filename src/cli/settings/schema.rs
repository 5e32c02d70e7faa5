//! The schema of the settings: groups of fields, maps with names of the user's own, and values.
//!
//! The `group!` macro makes a struct, its defaults, its part of the registry and its reader out of one list of fields. A field's
//! type parses the value, so a struct that was read is a struct that was checked.

use crate::filter::Saved;
use crate::format::did_you_mean::nearest;
use crate::model::Services;
use clap::builder::PossibleValue;
use std::ops::Range;
use toml_edit::{Item, TableLike, Value};

/// One setting, as help, manual page, reference, flags and the commented file show it.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Full key: names from the top, `*` for a name of the user's own.
    pub key: String,
    /// One sentence on what it does.
    pub help: String,
    /// Default value as TOML; `None` for entries of a map, which have none.
    pub default: Option<String>,
    /// Example value as TOML, if the default is not enough.
    pub example: Option<&'static str>,
    /// The flag that sets it for one run, without dashes.
    pub flag: Option<&'static str>,
    /// The values it takes, where they can be listed.
    pub choices: Vec<PossibleValue>,
    pub(super) short: Option<char>,
    pub(super) value_name: Option<&'static str>,
    /// Accepted by every command.
    pub(super) global: bool,
    /// Takes no value on the command line.
    pub(super) switch: bool,
    /// Names for the `*` of an example.
    pub(super) names: Vec<&'static str>,
    /// Help of the group or map it is in.
    pub(super) section_help: String,
}

/// Parts of a field's declaration beside its type, default and help.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spec {
    pub(super) flag: Option<&'static str>,
    pub(super) global: bool,
    pub(super) short: Option<char>,
    pub(super) value_name: Option<&'static str>,
    pub(super) example: Option<&'static str>,
    pub(super) example_name: Option<&'static str>,
}

impl Spec {
    pub(super) const NONE: Self =
        Self { flag: None, global: false, short: None, value_name: None, example: None, example_name: None };

    pub(super) const fn short(self, letter: char) -> Self {
        Self { short: Some(letter), ..self }
    }

    pub(super) const fn value(self, name: &'static str) -> Self {
        Self { value_name: Some(name), ..self }
    }
}

/// A setting with a flag that every command takes; the flag is made from the setting.
pub(super) const fn global(flag: &'static str) -> Spec {
    Spec { flag: Some(flag), global: true, ..Spec::NONE }
}

/// A setting for which some commands declare a flag of their own.
pub(super) const fn flag(flag: &'static str) -> Spec {
    Spec { flag: Some(flag), ..Spec::NONE }
}

/// A setting with an example value.
pub(super) const fn example(toml: &'static str) -> Spec {
    Spec { example: Some(toml), ..Spec::NONE }
}

/// A map, with the name that its examples use.
pub(super) const fn named(name: &'static str) -> Spec {
    Spec { example_name: Some(name), ..Spec::NONE }
}

/// Position of a node in the registry.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    pub(super) key: String,
    pub(super) help: String,
    pub(super) spec: Spec,
    pub(super) names: Vec<&'static str>,
    pub(super) section_help: String,
}

impl Place {
    /// The place of a field of the group here.
    pub(super) fn field(&self, name: &str, help: &str, spec: Spec) -> Self {
        let key = if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) };
        let section_help = if self.key.ends_with('*') { &self.section_help } else { &self.help };
        Self {
            key,
            help: help.trim().to_owned(),
            spec,
            names: self.names.clone(),
            section_help: section_help.clone(),
        }
    }
}

/// A part of the settings: a value, a group of them, or a map.
pub(super) trait Node {
    /// Adds the settings at this place to the registry.
    fn describe(&self, place: Place, out: &mut Vec<Setting>);
    /// Reads what the file has here; problems go to the reader.
    fn read(&mut self, item: &Item, reader: &mut Reader<'_>);
}

/// The value of one setting. Parsing is validation.
pub(super) trait Leaf: Sized {
    /// On the command line it is a switch without a value.
    const SWITCH: bool = false;

    /// Parses a TOML value; the error is what follows the key, such as `invalid duration "soon": expected …`.
    fn parse(value: &Value, context: &Context<'_>) -> Result<Self, String>;

    /// The value as TOML, for defaults.
    fn to_toml(&self) -> Option<String> {
        None
    }

    /// The values there are, where they can be listed.
    fn choices() -> Vec<PossibleValue> {
        Vec::new()
    }
}

impl<T: Leaf> Node for T {
    fn describe(&self, place: Place, out: &mut Vec<Setting>) {
        let Place { key, help, spec, names, section_help } = place;
        out.push(Setting {
            default: if key.contains('*') { None } else { self.to_toml() },
            key,
            help,
            example: spec.example,
            flag: spec.flag,
            choices: T::choices(),
            short: spec.short,
            value_name: spec.value_name,
            global: spec.global,
            switch: T::SWITCH,
            names,
            section_help,
        });
    }

    fn read(&mut self, item: &Item, reader: &mut Reader<'_>) {
        let Some(value) = item.as_value() else {
            return reader.report("expected a value, not a table");
        };
        match T::parse(value, &reader.context) {
            Ok(parsed) => *self = parsed,
            Err(what) => reader.report(&what),
        }
    }
}

/// A name of the user's own that a map has as its key.
pub(super) trait MapKey: Sized + PartialEq {
    /// Parses the name; the error is what follows the key.
    fn parse(name: &str) -> Result<Self, String>;
}

impl MapKey for String {
    fn parse(name: &str) -> Result<Self, String> {
        Ok(name.to_owned())
    }
}

/// Settings by name, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Map<K, T>(Vec<(K, T)>);

impl<K, T> Default for Map<K, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq, T> Map<K, T> {
    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &T)> {
        self.0.iter().map(|(k, t)| (k, t))
    }

    /// The entry of this name.
    pub fn get(&self, key: &K) -> Option<&T> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, t)| t)
    }
}

impl<K: MapKey, T: Node + Default> Node for Map<K, T> {
    fn describe(&self, mut place: Place, out: &mut Vec<Setting>) {
        place.key.push_str(".*");
        place.names.extend(place.spec.example_name);
        place.section_help.clone_from(&place.help);
        T::default().describe(place, out);
    }

    fn read(&mut self, item: &Item, reader: &mut Reader<'_>) {
        let Some(table) = reader.table(item) else { return };
        reader.each(table, |name, item, reader| match K::parse(name) {
            Ok(key) => {
                let mut value = T::default();
                name.clone_into(&mut reader.context.name);
                value.read(item, reader);
                self.0.push((key, value));
            }
            Err(what) => reader.report(&what),
        });
    }
}

/// A check that only a higher layer can make of a text.
pub type Check<'a> = &'a dyn Fn(&str) -> Result<(), String>;
/// A check of a command's name and its keys.
pub type KeysCheck<'a> = &'a dyn Fn(&str, &[String]) -> Result<(), String>;

/// Checks that only a higher layer can make.
#[derive(Clone, Copy)]
pub struct Validators<'a> {
    /// Keys of a command: the command exists, and the keys can be parsed.
    pub keys: KeysCheck<'a>,
    /// A theme of this name exists.
    pub theme: Check<'a>,
    /// Names of ports, for filters.
    pub services: &'a Services,
}

impl std::fmt::Debug for Validators<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Validators")
    }
}

/// Context that values are parsed in.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) validators: Validators<'a>,
    /// Saved filters of the file.
    pub(super) saved: Saved,
    /// Names of the file's views.
    pub(super) views: Vec<String>,
    /// Name of the innermost map entry.
    pub(super) name: String,
    /// Value of the key `table` beside this one.
    pub(super) table: Option<String>,
}

/// A problem in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The key and what is wrong with it.
    pub what: String,
}

/// Line of a position in the text, from 1.
pub(super) fn line_at(text: &str, span: Option<Range<usize>>) -> usize {
    span.map_or(1, |s| text[..s.start.min(text.len())].matches('\n').count() + 1)
}

/// The state of reading one file.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    pub(super) context: Context<'a>,
    pub(super) path: Vec<String>,
    pub(super) line: usize,
    pub(super) problems: Vec<Problem>,
}

impl Reader<'_> {
    /// Reports a problem with the key that is being read.
    pub(super) fn report(&mut self, what: &str) {
        let what = format!("{}: {what}", self.path.join("."));
        self.problems.push(Problem { line: self.line, what });
    }

    /// Reports the key that is being read as unknown, with the nearest of those there are.
    pub(super) fn report_unknown(&mut self, known: &[&str]) {
        let (key, parents) = self.path.split_last().map_or(("", &[][..]), |(k, p)| (k.as_str(), p));
        let section = if parents.is_empty() { String::new() } else { format!(" in [{}]", parents.join(".")) };
        let hint = did_you_mean(key, known.iter().copied());
        self.problems.push(Problem { line: self.line, what: format!("unknown key {key:?}{section}{hint}") });
    }

    /// The table at this key; anything else is a problem.
    pub(super) fn table<'i>(&mut self, item: &'i Item) -> Option<&'i dyn TableLike> {
        let table = item.as_table_like();
        if table.is_none() {
            self.report("expected a table, not a value");
        }
        table
    }

    /// Reads each entry of a table, with the path and the line set to it.
    pub(super) fn each(&mut self, table: &dyn TableLike, mut read: impl FnMut(&str, &Item, &mut Self)) {
        let beside = table.get("table").and_then(Item::as_str).map(str::to_owned);
        let outer = (std::mem::replace(&mut self.context.table, beside), self.line);
        for (name, item) in table.iter() {
            let span = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
            self.line = line_at(self.text, span);
            self.path.push(name.to_owned());
            read(name, item, self);
            self.path.pop();
        }
        (self.context.table, self.line) = outer;
    }
}

/// `, did you mean "x"?`, or nothing.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |n| format!(", did you mean {n:?}?"))
}

/// Declares a group of settings: a struct with its defaults, its registry entries and its reader. Each field has its help as
/// its doc comment, then name, type, default, and where needed a flag or an example.
macro_rules! group {
    (
        $(#[doc = $about:literal])*
        pub struct $Group:ident {
            $( $(#[doc = $help:literal])+ $field:ident: $type:ty = $default:expr $(, $spec:expr)?; )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Group {
            $( $(#[doc = $help])+ pub $field: $type, )*
        }

        impl Default for $Group {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $Group {
            /// Reads one entry of this group.
            pub(in crate::cli::settings) fn read_entry(
                &mut self,
                name: &str,
                item: &toml_edit::Item,
                reader: &mut $crate::cli::settings::schema::Reader<'_>,
            ) {
                use $crate::cli::settings::schema::Node;
                match name {
                    $( stringify!($field) => self.$field.read(item, reader), )*
                    _ => reader.report_unknown(&[$( stringify!($field) ),*]),
                }
            }
        }

        impl $crate::cli::settings::schema::Node for $Group {
            fn describe(
                &self,
                place: $crate::cli::settings::schema::Place,
                out: &mut Vec<$crate::cli::settings::schema::Setting>,
            ) {
                use $crate::cli::settings::schema::Spec;
                $(
                    let spec = [$($spec,)? Spec::NONE][0];
                    self.$field.describe(place.field(stringify!($field), concat!($($help),+), spec), out);
                )*
            }

            fn read(
                &mut self,
                item: &toml_edit::Item,
                reader: &mut $crate::cli::settings::schema::Reader<'_>,
            ) {
                let Some(table) = reader.table(item) else { return };
                reader.each(table, |name, item, reader| self.read_entry(name, item, reader));
            }
        }
    };
}
pub(super) use group;
