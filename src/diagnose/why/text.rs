//! An answer as text.

use super::{Answer, Certainty, Step, Verdict};
use crate::format::wrap;
use crate::model::text::escape;
use std::fmt::Write as _;

/// Columns before the evidence of a step.
const INDENT: usize = 28;

/// Least number of answers without a failure that stand in one line.
const FOLDED: usize = 2;
/// Most subjects that such a line names.
const MAX_NAMED: usize = 8;

/// The answers as text: each in one line, then its steps. Of several answers those without a failure stand in one line. Wrapped at a
/// width, if there is one.
pub fn text(answers: &[Answer], width: Option<usize>) -> String {
    let width = width.unwrap_or(usize::MAX);
    let mut out = String::new();
    let healthy: Vec<&Answer> = answers.iter().filter(|a| a.verdict == Verdict::Reachable).collect();
    let is_folded = |a: &&Answer| healthy.len() >= FOLDED && a.verdict == Verdict::Reachable;
    for a in answers.iter().filter(|a| !is_folded(a)) {
        if !out.is_empty() {
            out.push('\n');
        }
        push_answer(&mut out, a, width);
    }
    if healthy.len() >= FOLDED {
        if !out.is_empty() {
            out.push('\n');
        }
        let mut names: Vec<&str> = healthy.iter().take(MAX_NAMED).map(|a| a.subject.as_str()).collect();
        if healthy.len() > MAX_NAMED {
            names.push("...");
        }
        let line = format!("no problem found: {} of {} ({})", healthy.len(), answers.len(), names.join(", "));
        wrapped(&mut out, &line, 0, width);
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

#[cfg(test)]
mod tests {
    use super::super::{Verdict, conclude};
    use super::*;
    use crate::diagnose::cause::NOTHING_LISTENS;

    #[test]
    fn answers_without_a_failure_are_one_line() {
        let ok = |n: u32| conclude(format!("nginx {n}"), vec![Step::ok("process", "p")], "nginx", false);
        let fails = conclude("nginx 1".into(), vec![Step::fails("x", &NOTHING_LISTENS, "e")], "nginx", false);
        assert_eq!(ok(2).verdict, Verdict::Reachable);
        let all: Vec<Answer> = std::iter::once(fails).chain((2..22).map(ok)).collect();
        let out = text(&all, None);
        assert!(out.starts_with("refused: e (certain)"), "{out}");
        let last = out.lines().last().unwrap();
        assert!(last.starts_with("no problem found: 20 of 21 (nginx 2, nginx 3, "), "{last}");
        assert!(last.ends_with("nginx 9, ...)"), "{last}");
        // One alone has its steps.
        assert!(text(&[ok(2)], None).contains("process"));
    }
}
