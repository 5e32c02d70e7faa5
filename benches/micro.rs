//! Cost of engine, filters, sorting and key presses with 100,000 simulated sockets: `cargo bench --bench micro`.

// Benches may panic.
#![allow(missing_docs, clippy::unwrap_used)]

mod clock;

use clock::Times;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use sockscope::collect::Source;
use sockscope::collect::scenario::{Scenario, ScenarioSource};
use sockscope::derive::Engine;
use sockscope::filter::Filter;
use sockscope::model::{AttrSet, ProtoSet, Snapshot, Wants};
use sockscope::table::SOCKETS;
use sockscope::tui::{App, Event, Options, draw, key_script};
use sockscope::view::View;
use sockscope::view::group::GroupBy;
use sockscope::view::sort::SortKey;
use std::hint::black_box;
use std::sync::Arc;

const FILTERS: [&str; 12] = [
    "nginx",
    ":443",
    "port:443",
    "state:close-wait",
    "state:established remote:10.0.0.0/8",
    "state established '( dport = :ssh or sport = :ssh )' dst 10.0.0.0/8",
    "process~^ng and not user:root",
    "rtt>50ms or recv_q>0",
    "sport gt 1024 and dport lt 1024",
    "port:8000-8999,443 direction:in",
    "not (nginx or api or state:listen)",
    "cmdline:*worker* fds>80%",
];

/// Scenario of 20 processes with this many sockets.
fn scenario(sockets: usize) -> Scenario {
    let mut text = String::from("host bench\npolls 1000\nuser 33 www-data\n");
    let mut owners = Vec::new();
    for pid in 800..820 {
        text += &format!(
            "process {pid} nginx user=www-data fds=5000/20000/20000 cmd=\"nginx: worker process\"\n"
        );
        owners.push(format!("{pid}:10"));
    }
    text += "tcp LISTEN 0.0.0.0:443 q=1/511 own=800:6\n";
    let quarter = (sockets - 1) / 4;
    let by = owners.join("|");
    for (state, x) in [("ESTABLISHED", 3 * quarter), ("CLOSE_WAIT", quarter)] {
        text += &format!(
            "tcp {state} 10.0.0.4:443 203.0.113.1:1024 x={x} hosts=2000 own={by} rx=1000~ tx=5000~ rtt=400~\n"
        );
    }
    Scenario::parse(&text).unwrap()
}

fn main() {
    let n = 100_000;
    let mut source = ScenarioSource::new(scenario(n));
    let wants = Wants { protos: ProtoSet::TCP_UDP, ..Wants::default() }.with_attrs(AttrSet::INFO);
    let mut engine = Engine::new();
    engine.step(source.sample(&wants).unwrap());
    let snap: Arc<Snapshot> = engine.step(source.sample(&wants).unwrap());
    println!("{} sockets, {} processes", snap.live, snap.sample.processes.len());

    let samples: Vec<_> = (0..6).map(|_| source.sample(&wants).unwrap()).collect();
    let mut samples = samples.into_iter();
    Times::measure(5, || {
        black_box(engine.step(samples.next().unwrap()));
    })
    .line("engine: one step", None);

    println!("\nparsing");
    for text in FILTERS {
        Times::measure(2000, || {
            black_box(Filter::parse(text, &SOCKETS).unwrap());
        })
        .line(text.get(..46).unwrap_or(text), Some(0.1));
    }

    println!("\nfiltering, sorting and grouping all rows (one key in the filter bar)");
    for text in FILTERS {
        let view = View {
            filter: Filter::parse(text, &SOCKETS).unwrap(),
            group: GroupBy::parse("state", &SOCKETS).ok(),
            ..View::new(&SOCKETS)
        };
        Times::measure(20, || {
            black_box(view.arrange(&snap));
        })
        .line(text.get(..46).unwrap_or(text), Some(50.0));
    }

    println!("\nsorting all rows: the five slowest columns");
    let mut sorts: Vec<(Times, &str)> = SOCKETS
        .columns
        .iter()
        .map(|column| {
            let view = View { sort: vec![SortKey { column, descending: true }], ..View::new(&SOCKETS) };
            let times = Times::measure(7, || {
                black_box(view.arrange(&snap));
            });
            (times, column.name)
        })
        .collect();
    sorts.sort_by_key(|(t, _)| std::cmp::Reverse(t.median()));
    for (times, name) in sorts.iter().take(5) {
        times.line(name, Some(60.0));
    }

    println!("\none key: update, arrange, draw 200x60");
    let mut terminal = Terminal::new(TestBackend::new(200, 60)).unwrap();
    let mut app = App::new(Options::default());
    app.resize(terminal.size().unwrap());
    app.handle(Event::from(Arc::clone(&snap)));
    for keys in [
        "j",
        ">",
        "<",
        "z",
        "gg",
        "G",
        "s<enter>",
        "S",
        "/<ctrl-u>nginx<enter>",
        "x",
        "/<ctrl-u>port:443<enter>",
        "x",
        "3",
        "1",
    ] {
        let events = key_script::keys(keys);
        let mut all = Vec::new();
        for _ in 0..10 {
            for event in &events {
                let began = std::time::Instant::now();
                app.handle(Event::Input(event.clone()));
                terminal.draw(|f| draw(&app, f)).unwrap();
                all.push(began.elapsed());
            }
        }
        Times::new(all).line(keys, Some(50.0));
    }
    println!("\none frame, 200x60");
    for keys in ["", "gggg", ":", "<esc>", "3", "1"] {
        for event in key_script::keys(keys) {
            app.handle(Event::Input(event));
        }
        Times::measure(50, || {
            terminal.draw(|f| draw(&app, f)).unwrap();
        })
        .line(if keys.is_empty() { "unchanged" } else { keys }, Some(2.0));
    }

    let mut fresh = Vec::new();
    for _ in 0..10 {
        let began = std::time::Instant::now();
        app.handle(Event::from(Arc::clone(&snap)));
        terminal.draw(|f| draw(&app, f)).unwrap();
        fresh.push(began.elapsed());
    }
    Times::new(fresh).line("new snapshot on the screen", Some(50.0));
}
