//! The settings, in the order of the file: one typed field each.

use super::schema::{Context, Map, Node, Place, Problem, Reader, Setting, Validators};
use super::schema::{example, flag, global, group, line_at, named};
use super::value::{
    BackendArg, Chosen, ColorArg, ColumnList, CommandLine, EventsArg, EventsKept, KeyList, LangArg,
    MemorySize, Notify, OwnersArg, SavedFilter, Share, TableKey, TableName, ThemeName, ViewColumns,
    ViewFilter, ViewGroup, ViewName, ViewSort,
};
use crate::cli::error::UsageError;
use crate::filter::Saved;
use crate::model::{AlertRules, LimitKind, Netns};
use crate::table::{self, Table};
use crate::view::preset::{Preset, Presets};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;
use toml_edit::{Document, Item};

/// View of the command `top`.
const TOP: &str = "top";
/// Its sort order.
pub(crate) const TOP_SORT: &str = "rx:desc,tx:desc";

group! {
    /// Every setting, in the order of the file.
    pub struct Settings {
        /// Time between two polls.
        interval: Chosen<Duration> = Chosen::default_of(Duration::from_secs(1)),
            global("interval").short('i').value("TIME");
        /// CPU budget for polling, as a share of one core; the poll interval is raised to stay within it.
        max_cpu: Share = Share(0.25), global("max-cpu").value("PERCENT");
        /// Source of the sockets.
        backend: BackendArg = BackendArg::Auto, global("backend").value("BACKEND");
        /// Method to find the processes that own sockets.
        owners: OwnersArg = OwnersArg::Auto, global("owners").value("METHOD");
        /// Source of events: connections that open, close and fail, also between two polls.
        events: EventsArg = EventsArg::Auto, global("events").value("SOURCE");
        /// Number of events that the dashboard and --watch keep: 100 to 200000, about 500 bytes each.
        events_kept: EventsKept = EventsKept(10_000), global("events-kept").value("NUMBER");
        /// Capture DNS questions and answers in every view and in recordings; needs the capability to open packet sockets.
        dns: bool = false, global("dns");
        /// Network namespaces to read: all (every one that can be entered), here, or a name such as host.
        netns: Netns = Netns::All, global("netns").value("NAME");
        /// Do not query container engines (Docker, Podman) for container names.
        no_engine: bool = false, global("no-engine");
        /// Show numbers instead of service names, and exact counts, bytes and rates; users keep their names (--columns uid).
        numeric: bool = false, global("numeric").short('n');
        /// Resolve remote addresses (reverse DNS, in the background).
        resolve: bool = false, flag("resolve");
        /// Disable actions (close socket, send signal, change limit).
        read_only: bool = false, global("read-only");
        /// Do not confine the dashboard and readers of recorded data (Landlock).
        no_sandbox: bool = false, global("no-sandbox");
        /// Command that connects to the hosts of --host, with its first arguments; empty: ssh.
        ssh: CommandLine = CommandLine::default(), example("[\"ssh\", \"-F\", \"/etc/ssh/fleet\"]");
        /// Command that starts the agent on them; empty: sockscope agent --stdio.
        agent: CommandLine = CommandLine::default(), example("[\"sudo\", \"-n\", \"sockscope\", \"agent\", \"--stdio\"]");
        /// Color output.
        color: ColorArg = ColorArg::Auto, global("color").value("WHEN");
        /// Color theme: auto (by the terminal's background), dark, light, high-contrast, color-blind, color-blind-light,
        /// 16, mono, or NAME for themes/NAME.toml beside the configuration file.
        theme: ThemeName = ThemeName("auto".to_owned()), global("theme").value("THEME");
        /// Draw with ASCII characters only; automatic where the locale or the terminal has no others.
        ascii: bool = false, global("ascii");
        /// For slow lines and screen readers: no gauges or sparklines, the cursor on the selected line, a poll every 5s unless
        /// --interval is given.
        calm: bool = false, global("calm");
        /// Details beside the table without pressing Enter, on a screen of 160 columns or more.
        side_details: bool = true;
        /// Time that the dashboard can go back without a recording: 100ms to 1d.
        past_time: Duration = Duration::from_secs(600);
        /// Most memory for it, such as 64M; about 20 KB a poll of 10,000 sockets.
        past_memory: MemorySize = MemorySize(64 << 20);
        /// Language of the dashboard and of explanations.
        lang: LangArg = LangArg::Auto, global("lang").value("LANG");
        /// Initial view: a table, or the name of a saved view.
        view: Chosen<ViewName> = Chosen::default_of(ViewName("sockets".to_owned())), flag("view");
        /// Restore the last session: view, filters, sort order, columns.
        resume: bool = false, flag("resume");
        /// Saved filters, used as @name.
        filters: Map<String, SavedFilter> = Map::default(), Spec { example: Some("\"state:close-wait age>1m\""), ..named("leaks") };
        /// Columns by table; "+rtt" adds to the default columns.
        columns: Map<TableKey, ColumnList> = Map::default(),
            Spec { example: Some("\"proto,state,local,remote,process,rtt\""), flag: Some("columns"), ..named("list") };
        /// Saved views.
        views: Map<String, View> = Map::default(), named("web");
        /// Key bindings by command; the command palette and the reference list the commands.
        keys: Map<String, KeyList> = Map::default(), Spec { example: Some("[\"r\", \"f5\"]"), ..named("refresh") };
        /// Alerts: thresholds and notifications.
        alerts: Alerts = Alerts::default();
    }
}

group! {
    /// A saved view.
    pub struct View {
        /// Table of the view.
        table: Option<TableName> = None, example("\"sockets\"");
        /// Filter of the view.
        filter: Option<ViewFilter> = None, example("\"port:80,443\"");
        /// Grouping of the view: a column, or none.
        group_by: Option<ViewGroup> = None, Spec { flag: Some("group-by"), ..example("\"remote\"") };
        /// Sort order of the view.
        sort: Option<ViewSort> = None, Spec { flag: Some("sort"), ..example("\"rx:desc\"") };
        /// Columns of the view.
        columns: Option<ViewColumns> = None, example("\"+rtt,rx,tx\"");
    }
}

group! {
    /// Alert thresholds and notifications.
    pub struct Alerts {
        /// Warning threshold, as a share of the limit.
        warn: Share = Share(0.75), flag("warn");
        /// Critical threshold.
        crit: Share = Share(0.9), flag("crit");
        /// Also warn when a limit will be reached within this time at the current rate.
        horizon: Duration = Duration::from_secs(600);
        /// Ring the terminal bell.
        bell: bool = false;
        /// Desktop notification through the terminal.
        notify: Notify = Notify::Off, example("\"osc9\"");
        /// Command to run for each new alert (no shell); it gets the alert as JSON on standard input.
        command: CommandLine = CommandLine::default(), example("[\"/usr/local/bin/page-me\"]");
        /// Thresholds by kind of limit.
        limits: Map<LimitKind, Thresholds> = Map::default(), named("conntrack");
        /// Thresholds by process name, for its file descriptors.
        processes: Map<String, Thresholds> = Map::default(), named("nginx");
    }
}

group! {
    /// Alert thresholds of one kind of limit or of one process.
    pub struct Thresholds {
        /// Warning threshold.
        warn: Option<Share> = None, example("\"60%\"");
        /// Critical threshold.
        crit: Option<Share> = None, example("\"80%\"");
    }
}

/// Every setting, in the order of the file.
pub fn settings() -> &'static [Setting] {
    static REGISTRY: LazyLock<Vec<Setting>> = LazyLock::new(|| {
        let mut out = Vec::new();
        Settings::default().describe(Place::default(), &mut out);
        out
    });
    &REGISTRY
}

impl Settings {
    /// Reads the text of a configuration file: the settings, and every problem in the order of its lines. A setting with a
    /// problem keeps its default.
    pub fn read(text: &str, validators: Validators<'_>) -> (Self, Vec<Problem>) {
        let mut settings = Self::default();
        let document = match Document::parse(text) {
            Ok(d) => d,
            Err(e) => {
                let problem = Problem { line: line_at(text, e.span()), what: e.message().replace('\n', " ") };
                return (settings, vec![problem]);
            }
        };
        let table = |key: &str| document.get(key).and_then(Item::as_table_like);
        let saved = table("filters").into_iter().flat_map(|t| t.iter());
        let saved = saved.filter_map(|(k, v)| Some((k.to_owned(), v.as_str()?.to_owned()))).collect();
        let views = table("views").into_iter().flat_map(|t| t.iter()).map(|(k, _)| k.to_owned()).collect();
        let context = Context { validators, saved, views, name: String::new(), table: None };
        let mut reader = Reader { text, context, path: Vec::new(), line: 1, problems: Vec::new() };
        reader.each(document.as_table(), |name, item, reader| settings.read_entry(name, item, reader));
        reader.problems.sort_by_key(|p| p.line);
        (settings, reader.problems)
    }

    /// Reads a configuration file to use it: the first problem is an error.
    pub fn load(text: &str, file: &Path, validators: Validators<'_>) -> Result<Self, UsageError> {
        let (settings, problems) = Self::read(text, validators);
        match problems.first() {
            Some(p) => Err(UsageError(format!("{}, {p}", file.display()))),
            None => Ok(settings),
        }
    }

    /// Saved filters by name.
    pub fn saved_filters(&self) -> Saved {
        self.filters.iter().map(|(name, filter)| (name.clone(), filter.0.clone())).collect()
    }

    /// Starts the dashboard with the processes that have the most traffic, or the saved view of that name.
    pub(crate) fn show_top(&mut self) {
        self.view = Chosen { value: ViewName(TOP.to_owned()), is_set: true };
    }

    /// The table of the first view, unless it is that of the sockets by default.
    pub(in crate::cli) fn view_table(&self) -> Option<&'static Table> {
        let name = &self.view.value.0;
        match self.presets().remove(name) {
            Some(preset) => table::table(preset.table.as_deref()?),
            None => table::table(name),
        }
    }

    /// Saved views by name.
    pub fn presets(&self) -> Presets {
        let mut out: Presets = self.views.iter().map(|(name, view)| (name.clone(), view.preset())).collect();
        if self.view.value.0 == TOP {
            out.entry(TOP.to_owned()).or_insert_with(|| Preset {
                table: Some("processes".to_owned()),
                sort: Some(TOP_SORT.to_owned()),
                columns: Some("+rx,tx".to_owned()),
                ..Preset::default()
            });
        }
        out
    }
}

impl View {
    fn preset(&self) -> Preset {
        Preset {
            table: self.table.as_ref().map(|t| t.0.clone()),
            filter: self.filter.as_ref().map_or_else(String::new, |t| t.0.clone()),
            group_by: self.group_by.as_ref().map(|t| t.0.clone()),
            sort: self.sort.as_ref().map(|t| t.0.clone()),
            columns: self.columns.as_ref().map(|t| t.0.clone()),
        }
    }
}

impl Alerts {
    /// The rules by which alerts are raised. A threshold not given for one kind of limit or one process is the general one.
    pub fn rules(&self) -> AlertRules {
        let shares =
            |t: &Thresholds| (t.warn.map_or(self.warn.0, |s| s.0), t.crit.map_or(self.crit.0, |s| s.0));
        let by_limit = self.limits.iter().map(|(kind, t)| (*kind, shares(t)));
        let by_process = self.processes.iter().map(|(name, t)| (name.as_str().into(), shares(t)));
        AlertRules {
            warn: self.warn.0,
            crit: self.crit.0,
            horizon_s: self.horizon.as_secs_f64(),
            by_kind: by_limit.map(|(c, (warn, crit))| (c, warn, crit)).collect(),
            by_process: by_process.map(|(name, (warn, crit))| (name, warn, crit)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Services;

    fn read(text: &str) -> (Settings, Vec<String>) {
        let keys = |command: &str, _: &[String]| {
            if command == "quit" { Ok(()) } else { Err(format!("unknown command {command:?}")) }
        };
        let theme = |name: &str| if name == "auto" { Ok(()) } else { Err(format!("unknown theme {name:?}")) };
        let validators = Validators { keys: &keys, theme: &theme, services: Services::well_known() };
        let (settings, problems) = Settings::read(text, validators);
        (settings, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn template_is_valid_as_is_and_with_defaults_or_examples_enabled() {
        let text = crate::cli::settings::template::template();
        assert_eq!(read(&text), (Settings::default(), vec![]));
        let enable = |prefix: &str| -> String {
            let line = |l: &str| match l.strip_prefix(prefix) {
                Some(setting) if setting.contains(" = ") && !setting.starts_with("Example") => {
                    setting.replace("refresh = ", "quit = ")
                }
                _ => l.to_owned(),
            };
            text.lines().map(|l| line(l) + "\n").collect()
        };
        let (defaults, problems) = read(&enable("# "));
        assert_eq!(problems, [""; 0]);
        let interval = Chosen { is_set: false, ..defaults.interval };
        let view = Chosen { is_set: false, ..defaults.view.clone() };
        assert_eq!(
            Settings { interval, view, ..defaults },
            Settings::default(),
            "the defaults written are the defaults"
        );
        let (examples, problems) = read(&enable("# Example: "));
        assert_eq!(problems, [""; 0]);
        assert_eq!(examples.alerts.notify, Notify::Osc9);
        assert_eq!(examples.presets().len(), 1);
        for s in settings() {
            assert!(s.help.ends_with('.') && (s.default.is_some() || s.example.is_some()), "{}", s.key);
        }
    }

    #[test]
    fn every_global_flag_is_a_setting_or_belongs_to_one_run() {
        use clap::CommandFactory;
        const ONE_RUN: [&str; 11] = [
            "config",
            "proc-root",
            "demo",
            "from",
            "at",
            "between",
            "host",
            "hosts",
            "copy-agent",
            "help",
            "version",
        ];
        let command = crate::cli::Args::command();
        let flags: Vec<&str> =
            command.get_arguments().filter(|a| a.is_global_set()).filter_map(clap::Arg::get_long).collect();
        assert!(flags.len() > 6);
        for flag in flags.iter().filter(|f| !ONE_RUN.contains(f)) {
            assert!(settings().iter().any(|s| s.flag == Some(flag)), "--{flag} is not a setting");
        }
        let declared = |flag: &str| {
            let all = std::iter::once(&command).chain(command.get_subcommands());
            all.flat_map(clap::Command::get_arguments).any(|a| a.get_long() == Some(flag))
        };
        assert!(settings().iter().filter_map(|s| s.flag).all(declared));
    }

    #[test]
    fn listing_marks_what_the_file_sets() {
        let lines = crate::cli::settings::template::in_force(
            "interval = \"2s\"\n[filters]\n\"a b\" = \"x\"\n[alerts]\nlimits.fds = { warn = \"1%\" }\n",
        );
        let set: Vec<&str> = lines.iter().filter(|l| l.1).map(|l| l.0.as_str()).collect();
        assert_eq!(set, ["interval = \"2s\"", "filters.\"a b\" = \"x\"", "alerts.limits.fds.warn = \"1%\""]);
        let default = |line: &str| lines.contains(&(line.to_owned(), false));
        assert!(default("alerts.crit = \"90%\"") && default("alerts.horizon = \"10m\""), "{lines:?}");
        assert!(
            default("alerts.notify = \"off\"") && default("alerts.command = []"),
            "an example is not a default"
        );
        assert!(!lines.iter().any(|l| l.0.contains('*')));
    }

    #[test]
    fn problems_have_their_line_their_key_and_the_nearest_name() {
        let text = "intervall = \"2s\"\ninterval = 2\n\ncolor = \"pink\"\nnumeric = \"yes\"\n\n\
                    [columns]\nlist = \"rtx\"\nlisst = \"proto\"\n[filters]\na = \"port:\"\nb = \"fds>80%\"\n\
                    [alerts]\nwarm = \"1%\"\nwarn = \"x\"\n[alerts.limits.conntrak]\nwarn = \"50%\"\n\
                    [keys]\nquit = [\"Q\"]\nqit = \"Q\"\n[views.web]\nsort = \"rx:desc\"\ngroup_by = \"remot\"\n";
        let (_, problems) = read(text);
        let want = [
            "line 1: unknown key \"intervall\", did you mean \"interval\"?",
            "line 2: interval: expected text in quotes",
            "line 4: color: invalid value \"pink\": expected auto, always or never",
            "line 5: numeric: expected true or false",
            "line 8: columns.list: ",
            "line 9: columns.lisst: unknown table \"lisst\", did you mean \"list\"?",
            "line 11: filters.a: ",
            "line 14: unknown key \"warm\" in [alerts], did you mean \"warn\"?",
            "line 15: alerts.warn: invalid percentage \"x\": expected a number such as 80% or 0.8",
            "line 16: alerts.limits.conntrak: unknown limit \"conntrak\", did you mean \"conntrack\"?",
            "line 20: keys.qit: unknown command \"qit\"",
            "line 23: views.web.group_by: ",
        ];
        assert_eq!(problems.len(), want.len(), "{problems:#?}");
        for (problem, want) in problems.iter().zip(want) {
            assert!(problem.starts_with(want), "{problem}\n{want}");
        }
        assert_eq!(read("\na = [\n").1[0].split(':').next(), Some("line 2"));
        assert_eq!(read("filters = 1\n").1, ["line 1: filters: expected a table, not a value"]);
        assert_eq!(read("[interval]\nx = 1\n").1, ["line 1: interval: expected a value, not a table"]);
    }

    #[test]
    fn view_saved_without_groups_is_valid() {
        let (settings, problems) = read("[views]\nflat = { table = \"ports\", group_by = \"none\" }\n");
        assert_eq!(problems, [""; 0]);
        assert_eq!(settings.presets()["flat"].group_by.as_deref(), Some("none"));
    }

    #[test]
    fn threshold_not_given_for_one_limit_is_the_general_one() {
        let (settings, problems) =
            read("[alerts]\nwarn = \"60%\"\nhorizon = \"5m\"\nlimits.ports = { crit = \"70%\" }\n");
        assert_eq!(problems, [""; 0]);
        let rules = settings.alerts.rules();
        assert_eq!((rules.horizon_s, rules.shares(LimitKind::Ports, None)), (300.0, (0.6, 0.7)));
        assert_eq!(rules.shares(LimitKind::Fds, None), (0.6, 0.9));
    }

    #[test]
    fn flag_overrides_the_file_and_is_named_in_its_error() {
        use clap::Parser;
        let flags = |args: &[&str]| {
            crate::cli::Args::try_parse_from([&["sockscope"], args].concat()).unwrap().global.settings
        };
        let validators =
            Validators { keys: &|_, _| Ok(()), theme: &|_| Ok(()), services: Services::well_known() };
        let (mut settings, _) = read("interval = \"2s\"\n");
        settings.apply(&flags(&["-i", "500ms", "-n"]), validators).unwrap();
        assert_eq!((settings.interval.set(), settings.numeric), (Some(Duration::from_millis(500)), true));
        let e = settings.apply(&flags(&["--interval", "soon"]), validators).unwrap_err().to_string();
        assert_eq!(e, "--interval: invalid duration \"soon\": expected 100ms to 1d, such as 500ms, 2s or 1m");
    }
}
