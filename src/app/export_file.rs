//! Export of the screen or its rows to a new file in the current directory.

use super::{environment, listing};
use crate::cli::{Plan, user_file};
use crate::format::{Column, thousands};
use crate::model::lang::in_english;
use crate::msg;
use crate::output::{self, Differences, Format, Grid, HostRows, JsonHead, JsonKeys, Listing, Rows};
use crate::tui::export::Export;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Writes the export to a new file of this name; returns the result, with the whole path, in one line.
pub(super) fn write(plan: &Plan, name: &str, what: &Export) -> String {
    let dir = std::env::current_dir().unwrap_or_else(|_| ".".into());
    match in_english(|| write_in(&dir, name, plan, what)) {
        Ok((file, Some(rows))) => msg!("{} rows written to {}", thousands(rows as u64), file.display()),
        Ok((file, None)) => msg!("written to {}", file.display()),
        Err((file, e)) => msg!("write {}: {}", file.display(), e),
    }
}

fn write_in(
    dir: &Path,
    name: &str,
    plan: &Plan,
    what: &Export,
) -> Result<(PathBuf, Option<usize>), (PathBuf, io::Error)> {
    let file = dir.join(name);
    let written = user_file::write_new(&file, |mut out| match what {
        Export::Text(_, text) => out.write_all(text.as_bytes()).map(|()| None),
        Export::Rows(form, shown) => {
            if let Some(merged) = &shown.snap.merged {
                let snaps: Vec<_> = merged.hosts.iter().map(|h| Arc::clone(&h.snap)).collect();
                let at = |r: &u32| merged.at(shown.table, *r as usize).map(|(h, row)| (h as u32, row as u32));
                let rows: Vec<(u32, u32)> = shown.rows.iter().filter_map(at).collect();
                let grid = HostRows { snaps: &snaps, columns: &shown.columns, rows: &rows };
                return write_grid(&mut out, plan, form, &grid, JsonKeys::All(JsonHead::new(&shown.snap)));
            }
            let grid = Rows { snap: &shown.snap, columns: &shown.columns, rows: &shown.rows };
            write_grid(&mut out, plan, form, &grid, JsonKeys::All(JsonHead::new(&shown.snap)))
        }
        Export::Differences(form, rows) => {
            let columns: Vec<&'static Column> = Differences::COLUMNS.iter().collect();
            let grid = Differences { rows, columns: &columns };
            write_grid(&mut out, plan, form, &grid, JsonKeys::Columns)
        }
    });
    match written {
        Ok(rows) => Ok((file, rows)),
        Err(e) => Err((file, e)),
    }
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
    let listing = Listing { grid, header: true, style: &style, width: None, optional: 0, keys, color: false };
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
        let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000);
        let all = shown.rows.len();
        for (form, ending) in [("table", "txt"), ("csv", "csv"), ("json", "json"), ("ndjson", "ndjson")] {
            let what = Export::Rows(form, shown.clone());
            let name = what.file_name(at);
            let (file, rows) = write_in(dir.path(), &name, &plan, &what).unwrap();
            assert_eq!(file, dir.path().join(format!("sockscope-20270115T080000Z.{ending}")));
            assert_eq!(rows, Some(all));
            let text = std::fs::read_to_string(&file).unwrap();
            let lines = if form == "json" { 1 } else { all };
            assert!(text.lines().count() >= lines && !text.contains('\x1b'), "{text}");
            assert_eq!(
                write_in(dir.path(), &name, &plan, &what).unwrap_err().1.kind(),
                io::ErrorKind::AlreadyExists
            );
        }
        let json: serde_json::Value = serde_json::from_slice(
            &std::fs::read(dir.path().join("sockscope-20270115T080000Z.json")).unwrap(),
        )
        .unwrap();
        assert_eq!(json.as_array().unwrap().len(), all);
    }
}
