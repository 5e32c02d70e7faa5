//! Hands on the dashboard over the scene of a busy server: what a click does, what the key bar and the status say, and
//! that both follow what is under the cursor.

// A test that cannot go on stops there.
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

/// The dashboard, and the scene that is polled as it asks.
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
        Self::over(Scenario::named("busy-web").unwrap(), (width, height), Privileges::default())
    }

    fn over(scene: Scenario, (width, height): (u16, u16), privileges: Privileges) -> Self {
        let app = App::new(Options::default());
        let mut out = Self {
            wants: app.wants(),
            app,
            terminal: Terminal::new(TestBackend::new(width, height)).unwrap(),
            source: ScenarioSource::new(scene),
            engine: Engine::new(),
            privileges,
        };
        out.app.resize(Size { width, height });
        out.polls(6)
    }

    fn tell(&mut self, e: Event) {
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
            self.tell(Event::from(snap));
        }
        self
    }

    fn press(mut self, keys: &str) -> Self {
        for e in key_script::keys(keys) {
            self.tell(Event::Input(e));
        }
        self
    }

    fn text(&mut self) -> String {
        self.terminal.draw(|f| draw(&self.app, f)).unwrap();
        let b = self.terminal.backend().buffer();
        let line = |y| -> String { (0..b.area.width).map(|x| b[(x, y)].symbol()).collect() };
        (0..b.area.height).map(|y| line(y).trim_end().to_owned() + "\n").collect()
    }

    /// The line where this text first stands, and its column.
    fn find(&mut self, text: &str) -> (u16, u16) {
        let screen = self.text();
        let at = screen.lines().enumerate().find_map(|(y, l)| Some((l.find(text)?, y, l)));
        let (byte, y, line) = at.unwrap_or_else(|| panic!("no {text:?} in\n{screen}"));
        (line[..byte].chars().count() as u16, y as u16)
    }

    fn click(mut self, (column, row): (u16, u16)) -> Self {
        let kind = MouseEventKind::Down(MouseButton::Left);
        self.tell(Event::Input(Input::Mouse(MouseEvent {
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

    /// The line under the cursor.
    fn selected(&mut self) -> String {
        let screen = self.text();
        screen.lines().find(|l| l.starts_with('▌')).unwrap_or_else(|| panic!("{screen}")).to_owned()
    }

    fn bar(&mut self) -> String {
        self.text().lines().last().unwrap().to_owned()
    }
}

#[test]
fn what_is_nearest_to_full_leads_to_its_limit() {
    // Beside the filter where the strip has no room, and in the strip.
    for (w, h) in [(80, 24), (120, 36), (200, 50)] {
        let mut s = Hands::new(w, h).click_on("▲ nginx 815").polls(1);
        assert!(s.text().contains("LIMIT AT"), "{}", s.text());
        let line = s.selected();
        assert!(line.contains("nginx 815"), "{w}: {line}");
        // What it says is what is selected, and nothing else is opened.
        assert!(line.contains("fds") || line.contains("close-wait"), "{w}: {line}");
        assert!(!s.text().contains("what to do"), "{}", s.text());
    }
    // The rest of the line of the filter is still the filter.
    let mut s = Hands::new(80, 24).click((3, 2));
    assert!(s.bar().contains("keep"), "{}", s.bar());
}

#[test]
fn a_gauge_of_the_selected_row_leads_to_its_limit() {
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
        // Elsewhere in the row it is the details as ever, and the way back is the usual one.
        let mut s = s.press("<alt-left>");
        assert!(s.selected().contains(row), "{}", s.text());
    }
}

#[test]
fn the_key_bar_follows_what_is_under_the_cursor() {
    let mut s = Hands::new(120, 36);
    assert!(s.bar().starts_with(" ↵ close   / filter   g group"), "an open group: {}", s.bar());
    let mut s = s.press("h");
    assert!(s.bar().starts_with(" ↵ open "), "{}", s.bar());
    let mut s = s.press("lj");
    assert!(s.bar().starts_with(" ↵ details "), "{}", s.bar());
    let mut s = s.press("<enter>");
    assert!(s.bar().starts_with(" ↵ close details "), "{}", s.bar());
    let mut s = s.press("<esc>/nginx<enter>");
    assert!(s.bar().contains("Esc drop filter"), "{}", s.bar());
    let mut s = s.press("m");
    assert!(s.bar().contains("Esc unmark"), "{}", s.bar());
    let mut s = s.press("<esc><space>");
    assert!(s.bar().contains("space go on"), "{}", s.bar());
    let mut s = s.press("<esc>/zzzz<enter>");
    assert!(!s.bar().contains('↵'), "nothing is selected: {}", s.bar());
    // Where there is nothing to group by, no key for it is offered.
    for key in "23456".chars() {
        let mut s = Hands::new(120, 36).press(&key.to_string()).polls(1);
        assert!(!s.bar().contains("group"), "{key}: {}", s.bar());
    }
}

#[test]
fn the_help_finds_whole_paragraphs_under_their_titles() {
    let found = |what: &str| Hands::new(100, 40).press(&format!("?/{what}<enter>")).text();
    // A word of a paragraph brings all of it, with the lines to write.
    let s = found("setcap");
    for part in
        ["What is hidden", "Every user can list sockets", "sudo setcap", "adds other network namespaces"]
    {
        assert!(s.contains(part), "{part}: {s}");
    }
    assert!(!s.contains("Poll more often"), "{s}");
    // Words that a line ends between are found.
    assert!(found("owner of a process").contains("sudo setcap"));
    // A title brings its section, and only that.
    let s = found("while a filter is typed");
    assert!(s.contains("Complete the word at the cursor") && !s.contains("One line down"), "{s}");
    let s = found("mouse");
    assert!(s.contains("a column's title") && s.contains("Leave the mouse to the terminal"), "{s}");
}

#[test]
fn the_status_says_why_owners_are_missing_and_what_helps() {
    // A socket that no process to be seen holds.
    let scene = || Scenario::parse("process 7 a\ntcp LISTEN 10.0.0.1:99 detached\n").unwrap();
    let with = |privileges, keys: &str| Hands::over(scene(), (120, 36), privileges).press(keys).text();
    let user = Privileges::default();
    let s = with(user, "");
    assert!(!s.contains("without owner"), "the kernel may hold it: {s}");
    let s = with(Privileges { nested: true, ..user }, "");
    assert!(s.contains("1 socket without owner: in another PID namespace (? tells more)"), "{s}");
    let s = with(Privileges { hidepid: true, ..user }, "");
    assert!(s.contains("/proc is mounted with hidepid, run as root to see them (? tells more)"), "{s}");
    // The help says it first, and what to do at its end.
    let s = with(Privileges { nested: true, ..user }, "?");
    assert!(s.contains("Hidden now") && s.contains("(see the end)"), "{s}");
    let s = with(Privileges { nested: true, ..user }, "?<end>");
    assert!(s.contains("--pid=host"), "{s}");
    assert!(!with(user, "?").contains("Hidden now"));
}

#[test]
fn the_scene_of_the_demo_has_a_forward_without_listener() {
    let mut s = Hands::new(120, 40).press("6").polls(2);
    let text = s.text();
    let line =
        |port: &str| text.lines().find(|l| l.contains(port)).unwrap_or_else(|| panic!("{text}")).to_owned();
    for part in ["dnat + docker-proxy", "172.17.0.2:3000", "grafana 2701", " 14 "] {
        assert!(line("0.0.0.0:3000").contains(part), "{part}: {text}");
    }
    assert!(line("0.0.0.0:8081").ends_with(" no-listener"), "{text}");
    // At 80 columns, too, what is asked is whole: which endpoint, where to, who serves it, what is wrong.
    let narrow = Hands::new(80, 24).press("6").polls(2).text();
    let line = |port: &str| {
        narrow.lines().find(|l| l.contains(port)).unwrap_or_else(|| panic!("{narrow}")).to_owned()
    };
    for part in ["172.17.0.2:3000 ", "grafana 2701 ", " 14 "] {
        assert!(line("0.0.0.0:3000 ").contains(part), "{part}: {narrow}");
    }
    assert!(line("0.0.0.0:8081 ").ends_with(" no-listener"), "{narrow}");
    assert_eq!(text.matches("dnat").count(), 2, "{text}");
    // The way of a connection that came through, with what the kernel tracks and who answers.
    let s = Hands::new(120, 50).press("/remote:198.51.100.140 port:3000<enter><down><enter>").polls(1);
    let mut s = s.press("<down><enter>").polls(2);
    let text = s.text();
    for part in [
        "the way here",
        "client    198.51.100.140:",
        "10.0.0.4:3000  ESTABLISHED, netns host",
        "via       dnat",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // It came by the rule, and not by the program that does the same.
    assert!(!text.contains("docker-proxy"), "{text}");
}

#[test]
fn each_view_has_its_filter_and_the_tabs_say_where_one_holds() {
    let mut s = Hands::new(120, 36).press("/nginx<enter>3").polls(1);
    let text = s.text();
    assert!(text.contains("1 Sockets/ 2 Ports  3 Processes  "), "{text}");
    assert!(text.contains("no filter here; that of Sockets stays there"), "{text}");
    // The word goes with the next key, the mark when the filter does.
    let mut s = s.press("j");
    assert!(!s.text().contains("stays there"), "{}", s.text());
    let mut s = s.press("/sshd<enter>1");
    let text = s.text();
    assert!(text.contains("1 Sockets/ 2 Ports  3 Processes/") && !text.contains("stays there"), "{text}");
    assert!(s.press("x").text().contains("1 Sockets  2 Ports  3 Processes/"));
}

#[test]
fn ages_of_what_was_there_before_are_at_least_and_names_of_blanks_are_seen() {
    let scene = "process 7 \"   \"\nprocess 8 \"\"\nprocess 9 web\n\
        tcp LISTEN 10.0.0.1:81 own=7:3\ntcp LISTEN 10.0.0.1:82 own=8:3\n\
        tcp ESTABLISHED 10.0.0.1:83 10.0.0.2:5001 own=9:4 rx=90\n\
        tcp ESTABLISHED 10.0.0.1:83 10.0.0.2:5002 own=9:5 from=3 rx=90\n";
    let mut s =
        Hands::over(Scenario::parse(scene).unwrap(), (120, 24), Privileges::default()).press("gggg").polls(1);
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
fn no_heading_stands_over_nothing() {
    // A listener with an empty queue has no course to draw; one whose queue fills has.
    let mut s = Hands::new(100, 40).press("j<enter>").polls(3);
    let text = s.text();
    assert!(text.contains("its life") && !text.contains("since it was selected"), "{text}");
    let mut s = s.press("<esc>/:8443 state:listen<enter>j<enter>").polls(3);
    let text = s.text();
    assert!(text.contains("since it was selected") && text.contains("recv_q"), "{text}");
    // What matches nothing is told of the same number twice.
    let text = s.press("<esc>/<ctrl-u>zzzz<enter>").polls(1).text();
    let of =
        text.lines().find_map(|l| l.trim_end().rsplit_once("0 of ")).unwrap_or_else(|| panic!("{text}")).1;
    assert!(text.contains(&format!("none of {of} sockets matches")), "{text}");
}
