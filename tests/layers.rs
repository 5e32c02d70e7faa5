//! The layers of the crate, held by reading its source: which module may name which, how long a file may be, and where
//! a clock or the environment may be read.

// A test that cannot go on stops there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// Each module and those it may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("collect", &["model"]),
    ("derive", &["model"]),
    ("query", &["model"]),
    ("output", &["model", "query"]),
    ("ui", &["model", "query"]),
    ("cli", &["model", "query", "output"]),
    ("run", &["model", "collect", "derive", "query", "output", "ui", "cli"]),
];

/// Modules that may ask what time it is or what the environment says.
const WORLDLY: &[&str] = &["collect", "run"];

/// What asks.
const ASKING: &[&str] = &["Instant::now", "SystemTime::now", "env::var", "env::args", "clock_gettime"];

/// Longest file, in lines.
const LONGEST: usize = 800;

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

/// The module a file belongs to: `query` for `src/query.rs` and for `src/query/fit.rs`.
fn module(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).expect("a source file");
    let first = inside.components().next().expect("a name");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text without comments and without its tests, which stand at the end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let line = |l: &str| if l.trim_start().starts_with("//") { String::new() } else { l.to_owned() + "\n" };
    text.lines().map(line).collect()
}

/// Modules that a text names: `crate::X`, in paths and in `use crate::{X, …}`, and `super::super::X` from two below.
fn named(code: &str) -> Vec<String> {
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut out = Vec::new();
    for (i, _) in code.match_indices("crate::") {
        let rest = &code[i + 7..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = true;
            for (j, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && c.is_alphabetic() => {
                        out.push(word(&group[j..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            out.push(word(rest));
        }
    }
    out
}

fn violations(module: &str, code: &str) -> Vec<String> {
    let Some((_, may)) = LAYERS.iter().find(|(m, _)| *m == module) else { return vec![] };
    let mut out = Vec::new();
    for name in named(code) {
        if LAYERS.iter().any(|(m, _)| *m == name) && name != module && !may.contains(&name.as_str()) {
            out.push(format!("{module} names {name}"));
        }
    }
    if !WORLDLY.contains(&module) {
        for ask in ASKING.iter().filter(|a| code.contains(**a)) {
            out.push(format!("{module} asks {ask}"));
        }
    }
    out
}

#[test]
fn every_module_keeps_its_layer() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    assert!(files.len() > 20, "only {} files found", files.len());
    let mut bad = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).expect("a readable file");
        bad.extend(
            violations(&module(file), &code(&text)).into_iter().map(|v| format!("{}: {v}", file.display())),
        );
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn a_violation_would_be_found() {
    for (module, text, want) in [
        ("ui", "use crate::collect::Source;", "ui names collect"),
        ("ui", "use crate::{model::Socket, derive};", "ui names derive"),
        ("model", "fn f() { crate::query::table(\"x\"); }", "model names query"),
        ("query", "let t = std::time::Instant::now();", "query asks Instant::now"),
    ] {
        assert_eq!(violations(module, &code(text)), [want], "{text}");
    }
    for (module, text) in [
        ("ui", "use crate::{model::{Socket, derive_more}, query};"),
        ("ui", "// crate::collect is not for us"),
        ("run", "use crate::collect::open; let t = Instant::now();"),
        ("query", "fn f() {}\n#[cfg(test)]\nmod tests { use crate::derive::Engine; }"),
    ] {
        assert!(violations(module, &code(text)).is_empty(), "{text}");
    }
}

#[test]
fn every_module_has_its_layer() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    for name in lib.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')) {
        assert!(LAYERS.iter().any(|(m, _)| *m == name), "{name} has no layer");
    }
}

#[test]
fn files_are_one_idea() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    for file in files {
        let lines = fs::read_to_string(&file).expect("a readable file").lines().count();
        assert!(lines <= LONGEST, "{} has {lines} lines", file.display());
        assert!(!file.ends_with("mod.rs"), "{}: thing.rs and thing/, not mod.rs", file.display());
    }
}
