//! Route of a forwarded connection, from the client down to the process.

use super::Builder;
use super::paths::plain_bad;
use crate::diagnose::finding::forward_diagnosis;
use crate::diagnose::route::{Step, StepKind, host_text, socket_route};
use crate::model::Level;
use crate::model::lang::tr;
use crate::tui::canvas::width;

impl Builder<'_> {
    /// Adds the route of a socket's connection, if it is forwarded.
    pub(super) fn route(&mut self, row: usize) {
        let steps = socket_route(self.snap, row);
        if !steps.is_empty() {
            self.section(tr("forwarding path"));
            self.steps(&steps);
        }
    }

    /// Details of a port forward: its route and diagnosis.
    pub(super) fn forward(&mut self, row: usize) {
        let Some(f) = self.snap.forward_rows().get(row) else { return };
        let proto = f.proto.map_or("any", |p| p.name());
        let arrow = self.app.glyphs.arrow;
        let target = f.target.map_or_else(|| "?".to_owned(), |t| t.to_string());
        self.title(&format!("{proto} {} {arrow} {target}", host_text(f)));
        if let Some(d) = forward_diagnosis(self.snap, row) {
            let style = if d.severity == Level::Critical { self.app.theme.bad } else { self.app.theme.warn };
            let evidence = crate::model::text::escape(&d.evidence).into_owned();
            self.text(&evidence, style);
            self.text(tr(d.help), self.app.theme.dim);
        }
        self.section(tr("path"));
        self.forward_path(row);
        if let Some(o) = f.target_row.and_then(|r| self.snap.owners(r as usize).first()) {
            self.section(tr("backend"));
            let p = self.snap.process(o).info.clone();
            let fd = o.fd().map_or_else(String::new, |fd| format!("fd {fd}"));
            self.owner(&p.name(), p.pid, &fd, p.uid, &p.cmdline);
            self.context(o.process);
        }
    }

    pub(super) fn steps(&mut self, steps: &[Step]) {
        let theme = self.app.theme;
        let (line, last, dead) = if self.app.glyphs.ascii { ("|", "v", "x") } else { ("│", "▼", "✗") };
        for (i, s) in steps.iter().enumerate() {
            let likely = if s.certain { String::new() } else { format!("  {}", tr("likely")) };
            let what = crate::model::text::escape(&s.what).into_owned();
            let note = crate::model::text::escape(&s.note).into_owned();
            let what_style = match s.kind {
                StepKind::Via => theme.accent,
                StepKind::NoListener => theme.bad,
                _ => theme.strong,
            };
            let joint = match i {
                0 => " ",
                _ if s.kind == StepKind::NoListener => dead,
                _ if i + 1 == steps.len() => last,
                _ => line,
            };
            let head = vec![
                (
                    format!(" {joint} "),
                    if s.kind == StepKind::NoListener { plain_bad(theme.bad) } else { theme.faint },
                ),
                (super::pad(tr(s.kind.name()), 9), theme.dim),
                (what, what_style),
            ];
            let taken: usize = head.iter().map(|(t, _)| usize::from(width(t))).sum();
            self.out.push(head);
            if note.is_empty() && likely.is_empty() {
                continue;
            }
            let fits = taken + 2 + usize::from(width(&note)) + usize::from(width(&likely)) <= self.width;
            let row = self.out.last_mut().filter(|_| fits);
            match row {
                Some(row) => row.extend([(format!("  {note}"), theme.dim), (likely, theme.warn)]),
                None => {
                    // Before the note, so that a long note cannot push it off.
                    if let Some(row) = self.out.last_mut() {
                        row.push((likely, theme.warn));
                    }
                    // A low pane clips it in the same line.
                    if self.compact {
                        if let Some(row) = self.out.last_mut() {
                            row.push((format!("  {note}"), theme.dim));
                        }
                        continue;
                    }
                    let joint = if i + 1 == steps.len() { " " } else { line };
                    self.out.push(vec![(format!(" {joint} {:10}", ""), theme.faint), (note, theme.dim)]);
                }
            }
        }
    }
}
