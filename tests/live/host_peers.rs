//! Both ends of connections between hosts: three namespaces in a row, the middle one of which routes and translates.

use super::compare::check;
use super::hosts::Hosts;
use super::netns::{Program, sh};
use crate::screen::Screen;
use crate::wait::{until, until_ok};
use serde_json::Value;
use std::process::{Command, Stdio};

/// `h1` and `h2` on one link with public and private addresses, `h2` and `h3` on another. `h1` and `h3` have an equal address.
/// `h2` sends port 9000 to `h3`.
const NETWORK: &str = "set -e
ip -n h1 link add e2 type veth peer name e1 netns h2
ip -n h2 link add e3 type veth peer name e2 netns h3
for at in h1:e2:198.51.100.1 h1:e2:10.7.0.1 h1:e2:10.9.0.1 h2:e1:198.51.100.2 h2:e1:10.7.0.2 h2:e1:10.9.0.2 \
    h2:e3:10.8.0.2 h3:e2:10.8.0.3; do
    host=${at%%:*} rest=${at#*:}
    ip -n $host addr add ${rest#*:}/24 dev ${rest%%:*}
done
ip -n h3 addr add 10.9.0.1/32 dev lo
for at in h1:e2 h2:e1 h2:e3 h3:e2; do ip -n ${at%%:*} link set ${at#*:} up; done
ip -n h3 route add default via 10.8.0.2
ip netns exec h2 sysctl -qw net.ipv4.ip_forward=1
ip netns exec h2 nft 'add table ip n; add chain ip n p { type nat hook prerouting priority -100; };
    add rule ip n p tcp dport 9000 dnat to 10.8.0.3:7001'";

/// Perl of a server that reads what comes on port 7001, and leaves unread what comes on port 7002.
const SERVER: &str = "use IO::Socket::INET; use IO::Select;
    my @l = map { IO::Socket::INET->new(Listen => 5, LocalAddr => \"0.0.0.0:$_\", ReuseAddr => 1) or die } 7001, 7002;
    my ($s, @k) = IO::Select->new(@l);
    while (1) { for my $c ($s->can_read) {
        if ($c == $l[0]) { $s->add(scalar $c->accept) }
        elsif ($c == $l[1]) { push @k, scalar $c->accept }
        else { sysread($c, my $b, 65536) or $s->remove($c) }
    } }";

/// Perl of a client: address of its own, of the server, and bytes to send, or as many as fit.
fn client(local: &str, to: &str, bytes: &str) -> String {
    let send = match bytes {
        "all" => "$c->blocking(0); while (1) { 1 while syswrite($c, 'x' x 65536); select(undef, undef, undef, 0.05) }".to_owned(),
        n => format!("syswrite($c, 'x' x {n}); sleep 600"),
    };
    format!(
        "use IO::Socket::INET; my $c; $c = IO::Socket::INET->new(LocalAddr => '{local}', PeerAddr => '{to}') until $c; {send}"
    )
}

fn perl(host: &str, script: &str) -> Result<Program, String> {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", host, "perl", "-e", script]).stdin(Stdio::null());
    command.spawn().map(Program).map_err(|e| e.to_string())
}

fn world(clients: &[(&str, &str, &str)]) -> Result<(Hosts, Vec<Program>), String> {
    let hosts = Hosts::new()?;
    sh(NETWORK)?;
    let mut programs = vec![perl("h2", SERVER)?, perl("h3", SERVER)?];
    for (local, to, bytes) in clients {
        programs.push(perl("h1", &client(local, to, bytes))?);
    }
    for (host, ports) in [("h2", 2), ("h3", 2)] {
        until("the listeners", || {
            let shown =
                sh(&format!("ip netns exec {host} ss -Hlnt 'sport >= :7001 and sport <= :7002'")).ok()?;
            (shown.lines().count() == ports).then_some(())
        })?;
    }
    Ok((hosts, programs))
}

const NAMES: &str = "h1,h2,h3";

/// `remote host certainty nat` by host and remote address of each connection of the clients, or of the servers.
fn joins(hosts: &Hosts, filter: &str) -> Result<Vec<String>, String> {
    let columns = "hostname,local,remote,peer_host,peer_process,peer_certainty,peer_nat";
    let rows = hosts.rows(&["list", "--host", NAMES, filter, "-c", columns])?;
    let text = |r: &Value, key: &str| r[key].as_str().unwrap_or("-").to_owned();
    let line = |r: &Value| {
        let keys = ["hostname", "peer_host", "peer_certainty", "peer_nat"].map(|k| text(r, k)).join(" ");
        let process = text(r, "peer_process");
        format!("{keys} {}", process.split(' ').next().unwrap_or_default())
    };
    let mut out: Vec<String> = rows.iter().map(line).collect();
    out.sort();
    Ok(out)
}

/// Public addresses are certain, private ones likely unless the bytes of both ends agree, an address of two hosts is not joined,
/// and a connection through DNAT is joined by the entry of the host between.
pub(crate) fn ends_of_connections_are_joined_across_hosts() -> Result<(), String> {
    let (hosts, _programs) = world(&[
        ("198.51.100.1:5001", "198.51.100.2:7001", "10"),
        ("10.7.0.1:5002", "10.7.0.2:7001", "10"),
        ("10.7.0.1:5003", "10.7.0.2:7001", "9000"),
        ("10.9.0.1:5004", "10.9.0.2:7001", "10"),
        ("198.51.100.1:5005", "198.51.100.2:9000", "10"),
    ])?;
    for (port, want) in [
        (5001, ["h1 h2 certain - perl", "h2 h1 certain - perl"]),
        (5002, ["h1 h2 likely - perl", "h2 h1 likely - perl"]),
        (5003, ["h1 h2 certain - perl", "h2 h1 certain - perl"]),
        (5004, ["h1 - - - -", "h2 - - - -"]),
        (5005, ["h1 h3 likely h2 perl", "h3 h1 likely h2 perl"]),
    ] {
        until_ok(|| {
            let found = joins(&hosts, &format!("port:{port} state:established"))?;
            check(found == want, || format!("{port}: {found:?}"))
        })?;
    }
    let groups = hosts.rows(&["list", "--host", NAMES, "peer_host:h2", "-g", "peer_host"])?;
    check(groups.len() == 1 && groups[0]["count"] == 3, || format!("{groups:?}"))?;
    let of_process =
        hosts.rows(&["list", "--host", NAMES, "peer_process:perl", "peer_host:h3", "-c", "local"])?;
    check(of_process.len() == 1, || format!("{of_process:?}"))
}

/// One edge of the map for the connections between two hosts, of the host of the client, and as a graph; through NAT too.
pub(crate) fn map_has_one_edge_between_two_hosts() -> Result<(), String> {
    let (hosts, _programs) = world(&[
        ("198.51.100.1:5001", "198.51.100.2:7001", "10"),
        ("198.51.100.1:5002", "198.51.100.2:7001", "10"),
        ("198.51.100.1:5005", "198.51.100.2:9000", "10"),
    ])?;
    until_ok(|| {
        let rows = hosts.rows(&[
            "map",
            "--host",
            NAMES,
            "to_port:7001",
            "-c",
            "hostname,from,to_node,connections",
        ])?;
        let edge = |r: &Value| {
            let text = |key: &str| r[key].as_str().unwrap_or("-").split('/').next().unwrap_or("").to_owned();
            format!("{} {} {} {}", text("hostname"), text("from"), text("to_node"), r["connections"])
        };
        let edges: Vec<String> = rows.iter().map(edge).collect();
        check(edges == ["h1 h1 h2 2", "h1 h1 h3 1"], || format!("{edges:?} {rows:?}"))
    })?;
    let graph = hosts.run(&["map", "--host", NAMES, "to_port:7001", "-f", "dot"])?;
    let graph = String::from_utf8_lossy(&graph.stdout);
    let count = |text: &str| graph.matches(text).count();
    check(graph.starts_with("digraph") && count(" -> ") == 2 && count("\"h1/") == 1, || graph.to_string())
}

/// Details name the other host with its process, the key leads there and back, and the finding names who does not read.
pub(crate) fn dashboard_leads_to_the_other_host() -> Result<(), String> {
    let (hosts, _programs) = world(&[("10.7.0.1:5006", "10.7.0.2:7002", "all")])?;
    let config = hosts.dir.path().join("config.toml").display().to_string();
    let args = ["--config", &config, "--host", NAMES, "--interval", "300ms"];
    let mut screen = Screen::sockscope(160, 50, &args, &[]);
    screen.until("rows of the hosts", |s| s.contains("10.7.0.1:5006"));
    screen.keys("/port:5006 rport:7002\r");
    screen.until("one end", |s| s.contains(" 1 of ") && !s.contains("127.0.0.1:8001"));
    screen.keys("\x1b[B\r");
    screen.shows("peer socket on h2 (o: go to it)");
    screen.until("the reader on the other host", |s| {
        s.contains("in the send queue; on h2") && s.contains("no reads for")
    });
    screen.keys("o");
    screen.shows("peer socket hidden by the current filter");
    screen.keys("/\x15port:5006\r");
    screen.until("both ends", |s| s.contains(" 2 of "));
    screen.keys("\x1b[B");
    screen.shows("peer socket on h2 (o: go to it)");
    screen.keys("o");
    screen.shows("peer socket on h1 (o: go to it)");
    screen.keys("o");
    screen.shows("peer socket on h2 (o: go to it)");
    screen.keys("q");
    screen.ends();
    Ok(())
}
