//! The past on the screen: moments, searches, a typed time, and differences.

use super::{POLLS, Screen};
use sockscope::format::moment::MomentArg;
use sockscope::model::{Period, Snapshot};
use sockscope::tui::event::Recorded;
use sockscope::tui::{Effect, Event, PastPosition, Searched, SeekTo};
use std::sync::Arc;

/// Place of one of the polls in the past.
fn place(number: usize) -> PastPosition {
    let period = |s: &Arc<Snapshot>| Period { states: Some(s.states), alert: Some(false) };
    let at = |n: usize| POLLS[n].sample.at.unix_ns;
    PastPosition {
        number,
        moments: POLLS.len(),
        span_ns: (at(0), at(POLLS.len() - 1)),
        periods: POLLS.iter().map(period).collect(),
    }
}

/// Requests for the past that keys lead to.
fn requests(s: &mut Screen, keys: &str) -> Vec<(Option<u64>, SeekTo, bool)> {
    let request = |e| match e {
        Effect::Seek(r) => Some((r.from, r.to, r.filter.is_some())),
        _ => None,
    };
    s.types(keys).into_iter().filter_map(request).collect()
}

#[test]
fn past_is_shown_with_its_time_until_the_return() {
    for (w, h) in [(60, 15), (80, 24), (160, 45)] {
        let mut s = Screen::new(w, h);
        let newest = POLLS.last().unwrap();
        let wanted = (Some(newest.sample.at.unix_ns), SeekTo::Samples(-1), false);
        assert_eq!(requests(&mut s, ","), [wanted]);
        // Not answered yet: the next step is seen from there.
        assert_eq!(requests(&mut s, "<"), [(None, SeekTo::Seconds(-60), false)]);
        s.app.handle(Event::Past(Arc::clone(&POLLS[1]), place(1)));
        let past = s.show();
        assert!(past.contains("the past, ") && past.contains("ESTABLISHED 08:00:00 "), "{w}x{h}:\n{past}");
        assert!(!past.contains("live 1s"), "{w}x{h}:\n{past}");
        let mut s = Screen::new(w, h);
        s.app.handle(Event::Past(Arc::clone(&POLLS[1]), place(1)));
        let live = s.press("R").show();
        assert!(!live.contains("the past, "), "an answer that nothing asked for: {w}x{h}:\n{live}");
    }
}

#[test]
fn past_is_searched_and_a_time_is_typed() {
    let mut s = Screen::new(120, 30);
    let newest = Some(POLLS.last().unwrap().sample.at.unix_ns);
    let begin = |what| SeekTo::Begin(what, false);
    assert_eq!(requests(&mut s, "A"), [(newest, begin(Searched::Alert), false)]);
    assert_eq!(requests(&mut s, "B"), [(None, begin(Searched::Finding), false)]);
    assert_eq!(requests(&mut s, "/state:close-wait<enter>#"), [(None, begin(Searched::Match), true)]);
    s.app.handle(Event::Searching(POLLS[1].sample.at.unix_ns));
    assert!(s.screen().contains("searching: 08:00:0"));
    s.app.handle(Event::NoMoment);
    assert!(s.screen().contains("nothing like it in the past"));
    let time = SeekTo::Moment(MomentArg::TimeOfDay(28_800_000_000_000));
    assert_eq!(requests(&mut s, ":08:00<enter>"), [(newest, time, false)], "seen from what is shown");
    let effects = s.types("R");
    assert!(effects.contains(&Effect::StopSearch), "{effects:?}");
    assert_eq!(requests(&mut s, "*"), [], "nothing is later than what is live");
}

#[test]
fn differences_from_a_marked_moment_are_listed_and_opened() {
    for (w, h) in [(80, 24), (160, 45)] {
        let mut s = Screen::new(w, h);
        s.types("D");
        assert!(s.screen().contains(" marked: D at another moment"));
        s.types("D");
        assert!(s.screen().contains("moment unmarked"));
        s.types("D");
        requests(&mut s, ",");
        s.app.handle(Event::Past(Arc::clone(&POLLS[0]), place(0)));
        s.types("D");
        let list = s.screen();
        insta::with_settings!({ snapshot_path => "../snapshots" }, {
            insta::assert_snapshot!(format!("differences_{w}x{h}"), list);
        });
        s.types("w");
        let formats = s.screen();
        assert!(formats.contains("ndjson") && !formats.contains("svg"), "{formats}");
        s.types("<enter>");
        let name = s.screen();
        assert!(name.contains("sockscope-") && name.contains(".txt"), "{name}");
        // The first is at the later moment, which is not the one that is shown.
        s.types("<esc>");
        let newest = POLLS.last().unwrap().sample.at.unix_ns;
        let opened = requests(&mut s, "D<enter>");
        assert_eq!(opened, [(None, SeekTo::Moment(MomentArg::Unix(newest)), false)]);
        let rows = s.screen();
        assert!(rows.contains("local:10.0.0.4:443"), "{rows}");
    }
}

/// Screens of the past, of differences and of a recording keep to their size, and nothing of a name reaches the terminal.
#[test]
fn past_of_hostile_names_fits_small_screens() {
    let hostile = "/tmp/\u{1b}[31mred\u{202e}dir/宽宽宽宽\n\u{7}";
    for (w, h) in [(20, 5), (60, 15), (80, 24), (1, 1)] {
        let check = |s: &mut Screen, what: &str| {
            let screen = s.screen();
            let is_raw = |c: char| c != '\n' && sockscope::model::text::is_hostile(c);
            assert!(!screen.contains(is_raw), "{what} {w}x{h}: {screen:?}");
            assert_eq!(screen.lines().count(), usize::from(h), "{what} {w}x{h}");
        };
        let mut s = Screen::new(w, h);
        // The process with control characters in its name, then its details.
        s.types("3/evil<enter>");
        check(&mut s, "processes");
        s.types("D");
        requests(&mut s, ",");
        s.app.handle(Event::Past(Arc::clone(&POLLS[0]), place(0)));
        check(&mut s, "the past");
        let periods = [None, Some(true), Some(false)].map(|alert| Period { states: None, alert });
        s.app.handle(Event::Marks(periods.into_iter().cycle().take(500).collect()));
        check(&mut s, "alerts");
        s.types("<enter>");
        check(&mut s, "details in the past");
        s.types("q");
        for keys in ["D", "<end>", "w", "<enter>", "<esc>", "D<enter>"] {
            s.types(keys);
            check(&mut s, keys);
        }
        for (state, what) in [
            (Recorded::On, format!("recording to {hostile}")),
            (Recorded::Paused, format!("recording paused: {hostile}")),
            (
                Recorded::Off,
                format!("not recorded: make directory {hostile}: Permission denied (os error 13)"),
            ),
        ] {
            s.app.handle(Event::Recording(state, what));
            check(&mut s, "recording");
            s.types("R");
            check(&mut s, "recording, live");
        }
    }
}
