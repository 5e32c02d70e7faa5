//! SCTP associations: addresses of both ends.

use super::attrs::Attrs;
use crate::model::addr::Addr;
use crate::model::diag_attr::inet;
use crate::model::proto::Proto;

impl Attrs<'_> {
    /// Addresses of an SCTP association: local ([`inet::LOCALS`]) or of the peer ([`inet::PEERS`]).
    pub fn addresses(&self, number: u16) -> Option<Vec<Addr>> {
        let raw = if self.proto == Proto::Sctp { self.get(number)? } else { return None };
        Some(raw.chunks_exact(STORAGE).filter_map(address).collect())
    }

    /// Primary peer address of an SCTP association (`sctpi_p_address` of `struct sctp_info`).
    pub fn sctp_primary(&self) -> Option<Addr> {
        let raw = if self.proto == Proto::Sctp { self.get(inet::INFO)? } else { return None };
        address(raw.get(168..)?)
    }
}

/// Size of `struct sockaddr_storage`, bytes.
const STORAGE: usize = 128;

/// Address in a `struct sockaddr_in` or `sockaddr_in6`.
fn address(b: &[u8]) -> Option<Addr> {
    match u16::from_ne_bytes([*b.first()?, *b.get(1)?]) {
        2 => Some(Addr::v4(b.get(4..8)?.try_into().ok()?)),
        10 => Some(Addr::v6(b.get(8..24)?.try_into().ok()?)),
        _ => None,
    }
}
