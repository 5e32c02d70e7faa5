//! Every column that was not said above.

use super::{Builder, Pieces, pad, width};
use crate::format::cell;
use crate::format::{Column, Get, Kind, Value};
use crate::model::Missing;
use crate::model::struct_layout::FieldUnit;

impl Builder<'_> {
    /// Every other column that has a value, with what it means; then what has none, by reason.
    pub(crate) fn fields(&mut self, row: usize) {
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
        let table = self.app.view_state().view.table;
        let mut kernel = false;
        // A line with room for one more.
        let mut open = false;
        let mut missing: Vec<(Missing, Vec<&str>)> = Vec::new();
        self.section("fields");
        for c in table.columns.iter().filter(|c| !SAID.contains(&c.name)) {
            let value = self.seen(c).unwrap_or_else(|| c.value(self.snap, row));
            if let Value::Missing(why) = value {
                if !matches!(why, Missing::NotApplicable | Missing::Stable) {
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
            if let (Value::Record(parts), false) = (&value, self.compact) {
                open = false;
                self.record(c, parts);
                continue;
            }
            let text = cell(&value, c.kind, &self.form);
            let zero = value.number() == Some(0.0);
            let style = if zero { theme.faint } else { theme.text };
            let name = self.label();
            // Wide panes say what each is; narrow ones put two beside each other.
            let beside = (20..=usize::from(crate::tui::layout::WIDE)).contains(&self.width) && self.compact;
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
            let line = vec![(pad(c.name, name), theme.dim), (format!("{text}  "), style)];
            self.with_help(line, name + 1 + usize::from(width(&text)) + 2, c.help);
        }
        for (why, names) in missing {
            self.out.push(vec![]);
            let text = format!("{why}: {}", names.join(" "));
            self.text(&text, theme.faint);
        }
    }

    /// What was read of this row alone: its columns need not be read of all the others.
    fn seen(&self, c: &Column) -> Option<Value<'static>> {
        let of = |label: &Result<String, Missing>| label.clone().map_or_else(Value::Missing, Value::from);
        match (c.name, &self.app.detail_probe) {
            ("proc_ctx", Some((_, Some(seen)))) => Some(of(&seen.proc_ctx)),
            ("sock_ctx", Some((_, Some(seen)))) => Some(of(&seen.sock_ctx)),
            ("tids", Some((_, Some(seen)))) if !seen.tids.is_empty() => {
                Some(Value::List(seen.tids.iter().copied().map(Value::from).collect()))
            }
            // A socket has none as a rule; that is not worth a line.
            ("bpf_maps", Some((request, Some(seen)))) if request.inet.is_some() => {
                Some(match &seen.bpf_maps {
                    Err(why) => Value::Missing(*why),
                    Ok(all) if all.is_empty() => Value::Missing(Missing::NotApplicable),
                    Ok(all) => crate::table::bpf_maps(all.iter().copied()),
                })
            }
            ("bpf_maps", Some((_, None))) => Some(Value::Missing(Missing::NotApplicable)),
            // Not there yet, or not at all.
            ("tids", Some(_)) | ("proc_ctx" | "sock_ctx", Some((_, None))) => {
                Some(Value::Missing(Missing::NotApplicable))
            }
            _ => None,
        }
    }

    /// A name and a value, and where the pane is no low one what it means: beside it, or below in as many lines as it takes.
    fn with_help(&mut self, mut line: Pieces, used: usize, help: &str) {
        /// Where the sentences beside values begin, and columns below which there is no room for any.
        const AT: usize = 32;
        const NARROW: usize = 40;
        let faint = self.app.theme.faint;
        if self.width < NARROW || self.compact || help.is_empty() {
            self.out.push(line);
            return;
        }
        let room = self.width.saturating_sub(AT.max(used));
        if usize::from(width(help)) <= room {
            line.push((" ".repeat(AT.saturating_sub(used)), faint));
            line.push((help.to_owned(), faint));
            self.out.push(line);
            return;
        }
        // A long sentence stands below its value.
        self.out.push(line);
        let at = if self.width >= 2 * NARROW { AT } else { 4 };
        for part in crate::format::wrap(help, self.width.saturating_sub(at)) {
            self.out.push(vec![(" ".repeat(at), faint), (part, faint)]);
        }
    }

    /// A structure: each of its fields with what it means.
    fn record(&mut self, c: &Column, parts: &[(&'static str, Value<'_>)]) {
        let theme = self.app.theme;
        let structure = crate::model::struct_layout::named(c.name);
        let name = self.label();
        self.text(&format!("{}: {}", c.name, c.help), theme.dim);
        for (field, value) in parts {
            // What has many lines of its own has them below its name.
            if let Value::List(lines) = value {
                self.out.push(vec![(format!("  {field}"), theme.dim)]);
                for one in lines {
                    let text = cell(one, Kind::List, &self.form).into_owned();
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
            self.with_help(line, used, f.map_or("", |f| f.help));
        }
    }
}

/// How a number of a structure is shown.
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
