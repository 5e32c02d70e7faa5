//! A poll of many network namespaces, compared with bare dumps of each: `cargo bench --bench namespaces`.
//!
//! ```sh
//! cargo bench --bench namespaces               # 100 namespaces with 100 sockets each
//! cargo bench --bench namespaces -- 400 25     # 400 with 25 each
//! ```
//!
//! The namespaces are created in a private `/run` and removed afterwards. Requires root.

// Benches may panic.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
mod bare;

use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sockscope::collect::{Choice, Engines, open};
use sockscope::model::{Netns, Reads, Wants};
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const INSIDE: &str = "SOCKSCOPE_BENCH_INSIDE";
const HOLD: &str = "SOCKSCOPE_BENCH_HOLD";
const ROUNDS: usize = 15;

fn main() {
    if let Ok(n) = std::env::var(HOLD) {
        return open_sockets(n.parse().unwrap());
    }
    if std::env::var_os(INSIDE).is_none() {
        let status = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "sh", "-c"])
            .arg("mount -t tmpfs none /run && ip link set lo up && exec \"$0\" \"$@\"")
            .arg(std::env::current_exe().unwrap())
            .args(std::env::args().skip(1))
            .env(INSIDE, "1")
            .status()
            .unwrap();
        std::process::exit(status.code().unwrap_or(1));
    }
    let sizes: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let [namespaces, sockets] = sizes[..] else { return measure(100, 100) };
    measure(namespaces, sockets);
}

/// Opens about this many sockets and waits until the parent exits.
fn open_sockets(n: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let pairs: Vec<_> =
        (0..n / 2).map(|_| (TcpStream::connect(addr).unwrap(), listener.accept().unwrap())).collect();
    println!("{}", pairs.len());
    let _ = std::io::read_to_string(std::io::stdin());
}

fn measure(namespaces: usize, sockets: usize) {
    let children: Vec<Child> = (0..namespaces)
        .map(|i| {
            let script =
                format!("ip netns add n{i} && ip -n n{i} link set lo up && exec ip netns exec n{i} \"$0\"");
            let mut child = Command::new("sh")
                .args(["-c", &script])
                .arg(std::env::current_exe().unwrap())
                .env(HOLD, sockets.to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            std::io::BufRead::read_line(
                &mut std::io::BufReader::new(child.stdout.as_mut().unwrap()),
                &mut line,
            )
            .unwrap();
            child
        })
        .collect();
    let mut source =
        open(Choice::Netlink, None, Netns::All, None, sockscope::collect::EventMethod::Off, Engines::Off)
            .unwrap();
    let dumps_only = Wants::default().without(Reads::OWNERS | Reads::PROCESSES);
    let (mut kernel, mut dumps, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let mut found = (0, 0);
    for _ in 0..ROUNDS {
        let time = |times: &mut Vec<Duration>, f: &mut dyn FnMut() -> usize| {
            let begin = Instant::now();
            let n = f();
            times.push(begin.elapsed());
            n
        };
        found.0 = time(&mut kernel, &mut || bare(namespaces));
        found.1 = time(&mut dumps, &mut || source.sample(&dumps_only).unwrap().sockets.len());
        time(&mut whole, &mut || source.sample(&Wants::default()).unwrap().sockets.len());
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    let (kernel, dumps, whole) = (median(kernel), median(dumps), median(whole));
    println!("{namespaces} namespaces; sockets in the bare dumps: {}, in a poll: {}", found.0, found.1);
    println!("bare dumps                     {kernel:6.1} ms");
    println!("a poll, sockets only           {dumps:6.1} ms   {:.2} x", dumps / kernel);
    println!("a poll, processes and owners   {whole:6.1} ms   {:.2} x", whole / kernel);
    for mut child in children {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Dumps TCP and UDP in each namespace and discards the result; returns the number of sockets.
fn bare(namespaces: usize) -> usize {
    std::thread::scope(|scope| {
        let all = scope.spawn(|| {
            let own = bare::dump(0);
            let dump_in = |i: usize| {
                let file = File::open(format!("/run/netns/n{i}")).unwrap();
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                bare::dump(0)
            };
            own + (0..namespaces).map(dump_in).sum::<usize>()
        });
        all.join().unwrap()
    })
}
