//! Incremental owner lookup compared with a full scan, while processes open, close, duplicate and pass sockets to each
//! other, execute programs and exit, and others reuse their pids.

use crate::wait::{PATIENCE, until};
use rustix::io::dup2;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use rustix::process::{Pid, Signal, kill_process};
use sockscope::collect::Source;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::model::{OwnersBy, Reads, Sample, Wants};
use std::collections::BTreeSet;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Environment variable of the processes that own the sockets: their random seed.
const ACTOR: &str = "SOCKSCOPE_TEST_ACTOR";

const ACTORS: usize = 5;
const ROUNDS: usize = 40;

/// Sockets of a process at first, and at most.
const FIRST: usize = 300;
const MOST: usize = 1_200;

/// One descriptor of a socket: inode, process, number.
type Held = (u64, u32, u32);

pub(crate) fn owners_under_churn_match_a_walk_of_proc() -> Result<(), String> {
    compare_under_churn(None)
}

/// The same with iterators over single processes, where bpf may be used.
pub(crate) fn owners_by_bpf_under_churn_match_a_walk_of_proc() -> Result<(), String> {
    compare_under_churn(Some(OwnersBy::BpfIter))
}

fn compare_under_churn(by: Option<OwnersBy>) -> Result<(), String> {
    // A ring: each passes sockets to the next.
    let ring: Vec<(UnixDatagram, UnixDatagram)> =
        (0..ACTORS).map(|_| UnixDatagram::pair().unwrap()).collect();
    for (a, b) in &ring {
        a.set_nonblocking(true).unwrap();
        b.set_nonblocking(true).unwrap();
    }
    let mut seed = 1u64;
    let mut spawn = |i: usize| {
        seed += 1;
        let end = |s: &UnixDatagram| Stdio::from(OwnedFd::from(s.try_clone().unwrap()));
        Command::new(std::env::current_exe().unwrap())
            .env(ACTOR, seed.to_string())
            .stdin(end(&ring[(i + ACTORS - 1) % ACTORS].1))
            .stdout(end(&ring[i].0))
            .spawn()
            .unwrap()
    };
    let mut actors = Actors((0..ACTORS).map(&mut spawn).collect());
    let mut source = super::owners::source(by)?;
    let wants = Wants::default();
    let (mut seen, mut ended, mut shared) = (0, 0, 0);
    let (mut allowed, mut reused) = (false, 0);
    for child in &actors.0 {
        let held = || std::fs::read_dir(format!("/proc/{}/fd", child.id())).map_or(0, Iterator::count);
        until("the first sockets", || (held() >= FIRST).then_some(()))?;
    }
    // Until enough was compared.
    let end = Instant::now() + PATIENCE;
    let mut round = 0;
    while round < ROUNDS || (ended == 0 || shared == 0 || (allowed && reused == 0)) && Instant::now() < end {
        round += 1;
        for (i, child) in actors.0.iter_mut().enumerate() {
            if child.try_wait().unwrap().is_some() {
                let pid = child.id();
                allowed |= reuse_pid(pid);
                *child = spawn(i);
                reused += u32::from(child.id() == pid);
                ended += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(20 + (round as u64 * 13) % 60));
        // The processes are stopped during the comparison and run between rounds.
        actors.stop();
        let sample = source.sample(&wants).map_err(|e| e.to_string())?;
        let fast = sample_owners(&sample);
        let slow = full_scan(&sample);
        actors.resume();
        if fast != slow {
            let only =
                |a: &BTreeSet<Held>, b: &BTreeSet<Held>| a.difference(b).take(5).copied().collect::<Vec<_>>();
            return Err(format!(
                "round {round}: inode, pid, fd\nwrong: {:?}\nmissing: {:?}\nof {}",
                only(&fast, &slow),
                only(&slow, &fast),
                slow.len()
            ));
        }
        seen += fast.len();
        let inodes: BTreeSet<u64> = fast.iter().map(|h| h.0).collect();
        shared += fast.len() - inodes.len();
    }
    if seen < ROUNDS * ACTORS * FIRST / 2 || ended == 0 || shared == 0 {
        return Err(format!("{seen} seen, {ended} ended, {shared} held twice: nothing much happened"));
    }
    if allowed && reused == 0 {
        return Err(format!("{ended} ended, and no pid was given out again"));
    }
    Ok(())
}

/// Makes the kernel assign this pid next (`proc_sys_kernel(5)`: `ns_last_pid`); false if not permitted.
fn reuse_pid(pid: u32) -> bool {
    std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).is_ok()
}

struct Actors(Vec<Child>);

impl Actors {
    fn signal(&self, signal: Signal) {
        for child in &self.0 {
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    /// Stops the processes and waits until they are stopped.
    fn stop(&self) {
        self.signal(Signal::STOP);
        let end = Instant::now() + PATIENCE;
        let stands = |child: &Child| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
            let state = stat.rsplit(") ").next().and_then(|s| s.chars().next());
            matches!(state, None | Some('T' | 'Z' | 'X'))
        };
        while !self.0.iter().all(stands) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn resume(&self) {
        self.signal(Signal::CONT);
    }
}

impl Drop for Actors {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Owners in the sample.
fn sample_owners(sample: &Sample) -> BTreeSet<Held> {
    let inodes: BTreeSet<u64> = sample.sockets.iter().map(|s| s.inode).collect();
    let pid = |p: u32| sample.processes[p as usize].info.pid;
    sample
        .owners
        .iter()
        .filter(|o| inodes.contains(&o.inode))
        .map(|o| (o.inode, pid(o.process), o.fd))
        .collect()
}

/// Owners of the sample's sockets by a full scan of `/proc/*/fd`.
fn full_scan(sample: &Sample) -> BTreeSet<Held> {
    let inodes: BTreeSet<u64> = sample.sockets.iter().map(|s| s.inode).filter(|i| *i != 0).collect();
    let number = |name: std::ffi::OsString| name.to_str().and_then(|n| n.parse::<u32>().ok());
    let mut out = BTreeSet::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = number(process.file_name()) else { continue };
        let Ok(fds) = std::fs::read_dir(process.path().join("fd")) else { continue };
        for fd in fds.flatten() {
            let Ok(link) = std::fs::read_link(fd.path()) else { continue };
            let inode =
                link.to_str().and_then(|l| l.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let (Some(inode), Some(fd)) = (inode.filter(|i| inodes.contains(i)), number(fd.file_name())) {
                out.insert((inode, pid, fd));
            }
        }
    }
    out
}

/// Runs a process that owns sockets, until it is killed or exits.
pub(crate) fn actor() -> bool {
    let Some(seed) = std::env::var(ACTOR).ok().and_then(|s| s.parse::<u64>().ok()) else { return false };
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut chance = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let mut held: Vec<OwnedFd> = Vec::new();
    let open = |held: &mut Vec<OwnedFd>| {
        let client = TcpStream::connect(at).unwrap();
        let server = listener.accept().unwrap().0;
        for s in [&client, &server] {
            // No TIME_WAIT sockets remain.
            rustix::net::sockopt::set_socket_linger(s, Some(Duration::ZERO)).unwrap();
        }
        held.extend([client.into(), server.into()]);
    };
    while held.len() < FIRST {
        open(&mut held);
    }
    loop {
        let i = chance(held.len());
        match chance(1200) {
            0 => {
                // Another program that inherits some of them.
                for fd in held.iter().take(8) {
                    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty()).unwrap();
                }
                let next = chance(1 << 30).to_string();
                let failed = Command::new(std::env::current_exe().unwrap()).env(ACTOR, next).exec();
                panic!("{failed}");
            }
            1 => return true,
            2..400 if held.len() > 100 => drop(held.swap_remove(i)),
            400..750 if held.len() < MOST => open(&mut held),
            750..850 => {
                let twin = held[i].try_clone().unwrap();
                held.push(twin);
            }
            850..950 => {
                let j = chance(held.len());
                let one = held[i].try_clone().unwrap();
                dup2(&one, &mut held[j]).unwrap();
            }
            950..1050 if held.len() > 100 => {
                // Closed here even if the queue of the next process is full.
                pass(&held.swap_remove(i));
            }
            _ => held.extend(passed()),
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Passes a socket to the next process.
fn pass(fd: &OwnedFd) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let _ = sendmsg(std::io::stdout(), &[IoSlice::new(b"x")], &mut control, SendFlags::DONTWAIT);
}

/// Descriptors received from the previous process.
fn passed() -> Vec<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    if recvmsg(std::io::stdin(), &mut [IoSliceMut::new(&mut byte)], &mut control, flags).is_err() {
        return vec![];
    }
    let fds = control.drain().map(|m| match m {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => vec![],
    });
    fds.flatten().collect()
}

/// A dump cut short at the row limit: the remaining sockets count neither as closed nor, later, as opened.
pub(crate) fn table_cut_short_opens_and_closes_nothing() -> Result<(), String> {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).map_err(|e| e.to_string())?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let at = listener.local_addr().map_err(|e| e.to_string())?;
    let mut held = Vec::new();
    for _ in 0..1_500 {
        let client = TcpStream::connect(at).map_err(|e| e.to_string())?;
        let server = listener.accept().map_err(|e| e.to_string())?.0;
        for s in [&client, &server] {
            rustix::net::sockopt::set_socket_linger(s, Some(Duration::ZERO)).map_err(|e| e.to_string())?;
        }
        held.push((client, server));
    }
    let mut source = NetlinkSource::new("requested".into()).map_err(|e| e.to_string())?;
    let mut engine = sockscope::derive::Engine::new();
    let mut poll = |max_sockets| {
        let wants = Wants { max_sockets, ..Wants::default() }.without(Reads::OWNERS | Reads::PROCESSES);
        source.sample(&wants).map(|s| engine.step(s)).map_err(|e| e.to_string())
    };
    let (part, whole, again) = (poll(Some(100))?, poll(None)?, poll(None)?);
    let deferred = part.sample.faults.count(sockscope::model::FaultKind::Deferred);
    if part.live < 100 || part.live > 2_000 || deferred != 1 {
        return Err(format!("{} sockets, {deferred} tables deferred", part.live));
    }
    if whole.live < 3_000 || whole.opened != 0 || whole.closed != 0 || again.opened != 0 {
        let (n, opened, closed) = (whole.live, whole.opened, whole.closed);
        return Err(format!("{n} sockets, {opened} opened, {closed} closed, then {} opened", again.opened));
    }
    Ok(())
}
