//! The plan of a run: the command with its flags and the settings, checked before anything is read.

use super::args::{Args, Command, ConfigArgs, Export, FormatArg, List, ScreenForm};
use super::check::CheckPlan;
use super::diff::DiffPlan;
use super::error::UsageError;
use super::events::EventsPlan;
use super::export::ExportPlan;
use super::hosts::HostsPlan;
use super::kill::KillPlan;
use super::list_plan::{Inputs, ListPlan, Typed};
use super::moment::{RecordingPlan, SpanArg, flag_moment};
#[cfg(feature = "sql")]
use super::query::QueryPlan;
use super::record::RecordPlan;
use super::serve::ServePlan;
use super::settings::schema::Validators;
use super::settings::value::{BackendArg, Chosen, LangArg, OwnersArg, ViewName, view_named};
use super::settings::{Settings, TOP_SORT};
#[cfg(feature = "ship")]
use super::ship::ShipPlan;
use super::who::WhoPlan;
use super::why::WhyPlan;
use crate::explain::Lang;
use crate::format::did_you_mean;
use crate::model::{Backend, OwnersBy, Services, State};
use crate::table::{DNS, EVENTS, FORWARDS, LIMITS, MAP_TABLE, PEERS, PORTS, PROCESSES, SOCKETS, Table};
use clap::CommandFactory;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A run, checked.
#[derive(Debug)]
pub struct Plan {
    /// The command.
    pub what: What,
    /// Settings: defaults, configuration file and flags merged.
    pub settings: Settings,
    /// A captured tree to read.
    pub proc_root: Option<PathBuf>,
    /// Demo data to show instead of this machine: name or file of a scenario.
    pub demo: Option<String>,
    /// Recording to read.
    pub recording: Option<RecordingPlan>,
    /// Hosts to read instead of this machine.
    pub hosts: HostsPlan,
    /// Recording that the dashboard writes; within, the directory unless it is the default one.
    pub record: Option<Option<PathBuf>>,
    /// Messages to show beside the output.
    pub notes: Vec<String>,
    /// A note on the first word of the filter, which looks like a mistyped command; shown if nothing matches.
    pub mistyped: Option<String>,
    /// Names of ports to show; none with `--numeric`.
    pub services: Arc<Services>,
    /// Names of ports in filters.
    pub names: Arc<Services>,
    /// The configuration file that was named.
    pub config_file: Option<PathBuf>,
}

/// The command of a run.
#[derive(Debug)]
pub enum What {
    /// The dashboard, or the listing where standard output is not a terminal.
    Dashboard(ListPlan),
    /// Print rows.
    List(ListPlan),
    /// Print the columns of a table.
    Columns(&'static Table),
    /// Check limits.
    Check(Box<CheckPlan>),
    /// Signal processes or close sockets.
    Kill(Box<KillPlan>),
    /// Print events or DNS questions.
    Events(Box<EventsPlan>),
    /// Show the holder of a port.
    Who(Box<WhoPlan>),
    /// Explain why a connection does not work.
    Why(Box<WhyPlan>),
    /// Record samples.
    Record(Box<RecordPlan>),
    /// Send rows to a receiver.
    #[cfg(feature = "ship")]
    Ship(Box<ShipPlan>),
    /// Serve metrics.
    Serve(Box<ServePlan>),
    /// Compare two moments.
    Diff(Box<DiffPlan>),
    /// Write rows of moments.
    Export(Box<ExportPlan>),
    /// Answer an SQL statement.
    #[cfg(feature = "sql")]
    Query(Box<QueryPlan>),
    /// Print the tables and columns of SQL.
    #[cfg(feature = "sql")]
    QuerySchema,
    /// Print a page for a bug report.
    Diagnose,
    /// Print the JSON Schema.
    Schema,
    /// Print the version.
    Version,
    /// Print a completion script.
    Completions(clap_complete::Shell),
    /// Explain a topic; `None`: list the topics.
    Explain(Option<String>),
    /// Print, write or check settings.
    Config(ConfigArgs),
    /// Print one screen of the dashboard.
    Screenshot(Box<ScreenshotPlan>),
    /// Serve samples of this host to another sockscope.
    Agent,
    /// Print the manual page.
    Man,
    /// Print the reference page.
    Reference,
}

impl Plan {
    /// The same data and settings without the command, for another thread.
    #[must_use]
    pub fn without_command(&self) -> Self {
        Self {
            what: What::Version,
            settings: self.settings.clone(),
            proc_root: self.proc_root.clone(),
            demo: self.demo.clone(),
            recording: self.recording.clone(),
            hosts: self.hosts.clone(),
            record: None,
            notes: Vec::new(),
            mistyped: None,
            services: Arc::clone(&self.services),
            names: Arc::clone(&self.names),
            config_file: self.config_file.clone(),
        }
    }
}

/// A screenshot, checked.
#[derive(Clone, Debug)]
pub struct ScreenshotPlan {
    /// Filter of the dashboard.
    pub list: ListPlan,
    /// Columns and lines.
    pub size: (u16, u16),
    /// Polls before it is taken, at least one.
    pub polls: u32,
    /// Keys to press after them.
    pub keys: String,
    /// Output format.
    pub form: ScreenForm,
    /// Animated SVG, a frame for each key.
    pub animate: bool,
}

/// A screen size from text: `120x36`.
fn screen_size(text: &str) -> Result<(u16, u16), UsageError> {
    let size = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    size.filter(|(w, h)| (1..=1000).contains(w) && (1..=1000).contains(h)).ok_or_else(|| {
        UsageError(format!("--size: invalid size {text:?}: expected 1x1 to 1000x1000, such as 120x36"))
    })
}

/// Time between two polls with `--calm`.
const CALM_INTERVAL: Duration = Duration::from_secs(5);

impl Plan {
    /// True if the data is that of this machine now: not of a captured tree, a recording or a scenario.
    pub const fn is_live(&self) -> bool {
        self.demo.is_none() && self.proc_root.is_none() && self.recording.is_none()
    }

    /// True if the rows of every sample of a span are printed.
    pub fn is_span(&self) -> bool {
        self.recording.as_ref().is_some_and(|r| r.between.is_some())
    }

    /// Time between two polls.
    pub const fn interval(&self) -> Duration {
        match &self.settings {
            s if s.calm && !s.interval.is_set => CALM_INTERVAL,
            s => s.interval.value,
        }
    }

    /// The backend to use; `None`: the first that works.
    pub const fn backend(&self) -> Option<Backend> {
        match self.settings.backend {
            BackendArg::Auto => None,
            BackendArg::Netlink => Some(Backend::Netlink),
            BackendArg::Proc => Some(Backend::Proc),
            BackendArg::Portable => Some(Backend::Portable),
        }
    }

    /// The method to find owners; `None`: the cheapest.
    pub const fn owners(&self) -> Option<OwnersBy> {
        match self.settings.owners {
            OwnersArg::Auto => None,
            OwnersArg::Bpf => Some(OwnersBy::BpfIter),
            OwnersArg::Walk => Some(OwnersBy::Walk),
        }
    }

    /// The language of explanations; `None`: that of the locale.
    pub const fn lang(&self) -> Option<Lang> {
        match self.settings.lang {
            LangArg::Auto => None,
            LangArg::En => Some(Lang::En),
            LangArg::Ko => Some(Lang::Ko),
        }
    }

    /// Checks the command line and merges it into the settings of the configuration file. `services` are the port names
    /// that filters may use.
    pub fn new(mut args: Args, services: &Arc<Services>, settings: Settings) -> Result<Self, UsageError> {
        let first = args.list.filter.first().filter(|_| args.command.is_none());
        let mistyped = first.and_then(|word| note_like_command(word));
        if let Some(Command::Screenshot(shot)) = &args.command {
            args.start = shot.start.clone();
        }
        if let Some(Command::Top(top)) = &args.command {
            args.beside = top.beside.clone();
        }
        let mut settings = merge(settings, &args, services)?;
        if matches!(args.command, Some(Command::Top(_))) {
            settings.show_top();
        }
        let recording = recording(&mut args)?;
        if args.beside.record.is_some() && recording.is_some() {
            return Err(UsageError(
                "--record: a recording is read; to copy it: sockscope record --from".into(),
            ));
        }
        let hosts = HostsPlan::new(&args)?;
        let inputs = Inputs { services, settings: &settings, hosts: hosts.is_named() };
        let what = match args.command {
            None if args.diagnose => What::Diagnose,
            Some(Command::Replay(r)) => {
                let list = List { filter: r.filter, ..List::default() };
                What::Dashboard(ListPlan::new(&SOCKETS, &list, inputs)?)
            }
            None => {
                let shown = args.start.view.is_some().then(|| settings.view_table()).flatten();
                What::Dashboard(dashboard_list(shown, &args.list, inputs)?)
            }
            Some(Command::Completions { shell }) => What::Completions(shell),
            Some(Command::Explain { topic }) => What::Explain(topic),
            Some(Command::Config(c)) => What::Config(c),
            Some(Command::Screenshot(shot)) => {
                let list = List { filter: shot.filter, ..List::default() };
                What::Screenshot(Box::new(ScreenshotPlan {
                    list: ListPlan::new(&SOCKETS, &list, inputs)?,
                    size: screen_size(&shot.size)?,
                    polls: shot.polls.max(1),
                    keys: shot.keys,
                    form: shot.format,
                    animate: shot.animate,
                }))
            }
            Some(Command::Agent { .. }) => What::Agent,
            Some(Command::Man) => What::Man,
            Some(Command::Schema) => What::Schema,
            Some(Command::Version) => What::Version,
            Some(Command::Diff(d)) => What::Diff(Box::new(DiffPlan::new(&d, recording.is_some())?)),
            Some(Command::Export(e)) => What::export(&e, inputs)?,
            #[cfg(feature = "sql")]
            Some(Command::Query(q)) if q.schema => What::QuerySchema,
            #[cfg(feature = "sql")]
            Some(Command::Query(q)) => What::Query(Box::new(QueryPlan::new(&q)?)),
            Some(Command::Record(r)) => What::Record(Box::new(RecordPlan::new(&r, recording.is_some())?)),
            #[cfg(feature = "ship")]
            Some(Command::Ship(s)) => What::Ship(Box::new(ShipPlan::new(&s)?)),
            Some(Command::Serve(s)) => {
                let interval = settings.interval.set();
                What::Serve(Box::new(ServePlan::new(&s, interval, recording.is_some())?))
            }
            Some(Command::Who(who)) => What::Who(Box::new(WhoPlan::new(&who, inputs)?)),
            Some(Command::Why(why)) => What::Why(Box::new(WhyPlan::new(&why, services)?)),
            Some(Command::Kill(kill)) => What::Kill(Box::new(KillPlan::new(kill, inputs)?)),
            Some(Command::Top(t)) => {
                let typed = Typed::of(&t.list);
                let mut list = ListPlan::new(&PROCESSES, &top(t.list), inputs)?;
                list.typed = typed;
                What::Dashboard(list)
            }
            Some(Command::Reference) => What::Reference,
            Some(Command::List(l)) => What::list(&SOCKETS, &l, inputs)?,
            Some(Command::Ports(l)) => What::list(&PORTS, &l, inputs)?,
            Some(Command::Processes(l)) => What::list(&PROCESSES, &l, inputs)?,
            Some(Command::Peers(l)) => What::list(&PEERS, &l, inputs)?,
            Some(Command::Limits(l)) => What::list(&LIMITS, &l, inputs)?,
            Some(Command::Forwards(l)) => What::list(&FORWARDS, &l, inputs)?,
            Some(Command::Map(l)) => What::list(&MAP_TABLE, &l, inputs)?,
            Some(Command::Events(e)) if e.columns.as_deref() == Some("help") => What::Columns(&EVENTS),
            Some(Command::Events(e)) => {
                What::Events(Box::new(EventsPlan::new(&EVENTS, e, recording.as_ref(), inputs)?))
            }
            Some(Command::Dns(e)) if e.columns.as_deref() == Some("help") => What::Columns(&DNS),
            Some(Command::Dns(e)) => {
                What::Events(Box::new(EventsPlan::new(&DNS, e, recording.as_ref(), inputs)?))
            }
            Some(Command::Check(c)) => {
                let list = List { filter: c.filter.clone(), ..List::default() };
                let list = ListPlan::new(&LIMITS, &list, inputs)?;
                What::Check(Box::new(CheckPlan::new(&c, list, settings.alerts.rules())?))
            }
        };
        Ok(Self {
            what,
            names: Arc::clone(services),
            services: if settings.numeric { Arc::new(Services::none()) } else { Arc::clone(services) },
            settings,
            proc_root: args.global.proc_root,
            demo: args.global.demo,
            hosts,
            recording,
            record: args.beside.record,
            notes: Vec::new(),
            mistyped,
            config_file: args.global.config,
        })
    }
}

/// The listing of the dashboard, of the table that its first view shows.
///
/// A filter that this table does not have is one of the sockets: the views share it. Columns, order and groups are of the table.
fn dashboard_list(
    shown: Option<&'static Table>,
    list: &List,
    inputs: Inputs<'_>,
) -> Result<ListPlan, UsageError> {
    let of_view = ListPlan::new(shown.unwrap_or(&SOCKETS), list, inputs);
    if of_view.is_err() && list.columns.is_none() && list.sort.is_none() && list.group_by.is_none() {
        return ListPlan::new(&SOCKETS, list, inputs);
    }
    of_view
}

/// The recording that the command line names.
fn recording(args: &mut Args) -> Result<Option<RecordingPlan>, UsageError> {
    let at = args.global.at.as_deref().map(|t| flag_moment("--at", t)).transpose()?;
    let between = SpanArg::parse("--between", &args.global.between)?;
    let from = args.global.from.take();
    if between.is_some() {
        if let Some(why) = refuses_span(args.command.as_ref()) {
            return Err(UsageError(format!("--between: {why}")));
        }
        if from.is_none() {
            return Err(UsageError("--between requires --from: a span of a recording".into()));
        }
    }
    match &args.command {
        Some(Command::Record(_)) if at.is_some() => {
            Err(UsageError("record: --at is for commands that read a moment of a recording".into()))
        }
        Some(Command::Replay(r)) => {
            if from.is_some() && r.recording.is_some() {
                return Err(UsageError("replay: name the recording once, with or without --from".into()));
            }
            let factor = r.speed.strip_suffix(['x', 'X']).unwrap_or(&r.speed).parse::<f64>();
            let speed = factor.ok().filter(|s| (MIN_SPEED..=MAX_SPEED).contains(s)).ok_or_else(|| {
                UsageError(format!(
                    "--speed: invalid speed {:?}: expected {MIN_SPEED}x to {MAX_SPEED}x, such as 4x",
                    r.speed
                ))
            })?;
            Ok(Some(RecordingPlan { path: from.or_else(|| r.recording.clone()), at, between, speed }))
        }
        _ => match from {
            Some(path) => Ok(Some(RecordingPlan { path: Some(path), at, between, speed: 1.0 })),
            None if at.is_some() => Err(UsageError("--at requires --from: a moment of a recording".into())),
            None => Ok(None),
        },
    }
}

/// Error of a listing of one moment with a span.
const ONE_MOMENT: &str =
    "a table, json and csv are of one moment: use --at, --format ndjson, --watch, or sockscope export";

/// The reason why a command takes no span, and what does; `None` if it takes one.
fn refuses_span(command: Option<&Command>) -> Option<&'static str> {
    if let Some(list) = command.and_then(Command::listing) {
        let each_moment = list.output.format() == FormatArg::Ndjson
            && list.group_by.is_none()
            && !list.count
            && list.top.is_none();
        return (!each_moment && list.watch.is_none() && list.wait_for.is_none()).then_some(ONE_MOMENT);
    }
    match command {
        Some(Command::Events(_) | Command::Dns(_) | Command::Export(_)) => None,
        #[cfg(feature = "sql")]
        Some(Command::Query(_)) => None,
        #[cfg(feature = "ship")]
        Some(Command::Ship(_)) => None,
        Some(Command::Diff(_)) => {
            Some("diff takes its moments as arguments: sockscope diff --from RECORDING START END")
        }
        Some(Command::Check(_)) => {
            Some("check judges one moment: use --at, with --for TIME for what follows it")
        }
        Some(Command::Who(_)) => Some("who reads one moment: use --at, or sockscope export port:PORT"),
        Some(Command::Replay(_)) => Some("replay starts at a moment: use --at"),
        None | Some(Command::Top(_) | Command::Screenshot(_)) => Some(
            "the dashboard starts at a moment: use replay --at; for rows of a span: list --format ndjson or sockscope export",
        ),
        _ => Some("for commands that print rows or events of a recording: list, events, export, query"),
    }
}

/// Lowest speed of a replay.
const MIN_SPEED: f64 = 0.1;
/// Highest speed of a replay.
const MAX_SPEED: f64 = 100.0;

/// Merges the flags into the settings of the configuration file.
fn merge(mut settings: Settings, args: &Args, services: &Services) -> Result<Settings, UsageError> {
    if args.global.proc_root.is_some() {
        // A captured tree has one backend, whatever the configuration.
        settings.backend = BackendArg::Auto;
    }
    // Themes and keys are checked where they are used.
    let validators = Validators { keys: &|_, _| Ok(()), theme: &|_| Ok(()), services };
    settings.apply(&args.global.settings, validators)?;
    settings.resolve |= args.list.resolve;
    settings.resume |= args.start.resume;
    if let Some(name) = &args.start.view {
        let views: Vec<String> = settings.views.iter().map(|(name, _)| name.clone()).collect();
        let name = view_named(name, &views).map_err(|e| UsageError(format!("--view: {e}")))?;
        settings.view = Chosen { value: ViewName(name), is_set: true };
    }
    if args.global.proc_root.is_some() && !matches!(settings.backend, BackendArg::Auto | BackendArg::Proc) {
        return Err(UsageError("--proc-root requires the proc backend: remove --backend".into()));
    }
    Ok(settings)
}

/// Number of rows of `top` where standard output is not a terminal.
const TOP_ROWS: usize = 20;

/// The listing of `top` where standard output is not a terminal.
fn top(mut list: List) -> List {
    list.sort.get_or_insert_with(|| TOP_SORT.to_owned());
    list.top.get_or_insert(TOP_ROWS);
    if list.columns.is_none() && matches!(list.output.format(), FormatArg::Table | FormatArg::Csv) {
        list.columns = Some("+rx,tx".to_owned());
    }
    list
}

/// Words that are no command here, and the command that does it: names and verbs of other tools.
const OTHER_WORDS: [(&str, &str); 8] = [
    ("ss", "list"),
    ("netstat", "list"),
    ("lsof", "list"),
    ("show", "list"),
    ("watch", "list --watch"),
    ("status", "check"),
    ("stop", "kill"),
    ("term", "kill"),
];

/// A note if the first word of the filter looks like a mistyped command, and not like a state.
fn note_like_command(word: &str) -> Option<String> {
    if State::parse(word).is_some() {
        return None;
    }
    let commands = Args::command();
    let names =
        commands.get_subcommands().flat_map(|c| std::iter::once(c.get_name()).chain(c.get_all_aliases()));
    let other = OTHER_WORDS.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(word));
    let near = match other {
        Some((_, ours)) => ours,
        None => did_you_mean::nearest(word, names.chain(["help"]))?,
    };
    Some(format!("{word:?} taken as a filter; did you mean the command {near:?}?"))
}

impl What {
    fn export(e: &Export, inputs: Inputs<'_>) -> Result<Self, UsageError> {
        let plan = ExportPlan::new(e, inputs)?;
        Ok(plan.map_or_else(Self::Columns, |plan| Self::Export(Box::new(plan))))
    }

    fn list(table: &'static Table, l: &List, inputs: Inputs<'_>) -> Result<Self, UsageError> {
        if l.columns.as_deref() == Some("help") {
            return Ok(Self::Columns(table));
        }
        ListPlan::new(table, l, inputs).map(Self::List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Role;
    use clap::Parser;

    fn plan(args: &[&str]) -> Result<Plan, UsageError> {
        let services = Services::well_known();
        Plan::new(
            Args::try_parse_from([&["sockscope"], args].concat()).unwrap(),
            services,
            Settings::default(),
        )
    }

    #[test]
    fn calm_polls_less_often_unless_an_interval_is_given() {
        let interval = |args: &[&str]| plan(args).unwrap().interval();
        assert_eq!(interval(&["--calm"]), CALM_INTERVAL);
        assert!(CALM_INTERVAL > interval(&[]));
        assert_eq!(interval(&["--calm", "--interval", "2s"]), Duration::from_secs(2));
        assert_eq!(interval(&["--interval", "2s"]), Duration::from_secs(2));
    }

    #[test]
    fn dns_is_queried_only_if_asked_for() {
        let asks = |args: &[&str]| match plan(args).unwrap().what {
            What::List(l) => (l.resolve, l.columns.iter().any(|c| c.is(Role::RemoteHost))),
            other => panic!("{other:?}"),
        };
        // JSON has the key, and `all` the column; neither may start a DNS query per remote address.
        assert_eq!(asks(&["list", "-f", "json"]), (false, true));
        assert_eq!(asks(&["list", "-c", "all"]), (false, true));
        assert_eq!(asks(&["list"]), (false, false));
        assert_eq!(asks(&["list", "--resolve"]), (true, true));
        assert_eq!(asks(&["list", "-f", "json", "--resolve"]), (true, true));
        assert_eq!(asks(&["peers", "-c", "addr, +remote_host"]), (true, true));
    }

    #[test]
    fn usage_errors_are_one_line_with_the_nearest_name() {
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
