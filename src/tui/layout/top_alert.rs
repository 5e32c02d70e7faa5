//! Text of the top alert: the limit nearest to full, or the process nearest to its fd limit.

use crate::format::{age, percent, shorten, thousands as count};
use crate::msg;
use crate::table::TableId;
use crate::tui::app::App;
use crate::tui::canvas::width;

/// Columns that a bar keeps free for the alert, that it has at least there: its shortest form with a usual name.
pub(super) const PLACE: u16 = 40;

/// The whole text and the share of the limit.
pub(crate) fn text(app: &App) -> Option<(String, f64)> {
    let (mut texts, share) = texts(app)?;
    Some((texts.swap_remove(0), share))
}

/// The longest text that fits this width, else the shortest, and the share of the limit.
pub(crate) fn fitted(app: &App, room: u16) -> Option<(String, f64)> {
    let (mut texts, share) = texts(app)?;
    let i = texts.iter().position(|text| width(text) <= room).unwrap_or(texts.len() - 1);
    Some((texts.swap_remove(i), share))
}

/// The text, the longest form first, and the share of the limit; never empty.
fn texts(app: &App) -> Option<(Vec<String>, f64)> {
    let snap = app.snapshot.as_ref()?;
    if let Some(a) = snap.alerts.first() {
        let (on, limit) = snap.at(TableId::Limits, a.limit as usize);
        let l = on.limits.get(limit)?;
        let whose = crate::diagnose::limit::subject(on, limit);
        let host = snap.host_of(TableId::Limits, a.limit as usize);
        let whose = host.map_or(whose.clone(), |h| format!("{} {whose}", h.name));
        let whose = shorten(&crate::model::text::escape(&whose), 24, &app.options.format());
        let how = match l.share() {
            Some(s) => percent(s * 100.0),
            // A count without a maximum shows its value; a drop counter the drops since the alert was raised.
            None if l.drops.is_none() => count(l.used),
            None => msg!("{} lost", count(a.lost)),
        };
        let when = l.full_in.filter(|f| f.likely < 86_400.0).map(|f| age(f.likely));
        let mark = app.glyphs.alarm;
        let bad = if a.level == crate::model::Level::Critical { 0.95 } else { 0.8 };
        // The number of alerts before the first of them: always there, so that the text keeps its place.
        let bare = format!("{mark} {}  {whose} {} {how}", snap.alerts.len(), l.kind.info().name);
        // The time is shortened and left out rather than cut.
        let mut texts: Vec<String> = when
            .into_iter()
            .flat_map(|time| [bare.clone() + &msg!(", full in ~{}", time), format!("{bare} ~{time}")])
            .collect();
        texts.push(bare);
        return Some((texts, bad));
    }
    let (row, share) = app.worst?;
    let name = snap.process_row(row)?.info.name();
    let host = snap.host_of(TableId::Processes, row);
    let name = host.map_or(name.clone(), |h| format!("{} {name}", h.name).into());
    let name = shorten(&crate::model::text::escape(&name), 15, &app.options.format());
    let mark = if share >= 0.75 { app.glyphs.alarm } else { app.glyphs.dot };
    Some((vec![format!("{mark} {name} fds {}", percent(share * 100.0))], share))
}
