//! `sockscope why` about published ports: asked on this host, from another one and inside of a container.

use super::docker::Docker;
use super::world::{Outside, check, sh, sockscope};
use crate::wait::until;
use serde_json::Value;
use std::process::Command;

/// The first answer of `why` in the network namespace of this path, `None` for this one: its cause, `reachable` without one, and
/// its text.
fn why(netns: Option<&str>, args: &[&str]) -> Result<(String, String), String> {
    let mut command = match netns {
        None => sockscope(),
        Some(path) => {
            let mut command = Command::new("nsenter");
            command.arg(format!("--net={path}")).arg(env!("CARGO_BIN_EXE_sockscope"));
            command
        }
    };
    let out = command.args(["why", "-j"]).args(args).output().map_err(|e| e.to_string())?;
    let all: Value = serde_json::from_slice(&out.stdout)
        .map_err(|e| format!("{args:?}: {e}: {}", String::from_utf8_lossy(&out.stderr)))?;
    let answer = &all["answers"][0];
    let cause = answer["cause"].as_str().or(answer["verdict"].as_str()).unwrap_or_default();
    Ok((cause.to_owned(), answer["answer"].as_str().unwrap_or_default().to_owned()))
}

/// Bytes that an HTTP server answers to this host, or to another one.
fn answered(netns: Option<&str>, addr: &str, port: u16) -> usize {
    let before = netns.map_or(String::new(), |n| format!("ip netns exec {n} "));
    let script = format!("{before}perl -MIO::Socket::INET -e '
        my $s = IO::Socket::INET->new(PeerAddr => \"{addr}:{port}\", Timeout => 2) or exit; $SIG{{ALRM}} = sub {{ exit }}; alarm 2;
        print $s \"GET / HTTP/1.0\\r\\n\\r\\n\"; print <$s>'");
    sh(&script).map_or(0, |text| text.len())
}

pub(crate) fn published_ports_that_fail_have_their_cause(docker: &Docker) -> Result<(), String> {
    let web = docker.run("web", &["-p", "8080:80"], "httpd -f -p 80")?;
    let empty = docker.run("empty", &["-p", "8081:80"], "sleep 600")?;
    let local = docker.run("local", &["-p", "8082:80"], "httpd -f -p 127.0.0.1:80")?;
    let outside = Outside::new()?;
    let ns = format!("/run/netns/{}", outside.netns);
    let inside = format!("/proc/{}/ns/net", web.pid);
    let pid = web.pid.to_string();
    until("the web server", || (answered(None, "127.0.0.1", 8080) > 0).then_some(()))?;
    let ask = |netns: Option<&str>, args: &[&str], cause: &str, words: &str| {
        let (found, text) = why(netns, args)?;
        check(found == cause && text.contains(words), || format!("{args:?}: {found}: {text}"))
    };
    // A published port, asked as a client of this host through the proxy, of this host through the rule, of another host.
    let published = |port: u16, cause: &str, by_proxy: &str, by_rule: &str| {
        let (here, there) = (format!("127.0.0.1:{port}"), format!("203.0.113.1:{port}"));
        ask(None, &[&format!(":{port}")], cause, by_rule)?;
        ask(None, &[&here], cause, by_proxy)?;
        ask(None, &[&there], cause, by_rule)?;
        ask(Some(&ns), &[&there], cause, by_rule)?;
        let bytes = [answered(None, "127.0.0.1", port), answered(Some(outside.netns), "203.0.113.1", port)];
        check(bytes.iter().all(|n| (*n > 0) == (cause == "reachable")), || format!("{port}: {bytes:?}"))
    };
    published(8080, "reachable", "no step fails", "no step fails")?;
    let nothing = format!("forwards to {}:80, on which nothing listens", empty.addr);
    published(
        8081,
        "forward-dead",
        "connects, but is not served: docker-proxy",
        "refused: nothing listens on",
    )?;
    ask(None, &["127.0.0.1:8081"], "forward-dead", &nothing)?;
    let loopback = "busybox listens on 127.0.0.1:80";
    published(8082, "forward-dead", loopback, loopback)?;
    // From within a container, by its namespace and by its process.
    let (other, hidden) = (format!("{}:80", empty.addr), format!("{}:80", local.addr));
    ask(Some(&inside), &[&other], "nothing-listens", "refused")?;
    ask(None, &["--pid", &pid, &other], "nothing-listens", "refused")?;
    ask(Some(&inside), &[&hidden], "loopback-only", loopback)?;
    ask(Some(&inside), &["172.17.0.1:9999"], "nothing-listens", "refused")?;
    docker.ask(&["pause", "web"])?;
    published(8080, "server-frozen", "docker-proxy", "is in a frozen cgroup")?;
    docker.ask(&["unpause", "web"])?;
    // Without its proxies the port is open for other hosts, and closed on loopback.
    sh("pkill -x docker-proxy")?;
    until("the proxies to end", || (answered(None, "127.0.0.1", 8080) == 0).then_some(()))?;
    ask(None, &["127.0.0.1:8080"], "nothing-listens", "refused")?;
    ask(Some(&ns), &["203.0.113.1:8080"], "reachable", "no step fails")?;
    check(answered(Some(outside.netns), "203.0.113.1", 8080) > 0, || "not reachable".into())
}
