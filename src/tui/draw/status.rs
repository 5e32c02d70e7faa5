//! The status line: messages, read errors and hidden owners, source of the data.

use super::header::{failing_connects, on_hosts, shows_failing};
use crate::diagnose::finding::resolver_diagnoses;
use crate::diagnose::visibility::hidden;
use crate::format::{date_and_time, thousands};
use crate::model::lang::tr;
use crate::model::sample::EventSource;
use crate::model::text::escape;
use crate::model::{FaultKind, FaultSubject, Missing, Snapshot};
use crate::msg;
use crate::table::TableId;
use crate::tui::app::App;
use crate::tui::canvas::{Canvas, width};
use crate::tui::layout::name_prompt::broken;
use ratatui::layout::Rect;
use std::borrow::Cow;

/// Columns that a message keeps beside the source.
const LEAST_MESSAGE: u16 = 40;

/// Draws the status line; `header` is the area of the top line.
pub(crate) fn draw(app: &App, canvas: &mut Canvas<'_>, area: Rect, header: Rect) {
    if area.height == 0 {
        return;
    }
    let theme = app.theme;
    let mut right = area.right().saturating_sub(1);
    let (x0, y) = (area.x + 1, area.y);
    let Some(snap) = &app.snapshot else {
        if let Some(why) = &app.failed {
            canvas.put(x0, y, right.saturating_sub(x0), why, theme.bad);
        }
        return;
    };
    let backend = &snap.sample.backend;
    let why = if backend.reason.is_empty() { String::new() } else { format!(" ({})", backend.reason) };
    let dot = app.glyphs.dot;
    let owners = snap
        .sample
        .owners_by
        .map_or_else(String::new, |by| format!(" {dot} {}", msg!("owners: {}", by.interface())));
    let by = snap.sample.events.source.filter(|by| *by != EventSource::Script);
    let events = by.map_or_else(String::new, |by| msg!("events: {}", tr(by.interface())));
    let interface = tr(backend.backend.interface());
    let behind = if events.is_empty() { String::new() } else { format!(" {dot} {events}") };
    // From the full text to what remains beside a long message.
    let sources = [
        msg!("source: {}{}{}", interface, why, owners) + &behind,
        msg!("source: {}{}{}", interface, "", owners) + &behind,
        if events.is_empty() { msg!("source: {}{}{}", interface, "", "") } else { events },
    ];
    let lost = match snap.events.lost {
        0 => String::new(),
        n => format!(" {dot} {}", msg!("{} events lost", thousands(n))),
    };
    let lost = match snap.dns.lost {
        n if n > 0 && app.view_state().id() == TableId::Dns => {
            format!(" {dot} {}", msg!("{} packets lost", thousands(n)))
        }
        _ => lost,
    };
    let is_merged = snap.merged.is_some();
    let mut parts: Vec<(String, _)> = Vec::new();
    if let Some(why) = &app.failed {
        parts.push((format!("{} {}", app.glyphs.alarm, msg!("last poll failed: {}", why)), theme.bad));
    }
    if app.past.is_some() {
        let moment = date_and_time(snap.sample.at.unix_ns);
        parts.push((msg!("the past, {} UTC", moment) + &past_keys(app), theme.warn));
    } else if app.recorded {
        let moment = date_and_time(snap.sample.at.unix_ns);
        parts.push(if app.ended {
            (msg!("end of the recording, {} UTC", moment), theme.warn)
        } else {
            (msg!("recorded {} UTC", moment), theme.dim)
        });
        if snap.sample.redacted {
            parts.push((
                tr("redacted: addresses, names and arguments are not the real ones").to_owned(),
                theme.warn,
            ));
        }
    }
    // The long hint, or the short one, or none, so that it is not cut.
    let hints = [tr(" (? for details)"), " (?)", ""];
    let holes = snap.each_host().map(hidden).find(|h| !h.is_empty()).unwrap_or_default();
    let holes = holes.into_iter().enumerate();
    parts.extend(holes.map(|(i, h)| (if i == 0 { h.summary + hints[0] } else { h.summary }, theme.warn)));
    for (snap, f) in snap.each_host().flat_map(|s| s.faults().map(move |f| (s, f))) {
        // Covered by the message on missing owners.
        let owners = snap.hidden.iter().any(|(m, _)| *m == Missing::NotPermitted);
        let refused = f.kind == FaultKind::NotPermitted && owners;
        // Data read only for the details: the fault is shown there, with the field.
        let beside = matches!(f.subject, FaultSubject::BpfMaps | FaultSubject::SecurityContexts);
        if f.kind == FaultKind::Namespace || refused || beside {
            continue;
        }
        let style = if f.kind.hides_data() { theme.warn } else { theme.dim };
        let text = f.to_string();
        let text = if is_merged { format!("{}: {text}", snap.sample.host) } else { text };
        if parts.iter().all(|(known, _)| *known != text) {
            parts.push((text, style));
        }
    }
    let reason = &snap.sample.events.reason;
    if app.view_state().id() == TableId::Events && !reason.is_empty() {
        parts.push((msg!("events: {}", reason), theme.dim));
    }
    parts.extend(app.options.only.map(|only| (tr(only).to_owned(), theme.dim)));
    if let Some(text) = on_hosts(snap, failing_connects).filter(|text| !shows_failing(app, header, text)) {
        parts.insert(0, (text, theme.warn));
    }
    if let Some(text) = on_hosts(snap, failing_resolver) {
        parts.insert(0, (text, theme.warn));
    }
    if let Some(message) = &app.status_message {
        parts.insert(0, (message.clone(), theme.accent));
    }
    // The result of an action is broken over the line above rather than cut: the end of a path matters.
    let message = escape(app.status_message.as_deref().unwrap_or_default());
    let room = right.saturating_sub(x0);
    if let ([first, second, ..], Some(above)) = (&broken(&message, room)[..], y.checked_sub(1)) {
        let line = Rect::new(area.x, above, area.width, 1);
        canvas.clear(line);
        canvas.line(line, theme.ground);
        canvas.put(x0, above, room, &message[first.clone()], theme.accent);
        canvas.put(x0, y, room, &message[second.start..], theme.accent);
        return;
    }
    let needed: u16 = parts.iter().map(|(s, _)| width(s) + 3).sum();
    let space = right.saturating_sub(x0 + 2);
    let taken = |source: &str| width(source) + width(&lost);
    let fits = |source: &&String| parts.is_empty() || needed + taken(source) <= space;
    // That of events stays, and the messages are cut, unless there is no room for both. The result of what was just done is
    // not cut for it.
    let least = app.status_message.as_ref().map_or(LEAST_MESSAGE, |m| width(m).max(LEAST_MESSAGE));
    let shortest = sources.last().filter(|source| by.is_some() && taken(source) + least <= space);
    if let Some(source) = sources.iter().find(fits).or(shortest) {
        if !lost.is_empty() {
            right = canvas.put_right(right, y, right.saturating_sub(x0), &lost, theme.warn);
        }
        right = canvas.put_right(right, y, right.saturating_sub(x0), source, theme.faint).saturating_sub(2);
    }
    let mut x = x0;
    for (i, (text, style)) in parts.iter().enumerate() {
        if i > 0 {
            x = canvas.put(x, y, right.saturating_sub(x), &format!(" {} ", app.glyphs.dot), theme.faint);
        }
        let room = right.saturating_sub(x);
        let bare = text.strip_suffix(hints[0]).unwrap_or(text);
        let forms = hints.map(|hint| format!("{bare}{hint}"));
        let whole = forms.iter().find(|form| bare.len() < text.len() && width(form) <= room);
        let words = leading_words(whole.map_or(bare, String::as_str), room, app.glyphs.cut);
        x = canvas.put(x, y, room, &words, *style);
        if matches!(words, Cow::Owned(_)) {
            break;
        }
    }
}

/// The first words that fit, with the mark of what is left out: a number that is cut is another number.
fn leading_words<'a>(text: &'a str, room: u16, cut: &str) -> Cow<'a, str> {
    let fits = |end: &usize| width(&text[..*end]) + width(cut) < room;
    if width(text) <= room {
        return Cow::Borrowed(text);
    }
    let mut ends = text.rmatch_indices(' ').map(|(i, _)| i);
    ends.find(fits).map_or(Cow::Borrowed(text), |end| Cow::Owned(format!("{} {cut}", &text[..end])))
}

/// Finding of the worst resolver of the last seconds, and the number of the others.
fn failing_resolver(snap: &Snapshot) -> Option<String> {
    let found = resolver_diagnoses(snap);
    let worst = found.iter().max_by_key(|d| d.severity)?;
    Some(match found.len() - 1 {
        0 => worst.evidence.clone(),
        more => format!("{} +{more}", worst.evidence),
    })
}

/// Keys of the past, what is needed first in front: a narrow screen cuts the others.
fn past_keys(app: &App) -> String {
    let keys = [
        (&["past-sample", "past-sample-next"][..], tr("sample")),
        (&["live"], tr("live")),
        (&["past-minute", "past-minute-next"], tr("minute")),
        (&["past-alert", "past-alert-next"], tr("alert")),
        (&["compare"], tr("compare")),
        (&["past-finding", "past-finding-next"], tr("finding")),
        (&["past-match", "past-match-next"], tr("match")),
    ];
    let label = |name: &&str| app.key_label(name);
    let one = |(commands, word): (&[&str], &str)| {
        format!("  {} {word}", commands.iter().map(label).collect::<Vec<_>>().join(" "))
    };
    keys.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_cut_between_words() {
        let text = "failed connects: 1,204/s to 10.0.0.78:11211";
        for (room, want) in [
            (43, text),
            (42, "failed connects: 1,204/s to \u{2026}"),
            (26, "failed connects: 1,204/s \u{2026}"),
            (25, "failed connects: \u{2026}"),
            (7, text),
        ] {
            assert_eq!(leading_words(text, room, "\u{2026}"), want, "{room}");
        }
    }
}
