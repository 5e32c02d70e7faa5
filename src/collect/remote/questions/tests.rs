use super::*;
use crate::collect::remote::{Hello, Inbox, Item, Kind, message};
use crate::frame::Encoder;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};

type Replies = Receiver<(u64, Result<Vec<u8>, NoReply>)>;

/// The agent of a host, in the hands of a test.
struct Agent {
    stream: UnixStream,
    inbox: Inbox,
}

impl Agent {
    /// Next message of the reader.
    fn next(&mut self) -> (Kind, Vec<u8>) {
        loop {
            if let Some(Item::Message(kind, body)) = self.inbox.take().unwrap() {
                return (kind, body);
            }
            let mut chunk = [0; 4096];
            let n = self.stream.read(&mut chunk).unwrap();
            assert!(n > 0, "the reader ended");
            self.inbox.push(&chunk[..n]);
        }
    }

    fn reply(&mut self, body: &[u8]) {
        self.stream.write_all(&message(Kind::Reply, body).unwrap()).unwrap();
    }

    fn sample(&mut self) {
        let frame = Encoder::new().frame(&crate::testing::many(3).sample, None).unwrap();
        self.stream.write_all(&frame).unwrap();
    }
}

/// An exchange in a thread with an agent that answers these kinds.
fn exchange(kinds: &[AskKind]) -> (Agent, Asker, Receiver<Result<Sample, RemoteEnd>>, Replies) {
    let (here, there) = UnixStream::pair().unwrap();
    let mut agent = Agent { stream: there, inbox: Inbox::default() };
    let hello = Hello { version: "0.0.1".into(), ..Hello::ours() }.answering(kinds);
    agent.stream.write_all(&hello.to_bytes().unwrap()).unwrap();
    let mut source = FrameSource::connect(here.try_clone().unwrap(), here, &Hello::ours()).unwrap();
    let requests = Arc::new(Requests::new().unwrap());
    let ((outbox, answers), (sender, replies)) = (channel(), channel());
    let asker = Asker(Arc::clone(&requests));
    std::thread::spawn(move || {
        let on_reply: OnReply = Box::new(move |number, reply| sender.send((number, reply)).unwrap_or(()));
        let mut exchange = Exchange::new(requests, outbox, on_reply);
        if let Err(e) = exchange.run(&mut source) {
            exchange.end = e.to_string();
        }
    });
    assert_eq!(agent.next().0, Kind::Hello);
    (agent, asker, answers, replies)
}

const BOTH: [AskKind; 2] = [AskKind::Probe, AskKind::Why];

#[test]
fn samples_arrive_while_a_reply_is_waited_for() {
    let (mut agent, asker, answers, replies) = exchange(&BOTH);
    asker.ask(1, AskKind::Why, b"{}".to_vec()).unwrap();
    assert_eq!(agent.next().0, Kind::Ask);
    for _ in 0..3 {
        asker.0.sample(&Wants::default());
        assert_eq!(agent.next().0, Kind::Request);
        agent.sample();
        assert!(answers.recv().unwrap().is_ok_and(|s| !s.sockets.is_empty()));
    }
    assert!(replies.try_recv().is_err());
    agent.reply(b"7");
    assert_eq!(replies.recv().unwrap(), (1, Ok(b"7".to_vec())));
}

#[test]
fn replies_belong_to_the_questions_in_their_order() {
    let (mut agent, asker, _answers, replies) = exchange(&BOTH);
    asker.ask(1, AskKind::Probe, b"a".to_vec()).unwrap();
    assert_eq!(agent.next(), (Kind::Ask, b"a".to_vec()));
    asker.ask(2, AskKind::Why, b"b".to_vec()).unwrap();
    assert_eq!(agent.next(), (Kind::Ask, b"b".to_vec()));
    // Of one kind only the newest is sent, after the reply to the previous one.
    for number in 3..9 {
        asker.ask(number, AskKind::Probe, number.to_string().into_bytes()).unwrap();
    }
    agent.reply(b"to a");
    assert_eq!(replies.recv().unwrap(), (1, Ok(b"to a".to_vec())));
    assert_eq!(agent.next(), (Kind::Ask, b"8".to_vec()));
    agent.reply(b"to b");
    agent.reply(b"to 8");
    assert_eq!(replies.recv().unwrap(), (2, Ok(b"to b".to_vec())));
    assert_eq!(replies.recv().unwrap(), (8, Ok(b"to 8".to_vec())));
}

#[test]
fn every_question_has_a_reason_when_the_connection_ends() {
    let (mut agent, asker, _answers, replies) = exchange(&BOTH);
    asker.ask(1, AskKind::Probe, b"a".to_vec()).unwrap();
    assert_eq!(agent.next().0, Kind::Ask);
    asker.ask(2, AskKind::Probe, b"b".to_vec()).unwrap();
    drop(agent);
    let lost = |reply: &Result<Vec<u8>, NoReply>| matches!(reply, Err(NoReply::Lost(why)) if why == "agent: the agent ended");
    for number in [1, 2] {
        let (n, reply) = replies.recv().unwrap();
        assert!(n == number && lost(&reply), "{number}: {n} {reply:?}");
    }
    assert!(replies.recv().is_err(), "no other");
    assert!(lost(&asker.ask(3, AskKind::Why, Vec::new()).map(|()| Vec::new())));
}

#[test]
fn older_agent_is_not_asked_what_it_does_not_answer() {
    let (mut agent, asker, _answers, replies) = exchange(&[AskKind::Probe]);
    asker.ask(1, AskKind::Why, b"a".to_vec()).unwrap();
    assert_eq!(replies.recv().unwrap(), (1, Err(NoReply::NotAnswered("0.0.1".into()))));
    asker.ask(2, AskKind::Probe, b"b".to_vec()).unwrap();
    assert_eq!(agent.next(), (Kind::Ask, b"b".to_vec()), "nothing was sent before");
}

#[test]
fn sample_that_was_not_asked_for_ends_the_connection() {
    let (mut agent, asker, _answers, replies) = exchange(&BOTH);
    asker.ask(1, AskKind::Why, b"a".to_vec()).unwrap();
    assert_eq!(agent.next().0, Kind::Ask);
    agent.sample();
    let (_, reply) = replies.recv().unwrap();
    assert!(matches!(reply, Err(NoReply::Lost(why)) if why.contains("unexpected message")));
    assert!(replies.recv().is_err());
}

#[test]
fn reply_that_was_not_asked_for_ends_the_connection() {
    let (mut agent, asker, answers, _replies) = exchange(&BOTH);
    asker.0.sample(&Wants::default());
    assert_eq!(agent.next().0, Kind::Request);
    agent.reply(b"more");
    assert!(answers.recv().is_err(), "no sample");
}

#[test]
fn exchange_ends_with_its_reader_while_nothing_is_asked() {
    let (_agent, asker, _answers, replies) = exchange(&BOTH);
    asker.0.close();
    assert!(replies.recv().is_err());
    assert!(matches!(asker.ask(1, AskKind::Why, Vec::new()), Err(NoReply::Lost(_))));
}
