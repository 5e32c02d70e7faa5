//! Fields: every column that the page does not show elsewhere.

use super::{Builder, Pieces, pad, width};
use crate::format::cell;
use crate::format::{Column, Get, Kind, Value};
use crate::model::Missing;
use crate::model::lang::tr;
use crate::model::struct_layout::FieldUnit;

impl Builder<'_> {
    /// Adds every other column that has a value; then those without one, by reason.
    pub(super) fn fields(&mut self, row: usize) {
        const SHOWN_ELSEWHERE: [&str; 20] = [
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
        let table = self.app.view_state().view.table;
        let mut kernel = false;
        // The last line has room for one more field.
        let mut open = false;
        let mut missing: Vec<(Missing, Vec<&str>)> = Vec::new();
        self.section(tr("fields"));
        for c in table.columns.iter().filter(|c| !SHOWN_ELSEWHERE.contains(&c.name)) {
            let value = self.probed(c).unwrap_or_else(|| c.value(self.snap, row));
            if let Value::Missing(why) = value {
                if !matches!(why, Missing::NotApplicable | Missing::Stable) {
                    match missing.iter_mut().find(|(m, _)| *m == why) {
                        Some((_, titles)) => titles.push(c.title),
                        None => missing.push((why, vec![c.title])),
                    }
                }
                continue;
            }
            if matches!(c.get, Get::Tcp(_)) && !kernel {
                kernel = true;
                open = false;
                self.section("tcp_info");
            }
            if let (Value::Record(parts), false) = (&value, self.compact) {
                open = false;
                self.record(c, parts);
                continue;
            }
            let text = cell(&value, c.kind, &self.form);
            let zero = value.number() == Some(0.0);
            let style = if zero { theme.faint } else { theme.text };
            let label = self.label();
            // A low pane shows two fields per line; a high one explains each.
            let in_pairs = self.compact && (20..=usize::from(crate::tui::layout::WIDE)).contains(&self.width);
            let half = (self.width / 2).saturating_sub(2);
            let used = label + 1 + usize::from(width(&text));
            if in_pairs && used <= half {
                // The filter name ends the cell where it has room.
                let name = if used + 2 + c.name.len() <= half { c.name } else { "" };
                let gap = " ".repeat(half - used - name.len());
                let piece = [
                    (pad(c.title, label), theme.dim),
                    (text.into_owned(), style),
                    (format!("{gap}{name}  "), theme.faint),
                ];
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
            let line = vec![(pad(c.title, label), theme.dim), (format!("{text}  "), style)];
            self.with_help(line, used + 2, c.name, tr(c.help));
        }
        let missing = missing.into_iter().map(|(why, titles)| (why.to_string(), titles));
        for (why, titles) in missing.chain(self.not_probed()) {
            self.out.push(vec![]);
            let text = format!("{why}: {}", titles.join(", "));
            self.text(&text, theme.faint);
        }
    }

    /// Value of a column that the probe read for this row alone.
    fn probed(&self, c: &Column) -> Option<Value<'static>> {
        let probe = self.probe().map(|p| (&p.request, p.result()));
        let context =
            |label: &Result<String, Missing>| label.clone().map_or_else(Value::Missing, Value::from);
        match (c.name, probe) {
            ("proc_ctx", Some((_, Some(result)))) => Some(context(&result.proc_ctx)),
            ("sock_ctx", Some((_, Some(result)))) => Some(context(&result.sock_ctx)),
            ("tids", Some((_, Some(result)))) if !result.tids.is_empty() => {
                Some(Value::List(result.tids.iter().copied().map(Value::from).collect()))
            }
            // Most sockets have none, which is not worth a line.
            ("bpf_maps", Some((request, Some(result)))) if request.inet.is_some() => {
                Some(match &result.bpf_maps {
                    Err(why) => Value::Missing(*why),
                    Ok(all) if all.is_empty() => Value::Missing(Missing::NotApplicable),
                    Ok(all) => crate::table::bpf_maps(all.iter().copied()),
                })
            }
            ("bpf_maps", Some((_, None))) => Some(Value::Missing(Missing::NotApplicable)),
            // Pending, or not available.
            ("tids", Some(_)) | ("proc_ctx" | "sock_ctx", Some((_, None))) => {
                Some(Value::Missing(Missing::NotApplicable))
            }
            _ => None,
        }
    }

    /// Titles of the columns that another host has not read for this row, with the reason.
    fn not_probed(&self) -> Option<(String, Vec<&'static str>)> {
        let probe = self.probe().filter(|p| p.host.is_some())?;
        let why = probe.missing(self.app.snapshot.as_ref()?)?;
        let is_read = |c: &&Column| match c.name {
            "proc_ctx" | "tids" => true,
            "sock_ctx" => probe.request.socket.is_some(),
            "bpf_maps" => probe.request.inet.is_some(),
            _ => false,
        };
        let columns = self.app.view_state().view.table.columns.iter();
        let titles: Vec<&str> = columns.filter(is_read).map(|c| c.title).collect();
        (!titles.is_empty()).then_some((why, titles))
    }

    /// Adds a title and a value with the filter name beside it; on a high pane also the help, beside it or below.
    fn with_help(&mut self, mut line: Pieces, used: usize, name: &str, help: &str) {
        /// Column at which names and help start, and the width below which there is room for neither.
        const AT: usize = 32;
        const NARROW: usize = 40;
        let (dim, faint) = (self.app.theme.dim, self.app.theme.faint);
        if self.width < NARROW || self.compact {
            self.out.push(line);
            return;
        }
        let start = AT.max(used);
        line.push((" ".repeat(start - used), faint));
        let mut room = self.width.saturating_sub(start);
        if !name.is_empty() && name.len() <= room {
            line.push((format!("{name}  "), dim));
            room = room.saturating_sub(name.len() + 2);
        }
        if usize::from(width(help)) <= room {
            line.push((help.to_owned(), faint));
            self.out.push(line);
            return;
        }
        // A long help text is below its value.
        self.out.push(line);
        let at = if self.width >= 2 * NARROW { AT } else { 4 };
        for part in super::wrap(help, self.width.saturating_sub(at)) {
            self.out.push(vec![(" ".repeat(at), faint), (part, faint)]);
        }
    }

    /// Adds a kernel structure: each field with its help.
    fn record(&mut self, c: &Column, parts: &[(&'static str, Value<'_>)]) {
        let theme = self.app.theme;
        let structure = crate::model::struct_layout::by_column(c.name);
        let name = self.label();
        self.text(&format!("{} ({}): {}", c.title, c.name, tr(c.help)), theme.dim);
        for (field, value) in parts {
            // A list is below its name.
            if let Value::List(lines) = value {
                self.out.push(vec![(format!("  {field}"), theme.dim)]);
                for item in lines {
                    let text = cell(item, Kind::List, &self.form).into_owned();
                    self.out.push(vec![(format!("    {text}"), theme.text)]);
                }
                continue;
            }
            let f = structure.and_then(|s| s.fields.iter().find(|f| f.name == *field));
            let kind = f.map_or(Kind::Id, |f| kind_of(f.unit));
            let text = cell(value, kind, &self.form);
            let zero = value.number() == Some(0.0);
            let style = if zero { theme.faint } else { theme.text };
            let label = format!("  {field}");
            let used = name.max(label.len()) + 1 + usize::from(width(&text)) + 2;
            let line = vec![(pad(&label, name), theme.dim), (format!("{text}  "), style)];
            self.with_help(line, used, "", f.map_or("", |f| tr(f.help)));
        }
    }
}

/// Format of a number in a kernel structure.
const fn kind_of(unit: FieldUnit) -> Kind {
    match unit {
        FieldUnit::Count => Kind::Count,
        FieldUnit::Bytes => Kind::Bytes,
        FieldUnit::BytesPerSec => Kind::BytesPerSec,
        FieldUnit::Micros => Kind::Micros,
        FieldUnit::Millis => Kind::Millis,
        FieldUnit::Flags => Kind::Hex,
    }
}
