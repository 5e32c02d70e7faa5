//! Units and containers by cgroup path; each path is parsed once.

use crate::model::snapshot::ProcessFacts;
use crate::model::{Container, ContainerEngine, Process, Sample, Unit};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Number of paths below which unused ones are never dropped.
const MIN_CACHED: usize = 4096;

/// The process that supervises a Podman container.
const CONMON: &str = "conmon";
/// Ancestors of a process searched for its conmon.
const MAX_ANCESTORS: usize = 16;

/// Units by cgroup path.
#[derive(Debug, Default)]
pub(super) struct UnitCache {
    index_by_path: FxHashMap<Box<str>, u32>,
    units: Arc<[Unit]>,
    /// Containers reported by the engines when the paths were parsed.
    containers: Arc<[Container]>,
}

impl UnitCache {
    /// Sets the unit of each process (its index plus one); returns the units, and their index by cgroup id.
    pub(super) fn collect(
        &mut self,
        sample: &Sample,
        processes: &mut [ProcessFacts],
    ) -> (Arc<[Unit]>, BTreeMap<u64, u32>) {
        if !Arc::ptr_eq(&self.containers, &sample.containers) && self.containers != sample.containers {
            *self = Self { containers: Arc::clone(&sample.containers), ..Self::default() };
        }
        let paths = || {
            let process_paths = sample.processes.iter().filter_map(|p| p.info.cgroup.as_deref());
            process_paths.chain(sample.cgroups.values().map(AsRef::as_ref))
        };
        if self.index_by_path.len() > MIN_CACHED
            && self.index_by_path.len() > 4 * (sample.processes.len() + sample.cgroups.len())
        {
            (self.index_by_path, self.units) = (FxHashMap::default(), Arc::from([]));
        }
        let mut new = Vec::new();
        for path in paths() {
            if !self.index_by_path.contains_key(path) {
                self.index_by_path.insert(path.into(), (self.units.len() + new.len()) as u32);
                new.push(self.parse(path));
            }
        }
        if !new.is_empty() {
            self.units = self.units.iter().cloned().chain(new).collect();
        }
        for (p, facts) in sample.processes.iter().zip(&mut *processes) {
            let unit = p.info.cgroup.as_deref().and_then(|path| self.index_by_path.get(path));
            facts.unit = unit.map_or(0, |i| i + 1);
        }
        self.assign_conmon_children(sample, processes);
        let by_id = sample
            .cgroups
            .iter()
            .filter_map(|(id, path)| Some((*id, *self.index_by_path.get(path)?)))
            .collect();
        (Arc::clone(&self.units), by_id)
    }

    /// Rootless Podman with cgroup version 1 creates no cgroups: the processes of a container are the descendants of its
    /// `conmon -c ID`.
    fn assign_conmon_children(&mut self, sample: &Sample, processes: &mut [ProcessFacts]) {
        let all = &sample.processes;
        if !all.iter().any(|p| &*p.info.comm == CONMON) {
            return;
        }
        let supervised = |p: &Process| Container::from_conmon(&p.info.comm, &p.info.cmdline);
        for i in 0..all.len() {
            let known = processes[i].unit.checked_sub(1).and_then(|u| self.units.get(u as usize));
            if known.is_some_and(|u| u.container.is_some()) {
                continue;
            }
            let mut ancestor = &all[i];
            for _ in 0..MAX_ANCESTORS {
                let Ok(parent) = all.binary_search_by_key(&ancestor.info.ppid, |p| p.info.pid) else { break };
                ancestor = &all[parent];
                if &*ancestor.info.comm == CONMON {
                    if let Some(c) = supervised(ancestor) {
                        processes[i].unit = self.podman_unit(&c.id) + 1;
                    }
                    break;
                }
            }
        }
    }

    /// Index of the unit of a Podman container without a cgroup.
    fn podman_unit(&mut self, id: &str) -> u32 {
        // The name that Podman gives a cgroup.
        let path = format!("/libpod-{id}");
        if let Some(i) = self.index_by_path.get(&*path) {
            return *i;
        }
        let i = self.units.len() as u32;
        let unit = self.parse(&path);
        self.units = self.units.iter().cloned().chain([unit]).collect();
        self.index_by_path.insert(path.into(), i);
        i
    }

    fn parse(&self, path: &str) -> Unit {
        let mut unit = Unit::parse(path);
        if let Some(c) = &mut unit.container
            && let Some(reported) = self.containers.iter().find(|k| k.id == c.id)
        {
            let from_path = std::mem::replace(c, reported.clone());
            // The path has the Kubernetes pod, which Docker may not report.
            c.pod = c.pod.take().or(from_path.pod);
            if from_path.engine != ContainerEngine::Unknown {
                c.engine = from_path.engine;
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
                halted: None,
                freezer: None,
            })
            .collect();
        out.cgroups = Arc::new(cgroups.iter().map(|(id, p)| (*id, (*p).into())).collect());
        out
    }

    #[test]
    fn processes_of_one_path_share_a_unit_named_by_the_engine() {
        let id = "ab".repeat(32);
        let path = format!("/docker/{id}");
        let mut s = sample(&["/a.slice/x.service", "", &path, "/a.slice/x.service"], &[(7, &path), (8, "/")]);
        let mut cache = UnitCache::default();
        let mut facts = vec![ProcessFacts::default(); 4];
        let (units, by_id) = cache.collect(&s, &mut facts);
        assert_eq!(facts.iter().map(|f| f.unit).collect::<Vec<_>>(), [1, 0, 2, 1]);
        assert_eq!((units.len(), by_id[&7]), (3, 1));
        assert_eq!(units[1].container.as_ref().map(Container::label), Some("abababababab"));
        assert!(units[by_id[&8] as usize].is_empty());

        let (again, _) = cache.collect(&s, &mut facts);
        assert!(Arc::ptr_eq(&units, &again), "no new path: the list is reused");

        let mut reported = Container::new(ContainerEngine::Docker, &id);
        reported.name = Some("web".into());
        s.containers = Arc::from([reported]);
        let (units, by_id) = cache.collect(&s, &mut facts);
        assert_eq!(units[by_id[&7] as usize].container.as_ref().map(Container::label), Some("web"));
    }
}
