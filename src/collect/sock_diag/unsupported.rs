//! Why a kernel does not tell the sockets of a protocol.

use crate::model::Proto;
use std::path::Path;

/// What the kernel calls it in `/proc/net/protocols`, and the module that lists its sockets.
const fn names(proto: Proto) -> (&'static str, &'static str) {
    match proto {
        Proto::Tcp => ("TCP", "tcp_diag"),
        Proto::Udp => ("UDP", "udp_diag"),
        Proto::UdpLite => ("UDP-Lite", "udp_diag"),
        Proto::Raw => ("RAW", "raw_diag"),
        Proto::Icmp => ("PING", "raw_diag"),
        Proto::Sctp => ("SCTP", "sctp_diag"),
        Proto::Dccp => ("DCCP", "dccp_diag"),
        Proto::Mptcp => ("MPTCP", "mptcp_diag"),
        Proto::Unix => ("UNIX", "unix_diag"),
        Proto::Packet => ("PACKET", "af_packet_diag"),
        Proto::Netlink => ("NETLINK", "netlink_diag"),
        Proto::Vsock => ("AF_VSOCK", "vsock_diag"),
        Proto::Tipc => ("TIPC", "tipc_diag"),
        Proto::Xdp => ("XDP", "xsk_diag"),
    }
}

/// One sentence for people. `proc` is `/proc/thread-self` or its like.
pub(crate) fn why(proto: Proto, proc: &Path) -> String {
    let (name, module) = names(proto);
    let known = std::fs::read_to_string(proc.join("net/protocols"));
    match known.as_deref().map(|all| speaks(all, name)) {
        Ok(true) => {
            format!(
                "this kernel has {name} sockets and no {module}: modprobe {module} adds it where it was built"
            )
        }
        Ok(false) if proto == Proto::Dccp => {
            "this kernel has no DCCP: Linux 6.16 and later have not".to_owned()
        }
        Ok(false) => format!("this kernel has no {name}: not built, or its module is not loaded"),
        Err(_) => format!("this kernel has no {module}"),
    }
}

/// Whether `/proc/net/protocols` names it: one a line, the name first.
fn speaks(protocols: &str, name: &str) -> bool {
    let first = protocols.lines().skip(1).filter_map(|l| l.split_whitespace().next());
    first.into_iter().any(|word| word == name || word.strip_suffix("v6") == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "protocol  size sockets  memory press maxhdr  slab module     cl co\n\
        XDP        960      0      -1   NI       0   no   kernel      n  n\n\
        MPTCPv6   2192      0       0   no       0   yes  kernel      y  n\n";

    #[test]
    fn what_the_kernel_speaks_and_does_not_list_is_told_apart() {
        assert!(speaks(TABLE, "XDP") && speaks(TABLE, "MPTCP") && !speaks(TABLE, "protocol"));
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(why(Proto::Sctp, dir.path()), "this kernel has no sctp_diag");
        std::fs::create_dir(dir.path().join("net")).unwrap();
        std::fs::write(dir.path().join("net/protocols"), TABLE).unwrap();
        assert!(why(Proto::Xdp, dir.path()).contains("modprobe xsk_diag"));
        assert!(why(Proto::Sctp, dir.path()).starts_with("this kernel has no SCTP: not built"));
        assert!(why(Proto::Dccp, dir.path()).contains("6.16"));
    }
}
