//! File descriptors of a process: usage, trend, forecast, kinds, leak suspects.

use super::Builder;
use crate::diagnose::fd_leak;
use crate::format::{age, percent, thousands as count};
use crate::model::lang::{Lang, lang, tr};
use crate::model::{FdKind, Process, Snapshot};
use crate::msg;

impl Builder<'_> {
    /// Adds the usage, trend and forecast of the file descriptors of a process.
    pub(super) fn descriptors(&mut self, row: usize) {
        let theme = self.app.theme;
        let snap = self.snap;
        let Some(p) = snap.sample.processes.get(row) else { return };
        self.section(tr("file descriptors"));
        let u = match &p.fds {
            Ok(u) => *u,
            Err(why) => {
                self.text(&msg!("unknown: {}; run as root or as the owner of the process", why), theme.warn);
                return;
            }
        };
        let share = u.share().unwrap_or(0.0);
        let soft = u.soft.filter(|n| *n != u64::MAX);
        let open = count(u64::from(u.below_soft()));
        let usage = match soft {
            Some(n) => msg!("{} of {}", open, count(n)),
            None => msg!("{}, unlimited", open),
        };
        let mut line = vec![(usage, theme.pressure(share))];
        if soft.is_some() {
            line.push((format!("  {}", percent(share * 100.0)), theme.pressure(share)));
        }
        if let Some(n) = snap.processes[row].fds_per_min.filter(|n| *n != 0.0) {
            let digits = usize::from(n.abs() < 10.0);
            line.push((format!("  {}", msg!("{}/min", format!("{n:+.digits$}"))), theme.text));
        }
        let old = snap.sample.at.boot_ns.saturating_sub(u.open_at_ns) as f64 / 1e9;
        if u.open_at_ns > 0 && old >= 2.0 {
            line.push((format!("  {}", msg!("read {} ago", age(old))), theme.warn));
        }
        self.out.push(line);
        let per_min = snap.processes[row].fds_per_min.filter(|_| soft.is_some() && share < 1.0);
        if let Some(per_min) = per_min {
            self.forecast(snap.processes[row].fds_full_in, per_min);
        }
        self.fd_chart(row, soft);
        self.text(&ceilings(snap, p), theme.dim);
        match (u.kinds, p.fds_hidden) {
            (Some(k), _) => {
                let singular = |name: &'static str, n: u32| match lang() {
                    Lang::En if n == 1 => name.trim_end_matches('s'),
                    _ => tr(name),
                };
                let kinds: Vec<String> = k
                    .present()
                    .map(|(_, name, n)| msg!("{} {}", count(u64::from(n)), singular(name, n)))
                    .collect();
                self.text(&kinds.join(", "), theme.text);
                self.sockets_by_kind(row);
            }
            (None, Some(why)) => self.text(&msg!("kinds unknown: {}", why), theme.warn),
            (None, None) => {}
        }
        if let Some((kind, n)) = snap.processes[row].fds_growing {
            let kind = tr(FdKind::ALL[kind as usize].1);
            let digits = usize::from(n.abs() < 10.0);
            self.text(&msg!("fastest growth: {} {}/min", kind, format!("{n:+.digits$}")), theme.text);
        }
        self.totals(row);
        self.suspects(row);
    }

    /// Adds what many descriptors have in common.
    fn suspects(&mut self, row: usize) {
        let theme = self.app.theme;
        let found = fd_leak::suspects(self.snap, row);
        if found.is_empty() {
            return;
        }
        let leaks = fd_leak::is_leaking(self.snap, row);
        self.section(if leaks { tr("leak suspects") } else { tr("most common descriptors") });
        for s in &found {
            let line = crate::model::text::escape(&s.line()).into_owned();
            self.text(&line, if leaks && s.certain { theme.bad } else { theme.text });
        }
    }

    /// Adds the sockets by protocol and state.
    fn sockets_by_kind(&mut self, row: usize) {
        let snap = self.snap;
        let mut all: std::collections::BTreeMap<_, u64> = std::collections::BTreeMap::new();
        for r in snap.sockets_of(row) {
            let s = snap.socket(*r as usize);
            *all.entry((s.proto, s.state)).or_default() += 1;
        }
        if !all.is_empty() {
            let parts: Vec<String> =
                all.iter().map(|((p, s), n)| format!("{} {} {}", count(*n), p.name(), s.name())).collect();
            self.text(&msg!("sockets: {}", parts.join(", ")), self.app.theme.dim);
        }
    }

    /// Adds the totals of its unit and of its user.
    fn totals(&mut self, row: usize) {
        let snap = self.snap;
        let own = &snap.sample.processes[row].info;
        let sum = |same: &dyn Fn(&Process) -> bool| {
            let all = snap.sample.processes.iter().filter(|p| same(p));
            all.fold((0u64, 0u64, 0u64), |(fds, n, hidden), p| match &p.fds {
                Ok(u) => (fds + u64::from(u.open), n + 1, hidden),
                Err(_) => (fds, n + 1, hidden + 1),
            })
        };
        let mut line = |what: String, (fds, n, hidden): (u64, u64, u64)| {
            let unknown =
                if hidden > 0 { msg!(", {} of them not readable", count(hidden)) } else { String::new() };
            let text = msg!("{}: {} open fds in {} processes{}", what, count(fds), count(n), unknown);
            self.text(&crate::model::text::escape(&text), self.app.theme.dim);
        };
        if let Some(c) = own.cgroup.as_deref().filter(|c| *c != "/") {
            let name = c.rsplit('/').next().unwrap_or(c);
            line(msg!("unit {}", name), sum(&|p| p.info.cgroup.as_deref() == Some(c)));
        }
        let user = snap.user(own.uid).map_or_else(|| own.uid.to_string(), str::to_owned);
        line(msg!("user {}", user), sum(&|p| p.info.uid == own.uid));
    }
}

/// Limits on the descriptors of a process.
fn ceilings(snap: &Snapshot, p: &Process) -> String {
    let Ok(u) = &p.fds else { return String::new() };
    let mut out = Vec::new();
    if u.above_soft > 0 {
        out.push(msg!("{} more numbered above the limit", count(u64::from(u.above_soft))));
    }
    if let Some(n) = u.highest {
        out.push(msg!("highest fd number {}", count(u64::from(n))));
    }
    match u.hard {
        Some(u64::MAX) => out.push(tr("no hard limit").to_owned()),
        Some(n) => out.push(msg!("hard limit {}", count(n))),
        None => {}
    }
    if let Some(n) = snap.system().nr_open {
        out.push(format!("fs.nr_open {}", count(n)));
    }
    out.join(", ")
}
