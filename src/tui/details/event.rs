//! Details of an event: cause of the end, process, time in each state.

use super::Builder;
use crate::diagnose::finding::{Diagnosis, event_diagnoses};
use crate::format::{duration, thousands as count};
use crate::model::lang::{noop, tr};
use crate::model::sample::{ClosedBy, EventKind};
use crate::model::snapshot::ProcessBy;
use crate::model::{Level, State};
use crate::msg;
use std::sync::Arc;

/// Meaning of a cause.
const fn meaning(cause: ClosedBy) -> &'static str {
    match cause {
        ClosedBy::Here => noop("closed or aborted by this end"),
        ClosedBy::Peer => noop("closed by the peer"),
        ClosedBy::Reset => noop("the peer sent a RST"),
        ClosedBy::Timeout => noop("no answer from the peer: it is down, or packets are dropped"),
        ClosedBy::Refused => noop("nothing listens on the remote port, or a firewall rejects"),
        ClosedBy::Abandoned => noop("the program gave up before the peer answered"),
        ClosedBy::Unsent => noop("no SYN was sent: no free local port, no route, or a local firewall"),
        ClosedBy::Error => noop("error of the network or of the local administrator"),
    }
}

/// Most findings of one page.
const FINDINGS_MAX: usize = 8;

impl Builder<'_> {
    /// Adds findings, if there are any.
    pub(super) fn findings(&mut self, found: &[Diagnosis]) {
        if found.is_empty() {
            return;
        }
        let theme = self.app.theme;
        self.section(tr("findings"));
        for (i, d) in found.iter().take(FINDINGS_MAX).enumerate() {
            self.text(&d.evidence, if d.severity > Level::Ok { theme.warn } else { theme.text });
            // The same advice for several of them stands behind the last.
            if found[i + 1..].first().is_none_or(|next| next.help != d.help) || i + 1 == FINDINGS_MAX {
                self.text(tr(d.help), theme.dim);
            }
        }
        if found.len() > FINDINGS_MAX {
            self.text(&msg!("{} more not shown", count((found.len() - FINDINGS_MAX) as u64)), theme.dim);
        }
    }

    pub(super) fn event(&mut self, row: usize) {
        let Some(e) = self.snap.events.rows.get(row).map(Arc::clone) else { return };
        let theme = self.app.theme;
        let peer = e.event.remote.map_or_else(String::new, |r| format!(" {} {r}", self.app.glyphs.arrow));
        self.title(&format!("{} {} {}{peer}", e.event.kind.name(), e.event.proto.name(), e.event.local));
        if e.counted {
            self.text(tr("counted, not listed: too many events at once"), theme.warn);
        }
        if let Some(cause) = e.event.closed_by {
            let failed =
                e.event.kind == EventKind::Failed || !matches!(cause, ClosedBy::Here | ClosedBy::Peer);
            self.text(tr(meaning(cause)), if failed { theme.warn } else { theme.text });
        }
        if let Some(p) = &e.process {
            let by = match e.process_by {
                ProcessBy::Poll => tr("owner of the socket in the last poll"),
                ProcessBy::Listener => tr("owner of the listener: no process used the connection"),
                ProcessBy::Event | ProcessBy::None => "",
            };
            let text = format!("{} {}", p.comm, p.pid);
            self.row(tr("process"), &if by.is_empty() { text } else { format!("{text} ({by})") });
        }
        self.findings(&event_diagnoses(self.snap, &e));
        let Some(us) = &e.event.state_us else { return };
        self.section(tr("time in each state"));
        let total: u64 = us.iter().map(|us| u64::from(*us)).sum();
        for (i, us) in us.iter().enumerate().filter(|(_, us)| **us > 0) {
            let Ok(number) = u8::try_from(i) else { continue };
            let time = duration(f64::from(*us) / 1e6, &self.form);
            let share = u64::from(*us) * 100 / total.max(1);
            self.row(State::from_kernel_tcp(number).name(), &format!("{time} ({share}%)"));
        }
    }
}
