//! Details of a group, and counts by state.

use super::Builder;
use crate::format::thousands as count;
use crate::format::{Align, cell};
use crate::model::Socket;
use crate::model::lang::tr;
use crate::model::text::escape;
use crate::msg;
use crate::table::TableId;
use crate::tui::canvas::width;
use crate::view::group::Key;

/// Most rows listed of a group.
const MAX_ROWS: usize = 32;
/// Columns of a listed row.
const MEMBER_COLUMNS: usize = 5;

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
        let live = self.app.view_state().view.table.live_rows(self.snap);
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
            for r in rows_of.iter().take(MAX_ROWS) {
                let (snap, row) = self.snap.at(TableId::Sockets, *r as usize);
                let s = snap.socket(row);
                self.out.push(vec![
                    (format!("{:<20}", snap.end_text(s, &s.local)), theme.text),
                    (queue(s), theme.dim),
                ]);
            }
        }
        let state = g.state().filter(|_| g.depth == 0 && self.app.view_state().view.table.is_sockets());
        if let Some(state) = state {
            self.state_chart(state);
        }
        if !self.app.view_state().view.table.is_sockets() {
            self.members(rows_of);
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

    /// Lists the first rows of a group by the first columns of their table.
    fn members(&mut self, rows: &[u32]) {
        let theme = self.app.theme;
        let table = self.app.view_state().view.table;
        let grouped = self.app.view_state().grouping_name();
        let columns = table.defaults.iter().filter(|c| Some(**c) != grouped).filter_map(|c| table.column(c));
        let columns: Vec<_> = columns.take(MEMBER_COLUMNS).collect();
        let shown = &rows[..rows.len().min(MAX_ROWS)];
        let cells: Vec<Vec<String>> = shown
            .iter()
            .map(|r| {
                let text = |c: &&crate::format::Column| {
                    let (snap, row) = self.snap.at(table.id, *r as usize);
                    let value = c.value(snap, row);
                    escape(&cell(&value, c.kind, &self.form)).into_owned()
                };
                columns.iter().map(text).collect()
            })
            .collect();
        let widest = |i: usize| cells.iter().map(|row| width(&row[i])).max().unwrap_or(0);
        let widths: Vec<u16> = (0..columns.len()).map(widest).collect();
        self.out.push(vec![]);
        for row in cells {
            let mut line = String::new();
            for ((text, w), c) in row.iter().zip(&widths).zip(&columns) {
                let fill = " ".repeat(usize::from(w - width(text)));
                match c.align {
                    Align::Right => line.push_str(&format!("{fill}{text}  ")),
                    Align::Left => line.push_str(&format!("{text}{fill}  ")),
                }
            }
            self.out.push(vec![(line.trim_end().to_owned(), theme.text)]);
        }
        if rows.len() > shown.len() {
            let more = count((rows.len() - shown.len()) as u64);
            self.out.push(vec![(msg!("{} more", more), theme.dim)]);
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
