//! The text form of scenes, one thing a line.
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
//! namespace shop
//! address 172.17.0.2 ns=shop
//! container ID name=shop image=shop:1
//! forward tcp :3000 172.17.0.2:3000 iface=!docker0 place="ip nat DOCKER handle 7"
//! tcp ESTABLISHED 172.17.0.2:3000 198.51.100.8:40000 own=2650:9 ns=shop via=10.0.0.4:3000
//! ```
//!
//! A number is `START`, `START+STEP` (a step a poll) or either with `~` behind it (it strays), with `K`, `M` or `G`.
//! Text in quotes knows `\n \t \r \e \\ \" \xNN \u{N}`, and `"text"*N` repeats it.

use super::{Actor, Course, Holder, Line, Scene};
use crate::model::{Container, ContainerEngine, Endpoint, Family, NatRule, Proto, State, text};

/// What is wrong with a scene's text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct SceneError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl Scene {
    /// Reads the text form of a scene.
    pub fn parse(text: &str) -> Result<Self, SceneError> {
        let mut scene = Self::new();
        for (i, line) in text.lines().enumerate() {
            scene.line(line).map_err(|message| SceneError { line: i + 1, message })?;
        }
        Ok(scene)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let words = words(line)?;
        let Some((first, rest)) = words.split_first() else { return Ok(()) };
        let arg = |i: usize| {
            rest.get(i)
                .map(|w: &Word| w.plain.as_str())
                .ok_or_else(|| format!("{}: a word is missing", first.plain))
        };
        match first.plain.as_str() {
            "host" => arg(0)?.clone_into(&mut self.host),
            "polls" => self.polls = number(arg(0)?)?,
            "interval" => self.interval_ms = number(arg(0)?)?,
            "user" => drop(self.users.insert(number(arg(0)?)?, arg(1)?.to_owned())),
            "interface" => drop(self.interfaces.insert(number(arg(0)?)?, arg(1)?.to_owned())),
            "system" => {
                for w in rest {
                    let value = Some(number::<u64>(w.value()?)?);
                    match w.plain.as_str() {
                        "files_open" => self.system.files_open = value,
                        "files_max" => self.system.files_max = value,
                        "nr_open" => self.system.nr_open = value,
                        "somaxconn" => self.system.somaxconn = value,
                        other => return Err(format!("system: no ceiling `{other}`")),
                    }
                }
            }
            "process" => {
                let mut p = Actor::new(number(arg(0)?)?, arg(1)?);
                for w in &rest[2..] {
                    self.actor_word(&mut p, w)?;
                }
                self.processes.push(p);
            }
            "namespace" => self.namespaces.push(arg(0)?.to_owned()),
            "address" => {
                let addr = arg(0)?.parse().map_err(|_| format!("`{}` is no address", rest[0].plain))?;
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
                    match w.plain.as_str() {
                        "name" => c.name = Some(w.value()?.into()),
                        "image" => c.image = Some(w.value()?.into()),
                        other => return Err(format!("container: nothing is called `{other}`")),
                    }
                }
                self.containers.push(c);
            }
            "forward" => {
                let proto =
                    Proto::parse(arg(0)?).ok_or_else(|| format!("no protocol `{}`", rest[0].plain))?;
                let port: u16 = number(arg(1)?.trim_start_matches(':'))?;
                let target = endpoint(arg(2)?)?;
                let mut rule = NatRule {
                    netns: 0,
                    family: Some(Family::Inet),
                    proto: Some(proto),
                    to: None,
                    ports: Some((port, port)),
                    iface: None,
                    target: Some(target.addr),
                    target_ports: Some((target.port, target.port)),
                    target_last: None,
                    shadowed_by: None,
                    partial: false,
                    conditions: Vec::new(),
                    location: String::new(),
                };
                for w in &rest[3..] {
                    match w.plain.as_str() {
                        "iface" => rule.iface = Some(w.value()?.to_owned()),
                        "place" => w.value()?.clone_into(&mut rule.location),
                        other => return Err(format!("forward: nothing is called `{other}`")),
                    }
                }
                self.rules.push(rule);
            }
            word => {
                let proto =
                    Proto::parse(word).ok_or_else(|| format!("`{word}` begins no line of a scene"))?;
                let state = State::parse(arg(0)?).ok_or_else(|| format!("no state `{}`", rest[0].plain))?;
                let local = endpoint(arg(1)?)?;
                let with_peer = rest.get(2).is_some_and(|w| w.value.is_none() && w.plain.contains(':'));
                let remote = if with_peer { endpoint(arg(2)?)? } else { Endpoint::default() };
                let mut s = Line::new(proto, state, local, remote);
                if arg(1)?.starts_with('[') {
                    s.family = Family::Inet6;
                }
                for w in &rest[if with_peer { 3 } else { 2 }..] {
                    self.socket_word(&mut s, w)?;
                }
                self.sockets.push(s);
            }
        }
        Ok(())
    }

    fn uid(&self, word: &str) -> Result<u32, String> {
        match self.users.iter().find(|(_, n)| *n == word) {
            Some((uid, _)) => Ok(*uid),
            None => number(word).map_err(|_| format!("no user `{word}`")),
        }
    }

    fn namespace(&self, word: &str) -> Result<u16, String> {
        let found = self.namespaces.iter().position(|n| n == word);
        found.and_then(|n| u16::try_from(n).ok()).ok_or_else(|| format!("no namespace `{word}`"))
    }

    fn actor_word(&self, p: &mut Actor, w: &Word) -> Result<(), String> {
        if w.plain == "hidden" {
            p.hidden = true;
            return Ok(());
        }
        let v = w.value()?;
        match w.plain.as_str() {
            "cmd" => v.clone_into(&mut p.cmdline),
            "user" => p.uid = self.uid(v)?,
            "ppid" => p.ppid = number(v)?,
            "age" => p.age_s = number(v)?,
            "cgroup" => p.cgroup = Some(v.to_owned()),
            "from" => p.from = number(v)?,
            "until" => p.until = number(v)?,
            "fds" if v == "refused" => p.fds = None,
            "fds" => {
                let mut parts = v.split('/');
                p.fds = Some(course(parts.next().unwrap_or_default())?);
                if let Some(soft) = parts.next() {
                    p.soft = number(soft)?;
                }
                if let Some(hard) = parts.next() {
                    p.hard = number(hard)?;
                }
            }
            other => return Err(format!("process: nothing is called `{other}`")),
        }
        Ok(())
    }

    fn socket_word(&self, s: &mut Line, w: &Word) -> Result<(), String> {
        if w.value.is_none() {
            match w.plain.as_str() {
                "detached" => s.detached = true,
                "v6only" => s.v6only = true,
                "out" => s.outgoing = true,
                other => return Err(format!("nothing is called `{other}`")),
            }
            return Ok(());
        }
        let v = w.value()?;
        match w.plain.as_str() {
            // Held by all of these, or, with bars between them, each copy by one.
            "own" => {
                s.spread = v.contains('|');
                s.detached = false;
                for part in v.split([',', '|']) {
                    let (pid, fd) = part.split_once(':').ok_or_else(|| format!("`{part}` is not PID:FD"))?;
                    s.holders.push(Holder { pid: number(pid)?, fd: number(fd)? });
                }
            }
            "q" => {
                let (r, t) = v.split_once('/').ok_or_else(|| format!("`{v}` is not RECV/SEND"))?;
                (s.recv_q, s.send_q) = (course(r)?, course(t)?);
            }
            "rx" => s.rx = course(v)?,
            "tx" => s.tx = course(v)?,
            "retrans" => s.retrans = course(v)?,
            "rtt" => s.rtt_us = course(v)?,
            "drops" => s.drops = course(v)?,
            "user" => s.uid = Some(self.uid(v)?),
            "iface" => {
                let named = self.interfaces.iter().find(|(_, n)| *n == v);
                s.iface = *named.ok_or_else(|| format!("no interface `{v}`"))?.0;
            }
            "keepalive" => s.timer = Some((2, number(v)?)),
            "rto" => s.timer = Some((1, number(v)?)),
            "from" => s.from = number(v)?,
            "life" => s.life = number(v)?,
            "then" => {
                for part in v.split(',') {
                    let (state, after) =
                        part.split_once('@').ok_or_else(|| format!("`{part}` is not STATE@POLLS"))?;
                    let state = State::parse(state).ok_or_else(|| format!("no state `{state}`"))?;
                    s.then.push((number(after)?, state));
                }
                s.then.sort_by_key(|(k, _)| *k);
            }
            "x" => s.copies = number(v)?,
            "hosts" => s.hosts = number(v)?,
            "ns" => s.netns = self.namespace(v)?,
            "via" => s.via = Some(endpoint(v)?),
            "every" => s.every = v.parse().map_err(|_| format!("`{v}` is no number"))?,
            other => return Err(format!("nothing is called `{other}`")),
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is no number that fits here"))
}

/// `START`, `START+STEP`, `START~`, with `K`, `M` and `G` (times 1,024).
fn course(word: &str) -> Result<Course, String> {
    let scaled = |w: &str| -> Result<f64, String> {
        let (digits, times) = match w.as_bytes().last() {
            Some(b'K') => (&w[..w.len() - 1], 1024.0),
            Some(b'M') => (&w[..w.len() - 1], 1_048_576.0),
            Some(b'G') => (&w[..w.len() - 1], 1_073_741_824.0),
            _ => (w, 1.0),
        };
        let n: f64 = number(digits)?;
        if n.is_finite() { Ok(n * times) } else { Err(format!("`{w}` is no number that fits here")) }
    };
    let (plain, stray) = word.strip_suffix('~').map_or((word, false), |w| (w, true));
    let (start, step) = match plain.split_once('+') {
        Some((a, b)) => (scaled(a)?, scaled(b)?),
        None => (scaled(plain)?, 0.0),
    };
    Ok(Course { start, step, stray })
}

/// `10.0.0.4:443`, `[::1]:443`, `*` for none.
fn endpoint(word: &str) -> Result<Endpoint, String> {
    if word == "*" {
        return Ok(Endpoint::default());
    }
    let wrong = || format!("`{word}` is not ADDRESS:PORT");
    let (addr, port) = word.rsplit_once(':').ok_or_else(wrong)?;
    let addr = addr.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(addr);
    let port = if port == "*" { 0 } else { port.parse().map_err(|_| wrong())? };
    Ok(Endpoint::new(addr.parse().map_err(|_| wrong())?, port))
}

/// `word`, or `word=value`.
#[derive(Debug)]
struct Word {
    plain: String,
    value: Option<String>,
}

impl Word {
    fn value(&self) -> Result<&str, String> {
        self.value.as_deref().ok_or_else(|| format!("`{}` needs a value", self.plain))
    }
}

/// Splits a line at blanks that are not in quotes; `#` begins a comment.
fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut out = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (plain, after) = token(rest, true)?;
        rest = after;
        let value = match rest.strip_prefix('=') {
            Some(r) => {
                let (v, after) = token(r, false)?;
                rest = after;
                Some(v)
            }
            None => None,
        };
        if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
            return Err(format!("a blank is missing before `{rest}`"));
        }
        rest = rest.trim_start();
        out.push(Word { plain, value });
    }
    Ok(out)
}

fn token(s: &str, key: bool) -> Result<(String, &str), String> {
    let Some(quoted) = s.strip_prefix('"') else {
        let end = s.find(|c: char| c.is_whitespace() || (key && c == '=')).unwrap_or(s.len());
        return Ok((s[..end].to_owned(), &s[end..]));
    };
    let mut bytes = Vec::new();
    let mut chars = quoted.char_indices();
    let end = loop {
        let Some((i, c)) = chars.next() else { return Err("a quote is not closed".to_owned()) };
        match c {
            '"' => break i + 1,
            '\\' => {
                let (_, e) = chars.next().ok_or("a quote is not closed")?;
                match e {
                    'n' => bytes.push(b'\n'),
                    't' => bytes.push(b'\t'),
                    'r' => bytes.push(b'\r'),
                    'e' => bytes.push(0x1b),
                    '\\' | '"' => bytes.push(e as u8),
                    'x' => {
                        let hex: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                        bytes.push(
                            u8::from_str_radix(&hex, 16).map_err(|_| format!("`\\x{hex}` is no byte"))?,
                        );
                    }
                    'u' => {
                        let hex: String = chars
                            .by_ref()
                            .map(|(_, c)| c)
                            .skip_while(|c| *c == '{')
                            .take_while(|c| *c != '}')
                            .collect();
                        let c = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                        let c = c.ok_or_else(|| format!("`\\u{{{hex}}}` is no character"))?;
                        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                    other => return Err(format!("`\\{other}` means nothing")),
                }
            }
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    };
    let mut out = text::from_bytes(&bytes).into_owned();
    let mut rest = &quoted[end..];
    if let Some(times) = rest.strip_prefix('*') {
        let end = times.find(|c: char| !c.is_ascii_digit()).unwrap_or(times.len());
        out = out.repeat(number::<usize>(&times[..end])?.min(65_536));
        rest = &times[end..];
    }
    Ok((out, rest))
}
