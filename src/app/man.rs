//! The manual page, generated from the registries: commands, flags, filter language, keys, columns, settings.

use super::environment::SYSTEM_CONFIG;
use crate::cli::Args;
use crate::cli::equivalents::{self, HABITS};
use crate::cli::settings::settings;
use crate::filter::LANGUAGE;
use crate::table::TABLES;
use crate::tui::command::COMMANDS;
use clap::{ArgAction, Command, CommandFactory};
use std::io::{self, Write};

/// Text escaped for roff.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn item(out: &mut Vec<u8>, name: &str, text: &str) -> io::Result<()> {
    writeln!(out, ".TP\n\\fB{}\\fR\n{}", plain(name), plain(text))
}

/// Environment variables that are read.
const ENVIRONMENT: [(&str, &str); 11] = [
    ("SOCKSCOPE_CONFIG", "Configuration file; --config overrides it."),
    (
        "XDG_CONFIG_HOME, XDG_STATE_HOME",
        "Directories of the files below, instead of ~/.config and ~/.local/state.",
    ),
    ("NO_COLOR", "If set, no color unless --color always."),
    (
        "CLICOLOR_FORCE",
        "If set and not 0, color also where standard output is not a terminal; NO_COLOR wins.",
    ),
    ("COLUMNS", "Width of a table where standard output is not a terminal, as under watch(1)."),
    ("TERM, COLORTERM", "Colors and characters of the terminal."),
    ("LC_ALL, LC_CTYPE, LANG", "Character set and language."),
    ("DOCKER_HOST", "Socket of the Docker API, for names of containers."),
    ("CONTAINER_HOST", "Socket of the Podman API."),
    ("XDG_RUNTIME_DIR", "Directory of the API sockets of rootless container engines."),
    ("HOME", "Home directory."),
];

/// Manual pages about the same things.
const SEE_ALSO: &str = "ss(8), netstat(8), lsof(8), fuser(1), sock_diag(7), tcp(7), udp(7), unix(7), proc(5), nft(8), conntrack(8)";

/// Options and operands of a command that are not global: as typed, and help.
fn own_options(command: &Command) -> Vec<(String, String)> {
    let own = command.get_arguments().filter(|a| {
        !a.is_global_set() && !a.is_hide_set() && !["help", "version"].contains(&a.get_id().as_str())
    });
    own.map(|a| {
        let letter = a.get_short().map(|c| format!("-{c}"));
        let names: Vec<String> = letter.into_iter().chain(a.get_long().map(|l| format!("--{l}"))).collect();
        let takes_value = matches!(a.get_action(), ArgAction::Set | ArgAction::Append);
        let value: Vec<&str> =
            a.get_value_names().unwrap_or_default().iter().map(clap::builder::Str::as_str).collect();
        let value = if takes_value && !value.is_empty() { value.join(" ") } else { String::new() };
        let typed = [names.join(", "), value].join(" ").trim().to_owned();
        (typed, a.get_help().map(ToString::to_string).unwrap_or_default())
    })
    .collect()
}

/// The manual page in roff.
pub(super) fn page() -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut command = Args::command();
    command.build();
    let man = clap_mangen::Man::new(command.clone());
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    writeln!(out, ".SH SYNOPSIS")?;
    for operands in
        ["[\\fIOPTIONS\\fR] [\\fIFILTER\\fR]...", "\\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIFILTER\\fR]..."]
    {
        writeln!(out, "\\fBsockscope\\fR {operands}\n.br")?;
    }
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    writeln!(out, ".SH COMMANDS")?;
    let listing = command.find_subcommand("list").map(own_options).unwrap_or_default();
    for sub in command.get_subcommands().filter(|s| !s.is_hide_set()) {
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(out, ".SS sockscope {}\n{}", plain(sub.get_name()), plain(&about))?;
        let options = own_options(sub);
        if sub.get_name() != "list" && options == listing {
            writeln!(out, "\n.PP\nThe options are those of list.")?;
            continue;
        }
        for (option, help) in options {
            item(&mut out, &option, &help)?;
        }
    }
    writeln!(out, ".SH COMING FROM SS, NETSTAT OR LSOF")?;
    for h in HABITS {
        item(&mut out, h.theirs, &format!("sockscope {}", h.ours))?;
    }
    writeln!(out, ".SS Letters with another meaning here")?;
    for line in equivalents::differences() {
        let (letter, text) = line.split_once(' ').unwrap_or((&line, ""));
        item(&mut out, letter, text)?;
    }
    writeln!(out, ".SH FILTER LANGUAGE")?;
    for (section, rows) in LANGUAGE {
        writeln!(out, ".SS {}", plain(section))?;
        for (example, meaning) in *rows {
            item(&mut out, example, meaning)?;
        }
    }
    writeln!(out, ".SH KEYS")?;
    for c in COMMANDS {
        let keys = c.key_labels();
        item(&mut out, &keys.join(", "), c.help)?;
    }
    for table in TABLES {
        writeln!(out, ".SH COLUMNS OF {}\n{}", plain(&table.noun.to_uppercase()), plain(table.help))?;
        for c in table.columns {
            item(&mut out, c.name, c.help)?;
        }
    }
    writeln!(out, ".SH SETTINGS")?;
    for s in settings() {
        let default = s.default_line().map_or(String::new(), |line| format!(" Default: {line}."));
        let example = s.example_line().map_or(String::new(), |line| format!(" Example: {line}."));
        item(&mut out, &s.key, &format!("{}{default}{example}", s.help))?;
    }
    writeln!(out, ".SH ENVIRONMENT")?;
    for (name, text) in ENVIRONMENT {
        item(&mut out, name, text)?;
    }
    writeln!(out, ".SH FILES")?;
    item(&mut out, SYSTEM_CONFIG, "Configuration file for users without one of their own.")?;
    item(
        &mut out,
        "~/.config/sockscope/config.toml",
        "Configuration file; sockscope config \u{2d}\u{2d}init writes a commented one.",
    )?;
    item(&mut out, "~/.config/sockscope/themes/", "Color themes, one file each.")?;
    item(&mut out, "~/.local/state/sockscope/history", "Filter history.")?;
    item(&mut out, "~/.local/state/sockscope/session.json", "The last session, for --resume.")?;
    item(&mut out, "~/.local/state/sockscope/recording/", "Recordings of record, a file an hour.")?;
    writeln!(out, ".SH JSON")?;
    writeln!(out, "\\fBsockscope schema\\fR prints the JSON Schema of every object.")?;
    for line in super::schema::PROMISE {
        writeln!(out, ".PP\n{}", plain(&line.replace('`', "")))?;
    }
    writeln!(out, ".SH EXIT STATUS")?;
    for (code, meaning) in [
        ("0", "Success; also if the reader of a pipe has closed it."),
        ("1", "No row matched, or the wait timed out."),
        (
            "2",
            "Usage error or failure; one line on standard error has the operation, its object and the reason.",
        ),
    ] {
        item(&mut out, code, meaning)?;
    }
    item(&mut out, "check", "0 ok, 1 warning, 2 critical, 3 unknown.")?;
    item(&mut out, "who", "0 held or forwarded, 1 free.")?;
    item(&mut out, "diff", "0 no difference, 1 differences.")?;
    item(&mut out, "why", "0 reachable, 1 cause found, 3 could not tell.")?;
    item(&mut out, "kill", "0 done, 1 nothing matched or not confirmed.")?;
    writeln!(out, ".SH EXAMPLES")?;
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for line in examples.lines().filter_map(|l| l.strip_prefix("  ")) {
        let (example, text) = line.split_once("  ").unwrap_or((line, ""));
        item(&mut out, example, text.trim())?;
    }
    writeln!(out, ".SH SEE ALSO\n{}", plain(SEE_ALSO))?;
    Ok(out)
}
