//! Options before the command, as `git` and `docker` take them: the command is moved before them, so that they are its options.

use super::args::Args;
use super::error::UsageError;
use clap::{Arg, ArgAction, Command, CommandFactory};
use std::ffi::OsString;

/// The arguments with the command first: `-f json list` is `list -f json`.
///
/// A command behind a word of a filter is an error, which names the right order: `:443 list` would filter by the text `list`.
pub fn command_first(mut args: Vec<OsString>) -> Result<Vec<OsString>, UsageError> {
    let parser = Args::command();
    let Some(first) = next_word(&parser, &args, 1) else { return Ok(args) };
    if is_command(&parser, &args[first]) {
        // `-h` and `-V` before a command are those of the program.
        if !args[1..first].iter().any(is_help) {
            for_the_command(&parser, &args[1..first], &args[first])?;
            args[1..=first].rotate_right(1);
        }
        return Ok(args);
    }
    let mut at = first;
    while let Some(next) = next_word(&parser, &args, at + 1) {
        if is_command(&parser, &args[next]) {
            return Err(command_behind_filter(&args, next));
        }
        at = next;
    }
    Ok(args)
}

/// An error if one of the options is without a command only.
fn for_the_command(parser: &Command, options: &[OsString], command: &OsString) -> Result<(), UsageError> {
    let name = command.to_string_lossy();
    let Some(command) = parser.find_subcommand(command) else { return Ok(()) };
    for option in options {
        let Some(long) = option.to_str().and_then(|o| o.strip_prefix("--")) else { continue };
        let long = long.split('=').next().unwrap_or(long);
        let is_of =
            |c: &Command| c.get_arguments().find(|a| a.get_long() == Some(long)).map(Arg::is_global_set);
        if is_of(parser) == Some(false) && is_of(command).is_none() {
            return Err(UsageError(format!("--{long} cannot be combined with the command {name}")));
        }
    }
    Ok(())
}

fn command_behind_filter(args: &[OsString], at: usize) -> UsageError {
    let text = |i: usize| quoted(&args[i].to_string_lossy());
    let name = text(at);
    let others: Vec<String> = (1..args.len()).filter(|i| *i != at).map(text).collect();
    let as_word: Vec<String> =
        (1..args.len()).map(|i| if i == at { format!("-- {name}") } else { text(i) }).collect();
    UsageError(format!(
        "{name} is a command, which comes before the filter: sockscope {name} {}; as a word of the filter: sockscope {}",
        others.join(" "),
        as_word.join(" ")
    ))
}

/// An argument as a shell takes it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=:.,/@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn is_help(arg: &OsString) -> bool {
    ["-h", "--help", "-V", "--version"].iter().any(|help| arg == help)
}

fn is_command(parser: &Command, word: &OsString) -> bool {
    word == "help" || word.to_str().is_some_and(|word| parser.find_subcommand(word).is_some())
}

/// The index of the next argument that is neither an option nor the value of one; `None` at the end or at `--`.
fn next_word(parser: &Command, args: &[OsString], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(arg) = args.get(at) {
        at += match arg.to_str() {
            Some("--") => return None,
            Some(arg) if arg.starts_with('-') && arg.len() > 1 => 1 + values(parser, arg),
            _ => return Some(at),
        };
    }
    None
}

/// The number of arguments behind an option that are its values.
fn values(parser: &Command, option: &str) -> usize {
    // The options of the program have precedence: `-o` is a switch of `ss` before it is the file of `export`.
    let find = |is_it: &dyn Fn(&Arg) -> bool| {
        std::iter::once(parser)
            .chain(parser.get_subcommands())
            .find_map(|c| c.get_arguments().find(|a| is_it(a)))
            .map_or(0, value_count)
    };
    match option.strip_prefix("--") {
        Some(long) => find(&|a| a.get_long() == Some(long)),
        // The first letter with a value takes the rest of the argument, or what follows if there is no rest.
        None => {
            let mut letters = option.chars().skip(1).peekable();
            while let Some(letter) = letters.next() {
                let count = find(&|a| a.get_short() == Some(letter));
                if count > 0 {
                    return if letters.peek().is_none() { count } else { 0 };
                }
                // `-w=2s`
                if letters.peek() == Some(&'=') {
                    return 0;
                }
            }
            0
        }
    }
}

/// The number of separate values of an option; 0 for a switch and where a value follows `=`.
fn value_count(arg: &Arg) -> usize {
    match arg.get_action() {
        ArgAction::Set | ArgAction::Append => arg.get_num_args().map_or(1, |n| n.min_values()),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(line: &[&str]) -> Result<String, String> {
        let args = std::iter::once(&"sockscope").chain(line).map(OsString::from).collect();
        let out = command_first(args).map_err(|e| e.0)?;
        Ok(out.iter().skip(1).map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn command_comes_before_its_options() {
        for (line, want) in [
            ("list -t", "list -t"),
            ("-t list", "list -t"),
            ("-tulpn list", "list -tulpn"),
            ("-f json list :443", "list -f json :443"),
            ("-fjson list", "list -fjson"),
            ("--format=json list", "list --format=json"),
            ("-g state -c +rtt list", "list -g state -c +rtt"),
            ("-tg state list", "list -tg state"),
            ("-w=2s -t ls nginx", "ls -w=2s -t nginx"),
            ("-w list", "list -w"),
            ("--between 02:00 03:00 --from /r list", "list --between 02:00 03:00 --from /r"),
            ("--every 5s record", "record --every 5s"),
            ("--demo list", "list --demo"),
            ("--record=x top", "top --record=x"),
            ("--interval 2s top", "top --interval 2s"),
            // Not commands.
            ("-g state", "-g state"),
            ("-t nginx -f json", "-t nginx -f json"),
            ("-g list", "-g list"),
            ("-- nginx list", "-- nginx list"),
            ("nginx -- list", "nginx -- list"),
            ("list kill", "list kill"),
            ("explain list", "explain list"),
            // Help and version of the program.
            ("--help list", "--help list"),
            ("-V list", "-V list"),
            ("", ""),
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(ordered(&words), Ok(want.to_owned()), "{line}");
        }
    }

    #[test]
    fn command_behind_a_filter_is_an_error_with_both_orders() {
        for (line, want) in [
            (
                &[":443", "list"][..],
                "list is a command, which comes before the filter: sockscope list :443; as a word of the filter: sockscope :443 -- list",
            ),
            (&["-f", "json", "nginx", "-t", "ports"], "sockscope ports -f json nginx -t; "),
            (&["dport = :22", "kill"], "sockscope kill 'dport = :22'; "),
            (&["-o", "out.csv", "export"], "sockscope export -o out.csv; "),
            (&["nginx", "help"], "help is a command"),
        ] {
            let error = ordered(line).unwrap_err();
            assert!(error.contains(want) && !error.contains('\n'), "{line:?}: {error}");
        }
    }

    #[test]
    fn option_without_a_command_is_an_error() {
        for line in [
            &["--view", "ports", "list"][..],
            &["--resume", "check"],
            &["--view=ports", "top"],
            &["--diagnose", "list"],
            &["--record=x", "list"],
        ] {
            let error = ordered(line).map_err(|e| e.contains("cannot be combined with the command"));
            assert_eq!(error, Err(true), "{line:?}");
        }
    }

    #[test]
    fn moved_options_parse_as_those_of_the_command() {
        use clap::Parser as _;
        // Each option of a listing, before and behind the command.
        let parser = Args::command();
        let list = parser.find_subcommand("list").unwrap();
        let mut checked = 0;
        for arg in list.get_arguments().filter(|a| !a.is_positional()) {
            let Some(long) = arg.get_long() else { continue };
            let mut option = vec![format!("--{long}")];
            let values = arg.get_possible_values();
            let value = values.first().map_or("2", |v| v.get_name());
            option.extend((0..value_count(arg)).map(|_| value.to_owned()));
            let line = |words: &[&[String]]| {
                let args = std::iter::once("sockscope".to_owned()).chain(words.concat()).map(OsString::from);
                Args::try_parse_from(command_first(args.collect()).unwrap())
                    .map(|a| format!("{a:?}"))
                    .map_err(|e| e.kind())
            };
            let command = ["list".to_owned()];
            assert_eq!(line(&[&option, &command]), line(&[&command, &option]), "--{long}");
            checked += 1;
        }
        assert!(checked >= 25, "{checked}");
    }
}
