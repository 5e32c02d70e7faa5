//! Names of addresses, through the system's resolver (`getnameinfo(3)`), in threads of their own.

use crate::model::{Addr, Hosts};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Questions that are out at the same time: a resolver that does not answer holds up few.
const THREADS: usize = 4;

/// Threads that ask the system's resolver.
#[derive(Debug)]
pub(super) struct Resolver {
    ask: Sender<Addr>,
}

impl Resolver {
    /// Starts them; `tell` is called after each answer. They end when this is dropped and their question is answered.
    pub(super) fn start(
        hosts: &Arc<Hosts>,
        tell: impl Fn() + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let (ask, questions) = channel();
        let questions = Arc::new(Mutex::new(questions));
        for _ in 0..THREADS {
            let (hosts, questions, tell) = (Arc::clone(hosts), Arc::clone(&questions), tell.clone());
            std::thread::Builder::new().name("resolver".into()).spawn(move || {
                while let Some(addr) = next(&questions) {
                    hosts.put(addr, name_of(&addr).as_deref());
                    tell();
                }
            })?;
        }
        Ok(Self { ask })
    }

    /// Asks for the name of an address.
    pub(super) fn ask(&self, addr: Addr) {
        // Threads that are gone answer nothing; the address stays a number.
        let _ = self.ask.send(addr);
    }
}

fn next(questions: &Mutex<Receiver<Addr>>) -> Option<Addr> {
    questions.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// The name of an address; one that has none comes back as its number.
fn name_of(addr: &Addr) -> Option<String> {
    let name = dns_lookup::lookup_addr(&addr.ip()).ok()?;
    (name.parse::<std::net::IpAddr>().is_err()).then_some(name)
}

/// The names of all these, asked for at the same time and waited for until the time is up.
pub(super) fn resolve(addrs: Vec<Addr>, hosts: &Arc<Hosts>, timeout: std::time::Duration) {
    let (done, answers) = channel();
    let Ok(resolver) = Resolver::start(hosts, move || {
        let _ = done.send(());
    }) else {
        return;
    };
    let until = std::time::Instant::now() + timeout;
    let count = addrs.len();
    for a in addrs {
        resolver.ask(a);
    }
    for _ in 0..count {
        let left = until.saturating_duration_since(std::time::Instant::now());
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
    fn the_name_of_this_machine_is_found_and_a_hopeless_one_is_given_up() {
        let hosts = Arc::new(Hosts::default());
        let local = Addr::v4([127, 0, 0, 1]);
        resolve(vec![local], &hosts, Duration::from_secs(10));
        assert_eq!(hosts.get(&local), HostName::Name("localhost".into()));
        assert_eq!(hosts.get(&Addr::v4([127, 0, 0, 9])), HostName::Unknown);
    }
}
