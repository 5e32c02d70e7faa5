//! A real connect beside the prediction: it confirms the answer, or contradicts it.

use super::{Answer, Certainty, Status, Step, Verdict};
use crate::diagnose::cause::{CGROUP_BPF, Effect, NO_ANSWER, REFUSED_THERE};
use crate::format::{Style, duration};
use crate::model::Proto;
use crate::model::path::{ConnectOutcome, ConnectResult};

/// `errno` of a failed connect.
const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const EMFILE: i32 = 24;
const EADDRNOTAVAIL: i32 = 99;
const ENETUNREACH: i32 = 101;
const ETIMEDOUT: i32 = 110;
const ECONNREFUSED: i32 = 111;
const EHOSTUNREACH: i32 = 113;

/// Effect of an `errno`; `None` for one that no cause has.
const fn effect_of(errno: i32) -> Option<Effect> {
    Some(match errno {
        ECONNREFUSED => Effect::Refused,
        ETIMEDOUT => Effect::TimesOut,
        EHOSTUNREACH => Effect::HostUnreachable,
        ENETUNREACH => Effect::NetUnreachable,
        EACCES | EPERM => Effect::NotPermitted,
        EADDRNOTAVAIL => Effect::NoAddress,
        EMFILE => Effect::NoDescriptors,
        EINVAL => Effect::Invalid,
        _ => return None,
    })
}

/// True if the outcome is what a predicted effect leads to.
fn agrees(predicted: Effect, outcome: ConnectOutcome, proto: Proto) -> bool {
    match (predicted, outcome) {
        // The kernel of the listener accepts, and the application does nothing; what this process has left is not what the
        // client has left; resolving a neighbour takes three seconds; datagrams are not acknowledged.
        (Effect::NotServed | Effect::Impaired | Effect::NoDescriptors, _)
        | (Effect::TimesOut | Effect::HostUnreachable, ConnectOutcome::Silent)
        | (Effect::TimesOut, ConnectOutcome::Sent) => true,
        // A rule of the output hook fails the call.
        (Effect::TimesOut, ConnectOutcome::Failed(EPERM)) => matches!(proto, Proto::Udp),
        (_, ConnectOutcome::Failed(errno)) => effect_of(errno) == Some(predicted),
        (_, ConnectOutcome::Connected | ConnectOutcome::Sent | ConnectOutcome::Silent) => false,
    }
}

impl Answer {
    /// Puts the result of a real connect beside the prediction; the error if it was not made.
    #[must_use]
    pub fn with_probe(mut self, proto: Proto, result: &Result<ConnectResult, String>) -> Self {
        let result = match result {
            Ok(result) => result,
            Err(why) => {
                self.steps.push(Step::not_visible("probe", format!("no connect was made: {why}")));
                return self;
            }
        };
        let took = duration(result.took.as_secs_f64(), &Style::default());
        let text = text(result.outcome, proto, &took);
        let failed = self.steps.iter().find(|s| s.is_failure());
        let predicted = failed.and_then(|s| s.effect);
        let is_behind = self.steps.iter().any(|s| s.name == "target" && s.status == Status::NotVisible);
        let mut step = Step::ok("probe", text.clone());
        match (predicted, result.outcome) {
            (Some(effect), outcome) if agrees(effect, outcome, proto) => {
                if !matches!(outcome, ConnectOutcome::Connected) {
                    step.evidence.push_str(", as predicted");
                }
            }
            (Some(_), ConnectOutcome::Connected) => {
                self.headline = format!("reachable: {text}; the prediction was wrong: {}", self.headline);
                (self.verdict, self.certainty) = (Verdict::Reachable, Certainty::Certain);
                // What was predicted stays visible, and is no failure.
                for step in self.steps.iter_mut().filter(|s| s.is_failure()) {
                    (step.status, step.cause, step.effect) = (Status::NotVisible, None, None);
                    step.evidence = format!("predicted, but not so: {}", step.evidence);
                }
            }
            (Some(_), _) => {
                self.headline = format!("{text}; predicted: {}", self.headline);
                (self.verdict, self.certainty) = (Verdict::Unknown, Certainty::Unknown);
                step.status = Status::Fails;
            }
            (None, ConnectOutcome::Connected) => {
                self.headline = format!("reachable: {}, {text}", self.subject);
                (self.verdict, self.certainty) = (Verdict::Reachable, Certainty::Certain);
            }
            // No evidence either way.
            (None, ConnectOutcome::Sent) => {}
            (None, outcome) if self.blame_cgroup(outcome) => {
                step.evidence.push_str(", as a BPF program of the cgroup does");
                let failed = self.steps.iter().find(|s| s.is_failure());
                let evidence = failed.map_or("", |s| s.evidence.as_str());
                self.headline = format!("{}: {evidence}, and {text}", Effect::NotPermitted.text());
                (self.verdict, self.certainty) = (Verdict::Cause, Certainty::Likely);
            }
            (None, outcome) => {
                step = unexpected(outcome, is_behind, text);
                let (verdict, certainty) = match step.cause {
                    Some(_) => (Verdict::Cause, Certainty::Likely),
                    None => (Verdict::Unknown, Certainty::Unknown),
                };
                let effect = step.effect.map_or("fails", Effect::text);
                let why = if step.cause.is_some() { "" } else { ", no step explains it" };
                self.headline = format!("{effect}: {}{why}", step.evidence);
                (self.verdict, self.certainty) = (verdict, certainty);
            }
        }
        self.steps.push(step);
        self
    }
}

impl Answer {
    /// Marks the BPF program of a cgroup whose decision was not visible as the likely cause, if the outcome is a refusal at its hook.
    fn blame_cgroup(&mut self, outcome: ConnectOutcome) -> bool {
        if outcome != ConnectOutcome::Failed(EPERM) {
            return false;
        }
        let is_it = |s: &&mut Step| s.name == "cgroup" && s.effect == Some(Effect::NotPermitted);
        let Some(step) = self.steps.iter_mut().find(is_it) else { return false };
        (step.status, step.cause) = (Status::Likely, Some(&CGROUP_BPF));
        true
    }
}

fn text(outcome: ConnectOutcome, proto: Proto, took: &str) -> String {
    match outcome {
        ConnectOutcome::Connected if matches!(proto, Proto::Udp) => {
            format!("a datagram was answered after {took}")
        }
        ConnectOutcome::Connected => format!("a real connect succeeded after {took}"),
        ConnectOutcome::Sent => format!("an empty datagram was sent, nothing came back within {took}"),
        ConnectOutcome::Silent => format!("a real connect had no answer within {took}"),
        ConnectOutcome::Failed(errno) => {
            let error = std::io::Error::from_raw_os_error(errno).to_string();
            let error = error.split(" (os error").next().unwrap_or("").to_lowercase();
            format!("a real connect failed after {took}: {error}")
        }
    }
}

/// The step of a connect that fails although no step does: of a destination beyond this machine its own answer is the cause.
fn unexpected(outcome: ConnectOutcome, is_behind: bool, text: String) -> Step {
    let effect = match outcome {
        ConnectOutcome::Failed(errno) => effect_of(errno),
        _ => Some(Effect::TimesOut),
    };
    match effect {
        Some(Effect::Refused) if is_behind => Step::fails("probe", &REFUSED_THERE, text).likely(),
        Some(Effect::TimesOut) if is_behind => Step::fails("probe", &NO_ANSWER, text).likely(),
        effect => Step { effect, ..Step::new("probe", Status::Fails, text) },
    }
}

#[cfg(test)]
mod tests {
    use super::super::conclude;
    use super::*;
    use crate::diagnose::cause::{BACKLOG_FULL, NOTHING_LISTENS, SERVER_STOPPED};
    use std::time::Duration;

    fn predicted(steps: Vec<Step>) -> Answer {
        conclude("tcp 10.0.0.4:80".into(), steps, "tcp 10.0.0.4:80", false)
    }

    fn made(a: Answer, outcome: ConnectOutcome) -> Answer {
        let result = ConnectResult { outcome, took: Duration::from_millis(2) };
        a.with_probe(Proto::Tcp, &Ok(result))
    }

    #[test]
    fn result_that_agrees_keeps_the_answer() {
        let refused = predicted(vec![Step::fails("listener", &NOTHING_LISTENS, "nothing listens")]);
        let a = made(refused, ConnectOutcome::Failed(ECONNREFUSED));
        assert_eq!(
            (a.verdict, a.certainty, a.cause()),
            (Verdict::Cause, Certainty::Certain, Some(&NOTHING_LISTENS))
        );
        assert!(a.steps.last().unwrap().evidence.ends_with("connection refused, as predicted"), "{a:?}");
        let stopped = predicted(vec![Step::fails("server", &SERVER_STOPPED, "stopped")]);
        assert_eq!(made(stopped, ConnectOutcome::Connected).verdict, Verdict::Cause);
        let full = predicted(vec![Step::fails("listener", &BACKLOG_FULL, "full")]);
        assert_eq!(made(full, ConnectOutcome::Silent).cause(), Some(&BACKLOG_FULL));
    }

    #[test]
    fn result_that_contradicts_is_the_answer() {
        let refused = predicted(vec![Step::fails("listener", &NOTHING_LISTENS, "nothing listens")]);
        let a = made(refused.clone(), ConnectOutcome::Connected);
        assert_eq!((a.verdict, a.certainty, a.cause()), (Verdict::Reachable, Certainty::Certain, None));
        assert!(a.headline.contains("the prediction was wrong: refused: nothing listens"), "{}", a.headline);
        let a = made(refused, ConnectOutcome::Silent);
        assert_eq!(a.verdict, Verdict::Unknown);
        assert!(
            a.headline.contains("no answer") && a.headline.contains("predicted: refused"),
            "{}",
            a.headline
        );
    }

    #[test]
    fn failure_without_a_step_is_unknown_and_one_behind_this_machine_its_own() {
        let a = made(predicted(vec![Step::ok("route", "r")]), ConnectOutcome::Failed(ECONNREFUSED));
        assert_eq!((a.verdict, a.cause()), (Verdict::Unknown, None));
        let remote = || predicted(vec![Step::ok("route", "r"), Step::not_visible("target", "10.0.0.4")]);
        let a = made(remote(), ConnectOutcome::Failed(ECONNREFUSED));
        assert_eq!((a.verdict, a.cause()), (Verdict::Cause, Some(&REFUSED_THERE)));
        assert_eq!(made(remote(), ConnectOutcome::Silent).cause(), Some(&NO_ANSWER));
        let a = made(remote(), ConnectOutcome::Connected);
        assert_eq!((a.verdict, a.certainty), (Verdict::Reachable, Certainty::Certain));
    }
}
