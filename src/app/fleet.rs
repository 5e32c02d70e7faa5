//! Several hosts in one command: a connection, an engine and a snapshot for each.
//!
//! Snapshots are not merged into one. Cookies, inodes, process ids, user ids, namespace numbers and the time since boot are those
//! of one kernel, and rows refer to each other by them; a table of several hosts is rows of several snapshots, merged when they
//! are shown. The column `hostname` has the name under which the host was given, which is unique where the host's own name need
//! not be.

use super::exit_status::RunError;
use super::open_source::methods;
use super::print::print_error;
use super::{copy_agent, environment};
use crate::cli::{Plan, UsageError};
use crate::collect::remote::{Remote, RemoteEnd, SshCommand, check_host, share_of_memory};
use crate::derive::Engine;
use crate::derive::host_peers::{self, JoinedHost};
use crate::model::{AlertRules, Hosts, Sample, Services, Snapshot, Wants};
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time in which a host answers its first request, if `ssh` may not ask for a password.
pub(super) const CONNECT: Duration = Duration::from_secs(30);
/// Time in which it does if `ssh` may ask.
const CONNECT_ASKING: Duration = Duration::from_secs(120);
/// Time in which it does if a program may be copied to it first.
const CONNECT_COPYING: Duration = Duration::from_secs(300);
/// Time in which a connected host answers.
const ANSWER: Duration = Duration::from_secs(10);
/// Shortest and longest time until a host that ended is connected again.
pub(super) const BACKOFF: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// Command on the host, if none is configured.
const AGENT: [&str; 3] = ["sockscope", "agent", "--stdio"];

/// One host.
struct Member {
    name: Arc<str>,
    remote: Option<Remote>,
    engine: Engine,
    /// It has answered since it was connected.
    answered: bool,
    /// It was waited for in vain, or is connected again: later polls take its sample when it is there and do not wait.
    late: bool,
    /// Reason why it has no rows, as it was printed.
    reason: Option<String>,
    /// Time of the next connection, and the time to wait after it.
    again: (Instant, Duration),
}

/// The hosts of a command.
pub(super) struct Fleet {
    members: Vec<Member>,
    ssh: SshCommand,
    wants: Wants,
    services: Arc<Services>,
    hosts: Arc<Hosts>,
}

/// Names of the hosts of a plan, and the command that connects to them.
pub(super) struct Connection {
    /// Names, in order.
    pub(super) names: Vec<Arc<str>>,
    /// Command.
    pub(super) ssh: SshCommand,
}

impl Connection {
    /// Resolves the hosts of the plan.
    pub(super) fn new(plan: &Plan) -> Result<Self, RunError> {
        let names = plan.hosts.resolve(environment::ssh_dir().as_deref())?;
        for name in &names {
            check_host(name).map_err(|e| UsageError(format!("--host: {e}")))?;
        }
        let words = |set: &[String], default: &[&str]| -> Vec<String> {
            if set.is_empty() { default.iter().map(|w| (*w).to_owned()).collect() } else { set.to_vec() }
        };
        let ssh = SshCommand {
            program: words(&plan.settings.ssh.0, &["ssh"]),
            // Several could ask for a password at the same time.
            batch: names.len() > 1 || !io::stderr().is_terminal(),
            agent: words(&plan.settings.agent.0, &AGENT),
            methods: methods(plan),
            memory: share_of_memory(names.len()),
            copy: copy_agent::program(plan)?,
        };
        Ok(Self { names: names.iter().map(|name| name.as_str().into()).collect(), ssh })
    }

    /// Forbids questions of `ssh`: the terminal is that of the dashboard.
    pub(super) fn without_questions(mut self) -> Self {
        self.ssh.batch = true;
        self
    }
}

/// Time in which a host answers its first request.
pub(super) const fn connect_limit(ssh: &SshCommand) -> Duration {
    match (&ssh.copy, ssh.batch) {
        (Some(_), _) => CONNECT_COPYING,
        (None, true) => CONNECT,
        (None, false) => CONNECT_ASKING,
    }
}

impl Fleet {
    /// Connects to the hosts of the plan.
    pub(super) fn open(plan: &Plan, wants: Wants) -> Result<Self, RunError> {
        let Connection { names, ssh } = Connection::new(plan)?;
        let now = Instant::now();
        let member = |name: &Arc<str>| Member {
            name: Arc::clone(name),
            remote: None,
            engine: Engine::new()
                .with_alert_rules(plan.settings.alerts.rules())
                .with_events_kept(plan.settings.events_kept.0),
            answered: false,
            late: false,
            reason: None,
            again: (now, BACKOFF[0]),
        };
        let members = names.iter().map(member).collect();
        let services = Arc::clone(&plan.services);
        Ok(Self { members, ssh, wants, services, hosts: Arc::default() })
    }

    /// Names of the hosts, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.members.iter().map(|m| &m.name)
    }

    /// Uses other alert rules than the settings.
    pub(super) fn with_rules(mut self, rules: &AlertRules) -> Self {
        for m in &mut self.members {
            m.engine = std::mem::take(&mut m.engine).with_alert_rules(rules.clone());
        }
        self
    }

    /// Sets the number of events of earlier polls that are kept.
    pub(super) fn keep_events(&mut self, rows: usize) {
        for m in &mut self.members {
            m.engine = std::mem::take(&mut m.engine).with_events_kept(rows);
        }
    }

    /// Changes what the next polls read.
    pub(super) fn set_wants(&mut self, wants: Wants) {
        self.wants = wants;
    }

    /// Hosts without rows in the last poll, with the reason.
    pub(super) fn missing(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members.iter().filter_map(|m| Some((&*m.name, m.reason.as_deref()?)))
    }

    /// Data that the agent of a host cannot read, in one line; `None` if there is none.
    pub(super) fn unreadable(&self, host: &str) -> Option<String> {
        let member = self.members.iter().find(|m| &*m.name == host)?;
        member.remote.as_ref()?.hello()?.unreadable()
    }

    /// Polls all hosts at once: the number of each that answered, with its sample. A host that does not answer, or that ended, is
    /// reported once.
    pub(super) fn samples(&mut self) -> Vec<(usize, Sample)> {
        let now = Instant::now();
        for m in &mut self.members {
            m.ask(&self.ssh, &self.wants, now);
        }
        let connect = connect_limit(&self.ssh);
        let mut out = Vec::new();
        for (i, m) in self.members.iter_mut().enumerate() {
            let limit = match (m.late, m.answered) {
                (true, _) => Duration::ZERO,
                (false, true) => ANSWER,
                (false, false) => connect,
            };
            if let Some(sample) = m.answer(now, limit) {
                out.push((i, sample));
            }
        }
        out
    }

    /// Polls all hosts at once: the number of each that answered, with its snapshot.
    pub(super) fn poll(&mut self) -> Vec<(usize, Arc<Snapshot>)> {
        let samples = self.samples();
        let (services, hosts) = (Arc::clone(&self.services), Arc::clone(&self.hosts));
        let step = |(i, mut sample): (usize, Sample)| {
            sample.services = Arc::clone(&services);
            sample.hosts = Arc::clone(&hosts);
            Some((i, self.members.get_mut(i)?.engine.step(sample)))
        };
        let polled: Vec<(usize, Arc<Snapshot>)> = samples.into_iter().filter_map(step).collect();
        if polled.len() > 1 && host_peers::is_wanted(&self.wants) {
            let joined = polled.iter().map(|(_, snap)| JoinedHost { snap: Arc::clone(snap), late_s: 0 });
            host_peers::join(&joined.collect::<Vec<_>>());
        }
        polled
    }
}

/// Snapshots of the hosts of the plan, after a second poll if their rates are needed; true if a host has none.
pub(super) fn snapshots(
    plan: &Plan,
    wants: Wants,
    over_time: bool,
) -> Result<(Vec<Arc<Snapshot>>, bool), RunError> {
    let mut fleet = Fleet::open(plan, wants)?;
    let mut polled = fleet.poll();
    if over_time {
        std::thread::sleep(plan.interval());
        polled = fleet.poll();
    }
    Ok((polled.into_iter().map(|(_, snap)| snap).collect(), fleet.missing().next().is_some()))
}

impl Member {
    /// Asks for a sample; connects first, if it is time to.
    fn ask(&mut self, ssh: &SshCommand, wants: &Wants, now: Instant) {
        if self.remote.is_none() && now >= self.again.0 {
            match Remote::start(ssh, &self.name) {
                Ok(remote) => self.remote = Some(remote),
                Err(e) => self.report(format!("start a thread: {e}")),
            }
            self.answered = false;
        }
        if let Some(remote) = &mut self.remote {
            remote.ask(wants);
        }
    }

    /// The sample that was asked for at a time, within this time after it.
    fn answer(&mut self, asked: Instant, limit: Duration) -> Option<Sample> {
        match self.remote.as_mut()?.answer(asked + limit) {
            Some(Ok(mut sample)) => {
                self.answered = true;
                self.late = false;
                self.again.1 = BACKOFF[0];
                self.reason = None;
                sample.host = Arc::clone(&self.name);
                Some(sample)
            }
            Some(Err(RemoteEnd { why, .. })) => {
                self.late = true;
                self.remote = None;
                let wait = self.again.1;
                self.again = (Instant::now() + wait, (wait * 2).min(BACKOFF[1]));
                self.report(why);
                None
            }
            None if self.late => None,
            None => {
                self.late = true;
                self.report(format!("no answer within {} s", limit.as_secs()));
                None
            }
        }
    }

    /// Prints the reason why there are no rows, unless it is the one of the last poll.
    fn report(&mut self, why: String) {
        if self.reason.as_ref() != Some(&why) {
            print_error(&format!("{}: {why}", self.name));
        }
        self.reason = Some(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::remote::Methods;

    fn member() -> Member {
        Member {
            name: "web-1".into(),
            remote: None,
            engine: Engine::new(),
            answered: false,
            late: false,
            reason: None,
            again: (Instant::now(), BACKOFF[0]),
        }
    }

    fn ssh(script: &str) -> SshCommand {
        let program = ["sh", "-c", script].map(str::to_owned).to_vec();
        SshCommand {
            program,
            batch: true,
            agent: Vec::new(),
            methods: Methods::default(),
            memory: 1 << 30,
            copy: None,
        }
    }

    #[test]
    fn host_that_does_not_answer_is_waited_for_once() {
        let mut m = member();
        let now = Instant::now();
        m.ask(&ssh("exec sleep 1000"), &Wants::default(), now);
        assert!(m.answer(now, Duration::ZERO).is_none() && m.late);
        assert_eq!(m.reason.as_deref(), Some("no answer within 0 s"));
        m.reason = Some("as before".into());
        m.ask(&ssh("exec sleep 1000"), &Wants::default(), Instant::now());
        assert!(m.answer(now, Duration::ZERO).is_none() && m.remote.is_some());
        assert_eq!(m.reason.as_deref(), Some("as before"), "it is reported once");
    }

    #[test]
    fn host_that_ended_is_connected_again_later_and_later() {
        let mut m = member();
        let mut waits = Vec::new();
        for _ in 0..8 {
            let due = m.again.0;
            m.ask(&ssh("exit 127"), &Wants::default(), due);
            assert!(m.answer(Instant::now(), Duration::from_secs(60)).is_none());
            assert!(m.remote.is_none() && m.late);
            m.ask(&ssh("exit 127"), &Wants::default(), due);
            assert!(m.remote.is_none(), "not before it is due");
            waits.push(m.again.1.as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(m.reason.is_some_and(|r| r.starts_with("no sockscope there")));
    }
}
