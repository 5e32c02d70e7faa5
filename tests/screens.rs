//! The dashboard over a scene, by key script: what stands on the screen, at every size that matters.
//!
//! The pictures under `tests/snapshots` were looked at before they were kept; a change shows there as a diff.

// A test that cannot go on stops there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "screens/world.rs"]
mod world;

use crossterm::event::{Event as Input, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Size;
use sockscope::model::{Snapshot, State};
use sockscope::ui::{App, Color, Effect, Event, Latest, Options, draw, run_loop, script};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;

static POLLS: LazyLock<Vec<Arc<Snapshot>>> = LazyLock::new(world::polls);

struct Screen {
    app: App,
    terminal: Terminal<TestBackend>,
}

impl Screen {
    /// The dashboard at this size after all polls of the scene.
    fn new(width: u16, height: u16) -> Self {
        Self::with(width, height, Options::default())
    }

    fn with(width: u16, height: u16, options: Options) -> Self {
        let mut s = Self { app: App::new(options), terminal: terminal(width, height) };
        s.app.resize(Size { width, height });
        for p in POLLS.iter() {
            s.app.handle(Event::from(Arc::clone(p)));
        }
        s
    }

    /// Types a key script.
    fn press(mut self, keys: &str) -> Self {
        for e in script::keys(keys) {
            self.app.handle(Event::Input(e));
        }
        self
    }

    fn mouse(&mut self, kind: MouseEventKind, column: u16, row: u16) {
        let e = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
        self.app.handle(Event::Input(Input::Mouse(e)));
    }

    fn click(mut self, column: u16, row: u16) -> Self {
        self.mouse(MouseEventKind::Down(MouseButton::Left), column, row);
        self
    }

    /// Clicks on the first place where this text stands.
    fn click_on(self, text: &str) -> Self {
        let (mut s, screen) = self.text();
        let (row, line) = screen.lines().enumerate().find(|(_, l)| l.contains(text)).unwrap();
        let column = line[..line.find(text).unwrap()].chars().count();
        s = s.click(column as u16, row as u16);
        s
    }

    fn resize(mut self, width: u16, height: u16) -> Self {
        self.terminal.backend_mut().resize(width, height);
        self.app.handle(Event::Input(Input::Resize(width, height)));
        self
    }

    /// What stands on the screen.
    fn text(mut self) -> (Self, String) {
        self.terminal.draw(|f| draw(&self.app, f)).unwrap();
        let buffer = self.terminal.backend().buffer().clone();
        let mut out = String::new();
        for y in 0..buffer.area.height {
            let mut line = String::new();
            let mut skip = 0;
            for x in 0..buffer.area.width {
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                let symbol = buffer[(x, y)].symbol();
                skip = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
                line.push_str(symbol);
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        (self, out)
    }

    fn show(self) -> String {
        self.text().1
    }
}

fn terminal(width: u16, height: u16) -> Terminal<TestBackend> {
    Terminal::new(TestBackend::new(width, height)).unwrap()
}

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 36), (200, 60)];

fn keep(name: &str, keys: &str) {
    for (w, h) in SIZES {
        insta::assert_snapshot!(format!("{name}_{w}x{h}"), Screen::new(w, h).press(keys).show());
    }
}

#[test]
fn start() {
    keep("start", "");
}

#[test]
fn the_other_views() {
    keep("ports", "2");
    keep("processes", "3");
    keep("peers", "4");
}

#[test]
fn details() {
    keep("details_socket", "/api estab<enter><end><enter>");
    keep("details_port", "2<enter>");
    keep("details_process", "3<enter>");
}

#[test]
fn overlays() {
    keep("help", "?");
    keep("sort", "s<down><down>");
    keep("states", "t<right>");
}

#[test]
fn filters() {
    keep("filter_typed", "/nginx");
    keep("filter_error", "/nginx bogus:1");
    keep("filter_nothing", "/nothinglikethis<enter>");
}

#[test]
fn groupings() {
    for (name, keys) in [("local", "g"), ("remote", "gg"), ("process", "ggg"), ("flat", "gggg")] {
        insta::assert_snapshot!(format!("group_{name}"), Screen::new(120, 36).press(keys).show());
    }
}

#[test]
fn without_colour_and_without_utf8_it_says_the_same() {
    let options = || Options { ascii: true, color: Color::None, ..Options::default() };
    for keys in ["", "2", "3", "4", "?", "s", "<enter>", "t"] {
        let text = Screen::with(120, 36, options()).press(keys).show();
        assert!(text.is_ascii(), "{keys}: {text}");
    }
    insta::assert_snapshot!("ascii_80x24", Screen::with(80, 24, options()).show());
    insta::assert_snapshot!("ascii_processes", Screen::with(80, 24, options()).press("3").show());
}

#[test]
fn small_screens_degrade() {
    for (w, h) in [(60, 15), (40, 10), (24, 6), (20, 4), (10, 2)] {
        insta::assert_snapshot!(format!("small_{w}x{h}"), Screen::new(w, h).show());
    }
}

#[test]
fn the_last_good_filter_stays_in_force() {
    let good = Screen::new(120, 36).press("/nginx").show();
    let mut s = Screen::new(120, 36).press("/nginx");
    s.app.handle(Event::Input(Input::Paste(" zzz:1\n".into())));
    let bad = s.show();
    let count = |s: &str| {
        s.lines().find_map(|l| l.split_once(" of ").map(|(a, _)| a.rsplit(' ').next().unwrap().to_owned()))
    };
    assert_eq!(count(&good), count(&bad), "{good}\n{bad}");
    assert!(bad.contains('^'), "{bad}");
    // Enter does not keep what is wrong, Escape puts back what was.
    let s = Screen::new(120, 36).press("/nginx<enter>/ zzz:1<enter>q");
    assert!(s.show().contains("zzz:1q"));
    let back = Screen::new(120, 36).press("/nginx<enter>/ zzz:1<esc>").show();
    assert!(back.contains("/ nginx ") && !back.contains("zzz"), "{back}");
}

#[test]
fn hostile_names_are_escaped() {
    for keys in ["3", "3/evil<enter><enter>", "/evil<enter><end><enter>"] {
        let text = Screen::new(120, 36).press(keys).show();
        assert!(!text.chars().any(|c| c != '\n' && sockscope::model::text::is_hostile(c)), "{text:?}");
        assert!(text.contains("evil\\e[31m\\nname"), "{text}");
    }
}

#[test]
fn the_mouse_reaches_tabs_titles_rows_states_and_keys() {
    assert!(Screen::new(120, 36).click_on("3 Processes").show().contains("FDS%"));
    let s = Screen::new(120, 36).click_on("CLOSE_WAIT").show();
    assert!(s.contains("/ state:close-wait "), "{s}");
    let s = Screen::new(120, 36).click_on("CLOSE_WAIT").click_on("CLOSE_WAIT").show();
    assert!(!s.contains("/ state:close-wait "), "{s}");
    assert!(Screen::new(120, 36).click_on("TX/s").show().contains("↓TX/s"));
    assert!(Screen::new(120, 36).click_on("TX/s").click_on("TX/s").show().contains("↑TX/s"));
    assert!(Screen::new(120, 36).click_on("? help").show().contains("Find"));
    let s = Screen::new(120, 36).press("2").click_on("127.0.0.1:5432").show();
    assert!(s.lines().any(|l| l.starts_with('▌') && l.contains("127.0.0.1:5432")), "{s}");
    let s = Screen::new(120, 36).press("2").click_on("127.0.0.1:5432").click_on("127.0.0.1:5432").show();
    assert!(s.contains("reachable from this machine only"), "{s}");
    assert!(Screen::new(120, 36).press("s").click_on("Transport protocol").show().contains("PROTO↑"));
    let mut s = Screen::new(80, 24);
    for _ in 0..3 {
        s.mouse(MouseEventKind::ScrollDown, 10, 10);
    }
    let (mut s, scrolled) = s.text();
    for _ in 0..9 {
        s.mouse(MouseEventKind::ScrollUp, 10, 10);
    }
    let back = s.show();
    assert_ne!(scrolled, back);
    assert!(back.lines().nth(4).unwrap().starts_with('▌') || back.contains("▌"), "{back}");
}

#[test]
fn a_click_anywhere_at_any_size_is_safe() {
    for (w, h) in [(80, 24), (37, 9), (20, 4), (1, 1)] {
        for keys in ["", "2", "3", "?", "s", "t", "/x", "<end><enter>"] {
            for x in 0..w {
                for y in (0..h).step_by(3) {
                    let mut s = Screen::new(w, h).press(keys);
                    s.mouse(MouseEventKind::ScrollDown, x, y);
                    if (x + y) % 5 == 0 {
                        s.click(x, y).show();
                    }
                }
                if x > 12 && x % 4 != 0 {
                    break;
                }
            }
        }
    }
}

#[test]
fn down_to_one_cell_and_back_in_every_place() {
    for keys in
        ["", "2", "3", "4", "<end><enter>", "2<enter>", "3<enter>", "?", "s", "t", "/a:b", "g", "gg", " "]
    {
        let before = Screen::new(120, 36).press(keys).show();
        let mut s = Screen::new(120, 36).press(keys);
        for size in [(80, 24), (60, 15), (30, 8), (19, 3), (3, 40), (200, 2), (1, 1), (120, 36)] {
            s = s.resize(size.0, size.1).text().0;
        }
        assert_eq!(s.show(), before, "{keys}");
    }
}

#[test]
fn every_key_in_every_place_is_safe_without_and_with_data() {
    let all: Vec<&str> = sockscope::ui::command::COMMANDS.iter().flat_map(|c| c.keys).copied().collect();
    for place in ["", "/", "t", "s", "?", "2", "3", "4", "<end><enter>"] {
        let mut full = Screen::new(80, 24).press(place);
        let mut bare = Screen { app: App::new(Options::default()), terminal: terminal(80, 24) }.press(place);
        for key in &all {
            let e = Input::Key(script::key(key));
            full.app.handle(Event::Input(e.clone()));
            bare.app.handle(Event::Input(e));
            full = full.text().0;
            bare = bare.text().0;
        }
    }
}

#[test]
fn selection_follows_its_socket_and_pausing_holds_the_screen() {
    let mut s = Screen { app: App::new(Options::default()), terminal: terminal(120, 36) };
    s.app.resize(Size { width: 120, height: 36 });
    s.app.handle(Event::from(Arc::clone(&POLLS[0])));
    s = s.press("ggggs").press("<esc>/60003<enter><end>");
    let chosen = |s: &str| s.lines().find(|l| l.starts_with('▌')).unwrap().to_owned();
    let (mut s, one) = s.text();
    assert!(chosen(&one).contains(":60003"), "{one}");
    s = s.press("<esc>");
    for p in &POLLS[1..4] {
        s.app.handle(Event::from(Arc::clone(p)));
        let (again, text) = s.text();
        s = again;
        assert!(chosen(&text).contains(":60003"), "{text}");
    }
    s = s.press(" ");
    let (mut s, held) = s.text();
    assert!(held.contains("paused"));
    for p in &POLLS[4..] {
        s.app.handle(Event::from(Arc::clone(p)));
    }
    let (s, after) = s.text();
    assert!(after.contains("paused, 4 newer"), "{after}");
    assert_eq!(after.lines().skip(1).collect::<Vec<_>>(), held.lines().skip(1).collect::<Vec<_>>());
    let go = s.press(" ").show();
    assert!(go.contains("live") && go != held);
}

#[test]
fn choosing_a_state_with_keys_filters_to_it() {
    let s = Screen::new(120, 36).press("t<right><right><enter>");
    let text = s.show();
    assert!(text.contains("state:"), "{text}");
}

#[test]
fn sort_and_filter_are_remembered_by_view() {
    let s = Screen::new(120, 36).press("/nginx<enter>2/ssh<enter>1").show();
    assert!(s.contains("/ nginx "), "{s}");
    let s = Screen::new(120, 36).press("/nginx<enter>2/ssh<enter>12").show();
    assert!(s.contains("/ ssh "), "{s}");
}

#[test]
fn a_failed_poll_is_said_and_forgotten() {
    let mut s = Screen::new(120, 36);
    s.app.handle(Event::Failed("dump tcp: Operation not permitted".into()));
    let (mut s, text) = s.text();
    assert!(text.contains("last poll failed: dump tcp: Operation not permitted"), "{text}");
    s.app.handle(Event::from(Arc::clone(&POLLS[7])));
    assert!(!s.show().contains("failed"));
}

#[test]
fn the_loop_ends_with_its_input_and_coalesces_snapshots() {
    for last in [
        Event::InputClosed,
        Event::Signal(sockscope::ui::Signal::Terminate),
        Event::Input(Input::Key(script::key("q"))),
        Event::Input(Input::Key(script::key("ctrl-c"))),
    ] {
        let (tx, rx) = mpsc::channel();
        let latest = Latest::default();
        for p in POLLS.iter() {
            if latest.put(Arc::clone(p)) {
                tx.send(Event::Fresh(latest.clone())).unwrap();
            }
        }
        for e in script::keys("++r") {
            tx.send(Event::Input(e)).unwrap();
        }
        tx.send(last).unwrap();
        let mut effects = Vec::new();
        let mut t = terminal(80, 24);
        let mut app = App::new(Options::default());
        run_loop(&mut t, &rx, &mut app, &mut |e| effects.push(e)).unwrap();
        assert!(matches!(effects.first(), Some(Effect::Wants(_))));
        let tail: Vec<_> = effects.into_iter().skip(1).filter(|e| !matches!(e, Effect::Wants(_))).collect();
        assert_eq!(
            tail,
            [
                Effect::Interval(Duration::from_millis(500)),
                Effect::Interval(Duration::from_millis(250)),
                Effect::Refresh,
                Effect::Quit
            ]
        );
        assert_eq!(app.snapshot().unwrap().seq, POLLS[7].seq, "only the last was shown");
    }
}

#[test]
fn everything_counts_every_state_whatever_is_filtered() {
    let mut s = Screen::new(120, 36);
    for e in script::keys("/state:close-wait") {
        s.app.handle(Event::Input(e));
    }
    let w = s.app.wants();
    assert!(w.owners && w.prefilter.is_none() && State::all().all(|x| w.states.has(x)));
}

/// An app whose rows are arranged elsewhere; `soon`: answered at once, else when nothing more comes.
fn apart(keys: &str, soon: bool) -> Screen {
    let options = Options { apart: Some(1), ..Options::default() };
    let size = Size { width: 120, height: 40 };
    let mut s = Screen { app: App::new(options), terminal: terminal(size.width, size.height) };
    s.app.resize(size);
    let mut waiting = Vec::new();
    let fresh: Vec<Event> = POLLS.iter().map(|p| Event::from(Arc::clone(p))).collect();
    let typed: Vec<Event> = script::keys(keys).into_iter().map(Event::Input).collect();
    let last = fresh.len() - 1;
    for (i, event) in fresh.into_iter().chain(typed).enumerate() {
        for effect in s.app.handle(event) {
            if let Effect::Arrange(job) = effect {
                waiting.push(*job);
            }
        }
        // What is on the screen in between can be drawn.
        s.terminal.draw(|f| draw(&s.app, f)).unwrap();
        if soon || i == last {
            answer(&mut s, &mut waiting);
        }
    }
    answer(&mut s, &mut waiting);
    s
}

fn answer(s: &mut Screen, waiting: &mut Vec<sockscope::ui::arrange::Job>) {
    while let Some(job) = waiting.pop() {
        // Only the newest is done; those before it are dropped.
        waiting.clear();
        for effect in s.app.handle(Event::Arranged(Box::new(job.work()))) {
            if let Effect::Arrange(job) = effect {
                waiting.push(*job);
            }
        }
    }
}

#[test]
fn the_header_says_how_often_it_is_polled() {
    for (ms, says) in [(900, "live 1s"), (2300, "live 2.3s"), (8000, "live 8s")] {
        let mut s = Screen::new(120, 40);
        s.app.handle(Event::Paced(Duration::from_millis(ms)));
        let first = s.show().lines().next().unwrap().to_owned();
        assert!(first.contains(says), "{first}");
    }
}

#[test]
fn what_is_arranged_elsewhere_is_what_is_arranged_here() {
    // And whether they come to the same when all rows come last: not where one moves over what is not there yet.
    for (keys, late) in [
        ("", true),
        ("jjj<enter>", true),
        ("/tcp<enter>jj", false),
        ("/state:est<enter>xS", true),
        ("/nginx<enter>", true),
        ("g", true),
        ("ggj", false),
        ("ggggg", true),
        ("2j1j", false),
        ("431", true),
        ("<space>j<space>", true),
        ("jjzj", true),
        ("/nginx<enter><space>g<space>", false),
    ] {
        let want = Screen::new(120, 40).press(keys).show();
        for soon in [true, !late] {
            assert_eq!(apart(keys, soon).show(), want, "{keys} {soon}");
        }
    }
}
