//! The answer to why a row does not work.

use super::Screen;
use sockscope::diagnose::why::{Answer, Connection, Programs, Question, Status, Verdict, incoming};
use sockscope::model::{Proto, State};
use sockscope::tui::act::Act;
use sockscope::tui::{Effect, Event, Options};

/// Keys that select the connection that waits for an answer to its SYN.
const SYN_SENT: &str = "/state:syn-sent<enter>";

/// The question that keys ask.
fn asked(s: &mut Screen, keys: &str) -> Option<Question> {
    s.types(keys).into_iter().find_map(|e| if let Effect::Answer(q) = e { Some(q) } else { None })
}

/// An answer with a failure: nothing listens on a port.
fn answer(s: &Screen) -> Answer {
    incoming(s.app.snapshot().unwrap(), (Proto::Tcp, 4444), 0, (&[], None), &Programs::default(), None)
}

fn give(s: &mut Screen, q: &Question, result: Result<(u64, Answer), String>) {
    s.app.handle(Event::Answered(q.clone(), Box::new(result)));
}

#[test]
fn waiting_connection_is_explained_without_waiting_for_the_answer() {
    for (w, h) in [(80, 24), (120, 36), (160, 45)] {
        let mut s = Screen::new(w, h).press(SYN_SENT);
        let q = asked(&mut s, "W").unwrap();
        let Question::Connection(Connection { dest, uid, pid, source, local, .. }) = &q else {
            panic!("{q:?}")
        };
        assert_eq!(dest.to_string(), "198.51.100.7:25");
        assert_eq!((*uid, *pid), (Some(33), Some(991)));
        assert_eq!((source.unwrap().to_string(), local.unwrap().port), ("10.0.0.4".into(), 39_999));
        let before = s.screen();
        assert!(before.contains("reading the path") && before.contains("tcp 198.51.100.7:25"), "{before}");
        // Keys work meanwhile, and the question is not asked twice.
        assert_eq!(asked(&mut s, "jr"), None);

        let a = answer(&s);
        assert_eq!((a.verdict, a.steps[0].status), (Verdict::Cause, Status::Fails));
        give(&mut s, &Question::Process(1), Ok((0, a.clone())));
        assert!(s.screen().contains("reading the path"));
        give(&mut s, &q, Ok((1_800_000_000_000_000_000, a)));
        let after = s.screen();
        let lines: Vec<&str> = after.lines().collect();
        let at = |text: &str| {
            lines.iter().position(|l| l.contains(text)).unwrap_or_else(|| panic!("{text}: {after}"))
        };
        assert!(at("refused: nothing listens on port 4444 (certain)") < at("fails"), "{after}");
        assert!(at("fails") < at("Start the service"), "{after}");

        let copied = s.types("y").into_iter().any(|e| {
            matches!(e, Effect::Act(Act::Copy(text)) if text.contains("refused: nothing listens on port 4444"))
        });
        assert!(copied);
        assert_eq!(asked(&mut s, "r"), Some(q));
        s.types("e");
        assert!(s.screen().contains("nothing-listens"));
        s.types("<esc>");
        assert!(!s.screen().contains("nothing-listens"));
    }
}

#[test]
fn answer_page_closes_and_scrolls() {
    for close in ["q", "<esc>", "W"] {
        let mut s = Screen::new(80, 24).press(SYN_SENT);
        let q = asked(&mut s, "W").unwrap();
        let mut a = answer(&s);
        let step = a.steps[0].clone();
        a.steps = (0..60)
            .map(|n| {
                let mut s = step.clone();
                s.evidence = format!("evidence {n}");
                s
            })
            .collect();
        give(&mut s, &q, Ok((0, a)));
        assert!(!s.screen().contains("evidence 59"));
        s.types("<end>");
        assert!(s.screen().contains("evidence 59"), "{}", s.screen());
        s.types(close);
        let screen = s.screen();
        assert!(!screen.contains("evidence") && screen.contains("syn-sent"), "{close}: {screen}");
    }
}

#[test]
fn every_view_asks_about_its_rows() {
    let mut s = Screen::new(120, 36);
    assert!(matches!(asked(&mut s, "2<home>W"), Some(Question::Port { proto: Proto::Tcp, .. })));
    assert!(matches!(asked(&mut s, "<esc>3/nginx<enter>W"), Some(Question::Process(812 | 815 | 818))));
    assert!(matches!(asked(&mut s, "<esc>4/198.51<enter>W"), Some(Question::Connection(_))));
    // A connection that was accepted is about the port.
    let port = asked(&mut s, "<esc>1x/local_port:443 state:established<enter>W");
    assert!(matches!(port, Some(Question::Port { port: 443, .. })), "{port:?}");
}

#[test]
fn past_and_recordings_are_not_asked() {
    let recorded = Options { recorded: true, ..Options::default() };
    let mut s = Screen::with(120, 36, recorded).press(SYN_SENT);
    assert_eq!(asked(&mut s, "W"), None);
    assert!(s.screen().contains("only answered live"), "{}", s.screen());
    // The sockets of a process are in the sample.
    assert_eq!(asked(&mut s, "<esc>3x/nginx<enter>W"), None);
    let screen = s.screen();
    assert!(screen.contains("by the moment that is shown") && screen.contains("descriptors"), "{screen}");
}

#[test]
fn alert_is_asked_about_its_subject() {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_sockscope"));
    program.args(["--demo", "screenshot", "--size", "120x36", "--keys", "!W", "--lang", "en"]);
    let out = program.env("XDG_CONFIG_HOME", "/nonexistent").output().unwrap();
    let screen = String::from_utf8(out.stdout).unwrap();
    assert!(screen.contains("findings") && screen.contains("only answered live"), "{screen}");
}

#[test]
fn details_of_a_waiting_connection_name_the_key() {
    let mut s = Screen::new(120, 36).press(&format!("{SYN_SENT}<right>j<enter>"));
    assert!(s.app.snapshot().unwrap().live_sockets().iter().any(|s| s.state == State::SynSent));
    let screen = s.screen();
    assert!(screen.contains("W explains what stops it"), "{screen}");
    assert!(screen.lines().last().unwrap().contains("W why"), "{screen}");
}
