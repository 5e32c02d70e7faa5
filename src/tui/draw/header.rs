//! The top line: program name, host, tabs, poll state.

use crate::diagnose::finding::resolver_diagnoses;
use crate::format::{age, clock, thousands as count};
use crate::model::lang::tr;
use crate::model::{Endpoint, Snapshot};
use crate::msg;
use crate::table::TableId;
use crate::tui::app::App;
use crate::tui::canvas::{Canvas, width};
use crate::tui::event::Recorded;
use crate::tui::layout::tabs::{badges, tabs};
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use std::collections::BTreeMap;

/// Time for which a failed connect marks the view of events, seconds.
const FAILING_SECS: u64 = 10;

/// Draws the top line.
pub(crate) fn draw(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let theme = app.theme;
    let on = theme.on_band;
    canvas.line(area, theme.band);
    let y = area.y;
    let tabs = tabs(app, area);
    let first = tabs.first().map_or(area.x, |t| t.1);
    let mut x = area.x + 1;
    if first > x {
        x = canvas.put(x, y, first.saturating_sub(x), "sockscope", theme.band.patch(theme.strong));
    }
    if let Some(s) = &app.snapshot
        && first > x + 3
    {
        canvas.put(x + 2, y, first - x - 3, &s.sample.host, theme.band);
    }
    // Connects fail now: the view of events shows which; that of DNS the questions of a resolver that fails or is slow.
    let failing = app.snapshot.as_ref().and_then(|s| on_hosts(s, failing_connects));
    let mut end = first;
    for (i, x, w) in tabs {
        let title = app.view_states[i].view.table.title;
        let style = if i == app.active { theme.tab } else { theme.band };
        let number = (i + 1).to_string();
        canvas.put(x, y, w, &number, if i == app.active { theme.tab } else { theme.faint.patch(on) });
        if w > 2 {
            canvas.put(x + 2, y, w - 2, title, style);
            if i == app.active {
                canvas.line(Rect::new(x, y, (2 + width(title)).min(w), 1), theme.tab);
            }
            // Each view has its own filter; the tab marks those in force.
            if !app.view_states[i].text.trim().is_empty() && w > 2 + width(title) {
                canvas.put(x + 2 + width(title), y, 1, "/", theme.accent.patch(on));
            }
        }
        let is_marked = match app.view_states[i].id() {
            TableId::Events => failing.is_some(),
            TableId::Dns => app
                .snapshot
                .as_ref()
                .is_some_and(|s| s.each_host().any(|s| !resolver_diagnoses(s).is_empty())),
            _ => false,
        };
        if is_marked {
            // Beside its own number, never behind the title, where it stands against the next number.
            canvas.put(x + 1, y, 1, app.glyphs.alarm, theme.warn.patch(on));
        }
        end = x + w;
    }
    // From the right, the most important first, each only if it fits.
    let mut right = area.right().saturating_sub(1);
    let mut put_from_right = |canvas: &mut Canvas<'_>, text: &str, style| {
        let w = width(text);
        if right > end + w {
            canvas.put(right - w, y, w, text, style);
            right = right.saturating_sub(w + 2);
            return true;
        }
        false
    };
    let pace = match app.interval.max(app.effective_interval).as_millis() {
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms if ms > 1000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        ms => format!("{ms}ms"),
    };
    // Of several hosts, the newest answer counts.
    let late_s = app.late.map(|age| age.as_secs()).or_else(|| {
        let hosts = &app.snapshot.as_ref()?.merged.as_ref()?.hosts;
        let late = hosts.iter().map(|h| h.is_late().then_some(h.age_s));
        late.min_by_key(|age| age.unwrap_or(0)).flatten()
    });
    let late = late_s.map_or_else(String::new, |secs| msg!("{} s old", secs));
    let moment = app.snapshot.as_ref().map_or_else(String::new, |s| clock(s.sample.at.unix_ns));
    let ended = msg!("end {}", moment);
    let behind = app.past.as_ref().map(|past| {
        let shown = app.snapshot.as_ref().map_or(0, |s| s.sample.at.unix_ns);
        age(past.span_ns.1.saturating_sub(shown) as f64 / 1e9)
    });
    let past = format!("{moment} -{}", behind.unwrap_or_default());
    let (mark, word, number, style) = if app.past.is_some() {
        (app.glyphs.recorded, &*past, String::new(), theme.warn.patch(on).add_modifier(Modifier::BOLD))
    } else if app.paused {
        let style = theme.warn.patch(on).add_modifier(Modifier::BOLD);
        (app.glyphs.paused, tr("paused"), changes(app), style)
    } else if app.failed.is_some() {
        (app.glyphs.alarm, tr("failing"), pace, theme.bad.patch(on))
    } else if app.ended {
        (app.glyphs.paused, &*ended, String::new(), theme.warn.patch(on))
    } else if app.recorded {
        (app.glyphs.recorded, &*moment, pace, theme.good.patch(on))
    } else if late_s.is_some() {
        (app.glyphs.late, &*late, String::new(), theme.warn.patch(on))
    } else {
        (app.glyphs.live, tr("live"), pace, theme.good.patch(on))
    };
    let Some(s) = &app.snapshot else {
        put_from_right(canvas, if app.failed.is_some() { tr("failing") } else { tr("reading") }, theme.band);
        return;
    };
    let took = match s.sample.duration_us {
        us if us < 1_000 => format!("{us:>3} µs"),
        us => format!("{:>3} ms", us / 1_000),
    };
    let took = if app.glyphs.ascii { took.replace('µ', "u") } else { took };
    let failing = failing.filter(|text| has_room(area.right().saturating_sub(end), text));
    let taken = failing.as_deref().map_or(0, |text| width(text) + 4);
    let wide = area.right().saturating_sub(end) >= 46 + taken;
    if wide {
        put_from_right(canvas, &took, theme.band);
        put_from_right(
            canvas,
            &msg!("{} sockets", format!("{:>6}", count(s.live as u64))),
            theme.band.patch(theme.strong),
        );
    }
    // A narrow screen gets the symbol without the word, unless the word is a warning.
    let full = if number.is_empty() { format!("{mark} {word}") } else { format!("{mark} {word} {number}") };
    let word = format!("{mark} {word}");
    let short = format!("{mark} {number}");
    let _ = put_from_right(canvas, &full, style)
        || ((app.paused || app.failed.is_some()) && put_from_right(canvas, &word, style))
        || put_from_right(canvas, short.trim_end(), style)
        || put_from_right(canvas, mark, style);
    let (redacted, written) = badges(app);
    let style = if app.recording == Recorded::On { theme.bad } else { theme.warn };
    for (text, style) in
        redacted.map(|text| (text, theme.warn)).into_iter().chain(written.map(|text| (text, style)))
    {
        put_from_right(canvas, text, style.patch(on));
    }
    if let Some(text) = failing {
        put_from_right(canvas, &text, theme.warn.patch(on));
    }
}

/// True if this number of columns behind the tabs has room for the failed connects beside the state of the polls.
fn has_room(columns: u16, text: &str) -> bool {
    columns >= width(text) + 14
}

/// True if the top line shows the failed connects in words.
pub(crate) fn shows_failing(app: &App, area: Rect, text: &str) -> bool {
    let end = tabs(app, area).last().map_or(area.x, |(_, x, w)| x + w);
    has_room(area.right().saturating_sub(end), text)
}

/// Text about the first host that has one, after its name among several.
pub(crate) fn on_hosts(snap: &Snapshot, of: impl Fn(&Snapshot) -> Option<String>) -> Option<String> {
    snap.each_host().find_map(|on| {
        let text = of(on)?;
        Some(if snap.merged.is_some() { format!("{}: {text}", on.sample.host) } else { text })
    })
}

/// Connects that failed within the last seconds: how many a second and to where, the most frequent one first. `None` if
/// none did.
pub(crate) fn failing_connects(snap: &Snapshot) -> Option<String> {
    let now = snap.sample.at.boot_ns;
    let mut by_remote: BTreeMap<Option<Endpoint>, u64> = BTreeMap::new();
    for row in snap.events.recent_failures(now, FAILING_SECS) {
        *by_remote.entry(row.event.remote).or_default() += row.count;
    }
    let total: u64 = by_remote.values().sum();
    let (most, _) = by_remote.iter().max_by_key(|(_, n)| **n)?;
    let secs = snap.events.window.secs.clamp(1.0, FAILING_SECS as f64);
    let rate = match total as f64 / secs {
        rate if rate < 10.0 => format!("{rate:.1}"),
        rate => count(rate.round() as u64),
    };
    let to = most.map_or_else(|| tr("unknown address").to_owned(), |end| end.to_string());
    Some(match by_remote.len() - 1 {
        0 => msg!("failed connects: {}/s to {}", rate, to),
        more => msg!("failed connects: {}/s to {} +{}", rate, to, count(more as u64)),
    })
}

/// Sockets opened and closed while the display is paused: `+12 -3`.
fn changes(app: &App) -> String {
    let (Some(held), Some(newest)) = (&app.snapshot, &app.paused_latest) else { return String::new() };
    let opened_since = |(held, newest): (&Snapshot, &Snapshot)| {
        let from = held.sample.at.boot_ns;
        newest.facts.iter().take(newest.live).filter(|f| f.first_seen_ns > from).count()
    };
    let opened: usize = held.each_host().zip(newest.each_host()).map(opened_since).sum();
    let closed = (held.live + opened).saturating_sub(newest.live);
    format!("+{} -{}", count(opened as u64), count(closed as u64))
}
