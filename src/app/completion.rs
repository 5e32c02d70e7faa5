//! Shell completion: the script calls this program with the words typed so far.

use crate::cli::Args;
use crate::collect::scenario::SCENARIOS;
use crate::collect::{Choice, Engines, Source, open};
use crate::derive::Engine;
use crate::diagnose::finding::FINDINGS;
use crate::explain;
use crate::filter::Saved;
use crate::filter::complete::complete;
use crate::format::Column;
use crate::model::limit::LIMIT_KINDS;
use crate::model::signal::SIGNALS;
use crate::model::{Netns, ProtoSet, Reads, Snapshot, State, StateSet, Wants};
use crate::table::Table;
use crate::table::{PROCESSES, SOCKETS, TABLES};
use crate::tui::theme::palette::PALETTES;
use crate::view::group::GroupBy;
use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};
use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;

/// Script for bash, which splits words at colons, and for zsh, which matches by prefix. The other shells use the script of the
/// completion engine.
const BASH: &str = include_str!("../../assets/completions/sockscope.bash");
const ZSH: &str = include_str!("../../assets/completions/sockscope.zsh");

/// Prints completions if a shell called for them; returns true if so.
pub(super) fn complete_for_shell(args: &[OsString]) -> bool {
    CompleteEnv::with_factory(command).try_complete(args.to_vec(), None).unwrap_or(true)
}

/// Completion script of a shell.
pub(super) fn script(shell: Shell) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let own = match shell {
        Shell::Bash => Some(BASH),
        Shell::Zsh => Some(ZSH),
        _ => None,
    };
    if let Some(own) = own {
        out.extend_from_slice(own.as_bytes());
    } else if let Some(completer) = Shells::builtins().completer(&shell.to_string()) {
        completer.write_registration("COMPLETE", "sockscope", "sockscope", "sockscope", &mut out)?;
    }
    Ok(out)
}

/// The command line with completers for its values.
fn command() -> Command {
    let mut out = with_values(Args::command(), &SOCKETS);
    let filter = |typed: &OsStr| filter_candidates(typed, &SOCKETS);
    out = out.mut_subcommand("kill", |c| c.mut_arg("filter", |a| a.add(ArgValueCompleter::new(filter))));
    let export = |typed: &OsStr| {
        let tables = words(typed, TABLES.into_iter().map(|t| t.noun));
        tables.into_iter().chain(filter_candidates(typed, &SOCKETS)).collect()
    };
    out = out.mut_subcommand("export", |c| {
        with_values(c, &SOCKETS).mut_arg("words", |a| a.add(ArgValueCompleter::new(export)))
    });
    out = out.mut_subcommand("top", |c| with_values(c, &PROCESSES));
    let topics = || explain::TOPICS.iter().map(|t| t.name).chain(FINDINGS.iter().map(|f| f.name));
    let topics = move || topics().chain(TABLES.into_iter().flat_map(|t| t.columns).map(|c| c.name));
    out = out.mut_subcommand("explain", |c| {
        c.mut_arg("topic", |a| a.add(ArgValueCompleter::new(move |t: &OsStr| words_in_any_case(t, topics()))))
    });
    let signals = |typed: &OsStr| {
        let short = SIGNALS.iter().map(|s| s.name.trim_start_matches("SIG"));
        words_in_any_case(typed, short.chain(SIGNALS.iter().map(|s| s.name)))
    };
    out = out.mut_subcommand("kill", |c| c.mut_arg("signal", |a| a.add(ArgValueCompleter::new(signals))));
    let limits = |typed: &OsStr| words(typed, LIMIT_KINDS.iter().map(|k| k.name));
    out = out.mut_subcommand("check", |c| c.mut_arg("only", |a| a.add(ArgValueCompleter::new(limits))));
    let views = |typed: &OsStr| words(typed, TABLES.into_iter().map(|t| t.noun));
    let themes =
        |typed: &OsStr| words(typed, std::iter::once("auto").chain(PALETTES.iter().map(|p| p.name.as_ref())));
    let scenarios = |typed: &OsStr| words(typed, SCENARIOS.iter().map(|(name, _)| *name));
    let namespaces = |typed: &OsStr| {
        let named = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
        let named: Vec<String> = named.filter_map(|e| e.file_name().into_string().ok()).collect();
        words(typed, ["all", "here", "host"].into_iter().chain(named.iter().map(String::as_str)))
    };
    out = out
        .mut_arg("view", |a| a.add(ArgValueCompleter::new(views)))
        .mut_arg("theme", |a| a.add(ArgValueCompleter::new(themes)))
        .mut_arg("demo", |a| a.add(ArgValueCompleter::new(scenarios)))
        .mut_arg("netns", |a| a.add(ArgValueCompleter::new(namespaces)));
    for table in TABLES {
        out = out.mut_subcommand(table.name, |c| with_values(c, table));
    }
    out
}

fn with_values(command: Command, table: &'static Table) -> Command {
    let columns = move |typed: &OsStr| list_candidates(typed, &|c| Some((c.name.to_owned(), c.help)), table);
    let sort = move |typed: &OsStr| list_candidates(typed, &|c| Some((c.name.to_owned(), c.help)), table);
    let group = move |typed: &OsStr| {
        let typed = typed.to_string_lossy();
        let special = ["state", "local", "remote", "process"].into_iter();
        let special = special.filter(|w| GroupBy::parse(w, table).is_ok()).map(|w| (w, "One row per group."));
        let all = special.chain(table.columns.iter().map(|c| (c.name, c.help)));
        all.filter(|(name, _)| name.starts_with(typed.as_ref()))
            .map(|(name, help)| CompletionCandidate::new(name).help(Some(help.to_owned().into())))
            .collect()
    };
    let filter = move |typed: &OsStr| filter_candidates(typed, table);
    let mut command = command;
    let completers = [
        ("columns", ArgValueCompleter::new(columns)),
        ("sort", ArgValueCompleter::new(sort)),
        ("group_by", ArgValueCompleter::new(group)),
        ("wait_for", ArgValueCompleter::new(filter)),
        ("filter", ArgValueCompleter::new(filter)),
    ];
    for (arg, completer) in completers {
        // Not every table can be waited for.
        if command.get_arguments().any(|a| a.get_id() == arg) {
            command = command.mut_arg(arg, |a| a.add(completer));
        }
    }
    command
}

/// Candidates for the last word of a list with commas.
fn words<'a>(typed: &OsStr, all: impl IntoIterator<Item = &'a str>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let (before, last) = typed.split_at(typed.rfind(',').map_or(0, |i| i + 1));
    // A namespace can have any file name. A shell would insert a line break or an escape sequence as it is.
    let fitting =
        all.into_iter().filter(|w| w.starts_with(last) && !w.chars().any(crate::model::text::is_hostile));
    fitting.map(|w| CompletionCandidate::new(format!("{before}{w}"))).collect()
}

/// Candidates for a word in any case, continued as it begins: zsh and fish take only what begins with the typed word.
fn words_in_any_case<'a>(typed: &OsStr, all: impl IntoIterator<Item = &'a str>) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let continued = |rest: &str| match typed.chars().find(|c| c.is_alphabetic()) {
        Some(c) if c.is_lowercase() => rest.to_lowercase(),
        Some(_) => rest.to_uppercase(),
        None => rest.to_owned(),
    };
    let fits = |w: &str| w.get(..typed.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(typed));
    let fitting = all.into_iter().filter(|w| fits(w));
    fitting.map(|w| CompletionCandidate::new(format!("{typed}{}", continued(&w[typed.len()..])))).collect()
}

type Word = dyn Fn(&'static Column) -> Option<(String, &'static str)>;

/// Candidates for the last word of a comma-separated list.
fn list_candidates(typed: &OsStr, word: &Word, table: &'static Table) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let at = typed.rfind([',', '+']).map_or(0, |i| i + 1);
    let (before, last) = typed.split_at(at);
    let all = table.columns.iter().filter_map(word).filter(|(name, _)| name.starts_with(last));
    all.map(|(name, help)| {
        CompletionCandidate::new(format!("{before}{name}")).help(Some(help.to_owned().into()))
    })
    .collect()
}

/// Candidates for a word of a filter, with values of this machine.
fn filter_candidates(typed: &OsStr, table: &'static Table) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return vec![] };
    let snap = quick_snapshot();
    let found = complete(typed, typed.len(), table, snap.as_deref(), &Saved::new());
    let before = &typed[..found.span.start];
    found
        .items
        .into_iter()
        // A shell would insert a line break or an escape sequence as it is, or in a quoting that an open quote ends.
        .filter(|i| !i.text.chars().any(crate::model::text::is_hostile))
        .map(|i| {
            let help = crate::model::text::escape(&i.help).into_owned();
            CompletionCandidate::new(format!("{before}{}", i.text)).help(Some(help.into()))
        })
        .collect()
}

/// Listeners and processes: most useful for completion, and quick to read.
fn quick_snapshot() -> Option<Arc<Snapshot>> {
    let mut source: Box<dyn Source> =
        open(Choice::Auto, None, Netns::Here, None, crate::collect::EventMethod::Off, Engines::Now).ok()?;
    let states = StateSet::only(&[State::Listen, State::Unconn]);
    let wants = Wants { states, protos: ProtoSet::TCP_UDP, ..Wants::default() }.without(Reads::OWNERS);
    Some(Engine::new().step(source.sample(&wants).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_with_completers_is_valid() {
        command().debug_assert();
    }

    #[test]
    fn words_in_any_case_continue_as_they_begin() {
        let offered = |typed: &str, names: &[&str]| {
            let found = words_in_any_case(OsStr::new(typed), names.iter().copied());
            found.iter().map(|c| c.get_value().to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let names = ["close_wait", "closing", "TERM"];
        assert_eq!(offered("CL", &names), ["CLOSE_WAIT", "CLOSING"]);
        assert_eq!(offered("close_", &names), ["close_wait"]);
        assert_eq!(offered("te", &names), ["term"]);
        assert_eq!(offered("", &names), names);
        assert!(offered("\u{e9}", &names).is_empty());
    }

    #[test]
    fn name_with_a_control_character_is_not_offered() {
        let offered = |names: &[&str]| {
            let found = words(OsStr::new("here,q"), names.iter().copied());
            found.iter().map(|c| c.get_value().to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let hostile = ["q\nreboot", "q\x1b[2J", "q\u{9b}2J", "q\u{202e}x"];
        assert_eq!(offered(&[&hostile[..], &["q$(id)", "other"]].concat()), ["here,q$(id)"]);
    }
}
