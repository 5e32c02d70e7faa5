//! Command palette: search over commands, views, columns, saved filters, themes and explanations.

use super::chosen::Chosen;
use super::saved;
use super::window::{edges, put_range, range_width, window};
use crate::explain::{TOPICS, explain};
use crate::format::Column;
use crate::format::moment::MomentArg;
use crate::model::lang::tr;
use crate::msg;
use crate::table::TABLES;
use crate::tui::app::theme;
use crate::tui::app::{App, Overlay};
use crate::tui::canvas::{Canvas, width};
use crate::tui::command::{COMMANDS, Focus, Section};
use crate::tui::event::Action;
use crate::tui::key;
use crate::tui::past::SeekTo;
use crate::tui::synonyms::synonyms;
use crate::tui::theme::palette::PALETTES;
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::layout::{Position, Rect};

/// Word before the name of a column that is not shown.
pub(crate) const SHOW: &str = "show";
/// Maximum height, with the input line.
const MOST: u16 = 18;

fn place(all: Rect) -> Rect {
    let w = if all.width < 100 { all.width } else { 96 };
    let h = MOST.min(all.height);
    // Anchored at the top, so that it does not move as the matches get fewer.
    let y = if all.height > MOST + 5 { all.y + 4 } else { all.y };
    Rect::new(all.x + (all.width - w) / 2, y, w, h)
}

/// First visible line.
fn top(at: usize, height: u16) -> usize {
    (at + 1).saturating_sub(usize::from(height.max(1)))
}

/// Draws the palette; the cursor position.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>, all: Rect) -> Option<Position> {
    let Some(Overlay::Palette { text, cursor, at }) = &app.overlay else { return None };
    let theme = app.theme;
    let lines = found(app, text);
    let r = place(all);
    let r = window(app, canvas, r, r.width, r.height, "");
    let (x, y) = (r.x + 1, r.y.saturating_sub(1));
    let first = top(*at, r.height);
    let room = r.width.saturating_sub(3 + range_width(first, r.height, lines.len()));
    put_range(app, canvas, r, first, lines.len());
    canvas.put(x, y, 1, ":", theme.tab);
    if text.is_empty() {
        let hint = tr("type to search commands, views, columns, saved filters, themes, explanations");
        canvas.put(x + 2, y, room, hint, theme.band);
    } else {
        canvas.put(x + 2, y, room, text, theme.window.patch(theme.strong));
    }
    let names = lines.iter().map(|f| width(&f.name)).max().unwrap_or(0).clamp(12, 26);
    for (y, (i, f)) in (r.top()..r.bottom()).zip(lines.iter().enumerate().skip(first)) {
        let keys = if f.key.is_empty() { 0 } else { width(&f.key) + 2 };
        canvas.put(x + 2, y, names.min(r.width.saturating_sub(3)), &f.name, theme.strong);
        let from = x + 4 + names;
        canvas.put(from, y, r.right().saturating_sub(from + 1 + keys), &f.text, theme.dim);
        canvas.put_right(r.right().saturating_sub(1), y, keys, &f.key, theme.key);
        if i == *at {
            canvas.line(Rect::new(r.x, y, r.width, 1), theme.select);
            canvas.put(r.x, y, 1, app.glyphs.edge, theme.accent);
        }
    }
    let before = text.get(..*cursor).map_or(0, width);
    Some(Position::new((x + 2 + before).min(all.right().saturating_sub(1)), y))
}

/// The line at a cell of the screen.
pub(super) fn line_at(app: &App, all: Rect, x: u16, y: u16) -> Option<usize> {
    let Some(Overlay::Palette { text, at, .. }) = &app.overlay else { return None };
    let r = place(all);
    if x < r.x || x >= r.right() || y <= r.y || y >= r.bottom().saturating_sub(edges(app) - 1) {
        return None;
    }
    let i = top(*at, r.height.saturating_sub(edges(app))) + usize::from(y - r.y - 1);
    (i < found(app, text).len()).then_some(i)
}

/// Effect of an entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// One of [`COMMANDS`].
    Command(usize),
    /// Sort by the column.
    Sort(&'static Column),
    /// Show or hide the column.
    Turn(&'static Column),
    /// A saved filter or view, by its name.
    Saved(String),
    /// One of [`PALETTES`].
    Theme(usize),
    /// Explain the topic of this name.
    Explain(&'static str),
    /// Show a moment of the past.
    Moment(MomentArg),
    /// Filter by the search text.
    Filter(String),
}

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) target: Target,
    /// Its name.
    pub(crate) name: String,
    /// Its help.
    pub(crate) text: String,
    /// The key of the same command.
    pub(crate) key: String,
    /// Other words for it.
    synonyms: &'static [&'static str],
}

/// Every entry, in the order of the registries.
fn all(app: &App) -> Vec<Found> {
    let mut out = Vec::new();
    for (i, (c, keys)) in app.options.keymap.commands().enumerate() {
        // Motion is not searched for, and the palette is open already.
        if c.applies(Focus::Table) && c.section != Section::Navigate && c.name != "palette" {
            let key = keys.first().map_or(String::new(), |k| key::label(*k, app.glyphs.ascii));
            let (name, text) = (c.name.replace('-', " "), tr(c.help).to_owned());
            out.push(Found { target: Target::Command(i), name, text, key, synonyms: synonyms(c.name) });
        }
    }
    let bare = |target, name: String, text: &str| Found {
        target,
        name,
        text: text.to_owned(),
        key: String::new(),
        synonyms: &[],
    };
    for (name, text) in app.options.saved_entries() {
        out.push(bare(Target::Saved(name.clone()), name, &text));
    }
    for (column, shown) in app.view_state().choices() {
        let word = if shown { "hide" } else { SHOW };
        out.push(bare(Target::Turn(column), format!("{word} {}", column.name), tr(column.help)));
    }
    for column in app.view_state().view.table.columns {
        out.push(bare(Target::Sort(column), format!("sort by {}", column.name), tr(column.help)));
    }
    for (i, p) in PALETTES.iter().enumerate() {
        out.push(bare(Target::Theme(i), format!("theme {}", p.name), tr(&p.help)));
    }
    for topic in TOPICS {
        let name = format!("explain {}", topic.name);
        out.push(Found {
            synonyms: topic.aliases,
            ..bare(Target::Explain(topic.name), name, topic.title(app.options.lang))
        });
    }
    out
}

/// Quality of a match, the best last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    /// The letters occur in the name and the help, in this order.
    Letters,
    /// Every word begins a word of the name, a synonym or a word of the help.
    Help,
    /// Every word begins a word of the name or a synonym.
    Name,
    /// The search text is the name or a synonym.
    Exact,
}

/// Match of whole words: each word searched for begins one of the entry.
fn word_match(f: &Found, words: &[String]) -> Option<Match> {
    let begins = |text: &str, word: &str| {
        let text = text.to_lowercase();
        text.split([' ', '_', '-', ',', ':', ';']).any(|w| w.starts_with(word))
    };
    let named = |word: &String| begins(&f.name, word) || f.synonyms.iter().any(|s| begins(s, word));
    let all = words.join(" ");
    let same = |text: &str| text.replace(['_', '-'], " ") == all;
    // A topic is found by its bare name.
    let name = f.name.strip_prefix("explain ").unwrap_or(&f.name);
    if same(name) || f.synonyms.iter().any(|s| same(s)) {
        Some(Match::Exact)
    } else if words.iter().all(named) {
        Some(Match::Name)
    } else {
        words.iter().all(|w| named(w) || begins(&f.text, w)).then_some(Match::Help)
    }
}

/// Entries that match, best first, and the text as a filter last; every entry without search text.
pub(crate) fn found(app: &App, letters: &str) -> Vec<Found> {
    let all = all(app);
    if letters.trim().is_empty() {
        return all;
    }
    let pattern = Pattern::parse(letters, CaseMatching::Ignore, Normalization::Smart);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut buffer = Vec::new();
    let mut score = |text: &str| pattern.score(Utf32Str::new(text, &mut buffer), &mut matcher);
    let words: Vec<String> =
        letters.split([' ', '_', '-']).filter(|w| !w.is_empty()).map(str::to_lowercase).collect();
    // Letters anywhere in the help match too much beside whole words.
    let by_word = all.iter().any(|f| word_match(f, &words).is_some());
    let mut scored: Vec<((Match, u32), Found)> = all
        .into_iter()
        .filter_map(|f| {
            if let Some(quality) = word_match(&f, &words) {
                return Some(((quality, 0), f));
            }
            // A match in the name counts more than one in the help.
            let name = score(&f.name).map(|s| s * 4);
            let both = (!by_word).then(|| score(&format!("{} {}", f.name, f.text))).flatten();
            Some(((Match::Letters, name.max(both)?), f))
        })
        .collect();
    scored.sort_by_key(|(s, _)| std::cmp::Reverse(*s));
    let filter = Found {
        target: Target::Filter(letters.trim().to_owned()),
        name: msg!("filter: {}", letters.trim()),
        text: tr("filter by this text").to_owned(),
        key: String::new(),
        synonyms: &[],
    };
    let moment = MomentArg::parse(letters).ok().map(|moment| Found {
        target: Target::Moment(moment),
        name: msg!("go to {}", letters.trim()),
        text: tr("show this moment of the past (UTC)").to_owned(),
        key: String::new(),
        synonyms: &[],
    });
    moment.into_iter().chain(scored.into_iter().map(|(_, f)| f)).chain([filter]).collect()
}

/// Runs the selected entry.
pub(super) fn enter(app: &mut App) -> Chosen {
    let Some(Overlay::Palette { text, at, .. }) = app.overlay.take() else { return Chosen::default() };
    let Some(f) = found(app, &text).into_iter().nth(at) else { return Chosen::default() };
    match f.target {
        Target::Command(i) => return Chosen { action: Some(COMMANDS[i].action), ..Chosen::default() },
        Target::Sort(column) => app.view_state_mut().sort_by(column),
        Target::Turn(column) => {
            let at = app.view_state().choices().iter().position(|(c, _)| *c == column);
            if let Some(at) = at {
                app.view_state_mut().toggle_column(at);
            }
        }
        Target::Saved(name) => saved::apply(app, name),
        Target::Moment(moment) => {
            let action = Some(Action::Seek(SeekTo::Moment(moment)));
            return Chosen { action, ..Chosen::default() };
        }
        Target::Filter(text) => app.set_filter(text),
        Target::Explain(topic) => match explain(topic, app.options.lang, &TABLES) {
            Ok(text) => app.overlay = Some(Overlay::Explain { text, top: 0 }),
            Err(why) => app.status_message = Some(why),
        },
        Target::Theme(i) => {
            let p = &PALETTES[i];
            app.options.palette = Some(p.clone());
            app.theme = theme(&app.options, app.options.ground);
        }
    }
    Chosen::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::app::Options;

    fn names(letters: &str) -> Vec<String> {
        found(&App::new(Options::default()), letters).into_iter().map(|f| f.name).collect()
    }

    #[test]
    fn fuzzy_search_ranks_name_matches_first() {
        assert_eq!(names("help")[0], "help");
        assert_eq!(names("srtrtt")[0], "sort by rtt_us");
        assert_eq!(names("thlig")[0], "theme light");
        assert_eq!(names("proces")[0], "processes");
        assert!(names("accept queue").iter().any(|n| n == "ports"), "what it does counts too");
        assert_eq!(names("zzzzqq"), ["filter: zzzzqq"]);
        assert_eq!(names("help").last().unwrap(), "filter: help");
        assert_eq!(names("kill"), ["act", "filter: kill"]);
        let every = names("");
        for name in ["undo", "save view", "show inode", "hide proto", "sort by age_s", "theme mono"] {
            assert!(every.iter().any(|n| n == name), "{name}");
        }
    }

    #[test]
    fn synonyms_find_the_command_first() {
        for (typed, first) in [
            ("kill", "act"),
            ("close", "act"),
            ("csv", "write"),
            ("export", "write"),
            ("dns", "dns"),
            ("hostnames", "names"),
            ("exit", "quit"),
            ("q", "quit"),
            ("q!", "quit"),
            ("reload", "refresh"),
            ("docker", "forwards"),
            ("ulimit", "limits"),
            ("search", "filter"),
            ("close-wait", "explain close_wait"),
            ("time_wait", "explain time_wait"),
            ("backlog", "explain backlog"),
        ] {
            assert_eq!(names(typed)[0], first, "{typed}");
        }
    }

    #[test]
    fn words_rank_before_letters() {
        let found = names("sort");
        let at = |name: &str| found.iter().position(|n| n == name);
        assert!(at("sort by state") < at("reverse"), "the help of reverse names sort");
        assert!(names("rtt").iter().take(4).all(|n| n.contains("rtt")), "{:?}", names("rtt"));
    }

    #[test]
    fn table_commands_are_listed_except_motion() {
        let all = all(&App::new(Options::default()));
        for (i, c) in COMMANDS.iter().enumerate().filter(|(_, c)| c.applies(Focus::Table)) {
            let there = all.iter().any(|f| f.target == Target::Command(i));
            assert_eq!(there, c.section != Section::Navigate && c.action != Action::Palette, "{}", c.name);
        }
    }
}
