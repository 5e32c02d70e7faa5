//! Every field of TCP, MPTCP, packet, netlink and UNIX sockets, compared with the output of `ss -O`.

use super::compare::check;
use super::world::{World, addr, listen};
use crate::wait::until_ok;
use rustix::net::{self, AddressFamily, SocketType, ipproto, socket};
use serde_json::{Map, Value};
use sockscope::collect::Source;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::derive::Engine;
use sockscope::model::{AttrSet, ProtoSet, Reads, Snapshot, Wants};
use sockscope::table::SOCKETS;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::Arc;

type Row = Map<String, Value>;

/// Sockets with options that need a raw setsockopt.
const ODD: &str = r#"
use Socket; $| = 1;
socket(P, 17, 3, 0x0300) or die "packet $!";
setsockopt(P, 263, 10, pack("i", 1)) or die "version $!";
setsockopt(P, 263, 5, pack("I4", 4096, 4, 2048, 8)) or die "ring $!";
setsockopt(P, 263, 8, pack("i", 1)) or die "auxdata $!";
bind(P, pack("S n i S C C a8", 17, 3, 1, 0, 0, 0, "")) or die "bind $!";
setsockopt(P, 263, 18, pack("I", 1 << 16 | 77)) or die "fanout $!";
$code = pack("SCCI" x 4, 0x28,0,0,12, 0x15,0,1,0x800, 0x06,0,0,96, 0x06,0,0,0);
setsockopt(P, 1, 26, pack("S x6 P", 4, $code)) or die "filter $!";
socket(N, 16, 3, 0) or die "netlink $!";
bind(N, pack("S S I I", 16, 0, 0, 0x41)) or die "groups $!";
socket(L, 2, 1, 6) or die;
setsockopt(L, 6, 13, "bbr") or die "bbr $!";
setsockopt(L, 0, 1, pack("i", 0x10)) or die "tos $!";
setsockopt(L, 6, 14, pack("S n a4 x120", 2, 0, inet_aton("127.0.0.5")) . pack("C C S i a80", 0, 0, 5, 0, "hello")) or die "md5 $!";
bind(L, sockaddr_in(7951, inet_aton("127.0.0.1"))) or die "bind $!";
listen(L, 3) or die;
socket(C, 2, 1, 6) or die;
setsockopt(C, 6, 13, "bbr") or die;
setsockopt(C, 1, 36, pack("i", 0x2a)) or die "mark $!";
connect(C, sockaddr_in(7951, inet_aton("127.0.0.1"))) or die "connect $!";
accept(A, L) or die;
syswrite(C, "x" x 50000);
sysread(A, $b, 20000);
print "$$\n";
sleep 600;
"#;

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let out = Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

fn ours(filter: &str, columns: &str) -> Result<Vec<Row>, String> {
    let args = ["list", "--netns", "here", "--format", "json", "-n", filter, "-c", columns];
    let text = run(env!("CARGO_BIN_EXE_sockscope"), &args)?;
    serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))
}

/// The words of a line of `ss -O` by key: `mss:1460`, `flags( a b )`, `send 5bps`.
#[derive(Debug)]
struct Line {
    words: Vec<String>,
    pairs: BTreeMap<String, String>,
}

impl Line {
    fn of(text: &str) -> Self {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let mut pairs = BTreeMap::new();
        for w in &words {
            if let Some((k, v)) = w.split_once(':') {
                pairs.entry(k.to_owned()).or_insert_with(|| v.to_owned());
            }
        }
        // Keys separated from their value by a blank.
        for w in words.windows(2) {
            if matches!(w[0].as_str(), "send" | "pacing_rate" | "delivery_rate") {
                pairs.insert(w[0].clone(), w[1].clone());
            }
        }
        Self { words, pairs }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.pairs.get(key).map(String::as_str)
    }

    /// Pairs within `name(…)`.
    fn nested(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let all = self.words.join(" ");
        let inner = all.split_once(&format!("{name}("))?.1.split_once(')')?.0;
        let parts = inner.split([',', ' ']).filter_map(|p| p.split_once(':'));
        Some(parts.map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }
}

/// Lines of `ss` by their endpoints.
fn theirs(args: &[&str]) -> Result<BTreeMap<(String, String), Line>, String> {
    let text = run("ss", &[&["-anHO"], args].concat())?;
    let lines = text.lines().map(Line::of).filter(|l| l.words.len() > 4);
    Ok(lines.map(|l| ((l.words[3].clone(), l.words[4].clone()), l)).collect())
}

fn ends(r: &Row) -> (String, String) {
    let word = |k: &str| r[k].as_str().unwrap_or("0.0.0.0:*").to_owned();
    (word("local"), word("remote"))
}

/// The number at the start of a word, times a factor: milliseconds to microseconds, bits to bytes.
fn number(text: &str, factor: f64) -> Option<f64> {
    let digits: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    Some(digits.parse::<f64>().ok()? * factor)
}

/// Key in `ss`, column, and the factor from the one to the other. A key that `ss` omits is 0 or missing.
const TCP: &[(&str, &str, f64)] = &[
    ("rto", "rto_us", 1000.0),
    ("ato", "ato_us", 1000.0),
    ("mss", "snd_mss", 1.0),
    ("pmtu", "pmtu", 1.0),
    ("rcvmss", "rcv_mss", 1.0),
    ("advmss", "advmss", 1.0),
    ("cwnd", "snd_cwnd", 1.0),
    ("bytes_sent", "bytes_sent", 1.0),
    ("bytes_retrans", "bytes_retrans", 1.0),
    ("bytes_acked", "bytes_acked", 1.0),
    ("bytes_received", "bytes_received", 1.0),
    ("segs_out", "segs_out", 1.0),
    ("segs_in", "segs_in", 1.0),
    ("data_segs_out", "data_segs_out", 1.0),
    ("data_segs_in", "data_segs_in", 1.0),
    ("send", "send_rate", 0.125),
    ("pacing_rate", "pacing_rate", 0.125),
    ("delivery_rate", "delivery_rate", 0.125),
    ("delivered", "delivered", 1.0),
    ("delivered_ce", "delivered_ce", 1.0),
    ("busy", "busy_time_us", 1000.0),
    ("unacked", "unacked", 1.0),
    ("lost", "lost", 1.0),
    ("sacked", "sacked", 1.0),
    ("dsack_dups", "dsack_dups", 1.0),
    ("reord_seen", "reord_seen", 1.0),
    ("rcv_rtt", "rcv_rtt_us", 1000.0),
    ("rcv_space", "rcv_space", 1.0),
    ("rcv_ssthresh", "rcv_ssthresh", 1.0),
    ("notsent", "notsent_bytes", 1.0),
    ("minrtt", "min_rtt_us", 1000.0),
    ("rcv_ooopack", "rcv_ooopack", 1.0),
    ("snd_wnd", "snd_wnd", 1.0),
    ("class_id", "class_id", 1.0),
];

/// `skmem:(r0,rb131072,...)`: letters of `ss` and columns.
const SKMEM: [(&str, &str); 9] = [
    ("r", "skmem_rmem_alloc"),
    ("rb", "skmem_rcvbuf"),
    ("t", "skmem_wmem_alloc"),
    ("tb", "skmem_sndbuf"),
    ("f", "skmem_fwd_alloc"),
    ("w", "skmem_wmem_queued"),
    ("o", "skmem_optmem"),
    ("bl", "skmem_backlog"),
    ("d", "drops"),
];

const SOCKOPT: [(&str, &str); 11] = [
    ("recverr", "opt_recverr"),
    ("is_icsk", "opt_is_icsk"),
    ("freebind", "opt_freebind"),
    ("hdrincl", "opt_hdrincl"),
    ("mc_loop", "opt_mc_loop"),
    ("transparent", "opt_transparent"),
    ("mc_all", "opt_mc_all"),
    ("nodefrag", "opt_nodefrag"),
    ("bind_addr_no_port", "opt_bind_addr_no_port"),
    ("recverr_rfc4884", "opt_recverr_rfc4884"),
    ("defer_connect", "opt_defer_connect"),
];

/// For listeners `ss` omits most of `tcp_info`.
fn tcp() -> Result<usize, String> {
    let mut columns = "local,remote,state,inode,cookie,uid,congestion,rtt_us,rttvar_us,snd_wscale,rcv_wscale,tos,\
        app_limited,mark,ulp,subflow_flags,mptcp_token,subflow_info,md5_keys,bbr_bw,bbr_min_rtt_us,bbr_pacing_gain,\
        bbr_cwnd_gain,shutdown,cgroup"
        .to_owned();
    for name in TCP.iter().map(|t| t.1).chain(SKMEM.iter().map(|s| s.1)).chain(SOCKOPT.iter().map(|s| s.1)) {
        columns = columns + "," + name;
    }
    let ours = ours("proto:tcp", &columns)?;
    let theirs = theirs(&["-t", "-iem", "--tos", "--inet-sockopt"])?;
    check(ours.len() == theirs.len(), || format!("{} rows and {}", ours.len(), theirs.len()))?;
    let mut compared = 0;
    for r in &ours {
        let at = ends(r);
        let line = theirs.get(&at).ok_or_else(|| format!("{at:?} only here"))?;
        let mut same = |what: &str, a: String, b: String| {
            compared += 1;
            check(a == b, || format!("{at:?} {what}: {a}, ss: {b}\n{}", line.words.join(" ")))
        };
        let text = |k: &str| r[k].as_str().unwrap_or("").to_owned();
        let plain = |k: &str| r[k].to_string();
        same(
            "inode",
            r["inode"].as_u64().unwrap_or(0).to_string(),
            line.get("ino").unwrap_or("0").to_owned(),
        )?;
        let cookie = u64::from_str_radix(line.get("sk").unwrap_or(""), 16).map_err(|e| e.to_string())?;
        same("cookie", plain("cookie"), cookie.to_string())?;
        let listens = text("state") == "LISTEN";
        let known = line.words.contains(&text("congestion"));
        same("congestion", known.to_string(), "true".to_owned())?;
        for (key, column, factor) in TCP.iter().filter(|(k, ..)| !listens || *k == "cwnd") {
            let near = match (r[*column].as_f64(), line.get(key).and_then(|w| number(w, *factor))) {
                // Within a thousandth, or the rounding to whole milliseconds.
                (Some(a), Some(b)) => {
                    (a - b).abs() <= (b * 0.002).max(if *key == "busy" { 1000.0 } else { 1.0 })
                }
                // Less than a millisecond.
                (Some(a), None) => a == 0.0 || (*key == "busy" && a < 1000.0),
                (None, b) => b.is_none(),
            };
            let printed = line.get(key).unwrap_or("nothing").to_owned();
            same(key, if near { printed.clone() } else { plain(column) }, printed)?;
        }
        if let Some((rtt, var)) = line.get("rtt").and_then(|w| w.split_once('/')) {
            for (b, column) in [(rtt, "rtt_us"), (var, "rttvar_us")] {
                let b = number(b, 1000.0).unwrap_or(-1.0);
                same(column, plain(column), format!("{b:.0}"))?;
            }
        }
        if let Some((snd, rcv)) = line.get("wscale").and_then(|w| w.split_once(',')) {
            same("wscale", plain("snd_wscale"), snd.to_owned())?;
            same("wscale", plain("rcv_wscale"), rcv.to_owned())?;
        }
        if !listens {
            let limited = line.words.iter().any(|w| w == "app_limited");
            same("app_limited", plain("app_limited"), limited.to_string())?;
        }
        let tos = line.get("tos").map(|t| t.trim_start_matches("0x").to_owned());
        let tos = tos.and_then(|t| u64::from_str_radix(&t, 16).ok());
        same("tos", r["tos"].as_u64().unwrap_or(0).to_string(), tos.unwrap_or(0).to_string())?;
        let mark = line.get("fwmark").and_then(|m| u64::from_str_radix(m.trim_start_matches("0x"), 16).ok());
        same("mark", r["mark"].as_u64().unwrap_or(0).to_string(), mark.unwrap_or(0).to_string())?;
        let skmem = line.get("skmem").unwrap_or("").trim_matches(['(', ')']).to_owned();
        for (part, (letters, column)) in skmem.split(',').zip(SKMEM) {
            same(column, format!("{letters}{}", plain(column)), part.to_owned())?;
        }
        for (word, column) in SOCKOPT {
            same(
                column,
                plain(column),
                line.words.iter().any(|w| w.trim_end_matches(')') == word).to_string(),
            )?;
        }
        let open = line.words.iter().any(|w| w == "<->");
        same("shutdown", (text("shutdown") == "neither").to_string(), open.to_string())?;
        let ulp = line.words.iter().find_map(|w| w.strip_prefix("tcp-ulp-")).unwrap_or("").to_owned();
        same("ulp", text("ulp"), ulp.clone())?;
        if ulp == "mptcp" && !listens {
            same("subflow flags", text("subflow_flags"), line.get("flags").unwrap_or("").to_owned())?;
            let token = line.get("token").and_then(|t| t.split_once('/')?.1.split_once('(')).map(|t| t.0);
            let token = token.and_then(|t| u64::from_str_radix(t, 16).ok()).unwrap_or(0);
            same("token", plain("mptcp_token"), token.to_string())?;
            let map = &r["subflow_info"];
            let hex = |k: &str| map[k].as_str().unwrap_or("").trim_start_matches("0x").to_owned();
            same("map_seq", hex("map_seq"), line.get("seq").unwrap_or("").to_owned())?;
            same("ssn_offset", hex("ssn_offset"), line.get("ssnoff").unwrap_or("").to_owned())?;
            let len = u64::from_str_radix(line.get("maplen").unwrap_or("0"), 16).unwrap_or(0);
            same("maplen", map["map_datalen"].to_string(), len.to_string())?;
        }
        let keys = line.get("md5keys").map(|k| k.trim_end_matches('=').to_owned());
        // ss prints the key after the address; sockscope never reads the key.
        let keys = keys.map(|k| k.split('=').next().unwrap_or("").to_owned()).unwrap_or_default();
        same("md5", r["md5_keys"].get(0).and_then(Value::as_str).unwrap_or("").to_owned(), keys)?;
        if let Some(bbr) = line.words.iter().find_map(|w| w.strip_prefix("bbr:(")) {
            let part = |name: &str| {
                let word = bbr.trim_end_matches(')').split(',').find_map(|p| p.strip_prefix(name))?;
                number(word.trim_start_matches(':'), 1.0)
            };
            let close = |column: &str, b: f64| {
                let a = r[column].as_f64().unwrap_or(-1.0);
                (a - b).abs() <= b.abs() * 0.002 + 0.51
            };
            for (name, column, factor) in [
                ("bw", "bbr_bw", 0.125),
                ("mrtt", "bbr_min_rtt_us", 1000.0),
                ("pacing_gain", "bbr_pacing_gain", 1.0),
                ("cwnd_gain", "bbr_cwnd_gain", 1.0),
            ] {
                let b = part(name).unwrap_or(0.0) * factor;
                same(column, close(column, b).to_string(), "true".to_owned())?;
            }
        }
    }
    Ok(compared)
}

fn mptcp() -> Result<usize, String> {
    let ours = ours("proto:mptcp", "local,remote,state,inode,mptcp_info,mptcp_flags,bytes_received")?;
    let theirs = theirs(&["-M", "-ie"])?;
    check(ours.len() == theirs.len() && ours.len() == 3, || format!("{} and {}", ours.len(), theirs.len()))?;
    let mut compared = 0;
    for r in ours.iter().filter(|r| r["state"] != "LISTEN") {
        let line = theirs.get(&ends(r)).ok_or("only here")?;
        let info = &r["mptcp_info"];
        for key in ["token", "write_seq", "snd_una", "rcv_nxt"] {
            let mine = info[key].as_str().unwrap_or("").trim_start_matches("0x");
            check(line.get(key) == Some(mine), || format!("mptcp {key}: {mine}, ss: {line:?}"))?;
            compared += 1;
        }
        for key in ["subflows", "subflows_max", "add_addr_signal_max", "local_addr_used", "local_addr_max"] {
            let mine = info[key].as_u64().unwrap_or(0);
            let their = line.get(key).and_then(|n| n.parse().ok()).unwrap_or(0);
            check(mine == their, || format!("mptcp {key}: {mine}, ss: {line:?}"))?;
            compared += 1;
        }
        let key = line.words.iter().any(|w| w == "remote_key");
        check((r["mptcp_flags"] == "remote-key") == key, || format!("mptcp flags: {r:?} {line:?}"))?;
        let inode = r["inode"].to_string();
        check(line.get("ino") == Some(inode.as_str()), || format!("mptcp inode: {line:?}"))?;
    }
    check(ours.iter().any(|r| r["bytes_received"] == 1000), || format!("mptcp bytes: {ours:?}"))?;
    // A connection and its subflow have one token.
    let token = |r: &Row| r["mptcp_info"]["token"].as_str().unwrap_or("").to_owned();
    for r in ours.iter().filter(|r| r["state"] != "LISTEN") {
        let joined =
            self::ours(&format!("(proto:tcp or proto:mptcp) mptcp_token:{}", token(r)), "proto,local")?;
        let protos: Vec<&str> = joined.iter().filter_map(|r| r["proto"].as_str()).collect();
        check(protos.len() == 2 && protos.contains(&"tcp"), || format!("joined: {joined:?}"))?;
    }
    Ok(compared)
}

fn packet() -> Result<(), String> {
    let rows = ours(
        "proto:packet",
        "inode,cookie,uid,iface,link_protocol,packet_info,packet_flags,rx_ring,fanout,fanout_type",
    )?;
    let text = run("ss", &["-anHO0e"])?;
    let line = Line::of(text.lines().next().unwrap_or(""));
    check(rows.len() == 1 && text.lines().count() == 1, || format!("{rows:?} {text}"))?;
    let r = &rows[0];
    let (ring, fanout) =
        (line.nested("ring_rx").unwrap_or_default(), line.nested("fanout").unwrap_or_default());
    let cookie = format!("{:x}", r["cookie"].as_u64().unwrap_or(0));
    for (what, mine, their) in [
        ("ino", r["inode"].to_string(), line.get("ino")),
        ("sk", cookie, line.get("sk")),
        ("ver", r["packet_info"]["version"].to_string(), line.get("ver")),
        ("cpy_thresh", r["packet_info"]["copy_thresh"].to_string(), line.get("cpy_thresh")),
        ("blk_size", r["rx_ring"]["block_size"].to_string(), ring.get("blk_size").map(String::as_str)),
        ("blk_nr", r["rx_ring"]["blocks"].to_string(), ring.get("blk_nr").map(String::as_str)),
        ("frm_size", r["rx_ring"]["frame_size"].to_string(), ring.get("frm_size").map(String::as_str)),
        ("frm_nr", r["rx_ring"]["frames"].to_string(), ring.get("frm_nr").map(String::as_str)),
        ("tmo", r["rx_ring"]["retire_ms"].to_string(), ring.get("tmo").map(String::as_str)),
        ("fanout", r["fanout"].to_string(), fanout.get("id").map(String::as_str)),
        ("type", r["fanout_type"].as_str().unwrap_or("").to_owned(), fanout.get("type").map(String::as_str)),
    ] {
        check(Some(mine.as_str()) == their, || format!("packet {what}: {mine}, ss: {their:?} {line:?}"))?;
    }
    check(r["packet_flags"] == "running,auxdata" && text.contains("flags( running auxdata )"), || {
        format!("{r:?} {text}")
    })?;
    check(r["iface"] == "lo" && r["link_protocol"] == "*", || format!("{r:?}"))?;
    filter()
}

/// The filter of that packet socket.
fn filter() -> Result<(), String> {
    let rows = ours("proto:packet bpf_filter:*", "bpf_filter")?;
    let mine = &rows.first().ok_or("no filter")?["bpf_filter"];
    let text = run("ss", &["-anHO0b"])?;
    let theirs = text.split_once("bpf filter (").ok_or_else(|| format!("ss: {text}"))?.1;
    let (count, numbers) = theirs.split_once("):").ok_or_else(|| format!("ss: {text}"))?;
    check(mine["instructions"].as_u64() == count.parse().ok(), || format!("{mine} {theirs}"))?;
    check(mine["numbers"].as_str() == Some(numbers.trim().trim_end_matches(',')), || {
        format!("{mine} {theirs}")
    })?;
    let want = ["0 ldh [12]", "1 jeq #0x800 jt 2 jf 3", "2 ret #96", "3 ret #0"];
    check(mine["program"] == serde_json::json!(want), || mine.to_string())
}

/// Attaches a map of `sk_storage` with a four-byte value to a socket with this port. Such a map needs a type
/// (BTF): the smallest possible is `int`.
const STORAGE: &str = r#"
use Socket; $| = 1;
open(HOME, "/proc/self/ns/net"); if ($ENV{APART}) { syscall(272, 0x40000000) == 0 or die "unshare $!" }
sub bpf { my $r = syscall(321, $_[0], $_[1], length $_[1]); die "bpf $_[0]: $!" if $r < 0; $r }
socket(S, 2, 1, 6) or die;
bind(S, sockaddr_in(7961, inet_aton("127.0.0.1"))) or die "bind $!";
listen(S, 3) or die "listen $!";
if ($ENV{APART}) { syscall(308, fileno HOME, 0x40000000) == 0 or die "setns $!" }
$btf = pack("S C C I5", 0xeb9f, 1, 0, 24, 0, 16, 16, 5) . pack("I4", 1, 1 << 24, 4, 1 << 24 | 32) . "\0int\0";
$types = bpf(18, pack("P Q I I I", $btf, 0, length $btf, 0, 0));
$map = bpf(0, pack("I7 a16 I4", 24, 4, 4, 0, 1, 0, 0, "kept", 0, $types, 1, 1));
$key = pack("i", fileno S); $value = pack("I", 5);
bpf(2, pack("I x4 P P Q", $map, $key, $value, 0));
$info = "\0" x 88;
bpf(15, pack("I I P", $map, length $info, $info));
print unpack("x4 I", $info), "\n";
sleep 600;
"#;

/// Starts [`STORAGE`], in a namespace that then only its socket keeps if `apart`; returns the id of the map.
fn storage(w: &mut World, apart: bool) -> Result<u64, String> {
    let mut command = Command::new("perl");
    command.args(["-e", STORAGE]).stdout(Stdio::piped());
    if apart {
        command.env("APART", "1");
    }
    let mut child = command.spawn().map_err(|e| format!("perl: {e}"))?;
    let mut id = String::new();
    let out = child.stdout.take().ok_or("no output")?;
    BufReader::new(out).read_line(&mut id).map_err(|e| e.to_string())?;
    w.children.push(child);
    id.trim().parse().map_err(|_| format!("the child did not begin: {id:?}"))
}

/// BPF storage of a socket in a namespace without a process, whether owners are read or not.
pub(crate) fn bpf_maps_in_a_namespace_without_a_process_are_read() -> Result<(), String> {
    let mut w = World::default();
    let id = storage(&mut w, true)?;
    let want = serde_json::json!([{ "map_id": id, "value_bytes": 4 }]);
    for columns in ["netns,state,bpf_maps", "netns,owner,bpf_maps"] {
        let args = ["list", "proto:tcp lport:7961 netns:*socket", "-c", columns];
        let rows = super::netns::rows(&args)?;
        check(rows.len() == 1 && rows[0]["bpf_maps"] == want, || {
            format!("{columns}: {rows:?}, want {want}")
        })?;
    }
    let args = ["list", "proto:tcp lport:7961 netns:*socket", "-c", "state,bpf_maps", "--count"];
    let counted = run(env!("CARGO_BIN_EXE_sockscope"), &args)?;
    check(counted.trim() == "1", || counted)
}

/// BPF storage of a socket: maps and sizes.
pub(crate) fn bpf_maps_of_a_socket_have_id_and_size() -> Result<(), String> {
    let mut w = World::default();
    let id = storage(&mut w, false)?;
    let rows = ours("proto:tcp lport:7961", "bpf_maps")?;
    let want = serde_json::json!([{ "map_id": id, "value_bytes": 4 }]);
    check(rows.len() == 1 && rows[0]["bpf_maps"] == want, || format!("{rows:?}, want {want}"))?;
    // The details have the same, requested for that socket only.
    let args = ["screenshot", "--netns", "here", "--size", "100x200", "--keys", "<down><enter>"];
    let shown = run(env!("CARGO_BIN_EXE_sockscope"), &[&args[..], &["proto:tcp lport:7961"]].concat())?;
    let row = format!("map_id {id} value_bytes 4");
    check(shown.lines().any(|l| l.contains("BPF MAPS") && l.contains(&row)), || format!("{row}: {shown}"))?;
    // Without the privilege the rows are listed, with the reason.
    let out = Command::new("setpriv")
        .args(["--bounding-set=-bpf,-sys_admin", env!("CARGO_BIN_EXE_sockscope")])
        .args([
            "list",
            "--netns",
            "here",
            "-n",
            "--format",
            "json",
            "proto:tcp lport:7961",
            "-c",
            "local,bpf_maps",
        ])
        .output()
        .map_err(|e| e.to_string())?;
    let (printed, why) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    check(
        printed.contains(r#"{"local":"127.0.0.1:7961","bpf_maps":null}"#) && why.contains("CAP_BPF"),
        || format!("{printed} {why}"),
    )
}

fn netlink(pid: u32) -> Result<(), String> {
    let rows =
        ours(&format!("proto:netlink port_id:{pid}"), "port_id,groups,group_names,link_protocol,pid,fd")?;
    let r = rows.first().ok_or("no netlink socket of the child")?;
    check(
        r["groups"] == 0x41 && r["group_names"] == "link,ipv4-route" && r["link_protocol"] == "rtnl",
        || format!("{r:?}"),
    )?;
    check(r["pid"] == pid, || format!("{r:?}"))?;
    let text = run("ss", &["-anHOe", "-f", "netlink"])?;
    let line = text.lines().map(Line::of).find(|l| l.words.iter().any(|w| *w == format!("0:{pid}")));
    check(line.as_ref().and_then(|l| l.words.last()).is_some_and(|g| g == "groups=0x00000041"), || {
        format!("{line:?}")
    })
}

fn unix() -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = dir.path().join("s");
    let _listener = UnixListener::bind(&path).map_err(|e| e.to_string())?;
    let _client = UnixStream::connect(&path).map_err(|e| e.to_string())?;
    let name = path.to_string_lossy().into_owned();
    let rows = ours(
        &format!("proto:unix state:listen local:\"{name}\""),
        "vfs_inode,vfs_dev,pending,recv_q,send_q,skmem_rcvbuf",
    )?;
    let r = rows.first().ok_or("no listener")?;
    let file = std::fs::metadata(&path).map_err(|e| e.to_string())?;
    let dev = std::os::unix::fs::MetadataExt::dev(&file);
    let dev = format!("{}:{}", rustix::fs::major(dev), rustix::fs::minor(dev));
    let inode = std::os::unix::fs::MetadataExt::ino(&file);
    check(r["vfs_inode"].as_u64() == Some(inode & 0xffff_ffff) && r["vfs_dev"] == *dev, || {
        format!("{r:?}, stat: {inode} {dev}")
    })?;
    check(r["pending"][0]["pid"] == std::process::id() && r["recv_q"] == 1, || format!("{r:?}"))?;
    // The inode of a queued client; `ss` prints it on the client's line.
    let waits = r["pending"][0]["inode"].to_string();
    let ss = run("ss", &["-anHOx"])?;
    check(ss.lines().any(|l| l.split_whitespace().nth(5) == Some(waits.as_str())), || {
        format!("{waits}: {ss}")
    })
}

/// A column declares all of its needs: read alone it has the same values as in a complete read.
fn alone() -> Result<(), String> {
    let mut source = NetlinkSource::new("requested".into()).map_err(|e| e.to_string())?;
    let apart = Reads::LIMITS | Reads::NAT | Reads::FORWARDED;
    let everything =
        Wants { protos: ProtoSet::ALL, ..Wants::default() }.with(!apart).with_attrs(AttrSet::ALL);
    let mut read = |w: &Wants| -> Result<Arc<Snapshot>, String> {
        Ok(Engine::new().step(source.sample(w).map_err(|e| e.to_string())?))
    };
    let all = read(&everything)?;
    let place = |snap: &Snapshot, row: usize| snap.find(all.socket(row).id);
    let mut compared = 0;
    for c in SOCKETS.columns.iter().filter(|c| !c.is_over_time()) {
        let only = read(&Wants::new(c.needs, ProtoSet::ALL))?;
        for row in 0..all.live {
            let Some(there) = place(&only, row) else { continue };
            let (whole, part) = (c.value(&all, row), c.value(&only, there));
            // Ages depend on the earlier polls.
            let about = whole.is_missing() == part.is_missing() || matches!(c.name, "age_s" | "age_from");
            check(about, || format!("{} of {:?}: {whole:?}, alone {part:?}", c.name, all.socket(row)))?;
            compared += usize::from(!whole.is_missing());
        }
    }
    check(compared > 1000, || format!("only {compared} values"))
}

fn multipath() -> Result<[OwnedFd; 3], Box<dyn std::error::Error>> {
    let make = || socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::MPTCP));
    let to = addr("127.0.0.1:7952");
    let listener = make()?;
    net::bind(&listener, &to)?;
    net::listen(&listener, 9)?;
    let client = make()?;
    net::connect(&client, &to)?;
    let served = net::accept(&listener)?;
    rustix::io::write(&served, &[b'x'; 1000])?;
    Ok([listener, client, served])
}

/// All families.
pub(crate) fn fields_of_every_family_match_ss() -> Result<(), String> {
    let mut w = World::default();
    let mut child = Command::new("perl")
        .args(["-e", ODD])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("perl: {e}"))?;
    let mut ready = String::new();
    let out = child.stdout.take().ok_or("no output")?;
    BufReader::new(out).read_line(&mut ready).map_err(|e| e.to_string())?;
    let pid = child.id();
    w.children.push(child);
    check(ready.trim() == pid.to_string(), || format!("the child did not begin: {ready:?}"))?;
    let _multi = multipath().map_err(|e| format!("mptcp: {e}"))?;
    let l = listen("127.0.0.1:7953", 5, false);
    let (mut near, mut far) = World::pair(&l, None);
    near.write_all(&vec![7; 100_000]).map_err(|e| e.to_string())?;
    far.read_exact(&mut vec![0; 60_000]).map_err(|e| e.to_string())?;
    // ACKs may be in flight, and timers change with them.
    let n = until_ok(tcp)?;
    // Each of nine rows has some thirty.
    check(n > 250, || format!("only {n} fields of tcp were compared"))?;
    let n = until_ok(mptcp)?;
    check(n == 18, || format!("only {n} fields of mptcp were compared"))?;
    packet()?;
    netlink(pid)?;
    until_ok(alone)?;
    unix()
}

/// A protocol that the kernel does not support is reported, to scripts too, instead of an empty result.
pub(crate) fn protocol_the_kernel_lacks_is_reported() -> Result<(), String> {
    for (proto, of) in [("sctp", "SCTP"), ("dccp", "DCCP"), ("tipc", "TIPC")] {
        let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
            .args(["list", "--netns", "here", "--format", "json", &format!("proto:{proto}")])
            .output()
            .map_err(|e| e.to_string())?;
        let protocols = std::fs::read_to_string("/proc/net/protocols").map_err(|e| e.to_string())?;
        if protocols.lines().any(|l| l.starts_with(of)) {
            continue;
        }
        let printed = String::from_utf8_lossy(&out.stderr);
        let reason = format!("sockscope: {proto}: no {of} in this kernel: ");
        check(out.stdout == b"[]\n" && printed.lines().any(|line| line.starts_with(&reason)), || {
            format!("{proto}: {printed:?} {:?}", String::from_utf8_lossy(&out.stdout))
        })?;
    }
    // Queries for other protocols do not mention it.
    let out = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(["list", "--netns", "here", "--count"])
        .output()
        .map_err(|e| e.to_string())?;
    check(out.stderr.is_empty(), || String::from_utf8_lossy(&out.stderr).into_owned())
}
