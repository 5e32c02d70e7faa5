//! The reference, generated from the registries: `assets/reference.md`, which a test compares with this.

use crate::cli::settings::settings;
use crate::cli::settings::template::choice_names;
use crate::diagnose::cause::CAUSES;
use crate::diagnose::finding::FINDINGS;
use crate::filter::LANGUAGE;
use crate::model::Proto;
use crate::model::state::STATES;
use crate::table::TABLES;
use crate::tui::command::COMMANDS;
use std::fmt::Write;

/// Text escaped for a Markdown table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The reference in Markdown.
pub(super) fn page() -> String {
    let mut out = String::from(
        "# Reference\n\nGenerated from the program's registries by `sockscope reference > assets/reference.md`; do not edit.\n",
    );
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\n## Filters\n");
    for (section, rows) in LANGUAGE {
        let _ = writeln!(out, "### {section}\n\n| filter | meaning |\n|---|---|");
        for (example, meaning) in *rows {
            let _ = writeln!(out, "| `{}` | {} |", cell(example), cell(meaning));
        }
        out.push('\n');
    }
    let _ = writeln!(out, "## Findings\n\n| finding | meaning and remedy |\n|---|---|");
    for f in FINDINGS {
        let _ = writeln!(out, "| `{}` | {} |", f.name, cell(f.help));
    }
    out.push('\n');
    let _ = writeln!(
        out,
        "## Causes\n\nFound by `sockscope why`, in the order in which the kernel meets them.\n\n| cause | effect | meaning and remedy |\n|---|---|---|"
    );
    for c in CAUSES {
        let _ = writeln!(out, "| `{}` | {} | {} {} |", c.name, c.effect.text(), cell(c.help), cell(c.remedy));
    }
    out.push('\n');
    let _ = writeln!(out, "## States\n\n| state | meaning | aliases |\n|---|---|---|");
    for s in &STATES {
        let also: Vec<String> = s.aliases.iter().map(|a| format!("`{a}`")).collect();
        let _ = writeln!(out, "| {} | {} | {} |", s.name, cell(s.meaning), also.join(" "));
    }
    for table in TABLES {
        let _ = writeln!(
            out,
            "\n## Columns of {}\n\n{}\n\n| column | aliases | meaning |\n|---|---|---|",
            table.noun, table.help
        );
        for c in table.columns {
            let also: Vec<String> = c.aliases.iter().map(|a| format!("`{a}`")).collect();
            let bold = if table.defaults.contains(&c.name) { "**" } else { "" };
            let only = c.protos.map_or(String::new(), |p| {
                let names: Vec<&str> = p.protos.members().map(Proto::name).collect();
                format!(" Only {}.", names.join(", "))
            });
            let help = cell(c.help);
            let _ = writeln!(out, "| {bold}`{}`{bold} | {} | {help}{only} |", c.name, also.join(" "));
        }
    }
    let _ = writeln!(out, "\n## JSON\n\n`sockscope schema` prints the JSON Schema of every object.\n");
    for line in super::schema::PROMISE {
        let _ = writeln!(out, "- {line}");
    }
    let _ = writeln!(
        out,
        "\n## Settings\n\nKeys of the configuration file; `*` is a name you choose.\n\n| setting | flag | default | example | meaning |\n|---|---|---|---|---|"
    );
    for s in settings() {
        let code = |text: Option<String>| text.map_or(String::new(), |t| format!("`{}`", cell(&t)));
        let flag = code(s.flag.map(|f| format!("--{f}")));
        let default = code(s.default.clone());
        let example = code(s.example_line());
        let choices = choice_names(s);
        let values = if choices.is_empty() { choices } else { format!(" Values: {choices}.") };
        let _ = writeln!(
            out,
            "| `{}` | {flag} | {default} | {example} | {}{} |",
            s.key,
            cell(&s.help),
            cell(&values)
        );
    }
    let _ = writeln!(out, "\n## Keys\n\n| key | command | action |\n|---|---|---|");
    for c in COMMANDS {
        let keys: Vec<String> = c.key_labels().iter().map(|k| format!("`{k}`")).collect();
        let _ = writeln!(out, "| {} | {} | {} |", cell(&keys.join(" ")), c.name, cell(c.help));
    }
    out
}
