//! Many real connections, held by processes of their own.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, listen, socket_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// Descriptors that one process holds at the most, unless told otherwise.
pub(crate) const FDS: usize = 20_000;

/// Of them, those that a process needs for itself.
const SPARE: usize = 64;

/// Connections of one process to one listener: fewer than there are local ports.
const EACH: usize = 20_000;

/// Set in the processes that hold them: what each makes.
const CHILD: &str = "SOCKFARM_CHILD";

/// What a socket of the farm is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Two sockets a connection, both held.
    Established,
    /// A listener that nobody connects to.
    Listen,
    /// The far end was shut down; it is held too, in `FIN_WAIT2`.
    CloseWait,
    /// The same, seen from the other end.
    FinWait2,
    /// Closed at both ends: held by nobody, and gone after a minute.
    TimeWait,
    /// Connecting to a listener that does not answer.
    SynSent,
}

impl State {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Established, Self::Listen, Self::CloseWait, Self::FinWait2, Self::TimeWait, Self::SynSent];

    /// The word for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::Listen => "listen",
            Self::CloseWait => "close-wait",
            Self::FinWait2 => "fin-wait2",
            Self::TimeWait => "time-wait",
            Self::SynSent => "syn-sent",
        }
    }

    /// Sockets that making one leaves.
    const fn sockets(self) -> usize {
        match self {
            Self::CloseWait | Self::FinWait2 => 2,
            _ => 1,
        }
    }
}

/// What a farm is to hold.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    counts: [usize; State::ALL.len()],
    /// Over at least so many processes.
    pub(crate) processes: usize,
    /// Established sockets that close, and as many that open, a second.
    pub(crate) churn: usize,
    /// Descriptors a process.
    pub(crate) fds: usize,
}

impl Order {
    /// So many established sockets.
    pub(crate) fn new(sockets: usize) -> Self {
        let mut counts = [0; State::ALL.len()];
        counts[State::Established as usize] = sockets;
        Self { counts, processes: 1, churn: 0, fds: FDS }
    }

    /// And so many more in this state.
    pub(crate) fn add(&mut self, state: State, n: usize) {
        self.counts[state as usize] += n;
    }

    /// Sockets that there will be.
    pub(crate) fn sockets(&self) -> usize {
        State::ALL.iter().map(|s| self.counts[*s as usize] * s.sockets()).sum()
    }

    /// The part of process `i` of `n`.
    fn part(&self, i: usize, n: usize) -> String {
        let share = |all: usize| all / n + usize::from(i < all % n);
        let mut words: Vec<usize> = self.counts.iter().map(|c| share(*c)).collect();
        // Connections have two ends.
        words[0] = share(self.counts[0].div_ceil(2));
        words.extend([share(self.churn.div_ceil(2)), i]);
        words.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }
}

/// Processes with their sockets; they end when this is dropped, or when this process ends.
#[derive(Debug)]
pub(crate) struct Farm {
    children: Vec<(Child, Option<ChildStdin>)>,
}

impl Farm {
    /// Starts as many processes as are needed.
    pub(crate) fn start(order: &Order) -> Result<Self, Box<dyn Error>> {
        let most = order.fds.saturating_sub(SPARE).clamp(2, 2 * EACH);
        let n = order.processes.max(order.sockets().div_ceil(most / 2 * 2)).max(1);
        let mut farm = Self { children: Vec::new() };
        for i in 0..n {
            let mut child = Command::new(std::env::current_exe()?)
                .env(CHILD, order.part(i, n))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let stdin = child.stdin.take();
            farm.children.push((child, stdin));
        }
        for (child, _) in &mut farm.children {
            let mut line = String::new();
            BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
            if line != "ready\n" {
                return Err(format!("a process of the farm failed: {line}").into());
            }
        }
        Ok(farm)
    }

    /// The processes.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.children.iter().map(|(c, _)| c.id())
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        // All at once, then wait: closing takes its time.
        for (_, stdin) in &mut self.children {
            *stdin = None;
        }
        for (child, _) in &mut self.children {
            let _ = child.wait();
        }
    }
}

/// In a process of the farm: does its part, and says that it did.
pub(crate) fn child() -> Option<Result<(), Box<dyn Error>>> {
    let what = std::env::var(CHILD).ok()?;
    let done = hold(&what);
    if let Err(e) = &done {
        println!("{e}");
    }
    Some(done)
}

/// Both ends of a connection. Closing either resets it, so that nothing of it stays.
type Pair = (TcpStream, TcpStream);

/// A pair through this listener.
fn pair(listener: &TcpListener, at: SocketAddr) -> io::Result<Pair> {
    let client = TcpStream::connect(at)?;
    let server = listener.accept()?.0;
    Ok((client, server))
}

fn resetting(p: Pair) -> io::Result<Pair> {
    set_socket_linger(&p.0, Some(Duration::ZERO))?;
    set_socket_linger(&p.1, Some(Duration::ZERO))?;
    Ok(p)
}

fn hold(what: &str) -> Result<(), Box<dyn Error>> {
    let words: Vec<usize> = what.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [pairs, listeners, close_waits, fin_waits, time_waits, syn_sents, churn, number] = words[..] else {
        return Err("what each makes".into());
    };
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    // An address of its own, so that no process takes another's ports.
    let ip = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + number as u32);
    let listener = TcpListener::bind(SocketAddrV4::new(ip, 20_000 + (number % 10_000) as u16))?;
    let at = listener.local_addr()?;
    let mut held: VecDeque<Pair> = VecDeque::with_capacity(pairs + 1);
    for _ in 0..pairs {
        held.push_back(resetting(pair(&listener, at)?)?);
    }
    let mut kept: Vec<OwnedFd> = Vec::new();
    for _ in 0..listeners {
        kept.push(TcpListener::bind(SocketAddrV4::new(ip, 0))?.into());
    }
    for _ in 0..close_waits + fin_waits {
        let (client, server) = resetting(pair(&listener, at)?)?;
        client.shutdown(Shutdown::Write)?;
        kept.extend([OwnedFd::from(client), server.into()]);
    }
    for _ in 0..time_waits {
        let (client, server) = pair(&listener, at)?;
        server.shutdown(Shutdown::Both)?;
        drop(client);
    }
    if syn_sents > 0 {
        kept.extend(unanswered(ip, syn_sents)?);
    }
    println!("ready");
    churn_until_closed(&listener, at, &mut held, churn)?;
    Ok(())
}

/// Sockets that connect to a listener whose accept queue is full.
fn unanswered(ip: Ipv4Addr, n: usize) -> io::Result<Vec<OwnedFd>> {
    let full = TcpListener::bind(SocketAddrV4::new(ip, 0))?;
    let at = full.local_addr()?;
    listen(&full, 0)?;
    let mut out = vec![TcpStream::connect(at)?.into()];
    for _ in 0..n {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let s = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        // Under way: the SYN is not answered.
        let _ = connect(&s, &at);
        out.push(s);
    }
    out.push(full.into());
    Ok(out)
}

/// Closes `churn` of the oldest connections a second and opens as many, until whoever started this goes.
fn churn_until_closed(
    listener: &TcpListener,
    at: SocketAddr,
    held: &mut VecDeque<Pair>,
    churn: usize,
) -> io::Result<()> {
    let stdin = io::stdin();
    if churn == 0 || held.is_empty() {
        return stdin.lock().read_to_end(&mut Vec::new()).map(drop);
    }
    let (began, mut done) = (Instant::now(), 0u64);
    let tick = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    loop {
        if poll(&mut [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)], Some(&tick))? > 0 {
            return Ok(());
        }
        let due = (began.elapsed().as_secs_f64() * churn as f64) as u64;
        while done < due {
            held.pop_front();
            held.push_back(resetting(pair(listener, at)?)?);
            done += 1;
        }
    }
}
