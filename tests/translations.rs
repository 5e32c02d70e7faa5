//! The Korean catalogue holds every text of the screen, and nothing else.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use regex::Regex;
use sockscope::model::lang::catalogue;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

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
    let folded = Regex::new(r"\\\n\s*").expect("a regular expression").replace_all(literal, "");
    folded.replace("\\\"", "\"").replace("\\n", "\n").replace("\\\\", "\\")
}

/// The texts given to `tr` and `msg!` in the sources.
fn literals() -> BTreeSet<String> {
    let call = Regex::new(r#"(?s)\b(?:tr\(|msg!\()\s*"((?:[^"\\]|\\.)*)""#).expect("a regular expression");
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

#[test]
fn every_text_has_a_translation() {
    let texts = literals();
    let missing: Vec<&String> =
        texts.iter().filter(|t| !t.is_empty() && !catalogue().contains_key(*t)).collect();
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
        let numbered = place.find_iter(ko).filter(|m| m.as_str().len() > 2).count();
        assert!(numbered == 0 || numbered == count, "{ko:?} numbers only some of its placeholders");
        assert!(ko.chars().any(|c| ('가'..='힣').contains(&c)), "{ko:?} is not Korean");
    }
}
