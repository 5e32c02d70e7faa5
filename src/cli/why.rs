//! The plan of `sockscope why`.

use super::args::{FormatArg, Why};
use super::error::UsageError;
use super::settings::value::flag_duration;
use crate::model::{Addr, Endpoint, Proto, Services};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Subject of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A destination.
    Endpoint(Endpoint),
    /// A destination by name, which only the hosts file resolves without a packet.
    Host(String, u16),
    /// A port of this machine.
    Port(u16),
    /// A process.
    Pid(u32),
    /// Processes by name.
    Name(String),
}

/// A question, checked.
#[derive(Clone, Debug)]
pub struct WhyPlan {
    /// Subject.
    pub target: Target,
    /// TCP or UDP.
    pub proto: Proto,
    /// Source address.
    pub source: Option<Addr>,
    /// User, by name or number.
    pub user: Option<String>,
    /// Process that connects.
    pub pid: Option<u32>,
    /// Mark of the connection.
    pub mark: u32,
    /// Time to wait for a real connect; `None` to make none.
    pub probe: Option<Duration>,
    /// Time between two answers of which the first that differs is waited for.
    pub watch: Option<Duration>,
    /// JSON instead of text.
    pub json: bool,
}

impl WhyPlan {
    pub(super) fn new(why: &Why, services: &Services) -> Result<Self, UsageError> {
        if let Ok(addr) = why.target.trim_matches(['[', ']']).parse::<IpAddr>() {
            let example = Endpoint::new(addr.into(), 443);
            return Err(UsageError(format!("why: no port in {:?}: expected {example}", why.target)));
        }
        let target = target(&why.target, services).ok_or_else(|| {
            UsageError(format!(
                "why: invalid target {:?}: expected 10.0.0.4:5432, [fd00::4]:5432, :443, a pid or the name of a process",
                why.target
            ))
        })?;
        let address = |text: &str| {
            text.parse::<IpAddr>().map(Addr::from).map_err(|_| {
                UsageError(format!("--source: invalid address {text:?}: expected 10.0.0.2 or fd00::2"))
            })
        };
        let mark = why.mark.as_deref().map(|text| {
            number(text)
                .ok_or_else(|| UsageError(format!("--mark: invalid mark {text:?}: expected 7 or 0x7")))
        });
        let probe = why.probe.as_deref().map(|t| flag_duration("--probe", t)).transpose()?;
        if probe.is_some() && !matches!(target, Target::Endpoint(_) | Target::Host(..)) {
            return Err(UsageError("--probe: connects to a destination: expected ADDR:PORT".into()));
        }
        Ok(Self {
            target,
            probe,
            watch: why.watch.as_deref().map(|t| flag_duration("--watch", t)).transpose()?,
            proto: if why.proto == "udp" { Proto::Udp } else { Proto::Tcp },
            source: why.source.as_deref().map(address).transpose()?,
            user: why.user.clone(),
            pid: why.pid,
            mark: mark.transpose()?.unwrap_or(0),
            json: why.json || why.format == FormatArg::Json,
        })
    }
}

/// A number, decimal or with `0x`.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn target(text: &str, services: &Services) -> Option<Target> {
    let port = |text: &str| match text.parse::<u16>() {
        Ok(0) => None,
        Ok(port) => Some(port),
        Err(_) => services.port(text),
    };
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return (addr.port() != 0).then(|| Target::Endpoint(Endpoint::new(addr.ip().into(), addr.port())));
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(Target::Pid);
    }
    let Some((host, end)) = text.rsplit_once(':') else {
        return (!text.is_empty()).then(|| Target::Name(text.to_owned()));
    };
    let end = port(end)?;
    match host.trim_start_matches('[').trim_end_matches(']') {
        "" | "*" => Some(Target::Port(end)),
        // An IPv6 address without brackets is ambiguous.
        host if host.contains(':') && !text.starts_with('[') => None,
        host => match host.parse::<IpAddr>() {
            Ok(ip) => Some(Target::Endpoint(Endpoint::new(ip.into(), end))),
            Err(_) => Some(Target::Host(host.to_owned(), end)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_without_a_port_is_an_error_that_shows_one() {
        let plan = |text: &str, probe: Option<&str>| {
            let why = Why { target: text.into(), probe: probe.map(str::to_owned), ..Why::default() };
            WhyPlan::new(&why, Services::well_known()).map_err(|e| e.to_string())
        };
        for (text, want) in [
            ("10.0.0.4", "why: no port in \"10.0.0.4\": expected 10.0.0.4:443"),
            ("fd00::4", "why: no port in \"fd00::4\": expected [fd00::4]:443"),
            ("[fd00::4]", "why: no port in \"[fd00::4]\": expected [fd00::4]:443"),
        ] {
            assert_eq!(plan(text, None).unwrap_err(), want);
        }
        assert_eq!(plan("10.0.0.4:80", Some("5s")).unwrap().probe, Some(Duration::from_secs(5)));
        assert!(plan(":80", Some("5s")).unwrap_err().contains("ADDR:PORT"));
        assert!(plan("10.0.0.4:80", Some("soon")).unwrap_err().contains("--probe"));
    }

    #[test]
    fn target_is_endpoint_port_pid_or_name() {
        let services = Services::well_known();
        let end = |text: &str| {
            let addr: SocketAddr = text.parse().unwrap();
            Some(Target::Endpoint(Endpoint::new(addr.ip().into(), addr.port())))
        };
        for (text, want) in [
            ("10.0.0.4:5432", end("10.0.0.4:5432")),
            ("[fd00::4]:53", end("[fd00::4]:53")),
            ("127.0.0.1:ssh", end("127.0.0.1:22")),
            (":443", Some(Target::Port(443))),
            ("*:ssh", Some(Target::Port(22))),
            ("812", Some(Target::Pid(812))),
            ("nginx", Some(Target::Name("nginx".into()))),
            ("db:5432", Some(Target::Host("db".into(), 5432))),
            ("10.0.0.4:0", None),
            ("10.0.0.4:70000", None),
            ("fd00::4:53", None),
            ("", None),
            (":", None),
        ] {
            assert_eq!(target(text, services), want, "{text}");
        }
        assert_eq!((number("7"), number("0x10"), number("x")), (Some(7), Some(16), None));
    }
}
