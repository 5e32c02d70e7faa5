//! One real connect, from the network namespace and as the user of a client.

use crate::collect::netns::enter::inside;
use crate::model::Proto;
use crate::model::path::{Attempt, ConnectOutcome, ConnectResult};
use crate::privilege::is_from_file;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, bind, connect, send, socket_with, sockopt,
};
use rustix::process::{geteuid, getuid};
use rustix::thread::{Uid, set_thread_res_uid};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Makes the connect: of TCP until it is established, fails or the time is over; of UDP one empty datagram is sent, and an error
/// or an answer is waited for. The socket is closed afterwards.
pub fn attempt(a: &Attempt, timeout: Duration) -> io::Result<ConnectResult> {
    let own = geteuid().as_raw();
    let is_plain = a.uid == own && a.mark == 0 && a.netns.is_none();
    // A user who may execute the file must not connect as another one by its capabilities.
    if is_from_file() && (!is_plain || a.uid != getuid().as_raw()) {
        let why = "only as yourself, here and without a mark: the executable has file capabilities";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    match a.netns {
        Some(inode) => inside(inode, || attempt_here(a, timeout)),
        // Of a thread of its own, which changes its user.
        None => std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("connect".into())
                .spawn_scoped(scope, || attempt_here(a, timeout))?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        }),
    }
}

/// A socket of the user: the kernel notes the effective one of the thread (`sk_uid`), which gets its own back.
fn socket(a: &Attempt) -> io::Result<OwnedFd> {
    let family = if a.dest.addr.is_v4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = if a.proto == Proto::Udp { SocketType::DGRAM } else { SocketType::STREAM };
    let own = geteuid();
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    if a.uid == own.as_raw() {
        return Ok(socket_with(family, kind, flags, None)?);
    }
    set_thread_res_uid(None, Uid::from_raw(a.uid), None)?;
    let made = socket_with(family, kind, flags, None);
    set_thread_res_uid(None, own, None)?;
    Ok(made?)
}

/// Sets `SO_MARK`.
#[expect(unsafe_code, reason = "no crate in use has SO_MARK without it")]
fn set_mark(socket: BorrowedFd<'_>, mark: u32) -> io::Result<()> {
    let len = size_of::<u32>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes of `mark`, which lives until it returns.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MARK, (&raw const mark).cast(), len)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn attempt_here(a: &Attempt, timeout: Duration) -> io::Result<ConnectResult> {
    let socket = socket(a)?;
    if a.mark != 0 {
        set_mark(socket.as_fd(), a.mark)?;
    }
    let start = Instant::now();
    let outcome = outcome(a, socket.as_fd(), start + timeout)?;
    Ok(ConnectResult { outcome, took: start.elapsed() })
}

fn outcome(a: &Attempt, socket: BorrowedFd<'_>, until: Instant) -> io::Result<ConnectOutcome> {
    let failed = |e: Errno| Ok(ConnectOutcome::Failed(e.raw_os_error()));
    if let Some(source) = a.source
        && let Err(e) = bind(socket, &SocketAddr::new(source.ip(), 0))
    {
        return failed(e);
    }
    match connect(socket, &SocketAddr::new(a.dest.addr.ip(), a.dest.port)) {
        Ok(()) if a.proto == Proto::Udp => {
            if let Err(e) = send(socket, &[], SendFlags::NOSIGNAL) {
                return failed(e);
            }
        }
        Ok(()) => return Ok(ConnectOutcome::Connected),
        Err(Errno::INPROGRESS) => {}
        Err(e) => return failed(e),
    }
    let wanted = if a.proto == Proto::Udp { PollFlags::IN } else { PollFlags::OUT };
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(&socket, wanted)];
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) if a.proto == Proto::Udp => return Ok(ConnectOutcome::Sent),
            Ok(0) => return Ok(ConnectOutcome::Silent),
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    match sockopt::socket_error(socket)? {
        Ok(()) => Ok(ConnectOutcome::Connected),
        Err(e) => failed(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Endpoint;
    use rustix::net::getsockname;
    use std::net::{TcpListener, UdpSocket};

    fn to(addr: SocketAddr, proto: Proto) -> Attempt {
        let dest = Endpoint::new(addr.ip().into(), addr.port());
        Attempt { proto, source: None, dest, mark: 0, uid: geteuid().as_raw(), netns: None }
    }

    #[test]
    fn connect_reports_what_the_kernel_answered() {
        let minute = Duration::from_secs(60);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = to(listener.local_addr().unwrap(), Proto::Tcp);
        assert_eq!(attempt(&open, minute).unwrap().outcome, ConnectOutcome::Connected);
        drop(listener);
        // A bound socket that does not listen keeps its port from other tests.
        let socket =
            socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let at = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
        let closed = to(at, Proto::Tcp);
        assert_eq!(attempt(&closed, minute).unwrap().outcome, ConnectOutcome::Failed(libc::ECONNREFUSED));
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let served = to(receiver.local_addr().unwrap(), Proto::Udp);
        assert_eq!(attempt(&served, Duration::from_millis(1)).unwrap().outcome, ConnectOutcome::Sent);
        assert_eq!(receiver.recv(&mut [0; 8]).unwrap(), 0, "one empty datagram");
        // One that is connected elsewhere receives nothing from others.
        receiver.connect("127.0.0.2:9").unwrap();
        assert_eq!(attempt(&served, minute).unwrap().outcome, ConnectOutcome::Failed(libc::ECONNREFUSED));
    }
}
