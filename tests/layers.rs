//! The layers of the crate, checked in its source: allowed dependencies between modules, length of files, and uses of
//! the clock and the environment.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module and those that it may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("sync", &[]),
    ("privilege", &[]),
    ("sandbox", &[]),
    ("model", &[]),
    ("testing", &["model"]),
    ("collect", &["model", "sync", "privilege", "frame", "recording"]),
    ("actions", &["model", "collect", "privilege"]),
    ("format", &["model"]),
    ("frame", &["model"]),
    ("recording", &["model", "frame"]),
    ("derive", &["model"]),
    ("diagnose", &["model", "format"]),
    ("table", &["model", "format", "diagnose"]),
    ("explain", &["model", "format", "diagnose", "table"]),
    ("filter", &["model", "format", "diagnose", "table"]),
    ("view", &["model", "format", "diagnose", "table", "filter"]),
    ("output", &["model", "sync", "format", "table", "view"]),
    ("sql", &["model", "format", "table", "output"]),
    ("tui", &["model", "sync", "format", "diagnose", "table", "explain", "filter", "view"]),
    ("cli", &["model", "format", "diagnose", "table", "explain", "filter", "view", "output", "recording"]),
    (
        "fuzzing",
        &[
            "model", "frame", "collect", "derive", "diagnose", "format", "table", "filter", "view", "output",
            "tui", "cli",
        ],
    ),
    (
        "app",
        &[
            "model",
            "sync",
            "privilege",
            "sandbox",
            "collect",
            "actions",
            "derive",
            "frame",
            "recording",
            "format",
            "diagnose",
            "table",
            "explain",
            "filter",
            "view",
            "output",
            "sql",
            "tui",
            "cli",
        ],
    ),
];

/// Modules that may read the clock or the environment.
const WORLDLY: &[&str] = &["collect", "app", "actions"];

/// Calls that read the clock or the environment.
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

/// The module a file belongs to: `filter` for `src/filter.rs` and for `src/filter/eval.rs`.
fn module(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).expect("a source file");
    let first = inside.components().next().expect("a name");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// A file that holds only tests: `tests.rs`, or anything under `tests/`.
fn is_test(file: &Path) -> bool {
    file.strip_prefix(root().join("src"))
        .is_ok_and(|p| p.with_extension("").iter().any(|part| part == "tests"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text without comments and without inline test modules, which come last. A test module in a separate file can be
/// declared anywhere.
fn code(text: &str) -> String {
    let tests = text.match_indices("#[cfg(test)]\nmod ").find(|(i, start)| {
        let rest = &text[i + start.len()..];
        rest.find('{').is_some_and(|open| rest.find(';').is_none_or(|end| open < end))
    });
    let text = tests.map_or(text, |(i, _)| &text[..i]);
    let line = |l: &str| if l.trim_start().starts_with("//") { String::new() } else { l.to_owned() + "\n" };
    text.lines().map(line).collect()
}

/// Modules that a source text uses: `crate::X`, in paths and in `use crate::{X, …}`, and `super::super::X` from two below.
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
    for file in files.iter().filter(|f| !is_test(f)) {
        let text = fs::read_to_string(file).expect("a readable file");
        // The line to the terminal is timed where it is written.
        let times_the_line = file.to_string_lossy().contains("/src/tui/terminal");
        let clock = |v: &String| times_the_line && v == "tui asks Instant::now";
        bad.extend(
            violations(&module(file), &code(&text))
                .into_iter()
                .filter(|v| !clock(v))
                .map(|v| format!("{}: {v}", file.display())),
        );
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn a_violation_would_be_found() {
    for (module, text, want) in [
        ("tui", "use crate::collect::Source;", "tui names collect"),
        ("tui", "use crate::{model::Socket, derive};", "tui names derive"),
        ("model", "fn f() { crate::table::table(\"x\"); }", "model names table"),
        ("filter", "let t = std::time::Instant::now();", "filter asks Instant::now"),
    ] {
        assert_eq!(violations(module, &code(text)), [want], "{text}");
    }
    for (module, text) in [
        ("tui", "use crate::{model::{Socket, derive_more}, filter};"),
        ("tui", "// crate::collect is not for us"),
        ("app", "use crate::collect::open; let t = Instant::now();"),
        ("filter", "fn f() {}\n#[cfg(test)]\nmod tests { use crate::derive::Engine; }"),
    ] {
        assert!(violations(module, &code(text)).is_empty(), "{text}");
    }
}

#[test]
fn every_module_has_its_layer() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    for name in lib.lines().filter_map(|l| {
        l.strip_prefix("pub(crate) ").or(l.strip_prefix("pub "))?.strip_prefix("mod ")?.strip_suffix(';')
    }) {
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

/// Every module of the crate by its path (`tui::draw::row`), with its code.
fn modules() -> BTreeMap<Vec<String>, String> {
    let mut files = Vec::new();
    let src = root().join("src");
    sources(&src, &mut files);
    let mut out = BTreeMap::new();
    for file in files.iter().filter(|f| !is_test(f)) {
        let path = file.strip_prefix(&src).expect("a source file").with_extension("");
        let path: Vec<String> = path.iter().map(|p| p.to_string_lossy().into_owned()).collect();
        if !matches!(path[0].as_str(), "lib" | "main" | "testing") {
            out.insert(path, code(&fs::read_to_string(file).expect("a readable file")));
        }
    }
    out
}

/// The paths of a `use` tree, one by one: `a::{b, c::{self, d}}` is `a::b`, `a::c::self`, `a::c::d`.
fn use_paths(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else { return vec![tree.to_owned()] };
    let (head, body) = (&tree[..open], &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())]);
    let (mut depth, mut start, mut out) = (0, 0, Vec::new());
    for (i, c) in body.char_indices().chain([(body.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                out.extend(use_paths(&body[start..i]).into_iter().map(|p| format!("{head}{p}")));
                start = i + 1;
            }
            _ => {}
        }
    }
    out
}

/// Returns true if a statement starts after this code.
fn starts_statement(before: &str) -> bool {
    let before = before.trim_end();
    let before = before.strip_suffix("pub(crate)").or(before.strip_suffix("pub(super)")).unwrap_or(before);
    let before = before.strip_suffix("pub").unwrap_or(before).trim_end();
    before.is_empty() || before.ends_with([';', '{', '}', ']'])
}

/// The modules that this code in `module` uses: by `use`, `crate::`, `super::` or the name of a child.
fn uses(module: &[String], code: &str, known: &BTreeSet<Vec<String>>) -> BTreeSet<Vec<String>> {
    let squeezed: String = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paths = Vec::new();
    // At the start of a statement only: texts contain the word too.
    for (i, _) in squeezed.match_indices("use ").filter(|(i, _)| starts_statement(&squeezed[..*i])) {
        let statement = &squeezed[i + 4..];
        let tree = statement.split(';').next().unwrap_or("");
        paths.extend(use_paths(&tree.replace(' ', "")));
    }
    for start in ["crate::", "super::"] {
        for (i, _) in squeezed.match_indices(start) {
            paths.push(
                squeezed[i..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect(),
            );
        }
    }
    let mut out = BTreeSet::new();
    for path in paths {
        let mut parts: Vec<&str> = path.split("::").filter(|p| !p.is_empty()).collect();
        let mut base = module.to_vec();
        match parts.first() {
            Some(&"crate") => {
                base.clear();
                parts.remove(0);
            }
            Some(&"super") => {
                while parts.first() == Some(&"super") {
                    base.pop();
                    parts.remove(0);
                }
            }
            Some(&"self") => {
                parts.remove(0);
            }
            _ => {}
        }
        base.extend(parts.into_iter().map(str::to_owned));
        while !base.is_empty() && !known.contains(&base) {
            base.pop();
        }
        if !base.is_empty() && base != module {
            out.insert(base);
        }
    }
    out
}

/// Cycles of sibling modules, at any depth.
fn circles(modules: &BTreeMap<Vec<String>, String>) -> Vec<String> {
    type Edges = BTreeMap<String, BTreeSet<String>>;
    let known: BTreeSet<Vec<String>> = modules.keys().cloned().collect();
    let mut rooms: BTreeMap<Vec<String>, Edges> = BTreeMap::new();
    for (module, code) in modules {
        for to in uses(module, code, &known) {
            let shared = module.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if let (Some(a), Some(b)) = (module.get(shared), to.get(shared)) {
                let room = rooms.entry(module[..shared].to_vec()).or_default();
                room.entry(a.clone()).or_default().insert(b.clone());
            }
        }
    }
    let mut out = Vec::new();
    for (room, edges) in rooms {
        let reach = |from: &String| {
            let (mut seen, mut todo) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(at) = todo.pop() {
                for next in edges.get(&at).into_iter().flatten() {
                    if seen.insert(next.clone()) {
                        todo.push(next.clone());
                    }
                }
            }
            seen
        };
        let circle: Vec<&String> = edges.keys().filter(|m| reach(m).contains(*m)).collect();
        if !circle.is_empty() {
            out.push(format!("{}: {circle:?}", room.join("::")));
        }
    }
    out
}

#[test]
fn no_room_has_a_circle() {
    let found = circles(&modules());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_circle_would_be_found() {
    let tree = |files: &[(&str, &str)]| -> BTreeMap<Vec<String>, String> {
        files.iter().map(|(m, c)| (m.split("::").map(str::to_owned).collect(), code(c))).collect()
    };
    let circle = tree(&[
        ("tui", "mod app;"),
        ("tui::app", "use super::{draw::{self, Pen}, event};"),
        ("tui::draw", "use crate::tui::event;"),
        ("tui::draw::row", "fn f() { crate::tui::app::go() }"),
        ("tui::event", ""),
    ]);
    assert_eq!(circles(&circle), [r#"tui: ["app", "draw"]"#]);
    let none = tree(&[
        ("tui", "mod app; use app::App;"),
        ("tui::app", "use super::event; use super::super::model;"),
        ("tui::event", "// use super::app"),
        ("model", ""),
    ]);
    assert!(circles(&none).is_empty(), "{:?}", circles(&none));
}
