//! Questions to another host: its agent reads, and answers.

use super::questions;
use super::read::wants_of;
use crate::app::exit_status::RunError;
use crate::app::fleet::{Connection, connect_limit};
use crate::app::fleet_asks::unanswered;
use crate::app::questions::Answered;
use crate::cli::why::{Target, WhyPlan};
use crate::cli::{Plan, UsageError};
use crate::collect::remote::{Ask, NoReply, Remote, Reply};
use crate::derive::Engine;
use crate::diagnose::why::{Answer, Question};
use crate::model::Snapshot;
use crate::model::text::escape;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Time in which a host answers a question, beside that of a connect.
const ANSWER: Duration = Duration::from_secs(60);

/// The host.
pub(super) struct There {
    name: Arc<str>,
    remote: Remote,
    replies: Receiver<(u64, Result<Vec<u8>, NoReply>)>,
    engine: Engine,
    /// Time in which it answers its first request.
    connect: Duration,
    /// Number of questions.
    asked: u64,
}

impl There {
    /// Connects to the host of the plan.
    pub(super) fn open(plan: &Plan, why: &WhyPlan) -> Result<Self, RunError> {
        let Connection { names, ssh } = Connection::new(plan)?;
        let [name] = &names[..] else {
            let why = format!("why: one host at a time, not {}: --host {}", names.len(), names[0]);
            return Err(UsageError(why).into());
        };
        if let Target::Host(host, _) = &why.target {
            let why =
                format!("why: {host:?} is a name, which only {name} itself can resolve: name the address");
            return Err(UsageError(why).into());
        }
        if why.user.as_deref().is_some_and(|user| user.parse::<u32>().is_err()) {
            let why = format!("--as: names of users are those of {name}: name the number");
            return Err(UsageError(why).into());
        }
        let (sender, replies) = channel();
        let on_reply = move |number, reply| sender.send((number, reply)).unwrap_or(());
        let remote = Remote::start_asked(&ssh, name, on_reply)
            .map_err(|e| RunError::Dashboard(format!("{name}: start a thread: {e}")))?;
        let connect = connect_limit(&ssh);
        Ok(Self { name: Arc::clone(name), remote, replies, engine: Engine::new(), connect, asked: 0 })
    }

    /// Reads and answers once.
    pub(super) fn ask(
        &mut self,
        plan: &Plan,
        why: &WhyPlan,
        uid: Option<u32>,
    ) -> Result<(Arc<Snapshot>, Vec<Answer>), RunError> {
        let snap = self.snapshot(plan, matches!(why.target, Target::Pid(_) | Target::Name(_)))?;
        let questions = questions(plan, why, uid, &snap)?;
        let answers: Result<Vec<Answer>, RunError> =
            questions.into_iter().map(|q| self.answer(q, why.probe)).collect();
        Ok((snap, answers?))
    }

    /// Processes and namespaces of the host, which questions name.
    fn snapshot(&mut self, plan: &Plan, of_process: bool) -> Result<Arc<Snapshot>, RunError> {
        self.remote.ask(&wants_of(of_process));
        let sample = self.remote.answer(Instant::now() + self.connect);
        let mut sample = match sample {
            Some(Ok(sample)) => sample,
            Some(Err(end)) => return Err(self.failed(&end.why)),
            None => return Err(self.failed(&format!("no answer within {} s", self.connect.as_secs()))),
        };
        sample.host = Arc::clone(&self.name);
        sample.services = Arc::clone(&plan.services);
        Ok(self.engine.step(sample))
    }

    fn answer(&mut self, question: Question, probe: Option<Duration>) -> Result<Answer, RunError> {
        let ask = match (question, probe) {
            (question @ Question::Connection(_), Some(timeout)) => {
                Ask::Connect(question, u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))
            }
            (question, _) => Ask::Why(question),
        };
        self.asked += 1;
        let body = serde_json::to_vec(&ask).map_err(|e| self.failed(&e.to_string()))?;
        let limit = ANSWER + probe.unwrap_or_default();
        let sent = self.remote.asker().ask(self.asked, ask.kind(), body);
        sent.map_err(|e| self.failed(&unanswered(&e)))?;
        let reply = match self.replies.recv_timeout(limit) {
            Ok((_, Ok(body))) => body,
            Ok((_, Err(e))) => return Err(self.failed(&unanswered(&e))),
            Err(RecvTimeoutError::Timeout) => {
                return Err(self.failed(&format!("no answer within {} s", limit.as_secs())));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(self.failed("the connection ended")),
        };
        match serde_json::from_slice::<Answered>(&reply) {
            Ok(Reply::Answered(Ok((_, answer)))) => Ok(answer),
            Ok(Reply::Answered(Err(why)) | Reply::Refused(why)) => Err(self.failed(&why)),
            Ok(_) => Err(self.failed("the reply is one to something else")),
            Err(e) => Err(self.failed(&format!("the reply is malformed: {e}"))),
        }
    }

    fn failed(&self, why: &str) -> RunError {
        RunError::Dashboard(format!("{}: {}", self.name, escape(why)))
    }
}
