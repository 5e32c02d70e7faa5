//! Questions of the dashboard to its hosts, each over the connection that its samples come from, and their replies.

use super::questions::{Answered, Asked, probe_of};
use crate::collect::remote::{Ask, AskKind, Asker, NoReply, Reply};
use crate::model::lang::{noop, tr};
use crate::msg;
use crate::tui::event::{AskedHost, HostAsk, HostReply};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Function that takes replies.
type OnReply = dyn Fn(AskedHost, HostReply) + Send + Sync;

/// Connections of the hosts, in order: that of one that is not connected is the reason why.
pub(super) struct FleetAsks {
    names: Vec<Arc<str>>,
    askers: Mutex<Vec<Result<Asker, String>>>,
    on_reply: Box<OnReply>,
}

impl FleetAsks {
    pub(super) fn new(
        names: &[Arc<str>],
        on_reply: impl Fn(AskedHost, HostReply) + Send + Sync + 'static,
    ) -> Self {
        let none = names.iter().map(|_| Err(noop("connecting").to_owned())).collect();
        Self { names: names.to_vec(), askers: Mutex::new(none), on_reply: Box::new(on_reply) }
    }

    fn askers(&self) -> MutexGuard<'_, Vec<Result<Asker, String>>> {
        self.askers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the connection of a host, or the reason why it has none.
    pub(super) fn set(&self, host: usize, asker: Result<Asker, String>) {
        if let Some(slot) = self.askers().get_mut(host) {
            *slot = asker;
        }
    }

    /// Asks a host; the reply comes later, or at once if it is not connected.
    pub(super) fn ask(&self, asked: AskedHost, ask: &HostAsk) {
        let lost = |why: &str| HostReply::Lost(tr(why).to_owned());
        let asker = self.names.iter().position(|name| *name == asked.name).and_then(|i| {
            let askers = self.askers();
            askers.get(i).cloned()
        });
        let sent = match asker {
            Some(Ok(asker)) => match question(ask) {
                Ok((kind, body)) => asker.ask(asked.number, kind, body).map_err(|e| no_reply(&e)),
                Err(why) => Err(HostReply::Refused(why)),
            },
            Some(Err(why)) => Err(lost(&why)),
            None => Err(lost(noop("not connected"))),
        };
        if let Err(reply) = sent {
            (self.on_reply)(asked, reply);
        }
    }

    /// Passes on the reply of a host.
    pub(super) fn replied(&self, host: usize, number: u64, reply: Result<Vec<u8>, NoReply>) {
        let Some(name) = self.names.get(host) else { return };
        let reply = reply.map_or_else(|why| no_reply(&why), |body| read(&body));
        (self.on_reply)(AskedHost { name: Arc::clone(name), number }, reply);
    }
}

/// Kind and body of a question.
fn question(ask: &HostAsk) -> Result<(AskKind, Vec<u8>), String> {
    let ask: Asked = match ask {
        HostAsk::Probe(request) => Ask::Probe(probe_of(request)),
        HostAsk::Why(question) => Ask::Why(question.clone()),
    };
    serde_json::to_vec(&ask).map(|body| (ask.kind(), body)).map_err(|e| e.to_string())
}

/// Reason why a question has no reply.
pub(super) fn unanswered(why: &NoReply) -> String {
    match why {
        NoReply::NotAnswered(version) => {
            msg!("sockscope {} there does not answer this: install the version of this one", version)
        }
        NoReply::Lost(why) => why.clone(),
    }
}

fn no_reply(why: &NoReply) -> HostReply {
    match why {
        NoReply::NotAnswered(_) => HostReply::Refused(unanswered(why)),
        NoReply::Lost(why) => HostReply::Lost(why.clone()),
    }
}

/// Reply of a body. One that cannot be read is that of another version, and no reason to end the connection.
fn read(body: &[u8]) -> HostReply {
    match serde_json::from_slice::<Answered>(body) {
        Ok(Reply::Probed(result)) => HostReply::Probed(Box::new(result)),
        Ok(Reply::Answered(answer)) => HostReply::Answered(Box::new(answer)),
        Ok(Reply::Refused(why)) => HostReply::Refused(why),
        Ok(Reply::Opened | Reply::Acted(_)) => HostReply::Refused(tr("the reply is malformed").to_owned()),
        Err(e) => HostReply::Refused(format!("{}: {e}", tr("the reply is malformed"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::why::Question;
    use std::sync::mpsc::channel;

    #[test]
    fn host_without_a_connection_replies_at_once_with_the_reason() {
        let (sender, replies) = channel();
        let asks = FleetAsks::new(&["web-1".into(), "web-2".into()], move |asked, reply| {
            sender.send((asked, reply)).unwrap();
        });
        asks.set(1, Err("ssh: No route to host".into()));
        for (name, why) in
            [("web-1", "connecting"), ("web-2", "ssh: No route to host"), ("other", "not connected")]
        {
            let asked = AskedHost { name: name.into(), number: 7 };
            asks.ask(asked.clone(), &HostAsk::Why(Question::Process(1)));
            assert_eq!(replies.try_recv().unwrap(), (asked, HostReply::Lost(why.into())));
        }
    }

    #[test]
    fn reply_that_cannot_be_read_is_a_refusal() {
        for body in [&b""[..], b"7", b"\xff", br#"{"acted":{"done":1,"error":null}}"#, br#"{"answered":7}"#] {
            let reply = read(body);
            assert!(
                matches!(&reply, HostReply::Refused(why) if why.starts_with("the reply is malformed")),
                "{reply:?}"
            );
        }
        assert_eq!(read(br#"{"refused":"no"}"#), HostReply::Refused("no".into()));
    }
}
