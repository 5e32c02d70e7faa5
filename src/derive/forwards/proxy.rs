//! Programs that forward by themselves, known by their command lines.

use crate::model::{Addr, Endpoint, ForwardKind, Proto};

/// What a command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) by: ForwardKind,
    pub(super) proto: Proto,
    /// Where it listens, where it says so; the address may be any.
    pub(super) host: Option<Endpoint>,
    /// Where it sends to, where it says so by address.
    pub(super) target: Option<Endpoint>,
    /// The port in the network namespace that it serves, where it sends into one; 0 is the same as outside.
    pub(super) inside: Option<u16>,
}

impl Said {
    const fn new(by: ForwardKind, proto: Proto, host: Option<Endpoint>, target: Option<Endpoint>) -> Self {
        Self { by, proto, host, target, inside: None }
    }
}

/// What a program forwards, by its command line; several where it does so for several ports.
pub(super) fn of(comm: &str, cmdline: &str) -> Vec<Said> {
    let words: Vec<&str> = cmdline.split_ascii_whitespace().collect();
    let program = words.first().map_or(comm, |w| w.rsplit('/').next().unwrap_or(w)).trim_end_matches(':');
    let name = if program.is_empty() { comm } else { program };
    let one = |by, host, target| vec![Said::new(by, Proto::Tcp, host, target)];
    match (name, comm) {
        ("docker-proxy", _) => docker(&words).into_iter().collect(),
        ("socat" | "socat1", _) => socat(&words).into_iter().collect(),
        ("ssh", _) => ssh(&words),
        ("sshd" | "sshd-session", _) if serves_a_user(&words) => one(ForwardKind::Ssh, None, None),
        ("systemd-socket-proxyd", _) | (_, "systemd-socket-") => {
            one(ForwardKind::SystemdProxy, None, words[1..].iter().rev().find_map(|w| endpoint(w)))
        }
        ("rootlesskit", _) => either(ForwardKind::Rootlesskit, None),
        ("rootlessport", _) => either(ForwardKind::Rootlessport, None),
        ("slirp4netns", _) => either(ForwardKind::Slirp4netns, None),
        ("pasta" | "passt" | "pasta.avx2" | "passt.avx2", _) => pasta(&words),
        ("kubectl", _) if words.get(1) == Some(&"port-forward") => one(ForwardKind::Kubectl, None, None),
        _ => Vec::new(),
    }
}

/// Whether it is the server of one user, `sshd: USER` and behind it `@TERMINAL` where there is one, and not the one that
/// all come to (`sshd: /usr/sbin/sshd -D [listener] …`) nor before it is known who it is (`sshd: [accepted]`).
fn serves_a_user(words: &[&str]) -> bool {
    let titled = words.first().is_some_and(|w| w.ends_with(':'));
    titled && words.get(1).is_some_and(|w| !w.starts_with(['/', '[']))
}

/// What does not say which protocol: whatever it listens to, of both.
fn either(by: ForwardKind, inside: Option<u16>) -> Vec<Said> {
    [Proto::Tcp, Proto::Udp].map(|proto| Said { inside, ..Said::new(by, proto, None, None) }).into()
}

/// The namespace that a program was told to serve, by a process in it: the last word of `pasta … PID` and of
/// `slirp4netns … PID tap0`.
pub(super) fn serves_netns_of(cmdline: &str) -> Option<u32> {
    let mut words = cmdline.split_ascii_whitespace().rev();
    words.by_ref().take(2).find_map(|w| w.parse().ok())
}

/// `-t 8080:80,127.0.0.1/9000-9010:90-100` and the same of `-u`, as often as they are there (passt(1)); what it listens to
/// besides goes to the same port inside.
fn pasta(words: &[&str]) -> Vec<Said> {
    let mut out = Vec::new();
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        let (flag, glued) = word.split_once('=').map_or((*word, None), |(f, v)| (f, Some(v)));
        let proto = match flag {
            "-t" | "--tcp-ports" => Proto::Tcp,
            "-u" | "--udp-ports" => Proto::Udp,
            // The command to run begins.
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
                (addr, ports_of(outside), ports_of(inside))
            else {
                continue;
            };
            for port in first..=last.min(first.saturating_add(super::WIDE)) {
                let host = Some(Endpoint::new(addr, port));
                let inside = Some(begin.saturating_add(port - first));
                out.push(Said { inside, ..Said::new(ForwardKind::Pasta, proto, host, None) });
            }
        }
    }
    out.extend(either(ForwardKind::Pasta, Some(0)));
    out
}

/// `80` and `80-90`.
fn ports_of(word: &str) -> Option<(u16, u16)> {
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
fn docker(words: &[&str]) -> Option<Said> {
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
    Some(Said::new(ForwardKind::DockerProxy, proto, host, target))
}

/// `TCP-LISTEN:8080,fork,bind=… TCP:10.0.0.2:80`; the two may stand the other way round.
fn socat(words: &[&str]) -> Option<Said> {
    let mut said = Said::new(ForwardKind::Socat, Proto::Tcp, None, None);
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
            said.host = place.parse().ok().map(|port| Endpoint::new(bind.unwrap_or(any), port));
            if kind.starts_with("UDP") {
                said.proto = Proto::Udp;
            }
        } else if kind.starts_with("TCP") || kind.starts_with("UDP") {
            said.target = endpoint(place);
        }
    }
    said.host?;
    Some(said)
}

/// `-L [bind:]port:host:hostport` and `-D [bind:]port`, as often as they are there. What `-R` asks for is listened to on the
/// far machine, by its server there, which does not say where to. What else it listens to it was told by an option or by its
/// configuration (`LocalForward`, `DynamicForward`).
fn ssh(words: &[&str]) -> Vec<Said> {
    let mut out = Vec::new();
    for (i, word) in words.iter().enumerate().skip(1) {
        // Flags without a value may stand before it: `-fNL 8080:host:80`.
        let Some(letters) = word.strip_prefix('-') else { continue };
        let rest = letters.trim_start_matches(|c| "46AaCfGgKkMNnqsTtVvXxYy".contains(c));
        let flag = ["L", "D"].into_iter().find(|f| rest.starts_with(f));
        let Some(flag) = flag else { continue };
        let spec = if rest.len() > 1 { &rest[1..] } else { words.get(i + 1).copied().unwrap_or("") };
        let parts = split(spec);
        let said = |bind: Option<&str>, port: &str, target| {
            let addr = bind.map_or(Some(Addr::v4([127, 0, 0, 1])), address)?;
            let host = Endpoint::new(addr, port.parse().ok()?);
            Some(Said::new(ForwardKind::Ssh, Proto::Tcp, Some(host), target))
        };
        let to = |host: &str, port: &str| Some(Endpoint::new(address(host)?, port.parse().ok()?));
        out.extend(match (flag, parts.as_slice()) {
            // The target is reached from the far machine, so it is none of ours.
            ("L", [bind, port, host, there]) => said(Some(bind), port, to(host, there)),
            ("L", [port, host, there]) => said(None, port, to(host, there)),
            ("D", [bind, port]) => said(Some(bind), port, None),
            ("D", [port]) => said(None, port, None),
            _ => None,
        });
    }
    out.push(Said::new(ForwardKind::Ssh, Proto::Tcp, None, None));
    out
}

/// At the colons outside brackets.
fn split(spec: &str) -> Vec<&str> {
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
    fn what_command_lines_say() {
        let said = |comm: &str, line: &str| {
            let end = |e: Option<Endpoint>| e.map_or("-".to_owned(), |e| e.to_string());
            let all = of(comm, line).into_iter();
            let inside = |s: &Said| s.inside.map_or_else(String::new, |p| format!(" :{p}"));
            all.map(|s| {
                let (by, proto) = (s.by.name(), s.proto.name());
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
            // Who listens for it.
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
            assert_eq!(said("x", line), want, "{line}");
        }
        assert_eq!(serves_netns_of("slirp4netns -c -e 3 812 tap0"), Some(812));
        assert_eq!(serves_netns_of("pasta --config-net 812"), Some(812));
        assert_eq!(serves_netns_of("slirp4netns --netns-type=path /run/netns-1 tap0"), None);
    }
}
