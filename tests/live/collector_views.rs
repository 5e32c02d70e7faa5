//! The dashboard with a collector process beside one without, over the same sockets: every view has the same words.

use super::collector_process::{by_sudo, collector};
use super::compare::check;
use super::netns::{Program, sh};
use super::world::{World, listen};
use crate::screen::Screen;
use crate::wait::until_ok;
use std::collections::BTreeSet;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

/// Words of a screen. Numbers differ between two polls, and so do bars.
fn words(screen: &str) -> BTreeSet<&str> {
    let is_word = |w: &&str| w.contains(char::is_alphabetic) && !w.contains(|c: char| c.is_ascii_digit());
    screen.split([' ', '\n', '│', '─']).filter(is_word).collect()
}

/// Words of the table in the lines with this text: each dashboard has its own moments, and selects another.
fn words_of_rows<'a>(screen: &'a str, text: &str) -> BTreeSet<&'a str> {
    let rows = screen.lines().skip(3).filter(|l| l.contains(text));
    rows.flat_map(|l| words(l.split('│').next().unwrap_or_default())).collect()
}

/// A DNS question for `parity.example`, of type A.
const QUESTION: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x06parity\x07example\0\0\x01\0\x01";

/// Two dashboards of the same machine.
struct Both {
    with: Screen,
    without: Screen,
}

impl Both {
    fn keys(&mut self, keys: &str) {
        self.with.keys(keys);
        self.without.keys(keys);
    }

    /// Waits until both have the same words, with this text; `stir` is called before each comparison.
    fn agree(&mut self, what: &str, text: &str, stir: impl FnMut(&mut Self)) -> Result<(), String> {
        self.agree_on(what, text, stir, words)
    }

    /// The same of these words.
    fn agree_on(
        &mut self,
        what: &str,
        text: &str,
        mut stir: impl FnMut(&mut Self),
        of: impl Fn(&str) -> BTreeSet<&str>,
    ) -> Result<(), String> {
        until_ok(|| {
            stir(self);
            let (a, b) = (self.with.text(), self.without.text());
            check(b.contains(text), || format!("{what}: no {text:?} without a collector process:\n{b}"))?;
            check(a.contains(text), || format!("{what}: no {text:?} with a collector process:\n{a}"))?;
            let (with, without) = (of(&a), of(&b));
            check(with == without, || {
                let only: Vec<_> = with.difference(&without).collect();
                let missing: Vec<_> = without.difference(&with).collect();
                format!("{what}: with a collector process also {only:?}, and not {missing:?}\n{a}\n{b}")
            })
        })
    }
}

pub(crate) fn every_view_is_that_of_a_dashboard_without_a_collector_process() -> Result<(), String> {
    // Sockets of two namespaces and families, a rule, and a process near its limit.
    sh("ip netns add inner && ip -n inner link set lo up && \
        ip link add outer0 type veth peer name inner0 netns inner && ip addr add 10.9.0.1/24 dev outer0 && \
        ip link set outer0 up && ip -n inner addr add 10.9.0.2/24 dev inner0 && ip -n inner link set inner0 up && \
        nft 'add table ip t; add chain ip t pre { type nat hook prerouting priority -100; }; \
             add rule ip t pre tcp dport 8080 dnat to 10.9.0.2:80'")?;
    let serve = "use IO::Socket::INET; my $l = IO::Socket::INET->new(Listen => 5, LocalAddr => '10.9.0.2:80') or die; \
                 my @k; while (my $c = $l->accept) { push @k, $c }";
    let inner =
        Command::new("ip").args(["netns", "exec", "inner", "perl", "-e", serve]).stdin(Stdio::null()).spawn();
    let _inner = Program(inner.map_err(|e| e.to_string())?);
    let full = Command::new("prlimit").args(["--nofile=4:4", "sleep", "1000"]).stdin(Stdio::null()).spawn();
    let _full = Program(full.map_err(|e| e.to_string())?);
    let mut world = World::default();
    let listener = listen("127.0.0.1:7941", 8, false);
    world.established(&listener, None);
    // Not an orphan, which the kernel removes after a while.
    world.fin_wait2(&listener);
    let _unix = UnixListener::bind("/run/parity.sock").map_err(|e| e.to_string())?;
    let name_server = UdpSocket::bind("127.0.0.1:53").map_err(|e| e.to_string())?;
    let client = UdpSocket::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let brief = listen("127.0.0.1:7942", 8, false);

    let mut both = Both {
        with: by_sudo(&[]),
        without: Screen::sockscope(160, 40, &["--interval", "300ms", "--no-sandbox"], &[]),
    };
    for screen in [&mut both.with, &mut both.without] {
        screen.shows(" live ");
        // Wide enough for every column: which ones fit depends on what the widest row was.
        screen.resize(260, 60);
    }
    collector(both.with.pid())?;
    for (keys, what, text) in [
        // With the owner, this process: the column of owners stays as wide.
        ("1", "sockets", "live-"),
        ("/netns:inner\r", "another namespace", "10.9.0.2:80"),
        ("/\x15proto:unix parity\r", "unix sockets", "/run/parity.sock"),
        ("/\x15\r2", "ports", "7941"),
        ("3", "processes", "perl"),
        ("4", "peers", "127.0.0.1"),
        ("5", "limits", "sleep"),
        ("6", "forwards", "10.9.0.2:80"),
        ("7", "map", ":7941"),
    ] {
        both.keys(keys);
        // The selected row may have moved since the view was opened.
        both.agree(what, text, |both| both.keys("\x1b[H"))?;
    }
    // Connections that end between two polls.
    both.keys("8/port:7942\r");
    let connect = |_: &mut Both| {
        let made = TcpStream::connect("127.0.0.1:7942").and_then(|_| brief.accept());
        drop(made);
    };
    both.agree_on("events", "127.0.0.1:7942", connect, |t| words_of_rows(t, "127.0.0.1:7942"))?;
    both.keys("9");
    let ask = |_: &mut Both| {
        let mut question = [0; 64];
        let _ = client.send_to(QUESTION, "127.0.0.1:53");
        if let Ok((n, from)) = name_server.recv_from(&mut question) {
            // NXDOMAIN.
            question[2..4].copy_from_slice(&[0x81, 0x83]);
            let _ = name_server.send_to(&question[..n], from);
        }
    };
    both.agree_on("dns", "NXDOMAIN", ask, |t| words_of_rows(t, "NXDOMAIN"))?;
    // What is read beside the samples, and what acts begin with.
    both.keys("1/lport:7941 state:established\r");
    both.agree("one socket", "1 of", |_| {})?;
    both.keys("\x1b[F");
    both.keys("\r");
    both.agree("details", "cwd", |_| {})?;
    both.keys("W");
    both.agree("why", "listens on 127.0.0.1:7941 only", |_| {})?;
    both.keys("q");
    both.keys("K");
    both.agree("acts", "close this socket", |_| {})?;
    both.keys("q");
    both.keys("L");
    both.agree("the question of L", "?", |_| {})?;
    both.keys("\x03");
    both.with.ends();
    both.without.ends();
    Ok(())
}
