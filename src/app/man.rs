//! The manual page, generated from the registries: commands, flags, filter language, keys, columns, settings.

use crate::cli::Args;
use crate::cli::equivalents::{self, HABITS};
use crate::cli::settings::settings;
use crate::filter::LANGUAGE;
use crate::table::TABLES;
use crate::tui::command::COMMANDS;
use clap::CommandFactory;
use std::io::{self, Write};

/// Text escaped for roff.
fn plain(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn item(out: &mut Vec<u8>, name: &str, text: &str) -> io::Result<()> {
    writeln!(out, ".TP\n\\fB{}\\fR\n{}", plain(name), plain(text))
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
    for sub in command.get_subcommands() {
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        item(&mut out, &format!("sockscope {}", sub.get_name()), &about)?;
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
    writeln!(out, ".SH FILES")?;
    item(
        &mut out,
        "~/.config/sockscope/config.toml",
        "Configuration file; sockscope config \u{2d}\u{2d}init writes a commented one.",
    )?;
    item(&mut out, "~/.config/sockscope/themes/", "Color themes, one file each.")?;
    item(&mut out, "~/.local/state/sockscope/history", "Filter history.")?;
    item(&mut out, "~/.local/state/sockscope/session.json", "The last session, for --resume.")?;
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
    Ok(out)
}
