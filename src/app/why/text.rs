//! An answer as text and as JSON.

use crate::diagnose::cause::Effect;
use crate::diagnose::why::{Answer, Certainty, Step};
use crate::format::wrap;
use crate::model::Snapshot;
use crate::model::text::escape;
use crate::output::JsonHead;
use crate::output::json::push_head;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::IsTerminal;

/// Width of the text on a terminal that does not report its own.
const WIDTH: usize = 80;
/// Columns before the evidence of a step.
const INDENT: usize = 28;

/// The answers as text: the answer in one line, then the steps.
pub(super) fn text(answers: &[Answer]) -> String {
    let width = if std::io::stdout().is_terminal() { terminal_width() } else { usize::MAX };
    let mut out = String::new();
    for (i, a) in answers.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        push_answer(&mut out, a, width);
    }
    out
}

fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map_or(WIDTH, |s| usize::from(s.ws_col)).max(40)
}

fn push_answer(out: &mut String, a: &Answer, width: usize) {
    let headline = match a.certainty {
        Certainty::Unknown => a.headline.clone(),
        Certainty::Certain | Certainty::Likely => format!("{} ({})", a.headline, a.certainty.name()),
    };
    wrapped(out, &headline, 0, width);
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

/// The answers as a JSON object.
pub(super) fn json(snap: &Snapshot, answers: &[Answer]) -> String {
    let all: Vec<Value> = answers.iter().map(answer_json).collect();
    let mut out = String::from("{");
    push_head(&mut out, JsonHead::new(snap));
    let _ = writeln!(out, ",\"answers\":{}}}", Value::from(all));
    crate::model::text::escape_json(&out).into_owned()
}

fn answer_json(a: &Answer) -> Value {
    let steps: Vec<Value> = a.steps.iter().map(step_json).collect();
    json!({
        "subject": escape(&a.subject),
        "verdict": a.verdict,
        "certainty": a.certainty,
        "cause": a.cause().map(|c| c.name),
        "answer": escape(&a.headline),
        "steps": steps,
    })
}

fn step_json(s: &Step) -> Value {
    json!({
        "step": s.name,
        "netns": s.netns,
        "status": s.status,
        "evidence": escape(&s.evidence),
        "cause": s.cause.map(|c| c.name),
        "effect": s.effect.map(Effect::text),
        "remedy": s.cause.map(|c| c.remedy),
    })
}
