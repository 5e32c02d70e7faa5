//! The firewall in front of listeners, compared with connections of another host.

use super::compare::check;
use super::forwards::{HOSTS, inside};
use super::netns::{rows, sh};
use crate::wait::until;
use std::net::TcpListener;
use std::process::{Command, Stdio};

const RULES: &str = "set -e; nft -f - <<'N'
table inet filter {
  set web { type inet_service; flags interval; elements = { 80, 8000-8010 }; }
  chain input { type filter hook input priority 0; policy drop;
    ct state established,related accept
    iif lo accept
    ip6 nexthdr icmpv6 accept
    tcp dport @web accept
    tcp dport 81 ip saddr 203.0.113.5 accept
    tcp dport 82 ip saddr 203.0.113.6 accept
    tcp dport 83 iifname \"c1\" accept
    tcp dport 84 iifname \"s1\" accept
    tcp dport vmap { 85 : accept, 86 : drop, 87 : jump deny }
    ip daddr 203.0.113.1 tcp dport 88 accept
    ip daddr 172.30.0.1 tcp dport 89 accept
  }
  chain deny { reject with tcp reset; }
}
table ip raw { chain pre { type filter hook prerouting priority -300; tcp dport 8003 drop; }; }
N
iptables-nft -A INPUT -p tcp --dport 8004 -j REJECT --reject-with tcp-reset";

/// Result of a connect of the client: `open`, `refused`, `silent`.
fn connect(port: u16) -> Result<String, String> {
    let script = format!(
        "use IO::Socket::INET; my $c = IO::Socket::INET->new(PeerHost => '203.0.113.1', PeerPort => {port}, Timeout => 2); \
         print $c ? 'open' : $! =~ /refused/ ? 'refused' : 'silent'"
    );
    let out = Command::new("ip")
        .args(["netns", "exec", "cl", "perl", "-e", &script])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| e.to_string())?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// For each listener the verdict agrees with a real connection, and names the condition where it depends on the client.
pub(crate) fn verdicts_agree_with_real_connections() -> Result<(), String> {
    sh(HOSTS)?;
    let ports = [80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 8002, 8003, 8004];
    let bind = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).map_err(|e| e.to_string());
    let _listeners = ports.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
    let _local = TcpListener::bind(("127.0.0.1", 8005)).map_err(|e| e.to_string())?;
    let _other = inside(
        "sv",
        &[
            "perl",
            "-e",
            "use IO::Socket::INET; my $l = IO::Socket::INET->new(Listen => 5, LocalAddr => '0.0.0.0:99') or die; sleep 600",
        ],
    );
    until("the server", || rows(&["ports", "lport:99"]).ok().filter(|r| r.len() == 1))?;
    let all = || rows(&["ports", "-c", "local_port,firewall,netns"]);
    // Nothing filters yet.
    let before = all()?;
    check(before.iter().all(|r| r["firewall"] == "accepted" || r["local_port"] == 8005), || {
        format!("{before:?}")
    })?;
    sh(RULES)?;
    let found = all()?;
    let of = |port: u16| -> Result<String, String> {
        let row = found.iter().find(|r| r["local_port"] == port).ok_or_else(|| format!("no port {port}"))?;
        Ok(row["firewall"].as_str().unwrap_or("none").to_owned())
    };
    for port in ports {
        let (shown, real) = (of(port)?, connect(port)?);
        let agrees = match &*real {
            "open" => {
                shown == "accepted" || shown.starts_with("partly: ") && shown.contains(" accepted, others ")
            }
            "refused" => shown.starts_with("rejected by "),
            // A rule for another client, interface or address leaves this one out.
            _ => {
                shown.starts_with("dropped by ")
                    || [82, 84, 89].contains(&port) && shown.starts_with("partly: ")
            }
        };
        check(agrees, || format!("{port}: {shown}, but {real}"))?;
    }
    for (port, part) in [
        (81, "source=203.0.113.5 accepted"),
        (82, "source=203.0.113.6 accepted"),
        (83, "iif=c1 accepted"),
        (84, "iif=s1 accepted"),
        (88, "destination=203.0.113.1 accepted"),
        (89, "destination=172.30.0.1 accepted"),
        (90, "dropped by inet filter input policy"),
        (8003, "dropped by ip raw pre handle "),
        (8004, "rejected by ip filter INPUT handle "),
    ] {
        check(of(port)?.contains(part), || format!("{port}: {:?}, not {part}", of(port)))?;
    }
    check(of(8005)? == "none", || format!("{:?}", of(8005)))?;
    // Rules of one namespace do not filter in another.
    check(of(99)? == "accepted", || format!("{:?}", of(99)))?;
    // Columns that do not need it do not read it.
    check(rows(&["ports", "firewall:accepted", "-c", "local_port"])?.len() >= 4, || "filter".to_owned())
}
