//! Groups, ports, processes and peers.

use super::Builder;
use crate::diagnose::{fd_leak, remedy};
use crate::format::thousands as count;

impl Builder<'_> {
    pub(crate) fn group(&mut self, index: usize) {
        let theme = self.app.theme;
        let g = &self.app.view_state().arranged.groups[index];
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
            self.holder(&p.name(), p.pid, "", p.uid, &p.cmdline);
        }
    }

    pub(crate) fn states(&mut self, c: &crate::model::StateCounts) {
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

    pub(crate) fn port(&mut self, row: usize) {
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

    pub(crate) fn process(&mut self, row: usize) {
        let theme = self.app.theme;
        let Some(info) = self.snap.sample.processes.get(row).map(|p| p.info.clone()) else { return };
        self.title(&format!("{} {}", info.name(), info.pid));
        self.text(&info.cmdline, theme.dim);
        self.lineage(row as u32);
        self.descriptors(row);
        let near = self.snap.fds(row).ok().and_then(crate::model::FdUsage::share).is_some_and(|x| x >= 0.5);
        if near || fd_leak::is_leaking(self.snap, row) {
            let soft = self.snap.fds(row).ok().and_then(|u| u.soft);
            self.section("what to do");
            self.what_to_do(&remedy::raise_fd_limit(self.snap, row, soft));
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

    pub(crate) fn peer(&mut self, row: usize) {
        let Some(p) = self.snap.peers.get(row).cloned() else { return };
        self.title(&p.addr.to_string());
        let snap = self.snap;
        self.processes(snap.processes_with(&p));
        self.states(&p.states);
    }
}
