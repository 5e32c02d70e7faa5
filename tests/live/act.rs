//! Closing a socket closes only that one.

use super::compare::check;
use super::world::{World, listen};
use sockscope::actions::close_socket;
use sockscope::collect::Source;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::model::{Socket, State, Wants};
use std::io::{Read, Write};
use std::net::TcpStream;

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
