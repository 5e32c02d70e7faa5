//! Every descriptor of every process at once: a `bpf_iter` program over task files (`kernel/bpf/task_iter.c`).
//!
//! The kernel goes through the tables of all processes by itself and hands over a record a descriptor: about half a
//! microsecond each, where the walk pays three to four for a directory entry and a link to read. It needs a kernel with BTF
//! and `CAP_BPF` with `CAP_PERFMON` (or `CAP_SYS_ADMIN`) in the first user namespace; without, the walk does.
//!
//! The program's source and the command that makes the object are in `assets/bpf`; what it tells is what
//! `/proc/PID/fd` tells: the descriptors of a process's first thread, of processes that our pid namespace knows, by
//! their numbers there. Whose start time is not that of the process known by that number is left to the walk.
//!
//! TCP sockets are not read this way, though an iterator over them takes half the time of a dump: it goes through the
//! tables of listening and of connected sockets only, so one that is bound and neither (a row of the dump since Linux
//! 6.8) is missing, which was tried on 6.18; queues, timers and `tcp_info` would have to be worked out here from fields
//! that change their names and places, where `inet_diag` works them out in the kernel; and no filter is pushed down.

mod btf_subset;

use super::fd_scan::Found;
use crate::model::FdKind;
use aya::programs::Iter;
use aya::{Btf, Ebpf, EbpfLoader, Endianness};
use rustix::thread::{CapabilitySet, capabilities};
use std::fs::File;
use std::io::{self, Read};
use std::thread::JoinHandle;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// The program, compiled from `owners.bpf.c` beside it.
const OBJECT: &[u8] = include_bytes!("../../../assets/bpf/owners.bpf.o");

/// Its name, and what it iterates over.
const PROGRAM: &str = "owners";
const TARGET: &str = "task_file";

/// Types of the kernel whose fields it reads.
const TYPES: [&str; 9] =
    ["task_struct", "pid", "upid", "file", "path", "dentry", "qstr", "inode", "super_block"];

/// One descriptor, as `struct record` of the program.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Record {
    /// When its process started, nanoseconds after boot.
    start_ns: u64,
    /// Inode of what it refers to.
    inode: u64,
    /// The process.
    pid: u32,
    /// The descriptor's number.
    fd: u32,
    /// What it is, an index of `FdKind::ALL`.
    kind: u32,
    zero: u32,
}

/// A process and what it has open.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) pid: u32,
    /// When it started, nanoseconds after boot.
    pub(crate) start_ns: u64,
    pub(crate) found: Found,
}

/// Adds records to the processes they are of, which come one after the other.
fn collect(records: &[Record], all: &mut Vec<Told>) {
    for r in records {
        if all.last().is_none_or(|t| (t.pid, t.start_ns) != (r.pid, r.start_ns)) {
            all.push(Told { pid: r.pid, start_ns: r.start_ns, found: Found::default() });
        }
        if let (Some(told), Some((kind, _))) = (all.last_mut(), FdKind::ALL.get(r.kind as usize)) {
            told.found.kinds.add(*kind);
            told.found.highest = told.found.highest.max(Some(r.fd));
            if *kind == FdKind::Socket {
                told.found.sockets.push((r.inode, r.fd));
            }
        }
    }
}

/// Records taken from the kernel at once: as much as it gives in one read.
const AT_ONCE: usize = 1024;

/// The program, loaded.
pub(crate) struct Program(Ebpf);

impl Program {
    /// Loads it; else why not, in a few words.
    fn load() -> Result<Self, String> {
        let path = "/sys/kernel/btf/vmlinux";
        let whole = std::fs::read(path).map_err(|e| format!("this kernel tells no BTF: {path}: {e}"))?;
        let function = format!("bpf_iter_{TARGET}");
        let part = btf_subset::slim(&whole, &TYPES, &[&function]);
        let btf = Btf::parse(part.as_deref().unwrap_or(&whole), Endianness::default())
            .map_err(|e| reason("BTF", &e))?;
        drop(whole);
        let mut ebpf =
            EbpfLoader::new().btf(Some(&btf)).load(OBJECT).map_err(|e| reason("load the program", &e))?;
        program(&mut ebpf)?.load(TARGET, &btf).map_err(|e| reason("load the program", &e))?;
        Ok(Self(ebpf))
    }

    /// Every process with its descriptors.
    pub(crate) fn read(&mut self) -> Result<Vec<Told>, String> {
        let mut file = self.run()?;
        let mut records = vec![Record::new_zeroed(); AT_ONCE];
        let mut all: Vec<Told> = Vec::new();
        loop {
            let n = match file.read(records.as_mut_slice().as_mut_bytes()) {
                Ok(0) => break,
                Ok(n) => n,
                // Interrupted, or very much gone through without a record to show for it: it goes on from there.
                Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                    continue;
                }
                Err(e) => return Err(reason("read", &e)),
            };
            if n % size_of::<Record>() != 0 {
                return Err(format!("read: {n} bytes are no whole records"));
            }
            collect(&records[..n / size_of::<Record>()], &mut all);
        }
        for told in &mut all {
            told.found.sockets.sort_unstable();
        }
        Ok(all)
    }

    /// Begins a run over everything.
    fn run(&mut self) -> Result<File, String> {
        let program = program(&mut self.0)?;
        let link = program.attach().map_err(|e| reason("attach", &e))?;
        let link = program.take_link(link).map_err(|e| reason("attach", &e))?;
        link.into_file().map_err(|e| reason("create the iterator", &e))
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Iter, String> {
    let program = ebpf.program_mut(PROGRAM).ok_or("no such program in the object")?;
    program.try_into().map_err(|e| reason("the program", &e))
}

/// What was tried and the innermost cause, in one line: loaders tell a verifier's whole log.
fn reason(what: &str, e: &dyn std::error::Error) -> String {
    let mut e = e;
    while let Some(source) = e.source() {
        e = source;
    }
    let text = e.to_string();
    format!("{what}: {}", text.lines().next().unwrap_or_default())
}

/// Whether this process may load it at all. In a user namespace of its own no capability is worth anything here.
fn permitted() -> Result<(), String> {
    const FIRST_USER_NAMESPACE: &str = "user:[4026531837]";
    let needed = CapabilitySet::BPF | CapabilitySet::PERFMON;
    let have = capabilities(None).map_err(|e| reason("capabilities", &e))?.effective;
    if !have.contains(CapabilitySet::SYS_ADMIN) && !have.contains(needed) {
        return Err("needs CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN".to_owned());
    }
    match std::fs::read_link("/proc/self/ns/user") {
        Ok(link) if link.as_os_str() != FIRST_USER_NAMESPACE => {
            Err("not in the first user namespace".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether the numbers of `/proc` are those of the pid namespace this process is in, the ones the program tells.
fn numbers_agree() -> Result<(), String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|e| reason("/proc/self/status", &e))?;
    let own = status.lines().find_map(|l| l.strip_prefix("NSpid:"));
    match own.map(|l| l.split_whitespace().count()) {
        Some(1) => Ok(()),
        _ => Err("/proc is that of another pid namespace".to_owned()),
    }
}

/// The program, before, while and after it is loaded.
#[derive(Default)]
pub(crate) enum Loader {
    /// Nobody needed it yet.
    #[default]
    Idle,
    /// Another thread loads it, and makes the first reading.
    Loading(JoinHandle<Result<(Program, Vec<Told>), String>>),
    /// Loaded.
    Ready(Box<Program>),
    /// Not to be had: why.
    Refused(String),
}

impl Loader {
    /// Begins to load it and to read with it, on a thread of its own.
    pub(crate) fn begin(&mut self) {
        if !matches!(self, Self::Idle) {
            return;
        }
        let first = || {
            let mut program = Program::load()?;
            let told = program.read()?;
            Ok((program, told))
        };
        let thread = std::thread::Builder::new().name("bpf".to_owned());
        *self = match permitted().and_then(|()| numbers_agree()) {
            Err(why) => Self::Refused(why),
            Ok(()) => match thread.spawn(first) {
                Ok(thread) => Self::Loading(thread),
                Err(e) => Self::Refused(reason("a thread to load it", &e)),
            },
        };
    }

    /// The reading that was made while it was loaded; `None` when that was taken or there is none.
    pub(crate) fn first(&mut self) -> Option<Vec<Told>> {
        if !matches!(self, Self::Loading(_)) {
            return None;
        }
        let Self::Loading(thread) = std::mem::take(self) else { return None };
        match thread.join() {
            Ok(Ok((program, told))) => {
                *self = Self::Ready(Box::new(program));
                Some(told)
            }
            Ok(Err(why)) => {
                *self = Self::Refused(why);
                None
            }
            Err(_) => {
                *self = Self::Refused("the loader broke down".to_owned());
                None
            }
        }
    }

    /// A reading, loading the program first where it is not; `None` and refused from then on where that fails.
    pub(crate) fn read(&mut self) -> Option<Vec<Told>> {
        self.begin();
        if let Self::Loading(_) = self {
            return self.first();
        }
        let Self::Ready(program) = self else { return None };
        match program.read() {
            Ok(told) => Some(told),
            Err(why) => {
                *self = Self::Refused(why);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FdKinds;

    fn record(pid: u32, start_ns: u64, fd: u32, kind: FdKind, inode: u64) -> Record {
        Record { start_ns, inode, pid, fd, kind: kind as u32, zero: 0 }
    }

    #[test]
    fn records_go_to_their_processes() {
        let mut all = Vec::new();
        collect(
            &[
                record(1, 5, 0, FdKind::File, 9),
                record(1, 5, 7, FdKind::Socket, 40),
                record(2, 6, 0, FdKind::Pipe, 3),
            ],
            &mut all,
        );
        // The next read goes on with the same process; then another one has its number; a kind that is not known.
        let mut odd = record(2, 8, 1, FdKind::Other, 1);
        odd.kind = 99;
        collect(&[record(2, 6, 3, FdKind::Socket, 41), record(2, 8, 0, FdKind::Socket, 42), odd], &mut all);
        let told = |pid, start_ns, highest, sockets: &[(u64, u32)], kinds: &[FdKind]| {
            let mut found =
                Found { sockets: sockets.to_vec(), kinds: FdKinds::default(), highest: Some(highest) };
            for k in kinds {
                found.kinds.add(*k);
            }
            Told { pid, start_ns, found }
        };
        assert_eq!(
            all,
            [
                told(1, 5, 7, &[(40, 7)], &[FdKind::File, FdKind::Socket]),
                told(2, 6, 3, &[(41, 3)], &[FdKind::Pipe, FdKind::Socket]),
                told(2, 8, 0, &[(42, 0)], &[FdKind::Socket]),
            ]
        );
    }

    /// The source numbers kinds as this program does.
    #[test]
    fn kinds_are_in_the_order_of_the_source() {
        let source = include_str!("../../../assets/bpf/owners.bpf.c");
        let line = source.lines().find_map(|l| l.strip_prefix("enum kind { ")?.strip_suffix(" };")).unwrap();
        let there: Vec<String> = line.split(", ").map(|w| w.trim_end_matches('_').to_lowercase()).collect();
        let here: Vec<String> = FdKind::ALL.iter().map(|(k, _)| format!("{k:?}").to_lowercase()).collect();
        assert_eq!(there, here);
    }

    /// Types that the loader is left must be all that the source names.
    #[test]
    fn every_type_of_the_source_is_kept() {
        let source = include_str!("../../../assets/bpf/owners.bpf.c");
        let lines: Vec<&str> = source.lines().collect();
        let mut open = "";
        let mut there = Vec::new();
        for l in lines {
            if let Some(name) = l.strip_prefix("struct ").and_then(|l| l.strip_suffix(" {")) {
                open = name;
            }
            if l == "} CORE;" {
                there.push(open);
            }
        }
        let mut here = TYPES.to_vec();
        there.sort_unstable();
        here.sort_unstable();
        assert_eq!(there, here);
    }
}
