//! Healthy daemons under load, with bursts, pools, reloads and restarts: no alert, no finding, and the right number of clients.

use crate::servers::{Load, Servers, sh};
use crate::wait::until_ok;
use sockscope::collect::Source;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::derive::Engine;
use sockscope::diagnose::finding::{limit_diagnosis, socket_diagnoses};
use sockscope::model::{Level, Needs, ProtoSet, Snapshot, Wants};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Reloads and restarts with their time, as a share of the healthy phase.
const EVENTS: &[(f64, &str, &str)] = &[
    (0.10, "nginx", "HUP"),
    (0.18, "haproxy", "USR2"),
    (0.26, "redis", "restart"),
    (0.34, "postgres", "HUP"),
    (0.40, "memcached", "restart"),
    (0.48, "mosquitto", "HUP"),
    (0.54, "sshd", "HUP"),
    (0.60, "unbound", "HUP"),
    (0.66, "nginx", "restart"),
    (0.74, "postgres", "restart"),
    (0.82, "mosquitto", "restart"),
    (0.88, "rsyslog", "HUP"),
];

/// Least repetitions of every load in five minutes, so that none was idle.
const LEAST: u64 = 5;

fn seconds() -> u64 {
    std::env::var("SOCKSCOPE_DAEMONS_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(300)
}

/// Limits and findings at warning level or above, and alerts. A limit that is near for one poll counts too.
fn alarms(snap: &Snapshot) -> Vec<String> {
    let mut out = Vec::new();
    let near = (0..snap.limits.len()).filter(|row| snap.limits[*row].level >= Level::Warning);
    let alerts = snap.alerts.iter().map(|a| a.limit as usize);
    for row in near.chain(alerts) {
        let found = limit_diagnosis(snap, row).map(|d| d.evidence);
        let l = &snap.limits[row];
        out.push(format!("{}: {} {}", l.level.name(), l.kind.info().name, found.unwrap_or_default()));
    }
    out.extend(
        snap.unjudged.iter().map(|u| format!("not judged: {} {:?} {}", u.kind.info().name, u.part, u.reason)),
    );
    for row in 0..snap.live {
        let s = snap.socket(row);
        for d in socket_diagnoses(snap, row).filter(|d| d.severity >= Level::Warning) {
            let ends = format!("{} {} {} {}", s.proto.name(), s.state.name(), s.local, s.remote);
            out.push(format!("{}: {} ({ends})", d.finding.name, d.evidence));
        }
    }
    out
}

/// Client of the server of OpenSSH.
const SSH: &str = "ssh -F none -i /run/d/key -p 2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
                   -o LogLevel=ERROR root@127.0.0.1";

pub(crate) fn daemons_under_load_raise_no_alarm() -> Result<(), String> {
    let mut servers = Servers::prepare()?;
    servers.start_all()?;
    sh("mosquitto_pub -p 1883 -t a -m x")?;
    let total = Duration::from_secs(seconds());
    sh(&format!("{SSH} true"))
        .map_err(|e| format!("{e}{}", sh("cat /run/d/sshd.log").unwrap_or_default()))?;
    let (load, _) = Load::start(&["busy", &seconds().to_string(), SSH], false)?;
    let mut source = NetlinkSource::new("requested".into()).map_err(|e| e.to_string())?;
    let wants = Wants::new(Needs::FINDINGS | Needs::LIMITS, ProtoSet::TCP_UDP);
    let mut engine = Engine::new();
    let mut events = EVENTS.iter();
    let mut next = events.next();
    // Each alarm once, with the second it came.
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    let (began, mut polls, mut checks) = (Instant::now(), 0, 0);
    while began.elapsed() < total {
        let snap = engine.step(source.sample(&wants).map_err(|e| e.to_string())?);
        polls += 1;
        for alarm in alarms(&snap) {
            found.entry(alarm).or_insert_with(|| began.elapsed().as_secs());
        }
        if let Some((share, name, what)) = next.filter(|(share, ..)| began.elapsed() >= total.mul_f64(*share))
        {
            let _ = share;
            match *what {
                "restart" => servers.restart(name)?,
                signal => servers.signal(name, signal)?,
            }
            next = events.next();
        }
        if polls % 15 == 0 {
            checks += 1;
            let command = format!("{} check --netns here --for 2s", env!("CARGO_BIN_EXE_sockscope"));
            if let Err(e) = sh(&command) {
                found.entry(e).or_insert_with(|| began.elapsed().as_secs());
            }
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    let done: BTreeMap<String, u64> = serde_json::from_str(&load.output()?).map_err(|e| e.to_string())?;
    println!("{polls} polls, {checks} checks; load: {done:?}");
    if next.is_some() {
        return Err(format!("not all events came: {next:?}"));
    }
    if !found.is_empty() {
        let lines: BTreeSet<String> = found.iter().map(|(a, at)| format!("{at:>4} s  {a}")).collect();
        return Err(lines.into_iter().collect::<Vec<_>>().join("\n"));
    }
    let least = (LEAST * seconds() / 300).max(1);
    let idle: Vec<_> = done.iter().filter(|(_, n)| **n < least).collect();
    if done.is_empty() || !idle.is_empty() {
        return Err(format!("not every load ran: {done:?}"));
    }
    Ok(())
}

/// Rows of a table of the program.
fn table(name: &str) -> Result<Vec<serde_json::Value>, String> {
    let out = sh(&format!("{} {name} --netns here --format json", env!("CARGO_BIN_EXE_sockscope")))?;
    serde_json::from_str(&out).map_err(|e| format!("{e}: {out}"))
}

/// Clients of each port, as `sockscope ports` counts them, and as each daemon does; and the target of an `ssh -R`.
pub(crate) fn clients_equal_the_daemons_statistics() -> Result<(), String> {
    let mut servers = Servers::prepare()?;
    servers.start_all()?;
    let (_held, line) = Load::start(&["idle", SSH], true)?;
    let counted: BTreeMap<String, u64> = serde_json::from_str(&line).map_err(|e| format!("{e}: {line}"))?;
    if counted.len() != 6 || counted.values().any(|n| *n == 0) {
        return Err(format!("statistics are missing: {counted:?}"));
    }
    until_ok(|| {
        let rows = table("ports")?;
        let closed = table("list state:time-wait,fin-wait-2 lport:8080")?;
        if closed.len() < 50 {
            return Err(format!("{} connections closed by nginx", closed.len()));
        }
        for (who, n) in &counted {
            let port: u64 = who.rsplit(' ').next().and_then(|p| p.parse().ok()).unwrap_or(0);
            let row = rows.iter().find(|r| r["local_port"] == port && r["proto"] == "tcp");
            let clients = row.map(|r| r["clients"].clone()).unwrap_or_default();
            if clients != *n {
                return Err(format!("{who}: {clients} clients, its own statistics {n}; all: {counted:?}"));
            }
        }
        Ok(())
    })?;
    println!("clients: {counted:?}");
    until_ok(|| {
        let rows = table("forwards")?;
        let row = rows.iter().find(|r| r["host_port"] == 9100);
        match row.filter(|r| r["target_addr"] == "127.0.0.1" && r["target_port"] == 8080) {
            Some(_) => Ok(()),
            None => Err(format!("the forward of ssh -R has no target: {rows:?}")),
        }
    })
}
