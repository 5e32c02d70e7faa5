//! Details of a remote address.

use super::Builder;

impl Builder<'_> {
    pub(super) fn peer(&mut self, row: usize) {
        let Some(p) = self.snap.peers.get(row).cloned() else { return };
        self.title(&self.snap.addr_text(p.addr, p.zone));
        let snap = self.snap;
        self.processes(snap.processes_with(&p));
        self.states(&p.states);
    }
}
