//! Addresses of a namespace as numbers.

use super::interval::Intervals;
use super::text;
use crate::model::Addr;

/// Loopback addresses of a family.
pub(in crate::derive) fn loopback(v6: bool) -> Intervals {
    if v6 { Intervals::value(1) } else { Intervals::span(0x7f00_0000, 0x7fff_ffff) }
}

/// Addresses of a namespace with those of loopback, of IPv4 and of IPv6; `None` if they were not read.
pub(in crate::derive) fn of(addresses: &[(u16, Addr)], netns: u16) -> Option<[Intervals; 2]> {
    let own = || addresses.iter().filter(|(n, _)| *n == netns).map(|(_, a)| a);
    let family = |v6: bool| {
        let of_family = own().filter(|a| a.is_v4() != v6).map(text::address_value).map(|a| (a, a));
        Intervals::union_of(of_family.chain(loopback(v6).spans().iter().copied()).collect())
    };
    own().next().map(|_| [family(false), family(true)])
}
