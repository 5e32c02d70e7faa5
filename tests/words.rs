//! The vocabulary: every text uses the terms of `ss(8)`, `tcp(7)`, `lsof(8)` and `proc(5)`.
//!
//! Each entry of [`REPLACED`] is a phrase not to use, with its replacement. Checked are the documents (README, explain,
//! manual, reference, help), the screens in `tests/snapshots`, the pictures, and the sources, comments included.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use regex::{Regex, RegexSet};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Phrases that are not used, as regular expressions that ignore case, and what to write instead.
const REPLACED: &[(&str, &str)] = &[
    (r"\bfar[- ](end|ends|address|addresses|side)\b|\bthe other side\b", "peer, remote address"),
    (r"\b(its|their|the socket's) (own )?programs?\b|\bwho holds it\b", "the process, the application"),
    (r"\b(says?|saying|said|unsaid|told|untold)\b", "report, show, log; unknown, not available"),
    (r"\b(tell|tells) of\b|\bkernel tells\b|\btells (me|nothing|no |what|how|whether|who)", "reports, shows"),
    (
        r"\bis no (time|such|number|size|port|address|filter|state|key|column|regular|command|unit)\b",
        "invalid X: expected Y",
    ),
    (r"\blet go( of)?\b|\blets go\b", "exit (process), close (socket), expire (timer)"),
    (
        r"\bnot to be (had|seen)\b|\bwithout a word\b|\bnot to be made\b",
        "falls back to X if Y is unavailable; not visible",
    ),
    (
        r"\bhow it went\b|\bkeeps? its course\b|\bsteady (load|use|traffic|rate)\b",
        "rate, growth, per minute; stable",
    ),
    (r"\bits life\b|\blife of (a|the|its)\b", "lifecycle, TCP state"),
    (r"\bworks in\b|\bbegan by\b", "cwd, started by"),
    (r"\bwho answers\b|\bthe way (here|there|back|to it)\b|\bon the way\b", "backend, path, route, hop"),
    (r"\bthe mouse is the terminal's\b", "mouse capture"),
    (r"\by does it\b|\bEsc does not\b", "confirm, cancel"),
    (r"\bas far as (it|they) (is|are|was|were)\b", "lower bound, since sockscope started"),
    (r"\bfine\b", "ok"),
    (r"\bdo it again\b|\bturn(ed|s)? round\b|\bthe one before\b", "redo, reverse, previous"),
    (r"\bscenes?\b|\bnot this machine\b", "scenario, demo data, captured tree"),
    (r"\bmend(s|ed|ing)?\b", "fix"),
    (r"\bfor ever\b|\bfor good\b", "forever, permanently"),
    (r"\banew\b", "again, redraw, restart"),
    (r"\blook(s|ed|ing)? closer\b|\blooks? after\b", "inspect, probe, refresh"),
    (r"\bas usual\b|\bas without it\b", "using defaults"),
    (r"\bcomes? (through|back)\b", "is forwarded, matches, returns"),
    (r"\bgoes? on\b|\bwent on\b", "continues, proceeds"),
    (r"\b(nobody|anybody|whoever)\b", "no process, no listener, the user"),
    (r"\bhas come to\b|\bcame to be\b", "reached, became"),
    (r"\bof its own making\b|\bof the test's own\b|\bof (a|the) kernel to come\b", "own; future"),
    (r"\bmade[_ -]up\b", "synthetic"),
];

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

/// Output of the program with these arguments.
fn printed(args: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope")).args(args).output().expect("sockscope runs");
    assert!(out.status.success(), "sockscope {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("UTF-8")
}

/// Every text, by the name shown in complaints.
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
        ("docs", ".md"),
        ("tests/snapshots", ".snap"),
        ("assets", ".svg"),
    ] {
        files(&root().join(dir), ending, &mut paths);
    }
    for path in paths {
        // This file contains the phrases.
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

/// `file:line: found (write: replacement)` for each phrase in these texts.
fn complaints(texts: &BTreeMap<String, String>) -> Vec<String> {
    let replaced: Vec<(Regex, &str)> = REPLACED
        .iter()
        .map(|(was, now)| (Regex::new(&format!("(?i){was}")).expect("a regular expression"), *now))
        .collect();
    // One pass over each line is much faster than one per phrase.
    let any = RegexSet::new(replaced.iter().map(|(r, _)| r.as_str())).expect("a regular expression");
    let mut out = Vec::new();
    for (name, text) in texts {
        // Former names stay accepted.
        let former = |l: &str| l.trim_start().starts_with("aliases: &[") || l.contains("(alias = \"");
        let lines = text.lines().enumerate().filter(|(_, l)| !former(l));
        for (number, line) in lines.filter(|(_, l)| any.is_match(l)) {
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
    let texts = texts();
    assert!(texts.len() > 300, "{:?}", texts.keys());
    let found = complaints(&texts);
    assert!(found.is_empty(), "{} phrases:\n{}", found.len(), found.join("\n"));
}

#[test]
fn doc_comments_begin_with_noun_or_verb() {
    let question =
        Regex::new(r"^\s*//[/!] (What|Whatever|Whether|Where|Who|Whoever|Whose|How|Why|When|Which)\b")
            .expect("a regular expression");
    let mut sources = Vec::new();
    for dir in ["src", "tests", "benches", "examples"] {
        files(&root().join(dir), ".rs", &mut sources);
    }
    let mut found = Vec::new();
    for path in sources {
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
        "what the program says",
        "\"soon\" is no time between 100ms and 1d",
        "where that is not to be had the scan is made",
        "y does it   Esc does not",
        "level: fine",
        "the scenes of --demo",
        "restart or mend it",
    ] {
        let texts = BTreeMap::from([("text".to_owned(), text.to_owned())]);
        assert!(!complaints(&texts).is_empty(), "{text}");
    }
    let plain = BTreeMap::from([("text".to_owned(), "the peer closed; the process has not".to_owned())]);
    assert!(complaints(&plain).is_empty());
}
