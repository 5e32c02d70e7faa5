//! The files that the dashboard writes: filters typed before, and filters saved under a name.

use crate::cli::config::with_filter;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Lines of the history that are read.
const MOST: usize = 200;

/// Filters typed before, oldest first. One that cannot be read is empty: it is no reason not to start.
pub(super) fn history(file: Option<&Path>) -> Vec<String> {
    let text = file.and_then(|f| fs::read_to_string(f).ok()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(MOST)..].iter().map(|l| (*l).to_owned()).collect()
}

/// Adds a filter to the history, for this user's eyes only.
pub(super) fn remember(file: &Path, filter: &str) -> io::Result<()> {
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut out = File::options().append(true).create(true).mode(0o600).open(file)?;
    out.write_all(format!("{filter}\n").as_bytes())
}

/// Saves a filter in the configuration file; what else stands there stays. Written beside it first, so that a full disk
/// costs nothing that was there.
pub(super) fn save(file: &Path, name: &str, filter: &str) -> Result<(), String> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e.to_string()),
    };
    let text = with_filter(&text, name, filter).map_err(|e| e.to_string())?;
    let write = || -> io::Result<()> {
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir)?;
        }
        let beside = file.with_extension("toml.new");
        fs::write(&beside, text)?;
        fs::rename(&beside, file)
    };
    write().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/history");
        assert!(history(Some(&file)).is_empty() && history(None).is_empty());
        for i in 0..250 {
            remember(&file, &format!("port:{i}")).unwrap();
        }
        let all = history(Some(&file));
        assert_eq!((all.len(), all[0].as_str(), all[199].as_str()), (200, "port:50", "port:249"));
        let config = dir.path().join("b/config.toml");
        save(&config, "leak", "state:close-wait").unwrap();
        save(&config, "web", "port:443").unwrap();
        let text = fs::read_to_string(&config).unwrap();
        assert_eq!(text, "[filters]\nleak = \"state:close-wait\"\nweb = \"port:443\"\n");
        assert!(save(Path::new("/dev/null/x"), "a", "b").is_err());
    }
}
