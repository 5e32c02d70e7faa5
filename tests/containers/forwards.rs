//! Published ports, compared with Docker, iptables and conntrack.

use super::docker::Docker;
use super::world::{Outside, Program, check, rows, run, sockscope};
use crate::wait::until;
use std::process::Command;

/// Rule, target, backend, real client and route, however the engine forwards.
fn published(docker: &Docker, by: &str, local: bool) -> Result<(), String> {
    let web = docker.run("web", &["-p", "8080:80", "-p", "5353:53/udp"], "httpd -f -p 80")?;
    let outside = Outside::new()?;
    let _client = outside.connect("203.0.113.1", 8080, 50000)?;
    // Through the proxy: over the loopback interface only the proxy is reachable.
    let _near = if local {
        let script = "use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1:8080') or die; sleep 600";
        Some(Program::start(Command::new("perl").args(["-e", script]))?)
    } else {
        None
    };
    let clients = 1 + u64::from(local);
    let mut last = Vec::new();
    let row = until("the forward and its clients", || {
        last = rows(&["forwards", "host_port:8080"]).ok()?;
        last.iter().find(|r| r["host"] == "0.0.0.0:8080" && r["clients"] == clients).cloned()
    })
    .map_err(|e| format!("{e}: {last:#?}"))?;
    let target = format!("{}:80", web.addr);
    check(row["by"] == by && row["target"] == target && row["listens"] == true, || row.to_string())?;
    check(
        row["pid"] == web.pid && row["process"].as_str().is_some_and(|p| p.ends_with(&web.pid.to_string())),
        || format!("{}: {row}", web.pid),
    )?;
    // The engine agrees, and the published ports are a column.
    let how = row["how"].as_str().unwrap_or_default();
    check(how.contains("docker: web 0.0.0.0:8080->80/tcp"), || how.to_owned())?;
    let ports = docker.ask(&["port", "web", "80/tcp"])?;
    check(ports.lines().any(|l| l == "0.0.0.0:8080"), || ports)?;
    let column = rows(&["list", "published:8080", "state:listen", "-c", "published,pid"])?;
    let all = column.first().and_then(|r| r["published"].as_str()).unwrap_or_default();
    check(
        column.len() == 1 && all.contains("0.0.0.0:8080->80/tcp") && all.contains("0.0.0.0:5353->53/udp"),
        || format!("{column:#?}"),
    )?;
    // As iptables lists it.
    let rules = run(Command::new("iptables").args(["-t", "nat", "-S", "DOCKER"]))?;
    check(
        rules
            .lines()
            .any(|l| l.contains("--dport 8080") && l.ends_with(&format!("--to-destination {target}"))),
        || rules,
    )?;
    // A published port without a listener in the container.
    let no_listener = rows(&["forwards", "finding:no-listener"])?;
    check(no_listener.iter().any(|r| r["host_port"] == 5353 && r["proto"] == "udp"), || {
        format!("{no_listener:#?}")
    })?;

    // The container's own socket knows the client, as conntrack does.
    let inside =
        rows(&["list", "state:established", "lport:80", "--columns", "local,remote,client,asked_for,pid"])?;
    let far =
        inside.iter().find(|r| r["client"] == "203.0.113.5:50000").ok_or_else(|| format!("{inside:#?}"))?;
    check(far["asked_for"] == "203.0.113.1:8080", || far.to_string())?;
    let entry = run(Command::new("conntrack").args(["-L", "-p", "tcp", "--orig-port-dst", "8080"]))?;
    let line = entry.lines().find(|l| l.contains("sport=50000")).unwrap_or_default().to_owned();
    check(line.contains("src=203.0.113.5") && line.contains(&format!("src={}", web.addr)), || entry)?;
    if local {
        let near = inside.iter().find(|r| {
            r["client"].as_str().is_some_and(|c| c.starts_with("127.0.0.1:"))
                && r["asked_for"] == "127.0.0.1:8080"
        });
        check(near.is_some(), || format!("{inside:#?}"))?;
    }
    // The route is drawn.
    let screen = run(sockscope()
        .args(["screenshot", "--size", "150x50", "--polls", "2", "--keys"])
        .arg("/lport:80 state:established remote:203.0.113.5<enter>gggg<enter>"))?;
    for word in ["forwarding path", "203.0.113.1:8080", "dnat", &target, "busybox", " fd "] {
        check(screen.contains(word), || format!("{word}: {screen}"))?;
    }
    // A container that stops while watched disappears.
    drop(web);
    until("the forward is gone", || rows(&["forwards", "host_port:8080"]).ok().filter(Vec::is_empty))?;
    Ok(())
}

/// With Docker's proxy: a rule for outside clients, a process for local ones.
pub(crate) fn published_port_has_rule_and_proxy(docker: &Docker) -> Result<(), String> {
    published(docker, "dnat + docker-proxy", true)
}

/// Without Docker's proxy.
pub(crate) fn published_port_has_a_rule_alone(docker: &Docker) -> Result<(), String> {
    published(docker, "dnat", false)
}
