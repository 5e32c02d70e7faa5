//! Details of an edge of the map: who talks to whom.

use super::Builder;
use crate::model::lang::tr;
use crate::model::text::escape;

impl Builder<'_> {
    pub(super) fn edge(&mut self, row: usize) {
        let snap = self.snap;
        let Some(e) = snap.map().edges.get(row) else { return };
        let name = |n: u32| snap.map().nodes.get(n as usize).map_or("", |n| &*n.name);
        let arrow = self.app.glyphs.arrow;
        let title = format!("{} {arrow} {} {}/{}", name(e.client), name(e.server), e.proto.name(), e.port);
        self.title(&escape(&title));
        for (title, processes) in [(tr("client"), &e.client_processes), (tr("server"), &e.server_processes)] {
            if !processes.is_empty() {
                self.section(title);
                self.process_list(processes);
            }
        }
        self.states(&e.states);
    }
}
