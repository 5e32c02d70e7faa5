//! Sockets in known states.

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

/// Sockets and processes of a test, closed and killed when dropped.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) streams: Vec<TcpStream>,
    pub(crate) udp: Vec<UdpSocket>,
    pub(crate) raw: Vec<OwnedFd>,
    pub(crate) children: Vec<Child>,
}

impl Drop for World {
    fn drop(&mut self) {
        for c in &mut self.children {
            let _ = c.kill();
            let _ = c.wait();
        }
    }
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A listener with this backlog; an IPv6 one accepts IPv4 too unless `v6only`.
pub(crate) fn listen(at: &str, backlog: i32, v6only: bool) -> TcpListener {
    let at = addr(at);
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("socket");
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, v6only).expect("v6only");
    }
    sockopt::set_socket_reuseaddr(&fd, true).expect("reuseaddr");
    net::bind(&fd, &at).expect("bind");
    net::listen(&fd, backlog).expect("listen");
    TcpListener::from(fd)
}

impl World {
    /// A connected pair through this listener: client, server.
    pub(crate) fn pair(l: &TcpListener, to: Option<SocketAddr>) -> (TcpStream, TcpStream) {
        let client =
            TcpStream::connect(to.unwrap_or_else(|| l.local_addr().expect("addr"))).expect("connect");
        let (server, _) = l.accept().expect("accept");
        (client, server)
    }

    /// Both ends stay open.
    pub(crate) fn established(&mut self, l: &TcpListener, to: Option<SocketAddr>) {
        let (c, s) = Self::pair(l, to);
        self.streams.extend([c, s]);
    }

    /// The server end stays open after the client closed: `CLOSE_WAIT`, and `FIN_WAIT2` without a process.
    pub(crate) fn close_wait(&mut self, l: &TcpListener) {
        let (c, s) = Self::pair(l, None);
        drop(c);
        self.streams.push(s);
    }

    /// The client has shut down its direction and not closed: `FIN_WAIT2` with an owner.
    pub(crate) fn fin_wait2(&mut self, l: &TcpListener) {
        let (c, s) = Self::pair(l, None);
        c.shutdown(Shutdown::Write).expect("shutdown");
        self.streams.extend([c, s]);
    }

    /// Closed by both ends, by the server first.
    pub(crate) fn time_wait(l: &TcpListener) {
        let (c, s) = Self::pair(l, None);
        drop(s);
        let mut byte = [0];
        let _ = std::io::Read::read(&mut (&c), &mut byte);
        drop(c);
    }

    /// Unread bytes at the server end.
    pub(crate) fn unread(&mut self, l: &TcpListener, n: usize) {
        let (mut c, s) = Self::pair(l, None);
        c.write_all(&vec![b'x'; n]).expect("write");
        self.streams.extend([c, s]);
    }

    /// A connection attempt to a listener with a full accept queue: the SYN is not answered.
    pub(crate) fn syn_sent(&mut self, port: u16) {
        let at = format!("127.0.0.1:{port}");
        self.listeners.push(listen(&at, 0, false));
        self.streams.push(TcpStream::connect(addr(&at)).expect("connect"));
        let fd = net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .expect("socket");
        let _ = net::connect(&fd, &addr(&at));
        self.raw.push(fd);
    }

    /// A datagram socket, connected or not.
    pub(crate) fn datagram(&mut self, at: &str, peer: Option<&str>) -> SocketAddr {
        let s = UdpSocket::bind(addr(at)).expect("bind");
        if let Some(p) = peer {
            s.connect(addr(p)).expect("connect");
        }
        let local = s.local_addr().expect("addr");
        self.udp.push(s);
        local
    }

    /// Another process with this socket as its standard input.
    pub(crate) fn share(&mut self, l: &TcpListener) -> u32 {
        let stdin = Stdio::from(OwnedFd::from(l.try_clone().expect("dup")));
        let child = Command::new("sleep").arg("1000").stdin(stdin).spawn().expect("sleep");
        let pid = child.id();
        self.children.push(child);
        pid
    }
}
