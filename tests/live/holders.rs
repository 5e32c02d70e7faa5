//! Processes that open, close, duplicate, send and receive sockets, and log the times.

use rustix::event::{PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::dup2;
use rustix::net::{
    self, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Environment variable of a holder: its number, the number of holders, and their directory.
const HOLDER: &str = "SOCKSCOPE_TEST_HOLDER";

/// Time of descriptors that are still open.
const NEVER: u64 = u64::MAX;

/// Most socket descriptors of a holder.
const MOST: usize = 60;

fn now() -> u64 {
    let t = clock_gettime(ClockId::Boottime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Pseudo-random numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

/// A descriptor of a holder, and the interval in which it was opened.
struct Held {
    fd: OwnedFd,
    inode: u64,
    came: (u64, u64),
}

struct Holder {
    dir: PathBuf,
    all: usize,
    dice: Dice,
    mail: OwnedFd,
    /// Inode and number of each descriptor of the thread that has its own.
    apart: Vec<(u64, i32)>,
    held: Vec<Held>,
    log: String,
}

/// Runs as a holder; false in the parent.
pub(crate) fn is_holder() -> bool {
    let Ok(words) = std::env::var(HOLDER) else { return false };
    let words: Vec<&str> = words.splitn(3, ' ').collect();
    Holder::new(words[0], words[1].parse().expect("a number"), Path::new(words[2])).run();
    true
}

impl Holder {
    fn new(me: &str, all: usize, dir: &Path) -> Self {
        // A thread with an unshared fd table: its descriptors are in /proc/PID/task/TID/fd only.
        let (sender, started) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // It closes no descriptor of another thread.
            #[allow(deprecated)]
            rustix::thread::unshare(rustix::thread::UnshareFlags::FILES).expect("unshare");
            let apart: Vec<UdpSocket> =
                (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").expect("udp")).collect();
            let _ = sender.send(apart.iter().map(|s| (inode(s), s.as_raw_fd())).collect());
            loop {
                std::thread::park();
                std::hint::black_box(&apart);
            }
        });
        let apart: Vec<(u64, i32)> = started.recv().expect("a thread");
        // One of every kind of descriptor that has a column.
        std::mem::forget((
            std::io::pipe(),
            eventfd(0, rustix::event::EventfdFlags::empty()),
            rustix::event::epoll::create(rustix::event::epoll::CreateFlags::empty()),
            rustix::time::timerfd_create(
                rustix::time::TimerfdClockId::Monotonic,
                rustix::time::TimerfdFlags::empty(),
            ),
            rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::empty()),
            rustix::fs::memfd_create("a longer name than sixteen", rustix::fs::MemfdFlags::empty()),
            rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty()),
            std::fs::File::open("/proc/self/ns/net"),
            std::fs::File::create(dir.join("plain")),
        ));
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let mail = net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).expect("socket");
        let at = dir.join(me);
        let _ = std::fs::remove_file(&at);
        net::bind(&mail, &SocketAddrUnix::new(&at).expect("a short path")).expect("bind");
        let dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (u64::from(std::process::id()) << 20));
        Self { dir: dir.to_owned(), all, dice, mail, apart, held: Vec::new(), log: String::new() }
    }

    fn run(&mut self) {
        let mut stdin = std::io::stdin();
        let came = (0, now());
        println!("ready");
        loop {
            self.act();
            let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
            let pause = Timespec { tv_sec: 0, tv_nsec: 300_000 };
            if poll(&mut polled, Some(&pause)).expect("poll") > 0 {
                break;
            }
        }
        let mut word = [0];
        let stays = matches!(stdin.read(&mut word), Ok(1)) && word == *b"s";
        let goes = if stays { NEVER } else { now() };
        for h in std::mem::take(&mut self.held) {
            self.write(h.inode, h.fd.as_raw_fd(), h.came, (goes, NEVER));
            // Open until the process exits.
            std::mem::forget(h);
        }
        self.write(inode(&self.mail), self.mail.as_raw_fd(), came, (goes, NEVER));
        for (inode, fd) in std::mem::take(&mut self.apart) {
            self.write(inode, fd, came, (goes, NEVER));
        }
        std::fs::write(self.dir.join(format!("log.{}", std::process::id())), &self.log).expect("log");
        println!("written");
        if stays {
            let _ = stdin.read(&mut word);
        }
    }

    fn act(&mut self) {
        let (i, j) = (self.dice.below(self.held.len()), self.dice.below(self.held.len()));
        let (few, full) = (self.held.len() < 4, self.held.len() >= MOST);
        match self.dice.below(8) {
            0 | 1 if !full => {
                let before = now();
                let fd = UdpSocket::bind("127.0.0.1:0").expect("udp");
                self.add(before, fd.into());
            }
            2 if !full && !few => {
                let before = now();
                let fd = self.held[i].fd.try_clone().expect("dup");
                self.add(before, fd);
            }
            3 if !few => self.close(i),
            // Replacing another one: the number of descriptors stays the same.
            4 if !few && i != j => {
                let [from, over] = self.held.get_disjoint_mut([i, j]).expect("two");
                let (inode, came, number) = (over.inode, over.came, over.fd.as_raw_fd());
                let before = now();
                dup2(&from.fd, &mut over.fd).expect("dup2");
                let after = now();
                (over.inode, over.came) = (from.inode, (before, after));
                self.write(inode, number, came, (before, after));
            }
            5 | 6 if !few => {
                self.pass_on(i);
                if self.dice.below(2) == 0 {
                    self.close(i);
                }
            }
            _ if !full => self.take_in(),
            _ => self.close(i),
        }
    }

    /// Writes a log line: inode, number, interval of opening, interval of closing.
    fn write(&mut self, inode: u64, number: i32, came: (u64, u64), went: (u64, u64)) {
        let line = format!("{inode} {number} {} {} {} {}\n", came.0, came.1, went.0, went.1);
        self.log.push_str(&line);
    }

    fn add(&mut self, before: u64, fd: OwnedFd) {
        self.held.push(Held { inode: inode(&fd), fd, came: (before, now()) });
    }

    fn close(&mut self, i: usize) {
        let Held { fd, inode, came } = self.held.swap_remove(i);
        let (number, before) = (fd.as_raw_fd(), now());
        drop(fd);
        self.write(inode, number, came, (before, now()));
    }

    fn pass_on(&mut self, i: usize) {
        let to = self.dir.join(self.dice.below(self.all).to_string());
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut more = SendAncillaryBuffer::new(&mut room);
        let fds = [self.held[i].fd.as_fd()];
        more.push(SendAncillaryMessage::ScmRights(&fds));
        let to = SocketAddrUnix::new(&to).expect("a short path");
        // A full queue accepts no more, and that of a holder that is being replaced none.
        let _ = net::sendmsg_addr(&self.mail, &to, &[IoSlice::new(b"x")], &mut more, SendFlags::empty());
    }

    fn take_in(&mut self) {
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut more = RecvAncillaryBuffer::new(&mut room);
        let mut byte = [0];
        let before = now();
        let into = &mut [IoSliceMut::new(&mut byte)];
        if net::recvmsg(&self.mail, into, &mut more, RecvFlags::CMSG_CLOEXEC).is_err() {
            return;
        }
        for message in more.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                fds.for_each(|fd| self.add(before, fd));
            }
        }
    }
}

fn inode(fd: impl AsFd) -> u64 {
    rustix::fs::fstat(fd).expect("fstat").st_ino
}

/// A descriptor of a process, from some time within the first to some time within the second interval.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) pid: u32,
    pub(crate) inode: u64,
    pub(crate) fd: u32,
    pub(crate) came: (u64, u64),
    pub(crate) went: (u64, u64),
}

struct One {
    number: usize,
    child: Child,
    orders: ChildStdin,
    answers: BufReader<std::process::ChildStdout>,
}

impl One {
    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        line.trim_end().to_owned()
    }

    fn order(&mut self, word: &[u8]) {
        self.orders.write_all(word).expect("an order");
        assert_eq!(self.answer(), "written");
    }
}

/// Holders and their common directory.
pub(crate) struct Holders {
    dir: tempfile::TempDir,
    live: Vec<One>,
    all: usize,
    /// Pids of all holders, also of exited ones.
    pub(crate) pids: BTreeSet<u32>,
}

impl Holders {
    pub(crate) fn start(all: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut this = Self { dir, live: Vec::new(), all, pids: BTreeSet::new() };
        (0..all).for_each(|i| this.begin(i));
        this
    }

    fn begin(&mut self, number: usize) {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .env(HOLDER, format!("{number} {} {}", self.all, self.dir.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a holder");
        let (orders, answers) = (child.stdin.take().expect("stdin"), child.stdout.take().expect("stdout"));
        self.pids.insert(child.id());
        let mut one = One { number, child, orders, answers: BufReader::new(answers) };
        assert_eq!(one.answer(), "ready");
        self.live.push(one);
    }

    /// Replaces the oldest holder.
    pub(crate) fn replace(&mut self) {
        let mut one = self.live.remove(0);
        one.order(b"q");
        one.child.wait().expect("its end");
        self.begin(one.number);
    }

    /// Makes all of them idle, with their descriptors open.
    pub(crate) fn rest(&mut self) {
        self.live.iter_mut().for_each(|one| one.order(b"s"));
    }

    /// Logged spans.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let mut out = Vec::new();
        for pid in &self.pids {
            let text = std::fs::read_to_string(self.dir.path().join(format!("log.{pid}"))).expect("a log");
            for line in text.lines() {
                let n: Vec<u64> = line.split(' ').map(|w| w.parse().expect("a number")).collect();
                out.push(Span {
                    pid: *pid,
                    inode: n[0],
                    fd: n[1] as u32,
                    came: (n[2], n[3]),
                    went: (n[4], n[5]),
                });
            }
        }
        out
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        for one in &mut self.live {
            let _ = one.child.kill();
            let _ = one.child.wait();
        }
    }
}
