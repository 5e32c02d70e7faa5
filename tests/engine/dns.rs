//! DNS questions: the process of a socket seen in a poll, resolvers of the last seconds and findings about them.

use super::{everything, samples};
use sockscope::derive::Engine;
use sockscope::diagnose::finding::{dns_diagnoses, resolver_diagnoses};
use sockscope::model::snapshot::ProcessBy;
use sockscope::model::{Reads, Sample, Snapshot};
use std::sync::Arc;

const HOST: &str = "process 7 api\nudp UNCONN 10.0.0.4:33000 own=7:3\n";

/// The last snapshot of these polls, a second each, of [`HOST`] with these lines.
fn after(polls: usize, lines: &str, change: &dyn Fn(&mut Sample)) -> Arc<Snapshot> {
    let mut engine = Engine::new();
    let mut last = None;
    for mut sample in samples(&format!("{HOST}{lines}\n"), polls, &everything().with(Reads::DNS)) {
        change(&mut sample);
        last = Some(engine.step(sample));
    }
    last.unwrap()
}

fn findings(s: &Snapshot) -> Vec<(&'static str, String)> {
    resolver_diagnoses(s).into_iter().map(|d| (d.finding.name, d.evidence)).collect()
}

#[test]
fn findings_are_above_their_thresholds_only() {
    for (line, want) in [
        (
            "dns a 10.0.0.2:53 pid=7 n=N result=SERVFAIL",
            ("failing-resolver", "4 of 4 questions to 10.0.0.2:53 failed: 4 SERVFAIL (last 4s)"),
        ),
        (
            "dns a 10.0.0.2:53 pid=7 n=N result=TIMEOUT",
            ("failing-resolver", "4 of 4 questions to 10.0.0.2:53 failed: 4 not answered (last 4s)"),
        ),
        (
            "dns a 10.0.0.2:53 pid=7 n=N took=600000",
            (
                "slow-resolver",
                "4 of 4 answers of 10.0.0.2:53 took 0.5 s or longer: median 598ms, 99th percentile 598ms (last 4s)",
            ),
        ),
    ] {
        let found = |number: &str, polls, more: &str| {
            let s = after(polls, &format!("{}\n{more}", line.replace("n=N", number)), &|_| {});
            (findings(&s), s)
        };
        let (all, s) = found("n=1", 4, "");
        assert_eq!(all, [(want.0, want.1.to_owned())], "{line}");
        let row = s.dns.rows.last().unwrap();
        assert_eq!(dns_diagnoses(&s, row).iter().map(|d| d.finding.name).collect::<Vec<_>>(), [want.0]);
        // Two, and less than a tenth.
        assert!(found("n=1", 2, "").0.is_empty(), "{line}");
        assert!(found("n=1", 4, "dns b 10.0.0.2:53 pid=7 n=10").0.is_empty(), "{line}");
    }
    assert!(findings(&after(4, "dns a 10.0.0.2:53 pid=7 n=5 result=NXDOMAIN", &|_| {})).is_empty());
}

#[test]
fn question_without_a_process_has_that_of_its_socket_in_a_poll() {
    let without = |sample: &mut Sample| {
        for q in &mut sample.dns.list {
            (q.process, q.uid, q.client.port) = (None, None, 33_000);
        }
    };
    let s = after(2, "dns a 10.0.0.2:53 pid=7", &without);
    let row = s.dns.rows.last().unwrap();
    assert_eq!((row.process.as_ref().map(|p| p.pid), row.process_by), (Some(7), ProcessBy::Poll));
    let other = |sample: &mut Sample| {
        without(sample);
        sample.dns.list.iter_mut().for_each(|q| q.client.port = 34_000);
    };
    let s = after(2, "dns a 10.0.0.2:53 pid=7", &other);
    assert_eq!(s.dns.rows.last().unwrap().process_by, ProcessBy::None);
    // A question of another host has none, whatever its port.
    let inbound = |sample: &mut Sample| {
        without(sample);
        sample.dns.list.iter_mut().for_each(|q| q.inbound = true);
    };
    let s = after(4, "dns a 10.0.0.2:53 pid=7 result=SERVFAIL", &inbound);
    assert!(s.dns.rows.last().unwrap().process.is_none() && s.dns.resolvers.is_empty());
}
