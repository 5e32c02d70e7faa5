//! Dump of one socket table, with retries if it changes during the dump.

use super::request::{decode, request};
use super::tables::{AF_INET, DumpMethod, DumpTable};
use super::unsupported;
use crate::collect::netlink::socket::{DumpError, NetlinkSocket};
use crate::collect::netns::THREAD_SELF;
use crate::collect::synthetic_id::SyntheticIds;
use crate::model::{Family, FaultKind, FaultSubject, Reads, Sample, Wants};
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::path::Path;

/// Retries of a dump flagged `NLM_F_DUMP_INTR`.
const RETRIES: u32 = 2;

/// Request for one table.
#[derive(Clone)]
pub(crate) struct TableDump<'a> {
    pub(crate) table: &'a DumpTable,
    /// State mask, in the numbering of the table.
    pub(crate) states: u32,
    /// Filter for the kernel.
    pub(crate) bytecode: Option<Vec<u8>>,
    pub(crate) interfaces: &'a BTreeMap<u32, String>,
    /// Name of the network namespace, unless it is that of this process.
    pub(crate) netns: Option<&'a str>,
}

/// Reads a table into the sample. If the kernel rejects the bytecode the table is read without it, and a table that the kernel
/// does not have is a fault; `strict`: nothing is read and `false` is returned.
pub(crate) fn dump_table(
    dump: &TableDump<'_>,
    socket: &mut NetlinkSocket,
    strict: bool,
    sample: &mut Sample,
) -> bool {
    let table = dump.table;
    let mut filtered = dump.bytecode.is_some();
    let mut maps =
        sample.wants.reads(Reads::BPF) && matches!(table.method, DumpMethod::Tcp | DumpMethod::Inet(..));
    let build = |filtered: bool, maps: bool, wants: &Wants| {
        let mut request = request(table, dump.states, wants);
        if let Some(bytecode) = dump.bytecode.as_ref().filter(|_| filtered) {
            request.filter(bytecode);
        }
        if maps {
            request.bpf_maps();
        }
        request
    };
    let mut request = build(filtered, maps, &sample.wants);
    let before = SampleLen::new(sample);
    for attempt in 0..=RETRIES {
        before.truncate(sample);
        let last = attempt == RETRIES;
        match socket.dump_some(&request, sample.wants.max_sockets, |message| {
            decode(table, message, dump.interfaces, sample)
        }) {
            Ok(done) => {
                sample.faults.add_many(FaultKind::Malformed, table.subject(), "", done.malformed);
                if done.truncated {
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
                request = build(filtered, maps, &sample.wants);
                sample.faults.add(
                    FaultKind::NotUsed,
                    FaultSubject::BpfMaps,
                    "only with CAP_BPF, outside of a user namespace",
                );
            }
            Err(e) if strict && (e.is_rejected() || e.is_unsupported()) => {
                before.truncate(sample);
                return false;
            }
            // The kernel does not support an operation, or a mark needs CAP_NET_ADMIN: dump without the filter.
            Err(e) if filtered && e.is_rejected() => {
                filtered = false;
                request = build(filtered, maps, &sample.wants);
            }
            Err(e) => {
                if let (true, DumpMethod::Inet(family, _, Some(file))) = (e.is_unsupported(), table.method) {
                    let family = if family == AF_INET { Family::Inet } else { Family::Inet6 };
                    let table = (file, table.proto, family);
                    let ids = &mut SyntheticIds::default();
                    let native = cfg!(target_endian = "little");
                    crate::collect::proc_net::read_table(Path::new(THREAD_SELF), table, ids, native, sample);
                    return true;
                }
                let kind = match e {
                    DumpError::Lost => FaultKind::Lost,
                    DumpError::Io(_) if e.is_unsupported() => FaultKind::Unsupported,
                    DumpError::Io(_) => FaultKind::Failed,
                };
                let mut subject = table.subject();
                // A table that the kernel lacks is missing in every namespace.
                if let (true, Some(name), FaultSubject::Dump { netns, .. }) =
                    (kind != FaultKind::Unsupported, dump.netns, &mut subject)
                {
                    *netns = Some(name.into());
                }
                let why = if kind == FaultKind::Unsupported {
                    unsupported::reason(table.proto, Path::new(THREAD_SELF))
                } else {
                    e.to_string()
                };
                sample.faults.add(kind, subject, why);
                return true;
            }
        }
    }
    // Still interrupted after all retries: remove duplicates; missed rows come with the next poll.
    let mut seen: FxHashSet<u64> = FxHashSet::default();
    let mut end = before.sockets;
    for i in before.sockets..sample.sockets.len() {
        if seen.insert(sample.sockets[i].id.cookie) {
            sample.sockets.swap(end, i);
            end += 1;
        }
    }
    sample.sockets.truncate(end);
    true
}

/// Lengths of the lists of a sample, to undo a partial read.
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

    /// Removes everything added since.
    pub(crate) fn truncate(&self, s: &mut Sample) {
        s.sockets.truncate(self.sockets);
        s.attrs.truncate(self.attrs);
        s.infos.truncate(self.infos);
        s.names.truncate(self.names);
    }
}
