//! The forward of a user-space proxy that listens at the end of a path. It is read only if one does.

use super::read::{serving_states, wants};
use crate::app::exit_status::RunError;
use crate::app::reader::Reader;
use crate::cli::Plan;
use crate::derive::is_proxy;
use crate::diagnose::why::Proxied;
use crate::model::{Endpoint, Forward, Needs, Netns, Proto, Snapshot};
use std::sync::Arc;

/// A forward, and the snapshot that it refers to.
#[derive(Debug)]
pub(super) struct Found {
    snap: Arc<Snapshot>,
    forward: Forward,
}

impl Found {
    pub(super) fn proxied(&self) -> Proxied<'_> {
        Proxied { snap: &self.snap, forward: &self.forward }
    }
}

/// The forward of the proxy that serves a port of a namespace, at this endpoint if one is known.
pub(super) fn find(
    plan: &Plan,
    snap: &Snapshot,
    (netns, proto, port): (u16, Proto, u16),
    dest: Option<Endpoint>,
) -> Result<Option<Found>, RunError> {
    let serves = |row: &usize| {
        let s = snap.socket(*row);
        s.serves() && s.local.port == port && s.id.netns == netns
    };
    let proxy = |row: usize| {
        let owners = snap.owners(row).iter().map(|o| &snap.process(o).info);
        owners.into_iter().any(|p| is_proxy(&p.comm, &p.cmdline))
    };
    if !(0..snap.live).filter(serves).any(proxy) {
        return Ok(None);
    }
    let mut wants = wants(serving_states());
    wants.needs = wants.needs.or(Needs::NAT);
    let again = Reader::open_in(plan, Netns::All, wants)?.poll()?;
    let inode = snap.netns_inode(netns);
    let is_it = |f: &&Forward| {
        again.netns_inode(f.netns) == inode
            && f.proto.is_none_or(|p| p == proto)
            && f.host.port == port
            && dest.is_none_or(|d| f.covers(&d))
            && f.via.iter().any(|v| v.kind.is_proxy() && v.listener.is_some())
    };
    let forward = again.forward_rows().iter().find(is_it).cloned();
    Ok(forward.map(|forward| Found { snap: again, forward }))
}
