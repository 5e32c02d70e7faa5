//! Netlink attributes of a socket, as received.
//!
//! Each sample keeps them as raw `struct nlattr` bytes (`include/uapi/linux/netlink.h`) in one arena. A field is
//! decoded on access, up to the bytes present: shorter structures of older kernels and longer ones of newer kernels are
//! both valid.

mod attrs;
mod mptcp;
mod netlink;
mod packet;
mod sctp;
mod skmem;
mod tcp;
mod tipc;
mod ulp;
mod unix;
mod xdp;

pub use attrs::{AttrIter, Attrs};
pub use mptcp::Subflow;
pub use skmem::SkMem;
pub use tcp::{Bbr, Md5Key, Transfer};
pub(crate) use tcp::{MD5SIG, MD5SIG_HEAD};
pub use tipc::Tipc;
pub use ulp::Tls;
pub use unix::Vfs;

/// Appends one attribute in netlink format, padded to four bytes. For tests, demo data and sources other than netlink.
/// Payloads over 64 KiB are truncated.
pub fn push(out: &mut Vec<u8>, number: u16, payload: &[u8]) {
    let payload = &payload[..payload.len().min(usize::from(u16::MAX) - 4)];
    out.extend_from_slice(&(payload.len() as u16 + 4).to_ne_bytes());
    out.extend_from_slice(&number.to_ne_bytes());
    out.extend_from_slice(payload);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::diag_attr::inet;
    use crate::model::{Family, Proto};

    #[test]
    fn truncated_field_is_missing() {
        let mut b = Vec::new();
        push(&mut b, inet::CONG, b"cubic\0");
        push(&mut b, inet::SHUTDOWN, &[2]);
        push(&mut b, inet::SKMEMINFO, &[7, 0, 0, 0, 9, 0, 0, 0, 1]);
        push(&mut b, inet::CGROUP_ID, &42u64.to_ne_bytes());
        let a = Attrs::new(&b, Family::Inet, Proto::Tcp);
        assert_eq!(a.congestion(), Some("cubic"));
        assert_eq!(a.shutdown(), Some(2));
        let m = a.skmem().unwrap();
        assert_eq!(m.rmem_alloc(), u32::from_ne_bytes([7, 0, 0, 0]).into());
        assert_eq!(m.rcvbuf(), Some(u32::from_ne_bytes([9, 0, 0, 0])));
        assert_eq!(m.wmem_alloc(), None, "a truncated field is missing, not zero");
        assert_eq!(m.drops(), None);
        assert_eq!(a.cgroup_id(), Some(42));
        assert_eq!(a.mark(), None);
        assert!(a.tcp_info().is_none());
    }

    #[test]
    fn malformed_attribute_ends_iteration() {
        for junk in [&[][..], &[1], &[0, 0, 0, 0], &[3, 0, 1, 0], &[255, 255, 1, 0, 0]] {
            assert_eq!(Attrs::new(junk, Family::Inet, Proto::Tcp).iter().count(), 0, "{junk:?}");
        }
        let mut b = Vec::new();
        push(&mut b, inet::TOS, &[4]);
        b.extend_from_slice(&[200, 0, 9, 0, 1]);
        let a = Attrs::new(&b, Family::Inet, Proto::Tcp);
        assert_eq!(a.tos(), Some(4));
        let mut it = a.iter();
        while it.next().is_some() {}
        assert_eq!(it.leftover(), 5);
    }
}
