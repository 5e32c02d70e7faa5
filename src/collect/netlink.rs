//! The kernel's own socket tables through `NETLINK_SOCK_DIAG` (`sock_diag(7)`).
//!
//! One dump a table (`net/ipv4/inet_diag.c`: family and protocol), the state mask and a prefilter applied by the kernel,
//! each reply decoded where it lies in the receive buffer. Written here and not taken from a crate because this is what
//! the program exists for: the published codecs refuse attributes shorter than they know, allocate for each attribute,
//! and know few families.

mod bytecode;
mod dump;
mod inet;
mod links;
mod wire;

use super::cgroups::Cgroups;
use super::procs::Procs;
use super::{CollectError, Source, host, stamp};
use crate::model::{Backend, BackendInfo, FaultKind, Namespace, Proto, Sample, State, StateSet, Wants};
use dump::{Conversation, DumpError};
use rustc_hash::FxHashSet;
use rustix::net::netlink::SOCK_DIAG;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// `AF_INET` and `AF_INET6` (`include/linux/socket.h`).
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// A table of sockets that one dump reads.
struct DumpTable {
    name: &'static str,
    proto: Proto,
    family: u8,
    /// `IPPROTO_*`.
    protocol: u8,
}

/// Every table there is to read, in the order of reading.
const DUMPS: [DumpTable; 4] = [
    DumpTable { name: "tcp inet", proto: Proto::Tcp, family: AF_INET, protocol: 6 },
    DumpTable { name: "tcp inet6", proto: Proto::Tcp, family: AF_INET6, protocol: 6 },
    DumpTable { name: "udp inet", proto: Proto::Udp, family: AF_INET, protocol: 17 },
    DumpTable { name: "udp inet6", proto: Proto::Udp, family: AF_INET6, protocol: 17 },
];

/// How often a table that changed while it was dumped is read again before the last reading is taken as it is.
const RETRIES: u32 = 2;

/// The netlink backend.
pub struct NetlinkSource {
    talk: Conversation,
    procs: Procs,
    cgroups: Cgroups,
    host: Arc<str>,
    info: Arc<BackendInfo>,
    namespaces: Arc<[Namespace]>,
    /// Room that the last sample took: the next one is made that big at once.
    sockets: usize,
    attrs: usize,
    /// Seen in this sample, to drop what an interrupted dump told twice.
    twice: FxHashSet<u64>,
}

impl std::fmt::Debug for NetlinkSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetlinkSource").field("host", &self.host).finish_non_exhaustive()
    }
}

impl NetlinkSource {
    /// Opens a conversation with the kernel and asks one small question, so that a kernel without `inet_diag` is
    /// found out here. `why` is said beside the backend's name.
    pub fn new(why: String) -> Result<Self, CollectError> {
        let mut talk = Conversation::open(Some(SOCK_DIAG))
            .map_err(|e| CollectError::io("open", "a sock_diag netlink socket", e))?;
        // Closing TCP sockets: a question that costs nothing.
        let ask = wire::Request::inet(AF_INET, 6, 0, 1 << 11);
        talk.dump(&ask, |_| Ok(())).map_err(|e| CollectError::Unavailable {
            backend: "netlink",
            why: format!("sock_diag does not answer for tcp: {e}"),
        })?;
        Ok(Self {
            talk,
            procs: Procs::new(Path::new("/proc")),
            cgroups: Cgroups::default(),
            host: host(),
            info: Arc::new(BackendInfo { backend: Backend::Netlink, why }),
            namespaces: Arc::from([]),
            sockets: 0,
            attrs: 0,
            twice: FxHashSet::default(),
        })
    }

    /// Reads one table, as far as it is wanted.
    fn read(&mut self, table: &DumpTable, sample: &mut Sample) {
        if !sample.wants.protos.has(table.proto) {
            return;
        }
        let begin = sample.sockets.len();
        let mask = |states: StateSet| {
            if table.proto.has_tcp_states() {
                states.kernel_tcp_mask()
            } else {
                states.kernel_datagram_mask()
            }
        };
        let mut states = sample.wants.states;
        let none = BTreeMap::new();
        let interfaces = self.namespaces.first().map_or(&none, |n| &n.interfaces);
        let program = sample
            .wants
            .prefilter
            .as_ref()
            .and_then(|p| bytecode::compile(p, &bytecode::Machine(interfaces)));
        if sample.wants.listeners && (program.is_some() || states != StateSet::ALL) {
            let serving = StateSet::of(&[State::Listen, State::Unconn]);
            self.dump(table, mask(serving), None, sample);
            states = states.and(serving.not());
        }
        self.dump(table, mask(states), program, sample);
        if sample.wants.auto_port {
            self.ask_ports(table, mask(StateSet::ALL), begin, sample);
        }
    }

    /// Asks again for the sockets whose port the kernel chose, and marks them: no attribute tells it.
    fn ask_ports(&mut self, table: &DumpTable, states: u32, begin: usize, sample: &mut Sample) {
        let mut ask = wire::Request::inet(table.family, table.protocol, 0, states);
        ask.filter(&bytecode::auto_port());
        let mut chosen: FxHashSet<u64> = FxHashSet::default();
        let asked = self.talk.dump(&ask, |message| {
            chosen.insert(inet::cookie(message)?);
            Ok(())
        });
        match asked {
            Ok(_) => {
                for s in &mut sample.sockets[begin..] {
                    s.auto_port = Some(chosen.contains(&s.id.cookie));
                }
            }
            Err(e) => sample.faults.add(FaultKind::Failed, "who chose the local ports", e.to_string()),
        }
    }

    /// Dumps one table in these states, filtered by this program.
    fn dump(&mut self, table: &DumpTable, states: u32, program: Option<Vec<u8>>, sample: &mut Sample) {
        if states == 0 {
            return;
        }
        let mut ask = wire::Request::inet(table.family, table.protocol, sample.wants.attrs.0, states);
        let mut filtered = program.is_some();
        if let Some(program) = program {
            ask.filter(&program);
        }
        let (sockets, attrs) = (sample.sockets.len(), sample.attrs.len());
        for attempt in 0..=RETRIES {
            sample.sockets.truncate(sockets);
            sample.attrs.truncate(attrs);
            let last = attempt == RETRIES;
            match self.talk.dump(&ask, |message| inet::decode(message, table.proto, sample)) {
                Ok(done) => {
                    let subject = format!("{} dump", table.name);
                    sample.faults.add_many(FaultKind::Malformed, &subject, "", done.malformed);
                    if !done.interrupted {
                        return;
                    }
                    sample.faults.add(FaultKind::Interrupted, &subject, "");
                }
                Err(DumpError::Lost) if !last => {}
                // A kernel that does not know an operation, or a mark without the capability: read it all then.
                Err(e) if filtered && e.is_refused() => {
                    filtered = false;
                    ask = wire::Request::inet(table.family, table.protocol, sample.wants.attrs.0, states);
                }
                Err(e) => {
                    let kind = match e {
                        DumpError::Lost => FaultKind::Lost,
                        DumpError::Io(_) if e.is_unsupported() => FaultKind::Unsupported,
                        DumpError::Io(_) => FaultKind::Failed,
                    };
                    sample.faults.add(kind, &format!("{} dump", table.name), e.to_string());
                    return;
                }
            }
        }
        // Interrupted to the end: what came twice goes, what was missed comes with the next poll.
        self.twice.clear();
        let mut at = sockets;
        for i in sockets..sample.sockets.len() {
            if self.twice.insert(sample.sockets[i].id.cookie) {
                sample.sockets.swap(at, i);
                at += 1;
            }
        }
        sample.sockets.truncate(at);
    }
}

impl Source for NetlinkSource {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        let mut sample =
            Sample::empty(stamp(), Arc::clone(&self.host), Arc::clone(&self.info), wants.clone());
        links::refresh(&mut self.namespaces, &mut sample.faults);
        sample.namespaces = Arc::clone(&self.namespaces);
        sample.sockets.reserve_exact(self.sockets + self.sockets / 16);
        sample.attrs.reserve_exact(self.attrs + self.attrs / 16);
        for table in &DUMPS {
            self.read(table, &mut sample);
        }
        (self.sockets, self.attrs) = (sample.sockets.len(), sample.attrs.len());
        if sample.wants.cgroups {
            self.cgroups.fill(&mut sample);
        }
        self.procs.read(&mut sample);
        sample.took_us = stamp().boot_ns.saturating_sub(sample.at.boot_ns) / 1000;
        Ok(sample)
    }
}

#[cfg(test)]
mod tests;
