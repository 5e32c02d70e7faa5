//! Captured trees: complete, incomplete and malformed ones.

use super::*;
use crate::collect::{Choice, Engines, open};
use crate::model::{Family, FaultSubject, ProtoSet, Reads, Wants};
use proptest::prelude::*;
use rustc_hash::FxHashSet;
use std::os::unix::fs::symlink;

const HEAD: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let p = dir.path();
    fs::create_dir_all(p.join("net")).unwrap();
    fs::create_dir_all(p.join("812/fd")).unwrap();
    fs::create_dir_all(p.join("sys/kernel")).unwrap();
    fs::write(p.join("sys/kernel/hostname"), "web-1\n").unwrap();
    let tcp = "   0: 00000000:01BB 00000000:0000 0A 00000000:00000003 00:00000000 00000000    33        0 500 1\n\
               1: 0400000A:01BB 057100CB:C350 01 00000000:00000000 00:00000000 00000000    33        0 501 1\n\
               2: 0400000A:A0F6 0900000A:1538 06 00000000:00000000 03:00000100 00000000     0        0 0 3\n";
    fs::write(p.join("net/tcp"), format!("{HEAD}{tcp}")).unwrap();
    let v6 = "   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 502 1\n";
    fs::write(p.join("net/tcp6"), format!("{HEAD}{v6}")).unwrap();
    let udp = "  10: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 101 0 503 2 0 0\n";
    fs::write(p.join("net/udp"), format!("{HEAD}{udp}")).unwrap();
    let stat = "812 (nginx) S 1 812 812 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
    fs::write(p.join("812/stat"), stat).unwrap();
    fs::write(p.join("812/status"), "Name:\tnginx\nUid:\t33\t33\t33\t33\n").unwrap();
    fs::write(p.join("812/cmdline"), "nginx: worker process\0").unwrap();
    fs::write(
        p.join("812/limits"),
        "Max open files            1024                 4096                 files\n",
    )
    .unwrap();
    fs::write(p.join("812/cgroup"), "0::/system.slice/nginx.service\n").unwrap();
    for (fd, to) in
        [("0", "/dev/null"), ("6", "socket:[500]"), ("7", "socket:[501]"), ("8", "anon_inode:[eventpoll]")]
    {
        symlink(to, p.join("812/fd").join(fd)).unwrap();
    }
    dir
}

fn read(root: &Path) -> Sample {
    open(Choice::Auto, Some(root), Netns::All, None, crate::collect::EventMethod::Off, Engines::Off)
        .unwrap()
        .sample(&Wants::default())
        .unwrap()
}

// Addresses as on a little-endian machine.
#[cfg(target_endian = "little")]
#[test]
fn captured_tree_is_read_like_a_machine() {
    let dir = tree();
    let s = read(dir.path());
    assert_eq!((&*s.host, s.backend.backend), ("web-1", Backend::Proc));
    let rows: Vec<String> = s
        .sockets
        .iter()
        .map(|x| format!("{} {} {} {}", x.proto.name(), x.state.name(), x.local, x.remote.port))
        .collect();
    assert_eq!(
        rows,
        [
            "tcp LISTEN 0.0.0.0:443 0",
            "tcp ESTABLISHED 10.0.0.4:443 50000",
            "tcp TIME_WAIT 10.0.0.4:41206 5432",
            "tcp LISTEN [::]:22 0",
            "udp UNCONN 0.0.0.0:53 0"
        ]
    );
    let owners: Vec<(u64, u32)> = s.owners.iter().map(|o| (o.inode, o.fd)).collect();
    assert_eq!(owners, [(500, 6), (501, 7)]);
    let p = &s.processes[0];
    assert_eq!((p.info.pid, &*p.info.comm, p.info.uid), (812, "nginx", 33));
    let fds = p.fds.unwrap();
    assert_eq!((fds.open, fds.soft, fds.hard), (4, Some(1024), Some(4096)));
    assert_eq!(not_captured(&s), ["/proc/net/udp6: not in the captured tree"]);
    assert_eq!(s.faults.count(FaultKind::Malformed), 0);
}

#[test]
fn malformed_lines_are_counted_and_the_others_read() {
    let dir = tree();
    let tcp = dir.path().join("net/tcp");
    let mut text = fs::read(&tcp).unwrap();
    text.extend_from_slice(b"what is this\n\xff\xfe\n");
    text.extend_from_slice("x".repeat(5000).as_bytes());
    text.extend_from_slice(b"\n   9: 0100007F:0001 00000000:0000 0A 00000000:0000");
    fs::write(&tcp, text).unwrap();
    let s = read(dir.path());
    assert_eq!(s.sockets.iter().filter(|x| x.proto == Proto::Tcp).count(), 4);
    let faults: Vec<_> = s.faults.iter().filter(|f| f.kind == FaultKind::Malformed).collect();
    assert_eq!(faults.len(), 1);
    assert_eq!(
        (&faults[0].subject, faults[0].count, &*faults[0].detail),
        (&FaultSubject::proc_net("tcp"), 4, "first at line 5")
    );
}

#[test]
fn overlong_line_is_one_malformed_line() {
    let dir = tree();
    let row = "0: 0100007F:0001 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 9 1";
    // Complete rows within one overlong line, at every offset a buffer could be split at.
    let long = format!("{row} ").repeat(4000);
    fs::write(dir.path().join("net/tcp"), format!("{HEAD}{long}\n{row}\n{long}")).unwrap();
    let s = read(dir.path());
    assert_eq!(s.sockets.iter().filter(|x| x.inode == 9).count(), 1);
    assert_eq!(s.faults.count(FaultKind::Malformed), 2);
}

#[test]
fn header_may_be_missing() {
    let dir = tree();
    let tcp = dir.path().join("net/tcp");
    let text = fs::read_to_string(&tcp).unwrap();
    fs::write(&tcp, text.strip_prefix(HEAD).unwrap()).unwrap();
    assert_eq!(read(dir.path()).sockets.len(), 5);
}

#[test]
fn unwanted_rows_are_left_out() {
    let dir = tree();
    let mut source = open(
        Choice::Auto,
        Some(dir.path()),
        Netns::All,
        None,
        crate::collect::EventMethod::Off,
        Engines::Off,
    )
    .unwrap();
    let mut rows = |wants: Wants| -> Vec<_> {
        let s = source.sample(&wants).unwrap();
        s.sockets.iter().map(|x| (x.proto.name(), x.state, x.local.port)).collect()
    };
    let states = StateSet::only(&[State::TimeWait]);
    assert_eq!(rows(Wants { states, ..Wants::default() }), [("tcp", State::TimeWait, 41206)]);
    let protos = ProtoSet::empty().with(Proto::Udp);
    assert_eq!(rows(Wants { protos, ..Wants::default() }), [("udp", State::Unconn, 53)]);
    let with_listeners = rows(Wants { states, ..Wants::default() }.with(Reads::LISTENERS));
    assert_eq!(with_listeners.iter().map(|x| x.2).collect::<Vec<_>>(), [443, 41206, 22, 53]);
}

#[test]
fn ids_are_stable_from_poll_to_poll() {
    let dir = tree();
    let mut source = open(
        Choice::Auto,
        Some(dir.path()),
        Netns::All,
        None,
        crate::collect::EventMethod::Off,
        Engines::Off,
    )
    .unwrap();
    let mut ids = || -> Vec<_> {
        source.sample(&Wants::default()).unwrap().sockets.iter().map(|x| (x.local, x.id)).collect()
    };
    let first = ids();
    assert_eq!(first, ids());
    // One row is removed, the others are renumbered.
    let tcp = dir.path().join("net/tcp");
    let text = fs::read_to_string(&tcp).unwrap().replace("   1: ", "   0: ");
    let without: Vec<&str> = text.lines().filter(|l| !l.contains(" 0A ")).collect();
    fs::write(&tcp, without.join("\n")).unwrap();
    assert_eq!(ids(), first[1..]);
}

#[test]
fn unreadable_table_does_not_affect_the_others() {
    let dir = tree();
    let udp = dir.path().join("net/udp");
    fs::remove_file(&udp).unwrap();
    fs::create_dir(&udp).unwrap();
    let s = read(dir.path());
    assert_eq!(s.sockets.len(), 4);
    assert_eq!(
        s.faults
            .iter()
            .filter(|f| f.kind == FaultKind::Failed)
            .map(|f| f.subject.clone())
            .collect::<Vec<_>>(),
        [FaultSubject::proc_net("udp")]
    );
}

#[test]
fn tree_without_host_name_is_named_by_its_path() {
    let dir = tree();
    fs::remove_file(dir.path().join("sys/kernel/hostname")).unwrap();
    assert_eq!(&*read(dir.path()).host, dir.path().to_str().unwrap());
}

#[test]
fn process_age_is_that_at_capture_time() {
    let dir = tree();
    fs::write(dir.path().join("uptime"), "100.50 380.00\n").unwrap();
    let s = read(dir.path());
    let age = s.at.boot_ns - s.processes[0].info.start_ns;
    let captured = 100_500_000_000 - 42_420_000_000;
    assert!((captured..captured + 60_000_000_000).contains(&age), "{age}");
    assert!(s.duration_us < 60_000_000, "{}", s.duration_us);
}

#[test]
fn own_live_socket_has_its_owner() {
    let l = std::net::TcpListener::bind("[::1]:0").unwrap();
    let at = l.local_addr().unwrap().to_string();
    let s = open(Choice::Proc, None, Netns::Here, None, crate::collect::EventMethod::Off, Engines::Off)
        .unwrap()
        .sample(&Wants::default())
        .unwrap();
    let row = s.sockets.iter().find(|x| x.local.to_string() == at && x.state == State::Listen).unwrap();
    let owner = s.owners.iter().find(|o| o.inode == row.inode).unwrap();
    assert_eq!(s.processes[owner.process as usize].info.pid, std::process::id());
    assert_eq!(owner.fd as i32, std::os::fd::AsRawFd::as_raw_fd(&l));
}

#[test]
fn process_exited_while_read_is_vanished_not_unsupported() {
    let child = std::process::Command::new("true").stdout(std::process::Stdio::piped()).spawn();
    let mut child = child.unwrap();
    // Its exit closes the pipe; then it is a zombie until reaped.
    let mut output = child.stdout.take().unwrap();
    assert_eq!(output.read(&mut [0]).unwrap(), 0);
    let root = Path::new("/proc").join(child.id().to_string());
    let end = std::time::Instant::now() + std::time::Duration::new(60, 0);
    while root.join("net/tcp").exists() {
        assert!(std::time::Instant::now() < end, "it does not end");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let mut s = read(tree().path());
    let before = s.faults.count(FaultKind::NotCaptured);
    read_tables(&root, 1, NATIVE_LITTLE_ENDIAN, &mut s);
    child.wait().unwrap();
    assert!(s.faults.count(FaultKind::Vanished) > 0, "{:?}", s.faults);
    assert_eq!(s.faults.count(FaultKind::Unsupported), 0, "{:?}", s.faults);
    assert_eq!(s.faults.count(FaultKind::NotCaptured), before, "{:?}", s.faults);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn every_line_is_parsed_or_counted(
        lines in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>().prop_map(|b| if b == b'\n' { b' ' } else { b }), 0..3000),
                (any::<u32>(), any::<u16>(), 0u8..16).prop_map(|(a, p, st)| format!(
                    "7: 0100007F:1F90 {a:08X}:{p:04X} {st:02X} 0:0 00:0 0 0 0 {} 1", u64::from(a) + 1
                ).into_bytes()),
            ],
            0..40,
        ),
    ) {
        let dir = tree();
        let mut text = HEAD.as_bytes().to_vec();
        for l in &lines {
            text.extend_from_slice(l);
            text.push(b'\n');
        }
        fs::write(dir.path().join("net/tcp"), &text).unwrap();
        let s = read(dir.path());
        let parsed = s.sockets.iter().filter(|x| x.proto == Proto::Tcp && x.family == Family::Inet).count();
        prop_assert_eq!(parsed + s.faults.count(FaultKind::Malformed) as usize, lines.len());
    }
}

#[test]
fn ten_thousand_sockets_have_distinct_ids() {
    let dir = tree();
    let mut text = HEAD.to_owned();
    for i in 0..10_000u32 {
        let (port, inode) = (1024 + i % 50, if i % 3 == 0 { 0 } else { i });
        text += &format!("{i}: 0100007F:{port:04X} {i:08X}:1F90 06 00000000:00000000 00:0 0 0 0 {inode} 1\n");
    }
    fs::write(dir.path().join("net/tcp"), text).unwrap();
    let s = read(dir.path());
    let ids: FxHashSet<_> = s.sockets.iter().map(|x| x.id).collect();
    assert_eq!((s.sockets.len(), ids.len()), (10_002, 10_002));
}

#[test]
fn unreadable_root_is_an_error() {
    let gone = open(
        Choice::Auto,
        Some(Path::new("/no/such/tree")),
        Netns::All,
        None,
        crate::collect::EventMethod::Off,
        Engines::Off,
    )
    .err()
    .map(|e| e.to_string());
    assert!(gone.as_deref().is_some_and(|e| e.starts_with("read /no/such/tree: ")), "{gone:?}");
    let empty = tempfile::tempdir().unwrap();
    let e = open(
        Choice::Proc,
        Some(empty.path()),
        Netns::All,
        None,
        crate::collect::EventMethod::Off,
        Engines::Off,
    )
    .err()
    .map(|e| e.to_string())
    .unwrap();
    assert!(e.starts_with("open ") && e.contains("net/tcp") && !e.contains('\n'), "{e}");
}

/// The rows of these protocols: protocol, local end or name, inode.
fn rows_of(root: &Path, protos: &[Proto]) -> Vec<(Proto, String, u64)> {
    let protos = protos.iter().fold(ProtoSet::empty(), |set, p| set.with(*p));
    let mut source =
        open(Choice::Auto, Some(root), Netns::All, None, crate::collect::EventMethod::Off, Engines::Off)
            .unwrap();
    let s = source.sample(&Wants { protos, ..Wants::default() }).unwrap();
    let end = |x: &crate::model::Socket| match x.local_name {
        0 => x.local.to_string(),
        name => s.names[name as usize].to_string(),
    };
    s.sockets.iter().map(|x| (x.proto, end(x), x.inode)).collect()
}

#[test]
fn unix_packet_and_netlink_sockets_of_a_tree_are_read() {
    let dir = tree();
    let table = |name: &str, text: &str| fs::write(dir.path().join("net").join(name), text).unwrap();
    table(
        "unix",
        "Num       RefCount Protocol Flags    Type St Inode Path\n0: 00000002 00000000 00010000 0001 01 600 /run/x\n",
    );
    table(
        "packet",
        "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n0 3 3 0003 2 1 0 0 601\n",
    );
    table(
        "netlink",
        "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n0 0 812 00000001 0 0 0 2 0 602\n",
    );
    let want = [
        (Proto::Unix, "/run/x".to_owned(), 600),
        (Proto::Packet, "*:if2".to_owned(), 601),
        (Proto::Netlink, "rtnl:812".to_owned(), 602),
    ];
    assert_eq!(rows_of(dir.path(), &[Proto::Unix, Proto::Packet, Proto::Netlink]), want);
}

#[test]
fn tables_are_those_of_pid_1_where_net_is_a_link_to_the_reader() {
    let dir = tree();
    fs::create_dir_all(dir.path().join("1")).unwrap();
    fs::rename(dir.path().join("net"), dir.path().join("1/net")).unwrap();
    symlink("self/net", dir.path().join("net")).unwrap();
    assert_eq!(rows_of(dir.path(), &[Proto::Udp]).len(), 1);
}

#[test]
fn addresses_of_the_other_byte_order_are_recognised() {
    let dir = tree();
    let (loopback, far) =
        if cfg!(target_endian = "little") { ("7F000001", "0A000009") } else { ("0100007F", "0900000A") };
    let line = |addr: &str, n: u32| {
        format!(
            "   {n}: {addr}:01BB 00000000:0000 0A 00000000:00000003 00:00000000 00000000    33        0 {n} 1\n"
        )
    };
    fs::write(dir.path().join("net/tcp"), format!("{HEAD}{}{}", line(loopback, 1), line(far, 2))).unwrap();
    let ends: Vec<String> = rows_of(dir.path(), &[Proto::Tcp]).into_iter().map(|r| r.1).collect();
    assert_eq!(ends[..2], ["127.0.0.1:443", "10.0.0.9:443"]);
}

#[test]
fn process_captured_without_fd_is_listed_and_this_is_reported() {
    let dir = tree();
    fs::remove_dir_all(dir.path().join("812/fd")).unwrap();
    let s = read(dir.path());
    let process = s.processes.iter().find(|p| p.info.pid == 812).unwrap();
    assert_eq!(process.fds, Err(crate::model::Missing::NotReported));
    assert!(not_captured(&s).contains(&"PID/fd: not in the captured tree".to_owned()), "{:?}", s.faults);
}

/// Messages about files that a tree does not have.
fn not_captured(s: &Sample) -> Vec<String> {
    s.faults.iter().filter(|f| f.kind == FaultKind::NotCaptured).map(ToString::to_string).collect()
}

#[test]
fn missing_part_of_a_tree_is_named_and_the_others_are_read() {
    for (path, want, sockets, processes) in [
        ("net", "net: not in the captured tree", 0, 1),
        ("net/udp", "/proc/net/udp: not in the captured tree", 4, 1),
        ("812/fd", "PID/fd: not in the captured tree", 5, 1),
        ("812/status", "PID/status: not in the captured tree", 5, 1),
        ("812/limits", "PID/limits: not in the captured tree", 5, 1),
        ("812/stat", "PID/stat: not in the captured tree", 5, 0),
    ] {
        let dir = tree();
        let part = dir.path().join(path);
        let removed = if part.is_dir() { fs::remove_dir_all(part) } else { fs::remove_file(part) };
        removed.unwrap();
        let s = read(dir.path());
        assert!(not_captured(&s).contains(&want.to_owned()), "{path}: {:?}", s.faults);
        assert_eq!((s.sockets.len(), s.processes.len()), (sockets, processes), "{path}");
        assert_eq!(s.faults.count(FaultKind::Vanished), 0, "{path}: {:?}", s.faults);
        let uid = s.processes.first().map(|p| p.info.uid);
        let want = if path == "812/status" { crate::model::ProcInfo::NO_UID } else { 33 };
        assert!(uid.is_none_or(|uid| uid == want), "{path}: {uid:?}");
    }
    // Without IPv6 a machine has no such tables.
    let dir = tree();
    fs::remove_file(dir.path().join("net/tcp6")).unwrap();
    assert_eq!(not_captured(&read(dir.path())), Vec::<String>::new());
}

#[test]
fn unknown_state_is_kept_with_its_number() {
    let dir = tree();
    let tcp = dir.path().join("net/tcp");
    let states = ["0E", "FF", "0C", "0D", "00"];
    let rows = states
        .iter()
        .enumerate()
        .map(|(i, st)| format!("   {i}: 0100007F:1F90 00000000:0000 {st} 0:0 00:0 0 0 0 {} 1\n", 600 + i));
    let rows = rows.collect::<Vec<_>>().concat();
    fs::write(&tcp, format!("{HEAD}{rows}")).unwrap();
    let s = read(dir.path());
    let found: Vec<&str> = s.sockets.iter().filter(|s| s.inode >= 600).map(|s| s.state.name()).collect();
    assert_eq!(found, ["UNKNOWN(14)", "UNKNOWN(255)", "SYN_RECV", "CLOSED", "UNKNOWN"]);
    assert_eq!(s.faults.count(FaultKind::Malformed), 0);
}

#[test]
fn raw_icmp_and_udp_lite_sockets_of_a_tree_are_read() {
    let dir = tree();
    let protos = [("raw", Proto::Raw), ("icmp", Proto::Icmp), ("udplite", Proto::UdpLite)];
    for (i, (name, _)) in protos.iter().enumerate() {
        let row = format!(
            "  10: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 {} 2 0 0\n",
            700 + i
        );
        fs::write(dir.path().join("net").join(name), format!("{HEAD}{row}")).unwrap();
    }
    let read = rows_of(dir.path(), &protos.map(|p| p.1));
    let inodes: Vec<_> = read.iter().map(|(p, _, inode)| (*p, *inode)).collect();
    assert_eq!(inodes, [(Proto::UdpLite, 702), (Proto::Raw, 700), (Proto::Icmp, 701)]);
}

#[test]
fn byte_order_follows_from_the_addresses_of_the_interfaces() {
    let dir = tree();
    let own = "2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let digits = |order: fn([u8; 4]) -> u32| -> String {
        own.chunks_exact(4)
            .map(|w| format!("{:08X}", order([w[0], w[1], w[2], w[3]])))
            .collect::<Vec<_>>()
            .concat()
    };
    let foreign = if cfg!(target_endian = "little") { u32::from_be_bytes } else { u32::from_le_bytes };
    let row = format!("   0: {}:0016 {}:0000 0A 0:0 00:0 0 0 0 9 1\n", digits(foreign), "0".repeat(32));
    fs::write(dir.path().join("net/tcp"), HEAD).unwrap();
    fs::write(dir.path().join("net/tcp6"), format!("{HEAD}{row}")).unwrap();
    let inet6 = "20010db8000000000000000000000007 02 40 00 80     eth0\n";
    fs::write(dir.path().join("net/if_inet6"), inet6).unwrap();
    assert_eq!(rows_of(dir.path(), &[Proto::Tcp])[0].1, "[2001:db8::7]:22");
}

/// Makes a file of some kind.
type Make<'a> = &'a dyn Fn(&Path);

/// Every file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        match entry.file_type().unwrap() {
            t if t.is_dir() => out.extend(files(&entry.path())),
            _ => out.push(entry.path()),
        }
    }
    out
}

#[test]
fn fifo_device_or_endless_file_in_a_tree_neither_blocks_nor_fails_the_rest() {
    let list =
        |dir: &Path| files(dir).iter().map(|f| f.strip_prefix(dir).unwrap().to_owned()).collect::<Vec<_>>();
    let make_tree = || {
        let dir = tree();
        for file in [
            "uptime",
            "loadavg",
            "net/sockstat",
            "net/snmp",
            "net/netlink",
            "net/unix",
            "net/fib_trie",
            "sys/kernel/pid_max",
        ] {
            fs::copy(Path::new("/proc").join(file), dir.path().join(file)).unwrap();
        }
        dir
    };
    let fifo =
        |file: &Path| assert!(std::process::Command::new("mkfifo").arg(file).status().unwrap().success());
    let kinds: [(&str, Make<'_>); 4] = [
        ("fifo", &fifo),
        ("device", &|file| symlink("/dev/zero", file).unwrap()),
        ("directory", &|file| fs::create_dir(file).unwrap()),
        ("endless", &|file| fs::File::create(file).unwrap().set_len(1 << 43).unwrap()),
    ];
    let whole = read(make_tree().path());
    for file in list(make_tree().path()) {
        for (kind, make) in kinds {
            // One table is enough to be read to its bound.
            if kind == "endless" && ["net/tcp6", "net/udp"].iter().any(|t| file.ends_with(t)) {
                continue;
            }
            let dir = make_tree();
            let path = dir.path().join(&file);
            fs::remove_file(&path).unwrap();
            make(&path);
            let began = std::time::Instant::now();
            let s = read(dir.path());
            assert!(began.elapsed().as_secs() < 60, "{kind} {}", file.display());
            let name = file.to_str().unwrap();
            if ["net/tcp", "net/tcp6", "net/udp"].contains(&name) {
                let why = if kind == "endless" {
                    "larger than 1 GiB: not all was read"
                } else {
                    "not a regular file"
                };
                let subject = FaultSubject::proc_net(&name[4..]);
                assert!(
                    s.faults.iter().any(|f| f.subject == subject && f.detail == why),
                    "{kind} {name}: {:?}",
                    s.faults
                );
                // The other tables are as before.
                assert!((1..whole.sockets.len()).contains(&s.sockets.len()), "{kind} {name}");
            } else if kind != "endless" && ["812/stat", "812/status"].contains(&name) {
                assert!(
                    s.faults.iter().any(|f| f.detail.contains("812: not a regular file")),
                    "{name}: {:?}",
                    s.faults
                );
            } else {
                assert_eq!(s.sockets.len(), whole.sockets.len(), "{kind} {name}");
            }
        }
    }
}
