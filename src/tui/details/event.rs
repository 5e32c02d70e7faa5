//! Details of an event: cause of the end, process, time in each state.

use super::Builder;
use crate::diagnose::finding::{Diagnosis, event_diagnoses};
use crate::format::{duration, thousands as count};
use crate::model::lang::{noop, tr};
use crate::model::sample::{ClosedBy, EventKind};
use crate::model::snapshot::{Direction, EventRow, ProcessBy};
use crate::model::{Level, Proto, State};
use crate::msg;
use crate::table::EVENTS;
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

/// TCP states by the kernel's number (`include/net/tcp_states.h`), in the order in which a connection passes them.
const IN_ORDER: [u8; 12] = [10, 2, 3, 12, 1, 4, 5, 11, 8, 9, 6, 7];

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

    /// Adds the key that answers why.
    pub(super) fn why_hint(&mut self) {
        let key = self.app.key_label("why");
        self.text(&msg!("{} explains what stops it, step by step", key), self.app.theme.accent);
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
        for name in [noop("unit"), noop("container")] {
            let text = EVENTS.column(name).map_or_else(String::new, |c| self.value(c, row));
            if e.unit().is_some() && text != "-" {
                self.row(tr(name), &text);
            }
        }
        self.findings(&event_diagnoses(self.snap, &e));
        if e.event.kind == EventKind::Failed {
            self.why_hint();
        }
        self.event_lifecycle(row);
    }

    /// Adds the lifecycle of the socket of an event: what happened when, its data, and the time in each state.
    pub(super) fn event_lifecycle(&mut self, row: usize) {
        let Some(e) = self.snap.events.rows.get(row).map(Arc::clone) else { return };
        if e.counted {
            return;
        }
        let points = self.points(&e);
        if let Some(first) = points.first().map(|p| p.0).filter(|_| points.len() > 1) {
            self.section(tr("lifecycle"));
            for (ns, text) in &points {
                let since = duration(ns.saturating_sub(first) as f64 / 1e9, &self.form);
                self.row(&format!("+{since}"), text);
            }
        }
        if matches!(e.event.kind, EventKind::Closed | EventKind::Failed) {
            self.section(tr("in all"));
            let named = |name: &str| EVENTS.column(name).map_or_else(String::new, |c| self.value(c, row));
            let (took, tx, rx) = (named("duration_us"), named("tx_bytes"), named("rx_bytes"));
            let (retrans, rtt, connect) = (named("total_retrans"), named("rtt_us"), named("connect_us"));
            self.row(tr("duration"), &took);
            self.row(tr("data"), &msg!("{} sent, {} received", tx, rx));
            if e.event.proto == Proto::Tcp {
                self.row(tr("retransmissions"), &retrans);
                self.row("RTT", &rtt);
                self.row(tr("handshake"), &connect);
            }
        }
        let Some(us) = &e.event.state_us else { return };
        self.section(tr("time in each state"));
        let total: u64 = us.iter().map(|us| u64::from(*us)).sum();
        for number in IN_ORDER {
            let Some(us) = us.get(usize::from(number)).copied().filter(|us| *us > 0) else { continue };
            let time = duration(f64::from(us) / 1e6, &self.form);
            let share = u64::from(us) * 100 / total.max(1);
            self.row(State::from_kernel_tcp(number).name(), &format!("{time} ({share}%)"));
        }
    }

    /// Times of the lifecycle of a socket, nanoseconds after boot, in order: from this event and the others of its socket.
    fn points(&self, e: &EventRow) -> Vec<(u64, String)> {
        let id = (e.netns_inode, e.event.id.cookie);
        let mut out = Vec::new();
        if e.event.proto == Proto::Tcp {
            let syn = if e.direction == Direction::In { tr("SYN received") } else { tr("SYN sent") };
            let is_listener = e.event.kind == EventKind::Listening || e.event.from == Some(State::Listen);
            let syn = if is_listener { "listen" } else { syn };
            out.push((e.event.start_ns, syn.to_owned()));
            out.push((e.event.opened_ns, tr("connection established").to_owned()));
        } else {
            out.push((e.event.start_ns, tr("first use").to_owned()));
        }
        out.retain(|p| p.0 != 0);
        let mut retransmits: Option<(u64, u64)> = None;
        let same = self.snap.events.rows.iter().filter(|r| (r.netns_inode, r.event.id.cookie) == id);
        for r in same.filter(|r| !r.counted) {
            let text = match r.event.kind {
                EventKind::Accepted => tr("first used by the process that accepted it").to_owned(),
                EventKind::Closed | EventKind::Failed => {
                    let cause =
                        r.event.closed_by.map(|c| format!(": {}", tr(meaning(c)))).unwrap_or_default();
                    let what =
                        if r.event.kind == EventKind::Failed { tr("connect failed") } else { tr("closed") };
                    format!("{what}{cause}")
                }
                EventKind::Retransmit => {
                    let (_, n) = retransmits.get_or_insert((r.event.at_ns, 0));
                    *n += 1;
                    continue;
                }
                // In the times above.
                EventKind::Opened | EventKind::Listening => continue,
            };
            out.push((r.event.at_ns, text));
        }
        if let Some((ns, n)) = retransmits {
            out.push((ns, msg!("first of {} retransmissions", count(n))));
        }
        out.sort_by_key(|p| p.0);
        out
    }
}
