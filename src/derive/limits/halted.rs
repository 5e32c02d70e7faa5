//! Processes that do not run while clients wait for them.

use super::Context;
use crate::model::limit::{Limit, LimitKind, LimitSubject, ListenQueue};
use crate::model::state_age::unread_s;
use crate::model::{Proto, State};
use rustc_hash::FxHashMap;

/// One row per stopped, traced, frozen or blocked process that leaves clients waiting, with their number.
pub(super) fn add_halted(c: &Context<'_>, out: &mut Vec<Limit>) {
    for (i, p) in c.sample.processes.iter().enumerate() {
        let Some(halted) = p.halted else { continue };
        let clients = waiting_clients(c, i, halted.wait_s());
        if clients > 0 {
            let subject = LimitSubject::Process(p.info.pid, p.info.start_ns);
            let mut row = Limit::new(LimitKind::Halted, 0, subject, clients, None);
            row.process = Some(i as u32);
            out.push(row);
        }
    }
}

/// Connections in the accept queues of a process, and sockets of it with unread data, that have waited this long.
fn waiting_clients(c: &Context<'_>, process: usize, wait_s: f64) -> u64 {
    let now = c.sample.at.boot_ns;
    let facts = &c.processes[process];
    let rows = c.sockets_of.get(facts.sockets.0 as usize..facts.sockets.1 as usize).unwrap_or(&[]);
    let mut pending: FxHashMap<(u16, u16), f64> = FxHashMap::default();
    let queued = |row: &&u32| c.sockets[**row as usize].recv_q > 0;
    if rows.iter().filter(queued).any(|r| c.sockets[*r as usize].state == State::Listen) {
        // Connections in an accept queue have no owner.
        for (s, f) in c.sockets.iter().zip(c.facts) {
            if s.proto == Proto::Tcp && f.owners.0 == f.owners.1 && s.inode == 0 {
                let oldest = pending.entry((s.id.netns, s.local.port)).or_default();
                *oldest = oldest.max(unread_s(f, s, c.sample.attrs_of(s), now));
            }
        }
    }
    let waiting = |row: &u32| {
        let (s, f) = (&c.sockets[*row as usize], &c.facts[*row as usize]);
        let mut waited = unread_s(f, s, c.sample.attrs_of(s), now);
        if s.state == State::Listen {
            waited = waited.max(pending.get(&(s.id.netns, s.local.port)).copied().unwrap_or(0.0));
        }
        match s.state {
            _ if waited < wait_s => 0,
            State::Listen => u64::from(s.recv_q),
            _ => 1,
        }
    };
    let by_rows: u64 = rows.iter().filter(queued).map(waiting).sum();
    by_rows + named_clients(c, process as u32)
}

/// Connections in the accept queues of UNIX and SCTP listeners of a process; the kernel reports no times of them.
fn named_clients(c: &Context<'_>, process: u32) -> u64 {
    let queues = c.sample.counters.iter().flat_map(|k| &k.listen_queues);
    let is_owner = |q: &&ListenQueue| {
        let begin = c.sample.owners.partition_point(|o| o.inode < q.inode);
        let mut owners = c.sample.owners[begin..].iter().take_while(|o| o.inode == q.inode);
        q.inode != 0 && owners.any(|o| o.process == process)
    };
    let sleeps = c.sample.processes[process as usize].halted == Some(crate::model::Halted::Uninterruptible);
    queues.filter(|q| q.waiting > 0 && !sleeps).filter(is_owner).map(|q| u64::from(q.waiting)).sum()
}
