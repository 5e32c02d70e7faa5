//! Text format of scenarios: one item per line.
//!
//! ```text
//! host web-1
//! polls 30
//! user 33 www-data
//! process 812 nginx user=www-data fds=40/1024/524288 cmd="nginx: worker process"
//! tcp LISTEN 0.0.0.0:443 q=3/511 own=812:6
//! tcp ESTABLISHED 10.0.0.4:443 203.0.113.5:40000 own=812:12 rx=12K~ tx=100K~ x=40 hosts=12
//! tcp ESTABLISHED 10.0.0.4:40000 10.0.0.9:5432 own=812:60 out x=8
//! tcp CLOSE_WAIT 10.0.0.4:443 203.0.113.9:50000 own=812:90 from=3 then=LAST_ACK@9 life=10
//! event tcp 10.0.0.4:46000 10.0.0.77:9200 pid=991 n=2 took=3000000 end=timeout
//! event tcp 10.0.0.4:443 203.0.113.5:2000 pid=812 n=4 in hosts=20 took=30000 rx=800 tx=9K end=peer
//! dns db.internal 10.0.0.2:53 pid=812 type=A n=2 took=1200~ addr=10.0.0.77 result=NOERROR
//! namespace shop
//! address 172.17.0.2 ns=shop
//! container ID name=shop image=shop:1
//! forward tcp :3000 172.17.0.2:3000 iface=!docker0 place="ip nat DOCKER handle 7"
//! tcp ESTABLISHED 172.17.0.2:3000 198.51.100.8:40000 own=2650:9 ns=shop via=10.0.0.4:3000
//! ```
//!
//! A number is `START` or `START+STEP` (step per poll), with an optional `~` for jitter; `K`, `M` and `G` multiply by powers of
//! 1,024. Quoted text has the escapes `\n \t \r \e \\ \" \xNN \u{N}`, and `"text"*N` repeats it.

use super::dns_spec::DnsSpec;
use super::event_spec::EventSpec;
use super::series::Series;
use super::spec::{OwnerSpec, ProcessSpec, Scenario, SocketSpec};
use super::words::{Word, number, words};
use crate::model::sample::{ClosedBy, DnsOutcome, dns_type};
use crate::model::{Container, ContainerEngine, Endpoint, Family, Halted, Proto, State, nft};

/// Error in the text of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScenarioError {
    /// Line number, from 1.
    pub line: usize,
    /// The error.
    pub message: String,
}

impl Scenario {
    /// Parses the text format.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let mut scenario = Self::new();
        for (i, line) in text.lines().enumerate() {
            scenario.parse_line(line).map_err(|message| ScenarioError { line: i + 1, message })?;
        }
        Ok(scenario)
    }

    fn parse_line(&mut self, line: &str) -> Result<(), String> {
        let words = words(line)?;
        let Some((first, rest)) = words.split_first() else { return Ok(()) };
        let arg = |i: usize| {
            rest.get(i)
                .map(|w: &Word| w.key.as_str())
                .ok_or_else(|| format!("{}: missing argument", first.key))
        };
        match first.key.as_str() {
            "host" => arg(0)?.clone_into(&mut self.host),
            "polls" => self.polls = number(arg(0)?)?,
            "interval" => self.interval_ms = number(arg(0)?)?,
            "user" => drop(self.users.insert(number(arg(0)?)?, arg(1)?.to_owned())),
            "interface" => drop(self.interfaces.insert(number(arg(0)?)?, arg(1)?.to_owned())),
            "system" => {
                for w in rest {
                    let value = Some(number::<u64>(w.value()?)?);
                    match w.key.as_str() {
                        "files_open" => self.system.files_open = value,
                        "files_max" => self.system.files_max = value,
                        "nr_open" => self.system.nr_open = value,
                        "somaxconn" => self.system.somaxconn = value,
                        other => return Err(format!("system: unknown limit `{other}`")),
                    }
                }
            }
            "process" => {
                let mut p = ProcessSpec::new(number(arg(0)?)?, arg(1)?);
                for w in &rest[2..] {
                    self.parse_process_word(&mut p, w)?;
                }
                self.processes.push(p);
            }
            "namespace" => self.namespaces.push(arg(0)?.to_owned()),
            "address" => {
                let addr = arg(0)?.parse().map_err(|_| format!("invalid address `{}`", rest[0].key))?;
                let netns = match rest.get(1) {
                    Some(w) => self.namespace(w.value()?)?,
                    None => 0,
                };
                self.addresses.push((netns, addr));
            }
            "container" => {
                let mut c = Container {
                    engine: ContainerEngine::Docker,
                    id: arg(0)?.into(),
                    name: None,
                    image: None,
                    pod: None,
                    addrs: Vec::new(),
                    ports: Vec::new(),
                };
                for w in &rest[1..] {
                    match w.key.as_str() {
                        "name" => c.name = Some(w.value()?.into()),
                        "image" => c.image = Some(w.value()?.into()),
                        other => return Err(format!("container: unknown key `{other}`")),
                    }
                }
                self.containers.push(c);
            }
            "forward" => {
                let proto =
                    Proto::parse(arg(0)?).ok_or_else(|| format!("unknown protocol `{}`", rest[0].key))?;
                let port: u16 = number(arg(1)?.trim_start_matches(':'))?;
                let target = endpoint(arg(2)?)?;
                let location = format!("ip nat PREROUTING handle {port}");
                let mut rule = nft::builder::DnatRule { location, iface: None, proto, port, target };
                for w in &rest[3..] {
                    match w.key.as_str() {
                        "iface" => rule.iface = Some(w.value()?.to_owned()),
                        "place" => w.value()?.clone_into(&mut rule.location),
                        other => return Err(format!("forward: unknown key `{other}`")),
                    }
                }
                self.ruleset.add_dnat(&rule).ok_or_else(|| {
                    format!("forward: invalid place or protocol: {proto:?} `{}`", rule.location)
                })?;
            }
            "event" => {
                let proto =
                    Proto::parse(arg(0)?).ok_or_else(|| format!("unknown protocol `{}`", rest[0].key))?;
                let mut e = EventSpec::new(proto, endpoint(arg(1)?)?, endpoint(arg(2)?)?);
                for w in &rest[3..] {
                    parse_event_word(&mut e, w)?;
                }
                self.events.push(e);
            }
            "dns" => {
                let mut d = DnsSpec::new(arg(0)?, endpoint(arg(1)?)?);
                for w in &rest[2..] {
                    parse_dns_word(&mut d, w)?;
                }
                self.dns.push(d);
            }
            word => {
                let proto = Proto::parse(word).ok_or_else(|| format!("unknown keyword `{word}`"))?;
                let state =
                    State::parse(arg(0)?).ok_or_else(|| format!("unknown state `{}`", rest[0].key))?;
                let local = endpoint(arg(1)?)?;
                let with_peer = rest.get(2).is_some_and(|w| w.value.is_none() && w.key.contains(':'));
                let remote = if with_peer { endpoint(arg(2)?)? } else { Endpoint::default() };
                let mut s = SocketSpec::new(proto, state, local, remote);
                if arg(1)?.starts_with('[') {
                    s.family = Family::Inet6;
                }
                for w in &rest[if with_peer { 3 } else { 2 }..] {
                    self.parse_socket_word(&mut s, w)?;
                }
                self.sockets.push(s);
            }
        }
        Ok(())
    }

    fn uid(&self, word: &str) -> Result<u32, String> {
        match self.users.iter().find(|(_, n)| *n == word) {
            Some((uid, _)) => Ok(*uid),
            None => number(word).map_err(|_| format!("unknown user `{word}`")),
        }
    }

    fn namespace(&self, word: &str) -> Result<u16, String> {
        let found = self.namespaces.iter().position(|n| n == word);
        found.and_then(|n| u16::try_from(n).ok()).ok_or_else(|| format!("unknown namespace `{word}`"))
    }

    fn parse_process_word(&self, p: &mut ProcessSpec, w: &Word) -> Result<(), String> {
        if w.key == "hidden" {
            p.hidden = true;
            return Ok(());
        }
        let v = w.value()?;
        match w.key.as_str() {
            "cmd" => v.clone_into(&mut p.cmdline),
            "user" => p.uid = self.uid(v)?,
            "ppid" => p.ppid = number(v)?,
            "age" => p.age_s = number(v)?,
            "cgroup" => p.cgroup = Some(v.to_owned()),
            "halted" => {
                let found = Halted::ALL.iter().find(|(_, name)| *name == v);
                p.halted = Some(found.ok_or_else(|| format!("process: unknown state `{v}`"))?.0);
            }
            "from" => p.from = number(v)?,
            "until" => p.until = number(v)?,
            "fds" if v == "refused" => p.fds = None,
            "fds" => {
                let mut parts = v.split('/');
                p.fds = Some(series(parts.next().unwrap_or_default())?);
                if let Some(soft) = parts.next() {
                    p.soft = number(soft)?;
                }
                if let Some(hard) = parts.next() {
                    p.hard = number(hard)?;
                }
            }
            other => return Err(format!("process: unknown key `{other}`")),
        }
        Ok(())
    }

    fn parse_socket_word(&self, s: &mut SocketSpec, w: &Word) -> Result<(), String> {
        if w.value.is_none() {
            match w.key.as_str() {
                "detached" => s.detached = true,
                "v6only" => s.v6only = true,
                "out" => s.outgoing = true,
                other => return Err(format!("unknown key `{other}`")),
            }
            return Ok(());
        }
        let v = w.value()?;
        match w.key.as_str() {
            // Separated by commas: all own it; by bars: each copy has one of them.
            "own" => {
                s.one_owner_each = v.contains('|');
                s.detached = false;
                for part in v.split([',', '|']) {
                    let (pid, fd) = part
                        .split_once(':')
                        .ok_or_else(|| format!("invalid owner `{part}`: expected PID:FD"))?;
                    s.owners.push(OwnerSpec { pid: number(pid)?, fd: number(fd)? });
                }
            }
            "q" => {
                let (r, t) =
                    v.split_once('/').ok_or_else(|| format!("invalid queues `{v}`: expected RECV/SEND"))?;
                (s.recv_q, s.send_q) = (series(r)?, series(t)?);
            }
            "rx" => s.rx = series(v)?,
            "tx" => s.tx = series(v)?,
            "retrans" => s.retrans = series(v)?,
            "rtt" => s.rtt_us = series(v)?,
            "drops" => s.drops = series(v)?,
            "user" => s.uid = Some(self.uid(v)?),
            "iface" => {
                let named = self.interfaces.iter().find(|(_, n)| *n == v);
                s.iface = *named.ok_or_else(|| format!("unknown interface `{v}`"))?.0;
            }
            "keepalive" => s.timer = Some((2, number(v)?)),
            "rto" => s.timer = Some((1, number(v)?)),
            "from" => s.from = number(v)?,
            "life" => s.lifetime = number(v)?,
            "then" => {
                for part in v.split(',') {
                    let (state, after) = part
                        .split_once('@')
                        .ok_or_else(|| format!("invalid state change `{part}`: expected STATE@POLLS"))?;
                    let state = State::parse(state).ok_or_else(|| format!("unknown state `{state}`"))?;
                    s.then.push((number(after)?, state));
                }
                s.then.sort_by_key(|(k, _)| *k);
            }
            "x" => s.copies = number(v)?,
            "hosts" => s.hosts = number(v)?,
            "ns" => s.netns = self.namespace(v)?,
            "via" => s.via = Some(endpoint(v)?),
            "every" => s.open_interval = v.parse().map_err(|_| format!("invalid number `{v}`"))?,
            other => return Err(format!("unknown key `{other}`")),
        }
        Ok(())
    }
}

fn parse_event_word(e: &mut EventSpec, w: &Word) -> Result<(), String> {
    if w.key == "in" && w.value.is_none() {
        e.inbound = true;
        return Ok(());
    }
    if w.key == "abort" && w.value.is_none() {
        e.aborts = true;
        return Ok(());
    }
    let v = w.value()?;
    let bytes = |v: &str| Ok::<u64, String>(series(v)?.start.max(0.0) as u64);
    match w.key.as_str() {
        "pid" => e.pid = number(v)?,
        "n" => e.number = series(v)?,
        "hosts" => e.hosts = number(v)?,
        "took" => e.took_us = number(v)?,
        "rx" => e.bytes.0 = bytes(v)?,
        "tx" => e.bytes.1 = bytes(v)?,
        "rtt" => e.rtt_us = number(v)?,
        "end" => {
            let found = ClosedBy::ALL.iter().find(|(_, name)| *name == v);
            e.end = found.ok_or_else(|| format!("event: unknown end `{v}`"))?.0;
        }
        other => return Err(format!("event: unknown key `{other}`")),
    }
    Ok(())
}

fn parse_dns_word(d: &mut DnsSpec, w: &Word) -> Result<(), String> {
    let v = w.value()?;
    match w.key.as_str() {
        "pid" => d.pid = number(v)?,
        "n" => d.number = series(v)?,
        "took" => d.took_us = series(v)?,
        "tries" => d.tries = number(v)?,
        "type" => d.qtype = dns_type(v).ok_or_else(|| format!("dns: unknown type `{v}`"))?,
        "result" => d.outcome = DnsOutcome::parse(v).ok_or_else(|| format!("dns: unknown result `{v}`"))?,
        "addr" => d.addrs.push(v.parse().map_err(|e| format!("dns: address `{v}`: {e}"))?),
        other => return Err(format!("dns: unknown key `{other}`")),
    }
    Ok(())
}

/// `START`, `START+STEP`, `START~`, with `K`, `M` and `G` (times 1,024).
fn series(word: &str) -> Result<Series, String> {
    let scaled = |w: &str| -> Result<f64, String> {
        let (digits, times) = match w.as_bytes().last() {
            Some(b'K') => (&w[..w.len() - 1], 1024.0),
            Some(b'M') => (&w[..w.len() - 1], 1_048_576.0),
            Some(b'G') => (&w[..w.len() - 1], 1_073_741_824.0),
            _ => (w, 1.0),
        };
        let n: f64 = number(digits)?;
        if n.is_finite() { Ok(n * times) } else { Err(format!("invalid number `{w}`")) }
    };
    let (value, jitter) = word.strip_suffix('~').map_or((word, false), |w| (w, true));
    let (start, step) = match value.split_once('+') {
        Some((a, b)) => (scaled(a)?, scaled(b)?),
        None => (scaled(value)?, 0.0),
    };
    Ok(Series { start, step, jitter })
}

/// `10.0.0.4:443`, `[::1]:443`, `*` for none.
fn endpoint(word: &str) -> Result<Endpoint, String> {
    if word == "*" {
        return Ok(Endpoint::default());
    }
    let invalid = || format!("invalid endpoint `{word}`: expected ADDRESS:PORT");
    let (addr, port) = word.rsplit_once(':').ok_or_else(invalid)?;
    let addr = addr.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(addr);
    let port = if port == "*" { 0 } else { port.parse().map_err(|_| invalid())? };
    Ok(Endpoint::new(addr.parse().map_err(|_| invalid())?, port))
}
