//! An answer as text.

use super::{Answer, Certainty, Step};
use crate::format::wrap;
use crate::model::text::escape;
use std::fmt::Write as _;

/// Columns before the evidence of a step.
const INDENT: usize = 28;

/// The answers as text: the answer in one line, then the steps. Wrapped at a width, if there is one.
pub fn text(answers: &[Answer], width: Option<usize>) -> String {
    let width = width.unwrap_or(usize::MAX);
    let mut out = String::new();
    for (i, a) in answers.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        push_answer(&mut out, a, width);
    }
    out
}

impl Answer {
    /// The answer in one line, with its certainty.
    pub fn line(&self) -> String {
        match self.certainty {
            Certainty::Unknown => self.headline.clone(),
            Certainty::Certain | Certainty::Likely => {
                format!("{} ({})", self.headline, self.certainty.name())
            }
        }
    }
}

fn push_answer(out: &mut String, a: &Answer, width: usize) {
    wrapped(out, &a.line(), 0, width);
    out.push('\n');
    let first = a.steps.iter().position(Step::is_failure);
    for (i, s) in a.steps.iter().enumerate() {
        // Writing to a String cannot fail.
        let at = s.netns.as_ref().map_or(String::new(), |n| format!("[{n}] "));
        let _ = write!(out, "  {:<11}  {:<13}", s.status.name(), s.name);
        wrapped(out, &format!("{at}{}", s.evidence), INDENT, width);
        if let Some(cause) = s.cause.filter(|_| first == Some(i)) {
            let _ = write!(out, "  {:<11}  {:<13}", "", "do");
            wrapped(out, cause.remedy, INDENT, width);
            let _ = write!(out, "  {:<11}  {:<13}", "", "more");
            wrapped(out, &format!("sockscope explain {}", cause.name), INDENT, width);
        }
    }
}

/// Appends text after an indent that is already written, wrapped at blanks.
fn wrapped(out: &mut String, text: &str, indent: usize, width: usize) {
    let text = escape(text);
    let lines = if width == usize::MAX { vec![text.into_owned()] } else { wrap(&text, width - indent) };
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.extend(std::iter::repeat_n(' ', indent));
        }
        out.push_str(line);
        out.push('\n');
    }
}
