//! Samples of scenarios are as written.

use super::*;
use crate::collect::source::Source;
use crate::model::State;
use crate::model::{AttrSet, Missing, Reads, Sample, StateSet, Wants};

fn all() -> Wants {
    Wants::default().with(Reads::FD_KINDS).with_attrs(AttrSet::ALL)
}

fn samples(scenario: &str, polls: usize) -> Vec<Sample> {
    let mut s = ScenarioSource::new(Scenario::parse(scenario).unwrap());
    (0..polls).map(|_| s.sample(&all()).unwrap()).collect()
}

#[test]
fn built_in_scenarios_are_consistent_for_two_rounds() {
    for (name, text) in SCENARIOS {
        let scenario = Scenario::parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let polls = scenario.polls;
        let mut source = ScenarioSource::new(scenario);
        for k in 0..2 * polls {
            let attrs = if k % 20 == 0 { AttrSet::ALL } else { AttrSet::NONE };
            let s = source.sample(&all().with_attrs(attrs)).unwrap();
            assert!(s.owners.is_sorted() && s.processes.is_sorted_by_key(|p| p.info.pid), "{name}");
            let mut ids: Vec<_> = s.sockets.iter().map(|s| s.id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), s.sockets.len(), "{name}: cookies are unique");
            let mut ends: Vec<_> = s
                .sockets
                .iter()
                .filter(|s| !s.remote.is_none())
                .map(|s| (s.proto, s.local, s.remote))
                .collect();
            let n = ends.len();
            ends.sort_unstable();
            ends.dedup();
            assert_eq!(ends.len(), n, "{name}: connections are unique");
            let mut fds: Vec<_> = s.owners.iter().map(|o| (o.process, o.fd)).collect();
            let n = fds.len();
            fds.sort_unstable();
            fds.dedup();
            assert_eq!(fds.len(), n, "{name}: descriptors are unique");
            for o in s.owners.iter() {
                let p = &s.processes[o.process as usize];
                assert!(
                    u64::from(o.fd) < p.fds.as_ref().unwrap().soft.unwrap(),
                    "{name}: {} fd {}",
                    p.info.pid,
                    o.fd
                );
            }
        }
    }
}

#[test]
fn process_and_socket_lines_give_the_values_written() {
    let polls = samples(
        "user 33 www-data\nprocess 7 nginx user=www-data fds=10+2/64/128\ntcp LISTEN 0.0.0.0:80 q=1/511 own=7:3\n\
         tcp ESTABLISHED 10.0.0.1:80 10.0.0.2:5000 own=7:4 rx=100 tx=1K rtt=250 from=1 life=3 then=TIME_WAIT@2",
        5,
    );
    assert_eq!(polls.iter().map(|s| s.sockets.len()).collect::<Vec<_>>(), [1, 2, 2, 2, 1]);
    assert_eq!(polls[3].sockets[1].state, State::TimeWait);
    assert_eq!(polls[1].sockets[1].id, polls[3].sockets[1].id, "the cookie is kept");
    assert_eq!((polls[1].sockets[1].uid, polls[3].sockets[1].inode), (33, 0));
    assert_eq!(polls[2].processes[0].fds.as_ref().unwrap().open, 14);
    let info =
        |k: usize| polls[k].attrs_of(&polls[k].sockets[1]).tcp_info().unwrap().bytes_received().unwrap();
    assert_eq!(info(2) - info(1), 100);
    let s = &polls[1];
    assert_eq!(s.attrs_of(&s.sockets[1]).tcp_info().unwrap().rtt_us(), Some(250));
    assert_eq!(s.attrs_of(&s.sockets[1]).congestion(), Some("cubic"));
    assert_eq!(s.users[&33].as_ref(), "www-data");
    assert_eq!(polls[1].at.boot_ns - polls[0].at.boot_ns, 1_000_000_000);
}

#[test]
fn unwanted_rows_and_attributes_are_left_out() {
    let scenario = Scenario::named("small").unwrap();
    let mut s = ScenarioSource::new(scenario);
    let wants = Wants { states: StateSet::only(&[State::Listen]), ..Wants::default() }
        .without(Reads::OWNERS | Reads::PROCESSES);
    let s = s.sample(&wants).unwrap();
    assert!(s.sockets.iter().all(|s| s.state == State::Listen) && s.sockets.len() == 5);
    assert!(s.owners.is_empty() && s.processes.is_empty());
    assert!(s.attrs_of(&s.sockets[0]).tcp_info().is_none());
}

#[test]
fn unreadable_descriptors_hide_owners() {
    let s = &samples("process 7 x fds=refused\ntcp LISTEN 0.0.0.0:80 own=7:3", 1)[0];
    assert!(s.owners.is_empty());
    assert_eq!(s.processes[0].fds, Err(Missing::NotPermitted));
    let s = &samples("process 7 x hidden fds=9\ntcp LISTEN 0.0.0.0:80 own=7:3", 1)[0];
    assert!(s.owners.is_empty(), "only the number of descriptors is readable");
    assert_eq!(s.processes[0].fds.as_ref().unwrap().open, 9);
    assert_eq!(s.processes[0].fds_hidden, Some(Missing::NotPermitted));
}

#[test]
fn names_keep_control_characters() {
    let s = &samples(r#"process 7 "a\e[31m\n\xff\u{202e}" cmd="ab"*3"#, 1)[0];
    assert_eq!(&*s.processes[0].info.comm, "a\x1b[31m\n\\xff\u{202e}");
    assert_eq!(&*s.processes[0].info.cmdline, "ababab");
}

#[test]
fn errors_have_a_line_number() {
    for (text, want) in [
        ("bogus", "line 1: unknown keyword `bogus`"),
        ("host a\ntcp NOWHERE 1.2.3.4:5", "line 2: unknown state `NOWHERE`"),
        ("tcp LISTEN 1.2.3.4", "line 1: invalid endpoint `1.2.3.4`: expected ADDRESS:PORT"),
        ("tcp LISTEN 1.2.3.4:80 own=7", "line 1: invalid owner `7`: expected PID:FD"),
        ("process x", "line 1: invalid number `x`"),
        ("process 7", "line 1: process: missing argument"),
        ("process 7 \"x", "line 1: unterminated quote"),
        ("process 7 x cmd=\"\\q\"", "line 1: unknown escape `\\q`"),
        ("process 7 x speed=9", "line 1: process: unknown key `speed`"),
    ] {
        assert_eq!(Scenario::parse(text).unwrap_err().to_string(), want);
    }
}

#[test]
fn forwarded_connection_has_a_conntrack_entry() {
    let id = "ab".repeat(32);
    let scenario = format!(
        "namespace shop\naddress 10.0.0.4\naddress 172.17.0.2 ns=shop\ncontainer {id} name=shop image=shop:1\n\
         process 7 shop\nforward tcp :3000 172.17.0.2:80 iface=!docker0 place=\"ip nat DOCKER handle 7\"\n\
         tcp LISTEN 172.17.0.2:80 own=7:3 ns=shop\n\
         tcp ESTABLISHED 172.17.0.2:80 198.51.100.8:40000 own=7:4 ns=shop via=10.0.0.4:3000 x=3\n"
    );
    let mut source = ScenarioSource::new(Scenario::parse(&scenario).unwrap());
    let sample = source.sample(&all().with(Reads::NAT)).unwrap();
    let names: Vec<_> = sample.namespaces.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["host", "shop"]);
    assert!(sample.sockets.iter().all(|s| s.id.netns == 1));
    let netfilter = sample.netfilter.unwrap();
    assert_eq!((netfilter.nft.len(), sample.flows.len(), sample.addresses.len()), (1, 3, 2));
    let f = &sample.flows[0];
    assert!(f.is_redirected() && !f.is_masqueraded() && f.state() == "ESTABLISHED");
    assert_eq!(
        (f.orig.1.to_string(), f.reply.0.to_string()),
        ("10.0.0.4:3000".into(), "172.17.0.2:80".into())
    );
    assert_eq!(sample.containers[0].name.as_deref(), Some("shop"));
    assert!(source.sample(&all()).unwrap().netfilter.is_none(), "not wanted");
    for (line, message) in [
        ("tcp LISTEN 1.2.3.4:1 ns=nowhere", "unknown namespace `nowhere`"),
        ("address here", "invalid address `here`"),
        ("container x color=red", "container: unknown key `color`"),
        ("forward tcp :99999 1.2.3.4:1", "invalid number `99999`"),
    ] {
        assert_eq!(Scenario::parse(line).unwrap_err().message, message);
    }
}
