//! Every column that was not said above.

use super::{Builder, pad, width};
use crate::model::Missing;
use crate::query::format::cell;
use crate::query::{Get, Value};

impl Builder<'_> {
    /// Every other column that has a value, with what it means; then what has none, by reason.
    pub(super) fn fields(&mut self, row: usize) {
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
            let beside =
                (20..=usize::from(super::super::super::layout::WIDE)).contains(&self.width) && self.compact;
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
