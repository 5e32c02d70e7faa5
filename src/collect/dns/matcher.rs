//! Questions and their answers: matched by namespace, endpoints, identifier, name and type.

use super::message::{Message, Question};
use crate::model::sample::{DnsOutcome, DnsQuery, EventProcess};
use crate::model::{Addr, Endpoint, Proto};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// Time after which a question is given up: `timeout` of resolv.conf(5).
pub(super) const TIMEOUT_NS: u64 = 5_000_000_000;
/// Time in which the same question from another port is a further try.
const RETRY_NS: u64 = 30_000_000_000;
/// Most questions that wait for their answers.
const WAITING_MAX: usize = 20_000;
/// Most questions kept until the next poll.
const DONE_MAX: usize = 100_000;
/// Most unanswered questions remembered for their next try.
const UNANSWERED_MAX: usize = 8192;

/// Place and time at which a packet was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Number of the network namespace.
    pub(super) netns: u16,
    /// Index of the interface.
    pub(super) iface: u32,
    /// True if it left through the interface.
    pub(super) outgoing: bool,
    /// Time, nanoseconds after boot.
    pub(super) at_ns: u64,
}

/// Endpoints and identifier of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flow {
    pub(super) netns: u16,
    pub(super) proto: Proto,
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
    pub(super) id: u16,
}

/// Looks up process and user of the socket that asks.
type Owner<'a> = &'a mut dyn FnMut(&Flow) -> (Option<Arc<EventProcess>>, Option<u32>);

/// A question that waits.
struct Waiting {
    question: Question,
    iface: u32,
    inbound: bool,
    asked_ns: u64,
    last_ns: u64,
    tries: u32,
    process: Option<Arc<EventProcess>>,
    uid: Option<u32>,
}

/// A question whatever the port that asked.
type Asked = (u16, Addr, Endpoint, u16, Question);

/// Questions that wait, and those that were answered or given up since the last poll.
#[derive(Default)]
pub(super) struct Matcher {
    waiting: FxHashMap<Flow, Vec<Waiting>>,
    /// Number of those that wait.
    number: usize,
    /// Times at which they are looked at again, in order.
    deadlines: VecDeque<(u64, Flow)>,
    /// Questions of other hosts that wait: forwarded, they leave with another address.
    inbound: FxHashMap<(u16, u16, Question), u32>,
    unanswered: FxHashMap<Asked, (u32, u64)>,
    pub(super) done: Vec<DnsQuery>,
    pub(super) lost: u64,
}

impl Matcher {
    /// Number of questions that wait.
    pub(super) const fn number(&self) -> usize {
        self.number
    }

    /// Takes a message. `owner` is called for the first packet of a question that was asked here.
    pub(super) fn message(
        &mut self,
        seen: Seen,
        (proto, from, to): (Proto, Endpoint, Endpoint),
        message: Message,
        owner: Owner<'_>,
    ) {
        self.expire(seen.at_ns);
        let (client, server) = if message.is_answer { (to, from) } else { (from, to) };
        let flow = Flow { netns: seen.netns, proto, client, server, id: message.id };
        if message.is_answer {
            self.answer(seen, flow, message);
        } else if let Some(question) = message.question {
            self.question(seen, flow, question, owner);
        }
    }

    fn question(&mut self, seen: Seen, flow: Flow, question: Question, owner: Owner<'_>) {
        let same = self.waiting.get_mut(&flow).into_iter().flatten().find(|w| w.question == question);
        if let Some(w) = same {
            // Another interface shows the same packet.
            if (w.iface, w.inbound) == (seen.iface, !seen.outgoing) {
                w.tries = w.tries.saturating_add(1);
                w.last_ns = seen.at_ns;
            }
            return;
        }
        let forwarded = (flow.netns, flow.id, question);
        if seen.outgoing && self.inbound.contains_key(&forwarded) {
            return;
        }
        if self.number >= WAITING_MAX {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        if !seen.outgoing {
            *self.inbound.entry(forwarded.clone()).or_default() += 1;
        }
        let question = forwarded.2;
        let asked = (flow.netns, flow.client.addr, flow.server, flow.id, question);
        let before = self.unanswered.remove(&asked);
        let before = before.filter(|(_, at)| seen.at_ns.saturating_sub(*at) < RETRY_NS);
        let (process, uid) = if seen.outgoing { owner(&flow) } else { (None, None) };
        let waiting = Waiting {
            question: asked.4,
            iface: seen.iface,
            inbound: !seen.outgoing,
            asked_ns: seen.at_ns,
            last_ns: seen.at_ns,
            tries: before.map_or(1, |(tries, _)| tries.saturating_add(1)),
            process,
            uid,
        };
        self.waiting.entry(flow).or_default().push(waiting);
        self.number += 1;
        self.deadlines.push_back((seen.at_ns.saturating_add(TIMEOUT_NS), flow));
    }

    fn answer(&mut self, seen: Seen, flow: Flow, message: Message) {
        let Some(all) = self.waiting.get_mut(&flow) else { return };
        // An answer to a malformed question may come without it.
        let is_it = |w: &Waiting| message.question.as_ref().is_none_or(|q| *q == w.question);
        let Some(at) = all.iter().position(is_it) else { return };
        let w = all.swap_remove(at);
        if all.is_empty() {
            self.waiting.remove(&flow);
        }
        let took_ns = seen.at_ns.saturating_sub(w.asked_ns);
        self.finish(flow, w, took_ns, Some(message));
    }

    /// Gives up the questions whose time is over.
    pub(super) fn expire(&mut self, now_ns: u64) {
        while let Some((_, flow)) = self.deadlines.front().copied().filter(|d| d.0 <= now_ns) {
            self.deadlines.pop_front();
            let Some(all) = self.waiting.get_mut(&flow) else { continue };
            let mut over = Vec::new();
            let mut i = 0;
            while i < all.len() {
                let due = all[i].last_ns.saturating_add(TIMEOUT_NS);
                if due <= now_ns {
                    over.push(all.swap_remove(i));
                } else {
                    // It was sent again since.
                    self.deadlines.push_back((due, flow));
                    i += 1;
                }
            }
            if all.is_empty() {
                self.waiting.remove(&flow);
            }
            for w in over {
                self.remember(flow, &w);
                let took_ns = w.last_ns.saturating_add(TIMEOUT_NS).saturating_sub(w.asked_ns);
                self.finish(flow, w, took_ns, None);
            }
        }
    }

    fn remember(&mut self, flow: Flow, w: &Waiting) {
        if self.unanswered.len() >= UNANSWERED_MAX {
            self.unanswered.clear();
        }
        let asked = (flow.netns, flow.client.addr, flow.server, flow.id, w.question.clone());
        self.unanswered.insert(asked, (w.tries, w.last_ns));
    }

    fn finish(&mut self, flow: Flow, w: Waiting, took_ns: u64, answer: Option<Message>) {
        self.number = self.number.saturating_sub(1);
        if w.inbound {
            let forwarded = (flow.netns, flow.id, w.question.clone());
            if let Some(n) = self.inbound.get_mut(&forwarded) {
                *n -= 1;
                if *n == 0 {
                    self.inbound.remove(&forwarded);
                }
            }
        }
        if self.done.len() >= DONE_MAX {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        self.done.push(DnsQuery {
            asked_ns: w.asked_ns,
            took_ns,
            netns: flow.netns,
            proto: flow.proto,
            client: flow.client,
            server: flow.server,
            inbound: w.inbound,
            id: flow.id,
            name: w.question.name,
            qtype: w.question.qtype,
            outcome: answer.as_ref().map_or(DnsOutcome::Timeout, |m| DnsOutcome::Answered(m.rcode)),
            truncated: answer.as_ref().is_some_and(|m| m.truncated),
            answers: answer.as_ref().map_or(0, |m| m.answers),
            addrs: answer.map_or_else(Vec::new, |m| m.addrs),
            tries: w.tries,
            process: w.process,
            uid: w.uid,
        });
    }

    /// Forgets the questions of a namespace that is no longer watched.
    pub(super) fn forget(&mut self, is_watched: impl Fn(u16) -> bool) {
        self.waiting.retain(|flow, _| is_watched(flow.netns));
        self.inbound.retain(|(netns, ..), _| is_watched(*netns));
        self.number = self.waiting.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests;
