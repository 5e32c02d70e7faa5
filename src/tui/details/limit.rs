//! How full something is, how it went, and what to do: of a process's descriptors and of every other ceiling.

use super::{Builder, Pieces};
use crate::diagnose::finding::limit_diagnosis;
use crate::diagnose::limit::subject;
use crate::diagnose::{fd_leak, remedy};
use crate::format::{age, percent, thousands as count};
use crate::model::{FdKind, FullIn, Limit, LimitKind, Missing, Process, Snapshot};
use crate::table::processes;

/// Columns of the curve at the most.
const CURVE: usize = 48;

impl Builder<'_> {
    /// What a process has open, how that went, and what it leads to.
    pub(crate) fn descriptors(&mut self, row: usize) {
        let theme = self.app.theme;
        let snap = self.snap;
        let Some(p) = snap.sample.processes.get(row) else { return };
        self.section("descriptors");
        let u = match &p.fds {
            Ok(u) => *u,
            Err(why) => {
                self.text(&format!("hidden: {why}; run as root, or as its user, to see them"), theme.warn);
                return;
            }
        };
        let share = u.share().unwrap_or(0.0);
        let soft = u.soft.filter(|n| *n != u64::MAX);
        let of = soft.map_or_else(|| " of no limit".to_owned(), |n| format!(" of {}", count(n)));
        let mut line = vec![(format!("{}{of}", count(u64::from(u.open))), theme.pressure(share))];
        if soft.is_some() {
            line.push((format!("  {}", percent(share * 100.0)), theme.pressure(share)));
        }
        if let Some(n) = snap.processes[row].fds_per_min.filter(|n| *n != 0.0) {
            let digits = usize::from(n.abs() < 10.0);
            line.push((format!("  {n:+.digits$} a minute"), theme.text));
        }
        let old = snap.sample.at.boot_ns.saturating_sub(u.open_at_ns) as f64 / 1e9;
        if u.open_at_ns > 0 && old >= 2.0 {
            line.push((format!("  counted {} ago", age(old)), theme.warn));
        }
        self.out.push(line);
        self.curve(&snap.processes[row].fd_history);
        if soft.is_some() && snap.processes[row].fds_per_min.is_some() {
            self.forecast(snap.processes[row].fds_full_in);
        }
        self.text(&ceilings(snap, p), theme.dim);
        match (u.kinds, p.fds_hidden) {
            (Some(k), _) => {
                let one = |name: &'static str, n: u32| if n == 1 { name.trim_end_matches('s') } else { name };
                let kinds: Vec<String> = k
                    .present()
                    .map(|(_, name, n)| format!("{} {}", count(u64::from(n)), one(name, n)))
                    .collect();
                self.text(&kinds.join(", "), theme.text);
                self.sockets_by_kind(row);
            }
            (None, Some(why)) => self.text(&format!("what they are is hidden: {why}"), theme.warn),
            (None, None) => {}
        }
        if let Some((kind, n)) = snap.processes[row].fds_growing {
            self.text(&format!("grows most: {} {n:+.1} a minute", FdKind::ALL[kind as usize].1), theme.text);
        }
        self.totals(row);
        self.suspects(row);
    }

    /// What many of its descriptors have in common.
    fn suspects(&mut self, row: usize) {
        let theme = self.app.theme;
        let found = fd_leak::suspects(self.snap, row);
        if found.is_empty() {
            return;
        }
        let leaks = fd_leak::is_leaking(self.snap, row);
        self.section(if leaks { "leak suspects" } else { "many of its descriptors are" });
        for s in &found {
            let line = crate::model::text::escape(&s.line()).into_owned();
            self.text(&line, if leaks && s.certain { theme.bad } else { theme.text });
        }
    }

    /// Its sockets by protocol and state.
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
            self.text(&format!("of the sockets {}", parts.join(", ")), self.app.theme.dim);
        }
    }

    /// What its unit and its user have open together.
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
                if hidden > 0 { format!(", {} of them hidden", count(hidden)) } else { String::new() };
            let text = format!("{what}: {} open in {} processes{unknown}", count(fds), count(n));
            self.text(&crate::model::text::escape(&text), self.app.theme.dim);
        };
        if let Some(c) = own.cgroup.as_deref().filter(|c| *c != "/") {
            let name = c.rsplit('/').next().unwrap_or(c);
            line(format!("its unit {name}"), sum(&|p| p.info.cgroup.as_deref() == Some(c)));
        }
        let user = snap.user(own.uid).map_or_else(|| own.uid.to_string(), str::to_owned);
        line(format!("its user {user}"), sum(&|p| p.info.uid == own.uid));
    }

    /// A curve of how it went, between the lowest and the highest.
    fn curve(&mut self, series: &[(u64, u64)]) {
        let room = self.width.saturating_sub(34).min(CURVE);
        let seen = processes::resample(series, room);
        let all = || seen.iter().flatten().copied();
        let (Some(low), Some(high)) = (all().min(), all().max()) else { return };
        if low == high || room < 8 {
            return;
        }
        let levels = self.app.glyphs.levels;
        let glyph = |n: &Option<u64>| {
            n.map_or(" ", |n| levels[((n - low) * (levels.len() as u64 - 1) / (high - low)) as usize])
        };
        let line: String = seen.iter().map(glyph).collect();
        let span = (series[series.len() - 1].0 - series[0].0) as f64 / 1e9;
        let theme = self.app.theme;
        let pieces: Pieces = vec![
            (line, theme.accent),
            (format!(" {} to {} in {}", count(low), count(high), age(span)), theme.dim),
        ];
        self.out.push(pieces);
    }

    fn forecast(&mut self, full_in: Option<FullIn>) {
        let theme = self.app.theme;
        match full_in {
            Some(f) => {
                let text = format!(
                    "full in about {}, between {} and {}, if it goes on as in the last {}",
                    age(f.likely),
                    age(f.low),
                    age(f.high),
                    age(f.span)
                );
                self.text(&text, if f.likely < 3600.0 { theme.warn } else { theme.text });
            }
            None => self.text(Missing::Stable.reason(), theme.dim),
        }
    }

    /// The next steps.
    pub(crate) fn what_to_do(&mut self, steps: &[String]) {
        let theme = self.app.theme;
        for s in steps {
            let s = crate::model::text::escape(s).into_owned();
            match s.strip_prefix("  ") {
                // To be written as it stands: never broken.
                Some(exact) => {
                    self.out.push(vec![("  ".into(), theme.text), (exact.to_owned(), theme.strong)]);
                }
                None => self.text(&s, theme.text),
            }
        }
    }

    pub(crate) fn limit(&mut self, row: usize) {
        let theme = self.app.theme;
        let snap = self.snap;
        let Some(l) = snap.limits.get(row) else { return };
        let info = l.kind.info();
        let title = format!("{}: {}", info.title, subject(snap, row));
        self.title(&crate::model::text::escape(&title));
        if let Some(d) = limit_diagnosis(snap, row) {
            let style = if d.severity == crate::model::Level::Critical { theme.bad } else { theme.warn };
            self.text(&crate::model::text::escape(&d.evidence), style);
        }
        if let Some(max) = l.max {
            let share = l.share().unwrap_or(0.0);
            self.out.push(vec![
                (format!("{} of {}", count(l.used), count(max)), theme.pressure(share)),
                (format!("  {}", percent(share * 100.0)), theme.pressure(share)),
            ]);
            if l.per_min.is_some() {
                self.forecast(l.full_in);
            }
        }
        if let Some(n) = l.drops {
            let style = if l.drops_new.unwrap_or(0) > 0 { theme.bad } else { theme.dim };
            let now =
                l.drops_new.map_or_else(String::new, |n| format!(", {} since the poll before", count(n)));
            self.text(&format!("{} lost so far{now}", count(n)), style);
        }
        for line in beside(snap, l) {
            self.text(&line, theme.dim);
        }
        self.section("what it means");
        self.text(info.help, theme.text);
        let steps = remedy::steps(snap, row);
        if !steps.is_empty() {
            self.section("what to do");
            self.what_to_do(&steps);
        }
        self.section("where it is set");
        self.text(info.set_by, theme.text);
        let Some(p) = l.process.filter(|p| (*p as usize) < snap.sample.processes.len()) else { return };
        let info = std::sync::Arc::clone(&snap.sample.processes[p as usize].info);
        if matches!(l.kind, LimitKind::Fds | LimitKind::CloseWait) {
            self.descriptors(p as usize);
        }
        self.section("process");
        self.holder(&info.name(), info.pid, "", info.uid, &info.cmdline);
        self.lineage(p);
        let states = snap.processes[p as usize].states;
        self.states(&states);
    }
}

/// The limits on a process's descriptors one above the other.
fn ceilings(snap: &Snapshot, p: &Process) -> String {
    let Ok(u) = &p.fds else { return String::new() };
    let mut out = Vec::new();
    if let Some(n) = u.highest {
        out.push(format!("highest number {}", count(u64::from(n))));
    }
    match u.hard {
        Some(u64::MAX) => out.push("no hard limit".to_owned()),
        Some(n) => out.push(format!("hard limit {}", count(n))),
        None => {}
    }
    if let Some(n) = snap.system().nr_open {
        out.push(format!("no process may have more than {} (fs.nr_open)", count(n)));
    }
    out.join(", ")
}

/// What else the kernel says beside a ceiling.
fn beside(snap: &Snapshot, l: &Limit) -> Vec<String> {
    let Some(n) = snap.sample.counters.as_ref().and_then(|c| c.nets.iter().find(|n| n.netns == l.netns))
    else {
        return vec![];
    };
    let said = |what: &str, n: Option<u64>| n.map(|n| format!("{what} {}", count(n)));
    let pressure =
        |m: Option<(u64, u64)>| m.map(|(from, _)| format!("memory pressure begins at {}", count(from)));
    let all = match l.kind {
        LimitKind::Accept => vec![
            said("of this namespace: ListenOverflows", n.listen_overflows),
            said("ListenDrops", n.listen_drops),
            said("net.core.somaxconn", n.somaxconn),
        ],
        LimitKind::Syn => vec![
            said("of this namespace: answered with cookies", n.syn_cookies),
            said("dropped", n.syn_drops),
            said("tcp_max_syn_backlog", n.syn_backlog),
        ],
        LimitKind::Ports => vec![n.ports.map(|(low, high, reserved)| {
            format!("ports {low} to {high}, {} of them reserved", count(u64::from(reserved)))
        })],
        LimitKind::TcpMem => vec![pressure(n.tcp_mem_max)],
        LimitKind::UdpMem => vec![pressure(n.udp_mem_max)],
        _ => vec![],
    };
    let all: Vec<String> = all.into_iter().flatten().collect();
    if all.is_empty() { vec![] } else { vec![all.join(", ")] }
}
