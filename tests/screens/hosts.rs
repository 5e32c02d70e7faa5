//! Several hosts on one screen.

use super::{POLLS, Screen};
use sockscope::diagnose::why::{Programs, Question, incoming};
use sockscope::model::snapshot::{HostLink, HostState, RemoteHost, Viewer};
use sockscope::model::{Missing, Proto, Snapshot, Stamp, State, Wants};
use sockscope::tui::act::Act;
use sockscope::tui::event::{AskedHost, HostAsk, HostReply, ProbeResult};
use sockscope::tui::{App, Effect, Event, Options};
use std::sync::Arc;

/// The same machine under another name, whose last answer is the poll before.
fn host(name: &str, state: HostState, reason: &str, age_s: u64) -> RemoteHost {
    let poll = if state == HostState::Up { POLLS.last() } else { POLLS.get(POLLS.len() - 2) };
    let mut snap = Snapshot::clone(poll.unwrap());
    snap.sample.host = name.into();
    let clock_s = if name == "web-2" { 3600 } else { 0 };
    let is_new = state == HostState::Up;
    RemoteHost {
        name: name.into(),
        state,
        reason: reason.to_owned(),
        age_s,
        clock_s,
        is_new,
        snap: Arc::new(snap),
    }
}

fn viewer(seq: u64) -> Viewer {
    let at = Stamp { boot_ns: seq * 1_000_000_000, unix_ns: (1_800_000_000 + seq) * 1_000_000_000 };
    Viewer {
        seq,
        at,
        label: "3 hosts".into(),
        wants: Wants::default(),
        services: Arc::default(),
        names: Arc::default(),
        history: Arc::default(),
    }
}

/// Three hosts, of which one is gone.
fn merged(seq: u64) -> Snapshot {
    let gone = "ssh: connect to host web-3 port 22: No route to host";
    let hosts = vec![
        host("web-1", HostState::Up, "", 0),
        host("web-2", HostState::Up, "", 0),
        host("web-3", HostState::Gone, gone, 72),
    ];
    Snapshot::merge(viewer(seq), hosts)
}

fn screen(width: u16, height: u16) -> Screen {
    let options = Options { hosts: true, ..Options::default() };
    let mut s = Screen { app: App::new(options), terminal: super::terminal(width, height) };
    s.app.resize(ratatui::layout::Size { width, height });
    for seq in 1..=3 {
        s.app.handle(Event::from(Arc::new(merged(seq))));
    }
    s
}

#[test]
fn three_hosts_one_gone() {
    for (width, height) in [(80, 24), (160, 45)] {
        let name = |part: &str| format!("hosts_{part}_{width}x{height}");
        insta::with_settings!({ snapshot_path => "../snapshots" }, {
            insta::assert_snapshot!(name("sockets"), screen(width, height).screen());
            insta::assert_snapshot!(name("grouped"), screen(width, height).press("<ctrl-g>").screen());
            insta::assert_snapshot!(name("processes"), screen(width, height).press("3<enter>").screen());
        });
    }
}

#[test]
fn rows_of_a_host_that_is_gone_are_dimmed_and_marked() {
    let mut s = screen(120, 40).press("/hostname:web-3 state:listen<enter>");
    let text = s.screen();
    let line = text.lines().position(|l| l.contains("web-3") && l.contains("0.0.0.0:443")).unwrap();
    assert!(text.lines().nth(line).unwrap().contains('◐'), "{text}");
    let dim = s.terminal.backend().buffer()[(60, line as u16)].fg;
    let mut live = screen(120, 40).press("/hostname:web-1 state:listen<enter>");
    let text = live.screen();
    let line = text.lines().position(|l| l.contains("web-1") && l.contains("0.0.0.0:443")).unwrap();
    assert!(!text.lines().nth(line).unwrap().contains('◐'), "{text}");
    let buffer = live.terminal.backend().buffer();
    assert!((20..100).any(|x| buffer[(x, line as u16)].fg != dim), "{text}");
}

#[test]
fn what_is_of_this_machine_is_refused_in_one_line_that_names_the_host() {
    let select = "/hostname:web-2 state:listen<enter><down>";
    for (key, want) in [
        ("K", "web-2: actions are disabled on other hosts"),
        (",", "the past is not available with --host"),
        ("<ctrl-t>", "not recorded from here with --host"),
    ] {
        let mut s = screen(160, 45).press(select);
        let effects = s.types(key);
        let text = s.screen();
        assert!(text.contains(want), "{key}\n{text}");
        let harmless = |e: &Effect| matches!(e, Effect::Wants(_) | Effect::Shown(_) | Effect::Arrange(_));
        assert!(effects.iter().all(harmless), "{key}");
    }
}

/// The question that keys ask of another host.
fn asked(s: &mut Screen, keys: &str) -> Option<(AskedHost, HostAsk)> {
    let effects = s.types(keys);
    assert!(!effects.iter().any(|e| matches!(e, Effect::Probe(_) | Effect::Answer(_))), "of this machine");
    let asked = |e| if let Effect::AskHost(host, ask) = e { Some((host, ask)) } else { None };
    // A filter selects other rows while it is typed.
    effects.into_iter().filter_map(asked).last()
}

/// Result of a probe that has this directory.
fn probed(cwd: &str) -> HostReply {
    HostReply::Probed(Box::new(ProbeResult {
        cwd: Ok(cwd.to_owned()),
        proc_ctx: Err(Missing::NotApplicable),
        sock_ctx: Err(Missing::NotApplicable),
        tids: vec![777_001],
        bpf_maps: Err(Missing::NotApplicable),
    }))
}

fn poll(s: &mut Screen, seq: u64) -> Vec<Effect> {
    s.app.handle(Event::from(Arc::new(merged(seq))))
}

/// True if a question is about the same process of any host.
fn is_same(a: &HostAsk, b: &HostAsk) -> bool {
    matches!((a, b), (HostAsk::Probe(a), HostAsk::Probe(b)) if a.process.pid == b.process.pid)
}

#[test]
fn details_are_read_on_the_host_of_the_row() {
    for (w, h) in [(80, 24), (160, 45)] {
        let mut s = screen(w, h).press("3/hostname:web-2<enter>");
        let (host, ask) = asked(&mut s, "<enter>").unwrap();
        assert_eq!(&*host.name, "web-2");
        let text = s.screen();
        assert!(text.contains("reading on web-2"), "{text}");
        // Polls ask no more, and a late reply is named as that.
        for seq in 4..=9 {
            assert!(!poll(&mut s, seq).iter().any(|e| matches!(e, Effect::AskHost(..))));
        }
        let text = s.screen();
        assert!(text.contains("web-2 has not answered for 6s"), "{text}");
        // Another number, another host: of no use.
        for other in [
            AskedHost { number: host.number + 1, ..host.clone() },
            AskedHost { name: "web-1".into(), ..host.clone() },
        ] {
            s.app.handle(Event::HostReplied(other, probed("/srv/other")));
            assert!(!s.screen().contains("/srv/other"));
        }
        s.app.handle(Event::HostReplied(host.clone(), probed("/srv/there")));
        let text = s.screen();
        assert!(text.contains("/srv/there") && !text.contains("has not answered"), "{text}");
        assert!(s.types("j").is_empty() || !s.screen().contains("/srv/there"));

        // The same process of another host is asked for again, and shows nothing of this one.
        let mut s = screen(w, h).press("3/hostname:web-2<enter>");
        let (first, ask_2) = asked(&mut s, "<enter>").unwrap();
        assert!(is_same(&ask, &ask_2));
        let (second, ask_1) = asked(&mut s, "/<ctrl-u>hostname:web-1<enter>").unwrap();
        assert!(is_same(&ask_1, &ask_2) && &*second.name == "web-1" && second.number != first.number);
        s.app.handle(Event::HostReplied(first, probed("/srv/of-web-2")));
        assert!(!s.screen().contains("/srv/of-web-2"));
        s.app.handle(Event::HostReplied(second, probed("/srv/of-web-1")));
        assert!(s.screen().contains("/srv/of-web-1"));
    }
}

#[test]
fn details_that_a_host_does_not_read_have_the_reason_in_their_place() {
    let open = |w, h| {
        let mut s = screen(w, h).press("3/hostname:web-2<enter>");
        let (host, _) = asked(&mut s, "<enter>").unwrap();
        (s, host)
    };
    for (w, h) in [(80, 24), (160, 45)] {
        let (mut s, host) = open(w, h);
        let old = "sockscope 0.0.1 there does not answer this: install the version of this one";
        s.app.handle(Event::HostReplied(host.clone(), HostReply::Refused(old.into())));
        let text = s.screen();
        assert!(text.contains("not read on web-2: sockscope 0.0.1 there"), "{text}");
        assert!(!poll(&mut s, 4).iter().any(|e| matches!(e, Effect::AskHost(..))), "asked once");

        // After a connection that ended the host is asked again, by the next snapshot.
        let (mut s, host) = open(w, h);
        let lost = s
            .app
            .handle(Event::HostReplied(host.clone(), HostReply::Lost("the agent\u{1b}[2J ended".into())));
        assert!(lost.is_empty(), "no loop without a snapshot: {}", lost.len());
        let text = s.screen();
        assert!(text.contains("not read on web-2: the agent"), "{text}");
        let effects = poll(&mut s, 4);
        let again = effects.iter().find_map(|e| if let Effect::AskHost(h, _) = e { Some(h) } else { None });
        assert!(again.is_some_and(|h| h.name == host.name && h.number != host.number));

        let (mut s, host) = open(w, h);
        s.app.handle(Event::HostReplied(host, HostReply::Answered(Box::new(Err(String::new())))));
        assert!(s.screen().contains("not read on web-2: the reply"));
    }
    // One that is gone is not asked.
    let mut s = screen(160, 45).press("3/hostname:web-3<enter>");
    assert_eq!(asked(&mut s, "<enter>"), None);
    let text = s.screen();
    assert!(text.contains("gone 1m") && text.contains("No route to host"), "{text}");
    assert!(text.contains("not read: web-3 is gone"), "{text}");
}

#[test]
fn details_name_the_host_and_the_difference_of_its_clock() {
    let text = screen(160, 45).press("3/hostname:web-2<enter><enter>").screen();
    assert!(text.contains("web-2") && text.contains("its clock is 1h ahead of this machine's"), "{text}");
}

#[test]
fn why_is_answered_by_the_host_of_the_row() {
    for (w, h) in [(80, 24), (160, 45)] {
        let mut s = screen(w, h).press("/hostname:web-2 state:listen<enter><down>");
        let (host, ask) = asked(&mut s, "W").unwrap();
        assert_eq!(&*host.name, "web-2");
        let HostAsk::Why(question) = ask else { panic!("{ask:?}") };
        assert!(matches!(question, Question::Port { .. }), "{question:?}");
        let text = s.screen();
        assert!(text.contains("why on web-2") && text.contains("reading on web-2"), "{text}");
        assert_eq!(asked(&mut s, "r"), None, "one question at a time");
        for seq in 4..=9 {
            poll(&mut s, seq);
        }
        assert!(s.screen().contains("web-2 has not answered for 6s"));
        let snap = Arc::clone(s.app.snapshot().unwrap());
        let on = snap.each_host().next().unwrap();
        let answer = incoming(on, (Proto::Tcp, 4444), 0, (&[], None), &Programs::default(), None);
        let reply = |at| HostReply::Answered(Box::new(Ok((at, answer.clone()))));
        let other = AskedHost { name: "web-1".into(), ..host.clone() };
        s.app.handle(Event::HostReplied(other, reply(0)));
        s.app.handle(Event::Answered(question, Box::new(Ok((0, answer.clone())))));
        assert!(s.screen().contains("has not answered"), "an answer of another machine");
        s.app.handle(Event::HostReplied(host, reply(1_800_000_000_000_000_000)));
        let text = s.screen();
        assert!(
            text.contains("refused: nothing listens on port 4444") && text.contains("why on web-2"),
            "{text}"
        );
        let copied = s.types("y").into_iter().any(|e| {
            matches!(e, Effect::Act(Act::Copy(text)) if text.starts_with("web-2: ") && text.contains("nothing listens"))
        });
        assert!(copied);

        let (host, _) = asked(&mut s, "r").unwrap();
        s.app.handle(Event::HostReplied(host, HostReply::Lost("connection ended\u{1b}[2J".into())));
        let text = s.screen();
        assert!(text.contains("not read on web-2: connection ended"), "{text}");
        assert!(asked(&mut s, "r").is_some());
    }
}

#[test]
fn why_of_a_process_and_a_port_is_asked_of_its_host() {
    for (keys, of) in [("3/hostname:web-2<enter>", "web-2"), ("2/hostname:web-1<enter>", "web-1")] {
        let mut s = screen(160, 45).press(keys);
        let (host, ask) = asked(&mut s, "W").unwrap_or_else(|| panic!("{keys}\n{}", s.screen()));
        assert!(&*host.name == of && matches!(ask, HostAsk::Why(_)), "{keys}: {host:?} {ask:?}");
        assert!(s.screen().contains(&format!("why on {of}")), "{keys}");
    }
}

/// Two hosts, one connection of which is taken as one between them; and its local port.
fn joined() -> (Snapshot, u16) {
    let mut hosts = vec![host("web-1", HostState::Up, "", 0), host("web-2", HostState::Up, "", 0)];
    for host in &mut hosts {
        let mut snap = Snapshot::clone(&host.snap);
        snap.host_peers = Arc::default();
        host.snap = Arc::new(snap);
    }
    let snap = Arc::clone(&hosts[0].snap);
    let is_remote = |row: &usize| {
        let s = snap.socket(*row);
        s.proto == Proto::Tcp && s.state == State::CloseWait && snap.local_peer(*row).is_none()
    };
    let row = (0..snap.live).find(is_remote).unwrap();
    let weak: Arc<[_]> = hosts.iter().map(|h| Arc::downgrade(&h.snap)).collect();
    for (host, other) in [(0, 1), (1, 0)] {
        let peer = row as u32;
        let link = HostLink { row: peer, host: other, peer, certain: false, nat: Some(other) };
        hosts[host].snap.host_peers.set(vec![link], Arc::clone(&weak));
    }
    let port = snap.socket(row).remote.port;
    (Snapshot::merge(viewer(1), hosts), port)
}

#[test]
fn key_leads_to_the_other_end_on_another_host() {
    let screen = |filter: &str| {
        let (snap, port) = joined();
        let options = Options { hosts: true, ..Options::default() };
        let mut s = Screen { app: App::new(options), terminal: super::terminal(160, 50) };
        s.app.resize(ratatui::layout::Size { width: 160, height: 50 });
        s.app.handle(Event::from(Arc::new(snap)));
        s.press(&format!("/rport:{port} state:close-wait {filter}<enter><down><enter>"))
    };
    let mut s = screen("hostname:web-1");
    let text = s.screen();
    assert!(text.contains("peer socket on web-2 (o: go to it)"), "{text}");
    assert!(text.contains("likely, through NAT on web-2"), "{text}");
    s.types("o");
    let text = s.screen();
    assert!(text.contains("peer socket hidden by the current filter"), "{text}");
    let mut s = screen("");
    for other in ["web-2", "web-1", "web-2"] {
        let text = s.screen();
        assert!(text.contains(&format!("peer socket on {other} (o: go to it)")), "{text}");
        s.types("o");
    }
}

#[test]
fn every_view_and_key_works_on_rows_of_several_hosts() {
    for (width, height) in [(60, 15), (100, 30), (170, 50)] {
        for view in 1..=9 {
            let mut s = screen(width, height);
            let keys = "{view}<enter><down><down>g<down>g g g g g g <enter><space>x<down>x]<pgdn>ys<esc>f<esc>!<esc>A<esc>\
                        K<esc>e<esc>v<down><up>zM?<esc>/:<tab><esc><up><f5>pP,.Wo<esc><esc>";
            s.types(&keys.replace("{view}", &view.to_string()));
            assert!(!s.screen().is_empty());
            for seq in 4..=5 {
                s.app.handle(Event::from(Arc::new(merged(seq))));
                assert!(!s.screen().is_empty());
            }
        }
    }
}
