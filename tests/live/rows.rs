//! Rows of sockscope, `ss` and `lsof` in a common form.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// One socket as listed by any of the programs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) proto: String,
    pub(crate) state: String,
    pub(crate) local: String,
    pub(crate) remote: String,
    pub(crate) recv_q: u64,
    pub(crate) send_q: u64,
    pub(crate) uid: u64,
    pub(crate) inode: u64,
    pub(crate) cookie: u64,
    pub(crate) timer: String,
    pub(crate) owners: BTreeSet<(u64, u64)>,
}

/// One descriptor of a socket as listed by `lsof`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Held {
    pub(crate) pid: u64,
    pub(crate) fd: u64,
    pub(crate) proto: String,
    pub(crate) name: String,
    pub(crate) state: String,
}

pub(crate) fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let out = Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    // 1 is "nothing found" for sockscope and lsof alike.
    if !matches!(out.status.code(), Some(0 | 1)) {
        return Err(format!("{program} {args:?}: {}: {}", out.status, String::from_utf8_lossy(&out.stderr)));
    }
    String::from_utf8(out.stdout).map_err(|e| format!("{program}: {e}"))
}

/// Raw JSON rows of sockscope.
pub(crate) fn sockscope(args: &[&str]) -> Result<Vec<Value>, String> {
    let text =
        run(env!("CARGO_BIN_EXE_sockscope"), &[args, &["--netns", "here", "--format", "json"]].concat())?;
    serde_json::from_str(&text).map_err(|e| format!("not JSON: {e}\n{text}"))
}

const COLUMNS: &str =
    "proto,state,local_addr,local_port,remote_addr,remote_port,recv_q,send_q,uid,inode,cookie,timer,owners";

/// Rows of `sockscope list`, TCP and UDP; without sockets that are only bound, which `ss` 6.1 does not list.
pub(crate) fn ours(more: &[&str]) -> Result<BTreeSet<Row>, String> {
    ours_of(&[&["list"], more].concat())
}

/// Rows of this command, without sockets that are only bound.
pub(crate) fn ours_of(command: &[&str]) -> Result<BTreeSet<Row>, String> {
    let rows = sockscope(&[command, &["--columns", COLUMNS]].concat())?;
    Ok(rows.iter().filter(|r| r["state"] != "CLOSED").map(row).collect())
}

fn row(v: &Value) -> Row {
    let text = |k: &str| v[k].as_str().unwrap_or("").to_owned();
    let num = |k: &str| v[k].as_u64().unwrap_or(0);
    let end = |side: &str| match (v[format!("{side}_addr")].as_str(), v[format!("{side}_port")].as_u64()) {
        (None, _) => "*".to_owned(),
        (Some(a), p) => endpoint(a, p.unwrap_or(0)),
    };
    Row {
        proto: text("proto"),
        state: text("state"),
        local: end("local"),
        remote: end("remote"),
        recv_q: num("recv_q"),
        send_q: num("send_q"),
        uid: num("uid"),
        inode: num("inode"),
        cookie: num("cookie"),
        timer: v["timer"].as_str().filter(|t| *t != "off").unwrap_or("").to_owned(),
        owners: v["owners"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|o| (o["pid"].as_u64().unwrap_or(0), o["fd"].as_u64().unwrap_or(0)))
            .collect(),
    }
}

/// An endpoint in the common form; `*` without address and port.
fn endpoint(addr: &str, port: u64) -> String {
    let addr = addr.trim_start_matches("::ffff:");
    let any = matches!(addr, "*" | "0.0.0.0" | "::");
    match (any, port) {
        (true, 0) => "*".into(),
        (true, p) => format!("any:{p}"),
        (false, p) => format!("{addr}:{p}"),
    }
}

pub(crate) fn ss_endpoint(word: &str) -> String {
    let (addr, port) = word.rsplit_once(':').unwrap_or((word, "*"));
    let addr = addr.trim_start_matches('[').trim_end_matches(']');
    let addr = addr.split('%').next().unwrap_or(addr);
    endpoint(addr, port.parse().unwrap_or(0))
}

/// Rows of `ss -HOtuanpe`.
pub(crate) fn ss() -> Result<BTreeSet<Row>, String> {
    ss_with(&[])
}

/// Rows of `ss -HOtuanpe` with an expression.
pub(crate) fn ss_with(expression: &[&str]) -> Result<BTreeSet<Row>, String> {
    let text = run("ss", &[&["-H", "-O", "-t", "-u", "-a", "-n", "-p", "-e"], expression].concat())?;
    text.lines().map(ss_row).collect()
}

fn ss_row(line: &str) -> Result<Row, String> {
    let mut w: Vec<&str> = line.split_ascii_whitespace().collect();
    // For a single state ss omits the column.
    if w.get(1).is_some_and(|x| x.parse::<u64>().is_ok()) {
        w.insert(1, "");
    }
    if w.len() < 6 {
        return Err(format!("ss printed {line:?}"));
    }
    let number = |s: &str| s.parse::<u64>().map_err(|_| format!("ss printed {line:?}"));
    let after = |key: &str| w[6..].iter().find_map(|x| x.strip_prefix(key));
    let state = match w[1] {
        "ESTAB" => "ESTABLISHED".to_owned(),
        s => s.replace("FIN-WAIT-", "FIN_WAIT").replace('-', "_"),
    };
    let mut owners = BTreeSet::new();
    if let Some(users) = line.split("users:(").nth(1) {
        for part in users.split("pid=").skip(1) {
            let pid = part.split(',').next().unwrap_or("");
            let fd = part.split("fd=").nth(1).and_then(|f| f.split(')').next()).unwrap_or("");
            owners.insert((number(pid)?, number(fd)?));
        }
    }
    Ok(Row {
        proto: w[0].to_owned(),
        state,
        local: ss_endpoint(w[4]),
        remote: ss_endpoint(w[5]),
        recv_q: number(w[2])?,
        send_q: number(w[3])?,
        uid: after("uid:").map_or(Ok(0), number)?,
        inode: after("ino:").map_or(Ok(0), number)?,
        cookie: after("sk:").and_then(|s| u64::from_str_radix(s, 16).ok()).unwrap_or(0),
        timer: after("timer:(").and_then(|t| t.split(',').next()).unwrap_or("").to_owned(),
        owners,
    })
}

/// Descriptors of sockets as `lsof` lists them.
pub(crate) fn lsof() -> Result<BTreeSet<Held>, String> {
    lsof_with(&["-nP", "-i"])
}

/// Descriptors of sockets that `lsof` lists with these arguments.
pub(crate) fn lsof_with(args: &[&str]) -> Result<BTreeSet<Held>, String> {
    let text = run("lsof", &[args, &["-F", "pfPnT"]].concat())?;
    let mut out = BTreeSet::new();
    let (mut pid, mut fields): (u64, BTreeMap<char, String>) = (0, BTreeMap::new());
    let mut flush = |pid: u64, fields: &mut BTreeMap<char, String>| {
        if let Some(fd) = fields.get(&'f').and_then(|f| f.parse().ok()) {
            let get = |k: char| fields.get(&k).cloned().unwrap_or_default();
            out.insert(Held {
                pid,
                fd,
                proto: get('P').to_lowercase(),
                name: lsof_name(&get('n')),
                state: get('T'),
            });
        }
        fields.clear();
    };
    for line in text.lines() {
        let Some(key) = line.chars().next() else { continue };
        let value = &line[key.len_utf8()..];
        match key {
            'p' => {
                flush(pid, &mut fields);
                pid = value.parse().unwrap_or(0);
            }
            'f' => {
                flush(pid, &mut fields);
                fields.insert('f', value.to_owned());
            }
            'T' => {
                if let Some(state) = value.strip_prefix("ST=") {
                    fields.insert('T', state.to_owned());
                }
            }
            k => {
                fields.insert(k, value.to_owned());
            }
        }
    }
    flush(pid, &mut fields);
    Ok(out)
}

fn lsof_name(name: &str) -> String {
    let mut ends = name.split("->").map(ss_endpoint);
    let local = ends.next().unwrap_or_default();
    match ends.next() {
        Some(remote) => format!("{local}->{remote}"),
        None => local,
    }
}

/// Rows in the form of `lsof`: one entry per descriptor.
pub(crate) fn held(rows: &BTreeSet<Row>) -> BTreeSet<Held> {
    rows.iter()
        .flat_map(|r| {
            r.owners.iter().map(|(pid, fd)| Held {
                pid: *pid,
                fd: *fd,
                proto: r.proto.clone(),
                name: if r.remote == "*" { r.local.clone() } else { format!("{}->{}", r.local, r.remote) },
                state: match (r.proto.as_str(), r.state.as_str()) {
                    ("udp", _) => String::new(),
                    (_, s) => s.to_owned(),
                },
            })
        })
        .collect()
}
