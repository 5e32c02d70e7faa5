//! The way of a connection through a port forward, drawn from the client down to the process.

use super::Builder;
use crate::diagnose::route::{Place, Step, of_forward, of_socket};
use crate::table::forwards::finding;
use crate::tui::canvas::width;

impl Builder<'_> {
    /// The way of a socket's connection, where it is forwarded.
    pub(super) fn way(&mut self, row: usize) {
        let steps = of_socket(self.snap, row);
        if !steps.is_empty() {
            self.section("the way here");
            self.steps(&steps);
        }
    }

    /// A forward: its way, and what is wrong with it.
    pub(super) fn forward(&mut self, row: usize) {
        let Some(f) = self.snap.forward_rows().get(row) else { return };
        let proto = f.proto.map_or("any", |p| p.name());
        let arrow = self.app.glyphs.arrow;
        let target = f.target.map_or_else(|| "?".to_owned(), |t| t.to_string());
        self.title(&format!("{proto} {} {arrow} {target}", crate::diagnose::route::host(f)));
        let clients = match f.clients {
            0 => "nobody comes through now".to_owned(),
            1 => "1 connection comes through".to_owned(),
            n => format!("{n} connections come through"),
        };
        self.text(&clients, self.app.theme.dim);
        if let Some(wrong) = finding(self.snap, row) {
            let (why, what) = if f.shadowed_by.is_some() {
                (
                    "a rule before it",
                    "Clients go where the rule before it sends them. Take one of the two away, or put them the other way round.",
                )
            } else {
                (
                    "nothing listens",
                    "Clients are refused or wait. Start what should listen there, or take the rule or the published port away.",
                )
            };
            self.text(&format!("{wrong}: {why}"), self.app.theme.bad);
            self.text(what, self.app.theme.dim);
        }
        self.section("the way");
        let steps = of_forward(self.snap, f);
        self.steps(&steps);
        if let Some(o) = f.target_row.and_then(|r| self.snap.owners(r as usize).first()) {
            self.section("who answers");
            let p = self.snap.process(o).info.clone();
            let fd = o.fd().map_or_else(String::new, |fd| format!("fd {fd}"));
            self.holder(&p.name(), p.pid, &fd, p.uid, &p.cmdline);
            self.lineage(o.process);
        }
    }

    fn steps(&mut self, steps: &[Step]) {
        let theme = self.app.theme;
        let (line, last) = if self.app.glyphs.ascii { ("|", "v") } else { ("│", "▼") };
        for (i, s) in steps.iter().enumerate() {
            let likely = if s.certain { "" } else { "  likely" };
            let what = crate::model::text::escape(&s.what).into_owned();
            let note = crate::model::text::escape(&s.note).into_owned();
            let what_style = match s.place {
                Place::By => theme.accent,
                Place::Process if s.what == "nobody" => theme.bad,
                _ => theme.strong,
            };
            let joint = match i {
                0 => " ",
                _ if i + 1 == steps.len() => last,
                _ => line,
            };
            let head = vec![
                (format!(" {joint} "), theme.faint),
                (format!("{:<10}", s.place.name()), theme.dim),
                (what, what_style),
            ];
            let taken: usize = head.iter().map(|(t, _)| usize::from(width(t))).sum();
            self.out.push(head);
            if note.is_empty() && likely.is_empty() {
                continue;
            }
            let fits = taken + 2 + usize::from(width(&note)) + likely.len() <= self.width;
            let row = self.out.last_mut().filter(|_| fits);
            match row {
                Some(row) => row.extend([(format!("  {note}"), theme.dim), (likely.to_owned(), theme.warn)]),
                None => {
                    // Beside what is likely, where a long note behind it cannot push it off.
                    if let Some(row) = self.out.last_mut() {
                        row.push((likely.to_owned(), theme.warn));
                    }
                    let joint = if i + 1 == steps.len() { " " } else { line };
                    self.out.push(vec![(format!(" {joint} {:10}", ""), theme.faint), (note, theme.dim)]);
                }
            }
        }
    }
}
