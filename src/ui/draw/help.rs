//! The help, made from the command list.

use super::super::app::{App, Over};
use super::super::command::key_label;
use super::super::pen::Pen;
use super::window;
use crate::query::filter::LANGUAGE;
use ratatui::layout::Rect;

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

fn size(all: Rect) -> (u16, u16) {
    (if all.width < 110 { all.width } else { 100 }, all.height)
}

/// The line that may be scrolled to at most.
pub(in crate::ui) fn furthest(app: &App) -> usize {
    let (w, h) = size(app.area);
    rows(app, usize::from(w.saturating_sub(4))).len().saturating_sub(usize::from(h.saturating_sub(1)))
}

/// The help over everything.
pub(super) fn overlay(app: &App, pen: &mut Pen<'_>, all: Rect) {
    let Some(Over::Help(top)) = app.over else { return };
    let theme = app.theme;
    let (w, h) = size(all);
    let r = window(app, pen, all, w, h, "help   Esc closes, arrows scroll");
    let keys = 16.min(r.width / 3);
    let all_rows = rows(app, usize::from(r.width.saturating_sub(2)));
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
}
