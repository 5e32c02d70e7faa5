//! Requests what only the details of a row show: of this machine, or of the host of the row.

use super::app::App;
use super::detail_probe::{DetailProbe, Probed};
use super::event::{Effect, HostAsk, ProbeRequest};
use crate::model::lang::tr;
use crate::model::snapshot::{HostState, RemoteHost};
use crate::model::text::escape;
use crate::msg;
use std::sync::Arc;

/// Requests the probe of a row, unless it is known or waited for.
pub(crate) fn request(
    app: &mut App,
    request: ProbeRequest,
    host: Option<&RemoteHost>,
    seq: u64,
    effects: &mut Vec<Effect>,
) {
    if app.detail_probe.as_ref().is_some_and(|p| p.is_of(&request, host, seq)) {
        return;
    }
    let name = host.map(|h| Arc::clone(&h.name));
    let state = match host {
        None => {
            effects.push(Effect::Probe(request.clone()));
            Probed::Pending
        }
        // It is asked when it is back.
        Some(h) if matches!(h.state, HostState::Gone | HostState::Refused | HostState::Connecting) => {
            let state = tr(h.state.name());
            Probed::Failed(msg!("not read: {} is {}", escape(&h.name), state), Some(seq))
        }
        Some(h) => {
            let waiting = app.wait_for(Arc::clone(&h.name));
            effects.push(Effect::AskHost(waiting.asked.clone(), HostAsk::Probe(request.clone())));
            Probed::Waiting(waiting)
        }
    };
    app.detail_probe = Some(DetailProbe { request, host: name, state });
}
