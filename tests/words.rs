//! The vocabulary: everything a person reads uses the terms of `ss(8)`, `tcp(7)`, `lsof(8)` and `proc(5)`.
//!
//! Each entry of [`REPLACED`] is a phrase that was in use once, with what to write instead. The texts looked at are the
//! pages (README, explain, manual, reference, help), the screens in `tests/snapshots`, and the sources, comments included.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use regex::Regex;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Phrases that are not used, as regular expressions that ignore case, and what to write instead.
const REPLACED: &[(&str, &str)] = &[
    (r"\bfar[- ](end|ends|address|addresses|side)\b", "peer, remote address"),
    (r"\b(its|their|the socket's) (own )?programs?\b", "the process, the application"),
    (r"\bwho holds it\b", "the process, the owner"),
    (r"\b(told|untold|unsaid)\b", "reported, shown, known"),
    (r"\b(tells|tell) of\b|\bkernel tells\b|\btells (nothing|no |what|how|whether)", "reports, shows"),
    (
        r"\bis no (time|such|number|size|port|address|filter|state|key|column|regular|command|unit)\b",
        "invalid X: expected Y",
    ),
    (r"\bnot to be (had|seen)\b|\bwithout a word\b", "falls back to X if Y is unavailable; not visible"),
    (r"\b(made|drawn|read|begun|begins?) anew\b", "again, redraw, restart"),
    (r"\bturn(ed|s)? round\b", "reverse"),
    (r"\bits life\b|\blife of (a|the|its)\b", "lifecycle"),
    (r"\bworks in\b|\bbegan by\b", "cwd, started by"),
    (r"\bwho answers\b|\bthe way (here|there|back)\b", "backend, path, route"),
    (r"\bthe mouse is the terminal's\b", "mouse capture"),
    (r"\bdoes it\b  |\bdoes not$", "confirm, cancel"),
    (r"\bas far as (it|they) (was|were) seen\b", "lower bound, since sockscope started"),
    (r"\bmend(s|ed|ing)?\b", "fix"),
    (r"\bfor ever\b", "forever"),
    (r"\blet go( of)?\b|\blets go\b", "close, release, expire"),
    (r"\blook(s|ed|ing)? closer\b|\blooks? after\b", "inspect, probe, refresh"),
    (r"\bas usual\b|\bas without it\b", "using defaults"),
    (r"\bcome(s)? through\b", "is forwarded, matches"),
    (r"\bnot this machine\b", "demo data, captured tree"),
    (r"\bgoes? on\b|\bwent on\b", "continues, proceeds"),
    (r"\bnobody\b (takes|listens|serves|made|looks|asked|names?d?)\b", "no process, no listener"),
    (r"\bhas come to\b|\bcame to be\b", "reached, became"),
    (r"\bof its own making\b|\bof the test's own\b", "own"),
];

/// Texts that have not been gone through yet, by the beginning of their name; the list only gets shorter.
const NOT_YET: &[&str] = &[
    "src/collect/",
    "src/derive",
    "src/diagnose",
    "src/lib.rs",
    "src/tui",
    "tests/",
    "assets/explain",
    "sockscope man",
    "sockscope reference",
    "sockscope explain",
];

fn is_gone_through(name: &str) -> bool {
    !NOT_YET.iter().any(|room| name.starts_with(room))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &Path, ending: &str, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, ending, out);
        } else if path.to_string_lossy().ends_with(ending) {
            out.push(path);
        }
    }
}

/// What the program prints for these arguments.
fn printed(args: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope")).args(args).output().expect("sockscope runs");
    assert!(out.status.success(), "sockscope {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("UTF-8")
}

/// Every text, by the name under which a complaint shows it.
fn texts() -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut paths: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
        .iter()
        .map(|f| root().join(f))
        .filter(|f| f.exists())
        .collect();
    for (dir, ending) in [
        ("src", ".rs"),
        ("benches", ".rs"),
        ("examples", ".rs"),
        ("tests", ".rs"),
        ("assets/explain/en", ".md"),
        ("tests/snapshots", ".snap"),
    ] {
        files(&root().join(dir), ending, &mut paths);
    }
    for path in paths {
        // This file names the phrases.
        if !path.ends_with("tests/words.rs") {
            let name = path.strip_prefix(root()).expect("below the root").display().to_string();
            out.insert(name, fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
        }
    }
    let help = printed(&["--help"]);
    let commands =
        help.lines().skip_while(|l| !l.starts_with("Commands:")).skip(1).take_while(|l| l.starts_with("  "));
    let mut asked: Vec<Vec<&str>> =
        vec![vec!["--help"], vec!["man"], vec!["reference"], vec!["explain"], vec!["config"]];
    for command in commands
        .filter(|l| !l.starts_with("   "))
        .filter_map(|l| l.split_whitespace().next())
        .filter(|c| *c != "help")
    {
        asked.push(vec![command, "--help"]);
    }
    assert!(asked.len() > 12, "the commands are found in the help: {asked:?}");
    for args in asked {
        out.insert(format!("sockscope {}", args.join(" ")), printed(&args));
    }
    out
}

/// `file:line: found (write: instead)` for each phrase of these texts that is replaced.
fn complaints(texts: &BTreeMap<String, String>) -> Vec<String> {
    let replaced: Vec<(Regex, &str)> = REPLACED
        .iter()
        .map(|(was, now)| (Regex::new(&format!("(?i){was}")).expect("a regular expression"), *now))
        .collect();
    let mut out = Vec::new();
    for (name, text) in texts {
        // Former names stay accepted.
        let lines = text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("aliases: &["));
        for (number, line) in lines {
            for (was, now) in &replaced {
                if let Some(found) = was.find(line) {
                    out.push(format!("{name}:{}: {:?} (write: {now})", number + 1, found.as_str()));
                }
            }
        }
    }
    out
}

#[test]
fn replaced_phrases_are_not_used() {
    let mut texts = texts();
    texts.retain(|name, _| is_gone_through(name));
    assert!(texts.len() > 2, "{:?}", texts.keys());
    let found = complaints(&texts);
    assert!(found.is_empty(), "{} phrases:\n{}", found.len(), found.join("\n"));
}

#[test]
fn doc_comments_begin_with_noun_or_verb() {
    let question = Regex::new(r"^\s*//[/!] (What|Whether|Where|Who|Whose|How|Why|Which)\b")
        .expect("a regular expression");
    let mut sources = Vec::new();
    for dir in ["src", "tests", "benches", "examples"] {
        files(&root().join(dir), ".rs", &mut sources);
    }
    let mut found = Vec::new();
    for path in sources {
        let name = path.strip_prefix(root()).expect("below the root").display().to_string();
        if !is_gone_through(&name) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a readable source");
        let mut inside = false;
        for (number, line) in text.lines().enumerate() {
            let doc = line.trim_start().starts_with("///") || line.trim_start().starts_with("//!");
            if doc && !inside && question.is_match(line) {
                found.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
            inside = doc;
        }
    }
    assert!(found.is_empty(), "{} doc comments:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_replaced_phrase_is_found() {
    for text in [
        "the far end's window is full",
        "its program has not closed it",
        "owners that were not told",
        "\"soon\" is no time between 100ms and 1d",
        "where that is not to be had the walk is made",
        "restart or mend it",
    ] {
        let texts = BTreeMap::from([("text".to_owned(), text.to_owned())]);
        assert!(!complaints(&texts).is_empty(), "{text}");
    }
    let plain = BTreeMap::from([("text".to_owned(), "the peer closed; the process has not".to_owned())]);
    assert!(complaints(&plain).is_empty());
}
