//! The kernel's own socket tables through `NETLINK_SOCK_DIAG` (`sock_diag(7)`).
//!
//! One dump a table (`net/ipv4/inet_diag.c`: family and protocol), the state mask and a prefilter applied by the kernel,
//! each reply decoded where it lies in the receive buffer. Written here and not taken from a crate because this is what
//! the program exists for: the published codecs refuse attributes shorter than they know, allocate for each attribute,
//! and know few families.

mod bytecode;
mod dump_table;
mod inet;
mod non_ip;
mod parallel_dump;
#[cfg(test)]
mod tests;
mod tipc;
mod unsupported;

use super::cgroups::Cgroups;
use super::netlink::socket::NetlinkSocket;
use super::netns::THREAD_SELF;
use super::netns::{self, NetnsTable, Refusal};
use super::procs::Procs;
use super::sock_diag::dump_table::TableDump;
use super::source::{CollectError, Source, host, stamp};
use super::synthetic_id::SyntheticIds;
use crate::model::{
    AttrSet, Backend, BackendInfo, Family, FaultKind, FaultSubject, Netns, OwnersBy, Prefilter, Proto, Reads,
    Sample, Socket, State, StateSet, Wants,
};
use rustc_hash::FxHashSet;
use rustix::net::netlink::SOCK_DIAG;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// `AF_INET` and `AF_INET6` (`include/linux/socket.h`).
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// A table of sockets that one dump reads.
struct DumpTable {
    proto: Proto,
    ask: Ask,
}

impl DumpTable {
    /// Subject of the faults of this table.
    const fn subject(&self) -> FaultSubject {
        let family = match self.ask {
            Ask::Inet(AF_INET, ..) => Some(Family::Inet),
            Ask::Inet(..) => Some(Family::Inet6),
            Ask::Proc(_, family) => Some(family),
            _ => None,
        };
        FaultSubject::Dump { proto: self.proto, family, netns: None }
    }
}

/// How a table is asked for.
#[derive(Clone, Copy)]
enum Ask {
    /// `inet_diag` for TCP, whatever the address family.
    Tcp,
    /// `inet_diag`: address family and `IPPROTO_*`; where it has no such table, this file below `/proc/net`.
    Inet(u8, u16, Option<&'static str>),
    /// Only in this file below `/proc/net`: no diag module tells it.
    Proc(&'static str, Family),
    /// `unix_diag`.
    Unix,
    /// `netlink_diag`.
    Netlink,
    /// `packet_diag`.
    Packet,
    /// `vsock_diag`.
    Vsock,
    /// `xsk_diag`.
    Xdp,
    /// `tipc_diag`.
    Tipc,
}

const fn table(proto: Proto, ask: Ask) -> DumpTable {
    DumpTable { proto, ask }
}

/// TCP over IPv4 and IPv6 at once: the two of them are one table of the kernel's, and going through it costs, whatever is
/// told of it.
const TCP: DumpTable = table(Proto::Tcp, Ask::Tcp);

/// Every table there is to read, in the order of reading.
const DUMPS: [DumpTable; 22] = [
    table(Proto::Tcp, Ask::Inet(AF_INET, 6, None)),
    table(Proto::Tcp, Ask::Inet(AF_INET6, 6, None)),
    table(Proto::Udp, Ask::Inet(AF_INET, 17, None)),
    table(Proto::Udp, Ask::Inet(AF_INET6, 17, None)),
    table(Proto::UdpLite, Ask::Inet(AF_INET, 136, None)),
    table(Proto::UdpLite, Ask::Inet(AF_INET6, 136, None)),
    table(Proto::Mptcp, Ask::Inet(AF_INET, 262, None)),
    table(Proto::Mptcp, Ask::Inet(AF_INET6, 262, None)),
    table(Proto::Sctp, Ask::Inet(AF_INET, 132, None)),
    table(Proto::Sctp, Ask::Inet(AF_INET6, 132, None)),
    table(Proto::Dccp, Ask::Inet(AF_INET, 33, None)),
    table(Proto::Dccp, Ask::Inet(AF_INET6, 33, None)),
    table(Proto::Raw, Ask::Inet(AF_INET, 255, Some("raw"))),
    table(Proto::Raw, Ask::Inet(AF_INET6, 255, Some("raw6"))),
    table(Proto::Icmp, Ask::Proc("icmp", Family::Inet)),
    table(Proto::Icmp, Ask::Proc("icmp6", Family::Inet6)),
    table(Proto::Unix, Ask::Unix),
    table(Proto::Packet, Ask::Packet),
    table(Proto::Netlink, Ask::Netlink),
    table(Proto::Vsock, Ask::Vsock),
    table(Proto::Xdp, Ask::Xdp),
    table(Proto::Tipc, Ask::Tipc),
];

/// How long the names of interfaces of other namespaces are taken to stay as they are, nanoseconds.
const LINKS_NS: u64 = 10_000_000_000;

/// The netlink backend.
pub struct NetlinkSource {
    talk: NetlinkSocket,
    procs: Procs,
    cgroups: Cgroups,
    host: Arc<str>,
    info: Arc<BackendInfo>,
    netns: NetnsTable,
    /// The namespace that is being read, and its interfaces.
    number: u16,
    interfaces: BTreeMap<u32, String>,
    /// Room that the last sample took: the next one is made that big at once.
    sockets: usize,
    attrs: usize,
    infos: usize,
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
        let mut talk = NetlinkSocket::open(Some(SOCK_DIAG))
            .map_err(|e| CollectError::io("open", "a sock_diag netlink socket", e))?;
        // TCP sockets in no state at all: the kernel need not go through its table for that.
        let ask = crate::collect::netlink::wire::Request::inet(AF_INET, 6, 0, 0);
        talk.dump(&ask, |_| Ok(())).map_err(|e| CollectError::Unavailable {
            backend: "netlink",
            why: format!("sock_diag does not answer for tcp: {e}"),
        })?;
        Ok(Self {
            talk,
            procs: Procs::new(Path::new("/proc")),
            cgroups: Cgroups::default(),
            host: host(),
            info: Arc::new(BackendInfo { backend: Backend::Netlink, reason: why }),
            netns: NetnsTable::new(Netns::Here),
            number: 0,
            interfaces: BTreeMap::new(),
            sockets: 0,
            attrs: 0,
            infos: 0,
        })
    }

    /// Finds owners this way; `None`: the one that costs less.
    pub(crate) fn owners_by(mut self, way: Option<OwnersBy>) -> Self {
        self.procs = self.procs.owners_by(way);
        self
    }

    /// Reads these network namespaces instead of only that of this process.
    pub(crate) fn over(mut self, netns: NetnsTable) -> Self {
        self.netns = netns;
        self
    }

    /// Reads every table of the namespace that the calling thread is in.
    fn read_all(&mut self, number: u16, sample: &mut Sample) {
        let now = sample.at.boot_ns;
        let begin = sample.sockets.len();
        let Some(space) = self.netns.get_mut(number) else { return };
        if number == 0 || now.saturating_sub(space.interfaces_ns) > LINKS_NS || space.interfaces_ns == 0 {
            space.namespace.interfaces = crate::collect::netlink::links::interfaces(&mut sample.faults);
            space.interfaces_ns = now;
        }
        self.number = number;
        self.interfaces.clone_from(&space.namespace.interfaces);
        let together = self.read(&TCP, true, sample);
        for table in DUMPS.iter().filter(|t| !together || t.proto != Proto::Tcp) {
            self.read(table, false, sample);
        }
        let unknown = |s: &Socket| s.iface != 0 && !self.interfaces.contains_key(&s.iface);
        if let Some(space) = self.netns.get_mut(number)
            && space.interfaces_ns != now
            && sample.sockets[begin..].iter().any(unknown)
        {
            space.namespace.interfaces = crate::collect::netlink::links::interfaces(&mut sample.faults);
            space.interfaces_ns = now;
        }
        for s in &mut sample.sockets[begin..] {
            s.id.netns = number;
        }
        if sample.wants.reads(Reads::NAT) {
            super::netfilter::read(number, sample);
        }
        if sample.wants.reads(Reads::LIMITS) {
            let net = super::counters::Reader::new(Path::new("/proc")).net(number);
            sample.counters.get_or_insert_default().nets.push(net);
        }
    }

    /// Reads the namespaces of these numbers: the calling thread enters one after the other.
    fn read_others(&mut self, numbers: &[u16], sample: &mut Sample) {
        let mut refused: Vec<(String, Refusal)> = Vec::new();
        for number in numbers {
            let Some(space) = self.netns.get(*number) else { continue };
            let entered = space.enter().and_then(|()| {
                NetlinkSocket::open(Some(SOCK_DIAG)).map_err(|e| {
                    Refusal::Refused(rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO))
                })
            });
            match entered {
                Ok(talk) => {
                    let own = std::mem::replace(&mut self.talk, talk);
                    self.read_all(*number, sample);
                    self.talk = own;
                }
                // Its tables in `/proc/net` are open to everybody, and tell less.
                Err(Refusal::Refused(why))
                    if space.pid().is_some_and(|pid| super::proc_net::read_through(pid, *number, sample)) =>
                {
                    let detail =
                        format!("{}: {why}; read from /proc/net, with less detail", space.namespace.name);
                    sample.faults.add(FaultKind::Namespace, FaultSubject::Namespaces, detail);
                }
                Err(why) => refused.push((space.namespace.name.clone(), why)),
            }
        }
        netns::report(&refused, &mut sample.faults);
    }

    /// Reads the namespaces that are asked for. Others than our own are read by a thread of their own, which ends
    /// with it: the one that calls never leaves its namespace.
    fn read_namespaces(&mut self, sample: &mut Sample) {
        self.netns.refresh(sample.at.boot_ns, &mut sample.faults);
        let wanted = self.netns.wanted();
        let (own, others) = match wanted.split_first() {
            Some((0, rest)) => (true, rest),
            _ => (false, &wanted[..]),
        };
        if own {
            self.read_all(0, sample);
        }
        if !others.is_empty() {
            let this = &mut *self;
            let ended = std::thread::scope(|scope| {
                let thread = std::thread::Builder::new().name("namespaces".into());
                let reader = thread.spawn_scoped(scope, || this.read_others(others, &mut *sample));
                reader.map(std::thread::ScopedJoinHandle::join)
            });
            match ended {
                Ok(Ok(())) => {}
                // Told by whoever watches this thread.
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(e) => sample.faults.add(FaultKind::Namespace, FaultSubject::Namespaces, e.to_string()),
            }
        }
        sample.namespaces = self.netns.publish();
        if sample.wants.reads(Reads::NAT) {
            sample.netns_by_pid = self.netns.netns_by_pid();
        }
    }

    /// Reads one table, as far as it is wanted. `strict`: not at all where the kernel refuses to tell it in this way, and
    /// `false` is the answer.
    fn read(&mut self, table: &DumpTable, strict: bool, sample: &mut Sample) -> bool {
        if !sample.wants.protos.has(table.proto) {
            return true;
        }
        let before = dump_table::SampleLen::new(sample);
        let begin = sample.sockets.len();
        let mut states = sample.wants.states;
        if let Ask::Proc(file, family) = table.ask {
            let (file, ids) = ((file, table.proto, family), &mut SyntheticIds::default());
            super::proc_net::read_table(Path::new(THREAD_SELF), file, ids, sample);
            return true;
        }
        if !matches!(table.ask, Ask::Tcp | Ask::Inet(..)) {
            self.dump(table, mask(table, states), None, false, sample);
            if matches!(table.ask, Ask::Unix) {
                non_ip::join_unix(sample, begin);
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
        if sample.wants.reads(Reads::AUTO_PORT) {
            let ask = request(table, mask(table, StateSet::ALL), &Wants::default().with_attrs(AttrSet::NONE));
            self.ask_ports(ask, begin, sample);
        }
        true
    }

    /// Asks again for the sockets whose port the kernel chose, and marks them: no attribute tells it.
    fn ask_ports(
        &mut self,
        mut ask: crate::collect::netlink::wire::Request,
        begin: usize,
        sample: &mut Sample,
    ) {
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
            Err(e) if e.is_unsupported() => {}
            Err(e) => sample.faults.add(FaultKind::Failed, FaultSubject::AutoPorts, e.to_string()),
        }
    }

    /// Dumps one table in these states, as far as the kernel can leave out what is not wanted: where it is long in parts
    /// beside each other. `strict` as in [`dump_table::dump_table`].
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
        let machine = bytecode::Machine(&self.interfaces);
        let program = |p: Option<&Prefilter>| p.and_then(|p| bytecode::compile(p, &machine));
        let space =
            self.netns.get(self.number).filter(|_| self.number > 0).map(|s| s.namespace.name.as_str());
        let whole =
            TableDump { table, states, program: program(filter), interfaces: &self.interfaces, space };
        let sockets = if table.proto == Proto::Tcp { parallel_dump::socket_count(table) } else { 0 };
        let to_the_end = sample.wants.max_sockets.is_none();
        if to_the_end && filter.is_none() && states == mask(table, StateSet::ALL) {
            // Room at once: what grows while it is filled is copied over and over.
            sample.sockets.reserve_exact(usize::try_from(sockets).unwrap_or(0));
        }
        if to_the_end && parallel_dump::worth_splitting(table, sockets, self.procs.is_preparing()) {
            let both = parallel_dump::port_partition(filter).map(|p| program(Some(&p)));
            if parallel_dump::dump_parallel(&whole, both, &mut self.talk, sample) {
                return true;
            }
        }
        dump_table::dump_table(&whole, &mut self.talk, strict, sample)
    }
}

/// Address family and protocol by which the kernel is asked for an IP socket.
fn table_of(s: &Socket) -> io::Result<(u8, u16)> {
    let protocol = DUMPS.iter().find_map(|t| match t.ask {
        Ask::Inet(_, protocol, _) if t.proto == s.proto => Some(protocol),
        _ => None,
    });
    let family = if s.family == Family::Inet { AF_INET } else { AF_INET6 };
    Ok((family, protocol.ok_or(io::ErrorKind::Unsupported)?))
}

/// Ends a socket that a dump told.
pub(crate) fn destroy(s: &Socket) -> io::Result<()> {
    let (family, protocol) = table_of(s)?;
    let mut talk = NetlinkSocket::open(Some(SOCK_DIAG))?;
    talk.order(&crate::collect::netlink::wire::Request::destroy(family, protocol, family == AF_INET, s))
}

/// The BPF maps that keep something beside this socket: id, bytes. Asked for of it alone, since the kernel copies out what
/// they keep: of a whole table that can be more than all the rest. It tells them in dumps only.
pub(crate) fn maps_of(s: &Socket) -> io::Result<Vec<(u32, u32)>> {
    let (family, protocol) = table_of(s)?;
    let mut ask = crate::collect::netlink::wire::Request::between(
        family,
        protocol,
        u32::MAX,
        s.local.port,
        s.remote.port,
    );
    ask.bpf_maps();
    let info = BackendInfo { backend: Backend::Netlink, reason: String::new() };
    let mut sample = Sample::empty(stamp(), "".into(), Arc::new(info), Wants::default());
    let mut talk = NetlinkSocket::open(Some(SOCK_DIAG))?;
    let done = talk.dump(&ask, |message| inet::decode(message, s.proto, &mut sample));
    done.map_err(|e| match e {
        crate::collect::netlink::socket::DumpError::Io(e) => e,
        e @ crate::collect::netlink::socket::DumpError::Lost => io::Error::other(e.to_string()),
    })?;
    let found = sample.sockets.iter().find(|o| o.id.cookie == s.id.cookie);
    let found = found.ok_or(io::ErrorKind::NotFound)?;
    Ok(sample.attrs_of(found).bpf_maps().map_or_else(Vec::new, Iterator::collect))
}

/// The states to ask for, as this table numbers them.
fn mask(table: &DumpTable, states: StateSet) -> u32 {
    match table.ask {
        // Without states, or with those of TCP.
        Ask::Netlink | Ask::Packet | Ask::Xdp => u32::MAX,
        Ask::Unix | Ask::Vsock | Ask::Tipc => states.kernel_tcp_mask() | states.kernel_datagram_mask(),
        _ if table.proto.has_tcp_states() => states.kernel_tcp_mask(),
        _ => states.kernel_datagram_mask(),
    }
}

fn request(table: &DumpTable, states: u32, wants: &Wants) -> crate::collect::netlink::wire::Request {
    match table.ask {
        Ask::Tcp => crate::collect::netlink::wire::Request::tcp(wants.needs.attrs.bits(), states),
        Ask::Inet(family, protocol, _) => {
            crate::collect::netlink::wire::Request::inet(family, protocol, wants.needs.attrs.bits(), states)
        }
        Ask::Unix => crate::collect::netlink::wire::Request::unix(states),
        Ask::Netlink => crate::collect::netlink::wire::Request::netlink(),
        // There are few of them: who asks for all that there is gets their filters too.
        Ask::Packet => crate::collect::netlink::wire::Request::packet(
            wants.reads(Reads::BPF) || wants.needs.attrs == AttrSet::ALL,
        ),
        Ask::Xdp => crate::collect::netlink::wire::Request::xdp(),
        Ask::Tipc => crate::collect::netlink::wire::Request::tipc(states),
        Ask::Vsock | Ask::Proc(..) => crate::collect::netlink::wire::Request::vsock(states),
    }
}

fn decode(
    table: &DumpTable,
    message: &[u8],
    interfaces: &BTreeMap<u32, String>,
    sample: &mut Sample,
) -> Result<(), crate::collect::netlink::socket::Malformed> {
    match table.ask {
        Ask::Tcp | Ask::Inet(..) => inet::decode(message, table.proto, sample),
        Ask::Unix => non_ip::unix(message, sample),
        Ask::Netlink => non_ip::netlink(message, sample),
        Ask::Packet => non_ip::packet(message, interfaces, sample),
        Ask::Xdp => non_ip::xdp(message, interfaces, sample),
        Ask::Tipc => tipc::tipc(message, sample),
        Ask::Vsock | Ask::Proc(..) => non_ip::vsock(message, sample),
    }
}

impl Source for NetlinkSource {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        let mut sample =
            Sample::empty(stamp(), Arc::clone(&self.host), Arc::clone(&self.info), wants.clone());
        sample.sockets.reserve_exact(self.sockets + self.sockets / 16);
        sample.attrs.reserve_exact(self.attrs + self.attrs / 16);
        self.procs.prepare(&sample);
        sample.infos.reserve_exact(self.infos + self.infos / 16);
        self.read_namespaces(&mut sample);
        (self.sockets, self.attrs, self.infos) =
            (sample.sockets.len(), sample.attrs.len(), sample.infos.len());
        if sample.wants.reads(Reads::CGROUPS) {
            self.cgroups.fill(&mut sample);
        }
        self.procs.read(&mut sample);
        sample.duration_us = stamp().boot_ns.saturating_sub(sample.at.boot_ns) / 1000;
        Ok(sample)
    }
}
