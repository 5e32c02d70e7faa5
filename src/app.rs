//! Ties everything together: from arguments to an exit code.

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
use crate::collect::scenario::{SCENES, Scene, ScriptSource};
use crate::collect::{Choice, Engines, Source};
use crate::diagnose::finding::FINDINGS;
use crate::explain;
use crate::format::did_you_mean;
use crate::model::Backend;
use crate::table::{TABLES, Table};
use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Fine,
    /// Nothing matched, or the wait timed out.
    Nothing,
    /// A check came to this exit status: 0 to 3.
    Judged(u8),
}

/// Why a run failed: one line that says what was tried, on what, and why.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Wrong use.
    #[error("{0}")]
    Usage(#[from] UsageError),
    /// The machine could not be read.
    #[error("{0}")]
    Collect(#[from] crate::collect::CollectError),
    /// Output failed.
    #[error("write {subject}: {source}")]
    Output {
        /// Where to.
        subject: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The dashboard could not go on.
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

/// The whole program: 0 fine, 1 nothing matched, 2 wrong use or failure; a closed pipe is fine.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    malloc_tuning::set_mmap_threshold();
    let args: Vec<OsString> = args.into_iter().collect();
    if completion::answer(&args) {
        return ExitCode::SUCCESS;
    }
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(e) => return refuse(&e),
    };
    let services = Arc::new(crate::collect::services(std::path::Path::new("/etc/services")));
    let loaded = match args.command {
        // It reads the file itself, also an invalid one.
        Some(Command::Config(_)) => Ok((Settings::default(), None)),
        _ => config::load(args.global.config.as_deref(), &services),
    };
    let plan = loaded.and_then(|(settings, note)| {
        let mut plan = Plan::new(args, &services, settings)?;
        plan.notes.splice(0..0, note);
        Ok(plan)
    });
    match plan.and_then(|plan| run(&plan)) {
        Ok(Ending::Fine) => ExitCode::SUCCESS,
        Ok(Ending::Nothing) => ExitCode::from(1),
        Ok(Ending::Judged(code)) => ExitCode::from(code),
        Err(e) if e.is_closed_pipe() => ExitCode::SUCCESS,
        Err(e) => {
            complain(&e.to_string());
            ExitCode::from(2)
        }
    }
}

/// Prints help and version as they are, and any error as one line.
fn refuse(e: &clap::Error) -> ExitCode {
    if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match e.print() {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => ExitCode::from(2),
            _ => ExitCode::SUCCESS,
        };
    }
    complain(&usage_line(e));
    ExitCode::from(2)
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

/// One line on standard error; where even that is closed there is nobody to tell.
fn complain(what: &str) {
    let what = crate::model::text::without_number(what);
    let line = crate::model::text::escape(&what);
    let _ = writeln!(io::stderr(), "sockscope: {line}");
}

fn run(plan: &Plan) -> Result<Ending, RunError> {
    // A name that is wrong is said by every command, not only by the one that draws.
    themes::named(&plan.settings.theme.0)?;
    match &plan.what {
        What::Dashboard(list) if io::stdout().is_terminal() && io::stdin().is_terminal() => {
            return dashboard::run(plan, list);
        }
        _ => plan.notes.iter().for_each(|note| complain(note)),
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
                None => print(&topics(lang)),
            }
        }
        What::Screenshot(shot) => screenshot::run(plan, shot),
        What::Man => print_bytes(&man::page().map_err(RunError::stdout)?),
        What::Reference => print(&reference::page()),
    }
}

/// Opens what the plan reads; `engines` is how long names of containers are waited for, where they are asked for at all.
fn open(plan: &Plan, engines: Engines) -> Result<Box<dyn Source>, RunError> {
    if let Some(scene) = &plan.demo {
        return Ok(Box::new(ScriptSource::new(scene_of(scene)?)));
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

/// A scene that comes with the program, or one of a file.
fn scene_of(name: &str) -> Result<Scene, UsageError> {
    if let Some(scene) = Scene::named(name) {
        return Ok(scene);
    }
    if !name.contains(['/', '.']) {
        let names: Vec<&str> = SCENES.iter().map(|(n, _)| *n).collect();
        let near = did_you_mean::nearest(name, names.iter().copied());
        let near = near.map_or(String::new(), |n| format!(", did you mean {n:?}?"));
        return Err(UsageError(format!(
            "--demo: no scene {name:?}{near} (there are {}, or a file)",
            names.join(", ")
        )));
    }
    let text = std::fs::read_to_string(name).map_err(|e| UsageError(format!("--demo: read {name}: {e}")))?;
    Scene::parse(&text).map_err(|e| UsageError(format!("--demo: {name}: {e}")))
}

/// One line a topic: its name and its title.
fn topics(lang: explain::Lang) -> String {
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
    out.push_str("\nand every column and state by its name\n");
    out
}

/// One line a column: name, what it is.
fn column_help(table: &Table) -> String {
    let width = table.columns.iter().map(|c| c.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for c in table.columns {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:width$}  {}", c.name, c.help);
    }
    out
}

fn print(text: &str) -> Result<Ending, RunError> {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> Result<Ending, RunError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(RunError::stdout)?;
    Ok(Ending::Fine)
}
