//! Files that the dashboard writes: filter history, saved filters and views, last session.

use crate::cli::config_file::{with_filter, with_view};
use crate::cli::user_file;
use crate::view::preset::{Preset, Session};
use std::io;
use std::path::Path;

/// Maximum number of history entries read.
const MAX_HISTORY: usize = 200;

/// Filter history, oldest first; empty if it cannot be read.
pub(super) fn history(file: Option<&Path>) -> Vec<String> {
    let text = file.and_then(|f| user_file::read(f).ok()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(MAX_HISTORY)..].iter().map(|l| (*l).to_owned()).collect()
}

/// Adds a filter to the history; only the user can read the file.
pub(super) fn remember(file: &Path, filter: &str) -> io::Result<()> {
    let mut all = history(Some(file));
    all.push(filter.to_owned());
    let from = all.len().saturating_sub(MAX_HISTORY);
    user_file::replace(file, &(all[from..].join("\n") + "\n"))
}

/// Something to save under a name.
pub(super) enum Saved<'a> {
    Filter(&'a str),
    View(&'a Preset),
}

/// Saves a filter or a view in the configuration file; everything else in it is kept.
pub(super) fn save(file: &Path, name: &str, what: &Saved<'_>) -> Result<(), String> {
    let text = match user_file::read(file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e.to_string()),
    };
    let text = match what {
        Saved::Filter(filter) => with_filter(&text, name, filter),
        Saved::View(view) => with_view(&text, name, view),
    };
    user_file::replace(file, &text.map_err(|e| e.to_string())?).map_err(|e| e.to_string())
}

/// The last session; `None` if it cannot be read.
pub(super) fn session(file: Option<&Path>) -> Option<Session> {
    serde_json::from_str(&user_file::read(file?).ok()?).ok()
}

/// Writes the session.
pub(super) fn keep_session(file: &Path, session: &Session) -> io::Result<()> {
    user_file::replace(file, &serde_json::to_string_pretty(session)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::user_file::write_new;
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn history_filters_and_session_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/history");
        assert!(history(Some(&file)).is_empty() && history(None).is_empty());
        for i in 0..250 {
            remember(&file, &format!("port:{i}")).unwrap();
        }
        let all = history(Some(&file));
        assert_eq!((all.len(), all[0].as_str(), all[199].as_str()), (200, "port:50", "port:249"));
        let config = dir.path().join("b/config.toml");
        save(&config, "leak", &Saved::Filter("state:close-wait")).unwrap();
        save(&config, "web", &Saved::Filter("port:443")).unwrap();
        let text = fs::read_to_string(&config).unwrap();
        assert_eq!(text, "[filters]\nleak = \"state:close-wait\"\nweb = \"port:443\"\n");
        assert!(save(Path::new("/dev/null/x"), "a", &Saved::Filter("b")).is_err());
        let new = dir.path().join("new");
        let full = |_: &mut dyn Write| Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull));
        assert!(write_new(&new, full).is_err() && !new.exists(), "removed after an error");
        write_new(&new, |out| out.write_all(b"x")).unwrap();
        assert_eq!(write_new(&new, full).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&new).unwrap(), b"x", "not overwritten");
        let state = dir.path().join("c/session.json");
        assert_eq!(session(Some(&state)), None);
        let left = Session { view: "ports".into(), ..Session::default() };
        keep_session(&state, &left).unwrap();
        assert_eq!(session(Some(&state)), Some(left));
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
