//! Rows in state `FORWARDED`: tracked connections between two other hosts.

use crate::model::{Addr, Family, Reads, Sample, Scope, Socket, State};
use rustc_hash::FxHashSet;

/// A row for each flow with neither end on the namespace that tracks it; empty unless requested.
pub(super) fn forwarded_rows(sample: &Sample) -> Vec<Socket> {
    if !sample.wants.reads(Reads::FORWARDED) {
        return Vec::new();
    }
    let addresses: FxHashSet<(u16, Addr)> = sample.addresses.iter().copied().collect();
    let mut out = Vec::new();
    for flow in &sample.flows {
        let (client, server) = (flow.orig.0, flow.reply.0);
        let is_local = |a: Addr| addresses.contains(&(flow.netns, a)) || a.scope() == Scope::Loopback;
        if is_local(client.addr) || is_local(server.addr) || !sample.wants.protos.has(flow.proto) {
            continue;
        }
        let family = if client.addr.is_v4() { Family::Inet } else { Family::Inet6 };
        let mut row = Socket::new(flow.row_id(), family, flow.proto, State::Forwarded);
        (row.local, row.remote) = (flow.orig.1, flow.orig.0);
        out.push(row);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::Engine;
    use crate::model::{Backend, BackendInfo, Endpoint, Flow, Proto, Stamp, Wants};
    use std::sync::Arc;

    fn flow(id: u32, client: &str, server: &str) -> Flow {
        let end = |s: &str| {
            let a: std::net::SocketAddr = s.parse().unwrap();
            Endpoint::new(a.ip().into(), a.port())
        };
        Flow {
            netns: 0,
            proto: Proto::Tcp,
            orig: (end(client), end(server)),
            reply: (end(server), end(client)),
            status: 0,
            tcp_state: Some(3),
            timeout_s: None,
            bytes: None,
            mark: 0,
            zone: 0,
            id,
        }
    }

    #[test]
    fn flow_between_other_hosts_is_a_row_when_requested() {
        let info = Arc::new(BackendInfo { backend: Backend::Script, reason: String::new() });
        let sample = |wants: Wants| {
            let mut s = Sample::empty(Stamp::default(), "x".into(), info.clone(), wants);
            s.addresses = vec![(0, Addr::v4([10, 0, 0, 1]))];
            s.flows = vec![
                flow(1, "10.0.0.9:1", "192.0.2.1:80"),
                flow(2, "10.0.0.9:2", "10.0.0.1:80"),
                flow(3, "127.0.0.1:3", "192.0.2.1:80"),
            ];
            s
        };
        let snap = Engine::new().step(sample(Wants::default().with(Reads::FORWARDED)));
        assert_eq!((snap.live, snap.socket_count(), snap.sample.sockets.len()), (1, 1, 0));
        let row = snap.socket(0);
        assert_eq!((row.state, row.id), (State::Forwarded, snap.sample.flows[0].row_id()));
        assert_eq!(
            (row.local.to_string(), row.remote.to_string()),
            ("192.0.2.1:80".into(), "10.0.0.9:1".into())
        );
        assert_eq!(Engine::new().step(sample(Wants::default().with(Reads::NAT))).live, 0);
    }
}
