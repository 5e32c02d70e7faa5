//! Rules with further conditions, and connections through several forwards.

use super::compare::check;
use super::forwards::{HOSTS, client, find, inside, server};
use super::netns::{Program, rows, sh};
use crate::wait::until;
use std::process::{Command, Stdio};

/// Rules of many forms. The chain with the lower priority value is listed last and evaluated first.
const RULES: &str = "set -e; nft -f - <<'N'
table ip nat {
  set some { type ipv4_addr; elements = { 203.0.113.5, 203.0.113.6 }; }
  chain pre { type nat hook prerouting priority -100;
    ip saddr @some tcp dport 1001 dnat to 172.30.0.2:80
    ip saddr != 10.0.0.0/8 tcp dport 1002 dnat to 172.30.0.2:80
    iifname { \"c1\", \"c2\" } tcp dport 1003 dnat to 172.30.0.2:80
    iifname \"c*\" tcp dport 1004 dnat to 172.30.0.2:80
    limit rate 5/second tcp dport 1005 dnat to 172.30.0.2:80
    tcp sport 5 tcp dport 1006 dnat to 172.30.0.2:80
    ip saddr 203.0.113.5 ip daddr 203.0.113.1 tcp dport 1007 dnat to 172.30.0.2:80
    meta mark 7 tcp dport 1008 dnat to 172.30.0.2:80
    tcp dport > 65000 dnat to 172.30.0.2:80
    tcp dport 1010 dnat to 172.30.0.2-172.30.0.4
    tcp dport 1011 dnat to 172.30.0.2:79-81
    tcp dport 1012 dnat to numgen inc mod 2 map { 0 : 172.30.0.2 , 1 : 172.30.0.3 }
    tcp dport 1013 dnat to 172.30.0.2:80
    tcp dport { 1013, 1014 } dnat to 172.30.0.2:81
    tcp dport 1015 dnat to 172.30.0.2:82
  }
  chain first { type nat hook prerouting priority -110; tcp dport 1015 dnat to 172.30.0.2:80; }
  chain out { type nat hook output priority -100; tcp dport 1015 dnat to 172.30.0.2:82; }
}
N";

/// A rule with conditions shows them if they have a name; one of several targets is shown as such; and
/// a shadowed rule does not apply.
pub(crate) fn rules_with_conditions_state_them() -> Result<(), String> {
    sh(HOSTS)?;
    sh(RULES)?;
    let _web = server("0.0.0.0", 80);
    until("the server", || rows(&["list", "ns:sv", "lport:80"]).ok().filter(|r| r.len() == 1))?;
    let all = rows(&["forwards", "-c", "proto,host,target,iface,finding,how,listens"])?;
    for (host, iface, more) in [
        ("0.0.0.0:1001", "", ", under more conditions: source"),
        ("0.0.0.0:1002", "", ", under more conditions: source"),
        ("0.0.0.0:1003", "c1,c2", ""),
        ("0.0.0.0:1004", "c*", ""),
        ("0.0.0.0:1005", "", ", under more conditions: limit"),
        ("0.0.0.0:1006", "", ", under more conditions: source port"),
        ("203.0.113.1:1007", "", ", under more conditions: source"),
        ("0.0.0.0:1008", "", ", under more conditions: mark"),
        ("0.0.0.0:65001-65535", "", ""),
        ("0.0.0.0:1010", "", ", to one of 172.30.0.2-172.30.0.4:1010"),
        ("0.0.0.0:1011", "", ", to one of 172.30.0.2:79-81"),
        ("0.0.0.0:1012", "", ""),
        ("0.0.0.0:1014", "", ""),
    ] {
        let r = find(&all, host, "tcp")?;
        let (how, by) = (r["how"].as_str().unwrap_or(""), r["iface"].as_str().unwrap_or(""));
        let mut names: Vec<&str> = by.split(',').collect();
        names.sort_unstable();
        let place = how.strip_suffix(more).unwrap_or("none");
        let bare = place.strip_prefix("ip nat pre handle ").is_some_and(|h| h.parse::<u32>().is_ok());
        check(bare && names.join(",") == iface, || r.to_string())?;
    }
    // The other addresses may belong to remote hosts.
    check(find(&all, "0.0.0.0:1010", "tcp")?["listens"].is_null(), || "several addresses".to_owned())?;
    check(find(&all, "0.0.0.0:1011", "tcp")?["listens"] == true, || "several ports".to_owned())?;
    // Both alternatives are listed, and neither shadows the other.
    let of = |host: &str| all.iter().filter(|r| r["host"] == host).collect::<Vec<_>>();
    check(of("0.0.0.0:1012").len() == 2, || format!("{:#?}", of("0.0.0.0:1012")))?;
    let shadowed: Vec<_> = all.iter().filter(|r| r["finding"] == "shadowed").collect();
    // The rule for port 1015 applies to local traffic.
    let rule = shadowed.first().filter(|_| shadowed.len() == 1).ok_or_else(|| format!("{shadowed:#?}"))?;
    check(rule["host"] == "0.0.0.0:1013" && rule["target"] == "172.30.0.2:81", || rule.to_string())?;
    let both = of("0.0.0.0:1015");
    let out = both.iter().find(|r| r["target"] == "172.30.0.2:82").and_then(|r| r["how"].as_str());
    check(both.len() == 2 && out.is_some_and(|h| h.starts_with("ip nat out handle ")), || {
        format!("{both:#?}")
    })?;
    Ok(())
}

fn socat(args: &[&str]) -> Result<Program, String> {
    let started = Command::new("socat").args(args).stdin(Stdio::null()).spawn();
    started.map(Program).map_err(|e| format!("socat: {e}"))
}

/// The route of the first connection that matches a filter, as drawn in the details.
fn drawn_route(filter: &str) -> Result<String, String> {
    let screen = sh(&format!(
        "{} screenshot --size 150x50 --polls 1 --keys '/{filter}<enter>gggg<enter>'",
        env!("CARGO_BIN_EXE_sockscope")
    ))?;
    screen.split_once("forwarding path").map(|(_, rest)| rest.to_owned()).ok_or(screen)
}

/// True if these words occur in this order.
fn in_order(text: &str, words: &[&str]) -> bool {
    let mut rest = text;
    words.iter().all(|w| rest.split_once(w).map(|(_, after)| rest = after).is_some())
}

/// A proxy in another namespace connects to an address that a rule translates: the forward has a listener, and the route
/// leads from the first client to the last server, seen from either end. The same through two namespaces that both
/// translate, and to a process that accepts a single client and stops listening.
pub(crate) fn forwards_in_a_row_lead_from_the_first_client_to_the_last_server() -> Result<(), String> {
    const COLUMNS: &str = "local,client,asked_for,pid";
    sh(HOSTS)?;
    sh("set -e; ip netns add in; ip link add i0 netns sv type veth peer name e0 netns in
        ip -n sv addr add 10.60.0.1/24 dev i0; ip -n sv link set i0 up
        ip -n in addr add 10.60.0.2/24 dev e0; ip -n in link set e0 up; ip -n in route add default via 10.60.0.1
        ip netns exec sv sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
        nft 'table ip nat {
          chain pre { type nat hook prerouting priority -100; tcp dport { 8080, 1100 } dnat to 172.30.0.2; }
          chain out { type nat hook output priority -100; ip daddr 127.0.0.1 tcp dport 3001 redirect to :3002; }
          chain post { type nat hook postrouting priority 100; tcp dport 1100 masquerade; }
        }'
        ip netns exec sv nft 'table ip nat {
          chain pre { type nat hook prerouting priority -100; tcp dport 1100 dnat to 10.60.0.2:80; }
        }'")?;
    let web = server("0.0.0.0", 8080);
    let inner = inside("in", &["busybox", "httpd", "-f", "-p", "80"]);
    let proxy = inside("cl", &["socat", "TCP-LISTEN:6113,fork", "TCP:203.0.113.1:8080"]);
    let (here, once) = (
        socat(&["-u", "TCP-LISTEN:3002,fork", "OPEN:/dev/null"])?,
        socat(&["TCP-LISTEN:3003", "TCP:172.30.0.2:8080"])?,
    );
    let mut last = Vec::new();
    until("listeners", || {
        last = rows(&["list", "state:listen", "lport:80,8080,6113,3002,3003", "pid>0"]).ok()?;
        (last.len() == 5).then_some(())
    })
    .map_err(|e| format!("{e}: {last:#?}"))?;
    let clients = [
        client("127.0.0.1", 6113),
        client("203.0.113.1", 1100),
        socat(&["-u", "TCP:127.0.0.1:3001", "OPEN:/dev/null"])?,
        socat(&["-u", "TCP:127.0.0.1:3003", "OPEN:/dev/null"])?,
    ];
    let at = |filter: &str, asked: &str| {
        until(asked, || {
            let all = rows(&["list", "state:established", filter, "-c", COLUMNS]).ok()?;
            all.into_iter().find(|r| r["asked_for"] == asked)
        })
    };
    // The client is the first one.
    let double = at("ns:in", "203.0.113.1:1100")?;
    check(double["client"].as_str().is_some_and(|c| c.starts_with("203.0.113.5:")), || double.to_string())?;
    let chained = at("ns:sv", "203.0.113.1:8080")?;
    let near = at("lport:3002", "127.0.0.1:3001")?;
    check(near["client"].as_str().is_some_and(|c| c.starts_with("127.0.0.1:")), || near.to_string())?;
    let single = at("ns:sv", "127.0.0.1:3003")?;
    check(single["client"].as_str().is_some_and(|c| c.starts_with("127.0.0.1:")), || single.to_string())?;
    let all = rows(&["forwards", "ns:cl or ns:here", "-c", "proto,host,listens,finding,pid,clients"])?;
    let of_proxy = find(&all, "0.0.0.0:6113", "tcp")?;
    check(of_proxy["listens"] == true && of_proxy["finding"].is_null(), || of_proxy.to_string())?;
    check(of_proxy["pid"] == web.0.id() && of_proxy["clients"] == 1, || of_proxy.to_string())?;
    check(find(&all, "0.0.0.0:3003", "tcp")?["clients"] == 1, || format!("{all:#?}"))?;
    let words = [
        "perl",
        "127.0.0.1:6113",
        "socat",
        " fd ",
        "203.0.113.1:8080",
        "ESTABLISHED",
        "dnat",
        "172.30.0.2:8080",
        "perl",
        " fd ",
    ];
    for end in ["rport:6113", "ns:sv lport:8080 client:203.0.113.5"] {
        let route = drawn_route(end)?;
        check(in_order(&route, &words), || format!("{end}: {route}"))?;
        check(!route.contains("no listener"), || format!("{end}: {route}"))?;
    }
    let route = drawn_route("rport:1100 ns:cl")?;
    let words =
        ["203.0.113.5:", "203.0.113.1:1100", "dnat", "172.30.0.2:1100", "dnat", "10.60.0.2:80", "busybox"];
    check(in_order(&route, &words), || route.clone())?;
    let route = drawn_route("lport:3002 client:127.0.0.1")?;
    check(in_order(&route, &["127.0.0.1:3001", "redirect", "127.0.0.1:3002", "socat"]), || route.clone())?;
    let _ = chained;
    drop((clients, proxy, inner, here, once, web));
    Ok(())
}

/// Filters find each port of a range; what is not evaluated is named with its rule; a rule with clients is not reported as
/// unreachable, whatever comes before it and whether its target still listens.
pub(crate) fn rules_with_clients_are_reachable_and_unevaluated_conditions_are_named() -> Result<(), String> {
    const COLUMNS: &str = "host,target,clients,listens,finding,how,conditions";
    sh(HOSTS)?;
    sh("nft 'table ip nat { chain pre { type nat hook prerouting priority -100;
            tcp dport 1100 dnat to 172.30.0.2:80
            tcp dport 1200 dnat to 172.30.0.2:81
            tcp dport 5001-5003 dnat to 172.30.0.2
            meta cgroup 7 tcp dport 1300 dnat to 172.30.0.2:80
        }; }'
        iptables-nft -t nat -N U; iptables-nft -t nat -A U -p tcp --dport 1500 -m u32 --u32 '4&0xffff=1' -j DNAT --to-destination 172.30.0.2:80
        iptables-nft -t nat -A PREROUTING -j U")?;
    // Accepts one client and stops listening.
    let _web = inside("sv", &["socat", "-u", "TCP-LISTEN:80", "OPEN:/dev/null"]);
    until("the server", || rows(&["list", "ns:sv", "lport:80"]).ok().filter(|r| r.len() == 1))?;
    let _client = client("203.0.113.1", 1100);
    let first = |all: &[serde_json::Value], host: &str, target: &str| {
        all.iter().find(|r| r["host"] == host && r["target"] == target).cloned()
    };
    let web = || {
        let all = rows(&["forwards", "-c", COLUMNS]).ok()?;
        first(&all, "0.0.0.0:1100", "172.30.0.2:80").filter(|r| r["clients"] == 1)
    };
    let row = until("its client", || web().filter(|r| r["listens"] == false))?;
    check(row["finding"].is_null(), || row.to_string())?;
    sh("nft insert rule ip nat pre tcp dport 1100 dnat to 172.30.0.9:80")?;
    let row = web().ok_or("the connection continues")?;
    let later =
        row["finding"].is_null() && row["how"].as_str().is_some_and(|h| h.contains("ip nat pre handle"));
    check(later, || row.to_string())?;
    let all = rows(&["forwards", "-c", COLUMNS])?;
    let row = first(&all, "0.0.0.0:1200", "172.30.0.2:81").ok_or("1200")?;
    check(row["finding"] == "no-listener", || format!("without a client: {row}"))?;
    let _hidden = inside("sv", &["socat", "-u", "TCP-LISTEN:81,bind=127.0.0.1", "OPEN:/dev/null"]);
    until("the listener on loopback", || {
        let all = rows(&["forwards", "-c", COLUMNS]).ok()?;
        first(&all, "0.0.0.0:1200", "172.30.0.2:81").filter(|r| r["finding"] == "on-loopback")
    })?;
    for (host, condition, rule) in
        [("0.0.0.0:1300", "cgroup", "ip nat pre handle"), ("0.0.0.0:1500", "u32", "ip nat U handle")]
    {
        let row = first(&all, host, "172.30.0.2:80").ok_or(host)?;
        let has = |column: &str, text: &str| row[column].as_str().is_some_and(|v| v.contains(text));
        let named = has("how", rule) && has("how", condition) && has("conditions", condition);
        check(named && row["finding"] != "shadowed", || row.to_string())?;
    }
    for (port, count) in [(5001, 1), (5002, 1), (5003, 1), (5000, 0), (5004, 0)] {
        let found = rows(&["forwards", &format!("host_port:{port}"), "-c", COLUMNS])?;
        check(found.len() == count, || format!("{port}: {found:?}"))?;
    }
    Ok(())
}

/// The same rules, loaded by either program of iptables, are the same rows.
pub(crate) fn rules_of_nft_and_legacy_are_the_same_rows() -> Result<(), String> {
    let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/derive/nat_rules/tests/cases");
    let files: Vec<String> = ["min2.leg", "f9.leg", "f9.ipt", "f11.ipt", "g2.ipt"]
        .iter()
        .map(|f| cases.join(f).display().to_string())
        .collect();
    for file in files {
        let mut both = Vec::new();
        for program in ["iptables-nft", "iptables-legacy"] {
            sh(
                "nft flush ruleset; if grep -q nat /proc/net/ip_tables_names; then iptables-legacy -w 5 -t nat -F; fi",
            )?;
            sh(&format!("{program}-restore < {file}")).map_err(|e| format!("{program}: {e}"))?;
            let all =
                rows(&["forwards", "-c", "proto,host,by,target,iface,hook,finding,conditions,packets"])?;
            let mut all: Vec<String> = all.iter().map(ToString::to_string).collect();
            all.sort_unstable();
            check(!all.is_empty(), || format!("{program} {file}"))?;
            both.push(all);
        }
        check(both[0] == both[1], || format!("{file}: {both:#?}"))?;
    }
    Ok(())
}
