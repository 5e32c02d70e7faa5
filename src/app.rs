//! The program: from arguments to an exit status.

mod action;
mod alert_hooks;
mod check;
mod completion;
mod config;
mod dashboard;
mod environment;
mod export_file;
mod list;
mod listing;
mod malloc_tuning;
mod man;
mod panic_report;
mod poller;
mod reader;
mod reference;
mod reverse_dns;
mod screenshot;
mod state_files;
mod themes;
mod watch;
mod worker;

use crate::cli::args::Command;
use crate::cli::plan::What;
use crate::cli::{Args, Plan, Settings, UsageError};
use crate::collect::scenario::{SCENARIOS, Scenario, ScenarioSource};
use crate::collect::{Choice, Engines, Source};
use crate::diagnose::finding::FINDINGS;
use crate::explain;
use crate::format::did_you_mean;
use crate::model::Backend;
use crate::table::{TABLES, Table};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

/// Exit status of a run that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// 0.
    Success,
    /// 1: no row matched, or the wait timed out.
    NoMatch,
    /// Result of a check: 0 ok, 1 warning, 2 critical, 3 unknown.
    Check(u8),
}

/// Failure of a run, in one line: operation, subject, reason.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Usage error.
    #[error("{0}")]
    Usage(#[from] UsageError),
    /// Reading sockets failed.
    #[error("{0}")]
    Collect(#[from] crate::collect::CollectError),
    /// Output failed.
    #[error("write {subject}: {source}")]
    Output {
        /// The output.
        subject: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The dashboard failed.
    #[error("{0}")]
    Dashboard(String),
}

impl RunError {
    fn stdout(source: io::Error) -> Self {
        Self::Output { subject: "standard output", source }
    }

    fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Runs the program. Exit status 0 on success, 1 without a match, 2 on a usage error, failure or panic; a closed pipe is a
/// success.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let command = Args::command();
    let commands: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let is_check = check::is_check(&args, &commands);
    let result = panic_report::catch(|| run_args(args)).unwrap_or_else(Err);
    match result {
        Ok(code) => code,
        // Monitoring reads one line on standard output, and 2 would be critical.
        Err(line) if is_check => {
            let line = check::unknown_line(line.lines().next().unwrap_or("failed"));
            let _ = io::stdout().write_all(line.as_bytes());
            ExitCode::from(check::UNKNOWN)
        }
        Err(line) => {
            line.lines().for_each(print_error);
            ExitCode::from(2)
        }
    }
}

/// Runs a command line; an error is one line.
fn run_args(args: Vec<OsString>) -> Result<ExitCode, String> {
    malloc_tuning::set_mmap_threshold();
    if completion::complete_for_shell(&args) {
        return Ok(ExitCode::SUCCESS);
    }
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(e) => return clap_error(&e),
    };
    let services = Arc::new(crate::collect::services(std::path::Path::new("/etc/services")));
    let loaded = match args.command {
        // It reads the file itself, also an invalid one.
        Some(Command::Config(_)) => Ok((Settings::default(), None)),
        _ => config::load(args.global.config.as_deref(), &services),
    };
    let is_check = matches!(args.command, Some(Command::Check(_)));
    let plan = loaded.and_then(|(settings, note)| {
        // Thresholds that cannot be read are not the default ones.
        if let Some(note) = note.as_ref().filter(|_| is_check) {
            return Err(UsageError(note.clone()).into());
        }
        let mut plan = Plan::new(args, &services, settings)?;
        plan.notes.splice(0..0, note);
        Ok(plan)
    });
    match plan.and_then(|plan| run(&plan)) {
        Ok(ExitStatus::Success) => Ok(ExitCode::SUCCESS),
        Ok(ExitStatus::NoMatch) => Ok(ExitCode::from(1)),
        Ok(ExitStatus::Check(code)) => Ok(ExitCode::from(code)),
        Err(e) if e.is_closed_pipe() => Ok(ExitCode::SUCCESS),
        Err(e) => Err(e.to_string()),
    }
}

/// Prints help and version as they are; any error is one line.
fn clap_error(e: &clap::Error) -> Result<ExitCode, String> {
    if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Ok(match e.print() {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => ExitCode::from(2),
            _ => ExitCode::SUCCESS,
        });
    }
    Err(usage_line(e))
}

/// The error of the parser in one line, a wrong value in the form of our own errors.
fn usage_line(e: &clap::Error) -> String {
    let text = |kind| match e.get(kind) {
        Some(ContextValue::String(s)) => Some(s.as_str()),
        _ => None,
    };
    if let (ErrorKind::InvalidValue, Some(arg), Some(value), Some(ContextValue::Strings(choices))) = (
        e.kind(),
        text(ContextKind::InvalidArg),
        text(ContextKind::InvalidValue).filter(|v| !v.is_empty()),
        e.get(ContextKind::ValidValue),
    ) && let Some((last, others)) = choices.split_last()
    {
        let flag = arg.split(' ').next().unwrap_or(arg);
        let near = did_you_mean::nearest(value, choices.iter().map(String::as_str));
        let near = near.map_or(String::new(), |n| format!(", did you mean {n:?}?"));
        return format!("{flag}: invalid value {value:?}: expected {} or {last}{near}", others.join(", "));
    }
    if let (ErrorKind::ValueValidation, Some(arg), Some(value)) =
        (e.kind(), text(ContextKind::InvalidArg), text(ContextKind::InvalidValue))
    {
        // The only values that clap parses itself, beside those above, are counts.
        let flag = arg.split(' ').next().unwrap_or(arg);
        return format!("{flag}: invalid number {value:?}: expected a whole number");
    }
    let text = e.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let what = lines.next().unwrap_or("usage error").trim_start_matches("error: ");
    let mut line = what.trim_end_matches(':').to_owned();
    for more in lines.take_while(|l| !l.starts_with("Usage") && !l.starts_with("For more")) {
        line.push_str("; ");
        line.push_str(more.trim_start_matches("tip: "));
    }
    line
}

/// Prints one line on standard error; a failure there is ignored.
fn print_error(what: &str) {
    let what = crate::model::text::strip_os_error(what);
    let line = crate::model::text::escape(&what);
    let _ = writeln!(io::stderr(), "sockscope: {line}");
}

fn run(plan: &Plan) -> Result<ExitStatus, RunError> {
    // Every command reports an unknown theme, not only the dashboard.
    themes::named(&plan.settings.theme.0).map_err(|e| UsageError(format!("theme: {e}")))?;
    match &plan.what {
        What::Dashboard(list) if io::stdout().is_terminal() && io::stdin().is_terminal() => {
            return dashboard::run(plan, list);
        }
        _ => plan.notes.iter().for_each(|note| print_error(note)),
    }
    match &plan.what {
        What::Dashboard(list) | What::List(list) => list::run(plan, list),
        What::Check(check) => check::run(plan, check),
        What::Columns(table) => print(&column_help(table)),
        What::Completions(shell) => print_bytes(&completion::script(*shell).map_err(RunError::stdout)?),
        What::Config(c) => config::run(plan, c),
        What::Explain(topic) => {
            let lang = plan.lang().unwrap_or_else(environment::lang);
            match topic {
                Some(word) => print(&explain::explain(word, lang, &TABLES).map_err(UsageError)?),
                None => print(&topic_list(lang)),
            }
        }
        What::Screenshot(shot) => screenshot::run(plan, shot),
        What::Man => print_bytes(&man::page().map_err(RunError::stdout)?),
        What::Reference => print(&reference::page()),
    }
}

/// Opens the source of the plan; `engines`: how to query container engines, if they are queried.
fn open(plan: &Plan, engines: Engines) -> Result<Box<dyn Source>, RunError> {
    if let Some(scenario) = &plan.demo {
        return Ok(Box::new(ScenarioSource::new(open_scenario(scenario)?)));
    }
    let choice = match plan.backend() {
        None | Some(Backend::Script) => Choice::Auto,
        Some(Backend::Netlink) => Choice::Netlink,
        Some(Backend::Proc) => Choice::Proc,
        Some(Backend::Portable) => Choice::Portable,
    };
    let engines = if plan.settings.no_engine { Engines::Off } else { engines };
    Ok(crate::collect::open(
        choice,
        plan.proc_root.as_deref(),
        plan.settings.netns.clone(),
        plan.owners(),
        engines,
    )?)
}

/// Built-in scenario, or one read from a file.
fn open_scenario(name: &str) -> Result<Scenario, UsageError> {
    if let Some(scenario) = Scenario::named(name) {
        return Ok(scenario);
    }
    if !name.contains(['/', '.']) {
        let names: Vec<&str> = SCENARIOS.iter().map(|(n, _)| *n).collect();
        let near = did_you_mean::nearest(name, names.iter().copied());
        let near = near.map_or(String::new(), |n| format!(", did you mean {n:?}?"));
        return Err(UsageError(format!(
            "--demo: unknown scenario {name:?}{near} (scenarios: {}; or a file)",
            names.join(", ")
        )));
    }
    let text = std::fs::read_to_string(name).map_err(|e| UsageError(format!("--demo: read {name}: {e}")))?;
    Scenario::parse(&text).map_err(|e| UsageError(format!("--demo: {name}: {e}")))
}

/// List of topics and findings, one line each: name and title.
fn topic_list(lang: explain::Lang) -> String {
    let names = explain::TOPICS.iter().map(|t| t.name).chain(FINDINGS.iter().map(|f| f.name));
    let width = names.map(str::len).max().unwrap_or(0);
    let mut out = String::new();
    for t in explain::TOPICS {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:width$}  {}", t.name, t.title(lang));
    }
    out.push_str("\nfindings\n");
    for f in FINDINGS {
        let _ = writeln!(out, "{:width$}  {}", f.name, f.help);
    }
    out.push_str("\nAlso every column and state by name.\n");
    out
}

/// List of a table's columns, one line each: name and help.
fn column_help(table: &Table) -> String {
    let width = table.columns.iter().map(|c| c.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for c in table.columns {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:width$}  {}", c.name, c.help);
    }
    out
}

fn print(text: &str) -> Result<ExitStatus, RunError> {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> Result<ExitStatus, RunError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(RunError::stdout)?;
    Ok(ExitStatus::Success)
}
