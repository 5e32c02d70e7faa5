//! `/proc/net/*` by the crate `procfs`: for kernels without `sock_diag`, and for a `/proc` captured elsewhere.
//!
//! Slower and poorer than netlink: no cookies (identities are made up), no attributes, no limit of an accept queue, and
//! a table that changes while it is read can show a socket twice or not at all.

mod addresses;
mod line;
#[cfg(test)]
mod tests;

use super::netns::NetnsTable;
use super::procs::Procs;
use super::synthetic_id::SyntheticIds;
use super::{CollectError, Source, host, stamp};
use crate::model::{
    Backend, BackendInfo, Family, FaultKind, FaultSubject, Faults, Namespace, Netns, OwnersBy, Proto, Reads,
    Sample, Stamp, State, StateSet, Wants, text,
};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// The namespace of a captured tree.
    captured: Option<Arc<[Namespace]>>,
    netns: NetnsTable,
    /// From this machine's time since boot to that of the tree, wrapping.
    ahead_ns: u64,
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
        let host = if live { host() } else { host_of(root) };
        let here = Namespace { inode: 0, name: "captured".into(), interfaces: BTreeMap::new() };
        Ok(Self {
            root: root.to_owned(),
            procs: Procs::new(root),
            host,
            info: Arc::new(BackendInfo { backend: Backend::Proc, why }),
            captured: (!live).then(|| Arc::from([here])),
            netns: NetnsTable::new(Netns::Here),
            ahead_ns: if live { 0 } else { ahead(root) },
        })
    }

    /// Finds owners this way; `None`: the one that costs less.
    pub(crate) fn owners_by(mut self, way: Option<OwnersBy>) -> Self {
        self.procs = self.procs.owners_by(way);
        self
    }

    /// Reads these network namespaces instead of only that of this process.
    pub(crate) fn over(mut self, netns: NetnsTable) -> Self {
        self.netns = netns;
        self
    }

    /// Reads the namespaces that are asked for: ours, and others through the tables of a process in each.
    fn read_namespaces(&mut self, sample: &mut Sample) {
        if let Some(captured) = &self.captured {
            sample.namespaces = Arc::clone(captured);
            return read_tables(&self.root, 0, sample);
        }
        self.netns.refresh(sample.at.boot_ns, &mut sample.faults);
        for number in self.netns.wanted() {
            let Some(entry) = self.netns.get(number) else { continue };
            match (number, entry.pid()) {
                (0, _) => read_tables(&self.root, 0, sample),
                (_, Some(pid)) => {
                    if !read_of(pid, number, sample) {
                        sample.faults.add(FaultKind::Vanished, FaultSubject::Namespaces, "");
                    }
                }
                (_, None) => {
                    let why =
                        format!("{}: no process is in it, only netlink enters it", entry.namespace.name);
                    sample.faults.add(FaultKind::Namespace, FaultSubject::Namespaces, why);
                }
            }
        }
        sample.namespaces = self.netns.publish();
        if sample.wants.reads(Reads::NAT) {
            sample.elsewhere = self.netns.elsewhere();
        }
    }
}

/// Reads one table of `net` below this root. `ids` are the identities given out so far.
pub(crate) fn read_table(
    root: &Path,
    table: (&str, Proto, Family),
    ids: &mut SyntheticIds,
    sample: &mut Sample,
) {
    let (name, proto, family) = table;
    let path = root.join("net").join(name);
    let failed = |e: &io::Error, faults: &mut Faults| {
        // The process through which another namespace is read has ended.
        if !root.join("net").exists() {
            return faults.add(FaultKind::Vanished, FaultSubject::Namespaces, "");
        }
        let kind = match e.kind() {
            io::ErrorKind::NotFound => FaultKind::Unsupported,
            _ => FaultKind::Failed,
        };
        faults.add(kind, FaultSubject::proc_net(name), e.to_string());
    };
    let file = match File::open(&path) {
        Ok(f) => f,
        // Few kernels have UDP-Lite any more.
        Err(e) if e.kind() == io::ErrorKind::NotFound && proto == Proto::UdpLite => return,
        Err(e) => return failed(&e, &mut sample.faults),
    };
    // Who began a connection is told by the listeners.
    let serving = StateSet::only(&[State::Listen, State::Unconn]);
    let states = if sample.wants.reads(Reads::LISTENERS) {
        sample.wants.states | serving
    } else {
        sample.wants.states
    };
    let mut lines = BufReader::with_capacity(1 << 16, file);
    let mut raw = Vec::new();
    for nth in 1u64.. {
        match next_line(&mut lines, &mut raw) {
            Ok(true) => {}
            Ok(false) => break,
            Err(e) => {
                failed(&e, &mut sample.faults);
                break;
            }
        }
        if nth == 1 && line::is_title(&raw) {
            continue;
        }
        match line::socket(&raw, proto, family) {
            Ok(mut s) => {
                if ids.assign(&mut s) && states.has(s.state) {
                    let more = line::attributes(&raw, proto, s.state);
                    sample.push_attrs(&mut s, &more);
                    sample.sockets.push(s);
                }
            }
            Err(line::Malformed) => {
                let subject = FaultSubject::proc_net(name);
                sample.faults.add(FaultKind::Malformed, subject, format!("first at line {nth}"));
            }
        }
    }
}

/// Reads the tables of the namespace of this number through a process in it; whether there were any.
pub(crate) fn read_of(pid: u32, number: u16, sample: &mut Sample) -> bool {
    let root = Path::new("/proc").join(pid.to_string());
    let there = root.join("net/tcp").exists();
    if there {
        read_tables(&root, number, sample);
        if let (true, Some(nat)) = (sample.wants.reads(Reads::NAT), &mut sample.nat) {
            nat.addresses.extend(addresses::read(&root).into_iter().map(|a| (number, a)));
        }
    }
    there
}

/// Reads every table that is wanted below this root, which is of the namespace of this number.
fn read_tables(root: &Path, number: u16, sample: &mut Sample) {
    let mut ids = SyntheticIds::default();
    let (begin, protos) = (sample.sockets.len(), sample.wants.protos);
    for table in TABLES.into_iter().filter(|(_, p, _)| protos.has(*p)) {
        read_table(root, table, &mut ids, sample);
    }
    for s in &mut sample.sockets[begin..] {
        s.id.netns = number;
    }
}

/// Name of the machine a tree was captured on; the tree's own where that is not in it.
fn host_of(root: &Path) -> Arc<str> {
    let name = fs::read_to_string(root.join("sys/kernel/hostname")).unwrap_or_default();
    match name.trim() {
        "" => text::escape(&root.to_string_lossy()).into(),
        name => text::escape(name).into(),
    }
}

/// Since boot, a tree was captured when its `uptime` says, and goes on from there; without, it shares this machine's clock.
fn ahead(root: &Path) -> u64 {
    let text = fs::read_to_string(root.join("uptime")).unwrap_or_default();
    let secs = text.split_ascii_whitespace().next().and_then(|w| w.parse::<f64>().ok());
    match secs.filter(|s| *s >= 0.0) {
        Some(secs) => ((secs * 1e9) as u64).wrapping_sub(stamp().boot_ns),
        None => 0,
    }
}

/// Reads a line, without its end, into `raw`; `false` at the end of the file. Of one that is too long to make sense only
/// the start is kept.
fn next_line(lines: &mut impl BufRead, raw: &mut Vec<u8>) -> io::Result<bool> {
    const KEPT: usize = line::LONGEST + 2;
    raw.clear();
    if lines.by_ref().take(KEPT as u64).read_until(b'\n', raw)? == 0 {
        return Ok(false);
    }
    if raw.last() == Some(&b'\n') {
        raw.pop();
    } else if raw.len() == KEPT {
        lines.skip_until(b'\n')?;
    }
    Ok(true)
}

impl Source for ProcSource {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        let began = stamp();
        let at = Stamp { boot_ns: began.boot_ns.wrapping_add(self.ahead_ns), ..began };
        let mut sample = Sample::empty(at, Arc::clone(&self.host), Arc::clone(&self.info), wants.clone());
        // What is filtered here is filtered again by whoever asked; nothing else is left out.
        sample.wants.prefilter = None;
        self.procs.prepare(&sample);
        self.read_namespaces(&mut sample);
        self.procs.read(&mut sample);
        sample.took_us = stamp().boot_ns.saturating_sub(began.boot_ns) / 1000;
        Ok(sample)
    }
}
