//! Page that answers why a row does not work: the question, its answer once it was read, and the findings of the row.

use super::detail_probe::{Waiting, unexpected};
use super::event::{AskedHost, Effect, HostAsk, HostReply};
use crate::diagnose::cause::Cause;
use crate::diagnose::why::{Answer, Question, text};
use crate::model::lang::tr;
use crate::model::text::escape;
use crate::msg;
use std::sync::Arc;

/// The page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AnswerPage {
    /// Row that the page is about, in words.
    pub(crate) subject: String,
    /// Question to read the answer of; `None` for a row that only its findings explain.
    pub(crate) question: Option<Question>,
    /// Time of the answer, nanoseconds since 1970, and the answer; or the reason why there is none.
    pub(crate) answer: Option<Result<(u64, Answer), String>>,
    /// Answer by the sample that is shown, for a moment that cannot be read again.
    pub(crate) of_sample: Option<Answer>,
    /// Host that is asked; `None` for this machine.
    pub(crate) host: Option<Arc<str>>,
    /// Answer of the host that is waited for.
    pub(crate) waiting: Option<Waiting>,
    /// True while the answer is read.
    pub(crate) reading: bool,
    /// True if this machine can be read as it is now.
    pub(crate) live: bool,
    /// Findings of the row: evidence, and meaning.
    pub(crate) findings: Vec<(String, &'static str)>,
}

impl AnswerPage {
    /// True if the answer can be requested, again or for the first time.
    pub(crate) const fn is_askable(&self) -> bool {
        self.live && !self.reading && self.question.is_some()
    }

    /// Requests the answer, once at a time; of another host with this number.
    pub(crate) fn ask(&mut self, waiting: Option<Waiting>) -> Vec<Effect> {
        match (&self.question, waiting) {
            _ if !self.is_askable() => vec![],
            (None, _) => vec![],
            (Some(question), None) => {
                self.reading = true;
                vec![Effect::Answer(question.clone())]
            }
            (Some(question), Some(waiting)) => {
                self.reading = true;
                let asked = waiting.asked.clone();
                self.waiting = Some(waiting);
                vec![Effect::AskHost(asked, HostAsk::Why(question.clone()))]
            }
        }
    }

    /// Takes an answer of this machine, if it is the one that was requested.
    pub(crate) fn take(&mut self, question: &Question, answer: Result<(u64, Answer), String>) {
        if self.reading && self.host.is_none() && self.question.as_ref() == Some(question) {
            (self.reading, self.answer) = (false, Some(answer));
        }
    }

    /// Takes the reply of a host, if it is the one that is waited for.
    pub(crate) fn take_of_host(&mut self, asked: &AskedHost, reply: HostReply) {
        if self.waiting.take_if(|w| w.asked == *asked).is_none() {
            return;
        }
        let host = escape(&asked.name).into_owned();
        let answer = match reply {
            HostReply::Answered(answer) => *answer,
            HostReply::Probed(_) => Err(unexpected(&host)),
            HostReply::Refused(why) | HostReply::Lost(why) => Err(msg!("not read on {}: {}", host, why)),
        };
        (self.reading, self.answer) = (false, Some(answer));
    }

    /// Answer to show: the one that was read, or else that of the sample.
    pub(crate) const fn shown(&self) -> Option<&Answer> {
        match &self.answer {
            Some(Ok((_, answer))) => Some(answer),
            _ => self.of_sample.as_ref(),
        }
    }

    /// Cause of the answer.
    pub(crate) fn cause(&self) -> Option<&'static Cause> {
        self.shown()?.cause()
    }

    /// The page as text, for the clipboard.
    pub(crate) fn text(&self) -> String {
        let mut out = match &self.host {
            Some(host) => format!("{}: {}\n", escape(host), self.subject),
            None => format!("{}\n", self.subject),
        };
        if let Some(Err(why)) = &self.answer {
            out.push_str(&format!("{why}\n"));
        }
        if let Some(answer) = self.shown() {
            out.push_str(&text(std::slice::from_ref(answer), None));
        }
        for (evidence, help) in &self.findings {
            out.push_str(&format!("{evidence}\n  {}\n", tr(help)));
        }
        out
    }
}
