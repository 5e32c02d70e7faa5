//! Dialogs of the dashboard: columns, completion, history, saved filters, cells, explanations, and confirmed actions.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Each test program uses part of it.
#[allow(dead_code)]
#[path = "screens/world.rs"]
mod world;

use crossterm::event::Event as Input;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Size;
use sockscope::explain::Lang;
use sockscope::filter::Saved;
use sockscope::format::Column;
use sockscope::model::State;
use sockscope::table::SOCKETS;
use sockscope::tui::act::Act;
use sockscope::tui::{App, Effect, Event, Options, draw, key_script};
use std::sync::Arc;

struct Screen {
    app: App,
    terminal: Terminal<TestBackend>,
    effects: Vec<Effect>,
}

impl Screen {
    fn with(options: Options) -> Self {
        let mut s = Self {
            app: App::new(options),
            terminal: Terminal::new(TestBackend::new(120, 36)).unwrap(),
            effects: vec![],
        };
        s.app.resize(Size { width: 120, height: 36 });
        for p in world::polls() {
            s.app.handle(Event::from(Arc::clone(&p)));
        }
        s
    }

    fn new() -> Self {
        Self::with(Options::default())
    }

    /// Types a key script and keeps the requested effects.
    fn press(mut self, keys: &str) -> Self {
        for e in key_script::keys(keys) {
            let made = self.app.handle(Event::Input(e));
            self.effects
                .extend(made.into_iter().filter(|e| !matches!(e, Effect::Wants(_) | Effect::Shown(_))));
        }
        self
    }

    fn show(&mut self) -> String {
        let app = &self.app;
        self.terminal.draw(|f| draw(app, f)).unwrap();
        let buffer = self.terminal.backend().buffer();
        let line = |y: u16| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..buffer.area.height).map(|y| line(y).trim_end().to_owned() + "\n").collect()
    }

    /// The filter line.
    fn bar(&mut self) -> String {
        self.show().lines().nth(2).unwrap().trim().to_owned()
    }

    fn titles(&mut self) -> String {
        self.show().lines().nth(3).unwrap().to_owned()
    }
}

#[test]
fn columns_are_shown_hidden_moved_and_reset() {
    let usual = Screen::new().titles();
    assert!(usual.contains("PROTO") && !usual.contains("INODE"), "{usual}");
    let mut s = Screen::new().press("c");
    assert!(s.show().contains("✓ proto"), "{}", s.show());
    // Hide the first column, then move the new first one to the right.
    let mut s = s.press("<space>J<esc>");
    let titles = s.titles();
    assert!(!titles.contains("PROTO") && titles.find("REMOTE") < titles.find("LOCAL"), "{titles}");
    // Every view has its own columns, and keeps them.
    assert!(s.press("2").titles().contains("PROTO"));
    assert_eq!(Screen::new().press("c<space>Jr<esc>").titles(), usual);
    // The last column cannot be hidden.
    let mut s = Screen::new().press("c").press(&"<space>".repeat(40));
    assert!(s.show().matches('✓').count() == 1, "{}", s.show());
    let columns: Vec<&'static Column> = ["inode", "local"].iter().filter_map(|n| SOCKETS.column(n)).collect();
    let options = Options { columns: vec![("list".to_owned(), columns)], ..Options::default() };
    let titles = Screen::with(options).titles();
    assert!(titles.trim_start().starts_with("INODE") && titles.contains("LOCAL"), "{titles}");
}

#[test]
fn tab_completes_then_cycles() {
    let mut s = Screen::new().press("/state:clo<tab>");
    assert!(s.bar().starts_with("/ state:close-wait"), "{}", s.bar());
    assert!(s.show().contains("closed by the peer, still open here"), "what each means:\n{}", s.show());
    let mut s = s.press("<tab>");
    assert!(s.bar().starts_with("/ state:closing") || s.bar().starts_with("/ state:closed"), "{}", s.bar());
    let mut s = s.press("<shift-tab>");
    assert!(s.bar().starts_with("/ state:close-wait"), "{}", s.bar());
    // Any other key accepts the completion.
    let mut s = s.press(" nginx<enter>");
    assert!(
        s.bar().starts_with("/ state:close-wait nginx") && !s.show().contains("connected "),
        "{}",
        s.show()
    );
    assert!(Screen::new().press("/process:ngi<tab>").bar().starts_with("/ process:nginx"));
    assert!(Screen::new().press("/loc<tab>").bar().starts_with("/ local"));
}

#[test]
fn filter_history_recalls_earlier_filters() {
    let mut s = Screen::new().press("/nginx<enter>/<ctrl-u>:443<enter>/<ctrl-u>api<up>");
    assert!(s.bar().starts_with("/ :443"), "{}", s.bar());
    let mut s = s.press("<up>");
    assert!(s.bar().starts_with("/ nginx"), "{}", s.bar());
    let mut s = s.press("<down><down>");
    assert!(s.bar().starts_with("/ api"), "what was being typed: {}", s.bar());
    let kept: Vec<&str> = s
        .effects
        .iter()
        .filter_map(|e| match e {
            Effect::Remember(f) => Some(f.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(kept, ["nginx", ":443"]);
    let options = Options { history: vec!["port:22".into()], ..Options::default() };
    assert!(Screen::with(options).press("/<up>").bar().starts_with("/ port:22"));
}

#[test]
fn saved_filters_are_used_by_name() {
    let mut s = Screen::new().press("/:443<ctrl-s>web<enter>");
    let saved = Effect::Save { name: "web".into(), filter: ":443".into() };
    assert!(s.effects.contains(&saved), "{:?}", s.effects);
    assert!(s.show().contains("443"));
    let mut by_name = s.press("<ctrl-u>@web<enter>");
    assert!(by_name.bar().starts_with("/ @web") && !by_name.show().contains("[::]:22"), "{}", by_name.show());
    // A name with a space is invalid; Esc returns to the filter.
    let mut s = Screen::new().press("/:443<ctrl-s>a b<enter>");
    assert!(s.show().contains("one word") && s.effects.is_empty(), "{}", s.show());
    assert!(s.press("<esc>").bar().starts_with("/ :443"));
    let saved = Saved::from([("leak".to_owned(), "state:close-wait".to_owned())]);
    let options = Options { saved, ..Options::default() };
    let mut s = Screen::with(options.clone()).press("@");
    assert!(s.show().contains("@leak") && s.show().contains("state:close-wait"), "{}", s.show());
    let mut s = s.press("<enter>");
    assert!(s.bar().starts_with("/ @leak") && !s.show().contains("LISTEN  3"), "{}", s.show());
    assert!(Screen::with(options).press("/@le<tab>").bar().starts_with("/ @leak"));
}

#[test]
fn cell_value_becomes_a_filter_term() {
    // On a group: the condition that its rows share.
    assert!(Screen::new().press("f").bar().starts_with("/ state:listen"));
    assert!(Screen::new().press("F").bar().starts_with("/ not (state:listen)"));
    // On a row without a selected cell: a list of its cells.
    let mut s = Screen::new().press("jf");
    assert!(s.show().contains("filter by"), "{}", s.show());
    let mut s = s.press("j<enter>");
    assert!(s.bar().starts_with("/ local:"), "{}", s.bar());
    // With a selected cell: added to the filter directly.
    let mut s = Screen::new().press("/tcp or udp<enter>j<shift-right><shift-right>f");
    assert!(s.bar().starts_with("/ (tcp or udp) local:"), "{}", s.bar());
    assert!(
        Screen::new()
            .press("j<shift-right><shift-right><shift-right><shift-left>F")
            .bar()
            .starts_with("/ not local:")
    );
    assert!(Screen::new().press("jF").show().contains("select a cell first"));
}

#[test]
fn explain_opens_the_topic_of_the_selection() {
    let mut s = Screen::new().press("e");
    assert!(s.show().contains("explain") && s.show().contains("LISTEN"), "{}", s.show());
    assert!(!s.press("<esc>").show().contains("How a socket gets here"));
    let mut s = Screen::new().press("j<shift-right><shift-right><shift-right><shift-right><shift-right>e");
    assert!(s.show().contains("Receive queue") || s.show().contains("receive queue"), "{}", s.show());
    let options = Options { lang: Lang::Ko, ..Options::default() };
    let text: String = Screen::with(options).press("e").show().split_whitespace().collect();
    assert!(text.chars().any(|c| ('가'..='힣').contains(&c)), "{text}");
    assert!(Screen::new().press("3e").show().contains("RLIMIT_NOFILE"));
}

#[test]
fn actions_ask_for_confirmation() {
    let mut s = Screen::new().press("jK");
    let list = s.show();
    assert!(
        list.contains("close this socket") && list.contains("SIGTERM") && list.contains("copy row"),
        "{list}"
    );
    let mut s = s.press("s");
    assert!(
        s.show().contains("Close this socket? The listener closes") && s.effects.is_empty(),
        "{}",
        s.show()
    );
    // Every key but y cancels.
    for key in ["<esc>", "n", "<enter>", "<space>", "j", "q"] {
        let s = Screen::new().press("jKs").press(key);
        assert!(!s.effects.iter().any(|e| matches!(e, Effect::Act(_))), "{key}");
    }
    let s = s.press("y");
    let Some(Effect::Act(Act::CloseSockets(sockets, _))) = s.effects.first() else {
        panic!("{:?}", s.effects)
    };
    assert_eq!(sockets.len(), 1);
    let mut s = Screen::new().press("jKt");
    assert!(
        s.show().contains("Send SIGTERM to sshd 640?") && s.show().contains("/usr/sbin/sshd -D"),
        "{}",
        s.show()
    );
    let s = s.press("y");
    let Some(Effect::Act(Act::Signal(process, sig))) = s.effects.first() else { panic!("{:?}", s.effects) };
    assert_eq!((process[0].pid, sig.name), (640, "SIGTERM"));
    // On a group, its offers come before those of the filter.
    let mut s = Screen::new().press("/proto:tcp<enter>}K");
    let list = s.show();
    assert!(list.contains("close these 42") && list.contains("every socket in group ESTABLISHED"), "{list}");
    assert!(list.contains("close all 64"), "{list}");
    let mut s = s.press("<enter>");
    assert!(s.show().contains("Close 42 sockets?"), "{}", s.show());
    let s = s.press("y");
    let Some(Effect::Act(Act::CloseSockets(sockets, _))) = s.effects.last() else {
        panic!("{:?}", s.effects)
    };
    assert!(sockets.len() == 42 && sockets.iter().all(|s| s.state == State::Established));
    // A filter offers actions on all its rows.
    let mut s = Screen::new().press("/state:close-wait<enter>K");
    assert!(s.show().contains("close all 12"), "{}", s.show());
    assert!(
        s.show().contains("SIGTERM all 1") && s.show().contains("1 process owning state:close-wait"),
        "{}",
        s.show()
    );
    assert!(s.press("<enter>").show().contains("Close 12 sockets?"));
    // The confirmation lists every socket and scrolls.
    let mut s = Screen::new().press("/state:established<enter>K<enter>");
    let first = s.show();
    assert!(first.contains("Close 42 sockets?") && first.contains("1-31 of 42"), "{first}");
    let mut s = s.press("<end>");
    assert!(s.show().contains("12-42 of 42"), "{}", s.show());
    assert!(!s.effects.iter().any(|e| matches!(e, Effect::Act(_))), "{:?}", s.effects);
    let s = s.press("y");
    let Some(Effect::Act(Act::CloseSockets(sockets, _))) = s.effects.last() else {
        panic!("{:?}", s.effects)
    };
    assert_eq!(sockets.len(), 42);
    // The same for processes, each once.
    let mut s = Screen::new().press("3/nginx<enter>K");
    let list = s.show();
    let mut s = s.press(&letter(&list, "SIGTERM all 3"));
    assert!(s.show().contains("Send SIGTERM to 3 processes?"), "{}", s.show());
    assert!(!Screen::new().press("K").show().contains("close all"), "never without a filter");
}

/// The letter of an entry in the list of actions.
fn letter(screen: &str, entry: &str) -> String {
    let before = screen.lines().find_map(|l| Some(l.split_once(entry)?.0));
    let before = before.unwrap_or_else(|| panic!("{entry}: {screen}"));
    before.trim_end().chars().last().unwrap().to_string()
}

#[test]
fn actions_are_in_sections_with_a_letter_each_and_copies_come_first() {
    let list = Screen::new().press("/:5432<enter>jK").show();
    let titles = ["copy", "this socket", "process", "all that match the filter"];
    let is_title = |line: &str, t: &str| format!("{line}   ").contains(&format!("  {t}   "));
    let line = |t: &str| list.lines().position(|l| is_title(l, t)).unwrap_or_else(|| panic!("{t}: {list}"));
    let at = titles.map(line);
    assert!(at.is_sorted() && list.contains("r copy row"), "{list}");
    // Enter on the first entry changes nothing, and a letter without an entry is reported.
    let s = Screen::new().press("jK<enter>");
    assert!(matches!(s.effects.first(), Some(Effect::Act(Act::Copy(_)))), "{:?}", s.effects);
    assert!(Screen::new().press("jKZ").show().contains("no key Z"));
    // The letter of an action is the same on every kind of row; with several rows it is in upper case.
    for (place, letters) in [
        ("/:5432<enter>jK", "s close this socket|t SIGTERM|x SIGKILL|S close all|T SIGTERM all"),
        ("jK", "s close this socket|t SIGTERM|r copy row|e copy as ss filter"),
        ("/state:close-wait<enter>K", "s close these|t SIGTERM these|S close all"),
        ("/state:close-wait<enter>jllmK", "S close 1 marked|T SIGTERM marked|s close this socket"),
        ("3jK", "t SIGTERM|x SIGKILL|f raise fd limit|r copy row"),
    ] {
        let list = Screen::new().press(place).show();
        for letter in letters.split('|') {
            // The first entry is selected, and has the edge before its letter.
            let is_there = [" ", "\u{258c}"].iter().any(|edge| list.contains(&format!("{edge}{letter} ")));
            assert!(is_there, "{place}: {letter}: {list}");
        }
    }
    // No letter has a meaning of its own in a list.
    for c in "abdefimoprstuvwxyzABDEFIMOPRSTUVWXYZ".chars() {
        let s = Screen::new().press(&format!("jK{c}"));
        assert!(s.effects.iter().all(|e| !matches!(e, Effect::Quit)), "{c}");
    }
}

#[test]
fn copy_needs_no_confirmation() {
    let s = Screen::new().press("jKe");
    let Some(Effect::Act(Act::Copy(text))) = s.effects.first() else { panic!("{:?}", s.effects) };
    assert_eq!(text, "src [::]:22");
}

#[test]
fn read_only_offers_copies_only() {
    let options = Options { read_only: true, ..Options::default() };
    let list = Screen::with(options).press("/state:close-wait<enter>j<right>jK").show();
    assert!(list.contains("copy row") && !list.contains("close this") && !list.contains("SIG"), "{list}");
}

#[test]
fn every_key_in_every_overlay_does_not_panic() {
    let all: Vec<&str> = sockscope::tui::command::COMMANDS.iter().flat_map(|c| c.keys).copied().collect();
    for place in ["c", "@", "jf", "e", "jK", "jK<enter>", "/a<tab>", "/:443<ctrl-s>"] {
        let mut s = Screen::new().press(place);
        for key in &all {
            s.app.handle(Event::Input(Input::Key(key_script::key(key))));
            s.show();
        }
    }
}

#[test]
fn actions_apply_to_marked_rows() {
    let mut s = Screen::new().press("/state:close-wait<enter>jllmm");
    assert!(s.show().contains("2 marked"), "{}", s.show());
    let mut s = s.press("K");
    assert!(s.show().contains("close 2 marked") && s.show().contains("SIGTERM marked"), "{}", s.show());
    let close = letter(&s.show(), "close 2 marked");
    let s = s.press(&close).press("y");
    let ended = s
        .effects
        .iter()
        .find_map(|e| if let Effect::Act(Act::CloseSockets(x, _)) = e { Some(x) } else { None });
    let Some(sockets) = ended else { panic!("{:?}", s.effects) };
    assert_eq!(sockets.len(), 2);
    // A second press unmarks; on a group all its rows are marked.
    assert!(Screen::new().press("/state:close-wait<enter>jllmkm").show().contains("0 marked"));
    assert!(Screen::new().press("/state:close-wait<enter>m").show().contains("12 marked"));
    assert!(Screen::new().press("/state:close-wait<enter>M").show().contains("12 marked"));
}

#[test]
fn host_names_are_resolved_once_and_only_on_request() {
    let resolve = |s: &Screen| s.effects.iter().filter(|e| matches!(e, Effect::Resolve(_))).count();
    assert_eq!(resolve(&Screen::new().press("jj")), 0);
    assert_eq!(resolve(&Screen::new().press("n")), 1);
    assert_eq!(resolve(&Screen::new().press("nnn")), 1);
}
