//! Data types: sockets, processes, limits, and the result of one poll.
//!
//! No I/O, no clock and no display logic. The rest of the crate shares these types, so a live host, a captured `/proc`
//! tree, a recording and demo data are handled alike.
//!
//! Two types carry the data: a [`Sample`] is the raw result of one poll and can be serialised; a [`Snapshot`] holds the
//! rows that `derive` computed from it, ready to display.

pub mod addr;
pub mod attr;
pub mod bpf;
pub mod bytes;
pub mod cgroup_bpf;
pub mod container;
pub mod context;
pub mod counter_window;
pub mod diag_attr;
pub mod durations;
pub mod fault;
pub mod history;
pub mod hosts;
pub mod lang;
pub mod limit;
pub mod map;
pub mod mark;
pub mod names;
pub mod nat;
pub mod netns;
pub mod path;
pub mod process;
pub mod proto;
pub mod sample;
pub mod services;
pub mod signal;
pub mod snapshot;
pub mod socket;
pub mod state;
pub mod state_age;
pub mod struct_layout;
pub mod tcp_info;
pub mod text;
pub mod unit;
pub mod verify;
pub mod wants;

pub use addr::{Addr, Endpoint, Scope};
pub use attr::{Attrs, SkMem};
pub use container::{Container, ContainerEngine, Pod, Published, Qos};
pub use context::{Contexts, Label};
pub use fault::{Fault, FaultKind, FaultSubject, Faults, Missing};
pub use hosts::{HostName, Hosts};
pub use limit::{
    Alert, AlertRules, Counters, FullIn, Level, Limit, LimitKind, LimitSubject, ListenQueue, NetCounters,
    SystemLimits, Unjudged, UnjudgedPart,
};
pub use mark::{Mark, Period};
pub use nat::{FilterVerdict, Filtered, Forward, ForwardKind, Forwards, Hooks};
pub use netns::Netns;
pub use process::{FdKind, FdKinds, FdTarget, FdUsage, Halted, Owner, ProcInfo, ProcUsage, Process};
pub use proto::{Family, Proto};
pub use sample::{
    Backend, BackendInfo, FailedHop, Flow, Namespace, Netfilter, OwnersBy, Privileges, Sample, Stamp, nft,
    xtables,
};
pub use services::Services;
pub use snapshot::{Rates, Snapshot};
pub use socket::{Socket, SocketId, Timer, TimerKind};
pub use state::{State, StateCounts, StateSet};
pub use tcp_info::TcpInfo;
pub use unit::Unit;
pub use verify::{SHOWN_MAX, Shown, Verify};
pub use wants::{AttrSet, Needs, Prefilter, ProtoSet, Reads, Side, Wants};
