//! Reads for the details of the selected row: what was asked, of which host, and what came of it.

use super::event::{AskedHost, HostReply, ProbeRequest, ProbeResult};
use crate::format::age;
use crate::model::Snapshot;
use crate::model::snapshot::RemoteHost;
use crate::model::text::escape;
use crate::msg;
use std::sync::Arc;

/// Time without a reply after which it is late.
const LATE_S: u64 = 3;

/// Reply of another host that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Host, and number of the question.
    pub(crate) asked: AskedHost,
    /// Time of the question by the snapshot that was shown, nanoseconds after boot.
    pub(crate) since_ns: u64,
}

impl Waiting {
    /// State in one line, by the snapshot that is shown.
    pub(crate) fn text(&self, snap: &Snapshot) -> String {
        let host = escape(&self.asked.name);
        let waited_s = snap.sample.at.boot_ns.saturating_sub(self.since_ns) / 1_000_000_000;
        if waited_s >= LATE_S {
            msg!("{} has not answered for {}", host, age(waited_s as f64))
        } else {
            msg!("reading on {}", host)
        }
    }
}

/// Result of a probe.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Probed {
    /// This machine is being read.
    Pending,
    /// Another host was asked.
    Waiting(Waiting),
    /// The result.
    Read(Box<ProbeResult>),
    /// Reason why there is none, and the snapshot after which the host is asked again, if it is.
    Failed(String, Option<u64>),
}

/// Probe for the details of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DetailProbe {
    /// The row that is read.
    pub(crate) request: ProbeRequest,
    /// Host of the row; `None` for this machine.
    pub(crate) host: Option<Arc<str>>,
    /// State.
    pub(crate) state: Probed,
}

impl DetailProbe {
    /// The result, if it was read.
    pub(crate) fn result(&self) -> Option<&ProbeResult> {
        match &self.state {
            Probed::Read(result) => Some(result),
            _ => None,
        }
    }

    /// True if it is of this row of this host, and needs no other question.
    pub(crate) fn is_of(&self, request: &ProbeRequest, host: Option<&RemoteHost>, seq: u64) -> bool {
        let again = match (&self.state, host) {
            (Probed::Failed(_, Some(after)), Some(host)) => !host.is_late() && seq > *after,
            _ => false,
        };
        self.request == *request && self.host.as_ref() == host.map(|h| &h.name) && !again
    }

    /// Takes the reply of a host, if it is the one that is waited for.
    pub(crate) fn take(&mut self, asked: &AskedHost, reply: &HostReply, seq: u64) {
        if !matches!(&self.state, Probed::Waiting(w) if w.asked == *asked) {
            return;
        }
        let host = escape(&asked.name).into_owned();
        self.state = match reply {
            HostReply::Probed(result) => Probed::Read(result.clone()),
            HostReply::Answered(_) => Probed::Failed(unexpected(&host), None),
            HostReply::Refused(why) => Probed::Failed(msg!("not read on {}: {}", host, escape(why)), None),
            HostReply::Lost(why) => Probed::Failed(msg!("not read on {}: {}", host, escape(why)), Some(seq)),
        };
    }

    /// Reason why another host has not read it, or that it is still waited for, in one line.
    pub(crate) fn missing(&self, snap: &Snapshot) -> Option<String> {
        match &self.state {
            Probed::Pending | Probed::Read(_) => None,
            Probed::Waiting(waiting) => Some(waiting.text(snap)),
            Probed::Failed(why, _) => Some(why.clone()),
        }
    }
}

/// The error of a host that replies to something else.
pub(crate) fn unexpected(host: &str) -> String {
    msg!("not read on {}: the reply is one to something else", host)
}
