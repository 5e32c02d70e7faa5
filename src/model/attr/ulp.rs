//! Upper-layer protocols on TCP sockets (`INET_DIAG_ULP_INFO`): name and kernel TLS.

use super::attrs::{Attrs, nested_attr};
use crate::model::diag_attr::inet;

/// Kernel TLS state of a TCP socket (`TLS_INFO_*`, `include/uapi/linux/tls.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// TLS version on the wire: 0x0303 is 1.2, 0x0304 is 1.3.
    pub version: Option<u16>,
    /// Cipher number (`TLS_CIPHER_*`).
    pub cipher: Option<u16>,
    /// Transmit mode (`TLS_CONF_*`): 1 base (not configured), 2 software, 3 device, 4 device, record offload.
    pub tx: Option<u16>,
    /// Receive mode, same values.
    pub rx: Option<u16>,
    /// Zero-copy sendfile (`TLS_INFO_ZC_RO_TX`).
    pub zero_copy_tx: bool,
    /// Receive expects no padding (`TLS_INFO_RX_NO_PAD`).
    pub rx_no_pad: bool,
}

impl<'a> Attrs<'a> {
    /// Attribute nested in `INET_DIAG_ULP_INFO`: `INET_ULP_INFO_NAME` 1, `INET_ULP_INFO_TLS` 2, `INET_ULP_INFO_MPTCP` 3.
    pub(super) fn ulp_part(&self, number: u16) -> Option<&'a [u8]> {
        let nested = if self.is_inet() { self.get(inet::ULP_INFO)? } else { return None };
        nested_attr(nested, number)
    }

    /// Upper-layer protocol attached to the socket: `tls`, `mptcp`.
    pub fn ulp(&self) -> Option<&'a str> {
        let raw = self.ulp_part(1)?;
        let end = raw.iter().position(|b| *b == 0).unwrap_or(raw.len());
        std::str::from_utf8(&raw[..end]).ok().filter(|s| !s.is_empty())
    }

    /// Kernel TLS state.
    pub fn tls(&self) -> Option<Tls> {
        let nested = self.ulp_part(2)?;
        let half =
            |n| nested_attr(nested, n).and_then(|b| b.get(..2)).map(|b| u16::from_ne_bytes([b[0], b[1]]));
        Some(Tls {
            version: half(1),
            cipher: half(2),
            tx: half(3),
            rx: half(4),
            zero_copy_tx: nested_attr(nested, 5).is_some(),
            rx_no_pad: nested_attr(nested, 6).is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attr::push;
    use crate::model::{Family, Proto};

    #[test]
    fn tls_and_subflow_are_read_from_ulp_info() {
        let nest = |parts: &[(u16, &[u8])]| {
            let mut out = Vec::new();
            for (n, b) in parts {
                push(&mut out, *n, b);
            }
            out
        };
        let half = u16::to_ne_bytes;
        let tls = nest(&[(1, &half(0x0304)), (2, &half(51)), (3, &half(2)), (4, &half(1)), (6, &[])]);
        let sub = nest(&[
            (1, &[0; 4]),
            (2, &7u32.to_ne_bytes()),
            (4, &9u64.to_ne_bytes()),
            (7, &1000u16.to_ne_bytes()),
            (8, &0xc3u32.to_ne_bytes()),
            (9, &[1]),
            (10, &[2]),
        ]);
        let mut b = Vec::new();
        // As the kernel nests: with the flag NLA_F_NESTED.
        push(&mut b, inet::ULP_INFO | 0x8000, &nest(&[(1, b"mptcp\0"), (2, &tls), (3 | 0x8000, &sub)]));
        let a = Attrs::new(&b, Family::Inet6, Proto::Tcp);
        assert_eq!(a.ulp(), Some("mptcp"));
        let t = a.tls().unwrap();
        assert_eq!((t.version, t.cipher, t.tx, t.rx), (Some(0x0304), Some(51), Some(2), Some(1)));
        assert!(t.rx_no_pad && !t.zero_copy_tx);
        let s = a.subflow().unwrap();
        assert_eq!((s.local_token, s.map_seq, s.map_datalen), (Some(7), Some(9), Some(1000)));
        assert_eq!((s.local_id, s.remote_id, s.map_sfseq), (Some(2), Some(1), None));
        assert_eq!((s.letters().as_deref(), a.mptcp_token()), (Some("Mmec"), Some(7)));
    }
}
