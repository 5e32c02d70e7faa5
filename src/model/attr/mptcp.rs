//! MPTCP: subflows and tokens.

use super::attrs::{Attrs, nested_attr};
use crate::model::bytes::{read_u32, read_u64};
use crate::model::diag_attr::inet;
use crate::model::proto::Proto;

/// MPTCP subflow state of a TCP socket (`MPTCP_SUBFLOW_ATTR_*`, `include/uapi/linux/mptcp.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subflow {
    /// Peer's token, for a subflow that joined.
    pub remote_token: Option<u32>,
    /// Local token: identifies the connection that the subflow belongs to.
    pub local_token: Option<u32>,
    /// Peer's address id.
    pub remote_id: Option<u8>,
    /// Local address id.
    pub local_id: Option<u8>,
    /// Connection-level sequence number at which the current mapping begins.
    pub map_seq: Option<u64>,
    /// Subflow sequence number at which the mapping begins.
    pub map_sfseq: Option<u32>,
    /// Offset of subflow sequence numbers from TCP sequence numbers.
    pub ssn_offset: Option<u32>,
    /// Mapping length, bytes.
    pub map_datalen: Option<u16>,
    /// `MPTCP_SUBFLOW_FLAG_*`.
    pub flags: Option<u32>,
}

impl Subflow {
    /// Flags as letters, like `ss`: capable, joined, backup (upper case: requested by the peer), fully established,
    /// connected, mapping valid.
    pub fn letters(&self) -> Option<String> {
        let flags = self.flags?;
        Some("MmJjBbecv".chars().enumerate().filter(|(i, _)| flags >> i & 1 != 0).map(|(_, c)| c).collect())
    }
}

impl Attrs<'_> {
    /// MPTCP subflow state.
    pub fn subflow(&self) -> Option<Subflow> {
        let nested = self.ulp_part(3)?;
        let word = |n| nested_attr(nested, n).and_then(|b| read_u32(b, 0));
        let byte = |n| nested_attr(nested, n).and_then(|b| b.first().copied());
        Some(Subflow {
            remote_token: word(1),
            local_token: word(2),
            map_seq: nested_attr(nested, 4).and_then(|b| read_u64(b, 0)),
            map_sfseq: word(5),
            ssn_offset: word(6),
            map_datalen: nested_attr(nested, 7)
                .and_then(|b| b.get(..2))
                .map(|b| u16::from_ne_bytes([b[0], b[1]])),
            flags: word(8),
            remote_id: byte(9),
            local_id: byte(10),
        })
    }

    /// Token of an MPTCP connection, or of the connection that a subflow belongs to.
    pub fn mptcp_token(&self) -> Option<u32> {
        match self.proto {
            Proto::Mptcp => read_u32(self.get(inet::INFO)?, 12),
            _ => self.subflow()?.local_token,
        }
        .filter(|t| *t != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;
    use crate::model::attr::push;
    use crate::model::struct_layout::{MPTCP, SCTP};

    #[test]
    fn info_attribute_is_read_per_protocol() {
        let mut info = vec![0u8; 96];
        info[12..16].copy_from_slice(&0xabcd_abcd_u32.to_ne_bytes());
        info[64..72].copy_from_slice(&1000u64.to_ne_bytes());
        let mut b = Vec::new();
        push(&mut b, inet::INFO, &info);
        let a = |p| Attrs::new(&b, Family::Inet, p);
        assert!(a(Proto::Tcp).tcp_info().is_some() && a(Proto::Mptcp).tcp_info().is_none());
        assert_eq!(a(Proto::Mptcp).mptcp_token(), Some(0xabcd_abcd));
        assert_eq!(a(Proto::Mptcp).field(&MPTCP, "bytes_received"), Some(1000));
        assert_eq!(a(Proto::Mptcp).transfer().unwrap().received, Some(1000));
        assert_eq!(a(Proto::Sctp).field(&SCTP, "unackdata"), Some(0xabcd));
        assert!(a(Proto::Tcp).structure(&MPTCP).is_none() && a(Proto::Sctp).transfer().is_none());
    }
}
