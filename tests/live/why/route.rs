//! Causes on the route, and several causes at once.

use super::world::{Case, Errno, REFUSED, TIMEOUT, accepts, run};
use crate::compare::check;
use std::process::Command;

const NET: Errno = Errno::Is(101);
const HOST: Errno = Errno::Is(113);

pub(crate) fn routes_that_fail_are_named() -> Result<(), String> {
    let any = accepts("0.0.0.0", 80);
    let sv: &[(&str, &str)] = &[("sv", &any)];
    let case = |name, induce, ask, cause, errno| Case { name, induce, programs: sv, ask, cause, errno };
    run(&[
        case("no route", "ip -n cl route del default", "10.9.0.1:80", "no-route", NET),
        case(
            "unreachable",
            "ip -n cl route add unreachable 10.9.0.0/24",
            "10.9.0.1:80",
            "route-unreachable",
            HOST,
        ),
        case(
            "prohibit",
            "ip -n cl route add prohibit 10.9.0.0/24",
            "10.9.0.1:80",
            "route-prohibit",
            Errno::Is(13),
        ),
        case(
            "blackhole",
            "ip -n cl route add blackhole 10.9.0.0/24",
            "10.9.0.1:80",
            "route-blackhole",
            Errno::Is(22),
        ),
        case(
            "mark",
            "ip -n cl rule add fwmark 7 prohibit",
            "10.7.0.2:80 --mark 7",
            "route-prohibit",
            Errno::Is(13),
        ),
        case(
            "user",
            "ip -n cl rule add uidrange 65534-65534 blackhole",
            "10.7.0.2:80 --as 65534",
            "route-blackhole",
            Errno::Is(22),
        ),
        case("neighbour", "", "10.7.0.9:80", "neighbour-failed", HOST),
        case("link down", "ip -n cl link set c0 down", "10.7.0.2:80", "link-down", NET),
        case("no carrier", "ip -n sv link set s0 down", "10.7.0.2:80", "no-carrier", Errno::Any),
        case("source", "", "10.7.0.2:80 --source 10.99.0.1", "source-not-local", Errno::Is(99)),
        case(
            "rp_filter",
            "ip -n cl addr add 10.9.0.1/32 dev lo; ip netns exec sv sysctl -qw net.ipv4.conf.s0.rp_filter=1; \
             ip -n sv route add 10.9.0.0/24 dev s1",
            "10.7.0.2:80 --source 10.9.0.1",
            "rp-filter",
            TIMEOUT,
        ),
        case(
            "forwarding",
            "ip netns exec sv sysctl -qw net.ipv4.ip_forward=0",
            "10.8.0.2:80",
            "forwarding-off",
            TIMEOUT,
        ),
        case(
            "no route behind",
            "ip -n sv addr del 10.8.0.1/24 dev s1",
            "10.8.0.2:80",
            "no-route",
            Errno::Any,
        ),
    ])?;
    agrees_with_ip_route_get()
}

/// The route step names the interface that `ip route get` names.
fn agrees_with_ip_route_get() -> Result<(), String> {
    let _world = super::world::World::new()?;
    for dest in ["10.7.0.2", "10.8.0.2", "10.7.0.1", "127.0.0.1"] {
        let out = Command::new("ip")
            .args(["-n", "cl", "route", "get", dest])
            .output()
            .map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let dev = text.split(" dev ").nth(1).and_then(|r| r.split(' ').next()).unwrap_or("");
        let answer = super::world::ask(&format!("{dest}:80"))?;
        let steps = answer["steps"].as_array().cloned().unwrap_or_default();
        let route = steps
            .iter()
            .find(|s| s["step"] == "route")
            .map(|s| s["evidence"].to_string())
            .unwrap_or_default();
        let is_local = text.starts_with("local") && route.contains("is an address of");
        check(is_local || route.contains(&format!("dev {dev}")), || format!("{text}: {route}"))?;
    }
    Ok(())
}

pub(crate) fn first_of_several_causes_is_named() -> Result<(), String> {
    let (any, loopback) = (accepts("0.0.0.0", 80), accepts("127.0.0.1", 80));
    let drop = "ip netns exec sv nft 'add table ip f; add chain ip f i { type filter hook input priority 0; }; add rule ip f i tcp dport 80 drop'";
    let reject = "ip netns exec cl nft 'add table ip f; add chain ip f o { type filter hook output priority 0; }; add rule ip f o tcp dport 80 reject with tcp reset'";
    let both = format!("{drop}; {reject}");
    let stopped = format!("kill -STOP PID0; {drop}");
    let prohibit = format!("ip -n cl route add prohibit 10.7.0.2/32; {drop}");
    run(&[
        Case {
            name: "drop, no listener",
            induce: drop,
            programs: &[],
            ask: "10.7.0.2:80",
            cause: "rule-drops",
            errno: TIMEOUT,
        },
        Case {
            name: "drop, loopback",
            induce: drop,
            programs: &[("sv", &loopback)],
            ask: "10.7.0.2:80",
            cause: "rule-drops",
            errno: TIMEOUT,
        },
        Case {
            name: "reject, drop",
            induce: &both,
            programs: &[("sv", &any)],
            ask: "10.7.0.2:80",
            cause: "rule-rejects",
            errno: REFUSED,
        },
        Case {
            name: "stopped, drop",
            induce: &stopped,
            programs: &[("sv", &any)],
            ask: "10.7.0.2:80",
            cause: "rule-drops",
            errno: TIMEOUT,
        },
        Case {
            name: "prohibit, drop",
            induce: &prohibit,
            programs: &[],
            ask: "10.7.0.2:80",
            cause: "route-prohibit",
            errno: Errno::Is(13),
        },
    ])
}
