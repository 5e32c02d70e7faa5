//! Details of a listening endpoint.

use super::Builder;
use crate::format::thousands as count;

impl Builder<'_> {
    pub(super) fn port(&mut self, row: usize) {
        let Some(p) = self.snap.ports.get(row).cloned() else { return };
        let theme = self.app.theme;
        self.title(&format!("{} {}", p.proto.name(), p.local));
        let reach = match p.scope.name() {
            "any" => "listens on all addresses",
            "loopback" => "listens on loopback only",
            "link-local" => "listens on a link-local address",
            "private" => "listens on a private address",
            "public" => "listens on a public address",
            other => other,
        };
        self.text(reach, theme.dim);
        if let Some(q) = p.fullest.filter(|_| self.snap.sample.backend.backend.reports_backlogs()) {
            let full = if q.waiting > q.backlog { ", full" } else { "" };
            let amounts = format!("{} of {}{full}", count(q.waiting), count(q.backlog));
            let mut line = vec![("accept queue ".into(), theme.dim), (amounts, theme.pressure(q.share()))];
            if p.sockets.len() > 1 {
                line.push((format!(" (fullest of {} listeners)", p.sockets.len()), theme.dim));
            }
            self.out.push(line);
        }
        self.processes(&p.processes);
        self.states(&p.states);
    }
}
