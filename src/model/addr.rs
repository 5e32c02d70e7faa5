//! Addresses and endpoints.

use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// IPv4 or IPv6 address in sixteen bytes; IPv4 in IPv4-mapped form (RFC 4291, 2.5.5.2).
///
/// `::ffff:10.0.0.1` of a dual-stack socket and `10.0.0.1` of an IPv4 socket are therefore one address: they print,
/// compare and match alike. The kind of socket is in [`super::Family`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Addr([u8; 16]);

impl Addr {
    /// IPv6 wildcard `::`.
    pub const ANY6: Self = Self([0; 16]);
    /// IPv4 wildcard `0.0.0.0`.
    pub const ANY4: Self = Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]);

    /// Address from the four bytes of an IPv4 address in network order.
    pub const fn v4(b: [u8; 4]) -> Self {
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, b[0], b[1], b[2], b[3]])
    }

    /// Address from the sixteen bytes of an IPv6 address in network order.
    pub const fn v6(b: [u8; 16]) -> Self {
        Self(b)
    }

    /// Sixteen bytes in network order, IPv4 in mapped form.
    pub const fn octets(&self) -> &[u8; 16] {
        &self.0
    }

    /// True for an IPv4 or IPv4-mapped IPv6 address.
    pub fn is_v4(&self) -> bool {
        self.0[..12] == Self::ANY4.0[..12]
    }

    /// Standard library type; IPv4-mapped addresses become IPv4.
    pub fn ip(&self) -> IpAddr {
        if self.is_v4() {
            IpAddr::V4(Ipv4Addr::new(self.0[12], self.0[13], self.0[14], self.0[15]))
        } else {
            IpAddr::V6(Ipv6Addr::from(self.0))
        }
    }

    /// True for `0.0.0.0` and `::`.
    pub fn is_any(&self) -> bool {
        *self == Self::ANY4 || *self == Self::ANY6
    }

    /// True if the first `len` bits equal those of `net`. `len` is the prefix length as written (0 to 32 for IPv4, 0 to
    /// 128 for IPv6). IPv4 prefixes never match IPv6 addresses, nor IPv6 prefixes IPv4 addresses.
    pub fn in_prefix(&self, net: &Self, len: u8) -> bool {
        if self.is_v4() != net.is_v4() {
            return false;
        }
        let bits = usize::from(if net.is_v4() { len.min(32) + 96 } else { len.min(128) });
        let (whole, rest) = (bits / 8, bits % 8);
        if self.0[..whole] != net.0[..whole] {
            return false;
        }
        rest == 0 || (self.0[whole] ^ net.0[whole]) >> (8 - rest) == 0
    }

    /// True for an IPv6 address that is unique on one link only, so that its interface belongs to it (RFC 4007): link-local
    /// unicast, and multicast of interface-local or link-local scope.
    pub const fn needs_zone(&self) -> bool {
        match self.0[0] {
            0xfe => self.0[1] & 0xc0 == 0x80,
            0xff => matches!(self.0[1] & 0x0f, 1 | 2),
            _ => false,
        }
    }

    /// Reachability of the address.
    pub fn scope(&self) -> Scope {
        match self.ip() {
            ip if ip.is_unspecified() => Scope::Any,
            ip if ip.is_loopback() => Scope::Loopback,
            ip if ip.is_multicast() => Scope::Multicast,
            IpAddr::V4(v4) if v4.is_link_local() => Scope::LinkLocal,
            IpAddr::V4(v4) if v4.is_broadcast() => Scope::Multicast,
            IpAddr::V4(v4) if v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64) => {
                Scope::Private
            }
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Scope::LinkLocal,
            IpAddr::V6(v6) if v6.is_unique_local() => Scope::Private,
            _ => Scope::Public,
        }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

impl FromStr for Addr {
    type Err = std::net::AddrParseError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        s.parse::<IpAddr>().map(Self::from)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reachability of an address (RFC 6890).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// `127.0.0.0/8`, `::1`: this host only.
    Loopback,
    /// `169.254.0.0/16`, `fe80::/10`: this link only.
    LinkLocal,
    /// RFC 1918, RFC 6598 (carrier NAT) and `fc00::/7`.
    Private,
    /// Multicast and broadcast.
    Multicast,
    /// Globally routable.
    Public,
    /// Wildcard: every address of this host.
    Any,
}

impl Scope {
    /// All, nearest first.
    pub const ALL: [Self; 6] =
        [Self::Loopback, Self::LinkLocal, Self::Private, Self::Multicast, Self::Public, Self::Any];

    /// Name in output and filters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Private => "private",
            Self::Multicast => "multicast",
            Self::Public => "public",
            Self::Any => "any",
        }
    }
}

/// Address and port of one side of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address.
    pub addr: Addr,
    /// Port in host byte order, 1 to 65535; 0 for none or any. IP protocol number for raw sockets.
    pub port: u16,
}

impl Endpoint {
    /// Endpoint from its parts.
    pub const fn new(addr: Addr, port: u16) -> Self {
        Self { addr, port }
    }

    /// True if neither address nor port is set: the remote endpoint of a listener or an unconnected datagram socket.
    pub fn is_none(&self) -> bool {
        self.port == 0 && self.addr.is_any()
    }
}

impl Addr {
    /// Appends the display form; faster than `Display` for lists of 100,000 rows.
    pub fn push_to(&self, out: &mut String) {
        if self.is_v4() {
            // One append instead of seven.
            let mut text = [0; 16];
            let mut at = 0;
            for byte in &self.0[12..] {
                let (digits, len) = OCTETS[usize::from(*byte)];
                text[at..at + 4].copy_from_slice(&digits);
                at += usize::from(len);
            }
            // Without the last point. Digits are valid UTF-8.
            out.push_str(std::str::from_utf8(&text[..at - 1]).unwrap_or_default());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "{}", self.ip());
        }
    }
}

impl Endpoint {
    /// Appends the display form.
    pub fn push_to(&self, out: &mut String) {
        self.push_zoned(out, None);
    }

    /// Appends the display form, with the interface of a link-local address: `[fe80::1%eth0]:443`.
    pub fn push_zoned(&self, out: &mut String, zone: Option<&str>) {
        if self.is_none() {
            out.push('*');
            return;
        }
        if self.addr.is_v4() {
            self.addr.push_to(out);
        } else {
            out.push('[');
            self.addr.push_to(out);
            if let Some(zone) = zone {
                out.push('%');
                out.push_str(zone);
            }
            out.push(']');
        }
        if self.port == 0 {
            out.push_str(":*");
        } else {
            out.push(':');
            push_number(out, u64::from(self.port));
        }
    }
}

/// The numbers from 0 to 255, each with a point after it, and the length of both.
static OCTETS: [([u8; 4], u8); 256] = {
    let mut out = [([b'.'; 4], 0); 256];
    let mut n = 0;
    while n < 256 {
        let digits = [(n / 100) as u8 + b'0', (n / 10 % 10) as u8 + b'0', (n % 10) as u8 + b'0'];
        let len = if n > 99 {
            3
        } else if n > 9 {
            2
        } else {
            1
        };
        let mut i = 0;
        while i < len {
            out[n].0[i] = digits[3 - len + i];
            i += 1;
        }
        out[n].1 = len as u8 + 1;
        n += 1;
    }
    out
};

/// The numbers from 0 to 999, three digits each.
static THREE_DIGITS: &str = {
    const DIGITS: [u8; 3000] = {
        let mut out = [b'0'; 3000];
        let mut n = 0;
        while n < 1000 {
            out[3 * n] += (n / 100) as u8;
            out[3 * n + 1] += (n / 10 % 10) as u8;
            out[3 * n + 2] += (n % 10) as u8;
            n += 1;
        }
        out
    };
    match std::str::from_utf8(&DIGITS) {
        Ok(text) => text,
        Err(_) => "",
    }
};

/// Appends a number in decimal.
pub fn push_number(out: &mut String, n: u64) {
    let last = 3 * (n % 1000) as usize;
    let from = match n {
        0..10 => last + 2,
        10..100 => last + 1,
        100..1000 => last,
        _ => {
            push_number(out, n / 1000);
            last
        }
    };
    out.push_str(&THREE_DIGITS[from..last + 3]);
}

impl fmt::Display for Endpoint {
    /// `10.0.0.1:443`, `[::1]:443`; `*` if nothing is set, `:*` for port 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("*");
        }
        if self.addr.is_v4() {
            write!(f, "{}", self.addr)?;
        } else {
            write!(f, "[{}]", self.addr)?;
        }
        if self.port == 0 { f.write_str(":*") } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a(s: &str) -> Addr {
        s.parse().unwrap()
    }

    #[test]
    fn push_to_matches_display() {
        for n in 0..=255 {
            let addr = Addr::v4([n, 255 - n, n / 3, n]);
            let mut out = String::new();
            addr.push_to(&mut out);
            assert_eq!(out, addr.to_string());
        }
        for ip in ["0.0.0.0", "::", "127.0.0.1", "10.20.255.9", "::ffff:1.2.3.4", "2001:db8::1", "fe80::1"] {
            for port in [0, 7, 80, 65535] {
                let e = Endpoint::new(a(ip), port);
                let mut out = String::new();
                e.push_to(&mut out);
                assert_eq!(out, e.to_string());
                out.clear();
                e.addr.push_to(&mut out);
                assert_eq!(out, e.addr.to_string());
            }
        }
        let mut out = String::new();
        for n in (0..2100).chain([9_999, 10_000, 999_999, 1_000_000, 1_000_001, u64::MAX]) {
            out.clear();
            push_number(&mut out, n);
            assert_eq!(out, n.to_string());
        }
    }

    #[test]
    fn ipv4_mapped_equals_ipv4() {
        assert_eq!(a("::ffff:10.0.0.1"), a("10.0.0.1"));
        assert_eq!(a("::ffff:10.0.0.1").to_string(), "10.0.0.1");
        assert_ne!(a("::"), a("0.0.0.0"));
    }

    #[test]
    fn in_prefix_compares_leading_bits() {
        for (addr, net, len, want) in [
            ("10.1.2.3", "10.0.0.0", 8, true),
            ("11.1.2.3", "10.0.0.0", 8, false),
            ("10.0.0.3", "10.0.0.2", 31, true),
            ("10.0.0.4", "10.0.0.2", 31, false),
            ("1.2.3.4", "0.0.0.0", 0, true),
            ("::1", "0.0.0.0", 0, false),
            ("2001:db8::1", "2001:db8::", 32, true),
            ("2001:db9::1", "2001:db8::", 32, false),
            ("2001:db8::1", "2001:db8::1", 128, true),
            ("10.0.0.1", "::", 0, false),
        ] {
            assert_eq!(a(addr).in_prefix(&a(net), len), want, "{addr} in {net}/{len}");
        }
    }

    #[test]
    fn scope_follows_address_block() {
        for (addr, want) in [
            ("127.0.0.53", Scope::Loopback),
            ("::1", Scope::Loopback),
            ("::ffff:127.0.0.1", Scope::Loopback),
            ("169.254.1.1", Scope::LinkLocal),
            ("fe80::1", Scope::LinkLocal),
            ("172.17.0.2", Scope::Private),
            ("100.64.0.1", Scope::Private),
            ("fd00::1", Scope::Private),
            ("224.0.0.251", Scope::Multicast),
            ("8.8.8.8", Scope::Public),
            ("2606:4700::1111", Scope::Public),
            ("0.0.0.0", Scope::Any),
            ("::", Scope::Any),
        ] {
            assert_eq!(a(addr).scope(), want, "{addr}");
        }
    }

    #[test]
    fn zone_belongs_to_addresses_of_one_link() {
        for (addr, want) in [
            ("fe80::1", true),
            ("febf::1", true),
            ("fec0::1", false),
            ("ff02::fb", true),
            ("ff01::1", true),
            ("ff05::2", false),
            ("169.254.1.1", false),
            ("2001:db8::1", false),
            ("::1", false),
        ] {
            assert_eq!(a(addr).needs_zone(), want, "{addr}");
        }
        let mut out = String::new();
        Endpoint::new(a("fe80::1"), 80).push_zoned(&mut out, Some("v0"));
        assert_eq!(out, "[fe80::1%v0]:80");
    }

    #[test]
    fn endpoint_display_has_brackets_and_wildcards() {
        for (ep, want) in [
            (Endpoint::new(a("10.0.0.1"), 443), "10.0.0.1:443"),
            (Endpoint::new(a("::1"), 443), "[::1]:443"),
            (Endpoint::new(a("::"), 443), "[::]:443"),
            (Endpoint::new(a("0.0.0.0"), 0), "*"),
            (Endpoint::new(a("10.0.0.1"), 0), "10.0.0.1:*"),
        ] {
            assert_eq!(ep.to_string(), want);
        }
    }
}
