//! The life of a socket as a path, the present place lit.

use super::{Builder, Pieces};
use crate::model::snapshot::Direction;
use crate::model::{Proto, State};

/// A path: its steps in order, a step that is a state as that state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A call of the program.
    Call(&'static str),
    /// A state of the kernel's.
    In(State),
}

use Step::{Call, In};

/// What a listener goes through.
const SERVING: &[Step] = &[
    Call("socket"),
    Call("bind"),
    Call("listen"),
    In(State::Listen),
    Call("accept, again and again"),
    Call("close"),
];
/// The start of a connection that was accepted, and of one that was made here.
const ACCEPTED: &[Step] = &[Call("the listener"), In(State::SynRecv), In(State::Established)];
const CONNECTED: &[Step] = &[Call("socket"), Call("connect"), In(State::SynSent), In(State::Established)];
/// The three ends of a connection: closed here first, there first, at once.
const CLOSED_HERE: &[Step] =
    &[Call("close"), In(State::FinWait1), In(State::FinWait2), In(State::TimeWait), In(State::Closed)];
const CLOSED_THERE: &[Step] = &[In(State::CloseWait), Call("close"), In(State::LastAck), In(State::Closed)];
const CLOSED_AT_ONCE: &[Step] =
    &[Call("close"), In(State::FinWait1), In(State::Closing), In(State::TimeWait), In(State::Closed)];
/// A datagram socket.
const DATAGRAMS: &[Step] = &[
    Call("socket"),
    Call("bind"),
    In(State::Unconn),
    Call("connect"),
    In(State::Established),
    Call("close"),
];

/// The paths that are shown for a socket: a title, its steps.
fn paths(proto: Proto, state: State, direction: Direction) -> Vec<(&'static str, &'static [Step])> {
    if state == State::Listen {
        return vec![("", SERVING)];
    }
    if !proto.has_tcp_states() {
        return vec![("", DATAGRAMS)];
    }
    let start = match direction {
        Direction::In => ACCEPTED,
        Direction::None if state == State::SynRecv => ACCEPTED,
        Direction::Out | Direction::None => CONNECTED,
    };
    let mut out = vec![("", start)];
    match state {
        State::FinWait1 | State::FinWait2 | State::TimeWait => out.push(("closed here first", CLOSED_HERE)),
        State::CloseWait | State::LastAck => out.push(("closed there first", CLOSED_THERE)),
        State::Closing => out.push(("closed at once", CLOSED_AT_ONCE)),
        _ => {
            out.push(("if closed here first", CLOSED_HERE));
            out.push(("if closed there first", CLOSED_THERE));
        }
    }
    out
}

impl Builder<'_> {
    /// Where the socket stands, what it went through, what may come.
    pub(super) fn life(&mut self, row: usize) {
        let s = self.snap.socket(row);
        let direction = self.snap.facts[row].direction;
        let (state, proto) = (s.state, s.proto);
        if !matches!(
            proto,
            Proto::Tcp | Proto::Mptcp | Proto::Udp | Proto::UdpLite | Proto::Sctp | Proto::Unix
        ) || row >= self.snap.live
        {
            return;
        }
        self.section("its life");
        let all = paths(proto, state, direction);
        let here = all.iter().position(|(_, steps)| steps.contains(&In(state)));
        for (i, (title, steps)) in all.into_iter().enumerate() {
            let at = steps.iter().position(|x| *x == In(state));
            let walked = |n: usize| match (here, at) {
                (Some(h), _) if i < h => true,
                (Some(h), Some(at)) if i == h => n <= at,
                _ => false,
            };
            self.path(title, steps, at.filter(|_| here == Some(i)), &walked);
        }
    }

    fn path(&mut self, title: &str, steps: &[Step], at: Option<usize>, walked: &dyn Fn(usize) -> bool) {
        let theme = self.app.theme;
        let arrow = self.app.glyphs.arrow;
        let mut line: Pieces = Vec::new();
        let mut used = 0;
        if !title.is_empty() {
            used = title.len() + 2;
            line.push((format!("{title}: "), theme.faint));
        }
        for (n, step) in steps.iter().enumerate() {
            let (word, style) = match step {
                Call(c) => (*c, if walked(n) { theme.text } else { theme.faint }),
                In(s) if at == Some(n) => (s.name(), theme.state(*s).patch(theme.strong)),
                In(s) => (s.name(), if walked(n) { theme.state(*s) } else { theme.faint }),
            };
            // Without colour the place is to be seen too.
            let word = if at == Some(n) { format!("[{word}]") } else { word.to_owned() };
            let need = word.len() + if n > 0 { 3 } else { 0 };
            if used + need > self.width && !line.is_empty() {
                self.out.push(std::mem::take(&mut line));
                line.push(("  ".into(), theme.faint));
                used = 2;
            }
            if n > 0 {
                line.push((format!(" {arrow} "), theme.faint));
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

    #[test]
    fn every_state_of_tcp_has_its_place() {
        for state in State::all().filter(|s| *s != State::Unconn) {
            for d in [Direction::In, Direction::Out, Direction::None] {
                let all = paths(Proto::Tcp, state, d);
                let there = all.iter().any(|(_, steps)| steps.contains(&In(state)));
                let of_other =
                    matches!((state, d), (State::SynRecv, Direction::Out) | (State::SynSent, Direction::In));
                assert!(there || of_other, "{} {d:?}", state.name());
            }
        }
        assert!(paths(Proto::Udp, State::Unconn, Direction::None)[0].1.contains(&In(State::Unconn)));
    }
}
