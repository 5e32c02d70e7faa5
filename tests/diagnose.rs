//! `--diagnose`: one page with what a bug report needs, and nothing private.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

fn page(more: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .arg("--diagnose")
        .args(more)
        .env("HOME", "/home/marigold")
        .env("XDG_CONFIG_HOME", "/home/marigold/.config")
        .env("TERM", "xterm-256color")
        .env("TMUX", "/tmp/tmux-1000/marigold,1,0")
        .env_remove("SOCKSCOPE_CONFIG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// The value of a line by its name.
fn value<'a>(page: &'a str, name: &str) -> &'a str {
    let is_named = |l: &&str| l.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
    page.lines().find(is_named).unwrap_or_else(|| panic!("no line {name}:\n{page}"))[name.len()..].trim()
}

#[test]
fn page_shows_system_data_terminal_and_configuration() {
    let text = page(&[]);
    assert!(text.starts_with(concat!("sockscope ", env!("CARGO_PKG_VERSION"))), "{text}");
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(value(&text, "kernel").starts_with(release.trim()), "{text}");
    assert!(value(&text, "capabilities").starts_with("permitted "), "{text}");
    assert!(value(&text, "uid").ends_with(|c: char| c.is_ascii_digit()), "{text}");
    for name in ["netlink", "proc", "portable"] {
        let state = value(&text, name);
        assert!(state.starts_with("ok: ") || state.starts_with("failed: "), "{name} {state}");
    }
    assert!(value(&text, "chosen").contains('('), "{text}");
    assert_eq!(value(&text, "TERM"), "xterm-256color");
    assert_eq!(value(&text, "TMUX"), "set");
    assert_eq!(value(&text, "output"), "no terminal");
    assert_eq!(value(&text, "colors"), "indexed (--color auto)");
    assert!(value(&text, "file").starts_with("~/.config/sockscope/config.toml: "), "{text}");
    let names = ["container", "cgroups", "BTF", "LSM", "seccomp", "sandbox", "owners", "namespaces", "LANG"];
    for name in names {
        value(&text, name);
    }
    assert!(text.lines().count() < 80 && text.is_ascii(), "one page:\n{text}");
    // A requested backend is the one chosen.
    let proc = page(&["--backend", "proc"]);
    assert_eq!(value(&proc, "chosen"), "proc (requested)");
}

#[test]
fn page_contains_no_address_name_or_command_line() {
    // A process with a name and an argument of its own, and a connection to an address of its own.
    let mut held = Command::new("sh")
        .arg0("periwinkle")
        .args(["-c", "read line", "chrysanthemum"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let listener = TcpListener::bind("127.77.3.9:0").unwrap();
    let address = listener.local_addr().unwrap();
    let _connection = TcpStream::connect(address).unwrap();
    let text = page(&[]);
    held.kill().unwrap();
    held.wait().unwrap();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let user = std::env::var("USER").unwrap_or_default();
    let private = ["127.77.3.9", "chrysanthemum", "periwinkle", "marigold", host.trim()];
    for word in
        private.into_iter().filter(|w| w.len() > 3).chain([&*user].into_iter().filter(|u| u.len() > 4))
    {
        assert!(!text.contains(word), "{word}:\n{text}");
    }
    let is_address = |w: &str| {
        let w = w.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        w.parse::<std::net::IpAddr>().is_ok() || w.parse::<std::net::SocketAddr>().is_ok()
    };
    let found = text.split_whitespace().find(|w| is_address(w));
    assert_eq!(found, None, "{text}");
}
