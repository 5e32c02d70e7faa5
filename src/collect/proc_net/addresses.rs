//! Addresses of a network namespace from its tables in `/proc`, for use without permission to enter it.

use crate::collect::proc_file;
use crate::model::{Addr, Scope};
use std::path::Path;

/// Addresses of the interfaces, except loopback ones, from `net/fib_trie` and `net/if_inet6` below this directory.
pub(crate) fn read(root: &Path) -> Vec<Addr> {
    let mut out = all(root);
    out.retain(|a| a.scope() != Scope::Loopback);
    out
}

/// Addresses of all interfaces.
pub(crate) fn all(root: &Path) -> Vec<Addr> {
    let read = |file: &str| proc_file::read_start(&root.join("net").join(file));
    let mut out = parse_fib_trie(&read("fib_trie"));
    out.extend(parse_if_inet6(&read("if_inet6")));
    out
}

/// `|-- 10.0.2.100` and below it `/32 host LOCAL` (`net/ipv4/fib_trie.c`, `fib_trie_seq_show`); each is in two tables.
fn parse_fib_trie(text: &str) -> Vec<Addr> {
    let mut out: Vec<Addr> = Vec::new();
    let mut leaf = None;
    for line in text.lines().map(str::trim_start) {
        if let Some(addr) = line.strip_prefix("|-- ") {
            leaf = addr.trim_end().parse().ok();
        } else if line.starts_with("/32 host LOCAL") {
            out.extend(leaf.filter(|a| !out.contains(a)));
        }
    }
    out
}

/// `fe80000000000000e04b8cfffe7a2ac9 02 40 20 80 tap0` (`net/ipv6/addrconf.c`, `if6_seq_show`).
fn parse_if_inet6(text: &str) -> Vec<Addr> {
    let addr = |line: &str| {
        let digits = line.split_ascii_whitespace().next().filter(|w| w.len() == 32)?;
        Some(Addr::v6(u128::from_str_radix(digits, 16).ok()?.to_be_bytes()))
    };
    text.lines().filter_map(addr).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_fib_trie_and_if_inet6() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("net")).unwrap();
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\nLocal:\n\
            \x20 |-- 10.0.2.0\n        /24 link UNICAST\n     |-- 10.0.2.100\n        /32 host LOCAL\n\
            \x20    |-- 10.0.2.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n\
            \x20    |-- 10.0.2.100\n        /32 host LOCAL\n     |-- nonsense\n        /32 host LOCAL\n";
        std::fs::write(dir.path().join("net/fib_trie"), trie).unwrap();
        let inet6 = "00000000000000000000000000000001 01 80 10 80       lo\n\
            fd00000000000000e04b8cfffe7a2ac9 02 40 00 00     tap0\nshort 1\n";
        std::fs::write(dir.path().join("net/if_inet6"), inet6).unwrap();
        let want: Vec<Addr> = ["10.0.2.100", "fd00::e04b:8cff:fe7a:2ac9"].map(|a| a.parse().unwrap()).into();
        assert_eq!(read(dir.path()), want);
        assert_eq!(read(Path::new("/nowhere")), []);
    }
}
