//! A small machine for tests of this module, and a large one.

use crate::model::sample::{ClosedBy, Event, EventKind, EventProcess};
use crate::model::snapshot::{
    Direction, EventLog, EventRow, HostState, LastOwner, Port, ProcessBy, ProcessFacts, Rates, RemoteHost,
    SocketFacts,
};
use crate::model::{
    Addr, Backend, BackendInfo, Endpoint, Family, Faults, FdUsage, Missing, Namespace, Owner, ProcInfo,
    Process, Proto, Sample, Snapshot, Socket, SocketId, Stamp, State, StateCounts, Unit, Wants,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn ep(s: &str) -> Endpoint {
    let (a, p) = s.rsplit_once(':').unwrap();
    Endpoint::new(a.trim_matches(['[', ']']).parse().unwrap(), p.parse().unwrap())
}

/// One socket: its owners are indexes of processes.
pub(crate) struct Row {
    pub(crate) socket: Socket,
    pub(crate) owners: Vec<u32>,
    pub(crate) direction: Direction,
    pub(crate) rates: Rates,
    pub(crate) age_s: u64,
    pub(crate) waiting_s: Option<u64>,
}

pub(crate) fn row(proto: Proto, state: State, local: &str, remote: &str, owners: &[u32]) -> Row {
    let v6 = local.starts_with('[');
    let mut s = Socket::new(
        SocketId { netns: 0, cookie: 0 },
        if v6 { Family::Inet6 } else { Family::Inet },
        proto,
        state,
    );
    s.local = ep(local);
    s.remote =
        if remote == "*" { Endpoint::new(if v6 { Addr::ANY6 } else { Addr::ANY4 }, 0) } else { ep(remote) };
    Row {
        socket: s,
        owners: owners.to_vec(),
        direction: Direction::None,
        rates: Rates::default(),
        age_s: 100,
        waiting_s: None,
    }
}

/// A listening TCP endpoint, with the rows of its sockets and its processes.
pub(crate) fn port(local: Endpoint, sockets: &[u32], processes: &[u32]) -> Port {
    Port {
        netns: 0,
        proto: Proto::Tcp,
        state: State::Listen,
        local,
        iface: 0,
        sockets: sockets.to_vec(),
        clients: vec![],
        hosts: 0,
        states: StateCounts::default(),
        recv_q: 0,
        backlog: 0,
        fullest: None,
        drops: None,
        sk_drops: None,
        processes: processes.to_vec(),
        scope: local.addr.scope(),
        rx: None,
        tx: None,
        filtered: None,
    }
}

pub(crate) fn process(pid: u32, comm: &str, uid: u32, open: u32, soft: u64) -> Process {
    Process {
        info: Arc::new(ProcInfo {
            pid,
            ppid: 1,
            start_ns: u64::from(pid) * 1_000_000_000,
            comm: comm.into(),
            cmdline: format!("/usr/bin/{comm} --serve").into(),
            uid,
            cgroup: Some(format!("/system.slice/{comm}.service").into()),
        }),
        fds: Ok(FdUsage {
            open,
            soft: Some(soft),
            hard: Some(soft * 4),
            open_at_ns: 0,
            above_soft: 0,
            highest: None,
            kinds: None,
            kinds_at_ns: 0,
        }),
        fds_hidden: None,
        fd_targets: Arc::from([]),
        halted: None,
        freezer: None,
    }
}

/// A snapshot of these.
pub(crate) fn snapshot(rows: Vec<Row>, processes: Vec<Process>, names: &[&str]) -> Snapshot {
    let at = Stamp { boot_ns: 100_000_000_000_000, unix_ns: 1_700_000_000_000_000_000 };
    let backend = Arc::new(BackendInfo { backend: Backend::Script, reason: "requested".to_owned() });
    let mut sample = Sample::empty(at, "test".into(), backend, Wants::default());
    sample.namespaces = Arc::from([Namespace {
        inode: 1,
        name: "host".to_owned(),
        interfaces: BTreeMap::from([(1, "lo".to_owned()), (2, "eth0".to_owned())]),
    }]);
    sample.users = Arc::new(BTreeMap::from([(0, "root".into()), (33, "www-data".into())]));
    sample.names.extend(names.iter().map(|n| Box::from(*n)));
    let mut owners = Vec::new();
    let mut facts = Vec::new();
    let mut rates = Vec::new();
    let mut states = StateCounts::default();
    for (i, mut r) in rows.into_iter().enumerate() {
        r.socket.id.cookie = i as u64 + 1;
        r.socket.inode = if r.owners.is_empty() { 0 } else { i as u64 + 5000 };
        let start = owners.len() as u32;
        owners.extend(r.owners.iter().map(|p| Owner {
            inode: r.socket.inode,
            process: *p,
            fd: i as u32 + 3,
        }));
        let missing = r.owners.is_empty().then_some(match r.socket.state {
            State::TimeWait => Missing::TimeWait,
            _ => Missing::NotPermitted,
        });
        facts.push(SocketFacts {
            owners: (start, owners.len() as u32),
            owner_missing: missing,
            first_seen_ns: at.boot_ns - r.age_s * 1_000_000_000,
            preexisting: false,
            state_since_ns: at.boot_ns - r.age_s * 1_000_000_000,
            waiting_since_ns: r.waiting_s.map_or(0, |n| at.boot_ns - n * 1_000_000_000),
            direction: r.direction,
            activity: [0; 8],
        });
        rates.push(r.rates.into());
        states.add(r.socket.state);
        sample.sockets.push(r.socket);
    }
    sample.owners = owners.into();
    let live = sample.sockets.len();
    let units = processes.iter().map(|p| Unit::parse(p.info.cgroup.as_deref().unwrap_or(""))).collect();
    let process_facts =
        (1..=processes.len() as u32).map(|unit| ProcessFacts { unit, ..ProcessFacts::default() }).collect();
    sample.processes = processes;
    Snapshot {
        forwards: None,
        map: crate::model::map::Map::default(),
        seq: 1,
        sample,
        merged: None,
        live_rows: None,
        closed_rows: Vec::new(),
        closed_names: Vec::new(),
        closed_ns: Vec::new(),
        derive_faults: Faults::default(),
        live,
        facts,
        rates,
        counters: Vec::new(),
        local_peers: Vec::new(),
        host_peers: Arc::default(),
        last_owners: Vec::new(),
        limits: Vec::new(),
        unjudged: Vec::new(),
        alerts: Vec::new(),
        sockets_of: Vec::new(),
        processes: process_facts,
        units,
        unit_of_cgroup: BTreeMap::new(),
        ports: Vec::new(),
        peers: Vec::new(),
        peer_sockets: Vec::new(),
        peer_processes: Vec::new(),
        states,
        numbers: crate::model::history::History::default(),
        history: Arc::default(),
        hidden: Vec::new(),
        opened: 0,
        closed: 0,
        events: EventLog::default(),
        dns: crate::model::snapshot::DnsLog::default(),
    }
}

/// A connection of a process in a unit that the peer closed.
pub(crate) fn closed_event(units: &[Unit]) -> EventRow {
    let process =
        Some(Arc::new(EventProcess { pid: 9, start_ns: 1, comm: "api".into(), uid: 7, cgroup_id: 1 }));
    let event = Event {
        at_ns: 9_000_000_000,
        kind: EventKind::Closed,
        id: SocketId { netns: 0, cookie: 5 },
        family: Family::Inet,
        proto: Proto::Tcp,
        local: ep("10.0.0.1:80"),
        remote: Some(ep("10.0.0.9:5000")),
        iface: 0,
        process: process.clone(),
        uid: Some(7),
        inbound: Some(true),
        start_ns: 1_000_000_000,
        opened_ns: 2_000_000_000,
        tx: Some(200),
        rx: Some(100),
        retrans: Some(0),
        rtt_us: Some(90),
        closed_by: Some(ClosedBy::Peer),
        errno: 0,
        from: Some(State::LastAck),
        state_us: None,
    };
    EventRow {
        number: 1,
        event,
        count: 1,
        counted: false,
        unix_ns: 1_795_801_755_411_000_000,
        process,
        process_by: ProcessBy::Event,
        direction: Direction::In,
        duration_ns: Some(7_000_000_000),
        is_lower_bound: false,
        unit: Some((Arc::from(units), 0)),
        netns_inode: 1,
        netns_name: "host".into(),
    }
}

/// The rows: see the comments for their numbers.
pub(crate) fn machine() -> Snapshot {
    use State::{CloseWait, Closed, Established, Listen, SynSent, TimeWait, Unconn};
    let rate = |rx: f32, tx: f32| Rates { rx: Some(rx), tx: Some(tx), retrans: Some(0.0) };
    let mut rows = vec![
        row(Proto::Tcp, Listen, "0.0.0.0:443", "*", &[0, 1]), // 0
        row(Proto::Tcp, Listen, "[::]:22", "*", &[2]),        // 1
        row(Proto::Tcp, Established, "10.0.0.4:443", "203.0.113.5:50000", &[0]), // 2
        row(Proto::Tcp, Established, "10.0.0.4:443", "203.0.113.6:50001", &[1]), // 3
        row(Proto::Tcp, CloseWait, "10.0.0.4:443", "203.0.113.5:50002", &[0]), // 4
        row(Proto::Tcp, TimeWait, "10.0.0.4:443", "198.51.100.7:40000", &[]), // 5
        row(Proto::Tcp, Established, "10.0.0.4:40222", "10.0.0.9:5432", &[3]), // 6
        row(Proto::Tcp, SynSent, "10.0.0.4:40300", "192.0.2.1:80", &[3]), // 7
        row(Proto::Tcp, Established, "[2001:db8::4]:22", "[2001:db8::77]:61000", &[2]), // 8
        row(Proto::Udp, Unconn, "0.0.0.0:53", "*", &[4]),     // 9
        row(Proto::Udp, Established, "127.0.0.1:51000", "127.0.0.1:53", &[3]), // 10
        row(Proto::Tcp, Closed, "0.0.0.0:0", "*", &[3]),      // 11
        row(Proto::Unix, Listen, "0.0.0.0:0", "*", &[4]),     // 12
        row(Proto::Unix, Established, "0.0.0.0:0", "*", &[4]), // 13
        row(Proto::Tcp, Established, "[::ffff:10.0.0.4]:22", "[::ffff:10.1.2.3]:33000", &[2]), // 14
    ];
    rows[12].socket.family = Family::Unix;
    rows[12].socket.local_name = 1;
    rows[13].socket.family = Family::Unix;
    rows[13].socket.local_name = 2;
    rows[2].rates = rate(2_000_000.0, 10.0);
    rows[2].direction = Direction::In;
    rows[3].rates = rate(100.0, 5000.0);
    rows[3].direction = Direction::In;
    rows[4].direction = Direction::In;
    rows[6].direction = Direction::Out;
    rows[6].age_s = 7200;
    rows[7].age_s = 5;
    rows[6].socket.recv_q = 70_000;
    rows[9].socket.iface = 2;
    rows[6].socket.uid = 33;
    let processes = vec![
        process(812, "nginx", 33, 900, 1000),
        process(813, "nginx", 33, 10, 1000),
        process(700, "sshd", 0, 12, 1024),
        process(991, "api server", 1001, 100, 1024),
        process(5, "systemd-resolve", 101, 40, 524_288),
    ];
    let mut snap = snapshot(rows, processes, &["/run/systemd/resolve.sock", "@abstract"]);
    snap.last_owners = vec![(5, LastOwner { pid: 812, comm: "nginx".into(), fd: 9 })];
    snap
}

/// Many sockets of many kinds, always the same for the same number.
pub(crate) fn many(n: usize) -> Snapshot {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let states: Vec<State> = State::all().collect();
    let ports = [22u16, 53, 80, 443, 5432, 8080];
    let rows = (0..n)
        .map(|_| {
            let mut s =
                Socket::new(SocketId { netns: 0, cookie: 0 }, Family::Inet, Proto::Tcp, State::Established);
            s.state = states[if next(3) == 0 { next(12) as usize } else { 1 }];
            s.proto = if next(5) == 0 { Proto::Udp } else { Proto::Tcp };
            let mut end = |known: bool| {
                let addr = match next(8) {
                    0 => Addr::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, next(256) as u8]),
                    1 => Addr::ANY4,
                    2 => Addr::v4([127, 0, 0, 1]),
                    _ => Addr::v4([10, next(4) as u8, next(256) as u8, next(256) as u8]),
                };
                let port = if known { ports[next(6) as usize] } else { 1024 + next(60000) as u16 };
                Endpoint::new(addr, port)
            };
            s.local = end(true);
            s.remote = end(false);
            if s.local.addr == Addr::default() || !s.local.addr.is_v4() {
                s.family = Family::Inet6;
            }
            s.recv_q = next(5000) as u32;
            s.uid = [0, 33, 1001][next(3) as usize];
            Row {
                socket: s,
                owners: if next(10) == 0 { vec![] } else { vec![next(500) as u32] },
                direction: Direction::In,
                rates: Rates { rx: Some(next(1_000_000) as f32), tx: Some(next(1000) as f32), retrans: None },
                age_s: next(900),
                waiting_s: None,
            }
        })
        .collect();
    let processes = (0..500)
        .map(|i| process(1000 + i, ["nginx", "java", "postgres"][i as usize % 3], 33, i, 1024))
        .collect();
    snapshot(rows, processes, &[])
}

/// Host that answers, with this snapshot as its first one.
pub(crate) fn remote_host(name: &str, mut snap: Snapshot) -> RemoteHost {
    snap.sample.host = name.into();
    RemoteHost {
        name: name.into(),
        state: HostState::Up,
        reason: String::new(),
        age_s: 0,
        clock_s: 0,
        is_new: true,
        snap: Arc::new(snap),
    }
}
