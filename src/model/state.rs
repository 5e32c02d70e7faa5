//! Socket states: names, kernel numbers and sets.

use bitflags::bitflags;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::OnceLock;

/// State of a socket: the eleven TCP states (RFC 9293, 3.3.2), `UNCONN` for a datagram socket without a peer,
/// `FORWARDED` for a connection that conntrack forwards, `UNKNOWN` for a number without a name.
///
/// Declared in display order: listening, established, handshake, closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Waiting for connections.
    Listen,
    /// Connected; also a datagram socket with a peer.
    Established,
    /// SYN sent, no reply yet.
    SynSent,
    /// SYN received and SYN-ACK sent; waiting for the final ACK.
    SynRecv,
    /// Closed locally; FIN not acknowledged yet.
    #[serde(rename = "FIN_WAIT1")]
    FinWait1,
    /// Closed locally and acknowledged; the peer can still send.
    #[serde(rename = "FIN_WAIT2")]
    FinWait2,
    /// Closed by the peer; the application has not closed it yet.
    CloseWait,
    /// Closed by the peer, then locally; waiting for the final ACK.
    LastAck,
    /// Closed by both sides at once; waiting for the ACK of the FIN.
    Closing,
    /// Closed locally first; kept for a minute to absorb late segments.
    TimeWait,
    /// Neither listening nor connected, bound or not.
    Closed,
    /// Datagram or raw socket without a peer.
    Unconn,
    /// No local socket: a tracked connection that this host forwards.
    Forwarded,
    /// State of a kernel that sockscope does not know, by its number; 0 if the backend does not report the number.
    Unknown(u8),
}

/// Names, kernel number and meaning of a state.
#[derive(Debug)]
pub struct StateInfo {
    /// State.
    pub state: State,
    /// Name on screen, in JSON and in the documentation.
    pub name: &'static str,
    /// Other spellings accepted by filters; case, `-`, `_` and spaces are ignored.
    pub aliases: &'static [&'static str],
    /// Number in `enum tcp_states` (`include/net/tcp_states.h`); 0 if it shares that of another state.
    pub kernel: u8,
    /// One-line description.
    pub meaning: &'static str,
}

/// All states in display order.
pub const STATES: [StateInfo; 14] = [
    StateInfo {
        state: State::Listen,
        name: "LISTEN",
        aliases: &["listening"],
        kernel: 10,
        meaning: "waiting for connections",
    },
    StateInfo {
        state: State::Established,
        name: "ESTABLISHED",
        aliases: &["estab", "est"],
        kernel: 1,
        meaning: "connected; data can flow both ways",
    },
    StateInfo {
        state: State::SynSent,
        name: "SYN_SENT",
        aliases: &[],
        kernel: 2,
        meaning: "connecting; no answer from the peer yet",
    },
    StateInfo {
        state: State::SynRecv,
        name: "SYN_RECV",
        aliases: &["syn-rcv", "syn-received", "new-syn-recv"],
        kernel: 3,
        meaning: "handshake in progress; waiting for the final ACK of the client",
    },
    StateInfo {
        state: State::FinWait1,
        name: "FIN_WAIT1",
        aliases: &["fin-wait-1"],
        kernel: 4,
        meaning: "closed locally; FIN not acknowledged yet",
    },
    StateInfo {
        state: State::FinWait2,
        name: "FIN_WAIT2",
        aliases: &["fin-wait-2"],
        kernel: 5,
        meaning: "closed locally; waiting for the FIN of the peer",
    },
    StateInfo {
        state: State::CloseWait,
        name: "CLOSE_WAIT",
        aliases: &[],
        kernel: 8,
        meaning: "closed by the peer, still open here; a descriptor leak if it grows",
    },
    StateInfo {
        state: State::LastAck,
        name: "LAST_ACK",
        aliases: &[],
        kernel: 9,
        meaning: "both sides closed; waiting for the final ACK",
    },
    StateInfo {
        state: State::Closing,
        name: "CLOSING",
        aliases: &[],
        kernel: 11,
        meaning: "both sides closed at the same time",
    },
    StateInfo {
        state: State::TimeWait,
        name: "TIME_WAIT",
        aliases: &[],
        kernel: 6,
        meaning: "closed locally first; kept for a minute to absorb late packets",
    },
    StateInfo {
        state: State::Closed,
        name: "CLOSED",
        aliases: &["close", "bound", "bound-inactive"],
        kernel: 7,
        meaning: "neither listening nor connected",
    },
    StateInfo {
        state: State::Unconn,
        name: "UNCONN",
        aliases: &["unconnected"],
        kernel: 0,
        meaning: "datagram socket without a peer",
    },
    StateInfo {
        state: State::Forwarded,
        name: "FORWARDED",
        aliases: &["forward", "passing"],
        kernel: 0,
        meaning: "forwarded by this host; no local socket",
    },
    StateInfo {
        state: State::Unknown(0),
        name: "UNKNOWN",
        aliases: &[],
        kernel: 0,
        meaning: "a state of a newer kernel, shown with its number",
    },
];

impl State {
    /// Greatest number in `enum tcp_states` that has a name here.
    const KERNEL_MAX: u8 = 13;

    /// Number of states.
    pub const COUNT: usize = STATES.len();

    /// All states in display order.
    pub fn all() -> impl ExactSizeIterator<Item = Self> + Clone {
        STATES.iter().map(|s| s.state)
    }

    /// Entry in [`STATES`].
    pub const fn info(self) -> &'static StateInfo {
        &STATES[self.index()]
    }

    /// Index in [`STATES`].
    const fn index(self) -> usize {
        match self {
            Self::Listen => 0,
            Self::Established => 1,
            Self::SynSent => 2,
            Self::SynRecv => 3,
            Self::FinWait1 => 4,
            Self::FinWait2 => 5,
            Self::CloseWait => 6,
            Self::LastAck => 7,
            Self::Closing => 8,
            Self::TimeWait => 9,
            Self::Closed => 10,
            Self::Unconn => 11,
            Self::Forwarded => 12,
            Self::Unknown(_) => 13,
        }
    }

    /// Place in the order of states; unknown ones follow by their number.
    pub const fn rank(self) -> u64 {
        match self {
            Self::Unknown(n) => self.index() as u64 + n as u64,
            s => s.index() as u64,
        }
    }

    /// Name: `CLOSE_WAIT`, `UNKNOWN(14)`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown(n) if n > 0 => unknown_name(n),
            s => s.info().name,
        }
    }

    /// State of a kernel number (`enum tcp_states`) for protocols with TCP states. `TCP_NEW_SYN_RECV` (12) is
    /// `SYN_RECV`, `TCP_BOUND_INACTIVE` (13) is `CLOSED`.
    pub fn from_kernel_tcp(n: u8) -> Self {
        match n {
            0 => Self::Unknown(0),
            12 => Self::SynRecv,
            13 => Self::Closed,
            n => STATES.iter().find(|s| s.kernel == n).map_or(Self::Unknown(n), |s| s.state),
        }
    }

    /// TCP state equivalent to an SCTP association state (`enum sctp_state`, `include/linux/sctp.h`); for the SCTP name
    /// see [`super::names::sctp_state`].
    pub const fn from_kernel_sctp(n: u8) -> Self {
        match n {
            0 => Self::Closed,
            // COOKIE_WAIT and COOKIE_ECHOED: no reply yet.
            1 | 2 => Self::SynSent,
            3 => Self::Established,
            // SHUTDOWN_PENDING, SHUTDOWN_SENT: closed locally.
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            // SHUTDOWN_RECEIVED: closed by the peer.
            6 => Self::CloseWait,
            7 => Self::LastAck,
            n => Self::Unknown(n),
        }
    }

    /// State of a kernel number for datagram and raw sockets: `TCP_ESTABLISHED` with a peer, any other without.
    pub const fn from_kernel_datagram(n: u8) -> Self {
        if n == 1 { Self::Established } else { Self::Unconn }
    }

    /// State of this name, ignoring case, `-`, `_` and spaces; accepts the spellings of `ss` and `netstat`.
    pub fn parse(word: &str) -> Option<Self> {
        let plain = |s: &str| -> String {
            s.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).map(|c| c.to_ascii_lowercase()).collect()
        };
        if word.len() > 32 {
            return None;
        }
        let word = plain(word);
        let number = word.strip_prefix("unknown(").and_then(|w| w.strip_suffix(')'));
        if let Some(n) = number.and_then(|n| n.parse().ok()) {
            return Some(Self::Unknown(n));
        }
        STATES
            .iter()
            .find(|s| plain(s.name) == word || s.aliases.iter().any(|a| plain(a) == word))
            .map(|s| s.state)
    }
}

/// Name of a state by its number, made once per number.
fn unknown_name(n: u8) -> &'static str {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    let names = NAMES.get_or_init(|| (0..=u8::MAX).map(|n| format!("UNKNOWN({n})")).collect());
    names.get(usize::from(n)).map_or("UNKNOWN", String::as_str)
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

bitflags! {
    /// Set of states, one bit per [`State`].
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
    #[serde(transparent)]
    pub struct StateSet: u16 {
        /// All states.
        const ALL = (1 << STATES.len()) - 1;
    }
}

impl StateSet {
    /// Exactly these states.
    pub fn only(states: &[State]) -> Self {
        states.iter().fold(Self::empty(), |s, x| s.with(*x))
    }
    /// Adds one state.
    #[must_use]
    pub const fn with(self, s: State) -> Self {
        Self::from_bits_retain(self.bits() | 1 << s.index())
    }
    /// Membership of one state.
    pub const fn has(self, s: State) -> bool {
        self.bits() & 1 << s.index() != 0
    }
    /// Member states in display order.
    pub fn states(self) -> impl Iterator<Item = State> {
        State::all().filter(move |s| self.has(*s))
    }
    /// Bit mask of kernel states to dump for a protocol with TCP states (`inet_diag_req_v2.idiag_states`, bit *n* for
    /// state *n*).
    pub fn kernel_tcp_mask(self) -> u32 {
        let mut m =
            self.states().filter(|s| s.info().kernel != 0).fold(0u32, |m, s| m | 1 << s.info().kernel);
        if self.has(State::SynRecv) {
            m |= 1 << 12;
        }
        if self.has(State::Closed) {
            m |= 1 << 13;
        }
        if self.has(State::Unknown(0)) {
            m |= !0 << (State::KERNEL_MAX + 1);
        }
        m
    }
    /// Same for a datagram or raw protocol: bit 1 with a peer, bit 7 without.
    pub const fn kernel_datagram_mask(self) -> u32 {
        (self.has(State::Established) as u32) << 1 | (self.has(State::Unconn) as u32) << 7
    }
}

impl fmt::Debug for StateSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.states().map(State::name)).finish()
    }
}

/// Number of sockets in each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StateCounts([u32; State::COUNT]);

impl StateCounts {
    /// Returns whether a socket is in a state in which TCP carries or carried data.
    pub fn has_connections(&self) -> bool {
        self.present().any(|(s, _)| {
            !matches!(s, State::Listen | State::Unconn | State::Closed | State::TimeWait | State::SynRecv)
        })
    }

    /// Counts one socket in this state.
    pub const fn add(&mut self, s: State) {
        self.0[s.index()] += 1;
    }
    /// Sets the number of sockets in this state.
    pub const fn set(&mut self, s: State, n: u32) {
        self.0[s.index()] = n;
    }
    /// Number of sockets in this state.
    pub const fn get(&self, s: State) -> u32 {
        self.0[s.index()]
    }
    /// Total number of sockets.
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }
    /// Non-zero counts in display order.
    pub fn present(&self) -> impl Iterator<Item = (State, u32)> + '_ {
        State::all().zip(self.0).filter(|(_, n)| *n > 0)
    }
    /// Raises each count to the other one, if that is larger.
    pub fn raise(&mut self, o: &Self) {
        for (a, b) in self.0.iter_mut().zip(o.0) {
            *a = (*a).max(b);
        }
    }
    /// Adds other counts.
    pub fn merge(&mut self, o: &Self) {
        for (a, b) in self.0.iter_mut().zip(o.0) {
            *a += b;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_follow_enum_order() {
        for (i, s) in STATES.iter().enumerate() {
            assert_eq!(s.state.index(), i);
            if s.state != State::Unknown(0) {
                assert_eq!(serde_json::to_value(s.state).unwrap(), s.name, "same name in JSON");
            }
            assert!(!s.meaning.is_empty());
        }
    }

    #[test]
    fn ss_and_netstat_spellings_parse() {
        for (word, want) in [
            ("close-wait", State::CloseWait),
            ("CLOSE_WAIT", State::CloseWait),
            ("closewait", State::CloseWait),
            ("Close Wait", State::CloseWait),
            ("estab", State::Established),
            ("LISTENING", State::Listen),
            ("FIN-WAIT-1", State::FinWait1),
            ("fin_wait2", State::FinWait2),
            ("unconnected", State::Unconn),
            ("close", State::Closed),
            ("syn-rcv", State::SynRecv),
        ] {
            assert_eq!(State::parse(word), Some(want), "{word}");
        }
        for s in State::all() {
            assert_eq!(State::parse(s.name()), Some(s));
        }
        assert_eq!(State::parse("bogus"), None);
        assert_eq!(State::parse(""), None);
    }

    #[test]
    fn kernel_numbers_round_trip() {
        for n in 1..=11 {
            let s = State::from_kernel_tcp(n);
            assert_eq!(s.info().kernel, n);
            assert!(StateSet::only(&[s]).kernel_tcp_mask() & 1 << n != 0);
        }
        for n in [0, 14, 15, 255] {
            let s = State::from_kernel_tcp(n);
            assert_eq!((s, State::parse(s.name())), (State::Unknown(n), Some(s)));
            assert!(StateSet::only(&[State::Unknown(7)]).has(s), "one set for all of them");
        }
        assert_eq!(State::Unknown(14).to_string(), "UNKNOWN(14)");
        assert_eq!(StateSet::ALL.kernel_tcp_mask(), 0xffff_fffe);
        assert_eq!((!StateSet::only(&[State::Unknown(0)])).kernel_tcp_mask(), 0x3ffe);
        assert_eq!(StateSet::ALL.kernel_datagram_mask(), 0x82);
    }

    #[test]
    fn state_set_contains_only_its_states() {
        let s = StateSet::only(&[State::Listen, State::TimeWait]);
        assert!(s.has(State::Listen) && !s.has(State::CloseWait));
        assert_eq!(!s & s, StateSet::empty());
        assert_eq!(!s | s, StateSet::ALL);
        assert_eq!(s.states().count(), 2);
    }
}
