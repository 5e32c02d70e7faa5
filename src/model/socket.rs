//! One socket, as one poll saw it.

use super::{Endpoint, Family, Proto, State};
use serde::{Deserialize, Serialize};

/// The kernel's own identity of a socket: never a row number, never `(port, pid)`.
///
/// `cookie` is unique in its network namespace for the life of the machine, and a `TIME_WAIT` socket keeps the one of
/// the connection it was. Where a source has no cookies (`/proc/net/*`), the source puts a hash of what it
/// knows there, with [`SocketId::SYNTHETIC`] set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SocketId {
    /// The network namespace: an index of [`super::Sample::namespaces`].
    pub netns: u16,
    /// `inet_diag_sockid.idiag_cookie`, or a hash with [`SocketId::SYNTHETIC`] set.
    pub cookie: u64,
}

impl SocketId {
    /// Set in [`SocketId::cookie`] when no kernel said it.
    pub const SYNTHETIC: u64 = 1 << 63;

    /// The cookie, where the kernel gave one.
    pub const fn kernel_cookie(&self) -> Option<u64> {
        if self.cookie & Self::SYNTHETIC == 0 { Some(self.cookie) } else { None }
    }
}

/// The timer a TCP socket runs (`inet_diag_msg.idiag_timer`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimerKind {
    /// None.
    #[default]
    Off,
    /// Retransmission (or an early or tail-loss probe).
    On,
    /// Keepalive, or `FIN_WAIT2`'s, or the SYN-ACK's.
    Keepalive,
    /// `TIME_WAIT`'s end.
    Timewait,
    /// Zero-window probe.
    Persist,
    /// Delayed acknowledgement (since Linux 6.11).
    Delack,
    /// A number this program does not know.
    Unknown,
}

impl TimerKind {
    /// From `idiag_timer`.
    pub const fn from_kernel(n: u8) -> Self {
        match n {
            0 => Self::Off,
            1 => Self::On,
            2 => Self::Keepalive,
            3 => Self::Timewait,
            4 => Self::Persist,
            5 => Self::Delack,
            _ => Self::Unknown,
        }
    }

    /// The word for it, as `ss` says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Keepalive => "keepalive",
            Self::Timewait => "timewait",
            Self::Persist => "persist",
            Self::Delack => "delack",
            Self::Unknown => "unknown",
        }
    }
}

/// A running timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timer {
    /// Which one.
    pub kind: TimerKind,
    /// How often it has fired (`idiag_retrans`): retransmits or probes.
    pub retrans: u8,
    /// Until it fires, milliseconds (`idiag_expires`).
    pub expires_ms: u32,
}

/// One socket: fixed size, nothing on the heap. What is longer lies in the sample's arenas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// Who it is.
    pub id: SocketId,
    /// Inode of the socket in sockfs, which `/proc/PID/fd` shows; 0 when no process holds it any more, or not yet.
    pub inode: u64,
    /// This end. For families without IP addresses empty, see [`Socket::local_name`].
    pub local: Endpoint,
    /// The far end, empty where there is none.
    pub remote: Endpoint,
    /// Index of the interface it is bound to (`SO_BINDTODEVICE`), 0 when none.
    pub iface: u32,
    /// Bytes received and not read; of a TCP listener, connections waiting in the accept queue.
    pub recv_q: u32,
    /// Bytes not acknowledged (TCP) or not sent (others); of a TCP listener, the accept queue's limit.
    pub send_q: u32,
    /// User id of the owner; 0 too where the kernel does not say (`TIME_WAIT`, `SYN_RECV`).
    pub uid: u32,
    /// Start of its attributes in [`super::Sample::attrs`].
    pub attr_at: u32,
    /// Length of its attributes, bytes.
    pub attr_len: u16,
    /// Its place among the [`super::Sample::infos`]; [`Socket::NO_INFO`] where it has none there.
    #[serde(default = "no_info")]
    pub info_at: u32,
    /// Its name in [`super::Sample::names`] (UNIX path, device), 0 for none.
    pub local_name: u32,
    /// The far end's name, 0 for none.
    pub remote_name: u32,
    /// Address family.
    pub family: Family,
    /// Protocol.
    pub proto: Proto,
    /// State.
    pub state: State,
    /// Timer; all zero for protocols without.
    pub timer: Timer,
    /// Whether the kernel chose the local port (`SOCK_BINDPORT_LOCK` is not set); `None` where it was not asked.
    #[serde(default)]
    pub auto_port: Option<bool>,
}

const fn no_info() -> u32 {
    Socket::NO_INFO
}

impl Socket {
    /// Stands for no place among [`super::Sample::infos`].
    pub const NO_INFO: u32 = u32::MAX;

    /// A socket with nothing but what every socket has; the rest is filled in by who reads it.
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

    /// Whether its queues are an accept queue and its limit.
    pub fn is_listener(&self) -> bool {
        self.state == State::Listen
    }

    /// True for a connection, or a datagram socket with a peer.
    pub fn has_peer(&self) -> bool {
        self.remote.port != 0 && !self.remote.addr.is_any()
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
    fn a_row_stays_small() {
        // 100,000 rows of it, two or three times over: every eight bytes are two megabytes.
        assert!(size_of::<Socket>() <= 120, "{}", size_of::<Socket>());
    }
}
