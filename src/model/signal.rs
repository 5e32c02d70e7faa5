//! Signals that can be sent to a process (signal(7)).

/// One signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sig {
    /// Its name.
    pub name: &'static str,
    /// Its number on Linux, the same on every architecture for these.
    pub number: i32,
    /// What programs usually make of it.
    pub help: &'static str,
}

const fn sig(name: &'static str, number: i32, help: &'static str) -> Sig {
    Sig { name, number, help }
}

/// The signals that are offered, the gentlest first.
pub const SIGNALS: [Sig; 6] = [
    sig("SIGTERM", 15, "asks it to end"),
    sig("SIGHUP", 1, "ends it, or makes a server read its settings again"),
    sig("SIGINT", 2, "as Ctrl-C does"),
    sig("SIGQUIT", 3, "ends it with a core dump"),
    sig("SIGUSR1", 10, "what the program says; ends it where it says nothing"),
    sig("SIGKILL", 9, "ends it at once: it cannot refuse, and cleans up nothing"),
];
