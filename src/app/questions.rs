//! Questions of a dashboard to an agent, and its replies.

use crate::collect::remote::{Ask, ProbeOf, ProcessId, Reply, SocketTarget};
use crate::diagnose::why::{Answer, Question};
use crate::tui::event::{ProbeRequest, ProbeResult};

/// Question of a dashboard to an agent.
pub(super) type Asked = Ask<Question>;
/// Reply to it.
pub(super) type Answered = Reply<ProbeResult, Answer>;

/// Row of a request, by what identifies it for an agent.
pub(super) fn probe_of(request: &ProbeRequest) -> ProbeOf {
    let inet = request.inet.as_deref().map(|(s, netns)| SocketTarget::new(s, netns.unwrap_or(0)));
    ProbeOf { process: ProcessId::from(&*request.process), socket: request.socket, inet }
}
