//! One socket as read by one poll.

use super::addr::{Addr, Endpoint};
use super::proto::{Family, Proto};
use super::state::State;
use serde::{Deserialize, Serialize};

/// Kernel identity of a socket: never a row number, never `(port, pid)`.
///
/// `cookie` is unique in its network namespace until reboot, and a `TIME_WAIT` socket keeps the cookie of its
/// connection. Sources without cookies (`/proc/net/*`) use a hash of the fields they have, with [`SocketId::SYNTHETIC`]
/// set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(Rust, packed(2))]
pub struct SocketId {
    /// Network namespace: an index of [`super::Sample::namespaces`].
    pub netns: u16,
    /// `inet_diag_sockid.idiag_cookie`, or a hash with [`SocketId::SYNTHETIC`] set.
    pub cookie: u64,
}

impl SocketId {
    /// Flag in [`SocketId::cookie`]: not assigned by the kernel.
    pub const SYNTHETIC: u64 = 1 << 63;

    /// Kernel cookie, if it has one.
    pub const fn kernel_cookie(&self) -> Option<u64> {
        if self.cookie & Self::SYNTHETIC == 0 { Some(self.cookie) } else { None }
    }
}

/// Timer of a TCP socket (`inet_diag_msg.idiag_timer`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimerKind {
    /// No timer.
    #[default]
    Off,
    /// Retransmission (also of a SYN+ACK), early retransmit or tail loss probe.
    On,
    /// Keepalive, or a `FIN_WAIT2` timeout longer than `TIME_WAIT`.
    Keepalive,
    /// `TIME_WAIT` timeout, or that of an orphaned `FIN_WAIT2`.
    Timewait,
    /// Zero-window probe.
    Persist,
    /// Unknown number.
    Unknown,
}

impl TimerKind {
    /// Kind of an `idiag_timer` number.
    pub const fn from_kernel(n: u8) -> Self {
        match n {
            0 => Self::Off,
            1 => Self::On,
            2 => Self::Keepalive,
            3 => Self::Timewait,
            4 => Self::Persist,
            _ => Self::Unknown,
        }
    }

    /// Name, as `ss` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Keepalive => "keepalive",
            Self::Timewait => "timewait",
            Self::Persist => "persist",
            Self::Unknown => "unknown",
        }
    }
}

/// Timer of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[repr(Rust, packed(2))]
pub struct Timer {
    /// Kind.
    pub kind: TimerKind,
    /// Expirations so far: retransmissions or probes (`idiag_retrans`).
    pub retrans: u8,
    /// Time until it expires, milliseconds (`idiag_expires`).
    pub expires_ms: u32,
}

/// One socket: fixed size, no heap. Variable-length data is in the arenas of the sample.
///
/// Packed, as are its parts: two samples of up to a million are kept, and alignment would fill 15 of 112 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(Rust, packed(4))]
pub struct Socket {
    /// Identity.
    pub id: SocketId,
    /// Inode in sockfs, as in `/proc/PID/fd` (`idiag_inode`); 0 if no process holds it.
    pub inode: u64,
    /// Local endpoint. Empty for families without IP addresses, see [`Socket::local_name`].
    pub local: Endpoint,
    /// Remote endpoint, empty if there is none.
    pub remote: Endpoint,
    /// Index of the interface it is bound to (`idiag_if`, `SO_BINDTODEVICE`), 0 for none.
    pub iface: u32,
    /// Bytes received and not read (`idiag_rqueue`); for a TCP listener, connections in the accept queue.
    pub recv_q: u32,
    /// Bytes not acknowledged (TCP) or not sent (`idiag_wqueue`); for a TCP listener, the limit of the accept queue.
    pub send_q: u32,
    /// Uid of the socket (`idiag_uid`); also 0 if the kernel does not report it (`TIME_WAIT`, `SYN_RECV`).
    pub uid: u32,
    /// Offset of its attributes in [`super::Sample::attrs`].
    pub attr_at: u32,
    /// Length of its attributes, bytes.
    pub attr_len: u16,
    /// Index in [`super::Sample::infos`]; [`Socket::NO_INFO`] if it has no entry.
    #[serde(default = "no_info")]
    pub info_at: u32,
    /// Index of its name (UNIX path, device) in [`super::Sample::names`], 0 for none.
    pub local_name: u32,
    /// Index of the name of the peer, 0 for none.
    pub remote_name: u32,
    /// Address family.
    pub family: Family,
    /// Protocol.
    pub proto: Proto,
    /// State.
    pub state: State,
    /// Timer; zero for protocols without timers.
    pub timer: Timer,
    /// True if the kernel chose the local port (`SOCK_BINDPORT_LOCK` not set); `None` if not requested.
    #[serde(default)]
    pub auto_port: Option<bool>,
}

const fn no_info() -> u32 {
    Socket::NO_INFO
}

impl Socket {
    /// Placeholder for no entry in [`super::Sample::infos`].
    pub const NO_INFO: u32 = u32::MAX;

    /// Socket with identity, family, protocol and state; everything else is empty.
    pub fn new(id: SocketId, family: Family, proto: Proto, state: State) -> Self {
        Self {
            id,
            inode: 0,
            local: Endpoint::default(),
            remote: Endpoint::default(),
            iface: 0,
            recv_q: 0,
            send_q: 0,
            uid: 0,
            attr_at: 0,
            attr_len: 0,
            info_at: Self::NO_INFO,
            local_name: 0,
            remote_name: 0,
            family,
            proto,
            state,
            timer: Timer::default(),
            auto_port: None,
        }
    }

    /// True for a listener: its queue fields are the accept queue and its limit.
    pub fn is_listener(&self) -> bool {
        self.state == State::Listen
    }

    /// True for a connection, or a datagram socket with a peer.
    pub fn has_peer(&self) -> bool {
        self.remote.port != 0 && !self.remote.addr.is_any()
    }

    /// Index of the interface of a link-local address of the socket; 0 if the address needs none or the source has none. The
    /// kernel binds a socket with a link-local endpoint to the interface (`idiag_if`).
    pub const fn zone_index(&self, addr: &Addr) -> u32 {
        if addr.needs_zone() { self.iface } else { 0 }
    }

    /// True for a socket that serves an endpoint: a listener, or a bound datagram socket without a peer.
    pub fn serves(&self) -> bool {
        self.state == State::Listen
            || (self.state == State::Unconn
                && matches!(self.proto, Proto::Udp | Proto::UdpLite)
                && self.local.port != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_row_has_100_bytes() {
        // Two samples are kept: at a million sockets four bytes more cost 8 MB.
        assert_eq!(size_of::<Socket>(), 100);
    }
}
