//! The Korean catalogue holds every text of the screen, and nothing else.

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
