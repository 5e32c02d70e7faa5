//! A ruleset as the kernel reported it, beside the text that was loaded.

use super::*;
use crate::model::{Backend, BackendInfo, Namespace, Reads, Stamp, Wants};
use crate::testing::{ep, port};
use std::sync::Arc;

fn sample(rules: &str) -> Sample {
    let info = Arc::new(BackendInfo { backend: Backend::Script, reason: String::new() });
    let wants = Wants::default().with(Reads::FIREWALL);
    let mut sample = Sample::empty(Stamp::default(), "x".into(), info, wants);
    sample.netfilter = Some(serde_json::from_str(rules).unwrap());
    sample.addresses = [(0, "10.0.0.4"), (0, "127.0.0.1"), (0, "10.0.0.5"), (0, "2001:db8::4"), (0, "::1")]
        .map(|(n, a)| (n, a.parse().unwrap()))
        .to_vec();
    let interfaces = [(1, "lo"), (2, "eth0"), (3, "eth1")].map(|(i, name)| (i, name.to_owned()));
    sample.namespaces =
        [Namespace { inode: 1, name: "host".to_owned(), interfaces: interfaces.into() }].into();
    sample
}

/// Text of the verdict for each listener.
fn verdicts(rules: &str, listeners: &[(Proto, &str)]) -> Vec<String> {
    let sample = sample(rules);
    let mut ports: Vec<Port> =
        listeners.iter().map(|(proto, at)| Port { proto: *proto, ..port(ep(at), &[], &[]) }).collect();
    let netfilter = sample.netfilter.as_ref().unwrap();
    let (rules, _) = crate::derive::nat_rules::evaluate(&sample, netfilter);
    evaluate(&sample, netfilter, &rules, &[], &mut ports);
    ports.iter().map(|p| p.filtered.as_ref().map_or_else(|| "-".to_owned(), Filtered::text)).collect()
}

#[test]
fn verdicts_are_those_of_the_ruleset() {
    use Proto::{Tcp, Udp};
    let cases = [
        (
            Tcp,
            "0.0.0.0:22",
            "partly: source=192.0.2.0/24,198.51.100.7 accepted, others dropped by inet filter input policy",
        ),
        (Tcp, "0.0.0.0:80", "accepted"),
        (Tcp, "[::]:443", "dropped by ip6 six input handle 2"),
        (Tcp, "10.0.0.4:8005", "accepted"),
        (Tcp, "0.0.0.0:8011", "dropped by inet filter input policy"),
        (Tcp, "0.0.0.0:23", "dropped by inet filter early handle 7"),
        (Tcp, "0.0.0.0:25", "accepted"),
        (Tcp, "0.0.0.0:26", "dropped by inet filter input handle 15"),
        (Tcp, "0.0.0.0:27", "rejected by inet filter deny handle 22"),
        (Udp, "0.0.0.0:53", "partly: limit=1 accepted, others dropped by inet filter input policy"),
        (Udp, "0.0.0.0:5353", "accepted"),
        (Tcp, "0.0.0.0:9100", "partly: iif=eth1 accepted, others dropped by inet filter input policy"),
        (Tcp, "0.0.0.0:7000", "dropped by inet filter input policy"),
        (
            Tcp,
            "0.0.0.0:5432",
            "partly: destination=10.0.0.4 accepted, others dropped by inet filter input policy",
        ),
        (Tcp, "10.0.0.4:5432", "accepted"),
        (Tcp, "10.0.0.5:5432", "dropped by inet filter input policy"),
        (Tcp, "0.0.0.0:6050", "rejected by inet filter deny handle 22"),
        (Tcp, "127.0.0.1:5432", "-"),
    ];
    let listeners: Vec<(Proto, &str)> = cases.iter().map(|c| (c.0, c.1)).collect();
    let found = verdicts(include_str!("cases/host.nft.json"), &listeners);
    for ((proto, at, want), found) in cases.iter().zip(found) {
        assert_eq!(&found, want, "{proto:?} {at}");
    }
}

/// A socket of both families is asked for in both; a test without sockets knows of none that is IPv6 only.
#[test]
fn families_that_differ_are_named() {
    let of = |families: [(FilterVerdict, &str); 2]| {
        let each = families.map(|(verdict, detail)| OfFamily { verdict, detail: detail.to_owned() });
        both([false, true].into_iter().zip(each).collect()).unwrap().text()
    };
    let (open, policy) =
        ((FilterVerdict::Accepted, ""), (FilterVerdict::Stopped, "dropped by ip t i policy"));
    assert_eq!(of([open, open]), "accepted");
    assert_eq!(of([policy, open]), "partly: IPv4 dropped by ip t i policy; IPv6 accepted");
    let other = (FilterVerdict::Stopped, "dropped by ip6 t i policy");
    assert_eq!(of([policy, other]), "IPv4 dropped by ip t i policy; IPv6 dropped by ip6 t i policy");
    assert!(both(Vec::new()).is_none());
}

#[test]
fn translated_and_unread_listeners_have_no_verdict() {
    let nat = include_str!("../nat_rules/tests/cases/f8.nft.json");
    let found =
        verdicts(nat, &[(Proto::Tcp, "0.0.0.0:80"), (Proto::Tcp, "0.0.0.0:81"), (Proto::Tcp, "0.0.0.0:90")]);
    assert_eq!(
        found,
        ["not evaluated: a rule translates the destination"; 2]
            .map(str::to_owned)
            .into_iter()
            .chain(["accepted".to_owned()])
            .collect::<Vec<_>>()
    );
    let none = verdicts(r#"{"nft":[],"iptables":[]}"#, &[(Proto::Tcp, "0.0.0.0:80")]);
    assert_eq!(none, ["-"]);
}
