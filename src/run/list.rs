//! One shot: read, derive, arrange, print.

use super::environment::Words;
use super::{Ending, RunError, open};
use crate::cli::Plan;
use crate::cli::args::ColorArg;
use crate::cli::plan::ListPlan;
use crate::derive::Engine;
use crate::model::{FaultKind, Missing, ProtoSet, Snapshot};
use crate::output::{self, Format, Listing};
use crate::query::format::Style;
use crate::query::view::View;
use crate::query::wants::wants;
use crate::ui::app::Color;
use std::io::{self, BufWriter, IsTerminal, Write};

/// Reads once and prints.
pub(super) fn run(plan: &Plan, list: &ListPlan) -> Result<Ending, RunError> {
    let mut source = open(plan.backend, plan.proc_root.as_deref())?;
    let wants = wants(list.table, &list.columns, &list.filter, &list.sort, ProtoSet::TCP_UDP, true);
    let mut engine = Engine::new();
    let mut snap = engine.step(source.sample(&wants)?);
    if list.columns.iter().chain(list.sort.iter().map(|k| &k.column)).any(|c| c.kind.is_over_time()) {
        std::thread::sleep(plan.interval);
        snap = engine.step(source.sample(&wants)?);
    }
    print(plan, list, &snap)
}

fn print(plan: &Plan, list: &ListPlan, snap: &Snapshot) -> Result<Ending, RunError> {
    let words = Words::read();
    let terminal = io::stdout().is_terminal();
    let style = Style { numeric: plan.numeric, ascii: terminal && !words.utf8() };
    let view = View {
        table: list.table,
        filter: list.filter.clone(),
        sort: list.sort.clone(),
        group: list.group,
        closed: false,
    };
    let mut rows = view.arrange(snap);
    if let Some(top) = list.top {
        rows.rows.truncate(top);
        rows.groups.clear();
    }
    let listing = Listing {
        snap,
        table: list.table,
        columns: &list.columns,
        rows: &rows,
        header: list.header,
        style: &style,
        width: if terminal { terminal_width() } else { None },
        color: match plan.color {
            ColorArg::Always => true,
            ColorArg::Never => false,
            ColorArg::Auto => terminal && words.colors() != Color::None,
        },
    };
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    output::write(&mut out, list.format, &listing).and_then(|()| out.flush()).map_err(RunError::stdout)?;
    drop(out);
    if list.format == Format::Table && io::stderr().is_terminal() {
        for line in notes(snap) {
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
    Ok(if rows.rows.is_empty() { Ending::Nothing } else { Ending::Fine })
}

/// What is not in the rows and why, for a person.
fn notes(snap: &Snapshot) -> Vec<String> {
    let mut out = Vec::new();
    for (why, n) in &snap.hidden {
        if *why == Missing::NotPermitted {
            out.push(format!(
                "owners of {n} sockets hidden: not permitted (run as root, or see sockscope --help)"
            ));
        }
    }
    for f in
        snap.sample.faults.iter().filter(|f| f.kind.hides_something() && f.kind != FaultKind::NotPermitted)
    {
        let detail = if f.detail.is_empty() { String::new() } else { format!(": {}", f.detail) };
        out.push(
            crate::model::text::escape(&format!("{}: {} ({}){detail}", f.subject, f.kind.name(), f.count))
                .into_owned(),
        );
    }
    out
}

fn terminal_width() -> Option<u16> {
    crossterm::terminal::size().ok().map(|(w, _)| w).filter(|w| *w > 0)
}
