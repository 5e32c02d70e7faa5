//! Firewall rules of a namespace for the first packet of a connection, hook by hook, and for the answer.

#[cfg(test)]
mod tests;

use super::ruleset::fields::Fields;
use super::ruleset::filter::HookPass;
use super::ruleset::first_packet::{Facts, Translations};
use super::ruleset::program::Program;
use super::ruleset::sets::Sets;
use super::ruleset::walk::{Evaluation, Limits};
use crate::model::nft::{
    NF_INET_FORWARD, NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING, NF_INET_PRE_ROUTING,
    NFPROTO_IPV4, NFPROTO_IPV6,
};
use crate::model::path::{
    FirstPacket, HookVerdict, Lookup, NetState, RTN_LOCAL, RTN_UNICAST, RouteAnswer, Stage, Translation,
    Unread,
};
use crate::model::{Addr, Endpoint, Netfilter, Proto};
use std::collections::BTreeMap;

/// Work for the rules of one hook.
const LIMITS: Limits = Limits { steps: 2_000_000, work: 4_000_000 };
/// Reason of a verdict that is missing.
const TOO_MANY: &str = "too many rules";

/// Evaluation of the rules of one namespace.
pub struct Rules<'a> {
    net: &'a NetState,
    program: Program<'a>,
    interfaces: BTreeMap<u32, String>,
}

impl<'a> Rules<'a> {
    /// The rules of a namespace; an error with the reason if they were not read.
    pub fn new(net: &'a NetState) -> Result<Self, String> {
        let Some(Netfilter { nft, iptables }) = &net.netfilter else {
            return Err(net.unread(Unread::Firewall).unwrap_or("not read").to_owned());
        };
        let interfaces = net.links.iter().map(|l| (l.index, l.name.to_string())).collect();
        Ok(Self { net, program: Program::new(nft.iter(), iptables.iter()), interfaces })
    }

    fn evaluate<T>(&self, work: impl FnOnce(&mut Evaluation<'_, '_>) -> T) -> T {
        let (mut fields, mut resolved, mut limits) = (Fields::default(), Sets::default(), LIMITS);
        let mut evaluation = Evaluation {
            program: &self.program,
            interfaces: &self.interfaces,
            fields: &mut fields,
            resolved: &mut resolved,
            limits: &mut limits,
        };
        work(&mut evaluation)
    }

    /// The translation of the destination of a packet: at the hook by which it enters the namespace.
    pub fn translation(&self, packet: &FirstPacket, stage: Stage) -> Option<Translation> {
        let mut facts = self.facts(packet, packet.dest);
        let hook = if stage == Stage::Output { NF_INET_LOCAL_OUT } else { NF_INET_PRE_ROUTING };
        if stage == Stage::Output && self.is_local(&packet.dest.addr) {
            facts.oif = Some("lo");
        }
        let Translations { found, may_stay } = self.evaluate(|e| facts.translations(e, hook))?;
        let only = found.len() == 1 && !may_stay;
        found.into_iter().next().map(|(location, conditions, to)| {
            let conditions = if only {
                String::new()
            } else if conditions.is_empty() {
                "one of several".into()
            } else {
                conditions
            };
            Translation { to, location: location.into(), conditions: conditions.into() }
        })
    }

    /// The verdict of the filter rules on a packet, whose destination is translated by `to`.
    pub fn verdict(
        &self,
        packet: &FirstPacket,
        to: Option<Endpoint>,
        stage: Stage,
        lookup: &Lookup,
    ) -> HookVerdict {
        let (oif, local, source) = route_facts(self.net, lookup);
        let mut packet = packet.clone();
        if stage == Stage::Output {
            packet.source = packet.source.or(source);
        }
        let early = |hook| HookPass { is_early: true, ..HookPass::new(hook) };
        let late = |hook| HookPass { is_late: true, ..HookPass::new(hook) };
        let dest = to.unwrap_or(packet.dest);
        let (mut before, mut after) = (self.facts(&packet, packet.dest), self.facts(&packet, dest));
        after.translated |= to.is_some();
        if local {
            after.dest_kind = Some(RTN_LOCAL);
        }
        let mut passes = Vec::new();
        if stage == Stage::Output {
            before.oif = oif.as_deref();
            after.oif = oif.as_deref();
            passes.push((before, early(NF_INET_LOCAL_OUT)));
            passes.push((after.clone(), late(NF_INET_LOCAL_OUT)));
            passes.push((after.clone(), HookPass::new(NF_INET_POST_ROUTING)));
            if local {
                // The socket of the packet is known up to the input hook; rules there match on it by other means.
                let looped = Facts { iif: Some("lo"), oif: None, uid: None, ..after };
                passes.push((looped.clone(), HookPass::new(NF_INET_PRE_ROUTING)));
                passes.push((looped, HookPass::new(NF_INET_LOCAL_IN)));
            }
        } else {
            passes.push((before, early(NF_INET_PRE_ROUTING)));
            passes.push((after.clone(), late(NF_INET_PRE_ROUTING)));
            if stage == Stage::Input {
                passes.push((after, HookPass::new(NF_INET_LOCAL_IN)));
            } else {
                let onward = Facts { oif: oif.as_deref(), ..after };
                passes.push((onward.clone(), HookPass::new(NF_INET_FORWARD)));
                let sent = Facts { iif: None, ..onward };
                passes.push((sent, HookPass::new(NF_INET_POST_ROUTING)));
            }
        }
        self.follow(passes)
    }

    /// The verdict of the filter rules on the answer to a packet that leaves or reaches the namespace.
    pub fn reply(
        &self,
        packet: &FirstPacket,
        to: Option<Endpoint>,
        stage: Stage,
        lookup: &Lookup,
    ) -> HookVerdict {
        let (oif, local, source) = route_facts(self.net, lookup);
        let client = packet.source.or(if stage == Stage::Output { source } else { None });
        let server = to.unwrap_or(packet.dest);
        let Some(client) = client else {
            return HookVerdict::Unknown("the address of the client is not known".into());
        };
        let came_in = packet.iif.as_ref().map(|(_, name)| &**name);
        let back = Facts {
            source: Some(server.addr),
            source_port: Some(server.port),
            source_kind: None,
            dest: client,
            dest_port: None,
            dest_kind: None,
            is_reply: true,
            mark: None,
            uid: None,
            translated: to.is_some() || packet.translated,
            ..self.facts(packet, server)
        };
        let kind = |local: bool| Some(if local { RTN_LOCAL } else { RTN_UNICAST });
        let mut passes = Vec::new();
        match stage {
            Stage::Output => {
                let input = Facts {
                    iif: if local { Some("lo") } else { oif.as_deref() },
                    source_kind: kind(local),
                    dest_kind: kind(true),
                    ..back
                };
                if local {
                    let sent = Facts { iif: None, oif: Some("lo"), ..input.clone() };
                    passes.push((sent.clone(), HookPass::new(NF_INET_LOCAL_OUT)));
                    passes.push((sent, HookPass::new(NF_INET_POST_ROUTING)));
                }
                passes.push((input.clone(), HookPass::new(NF_INET_PRE_ROUTING)));
                passes.push((input, HookPass::new(NF_INET_LOCAL_IN)));
            }
            Stage::Input => {
                let sent = Facts {
                    iif: None,
                    oif: came_in,
                    source_kind: kind(true),
                    dest_kind: kind(false),
                    ..back
                };
                passes.push((sent.clone(), HookPass::new(NF_INET_LOCAL_OUT)));
                passes.push((sent, HookPass::new(NF_INET_POST_ROUTING)));
            }
            Stage::Forward => {
                let onward = Facts {
                    iif: oif.as_deref(),
                    oif: came_in,
                    source_kind: kind(false),
                    dest_kind: kind(false),
                    ..back
                };
                let received = Facts { oif: None, ..onward.clone() };
                passes.push((received, HookPass::new(NF_INET_PRE_ROUTING)));
                passes.push((onward.clone(), HookPass::new(NF_INET_FORWARD)));
                passes.push((Facts { iif: None, ..onward }, HookPass::new(NF_INET_POST_ROUTING)));
            }
        }
        self.follow(passes)
    }

    /// The packet through the hooks, in order.
    fn follow(&self, passes: Vec<(Facts<'_>, HookPass)>) -> HookVerdict {
        let (mut maybe, mut untracked) = (Vec::new(), false);
        for (facts, pass) in passes {
            let found = self.evaluate(|e| facts.pass(e, pass, untracked));
            if !found.complete {
                return HookVerdict::Unknown(TOO_MANY.into());
            }
            untracked |= found.untracked;
            if !found.may_pass {
                // A rule of an earlier hook that may stop it comes first, and is the weaker evidence.
                return found.hits.into_iter().next().map_or(HookVerdict::Passes, HookVerdict::Stopped);
            }
            maybe.extend(found.hits);
        }
        if maybe.is_empty() { HookVerdict::Passes } else { HookVerdict::Maybe(maybe) }
    }

    fn is_local(&self, addr: &Addr) -> bool {
        self.net.has_addr(addr)
    }

    /// The packet with this destination.
    fn facts<'b>(&self, packet: &'b FirstPacket, dest: Endpoint) -> Facts<'b> {
        let v6 = !dest.addr.is_v4();
        let kind = |a: &Addr| if self.is_local(a) { RTN_LOCAL } else { RTN_UNICAST };
        Facts {
            family: if v6 { NFPROTO_IPV6 } else { NFPROTO_IPV4 },
            v6,
            proto: if packet.proto == Proto::Udp { 17 } else { 6 },
            source: packet.source,
            source_port: None,
            dest: dest.addr,
            dest_port: Some(dest.port),
            iif: packet.iif.as_ref().map(|(_, name)| &**name),
            oif: None,
            source_kind: packet.source.as_ref().map(kind),
            dest_kind: Some(kind(&dest.addr)),
            is_reply: false,
            mark: Some(packet.mark),
            uid: packet.uid,
            translated: packet.translated,
        }
    }
}

/// Output interface, delivery to this namespace, and source address of a route.
fn route_facts(net: &NetState, lookup: &Lookup) -> (Option<String>, bool, Option<Addr>) {
    let RouteAnswer::Found(route) = &lookup.route else { return (None, false, None) };
    let oif = net.link(route.oif).map(|l| l.name.to_string());
    (oif, route.kind == RTN_LOCAL, route.source)
}
