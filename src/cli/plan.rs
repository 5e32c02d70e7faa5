//! What the command line comes to: every word checked, every name resolved, before anything is read.

use super::args::{Args, BackendArg, ColorArg, Command, ConfigArgs, FormatArg, List, OwnersArg, ScreenForm};
use super::check::{self, CheckPlan};
use super::config::{Alerts, Config};
use crate::explain::Lang;
use crate::filter::{Filter, Names, Saved};
use crate::format::did_you_mean;
use crate::format::{Column, Role};
use crate::model::{AlertRules, AttrSet, Backend, Netns, OwnersBy, Reads, Services};
use crate::output::Format;
use crate::table;
use crate::table::Table;
use crate::table::{FORWARDS, LIMITS, PEERS, PORTS, PROCESSES, SOCKETS};
use crate::view::group::GroupBy;
use crate::view::preset::Presets;
use crate::view::sort::{self, SortKey};
use clap::{CommandFactory, ValueEnum};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Share of one core that polls may take where nobody said.
const MAX_CPU: f64 = 0.25;

/// What to do, checked.
#[derive(Debug)]
pub struct Plan {
    /// What.
    pub what: What,
    /// Time between two polls, where somebody chose.
    pub interval: Option<Duration>,
    /// Share of one core that the dashboard's polls may take.
    pub max_cpu: f64,
    /// Backend asked for; `None`: the best that answers.
    pub backend: Option<Backend>,
    /// How owners are to be found; `None`: by what costs less.
    pub owners: Option<OwnersBy>,
    /// A captured tree to read.
    pub proc_root: Option<PathBuf>,
    /// A scene to read instead of this machine: its name or its file.
    pub demo: Option<String>,
    /// Network namespaces to read.
    pub netns: Netns,
    /// Whether container engines are asked for the names of their containers.
    pub engine: bool,
    /// Nothing can be ended or signalled.
    pub read_only: bool,
    /// What is to be said beside what was asked for.
    pub notes: Vec<String>,
    /// Names of far addresses from the start.
    pub resolve: bool,
    /// Language of what is explained; `None`: that of the locale.
    pub lang: Option<Lang>,
    /// The table or the view that the dashboard starts with.
    pub start: Option<String>,
    /// Start the dashboard as it was left.
    pub resume: bool,
    /// Views by name.
    pub views: Presets,
    /// Numbers instead of names.
    pub numeric: bool,
    /// Names of ports to show; none with `--numeric`.
    pub services: Arc<Services>,
    /// Names that ports may be written by.
    pub names: Arc<Services>,
    /// The configuration file that was named.
    pub config_file: Option<PathBuf>,
    /// Columns that the configuration file chose, by table.
    pub columns: Vec<(String, Vec<&'static Column>)>,
    /// Filters by name.
    pub saved: Saved,
    /// When an alert is raised.
    pub rules: AlertRules,
    /// What is done when one is.
    pub alerts: Alerts,
    /// When to use colour.
    pub color: ColorArg,
    /// Which colours, by name; `None`: as suits the terminal.
    pub theme: Option<String>,
    /// No characters beyond ASCII in the dashboard.
    pub ascii: bool,
    /// Keys by name of command.
    pub keys: BTreeMap<String, Vec<String>>,
}

/// Which kind of run.
#[derive(Debug)]
pub enum What {
    /// The dashboard, or the listing where standard output is no terminal.
    Dashboard(ListPlan),
    /// Print rows.
    List(ListPlan),
    /// Print the columns of a table.
    Columns(&'static Table),
    /// Judge limits.
    Check(Box<CheckPlan>),
    /// Print a completion script.
    Completions(clap_complete::Shell),
    /// Say what a topic is; `None`: list them.
    Explain(Option<String>),
    /// Print, write or check settings.
    Config(ConfigArgs),
    /// Print what the dashboard shows.
    Screenshot(Box<ScreenshotPlan>),
    /// Print the manual page.
    Man,
    /// Print the reference page.
    Reference,
}

/// A screen to print, checked.
#[derive(Clone, Debug)]
pub struct ScreenshotPlan {
    /// What it shows.
    pub list: ListPlan,
    /// Columns and lines.
    pub size: (u16, u16),
    /// Polls before it is taken, at least one.
    pub polls: u32,
    /// Keys to press then.
    pub keys: String,
    /// In which form.
    pub form: ScreenForm,
}

/// `120x36`: from 1x1 to 1000x1000.
fn screen_size(text: &str) -> Result<(u16, u16), UsageError> {
    let size = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    size.filter(|(w, h)| (1..=1000).contains(w) && (1..=1000).contains(h))
        .ok_or_else(|| UsageError(format!("--size: {text:?} is no size; write it like 120x36")))
}

/// A listing, checked.
#[derive(Clone, Debug)]
pub struct ListPlan {
    /// Which table.
    pub table: &'static Table,
    /// The filter as typed.
    pub filter_text: String,
    /// The filter.
    pub filter: Filter,
    /// Columns in order.
    pub columns: Vec<&'static Column>,
    /// Whether names of far addresses are asked for: nothing is sent to a resolver without it.
    pub resolve: bool,
    /// Whether somebody chose them.
    pub chosen: bool,
    /// Order.
    pub sort: Vec<SortKey>,
    /// Groups.
    pub group: Option<GroupBy>,
    /// At most so many rows.
    pub top: Option<usize>,
    /// In which form.
    pub format: Format,
    /// Whether with titles.
    pub header: bool,
    /// Only their number.
    pub count: bool,
    /// Again and again, this often.
    pub watch: Option<Duration>,
    /// Until something matches.
    pub wait: Option<Wait>,
}

/// What to wait for.
#[derive(Clone, Debug)]
pub struct Wait {
    /// What a row must match.
    pub filter: Filter,
    /// How long at the most.
    pub timeout: Option<Duration>,
}

/// What is known beside what was typed.
#[derive(Clone, Copy)]
struct Known<'a> {
    services: &'a Services,
    config: &'a Config,
}

impl Known<'_> {
    /// The columns of a table that the configuration file chose.
    fn columns(self, table: &'static Table) -> Result<Option<Vec<&'static Column>>, UsageError> {
        let chosen = self.config.columns.get(table.name).or_else(|| self.config.columns.get(table.noun));
        match chosen {
            Some(text) => table::columns(text, table)
                .map(Some)
                .map_err(|e| UsageError(format!("columns of the configuration file: {e}"))),
            None => Ok(None),
        }
    }
}

/// Wrong use, in one line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

impl Plan {
    /// Time between two polls.
    pub fn interval(&self) -> Duration {
        self.interval.unwrap_or(Duration::from_secs(1))
    }

    /// Checks what was typed, and what the configuration file adds. `services` are the names that ports may be written
    /// by.
    pub fn new(mut args: Args, services: &Arc<Services>, config: Config) -> Result<Self, UsageError> {
        let known = Known { services, config: &config };
        let mut notes = config.notes.clone();
        if args.command.is_none() {
            notes.extend(args.list.filter.first().and_then(|word| taken_as_filter(word)));
        }
        let what = match args.command {
            None => What::Dashboard(ListPlan::new(&SOCKETS, &args.list, known)?),
            Some(Command::Completions { shell }) => What::Completions(shell),
            Some(Command::Explain { topic }) => What::Explain(topic),
            Some(Command::Config(c)) => What::Config(c),
            Some(Command::Screenshot(shot)) => {
                let l = List { filter: shot.filter.clone(), ..List::default() };
                args.start = shot.start.clone();
                let size = screen_size(&shot.size)?;
                What::Screenshot(Box::new(ScreenshotPlan {
                    list: ListPlan::new(&SOCKETS, &l, known)?,
                    size,
                    polls: shot.polls.max(1),
                    keys: shot.keys,
                    form: shot.format,
                }))
            }
            Some(Command::Man) => What::Man,
            Some(Command::Reference) => What::Reference,
            Some(Command::List(l)) => What::list(&SOCKETS, &l, known)?,
            Some(Command::Ports(l)) => What::list(&PORTS, &l, known)?,
            Some(Command::Processes(l)) => What::list(&PROCESSES, &l, known)?,
            Some(Command::Peers(l)) => What::list(&PEERS, &l, known)?,
            Some(Command::Check(c)) => {
                let l = List { filter: c.filter.clone(), ..List::default() };
                What::Check(Box::new(CheckPlan::new(
                    &c,
                    ListPlan::new(&LIMITS, &l, known)?,
                    check::rules(&config.alerts)?,
                )?))
            }
            Some(Command::Limits(l)) => What::list(&LIMITS, &l, known)?,
            Some(Command::Forwards(l)) => What::list(&FORWARDS, &l, known)?,
        };
        // A tree that is named is read by its own backend, whatever is usual.
        let usual = config.backend.as_deref().filter(|_| args.global.proc_root.is_none());
        let backend = match one_of("backend", args.global.backend, usual)?.unwrap_or(BackendArg::Auto) {
            BackendArg::Auto => None,
            BackendArg::Netlink => Some(Backend::Netlink),
            BackendArg::Proc => Some(Backend::Proc),
            BackendArg::Portable => Some(Backend::Portable),
        };
        let numeric = args.global.numeric || config.numeric;
        let color = one_of("color", args.global.color, config.color.as_deref())?.unwrap_or(ColorArg::Auto);
        let lang = match args.global.lang.as_deref().or(config.lang.as_deref()) {
            None | Some("auto") => None,
            Some("en") => Some(Lang::En),
            Some("ko") => Some(Lang::Ko),
            Some(other) => return Err(UsageError(format!("--lang: {other:?} is not en or ko"))),
        };
        let start = args.start.view.or_else(|| config.view.clone());
        if let Some(name) = start.as_deref()
            && table::table(name).is_none()
            && !config.views.contains_key(name)
        {
            let known = table::TABLES.iter().map(|t| t.noun).chain(config.views.keys().map(String::as_str));
            let near = did_you_mean::nearest(name, known)
                .map_or(String::new(), |n| format!(", did you mean {n:?}?"));
            return Err(UsageError(format!("--view: no table or view {name:?}{near}")));
        }
        let mut columns = Vec::new();
        for name in config.columns.keys() {
            let Some(table) = table::table(name) else {
                return Err(UsageError(format!("columns of the configuration file: no table {name:?}")));
            };
            if let Some(c) = known.columns(table)? {
                columns.push((table.name.to_owned(), c));
            }
        }
        if args.global.proc_root.is_some() && !matches!(backend, None | Some(Backend::Proc)) {
            return Err(UsageError("--proc-root is read by the proc backend; leave --backend out".into()));
        }
        Ok(Self {
            what,
            interval: match (&args.global.interval, &config.interval) {
                (Some(text), _) => Some(time("--interval", text)?),
                (None, Some(text)) => Some(time("interval of the configuration file", text)?),
                (None, None) => None,
            },
            max_cpu: match (&args.global.max_cpu, &config.max_cpu) {
                (Some(text), _) => check::share("--max-cpu", text)?,
                (None, Some(text)) => check::share("max_cpu of the configuration file", text)?,
                (None, None) => MAX_CPU,
            },
            names: Arc::clone(services),
            services: if numeric { Arc::new(Services::none()) } else { Arc::clone(services) },
            backend,
            owners: match one_of("owners", args.global.owners, config.owners.as_deref())? {
                None | Some(OwnersArg::Auto) => None,
                Some(OwnersArg::Bpf) => Some(OwnersBy::BpfIter),
                Some(OwnersArg::Walk) => Some(OwnersBy::Walk),
            },
            proc_root: args.global.proc_root,
            demo: args.global.demo,
            netns: args.global.netns.as_deref().or(config.netns.as_deref()).map_or(Netns::All, Netns::parse),
            engine: !(args.global.no_engine || config.no_engine),
            notes,
            read_only: args.global.read_only || config.read_only,
            resolve: args.list.resolve || config.resolve,
            lang,
            start,
            resume: args.start.resume || config.resume,
            views: config.views,
            rules: check::rules(&config.alerts)?,
            alerts: config.alerts.clone(),
            numeric,
            color,
            theme: args.global.theme.or(config.theme),
            ascii: args.global.ascii || config.ascii,
            config_file: args.global.config,
            columns,
            saved: config.filters,
            keys: config.keys.into_iter().map(|(command, keys)| (command, keys.all())).collect(),
        })
    }
}

/// What is said where the first word of a filter is nearly a command.
fn taken_as_filter(word: &str) -> Option<String> {
    let commands = Args::command();
    let near = did_you_mean::nearest(word, commands.get_subcommands().map(clap::Command::get_name))?;
    Some(format!("{word:?} taken as a filter; did you mean the command {near:?}?"))
}

impl What {
    fn list(table: &'static Table, l: &List, known: Known<'_>) -> Result<Self, UsageError> {
        if l.columns.as_deref() == Some("help") {
            return Ok(Self::Columns(table));
        }
        ListPlan::new(table, l, known).map(Self::List)
    }
}

impl ListPlan {
    fn new(table: &'static Table, l: &List, known: Known<'_>) -> Result<Self, UsageError> {
        let format = match l.format {
            FormatArg::Table => Format::Table,
            FormatArg::Json => Format::Json,
            FormatArg::Ndjson => Format::Ndjson,
            FormatArg::Csv => Format::Csv,
        };
        let filter_text = l.filter.join(" ");
        let filter = parse("filter", &filter_text, table, known)?;
        let sort = match &l.sort {
            Some(text) => sort::parse(text, table).map_err(|e| UsageError(format!("--sort: {e}")))?,
            None => sort::default(table),
        };
        let group = match &l.group_by {
            Some(text) => {
                Some(GroupBy::parse(text, table).map_err(|e| UsageError(format!("--group-by: {e}")))?)
            }
            None => None,
        };
        let chosen = l.columns.is_some() || known.columns(table)?.is_some();
        let columns = match &l.columns {
            Some(text) => table::columns(text, table).map_err(|e| UsageError(format!("--columns: {e}")))?,
            None => match known.columns(table)? {
                Some(chosen) if matches!(format, Format::Table | Format::Csv) => chosen,
                _ => usual(table, format),
            },
        };
        let resolve = l.resolve || known.config.resolve;
        let columns = if resolve { with_names(table, columns) } else { columns };
        // "all" and JSON have the column too; only its name asks for it.
        let named = |w: &str| table.column(w.trim_start_matches('+')).is_some_and(|c| c.is(Role::RemoteHost));
        let resolve = resolve || l.columns.iter().any(|text| text.split(',').any(|w| named(w.trim())));
        let watch = match &l.watch {
            None => None,
            Some(_) if matches!(format, Format::Json | Format::Csv) => {
                return Err(UsageError(
                    "--watch prints a table or ndjson: one array or file has no end".into(),
                ));
            }
            Some(_) if group.is_some() && format == Format::Ndjson => {
                return Err(UsageError(
                    "--watch tells events of rows, not of groups: leave --group-by out".into(),
                ));
            }
            Some(_) if (l.count || l.top.is_some()) && format == Format::Ndjson => {
                let flag = if l.count { "--count" } else { "--top" };
                return Err(UsageError(format!(
                    "--watch tells every event of the rows that match: leave {flag} out, or print a table"
                )));
            }
            Some(text) => Some(time("--watch", text)?),
        };
        let wait = match &l.wait_for {
            None => None,
            Some(_) if group.is_some() => {
                return Err(UsageError("--wait-for prints the rows that match: leave --group-by out".into()));
            }
            Some(text) => Some(Wait {
                filter: parse("--wait-for", text, table, known)?,
                timeout: match &l.timeout {
                    Some(t) => Some(time("--timeout", t)?),
                    None => None,
                },
            }),
        };
        Ok(Self {
            table,
            filter_text,
            filter,
            columns,
            resolve,
            chosen,
            sort,
            group,
            top: l.top,
            format,
            header: !l.no_header,
            count: l.count,
            watch,
            wait,
        })
    }
}

impl ListPlan {
    /// The columns that decide which rows there are and in which order, whether they are shown or not.
    pub fn looked_at(&self) -> Vec<&'static Column> {
        let mut out = self.filter.columns();
        out.extend(self.wait.iter().flat_map(|w| w.filter.columns()));
        out.extend(self.sort.iter().map(|k| k.column));
        out
    }
}

/// What was typed, else what the configuration file says.
fn one_of<T: ValueEnum>(key: &str, typed: Option<T>, file: Option<&str>) -> Result<Option<T>, UsageError> {
    match (typed, file) {
        (Some(t), _) => Ok(Some(t)),
        (None, Some(word)) => T::from_str(word, false)
            .map(Some)
            .map_err(|_| UsageError(format!("{key} of the configuration file: {word:?} is none"))),
        (None, None) => Ok(None),
    }
}

/// With the names of far addresses behind the addresses.
fn with_names(table: &'static Table, mut columns: Vec<&'static Column>) -> Vec<&'static Column> {
    if let Some(names) = table.column("remote_host").filter(|n| !columns.contains(n)) {
        let after = columns.iter().position(|c| matches!(c.name, "remote" | "remote_addr" | "addr"));
        columns.insert(after.map_or(columns.len(), |i| i + 1), names);
    }
    columns
}

/// The columns of a table where nobody chose: for people its defaults; for programs everything that costs nothing
/// extra to read, under the keys of the design.
fn usual(table: &'static Table, format: Format) -> Vec<&'static Column> {
    match format {
        Format::Table | Format::Csv => {
            // One reading knows no age and no rate.
            let now =
                |c: &&Column| c.needs.attrs == AttrSet::NONE && !c.is(Role::Age) && !c.kind.is_over_time();
            table.default_columns().into_iter().filter(now).collect()
        }
        Format::Json | Format::Ndjson => {
            let cheap = |c: &&Column| {
                c.needs.attrs == AttrSet::NONE
                    && (table.always_needs.reads.contains(Reads::NAT) || !c.needs.reads.contains(Reads::NAT))
            };
            table.columns.iter().filter(cheap).collect()
        }
    }
}

/// A filter; what is wrong with it in one line.
fn parse(what: &str, text: &str, table: &'static Table, known: Known<'_>) -> Result<Filter, UsageError> {
    Filter::parse_named(text, table, Names { services: known.services, saved: &known.config.filters })
        .map_err(|e| {
            let hint = e.hint.as_ref().map_or(String::new(), |h| format!(" ({h})"));
            UsageError(format!("{what}, at character {}: {}{hint}", char_at(text, e.span.start), e.message))
        })
}

/// `1s`, `500ms`, `0.5`, `2m`: from a tenth of a second to a day.
pub(super) fn time(flag: &str, text: &str) -> Result<Duration, UsageError> {
    let bad = || {
        UsageError(format!("{flag}: {text:?} is no time between 100ms and 1d; write it like 500ms, 2s or 1m"))
    };
    let t = text.trim();
    let digits = t.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(t.len());
    let number: f64 = t[..digits].parse().map_err(|_| bad())?;
    let unit = match t[digits..].trim() {
        "ms" => 0.001,
        "" | "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(bad()),
    };
    let secs = number * unit;
    if (0.1..=86_400.0).contains(&secs) { Ok(Duration::from_secs_f64(secs)) } else { Err(bad()) }
}

/// The place of a byte as a person counts it, from 1.
fn char_at(text: &str, byte: usize) -> usize {
    text.char_indices().take_while(|(i, _)| *i < byte).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn plan(args: &[&str]) -> Result<Plan, UsageError> {
        let services = Services::well_known();
        Plan::new(Args::try_parse_from([&["sockscope"], args].concat()).unwrap(), services, Config::default())
    }

    #[test]
    fn names_are_looked_up_only_where_asked_for() {
        let asks = |args: &[&str]| match plan(args).unwrap().what {
            What::List(l) => (l.resolve, l.columns.iter().any(|c| c.is(Role::RemoteHost))),
            other => panic!("{other:?}"),
        };
        // JSON has the key, and `all` the column; both would otherwise ask a resolver about every far end.
        assert_eq!(asks(&["list", "-f", "json"]), (false, true));
        assert_eq!(asks(&["list", "-c", "all"]), (false, true));
        assert_eq!(asks(&["list"]), (false, false));
        assert_eq!(asks(&["list", "--resolve"]), (true, true));
        assert_eq!(asks(&["list", "-f", "json", "--resolve"]), (true, true));
        assert_eq!(asks(&["peers", "-c", "addr, +remote_host"]), (true, true));
    }

    #[test]
    fn intervals() {
        for (text, ms) in
            [("1s", 1000), ("500ms", 500), ("0.5", 500), ("2", 2000), ("1m", 60_000), (" 3 s", 3000)]
        {
            assert_eq!(time("--x", text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "0", "0s", "10ms", "-1s", "1x", "NaN", "inf", "9999h", "s", "1..2"] {
            assert!(time("--x", text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line_with_the_nearest_name() {
        for (args, want) in [
            (&["list", "--columns", "recv_k"][..], "did you mean \"recv_q\"?"),
            (&["list", "--columns", ","][..], "--columns"),
            (&["list", "--sort", "rtx"][..], "--sort"),
            (&["list", "port:"][..], "filter, at character"),
            (&["--interval", "soon"][..], "--interval"),
            (&["list", "--watch=0"][..], "--watch"),
            (&["list", "--watch", "--format", "json"][..], "ndjson"),
            (&["list", "--wait-for", "prot:1"][..], "--wait-for, at character 1"),
            (&["list", "--wait-for", "port:1", "--timeout", "x"][..], "--timeout"),
            (&["--backend", "netlink", "--proc-root", "/x"][..], "--proc-root"),
        ] {
            let e = plan(args).unwrap_err().to_string();
            assert!(e.contains(want) && !e.contains('\n'), "{args:?}: {e}");
        }
    }
}
