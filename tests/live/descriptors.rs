//! Owners of sockets of every family, by descriptor: compared with `lsfd`, which reads the protocol from
//! an attribute of the inode (`system.sockprotoname`).

use super::compare::check;
use super::families::run;
use super::world::{World, addr};
use rustix::fs::fstat;
use rustix::net::{self, AddressFamily, Protocol, SocketFlags, SocketType, ipproto, netlink, socket_with};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

/// Inode, process, descriptor, protocol.
type Held = (u64, u64, u64, String);

/// Protocol names of the kernel and of sockscope.
const NAMES: &[(&str, &str)] = &[
    ("TCP", "tcp"),
    ("TCPv6", "tcp"),
    ("UDP", "udp"),
    ("UDPv6", "udp"),
    ("UDP-Lite", "udplite"),
    ("UDPLITEv6", "udplite"),
    ("RAW", "raw"),
    ("RAWv6", "raw"),
    ("PING", "icmp"),
    ("PINGv6", "icmp"),
    ("MPTCP", "mptcp"),
    ("UNIX", "unix"),
    ("UNIX-STREAM", "unix"),
    ("NETLINK", "netlink"),
    ("PACKET", "packet"),
];

/// A socket with `SOCK_CLOEXEC`.
fn socket(family: AddressFamily, kind: SocketType, proto: Option<Protocol>) -> rustix::io::Result<OwnedFd> {
    socket_with(family, kind, SocketFlags::CLOEXEC, proto)
}

/// Sockets of every family that this kernel supports.
fn hold() -> Result<Vec<OwnedFd>, Box<dyn std::error::Error>> {
    use AddressFamily as F;
    use SocketType as T;
    // Groups that may open ping sockets.
    std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0")?;
    let bound =
        |family, kind, proto: Option<Protocol>, at: &str| -> Result<OwnedFd, Box<dyn std::error::Error>> {
            let fd = socket(family, kind, proto)?;
            net::bind(&fd, &addr(at))?;
            Ok(fd)
        };
    let mut all = vec![
        bound(F::INET, T::STREAM, None, "127.0.0.1:7971")?,
        bound(F::INET6, T::STREAM, None, "[::1]:7971")?,
        bound(F::INET, T::STREAM, Some(ipproto::MPTCP), "127.0.0.1:7972")?,
    ];
    for listener in &all {
        net::listen(listener, 4)?;
    }
    let client = socket(F::INET, T::STREAM, None)?;
    net::connect(&client, &addr("127.0.0.1:7971"))?;
    all.push(net::accept_with(&all[0], SocketFlags::CLOEXEC)?);
    all.push(client);
    all.push(bound(F::INET, T::DGRAM, None, "127.0.0.1:7973")?);
    all.push(bound(F::INET6, T::DGRAM, None, "[::1]:7973")?);
    all.push(bound(F::INET, T::DGRAM, Some(ipproto::ICMP), "127.0.0.1:77")?);
    all.push(bound(F::INET6, T::DGRAM, Some(ipproto::ICMPV6), "[::1]:78")?);
    // Few kernels still have UDP-Lite.
    if run("cat", &["/proc/net/protocols"])?.contains("UDP-Lite") {
        all.push(bound(F::INET, T::DGRAM, Some(ipproto::UDPLITE), "127.0.0.1:7974")?);
    }
    all.push(socket(F::INET, T::RAW, Some(ipproto::ICMP))?);
    all.push(socket(F::INET6, T::RAW, Some(ipproto::ICMPV6))?);
    for kind in [T::STREAM, T::DGRAM, T::SEQPACKET] {
        all.push(socket(F::UNIX, kind, None)?);
    }
    let (a, b) = std::os::unix::net::UnixStream::pair()?;
    all.extend([a.into(), b.into()]);
    // A socket without a port is in no table.
    let route = socket(F::NETLINK, T::RAW, None)?;
    net::bind(&route, &netlink::SocketAddrNetlink::new(0, 0))?;
    all.push(route);
    all.push(socket(F::PACKET, T::RAW, None)?);
    Ok(all)
}

/// Descriptors of these inodes listed by `lsfd`, with sockscope's protocol names.
fn lsfd(inodes: &BTreeSet<u64>) -> Result<BTreeSet<Held>, String> {
    let text = run("lsfd", &["-n", "-r", "-o", "INODE,PID,FD,PROTONAME,TYPE"])?;
    let mut out = BTreeSet::new();
    for w in text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>()) {
        let [inode, pid, fd, proto, "SOCK"] = w[..] else { continue };
        let number = |s: &str| s.parse::<u64>().map_err(|_| format!("lsfd: {w:?}"));
        if inodes.contains(&number(inode)?) {
            let ours = NAMES.iter().find(|(n, _)| *n == proto).map_or(proto, |(_, ours)| ours);
            out.insert((number(inode)?, number(pid)?, number(fd)?, ours.to_owned()));
        }
    }
    Ok(out)
}

/// Descriptors of these inodes listed by sockscope, all protocols.
fn ours(inodes: &BTreeSet<u64>) -> Result<BTreeSet<Held>, String> {
    let protos: BTreeSet<&str> = NAMES.iter().map(|(_, p)| *p).collect();
    let filter: Vec<String> = protos.iter().map(|p| format!("proto:{p}")).collect();
    let args = [
        "list",
        "--netns",
        "here",
        "--format",
        "json",
        "-n",
        &filter.join(" or "),
        "-c",
        "proto,inode,owners",
    ];
    let text = run(env!("CARGO_BIN_EXE_sockscope"), &args)?;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
    let mut out = BTreeSet::new();
    for r in &rows {
        let Some(inode) = r["inode"].as_u64().filter(|i| inodes.contains(i)) else { continue };
        for o in r["owners"].as_array().map_or(&[][..], Vec::as_slice) {
            let n = |k: &str| o[k].as_u64().ok_or_else(|| format!("{r}"));
            out.insert((inode, n("pid")?, n("fd")?, r["proto"].as_str().unwrap_or("").to_owned()));
        }
    }
    // The first subflow of an MPTCP socket has its inode; lsfd reports the protocol of the descriptor.
    let multi: Vec<u64> = out.iter().filter(|h| h.3 == "mptcp").map(|h| h.0).collect();
    out.retain(|h| h.3 != "tcp" || !multi.contains(&h.0));
    Ok(out)
}

/// Every descriptor of the test and of a child that shares some, by every method.
pub(crate) fn fds_of_every_family_match_lsfd() -> Result<(), String> {
    let held = hold().map_err(|e| e.to_string())?;
    let mut w = World::default();
    // Every third has another owner, as its standard input.
    for fd in held.iter().step_by(3) {
        let stdin = Stdio::from(fd.try_clone().map_err(|e| e.to_string())?);
        let child = Command::new("sleep").arg("1000").stdin(stdin).spawn().map_err(|e| e.to_string())?;
        w.children.push(child);
    }
    let inode = |fd: &OwnedFd| fstat(fd).map(|s| s.st_ino).map_err(|e| e.to_string());
    let inodes = held.iter().map(inode).collect::<Result<BTreeSet<u64>, String>>()?;
    let (mine, theirs) = (ours(&inodes)?, lsfd(&inodes)?);
    check(mine == theirs, || {
        let a: Vec<_> = mine.difference(&theirs).collect();
        let b: Vec<_> = theirs.difference(&mine).collect();
        format!("only sockscope: {a:?}\nonly lsfd: {b:?}")
    })?;
    let protos: BTreeSet<&str> = mine.iter().map(|h| h.3.as_str()).collect();
    check(mine.len() == held.len() + w.children.len() && protos.len() >= 8, || format!("{mine:?}"))
}
