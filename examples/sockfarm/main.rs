//! Makes many real sockets on the loopback interface, to look at and to measure with.
//!
//! ```sh
//! cargo run --release --example sockfarm -- 50000      # 50,000 connections, 100,000 sockets, until Enter
//! cargo run --release --example sockfarm -- 500 20     # 500 connections, over 20 processes
//! ```

mod farm;

use std::error::Error;
use std::io::{self, BufRead};

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(done) = farm::child() {
        return done;
    }
    let mut args = std::env::args().skip(1);
    let mut number = |usual: usize| args.next().map_or(Ok(usual), |a| a.parse());
    let (connections, processes) = (number(500)?, number(1)?);
    let _farm = farm::Farm::start(connections, processes)?;
    println!("ready {connections}");
    io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}
