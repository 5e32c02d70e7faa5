//! Limits: exhaustion is forecast, and stable usage raises no alert.

use super::compare::check;
use crate::cases;
use crate::wait::{PATIENCE, until, until_ok};
use sockscope::collect::Source;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::derive::Engine;
use sockscope::diagnose::finding::limit_diagnosis;
use sockscope::model::limit::{Level, Limit, LimitKind, LimitSubject};
use sockscope::model::{AttrSet, Reads, Snapshot, Wants};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) struct Watch {
    source: NetlinkSource,
    engine: Engine,
    wants: Wants,
}

impl Watch {
    pub(crate) fn new() -> Self {
        let source = NetlinkSource::new("requested".into()).unwrap();
        let wants = Wants::default().with(Reads::LIMITS | Reads::FD_KINDS).with_attrs(AttrSet::SKMEM);
        Self { source, engine: Engine::new(), wants }
    }

    pub(crate) fn poll(&mut self) -> Arc<Snapshot> {
        self.engine.step(self.source.sample(&self.wants).unwrap())
    }
}

fn find(snap: &Snapshot, is: impl Fn(&Limit) -> bool) -> Option<&Limit> {
    snap.limits.iter().find(|l| is(l))
}

fn of_process(pid: u32) -> impl Fn(&Limit) -> bool {
    move |l| l.kind == LimitKind::Fds && matches!(l.subject, LimitSubject::Process(p, _) if p == pid)
}

/// A Perl program with a limit on descriptors; unlike a shell's, its descriptors take the lowest free number.
fn perl(limit: u32, script: &str) -> Program {
    let run = format!("ulimit -S -n {limit}; exec perl -e \"$0\"");
    let mut sh = Command::new("sh");
    Program(sh.args(["-c", &run, script]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// A process that exits with the case.
pub(crate) struct Program(pub(crate) Child);

impl Deref for Program {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process with a given number of open files.
struct Files {
    program: Program,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Files {
    fn start(limit: u32) -> Self {
        let script = "$| = 1; while (my $n = <STDIN>) { \
            while (@h < $n) { open(my $f, '<', '/dev/null') or last; push @h, $f } \
            pop @h while @h > $n; print scalar(@h), \"\\n\" }";
        let run = format!("ulimit -S -n {limit}; exec perl -e \"$0\"");
        let mut sh = Command::new("sh");
        sh.args(["-c", &run, script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = Program(sh.spawn().unwrap());
        let (orders, answers) = (program.stdin.take().unwrap(), program.stdout.take().unwrap());
        Self { program, orders, answers: BufReader::new(answers) }
    }

    /// Makes it open this many files; returns the number it has then.
    fn hold(&mut self, n: usize) -> usize {
        writeln!(self.orders, "{n}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }
}

/// A leak has a forecast and an alert before it is fatal; fluctuating usage has neither. Both have at each poll the values
/// due by the clock, however rarely they are scheduled.
pub(crate) fn fd_leak_is_predicted_and_fluctuation_is_not() -> Result<(), String> {
    const PER_S: f64 = 5.0;
    let (mut leak, mut fluctuating) = (Files::start(120), Files::start(60));
    let mut watch = Watch::new();
    let began = boot_s();
    let (mut forecasts, mut alerted, mut wrong_alerts) = (Vec::new(), None, Vec::new());
    let died = loop {
        let now = boot_s() - began;
        let wanted = (now * PER_S) as usize;
        let held = leak.hold(wanted);
        if held < wanted {
            break (held + 1) as f64 / PER_S;
        }
        let phase = now % 4.0;
        fluctuating.hold((phase.min(4.0 - phase) * 10.0) as usize);
        let snap = watch.poll();
        let now = snap.sample.at.boot_ns as f64 / 1e9 - began;
        if let Some(l) = find(&snap, of_process(leak.program.id())) {
            if let Some(f) = l.full_in {
                forecasts.push((now, now + f.likely));
            }
            if l.level > Level::Ok {
                alerted.get_or_insert(now);
            }
        }
        if let Some(l) = find(&snap, of_process(fluctuating.program.id()))
            && l.level > Level::Ok
        {
            wrong_alerts.push((now, l.used, l.full_in));
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    let late: Vec<_> = forecasts.iter().filter(|(at, _)| *at > died / 2.0).collect();
    check(late.len() > 5, || format!("{} predictions after half of {died:.1} s", late.len()))?;
    // Within a fifth of the remaining time; all but a few, which a busy machine may delay, and those within a fifth of
    // the total time. Near the end readings are a fifth of a second apart: that much is not an error.
    let error = |(at, when): &&(f64, f64)| ((when - died).abs(), ((died - at) * 0.2).max(0.5));
    let wrong: Vec<_> = late.iter().filter(|p| error(p).0 > error(p).1).collect();
    let far = wrong.iter().any(|p| error(p).0 > died * 0.2);
    check(wrong.len() * 10 <= late.len() && !far, || {
        format!("failed at {died:.1} s; {} predictions, wrong (at, when): {wrong:.1?}", late.len())
    })?;
    check(alerted.is_some_and(|at| at < died - 0.5), || {
        format!("alerted at {alerted:?}, failed at {died:.1}")
    })?;
    check(wrong_alerts.is_empty(), || format!("a fluctuation was alerted: {wrong_alerts:?}"))
}

/// Seconds since boot, by the clock of the samples.
fn boot_s() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// `ListenOverflows` of this namespace, and the drops of the listener at `port`: its `sk_drops` as `ss` prints them, at most
/// `ListenDrops`, since a reset in place of the last ACK of the handshake counts in `sk_drops` alone.
fn kernel_drops(port: u16) -> (u64, u64) {
    let out = Command::new("ss").args(["-HOtlnm", &format!("sport = :{port}")]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    // `skmem:(r0,rb131072,t0,tb16384,f0,w0,o0,bl0,d5)`
    let one = text.rsplit_once(",d").and_then(|(_, d)| d.split_once(')')?.0.parse::<u64>().ok());
    let text = std::fs::read_to_string("/proc/self/net/netstat").unwrap();
    let mut lines = text.lines().filter(|l| l.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let counter = |name: &str| -> u64 {
        let at = names.split(' ').position(|w| w == name).unwrap();
        values.split(' ').nth(at).unwrap().parse().unwrap()
    };
    (counter("ListenOverflows"), one.expect(&text).min(counter("ListenDrops")))
}

/// A listener over its backlog: full, critical, with the kernel's drop counter.
pub(crate) fn full_accept_queue_is_critical_with_the_drops_of_the_kernel() -> Result<(), String> {
    let listener = super::world::listen("127.0.0.1:7921", 2, false);
    let to: SocketAddr = "127.0.0.1:7921".parse().unwrap();
    let mut watch = Watch::new();
    watch.poll();
    let before = kernel_drops(7921).0;
    let clients: Vec<_> = (0..8)
        .map(|_| std::thread::spawn(move || TcpStream::connect_timeout(&to, Duration::from_secs(2))))
        .collect();
    let mine = |l: &Limit| matches!(&l.subject, LimitSubject::Listener(_, e, _) if e.port == 7921);
    until_ok(|| {
        let snap = watch.poll();
        let l = find(&snap, mine).ok_or("the listener has no row")?;
        check(l.level == Level::Critical && l.used > 2 && l.max == Some(2), || format!("{l:?}"))
    })?;
    let _done: Vec<_> = clients.into_iter().filter_map(|c| c.join().ok()?.ok()).collect();
    // Every count equals the kernel's once that is stable: a client may have a segment in flight.
    let ((overflows, drops), snap) = until("the counts to rest", || {
        let seen = (kernel_drops(7921), watch.poll());
        (seen.0 == kernel_drops(7921)).then_some(seen)
    })?;
    let all = find(&snap, |l| l.kind == LimitKind::Accept && l.subject == LimitSubject::Net)
        .ok_or("no row of all")?;
    check(overflows > before && all.drops == Some(overflows), || {
        format!("{:?} is not the kernel's {overflows}, before {before}", all.drops)
    })?;
    let l = find(&snap, mine).ok_or("the listener has no row")?;
    check(drops > 0 && l.drops == Some(drops), || format!("{:?} is not the kernel's {drops}", l.drops))?;
    drop(listener);
    Ok(())
}

/// Overflows in the first seconds of a check count at its end, when the queue has long been empty.
pub(crate) fn check_judges_its_whole_window() -> Result<(), String> {
    let listener = super::world::listen("127.0.0.1:7922", 1, false);
    listener.set_nonblocking(true).map_err(|e| e.to_string())?;
    let overflows = || kernel_drops(7922).0;
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockscope"));
    command.args(["check", "--netns", "here", "--for", "8s", "--only", "accept"]);
    let child = command.stdout(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
    // Its first poll is the one that the others are compared with.
    let socket = |fd: std::fs::DirEntry| {
        std::fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
    };
    let fds = format!("/proc/{}/fd", child.id());
    until("its sockets", || std::fs::read_dir(&fds).ok()?.flatten().any(socket).then_some(()))?;
    let (began, before) = (Instant::now(), overflows());
    let to: SocketAddr = "127.0.0.1:7922".parse().unwrap();
    while began.elapsed() < Duration::from_secs(3) {
        let _held: Vec<_> =
            (0..4).map(|_| TcpStream::connect_timeout(&to, Duration::from_millis(200))).collect();
        while listener.accept().is_ok() {}
    }
    check(overflows() > before, || "the queue did not overflow".to_owned())?;
    let out = child.wait_with_output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout);
    let is_named =
        out.status.code() == Some(2) && text.starts_with("CRITICAL") && text.contains(" lost in 8s");
    check(is_named, || format!("{:?} {text}", out.status))?;
    let (code, text) = checked(&["--for", "1s", "--only", "accept"])?;
    check(code == 0, || format!("after it: {code} {text}"))
}

/// Local ports for one destination: at 100 % connect fails, not before.
pub(crate) fn local_ports_at_100_percent_make_connect_fail() -> Result<(), String> {
    let range = "/proc/sys/net/ipv4/ip_local_port_range";
    let old = std::fs::read_to_string(range).map_err(|e| format!("{range}: {e}"))?;
    std::fs::write(range, "50000 50019").map_err(|e| format!("{range}: {e}"))?;
    let listener = TcpListener::bind("127.0.0.1:7931").unwrap();
    let mut held = Vec::new();
    let mut watch = Watch::new();
    let to = |l: &Limit| matches!(&l.subject, LimitSubject::Route(from, to) if to.port == 7931 && from.to_string() == "127.0.0.1");
    // Before every connect the limit predicts its result.
    let (full, snap, error) = loop {
        let snap = watch.poll();
        let l = find(&snap, to).cloned();
        let full = l.as_ref().and_then(Limit::share).is_some_and(|s| s >= 1.0);
        let used = l.as_ref().map_or(0, |l| l.used);
        check(used == held.len() as u64, || format!("{} are held: {l:?}", held.len()))?;
        match TcpStream::connect("127.0.0.1:7931") {
            Ok(s) => held.push((s, listener.accept().unwrap())),
            Err(e) => break (full, snap, e),
        }
        check(!full, || format!("connect succeeded at 100 %: {l:?}"))?;
    };
    std::fs::write(range, old).map_err(|e| format!("{range}: {e}"))?;
    check(full && error.raw_os_error() == Some(99), || format!("predicted: {full}, EADDRNOTAVAIL: {error}"))?;
    let row = snap.limits.iter().position(to).ok_or("no row")?;
    let l = &snap.limits[row];
    check((l.used, l.max, l.level) == (20, Some(20), Level::Critical), || format!("{l:?}"))?;
    let text = limit_diagnosis(&snap, row).map(|d| d.evidence).unwrap_or_default();
    check(text.contains("127.0.0.1 to 127.0.0.1:7931") && text.contains("100%"), || text.clone())
}

/// A process at its limit continues once the limit is raised.
pub(crate) fn process_at_its_fd_limit_continues_when_the_limit_is_raised() -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let done = dir.path().join("done");
    let script = format!(
        "while (@h < 60) {{ if (open my $f, '<', '/dev/null') {{ push @h, $f }} else {{ select undef, undef, undef, 0.05 }} }} \
         open my $d, '>', '{}'; sleep 600",
        done.display()
    );
    let mut child = perl(30, &script);
    let mut watch = Watch::new();
    let process = until_ok(|| {
        let snap = watch.poll();
        match find(&snap, of_process(child.id())) {
            Some(l) if l.max == Some(30) && l.used >= 30 => {
                Ok(snap.sample.processes[l.process.unwrap() as usize].clone())
            }
            other => Err(format!("never full: {other:?}")),
        }
    })?;
    check(!done.exists(), || "it was not held up".to_owned())?;
    let hard = process.fds.ok().and_then(|u| u.hard).unwrap();
    sockscope::actions::set_fd_limit(&process.info, (200, hard)).map_err(|e| e.to_string())?;
    until("the process to go on", || done.exists().then_some(()))?;
    let snap = watch.poll();
    let l = find(&snap, of_process(child.id())).ok_or("no row")?;
    let new = l.max;
    let _ = child.kill();
    let _ = child.wait();
    check(new == Some(200), || format!("the new limit is seen: {new:?}"))?;
    let gone = watch.poll();
    check(find(&gone, of_process(child.id())).is_none(), || "a ghost is left".to_owned())
}

fn checked(args: &[&str]) -> Result<(i32, String), String> {
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(["check", "--netns", "here"])
        .args(args)
        .output()
        .map_err(|e| e.to_string())?;
    Ok((out.status.code().unwrap_or(-1), String::from_utf8_lossy(&out.stdout).into_owned()))
}

/// The four exit statuses, over a process with a given number of open files.
pub(crate) fn check_exits_with_0_1_2_or_3() -> Result<(), String> {
    let mut child = perl(100, "for (1..76) { open my $f, '<', '/dev/null'; push @h, $f } sleep 600");
    let pid = format!("pid:{}", child.id());
    let held = || std::fs::read_dir(format!("/proc/{}/fd", child.id())).map_or(0, Iterator::count);
    until("its files", || (held() >= 79).then_some(()))?;
    for (args, code, word) in [
        (&["--warn", "85%", "--crit", "95%"][..], 0, "OK - "),
        (&["--warn", "70%", "--crit", "95%"], 1, "WARNING - "),
        (&["--warn", "50%", "--crit", "70%"], 2, "CRITICAL - "),
        (&["--only", "conntrack"], 3, "UNKNOWN - "),
    ] {
        let (got, text) =
            checked(&[args, &[&pid, "--only", "fds"][if code == 3 { 0..1 } else { 0..3 }]].concat())?;
        check(got == code && text.starts_with(word), || format!("{args:?}: {got} {text}"))?;
        check(text.lines().next().is_some_and(|l| code == 3 || l.contains(" | '")), || text.clone())?;
    }
    let (code, text) = checked(&["--warn", "70%", &pid, "--only", "fds", "--format", "json"])?;
    let v: serde_json::Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
    let l = &v["limits"][0];
    let whole = code == 1 && v["status"] == "WARNING" && l["max"] == 100 && l["pid"] == child.id();
    check(whole, || text.clone())?;
    let _ = child.kill();
    let _ = child.wait();
    for (wrong, why) in [(&["--warn", "lots"][..], "--warn"), (&["--nope"], "--nope"), (&["foo:bar"], "foo")]
    {
        let (code, text) = checked(wrong)?;
        let is_unknown = code == 3 && text.starts_with("UNKNOWN - ") && text.contains(why);
        check(is_unknown && text.lines().count() == 1, || format!("{wrong:?}: {code} {text}"))?;
    }
    Ok(())
}

/// Sockets that were never bound or connected have no row; their descriptors are counted and named by protocol.
pub(crate) fn sockets_never_bound_are_counted_by_protocol() -> Result<(), String> {
    let leak = perl(
        60,
        "use Socket; for (1..40) { socket(my $s, AF_INET, SOCK_STREAM, 0) or die; push @h, $s } sleep 600",
    );
    let mut watch = Watch::new();
    until_ok(|| {
        let snap = watch.poll();
        let p = snap.sample.processes.iter().position(|p| p.info.pid == leak.id());
        let found = p.map_or_else(Vec::new, |p| sockscope::diagnose::fd_leak::suspects(&snap, p));
        let is_named = |s: &sockscope::diagnose::fd_leak::Suspect| {
            s.what == "TCP sockets never bound or connected" && s.count == 40 && !s.fds.is_empty()
        };
        if found.iter().any(is_named) { Ok(()) } else { Err(format!("not found: {found:?}")) }
    })
}

/// Runs a check behind another `/proc` mount, as this or another user.
fn checked_behind(mount: &str, run: &str, args: &[&str]) -> Result<(i32, String), String> {
    let script = format!("mount -t proc -o {mount} proc /proc && exec {run} \"$@\"");
    let out = Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            &script,
            env!("CARGO_BIN_EXE_sockscope"),
            env!("CARGO_BIN_EXE_sockscope"),
        ])
        .args(["check", "--netns", "here"])
        .args(args)
        .output()
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    Ok((out.status.code().unwrap_or(-1), text))
}

/// Limits behind `subset=pid` are named and UNKNOWN, unless they are excluded or `--allow-partial` is given.
pub(crate) fn check_behind_subset_pid_is_unknown_with_the_limits_it_could_not_read() -> Result<(), String> {
    let run = |args: &[&str]| checked_behind("subset=pid", "", args);
    let (code, text) = run(&[])?;
    let first = text.lines().next().unwrap_or_default();
    check(code == 3 && first.starts_with("UNKNOWN - not judged: "), || format!("{code} {text}"))?;
    for kind in ["files", "threads", "ports", "time-wait", "orphans", "tcp-mem", "udp-mem"] {
        check(first.contains(kind), || format!("{kind}: {first}"))?;
    }
    for (args, want) in [
        (&["--only", "fds"][..], 0),
        (&["limit=fds"], 0),
        (&["--allow-partial"], 0),
        (&["--only", "fds,files"], 3),
        (&["limit=time-wait"], 3),
        (&["--only", "ports", "-q"], 3),
    ] {
        let (code, text) = run(args)?;
        check(code == want, || format!("{args:?}: {code} {text}"))?;
        check(!args.contains(&"-q") || text.is_empty(), || format!("{args:?}: {text}"))?;
    }
    let (_, text) = run(&["--short"])?;
    check(text.lines().count() == 1, || text.clone())
}

/// Processes that `/proc` hides from a user could be at their limits.
pub(crate) fn check_behind_hidepid_is_unknown_for_a_user() -> Result<(), String> {
    let user = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let (code, text) = checked_behind("hidepid=2", user, &["--only", "fds"])?;
    check(code == 3 && text.contains("UNKNOWN - not judged: fds") && text.contains("hidepid"), || {
        format!("{code} {text}")
    })?;
    let (code, text) = checked_behind("hidepid=2", "", &["--only", "fds"])?;
    check(code == 0 && text.starts_with("OK - "), || format!("as root: {code} {text}"))
}

/// A single check finds a `CLOSE_WAIT` leak by the age that the kernel knows.
pub(crate) fn close_wait_older_than_a_minute_is_found_by_one_check() -> Result<(), String> {
    let server = perl(
        200,
        "use IO::Socket::INET; my $l = IO::Socket::INET->new(LocalAddr => '127.0.0.1:7942', Listen => 50) or die; \
         while (my $c = $l->accept) { push @h, $c }",
    );
    until_ok(|| TcpStream::connect("127.0.0.1:7942").map_err(|e| format!("no server: {e}")))?;
    for _ in 0..20 {
        drop(TcpStream::connect("127.0.0.1:7942"));
    }
    let pid = server.id().to_string();
    let args = ["--only", "close-wait", &format!("pid:{pid}")];
    let (code, text) = checked(&args)?;
    check(code == 0, || format!("young ones turn over: {code} {text}"))?;
    let end = Instant::now() + Duration::from_secs(90);
    loop {
        let (code, text) = checked(&args)?;
        if code == 1 {
            return check(text.contains("leaks connections") && text.contains("for 1m or longer"), || {
                text.clone()
            });
        }
        check(Instant::now() < end, || format!("never found: {code} {text}"))?;
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// A process that does not close connections closed by its clients is named, with the descriptors.
pub(crate) fn process_that_leaves_close_wait_open_is_named_with_its_fds() -> Result<(), String> {
    let server = perl(
        200,
        "use IO::Socket::INET; my $l = IO::Socket::INET->new(LocalAddr => '127.0.0.1:7941', Listen => 9) or die; \
         while (my $c = $l->accept) { push @h, $c }",
    );
    let mut watch = Watch::new();
    until_ok(|| TcpStream::connect("127.0.0.1:7941").map_err(|e| format!("no server: {e}")))?;
    let end = Instant::now() + PATIENCE;
    let is = |l: &Limit| {
        l.kind == LimitKind::CloseWait && matches!(l.subject, LimitSubject::Process(p, _) if p == server.id())
    };
    loop {
        drop(TcpStream::connect("127.0.0.1:7941"));
        let snap = watch.poll();
        let row = snap.limits.iter().position(is);
        if let Some(row) = row.filter(|r| snap.limits[*r].level == Level::Warning) {
            let text = limit_diagnosis(&snap, row).map(|d| d.evidence).unwrap_or_default();
            let fds: Vec<u32> = fds_of(server.id(), "socket:");
            // The first is that of the listener.
            let named = fds.get(1).is_some_and(|fd| text.contains(&format!("(fd {fd}, ")));
            check(text.contains("leaks connections") && named, || format!("{fds:?}: {text}"))?;
            check(snap.alerts.iter().any(|a| a.limit as usize == row), || "no alert".to_owned())?;
            return Ok(());
        }
        check(Instant::now() < end, || format!("never named: {:?}", row.map(|r| &snap.limits[r])))?;
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Descriptors of a process whose target begins with this.
fn fds_of(pid: u32, head: &str) -> Vec<u32> {
    let mut out: Vec<u32> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| std::fs::read_link(e.path()).is_ok_and(|t| t.to_string_lossy().starts_with(head)))
        .filter_map(|e| e.file_name().to_string_lossy().parse().ok())
        .collect();
    out.sort_unstable();
    out
}

/// A process near its limit has its descriptors grouped by target: count, target and numbers.
pub(crate) fn process_near_its_fd_limit_has_its_fds_grouped_by_target() -> Result<(), String> {
    let leak = perl(60, "for (1..40) { open my $f, '<', '/etc/passwd'; push @h, $f } sleep 600");
    let mut watch = Watch::new();
    until_ok(|| {
        let snap = watch.poll();
        let p = snap.sample.processes.iter().position(|p| p.info.pid == leak.id());
        let found = p.map_or_else(Vec::new, |p| sockscope::diagnose::fd_leak::suspects(&snap, p));
        if let Some(s) = found.iter().find(|s| s.what.contains("/etc/passwd") && s.count == 40) {
            let fds = fds_of(leak.id(), "/etc/passwd");
            check(fds.starts_with(&s.fds) && !s.fds.is_empty(), || format!("{fds:?}: {s:?}"))?;
            let u = snap.sample.processes[p.unwrap_or(0)].fds.map_err(|e| e.to_string())?;
            let highest = fds_of(leak.id(), "").last().copied();
            return check(u.highest == highest, || format!("{highest:?}: {u:?}"));
        }
        Err(format!("not found: {found:?}"))
    })
}

/// A process that is not accessible has unknown counts, not zero descriptors.
pub(crate) fn process_without_permission_has_no_counts() -> Result<(), String> {
    cases::nested(&["unshare", "--user", "--map-root-user"], "live::limits::from_another_user_namespace")
}

/// The nested case: its parent process is outside of its user namespace.
pub(crate) fn from_another_user_namespace() -> Result<(), String> {
    let outside = std::os::unix::process::parent_id();
    let snap = Watch::new().poll();
    let p = snap.sample.processes.iter().find(|p| p.info.pid == outside).ok_or("it is not listed")?;
    let honest = match &p.fds {
        Err(why) => *why == sockscope::model::Missing::NotPermitted,
        // Their number is world-readable on some kernels, their kinds are not.
        Ok(u) => u.open > 0 && u.kinds.is_none(),
    };
    check(honest && p.fds_hidden.is_some(), || format!("{p:?}"))?;
    check(find(&snap, of_process(outside)).is_none_or(|l| l.used > 0), || "a row with zero".to_owned())?;
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(["processes", &format!("pid:{outside}"), "--format", "json", "--columns"])
        .arg("pid,fds_open,fds_files,fds_highest,fds_sockets")
        .output()
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout);
    let v: serde_json::Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
    let row = &v[0];
    let null = ["fds_files", "fds_highest", "fds_sockets"].iter().all(|k| row[*k].is_null());
    check(row["pid"] == outside && null && row["fds_open"] != 0, || text.to_string())
}

/// A process that exits between two polls, alerted or not, leaves no process, row or alert.
pub(crate) fn ended_process_leaves_no_row_and_no_alert() -> Result<(), String> {
    let mut watch = Watch::new();
    let mut full = perl(40, "for (1..36) { open my $f, '<', '/dev/null'; push @h, $f } sleep 600");
    let is_there = |snap: &Snapshot, pid: u32| {
        let row = snap.limits.iter().position(of_process(pid));
        let alert = row.is_some_and(|r| snap.alerts.iter().any(|a| a.limit as usize == r));
        (snap.sample.processes.iter().any(|p| p.info.pid == pid), row.is_some(), alert)
    };
    until("an alert", || (is_there(&watch.poll(), full.id()) == (true, true, true)).then_some(()))?;
    let _ = full.kill();
    let _ = full.wait();
    let after = is_there(&watch.poll(), full.id());
    check(after == (false, false, false), || format!("left (process, row, alert): {after:?}"))?;
    // Processes that exit during the scan.
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let ends = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            let mut ended = Vec::new();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let mut child = Command::new("true").spawn().unwrap();
                ended.push(child.id());
                let _ = child.wait();
            }
            ended
        })
    };
    for _ in 0..20 {
        watch.poll();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let ended = ends.join().unwrap();
    let snap = watch.poll();
    let left: Vec<_> = ended.iter().filter(|pid| is_there(&snap, **pid).0).collect();
    check(!ended.is_empty() && left.is_empty(), || format!("left of {}: {left:?}", ended.len()))
}
