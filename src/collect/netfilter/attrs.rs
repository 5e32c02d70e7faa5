//! Attributes of netfilter messages: nested, numbers in network byte order.

use crate::collect::netlink::socket::Malformed;
use crate::model::attr::AttrIter;
use crate::model::{Addr, Attrs, Family, Proto, text};

/// Family (`struct nfgenmsg`) and attributes of a message.
pub(super) fn message(bytes: &[u8]) -> Result<(u8, Attrs<'_>), Malformed> {
    let family = *bytes.first().ok_or(Malformed)?;
    Ok((family, nested(bytes.get(4..).ok_or(Malformed)?)))
}

/// Attributes within an attribute; the format is the same for all families.
pub(super) const fn nested(bytes: &[u8]) -> Attrs<'_> {
    Attrs::new(bytes, Family::Inet, Proto::Tcp)
}

/// Iterates over the attributes within an attribute.
pub(super) fn iter(bytes: &[u8]) -> AttrIter<'_> {
    nested(bytes).iter()
}

/// A number in network byte order, of one, two, four or eight bytes.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    (matches!(bytes.len(), 1 | 2 | 4 | 8)).then(|| bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
}

/// The attribute as a 32-bit number.
pub(super) fn be32(attrs: &Attrs<'_>, kind: u16) -> Option<u32> {
    number(attrs.get(kind)?).map(|n| n as u32)
}

/// The attribute as text.
pub(super) fn string(attrs: &Attrs<'_>, kind: u16) -> Option<Box<str>> {
    attrs.get(kind).map(|b| text::from_c_str(b).into())
}

/// The attribute as bytes.
pub(super) fn bytes(attrs: &Attrs<'_>, kind: u16) -> Option<Box<[u8]>> {
    attrs.get(kind).map(Box::from)
}

/// An address of four or sixteen bytes.
pub(super) fn addr(bytes: &[u8]) -> Option<Addr> {
    match bytes.len() {
        4 => Some(Addr::v4(bytes.try_into().ok()?)),
        16 => Some(Addr::v6(bytes.try_into().ok()?)),
        _ => None,
    }
}
