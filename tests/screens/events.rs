//! Failed connects and the source of events on screen.

use super::Screen;
use sockscope::collect::Source;
use sockscope::collect::scenario::{Scenario, ScenarioSource};
use sockscope::derive::Engine;
use sockscope::model::sample::EventSource;
use sockscope::model::{FaultKind, FaultSubject, Reads, Sample, Wants};
use sockscope::tui::Event;

/// A dashboard after this many polls of a host whose connects are refused in the first ones.
fn failing(size: (u16, u16), polls: usize, change: &dyn Fn(&mut Sample)) -> String {
    let text = "process 7 api\ntcp LISTEN 0.0.0.0:80 own=7:3\n\
                event tcp 10.0.0.1:7000 10.0.0.9:5432 pid=7 n=3+-1 end=refused\n\
                event tcp 10.0.0.1:7000 10.0.0.8:6379 pid=7 n=2+-1 end=refused\n";
    let mut source = ScenarioSource::new(Scenario::parse(text).unwrap());
    let mut engine = Engine::new();
    let mut s = Screen::new(size.0, size.1);
    for _ in 0..polls {
        let mut sample = source.sample(&Wants::default().with(Reads::EVENTS)).unwrap();
        change(&mut sample);
        s.app.handle(Event::from(engine.step(sample)));
    }
    s.show()
}

#[test]
fn failed_connects_are_in_the_top_line_or_the_status_line_until_they_end() {
    let text = "failed connects: 1.8/s to 10.0.0.9:5432 +1";
    let line = |screen: &str| screen.lines().position(|l| l.contains(text));
    // 3 + 2 + 2 + 1 + 1 of them in four polls, two of which without.
    let wide = failing((180, 45), 5, &|_| {});
    assert_eq!(line(&wide), Some(0), "{wide}");
    assert!(wide.lines().next().unwrap().contains("live"), "{wide}");
    for size in [(80, 24), (120, 36)] {
        let narrow = failing(size, 5, &|_| {});
        assert_eq!(line(&narrow), Some(usize::from(size.1) - 2), "{narrow}");
        assert!(narrow.contains("8▲"), "{narrow}");
    }
    let later = failing((180, 45), 20, &|_| {});
    assert!(!later.contains("failed connects") && !later.contains("8▲"), "{later}");
}

#[test]
fn source_and_loss_of_events_stay_beside_a_long_message() {
    let long = |s: &mut Sample| {
        s.events.source = Some(EventSource::Bpf);
        s.events.lost = 300;
        s.faults.add(FaultKind::Failed, FaultSubject::PortableSockets, "broken ".repeat(40));
    };
    for size in [(80, 24), (120, 36), (200, 60)] {
        let screen = failing(size, 20, &long);
        let status = screen.lines().nth(usize::from(size.1) - 2).unwrap();
        assert!(status.ends_with("events: bpf · 6,000 events lost"), "{size:?}: {status}");
        assert!(status.contains("broken"), "{size:?}: {status}");
    }
    // Alone on the line it is complete.
    let screen = failing((120, 36), 20, &|s| s.events.source = Some(EventSource::Bpf));
    assert!(screen.contains("source: demo data") && screen.contains(" · events: bpf"), "{screen}");
}
