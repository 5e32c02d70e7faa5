//! DNS questions of a scenario.

use super::spec::Scenario;
use crate::model::sample::{DNS_ADDRS, Dns, DnsOutcome, DnsQuery, EventProcess};
use crate::model::{Addr, Endpoint, Proto, Sample, Scope};
use std::sync::Arc;

/// Time that a question without an answer waits, nanoseconds.
const TIMEOUT_NS: u64 = 5_000_000_000;

/// Questions of poll `total`, since the poll before.
pub(super) fn dns(scenario: &Scenario, total: u32, sample: &Sample) -> Dns {
    let interval = scenario.interval_ms * 1_000_000;
    let mut list = Vec::new();
    for (i, spec) in scenario.dns.iter().enumerate() {
        let process = scenario.processes.iter().find(|p| p.pid == spec.pid);
        let process = process.map(|p| {
            Arc::new(EventProcess {
                pid: p.pid,
                start_ns: 0,
                comm: p.comm.as_str().into(),
                uid: p.uid,
                cgroup_id: 0,
            })
        });
        let any = if spec.server.addr.is_v4() { Addr::v4([10, 0, 0, 4]) } else { Addr::ANY6 };
        let client = if spec.server.addr.scope() == Scope::Loopback { spec.server.addr } else { any };
        let n = spec.number.at(total, i as u64).max(0.0).round() as u32;
        for k in 0..n {
            let before = interval - interval * u64::from(k + 1) / u64::from(n + 1);
            let number = total.wrapping_mul(n).wrapping_add(k);
            let took_ns = match spec.outcome {
                DnsOutcome::Timeout => TIMEOUT_NS,
                DnsOutcome::Answered(_) => {
                    let us = spec.took_us.at(number, i as u64 ^ 5).max(1.0) as u64;
                    us.saturating_mul(1000)
                }
            };
            let seed = u64::from(number) << 8 | i as u64;
            list.push(DnsQuery {
                asked_ns: sample.at.boot_ns.saturating_sub(before).saturating_sub(took_ns),
                took_ns,
                netns: 0,
                proto: Proto::Udp,
                client: Endpoint::new(client, 33_000 + (seed.wrapping_mul(7919) % 27_000) as u16),
                server: spec.server,
                inbound: false,
                id: (seed.wrapping_mul(40_503) >> 3) as u16,
                name: spec.name.as_str().into(),
                qtype: spec.qtype,
                outcome: spec.outcome,
                truncated: false,
                answers: spec.addrs.len() as u16,
                addrs: spec.addrs.iter().take(DNS_ADDRS).copied().collect(),
                tries: spec.tries,
                process: process.clone(),
                uid: process.as_ref().map(|p| p.uid),
            });
        }
    }
    list.sort_by_key(|q| q.asked_ns.saturating_add(q.took_ns));
    let polls = u64::from(total) + 1;
    let since_ns = sample.at.boot_ns.saturating_sub(polls * interval);
    Dns { on: true, since_ns, list, ..Dns::default() }
}
