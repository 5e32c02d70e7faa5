//! Descriptors of all processes in one read: a `bpf_iter` program over task files (`kernel/bpf/task_iter.c`).
//!
//! The kernel iterates over the descriptor tables of all processes and writes one record per descriptor: about half a
//! microsecond each, while a scan of `/proc/PID/fd` costs three to four for a directory entry and a link. It needs a
//! kernel with BTF and `CAP_BPF` with `CAP_PERFMON` (or `CAP_SYS_ADMIN`) in the initial user namespace; otherwise
//! sockscope falls back to scanning.
//!
//! The source of the program and the command that compiles it are in `assets/bpf`. Its records are what `/proc/PID/fd`
//! lists, and for threads with a descriptor table of their own `/proc/PID/task/TID/fd`, for processes visible in this pid
//! namespace, by their pids there. Files registered with an `io_uring` are read from its `fdinfo` afterwards. A process whose
//! start time is not that of the known process with this pid is left to a scan.
//!
//! TCP sockets are not read this way, although an iterator over them takes half the time of a dump. It covers the tables of
//! listening and connected sockets only, so bound sockets that are neither (in a dump since Linux 6.8) are missing (tried
//! on 6.18); queues, timers and `tcp_info` would have to be computed here from fields that change names and offsets, while
//! `inet_diag` computes them in the kernel; and no filter is pushed down.

mod one_process;

use super::fd_scan::FdSet;
use super::proc_dir;
use crate::collect::bpf::{self, check_permission, reason};
use crate::model::FdKind;
use crate::privilege::{BPF, raise};
use aya::Ebpf;
use aya::programs::Iter;
use rustc_hash::FxHashMap;
use rustix::fd::AsFd;
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
pub(crate) const TYPES: [&str; 9] =
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
    /// Index in `FdKind::ALL`, and [`IO_URING`] or [`NAMESPACE`].
    kind: u32,
    /// Descriptor table: 0 for that of the main thread, else a number that is the same for threads that share it.
    table: u32,
}

/// Flag in [`Record::kind`]: an `io_uring`, which may hold registered sockets.
const IO_URING: u32 = 1 << 16;
/// Flag in [`Record::kind`]: a namespace of any kind.
const NAMESPACE: u32 = 1 << 17;

/// Descriptors by process, as they are read.
#[derive(Default)]
struct Grouped {
    all: Vec<ProcessFds>,
    /// Records of other tables than that of the main thread: the iterator is at a thread long after its process.
    of_threads: Vec<Record>,
}

/// Descriptors of one process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProcessFds {
    pub(crate) pid: u32,
    /// Start time, nanoseconds after boot.
    pub(crate) start_ns: u64,
    pub(crate) fds: FdSet,
}

impl Grouped {
    /// Adds records. Those of one descriptor table are consecutive.
    fn add(&mut self, records: &[Record]) {
        for r in records {
            if r.table != 0 {
                self.of_threads.push(*r);
                continue;
            }
            if self.all.last().is_none_or(|p| (p.pid, p.start_ns) != (r.pid, r.start_ns)) {
                self.all.push(ProcessFds { pid: r.pid, start_ns: r.start_ns, fds: FdSet::default() });
            }
            if let Some(process) = self.all.last_mut() {
                r.add_to(&mut process.fds);
            }
        }
    }

    /// One set for each process, of all its tables.
    fn finish(mut self) -> Vec<ProcessFds> {
        type Tables = FxHashMap<u32, (FdSet, Option<u32>)>;
        let mut others: FxHashMap<(u32, u64), Tables> = FxHashMap::default();
        for r in &self.of_threads {
            let tables = others.entry((r.pid, r.start_ns)).or_default();
            let (fds, last) = tables.entry(r.table).or_default();
            // Several threads share this table, and the iterator is at the next one of them.
            if last.is_none_or(|last| r.fd > last) {
                *last = Some(r.fd);
                r.add_to(fds);
            }
        }
        let mut merged = |id: (u32, u64), main: FdSet| {
            let tables = others.remove(&id).unwrap_or_default().into_values().map(|(fds, _)| fds);
            FdSet::merged(std::iter::once(main).chain(tables).collect())
        };
        for p in &mut self.all {
            p.fds = merged((p.pid, p.start_ns), std::mem::take(&mut p.fds));
        }
        // The main thread has exited, or has nothing open.
        let without_main: Vec<(u32, u64)> = others.keys().copied().collect();
        for (pid, start_ns) in without_main {
            let tables =
                others.remove(&(pid, start_ns)).unwrap_or_default().into_values().map(|(fds, _)| fds);
            let fds = FdSet::merged(std::iter::once(FdSet::default()).chain(tables).collect());
            self.all.push(ProcessFds { pid, start_ns, fds });
        }
        self.all
    }
}

impl Record {
    fn add_to(&self, fds: &mut FdSet) {
        if let Some((kind, _)) = FdKind::ALL.get((self.kind & !(IO_URING | NAMESPACE)) as usize) {
            fds.add(self.fd, *kind, Some(self.inode));
            if self.kind & IO_URING != 0 {
                fds.rings.push(self.fd);
            }
            if self.kind & NAMESPACE != 0 {
                fds.namespace_fds.push(self.fd);
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
        let _raised = raise(BPF);
        let function = format!("bpf_iter_{TARGET}");
        let (mut ebpf, btf) = bpf::load(OBJECT, &TYPES, &[&function])?;
        program(&mut ebpf)?.load(TARGET, &btf).map_err(|e| reason("load program", &e))?;
        Ok(Self(ebpf))
    }

    /// Reads every process with its descriptors.
    pub(crate) fn read(&mut self) -> Result<Vec<ProcessFds>, String> {
        let _raised = raise(BPF);
        read_records(self.open_iterator()?)
    }

    /// Reads one process; the caller has raised the capabilities. An error means that this kernel has no such iterator, or that the
    /// process has exited.
    pub(crate) fn read_process(&self, pid: u32) -> Result<Option<ProcessFds>, String> {
        let program = self.0.program(PROGRAM).ok_or("program missing from the object file")?;
        let program = program.fd().map_err(|e| reason("program", &e))?;
        let file = one_process::open(program.as_fd(), pid).map_err(|e| reason("create iterator", &e))?;
        Ok(read_records(file.into())?.pop())
    }

    /// Opens an iterator over all processes.
    fn open_iterator(&mut self) -> Result<File, String> {
        let program = program(&mut self.0)?;
        let link = program.attach().map_err(|e| reason("attach", &e))?;
        let link = program.take_link(link).map_err(|e| reason("attach", &e))?;
        link.into_file().map_err(|e| reason("create iterator", &e))
    }
}

/// Reads an iterator to its end.
fn read_records(mut file: File) -> Result<Vec<ProcessFds>, String> {
    let mut records = vec![Record::new_zeroed(); RECORDS_PER_READ];
    let mut grouped = Grouped::default();
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
        grouped.add(&records[..n / size_of::<Record>()]);
    }
    Ok(grouped.finish())
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Iter, String> {
    let program = ebpf.program_mut(PROGRAM).ok_or("program missing from the object file")?;
    program.try_into().map_err(|e| reason("program type", &e))
}

/// Checks that `/proc` has the pids of this process's pid namespace, which are those in the records.
fn check_proc_pid_namespace() -> Result<(), String> {
    let is_own = proc_dir::is_of_own_pid_namespace();
    if is_own { Ok(()) } else { Err("/proc belongs to another pid namespace".to_owned()) }
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

    fn record(pid: u32, start_ns: u64, fd: u32, kind: FdKind, inode: u64) -> Record {
        Record { start_ns, inode, pid, fd, kind: kind as u32, table: 0 }
    }

    #[test]
    fn records_are_grouped_by_pid_and_start_time() {
        let mut grouped = Grouped::default();
        grouped.add(&[
            record(1, 5, 0, FdKind::File, 9),
            record(1, 5, 7, FdKind::Socket, 40),
            record(2, 6, 0, FdKind::Pipe, 3),
        ]);
        // The next read continues the same process; then its pid is reused; then a kind is unknown.
        let mut odd = record(2, 8, 1, FdKind::Other, 1);
        odd.kind = 99;
        grouped.add(&[record(2, 6, 3, FdKind::Socket, 41), record(2, 8, 0, FdKind::Socket, 42), odd]);
        let process = |pid, start_ns, highest, sockets: &[(u64, u32)], kinds: &[FdKind]| {
            let mut fds = FdSet { sockets: sockets.to_vec(), highest: Some(highest), ..FdSet::default() };
            for k in kinds {
                fds.kinds.add(*k);
            }
            ProcessFds { pid, start_ns, fds }
        };
        assert_eq!(
            grouped.finish(),
            [
                process(1, 5, 7, &[(40, 7)], &[FdKind::File, FdKind::Socket]),
                process(2, 6, 3, &[(41, 3)], &[FdKind::Pipe, FdKind::Socket]),
                process(2, 8, 0, &[(42, 0)], &[FdKind::Socket]),
            ]
        );
    }

    #[test]
    fn tables_of_threads_are_added_to_their_process_once() {
        let thread = |pid, fd, inode, table| Record { table, ..record(pid, 5, fd, FdKind::Socket, inode) };
        let mut grouped = Grouped::default();
        grouped.add(&[record(1, 5, 3, FdKind::Socket, 40), record(2, 5, 0, FdKind::File, 1)]);
        // Two threads of 1 share a table, a third has its own; the main thread of 3 has exited.
        grouped.add(&[thread(1, 3, 40, 9), thread(1, 4, 41, 9), thread(1, 3, 40, 9), thread(1, 4, 41, 9)]);
        let mut ring = thread(1, 6, 0, 8);
        ring.kind = FdKind::Other as u32 | IO_URING;
        grouped.add(&[thread(1, 3, 42, 8), ring, thread(3, 5, 43, 7), thread(3, 5, 43, 7)]);
        let all = grouped.finish();
        let sockets: Vec<(u32, &[(u64, u32)])> = all.iter().map(|p| (p.pid, &*p.fds.sockets)).collect();
        assert_eq!(sockets, [(1, &[(40, 3), (41, 4), (42, 3)][..]), (2, &[]), (3, &[(43, 5)])]);
        let counts: Vec<(u32, usize)> =
            all.iter().map(|p| (p.fds.kinds.total(), p.fds.tables.len())).collect();
        assert_eq!(counts, [(2, 3), (1, 0), (1, 2)], "of the fullest table");
        assert_eq!(all[0].fds.rings, [6]);
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
        let mut here = TYPES.to_vec();
        here.sort_unstable();
        assert_eq!(bpf::relocated_types(include_str!("../../../assets/bpf/owners.bpf.c")), here);
    }
}
