//! The lines above the table: name and tabs, counts by state, the filter.

use super::format as style_of;
use crate::format::{age, percent, shorten, thousands as count};
use crate::model::State;
use crate::table::Grouping;
use crate::tui::app::{App, Overlay};
use crate::tui::canvas::{Canvas, width};
use crate::tui::layout::Layout;
use crate::tui::{mouse, update};
use ratatui::layout::{Position, Rect};
use ratatui::style::Modifier;

/// The tabs with their place in the header: index, first column, width.
pub(crate) fn tabs(app: &App, area: Rect) -> Vec<(usize, u16, u16)> {
    let host = app.snapshot.as_ref().map_or(0, |s| width(&s.sample.host).min(20) + 2);
    let named = area.width >= 100 + host;
    let mut x = area.x + 1 + if area.width >= 100 { 11 } else { 0 } + if named { host } else { 0 };
    let mut out = Vec::new();
    for (i, s) in app.view_states.iter().enumerate() {
        let w = 3 + width(s.view.table.title);
        let w = if area.width >= 56 {
            w + 1
        } else if area.width >= 30 || i == app.active {
            w
        } else {
            2
        };
        if x + w > area.right() {
            break;
        }
        out.push((i, x, w));
        x += w;
    }
    out
}

/// Name, host, tabs, what runs.
pub(crate) fn header(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
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
            // A filter is its view's own: the tab says where one holds.
            if !app.view_states[i].text.trim().is_empty() && w > 2 + width(title) {
                canvas.put(x + 2 + width(title), y, 1, "/", theme.accent.patch(on));
            }
        }
        end = x + w;
    }
    // From the right, the most important first, each only where it fits.
    let mut right = area.right().saturating_sub(1);
    let mut put = |canvas: &mut Canvas<'_>, text: &str, style| {
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
    let state = if app.paused {
        (
            format!("{} paused{}", app.glyphs.paused, since(app)),
            theme.warn.patch(on).add_modifier(Modifier::BOLD),
        )
    } else if app.failed.is_some() {
        (format!("{} failing {pace}", app.glyphs.alarm), theme.bad.patch(on))
    } else {
        (format!("{} live {pace}", app.glyphs.live), theme.good.patch(on))
    };
    let Some(s) = &app.snapshot else {
        put(canvas, if app.failed.is_some() { "failing" } else { "reading" }, theme.band);
        return;
    };
    let took = match s.sample.took_us {
        us if us < 1_000 => format!("{us:>3} µs"),
        us => format!("{:>3} ms", us / 1_000),
    };
    let took = if app.glyphs.ascii { took.replace('µ', "u") } else { took };
    let wide = area.right().saturating_sub(end) >= 46;
    if wide {
        put(canvas, &took, theme.band);
        put(canvas, &format!("{:>6} sockets", count(s.live as u64)), theme.band.patch(theme.strong));
    }
    // Narrower without the word, that the mark says too.
    let (mark, rest) = state.0.split_once(' ').unwrap_or((&state.0, ""));
    let rest = rest.split_once(' ').map_or("", |(_, rest)| rest.trim_end_matches(" since"));
    let short = format!("{mark} {rest}");
    let _ = put(canvas, &state.0, state.1)
        || put(canvas, short.trim_end(), state.1)
        || put(canvas, mark, state.1);
}

/// What changed while the screen is held: `+12 -3 since`.
fn since(app: &App) -> String {
    let (Some(held), Some(newest)) = (&app.snapshot, &app.paused_latest) else { return String::new() };
    let from = held.sample.at.boot_ns;
    let opened = newest.facts[..newest.live].iter().filter(|f| f.first_seen_ns > from).count();
    let closed = (held.live + opened).saturating_sub(newest.live);
    format!(" +{} -{} since", count(opened as u64), count(closed as u64))
}

/// One state's place in the strip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StripSlot {
    pub(crate) state: State,
    pub(crate) x: u16,
    pub(crate) width: u16,
    /// Columns its number takes at most.
    digits: u16,
    /// Columns of trend, 0 for none.
    trend: u16,
}

/// States by how much they tell where there is no room for all.
const TELLING: [State; 12] = [
    State::CloseWait,
    State::Established,
    State::Listen,
    State::TimeWait,
    State::SynRecv,
    State::SynSent,
    State::FinWait2,
    State::LastAck,
    State::FinWait1,
    State::Closing,
    State::Unconn,
    State::Closed,
];

/// States whose trends matter, first those that matter most.
const TRENDS: [State; 10] = [
    State::CloseWait,
    State::Established,
    State::TimeWait,
    State::SynRecv,
    State::SynSent,
    State::FinWait2,
    State::FinWait1,
    State::LastAck,
    State::Closing,
    State::Closed,
];

/// Where each state stands in the strip. Widths are those of the greatest counts remembered, so nothing moves when a
/// count does; trends get what room is left, the most telling first.
pub(crate) fn places(app: &App, area: Rect) -> Vec<StripSlot> {
    let Some(snap) = &app.snapshot else { return vec![] };
    let mut spots: Vec<StripSlot> = mouse::strip_states(app)
        .into_iter()
        .map(|(state, most)| {
            let digits = width(&count(u64::from(most)));
            let mark = u16::from(state == State::CloseWait) * 2;
            StripSlot { state, x: 0, width: width(state.name()) + 1 + digits + mark, digits, trend: 0 }
        })
        .collect();
    let fixed: u16 = spots.iter().map(|s| s.width + 2).sum();
    // Who is nearest to a limit stands here where there is room; else below, and its room is for trends.
    let aside = worst_text(app).map_or(0, |(t, _)| width(&t) + 2);
    let aside = if 1 + aside + fixed < area.width { aside } else { 0 };
    let mut left = area.width.saturating_sub(1 + aside + fixed);
    if snap.history.len() >= 2 {
        for columns in [4, 8] {
            for state in TRENDS {
                let Some(s) = spots.iter_mut().find(|s| s.state == state) else { continue };
                let more = if s.trend == 0 { columns + 1 } else { columns - s.trend };
                if more <= left {
                    left -= more;
                    s.width += more;
                    s.trend = columns;
                }
            }
        }
    }
    // What has no room goes, the least telling first; never the one that the cursor is on.
    let at = match app.overlay {
        Some(Overlay::States(s)) => Some(s),
        _ => None,
    };
    while spots.iter().map(|s| s.width + 2).sum::<u16>() > area.width {
        let rank = |s: State| TELLING.iter().position(|t| *t == s).unwrap_or(TELLING.len());
        let least =
            (0..spots.len()).filter(|i| Some(spots[*i].state) != at).max_by_key(|i| rank(spots[*i].state));
        let Some(i) = least else { break };
        spots.remove(i);
    }
    let mut x = area.x + 1;
    spots.retain_mut(|s| {
        s.x = x;
        x += s.width + 2;
        s.x + s.width <= area.right()
    });
    spots
}

/// Whether a state grows: never less over the last polls and more at the end.
pub(crate) fn rises(values: &[u32]) -> bool {
    let tail = &values[values.len().saturating_sub(6)..];
    tail.len() >= 3 && tail.windows(2).all(|w| w[0] <= w[1]) && tail[0] < tail[tail.len() - 1]
}

fn worst_text(app: &App) -> Option<(String, f64)> {
    let snap = app.snapshot.as_ref()?;
    if let Some(a) = snap.alerts.first() {
        let l = &snap.limits[a.limit as usize];
        let whose = crate::table::limits::subject_of(snap, a.limit as usize);
        let whose = shorten(&crate::model::text::escape(&whose), 24, &style_of(app));
        let how = match l.share() {
            Some(s) => percent(s * 100.0),
            // What grows and has no ceiling says how many; what counts losses, the new ones.
            None if l.drops.is_none() => count(l.used),
            None => format!("+{}", count(l.drops_new.unwrap_or(0))),
        };
        let when = l.full_in.filter(|f| f.likely < 86_400.0);
        let when = when.map_or_else(String::new, |f| format!(", full in ~{}", age(f.likely)));
        let more = if snap.alerts.len() > 1 { format!(" +{}", snap.alerts.len() - 1) } else { String::new() };
        let mark = app.glyphs.alarm;
        let bad = if a.level == crate::model::Level::Critical { 0.95 } else { 0.8 };
        return Some((format!("{mark} {whose} {} {how}{when}{more}", l.ceiling.info().name), bad));
    }
    let (row, share) = app.worst?;
    let name = snap.sample.processes.get(row)?.info.name();
    let name = shorten(&crate::model::text::escape(&name), 15, &style_of(app));
    let mark = if share >= 0.75 { app.glyphs.alarm } else { app.glyphs.dot };
    Some((format!("{mark} {name} fds {}", percent(share * 100.0)), share))
}

/// Whether the strip has room for who is nearest to a limit.
fn worst_fits(app: &App, area: Rect) -> bool {
    let end = places(app, area).last().map_or(area.x, |s| s.x + s.width);
    worst_text(app).is_some_and(|(t, _)| area.height > 0 && end + 2 + width(&t) < area.right())
}

/// Where it stands who is nearest to a limit: in the strip, or where that has no room and it needs a look, beside the
/// filter.
pub(crate) fn worst_place(app: &App, l: &Layout) -> Option<Rect> {
    let (text, share) = worst_text(app)?;
    let w = width(&text);
    let line =
        |area: Rect, end: u16| Rect::new(end.saturating_sub(w).max(area.x), area.y, w.min(end - area.x), 1);
    if worst_fits(app, l.strip) {
        return Some(line(l.strip, l.strip.right() - 1));
    }
    if share < 0.75 || l.filter.width < 60 || l.filter.height == 0 {
        return None;
    }
    Some(line(l.filter, aside_from(app, l.filter)))
}

/// How much the filter lets through, or how the rows are grouped.
fn aside(app: &App) -> String {
    let view_state = app.view_state();
    let Some(snap) = &app.snapshot else { return String::new() };
    if view_state.text.is_empty() {
        return match view_state.grouping_now() {
            _ if view_state.view.table.groupings.len() < 2 => String::new(),
            Grouping { name: None, .. } => "not grouped".to_owned(),
            by => format!("by {}", by.title),
        };
    }
    // Those just closed are on the screen and do not count.
    let total = (view_state.view.table.live)(snap);
    format!("{} of {}", count(view_state.shown as u64), count(total as u64))
}

/// The column before what stands aside of the filter.
fn aside_from(app: &App, area: Rect) -> u16 {
    let right = area.right().saturating_sub(1);
    match width(&aside(app)) {
        0 => right,
        _ if area.width < 36 => right,
        w => right.saturating_sub(w + 2).max(area.x),
    }
}

/// Counts by state with their trends; on the right who is nearest to the limit of its descriptors.
pub(crate) fn strip(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let Some(snap) = app.snapshot.as_ref().filter(|_| area.height > 0) else { return };
    let theme = app.theme;
    let y = area.y;
    let chosen = update::filtered_state(app);
    let at = match app.overlay {
        Some(Overlay::States(s)) => Some(s),
        _ => None,
    };
    let mut values = Vec::with_capacity(snap.history.len());
    for spot in places(app, area) {
        let s = spot.state;
        values.clear();
        values.extend(snap.history.iter().map(|(_, c)| c.get(s)));
        let n = snap.states.get(s);
        let style = if n == 0 { theme.faint } else { theme.state(s) };
        let mut x = canvas.put(spot.x, y, spot.width, s.name(), style) + 1 + spot.digits;
        canvas.put_right(
            x,
            y,
            spot.digits,
            &count(u64::from(n)),
            if n == 0 { theme.faint } else { theme.strong },
        );
        if spot.trend > 0 {
            let flat = values.iter().all(|v| Some(v) == values.first());
            canvas.trend(x + 1, y, spot.trend, &values, if flat { theme.faint } else { style });
            x += 1 + spot.trend;
        }
        if s == State::CloseWait && rises(&values) {
            canvas.put(x + 1, y, 1, app.glyphs.up, theme.bad);
        }
        if at == Some(s) {
            canvas.line(Rect::new(spot.x, y, spot.width, 1), theme.select);
        } else if chosen == Some(s) {
            canvas.line(Rect::new(spot.x, y, spot.width, 1), theme.text.add_modifier(Modifier::UNDERLINED));
        }
    }
}

/// Who is nearest to a limit.
pub(crate) fn worst(app: &App, canvas: &mut Canvas<'_>, l: &Layout) {
    if let (Some((text, share)), Some(r)) = (worst_text(app), worst_place(app, l)) {
        let style = if share >= 0.75 { app.theme.pressure(share) } else { app.theme.dim };
        canvas.put(r.x, r.y, r.width, &text, style);
    }
}

/// The filter with how much it lets through; where the cursor stands while it is typed.
pub(crate) fn filter(app: &App, canvas: &mut Canvas<'_>, area: Rect) -> Option<Position> {
    if area.height == 0 {
        return None;
    }
    let theme = app.theme;
    let view_state = app.view_state();
    let y = area.y;
    let mut right = aside_from(app, area);
    if area.width >= 36 {
        canvas.put_right(area.right().saturating_sub(1), y, area.width, &aside(app), theme.dim);
    }
    // What has no room in the strip and needs a look stands here.
    if let Some(r) = worst_place(app, &app.layout_in(app.area)).filter(|r| r.y == y) {
        right = r.x.saturating_sub(2);
    }
    if let Some(Overlay::Name { text, cursor, .. }) = &app.overlay {
        let ask = "save as ";
        let x = canvas.put(area.x + 1, y, right, ask, theme.accent);
        canvas.put(x, y, right.saturating_sub(x), text, theme.strong);
        let before = text.get(..*cursor).map_or(0, width);
        return Some(Position::new((x + before).min(area.right().saturating_sub(1)), y));
    }
    let typing = match &app.overlay {
        Some(Overlay::Filter { cursor, .. }) => Some(*cursor),
        _ => None,
    };
    let x = area.x + 1;
    let live = typing.is_some() || !view_state.text.is_empty();
    canvas.put(x, y, 1, "/", if live { theme.accent } else { theme.faint });
    let (x, room) = (x + 2, right.saturating_sub(x + 2));
    if view_state.text.is_empty() {
        // Whole examples, as many as there is room for.
        let mut at = x;
        for example in ["nginx", ":443", "state:close-wait", "fds>80%"] {
            if at + width(example) > x + room {
                break;
            }
            at = canvas.put(at, y, width(example), example, theme.faint) + 3;
        }
        return typing.map(|_| Position::new(x.min(area.right().saturating_sub(1)), y));
    }
    let skip = shift(app, room);
    let style = if view_state.error.is_some() {
        theme.warn
    } else if typing.is_some() {
        theme.strong
    } else {
        theme.accent
    };
    canvas.put(x, y, room, &view_state.text[skip..], style);
    if let Some(e) = &view_state.error {
        let at = |byte: usize| view_state.text.get(skip..byte.min(view_state.text.len())).map_or(0, width);
        let (from, to) = (at(e.span.start).min(room), at(e.span.end).min(room));
        let bad = theme.bad.add_modifier(Modifier::UNDERLINED);
        canvas.line(Rect::new(x + from, y, to.saturating_sub(from), 1), bad);
    }
    typing.map(|c| {
        let before = view_state.text.get(skip..c).map_or(0, width);
        Position::new((x + before).min(area.right().saturating_sub(1)), y)
    })
}

/// How many bytes of the filter are scrolled out on the left, so that the cursor is seen.
fn shift(app: &App, room: u16) -> usize {
    let text = &app.view_state().text;
    let Some(Overlay::Filter { cursor, .. }) = &app.overlay else { return 0 };
    let cursor = (*cursor).min(text.len());
    let mut skip = 0;
    while text.get(skip..cursor).is_some_and(|t| width(t) + 1 > room.max(1)) {
        skip += text[skip..].chars().next().map_or(1, char::len_utf8);
    }
    skip
}

/// What is wrong with the filter, under its place.
pub(crate) fn error(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let view_state = app.view_state();
    let Some(e) = view_state.error.as_ref().filter(|_| area.height > 0) else { return };
    let theme = app.theme;
    let skip = shift(app, area.width.saturating_sub(4));
    let at = |byte: usize| view_state.text.get(skip..byte.min(view_state.text.len())).map_or(0, width);
    let (from, to) = (at(e.span.start), at(e.span.end));
    let end = area.right().saturating_sub(1);
    let x = (area.x + 3 + from).min(end.saturating_sub(1));
    let marks = "^".repeat(usize::from((to.saturating_sub(from)).max(1)));
    let after = canvas.put(x, area.y, end.saturating_sub(x), &marks, theme.bad);
    // With the hint where it fits, right of the marks or left of them; without room for either over them, since the
    // words matter more and the place is marked in the filter itself.
    let full = e.hint.as_ref().map(|h| format!("{}; {h}", e.message));
    for text in full.iter().chain([&e.message]) {
        let w = width(text);
        if after + 1 + w <= end {
            canvas.put(after + 1, area.y, w, text, theme.warn);
            return;
        }
        if x > area.x + w + 2 {
            canvas.put(x - w - 1, area.y, w, text, theme.warn);
            return;
        }
    }
    let x = if from < 8 { after + 1 } else { area.x + 1 };
    canvas.put(x, area.y, end.saturating_sub(x), &e.message, theme.warn);
}
