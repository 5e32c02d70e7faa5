//! Tracked connections as the kernel reported them.

use crate::model::addr::Endpoint;
use crate::model::proto::Proto;
use crate::model::socket::SocketId;
use serde::{Deserialize, Serialize};

/// One tracked connection (`nf_conntrack`; `include/uapi/linux/netfilter/nfnetlink_conntrack.h`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Network namespace that tracks it: an index of [`crate::model::Sample::namespaces`].
    pub netns: u16,
    /// Transport protocol.
    pub proto: Proto,
    /// Source and destination of the original direction (`CTA_TUPLE_ORIG`).
    pub orig: (Endpoint, Endpoint),
    /// Source and destination of the reply direction (`CTA_TUPLE_REPLY`): differs from the original if NAT applies.
    pub reply: (Endpoint, Endpoint),
    /// `IPS_*` bits (`CTA_STATUS`).
    pub status: u32,
    /// TCP state (`CTA_PROTOINFO_TCP_STATE`, `enum tcp_conntrack`).
    pub tcp_state: Option<u8>,
    /// Time until the entry expires (`CTA_TIMEOUT`), seconds.
    pub timeout_s: Option<u32>,
    /// Bytes in original and reply direction, if accounting is on (`net.netfilter.nf_conntrack_acct`).
    pub bytes: Option<(u64, u64)>,
    /// Mark (`CTA_MARK`).
    pub mark: u32,
    /// Zone (`CTA_ZONE`).
    pub zone: u16,
    /// Id (`CTA_ID`).
    pub id: u32,
}

/// Names of `enum tcp_conntrack` (`include/uapi/linux/netfilter/nf_conntrack_tcp.h`).
const TCP_STATES: [&str; 10] = [
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
];

impl Flow {
    /// `IPS_SEEN_REPLY`.
    const SEEN_REPLY: u32 = 1 << 1;
    /// `IPS_ASSURED`.
    const ASSURED: u32 = 1 << 2;

    /// True if its destination is translated (DNAT).
    pub fn is_redirected(&self) -> bool {
        self.orig.1 != self.reply.0
    }

    /// True if its source is translated (SNAT, masquerade).
    pub fn is_masqueraded(&self) -> bool {
        self.orig.0 != self.reply.1
    }

    /// True if it is closed and about to expire: `TIME_WAIT` and `CLOSE`.
    pub const fn is_over(&self) -> bool {
        matches!(self.tcp_state, Some(7 | 8))
    }

    /// Identity of its row in state `FORWARDED`.
    pub const fn row_id(&self) -> SocketId {
        SocketId { netns: self.netns, cookie: SocketId::SYNTHETIC | self.id as u64 }
    }

    /// State as conntrack(8) prints it.
    pub fn state(&self) -> &'static str {
        match self.tcp_state.and_then(|n| TCP_STATES.get(usize::from(n))) {
            Some(name) => name,
            None if self.status & Self::ASSURED != 0 => "ASSURED",
            None if self.status & Self::SEEN_REPLY != 0 => "REPLIED",
            None => "UNREPLIED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Addr;

    #[test]
    fn flow_with_translated_endpoint_is_nat() {
        let e = |port| Endpoint::new(Addr::v4([10, 0, 0, 1]), port);
        let mut f = Flow {
            netns: 0,
            proto: Proto::Tcp,
            orig: (e(1), e(2)),
            reply: (e(2), e(1)),
            status: 0,
            tcp_state: Some(3),
            timeout_s: None,
            bytes: None,
            mark: 0,
            zone: 0,
            id: 1,
        };
        assert!(!f.is_redirected() && !f.is_masqueraded());
        assert_eq!(f.state(), "ESTABLISHED");
        (f.reply.0, f.tcp_state) = (e(3), None);
        assert!(f.is_redirected() && !f.is_masqueraded());
        assert_eq!(f.state(), "UNREPLIED");
        f.status = 6;
        assert_eq!(f.state(), "ASSURED");
        let over = |n| Flow { tcp_state: Some(n), ..f.clone() };
        let ended: Vec<&str> = TCP_STATES
            .into_iter()
            .filter(|s| (0..10).any(|n| over(n).is_over() && over(n).state() == *s))
            .collect();
        assert_eq!(ended, ["TIME_WAIT", "CLOSE"]);
    }
}
