//! Rules that stop the packet or its answer, and those that translate it to an endpoint without a listener.

use super::world::{Case, Errno, REFUSED, TIMEOUT, accepts, run};

fn nft(space: &str, rules: &str) -> String {
    format!("ip netns exec {space} nft -f - <<'N'\n{rules}\nN")
}

fn input(rules: &str) -> String {
    nft("sv", &format!("table inet f {{ chain i {{ type filter hook input priority 0; {rules}; }}\n}}"))
}

pub(crate) fn rules_that_stop_a_packet_are_named() -> Result<(), String> {
    let any = accepts("0.0.0.0", 80);
    let behind = accepts("10.8.0.2", 80);
    let chain = |space: &str, hook: &str, rules: &str| {
        nft(space, &format!("table inet f {{ chain x {{ type filter hook {hook}; {rules}; }}\n}}"))
    };
    let set = nft(
        "sv",
        "table ip f { set bad { type ipv4_addr; flags interval; elements = { 10.7.0.0/28 }; }
         chain i { type filter hook input priority 0; ip saddr @bad drop; }
         }",
    );
    let vmap = nft(
        "sv",
        "table ip f { chain no { counter drop; }
         chain i { type filter hook input priority 0; tcp dport vmap { 22 : accept, 80 : jump no }; }
         }",
    );
    let goto = nft(
        "sv",
        "table ip f { chain no { tcp dport 81 accept; meta l4proto tcp drop; }
         chain i { type filter hook input priority 0; iifname \"s*\" goto no; }
         }",
    );
    let reject = |kind: &str| input(&format!("tcp dport 80 reject with {kind}"));
    let stop = |name, induce, cause, errno| (name, induce, cause, errno, "10.7.0.2:80", "sv");
    let cases = vec![
        stop("drop in input", input("tcp dport 80 counter drop"), "rule-drops", TIMEOUT),
        stop("reset", reject("tcp reset"), "rule-rejects", REFUSED),
        stop("port unreachable", reject("icmp port-unreachable"), "rule-rejects", REFUSED),
        stop("host unreachable", reject("icmp host-unreachable"), "rule-rejects", Errno::Is(113)),
        stop("net unreachable", reject("icmp net-unreachable"), "rule-rejects", Errno::Is(101)),
        stop("admin prohibited", reject("icmp admin-prohibited"), "rule-rejects", Errno::Is(113)),
        stop("no route by icmpx", reject("icmpx no-route"), "rule-rejects", Errno::Is(101)),
        stop("policy", chain("sv", "input priority 0; policy drop", "tcp dport 22 accept"), "policy-drops", TIMEOUT),
        stop("raw", chain("sv", "prerouting priority raw", "tcp dport 80 drop"), "rule-drops", TIMEOUT),
        stop("set", set, "rule-drops", TIMEOUT),
        stop("vmap", vmap, "rule-drops", TIMEOUT),
        stop("goto", goto, "rule-drops", TIMEOUT),
        stop("ct state", input("ct state new tcp flags & syn == syn drop"), "rule-drops", TIMEOUT),
        stop("output", chain("cl", "output priority 0", "ip daddr 10.7.0.2 drop"), "rule-drops", TIMEOUT),
        stop("output reject", chain("cl", "output priority 0", "tcp dport 80 reject with tcp reset"), "rule-rejects", REFUSED),
        stop("user", chain("cl", "output priority 0", "meta skuid 0 tcp dport 80 drop"), "rule-drops", TIMEOUT),
        stop("answer in input", chain("cl", "input priority 0; policy drop", "iif lo accept"), "reply-stopped", TIMEOUT),
        stop(
            "iptables-nft",
            "ip netns exec sv iptables-nft -A INPUT -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset".into(),
            "rule-rejects",
            REFUSED,
        ),
        stop(
            "iptables-legacy",
            "ip netns exec sv iptables-legacy -w 5 -A INPUT -p tcp -m tcp --dport 80 -j DROP".into(),
            "rule-drops",
            TIMEOUT,
        ),
        ("forward", chain("sv", "forward priority 0", "tcp dport 80 drop"), "rule-drops", TIMEOUT, "10.8.0.2:80", "bk"),
        ("forward back", chain("sv", "forward priority 0", "tcp sport 80 drop"), "reply-stopped", TIMEOUT, "10.8.0.2:80", "bk"),
    ];
    let cases: Vec<Case<'_>> = cases
        .iter()
        .map(|(name, induce, cause, errno, ask, _)| Case {
            name,
            induce,
            programs: if *ask == "10.7.0.2:80" { any_of(&any) } else { bk_of(&behind) },
            ask,
            cause,
            errno: *errno,
        })
        .collect();
    run(&cases)
}

fn any_of(script: &str) -> &'static [(&'static str, &'static str)] {
    Box::leak(Box::new([("sv", &*Box::leak(script.to_owned().into_boxed_str()))]))
}

fn bk_of(script: &str) -> &'static [(&'static str, &'static str)] {
    Box::leak(Box::new([("bk", &*Box::leak(script.to_owned().into_boxed_str()))]))
}

pub(crate) fn translations_without_a_listener_are_named() -> Result<(), String> {
    let dnat = |to: &str| {
        nft(
            "sv",
            &format!(
                "table ip n {{ chain p {{ type nat hook prerouting priority -100; tcp dport 8080 dnat to {to}; }}\n}}"
            ),
        )
    };
    let here = nft(
        "cl",
        "table ip n { chain o { type nat hook output priority -100; tcp dport 8080 dnat to 10.7.0.2:81; }\n}",
    );
    let redirect = nft(
        "sv",
        "table ip n { chain p { type nat hook prerouting priority -100; tcp dport 8080 redirect to :81; }\n}",
    );
    let any = accepts("0.0.0.0", 80);
    let dead = |name, induce: &'static str, ask| Case {
        name,
        induce,
        programs: &[],
        ask,
        cause: "forward-dead",
        errno: REFUSED,
    };
    let leak = |s: String| -> &'static str { Box::leak(s.into_boxed_str()) };
    run(&[
        dead("no listener", leak(dnat("10.8.0.2:80")), "10.7.0.2:8080"),
        dead("output", leak(here), "10.9.9.9:8080"),
        dead("redirect", leak(redirect), "10.7.0.2:8080"),
        Case {
            name: "wrong port",
            induce: leak(dnat("10.8.0.2:81")),
            programs: &[("bk", &any)],
            ask: "10.7.0.2:8080",
            cause: "forward-dead",
            errno: REFUSED,
        },
        Case {
            name: "port of a host",
            induce: leak(dnat("10.8.0.2:81")),
            programs: &[],
            ask: ":8080 --netns sv",
            cause: "forward-dead",
            errno: Errno::Any,
        },
    ])
}
