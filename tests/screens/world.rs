//! A small machine over a few polls: nginx under load, a leak, a full queue, a process near its limit, hostile names.

use sockscope::derive::Engine;
use sockscope::model::attr::push;
use sockscope::model::diag_attr::inet;
use sockscope::model::{
    AttrSet, Backend, BackendInfo, Endpoint, Family, FaultKind, FaultSubject, FdUsage, Owner, ProcInfo,
    Process, Proto, Sample, Snapshot, Socket, SocketId, Stamp, State, Wants,
};
use std::net::SocketAddr;
use std::sync::Arc;

const PROCESSES: &[(u32, &str, &str, u32, u64, u32)] = &[
    (640, "sshd", "/usr/sbin/sshd -D", 6, 1024, 0),
    (812, "nginx", "nginx: master process /usr/sbin/nginx", 12, 1024, 0),
    (815, "nginx", "nginx: worker process", 940, 1024, 33),
    (818, "nginx", "nginx: worker process", 800, 1024, 33),
    (824, "postgres", "postgres -D /var/lib/postgresql/17/main", 40, 524_288, 105),
    (991, "api", "/usr/bin/api --listen 8080 --db postgres://10.0.0.9/app", 120, 4096, 1000),
    (1200, "evil\x1b[31m\nname", "evil \u{202e}cmd\x07 한국어", 3, 1024, 1000),
];

struct Maker {
    sample: Sample,
    owners: Vec<Owner>,
}

impl Maker {
    fn add(
        &mut self,
        cookie: u64,
        proto: Proto,
        state: State,
        ends: (&str, &str),
        by: &[u32],
        queues: (u32, u32),
    ) {
        let end = |s: &str| {
            let a: SocketAddr = s.parse().unwrap();
            Endpoint::new(a.ip().into(), a.port())
        };
        let family = if ends.0.starts_with('[') { Family::Inet6 } else { Family::Inet };
        let mut s = Socket::new(SocketId { netns: 0, cookie }, family, proto, state);
        s.local = end(ends.0);
        s.remote = end(ends.1);
        (s.recv_q, s.send_q) = queues;
        if !by.is_empty() {
            s.inode = 10_000 + cookie;
            s.uid = 33;
        }
        if state == State::CloseWait {
            // The last ACK came two minutes ago.
            let mut info = vec![0u8; 60];
            info[56..60].copy_from_slice(&120_000u32.to_ne_bytes());
            let mut raw = Vec::new();
            push(&mut raw, inet::INFO, &info);
            self.sample.push_attrs(&mut s, &raw);
        }
        if proto == Proto::Tcp && state == State::Established {
            let poll = self.sample.at.boot_ns / 1_000_000_000 - 1000;
            let mut info = vec![0u8; 232];
            info[68..72].copy_from_slice(&(300 + cookie as u32 * 37).to_ne_bytes());
            info[120..128].copy_from_slice(&(cookie * 9_000 * poll).to_ne_bytes());
            info[128..136].copy_from_slice(&(cookie * 1_300 * poll).to_ne_bytes());
            let mut raw = Vec::new();
            push(&mut raw, inet::INFO, &info);
            push(&mut raw, inet::CONG, b"cubic\0");
            self.sample.push_attrs(&mut s, &raw);
        }
        for pid in by {
            let process = PROCESSES.iter().position(|p| p.0 == *pid).unwrap() as u32;
            self.owners.push(Owner { inode: s.inode, process, fd: 6 + cookie as u32 % 900 });
        }
        self.sample.sockets.push(s);
    }
}

fn poll(n: u32) -> Sample {
    let at = Stamp {
        boot_ns: (1000 + u64::from(n)) * 1_000_000_000,
        unix_ns: (1_800_000_000 + u64::from(n)) * 1_000_000_000,
    };
    let why = BackendInfo { backend: Backend::Netlink, reason: String::new() };
    let wants = Wants::default().with_attrs(AttrSet::ALL);
    let mut m = Maker { sample: Sample::empty(at, "web-1".into(), Arc::new(why), wants), owners: Vec::new() };
    m.sample.duration_us = 12_345;
    for (pid, comm, cmdline, open, soft, uid) in PROCESSES {
        let info = ProcInfo {
            pid: *pid,
            ppid: 1,
            start_ns: u64::from(*pid) * 1_000_000,
            comm: (*comm).into(),
            cmdline: (*cmdline).into(),
            uid: *uid,
            cgroup: None,
        };
        let fds = FdUsage {
            open: open + if *pid == 815 { n } else { 0 },
            soft: Some(*soft),
            hard: Some(524_288),
            open_at_ns: 0,
            above_soft: 0,
            highest: None,
            kinds: None,
            kinds_at_ns: 0,
        };
        m.sample.processes.push(Process {
            info: Arc::new(info),
            fds: Ok(fds),
            fds_hidden: None,
            fd_targets: Arc::from([]),
            halted: None,
            freezer: None,
        });
    }
    m.sample.users = Arc::new([(0, "root".into()), (33, "www-data".into()), (105, "postgres".into())].into());
    let any = "0.0.0.0:0";
    m.add(1, Proto::Tcp, State::Listen, ("0.0.0.0:443", any), &[812, 815, 818], (3, 511));
    m.add(2, Proto::Tcp, State::Listen, ("127.0.0.1:5432", any), &[824], (0, 128));
    m.add(3, Proto::Tcp, State::Listen, ("[::]:22", "[::]:0"), &[640], (120, 128));
    m.add(4, Proto::Udp, State::Unconn, ("127.0.0.53:53", any), &[1200], (0, 0));
    for i in 0..30 + n {
        let far = format!("203.0.113.{}:{}", i % 17, 50_000 + i);
        let queue = if i % 5 == 0 { 1200 } else { 0 };
        let id = 100 + u64::from(i);
        m.add(id, Proto::Tcp, State::Established, ("10.0.0.4:443", &far), &[815 + i % 2 * 3], (0, queue));
    }
    for i in 0..5u32 {
        // The third one has closed at the last poll.
        if i == 2 && n == 7 {
            continue;
        }
        let near = format!("10.0.0.4:{}", 40_222 + i);
        m.add(200 + u64::from(i), Proto::Tcp, State::Established, (&near, "10.0.0.9:5432"), &[991], (0, 0));
    }
    let far = "[2606:4700:4700::1111]:443";
    m.add(300, Proto::Tcp, State::Established, ("[2001:db8:1234:5678::1]:33444", far), &[991], (0, 0));
    for i in 0..5 + n {
        let far = format!("203.0.113.5:{}", 60_000 + i);
        m.add(400 + u64::from(i), Proto::Tcp, State::CloseWait, ("10.0.0.4:443", &far), &[815], (1, 0));
    }
    for i in 0..9 - n % 4 {
        let near = format!("10.0.0.4:{}", 41_222 + i);
        m.add(500 + u64::from(i), Proto::Tcp, State::TimeWait, (&near, "10.0.0.9:5432"), &[], (0, 0));
    }
    m.add(600, Proto::Tcp, State::SynSent, ("10.0.0.4:39999", "198.51.100.7:25"), &[991], (0, 1));
    m.sample.faults.add_many(FaultKind::Vanished, FaultSubject::Descriptors, "", 2);
    m.owners.sort_unstable();
    m.sample.owners = m.owners.into();
    m.sample
}

/// Eight polls of the scenario.
pub(crate) fn polls() -> Vec<Arc<Snapshot>> {
    let mut engine = Engine::new();
    (0..8).map(|n| engine.step(poll(n))).collect()
}
