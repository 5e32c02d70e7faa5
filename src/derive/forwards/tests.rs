use super::*;
use crate::derive::Engine;
use crate::model::Reads;
use crate::model::{
    Backend, BackendInfo, Family, Flow, Namespace, Netfilter, Owner, ProcInfo, Process, Sample, Socket,
    SocketId, Stamp, State, Wants, nft,
};
use std::sync::Arc;

pub(super) fn end(s: &str) -> Endpoint {
    let a: std::net::SocketAddr = s.parse().unwrap();
    Endpoint::new(a.ip().into(), a.port())
}

pub(super) fn machine() -> Sample {
    let info = Arc::new(BackendInfo { backend: Backend::Script, reason: String::new() });
    let wants = Wants::default().with(Reads::NAT | Reads::LOCAL_PEERS);
    let at = Stamp { boot_ns: 1_000_000_000, unix_ns: 0 };
    let mut sample = Sample::empty(at, "x".into(), info, wants);
    let space = |inode, name: &str| Namespace {
        inode,
        name: name.into(),
        interfaces: std::collections::BTreeMap::new(),
    };
    sample.namespaces = Arc::from([space(1, "host"), space(2, "web")]);
    let process = |pid, comm: &str, cmdline: &str| Process {
        info: Arc::new(ProcInfo {
            pid,
            ppid: 1,
            start_ns: 5,
            comm: comm.into(),
            cmdline: cmdline.into(),
            uid: 0,
            cgroup: None,
        }),
        fds: Err(crate::model::Missing::NotRead),
        fds_hidden: None,
        fd_targets: Arc::from([]),
        halted: None,
        freezer: None,
    };
    sample.processes = vec![
        process(10, "nginx", "nginx: master"),
        process(
            20,
            "docker-proxy",
            "docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80",
        ),
    ];
    let mut owners = Vec::new();
    let mut add = |netns, state, local: &str, remote: &str, owner: u32, fd| {
        let n = sample.sockets.len() as u64 + 1;
        let mut s = Socket::new(SocketId { netns, cookie: n }, Family::Inet, Proto::Tcp, state);
        (s.inode, s.local) = (n, end(local));
        s.remote = if remote.is_empty() { Endpoint::new(Addr::ANY4, 0) } else { end(remote) };
        owners.push(Owner { inode: n, process: owner, fd });
        sample.sockets.push(s);
    };
    let e = State::Established;
    add(0, State::Listen, "0.0.0.0:8080", "", 1, 4);
    add(1, State::Listen, "0.0.0.0:80", "", 0, 6);
    // By the NAT rule: the container sees the client's address.
    add(1, e, "172.17.0.2:80", "203.0.113.5:50000", 0, 7);
    // By the proxy: the container sees the proxy's address.
    add(0, e, "127.0.0.1:8080", "127.0.0.1:41000", 1, 5);
    add(0, e, "172.17.0.1:42000", "172.17.0.2:80", 1, 6);
    add(1, e, "172.17.0.2:80", "172.17.0.1:42000", 0, 8);
    sample.owners = owners.into();
    let flow = |id, orig: (&str, &str), reply: (&str, &str)| Flow {
        netns: 0,
        proto: Proto::Tcp,
        orig: (end(orig.0), end(orig.1)),
        reply: (end(reply.0), end(reply.1)),
        status: 0x2e,
        tcp_state: Some(3),
        timeout_s: Some(100),
        bytes: None,
        mark: 0,
        zone: 0,
        id,
    };
    let mut nft = nft::Ruleset::default();
    for (port, target) in [(8080, "172.17.0.2:80"), (9090, "172.17.0.2:90"), (7070, "10.9.9.9:70")] {
        let location = "ip nat DOCKER handle 7".to_owned();
        let (iface, target) = (Some("!docker0".to_owned()), end(target));
        nft.add_dnat(&nft::builder::DnatRule { location, iface, proto: Proto::Tcp, port, target }).unwrap();
    }
    sample.netfilter = Some(Netfilter { nft: vec![nft], iptables: Vec::new() });
    sample.flows = vec![
        flow(1, ("203.0.113.5:50000", "10.0.0.1:8080"), ("172.17.0.2:80", "203.0.113.5:50000")),
        Flow {
            tcp_state: Some(7),
            ..flow(3, ("203.0.113.5:49999", "10.0.0.1:8080"), ("172.17.0.2:80", "203.0.113.5:49999"))
        },
        flow(2, ("198.51.100.1:1", "10.0.0.1:22"), ("10.0.0.1:22", "198.51.100.1:1")),
    ];
    sample.addresses = vec![
        (0, "10.0.0.1".parse().unwrap()),
        (0, "172.17.0.1".parse().unwrap()),
        (1, "172.17.0.2".parse().unwrap()),
    ];
    sample
}

#[test]
fn rule_and_proxy_of_one_port_are_one_row() {
    let snap = Engine::new().step(machine());
    let f = snap.forwards.as_ref().unwrap();
    assert_eq!(f.rows.len(), 3);
    let web = f.rows.iter().find(|r| r.host.port == 8080).unwrap();
    let by: Vec<_> = web.via.iter().map(|s| s.kind.name()).collect();
    assert_eq!(by, ["dnat", "docker-proxy"]);
    assert_eq!(
        (web.target, web.target_netns, web.target_row, web.listens),
        (Some(end("172.17.0.2:80")), Some(1), Some(1), Some(true))
    );
    assert_eq!((web.clients, web.sockets.as_slice()), (2, &[2, 3][..]));
    // No listener; the target address is remote.
    let forward = |port| f.rows.iter().find(|r| r.host.port == port).unwrap();
    assert_eq!((forward(9090).listens, forward(9090).target_netns), (Some(false), Some(1)));
    assert_eq!((forward(7070).listens, forward(7070).target_netns), (None, None));
}

#[test]
fn original_client_is_known_by_conntrack_or_proxy_pair() {
    let snap = Engine::new().step(machine());
    // By conntrack.
    assert_eq!(snap.flow(2).unwrap().orig.0, end("203.0.113.5:50000"));
    assert_eq!(snap.flow(1), None);
    // By the two connections of the proxy.
    assert_eq!(snap.local_peer(5), Some(4));
    assert_eq!(snap.proxied(4), Some((3, true)));
    assert_eq!(snap.proxied(3), Some((4, true)));
    assert_eq!(snap.proxied(2), None);
    let client = |row| crate::diagnose::route::original_client(&snap, row).map(|(e, _)| e);
    assert_eq!(client(5), Some(end("127.0.0.1:41000")));
    assert_eq!((client(3), client(4)), (None, None), "they are on the client's side");
}

#[test]
fn activated_socket_is_served_by_its_service() {
    let mut sample = machine();
    // A systemd of a user or of a container, not PID 1 of the host.
    let mut manager = sample.processes[0].clone();
    let info = Arc::make_mut(&mut manager.info);
    (info.pid, info.comm, info.cmdline) = (5, "systemd".into(), "/lib/systemd/systemd --user".into());
    sample.processes.push(manager);
    let n = sample.sockets.len() as u64 + 1;
    let mut s = Socket::new(SocketId { netns: 0, cookie: n }, Family::Inet, Proto::Tcp, State::Listen);
    (s.inode, s.local, s.remote) = (n, end("0.0.0.0:6000"), Endpoint::new(Addr::ANY4, 0));
    sample.sockets.push(s);
    let held = |process, fd| Owner { inode: n, process, fd };
    let mut owners = sample.owners.to_vec();
    owners.extend([held(2, 30), held(0, 3)]);
    sample.owners = owners.clone().into();
    let served = |snap: &crate::model::Snapshot| {
        let rows = &snap.forwards.as_ref().unwrap().rows;
        let row = rows.iter().position(|f| f.host.port == 6000).unwrap();
        let column = crate::table::table("forwards").and_then(|t| t.column("pid")).unwrap();
        let by: Vec<_> = rows[row].known_via().map(|s| s.kind.name()).collect();
        (by, rows[row].listens, column.value(snap, row).number())
    };
    let snap = Engine::new().step(sample.clone());
    assert_eq!(served(&snap), (vec!["socket-activation"], Some(true), Some(10.0)), "nginx");
    // The service is not started yet.
    owners.pop();
    sample.owners = owners.into();
    let snap = Engine::new().step(sample);
    assert_eq!(served(&snap), (vec!["socket-activation"], Some(true), Some(5.0)), "itself");
}

#[test]
fn target_of_ssh_r_is_known_if_its_client_is_connected_from_this_host() {
    let forward = |cmdline: &str, client: &str| {
        let mut sample = machine();
        let mut process = |pid, comm: &str, cmdline: &str| {
            let mut p = sample.processes[0].clone();
            let info = Arc::make_mut(&mut p.info);
            (info.pid, info.comm, info.cmdline) = (pid, comm.into(), cmdline.into());
            sample.processes.push(p);
        };
        process(50, "sshd-session", "sshd-session: scope@notty");
        process(60, "ssh", cmdline);
        let mut owners = sample.owners.to_vec();
        let e = State::Established;
        for (state, local, remote, process) in [
            (State::Listen, "127.0.0.1:6000", "0.0.0.0:0", 2),
            (e, "127.0.0.1:22", "127.0.0.1:41000", 2),
            (e, client, "127.0.0.1:22", 3),
        ] {
            let n = sample.sockets.len() as u64 + 1;
            let mut s = Socket::new(SocketId { netns: 0, cookie: n }, Family::Inet, Proto::Tcp, state);
            (s.inode, s.local, s.remote) = (n, end(local), end(remote));
            sample.sockets.push(s);
            owners.push(Owner { inode: n, process, fd: 3 });
        }
        sample.owners = owners.into();
        let snap = Engine::new().step(sample);
        let rows = &snap.forwards.as_ref().unwrap().rows;
        let f = rows.iter().find(|f| f.host.port == 6000).expect("a row");
        (f.known_via().map(|v| v.kind.name()).collect::<Vec<_>>(), f.target)
    };
    let ssh = vec!["ssh"];
    let here = "127.0.0.1:41000";
    assert_eq!(forward("ssh -NR 6000:10.0.0.9:80 host", here), (ssh.clone(), Some(end("10.0.0.9:80"))));
    assert_eq!(forward("ssh -NR 6001:10.0.0.9:80 host", here), (ssh.clone(), None), "of another port");
    assert_eq!(forward("ssh -NR 6000:10.0.0.9:80 host", "127.0.0.1:41001"), (ssh, None), "of another server");
}
