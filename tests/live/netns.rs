//! Several network namespaces at once, compared with the view from inside each.

use super::compare::check;
use crate::wait::{PATIENCE, until};
use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

pub(crate) fn sh(script: &str) -> Result<String, String> {
    let out = Command::new("sh").args(["-c", script]).output().map_err(|e| e.to_string())?;
    check(out.status.success(), || format!("{script}: {}", String::from_utf8_lossy(&out.stderr)))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

pub(crate) fn rows(args: &[&str]) -> Result<Vec<serde_json::Value>, String> {
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(args)
        .args(["--format", "json"])
        .output()
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout);
    serde_json::from_str(&text).map_err(|e| format!("{e}: {text} {}", String::from_utf8_lossy(&out.stderr)))
}

pub(crate) struct Program(pub(crate) Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Listens in a namespace and keeps accepted connections.
fn server(before: &[&str], at: &str) -> Program {
    let script = format!(
        "use IO::Socket::INET; my $l = IO::Socket::INET->new(Listen => 5, LocalAddr => '{at}') or die; \
         my @k; while (my $c = $l->accept) {{ push @k, $c }}"
    );
    let all = [before, &["perl", "-e", &script]].concat();
    Program(Command::new(all[0]).args(&all[1..]).stdin(Stdio::null()).spawn().expect("perl"))
}

/// Namespaces created and deleted during polls, mounted ones and those of a process: permanent ones are
/// in every poll under their name, and deleted ones cause no fault.
pub(crate) fn namespaces_that_come_and_go_are_no_faults() -> Result<(), String> {
    use sockscope::collect::{Choice, Engines, open};
    use sockscope::model::{FaultKind, FaultSubject, Netns, State, Wants};
    sh("ip netns add keep && ip -n keep link set lo up")?;
    let _keep = server(&["ip", "netns", "exec", "keep"], "127.0.0.1:7961");
    until("the listener", || rows(&["list", "state:listen", "lport:7961"]).ok().filter(|r| !r.is_empty()))?;
    let busy =
        "i=0; while :; do i=$((i+1)); ip netns add x$i; ip netns exec x$i true; ip netns del x$i; done";
    let brief = "while :; do unshare --net true; done";
    let _busy: Vec<Program> = [busy, busy, brief, brief]
        .iter()
        .map(|script| {
            let script = script.replace("x$i", "x$$-$i");
            let shell = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).spawn();
            shell.map(Program).map_err(|e| e.to_string())
        })
        .collect::<Result<_, _>>()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").map_err(|e| e.to_string())?;
    let path = |line: &str| Some(line.split(' ').nth(4)?.to_owned()).filter(|p| !p.starts_with("/run/"));
    let nsfs = mounts.lines().filter(|l| l.contains(" net:[")).filter_map(path);
    let foreign: Vec<String> = nsfs.filter_map(|p| Some(p.rsplit('/').next()?.to_owned())).collect();
    for choice in [Choice::Netlink, Choice::Proc] {
        let mut source =
            open(choice, None, Netns::All, None, sockscope::collect::EventMethod::Off, Engines::Off)
                .map_err(|e| e.to_string())?;
        let wants = Wants::default();
        let (mut polls, mut seen) = (0, BTreeSet::new());
        let end = Instant::now() + PATIENCE;
        while polls < 50 || seen.len() < 10 {
            check(Instant::now() < end, || format!("only {} namespaces in {polls} polls", seen.len()))?;
            polls += 1;
            let sample = source.sample(&wants).map_err(|e| e.to_string())?;
            let mut kept = sample.sockets.iter().filter(|s| s.state == State::Listen && s.local.port == 7961);
            let name = kept.next().map(|s| sample.namespaces[usize::from(s.id.netns)].name.as_str());
            check(name == Some("keep") && kept.next().is_none(), || format!("{choice:?}: {name:?}"))?;
            seen.extend(sample.namespaces.iter().map(|n| (n.inode, n.name.clone())));
            // A namespace that exists only by its mount is not accessible through a process.
            let odd = sample.faults.iter().find(|f| {
                let unheld = choice == Choice::Proc && f.detail.contains("no process in it");
                let brief = matches!(f.kind, FaultKind::Vanished | FaultKind::Interrupted);
                // Mounts of the machine outside /run are visible here, and may not be entered.
                let foreign = foreign.iter().any(|name| f.detail.contains(name));
                f.subject != FaultSubject::Descriptors && !(brief || unheld || foreign)
            });
            check(odd.is_none(), || format!("{choice:?}: {odd:?}"))?;
        }
    }
    Ok(())
}

/// Equal endpoints in two namespaces are two sockets; names, limits, peer and closing are right in each.
pub(crate) fn equal_addresses_in_two_namespaces_are_two_sockets() -> Result<(), String> {
    sh("ip netns add red && ip -n red link set lo up
        ip link add v0 type veth peer name v1 netns red
        ip addr add 10.99.0.1/24 dev v0; ip link set v0 up
        ip -n red addr add 10.99.0.2/24 dev v1; ip -n red link set v1 up
        ip netns exec red sh -c 'echo 51000 51099 > /proc/sys/net/ipv4/ip_local_port_range'")?;
    let here = std::net::TcpListener::bind("127.0.0.1:7951").map_err(|e| e.to_string())?;
    let red = server(&["ip", "netns", "exec", "red"], "0.0.0.0:7951");
    let alone =
        server(&["unshare", "--net", "sh", "-c", "ip link set lo up; exec \"$0\" \"$@\""], "127.0.0.1:7951");
    // The third is named after its process, a shell until it executes the listener.
    let after_process = format!("perl {}", alone.0.id());
    let mut last = Vec::new();
    let found = until("three listeners", || {
        last = rows(&["list", "state:listen", "lport:7951"]).ok()?;
        let mut names: Vec<_> = last.iter().filter_map(|r| r["netns"].as_str()).collect();
        names.sort_unstable();
        (names == ["here", after_process.as_str(), "red"]).then(|| last.clone())
    })
    .map_err(|e| format!("{e}: {last:?}"))?;
    let of_red = found.iter().find(|r| r["netns"] == "red").ok_or("red")?;
    check(of_red["pid"] == red.0.id(), || format!("the owner in red: {of_red}"))?;
    // The view from inside the namespace.
    let theirs = sh("ip netns exec red ss -Htlne sport = :7951")?;
    check(theirs.contains(&format!("ino:{} ", of_red["inode"])), || format!("{theirs} {of_red}"))?;

    // Selected by filter and by flag; the error for an unknown one lists the existing ones.
    check(rows(&["list", "ns:red"])?.iter().all(|r| r["netns"] == "red"), || "ns:red".to_owned())?;
    check(rows(&["list", "--netns", "red", "state:listen"])?.len() == 1, || "--netns red".to_owned())?;
    check(rows(&["list", "--netns", "here", "lport:7951"])?.len() == 1, || "--netns here".to_owned())?;
    let grouped = rows(&["list", "lport:7951", "--group-by", "netns"])?;
    check(grouped.len() == 3, || format!("{grouped:?}"))?;
    let wrong = Command::new(env!("CARGO_BIN_EXE_sockscope")).args(["list", "--netns", "blue"]).output();
    let wrong = wrong.map_err(|e| e.to_string())?;
    let message = String::from_utf8_lossy(&wrong.stderr).into_owned();
    check(wrong.status.code() == Some(2) && message.contains("blue") && message.contains("red"), || message)?;

    // A connection across the veth pair has both processes.
    let client = std::net::TcpStream::connect("10.99.0.2:7951").map_err(|e| e.to_string())?;
    let mine = std::process::id();
    let ends = until("both ends", || {
        rows(&["list", "addr:10.99.0.2", "port:7951", "state:established"]).ok().filter(|r| r.len() == 2)
    })?;
    for end in &ends {
        let far = if end["pid"] == mine { format!("perl {}", red.0.id()) } else { format!("{mine}") };
        let peer = end["peer_process"].as_str().unwrap_or("");
        check(peer.ends_with(&far), || format!("the peer is {far}: {end}"))?;
    }
    // Each has its own limits.
    let out = Command::new("ip")
        .args(["netns", "exec", "red", "perl", "-e"])
        .arg("use IO::Socket::INET; my $l = IO::Socket::INET->new(PeerAddr => '127.0.0.1:7951') or die; sleep 600")
        .stdin(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    let client_in_red = Program(out);
    let route = until("a row of local ports in red", || {
        rows(&["limits", "limit:ports", "ns:red"]).ok().and_then(|r| r.first().cloned())
    })?;
    check(route["max"] == 100, || format!("{route}"))?;

    // Closed in its namespace.
    let mut source = sockscope::collect::open(
        sockscope::collect::Choice::Netlink,
        None,
        sockscope::model::Netns::All,
        None,
        sockscope::collect::EventMethod::Off,
        sockscope::collect::Engines::Off,
    )
    .map_err(|e| e.to_string())?;
    let sample = source.sample(&sockscope::model::Wants::default()).map_err(|e| e.to_string())?;
    let target = sample
        .sockets
        .iter()
        .find(|s| s.id.netns != 0 && s.local.port == 7951 && s.remote.addr.to_string() == "10.99.0.1");
    sockscope::actions::close_socket(target.ok_or("the server's end")?, &sample.namespaces)
        .map_err(|e| e.to_string())?;
    let mut byte = [0];
    let reset = std::io::Read::read(&mut &client, &mut byte).err().map(|e| e.kind());
    check(reset == Some(std::io::ErrorKind::ConnectionReset), || format!("{reset:?}"))?;

    // One deleted while watched disappears, without a fault in the others.
    drop((red, client_in_red));
    sh("ip netns del red")?;
    let left =
        until("red is gone", || rows(&["list", "state:listen", "lport:7951"]).ok().filter(|r| r.len() == 2))?;
    check(left.iter().all(|r| r["netns"] != "red"), || format!("{left:?}"))?;
    drop(here);
    Ok(())
}

/// Runs a program until the test ends.
pub(crate) fn background(args: &[&str]) -> Result<Program, String> {
    Command::new(args[0])
        .args(&args[1..])
        .stdin(Stdio::null())
        .spawn()
        .map(Program)
        .map_err(|e| e.to_string())
}

/// Two links with the same link-local address behind each, one connection over the first and two over the second.
pub(crate) fn link_local_peers_of_two_links_are_two_peers() -> Result<(), String> {
    // The kernel would choose the same local ports in both: it hashes the addresses, which are equal.
    for i in ["0", "1"] {
        sh(&format!(
            "ip netns add cs{i} && ip link add v{i} type veth peer name w netns cs{i} &&
             ip link set v{i} addrgenmode none up && ip addr add fe80::1/64 dev v{i} nodad &&
             ip -n cs{i} link set w addrgenmode none up && ip -n cs{i} addr add fe80::2/64 dev w nodad &&
             ip netns exec cs{i} sh -c 'echo 4{i}000 4{i}100 >/proc/sys/net/ipv4/ip_local_port_range'"
        ))?;
    }
    let serve = "import socket\ns = socket.socket(socket.AF_INET6)\ns.bind(('::', 41900))\ns.listen()\nA = []\n\
                 while 1: A.append(s.accept())";
    let connect = "import socket, sys, time\nC = []\nwhile len(C) < int(sys.argv[1]):\n  \
                   try: C.append(socket.create_connection(('fe80::1%w', 41900)))\n  \
                   except OSError: time.sleep(.05)\ntime.sleep(999)";
    let _server = background(&["python3", "-c", serve])?;
    let _clients = [
        background(&["ip", "netns", "exec", "cs0", "python3", "-c", connect, "1"])?,
        background(&["ip", "netns", "exec", "cs1", "python3", "-c", connect, "2"])?,
    ];
    let here = |filter: &str| rows(&["list", "--netns", "here", &format!("state:established {filter}")]).ok();
    until("three connections", || here("").filter(|r| r.len() == 3))?;
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    let peers = rows(&["peers", "--netns", "here", "-c", "addr,connections"])?;
    let mut got: Vec<(String, u64)> =
        peers.iter().map(|p| (text(&p["addr"]), p["connections"].as_u64().unwrap_or(0))).collect();
    got.sort_unstable();
    let want = [("fe80::2%v0".to_owned(), 1), ("fe80::2%v1".to_owned(), 2)];
    check(got == want, || format!("peers {got:?}"))?;
    let ports = rows(&["ports", "--netns", "here", "-c", "clients,hosts"])?;
    check(ports[0]["clients"] == 3 && ports[0]["hosts"] == 2, || format!("{ports:?}"))?;
    for (filter, n) in [
        ("remote:fe80::2", 3),
        ("remote:fe80::2%v0", 1),
        ("remote:fe80::2%v1", 2),
        ("dst [fe80::2%v1]", 2),
        ("src [fe80::1]%v0:41900", 1),
        ("not remote:fe80::2%v0", 2),
        ("remote:fe80::2%v7", 0),
    ] {
        let got = here(filter).unwrap_or_default();
        check(got.len() == n, || format!("{filter}: {got:?}"))?;
    }
    // With the other ends read too, each is the peer of one.
    let all = rows(&["list", "state:established", "-c", "local,remote,peer_process"])?;
    check(all.len() == 6 && all.iter().all(|r| text(&r["peer_process"]).starts_with("python3")), || {
        format!("{all:?}")
    })?;
    sh("ip netns del cs0 && ip netns del cs1").map(drop)
}

/// The process at the other end: of a socket connected to itself that process, of a datagram client its server, which is
/// connected to none of its clients.
pub(crate) fn peer_process_of_one_way_and_self_connected_sockets_is_known() -> Result<(), String> {
    let serve = "import socket, time\nd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\nd.bind('/run/log')\n\
                 time.sleep(999)";
    let own = "import socket, time\nt = socket.socket()\nt.bind(('127.0.0.1', 41901))\n\
               t.connect(('127.0.0.1', 41901))\nd = []\nfor _ in range(2):\n  \
               s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n  \
               while s.connect_ex('/run/log'): time.sleep(.02)\n  d.append(s)\ntime.sleep(999)";
    let server = background(&["python3", "-c", serve])?;
    let client = background(&["python3", "-c", own])?;
    let peers = |filter: &str| -> Option<Vec<String>> {
        let rows = rows(&["list", filter, "-c", "peer_process"]).ok()?;
        Some(rows.iter().map(|r| r["peer_process"].as_str().unwrap_or("-").to_owned()).collect())
    };
    let clients = format!("proto:unix pid={}", client.0.id());
    let want = vec![format!("python3 {}", server.0.id()); 2];
    until("the server as peer of both", || peers(&clients).filter(|p| *p == want))?;
    let own = peers("proto:tcp lport:41901");
    check(own == Some(vec![format!("python3 {}", client.0.id())]), || format!("{own:?}"))
}

/// Namespaces that no `ns/net` of a process and no `ip netns` leads to: kept by a socket, a descriptor, a thread, a bind mount.
pub(crate) fn namespaces_without_a_process_are_read() -> Result<(), String> {
    use sockscope::collect::{Choice, Engines, open};
    use sockscope::model::{FaultKind, Netns, State, Wants};
    let script = "\
import ctypes, fcntl, os, socket, struct, threading, time
l = ctypes.CDLL(None); home = os.open('/proc/self/ns/net', 0); L = []
def new(port):
    assert l.unshare(0x40000000) == 0
    s = socket.socket(); s.bind(('127.77.7.7', port)); s.listen(); L.append(s)
new(41140); l.setns(home, 0x40000000)
def w(): new(41141); time.sleep(999)
threading.Thread(target=w, daemon=True).start()
while len(L) < 2: time.sleep(.01)
new(41142); open('/run/my ns', 'w').close()
assert l.mount(b'/proc/%d/ns/net' % os.getpid(), b'/run/my ns', None, 4096, None) == 0
new(41143); k = os.open('/proc/self/ns/net', 0)
c = socket.socket(); fcntl.ioctl(c, 0x8914, struct.pack('16sh', b'lo', 0x41))
c.connect(('127.77.7.7', 41143)); a, _ = L[-1].accept(); a.close(); c.close()
l.setns(home, 0x40000000)
open('/run/ready', 'w'); time.sleep(999)";
    // Mounted where this test sees it.
    let p = background(&["python3", "-c", script])?;
    until("the listeners", || std::path::Path::new("/run/ready").exists().then_some(()))?;
    let pid = p.0.id();
    for by in ["walk", "bpf", "auto"] {
        let rows = rows(&[
            "list",
            "local:127.77.7.7 state:listen",
            "-c",
            "local_port,owners,netns",
            "--owners",
            by,
        ])?;
        let mut got: Vec<(u64, u64, String)> = rows
            .iter()
            .map(|r| {
                let netns = r["netns"].as_str().unwrap_or_default();
                let owner = r["owners"][0]["pid"].as_u64().unwrap_or(0);
                (r["local_port"].as_u64().unwrap_or(0), owner, netns.to_owned())
            })
            .collect();
        got.sort();
        let ports: Vec<u64> = got.iter().map(|r| r.0).collect();
        check(ports == [41140, 41141, 41142, 41143], || format!("{by}: {rows:?}"))?;
        check(got.iter().all(|r| r.1 == u64::from(pid)), || format!("{by}: {got:?}"))?;
        let name = |i: usize| got[i].2.as_str();
        check(name(0) == format!("python3 {pid} socket"), || format!("{by}: {got:?}"))?;
        check(name(1).starts_with("python3 ") && name(1) != format!("python3 {pid}"), || {
            format!("{by}: {got:?}")
        })?;
        check(name(2) == "my ns", || format!("{by}: {got:?}"))?;
        check(name(3).starts_with(&format!("python3 {pid} fd ")), || format!("{by}: {got:?}"))?;
    }
    // Also if no column needs an owner.
    let plain = rows(&["list", "local:127.77.7.7 state:listen", "-c", "local_port,netns"])?;
    check(plain.len() == 4, || format!("without owners: {plain:?}"))?;
    let closing = rows(&["list", "local:127.77.7.7:41143 state:time-wait", "-c", "netns,owner"])?;
    check(closing.len() == 1, || format!("a closing socket: {closing:?}"))?;
    // `/proc` shows no tables of them: named as not entered.
    let mut source =
        open(Choice::Proc, None, Netns::All, None, sockscope::collect::EventMethod::Off, Engines::Off)
            .map_err(|e| e.to_string())?;
    let s = source.sample(&Wants::default()).map_err(|e| e.to_string())?;
    let named = s.faults.iter().any(|f| {
        f.kind == FaultKind::Namespace && f.detail.contains(&format!("python3 {pid} socket")) && f.count >= 2
    });
    check(named, || format!("{:?}", s.faults))?;
    // The namespace is not kept by reading it.
    let mut source = super::owners::source_of(Netns::All)?;
    let ports = |source: &mut dyn sockscope::collect::Source| -> Option<Vec<u16>> {
        let s = super::owners::read(source).ok()?;
        let listeners = s.sockets.iter().filter(|s| s.state == State::Listen);
        Some(listeners.map(|s| s.local.port).filter(|p| (41140..41144).contains(p)).collect())
    };
    check(ports(source.as_mut()).is_some_and(|p| p.len() == 4), || "the first poll".to_owned())?;
    check(ports(source.as_mut()).is_some_and(|p| p.len() == 4), || "the second poll".to_owned())?;
    drop(p);
    until("the end of the listeners", || ports(source.as_mut()).filter(Vec::is_empty))?;
    sh("umount '/run/my ns'").map(drop)
}

/// A namespace in which one process may be looked at and another not is one, and no namespace but the initial one is `host`.
pub(crate) fn namespace_of_visible_and_hidden_processes_is_one() -> Result<(), String> {
    let serve = "\
import os, socket, subprocess, time
s = socket.socket(); s.bind(('127.77.7.8', 41150)); s.listen()
subprocess.Popen(['setpriv', '--reuid=65534', '--clear-groups', 'sleep', '999'])
time.sleep(999)";
    let _p = background(&["unshare", "-n", "python3", "-c", serve])?;
    let as_user = |program: &str| {
        let rows = Command::new("setpriv")
            .args([
                "--reuid=65534",
                "--clear-groups",
                program,
                "list",
                "local:127.77.7.8",
                "-c",
                "local,netns",
                "-f",
                "json",
            ])
            .output()
            .map_err(|e| e.to_string())?;
        serde_json::from_slice::<Vec<serde_json::Value>>(&rows.stdout).map_err(|e| e.to_string())
    };
    // The build directory may be closed to other users.
    let copy = "/run/sockscope";
    std::fs::copy(env!("CARGO_BIN_EXE_sockscope"), copy).map_err(|e| e.to_string())?;
    sh("chmod 755 /run /run/sockscope")?;
    let processes = || sh("pgrep -u 65534 sleep").ok();
    until("the process of the user", processes)?;
    let got = until("the listener", || as_user(copy).ok().filter(|r| !r.is_empty()))?;
    check(got.len() == 1 && got[0]["netns"] != "host", || format!("{got:?}"))?;
    // A namespace without processes, kept by a descriptor of another user, would not be found.
    let empty =
        sh(&format!("setpriv --reuid=65534 --clear-groups {copy} list local:127.77.7.9 2>&1 || true"))?;
    check(empty.contains("not searched for: those that only threads or descriptors of "), || empty.clone())?;
    check(empty.find("no socket matches") < empty.find("not searched for"), || {
        format!("the answer first: {empty}")
    })?;
    // Root of this test is in a network namespace of its own, so its is not the host's.
    let own = rows(&["list", "proto:netlink", "-c", "netns"])?;
    check(!own.is_empty() && own.iter().all(|r| r["netns"] != "host"), || format!("{own:?}"))
}

/// An ordinary user sees the namespace of another user's process that `ip netns exec` started under its name, once; not that of a
/// process that has left it since.
pub(crate) fn namespace_of_ip_netns_exec_has_its_name_for_every_user() -> Result<(), String> {
    sh("mkdir -p /run/netns && ip netns add named1 && ip netns add named2")?;
    let serve = |port: u16| {
        format!(
            "import socket, time\ns = socket.socket(); s.bind(('0.0.0.0', {port})); s.listen()\ntime.sleep(999)"
        )
    };
    let (inside, left, besides) = (serve(41160), serve(41161), serve(41162));
    let _a = background(&["ip", "netns", "exec", "named1", "python3", "-c", &inside])?;
    // It keeps the mounts of the namespace that it left, in which another process is.
    let _b = background(&["ip", "netns", "exec", "named2", "unshare", "-n", "python3", "-c", &left])?;
    let _c = background(&["ip", "netns", "exec", "named2", "python3", "-c", &besides])?;
    let copy = "/run/sockscope-named";
    std::fs::copy(env!("CARGO_BIN_EXE_sockscope"), copy).map_err(|e| e.to_string())?;
    sh(&format!("chmod 755 /run {copy}"))?;
    let list = format!(
        "setpriv --reuid=65534 --clear-groups {copy} list lport:41160-41162 -c lport,netns -f csv -H"
    );
    let got = until("three listeners", || sh(&list).ok().filter(|text| text.lines().count() == 3))?;
    let netns = |port: &str| {
        let line = got.lines().find(|l| l.starts_with(port)).unwrap_or_default();
        line.split_once(',').map_or("", |l| l.1).to_owned()
    };
    check(netns("41160") == "named1", || got.clone())?;
    check(netns("41161").starts_with("python3 "), || got.clone())?;
    sh("ip netns del named1 && ip netns del named2").map(drop)
}
