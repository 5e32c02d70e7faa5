//! Reverse DNS through the system resolver (`getnameinfo(3)`), in background threads.

use crate::model::{Addr, Hosts};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Concurrent queries; an unresponsive server blocks only as many.
const THREADS: usize = 4;

/// A pool of resolver threads.
#[derive(Debug)]
pub(super) struct Resolver {
    queries: Sender<Addr>,
}

impl Resolver {
    /// Starts the threads; `on_answer` is called after each answer. They exit after their current query once this is dropped.
    pub(super) fn start(
        hosts: &Arc<Hosts>,
        on_answer: impl Fn() + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let (queries, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..THREADS {
            let (hosts, receiver, on_answer) = (Arc::clone(hosts), Arc::clone(&receiver), on_answer.clone());
            std::thread::Builder::new().name("resolver".into()).spawn(move || {
                while let Some(addr) = next(&receiver) {
                    hosts.insert(addr, name_of(&addr).as_deref());
                    on_answer();
                }
            })?;
        }
        Ok(Self { queries })
    }

    /// Queries the name of an address.
    pub(super) fn query(&self, addr: Addr) {
        // Without threads the address stays a number.
        let _ = self.queries.send(addr);
    }
}

fn next(receiver: &Mutex<Receiver<Addr>>) -> Option<Addr> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Host name of an address; `getnameinfo` returns the number for an address without a name.
fn name_of(addr: &Addr) -> Option<String> {
    let name = dns_lookup::lookup_addr(&addr.ip()).ok()?;
    (name.parse::<std::net::IpAddr>().is_err()).then_some(name)
}

/// Resolves all of these addresses concurrently, within a timeout.
pub(super) fn resolve(addrs: Vec<Addr>, hosts: &Arc<Hosts>, timeout: std::time::Duration) {
    let (answered, answers) = channel();
    let Ok(resolver) = Resolver::start(hosts, move || {
        let _ = answered.send(());
    }) else {
        return;
    };
    let deadline = std::time::Instant::now() + timeout;
    let count = addrs.len();
    for a in addrs {
        resolver.query(a);
    }
    for _ in 0..count {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        if answers.recv_timeout(left).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HostName;
    use std::time::Duration;

    #[test]
    fn localhost_resolves_and_other_addresses_stay_unknown() {
        let hosts = Arc::new(Hosts::default());
        let local = Addr::v4([127, 0, 0, 1]);
        resolve(vec![local], &hosts, Duration::from_secs(10));
        assert_eq!(hosts.get(&local), HostName::Name("localhost".into()));
        assert_eq!(hosts.get(&Addr::v4([127, 0, 0, 9])), HostName::Unknown);
    }
}
