//! User-space proxies and socket activation, by processes and their listeners.

use super::cmdline::{self, ProxySpec};
use super::context::Context;
use super::row::new_forward;
use crate::model::nat::Via;
use crate::model::{Addr, Endpoint, Forward, ForwardKind, Proto, Sample, Scope};

/// Adds the forwards of user-space proxies, by their command lines, and of systemd sockets.
pub(super) fn detect_proxies(c: &Context<'_>, out: &mut Vec<Forward>) {
    let sample = c.sample;
    for (i, p) in sample.processes.iter().enumerate() {
        let step = |by, listener| Via {
            kind: by,
            detail: p.info.cmdline.to_string(),
            process: Some(i as u32),
            listener,
        };
        let own = c.sockets_of(i);
        let serving = serving(c, i);
        let specs = cmdline::parse(&p.info.comm, &p.info.cmdline);
        let mut assigned: Vec<u32> = Vec::new();
        for s in &specs {
            let listens = |r: &&u32| {
                let row = &c.sockets[**r as usize];
                row.proto == s.proto && s.host.is_none_or(|h| row.local.port == h.port)
            };
            let mut found = false;
            for row in serving.iter().filter(listens) {
                // A spec for this port takes precedence over one for any port.
                if assigned.contains(row) {
                    continue;
                }
                assigned.push(*row);
                let socket = &c.sockets[*row as usize];
                found = true;
                // pasta also listens inside the namespace, for the other direction.
                if s.kind == ForwardKind::Pasta && Some(socket.id.netns) != sample.netns_of(p.info.pid) {
                    continue;
                }
                let f = new_forward(socket.id.netns, Some(s.proto), socket.local, step(s.kind, Some(*row)));
                if let Some((target, netns)) = reverse_target(c, i, s, socket.local.port) {
                    out.push(Forward { target: Some(target), target_netns: Some(netns), ..f });
                    continue;
                }
                out.push(resolve_netns(c, i, s, Forward { target: s.target, ..f }));
            }
            // The listener is unknown: descriptors are not readable, or the proxy accepts a single client and has it. A child
            // for one of many clients is not a forward of its own.
            let (false, Some(host)) = (found, s.host) else { continue };
            if is_worker(sample, i) {
                continue;
            }
            let is_client = |r: &&u32| {
                let k = &c.sockets[**r as usize];
                k.proto == s.proto && k.local.port == host.port && !k.remote.is_none()
            };
            let client = own.iter().find(is_client).map(|r| c.sockets[*r as usize].id.netns);
            let hidden = p.fds_hidden.and_then(|_| sample.netns_of(p.info.pid));
            if let Some(netns) = client.or(hidden) {
                let f = new_forward(netns, Some(s.proto), host, step(s.kind, None));
                out.push(resolve_netns(c, i, s, Forward { target: s.target, ..f }));
            }
        }
    }
    detect_socket_activation(c, out);
}

/// Target of a listener of an ssh server: `-R` of its client, if that runs on this machine and is connected to this server.
fn reverse_target(c: &Context<'_>, server: usize, spec: &ProxySpec, port: u16) -> Option<(Endpoint, u16)> {
    if spec.kind != ForwardKind::Ssh || spec.host.is_some() {
        return None;
    }
    let ends = |process: usize| {
        let rows = c.sockets_of(process).iter().map(|r| &c.sockets[*r as usize]);
        rows.filter(|s| s.proto == Proto::Tcp && !s.remote.is_none() && !s.serves())
    };
    c.sample.processes.iter().enumerate().find_map(|(i, p)| {
        let reverse = cmdline::reverse_targets(&p.info.comm, &p.info.cmdline);
        let (_, target) = reverse.into_iter().find(|(listens, _)| *listens == port)?;
        let is_peer = ends(i).any(|a| ends(server).any(|b| a.local == b.remote && a.remote == b.local));
        is_peer.then_some((target, c.sample.netns_of(p.info.pid)?))
    })
}

/// True if the parent has the same command line.
fn is_worker(sample: &Sample, process: usize) -> bool {
    let p = &sample.processes[process].info;
    sample.processes.iter().any(|o| o.info.pid == p.ppid && o.info.cmdline == p.cmdline)
}

/// Adds sockets that systemd listens on: of the system, of a user or of a container.
fn detect_socket_activation(c: &Context<'_>, out: &mut Vec<Forward>) {
    let sample = c.sample;
    for (i, p) in sample.processes.iter().enumerate().filter(|(_, p)| &*p.info.comm == "systemd") {
        for row in serving(c, i) {
            let s = &c.sockets[row as usize];
            let (by, how) = (ForwardKind::SocketActivation, p.info.cmdline.to_string());
            let step = Via { kind: by, detail: how, process: Some(i as u32), listener: Some(row) };
            // The service it is passed to may be a proxy.
            match out.iter_mut().find(|f| f.via.iter().any(|s| s.listener == Some(row))) {
                Some(f) => f.via.insert(0, step),
                None => {
                    let f = new_forward(s.id.netns, Some(s.proto), s.local, step);
                    out.push(Forward { target: Some(s.local), target_netns: Some(s.id.netns), ..f });
                }
            }
        }
    }
}

/// Rows of the IP sockets that a process serves.
fn serving(c: &Context<'_>, process: usize) -> Vec<u32> {
    let own = c.sockets_of(process);
    let serves = |r: &u32| {
        let s = &c.sockets[*r as usize];
        s.serves() && s.proto.is_inet()
    };
    own.iter().copied().filter(serves).collect()
}

/// Sets the namespace that a proxy connects to, and the target if its port is known: the namespace of the proxy if it listens
/// in another one, of its child, or of the process on its command line.
fn resolve_netns(c: &Context<'_>, proxy: usize, spec: &ProxySpec, f: Forward) -> Forward {
    if spec.target.is_some()
        || !matches!(
            spec.kind,
            ForwardKind::Rootlessport
                | ForwardKind::Rootlesskit
                | ForwardKind::Slirp4netns
                | ForwardKind::Pasta
        )
    {
        return f;
    }
    let sample = c.sample;
    let p = &sample.processes[proxy].info;
    let children = sample.processes.iter().filter(|k| k.info.ppid == p.pid).map(|k| k.info.pid);
    let named = cmdline::target_pid(&p.cmdline);
    let mut all = [p.pid].into_iter().chain(children).chain(named).filter_map(|pid| sample.netns_of(pid));
    let Some(netns) = all.find(|n| *n != f.netns) else { return f };
    let port = spec.target_port.map(|port| if port == 0 { f.host.port } else { port });
    let target = port.map(|port| Endpoint::new(address_in(c.sample, netns, f.host.addr), port));
    Forward { target, target_netns: Some(netns), ..f }
}

/// The address of a namespace for connections to this address: of the same family, IPv4 if that is any; any if none is known.
pub(super) fn address_in(sample: &Sample, netns: u16, host: Addr) -> Addr {
    let v4 = host.is_v4() || host.is_any();
    let own = sample.addresses.iter().filter(|(n, a)| *n == netns && a.scope() != Scope::LinkLocal);
    let same_family = own.map(|(_, a)| *a).find(|a| a.is_v4() == v4);
    same_family.unwrap_or(if v4 { Addr::ANY4 } else { Addr::ANY6 })
}
