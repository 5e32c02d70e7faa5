//! Wide characters (Korean, joined emoji) shift nothing: a screen with such names equals one with ASCII
//! names of the same width, except for the names.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Each test program uses part of it.
#[allow(dead_code)]
#[path = "isolation/namespaces.rs"]
mod namespaces;

use namespaces::isolated;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Size;
use sockscope::collect::Source;
use sockscope::collect::scenario::{Scenario, ScenarioSource};
use sockscope::derive::Engine;
use sockscope::model::Wants;
use sockscope::model::text::escape;
use sockscope::tui::{App, Effect, Event, Options, draw, key_script};
use std::os::unix::net::UnixListener;
use std::process::Command;
use unicode_width::UnicodeWidthStr;

/// Parts of names: one, two and no columns wide.
const PARTS: &[&str] = &[
    "a",
    "-",
    "가",
    "서버",
    "한",
    "日",
    "🚀",
    "👩‍👩‍👧",
    "🇰🇷",
    "👍🏽",
    "é",
    "e\u{301}",
    "ｗ",
    "☃",
    "…",
    "ﾊ",
    "ก็",
    "नि",
];

/// A letter that occurs nowhere else on the screen.
const FILL: &str = "ɸ";

/// A scenario whose processes, users and command lines have this name.
fn scenario(names: &[String]) -> Scenario {
    let mut text = String::from("host h\n");
    for (i, name) in names.iter().enumerate() {
        let pid = 100 + i;
        text.push_str(&format!("user {pid} \"{name}\"\n"));
        text.push_str(&format!(
            "process {pid} \"{name}\" user=\"{name}\" fds={}/64/64 cmd=\"/{name}\"\n",
            60 - i
        ));
        text.push_str(&format!("tcp LISTEN 0.0.0.0:{} q={i}/128 own={pid}:3\n", 8000 + i));
        text.push_str(&format!(
            "tcp ESTABLISHED 10.0.0.4:{} 10.0.0.9:{} own={pid}:4 q=7/9 rx=90\n",
            8000 + i,
            5000 + i
        ));
    }
    Scenario::parse(&text).unwrap()
}

/// The screen after three polls and these keys.
fn shot(names: &[String], size: (u16, u16), keys: &str) -> Buffer {
    let mut app = App::new(Options::default());
    let mut source = ScenarioSource::new(scenario(names));
    let (mut engine, mut wants) = (Engine::new(), app.wants());
    app.resize(Size { width: size.0, height: size.1 });
    let handle = |app: &mut App, wants: &mut Wants, e: Event| {
        for effect in app.handle(e) {
            if let Effect::Wants(w) = effect {
                *wants = w;
            }
        }
    };
    for e in key_script::keys(keys) {
        handle(&mut app, &mut wants, Event::Input(e));
    }
    for _ in 0..3 {
        let sample = source.sample(&wants).unwrap();
        handle(&mut app, &mut wants, Event::from(engine.step(sample)));
    }
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|f| draw(&app, f)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(b: &Buffer) -> String {
    // The second cell of a wide character is empty.
    let whole = |x: u16, y| x == 0 || b[(x - 1, y)].symbol().width() < 2;
    let line =
        |y| -> String { (0..b.area.width).filter(|x| whole(*x, y)).map(|x| b[(x, y)].symbol()).collect() };
    (0..b.area.height).map(|y| line(y).trim_end().to_owned() + "\n").collect()
}

fn check(names: &[String], size: (u16, u16), keys: &str) -> Result<(), TestCaseError> {
    let plain: Vec<String> = names.iter().map(|n| FILL.repeat(escape(n).width())).collect();
    let (wide, narrow) = (shot(names, size, keys), shot(&plain, size, keys));
    for y in 0..size.1 {
        let mut x = 0;
        while x < size.0 {
            let (w, n) = (wide[(x, y)].symbol(), narrow[(x, y)].symbol());
            let columns = w.width().max(1) as u16;
            let about = || {
                format!(
                    "{size:?} {keys} line {y} column {x}: {w:?} {n:?}\n{}\n{}",
                    text(&wide),
                    text(&narrow)
                )
            };
            prop_assert!(x + columns <= size.0, "over the edge: {}", about());
            for half in 1..columns {
                prop_assert!(wide[(x + half, y)].symbol().trim().is_empty(), "two in one place: {}", about());
            }
            // Everything except the names has the same position; below the header, whose alert
            // is cut depending on the name.
            if y > 2 && n != FILL && n != "…" && n != " " {
                prop_assert!(w == n, "moved: {}", about());
            }
            x += columns;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(160) })]

    #[test]
    fn wide_names_move_nothing(
        names in prop::collection::vec(prop::collection::vec(0..PARTS.len(), 1..9), 1..7),
        width in 20u16..210,
        height in 4u16..50,
        keys in prop::sample::select(&["", "g", "gg", "ggg", "gggg", "2", "3", "5", "3<enter>", "l", "gggg<down><enter>"][..]),
    ) {
        let names: Vec<String> =
            names.into_iter().map(|parts| parts.into_iter().map(|i| PARTS[i]).collect()).collect();
        check(&names, (width, height), keys)?;
    }
}

#[test]
fn as_it_looks() {
    let names: Vec<String> = ["웹서버", "nginx", "👩‍👩‍👧 팀", "🚀-launcher", "데이터베이스-복제-서버"]
        .iter()
        .map(|s| (*s).to_owned())
        .collect();
    for (width, height) in [(80, 24), (120, 24)] {
        for (name, keys) in [("flat", "gggg"), ("processes", "3")] {
            insta::assert_snapshot!(
                format!("wide_{name}_{width}"),
                text(&shot(&names, (width, height), keys))
            );
        }
    }
}

#[test]
fn paths_of_unix_sockets_keep_the_columns_of_a_list() {
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<_> = ["plain", "데이터베이스", "🚀-👩‍👩‍👧", "e\u{301}clair-서버"]
            .iter()
            .map(|n| dir.path().join(format!("{n}.sock")))
            .collect();
        let _held: Vec<_> = paths.iter().map(|p| UnixListener::bind(p).unwrap()).collect();
        let filter = format!("proto:unix local:*{}*", dir.path().file_name().unwrap().to_str().unwrap());
        let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
            .args(["list", "--netns", "here", "--columns", "proto,local,inode", &filter])
            .output()
            .unwrap();
        let out = String::from_utf8(out.stdout).unwrap();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 1 + paths.len(), "{out}");
        // The last column is right-aligned: every line is as wide as the title.
        for (line, whole) in lines.iter().zip(std::iter::repeat(lines[0].width())) {
            assert_eq!(line.width(), whole, "{line}\n{out}");
        }
        for p in &paths {
            // A zero-width joiner is shown as an escape.
            assert!(lines.iter().any(|l| l.contains(&*escape(p.to_str().unwrap()))), "{out}");
        }
    });
}
