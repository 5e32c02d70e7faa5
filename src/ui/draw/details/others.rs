//! Groups, ports, processes and peers.

use super::Builder;
use crate::model::{Ceiling, Limit, ProcInfo};
use crate::query::format::{age, percent, thousands as count};
use crate::query::table::limits;

impl Builder<'_> {
    pub(super) fn group(&mut self, index: usize) {
        let theme = self.app.theme;
        let g = &self.app.sheet().arranged.groups[index];
        self.title(&g.title(self.snap));
        if let Some(note) = g.note {
            self.text(note, theme.dim);
        }
        let rows = if g.len == 1 { "1 row".to_owned() } else { format!("{} rows", count(u64::from(g.len))) };
        self.text(&rows, theme.text);
        let present: Vec<_> = g.states.present().collect();
        for (s, n) in present {
            self.out.push(vec![
                (format!("{:<12}", s.name()), theme.state(s)),
                (format!("{:>8}  ", count(u64::from(n))), theme.strong),
                (s.info().meaning.to_owned(), theme.dim),
            ]);
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

    pub(super) fn port(&mut self, row: usize) {
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

    pub(super) fn process(&mut self, row: usize) {
        let theme = self.app.theme;
        let Some(p) = self.snap.sample.processes.get(row) else { return };
        let info = p.info.clone();
        self.title(&format!("{} {}", info.comm, info.pid));
        self.text(&info.cmdline, theme.dim);
        self.lineage(row as u32);
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

    pub(super) fn peer(&mut self, row: usize) {
        let Some(p) = self.snap.peers.get(row).cloned() else { return };
        self.title(&p.addr.to_string());
        let snap = self.snap;
        self.processes(snap.processes_with(&p));
        self.states(&p.states);
    }

    pub(super) fn limit(&mut self, row: usize) {
        let theme = self.app.theme;
        let snap = self.snap;
        let Some(l) = snap.limits.get(row) else { return };
        let info = l.ceiling.info();
        self.title(&format!("{} of {}", info.title, limits::subject_of(snap, row)));
        if let Some(max) = l.max {
            let share = l.share().unwrap_or(0.0);
            self.out.push(vec![
                (format!("{} of {}", count(l.used), count(max)), theme.pressure(share)),
                (format!("  {}", percent(share * 100.0)), theme.pressure(share)),
            ]);
        }
        if let Some(f) = l.full_in {
            let text = format!(
                "full in about {}, between {} and {}, as it went for the last {}",
                age(f.likely),
                age(f.low),
                age(f.high),
                age(f.span)
            );
            self.text(&text, theme.warn);
        } else if l.max.is_some() && l.per_min.is_some() {
            self.text("steady", theme.dim);
        }
        if let Some(n) = l.drops {
            let style = if l.drops_new.unwrap_or(0) > 0 { theme.bad } else { theme.dim };
            let now =
                l.drops_new.map_or_else(String::new, |n| format!(", {} since the poll before", count(n)));
            self.text(&format!("{} lost so far{now}", count(n)), style);
        }
        if let Some(found) = limits::finding(snap, row) {
            self.section("finding");
            self.text(&found, theme.warn);
        }
        self.section("what it means");
        self.text(info.help, theme.text);
        self.section("where it is set");
        self.text(info.set_by, theme.text);
        if let Some(p) = l.process {
            let info = snap.sample.processes.get(p as usize).map(|p| p.info.clone());
            if let Some(info) = info {
                for line in lasting(&info, l) {
                    self.text(&line, theme.dim);
                }
                self.section("process");
                self.holder(&info.comm, info.pid, "", info.uid, &info.cmdline);
                self.lineage(p);
                let states = snap.processes[p as usize].states;
                self.states(&states);
            }
        }
    }
}

/// The lines to write where a process's limit of descriptors lasts.
fn lasting(p: &ProcInfo, l: &Limit) -> Vec<String> {
    if l.ceiling != Ceiling::Fds {
        return vec![];
    }
    let twice = l.max.unwrap_or(1024).saturating_mul(2);
    let unit = p.cgroup.as_deref().and_then(|c| c.rsplit('/').find(|part| part.ends_with(".service")));
    let mut out = match unit {
        Some(unit) => vec![
            format!("for good: systemctl edit {unit}"),
            "  [Service]".to_owned(),
            format!("  LimitNOFILE={twice}"),
        ],
        None => vec![
            "for good, in /etc/security/limits.conf for the user that starts it:".to_owned(),
            format!("  * soft nofile {twice}"),
        ],
    };
    out.push("for now: L raises it".to_owned());
    out
}
