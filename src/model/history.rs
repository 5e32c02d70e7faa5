//! History of numbers over the last hour, for charts: bounded in subjects and in readings.
//!
//! Each number is kept at every poll for a minute, then thinned out to steps of 3 s up to five minutes and of 30 s up to an hour,
//! with the lowest and the highest value of each step; a value that does not change takes no room. At most
//! [`MAX_SUBJECTS`] of each kind are followed without being asked for, and the [`MAX_WATCHED`] selected last: about 12 MB if every
//! number changes every second for an hour, some 100 KB on a quiet machine.

mod series;

pub use series::{Series, Slot};

use super::limit::{LimitKind, LimitSubject};
use super::socket::SocketId;
use super::state::State;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most processes, limits and sockets followed without being watched, of each.
pub const MAX_SUBJECTS: usize = 256;
/// Most subjects that are watched.
pub const MAX_WATCHED: usize = 16;
/// Time after which a subject that is no longer reported is dropped, nanoseconds.
const KEPT_NS: u64 = 60_000_000_000;

/// Subject of a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// All sockets in a state.
    State(State),
    /// A process: pid and start time.
    Process(u32, u64),
    /// A limit: its kind, inode of its network namespace, and its subject.
    Limit(LimitKind, u64, LimitSubject),
    /// A socket.
    Socket(SocketId),
}

impl Subject {
    const fn kind(&self) -> usize {
        match self {
            Self::State(_) => 0,
            Self::Process(..) => 1,
            Self::Limit(..) => 2,
            Self::Socket(_) => 3,
        }
    }
}

/// A number of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Sockets in a state, or usage of a limit.
    Used,
    /// Open descriptors.
    Fds,
    /// Bytes received per second.
    Rx,
    /// Bytes sent per second.
    Tx,
    /// Segments retransmitted per second.
    Retrans,
    /// Round-trip time, microseconds.
    Rtt,
    /// Congestion window, segments.
    Cwnd,
    /// Delivery rate, bytes per second.
    DeliveryRate,
    /// Pacing rate, bytes per second.
    PacingRate,
    /// Receive queue, bytes; connections for a listener.
    RecvQ,
    /// Send queue, bytes.
    SendQ,
}

/// Numbers of one subject.
#[derive(Clone, Debug, Default)]
struct Track {
    series: Vec<(Metric, Series)>,
    /// Time of the last poll that reported it.
    last_ns: u64,
    watched: bool,
}

#[derive(Debug, Default)]
struct Store {
    tracks: FxHashMap<Subject, Track>,
    /// Followed subjects by kind that are not watched.
    unwatched: [usize; 4],
    /// Watched subjects, the latest last.
    watched: Vec<Subject>,
}

/// The history, shared by all snapshots of one engine. It is only appended to; a reader passes the time of its snapshot, so that
/// a paused screen does not change.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Store>>);

impl History {
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a subject from now on, whatever the number of others; the one watched longest ago may be dropped for it.
    pub fn watch(&self, subject: &Subject) {
        let mut store = self.lock();
        if store.watched.last() == Some(subject) {
            return;
        }
        store.watched.retain(|s| s != subject);
        store.watched.push(subject.clone());
        if store.watched.len() > MAX_WATCHED {
            let dropped = store.watched.remove(0);
            if let Some(track) = store.tracks.get_mut(&dropped) {
                track.watched = false;
                store.unwatched[dropped.kind()] += 1;
            }
        }
        let kind = subject.kind();
        if let Some(track) = store.tracks.get_mut(subject)
            && !std::mem::replace(&mut track.watched, true)
        {
            store.unwatched[kind] = store.unwatched[kind].saturating_sub(1);
        }
    }

    /// A copy of the series of a number; `None` if it is not followed.
    pub fn series(&self, subject: &Subject, metric: Metric) -> Option<Series> {
        let store = self.lock();
        let track = store.tracks.get(subject)?;
        track.series.iter().find(|(m, _)| *m == metric).map(|(_, s)| s.clone())
    }

    /// Writer for the readings of one poll.
    pub fn recorder(&self, boot_ns: u64) -> Recorder<'_> {
        Recorder { store: self.lock(), now: boot_ns }
    }

    /// Number of subjects and of readings kept.
    pub fn size(&self) -> (usize, usize) {
        let store = self.lock();
        let readings = store.tracks.values().flat_map(|t| &t.series).map(|(_, s)| s.len()).sum();
        (store.tracks.len(), readings)
    }
}

/// Adds the readings of one poll; drops subjects that have disappeared when it is done.
#[derive(Debug)]
pub struct Recorder<'a> {
    store: MutexGuard<'a, Store>,
    now: u64,
}

impl Recorder<'_> {
    /// True if this subject is followed, or would be because it is watched.
    pub fn follows(&self, subject: &Subject) -> bool {
        self.store.tracks.contains_key(subject) || self.is_watched(subject)
    }

    /// True if this subject is watched.
    pub fn is_watched(&self, subject: &Subject) -> bool {
        self.store.watched.contains(subject)
    }

    /// True if there is room for another subject of the kind of this one.
    pub fn has_room(&self, subject: &Subject) -> bool {
        self.store.unwatched[subject.kind()] < MAX_SUBJECTS
    }

    /// Adds readings of a subject; `None` for a value that was not read. Ignored if it is not followed and there is no room.
    pub fn add(&mut self, subject: &Subject, values: &[(Metric, Option<f64>)]) {
        let watched = self.is_watched(subject);
        if !self.store.tracks.contains_key(subject) {
            if !watched {
                if !self.has_room(subject) {
                    return;
                }
                self.store.unwatched[subject.kind()] += 1;
            }
            self.store.tracks.insert(subject.clone(), Track { watched, ..Track::default() });
        }
        let now = self.now;
        let Some(track) = self.store.tracks.get_mut(subject) else { return };
        track.last_ns = now;
        for (metric, value) in values {
            match track.series.iter_mut().find(|(m, _)| m == metric) {
                Some((_, series)) => series.push(now, *value),
                None if value.is_some() => {
                    let mut series = Series::default();
                    series.push(now, *value);
                    track.series.push((*metric, series));
                }
                None => {}
            }
        }
    }
}

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        let now = self.now;
        let Store { tracks, unwatched, watched } = &mut *self.store;
        tracks.retain(|subject, track| {
            let keep = now.saturating_sub(track.last_ns) <= KEPT_NS;
            if !keep && track.watched {
                watched.retain(|s| s != subject);
            } else if !keep {
                unwatched[subject.kind()] = unwatched[subject.kind()].saturating_sub(1);
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn number_of_subjects_is_bounded_and_watched_ones_are_followed() {
        let history = History::default();
        let late = Subject::Process(9_999, 1);
        for poll in 0..3 {
            let mut r = history.recorder(poll * S);
            for pid in 0..1_000 {
                r.add(&Subject::Process(pid, 1), &[(Metric::Fds, Some(f64::from(pid)))]);
            }
            r.add(&late, &[(Metric::Fds, Some(1.0))]);
            drop(r);
            assert_eq!(history.series(&late, Metric::Fds).is_some(), poll > 0);
            history.watch(&late);
        }
        assert_eq!(history.size().0, MAX_SUBJECTS + 1);
        for pid in 0..200 {
            history.watch(&Subject::Process(pid, 1));
        }
        assert!(history.lock().watched.len() <= MAX_WATCHED);
    }

    #[test]
    fn subject_that_disappeared_makes_room_after_a_minute() {
        let history = History::default();
        for poll in 0..200u32 {
            let mut r = history.recorder(u64::from(poll) * S);
            for i in 0..MAX_SUBJECTS as u32 {
                r.add(
                    &Subject::Process(if poll < 100 { i } else { 10_000 + i }, 1),
                    &[(Metric::Fds, Some(1.0))],
                );
            }
        }
        assert_eq!(history.series(&Subject::Process(1, 1), Metric::Fds).map(|s| s.len()), None);
        assert!(history.series(&Subject::Process(10_001, 1), Metric::Fds).is_some());
        assert_eq!(history.size().0, MAX_SUBJECTS);
        assert_eq!(history.lock().unwatched, [0, MAX_SUBJECTS, 0, 0]);
    }

    #[test]
    fn memory_after_an_hour_of_changes_is_as_stated() {
        let mut series = Series::default();
        for second in 0..2 * 3_600u64 {
            series.push(second * S, Some((second * 7_919 % 101) as f64));
        }
        // States, processes (3 numbers), limits and sockets (4 numbers), and watched sockets with all numbers.
        let count = State::COUNT + MAX_SUBJECTS * (3 + 1 + 4) + MAX_WATCHED * 9;
        let bytes = count * series.len() * size_of::<(u32, f32)>();
        assert!(bytes < 12_500_000, "{} readings, {bytes} bytes", series.len());
    }
}
