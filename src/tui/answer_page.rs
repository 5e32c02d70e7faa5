//! Page that answers why a row does not work: the question, its answer once it was read, and the findings of the row.

use super::event::Effect;
use crate::diagnose::cause::Cause;
use crate::diagnose::why::{Answer, Question, text};
use crate::model::lang::tr;

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
    /// True while the answer is read.
    pub(crate) reading: bool,
    /// True if this machine can be read as it is now.
    pub(crate) live: bool,
    /// Findings of the row: evidence, and meaning.
    pub(crate) findings: Vec<(String, &'static str)>,
}

impl AnswerPage {
    /// Requests the answer, once at a time.
    pub(crate) fn ask(&mut self) -> Vec<Effect> {
        match &self.question {
            Some(question) if self.live && !self.reading => {
                self.reading = true;
                vec![Effect::Answer(question.clone())]
            }
            _ => vec![],
        }
    }

    /// Takes an answer, if it is the one that was requested.
    pub(crate) fn take(&mut self, question: &Question, answer: Result<(u64, Answer), String>) {
        if self.reading && self.question.as_ref() == Some(question) {
            (self.reading, self.answer) = (false, Some(answer));
        }
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
        let mut out = format!("{}\n", self.subject);
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
