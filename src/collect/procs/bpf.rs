//! Every descriptor of every process at once: a `bpf_iter` program over task files (`kernel/bpf/task_iter.c`).
//!
//! The kernel goes through the tables of all processes by itself and hands over a record a descriptor: about half a
//! microsecond each, where the walk pays four for a directory entry and a link to read. It needs a kernel with BTF
//! and `CAP_BPF` with `CAP_PERFMON` (or `CAP_SYS_ADMIN`) in the first user namespace; without, the walk does.
//!
//! The program's source and the command that makes the object are in `assets/bpf`; what it tells is what
//! `/proc/PID/fd` tells: the descriptors of a process's first thread, of processes that our pid namespace knows, by
//! their numbers there. Whose start time is not that of the process known by that number is left to the walk.
//!
//! TCP sockets are not read this way, though an iterator over them gives 100,000 in half the time of the dump: it
//! hands over `struct sock`, so queues, timers, `tcp_info` and the memory of each state would be computed here from
//! fields that move from kernel to kernel (`inet_diag` computes them in the kernel); it goes through the tables
//! bucket by bucket with the sockets of one in hand, and knows no request sockets of a listener in fast open;
//! and it reads one network namespace, with no filter before the copy.

mod slim;

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
pub(super) struct Record {
    /// When its process started, nanoseconds after boot.
    pub(super) start_ns: u64,
    /// Inode of what it refers to.
    pub(super) inode: u64,
    /// The process.
    pub(super) pid: u32,
    /// The descriptor's number.
    pub(super) fd: u32,
    /// What it is, an index of `FdKind::ALL`.
    pub(super) kind: u32,
    zero: u32,
}

/// Records taken from the kernel at once: as much as it gives in one read.
const AT_ONCE: usize = 1024;

/// The program, loaded.
pub(super) struct Program(Ebpf);

impl Program {
    /// Loads it; else why not, in a few words.
    fn load() -> Result<Self, String> {
        let path = "/sys/kernel/btf/vmlinux";
        let whole = std::fs::read(path).map_err(|e| format!("this kernel tells no BTF: {path}: {e}"))?;
        let function = format!("bpf_iter_{TARGET}");
        let part = slim::slim(&whole, &TYPES, &[&function]);
        let btf = Btf::parse(part.as_deref().unwrap_or(&whole), Endianness::default())
            .map_err(|e| reason("BTF", &e))?;
        drop(whole);
        let mut ebpf =
            EbpfLoader::new().btf(Some(&btf)).load(OBJECT).map_err(|e| reason("load the program", &e))?;
        program(&mut ebpf)?.load(TARGET, &btf).map_err(|e| reason("load the program", &e))?;
        Ok(Self(ebpf))
    }

    /// Tells each descriptor of each process, a process after the other.
    pub(super) fn read(&mut self, mut tell: impl FnMut(&Record)) -> Result<(), String> {
        let mut file = self.run()?;
        let mut records = vec![Record::new_zeroed(); AT_ONCE];
        loop {
            let n = match file.read(records.as_mut_slice().as_mut_bytes()) {
                Ok(0) => return Ok(()),
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
            records[..n / size_of::<Record>()].iter().for_each(&mut tell);
        }
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
pub(super) enum Loader {
    /// Nobody needed it yet.
    #[default]
    Idle,
    /// Another thread is at it.
    Loading(JoinHandle<Result<Program, String>>),
    /// Loaded.
    Ready(Box<Program>),
    /// Not to be had: why.
    Refused(String),
}

impl Loader {
    /// Begins to load it, on a thread of its own.
    pub(super) fn begin(&mut self) {
        if !matches!(self, Self::Idle) {
            return;
        }
        if let Err(why) = permitted().and_then(|()| numbers_agree()) {
            *self = Self::Refused(why);
            return;
        }
        let thread = std::thread::Builder::new().name("bpf".to_owned());
        *self = match thread.spawn(Program::load) {
            Ok(thread) => Self::Loading(thread),
            Err(e) => Self::Refused(reason("a thread to load it", &e)),
        };
    }

    /// The program, loaded by now; else why not.
    pub(super) fn get(&mut self) -> Result<&mut Program, &str> {
        self.begin();
        *self = match std::mem::take(self) {
            Self::Loading(thread) => match thread.join() {
                Ok(Ok(program)) => Self::Ready(Box::new(program)),
                Ok(Err(why)) => Self::Refused(why),
                Err(_) => Self::Refused("the loader broke down".to_owned()),
            },
            other => other,
        };
        match self {
            Self::Ready(program) => Ok(program),
            Self::Refused(why) => Err(why),
            Self::Idle | Self::Loading(_) => Err("not loaded"),
        }
    }

    /// From now on it is not to be had.
    pub(super) fn refuse(&mut self, why: String) {
        *self = Self::Refused(why);
    }
}
