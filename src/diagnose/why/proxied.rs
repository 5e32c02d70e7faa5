//! The step behind a user-space proxy: the proxy accepts the connection, and opens one of its own to its target.

use super::{Status, Step, listener};
use crate::diagnose::cause::{DNAT_DEAD, Effect};
use crate::model::{Forward, ForwardKind, Snapshot};

/// The forward of the proxy that accepts the connection.
#[derive(Clone, Copy, Debug)]
pub struct Proxied<'a> {
    /// The snapshot that the forward refers to.
    pub snap: &'a Snapshot,
    /// The forward.
    pub forward: &'a Forward,
}

/// The step of the target; `None` if the command line of the proxy names none.
pub(super) fn step(p: &Proxied<'_>) -> Option<Step> {
    let (snap, f) = (p.snap, p.forward);
    let target = f.target?;
    let proxy = f.via.iter().find(|v| v.kind.is_proxy())?;
    let name = match proxy.process.and_then(|i| snap.sample.processes.get(i as usize)) {
        Some(p) => format!("{} {}", p.info.name(), p.info.pid),
        None => proxy.kind.name().to_owned(),
    };
    let mut step = match (f.listens, f.target_row) {
        // Behind a tunnel is another host.
        _ if proxy.kind == ForwardKind::Ssh => {
            Step::not_visible("target", format!("{name} forwards to {target} from its other end"))
        }
        (Some(true), Some(row)) => {
            let mut step = listener::health(snap, &[row as usize], &target.to_string(), true);
            step.evidence = format!("{name} forwards to {}", step.evidence);
            // The client is connected to the proxy, whatever happens behind it.
            step.effect = step.effect.map(|_| Effect::NotServed);
            step
        }
        (Some(true), None) => Step::ok("target", format!("{name} forwards to {target}, which is served")),
        (Some(false), _) => {
            let others = listener::others(snap, f.target_netns?, target.port);
            let text = format!("{name} forwards to {target}, on which nothing listens{others}");
            Step { effect: Some(Effect::NotServed), ..Step::fails("target", &DNAT_DEAD, text) }
        }
        (None, _) => {
            Step::not_visible("target", format!("{name} forwards to {target}: not visible from here"))
        }
    };
    let elsewhere = f.target_netns.filter(|n| *n != f.netns && step.status != Status::NotVisible);
    step.netns = elsewhere.and_then(|n| Some(snap.sample.namespaces.get(usize::from(n))?.name.clone()));
    Some(step)
}
