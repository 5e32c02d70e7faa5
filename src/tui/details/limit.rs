//! Details of a resource limit: usage, forecast, meaning, remedies.

use super::Builder;
use crate::diagnose::finding::limit_diagnosis;
use crate::diagnose::limit::{set_by, subject};
use crate::diagnose::remedy;
use crate::format::{age, bytes, percent, thousands as count};
use crate::model::lang::{noop, tr};
use crate::model::{FullIn, Limit, LimitKind, Missing, Snapshot};
use crate::msg;

impl Builder<'_> {
    /// Adds the forecast of a number that grows by this per minute.
    pub(super) fn forecast(&mut self, full_in: Option<FullIn>, per_min: f64) {
        let theme = self.app.theme;
        match full_in {
            Some(f) => {
                let (likely, low, high) = (age(f.likely), age(f.low), age(f.high));
                let text = if low == high {
                    msg!("full in about {} at the rate of the last {}", likely, age(f.span))
                } else {
                    msg!(
                        "full in about {} (between {} and {}) at the rate of the last {}",
                        likely,
                        low,
                        high,
                        age(f.span)
                    )
                };
                self.text(&text, if f.likely < 3600.0 { theme.warn } else { theme.text });
            }
            None if per_min < 0.0 => self.text(tr("falling"), theme.dim),
            None => self.text(tr(Missing::Stable.reason()), theme.dim),
        }
    }

    /// Adds the remedies.
    pub(super) fn what_to_do(&mut self, steps: &[String]) {
        let theme = self.app.theme;
        for s in steps {
            let s = crate::model::text::escape(s).into_owned();
            match s.strip_prefix("  ") {
                // A command line is not wrapped.
                Some(exact) => {
                    self.out.push(vec![("  ".into(), theme.text), (exact.to_owned(), theme.strong)]);
                }
                None => self.text(&s, theme.text),
            }
        }
    }

    pub(super) fn limit(&mut self, row: usize) {
        let theme = self.app.theme;
        let snap = self.snap;
        let Some(l) = snap.limits.get(row) else { return };
        let info = l.kind.info();
        let title = format!("{}: {}", tr(info.title), subject(snap, row));
        self.title(&crate::model::text::escape(&title));
        if let Some(d) = limit_diagnosis(snap, row) {
            let style = if d.severity == crate::model::Level::Critical { theme.bad } else { theme.warn };
            self.text(&crate::model::text::escape(&d.evidence), style);
        }
        if let (Some(_), None) = (l.max, l.share()) {
            self.text(&msg!("{}, unlimited", count(l.used)), theme.text);
        } else if let Some(max) = l.max {
            let share = l.share().unwrap_or(0.0);
            self.out.push(vec![
                (msg!("{} of {}", count(l.used), count(max)), theme.pressure(share)),
                (format!("  {}", percent(share * 100.0)), theme.pressure(share)),
            ]);
            if let Some(per_min) = l.per_min.filter(|_| share < 1.0) {
                self.forecast(l.full_in, per_min);
            }
        }
        if let Some(n) = l.drops {
            let style = if l.drops_new.unwrap_or(0) > 0 { theme.bad } else { theme.dim };
            let now =
                l.drops_new.map_or_else(String::new, |n| msg!(", {} since the previous poll", count(n)));
            self.text(&msg!("{} drops in total{}", count(n), now), style);
        }
        self.limit_chart(l);
        for line in counters(snap, l) {
            self.text(&line, theme.dim);
        }
        self.section(tr("meaning"));
        self.text(tr(info.help), theme.text);
        let steps = remedy::steps(snap, row);
        if !steps.is_empty() {
            self.section(tr("what to do"));
            if l.kind == LimitKind::Fds && !self.app.is_read_only() {
                self.text(tr("L raises the limit of the running process"), theme.text);
            }
            self.what_to_do(&steps);
        }
        self.section(tr("where to change it"));
        self.text(&set_by(l), theme.text);
        let Some(p) = l.process.filter(|p| (*p as usize) < snap.sample.processes.len()) else { return };
        let info = std::sync::Arc::clone(&snap.sample.processes[p as usize].info);
        if matches!(l.kind, LimitKind::Fds | LimitKind::CloseWait) {
            self.descriptors(p as usize);
        }
        self.section(tr("process"));
        self.owner(&info.name(), info.pid, "", info.uid, &info.cmdline);
        self.context(p);
        let states = snap.processes[p as usize].states;
        self.states(&states);
    }
}

/// Related kernel counters and settings.
fn counters(snap: &Snapshot, l: &Limit) -> Vec<String> {
    let Some(n) = snap.sample.counters.as_ref().and_then(|c| c.nets.iter().find(|n| n.netns == l.netns))
    else {
        return vec![];
    };
    let labelled = |what: &str, n: Option<u64>| n.map(|n| format!("{} {}", tr(what), count(n)));
    let hard = |sysctl: &str, m: Option<(u64, u64)>| {
        m.map(|(_, max)| msg!("third value of {}: {}", sysctl, bytes(max as f64)))
    };
    let all = match l.kind {
        LimitKind::Accept => vec![
            labelled(noop("this namespace: ListenOverflows"), n.listen_overflows),
            labelled("ListenDrops", n.listen_drops),
            labelled("net.core.somaxconn", n.somaxconn),
        ],
        LimitKind::Syn => vec![
            labelled(noop("this namespace: SYN cookies sent"), n.syn_cookies),
            labelled(noop("dropped"), n.syn_drops),
            labelled("tcp_max_syn_backlog", n.syn_backlog),
        ],
        LimitKind::Ports => vec![n.ports.map(|(low, high, reserved)| {
            msg!("ports {}-{}, {} reserved", low, high, count(u64::from(reserved)))
        })],
        LimitKind::TcpMem => vec![hard("tcp_mem", n.tcp_mem_max)],
        LimitKind::UdpMem => vec![hard("udp_mem", n.udp_mem_max)],
        _ => vec![],
    };
    let all: Vec<String> = all.into_iter().flatten().collect();
    if all.is_empty() { vec![] } else { vec![all.join(", ")] }
}
