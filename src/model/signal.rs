//! Signals that can be sent to a process (signal(7)).

/// Signal that can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalInfo {
    /// Name, `SIGTERM`.
    pub name: &'static str,
    /// Number on Linux; the same on every architecture for these.
    pub number: i32,
    /// Usual effect.
    pub help: &'static str,
}

const fn sig(name: &'static str, number: i32, help: &'static str) -> SignalInfo {
    SignalInfo { name, number, help }
}

/// Signals offered, the least disruptive first.
pub const SIGNALS: [SignalInfo; 6] = [
    sig("SIGTERM", 15, "request termination"),
    sig("SIGHUP", 1, "hangup: many daemons reload their configuration, others terminate"),
    sig("SIGINT", 2, "interrupt, like Ctrl-C"),
    sig("SIGQUIT", 3, "terminate with a core dump"),
    sig("SIGUSR1", 10, "application-defined, default: terminate"),
    sig("SIGKILL", 9, "kill: cannot be caught; no cleanup"),
];
