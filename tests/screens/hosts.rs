//! Several hosts on one screen.

use super::{POLLS, Screen};
use sockscope::model::snapshot::{HostLink, HostState, RemoteHost, Viewer};
use sockscope::model::{Proto, Snapshot, Stamp, State, Wants};
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
        ("W", "web-2: only answered on the host itself: ssh web-2 sockscope why"),
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

#[test]
fn details_name_the_host_and_read_nothing_of_this_machine() {
    let mut s = screen(160, 45).press("3/hostname:web-2<enter>");
    let effects = s.types("<enter>");
    let text = s.screen();
    assert!(text.contains("web-2") && text.contains("its clock is 1h ahead of this machine's"), "{text}");
    assert!(!effects.iter().any(|e| matches!(e, Effect::Probe(_))));
    let text = screen(160, 45).press("3/hostname:web-3<enter><enter>").screen();
    assert!(text.contains("gone 1m") && text.contains("No route to host"), "{text}");
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
