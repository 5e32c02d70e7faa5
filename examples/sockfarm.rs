//! Makes many real sockets on the loopback interface, to look at and to measure with.
//!
//! ```sh
//! cargo run --release --example sockfarm -- 100000                      # 100,000 established TCP sockets, until Enter or Ctrl-C
//! cargo run --release --example sockfarm -- 100000 --churn 1000         # and 1,000 of them a second close, and others open
//! cargo run --release --example sockfarm -- 1000 --state listen=100 --state close-wait=50 --state time-wait=200
//! ```
//!
//! The sockets belong to processes of their own, each within `--fds` descriptors; they are gone when this ends, however it
//! ends, and leave nothing behind but the `TIME_WAIT` sockets that were asked for, for their minute.

#[path = "sockfarm/farm.rs"]
mod farm;

use clap::Parser;
use farm::{Farm, Order, State};
use std::error::Error;
use std::io::{self, BufRead};
use std::time::Duration;

/// Many real TCP sockets on the loopback interface
#[derive(Debug, Parser)]
struct Args {
    /// How many established sockets (two a connection)
    #[arg(default_value_t = 1000)]
    sockets: usize,
    /// Spread over at least this many processes
    #[arg(short, long, default_value_t = 1)]
    processes: usize,
    /// So many more in this state: listen, close-wait (its far end is in fin-wait2), fin-wait2 (likewise), time-wait,
    /// syn-sent
    #[arg(long = "state", value_name = "STATE=N", value_parser = state)]
    states: Vec<(State, usize)>,
    /// So many sockets a second close, and as many open
    #[arg(long, default_value_t = 0)]
    churn: usize,
    /// Descriptors that one process may hold
    #[arg(long, default_value_t = farm::FDS)]
    fds: usize,
    /// End by itself after so many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    during: Option<u64>,
}

fn state(text: &str) -> Result<(State, usize), String> {
    let (name, n) = text.split_once('=').ok_or("STATE=N")?;
    let known = || State::ALL.map(State::name).join(", ");
    let state = State::ALL.into_iter().find(|s| s.name() == name).ok_or_else(known)?;
    Ok((state, n.parse().map_err(|e| format!("{n}: {e}"))?))
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(done) = farm::child() {
        return done;
    }
    let args = Args::parse();
    let mut order = Order::new(args.sockets);
    (order.processes, order.churn, order.fds) = (args.processes, args.churn, args.fds);
    for (state, n) in args.states {
        order.add(state, n);
    }
    let farm = Farm::start(&order)?;
    println!("ready: {} sockets in {} processes", order.sockets(), farm.pids().count());
    match args.during {
        Some(secs) => std::thread::sleep(Duration::from_secs(secs)),
        None => {
            io::stdin().lock().read_line(&mut String::new())?;
        }
    }
    Ok(())
}
