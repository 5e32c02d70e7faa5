//! Answers as JSON.

use crate::diagnose::cause::Effect;
use crate::diagnose::why::{Answer, Step};
use crate::model::Snapshot;
use crate::model::text::escape;
use crate::output::JsonHead;
use crate::output::json::push_head;
use serde_json::{Value, json};
use std::fmt::Write as _;

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
