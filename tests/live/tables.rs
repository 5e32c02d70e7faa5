//! Sockets that `/proc/PID/fd` does not list: of threads with a descriptor table of their own, of processes whose main thread
//! has exited, and of `io_uring`s; in flight between processes.

use super::compare::check;
use super::netns::{Program, background, sh};
use super::owners::{read, source};
use crate::wait::until;
use sockscope::model::{Missing, Owner, OwnersBy, Reads, Sample, Shown, Verify, Wants};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Two threads unshare their descriptors, listen on 41101 and 41102 and open 40 files each.
const THREADS: &str = "
import ctypes, os, socket, threading, time
def w(i):
    assert ctypes.CDLL(None).unshare(0x400) == 0
    s = socket.socket(); s.bind(('127.0.0.1', 41100 + i)); s.listen(5)
    F = [os.open('/dev/null', 0) for _ in range(40)]
    open('/run/ready%d' % i, 'w'); time.sleep(999)
for i in (1, 2): threading.Thread(target=w, args=(i,), daemon=True).start()
time.sleep(999)";

/// The main thread listens on 41110 and exits alone; three threads go on.
const LEADER: &str = "
import ctypes, socket, threading, time
s = socket.socket(); s.bind(('127.0.0.1', 41110)); s.listen(5)
for _ in range(3): threading.Thread(target=time.sleep, args=(999,)).start()
open('/run/ready', 'w')
ctypes.CDLL(None).syscall(60, 0)";

/// A listener on 41120 only in the table of registered files of an `io_uring`.
const URING: &str = "
import ctypes, os, socket, time
c = ctypes.CDLL(None)
r = c.syscall(425, 8, ctypes.create_string_buffer(120)); assert r >= 0
s = socket.socket(); s.bind(('127.0.0.1', 41120)); s.listen(5)
assert c.syscall(427, r, 2, (ctypes.c_int * 2)(-1, s.fileno()), 2) == 0
s.close(); open('/run/ready', 'w'); time.sleep(999)";

/// A listener on 41130 that is only in a message that has not been received.
const FLIGHT: &str = "
import socket, time
a, b = socket.socketpair()
s = socket.socket(); s.bind(('127.0.0.1', 41130)); s.listen(5)
socket.send_fds(a, [b'x'], [s.fileno()]); s.close()
open('/run/ready', 'w'); time.sleep(999)";

fn start(script: &str, ready: &[&str]) -> Result<Program, String> {
    let program = background(&["python3", "-c", script])?;
    for path in ready {
        until(path, || Path::new(path).exists().then_some(()))?;
        std::fs::remove_file(path).map_err(|e| e.to_string())?;
    }
    Ok(program)
}

/// Owners of the listener on this port: pid and descriptor.
fn owners(s: &Sample, port: u16) -> Vec<(u32, Option<u32>)> {
    let inode = s.sockets.iter().find(|x| x.local.port == port).map_or(0, |x| x.inode);
    let owner = |o: &Owner| (s.processes[o.process as usize].info.pid, o.fd());
    s.owners.iter().filter(|o| o.inode == inode).map(owner).collect()
}

fn open_fds(s: &Sample, pid: u32) -> Option<(u32, u32)> {
    let fds = s.processes.iter().find(|p| p.info.pid == pid)?.fds.ok()?;
    Some((fds.open, fds.kinds?.total()))
}

const METHODS: [OwnersBy; 2] = [OwnersBy::Walk, OwnersBy::BpfIter];

fn first_read(by: OwnersBy) -> Result<Sample, String> {
    let s = read(source(Some(by))?.as_mut())?;
    check(s.owners_by == Some(by), || format!("{by:?}: {:?}", s.faults.iter().collect::<Vec<_>>()))?;
    Ok(s)
}

/// Sockets of threads with their own descriptors have the process as owner, and its count is that of the fullest table.
pub(crate) fn thread_with_its_own_descriptors_is_its_process() -> Result<(), String> {
    let p = start(THREADS, &["/run/ready1", "/run/ready2"])?;
    let pid = p.0.id();
    for by in METHODS {
        let s = first_read(by)?;
        for port in [41101, 41102] {
            let got = owners(&s, port);
            check(got.len() == 1 && got[0].0 == pid && got[0].1.is_some(), || {
                format!("{by:?} {port}: {got:?}")
            })?;
        }
        let fullest = std::fs::read_dir(format!("/proc/{pid}/task")).map_err(|e| e.to_string())?.flatten();
        let len = |t: std::fs::DirEntry| std::fs::read_dir(t.path().join("fd")).map_or(0, Iterator::count);
        let most = fullest.map(len).max().unwrap_or(0) as u32;
        check(open_fds(&s, pid) == Some((most, most)) && most > 40, || {
            format!("{by:?}: {:?}", open_fds(&s, pid))
        })?;
        // Counted only, without reading what they refer to.
        let wants = Wants::default().with(Reads::PROCESSES).without(Reads::OWNERS | Reads::FD_KINDS);
        let s = source(Some(by))?.sample(&wants).map_err(|e| e.to_string())?;
        let open = s.processes.iter().find(|p| p.info.pid == pid).and_then(|p| p.fds.ok());
        check(open.is_some_and(|f| f.open == most), || format!("{open:?}"))?;
    }
    // Another user may count the tables of all threads, as root, but not compare or read them.
    let copy = "/run/sockscope";
    std::fs::copy(env!("CARGO_BIN_EXE_sockscope"), copy).map_err(|e| e.to_string())?;
    let columns = format!("{copy} processes pid:{pid} -f csv --no-header -c fds_open,fds_pct");
    let as_root = sh(&format!("chmod 755 /run {copy}; {columns}"))?;
    let as_user = sh(&format!("setpriv --reuid=65534 --regid=65534 --clear-groups {columns}"))?;
    check(as_user == as_root && as_user.starts_with('4'), || format!("{as_user} {as_root}"))
}

/// A thread that gets its own descriptors while it is watched is found with its first socket.
pub(crate) fn thread_that_unshares_its_descriptors_is_found_in_the_next_poll() -> Result<(), String> {
    let late =
        THREADS.replace("def w(i):", "def w(i):\n    while not os.path.exists('/run/go'): time.sleep(.01)");
    for by in METHODS {
        let p = start(&late, &[])?;
        let mut watch = source(Some(by))?;
        let known = |s: &Sample| {
            s.processes.iter().any(|q| q.info.pid == p.0.id() && q.fds.is_ok_and(|f| f.kinds.is_some()))
        };
        until("the process", || read(watch.as_mut()).ok().filter(known))?;
        read(watch.as_mut())?;
        std::fs::write("/run/go", "").map_err(|e| e.to_string())?;
        for ready in ["/run/ready1", "/run/ready2"] {
            until(ready, || Path::new(ready).exists().then_some(()))?;
            std::fs::remove_file(ready).map_err(|e| e.to_string())?;
        }
        let s = read(watch.as_mut())?;
        for port in [41101, 41102] {
            check(owners(&s, port).len() == 1, || {
                format!("{by:?} {port}: {:?} {:?}", owners(&s, port), s.faults.iter().collect::<Vec<_>>())
            })?;
        }
        std::fs::remove_file("/run/go").map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// A process continues with its other threads after its main thread has exited.
pub(crate) fn process_without_its_main_thread_is_owner() -> Result<(), String> {
    let p = start(LEADER, &["/run/ready"])?;
    let pid = p.0.id();
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    until("the main thread to exit", || state().contains(") Z ").then_some(()))?;
    for by in METHODS {
        let s = first_read(by)?;
        let got = owners(&s, 41110);
        check(got.len() == 1 && got[0].0 == pid, || format!("{by:?}: {got:?}"))?;
        check(open_fds(&s, pid).is_some_and(|(n, kinds)| n > 3 && n == kinds), || {
            format!("{:?}", open_fds(&s, pid))
        })?;
    }
    // SIGKILL ends it, but only its other threads are waited for.
    Ok(())
}

/// A socket registered with an `io_uring` belongs to the process of the `io_uring`, without a descriptor.
pub(crate) fn socket_registered_with_an_io_uring_has_an_owner() -> Result<(), String> {
    let p = start(URING, &["/run/ready"])?;
    for by in METHODS {
        let got = owners(&first_read(by)?, 41120);
        check(got == [(p.0.id(), None)], || format!("{by:?}: {got:?}"))?;
    }
    Ok(())
}

/// A socket in a message between processes has no owner, and the reason names this.
pub(crate) fn socket_in_flight_has_the_reason() -> Result<(), String> {
    let _p = start(FLIGHT, &["/run/ready"])?;
    for by in METHODS {
        check(owners(&first_read(by)?, 41130).is_empty(), || "an owner".to_owned())?;
    }
    let rows = super::rows::sockscope(&["list", "lport:41130", "-c", "owner_missing"])?;
    check(rows.len() == 1 && rows[0]["owner_missing"] == Missing::NoVisibleProcess.reason(), || {
        format!("{rows:?}")
    })?;
    check(Missing::NoVisibleProcess.reason().contains("SCM_RIGHTS"), || "the reason".to_owned())
}

/// Two processes with 30,000 descriptors between them: at a word both exchange their sockets by `SCM_RIGHTS` and `dup2`, and rename
/// themselves. No count changes. With `own` in threads that have descriptor tables of their own.
const EXCHANGE: &str = "
import ctypes, os, resource, socket, sys, threading, time
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
first = os.fork() > 0
end = a if first else b
def exchange():
    global end
    if own: ctypes.CDLL(None).unshare(0x400)
    s = socket.socket(); s.bind(('127.0.0.1', 21160 if first else 21161)); s.listen(5)
    F = [os.open('/dev/null', 0) for _ in range(15000)]
    open('/run/ready%d' % first, 'w')
    while not os.path.exists('/run/go'): time.sleep(.01)
    socket.send_fds(end, [b'x'], [s.fileno()])
    _, (n,), _, _ = socket.recv_fds(end, 9, 1)
    os.dup2(n, s.fileno()); os.close(n)
    open('/proc/%d/comm' % os.getpid(), 'w').write('exchanged')
    open('/run/done%d' % first, 'w'); time.sleep(999)
if own: threading.Thread(target=exchange).start(); time.sleep(999)
else: exchange()";

/// Time within which an exchange must be seen: in the first poll after it if the rows are on screen, selected or printed.
enum Bound {
    NextPoll,
    TwoSeconds,
}

/// An owner and a name without any sign of change, with 30,000 descriptors: right in the next poll if the sample has few sockets,
/// or the two are on screen, or all are printed; else after two seconds or one interval.
pub(crate) fn exchanged_sockets_have_their_owners_in_the_next_poll_or_within_two_seconds()
-> Result<(), String> {
    const CROWD: usize = 2_100;
    let if_few = |_: Vec<u64>| Verify::IfFew;
    let on_screen = |inodes| Verify::Shown(Arc::new(Shown { inodes, pids: Vec::new() }));
    let printed = |_: Vec<u64>| Verify::All;
    for by in [Some(OwnersBy::Walk), Some(OwnersBy::BpfIter), None] {
        exchange("few", by, 1000, (0, false), &if_few, &Bound::NextPoll)?;
        exchange("on screen", by, 1000, (CROWD, false), &on_screen, &Bound::NextPoll)?;
        exchange("printed", by, 1000, (CROWD, false), &printed, &Bound::NextPoll)?;
        exchange("on screen, of threads", by, 1000, (CROWD, true), &on_screen, &Bound::NextPoll)?;
        exchange("others", by, 1000, (CROWD, false), &if_few, &Bound::TwoSeconds)?;
    }
    exchange("others, quick", Some(OwnersBy::Walk), 250, (CROWD, false), &if_few, &Bound::TwoSeconds)
}

/// One exchange, beside `others` sockets; `verify` gets the inodes of the two.
fn exchange(
    what: &str,
    by: Option<OwnersBy>,
    interval: u64,
    (others, own): (usize, bool),
    verify: &dyn Fn(Vec<u64>) -> Verify,
    bound: &Bound,
) -> Result<(), String> {
    let crowd: Result<Vec<_>, _> = (0..others).map(|_| std::net::UdpSocket::bind("127.0.0.1:0")).collect();
    let _crowd = crowd.map_err(|e| e.to_string())?;
    for file in ["go", "done0", "done1"] {
        let _ = std::fs::remove_file(format!("/run/{file}"));
    }
    let script = format!("own = {}\n{EXCHANGE}", if own { "True" } else { "False" });
    let p = start(&script, &["/run/ready0", "/run/ready1"])?;
    let mut watch = source(by)?;
    let interval = Duration::from_millis(interval);
    let both = |s: &Sample| [21160, 21161].map(|port| owners(s, port).first().map_or(0, |o| o.0));
    let known = until("the owners", || read(watch.as_mut()).ok().filter(|s| !both(s).contains(&0)))?;
    let before = both(&known);
    let ours = known.sockets.iter().filter(|x| [21160, 21161].contains(&x.local.port));
    let wants =
        Wants { verify: verify(ours.map(|x| x.inode).collect()), ..Wants::default().with(Reads::FD_KINDS) };
    let mut read = || watch.sample(&wants).map_err(|e| e.to_string());
    // Long known.
    for _ in 0..3 {
        std::thread::sleep(interval);
        read()?;
    }
    std::fs::write("/run/go", "").map_err(|e| e.to_string())?;
    until("the exchange", || {
        ["0", "1"].iter().all(|n| Path::new(&format!("/run/done{n}")).exists()).then_some(())
    })?;
    let exchanged = Instant::now();
    let right = |s: &Sample| {
        let renamed =
            |pid: &u32| s.processes.iter().any(|q| q.info.pid == *pid && &*q.info.comm == "exchanged");
        both(s) == [before[1], before[0]] && before.iter().all(renamed)
    };
    // Polls come late on a busy machine; the bound holds for polls on time.
    let (mut late, mut previous) = (Duration::ZERO, exchanged);
    loop {
        let read_at = Instant::now();
        late += (read_at - previous).saturating_sub(interval);
        previous = read_at;
        if right(&read()?) {
            break;
        }
        let age = (read_at - exchanged).saturating_sub(late);
        let in_time = match bound {
            Bound::NextPoll => false,
            Bound::TwoSeconds => age < Duration::from_secs(2),
        };
        check(in_time, || {
            format!("{what}, {by:?}: wrong {age:?} after the exchange, {late:?} late not counted")
        })?;
        std::thread::sleep(interval.saturating_sub(read_at.elapsed()));
    }
    drop(p);
    // The child goes with its pid namespace at the latest; its ports are needed again.
    let _ = std::process::Command::new("kill").args(before.map(|pid| pid.to_string())).status();
    until("the end of both", || read().ok().filter(|s| both(s) == [0, 0])).map(|_| ())
}
