//! The dashboard over a small synthetic machine, driven by key scripts and compared with snapshots at several sizes.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "screens/dns.rs"]
mod dns;
#[path = "screens/events.rs"]
mod events;
#[path = "screens/hosts.rs"]
mod hosts;
#[path = "screens/past.rs"]
mod past;
#[path = "screens/why.rs"]
mod why;
#[path = "screens/windows.rs"]
mod windows;
#[path = "screens/world.rs"]
mod world;

use crossterm::event::{Event as Input, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Size;
use sockscope::model::{AttrSet, FaultKind, FaultSubject, Reads, Snapshot, State};
use sockscope::tui::compare::{Comparison, TwoMoments};
use sockscope::tui::{App, Color, Effect, Event, Latest, Options, draw, key_script, run_loop};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;

static POLLS: LazyLock<Vec<Arc<Snapshot>>> = LazyLock::new(world::polls);

struct Screen {
    app: App,
    terminal: Terminal<TestBackend>,
}

impl Screen {
    /// The dashboard at this size after all polls.
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
        self.types(keys);
        self
    }

    /// Types a key script; the effects.
    fn types(&mut self, keys: &str) -> Vec<Effect> {
        let mut all = Vec::new();
        for e in key_script::keys(keys) {
            for effect in self.app.handle(Event::Input(e)) {
                if let Effect::Compare(TwoMoments(marked, shown)) = &effect {
                    self.app.handle(Event::Compared(Arc::new(Comparison::new(marked, shown))));
                }
                all.push(effect);
            }
        }
        all
    }

    fn mouse(&mut self, kind: MouseEventKind, column: u16, row: u16) {
        let e = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
        self.app.handle(Event::Input(Input::Mouse(e)));
    }

    fn click(mut self, column: u16, row: u16) -> Self {
        self.mouse(MouseEventKind::Down(MouseButton::Left), column, row);
        self
    }

    /// Clicks on the first occurrence of this text.
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

    /// The text of the screen.
    fn text(mut self) -> (Self, String) {
        let out = self.screen();
        (self, out)
    }

    /// The text of the screen as it is now.
    fn screen(&mut self) -> String {
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
        out
    }

    fn show(mut self) -> String {
        self.screen()
    }
}

fn terminal(width: u16, height: u16) -> Terminal<TestBackend> {
    Terminal::new(TestBackend::new(width, height)).unwrap()
}

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 36), (200, 60)];

fn snapshot_sizes(name: &str, keys: &str) {
    for (w, h) in SIZES {
        insta::assert_snapshot!(format!("{name}_{w}x{h}"), Screen::new(w, h).press(keys).show());
    }
}

#[test]
fn start_screen() {
    snapshot_sizes("start", "");
}

#[test]
fn other_views() {
    snapshot_sizes("ports", "2");
    snapshot_sizes("processes", "3");
    snapshot_sizes("peers", "4");
}

/// Views whose data the small world has not: those of the demo.
#[test]
fn views_of_the_demo() {
    for (name, keys) in [
        ("limits", "5"),
        ("forwards", "6"),
        ("map", "7"),
        ("events", "8"),
        ("event", "8j<enter>"),
        ("dns", "9"),
        ("dns_groups", "9gg"),
        ("question", "9jjj<enter>"),
        ("service", "jjjjj<right>"),
    ] {
        for size in ["80x24", "120x36", "160x45"] {
            let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_sockscope"));
            program.args(["--demo", "screenshot", "--size", size, "--keys", keys, "--lang", "en"]);
            let out = program.env("XDG_CONFIG_HOME", "/nonexistent").output().unwrap();
            let screen = String::from_utf8(out.stdout).unwrap();
            assert!(out.status.success() && !screen.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
            insta::assert_snapshot!(format!("demo_{name}_{size}"), screen);
        }
    }
}

#[test]
fn details_pages() {
    snapshot_sizes("details_socket", "/api estab<enter><end><enter>");
    snapshot_sizes("details_port", "2<enter>");
    snapshot_sizes("details_process", "3<enter>");
}

#[test]
fn overlays() {
    snapshot_sizes("help", "?");
    snapshot_sizes("sort", "s<down><down>");
    snapshot_sizes("states", "t<right>");
}

#[test]
fn filter_states() {
    snapshot_sizes("filter_typed", "/nginx");
    snapshot_sizes("filter_error", "/nginx bogus:1");
    snapshot_sizes("filter_nothing", "/nothinglikethis<enter>");
}

#[test]
fn groupings() {
    for (name, keys) in [("local", "g"), ("remote", "gg"), ("process", "ggg"), ("flat", "gggg")] {
        insta::assert_snapshot!(format!("group_{name}"), Screen::new(120, 36).press(keys).show());
    }
}

#[test]
fn ascii_without_color_has_the_same_content() {
    let options = || Options { ascii: true, color: Color::None, ..Options::default() };
    for keys in ["", "2", "3", "4", "?", "s", "<enter>", "t"] {
        let text = Screen::with(120, 36, options()).press(keys).show();
        assert!(text.is_ascii(), "{keys}: {text}");
    }
    insta::assert_snapshot!("ascii_80x24", Screen::with(80, 24, options()).show());
    insta::assert_snapshot!("ascii_processes", Screen::with(80, 24, options()).press("3").show());
}

/// Characters of gauges, sparklines and charts.
fn is_picture(c: char) -> bool {
    "━╾▁▂▃▄▅▆▇█░▓".contains(c) || ('\u{2800}'..='\u{28ff}').contains(&c)
}

#[test]
fn recording_is_never_shown_as_live() {
    for (w, h) in [(60, 15), (80, 24), (160, 45)] {
        let screen = || Screen::with(w, h, Options { recorded: true, ..Options::default() });
        let shown = screen().show();
        assert!(shown.contains("recorded ") && !shown.contains("live"), "{w}x{h}:\n{shown}");
        let mut ended = screen();
        ended.app.handle(Event::EndOfRecording);
        let shown = ended.show();
        assert!(shown.contains("end of the recording") && !shown.contains("failing"), "{w}x{h}:\n{shown}");
    }
}

#[test]
fn calm_screens_have_the_figures_without_gauges_and_sparklines() {
    let pages =
        ["", "<enter>", "2", "2<enter>", "3", "3<enter>", "4", "4<enter>", "5", "5<enter>", "6", "7", "8"];
    let mut pictures = 0;
    for keys in pages {
        for (w, h) in [(80, 24), (160, 45)] {
            let calm = Options { calm: true, ..Options::default() };
            let calm = Screen::with(w, h, calm).press(keys).show();
            assert!(!calm.contains(is_picture), "{keys} {w}x{h}:\n{calm}");
            let moving = Screen::new(w, h).press(keys).show();
            pictures += usize::from(moving.contains(is_picture));
            let figures = |screen: &str| screen.matches('%').count();
            assert_eq!(figures(&calm), figures(&moving), "{keys} {w}x{h}:\n{calm}\n{moving}");
        }
    }
    assert!(pictures > 8, "{pictures} screens with pictures otherwise");
}

#[test]
fn pop_ups_without_a_background_color_have_a_border_and_a_reversed_title() {
    use ratatui::style::Modifier;
    for color in [Color::Basic, Color::None] {
        for (keys, title) in
            [("?", "help"), ("s", "sort"), ("c", "columns"), (":", "commands"), ("jjK", "actions")]
        {
            let options = Options { color, ..Options::default() };
            let mut s = Screen::with(100, 30, options).press(keys);
            s.terminal.draw(|f| draw(&s.app, f)).unwrap();
            let b = s.terminal.backend().buffer();
            let reversed = |x: u16, y: u16| b[(x, y)].modifier.contains(Modifier::REVERSED);
            // The title from border to border.
            let framed = (0..29).any(|y| {
                let borders: Vec<u16> = (0..100).filter(|x| b[(*x, y + 1)].symbol() == "│").collect();
                borders.iter().any(|from| {
                    borders.iter().any(|to| *to > from + 10 && (*from..=*to).all(|x| reversed(x, y)))
                })
            });
            assert!(framed, "{color:?} {title}:\n{}", s.show());
        }
    }
}

#[test]
fn small_screens_drop_columns() {
    for (w, h) in [(60, 15), (40, 10), (24, 6), (20, 4), (10, 2)] {
        insta::assert_snapshot!(format!("small_{w}x{h}"), Screen::new(w, h).show());
    }
}

#[test]
fn invalid_filter_keeps_the_last_valid_one() {
    let good = Screen::new(120, 36).press("/nginx").show();
    let mut s = Screen::new(120, 36).press("/nginx");
    s.app.handle(Event::Input(Input::Paste(" zzz:1\n".into())));
    let bad = s.show();
    let count = |s: &str| {
        s.lines().find_map(|l| l.split_once(" of ").map(|(a, _)| a.rsplit(' ').next().unwrap().to_owned()))
    };
    assert_eq!(count(&good), count(&bad), "{good}\n{bad}");
    assert!(bad.contains('^'), "{bad}");
    // Enter rejects an invalid filter, Escape restores the previous one.
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
fn mouse_clicks_reach_tabs_titles_rows_states_and_keys() {
    assert!(Screen::new(120, 36).click_on("3 Processes").show().contains("FDS%"));
    let s = Screen::new(120, 36).click_on("CLOSE_WAIT").show();
    assert!(s.contains("/ state:close-wait "), "{s}");
    let s = Screen::new(120, 36).click_on("CLOSE_WAIT").click_on("CLOSE_WAIT").show();
    assert!(!s.contains("/ state:close-wait "), "{s}");
    assert!(Screen::new(120, 36).click_on("TX/s").show().contains("↓TX/s"));
    assert!(Screen::new(120, 36).click_on("TX/s").click_on("TX/s").show().contains("↑TX/s"));
    assert!(Screen::new(120, 36).click_on("? help").show().contains("Filter and sort"));
    let s = Screen::new(120, 36).press("2").click_on("127.0.0.1:5432").show();
    assert!(s.lines().any(|l| l.starts_with('▌') && l.contains("127.0.0.1:5432")), "{s}");
    let s = Screen::new(120, 36).press("2").click_on("127.0.0.1:5432").click_on("127.0.0.1:5432").show();
    assert!(s.contains("listens on loopback only"), "{s}");
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
fn click_at_any_cell_and_size_does_not_panic() {
    for (w, h) in [(80, 24), (37, 9), (20, 4), (1, 1)] {
        for keys in ["", "2", "3", "?", "s", "t", "/x", ":th", "<end><enter>"] {
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
fn resize_to_one_cell_and_back_restores_the_screen() {
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
fn every_key_in_every_focus_does_not_panic() {
    let all: Vec<&str> = sockscope::tui::command::COMMANDS.iter().flat_map(|c| c.keys).copied().collect();
    for place in ["", "/", "t", "s", "?", "?/", ":", "2", "3", "4", "<end><enter>"] {
        let mut full = Screen::new(80, 24).press(place);
        let mut bare = Screen { app: App::new(Options::default()), terminal: terminal(80, 24) }.press(place);
        for key in &all {
            let e = Input::Key(key_script::key(key));
            full.app.handle(Event::Input(e.clone()));
            bare.app.handle(Event::Input(e));
            full = full.text().0;
            bare = bare.text().0;
        }
    }
}

#[test]
fn selection_follows_its_socket_and_pause_freezes_the_screen() {
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
    assert!(after.contains("paused +8 -1"), "{after}");
    assert_eq!(after.lines().skip(1).collect::<Vec<_>>(), held.lines().skip(1).collect::<Vec<_>>());
    let resumed = s.press(" ").show();
    assert!(resumed.contains("live") && resumed != held);
}

/// The lines that start with the edge of the selection.
fn chosen(screen: &str) -> String {
    screen.lines().find(|l| l.starts_with('▌')).unwrap_or_default().to_owned()
}

#[test]
fn palette_finds_and_runs_commands() {
    let s = Screen::new(100, 30).press(":proces<enter>").show();
    assert!(s.contains("FDS%"), "{s}");
    let s = Screen::new(120, 36).press("<ctrl-p>sort by tx<enter>").show();
    assert!(s.contains("↓TX/s"), "{s}");
    let s = Screen::new(160, 45).press(":hide proto<enter>").show();
    assert!(!s.contains("PROTO"), "{s}");
    let mut options = Options::default();
    options.saved.insert("leak".into(), "state:close-wait".into());
    let s = Screen::with(100, 30, options).press(":@leak<enter>").show();
    assert!(s.contains("/ @leak"), "{s}");
    // Escape changes nothing, and letters are text there.
    assert_eq!(Screen::new(100, 30).press(":q3zz<esc>").show(), Screen::new(100, 30).show());
    let open = Screen::new(100, 30).press(":theme").click_on("theme light").show();
    assert!(!open.contains("theme light"), "a click selects: {open}");
    insta::assert_snapshot!("palette_80x24", Screen::new(80, 24).press(":und").show());
    insta::assert_snapshot!("palette_120x36", Screen::new(120, 36).press(":").show());
}

#[test]
fn help_search_filters_and_escape_clears_it() {
    let s = Screen::new(100, 30).press("?/accept<enter>").show();
    assert!(s.contains("accept queues") && !s.contains("Poll more often"), "{s}");
    let s = Screen::new(100, 30).press("?/zzzz").show();
    assert!(s.contains("no match"), "{s}");
    // Escape clears the search first, then closes the help.
    let s = Screen::new(100, 30).press("?/accept<enter><esc>").show();
    assert!(s.contains("Filter as you type"), "{s}");
    assert_eq!(Screen::new(100, 30).press("?/accept<esc><esc>").show(), Screen::new(100, 30).show());
}

#[test]
fn undo_and_redo_restore_view_settings() {
    let header = |s: &str| s.lines().take(6).map(str::to_owned).collect::<Vec<_>>();
    let first = Screen::new(120, 36).show();
    let s = Screen::new(120, 36).press("/nginx<enter>gss<down><enter>");
    let (s, last) = s.text();
    assert!(last.contains("/ nginx "), "{last}");
    let s = s.press("uuu").text();
    assert_eq!(header(&s.1), header(&first), "{}", s.1);
    assert!(s.0.press("u").show().contains("nothing to undo"));
    let again = Screen::new(120, 36).press("/nginx<enter>gss<down><enter>uuuUUU").show();
    assert_eq!(header(&again), header(&last), "{again}");
    // A filter is one step however many letters were typed; a new change clears the redo list.
    let s = Screen::new(120, 36).press("/nginx<enter>u").show();
    assert!(s.contains("/ nginx   :443"), "the placeholder again: {s}");
    assert!(Screen::new(120, 36).press("/nginx<enter>ugU").show().contains("nothing to redo"));
}

#[test]
fn back_and_forward_restore_view_and_selection() {
    let s = Screen::new(120, 36).press("<down><down><down>");
    let (s, here) = s.text();
    let s = s.press("3<down>5<alt-left>");
    let (s, processes) = s.text();
    assert!(processes.contains("FDS%"), "{processes}");
    let (s, back) = s.press("<ctrl-o>").text();
    assert_eq!(chosen(&back), chosen(&here), "{back}");
    let (s, forward) = s.press("<alt-right>").text();
    assert_eq!(chosen(&forward), chosen(&processes), "{forward}");
    assert!(s.press("<alt-left><alt-left>").show().contains("no previous location"));
}

#[test]
fn range_mark_covers_all_rows_between() {
    let s = Screen::new(120, 36).press("gggg<end><home>m<down><down><down>v").show();
    assert!(s.contains("5 marked"), "{s}");
    assert_eq!(s.lines().filter(|l| l.chars().nth(1) == Some('●')).count(), 5, "{s}");
    assert!(Screen::new(120, 36).press("ggggv").show().contains("1 marked"));
}

#[test]
fn scroll_bar_dragged_to_the_ends_shows_first_and_last_row() {
    let mut s = Screen::new(80, 24).press("gggg");
    let (again, before) = s.text();
    s = again;
    let row = |text: &str, n: usize| text.lines().nth(n).unwrap().to_owned();
    s = s.click(79, 12);
    let (again, middle) = s.text();
    s = again;
    assert_ne!(row(&middle, 5), row(&before, 5), "a click scrolls: {middle}");
    s.mouse(MouseEventKind::Drag(MouseButton::Left), 60, 23);
    let (again, end) = s.text();
    s = again;
    let (again, last) = s.press("<end>").text();
    s = again;
    assert_eq!(row(&end, 16), row(&last, 16), "the mouse may leave the column: {end}");
    s.mouse(MouseEventKind::Drag(MouseButton::Left), 79, 0);
    let (mut s, top) = s.text();
    assert_eq!(row(&top, 8), row(&before, 8), "{top}");
    s.mouse(MouseEventKind::Up(MouseButton::Left), 79, 0);
    s.mouse(MouseEventKind::Drag(MouseButton::Left), 79, 20);
    assert_eq!(row(&s.text().1, 8), row(&before, 8), "dropped");
}

#[test]
fn details_border_moves_by_mouse_and_keys() {
    let border = |s: &str| s.lines().nth(8).unwrap().chars().position(|c| c == '│').unwrap();
    let mut s = Screen::new(200, 60).press("3<enter>");
    let (again, before) = s.text();
    s = again;
    let at = border(&before) as u16;
    s = s.click(at, 20);
    s.mouse(MouseEventKind::Drag(MouseButton::Left), 90, 20);
    let (mut s, dragged) = s.text();
    assert_eq!(border(&dragged), 90, "{dragged}");
    s.mouse(MouseEventKind::Up(MouseButton::Left), 90, 20);
    s.mouse(MouseEventKind::Drag(MouseButton::Left), 120, 20);
    let (s, dropped) = s.text();
    assert_eq!(border(&dropped), 90);
    let (s, larger) = s.press("(").text();
    assert!(border(&larger) < 90, "{larger}");
    assert!(border(&s.press("))").show()) > border(&larger));
    let rule = |s: &str| s.lines().position(|l| l.starts_with("────")).unwrap();
    let low = Screen::new(80, 24).press("3<enter>");
    let (low, before) = low.text();
    assert!(rule(&low.press("((").show()) < rule(&before));
}

#[test]
fn first_start_shows_a_card_until_a_key_is_pressed() {
    let options = || Options { first: true, ..Options::default() };
    let s = Screen::with(80, 24, options()).show();
    insta::assert_snapshot!("first_start_80x24", s);
    let after = Screen::with(80, 24, options()).press("<home>").show();
    assert_eq!(after, Screen::new(80, 24).show());
    let low = Screen::with(60, 9, options()).show();
    assert!(!low.contains("getting started"), "{low}");
}

#[test]
fn mouse_capture_can_be_released() {
    let mut s = Screen::new(80, 24);
    let press = |s: &mut Screen| s.app.handle(Event::Input(Input::Key(key_script::key("y"))));
    assert!(press(&mut s).contains(&Effect::Mouse(false)));
    assert!(press(&mut s).contains(&Effect::Mouse(true)));
}

#[test]
fn wide_characters_do_not_shift_columns() {
    for keys in ["3", "3<enter>", "/evil<enter><end><enter>"] {
        let mut s = Screen::new(120, 36).press(keys);
        s.terminal.draw(|f| draw(&s.app, f)).unwrap();
        let buffer = s.terminal.backend().buffer().clone();
        for y in 0..buffer.area.height {
            let mut x = 0;
            while x < buffer.area.width {
                let wide = unicode_width::UnicodeWidthStr::width(buffer[(x, y)].symbol()).max(1) as u16;
                assert!(x + wide <= buffer.area.width, "{keys}: cut at the edge in line {y}");
                // The second cell of a wide character is blank.
                for over in 1..wide {
                    assert!(buffer[(x + over, y)].symbol().trim().is_empty(), "{keys}: line {y} column {x}");
                }
                x += wide;
            }
        }
    }
}

/// Styles of each line, as runs: columns, foreground, background, modifiers.
fn looks(s: &mut Screen) -> String {
    s.terminal.draw(|f| draw(&s.app, f)).unwrap();
    let b = s.terminal.backend().buffer();
    let mut out = String::new();
    for y in 0..b.area.height {
        let look = |x: u16| (b[(x, y)].fg, b[(x, y)].bg, b[(x, y)].modifier);
        let mut runs = Vec::new();
        let mut x = 0;
        while x < b.area.width {
            let from = x;
            while x < b.area.width && look(x) == look(from) {
                x += 1;
            }
            let (fg, bg, modifier) = look(from);
            let text: String = (from..x).map(|i| b[(i, y)].symbol()).collect();
            if !text.trim().is_empty() || bg != ratatui::style::Color::Reset {
                let with = format!("{modifier:?}").replace("Modifier(", "").replace(')', "").to_lowercase();
                let with = if modifier.is_empty() { String::new() } else { format!(" {with}") };
                let back =
                    if bg == ratatui::style::Color::Reset { String::new() } else { format!(" on {bg}") };
                runs.push(format!("{from}-{} {fg}{back}{with}", x - 1));
            }
        }
        out.push_str(&format!("{y:>2}: {}\n", runs.join(" | ")));
    }
    out
}

#[test]
fn themes_change_styles_and_not_text() {
    use sockscope::tui::theme::palette::PALETTES;
    for p in PALETTES {
        for (w, h) in [(60, 15), (80, 24), (120, 36), (160, 45), (200, 60)] {
            for keys in ["", "3<enter>"] {
                let options = || Options { palette: Some(p.clone()), ..Options::default() };
                // The track of a gauge is a background color, or characters where there is none.
                let text = Screen::with(w, h, options()).press(keys).show().replace('░', " ");
                assert_eq!(text, Screen::new(w, h).press(keys).show(), "{} {w}x{h}", p.name);
            }
        }
        let options = || Options { palette: Some(p.clone()), ..Options::default() };
        let mut s = Screen::with(80, 16, options()).press("3");
        insta::assert_snapshot!(format!("looks_{}", p.name), looks(&mut s));
    }
}

#[test]
fn theme_follows_the_terminal_background() {
    let mut dark = Screen::new(80, 16);
    let mut light = Screen::new(80, 16);
    light.app.handle(Event::Background(0x00ff_ffff));
    assert_ne!(looks(&mut dark), looks(&mut light));
    // A configured theme is kept, and paints its own background if that of the terminal does not fit.
    let palette = sockscope::tui::theme::Palette::named("dark").cloned();
    let mut asked = Screen::with(80, 16, Options { palette, ..Options::default() });
    asked.app.handle(Event::Background(0x0010_1010));
    assert_eq!(looks(&mut asked), looks(&mut dark));
    asked.app.handle(Event::Background(0x00ff_ffff));
    assert!(looks(&mut asked).contains("#101114"), "its own background is painted");
}

#[test]
fn state_selected_by_keys_becomes_the_filter() {
    let s = Screen::new(120, 36).press("t<right><right><enter>");
    let text = s.show();
    assert!(text.contains("state:"), "{text}");
}

#[test]
fn filter_is_kept_per_view() {
    let s = Screen::new(120, 36).press("/nginx<enter>2/ssh<enter>1").show();
    assert!(s.contains("/ nginx "), "{s}");
    let s = Screen::new(120, 36).press("/nginx<enter>2/ssh<enter>12").show();
    assert!(s.contains("/ ssh "), "{s}");
}

#[test]
fn failed_poll_is_shown_until_the_next_succeeds() {
    let mut s = Screen::new(120, 36);
    s.app.handle(Event::Failed("dump tcp: Operation not permitted".into()));
    let (mut s, text) = s.text();
    assert!(text.contains("last poll failed: dump tcp: Operation not permitted"), "{text}");
    s.app.handle(Event::from(Arc::clone(&POLLS[7])));
    assert!(!s.show().contains("failed"));
}

#[test]
fn faults_of_detail_probes_are_not_in_the_status_line() {
    let mut snap = (*POLLS[7]).clone();
    snap.sample.faults.add(FaultKind::NotUsed, FaultSubject::BpfMaps, "only with CAP_BPF");
    snap.sample.faults.add(FaultKind::Failed, FaultSubject::PortableSockets, "broken");
    let mut s = Screen::new(160, 45);
    s.app.handle(Event::from(Arc::new(snap)));
    let text = s.show();
    assert!(text.contains("sockets of netstat2: read failed: broken") && !text.contains("CAP_BPF"), "{text}");
}

#[test]
fn run_loop_ends_with_its_input_and_coalesces_snapshots() {
    for last in [
        Event::InputClosed,
        Event::Signal(sockscope::tui::Signal::Terminate),
        Event::Input(Input::Key(key_script::key("q"))),
        Event::Input(Input::Key(key_script::key("ctrl-c"))),
    ] {
        let (tx, rx) = mpsc::channel();
        let latest = Latest::default();
        for p in POLLS.iter() {
            if latest.put(Arc::clone(p)) {
                tx.send(Event::Fresh(latest.clone())).unwrap();
            }
        }
        for e in key_script::keys("++r") {
            tx.send(Event::Input(e)).unwrap();
        }
        tx.send(last).unwrap();
        let mut effects = Vec::new();
        let mut t = terminal(80, 24);
        let mut app = App::new(Options::default());
        run_loop(&mut t, &rx, &mut app, &mut |e| effects.push(e), &mut |_| None).unwrap();
        assert!(matches!(effects.first(), Some(Effect::Wants(_))));
        let tail: Vec<_> = effects
            .into_iter()
            .skip(1)
            .filter(|e| !matches!(e, Effect::Wants(_) | Effect::Shown(_)))
            .collect();
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
fn wants_include_every_state_under_a_filter() {
    let mut s = Screen::new(120, 36);
    for e in key_script::keys("/state:close-wait") {
        s.app.handle(Event::Input(e));
    }
    let w = s.app.wants();
    assert!(w.reads(Reads::OWNERS) && w.prefilter.is_none() && State::all().all(|x| w.states.has(x)));
}

#[test]
fn details_scroll_by_half_pages_and_lines() {
    let seen = |keys: &str| -> (usize, usize) {
        let text = Screen::new(160, 45).press(keys).show();
        let place = text.lines().find_map(|l| l.split_once("  [ ]")?.0.rsplit_once(" of ")).unwrap().0;
        let (from, to) = place.rsplit_once(' ').map_or(place, |p| p.1).split_once('-').unwrap();
        (from.parse().unwrap(), to.parse().unwrap())
    };
    let (first, last) = seen("<down><enter>");
    let (next, _) = seen("<down><enter>]");
    assert!(first == 1 && (last / 2..=last / 2 + 2).contains(&next), "{next} of {last}");
    assert_eq!(seen("<down><enter>][").0, 1);
    assert_eq!(seen("<down><enter><shift-down>").0, 4);
}

#[test]
fn details_beside_the_table_wait_for_a_whole_snapshot_of_few_sockets() {
    let mut app = App::new(Options { side_details: true, ..Options::default() });
    app.resize(Size { width: 200, height: 40 });
    let mut wants = |event: Event| {
        app.handle(event).into_iter().find_map(|effect| match effect {
            Effect::Wants(w) => Some(w.attrs(AttrSet::ALL)),
            _ => None,
        })
    };
    let at = |live: usize, max: Option<u32>| {
        let mut snap = (*POLLS[7]).clone();
        (snap.seq, snap.sample.wants.max_sockets) = (live as u64, max);
        Event::from(Arc::new(snap))
    };
    let live = POLLS[7].live as u32;
    // Every attribute of a million sockets would be read before their number is known.
    assert_eq!(wants(Event::HostNames), Some(false), "before the first snapshot");
    assert_eq!(wants(at(1, Some(live))), None, "a partial one");
    assert_eq!(wants(at(2, Some(live + 1))), Some(true), "all that there are");
    assert_eq!(wants(at(3, Some(live))), Some(false));
    assert_eq!(wants(at(4, None)), Some(true));
}

#[test]
fn details_do_not_request_probe_data_of_all_sockets() {
    let w = Screen::new(120, 36).press("<down><enter>").app.wants();
    // The kernel would copy the BPF storage of every socket at every poll.
    assert!(
        w.reads(Reads::NAT)
            && !w.reads(Reads::BPF)
            && !w.reads(Reads::PROC_CTX)
            && !w.reads(Reads::SOCK_CTX)
            && !w.reads(Reads::THREADS)
    );
}

/// An app whose rows are arranged in the background; `soon`: each result is delivered at once, else at the end.
fn in_background(keys: &str, soon: bool) -> Screen {
    let options = Options { background_above: Some(1), ..Options::default() };
    let size = Size { width: 120, height: 40 };
    let mut s = Screen { app: App::new(options), terminal: terminal(size.width, size.height) };
    s.app.resize(size);
    let mut waiting = Vec::new();
    let fresh: Vec<Event> = POLLS.iter().map(|p| Event::from(Arc::clone(p))).collect();
    let typed: Vec<Event> = key_script::keys(keys).into_iter().map(Event::Input).collect();
    let last = fresh.len() - 1;
    for (i, event) in fresh.into_iter().chain(typed).enumerate() {
        for effect in s.app.handle(event) {
            if let Effect::Arrange(job) = effect {
                waiting.push(*job);
            }
        }
        // Intermediate states must be drawable.
        s.terminal.draw(|f| draw(&s.app, f)).unwrap();
        if soon || i == last {
            deliver(&mut s, &mut waiting);
        }
    }
    deliver(&mut s, &mut waiting);
    s
}

fn deliver(s: &mut Screen, waiting: &mut Vec<sockscope::tui::arrange::ArrangeJob>) {
    while let Some(job) = waiting.pop() {
        // Only the latest job is run; earlier ones are dropped.
        waiting.clear();
        for effect in s.app.handle(Event::Arranged(Box::new(job.work()))) {
            if let Effect::Arrange(job) = effect {
                waiting.push(*job);
            }
        }
    }
}

#[test]
fn header_shows_the_effective_interval() {
    for (ms, shown) in [(900, "live 1s"), (2300, "live 2.3s"), (8000, "live 8s")] {
        let mut s = Screen::new(120, 40);
        s.app.handle(Event::EffectiveInterval(Duration::from_millis(ms)));
        let first = s.show().lines().next().unwrap().to_owned();
        assert!(first.contains(shown), "{first}");
    }
}

#[test]
fn background_arranging_gives_the_same_screen() {
    // The flag: whether results delivered late give the same screen; not where the selection moves over missing rows.
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
            assert_eq!(in_background(keys, soon).show(), want, "{keys} {soon}");
        }
    }
}

/// Inodes and pids last sent to the collector, after these keys at this height.
fn shown(filter: &str, height: u16, keys: &str) -> (Vec<u64>, Vec<u32>) {
    let options = Options { filter: filter.to_owned(), ..Options::default() };
    let mut s = Screen { app: App::new(options), terminal: terminal(120, height) };
    s.app.resize(Size { width: 120, height });
    let fresh = POLLS.iter().map(|p| Event::from(Arc::clone(p)));
    let typed = key_script::keys(keys).into_iter().map(Event::Input);
    let mut last = (Vec::new(), Vec::new());
    for event in fresh.chain(typed) {
        for effect in s.app.handle(event) {
            if let Effect::Shown(shown) = effect {
                last = (shown.inodes.clone(), shown.pids.clone());
            }
        }
    }
    last
}

#[test]
fn sockets_and_processes_on_screen_are_sent_to_the_collector_selected_first() {
    let all: Vec<u64> = POLLS.last().unwrap().live_sockets().iter().map(|s| s.inode).collect();
    // Inodes of that machine are 10,000 and the number of the socket.
    assert_eq!(shown("lport:5432 state:listen", 40, "<down>"), (vec![10_002], vec![824, 815]));
    // The group of the state shows what its rows do, visible ones first.
    let (inodes, pids) = shown("", 40, "");
    assert!(inodes.len() > 20 && inodes.iter().all(|i| all.contains(i)), "{inodes:?}");
    assert!(pids.contains(&815), "{pids:?}");
    // Without groups: only what fits, the selected one first.
    let flat = |keys: &str| shown("process:nginx", 12, &format!("gggg{keys}")).0;
    let (top, second) = (flat(""), flat("<down>"));
    assert!((2..20).contains(&top.len()), "{top:?}");
    assert_ne!(top[0], second[0]);
    assert!(top.contains(&second[0]), "{top:?} {second:?}");
    // Other views: a port has the listeners, a process its sockets.
    let (ports, _) = shown("", 40, "2/:5432<enter>");
    assert!(ports.contains(&10_002), "{ports:?}");
    let (_, processes) = shown("", 40, "3");
    assert!(processes.contains(&640) && processes.contains(&824), "{processes:?}");
}
