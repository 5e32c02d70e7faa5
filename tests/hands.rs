//! The dashboard over the scenario of a busy server: clicks, key bar and status bar, and that both bars depend on the
//! selection.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossterm::event::{Event as Input, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Size;
use sockscope::collect::Source;
use sockscope::collect::scenario::{Scenario, ScenarioSource};
use sockscope::derive::Engine;
use sockscope::model::{Privileges, Sample, Wants};
use sockscope::tui::{App, Effect, Event, Options, draw, key_script};

/// The dashboard, and the scenario that it polls.
struct Hands {
    app: App,
    terminal: Terminal<TestBackend>,
    source: ScenarioSource,
    engine: Engine,
    wants: Wants,
    privileges: Privileges,
}

impl Hands {
    fn new(width: u16, height: u16) -> Self {
        Self::with_scenario(Scenario::named("busy-web").unwrap(), (width, height), Privileges::default())
    }

    fn with_scenario(scenario: Scenario, (width, height): (u16, u16), privileges: Privileges) -> Self {
        let app = App::new(Options::default());
        let mut out = Self {
            wants: app.wants(),
            app,
            terminal: Terminal::new(TestBackend::new(width, height)).unwrap(),
            source: ScenarioSource::new(scenario),
            engine: Engine::new(),
            privileges,
        };
        out.app.resize(Size { width, height });
        out.polls(6)
    }

    fn handle(&mut self, e: Event) {
        for effect in self.app.handle(e) {
            if let Effect::Wants(w) = effect {
                self.wants = w;
            }
        }
    }

    fn polls(mut self, n: u32) -> Self {
        for _ in 0..n {
            let mut sample: Sample = self.source.sample(&self.wants).unwrap();
            sample.privileges = self.privileges;
            let snap = self.engine.step(sample);
            self.handle(Event::from(snap));
        }
        self
    }

    fn press(mut self, keys: &str) -> Self {
        for e in key_script::keys(keys) {
            self.handle(Event::Input(e));
        }
        self
    }

    fn text(&mut self) -> String {
        self.terminal.draw(|f| draw(&self.app, f)).unwrap();
        let b = self.terminal.backend().buffer();
        let line = |y| -> String { (0..b.area.width).map(|x| b[(x, y)].symbol()).collect() };
        (0..b.area.height).map(|y| line(y).trim_end().to_owned() + "\n").collect()
    }

    /// Column and line of the first occurrence of this text.
    fn find(&mut self, text: &str) -> (u16, u16) {
        let screen = self.text();
        let at = screen.lines().enumerate().find_map(|(y, l)| Some((l.find(text)?, y, l)));
        let (byte, y, line) = at.unwrap_or_else(|| panic!("no {text:?} in\n{screen}"));
        (line[..byte].chars().count() as u16, y as u16)
    }

    fn click(mut self, (column, row): (u16, u16)) -> Self {
        let kind = MouseEventKind::Down(MouseButton::Left);
        self.handle(Event::Input(Input::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers: KeyModifiers::NONE,
        })));
        self
    }

    fn click_on(mut self, text: &str) -> Self {
        let at = self.find(text);
        self.click(at)
    }

    /// The selected line.
    fn selected(&mut self) -> String {
        let screen = self.text();
        screen.lines().find(|l| l.starts_with('▌')).unwrap_or_else(|| panic!("{screen}")).to_owned()
    }

    fn bar(&mut self) -> String {
        self.text().lines().last().unwrap().to_owned()
    }
}

#[test]
fn top_alert_click_opens_its_limit() {
    // Beside the filter if the state bar has no space, and in the state bar.
    for (w, h) in [(80, 24), (120, 36), (200, 50)] {
        let mut s = Hands::new(w, h).click_on("nginx 815 fds").polls(1);
        assert!(!s.text().contains(" PROTO "), "Limits is open: {}", s.text());
        let line = s.selected();
        assert!(line.contains("nginx 815"), "{w}: {line}");
        // The limit of the alert is selected, its details stay closed.
        assert!(line.contains("fds") || line.contains("close-wait"), "{w}: {line}");
        assert!(!s.text().contains("what to do"), "{}", s.text());
    }
    // The rest of the filter bar still edits the filter.
    let mut s = Hands::new(80, 24).click((3, 2));
    assert!(s.bar().contains("apply"), "{}", s.bar());
}

#[test]
fn gauge_click_on_the_selected_row_opens_its_limit() {
    for (key, row, limit, whose) in
        [("2", "0.0.0.0:8443", "accept", "tcp 0.0.0.0:8443"), ("3", "legacy-gw", "fds", "legacy-gw 1203")]
    {
        let mut s = Hands::new(120, 36).press(key).polls(1);
        let (_, y) = s.find(row);
        let x = if key == "2" { s.find("QUEUE%") } else { s.find("FDS%") }.0;
        let mut s = s.click((x, y));
        assert!(s.selected().contains(row), "the first click selects: {}", s.text());
        let mut s = s.click((x, y)).polls(1);
        let line = s.selected();
        assert!(line.contains(limit) && line.contains(whose), "{line}");
        // Going back returns to the row.
        let mut s = s.press("<alt-left>");
        assert!(s.selected().contains(row), "{}", s.text());
    }
}

#[test]
fn key_bar_follows_the_selection() {
    let mut s = Hands::new(120, 36);
    assert!(s.bar().starts_with(" ↵ collapse   / filter   g group"), "an open group: {}", s.bar());
    let mut s = s.press("h");
    assert!(s.bar().starts_with(" ↵ expand "), "{}", s.bar());
    let mut s = s.press("lj");
    assert!(s.bar().starts_with(" ↵ expand "), "IPv4 and IPv6 of a service: {}", s.bar());
    let mut s = s.press("j");
    assert!(s.bar().starts_with(" ↵ details "), "{}", s.bar());
    let mut s = s.press("<enter>");
    assert!(s.bar().starts_with(" ↵ close details "), "{}", s.bar());
    let mut s = s.press("<esc>/nginx<enter>");
    assert!(s.bar().contains("Esc clear filter"), "{}", s.bar());
    let mut s = s.press("m");
    assert!(s.bar().contains("Esc unmark"), "{}", s.bar());
    let mut s = s.press("<esc><space>");
    assert!(s.bar().contains("space resume"), "{}", s.bar());
    let mut s = s.press("<esc>/zzzz<enter>");
    assert!(!s.bar().contains('↵'), "nothing is selected: {}", s.bar());
    // Views without groupings do not offer the key.
    for key in "2346".chars() {
        let mut s = Hands::new(120, 36).press(&key.to_string()).polls(1);
        assert!(!s.bar().contains("group"), "{key}: {}", s.bar());
    }
}

#[test]
fn help_search_keeps_whole_paragraphs_and_sections() {
    let found = |what: &str| Hands::new(100, 40).press(&format!("?/{what}<enter>")).text();
    // A match keeps its whole paragraph, with the command lines.
    let s = found("setcap");
    for part in ["Permissions", "Every user can list sockets", "sudo setcap", "adds other network namespaces"]
    {
        assert!(s.contains(part), "{part}: {s}");
    }
    assert!(!s.contains("Poll more often"), "{s}");
    // Words across a line break match.
    assert!(found("owner of a process").contains("sudo setcap"));
    // A title keeps only its own section.
    let s = found("while editing the filter");
    assert!(s.contains("Complete the word at the cursor") && !s.contains("One line down"), "{s}");
    let s = found("mouse");
    assert!(s.contains("a column title") && s.contains("Turn mouse capture off"), "{s}");
}

#[test]
fn status_line_explains_missing_owners() {
    // A socket without a visible owner.
    let scenario = || Scenario::parse("process 7 a\ntcp LISTEN 10.0.0.1:99 detached\n").unwrap();
    let with =
        |privileges, keys: &str| Hands::with_scenario(scenario(), (120, 36), privileges).press(keys).text();
    let user = Privileges::default();
    let s = with(user, "");
    assert!(!s.contains("without owner"), "may be kernel-owned: {s}");
    let s = with(Privileges { nested: true, ..user }, "");
    assert!(s.contains("1 socket without owner: in another PID namespace (? for details)"), "{s}");
    let s = with(Privileges { hidepid: true, ..user }, "");
    assert!(
        s.contains("/proc is mounted with hidepid, run as root to see all owners (? for details)"),
        "{s}"
    );
    // The help has it first, and the remedies at the end.
    let s = with(Privileges { nested: true, ..user }, "?");
    assert!(s.contains("Not visible now") && s.contains("(see the end"), "{s}");
    let s = with(Privileges { nested: true, ..user }, "?<end>");
    assert!(s.contains("--pid=host"), "{s}");
    assert!(!with(user, "?").contains("Not visible now"));
}

#[test]
fn typed_filter_is_whole_beside_an_alert() {
    for (width, height, filter) in [
        (80, 24, "state:close-wait nginx"),
        (60, 15, "state:close-wait"),
        (100, 24, "state:close-wait nginx pid:812"),
    ] {
        let typed = (1..=filter.len()).map(|n| filter.get(..n).unwrap());
        for part in typed {
            let text = Hands::new(width, height).polls(2).press(&format!("/{part}")).text();
            assert!(text.contains(&format!("/ {part}")), "{width}: {part}: {text}");
        }
    }
}

#[test]
fn demo_shows_a_forward_to_a_listener_on_loopback() {
    let mut s = Hands::new(120, 40).press("6").polls(2);
    let text = s.text();
    let line =
        |port: &str| text.lines().find(|l| l.contains(port)).unwrap_or_else(|| panic!("{text}")).to_owned();
    for part in ["dnat + docker-proxy", "172.17.0.2:3000", "grafana 2701", " 14 "] {
        assert!(line("0.0.0.0:3000").contains(part), "{part}: {text}");
    }
    assert!(line("0.0.0.0:8081").ends_with(" on-loopback"), "{text}");
    // At 80 columns endpoint, target, server and state are complete too.
    let narrow = Hands::new(80, 24).press("6").polls(2).text();
    let line = |port: &str| {
        narrow.lines().find(|l| l.contains(port)).unwrap_or_else(|| panic!("{narrow}")).to_owned()
    };
    for part in ["172.17.0.2:3000 ", "grafana 2701 ", " 14 "] {
        assert!(line("0.0.0.0:3000 ").contains(part), "{part}: {narrow}");
    }
    assert!(line("0.0.0.0:8081 ").ends_with(" on-loopback"), "{narrow}");
    assert_eq!(text.matches("dnat + docker-proxy").count(), 2, "{text}");
    // Route of a forwarded connection: conntrack entry and backend.
    let s = Hands::new(120, 50).press("/remote:198.51.100.140 port:3000<enter><down><enter>").polls(1);
    let mut s = s.press("<down><enter>").polls(2);
    let text = s.text();
    for part in [
        "forwarding path",
        "client    198.51.100.140:",
        "10.0.0.4:3000  ESTABLISHED, netns host",
        "via       dnat",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // It was forwarded by the NAT rule, not by the proxy.
    assert!(!text.contains("docker-proxy"), "{text}");
}

#[test]
fn tabs_mark_views_with_a_filter() {
    let mut s = Hands::new(120, 36).press("/nginx<enter>3").polls(1);
    let text = s.text();
    assert!(text.contains("1 Sockets/ 2 Ports  3 Processes  "), "{text}");
    assert!(text.contains("no filter in this view (Sockets keeps its own)"), "{text}");
    // The message disappears with the next key, the marker with the filter.
    let mut s = s.press("j");
    assert!(!s.text().contains("keeps its own"), "{}", s.text());
    let mut s = s.press("/sshd<enter>1");
    let text = s.text();
    assert!(text.contains("1 Sockets/ 2 Ports  3 Processes/") && !text.contains("keeps its own"), "{text}");
    assert!(s.press("x").text().contains("1 Sockets  2 Ports  3 Processes/"));
}

#[test]
fn ages_are_lower_bounds_and_blank_names_are_quoted() {
    let scenario = "process 7 \"   \"\nprocess 8 \"\"\nprocess 9 web\n\
        tcp LISTEN 10.0.0.1:81 own=7:3\ntcp LISTEN 10.0.0.1:82 own=8:3\n\
        tcp ESTABLISHED 10.0.0.1:83 10.0.0.2:5001 own=9:4 rx=90\n\
        tcp ESTABLISHED 10.0.0.1:83 10.0.0.2:5002 own=9:5 from=3 rx=90\n";
    let mut s = Hands::with_scenario(Scenario::parse(scenario).unwrap(), (120, 24), Privileges::default())
        .press("gggg")
        .polls(1);
    let text = s.text();
    let line =
        |what: &str| text.lines().find(|l| l.contains(what)).unwrap_or_else(|| panic!("{text}")).to_owned();
    assert!(line("10.0.0.1:81").contains("\"   \" 7"), "{text}");
    assert!(line("10.0.0.1:82").contains("\"\" 8"), "{text}");
    assert!(line("10.0.0.2:5001").contains(" ≥6s"), "{text}");
    assert!(line("10.0.0.2:5002").contains("  3s"), "{text}");
    let text = s.press("3").polls(1).text();
    for want in ["7  \"   \" ", "8  \"\" "] {
        assert!(text.contains(want), "{want}: {text}");
    }
}

#[test]
fn sections_without_content_are_omitted() {
    // A listener with an empty queue has no finding; one whose queue fills has.
    let mut s = Hands::new(100, 40).press("jj<enter>").polls(3);
    let text = s.text();
    assert!(text.contains("lifecycle") && !text.contains("findings"), "{text}");
    let mut s = s.press("<esc>/:8443 state:listen<enter>j<enter>").polls(3);
    let text = s.text();
    assert!(text.contains("findings") && text.contains("last 1m") && text.contains("RECV-Q"), "{text}");
    // The total is the same in the filter bar and in the message.
    let text = s.press("<esc>/<ctrl-u>zzzz<enter>").polls(1).text();
    let of =
        text.lines().find_map(|l| l.trim_end().rsplit_once("0 of ")).unwrap_or_else(|| panic!("{text}")).1;
    assert!(text.contains(&format!("none of {of} sockets match the filter")), "{text}");
}

#[test]
fn groups_of_limits_collapse_and_expand_together() {
    let marks = |keys: &str| -> Vec<bool> {
        let text = Hands::new(80, 24).press(keys).polls(2).text();
        text.lines().filter(|l| l.contains("▸ ") || l.contains("▾ ")).map(|l| l.contains('▾')).collect()
    };
    let first = marks("5");
    assert!(
        first.len() > 1 && first.iter().filter(|open| !**open).count() == 1,
        "only the last is folded: {first:?}"
    );
    assert!(marks("5z").iter().all(|open| !open), "{:?}", marks("5z"));
    assert_eq!(marks("5zz"), first);
}
