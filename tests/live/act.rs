//! Closing a socket closes only that one.

use super::compare::check;
use super::world::{World, listen};
use sockscope::actions::{ActionError, close_socket, send_signal, set_fd_limit};
use sockscope::collect::Source;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::model::signal::SIGNALS;
use sockscope::model::{ProcInfo, Socket, State, Wants};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command};

fn socket_of(stream: &TcpStream) -> Result<Socket, String> {
    let mut source = NetlinkSource::new("requested".into()).map_err(|e| e.to_string())?;
    let sample = source.sample(&Wants::default()).map_err(|e| e.to_string())?;
    let local = stream.local_addr().map_err(|e| e.to_string())?;
    let found = sample
        .sockets
        .iter()
        .find(|s| s.state == State::Established && s.local.to_string() == local.to_string());
    found.copied().ok_or_else(|| format!("{local} is not there"))
}

/// One of two connections of a process is closed, over IPv4 and IPv6; the other still works.
pub(crate) fn closing_one_connection_leaves_the_other() -> Result<(), String> {
    for address in ["127.0.0.1:7901", "[::1]:7902"] {
        let listener = listen(address, 8, false);
        let (mut first, mut first_far) = World::pair(&listener, None);
        let (mut second, mut second_far) = World::pair(&listener, None);
        let target = socket_of(&first)?;
        // A socket with the same endpoints but another cookie is not closed.
        let mut other = target;
        other.id.cookie += 1_000_000;
        let refused = close_socket(&other, &[]).err().map(|e| e.to_string()).unwrap_or_default();
        check(refused.contains("already closed"), || format!("another cookie: {refused:?}"))?;
        let without = std::thread::scope(|scope| {
            // Capabilities are per thread.
            let work = || {
                let mut caps = rustix::thread::capabilities(None).map_err(|e| e.to_string())?;
                caps.effective.remove(rustix::thread::CapabilitySet::NET_ADMIN);
                rustix::thread::set_capabilities(None, caps).map_err(|e| e.to_string())?;
                Ok::<_, String>(close_socket(&target, &[]).err().map(|e| e.to_string()).unwrap_or_default())
            };
            scope.spawn(work).join().map_err(|_| "a thread that panicked".to_owned())?
        })?;
        check(without.contains("not permitted; requires root, or CAP_NET_ADMIN"), || without)?;
        close_socket(&target, &[]).map_err(|e| e.to_string())?;
        let mut byte = [0];
        let errno = first.read(&mut byte).err().and_then(|e| e.raw_os_error());
        check(errno == Some(103), || format!("the application gets ECONNABORTED: {errno:?}"))?;
        let peer = first_far.read(&mut byte).err().and_then(|e| e.raw_os_error());
        check(peer == Some(104), || format!("the peer gets ECONNRESET: {peer:?}"))?;
        let _ = first_far.write(b"x");
        second.write_all(b"hello").map_err(|e| format!("the other one: {e}"))?;
        let mut got = [0; 5];
        second_far.read_exact(&mut got).map_err(|e| format!("the other one: {e}"))?;
        let again = close_socket(&target, &[]).err().map(|e| e.to_string()).unwrap_or_default();
        check(again.contains("already closed"), || format!("ended twice: {again:?}"))?;
    }
    Ok(())
}

/// A program that does nothing.
fn idle() -> Result<(Child, ProcInfo), String> {
    let child = Command::new("sleep").arg("1000").spawn().map_err(|e| e.to_string())?;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).map_err(|e| e.to_string())?;
    // Start time in ticks of 10 ms, proc(5).
    let ticks: u64 = stat
        .rsplit(") ")
        .next()
        .and_then(|s| s.split(' ').nth(19)?.parse().ok())
        .ok_or_else(|| stat.clone())?;
    let (comm, cmdline) = ("sleep".into(), "".into());
    let start_ns = ticks * 10_000_000;
    let info = ProcInfo { pid: child.id(), ppid: 0, start_ns, comm, cmdline, uid: 0, cgroup: None };
    Ok((child, info))
}

/// A process exits and another one gets its pid: neither `L` nor `K` reaches the other one.
pub(crate) fn reused_pid_keeps_its_limit_and_gets_no_signal() -> Result<(), String> {
    let reused = || {
        let (mut first, before) = idle()?;
        first.kill().and_then(|()| first.wait()).map_err(|e| e.to_string())?;
        // The next pid of this pid namespace.
        std::fs::write("/proc/sys/kernel/ns_last_pid", (before.pid - 1).to_string())
            .map_err(|e| e.to_string())?;
        let (second, after) = idle()?;
        Ok::<_, String>((second, before, after))
    };
    let (mut second, before, after) = loop {
        let (mut second, before, after) = reused()?;
        // Within one tick they look the same; a dashboard has shown a process for longer than that.
        if after.pid == before.pid && after.start_ns != before.start_ns {
            break (second, before, after);
        }
        let _ = second.kill().and_then(|()| second.wait());
    };
    let limit = || {
        let file = format!("/proc/{}/limits", after.pid);
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().find(|l| l.starts_with("Max open files")).map(str::to_owned)
    };
    let unchanged = limit();
    let results = [set_fd_limit(&before, (64, 64)), send_signal(&before, SIGNALS[0])];
    let refused = results.iter().all(|r| matches!(r, Err(ActionError::PidReused { .. })));
    check(refused, || format!("{results:?}"))?;
    check(limit() == unchanged, || format!("{unchanged:?} became {:?}", limit()))?;
    check(second.try_wait().is_ok_and(|s| s.is_none()), || "the other process got the signal".to_owned())?;
    set_fd_limit(&after, (64, 64)).map_err(|e| e.to_string())?;
    check(limit() != unchanged, || "the limit of the named process is set".to_owned())?;
    let _ = second.kill().and_then(|()| second.wait());
    Ok(())
}
