//! Details of a listening endpoint.

use super::Builder;
use crate::diagnose::finding::flow_diagnoses;
use crate::format::thousands as count;
use crate::model::lang::tr;
use crate::model::snapshot::Direction;
use crate::model::{Endpoint, Proto};
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
        if let Some(q) = p.fullest.filter(|_| self.snap.sample.backend.backend.reports_backlogs()) {
            let mut amounts = msg!("{} of {}", count(q.waiting), count(q.backlog));
            if q.waiting > q.backlog {
                amounts = format!("{}, {amounts}", tr("full"));
            }
            let mut line =
                vec![(format!("{} ", tr("accept queue")), theme.dim), (amounts, theme.pressure(q.share()))];
            if p.sockets.len() > 1 {
                line.push((format!(" ({})", msg!("fullest of {} listeners", p.sockets.len())), theme.dim));
            }
            self.out.push(line);
        }
        let inode = self.snap.netns_inode(p.netns);
        self.findings(&flow_diagnoses(self.snap, &|flow| {
            let serves = |end: Endpoint| {
                end.port == p.local.port && (p.local.addr.is_any() || p.local.addr == end.addr)
            };
            let key = &flow.key;
            p.proto == Proto::Tcp
                && key.direction == Direction::In
                && key.netns_inode == inode
                && key.service.is_some_and(serves)
        }));
        self.processes(&p.processes);
        self.states(&p.states);
    }
}
