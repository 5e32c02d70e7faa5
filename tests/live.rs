//! Real sockets in a network namespace of the test's own, compared row by row with `ss` and `lsof`.
//!
//! This test is a program of its own (`harness = false`): it starts itself again inside a fresh user and network
//! namespace, so an ordinary user can run it and nothing else on the machine is in the way; as root then again in a
//! network namespace only, for what is not to be had in a user namespace. Each ends with one line
//! `live: N passed, N failed`.

// A test that cannot go on stops there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "live/act.rs"]
mod act;
#[path = "live/chains.rs"]
mod chains;
#[path = "live/churn.rs"]
mod churn;
#[path = "live/compare.rs"]
mod compare;
#[path = "live/descriptors.rs"]
mod descriptors;
#[path = "live/expressions.rs"]
mod expressions;
#[path = "live/families.rs"]
mod families;
#[path = "live/fields.rs"]
mod fields;
#[path = "live/findings.rs"]
mod findings;
#[path = "live/forwards.rs"]
mod forwards;
#[path = "live/holders.rs"]
mod holders;
#[path = "live/limits.rs"]
mod limits;
#[path = "live/netns.rs"]
mod netns;
#[path = "live/owners.rs"]
mod owners;
#[path = "live/rows.rs"]
mod rows;
#[path = "live/world.rs"]
mod world;

use std::process::{Command, ExitCode};

/// Set in the process inside the namespaces.
const INSIDE: &str = "SOCKSCOPE_TEST_INSIDE";

type Case = (&'static str, fn() -> Result<(), String>);

/// Every case, in order.
const CASES: &[Case] = &[
    ("a listener's queue and limit", compare::listener_queue),
    ("every state, against ss and lsof", compare::every_state),
    ("a listener shared by three processes", compare::shared_listener),
    ("random sets, against ss and lsof", compare::random_sets),
    ("expressions mean what ss means", expressions::as_ss_means_them),
    ("filtering in the kernel loses nothing", expressions::filtering_in_the_kernel_loses_nothing),
    ("every family, against ss", families::every_family),
    ("descriptors of every family, against lsfd", descriptors::every_family),
    ("every field, against ss", fields::every_field),
    ("what a kernel does not tell is said", fields::what_is_not_told),
    ("one of two sockets is ended", act::one_of_two),
    ("a leak is predicted and a breath is not", limits::leak_and_breath),
    ("a listener over its backlog", limits::overflow),
    ("local ports towards one destination", limits::ports),
    ("a raised limit lets a process go on", limits::raised),
    ("a check has four exit statuses", limits::statuses),
    ("connections left open are named", limits::left_open),
    ("where many descriptors lead", limits::places),
    ("what is hidden is not zero", limits::hidden),
    ("what ends leaves no ghost", limits::no_ghosts),
    ("namespaces beside each other", netns::each_its_own),
    ("namespaces that come and go", netns::come_and_go),
    ("forwards by rules", forwards::through_rules),
    ("forwards by rules of iptables-legacy", forwards::through_legacy_rules),
    ("a forward by a proxy", forwards::through_a_proxy),
    ("what rules say", chains::what_rules_say),
    ("forwards one after the other", chains::one_after_the_other),
    ("trouble has its findings and no other", findings::under_trouble),
    ("owners where the iterator is refused", owners::refused),
    ("owners are never wrong for speed", churn::never_wrong),
    ("a first part of a long table", churn::a_first_part),
    ("nothing of an ended process is left", compare::ended_process),
];

/// Those that need the privileges of root outside of any user namespace.
const PRIVILEGED: &[Case] = &[
    ("maps of programs beside a socket", fields::bpf_maps),
    ("owners at once are true under churn", owners::true_under_churn),
    ("owners at once in a pid namespace", owners::in_a_pid_namespace),
    ("owners with the proc of another pid namespace", owners::with_another_proc),
];

/// Those that a privileged case runs in further namespaces.
const HIDDEN: &[Case] = &[
    ("hidden: in a pid namespace", owners::inside_a_pid_namespace),
    ("hidden: with another proc", owners::inside_with_another_proc),
];

fn main() -> ExitCode {
    if churn::actor() {
        return ExitCode::SUCCESS;
    }
    if std::env::args().any(|a| a == "--list") {
        for (name, _) in CASES.iter().chain(PRIVILEGED) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    if holders::is_holder() {
        return ExitCode::SUCCESS;
    }
    let cases = match std::env::var(INSIDE).as_deref() {
        Ok("user") => CASES,
        Ok("root") => match owners::privileged() {
            Ok(None) => PRIVILEGED,
            Ok(Some(why)) => {
                println!("live: privileged cases left out: {why}");
                return ExitCode::SUCCESS;
            }
            Err(why) => {
                println!("the iterator does not load: {why}\nlive: 0 passed, 1 failed");
                return ExitCode::FAILURE;
            }
        },
        Ok(_) => HIDDEN,
        Err(_) => return enter(),
    };
    let (mut passed, mut failed) = (0, 0);
    // A name on the command line chooses.
    let only = std::env::args().nth(1).filter(|a| !a.starts_with('-'));
    for (name, case) in
        cases.iter().filter(|(name, _)| only.as_ref().is_none_or(|o| name.contains(o.as_str())))
    {
        match case() {
            Ok(()) => {
                passed += 1;
                println!("test {name} ... ok");
            }
            Err(why) => {
                failed += 1;
                println!("test {name} ... FAILED\n{why}");
            }
        }
    }
    println!("live: {passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}

/// Runs this program again in namespaces of its own, with the loopback interface up.
fn enter() -> ExitCode {
    for tool in [
        "unshare",
        "ip",
        "ss",
        "lsof",
        "lsfd",
        "perl",
        "nft",
        "iptables-nft",
        "iptables-legacy",
        "conntrack",
        "socat",
    ] {
        if Command::new("sh")
            .args(["-c", &format!("command -v {tool} >/dev/null")])
            .status()
            .is_ok_and(|s| !s.success())
        {
            println!("{tool} is missing: ./tests/run installs what the tests need\nlive: 0 passed, 1 failed");
            return ExitCode::FAILURE;
        }
    }
    let Ok(exe) = std::env::current_exe() else { return ExitCode::FAILURE };
    let session = |user: &[&str], inside: &str| {
        let status = Command::new("unshare")
            .args(user)
            .args(["--net", "--mount", "--", "sh", "-c"])
            .arg("ip link set lo up && exec \"$0\" \"$@\"")
            .arg(&exe)
            .args(std::env::args().skip(1))
            .env(INSIDE, inside)
            .status();
        match status {
            Ok(s) => s.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1),
            Err(e) => {
                println!("unshare: {e}\nlive: 0 passed, 1 failed");
                1
            }
        }
    };
    let user = session(&["--user", "--map-root-user"], "user");
    let root = if rustix::process::geteuid().is_root() {
        session(&[], "root")
    } else {
        println!("live: privileged cases left out: not root");
        0
    };
    ExitCode::from(user.max(root))
}
