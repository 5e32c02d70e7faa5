//! Events of a row between two polls.

/// Event of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Present at the first poll.
    Present,
    /// New since the previous poll.
    Opened,
    /// Its state changed, or it started or stopped matching.
    Changed,
    /// Gone since the previous poll.
    Closed,
}

impl Event {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Present, "present"),
        (Self::Opened, "opened"),
        (Self::Changed, "changed"),
        (Self::Closed, "closed"),
    ];

    /// Name of the event.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}
