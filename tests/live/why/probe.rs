//! `why --probe`: a real connect beside the prediction; `why --watch`: until the answer changes.

use super::world::{World, accepts, ask, perl};
use crate::compare::check;
use crate::netns::sh;
use crate::wait::until;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

fn listens(space: &str, port: u16) -> Result<(), String> {
    until("the listener", || {
        sh(&format!("ip netns exec {space} ss -Hlnt sport = :{port}")).ok().filter(|t| !t.trim().is_empty())
    })?;
    Ok(())
}

/// Asks; the verdict, the cause and the evidence of the probe.
fn probed(args: &str) -> Result<(Value, String), String> {
    let answer = ask(args)?;
    let steps = answer["steps"].as_array().cloned().unwrap_or_default();
    let step = steps.last().filter(|s| s["step"] == "probe").ok_or_else(|| format!("{answer:#}"))?;
    let evidence = step["evidence"].as_str().unwrap_or("").to_owned();
    Ok((answer, evidence))
}

pub(crate) fn real_connect_confirms_or_contradicts_the_prediction() -> Result<(), String> {
    let _world = World::new()?;
    let (refused, text) = probed("10.7.0.2:80 --probe")?;
    check(
        refused["cause"] == "nothing-listens" && text.ends_with("connection refused, as predicted"),
        || format!("{refused:#}"),
    )?;
    let (refused, text) = probed("10.7.0.2:80 --proto udp --probe")?;
    check(refused["cause"] == "nothing-listens" && text.ends_with("as predicted"), || {
        format!("{refused:#}")
    })?;
    let _server = perl("sv", &accepts("0.0.0.0", 80))?;
    listens("sv", 80)?;
    let (open, text) = probed("10.7.0.2:80 --probe")?;
    check(open["verdict"] == "reachable" && open["certainty"] == "certain", || format!("{open:#}"))?;
    check(text.starts_with("a real connect succeeded after"), || text)?;
    // No SYN has this length, which no rule evaluator knows.
    sh("ip netns exec sv nft 'add table ip f; add chain ip f i { type filter hook input priority 0; }; \
        add rule ip f i meta length 59 tcp dport 80 drop'")?;
    let predicted = ask("10.7.0.2:80")?;
    check(predicted["cause"] == "rule-drops" && predicted["certainty"] == "likely", || {
        format!("{predicted:#}")
    })?;
    let (wrong, _) = probed("10.7.0.2:80 --probe")?;
    let headline = wrong["answer"].as_str().unwrap_or("");
    check(
        wrong["verdict"] == "reachable" && headline.contains("the prediction was wrong: times out"),
        || format!("{wrong:#}"),
    )?;
    sh(
        "ip netns exec sv nft 'flush ruleset; add table ip f; add chain ip f i { type filter hook input priority 0; }; \
        add rule ip f i tcp dport 80 drop'",
    )?;
    let (dropped, text) = probed("10.7.0.2:80 --probe=1s")?;
    check(dropped["cause"] == "rule-drops" && text.contains("no answer within"), || format!("{dropped:#}"))?;
    check(text.ends_with("as predicted"), || text)
}

/// The connect is made as the user, with the mark and from the namespace of the question: rules count it.
pub(crate) fn real_connect_is_that_of_the_client() -> Result<(), String> {
    let _world = World::new()?;
    let _server = perl("bk", &accepts("10.8.0.2", 80))?;
    listens("bk", 80)?;
    sh("ip netns exec cl nft 'add table ip f; add chain ip f o { type filter hook output priority 0; }; \
        add rule ip f o meta skuid 1000 meta mark 7 ip daddr 10.8.0.2 tcp flags syn counter'")?;
    let (answer, _) = probed("10.8.0.2:80 --as 1000 --mark 7 --probe")?;
    check(answer["verdict"] == "reachable", || format!("{answer:#}"))?;
    let rules = sh("ip netns exec cl nft list ruleset")?;
    check(rules.contains("counter packets 1 "), || rules)?;
    sh("ip netns exec sv nft 'add table ip f; add chain ip f o { type filter hook output priority 0; }; \
        add rule ip f o ip daddr 10.8.0.2 tcp flags syn counter'")?;
    let (answer, _) = probed("10.8.0.2:80 --netns sv --probe")?;
    check(answer["verdict"] == "reachable", || format!("{answer:#}"))?;
    let rules = sh("ip netns exec sv nft list ruleset")?;
    check(rules.contains("counter packets 1 "), || rules)
}

pub(crate) fn watch_ends_with_the_first_other_answer() -> Result<(), String> {
    let _world = World::new()?;
    let mut watch = Command::new("ip")
        .args(["netns", "exec", "cl", env!("CARGO_BIN_EXE_sockscope"), "why", "10.7.0.2:80", "--watch=100ms"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut out = BufReader::new(watch.stdout.take().ok_or("no pipe")?);
    let mut first = String::new();
    out.read_line(&mut first).map_err(|e| e.to_string())?;
    check(first.contains("refused: nothing listens on 10.7.0.2:80"), || first.clone())?;
    let _server = perl("sv", &accepts("0.0.0.0", 80))?;
    let mut rest = String::new();
    out.read_to_string(&mut rest).map_err(|e| e.to_string())?;
    let status = watch.wait().map_err(|e| e.to_string())?;
    check(status.code() == Some(0) && rest.contains("  reachable: tcp 10.7.0.2:80"), || {
        format!("{status} {rest}")
    })?;
    check(rest.matches("refused:").count() == 0, || rest.clone())
}
