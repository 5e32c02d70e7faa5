//! DNS questions to a server in the same namespace, by each way to know their process.

use super::events::open;
use super::netns::Program;
use crate::wait::until_ok;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::collect::{EventMethod, Source};
use sockscope::model::sample::{Dns, DnsOutcome, DnsQuery};
use sockscope::model::{Proto, Reads, Wants};
use std::io::{BufRead, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Least time after which the server answers the name `slow`.
const SLOW: Duration = Duration::from_millis(150);

/// Asks for one name after the other and waits for the answers. Each word is `PROTOCOL,ADDRESS,NAME`; a name that begins with
/// `silent` is sent twice and not waited for.
const CLIENT: &str = "import socket,struct,sys
for n,word in enumerate(sys.argv[1:]):
    proto,addr,name=word.split(',')
    m=struct.pack('>HHHHHH',n+1,0x100,1,0,0,0)+bytes([len(name)])+name.encode()+b'\\0\\0\\1\\0\\1'
    f=socket.AF_INET6 if ':' in addr else socket.AF_INET
    s=socket.socket(f,socket.SOCK_STREAM if proto=='tcp' else socket.SOCK_DGRAM)
    s.connect((addr,53))
    if proto=='tcp': m=struct.pack('>H',len(m))+m
    s.sendall(m)
    if name.startswith('silent'): s.sendall(m)
    else: s.recv(4096)
    s.close()
print(sys.argv[0],flush=True)
";

/// Answer to a question: the code by its name, an address for the code 0; `None` for silence.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let name = &question[13..13 + usize::from(question[12])];
    let rcode = match name {
        n if n.starts_with(b"silent") => return None,
        b"servfail" => 2,
        b"nxdomain" => 3,
        b"refused" => 5,
        _ => 0,
    };
    if name == b"slow" {
        std::thread::sleep(SLOW);
    }
    let mut out = question.to_vec();
    (out[2], out[3]) = (0x81, 0x80 | rcode);
    if rcode == 0 {
        out[7] = 1;
        out.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x09");
    }
    Some(out)
}

/// A DNS server on port 53 of loopback. Its threads end with the test's process.
fn serve() -> Result<(), String> {
    for addr in ["127.0.0.1:53", "[::1]:53"] {
        let socket = UdpSocket::bind(addr).map_err(|e| e.to_string())?;
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((n, from)) = socket.recv_from(&mut buffer) {
                if let Some(answer) = answer(&buffer[..n]) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
    }
    let listener = TcpListener::bind("127.0.0.1:53").map_err(|e| e.to_string())?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 512];
            let Ok(n) = stream.read(&mut buffer) else { continue };
            if let Some(answer) = answer(&buffer[2..n]) {
                let _ = stream.write_all(&[&(answer.len() as u16).to_be_bytes(), &answer[..]].concat());
            }
        }
    });
    Ok(())
}

/// Runs [`CLIENT`] to its end; its pid.
fn ask(words: &[&str]) -> Result<u32, String> {
    let mut client = Command::new("python3")
        .arg("-c")
        .arg(CLIENT)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    let pid = client.id();
    match client.wait() {
        Ok(status) if status.success() => Ok(pid),
        other => Err(format!("client: {other:?}")),
    }
}

fn poll(source: &mut NetlinkSource) -> Result<Dns, String> {
    let wants = Wants::default().with(Reads::DNS | Reads::EVENTS);
    source.sample(&wants).map(|s| s.dns).map_err(|e| e.to_string())
}

/// Polls until there are as many questions.
fn questions(source: &mut NetlinkSource, n: usize) -> Result<Vec<DnsQuery>, String> {
    let mut all = Vec::new();
    until_ok(|| {
        let new = poll(source)?;
        assert_eq!(new.lost, 0);
        all.extend(new.list);
        if all.len() >= n { Ok(()) } else { Err(format!("{} questions: {all:?}", all.len())) }
    })?;
    assert_eq!(all.len(), n, "{all:?}");
    Ok(all)
}

/// Questions of sockets that live for one of them, by UDP and TCP, IPv4 and IPv6, with each kind of answer.
pub(crate) fn questions_have_their_process_result_and_latency() -> Result<(), String> {
    serve()?;
    let mut source = open(EventMethod::Bpf)?;
    let first = poll(&mut source)?;
    assert!(first.on && first.reason.is_empty(), "{first:?}");
    let words = [
        "udp,127.0.0.1,web",
        "udp,::1,WEB6",
        "tcp,127.0.0.1,stream",
        "udp,127.0.0.1,servfail",
        "udp,127.0.0.1,nxdomain",
        "udp,::1,refused",
        "udp,127.0.0.1,slow",
    ];
    let pid = ask(&words)?;
    let all = questions(&mut source, words.len())?;
    for (q, (word, rcode)) in all.iter().zip(words.iter().zip([0, 0, 0, 2, 3, 5, 0])) {
        let (proto, rest) = word.split_once(',').ok_or("word")?;
        let (addr, name) = rest.split_once(',').ok_or("word")?;
        assert_eq!((&*q.name, q.outcome), (&*name.to_lowercase(), DnsOutcome::Answered(rcode)), "{q:?}");
        assert_eq!(q.proto, if proto == "tcp" { Proto::Tcp } else { Proto::Udp }, "{q:?}");
        assert_eq!((q.server.addr.to_string(), q.server.port), (addr.to_owned(), 53), "{q:?}");
        let process = q.process.as_ref().ok_or_else(|| format!("no process: {q:?}"))?;
        assert_eq!((process.pid, &*process.comm), (pid, "python3"), "{q:?}");
        assert_eq!((q.inbound, q.tries, q.qtype, q.uid), (false, 1, 1, Some(0)), "{q:?}");
        let addrs: Vec<String> = q.addrs.iter().map(ToString::to_string).collect();
        let want: &[&str] = if rcode == 0 { &["10.0.0.9"] } else { &[] };
        assert_eq!((addrs, q.answers), (want.iter().map(|a| (*a).to_owned()).collect(), want.len() as u16));
    }
    assert!(u128::from(all[6].took_ns) >= SLOW.as_nanos(), "{:?}", all[6]);
    Ok(())
}

/// Without an answer a question is given up, with the number of times it was sent.
pub(crate) fn question_without_an_answer_times_out() -> Result<(), String> {
    serve()?;
    let mut source = open(EventMethod::Auto)?;
    poll(&mut source)?;
    ask(&["udp,127.0.0.1,silent", "udp,127.0.0.1,web"])?;
    let all = questions(&mut source, 2)?;
    let silent = all.iter().find(|q| &*q.name == "silent").ok_or("silent")?;
    assert_eq!((silent.outcome, silent.tries), (DnsOutcome::Timeout, 2), "{silent:?}");
    assert!(silent.took_ns >= 5_000_000_000, "{silent:?}");
    Ok(())
}

/// Without BPF the socket is looked up while it waits for its answer.
pub(crate) fn process_without_bpf_is_that_of_the_waiting_socket() -> Result<(), String> {
    let server = UdpSocket::bind("127.0.0.1:53").map_err(|e| e.to_string())?;
    let mut source = open(EventMethod::SockDiag)?;
    poll(&mut source)?;
    let (release, released) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        let Ok((n, from)) = server.recv_from(&mut buffer) else { return };
        let _ = released.recv();
        let _ = answer(&buffer[..n]).map(|a| server.send_to(&a, from));
    });
    let client = std::thread::spawn(|| ask(&["udp,127.0.0.1,held"]));
    until_ok(|| match poll(&mut source)?.waiting {
        1 => Ok(()),
        n => Err(format!("{n} questions wait")),
    })?;
    release.send(()).map_err(|e| e.to_string())?;
    let pid = client.join().map_err(|_| "client")??;
    let all = questions(&mut source, 1)?;
    assert_eq!(all[0].process.as_ref().map(|p| (p.pid, &*p.comm)), Some((pid, "python3")), "{all:?}");
    assert_eq!(all[0].uid, Some(0));
    Ok(())
}

/// Every question of a burst is answered, waits, or is counted as lost.
pub(crate) fn burst_is_seen_or_counted_as_lost() -> Result<(), String> {
    const N: u32 = 30_000;
    let server = UdpSocket::bind("127.0.0.1:53").map_err(|e| e.to_string())?;
    let mut source = open(EventMethod::Auto)?;
    poll(&mut source)?;
    let client = UdpSocket::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    for i in 0..N {
        let name = format!("n{i}");
        let mut m = [(i as u16).to_be_bytes(), [1, 0]].concat();
        m.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0, name.len() as u8]);
        m.extend_from_slice(name.as_bytes());
        m.extend_from_slice(&[0, 0, 1, 0, 1]);
        client.send_to(&m, "127.0.0.1:53").map_err(|e| e.to_string())?;
    }
    let (mut done, mut lost) = (0_u64, 0_u64);
    until_ok(|| {
        let new = poll(&mut source)?;
        done += new.list.len() as u64;
        lost += new.lost;
        let all = done + lost + u64::from(new.waiting);
        if all == u64::from(N) {
            Ok(())
        } else {
            Err(format!("{done} done, {lost} lost, {} wait", new.waiting))
        }
    })?;
    // None is counted twice.
    let last = poll(&mut source)?;
    done += last.list.len() as u64;
    assert_eq!(done + lost + last.lost + u64::from(last.waiting), u64::from(N));
    drop(server);
    Ok(())
}

/// Packet sockets of this network namespace.
fn packet_sockets() -> Result<usize, String> {
    let text = std::fs::read_to_string("/proc/thread-self/net/packet").map_err(|e| e.to_string())?;
    Ok(text.lines().count() - 1)
}

/// No packet socket is open unless a poll wants it.
pub(crate) fn capture_is_on_only_while_it_is_wanted() -> Result<(), String> {
    let mut source = open(EventMethod::SockDiag)?;
    let off = Wants::default().with(Reads::EVENTS);
    let sample = source.sample(&off).map_err(|e| e.to_string())?;
    assert_eq!((packet_sockets()?, sample.dns.on), (0, false));
    assert!(poll(&mut source)?.on);
    assert_eq!(packet_sockets()?, 1);
    source.sample(&off).map_err(|e| e.to_string())?;
    assert_eq!(packet_sockets()?, 0);
    Ok(())
}

/// `sockscope` with these arguments, after those of another program: standard output and error, and exit status; `act` runs after the
/// first line on standard error.
fn run(
    before: &[&str],
    args: &[&str],
    act: impl FnOnce() -> Result<(), String>,
) -> Result<(String, String, Option<i32>), String> {
    let command = [before, &[env!("CARGO_BIN_EXE_sockscope")], args].concat();
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let (mut stdout, stderr) = (child.stdout.take().ok_or("stdout")?, child.stderr.take().ok_or("stderr")?);
    let mut program = Program(child);
    let mut errors = std::io::BufReader::new(stderr);
    let mut first = String::new();
    errors.read_line(&mut first).map_err(|e| e.to_string())?;
    let printed = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    act()?;
    let status = until_ok(|| match program.0.try_wait() {
        Ok(Some(status)) => Ok(status.code()),
        other => Err(format!("still running: {other:?}")),
    })?;
    let text = printed.join().map_err(|_| "reader failed")?.map_err(|e| e.to_string())?;
    errors.read_to_string(&mut first).map_err(|e| e.to_string())?;
    Ok((text, first, status))
}

/// Rows as they come, and groups with failures and percentiles.
pub(crate) fn command_prints_questions_and_groups() -> Result<(), String> {
    serve()?;
    let words = ["udp,127.0.0.1,web", "udp,127.0.0.1,servfail", "udp,::1,web", "udp,127.0.0.1,other"];
    let act = || ask(&words).map(drop);
    let (text, errors, status) =
        run(&[], &["dns", "-f", "ndjson", "--count", "3", "name:web,servfail"], act)?;
    assert_eq!((&*errors, status), ("sockscope: DNS on port 53; processes by bpf\n", Some(0)));
    let rows: Vec<serde_json::Value> =
        text.lines().map(|l| serde_json::from_str(l).map_err(|e| e.to_string())).collect::<Result<_, _>>()?;
    let fields = |r: &serde_json::Value| {
        ["name", "result", "resolver", "process"]
            .map(|k| r[k].as_str().unwrap_or("null").to_owned())
            .join(" ")
    };
    let rows: Vec<String> = rows.iter().map(fields).collect();
    let want = [
        "web NOERROR 127.0.0.1:53 python3",
        "servfail SERVFAIL 127.0.0.1:53 python3",
        "web NOERROR [::1]:53 python3",
    ];
    assert_eq!(rows, want);
    let args = ["dns", "-f", "csv", "-g", "server", "--count", "4"];
    let (text, _, status) = run(&[], &args, act)?;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        (lines[0], status),
        ("resolver,count,failures,tries,latency_p50_us,latency_p99_us", Some(0)),
        "{text}"
    );
    assert!(lines[1].starts_with("127.0.0.1:53,3,1,") && lines[2].starts_with("[::1]:53,1,0,"), "{text}");
    Ok(())
}

/// A failing resolver is a warning of `check --dns`, and without the capability its state is unknown.
pub(crate) fn check_warns_of_a_failing_resolver() -> Result<(), String> {
    serve()?;
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let asking = std::thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            ask(&["udp,127.0.0.1,servfail"])?;
        }
        Ok::<_, String>(())
    });
    let args = ["check", "--dns", "--for", "3s", "--allow-partial", "process:none-of-this-name"];
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope")).args(args).output();
    over.store(true, Ordering::Relaxed);
    asking.join().map_err(|_| "client")??;
    let out = out.map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains(" questions to 127.0.0.1:53 failed: "), "{text}");
    assert_eq!(out.status.code(), Some(1), "{text}");
    let before = ["--bounding-set=-net_raw", "--inh-caps=-net_raw", env!("CARGO_BIN_EXE_sockscope")];
    let out =
        Command::new("setpriv").args(before).args(["check", "--dns"]).output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("DNS resolvers: it needs CAP_NET_RAW"), "{text}");
    Ok(())
}

/// Without `CAP_NET_RAW` there is no capture, with the reason, also with all else that can be read.
pub(crate) fn command_without_net_raw_names_the_capability() -> Result<(), String> {
    let before = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"];
    let (text, errors, status) = run(&before, &["dns", "--for", "1s"], || Ok(()))?;
    assert_eq!((&*text, status), ("", Some(2)));
    assert_eq!(errors, "sockscope: no DNS questions: it needs CAP_NET_RAW\n");
    Ok(())
}

/// Questions recorded with `--dns` are printed from the recording; without it there are none, with the reason.
pub(crate) fn recorded_questions_are_printed_from_the_recording() -> Result<(), String> {
    serve()?;
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    for (name, flags) in [("with", &["--dns"][..]), ("redacted", &["--dns", "--redact"]), ("without", &[])] {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let asking = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                ask(&["udp,127.0.0.1,recorded"])?;
            }
            Ok::<_, String>(())
        });
        let out = path(name);
        let args =
            [&["record", "-o", &out, "--every", "200ms", "--for", "2s", "--min-free", "0%"], flags].concat();
        let done = run(&[], &args, || Ok(()));
        over.store(true, Ordering::Relaxed);
        asking.join().map_err(|_| "client")??;
        assert_eq!(done?.2, Some(0));
    }
    let args =
        |name: &str| ["dns", "-f", "ndjson", "--from"].map(str::to_owned).into_iter().chain([path(name)]);
    let from = |name: &str| {
        let args: Vec<String> = args(name).collect();
        run(&[], &args.iter().map(String::as_str).collect::<Vec<_>>(), || Ok(()))
    };
    let (text, _, status) = from("with")?;
    let first: serde_json::Value =
        serde_json::from_str(text.lines().next().ok_or("no question")?).map_err(|e| e.to_string())?;
    assert_eq!((&first["name"], &first["process"], status), (&"recorded".into(), &"python3".into(), Some(0)));
    let (text, _, status) = from("redacted")?;
    assert!(!text.contains("recorded") && text.lines().count() > 0 && status == Some(0), "{text}");
    let (_, errors, status) = from("without")?;
    assert_eq!(status, Some(2));
    assert!(errors.contains("they were not recorded (sockscope record --dns)"), "{errors}");
    Ok(())
}
