//! Everything known of the selected row.

use super::super::app::App;
use super::super::pen::{Pen, width};
use super::super::sheet::Kind as View;
use super::format as style_of;
use crate::model::{Missing, Snapshot};
use crate::query::finding::findings;
use crate::query::format::thousands as count;
use crate::query::format::{Style as Format, age, cell};
use crate::query::view::Line;
use crate::query::{Column, Get, Value};
use ratatui::layout::Rect;
use ratatui::style::Style;

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

/// How many lines the details have.
pub(in crate::ui) fn height(app: &App) -> usize {
    lines(app, app.layout().details.width).len() + 1
}

/// The pane.
pub(super) fn pane(app: &App, pen: &mut Pen<'_>, area: Rect, beside: bool) {
    let theme = app.theme;
    let mut inner = area;
    if beside {
        for y in area.top()..area.bottom() {
            pen.put(area.x, y, 1, app.glyphs.vertical, theme.faint);
        }
        inner.x += 2;
        inner.width = inner.width.saturating_sub(3);
    } else {
        pen.rule(area.x, area.y, area.width, theme.faint);
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
            x = pen.put(x, y, inner.right().saturating_sub(x), text, *style);
        }
    }
    if most > 0 {
        let label =
            format!(" {}-{} of {}  [ ] ", top + 1, all.len().min(top + usize::from(inner.height)), all.len());
        let y = if beside { area.bottom() - 1 } else { area.y };
        pen.put_right(area.right().saturating_sub(1), y, area.width, &label, theme.faint);
    }
}

fn lines(app: &App, pane: u16) -> Vec<Pieces> {
    let Some(snap) = &app.snapshot else { return vec![] };
    let mut b = Builder {
        app,
        snap,
        form: style_of(app),
        width: usize::from(pane.saturating_sub(3)),
        compact: !app.layout().beside,
        out: Vec::new(),
    };
    let sheet = app.sheet();
    match sheet.lines.get(sheet.cursor) {
        None => b.text("nothing selected", app.theme.dim),
        Some(Line::Group(g)) => b.group(*g as usize),
        Some(Line::Row(r)) => {
            let r = *r as usize;
            match sheet.kind {
                View::Sockets => b.socket(r),
                View::Ports => b.port(r),
                View::Processes => b.process(r),
                View::Peers => b.peer(r),
            }
            if sheet.kind == View::Sockets {
                b.other_end(r);
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

    fn value(&self, c: &Column, row: usize) -> String {
        cell(&c.value(self.snap, row), c.kind, &self.form).into_owned()
    }

    fn group(&mut self, index: usize) {
        let theme = self.app.theme;
        let g = &self.app.sheet().arranged.groups[index];
        self.title(&g.title(self.snap));
        if let Some(note) = g.note {
            self.text(note, theme.dim);
        }
        self.text(&format!("{} rows", count(u64::from(g.len))), theme.text);
        let present: Vec<_> = g.states.present().collect();
        for (s, n) in present {
            self.out.push(vec![
                (format!("{:<12}", s.name()), theme.state(s)),
                (format!("{:>8}  ", count(u64::from(n))), theme.strong),
                (s.info().meaning.to_owned(), theme.dim),
            ]);
        }
    }

    fn socket(&mut self, row: usize) {
        let theme = self.app.theme;
        let (snap, app) = (self.snap, self.app);
        let s = snap.socket(row);
        let table = app.sheet().view.table;
        let named = |n: &str| table.column(n).map_or_else(String::new, |c| self.value(c, row));
        let (local, remote) = (named("local"), named("remote"));
        let title = if remote == "-" {
            format!("{} {local}", s.proto.name())
        } else {
            format!("{} {local} {} {remote}", s.proto.name(), app.glyphs.arrow)
        };
        let since = named("state_age_s");
        let f = &snap.facts[row];
        self.title(&title);
        let mut state = vec![(s.state.name().to_owned(), theme.state(s.state).patch(theme.strong))];
        if row >= snap.live {
            let ago = snap.sample.at.boot_ns.saturating_sub(f.closed_ns) as f64 / 1e9;
            state.push((format!("  closed {} ago", age(ago)), theme.warn));
        } else if since != "-" {
            let least = if f.older && f.state_since_ns <= f.first_seen_ns { "at least " } else { "" };
            state.push((format!("  for {least}{since}"), theme.dim));
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
        let found: Vec<_> = findings(snap, row).collect();
        if !found.is_empty() {
            self.section("findings");
            for (f, seen) in found {
                self.text(&seen, theme.warn);
                self.text(f.help, theme.dim);
            }
        }
        self.section("owners");
        let owners = snap.owners(row).to_vec();
        for o in &owners {
            let p = &snap.process(o).info;
            self.holder(
                &p.comm,
                p.pid,
                &o.fd().map_or_else(String::new, |fd| format!("fd {fd}")),
                p.uid,
                &p.cmdline,
            );
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

    /// The process at the far end, where that is on this machine.
    fn other_end(&mut self, row: usize) {
        let Some(other) = self.snap.other_end(row) else { return };
        self.section("the other end, on this machine (o goes there)");
        let owners = self.snap.owners(other).to_vec();
        for o in &owners {
            let p = &self.snap.process(o).info;
            let fd = o.fd().map_or_else(String::new, |fd| format!("fd {fd}"));
            self.holder(&p.comm, p.pid, &fd, p.uid, &p.cmdline);
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
            let text = format!("  {cmdline}");
            self.out.push(vec![(text, theme.dim)]);
        }
    }

    fn processes(&mut self, of: &[u32]) {
        self.section("processes");
        if of.is_empty() {
            self.text("none that can be seen from here", self.app.theme.dim);
        }
        for p in of.iter().take(40) {
            let Some(p) = self.snap.sample.processes.get(*p as usize).map(|p| p.info.clone()) else {
                continue;
            };
            self.holder(&p.comm, p.pid, "", p.uid, &p.cmdline);
        }
    }

    fn states(&mut self, c: &crate::model::StateCounts) {
        let theme = self.app.theme;
        let present: Vec<_> = c.present().collect();
        if present.is_empty() {
            return;
        }
        self.section("connections by state");
        for (s, n) in present {
            self.out.push(vec![
                (format!("{:<12}", s.name()), theme.state(s)),
                (format!("{:>8}  ", count(u64::from(n))), theme.strong),
                (s.info().meaning.to_owned(), theme.dim),
            ]);
        }
    }

    fn port(&mut self, row: usize) {
        let Some(p) = self.snap.ports.get(row).cloned() else { return };
        let theme = self.app.theme;
        self.title(&format!("{} {}", p.proto.name(), p.local));
        let reach = match p.scope.name() {
            "any" => "reachable on every address of this machine",
            "loopback" => "reachable from this machine only",
            "link-local" => "reachable from this link only",
            "private" => "reachable from private networks",
            "public" => "reachable on a public address",
            other => other,
        };
        self.text(reach, theme.dim);
        if p.state == crate::model::State::Listen && p.backlog > 0 {
            let share = p.recv_q as f64 / p.backlog as f64;
            self.out.push(vec![
                ("accept queue ".into(), theme.dim),
                (format!("{} of {}", count(p.recv_q), count(p.backlog)), theme.pressure(share)),
            ]);
        }
        self.processes(&p.processes);
        self.states(&p.states);
    }

    fn process(&mut self, row: usize) {
        let theme = self.app.theme;
        let Some(p) = self.snap.sample.processes.get(row) else { return };
        let info = p.info.clone();
        self.title(&format!("{} {}", info.comm, info.pid));
        self.text(&info.cmdline, theme.dim);
        match &p.fds {
            Ok(u) => {
                let mut line = vec![("descriptors ".into(), theme.dim)];
                let share = u.share().unwrap_or(0.0);
                let of = match u.soft {
                    Some(u64::MAX) | None => String::new(),
                    Some(n) => format!(" of {}", count(n)),
                };
                line.push((format!("{}{of}", count(u64::from(u.open))), theme.pressure(share)));
                if let Some(hard) = u.hard.filter(|h| *h != u64::MAX) {
                    line.push((format!("  may be raised to {}", count(hard)), theme.dim));
                }
                self.out.push(line);
                if let Some(k) = u.kinds {
                    let kinds: Vec<String> =
                        k.present().map(|(_, name, n)| format!("{} {name}", count(u64::from(n)))).collect();
                    self.text(&kinds.join(", "), theme.text);
                }
            }
            Err(why) => self.text(&format!("descriptors: {why}"), theme.warn),
        }
        let states = self.snap.processes.get(row).map(|f| f.states);
        if let Some(c) = states {
            self.states(&c);
        }
        let rows = self.snap.sockets_of(row).to_vec();
        if rows.is_empty() {
            return;
        }
        self.section("sockets");
        for r in rows.iter().take(50) {
            let s = self.snap.socket(*r as usize);
            let far = if s.remote.is_none() {
                String::new()
            } else {
                format!(" {} {}", self.app.glyphs.arrow, s.remote)
            };
            self.out.push(vec![
                (format!("{:<12}", s.state.name()), theme.state(s.state)),
                (format!("{} {}{far}", s.proto.name(), s.local), theme.text),
            ]);
        }
        if rows.len() > 50 {
            let more = format!("and {} more", count(rows.len() as u64 - 50));
            self.text(&more, theme.dim);
        }
    }

    fn peer(&mut self, row: usize) {
        let Some(p) = self.snap.peers.get(row).cloned() else { return };
        self.title(&p.addr.to_string());
        let snap = self.snap;
        self.processes(snap.processes_with(&p));
        self.states(&p.states);
    }

    /// Every other column that has a value, with what it means; then what has none, by reason.
    fn fields(&mut self, row: usize) {
        const SAID: [&str; 20] = [
            "local_addr",
            "local_port",
            "remote_addr",
            "remote_port",
            "holders",
            "closed",
            "proto",
            "state",
            "local",
            "remote",
            "owner",
            "owners",
            "process",
            "pid",
            "fd",
            "cmdline",
            "comm",
            "processes",
            "sockets_by_state",
            "owner_missing",
        ];
        let theme = self.app.theme;
        let table = self.app.sheet().view.table;
        let mut kernel = false;
        // A line with room for one more.
        let mut open = false;
        let mut missing: Vec<(Missing, Vec<&str>)> = Vec::new();
        self.section("fields");
        for c in table.columns.iter().filter(|c| !SAID.contains(&c.name)) {
            let value = c.value(self.snap, row);
            if let Value::Missing(why) = value {
                if why != Missing::NotApplicable {
                    match missing.iter_mut().find(|(m, _)| *m == why) {
                        Some((_, names)) => names.push(c.name),
                        None => missing.push((why, vec![c.name])),
                    }
                }
                continue;
            }
            if matches!(c.get, Get::Tcp(_)) && !kernel {
                kernel = true;
                open = false;
                self.section("tcp_info");
            }
            let text = cell(&value, c.kind, &self.form);
            let zero = value.number() == Some(0.0);
            let style = if zero { theme.faint } else { theme.text };
            let name = 19.min(self.width / 2);
            // Wide panes say what each is; narrow ones put two beside each other.
            let beside = (20..=usize::from(super::super::layout::WIDE)).contains(&self.width) && self.compact;
            let half = self.width / 2;
            let value_room =
                if beside { half.saturating_sub(name + 3) } else { self.width.saturating_sub(name + 1) };
            let short = usize::from(width(&text)) <= value_room;
            if beside && short {
                let piece = [(pad(c.name, name), theme.dim), (format!("{text:<value_room$}  "), style)];
                if open {
                    if let Some(last) = self.out.last_mut() {
                        last.extend(piece);
                    }
                } else {
                    self.out.push(piece.into());
                }
                open = !open;
                continue;
            }
            open = false;
            let mut line = vec![(pad(c.name, name), theme.dim), (format!("{text}  "), style)];
            let used = name + 1 + usize::from(width(&text)) + 2;
            if self.width > 60 && !self.compact {
                line.push((" ".repeat(32_usize.saturating_sub(used)), theme.dim));
                line.push((c.help.to_owned(), theme.faint));
            }
            self.out.push(line);
        }
        for (why, names) in missing {
            self.out.push(vec![]);
            let text = format!("{why}: {}", names.join(" "));
            self.text(&text, theme.faint);
        }
    }
}

fn pad(s: &str, w: usize) -> String {
    format!("{s:<w$} ")
}

/// Words in lines of at most `width` columns; a longer word stands alone and is cut where it is drawn.
fn wrap(text: &str, width_: usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut line = String::new();
    // A command line of megabytes is not read to its end here.
    for word in text.split_whitespace().take(400) {
        if !line.is_empty() && usize::from(width(&line)) + 1 + usize::from(width(word)) > width_.max(8) {
            out.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push(line);
    out
}
