//! The help, generated from the command registry.

use super::window::{edges, put_range, window};
use crate::diagnose::visibility::{PRIVILEGE_HELP, hidden};
use crate::filter::LANGUAGE;
use crate::format::wrap;
use crate::model::lang::{noop, tr};
use crate::msg;
use crate::tui::app::{App, Overlay};
use crate::tui::canvas::{Canvas, width as wide_of};
use crate::tui::command::{Command, Focus};
use crate::tui::key::{self, Key};
use crate::tui::synonyms::{ESSENTIALS, synonyms};
use ratatui::layout::{Position, Rect};

/// One line of the help.
enum Row {
    Blank,
    Title(String),
    /// Keys and their help.
    Key(String, String),
    /// An example and its meaning.
    Form(&'static str, String),
    Text(String),
}

/// A part of a section: a key, an example or a paragraph, of one or several lines.
struct Part {
    rows: Vec<Row>,
    /// Words that find it, beside its text.
    synonyms: &'static [&'static str],
}

impl From<Vec<Row>> for Part {
    fn from(rows: Vec<Row>) -> Self {
        Self { rows, synonyms: &[] }
    }
}

struct Section {
    title: String,
    parts: Vec<Part>,
}

/// Mouse actions, by target.
const MOUSE: &[(&str, &str)] = &[
    (noop("a tab"), noop("Open the view")),
    (noop("a state"), noop("Show only sockets in this state; click again for all")),
    (noop("the top alert"), noop("Open it in Limits (the alert is right of the state bar)")),
    (noop("live, paused"), noop("Pause or resume the display")),
    (noop("the filter"), noop("Edit it; pasted text goes there too")),
    (noop("a column title"), noop("Sort by it; click again to reverse")),
    (noop("a group"), noop("Expand or collapse it")),
    (noop("a row"), noop("Select the row and the cell; click again for details")),
    (noop("a gauge"), noop("Select the row; click again to open its limit")),
    (noop("the details border"), noop("Drag to resize")),
    (noop("the wheel"), noop("Scroll what is under the pointer")),
    (noop("the key bar"), noop("Run the command")),
];

/// Notes on rows of several hosts.
const HOSTS: &[&str] = &[
    noop(
        "Rows of a host that is slow or gone are its last ones, dimmed; the line below the tabs has its age and the reason. It is connected again later and later, up to once a minute.",
    ),
    noop("hostname:web-1 filters by host, g groups by it, and sorting by the column works too."),
    noop(
        "Details and why are read on the host of the row, by the user of its agent, over the connection of its samples.",
    ),
    noop(
        "Actions, the past and recording are of one machine: run sockscope there, or sockscope record --host.",
    ),
];

/// Heading over the keys that apply only in this focus.
const fn heading(place: Focus) -> &'static str {
    match place {
        Focus::Table => noop("Table"),
        Focus::Filter => noop("While editing the filter"),
        Focus::States => noop("In the state bar"),
        Focus::Sort => noop("In the sort list"),
        Focus::Help => noop("In the help"),
        Focus::Columns => noop("In the column list"),
        Focus::Pick => noop("In other lists"),
        Focus::Name => noop("While entering a name"),
        Focus::Confirm => noop("In a confirmation"),
        Focus::Palette => noop("In the command palette"),
        Focus::Find => noop("While searching the help"),
        Focus::Differences => noop("In the list of differences"),
        Focus::Alerts => noop("In the list of alerts"),
        Focus::Why => noop("In the answer to why"),
    }
}

/// Width of the key column, for a window of this width.
const fn keys_in(width: usize) -> usize {
    if width / 3 < 16 { width / 3 } else { 16 }
}

/// Width of the example column, for a window of this width.
const fn examples_in(width: usize) -> usize {
    if width / 2 < 28 { width / 2 } else { 28 }
}

fn sections(app: &App, width: usize, searching: bool) -> Vec<Section> {
    let mut out: Vec<Section> = Vec::new();
    let mut add = |title: String, part: Part| match out.iter_mut().find(|s| s.title == title) {
        Some(s) => s.parts.push(part),
        None => out.push(Section { title, parts: vec![part] }),
    };
    let key = |c: &Command, keys: &[Key]| {
        let keys: Vec<_> = keys.iter().map(|k| key::label(*k, app.glyphs.ascii)).collect();
        let mut keys = Some(keys.join(" "));
        let lines = wrap(tr(c.help), width.saturating_sub(keys_in(width) + 1));
        let rows = lines.into_iter().map(|l| Row::Key(keys.take().unwrap_or_default(), l)).collect();
        Part { rows, synonyms: synonyms(c.name) }
    };
    let form = |example: &'static str, meaning: &str| {
        let mut part = Vec::new();
        let mut example = Some(example);
        // A long example gets its own line.
        if let Some(long) = example.take_if(|e| usize::from(wide_of(e)) + 2 > examples_in(width)) {
            part.push(Row::Form(long, String::new()));
        }
        let lines = wrap(tr(meaning), width.saturating_sub(examples_in(width) + 1));
        part.extend(lines.into_iter().map(|l| Row::Form(example.take().unwrap_or_default(), l)));
        Part::from(part)
    };
    // A summary first, the advice at the end.
    let now: Vec<_> = app.snapshot.iter().flat_map(|s| s.each_host().flat_map(hidden)).collect();
    for h in &now {
        let lines = wrap(&msg!("{} (see the end of this help)", h.summary), width);
        add(
            tr("Not visible now").to_owned(),
            Part::from(lines.into_iter().map(Row::Text).collect::<Vec<_>>()),
        );
    }
    for text in HOSTS.iter().filter(|_| app.options.hosts) {
        let lines = wrap(tr(text), width).into_iter().map(Row::Text);
        add(tr("Several hosts").to_owned(), Part::from(lines.collect::<Vec<_>>()));
    }
    // The search finds each command once.
    for name in ESSENTIALS.iter().filter(|_| !searching) {
        for (c, keys) in app.options.keymap.commands().filter(|(c, _)| c.name == *name) {
            add(tr("Essentials").to_owned(), key(c, keys));
        }
    }
    // Keys of the table; then those that apply only elsewhere, by focus.
    for (c, keys) in app.options.keymap.commands().filter(|(c, _)| c.applies(Focus::Table)) {
        add(tr(c.section.title()).to_owned(), key(c, keys));
    }
    for (place, meaning) in MOUSE {
        add(tr("Mouse").to_owned(), form(tr(place), meaning));
    }
    for place in Focus::ALL {
        let first = |c: &Command| Focus::ALL.into_iter().find(|p| c.applies(*p)) == Some(place);
        let only_here = |c: &Command| !c.applies(Focus::Table) && first(c);
        for (c, keys) in app.options.keymap.commands().filter(|(c, _)| only_here(c)) {
            add(tr(heading(place)).to_owned(), key(c, keys));
        }
    }
    for (section, forms) in LANGUAGE {
        for (example, meaning) in *forms {
            add(msg!("Filter: {}", tr(section).to_lowercase()), form(example, meaning));
        }
    }
    let now = now.into_iter().map(|h| msg!("Now: {}. {}", h.summary, h.advice));
    let sandbox = app.sandbox.as_ref().map(|state| {
        msg!("Sandbox: {}. It confines what draws, writes files and reads recorded data.", tr(state))
    });
    for advice in now.chain([tr(PRIVILEGE_HELP).to_owned()]).chain(sandbox) {
        let mut part = Vec::new();
        for line in advice.lines() {
            // A command line is not wrapped.
            if line.starts_with(' ') {
                part.push(Row::Text(line.to_owned()));
            } else {
                part.extend(wrap(line, width).into_iter().map(Row::Text));
            }
        }
        add(tr("Permissions").to_owned(), Part::from(part));
    }
    out
}

/// Sections of the parts that contain the search text, each with its title; a whole section if its title does; everything
/// if there is no search text.
fn shown(app: &App, width: usize) -> Vec<Vec<Row>> {
    let find = match &app.overlay {
        Some(Overlay::Help { find, .. }) => find.trim().to_lowercase(),
        _ => String::new(),
    };
    let has = |text: &str| text.to_lowercase().contains(&find);
    // Matches the whole paragraph, across line breaks.
    let fits = |part: &Part| {
        let all = part.rows.iter().map(|row| match row {
            Row::Blank => String::new(),
            Row::Title(t) | Row::Text(t) => t.clone(),
            Row::Key(k, help) => format!("{k} {help}"),
            Row::Form(example, meaning) => format!("{example} {meaning}"),
        });
        has(&all.collect::<Vec<_>>().join(" ")) || part.synonyms.iter().any(|s| has(s))
    };
    let mut out = Vec::new();
    for mut section in sections(app, width, !find.is_empty()) {
        if !has(&section.title) {
            section.parts.retain(|p| fits(p));
        }
        if section.parts.is_empty() {
            continue;
        }
        let rows = section.parts.into_iter().flat_map(|p| p.rows);
        out.push([Row::Title(section.title)].into_iter().chain(rows).collect());
    }
    if out.is_empty() {
        out.push(vec![Row::Text(
            tr("no match; the command palette (:) searches commands, columns and themes").to_owned(),
        )]);
    }
    out
}

/// Width from which on the help has two columns.
const TWO_COLUMNS: u16 = 150;

/// The help in one column, or in two of about the same length for a wide window.
fn columns(app: &App, inside: u16) -> Vec<Vec<Row>> {
    let n = if inside + 4 < TWO_COLUMNS { 1 } else { 2 };
    let sections = shown(app, usize::from(column_width(inside)));
    let total: usize = sections.iter().map(|s| s.len() + 1).sum();
    let mut out: Vec<Vec<Row>> = vec![Vec::new()];
    let mut before = 0;
    for section in sections {
        let length = section.len() + 1;
        // A section is not divided; the first column is the longer one.
        if n == 2 && out.len() == 1 && before * 2 >= total {
            out.push(Vec::new());
        }
        before += length;
        if let Some(column) = out.last_mut() {
            if !column.is_empty() {
                column.push(Row::Blank);
            }
            column.extend(section);
        }
    }
    out
}

/// Width of a column, for a window of this inner width.
const fn column_width(inside: u16) -> u16 {
    if inside + 4 < TWO_COLUMNS { inside } else { (inside - 3) / 2 }
}

fn size(all: Rect) -> (u16, u16) {
    let wide = if all.width < 110 {
        all.width
    } else if all.width < TWO_COLUMNS {
        100
    } else if all.width < 200 {
        all.width
    } else {
        200
    };
    (wide, all.height)
}

/// The last line that can be scrolled to.
pub(super) fn extent(app: &App) -> usize {
    let (w, h) = size(app.layout().windows());
    let longest = columns(app, w.saturating_sub(4)).iter().map(Vec::len).max().unwrap_or(0);
    longest.saturating_sub(usize::from(h.saturating_sub(edges(app))))
}

/// Draws the help; the cursor position while the search is edited.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>, all: Rect) -> Option<Position> {
    let Some(Overlay::Help { top, find, typing }) = &app.overlay else { return None };
    let top = *top;
    let (w, h) = size(all);
    let title = if typing.is_some() || !find.is_empty() {
        msg!("help   / {}", find)
    } else {
        tr("help   / search   Esc close").to_owned()
    };
    let r = window(app, canvas, all, w, h, &title);
    let cursor = typing.map(|c| {
        let x = r.x + 1 + wide_of(&msg!("help   / {}", find.get(..c).unwrap_or("")));
        Position::new(x.min(r.right().saturating_sub(1)), r.y.saturating_sub(1))
    });
    let inside = r.width.saturating_sub(2);
    let room = column_width(inside);
    let columns = columns(app, inside);
    put_range(app, canvas, r, top, columns.iter().map(Vec::len).max().unwrap_or(0));
    for (n, rows) in columns.iter().enumerate() {
        let x = r.x + n as u16 * (room + 3);
        draw_column(app, canvas, Rect::new(x, r.y, room + 2, r.height), &rows[top.min(rows.len())..]);
    }
    cursor
}

/// Draws one column.
fn draw_column(app: &App, canvas: &mut Canvas<'_>, r: Rect, rows: &[Row]) {
    let theme = app.theme;
    let inside = usize::from(r.width.saturating_sub(2));
    let (keys, examples) = (keys_in(inside) as u16, examples_in(inside) as u16);
    for (y, line) in (r.top()..r.bottom()).zip(rows) {
        match line {
            Row::Blank => {}
            Row::Title(t) => {
                canvas.put(r.x, y, r.width, t, theme.accent);
            }
            Row::Key(k, help) => {
                canvas.put(r.x + 1, y, keys.saturating_sub(1), k, theme.strong);
                canvas.put(r.x + 1 + keys, y, r.width.saturating_sub(keys + 1), help, theme.dim);
            }
            Row::Form(example, meaning) => {
                let room = if meaning.is_empty() { r.width } else { examples };
                canvas.put(r.x + 1, y, room.saturating_sub(1), example, theme.strong);
                canvas.put(r.x + 1 + examples, y, r.width.saturating_sub(examples + 1), meaning, theme.dim);
            }
            Row::Text(t) => {
                canvas.put(r.x + 1, y, r.width.saturating_sub(1), t, theme.text);
            }
        }
    }
}
