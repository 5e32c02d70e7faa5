//! Ten faults, one after the other: each is named by `check` within 20 seconds, and its advice, followed, ends it.

use crate::servers::{DIR, Load, Servers, sh};
use crate::wait::until_ok;
use sockscope::collect::Source;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::derive::Engine;
use sockscope::diagnose::finding::limit_diagnosis;
use sockscope::model::{LimitKind, Needs, ProtoSet, Snapshot, Wants};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longest time until a fault is named, and until it is over once its advice was followed.
const SOON: Duration = Duration::from_secs(20);

/// One limit of `sockscope check --format json`.
#[derive(Debug)]
struct Found {
    finding: String,
    advice: String,
    steps: Vec<String>,
}

/// Limits of a kind that are not ok, with this text in their finding.
fn exceeded(kind: &str, words: &str) -> Result<Vec<Found>, String> {
    checked(kind, words, &["--for", "2s"])
}

/// Waits until a check with a single poll names the fault: by the kernel's own times.
fn named_by_one_poll(kind: &str, words: &str) -> Result<(), String> {
    until_ok(|| match checked(kind, words, &[])? {
        found if found.is_empty() => Err(format!("a single poll does not name {kind} {words:?}")),
        _ => Ok(()),
    })
}

/// Limits of a kind that a check with these arguments reports as not ok, with this text in their finding.
fn checked(kind: &str, words: &str, args: &[&str]) -> Result<Vec<Found>, String> {
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(["check", "--netns", "here", "--format", "json"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout);
    let v: serde_json::Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
    let word = |l: &serde_json::Value, key: &str| l[key].as_str().unwrap_or_default().to_owned();
    let limits = v["limits"].as_array().ok_or("no limits")?.iter();
    let of_kind = limits.filter(|l| l["limit"] == kind && l["level"] != "ok");
    let all = of_kind.map(|l| Found {
        finding: word(l, "finding"),
        advice: word(l, "advice"),
        steps: l["steps"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|s| s.as_str().unwrap_or("").to_owned())
            .collect(),
    });
    Ok(all.filter(|f| f.finding.contains(words)).collect())
}

/// Time of a check on an idle machine, with some reserve.
const CHECK: Duration = Duration::from_secs(3);

/// The limits of a kind, and if the time for it is over. A machine on which a check takes longer has as much more time.
fn exceeded_in_time(kind: &str, words: &str, began: Instant) -> Result<(Vec<Found>, bool), String> {
    let start = Instant::now();
    let found = exceeded(kind, words)?;
    let stretched = SOON.mul_f64((start.elapsed().as_secs_f64() / CHECK.as_secs_f64()).max(1.0));
    Ok((found, began.elapsed() > stretched))
}

/// Waits until the fault is named; the seconds that took.
fn named(kind: &str, words: &str) -> Result<(Vec<Found>, f64), String> {
    let began = Instant::now();
    loop {
        let (found, is_late) = exceeded_in_time(kind, words, began)?;
        if is_late {
            return Err(format!("not named within {SOON:?}: {kind} {words:?}; {found:?}"));
        }
        if !found.is_empty() {
            return Ok((found, began.elapsed().as_secs_f64()));
        }
    }
}

/// Runs the commands of an advice, as an administrator pastes them; the settings for files are left out.
fn follow(found: &[Found]) -> Result<(), String> {
    let commands = ["kill ", "echo ", "prlimit ", "sysctl ", "nsenter "];
    let lines = found.iter().flat_map(|f| &f.steps).filter_map(|s| s.strip_prefix("  "));
    let lines: Vec<&str> = lines.filter(|l| commands.iter().any(|c| l.starts_with(c))).collect();
    if lines.is_empty() {
        return Err(format!("no command to follow: {found:?}"));
    }
    lines.iter().try_for_each(|l| sh(l).map(drop))
}

/// Waits until the fault is over. An advice that helps only in part, such as a limit that is still too low, is followed again.
fn over(kind: &str, words: &str, again: bool) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let (found, is_late) = exceeded_in_time(kind, words, began)?;
        if found.is_empty() {
            return Ok(());
        }
        if is_late {
            return Err(format!("not over {SOON:?} after the advice was followed: {found:?}"));
        }
        if again {
            follow(&found)?;
        }
    }
}

fn contains(found: &[Found], words: &[&str]) -> Result<(), String> {
    let text: Vec<String> = found.iter().map(|f| format!("{} {}", f.advice, f.steps.join(" "))).collect();
    let text = text.join(" ");
    match words.iter().find(|w| !text.contains(**w)) {
        Some(w) => Err(format!("the advice lacks {w:?}: {found:?}")),
        None => Ok(()),
    }
}

fn hold(port: &str, n: &str, request: &str) -> Result<Load, String> {
    Ok(Load::start(&["hold", port, n, request], true)?.0)
}

type Fault = fn(&mut Servers) -> Result<f64, String>;

/// The faults with their names.
const FAULTS: &[(&str, Fault)] = &[
    ("workers of nginx stopped", workers_stopped),
    ("redis frozen with its cgroup", redis_frozen),
    ("memcached stopped by a debugger", memcached_traced),
    ("application in uninterruptible sleep", application_blocked),
    ("descriptors of nginx used up", descriptors_used_up),
    ("accept queue of redis full", accept_queue_full),
    ("ephemeral ports used up", ports_used_up),
    ("TIME_WAIT full", time_wait_full),
    ("datagrams to rsyslog dropped", datagrams_dropped),
    ("application leaks connections", connections_leaked),
];

pub(crate) fn each_fault_is_named_with_advice_that_ends_it() -> Result<(), String> {
    let mut servers = Servers::prepare()?;
    servers.start_all()?;
    for kind in ["fds", "accept", "halted", "ports", "time-wait", "rcvbuf", "close-wait"] {
        let found = exceeded(kind, "")?;
        if !found.is_empty() {
            return Err(format!("before the first fault: {found:?}"));
        }
    }
    let mut failed = Vec::new();
    for (name, fault) in FAULTS {
        match fault(&mut servers) {
            Ok(took) => println!("{name}: named after {took:.1} s"),
            Err(e) => failed.push(format!("{name}: {e}")),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

fn workers_stopped(servers: &mut Servers) -> Result<f64, String> {
    for pid in servers.children("nginx")? {
        sh(&format!("kill -STOP {pid}"))?;
    }
    let _clients = hold("8080", "6", "GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")?;
    let (found, took) = named("halted", "nginx")?;
    named_by_one_poll("halted", "nginx")?;
    let is_said = found.iter().all(|f| f.finding.contains("stopped by a signal"));
    follow(&found)?;
    over("halted", "nginx", true)?;
    if is_said { Ok(took) } else { Err(format!("{found:?}")) }
}

fn redis_frozen(servers: &mut Servers) -> Result<f64, String> {
    let pid = servers.pid("redis")?;
    // Version 2, alone or beside version 1.
    let root = sh("for d in /sys/fs/cgroup /sys/fs/cgroup/unified; do [ ! -e $d/cgroup.procs ] || [ ! -e \
                   $d/cgroup.subtree_control ] || { echo $d; break; }; done")?;
    let group = format!("{}/sockscope-test-{}", root.trim(), std::process::id());
    sh(&format!("mkdir {group} && echo {pid} > {group}/cgroup.procs && echo 1 > {group}/cgroup.freeze"))?;
    let result = (|| {
        let _clients = hold("6379", "3", "PING\\r\\n")?;
        let (found, took) = named("halted", "redis-server")?;
        named_by_one_poll("halted", "redis-server")?;
        contains(&found, &["cgroup.freeze"])?;
        follow(&found)?;
        over("halted", "redis-server", false)?;
        Ok(took)
    })();
    // Whatever happened.
    let _ = sh(&format!("echo 0 > {group}/cgroup.freeze"));
    servers.end("redis");
    sh(&format!("rmdir {group}"))?;
    servers.start("redis")?;
    result
}

fn memcached_traced(servers: &mut Servers) -> Result<f64, String> {
    let pid = servers.pid("memcached")?;
    let (tracer, _) = Load::start(&["trace", &pid.to_string()], true)?;
    let _clients = hold("11211", "3", "version\\r\\n")?;
    let (found, took) = named("halted", "memcached")?;
    named_by_one_poll("halted", "memcached")?;
    contains(&found, &["TracerPid", &format!("/proc/{pid}/status")])?;
    let shown = sh(&format!("grep TracerPid /proc/{pid}/status"))?;
    if shown.split_whitespace().last() != Some(tracer.pid().to_string().as_str()) {
        return Err(format!("another tracer: {shown}"));
    }
    drop(tracer);
    over("halted", "memcached", false)?;
    Ok(took)
}

fn application_blocked(_: &mut Servers) -> Result<f64, String> {
    let fifo = format!("{DIR}/fifo");
    sh(&format!("rm -f {fifo}; mkfifo {fifo}"))?;
    let (server, _) = Load::start(&["blocked", "9001", &fifo], true)?;
    let clients = hold("9001", "3", "x")?;
    let result = named("halted", "uninterruptible");
    // The disk answers.
    let writer = Command::new("sh").args(["-c", &format!("echo > {fifo}")]).spawn();
    let mut writer = writer.map_err(|e| e.to_string())?;
    let (found, took) = result?;
    contains(&found, &[&format!("/proc/{}/stack", server.pid())])?;
    over("halted", "uninterruptible", false)?;
    drop(clients);
    let _ = writer.wait();
    sh(&format!("kill -TERM {}", server.pid()))?;
    Ok(took)
}

fn descriptors_used_up(servers: &mut Servers) -> Result<f64, String> {
    let workers = servers.children("nginx")?;
    for pid in &workers {
        sh(&format!("prlimit --pid {pid} --nofile=$(($(ls /proc/{pid}/fd | wc -l) + 4)):"))?;
    }
    let _clients = hold("8080", "20", "GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")?;
    let (found, took) = named("fds", "nginx")?;
    contains(&found, &["worker_rlimit_nofile"])?;
    if found.iter().any(|f| f.steps.iter().any(|s| s.contains("LimitNOFILE"))) {
        return Err(format!("the unit of nginx does not set this limit: {found:?}"));
    }
    follow(&found)?;
    over("fds", "nginx", true)?;
    Ok(took)
}

/// Twelve clients while redis is busy.
fn busy_redis() -> Result<(Load, Load), String> {
    let sleeps = hold("6379", "1", "DEBUG SLEEP 120\\r\\n")?;
    Ok((sleeps, hold("6379", "12", "PING\\r\\n")?))
}

fn accept_queue_full(servers: &mut Servers) -> Result<f64, String> {
    servers.backlog = "4";
    servers.restart("redis")?;
    let load = busy_redis()?;
    let (found, took) = named("accept", "127.0.0.1:6379")?;
    contains(&found, &["requested 4 in listen(2)", "raise its setting"])?;
    servers.backlog = "511";
    servers.replace("redis")?;
    drop(load);
    let load = busy_redis()?;
    let result = over("accept", "127.0.0.1:6379", false);
    servers.replace("redis")?;
    drop(load);
    result.map(|()| took)
}

fn ports_used_up(_: &mut Servers) -> Result<f64, String> {
    sh("sysctl -qw net.ipv4.ip_local_port_range='40000 40015'")?;
    let _clients = hold("8080", "16", "GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")?;
    let result = named("ports", "127.0.0.1");
    let result = result.and_then(|(found, took)| {
        follow(&found)?;
        over("ports", "", false)?;
        Ok(took)
    });
    sh("sysctl -qw net.ipv4.ip_local_port_range='32768 60999'")?;
    result
}

fn time_wait_full(_: &mut Servers) -> Result<f64, String> {
    sh("sysctl -qw net.ipv4.tcp_max_tw_buckets=40")?;
    Load::start(&["time_wait", "8080", "60"], true)?;
    let (found, took) = named("time-wait", "")?;
    follow(&found)?;
    over("time-wait", "", false)?;
    Ok(took)
}

fn datagrams_dropped(servers: &mut Servers) -> Result<f64, String> {
    servers.rcvbuf = "2304";
    servers.restart("rsyslog")?;
    let _load = Load::start(&["flood", "5140", "200"], true)?;
    let (found, took) = named("rcvbuf", "127.0.0.1:5140")?;
    contains(&found, &["receive buffer is too small"])?;
    servers.rcvbuf = "4m";
    servers.restart("rsyslog")?;
    over("rcvbuf", "127.0.0.1:5140", false)?;
    Ok(took)
}

fn connections_leaked(_: &mut Servers) -> Result<f64, String> {
    let mut source = NetlinkSource::new("requested".into()).map_err(|e| e.to_string())?;
    let wants = Wants::new(Needs::FINDINGS | Needs::LIMITS, ProtoSet::TCP_UDP);
    let mut engine = Engine::new();
    let began = Instant::now();
    let (leaks, _) = Load::start(&["leak", "9002"], true)?;
    // By the header, which sees the number grow. Its polls are one second apart, more on a machine that is too busy for that.
    let alert = |snap: &Snapshot| {
        let mut rows = snap.alerts.iter().map(|a| a.limit as usize);
        rows.find(|row| snap.limits[*row].kind == LimitKind::CloseWait)
    };
    let mut polls = 0..SOON.as_secs();
    let (snap, row) = loop {
        polls.next().ok_or_else(|| format!("no alert within {SOON:?}"))?;
        let snap = engine.step(source.sample(&wants).map_err(|e| e.to_string())?);
        if let Some(row) = alert(&snap) {
            break (snap, row);
        }
        std::thread::sleep(Duration::from_secs(1));
    };
    let took = began.elapsed().as_secs_f64();
    let d = limit_diagnosis(&snap, row).ok_or("no diagnosis")?;
    let advice = snap.limits[row].kind.info().help;
    if !d.evidence.contains("leaks connections") || !advice.contains("restart the application") {
        return Err(format!("{} {advice}", d.evidence));
    }
    drop(leaks);
    over("close-wait", "", false)?;
    Ok(took)
}
