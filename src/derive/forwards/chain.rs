//! Chained forwards: targets that another rule forwards again, and connections translated in several namespaces.

use super::context::IndexPairs;
use crate::model::{Endpoint, FaultKind, Flow, Forward, Proto, Sample, Scope};
use rustc_hash::FxHashMap;

/// Most forwards in a chain.
const MAX_CHAIN: usize = 4;

/// Row numbers by namespace and port.
type RowsByPort = FxHashMap<(u16, u16), Vec<usize>>;

/// Rows of rules by namespace and port, and those of any port or of a range.
fn by_host_port(rows: &[Forward]) -> (RowsByPort, Vec<usize>) {
    let (mut by_port, mut wide): (RowsByPort, _) = (FxHashMap::default(), Vec::new());
    for (i, f) in rows.iter().enumerate().filter(|(_, f)| f.via.iter().any(|s| s.kind.is_rule())) {
        if f.host.port == 0 || f.last_port > f.host.port {
            wide.push(i);
        } else {
            by_port.entry((f.netns, f.host.port)).or_default().push(i);
        }
    }
    (by_port, wide)
}

/// Takes the listener of the next forward for a target without listener that a rule forwards again.
pub(super) fn follow_chained(rows: &mut [Forward]) {
    if rows.iter().all(|f| f.listens != Some(false)) {
        return;
    }
    let (by_port, wide) = by_host_port(rows);
    for _ in 0..MAX_CHAIN {
        let mut found = Vec::new();
        for (i, f) in rows.iter().enumerate().filter(|(_, f)| f.listens == Some(false)) {
            let (Some(t), Some(netns)) = (f.target, f.target_netns) else { continue };
            // Connections of a proxy start in the namespace, connections from another namespace arrive there.
            let fits = |o: &Forward| if netns == f.netns { o.hooks.output } else { o.hooks.prerouting };
            let is_next = |k: &usize| {
                let o = &rows[*k];
                *k != i
                    && o.netns == netns
                    && fits(o)
                    && o.proto.is_none_or(|p| f.proto.is_none_or(|q| p == q))
                    && o.covers(&t)
            };
            // The kernel translates a connection once per namespace; connections that start there may match other rules.
            let by_rule = f.via.iter().any(|s| s.kind.is_rule());
            if netns == f.netns && by_rule || t.port == 0 {
                continue;
            }
            let exact = by_port.get(&(netns, t.port)).into_iter().flatten();
            if let Some(k) = exact.chain(&wide).copied().find(is_next) {
                let o = &rows[k];
                let listens = o.listens.filter(|_| netns != f.netns || t.addr.scope() != Scope::Loopback);
                found.push((i, listens, o.target_row));
            }
        }
        let before = rows.iter().filter(|f| f.listens == Some(false)).count();
        for (i, listens, row) in found {
            (rows[i].listens, rows[i].target_row) = (listens, row);
        }
        if rows.iter().filter(|f| f.listens == Some(false)).count() == before {
            break;
        }
    }
}

/// Clears "no listener" of targets on this host if its rules could not be read: one of them may forward the connection again.
pub(super) fn clear_uncertain(sample: &Sample, rows: &mut [Forward]) {
    let unread = |f: &&crate::model::Fault| f.subject.is_nat_rules() && f.kind != FaultKind::Interrupted;
    if sample.faults.iter().find(unread).is_none() {
        return;
    }
    for f in rows.iter_mut().filter(|f| f.listens == Some(false) && f.target_netns == Some(0)) {
        let near = f.target.is_some_and(|t| t.addr.is_any() || t.addr.scope() == Scope::Loopback);
        f.listens = f.listens.filter(|_| near);
    }
}

/// Flows that were translated in another namespace before: index of the later one, index of the earlier one.
pub(super) fn earlier_flows(flows: &[Flow]) -> IndexPairs {
    let changed = |f: &Flow| f.is_redirected() || f.is_masqueraded();
    let first = flows.iter().find(|f| changed(f)).map(|f| f.netns);
    if flows.iter().all(|f| !changed(f) || Some(f.netns) == first) {
        return Vec::new();
    }
    let all = || (0u32..).zip(flows).filter(|(_, f)| changed(f));
    let ends: FxHashMap<(Proto, Endpoint, Endpoint), u32> =
        all().map(|(i, f)| ((f.proto, f.reply.1, f.reply.0), i)).collect();
    let before = |(i, f): (u32, &Flow)| {
        let before = *ends.get(&(f.proto, f.orig.0, f.orig.1))?;
        (flows[before as usize].netns != f.netns).then_some((i, before))
    };
    all().filter_map(before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::Engine;
    use crate::derive::forwards::tests::machine;
    use crate::model::FaultSubject;
    use std::sync::Arc;

    #[test]
    fn unreadable_rules_leave_local_targets_unknown() {
        let mut sample = machine();
        let mut add = |cmdline: &str| {
            let mut p = sample.processes[1].clone();
            let info = Arc::make_mut(&mut p.info);
            (info.pid, info.comm, info.cmdline) = (info.pid + 100, "socat".into(), cmdline.into());
            p.fds_hidden = Some(crate::model::Missing::NotPermitted);
            sample.processes.push(p);
        };
        add("socat TCP-LISTEN:6000,fork TCP:10.0.0.1:6001");
        add("socat TCP-LISTEN:6002,fork TCP:127.0.0.1:6003");
        let listens = |snap: &crate::model::Snapshot, port| {
            let rows = &snap.forwards.as_ref().unwrap().rows;
            rows.iter().find(|f| f.host.port == port).unwrap().listens
        };
        let all_listen = |snap: &_| [6000, 6002, 9090].map(|port| listens(snap, port));
        let snap = Engine::new().step(sample.clone());
        assert_eq!(all_listen(&snap), [Some(false), Some(false), Some(false)]);
        sample.faults.add(FaultKind::NotPermitted, FaultSubject::NftRules, "");
        let snap = Engine::new().step(sample);
        assert_eq!(all_listen(&snap), [None, Some(false), Some(false)]);
    }
}
