//! Port forwards between three hosts: a client, this one as router, a server. Rules of nft and iptables, and a proxy,
//! compared with `nft`, `conntrack` and the proxy.

use super::compare::check;
use super::netns::{Program, rows, sh};
use crate::wait::{until, until_ok};
use serde_json::Value;
use std::process::{Command, Stdio};

pub(super) fn inside(space: &str, args: &[&str]) -> Program {
    let all = [&["netns", "exec", space], args].concat();
    Program(Command::new("ip").args(all).stdin(Stdio::null()).spawn().expect("ip"))
}

/// Listens and keeps accepted connections.
pub(super) fn server(at: &str, port: u16) -> Program {
    let script = format!(
        "use IO::Socket::IP; my $l = IO::Socket::IP->new(Listen => 5, LocalHost => '{at}', LocalPort => {port}, V6Only => 0) \
         or die; my @k; while (my $c = $l->accept) {{ push @k, $c }}"
    );
    inside("sv", &["perl", "-e", &script])
}

/// Connects, sends five bytes and stays.
pub(super) fn client(to: &str, port: u16) -> Program {
    let script = format!(
        "use IO::Socket::IP; my $c = IO::Socket::IP->new(PeerHost => '{to}', PeerPort => {port}) or die; \
         syswrite $c, 'hello'; sleep 600"
    );
    inside("cl", &["perl", "-e", &script])
}

pub(super) const HOSTS: &str = "set -e; ip netns add cl; ip netns add sv
    ip link add c1 type veth peer name c0 netns cl; ip link add s1 type veth peer name s0 netns sv
    ip addr add 203.0.113.1/24 dev c1; ip addr add 172.30.0.1/24 dev s1
    ip addr add 2001:db8:1::1/64 dev c1 nodad; ip addr add fd00:30::1/64 dev s1 nodad
    ip -n cl addr add 203.0.113.5/24 dev c0; ip -n sv addr add 172.30.0.2/24 dev s0
    ip -n cl addr add 2001:db8:1::5/64 dev c0 nodad; ip -n sv addr add fd00:30::2/64 dev s0 nodad
    ip link set c1 up; ip link set s1 up
    for n in cl sv; do ip -n $n link set lo up; done; ip -n cl link set c0 up; ip -n sv link set s0 up
    ip -n cl route add default via 203.0.113.1; ip -n sv route add default via 172.30.0.1
    ip -n cl route add default via 2001:db8:1::1; ip -n sv route add default via fd00:30::1
    echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding";

const RULES: &str = "set -e; nft -f - <<'N'
table ip nat {
  map ports { type inet_service : ipv4_addr . inet_service; elements = { 9001 : 172.30.0.2 . 80, 9002 : 172.30.0.2 . 81 }; }
  chain web { meta l4proto tcp dnat to 172.30.0.2:80; }
  chain pre { type nat hook prerouting priority -100;
    tcp dport 8080 fib daddr type local dnat to 172.30.0.2:80
    iifname \"c1\" tcp dport 7000-7010 dnat to 172.30.0.2
    ip daddr 203.0.113.0/25 udp dport { 53, 5353 } dnat to 172.30.0.2:5300
    dnat ip to tcp dport map @ports
    tcp dport 2222 redirect to :22
    tcp dport 81 ct mark 7 dnat to 172.30.0.2:82
    tcp dport vmap { 8443 : jump web }
  }
}
table inet six { chain pre { type nat hook prerouting priority -90; meta nfproto ipv6 tcp dport 8080 dnat ip6 to [fd00:30::2]:80; }; }
N
iptables-nft -t nat -A PREROUTING ! -i s1 -p tcp -m tcp --dport 7070 -j DNAT --to-destination 172.30.0.2:70
iptables-nft -t nat -A PREROUTING -p tcp -m multiport --dports 6000,6001 -j REDIRECT --to-ports 6100";

const LEGACY: &str = "set -e
    i() { iptables-legacy -w 5 -t nat \"$@\"; }
    i -N WEB; i -A WEB -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.30.0.2:80
    i -A PREROUTING -m addrtype --dst-type LOCAL -j WEB
    i -A PREROUTING ! -i s1 -d 203.0.113.0/25 -p udp -m multiport --dports 53,5353 -j DNAT --to-destination 172.30.0.2:5300
    i -A PREROUTING -i c+ -p tcp -m tcp --dport 2222 -j REDIRECT --to-ports 22
    i -A PREROUTING -s 203.0.113.5 -p tcp -m tcp --dport 81 -m mark --mark 7 -m comment --comment hm -j DNAT --to-destination 172.30.0.2:82
    i -A OUTPUT -d 203.0.113.1 -p tcp -m tcp --dport 8080 -j WEB
    i -A POSTROUTING -o s1 -j MASQUERADE
    ip6tables-legacy -w 5 -t nat -A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:30::2]:80";

/// Tables of iptables-legacy, and none where they are not used.
pub(crate) fn rules_of_iptables_legacy_are_numbered_as_iptables_does() -> Result<(), String> {
    const COLUMNS: &str = "proto,host,by,target,target_netns,listens,clients,how,iface";
    sh(HOSTS)?;
    let names = || sh("cat /proc/net/ip_tables_names /proc/net/ip6_tables_names");
    check(rows(&["forwards"])?.is_empty() && names()?.is_empty(), || {
        format!("made by looking: {:?}", names())
    })?;
    sh("conntrack -F")?;
    sh(LEGACY)?;
    check(names()?.lines().filter(|t| *t == "nat").count() == 2, || format!("{:?}", names()))?;
    let servers = [server("0.0.0.0", 80), server("fd00:30::2", 80)];
    until("servers", || rows(&["list", "ns:sv", "lport:80"]).ok().filter(|r| r.len() == 2))?;
    let clients = [client("203.0.113.1", 8080), client("2001:db8:1::1", 8080)];
    let mut last = Vec::new();
    let all = until("two clients", || {
        last = rows(&["forwards", "-c", COLUMNS]).ok()?;
        let clients: u64 = last.iter().filter_map(|r| r["clients"].as_u64()).sum();
        (clients >= 2).then(|| last.clone())
    })
    .map_err(|e| format!("{e}: {last:#?}"))?;
    for (proto, host, by, target, how) in [
        ("tcp", "0.0.0.0:8080", "dnat", "172.30.0.2:80", "iptables-legacy nat WEB rule 1"),
        ("udp", "203.0.113.0/25:53", "dnat", "172.30.0.2:5300", "iptables-legacy nat PREROUTING rule 2"),
        ("udp", "203.0.113.0/25:5353", "dnat", "172.30.0.2:5300", "iptables-legacy nat PREROUTING rule 2"),
        ("tcp", "0.0.0.0:2222", "redirect", "0.0.0.0:22", "iptables-legacy nat PREROUTING rule 3"),
        (
            "tcp",
            "0.0.0.0:81",
            "dnat",
            "172.30.0.2:82",
            "iptables-legacy nat PREROUTING rule 4, under more conditions: source, mark",
        ),
        ("tcp", "203.0.113.1:8080", "dnat", "172.30.0.2:80", "iptables-legacy nat WEB rule 1"),
        ("tcp", "[::]:8080", "dnat", "[fd00:30::2]:80", "ip6tables-legacy nat PREROUTING rule 1"),
    ] {
        let r = find(&all, host, proto)?;
        let right = r["by"] == by && r["target"] == target && r["how"] == how;
        check(right, || format!("{proto} {host}: {r}"))?;
    }
    check(all.len() == 7, || format!("{} forwards: {all:#?}", all.len()))?;
    let web = find(&all, "0.0.0.0:8080", "tcp")?;
    check(web["target_netns"] == "sv" && web["listens"] == true && web["clients"] == 1, || web.to_string())?;
    for (host, iface) in [("203.0.113.0/25:53", "!s1"), ("0.0.0.0:2222", "c+")] {
        let r = all.iter().find(|r| r["host"] == host).ok_or(host)?;
        check(r["iface"] == iface, || r.to_string())?;
    }
    // Rule numbers are those of iptables.
    let listing = sh("iptables-legacy -w 5 -t nat -S PREROUTING 4")?;
    check(listing.contains("--dport 81"), || listing)?;
    // Confirmed by a connection that passes through it.
    let known = rows(&["list", "ns:sv", "state:established", "-c", "client,asked_for"])?;
    check(known.iter().any(|r| r["asked_for"] == "203.0.113.1:8080"), || format!("{known:#?}"))?;
    drop((servers, clients));
    Ok(())
}

pub(super) fn find<'a>(all: &'a [Value], host: &str, proto: &str) -> Result<&'a Value, String> {
    all.iter()
        .find(|r| r["host"] == host && r["proto"] == proto)
        .ok_or_else(|| format!("no forward of {proto} {host}: {all:#?}"))
}

/// Rules have their target and backend; connections that pass through, and their real client, are known.
pub(crate) fn rules_of_nft_and_iptables_match_nft_and_conntrack() -> Result<(), String> {
    sh(HOSTS)?;
    sh(RULES)?;
    let (web, udp) = (server("0.0.0.0", 80), udp_server());
    let six = server("fd00:30::2", 80);
    until("servers", || rows(&["list", "ns:sv", "lport:80,5300"]).ok().filter(|r| r.len() == 3))?;
    let _clients = [client("203.0.113.1", 8080), client("2001:db8:1::1", 8080), udp_client()];
    let mut last = Vec::new();
    let all = until("three clients", || {
        last = rows(&["forwards"]).ok()?;
        let clients: u64 = last.iter().filter_map(|r| r["clients"].as_u64()).sum();
        (clients == 3).then(|| last.clone())
    })
    .map_err(|e| format!("{e}: {last:#?}"))?;
    // Every rule once, with its target.
    for (proto, host, by, target, space, listens) in [
        ("tcp", "0.0.0.0:8080", "dnat", "172.30.0.2:80", "sv", true),
        ("tcp", "0.0.0.0:7000-7010", "dnat", "172.30.0.2:*", "sv", false),
        ("udp", "203.0.113.0/25:53", "dnat", "172.30.0.2:5300", "sv", true),
        ("udp", "203.0.113.0/25:5353", "dnat", "172.30.0.2:5300", "sv", true),
        ("tcp", "0.0.0.0:9001", "dnat", "172.30.0.2:80", "sv", true),
        ("tcp", "0.0.0.0:9002", "dnat", "172.30.0.2:81", "sv", false),
        ("tcp", "0.0.0.0:2222", "redirect", "0.0.0.0:22", "here", false),
        ("tcp", "0.0.0.0:81", "dnat", "172.30.0.2:82", "sv", false),
        ("tcp", "0.0.0.0:8443", "dnat", "172.30.0.2:80", "sv", true),
        ("tcp", "[::]:8080", "dnat", "[fd00:30::2]:80", "sv", true),
        ("tcp", "0.0.0.0:7070", "dnat", "172.30.0.2:70", "sv", false),
        ("tcp", "0.0.0.0:6000", "redirect", "0.0.0.0:6100", "here", false),
        ("tcp", "0.0.0.0:6001", "redirect", "0.0.0.0:6100", "here", false),
    ] {
        let r = find(&all, host, proto)?;
        let fields = (&r["by"], &r["target"], &r["target_netns"], &r["listens"]);
        check(
            fields == (&by.into(), &target.into(), &space.into(), &listens.into())
                && r["finding"].is_null() == listens,
            || format!("{proto} {host}: {r}"),
        )?;
    }
    check(all.len() == 13, || format!("{} forwards: {all:#?}", all.len()))?;
    // The location of the rule is that of nft.
    let listing = sh("nft -a list chain ip nat pre")?;
    let line = listing.lines().find(|l| l.contains("dport 8080")).ok_or("the rule")?;
    let handle = line.rsplit(' ').next().unwrap_or("");
    let r = find(&all, "0.0.0.0:8080", "tcp")?;
    check(r["how"] == format!("ip nat pre handle {handle}"), || format!("{r} {line}"))?;
    check(r["pid"] == web.0.id() && r["clients"] == 1, || format!("backend: {r}"))?;
    check(find(&all, "[::]:8080", "tcp")?["pid"] == six.0.id(), || "backend over IPv6".to_owned())?;
    check(find(&all, "203.0.113.0/25:53", "udp")?["clients"] == 1, || "a client by UDP".to_owned())?;
    let partial = find(&all, "0.0.0.0:81", "tcp")?["how"].as_str().unwrap_or("").to_owned();
    check(partial.ends_with("under more conditions: ct mark"), || partial)?;

    // Tracked connections, compared with conntrack. A flow may expire between the two.
    until_ok(flows_match_conntrack)?;
    // Only if the filter names it.
    check(rows(&["list"])?.iter().all(|r| r["state"] != "FORWARDED"), || "unasked".to_owned())?;

    // At the server's socket: the real client and its original destination.
    let cols = ["--columns", "state,local,remote,client,asked_for,pid,ct_state"];
    let at = rows(&[&["list", "ns:sv", "state:established", "local:172.30.0.2:80"], &cols[..]].concat())?;
    let one = at.first().filter(|_| at.len() == 1).ok_or_else(|| format!("{at:?}"))?;
    let client = one["client"].as_str().unwrap_or("");
    check(
        client.starts_with("203.0.113.5:")
            && one["asked_for"] == "203.0.113.1:8080"
            && one["ct_state"] == "ESTABLISHED",
        || format!("{one}"),
    )?;
    // Without the privilege: reported, and visible data is listed.
    let blind = sh(&format!(
        "setpriv --bounding-set=-all --inh-caps=-all {} screenshot --size 160x20 --polls 1 --keys 6",
        env!("CARGO_BIN_EXE_sockscope")
    ))?;
    check(blind.contains("nf_tables rules") && blind.contains("not permitted"), || blind)?;
    let blind = sh(&format!(
        "setpriv --bounding-set=-all --inh-caps=-all {} forwards 2>&1 >/dev/null || true",
        env!("CARGO_BIN_EXE_sockscope")
    ))?;
    check(blind.contains("sockscope: nf_tables rules: not permitted: it needs"), || blind.clone())?;
    drop((web, udp));
    Ok(())
}

fn flows_match_conntrack() -> Result<(), String> {
    let passing = rows(&["list", "state:forwarded", "--columns", "proto,local,remote,ct_state,state"])?;
    let mut ours: Vec<String> = passing.iter().map(|r| format!("{} {}", r["remote"], r["local"])).collect();
    let table = sh("conntrack -L 2>/dev/null")?;
    let word =
        |l: &str, k: &str| l.split_whitespace().find_map(|w| w.strip_prefix(k)).unwrap_or("").to_owned();
    let end = |a: String, p: String| {
        if a.contains(':') { format!("\"[{a}]:{p}\"") } else { format!("\"{a}:{p}\"") }
    };
    let mut theirs: Vec<String> = table
        .lines()
        .filter(|l| l.starts_with("tcp") || l.starts_with("udp"))
        .map(|l| {
            let (src, dst) =
                (end(word(l, "src="), word(l, "sport=")), end(word(l, "dst="), word(l, "dport=")));
            format!("{src} {dst}")
        })
        .collect();
    ours.sort();
    theirs.sort();
    check(!ours.is_empty() && ours == theirs, || format!("{ours:#?}\n{theirs:#?}"))
}

fn udp_server() -> Program {
    let script = "use IO::Socket::INET; my $s = IO::Socket::INET->new(Proto => 'udp', LocalPort => 5300) or die; \
        while (1) { my $from = $s->recv(my $x, 99) or next; $s->send('ok') }";
    inside("sv", &["perl", "-e", script])
}

fn udp_client() -> Program {
    let script = "use IO::Socket::INET; my $s = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '203.0.113.1:53') or die; \
        while (1) { $s->send('x'); sleep 1 }";
    inside("cl", &["perl", "-e", script])
}

/// The two connections of a proxy are one route, and the server's socket has the real client.
pub(crate) fn proxy_has_its_target_and_its_client() -> Result<(), String> {
    sh(HOSTS)?;
    let web = server("0.0.0.0", 80);
    let proxy = Program(
        Command::new("socat")
            .args(["TCP-LISTEN:8181,fork,reuseaddr", "TCP:172.30.0.2:80"])
            .stdin(Stdio::null())
            .spawn()
            .map_err(|e| format!("socat: {e}"))?,
    );
    until("listeners", || rows(&["list", "state:listen", "lport:80,8181"]).ok().filter(|r| r.len() == 2))?;
    let _client = client("203.0.113.1", 8181);
    let f = until("a client", || {
        let all = rows(&["forwards"]).ok()?;
        all.into_iter().find(|r| r["host_port"] == 8181 && r["clients"] == 1)
    })?;
    check(
        f["by"] == "socat"
            && f["target"] == "172.30.0.2:80"
            && f["target_netns"] == "sv"
            && f["listens"] == true,
        || format!("{f}"),
    )?;
    check(f["pid"] == web.0.id(), || format!("backend: {f}"))?;
    let cols = ["--columns", "local,remote,client,asked_for"];
    let at = rows(&[&["list", "ns:sv", "state:established", "lport:80"], &cols[..]].concat())?;
    let one = at.first().filter(|_| at.len() == 1).ok_or_else(|| format!("{at:?}"))?;
    check(
        one["remote"].as_str().is_some_and(|r| r.starts_with("172.30.0.1:"))
            && one["client"].as_str().is_some_and(|r| r.starts_with("203.0.113.5:"))
            && one["asked_for"] == "203.0.113.1:8181",
        || format!("{one}"),
    )?;
    // The route is drawn, with the descriptors of the proxy.
    let screen = sh(&format!(
        "{} screenshot --size 140x50 --polls 1 --keys '/ns:sv state:established<enter>gggg<enter>'",
        env!("CARGO_BIN_EXE_sockscope")
    ))?;
    for word in ["forwarding path", "203.0.113.1:8181", "socat", " fd "] {
        check(screen.contains(word), || format!("{word}: {screen}"))?;
    }
    drop((web, proxy));
    Ok(())
}
