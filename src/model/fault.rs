//! What could not be read, and why. Races and refusals are data, not accidents.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a value is not there. Missing is never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// It makes no sense for this row.
    NotApplicable,
    /// This kernel or backend does not tell it.
    NotReported,
    /// It was not asked for.
    NotRead,
    /// It is being read; the next snapshot has it.
    Pending,
    /// The kernel refused: another user's process, or a missing capability.
    NotPermitted,
    /// It does not change, so it is never reached.
    Steady,
    /// It was gone before it could be read.
    Gone,
    /// Owner: the connection waits in its listener's accept queue.
    AcceptQueue,
    /// Owner: closed by its program; the kernel finishes it alone.
    Orphan,
    /// Owner: `TIME_WAIT` belongs to the kernel.
    TimeWait,
    /// Owner: the handshake is not finished.
    Handshake,
    /// Owner: the kernel itself holds it, or a process that cannot be seen from here.
    NoVisibleProcess,
    /// Security context: no security module gives any.
    NoLabels,
}

impl Missing {
    /// All of them, in order.
    pub const ALL: [Self; 13] = [
        Self::NotApplicable,
        Self::NotReported,
        Self::NotRead,
        Self::Pending,
        Self::NotPermitted,
        Self::Steady,
        Self::Gone,
        Self::AcceptQueue,
        Self::Orphan,
        Self::TimeWait,
        Self::Handshake,
        Self::NoVisibleProcess,
        Self::NoLabels,
    ];

    /// The reason in a few words, as shown and as in JSON.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotApplicable => "not applicable",
            Self::NotReported => "not reported",
            Self::NotRead => "not read",
            Self::Pending => "being read",
            Self::NotPermitted => "not permitted",
            Self::Steady => "steady",
            Self::Gone => "gone before it was read",
            Self::AcceptQueue => "waiting in the accept queue",
            Self::Orphan => "closed by its program, the kernel finishes it",
            Self::TimeWait => "TIME_WAIT is the kernel's",
            Self::Handshake => "handshake not finished",
            Self::NoVisibleProcess => "held by the kernel or by a process not visible here",
            Self::NoLabels => "no security module labels processes here",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// What kind of thing went wrong in part of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The kernel has no such table (no diag module, protocol not built in).
    Unsupported,
    /// A dump was interrupted by changes (`NLM_F_DUMP_INTR`) and read again.
    Interrupted,
    /// Messages were lost (`ENOBUFS`, a truncated receive) and the table was read again.
    Lost,
    /// A message or line could not be understood.
    Malformed,
    /// A table could not be read.
    Failed,
    /// Descriptors of a process could not be read: not permitted.
    NotPermitted,
    /// A process was gone before it was read.
    Vanished,
    /// The walk over descriptors was cut by its budget; the rest follows in later polls.
    Deferred,
    /// A namespace could not be entered.
    Namespace,
    /// What was asked for cannot be used here; another way was taken.
    NotUsed,
}

impl FaultKind {
    /// What it is in a few words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsupported => "not supported by this kernel",
            Self::Interrupted => "table changed while read",
            Self::Lost => "messages lost",
            Self::Malformed => "not understood",
            Self::Failed => "could not be read",
            Self::NotPermitted => "not permitted",
            Self::Vanished => "ended while read",
            Self::Deferred => "left for a later poll",
            Self::Namespace => "not entered",
            Self::NotUsed => "not used",
        }
    }

    /// Whether it means that something the user asked for is not on the screen.
    pub const fn hides_something(self) -> bool {
        matches!(self, Self::Lost | Self::Malformed | Self::Failed | Self::NotPermitted | Self::Namespace)
    }
}

/// Subject of the fault that no security module labels anything.
pub const CONTEXTS: &str = "security contexts";
/// Subject of the fault that the kernel does not tell the BPF maps of sockets to us.
pub const BPF_MAPS: &str = "bpf maps of sockets";

/// One kind of fault on one subject, counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// On what: `tcp inet6 dump`, `/proc/net/tcp line 7`, `descriptors of processes`.
    pub subject: String,
    /// How many times.
    pub count: u32,
    /// The first error in the system's words, empty when the kind says it all.
    pub detail: String,
}

/// The faults of one poll.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Counts one more; the detail of the first of its kind on that subject is kept.
    pub fn add(&mut self, kind: FaultKind, subject: &str, detail: impl Into<String>) {
        self.add_many(kind, subject, detail, 1);
    }

    /// Counts `n` more.
    pub fn add_many(&mut self, kind: FaultKind, subject: &str, detail: impl Into<String>, n: u32) {
        if n == 0 {
            return;
        }
        match self.0.iter_mut().find(|f| f.kind == kind && f.subject == subject) {
            Some(f) => f.count = f.count.saturating_add(n),
            None => {
                let detail = super::text::without_number(&detail.into()).into_owned();
                self.0.push(Fault { kind, subject: subject.to_owned(), count: n, detail });
            }
        }
    }

    /// All of them, in the order they first happened.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Fault> {
        self.0.iter()
    }

    /// Whether nothing went wrong.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many of this kind.
    pub fn count(&self, kind: FaultKind) -> u32 {
        self.0.iter().filter(|f| f.kind == kind).map(|f| f.count).sum()
    }

    /// Takes over another's.
    pub fn merge(&mut self, other: Self) {
        for f in other.0 {
            self.add_many(f.kind, &f.subject, f.detail, f.count);
        }
    }
}
