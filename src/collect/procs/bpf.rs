//! Descriptors of all processes in one read: a `bpf_iter` program over task files (`kernel/bpf/task_iter.c`).
//!
//! The kernel iterates over the descriptor tables of all processes and writes one record per descriptor: about half a
//! microsecond each, while a scan of `/proc/PID/fd` costs three to four for a directory entry and a link. It needs a
//! kernel with BTF and `CAP_BPF` with `CAP_PERFMON` (or `CAP_SYS_ADMIN`) in the initial user namespace; otherwise
//! sockscope falls back to scanning.
//!
//! The source of the program and the command that compiles it are in `assets/bpf`. Its records are what `/proc/PID/fd`
//! lists: the descriptors of a process's main thread, for processes visible in this pid namespace, by their pids there. A
//! process whose start time is not that of the known process with this pid is left to a scan.
//!
//! TCP sockets are not read this way, although an iterator over them takes half the time of a dump. It covers the tables of
//! listening and connected sockets only, so bound sockets that are neither (in a dump since Linux 6.8) are missing (tried
//! on 6.18); queues, timers and `tcp_info` would have to be computed here from fields that change names and offsets, while
//! `inet_diag` computes them in the kernel; and no filter is pushed down.

mod btf_subset;

use super::fd_scan::FdSet;
use crate::model::FdKind;
use aya::programs::Iter;
use aya::{Btf, Ebpf, EbpfLoader, Endianness};
use rustix::thread::{CapabilitySet, capabilities};
use std::fs::File;
use std::io::{self, Read};
use std::thread::JoinHandle;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Program compiled from `owners.bpf.c` in the same directory.
const OBJECT: &[u8] = include_bytes!("../../../assets/bpf/owners.bpf.o");

/// Name of the program and of its iterator target.
const PROGRAM: &str = "owners";
const TARGET: &str = "task_file";

/// Kernel types whose fields it reads.
const TYPES: [&str; 9] =
    ["task_struct", "pid", "upid", "file", "path", "dentry", "qstr", "inode", "super_block"];

/// One descriptor: `struct record` of the program.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Record {
    /// Start time of the process, nanoseconds after boot.
    start_ns: u64,
    /// Inode the descriptor refers to.
    inode: u64,
    pid: u32,
    fd: u32,
    /// Index in `FdKind::ALL`.
    kind: u32,
    zero: u32,
}

/// Descriptors of one process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProcessFds {
    pub(crate) pid: u32,
    /// Start time, nanoseconds after boot.
    pub(crate) start_ns: u64,
    pub(crate) fds: FdSet,
}

/// Groups records by process; those of one process are consecutive.
fn group_by_process(records: &[Record], all: &mut Vec<ProcessFds>) {
    for r in records {
        if all.last().is_none_or(|p| (p.pid, p.start_ns) != (r.pid, r.start_ns)) {
            all.push(ProcessFds { pid: r.pid, start_ns: r.start_ns, fds: FdSet::default() });
        }
        if let (Some(process), Some((kind, _))) = (all.last_mut(), FdKind::ALL.get(r.kind as usize)) {
            let fds = &mut process.fds;
            fds.kinds.add(*kind);
            fds.highest = fds.highest.max(Some(r.fd));
            if *kind == FdKind::Socket {
                fds.sockets.push((r.inode, r.fd));
            }
        }
    }
}

/// Records per read: the most the kernel returns at once.
const RECORDS_PER_READ: usize = 1024;

/// Loaded program.
pub(crate) struct Program(Ebpf);

impl Program {
    /// Loads the program; the error is one line.
    fn load() -> Result<Self, String> {
        let path = "/sys/kernel/btf/vmlinux";
        let whole = std::fs::read(path).map_err(|e| format!("no BTF: {path}: {e}"))?;
        let function = format!("bpf_iter_{TARGET}");
        let subset = btf_subset::extract(&whole, &TYPES, &[&function]);
        let btf = Btf::parse(subset.as_deref().unwrap_or(&whole), Endianness::default())
            .map_err(|e| reason("parse BTF", &e))?;
        drop(whole);
        let mut ebpf =
            EbpfLoader::new().btf(Some(&btf)).load(OBJECT).map_err(|e| reason("load program", &e))?;
        program(&mut ebpf)?.load(TARGET, &btf).map_err(|e| reason("load program", &e))?;
        Ok(Self(ebpf))
    }

    /// Reads every process with its descriptors.
    pub(crate) fn read(&mut self) -> Result<Vec<ProcessFds>, String> {
        let mut file = self.open_iterator()?;
        let mut records = vec![Record::new_zeroed(); RECORDS_PER_READ];
        let mut all: Vec<ProcessFds> = Vec::new();
        loop {
            let n = match file.read(records.as_mut_slice().as_mut_bytes()) {
                Ok(0) => break,
                Ok(n) => n,
                // Interrupted, or many objects visited without a record: the next read continues from there.
                Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                    continue;
                }
                Err(e) => return Err(reason("read", &e)),
            };
            if n % size_of::<Record>() != 0 {
                return Err(format!("read: {n} bytes, not a multiple of the record size"));
            }
            group_by_process(&records[..n / size_of::<Record>()], &mut all);
        }
        for process in &mut all {
            process.fds.sockets.sort_unstable();
        }
        Ok(all)
    }

    /// Opens an iterator over all processes.
    fn open_iterator(&mut self) -> Result<File, String> {
        let program = program(&mut self.0)?;
        let link = program.attach().map_err(|e| reason("attach", &e))?;
        let link = program.take_link(link).map_err(|e| reason("attach", &e))?;
        link.into_file().map_err(|e| reason("create iterator", &e))
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Iter, String> {
    let program = ebpf.program_mut(PROGRAM).ok_or("program missing from the object file")?;
    program.try_into().map_err(|e| reason("program type", &e))
}

/// The failed operation and its innermost cause, in one line (a load error has the whole verifier log).
fn reason(what: &str, e: &dyn std::error::Error) -> String {
    let mut e = e;
    while let Some(source) = e.source() {
        e = source;
    }
    let text = e.to_string();
    format!("{what}: {}", text.lines().next().unwrap_or_default())
}

/// Checks the capabilities. Those of a nested user namespace do not permit loading bpf programs.
fn check_permission() -> Result<(), String> {
    const INITIAL_USER_NS: &str = "user:[4026531837]";
    let needed = CapabilitySet::BPF | CapabilitySet::PERFMON;
    let have = capabilities(None).map_err(|e| reason("capabilities", &e))?.effective;
    if !have.contains(CapabilitySet::SYS_ADMIN) && !have.contains(needed) {
        return Err("requires CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN".to_owned());
    }
    match std::fs::read_link("/proc/self/ns/user") {
        Ok(link) if link.as_os_str() != INITIAL_USER_NS => {
            Err("not in the initial user namespace".to_owned())
        }
        _ => Ok(()),
    }
}

/// Checks that `/proc` has the pids of this process's pid namespace, which are those in the records.
fn check_proc_pid_namespace() -> Result<(), String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|e| reason("/proc/self/status", &e))?;
    let own = status.lines().find_map(|l| l.strip_prefix("NSpid:"));
    match own.map(|l| l.split_whitespace().count()) {
        Some(1) => Ok(()),
        _ => Err("/proc belongs to another pid namespace".to_owned()),
    }
}

/// Loading state of the program.
#[derive(Default)]
pub(crate) enum Loader {
    /// Not needed yet.
    #[default]
    Idle,
    /// Being loaded by another thread, which also makes the first read.
    Loading(JoinHandle<Result<(Program, Vec<ProcessFds>), String>>),
    /// Loaded.
    Ready(Box<Program>),
    /// Not available, and the reason.
    Unavailable(String),
}

impl Loader {
    /// Starts loading, and a first read, in a thread.
    pub(crate) fn begin(&mut self) {
        if !matches!(self, Self::Idle) {
            return;
        }
        let load_and_read = || {
            let mut program = Program::load()?;
            let all = program.read()?;
            Ok((program, all))
        };
        let thread = std::thread::Builder::new().name("bpf".to_owned());
        *self = match check_permission().and_then(|()| check_proc_pid_namespace()) {
            Err(why) => Self::Unavailable(why),
            Ok(()) => match thread.spawn(load_and_read) {
                Ok(thread) => Self::Loading(thread),
                Err(e) => Self::Unavailable(reason("start loader thread", &e)),
            },
        };
    }

    /// Takes the read made while loading; `None` if it was taken before or failed.
    pub(crate) fn take_startup_read(&mut self) -> Option<Vec<ProcessFds>> {
        if !matches!(self, Self::Loading(_)) {
            return None;
        }
        let Self::Loading(thread) = std::mem::take(self) else { return None };
        match thread.join() {
            Ok(Ok((program, all))) => {
                *self = Self::Ready(Box::new(program));
                Some(all)
            }
            Ok(Err(why)) => {
                *self = Self::Unavailable(why);
                None
            }
            Err(_) => {
                *self = Self::Unavailable("loader thread panicked".to_owned());
                None
            }
        }
    }

    /// Reads all processes, after loading the program if necessary; `None`, and unavailable from then on, if that fails.
    pub(crate) fn read(&mut self) -> Option<Vec<ProcessFds>> {
        self.begin();
        if let Self::Loading(_) = self {
            return self.take_startup_read();
        }
        let Self::Ready(program) = self else { return None };
        match program.read() {
            Ok(all) => Some(all),
            Err(why) => {
                *self = Self::Unavailable(why);
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
    fn records_are_grouped_by_pid_and_start_time() {
        let mut all = Vec::new();
        group_by_process(
            &[
                record(1, 5, 0, FdKind::File, 9),
                record(1, 5, 7, FdKind::Socket, 40),
                record(2, 6, 0, FdKind::Pipe, 3),
            ],
            &mut all,
        );
        // The next read continues the same process; then its pid is reused; then a kind is unknown.
        let mut odd = record(2, 8, 1, FdKind::Other, 1);
        odd.kind = 99;
        group_by_process(
            &[record(2, 6, 3, FdKind::Socket, 41), record(2, 8, 0, FdKind::Socket, 42), odd],
            &mut all,
        );
        let process = |pid, start_ns, highest, sockets: &[(u64, u32)], kinds: &[FdKind]| {
            let mut fds =
                FdSet { sockets: sockets.to_vec(), kinds: FdKinds::default(), highest: Some(highest) };
            for k in kinds {
                fds.kinds.add(*k);
            }
            ProcessFds { pid, start_ns, fds }
        };
        assert_eq!(
            all,
            [
                process(1, 5, 7, &[(40, 7)], &[FdKind::File, FdKind::Socket]),
                process(2, 6, 3, &[(41, 3)], &[FdKind::Pipe, FdKind::Socket]),
                process(2, 8, 0, &[(42, 0)], &[FdKind::Socket]),
            ]
        );
    }

    #[test]
    fn fd_kinds_are_numbered_as_in_the_bpf_source() {
        let source = include_str!("../../../assets/bpf/owners.bpf.c");
        let line = source.lines().find_map(|l| l.strip_prefix("enum kind { ")?.strip_suffix(" };")).unwrap();
        let there: Vec<String> = line.split(", ").map(|w| w.trim_end_matches('_').to_lowercase()).collect();
        let here: Vec<String> = FdKind::ALL.iter().map(|(k, _)| format!("{k:?}").to_lowercase()).collect();
        assert_eq!(there, here);
    }

    #[test]
    fn types_kept_for_the_loader_are_all_that_the_bpf_source_names() {
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
