//! Rulesets of kube-proxy as it writes them in iptables and nftables mode, for services with any number of endpoints.

use std::fmt::Write;

/// A service: cluster address and port, port of the nodes, endpoints.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) addr: String,
    pub(super) port: u16,
    pub(super) udp: bool,
    pub(super) node_port: Option<u16>,
    /// Address of a load balancer and the sources that may use it.
    pub(super) balancer: Option<(String, String)>,
    pub(super) endpoints: Vec<String>,
    /// Endpoints on this node, if the policy of external traffic is `Local`.
    pub(super) local: Option<Vec<String>>,
    /// Session affinity by client address.
    pub(super) affinity: bool,
}

impl Service {
    const fn proto(&self) -> &'static str {
        if self.udp { "udp" } else { "tcp" }
    }

    /// Verdict on connections from outside if no endpoint can take them.
    const fn external_target(&self) -> Option<&'static str> {
        match &self.local {
            _ if self.endpoints.is_empty() => Some("reject"),
            Some(local) if local.is_empty() => Some("drop"),
            _ => None,
        }
    }
}

/// Services of both policies, with and without affinity, on the addresses that the probes go to.
pub(super) fn services(endpoints: u8) -> Vec<Service> {
    let all = |port: u16| (2..2 + endpoints).map(|n| format!("10.77.0.{n}:{port}")).collect::<Vec<_>>();
    let local = |port: u16| all(port).into_iter().step_by(3).collect::<Vec<_>>();
    let service = |name: &str, addr: &str, port: u16, node_port: u16| Service {
        name: name.into(),
        addr: addr.into(),
        port,
        udp: false,
        node_port: Some(node_port),
        balancer: None,
        endpoints: all(8080),
        local: None,
        affinity: false,
    };
    vec![
        service("cluster", "203.0.113.7", 80, 8000),
        Service {
            local: Some(local(8080)),
            balancer: Some(("203.0.113.3".into(), "192.0.2.4/31".into())),
            ..service("local", "203.0.113.7", 443, 8001)
        },
        Service { affinity: true, ..service("sticky", "203.0.113.9", 80, 8002) },
        Service {
            affinity: true,
            local: Some(local(8080)),
            balancer: Some(("203.0.113.1".into(), "198.51.100.0/24".into())),
            ..service("sticky-local", "203.0.113.9", 443, 8003)
        },
        Service { udp: true, endpoints: all(53), ..service("dns", "203.0.113.7", 81, 82) },
        // Policy `Local` without an endpoint on this node, and a service without any.
        Service { local: Some(Vec::new()), ..service("far", "203.0.113.9", 82, 81) },
        Service { endpoints: Vec::new(), ..service("none", "203.0.113.9", 8000, 443) },
    ]
}

/// The ruleset of iptables mode. Addresses of pods are in 10.77.0.0/24.
pub(super) fn iptables(services: &[Service]) -> String {
    let (mut chains, mut rules, mut portals, mut nodes) =
        (Vec::new(), String::new(), String::new(), String::new());
    let mut filter = String::new();
    for s in services {
        let (name, proto, id) = (&s.name, s.proto(), s.name.to_uppercase());
        let service = format!("KUBE-SVC-{id}");
        let comment = |what: &str| format!("-m comment --comment \"default/{name} {what}\"");
        if let Some((port, target)) = s.node_port.zip(s.external_target()) {
            writeln!(
                filter,
                "-A KUBE-EXTERNAL-SERVICES -p {proto} {} -m addrtype --dst-type LOCAL -m {proto} --dport {port} -j {}",
                comment("has no endpoints"),
                target.to_uppercase()
            )
            .unwrap();
        }
        if s.endpoints.is_empty() {
            writeln!(
                filter,
                "-A KUBE-SERVICES -d {}/32 -p {proto} {} -m {proto} --dport {} -j REJECT",
                s.addr,
                comment("has no endpoints"),
                s.port
            )
            .unwrap();
            continue;
        }
        let address =
            format!("-d {}/32 -p {proto} {} -m {proto} --dport {}", s.addr, comment("cluster IP"), s.port);
        writeln!(portals, "-A KUBE-SERVICES {address} -j {service}").unwrap();
        writeln!(rules, "-A {service} ! -s 10.77.0.0/24 {address} -j KUBE-MARK-MASQ").unwrap();
        let external = format!("KUBE-EXT-{id}");
        if let Some(port) = s.node_port {
            writeln!(
                nodes,
                "-A KUBE-NODEPORTS -p {proto} {} -m {proto} --dport {port} -j {external}",
                comment("")
            )
            .unwrap();
        }
        if let Some((addr, sources)) = &s.balancer {
            writeln!(
                filter,
                "-A KUBE-PROXY-FIREWALL -d {addr}/32 -p {proto} {} -m {proto} --dport {} -j DROP",
                comment("traffic not accepted"),
                s.port
            )
            .unwrap();
            let firewall = format!("KUBE-FW-{id}");
            writeln!(
                portals,
                "-A KUBE-SERVICES -d {addr}/32 -p {proto} -m {proto} --dport {} -j {firewall}",
                s.port
            )
            .unwrap();
            writeln!(rules, "-A {firewall} -s {sources} {} -j {external}", comment("loadbalancer IP"))
                .unwrap();
            chains.push(firewall);
        }
        let mut endpoint_chains = Vec::new();
        let mut all: Vec<&String> = s.endpoints.iter().collect();
        all.extend(s.local.iter().flatten().filter(|l| !s.endpoints.contains(l)));
        for (n, endpoint) in all.iter().enumerate() {
            let chain = format!("KUBE-SEP-{id}-{n}");
            let addr = endpoint.split(':').next().unwrap();
            writeln!(rules, "-A {chain} -s {addr}/32 {} -j KUBE-MARK-MASQ", comment("")).unwrap();
            let recent = if s.affinity {
                format!(" -m recent --set --name {chain} --mask 255.255.255.255 --rsource")
            } else {
                String::new()
            };
            writeln!(
                rules,
                "-A {chain} -p {proto} {}{recent} -m {proto} -j DNAT --to-destination {endpoint}",
                comment("")
            )
            .unwrap();
            endpoint_chains.push((endpoint.as_str(), chain));
        }
        let mut select = |from: &str, endpoints: &[String]| {
            let own =
                || endpoint_chains.iter().filter(|(e, _)| endpoints.iter().any(|o| o == e)).map(|(_, c)| c);
            for chain in own().filter(|_| s.affinity) {
                let recent = format!(
                    "-m recent --rcheck --seconds 10800 --reap --name {chain} --mask 255.255.255.255 --rsource"
                );
                writeln!(rules, "-A {from} {} {recent} -j {chain}", comment("")).unwrap();
            }
            let count = own().count();
            for (n, chain) in own().enumerate() {
                let random = if n + 1 < count {
                    format!(" -m statistic --mode random --probability {:.11}", 1.0 / (count - n) as f64)
                } else {
                    String::new()
                };
                writeln!(rules, "-A {from} {}{random} -j {chain}", comment("")).unwrap();
            }
        };
        select(&service, &s.endpoints);
        match &s.local {
            None => {
                writeln!(
                    rules,
                    "-A {external} {} -j KUBE-MARK-MASQ\n-A {external} -j {service}",
                    comment("masquerade")
                )
                .unwrap();
            }
            Some(local) => {
                let policy = format!("KUBE-SVL-{id}");
                select(&policy, local);
                writeln!(rules, "-A {external} -s 10.77.0.0/24 {} -j {service}", comment("pod traffic"))
                    .unwrap();
                for to in ["KUBE-MARK-MASQ", &service] {
                    writeln!(
                        rules,
                        "-A {external} {} -m addrtype --src-type LOCAL -j {to}",
                        comment("LOCAL traffic")
                    )
                    .unwrap();
                }
                if !local.is_empty() {
                    writeln!(rules, "-A {external} -j {policy}").unwrap();
                }
                chains.push(policy);
            }
        }
        chains.extend([service, external]);
        chains.extend(endpoint_chains.into_iter().map(|(_, c)| c));
    }
    let mut out = "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n\
        :KUBE-MARK-MASQ - [0:0]\n:KUBE-NODEPORTS - [0:0]\n:KUBE-POSTROUTING - [0:0]\n:KUBE-SERVICES - [0:0]\n"
        .to_owned();
    for chain in chains {
        writeln!(out, ":{chain} - [0:0]").unwrap();
    }
    out.push_str("-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n");
    out.push_str("-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n");
    out.push_str(
        "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING\n",
    );
    out.push_str("-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n");
    out.push_str("-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n");
    out.push_str("-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0\n-A KUBE-POSTROUTING -j MASQUERADE --random-fully\n");
    out + &rules
        + &nodes
        + &portals
        + "-A KUBE-SERVICES -m comment --comment \"kubernetes service nodeports\" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\nCOMMIT\n"
        + FILTER
        + &filter
        + "COMMIT\n"
}

/// The filter table of iptables mode, before the rules of services.
const FILTER: &str = r#"*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -j KUBE-FIREWALL
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
"#;

/// The ruleset of nftables mode.
pub(super) fn nft(services: &[Service]) -> String {
    let (mut sets, mut chains) = (String::new(), String::new());
    let (mut ips, mut nodes, mut none, mut none_nodes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut cluster_ips, mut firewalls) = (Vec::new(), Vec::new());
    for s in services {
        let (name, proto) = (&s.name, s.proto());
        let at = |addr: &str| format!("{addr} . {proto} . {}", s.port);
        if !cluster_ips.contains(&s.addr) {
            cluster_ips.push(s.addr.clone());
        }
        if let Some((port, target)) = s.node_port.zip(s.external_target()) {
            let verdict = if target == "drop" { "drop" } else { "goto reject-chain" };
            none_nodes.push(format!("{proto} . {port} : {verdict}"));
        }
        if s.endpoints.is_empty() {
            none.push(format!("{} : goto reject-chain", at(&s.addr)));
            continue;
        }
        ips.push(format!("{} : goto service-{name}", at(&s.addr)));
        if let Some(port) = s.node_port {
            nodes.push(format!("{proto} . {port} : goto external-{name}"));
        }
        if let Some((addr, sources)) = &s.balancer {
            ips.push(format!("{} : goto external-{name}", at(addr)));
            firewalls.push(format!("{} : goto firewall-{name}", at(addr)));
            writeln!(chains, " chain firewall-{name} {{\n  ip saddr != {sources} drop\n }}").unwrap();
        }
        let mut all: Vec<&String> = s.endpoints.iter().collect();
        all.extend(s.local.iter().flatten().filter(|l| !s.endpoints.contains(l)));
        let chain = |endpoint: &str| format!("endpoint-{name}-{}", endpoint.replace([':', '.'], "-"));
        let set = |endpoint: &str| format!("affinity-{name}-{}", endpoint.replace([':', '.'], "-"));
        for endpoint in &all {
            let (addr, update) = (endpoint.split(':').next().unwrap(), set(endpoint));
            if s.affinity {
                writeln!(sets, " set {update} {{ type ipv4_addr; flags dynamic,timeout; timeout 3h; }}")
                    .unwrap();
            }
            let update =
                if s.affinity { format!("  update @{update} {{ ip saddr }}\n") } else { String::new() };
            writeln!(
                chains,
                " chain {} {{\n  ip saddr {addr} jump mark-for-masquerade\n{update}  meta l4proto {proto} dnat to {endpoint}\n }}",
                chain(endpoint)
            )
            .unwrap();
        }
        let select = |endpoints: &[String]| {
            let mut out = String::new();
            for e in endpoints.iter().filter(|_| s.affinity) {
                writeln!(out, "  ip saddr @{} goto {}", set(e), chain(e)).unwrap();
            }
            let each: Vec<String> =
                endpoints.iter().enumerate().map(|(n, e)| format!("{n} : goto {}", chain(e))).collect();
            if !each.is_empty() {
                writeln!(out, "  numgen random mod {} vmap {{ {} }}", each.len(), each.join(", ")).unwrap();
            }
            out
        };
        let masquerade = format!(
            "ip daddr {} {proto} dport {} ip saddr != 10.77.0.0/24 jump mark-for-masquerade",
            s.addr, s.port
        );
        writeln!(chains, " chain service-{name} {{\n  {masquerade}\n{} }}", select(&s.endpoints)).unwrap();
        let external = match &s.local {
            None => format!("  jump mark-for-masquerade\n  goto service-{name}\n"),
            Some(local) => format!(
                "  ip saddr 10.77.0.0/24 goto service-{name}\n  fib saddr type local jump mark-for-masquerade\n  \
                 fib saddr type local goto service-{name}\n{}",
                select(local)
            ),
        };
        writeln!(chains, " chain external-{name} {{\n{external} }}").unwrap();
    }
    let map = |name: &str, kind: &str, all: &[String]| {
        let elements =
            if all.is_empty() { String::new() } else { format!(" elements = {{ {} }};", all.join(", ")) };
        format!(" map {name} {{ type {kind} : verdict;{elements} }}\n")
    };
    let key = "ipv4_addr . inet_proto . inet_service";
    "table ip kube-proxy {\n set nodeport-ips { type ipv4_addr; elements = { 192.0.2.1, 198.51.100.1 }; }\n"
        .to_owned()
        + &sets
        + " chain mark-for-masquerade {\n  meta mark set meta mark | 0x00004000\n }\n chain reject-chain {\n  reject\n }\n"
        + &chains
        + &map("service-ips", key, &ips)
        + &map("service-nodeports", "inet_proto . inet_service", &nodes)
        + &map("no-endpoint-services", key, &none)
        + &map("no-endpoint-nodeports", "inet_proto . inet_service", &none_nodes)
        + &map("firewall-ips", key, &firewalls)
        + &format!(" set cluster-ips {{ type ipv4_addr; elements = {{ {} }}; }}\n", cluster_ips.join(", "))
        + BASE_CHAINS
}

/// The chains of nftables mode that are the same for all services.
const BASE_CHAINS: &str = " chain filter-prerouting { type filter hook prerouting priority -110; ct state new jump firewall-check; }
 chain filter-input {
  type filter hook input priority -110
  ct state new jump nodeport-endpoints-check
  ct state new jump service-endpoints-check
 }
 chain filter-forward {
  type filter hook forward priority -110
  ct state new jump service-endpoints-check
  ct state new jump cluster-ips-check
 }
 chain filter-output {
  type filter hook output priority -110
  ct state new jump service-endpoints-check
  ct state new jump firewall-check
 }
 chain filter-output-post-dnat { type filter hook output priority -90; ct state new jump cluster-ips-check; }
 chain nat-prerouting { type nat hook prerouting priority -100; jump services; }
 chain nat-output { type nat hook output priority -100; jump services; }
 chain nat-postrouting { type nat hook postrouting priority 100; jump masquerading; }
 chain firewall-check { ip daddr . meta l4proto . th dport vmap @firewall-ips; }
 chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services; }
 chain nodeport-endpoints-check {
  ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
 }
 chain cluster-ips-check {
  ip daddr @cluster-ips reject
  ip daddr 10.96.0.0/12 drop
 }
 chain masquerading {
  meta mark & 0x00004000 == 0 return
  meta mark set meta mark ^ 0x00004000
  masquerade fully-random
 }
 chain services {
  ip daddr . meta l4proto . th dport vmap @service-ips
  ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
 }
}
";

/// This many services with two endpoints each.
pub(super) fn many(count: u32) -> Vec<Service> {
    let one = |n: u32| Service {
        name: format!("s{n:05}"),
        addr: format!("10.96.{}.{}", n >> 8, n & 0xff),
        port: 80,
        udp: false,
        node_port: None,
        balancer: None,
        endpoints: [0, 1]
            .map(|e| {
                format!(
                    "10.{}.{}.{}:8080",
                    128 + (2 * n + e) / 65_536,
                    (2 * n + e) >> 8 & 0xff,
                    (2 * n + e) & 0xff
                )
            })
            .into(),
        local: None,
        affinity: false,
    };
    (0..count).map(one).collect()
}
