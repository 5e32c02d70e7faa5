//! `sockscope why`: why a connection does not work, by evidence.

mod answer;
mod json;
mod proxied;
mod read;
mod trace;

use super::exit_status::{ExitStatus, RunError};
use super::print::print;
use super::watch::is_closed_within;
use crate::cli::why::{Target, WhyPlan};
use crate::cli::{Plan, UsageError};
use crate::diagnose::why::{Answer, Connection, Question, Verdict, text};
use crate::format::clock;
use crate::model::{Addr, Endpoint, Netns, Snapshot};
use answer::answer;
pub(super) use answer::answer_now;
use nix::unistd::User;
use std::io::IsTerminal;
use std::sync::Arc;

/// Most processes of a name.
const MAX_PROCESSES: usize = 1000;
/// Width of the text on a terminal that does not report its own.
const WIDTH: usize = 80;

/// Answers the question.
pub(super) fn run(plan: &Plan, why: &WhyPlan) -> Result<ExitStatus, RunError> {
    if !plan.is_live() {
        return Err(UsageError(
            "why: explains this machine as it is now, not a recording or demo data".into(),
        )
        .into());
    }
    let uid = why.user.as_deref().map(user).transpose()?;
    let mut last: Option<Vec<Key>> = None;
    loop {
        let (snap, answers) = ask(plan, why, uid)?;
        let key: Vec<Key> = answers.iter().map(key).collect();
        let is_first = last.is_none();
        if last.as_ref() != Some(&key) {
            print_answers(why, &snap, &answers)?;
        }
        if is_changed(last.as_ref(), &key) || why.watch.is_none() {
            let codes = answers.iter().map(|a| exit_code(a.verdict));
            let code = codes.max_by_key(|code| [0, 2, 3, 1][usize::from(*code)]);
            return Ok(ExitStatus::Check(code.unwrap_or(3)));
        }
        if is_first {
            last = Some(key);
        }
        if is_closed_within(why.watch.unwrap_or_default()) {
            return Ok(ExitStatus::Success);
        }
    }
}

/// Part of an answer that counts as a change: figures of the evidence do not.
type Key = (String, Verdict, Option<&'static str>);

fn key(a: &Answer) -> Key {
    (a.subject.clone(), a.verdict, a.cause().map(|c| c.name))
}

/// True if there was an answer, and it was another one.
fn is_changed(last: Option<&Vec<Key>>, key: &[Key]) -> bool {
    last.is_some_and(|last| last != key)
}

/// Reads and answers once: the failing ones first.
fn ask(plan: &Plan, why: &WhyPlan, uid: Option<u32>) -> Result<(Arc<Snapshot>, Vec<Answer>), RunError> {
    let snap = read::read(plan, matches!(why.target, Target::Pid(_) | Target::Name(_)))?;
    let mut answers = Vec::new();
    for q in questions(plan, why, uid, &snap)? {
        let answer = answer(plan, &snap, &q)?;
        answers.push(match (&q, why.probe) {
            (Question::Connection(c), Some(timeout)) => {
                answer.with_probe(c.proto, &answer::probe(&snap, c, timeout))
            }
            _ => answer,
        });
    }
    answers.sort_by_key(|a| match a.verdict {
        Verdict::Cause => 0,
        Verdict::Unknown => 1,
        Verdict::Reachable => 2,
    });
    Ok((snap, answers))
}

fn print_answers(why: &WhyPlan, snap: &Snapshot, answers: &[Answer]) -> Result<(), RunError> {
    if why.json {
        print(&json::json(snap, answers))?;
        return Ok(());
    }
    let width = std::io::stdout().is_terminal().then(terminal_width);
    let time = why.watch.map(|_| format!("{}  ", clock(snap.sample.at.unix_ns)));
    print(&(time.unwrap_or_default() + &text(answers, width)))?;
    Ok(())
}

fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map_or(WIDTH, |s| usize::from(s.ws_col)).max(40)
}

/// Exit status of a verdict.
const fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Reachable => 0,
        Verdict::Cause => 1,
        Verdict::Unknown => 3,
    }
}

/// Uid of a user by name or number.
fn user(text: &str) -> Result<u32, UsageError> {
    if let Ok(uid) = text.parse() {
        return Ok(uid);
    }
    let found = User::from_name(text).ok().flatten();
    found.map(|u| u.uid.as_raw()).ok_or_else(|| UsageError(format!("--as: unknown user {text:?}")))
}

/// The error of a process whose namespace is not read.
fn not_read(pid: u32) -> UsageError {
    UsageError(format!("process {pid} is in a network namespace that is not read; see --netns"))
}

/// The namespace of the question: that of the process, the one that is named, or that of this process.
fn start(plan: &Plan, why: &WhyPlan, snap: &Snapshot) -> Result<u64, UsageError> {
    let number = match (why.pid, &plan.settings.netns) {
        (Some(pid), _) => snap.sample.netns_of(pid).ok_or_else(|| not_read(pid))?,
        (None, Netns::All | Netns::Here) => 0,
        (None, named @ Netns::Named(name)) => {
            let all = (0u16..).zip(snap.sample.namespaces.iter());
            let found = all.filter(|(i, n)| named.includes(n, *i == 0)).map(|(i, _)| i).next();
            found.ok_or_else(|| UsageError(format!("--netns: no network namespace {name:?}")))?
        }
    };
    Ok(if number == 0 { 0 } else { snap.netns_inode(number) })
}

/// The questions of the command line: of a name one for each process.
fn questions(
    plan: &Plan,
    why: &WhyPlan,
    uid: Option<u32>,
    snap: &Snapshot,
) -> Result<Vec<Question>, RunError> {
    let netns = start(plan, why, snap)?;
    let dest = match &why.target {
        Target::Endpoint(dest) => *dest,
        Target::Host(name, port) => Endpoint::new(from_hosts(name)?, *port),
        Target::Port(port) => {
            return Ok(vec![Question::Port { proto: why.proto, port: *port, source: why.source, netns }]);
        }
        Target::Pid(pid) => return Ok(vec![Question::Process(*pid)]),
        Target::Name(name) => return by_name(snap, name),
    };
    Ok(vec![Question::Connection(Connection {
        proto: why.proto,
        dest,
        source: why.source,
        local: None,
        mark: why.mark,
        uid,
        pid: why.pid,
        netns,
    })])
}

/// Questions about the processes of a name.
fn by_name(snap: &Snapshot, name: &str) -> Result<Vec<Question>, RunError> {
    let named = snap.sample.processes.iter().filter(|p| p.info.name() == name || *p.info.comm == *name);
    let all: Vec<Question> = named.take(MAX_PROCESSES).map(|p| Question::Process(p.info.pid)).collect();
    if all.is_empty() {
        return Err(UsageError(format!("why: no process {name:?} is visible")).into());
    }
    Ok(all)
}

/// Address of a name in the hosts file (hosts(5)): a resolver would send a packet.
fn from_hosts(name: &str) -> Result<Addr, UsageError> {
    let text = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let lines = text.lines().map(|l| l.split('#').next().unwrap_or(""));
    let mut found = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let addr: std::net::IpAddr = words.next()?.parse().ok()?;
        words.any(|w| w.eq_ignore_ascii_case(name)).then(|| Addr::from(addr))
    });
    found.next().ok_or_else(|| {
        UsageError(format!(
            "why: {name:?} is not in /etc/hosts, and asking a resolver sends packets: name the address"
        ))
    })
}
