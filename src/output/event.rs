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
    /// Opened and closed since the previous poll: a socket that no poll saw, from the events.
    ShortLived,
}

impl Event {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Present, "present"),
        (Self::Opened, "opened"),
        (Self::Changed, "changed"),
        (Self::Closed, "closed"),
        (Self::ShortLived, "short_lived"),
    ];

    /// Name of the event.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}
