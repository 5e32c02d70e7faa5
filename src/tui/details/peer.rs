//! Details of a remote address.

use super::Builder;
use crate::diagnose::finding::flow_diagnoses;
use crate::model::snapshot::Direction;

impl Builder<'_> {
    pub(super) fn peer(&mut self, row: usize) {
        let Some(p) = self.snap.peers.get(row).cloned() else { return };
        self.title(&self.snap.addr_text(p.addr, p.zone));
        let snap = self.snap;
        self.findings(&flow_diagnoses(snap, &|flow| {
            flow.key.direction != Direction::In && flow.key.service.is_some_and(|end| end.addr == p.addr)
        }));
        self.processes(snap.processes_with(&p));
        self.states(&p.states);
    }
}
