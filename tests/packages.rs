//! Definitions of packages: each installs what exists, and what it installs works.
//!
//! The Debian package is built by `.ci/deb`. Arch Linux and Nix are not here: their definitions are evaluated, and what they run
//! after the build runs on the program under test.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use toml_edit::{DocumentMut, Value};

const SOCKSCOPE: &str = env!("CARGO_BIN_EXE_sockscope");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a script of bash, which stops at the first error.
fn bash(script: &str, env: &[(&str, &Path)]) {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).envs(env.iter().copied()).current_dir(root());
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

fn cargo_toml() -> DocumentMut {
    fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap()
}

/// Checks an installed tree: the program, its manual page and completions, and where the links of the documents lead.
fn check_tree(tree: &Path, files: &[&str]) {
    let out = Command::new(tree.join(files[0])).arg("--version").output().unwrap();
    assert!(out.status.success());
    for file in files {
        assert!(fs::metadata(tree.join(file)).is_ok_and(|m| m.len() > 0), "{file}");
    }
}

/// Checks that the links of the documents lead to files of the package.
fn check_links(docs: &Path) {
    for document in ["README.md", "docs/guide.md", "docs/how-it-works.md"] {
        let text = fs::read_to_string(docs.join(document)).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in links.filter(|l| !l.is_empty() && !l.contains(':')) {
            let target = docs.join(document).parent().unwrap().join(link);
            assert!(target.exists(), "{document} links to {link}");
        }
    }
}

#[test]
fn arch_linux_package_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let (src, pkg) = (dir.path().join("src"), dir.path().join("pkg"));
    fs::create_dir_all(src.join("target/release")).unwrap();
    fs::copy(SOCKSCOPE, src.join("target/release/sockscope")).unwrap();
    // The build itself is that of `cargo install`.
    let script = r#"
        startdir=$PWD/assets/package
        . "$startdir/PKGBUILD"
        cargo() { [ "$*" = "build --release --locked" ]; }
        (build)
        package
        [ "$pkgver" = "$VERSION" ]
    "#;
    let version = cargo_toml()["package"]["version"].as_str().unwrap().to_owned();
    bash(
        script,
        &[("srcdir", &src), ("pkgdir", &pkg), ("VERSION", Path::new(&version)), ("HOME", dir.path())],
    );
    check_tree(
        &pkg,
        &[
            "usr/bin/sockscope",
            "usr/share/man/man1/sockscope.1",
            "usr/share/bash-completion/completions/sockscope",
            "usr/share/zsh/site-functions/_sockscope",
            "usr/share/fish/vendor_completions.d/sockscope.fish",
            "usr/share/licenses/sockscope/copyright",
        ],
    );
    check_links(&pkg.join("usr/share/doc/sockscope"));
}

#[test]
fn nix_flake_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    // The part of nixpkgs that the flake uses.
    let nixpkgs = r#"{
        lib.genAttrs = names: f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);
        lib.importTOML = file: builtins.fromTOML (builtins.readFile file);
        legacyPackages.x86_64-linux = { rustPlatform.buildRustPackage = arguments: arguments; installShellFiles = ""; };
    }"#;
    let expression = format!(
        "let p = ((import {root}/flake.nix).outputs {{ self = {{}}; nixpkgs = {nixpkgs}; }}).packages.x86_64-linux.default; \
         in {{ inherit (p) pname version postInstall; lock = builtins.pathExists p.cargoLock.lockFile; }}",
        root = root().display()
    );
    let state = dir.path().join("nix");
    let out = Command::new("nix-instantiate")
        .args(["--eval", "--strict", "--json", "-E", &expression])
        .envs([("NIX_STATE_DIR", &state), ("NIX_STORE_DIR", &dir.path().join("store"))])
        .envs([("NIX_CONF_DIR", dir.path()), ("HOME", dir.path()), ("NIX_LOG_DIR", &state)])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let package: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(package["version"].as_str(), cargo_toml()["package"]["version"].as_str());
    assert_eq!((package["pname"].as_str(), package["lock"].as_bool()), (Some("sockscope"), Some(true)));
    let tree = dir.path().join("out");
    fs::create_dir_all(tree.join("bin")).unwrap();
    fs::copy(SOCKSCOPE, tree.join("bin/sockscope")).unwrap();
    let script = format!(
        "installManPage() {{ [ -s \"$1\" ]; }}\n\
         installShellCompletion() {{ [ -s \"$4\" ]; }}\n\
         mkdir \"$out/work\"; cp -r assets \"$out/work\"; cd \"$out/work\"\n{}",
        package["postInstall"].as_str().unwrap()
    );
    bash(&script, &[("out", &tree)]);
    check_tree(
        &tree,
        &[
            "bin/sockscope",
            "share/applications/sockscope.desktop",
            "share/metainfo/org.sockscope.sockscope.metainfo.xml",
            "share/icons/hicolor/scalable/apps/sockscope.svg",
            "share/licenses/sockscope/copyright",
        ],
    );
}

/// Sources and destinations of a package of Cargo.toml.
fn assets(package: &str) -> Vec<(String, String)> {
    let toml = cargo_toml();
    let list = toml["package"]["metadata"][package]["assets"].as_array().unwrap().clone();
    let text = |v: Option<&Value>| v.and_then(Value::as_str).unwrap().to_owned();
    list.iter()
        .map(|asset| match asset {
            Value::Array(a) => (text(a.get(0)), format!("/{}", text(a.get(1)))),
            Value::InlineTable(t) => (text(t.get("source")), text(t.get("dest"))),
            other => panic!("{other}"),
        })
        .collect()
}

/// Files that a source names: `*` stands for any file name.
fn files(source: &str) -> Vec<PathBuf> {
    let Some((folder, pattern)) = source.rsplit_once('/').filter(|(_, name)| name.contains('*')) else {
        return vec![root().join(source)];
    };
    let end = pattern.trim_start_matches('*');
    let all = fs::read_dir(root().join(folder)).unwrap().map(|e| e.unwrap().path());
    all.filter(|p| p.to_str().is_some_and(|p| p.ends_with(end))).collect()
}

#[test]
fn debian_and_rpm_packages_have_the_same_documents() {
    for package in ["deb", "generate-rpm"] {
        let dir = tempfile::tempdir().unwrap();
        let docs = "/usr/share/doc/sockscope/";
        let mut copied = 0;
        for (source, dest) in assets(package) {
            // What is made by the build is made by `.ci/deb`.
            if source.starts_with("target/") {
                continue;
            }
            let files = files(&source);
            assert!(!files.is_empty(), "{package}: {source}");
            for file in files {
                assert!(file.is_file(), "{package}: {source}");
                let Some(place) = dest.strip_prefix(docs) else { continue };
                let place = dir.path().join(place);
                let to = if dest.ends_with('/') { place.join(file.file_name().unwrap()) } else { place };
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                copied += fs::copy(&file, &to).unwrap();
            }
        }
        assert!(copied > 0);
        check_links(dir.path());
    }
}
