//! What the control groups of processes and sockets say, each path read once.

use crate::model::snapshot::ProcessFacts;
use crate::model::{Container, ContainerEngine, Process, Sample, Unit};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// More paths than this that no longer occur are not kept.
const KEPT: usize = 4096;

/// The program that watches a container of Podman.
const MONITOR: &str = "conmon";
/// How far up a process's parents its monitor is looked for.
const DEEP: usize = 16;

/// Paths read so far.
#[derive(Debug, Default)]
pub(super) struct Memory {
    at: FxHashMap<Box<str>, u32>,
    units: Arc<[Unit]>,
    /// What the engines said when they were read.
    containers: Arc<[Container]>,
}

impl Memory {
    /// Gives each process the index of its unit, one more; returns the units and their index by a cgroup's id.
    pub(super) fn collect(
        &mut self,
        sample: &Sample,
        processes: &mut [ProcessFacts],
    ) -> (Arc<[Unit]>, BTreeMap<u64, u32>) {
        if !Arc::ptr_eq(&self.containers, &sample.containers) && self.containers != sample.containers {
            *self = Self { containers: Arc::clone(&sample.containers), ..Self::default() };
        }
        let paths = || {
            let of_processes = sample.processes.iter().filter_map(|p| p.info.cgroup.as_deref());
            of_processes.chain(sample.cgroups.values().map(AsRef::as_ref))
        };
        if self.at.len() > KEPT && self.at.len() > 4 * (sample.processes.len() + sample.cgroups.len()) {
            (self.at, self.units) = (FxHashMap::default(), Arc::from([]));
        }
        let mut fresh = Vec::new();
        for path in paths() {
            if !self.at.contains_key(path) {
                self.at.insert(path.into(), (self.units.len() + fresh.len()) as u32);
                fresh.push(self.read(path));
            }
        }
        if !fresh.is_empty() {
            self.units = self.units.iter().cloned().chain(fresh).collect();
        }
        for (p, facts) in sample.processes.iter().zip(&mut *processes) {
            let unit = p.info.cgroup.as_deref().and_then(|path| self.at.get(path));
            facts.unit = unit.map_or(0, |i| i + 1);
        }
        self.by_monitor(sample, processes);
        let by_id = sample.cgroups.iter().filter_map(|(id, path)| Some((*id, *self.at.get(path)?))).collect();
        (Arc::clone(&self.units), by_id)
    }

    /// Podman of an ordinary user on a machine of cgroup version 1 makes no control groups: there its containers are
    /// what descends from their monitors, `conmon -c ID`.
    fn by_monitor(&mut self, sample: &Sample, processes: &mut [ProcessFacts]) {
        let all = &sample.processes;
        if !all.iter().any(|p| &*p.info.comm == MONITOR) {
            return;
        }
        let watched = |p: &Process| Container::from_conmon(&p.info.comm, &p.info.cmdline);
        for i in 0..all.len() {
            let known = processes[i].unit.checked_sub(1).and_then(|u| self.units.get(u as usize));
            if known.is_some_and(|u| u.container.is_some()) {
                continue;
            }
            let mut at = &all[i];
            for _ in 0..DEEP {
                let Ok(parent) = all.binary_search_by_key(&at.info.ppid, |p| p.info.pid) else { break };
                at = &all[parent];
                if &*at.info.comm == MONITOR {
                    if let Some(c) = watched(at) {
                        processes[i].unit = self.libpod(&c.id) + 1;
                    }
                    break;
                }
            }
        }
    }

    /// Index of the unit of a container of Podman that has no control group.
    fn libpod(&mut self, id: &str) -> u32 {
        // As Podman would call it.
        let path = format!("/libpod-{id}");
        if let Some(i) = self.at.get(&*path) {
            return *i;
        }
        let i = self.units.len() as u32;
        let unit = self.read(&path);
        self.units = self.units.iter().cloned().chain([unit]).collect();
        self.at.insert(path.into(), i);
        i
    }

    fn read(&self, path: &str) -> Unit {
        let mut unit = Unit::parse(path);
        if let Some(c) = &mut unit.container
            && let Some(told) = self.containers.iter().find(|t| t.id == c.id)
        {
            let of_path = std::mem::replace(c, told.clone());
            // The path knows a pod of Kubernetes, of which Docker may say nothing.
            c.pod = c.pod.take().or(of_path.pod);
            if of_path.engine != ContainerEngine::Unknown {
                c.engine = of_path.engine;
            }
        }
        unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, BackendInfo, ProcInfo, Stamp, Wants};

    fn sample(paths: &[&str], cgroups: &[(u64, &str)]) -> Sample {
        let info = BackendInfo { backend: Backend::Script, reason: String::new() };
        let mut out = Sample::empty(Stamp::default(), "t".into(), Arc::new(info), Wants::default());
        out.processes = (1u32..)
            .zip(paths)
            .map(|(pid, path)| Process {
                info: Arc::new(ProcInfo {
                    pid,
                    ppid: 0,
                    start_ns: 0,
                    comm: "x".into(),
                    cmdline: "".into(),
                    uid: 0,
                    cgroup: (!path.is_empty()).then(|| (*path).into()),
                }),
                fds: Err(crate::model::Missing::NotRead),
                fds_hidden: None,
                fd_targets: Arc::from([]),
            })
            .collect();
        out.cgroups = Arc::new(cgroups.iter().map(|(id, p)| (*id, (*p).into())).collect());
        out
    }

    #[test]
    fn one_unit_a_path_and_the_engine_names_the_container() {
        let id = "ab".repeat(32);
        let path = format!("/docker/{id}");
        let mut s = sample(&["/a.slice/x.service", "", &path, "/a.slice/x.service"], &[(7, &path), (8, "/")]);
        let mut memory = Memory::default();
        let mut facts = vec![ProcessFacts::default(); 4];
        let (units, by_id) = memory.collect(&s, &mut facts);
        assert_eq!(facts.iter().map(|f| f.unit).collect::<Vec<_>>(), [1, 0, 2, 1]);
        assert_eq!((units.len(), by_id[&7]), (3, 1));
        assert_eq!(units[1].container.as_ref().map(Container::label), Some("abababababab"));
        assert!(units[by_id[&8] as usize].is_empty());

        let (again, _) = memory.collect(&s, &mut facts);
        assert!(Arc::ptr_eq(&units, &again), "nothing new, nothing made");

        let mut told = Container::new(ContainerEngine::Docker, &id);
        told.name = Some("web".into());
        s.containers = Arc::from([told]);
        let (units, by_id) = memory.collect(&s, &mut facts);
        assert_eq!(units[by_id[&7] as usize].container.as_ref().map(Container::label), Some("web"));
    }
}
