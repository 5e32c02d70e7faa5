//! Filter rules behind the translation, in words: which of the packets of a row they stop.

use crate::derive::ruleset::fields::Fields;
use crate::derive::ruleset::filter::{Decision, Fate};
use crate::derive::ruleset::packets::PacketBox;
use crate::derive::ruleset::program::Program;
use crate::derive::ruleset::text;
use crate::model::{FilterVerdict, Filtered};

/// Most rules that are named.
const MAX_RULES: usize = 4;
/// Most alternatives of the packets of a rule that are written out.
const MAX_ALTERNATIVES: usize = 8;

/// Result of the filter rules for the packets of a row.
pub(super) fn filtered(program: &Program<'_>, fields: &Fields, fate: &Fate, v6: bool) -> Filtered {
    let (verdict, decisions, entry): (_, _, &[PacketBox]) = match fate {
        Fate::Passed => return Filtered { verdict: FilterVerdict::Accepted, detail: Box::default() },
        Fate::NotEvaluated(why) => {
            return Filtered { verdict: FilterVerdict::NotEvaluated, detail: (*why).into() };
        }
        Fate::Stopped(all) => (FilterVerdict::Stopped, all, &[]),
        Fate::Partly { stopped, entry } => (FilterVerdict::Partly, stopped, entry),
    };
    // By rule, in the order of the hooks.
    let mut rules: Vec<(&Decision, Vec<&PacketBox>)> = Vec::new();
    for d in decisions {
        match rules.iter_mut().find(|(r, _)| r.rule == d.rule && r.verdict == d.verdict) {
            Some((_, parts)) => parts.push(&d.packets),
            None => rules.push((d, vec![&d.packets])),
        }
    }
    let only = rules.len() == 1;
    let each = rules.iter().take(MAX_RULES).map(|(d, parts)| {
        let by = format!("{} by {}", d.verdict.done(), program.location(d.rule));
        if only && verdict == FilterVerdict::Stopped {
            return by;
        }
        let part = |p: &&PacketBox| text::packets(&narrower(p, entry), fields, v6);
        let mut texts: Vec<String> = parts.iter().take(MAX_ALTERNATIVES).map(part).collect();
        texts.dedup();
        let more = if parts.len() > MAX_ALTERNATIVES { " …" } else { "" };
        format!("{}{more} {by}", texts.join(" | ")).trim_start().to_owned()
    });
    let mut detail = each.collect::<Vec<_>>().join("; ");
    if rules.len() > MAX_RULES {
        detail.push_str("; …");
    }
    Filtered { verdict, detail: detail.into() }
}

/// The conditions of a part that the packets of the row do not meet all.
fn narrower(part: &PacketBox, packets: &[PacketBox]) -> PacketBox {
    let mut out = PacketBox::default();
    for (field, values) in part.fields() {
        if !packets.iter().all(|p| p.values(*field).is_subset(values)) {
            out.set(*field, values.clone());
        }
    }
    out
}
