//! Command lines of `ss`, `netstat` and `lsof`, and the equivalents that help, manual page and README state: the same rows.

use super::compare::check;
use super::rows::{self, Row, ss_endpoint};
use super::world::{World, addr, listen};
use crate::wait::until_ok;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};
use sockscope::cli::equivalents::HABITS;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::num::NonZeroU32;
use std::os::unix::net::UnixListener;

/// A row as far as every tool shows it: protocol and state are empty where the other tool leaves them out.
type Short = (String, String, String, String);

/// A row of `ss`: the words around the two queue lengths.
fn ss_row(line: &str) -> Result<Short, String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let is_number = |w: &&str| w.bytes().all(|b| b.is_ascii_digit());
    let queues = words.iter().position(is_number).ok_or_else(|| format!("ss printed {line:?}"))?;
    let word = |i: usize| words.get(queues + i).copied().unwrap_or("");
    let mut head: Vec<&str> = words[..queues].to_vec();
    let netids = ["tcp", "udp", "raw", "u_str", "u_dgr", "u_seq"];
    let proto = if head.first().is_some_and(|w| netids.contains(w)) { head.remove(0) } else { "" };
    let state = match head.first().copied().unwrap_or("") {
        "ESTAB" => "ESTABLISHED".to_owned(),
        s => s.replace("FIN-WAIT-", "FIN_WAIT").replace('-', "_"),
    };
    if proto.starts_with("u_") || is_number(&word(3)) {
        // The port of a UNIX socket is its inode.
        return Ok((String::new(), state, word(3).to_owned(), String::new()));
    }
    Ok((proto.to_owned(), state, ss_endpoint(word(2)), ss_endpoint(word(3))))
}

/// A row of `netstat`, if the line is one of an IP socket.
fn netstat_row(line: &str) -> Option<Short> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let proto = words.first()?.trim_end_matches('6');
    if !["tcp", "udp"].contains(&proto) {
        return None;
    }
    let state = if proto == "tcp" { *words.get(5)? } else { "" };
    Some((proto.to_owned(), state.to_owned(), ss_endpoint(words.get(3)?), ss_endpoint(words.get(4)?)))
}

fn short(row: &Row, like: &BTreeSet<Short>) -> Short {
    let unix = row.proto == "unix";
    let has_proto = like.iter().any(|r| !r.0.is_empty());
    let has_state = like.iter().any(|r| !r.1.is_empty() && (r.0 == row.proto || r.0.is_empty()));
    (
        if has_proto { row.proto.clone() } else { String::new() },
        if has_state { row.state.clone() } else { String::new() },
        if unix { row.inode.to_string() } else { row.local.clone() },
        if unix { String::new() } else { row.remote.clone() },
    )
}

/// One line each.
fn list(rows: impl Iterator<Item = impl Debug>) -> String {
    rows.fold(String::new(), |all, row| all + &format!("  {row:?}\n"))
}

/// Runs both command lines; the number of rows, or how they differ.
fn compare(theirs: &str, ours: &str) -> Result<usize, String> {
    let pid = std::process::id().to_string();
    let words = |text: &str| -> Vec<String> {
        let text = text.replace('\'', "").replace("pid:812", &format!("pid:{pid}"));
        text.split_ascii_whitespace().map(|w| if w == "812" { pid.clone() } else { w.to_owned() }).collect()
    };
    let (theirs, ours) = (words(theirs), words(ours));
    let words: Vec<&str> = ours.iter().map(String::as_str).collect();
    let ours = rows::ours_of(&words)?;
    let (tool, args) = theirs.split_first().ok_or("no tool")?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (n, differences) = if tool == "lsof" {
        let (a, b) = (rows::held(&ours), rows::lsof_with(&args)?);
        (b.len(), list(a.symmetric_difference(&b)))
    } else {
        let (args, grep) = args
            .iter()
            .position(|a| *a == "|")
            .map_or((&args[..], ""), |i| (&args[..i], *args.last().unwrap_or(&"")));
        let more: &[&str] = if tool == "ss" { &["-H", "-O", "-n"] } else { &[] };
        let text = rows::run(tool, &[more, args].concat())?;
        let lines = text.lines().filter(|l| l.contains(grep));
        let b: BTreeSet<Short> = if tool == "ss" {
            lines.map(ss_row).collect::<Result<_, _>>()?
        } else {
            lines.filter_map(netstat_row).collect()
        };
        let a: BTreeSet<Short> = ours.iter().map(|r| short(r, &b)).collect();
        (b.len(), list(a.symmetric_difference(&b)))
    };
    check(differences.is_empty(), || format!("not in both:\n{differences}")).map(|()| n)
}

/// Every equivalent selects the rows of the original, some of them and not all.
pub(crate) fn command_lines_of_other_tools_select_their_rows() -> Result<(), String> {
    let mut w = World::default();
    let l4 = listen("127.0.0.1:443", 16, false);
    let l6 = listen("[::1]:443", 16, true);
    let dual = listen("[::]:8080", 16, false);
    w.established(&l4, None);
    w.established(&l6, None);
    w.established(&dual, Some(addr("127.0.0.9:8080")));
    w.established(&dual, Some(addr("[::1]:8080")));
    w.close_wait(&l4);
    w.fin_wait2(&l4);
    World::time_wait(&l4);
    w.syn_sent(7403);
    w.datagram("127.0.0.1:5353", None);
    w.datagram("127.0.0.1:5354", Some("127.0.0.1:5353"));
    w.datagram("[::1]:5353", None);
    w.listeners.extend([l4, l6, dual]);
    let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
    let unix = UnixListener::bind(directory.path().join("s")).map_err(|e| e.to_string())?;
    let protocol = NonZeroU32::new(253).map(Protocol::from_raw);
    let raw = socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, protocol);
    w.raw.push(raw.map_err(|e| format!("raw socket: {e}"))?);
    // Bound and not listening, which ss shows with -B only.
    let bound = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let bound = bound.map_err(|e| format!("socket: {e}"))?;
    rustix::net::bind(&bound, &addr("127.0.0.1:7777")).map_err(|e| format!("bind: {e}"))?;
    let mut failed = String::new();
    for h in HABITS {
        match until_ok(|| compare(h.theirs, h.ours)) {
            Ok(0) => failed.push_str(&format!("{}: selects nothing here\n", h.theirs)),
            Ok(_) => {}
            Err(why) => failed.push_str(&format!("{} | {}: {why}\n", h.theirs, h.ours)),
        }
    }
    drop((unix, bound));
    check(failed.is_empty(), || failed)
}
