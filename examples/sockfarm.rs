//! Opens many real sockets on the loopback interface, for manual tests and benchmarks.
//!
//! ```sh
//! cargo run --release --example sockfarm -- 100000                      # 100,000 established TCP sockets, until Enter or Ctrl-C
//! cargo run --release --example sockfarm -- 100000 --churn 1000         # and 1,000 per second are closed and replaced
//! cargo run --release --example sockfarm -- 1000 --state listen=100 --state close-wait=50 --state time-wait=200
//! ```
//!
//! The sockets belong to child processes with at most `--fds` descriptors each. They are closed when this process exits,
//! however it exits; only requested `TIME_WAIT` sockets remain, for a minute.

#[path = "sockfarm/farm.rs"]
mod farm;

use clap::Parser;
use farm::{Farm, FarmSpec, State};
use std::error::Error;
use std::io::{self, BufRead};
use std::time::Duration;

/// Many real TCP sockets on the loopback interface
#[derive(Debug, Parser)]
struct Args {
    /// Number of established sockets (two per connection)
    #[arg(default_value_t = 1000)]
    sockets: usize,
    /// Minimum number of processes
    #[arg(short, long, default_value_t = 1)]
    processes: usize,
    /// Additional sockets in this state: listen, close-wait (with a peer in fin-wait2), fin-wait2 (with a peer in close-wait),
    /// time-wait, syn-sent
    #[arg(long = "state", value_name = "STATE=N", value_parser = state)]
    states: Vec<(State, usize)>,
    /// Sockets closed and replaced per second
    #[arg(long, default_value_t = 0)]
    churn: usize,
    /// Descriptors per process
    #[arg(long, default_value_t = farm::FDS)]
    fds: usize,
    /// Exit after this number of seconds
    #[arg(long = "for", value_name = "SECONDS")]
    duration: Option<u64>,
}

fn state(text: &str) -> Result<(State, usize), String> {
    let (name, n) = text.split_once('=').ok_or("STATE=N")?;
    let names = || State::ALL.map(State::name).join(", ");
    let state = State::ALL.into_iter().find(|s| s.name() == name).ok_or_else(names)?;
    Ok((state, n.parse().map_err(|e| format!("{n}: {e}"))?))
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(result) = farm::run_child() {
        return result;
    }
    let args = Args::parse();
    let mut spec = FarmSpec::new(args.sockets);
    (spec.processes, spec.churn, spec.fds) = (args.processes, args.churn, args.fds);
    for (state, n) in args.states {
        spec.add(state, n);
    }
    let farm = Farm::start(&spec)?;
    println!("ready: {} sockets in {} processes", spec.sockets(), farm.pids().count());
    match args.duration {
        Some(secs) => std::thread::sleep(Duration::from_secs(secs)),
        None => {
            io::stdin().lock().read_line(&mut String::new())?;
        }
    }
    Ok(())
}
