//! Paths without a failure, and the view of an ordinary user.

use super::world::{Case, Errno, World, accepts, ask_as, perl, run};
use crate::compare::check;
use crate::netns::sh;
use crate::wait::until;

pub(crate) fn healthy_paths_are_reachable() -> Result<(), String> {
    let (any, dual, behind, here) =
        (accepts("0.0.0.0", 80), accepts("::", 80), accepts("10.8.0.2", 80), accepts("127.0.0.1", 80));
    let udp = "use IO::Socket::IP; my $l = IO::Socket::IP->new(Type => 2, LocalHost => '10.7.0.2', LocalPort => 53, Proto => 'udp') or die; sleep 600";
    let usual = "ip netns exec sv nft -f - <<'N'
table inet f {
  set open { type inet_service; elements = { 22, 80 }; }
  chain i { type filter hook input priority 0; policy drop; ct state vmap { established : accept, related : accept, invalid : drop }
    iif lo accept; ip protocol icmp accept; tcp dport @open accept; counter; }
  chain f { type filter hook forward priority 0; policy drop; ct state established,related accept; iifname s0 accept; }
  chain o { type filter hook output priority 0; policy accept; tcp dport 25 meta skuid != 0 reject; }
}
N";
    let dnat = "ip netns exec sv nft -f - <<'N'
table ip n { chain p { type nat hook prerouting priority -100; tcp dport 8080 dnat to 10.8.0.2:80; }
  chain q { type nat hook postrouting priority 100; oifname s1 masquerade; }
}
N";
    let iptables = "for r in '-P INPUT DROP' '-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT' '-A INPUT -i lo -j ACCEPT' \
        '-A INPUT -p tcp -m multiport --dports 22,80 -m conntrack --ctstate NEW -j ACCEPT'; do ip netns exec sv iptables-nft $r; done";
    let case =
        |name, induce, programs, ask| Case { name, induce, programs, ask, cause: "", errno: Errno::Connects };
    let (sv, two, bk, cl) = ([("sv", &*any)], [("sv", &*dual)], [("bk", &*behind)], [("cl", &*here)]);
    let (sv, two, bk, cl) = (&sv[..], &two[..], &bk[..], &cl[..]);
    run(&[
        case("plain", "", sv, "10.7.0.2:80"),
        case("IPv6", "", two, "[fd07::2]:80"),
        case("IPv4 at a socket of both", "", two, "10.7.0.2:80"),
        case("loopback", "", cl, "127.0.0.1:80"),
        case("routed", "", bk, "10.8.0.2:80"),
        case("usual firewall", usual, sv, "10.7.0.2:80"),
        case("usual firewall, routed", usual, bk, "10.8.0.2:80"),
        case("translated", dnat, bk, "10.7.0.2:8080"),
        case("iptables", iptables, sv, "10.7.0.2:80"),
        case(
            "strict rp_filter",
            "ip netns exec sv sysctl -qw net.ipv4.conf.all.rp_filter=1",
            sv,
            "10.7.0.2:80",
        ),
        case("other mark", "ip -n cl rule add fwmark 7 prohibit", sv, "10.7.0.2:80"),
        Case {
            name: "UDP",
            induce: "",
            programs: &[("sv", udp)],
            ask: "10.7.0.2:53 --proto udp",
            cause: "",
            errno: Errno::Any,
        },
        Case {
            name: "port",
            induce: usual,
            programs: sv,
            ask: ":80 --netns sv",
            cause: "",
            errno: Errno::Any,
        },
        Case { name: "process", induce: "", programs: sv, ask: "PID0", cause: "", errno: Errno::Any },
    ])
}

/// A rule that depends on what is not known of a packet is no certain cause, and one within a rate limit none at all.
pub(crate) fn rules_with_unknown_conditions_are_never_certain() -> Result<(), String> {
    let _world = World::new()?;
    let _server = perl("sv", &accepts("0.0.0.0", 80))?;
    until("the listener", || {
        sh("ip netns exec sv ss -Hlnt sport = :80").ok().filter(|t| !t.trim().is_empty())
    })?;
    for (rule, verdict, certainty) in [
        ("tcp dport 80 limit rate over 5/second drop", "unknown", "unknown"),
        ("meta length 60 tcp dport 80 drop", "cause", "likely"),
        ("tcp dport 80 numgen random mod 2 0 drop", "unknown", "unknown"),
        ("tcp dport 81 limit rate over 5/second drop", "reachable", "likely"),
    ] {
        sh(&format!(
            "ip netns exec sv nft 'flush ruleset; add table ip f; \
             add chain ip f i {{ type filter hook input priority 0; }}; add rule ip f i {rule}'"
        ))?;
        let answer = ask_as(&[], "10.7.0.2:80")?;
        check(answer["verdict"] == verdict && answer["certainty"] == certainty, || {
            format!("{rule}: {answer:#}")
        })?;
    }
    Ok(())
}

/// Rules and other namespaces are not visible to an ordinary user: neither reachable nor a certain cause.
pub(crate) fn ordinary_user_gets_no_wrong_certain_verdict() -> Result<(), String> {
    const USER: [&str; 4] = ["setpriv", "--reuid=65534", "--clear-groups", "--"];
    let _world = World::new()?;
    let _server = perl("cl", &accepts("127.0.0.1", 80))?;
    until("the listener", || {
        sh("ip netns exec cl ss -Hlnt sport = :80").ok().filter(|t| !t.trim().is_empty())
    })?;
    sh(
        "ip netns exec cl nft 'add table ip f; add chain ip f o { type filter hook output priority 0; }; add rule ip f o tcp dport 80 drop'",
    )?;
    for (target, verdict, cause) in [
        ("127.0.0.1:80", "unknown", None),
        ("10.7.0.2:80", "unknown", None),
        ("127.0.0.1:81", "cause", Some("nothing-listens")),
        ("10.7.0.1:80", "cause", Some("loopback-only")),
    ] {
        let answer = ask_as(&USER, target)?;
        check(answer["verdict"] == verdict && answer["cause"].as_str() == cause, || {
            format!("{target}: {answer:#}")
        })?;
        check(answer["certainty"] != "certain", || format!("{target}: {answer:#}"))?;
        let steps = answer["steps"].as_array().cloned().unwrap_or_default();
        let hidden = steps.iter().find(|s| s["status"] == "not-visible");
        check(hidden.is_some_and(|s| s["step"] == "firewall"), || format!("{target}: {answer:#}"))?;
    }
    // A route that fails is visible to all.
    sh("ip -n cl route add prohibit 10.9.0.0/24")?;
    let answer = ask_as(&USER, "10.9.0.1:80")?;
    check(answer["cause"] == "route-prohibit" && answer["certainty"] == "certain", || format!("{answer:#}"))
}
