//! Sockets of every family that the kernel supports, compared with `ss`.

use super::compare::check;
use crate::wait::until_ok;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Command;

use rustix::net::{AddressFamily, Protocol, SocketType, ipproto, socket};

/// Sockets kept open while both programs read.
struct Held {
    _streams: Vec<UnixStream>,
    _listener: UnixListener,
    _datagrams: Vec<UnixDatagram>,
    _fds: Vec<OwnedFd>,
    _dir: tempfile::TempDir,
}

fn hold() -> Result<Held, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("a socket.sock");
    let listener = UnixListener::bind(&path)?;
    let first = UnixStream::connect(&path)?;
    let taken = listener.accept()?.0;
    // Two more in the accept queue, and unread bytes.
    let mut streams = vec![first, taken, UnixStream::connect(&path)?, UnixStream::connect(&path)?];
    std::io::Write::write_all(&mut streams[0], b"hello")?;
    let (a, b) = UnixStream::pair()?;
    a.shutdown(std::net::Shutdown::Write)?;
    streams.extend([a, b]);
    let bound = UnixDatagram::bind(dir.path().join("d"))?;
    let other = UnixDatagram::unbound()?;
    other.connect(dir.path().join("d"))?;
    other.send(b"one")?;
    let abstract_name = {
        use std::os::linux::net::SocketAddrExt;
        let name = std::os::unix::net::SocketAddr::from_abstract_name(b"sockscope\0test")?;
        UnixDatagram::bind_addr(&name)?
    };
    let mptcp = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::MPTCP))?;
    rustix::net::bind(&mptcp, &"127.0.0.1:7801".parse::<std::net::SocketAddr>()?)?;
    rustix::net::listen(&mptcp, 9)?;
    let client = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::MPTCP))?;
    rustix::net::connect(&client, &"127.0.0.1:7801".parse::<std::net::SocketAddr>()?)?;
    let served = rustix::net::accept(&mptcp)?;
    let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP))?;
    let raw6 = socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6))?;
    let seq = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None)?;
    let route = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    let packet = socket(AddressFamily::PACKET, SocketType::RAW, None::<Protocol>)?;
    Ok(Held {
        _streams: streams,
        _listener: listener,
        _datagrams: vec![bound, other, abstract_name],
        _fds: vec![mptcp, client, served, raw, raw6, seq, route, packet],
        _dir: dir,
    })
}

pub(crate) fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let out = Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

fn ours(args: &[&str]) -> Result<BTreeSet<Vec<String>>, String> {
    let text = run(
        env!("CARGO_BIN_EXE_sockscope"),
        &[&["list", "--netns", "here", "--format", "json", "-n"], args].concat(),
    )?;
    let rows: Vec<serde_json::Map<String, serde_json::Value>> =
        serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
    let word = |v: &serde_json::Value| match v {
        serde_json::Value::Null => "*".to_owned(),
        serde_json::Value::String(s) => s.clone(),
        v => v.to_string(),
    };
    let columns: Vec<&str> =
        args.iter().skip_while(|a| **a != "-c").nth(1).unwrap_or(&"").split(',').collect();
    Ok(rows.iter().map(|r| columns.iter().map(|c| word(&r[*c])).collect()).collect())
}

/// Rows of `ss` as words, state names in full.
fn theirs(args: &[&str]) -> Result<Vec<Vec<String>>, String> {
    let text = run("ss", &[&["-anH"], args].concat())?;
    let full = |w: &str| match w {
        "ESTAB" => "ESTABLISHED".to_owned(),
        w => w.replace('-', "_"),
    };
    Ok(text.lines().map(|l| l.split_whitespace().map(full).collect()).collect())
}

fn same(
    what: &str,
    ours: &BTreeSet<Vec<String>>,
    theirs: &BTreeSet<Vec<String>>,
    least: usize,
) -> Result<(), String> {
    check(ours.len() >= least, || format!("{what}: only {} rows", ours.len()))?;
    check(ours == theirs, || {
        let a: Vec<_> = ours.difference(theirs).collect();
        let b: Vec<_> = theirs.difference(ours).collect();
        format!("{what}\n  only sockscope: {a:?}\n  only ss: {b:?}")
    })
}

/// Row by row, in the columns that `ss` prints.
pub(crate) fn sockets_of_every_family_match_ss() -> Result<(), String> {
    let held = hold().map_err(|e| e.to_string())?;
    // The end of a handshake may be in flight.
    until_ok(compare)?;
    drop(held);
    Ok(())
}

/// Compares every value of every socket with the protocols that the schema declares for its column.
fn only_declared_columns_have_values() -> Result<(), String> {
    let json = |args: &[&str]| -> Result<serde_json::Value, String> {
        let out =
            Command::new(env!("CARGO_BIN_EXE_sockscope")).args(args).output().map_err(|e| e.to_string())?;
        serde_json::from_slice(&out.stdout).map_err(|e| format!("{args:?}: {e}"))
    };
    let schema = json(&["schema"])?;
    let groups = schema["$defs"]["sockets_default"]["allOf"].as_array().ok_or("no groups")?;
    let protocols = "proto:tcp,mptcp,udp,udplite,raw,icmp,unix,packet,netlink,vsock,sctp,tipc,xdp";
    let rows = json(&["list", "--netns", "here", "--json", "-c", "all", protocols])?;
    let rows = rows.as_array().ok_or("no rows")?;
    let (mut compared, mut seen) = (0, BTreeSet::new());
    for row in rows {
        seen.insert(row["proto"].as_str().unwrap_or_default());
        for group in groups.iter().filter(|g| !g["if"].is_null()) {
            let protos = group["if"]["properties"]["proto"]["enum"].as_array().ok_or("no protocols")?;
            if protos.contains(&row["proto"]) {
                continue;
            }
            for key in group["else"]["properties"].as_object().ok_or("no keys")?.keys() {
                compared += 1;
                check(row[key].is_null(), || format!("{key} of {}: {}", row["proto"], row[key]))?;
            }
        }
    }
    let required = ["tcp", "mptcp", "unix", "raw", "netlink", "packet"];
    check(required.iter().all(|p| seen.contains(p)) && compared > 1000, || format!("{seen:?} {compared}"))
}

fn compare() -> Result<(), String> {
    only_declared_columns_have_values()?;
    // u_str ESTAB 0 0 NAME INODE PEER PEER-INODE; names can contain blanks, so count from the back.
    let unix = ours(&["proto:unix", "-c", "type,state,recv_q,send_q,inode,peer_inode"])?;
    let types = [("u_str", "stream"), ("u_dgr", "dgram"), ("u_seq", "seqpacket")];
    let ss: BTreeSet<Vec<String>> = theirs(&["-x"])?
        .iter()
        .map(|w| {
            let n = w.len();
            let kind = types.iter().find(|(s, _)| *s == w[0]).map_or("?", |(_, t)| *t);
            let peer = if w[n - 1] == "0" { "*".to_owned() } else { w[n - 1].clone() };
            vec![kind.to_owned(), w[1].clone(), w[2].clone(), w[3].clone(), w[n - 3].clone(), peer]
        })
        .collect();
    same("unix", &unix, &ss, 11)?;
    let names = ours(&["proto:unix", "local:*", "-c", "local"])?;
    check(names.iter().any(|n| n[0].ends_with("a socket.sock")), || format!("no path: {names:?}"))?;
    check(names.iter().any(|n| n[0] == "@sockscope@test"), || format!("no abstract name: {names:?}"))?;
    let waiting = ours(&["proto:unix", "state:listen", "-c", "recv_q,owner_missing"])?;
    check(waiting.iter().any(|w| w[0] == "2"), || format!("accept queue: {waiting:?}"))?;

    let mptcp = ours(&["proto:mptcp", "-c", "state,recv_q,send_q,local"])?;
    let ss = theirs(&["-M"])?.iter().map(|w| w[..4].to_vec()).collect();
    same("mptcp", &mptcp, &ss, 3)?;
    let raw = ours(&["proto:raw", "-c", "state,recv_q,send_q,local"])?;
    let ss: BTreeSet<Vec<String>> = theirs(&["-w"])?
        .iter()
        .map(|w| vec![w[0].clone(), w[1].clone(), w[2].clone(), w[3].replace("*:", "[::]:")])
        .collect();
    same("raw", &raw, &ss, 2)?;
    let packet = ours(&["proto:packet", "-c", "state,recv_q,send_q,inode"])?;
    check(packet.len() == theirs(&["-0"])?.len() && packet.len() == 1, || format!("packet: {packet:?}"))?;
    let netlink = ours(&["proto:netlink", "-c", "inode,local"])?;
    let all = run(env!("CARGO_BIN_EXE_sockscope"), &["list", "--netns", "here", "proto:netlink", "--count"])?;
    // Both programs have sockets of their own while reading.
    let ss = theirs(&["-f", "netlink"])?.len();
    let n: usize = all.trim().parse().map_err(|_| all.clone())?;
    check(n.abs_diff(ss) <= 2 && netlink.iter().any(|l| l[1].starts_with("rtnl:")), || {
        format!("netlink: {n} and {ss}: {netlink:?}")
    })?;
    let unsupported =
        run(env!("CARGO_BIN_EXE_sockscope"), &["list", "--netns", "here", "proto:sctp", "--count"])?;
    check(unsupported == "0\n", || unsupported)
}
