//! TCP lifecycle diagram with the current state highlighted.

use super::{Builder, Pieces, pad};
use crate::model::lang::tr;
use crate::model::snapshot::Direction;
use crate::model::{Missing, Proto, Socket, State};

/// Step of a lifecycle path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A system call of the application.
    Call(&'static str),
    /// A TCP state.
    In(State),
}

use Step::{Call, In};

/// System calls of a server; for an accepted socket they started at its listener.
const SERVER: &[&str] = &["socket", "bind", "listen", "accept", "read / write", "close"];
/// System calls of a client.
const CLIENT: &[&str] = &["socket", "connect", "read / write", "close"];
/// System calls of a socket pair.
const PAIR: &[&str] = &["socketpair", "read / write", "close"];
/// System calls of a datagram server, and of a datagram socket with a fixed peer.
const DATAGRAM_SERVER: &[&str] = &["socket", "bind", "recvfrom / sendto", "close"];
const DATAGRAM_CLIENT: &[&str] = &["socket", "connect", "send / recv", "close"];

/// States of a listener.
const LISTENING: &[Step] = &[In(State::Closed), In(State::Listen)];
const ACCEPTED: &[Step] = &[In(State::Listen), In(State::SynRecv), In(State::Established)];
const CONNECTED: &[Step] = &[In(State::Closed), In(State::SynSent), In(State::Established)];
/// States of an active, a passive and a simultaneous close.
const ACTIVE_CLOSE: &[Step] =
    &[Call("close"), In(State::FinWait1), In(State::FinWait2), In(State::TimeWait), In(State::Closed)];
const PASSIVE_CLOSE: &[Step] = &[In(State::CloseWait), Call("close"), In(State::LastAck), In(State::Closed)];
const SIMULTANEOUS_CLOSE: &[Step] =
    &[Call("close"), In(State::FinWait1), In(State::Closing), In(State::TimeWait), In(State::Closed)];

/// Facts on a UNIX socket that show which calls created it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Unix {
    /// Created with `SOCK_DGRAM`.
    datagram: bool,
    /// Connected to a socket with an inode; one in the accept queue has none yet.
    peer: bool,
}

/// System calls of a UNIX socket, and the index of the current one. The receiver of connected datagram senders is
/// `ESTABLISHED` too, without a peer.
fn unix_syscalls(s: &Socket, unix: Unix) -> (&'static [&'static str], usize) {
    match (unix.datagram, s.local_name, s.remote_name) {
        (_, 0, 0) if unix.peer => (PAIR, 1),
        (true, _, _) if unix.peer => (DATAGRAM_CLIENT, 2),
        (true, 0, _) => (DATAGRAM_SERVER, 0),
        (true, ..) => (DATAGRAM_SERVER, 2),
        (false, 0, _) => (CLIENT, 2),
        (false, ..) => (SERVER, 4),
    }
}

/// System calls of a socket, and the index of the current one.
fn syscalls(
    s: &Socket,
    direction: Direction,
    accepted: bool,
    unix: Unix,
) -> (&'static [&'static str], usize) {
    let stream = s.proto.has_tcp_states() || s.proto == Proto::Unix;
    if s.state == State::Listen {
        return (SERVER, 3);
    }
    if !stream {
        return match s.state {
            State::Established => (DATAGRAM_CLIENT, 2),
            _ if s.local.port == 0 => (DATAGRAM_SERVER, 0),
            _ => (DATAGRAM_SERVER, 2),
        };
    }
    if s.proto == Proto::Unix && (s.state == State::Established || unix.datagram) {
        return unix_syscalls(s, unix);
    }
    let server = direction == Direction::In || s.state == State::SynRecv;
    match s.state {
        State::Closed | State::Unconn => (CLIENT, 0),
        State::SynSent => (CLIENT, 1),
        // The kernel completes the handshake before accept().
        State::SynRecv => (SERVER, 2),
        State::Established | State::CloseWait if server && !accepted => (SERVER, 2),
        State::Established | State::CloseWait => {
            if server {
                (SERVER, 4)
            } else {
                (CLIENT, 2)
            }
        }
        _ if server => (SERVER, 5),
        _ => (CLIENT, 3),
    }
}

/// Paths shown for a socket: title and steps.
fn paths(proto: Proto, state: State, direction: Direction) -> Vec<(&'static str, &'static [Step])> {
    // A tracked flow is not a socket; of a state without a name nothing is known.
    if matches!(state, State::Forwarded | State::Unknown(_)) {
        return vec![];
    }
    if !proto.has_tcp_states() {
        return vec![];
    }
    if state == State::Listen {
        return vec![(tr("TCP state"), LISTENING)];
    }
    let start = match direction {
        Direction::In => ACCEPTED,
        Direction::None if state == State::SynRecv => ACCEPTED,
        Direction::Out | Direction::None => CONNECTED,
    };
    let mut out = vec![(tr("TCP state"), start)];
    match state {
        State::FinWait1 | State::FinWait2 | State::TimeWait => out.push((tr("active close"), ACTIVE_CLOSE)),
        State::CloseWait | State::LastAck => out.push((tr("passive close"), PASSIVE_CLOSE)),
        State::Closing => out.push((tr("simultaneous close"), SIMULTANEOUS_CLOSE)),
        _ => {
            out.push((tr("on local close"), ACTIVE_CLOSE));
            out.push((tr("on remote close"), PASSIVE_CLOSE));
        }
    }
    out
}

impl Builder<'_> {
    /// Adds the lifecycle: the states passed, the current one, and the possible next ones.
    pub(super) fn lifecycle(&mut self, row: usize) {
        let s = *self.snap.socket(row);
        let direction = self.snap.facts[row].direction;
        let (state, proto) = (s.state, s.proto);
        if !matches!(
            proto,
            Proto::Tcp | Proto::Mptcp | Proto::Udp | Proto::UdpLite | Proto::Sctp | Proto::Unix
        ) || row >= self.snap.live
        {
            return;
        }
        self.section(tr("lifecycle"));
        let accepted = self.snap.facts[row].owner_missing != Some(Missing::AcceptQueue);
        let attrs = self.snap.attrs(row);
        let peer = attrs.unix_peer().is_some_and(|inode| inode != 0);
        let unix = Unix { datagram: attrs.kind() == Some(2), peer };
        let (all, at) = syscalls(&s, direction, accepted, unix);
        let steps: Vec<Step> = all.iter().map(|c| Call(c)).collect();
        self.path(tr("syscalls"), &steps, Some(at), &|n| n <= at);
        let all = paths(proto, state, direction);
        let here = all.iter().position(|(_, steps)| steps.contains(&In(state)));
        for (i, (title, steps)) in all.into_iter().enumerate() {
            let at = steps.iter().position(|x| *x == In(state));
            let passed = |n: usize| match (here, at) {
                (Some(h), _) if i < h => true,
                (Some(h), Some(at)) if i == h => n <= at,
                _ => false,
            };
            self.path(title, steps, at.filter(|_| here == Some(i)), &passed);
        }
    }

    fn path(&mut self, title: &str, steps: &[Step], at: Option<usize>, passed: &dyn Fn(usize) -> bool) {
        let theme = self.app.theme;
        let arrow = self.app.glyphs.arrow;
        let label = self.label();
        let mut line: Pieces = vec![(pad(title, label), theme.dim)];
        let mut used = label + 1;
        for (n, step) in steps.iter().enumerate() {
            let (word, style) = match step {
                Call(c) if at == Some(n) => (*c, theme.strong),
                Call(c) => (*c, if passed(n) { theme.text } else { theme.faint }),
                In(s) if at == Some(n) => (s.name(), theme.bold(theme.state(*s))),
                In(s) => (s.name(), if passed(n) { theme.state(*s) } else { theme.faint }),
            };
            // Marked without colour too.
            let word = if at == Some(n) { format!("[{word}]") } else { word.to_owned() };
            let need = word.len() + if n > 0 { 3 } else { 0 };
            if used + need > self.width && n > 0 {
                self.out.push(std::mem::take(&mut line));
                line.push((pad("", label), theme.faint));
                used = label + 1;
            }
            if n > 0 {
                let blank = if line.len() > 1 { " " } else { "" };
                line.push((format!("{blank}{arrow} "), theme.faint));
            }
            line.push((word, style));
            used += need;
        }
        self.out.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, SocketId};
    use Direction::{In as Came, None as Neither, Out};

    #[test]
    fn every_tcp_state_is_on_a_path() {
        for state in
            State::all().filter(|s| !matches!(s, State::Unconn | State::Forwarded | State::Unknown(_)))
        {
            for d in [Came, Out, Neither] {
                let all = paths(Proto::Tcp, state, d);
                let there = all.iter().any(|(_, steps)| steps.contains(&In(state)));
                let of_other = matches!((state, d), (State::SynRecv, Out) | (State::SynSent, Came));
                assert!(there || of_other, "{} {d:?}", state.name());
            }
        }
        assert!(paths(Proto::Udp, State::Unconn, Neither).is_empty());
    }

    #[test]
    fn unix_socket_syscalls_follow_from_its_names() {
        let current = |state, names: (u32, u32), datagram, peer| {
            let mut s = Socket::new(SocketId { netns: 0, cookie: 1 }, Family::Unix, Proto::Unix, state);
            (s.local_name, s.remote_name) = names;
            let (all, at) = syscalls(&s, Neither, true, Unix { datagram, peer });
            (all, all[at])
        };
        let open = State::Established;
        assert_eq!(current(open, (1, 0), false, true), (SERVER, "read / write"));
        assert_eq!(current(open, (0, 1), false, true), (CLIENT, "read / write"));
        assert_eq!(current(open, (0, 0), false, true), (PAIR, "read / write"));
        assert_eq!(current(open, (0, 0), false, false), (CLIENT, "read / write"), "it waits to be accepted");
        // Datagram sockets neither listen nor accept.
        assert_eq!(current(open, (1, 0), true, false), (DATAGRAM_SERVER, "recvfrom / sendto"));
        assert_eq!(current(State::Unconn, (1, 0), true, false), (DATAGRAM_SERVER, "recvfrom / sendto"));
        assert_eq!(current(State::Unconn, (0, 0), true, false), (DATAGRAM_SERVER, "socket"));
        assert_eq!(current(open, (0, 1), true, true), (DATAGRAM_CLIENT, "send / recv"));
        assert_eq!(current(open, (0, 0), true, true), (PAIR, "read / write"));
    }

    #[test]
    fn current_syscall_follows_from_state_and_direction() {
        let current = |proto, state, direction, accepted| {
            let mut s = Socket::new(SocketId { netns: 0, cookie: 1 }, Family::Inet, proto, state);
            s.local.port = 80;
            let (all, at) = syscalls(&s, direction, accepted, Unix { datagram: false, peer: true });
            (all[0], all[at])
        };
        for (proto, state, direction, accepted, want) in [
            (Proto::Tcp, State::Listen, Neither, true, ("socket", "accept")),
            (Proto::Tcp, State::SynRecv, Came, true, ("socket", "listen")),
            (Proto::Tcp, State::Established, Came, false, ("socket", "listen")),
            (Proto::Tcp, State::Established, Came, true, ("socket", "read / write")),
            (Proto::Tcp, State::SynSent, Out, true, ("socket", "connect")),
            // The peer has closed, the application has not called close().
            (Proto::Tcp, State::CloseWait, Out, true, ("socket", "read / write")),
            (Proto::Tcp, State::TimeWait, Neither, true, ("socket", "close")),
            (Proto::Udp, State::Unconn, Neither, true, ("socket", "recvfrom / sendto")),
            (Proto::Udp, State::Established, Neither, true, ("socket", "send / recv")),
            (Proto::Unix, State::Established, Neither, true, ("socketpair", "read / write")),
        ] {
            assert_eq!(current(proto, state, direction, accepted), want, "{proto:?} {state:?} {direction:?}");
        }
        for state in State::all() {
            for direction in [Came, Out, Neither] {
                let (all, at) = syscalls(
                    &Socket::new(SocketId { netns: 0, cookie: 1 }, Family::Inet, Proto::Tcp, state),
                    direction,
                    true,
                    Unix::default(),
                );
                assert!(at < all.len(), "{state:?} {direction:?}");
            }
        }
    }
}
