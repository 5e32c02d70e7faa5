//! The crates `netstat2` and `sysinfo`: a second implementation, to compare the results of the others with, and the start of a port
//! to other systems.
//!
//! On Linux `netstat2` asks `sock_diag` and `sysinfo` reads `/proc`, so where those are missing this backend has nothing either: it
//! is no fallback for a restricted machine.
//!
//! The backend with the least data: no queues, timers, attributes or descriptor numbers, and no peers of datagram sockets.

use super::proc_net::report_unlisted;
use super::procs::users::Users;
use super::source::{CollectError, Source, host, stamp};
use super::synthetic_id::SyntheticIds;
use crate::model::{
    Addr, Backend, BackendInfo, Endpoint, Family, FaultKind, FaultSubject, FdUsage, Missing, Namespace,
    Owner, ProcInfo, Process, Proto, Reads, Sample, Socket, SocketId, State, Wants, text,
};
use crate::privilege::{PROCESSES, raise};
use netstat2::{AddressFamilyFlags, ProtocolFlags, ProtocolSocketInfo, SocketInfo, TcpState};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, ThreadKind, UpdateKind};

/// Backend based on `netstat2` and `sysinfo`.
#[derive(Debug)]
pub struct PortableSource {
    system: System,
    /// Boot time, seconds since 1970.
    boot_secs: u64,
    host: Arc<str>,
    info: Arc<BackendInfo>,
    namespaces: Arc<[Namespace]>,
    users: Users,
}

impl PortableSource {
    /// Opens the backend. `why` is the reason for it.
    pub fn new(why: String) -> Result<Self, CollectError> {
        sockets(false)?;
        if !sysinfo::IS_SUPPORTED_SYSTEM {
            let why = "processes: not supported on this system".to_owned();
            return Err(CollectError::Unavailable { backend: "portable", why });
        }
        Ok(Self {
            system: System::new(),
            boot_secs: System::boot_time(),
            host: host(),
            info: Arc::new(BackendInfo { backend: Backend::Portable, reason: why }),
            namespaces: Arc::from([Namespace { inode: 0, name: "host".into(), interfaces: BTreeMap::new() }]),
            users: Users::new(true),
        })
    }

    /// Adds the processes; returns the index of each by pid.
    fn processes(&mut self, sample: &mut Sample) -> FxHashMap<u32, u32> {
        let what = ProcessRefreshKind::nothing()
            .without_tasks()
            .with_user(UpdateKind::Always)
            // exec keeps the pid.
            .with_cmd(UpdateKind::Always);
        self.system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
        let mut all: Vec<_> = self
            .system
            .processes()
            .values()
            .filter(|p| p.thread_kind() != Some(ThreadKind::Kernel))
            .collect();
        all.sort_by_key(|p| p.pid());
        let mut rows = FxHashMap::default();
        for p in all {
            let cmd: Vec<_> = p.cmd().iter().map(|a| text::from_bytes(a.as_bytes())).collect();
            let fds = if sample.wants.reads(Reads::PROCESSES) { fd_usage(p) } else { Err(Missing::NotRead) };
            rows.insert(p.pid().as_u32(), sample.processes.len() as u32);
            sample.processes.push(Process {
                info: Arc::new(ProcInfo {
                    pid: p.pid().as_u32(),
                    ppid: p.parent().map_or(0, sysinfo::Pid::as_u32),
                    start_ns: p.start_time().saturating_sub(self.boot_secs) * 1_000_000_000,
                    comm: text::from_bytes(p.name().as_bytes()).into(),
                    cmdline: cmd.join(" ").into(),
                    uid: p.effective_user_id().or(p.user_id()).map_or(0, |u| **u),
                    cgroup: None,
                }),
                fds_hidden: (fds == Err(Missing::NotPermitted)).then_some(Missing::NotPermitted),
                fd_targets: Arc::from([]),
                halted: None,
                freezer: None,
                fds,
            });
        }
        rows
    }
}

/// Descriptor count and limit of a process.
fn fd_usage(p: &sysinfo::Process) -> Result<FdUsage, Missing> {
    Ok(FdUsage {
        open: p.open_files().ok_or(Missing::NotPermitted)? as u32,
        soft: p.open_files_limit().map(|n| n as u64),
        hard: None,
        kinds: None,
        kinds_at_ns: 0,
        open_at_ns: 0,
        above_soft: 0,
        highest: None,
    })
}

/// All sockets, with or without the pids of their owners.
fn sockets(with_pids: bool) -> Result<Vec<Result<SocketInfo, netstat2::error::Error>>, CollectError> {
    let families = AddressFamilyFlags::IPV4 | AddressFamilyFlags::IPV6;
    let protocols = ProtocolFlags::TCP | ProtocolFlags::UDP;
    let all = if with_pids {
        netstat2::iterate_sockets_info(families, protocols).map(Iterator::collect)
    } else {
        netstat2::iterate_sockets_info_without_pids(families, protocols).map(Iterator::collect)
    };
    all.map_err(|e| CollectError::Unavailable { backend: "portable", why: e.to_string() })
}

fn state(s: TcpState) -> State {
    match s {
        TcpState::Listen => State::Listen,
        TcpState::SynSent => State::SynSent,
        TcpState::SynReceived => State::SynRecv,
        TcpState::Established => State::Established,
        TcpState::FinWait1 => State::FinWait1,
        TcpState::FinWait2 => State::FinWait2,
        TcpState::CloseWait => State::CloseWait,
        TcpState::Closing => State::Closing,
        TcpState::LastAck => State::LastAck,
        TcpState::TimeWait => State::TimeWait,
        TcpState::Closed | TcpState::DeleteTcb => State::Closed,
        TcpState::Unknown => State::Unknown(0),
    }
}

fn endpoint(addr: IpAddr, port: u16) -> Endpoint {
    let addr = match addr {
        IpAddr::V4(a) => Addr::v4(a.octets()),
        IpAddr::V6(a) => Addr::v6(a.octets()),
    };
    Endpoint::new(addr, port)
}

fn socket(i: &SocketInfo) -> Socket {
    let id = SocketId { netns: 0, cookie: 0 };
    let family = |a: IpAddr| if a.is_ipv4() { Family::Inet } else { Family::Inet6 };
    let mut s = match &i.protocol_socket_info {
        ProtocolSocketInfo::Tcp(t) => {
            let mut s = Socket::new(id, family(t.local_addr), Proto::Tcp, state(t.state));
            s.local = endpoint(t.local_addr, t.local_port);
            s.remote = endpoint(t.remote_addr, t.remote_port);
            s
        }
        ProtocolSocketInfo::Udp(u) => {
            let mut s = Socket::new(id, family(u.local_addr), Proto::Udp, State::Unconn);
            s.local = endpoint(u.local_addr, u.local_port);
            s.remote = Endpoint::new(if u.local_addr.is_ipv4() { Addr::ANY4 } else { Addr::ANY6 }, 0);
            s
        }
    };
    (s.inode, s.uid) = (u64::from(i.inode), i.uid);
    s
}

impl Source for PortableSource {
    fn sample(&mut self, wants: &Wants) -> Result<Sample, CollectError> {
        let mut sample =
            Sample::empty(stamp(), Arc::clone(&self.host), Arc::clone(&self.info), wants.clone());
        sample.wants.prefilter = None;
        sample.namespaces = Arc::clone(&self.namespaces);
        report_unlisted(wants.protos, &|p| matches!(p, Proto::Tcp | Proto::Udp), &mut sample.faults);
        // netstat2 panics on the search for owners if there is no /proc.
        let mut with_pids = wants.reads(Reads::OWNERS);
        if let Err(e) = std::fs::read_dir("/proc") {
            with_pids = false;
            sample.faults.add(FaultKind::Failed, FaultSubject::ProcessList, e.to_string());
        }
        let raised = raise(PROCESSES);
        let found = sockets(with_pids)?;
        // After the sockets, so that their owners are included.
        let rows = if wants.reads_any(Reads::PROCESSES | Reads::OWNERS) {
            self.processes(&mut sample)
        } else {
            FxHashMap::default()
        };
        drop(raised);
        let mut ids = SyntheticIds::default();
        let mut owners = Vec::new();
        for row in found {
            let info = match row {
                Ok(info) => info,
                Err(e) => {
                    sample.faults.add(FaultKind::Malformed, FaultSubject::PortableSockets, e.to_string());
                    continue;
                }
            };
            let mut s = socket(&info);
            if !ids.assign(&mut s)
                || !wants.protos.has(s.proto)
                || !(wants.states.has(s.state) || wants.reads(Reads::LISTENERS) && s.serves())
            {
                continue;
            }
            for process in info.associated_pids.iter().filter_map(|pid| rows.get(pid)) {
                owners.push(Owner { inode: s.inode, process: *process, fd: Owner::NO_FD });
            }
            sample.sockets.push(s);
        }
        if wants.reads(Reads::OWNERS) {
            owners.sort_unstable();
            owners.dedup();
            sample.owners = owners.into();
        }
        self.users.fill(&mut sample);
        sample.duration_us = stamp().boot_ns.saturating_sub(sample.at.boot_ns) / 1000;
        Ok(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ProtoSet, StateSet};

    #[test]
    fn own_listener_is_listed_with_its_process_and_a_stable_id() {
        let l = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = l.local_addr().unwrap().to_string();
        let mut source = PortableSource::new("requested".into()).unwrap();
        let mut ids = Vec::new();
        for _ in 0..2 {
            let s = source.sample(&Wants::default()).unwrap();
            let row =
                s.sockets.iter().find(|s| s.local.to_string() == at && s.state == State::Listen).unwrap();
            let owner = s.owners.iter().find(|o| o.inode == row.inode).unwrap();
            let p = &s.processes[owner.process as usize];
            assert_eq!((p.info.pid, owner.fd()), (std::process::id(), None));
            assert!(p.fds.unwrap().open > 2);
            let me = std::fs::read_to_string("/proc/self/comm").unwrap();
            assert_eq!(&*p.info.comm, me.trim_end());
            ids.push(row.id);
        }
        assert_eq!(ids[0], ids[1], "same socket in both polls");
        assert_eq!(ids[0].kernel_cookie(), None);
    }

    #[test]
    fn unwanted_rows_are_left_out() {
        let _tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = std::net::UdpSocket::bind("[::1]:0").unwrap();
        let at = udp.local_addr().unwrap().to_string();
        let wants = Wants {
            protos: ProtoSet::empty().with(Proto::Udp),
            states: StateSet::only(&[State::Unconn]),
            ..Wants::default()
        }
        .without(Reads::OWNERS | Reads::PROCESSES);
        let s = PortableSource::new("requested".into()).unwrap().sample(&wants).unwrap();
        assert!(s.sockets.iter().all(|s| s.proto == Proto::Udp && s.state == State::Unconn));
        let row = s.sockets.iter().find(|s| s.local.to_string() == at).unwrap();
        assert_eq!((row.family, row.remote), (Family::Inet6, Endpoint::new(Addr::ANY6, 0)));
        assert!(s.owners.is_empty() && s.processes.is_empty());
    }
}
