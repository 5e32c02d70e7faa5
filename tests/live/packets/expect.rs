//! Expected destination of a packet, by the columns of `sockscope forwards` that a user reads.

use super::world::{Probe, is_local};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// The columns that are read.
pub(super) const COLUMNS: &str = "proto,host,by,target,finding,how,hook,packets,conditions,filter";

/// A condition on a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    /// Random, or not known to the test.
    Maybe,
}

/// New destinations: first and last address and port; `None` for unchanged.
type Target = (Option<(IpAddr, IpAddr)>, Option<(u16, u16)>);

/// Checks where a probe was sent. `landed` is `None` if it was dropped.
pub(super) fn judge(rows: &[Value], probe: &Probe, landed: Option<(IpAddr, u16)>) -> Result<(), String> {
    let (mut certain, mut reached, mut possible) = (false, false, Vec::new());
    for row in rows {
        let holds = matches(row, probe);
        let stopped = stopped(row, probe);
        match holds {
            Holds::No => continue,
            Holds::Yes => certain = true,
            Holds::Maybe => {}
        }
        reached |= holds == Holds::Yes && stopped == Holds::No;
        if stopped != Holds::Yes {
            possible.push(row);
        } else if holds == Holds::Yes {
            // Not translated by another rule instead.
            possible.clear();
            break;
        }
    }
    let name = |row: &&Value| {
        format!("{} to {} by {}, filter {}", row["packets"], row["target"], row["how"], row["filter"])
    };
    let reported = || possible.iter().map(name).collect::<Vec<_>>().join("\n  ");
    let fits = match landed {
        None => !reached,
        Some(landed) if landed == probe.dest => {
            !certain || possible.iter().any(|r| target(r, probe).is_some_and(|t| includes(&t, probe, landed)))
        }
        Some(landed) => {
            possible.iter().any(|r| target(r, probe).is_some_and(|t| includes(&t, probe, landed)))
        }
    };
    let landed = landed.map_or_else(|| "nowhere".to_owned(), |(a, p)| SocketAddr::new(a, p).to_string());
    if fits { Ok(()) } else { Err(format!("{probe} was sent to {landed}; forwards:\n  {}", reported())) }
}

fn includes(target: &Target, probe: &Probe, landed: (IpAddr, u16)) -> bool {
    let (first, last) = target.0.unwrap_or((probe.dest.0, probe.dest.0));
    let ports = target.1.unwrap_or((probe.dest.1, probe.dest.1));
    (first..=last).contains(&landed.0) && (ports.0..=ports.1).contains(&landed.1)
}

/// The target of a row; of several, first and last from `how`.
fn target(row: &Value, probe: &Probe) -> Option<Target> {
    let how = row["how"].as_str()?;
    let text = how.split_once(", to one of ").map_or_else(|| row["target"].as_str(), |(_, t)| Some(t))?;
    // An address that is not written is unchanged, or that of the router.
    let unchanged = if row["by"] == "redirect" { Some((probe.arrives().1, probe.arrives().1)) } else { None };
    if text == "*" {
        return Some((unchanged, None));
    }
    let (addr, port) = text.rsplit_once(':')?;
    let parse = |a: &str| a.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let addrs = match addr.split_once('-') {
        Some((a, b)) => Some((parse(a)?, parse(b)?)),
        None if parse(addr)?.is_unspecified() => unchanged,
        None => Some((parse(addr)?, parse(addr)?)),
    };
    let ports = match port.split_once('-') {
        _ if port == "*" => None,
        Some((a, b)) => Some((a.parse().ok()?, b.parse().ok()?)),
        None => Some((port.parse().ok()?, port.parse().ok()?)),
    };
    Some((addrs, ports))
}

fn matches(row: &Value, probe: &Probe) -> Holds {
    let hook = row["hook"].as_str().unwrap_or("");
    if !hook.contains("prerouting") || row["finding"] == "shadowed" {
        return Holds::No;
    }
    let packets = &*row["packets"].as_str().unwrap_or("").replace(" values", "_values");
    let (packets, cut) = packets.strip_suffix(" …").map_or((packets, false), |p| (p, true));
    let mut out = Holds::No;
    for alternative in packets.split(" | ") {
        let each: Vec<Holds> = alternative.split_whitespace().map(|w| condition(w, probe)).collect();
        if each.contains(&Holds::No) {
            continue;
        }
        if each.contains(&Holds::Maybe) || cut {
            out = Holds::Maybe;
        } else {
            return Holds::Yes;
        }
    }
    out
}

/// True if the filter rules behind the translation stop a probe.
fn stopped(row: &Value, probe: &Probe) -> Holds {
    let filter = &*row["filter"].as_str().unwrap_or("not evaluated").replace(" values", "_values");
    let Some(parts) = filter.strip_prefix("partly: ") else {
        return match filter.split(' ').next() {
            Some("accepted") => Holds::No,
            Some("not") => Holds::Maybe,
            _ => Holds::Yes,
        };
    };
    let mut out = Holds::No;
    for part in parts.split("; ") {
        let words = ["dropped by ", "rejected by ", "queued by "];
        let end = words.iter().filter_map(|w| part.find(w)).min();
        let Some(packets) = end.map(|e| part[..e].trim()) else { return Holds::Maybe };
        let packets = packets.strip_suffix(" …").unwrap_or(packets);
        for alternative in packets.split(" | ") {
            let each: Vec<Holds> = alternative.split_whitespace().map(|w| condition(w, probe)).collect();
            if each.contains(&Holds::No) {
                continue;
            }
            if !each.contains(&Holds::Maybe) {
                return Holds::Yes;
            }
            out = Holds::Maybe;
        }
    }
    if out == Holds::No && filter.contains('…') { Holds::Maybe } else { out }
}

/// `field=values` of a probe.
fn condition(word: &str, probe: &Probe) -> Holds {
    let Some((field, values)) = word.split_once('=') else { return Holds::Maybe };
    // Too many to be written out.
    if values.ends_with("_values") {
        return Holds::Maybe;
    }
    let (values, not) = values.strip_prefix('!').map_or((values, false), |v| (v, true));
    let is_in = match field {
        "family" => Some(values == if probe.is_v6() { "ip6" } else { "ip" }),
        "protocol" => Some(values.split(',').any(|v| {
            let number = |v: &str| match v {
                "tcp" => Some(6),
                "udp" => Some(17),
                "sctp" => Some(132),
                "udplite" => Some(136),
                v => v.parse::<u16>().ok(),
            };
            let own = if probe.tcp { 6 } else { 17 };
            match v.split_once('-') {
                Some((a, b)) => number(a).zip(number(b)).is_some_and(|(a, b)| (a..=b).contains(&own)),
                None => number(v) == Some(own),
            }
        })),
        "source" => addresses(values, probe.source.0),
        "destination" => addresses(values, probe.dest.0),
        "source_port" => numbers(values, probe.source.1.into()),
        "destination_port" => numbers(values, probe.dest.1.into()),
        "iif" => Some(values.split(',').any(|v| match v.strip_suffix('*') {
            Some(prefix) => probe.arrives().0.starts_with(prefix),
            None => v == probe.arrives().0,
        })),
        "ct_state" => Some(values.split(',').any(|v| v == "new")),
        "destination_type" => {
            let kind = if is_local(probe.dest.0) { "local" } else { "unicast" };
            Some(values.split(',').any(|v| v == kind))
        }
        "source_type" => Some(values.split(',').any(|v| v == "unicast")),
        "mark" | "ct_mark" => numbers(values, 0),
        f if f.starts_with("mark_&_0x") && !f.contains('^') => numbers(values, 0),
        _ => None,
    };
    match is_in {
        Some(is_in) if is_in != not => Holds::Yes,
        Some(_) => Holds::No,
        None => Holds::Maybe,
    }
}

/// The number of an address, and its bits.
fn address(addr: IpAddr) -> (u128, u32) {
    match addr {
        IpAddr::V4(a) => (u32::from(a).into(), 32),
        IpAddr::V6(a) => (a.into(), 128),
    }
}

fn addresses(values: &str, own: IpAddr) -> Option<bool> {
    let (own, width) = address(own);
    let mut found = false;
    for v in values.split(',') {
        let number = |s: &str| {
            let (number, other) = address(s.parse().ok()?);
            Some(number).filter(|_| other == width)
        };
        let (first, last) = if let Some((net, bits)) = v.split_once('/') {
            let bits: u32 = bits.parse().ok()?;
            let net = number(net)?;
            (net, net | 1u128.checked_shl(width - bits).map_or(u128::MAX, |n| n - 1))
        } else if let Some((a, b)) = v.split_once('-') {
            (number(a)?, number(b)?)
        } else {
            (number(v)?, number(v)?)
        };
        found |= (first..=last).contains(&own);
    }
    Some(found)
}

fn numbers(values: &str, own: u32) -> Option<bool> {
    let number = |s: &str| match s.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => s.parse::<u32>().ok(),
    };
    let mut found = false;
    for v in values.split(',') {
        let (first, last) = v.split_once('-').unwrap_or((v, v));
        found |= (number(first)?..=number(last)?).contains(&own);
    }
    Some(found)
}
