//! Details of a process, and the blocks on a process that other pages show.

use super::Builder;
use crate::diagnose::finding::flow_diagnoses;
use crate::diagnose::{fd_leak, remedy};
use crate::format::{Kind, cell, thousands as count};
use crate::model::lang::{noop, tr};
use crate::model::snapshot::process_index;
use crate::model::{ProcInfo, Snapshot};
use crate::msg;
use crate::table::PROCESSES;
use std::sync::Arc;

impl Builder<'_> {
    pub(super) fn process(&mut self, row: usize) {
        let theme = self.app.theme;
        let Some(info) = self.snap.sample.processes.get(row).map(|p| p.info.clone()) else { return };
        self.title(&format!("{} {}", info.name(), info.pid));
        self.text(&info.cmdline, theme.dim);
        self.context(row as u32);
        let processes = &self.snap.sample.processes;
        self.findings(&flow_diagnoses(self.snap, &|flow| {
            flow.process.as_deref().and_then(|p| process_index(processes, p)) == Some(row)
        }));
        self.descriptors(row);
        self.traffic_charts(row);
        let near = self.snap.fds(row).ok().and_then(crate::model::FdUsage::share).is_some_and(|x| x >= 0.5);
        if near || fd_leak::is_leaking(self.snap, row) {
            let soft = self.snap.fds(row).ok().and_then(|u| u.soft);
            self.section(tr("what to do"));
            self.text(tr("L raises the limit of the running process"), theme.text);
            self.what_to_do(&remedy::raise_fd_limit(self.snap, row, soft));
        }
        let states = self.snap.processes.get(row).map(|f| f.states);
        if let Some(c) = states {
            self.states(&c);
        }
        let rows = self.snap.sockets_of(row).to_vec();
        if rows.is_empty() {
            return;
        }
        self.section(tr("sockets"));
        for r in rows.iter().take(50) {
            let s = self.snap.socket(*r as usize);
            let peer = if s.remote.is_none() {
                String::new()
            } else {
                format!(" {} {}", self.app.glyphs.arrow, self.snap.end_text(s, &s.remote))
            };
            self.out.push(vec![
                (format!("{:<12}", s.state.name()), theme.state(s.state)),
                (format!("{} {}{peer}", s.proto.name(), self.snap.end_text(s, &s.local)), theme.text),
            ]);
        }
        if rows.len() > 50 {
            let more = msg!("{} more not shown", count(rows.len() as u64 - 50));
            self.text(&more, theme.dim);
        }
    }

    pub(super) fn processes(&mut self, processes: &[u32]) {
        self.section(tr("processes"));
        self.process_list(processes);
    }

    /// Adds the processes without a title.
    pub(super) fn process_list(&mut self, processes: &[u32]) {
        if processes.is_empty() {
            self.text(tr("none visible"), self.app.theme.dim);
        }
        for p in processes.iter().take(40) {
            let Some(p) = self.snap.sample.processes.get(*p as usize).map(|p| p.info.clone()) else {
                continue;
            };
            self.owner(&p.name(), p.pid, "", p.uid, &p.cmdline);
        }
    }

    pub(super) fn owner(&mut self, comm: &str, pid: u32, fd: &str, uid: u32, cmdline: &str) {
        let theme = self.app.theme;
        let user = match uid {
            ProcInfo::NO_UID => "-".to_owned(),
            uid => self.snap.user(uid).map_or_else(|| uid.to_string(), str::to_owned),
        };
        self.out.push(vec![
            (format!("{comm} {pid}"), theme.strong),
            (format!("  {fd}  "), theme.text),
            (user, theme.dim),
        ]);
        if self.compact
            && !cmdline.is_empty()
            && let Some(last) = self.out.last_mut()
        {
            last.push((format!("  {cmdline}"), theme.dim));
            return;
        }
        if !cmdline.is_empty() && cmdline != comm {
            self.row(tr("command line"), cmdline);
        }
    }

    /// Adds cwd, parents, unit, container and cgroup of a process.
    pub(super) fn context(&mut self, process: u32) {
        let Some(p) = self.snap.sample.processes.get(process as usize).map(|p| p.info.clone()) else {
            return;
        };
        if let Some(probe) = self.probe().filter(|probe| {
            (probe.request.process.pid, probe.request.process.start_ns) == (p.pid, p.start_ns)
        }) {
            match probe.result().map(|result| &result.cwd) {
                Some(Ok(dir)) => self.row("cwd", dir),
                Some(Err(why)) => self.row("cwd", &msg!("unknown: {}", tr(why))),
                None => {
                    let missing = self.app.snapshot.as_ref().and_then(|snap| probe.missing(snap));
                    if let Some(why) = missing {
                        self.row("cwd", &why);
                    }
                }
            }
        }
        let parents: Vec<String> =
            parents(self.snap, &p).iter().rev().map(|p| format!("{} {}", p.name(), p.pid)).collect();
        if !parents.is_empty() {
            let arrow = format!(" {} ", self.app.glyphs.arrow);
            self.row(tr("parents"), &parents.join(&arrow));
        }
        let value_of = |name: &str| {
            let value = PROCESSES.column(name)?.value(self.snap, process as usize);
            (!value.is_missing()).then(|| cell(&value, Kind::Text, &self.form).into_owned())
        };
        let mut places: Vec<(&str, String)> =
            [noop("unit"), noop("slice"), noop("container"), noop("image"), noop("pod")]
                .into_iter()
                .filter_map(|n| Some((n, value_of(n)?)))
                .collect();
        if let (Some(engine), Some(c)) =
            (value_of("container_engine"), places.iter_mut().find(|(n, _)| *n == "container"))
        {
            c.1 = format!("{} ({engine})", c.1);
        }
        // A low pane shows all of them in one line.
        if self.compact && places.len() > 1 {
            let all: Vec<String> = places.iter().map(|(n, text)| format!("{} {text}", tr(n))).collect();
            self.row(tr("placement"), &all.join(", "));
            return;
        }
        for (name, text) in &places {
            self.row(tr(name), text);
        }
        if let Some(c) = p.cgroup.as_deref().filter(|c| *c != "/" && (!self.compact || places.is_empty())) {
            self.row("cgroup", c);
        }
    }
}

/// Parent process, its parent, and so on. Pids are reused, so a parent must be
/// older than its child.
fn parents(snap: &Snapshot, process: &Arc<ProcInfo>) -> Vec<Arc<ProcInfo>> {
    let all = &snap.sample.processes;
    let mut out: Vec<Arc<ProcInfo>> = Vec::new();
    let mut child = Arc::clone(process);
    while out.len() < 16 {
        let found = all.binary_search_by_key(&child.ppid, |p| p.info.pid).ok().map(|i| &all[i].info);
        let Some(parent) = found.filter(|p| p.start_ns <= child.start_ns && p.pid != child.pid) else {
            break;
        };
        out.push(Arc::clone(parent));
        child = Arc::clone(parent);
    }
    out
}
