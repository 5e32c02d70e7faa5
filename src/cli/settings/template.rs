//! Settings as text: the commented file of `config --init`, and the listing of `config`.

use super::list::settings;
use super::schema::Setting;
use std::fmt::Write as _;
use toml_edit::{Document, TableLike};

impl Setting {
    /// The table of the file it is in: its key without the last name, and without names of the user's own.
    fn section(&self) -> &str {
        let fixed = self.key.split_once(".*").map_or(self.key.as_str(), |(head, _)| head);
        if fixed.len() < self.key.len() { fixed } else { fixed.rsplit_once('.').map_or("", |(head, _)| head) }
    }

    /// Its key within that table, with a name for each `*`.
    fn key_in_section(&self) -> String {
        let inside = self.key[self.section().len()..].trim_start_matches('.');
        let mut names = self.names.iter();
        let parts: Vec<&str> = inside
            .split('.')
            .map(|p| if p == "*" { names.next().copied().unwrap_or("name") } else { p })
            .collect();
        parts.join(".")
    }

    /// The line that sets it to its default.
    pub fn default_line(&self) -> Option<String> {
        self.default.as_ref().map(|value| format!("{} = {value}", self.key_in_section()))
    }

    /// The line of its example.
    pub fn example_line(&self) -> Option<String> {
        self.example.map(|value| format!("{} = {value}", self.key_in_section()))
    }
}

/// A whole configuration file in which everything is a comment.
pub fn template() -> String {
    let mut out = String::from(
        "# Configuration of sockscope. Every setting is commented out and shows its default;\n\
         # lines that begin with \"Example:\" are examples.\n\
         # `sockscope config --check` checks this file.\n",
    );
    let mut section = "";
    for s in settings() {
        if s.section() != section {
            section = s.section();
            // Writing to a String cannot fail.
            let _ = write!(out, "\n[{section}]\n");
            if s.section_help != s.help {
                let _ = writeln!(out, "# {}", s.section_help);
            }
        }
        let flag = s.flag.map_or(String::new(), |f| format!(" (--{f})"));
        let _ = write!(out, "\n# {}{flag}\n", s.help);
        if !s.choices.is_empty() {
            let _ = writeln!(out, "# Values: {}", choice_names(s));
        }
        if let Some(line) = s.default_line() {
            let _ = writeln!(out, "# {line}");
        }
        if let Some(line) = s.example_line() {
            let _ = writeln!(out, "# Example: {line}");
        }
    }
    out
}

/// The values of a setting, separated by commas.
pub fn choice_names(setting: &Setting) -> String {
    setting.choices.iter().map(clap::builder::PossibleValue::get_name).collect::<Vec<_>>().join(", ")
}

/// Every setting in force under this file, as a line of a file each, and whether the file sets it.
pub fn in_force(text: &str) -> Vec<(String, bool)> {
    let document = Document::parse(text.to_owned()).map(Document::into_mut).unwrap_or_default();
    let mut out = Vec::new();
    for s in settings() {
        let mut found = Vec::new();
        collect_values(document.as_table(), &s.key, "", &mut found);
        if let Some(default) = s.default.as_ref().filter(|_| found.is_empty()) {
            out.push((format!("{} = {default}", s.key), false));
        }
        out.extend(found.into_iter().map(|line| (line, true)));
    }
    out
}

/// Collects the values at a setting's key, as lines.
fn collect_values(table: &dyn TableLike, key: &str, parent: &str, out: &mut Vec<String>) {
    let (name, rest) = key.split_once('.').map_or((key, None), |(n, r)| (n, Some(r)));
    for (k, item) in table.iter().filter(|(k, _)| name == "*" || *k == name) {
        let path = format!("{parent}{}", toml_edit::Key::new(k));
        match (rest, item) {
            (Some(rest), item) => {
                if let Some(inner) = item.as_table_like() {
                    collect_values(inner, rest, &format!("{path}."), out);
                }
            }
            (None, item) => out.extend(item.as_value().map(|v| format!("{path} = {}", v.to_string().trim()))),
        }
    }
}
