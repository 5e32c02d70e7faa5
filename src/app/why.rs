//! `sockscope why`: why a connection does not work, by evidence.

mod answer;
mod json;
mod trace;

use super::exit_status::{ExitStatus, RunError};
use super::print::print;
use crate::cli::why::{Target, WhyPlan};
use crate::cli::{Plan, UsageError};
use crate::diagnose::why::{Answer, Connection, Question, Verdict, text};
use crate::model::{Addr, Endpoint, Netns, Snapshot};
use answer::answer;
pub(super) use answer::answer_now;
use nix::unistd::User;
use std::io::IsTerminal;

/// Most processes of a name.
const MAX_PROCESSES: usize = 16;
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
    let snap = answer::read(plan, matches!(why.target, Target::Pid(_) | Target::Name(_)))?;
    let questions = questions(plan, why, uid, &snap)?;
    let answers = questions.iter().map(|q| answer(plan, &snap, q));
    let answers = answers.collect::<Result<Vec<Answer>, RunError>>()?;
    let code =
        answers.iter().map(|a| exit_code(a.verdict)).max_by_key(|code| [0, 2, 3, 1][usize::from(*code)]);
    if why.json {
        print(&json::json(&snap, &answers))?;
    } else {
        let width = std::io::stdout().is_terminal().then(terminal_width);
        print(&text(&answers, width))?;
    }
    Ok(ExitStatus::Check(code.unwrap_or(3)))
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

/// The namespace of the question: that of the process, the one that is named, or that of this process.
fn start(plan: &Plan, why: &WhyPlan, snap: &Snapshot) -> Result<u64, UsageError> {
    let number = match (why.pid, &plan.settings.netns) {
        (Some(pid), _) => snap.sample.netns_of(pid),
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
