//! Rulesets of a namespace that an unprivileged user made to keep others busy.

use super::compare::check;
use super::netns::{Program, rows, sh};
use crate::wait::until;
use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Rules with a lookup in the same large set.
const RULES: usize = 1_000;
/// Elements of the set.
const ELEMENTS: usize = 4_000;
/// As in `derive::nat_rules`.
const MOST_ROWS: usize = 10_000;
/// The program is a debug build; before there was a limit, it took minutes.
const MOST_TIME: Duration = Duration::from_secs(40);

/// Files for `nft`, each small enough for the socket buffer of a user.
fn parts() -> Vec<String> {
    let mut out = vec![
        "table ip t { set s { type ipv4_addr . inet_service; }; chain p { type nat hook prerouting priority -100; }; }".to_owned(),
    ];
    let numbers: Vec<usize> = (0..ELEMENTS).collect();
    for some in numbers.chunks(200) {
        let each: Vec<String> =
            some.iter().map(|i| format!("10.9.{}.{} . {}", i >> 8, i & 0xff, 3 * i + 3)).collect();
        out.push(format!("add element ip t s {{ {} }}", each.join(", ")));
    }
    for some in numbers[..RULES].chunks(100) {
        let mut text = String::new();
        for i in some {
            let to = format!("10.0.{}.{}", i >> 8, i & 0xff);
            writeln!(text, "add rule ip t p ip ttl {} ip saddr . tcp dport @s dnat to {to}", i % 250)
                .unwrap();
        }
        out.push(text);
    }
    out
}

/// 1,000 rules with lookups in a set of 4,000, in the namespace of another user: the own forward is listed in time, those of
/// the other namespace up to a limit, and the rest is reported.
pub(crate) fn namespace_of_another_user_delays_no_forwards() -> Result<(), String> {
    sh("nft 'table ip own { chain p { type nat hook prerouting priority -100; tcp dport 8080 dnat to 192.0.2.7; }; }'
        mkdir -p /run/parts; chmod 755 /run /run/parts")?;
    for (i, part) in parts().iter().enumerate() {
        std::fs::write(format!("/run/parts/{i:03}"), part).map_err(|e| e.to_string())?;
    }
    let load =
        "set -e; for p in /run/parts/*; do nft -f $p; done; echo loaded > /run/shared/done; exec sleep 1000";
    sh("mkdir -p /run/shared; chmod 777 /run/shared")?;
    let child = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .args(["unshare", "--user", "--map-root-user", "--net", "sh", "-c", load])
        .stdin(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    let _other = Program(child);
    until("the rules of the other user", || std::fs::exists("/run/shared/done").ok().filter(|d| *d))?;
    let begin = Instant::now();
    let all = rows(&["forwards", "-c", "netns,host,target"])?;
    let took = begin.elapsed();
    let own = all.iter().filter(|r| r["host"] == "0.0.0.0:8080").count();
    check(own == 1, || format!("{own} own rows"))?;
    let others = all.len() - own;
    check((1..=MOST_ROWS).contains(&others), || format!("{others} rows of the other namespace"))?;
    check(took < MOST_TIME, || format!("{took:?}"))?;
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(["forwards", "host_port:8080"])
        .output()
        .map_err(|e| e.to_string())?;
    let why = String::from_utf8_lossy(&out.stderr).into_owned();
    check(why.contains("too many rules"), || format!("not reported: {why}"))
}
