//! Many real connections in child processes.

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

/// Default limit of descriptors per process.
pub(crate) const FDS: usize = 20_000;

/// Descriptors a process needs for other things.
const RESERVED_FDS: usize = 64;

/// Connections per process and listener: fewer than there are local ports.
const CONNECTIONS_MAX: usize = 20_000;

/// Environment variable of child processes: the sockets to open.
const CHILD: &str = "SOCKFARM_CHILD";

/// State of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Two sockets per connection, both open.
    Established,
    /// A listener without connections.
    Listen,
    /// Shut down by the peer, which stays open in `FIN_WAIT2`.
    CloseWait,
    /// The peer of the above.
    FinWait2,
    /// Closed by both ends: without a process, and gone after a minute.
    TimeWait,
    /// Connecting to a listener with a full accept queue.
    SynSent,
}

impl State {
    /// All states.
    pub(crate) const ALL: [Self; 6] =
        [Self::Established, Self::Listen, Self::CloseWait, Self::FinWait2, Self::TimeWait, Self::SynSent];

    /// Name on the command line.
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

    /// Sockets opened for one of this state.
    const fn sockets(self) -> usize {
        match self {
            Self::CloseWait | Self::FinWait2 => 2,
            _ => 1,
        }
    }
}

/// Sockets of a farm.
#[derive(Clone, Debug)]
pub(crate) struct FarmSpec {
    counts: [usize; State::ALL.len()],
    /// Minimum number of processes.
    pub(crate) processes: usize,
    /// Established sockets closed and replaced per second.
    pub(crate) churn: usize,
    /// Descriptors per process.
    pub(crate) fds: usize,
}

impl FarmSpec {
    /// A number of established sockets.
    pub(crate) fn new(sockets: usize) -> Self {
        let mut counts = [0; State::ALL.len()];
        counts[State::Established as usize] = sockets;
        Self { counts, processes: 1, churn: 0, fds: FDS }
    }

    /// Adds sockets in this state.
    pub(crate) fn add(&mut self, state: State, n: usize) {
        self.counts[state as usize] += n;
    }

    /// Total number of sockets.
    pub(crate) fn sockets(&self) -> usize {
        State::ALL.iter().map(|s| self.counts[*s as usize] * s.sockets()).sum()
    }

    /// Share of process `i` of `n`, as passed in the environment.
    fn share_of(&self, i: usize, n: usize) -> String {
        let share = |all: usize| all / n + usize::from(i < all % n);
        let mut words: Vec<usize> = self.counts.iter().map(|c| share(*c)).collect();
        // Two sockets per connection.
        words[0] = share(self.counts[0].div_ceil(2));
        words.extend([share(self.churn.div_ceil(2)), i]);
        words.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }
}

/// Child processes with their sockets; they exit when this is dropped, or when this process exits.
#[derive(Debug)]
pub(crate) struct Farm {
    children: Vec<(Child, Option<ChildStdin>)>,
}

impl Farm {
    /// Starts the processes and waits until all sockets are open.
    pub(crate) fn start(spec: &FarmSpec) -> Result<Self, Box<dyn Error>> {
        let fds_max = spec.fds.saturating_sub(RESERVED_FDS).clamp(2, 2 * CONNECTIONS_MAX);
        let n = spec.processes.max(spec.sockets().div_ceil(fds_max / 2 * 2)).max(1);
        let mut farm = Self { children: Vec::new() };
        for i in 0..n {
            let mut child = Command::new(std::env::current_exe()?)
                .env(CHILD, spec.share_of(i, n))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let stdin = child.stdin.take();
            farm.children.push((child, stdin));
        }
        for (child, _) in &mut farm.children {
            let mut line = String::new();
            BufReader::new(child.stdout.take().ok_or("child without stdout")?).read_line(&mut line)?;
            if line != "ready\n" {
                return Err(format!("child process failed: {line}").into());
            }
        }
        Ok(farm)
    }

    /// Pids of the processes.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.children.iter().map(|(c, _)| c.id())
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        // Stops all, then waits: closing takes a while.
        for (_, stdin) in &mut self.children {
            *stdin = None;
        }
        for (child, _) in &mut self.children {
            let _ = child.wait();
        }
    }
}

/// Runs as a child process; `None` in the parent.
pub(crate) fn run_child() -> Option<Result<(), Box<dyn Error>>> {
    let share = std::env::var(CHILD).ok()?;
    let result = open_sockets(&share);
    if let Err(e) = &result {
        println!("{e}");
    }
    Some(result)
}

/// Both ends of a connection.
type Pair = (TcpStream, TcpStream);

/// Connects to this listener.
fn connect_pair(listener: &TcpListener, addr: SocketAddr) -> io::Result<Pair> {
    let client = TcpStream::connect(addr)?;
    let server = listener.accept()?.0;
    Ok((client, server))
}

/// Makes closing either end reset the connection, so that no `TIME_WAIT` socket remains.
fn reset_on_close(p: Pair) -> io::Result<Pair> {
    set_socket_linger(&p.0, Some(Duration::ZERO))?;
    set_socket_linger(&p.1, Some(Duration::ZERO))?;
    Ok(p)
}

fn open_sockets(share: &str) -> Result<(), Box<dyn Error>> {
    let words: Vec<usize> = share.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [n_pairs, listeners, close_waits, fin_waits, time_waits, syn_sents, churn, number] = words[..] else {
        return Err(format!("{CHILD}: expected 8 numbers").into());
    };
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard })?;
    // One address per process, so that they do not share ports.
    let ip = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + number as u32);
    let listener = TcpListener::bind(SocketAddrV4::new(ip, 20_000 + (number % 10_000) as u16))?;
    let addr = listener.local_addr()?;
    let mut pairs: VecDeque<Pair> = VecDeque::with_capacity(n_pairs + 1);
    for _ in 0..n_pairs {
        pairs.push_back(reset_on_close(connect_pair(&listener, addr)?)?);
    }
    let mut others: Vec<OwnedFd> = Vec::new();
    for _ in 0..listeners {
        others.push(TcpListener::bind(SocketAddrV4::new(ip, 0))?.into());
    }
    for _ in 0..close_waits + fin_waits {
        let (client, server) = reset_on_close(connect_pair(&listener, addr)?)?;
        client.shutdown(Shutdown::Write)?;
        others.extend([OwnedFd::from(client), server.into()]);
    }
    for _ in 0..time_waits {
        let (client, server) = connect_pair(&listener, addr)?;
        server.shutdown(Shutdown::Both)?;
        drop(client);
    }
    if syn_sents > 0 {
        others.extend(open_unanswered(ip, syn_sents)?);
    }
    println!("ready");
    churn_until_closed(&listener, addr, &mut pairs, churn)?;
    Ok(())
}

/// Opens connections to a listener with a full accept queue.
fn open_unanswered(ip: Ipv4Addr, n: usize) -> io::Result<Vec<OwnedFd>> {
    let full = TcpListener::bind(SocketAddrV4::new(ip, 0))?;
    let addr = full.local_addr()?;
    listen(&full, 0)?;
    let mut out = vec![TcpStream::connect(addr)?.into()];
    for _ in 0..n {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let s = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        // In progress: the SYN is not answered.
        let _ = connect(&s, &addr);
        out.push(s);
    }
    out.push(full.into());
    Ok(out)
}

/// Closes `churn` of the oldest connections per second and opens as many, until the parent exits.
fn churn_until_closed(
    listener: &TcpListener,
    addr: SocketAddr,
    pairs: &mut VecDeque<Pair>,
    churn: usize,
) -> io::Result<()> {
    let stdin = io::stdin();
    if churn == 0 || pairs.is_empty() {
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
            pairs.pop_front();
            pairs.push_back(reset_on_close(connect_pair(listener, addr)?)?);
            done += 1;
        }
    }
}
