//! DNAT rules in the form nft(8) writes, for demo data and tests.

use super::{
    Chain, Data, Expr, Hook, NF_INET_PRE_ROUTING, NFPROTO_IPV4, NFPROTO_IPV6, NFT_CMP_EQ, NFT_CMP_NEQ,
    NFT_JUMP, NFT_META_IIFNAME, NFT_META_L4PROTO, NFT_NAT_DNAT, NFT_PAYLOAD_TRANSPORT_HEADER, NFT_REG_1,
    Rule, Ruleset, Table,
};
use crate::model::addr::Endpoint;
use crate::model::proto::Proto;

/// `NF_IP_PRI_NAT_DST`: priority of DNAT chains.
const NF_IP_PRI_NAT_DST: i32 = -100;
/// `NFT_REG_2`: holds the target port.
const NFT_REG_2: u32 = 2;
/// Name of the base chain.
const PREROUTING: &str = "PREROUTING";

/// `[iifname [!=] IFACE] PROTO dport PORT dnat to TARGET`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnatRule {
    /// `ip nat DOCKER handle 7`: family (`ip` or `ip6`), table, chain, handle.
    pub location: String,
    /// Incoming interface; with `!` before it, any other.
    pub iface: Option<String>,
    /// Transport protocol.
    pub proto: Proto,
    /// Destination port.
    pub port: u16,
    /// New destination.
    pub target: Endpoint,
}

impl Ruleset {
    /// Adds a rule, with its table, its chain and a jump to it from the base chain. `None`: invalid location or protocol.
    pub fn add_dnat(&mut self, rule: &DnatRule) -> Option<()> {
        let words: Vec<&str> = rule.location.split_ascii_whitespace().collect();
        let [family, table, chain, "handle", handle] = words[..] else { return None };
        let family = match family {
            "ip" => NFPROTO_IPV4,
            "ip6" => NFPROTO_IPV6,
            _ => return None,
        };
        let rule = Rule { handle: handle.parse().ok()?, expressions: rule.expressions()? };
        let found = self.tables.iter().position(|t| (t.family, &*t.name) == (family, table));
        let table = match found {
            Some(i) => self.tables.get_mut(i)?,
            None => {
                self.tables.push(Table { family, name: table.into(), ..Table::default() });
                self.tables.last_mut()?
            }
        };
        if table.chains.is_empty() {
            table.chains.push(Chain {
                name: PREROUTING.into(),
                kind: Some("nat".into()),
                hook: Some(Hook { number: Some(NF_INET_PRE_ROUTING), priority: NF_IP_PRI_NAT_DST }),
                ..Chain::default()
            });
        }
        if table.chains.iter().all(|c| *c.name != *chain) {
            let data = Data::Verdict { code: NFT_JUMP, chain: Some(chain.into()) };
            let expressions = vec![Expr::Immediate { dreg: Some(0), data: Some(data) }];
            table.chains.first_mut()?.rules.push(Rule { handle: 1, expressions });
            table.chains.push(Chain { name: chain.into(), ..Chain::default() });
        }
        table.chains.iter_mut().find(|c| *c.name == *chain)?.rules.push(rule);
        Some(())
    }
}

impl DnatRule {
    fn expressions(&self) -> Option<Vec<Expr>> {
        let l4proto = match self.proto {
            Proto::Tcp => 6,
            Proto::Udp => 17,
            Proto::Sctp => 132,
            _ => return None,
        };
        let bytes = |b: &[u8]| Some(Data::Value(b.into()));
        let cmp = |op, b: &[u8]| Expr::Cmp { sreg: Some(NFT_REG_1), op: Some(op), data: bytes(b) };
        let meta = |key| Expr::Meta { dreg: Some(NFT_REG_1), key: Some(key), sreg: None };
        let mut out = Vec::new();
        if let Some(iface) = &self.iface {
            let (op, name) =
                iface.strip_prefix('!').map_or((NFT_CMP_EQ, iface.as_str()), |n| (NFT_CMP_NEQ, n));
            let mut name = name.as_bytes().to_vec();
            name.resize(16, 0);
            out.extend([meta(NFT_META_IIFNAME), cmp(op, &name)]);
        }
        out.extend([meta(NFT_META_L4PROTO), cmp(NFT_CMP_EQ, &[l4proto])]);
        out.push(Expr::Payload {
            dreg: Some(NFT_REG_1),
            base: Some(NFT_PAYLOAD_TRANSPORT_HEADER),
            offset: Some(2),
            len: Some(2),
            sreg: None,
        });
        out.push(cmp(NFT_CMP_EQ, &self.port.to_be_bytes()));
        let octets = self.target.addr.octets();
        let v4 = self.target.addr.is_v4();
        let addr = if v4 { &octets[12..] } else { &octets[..] };
        out.push(Expr::Immediate { dreg: Some(NFT_REG_1), data: bytes(addr) });
        out.push(Expr::Immediate { dreg: Some(NFT_REG_2), data: bytes(&self.target.port.to_be_bytes()) });
        out.push(Expr::Nat {
            kind: Some(NFT_NAT_DNAT),
            family: Some(u32::from(if v4 { NFPROTO_IPV4 } else { NFPROTO_IPV6 })),
            addr_min: Some(NFT_REG_1),
            addr_max: None,
            proto_min: Some(NFT_REG_2),
            proto_max: None,
            flags: None,
        });
        Some(out)
    }
}
