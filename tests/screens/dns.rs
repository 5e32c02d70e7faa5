//! A resolver that fails, on screen.

use super::Screen;
use sockscope::collect::Source;
use sockscope::collect::scenario::{Scenario, ScenarioSource};
use sockscope::derive::Engine;
use sockscope::model::{Reads, Wants};
use sockscope::tui::Event;

/// A dashboard after four polls of a host that asks one resolver.
fn asking(size: (u16, u16), result: &str) -> String {
    let text = format!(
        "process 7 api\ntcp LISTEN 0.0.0.0:80 own=7:3\ndns db.internal 10.0.0.53:53 pid=7 n=2 took=420 {result}\n"
    );
    let mut source = ScenarioSource::new(Scenario::parse(&text).unwrap());
    let mut engine = Engine::new();
    let mut s = Screen::new(size.0, size.1);
    for _ in 0..4 {
        let sample = source.sample(&Wants::default().with(Reads::DNS)).unwrap();
        s.app.handle(Event::from(engine.step(sample)));
    }
    s.show()
}

#[test]
fn failing_resolver_is_in_the_status_line_and_marks_its_view() {
    for size in [(80, 24), (120, 36), (160, 45)] {
        let screen = asking(size, "result=SERVFAIL");
        let (first, status) = (screen.lines().next().unwrap(), screen.lines().rev().nth(1).unwrap());
        assert!(first.contains("9▲"), "{screen}");
        assert!(status.contains("10.0.0.53:53") && status.contains("SERVFAIL"), "{screen}");
        let healthy = asking(size, "addr=10.0.0.9");
        assert!(!healthy.contains("9▲") && !healthy.contains("10.0.0.53:53"), "{healthy}");
    }
}
