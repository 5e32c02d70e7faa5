//! The help, made from the command list.

use super::super::app::{App, Over};
use super::super::command::key_label;
use super::super::pen::{Pen, width as wide_of};
use super::window;
use crate::query::filter::LANGUAGE;
use ratatui::layout::{Position, Rect};

/// One line of the help.
enum Row {
    Blank,
    Title(String),
    Key(String, &'static str),
    Form(&'static str, &'static str),
    Text(String),
}

fn rows(app: &App, width: usize) -> Vec<Row> {
    let mut out = Vec::new();
    let text = |out: &mut Vec<Row>, words: &str| {
        let mut line = String::new();
        for w in words.split(' ') {
            if !line.is_empty() && line.len() + 1 + w.len() > width.max(10) {
                out.push(Row::Text(std::mem::take(&mut line)));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(w);
        }
        out.push(Row::Text(line));
    };
    let mut section = "";
    for (c, keys) in app.options.keymap.commands() {
        if c.section != section {
            if !section.is_empty() {
                out.push(Row::Blank);
            }
            section = c.section;
            out.push(Row::Title(section.to_owned()));
        }
        let keys: Vec<_> = keys.iter().map(|k| key_label(k, app.glyphs.ascii)).collect();
        out.push(Row::Key(keys.join(" "), c.help));
    }
    for (section, forms) in LANGUAGE {
        out.push(Row::Blank);
        out.push(Row::Title(format!("Filter: {}", section.to_lowercase())));
        for (example, meaning) in *forms {
            if example.len() > 24 {
                out.push(Row::Form(example, ""));
                out.push(Row::Form("", meaning));
            } else {
                out.push(Row::Form(example, meaning));
            }
        }
    }
    out.push(Row::Blank);
    out.push(Row::Title("What is hidden".into()));
    text(
        &mut out,
        "The kernel shows every socket to everybody, but which process holds it only to that process's user. To see \
         all owners run it as root:",
    );
    text(&mut out, "  sudo sockscope");
    text(&mut out, "or give the program the right to look, once:");
    text(
        &mut out,
        "  sudo setcap cap_sys_ptrace,cap_dac_read_search,cap_net_admin+ep $(command -v sockscope)",
    );
    out
}

/// The rows that have these words in them, each under its title; all where there are none.
fn shown(app: &App, width: usize) -> Vec<Row> {
    let all = rows(app, width);
    let find = match &app.over {
        Some(Over::Help { find, .. }) => find.trim().to_lowercase(),
        _ => String::new(),
    };
    if find.is_empty() {
        return all;
    }
    let has = |text: &str| text.to_lowercase().contains(&find);
    let (mut out, mut title) = (Vec::new(), None);
    for row in all {
        let fits = match &row {
            Row::Title(_) => {
                title = Some(row);
                continue;
            }
            Row::Blank => false,
            Row::Key(k, help) => has(k) || has(help),
            Row::Form(example, meaning) => has(example) || has(meaning),
            Row::Text(t) => has(t),
        };
        if fits {
            out.extend(title.take());
            out.push(row);
        }
    }
    if out.is_empty() {
        out.push(Row::Text("nothing in the help has that; : finds commands by a few letters".to_owned()));
    }
    out
}

fn size(all: Rect) -> (u16, u16) {
    (if all.width < 110 { all.width } else { 100 }, all.height)
}

/// The line that may be scrolled to at most.
pub(in crate::ui) fn furthest(app: &App) -> usize {
    let (w, h) = size(app.area);
    shown(app, usize::from(w.saturating_sub(4))).len().saturating_sub(usize::from(h.saturating_sub(1)))
}

/// The help over everything; where the cursor stands while what to find is typed.
pub(super) fn overlay(app: &App, pen: &mut Pen<'_>, all: Rect) -> Option<Position> {
    let Some(Over::Help { top, find, typing }) = &app.over else { return None };
    let (top, theme) = (*top, app.theme);
    let (w, h) = size(all);
    let title = if typing.is_some() || !find.is_empty() {
        format!("help   / {find}")
    } else {
        "help   / finds, Esc closes, arrows scroll".to_owned()
    };
    let r = window(app, pen, all, w, h, &title);
    let cursor = typing.map(|c| {
        let x = r.x + 9 + find.get(..c).map_or(0, wide_of);
        Position::new(x.min(r.right().saturating_sub(1)), r.y.saturating_sub(1))
    });
    let keys = 16.min(r.width / 3);
    let all_rows = shown(app, usize::from(r.width.saturating_sub(2)));
    for (y, line) in (r.top()..r.bottom()).zip(all_rows.iter().skip(top)) {
        match line {
            Row::Blank => {}
            Row::Title(t) => {
                pen.put(r.x, y, r.width, t, theme.accent);
            }
            Row::Key(k, help) => {
                pen.put(r.x + 1, y, keys.saturating_sub(1), k, theme.strong);
                pen.put(r.x + 1 + keys, y, r.width.saturating_sub(keys + 1), help, theme.dim);
            }
            Row::Form(example, meaning) => {
                let wide = 28.min(r.width / 2);
                let room = if meaning.is_empty() { r.width } else { wide };
                pen.put(r.x + 1, y, room.saturating_sub(2), example, theme.strong);
                pen.put(r.x + 1 + wide, y, r.width.saturating_sub(wide + 1), meaning, theme.dim);
            }
            Row::Text(t) => {
                pen.put(r.x + 1, y, r.width.saturating_sub(1), t, theme.text);
            }
        }
    }
    cursor
}
