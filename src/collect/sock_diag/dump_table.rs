//! One table, dumped once more while it changes, and its rows.

use super::{AF_INET, Ask, DumpTable, decode, request, unsupported};
use crate::collect::netlink::socket::{DumpError, NetlinkSocket};
use crate::collect::netns::THREAD_SELF;
use crate::collect::synthetic_id::SyntheticIds;
use crate::model::{Family, FaultKind, FaultSubject, Reads, Sample, Wants};
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::path::Path;

/// How often a table that changed while it was dumped is read again before the last reading is taken as it is.
const RETRIES: u32 = 2;

/// What is to be read of a table.
#[derive(Clone)]
pub(crate) struct TableDump<'a> {
    pub(crate) table: &'a DumpTable,
    /// As the table numbers them.
    pub(crate) states: u32,
    /// What the kernel filters with.
    pub(crate) program: Option<Vec<u8>>,
    pub(crate) interfaces: &'a BTreeMap<u32, String>,
    /// The namespace's name, where it is not that of this process.
    pub(crate) space: Option<&'a str>,
}

/// Reads it into the sample. A program that the kernel does not know is left out, and a table that it has not is a fault,
/// unless `strict`: then `false` is the answer and nothing is read.
pub(crate) fn dump_table(
    what: &TableDump<'_>,
    talk: &mut NetlinkSocket,
    strict: bool,
    sample: &mut Sample,
) -> bool {
    let table = what.table;
    let mut filtered = what.program.is_some();
    let mut maps = sample.wants.reads(Reads::BPF) && matches!(table.ask, Ask::Tcp | Ask::Inet(..));
    let build = |filtered: bool, maps: bool, wants: &Wants| {
        let mut ask = request(table, what.states, wants);
        if let Some(program) = what.program.as_ref().filter(|_| filtered) {
            ask.filter(program);
        }
        if maps {
            ask.bpf_maps();
        }
        ask
    };
    let mut ask = build(filtered, maps, &sample.wants);
    let before = SampleLen::new(sample);
    for attempt in 0..=RETRIES {
        before.truncate(sample);
        let last = attempt == RETRIES;
        match talk.dump_some(&ask, sample.wants.max_sockets, |message| {
            decode(table, message, what.interfaces, sample)
        }) {
            Ok(done) => {
                sample.faults.add_many(FaultKind::Malformed, table.subject(), "", done.malformed);
                if done.cut {
                    sample.faults.add(FaultKind::Deferred, table.subject(), "");
                }
                if !done.interrupted {
                    return true;
                }
                sample.faults.add(FaultKind::Interrupted, table.subject(), "");
            }
            Err(DumpError::Lost) if !last => {}
            Err(e) if maps && e.is_not_permitted() => {
                maps = false;
                ask = build(filtered, maps, &sample.wants);
                sample.faults.add(
                    FaultKind::NotUsed,
                    FaultSubject::BpfMaps,
                    "only with CAP_BPF, outside of a user namespace",
                );
            }
            Err(e) if strict && (e.is_refused() || e.is_unsupported()) => {
                before.truncate(sample);
                return false;
            }
            // A kernel that does not know an operation, or a mark without the capability: read it all then.
            Err(e) if filtered && e.is_refused() => {
                filtered = false;
                ask = build(filtered, maps, &sample.wants);
            }
            Err(e) => {
                if let (true, Ask::Inet(family, _, Some(file))) = (e.is_unsupported(), table.ask) {
                    let family = if family == AF_INET { Family::Inet } else { Family::Inet6 };
                    let table = (file, table.proto, family);
                    let ids = &mut SyntheticIds::default();
                    crate::collect::proc_net::read_table(Path::new(THREAD_SELF), table, ids, sample);
                    return true;
                }
                let kind = match e {
                    DumpError::Lost => FaultKind::Lost,
                    DumpError::Io(_) if e.is_unsupported() => FaultKind::Unsupported,
                    DumpError::Io(_) => FaultKind::Failed,
                };
                let mut subject = table.subject();
                // What this kernel does not have it has in no namespace.
                if let (true, Some(name), FaultSubject::Dump { netns, .. }) =
                    (kind != FaultKind::Unsupported, what.space, &mut subject)
                {
                    *netns = Some(name.into());
                }
                let why = if kind == FaultKind::Unsupported {
                    unsupported::why(table.proto, Path::new(THREAD_SELF))
                } else {
                    e.to_string()
                };
                sample.faults.add(kind, subject, why);
                return true;
            }
        }
    }
    // Interrupted to the end: what came twice goes, what was missed comes with the next poll.
    let mut twice: FxHashSet<u64> = FxHashSet::default();
    let mut at = before.sockets;
    for i in before.sockets..sample.sockets.len() {
        if twice.insert(sample.sockets[i].id.cookie) {
            sample.sockets.swap(at, i);
            at += 1;
        }
    }
    sample.sockets.truncate(at);
    true
}

/// How far a sample was filled.
pub(crate) struct SampleLen {
    sockets: usize,
    attrs: usize,
    infos: usize,
    names: usize,
}

impl SampleLen {
    pub(crate) fn new(s: &Sample) -> Self {
        Self { sockets: s.sockets.len(), attrs: s.attrs.len(), infos: s.infos.len(), names: s.names.len() }
    }

    /// Takes out what was added since.
    pub(crate) fn truncate(&self, s: &mut Sample) {
        s.sockets.truncate(self.sockets);
        s.attrs.truncate(self.attrs);
        s.infos.truncate(self.infos);
        s.names.truncate(self.names);
    }
}
