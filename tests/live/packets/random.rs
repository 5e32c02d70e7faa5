//! Random small rulesets of nft, iptables-nft and iptables-legacy, and random probes. A seed makes the same ones again.

use super::six;
use super::world::Probe;

/// `SplitMix64`.
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Program that loads a ruleset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nft,
    IptablesNft,
    IptablesLegacy,
    Ip6tablesNft,
    Ip6tablesLegacy,
}

/// Address families of the packets that a ruleset sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Families {
    Inet,
    Inet6,
    Both,
}

/// A ruleset as chains of lines, so that one can be left out.
#[derive(Clone, Debug)]
pub(super) struct Ruleset {
    pub(super) families: Families,
    pub(super) kind: Kind,
    /// Text before and after the rules of each chain, and the rules.
    pub(super) chains: Vec<(String, Vec<String>, String)>,
    before: String,
    after: String,
}

impl Ruleset {
    pub(super) fn text(&self) -> String {
        let mut out = self.before.clone();
        for (head, rules, tail) in &self.chains {
            out.push_str(head);
            for rule in rules {
                out.push_str(rule);
                out.push('\n');
            }
            out.push_str(tail);
        }
        out + &self.after
    }

    pub(super) fn loader(&self) -> &'static str {
        match self.kind {
            Kind::Nft => "nft -f",
            Kind::IptablesNft => "iptables-nft-restore",
            Kind::IptablesLegacy => "iptables-legacy-restore",
            Kind::Ip6tablesNft => "ip6tables-nft-restore",
            Kind::Ip6tablesLegacy => "ip6tables-legacy-restore",
        }
    }

    /// The same rules for IPv6.
    fn in_ipv6(mut self) -> Self {
        for text in [&mut self.before, &mut self.after] {
            *text = six::translate(text);
        }
        for (head, rules, _) in &mut self.chains {
            *head = six::translate(head);
            for rule in rules.iter_mut() {
                *rule = six::translate(rule);
            }
        }
        self.families = Families::Inet6;
        self
    }

    /// Half of the rules of an inet table for IPv6.
    fn in_both(mut self, rng: &mut Rng) -> Self {
        let own = self.before.split_once('\n').map_or("", |(_, sets)| sets);
        let sets = six::translate_in_inet(own);
        let new = sets.lines().filter(|l| ["empty6", "hosts6", "to6"].iter().any(|n| l.contains(n)));
        let new: Vec<&str> = new.collect();
        self.before.push_str(&(new.join("\n") + "\n"));
        for rule in self.chains.iter_mut().flat_map(|c| &mut c.1).filter(|_| rng.one_in(2)) {
            *rule = six::translate_in_inet(rule);
        }
        self.families = Families::Both;
        self
    }

    /// Without each of its rules.
    pub(super) fn smaller(&self) -> Vec<Self> {
        let mut out = Vec::new();
        for (c, chain) in self.chains.iter().enumerate() {
            for r in 0..chain.1.len() {
                let mut smaller = self.clone();
                smaller.chains[c].1.remove(r);
                out.push(smaller);
            }
        }
        out
    }
}

const SOURCES: [&str; 7] = [
    "192.0.2.5",
    "192.0.2.6",
    "198.51.100.5",
    "192.0.2.0/24",
    "192.0.2.4/30",
    "198.51.100.0/25",
    "192.0.0.0/12",
];
const DESTS: [&str; 7] = [
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "203.0.113.7",
    "203.0.113.0/29",
    "203.0.113.8/30",
    "192.0.2.0/25",
];
const PORTS: [u16; 8] = [80, 81, 82, 443, 8000, 8001, 8002, 8003];
const TARGETS: [&str; 6] = ["10.77.0.2", "10.77.0.3", "10.77.0.4", "10.77.0.5", "10.77.0.6", "10.77.0.7"];

fn port_text(rng: &mut Rng, range: char) -> String {
    let port = rng.pick(&PORTS);
    match rng.below(3) {
        0 => format!("{port}{range}{}", port + 1 + rng.below(2) as u16),
        _ => port.to_string(),
    }
}

pub(super) fn ruleset(rng: &mut Rng) -> Ruleset {
    match rng.below(8) {
        0 => iptables(rng, Kind::IptablesNft),
        1 => iptables(rng, Kind::IptablesLegacy),
        2 => iptables(rng, Kind::Ip6tablesNft).in_ipv6(),
        3 => iptables(rng, Kind::Ip6tablesLegacy).in_ipv6(),
        _ => nft(rng),
    }
}

fn nft(rng: &mut Rng) -> Ruleset {
    let names = ["u1", "u2", "u3"];
    let inet = rng.one_in(3);
    let family = if inet { "inet" } else { "ip" };
    let mut before = format!("table {family} t {{\n");
    before.push_str(" set empty { type ipv4_addr; }\n map none { type inet_service : verdict; }\n");
    before.push_str(" set hosts { type ipv4_addr; flags interval; elements = { 192.0.2.4/31, 198.51.100.0/24, 203.0.113.1 }; }\n");
    before.push_str(" set ports { type inet_service; flags interval; elements = { 80-82, 8001 }; }\n");
    before.push_str(
        " map to { type inet_service : ipv4_addr; elements = { 80 : 10.77.0.2, 8000 : 10.77.0.3 }; }\n",
    );
    let mut chains = Vec::new();
    // A chain can only jump to one that comes before it here: no loops.
    for (i, name) in names.iter().enumerate() {
        let count = 1 + rng.below(4);
        let rules = (0..count).map(|_| nft_rule(rng, &names[..i], inet)).collect();
        chains.push((format!(" chain {name} {{\n"), rules, " }\n".to_owned()));
    }
    if rng.one_in(2) {
        let rules = (0..=rng.below(3)).map(|_| early_rule(rng, inet)).collect();
        let head =
            format!(" chain early {{\n type filter hook prerouting priority {};\n", rng.pick(&[-150, -300]));
        chains.push((head, rules, " }\n".to_owned()));
    }
    if rng.one_in(2) {
        for (hook, name) in [("forward", "fwd"), ("input", "inp")] {
            let rules = (0..=rng.below(4)).map(|_| filter_rule(rng, &names)).collect();
            let policy = if rng.one_in(3) { " policy drop;" } else { "" };
            let head = format!(
                " chain {name} {{\n type filter hook {hook} priority {};{policy}\n",
                rng.pick(&[0, -150, 50])
            );
            chains.push((head, rules, " }\n".to_owned()));
        }
    }
    if rng.one_in(6) {
        let rules = (0..=rng.below(2)).map(|_| filter_rule(rng, &[])).collect();
        let (hook, priority) = rng.pick(&[("postrouting", 0), ("prerouting", 0), ("postrouting", -150)]);
        chains.push((
            format!(" chain late {{\n type filter hook {hook} priority {priority};\n"),
            rules,
            " }\n".to_owned(),
        ));
    }
    for (i, base) in ["base1", "base2"].iter().enumerate().take(1 + rng.below(2)) {
        let priority = rng.pick(&[-100, -100, -90, -110]);
        let policy = if rng.one_in(12) { " policy drop;" } else { "" };
        let count = 2 + rng.below(7);
        let rules = (0..count).map(|_| nft_rule(rng, &names, inet)).collect();
        let head = format!(
            " chain {base} {{\n type nat hook prerouting priority {};{policy}\n",
            priority - i as i32
        );
        chains.push((head, rules, " }\n".to_owned()));
    }
    // A chain of another table at the same priority: the kernel does not report which comes first.
    if rng.one_in(5) {
        let priority = rng.pick(&[-100, -110]);
        // Without the sets, which are in the first table.
        let rules = (0..=rng.below(2)).map(|_| nft_rule(rng, &[], inet));
        let rules: Vec<String> = rules.filter(|r| !r.contains('@')).collect();
        let head = format!(
            "}}\ntable {family} tied {{\n chain base {{\n type nat hook prerouting priority {priority};\n"
        );
        chains.push((head, rules, " }\n".to_owned()));
    }
    let families = Families::Inet;
    let out = Ruleset { families, kind: Kind::Nft, chains, before, after: "}\n".to_owned() };
    match rng.below(2) {
        _ if inet => out.in_both(rng),
        0 => out.in_ipv6(),
        _ => out,
    }
}

/// A rule of a chain that packets pass after the destination is translated.
#[rustfmt::skip]
fn filter_rule(rng: &mut Rng, _chains: &[&str]) -> String {
    let proto = rng.pick(&["tcp", "udp"]);
    let mut words: Vec<String> = (0..rng.below(2)).map(|_| nft_match(rng, proto)).collect();
    match rng.below(7) {
        0 | 1 => words.push(format!("ip daddr {}{}", rng.pick(&["", "!= "]), rng.pick(&TARGETS))),
        2 => words.push(format!("ip daddr {}10.77.0.0/30", rng.pick(&["", "!= "]))),
        3 => words.push(format!("{proto} dport {}{{ 80, 90, 7000-7001, 8080, 8090 }}", rng.pick(&["", "!= "]))),
        4 => words.push("ct status dnat".to_owned()),
        5 => words.push(rng.pick(&["oifname \"s1\"", "oifname != \"s1\"", "meta mark 7"]).to_owned()),
        _ => {}
    }
    words.push(match rng.below(9) {
        0..=3 => "accept",
        4..=5 if !words.is_empty() => "drop",
        6 if !words.is_empty() => "reject",
        7 => "meta mark set 7",
        _ => "counter",
    }.to_owned());
    format!("  {}", words.join(" "))
}

/// A rule of a chain that packets pass before the destination is translated.
fn early_rule(rng: &mut Rng, inet: bool) -> String {
    let proto = rng.pick(&["tcp", "udp"]);
    let mut words: Vec<String> = (0..rng.below(3)).map(|_| nft_match(rng, proto)).collect();
    if inet {
        words.retain(|w| !w.starts_with("ct state"));
    }
    let end = match rng.below(9) {
        0 | 1 => "meta mark set 7",
        2 => "meta mark set mark or 2",
        3 => "meta mark set ct mark",
        4 => "ct mark set 7",
        5 => "ct mark set mark",
        6 => "accept",
        7 => "notrack",
        _ if words.is_empty() => "counter",
        _ => "drop",
    };
    words.push(end.to_owned());
    format!("  {}", words.join(" "))
}

#[rustfmt::skip]
fn nft_match(rng: &mut Rng, proto: &str) -> String {
    let (source, dest) = (rng.pick(&SOURCES), rng.pick(&DESTS));
    let not = if rng.one_in(3) { "!= " } else { "" };
    match rng.below(24) {
        0 => format!("iifname {not}\"c1\""),
        1 => format!("iifname {not}{{ \"c1\", \"s1\" }}"),
        2 => "iifname \"c*\"".to_owned(),
        3 => format!("ip saddr {not}{source}"),
        4 => format!("ip daddr {not}{dest}"),
        5 => format!("ip saddr {not}@hosts"),
        6 => format!("ip daddr {not}{{ 203.0.113.7, {dest} }}").replace("{ 203.0.113.7, 203.0.113.7 }", "203.0.113.7")
            .replace("203.0.113.7, 203.0.113.0/29", "203.0.113.0/29"),
        7 => format!("ip daddr {not}203.0.113.1-203.0.113.7"),
        8..=10 => format!("{proto} dport {not}{}", port_text(rng, '-')),
        11 => format!("{proto} dport {not}{{ {}, 443 }}", rng.pick(&[80, 82, 8001])),
        12 => format!("{proto} dport {} {}", rng.pick(&["<", "<=", ">", ">="]), rng.pick(&PORTS)),
        13 => format!("{proto} dport {not}@ports"),
        14 => format!("{proto} sport {not}1-20000"),
        15 => format!("meta l4proto {proto}"),
        16 => format!("meta mark {not}{}", rng.pick(&[0, 7])),
        17 => format!("meta mark & 0xf0f {} 0x{}", rng.pick(&["==", "!="]), rng.pick(&[0, 2])),
        18 => format!("fib {} type {not}local", rng.pick(&["daddr", "saddr"])),
        19 => format!("ct state {}", rng.pick(&["new", "established", "new,related", "!= new"])),
        20 => format!("ip daddr . {proto} dport {not}{{ {} . 80, 203.0.113.7 . 8000-8001 }}", rng.pick(&["192.0.2.1", "203.0.113.1"])),
        21 => format!("ip saddr {not}@empty"),
        22 => format!("ct mark {not}{}", rng.pick(&[0, 7])),
        _ => format!("ip saddr {source} ip daddr {dest}"),
    }
}

#[rustfmt::skip]
fn nft_rule(rng: &mut Rng, chains: &[&str], inet: bool) -> String {
    // nft refuses a rule of two protocols.
    let proto = rng.pick(&["tcp", "udp"]);
    let mut words: Vec<String> = (0..rng.below(3)).map(|_| nft_match(rng, proto)).collect();
    let (first, second) = (rng.pick(&TARGETS), rng.pick(&TARGETS));
    let ip = if inet { "ip " } else { "" };
    let chain = |rng: &mut Rng, how: &str| match chains {
        [] => "accept".to_owned(),
        all => format!("{how} {}", rng.pick(all)),
    };
    let end = match rng.below(20) {
        0 | 1 => format!("dnat {ip}to {first}"),
        2 | 3 => format!("{proto} dport {} dnat {ip}to {first}:{}", port_text(rng, '-'), rng.pick(&[80, 8080])),
        4 => format!("{proto} dport {} redirect to :{}", port_text(rng, '-'), rng.pick(&[90, 8090])),
        5 => format!("{proto} dport 1-9000 dnat {}to :{}", if inet { "ip " } else { "" }, rng.pick(&[91, 8091])).replace("dnat ip to :", "dnat to :"),
        6 => format!("{proto} dport 80-8003 dnat {ip}to 10.77.0.2-10.77.0.4"),
        7 => format!("dnat {ip}to {proto} dport map @to"),
        8 => format!("{proto} dport 80-443 dnat {ip}to {first}:7000-7002"),
        9 => format!("dnat {ip}to numgen {} mod 2 map {{ 0 : {first}, 1 : {second} }}", rng.pick(&["inc", "random"])),
        10 => format!("{proto} dport vmap {{ 80 : {}, 81-82 : {}, 8000 : drop }}", chain(rng, "jump"), chain(rng, "goto")),
        11 => format!("ip daddr . {proto} dport vmap {{ 192.0.2.1 . 80 : {}, 203.0.113.7 . 8000-8002 : accept }}", chain(rng, "goto")),
        12 => format!("{proto} dport vmap @none"),
        13 => format!("numgen inc mod 3 vmap {{ 0 : {}, 1 : continue, 2 : {} }}", chain(rng, "jump"), chain(rng, "goto")),
        14 => "accept".to_owned(),
        15 => "return".to_owned(),
        16 => if words.is_empty() { "counter".to_owned() } else { "drop".to_owned() },
        17 => chain(rng, "goto"),
        18 => rng.pick(&["meta mark set 7", "meta mark set mark and 0xfd", "meta mark set ct mark", "ct mark set 7"]).to_owned(),
        _ => chain(rng, "jump"),
    };
    words.push(end);
    format!("  {}", words.join(" "))
}

fn iptables(rng: &mut Rng, kind: Kind) -> Ruleset {
    let names = ["U1", "U2", "U3"];
    let mut before = "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n".to_owned();
    for name in names {
        before.push_str(&format!(":{name} - [0:0]\n"));
    }
    let mut chains = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let count = 1 + rng.below(4);
        let rules = (0..count).map(|_| iptables_rule(rng, name, &names[..i])).collect();
        chains.push((String::new(), rules, String::new()));
    }
    let count = 3 + rng.below(7);
    let rules = (0..count).map(|_| iptables_rule(rng, "PREROUTING", &names)).collect();
    chains.push((String::new(), rules, String::new()));
    if rng.one_in(2) {
        let table = rng.pick(&["mangle", "raw"]);
        let head = format!("COMMIT\n*{table}\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n");
        let rules = (0..=rng.below(2)).map(|_| early_iptables_rule(rng, table)).collect();
        chains.push((head, rules, String::new()));
    }
    if rng.one_in(2) {
        let policy = |rng: &mut Rng| rng.pick(&["ACCEPT", "ACCEPT", "DROP"]);
        let head = format!(
            "COMMIT\n*filter\n:INPUT {} [0:0]\n:FORWARD {} [0:0]\n:OUTPUT ACCEPT [0:0]\n:F1 - [0:0]\n",
            policy(rng),
            policy(rng)
        );
        let mut rules: Vec<String> = (0..=rng.below(2)).map(|_| iptables_filter_rule(rng, "F1")).collect();
        rules.extend((0..=rng.below(3)).map(|_| iptables_filter_rule(rng, "FORWARD")));
        rules.extend((0..=rng.below(2)).map(|_| iptables_filter_rule(rng, "INPUT")));
        chains.push((head, rules, String::new()));
    }
    Ruleset { families: Families::Inet, kind, chains, before, after: "COMMIT\n".to_owned() }
}

/// A rule of the table that packets pass after the destination is translated.
fn iptables_filter_rule(rng: &mut Rng, name: &str) -> String {
    let (mut words, _) = iptables_matches(rng, name);
    match rng.below(6) {
        0 | 1 if !words.iter().any(|w| w.contains("-d ")) => words.push(format!("-d {}", rng.pick(&TARGETS))),
        2 if name == "FORWARD" => words.push(format!("{}-o s1", if rng.one_in(2) { "! " } else { "" })),
        3 if !words.iter().any(|w| w.contains("conntrack")) => {
            words.push(format!(
                "-m conntrack --ctstate {}",
                rng.pick(&["DNAT", "NEW,DNAT", "RELATED,ESTABLISHED"])
            ));
        }
        _ => {}
    }
    let end = match rng.below(8) {
        0..=2 => "ACCEPT",
        3 => "DROP",
        4 => "REJECT",
        5 => "RETURN",
        _ if name != "F1" => "F1",
        _ => "ACCEPT",
    };
    format!("{} -j {end}", words.join(" "))
}

/// A rule of a table that packets pass before the destination is translated.
fn early_iptables_rule(rng: &mut Rng, table: &str) -> String {
    let (matches, _) = iptables_matches(rng, "PREROUTING");
    let end = match rng.below(7) {
        0 | 1 => "-j MARK --set-xmark 0x7/0xffffffff",
        2 => "-j MARK --or-mark 0x2",
        3 if table == "mangle" => "-j CONNMARK --set-mark 7",
        4 if table == "mangle" => "-j CONNMARK --restore-mark",
        3 | 4 => "-j CT --notrack",
        5 => "-j ACCEPT",
        _ => "-j DROP",
    };
    format!("{} {end}", matches.join(" "))
}

/// The beginning of a rule, and true if it matches ports.
#[rustfmt::skip]
fn iptables_matches(rng: &mut Rng, name: &str) -> (Vec<String>, bool) {
    let mut words = vec![format!("-A {name}")];
    let not = |rng: &mut Rng| if rng.one_in(3) { "! " } else { "" };
    if rng.one_in(4) {
        let (not, iface) = (not(rng), rng.pick(&["c1", "c2", "c+", "s1"]));
        words.push(format!("{not}-i {iface}"));
    }
    if rng.one_in(4) {
        let (not, source) = (not(rng), rng.pick(&SOURCES));
        words.push(format!("{not}-s {source}"));
    }
    if rng.one_in(3) {
        let (not, dest) = (not(rng), rng.pick(&DESTS));
        words.push(format!("{not}-d {dest}"));
    }
    let proto = rng.pick(&["tcp", "udp"]);
    let mut has_port = false;
    match rng.below(6) {
        0 => {}
        1 => words.push(format!("{}-p {proto}", not(rng))),
        2 => {
            has_port = true;
            let (not, kind) = (not(rng), rng.pick(&["dports", "dports", "ports", "sports"]));
            let list = if kind == "sports" { "1:20000".to_owned() } else { format!("{},443", port_text(rng, ':')) };
            words.push(format!("-p {proto} -m multiport {not}--{kind} {list}"));
        }
        3 => words.push(format!("-p {proto} -m {proto} {}--sport 1:20000", not(rng))),
        _ => {
            has_port = true;
            let not = not(rng);
            words.push(format!("-p {proto} -m {proto} {not}--dport {}", port_text(rng, ':')));
        }
    }
    match rng.below(16) {
        0 => words.push(format!("-m mark {}--mark {}", not(rng), rng.pick(&["0x0", "0x7", "0x0/0xff"]))),
        1 => words.push(format!("-m addrtype {}--dst-type LOCAL", not(rng))),
        2 => words.push(format!("-m addrtype {}--src-type LOCAL", not(rng))),
        3 => words.push(format!("-m conntrack {}--ctstate {}", not(rng), rng.pick(&["NEW", "ESTABLISHED", "NEW,RELATED"]))),
        4 => words.push("-m statistic --mode nth --every 2 --packet 0".to_owned()),
        5 => words.push(format!("-m iprange {}--dst-range 203.0.113.1-203.0.113.7", not(rng))),
        _ => {}
    }
    (words, has_port)
}

#[rustfmt::skip]
fn iptables_rule(rng: &mut Rng, name: &str, chains: &[&str]) -> String {
    let (mut words, has_port) = iptables_matches(rng, name);
    let target = rng.pick(&TARGETS);
    words.push(match rng.below(13) {
        12 => "-j MARK --set-xmark 0x7/0xff".to_owned(),
        0 | 1 => format!("-j DNAT --to-destination {target}"),
        2 | 3 if has_port => format!("-j DNAT --to-destination {target}:{}", rng.pick(&[80, 8080])),
        4 if has_port => format!("-j DNAT --to-destination {target}:7000-7002"),
        5 if has_port => format!("-j REDIRECT --to-ports {}", rng.pick(&[90, 8090])),
        6 => "-j NETMAP --to 10.77.0.0/29".to_owned(),
        7 => "-j ACCEPT".to_owned(),
        8 => "-j RETURN".to_owned(),
        9 if !chains.is_empty() => format!("-g {}", rng.pick(chains)),
        _ if !chains.is_empty() => format!("-j {}", rng.pick(chains)),
        _ => format!("-j DNAT --to-destination {target}"),
    });
    words.join(" ")
}

/// Probes to what the rulesets speak of. No two have the same source.
pub(super) fn probes(rng: &mut Rng, families: Families, count: usize) -> Vec<Probe> {
    let sources = [[192, 0, 2, 5], [192, 0, 2, 6], [198, 51, 100, 5]];
    let dests = [
        [192, 0, 2, 1],
        [198, 51, 100, 1],
        [203, 0, 113, 1],
        [203, 0, 113, 7],
        [203, 0, 113, 9],
        [203, 0, 113, 3],
    ];
    let probe = |i: usize| {
        let sport = if rng.one_in(2) { 10_000 } else { 30_000 } + i as u16;
        let dport = if rng.one_in(8) { 1 + rng.below(65_535) as u16 } else { rng.pick(&PORTS) };
        // A few are of the other family: no rule applies to them.
        let v6 = match families {
            Families::Both => rng.one_in(2),
            Families::Inet => rng.one_in(16),
            Families::Inet6 => !rng.one_in(16),
        };
        Probe {
            tcp: rng.one_in(2),
            source: (six::in_family(rng.pick(&sources), v6), sport),
            dest: (six::in_family(rng.pick(&dests), v6), dport),
        }
    };
    (0..count).map(probe).collect()
}
