//! DNS questions with their answers: packets of port 53, captured by a packet socket in each network namespace that is read.
//!
//! It takes `CAP_NET_RAW`, and is off until a poll wants it. A thread takes the packets between polls. Not seen: DNS over TLS and
//! HTTPS, other ports (mDNS, the resolver that Docker reaches by NAT), later fragments, IPv6 behind extension headers, and what a TCP
//! message has beyond its first segment.
//!
//! The process of a question is that of the first use of its socket, from the BPF events; without them the socket is looked up when the
//! question is read ([`owner`]). What is still unknown is joined with the sockets of the polls in `derive`.

mod capture;
mod filter;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod matcher;
mod message;
mod owner;
mod packet;

use super::source::stamp;
use crate::model::sample::{Dns, DnsQuery, Event, EventKind, EventProcess};
use crate::model::{FaultKind, FaultSubject, Proto, Sample, Stamp};
use capture::Capture;
pub(crate) use capture::is_capture;
use matcher::{Flow, Matcher, Seen};
use owner::{OwnerSearch, SocketLookup};
use rustc_hash::FxHashMap;
use rustix::event::epoll;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Port of DNS.
const PORT: u16 = 53;
/// Bytes kept of a packet.
const PACKET_MAX: usize = 4096;
/// Time for which packets are gathered, if nothing is to be looked up for them.
const PAUSE: Duration = Duration::from_millis(5);
/// Most sockets whose process is known from events.
const SOCKETS_MAX: usize = 16_384;

/// Reader of DNS questions.
#[derive(Default)]
pub(crate) struct DnsReader {
    running: Option<Running>,
    sockets: FxHashMap<(u16, Proto, u16), Asker>,
}

/// Socket that may ask, from the events.
#[derive(Debug)]
struct Asker {
    cookie: u64,
    process: Option<Arc<EventProcess>>,
    uid: Option<u32>,
    /// Time after which it is another socket's port.
    closed_ns: Option<u64>,
}

/// Capture in progress.
struct Running {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    since_ns: u64,
}

/// State shared with the thread that takes the packets.
struct Shared {
    inbox: Mutex<Inbox>,
    epoll: OwnedFd,
    wake: OwnedFd,
    stop: AtomicBool,
    /// True if events name the processes.
    named_by_events: AtomicBool,
}

/// Network namespace that is captured.
struct Namespace {
    number: u16,
    capture: Capture,
    lookup: Option<SocketLookup>,
}

struct Inbox {
    namespaces: Vec<Namespace>,
    matcher: Matcher,
    search: OwnerSearch,
    buffer: Vec<u8>,
}

impl Inbox {
    /// Takes everything that is there.
    fn drain(&mut self, look_up: bool) {
        let now = stamp();
        let Self { namespaces, matcher, search, buffer, .. } = self;
        for namespace in namespaces {
            let Namespace { number, capture, lookup } = namespace;
            while let Some(packet) = capture.receive(buffer) {
                let seen = Seen {
                    netns: *number,
                    iface: packet.iface,
                    outgoing: packet.outgoing,
                    at_ns: packet.unix_ns.map_or(now.boot_ns, |ns| boot_ns(ns, now)),
                };
                let owner = &mut |flow: &Flow| match lookup.as_mut().filter(|_| look_up) {
                    Some(lookup) => match lookup.find(flow.proto, flow.client, flow.server) {
                        Some((inode, uid)) => (search.find(inode, uid), Some(uid)),
                        None => (None, None),
                    },
                    None => (None, None),
                };
                packet::messages(
                    packet.ether_type,
                    &buffer[..packet.len],
                    &mut |proto, from, to, message| {
                        matcher.message(seen, (proto, from, to), message, owner);
                    },
                );
            }
        }
    }
}

/// A time of the clock of the day as time after boot.
fn boot_ns(unix_ns: u64, now: Stamp) -> u64 {
    let ago = i128::from(now.unix_ns) - i128::from(unix_ns);
    u64::try_from((i128::from(now.boot_ns) - ago).max(0)).unwrap_or(now.boot_ns)
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes packets whenever there are some, until the end.
    fn run(&self) {
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
            let look_up = !self.named_by_events.load(Ordering::Relaxed);
            if !look_up {
                std::thread::sleep(PAUSE);
            }
            self.inbox().drain(look_up);
        }
    }
}

impl Running {
    fn start() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        let inbox = Inbox {
            namespaces: Vec::new(),
            matcher: Matcher::default(),
            search: OwnerSearch::default(),
            buffer: vec![0; PACKET_MAX],
        };
        let shared = Arc::new(Shared {
            inbox: Mutex::new(inbox),
            epoll,
            wake,
            stop: AtomicBool::new(false),
            named_by_events: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("dns".to_owned()).spawn(move || of_thread.run())?;
        Ok(Self { shared, thread: Some(thread), since_ns: stamp().boot_ns })
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

impl DnsReader {
    /// Starts or stops. `namespaces` are the numbers of those that are read, `named_by_events` is true if events name the process of
    /// each UDP socket. To be called before their sockets are read.
    pub(crate) fn begin(
        &mut self,
        wanted: bool,
        namespaces: &[(u64, u16)],
        named_by_events: bool,
        sample: &mut Sample,
    ) {
        if !wanted {
            self.running = None;
            self.sockets = FxHashMap::default();
            return;
        }
        if self.running.is_none() {
            match Running::start() {
                Ok(running) => self.running = Some(running),
                Err(e) => {
                    sample.faults.add(FaultKind::Failed, FaultSubject::Dns, e.to_string());
                    return;
                }
            }
        }
        let Some(running) = &self.running else { return };
        running.shared.named_by_events.store(named_by_events, Ordering::Relaxed);
        let is_read = |number: u16| namespaces.iter().any(|(_, n)| *n == number);
        let mut inbox = running.shared.inbox();
        if inbox.namespaces.iter().any(|n| !is_read(n.number)) {
            inbox.namespaces.retain(|n| is_read(n.number));
            inbox.matcher.forget(is_read);
        }
    }

    /// Captures the packets of the network namespace of the calling thread.
    pub(crate) fn capture_here(&mut self, number: u16, sample: &mut Sample) {
        let Some(running) = &self.running else { return };
        let mut inbox = running.shared.inbox();
        if inbox.namespaces.iter().any(|n| n.number == number) {
            return;
        }
        let opened = Capture::open().and_then(|capture| {
            let flags = epoll::EventFlags::IN;
            epoll::add(&running.shared.epoll, capture.as_fd(), epoll::EventData::new_u64(1), flags)?;
            Ok(capture)
        });
        match opened {
            Ok(capture) => {
                inbox.namespaces.push(Namespace { number, capture, lookup: SocketLookup::open() });
            }
            Err(e) => {
                let (kind, why) = match e.kind() {
                    io::ErrorKind::PermissionDenied => {
                        (FaultKind::NotPermitted, "it needs CAP_NET_RAW".to_owned())
                    }
                    _ => (FaultKind::Failed, e.to_string()),
                };
                sample.faults.add(kind, FaultSubject::Dns, why);
            }
        }
    }

    /// Moves the questions that were answered or given up to the sample. `take_events` is called in between and moves the events
    /// there: those of all questions are then in it.
    pub(crate) fn finish(&mut self, sample: &mut Sample, take_events: impl FnOnce(&mut Sample)) {
        let Some(running) = &self.running else {
            take_events(sample);
            if sample.wants.reads(crate::model::Reads::DNS) && sample.dns.reason.is_empty() {
                sample.dns.reason = "no thread to capture packets".into();
            }
            return;
        };
        let look_up = !running.shared.named_by_events.load(Ordering::Relaxed);
        let (mut list, waiting, lost, on) = {
            let mut inbox = running.shared.inbox();
            let inbox = &mut *inbox;
            inbox.drain(look_up);
            inbox.matcher.expire(stamp().boot_ns);
            let drops = inbox.namespaces.iter().map(|n| n.capture.take_drops()).fold(0, u64::saturating_add);
            let lost = std::mem::take(&mut inbox.matcher.lost).saturating_add(drops);
            let list = std::mem::take(&mut inbox.matcher.done);
            (list, inbox.matcher.number(), lost, !inbox.namespaces.is_empty())
        };
        take_events(sample);
        self.learn(&sample.events.list);
        let Some(running) = &self.running else { return };
        for query in list.iter_mut().filter(|q| !q.inbound && q.process.is_none()) {
            if let Some(asker) = self.asker(query) {
                query.process.clone_from(&asker.process);
                query.uid = query.uid.or(asker.uid);
            }
        }
        list.sort_by_key(|q| q.asked_ns.saturating_add(q.took_ns));
        let reason = if on {
            "".into()
        } else {
            let fault = sample.faults.iter().find(|f| f.subject == FaultSubject::Dns);
            fault.map_or_else(|| "no network namespace is read".into(), |f| f.detail.as_str().into())
        };
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        sample.dns = Dns { on, reason, since_ns: running.since_ns, list, waiting, lost };
    }

    /// The socket that asked, if it was the owner of the port then.
    fn asker(&self, q: &DnsQuery) -> Option<&Asker> {
        let asker = self.sockets.get(&(q.netns, q.proto, q.client.port))?;
        asker.closed_ns.is_none_or(|closed| q.asked_ns <= closed).then_some(asker)
    }

    /// Notes which process uses which port.
    fn learn(&mut self, events: &[Event]) {
        for e in events {
            let key = (e.id.netns, e.proto, e.local.port);
            match e.kind {
                EventKind::Opened if e.remote.is_none_or(|r| r.port == PORT || r.port == 0) => {
                    let asker = Asker {
                        cookie: e.id.cookie,
                        process: e.process.clone(),
                        uid: e.uid,
                        closed_ns: None,
                    };
                    self.sockets.insert(key, asker);
                }
                EventKind::Closed => {
                    if let Some(asker) = self.sockets.get_mut(&key).filter(|a| a.cookie == e.id.cookie) {
                        asker.closed_ns = Some(e.at_ns);
                    }
                }
                _ => {}
            }
        }
        if self.sockets.len() > SOCKETS_MAX {
            self.sockets.retain(|_, a| a.closed_ns.is_none());
        }
        if self.sockets.len() > SOCKETS_MAX {
            self.sockets.clear();
        }
    }
}
