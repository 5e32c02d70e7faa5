//! Command lines of user-space proxies.

use super::context::MAX_INDEXED_RANGE;
use crate::model::{Addr, Endpoint, ForwardKind, Proto};

/// One forward on a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProxySpec {
    pub(super) kind: ForwardKind,
    pub(super) proto: Proto,
    /// The listening endpoint, if given; the address may be any.
    pub(super) host: Option<Endpoint>,
    /// The target, if given as an address.
    pub(super) target: Option<Endpoint>,
    /// The port in the target network namespace; 0 for the listening port.
    pub(super) target_port: Option<u16>,
}

impl ProxySpec {
    const fn new(kind: ForwardKind, proto: Proto, host: Option<Endpoint>, target: Option<Endpoint>) -> Self {
        Self { kind, proto, host, target, target_port: None }
    }
}

/// The forwards of a process, by its name and command line.
pub(super) fn parse(comm: &str, cmdline: &str) -> Vec<ProxySpec> {
    let words: Vec<&str> = cmdline.split_ascii_whitespace().collect();
    let program = words.first().map_or(comm, |w| w.rsplit('/').next().unwrap_or(w)).trim_end_matches(':');
    let name = if program.is_empty() { comm } else { program };
    let single = |kind, host, target| vec![ProxySpec::new(kind, Proto::Tcp, host, target)];
    match (name, comm) {
        ("docker-proxy", _) => docker(&words).into_iter().collect(),
        ("socat" | "socat1", _) => socat(&words).into_iter().collect(),
        ("ssh", _) => ssh(&words),
        ("sshd" | "sshd-session", _) if is_user_session(&words) => single(ForwardKind::Ssh, None, None),
        ("systemd-socket-proxyd", _) | (_, "systemd-socket-") => {
            single(ForwardKind::SystemdProxy, None, words[1..].iter().rev().find_map(|w| endpoint(w)))
        }
        ("rootlesskit", _) => tcp_and_udp(ForwardKind::Rootlesskit, None),
        ("rootlessport", _) => tcp_and_udp(ForwardKind::Rootlessport, None),
        ("slirp4netns", _) => tcp_and_udp(ForwardKind::Slirp4netns, None),
        ("pasta" | "passt" | "pasta.avx2" | "passt.avx2", _) => pasta(&words),
        ("kubectl", _) if words.get(1) == Some(&"port-forward") => single(ForwardKind::Kubectl, None, None),
        _ => Vec::new(),
    }
}

/// True for the server process of one user (`sshd: USER` or `sshd: USER@TERMINAL`), not for the listener
/// (`sshd: /usr/sbin/sshd -D [listener] …`) or before authentication (`sshd: [accepted]`).
fn is_user_session(words: &[&str]) -> bool {
    let titled = words.first().is_some_and(|w| w.ends_with(':'));
    titled && words.get(1).is_some_and(|w| !w.starts_with(['/', '[']))
}

/// TCP and UDP, for proxies whose command line does not name the protocol.
fn tcp_and_udp(kind: ForwardKind, target_port: Option<u16>) -> Vec<ProxySpec> {
    [Proto::Tcp, Proto::Udp]
        .map(|proto| ProxySpec { target_port, ..ProxySpec::new(kind, proto, None, None) })
        .into()
}

/// The process whose namespace is the target: the last word of `pasta … PID`, the last but one of `slirp4netns … PID tap0`.
pub(super) fn target_pid(cmdline: &str) -> Option<u32> {
    let mut words = cmdline.split_ascii_whitespace().rev();
    words.by_ref().take(2).find_map(|w| w.parse().ok())
}

/// `-t 8080:80,127.0.0.1/9000-9010:90-100` and the same for `-u`, any number of times (passt(1)); other listeners forward to
/// the same port.
fn pasta(words: &[&str]) -> Vec<ProxySpec> {
    let mut out = Vec::new();
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        let (flag, glued) = word.split_once('=').map_or((*word, None), |(f, v)| (f, Some(v)));
        let proto = match flag {
            "-t" | "--tcp-ports" => Proto::Tcp,
            "-u" | "--udp-ports" => Proto::Udp,
            // The command to run follows.
            "--" => break,
            _ => continue,
        };
        let Some(spec) = glued.or_else(|| words.next().copied()) else { break };
        let (place, ports) = spec.rsplit_once('/').map_or((None, spec), |(a, p)| (Some(a), p));
        let place = place.map(|p| p.split('%').next().unwrap_or(p));
        let addr = place.filter(|p| !p.is_empty()).map_or(Some(Addr::ANY4), address);
        for range in ports.split(',') {
            let (outside, inside) = range.split_once(':').unwrap_or((range, range));
            let (Some(addr), Some((first, last)), Some((begin, _))) =
                (addr, port_range(outside), port_range(inside))
            else {
                continue;
            };
            for port in first..=last.min(first.saturating_add(MAX_INDEXED_RANGE)) {
                let host = Some(Endpoint::new(addr, port));
                let target_port = Some(begin.saturating_add(port - first));
                out.push(ProxySpec { target_port, ..ProxySpec::new(ForwardKind::Pasta, proto, host, None) });
            }
        }
    }
    out.extend(tcp_and_udp(ForwardKind::Pasta, Some(0)));
    out
}

/// `80` and `80-90`.
fn port_range(word: &str) -> Option<(u16, u16)> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// `10.0.0.1:80`, `[::1]:80`, `localhost:80`.
fn endpoint(word: &str) -> Option<Endpoint> {
    let (host, port) = word.rsplit_once(':')?;
    Some(Endpoint::new(address(host)?, port.parse().ok()?))
}

fn address(host: &str) -> Option<Addr> {
    match host.trim_matches(['[', ']']) {
        "localhost" => Some(Addr::v4([127, 0, 0, 1])),
        "" | "*" | "0.0.0.0" => Some(Addr::ANY4),
        "::" => Some(Addr::ANY6),
        a => a.parse().ok(),
    }
}

/// `-proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80`.
fn docker(words: &[&str]) -> Option<ProxySpec> {
    let after = |flag: &str| {
        let i = words.iter().position(|w| w.trim_start_matches('-') == flag)?;
        words.get(i + 1).copied()
    };
    let end = |ip: &str, port: &str| Some(Endpoint::new(address(after(ip)?)?, after(port)?.parse().ok()?));
    let proto = match after("proto") {
        Some("udp") => Proto::Udp,
        Some("sctp") => Proto::Sctp,
        _ => Proto::Tcp,
    };
    let host = end("host-ip", "host-port");
    let target = end("container-ip", "container-port");
    target?;
    Some(ProxySpec::new(ForwardKind::DockerProxy, proto, host, target))
}

/// `TCP-LISTEN:8080,fork,bind=… TCP:10.0.0.2:80`, in either order.
fn socat(words: &[&str]) -> Option<ProxySpec> {
    let mut spec = ProxySpec::new(ForwardKind::Socat, Proto::Tcp, None, None);
    for word in words.get(1..)? {
        let Some((kind, rest)) = word.split_once(':') else { continue };
        let kind = kind.to_ascii_uppercase();
        let (place, options) = rest.split_once(',').unwrap_or((rest, ""));
        let v6 = kind.starts_with("TCP6") || kind.starts_with("UDP6");
        if kind.ends_with("-LISTEN")
            || kind.ends_with("-L")
            || kind == "UDP-RECVFROM"
            || kind == "UDP4-RECVFROM"
        {
            let bind = options.split(',').find_map(|o| o.strip_prefix("bind=")).and_then(address);
            let any = if v6 { Addr::ANY6 } else { Addr::ANY4 };
            spec.host = place.parse().ok().map(|port| Endpoint::new(bind.unwrap_or(any), port));
            if kind.starts_with("UDP") {
                spec.proto = Proto::Udp;
            }
        } else if kind.starts_with("TCP") || kind.starts_with("UDP") {
            spec.target = endpoint(place);
        }
    }
    spec.host?;
    Some(spec)
}

/// `-L [bind:]port:host:hostport` and `-D [bind:]port`, any number of times. `-R` listens on the remote host, see
/// [`reverse_targets`]. Other listeners come from options or the configuration (`LocalForward`, `DynamicForward`).
fn ssh(words: &[&str]) -> Vec<ProxySpec> {
    let mut out = Vec::new();
    for (i, word) in words.iter().enumerate().skip(1) {
        // Flags without value may precede it: `-fNL 8080:host:80`.
        let next = words.get(i + 1).copied();
        let Some((flag, spec)) = ssh_flag(word, next, &["L", "D"]) else { continue };
        let parts = split_colons(spec);
        let listen = |bind: Option<&str>, port: &str, target| {
            let addr = bind.map_or(Some(Addr::v4([127, 0, 0, 1])), address)?;
            let host = Endpoint::new(addr, port.parse().ok()?);
            Some(ProxySpec::new(ForwardKind::Ssh, Proto::Tcp, Some(host), target))
        };
        let to = |host: &str, port: &str| Some(Endpoint::new(address(host)?, port.parse().ok()?));
        out.extend(match (flag, parts.as_slice()) {
            // The target is reached from the remote host.
            ("L", [bind, port, host, there]) => listen(Some(bind), port, to(host, there)),
            ("L", [port, host, there]) => listen(None, port, to(host, there)),
            ("D", [bind, port]) => listen(Some(bind), port, None),
            ("D", [port]) => listen(None, port, None),
            _ => None,
        });
    }
    out.push(ProxySpec::new(ForwardKind::Ssh, Proto::Tcp, None, None));
    out
}

/// A flag of ssh(1) with its value, glued to it or the next word. Flags without value may precede it: `-fNL 8080:host:80`.
fn ssh_flag<'a>(
    word: &'a str,
    next: Option<&'a str>,
    flags: &[&'static str],
) -> Option<(&'static str, &'a str)> {
    let rest = word.strip_prefix('-')?.trim_start_matches(|c| "46AaCfGgKkMNnqsTtVvXxYy".contains(c));
    let flag = flags.iter().find(|f| rest.starts_with(**f))?;
    Some((flag, if rest.len() > 1 { &rest[1..] } else { next.unwrap_or("") }))
}

/// Ports that the server of an `ssh -R [bind:]port:host:hostport` listens on, with their targets as reached by the client.
pub(super) fn reverse_targets(comm: &str, cmdline: &str) -> Vec<(u16, Endpoint)> {
    let words: Vec<&str> = cmdline.split_ascii_whitespace().collect();
    let program = words.first().map_or(comm, |w| w.rsplit('/').next().unwrap_or(w));
    if program != "ssh" {
        return Vec::new();
    }
    let reverse = |(i, word): (usize, &&str)| {
        let (_, spec) = ssh_flag(word, words.get(i + 1).copied(), &["R"])?;
        let (port, host, there) = match split_colons(spec).as_slice() {
            [port, host, there] | [_, port, host, there] => (*port, *host, *there),
            _ => return None,
        };
        Some((port.parse().ok()?, Endpoint::new(address(host)?, there.parse().ok()?)))
    };
    words.iter().enumerate().skip(1).filter_map(reverse).collect()
}

/// Splits at colons outside brackets.
fn split_colons(spec: &str) -> Vec<&str> {
    let mut depth = 0;
    spec.split(|c| {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        c == ':' && depth == 0
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_command_lines_are_parsed() {
        let parsed = |comm: &str, line: &str| {
            let end = |e: Option<Endpoint>| e.map_or("-".to_owned(), |e| e.to_string());
            let all = parse(comm, line).into_iter();
            let inside = |s: &ProxySpec| s.target_port.map_or_else(String::new, |p| format!(" :{p}"));
            all.map(|s| {
                let (by, proto) = (s.kind.name(), s.proto.name());
                format!("{by} {proto} {} {}{}", end(s.host), end(s.target), inside(&s))
            })
            .collect::<Vec<_>>()
            .join("; ")
        };
        for (line, want) in [
            (
                "/usr/sbin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80 -use-listen-fd",
                "docker-proxy tcp 0.0.0.0:8080 172.17.0.2:80",
            ),
            (
                "docker-proxy -proto udp -host-ip :: -host-port 53 -container-ip fd00::2 -container-port 5353",
                "docker-proxy udp [::]:53 [fd00::2]:5353",
            ),
            ("socat TCP-LISTEN:8080,fork,reuseaddr TCP:10.0.0.2:80", "socat tcp 0.0.0.0:8080 10.0.0.2:80"),
            (
                "/usr/bin/socat -d tcp6-listen:8080,bind=[::1],fork tcp6:[fd00::2]:80",
                "socat tcp [::1]:8080 [fd00::2]:80",
            ),
            ("socat UDP4-LISTEN:53 UDP4:127.0.0.1:5353", "socat udp 0.0.0.0:53 127.0.0.1:5353"),
            ("socat - TCP:10.0.0.2:80", ""),
            (
                "ssh -N -L 8080:10.0.0.2:80 -D1080 -L [::1]:9090:[fd00::5]:90 host",
                "ssh tcp 127.0.0.1:8080 10.0.0.2:80; ssh tcp 127.0.0.1:1080 -; ssh tcp [::1]:9090 [fd00::5]:90; ssh tcp - -",
            ),
            (
                "ssh -fNL 8080:10.0.0.2:80 -vD 1080 -i L7:a:7 host",
                "ssh tcp 127.0.0.1:8080 10.0.0.2:80; ssh tcp 127.0.0.1:1080 -; ssh tcp - -",
            ),
            ("ssh -R 80:localhost:3000 host", "ssh tcp - -"),
            ("sshd: scope@notty", "ssh tcp - -"),
            ("sshd-session: scope@pts/0", "ssh tcp - -"),
            ("sshd: scope", "ssh tcp - -"),
            ("sshd: [accepted]", ""),
            ("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", ""),
            ("/usr/sbin/sshd -D", ""),
            (
                "rootlesskit --net=slirp4netns --port-driver=builtin dockerd",
                "rootlesskit tcp - -; rootlesskit udp - -",
            ),
            ("/usr/lib/systemd/systemd-socket-proxyd 127.0.0.1:8080", "systemd-proxy tcp - 127.0.0.1:8080"),
            ("rootlessport", "rootlessport tcp - -; rootlessport udp - -"),
            (
                "/usr/bin/pasta.avx2 --config-net -t 127.0.0.1/8081-8082:80-81 -u 53 -T none --netns /run/x",
                "pasta tcp 127.0.0.1:8081 - :80; pasta tcp 127.0.0.1:8082 - :81; pasta udp 0.0.0.0:53 - :53; \
                 pasta tcp - - :0; pasta udp - - :0",
            ),
            ("pasta -t auto -- sh -t 1:2", "pasta tcp - - :0; pasta udp - - :0"),
            ("kubectl port-forward svc/web 8080:80", "kubectl tcp - -"),
            ("kubectl get pods", ""),
            ("nginx: worker process", ""),
            ("", ""),
        ] {
            assert_eq!(parsed("x", line), want, "{line}");
        }
        let reverse = |line: &str| {
            let all = reverse_targets("x", line).into_iter();
            all.map(|(port, to)| format!("{port} {to}")).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(
            reverse("ssh -fNR 80:localhost:3000 -R[::]:81:[fd00::5]:90 -R 1080 -L 1:a:2 host"),
            "80 127.0.0.1:3000; 81 [fd00::5]:90"
        );
        assert_eq!(reverse("sshd -R 80:localhost:3000"), "");
        assert_eq!(target_pid("slirp4netns -c -e 3 812 tap0"), Some(812));
        assert_eq!(target_pid("pasta --config-net 812"), Some(812));
        assert_eq!(target_pid("slirp4netns --netns-type=path /run/netns-1 tap0"), None);
    }
}
