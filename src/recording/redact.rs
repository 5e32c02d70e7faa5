//! Redaction: samples without what identifies hosts and people, so that a recording can be attached to a bug report.
//!
//! Addresses, host, user, container and file names, arguments and comments are replaced by values that depend on a random key. The
//! key is made for one recording and never stored: equal values stay equal within it, and nothing else can be learnt
//! from them. What is needed to understand the sample stays: port numbers, states, counters, pids, uids, program names (comm),
//! the scope of an address, and words that every system has (`/run/systemd/journal/socket`, `DOCKER-USER`, `system.slice`).
//!
//! Every field of a sample is named here, so that a new one does not compile until it is decided; and a test fills random samples
//! with a marker and searches for it (`tests/random_samples.rs`).

mod address;
mod cgroup;
mod netfilter;
mod socket;
mod text;

use crate::model::process::FdKind;
use crate::model::sample::{Dns, DnsQuery, Event, EventCount, Events};
use crate::model::{
    Addr, BackendInfo, Container, Contexts, Endpoint, FailedHop, FaultSubject, Faults, FdTarget, Flow,
    ListenQueue, Namespace, ProcInfo, Process, Sample,
};
use siphasher::sip::SipHasher24;
use std::collections::{BTreeMap, HashSet};
use std::hash::Hasher;
use std::io;
use std::sync::Arc;

/// Key of one recording.
pub struct Redactor {
    key: [u8; 16],
}

impl std::fmt::Debug for Redactor {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

/// Processes of the sample by name and pid: a namespace that is named after one keeps its name.
type Processes<'a> = HashSet<(&'a str, u32)>;

impl Redactor {
    /// A redactor with a key of the system's random numbers.
    pub fn new() -> io::Result<Self> {
        let mut key = [0; 16];
        let read = rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())?;
        if read != key.len() {
            return Err(io::Error::other("too few random bytes"));
        }
        Ok(Self { key })
    }

    /// Keyed hash of a value of one kind.
    fn hash(&self, kind: &str, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(kind.as_bytes());
        hasher.write_u8(0);
        hasher.write(bytes);
        hasher.finish()
    }

    /// Redacts a sample.
    pub fn sample(&self, sample: &mut Sample) {
        self.sockets(sample);
        // A field that is not named here does not compile.
        let Sample {
            at: _,
            duration_us: _,
            host,
            redacted,
            backend,
            wants,
            namespaces,
            sockets: _,
            attrs: _,
            infos: _,
            info_words: _,
            names: _,
            owners: _,
            owners_by: _,
            processes,
            netns_by_pid: _,
            users,
            cgroups,
            containers,
            contexts,
            tids: _,
            usage: _,
            system: _,
            privileges: _,
            counters,
            netfilter,
            flows,
            events,
            dns,
            addresses,
            failed_hops,
            services: _,
            hosts,
            faults,
        } = sample;
        *redacted = true;
        *host = self.word("host", host).into();
        let BackendInfo { backend: kind, reason } = &**backend;
        *backend = Arc::new(BackendInfo { backend: *kind, reason: text::reason(reason) });
        // The condition of a filter, for the kernel: it is applied.
        wants.prefilter = None;
        let by_pid: Processes<'_> = processes.iter().map(|p| (&*p.info.comm, p.info.pid)).collect();
        *namespaces = namespaces.iter().map(|n| self.namespace(n, &by_pid)).collect();
        *faults = self.faults(faults, &by_pid);
        for p in processes {
            self.process(p);
        }
        *users = Arc::new(users.iter().map(|(uid, name)| (*uid, self.user(name))).collect());
        let paths = cgroups.iter().map(|(id, path)| (*id, self.cgroup(path).into()));
        *cgroups = Arc::new(paths.collect());
        *containers = containers.iter().map(|c| self.container(c)).collect();
        self.contexts(contexts);
        if let Some(counters) = counters {
            for (path, _, _) in &mut counters.cgroup_pids {
                *path = self.cgroup(path).into();
            }
            for queue in &mut counters.listen_queues {
                let ListenQueue { netns: _, proto, name, inode: _, waiting: _, backlog: _ } = queue;
                *name = self.end_name(*proto, name).into();
            }
            let unread = counters.nets.iter_mut().map(|n| &mut n.sysctl_unread);
            let unread = unread.chain([&mut counters.sysctl_unread, &mut counters.cgroups_unread]);
            for reason in unread.flatten() {
                *reason = text::reason(reason).into();
            }
        }
        if let Some(rules) = netfilter {
            self.netfilter(rules);
        }
        for flow in flows {
            let Flow {
                netns: _,
                proto: _,
                orig,
                reply,
                status: _,
                tcp_state: _,
                timeout_s: _,
                bytes: _,
                mark: _,
                zone: _,
                id: _,
            } = flow;
            for end in [&mut orig.0, &mut orig.1, &mut reply.0, &mut reply.1] {
                self.endpoint(end);
            }
        }
        self.events(events);
        self.dns(dns);
        for (_, addr) in addresses {
            *addr = self.addr(*addr);
        }
        for FailedHop { netns: _, dest, hop, iface: _, waiting: _ } in failed_hops {
            (*dest, *hop) = (self.addr(*dest), self.addr(*hop));
        }
        *hosts = Arc::default();
    }

    fn endpoint(&self, end: &mut Endpoint) {
        let Endpoint { addr, port: _ } = end;
        *addr = self.addr(*addr);
    }

    fn events(&self, events: &mut Events) {
        let Events { source: _, reason, since_ns: _, list, counts, lost: _ } = events;
        *reason = text::reason(reason).into();
        for event in list {
            self.event(event);
        }
        for count in counts {
            let EventCount {
                netns: _,
                kind: _,
                remote,
                inbound: _,
                pid: _,
                comm: _,
                errno: _,
                events: _,
                tx: _,
                rx: _,
            } = count;
            self.endpoint(remote);
        }
    }

    fn dns(&self, dns: &mut Dns) {
        let Dns { on: _, reason, since_ns: _, list, waiting: _, lost: _ } = dns;
        *reason = text::reason(reason).into();
        for query in list {
            let DnsQuery {
                asked_ns: _,
                took_ns: _,
                netns: _,
                proto: _,
                client,
                server,
                inbound: _,
                id: _,
                name,
                qtype: _,
                outcome: _,
                truncated: _,
                answers: _,
                addrs,
                tries: _,
                process: _,
                uid: _,
            } = query;
            self.endpoint(client);
            self.endpoint(server);
            let labels: Vec<String> = name.split('.').map(|label| self.word("label", label)).collect();
            *name = labels.join(".").into();
            for addr in addrs {
                *addr = self.addr(*addr);
            }
        }
    }

    fn event(&self, event: &mut Event) {
        let Event {
            at_ns: _,
            kind: _,
            id: _,
            family: _,
            proto: _,
            local,
            remote,
            iface: _,
            process: _,
            uid: _,
            inbound: _,
            start_ns: _,
            opened_ns: _,
            tx: _,
            rx: _,
            retrans: _,
            rtt_us: _,
            closed_by: _,
            errno: _,
            from: _,
            state_us: _,
        } = event;
        self.endpoint(local);
        if let Some(remote) = remote {
            self.endpoint(remote);
        }
    }

    fn namespace(&self, namespace: &Namespace, processes: &Processes<'_>) -> Namespace {
        let Namespace { inode, name, interfaces } = namespace;
        let interfaces: BTreeMap<u32, String> =
            interfaces.iter().map(|(index, name)| (*index, self.interface(name))).collect();
        Namespace { inode: *inode, name: self.namespace_name(name, processes), interfaces }
    }

    /// `host`, and the name of a process with its pid, stay.
    fn namespace_name(&self, name: &str, processes: &Processes<'_>) -> String {
        let process = name.strip_suffix(" socket").unwrap_or(name).rsplit_once(' ');
        let is_process = process
            .and_then(|(comm, pid)| Some((comm, pid.parse().ok()?)))
            .is_some_and(|p| processes.contains(&p));
        if name == "host" || is_process { name.to_owned() } else { self.word("name", name) }
    }

    fn process(&self, process: &mut Process) {
        let Process { info, fds: _, fds_hidden: _, fd_targets, halted: _, freezer } = process;
        let ProcInfo { pid, ppid, start_ns, comm, cmdline, uid, cgroup } = &**info;
        *info = Arc::new(ProcInfo {
            pid: *pid,
            ppid: *ppid,
            start_ns: *start_ns,
            comm: comm.clone(),
            cmdline: self.command_line(comm, cmdline).into(),
            uid: *uid,
            cgroup: cgroup.as_deref().map(|path| self.cgroup(path).into()),
        });
        let target = |t: &FdTarget| {
            let FdTarget { kind, path, count, fds } = t;
            FdTarget { kind: *kind, path: self.fd_target(*kind, path), count: *count, fds: fds.clone() }
        };
        *fd_targets = fd_targets.iter().map(target).collect();
        *freezer = freezer.as_deref().map(|path| self.cgroup(path).into());
    }

    fn fd_target(&self, kind: FdKind, path: &str) -> Box<str> {
        // `anon_inode:[eventpoll]`, `pipe:[812]`: the kernel's own, with numbers.
        let is_kernel = |p: &str| {
            let (name, rest) = p.split_once(":[").unwrap_or((p, ""));
            let number = rest.strip_suffix(']').unwrap_or(rest);
            ["pipe", "socket"].contains(&name) && number.bytes().all(|c| c.is_ascii_digit())
        };
        match path {
            p if kind != FdKind::File && (is_kernel(p) || text::ANON_INODES.contains(&p)) => p.into(),
            p => self.path(p).into(),
        }
    }

    fn container(&self, container: &Container) -> Container {
        let Container { engine, id, name, image, pod, addrs, ports } = container;
        let pod = pod.clone().map(|mut pod| {
            let crate::model::Pod { uid, name, qos: _ } = &mut pod;
            *uid = self.id(uid).into();
            *name = name.as_deref().map(|n| self.word("name", n).into());
            pod
        });
        let ports = ports.iter().copied().map(|mut p| {
            self.endpoint(&mut p.host);
            p
        });
        Container {
            engine: *engine,
            id: self.id(id).into(),
            name: name.as_deref().map(|n| self.word("name", n).into()),
            image: image.as_deref().map(|n| self.word("image", n).into()),
            pod,
            addrs: addrs.iter().map(|a| self.addr(*a)).collect::<Vec<Addr>>(),
            ports: ports.collect(),
        }
    }

    fn contexts(&self, contexts: &mut Contexts) {
        let Contexts { processes, sockets } = contexts;
        let sockets = sockets.iter_mut().flat_map(|all| all.values_mut());
        for label in processes.iter_mut().chain(sockets).flatten() {
            if **label != *"unconfined" {
                *label = self.word("label", label).into();
            }
        }
    }

    fn faults(&self, faults: &Faults, processes: &Processes<'_>) -> Faults {
        let mut out = Faults::default();
        for fault in faults.iter() {
            let subject = match &fault.subject {
                FaultSubject::Dump { proto, family, netns } => FaultSubject::Dump {
                    proto: *proto,
                    family: *family,
                    netns: netns.as_deref().map(|n| self.namespace_name(n, processes).into()),
                },
                FaultSubject::ProcNet(file) => FaultSubject::ProcNet(self.proc_file(file).into()),
                FaultSubject::Captured(file) => FaultSubject::Captured(self.proc_file(file).into()),
                other => other.clone(),
            };
            out.add_many(fault.kind, subject, text::reason(&fault.detail), fault.count);
        }
        out
    }
}
