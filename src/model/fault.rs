//! Non-fatal read errors, counted per kind and subject, and the reasons of missing values.

use super::lang::{noop, tr};
use super::proto::{Family, Proto};
use crate::msg;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Reason why a value is missing. Missing is never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// Meaningless for this row.
    NotApplicable,
    /// Not reported by this kernel or backend.
    NotReported,
    /// Not requested.
    NotRead,
    /// Being read; the next snapshot has it.
    Pending,
    /// Refused by the kernel: another user's process, or a missing capability.
    NotPermitted,
    /// No growth, so the limit is never reached.
    Stable,
    /// Closed or exited before it could be read.
    Gone,
    /// Owner: the connection is in its listener's accept queue.
    AcceptQueue,
    /// Owner: closed by the application; the kernel finishes the connection.
    Orphan,
    /// Owner: `TIME_WAIT` sockets belong to the kernel.
    TimeWait,
    /// Owner: the handshake is in progress.
    Handshake,
    /// Owner: a kernel socket, one in a message between processes (`SCM_RIGHTS`), or a process that is not visible from here.
    NoVisibleProcess,
    /// Security context: no security module assigns labels.
    NoLabels,
}

impl Missing {
    /// All reasons, in order.
    pub const ALL: [Self; 13] = [
        Self::NotApplicable,
        Self::NotReported,
        Self::NotRead,
        Self::Pending,
        Self::NotPermitted,
        Self::Stable,
        Self::Gone,
        Self::AcceptQueue,
        Self::Orphan,
        Self::TimeWait,
        Self::Handshake,
        Self::NoVisibleProcess,
        Self::NoLabels,
    ];

    /// Reason in a few words, on screen and in JSON.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotApplicable => noop("not applicable"),
            Self::NotReported => noop("not reported"),
            Self::NotRead => noop("not read"),
            Self::Pending => noop("pending"),
            Self::NotPermitted => noop("not permitted"),
            Self::Stable => noop("stable"),
            Self::Gone => noop("gone before it could be read"),
            Self::AcceptQueue => noop("in the accept queue"),
            Self::Orphan => noop("orphaned (closed by the application)"),
            Self::TimeWait => noop("kernel-owned (TIME_WAIT)"),
            Self::Handshake => noop("handshake in progress"),
            Self::NoVisibleProcess => {
                noop("kernel socket, being passed (SCM_RIGHTS), or its process is not visible here")
            }
            Self::NoLabels => noop("no security module labels processes"),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(tr(self.reason()))
    }
}

/// Kind of a non-fatal error in part of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Missing in this kernel: no diag module, protocol not built in.
    Unsupported,
    /// Dump flagged `NLM_F_DUMP_INTR` and read again.
    Interrupted,
    /// Messages lost (`ENOBUFS`, a truncated receive) and the table read again.
    Lost,
    /// Message or line that could not be parsed.
    Malformed,
    /// Read error.
    Failed,
    /// Permission denied.
    NotPermitted,
    /// Process or namespace that was gone before it was read.
    Vanished,
    /// Scan stopped by its budget; later polls continue it.
    Deferred,
    /// Namespace that could not be entered.
    Namespace,
    /// Search that costs too much for what was requested.
    NotSearched,
    /// Requested method that cannot be used here; another one is used instead.
    NotUsed,
    /// File or directory that a captured tree does not have.
    NotCaptured,
}

impl FaultKind {
    /// Short text for status lines and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsupported => noop("not supported by this kernel"),
            Self::Interrupted => noop("changed during the dump"),
            Self::Lost => noop("messages lost"),
            Self::Malformed => noop("parse error"),
            Self::Failed => noop("read failed"),
            Self::NotPermitted => noop("not permitted"),
            Self::Vanished => noop("exited during the scan"),
            Self::Deferred => noop("deferred to a later poll"),
            Self::Namespace => noop("not accessible"),
            Self::NotSearched => noop("not searched for"),
            Self::NotUsed => noop("not used"),
            Self::NotCaptured => noop("not in the captured tree"),
        }
    }

    /// True if requested data is missing from the output because of it.
    pub const fn hides_data(self) -> bool {
        matches!(
            self,
            Self::Lost
                | Self::Malformed
                | Self::Failed
                | Self::NotPermitted
                | Self::Namespace
                | Self::NotSearched
                | Self::NotCaptured
        )
    }
}

/// Subject of a fault: the table, file or kind of data that was being read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultSubject {
    /// Socket table dumped over `NETLINK_SOCK_DIAG`.
    Dump {
        /// Protocol of the table.
        proto: Proto,
        /// Address family, if the table covers one only.
        family: Option<Family>,
        /// Network namespace, if not that of this process.
        netns: Option<Arc<str>>,
    },
    /// Socket table in this file below `/proc/net`.
    ProcNet(Arc<str>),
    /// Socket list of the portable backend (`netstat2`).
    PortableSockets,
    /// Network namespaces other than that of this process.
    Namespaces,
    /// List of processes in `/proc`.
    ProcessList,
    /// Processes (`/proc/PID/stat` and the files beside it).
    Processes,
    /// Descriptors of processes (`/proc/PID/fd`).
    Descriptors,
    /// Owners of sockets opened since the previous poll.
    NewOwners,
    /// Owners read by a BPF iterator.
    BpfIter,
    /// Security contexts of processes and sockets.
    SecurityContexts,
    /// BPF maps of sockets.
    BpfMaps,
    /// Local ports chosen by the kernel (`INET_DIAG_BC_AUTO`).
    AutoPorts,
    /// Names of network interfaces.
    InterfaceNames,
    /// Addresses of network interfaces.
    InterfaceAddresses,
    /// Neighbours of a network namespace.
    Neighbours,
    /// Rules of `nf_tables`.
    NftRules,
    /// Rules of iptables-legacy (xtables).
    IptablesRules,
    /// Entries of the connection tracking table.
    Conntrack,
    /// Events between two polls.
    Events,
    /// DNS questions and answers.
    Dns,
    /// Names of containers.
    Containers,
    /// Samples of a recording.
    Recording,
    /// Process that reads with privilege for the dashboard.
    CollectorProcess,
    /// This file or directory of a captured tree: `net`, `PID/fd`.
    Captured(Arc<str>),
}

impl FaultSubject {
    /// Socket table below `/proc/net`.
    pub fn proc_net(file: &str) -> Self {
        Self::ProcNet(file.into())
    }

    /// True if sockets can be missing because of it.
    pub fn is_sockets(&self) -> bool {
        match self {
            Self::Captured(path) => &**path == "net",
            s => matches!(s, Self::Dump { .. } | Self::ProcNet(_) | Self::PortableSockets | Self::Namespaces),
        }
    }

    /// True if it is the table, or one of the tables, of this protocol.
    pub fn is_table_of(&self, proto: Proto) -> bool {
        match self {
            Self::Dump { proto: p, .. } => *p == proto,
            Self::ProcNet(file) => file.strip_suffix('6').unwrap_or(file) == proto.name(),
            _ => false,
        }
    }

    /// True if owners of sockets can be missing because of it.
    pub fn is_owners(&self) -> bool {
        match self {
            Self::Captured(path) => &**path == "PID/fd",
            s => matches!(s, Self::Descriptors | Self::NewOwners),
        }
    }

    /// True if NAT rules can be missing because of it.
    pub const fn is_nat_rules(&self) -> bool {
        matches!(self, Self::NftRules | Self::IptablesRules)
    }

    /// True if port forwards or tracked connections can be missing because of it.
    pub const fn is_nat(&self) -> bool {
        self.is_nat_rules() || matches!(self, Self::Conntrack)
    }
}

impl fmt::Display for FaultSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dump { proto, family, netns } => {
                let family = family.map_or_else(String::new, |family| format!(" {}", family.name()));
                let table = msg!("{}{} dump", proto.name(), family);
                return match netns {
                    Some(name) => f.write_str(&msg!("{} in netns {}", table, name)),
                    None => f.write_str(&table),
                };
            }
            Self::ProcNet(file) => return write!(f, "/proc/net/{file}"),
            Self::Captured(path) => path,
            Self::PortableSockets => tr("sockets of netstat2"),
            Self::Namespaces => tr("network namespaces"),
            Self::ProcessList => tr("process list"),
            Self::Processes => tr("processes"),
            Self::Descriptors => tr("file descriptors"),
            Self::NewOwners => tr("owners of new sockets"),
            Self::BpfIter => tr("owners by bpf_iter"),
            Self::Events => tr("events"),
            Self::Dns => tr("DNS questions"),
            Self::SecurityContexts => tr("security contexts"),
            Self::BpfMaps => tr("BPF maps of sockets"),
            Self::AutoPorts => tr("ports chosen by the kernel"),
            Self::InterfaceNames => tr("interface names"),
            Self::InterfaceAddresses => tr("interface addresses"),
            Self::Neighbours => tr("neighbours"),
            Self::NftRules => tr("nf_tables rules"),
            Self::IptablesRules => tr("iptables-legacy rules"),
            Self::Conntrack => tr("conntrack entries"),
            Self::Containers => tr("container names"),
            Self::Recording => tr("recording"),
            Self::CollectorProcess => tr("collector process"),
        })
    }
}

/// Faults of one kind on one subject, counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Kind of error.
    pub kind: FaultKind,
    /// Table, file or data concerned.
    pub subject: FaultSubject,
    /// Number of occurrences.
    pub count: u32,
    /// First error as reported by the system; empty if the kind is enough.
    pub detail: String,
}

impl fmt::Display for Fault {
    /// One line: `tcp inet dump: read failed (2 times): Input/output error`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.count;
        match (self.kind, &self.subject) {
            (FaultKind::Vanished, FaultSubject::Namespaces) => {
                f.write_str(&match n {
                    1 => tr("1 network namespace deleted during the scan").to_owned(),
                    n => msg!("{} network namespaces deleted during the scan", n),
                })?;
            }
            (FaultKind::Vanished, _) => {
                f.write_str(&match n {
                    1 => tr("1 process exited during the scan").to_owned(),
                    n => msg!("{} processes exited during the scan", n),
                })?;
            }
            (kind, subject) => {
                write!(f, "{subject}: {}", tr(kind.name()))?;
                if n > 1 {
                    f.write_str(&msg!(" ({} times)", n))?;
                }
            }
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// Faults of one poll.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Counts one fault; the detail of the first of its kind on that subject is kept.
    pub fn add(&mut self, kind: FaultKind, subject: FaultSubject, detail: impl Into<String>) {
        self.add_many(kind, subject, detail, 1);
    }

    /// Counts `n` faults.
    pub fn add_many(&mut self, kind: FaultKind, subject: FaultSubject, detail: impl Into<String>, n: u32) {
        if n == 0 {
            return;
        }
        match self.0.iter_mut().find(|f| f.kind == kind && f.subject == subject) {
            Some(f) => f.count = f.count.saturating_add(n),
            None => {
                let detail = super::text::strip_os_error(&detail.into()).into_owned();
                self.0.push(Fault { kind, subject, count: n, detail });
            }
        }
    }

    /// All faults, in the order of their first occurrence.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Fault> {
        self.0.iter()
    }

    /// True if the poll had no fault.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of faults of this kind.
    pub fn count(&self, kind: FaultKind) -> u32 {
        self.0.iter().filter(|f| f.kind == kind).map(|f| f.count).sum()
    }

    /// Adds the faults of another part of the poll.
    pub fn merge(&mut self, other: Self) {
        for f in other.0 {
            self.add_many(f.kind, f.subject, f.detail, f.count);
        }
    }
}
