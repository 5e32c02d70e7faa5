//! The netlink backend: socket tables of the kernel by `NETLINK_SOCK_DIAG` (`sock_diag(7)`).
//!
//! One dump per family and protocol, with the state mask and a prefilter applied by the kernel; replies are decoded in the
//! receive buffer. The published crates reject attributes shorter than they expect (older kernels), allocate per attribute
//! and support few families, so the codec is our own.

mod bytecode;
mod dump_table;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod inet;
mod non_ip;
mod parallel_dump;
mod request;
mod still_open;
mod tables;
#[cfg(test)]
mod tests;
mod tipc;
mod unsupported;

use super::cgroups::Cgroups;
use super::dns::DnsReader;
use super::events::{EventMethod, EventReader};
use super::netlink::neighbours;
use super::netlink::socket::NetlinkSocket;
use super::netns::NetnsTable;
use super::netns::THREAD_SELF;
use super::netns::enter::{self, Refusal};
use super::procs::Procs;
use super::sock_diag::dump_table::TableDump;
use super::source::{CollectError, Source, host, stamp};
use super::synthetic_id::SyntheticIds;
use crate::model::limit::NetCounters;
use crate::model::{
    AttrSet, Backend, BackendInfo, Family, FaultKind, FaultSubject, Faults, ListenQueue, Netns, OwnersBy,
    Prefilter, Proto, Reads, Sample, Socket, Stamp, State, StateSet, Wants,
};
use request::{mask, request};
use rustc_hash::FxHashSet;
use rustix::net::netlink::SOCK_DIAG;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tables::{AF_INET, AF_INET6, DUMPS, DumpMethod, DumpTable, TCP, table};

/// Time to live of cached interface names of other namespaces, nanoseconds.
const INTERFACES_TTL_NS: u64 = 10_000_000_000;

/// Default of `gc_thresh3`.
const NEIGHBOURS_MAX: u64 = 1024;

/// The netlink backend.
pub struct NetlinkSource {
    socket: NetlinkSocket,
    procs: Procs,
    cgroups: Cgroups,
    host: Arc<str>,
    info: Arc<BackendInfo>,
    netns: NetnsTable,
    netfilter: super::netfilter::Reader,
    events: EventReader,
    dns: DnsReader,
    /// `gc_thresh3` for IPv4 and IPv6, which only the initial namespace has.
    neighbours_max: [Option<u64>; 2],
    /// Number of the network namespace that is being read, and its interfaces.
    netns_number: u16,
    interfaces: BTreeMap<u32, String>,
    /// Lengths of the last sample: capacity to reserve for the next one.
    last_sockets: usize,
    last_attrs: usize,
    last_infos: usize,
}

impl std::fmt::Debug for NetlinkSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetlinkSource").field("host", &self.host).finish_non_exhaustive()
    }
}

impl NetlinkSource {
    /// Opens a netlink socket and sends a minimal request, which fails on a kernel without `inet_diag`. `reason` is the reason
    /// for this backend, shown next to its name.
    pub fn new(reason: String) -> Result<Self, CollectError> {
        let mut socket = NetlinkSocket::open(Some(SOCK_DIAG))
            .map_err(|e| CollectError::io("open", "a sock_diag netlink socket", e))?;
        // An empty state mask: the kernel does not iterate over its table.
        let request = crate::collect::netlink::wire::Request::inet(AF_INET, 6, 0, 0);
        socket.dump(&request, |_| Ok(())).map_err(|e| CollectError::Unavailable {
            backend: "netlink",
            why: format!("sock_diag: no answer for tcp: {e}"),
        })?;
        Ok(Self {
            socket,
            procs: Procs::new(Path::new("/proc")),
            cgroups: Cgroups::default(),
            host: host(),
            info: Arc::new(BackendInfo { backend: Backend::Netlink, reason }),
            netns: NetnsTable::new(Netns::Here),
            netfilter: super::netfilter::Reader::default(),
            events: EventReader::default(),
            dns: DnsReader::default(),
            neighbours_max: [None; 2],
            netns_number: 0,
            interfaces: BTreeMap::new(),
            last_sockets: 0,
            last_attrs: 0,
            last_infos: 0,
        })
    }

    /// Sets the method that finds owners; `None` for the cheapest one available.
    pub(crate) fn owners_by(mut self, method: Option<OwnersBy>) -> Self {
        self.procs = self.procs.owners_by(method);
        self
    }

    /// Sets the source of events; the default is the best one available.
    #[must_use]
    pub const fn events_by(mut self, method: EventMethod) -> Self {
        self.events.set_method(method);
        self
    }

    /// Sets the network namespaces to read; the default is only that of this process.
    pub(crate) fn with_netns(mut self, netns: NetnsTable) -> Self {
        self.procs = self.procs.finding_netns(netns.reads_others());
        self.netns = netns;
        self
    }

    /// Reads every table of the network namespace of the calling thread.
    fn read_all(&mut self, number: u16, sample: &mut Sample) {
        let now = sample.at.boot_ns;
        let begin = sample.sockets.len();
        let Some(netns) = self.netns.get_mut(number) else { return };
        if (number == 0 && !sample.wants.only_events())
            || now.saturating_sub(netns.interfaces_ns) > INTERFACES_TTL_NS
            || netns.interfaces_ns == 0
        {
            netns.namespace.interfaces = crate::collect::netlink::links::interfaces(&mut sample.faults);
            netns.interfaces_ns = now;
        }
        if sample.wants.reads(Reads::EVENTS) {
            self.events.listen_here(number, sample);
        }
        if sample.wants.reads(Reads::DNS) {
            self.dns.capture_here(number, sample);
        }
        self.netns_number = number;
        self.interfaces.clone_from(&netns.namespace.interfaces);
        let both_families = self.read(&TCP, true, sample);
        for table in DUMPS.iter().filter(|t| !both_families || t.proto != Proto::Tcp) {
            self.read(table, false, sample);
        }
        let is_unknown = |s: &Socket| s.iface != 0 && !self.interfaces.contains_key(&s.iface);
        if let Some(netns) = self.netns.get_mut(number)
            && netns.interfaces_ns != now
            && sample.sockets[begin..].iter().any(is_unknown)
        {
            netns.namespace.interfaces = crate::collect::netlink::links::interfaces(&mut sample.faults);
            netns.interfaces_ns = now;
        }
        for s in &mut sample.sockets[begin..] {
            s.id.netns = number;
        }
        if sample.wants.reads(Reads::NEXT_HOPS) {
            super::path::read_failed_hops(number, begin, sample);
        }
        if sample.wants.reads(Reads::NAT) {
            let (inode, name) = self
                .netns
                .get(number)
                .map_or((0, String::new()), |n| (n.namespace.inode, n.namespace.name.clone()));
            super::netfilter::read(&mut self.netfilter, (number, inode, &name), sample);
        }
        if sample.wants.reads(Reads::LIMITS) {
            let mut net = super::counters::Reader::new(Path::new("/proc")).net(number);
            self.exempt_neighbours(&mut net, &mut sample.faults);
            let listen_queues = self.listen_queues(number, &mut sample.faults);
            let counters = sample.counters.get_or_insert_default();
            counters.nets.push(net);
            counters.listen_queues.extend(listen_queues);
        }
    }

    /// Counts the neighbours in the network namespace of the calling thread that do not count toward the maximum, if the table (one
    /// for all namespaces) is at least half full. The maximum is known once the initial namespace has been read.
    fn exempt_neighbours(&mut self, net: &mut NetCounters, faults: &mut Faults) {
        let tables =
            [(AF_INET, net.neighbours, net.neighbours_max), (AF_INET6, net.neighbours6, net.neighbours6_max)];
        for (i, (family, used, max)) in tables.into_iter().enumerate() {
            self.neighbours_max[i] = max.or(self.neighbours_max[i]);
            if used.is_some_and(|used| used >= self.neighbours_max[i].unwrap_or(NEIGHBOURS_MAX) / 2) {
                match neighbours::exempt(family) {
                    Ok(n) => net.neighbours_exempt[i] = Some(n),
                    Err(e) => faults.add(FaultKind::Failed, FaultSubject::Neighbours, e.to_string()),
                }
            }
        }
    }

    /// Accept queues of the UNIX and SCTP listeners of the network namespace of the calling thread, with the limits: as a rule the
    /// request does not read them. `vsock_diag` reports no queues.
    fn listen_queues(&mut self, netns: u16, faults: &mut Faults) -> Vec<ListenQueue> {
        let listen = StateSet::only(&[State::Listen]);
        let mut all = vec![table(Proto::Unix, DumpMethod::Unix)];
        // A request for a protocol that is not in use would load its module.
        if unsupported::is_in_use(Proto::Sctp, Path::new(THREAD_SELF)) {
            all.extend(DUMPS.into_iter().filter(|t| t.proto == Proto::Sctp));
        }
        let mut queues = Vec::new();
        for table in all {
            let wants = Wants { states: listen, ..Wants::default() };
            let mut only = Sample::empty(Stamp::default(), "".into(), Arc::clone(&self.info), wants);
            self.dump(&table, mask(&table, listen), None, false, &mut only);
            faults.merge(std::mem::take(&mut only.faults));
            queues.extend(only.sockets.iter().filter(|s| s.is_listener()).map(|s| ListenQueue {
                netns,
                proto: s.proto,
                name: match s.proto {
                    Proto::Unix => only.names.get(s.local_name as usize).cloned().unwrap_or_default(),
                    _ => s.local.to_string().into(),
                },
                inode: s.inode,
                waiting: s.recv_q,
                backlog: s.send_q,
            }));
        }
        queues
    }

    /// Reads these network namespaces; the calling thread enters one after the other.
    fn read_others(&mut self, numbers: &[u16], sample: &mut Sample) {
        let mut refused: Vec<(String, Refusal)> = Vec::new();
        for number in numbers {
            let Some(netns) = self.netns.get(*number) else { continue };
            let entered = netns.enter().and_then(|()| {
                NetlinkSocket::open(Some(SOCK_DIAG)).map_err(|e| {
                    Refusal::Refused(rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO))
                })
            });
            match entered {
                Ok(socket) => {
                    let own = std::mem::replace(&mut self.socket, socket);
                    self.read_all(*number, sample);
                    self.socket = own;
                }
                // `/proc/PID/net` is readable by every user, with less detail.
                Err(Refusal::Refused(why))
                    if netns.pid().is_some_and(|pid| super::proc_net::read_through(pid, *number, sample)) =>
                {
                    let detail =
                        format!("{}: {why}; read from /proc/net, with less detail", netns.namespace.name);
                    sample.faults.add(FaultKind::Namespace, FaultSubject::Namespaces, detail);
                }
                Err(why) => refused.push((netns.namespace.name.clone(), why)),
            }
        }
        enter::report(&refused, &mut sample.faults);
    }

    /// Reads these network namespaces in a thread, which exits afterwards: the calling thread never changes its namespace.
    fn read_apart(&mut self, others: &[u16], sample: &mut Sample) {
        if !others.is_empty() {
            let this = &mut *self;
            let result = std::thread::scope(|scope| {
                let thread = std::thread::Builder::new().name("namespaces".into());
                let reader = thread.spawn_scoped(scope, || this.read_others(others, &mut *sample));
                reader.map(std::thread::ScopedJoinHandle::join)
            });
            match result {
                Ok(Ok(())) => {}
                // The poller reports the panic of its thread.
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(e) => sample.faults.add(FaultKind::Namespace, FaultSubject::Namespaces, e.to_string()),
            }
        }
    }

    /// Reads the namespaces that were found by the descriptors of this sample: no process is in them.
    fn read_held(&mut self, sample: &mut Sample) {
        if !self.netns.reads_others() {
            return;
        }
        let Some(held) = self.procs.held_netns(sample) else { return };
        let new = self.netns.add_held(held, sample.at.boot_ns, &mut sample.faults);
        if !new.is_empty() {
            self.read_apart(&new, sample);
            self.publish_namespaces(sample);
        }
    }

    /// Reads the requested network namespaces.
    fn read_namespaces(&mut self, sample: &mut Sample) {
        self.netns.refresh(sample.at.boot_ns, &mut sample.faults);
        let wanted = self.netns.wanted();
        let inodes = wanted.iter().filter_map(|n| Some((self.netns.get(*n)?.namespace.inode, *n)));
        let inodes: Vec<(u64, u16)> = inodes.collect();
        self.events.begin(sample.wants.reads(Reads::EVENTS), &inodes, sample);
        let named_by_events = self.events.names_udp();
        self.dns.begin(sample.wants.reads(Reads::DNS), &inodes, named_by_events, sample);
        let (own, others) = match wanted.split_first() {
            Some((0, rest)) => (true, rest),
            _ => (false, &wanted[..]),
        };
        if own {
            self.read_all(0, sample);
        }
        self.read_apart(others, sample);
        self.publish_namespaces(sample);
    }

    fn publish_namespaces(&mut self, sample: &mut Sample) {
        sample.namespaces = self.netns.publish();
        if sample.wants.reads(Reads::NAT) {
            sample.netns_by_pid = self.netns.netns_by_pid(sample.at.boot_ns, &mut sample.faults);
        }
    }

    /// Reads one table as requested. `strict`: if the kernel rejects the request, read nothing and return `false`.
    fn read(&mut self, table: &DumpTable, strict: bool, sample: &mut Sample) -> bool {
        if !sample.wants.protos.has(table.proto) {
            return true;
        }
        let before = dump_table::SampleLen::new(sample);
        let begin = sample.sockets.len();
        let mut states = sample.wants.states;
        if let DumpMethod::Proc(file, family) = table.method {
            let (file, ids) = ((file, table.proto, family), &mut SyntheticIds::default());
            let native = cfg!(target_endian = "little");
            super::proc_net::read_table(Path::new(THREAD_SELF), file, ids, native, sample);
            return true;
        }
        if !matches!(table.method, DumpMethod::Tcp | DumpMethod::Inet(..)) {
            self.dump(table, mask(table, states), None, false, sample);
            if matches!(table.method, DumpMethod::Unix) {
                non_ip::name_unix_peers(sample, begin);
            }
            return true;
        }
        let filter = sample.wants.prefilter.clone();
        if sample.wants.reads(Reads::LISTENERS) && (filter.is_some() || states != StateSet::ALL) {
            let serving = StateSet::only(&[State::Listen, State::Unconn]);
            if !self.dump(table, mask(table, serving), None, strict, sample) {
                return false;
            }
            states &= !serving;
        }
        if !self.dump(table, mask(table, states), filter.as_ref(), strict, sample) {
            before.truncate(sample);
            return false;
        }
        let is_unmarked = |s: &Socket| s.auto_port.is_none();
        if sample.wants.reads(Reads::AUTO_PORT) && sample.sockets[begin..].iter().any(is_unmarked) {
            let request =
                request(table, mask(table, StateSet::ALL), &Wants::default().with_attrs(AttrSet::NONE));
            self.mark_auto_ports(request, begin, sample);
        }
        true
    }

    /// Marks the sockets whose port the kernel chose, by a second, filtered dump, if they were not dumped apart.
    fn mark_auto_ports(
        &mut self,
        mut request: crate::collect::netlink::wire::Request,
        begin: usize,
        sample: &mut Sample,
    ) {
        request.filter(&bytecode::auto_port());
        let mut chosen: FxHashSet<u64> = FxHashSet::default();
        let result = self.socket.dump(&request, |message| {
            chosen.insert(inet::cookie(message)?);
            Ok(())
        });
        match result {
            Ok(_) => {
                for s in &mut sample.sockets[begin..] {
                    s.auto_port = Some(chosen.contains(&{ s.id.cookie }));
                }
            }
            Err(e) if e.is_unsupported() => {}
            Err(e) => sample.faults.add(FaultKind::Failed, FaultSubject::AutoPorts, e.to_string()),
        }
    }

    /// Dumps one table in these states, with a filter compiled for the kernel; a long table in two parallel dumps. `strict` as
    /// in [`dump_table::dump_table`].
    fn dump(
        &mut self,
        table: &DumpTable,
        states: u32,
        filter: Option<&Prefilter>,
        strict: bool,
        sample: &mut Sample,
    ) -> bool {
        if states == 0 {
            return true;
        }
        let names = bytecode::HostNames(&self.interfaces);
        let bytecode = |p: Option<&Prefilter>| p.and_then(|p| bytecode::compile(p, &names));
        let netns = self
            .netns
            .get(self.netns_number)
            .filter(|_| self.netns_number > 0)
            .map(|s| s.namespace.name.as_str());
        let whole =
            TableDump { table, states, bytecode: bytecode(filter), interfaces: &self.interfaces, netns };
        let sockets = if table.proto == Proto::Tcp { parallel_dump::socket_count(table) } else { 0 };
        let unlimited = sample.wants.max_sockets.is_none();
        if unlimited && filter.is_none() && states == mask(table, StateSet::ALL) {
            // Reserve once: growing a large list copies it repeatedly.
            sample.sockets.reserve_exact(usize::try_from(sockets).unwrap_or(0));
        }
        let parallel = unlimited && parallel_dump::worth_splitting(table, sockets, self.procs.is_preparing());
        let begin = sample.sockets.len();
        let is_inet = matches!(table.method, DumpMethod::Tcp | DumpMethod::Inet(..));
        if is_inet && unlimited && sample.wants.reads(Reads::AUTO_PORT) {
            // No attribute has it: those with a port that the kernel chose, then the others.
            let both = parallel_dump::auto_port_partition(filter).map(|p| bytecode(Some(&p)));
            if let Some(second) = parallel_dump::dump_parts(&whole, both, parallel, &mut self.socket, sample)
            {
                for (i, s) in sample.sockets[begin..].iter_mut().enumerate() {
                    s.auto_port = Some(begin + i < second);
                }
                return true;
            }
        } else if parallel {
            let both = parallel_dump::port_partition(filter).map(|p| bytecode(Some(&p)));
            if parallel_dump::dump_parts(&whole, both, true, &mut self.socket, sample).is_some() {
                return true;
            }
        }
        dump_table::dump_table(&whole, &mut self.socket, strict, sample)
    }
}

/// Address family and `IPPROTO_*` of an IP socket.
fn inet_key(s: &Socket) -> io::Result<(u8, u16)> {
    let protocol = DUMPS.iter().find_map(|t| match t.method {
        DumpMethod::Inet(_, protocol, _) if t.proto == s.proto => Some(protocol),
        _ => None,
    });
    let family = if s.family == Family::Inet { AF_INET } else { AF_INET6 };
    Ok((family, protocol.ok_or(io::ErrorKind::Unsupported)?))
}

/// Closes a socket that a dump reported (`SOCK_DESTROY`).
pub(crate) fn destroy(s: &Socket) -> io::Result<()> {
    let (family, protocol) = inet_key(s)?;
    let mut socket = NetlinkSocket::open(Some(SOCK_DIAG))?;
    socket.request(&crate::collect::netlink::wire::Request::destroy(family, protocol, family == AF_INET, s))
}

/// BPF socket storage of one socket: map id and bytes. Requested for one socket only: the kernel copies out the values, which
/// for a whole table can be more than everything else. Only dumps report it.
pub(crate) fn bpf_maps(s: &Socket) -> io::Result<Vec<(u32, u32)>> {
    let (sample, found) = read_one(s, true)?;
    Ok(sample.attrs_of(&found).bpf_maps().map_or_else(Vec::new, Iterator::collect))
}

/// Uid of a socket that exists (`idiag_uid`); an error if no socket has its cookie any more.
pub(crate) fn uid_of(s: &Socket) -> io::Result<u32> {
    Ok(read_one(s, false)?.1.uid)
}

/// Sockets with the ports of this one, and the one with its cookie.
fn read_one(s: &Socket, bpf_maps: bool) -> io::Result<(Sample, Socket)> {
    let (family, protocol) = inet_key(s)?;
    let mut request = crate::collect::netlink::wire::Request::inet_ports(
        family,
        protocol,
        u32::MAX,
        s.local.port,
        s.remote.port,
    );
    if bpf_maps {
        request.bpf_maps();
    }
    let info = BackendInfo { backend: Backend::Netlink, reason: String::new() };
    let mut sample = Sample::empty(stamp(), "".into(), Arc::new(info), Wants::default());
    let mut socket = NetlinkSocket::open(Some(SOCK_DIAG))?;
    let done = socket.dump(&request, |message| inet::decode(message, s.proto, &mut sample));
    done.map_err(|e| match e {
        crate::collect::netlink::socket::DumpError::Io(e) => e,
        e @ crate::collect::netlink::socket::DumpError::Lost => io::Error::other(e.to_string()),
    })?;
    let found = sample.sockets.iter().find(|o| o.id.cookie == s.id.cookie).copied();
    let found = found.ok_or_else(|| io::Error::from(rustix::io::Errno::NOENT))?;
    Ok((sample, found))
}

impl Source for NetlinkSource {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        let mut sample =
            Sample::empty(stamp(), Arc::clone(&self.host), Arc::clone(&self.info), wants.clone());
        sample.sockets.reserve_exact(self.last_sockets + self.last_sockets / 16);
        sample.attrs.reserve_exact(self.last_attrs + self.last_attrs / 16);
        self.procs.prepare(&sample);
        sample.infos.reserve_exact(self.last_infos + self.last_infos / 16);
        self.read_namespaces(&mut sample);
        (self.last_sockets, self.last_attrs, self.last_infos) =
            (sample.sockets.len(), sample.attrs.len(), sample.infos.len());
        let Self { procs, socket, .. } = self;
        procs.read_with(&mut sample, &mut |s| still_open::may_be_open(socket, s));
        self.read_held(&mut sample);
        let Self { dns, events, .. } = self;
        dns.finish(&mut sample, |sample| events.finish(sample));
        if sample.wants.reads(Reads::CGROUPS) {
            self.cgroups.fill(&mut sample);
        }
        sample.duration_us = stamp().boot_ns.saturating_sub(sample.at.boot_ns) / 1000;
        Ok(sample)
    }
}
