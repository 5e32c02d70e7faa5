//! Connections with a known life, one by one: who used them, how they ended, with which bytes.

use super::events::{events_until, kinds, open, poll};
use super::netns::{Program, sh};
use crate::wait::until_ok;
use sockscope::collect::EventMethod;
use sockscope::model::sample::{ClosedBy, Event, EventKind};
use sockscope::model::{Family, Proto};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Makes one connection of each kind; prints its name, the port of the client, and the pid that used the server's end.
const SCRIPT: &str = r#"
import os, socket, sys, time
def listener(port, host="127.0.0.1", protocol=0, fastopen=False):
    l = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, protocol)
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in host:
        l.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    if fastopen:
        l.setsockopt(socket.IPPROTO_TCP, 23, 16)
    l.bind((host, port))
    l.listen(64)
    return l
def report(name, client, pid=None):
    print(name, client.getsockname()[1], pid or os.getpid(), flush=True)
def end(client, server):
    client.close()
    assert server.recv(1) == b""
    server.close()

l = listener(7401)
# Half closed: the server still answers.
c = socket.create_connection(("127.0.0.1", 7401)); s = l.accept()[0]
report("half_closed", c)
c.sendall(b"x" * 10); c.shutdown(socket.SHUT_WR)
assert s.recv(20) == b"x" * 10 and s.recv(1) == b""
s.sendall(b"y" * 50); s.close()
n = 0
while n < 50: n += len(c.recv(50))
assert c.recv(1) == b""
c.close()
# Accepted after the client has closed.
c = socket.create_connection(("127.0.0.1", 7401))
report("accepted_late", c)
c.sendall(b"x" * 5); c.close()
s = l.accept()[0]
assert s.recv(9) == b"x" * 5 and s.recv(1) == b""
s.close()
# Used by a child that was forked between accept and use.
c = socket.create_connection(("127.0.0.1", 7401)); s = l.accept()[0]
pid = os.fork()
if pid == 0:
    c.close()
    s.recv(5); s.recv(1); os._exit(0)
report("forked", c, pid)
s.close(); c.sendall(b"x" * 5); c.close()
os.waitpid(pid, 0)
# Passed to another process.
a, b = socket.socketpair()
pid = os.fork()
if pid == 0:
    _, fds, _, _ = socket.recv_fds(b, 1, 1)
    s = socket.socket(fileno=fds[0])
    s.recv(5); s.recv(1); s.close(); os._exit(0)
c = socket.create_connection(("127.0.0.1", 7401)); s = l.accept()[0]
report("passed", c, pid)
socket.send_fds(a, [b"x"], [s.fileno()]); s.close()
c.sendall(b"x" * 5); c.close()
os.waitpid(pid, 0)
# Killed: the kernel closes.
done, ready = os.pipe()
pid = os.fork()
if pid == 0:
    s = l.accept()[0]; s.recv(5); os.write(ready, b"x"); s.recv(1); os._exit(0)
c = socket.create_connection(("127.0.0.1", 7401))
report("killed", c, pid)
c.sendall(b"x" * 5)
os.read(done, 1)
os.kill(pid, 9); os.waitpid(pid, 0)
assert c.recv(1) == b""
c.close()
# IPv6, and IPv4 through IPv6 sockets.
l6 = listener(7402, "::")
for name, host in [("ipv6", "::1"), ("mapped", "::ffff:127.0.0.1")]:
    c = socket.socket(socket.AF_INET6); c.connect((host, 7402)); s = l6.accept()[0]
    report(name, c)
    c.sendall(b"x" * 5); assert s.recv(5); end(c, s)
# Data in the SYN, the second time.
lf = listener(7403, fastopen=True)
for name in ["fastopen_asks", "fastopen"]:
    c = socket.socket(); assert c.sendto(b"x" * 7, 0x20000000, ("127.0.0.1", 7403)) == 7
    s = lf.accept()[0]
    report(name, c)
    assert s.recv(9) == b"x" * 7; end(c, s)
# Multipath TCP: the events are those of its only subflow.
lm = listener(7407, protocol=262)
c = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); c.connect(("127.0.0.1", 7407)); s = lm.accept()[0]
report("mptcp", c)
c.sendall(b"x" * 5); assert s.recv(9) == b"x" * 5; end(c, s)
# A socket connected to itself.
c = socket.socket(); c.bind(("127.0.0.1", 7404)); c.connect(("127.0.0.1", 7404))
report("itself", c)
c.sendall(b"x" * 3); assert c.recv(9) == b"xxx"; c.close()
# Several at once, each for 20 ms.
many = [socket.create_connection(("127.0.0.1", 7401)) for _ in range(50)]
ends = [l.accept()[0] for _ in many]
for c in many: report("short", c)
for c, s in zip(many, ends): c.sendall(b"x" * 5); assert s.recv(5)
time.sleep(0.02)
for c, s in zip(many, ends): end(c, s)
# No answer.
c = socket.socket(); c.setsockopt(socket.IPPROTO_TCP, 18, 200); c.bind(("10.9.0.1", 7405))
report("no_answer", c)
assert c.connect_ex(("10.9.0.2", 7406)) == 110
c.close()
"#;

/// Name, port of the client, pid of the user of the server's end.
fn made() -> Result<Vec<(String, u16, u32)>, String> {
    // Nothing answers at 10.9.0.2.
    sh("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up && \
        ip addr add 10.9.0.1/24 dev v0 && ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev v0 && \
        sysctl -qw net.ipv4.tcp_fastopen=3")?;
    let out = Command::new("python3").args(["-c", SCRIPT]).stdin(Stdio::null()).output();
    let out = out.map_err(|e| e.to_string())?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let lines = text.lines().map(|l| {
        let mut words = l.split_whitespace();
        let name = words.next()?.to_owned();
        Some((name, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    });
    lines.collect::<Option<_>>().ok_or(text)
}

/// Each end of each connection of the script, against what it did.
pub(crate) fn each_kind_of_connection_has_its_users_bytes_and_end() -> Result<(), String> {
    let mut source = open(EventMethod::Bpf)?;
    poll(&mut source)?;
    let made = made()?;
    // The last one made.
    let failed = |e: &[Event]| kinds(e, EventKind::Failed).iter().any(|e| e.local.port == 7405);
    let events = events_until(&mut source, failed)?;
    let client = |port: u16, kind: EventKind| {
        events.iter().filter(|e| e.kind == kind && e.local.port == port).collect::<Vec<_>>()
    };
    let server = |port: u16, kind: EventKind| {
        let remote = |e: &&Event| e.remote.is_some_and(|r| r.port == port);
        events.iter().filter(|e| e.kind == kind && e.local.port != port).filter(remote).collect::<Vec<_>>()
    };
    let pid = |e: &Event| e.process.as_ref().map(|p| p.pid);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    // Bytes of the client and the server.
    for (name, port, user) in &made {
        *seen.entry(name).or_default() += 1;
        let (sent, answered) = match name.as_str() {
            "half_closed" => (10, 50),
            "fastopen" | "fastopen_asks" => (7, 0),
            "itself" => (3, 3),
            "no_answer" => (0, 0),
            _ => (5, 0),
        };
        let (opened, closed) = (client(*port, EventKind::Opened), client(*port, EventKind::Closed));
        if name == "no_answer" {
            let failed = client(*port, EventKind::Failed);
            assert_eq!((opened.len(), closed.len(), failed.len()), (0, 0, 1), "{name}");
            assert_eq!((failed[0].closed_by, failed[0].errno), (Some(ClosedBy::Timeout), 110), "{name}");
            assert_eq!(failed[0].remote.unwrap().to_string(), "10.9.0.2:7406");
            continue;
        }
        assert_eq!((opened.len(), closed.len()), (1, 1), "{name}: {events:#?}");
        let main = made[0].2;
        assert_eq!((pid(opened[0]), pid(closed[0])), (Some(main), Some(main)), "{name}");
        assert_eq!((closed[0].tx, closed[0].rx), (Some(sent), Some(answered)), "{name}");
        assert_eq!((opened[0].inbound, closed[0].inbound), (Some(false), Some(false)), "{name}");
        let (opened_ns, at_ns) = (closed[0].opened_ns, closed[0].at_ns);
        assert!(name != "short" || at_ns - opened_ns >= 20_000_000, "{name}: {opened_ns} to {at_ns}");
        let v6 = matches!(name.as_str(), "ipv6" | "mapped");
        assert_eq!(closed[0].family, if v6 { Family::Inet6 } else { Family::Inet }, "{name}");
        if name == "itself" {
            continue;
        }
        let (accepted, ended) = (server(*port, EventKind::Accepted), server(*port, EventKind::Closed));
        assert_eq!((accepted.len(), ended.len()), (1, 1), "{name}");
        // The process uses the MPTCP socket, not the subflow.
        if name != "mptcp" {
            assert_eq!((pid(accepted[0]), pid(ended[0])), (Some(*user), Some(*user)), "{name}");
        }
        assert_eq!((ended[0].tx, ended[0].rx), (Some(answered), Some(sent)), "{name}");
        // The first FIN.
        let (here, peer) = (Some(ClosedBy::Here), Some(ClosedBy::Peer));
        let ends = if name == "killed" { (peer, here) } else { (here, peer) };
        assert_eq!((closed[0].closed_by, ended[0].closed_by), ends, "{name}");
        let host = if name == "ipv6" { "[::1]" } else { "127.0.0.1" };
        assert!(ended[0].local.to_string().starts_with(host), "{name}: {}", ended[0].local);
    }
    assert_eq!((seen.len(), seen["short"]), (13, 50), "{seen:?}");
    assert!(events.iter().all(|e| e.proto == Proto::Tcp));
    Ok(())
}

/// The closes that `ss -E` prints.
pub(crate) fn closes_are_those_of_ss() -> Result<(), String> {
    let child = Command::new("stdbuf")
        .args(["-oL", "ss", "-EHtn"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut ss = Program(child);
    let mut lines = BufReader::new(ss.0.stdout.take().ok_or("stdout")?).lines();
    let pid = ss.0.id().to_string();
    let mut source = open(EventMethod::SockDiag)?;
    poll(&mut source)?;
    until_ok(|| {
        let table = std::fs::read_to_string("/proc/net/netlink").map_err(|e| e.to_string())?;
        let hears = |l: &&str| l.split_whitespace().nth(2) == Some(&pid) && !l.contains(" 00000000 ");
        table.lines().find(hears).map(drop).ok_or(table)
    })?;
    let script = "import socket
for family,host in [(2,'127.0.0.1'),(10,'::1')]:
    l=socket.socket(family); l.bind((host,7411)); l.listen()
    for i in range(20):
        c=socket.socket(family); c.connect((host,7411)); s=l.accept()[0]; c.close(); s.recv(1); s.close()
    l.close()
";
    let status = Command::new("python3").args(["-c", script]).status().map_err(|e| e.to_string())?;
    assert!(status.success());
    let events = events_until(&mut source, |e| e.len() >= 82)?;
    let mut own: Vec<String> =
        events.iter().filter_map(|e| Some(format!("{} {}", e.local, e.remote?))).collect();
    let mut theirs = Vec::new();
    while theirs.len() < own.len() {
        let line = lines.next().ok_or("ss ended")?.map_err(|e| e.to_string())?;
        let words: Vec<&str> = line.split_whitespace().collect();
        // Without the two listeners.
        if let [.., local, remote] = words[..]
            && !remote.ends_with(":*")
        {
            theirs.push(format!("{local} {remote}"));
        }
    }
    own.sort();
    theirs.sort();
    assert_eq!(own, theirs);
    assert_eq!(own.len(), 80);
    Ok(())
}
