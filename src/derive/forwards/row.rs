//! New rows of forwards.

use crate::model::nat::Via;
use crate::model::{Endpoint, Forward, Hooks, Proto};

/// A forward with one step and without target.
pub(super) fn new_forward(netns: u16, proto: Option<Proto>, host: Endpoint, step: Via) -> Forward {
    Forward {
        netns,
        proto,
        host,
        bits: None,
        last_addr: None,
        hooks: Hooks::default(),
        conditions: Vec::new(),
        packets: Box::default(),
        last_port: host.port,
        iface: None,
        via: vec![step],
        target: None,
        target_last: None,
        shadowed_by: None,
        filtered: None,
        container: None,
        target_netns: None,
        target_row: None,
        listens: None,
        sockets: Vec::new(),
        clients: 0,
        rx: None,
        tx: None,
    }
}
