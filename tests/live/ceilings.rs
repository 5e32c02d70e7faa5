//! Ceilings of `limits`: each is driven, one call after the other, until the call fails, and the row is at 100 % exactly then.
//!
//! Ephemeral ports have a file of their own, and so have the ceilings of the whole machine (`tests/machine_ceilings.rs`). Those of
//! inotify in a user namespace are driven with the program in it.

use super::compare::check;
use super::limits::{Program, Watch};
use crate::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use sockscope::model::Proto;
use sockscope::model::limit::{Level, Limit, LimitKind, LimitSubject};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// One ceiling and what makes the call that it limits: a Perl program that makes one for each line of its input and prints 0, or
/// the errno of a failure.
struct Ceiling {
    name: &'static str,
    script: &'static str,
    errno: i32,
    is_row: fn(&Limit, u32) -> bool,
}

const CEILINGS: &[Ceiling] = &[
    Ceiling {
        name: "descriptors",
        script: "while (<STDIN>) { if (open my $f, '<', '/dev/null') { push @h, $f; print \"0\\n\" } \
                 else { print $! + 0, \"\\n\" } }",
        errno: 24,
        is_row: is_of_process,
    },
    // Those numbered above the limit take none of the numbers below it.
    Ceiling {
        name: "descriptors beside inherited ones",
        script: "POSIX::dup2(0, $_) for 300 .. 309; \
                 system('prlimit', '--pid', $$, '--nofile=20:400') and die; \
                 while (<STDIN>) { if (open my $f, '<', '/dev/null') { push @h, $f; print \"0\\n\" } \
                 else { print $! + 0, \"\\n\" } }",
        errno: 24,
        is_row: is_of_process,
    },
    Ceiling {
        name: "UNIX accept queue",
        script: "use Socket; use Fcntl; socket(L, 1, 1, 0); bind(L, pack_sockaddr_un(\"\\0ceiling\")) or die; listen(L, 3); \
                 while (<STDIN>) { socket(my $c, 1, 1, 0); fcntl($c, F_SETFL, O_NONBLOCK); \
                 if (connect($c, pack_sockaddr_un(\"\\0ceiling\"))) { push @h, $c; print \"0\\n\" } else { print $! + 0, \"\\n\" } }",
        errno: 11,
        is_row: |l, _| {
            let unix =
                matches!(&l.subject, LimitSubject::NamedListener(Proto::Unix, name) if &**name == "@ceiling");
            l.kind == LimitKind::Accept && unix
        },
    },
    // A SYN to a full queue is dropped.
    Ceiling {
        name: "TCP accept queue",
        script: "use Socket; use Fcntl; socket(L, 2, 1, 0); bind(L, sockaddr_in(7961, inet_aton('127.0.0.1'))) or die; listen(L, 3); \
                 while (<STDIN>) { socket(my $c, 2, 1, 0); fcntl($c, F_SETFL, O_NONBLOCK); \
                 connect($c, sockaddr_in(7961, inet_aton('127.0.0.1'))); my $w = ''; vec($w, fileno($c), 1) = 1; \
                 if (select(undef, $w, undef, 2)) { push @h, $c; print \"0\\n\" } else { print \"110\\n\" } }",
        errno: 110,
        is_row: |l, _| {
            let tcp = matches!(&l.subject, LimitSubject::Listener(_, at, _) if at.port == 7961);
            l.kind == LimitKind::Accept && tcp
        },
    },
    // A connection beyond it skips TIME_WAIT, and is counted.
    Ceiling {
        name: "TIME_WAIT",
        script: "use Socket; sub over { open my $f, '<', '/proc/net/netstat'; my @n = split ' ', <$f>; my @v = split ' ', <$f>; \
                 my %h; @h{@n} = @v; $h{TCPTimeWaitOverflow} } \
                 open my $m, '>', '/proc/sys/net/ipv4/tcp_max_tw_buckets'; print $m 6; close $m; \
                 socket(L, 2, 1, 0); setsockopt(L, 1, 2, 1); bind(L, sockaddr_in(7962, inet_aton('127.0.0.1'))) or die; listen(L, 9); \
                 while (<STDIN>) { my $o = over(); socket(my $c, 2, 1, 0); connect($c, sockaddr_in(7962, inet_aton('127.0.0.1'))); \
                 accept(my $a, L); close $c; close $a; select undef, undef, undef, .05; print over() > $o ? 1 : 0, \"\\n\" }",
        errno: 1,
        is_row: |l, _| l.kind == LimitKind::TimeWait && l.subject == LimitSubject::Net,
    },
    Ceiling {
        name: "inotify instances",
        script: "open my $m, '<', '/proc/sys/fs/inotify/max_user_instances'; my $max = 0 + <$m>; ($<, $>) = (64321, 64321); \
                 my $nr = (POSIX::uname())[4] eq 'x86_64' ? 294 : 26; sub one { my $r = syscall($nr, 0); $r < 0 ? $! + 0 : 0 } one() for 4 .. $max; \
                 while (<STDIN>) { print one(), \"\\n\" }",
        errno: 24,
        is_row: |l, _| l.kind == LimitKind::InotifyInstances && l.subject == LimitSubject::User(64321),
    },
    // That of the parent of the cgroup it is in.
    Ceiling {
        name: "tasks of a unit",
        script: "for my $d (grep { -e \"$_/cgroup.procs\" } map { \"/sys/fs/cgroup$_\" } '', '/pids', '/systemd') { \
                 my $c = \"$d/sockscope-ceiling\"; mkdir $c; mkdir \"$c/leaf\"; \
                 if (open my $m, '>', \"$c/pids.max\") { print $m 6; close $m } \
                 open my $p, '>', \"$c/leaf/cgroup.procs\" or die; print $p $$; close $p } \
                 sub one { my $p = fork; defined $p or return $! + 0; $p or do { POSIX::pause(); POSIX::_exit(0) }; 0 } \
                 while (<STDIN>) { print one(), \"\\n\" }",
        errno: 11,
        is_row: |l, _| l.subject == LimitSubject::Cgroup("/sockscope-ceiling".into()),
    },
    // The pid namespace of this case has a maximum of its own since Linux 6.14; the first pass of the numbers ends at it. The last one: the
    // namespace stays full.
    Ceiling {
        name: "pids",
        script: "open my $m, '>', '/proc/sys/kernel/pid_max'; print $m 420; close $m; \
                 sub one { my $p = fork; defined $p or return $! + 0; $p or do { POSIX::pause(); POSIX::_exit(0) }; push @p, $p; 0 } \
                 END { kill 9, @p } \
                 $SIG{TERM} = sub { kill 9, @p; exit }; \
                 one() while !@p || $p[-1] < 412; \
                 while (<STDIN>) { print one(), \"\\n\" }",
        errno: 11,
        is_row: |l, _| l.kind == LimitKind::Threads,
    },
];

/// The row of the descriptors of this process.
fn is_of_process(l: &Limit, pid: u32) -> bool {
    l.kind == LimitKind::Fds && matches!(l.subject, LimitSubject::Process(p, _) if p == pid)
}

/// Before every call `limits` has reported whether it fails: at 100 % it does, below it does not.
pub(crate) fn ceiling_is_full_exactly_when_the_call_fails() -> Result<(), String> {
    // Before, the sysctl would be that of the machine.
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    let own_pid_max = (numbers.next(), numbers.next()) >= (Some(6), Some(14));
    for ceiling in CEILINGS.iter().filter(|c| own_pid_max || c.name != "pids") {
        let driven = drive(ceiling);
        remove_cgroups()?;
        driven.map_err(|e| format!("{}: {e}", ceiling.name))?;
    }
    Ok(())
}

/// Removes what the driver of [`LimitKind::CgroupPids`] made.
fn remove_cgroups() -> Result<(), String> {
    for hierarchy in ["", "pids", "systemd"] {
        let parent = Path::new("/sys/fs/cgroup").join(hierarchy).join("sockscope-ceiling");
        let leaf = parent.join("leaf");
        let is_removed = || {
            let pids = std::fs::read_to_string(leaf.join("cgroup.procs")).unwrap_or_default();
            let pids = pids.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
            pids.for_each(|pid| _ = kill_process(pid, Signal::KILL));
            _ = std::fs::remove_dir(&leaf);
            _ = std::fs::remove_dir(&parent);
            (!parent.exists()).then_some(())
        };
        until("the cgroup to be removed", is_removed)?;
    }
    Ok(())
}

fn drive(ceiling: &Ceiling) -> Result<(), String> {
    // Without the descriptors of the test.
    let script = format!("require POSIX; POSIX::close($_) for 3 .. 1023; $| = 1; {}", ceiling.script);
    let limit = if ceiling.name == "descriptors" { 20 } else { 400 };
    let mut sh = Command::new("sh");
    sh.args(["-c", &format!("ulimit -n 400; ulimit -S -n {limit}; exec perl -e \"$0\""), &script]);
    sh.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut driver = Program(sh.spawn().map_err(|e| e.to_string())?);
    let (Some(mut orders), Some(answers)) = (driver.stdin.take(), driver.stdout.take()) else {
        return Err("no pipes".to_owned());
    };
    let mut answers = BufReader::new(answers);
    let mut call = || -> Result<i32, String> {
        let mut answer = String::new();
        writeln!(orders, "go").and_then(|()| answers.read_line(&mut answer)).map_err(|e| e.to_string())?;
        answer.trim().parse().map_err(|e| format!("{e}: {answer:?}"))
    };
    let got = call()?;
    check(got == 0, || format!("errno {got} at the first call"))?;
    let mut watch = Watch::new();
    let mut calls = 1;
    loop {
        if ceiling.name == "tasks of a unit" {
            // A watch reads cgroups at each fifth poll.
            watch = Watch::new();
        }
        let snap = watch.poll();
        let row = snap.limits.iter().find(|l| (ceiling.is_row)(l, driver.id())).cloned();
        let full = row.as_ref().and_then(Limit::share).is_some_and(|s| s >= 1.0);
        let got = call()?;
        calls += 1;
        check(calls < 200, || format!("never fails: {row:?}"))?;
        check(full == (got != 0), || format!("errno {got} at call {calls}: {row:?}"))?;
        if got != 0 {
            check(got == ceiling.errno, || format!("errno {got}"))?;
            let level = row.map(|l| l.level);
            return check(level == Some(Level::Critical), || format!("{level:?}"));
        }
    }
}

/// A user namespace has a maximum of its own for inotify: it is the ceiling if it is lower, and its sysctl is named.
pub(crate) fn inotify_ceiling_of_a_user_namespace_is_its_own() -> Result<(), String> {
    // Watches of one instance on so many files; then it prints the errno of one more and waits for its input to end.
    let script = "require POSIX; my ($dir, $n) = @ARGV; my $x = (POSIX::uname())[4] eq 'x86_64'; \
                  my ($init, $add) = $x ? (294, 254) : (26, 27); my $fd = syscall($init, 0); \
                  sub one { my $f = \"$dir/$_[0]\"; open my $h, '>', $f or die; close $h; \
                  my $r = syscall($add, $fd, $f, 2); $r < 0 ? $! + 0 : 0 } \
                  one($_) == 0 or die for 1 .. $n; $| = 1; print \"ready\\n\"; <STDIN>; print one($n + 1), \"\\n\"";
    let program = env!("CARGO_BIN_EXE_sockscope");
    for (watches, full) in [(19, false), (20, true)] {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        // The driver answers on a pipe, so that the program runs while it waits.
        let steps = "echo 20 > /proc/sys/user/max_inotify_watches; mkfifo $2/in $2/out; perl -e \"$0\" $2 $1 < $2/in > $2/out & \
                     exec 8> $2/in 9< $2/out; read line <&9; $3 limits --format json limit:inotify-watches; echo; \
                     echo >&8; read errno <&9; echo $errno";
        let watches = watches.to_string();
        let dir_name = dir.path().to_string_lossy().into_owned();
        let out = Command::new("unshare")
            .args(["-Ur", "bash", "-c", steps, script, &watches, &dir_name, program])
            .output()
            .map_err(|e| e.to_string())?;
        let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        let (json, errno) = text.trim().rsplit_once('\n').ok_or_else(|| format!("{text} {errors}"))?;
        let rows: serde_json::Value =
            serde_json::from_str(json).map_err(|e| format!("{e}: {json} {errors}"))?;
        let row = rows.as_array().and_then(|rows| rows.first()).ok_or_else(|| format!("no row: {text}"))?;
        check(row["max"] == 20, || format!("{row}"))?;
        check((row["used"] == 20) == full, || format!("{row}"))?;
        check(errno == if full { "28" } else { "0" }, || format!("errno {errno} with {row}"))?;
        if full {
            check(json.contains("user.max_inotify_watches"), || format!("its sysctl: {row}"))?;
        }
    }
    Ok(())
}
