//! Reads `nf_tables`: chains, rules, sets and their elements.
//!
//! Only where a rule can translate a destination, and then the tables of IPv4 and IPv6 with a base chain: a chain can only jump
//! within its table, and a forward is what rules before and after its translation let pass. iptables-nft uses the same tables,
//! with expressions of xtables.

use super::attrs::{be32, bytes, iter, message, nested, number, string};
use super::budget::Budget;
use super::iptables_legacy;
#[allow(clippy::wildcard_imports, reason = "constants of the kernel headers, all prefixed")]
use super::nfta::*;
use crate::collect::netlink::socket::{DumpError, DumpStats, Malformed, NetlinkSocket};
use crate::collect::netlink::wire::Request;
use crate::model::nft::{
    Chain, Data, Element, Expr, Hook, NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_NETDEV, Rule,
    Ruleset, Set, Table,
};
use crate::model::{Attrs, text};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::net::netlink::NETFILTER;

/// Most elements read of one set.
const MAX_ELEMENTS: usize = 10_000;
/// Sets from which their elements are read in parallel: the kernel searches the list of sets for each.
const PARALLEL_SETS: usize = 512;
/// Most threads that read elements.
const MAX_THREADS: usize = 4;

/// Family and name of a table.
type TableKey = (u8, Box<str>);

/// The ruleset of one namespace, and how the read went.
#[derive(Debug, Default)]
pub(super) struct Dump {
    pub(super) ruleset: Ruleset,
    /// Messages that could not be decoded.
    pub(super) malformed: u32,
    /// The ruleset changed during the dump.
    pub(super) interrupted: bool,
    /// A set has more than [`MAX_ELEMENTS`].
    pub(super) truncated: bool,
    /// The budget was spent before everything was read.
    pub(super) late: bool,
}

impl Dump {
    fn count(&mut self, stats: DumpStats) {
        self.malformed += stats.malformed;
        self.interrupted |= stats.interrupted;
        self.late |= stats.truncated;
    }

    fn merge(&mut self, other: &Self) {
        self.malformed += other.malformed;
        self.interrupted |= other.interrupted;
        self.truncated |= other.truncated;
        self.late |= other.late;
    }
}

/// Tables to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that forwarded packets pass, if anything translates.
    OfForwards,
    /// All with a base chain.
    All,
}

/// Reads the ruleset of the namespace that the socket is in.
pub(super) fn read(
    socket: &mut NetlinkSocket,
    netns: u16,
    budget: &Budget,
    which: Which,
) -> Result<Dump, DumpError> {
    let any = which == Which::All || iptables_legacy::translates();
    let keep_reading = |_| !budget.is_spent();
    let request = |message| Request::netfilter(NFNL_SUBSYS_NFTABLES, message, 0);
    let mut dump = Dump { ruleset: Ruleset { netns, tables: Vec::new() }, ..Dump::default() };
    let mut tables = Tables::default();
    let done = socket.dump_while(&request(NFT_MSG_GETCHAIN), keep_reading, |m| {
        budget.charge();
        let (key, chain) = decode_chain(m)?;
        let name = chain.name.clone();
        *tables.chain(key, &name) = chain;
        Ok(())
    })?;
    dump.count(done);
    if dump.late {
        return Ok(dump);
    }
    tables.retain_relevant(any);
    if tables.list.is_empty() {
        return Ok(dump);
    }
    let done = socket.dump_while(&request(NFT_MSG_GETTABLE), keep_reading, |m| {
        budget.charge();
        let (family, attrs) = message(m)?;
        let key = (family, string(&attrs, NFTA_TABLE_NAME).ok_or(Malformed)?);
        if let Some(table) = tables.get_mut(&key) {
            table.flags = be32(&attrs, NFTA_TABLE_FLAGS).unwrap_or(0);
        }
        Ok(())
    })?;
    dump.count(done);
    let done = socket.dump_while(&request(NFT_MSG_GETRULE), keep_reading, |m| {
        budget.charge();
        let (family, attrs) = message(m)?;
        let key = (family, string(&attrs, NFTA_RULE_TABLE).ok_or(Malformed)?);
        if tables.index.contains_key(&key) {
            let chain = string(&attrs, NFTA_RULE_CHAIN).ok_or(Malformed)?;
            tables.chain(key, &chain).rules.push(decode_rule(&attrs)?);
        }
        Ok(())
    })?;
    dump.count(done);
    let done = socket.dump_while(&request(NFT_MSG_GETSET), keep_reading, |m| {
        budget.charge();
        let (family, attrs) = message(m)?;
        let key = (family, string(&attrs, NFTA_SET_TABLE).ok_or(Malformed)?);
        if let Some(table) = tables.get_mut(&key) {
            table.sets.push(decode_set(&attrs)?);
        }
        Ok(())
    })?;
    dump.count(done);
    for table in &mut tables.list {
        if !dump.late {
            read_elements(socket, table, budget, &mut dump)?;
        }
    }
    dump.ruleset.tables = tables.list;
    Ok(dump)
}

/// Reads the elements of the sets that rules of the table look up.
fn read_elements(
    socket: &mut NetlinkSocket,
    table: &mut Table,
    budget: &Budget,
    dump: &mut Dump,
) -> Result<(), DumpError> {
    let looked_up = looked_up_sets(table);
    let (family, name) = (table.family, &*table.name);
    let mut sets: Vec<&mut Set> = table.sets.iter_mut().filter(|s| looked_up.contains(&s.name)).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    if sets.len() < PARALLEL_SETS || threads == 1 {
        dump.merge(&read_sets(socket, (family, name), &mut sets, budget)?);
        return Ok(());
    }
    // A thread is in the namespace of the one that starts it.
    let part = sets.len().div_ceil(threads);
    let parts = std::thread::scope(|scope| {
        let read = |sets| {
            move || {
                let mut socket = NetlinkSocket::open(Some(NETFILTER))?;
                read_sets(&mut socket, (family, name), sets, budget)
            }
        };
        let start = |sets| std::thread::Builder::new().name("sets".into()).spawn_scoped(scope, read(sets));
        let threads: Vec<_> = sets.chunks_mut(part).map(start).collect();
        let join = |t: std::io::Result<std::thread::ScopedJoinHandle<'_, Result<Dump, DumpError>>>| {
            t?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect::<Result<Vec<Dump>, DumpError>>()
    })?;
    for part in &parts {
        dump.merge(part);
    }
    Ok(())
}

/// Reads the elements of these sets of a table.
fn read_sets(
    socket: &mut NetlinkSocket,
    (family, table): (u8, &str),
    sets: &mut [&mut Set],
    budget: &Budget,
) -> Result<Dump, DumpError> {
    let mut dump = Dump::default();
    for set in sets {
        if budget.is_spent() {
            dump.late = true;
            break;
        }
        let mut request = Request::netfilter(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSETELEM, family);
        request.text_attribute(NFTA_SET_ELEM_LIST_TABLE, table);
        request.text_attribute(NFTA_SET_ELEM_LIST_SET, &set.name);
        let done = socket.dump_while(
            &request,
            |_| !budget.is_spent(),
            |m| {
                let (_, attrs) = message(m)?;
                for (_, element) in iter(attrs.get(NFTA_SET_ELEM_LIST_ELEMENTS).unwrap_or(&[])) {
                    if set.elements.len() < MAX_ELEMENTS && budget.charge() {
                        set.elements.push(decode_element(element));
                    } else {
                        dump.truncated = true;
                    }
                }
                Ok(())
            },
        );
        match done {
            Ok(done) => dump.count(done),
            // Deleted since the list of sets was read.
            Err(e) if e.is_unsupported() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(dump)
}

/// Names of the sets that rules of a table look up.
fn looked_up_sets(table: &Table) -> FxHashSet<Box<str>> {
    let expressions = table.chains.iter().flat_map(|c| &c.rules).flat_map(|r| &r.expressions);
    expressions.filter_map(|e| if let Expr::Lookup { set, .. } = e { set.clone() } else { None }).collect()
}

/// Tables in the order of the kernel, with indexes of tables and chains by name.
#[derive(Debug, Default)]
struct Tables {
    list: Vec<Table>,
    index: FxHashMap<TableKey, usize>,
    chains: FxHashMap<(usize, Box<str>), usize>,
}

impl Tables {
    fn get_mut(&mut self, key: &TableKey) -> Option<&mut Table> {
        self.list.get_mut(*self.index.get(key)?)
    }

    /// The chain of this name; added if the kernel did not list it.
    fn chain(&mut self, key: TableKey, name: &str) -> &mut Chain {
        let new_table = Table { family: key.0, name: key.1.clone(), ..Table::default() };
        let at = *self.index.entry(key).or_insert_with(|| {
            self.list.push(new_table);
            self.list.len() - 1
        });
        let chains = &mut self.list[at].chains;
        let chain = *self.chains.entry((at, name.into())).or_insert_with(|| {
            chains.push(Chain { name: name.into(), ..Chain::default() });
            chains.len() - 1
        });
        &mut chains[chain]
    }

    /// Drops the tables that no packet passes; without `any` all if nothing translates.
    fn retain_relevant(&mut self, any: bool) {
        let translates = |t: &Table| t.chains.iter().any(|c| c.nat_hook().is_some());
        let any = any || self.list.iter().any(translates);
        let is_ip =
            |t: &Table| matches!(t.family, NFPROTO_INET | NFPROTO_IPV4 | NFPROTO_IPV6 | NFPROTO_NETDEV);
        self.list.retain(|t| any && is_ip(t) && t.chains.iter().any(|c| c.hook.is_some()));
        self.index.clear();
        self.chains.clear();
        for (i, table) in self.list.iter().enumerate() {
            self.index.insert((table.family, table.name.clone()), i);
            self.chains.extend(table.chains.iter().enumerate().map(|(k, c)| ((i, c.name.clone()), k)));
        }
    }
}

fn decode_chain(bytes: &[u8]) -> Result<(TableKey, Chain), Malformed> {
    let (family, attrs) = message(bytes)?;
    let hook = attrs.get(NFTA_CHAIN_HOOK).map(nested).map(|hook| Hook {
        number: be32(&hook, NFTA_HOOK_HOOKNUM),
        priority: be32(&hook, NFTA_HOOK_PRIORITY).map_or(0, u32::cast_signed),
    });
    let chain = Chain {
        name: string(&attrs, NFTA_CHAIN_NAME).ok_or(Malformed)?,
        handle: attrs.get(NFTA_CHAIN_HANDLE).and_then(number),
        kind: string(&attrs, NFTA_CHAIN_TYPE),
        hook,
        devices: attrs.get(NFTA_CHAIN_HOOK).map(|hook| devices(&nested(hook))).unwrap_or_default(),
        policy: be32(&attrs, NFTA_CHAIN_POLICY),
        rules: Vec::new(),
    };
    Ok(((family, string(&attrs, NFTA_CHAIN_TABLE).ok_or(Malformed)?), chain))
}

/// Interfaces of a chain at the ingress hook: one, or a list.
fn devices(hook: &Attrs<'_>) -> Vec<Box<str>> {
    let list = iter(hook.get(NFTA_HOOK_DEVS).unwrap_or(&[])).filter(|(kind, _)| *kind == NFTA_DEVICE_NAME);
    let each = list.map(|(_, name)| name).chain(hook.get(NFTA_HOOK_DEV));
    let mut out: Vec<Box<str>> = each.map(|name| text::from_c_str(name).into()).collect();
    out.dedup();
    out
}

fn decode_rule(attrs: &Attrs<'_>) -> Result<Rule, Malformed> {
    let handle = attrs.get(NFTA_RULE_HANDLE).and_then(number).ok_or(Malformed)?;
    let list = iter(attrs.get(NFTA_RULE_EXPRESSIONS).unwrap_or(&[]));
    let expressions = list.filter(|(kind, _)| *kind == NFTA_LIST_ELEM).filter_map(|(_, e)| {
        let attrs = nested(e);
        let name = text::from_c_str(attrs.get(NFTA_EXPR_NAME)?);
        Some(decode_expression(&name, attrs.get(NFTA_EXPR_DATA).unwrap_or(&[])))
    });
    Ok(Rule { handle, expressions: expressions.collect() })
}

fn decode_set(attrs: &Attrs<'_>) -> Result<Set, Malformed> {
    Ok(Set {
        name: string(attrs, NFTA_SET_NAME).ok_or(Malformed)?,
        flags: be32(attrs, NFTA_SET_FLAGS).unwrap_or(0),
        key_type: be32(attrs, NFTA_SET_KEY_TYPE),
        key_len: be32(attrs, NFTA_SET_KEY_LEN).unwrap_or(0),
        data_type: be32(attrs, NFTA_SET_DATA_TYPE),
        data_len: be32(attrs, NFTA_SET_DATA_LEN),
        elements: Vec::new(),
    })
}

fn decode_element(element: &[u8]) -> Element {
    let attrs = nested(element);
    let value = |kind| attrs.get(kind).and_then(|d| bytes(&nested(d), NFTA_DATA_VALUE));
    Element {
        key: value(NFTA_SET_ELEM_KEY).unwrap_or_default(),
        key_end: value(NFTA_SET_ELEM_KEY_END),
        data: data(&attrs, NFTA_SET_ELEM_DATA),
        flags: be32(&attrs, NFTA_SET_ELEM_FLAGS).unwrap_or(0),
    }
}

/// A value or a verdict.
fn data(attrs: &Attrs<'_>, kind: u16) -> Option<Data> {
    let data = nested(attrs.get(kind)?);
    if let Some(verdict) = data.get(NFTA_DATA_VERDICT) {
        let verdict = nested(verdict);
        let code = be32(&verdict, NFTA_VERDICT_CODE).map_or(0, u32::cast_signed);
        return Some(Data::Verdict { code, chain: string(&verdict, NFTA_VERDICT_CHAIN) });
    }
    bytes(&data, NFTA_DATA_VALUE).map(Data::Value)
}

#[rustfmt::skip]
fn decode_expression(name: &str, payload: &[u8]) -> Expr {
    let attrs = nested(payload);
    let num = |kind| be32(&attrs, kind);
    let data = |kind| data(&attrs, kind);
    let text = |kind| string(&attrs, kind);
    let bytes = |kind| bytes(&attrs, kind);
    match name {
        "payload" => Expr::Payload {
            dreg: num(NFTA_PAYLOAD_DREG), base: num(NFTA_PAYLOAD_BASE), offset: num(NFTA_PAYLOAD_OFFSET),
            len: num(NFTA_PAYLOAD_LEN), sreg: num(NFTA_PAYLOAD_SREG),
        },
        "meta" => Expr::Meta { dreg: num(NFTA_META_DREG), key: num(NFTA_META_KEY), sreg: num(NFTA_META_SREG) },
        "cmp" => Expr::Cmp { sreg: num(NFTA_CMP_SREG), op: num(NFTA_CMP_OP), data: data(NFTA_CMP_DATA) },
        "range" => Expr::Range {
            sreg: num(NFTA_RANGE_SREG), op: num(NFTA_RANGE_OP),
            from: data(NFTA_RANGE_FROM_DATA), to: data(NFTA_RANGE_TO_DATA),
        },
        "bitwise" => Expr::Bitwise {
            sreg: num(NFTA_BITWISE_SREG), dreg: num(NFTA_BITWISE_DREG), len: num(NFTA_BITWISE_LEN),
            mask: data(NFTA_BITWISE_MASK), xor: data(NFTA_BITWISE_XOR),
        },
        "byteorder" => Expr::Byteorder {
            sreg: num(NFTA_BYTEORDER_SREG), dreg: num(NFTA_BYTEORDER_DREG), op: num(NFTA_BYTEORDER_OP),
            len: num(NFTA_BYTEORDER_LEN), size: num(NFTA_BYTEORDER_SIZE),
        },
        "immediate" => Expr::Immediate { dreg: num(NFTA_IMMEDIATE_DREG), data: data(NFTA_IMMEDIATE_DATA) },
        "lookup" => Expr::Lookup {
            set: text(NFTA_LOOKUP_SET), sreg: num(NFTA_LOOKUP_SREG), dreg: num(NFTA_LOOKUP_DREG),
            flags: num(NFTA_LOOKUP_FLAGS),
        },
        "nat" => Expr::Nat {
            kind: num(NFTA_NAT_TYPE), family: num(NFTA_NAT_FAMILY),
            addr_min: num(NFTA_NAT_REG_ADDR_MIN), addr_max: num(NFTA_NAT_REG_ADDR_MAX),
            proto_min: num(NFTA_NAT_REG_PROTO_MIN), proto_max: num(NFTA_NAT_REG_PROTO_MAX), flags: num(NFTA_NAT_FLAGS),
        },
        "redir" => Expr::Redir {
            proto_min: num(NFTA_REDIR_REG_PROTO_MIN), proto_max: num(NFTA_REDIR_REG_PROTO_MAX),
            flags: num(NFTA_REDIR_FLAGS),
        },
        "masq" => Expr::Masq {
            flags: num(NFTA_MASQ_FLAGS), proto_min: num(NFTA_MASQ_REG_PROTO_MIN), proto_max: num(NFTA_MASQ_REG_PROTO_MAX),
        },
        "match" => Expr::Match { name: text(NFTA_MATCH_NAME), revision: num(NFTA_MATCH_REV), info: bytes(NFTA_MATCH_INFO) },
        "target" => Expr::Target {
            name: text(NFTA_TARGET_NAME), revision: num(NFTA_TARGET_REV), info: bytes(NFTA_TARGET_INFO),
        },
        "fib" => Expr::Fib { dreg: num(NFTA_FIB_DREG), result: num(NFTA_FIB_RESULT), flags: num(NFTA_FIB_FLAGS) },
        "ct" => Expr::Ct {
            dreg: num(NFTA_CT_DREG), key: num(NFTA_CT_KEY), direction: num(NFTA_CT_DIRECTION), sreg: num(NFTA_CT_SREG),
        },
        "numgen" => Expr::Numgen {
            dreg: num(NFTA_NG_DREG), modulus: num(NFTA_NG_MODULUS), kind: num(NFTA_NG_TYPE), offset: num(NFTA_NG_OFFSET),
        },
        "hash" => Expr::Hash {
            sreg: num(NFTA_HASH_SREG), dreg: num(NFTA_HASH_DREG), len: num(NFTA_HASH_LEN),
            modulus: num(NFTA_HASH_MODULUS), kind: num(NFTA_HASH_TYPE), offset: num(NFTA_HASH_OFFSET),
        },
        "socket" => Expr::Socket { key: num(NFTA_SOCKET_KEY), dreg: num(NFTA_SOCKET_DREG) },
        "rt" => Expr::Rt { dreg: num(NFTA_RT_DREG), key: num(NFTA_RT_KEY) },
        "exthdr" => Expr::Exthdr {
            dreg: num(NFTA_EXTHDR_DREG), kind: num(NFTA_EXTHDR_TYPE), offset: num(NFTA_EXTHDR_OFFSET),
            len: num(NFTA_EXTHDR_LEN),
        },
        "osf" => Expr::Osf { dreg: num(NFTA_OSF_DREG) },
        "xfrm" => Expr::Xfrm { dreg: num(NFTA_XFRM_DREG), key: num(NFTA_XFRM_KEY) },
        "tunnel" => Expr::Tunnel { key: num(NFTA_TUNNEL_KEY), dreg: num(NFTA_TUNNEL_DREG) },
        _ => Expr::Other { name: name.into(), data: payload.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attr::push;
    use crate::model::nft::NFT_META_MARK;

    fn nest(parts: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, bytes) in parts {
            push(&mut out, *kind, bytes);
        }
        out
    }

    #[test]
    fn rule_keeps_known_and_unknown_expressions() {
        let meta =
            nest(&[(NFTA_META_DREG, &1u32.to_be_bytes()), (NFTA_META_KEY, &NFT_META_MARK.to_be_bytes())]);
        let meta = nest(&[(NFTA_EXPR_NAME, b"meta\0"), (NFTA_EXPR_DATA, &meta)]);
        let other = nest(&[(NFTA_EXPR_NAME, b"counter\0"), (NFTA_EXPR_DATA, &[1, 2, 3, 4])]);
        let list = nest(&[(NFTA_LIST_ELEM, &meta), (NFTA_LIST_ELEM, &other)]);
        let rule = nest(&[(NFTA_RULE_HANDLE, &7u64.to_be_bytes()), (NFTA_RULE_EXPRESSIONS, &list)]);
        let want = Rule {
            handle: 7,
            expressions: vec![
                Expr::Meta { dreg: Some(1), key: Some(NFT_META_MARK), sreg: None },
                Expr::Other { name: "counter".into(), data: [1, 2, 3, 4].into() },
            ],
        };
        assert_eq!(decode_rule(&nested(&rule)), Ok(want));
        for len in 0..rule.len() {
            let _ = decode_rule(&nested(&rule[..len]));
        }
    }

    #[test]
    fn chain_keeps_hook_type_and_policy() {
        let hook = nest(&[(NFTA_HOOK_HOOKNUM, &[0; 4]), (NFTA_HOOK_PRIORITY, &(-100i32).to_be_bytes())]);
        let mut message = vec![2, 0, 0, 0];
        message.extend(nest(&[
            (NFTA_CHAIN_TABLE, b"nat\0"),
            (NFTA_CHAIN_NAME, b"PREROUTING\0"),
            (NFTA_CHAIN_TYPE, b"nat\0"),
            (NFTA_CHAIN_HOOK, &hook),
            (NFTA_CHAIN_POLICY, &1u32.to_be_bytes()),
        ]));
        let (key, chain) = decode_chain(&message).unwrap();
        assert_eq!((key.0, &*key.1, &*chain.name), (2, "nat", "PREROUTING"));
        assert_eq!((chain.nat_hook(), chain.hook.unwrap().priority, chain.policy), (Some(0), -100, Some(1)));
        assert_eq!(decode_chain(&message[..12]), Err(Malformed));
    }
}
