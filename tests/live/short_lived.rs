//! `list --watch` over connections that no poll sees.

use super::netns::Program;
use super::world::{World, listen};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// Lines of `sockscope list --watch` about this port while 20 connections open and close, and standard error.
fn watched(port: u16, args: &[&str]) -> Result<(Vec<serde_json::Value>, String), String> {
    let listener = listen(&format!("127.0.0.1:{port}"), 64, false);
    let filter = format!("tcp port:{port}");
    let columns = "local,remote,local_port,remote_port,state,owner";
    let fixed = ["list", "-f", "ndjson", "--watch=1s", "--timeout", "3500ms", "--columns", columns, &filter];
    let mut child = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(fixed)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let (stdout, stderr) = (child.stdout.take().ok_or("stdout")?, child.stderr.take().ok_or("stderr")?);
    let program = Program(child);
    let mut lines = BufReader::new(stdout).lines();
    // The listener: the first poll is over.
    let first = lines.next().ok_or("no line")?.map_err(|e| e.to_string())?;
    for _ in 0..20 {
        let (c, s) = World::pair(&listener, None);
        drop(c);
        drop(s);
    }
    let parse = |line: &str| serde_json::from_str(line).map_err(|e| e.to_string());
    let mut out = vec![parse(&first)?];
    for line in lines {
        out.push(parse(&line.map_err(|e| e.to_string())?)?);
    }
    drop(program);
    let mut errors = String::new();
    BufReader::new(stderr).read_to_string(&mut errors).map_err(|e| e.to_string())?;
    Ok((out, errors))
}

/// Each connection is reported once, by a poll or by its end, with its process; none without events, which is printed once.
pub(crate) fn sockets_that_live_between_two_polls_are_reported_once() -> Result<(), String> {
    let (lines, errors) = watched(7431, &[])?;
    assert_eq!(errors, "");
    let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
    let mut short = 0;
    for line in &lines {
        let row = if line["before"].is_null() { &line["after"] } else { &line["before"] };
        let client = row["remote_port"] == 7431;
        if !client || !matches!(line["event"].as_str(), Some("opened" | "short_lived")) {
            continue;
        }
        *seen.entry(line["id"]["cookie"].as_u64().ok_or("cookie")?).or_default() += 1;
        if line["event"] != "short_lived" {
            continue;
        }
        short += 1;
        let owner = row["owner"].as_str().ok_or("owner")?;
        assert!(owner.ends_with(&format!(" {}", std::process::id())), "{line}");
        // The end that closed first is left in TIME_WAIT, which the next poll reads if it ended during this one.
        let left = &line["after"]["state"];
        assert!(row["state"] == "ESTABLISHED" && (left.is_null() || left == "TIME_WAIT"), "{line}");
        let end = &line["end"];
        assert_eq!((&end["event"], &end["closed_by"]), (&"closed".into(), &"here".into()), "{line}");
        assert!(end["duration_us"].is_u64() && end["local"] == row["local"], "{line}");
    }
    assert!(seen.len() == 20 && seen.values().all(|n| *n == 1), "{seen:?}");
    assert!(short > 0);

    let (lines, errors) = watched(7432, &["--events", "off"])?;
    assert!(lines.iter().all(|l| l["event"] != "short_lived"));
    assert_eq!(errors, "sockscope: sockets that live between two polls are not reported: --events off\n");
    Ok(())
}
