//! Details of a DNS question: its answer, the process, the resolver in the last seconds, and what else was asked for the name.

use super::Builder;
use crate::diagnose::finding::dns_diagnoses;
use crate::format::{age, duration, thousands as count};
use crate::model::lang::{noop, tr};
use crate::model::sample::{DnsOutcome, dns_type_name};
use crate::model::snapshot::ProcessBy;
use crate::msg;
use crate::table::DNS;
use std::sync::Arc;

/// Most further questions about the same name.
const SAME_NAME_MAX: usize = 8;

/// Meaning of an outcome.
const fn meaning(outcome: DnsOutcome) -> &'static str {
    match outcome {
        DnsOutcome::Answered(0) => noop("answered"),
        DnsOutcome::Answered(1) => noop("the resolver did not understand the question"),
        DnsOutcome::Answered(2) => {
            noop("the resolver failed: its upstream, or the servers of the domain, do not answer")
        }
        DnsOutcome::Answered(3) => noop("the name does not exist"),
        DnsOutcome::Answered(4) => noop("the resolver does not support this kind of question"),
        DnsOutcome::Answered(5) => noop("the resolver does not serve this client or this domain"),
        DnsOutcome::Answered(_) => noop("the resolver answered with an error"),
        DnsOutcome::Timeout => noop("no answer within 5 s: the resolver is down, or packets are dropped"),
    }
}

impl Builder<'_> {
    pub(super) fn question(&mut self, row: usize) {
        let Some(q) = self.snap.dns.rows.get(row).map(Arc::clone) else { return };
        let theme = self.app.theme;
        let named = |name: &str| DNS.column(name).map_or_else(String::new, |c| self.value(c, row));
        let (name, server, client) = (named("name"), named("resolver"), named("local"));
        let (answers, addresses, latency) = (named("answers"), named("addresses"), named("latency_us"));
        self.title(&format!("{name} {} {} {server}", dns_type_name(q.query.qtype), self.app.glyphs.arrow));
        let failed = q.query.outcome.is_failure();
        let text = format!("{}: {}", q.query.outcome.name(), tr(meaning(q.query.outcome)));
        self.text(&text, if failed { theme.warn } else { theme.text });
        if q.query.inbound {
            self.text(tr("asked by another host or network namespace, or forwarded"), theme.dim);
        }
        if let Some(p) = &q.process {
            let text = format!("{} {}", p.comm, p.pid);
            let by =
                if q.process_by == ProcessBy::Poll { tr("owner of the socket in the last poll") } else { "" };
            self.row(tr("process"), &if by.is_empty() { text } else { format!("{text} ({by})") });
        } else if !q.query.inbound {
            self.row(tr("process"), tr("unknown: its socket lived less than one poll"));
        }
        for name in [noop("unit"), noop("container")] {
            let text = DNS.column(name).map_or_else(String::new, |c| self.value(c, row));
            if q.unit().is_some() && text != "-" {
                self.row(tr(name), &text);
            }
        }
        self.row(tr("client"), &format!("{client} {}", q.query.proto.name()));
        if q.query.outcome != DnsOutcome::Timeout {
            self.row(tr("latency"), &latency);
            self.row(tr("answer"), &msg!("{} records", answers));
            if !q.query.addrs.is_empty() {
                self.row(tr("addresses"), &addresses);
            }
        }
        if q.query.truncated {
            self.row(tr("truncated"), tr("the client asks once more by TCP"));
        }
        if q.query.tries > 1 {
            self.row(tr("tries"), &count(u64::from(q.query.tries)));
        }
        self.findings(&dns_diagnoses(self.snap, &q));
        self.resolver(row);
        self.same_name(row);
    }

    /// Adds the resolver as it was in the last seconds.
    fn resolver(&mut self, row: usize) {
        let Some(q) = self.snap.dns.rows.get(row) else { return };
        let Some(r) = self.snap.dns.resolver(q).cloned() else { return };
        let warn = self.app.theme.warn;
        self.section(&msg!("resolver {}, last {}", r.server, age(self.snap.dns.secs)));
        self.row(tr("questions"), &count(r.asked));
        let took = |us: Option<u64>| us.map_or("-".to_owned(), |us| duration(us as f64 / 1e6, &self.form));
        let (p50, p99) = (took(r.p50_us), took(r.p99_us));
        self.row(tr("latency"), &msg!("median {}, 99th percentile {}", p50, p99));
        if r.failed() > 0 {
            let (timeouts, servfail, refused) = (count(r.timeouts), count(r.servfail), count(r.refused));
            let text = msg!("{} not answered, {} SERVFAIL, {} REFUSED", timeouts, servfail, refused);
            self.row(tr("failed"), &count(r.failed()));
            self.text(&text, warn);
        }
    }

    /// Adds further questions about the name, the latest first.
    fn same_name(&mut self, row: usize) {
        let snap = self.snap;
        let Some(q) = snap.dns.rows.get(row) else { return };
        let same =
            snap.dns.rows.iter().rev().filter(|o| o.query.name == q.query.name && o.number != q.number);
        let lines: Vec<(String, String)> = same
            .take(SAME_NAME_MAX)
            .map(|o| {
                let ago = age(snap.sample.at.boot_ns.saturating_sub(o.done_ns()) as f64 / 1e9);
                let took = duration(o.query.took_ns as f64 / 1e9, &self.form);
                let by = o.process.as_ref().map_or_else(String::new, |p| format!(" {} {}", p.comm, p.pid));
                let kind = dns_type_name(o.query.qtype);
                (msg!("{} ago", ago), format!("{kind} {} {took}{by}", o.query.outcome.name()))
            })
            .collect();
        if lines.is_empty() {
            return;
        }
        self.section(tr("other questions about this name"));
        for (label, text) in &lines {
            self.row(label, text);
        }
    }
}
