//! The same rulesets and probes over IPv6: each IPv4 address is the lower half of a network of documentation addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IPv6 address that stands for an IPv4 address.
pub(super) fn address(v4: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = v4.octets();
    if a == 127 {
        return Ipv6Addr::LOCALHOST;
    }
    let half = |x, y| u16::from_be_bytes([x, y]);
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, half(a, b), half(c, d))
}

/// The address in the given family.
pub(super) fn in_family(v4: [u8; 4], v6: bool) -> IpAddr {
    let v4 = Ipv4Addr::from(v4);
    if v6 { address(v4).into() } else { v4.into() }
}

/// Rules of nft or iptables with the addresses, types and keywords of IPv6. Lines with IPv6 addresses stay,
/// rules about ICMP and broadcasts are left out.
pub(super) fn translate(text: &str) -> String {
    let line = |l: &str| if l.contains("::") { l.to_owned() } else { translate_line(l) };
    text.split_inclusive('\n')
        .filter(|l| !["-p icmp", "BROADCAST"].iter().any(|w| l.contains(w)))
        .map(line)
        .collect()
}

fn translate_line(text: &str) -> String {
    let words = [
        ("ip saddr", "ip6 saddr"),
        ("ip daddr", "ip6 daddr"),
        ("dnat ip to", "dnat ip6 to"),
        ("ipv4_addr", "ipv6_addr"),
        ("nfproto ipv4", "nfproto ipv6"),
        ("table ip ", "table ip6 "),
        ("meta protocol != ip ", "meta protocol != ip6 "),
        ("ip version 4", "ip6 version 6"),
        ("ip dscp", "ip6 dscp"),
        ("ip protocol", "ip6 nexthdr"),
        ("ip ttl", "ip6 hoplimit"),
        ("-m ttl --ttl-lt", "-m hl --hl-lt"),
        ("--reject-with icmp-", "--reject-with icmp6-"),
        ("127.0.0.0/8", "::1/128"),
        ("--mask 255.255.255.255", "--mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ];
    let text = words.iter().fold(text.to_owned(), |t, (from, to)| t.replace(from, to));
    let (mut out, mut rest) = (String::new(), text.as_str());
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = |c: char| !c.is_ascii_digit() && c != '.';
        let len = rest[start..].find(end).unwrap_or(rest.len() - start);
        let (before, from) = rest.split_at(start);
        let (number, after) = from.split_at(len);
        out.push_str(before);
        rest = after;
        let Ok(v4) = number.parse::<Ipv4Addr>() else {
            out.push_str(number);
            continue;
        };
        let digits = |a: &str| a.find(|c: char| !c.is_ascii_digit()).unwrap_or(a.len());
        let bits = after.strip_prefix('/').map(|a| a.split_at(digits(a)));
        let has_port = after.strip_prefix(':').is_some_and(|a| a.starts_with(|c: char| c.is_ascii_digit()));
        let v6 = address(v4);
        out.push_str(&if has_port { format!("[{v6}]") } else { v6.to_string() });
        if let Some((bits, others)) = bits {
            let bits: u8 = bits.parse().unwrap();
            out.push_str(&format!("/{}", if v6.is_loopback() { 128 } else { 96 + bits }));
            rest = others;
        }
    }
    out + rest
}

/// Rules for an inet table: the sets of IPv6 have their own names.
pub(super) fn translate_in_inet(text: &str) -> String {
    ["hosts", "empty", "to"].iter().fold(translate(text), |t, name| {
        t.replace(&format!("@{name}"), &format!("@{name}6"))
            .replace(&format!(" {name} {{"), &format!(" {name}6 {{"))
    })
}
