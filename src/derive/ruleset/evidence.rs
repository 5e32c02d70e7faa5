//! Evidence of a rule: its counter, and how it answers the packets that it rejects.

use super::program::{Program, Rule, RuleId};
use crate::model::nft::Expr;
use crate::model::path::Stop;
use crate::model::{Attrs, Family, Proto};

/// `NFTA_COUNTER_PACKETS`.
const NFTA_COUNTER_PACKETS: u16 = 2;
/// `NFTA_REJECT_TYPE` and `NFTA_REJECT_ICMP_CODE`.
const NFTA_REJECT_TYPE: u16 = 1;
const NFTA_REJECT_ICMP_CODE: u16 = 2;
/// `NFT_REJECT_TCP_RST` and `NFT_REJECT_ICMPX_UNREACH`.
const NFT_REJECT_TCP_RST: u32 = 1;
const NFT_REJECT_ICMPX_UNREACH: u32 = 2;
/// Codes for IPv4 of `enum nft_reject_inet_code`: no route, port, host, administratively prohibited.
const ICMPX_CODES: [u8; 4] = [0, 3, 1, 13];
/// Codes of `enum ipt_reject_with`: net, host, protocol, port unreachable, echo reply, net and host prohibited, TCP reset,
/// administratively prohibited.
const IPT_REJECT: [Stop; 9] = [
    Stop::Icmp(0),
    Stop::Icmp(1),
    Stop::Icmp(2),
    Stop::Icmp(3),
    Stop::Drop,
    Stop::Icmp(9),
    Stop::Icmp(10),
    Stop::Reset,
    Stop::Icmp(13),
];
/// The same for IPv4 of `enum ip6t_reject_with`: no route, prohibited, not neighbour, address, port, echo reply, TCP reset, policy,
/// reject route.
const IP6T_REJECT: [Stop; 9] = [
    Stop::Icmp(0),
    Stop::Icmp(13),
    Stop::Icmp(1),
    Stop::Icmp(1),
    Stop::Icmp(3),
    Stop::Drop,
    Stop::Reset,
    Stop::Icmp(13),
    Stop::Icmp(13),
];

impl Program<'_> {
    fn rule(&self, id: RuleId) -> Option<Rule<'_>> {
        self.chains.get(id.chain as usize)?.rules.get(id.rule as usize).copied()
    }

    /// Packets that a rule of `nf_tables` counted.
    pub(super) fn packets_counted(&self, id: RuleId) -> Option<u64> {
        let Rule::Nft(rule) = self.rule(id)? else { return None };
        rule.expressions.iter().find_map(|e| match e {
            Expr::Other { name, data } if &**name == "counter" => {
                let packets = attribute(data, NFTA_COUNTER_PACKETS)?;
                packets.first_chunk().map(|b| u64::from_be_bytes(*b))
            }
            _ => None,
        })
    }

    /// Answer of a rule to the packets that it rejects.
    pub(super) fn rejects_with(&self, id: RuleId, v6: bool) -> Stop {
        let by_target = |info: &[u8]| {
            let with = info.first_chunk().map_or(usize::MAX, |b| u32::from_ne_bytes(*b) as usize);
            let known = if v6 { IP6T_REJECT } else { IPT_REJECT };
            known.get(with).copied().unwrap_or(Stop::Icmp(3))
        };
        match self.rule(id) {
            Some(Rule::Legacy(e)) => by_target(&e.target.info),
            Some(Rule::Nft(rule)) => {
                let each = rule.expressions.iter().find_map(|e| match e {
                    Expr::Other { name, data } if &**name == "reject" => Some(reject(data, v6)),
                    Expr::Target { name: Some(name), info, .. } if &**name == "REJECT" => {
                        Some(by_target(info.as_deref().unwrap_or(&[])))
                    }
                    _ => None,
                });
                each.unwrap_or(Stop::Icmp(3))
            }
            None => Stop::Icmp(3),
        }
    }
}

/// Kind of a `reject` expression.
fn reject(data: &[u8], v6: bool) -> Stop {
    let kind =
        attribute(data, NFTA_REJECT_TYPE).and_then(|b| b.first_chunk()).map(|b| u32::from_be_bytes(*b));
    let code = attribute(data, NFTA_REJECT_ICMP_CODE).and_then(|b| b.first().copied()).unwrap_or(3);
    match kind {
        Some(NFT_REJECT_TCP_RST) => Stop::Reset,
        Some(NFT_REJECT_ICMPX_UNREACH) => {
            Stop::Icmp(ICMPX_CODES.get(usize::from(code)).copied().unwrap_or(3))
        }
        // ICMPv6: no route 0, prohibited 1, beyond scope 2, address 3, port 4.
        _ if v6 => Stop::Icmp([0, 13, 1, 1, 3].get(usize::from(code)).copied().unwrap_or(13)),
        _ => Stop::Icmp(code),
    }
}

fn attribute(data: &[u8], number: u16) -> Option<&[u8]> {
    Attrs::new(data, Family::Netlink, Proto::Raw).get(number)
}
