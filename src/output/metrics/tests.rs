use super::*;
use crate::model::{Limit, LimitKind, LimitSubject, StateCounts};
use crate::testing;
use std::collections::BTreeSet;

/// Processes, listeners, forwards and limits of a large host, every label different.
fn large(sockets: usize) -> Snapshot {
    let mut snap = testing::many(sockets);
    snap.sample.processes = (0..3_000)
        .map(|i| testing::process(100_000 + i, &format!("worker-{i}"), 33, i % 1024, 1024))
        .collect();
    let mut states = StateCounts::default();
    crate::model::State::all().for_each(|s| states.set(s, 3));
    let facts = crate::model::snapshot::ProcessFacts { states, ..Default::default() };
    snap.processes = vec![facts; 3_000];
    snap.ports = (0..5_000_u32)
        .map(|i| {
            testing::port(
                testing::ep(&format!("10.1.{}.{}:{}", i / 250, i % 250, 1024 + i)),
                &[],
                &[i % 3_000],
            )
        })
        .collect();
    let route = |i: u32| {
        let to = testing::ep(&format!("203.0.113.{}:4444", i % 250));
        let subject = LimitSubject::Route("192.0.2.1".parse().unwrap(), to);
        Limit::new(LimitKind::Ports, 0, subject, u64::from(i), Some(28_232))
    };
    // Those with most clients have series of their own.
    snap.ports.iter_mut().skip(4_000).step_by(2).for_each(|p| p.clients = vec![0; 9]);
    snap.limits = (0..500).map(route).collect();
    snap.limits.extend((0..3_000).map(|i| {
        let subject = LimitSubject::Process(100_000 + i, 1);
        Limit { drops: Some(1), ..Limit::new(LimitKind::Fds, 0, subject, u64::from(i), Some(1024)) }
    }));
    snap
}

fn page(snap: &Snapshot) -> Page {
    let mut totals = Totals::default();
    totals.add(snap, DEFAULT_TOP);
    let findings = [FindingCount { name: "near-limit", severity: Level::Warning, count: 3 }];
    let own = Own { version: "1.2.3", polls: 1, poll_errors: 0, cpu_s: 0.5 };
    Page::new(Input { snap, totals: &totals, findings: &findings, own: &own }, DEFAULT_TOP)
}

fn samples(text: &str) -> Vec<&str> {
    text.lines().filter(|l| !l.starts_with('#')).collect()
}

#[test]
fn registry_has_unique_documented_names_with_their_units() {
    let mut names = BTreeSet::new();
    for f in FAMILIES {
        assert!(names.insert(f.name), "{}", f.name);
        assert!(f.name == "sockscope" || f.name.starts_with("sockscope_"), "{}", f.name);
        assert!(f.help.ends_with('.') && !f.help.contains(['\\', '"', '\n']), "{}", f.name);
        // OpenMetrics: the unit is the end of the name, and so is nothing that a suffix means.
        assert!(f.unit.is_empty() || f.name.ends_with(&format!("_{}", f.unit)), "{}", f.name);
        assert!(
            !f.name.ends_with("_total") && !f.name.ends_with("_info") && !f.name.ends_with("_count"),
            "{}",
            f.name
        );
        for never in ["pid", "remote", "remote_addr", "peer", "port_local"] {
            assert!(!f.labels.contains(&never), "{}", f.name);
        }
    }
}

#[test]
fn page_of_100_000_sockets_is_bounded_and_sums_the_rest() {
    let snap = large(100_000);
    let page = page(&snap);
    let lines = samples(page.form(Form::Text));
    assert_eq!(page.series(), lines.len());
    assert!(page.series() <= MAX_SERIES && page.series() > MAX_SERIES / 2, "{}", page.series());
    assert_eq!(samples(page.form(Form::OpenMetrics)).len(), lines.len());
    assert!(page.form(Form::OpenMetrics).ends_with("# EOF\n"));
    // No series is there twice.
    let names: BTreeSet<&str> = lines.iter().filter_map(|l| l.rsplit_once(' ')).map(|(n, _)| n).collect();
    assert_eq!(names.len(), lines.len());
    let sum: u64 = lines
        .iter()
        .filter(|l| l.starts_with("sockscope_processes{"))
        .filter_map(|l| l.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum();
    assert_eq!(sum, 3_000);
    assert!(lines.iter().any(|l| l.starts_with("sockscope_process_fds{comm=\"other\"")));
}

#[test]
fn no_label_of_any_family_is_a_pid_a_remote_address_or_an_ephemeral_port() {
    let mut snap = large(2_000);
    snap.sample.system.local_ports = Some((2_000, 60_999));
    let text = page(&snap).form(Form::Text).to_owned();
    for line in samples(&text) {
        assert!(!line.contains("203.0.113."), "remote address: {line}");
        assert!(!line.contains("192.0.2.1"), "{line}");
        let values = line.split('"').skip(1).step_by(2);
        for value in values {
            let number = value.parse::<u32>();
            assert!(!number.is_ok_and(|n| (100_000..103_000).contains(&n)), "pid: {line}");
            let port = value.rsplit_once(':').and_then(|(_, p)| p.parse::<u16>().ok());
            assert!(!port.is_some_and(|p| (2_000..=60_999).contains(&p)), "ephemeral port: {line}");
        }
    }
    assert!(text.contains(":ephemeral\""), "they are one group by address");
}

#[test]
fn hostile_names_are_escaped() {
    let mut snap = testing::machine();
    let p = testing::process(7, "a\"b\\c\nd\x1b[31m\u{202e}", 0, 98, 100);
    snap.sample.processes.push(p);
    snap.processes.push(crate::model::snapshot::ProcessFacts::default());
    let page = page(&snap);
    for text in [page.form(Form::Text), page.form(Form::OpenMetrics)] {
        assert!(!text.contains(['\x1b', '\u{202e}']));
        let line =
            text.lines().find(|l| l.starts_with("sockscope_process_fds_worst_ratio{comm=\"a\\\"b")).unwrap();
        assert!(line.ends_with(" 0.98"), "{line}");
    }
}

#[test]
fn forecast_is_absent_while_nothing_fills() {
    let mut snap = testing::machine();
    assert!(!page(&snap).form(Form::Text).contains("full_seconds"));
    let full = crate::model::FullIn { low: 60.0, likely: 90.0, high: 120.0, span: 600.0 };
    snap.processes[0].fds_full_in = Some(full);
    let page = page(&snap);
    let text = page.form(Form::Text);
    assert!(text.contains("sockscope_process_fds_full_seconds{") && !text.contains("Inf"), "{text}");
}

#[test]
fn counters_never_decrease_and_what_drops_gets_a_series() {
    use series::Counters;
    let mut c: Counters<[String; 1]> = Counters::default();
    let key = |s: &str| [s.to_owned()];
    let mut before = std::collections::BTreeMap::new();
    let steps =
        [("a", 0.0), ("b", 0.0), ("c", 0.0), ("c", 2.0), ("d", 5.0), ("e", 1.0), ("c", 1.0), ("d", 1.0)];
    for (i, (name, n)) in steps.into_iter().enumerate() {
        c.add(key(name), n, i as u64, 2);
        let (each, other) = c.values();
        let other = other.map(|n| (key("other"), n));
        for (k, n) in each.into_iter().map(|(k, n)| (k.clone(), n)).chain(other) {
            let old = before.insert(k.clone(), n).unwrap_or(0.0);
            assert!(n >= old, "{k:?}");
        }
    }
    let (each, other) = c.values();
    let each: Vec<_> = each.into_iter().map(|(k, n)| (&*k[0], n)).collect();
    assert_eq!((each, other), (vec![("c", 3.0), ("d", 6.0)], Some(1.0)));
    c.expire(u64::MAX);
    assert_eq!(c.values().0, []);
}
