//! Tells the program which commit it is made of, for `--version`.

use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=SOCKSCOPE_COMMIT");
    let commit = commit().filter(|c| !c.is_empty()).map_or(String::new(), |c| format!(" ({c})"));
    println!(
        "cargo:rustc-env=SOCKSCOPE_VERSION={}{commit}",
        env::var("CARGO_PKG_VERSION").unwrap_or_default()
    );
}

/// What a packager says; else what the published crate carries; else what git says, in a release build only: every
/// other build would be made anew with every commit.
fn commit() -> Option<String> {
    if let Ok(said) = env::var("SOCKSCOPE_COMMIT") {
        return Some(said);
    }
    if let Ok(info) = fs::read_to_string(".cargo_vcs_info.json") {
        let hash = info.split("\"sha1\"").nth(1)?.split('"').nth(1)?;
        return Some(hash.chars().take(12).collect());
    }
    if env::var("PROFILE").as_deref() != Ok("release") {
        return None;
    }
    let git = |args: &[&str]| {
        let out = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8(out.stdout).ok()?.trim().to_owned())
    };
    // A source archive unpacked inside of another repository has no commit of its own.
    let here = env::var("CARGO_MANIFEST_DIR").ok().and_then(|d| fs::canonicalize(d).ok())?;
    let top = git(&["rev-parse", "--show-toplevel"]).and_then(|d| fs::canonicalize(d).ok());
    if top != Some(here) {
        return None;
    }
    for file in ["logs/HEAD", "HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    git(&["show", "-s", "--format=%h %cs", "HEAD"])
}
