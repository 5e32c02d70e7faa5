//! Windows over the table: whole frames, how much of a list is visible, and names of files.

use super::{Color, Effect, Event, Options, POLLS, Screen, draw};
use crossterm::event::Event as Input;
use sockscope::model::{Missing, Snapshot};
use std::process::Command;
use std::sync::Arc;

/// Keys that open a window, with a word in its title.
const WINDOWS: [(&str, &str); 6] = [
    ("?", "help"),
    ("s", "sort by"),
    ("c", "columns"),
    (":", "commands"),
    ("jjK", "actions"),
    ("w", "export"),
];

#[test]
fn frame_has_a_lower_edge_from_corner_to_corner() {
    for color in [Color::Basic, Color::None] {
        for (keys, title) in WINDOWS {
            for (w, h) in [(60, 15), (80, 24), (160, 45)] {
                let mut s = Screen::with(w, h, Options { color, ..Options::default() }).press(keys);
                s.terminal.draw(|f| draw(&s.app, f)).unwrap();
                let b = s.terminal.backend().buffer();
                let at = |x: u16, y: u16| b[(x, y)].symbol();
                let whole = (1..h).any(|y| {
                    let corner = |c: &str| (0..w).find(|x| at(*x, y) == c);
                    let (Some(left), Some(right)) = (corner("└"), corner("┘")) else { return false };
                    (left + 1..right).all(|x| at(x, y) == "─")
                        && at(left, y - 1) == "│"
                        && at(right, y - 1) == "│"
                });
                assert!(whole, "{color:?} {title} {w}x{h}:\n{}", s.show());
            }
        }
    }
}

#[test]
fn window_with_more_lines_shows_which_are_visible_and_leaves_the_key_bar() {
    let is_range = |line: &str| {
        line.split_once(" of ").is_some_and(|(before, after)| {
            let first = before.rsplit(' ').next().unwrap_or_default();
            first.contains('-') && after.trim_start().starts_with(|c: char| c.is_ascii_digit())
        })
    };
    for (keys, w, h) in
        [("?", 60, 15), ("c", 60, 15), (":", 60, 15), ("s", 60, 15), ("c", 80, 24), ("jjK", 60, 15)]
    {
        let screen = Screen::new(w, h).press(keys).show();
        let title = screen.lines().find(|l| is_range(l));
        assert!(title.is_some_and(|l| l.contains("1-")), "{keys} {w}x{h}:\n{screen}");
        let keys_bar = screen.lines().nth(usize::from(h) - 1).unwrap();
        assert!(keys_bar.contains("Esc") || keys_bar.contains("Enter"), "{keys} {w}x{h}:\n{screen}");
    }
    let end = Screen::new(60, 15).press("c<end>").show();
    let last = end.lines().find(|l| is_range(l)).unwrap();
    let (shown, total) = last.split_once(" of ").unwrap();
    let total = total.split(' ').next().unwrap();
    assert!(shown.ends_with(&format!("-{total}")), "{end}");
    assert!(!Screen::new(80, 24).press("w").show().lines().any(is_range), "all of the formats are visible");
}

/// The name of the file that is written.
fn written(effects: &[Effect]) -> Option<&str> {
    effects.iter().find_map(|e| match e {
        Effect::Write(name, _) => Some(name.as_str()),
        _ => None,
    })
}

#[test]
fn proposed_name_is_replaced_by_typing_and_edited_by_other_keys() {
    for (keys, name) in [
        ("", None),
        ("a.csv", Some("a.csv")),
        ("rows", Some("rows.txt")),
        ("/tmp/x.csv", Some("/tmp/x.csv")),
        ("~/x.csv", Some("~/x.csv")),
        ("../x.csv", Some("../x.csv")),
        ("../x", Some("../x.txt")),
    ] {
        let effects = Screen::new(80, 24).types(&format!("w<enter>{keys}<enter>"));
        let got = written(&effects).unwrap();
        assert_eq!(got, name.unwrap_or(got), "{keys}");
        assert!(name.is_some() || (got.starts_with("sockscope-") && got.ends_with("Z.txt")), "{got}");
    }
    for (keys, end) in
        [("<backspace>v", "Z.txv"), ("<end>2", "Z.txt2"), ("<left>x", "Z.txxt"), ("<ctrl-u>b", "b.txt")]
    {
        let effects = Screen::new(80, 24).types(&format!("w<enter>{keys}<enter>"));
        assert!(written(&effects).unwrap().ends_with(end), "{keys} {effects:?}");
    }
    for keys in ["<ctrl-u>", "/tmp/", "..", "~", "/tmp/.x"] {
        let mut s = Screen::new(80, 24);
        assert_eq!(written(&s.types(&format!("w<enter>{keys}<enter>"))), None, "{keys}");
        assert!(s.screen().contains("invalid file name"), "{keys}");
    }
    let mut s = Screen::new(80, 24);
    s.types("w<enter>");
    s.app.handle(Event::Input(Input::Paste("/tmp/pasted.csv\n".into())));
    assert!(s.screen().contains(" save as /tmp/pasted.csv\n"), "{}", s.screen());
    assert_eq!(written(&s.types("<enter>")), Some("/tmp/pasted.csv"));
}

#[test]
fn long_path_is_broken_over_two_lines() {
    let path = format!("/srv/{}/rows.csv", "directory/".repeat(8));
    let mut s = Screen::new(80, 24);
    s.types(&format!("w<enter>{path}"));
    let screen = s.screen();
    let first = screen.lines().position(|l| l.contains(" save as /srv/")).unwrap();
    let lines: Vec<&str> = screen.lines().collect();
    let shown = lines[first].trim_start_matches(" save as ").to_owned() + lines[first + 1].trim_start();
    assert_eq!(shown, path, "{screen}");
    s.types("<esc>");
    s.app.handle(Event::Status(format!("12 rows written to {path}")));
    let screen = s.screen();
    let first = screen.lines().position(|l| l.contains("12 rows written")).unwrap();
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(
        (first, lines[first].trim_start().to_owned() + lines[first + 1].trim_start()),
        (21, format!("12 rows written to {path}")),
        "{screen}"
    );
}

#[test]
fn actions_that_are_disabled_have_a_reason() {
    let options = Options { read_only: true, read_only_by: "demo data", ..Options::default() };
    let screen = Screen::with(80, 24, options).press("jjK").show();
    assert!(screen.contains("actions   only copies: demo data"), "{screen}");
    assert!(!Screen::new(80, 24).press("jjK").show().contains("only copies"));
}

#[test]
fn hint_of_the_status_line_is_whole_or_left_out() {
    for w in 40..=140 {
        let mut s = Screen::new(w, 24);
        let mut snap: Arc<Snapshot> = Arc::clone(POLLS.last().unwrap());
        Arc::make_mut(&mut snap).hidden = vec![(Missing::NotPermitted, 1)];
        s.app.handle(Event::from(snap));
        let screen = s.screen();
        let line = screen.lines().find(|l| l.contains("1 socket without owner")).unwrap();
        let hint = line.split_once(" (?").map(|(_, rest)| rest);
        assert!(hint.is_none_or(|h| h.starts_with(')') || h.starts_with(" for details)")), "{w}: {line}");
        assert!(w < 80 || hint.is_some(), "{w}: {line}");
    }
}

#[test]
fn status_line_is_cut_once() {
    for w in 40..=160 {
        let mut s = Screen::new(w, 24);
        let mut snap: Arc<Snapshot> = Arc::clone(POLLS.last().unwrap());
        Arc::make_mut(&mut snap).hidden =
            vec![(Missing::NoLabels, 1), (Missing::Gone, 2), (Missing::NotPermitted, 3)];
        s.app.handle(Event::from(snap));
        let screen = s.screen();
        let line = screen.lines().rev().nth(1).unwrap();
        assert!(!line.contains("\u{2026}\u{2026}") && line.matches('\u{2026}').count() < 2, "{w}: {line}");
    }
}

#[test]
fn time_of_the_top_alert_is_whole_or_left_out() {
    for size in ["60x15", "64x15", "70x20", "80x24"] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_sockscope"));
        program.args(["--demo", "screenshot", "--size", size, "--lang", "en"]);
        let out = program.env("XDG_CONFIG_HOME", "/nonexistent").output().unwrap();
        let screen = String::from_utf8(out.stdout).unwrap();
        let line = screen.lines().take(3).find(|l| l.contains('\u{25b2}') && l.contains('%'));
        let alert = line.and_then(|l| l.rsplit_once('\u{25b2}')).map(|(_, text)| text);
        assert!(alert.is_some_and(|text| !text.contains('\u{2026}')), "{size}:\n{screen}");
    }
}

#[test]
fn search_in_the_column_list_shows_a_column() {
    let list = Screen::new(80, 24).press("2c").show();
    assert!(list.contains("/ search"), "{list}");
    let searching = Screen::new(160, 24).press("2c/firew").show();
    assert!(searching.contains("show firewall"), "{searching}");
    let shown = Screen::new(160, 24).press("2c/firew<enter>").show();
    assert!(shown.contains("FIREWALL"), "{shown}");
}
