//! Usage errors, exit statuses, closed pipes and full disks: every failure is one clear line.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Each test program uses part of it.
#[allow(dead_code)]
#[path = "isolation/namespaces.rs"]
mod namespaces;
#[allow(dead_code)]
#[path = "isolation/wait.rs"]
mod wait;

use namespaces::isolated;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};
use wait::until;

/// The program without the settings of the current user.
fn sockscope() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockscope"));
    command.env("XDG_CONFIG_HOME", "/nonexistent").stdin(Stdio::null());
    command
}

fn run(args: &[&OsStr]) -> Output {
    sockscope().args(args).output().unwrap()
}

fn words(args: &[&str]) -> Output {
    run(&args.iter().map(OsStr::new).collect::<Vec<_>>())
}

/// Asserts exit status 2 and a single error line that contains this.
fn assert_usage_error(out: &Output, about: &str, want: &str) {
    let line = String::from_utf8(out.stderr.clone()).unwrap();
    assert_eq!(out.status.code(), Some(2), "{about}: {line}");
    assert_eq!(line.lines().count(), 1, "{about}: {line}");
    assert!(line.starts_with("sockscope: ") && line.contains(want), "{about}: {line}");
    assert!(line.len() < 400 && !line.trim_end().chars().any(char::is_control), "{about}: {line:?}");
    assert!(out.stdout.is_empty(), "{about}");
}

/// Asserts one line on standard output that begins with UNKNOWN, nothing on standard error, and exit status 3.
fn assert_unknown(out: &Output, about: &str, want: &str) {
    let line = String::from_utf8(out.stdout.clone()).unwrap();
    assert_eq!(out.status.code(), Some(3), "{about}: {line}");
    assert!(line.starts_with("UNKNOWN - ") && line.contains(want), "{about}: {line}");
    assert!(line.lines().count() == 1 && out.stderr.is_empty(), "{about}: {line}");
}

#[test]
fn failed_check_is_unknown_on_standard_output() {
    for (args, want) in [
        (&["check", "--nope"][..], "--nope"),
        (&["check", "--warn", "lots"], "--warn"),
        (&["check", "--warn", "95%", "--crit", "90%"], "--warn (95%) must be below --crit (90%)"),
        (&["check", "--only", "fdss"], "did you mean"),
        (&["check", "foo:bar"], "unknown field \"foo\""),
        (&["check", "(fds"], "character"),
        (&["check", "-f", "csv"], "--format"),
        (&["--config", "/nonexistent/x.toml", "check"], "/nonexistent/x.toml"),
        (&["--interval", "soon", "check"], "--interval"),
        (&["check", "--proc-root", "/nonexistent"], "/nonexistent"),
    ] {
        assert_unknown(&words(args), &args.join(" "), want);
    }
    // Not a check: the word is a filter.
    assert_eq!(words(&["list", "--nope", "check"]).status.code(), Some(2));
    let json = words(&["check", "--proc-root", "/nonexistent", "-f", "json"]);
    let v: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((json.status.code(), &v["status"], &v["exit"]), (Some(3), &"UNKNOWN".into(), &3.into()));
}

#[test]
fn limit_that_a_backend_does_not_read_is_not_ok() {
    use sockscope::model::limit::{LIMIT_KINDS, LimitKind};
    for info in LIMIT_KINDS {
        let out = words(&["check", "--backend", "portable", "--only", info.name]);
        let text = String::from_utf8_lossy(&out.stdout);
        let is_read = matches!(info.kind, LimitKind::Fds | LimitKind::CloseWait);
        let want = format!("UNKNOWN - not judged: {}: ", info.name);
        assert!(is_read || text.starts_with(&want) && out.status.code() == Some(3), "{}: {text}", info.name);
    }
    let partial = words(&["check", "--backend", "portable", "--only", "accept", "--allow-partial"]);
    assert_ne!(partial.status.code(), Some(0), "nothing is judged");
}

#[test]
fn watch_reports_changed_rows_of_every_table() {
    for table in ["limits", "processes", "ports", "peers"] {
        let args = ["--demo", table, "--watch=100ms", "--timeout", "1200ms", "-f", "ndjson"];
        let out = words(&args);
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(text.lines().any(|l| l.contains("\"event\":\"changed\"")), "{table}: {text}");
    }
}

#[test]
fn watch_ends_after_its_timeout() {
    for format in ["table", "ndjson"] {
        let args = ["--demo=small", "list", "--watch=100ms", "--timeout", "350ms", "-f", format];
        let start = std::time::Instant::now();
        let out = words(&args);
        assert_eq!(out.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(start.elapsed() >= std::time::Duration::from_millis(350) && !out.stdout.is_empty());
    }
}

#[test]
fn usage_error_is_one_line_and_exit_2() {
    let long = "(".repeat(64 * 1024);
    for (args, want) in [
        (&["list", "--columns", "recv_k"][..], "did you mean \"recv_q\"?"),
        (&["list", "--columns", ""][..], "empty column name"),
        (&["list", "--sort", "rtt_uss"][..], "did you mean \"rtt_us\"?"),
        (&["list", "--group-by", "stat"][..], "did you mean \"state\"?"),
        (&["processes", "--columns", "comn"][..], "\"comm\""),
        (&["--interval", "soon"][..], "--interval"),
        (&["list", "--interval", "0"][..], "--interval"),
        (&["list", "--interval", "-1"][..], "--interval: invalid duration \"-1\": expected 100ms to 1d"),
        (&["list", "--top", "-1"][..], "--top: invalid number \"-1\""),
        (&["list", "--watch", "--count", "-f", "ndjson"][..], "cannot be combined with --count"),
        (&["list", "--watch", "--top", "5", "-f", "ndjson"][..], "cannot be combined with --top"),
        (
            &["list", "--wait-for", ":80", "--group-by", "state"][..],
            "--wait-for cannot be combined with --group-by",
        ),
        (&["list", "--watch=never"][..], "--watch"),
        (&["list", "-w", "2x"][..], "--watch: invalid duration \"2x\""),
        (&["list", "--timeout", "1s"][..], "--timeout requires --watch or --wait-for"),
        (&["list", "--proc-root", "/no/such/dir"][..], "/no/such/dir: No such file"),
        (&["list", "--proc-root", "/dev/null"][..], "/dev/null"),
        (&["list", "--proc-root", "/", "--backend", "netlink"][..], "--proc-root"),
        (&["list", "port:"][..], "filter, at character"),
        (&["list", "prot:443"][..], "filter, at character 1"),
        (&["list", "port:443", "and", "("][..], "filter, at character"),
        (&["list", "state:nowhere"][..], "filter, at character"),
        (&["list", "remote:10.0.0.0/99"][..], "filter, at character"),
        (&["list", "process~("][..], "filter, at character"),
        (&["list", "--columns", "\x1b[31mred"][..], "--columns"),
        (&["list", &long][..], "filter"),
        (&["list", "--no-such-flag"][..], "--no-such-flag"),
        (
            &["list", "--format", "xml"][..],
            "--format: invalid value \"xml\": expected table, json, ndjson or csv",
        ),
        (&["list", "--top", "many"][..], "--top: invalid number \"many\""),
        (&["--backend", "magic"][..], "--backend: invalid value \"magic\""),
        (&["completions", "tcsh"][..], "tcsh"),
        (&["explain", "clos_wait"][..], "did you mean \"close_wait\"?"),
        (&["explain", "listen", "--lang", "fr"][..], "expected auto, en or ko"),
        (&["--demo=bussy-web", "list"][..], "did you mean \"busy-web\"?"),
        (&["--demo=/no/such.scenario", "list"][..], "read /no/such.scenario"),
        (&["screenshot", "--size", "80"][..], "--size"),
        (&["--theme", "drak", "list"][..], "did you mean \"dark\"?"),
        (&["--view", "prots"][..], "did you mean \"ports\"?"),
        (&["--view", "ports", "-c", "rtt"], "--columns: no column \"rtt\" in the table of ports"),
        (
            &["--view", "events"],
            "--view events is for the dashboard, on a terminal; to print: sockscope events",
        ),
        (
            &["-t", ":443", "list"],
            "list is a command, which comes before the filter: sockscope list -t :443; as a word of the filter: sockscope -t :443 -- list",
        ),
        (&["--view", "ports", "list"], "--view cannot be combined with the command list"),
        (&["-g", "stat", "list"], "did you mean \"state\"?"),
    ] {
        let about =
            format!("{:?}", args.iter().map(|a| a.chars().take(40).collect::<String>()).collect::<Vec<_>>());
        assert_usage_error(&words(args), &about, want);
    }
}

#[test]
fn argument_not_utf8_is_usage_error() {
    assert_usage_error(
        &run(&[OsStr::new("list"), OsStr::from_bytes(b"proc:\xff\xfe")]),
        "not UTF-8",
        "UTF-8",
    );
}

#[test]
fn no_match_is_exit_1() {
    isolated(|| {
        let out = words(&["list", "pid:4294967295"]);
        assert_eq!(out.status.code(), Some(1));
        let out = words(&["list", "pid:4294967295", "--count"]);
        assert_eq!((out.status.code(), &out.stdout[..]), (Some(1), &b"0\n"[..]));
        let out = words(&["list", "pid:4294967295", "--format", "json"]);
        assert_eq!((out.status.code(), &out.stdout[..]), (Some(1), &b"[]\n"[..]));
        let out = words(&["list", "--wait-for", "pid:4294967295", "--timeout", "300ms"]);
        assert_eq!(out.status.code(), Some(1));
    });
}

#[test]
fn empty_result_has_its_reason_on_stderr() {
    isolated(|| {
        let _listener = std::net::TcpListener::bind("127.0.0.1:41777").unwrap();
        for (line, want) in [
            (&["list", "lport:41777", "state:close"][..], "none match state:closed; STATE has LISTEN 1"),
            (&["list", "lport:41777", "state:close", "-f", "json"], "none match state:closed"),
            (&["ports", "lport:9"], "none match local_port:9; PORT has 41777 1"),
            (&["ports", "proto:unix"], "such listeners: sockscope list proto:unix state:listen"),
            (&["processes", "comm=zzz"], "no process matches comm=zzz"),
            (&["peers"], "no peers: none of the sockets has a remote address, "),
            (&["map"], "no edges: none of the sockets is an open connection, "),
            (&["map", "zzz"], "no edges: none of the sockets is an open connection, "),
            (&["ports", "--demo=small", "comm=zzz"], "no port matches process=zzz, "),
            (&["limits", "pct>100%"], "none match pct>100%; the highest % is "),
            (&["list", "proto:vsock", "--backend", "proc"], "vsock: not listed by this backend"),
            (&["list", "proto:raw", "--backend", "portable"], "raw: not listed by this backend"),
            (
                &["list", "--wait-for", "lport:9", "--timeout", "200ms"],
                "none match local_port:9; LPORT has 41777 1",
            ),
        ] {
            let out = words(line);
            let stderr = String::from_utf8_lossy(&out.stderr);
            assert_eq!(out.status.code(), Some(1), "{line:?}: {stderr}");
            assert!(stderr.contains(want), "{line:?}: {stderr}");
            assert!(stderr.lines().all(|l| l.starts_with("sockscope: ")), "{stderr}");
        }
    });
}

/// The formats in the error of each command are those that it takes.
#[test]
fn invalid_format_lists_the_formats_of_its_command() {
    for command in [
        "list",
        "ports",
        "processes",
        "peers",
        "limits",
        "forwards",
        "map",
        "events",
        "dns",
        "who",
        "check",
        "screenshot",
    ] {
        let arg: &[&str] = if command == "who" { &["443"] } else { &[] };
        let with = |format: &str| {
            let ended = if ["events", "dns"].contains(&command) { &["--for", "100ms"][..] } else { &[] };
            let out = words(&[&["--demo=small", command], arg, ended, &["--format", format]].concat());
            let (printed, error) =
                (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
            (format!("{printed}{error}"), out.status.code())
        };
        let (error, code) = with("xml");
        assert_eq!(code, Some(if command == "check" { 3 } else { 2 }), "{command}: {error}");
        let (_, list) = error.trim().split_once("--format: invalid value \"xml\": expected ").expect(&error);
        let listed: Vec<&str> = list.split(", ").flat_map(|w| w.split(" or ")).collect();
        assert!(listed.len() > 1, "{error}");
        for format in ["table", "json", "ndjson", "csv", "dot", "mermaid", "text", "svg"] {
            let (text, _) = with(format);
            let refused = text.contains("--format");
            assert_eq!(refused, !listed.contains(&format), "{command} {format}: {text:.200}");
        }
    }
}

/// A rate needs a second poll, also if only the filter uses it.
#[test]
fn filter_on_rate_polls_twice() {
    let out = words(&["--demo", "list", "rx>0", "--count"]);
    let n: usize = String::from_utf8_lossy(&out.stdout).trim().parse().unwrap();
    assert!(out.status.success() && n > 10, "{n}");
}

/// Parse errors are counted on standard error, for scripts too.
#[test]
fn parse_errors_are_counted_on_stderr() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("net")).unwrap();
    let good = "   0: 0100007F:1CE8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0 100 0 0 10 0";
    std::fs::write(dir.path().join("net/tcp"), format!("  sl  local_address\n{good}\nrubbish\n\x1b[2J\n"))
        .unwrap();
    std::fs::write(dir.path().join("net/udp"), "").unwrap();
    for format in ["table", "json"] {
        let root = dir.path().to_str().unwrap();
        let out = words(&["list", "--proc-root", root, "-f", format]);
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert!(
            out.status.success() && String::from_utf8_lossy(&out.stdout).contains("127.0.0.1"),
            "{stderr}"
        );
        assert!(stderr.starts_with("sockscope: ") && stderr.contains("parse error (2 times)"), "{stderr}");
        assert!(!stderr.contains('\x1b') && stderr.lines().count() == 1, "{stderr:?}");
    }
}

/// Files that a captured tree lacks are named, by `list` and by `check`.
#[test]
fn missing_parts_of_a_captured_tree_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    let root = dir.path().to_str().unwrap();
    std::fs::create_dir_all(at("812")).unwrap();
    std::fs::create_dir_all(at("sys/kernel")).unwrap();
    std::fs::create_dir_all(at("net")).unwrap();
    let stat = "812 (nginx) S 1 812 812 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
    std::fs::write(at("812/stat"), stat).unwrap();
    std::fs::write(at("sys/kernel/pid_max"), "32768\n").unwrap();
    let row = "   0: 0100007F:1CE8 00000000:0000 0E 00000000:00000000 00:00000000 00000000 0 0 77 1\n";
    std::fs::write(at("net/tcp"), format!("  sl  local_address\n{row}")).unwrap();
    let run = |line: &[&str]| {
        let out = words(&[line, &["--proc-root", root]].concat());
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    let (code, stdout, stderr) =
        run(&["list", "state:unknown", "-c", "state,local,user,owner_missing", "-H"]);
    assert!(stdout.starts_with("UNKNOWN(14)  127.0.0.1:7400"), "{stdout}");
    assert_eq!(code, Some(0));
    for part in ["/proc/net/udp", "PID/fd", "PID/status", "PID/limits"] {
        assert!(
            stderr.contains(&format!("sockscope: {part}: not in the captured tree\n")),
            "{part}: {stderr}"
        );
    }
    let (_, stdout, _) = run(&["processes", "-c", "pid,user,uid,fds_open", "-H"]);
    assert_eq!(stdout.split_whitespace().collect::<Vec<_>>(), ["812", "-", "-", "-"], "{stdout}");
    let (code, stdout, _) = run(&["check"]);
    assert_eq!(code, Some(3), "{stdout}");
    assert!(stdout.contains("/proc/sys/fs/file-max could not be read"), "{stdout}");
    std::fs::remove_dir_all(at("net")).unwrap();
    let (code, _, stderr) = run(&["list"]);
    assert!(stderr.contains("sockscope: net: not in the captured tree\n"), "{stderr}");
    assert!(code == Some(1) && stderr.contains("sockscope: no sockets\n"), "{stderr}");
}

#[test]
fn help_and_version_are_exit_0() {
    for args in
        [&["--help"][..], &["-h"], &["list", "--help"], &["--version"], &["man"], &["list", "-c", "help"]]
    {
        let out = words(args);
        assert_eq!(out.status.code(), Some(0), "{args:?}");
        assert!(out.stdout.len() > 10 && out.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn explain_follows_lang_and_locale() {
    let text = |args: &[&str]| String::from_utf8(words(args).stdout).unwrap();
    assert!(text(&["explain", "FIN-WAIT-2", "--lang", "en"]).starts_with("# FIN_WAIT2"));
    assert!(text(&["explain", "close-wait", "--lang", "ko"]).contains("디스크립터"));
    assert!(text(&["explain", "accept-queue", "--lang", "en"]).contains("somaxconn"));
    assert!(text(&["explain", "--lang", "en"]).lines().count() > 25);
    let by_locale = sockscope().args(["explain", "listen"]).env("LC_ALL", "ko_KR.UTF-8").output().unwrap();
    assert!(String::from_utf8(by_locale.stdout).unwrap().chars().any(|c| ('가'..='힣').contains(&c)));
}

#[test]
fn closed_pipe_is_exit_0() {
    isolated(|| {
        // More rows than fit into a pipe buffer.
        let _held: Vec<_> = (0..200).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        for args in [
            &["list", "--columns", "all"][..],
            &["list", "--columns", "all", "--format", "json"],
            &["list", "--watch=100ms"],
            // Nothing to write unless a socket opens or closes.
            &["list", "--watch=1h"],
            &["limits", "--watch=1h"],
            &["list", "--watch=1h", "--format", "ndjson"],
        ] {
            let mut child =
                sockscope().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut first = [0];
            let mut out = child.stdout.take().unwrap();
            out.read_exact(&mut first).unwrap();
            drop(out);
            let out = child.wait_with_output().unwrap();
            let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
            assert_eq!((out.status.code(), stderr.as_str()), (Some(0), ""), "{args:?}");
        }
    });
}

#[test]
fn full_disk_is_an_error() {
    isolated(|| {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let out = sockscope().args(["processes", "--format", "csv"]).stdout(full).output().unwrap();
        assert_usage_error(&out, "/dev/full", "write standard output: No space left");
    });
}

/// Command lines of every kind of output.
const OUTPUTS: &[&str] = &[
    "list",
    "list --format json",
    "limits --watch=1h",
    "processes --format csv",
    "check",
    "list -c help",
    "explain",
    "explain listen",
    "man",
    "reference",
    "completions bash",
    "config",
    "screenshot --demo",
    "--help",
    "--version",
];

#[test]
fn closed_or_full_standard_output_is_an_error() {
    isolated(|| {
        for (to, reason) in [(">&-", "Bad file descriptor"), (">/dev/full", "No space left on device")] {
            for line in OUTPUTS {
                let script = format!("exec \"$0\" {line} {to}");
                let out = Command::new("sh")
                    .args(["-c", &script, env!("CARGO_BIN_EXE_sockscope")])
                    .env("XDG_CONFIG_HOME", "/nonexistent")
                    .output()
                    .unwrap();
                if line.starts_with("check") {
                    // Not 1 or 2, which are a warning and a critical limit.
                    assert_eq!(out.status.code(), Some(3), "{script}");
                } else {
                    let want = format!("write standard output: {reason}");
                    assert_usage_error(&out, &script, &want);
                }
            }
        }
        // No output, no error.
        let quiet = ["-c", "exec \"$0\" check --quiet --allow-partial >&-", env!("CARGO_BIN_EXE_sockscope")];
        let out = Command::new("sh").args(quiet).env("XDG_CONFIG_HOME", "/nonexistent").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stderr), "");
    });
}

#[test]
fn limited_address_space_aborts_nothing() {
    isolated(|| {
        for line in ["list", "list --owners bpf", "processes", "check", "forwards", "screenshot --keys 5"] {
            let script = format!("ulimit -v 102400; exec \"$0\" {line} 2>&1");
            let out = Command::new("sh")
                .args(["-c", &script, env!("CARGO_BIN_EXE_sockscope")])
                .env("XDG_CONFIG_HOME", "/nonexistent")
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&out.stdout);
            assert!(out.status.code().is_some_and(|c| c <= 3), "{line}: {:?} {text}", out.status);
            assert!(!text.contains("allocation"), "{line}: {text}");
        }
    });
}

#[test]
fn file_without_end_or_writer_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    assert!(Command::new("mkfifo").arg(file("fifo")).status().unwrap().success());
    std::fs::File::create(file("big")).unwrap().set_len(1 << 40).unwrap();
    for (path, reason) in [
        ("/dev/zero".to_owned(), "not a regular file"),
        (file("fifo"), "not a regular file"),
        (file("big"), "larger than 16 MiB"),
    ] {
        for option in ["--config", "--demo", "--theme"] {
            let option = format!("{option}={path}");
            assert_usage_error(&words(&["list", &option]), &option, reason);
        }
        let out = words(&["config", "--check", &format!("--config={path}")]);
        assert_usage_error(&out, &path, reason);
    }
}

/// Characters that a terminal may act on, or that change the order of what is shown.
fn is_hostile(c: char) -> bool {
    matches!(c, '\0'..='\u{9}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}')
}

#[test]
fn hostile_names_are_escaped_in_json_of_check_and_in_config() {
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        let name = "q\u{9b}2J\u{202e}x";
        let program = dir.path().join(name);
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut child =
            Command::new("prlimit").arg("--nofile=4:4").arg(&program).arg("1000").spawn().unwrap();
        let out = until("the process", || {
            let out = words(&["check", "-f", "json", "--warn", "50%", "--crit", "60%", "--allow-partial"]);
            let text = String::from_utf8(out.stdout).unwrap();
            text.contains("2J").then_some(text)
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let text = out.unwrap();
        assert!(!text.contains(is_hostile), "{text:?}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(json.to_string().contains(name), "the name itself is kept: {json}");
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c\u{9b}2J\u{202e}.toml");
    let option = format!("--config={}", file.display());
    std::fs::write(&file, "theme = \"light\" # \u{9b}2J\u{202e}\n").unwrap();
    for args in [&["config", &option][..], &["config", "--check", &option]] {
        let out = words(args);
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(text.contains("2J") && !text.contains(is_hostile), "{args:?}: {text:?}");
    }
    std::fs::remove_file(&file).unwrap();
    let text = String::from_utf8(words(&["config", "--init", &option]).stdout).unwrap();
    assert!(text.contains("2J") && !text.contains(is_hostile), "{text:?}");
}

#[test]
fn config_init_writes_once_and_check_reports_every_problem() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a/config.toml");
    let config = |args: &[&str]| {
        run(&[
            &[OsStr::new("--config"), file.as_os_str(), OsStr::new("config")][..],
            &args.iter().map(OsStr::new).collect::<Vec<_>>(),
        ]
        .concat())
    };
    let text = |out: &Output| String::from_utf8(out.stdout.clone()).unwrap();
    assert_usage_error(&config(&["--check"]), "none there", "config.toml");
    assert_eq!(config(&["--init"]).status.code(), Some(0));
    assert!(text(&config(&["--check"])).ends_with("config.toml: ok\n"));
    assert_usage_error(&config(&["--init"]), "exists", "already exists, not overwritten");
    assert!(text(&config(&[])).contains("\ninterval = \"1s\"\n"));

    std::fs::write(&file, "interval = \"2s\"\n[keys]\nquit = \"Q\"\n").unwrap();
    assert!(text(&config(&[])).contains("interval = \"2s\"  "));
    std::fs::write(&file, "interval = \"2s\"\n[keys]\nquit = \"Q\"\nrefresh = \"Q\"\n").unwrap();
    for args in [&[][..], &["--check"]] {
        assert_usage_error(&config(args), "one key for two", "key \"Q\" is bound to both");
    }
    std::fs::write(&file, "intervall = 1\n\n[colums]\n").unwrap();
    let out = config(&["--check"]);
    let stderr = String::from_utf8(out.stderr).unwrap();
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!((out.status.code(), lines.len()), (Some(2), 2), "{stderr}");
    assert!(lines[0].contains("line 1: unknown key \"intervall\", did you mean \"interval\"?"), "{stderr}");
    assert!(lines[1].contains("line 3: unknown key \"colums\", did you mean \"columns\"?"), "{stderr}");
    // An invalid file stops every other command too.
    assert_usage_error(
        &run(&[OsStr::new("--config"), file.as_os_str(), OsStr::new("list")]),
        "list",
        "line 1: unknown key",
    );
}

#[test]
fn screenshot_and_demo_need_no_terminal() {
    isolated(|| {
        let text = |args: &[&str]| {
            let out = words(args);
            assert_eq!(out.status.code(), Some(0), "{args:?} {}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap()
        };
        let shot = ["--demo", "screenshot", "--size", "90x20", "--keys", "3<enter>"];
        let screen = text(&shot);
        assert_eq!(screen.lines().count(), 20);
        assert!(screen.lines().all(|l| l.chars().count() <= 90), "{screen}");
        assert!(screen.contains("legacy-gw") && screen.contains("907 of 1,024"), "{screen}");
        assert_eq!(screen, text(&shot), "demo data is deterministic");
        let svg = text(&["--demo", "screenshot", "-f", "svg", "nginx"]);
        assert!(
            svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains(">ESTABLISHED<"),
            "{svg}"
        );
        let film = ["--demo", "screenshot", "--size", "90x20", "--animate", "--keys", "/nginx<enter>3"];
        let svg = text(&film);
        assert_eq!(svg, text(&film), "demo data is deterministic");
        for part in
            ["<animate attributeName=\"display\"", ">keys: nginx<", ">keys: 3<", "legacy-gw", ">nginx<"]
        {
            assert!(svg.contains(part), "{part}");
        }
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
        let rows: serde_json::Value =
            serde_json::from_str(&text(&["--demo", "list", "state:listen", "-f", "json"])).unwrap();
        assert!(rows.as_array().unwrap().len() > 10);
        // A live machine too.
        assert!(text(&["screenshot", "--polls", "1", "--size", "100x10"]).contains("sockscope"));
    });
}

#[test]
fn mistyped_command_is_a_filter_with_a_note() {
    for (args, want) in [
        (&["--demo", "lst"][..], Some("\"lst\" taken as a filter; did you mean the command \"list\"?")),
        (&["--demo", "netstat"][..], Some("did you mean the command \"list\"?")),
        (&["--demo", "watch", ":8080"][..], Some("did you mean the command \"list --watch\"?")),
        (&["--demo", "prots"][..], Some("did you mean the command \"ports\"?")),
        (&["--demo", "nginx"][..], None),
        (&["--demo", "state:listen"][..], None),
        // A state, and a word that matches.
        (&["--demo", "listen"][..], None),
        (&["--demo", "closed"][..], None),
        (&["--demo", "post"][..], None),
        (&["list", "--demo", "lst"][..], None),
    ] {
        let out = words(args);
        let stderr = String::from_utf8(out.stderr).unwrap();
        match want {
            Some(want) => {
                assert!(stderr.lines().any(|l| l.contains(want)), "{args:?}: {stderr}");
            }
            None => assert!(!stderr.contains("taken as"), "{args:?}: {stderr}"),
        }
    }
}

#[test]
fn unreadable_default_config_is_ignored_with_a_note() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("sockscope/config.toml");
    std::fs::create_dir(home.path().join("sockscope")).unwrap();
    std::fs::write(&file, "numeric = true\n").unwrap();
    // A copy of the program that the other user can execute.
    let program = home.path().join("sockscope/program");
    std::fs::copy(env!("CARGO_BIN_EXE_sockscope"), &program).unwrap();
    // Root ignores permissions, so it becomes another user.
    let root = rustix::process::geteuid().is_root();
    let closed = if root { 0o600 } else { 0 };
    for (path, mode) in [(home.path(), 0o755), (file.as_path(), closed), (program.as_path(), 0o755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let list = || {
        let mut c = Command::new(&program);
        c.args(["list", "--demo", "port:22"]).env("XDG_CONFIG_HOME", home.path()).stdin(Stdio::null());
        c
    };
    // A test that forks at this moment keeps the file written here open for a moment.
    let run = |mut command: Command| {
        let run = || match command.output() {
            Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => None,
            other => Some(other.unwrap()),
        };
        until("the program to be closed", run).unwrap()
    };
    let mut first = list();
    if root {
        first.uid(65_534);
    }
    let out = run(first);
    let stderr = String::from_utf8(out.stderr).unwrap();
    let want = format!("sockscope: read {}: Permission denied; ignored, using defaults\n", file.display());
    assert_eq!((out.status.code(), stderr), (Some(0), want));
    assert!(!out.stdout.is_empty());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(run(list()).stderr.is_empty());
}

#[test]
fn help_gives_capabilities_as_the_readme_does() {
    // Command lines, whatever their line breaks.
    let words = |text: &str| text.replace('\\', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let (readme, help) =
        (include_str!("../README.md"), words(sockscope::diagnose::visibility::PRIVILEGE_HELP));
    let (_, rest) = readme.split_once("```sh\nsudo groupadd").unwrap();
    let block = format!("sudo groupadd{}", rest.split_once("```").unwrap().0);
    assert_eq!(block.lines().count(), 3);
    for line in block.lines().map(|l| l.split(" #").next().unwrap()) {
        assert!(help.contains(&words(line)), "{line}");
    }
}

#[test]
fn pictures_have_every_view() {
    for entry in std::fs::read_dir("assets").unwrap() {
        let path = entry.unwrap().path();
        if path.extension() != Some(OsStr::new("svg")) {
            continue;
        }
        let picture = std::fs::read_to_string(&path).unwrap();
        // A tab without room for its title is its number.
        for (i, table) in sockscope::table::TABLES.into_iter().enumerate() {
            let number = i + 1;
            let is_there = picture.contains(table.title) || picture.contains(&format!(">{number}<"));
            assert!(is_there, "{}: no {number} {}: run .ci/pictures", path.display(), table.title);
        }
    }
}

#[test]
fn recording_without_space_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let out = words(&["--demo", "record", "--for", "1s", "--min-free", "100%", "-o", path]);
    let errors = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2), "{errors}");
    assert!(errors.contains("recording paused: ") && errors.contains("no sample was recorded"), "{errors}");
}

#[test]
fn diff_names_redacted_sides() {
    let dir = tempfile::tempdir().unwrap();
    let record = |name: &str, more: &[&str]| {
        let path = dir.path().join(name).to_str().unwrap().to_owned();
        let out =
            words(&[&["--demo", "record", "--for", "1s", "--min-free", "0%", "-o", &path], more].concat());
        assert!(out.status.success(), "{out:?}");
        path
    };
    let (real, hidden, other) =
        (record("real", &[]), record("hidden", &["--redact"]), record("other", &["--redact"]));
    let notes = |before: &str, after: &str| {
        let text = String::from_utf8(words(&["diff", before, after]).stderr).unwrap();
        (text.contains("redacted: "), text.contains("cannot be compared by address"))
    };
    assert_eq!(notes(&real, &real), (false, false));
    assert_eq!(notes(&hidden, &hidden), (true, false));
    assert_eq!(notes(&real, &hidden), (true, true));
    assert_eq!(notes(&hidden, &other), (true, true));
}
