//! Programs that watch every network namespace keep none of them: neither their own sockets nor those of each other.

use super::compare::check;
use super::netns::{Program, background, sh};
use crate::wait::until;
use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};

/// Namespaces of a process, besides those with a name.
const UNNAMED: usize = 8;

/// Inodes of the netlink and packet sockets of the namespace that a process is in: the last word of a line.
fn watching(process: &str) -> BTreeSet<u64> {
    let inodes = |file: &str| {
        let text = fs::read_to_string(format!("/proc/{process}/net/{file}")).unwrap_or_default();
        let inode = |line: &str| line.split_whitespace().next_back()?.parse().ok();
        text.lines().filter_map(inode).collect::<Vec<u64>>()
    };
    ["netlink", "packet"].iter().flat_map(|file| inodes(file)).collect()
}

/// Inodes of the sockets of a process.
fn sockets(pid: u32) -> BTreeSet<u64> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let inode = |link: std::path::PathBuf| {
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()
    };
    links.filter_map(|e| inode(fs::read_link(e.path()).ok()?)).collect()
}

fn program(args: &[&str]) -> Result<Program, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockscope"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(Program).map_err(|e| e.to_string())
}

/// Two of the same at a time, by each source of events and with a capture of DNS: they open sockets in each namespace, and none of
/// these keeps it when it has neither a process nor a mount. A pair of interfaces goes with the namespace that has one of them.
pub(crate) fn namespaces_watched_by_two_programs_end() -> Result<(), String> {
    let list = ["list", "--netns", "all", "--watch=100ms", "-f", "ndjson", "proto:tcp"];
    let with = |more: &[&'static str]| [&list[..], more].concat();
    let dns = vec!["dns", "--netns", "all", "--interval", "100ms", "--events", "off"];
    for args in [with(&[]), with(&["--events", "sock_diag"]), dns] {
        let both = [program(&args)?, program(&args)?];
        let mut inside: Vec<Program> = (0..UNNAMED)
            .map(|_| background(&["unshare", "--net", "sleep", "999"]))
            .collect::<Result<_, _>>()?;
        for name in ["watched1", "watched2"] {
            sh(&format!("ip netns add {name}"))?;
            inside.push(background(&["ip", "netns", "exec", name, "sleep", "999"])?);
        }
        let is_watched = |child: &Child| {
            // Before it enters a namespace it is in this one.
            let there: BTreeSet<u64> =
                watching(&child.id().to_string()).difference(&watching("self")).copied().collect();
            both.iter().all(|p| sockets(p.0.id()).intersection(&there).next().is_some())
        };
        let all = || inside.iter().all(|p| is_watched(&p.0)).then_some(());
        until("sockets in each namespace", all).map_err(|e| format!("{args:?}: {e}"))?;
        for p in &inside {
            let pid = p.0.id();
            sh(&format!("ip link add watch{pid} type veth peer name there netns {pid}"))?;
        }
        let left = || sh("ip -o link show type veth").map(|text| text.lines().count());
        check(left()? == inside.len(), || format!("{args:?}: {:?} of {}", left(), inside.len()))?;
        inside.clear();
        sh("ip netns del watched1; ip netns del watched2")?;
        until("the end of the namespaces", || left().ok().filter(|n| *n == 0))
            .map_err(|e| format!("{args:?}: {e}: {:?} left", left()))?;
    }
    Ok(())
}
