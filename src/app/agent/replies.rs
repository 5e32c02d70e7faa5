//! Replies of an agent to questions beside samples.

use crate::app::asked;
use crate::app::questions::{Answered, Asked};
use crate::app::{action, why};
use crate::cli::Plan;
use crate::collect::remote::{Ask, Kind, Reply, StreamError, message};
use crate::tui::event::ProbeRequest;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a real connect.
const MAX_CONNECT: Duration = Duration::from_secs(60);
/// Most thread ids of a process in a reply.
const MAX_TIDS: usize = 65_536;

/// The reply to a question, read now. Acts are carried out by this hand; without one they are refused.
pub(super) fn reply(plan: &Plan, ask: Asked, hand: Option<&mut action::Hand<'_>>) -> Answered {
    match ask {
        _ if ask.is_too_large() => Reply::Refused("more targets than a message may have".to_owned()),
        Ask::Open(_) => Reply::Refused("not answered here: open".to_owned()),
        Ask::Probe(of) => {
            let request = ProbeRequest {
                process: Arc::new(of.process.info()),
                socket: of.socket,
                inet: of.inet.map(|s| Box::new((s.socket(), (s.netns != 0).then_some(s.netns)))),
            };
            let mut result = asked::details(true, &request);
            result.tids.truncate(MAX_TIDS);
            Reply::Probed(result)
        }
        Ask::Why(question) => Reply::Answered(asked::answer(plan, &question)),
        Ask::Connect(question, timeout_ms) => {
            let timeout = Duration::from_millis(timeout_ms).min(MAX_CONNECT);
            let answered = why::answer_with_connect(plan, &question, timeout);
            Reply::Answered(answered.map_err(|e| e.to_string()))
        }
        Ask::Act(act) => match hand {
            Some(hand) => Reply::Acted(hand(act)),
            None => Reply::Refused("no acts are taken here".to_owned()),
        },
    }
}

/// A reply as bytes; one that is too long is refused.
pub(super) fn to_bytes(reply: &Answered) -> Result<Vec<u8>, StreamError> {
    let body = |r: &Answered| serde_json::to_vec(r).map_err(|e| StreamError::Malformed(e.to_string()));
    match message(Kind::Reply, &body(reply)?) {
        Err(e @ StreamError::TooLong { .. }) => message(Kind::Reply, &body(&Reply::Refused(e.to_string()))?),
        other => other,
    }
}
