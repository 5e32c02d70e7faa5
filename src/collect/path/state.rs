//! State of the network namespace of the calling thread.

use super::{AF, decode};
use crate::collect::netfilter;
use crate::collect::netlink::socket::{DumpError, Malformed, NetlinkSocket};
use crate::collect::netlink::wire::Request;
use crate::model::path::{Link, NetState, Unread};
use std::path::Path;

/// Settings below `/proc/sys/net`, which shows those of the namespace of the thread that opens them.
const SYSCTLS: [&str; 10] = [
    "core/somaxconn",
    "ipv4/ip_forward",
    "ipv4/ip_local_port_range",
    "ipv4/ip_local_reserved_ports",
    "ipv4/tcp_syncookies",
    "ipv4/tcp_tw_reuse",
    "ipv4/conf/all/rp_filter",
    "ipv6/conf/all/forwarding",
    "netfilter/nf_conntrack_count",
    "netfilter/nf_conntrack_max",
];

/// Settings of an interface.
const OF_LINKS: [&str; 3] = ["rp_filter", "accept_local", "route_localnet"];

/// Most interfaces whose settings are read.
const MAX_LINKS: usize = 256;

/// Reads the namespace of the calling thread.
pub(super) fn read(inode: u64, name: &str) -> NetState {
    let mut out = NetState { inode, name: name.into(), ..NetState::default() };
    let result = NetlinkSocket::open(None).map_err(DumpError::from);
    if let Err(e) = result.and_then(|mut socket| read_links(&mut socket, &mut out)) {
        out.unread.push((Unread::Links, e.to_string().into()));
    }
    let result = NetlinkSocket::open(None).map_err(DumpError::from);
    if let Err(e) = result.and_then(|mut socket| read_rules(&mut socket, &mut out)) {
        out.unread.push((Unread::PolicyRules, e.to_string().into()));
    }
    match netfilter::read_all() {
        Ok(rules) => out.netfilter = Some(rules),
        Err(why) => out.unread.push((Unread::Firewall, why.into())),
    }
    let links = out.links.iter().take(MAX_LINKS);
    let of_links = links.flat_map(|l| OF_LINKS.map(|s| format!("ipv4/conf/{}/{s}", l.name)));
    let paths: Vec<String> = SYSCTLS.iter().map(|s| (*s).to_owned()).chain(of_links).collect();
    for path in paths {
        if let Ok(text) = std::fs::read_to_string(Path::new("/proc/sys/net").join(&path)) {
            out.sysctls.insert(path.into(), text.trim().into());
        }
    }
    out
}

fn read_links(socket: &mut NetlinkSocket, out: &mut NetState) -> Result<(), DumpError> {
    let links: &mut Vec<Link> = &mut out.links;
    socket.dump(&Request::links(), |m| {
        links.push(decode::link(m).ok_or(Malformed)?);
        Ok(())
    })?;
    let addrs = &mut out.addrs;
    socket.dump(&Request::addresses(), |m| {
        addrs.push(decode::link_addr(m).ok_or(Malformed)?);
        Ok(())
    })?;
    Ok(())
}

fn read_rules(socket: &mut NetlinkSocket, out: &mut NetState) -> Result<(), DumpError> {
    let rules = &mut out.rules;
    for family in AF {
        let read = socket.dump(&Request::policy_rules(family), |m| {
            rules.push(decode::policy_rule(m).ok_or(Malformed)?);
            Ok(())
        });
        match read {
            Ok(_) => {}
            // A kernel without policy routing, or without the family.
            Err(e) if e.is_unsupported() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
