//! The Korean catalogue holds every text of the screen, and nothing else; Korean screens have no English sentence left and
//! keep their columns.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use regex::Regex;
use sockscope::diagnose::finding::FINDINGS;
use sockscope::filter::LANGUAGE;
use sockscope::model::lang::catalogue;
use sockscope::model::limit::LIMIT_KINDS;
use sockscope::model::process::FdKind;
use sockscope::model::signal::SIGNALS;
use sockscope::model::state::STATES;
use sockscope::model::struct_layout::STRUCTURES;
use sockscope::table::TABLES;
use sockscope::tui::command::COMMANDS;
use sockscope::tui::theme::palette::PALETTES;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a readable source tree") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Value of a Rust string literal: escapes, and line ends after a backslash.
fn unescape(literal: &str) -> String {
    let escape = Regex::new(r"\\(?:\n\s*|(.))").expect("a regular expression");
    let character = |c: &regex::Captures<'_>| match c.get(1).map(|m| m.as_str()) {
        None => String::new(),
        Some("n") => "\n".to_owned(),
        Some(same) => same.to_owned(),
    };
    escape.replace_all(literal, character).into_owned()
}

/// The texts given to `tr`, `noop` and `msg!` in the sources.
fn literals() -> BTreeSet<String> {
    let call =
        Regex::new(r#"(?s)\b(?:tr\(|noop\(|msg!\()\s*"((?:[^"\\]|\\.)*)""#).expect("a regular expression");
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut out = BTreeSet::new();
    // The module that defines them contains examples.
    for path in files.iter().filter(|p| !p.ends_with("model/lang.rs")) {
        let text = fs::read_to_string(path).expect("a readable source");
        out.extend(call.captures_iter(&text).map(|c| unescape(&c[1])));
    }
    out
}

/// The texts of the registries, which are translated where they are shown.
fn registries() -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut add = |text: &str| {
        out.insert(text.to_owned());
    };
    for c in COMMANDS {
        add(c.bar);
        add(c.help);
        add(c.section.title());
    }
    for (section, forms) in LANGUAGE {
        add(section);
        for (_, meaning) in *forms {
            add(meaning);
        }
    }
    for f in FINDINGS {
        add(f.help);
    }
    for s in &STATES {
        add(s.meaning);
    }
    for l in LIMIT_KINDS {
        add(l.title);
        add(l.set_by);
        add(l.help);
    }
    for s in &SIGNALS {
        add(s.help);
    }
    for t in TABLES {
        add(t.noun);
        add(t.singular);
        for g in t.groupings {
            add(g.title);
        }
        for c in t.columns {
            add(c.help);
        }
    }
    for (_, name) in FdKind::ALL {
        add(name);
    }
    for f in STRUCTURES.iter().flat_map(|s| s.fields) {
        add(f.help);
    }
    for p in PALETTES {
        add(&p.help);
    }
    out
}

/// True if the text is only names: of settings (`sysctl fs.file-max`), or one of a kind of descriptor (`eventfd`).
fn is_name(text: &str) -> bool {
    let kind = FdKind::ALL.iter().any(|(k, name)| {
        *name == text && !matches!(k, FdKind::Socket | FdKind::File | FdKind::Pipe | FdKind::Other)
    });
    let setting = |word: &str| word == "sysctl" || word.contains(['.', '_']);
    kind || text.split([' ', ',']).filter(|w| !w.is_empty()).all(setting)
}

#[test]
fn every_text_has_a_translation() {
    let texts = literals().union(&registries()).cloned().collect::<BTreeSet<String>>();
    let missing: Vec<&String> =
        texts.iter().filter(|t| !t.is_empty() && !is_name(t) && !catalogue().contains_key(*t)).collect();
    assert!(missing.is_empty(), "{} without a translation: {missing:#?}", missing.len());
    let unused: Vec<&String> = catalogue().keys().filter(|k| !texts.contains(*k)).collect();
    assert!(unused.is_empty(), "{} translations of no text: {unused:#?}", unused.len());
}

#[test]
fn placeholders_are_kept() {
    let place = Regex::new(r"\{\d*\}").expect("a regular expression");
    for (en, ko) in catalogue() {
        let count = place.find_iter(en).count();
        assert_eq!(place.find_iter(ko).count(), count, "{en:?}: {ko:?}");
        let mut numbers: Vec<&str> = place.find_iter(ko).map(|m| m.as_str()).filter(|p| *p != "{}").collect();
        numbers.sort_unstable();
        let all: Vec<String> = (0..count).map(|n| format!("{{{n}}}")).collect();
        assert!(numbers.is_empty() || numbers == all, "{ko:?}: numbers its placeholders as {numbers:?}");
        // An arrow stands for "to".
        let is_korean = ko.chars().any(|c| ('가'..='힣').contains(&c)) || ko.contains('→');
        assert!(is_korean, "{en:?}: {ko:?} is not Korean");
    }
}

/// Screens of the demo: keys that lead to them.
const SCREENS: &[&str] = &[
    "",
    "?",
    "?<pgdn>",
    "?<pgdn><pgdn>",
    "?<pgdn><pgdn><pgdn>",
    ":",
    "!",
    "s",
    "c",
    "@",
    "E",
    "V",
    "t",
    "jj<enter>",
    "/state:clsd x",
    "/foo:1",
    "/rx>zz",
    "2<enter>",
    "3<enter>",
    "4<enter>",
    "5<enter>",
    "5jj<enter>",
    "6<enter>",
    "jmjmK",
];

/// Runs of lower-case words that are data or names: of processes, files, commands, errors of the system.
const NAMES: &[&str] = &[
    "netns wiki",
    "accept tcp",
    "daemon on",
    "eq ne lt gt le ge",
    "grafana server",
    "host api",
    "ip nat",
    "many open",
    "master process",
    "netns grafana",
    "netns host",
    "process start",
    "root soft nofile",
    "sudo groupadd",
    "sudo install",
    "sudo setcap",
    "sudo sockscope",
    "sudo usermod",
    "systemctl edit",
    "systemctl restart",
    "two words",
    "us ms",
    "worker process",
];

/// Every screen in both sizes, with size and keys.
static KOREAN: LazyLock<Vec<(&str, &str, String)>> = LazyLock::new(|| {
    let sized = |size| SCREENS.iter().map(move |keys| (size, *keys, korean(size, keys)));
    ["80x24", "160x45"].into_iter().flat_map(sized).collect()
});

/// A screen of the demo in Korean.
fn korean(size: &str, keys: &str) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(["screenshot", "--demo", "--lang", "ko", "--size", size, "--keys", keys])
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .output()
        .expect("sockscope runs");
    assert!(out.status.success(), "{keys:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("UTF-8")
}

/// Runs of two or more lower-case words.
fn english(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut run: Vec<&str> = Vec::new();
    for token in line.split(' ').chain([""]) {
        let word = token.trim_end_matches(['.', ';', '?', '!']);
        if word.len() > 1 && word.chars().all(|c| c.is_ascii_lowercase()) {
            run.push(word);
        } else if !run.is_empty() {
            if run.len() > 1 {
                out.push(run.join(" "));
            }
            run.clear();
        }
    }
    out
}

#[test]
fn korean_screens_have_no_english_sentence() {
    let commands: BTreeSet<String> = COMMANDS.iter().map(|c| c.name.replace('-', " ")).collect();
    let mut left = BTreeSet::new();
    for (size, keys, screen) in &*KOREAN {
        for run in screen.lines().flat_map(english) {
            // Examples of the filter are words of its language.
            let example = LANGUAGE.iter().flat_map(|(_, forms)| *forms).any(|(e, _)| e.contains(&run));
            if !NAMES.contains(&run.as_str()) && !commands.contains(&run) && !example {
                left.insert(format!("{size} {keys:?}: {run}"));
            }
        }
    }
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!(english("  no match; close the list"), ["no match close the list"]);
}

/// First columns of the characters of a line, by their width on screen.
fn columns(line: &str) -> Vec<(usize, char)> {
    let mut at = 0;
    line.chars()
        .map(|c| {
            let column = at;
            at += c.width().unwrap_or(0);
            (column, c)
        })
        .collect()
}

#[test]
fn korean_screens_keep_columns_and_borders() {
    for (size, keys, screen) in &*KOREAN {
        let most = if *size == "80x24" { 80 } else { 160 };
        for line in screen.lines() {
            assert!(line.width() <= most, "{size} {keys:?}: {} columns: {line}", line.width());
            // The scroll bar is in the last column, or beside the details pane.
            let columns = columns(line);
            let pane = columns.iter().find(|(_, c)| *c == '│').map_or(most, |(x, _)| *x);
            let bar = columns.iter().find(|(_, c)| *c == '▐').map(|(x, _)| *x + 1);
            assert!(bar.is_none_or(|x| x == most || x == pane), "{size} {keys:?}: {line}");
        }
    }
    // The border of the details pane on the right.
    for keys in ["3<enter>", "5<enter>", "6<enter>"] {
        let screen = korean("160x45", keys);
        let bars = |line: &str| -> Vec<usize> {
            columns(line).into_iter().filter(|(_, c)| *c == '│').map(|(x, _)| x).collect()
        };
        // Paths of forwards have bars of their own: the border is in the line of the titles, and in each with a bar.
        let lines: Vec<Vec<usize>> = screen.lines().map(bars).filter(|b| !b.is_empty()).collect();
        let border = lines.first().and_then(|b| b.last()).expect("a border");
        assert!(lines.len() > 10 && lines.iter().all(|b| b.contains(border)), "{keys}: {lines:?}\n{screen}");
    }
    // Values are below the titles of their columns; limits that are not near are folded.
    let screen = korean("120x70", "5G<enter>");
    let title = screen.lines().find(|l| l.contains("RESOURCE")).expect("the titles");
    let end = |line: &str, word: &str| line.find(word).map(|at| line[..at + word.len()].width());
    let owner = screen.lines().find(|l| l.contains("이 호스트")).expect("a limit of this host");
    let start = |line: &str, word: &str| line.find(word).map(|at| line[..at].width());
    assert_eq!(start(owner, "이 호스트"), start(title, "OWNER"), "{screen}");
    let stable = screen.lines().find(|l| l.contains("stable")).expect("a limit whose usage is stable");
    assert_eq!(end(stable, "stable"), end(title, "FULL IN"), "{screen}");
    // No wide character reaches into the window of the help.
    let screen = korean("160x45", "?");
    let top = screen.lines().position(|l| l.contains("도움말")).expect("the title of the help");
    let edge = screen.lines().nth(top).and_then(|l| start(l, "도움말")).expect("its column") - 1;
    // The key bar is below the window.
    for line in screen.lines().skip(top).take(screen.lines().count() - top - 1) {
        let across = columns(line).into_iter().find(|(x, c)| *x < edge && x + c.width().unwrap_or(0) > edge);
        assert_eq!(across, None, "{line}");
    }
}
