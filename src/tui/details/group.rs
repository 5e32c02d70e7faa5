//! Details of a group, and counts by state.

use super::Builder;
use crate::format::thousands as count;
use crate::model::Socket;
use crate::model::lang::tr;
use crate::msg;
use crate::view::group::Key;

/// Most sockets listed of a service.
const MAX_SOCKETS: usize = 32;

impl Builder<'_> {
    pub(super) fn group(&mut self, index: usize) {
        let theme = self.app.theme;
        let g = &self.app.view_state().arranged.groups[index];
        self.title(&g.title(self.snap));
        if let Some(note) = g.note {
            self.text(tr(note), theme.dim);
        }
        let rows = match g.len {
            1 => tr("1 row").to_owned(),
            n => msg!("{} rows", count(u64::from(n))),
        };
        let live = (self.app.view_state().view.table.live)(self.snap);
        let rows_of = &self.app.view_state().arranged.rows[g.start as usize..(g.start + g.len) as usize];
        let text = match rows_of.iter().filter(|r| **r as usize >= live).count() {
            0 => rows,
            n => msg!("{}, {} of them just closed", rows, count(n as u64)),
        };
        self.text(&text, theme.text);
        if matches!(g.key, Key::Service(_)) {
            let queue = |s: &Socket| {
                if s.is_listener() {
                    msg!("accept queue {} of {}", s.recv_q, s.send_q)
                } else {
                    String::new()
                }
            };
            for r in rows_of.iter().take(MAX_SOCKETS) {
                let s = self.snap.socket(*r as usize);
                self.out.push(vec![
                    (format!("{:<20}", self.snap.end_text(s, &s.local)), theme.text),
                    (queue(s), theme.dim),
                ]);
            }
        }
        let state = g.state().filter(|_| g.depth == 0 && self.app.view_state().view.table.is_sockets());
        if let Some(state) = state {
            self.state_chart(state);
        }
        let present: Vec<_> = g.states.present().filter(|(s, _)| Some(*s) != state).collect();
        for (s, n) in present {
            self.out.push(vec![
                (format!("{:<12}", s.name()), theme.state(s)),
                (format!("{:>8}  ", count(u64::from(n))), theme.strong),
                (tr(s.info().meaning).to_owned(), theme.dim),
            ]);
        }
    }

    pub(super) fn states(&mut self, c: &crate::model::StateCounts) {
        let theme = self.app.theme;
        let present: Vec<_> = c.present().collect();
        if present.is_empty() {
            return;
        }
        self.section(tr("connections by state"));
        for (s, n) in present {
            self.out.push(vec![
                (format!("{:<12}", s.name()), theme.state(s)),
                (format!("{:>8}  ", count(u64::from(n))), theme.strong),
                (tr(s.info().meaning).to_owned(), theme.dim),
            ]);
        }
    }
}
