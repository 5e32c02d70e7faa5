//! Reflexes: twenty command lines of `ss`, `netstat` and `lsof`, twenty of first-time use and twenty keys of htop, k9s, less and vim,
//! each with its answer; and `who` and `kill` on real sockets.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Each test program uses part of it.
#[allow(dead_code)]
#[path = "isolation/programs.rs"]
mod programs;

use programs::namespaces::isolated;
use programs::screen::Screen;
use programs::wait::until;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

/// A command line without the name of the program, its exit status, and text of standard output and standard error.
type Reflex = (&'static str, i32, &'static str, &'static str);

/// Habits of `ss`, `netstat` and `lsof`.
const OTHER_TOOLS: [Reflex; 32] = [
    ("-tulpn", 0, "LISTEN", ""),
    ("-tan", 0, "ESTABLISHED", ""),
    ("list -tan state established", 0, "127.0.0.1:8080", ""),
    ("list -t state listening '( sport = :8080 )'", 0, "8080", ""),
    ("-tnlp sport = :8080", 0, "FD", ""),
    ("list -ti", 0, "CWND", ""),
    ("list -tm", 0, "RCVBUF", ""),
    ("list -to", 0, "TIMER", ""),
    ("list -te", 0, "INODE", ""),
    ("list -Htn", 0, "ESTABLISHED", ""),
    ("list -4tln", 0, "8080", ""),
    ("list -6tln", 1, "", "no socket matches"),
    ("-i 8080", 2, "", "for lsof -i: sockscope :8080"),
    ("-iTCP -sTCP:LISTEN", 2, "", "for lsof -i: sockscope proto:tcp"),
    ("-s", 2, "", "for ss -s and netstat -s: sockscope limits"),
    ("-tupnc", 2, "", "for netstat -c: --watch"),
    ("-K dst 10.0.0.9", 2, "", "sockscope kill FILTER --close"),
    ("-nP -i :8080", 2, "", "sockscope :8080"),
    ("--summary", 2, "", "sockscope limits"),
    ("list -f inet", 2, "", "for ss -f: family:inet"),
    ("list -g state -s count", 0, "COUNT", ""),
    ("list -g process,state -s count", 0, "STATE", ""),
    ("list -tl rport:8080", 1, "", "1 matches with -a"),
    ("list -t rport:8081", 1, "", "and state!=syn-recv,time-wait and "),
    ("list -c +rtt", 0, "RTT", ""),
    ("list -tn -c +rto", 0, "204ms", ""),
    ("list -w 2", 2, "", "-w=2s"),
    ("list -nPt", 0, "ESTABLISHED", ""),
    ("kill -s TERM :8080 --yes --read-only", 2, "", "read-only"),
    ("-f json list :8080", 0, "\"local_port\":8080", ""),
    ("-g state -s count list", 0, "COUNT", ""),
    ("-Htln -c local_port,state ls", 0, "LISTEN", ""),
];

/// First-time use.
const FIRST_TIME: [Reflex; 24] = [
    ("--help", 0, "Coming from ss, netstat or lsof", ""),
    ("-h", 0, "Usage:", ""),
    ("help", 0, "Usage:", ""),
    ("help list", 0, "--columns", ""),
    ("version", 0, "sockscope ", ""),
    ("--version", 0, "sockscope ", ""),
    ("8080", 0, "8080", ""),
    (":8080", 0, "8080", ""),
    ("ls", 0, "LISTEN", ""),
    ("ps", 1, "", "did you mean the command \"ls\"?"),
    ("listen", 0, "LISTEN", ""),
    ("prots", 1, "", "did you mean the command \"ports\"?"),
    ("close_wait", 1, "", "no socket matches"),
    ("who 8080", 0, "LISTEN", ""),
    ("who 8081", 1, "", "port 8081: free"),
    ("who", 2, "", "PORT"),
    ("why", 2, "", "ADDR:PORT"),
    ("why :0", 2, "", "invalid target"),
    ("why nosuchprocess", 2, "", "is visible"),
    ("kill", 2, "", "requires a filter"),
    ("kill nosuchprocess", 1, "", "no socket matches"),
    ("list --json :8080", 0, "\"local_port\":8080", ""),
    ("top --demo", 0, "RX/s", ""),
    ("config --theme solarised", 2, "", "unknown theme"),
];

/// Words of a command line; single quotes group.
fn words(line: &str) -> Vec<&str> {
    line.split('\'')
        .enumerate()
        .flat_map(|(i, part)| if i % 2 == 1 { vec![part] } else { part.split_whitespace().collect() })
        .collect()
}

fn sockscope(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(args)
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn answers_are_those_of(reflexes: &[Reflex]) {
    let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
    let client = TcpStream::connect("127.0.0.1:8080").unwrap();
    let mut wrong = String::new();
    for (line, code, out, err) in reflexes {
        let output = sockscope(&words(line));
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.code() != Some(*code) || !stdout.contains(out) || !stderr.contains(err) {
            wrong.push_str(&format!("{line}: {:?}\n{stdout}{stderr}", output.status.code()));
        }
        // A success has nothing to explain, a failure no rows.
        if (*code == 0) != stderr.is_empty() || (*code == 2 && !stdout.is_empty()) {
            wrong.push_str(&format!("{line}: {code}, standard error: {stderr}\n"));
        }
        if *code == 2 && stderr.lines().count() != 1 {
            wrong.push_str(&format!("{line}: more than one line: {stderr}\n"));
        }
    }
    drop((listener, client));
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn habits_of_other_tools_work_or_name_the_equivalent() {
    isolated(|| answers_are_those_of(&OTHER_TOOLS));
}

#[test]
fn first_words_of_new_users_work_or_name_the_command() {
    isolated(|| answers_are_those_of(&FIRST_TIME));
}

/// A process that holds a listener on this port, killed when dropped.
struct Holder(Child);

impl Holder {
    fn start(port: u16) -> Self {
        // Under nohup the test would hand down an ignored SIGHUP.
        let script = format!(
            "import signal,socket,time\nsignal.signal(signal.SIGHUP,signal.SIG_DFL)\ns=socket.socket()\ns.bind(('127.0.0.1',{port}))\ns.listen()\n\
             print('up',flush=True)\ntime.sleep(600)"
        );
        let mut child =
            Command::new("python3").args(["-c", &script]).stdout(Stdio::piped()).spawn().expect("python3");
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 3]).unwrap();
        Self(child)
    }

    fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    fn signal_that_ended_it(&mut self) -> Option<i32> {
        let status = until("its end", || self.0.try_wait().unwrap()).unwrap();
        std::os::unix::process::ExitStatusExt::signal(&status)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn who_prints_the_holder_of_a_port() {
    isolated(|| {
        let holder = Holder::start(8090);
        for port in ["8090", ":8090", "8090/tcp", "127.0.0.1:8090"] {
            let out = sockscope(&["who", port, "--json"]);
            let rows: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
            assert_eq!(
                (rows[0]["pid"].as_u64(), &rows[0]["state"]),
                (Some(holder.0.id().into()), &"LISTEN".into())
            );
            assert!(rows[0].get("unit").is_some() && rows[0].get("container").is_some(), "{rows}");
        }
        // A client's own port is held too, and a listener comes before its connections.
        let client = TcpStream::connect("127.0.0.1:8090").unwrap();
        let local = client.local_addr().unwrap().port().to_string();
        let out = sockscope(&["who", &local]);
        assert!(String::from_utf8_lossy(&out.stdout).contains("ESTABLISHED"), "{out:?}");
        let out = sockscope(&["who", "8090"]);
        assert!(!String::from_utf8_lossy(&out.stdout).contains("ESTABLISHED"), "{out:?}");
        for port in ["8091", "8090/udp", "127.0.0.2:8090"] {
            assert_eq!(sockscope(&["who", port]).status.code(), Some(1), "{port}");
        }
        for port in ["", ":", "a b", "8090/x", "1:2:3", "99999"] {
            let out = sockscope(&["who", port]);
            assert_eq!(out.status.code(), Some(2), "{port:?}");
            assert!(String::from_utf8_lossy(&out.stderr).contains("invalid port"), "{port:?}");
        }
    });
}

#[test]
fn kill_without_confirmation_does_nothing() {
    isolated(|| {
        let mut holder = Holder::start(8090);
        let out = sockscope(&["kill", "lport:8090"]);
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2));
        let pid = holder.0.id();
        assert!(stderr.contains(&format!("python3 {pid}  1 matching socket")), "{stderr}");
        assert!(stderr.contains("tcp 127.0.0.1:8090") && stderr.contains("--yes confirms"), "{stderr}");
        for args in [
            &["kill", "--read-only", "-y", "lport:8090"][..],
            &["kill", "-y", "--signal", "STOP", "lport:8090"],
        ] {
            assert_eq!(sockscope(args).status.code(), Some(2), "{args:?}");
        }
        assert_eq!(sockscope(&["kill", "-y", "lport:8099"]).status.code(), Some(1));
        for (answer, code) in [("n\r", 1), ("\r", 1), ("yess\r", 1)] {
            let mut s = Screen::sockscope(100, 20, &["kill", "lport:8090"], &[]);
            s.shows("Send SIGTERM to 1 process? [y/N]");
            s.keys(answer);
            assert_eq!(s.ends(), code, "{answer:?}");
        }
        assert!(holder.runs());
    });
}

#[test]
fn kill_with_confirmation_signals_the_process() {
    isolated(|| {
        let mut holder = Holder::start(8090);
        let mut s = Screen::sockscope(100, 20, &["kill", "lport:8090"], &[]);
        s.shows("Send SIGTERM to 1 process? [y/N]");
        s.keys("y\r");
        assert_eq!((s.ends(), holder.signal_that_ended_it()), (0, Some(15)));
        for (args, signal) in [
            (&["kill", "-9", "-y", "lport:8090"][..], 9),
            (&["kill", "-HUP", "--yes", "lport:8090"], 1),
            (&["kill", "-y", "--signal", "SIGUSR1", "-tl", "lport:8090"], 10),
        ] {
            let mut holder = Holder::start(8090);
            let out = sockscope(args);
            assert_eq!(
                (out.status.code(), holder.signal_that_ended_it()),
                (Some(0), Some(signal)),
                "{args:?}"
            );
        }
    });
}

#[test]
fn kill_close_ends_the_connection_and_not_the_process() {
    isolated(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let mut client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let mut other = TcpStream::connect("127.0.0.1:8080").unwrap();
        let (_a, _b) = (listener.accept().unwrap(), listener.accept().unwrap());
        let port = client.local_addr().unwrap().port();
        let out = sockscope(&["kill", "--close", "-y", &format!("lport:{port}")]);
        assert_eq!(out.status.code(), Some(0), "{out:?}");
        assert!(String::from_utf8_lossy(&out.stdout).starts_with("closed tcp "), "{out:?}");
        let errno = client.read(&mut [0]).err().and_then(|e| e.raw_os_error());
        assert_eq!(errno, Some(103), "ECONNABORTED");
        other.set_nonblocking(true).unwrap();
        let alive = other.read(&mut [0]).err().map(|e| e.kind());
        assert_eq!(alive, Some(std::io::ErrorKind::WouldBlock));
    });
}

/// Keys of htop, k9s, less and vim: tool, keys, and text on the screen afterwards.
const KEYS: [(&str, &str, &str); 20] = [
    ("htop", "<f1>", "Essentials"),
    ("htop", "<f2>", "show/hide"),
    ("htop", "<f3>nginx<enter>", "4 of 15"),
    ("htop", "<f6>", "sort by"),
    ("htop", "<f7>", "no key F7: [ and ] scroll the details"),
    ("htop", "<end><f9>", "copy 5-tuple"),
    ("htop", "P", "no key P: s chooses the sort column"),
    ("htop", "I", "no key I: S reverses the sort order"),
    ("htop", "<space>", "paused"),
    ("k9s", ":processes<enter>", "FDS%↓"),
    ("k9s", "?", "Essentials"),
    ("k9s", "d", "no key d: K closes sockets and sends signals"),
    ("k9s", "<delete>", "no key Del: K closes sockets and sends signals"),
    ("less", "/nginx<enter>", "4 of 15"),
    ("less", "N", "no key N: / shows only the matches; u undoes it"),
    ("less", "G", "▌  udp    127.0.0.53:53"),
    ("vim", "gg", "g changes the grouping; Home: first line"),
    ("vim", "/nginx<enter>u", "undone"),
    ("vim", ":q", "quit now"),
    ("vim", "h", "▸ LISTEN"),
];

#[test]
fn keys_of_other_tools_act_or_name_the_key_that_does() {
    for (tool, keys, want) in KEYS {
        let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
            .args(["--demo=small", "screenshot", "--size", "110x24", "--lang", "en", "--keys", keys])
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let screen = String::from_utf8(out.stdout).unwrap();
        assert!(screen.contains(want), "{tool} {keys}: {want}\n{screen}");
    }
}

/// Command lines of the README and the guide: those in blocks of shell that begin with the name of the program, without their comments.
fn readme_commands() -> Vec<&'static str> {
    let documents = [include_str!("../README.md"), include_str!("../docs/guide.md")];
    let blocks = documents.into_iter().flat_map(|text| text.split("```").skip(1).step_by(2));
    let shell = blocks.filter_map(|b| b.strip_prefix("sh\n"));
    let lines = shell.flat_map(str::lines).map(|l| l.split("  #").next().unwrap().trim());
    lines.filter(|l| l.starts_with("sockscope ")).collect()
}

const RECORD: &str = "sockscope record --min-free 0%";

#[test]
fn commands_of_the_readme_run() {
    isolated(|| {
        let commands = readme_commands();
        assert!(commands.len() >= 15, "{commands:?}");
        // In place of ssh the agent of this program; the hosts are those of the examples.
        let home = tempfile::tempdir().unwrap();
        for (file, text) in [
            (".ssh/config", "Host web-1 web-2 db\n"),
            (".config/sockscope/config.toml", "ssh = [\"sh\", \"-c\", \"exec sockscope agent --stdio\"]\n"),
        ] {
            let file = home.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        for line in commands {
            let dir = tempfile::tempdir().unwrap();
            std::os::unix::fs::symlink("/proc", dir.path().join("captured")).unwrap();
            let program = std::path::Path::new(env!("CARGO_BIN_EXE_sockscope")).parent().unwrap();
            let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
            // Waits of the examples are shortened; what never ends is ended. The recording they read is a short one.
            let at_last = |text: String, minute: u32| text.replace(&format!("02:{minute:02}"), "last");
            let here = line.replace("30s", "1s").replace("/var/lib/prometheus/node-exporter/", "");
            // However full the disk is.
            let short = (0..60).fold(here, at_last).replace("sockscope record", RECORD);
            if line.contains("fleet.txt") {
                std::fs::write(dir.path().join("fleet.txt"), "web-1\nweb-2\n").unwrap();
            }
            let mut script = format!("timeout 3 {short}");
            let reads_recording = line.contains("incident") && !line.contains("-o incident");
            if reads_recording {
                script = format!("{RECORD} -o incident --every 100ms --for 300ms && {script}");
            }
            let out = Command::new("sh")
                .args(["-c", &script])
                .current_dir(dir.path())
                .envs([("PATH", path.as_str()), ("HOME", home.path().to_str().unwrap())])
                .env("XDG_CONFIG_HOME", home.path().join(".config"))
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&out.stderr);
            let code = out.status.code();
            let judged = line.starts_with("sockscope check") && code.is_some_and(|c| c <= 3);
            assert!(
                judged
                    || matches!(code, Some(0 | 1))
                    || (code == Some(124)
                        && (line.contains("--watch")
                            || line.starts_with("sockscope events")
                            || line.starts_with("sockscope dns")
                            || line.starts_with("sockscope record")
                            || line.starts_with("sockscope serve"))),
                "{line}: {code:?} {stderr}"
            );
            let written = ["incident", " -o sockets.parquet", " -o report", "fleet.txt", "sockscope.prom"];
            let expected = 1 + written.iter().filter(|name| line.contains(**name)).count();
            let files = std::fs::read_dir(dir.path()).unwrap().count();
            assert_eq!(files, expected, "{line}: wrote a file, quotes are missing");
        }
    });
}

#[test]
fn table_in_a_terminal_keeps_the_owner_and_fills_the_width() {
    for (cols, has, lacks) in [(80, "sshd 2210 +1", "COMMAND LINE"), (200, "COMMAND LINE", "\u{2026}")] {
        let mut s = Screen::sockscope(cols, 30, &["--demo", "list", "state:established", "--top", "3"], &[]);
        assert_eq!(s.ends(), 0);
        let text = s.until("the table", |t| t.contains("PROTO"));
        assert!(text.contains(has) && !text.contains(lacks), "{cols}: {text}");
    }
    let width = |columns: &str| {
        let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
            .args(["--demo", "limits"])
            .envs([("COLUMNS", columns), ("XDG_CONFIG_HOME", "/nonexistent")])
            .output()
            .unwrap();
        String::from_utf8(out.stdout).unwrap().lines().map(|l| l.chars().count()).max().unwrap()
    };
    assert!(width("60") <= 60 && width("100") <= 100 && width("0") > 100);
}

#[test]
fn columns_that_are_added_or_removed_leave_the_others_shown() {
    let titles = |columns: &str, args: &[&str]| -> Vec<String> {
        let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
            .args(["--demo", "list", "state:established", "--lang", "en"])
            .args(args)
            .envs([("COLUMNS", columns), ("XDG_CONFIG_HOME", "/nonexistent")])
            .output()
            .unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        text.lines()
            .next()
            .unwrap()
            .split("  ")
            .map(|t| t.trim().to_owned())
            .filter(|t| !t.is_empty())
            .collect()
    };
    for columns in ["60", "80", "100", "150", "250", "0"] {
        let usual = titles(columns, &[]);
        let more = titles(columns, &["-c", "+rtt"]);
        assert!(more.contains(&"RTT".to_owned()), "{columns}: {more:?}");
        let others: Vec<&String> = more.iter().filter(|t| *t != "RTT").collect();
        // No column besides it is new, and on a wide screen none is missing.
        assert!(others.iter().all(|t| usual.contains(t)), "{columns}: {usual:?} {more:?}");
        assert!(more.contains(&"PROCESS".to_owned()), "{columns}: {more:?}");
        if columns.parse::<u16>().unwrap() % 250 == 0 {
            assert_eq!(others.len(), usual.len(), "{columns}: {usual:?} {more:?}");
        }
        let less = titles(columns, &["-c=-state"]);
        assert!(!less.contains(&"STATE".to_owned()), "{columns}: {less:?}");
        let kept = usual.iter().filter(|t| *t != "STATE");
        assert!(kept.clone().all(|t| less.contains(t)), "{columns}: {usual:?} {less:?}");
    }
}

#[test]
fn printed_numbers_are_whole_at_every_width() {
    let table = |columns: &str| {
        let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
            .args(["--demo", "list", "-4", "-tanmo", "--lang", "en"])
            .envs([("COLUMNS", columns), ("XDG_CONFIG_HOME", "/nonexistent")])
            .output()
            .unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    let mut titles = 0;
    for columns in ["60", "80", "100", "160", "0"] {
        let text = table(columns);
        // Cells have two blanks between them; addresses are cut in the middle, names at their end.
        for line in text.lines() {
            let cells = line.split("  ").map(str::trim).filter(|c| !c.is_empty()).enumerate();
            for (_, cell) in cells.filter(|(i, _)| !matches!(i, 2 | 3)) {
                let before = cell.split_once('\u{2026}').map_or("", |(before, _)| before);
                let is_cut = before.ends_with(|c: char| c.is_ascii_digit()) || before.starts_with("timew");
                assert!(!is_cut, "{columns}: {cell}\n{text}");
            }
        }
        let shown = text.lines().next().unwrap().split_whitespace().count();
        assert!(shown >= titles, "{columns}: fewer columns than on a narrower screen");
        titles = shown;
    }
}

#[test]
fn exact_numbers_are_whole_in_the_dashboard() {
    for size in ["60x24", "80x30", "100x40", "140x40", "200x60"] {
        for keys in ["1", "2", "3", "4", "7", "1ggg"] {
            let args = ["--demo", "-n", "screenshot", "--lang", "en", "--size", size, "--keys", keys];
            let screen = String::from_utf8(sockscope(&args).stdout).unwrap();
            // Addresses are cut in the middle, names at their end.
            let is_cut =
                |w: &&str| w.ends_with('\u{2026}') && w.trim_end_matches('\u{2026}').parse::<f64>().is_ok();
            // Without the status line and the keys.
            let lines: Vec<&str> = screen.lines().collect();
            let table = lines[..lines.len().saturating_sub(2)].iter().flat_map(|l| l.split_whitespace());
            let cut: Vec<&str> = table.filter(is_cut).collect();
            assert!(screen.contains("LISTEN") && cut.is_empty(), "{size} {keys}: {cut:?}\n{screen}");
        }
    }
}

#[test]
fn largest_groups_are_first_with_top() {
    let rows = |args: &[&str]| -> Vec<u64> {
        let out = sockscope(&[&["--demo", "list", "-g", "remote", "--json"], args].concat());
        let rows: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        rows.as_array().unwrap().iter().map(|r| r["count"].as_u64().unwrap()).collect()
    };
    let mut all = rows(&[]);
    all.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(rows(&["--top", "3"]), all[..3]);
}

#[test]
fn invalid_settings_are_not_printed_as_effective() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    for (text, why) in [
        ("theme = \"solarised\"\n", "unknown theme"),
        ("interval = \"abc\"\n", "invalid duration"),
        ("[keys]\nquit = \"Q\"\nrefresh = \"Q\"\n", "bound to both"),
    ] {
        std::fs::write(&file, text).unwrap();
        for args in [&["config", "--config"][..], &["config", "--check", "--config"]] {
            let out = sockscope(&[args, &[file.to_str().unwrap()]].concat());
            let stderr = String::from_utf8_lossy(&out.stderr);
            assert!(out.stdout.is_empty() && stderr.contains(why), "{args:?} {text}: {out:?}");
            assert_eq!((out.status.code(), stderr.lines().count()), (Some(2), 1), "{text}");
        }
    }
}

#[test]
fn environment_chooses_file_and_color() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    std::fs::write(&file, "numeric = true\n").unwrap();
    let run = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockscope"));
        command
            .args(args)
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .env_remove("NO_COLOR")
            .envs(env.iter().copied());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let path = file.to_str().unwrap();
    assert!(run(&["config"], &[("SOCKSCOPE_CONFIG", path)]).contains(path));
    let other = dir.path().join("d.toml");
    std::fs::write(&other, "").unwrap();
    let flag = run(&["config", "--config", other.to_str().unwrap()], &[("SOCKSCOPE_CONFIG", path)]);
    assert!(flag.contains("d.toml"), "the flag wins: {flag}");
    let list = ["--demo", "list", "--top", "1"];
    assert!(run(&list, &[("CLICOLOR_FORCE", "1")]).contains('\u{1b}'));
    for env in [&[("CLICOLOR_FORCE", "0")][..], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[]] {
        assert!(!run(&list, env).contains('\u{1b}'), "{env:?}");
    }
}
