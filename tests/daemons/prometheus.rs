//! `sockscope serve` beside the real Prometheus and `VictoriaMetrics`: pages, rules, dashboard.

use crate::servers::sh;
use crate::wait::{until, until_ok};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

const US: &str = env!("CARGO_BIN_EXE_sockscope");
const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/prometheus");
const METRICS: &str = "127.0.0.1:9771";
const PROMETHEUS: &str = "127.0.0.1:9090";
const VICTORIA: &str = "127.0.0.1:8428";

/// A child with a process group of its own, which is ended when this is dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // Its own group only: the number is that of the child.
        let _ = sh(&format!("kill -KILL -{}", self.0.id()));
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command) -> Result<Group, String> {
    let name = command.get_program().display().to_string();
    command.process_group(0).spawn().map(Group).map_err(|e| format!("{name}: {e}"))
}

/// Status and body of an answer.
fn http(address: &str, request: &str, headers: &str, body: &str) -> Result<(u16, String), String> {
    let failed = |e: std::io::Error| format!("{address}: {e}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    write!(
        stream,
        "{request} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .map_err(failed)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(failed)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or("no status")?;
    Ok((status, body.to_owned()))
}

/// Result of a request of the HTTP API of Prometheus, which `VictoriaMetrics` has, too.
fn api(address: &str, path: &str) -> Result<Value, String> {
    let (status, body) = http(address, &format!("GET {path}"), "", "")?;
    let value: Value = serde_json::from_str(&body).map_err(|e| format!("{path}: {e}: {body}"))?;
    if status == 200 && value["status"] == "success" {
        return Ok(value["data"].clone());
    }
    Err(format!("{path}: {status}: {body}"))
}

/// Series of an expression; an error if there is none.
fn query(address: &str, expr: &str) -> Result<Vec<Value>, String> {
    let encoded = expr.bytes().fold(String::new(), |out, b| out + &format!("%{b:02X}"));
    let data = api(address, &format!("/api/v1/query?query={encoded}"))?;
    let series = data["result"].as_array().cloned().unwrap_or_default();
    if series.is_empty() { Err(format!("no data: {expr}")) } else { Ok(series) }
}

/// Value of the only series of an expression.
fn value(address: &str, expr: &str) -> Result<f64, String> {
    let series = query(address, expr)?;
    let text = series[0]["value"][1].as_str().unwrap_or_default();
    text.parse().map_err(|_| format!("{expr}: {series:?}"))
}

/// Input of promtool on its standard input, and its complaints.
fn promtool_metrics(page: &str) -> Result<(), String> {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut input = child.stdin.take().ok_or("no input")?;
    input.write_all(page.as_bytes()).map_err(|e| e.to_string())?;
    drop(input);
    let out = child.wait_with_output().map_err(|e| e.to_string())?;
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    if out.status.success() && text.trim().is_empty() { Ok(()) } else { Err(format!("promtool: {text}")) }
}

/// Samples of a page.
fn samples(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter(|l| !l.starts_with('#') && !l.is_empty())
}

/// Sum of the samples that begin so.
fn sum_of(page: &str, start: &str) -> f64 {
    let values = samples(page).filter(|l| l.starts_with(start)).filter_map(|l| l.rsplit(' ').next());
    values.filter_map(|v| v.parse::<f64>().ok()).sum()
}

/// A scenario with 700 services and more than 100,000 sockets.
fn large_scenario() -> String {
    let mut out = String::from("host large\npolls 3\n");
    for i in 0..700 {
        let (pid, port, fds) = (1000 + i, 2000 + i, 50 + i);
        out += &format!(
            "process {pid} svc-{i} fds={fds}/1024/4096 cmd=\"/srv/svc-{i}\" age=1000 cgroup=/system.slice/svc-{i}.service\n\
             tcp LISTEN 0.0.0.0:{port} q={}/128 own={pid}:3\n",
            i % 128
        );
        for (state, copies) in [("ESTABLISHED", 120), ("CLOSE_WAIT", 10), ("SYN_SENT", 5), ("FIN_WAIT2", 10)]
        {
            out += &format!(
                "tcp {state} 10.0.0.4:{port} 203.0.{}.7:30000 own={pid}:20 x={copies} hosts=10\n",
                i % 250
            );
        }
    }
    out
}

pub(crate) fn promtool_accepts_pages_and_rules() -> Result<(), String> {
    sh(&format!("cd {ASSETS} && promtool check rules rules.yml && promtool test rules rules_test.yml"))?;
    for demo in ["busy-web", "hostile"] {
        let page = sh(&format!("{US} --demo={demo} serve --once"))?;
        promtool_metrics(&page).map_err(|e| format!("{demo}: {e}"))?;
    }
    let page = sh(&format!("{US} serve --once"))?;
    promtool_metrics(&page).map_err(|e| format!("this machine: {e}"))?;
    let file = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
    std::fs::write(file.path(), large_scenario()).map_err(|e| e.to_string())?;
    let large = sh(&format!("{US} --demo={} serve --once", file.path().display()))?;
    promtool_metrics(&large).map_err(|e| format!("large scenario: {e}"))?;
    let (n, sockets) = (samples(&large).count(), sum_of(&large, "sockscope_sockets{"));
    println!("{sockets} sockets: {n} series, {} bytes", large.len());
    if n > 2_000 || sockets < 100_000.0 {
        return Err(format!("{n} series of {sockets} sockets"));
    }
    // A fault in a page is noticed.
    let wrong = page.replace("# TYPE sockscope_polls_total counter", "# TYPE sockscope_polls_total gauge");
    if wrong == page || promtool_metrics(&wrong).is_ok() {
        return Err("a counter that is called a gauge was not noticed".to_owned());
    }
    Ok(())
}

pub(crate) fn prometheus_scrapes_alerts_and_draws() -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let at = dir.path().display().to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemons/metrics.py");
    let mut load = start(Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let mut line = String::new();
    let out = load.0.stdout.take().ok_or("no output")?;
    BufReader::new(out).read_line(&mut line).map_err(|e| e.to_string())?;
    if line.trim() != "ready" {
        return Err("metrics.py failed".to_owned());
    }
    // A forward without a listener at its target.
    let _socat = start(Command::new("socat").args(["TCP-LISTEN:7080,fork,reuseaddr", "TCP:127.0.0.1:7081"]))?;
    let log = std::fs::File::create(dir.path().join("serve.log")).map_err(|e| e.to_string())?;
    let _serve = start(
        Command::new(US)
            .args(["serve", "--listen", METRICS, "--interval", "1s", "--netns", "here", "--no-engine"])
            .stderr(log),
    )?;
    let log = || std::fs::read_to_string(dir.path().join("serve.log")).unwrap_or_default();
    let page = until_ok(|| http(METRICS, "GET /metrics", "", ""))
        .map_err(|e| format!("{e}: {}", log()))
        .and_then(|(status, page)| if status == 200 { Ok(page) } else { Err(format!("{status}")) })?;
    promtool_metrics(&page)?;

    // Alerts are due at once: how long they wait is tested by promtool.
    sh(&format!("sed 's/^        for: .*/        for: 0s/' {ASSETS}/rules.yml > {at}/rules.yml"))?;
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{at}/rules.yml]\n\
         scrape_configs:\n- job_name: sockscope\n  static_configs: [{{targets: ['{METRICS}']}}]\n"
    );
    std::fs::write(dir.path().join("prometheus.yml"), config).map_err(|e| e.to_string())?;
    sh(&format!("promtool check config {at}/prometheus.yml"))?;
    let quiet = || Stdio::null();
    let _prometheus = start(
        Command::new("prometheus")
            .arg(format!("--config.file={at}/prometheus.yml"))
            .arg(format!("--storage.tsdb.path={at}/prometheus"))
            .arg(format!("--web.listen-address={PROMETHEUS}"))
            .stdout(quiet())
            .stderr(quiet()),
    )?;
    until_ok(|| {
        let targets = api(PROMETHEUS, "/api/v1/targets")?;
        let target = &targets["activeTargets"][0];
        if target["health"] == "up" { Ok(()) } else { Err(format!("{target}")) }
    })?;
    let fds = until_ok(|| value(PROMETHEUS, "sockscope_process_fds_worst_ratio{comm=\"leaky\"}"))?;
    if !(0.97..=0.99).contains(&fds) {
        return Err(format!("98 of 100 descriptors: {fds}"));
    }
    let close_wait = "sum(sockscope_process_sockets{comm=\"load\",state=\"CLOSE_WAIT\"})";
    let n = until_ok(|| value(PROMETHEUS, close_wait))?;
    if n < 30.0 {
        return Err(format!("30 connections in CLOSE_WAIT: {n}"));
    }
    alerts_fire()?;
    dashboard_has_data()?;
    victoria_takes_the_page(&at, &page)
}

/// The alerts about this host fire, each about what it is about.
fn alerts_fire() -> Result<(), String> {
    for (alert, label, text) in [
        ("DescriptorsNearlyGone", "comm", "leaky"),
        ("AcceptQueueFull", "local", "127.0.0.1:7000"),
        ("ForwardDead", "port", "7080"),
        ("ConnectsFail", "comm", "load"),
    ] {
        until_ok(|| {
            let data = api(PROMETHEUS, "/api/v1/alerts")?;
            let alerts = data["alerts"].as_array().cloned().unwrap_or_default();
            let firing = |a: &&Value| a["labels"]["alertname"] == alert && a["state"] == "firing";
            match alerts.iter().find(|a| firing(a) && a["labels"][label] == text) {
                Some(_) => Ok(()),
                None => Err(format!("{alert} about {text} does not fire: {data}")),
            }
        })?;
    }
    // A rule that cannot be evaluated fires neither.
    let groups = api(PROMETHEUS, "/api/v1/rules")?;
    let rules = groups["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
    let unhealthy: Vec<&Value> = rules.iter().filter(|r| r["health"] != "ok").collect();
    if rules.is_empty() || !unhealthy.is_empty() {
        return Err(format!("rules: {unhealthy:?}"));
    }
    Ok(())
}

/// Every expression of the dashboard has data.
fn dashboard_has_data() -> Result<(), String> {
    let text = std::fs::read_to_string(format!("{ASSETS}/dashboard.json")).map_err(|e| e.to_string())?;
    let dashboard: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let panels = dashboard["panels"].as_array().cloned().unwrap_or_default();
    let targets = panels.iter().filter_map(|p| p["targets"].as_array()).flatten();
    let exprs: BTreeSet<String> = targets.filter_map(|t| t["expr"].as_str()).map(str::to_owned).collect();
    for expr in &exprs {
        let plain = expr.replace("$instance", ".*").replace("$__rate_interval", "20s");
        if plain.contains('$') {
            return Err(format!("unknown variable: {expr}"));
        }
        until_ok(|| query(PROMETHEUS, &plain))?;
    }
    if exprs.len() < 25 {
        return Err(format!("{} expressions", exprs.len()));
    }
    println!("{} expressions of the dashboard have data", exprs.len());
    Ok(())
}

/// `VictoriaMetrics` takes the same page, all of it.
fn victoria_takes_the_page(at: &str, page: &str) -> Result<(), String> {
    let _victoria = start(
        Command::new("victoria-metrics")
            .arg(format!("-httpListenAddr={VICTORIA}"))
            .arg(format!("-storageDataPath={at}/victoria"))
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )?;
    until("VictoriaMetrics", || TcpStream::connect(VICTORIA).ok())?;
    let request = "POST /api/v1/import/prometheus?extra_label=host=web-1";
    let (status, body) = http(VICTORIA, request, "", page)?;
    if status != 204 {
        return Err(format!("VictoriaMetrics: {status}: {body}"));
    }
    let want = samples(page).count() as f64;
    until_ok(|| {
        let n = value(VICTORIA, "count({host=\"web-1\",__name__=~\"sockscope.*\"})")?;
        if (n - want).abs() < 0.5 { Ok(()) } else { Err(format!("{n} of {want} series")) }
    })
}
