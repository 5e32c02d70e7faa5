//! Rulesets of a namespace that an unprivileged user made to keep others busy.

use super::compare::check;
use super::netns::{Program, rows, sh};
use crate::screen::Screen;
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

/// Another user with a namespace, who runs a script there. Files are in /run/parts, answers in /run/shared.
fn other_user(parts: &[String], script: &str) -> Result<Program, String> {
    sh("mkdir -p /run/parts /run/shared; chmod 755 /run /run/parts; chmod 777 /run/shared")?;
    for (i, part) in parts.iter().enumerate() {
        std::fs::write(format!("/run/parts/{i:03}"), part).map_err(|e| e.to_string())?;
    }
    let child = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .args(["unshare", "--user", "--map-root-user", "--net", "sh", "-c", script])
        .stdin(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    Ok(Program(child))
}

fn exists(path: &str) -> Option<bool> {
    std::fs::exists(path).ok().filter(|d| *d)
}

const LOAD: &str =
    "set -e; for p in /run/parts/*; do nft -f $p; done; echo loaded > /run/shared/done; exec sleep 1000";

/// 1,000 rules with lookups in a set of 4,000, in the namespace of another user: the own forward is listed in time, and each
/// rule of the other namespace; where the set is not evaluated it is a condition.
pub(crate) fn namespace_of_another_user_delays_no_forwards() -> Result<(), String> {
    sh(
        "nft 'table ip own { chain p { type nat hook prerouting priority -100; tcp dport 8080 dnat to 192.0.2.7; }; }'",
    )?;
    let _other = other_user(&parts(), LOAD)?;
    until("the rules of the other user", || exists("/run/shared/done"))?;
    let begin = Instant::now();
    let all = rows(&["forwards", "-c", "netns,host,target,how,conditions"])?;
    let took = begin.elapsed();
    let own = all.iter().filter(|r| r["host"] == "0.0.0.0:8080").count();
    check(own == 1, || format!("{own} own rows"))?;
    let others = all.len() - own;
    check((RULES..=MOST_ROWS).contains(&others), || format!("{others} rows of the other namespace"))?;
    let named =
        all.iter().filter(|r| r["conditions"].as_str().is_some_and(|c| c.contains("in set s"))).count();
    let mut rules: Vec<&str> = all.iter().filter_map(|r| r["how"].as_str()?.split(',').next()).collect();
    rules.sort_unstable();
    rules.dedup();
    check(rules.len() == RULES + 1 && named > RULES / 2, || format!("{} rules, {named} named", rules.len()))?;
    check(took < MOST_TIME, || format!("{took:?}"))
}

/// Sets whose elements are more than a namespace of another user may have.
const LARGE_SETS: usize = 21;
/// Elements of each.
const LARGE_SET: usize = 10_000;
/// Longest time until a key is answered, on a busy machine.
const ANSWERED: Duration = Duration::from_secs(10);

/// Files for `nft`: the large sets, each with a rule that looks it up.
fn large_sets() -> Vec<String> {
    let mut out: Vec<String> =
        (0..LARGE_SETS).map(|n| format!("add set ip t s{n} {{ type ipv4_addr; }}\n")).collect();
    for n in 0..LARGE_SETS {
        let numbers: Vec<usize> = (0..LARGE_SET).collect();
        for some in numbers.chunks(2_500) {
            let each: Vec<String> = some.iter().map(|i| format!("10.{n}.{}.{}", i >> 8, i & 0xff)).collect();
            out.push(format!("add element ip t s{n} {{ {} }}\n", each.join(", ")));
        }
        out.push(format!("add rule ip t p ip saddr @s{n} tcp dport {} dnat to 10.0.0.1\n", n + 1));
    }
    out
}

/// The dashboard in a terminal while another user fills a namespace: keys are answered, the namespace is named with the age of
/// its rules, and those of the last reading stay.
pub(crate) fn dashboard_beside_a_namespace_that_is_late_answers_keys() -> Result<(), String> {
    sh(
        "nft 'table ip own { chain p { type nat hook prerouting priority -100; tcp dport 8080 dnat to 192.0.2.7; }; }'",
    )?;
    let first = "nft 'table ip t { chain p { type nat hook prerouting priority -100; tcp dport 9090 dnat to 192.0.2.9; }; }'
        echo first > /run/shared/first; until [ -e /run/shared/go ]; do sleep 0.1; done; ";
    let other = other_user(&large_sets(), &format!("{first}{LOAD}"))?;
    until("the first rule of the other user", || exists("/run/shared/first"))?;
    let mut screen = Screen::sockscope(240, 40, &["--interval", "1s"], &[]);
    screen.keys("6");
    screen.until("both forwards", |s| s.contains("192.0.2.7:8080") && s.contains("192.0.2.9:9090"));
    std::fs::write("/run/shared/go", "").map_err(|e| e.to_string())?;
    until("the large sets", || exists("/run/shared/done"))?;
    // The status names the namespace by its oldest process, and the age grows.
    let age = |s: &str| -> Option<u32> {
        let (before, after) = s.split_once("too many rules to read in time, those shown are ")?;
        let named = before.trim_end().ends_with(':');
        after.split(' ').next()?.parse().ok().filter(|_| named)
    };
    let text = screen.until("the namespace that is late", |s| age(s).is_some());
    let before = age(&text);
    screen.until("a greater age", |s| age(s) > before);
    check(screen.text().contains("192.0.2.9:9090"), || screen.text())?;
    for _ in 0..5 {
        for (key, title) in [("1", "RECV-Q"), ("6", "TARGET NETNS")] {
            let begin = Instant::now();
            screen.keys(key);
            screen.shows(title);
            let took = begin.elapsed();
            check(took < ANSWERED, || format!("{key} was answered after {took:?}"))?;
        }
    }
    drop(other);
    // Its rules go with it.
    screen.until("only the own forward", |s| !s.contains("192.0.2.9:9090") && s.contains("192.0.2.7:8080"));
    screen.keys("q");
    screen.ends();
    Ok(())
}

/// Rules of a table of iptables-legacy that is larger than another user may have: each is 16 KiB long.
const LONG_RULES: usize = 1_100;
/// Matches of each.
const COMMENTS: usize = 55;

/// A table of iptables-legacy of 17 MiB: read in a namespace that an administrator made, and named as too large in that of another
/// user, whose other tables and the forwards of the others stay.
pub(crate) fn large_iptables_table_of_another_user_is_named() -> Result<(), String> {
    let comments = " -m comment --comment x".repeat(COMMENTS);
    let mut text = "*nat\n:PREROUTING ACCEPT [0:0]\n".to_owned();
    for port in 1..=LONG_RULES {
        let to = "-j DNAT --to-destination 10.0.0.1";
        writeln!(text, "-A PREROUTING -p tcp -m tcp --dport {port}{comments} {to}").unwrap();
    }
    text.push_str("COMMIT\n");
    let load = "set -e; export XTABLES_LOCKFILE=/run/shared/lock; iptables-legacy-restore < /run/parts/000
        ip6tables-legacy -w -t nat -A PREROUTING -p tcp --dport 99 -j DNAT --to-destination 2001:db8::9
        echo loaded > /run/shared/done; exec sleep 1000";
    let _other = other_user(&[text], load)?;
    until("the table of the other user", || exists("/run/shared/done"))?;
    sh("ip netns add admin; ip netns exec admin iptables-legacy-restore < /run/parts/000")?;
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(["forwards", "-c", "netns,host,target", "--format", "csv"])
        .output()
        .map_err(|e| e.to_string())?;
    let (rows, faults) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let count = |what: &str| rows.lines().filter(|l| l.contains(what)).count();
    check(count("10.0.0.1:") == LONG_RULES, || format!("{} rows of IPv4: {faults}", count("10.0.0.1:")))?;
    check(rows.lines().filter(|l| l.contains("10.0.0.1:")).all(|l| l.starts_with("admin,")), || {
        rows.lines().take(5).collect::<Vec<_>>().join("\n")
    })?;
    check(count("2001:db8::9") == 1, || format!("the table of IPv6 is lost: {faults}"))?;
    let named = faults.lines().any(|l| l.contains("iptables: the table nat is too large"));
    check(named, || faults.into_owned())
}

/// In a user namespace whose root is an ordinary user, the list of iptables-legacy tables is not readable: no forward is then no
/// proof that there is none.
pub(crate) fn unreadable_list_of_iptables_tables_is_reported() -> Result<(), String> {
    // The lock of iptables is root's.
    let script = "export XTABLES_LOCKFILE=/tmp/xtables-of-a-user.lock
        iptables-legacy -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080
        \"$0\" forwards 2>&1; rm -f $XTABLES_LOCKFILE";
    // Another user cannot reach the directory of the program.
    let copy = "/tmp/sockscope-of-a-user";
    std::fs::copy(env!("CARGO_BIN_EXE_sockscope"), copy).map_err(|e| e.to_string())?;
    let out = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "-Urn", "sh", "-c"])
        .args([script, copy])
        .output();
    let _ = std::fs::remove_file(copy);
    let out = out.map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout);
    let named = "iptables-legacy rules: not permitted";
    check(text.contains(named) && text.contains("list of tables in /proc/net"), || text.into_owned())
}
