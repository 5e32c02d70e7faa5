//! Everything known of the selected row.

mod bottleneck;
mod fields;
mod lifecycle;
mod limit;
mod others;
mod plots;
mod route;

use super::app::App;
use super::canvas::{Canvas, width};
use crate::diagnose::finding::socket_diagnoses;
use crate::format::{Column, Kind, Value};
use crate::format::{Style as Format, age, cell, wrap};
use crate::model::{Missing, ProcInfo, Snapshot};
use crate::table::{PROCESSES, TableId};
use crate::view::Line;
use ratatui::layout::Rect;
use ratatui::style::Style;
use std::sync::Arc;

/// Columns of the names before what they name, one blank aside: the longest is a column's.
const LABEL: usize = 19;

/// A line of pieces.
type Pieces = Vec<(String, Style)>;

struct Builder<'a> {
    app: &'a App,
    snap: &'a Snapshot,
    form: Format,
    width: usize,
    /// The pane is low: blank lines and explanations make way.
    compact: bool,
    out: Vec<Pieces>,
}

/// The last line that the details can be scrolled to.
pub(crate) fn extent(app: &App) -> usize {
    let area = app.layout().details;
    (lines(app, area.width).len() + 1).saturating_sub(usize::from(area.height))
}

/// The pane.
pub(crate) fn draw(app: &App, canvas: &mut Canvas<'_>, area: Rect, beside: bool) {
    let theme = app.theme;
    let mut inner = area;
    if beside {
        for y in area.top()..area.bottom() {
            canvas.put(area.x, y, 1, app.glyphs.vertical, theme.faint);
        }
        inner.x += 2;
        inner.width = inner.width.saturating_sub(3);
    } else {
        canvas.rule(area.x, area.y, area.width, theme.faint);
        inner.y += 1;
        inner.height = inner.height.saturating_sub(1);
        inner.x += 1;
        inner.width = inner.width.saturating_sub(2);
    }
    let all = lines(app, area.width);
    if beside && all.len() > usize::from(inner.height) {
        // The last line says where one is.
        inner.height = inner.height.saturating_sub(1);
    }
    let most = all.len().saturating_sub(usize::from(inner.height));
    let top = app.details_top.min(most);
    for (y, line) in (inner.top()..inner.bottom()).zip(all.iter().skip(top)) {
        let mut x = inner.x;
        for (text, style) in line {
            x = canvas.put(x, y, inner.right().saturating_sub(x), text, *style);
        }
    }
    if most > 0 {
        let label =
            format!(" {}-{} of {}  [ ] ", top + 1, all.len().min(top + usize::from(inner.height)), all.len());
        let y = if beside { area.bottom() - 1 } else { area.y };
        canvas.put_right(area.right().saturating_sub(1), y, area.width, &label, theme.faint);
    }
}

fn lines(app: &App, pane: u16) -> Vec<Pieces> {
    let Some(snap) = &app.snapshot else { return vec![] };
    let mut b = Builder {
        app,
        snap,
        form: app.options.format(),
        width: usize::from(pane.saturating_sub(3)),
        compact: !app.layout().beside,
        out: Vec::new(),
    };
    let view_state = app.view_state();
    match view_state.lines.get(view_state.cursor) {
        None => b.text("nothing selected", app.theme.dim),
        Some(Line::Group(g)) => b.group(*g as usize),
        Some(Line::Row(r)) => {
            let r = *r as usize;
            match view_state.id() {
                TableId::Sockets => b.socket(r),
                TableId::Ports => b.port(r),
                TableId::Processes => b.process(r),
                TableId::Peers => b.peer(r),
                TableId::Limits => b.limit(r),
                TableId::Forwards => b.forward(r),
            }
            if view_state.view.table.is_sockets() {
                b.way(r);
                b.other_end(r);
                b.multipath(r);
                b.held_back(r);
                b.plots();
                b.life(r);
            }
            b.fields(r);
        }
    }
    b.out
}

impl Builder<'_> {
    fn text(&mut self, text: &str, style: Style) {
        for line in wrap(text, self.width) {
            self.out.push(vec![(line, style)]);
        }
    }

    fn title(&mut self, text: &str) {
        let style = self.app.theme.strong;
        self.text(text, style);
    }

    fn section(&mut self, name: &str) {
        if !self.compact {
            self.out.push(vec![]);
        }
        self.out.push(vec![(name.to_owned(), self.app.theme.accent)]);
    }

    /// Columns of a name in this pane.
    fn label(&self) -> usize {
        LABEL.min(self.width / 2)
    }

    /// A name and what it says, in as many lines as that takes.
    fn row(&mut self, name: &str, text: &str) {
        let (dim, plain) = (self.app.theme.dim, self.app.theme.text);
        let (label, mut name) = (self.label(), name);
        let text = crate::model::text::escape(text);
        for line in wrap(&text, self.width.saturating_sub(label + 1)) {
            self.out.push(vec![(pad(name, label), dim), (line, plain)]);
            name = "";
        }
    }

    fn value(&self, c: &Column, row: usize) -> String {
        cell(&c.value(self.snap, row), c.kind, &self.form).into_owned()
    }

    fn socket(&mut self, row: usize) {
        let theme = self.app.theme;
        let (snap, app) = (self.snap, self.app);
        let s = snap.socket(row);
        let table = app.view_state().view.table;
        let named = |n: &str| table.column(n).map_or_else(String::new, |c| self.value(c, row));
        let (local, remote) = (named("local"), named("remote"));
        let title = if remote == "-" {
            format!("{} {local}", s.proto.name())
        } else {
            format!("{} {local} {} {remote}", s.proto.name(), app.glyphs.arrow)
        };
        let f = &snap.facts[row];
        self.title(&title);
        let mut state = vec![(s.state.name().to_owned(), theme.state(s.state).patch(theme.strong))];
        if row >= snap.live {
            let ago = snap.sample.at.boot_ns.saturating_sub(f.closed_ns) as f64 / 1e9;
            state.push((format!("  closed {} ago", age(ago)), theme.warn));
        } else if let Some(column) = table.column("state_age_s") {
            let text = match column.value(snap, row) {
                Value::AtLeast(secs) => format!("  for at least {}", age(secs)),
                Value::Float(secs) => format!("  for {}", age(secs)),
                _ => String::new(),
            };
            state.push((text, theme.dim));
        }
        let said: usize = state.iter().map(|(t, _)| usize::from(width(t))).sum();
        let meaning = s.state.info().meaning;
        if said + 2 + meaning.len() <= self.width {
            state.push((format!("  {meaning}"), theme.dim));
            self.out.push(state);
        } else {
            self.out.push(state);
            self.text(meaning, theme.dim);
        }
        let found: Vec<_> = socket_diagnoses(snap, row).collect();
        if !found.is_empty() {
            self.section("findings");
            for d in found {
                self.text(&d.evidence, theme.warn);
                self.text(d.help, theme.dim);
            }
        }
        self.section("owners");
        let owners = snap.owners(row).to_vec();
        for o in &owners {
            let p = &snap.process(o).info;
            self.holder(
                &p.name(),
                p.pid,
                &o.fd().map_or_else(String::new, |fd| format!("fd {fd}")),
                p.uid,
                &p.cmdline,
            );
        }
        if let Some(o) = owners.first() {
            self.lineage(o.process);
        }
        if owners.is_empty() {
            if let Some(was) = snap.former(row) {
                let text = format!("was {} {} fd {}", was.comm, was.pid, was.fd);
                self.text(&text, theme.text);
            }
            let why = f.owner_missing.map_or("not known", Missing::reason);
            self.text(
                why,
                if f.owner_missing == Some(Missing::NotPermitted) { theme.warn } else { theme.dim },
            );
        }
    }

    /// Where a process works, who began it, and the unit and container it runs in.
    pub(crate) fn lineage(&mut self, process: u32) {
        let Some(p) = self.snap.sample.processes.get(process as usize).map(|p| p.info.clone()) else {
            return;
        };
        if let Some((request, Some(seen))) = &self.app.detail_probe
            && (request.process.pid, request.process.start_ns) == (p.pid, p.start_ns)
        {
            match &seen.cwd {
                Ok(dir) => self.row("works in", dir),
                Err(why) => self.row("works in", &format!("not told: {why}")),
            }
        }
        let parents: Vec<String> =
            parents(self.snap, &p).iter().rev().map(|p| format!("{} {}", p.name(), p.pid)).collect();
        if !parents.is_empty() {
            let arrow = format!(" {} ", self.app.glyphs.arrow);
            self.row("began by", &parents.join(&arrow));
        }
        let told = |name: &str| {
            let value = PROCESSES.column(name)?.value(self.snap, process as usize);
            (!value.is_missing()).then(|| cell(&value, Kind::Text, &self.form).into_owned())
        };
        let mut places: Vec<(&str, String)> = ["unit", "slice", "container", "image", "pod"]
            .into_iter()
            .filter_map(|n| Some((n, told(n)?)))
            .collect();
        if let (Some(engine), Some(c)) =
            (told("container_engine"), places.iter_mut().find(|(n, _)| *n == "container"))
        {
            c.1 = format!("{} ({engine})", c.1);
        }
        // A low pane has one line for all of them.
        if self.compact && places.len() > 1 {
            let all: Vec<String> = places.iter().map(|(n, text)| format!("{n} {text}")).collect();
            self.row("runs in", &all.join(", "));
            return;
        }
        for (name, text) in &places {
            self.row(name, text);
        }
        if let Some(c) = p.cgroup.as_deref().filter(|c| *c != "/" && (!self.compact || places.is_empty())) {
            self.row("control group", c);
        }
    }

    /// The process at the far end, where that is on this machine.
    fn other_end(&mut self, row: usize) {
        let Some(other) = self.snap.other_end(row) else { return };
        self.section("the other end, on this machine (o goes there)");
        let owners = self.snap.owners(other).to_vec();
        for o in &owners {
            let p = &self.snap.process(o).info;
            let fd = o.fd().map_or_else(String::new, |fd| format!("fd {fd}"));
            self.holder(&p.name(), p.pid, &fd, p.uid, &p.cmdline);
        }
        if owners.is_empty() {
            let why = self.snap.facts[other].owner_missing.map_or("not known", Missing::reason);
            self.text(why, self.app.theme.dim);
        }
    }

    fn holder(&mut self, comm: &str, pid: u32, fd: &str, uid: u32, cmdline: &str) {
        let theme = self.app.theme;
        let user = self.snap.user(uid).map_or_else(|| uid.to_string(), str::to_owned);
        self.out.push(vec![
            (format!("{comm} {pid}"), theme.strong),
            (format!("  {fd}  "), theme.text),
            (user, theme.dim),
        ]);
        if self.compact
            && !cmdline.is_empty()
            && let Some(last) = self.out.last_mut()
        {
            last.push((format!("  {cmdline}"), theme.dim));
            return;
        }
        if !cmdline.is_empty() && cmdline != comm {
            self.row("command line", cmdline);
        }
    }
}

/// The process that began this one, the one that began that, and so on. A pid is given out again, so a parent is
/// older than its child.
fn parents(snap: &Snapshot, of: &Arc<ProcInfo>) -> Vec<Arc<ProcInfo>> {
    let all = &snap.sample.processes;
    let mut out: Vec<Arc<ProcInfo>> = Vec::new();
    let mut child = Arc::clone(of);
    while out.len() < 16 {
        let found = all.binary_search_by_key(&child.ppid, |p| p.info.pid).ok().map(|i| &all[i].info);
        let Some(parent) = found.filter(|p| p.start_ns <= child.start_ns && p.pid != child.pid) else {
            break;
        };
        out.push(Arc::clone(parent));
        child = Arc::clone(parent);
    }
    out
}

fn pad(s: &str, w: usize) -> String {
    format!("{s:<w$} ")
}
