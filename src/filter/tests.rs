//! A table of cases: text, canonical text, rows of the machine in `testing`.

use super::{Filter, Problem, Pushdown};
use crate::model::{Prefilter, Side, Snapshot};
use crate::table::{PEERS, PORTS, PROCESSES, SOCKETS};
use crate::testing::{machine, many};
use proptest::prelude::*;
use std::sync::LazyLock;

fn rows(text: &str) -> (String, Vec<usize>) {
    let snap = machine();
    let f = Filter::parse(text, &SOCKETS).unwrap_or_else(|e| panic!("{text}: {e} at {:?}", e.span));
    let canonical = f.to_string();
    let again = Filter::parse(&canonical, &SOCKETS).unwrap_or_else(|e| panic!("{text} -> {canonical}: {e}"));
    assert_eq!(f.expr(), again.expr(), "{text} -> {canonical}");
    assert_eq!(again.to_string(), canonical, "{text}");
    let m = f.over(&snap);
    let all: Vec<usize> = (0..snap.live).filter(|r| m.matches(*r)).collect();
    let slow: Vec<usize> = (0..snap.live).filter(|r| f.matches(&snap, *r)).collect();
    assert_eq!(all, slow, "{text}: prepared and not");
    (canonical, all)
}

const TCP: &[usize] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 14];
const ALL: &[usize] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
const NO_TW: &[usize] = &[0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14];
const P22: &[usize] = &[1, 8, 14];
const P443: &[usize] = &[0, 2, 3, 4, 5];
const NGINX: &[usize] = &[0, 2, 3, 4, 5];

#[test]
fn cases() {
    let cases: &[(&str, &str, &[usize])] = &[
        // Words.
        ("", "", ALL),
        ("  ", "", ALL),
        ("nginx", "nginx", NGINX),
        ("NGINX", "NGINX", NGINX),
        ("ngi", "ngi", NGINX),
        ("\"api server\"", "\"api server\"", &[6, 7, 10, 11]),
        ("'api server'", "\"api server\"", &[6, 7, 10, 11]),
        ("203.0.113", "203.0.113", &[2, 3, 4]),
        ("10.0.0.9:5432", "\"10.0.0.9:5432\"", &[6]),
        ("::77", "\"::77\"", &[8]),
        ("2001:db8::4", "\"2001:db8::4\"", &[8]),
        ("*:443", "port:443", P443),
        ("[2001:db8::4]:22", "\"[2001:db8::4]:22\"", &[8]),
        ("close-wait", "close-wait", &[4]),
        ("CLOSE_WAIT", "CLOSE_WAIT", &[4]),
        ("estab", "estab", &[2, 3, 6, 8, 10, 13, 14]),
        ("udp", "udp", &[9, 10]),
        ("www", "www", &[6]),
        ("resolve.sock", "resolve.sock", &[12]),
        ("\"@abstract\"", "\"@abstract\"", &[13]),
        ("/run/systemd", "\"/run/systemd\"", &[12]),
        ("ssh", "ssh", P22),
        ("81", "81", &[0, 2, 3, 4, 5]),
        ("5432", "5432", &[6]),
        ("991", "991", &[6, 7, 10, 11]),
        ("nothing-has-this", "nothing-has-this", &[]),
        ("nginx 203.0.113.5", "nginx and 203.0.113.5", &[2, 4]),
        ("\"and\"", "\"and\"", &[]),
        ("dev", "\"dev\"", &[]),
        ("pid", "pid", &[]),
        // Ports.
        (":443", "port:443", P443),
        (":https", "port:443", P443),
        (":22", "port:22", P22),
        (":20-25", "port:20-25", P22),
        (":22,80", "port:22,80", &[1, 7, 8, 14]),
        ("port:443", "port:443", P443),
        ("port=443", "port:443", P443),
        ("port:8000-8999", "port:8000-8999", &[]),
        ("port:40000-", "port:40000-", &[2, 3, 4, 5, 6, 7, 8, 10]),
        ("port:ssh,domain", "port:22,53", &[1, 8, 9, 10, 14]),
        ("lport:443", "local_port:443", P443),
        ("sport:443", "local_port:443", P443),
        ("rport:5432", "remote_port:5432", &[6]),
        ("dport:53", "remote_port:53", &[10]),
        ("local-port:53", "local_port:53", &[9]),
        ("LOCAL_PORT:53", "local_port:53", &[9]),
        ("lport>50000", "local_port>50000", &[10]),
        ("lport >= 40300", "local_port>=40300", &[7, 10]),
        ("lport<1", "local_port<1", &[11]),
        ("rport:none", "remote_port:none", &[0, 1, 9, 11, 12, 13]),
        ("port!=443", "port!=443", &[1, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        // Addresses.
        ("remote:10.0.0.0/8", "remote:10.0.0.0/8", &[6, 14]),
        ("remote:10/8", "remote:10.0.0.0/8", &[6, 14]),
        ("remote:10.1.2.3", "remote:10.1.2.3", &[14]),
        ("remote:10.1.2.3/16", "remote:10.1.0.0/16", &[14]),
        ("10.0.0.0/8", "addr:10.0.0.0/8", &[2, 3, 4, 5, 6, 7, 14]),
        ("addr:10.0.0.9", "addr:10.0.0.9", &[6]),
        ("addr:10.0.0.9:5432", "addr:10.0.0.9:5432", &[6]),
        ("2001:db8::/32", "addr:[2001:db8::]/32", &[8]),
        ("remote:2001:db8::77", "remote:[2001:db8::77]", &[8]),
        ("remote:[2001:db8::77]:61000", "remote:[2001:db8::77]:61000", &[8]),
        ("remote:[2001:db8::]/32", "remote:[2001:db8::]/32", &[8]),
        ("remote:[2001:db8::]/32:61000", "remote:[2001:db8::]/32:61000", &[8]),
        ("local:0.0.0.0:443", "local:0.0.0.0:443", &[0]),
        ("local::443", "local::443", P443),
        ("local:*:443", "local::443", P443),
        ("remote:203.0.113.0/24,192.0.2.1", "remote:203.0.113.0/24,192.0.2.1", &[2, 3, 4, 7]),
        ("remote!=203.0.113.0/24", "remote!=203.0.113.0/24", &[0, 1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        ("remote:203.0", "remote:\"203.0\"", &[2, 3, 4]),
        ("remote:203.*:50001", "remote:203.*:50001", &[3]),
        ("local:localhost", "local:127.0.0.1", &[10]),
        ("local:/run/*", "local:/run/*", &[12]),
        ("local:resolve", "local:\"resolve\"", &[12]),
        ("remote:none", "remote:none", &[0, 1, 9, 11, 12, 13]),
        ("dst:203.0.113.5", "remote:203.0.113.5", &[2, 4]),
        ("src:10.0.0.4", "local:10.0.0.4", &[2, 3, 4, 5, 6, 7, 14]),
        ("remote_addr:203.0.113.5", "remote_addr:203.0.113.5", &[2, 4]),
        ("local:::ffff:10.0.0.4", "local:10.0.0.4", &[2, 3, 4, 5, 6, 7, 14]),
        ("remote:::ffff:10.0.0.0/104", "remote:10.0.0.0/8", &[6, 14]),
        // States.
        ("state:listen", "state:listen", &[0, 1, 12]),
        ("state=LISTENING", "state:listen", &[0, 1, 12]),
        ("state:close-wait,time-wait", "state:close-wait,time-wait", &[4, 5]),
        ("state:time-wait,close-wait", "state:close-wait,time-wait", &[4, 5]),
        ("state!=estab,listen", "state!=listen,established", &[4, 5, 7, 9, 11]),
        ("state:connected", "state:connected", &[2, 3, 4, 5, 6, 7, 8, 10, 13, 14]),
        ("state:bucket", "state:syn-recv,time-wait", &[5]),
        ("state:unconn", "state:unconn", &[9]),
        // Other fields.
        ("proto:tcp", "proto:tcp", TCP),
        ("proto:tcp,udp", "proto:tcp,udp", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14]),
        ("proto:u*", "proto:u*", &[9, 10, 12, 13]),
        ("proto!=tcp", "proto!=tcp", &[9, 10, 12, 13]),
        ("family:inet6", "family:inet6", P22),
        ("ipv6", "family:inet6", P22),
        ("inet6 tcp", "family:inet6 and tcp", P22),
        ("TCP6", "proto:tcp and family:inet6", P22),
        ("not tcp6 proto:tcp", "not (proto:tcp and family:inet6) and proto:tcp", &[0, 2, 3, 4, 5, 6, 7, 11]),
        ("udp6", "proto:udp and family:inet6", &[]),
        ("\"tcp6\"", "\"tcp6\"", &[]),
        ("proc:nginx", "process:nginx", NGINX),
        ("proc:ng*", "process:ng*", NGINX),
        ("proc:ginx", "process:ginx", NGINX),
        ("proc=ginx", "process=ginx", &[]),
        ("proc=nginx", "process=nginx", NGINX),
        ("proc=\"api server\"", "process=\"api server\"", &[6, 7, 10, 11]),
        ("proc:\"api server\",sshd", "process:\"api server\",sshd", &[1, 6, 7, 8, 10, 11, 14]),
        ("proc~^ng", "process~\"^ng\"", NGINX),
        ("proc~^(ng|ss)", "process~\"^(ng|ss)\"", &[0, 1, 2, 3, 4, 5, 8, 14]),
        ("proc!~^ng", "process!~\"^ng\"", &[1, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        ("proc~\"^api s\"", "process~\"^api s\"", &[6, 7, 10, 11]),
        ("proc!=nginx", "process!=nginx", &[1, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        ("pid:812", "pid:812", &[0, 2, 4, 5]),
        ("pid:813", "pid:813", &[0, 3]),
        ("pid>=991", "pid>=991", &[6, 7, 10, 11]),
        ("pid:812-813", "pid:812-813", NGINX),
        ("owner:none", "owner:none", &[]),
        ("user:www-data", "user:www-data", &[6]),
        ("user:www", "user:www", &[]),
        ("user:www*", "user:www*", &[6]),
        ("uid:33", "uid:33", &[6]),
        ("cmdline:--serve", "cmdline:--serve", NO_TW),
        ("unit:nginx.service", "unit:nginx.service", &[0, 2, 3, 4]),
        ("rx>1M", "rx>1M", &[2]),
        ("rx>=100", "rx>=100", &[2, 3]),
        ("rx > 1.5M", "rx>1536k", &[2]),
        ("rx<1M", "rx<1M", &[3]),
        ("not rx>1M", "not rx>1M", &[0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        ("recv_q>64k", "recv_q>64k", &[6]),
        ("recvq>64kb", "recv_q>64k", &[6]),
        ("age<10s", "age_s<10s", &[7]),
        ("age>1h", "age_s>1h", &[6]),
        ("age:2h", "age_s:2h", &[6]),
        ("fds>80%", "fds_pct>80%", &[0, 2, 4]),
        ("fds>500", "fds_open>500", &[0, 2, 4]),
        ("fds:100", "fds_open:100", &[6, 7, 10, 11]),
        ("rtt>50ms", "rtt_us>50ms", &[]),
        ("rtt-us>50", "rtt_us>50us", &[]),
        ("direction:in", "direction:in", &[2, 3, 4]),
        ("dir:out", "direction:out", &[6]),
        ("direction:accepted", "direction:in", &[2, 3, 4]),
        ("direction!=Connected", "direction!=out", &[0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14]),
        ("\"상태:listen\"", "\"상태:listen\"", &[]),
        ("scope:loopback", "scope:loopback", &[10]),
        ("service:ssh", "service:ssh", P22),
        ("iface:eth0", "iface:eth0", &[9]),
        ("closed:no", "closed:no", ALL),
        ("closed:yes", "closed:yes", &[]),
        ("mark:0x1/0xff", "mark:0x1/0xff", &[]),
        ("cookie:1", "cookie:1", &[0]),
        ("owner_missing:\"not permitted\"", "owner_missing:\"not permitted\"", &[]),
        ("owner_missing:wait", "owner_missing:wait", &[5]),
        ("netns:host", "netns:host", ALL),
        // And, or, not.
        ("proc:nginx state:listen", "process:nginx and state:listen", &[0]),
        ("proc:nginx and state:listen", "process:nginx and state:listen", &[0]),
        ("proc:nginx && state:listen", "process:nginx and state:listen", &[0]),
        ("proc:nginx & state:listen", "process:nginx and state:listen", &[0]),
        ("proc:nginx&state:listen", "process:nginx and state:listen", &[0]),
        (":22 or :53", "port:22 or port:53", &[1, 8, 9, 10, 14]),
        (":22|:53", "port:22 or port:53", &[1, 8, 9, 10, 14]),
        (":22 || :53", "port:22 or port:53", &[1, 8, 9, 10, 14]),
        ("not :22", "not port:22", &[0, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13]),
        ("! :22", "not port:22", &[0, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13]),
        ("!:22", "not port:22", &[0, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13]),
        ("not not :22", "not not port:22", P22),
        ("a or b and c", "a or b and c", &[]),
        ("not :22 and proto:tcp", "not port:22 and proto:tcp", &[0, 2, 3, 4, 5, 6, 7, 11]),
        ("not (:22 or :443)", "not (port:22 or port:443)", &[6, 7, 9, 10, 11, 12, 13]),
        ("(:22 or :443) state:listen", "(port:22 or port:443) and state:listen", &[0, 1]),
        (":22 or :443 state:listen", "port:22 or port:443 and state:listen", &[0, 1, 8, 14]),
        ("(((:22)))", "port:22", P22),
        ("(:22)and(proto:tcp)", "port:22 and proto:tcp", P22),
        ("port:443 or proc:nginx", "port:443 or process:nginx", &[0, 2, 3, 4, 5]),
        ("state:close-wait fds>80%", "state:close-wait and fds_pct>80%", &[4]),
        ("nginx AND :443 OR sshd", "nginx and port:443 or sshd", &[0, 1, 2, 3, 4, 5, 8, 14]),
        // ss.
        ("state established", "state:established", &[2, 3, 6, 8, 10, 13, 14]),
        ("state estab", "state:established", &[2, 3, 6, 8, 10, 13, 14]),
        ("state listening", "state:listen", &[0, 1, 12]),
        ("state syn-sent state time-wait", "state:syn-sent,time-wait", &[5, 7]),
        ("exclude time-wait", "state!=time-wait", NO_TW),
        ("excl time-wait", "state!=time-wait", NO_TW),
        ("exclude listening exclude established", "state!=listen,established", &[4, 5, 7, 9, 11]),
        (
            "state connected exclude time-wait",
            "state!=listen,time-wait,closed,unconn,forwarded,unknown",
            &[2, 3, 4, 6, 7, 8, 10, 13, 14],
        ),
        ("state established exclude established", "not state:all", &[]),
        ("state close", "state:closed,unconn", &[9, 11]),
        ("state all", "state:all", ALL),
        ("state synchronized", "state:synchronized", &[2, 3, 4, 5, 6, 8, 10, 13, 14]),
        ("state bucket", "state:syn-recv,time-wait", &[5]),
        ("state big", "state:big", NO_TW),
        ("dst 10.0.0.0/8", "remote:10.0.0.0/8", &[6, 14]),
        ("dst = 10.0.0.0/8", "remote:10.0.0.0/8", &[6, 14]),
        ("dst == 10.0.0.0/8", "remote:10.0.0.0/8", &[6, 14]),
        ("not dst 10.0.0.0/8", "not remote:10.0.0.0/8", &[0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13]),
        ("src [2001:db8::4]:22", "local:[2001:db8::4]:22", &[8]),
        ("src [::]:22", "local:[::]:22", &[1]),
        ("src :22", "local::22", P22),
        ("src *:22", "local::22", P22),
        ("dst 203.0.113.5:50000", "remote:203.0.113.5:50000", &[2]),
        ("dst inet:203.0.113.5", "family:inet and remote:203.0.113.5", &[2, 4]),
        ("src inet6:[::]:22", "family:inet6 and local:[::]:22", &[1]),
        ("dst 10", "remote:10.0.0.0", &[]),
        ("dport = :5432", "remote_port:5432", &[6]),
        ("dport = 5432", "remote_port:5432", &[6]),
        ("dport :5432", "remote_port:5432", &[6]),
        ("dport 5432", "remote_port:5432", &[6]),
        ("dport == :http", "remote_port:80", &[7]),
        ("dport eq :http", "remote_port:80", &[7]),
        ("sport eq :22", "local_port:22", P22),
        ("sport = ssh", "local_port:22", P22),
        ("sport gt 50000", "local_port>50000", &[10]),
        ("sport > :50000", "local_port>50000", &[10]),
        ("sport>:50000", "local_port>50000", &[10]),
        ("sport geq :40300", "local_port>=40300", &[7, 10]),
        ("sport ge 40300", "local_port>=40300", &[7, 10]),
        ("sport lt 1", "local_port<1", &[11]),
        ("sport leq 22", "local_port<=22", &[1, 8, 11, 14]),
        ("sport le :22", "local_port<=22", &[1, 8, 11, 14]),
        ("sport != :443", "local_port!=443", &[1, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        ("sport neq :443", "local_port!=443", &[1, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        ("sport ne 443", "local_port!=443", &[1, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
        ("dport = 10.0.0.9:5432", "remote:10.0.0.9:5432", &[6]),
        ("dport = 0", "remote_port:0", &[0, 1, 9, 11]),
        ("autobound", "autobound", &[6, 7, 10]),
        ("not autobound", "not autobound", &[0, 1, 2, 3, 4, 5, 8, 9, 11, 12, 13, 14]),
        ("dev eth0", "iface:eth0", &[9]),
        ("dev = eth0", "iface:eth0", &[9]),
        ("dev != eth0", "iface!=eth0", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14]),
        ("fwmark 0x1/0xff", "mark:0x1/0xff", &[]),
        ("fwmark = 1", "mark:0x1", &[]),
        ("fwmark != 1", "mark!=0x1", ALL),
        ("cgroup /system.slice/sshd.service", "cgroup=/system.slice/sshd.service", P22),
        ("cgroup = /system.slice/sshd.service", "cgroup=/system.slice/sshd.service", P22),
        (
            "cgroup != /system.slice/sshd.service",
            "cgroup!=/system.slice/sshd.service",
            &[0, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13],
        ),
        ("src unix:/run/*", "family:unix and local:/run/*", &[12]),
        ("src unix:/run/systemd/resolve.sock", "family:unix and local=\"/run/systemd/resolve.sock\"", &[12]),
        ("unix:@*", "family:unix and addr:@*", &[13]),
        ("unix:*", "family:unix", &[12, 13]),
        ("inet:10.0.0.9", "family:inet and addr:10.0.0.9", &[6]),
        ("inet6:*", "family:inet6 and addr:*", P22),
        ("( dport = :http or sport = :ssh )", "remote_port:80 or local_port:22", &[1, 7, 8, 14]),
        ("(dport = :http or sport = :ssh)", "remote_port:80 or local_port:22", &[1, 7, 8, 14]),
        ("\\( dport = :http or sport = :ssh \\)", "remote_port:80 or local_port:22", &[1, 7, 8, 14]),
        ("'( dport = :http or sport = :ssh )'", "remote_port:80 or local_port:22", &[1, 7, 8, 14]),
        (
            "state established '( dport = :ssh or sport = :ssh )' dst 10.0.0.0/8",
            "state:established and (remote_port:22 or local_port:22) and remote:10.0.0.0/8",
            &[14],
        ),
        (
            "state established sport = :22 or sport = :443",
            "state:established and (local_port:22 or local_port:443)",
            &[2, 3, 8, 14],
        ),
        (
            "state established or sport = :53",
            "state:established or local_port:53",
            &[2, 3, 6, 8, 9, 10, 13, 14],
        ),
        (
            "! ( sport = :22 | sport = :443 )",
            "not (local_port:22 or local_port:443)",
            &[6, 7, 9, 10, 11, 12, 13],
        ),
        ("sport = :22 and not dst 2001:db8::/32", "local_port:22 and not remote:[2001:db8::]/32", &[1, 14]),
        ("sport \\> 50000", "local_port>50000", &[10]),
    ];
    let mut bad = Vec::new();
    for (text, canonical, want) in cases {
        if *text == "a or b and c" {
            // Only the structure matters.
            assert_eq!(rows(text).0, *canonical);
            continue;
        }
        let (c, got) = rows(text);
        if c != *canonical || got != *want {
            bad.push(format!("{text}\n   is   {c} {got:?}\n   want {canonical} {want:?}"));
        }
    }
    assert!(bad.is_empty(), "{} of {}:\n{}", bad.len(), cases.len(), bad.join("\n"));
    assert!(cases.len() > 150, "{}", cases.len());
}

#[test]
fn errors_have_their_position_and_a_hint() {
    let cases: &[(&str, Problem, &str, &str)] = &[
        ("sate:listen", Problem::UnknownField, "sate", "did you mean state?"),
        ("nginx sate:listen", Problem::UnknownField, "sate", "did you mean state?"),
        ("zzzzzz:1", Problem::UnknownField, "zzzzzz", "quote text"),
        ("state:lisen", Problem::BadValue, "lisen", "did you mean listen?"),
        ("state:listen,clse-wait", Problem::BadValue, "clse-wait", "did you mean close-wait?"),
        ("state bogus", Problem::BadValue, "bogus", "such as listen"),
        ("exclude tme-wait", Problem::BadValue, "tme-wait", "did you mean time-wait?"),
        ("proto:tpc", Problem::BadValue, "tpc", "did you mean tcp?"),
        ("proto:zebra", Problem::BadValue, "zebra", "one of tcp"),
        ("port:70000", Problem::BadValue, "70000", "0 to 65535"),
        (":htps", Problem::BadValue, "htps", "did you mean http"),
        ("port:9-5", Problem::BadValue, "9-5", "write 5-9"),
        ("rx>fast", Problem::BadValue, "fast", "bytes a second"),
        ("rtt>5parsecs", Problem::BadValue, "5parsecs", "expected a time"),
        ("rtt>50", Problem::BadValue, ">50", "example: 50ms or 50us"),
        ("fds>80x", Problem::BadValue, "80x", "expected a number"),
        ("remote:10.0.0.0/99", Problem::BadValue, "10.0.0.0/99", "10.0.0.0/8"),
        ("dst example.com", Problem::BadValue, "example.com", "not resolved"),
        ("closed:maybe", Problem::BadValue, "maybe", ""),
        ("proc>5", Problem::BadValue, "5", "write process:nginx"),
        ("local>5", Problem::BadValue, "5", "local_port"),
        ("proc~(", Problem::BadPattern, "(", ""),
        ("proc~[", Problem::BadPattern, "[", ""),
        ("rx>", Problem::Incomplete, "", "rx>64k"),
        ("state:", Problem::Incomplete, "", "close-wait"),
        ("proc: nginx", Problem::Incomplete, "", "nginx"),
        ("a and", Problem::Incomplete, "", ""),
        ("and a", Problem::Incomplete, "and", ""),
        ("a or or b", Problem::Incomplete, "or", ""),
        ("not", Problem::Incomplete, "", ""),
        ("(a", Problem::Parenthesis, "(", "add )"),
        ("a)", Problem::Parenthesis, ")", ""),
        ("()", Problem::Incomplete, ")", ""),
        ("\"a", Problem::Quote, "\"", "add \""),
        ("proc:\"a", Problem::Quote, "\"", "add \""),
        ("=5", Problem::Incomplete, "=", ""),
        ("mark:0x1/zz", Problem::BadValue, "0x1/zz", "0x1/0xff"),
        ("상태:listen", Problem::UnknownField, "상태", "quote text"),
        ("état>5", Problem::UnknownField, "état", "quote text"),
        ("a \\", Problem::Incomplete, "\\", ""),
    ];
    for (text, kind, at, hint) in cases {
        let got = Filter::parse(text, &SOCKETS);
        let e = got.err().unwrap_or_else(|| panic!("{text} is accepted"));
        assert_eq!(e.kind, *kind, "{text}: {e}");
        assert_eq!(&text[e.span.clone()], *at, "{text}: {e}");
        assert!(e.hint.as_deref().unwrap_or("").contains(hint), "{text}: {e}");
        assert!(!e.message.is_empty());
    }
}

#[test]
fn too_long_or_too_deep_is_an_error() {
    for (text, kind) in [
        ("a ".repeat(40_000), Problem::TooLong),
        ("(".repeat(60_000), Problem::TooDeep),
        ("not ".repeat(15_000), Problem::TooDeep),
        ("!".repeat(60_000), Problem::TooDeep),
        (format!("proc~{}", "a{1000}".repeat(100)), Problem::BadPattern),
        (format!("proc~{}", "(".repeat(900)), Problem::BadPattern),
    ] {
        assert_eq!(Filter::parse(&text, &SOCKETS).unwrap_err().kind, kind);
    }
    // Long and flat is accepted.
    let long = "a or ".repeat(12_000) + "b";
    let f = Filter::parse(&long, &SOCKETS).unwrap();
    assert_eq!(Filter::parse(&f.to_string(), &SOCKETS).unwrap(), f);
}

#[test]
fn other_tables_have_their_own_fields() {
    for (text, table, want) in [
        (":443", &PORTS, Some("local_port:443")),
        ("port:443 clients>10", &PORTS, Some("local_port:443 and clients>10")),
        ("queue>80%", &PORTS, Some("accept_pct>80%")),
        ("exposure:any", &PORTS, Some("exposure:any")),
        ("fds>80% state:close-wait", &PROCESSES, Some("fds_pct>80% and sockets_by_state:close-wait")),
        ("rx>1M", &PROCESSES, Some("rx>1M")),
        ("10.0.0.0/8", &PEERS, Some("addr:10.0.0.0/8")),
        ("dst 10.0.0.0/8", &PEERS, Some("addr:10.0.0.0/8")),
        ("recv_q>5", &PEERS, None),
        ("autobound", &PEERS, Some("\"autobound\"")),
    ] {
        let got = Filter::parse(text, table).ok().map(|f| f.to_string());
        assert_eq!(got.as_deref(), want, "{text}");
    }
}

/// Reference evaluation of the kernel's condition.
fn kernel(p: &Prefilter, snap: &Snapshot, row: usize) -> bool {
    let s = snap.socket(row);
    let end = |side: &Side| match side {
        Side::Local => &s.local,
        Side::Remote => &s.remote,
    };
    match p {
        Prefilter::And(all) => all.iter().all(|p| kernel(p, snap, row)),
        Prefilter::Or(any) => any.iter().any(|p| kernel(p, snap, row)),
        Prefilter::Not(p) => !kernel(p, snap, row),
        Prefilter::Ports { side, low, high } => (*low..=*high).contains(&end(side).port),
        Prefilter::Prefix { side, addr, len } => {
            // The kernel recognises an IPv4-mapped address only for an IPv4 prefix.
            let e = end(side).addr;
            let mapped = e.is_v4() && s.family == crate::model::Family::Inet6 && !addr.is_v4();
            let bits = |a: &crate::model::Addr| u128::from_be_bytes(*a.octets());
            if mapped {
                *len == 0 || (bits(&e) ^ bits(addr)) >> (128 - u32::from(*len)) == 0
            } else {
                e.in_prefix(addr, *len)
            }
        }
        Prefilter::Iface(name) => s.iface != 0 && snap.iface(0, s.iface) == Some(name),
        Prefilter::Mark { value, mask } => snap.attrs(row).mark().is_some_and(|m| m & mask == *value),
        Prefilter::Cgroup(_) => true,
        Prefilter::AutoBound => (32768..=60999).contains(&s.local.port),
    }
}

fn lets_through(p: &Pushdown, snap: &Snapshot, row: usize) -> bool {
    let s = snap.socket(row);
    let ip = matches!(s.family, crate::model::Family::Inet | crate::model::Family::Inet6);
    p.states.has(s.state)
        && p.protos.has(s.proto)
        && (!ip || p.prefilter.as_ref().is_none_or(|f| kernel(f, snap, row)))
}

static MACHINES: LazyLock<[Snapshot; 2]> = LazyLock::new(|| [machine(), many(400)]);

fn leaf() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "nginx",
        "22",
        "autobound",
        "state:listen",
        "state:established,time-wait",
        "state:connected",
        "proto:tcp",
        "proto:u*",
        "proto!=udp",
        "family:inet6",
        "family:unix",
        "family!=inet",
        "port:443",
        "port!=22,80",
        "lport:1-1000",
        "rport>30000",
        "sport < :ssh",
        "dport != :https",
        "lport>=65535",
        "rport<0",
        "port:none",
        "remote:10.0.0.0/8",
        "local:10.1.0.0/16:443",
        "10.2.0.0/15",
        "remote:0.0.0.0/0",
        "remote:::/0",
        "local:*",
        "local!=::/1",
        "remote:2001:db8::/32",
        "addr:127.0.0.1",
        "remote:none",
        "remote:10.0",
        "local:/run/*",
        "iface:eth0",
        "iface!=eth0",
        "iface:none",
        "mark:0x1/0xff",
        "mark!=1",
        "proc:nginx",
        "proc!=java",
        "proc~^(p|n)",
        "pid:1000-1100",
        "rx>500k",
        "fds>20%",
        "recv_q:0-100",
        "user:root",
        "direction:in",
        "closed:no",
        "unix:*",
        "inet6:[::]:22",
        "src :443",
        "dst 10.0.0.0/8",
        "state close",
        "exclude time-wait",
        "port~4",
        "service:https",
        "scope:private",
        "age<5m",
        "owner_missing:none",
        "cgroup /system.slice/nginx.service",
    ])
    .prop_map(str::to_owned);
    let port = (0u16..=65535, 0u16..=65535, prop::sample::select(vec!["port", "lport", "rport"]))
        .prop_map(|(a, b, f)| format!("{f}:{}-{}", a.min(b), a.max(b)));
    let net = (any::<u32>(), 0u8..=32, prop::sample::select(vec!["local", "remote", "addr"]))
        .prop_map(|(a, l, f)| format!("{f}:{}/{l}", std::net::Ipv4Addr::from(a & 0x0a03_ffff)));
    let net6 = (any::<u128>(), 0u8..=128, prop::sample::select(vec!["local", "remote", "addr"]))
        .prop_map(|(a, l, f)| format!("{f}!={}/{l}", std::net::Ipv6Addr::from(a)));
    prop_oneof![6 => fixed, 1 => port, 1 => net, 1 => net6]
}

fn expression() -> impl Strategy<Value = String> {
    leaf().prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|v| format!("({})", v.join(" "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|v| format!("({})", v.join(" or "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|v| v.join(" & ")),
            inner.prop_map(|e| format!("not ({e})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_matches_is_read(text in expression()) {
        let f = Filter::parse(&text, &SOCKETS).unwrap();
        let push = f.pushdown();
        for snap in MACHINES.iter() {
            let m = f.over(snap);
            for row in 0..snap.live {
                let yes = m.matches(row);
                prop_assert_eq!(yes, f.matches(snap, row), "prepared or not: {} row {}", text, row);
                prop_assert!(!yes || lets_through(&push, snap, row), "{} row {}: {:?}", text, row, push);
            }
        }
    }

    #[test]
    fn printing_keeps_the_tree(text in expression()) {
        let f = Filter::parse(&text, &SOCKETS).unwrap();
        let printed = f.to_string();
        let again = Filter::parse(&printed, &SOCKETS);
        prop_assert_eq!(again.map(|g| g.expr().cloned()), Ok(f.expr().cloned()), "{}", printed);
    }

    #[test]
    fn any_text_parses_or_says_why(text in "[a-z:=<>!~&|()\\[\\]\"'\\\\,.*?/ 0-9%\u{ac00}\u{202e}-]{0,40}") {
        for table in crate::table::TABLES {
            match Filter::parse(&text, table) {
                Ok(f) => {
                    let printed = f.to_string();
                    let again = Filter::parse(&printed, table);
                    prop_assert_eq!(again.map(|g| g.expr().cloned()), Ok(f.expr().cloned()), "{}", printed);
                }
                Err(e) => {
                    prop_assert!(e.span.start <= e.span.end && e.span.end <= text.len(), "{:?}", e);
                    prop_assert!(text.is_char_boundary(e.span.start) && text.is_char_boundary(e.span.end), "{:?}", e);
                    prop_assert!(!e.to_string().chars().any(crate::model::text::is_hostile));
                }
            }
        }
    }

    #[test]
    fn field_and_anything(field in prop::sample::select(vec!["proc", "local", "rx", "age", "port", "mark", "state", "pid", "fds_per_min"]),
        op in prop::sample::select(vec![":", "=", "!=", ">", "~"]), value in "[a-z0-9.,:*?/\"\\[\\]\\\\%_-]{1,20}") {
        let table = if field == "fds_per_min" { &PROCESSES } else { &SOCKETS };
        if let Ok(f) = Filter::parse(&format!("{field}{op}{value}"), table) {
            let printed = f.to_string();
            let again = Filter::parse(&printed, table);
            prop_assert_eq!(again.map(|g| g.expr().cloned()), Ok(f.expr().cloned()), "{}", printed);
        }
    }
}

/// Two links with the same addresses on each, a socket bound to an interface, and one without.
fn two_links() -> Snapshot {
    use crate::model::{Proto, State};
    use crate::testing::{row, snapshot};
    let mut rows = vec![
        row(Proto::Tcp, State::Established, "[fe80::1]:41900", "[fe80::2]:50000", &[]), // 0: v0
        row(Proto::Tcp, State::Established, "[fe80::1]:41900", "[fe80::2]:50001", &[]), // 1: v1
        row(Proto::Tcp, State::Established, "[2001:db8::1]:80", "[2001:db8::2]:50002", &[]), // 2
        row(Proto::Udp, State::Unconn, "0.0.0.0:68", "*", &[]),                         // 3: v0
        row(Proto::Tcp, State::Listen, "[fe80::1]:22", "*", &[]),                       // 4: index 9, no name
    ];
    for (row, iface) in rows.iter_mut().zip([4, 5, 0, 4, 9]) {
        row.socket.iface = iface;
    }
    let mut snap = snapshot(rows, vec![], &[]);
    let interfaces = [(4, "v0".to_owned()), (5, "v1".to_owned())].into();
    let host = crate::model::Namespace { inode: 1, name: "host".into(), interfaces };
    snap.sample.namespaces = std::sync::Arc::from([host]);
    snap
}

#[test]
fn interface_of_a_link_local_address_is_part_of_it() {
    let snap = two_links();
    for (text, canonical, want) in [
        ("remote:fe80::2", "remote:[fe80::2]", &[0, 1][..]),
        ("remote:fe80::2%v0", "remote:[fe80::2%v0]", &[0]),
        ("remote:[fe80::2%v1]:50001", "remote:[fe80::2%v1]:50001", &[1]),
        ("remote:[fe80::2%v1]:50000", "remote:[fe80::2%v1]:50000", &[]),
        ("remote!=fe80::2%v0", "remote!=[fe80::2%v0]", &[1, 2, 3, 4]),
        ("not remote:fe80::2%v0", "not remote:[fe80::2%v0]", &[1, 2, 3, 4]),
        ("remote:fe80::2%v9", "remote:[fe80::2%v9]", &[]),
        ("remote:fe80::2%5", "remote:[fe80::2%5]", &[1]),
        ("host:fe80::%v1/64", "remote_addr:[fe80::%v1]/64", &[1]),
        ("dst [fe80::2%v0]", "remote:[fe80::2%v0]", &[0]),
        // As `ss` prints it.
        ("src [fe80::1]%v0:41900", "local:[fe80::1%v0]:41900", &[0]),
        ("local:0.0.0.0%v0:68", "local:0.0.0.0%v0:68", &[3]),
        ("local:fe80::1%9", "local:[fe80::1%9]", &[4]),
        ("fe80::2%v1", "addr:[fe80::2%v1]", &[1]),
        ("%v1", "\"%v1\"", &[1]),
        ("remote~%v1", "remote~\"%v1\"", &[1]),
        ("remote:*%v0*", "remote:*%v0*", &[0]),
    ] {
        let f = Filter::parse(text, &SOCKETS).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(f.to_string(), canonical, "{text}");
        let again = Filter::parse(&f.to_string(), &SOCKETS).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(f.expr(), again.expr(), "{text}");
        let m = f.over(&snap);
        let got: Vec<usize> = (0..snap.live).filter(|r| m.matches(*r)).collect();
        assert_eq!(got, want, "{text}");
        for r in got {
            assert!(lets_through(&f.pushdown(), &snap, r), "{text}: row {r} is lost in the kernel");
        }
    }
    let pushed = Filter::parse("remote:fe80::2%v0", &SOCKETS).unwrap().pushdown();
    assert!(!lets_through(&pushed, &snap, 1), "the interface is a condition in the kernel");
    for column in SOCKETS.columns {
        for r in 0..snap.live {
            let Some(text) = super::from_cell::filter_from_cell(&SOCKETS, column, &snap, r) else { continue };
            assert!(Filter::parse(&text, &SOCKETS).unwrap().matches(&snap, r), "{text} over row {r}");
        }
    }
}
