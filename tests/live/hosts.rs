//! Several hosts in one command: network namespaces in which a command in place of `ssh` starts the agent, and a real `sshd`.

use super::compare::check;
use super::netns::{Program, sh};
use crate::wait::{until, until_ok};
use sockscope::collect::remote::Hello;
use sockscope::frame::{FrameKind, seal};
use sockscope::model::Stamp;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const SOCKSCOPE: &str = env!("CARGO_BIN_EXE_sockscope");

/// Command in place of `ssh`: the host is a network namespace, or one that fails in a certain manner.
const SSH: &str = "#!/bin/sh
while [ \"$1\" != -- ]; do shift; done
host=$2
shift 2
[ -e \"$(dirname \"$0\")/$host.down\" ] && { echo \"ssh: connect to host $host: No route to host\" >&2; exit 255; }
case $host in
gone) echo 'ssh: Could not resolve hostname gone' >&2; exit 255 ;;
none) exit 127 ;;
old) cat \"${0%/*}/old\"; exec cat >/dev/null ;;
dies) ip netns exec h1 \"$@\" | dd bs=1 count=300 2>/dev/null; exit 0 ;;
bomb*) cat \"${0%/*}/bomb\"; exit 0 ;;
endless) printf 'SsM1\\001\\0\\0\\0\\047\\0\\0\\0{\"protocols\":[1,1],\"schemas\":[1,1]}    '; exec cat /dev/zero ;;
esac
exec ip netns exec $host \"$@\"
";

/// Three namespaces with a listener each, at ports 8001 to 8003, and a configuration for them.
pub(crate) struct Hosts {
    pub(crate) dir: tempfile::TempDir,
    _programs: Vec<Program>,
}

impl Hosts {
    pub(crate) fn new() -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut programs = Vec::new();
        for n in 1..=3 {
            let host = format!("h{n}");
            sh(&format!("ip netns add {host} && ip -n {host} link set lo up"))?;
            programs.push(server(&["ip", "netns", "exec", &host], 8000 + n)?);
        }
        let ssh = dir.path().join("ssh");
        fs::write(&ssh, SSH).map_err(|e| e.to_string())?;
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
        let old = include_bytes!("../../fuzz/seeds/agent_stream/protocol-1");
        fs::write(dir.path().join("old"), old).map_err(|e| e.to_string())?;
        configure(dir.path(), &[&ssh.display().to_string()])?;
        for n in 1..=3 {
            until("the listener", || {
                let inside = inside(&format!("h{n}"), &["list", "state:listen"]).ok()?;
                (!inside.is_empty()).then_some(())
            })?;
        }
        Ok(Self { dir, _programs: programs })
    }

    pub(crate) fn run(&self, args: &[&str]) -> Result<Output, String> {
        run(self.dir.path(), args)
    }

    /// Rows of a command that succeeds.
    pub(crate) fn rows(&self, args: &[&str]) -> Result<Vec<serde_json::Value>, String> {
        let out = self.run(&[args, &["-f", "json"]].concat())?;
        check(out.status.success(), || text(&out.stderr))?;
        serde_json::from_slice(&out.stdout).map_err(|e| e.to_string())
    }
}

/// Listens and accepts.
pub(crate) fn server(before: &[&str], port: u16) -> Result<Program, String> {
    let script = format!(
        "use IO::Socket::INET; my $l = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1:{port}') or die; \
         my @k; while (my $c = $l->accept) {{ push @k, $c }}"
    );
    let all = [before, &["perl", "-e", &script]].concat();
    let child = Command::new(all[0]).args(&all[1..]).stdin(Stdio::null()).spawn();
    child.map(Program).map_err(|e| e.to_string())
}

/// Writes a configuration with this command for connections.
fn configure(dir: &Path, ssh: &[&str]) -> Result<(), String> {
    let config =
        format!("ssh = {ssh:?}\nagent = [{SOCKSCOPE:?}, \"agent\", \"--stdio\", \"--netns\", \"here\"]\n");
    fs::write(dir.join("config.toml"), config).map_err(|e| e.to_string())
}

fn run(dir: &Path, args: &[&str]) -> Result<Output, String> {
    let mut command = Command::new(SOCKSCOPE);
    command.arg("--config").arg(dir.join("config.toml")).args(args).stdin(Stdio::null());
    command.output().map_err(|e| e.to_string())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Rows of a command that is run inside a namespace.
fn inside(host: &str, args: &[&str]) -> Result<Vec<serde_json::Value>, String> {
    let command = Command::new("ip")
        .args(["netns", "exec", host, SOCKSCOPE])
        .args(args)
        .args(["--netns", "here", "-f", "json"])
        .output();
    let out = command.map_err(|e| e.to_string())?;
    serde_json::from_slice(&out.stdout).map_err(|e| format!("{e}: {}", text(&out.stderr)))
}

/// The parts of rows that do not change between two polls.
fn facts(rows: &[serde_json::Value], keys: &[&str]) -> BTreeSet<String> {
    let fact =
        |r: &serde_json::Value| keys.iter().fold(String::new(), |all, k| all + &format!("{k}={} ", r[k]));
    rows.iter().map(fact).collect()
}

/// Every table of three hosts has the rows that the same command has inside each.
pub(crate) fn rows_of_hosts_are_those_of_each_command_inside() -> Result<(), String> {
    let hosts = Hosts::new()?;
    for (table, keys) in [
        (&["list", "state:listen"][..], &["local", "inode", "cookie", "pid", "process"][..]),
        (&["ports"], &["local", "proto", "process", "backlog"]),
        (&["limits", "limit:accept"], &["limit", "subject", "max"]),
    ] {
        until_ok(|| {
            let all = hosts.rows(&[&["--host", "h1,h2", "--host", "h3"], table].concat())?;
            for host in ["h1", "h2", "h3"] {
                let of: Vec<_> = all.iter().filter(|r| r["hostname"] == host).cloned().collect();
                let (ours, theirs) = (facts(&of, keys), facts(&inside(host, table)?, keys));
                check(ours == theirs, || format!("{table:?} {host}: {ours:?} {theirs:?}"))?;
            }
            Ok(())
        })?;
    }
    let listed = hosts.rows(&["list", "--host", "h1,h2,h3", "state:listen"])?;
    let on: Vec<&str> = listed.iter().filter_map(|r| r["hostname"].as_str()).collect();
    check(on == ["h1", "h2", "h3"], || format!("sorted together: {on:?}"))?;
    // The host is a column, a filter and a group.
    let table = text(&hosts.run(&["list", "--host", "h1,h2,h3", "state:listen", "hostname:h2"])?.stdout);
    let lines: Vec<&str> = table.lines().collect();
    check(lines.len() == 2 && lines[0].starts_with("HOSTNAME") && lines[1].starts_with("h2 "), || {
        table.clone()
    })?;
    let groups = hosts.rows(&["list", "--host", "h1,h2,h3", "state:listen", "-g", "hostname"])?;
    let groups = facts(&groups, &["hostname", "count"]);
    check(groups.len() == 3 && groups.contains("hostname=\"h2\" count=1 "), || format!("{groups:?}"))?;
    let file = hosts.dir.path().join("hosts");
    fs::write(&file, "# web\nh1\nh3 # the third\n").map_err(|e| e.to_string())?;
    let out = hosts.run(&["list", "--hosts", &file.display().to_string(), "state:listen", "--count"])?;
    check(text(&out.stdout) == "2\n", || text(&out.stdout))
}

/// Hosts that fail in several manners are named with the reason; the rows of the others are printed, and the status is 2.
pub(crate) fn hosts_that_fail_do_not_hide_the_others() -> Result<(), String> {
    let hosts = Hosts::new()?;
    let out = hosts.run(&["list", "--host", "h1,gone,none,dies,endless,h2", "state:listen", "-H"])?;
    let (rows, errors) = (text(&out.stdout), text(&out.stderr));
    let on: Vec<&str> = rows.lines().filter_map(|l| l.split_whitespace().next()).collect();
    check(on == ["h1", "h2"], || format!("{rows}{errors}"))?;
    check(out.status.code() == Some(2), || format!("{:?}", out.status))?;
    for (host, why) in [
        ("gone", "ssh: Could not resolve hostname gone"),
        ("none", "no sockscope there"),
        ("dies", "agent: "),
        ("endless", "agent: "),
    ] {
        let line = errors.lines().find(|l| l.starts_with(&format!("sockscope: {host}: ")));
        check(line.is_some_and(|l| l.contains(why)), || format!("{host}: {errors}"))?;
    }
    let out = hosts.run(&["check", "--host", "h1,gone", "--only", "accept", "--short"])?;
    let line = text(&out.stdout);
    check(out.status.code() == Some(3) && line.contains("not judged: gone: ssh: "), || line.clone())?;
    let out = hosts.run(&["check", "--host", "h1,h2", "--only", "accept", "--short"])?;
    let line = text(&out.stdout);
    check(out.status.code() == Some(0) && line.contains("'h2 accept tcp 127.0.0.1:8002'"), || line.clone())
}

/// An empty answer has its reason over all hosts, and how many rows there are with `-a`.
pub(crate) fn no_row_of_any_host_has_its_reason() -> Result<(), String> {
    let hosts = Hosts::new()?;
    for (args, want) in [
        (&[":9"][..], "sockscope: no socket matches port:9, 3 looked at\n"),
        (&["-t", ":8001"], "3 looked at\nsockscope: 1 matches with -a\n"),
        (&["ngnix"], "sockscope: no socket matches ngnix, 3 looked at\n"),
    ] {
        let out = hosts.run(&[&["list", "--host", "h1,h2,h3"], args].concat())?;
        let error = text(&out.stderr);
        check(out.status.code() == Some(1) && error.contains(want), || format!("{args:?}: {error}"))?;
    }
    Ok(())
}

/// Recordings of two hosts are read as those of one are, and events have their host.
pub(crate) fn hosts_are_recorded_and_their_events_printed() -> Result<(), String> {
    let hosts = Hosts::new()?;
    let dir = hosts.dir.path().join("recording");
    let at = dir.display().to_string();
    let out = hosts.run(&[
        "record",
        "--host",
        "h1,h2",
        "-o",
        &at,
        "--for",
        "1s",
        "--every",
        "300ms",
        "--min-free",
        "0%",
    ])?;
    check(out.status.success(), || text(&out.stderr))?;
    for n in 1..=2 {
        let from = dir.join(format!("h{n}")).display().to_string();
        let rows = run(
            hosts.dir.path(),
            &["list", "--from", &from, "state:listen", "-f", "csv", "-c", "hostname,local", "-H"],
        )?;
        let want = format!("h{n},127.0.0.1:800{n}");
        check(text(&rows.stdout).trim() == want, || {
            format!("{} {}", text(&rows.stdout), text(&rows.stderr))
        })?;
    }
    let mut events = Command::new(SOCKSCOPE);
    events.arg("--config").arg(hosts.dir.path().join("config.toml"));
    events.args(["events", "--host", "h1,h2", "event:opened", "port:8002", "--count", "1", "-f", "ndjson"]);
    let child = events.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = Program(child.map_err(|e| e.to_string())?);
    until("an event", || {
        let connect = "use IO::Socket::INET; IO::Socket::INET->new('127.0.0.1:8002') or die";
        sh(&format!("ip netns exec h2 perl -e \"{connect}\"")).ok()?;
        child.0.try_wait().ok().flatten()
    })?;
    let out = child.0.stdout.take().ok_or("no output")?;
    let line = std::io::read_to_string(out).map_err(|e| e.to_string())?;
    let event: serde_json::Value = serde_json::from_str(line.trim()).map_err(|e| format!("{e}: {line}"))?;
    check(event["hostname"] == "h2" && event["event"] == "opened", || line.clone())
}

/// The agent ends with the command that started it: no process is left.
pub(crate) fn no_agent_is_left_behind() -> Result<(), String> {
    let hosts = Hosts::new()?;
    let agents = || {
        let of = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).ok();
        let all = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(of);
        all.filter(|c| text(c).contains("agent\0--stdio")).count()
    };
    let mut watch = Command::new(SOCKSCOPE);
    watch.arg("--config").arg(hosts.dir.path().join("config.toml"));
    watch.args(["list", "--host", "h1,h2,h3", "--watch=200ms"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = Program(watch.spawn().map_err(|e| e.to_string())?);
    until("three agents", || (agents() >= 3).then_some(()))?;
    // Killed: it cannot end its agents, their input does.
    child.0.kill().map_err(|e| e.to_string())?;
    until("no agent", || (agents() == 0).then_some(()))
}

/// `who`, `--wait-for`, `export`, `query` and `diff` read hosts; `kill` names the command to run there.
pub(crate) fn other_commands_read_hosts_or_name_the_command_there() -> Result<(), String> {
    let hosts = Hosts::new()?;
    let out = hosts.run(&["who", "8002", "--host", "h1,h2", "-H"])?;
    let (rows, errors) = (text(&out.stdout), text(&out.stderr));
    check(out.status.success() && rows.starts_with("h2 ") && rows.contains("127.0.0.1:8002"), || {
        rows.clone()
    })?;
    check(rows.lines().count() == 1 && errors.contains("h1: port 8002: no listener"), || {
        format!("{rows}{errors}")
    })?;
    let out = hosts.run(&["who", "8009", "--host", "h1,h2"])?;
    check(out.status.code() == Some(1) && text(&out.stderr).contains("free on every host"), || {
        text(&out.stderr)
    })?;
    let wait = ["list", "--host", "h1,h2", "state:listen", "-H", "-c", "hostname,lport", "--timeout"];
    let out = hosts.run(&[&wait[..], &["60s", "--wait-for", "lport:8002"]].concat())?;
    check(text(&out.stdout).split_whitespace().eq(["h2", "8002"]), || text(&out.stdout))?;
    let out = hosts.run(&[&wait[..], &["300ms", "--wait-for", "lport:8009"]].concat())?;
    check(out.status.code() == Some(1) && text(&out.stderr).contains("timed out"), || text(&out.stderr))?;
    let out = hosts.run(&[
        "export",
        "--host",
        "h1,h2",
        "state:listen",
        "-f",
        "csv",
        "-c",
        "hostname,lport",
        "-H",
    ])?;
    let rows: Vec<String> =
        text(&out.stdout).lines().filter_map(|l| Some(l.split_once(',')?.1.to_owned())).collect();
    check(rows == ["h1,8001", "h2,8002"], || format!("{rows:?} {}", text(&out.stderr)))?;
    let sql = "SELECT hostname, local_port FROM sockets WHERE state = 'LISTEN' ORDER BY 1";
    let out = hosts.run(&["query", sql, "--host", "h1,h3,gone", "-f", "csv", "-H"])?;
    check(text(&out.stdout).lines().eq(["h1,8001", "h3,8003"]), || {
        format!("{}{}", text(&out.stdout), text(&out.stderr))
    })?;
    check(out.status.code() == Some(2), || format!("{:?}", out.status))?;
    let out = hosts.run(&["diff", "now", "now", "--host", "h1,h2", "--only", "listeners", "-f", "csv"])?;
    let rows = text(&out.stdout);
    check(out.status.code() == Some(1) && rows.contains(":8001") && rows.contains(":8002"), || {
        format!("{rows}{}", text(&out.stderr))
    })?;
    let out = hosts.run(&["diff", "now", "now", "--host", "h1"])?;
    check(text(&out.stderr).contains("hosts: 1, sides that are now: 2"), || text(&out.stderr))?;
    let out = hosts.run(&["kill", "lport:8001", "--host", "h1"])?;
    let errors = text(&out.stderr);
    let want = "ssh h1 sockscope kill";
    check(out.status.code() == Some(2) && errors.contains(want) && errors.lines().count() == 1, || {
        errors.clone()
    })
}

/// `why` is answered by the host, with the exit status of the command there; a connect is made there, and only if it is asked for.
pub(crate) fn why_is_answered_by_the_host() -> Result<(), String> {
    let hosts = Hosts::new()?;
    let answer = |args: &[&str]| -> Result<(Option<i32>, serde_json::Value), String> {
        let out = hosts.run(&[&["why", "-f", "json"], args].concat())?;
        let value = serde_json::from_slice(&out.stdout).map_err(|e| format!("{e}: {}", text(&out.stderr)))?;
        Ok((out.status.code(), value))
    };
    // Each port has a listener on its own host, and on no other.
    for (host, target, status, verdict) in [
        ("h1", "127.0.0.1:8001", 0, "reachable"),
        ("h2", "127.0.0.1:8001", 1, "cause"),
        ("h2", "127.0.0.1:8002", 0, "reachable"),
        ("h2", ":8001", 1, "cause"),
        ("h2", "perl", 0, "reachable"),
    ] {
        let (code, value) = answer(&[target, "--host", host])?;
        check(code == Some(status) && value["hostname"] == host, || format!("{host} {target}: {value}"))?;
        check(value["answers"][0]["verdict"] == verdict, || format!("{host} {target}: {value}"))?;
        let has_connect = value.to_string().contains("\"step\":\"probe\"");
        check(!has_connect, || format!("no connect is made: {value}"))?;
    }
    let (code, value) = answer(&["127.0.0.1:8002", "--probe", "--host", "h2"])?;
    let steps = value["answers"][0]["steps"].as_array().cloned().unwrap_or_default();
    check(code == Some(0) && steps.iter().any(|s| s["step"] == "probe"), || value.to_string())?;
    for (args, want) in [
        (&["127.0.0.1:8001", "--host", "h1,h2"][..], "one host at a time"),
        (&["db:8001", "--host", "h1"], "only h1 itself can resolve"),
        (&["127.0.0.1:8001", "--as", "root", "--host", "h1"], "name the number"),
        (&["127.0.0.1:8001", "--host", "gone"], "gone: ssh: Could not resolve hostname gone"),
        (&["127.0.0.1:8001", "--host", "none"], "none: no sockscope there"),
        (&["127.0.0.1:8001", "--host", "old"], "old: sockscope 0.1.0 there does not answer this"),
        (&["no-such-process", "--host", "h1"], "no process"),
    ] {
        let out = hosts.run(&[&["why"], args].concat())?;
        let errors = text(&out.stderr);
        let is_line = errors.lines().count() == 1 && errors.contains(want);
        check(out.status.code() == Some(2) && is_line, || {
            format!("{args:?}: {errors}{}", text(&out.stdout))
        })?;
    }
    Ok(())
}

/// Hosts that send what takes 250 MB each are refused within 1.2 GB for all of them, and the rows of another are printed.
pub(crate) fn hostile_hosts_share_a_bound_of_memory() -> Result<(), String> {
    let hosts = Hosts::new()?;
    let at = Stamp { boot_ns: 1, unix_ns: 1 };
    let frame = seal(FrameKind::Key, at, b"", &vec![0; 250 << 20]).map_err(|e| e.to_string())?;
    let hello = Hello::ours().to_bytes().map_err(|e| e.to_string())?;
    fs::write(hosts.dir.path().join("bomb"), [hello, frame].concat()).map_err(|e| e.to_string())?;
    let names: Vec<String> = (1..=8).map(|n| format!("bomb{n}")).collect();
    let mut command = Command::new("prlimit");
    command.arg("--as=1200000000").arg(SOCKSCOPE).arg("--config").arg(hosts.dir.path().join("config.toml"));
    command.args(["list", "--host", &names.join(","), "--host", "h1", "state:listen", "-H"]);
    let out = command.stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    let (rows, errors) = (text(&out.stdout), text(&out.stderr));
    check(out.status.code() == Some(2), || format!("{:?} {errors}", out.status))?;
    check(rows.lines().count() == 1 && rows.starts_with("h1 "), || format!("{rows}{errors}"))?;
    for name in names {
        let line = errors.lines().find(|l| l.starts_with(&format!("sockscope: {name}: ")));
        let refused =
            line.is_some_and(|l| l.contains("share of the memory") && l.contains("name fewer hosts"));
        check(refused, || errors.clone())?;
    }
    Ok(())
}

/// The source of events is the one that the reader names, not the one that the agent would choose.
pub(crate) fn agents_read_as_their_reader_asks() -> Result<(), String> {
    let hosts = Hosts::new()?;
    let source = |flags: &[&str]| -> Result<String, String> {
        let out = hosts.run(&[&["events", "--host", "h1,h2", "--for", "300ms"], flags].concat())?;
        Ok(text(&out.stderr))
    };
    let named = source(&["--events", "sock_diag"])?;
    for host in ["h1", "h2"] {
        check(named.contains(&format!("{host}: events by sock_diag")), || named.clone())?;
    }
    let off = source(&["--events", "off"])?;
    check(off.contains("h1: no source of events"), || off.clone())?;
    let rows = hosts.rows(&["list", "--host", "h1", "state:listen", "--owners", "walk", "--no-engine"])?;
    check(rows.len() == 1 && rows[0]["process"] == "perl", || format!("{rows:?}"))
}

/// A host whose PATH has no program gets one: it is found again, and one that cannot run there is refused.
pub(crate) fn program_is_copied_to_a_host_without_one() -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let _sshd = sshd(dir.path())?;
    let _server = server(&[], 8001)?;
    let at = dir.path().display();
    fs::write(dir.path().join("config.toml"), format!("ssh = [\"ssh\", \"-F\", \"{at}/ssh_config\"]\n"))
        .map_err(|e| e.to_string())?;
    // With debugging information it is many times larger.
    sh(&format!("strip -o {at}/program {SOCKSCOPE}"))?;
    let list = |copy: &str| -> Result<Output, String> {
        let flags = ["list", "--host", "web-1", "lport:8001", "state:listen", "-H", "-c", "hostname,process"];
        run(
            dir.path(),
            &[&flags[..], if copy.is_empty() { &[] } else { std::slice::from_ref(&copy) }].concat(),
        )
    };
    let missing = until_ok(|| {
        let out = list("")?;
        let errors = text(&out.stderr);
        check(errors.contains("no sockscope there") && errors.contains("--copy-agent"), || errors.clone())?;
        Ok(out)
    })?;
    check(missing.status.code() == Some(2), || format!("{:?}", missing.status))?;
    let copies = || -> Vec<String> {
        let entries = fs::read_dir(dir.path().join("cache/sockscope")).into_iter().flatten().flatten();
        entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    };
    let program = format!("--copy-agent={at}/program");
    let mut inodes = BTreeSet::new();
    for _ in 0..2 {
        let out = list(&program)?;
        let rows = text(&out.stdout);
        check(out.status.success() && rows.split_whitespace().eq(["web-1", "perl"]), || {
            format!("{rows}{}", text(&out.stderr))
        })?;
        let names = copies();
        check(names.len() == 1 && names[0].starts_with("sockscope-"), || format!("{names:?}"))?;
        let file = fs::metadata(dir.path().join("cache/sockscope").join(&names[0]));
        inodes.insert(std::os::unix::fs::MetadataExt::ino(&file.map_err(|e| e.to_string())?));
    }
    check(inodes.len() == 1, || "it was sent again".to_owned())?;
    // Of another machine (e_machine 183 is aarch64, 62 is x86_64), and no program at all.
    let mut other = fs::read(dir.path().join("program")).map_err(|e| e.to_string())?;
    other[18] = if other[18] == 62 { 183 } else { 62 };
    fs::write(dir.path().join("other"), other).map_err(|e| e.to_string())?;
    let refused = text(&list(&format!("--copy-agent={at}/other"))?.stderr);
    check(refused.contains("the program is for ") && refused.contains(", that host is "), || {
        refused.clone()
    })?;
    let refused = text(&list(&format!("--copy-agent={at}/sshd_config"))?.stderr);
    check(refused.contains("not a program for Linux"), || refused.clone())?;
    // Tests run with what is linked dynamically.
    let own = text(&list("--copy-agent")?.stderr);
    check(!cfg!(target_env = "gnu") || own.contains("dynamically linked"), || own.clone())?;
    check(copies().len() == 1, || format!("{:?}", copies()))
}

/// Keys and configuration of a real `sshd`, without any file of the user's.
fn sshd(dir: &Path) -> Result<Program, String> {
    sh("mount -t tmpfs tmpfs /run && mkdir -p -m 755 /run/sshd && ip link set lo up")?;
    let at = dir.display();
    for key in ["host", "user"] {
        sh(&format!("ssh-keygen -q -t ed25519 -N '' -f {at}/{key}"))?;
    }
    let server = format!(
        "Port 4022\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/user.pub\nStrictModes no\n\
         UsePAM no\nPermitRootLogin yes\nPidFile none\nSetEnv PATH=/usr/sbin:/usr/bin:/sbin:/bin XDG_CACHE_HOME={at}/cache\n"
    );
    fs::write(dir.join("sshd_config"), server).map_err(|e| e.to_string())?;
    let client = format!(
        "Host web-1 web-2\n  HostName 127.0.0.1\n  Port 4022\n  User root\n  IdentityFile {at}/user\n  IdentitiesOnly yes\n  \
         StrictHostKeyChecking no\n  UserKnownHostsFile {at}/known\n  LogLevel ERROR\nHost shut\n  HostName 127.0.0.1\n  Port 9\n"
    );
    fs::write(dir.join("ssh_config"), client).map_err(|e| e.to_string())?;
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f"]).arg(dir.join("sshd_config")).stdin(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(Program).map_err(|e| e.to_string())
}

/// Rows through a real `ssh` are those that the same command prints here.
pub(crate) fn rows_through_a_real_ssh_are_those_of_the_host() -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let _sshd = sshd(dir.path())?;
    let _server = server(&[], 8001)?;
    let config: PathBuf = dir.path().join("ssh_config");
    configure(dir.path(), &["ssh", "-F", &config.display().to_string()])?;
    let list = ["list", "--netns", "here", "state:listen", "-f", "json"];
    let remote = ["list", "--host", "web-1,web-2", "state:listen", "-f", "json"];
    let keys = ["local", "inode", "cookie", "process"];
    let rows = |args: &[&str]| -> Result<Vec<serde_json::Value>, String> {
        let out = run(dir.path(), args)?;
        check(out.status.success(), || text(&out.stderr))?;
        serde_json::from_slice(&out.stdout).map_err(|e| e.to_string())
    };
    until_ok(|| {
        let here = facts(&rows(&list)?, &keys);
        check(here.len() >= 2, || format!("{here:?}"))?;
        let all = rows(&remote)?;
        for host in ["web-1", "web-2"] {
            let of: Vec<_> = all.iter().filter(|r| r["hostname"] == host).cloned().collect();
            check(facts(&of, &keys) == here, || format!("{host}: {of:?} {here:?}"))?;
        }
        Ok(())
    })?;
    let out = run(dir.path(), &["list", "--host", "web-1,shut", "lport:8001", "-H"])?;
    let (rows, errors) = (text(&out.stdout), text(&out.stderr));
    check(out.status.code() == Some(2) && rows.starts_with("web-1 "), || format!("{rows}{errors}"))?;
    check(errors.contains("sockscope: shut: ssh: connect to host 127.0.0.1 port 9"), || errors.clone())
}
