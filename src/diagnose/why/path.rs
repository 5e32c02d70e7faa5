//! Steps of one namespace on the path: route, link, neighbour, conntrack, translation and firewall.

use super::{Status, Step};
use crate::diagnose::cause::{
    CONNTRACK_FULL, Cause, Effect, FORWARDING_OFF, LINK_DOWN, MARTIAN, NEIGHBOUR_FAILED, NO_CARRIER,
    NO_ROUTE, POLICY_DROPS, REPLY_STOPPED, ROUTE_BLACKHOLE, ROUTE_PROHIBIT, ROUTE_UNREACHABLE, RP_FILTER,
    RULE_DROPS, RULE_QUEUES, RULE_REJECTS,
};
use crate::format::thousands;
use crate::model::path::{
    HookVerdict, Hop, NUD_FAILED, NUD_INCOMPLETE, PolicyRule, RTN_BLACKHOLE, RTN_LOCAL, RTN_PROHIBIT,
    RTN_UNREACHABLE, RouteAnswer, RuleHit, Stage, Stop, Unread,
};
use crate::model::{Addr, Proto};

/// `errno` of a refused lookup.
const EACCES: i32 = 13;
const EXDEV: i32 = 18;
const EINVAL: i32 = 22;
const ENETUNREACH: i32 = 101;
const EHOSTUNREACH: i32 = 113;
/// `FR_ACT_BLACKHOLE` to `FR_ACT_PROHIBIT`.
const FR_ACTIONS: std::ops::RangeInclusive<u8> = 6..=8;

/// Steps of a hop.
pub(super) fn steps(hop: &Hop) -> Vec<Step> {
    let mut out = Vec::new();
    out.extend(translation(hop));
    out.push(route(hop));
    if out.last().is_some_and(Step::is_failure) {
        // The kernel looks the route up before the packet of a process meets a rule.
        return out;
    }
    out.extend(conntrack(hop));
    out.push(firewall(hop));
    out.extend(link(hop));
    out.extend(neighbour(hop));
    out.extend(reply(hop));
    out
}

fn translation(hop: &Hop) -> Option<Step> {
    let t = hop.translation.as_ref()?;
    let to = t.to.map_or_else(|| "one of several destinations".to_owned(), |to| to.to_string());
    let text = format!("{} goes to {to} by {}", hop.packet.dest, t.location);
    if t.conditions.is_empty() && t.to.is_some() {
        return Some(Step::ok("nat", text));
    }
    Some(Step::not_visible("nat", format!("{text}, if {}", condition_text(&t.conditions))))
}

fn condition_text(conditions: &str) -> &str {
    if conditions.is_empty() { "it is chosen" } else { conditions }
}

fn route(hop: &Hop) -> Step {
    let dest = hop.dest().addr;
    let refused = |errno: i32| match errno {
        ENETUNREACH => match down_link(hop, &dest) {
            Some(text) => Step::fails("route", &LINK_DOWN, text),
            None => Step::fails("route", &NO_ROUTE, format!("no route to {dest}{}", by_rule(hop))),
        },
        EHOSTUNREACH if hop.packet.iif.is_some() && !forwards(hop) => {
            let text = format!("{} does not forward, and {dest} is not its address", hop.net.name);
            Step::fails("route", &FORWARDING_OFF, text)
        }
        EHOSTUNREACH => {
            Step::fails("route", &ROUTE_UNREACHABLE, format!("{dest}: unreachable route{}", by_rule(hop)))
        }
        EACCES => Step::fails("route", &ROUTE_PROHIBIT, format!("{dest}: prohibit route{}", by_rule(hop))),
        EXDEV => refused_by_path(hop),
        EINVAL if is_filtered(hop) => refused_by_path(hop),
        EINVAL if hop.packet.iif.is_some() => {
            let source = hop.packet.source.map_or_else(String::new, |s| s.to_string());
            Step::fails("route", &MARTIAN, format!("{source} is no valid source here (martian)"))
        }
        EINVAL => Step::fails("route", &ROUTE_BLACKHOLE, format!("{dest}: blackhole route{}", by_rule(hop))),
        other => Step::not_visible("route", format!("{dest}: lookup failed with errno {other}")),
    };
    let r = match &hop.lookup.route {
        RouteAnswer::Found(r) => r,
        RouteAnswer::Refused(errno) => return refused(*errno),
        RouteAnswer::NotRead(why) => return Step::not_visible("route", &**why),
    };
    match r.kind {
        RTN_BLACKHOLE => return refused(EINVAL),
        RTN_PROHIBIT => return refused(EACCES),
        RTN_UNREACHABLE => return refused(ENETUNREACH),
        _ => {}
    }
    let name = hop.net.link(r.oif).map_or("?", |l| &*l.name);
    if r.kind != RTN_LOCAL && hop.packet.iif.is_some() && !forwards(hop) {
        let text = format!("{} does not forward, and {dest} is not its address", hop.net.name);
        return Step::fails("route", &FORWARDING_OFF, text);
    }
    if r.kind == RTN_LOCAL {
        return Step::ok("route", format!("{dest} is an address of {}", hop.net.name));
    }
    let via = r.gateway.map_or(String::new(), |g| format!(" via {g}"));
    let mtu =
        r.mtu.or_else(|| hop.net.link(r.oif).map(|l| l.mtu)).map_or(String::new(), |m| format!(", mtu {m}"));
    Step::ok("route", format!("{dest}{via} dev {name}, table {}{mtu}", table_name(r.table)))
}

/// True if the reverse path filter is on at the interface and the source is not an address of the namespace. Linux reports its verdict
/// as `EXDEV` or as `EINVAL`, by version.
fn is_filtered(hop: &Hop) -> bool {
    let Some((_, iif)) = &hop.packet.iif else { return false };
    let value = |name: &str| hop.net.sysctl(&format!("ipv4/conf/{name}/rp_filter")).unwrap_or(0);
    let is_own = hop.packet.source.is_none_or(|s| hop.net.has_addr(&s) || s.is_any());
    !is_own && hop.packet.dest.addr.is_v4() && value(iif).max(value("all")) > 0
}

fn refused_by_path(hop: &Hop) -> Step {
    let source = hop.packet.source.map_or_else(String::new, |s| format!(" from {s}"));
    let iif = hop.packet.iif.as_ref().map_or("", |(_, name)| name);
    Step::fails("route", &RP_FILTER, format!("rp_filter of {iif} drops packets{source}"))
}

fn table_name(table: u32) -> String {
    match table {
        253 => "default".to_owned(),
        254 => "main".to_owned(),
        255 => "local".to_owned(),
        other => other.to_string(),
    }
}

fn forwards(hop: &Hop) -> bool {
    let v6 = !hop.packet.dest.addr.is_v4();
    let path = if v6 { "ipv6/conf/all/forwarding" } else { "ipv4/ip_forward" };
    hop.net.sysctl(path) != Some(0)
}

/// An interface that is down and has an address on the network of the destination.
fn down_link(hop: &Hop, dest: &Addr) -> Option<String> {
    let down = hop.net.links.iter().filter(|l| !l.is_up() && !l.is_loopback());
    let mut down: Vec<_> = down.collect();
    down.extend(hop.net.links.iter().filter(|l| !l.is_up() && l.is_loopback()));
    for l in down {
        let on = hop.net.addrs.iter().filter(|a| a.link == l.index);
        for a in on {
            if a.addr.is_v4() == dest.is_v4() && dest.in_prefix(&a.addr, a.prefix) {
                return Some(format!("{} is down, which has the network of {dest}", l.name));
            }
        }
    }
    None
}

/// The policy rule that decides for this packet, if one of a type that refuses does.
fn by_rule(hop: &Hop) -> String {
    let p = &hop.packet;
    let matches = |r: &&PolicyRule| {
        let by_mark = r.mark.is_none_or(|(value, mask)| p.mark & mask == value);
        let by_uid = r.uids.is_none_or(|(a, b)| p.uid.is_some_and(|u| (a..=b).contains(&u)));
        let by_dest = r.dest.is_none_or(|(net, len)| hop.dest().addr.in_prefix(&net, len));
        let by_source = r.source.is_none_or(|(net, len)| p.source.is_some_and(|s| s.in_prefix(&net, len)));
        let by_iif = r.iif.as_ref().is_none_or(|n| p.iif.as_ref().map_or("lo", |(_, i)| i) == &**n);
        r.v6 != p.dest.addr.is_v4() && by_mark && by_uid && by_dest && by_source && by_iif && r.oif.is_none()
    };
    let mut rules: Vec<&PolicyRule> = hop.net.rules.iter().filter(matches).collect();
    rules.sort_by_key(|r| r.priority);
    let special = |r: &&&PolicyRule| FR_ACTIONS.contains(&r.action) || r.mark.is_some() || r.uids.is_some();
    let Some(r) = rules.iter().find(special) else { return String::new() };
    let mark = r.mark.map_or(String::new(), |(m, _)| format!(" fwmark {m:#x}"));
    let uids = r.uids.map_or(String::new(), |(a, b)| format!(" uidrange {a}-{b}"));
    let action = match r.action {
        6 => " blackhole".to_owned(),
        7 => " unreachable".to_owned(),
        8 => " prohibit".to_owned(),
        _ => format!(" lookup {}", table_name(r.table)),
    };
    format!(", policy rule {}:{mark}{uids}{action}", r.priority)
}

fn link(hop: &Hop) -> Option<Step> {
    let r = hop.route().filter(|r| r.kind != RTN_LOCAL)?;
    let l = hop.net.link(r.oif)?;
    if !l.is_up() {
        return Some(Step::fails("link", &NO_CARRIER, format!("{} is down", l.name)));
    }
    if l.has_no_carrier() {
        return Some(Step::fails("link", &NO_CARRIER, format!("{} has no carrier", l.name)));
    }
    Some(Step::ok("link", format!("{} is up, mtu {}", l.name, l.mtu)))
}

fn neighbour(hop: &Hop) -> Option<Step> {
    let r = hop.route().filter(|r| r.kind != RTN_LOCAL)?;
    let next = r.gateway.unwrap_or(hop.dest().addr);
    let n = hop.lookup.neighbour.as_ref()?;
    let name = hop.net.link(r.oif).map_or("?", |l| &*l.name);
    let fails = |state: &str| {
        let text = format!("{next} does not answer on {name} (neighbour {state})");
        // The kernel asks again for the next packet.
        Step::fails("neighbour", &NEIGHBOUR_FAILED, text).likely()
    };
    Some(match n.state {
        NUD_FAILED => fails("FAILED"),
        NUD_INCOMPLETE => fails("INCOMPLETE"),
        _ => Step::ok("neighbour", format!("{next} on {name} is known")),
    })
}

fn conntrack(hop: &Hop) -> Option<Step> {
    let count = hop.net.sysctl("netfilter/nf_conntrack_count")?;
    let max = hop.net.sysctl("netfilter/nf_conntrack_max").filter(|m| *m > 0)?;
    let text = format!("{} of {} connections tracked", thousands(count as u64), thousands(max as u64));
    if count >= max {
        return Some(Step::fails("conntrack", &CONNTRACK_FULL, text).likely());
    }
    None
}

fn firewall(hop: &Hop) -> Step {
    let v6 = !hop.dest().addr.is_v4();
    match &hop.verdict {
        HookVerdict::Passes => Step::ok("firewall", passes_text(hop)),
        HookVerdict::Unknown(why) => Step::not_visible("firewall", &**why),
        HookVerdict::Stopped(hit) => stopped(hop, hit, v6),
        HookVerdict::Maybe(hits) => match hits.iter().find(|h| !h.by_chance).or(hits.first()) {
            // Most packets are within a rate limit.
            Some(hit) if hit.by_chance => Step::not_visible("firewall", stopped(hop, hit, v6).evidence),
            Some(hit) => stopped(hop, hit, v6).likely(),
            None => Step::ok("firewall", passes_text(hop)),
        },
    }
}

fn passes_text(hop: &Hop) -> String {
    let hooks = match (hop.stage, hop.is_delivered()) {
        (Stage::Output, true) => "output, input",
        (Stage::Output, false) => "output",
        (Stage::Input, _) => "input",
        (Stage::Forward, _) => "forward",
    };
    if hop.net.unread(Unread::Firewall).is_some() {
        return hooks.to_owned();
    }
    format!("{hooks}: no rule stops it")
}

/// Name of a hook.
const fn hook_name(hook: u32) -> &'static str {
    match hook {
        0 => "prerouting",
        1 => "input",
        2 => "forward",
        3 => "output",
        _ => "postrouting",
    }
}

fn stopped(hop: &Hop, hit: &RuleHit, v6: bool) -> Step {
    let is_policy = hit.location.ends_with(" policy");
    let tcp = hop.packet.proto != Proto::Udp;
    let (cause, effect): (&'static Cause, Effect) = match hit.stop {
        Stop::Drop if is_policy => (&POLICY_DROPS, Effect::TimesOut),
        Stop::Drop => (&RULE_DROPS, Effect::TimesOut),
        Stop::Queue => (&RULE_QUEUES, Effect::TimesOut),
        Stop::Reset => (&RULE_REJECTS, Effect::Refused),
        Stop::Icmp(code) => (&RULE_REJECTS, icmp_effect(code, v6)),
    };
    let what = match hit.stop {
        Stop::Drop if is_policy => "drops what no rule accepts".to_owned(),
        Stop::Drop => "drops it".to_owned(),
        Stop::Queue => "passes it to a program".to_owned(),
        Stop::Reset if tcp => "rejects it with a reset".to_owned(),
        Stop::Reset => "rejects it".to_owned(),
        Stop::Icmp(code) => format!("rejects it with {}", icmp_name(code)),
    };
    let conditions =
        if hit.conditions.is_empty() { String::new() } else { format!(", if {}", hit.conditions) };
    let counter = hit.packets.map_or(String::new(), |n| format!(", {} packets so far", thousands(n)));
    let text = format!("{} {what} at {}{conditions}{counter}", hit.location, hook_name(hit.hook));
    Step { effect: Some(effect), ..Step::fails("firewall", cause, text) }
}

/// Effect of an ICMP code on `connect()` (`icmp_err_convert` in net/ipv4/icmp.c).
const fn icmp_effect(code: u8, v6: bool) -> Effect {
    match code {
        0 | 6 | 9 | 11 => Effect::NetUnreachable,
        3 => Effect::Refused,
        // `tab_unreach` in net/ipv6/icmp.c.
        13 if v6 => Effect::NotPermitted,
        _ => Effect::HostUnreachable,
    }
}

const fn icmp_name(code: u8) -> &'static str {
    match code {
        0 => "net unreachable",
        1 => "host unreachable",
        2 => "protocol unreachable",
        3 => "port unreachable",
        9 => "net prohibited",
        10 => "host prohibited",
        13 => "admin prohibited",
        _ => "an ICMP error",
    }
}

/// The answer: only if it is stopped.
fn reply(hop: &Hop) -> Option<Step> {
    if !matches!(hop.verdict, HookVerdict::Passes | HookVerdict::Maybe(_)) {
        return None;
    }
    let hit = match &hop.reply {
        HookVerdict::Stopped(hit) => hit,
        HookVerdict::Maybe(hits) => hits.iter().find(|h| !h.by_chance)?,
        HookVerdict::Passes | HookVerdict::Unknown(_) => return None,
    };
    let at = hook_name(hit.hook);
    let text = format!("{} stops the answer at {at}", hit.location);
    let step = Step::fails("answer", &REPLY_STOPPED, text);
    // Reset and ICMP error go to the server, not to the client.
    Some(Step { status: Status::Likely, effect: Some(Effect::TimesOut), ..step })
}

/// The step of the firewall for clients of a port, at the address of a hop.
pub(super) fn port_firewall(hop: &Hop) -> Step {
    let mut step = firewall(hop);
    let iif = hop.packet.iif.as_ref().map_or("", |(_, name)| name);
    step.evidence = format!("{} on {iif}: {}", hop.packet.dest.addr, step.evidence);
    step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::path::{FirstPacket, Link, Lookup, NetState, Route};
    use crate::testing::ep;

    fn hop(verdict: HookVerdict) -> Hop {
        let link = Link { index: 2, name: "eth0".into(), flags: UP, ..Link::default() };
        let packet = FirstPacket {
            proto: Proto::Tcp,
            source: None,
            dest: ep("10.0.0.4:80"),
            mark: 0,
            uid: None,
            iif: None,
            translated: false,
        };
        Hop {
            netns: 0,
            stage: Stage::Output,
            net: NetState { links: vec![link], ..NetState::default() },
            packet,
            translation: None,
            lookup: Lookup {
                route: RouteAnswer::Found(Route { oif: 2, ..Route::default() }),
                neighbour: None,
            },
            verdict,
            reply: HookVerdict::Passes,
        }
    }

    /// `IFF_UP`, `IFF_RUNNING` and `IFF_LOWER_UP`.
    const UP: u32 = 0x1_0041;

    /// Causes of the steps that fail.
    fn causes(hop: &Hop) -> Vec<(&'static str, Status)> {
        steps(hop).iter().filter(|s| s.is_failure()).filter_map(|s| Some((s.cause?.name, s.status))).collect()
    }

    #[test]
    fn full_conntrack_table_is_likely_and_one_below_it_no_cause() {
        let mut h = hop(HookVerdict::Passes);
        for (count, want) in [("999", vec![]), ("1000", vec![("conntrack-full", Status::Likely)])] {
            h.net.sysctls.insert("netfilter/nf_conntrack_count".into(), count.into());
            h.net.sysctls.insert("netfilter/nf_conntrack_max".into(), "1000".into());
            assert_eq!(causes(&h), want, "{count}");
        }
    }

    #[test]
    fn rule_that_queues_is_a_cause_of_its_own() {
        let hit = RuleHit {
            location: "ip f i handle 2".into(),
            hook: 1,
            stop: Stop::Queue,
            conditions: "".into(),
            packets: None,
            by_chance: false,
        };
        let h = hop(HookVerdict::Stopped(hit));
        assert_eq!(causes(&h), [("rule-queues", Status::Fails)]);
    }
}
