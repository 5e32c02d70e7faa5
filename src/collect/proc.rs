//! `/proc/net/*` by the crate `procfs`: for kernels without `sock_diag`, and for a `/proc` captured elsewhere.
//!
//! Slower and poorer than netlink: no cookies (identities are made up), no attributes, no limit of an accept queue, and
//! a table that changes while it is read can show a socket twice or not at all.

mod line;

use super::procs::Procs;
use super::{CollectError, Source, host, stamp};
use crate::model::{
    Backend, BackendInfo, Family, FaultKind, Faults, Namespace, Proto, Sample, State, StateSet, Wants,
};
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most bytes of one line that are kept in memory.
const LINE_MAX: u64 = 64 * 1024;

/// The tables: file below `net`, what it holds.
const TABLES: [(&str, Proto, Family); 10] = [
    ("tcp", Proto::Tcp, Family::Inet),
    ("tcp6", Proto::Tcp, Family::Inet6),
    ("udp", Proto::Udp, Family::Inet),
    ("udp6", Proto::Udp, Family::Inet6),
    ("udplite", Proto::UdpLite, Family::Inet),
    ("udplite6", Proto::UdpLite, Family::Inet6),
    ("raw", Proto::Raw, Family::Inet),
    ("raw6", Proto::Raw, Family::Inet6),
    ("icmp", Proto::Icmp, Family::Inet),
    ("icmp6", Proto::Icmp, Family::Inet6),
];

/// The proc backend.
#[derive(Debug)]
pub struct ProcSource {
    root: PathBuf,
    procs: Procs,
    host: Arc<str>,
    info: Arc<BackendInfo>,
    namespaces: Arc<[Namespace]>,
}

impl ProcSource {
    /// Over this machine's `/proc`, or a tree that looks like one. `why` is said beside the backend's name.
    pub fn new(root: &Path, why: String) -> Result<Self, CollectError> {
        fs::read_dir(root).map_err(|e| CollectError::io("read", root.display().to_string(), e))?;
        let net = root.join("net");
        let readable = |name: &str| File::open(net.join(name)).err();
        let errors: Vec<io::Error> = TABLES[..4].iter().filter_map(|(name, ..)| readable(name)).collect();
        if errors.len() == 4 {
            let e = errors.into_iter().next().unwrap_or_else(|| io::ErrorKind::NotFound.into());
            return Err(CollectError::io("open", net.join("tcp").display().to_string(), e));
        }
        let live = root == Path::new("/proc");
        let captured = || fs::read_to_string(root.join("sys/kernel/hostname")).ok();
        let host = match captured().filter(|_| !live) {
            Some(name) => crate::model::text::escape(name.trim()).into(),
            None => host(),
        };
        let name = if live { "host" } else { "captured" };
        let here = Namespace { inode: 0, name: name.into(), interfaces: BTreeMap::new() };
        Ok(Self {
            root: root.to_owned(),
            procs: Procs::new(root),
            host,
            info: Arc::new(BackendInfo { backend: Backend::Proc, why }),
            namespaces: Arc::from([here]),
        })
    }
}

/// Reads one table of `net` below this root. `seen` are the identities given out so far.
pub(super) fn read_table(
    root: &Path,
    table: (&str, Proto, Family),
    seen: &mut FxHashSet<u64>,
    sample: &mut Sample,
) {
    let (name, proto, family) = table;
    let path = root.join("net").join(name);
    let failed = |e: &io::Error, faults: &mut Faults| {
        let kind = match e.kind() {
            io::ErrorKind::NotFound => FaultKind::Unsupported,
            _ => FaultKind::Failed,
        };
        faults.add(kind, &format!("/proc/net/{name}"), e.to_string());
    };
    let file = match File::open(&path) {
        Ok(f) => f,
        // Few kernels have UDP-Lite any more.
        Err(e) if e.kind() == io::ErrorKind::NotFound && proto == Proto::UdpLite => return,
        Err(e) => return failed(&e, &mut sample.faults),
    };
    // Who began a connection is told by the listeners.
    let serving = StateSet::of(&[State::Listen, State::Unconn]);
    let states = if sample.wants.listeners { sample.wants.states.or(serving) } else { sample.wants.states };
    let mut lines = BufReader::with_capacity(1 << 16, file);
    let mut raw = Vec::new();
    let mut first = true;
    let mut malformed = 0;
    loop {
        raw.clear();
        let mut limited = io::Read::take(&mut lines, LINE_MAX);
        match limited.read_until(b'\n', &mut raw) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) => {
                failed(&e, &mut sample.faults);
                break;
            }
        }
        // Titles.
        if std::mem::take(&mut first) {
            continue;
        }
        let text = raw.strip_suffix(b"\n").unwrap_or(&raw);
        match line::socket(text, proto, family) {
            Ok(mut s) => {
                if !seen.insert(s.id.cookie) {
                    s.id.cookie = line::cookie(&s, true);
                    if !seen.insert(s.id.cookie) {
                        // The same socket twice: the table moved on while it was read.
                        continue;
                    }
                }
                if states.has(s.state) {
                    sample.sockets.push(s);
                }
            }
            Err(line::Malformed) => malformed += 1,
        }
    }
    sample.faults.add_many(FaultKind::Malformed, &format!("/proc/net/{name} lines"), "", malformed);
}

impl Source for ProcSource {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        let mut sample =
            Sample::empty(stamp(), Arc::clone(&self.host), Arc::clone(&self.info), wants.clone());
        // What is filtered here is filtered again by whoever asked; nothing else is left out.
        sample.wants.prefilter = None;
        sample.namespaces = Arc::clone(&self.namespaces);
        let mut seen = FxHashSet::default();
        for table in TABLES.into_iter().filter(|(_, p, _)| wants.protos.has(*p)) {
            read_table(&self.root, table, &mut seen, &mut sample);
        }
        self.procs.read(&mut sample);
        sample.took_us = stamp().boot_ns.saturating_sub(sample.at.boot_ns) / 1000;
        Ok(sample)
    }
}

#[cfg(test)]
mod tests;
