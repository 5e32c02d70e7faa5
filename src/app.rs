//! The program: from arguments to an exit status.

mod action;
mod agent;
mod alert_hooks;
mod asked;
mod bug_report;
mod check;
mod collector;
mod collector_process;
mod completion;
mod config;
mod confine;
mod copy_agent;
mod dashboard;
mod diff;
mod environment;
mod events;
mod exit_status;
mod export;
mod export_file;
mod fleet;
mod fleet_asks;
mod fleet_list;
mod fleet_poller;
mod fleet_record;
mod kill;
mod list;
mod listing;
mod malloc_tuning;
mod man;
mod open_source;
mod panic_report;
mod past;
mod poll_age;
mod poller;
mod print;
mod process_source;
#[cfg(feature = "sql")]
mod query;
mod questions;
mod reader;
mod record;
mod recorder;
mod reference;
mod reverse_dns;
mod schema;
mod screenshot;
mod serve;
#[cfg(feature = "ship")]
mod ship;
mod state_files;
mod stdout_check;
mod terminfo;
mod themes;
mod watch;
mod who;
mod why;
mod worker;

use crate::cli::args::Command;
use crate::cli::check::CheckOutput;
use crate::cli::command_first::command_first;
use crate::cli::habits;
use crate::cli::plan::What;
use crate::cli::{Args, Plan, Settings, UsageError};
use crate::collect::scenario::SCENARIOS;
use crate::diagnose::cause::CAUSES;
use crate::diagnose::finding::FINDINGS;
use crate::explain;
use crate::format::did_you_mean;
use crate::privilege;
use crate::table::{TABLES, Table};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use collector_process::CollectorProcess;
use exit_status::{ExitStatus, RunError};
use print::{print, print_bytes, print_error};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

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

/// Joins an optional value to its flag: `--demo small` to `--demo=small`, `-w 2s` to `-w=2s`. Only for values that are not
/// plausible as a word of the filter, which otherwise follows the flag.
fn join_values(args: Vec<OsString>) -> Vec<OsString> {
    let is_value = |flag: &str, word: &str| match flag {
        "--demo" => SCENARIOS.iter().any(|(name, _)| *name == word),
        "--watch" | "-w" => is_duration(word),
        _ => false,
    };
    let mut out: Vec<OsString> = Vec::with_capacity(args.len());
    let mut words_only = false;
    for arg in args {
        let flag = out.last().and_then(|f| f.to_str()).filter(|_| !words_only && out.len() > 1);
        match (flag, arg.to_str()) {
            (Some(flag), Some(word)) if is_value(flag, word) => {
                let joined = format!("{flag}={word}").into();
                out.pop();
                out.push(joined);
            }
            _ => {
                words_only |= arg == "--";
                out.push(arg);
            }
        }
    }
    out
}

/// Returns whether the word is digits and letters, as `2s` or `500ms`: a duration, or a mistyped one, which is no word of a filter
/// that a user would begin with.
fn is_duration(word: &str) -> bool {
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let begins = word.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    begins && !unit.is_empty() && unit.chars().all(char::is_alphanumeric)
}

/// Runs a command line; an error is one line.
fn run_args(args: Vec<OsString>) -> Result<ExitCode, String> {
    privilege::reserve().map_err(|e| e.to_string())?;
    malloc_tuning::tune_malloc();
    if let Some(read_only) = collector_process::is_asked(&args) {
        return agent::run_child(read_only).map(|_| ExitCode::SUCCESS).map_err(|e| e.to_string());
    }
    if environment::completes() {
        privilege::forbid_gaining().map_err(|e| e.to_string())?;
        if completion::complete_for_shell(&args) {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let args = habits::translate(join_values(args)).and_then(command_first).map_err(|e| e.to_string())?;
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(e) => return clap_error(&e),
    };
    let collector = collector_process::start(&args).map_err(|e| e.to_string())?;
    privilege::forbid_gaining().map_err(|e| e.to_string())?;
    let mut args = args;
    args.global.config = args.global.config.or_else(environment::named_config);
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
    match plan.and_then(|plan| run(&plan, collector)) {
        Ok(ExitStatus::Success) => Ok(ExitCode::SUCCESS),
        Ok(ExitStatus::NoMatch) => Ok(ExitCode::from(1)),
        // The lines on standard error name the hosts.
        Ok(ExitStatus::Partial) => Ok(ExitCode::from(2)),
        Ok(ExitStatus::Check(code)) => Ok(ExitCode::from(code)),
        Err(e) if e.is_closed_pipe() => Ok(ExitCode::SUCCESS),
        Err(e) => Err(e.to_string()),
    }
}

/// Prints help and version as they are; any error is one line.
fn clap_error(e: &clap::Error) -> Result<ExitCode, String> {
    if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let printed =
            if stdout_check::was_closed() { Err(rustix::io::Errno::BADF.into()) } else { print_long(e) };
        return match printed {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(RunError::stdout(e).to_string()),
            _ => Ok(ExitCode::SUCCESS),
        };
    }
    Err(usage_line(e))
}

/// Lines of the version about the sandbox of the running kernel and the collector.
fn sandbox_line() -> String {
    let sandbox = crate::sandbox::available();
    let collector = "a process of its own for a dashboard with privilege, which gives its own up";
    format!("sandbox: {sandbox} (--no-sandbox)\ncollector: {collector} (--no-sandbox)\n")
}

/// Prints help or version; the long version with the sandbox of the running kernel.
fn print_long(e: &clap::Error) -> io::Result<()> {
    e.print()?;
    // `-V` is one line.
    let text = e.render().to_string();
    if e.kind() == ErrorKind::DisplayVersion && text.lines().count() > 1 {
        let mut out = io::stdout().lock();
        out.write_all(sandbox_line().as_bytes())?;
        out.flush()?;
    }
    Ok(())
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

/// Error of the dashboard on a terminal without cursor positioning.
const NO_SCREEN: &str = "the dashboard cannot be drawn: TERM is dumb or not set; use: sockscope list";

fn run(plan: &Plan, collector: Option<CollectorProcess>) -> Result<ExitStatus, RunError> {
    // Every command reports an unknown theme, not only the dashboard.
    themes::named(&plan.settings.theme.0).map_err(|e| UsageError(format!("theme: {e}")))?;
    match &plan.what {
        What::Dashboard(list) if io::stdout().is_terminal() && io::stdin().is_terminal() => {
            if environment::TerminalEnv::read().dumb() {
                return Err(RunError::Dashboard(NO_SCREEN.to_owned()));
            }
            return dashboard::run(plan, list, collector);
        }
        What::Dashboard(list) if list.table.is_stream() => {
            let name = list.table.name;
            let error =
                format!("--view {name} is for the dashboard, on a terminal; to print: sockscope {name}");
            return Err(UsageError(error).into());
        }
        _ => plan.notes.iter().for_each(|note| print_error(note)),
    }
    let prints = !matches!(&plan.what, What::Check(c) if c.output == CheckOutput::Nothing);
    if prints && stdout_check::was_closed() {
        return Err(RunError::stdout(rustix::io::Errno::BADF.into()));
    }
    confine::printing(plan);
    match &plan.what {
        What::Dashboard(list) | What::List(list) if plan.hosts.is_named() => fleet_list::run(plan, list),
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
        What::Agent => agent::run(plan),
        What::Events(e) => events::run(plan, e),
        What::Kill(k) => kill::run(plan, k),
        What::Who(w) => who::run(plan, w),
        What::Why(w) => why::run(plan, w),
        What::Record(r) => record::run(plan, r),
        #[cfg(feature = "ship")]
        What::Ship(s) => ship::run(plan, s),
        What::Serve(s) => serve::run(plan, s),
        What::Diff(d) => diff::run(plan, d),
        What::Export(e) => export::run(plan, e),
        #[cfg(feature = "sql")]
        What::Query(q) => query::run(plan, q),
        #[cfg(feature = "sql")]
        What::QuerySchema => print(&crate::sql::schema()),
        What::Version => print(&format!("{}{}", Args::command().render_long_version(), sandbox_line())),
        What::Diagnose => bug_report::run(plan),
        What::Schema => print(&schema::page()),
        What::Man => print_bytes(&man::page().map_err(RunError::stdout)?),
        What::Reference => print(&reference::page()),
    }
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
    out.push_str("\ncauses of why\n");
    for c in CAUSES {
        let _ = writeln!(out, "{:width$}  {}", c.name, c.help);
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

#[cfg(test)]
mod tests {
    use super::join_values;

    #[test]
    fn optional_value_after_a_blank_belongs_to_its_flag() {
        for (line, want) in [
            ("sockscope --demo small", "sockscope --demo=small"),
            ("sockscope --demo nginx", "sockscope --demo nginx"),
            ("sockscope --demo busy-web ports", "sockscope --demo=busy-web ports"),
            ("sockscope list -w 2s :443", "sockscope list -w=2s :443"),
            ("sockscope list --watch 500ms", "sockscope list --watch=500ms"),
            ("sockscope list --watch 443", "sockscope list --watch 443"),
            ("sockscope list -w 10.0.0.1", "sockscope list -w 10.0.0.1"),
            ("sockscope list -w 2x", "sockscope list -w=2x"),
            ("sockscope list --watch 1min nginx", "sockscope list --watch=1min nginx"),
            ("sockscope list --timeout 2s", "sockscope list --timeout 2s"),
            ("sockscope -- --demo small", "sockscope -- --demo small"),
        ] {
            let joined = join_values(line.split(' ').map(Into::into).collect());
            let joined: Vec<_> = joined.iter().filter_map(|a| a.to_str()).collect();
            assert_eq!(joined.join(" "), want);
        }
    }
}
