//! Programs that forward by themselves, known by their command lines.

use crate::model::{Addr, By, Endpoint, Proto};

/// What a command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) by: By,
    pub(super) proto: Proto,
    /// Where it listens, where it says so; the address may be any.
    pub(super) host: Option<Endpoint>,
    /// Where it sends to, where it says so by address.
    pub(super) target: Option<Endpoint>,
}

/// What a program forwards, by its command line; several where it does so for several ports.
pub(super) fn of(comm: &str, cmdline: &str) -> Vec<Said> {
    let words: Vec<&str> = cmdline.split_ascii_whitespace().collect();
    let program = words.first().map_or(comm, |w| w.rsplit('/').next().unwrap_or(w)).trim_end_matches(':');
    let name = if program.is_empty() { comm } else { program };
    let one = |by, host, target| vec![Said { by, proto: Proto::Tcp, host, target }];
    match (name, comm) {
        ("docker-proxy", _) => docker(&words).into_iter().collect(),
        ("socat" | "socat1", _) => socat(&words).into_iter().collect(),
        ("ssh", _) => ssh(&words),
        ("systemd-socket-proxyd", _) | (_, "systemd-socket-") => {
            one(By::SystemdProxy, None, words[1..].iter().rev().find_map(|w| endpoint(w)))
        }
        ("rootlessport", _) => one(By::Rootlessport, None, None),
        ("slirp4netns", _) => one(By::Slirp4netns, None, None),
        ("pasta" | "passt" | "pasta.avx2" | "passt.avx2", _) => one(By::Pasta, None, None),
        ("kubectl", _) if words.get(1) == Some(&"port-forward") => one(By::Kubectl, None, None),
        _ => Vec::new(),
    }
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
    Some(Said { by: By::DockerProxy, proto, host, target })
}

/// `TCP-LISTEN:8080,fork,bind=… TCP:10.0.0.2:80`; the two may stand the other way round.
fn socat(words: &[&str]) -> Option<Said> {
    let mut said = Said { by: By::Socat, proto: Proto::Tcp, host: None, target: None };
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
/// far machine.
fn ssh(words: &[&str]) -> Vec<Said> {
    let mut out = Vec::new();
    for (i, word) in words.iter().enumerate().skip(1) {
        let flag = ["-L", "-D"].into_iter().find(|f| word.starts_with(f));
        let Some(flag) = flag else { continue };
        let spec = if word.len() > 2 { &word[2..] } else { words.get(i + 1).copied().unwrap_or("") };
        let parts = split(spec);
        let said = |bind: Option<&str>, port: &str, target| {
            let addr = bind.map_or(Some(Addr::v4([127, 0, 0, 1])), address)?;
            let host = Endpoint::new(addr, port.parse().ok()?);
            Some(Said { by: By::Ssh, proto: Proto::Tcp, host: Some(host), target })
        };
        let to = |host: &str, port: &str| Some(Endpoint::new(address(host)?, port.parse().ok()?));
        out.extend(match (flag, parts.as_slice()) {
            // The target is reached from the far machine, so it is none of ours.
            ("-L", [bind, port, host, there]) => said(Some(bind), port, to(host, there)),
            ("-L", [port, host, there]) => said(None, port, to(host, there)),
            ("-D", [bind, port]) => said(Some(bind), port, None),
            ("-D", [port]) => said(None, port, None),
            _ => None,
        });
    }
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
            all.map(|s| format!("{} {} {} {}", s.by.name(), s.proto.name(), end(s.host), end(s.target)))
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
                "ssh tcp 127.0.0.1:8080 10.0.0.2:80; ssh tcp 127.0.0.1:1080 -; ssh tcp [::1]:9090 [fd00::5]:90",
            ),
            ("ssh -R 80:localhost:3000 host", ""),
            ("/usr/lib/systemd/systemd-socket-proxyd 127.0.0.1:8080", "systemd-proxy tcp - 127.0.0.1:8080"),
            ("rootlessport", "rootlessport tcp - -"),
            ("kubectl port-forward svc/web 8080:80", "kubectl tcp - -"),
            ("kubectl get pods", ""),
            ("nginx: worker process", ""),
            ("", ""),
        ] {
            assert_eq!(said("x", line), want, "{line}");
        }
    }
}
