//! Events by BPF tracepoints: the program `assets/bpf/events.bpf.c`.
//!
//! It writes one record for each change of state of a TCP socket and the first use of each UDP socket to a ring buffer,
//! without waking the reader; the reader drains it. Above a budget a second and CPU it counts instead, by process, remote
//! endpoint, kind and error, in one of two maps: the other one, which no program uses any more, is read and emptied.
//! What is neither recorded nor counted is lost, and the program counts that too, as the kernel counts the events it
//! skipped because they interrupted the program itself (`recursion_misses`).

use super::record::{Count, CountKey, Record};
use crate::collect::bpf::{self, check_permission, reason};
use crate::privilege::{BPF, raise};
use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::BtfTracePoint;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Program compiled from `events.bpf.c` in the same directory.
const OBJECT: &[u8] = include_bytes!("../../../assets/bpf/events.bpf.o");

/// Programs with their tracepoints. The last two name the process that uses an accepted socket (Linux ≥ 6.3).
const PROGRAMS: [(&str, &str); 4] = [
    ("state", "inet_sock_set_state"),
    ("retransmit", "tcp_retransmit_skb"),
    ("send", "sock_send_length"),
    ("receive", "sock_recv_length"),
];

/// Kernel types whose fields it reads.
const TYPES: [&str; 12] = [
    "in6_addr",
    "inet_connection_sock",
    "inet_sock",
    "net",
    "ns_common",
    "pid",
    "pid_namespace",
    "sock",
    "sock_common",
    "task_struct",
    "tcp_sock",
    "upid",
];

/// Records per second and CPU; above that events are counted.
const BUDGET: u32 = 30_000;

/// `struct config` of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
struct Config {
    filtered: u32,
    pid_ns: u32,
    budget: u32,
    counts: u32,
}

/// `struct meter` of the program.
#[derive(Clone, Copy, Debug, Default, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Meter {
    _window: u64,
    _used: u64,
    lost: u64,
    counted: u64,
}

/// Bytes of a map's value: `aya` takes plain arrays without `unsafe` of ours.
type Bytes<const N: usize> = [u8; N];
type CountMap = HashMap<MapData, Bytes<{ size_of::<CountKey>() }>, Bytes<{ size_of::<Count>() }>>;

/// Loaded and attached programs.
pub(super) struct Program {
    /// Keeps the programs attached.
    _ebpf: Ebpf,
    /// Descriptors of the programs in `/proc/self/fdinfo`.
    states: Vec<File>,
    ring: RingBuf<MapData>,
    config: Array<MapData, Bytes<{ size_of::<Config>() }>>,
    settings: Config,
    namespaces: HashMap<MapData, u32, u8>,
    watched: BTreeSet<u32>,
    meter: PerCpuArray<MapData, Bytes<{ size_of::<Meter>() }>>,
    counts: [CountMap; 2],
    /// Events counted and lost as of the last read.
    counted: u64,
    lost: u64,
    /// Reason why accepted connections have no process; empty if they have.
    pub(super) without_accepts: String,
}

impl Program {
    /// Loads and attaches the programs; the error is one line. No namespace is watched yet.
    pub(super) fn load() -> Result<Self, String> {
        check_permission()?;
        let _raised = raise(BPF);
        let typedefs = PROGRAMS.map(|(_, tracepoint)| format!("btf_trace_{tracepoint}"));
        let (mut ebpf, btf) = bpf::load(OBJECT, &TYPES, &typedefs.each_ref().map(String::as_str))?;
        let mut without_accepts = String::new();
        let settings = Config { filtered: 1, pid_ns: own_pid_namespace()?, budget: BUDGET, counts: 0 };
        let mut config = Array::try_from(take(&mut ebpf, "config")?).map_err(|e| reason("map config", &e))?;
        set(&mut config, settings)?;
        for (i, (name, tracepoint)) in PROGRAMS.into_iter().enumerate() {
            let attached = (|| {
                let program = ebpf.program_mut(name).ok_or("program missing from the object file")?;
                let program: &mut BtfTracePoint =
                    program.try_into().map_err(|e| reason("program type", &e))?;
                program.load(tracepoint, &btf).map_err(|e| reason("load program", &e))?;
                program.attach().map_err(|e| reason("attach", &e)).map(drop)
            })();
            match attached {
                Ok(()) => {}
                Err(why) if i >= 2 => without_accepts = format!("{tracepoint}: {why}"),
                Err(why) => return Err(format!("{tracepoint}: {why}")),
            }
        }
        Ok(Self {
            ring: RingBuf::try_from(take(&mut ebpf, "ring")?).map_err(|e| reason("map ring", &e))?,
            config,
            settings,
            namespaces: HashMap::try_from(take(&mut ebpf, "namespaces")?)
                .map_err(|e| reason("map namespaces", &e))?,
            watched: BTreeSet::new(),
            meter: PerCpuArray::try_from(take(&mut ebpf, "meter")?).map_err(|e| reason("map meter", &e))?,
            counts: [
                HashMap::try_from(take(&mut ebpf, "counts0")?).map_err(|e| reason("map counts0", &e))?,
                HashMap::try_from(take(&mut ebpf, "counts1")?).map_err(|e| reason("map counts1", &e))?,
            ],
            counted: 0,
            lost: 0,
            without_accepts,
            states: ebpf.programs().filter_map(|(_, p)| state_file(p)).collect(),
            _ebpf: ebpf,
        })
    }

    /// Sets the namespaces to watch, by inode.
    pub(super) fn watch(&mut self, inodes: &BTreeSet<u32>) -> Result<(), String> {
        let _raised = raise(BPF);
        for new in inodes.difference(&self.watched) {
            self.namespaces.insert(new, 1, 0).map_err(|e| reason("watch a namespace", &e))?;
        }
        for old in self.watched.difference(inodes) {
            let _ = self.namespaces.remove(old);
        }
        self.watched.clone_from(inodes);
        Ok(())
    }

    /// Takes the records written since the last call, in the order of each CPU.
    pub(super) fn drain(&mut self, mut each: impl FnMut(&Record)) {
        while let Some(item) = self.ring.next() {
            if let Ok((record, _)) = Record::read_from_prefix(&item) {
                each(&record);
            }
        }
    }

    /// Takes the counts since the last call but one (the others follow with the next call), and the number of events lost.
    pub(super) fn counts(&mut self, mut each: impl FnMut(CountKey, Count)) -> Result<u64, String> {
        let _raised = raise(BPF);
        let cpus = self.meter.get(&0, 0).map_err(|e| reason("map meter", &e))?;
        let (mut lost, mut counted) = (self.recursion_misses(), 0);
        for meter in cpus.iter().filter_map(|m| Meter::read_from_bytes(m).ok()) {
            lost += meter.lost;
            counted += meter.counted;
        }
        if counted != self.counted || self.settings.counts != 0 {
            self.counted = counted;
            // No program has used this one since the last call.
            let idle = &mut self.counts[1 - self.settings.counts as usize];
            let keys: Vec<_> = idle.keys().filter_map(Result::ok).collect();
            for key in keys {
                let count = idle.get(&key, 0).ok().and_then(|value| Count::read_from_bytes(&value).ok());
                if let (Some(count), Ok(key)) = (count, CountKey::read_from_bytes(&key)) {
                    each(key, count);
                }
                let _ = idle.remove(&key);
            }
            self.settings.counts = 1 - self.settings.counts;
            set(&mut self.config, self.settings)?;
        }
        let new = lost.saturating_sub(self.lost);
        self.lost = lost;
        Ok(new)
    }

    /// Events that the kernel skipped because they interrupted the same program on the same CPU (Linux ≥ 5.12).
    fn recursion_misses(&self) -> u64 {
        let mut buffer = [0; 1024];
        let mut misses = |file: &File| {
            let len = file.read_at(&mut buffer, 0).ok()?;
            let text = std::str::from_utf8(&buffer[..len]).ok()?;
            text.lines().find_map(|l| l.strip_prefix("recursion_misses:")?.trim().parse::<u64>().ok())
        };
        self.states.iter().filter_map(&mut misses).sum()
    }

    /// Readable when the ring is half full.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

/// State of a loaded program.
fn state_file(program: &aya::programs::Program) -> Option<File> {
    let fd = program.fd().ok()?.as_fd().as_raw_fd();
    File::open(format!("/proc/self/fdinfo/{fd}")).ok()
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<aya::maps::Map, String> {
    ebpf.take_map(name).ok_or_else(|| format!("map {name} missing from the object file"))
}

fn set(config: &mut Array<MapData, Bytes<{ size_of::<Config>() }>>, settings: Config) -> Result<(), String> {
    let bytes: Bytes<{ size_of::<Config>() }> = zerocopy::transmute!(settings);
    config.set(0, bytes, 0).map_err(|e| reason("map config", &e))
}

/// Inode of the pid namespace of this process, whose pids the records have.
fn own_pid_namespace() -> Result<u32, String> {
    let path = "/proc/self/ns/pid";
    let stat = rustix::fs::stat(path).map_err(|e| format!("{path}: {e}"))?;
    u32::try_from(stat.st_ino).map_err(|_| format!("{path}: inode {}", stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_kept_for_the_loader_are_all_that_the_bpf_source_names() {
        assert_eq!(bpf::relocated_types(include_str!("../../../assets/bpf/events.bpf.c")), TYPES);
    }
}
