//! The configuration file as text: reading it, and adding a saved filter or view to it.

use super::error::UsageError;
use super::user_file;
use crate::view::preset::Preset;
use std::io;
use std::path::Path;

/// Reads a configuration file. `None` if it does not exist or is not readable, unless the user named it.
pub fn read_file(file: &Path, named: bool) -> Result<Option<String>, UsageError> {
    match user_file::read(file) {
        Ok(text) => Ok(Some(text)),
        // `sudo -u` keeps the home directory, so it can be another user's.
        Err(e) if !named && !matches!(e.kind(), io::ErrorKind::InvalidData | io::ErrorKind::Other) => {
            Ok(None)
        }
        Err(e) => Err(UsageError(format!("read {}: {e}", file.display()))),
    }
}

/// Adds an entry to a table of a configuration file; comments and order are kept.
fn with_entry(text: &str, table: &str, name: &str, entry: toml_edit::Item) -> Result<String, UsageError> {
    let mut doc: toml_edit::DocumentMut =
        text.parse().map_err(|e: toml_edit::TomlError| UsageError(e.message().replace('\n', " ")))?;
    let place = doc.entry(table).or_insert_with(toml_edit::table);
    match place.as_table_like_mut() {
        Some(t) => t.insert(name, entry),
        None => return Err(UsageError(format!("{table}: expected a table"))),
    };
    Ok(doc.to_string())
}

/// Adds a saved filter.
pub fn with_filter(text: &str, name: &str, filter: &str) -> Result<String, UsageError> {
    with_entry(text, "filters", name, toml_edit::value(filter))
}

/// Adds a saved view.
pub fn with_view(text: &str, name: &str, view: &Preset) -> Result<String, UsageError> {
    let view = toml_edit::ser::to_document(view).map_err(|e| UsageError(e.to_string()))?;
    let values = view.as_table().iter().filter_map(|(k, v)| Some((k.to_owned(), v.as_value()?.clone())));
    let entry: toml_edit::InlineTable = values.collect();
    with_entry(text, "views", name, toml_edit::value(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_file_is_an_error_only_if_named() {
        assert_eq!(read_file(Path::new("/no/such"), false), Ok(None));
        let error = |file| read_file(Path::new(file), true).unwrap_err().to_string();
        assert_eq!(error("/tmp"), "read /tmp: not a regular file");
        assert!(error("/no/such").starts_with("read /no/such: "));
    }

    #[test]
    fn saving_keeps_comments_and_other_entries() {
        let before = "# mine\ninterval = \"2s\" # slow\n\n[filters]\na = \"x\"\n";
        let after = with_filter(before, "leak", "state:close-wait \"a b\"").unwrap();
        assert!(after.starts_with(before), "{after}");
        assert!(after.ends_with("\nleak = 'state:close-wait \"a b\"'\n"), "{after}");
        assert_eq!(with_filter("", "n", "v").unwrap(), "[filters]\nn = \"v\"\n");
        let view = Preset { filter: "port:443".into(), sort: Some("rx:desc".into()), ..Preset::default() };
        let after = with_view(&after, "web", &view).unwrap();
        assert!(
            after.ends_with("\n[views]\nweb = { filter = \"port:443\", sort = \"rx:desc\" }\n"),
            "{after}"
        );
        assert!(with_filter("filters = 1", "n", "v").is_err() && with_filter("[", "n", "v").is_err());
    }
}
