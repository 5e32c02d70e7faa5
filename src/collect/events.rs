//! Events between two polls: every connection, also those that live shorter than a poll.
//!
//! Two sources, the better one that this process may use:
//!
//! | source | sees | requires |
//! |---|---|---|
//! | `bpf` ([`bpf`]) | connects, accepts, closes, failures and retransmissions of TCP with their process; first use of UDP sockets | `CAP_BPF` and `CAP_PERFMON`, BTF |
//! | `closes` | closes of TCP and UDP sockets with their last `tcp_info` | nothing |
//!
//! UDP closes always come from the second. A thread drains both between polls: a receive buffer holds some hundred closes
//! only. What does not fit is lost, and counted by the kernel and the program; nothing here grows without bound.

#[cfg(all(target_pointer_width = "64", target_endian = "little"))]
mod bpf;
mod closes;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
mod no_bpf;
mod record;
#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
use no_bpf as bpf;

use super::source::stamp;
use crate::model::sample::{Event, EventSource, Events};
use crate::model::{FaultKind, FaultSubject, Sample};
use bpf::Program;
use closes::CloseListener;
use record::{Decoder, push_counts};
use rustc_hash::FxHashMap;
use rustix::event::epoll;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Most events kept until the next poll; the others are lost.
const PENDING_MAX: usize = 200_000;
/// Least and most time between two reads while sockets close, milliseconds: the first close of a burst wakes the reader, the
/// others wait for it.
const PAUSE_MS: (u64, u64) = (2, 50);
/// Bytes read at once above which the pause is halved, so that the receive buffer does not overflow in the next one.
const BUSY_BYTES: usize = 32 << 10;
/// Receive buffer: longer than any message.
const BUFFER_LEN: usize = 16 << 10;

/// Request for a source of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventMethod {
    /// The best that is available.
    #[default]
    Auto,
    /// `sock_diag` alone.
    SockDiag,
    /// BPF, or none.
    Bpf,
    /// None.
    Off,
}

/// Reader of events.
#[derive(Default)]
pub(crate) struct EventReader {
    method: EventMethod,
    running: Option<Running>,
}

/// Sources in use.
struct Running {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    source: Option<EventSource>,
    reason: Arc<str>,
    since_ns: u64,
}

/// State shared with the draining thread.
struct Shared {
    inbox: Mutex<Inbox>,
    epoll: OwnedFd,
    wake: OwnedFd,
    stop: AtomicBool,
}

/// Sources, and events taken from them since the last poll.
struct Inbox {
    listeners: Vec<CloseListener>,
    program: Option<Box<Program>>,
    /// Namespace numbers by inode.
    numbers: FxHashMap<u32, u16>,
    decoder: Decoder,
    events: Vec<Event>,
    lost: u64,
    buffer: Vec<u8>,
}

impl Inbox {
    /// Takes everything that is there; the number of bytes of closes.
    fn drain(&mut self) -> usize {
        let now = stamp().boot_ns;
        let mut bytes = 0;
        for listener in &mut self.listeners {
            bytes += listener.drain(now, &mut self.buffer, &mut self.events);
        }
        if let Some(program) = &mut self.program {
            program.drain(|record| {
                if let Some(number) = self.numbers.get(&record.netns) {
                    self.decoder.push(record, *number, &mut self.events);
                }
            });
        }
        if self.events.len() > PENDING_MAX {
            self.lost += (self.events.len() - PENDING_MAX) as u64;
            self.events.truncate(PENDING_MAX);
        }
        bytes
    }
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drains whenever something is there, until the end.
    fn run(&self) {
        let (min, max) = PAUSE_MS;
        let mut pause = max;
        let mut ready = Vec::with_capacity(16);
        loop {
            ready.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut ready), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            std::thread::sleep(Duration::from_millis(pause));
            let bytes = self.inbox().drain();
            pause = if bytes > BUSY_BYTES { (pause / 2).max(min) } else { (pause * 2).min(max) };
        }
    }
}

impl Running {
    fn start(method: EventMethod) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        let (program, reason) = match method {
            EventMethod::SockDiag | EventMethod::Off => (None, "requested".to_owned()),
            EventMethod::Auto | EventMethod::Bpf => match Program::load() {
                Ok(program) => (Some(Box::new(program)), String::new()),
                Err(why) => (None, format!("bpf: {why}")),
            },
        };
        let source = match (&program, method) {
            (Some(_), _) => Some(EventSource::Bpf),
            (None, EventMethod::Bpf) => None,
            (None, _) => Some(EventSource::SockDiag),
        };
        let reason = match &program {
            Some(p) if !p.without_accepts.is_empty() => {
                format!("accepted connections have no process: {}", p.without_accepts)
            }
            _ => reason,
        };
        if let Some(program) = &program {
            epoll::add(&epoll, program.as_fd(), epoll::EventData::new_u64(1), epoll::EventFlags::IN)?;
        }
        let inbox = Inbox {
            listeners: Vec::new(),
            program,
            numbers: FxHashMap::default(),
            decoder: Decoder::default(),
            events: Vec::new(),
            lost: 0,
            buffer: vec![0; BUFFER_LEN],
        };
        let stop = AtomicBool::new(false);
        let shared = Arc::new(Shared { inbox: Mutex::new(inbox), epoll, wake, stop });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("events".to_owned()).spawn(move || of_thread.run())?;
        let since_ns = stamp().boot_ns;
        Ok(Self { shared, thread: Some(thread), source, reason: reason.into(), since_ns })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        let _ = rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl EventReader {
    /// True if the first use of each UDP socket is reported with its process.
    pub(crate) fn names_udp(&self) -> bool {
        let Some(running) = &self.running else { return false };
        running.shared.inbox().program.as_ref().is_some_and(|p| p.without_accepts.is_empty())
    }

    /// Sets the source to use.
    pub(crate) const fn set_method(&mut self, method: EventMethod) {
        self.method = method;
    }

    /// Starts or stops, and sets the namespaces to watch: inode and number. To be called before their sockets are read.
    pub(crate) fn begin(&mut self, wanted: bool, namespaces: &[(u64, u16)], sample: &mut Sample) {
        if !wanted || self.method == EventMethod::Off {
            self.running = None;
            if wanted {
                sample.events.reason = "--events off".into();
            }
            return;
        }
        if self.running.is_none() {
            match Running::start(self.method) {
                Ok(running) => self.running = Some(running),
                Err(e) => {
                    sample.faults.add(FaultKind::Failed, FaultSubject::Events, e.to_string());
                    return;
                }
            }
        }
        let Some(running) = &self.running else { return };
        let mut inbox = running.shared.inbox();
        inbox.drain();
        inbox.numbers =
            namespaces.iter().filter_map(|(inode, n)| Some((u32::try_from(*inode).ok()?, *n))).collect();
        inbox.listeners.retain(|l| namespaces.iter().any(|(_, n)| *n == l.netns()));
        let inodes: BTreeSet<u32> = inbox.numbers.keys().copied().collect();
        if let Some(Err(why)) = inbox.program.as_mut().map(|p| p.watch(&inodes)) {
            sample.faults.add(FaultKind::Failed, FaultSubject::Events, why);
        }
    }

    /// Hears the closes of the network namespace of the calling thread, and looks for those that were dropped.
    pub(crate) fn listen_here(&mut self, netns: u16, sample: &mut Sample) {
        let Some(running) = &self.running else { return };
        if running.source.is_none() {
            return;
        }
        let mut inbox = running.shared.inbox();
        let inbox = &mut *inbox;
        if let Some(listener) = inbox.listeners.iter_mut().find(|l| l.netns() == netns) {
            inbox.lost += listener.take_drops();
            return;
        }
        let opened = CloseListener::open(netns, inbox.program.is_none()).and_then(|listener| {
            let flags = epoll::EventFlags::IN;
            epoll::add(&running.shared.epoll, listener.as_fd(), epoll::EventData::new_u64(2), flags)?;
            Ok(listener)
        });
        match opened {
            Ok(listener) => inbox.listeners.push(listener),
            Err(e) => sample.faults.add(FaultKind::Failed, FaultSubject::Events, e.to_string()),
        }
    }

    /// Moves the events since the last poll to the sample.
    pub(crate) fn finish(&mut self, sample: &mut Sample) {
        let Some(running) = &self.running else { return };
        let mut inbox = running.shared.inbox();
        let inbox = &mut *inbox;
        inbox.drain();
        let mut counts = Vec::new();
        // Of namespaces that are gone.
        let mut unknown = 0_u64;
        if let Some(program) = &mut inbox.program {
            let numbers = &inbox.numbers;
            let read = program.counts(|key, count| match numbers.get(&key.netns) {
                Some(number) => push_counts(&key, &count, *number, &mut counts),
                None => unknown = unknown.saturating_add(count.events),
            });
            match read {
                Ok(lost) => inbox.lost = inbox.lost.saturating_add(lost).saturating_add(unknown),
                Err(why) => sample.faults.add(FaultKind::Failed, FaultSubject::Events, why),
            }
        }
        // As large as this time it need not grow.
        let next = Vec::with_capacity(inbox.events.len());
        let mut list = std::mem::replace(&mut inbox.events, next);
        if !list.is_sorted_by_key(|e| e.at_ns) {
            list.sort_by_key(|e| e.at_ns);
        }
        sample.events = Events {
            source: running.source,
            reason: Arc::clone(&running.reason),
            since_ns: running.since_ns,
            list,
            counts,
            lost: std::mem::take(&mut inbox.lost),
        };
    }
}
