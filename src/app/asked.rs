//! Reads beside the samples: the details of one row, and why a connection does not work.

use super::why;
use crate::cli::Plan;
use crate::collect::probe;
use crate::diagnose::why::{Answer, Question};
use crate::model::Missing;
use crate::model::lang::{noop, tr};
use crate::tui::event::{ProbeRequest, ProbeResult};

/// Answers a question, on a live machine only: the time of the answer, nanoseconds since 1970, and the answer.
pub(super) fn answer(plan: &Plan, question: &Question) -> Result<(u64, Answer), String> {
    if plan.is_live() {
        why::answer_now(plan, question).map_err(|e| e.to_string())
    } else {
        Err(tr("only answered live: demo data and captured trees have no routes and rules").to_owned())
    }
}

/// Reads what only the details show; all unknown in demo data and captured trees.
pub(super) fn details(live: bool, request: &ProbeRequest) -> ProbeResult {
    if !live {
        let unknown = || Err(Missing::NotReported);
        return ProbeResult {
            cwd: Err(noop("demo data or captured tree").to_owned()),
            proc_ctx: unknown(),
            sock_ctx: unknown(),
            tids: vec![],
            bpf_maps: Err(Missing::NotReported),
        };
    }
    let (proc_ctx, sock_ctx) = probe::contexts(&request.process, request.socket);
    let cwd = probe::working_directory(&request.process).map_err(|e| e.to_string());
    let tids = probe::threads(&request.process);
    let bpf_maps = match request.inet.as_deref() {
        Some((socket, netns)) => probe::bpf_maps(socket, *netns),
        None => Err(Missing::NotApplicable),
    };
    ProbeResult { cwd, proc_ctx, sock_ctx, tids, bpf_maps }
}
