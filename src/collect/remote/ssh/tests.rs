//! Connections by commands in place of `ssh`.

use super::*;
use crate::collect::remote::copy::script_binary;

fn command(script: &str) -> SshCommand {
    let program = ["sh", "-c", script, "test-ssh"].map(str::to_owned).to_vec();
    let agent = vec!["sockscope".into(), "agent".into(), "--stdio".into()];
    SshCommand { program, batch: true, agent, methods: Methods::default(), memory: MAX_MEMORY, copy: None }
}

#[test]
fn memory_is_divided_among_the_hosts() {
    for (all, hosts, want) in [
        (8 << 30, 1, 2 << 30),
        (8 << 30, 4, 512 << 20),
        (8 << 30, 1000, (8 << 30) / 4000),
        (64 << 30, 1, MAX_MEMORY),
        (1 << 20, 50, MIN_SHARE),
        (8 << 30, 0, 2 << 30),
    ] {
        assert_eq!(share(all, hosts), want, "{hosts}");
    }
}

#[test]
fn samples_above_the_share_are_refused_whichever_size_announces_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("stream");
    let at = crate::model::Stamp { boot_ns: 1, unix_ns: 1 };
    let mut sample = crate::testing::many(3_000).sample;
    crate::frame::canonical(&mut sample);
    let rows = crate::frame::Encoder::new().frame(&sample, None).unwrap();
    let zeros = crate::frame::seal(crate::frame::FrameKind::Key, at, b"", &vec![0; 8 << 20]).unwrap();
    // Its length alone is too much: nothing is read of it.
    let noise: Vec<u8> = (0..1_u32 << 19).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let long = crate::frame::seal(crate::frame::FrameKind::Key, at, b"", &noise).unwrap();
    for (name, frame) in [("rows", rows.clone()), ("zeros", zeros), ("long", long)] {
        std::fs::write(&file, [Hello::ours().to_bytes().unwrap(), frame].concat()).unwrap();
        let mut command = command(&format!("cat {}", file.display()));
        command.memory = MIN_SHARE;
        let mut remotes: Vec<Remote> = (0..4).map(|_| Remote::start(&command, "web-1").unwrap()).collect();
        for remote in &mut remotes {
            remote.ask(&Wants::default());
            let e = remote.answer(Instant::now() + Duration::from_secs(60)).unwrap().map(|_| ()).unwrap_err();
            assert!(e.why.contains("share of the memory") && e.why.contains("1 MiB"), "{name}: {e}");
        }
    }
    std::fs::write(&file, [Hello::ours().to_bytes().unwrap(), rows].concat()).unwrap();
    let mut roomy = command(&format!("cat {}", file.display()));
    roomy.memory = 64 << 20;
    let mut remote = Remote::start(&roomy, "web-1").unwrap();
    remote.ask(&Wants::default());
    let answer = remote.answer(Instant::now() + Duration::from_secs(60)).unwrap();
    assert!(answer.is_ok_and(|s| s.sockets.len() == sample.sockets.len()));
    assert!(remote.hello().is_some_and(|h| h.version == env!("CARGO_PKG_VERSION")));
}

/// Command that runs what it is given in a shell, as a host does, with this home; other programs are not found.
fn host_with_home(home: &std::path::Path, binary: AgentBinary) -> SshCommand {
    let script = format!(
        "while [ \"$1\" != -- ]; do shift; done; shift 2; unset XDG_CACHE_HOME; HOME={} exec sh -c \"$*\"",
        home.display()
    );
    SshCommand { agent: vec!["/no/such/sockscope".into()], copy: Some(binary), ..command(&script) }
}

/// Reason why the first request has no answer.
fn reason(command: &SshCommand) -> String {
    let mut remote = Remote::start(command, "web-1").unwrap();
    remote.ask(&Wants::default());
    remote.answer(Instant::now() + Duration::from_secs(60)).unwrap().map(|_| ()).unwrap_err().why
}

#[test]
fn program_is_copied_to_a_host_without_one_and_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let (home, stream, log) = (dir.path().join("home"), dir.path().join("stream"), dir.path().join("log"));
    std::fs::create_dir(&home).unwrap();
    let frame = crate::frame::Encoder::new().frame(&crate::testing::many(3).sample, None).unwrap();
    std::fs::write(&stream, [Hello::ours().to_bytes().unwrap(), frame].concat()).unwrap();
    let agent = |version: u32| {
        let (stream, log) = (stream.display(), log.display());
        script_binary(&format!("#!/bin/sh\necho $0 $1 {version} >>{log}\n[ $1 = version ] || cat {stream}\n"))
    };
    let runs = |binary| {
        let mut remote = Remote::start(&host_with_home(&home, binary), "web-1").unwrap();
        remote.ask(&Wants::default());
        let answer = remote.answer(Instant::now() + Duration::from_secs(60)).unwrap();
        answer.map(|s| s.sockets.len()).map_err(|e| e.why)
    };
    let cache = home.join(".cache/sockscope");
    let copies = || {
        let names = std::fs::read_dir(&cache).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.collect::<Vec<_>>()
    };
    assert!(runs(agent(1)).is_ok_and(|n| n >= 3));
    let first = copies();
    assert!(first.len() == 1 && first[0].starts_with("sockscope-"), "{first:?}");
    let mode = |path: &std::path::Path| {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
    };
    assert_eq!((mode(&cache), mode(&cache.join(&first[0]))), (0o700, 0o700));
    assert!(runs(agent(1)).is_ok());
    let log_text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(log_text.matches(" version 1\n").count(), 1, "it is sent once: {log_text}");
    assert_eq!(log_text.matches(" agent 1\n").count(), 2, "{log_text}");
    // A changed copy is replaced, and so is one of another version.
    std::fs::write(cache.join(&first[0]), "#!/bin/sh\nexit 3\n").unwrap();
    assert!(runs(agent(1)).is_ok() && copies() == first);
    assert!(runs(agent(2)).is_ok());
    let second = copies();
    assert!(second.len() == 1 && second != first, "{second:?}");
}

#[test]
fn program_is_copied_to_a_host_with_one_of_another_protocol() {
    let dir = tempfile::tempdir().unwrap();
    let other = Hello { protocols: (7, 9), version: "9.0".into(), ..Hello::ours() };
    let (old, stream) = (dir.path().join("old"), dir.path().join("stream"));
    std::fs::write(&old, other.to_bytes().unwrap()).unwrap();
    let frame = crate::frame::Encoder::new().frame(&crate::testing::many(3).sample, None).unwrap();
    std::fs::write(&stream, [Hello::ours().to_bytes().unwrap(), frame].concat()).unwrap();
    // It runs on until it is ended.
    let there = format!("cat {}; echo $$ >{}/pid; exec sleep 1000", old.display(), dir.path().display());
    let binary = script_binary(&format!("#!/bin/sh\n[ $1 = version ] || cat {}\n", stream.display()));
    let mut command = host_with_home(dir.path(), binary);
    command.agent = vec![there];
    let mut remote = Remote::start(&command, "web-1").unwrap();
    remote.ask(&Wants::default());
    assert!(remote.answer(Instant::now() + Duration::from_secs(60)).unwrap().is_ok());
    let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap_or_default();
    assert!(pid.is_empty() || !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists());
    command.copy = None;
    assert!(reason(&command).contains("sockscope 9.0 there speaks protocol 7 to 9"));
}

#[test]
fn copy_that_cannot_serve_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let broken = script_binary("#!/no/such/ld.so\n");
    let e = reason(&host_with_home(dir.path(), broken));
    assert!(e.starts_with("--copy-agent: the copy does not start: "), "{e}");
    let cache = dir.path().join(".cache/sockscope");
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 0, "nothing is left of it");
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let e = reason(&host_with_home(&file, script_binary("#!/bin/sh\n")));
    assert!(e.starts_with("--copy-agent: cannot write to ") && e.contains("file/.cache"), "{e}");
    let without = SshCommand { copy: None, ..host_with_home(dir.path(), script_binary("")) };
    assert!(reason(&without).contains("--copy-agent"));
}

/// Answer to the first request of a host that this script stands for.
fn answer(script: &str) -> String {
    let mut remote = Remote::start(&command(script), "web-1").unwrap();
    remote.ask(&Wants::default());
    let answer = remote.answer(Instant::now() + Duration::from_secs(60));
    answer.expect("an answer").map(|_| ()).unwrap_err().why
}

#[test]
fn names_that_ssh_would_take_for_something_else_are_refused() {
    for name in ["web-1", "root@10.0.0.4", "fe80::1%eth0", "ssh://root@web-1:22", "웹"] {
        assert_eq!(check_host(name), Ok(()), "{name}");
    }
    for name in ["", "-oProxyCommand=sh", "a b", "a\nb", "a\u{1b}[2J", "a\u{202e}b", &"x".repeat(400)] {
        let e = check_host(name).unwrap_err();
        assert!(e.starts_with("invalid host") && !e.contains('\x1b'), "{e}");
    }
}

#[test]
fn name_is_an_argument_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("args");
    let script = format!("printf '%s\\n' \"$@\" > {}; exit 1", file.display());
    let mut remote = Remote::start(&command(&script), "$(id);web-1").unwrap();
    remote.ask(&Wants::default());
    assert!(remote.answer(Instant::now() + Duration::from_secs(60)).unwrap().is_err());
    let args = std::fs::read_to_string(file).unwrap();
    assert_eq!(args, "-T\n-o\nBatchMode=yes\n--\n$(id);web-1\nsockscope\nagent\n--stdio\n");
}

#[test]
fn reason_of_a_failure_is_that_of_ssh() {
    let refused = answer("echo 'ssh: connect to host web-1 port 22: \x1b[31mrefused' >&2; exit 255");
    assert!(refused.starts_with("ssh: connect") && refused.contains("refused"), "{refused}");
    assert!(!refused.contains('\x1b'), "{refused}");
    assert!(answer("exit 127").starts_with("no sockscope there"));
    assert!(answer("echo hello there; exit 0").contains("not the stream of an agent: \"hello there\""));
    assert!(answer("exit 0").contains("the agent ended"));
    let mut none = command("exit 0");
    none.program = vec!["/no/such/ssh".into()];
    let mut remote = Remote::start(&none, "web-1").unwrap();
    let end = remote.answer(Instant::now() + Duration::from_secs(60)).unwrap().unwrap_err();
    assert!(end.why.starts_with("start /no/such/ssh: "), "{end}");
}

#[test]
fn host_that_does_not_answer_is_waited_for_no_longer_and_its_command_ends() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", file.display());
    let mut remote = Remote::start(&command(&script), "web-1").unwrap();
    remote.ask(&Wants::default());
    while !file.exists() {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(remote.answer(Instant::now()).is_none());
    let pid = std::fs::read_to_string(file).unwrap();
    drop(remote);
    // It may run before the thread that started it keeps it; then that thread ends it.
    let process = std::path::PathBuf::from(format!("/proc/{}", pid.trim()));
    let patience = Instant::now() + Duration::from_secs(60);
    while process.exists() {
        assert!(Instant::now() < patience, "the command is reaped");
        thread::sleep(Duration::from_millis(10));
    }
}
