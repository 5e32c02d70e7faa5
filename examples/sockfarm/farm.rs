//! Many real connections, held by processes of their own.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Connections that one process holds, two descriptors each.
const EACH: usize = 8_000;

/// Set in the processes that hold them: first port and how many connections.
const CHILD: &str = "SOCKFARM_CHILD";

/// Processes with their connections; they end when this is dropped.
pub(crate) struct Farm {
    children: Vec<(Child, ChildStdin)>,
}

impl Farm {
    /// Starts as many processes as `connections` need, at least `processes`; each listens on a port of its own from
    /// 20,000 and connects to itself. `connections` connections are twice as many sockets.
    pub(crate) fn start(connections: usize, processes: usize) -> Result<Self, Box<dyn Error>> {
        let n = processes.max(connections.div_ceil(EACH)).max(1);
        let mut children = Vec::new();
        for i in 0..n {
            let share = connections / n + usize::from(i < connections % n);
            let mut child = Command::new(std::env::current_exe()?)
                .env(CHILD, format!("{} {share}", 20_000 + i))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let stdin = child.stdin.take().ok_or("no pipe")?;
            children.push((child, stdin));
        }
        for (child, _) in &mut children {
            let mut line = String::new();
            BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
            if line != "ready\n" {
                return Err(format!("a process of the farm failed: {line}").into());
            }
        }
        Ok(Self { children })
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        for (mut child, stdin) in self.children.drain(..) {
            drop(stdin);
            let _ = child.wait();
        }
    }
}

/// In a process of the farm: does its part, and says that it did.
pub(crate) fn child() -> Option<Result<(), Box<dyn Error>>> {
    let what = std::env::var(CHILD).ok()?;
    Some(hold(&what))
}

fn hold(what: &str) -> Result<(), Box<dyn Error>> {
    let (port, n) = what.split_once(' ').ok_or("port and number")?;
    let (port, n): (u16, usize) = (port.parse()?, n.parse()?);
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let mut held = Vec::with_capacity(2 * n);
    for _ in 0..n {
        held.push(TcpStream::connect(("127.0.0.1", port))?);
        held.push(listener.accept()?.0);
    }
    let _datagram = UdpSocket::bind(("127.0.0.1", port))?;
    println!("ready");
    // Until whoever started this goes.
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
