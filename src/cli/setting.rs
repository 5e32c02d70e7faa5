//! The settings of the configuration file, once: what it may say, its comments, and what is checked in it.

use super::config::Config;
use super::plan::{UsageError, time};
use crate::filter::{Filter, Names, Saved};
use crate::format::did_you_mean::nearest;
use crate::model::Services;
use crate::model::limit::CEILINGS;
use crate::table;
use crate::table::{TABLES, Table};
use crate::view::group::GroupBy;
use crate::view::sort;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use toml_edit::{Document, Item, TableLike, Value};

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// `true` or `false`.
    Bool,
    /// A time: `500ms`, `2s`, `1m`.
    Time,
    /// A share: `80%` or `0.8`.
    Share,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any text.
    Text,
    /// Words: a program and its arguments.
    Words,
    /// A filter.
    Filter,
    /// The name of a table.
    Table,
    /// Columns of the table that the name in the path, or `table` beside it, says.
    Columns,
    /// Columns to sort by, of that table.
    Sort,
    /// A column to group by, of that table.
    Group,
    /// The name of a theme.
    Theme,
    /// Keys of the command that the name in the path says.
    Keys,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Where it stands: names from the top, `*` for one of the user's own.
    pub key: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What holds where it is not set, as written in the file; for `*` an example, with its name.
    pub usual: &'static str,
    /// What it does.
    pub help: &'static str,
    /// The flag that says the same for one run.
    pub flag: Option<&'static str>,
}

const fn setting(
    key: &'static str,
    takes: Takes,
    usual: &'static str,
    flag: Option<&'static str>,
    help: &'static str,
) -> Setting {
    Setting { key, takes, usual, help, flag }
}

/// Every setting, in the order of the file.
#[rustfmt::skip]
pub static SETTINGS: &[Setting] = &[
    setting("interval", Takes::Time, "\"1s\"", Some("interval"), "Time between two polls."),
    setting("max_cpu", Takes::Share, "\"25%\"", Some("max-cpu"),
        "Share of one core that the dashboard's polls may take; where they would take more, they are made less often."),
    setting("backend", Takes::Word(&["auto", "netlink", "proc", "portable"]), "\"auto\"", Some("backend"),
        "Where sockets are read from."),
    setting("owners", Takes::Word(&["auto", "bpf", "walk"]), "\"auto\"", Some("owners"),
        "How owners are found: by the kernel's iterator (bpf_iter) or by a walk over /proc/PID/fd."),
    setting("netns", Takes::Text, "\"all\"", Some("netns"),
        "Network namespaces to read: all that can be entered, here, or those of this name."),
    setting("no_engine", Takes::Bool, "false", Some("no-engine"),
        "Ask no container engine (Docker, Podman) for the names of its containers."),
    setting("numeric", Takes::Bool, "false", Some("numeric"), "Numbers instead of service and user names."),
    setting("resolve", Takes::Bool, "false", Some("resolve"),
        "Names of far addresses from the start (reverse DNS, in the background)."),
    setting("read_only", Takes::Bool, "false", Some("read-only"), "The dashboard can end and signal nothing."),
    setting("color", Takes::Word(&["auto", "always", "never"]), "\"auto\"", Some("color"), "When to use colour."),
    setting("theme", Takes::Theme, "\"auto\"", Some("theme"),
        "Colours: auto (by the terminal's background), dark, light, high-contrast, color-blind, color-blind-light, 16, \
         mono, or NAME of themes/NAME.toml beside this file."),
    setting("ascii", Takes::Bool, "false", Some("ascii"), "No characters beyond ASCII in the dashboard."),
    setting("lang", Takes::Word(&["auto", "en", "ko"]), "\"auto\"", Some("lang"),
        "Language of what is explained; auto: that of the locale."),
    setting("view", Takes::Text, "\"sockets\"", Some("view"),
        "What the dashboard starts with: a table, or one of [views]."),
    setting("resume", Takes::Bool, "false", Some("resume"),
        "Start the dashboard as it was left: view, filters, order, columns."),
    setting("filters.*", Takes::Filter, "leaks = \"state:close-wait age>1m\"", None,
        "Filters by name, used as @leaks."),
    setting("columns.*", Takes::Columns, "list = \"proto,state,local,remote,process,rtt\"", Some("columns"),
        "Columns by table; \"+rtt\" adds to the usual ones."),
    setting("views.*.table", Takes::Table, "web.table = \"sockets\"", None, "Views by name: the table,"),
    setting("views.*.filter", Takes::Filter, "web.filter = \"port:80,443\"", None, "what it shows,"),
    setting("views.*.group_by", Takes::Group, "web.group_by = \"remote\"", Some("group-by"), "how it is grouped,"),
    setting("views.*.sort", Takes::Sort, "web.sort = \"rx:desc\"", Some("sort"), "sorted,"),
    setting("views.*.columns", Takes::Columns, "web.columns = \"+rtt,rx,tx\"", None, "and which columns it has."),
    setting("keys.*", Takes::Keys, "refresh = [\"r\", \"f5\"]", None,
        "Keys by name of command (the names stand in the help's palette and in the reference)."),
    setting("alerts.warn", Takes::Share, "\"75%\"", Some("warn"), "Share of a limit that is a warning."),
    setting("alerts.crit", Takes::Share, "\"90%\"", Some("crit"), "Share that is critical."),
    setting("alerts.horizon", Takes::Time, "\"10m\"", None, "Or full within this time."),
    setting("alerts.bell", Takes::Bool, "false", None, "Ring the terminal's bell."),
    setting("alerts.notify", Takes::Word(&["osc9", "osc777"]), "\"osc9\"", None,
        "A desktop notification by the terminal."),
    setting("alerts.command", Takes::Words, "[\"/usr/local/bin/page-me\"]", None,
        "Run for each new alert, with the alert as JSON on its standard input; no shell."),
    setting("alerts.limits.*.warn", Takes::Share, "conntrack.warn = \"60%\"", None, "Other shares for one kind of limit."),
    setting("alerts.limits.*.crit", Takes::Share, "conntrack.crit = \"80%\"", None, "The same, critical."),
    setting("alerts.processes.*.warn", Takes::Share, "nginx.warn = \"50%\"", None,
        "Other shares for the descriptors of one process."),
    setting("alerts.processes.*.crit", Takes::Share, "nginx.crit = \"70%\"", None, "The same, critical."),
];

impl Setting {
    /// The table it stands in: its path without the last name, and without the user's own.
    fn table(&self) -> &'static str {
        let fixed = self.key.split_once(".*").map_or(self.key, |(head, _)| head);
        if fixed.len() < self.key.len() { fixed } else { fixed.rsplit_once('.').map_or("", |(head, _)| head) }
    }

    /// Its line of the file.
    fn line(&self) -> String {
        if self.key.contains('*') {
            return self.usual.to_owned();
        }
        let name = self.key.rsplit('.').next().unwrap_or(self.key);
        format!("{name} = {}", self.usual)
    }
}

/// A whole configuration file in which everything is a comment.
pub fn template() -> String {
    let mut out = String::from(
        "# Settings of sockscope. What is a comment here is what holds anyway, or an example.\n\
         # `sockscope config --check` says what is wrong with this file.\n",
    );
    let mut table = "";
    for s in SETTINGS {
        if s.table() != table {
            table = s.table();
            // Writing to a String cannot fail.
            let _ = write!(out, "\n[{table}]");
        }
        let flag = s.flag.map_or(String::new(), |f| format!(" (--{f})"));
        let _ = write!(out, "\n# {}{flag}\n# {}\n", s.help, s.line());
    }
    out
}

/// What is wrong with a configuration file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// Says what is wrong with giving a command these keys.
pub type KeysFn<'a> = &'a dyn Fn(&str, &[String]) -> Result<(), String>;

/// What only another layer can tell of a value.
pub struct Outside<'a> {
    /// Whether this is a command with these keys, and what is wrong else.
    pub keys: KeysFn<'a>,
    /// Whether there is such a theme and it can be read, and what is wrong else.
    pub theme: &'a dyn Fn(&str) -> Result<(), String>,
    /// Names of ports.
    pub services: &'a Services,
}

impl std::fmt::Debug for Outside<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outside")
    }
}

/// Everything that is wrong with a configuration file, in the order of its lines.
pub fn check(text: &str, outside: &Outside<'_>) -> Vec<Problem> {
    let line_of = |span: Option<Range<usize>>| {
        span.map_or(1, |s| text[..s.start.min(text.len())].matches('\n').count() + 1)
    };
    let document = match Document::parse(text) {
        Ok(d) => d,
        Err(e) => return vec![Problem { line: line_of(e.span()), what: e.message().replace('\n', " ") }],
    };
    let saved: Saved = document
        .get("filters")
        .and_then(Item::as_table_like)
        .map(|t| t.iter().filter_map(|(k, v)| Some((k.to_owned(), v.as_str()?.to_owned()))).collect())
        .unwrap_or_default();
    let mut walk = Walk { outside, saved, problems: Vec::new(), line_of: &line_of };
    walk.table(document.as_table(), &mut Vec::new());
    walk.problems.sort_by_key(|p| p.line);
    // What the parts do not show: that the whole is a configuration.
    if walk.problems.is_empty()
        && let Err(e) = toml::from_str::<Config>(text)
    {
        walk.problems.push(Problem { line: line_of(e.span()), what: e.message().replace('\n', " ") });
    }
    walk.problems
}

/// The first of it, for who reads the file to use it.
pub fn first(text: &str, file: &Path, outside: &Outside<'_>) -> Result<(), UsageError> {
    match check(text, outside).first() {
        Some(p) => Err(UsageError(format!("{}, {p}", file.display()))),
        None => Ok(()),
    }
}

/// Every setting as it holds under this file, as lines of a file, and whether the file says it.
pub fn in_force(text: &str) -> Vec<(String, bool)> {
    let document = Document::parse(text.to_owned()).map(Document::into_mut).unwrap_or_default();
    let mut out = Vec::new();
    for s in SETTINGS {
        let mut found = Vec::new();
        matching(document.as_table(), s.key, "", &mut found);
        if found.is_empty() && !s.key.contains('*') {
            out.push((format!("{} = {}", s.key, s.usual), false));
        }
        out.extend(found.into_iter().map(|line| (line, true)));
    }
    out
}

/// The values that stand at a setting's place, as lines.
fn matching(table: &dyn TableLike, key: &str, above: &str, out: &mut Vec<String>) {
    let (name, rest) = key.split_once('.').map_or((key, None), |(n, r)| (n, Some(r)));
    for (k, item) in table.iter().filter(|(k, _)| name == "*" || *k == name) {
        let path = format!("{above}{}", toml_edit::Key::new(k));
        match (rest, item) {
            (Some(rest), item) => {
                if let Some(inner) = item.as_table_like() {
                    matching(inner, rest, &format!("{path}."), out);
                }
            }
            (None, item) => out.extend(item.as_value().map(|v| format!("{path} = {}", v.to_string().trim()))),
        }
    }
}

struct Walk<'a> {
    outside: &'a Outside<'a>,
    saved: Saved,
    problems: Vec<Problem>,
    line_of: &'a dyn Fn(Option<Range<usize>>) -> usize,
}

/// Whether a path is one that a setting's begins with, or is.
fn fits(key: &str, path: &[String]) -> bool {
    let mut names = key.split('.');
    path.iter().all(|p| names.next().is_some_and(|n| n == "*" || n == p))
}

impl Walk<'_> {
    fn table(&mut self, table: &dyn TableLike, path: &mut Vec<String>) {
        for (name, item) in table.iter() {
            path.push(name.to_owned());
            let at = (self.line_of)(table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span()));
            let what = match (SETTINGS.iter().find(|s| depth(s) == path.len() && fits(s.key, path)), item) {
                (Some(s), item) => match item.as_value() {
                    Some(v) => self.value(s, v, table, path).err(),
                    None => Some(format!("{} is one value, no table", path.join("."))),
                },
                (None, item) if SETTINGS.iter().any(|s| fits(s.key, path)) => match item.as_table_like() {
                    Some(inner) => {
                        self.table(inner, path);
                        None
                    }
                    None => Some(format!("{} is a table, no value", path.join("."))),
                },
                (None, _) => Some(unknown(path)),
            };
            self.problems.extend(what.map(|what| Problem { line: at, what }));
            path.pop();
        }
    }

    fn value(&self, s: &Setting, v: &Value, beside: &dyn TableLike, path: &[String]) -> Result<(), String> {
        let key = path.join(".");
        let own = s.key.split('.').position(|n| n == "*").map(|i| path[i].as_str());
        if let Takes::Bool = s.takes {
            return v.as_bool().map(drop).ok_or_else(|| format!("{key} is true or false"));
        }
        let words: Option<Vec<String>> = match v {
            Value::Array(a) => a.iter().map(|w| w.as_str().map(str::to_owned)).collect(),
            v => v.as_str().map(|w| vec![w.to_owned()]),
        };
        match (s.takes, words) {
            (Takes::Words, Some(_)) if v.is_array() => return Ok(()),
            (Takes::Words, _) => return Err(format!("{key} is a list of words")),
            (Takes::Keys, Some(words)) => return (self.outside.keys)(own.unwrap_or(""), &words),
            _ => {}
        }
        let Some(text) = v.as_str() else { return Err(format!("{key} is a text, in quotes")) };
        if own.is_some_and(|n| s.key.starts_with("alerts.limits") && CEILINGS.iter().all(|c| c.name != n)) {
            let near = nearest(own.unwrap_or(""), CEILINGS.iter().map(|c| c.name));
            return Err(format!("{key}: no such limit{}", hint(near)));
        }
        let named = match (s.key.split_once('.'), own) {
            (Some(("columns", _)), Some(name)) => name,
            _ => beside.get("table").and_then(Item::as_str).unwrap_or("sockets"),
        };
        let table = || table_of(named).ok_or_else(|| no_table(named));
        let said = |e: &dyn std::fmt::Display| format!("{key}: {e}");
        match s.takes {
            Takes::Time => time(&key, text).map(drop).map_err(|e| e.to_string()),
            Takes::Share => super::check::share(&key, text).map(drop).map_err(|e| e.to_string()),
            Takes::Word(words) if words.contains(&text) => Ok(()),
            Takes::Word(words) => Err(format!("{key}: {text:?} is not one of {}", words.join(", "))),
            Takes::Table => table_of(text).map(drop).ok_or_else(|| said(&no_table(text))),
            Takes::Columns => table::columns(text, table()?).map(drop).map_err(|e| said(&e)),
            Takes::Sort => sort::parse(text, table()?).map(drop).map_err(|e| said(&e)),
            Takes::Group => GroupBy::parse(text, table()?).map(drop).map_err(|e| said(&e)),
            Takes::Filter => {
                let names = Names { services: self.outside.services, saved: &self.saved };
                // One by name alone may be meant for any table.
                let tables = if s.key == "filters.*" { TABLES.to_vec() } else { vec![table()?] };
                let tried = tables.into_iter().map(|t| Filter::parse_named(text, t, names));
                let mut wrong = None;
                for t in tried {
                    match t {
                        Ok(_) => return Ok(()),
                        Err(e) => wrong = wrong.or(Some(e)),
                    }
                }
                wrong.map_or(Ok(()), |e| Err(said(&e.message)))
            }
            Takes::Theme => (self.outside.theme)(text),
            Takes::Text | Takes::Bool | Takes::Words | Takes::Keys => Ok(()),
        }
    }
}

fn depth(s: &Setting) -> usize {
    s.key.split('.').count()
}

fn table_of(name: &str) -> Option<&'static Table> {
    table::table(name)
}

fn no_table(name: &str) -> String {
    format!("no table {name:?}{}", hint(nearest(name, TABLES.iter().map(|t| t.name))))
}

fn hint(near: Option<&str>) -> String {
    near.map_or(String::new(), |n| format!(", did you mean {n:?}?"))
}

/// What is said of a name that no setting has, with the nearest that one has there.
fn unknown(path: &[String]) -> String {
    let (last, head) = path.split_last().map_or(("", path), |(l, h)| (l.as_str(), h));
    let there =
        SETTINGS.iter().filter(|s| fits(s.key, head)).filter_map(|s| s.key.split('.').nth(head.len()));
    let place = if head.is_empty() { String::new() } else { format!(" in [{}]", head.join(".")) };
    format!("unknown key {last:?}{place}{}", hint(nearest(last, there.filter(|n| *n != "*"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let keys = |command: &str, _: &[String]| {
            if command == "quit" { Ok(()) } else { Err(format!("no command {command:?}")) }
        };
        let theme = |name: &str| if name == "auto" { Ok(()) } else { Err(format!("no theme {name:?}")) };
        let outside = Outside { keys: &keys, theme: &theme, services: Services::well_known() };
        check(text, &outside).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_template_is_a_comment_and_what_it_says_holds() {
        let text = template();
        assert_eq!(problems(&text), [""; 0]);
        assert_eq!(toml::from_str::<Config>(&text), Ok(Config::default()));
        // With every setting switched on, it is a good file too.
        let on = |l: &str| match l.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") => rest.replace("refresh = ", "quit = "),
            _ => l.to_owned(),
        };
        let all: String = text.lines().map(|l| on(l) + "\n").collect();
        assert_eq!(problems(&all), [""; 0], "{all}");
        let config: Config = toml::from_str(&all).unwrap();
        assert_ne!(config, Config::default());
        for s in SETTINGS {
            assert!(all.contains(&format!("\n{}", s.line().replace("refresh = ", "quit = "))), "{}", s.key);
            assert!(s.help.ends_with(['.', ',']), "{}", s.key);
        }
    }

    #[test]
    fn every_field_of_the_configuration_is_a_setting() {
        // Every name that the configuration knows is in the message on one that it does not.
        for (text, prefix) in
            [("zzz = 1", ""), ("[alerts]\nzzz = 1", "alerts."), ("[views.a]\nzzz = 1", "views.*.")]
        {
            let e = toml::from_str::<Config>(text).unwrap_err().to_string();
            let known: Vec<&str> = e.split('`').skip(3).step_by(2).collect();
            assert!(known.len() > 3, "{e}");
            for name in known {
                let key = format!("{prefix}{name}");
                let there = |s: &Setting| s.key == key || s.key.starts_with(&format!("{key}."));
                assert!(SETTINGS.iter().any(there), "{key} is no setting");
            }
        }
    }

    #[test]
    fn every_flag_of_every_command_is_a_setting() {
        use clap::CommandFactory;
        // Which file to read, and what to read instead of this machine, belong to one run.
        const ONE_RUN: [&str; 5] = ["config", "proc-root", "demo", "help", "version"];
        let command = crate::cli::Args::command();
        let flags: Vec<&str> =
            command.get_arguments().filter(|a| a.is_global_set()).filter_map(clap::Arg::get_long).collect();
        assert!(flags.len() > 6);
        for flag in flags.iter().filter(|f| !ONE_RUN.contains(f)) {
            assert!(SETTINGS.iter().any(|s| s.flag == Some(flag)), "--{flag} is no setting");
        }
        let known = |flag: &str| {
            let all = std::iter::once(&command).chain(command.get_subcommands());
            all.flat_map(clap::Command::get_arguments).any(|a| a.get_long() == Some(flag))
        };
        assert!(SETTINGS.iter().filter_map(|s| s.flag).all(known));
    }

    #[test]
    fn what_holds() {
        let lines = in_force(
            "interval = \"2s\"\n[filters]\n\"a b\" = \"x\"\n[alerts]\nlimits.fds = { warn = \"1%\" }\n",
        );
        let set: Vec<&str> = lines.iter().filter(|l| l.1).map(|l| l.0.as_str()).collect();
        assert_eq!(set, ["interval = \"2s\"", "filters.\"a b\" = \"x\"", "alerts.limits.fds.warn = \"1%\""]);
        assert!(lines.contains(&("alerts.crit = \"90%\"".to_owned(), false)));
        assert!(!lines.iter().any(|l| l.0.contains('*')));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_the_nearest_name() {
        let text = "intervall = \"2s\"\ninterval = 2\n\ncolor = \"pink\"\nnumeric = \"yes\"\n\n\
                    [columns]\nlist = \"rtx\"\nlisst = \"proto\"\n[filters]\na = \"port:\"\nb = \"fds>80%\"\n\
                    [alerts]\nwarm = \"1%\"\nwarn = \"x\"\n[alerts.limits.conntrak]\nwarn = \"50%\"\n\
                    [keys]\nquit = [\"Q\"]\nqit = \"Q\"\n[views.web]\nsort = \"rx:desc\"\ngroup_by = \"remot\"\n";
        let said = problems(text);
        let want = [
            "line 1: unknown key \"intervall\", did you mean \"interval\"?",
            "line 2: interval is a text, in quotes",
            "line 4: color: \"pink\" is not one of auto, always, never",
            "line 5: numeric is true or false",
            "line 8: columns.list: ",
            "line 9: no table \"lisst\", did you mean \"list\"?",
            "line 11: filters.a: ",
            "line 14: unknown key \"warm\" in [alerts], did you mean \"warn\"?",
            "line 15: alerts.warn: \"x\" is no share",
            "line 17: alerts.limits.conntrak.warn: no such limit, did you mean \"conntrack\"?",
            "line 20: no command \"qit\"",
            "line 23: views.web.group_by: ",
        ];
        assert_eq!(said.len(), want.len(), "{said:#?}");
        for (s, w) in said.iter().zip(want) {
            assert!(s.starts_with(w), "{s}\n{w}");
        }
        assert_eq!(problems("\na = [\n")[0].split(':').next(), Some("line 2"));
        assert_eq!(problems("filters = 1\n"), ["line 1: filters is a table, no value"]);
        assert_eq!(problems("[interval]\nx = 1\n"), ["line 1: interval is one value, no table"]);
    }
}
