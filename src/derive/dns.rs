//! DNS questions joined with the sockets of the polls, and the resolvers of the last seconds.

use super::events::{Context, event_process};
use crate::model::durations::{Durations, class};
use crate::model::sample::{DnsOutcome, DnsQuery, EventProcess};
use crate::model::snapshot::{DNS_WINDOW_S, DnsLog, DnsRow, ProcessBy, Resolver};
use crate::model::{Endpoint, Proto, Unit};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// Most questions of the window; with more it is shorter.
const WINDOW_MAX: usize = 20_000;
/// Code of a failure of the resolver, and of a refusal (RFC 1035, 4.1.1).
const SERVFAIL: u8 = 2;
const REFUSED: u8 = 5;

/// Questions of earlier polls.
#[derive(Debug, Default)]
pub(super) struct DnsHistory {
    rows: Vec<Arc<DnsRow>>,
    /// Those of the window.
    recent: VecDeque<Arc<DnsRow>>,
    number: u64,
    seen: u64,
    lost: u64,
}

/// Local ends of UDP and TCP sockets with their process.
type Sockets = FxHashMap<(u16, Proto, u16), Vec<(Endpoint, Arc<EventProcess>)>>;

impl DnsHistory {
    /// Empties it; the sequence numbers go on.
    pub(super) fn restart(&self) -> Self {
        Self { rows: Vec::new(), recent: VecDeque::new(), ..*self }
    }

    /// The log with the questions of this poll; `kept` of earlier polls are kept.
    pub(super) fn collect(&mut self, context: &Context<'_>, kept: usize) -> DnsLog {
        let sample = context.sample;
        let dns = &sample.dns;
        // Numbers of a recording can be any.
        self.lost = self.lost.saturating_add(dns.lost);
        let new = dns.list.len();
        let before = self.rows.len().saturating_sub(kept.saturating_sub(new));
        self.rows.drain(..before);
        if new > 0 {
            let sockets = sockets(context, &dns.list);
            for query in &dns.list {
                self.number += 1;
                let row = Arc::new(row(context, &sockets, self.number, query));
                if !query.inbound {
                    self.recent.push_back(Arc::clone(&row));
                }
                self.rows.push(row);
            }
            self.seen = self.seen.saturating_add(new as u64);
        }
        let now = sample.at.boot_ns;
        let begin = now.saturating_sub(DNS_WINDOW_S * 1_000_000_000);
        while self.recent.len() > WINDOW_MAX || self.recent.front().is_some_and(|r| r.done_ns() < begin) {
            self.recent.pop_front();
        }
        let since = if dns.since_ns == 0 { now } else { dns.since_ns.max(begin) };
        let secs = now.saturating_sub(since) as f64 / 1e9;
        let resolvers = resolvers(&self.recent);
        DnsLog { rows: self.rows.clone(), new, seen: self.seen, lost: self.lost, resolvers, secs }
    }
}

/// Resolvers of these questions, by address.
fn resolvers(rows: &VecDeque<Arc<DnsRow>>) -> Vec<Resolver> {
    let mut all: FxHashMap<(u64, Endpoint), (Resolver, Durations)> = FxHashMap::default();
    for row in rows {
        let key = (row.netns_inode, row.query.server);
        let (r, durations) = all.entry(key).or_insert_with(|| {
            let blank = Resolver {
                netns_inode: key.0,
                server: key.1,
                asked: 0,
                timeouts: 0,
                servfail: 0,
                refused: 0,
                other_failed: 0,
                slow: 0,
                p50_us: None,
                p99_us: None,
            };
            (blank, Durations::new())
        });
        r.asked += 1;
        match row.query.outcome {
            DnsOutcome::Timeout => r.timeouts += 1,
            DnsOutcome::Answered(SERVFAIL) => r.servfail += 1,
            DnsOutcome::Answered(REFUSED) => r.refused += 1,
            outcome if outcome.is_failure() => r.other_failed += 1,
            DnsOutcome::Answered(_) => {
                r.slow += u64::from(row.is_slow());
                durations.add(class(row.query.took_ns / 1000), 1);
            }
        }
    }
    let mut out: Vec<Resolver> = all
        .into_values()
        .map(|(mut r, durations)| {
            (r.p50_us, r.p99_us) = (durations.percentile(50), durations.percentile(99));
            r
        })
        .collect();
    out.sort_by_key(|r| (r.netns_inode, r.server));
    out
}

/// Sockets from which questions without a process may come: of this poll, then of the previous one.
fn sockets(c: &Context<'_>, list: &[DnsQuery]) -> Sockets {
    let mut out = Sockets::default();
    for q in list.iter().filter(|q| q.process.is_none() && !q.inbound) {
        out.entry((q.netns, q.proto, q.client.port)).or_default();
    }
    if out.is_empty() {
        return out;
    }
    for (s, f) in c.sockets.iter().zip(c.facts) {
        let Some(found) = out.get_mut(&(s.id.netns, s.proto, s.local.port)) else { continue };
        let owner = c.sample.owners.get(f.owners.0 as usize).filter(|_| f.owners.0 < f.owners.1);
        let process = owner.and_then(|o| c.sample.processes.get(o.process as usize));
        found.extend(process.map(|p| (s.local, event_process(p))));
    }
    let Some(p) = c.previous else { return out };
    let same = super::identity::netns_renumbering(&p.snap.sample.namespaces, &c.sample.namespaces).is_none();
    for (row, s) in p.snap.sockets().enumerate().filter(|_| same) {
        let Some(found) = out.get_mut(&(s.id.netns, s.proto, s.local.port)) else { continue };
        if let Some(o) = p.snap.owners(row).first() {
            found.push((s.local, event_process(p.snap.process(o))));
        }
    }
    out
}

fn row(c: &Context<'_>, sockets: &Sockets, number: u64, q: &DnsQuery) -> DnsRow {
    let sample = c.sample;
    let polled = || {
        let found = sockets.get(&(q.netns, q.proto, q.client.port)).filter(|_| !q.inbound)?;
        let exact = found.iter().find(|(local, _)| local.addr == q.client.addr);
        exact.or_else(|| found.iter().find(|(local, _)| local.addr.is_any())).map(|f| Arc::clone(&f.1))
    };
    let (process, process_by) = match &q.process {
        Some(p) => (Some(Arc::clone(p)), ProcessBy::Event),
        None => polled().map_or((None, ProcessBy::None), |p| (Some(p), ProcessBy::Poll)),
    };
    let done_ns = q.asked_ns.saturating_add(q.took_ns);
    let ago = i128::from(sample.at.boot_ns) - i128::from(done_ns);
    let unix_ns = (i128::from(sample.at.unix_ns) - ago).max(0);
    let namespace = sample.namespaces.get(usize::from(q.netns));
    DnsRow {
        number,
        query: q.clone(),
        unix_ns: u64::try_from(unix_ns).unwrap_or(u64::MAX),
        unit: process.as_deref().and_then(|p| unit(c, p)),
        process,
        process_by,
        netns_inode: namespace.map_or(0, |n| n.inode),
        netns_name: namespace.map_or_else(|| Arc::from(""), |n| Arc::from(&*n.name)),
    }
}

fn unit(c: &Context<'_>, p: &EventProcess) -> Option<(Arc<[Unit]>, u32)> {
    let by_process = || {
        let i = crate::model::snapshot::process_index(&c.sample.processes, p)?;
        c.processes.get(i)?.unit.checked_sub(1)
    };
    let index = c.unit_of_cgroup.get(&p.cgroup_id).copied().or_else(by_process)?;
    Some((Arc::clone(c.units), index))
}
