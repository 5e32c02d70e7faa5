//! Details of a listening endpoint.

use super::Builder;
use crate::format::thousands as count;
use crate::model::lang::tr;
use crate::msg;

impl Builder<'_> {
    pub(super) fn port(&mut self, row: usize) {
        let Some(p) = self.snap.ports.get(row).cloned() else { return };
        let theme = self.app.theme;
        let zone = Some(self.snap.iface_or_index(p.netns, p.iface)).filter(|_| p.iface != 0);
        let mut local = String::new();
        p.local.push_zoned(&mut local, zone.filter(|_| p.local.addr.needs_zone()).as_deref());
        self.title(&format!("{} {local}", p.proto.name()));
        let reach = match p.scope.name() {
            "any" => tr("listens on all addresses"),
            "loopback" => tr("listens on loopback only"),
            "link-local" => tr("listens on a link-local address"),
            "private" => tr("listens on a private address"),
            "public" => tr("listens on a public address"),
            other => other,
        };
        self.text(reach, theme.dim);
        if p.state == crate::model::State::Listen && p.backlog > 0 {
            let share = p.recv_q as f64 / p.backlog as f64;
            self.out.push(vec![
                (format!("{} ", tr("accept queue")), theme.dim),
                (msg!("{} of {}", count(p.recv_q), count(p.backlog)), theme.pressure(share)),
            ]);
        }
        self.processes(&p.processes);
        self.states(&p.states);
    }
}
