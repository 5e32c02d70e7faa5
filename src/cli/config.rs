//! The configuration file (TOML): what one would else type each time, filters by name, columns by table.

use super::plan::UsageError;
use crate::filter::Saved;
use crate::view::preset::{Preset, Presets};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between two polls, as for `--interval`.
    pub interval: Option<String>,
    /// Share of one core that polls may take, as for `--max-cpu`.
    pub max_cpu: Option<String>,
    /// Where sockets are read from, as for `--backend`.
    pub backend: Option<String>,
    /// How owners are found, as for `--owners`.
    pub owners: Option<String>,
    /// Network namespaces to read, as for `--netns`.
    pub netns: Option<String>,
    /// Container engines are not asked, as for `--no-engine`.
    pub no_engine: bool,
    /// Numbers instead of service and user names.
    pub numeric: bool,
    /// Names of far addresses, as for `--resolve`.
    pub resolve: bool,
    /// The dashboard can end and signal nothing.
    pub read_only: bool,
    /// When to use colour: `auto`, `always` or `never`.
    pub color: Option<String>,
    /// Colours, as for `--theme`.
    pub theme: Option<String>,
    /// No characters beyond ASCII in the dashboard.
    pub ascii: bool,
    /// Language of what is explained: `auto`, `en` or `ko`.
    pub lang: Option<String>,
    /// What the dashboard starts with: a table, or one of `views`.
    pub view: Option<String>,
    /// Start the dashboard as it was left.
    pub resume: bool,
    /// Filters by name, to be used as `@name`.
    pub filters: Saved,
    /// Columns by table, as for `--columns`: `list = "proto,local,remote"`.
    pub columns: BTreeMap<String, String>,
    /// Views by name.
    pub views: Presets,
    /// When an alert is raised and what is done then.
    pub alerts: Alerts,
    /// Keys of the dashboard by name of command: `quit = "Q"`, `refresh = ["r", "f5"]`.
    pub keys: BTreeMap<String, OneOrMore>,
    /// What is to be said about the file itself.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// One word or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One.
    One(String),
    /// Several, or none.
    Several(Vec<String>),
}

impl OneOrMore {
    /// All of them.
    pub fn all(self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word],
            Self::Several(words) => words,
        }
    }
}

/// The part of the file on alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// Share above which it is a warning: `"75%"`.
    pub warn: Option<String>,
    /// Share above which it is critical: `"90%"`.
    pub crit: Option<String>,
    /// Time until full below which it is a warning: `"10m"`.
    pub horizon: Option<String>,
    /// Ring the terminal's bell.
    pub bell: bool,
    /// Tell the desktop through the terminal: `osc9` or `osc777`.
    pub notify: Option<String>,
    /// Run this, an argument a word, with the alert as JSON on its standard input. No shell is between.
    pub command: Vec<String>,
    /// Other shares for a kind of ceiling, by its name.
    pub limits: BTreeMap<String, Shares>,
    /// Other shares for the descriptors of a process, by its name.
    pub processes: BTreeMap<String, Shares>,
}

/// Two shares.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shares {
    /// Above it is a warning.
    pub warn: String,
    /// Above it is critical.
    pub crit: String,
}

impl Config {
    /// From the text of a file.
    pub fn parse(text: &str, file: &Path) -> Result<Self, UsageError> {
        toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |s| text[..s.start.min(text.len())].matches('\n').count() + 1);
            let what = e.message().replace('\n', " ");
            UsageError(format!("{}, line {line}: {what}", file.display()))
        })
    }

    /// The text of a file. There is none where it cannot be read, unless somebody named it.
    pub fn text(file: &Path, named: bool) -> Result<Option<String>, UsageError> {
        // One that gives nothing until somebody writes into it would hold up everything.
        let kind = std::fs::metadata(file).map(|m| m.file_type());
        if kind.is_ok_and(|k| k.is_fifo() || k.is_socket() || k.is_dir()) {
            return Err(UsageError(format!("read {}: it is no file", file.display())));
        }
        match std::fs::read_to_string(file) {
            Ok(text) => Ok(Some(text)),
            // Not there, or another user's: `sudo -u` keeps the home directory.
            Err(e) if !named && e.kind() != io::ErrorKind::InvalidData => Ok(None),
            Err(e) => Err(UsageError(format!("read {}: {e}", file.display()))),
        }
    }
}

/// The text of a configuration file with one more entry in one of its tables; comments and order stay.
fn with_entry(text: &str, table: &str, name: &str, entry: toml_edit::Item) -> Result<String, UsageError> {
    let mut doc: toml_edit::DocumentMut =
        text.parse().map_err(|e: toml_edit::TomlError| UsageError(e.message().replace('\n', " ")))?;
    let place = doc.entry(table).or_insert_with(toml_edit::table);
    match place.as_table_like_mut() {
        Some(t) => t.insert(name, entry),
        None => return Err(UsageError(format!("{table} is no table"))),
    };
    Ok(doc.to_string())
}

/// With one more filter.
pub fn with_filter(text: &str, name: &str, filter: &str) -> Result<String, UsageError> {
    with_entry(text, "filters", name, toml_edit::value(filter))
}

/// With one more view.
pub fn with_view(text: &str, name: &str, view: &Preset) -> Result<String, UsageError> {
    let view = toml_edit::ser::to_document(view).map_err(|e| UsageError(e.to_string()))?;
    let values = view.as_table().iter().filter_map(|(k, v)| Some((k.to_owned(), v.as_value()?.clone())));
    let entry: toml_edit::InlineTable = values.collect();
    with_entry(text, "views", name, toml_edit::value(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_what_is_wrong_with_one() {
        let file = Path::new("c.toml");
        let c = Config::parse(
            "interval = \"2s\"\n[filters]\nleak = \"state:close-wait\"\n[columns]\nlist = \"+rtt\"\n",
            file,
        )
        .unwrap();
        assert_eq!(c.interval.as_deref(), Some("2s"));
        assert_eq!(c.filters["leak"], "state:close-wait");
        for (text, want) in [
            ("interval = 2", "c.toml, line 1: "),
            ("\n\nintervall = \"2s\"", "c.toml, line 3: unknown field `intervall`"),
            ("[filters]\nx = 1\n", "c.toml, line 2: "),
            ("[[", "c.toml, line 1: "),
        ] {
            let e = Config::parse(text, file).unwrap_err().to_string();
            assert!(e.starts_with(want) && !e.contains('\n'), "{text}: {e}");
        }
        assert_eq!(Config::text(Path::new("/no/such"), false), Ok(None));
        assert!(Config::text(Path::new("/tmp"), false).unwrap_err().to_string().ends_with("it is no file"));
        let e = Config::text(Path::new("/no/such"), true).unwrap_err().to_string();
        assert!(e.starts_with("read /no/such: "), "{e}");
    }

    #[test]
    fn saving_a_filter_keeps_the_rest() {
        let before = "# mine\ninterval = \"2s\" # slow\n\n[filters]\na = \"x\"\n";
        let after = with_filter(before, "leak", "state:close-wait \"a b\"").unwrap();
        assert!(after.starts_with("# mine\ninterval = \"2s\" # slow\n"));
        let c = Config::parse(&after, Path::new("x")).unwrap();
        assert_eq!(c.filters.len(), 2);
        assert_eq!(c.filters["leak"], "state:close-wait \"a b\"");
        assert_eq!(with_filter("", "n", "v").unwrap(), "[filters]\nn = \"v\"\n");
        let view = Preset { filter: "port:443".into(), sort: Some("rx:desc".into()), ..Preset::default() };
        let after = with_view(&after, "web", &view).unwrap();
        assert!(
            after.ends_with("\n[views]\nweb = { filter = \"port:443\", sort = \"rx:desc\" }\n"),
            "{after}"
        );
        assert_eq!(Config::parse(&after, Path::new("x")).unwrap().views["web"], view);
        assert!(with_filter("filters = 1", "n", "v").is_err() && with_filter("[", "n", "v").is_err());
    }
}
