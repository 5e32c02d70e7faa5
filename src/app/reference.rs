//! The reference page, made from the registries: `assets/reference.md`, which a test holds to this.

use crate::cli::setting::SETTINGS;
use crate::diagnose::finding::FINDINGS;
use crate::filter::LANGUAGE;
use crate::model::state::STATES;
use crate::table::TABLES;
use crate::tui::command::{COMMANDS, key_label};
use std::fmt::Write;

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The whole page, in Markdown.
pub(super) fn page() -> String {
    let mut out = String::from(
        "# Reference\n\nMade by `sockscope reference > assets/reference.md` from the program's own lists; do not edit.\n",
    );
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\n## Filters\n");
    for (section, rows) in LANGUAGE {
        let _ = writeln!(out, "### {section}\n\n| write | to ask |\n|---|---|");
        for (example, meaning) in *rows {
            let _ = writeln!(out, "| `{}` | {} |", cell(example), cell(meaning));
        }
        out.push('\n');
    }
    let _ = writeln!(out, "## Findings\n\n| finding | what it means, and what to do |\n|---|---|");
    for f in FINDINGS {
        let _ = writeln!(out, "| `{}` | {} |", f.name, cell(f.help));
    }
    out.push('\n');
    let _ = writeln!(out, "## States\n\n| state | meaning | also written |\n|---|---|---|");
    for s in &STATES {
        let also: Vec<String> = s.aliases.iter().map(|a| format!("`{a}`")).collect();
        let _ = writeln!(out, "| {} | {} | {} |", s.name, cell(s.meaning), also.join(" "));
    }
    for table in TABLES {
        let _ = writeln!(
            out,
            "\n## Columns of {}\n\n{}\n\n| column | also | what it is |\n|---|---|---|",
            table.noun, table.help
        );
        for c in table.columns {
            let also: Vec<String> = c.aliases.iter().map(|a| format!("`{a}`")).collect();
            let usual = if table.defaults.contains(&c.name) { "**" } else { "" };
            let _ = writeln!(out, "| {usual}`{}`{usual} | {} | {} |", c.name, also.join(" "), cell(c.help));
        }
    }
    let _ = writeln!(
        out,
        "\n## Settings\n\nOf the configuration file; `*` is a name of your own.\n\n| setting | flag | as usual, or for example | what it does |\n|---|---|---|---|"
    );
    for s in SETTINGS {
        let flag = s.flag.map_or(String::new(), |f| format!("`--{f}`"));
        let _ = writeln!(out, "| `{}` | {flag} | `{}` | {} |", s.key, cell(s.usual), cell(s.help));
    }
    let _ = writeln!(out, "\n## Keys\n\n| key | command | what it does |\n|---|---|---|");
    for c in COMMANDS {
        let keys: Vec<String> = c.keys.iter().map(|k| format!("`{}`", key_label(k, true))).collect();
        let _ = writeln!(out, "| {} | {} | {} |", cell(&keys.join(" ")), c.name, cell(c.help));
    }
    out
}
