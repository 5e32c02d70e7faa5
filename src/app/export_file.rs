//! Export of the screen or its rows to a new file.

use super::confine::Outside;
use super::{environment, listing};
use crate::cli::{Plan, user_file};
use crate::format::{Column, thousands};
use crate::model::lang::in_english;
use crate::msg;
use crate::output::{self, Differences, Format, Grid, HostRows, JsonHead, JsonKeys, Listing, Rows};
use crate::tui::export::Export;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;

/// Directories that a name is relative to.
struct Dirs {
    current: PathBuf,
    home: Option<PathBuf>,
}

impl Dirs {
    /// Those of this process.
    fn new() -> Self {
        let current = std::env::current_dir().unwrap_or_else(|_| ".".into());
        Self { current, home: environment::home_dir() }
    }

    /// Whole path of a file: absolute, under `~/`, or relative to the current directory; without links and `..` if the directory
    /// exists.
    fn path(&self, name: &str) -> PathBuf {
        let file = match (name.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
            _ => self.current.join(name),
        };
        match (file.parent().map(fs::canonicalize), file.file_name()) {
            (Some(Ok(dir)), Some(name)) => dir.join(name),
            _ => file,
        }
    }
}

/// Writes the export to a new file of this name or path; returns the result, with the whole path, in one line. Only the thread
/// outside of the sandbox may open a file in any directory, and it does nothing else with it.
pub(super) fn write(plan: &Plan, opener: &Outside, name: &str, what: &Export) -> String {
    let file = Dirs::new().path(name);
    let written = open_outside(opener, &file).and_then(|out| {
        let result = write_export(out, plan, what);
        if result.is_err() {
            let file = file.clone();
            opener.run(move || drop(fs::remove_file(file)));
        }
        result
    });
    match written {
        Ok(Some(rows)) => msg!("{} rows written to {}", thousands(rows as u64), file.display()),
        Ok(None) => msg!("written to {}", file.display()),
        Err(e) => msg!("write {}: {}", file.display(), e),
    }
}

/// Opens a new file in the thread outside, which has no capability raised: as the user would.
fn open_outside(opener: &Outside, file: &Path) -> io::Result<File> {
    let (reply, opened) = channel();
    let file = file.to_owned();
    opener.run(move || drop(reply.send(user_file::open_new(&file))));
    opened.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that opens files has ended")))
}

/// Writes the export to an open file; the number of rows, if it has rows.
fn write_export(out: File, plan: &Plan, what: &Export) -> io::Result<Option<usize>> {
    in_english(|| {
        user_file::write_to(out, |mut out| match what {
            Export::Text(_, text) => out.write_all(text.as_bytes()).map(|()| None),
            Export::Rows(form, shown) => {
                if let Some(merged) = &shown.snap.merged {
                    let snaps: Vec<_> = merged.hosts.iter().map(|h| Arc::clone(&h.snap)).collect();
                    let at =
                        |r: &u32| merged.at(shown.table, *r as usize).map(|(h, row)| (h as u32, row as u32));
                    let rows: Vec<(u32, u32)> = shown.rows.iter().filter_map(at).collect();
                    let grid = HostRows { snaps: &snaps, columns: &shown.columns, rows: &rows };
                    return write_grid(
                        &mut out,
                        plan,
                        form,
                        &grid,
                        JsonKeys::All(JsonHead::new(&shown.snap)),
                    );
                }
                let grid = Rows { snap: &shown.snap, columns: &shown.columns, rows: &shown.rows };
                write_grid(&mut out, plan, form, &grid, JsonKeys::All(JsonHead::new(&shown.snap)))
            }
            Export::Differences(form, rows) => {
                let columns: Vec<&'static Column> = Differences::COLUMNS.iter().collect();
                let grid = Differences { rows, columns: &columns };
                write_grid(&mut out, plan, form, &grid, JsonKeys::Columns)
            }
        })
    })
}

/// Writes rows in the format of this name; their number.
fn write_grid(
    out: &mut dyn io::Write,
    plan: &Plan,
    form: &str,
    grid: &dyn Grid,
    keys: JsonKeys,
) -> io::Result<Option<usize>> {
    let form = Format::ALL.iter().find(|(_, n)| *n == form).map_or(Format::Table, |(f, _)| *f);
    let style = listing::style(plan, &environment::TerminalEnv::read());
    let listing = Listing {
        grid,
        header: true,
        style: &style,
        width: None,
        optional: 0,
        named: &[],
        keys,
        color: false,
    };
    output::write(out, form, &listing).map(|()| Some(grid.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Args, Settings};
    use crate::collect::Source;
    use crate::collect::scenario::{Scenario, ScenarioSource};
    use crate::derive::Engine;
    use crate::model::{Services, Wants};
    use crate::table::SOCKETS;
    use crate::tui::export::ExportRows;
    use clap::Parser;

    #[test]
    fn each_format_is_a_new_file_and_none_is_overwritten() {
        let plan =
            Plan::new(Args::parse_from(["sockscope"]), Services::well_known(), Settings::default()).unwrap();
        let mut source = ScenarioSource::new(Scenario::named("hostile").unwrap());
        let snap = Engine::new().step(source.sample(&Wants::default()).unwrap());
        let rows: Vec<u32> = (0..snap.live as u32).collect();
        let shown = ExportRows { table: SOCKETS.id, columns: SOCKETS.default_columns(), rows, snap };
        let dir = tempfile::tempdir().unwrap();
        let (opener, root) = (Outside::start().unwrap(), fs::canonicalize(dir.path()).unwrap());
        let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000);
        let all = shown.rows.len();
        for (form, ending) in [("table", "txt"), ("csv", "csv"), ("json", "json"), ("ndjson", "ndjson")] {
            let what = Export::Rows(form, shown.clone());
            let file = root.join(what.file_name(at));
            let name = file.to_str().unwrap();
            assert!(name.ends_with(&format!("/sockscope-20270115T080000Z.{ending}")), "{name}");
            let result = write(&plan, &opener, name, &what);
            assert_eq!(result, format!("{} rows written to {name}", thousands(all as u64)));
            let text = fs::read_to_string(&file).unwrap();
            let lines = if form == "json" { 1 } else { all };
            assert!(text.lines().count() >= lines && !text.contains('\x1b'), "{text}");
            let again = write(&plan, &opener, name, &what);
            assert!(again.starts_with(&format!("write {name}: File exists")), "{again}");
        }
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(root.join("sockscope-20270115T080000Z.json")).unwrap()).unwrap();
        assert_eq!(json.as_array().unwrap().len(), all);
        // A link is not followed, even to nowhere, and a directory is not made.
        let (link, victim) = (root.join("link.txt"), root.join("victim.txt"));
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        let screen = Export::Text("txt", "screen".to_owned());
        assert!(write(&plan, &opener, link.to_str().unwrap(), &screen).contains(": File exists"));
        assert!(!victim.exists());
        let missing = root.join("missing/x.txt");
        assert!(write(&plan, &opener, missing.to_str().unwrap(), &screen).contains(": No such file"));
    }

    #[test]
    fn names_are_relative_to_the_current_directory_and_to_home() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("home")).unwrap();
        fs::create_dir_all(root.join("work/deep")).unwrap();
        let dirs = Dirs { current: root.join("work/deep"), home: Some(root.join("home")) };
        for (name, want) in [
            ("x.csv", "work/deep/x.csv"),
            ("../x.csv", "work/x.csv"),
            ("~/x.csv", "home/x.csv"),
            ("~/no/x.csv", "home/no/x.csv"),
            ("~x.csv", "work/deep/~x.csv"),
        ] {
            assert_eq!(dirs.path(name), root.join(want), "{name}");
        }
        assert_eq!(dirs.path("/nowhere/x.csv"), Path::new("/nowhere/x.csv"));
    }
}
