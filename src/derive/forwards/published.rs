//! Ports published by container engines.

use super::context::Context;
use super::detect::address_in;
use super::row::new_forward;
use crate::model::nat::Via;
use crate::model::{Addr, Container, Endpoint, Forward, ForwardKind, Published};
use rustc_hash::FxHashMap;

/// Assigns published ports to the forwards that match them, and adds a row for each one without.
pub(super) fn add_published(c: &Context<'_>, rows: &mut Vec<Forward>) {
    let sample = c.sample;
    if sample.containers.iter().all(|k| k.ports.is_empty()) {
        return;
    }
    let netns_by_container = container_namespaces(c);
    // Ports are published on the host; possibly only another namespace is read. In a container it may be that of the engine: then
    // the rules and proxies of the engine are here too.
    let named = sample.namespaces.iter().position(|n| n.name == "host").map(|n| n as u16);
    let host = named.unwrap_or(0);
    let is_read = sample.addresses.is_empty() || sample.addresses.iter().any(|(n, _)| *n == host);
    let host_read = is_read && (named.is_some() || sample.namespaces.is_empty());
    for (i, k) in sample.containers.iter().enumerate() {
        let netns = netns_by_container.get(&*k.id).copied();
        for p in &k.ports {
            let step = || {
                let how = format!("{}: {} {p}", k.engine.name(), k.label());
                Via { kind: ForwardKind::Engine, detail: how, process: None, listener: None }
            };
            let target = || {
                let fits = k.addrs.iter().find(|a| a.is_v4() == p.host.addr.is_v4() && !a.is_any());
                let addr = fits.copied().or_else(|| Some(address_in(sample, netns?, p.host.addr)));
                addr.map(|a| Endpoint::new(a, p.port))
            };
            let mut found = false;
            for f in rows.iter_mut().filter(|f| f.netns == host && is_published(f, p, k, netns)) {
                found = true;
                f.container = Some(i as u32);
                f.target = f.target.or_else(target);
                f.target_netns = f.target_netns.or(netns);
                if f.via.iter().all(|s| s.kind != ForwardKind::Engine) {
                    f.via.push(step());
                }
            }
            if !found && host_read {
                let f = new_forward(host, Some(p.proto), p.host, step());
                rows.push(Forward { target: target(), target_netns: netns, container: Some(i as u32), ..f });
            }
        }
    }
}

/// Network namespace of each container that has a process.
fn container_namespaces<'a>(c: &'a Context<'_>) -> FxHashMap<&'a str, u16> {
    let mut out = FxHashMap::default();
    for (p, facts) in c.sample.processes.iter().zip(c.processes) {
        let unit = facts.unit.checked_sub(1).and_then(|i| c.units.get(i as usize));
        if let Some(k) = unit.and_then(|u| u.container.as_ref())
            && let Some(netns) = c.sample.netns_of(p.info.pid)
        {
            out.entry(&*k.id).or_insert(netns);
        }
    }
    out
}

/// True if a forward is that of a published port.
fn is_published(f: &Forward, p: &Published, k: &Container, netns: Option<u16>) -> bool {
    let port = p.host.port;
    // A proxy on `[::]` accepts IPv4 too; engines report it as 0.0.0.0.
    let both =
        f.host.addr == Addr::ANY6 && p.host.addr == Addr::ANY4 && !f.known_via().any(|s| s.kind.is_rule());
    let matches_target = |t: Endpoint| {
        let inside = if t.port == 0 { port } else { t.port };
        let same_netns = f.target_netns.is_some() && f.target_netns == netns;
        inside == p.port && (k.addrs.is_empty() || k.addrs.contains(&t.addr) || same_netns)
    };
    f.proto.is_none_or(|proto| proto == p.proto)
        && f.host.port != 0
        && (f.host.port..=f.last_port.max(f.host.port)).contains(&port)
        && (f.host.addr == p.host.addr || both)
        && f.target.is_none_or(matches_target)
}

#[cfg(test)]
mod tests {
    use crate::derive::Engine;
    use crate::derive::forwards::tests::{end, machine};
    use crate::model::{
        Container, ContainerEngine, Forward, Owner, Proto, Published, Sample, Snapshot, State,
    };
    use std::sync::Arc;

    const ID: &str = "abababababababababababababababababababababababababababababababab";

    /// Adds the container of nginx, the first process, as its engine reports it.
    fn add_container(
        sample: &mut Sample,
        engine: ContainerEngine,
        addrs: &[&str],
        ports: &[(Proto, &str, u16)],
    ) {
        let mut web = Container::new(engine, ID);
        web.name = Some("web".into());
        web.addrs = addrs.iter().map(|a| a.parse().unwrap()).collect();
        web.ports = ports.iter().map(|(p, h, to)| Published { proto: *p, host: end(h), port: *to }).collect();
        sample.containers = Arc::from([web]);
        Arc::make_mut(&mut sample.processes[0].info).cgroup = Some(format!("/docker/{ID}").into());
        sample.netns_by_pid = Arc::from([(10, 1)]);
    }

    fn row(snap: &Snapshot, port: u16) -> &Forward {
        let rows = &snap.forwards.as_ref().unwrap().rows;
        let found: Vec<&Forward> = rows.iter().filter(|f| f.host.port == port).collect();
        assert_eq!(found.len(), 1, "{port}: {rows:#?}");
        found[0]
    }

    fn how(f: &Forward) -> Vec<&str> {
        f.via.iter().filter(|s| s.kind.name() == "engine").map(|s| s.detail.as_str()).collect()
    }

    fn by(f: &Forward) -> Vec<&str> {
        f.known_via().map(|s| s.kind.name()).collect()
    }

    #[test]
    fn published_port_joins_its_forward_or_is_a_row() {
        let mut sample = machine();
        let ports = [
            (Proto::Tcp, "0.0.0.0:8080", 80),
            // The rule has another target port: two rows.
            (Proto::Tcp, "0.0.0.0:9090", 80),
            (Proto::Udp, "192.0.2.1:5353", 53),
        ];
        add_container(&mut sample, ContainerEngine::Docker, &["172.17.0.2"], &ports);
        let snap = Engine::new().step(sample);
        let web = row(&snap, 8080);
        assert_eq!(by(web), ["dnat", "docker-proxy"]);
        assert_eq!(how(web), ["docker: web 0.0.0.0:8080->80/tcp"]);
        assert_eq!((web.container, web.listens), (Some(0), Some(true)));
        let dns = row(&snap, 5353);
        assert_eq!((by(dns), how(dns).len()), (vec!["engine"], 1));
        assert_eq!((dns.target, dns.target_netns), (Some(end("172.17.0.2:53")), Some(1)));
        assert_eq!(dns.listens, Some(false), "no UDP listener");
        let rows = &snap.forwards.as_ref().unwrap().rows;
        let twice: Vec<_> = rows.iter().filter(|f| f.host.port == 9090).map(by).collect();
        assert_eq!(twice, [["dnat"], ["engine"]]);
        // Forwards that no engine published are unchanged.
        assert_eq!((how(row(&snap, 7070)).len(), row(&snap, 7070).container), (0, None));
    }

    /// With `--netns here` the namespace of the container has no number: whether it listens is not known.
    #[test]
    fn container_in_a_namespace_that_is_not_read_has_no_finding() {
        let mut sample = machine();
        add_container(
            &mut sample,
            ContainerEngine::Docker,
            &["172.17.0.2"],
            &[(Proto::Udp, "192.0.2.1:5353", 53)],
        );
        sample.netns_by_pid = Arc::from([(10, Sample::UNREAD_NETNS)]);
        sample.addresses.retain(|(n, _)| *n == 0);
        sample.sockets.retain(|s| s.id.netns == 0);
        let snap = Engine::new().step(sample.clone());
        let dns = row(&snap, 5353);
        assert_eq!((dns.target, dns.target_netns), (Some(end("172.17.0.2:53")), None));
        assert_eq!((dns.listens, dns.container), (None, Some(0)));
        // With `--netns NAME` it has a number, and no rows.
        sample.netns_by_pid = Arc::from([(10, 1)]);
        let snap = Engine::new().step(sample.clone());
        assert_eq!((row(&snap, 5353).target_netns, row(&snap, 5353).listens), (Some(1), None));
        // In a namespace that is not the host's nothing is published.
        let mut inside = sample.namespaces.to_vec();
        inside[0].name = "here".into();
        sample.namespaces = inside.into();
        let rows = Engine::new().step(sample).forwards.as_ref().unwrap().rows.clone();
        assert!(rows.iter().all(|f| f.host.port != 5353), "{rows:#?}");
    }

    /// Rootless Podman: no rules, no container addresses, and a proxy without options on its command line.
    fn rootless() -> Sample {
        let mut sample = machine();
        let nat = sample.netfilter.as_mut().unwrap();
        nat.nft.clear();
        sample.flows.clear();
        sample.addresses = vec![(1, "10.0.2.100".parse().unwrap())];
        let proxy = Arc::make_mut(&mut sample.processes[1].info);
        (proxy.comm, proxy.cmdline) = ("rootlessport".into(), "rootlessport".into());
        sample.sockets[0].local = end("[::]:8080");
        // The proxy's connection to the container is a socket in the container's namespace.
        sample.sockets.truncate(4);
        let mut inside = sample.sockets[3];
        (inside.id.netns, inside.id.cookie, inside.inode) = (1, 9, 9);
        (inside.local, inside.remote) = (end("10.0.2.100:42000"), end("10.0.2.100:80"));
        let mut served = inside;
        (served.id.cookie, served.inode) = (10, 10);
        (served.local, served.remote) = (inside.remote, inside.local);
        assert_eq!(served.state, State::Established);
        sample.sockets.extend([inside, served]);
        let owner = |inode, process, fd| Owner { inode, process, fd };
        let four = sample.owners.iter().take(4).copied();
        sample.owners = four.chain([owner(9, 1, 12), owner(10, 0, 8)]).collect();
        sample
    }

    #[test]
    fn proxy_without_options_has_the_target_of_the_published_port() {
        let mut sample = rootless();
        let ports = [(Proto::Tcp, "0.0.0.0:8080", 80)];
        add_container(&mut sample, ContainerEngine::Podman, &[], &ports);
        let snap = Engine::new().step(sample);
        let web = row(&snap, 8080);
        assert_eq!((by(web), how(web)), (vec!["rootlessport"], vec!["podman: web 0.0.0.0:8080->80/tcp"]));
        assert_eq!((web.target, web.target_netns), (Some(end("10.0.2.100:80")), Some(1)));
        assert_eq!((web.target_row, web.clients), (Some(1), 1));
        let client = crate::diagnose::route::original_client(&snap, 5).map(|(e, _)| e);
        assert_eq!(client, Some(end("127.0.0.1:41000")));
    }

    #[test]
    fn packet_proxy_connection_is_paired_by_client_port() {
        let mut sample = rootless();
        add_container(&mut sample, ContainerEngine::Podman, &[], &[(Proto::Tcp, "0.0.0.0:8080", 80)]);
        let proxy = Arc::make_mut(&mut sample.processes[1].info);
        (proxy.comm, proxy.cmdline) = ("slirp4netns".into(), "slirp4netns -c tap0".into());
        // The proxy has no socket inside; the client's port is preserved, its address is not.
        sample.sockets.remove(4);
        sample.sockets[4].remote = end("10.0.2.2:41000");
        let snap = Engine::new().step(sample.clone());
        let accepted = 3;
        assert_eq!(snap.accepted_for(4), Some((accepted, false)));
        assert_eq!(crate::diagnose::route::original_client(&snap, 4), Some((end("127.0.0.1:41000"), false)));
        assert_eq!(crate::diagnose::route::original_destination(&snap, 4), Some(end("127.0.0.1:8080")));
        let route = crate::diagnose::route::socket_route(&snap, 4);
        let steps: Vec<(&str, bool)> = route.iter().map(|s| (s.what.as_str(), s.certain)).collect();
        let want = [
            ("127.0.0.1:41000", true),
            ("127.0.0.1:8080", true),
            ("slirp4netns", false),
            ("10.0.2.100:80", false),
            ("nginx 10 fd 8", false),
        ];
        assert_eq!(steps, want);
        assert_eq!(crate::diagnose::route::socket_route(&snap, accepted), route, "the same from either end");
        // Two sockets with that client port: ambiguous.
        let mut other = sample.sockets[4];
        (other.id.cookie, other.inode, other.remote) = (11, 11, end("10.0.2.3:41000"));
        sample.sockets.push(other);
        assert_eq!(Engine::new().step(sample).accepted_for(4), None);
    }

    #[test]
    fn proxy_without_engine_has_the_target_of_its_connection() {
        let snap = Engine::new().step(rootless());
        let web = row(&snap, 8080);
        assert_eq!((by(web), web.target), (vec!["rootlessport"], Some(end("10.0.2.100:80"))));
        assert_eq!((web.target_netns, web.target_row), (Some(1), Some(1)));
        // No active connection: only the namespace of the proxy's child is known.
        let mut sample = rootless();
        sample.sockets.truncate(3);
        let mut child = sample.processes[1].clone();
        let info = Arc::make_mut(&mut child.info);
        (info.pid, info.ppid) = (21, 20);
        sample.processes.push(child);
        sample.netns_by_pid = Arc::from([(21, 1)]);
        let snap = Engine::new().step(sample);
        assert_eq!((row(&snap, 8080).target, row(&snap, 8080).target_netns), (None, Some(1)));
        // A process in the target namespace identifies the container.
        let container = |snap: &Snapshot| {
            let column = crate::table::table("forwards").and_then(|t| t.column("container")).unwrap();
            match column.value(snap, 0) {
                crate::format::Value::Text(t) => Some(t.into_owned()),
                _ => None,
            }
        };
        assert_eq!(container(&snap), None);
        let mut sample = snap.sample.clone();
        Arc::make_mut(&mut sample.processes[2].info).cgroup = Some(format!("/docker/{ID}").into());
        assert_eq!(container(&Engine::new().step(sample)).as_deref(), Some("abababababab"));
    }
}
