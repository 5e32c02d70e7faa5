//! Events of connections made here, one by one, by each source.

use super::netns::Program;
use super::world::{World, addr, listen};
use crate::wait::until_ok;
use rustix::net::sockopt;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::collect::{EventMethod, Source};
use sockscope::model::sample::{ClosedBy, Event, EventKind, EventSource, Events};
use sockscope::model::{Proto, Reads, Wants};
use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Connects one after the other: sends 100 bytes, reads 200, closes.
const CLIENT: &str = "import socket,sys
for i in range(int(sys.argv[2])):
    s=socket.create_connection(('127.0.0.1',int(sys.argv[1])))
    s.sendall(b'x'*100)
    n=0
    while n<200: n+=len(s.recv(200-n))
    s.close()
";

pub(crate) fn open(method: EventMethod) -> Result<NetlinkSource, String> {
    Ok(NetlinkSource::new("requested".into()).map_err(|e| e.to_string())?.events_by(method))
}

pub(crate) fn poll(source: &mut NetlinkSource) -> Result<Events, String> {
    let wants = Wants::default().with(Reads::EVENTS);
    source.sample(&wants).map(|s| s.events).map_err(|e| e.to_string())
}

/// Polls until `enough`, and returns all events since the first poll.
pub(crate) fn events_until(
    source: &mut NetlinkSource,
    mut enough: impl FnMut(&[Event]) -> bool,
) -> Result<Vec<Event>, String> {
    let mut all = Vec::new();
    until_ok(|| {
        let new = poll(source)?;
        if new.lost != 0 || !new.counts.is_empty() {
            return Err(format!("{} lost, {} counted", new.lost, new.counts.len()));
        }
        all.extend(new.list);
        if enough(&all) { Ok(()) } else { Err(format!("{} events: {:?}", all.len(), all.last())) }
    })?;
    Ok(all)
}

/// Serves `n` connections of [`CLIENT`]; the pid of the client.
pub(crate) fn serve(n: usize, port: u16) -> Result<u32, String> {
    let listener = listen(&format!("127.0.0.1:{port}"), 128, false);
    let mut client = Command::new("python3")
        .args(["-c", CLIENT, &port.to_string(), &n.to_string()])
        .stdin(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    for _ in 0..n {
        let (mut s, _) = listener.accept().map_err(|e| e.to_string())?;
        s.read_exact(&mut [0; 100]).map_err(|e| e.to_string())?;
        s.write_all(&[b'y'; 200]).map_err(|e| e.to_string())?;
        // The client closes first.
        let _ = s.read(&mut [0]).map_err(|e| e.to_string())?;
    }
    let pid = client.id();
    client.wait().map_err(|e| e.to_string())?;
    Ok(pid)
}

pub(crate) fn kinds(events: &[Event], kind: EventKind) -> Vec<&Event> {
    events.iter().filter(|e| e.kind == kind && e.proto == Proto::Tcp).collect()
}

/// Every connection of another process: opened, accepted, closed by whom, with its bytes.
pub(crate) fn short_connections_are_all_seen_with_process_and_bytes() -> Result<(), String> {
    const N: usize = 300;
    let mut source = open(EventMethod::Bpf)?;
    let first = poll(&mut source)?;
    assert_eq!((first.source, &*first.reason), (Some(EventSource::Bpf), ""));
    let client = serve(N, 7301)?;
    let own = std::process::id();
    let events = events_until(&mut source, |e| kinds(e, EventKind::Closed).len() > 2 * N)?;
    let port = |e: &&&Event| e.remote.is_some_and(|r| r.port == 7301);
    let opened = kinds(&events, EventKind::Opened);
    assert_eq!((opened.len(), opened.iter().filter(port).count()), (N, N));
    let accepted = kinds(&events, EventKind::Accepted);
    assert_eq!(accepted.len(), N);
    for (which, pid, inbound) in [(&opened, client, false), (&accepted, own, true)] {
        for e in which {
            let process = e.process.as_ref().ok_or("a process")?;
            assert_eq!((process.pid, e.inbound, e.uid), (pid, Some(inbound), Some(0)), "{e:?}");
            assert!(e.start_ns <= e.opened_ns && e.opened_ns <= e.at_ns && e.start_ns != 0, "{e:?}");
        }
    }
    assert!(opened.iter().all(|e| &*e.process.as_ref().unwrap().comm == "python3"));
    let closed = kinds(&events, EventKind::Closed);
    let (of_client, rest): (Vec<_>, Vec<_>) = closed.into_iter().partition(|e| port(&e));
    let (of_server, listeners): (Vec<_>, Vec<_>) = rest.into_iter().partition(|e| e.remote.is_some());
    assert_eq!((of_client.len(), of_server.len(), listeners.len()), (N, N, 1));
    for (which, pid, by, tx, rx) in
        [(of_client, client, ClosedBy::Here, 100, 200), (of_server, own, ClosedBy::Peer, 200, 100)]
    {
        for e in which {
            assert_eq!((e.tx, e.rx, e.closed_by), (Some(tx), Some(rx), Some(by)), "{e:?}");
            assert_eq!(e.process.as_ref().map(|p| p.pid), Some(pid), "{e:?}");
            let us = e.state_us.as_ref().ok_or("times in each state")?;
            let total: u64 = us.iter().map(|us| u64::from(*us)).sum();
            // Each state is rounded down.
            assert!((e.at_ns - e.start_ns) / 1000 - total < 13, "{e:?}");
        }
    }
    Ok(())
}

/// Each way a connection ends, at both ends.
pub(crate) fn end_of_a_connection_has_its_cause() -> Result<(), String> {
    let mut source = open(EventMethod::Bpf)?;
    poll(&mut source)?;
    let own = std::process::id();
    let listener = listen("[::]:7302", 128, false);
    let (v4, v6) = (addr("127.0.0.1:7302"), addr("[::1]:7302"));
    let mut ports: Vec<(&str, u16, u16)> = Vec::new();
    let mut pair = |what: &'static str, to: SocketAddr| -> (TcpStream, TcpStream) {
        let (c, s) = World::pair(&listener, Some(to));
        ports.push((what, c.local_addr().unwrap().port(), 7302));
        (c, s)
    };
    // Used, then reset by the client.
    let (mut c, mut s) = pair("linger", v4);
    c.write_all(b"12345").unwrap();
    s.read_exact(&mut [0; 5]).unwrap();
    sockopt::set_socket_linger(&c, Some(Duration::ZERO)).unwrap();
    drop(c);
    assert!(s.read(&mut [0]).is_err());
    drop(s);
    // Closed by the server without having been used.
    let (c, s) = pair("unused", v6);
    drop(s);
    drop(c);
    // Reset by the client before it was used.
    let (c, s) = pair("early", v6);
    sockopt::set_socket_linger(&c, Some(Duration::ZERO)).unwrap();
    drop(c);
    drop(s);
    // Data that is not read: the close is a reset.
    let (mut c, s) = pair("unread", v4);
    c.write_all(b"123").unwrap();
    until_ok(|| s.peek(&mut [0; 3]).map_err(|e| e.to_string()))?;
    drop(s);
    assert!(
        until_ok(|| match c.read(&mut [0]) {
            Err(e) if e.raw_os_error() == Some(104) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .is_ok()
    );
    drop(c);
    let ports = ports;
    // Refused.
    assert!(TcpStream::connect("127.0.0.1:7399").is_err());
    assert!(TcpStream::connect("[::1]:7399").is_err());
    // Given up.
    let mut world = World::default();
    world.syn_sent(7303);
    let given_up = world.raw.pop().unwrap();
    drop(given_up);
    // A UDP socket.
    let (a, b) = (UdpSocket::bind("127.0.0.1:7304").unwrap(), UdpSocket::bind("127.0.0.1:7305").unwrap());
    a.send_to(b"1", "127.0.0.1:7305").unwrap();
    b.recv(&mut [0; 1]).unwrap();
    drop((a, b));
    let last =
        |e: &[Event]| e.iter().filter(|e| e.proto == Proto::Udp && e.kind == EventKind::Closed).count();
    let events = events_until(&mut source, |e| last(e) == 2)?;

    let ends = |what: &str| {
        let (_, client, server) = *ports.iter().find(|p| p.0 == what).unwrap();
        let end = |local: u16, remote: u16| {
            let of = |e: &&Event| e.local.port == local && e.remote.is_some_and(|r| r.port == remote);
            let mut found = events.iter().filter(|e| e.kind == EventKind::Closed).filter(of);
            let one = found.next().unwrap_or_else(|| panic!("{what}: no close of {local}"));
            assert!(found.next().is_none(), "{what}: closed once");
            (one.closed_by.unwrap(), one.errno, one.process.as_ref().map(|p| p.pid))
        };
        [end(client, server), end(server, client)]
    };
    let me = Some(own);
    assert_eq!(ends("linger"), [(ClosedBy::Here, 0, me), (ClosedBy::Reset, 104, me)]);
    assert_eq!(ends("unused"), [(ClosedBy::Peer, 0, me), (ClosedBy::Here, 0, me)]);
    assert_eq!(ends("early"), [(ClosedBy::Here, 0, me), (ClosedBy::Reset, 104, None)]);
    assert_eq!(ends("unread"), [(ClosedBy::Reset, 104, me), (ClosedBy::Here, 0, me)]);
    // Each incoming connection is accepted once, before it closes.
    for (what, client, server) in &ports {
        let of = |e: &&Event| e.local.port == *server && e.remote.is_some_and(|r| r.port == *client);
        let both: Vec<EventKind> = events.iter().filter(of).map(|e| e.kind).collect();
        assert_eq!(both, [EventKind::Accepted, EventKind::Closed], "{what}");
    }
    let failed: Vec<_> = kinds(&events, EventKind::Failed)
        .iter()
        .map(|e| (e.remote.unwrap().to_string(), e.closed_by.unwrap(), e.errno))
        .collect();
    assert_eq!(
        failed,
        [
            ("127.0.0.1:7399".to_owned(), ClosedBy::Refused, 111),
            ("[::1]:7399".to_owned(), ClosedBy::Refused, 111),
            ("127.0.0.1:7303".to_owned(), ClosedBy::Abandoned, 0),
        ]
    );
    let udp: Vec<_> = events
        .iter()
        .filter(|e| e.proto == Proto::Udp)
        .map(|e| (e.kind, e.local.port, e.process.as_ref().map(|p| p.pid)))
        .collect();
    assert_eq!(
        udp,
        [
            (EventKind::Opened, 7304, me),
            (EventKind::Opened, 7305, me),
            (EventKind::Closed, 7304, None),
            (EventKind::Closed, 7305, None),
        ]
    );
    Ok(())
}

/// Every close without privilege, with the bytes of the last `tcp_info`.
pub(crate) fn closes_are_counted_without_bpf() -> Result<(), String> {
    const N: usize = 300;
    let mut source = open(EventMethod::SockDiag)?;
    let first = poll(&mut source)?;
    assert_eq!(first.source, Some(EventSource::SockDiag));
    serve(N, 7301)?;
    let events = events_until(&mut source, |e| kinds(e, EventKind::Closed).len() > 2 * N)?;
    assert!(events.iter().all(|e| e.kind == EventKind::Closed && e.process.is_none()));
    let of = |local: bool| {
        let port =
            |e: &&&Event| if local { e.local.port == 7301 } else { e.remote.is_some_and(|r| r.port == 7301) };
        let found: Vec<_> = events.iter().collect();
        let found: Vec<_> = found.iter().filter(port).filter(|e| e.remote.is_some()).copied().collect();
        // The FIN of the peer counts as a byte received.
        (
            found.len(),
            found.iter().map(|e| e.tx.unwrap()).sum::<u64>(),
            found.iter().map(|e| e.rx.unwrap()).sum::<u64>(),
        )
    };
    assert_eq!(of(false), (N, 100 * N as u64, 201 * N as u64));
    assert_eq!(of(true), (N, 200 * N as u64, 101 * N as u64));
    Ok(())
}

/// `sockscope events` with these arguments, started by this program with its arguments: what it printed, the lines on standard
/// error, and its exit status; `act` runs once the source is known.
fn events_printed(
    before: &[&str],
    args: &[&str],
    act: impl FnOnce() -> Result<u32, String>,
) -> Result<(String, Vec<String>, Option<i32>, u32), String> {
    let command = [before, &[env!("CARGO_BIN_EXE_sockscope"), "events"], args].concat();
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let (mut stdout, stderr) = (child.stdout.take().ok_or("stdout")?, child.stderr.take().ok_or("stderr")?);
    let mut program = Program(child);
    let mut lines = std::io::BufReader::new(stderr).lines();
    let source = lines.next().ok_or("no line about the source")?.map_err(|e| e.to_string())?;
    let printed = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let done = act()?;
    let status = until_ok(|| match program.0.try_wait() {
        Ok(Some(status)) => Ok(status.code()),
        other => Err(format!("still running: {other:?}")),
    })?;
    let text = printed.join().map_err(|_| "reader failed")?.map_err(|e| e.to_string())?;
    let errors = std::iter::once(source).chain(lines.map_while(Result::ok)).collect();
    Ok((text, errors, status, done))
}

/// Events as lines of JSON until their number is reached, and groups with their sums.
pub(crate) fn command_prints_each_event_and_stops_after_the_number() -> Result<(), String> {
    const N: usize = 100;
    let own = std::process::id();
    let args = ["-f", "ndjson", "--count", "400", "port:7311 direction:in,out"];
    let (text, errors, status, client) = events_printed(&[], &args, || serve(N, 7311))?;
    assert!(errors[0].starts_with("sockscope: events by bpf: "), "{errors:?}");
    assert_eq!((errors.len(), status), (1, Some(0)), "{errors:?}");
    let rows: Vec<serde_json::Value> =
        text.lines().map(|l| serde_json::from_str(l).map_err(|e| e.to_string())).collect::<Result<_, _>>()?;
    assert_eq!(rows.len(), 4 * N);
    assert!(rows.windows(2).all(|w| w[0]["seq"].as_u64() < w[1]["seq"].as_u64()));
    for (event, direction, pid, tx, by) in [
        ("opened", "out", client, 0, None),
        ("accepted", "in", own, 0, None),
        ("closed", "out", client, 100, Some("here")),
        ("closed", "in", own, 200, Some("peer")),
    ] {
        let found: Vec<_> =
            rows.iter().filter(|r| r["event"] == event && r["direction"] == direction).collect();
        assert_eq!(found.len(), N, "{event} {direction}");
        for r in found {
            assert_eq!((r["pid"].as_u64(), r["closed_by"].as_str()), (Some(u64::from(pid)), by), "{r}");
            assert!(event != "closed" || (r["tx_bytes"] == tx && r["duration_us"].is_u64()), "{r}");
        }
    }
    let args = ["-f", "csv", "-g", "event", "-c", "tx_bytes", "--count", "400", "port:7312 direction:in,out"];
    let (text, _, status, _) = events_printed(&[], &args, || serve(N, 7312))?;
    assert_eq!(status, Some(0));
    let groups: Vec<&str> = text.lines().collect();
    assert_eq!(groups[..2], ["event,count,tx_bytes", "closed,200,30000"], "{text}");
    assert_eq!(groups[2..].iter().filter(|l| l.contains(",100,")).count(), 2, "{text}");
    Ok(())
}

/// Without capabilities the source is `sock_diag`, and the reason is printed.
pub(crate) fn command_without_capabilities_prints_closes_and_says_so() -> Result<(), String> {
    const N: usize = 50;
    let before = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let args = ["-f", "ndjson", "--count", "100", "port:7313 direction:in,out"];
    // Keeps the port listed as that of a listener.
    let listener = listen("127.0.0.1:7314", 8, false);
    let (text, errors, status, _) = events_printed(&before, &args, || serve(N, 7313))?;
    drop(listener);
    assert!(errors[0].starts_with("sockscope: events by sock_diag: only closes, "), "{errors:?}");
    assert!(errors[0].contains("; bpf: "), "{errors:?}");
    assert_eq!(status, Some(0), "{errors:?}");
    let rows: Vec<serde_json::Value> =
        text.lines().map(|l| serde_json::from_str(l).map_err(|e| e.to_string())).collect::<Result<_, _>>()?;
    assert_eq!(rows.len(), 2 * N);
    assert!(rows.iter().all(|r| r["event"] == "closed" && r["closed_by"].is_null()), "{}", rows[0]);
    let sent: u64 = rows.iter().filter_map(|r| r["tx_bytes"].as_u64()).sum();
    assert_eq!(sent, 300 * N as u64);
    Ok(())
}
