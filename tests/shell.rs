//! Generated texts: completion scripts, manual page, reference page.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use clap::Parser;
use std::path::Path;
use std::process::Command;

#[test]
fn every_shell_has_a_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let out =
            Command::new(env!("CARGO_BIN_EXE_sockscope")).args(["completions", shell]).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success() && text.contains("sockscope"), "{shell}");
    }
}

#[test]
fn words_are_completed_in_any_case() {
    for (words, want) in [
        (&["explain", "CL"][..], "CLOSE_WAIT"),
        (&["explain", "close_w"], "close_wait"),
        (&["kill", "--signal", "T"], "TERM"),
        (&["kill", "--signal", "sig"], "sigterm"),
        (&["kill", "--signal", "SIGK"], "SIGKILL"),
    ] {
        for shell in ["bash", "zsh", "fish"] {
            let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
                .args(["--", "sockscope"])
                .args(words)
                .envs([("COMPLETE", shell), ("_CLAP_IFS", "\n")])
                .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
                .output()
                .unwrap();
            let text = String::from_utf8(out.stdout).unwrap();
            let is_it = |l: &str| l.split([':', '\t']).next() == Some(want);
            assert!(text.lines().any(is_it), "{shell} {words:?}: {text}");
        }
    }
}

#[test]
fn reference_page_is_up_to_date() {
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope")).arg("reference").output().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/reference.md");
    let committed = std::fs::read_to_string(file).unwrap();
    assert!(
        committed.as_bytes() == out.stdout,
        "assets/reference.md is stale: cargo run -- reference > assets/reference.md"
    );
    for column in sockscope::table::TABLES.iter().flat_map(|t| t.columns) {
        assert!(committed.contains(&format!("`{}`", column.name)), "{}", column.name);
    }
}

#[test]
fn manual_page_has_every_section_and_flag() {
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope")).arg("man").output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    for part in [
        ".TH sockscope 1",
        ".SH FILTER LANGUAGE",
        ".SH KEYS",
        ".SH COLUMNS OF SOCKETS",
        ".SH EXIT STATUS",
        ".SH ENVIRONMENT",
        ".SH FILES",
        ".SH EXAMPLES",
        ".SH SEE ALSO",
        ".SS sockscope kill",
        ".SS sockscope who",
        "\nThe options are those of list.",
    ] {
        assert!(text.contains(part), "{part}");
    }
    for flag in [
        "wait\\-for",
        "group\\-by",
        "proc\\-root",
        "allow\\-partial",
        "\\-\\-signal",
        "\\-\\-polls",
        "\\-\\-init",
    ] {
        assert!(text.contains(flag), "{flag}");
    }
    // Every line that begins with a dot is a roff request.
    for line in text.lines().filter(|l| l.starts_with('.')) {
        let request = line.split(' ').next().unwrap();
        let known =
            [".TH", ".SH", ".SS", ".TP", ".ie", ".el", ".br", ".RS", ".RE", ".IP", ".PP", ".nh", ".ad"];
        assert!(known.contains(&request), "{line}");
    }
}

/// Asked of systemd itself, where it is installed.
#[test]
fn units_have_an_exposure_below_3() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/systemd");
    let units: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    let services = units.iter().filter(|u| u.extension().is_some_and(|e| e == "service"));
    let mut checked = 0;
    for unit in services {
        // In tenths.
        let args = ["security", "--offline=true", "--threshold=29", "--no-pager"];
        let Ok(out) = Command::new("systemd-analyze").args(args).arg(unit).output() else {
            eprintln!("skipped: no systemd-analyze");
            return;
        };
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{}: {text}{}", unit.display(), String::from_utf8_lossy(&out.stderr));
        checked += 1;
    }
    assert!(checked > 0);
    // The command of the unit is one that the program has.
    for unit in units {
        let text = std::fs::read_to_string(unit).unwrap();
        for line in text.lines().filter_map(|l| l.strip_prefix("ExecStart=/usr/bin/sockscope ")) {
            let args = std::iter::once("sockscope").chain(line.split(' '));
            assert!(sockscope::cli::Args::try_parse_from(args).is_ok(), "{line}");
        }
    }
}

#[test]
fn equivalents_of_other_tools_are_in_help_manual_and_readme() {
    let output = |arg: &str| {
        let out = Command::new(env!("CARGO_BIN_EXE_sockscope")).arg(arg).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    let readme = include_str!("../README.md");
    let (help, man) = (output("--help"), output("man"));
    for (line, habit) in sockscope::cli::equivalents::lines().zip(sockscope::cli::equivalents::HABITS) {
        assert!(help.contains(&line), "help: {line}");
        assert!(readme.contains(&line), "README: {line}");
        assert!(man.contains(&habit.theirs.replace('-', "\\-")), "manual: {line}");
    }
    assert!(!output("-h").contains("netstat"), "only in the long help");
}
