//! Reason that the kernel does not list the sockets of a protocol.

use crate::model::Proto;
use std::path::Path;

/// Name of a protocol in `/proc/net/protocols`, and the module that lists its sockets.
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

/// The reason, as text. `proc` is `/proc/thread-self` outside of tests.
pub(crate) fn reason(proto: Proto, proc: &Path) -> String {
    let (name, module) = names(proto);
    let protocols = std::fs::read_to_string(proc.join("net/protocols"));
    match protocols.as_deref().map(|all| is_registered(all, name)) {
        Ok(true) => {
            format!(
                "{name} is in use but {module} is not available: load it with modprobe {module} if it was built"
            )
        }
        Ok(false) if proto == Proto::Dccp => "no DCCP in this kernel: removed in Linux 6.16".to_owned(),
        Ok(false) => format!("no {name} in this kernel: not built, or its module is not loaded"),
        Err(_) => format!("no {module} in this kernel"),
    }
}

/// True if the protocol is built in or its module is loaded.
pub(crate) fn is_in_use(proto: Proto, proc: &Path) -> bool {
    std::fs::read_to_string(proc.join("net/protocols")).is_ok_and(|all| is_registered(&all, names(proto).0))
}

/// True if `/proc/net/protocols` lists the protocol: one per line, name first.
fn is_registered(protocols: &str, name: &str) -> bool {
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
    fn reason_names_missing_module_or_missing_protocol() {
        assert!(
            is_registered(TABLE, "XDP") && is_registered(TABLE, "MPTCP") && !is_registered(TABLE, "protocol")
        );
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(reason(Proto::Sctp, dir.path()), "no sctp_diag in this kernel");
        std::fs::create_dir(dir.path().join("net")).unwrap();
        std::fs::write(dir.path().join("net/protocols"), TABLE).unwrap();
        assert!(
            is_in_use(Proto::Mptcp, dir.path())
                && !is_in_use(Proto::Sctp, dir.path())
                && !is_in_use(Proto::Mptcp, Path::new("/none"))
        );
        assert!(reason(Proto::Xdp, dir.path()).contains("modprobe xsk_diag"));
        assert!(reason(Proto::Sctp, dir.path()).starts_with("no SCTP in this kernel: not built"));
        assert!(reason(Proto::Dccp, dir.path()).contains("6.16"));
    }
}
