use super::*;

const SEC: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;

fn end(s: &str) -> Endpoint {
    let (addr, port) = s.rsplit_once(':').unwrap();
    Endpoint::new(addr.parse().unwrap(), port.parse().unwrap())
}

fn seen(at_ns: u64) -> Seen {
    Seen { netns: 0, iface: 2, outgoing: true, at_ns }
}

fn message(name: &str, id: u16, rcode: Option<u8>) -> Message {
    Message {
        id,
        is_answer: rcode.is_some(),
        truncated: false,
        rcode: rcode.unwrap_or(0),
        question: Some(Question { name: name.into(), qtype: 1 }),
        answers: 0,
        addrs: Vec::new(),
    }
}

fn put(m: &mut Matcher, seen: Seen, (from, to): (&str, &str), message: Message) {
    m.message(seen, (Proto::Udp, end(from), end(to)), message, &mut |_| (None, Some(7)));
}

/// Name, outcome, milliseconds and tries of what is done.
fn done(m: &Matcher) -> Vec<(String, String, u64, u32)> {
    let each = |q: &DnsQuery| (q.name.to_string(), q.outcome.name().into_owned(), q.took_ns / MS, q.tries);
    m.done.iter().map(each).collect()
}

const ASK: (&str, &str) = ("10.0.0.1:40000", "10.0.0.53:53");
const REPLY: (&str, &str) = ("10.0.0.53:53", "10.0.0.1:40000");

#[test]
fn answer_belongs_to_the_question_with_its_ports_id_and_name() {
    let mut m = Matcher::default();
    put(&mut m, seen(SEC), ASK, message("a", 1, None));
    put(&mut m, seen(SEC), ASK, message("b", 1, None));
    put(&mut m, seen(SEC), ("10.0.0.1:40001", "10.0.0.53:53"), message("a", 1, None));
    // Another identifier, another name, another resolver.
    put(&mut m, seen(SEC), REPLY, message("a", 2, Some(0)));
    put(&mut m, seen(SEC), REPLY, message("c", 1, Some(0)));
    put(&mut m, seen(SEC), ("10.0.0.54:53", "10.0.0.1:40000"), message("a", 1, Some(0)));
    assert!(m.done.is_empty());
    put(&mut m, seen(SEC + 20 * MS), REPLY, message("b", 1, Some(2)));
    put(&mut m, seen(SEC + 30 * MS), REPLY, message("a", 1, Some(0)));
    // The same answer once more.
    put(&mut m, seen(SEC + 31 * MS), REPLY, message("a", 1, Some(0)));
    assert_eq!(done(&m), [("b".into(), "SERVFAIL".into(), 20, 1), ("a".into(), "NOERROR".into(), 30, 1)]);
    assert_eq!((m.number(), m.done[0].uid), (1, Some(7)));
}

#[test]
fn answer_without_question_belongs_to_its_ports_and_id() {
    let mut m = Matcher::default();
    put(&mut m, seen(SEC), ASK, message("a", 1, None));
    let answer = Message { question: None, ..message("", 1, Some(1)) };
    put(&mut m, seen(SEC + MS), REPLY, answer);
    assert_eq!(done(&m), [("a".into(), "FORMERR".into(), 1, 1)]);
}

#[test]
fn question_sent_again_is_one_with_two_tries() {
    let mut m = Matcher::default();
    put(&mut m, seen(SEC), ASK, message("a", 1, None));
    put(&mut m, seen(4 * SEC), ASK, message("a", 1, None));
    // Another interface shows the packet that is forwarded.
    put(&mut m, Seen { iface: 3, ..seen(4 * SEC) }, ASK, message("a", 1, None));
    m.expire(8 * SEC);
    assert!(m.done.is_empty());
    put(&mut m, seen(8 * SEC), REPLY, message("a", 1, Some(0)));
    assert_eq!(done(&m), [("a".into(), "NOERROR".into(), 7000, 2)]);
}

#[test]
fn question_is_given_up_after_five_seconds_and_its_next_try_is_counted() {
    let mut m = Matcher::default();
    put(&mut m, seen(SEC), ASK, message("a", 1, None));
    m.expire(6 * SEC - 1);
    assert!(m.done.is_empty());
    // As glibc does: from another port, with the same identifier, just after the time is over.
    put(&mut m, seen(6 * SEC + MS), ("10.0.0.1:40001", "10.0.0.53:53"), message("a", 1, None));
    assert_eq!(done(&m), [("a".into(), "TIMEOUT".into(), 5000, 1)]);
    m.expire(20 * SEC);
    assert_eq!(done(&m)[1], ("a".into(), "TIMEOUT".into(), 5000, 2));
    assert_eq!((m.number(), m.waiting.len(), m.deadlines.len()), (0, 0, 0));
}

#[test]
fn forwarded_question_is_one() {
    let mut m = Matcher::default();
    let inbound = Seen { outgoing: false, ..seen(SEC) };
    put(&mut m, inbound, ("172.17.0.2:5000", "10.0.0.53:53"), message("a", 1, None));
    // It leaves with the address of the host.
    put(&mut m, Seen { iface: 3, ..seen(SEC) }, ("192.0.2.1:5000", "10.0.0.53:53"), message("a", 1, None));
    assert_eq!(m.number(), 1);
    put(&mut m, seen(SEC + MS), ("10.0.0.53:53", "172.17.0.2:5000"), message("a", 1, Some(0)));
    assert!(m.done[0].inbound && m.done[0].uid.is_none() && m.inbound.is_empty());
    put(&mut m, seen(2 * SEC), ("192.0.2.1:5000", "10.0.0.53:53"), message("a", 1, None));
    assert_eq!(m.number(), 1);
}

#[test]
fn questions_beyond_the_most_are_counted_as_lost() {
    let mut m = Matcher::default();
    for i in 0..WAITING_MAX as u32 + 10 {
        let from = format!("10.{}.{}.1:{}", i >> 24, i >> 16 & 0xff, i & 0xffff);
        put(&mut m, seen(SEC), (&from, "10.0.0.53:53"), message("a", 1, None));
    }
    assert_eq!((m.number(), m.lost), (WAITING_MAX, 10));
    m.forget(|netns| netns != 0);
    assert_eq!((m.number(), m.waiting.len()), (0, 0));
}
