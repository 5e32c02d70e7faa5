//! `/proc/net/*`, parsed by the crate `procfs`: for kernels without `sock_diag`, and for captured `/proc` trees.
//!
//! Slower than netlink and with less data: no cookies (ids are synthetic), no attributes, no backlogs; and a table that
//! changes while it is read may have a socket twice or not at all.

mod addresses;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod line;
mod non_ip;
#[cfg(test)]
mod tests;

use super::net_root::net_root;
use super::netns::NetnsTable;
use super::proc_file;
use super::procs::Procs;
use super::source::{CollectError, Source, host, stamp};
use super::synthetic_id::SyntheticIds;
use crate::model::{
    Backend, BackendInfo, Family, FaultKind, FaultSubject, Faults, Namespace, Netns, OwnersBy, Proto,
    ProtoSet, Reads, Sample, Stamp, State, StateSet, Wants, text,
};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Tables: file below `net`, protocol and family.
const TABLES: [(&str, Proto, Family); 13] = [
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
    ("unix", Proto::Unix, Family::Unix),
    ("packet", Proto::Packet, Family::Packet),
    ("netlink", Proto::Netlink, Family::Netlink),
];

/// Most bytes of a table that are read: about seven million sockets.
const TABLE_MAX: u64 = 1 << 30;

/// Byte order of this machine.
const NATIVE_LITTLE_ENDIAN: bool = cfg!(target_endian = "little");

/// Backend that reads `/proc/net`.
#[derive(Debug)]
pub struct ProcSource {
    /// Directory with `net`.
    net_root: PathBuf,
    /// Byte order of the addresses in its tables.
    little_endian: bool,
    procs: Procs,
    host: Arc<str>,
    info: Arc<BackendInfo>,
    /// The namespace of a captured tree.
    captured: Option<Arc<[Namespace]>>,
    netns: NetnsTable,
    /// Namespaces of this poll that no process is in.
    without_process: Vec<String>,
    /// Uptime of the captured tree minus that of this machine, wrapping.
    uptime_offset_ns: u64,
}

impl ProcSource {
    /// Reads the live `/proc`, or a captured tree. `why` is the reason for this backend.
    pub fn new(root: &Path, why: String) -> Result<Self, CollectError> {
        fs::read_dir(root).map_err(|e| CollectError::io("read", root.display().to_string(), e))?;
        let net_root = net_root(root);
        let net = net_root.join("net");
        let live = root == Path::new("/proc");
        let open_error = |name: &str| proc_file::open(&net.join(name)).err();
        let errors: Vec<io::Error> = TABLES[..4].iter().filter_map(|(name, ..)| open_error(name)).collect();
        let without_net = !live && !net.exists();
        // A tree without tables can still have processes and settings.
        if errors.len() == 4 && !(without_net && has_processes_or_settings(root)) {
            let e = errors.into_iter().next().unwrap_or_else(|| io::ErrorKind::NotFound.into());
            return Err(CollectError::io("open", net.join("tcp").display().to_string(), e));
        }
        let host = if live { host() } else { captured_host(root) };
        let here = Namespace { inode: 0, name: "captured".into(), interfaces: BTreeMap::new() };
        Ok(Self {
            little_endian: if live { NATIVE_LITTLE_ENDIAN } else { captured_byte_order(&net_root) },
            net_root,
            procs: Procs::new(root),
            host,
            info: Arc::new(BackendInfo { backend: Backend::Proc, reason: why }),
            captured: (!live).then(|| Arc::from([here])),
            netns: NetnsTable::new(Netns::Here),
            without_process: Vec::new(),
            uptime_offset_ns: if live { 0 } else { uptime_offset(root) },
        })
    }

    /// Finds owners by this method; `None`: the cheaper one.
    pub(crate) fn owners_by(mut self, method: Option<OwnersBy>) -> Self {
        self.procs = self.procs.owners_by(method);
        self
    }

    /// Reads these network namespaces instead of that of this process only.
    pub(crate) fn over(mut self, netns: NetnsTable) -> Self {
        self.procs = self.procs.finding_netns(netns.reads_others());
        self.netns = netns;
        self
    }

    /// Reads the requested namespaces: that of this process, and each other one through the tables of a process in it.
    fn read_namespaces(&mut self, sample: &mut Sample) {
        if let Some(captured) = &self.captured {
            sample.namespaces = Arc::clone(captured);
            if !self.net_root.join("net").exists() {
                let subject = FaultSubject::Captured("net".into());
                return sample.faults.add(FaultKind::NotCaptured, subject, "");
            }
            return read_tables(&self.net_root, 0, self.little_endian, sample);
        }
        self.netns.refresh(sample.at.boot_ns, &mut sample.faults);
        for number in self.netns.wanted() {
            let Some(entry) = self.netns.get(number) else { continue };
            match (number, entry.pid()) {
                (0, _) => read_tables(&self.net_root, 0, NATIVE_LITTLE_ENDIAN, sample),
                (_, Some(pid)) => {
                    if !read_through(pid, number, sample) {
                        sample.faults.add(FaultKind::Vanished, FaultSubject::Namespaces, "");
                    }
                }
                (_, None) => self.without_process.push(entry.namespace.name.clone()),
            }
        }
        sample.namespaces = self.netns.publish();
        if sample.wants.reads(Reads::NAT) {
            sample.netns_by_pid = self.netns.netns_by_pid(sample.at.boot_ns, &mut sample.faults);
        }
    }

    /// Reports the namespaces without a process, whose tables `/proc` does not show: those known, and those that only descriptors of
    /// this sample keep.
    fn report_without_process(&mut self, sample: &mut Sample) {
        if self.captured.is_none() && self.netns.reads_others() {
            let held = self.procs.held_netns(sample);
            let add = |held| self.netns.add_held(held, sample.at.boot_ns, &mut sample.faults);
            let new = held.map_or_else(Vec::new, add);
            let names = new.into_iter().filter_map(|n| Some(self.netns.get(n)?.namespace.name.clone()));
            self.without_process.extend(names);
        }
        let names = std::mem::take(&mut self.without_process);
        let why = format!("{}: no process in it, requires the netlink backend", names.join(", "));
        let n = u32::try_from(names.len()).unwrap_or(u32::MAX);
        sample.faults.add_many(FaultKind::Namespace, FaultSubject::Namespaces, why, n);
    }
}

/// Reads one table of `net` below this root. `ids` are those assigned so far.
pub(crate) fn read_table(
    root: &Path,
    table: (&str, Proto, Family),
    ids: &mut SyntheticIds,
    little_endian: bool,
    sample: &mut Sample,
) {
    let (name, proto, family) = table;
    let path = root.join("net").join(name);
    let captured = !root.starts_with("/proc");
    let add_fault = |e: &io::Error, faults: &mut Faults| {
        // The process through which another namespace is read has exited. A zombie keeps the directory, and nothing in it.
        let gone = fs::read_dir(root.join("net")).map_or(true, |mut dir| dir.any(|entry| entry.is_err()));
        if gone {
            return faults.add(FaultKind::Vanished, FaultSubject::Namespaces, "");
        }
        let (kind, detail) = match e.kind() {
            io::ErrorKind::NotFound if captured => {
                // Without IPv6 a kernel has none of these tables.
                if family == Family::Inet6 && !has_ipv6(root) {
                    return;
                }
                (FaultKind::NotCaptured, String::new())
            }
            io::ErrorKind::NotFound => (FaultKind::Unsupported, e.to_string()),
            _ => (FaultKind::Failed, e.to_string()),
        };
        faults.add(kind, FaultSubject::proc_net(name), detail);
    };
    let file = match proc_file::open(&path) {
        Ok(f) => f,
        Err(e) if e.kind() == io::ErrorKind::NotFound && proto == Proto::UdpLite && !captured => {
            let why = "no UDP-Lite in this kernel";
            return sample.faults.add(FaultKind::Unsupported, FaultSubject::proc_net(name), why);
        }
        Err(e) => return add_fault(&e, &mut sample.faults),
    };
    // Listeners are needed to tell incoming from outgoing connections.
    let serving = StateSet::only(&[State::Listen, State::Unconn]);
    let states = if sample.wants.reads(Reads::LISTENERS) {
        sample.wants.states | serving
    } else {
        sample.wants.states
    };
    let mut lines = BufReader::with_capacity(1 << 16, file.take(TABLE_MAX));
    let mut raw = Vec::new();
    for line_number in 1u64.. {
        match next_line(&mut lines, &mut raw) {
            Ok(true) => {}
            Ok(false) => break,
            Err(e) => {
                add_fault(&e, &mut sample.faults);
                break;
            }
        }
        if line_number == 1 && (line::is_header(&raw) || non_ip::is_header(&raw)) {
            continue;
        }
        let parsed = if matches!(family, Family::Inet | Family::Inet6) {
            line::socket(&raw, proto, family, little_endian)
                .map(|s| (s, line::attributes(&raw, proto, s.state)))
        } else {
            non_ip::socket(&raw, proto, sample)
        };
        match parsed {
            Ok((mut s, attrs)) => {
                if ids.assign(&mut s) && states.has(s.state) {
                    sample.push_attrs(&mut s, &attrs);
                    sample.sockets.push(s);
                }
            }
            Err(line::Malformed) => {
                let subject = FaultSubject::proc_net(name);
                sample.faults.add(FaultKind::Malformed, subject, format!("first at line {line_number}"));
            }
        }
    }
    if lines.get_ref().limit() == 0 {
        let why = "larger than 1 GiB: not all was read";
        sample.faults.add(FaultKind::Failed, FaultSubject::proc_net(name), why);
    }
}

/// Reads the tables of the namespace with this number through a process in it; `false` if the process is gone.
pub(crate) fn read_through(pid: u32, number: u16, sample: &mut Sample) -> bool {
    let root = Path::new("/proc").join(pid.to_string());
    let exists = root.join("net/tcp").exists();
    if exists {
        read_tables(&root, number, NATIVE_LITTLE_ENDIAN, sample);
        if sample.wants.reads(Reads::NAT) && sample.netfilter.is_some() {
            sample.addresses.extend(addresses::read(&root).into_iter().map(|a| (number, a)));
        }
    }
    exists
}

/// Reads the wanted tables below this root, those of the namespace with this number.
fn read_tables(root: &Path, number: u16, little_endian: bool, sample: &mut Sample) {
    let mut ids = SyntheticIds::default();
    let (begin, protos) = (sample.sockets.len(), sample.wants.protos);
    report_unlisted(protos, &|p| TABLES.iter().any(|(_, proto, _)| *proto == p), &mut sample.faults);
    for table in TABLES.into_iter().filter(|(_, p, _)| protos.has(*p)) {
        read_table(root, table, &mut ids, little_endian, sample);
    }
    for s in &mut sample.sockets[begin..] {
        s.id.netns = number;
    }
}

/// Reports the wanted protocols that a backend does not list.
pub(crate) fn report_unlisted(wanted: ProtoSet, is_listed: &dyn Fn(Proto) -> bool, faults: &mut Faults) {
    // Every protocol is wanted where none is named.
    if wanted == ProtoSet::ALL {
        return;
    }
    for (proto, _) in Proto::ALL.into_iter().filter(|(p, _)| wanted.has(*p) && !is_listed(*p)) {
        let subject = FaultSubject::Dump { proto, family: None, netns: None };
        if !faults.iter().any(|f| f.subject == subject) {
            faults.add(
                FaultKind::Unsupported,
                subject,
                "not listed by this backend, requires --backend netlink",
            );
        }
    }
}

/// Returns true if a directory has the files of processes, or `sys`.
fn has_processes_or_settings(root: &Path) -> bool {
    let is_known = |name: &str| name == "sys" || name.parse::<u32>().is_ok();
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.into_iter().any(|e| e.file_name().to_str().is_some_and(is_known))
}

/// Returns true if the machine of these tables has IPv6.
fn has_ipv6(root: &Path) -> bool {
    ["tcp6", "udp6", "raw6", "if_inet6", "snmp6"].iter().any(|name| root.join("net").join(name).exists())
}

/// Byte order of the machine of a captured tree, by its tables.
fn captured_byte_order(net_root: &Path) -> bool {
    let read = |name: &str| proc_file::read_start(&net_root.join("net").join(name));
    let own = addresses::all(net_root);
    line::is_little_endian(&["tcp", "udp", "tcp6", "udp6", "raw", "raw6"].map(read).concat(), &own)
}

/// Host name of a captured tree; its path if the name is not in it.
fn captured_host(root: &Path) -> Arc<str> {
    let name = proc_file::read(&root.join("sys/kernel/hostname")).unwrap_or_default();
    match name.trim() {
        "" => text::escape(&root.to_string_lossy()).into(),
        name => text::escape(name).into(),
    }
}

/// Offset to the uptime in a captured tree, from which its clock continues; 0 without one.
fn uptime_offset(root: &Path) -> u64 {
    let text = proc_file::read(&root.join("uptime")).unwrap_or_default();
    let secs = text.split_ascii_whitespace().next().and_then(|w| w.parse::<f64>().ok());
    match secs.filter(|s| *s >= 0.0) {
        Some(secs) => ((secs * 1e9) as u64).wrapping_sub(stamp().boot_ns),
        None => 0,
    }
}

/// Reads a line, without the newline, into `raw`; `false` at the end of the file. Only the start of a line that is too long
/// is kept.
fn next_line(lines: &mut impl BufRead, raw: &mut Vec<u8>) -> io::Result<bool> {
    const KEPT_MAX: usize = line::LINE_MAX + 2;
    raw.clear();
    if lines.by_ref().take(KEPT_MAX as u64).read_until(b'\n', raw)? == 0 {
        return Ok(false);
    }
    if raw.last() == Some(&b'\n') {
        raw.pop();
    } else if raw.len() == KEPT_MAX {
        lines.skip_until(b'\n')?;
    }
    Ok(true)
}

impl Source for ProcSource {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        let began = stamp();
        let at = Stamp { boot_ns: began.boot_ns.wrapping_add(self.uptime_offset_ns), ..began };
        let mut sample = Sample::empty(at, Arc::clone(&self.host), Arc::clone(&self.info), wants.clone());
        // The prefilter is not applied; the filter of the view is.
        sample.wants.prefilter = None;
        self.procs.prepare(&sample);
        self.read_namespaces(&mut sample);
        self.procs.read(&mut sample);
        self.report_without_process(&mut sample);
        sample.duration_us = stamp().boot_ns.saturating_sub(began.boot_ns) / 1000;
        Ok(sample)
    }
}
