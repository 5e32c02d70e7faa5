//! Firewall rules. What a rule compares is known from what it loaded before: addresses and interface names are replaced, numbers
//! (ports, protocols, marks, states) stay, and bytes of which nothing is known are replaced as a whole.

use super::Redactor;
use crate::model::Family;
use crate::model::sample::Netfilter;
use crate::model::sample::nft::{self, Bytes, Data, Element, Expr};
use crate::model::sample::xtables;
use rustc_hash::FxHashMap;

/// Names of tables, chains and sets that Linux, Docker, Kubernetes and libvirt give.
const COMMON: &[&str] = &[
    "nat",
    "filter",
    "mangle",
    "raw",
    "security",
    "route",
    "PREROUTING",
    "INPUT",
    "FORWARD",
    "OUTPUT",
    "POSTROUTING",
    "prerouting",
    "input",
    "forward",
    "output",
    "postrouting",
    "ingress",
    "egress",
    "DOCKER",
    "DOCKER-USER",
    "DOCKER-FORWARD",
    "DOCKER-CT",
    "DOCKER-BRIDGE",
    "DOCKER-INTERNAL",
    "DOCKER-INGRESS",
    "DOCKER-ISOLATION-STAGE-1",
    "DOCKER-ISOLATION-STAGE-2",
    "KUBE-SERVICES",
    "KUBE-NODEPORTS",
    "KUBE-POSTROUTING",
    "KUBE-MARK-MASQ",
    "KUBE-FORWARD",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-FIREWALL",
    "KUBE-PROXY-FIREWALL",
    "CNI-HOSTPORT-DNAT",
    "CNI-HOSTPORT-MASQ",
    "CNI-HOSTPORT-SETMARK",
    "NETAVARK-HOSTPORT-DNAT",
    "NETAVARK-HOSTPORT-SETMARK",
    "LIBVIRT_PRT",
    "LIBVIRT_INP",
    "LIBVIRT_OUT",
    "LIBVIRT_FWI",
    "LIBVIRT_FWO",
    "LIBVIRT_FWX",
    "netavark",
    "kube-proxy",
    "firewalld",
    "docker-bridges",
    "inet",
    "ip",
    "ip6",
    "ERROR",
];

/// Expressions of the kernel that are not decoded. Their attributes are overwritten.
const EXPRESSIONS: &[&str] = &[
    "counter",
    "log",
    "limit",
    "reject",
    "queue",
    "notrack",
    "quota",
    "dynset",
    "objref",
    "tproxy",
    "dup",
    "fwd",
    "flow_offload",
    "connlimit",
    "last",
    "inner",
    "synproxy",
    "dup_netdev",
];

/// Extensions of xtables whose structures hold numbers alone. Of others only the name stays.
const NUMERIC: &[&str] = &[
    "tcp",
    "udp",
    "udplite",
    "sctp",
    "dccp",
    "multiport",
    "addrtype",
    "mark",
    "connmark",
    "statistic",
    "state",
    "icmp",
    "icmp6",
    "tos",
    "dscp",
    "length",
    "ttl",
    "cpu",
    "rpfilter",
    "socket",
    "MARK",
    "CONNMARK",
    "MASQUERADE",
    "REJECT",
    "NOTRACK",
    "CT",
    "NFQUEUE",
    "QUEUE",
];
/// Other extensions of the kernel.
const EXTENSIONS: &[&str] = &[
    "comment",
    "limit",
    "hashlimit",
    "owner",
    "string",
    "set",
    "recent",
    "physdev",
    "iprange",
    "mac",
    "time",
    "LOG",
    "NFLOG",
    "TPROXY",
    "TCPMSS",
    "TRACE",
    "bpf",
    "cgroup",
    "conntrack",
    "DNAT",
    "SNAT",
    "NETMAP",
    "REDIRECT",
    "CHECKSUM",
    "ecn",
    "connlimit",
    "quota",
    "rateest",
    "realm",
    "u32",
    "helper",
    "pkttype",
    "policy",
    "esp",
    "ah",
    "tcpmss",
];

/// Types of set keys of nft(8): `TYPE_BITS` each in a concatenation.
const TYPE_BITS: u32 = 6;
const TYPE_IPADDR: u32 = 7;
const TYPE_IP6ADDR: u32 = 8;
const TYPE_IFNAME: u32 = 41;
/// Types that are numbers: nfproto, protocol, port, icmp types, tcp flags, dccp, mobility, time, mark, ifindex, arphrd, realm,
/// class, uid, gid, ct state, direction, status, icmpv6, packet type, icmp codes, fib address type.
const NUMBER_TYPES: &[u32] =
    &[2, 6, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 31, 33, 34, 35, 39, 42];

/// Keys of `ct` that are addresses: `NFT_CT_SRC`, `DST`, `SRC_IP`, `DST_IP`, `SRC_IP6`, `DST_IP6`.
const CT_ADDRESSES: [u32; 6] = [8, 9, 19, 20, 21, 22];
/// Keys of `ct` that are numbers.
const CT_NUMBERS: [u32; 15] = [0, 1, 2, 3, 4, 5, 7, 10, 11, 12, 14, 15, 16, 17, 18];
/// Keys of `meta` that are interface names: `IIFNAME`, `OIFNAME` and those of bridges.
const META_NAMES: [u32; 4] = [6, 7, 17, 18];
/// Last key of `meta` that is known to be a number: `NFT_META_PRANDOM`.
const META_LAST_NUMBER: u32 = 24;
/// `NFT_FIB_RESULT_OIFNAME`.
const FIB_NAME: u32 = 2;

/// Content of a register.
#[derive(Clone, Debug, Default, PartialEq)]
enum Held {
    /// Address, or its first bytes. `v6` and the mask that was applied.
    Addr(bool, Option<Bytes>),
    Interface,
    Number,
    #[default]
    Unknown,
}

fn type_of(number: u32) -> Held {
    match number {
        TYPE_IPADDR => Held::Addr(false, None),
        TYPE_IP6ADDR => Held::Addr(true, None),
        TYPE_IFNAME => Held::Interface,
        n if NUMBER_TYPES.contains(&n) => Held::Number,
        _ => Held::Unknown,
    }
}

/// Parts of a key or value: each with its length. Empty if the type and the length do not agree.
fn parts_of(kind: Option<u32>, len: usize) -> Vec<(Held, usize)> {
    let mut kinds = Vec::new();
    let mut left = kind.unwrap_or(0);
    while left > 0 {
        kinds.insert(0, type_of(left & ((1 << TYPE_BITS) - 1)));
        left >>= TYPE_BITS;
    }
    if let [kind] = &kinds[..] {
        return vec![(kind.clone(), len)];
    }
    let width = |k: &Held| match k {
        Held::Addr(true, _) | Held::Interface => 16,
        _ => 4,
    };
    let parts: Vec<(Held, usize)> = kinds.into_iter().map(|k| (k.clone(), width(&k))).collect();
    if parts.iter().map(|(_, n)| n).sum::<usize>() == len { parts } else { Vec::new() }
}

impl Redactor {
    pub(super) fn netfilter(&self, rules: &mut Netfilter) {
        let Netfilter { nft, iptables } = rules;
        for table in nft.iter_mut().flat_map(|r| &mut r.tables) {
            self.nft_table(table);
        }
        for table in iptables {
            self.xtables(table);
        }
    }

    /// Name of a table, chain, set or extension.
    fn rule_name(&self, name: &str) -> Box<str> {
        if COMMON.contains(&name) || name.is_empty() { name.into() } else { self.word("chain", name).into() }
    }

    fn nft_table(&self, table: &mut nft::Table) {
        let nft::Table { family, name, flags: _, chains, sets } = table;
        *name = self.rule_name(name);
        for chain in chains {
            let nft::Chain { name, handle: _, kind, hook: _, devices, policy: _, rules } = chain;
            *name = self.rule_name(name);
            *kind = kind.as_deref().map(|k| self.rule_name(k));
            for device in devices {
                *device = self.interface(device).into();
            }
            for nft::Rule { handle: _, expressions } in rules {
                self.expressions(expressions, *family);
            }
        }
        for set in sets {
            self.set(set);
        }
    }

    fn set(&self, set: &mut nft::Set) {
        let nft::Set { name, flags, key_type, key_len, data_type, data_len, elements } = set;
        *name = self.rule_name(name);
        let keys = parts_of(*key_type, *key_len as usize);
        let values = parts_of(*data_type, data_len.unwrap_or(0) as usize);
        let has_addresses = keys.is_empty() || keys.iter().any(|(k, _)| !matches!(k, Held::Number));
        let is_ranges = *flags & nft::NFT_SET_INTERVAL != 0 && has_addresses;
        let mut out: Vec<Element> = Vec::new();
        for element in elements.drain(..) {
            let Element { key, key_end, data, flags } = element;
            let is_end = flags & nft::NFT_SET_ELEM_INTERVAL_END != 0;
            // A permuted range is none: its first address stands for it.
            if is_ranges && is_end {
                continue;
            }
            let key = self.parts(&key, &keys);
            let key_end = key_end.map(|end| if is_ranges { key.clone() } else { self.parts(&end, &keys) });
            let data = data.map(|d| self.data(d, |bytes| self.parts(bytes, &values)));
            out.push(Element { key, key_end, data, flags });
        }
        if is_ranges {
            let is_catch_all = |e: &Element| e.flags & nft::NFT_SET_ELEM_CATCHALL != 0;
            out.sort_by(|a, b| (is_catch_all(a), &a.key).cmp(&(is_catch_all(b), &b.key)));
            out.dedup_by(|a, b| a.key == b.key);
            let with_end = |e: Element| {
                let end = (e.key_end.is_none() && !is_catch_all(&e)).then(|| Element {
                    key: successor(&e.key),
                    key_end: None,
                    data: None,
                    flags: nft::NFT_SET_ELEM_INTERVAL_END,
                });
                [Some(e), end].into_iter().flatten()
            };
            out = out.into_iter().flat_map(with_end).collect();
        }
        *elements = out;
    }

    /// Bytes of a key or value. Without parts nothing is known of them.
    fn parts(&self, bytes: &[u8], parts: &[(Held, usize)]) -> Bytes {
        if parts.is_empty() || parts.iter().map(|(_, n)| n).sum::<usize>() != bytes.len() {
            return self.unknown(bytes);
        }
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        for (held, len) in parts {
            let (part, after) = rest.split_at(*len);
            out.extend_from_slice(&self.held(part, held));
            rest = after;
        }
        out.into()
    }

    fn data(&self, data: Data, value: impl FnOnce(&[u8]) -> Bytes) -> Data {
        match data {
            Data::Value(bytes) => Data::Value(value(&bytes)),
            Data::Verdict { code, chain } => {
                Data::Verdict { code, chain: chain.map(|name| self.rule_name(&name)) }
            }
        }
    }

    fn held(&self, bytes: &[u8], held: &Held) -> Bytes {
        match held {
            Held::Number if bytes.len() <= 8 => bytes.into(),
            Held::Addr(v6, mask) if bytes.len() <= if *v6 { 16 } else { 4 } => {
                self.addr_bytes(bytes, mask.as_deref(), *v6)
            }
            Held::Interface => self.interface_bytes(bytes),
            _ => self.unknown(bytes),
        }
    }

    /// Other bytes of the same length. A byte or two are a port or a number; zeros stay.
    fn unknown(&self, bytes: &[u8]) -> Bytes {
        if bytes.len() <= 2 || bytes.iter().all(|b| *b == 0) {
            return bytes.into();
        }
        let block = |n: usize| self.hash("bytes", &[bytes, &n.to_le_bytes()].concat()).to_le_bytes();
        let mut out: Vec<u8> = (0..bytes.len().div_ceil(8)).flat_map(block).collect();
        out.truncate(bytes.len());
        out.into()
    }

    /// Name of an interface, padded with zeros; without them it is the begin of one.
    fn interface_bytes(&self, bytes: &[u8]) -> Bytes {
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        let name = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut out = self.interface(&name).into_bytes();
        out.resize(bytes.len(), 0);
        out.into()
    }

    fn expressions(&self, expressions: &mut [Expr], family: u8) {
        let mut held: FxHashMap<u32, Held> = FxHashMap::default();
        for i in 0..expressions.len() {
            let Some((expr, after)) = expressions[i..].split_first_mut() else { return };
            self.expression(expr, after, &mut held, family);
        }
    }

    fn expression(&self, expr: &mut Expr, after: &[Expr], held: &mut FxHashMap<u32, Held>, family: u8) {
        let get = |held: &FxHashMap<u32, Held>, reg: &Option<u32>| {
            reg.and_then(|r| held.get(&r).cloned()).unwrap_or_default()
        };
        let mut set = |reg: &Option<u32>, value: Held| {
            if let Some(reg) = reg {
                held.insert(*reg, value);
            }
        };
        match expr {
            Expr::Payload { dreg, base, offset, len, sreg: _ } => set(dreg, payload(*base, *offset, *len)),
            Expr::Meta { dreg, key, sreg: _ } => set(
                dreg,
                match key {
                    Some(k) if META_NAMES.contains(k) => Held::Interface,
                    Some(k) if *k <= META_LAST_NUMBER => Held::Number,
                    _ => Held::Unknown,
                },
            ),
            Expr::Ct { dreg, key, direction: _, sreg: _ } => set(
                dreg,
                match key {
                    // Of `NFT_CT_SRC` and `DST` the family is that of the packet.
                    Some(k) if CT_ADDRESSES.contains(k) => {
                        Held::Addr(matches!(k, 21 | 22) || (*k < 10 && family == nft::NFPROTO_IPV6), None)
                    }
                    Some(k) if CT_NUMBERS.contains(k) => Held::Number,
                    _ => Held::Unknown,
                },
            ),
            Expr::Fib { dreg, result, flags: _ } => {
                set(dreg, if *result == Some(FIB_NAME) { Held::Interface } else { Held::Number });
            }
            Expr::Cmp { sreg, op: _, data } => {
                let held = get(held, sreg);
                replace(data, |d| self.data(d, |bytes| self.held(bytes, &held)));
            }
            Expr::Range { sreg, op: _, from, to } => {
                let held = get(held, sreg);
                replace(from, |d| self.data(d, |bytes| self.held(bytes, &held)));
                // A permuted range is none.
                if held == Held::Number {
                    replace(to, |d| self.data(d, |bytes| self.held(bytes, &held)));
                } else {
                    to.clone_from(from);
                }
            }
            Expr::Bitwise { sreg, dreg, len: _, mask, xor } => {
                let value = get(held, sreg);
                let value = match (value, mask.as_ref().and_then(Data::value)) {
                    (Held::Addr(v6, None), Some(bytes)) if is_mask(bytes) => {
                        Held::Addr(v6, Some(bytes.into()))
                    }
                    (Held::Number, _) => Held::Number,
                    _ => Held::Unknown,
                };
                if value == Held::Unknown {
                    replace(mask, |d| self.data(d, |bytes| self.unknown(bytes)));
                }
                replace(xor, |d| self.data(d, |bytes| self.held(bytes, &value)));
                if let Some(reg) = dreg {
                    held.insert(*reg, value);
                }
            }
            Expr::Byteorder { sreg, dreg, op: _, len: _, size: _ } => {
                let value = get(held, sreg);
                if let Some(reg) = dreg {
                    held.insert(*reg, if value == Held::Number { value } else { Held::Unknown });
                }
            }
            Expr::Immediate { dreg, data } => {
                let value = dreg.map_or(Held::Unknown, |reg| consumer(reg, after, family));
                replace(data, |d| self.data(d, |bytes| self.immediate(bytes, &value)));
                set(dreg, value);
            }
            Expr::Lookup { set: name, sreg: _, dreg, flags: _ } => {
                *name = name.as_deref().map(|n| self.rule_name(n));
                set(dreg, Held::Unknown);
            }
            Expr::Match { name, revision: _, info } | Expr::Target { name, revision: _, info } => {
                let v6 = family == nft::NFPROTO_IPV6;
                if let Some(name) = name {
                    let bytes = info.take().unwrap_or_default();
                    let (new, bytes) = self.extension(name, bytes, v6);
                    (*name, *info) = (new, Some(bytes));
                } else {
                    *info = None;
                }
            }
            Expr::Other { name, data } => {
                if !EXPRESSIONS.contains(&&**name) {
                    *name = self.word("expr", name).into();
                }
                *data = vec![0; data.len()].into();
            }
            Expr::Nat { .. } | Expr::Redir { .. } | Expr::Masq { .. } => {}
            Expr::Numgen { dreg, .. }
            | Expr::Hash { dreg, .. }
            | Expr::Socket { dreg, .. }
            | Expr::Rt { dreg, .. }
            | Expr::Exthdr { dreg, .. }
            | Expr::Osf { dreg }
            | Expr::Xfrm { dreg, .. }
            | Expr::Tunnel { dreg, .. } => set(dreg, Held::Unknown),
        }
    }

    fn immediate(&self, bytes: &[u8], held: &Held) -> Bytes {
        match held {
            // In a table of family `inet` the length tells.
            Held::Addr(_, mask) if bytes.len() == 16 => self.addr_bytes(bytes, mask.as_deref(), true),
            Held::Addr(_, mask) if bytes.len() == 4 => self.addr_bytes(bytes, mask.as_deref(), false),
            held => self.held(bytes, held),
        }
    }

    /// Match or target of xtables.
    fn extension(&self, name: &str, info: Bytes, v6: bool) -> (Box<str>, Bytes) {
        let mut info = info.into_vec();
        match name {
            // A verdict, or the offset to jump to.
            "" => info.truncate(8),
            "ERROR" => {
                let end = info.iter().position(|b| *b == 0).unwrap_or(info.len());
                let chain = self.rule_name(&String::from_utf8_lossy(&info[..end]));
                let len = info.len();
                info = chain.as_bytes().to_vec();
                info.resize(len, 0);
            }
            "DNAT" | "SNAT" | "NETMAP" | "REDIRECT" => self.nat_range(&mut info, v6),
            // struct xt_conntrack_mtinfo3 begins with four addresses, each with its mask.
            "conntrack" if info.len() >= 128 => {
                for at in (0..128).step_by(32) {
                    let mask = info[at + 16..at + 32].to_vec();
                    self.nat_address(&mut info[at..at + 16], Some(&mask), v6);
                    if !is_mask(&mask) {
                        info[at + 16..at + 32].fill(0);
                    }
                }
            }
            n if NUMERIC.contains(&n) => {}
            n if EXTENSIONS.contains(&n) => info.fill(0),
            n => {
                info.fill(0);
                return (self.word("ext", n).into(), info.into());
            }
        }
        (name.into(), info.into())
    }

    /// Sixteen bytes of `union nf_inet_addr`.
    fn nat_address(&self, bytes: &mut [u8], mask: Option<&[u8]>, v6: bool) {
        let len = if v6 { 16 } else { 4 };
        let addr = self.addr_bytes(&bytes[..len], mask.map(|m| &m[..len]), v6);
        bytes.fill(0);
        bytes[..len].copy_from_slice(&addr);
    }

    /// `struct nf_nat_range`, or `struct nf_nat_ipv4_multi_range_compat` of revision 0.
    fn nat_range(&self, info: &mut [u8], v6: bool) {
        if info.len() >= 40 {
            self.nat_address(&mut info[4..20], None, v6);
            self.nat_address(&mut info[20..36], None, v6);
        } else if info.len() >= 16 {
            for at in [8, 12] {
                let addr = self.addr_bytes(&info[at..at + 4], None, false);
                info[at..at + 4].copy_from_slice(&addr);
            }
        } else {
            info.fill(0);
        }
    }

    fn xtables(&self, table: &mut xtables::Table) {
        let xtables::Table { netns: _, family, name, hooks: _, entries } = table;
        *name = self.rule_name(name);
        let v6 = *family == Family::Inet6;
        for entry in entries {
            let xtables::Entry {
                offset: _,
                len: _,
                src,
                src_mask,
                dst,
                dst_mask,
                iface,
                iface_mask,
                out_iface,
                out_iface_mask,
                proto: _,
                flags: _,
                invflags: _,
                matches,
                target,
            } = entry;
            for (addr, mask) in [(src, src_mask), (dst, dst_mask)] {
                if !is_mask(mask) {
                    *mask = [0; 16];
                }
                let mask = *mask;
                self.nat_address(addr, Some(&mask), v6);
            }
            self.masked_interface(iface, iface_mask);
            self.masked_interface(out_iface, out_iface_mask);
            for extension in matches.iter_mut().chain([target]) {
                let xtables::Extension { name, revision: _, info } = extension;
                (*name, *info) = self.extension(name, std::mem::take(info), v6);
            }
        }
    }

    /// Interface name of which the mask covers as much as is compared: with the final zero for a whole name.
    fn masked_interface(&self, name: &mut [u8; 16], mask: &mut [u8; 16]) {
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        let compared = mask.iter().take_while(|b| **b == 0xff).count();
        let new = self.interface(&String::from_utf8_lossy(&name[..end]));
        (*name, *mask) = ([0; 16], [0; 16]);
        let n = new.len().min(15);
        name[..n].copy_from_slice(&new.as_bytes()[..n]);
        if n > 0 {
            mask[..n + usize::from(compared > end)].fill(0xff);
        }
    }
}

fn replace(data: &mut Option<Data>, new: impl FnOnce(Data) -> Data) {
    *data = data.take().map(new);
}

/// True for bits that are set from the begin on, as those of a prefix: no other mask of an address stays.
fn is_mask(bytes: &[u8]) -> bool {
    let mut rest = bytes.iter().skip_while(|b| **b == 0xff);
    rest.next().is_none_or(|b| b.leading_ones() + b.trailing_zeros() >= 8) && rest.all(|b| *b == 0)
}

/// Number after this one, big-endian.
fn successor(bytes: &[u8]) -> Bytes {
    let mut out: Bytes = bytes.into();
    for b in out.iter_mut().rev() {
        *b = b.wrapping_add(1);
        if *b != 0 {
            break;
        }
    }
    out
}

/// Part of a packet that is loaded.
fn payload(base: Option<u32>, offset: Option<u32>, len: Option<u32>) -> Held {
    let (Some(base), Some(offset), Some(len)) = (base, offset, len) else { return Held::Unknown };
    match (base, offset, len) {
        (nft::NFT_PAYLOAD_NETWORK_HEADER, 12 | 16, 1..=4) => Held::Addr(false, None),
        (nft::NFT_PAYLOAD_NETWORK_HEADER, 8 | 24, 5..=16) => Held::Addr(true, None),
        (nft::NFT_PAYLOAD_TRANSPORT_HEADER, 0..=16, 1..=4) | (nft::NFT_PAYLOAD_NETWORK_HEADER, _, 1..=2) => {
            Held::Number
        }
        _ => Held::Unknown,
    }
}

/// Content of a register that is set by hand, from the expression that uses it.
fn consumer(reg: u32, after: &[Expr], family: u8) -> Held {
    for expr in after {
        match expr {
            Expr::Nat { family: own, addr_min, addr_max, proto_min, proto_max, .. } => {
                if [addr_min, addr_max].contains(&&Some(reg)) {
                    let v6 = own.map_or(family == nft::NFPROTO_IPV6, |f| f == u32::from(nft::NFPROTO_IPV6));
                    return Held::Addr(v6, None);
                }
                if [proto_min, proto_max].contains(&&Some(reg)) {
                    return Held::Number;
                }
            }
            Expr::Redir { proto_min, proto_max, .. } | Expr::Masq { proto_min, proto_max, .. }
                if [proto_min, proto_max].contains(&&Some(reg)) =>
            {
                return Held::Number;
            }
            Expr::Meta { sreg, .. } | Expr::Ct { sreg, .. } if *sreg == Some(reg) => return Held::Number,
            Expr::Payload { sreg, .. } if *sreg == Some(reg) => return Held::Unknown,
            _ => {}
        }
    }
    Held::Unknown
}
