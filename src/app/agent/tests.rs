use super::*;
use crate::app::action;
use crate::cli::settings::value::EventsArg;
use crate::collect::EventMethod;
use crate::collect::remote::{ActOn, FrameSource, ProbeOf, ProcessId, request};
use crate::collect::scenario::{Scenario, ScenarioSource};
use crate::diagnose::why::Question;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

fn demo() -> Box<dyn Source> {
    Box::new(ScenarioSource::new(Scenario::named("small").unwrap()))
}

/// An agent that answers no questions.
fn no_answers() -> Answers<'static> {
    Answers { kinds: &[], reply: Box::leak(Box::new(|_, _: &Methods| Reply::Refused(String::new()))) }
}

/// An agent in a thread, and the other end of its stream.
fn agent() -> (UnixStream, std::thread::JoinHandle<Result<(), String>>) {
    let (here, there) = UnixStream::pair().unwrap();
    // Less than a frame, so that writing has to wait for the reader.
    rustix::net::sockopt::set_socket_send_buffer_size(&there, 4096).unwrap();
    let serve = move || {
        let mut link = Link { input: &there, output: &there, inbox: Inbox::default() };
        match serve(&mut link, |_| Ok(demo()), &mut no_answers()) {
            Err(End::Failed(e)) => Err(e.to_string()),
            Ok(()) | Err(End::Closed) => Ok(()),
        }
    };
    (here, std::thread::spawn(serve))
}

#[test]
fn samples_are_those_of_the_source() {
    let (here, thread) = agent();
    let mut remote = FrameSource::connect(&here, &here, &Hello::ours()).unwrap();
    let mut local = demo();
    let wants = Wants::default();
    for _ in 0..3 {
        let (mut got, mut want) = (remote.sample(&wants).unwrap(), local.sample(&wants).unwrap());
        crate::frame::canonical(&mut want);
        crate::frame::canonical(&mut got);
        (got.at, got.duration_us) = (want.at, want.duration_us);
        assert!(got.sockets == want.sockets && got.processes == want.processes && got.names == want.names);
        assert_eq!(got.host, want.host);
    }
    drop(remote);
    drop(here);
    assert_eq!(thread.join().unwrap(), Ok(()), "it ends with its stream");
}

#[test]
fn agent_ends_in_the_middle_of_a_frame_that_is_not_read() {
    let (mut here, thread) = agent();
    here.write_all(&Hello::ours().to_bytes().unwrap()).unwrap();
    let poll = Request { wants: Some(Wants::recording()), poll: true, ..Request::default() };
    // More answers than the buffer of the socket holds.
    for _ in 0..50 {
        here.write_all(&request(&poll).unwrap()).unwrap();
    }
    here.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(thread.join().unwrap(), Ok(()));
}

#[test]
fn what_a_reader_of_another_version_sends_is_refused_or_skipped() {
    let (mut here, thread) = agent();
    let other = Hello { protocols: (8, 9), version: "9.0".into(), ..Hello::ours() };
    here.write_all(&other.to_bytes().unwrap()).unwrap();
    let why = thread.join().unwrap().unwrap_err();
    assert!(why.contains("sockscope 9.0 there speaks protocol 8 to 9"), "{why}");
    for wrong in [&b"7"[..], b"{\"wants\":7}", b"\xff"] {
        let (mut here, thread) = agent();
        here.write_all(&Hello::ours().to_bytes().unwrap()).unwrap();
        let mut unknown = message(Kind::Failed, &[0; 5000]).unwrap();
        unknown[4] = 99;
        here.write_all(&unknown).unwrap();
        here.write_all(&message(Kind::Request, wrong).unwrap()).unwrap();
        assert!(thread.join().unwrap().unwrap_err().contains("malformed"));
    }
}

#[test]
fn source_is_opened_with_the_first_sample_and_again_for_other_methods() {
    let (here, there) = UnixStream::pair().unwrap();
    let (tx, opened) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let mut link = Link { input: &there, output: &there, inbox: Inbox::default() };
        let open = |methods: &Methods| {
            tx.send(methods.clone()).unwrap();
            Ok(demo())
        };
        matches!(serve(&mut link, open, &mut no_answers()), Err(End::Closed))
    });
    let walk = Methods {
        owners: Some(OwnersBy::Walk),
        events: Some(EventMethod::Off),
        no_engine: true,
        ..Methods::default()
    };
    let source = FrameSource::connect(&here, &here, &Hello::ours()).unwrap();
    assert!(opened.try_recv().is_err(), "nothing is read before it is asked for");
    let mut source = source.with_methods(walk.clone());
    for _ in 0..2 {
        source.sample(&Wants::default()).unwrap();
    }
    assert_eq!(opened.try_iter().collect::<Vec<_>>(), std::slice::from_ref(&walk));
    let mut source = source.with_methods(Methods { no_engine: true, ..Methods::default() });
    source.sample(&Wants::default()).unwrap();
    assert_eq!(opened.try_iter().map(|m| m.owners).collect::<Vec<_>>(), [None]);
    drop(source);
    drop(here);
    assert!(thread.join().unwrap());
}

#[test]
fn agent_without_a_source_gives_the_reason_and_ends() {
    let (here, there) = UnixStream::pair().unwrap();
    let thread = std::thread::spawn(move || {
        let mut link = Link { input: &there, output: &there, inbox: Inbox::default() };
        let result =
            serve(&mut link, |_| Err(RunError::Dashboard("open: no backend".to_owned())), &mut no_answers());
        matches!(result, Err(End::Failed(e)) if e.to_string().contains("no backend"))
    });
    let mut source = FrameSource::connect(&here, &here, &Hello::ours()).unwrap();
    let e = source.sample(&Wants::default()).map(|_| ()).unwrap_err().to_string();
    assert!(e.contains("open: no backend"), "{e}");
    assert!(thread.join().unwrap());
}

#[test]
fn methods_of_the_reader_are_those_of_the_settings_unless_none_are_asked_for() {
    let mut settings = Settings { no_engine: true, ..Settings::default() };
    apply(&Methods::default(), &mut settings);
    assert!(settings.no_engine, "an agent that does not query engines is not made to");
    let auto = Settings::default();
    assert!(settings.owners == auto.owners && settings.events == auto.events);
    let bpf = Methods {
        owners: Some(OwnersBy::BpfIter),
        events: Some(EventMethod::SockDiag),
        no_engine: false,
        ..Methods::default()
    };
    apply(&bpf, &mut settings);
    assert!(settings.owners == OwnersArg::Bpf && settings.events == EventsArg::SockDiag);
}

#[test]
fn samples_are_sent_by_themselves_at_an_interval() {
    let (mut here, thread) = agent();
    here.write_all(&Hello::ours().to_bytes().unwrap()).unwrap();
    let every = Request { interval_ms: Some(1), ..Request::default() };
    here.write_all(&request(&every).unwrap()).unwrap();
    let mut inbox = Inbox::default();
    let mut frames = 0;
    while frames < 3 {
        let mut chunk = [0; 4096];
        let n = here.read(&mut chunk).unwrap();
        assert!(n > 0, "the agent ended");
        inbox.push(&chunk[..n]);
        while let Some(item) = inbox.take().unwrap() {
            frames += usize::from(matches!(item, Item::Frame(..)));
        }
    }
    drop(here);
    assert_eq!(thread.join().unwrap(), Ok(()));
}

/// A source over a stream to an agent that answers these kinds, and that acts if asked to.
fn asked(kinds: &'static [AskKind], acts: bool) -> FrameSource<UnixStream, UnixStream> {
    use clap::Parser;
    let (here, there) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        let args = crate::cli::Args::try_parse_from(["sockscope", "agent", "--stdio"]).unwrap();
        let plan = Plan::new(args, &Arc::default(), Settings::default()).unwrap();
        let mut link = Link { input: &there, output: &there, inbox: Inbox::default() };
        let mut hand = action::here;
        let mut reply = |asked: Asked, methods: &Methods| {
            let hand: Option<&mut action::Hand<'_>> = if acts { Some(&mut hand) } else { None };
            replies::reply(&by(&plan, methods), asked, hand)
        };
        let _ = serve(&mut link, |_| Ok(demo()), &mut Answers { kinds, reply: &mut reply });
    });
    FrameSource::connect(here.try_clone().unwrap(), here, &Hello::ours()).unwrap()
}

fn ask(source: &mut FrameSource<UnixStream, UnixStream>, ask: &Asked) -> Answered {
    source.ask(ask).unwrap()
}

fn process(pid: u32, later: u64) -> ProcessId {
    let start_ns = crate::collect::procs::start_time_ns(pid).unwrap() + later;
    ProcessId { pid, start_ns, comm: "test".into() }
}

#[test]
fn questions_about_a_row_are_answered_between_samples() {
    let mut source = asked(&[AskKind::Open, AskKind::Probe, AskKind::Why], false);
    assert!(matches!(ask(&mut source, &Ask::Open(Methods::default())), Reply::Opened));
    source.sample(&Wants::default()).unwrap();
    let own = std::process::id();
    let probe = |process| Ask::Probe(ProbeOf { process, socket: None, inet: None });
    let reply = ask(&mut source, &probe(process(own, 0)));
    let Reply::Probed(result) = reply else { panic!("{reply:?}") };
    assert_eq!(result.cwd.unwrap(), std::env::current_dir().unwrap().display().to_string());
    assert!(result.tids.contains(&own));
    let reply = ask(&mut source, &probe(process(own, 1)));
    assert!(matches!(reply, Reply::Probed(result) if result.cwd.is_err() && result.tids.is_empty()));
    let reply = ask(&mut source, &Ask::Why(Question::Process(own)));
    assert!(matches!(&reply, Reply::Answered(Ok((at, a))) if *at > 0 && !a.steps.is_empty()), "{reply:?}");
    source.sample(&Wants::default()).unwrap();
}

#[test]
fn samples_go_on_while_a_question_is_answered() {
    let (here, there) = UnixStream::pair().unwrap();
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let mut link = Link { input: &there, output: &there, inbox: Inbox::default() };
        let reply = move |asked: Asked, _: &Methods| {
            // The first question takes until the test lets it go on.
            let _ = held.recv();
            Reply::Refused(asked.kind().name().to_owned())
        };
        let hand = Hand::Beside(Background::start(reply).unwrap());
        let _ = serve_by(&mut link, |_| Ok(demo()), &[AskKind::Probe, AskKind::Why], hand);
    });
    let mut source = FrameSource::connect(&here, &here, &Hello::ours()).unwrap();
    let why = serde_json::to_vec(&Asked::Why(Question::Process(1))).unwrap();
    let of = ProbeOf { process: process(std::process::id(), 0), socket: None, inet: None };
    let probe = serde_json::to_vec(&Asked::Probe(of)).unwrap();
    for body in [&why[..], b"{}", &probe] {
        (&here).write_all(&message(Kind::Ask, body).unwrap()).unwrap();
    }
    for _ in 0..3 {
        source.sample(&Wants::default()).unwrap();
    }
    go_on.send(()).unwrap();
    drop(go_on);
    let mut inbox = Inbox::default();
    let mut replies = Vec::new();
    while replies.len() < 3 {
        let mut chunk = [0; 4096];
        let n = (&here).read(&mut chunk).unwrap();
        assert!(n > 0, "the agent ended");
        inbox.push(&chunk[..n]);
        while let Some(Item::Message(Kind::Reply, body)) = inbox.take().unwrap() {
            let Answered::Refused(why) = serde_json::from_slice(&body).unwrap() else { panic!("{body:?}") };
            replies.push(why);
        }
    }
    // In the order of the questions, a refused one among them.
    assert_eq!((&*replies[0], &*replies[2]), ("why", "probe"));
    assert!(replies[1].starts_with("unknown question"), "{replies:?}");
}

#[test]
fn acts_are_refused_without_a_hand_and_reach_only_their_target() {
    use std::process::{Command, Stdio};
    let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    let kill = |later| Ask::Act(ActOn::Signal(vec![process(pid, later)], "SIGKILL".into()));
    // As over ssh: the hello offers none, and one that is sent all the same is refused.
    let mut reader = asked(&[AskKind::Probe, AskKind::Why], false);
    assert!(matches!(ask(&mut reader, &kill(0)), Reply::Refused(_)));
    let mut without = asked(&[AskKind::Act], false);
    assert!(matches!(ask(&mut without, &kill(0)), Reply::Refused(w) if w == "no acts are taken here"));
    let mut hand = asked(&[AskKind::Act], true);
    let forged = ask(&mut hand, &kill(1));
    assert!(matches!(&forged, Reply::Acted(o) if o.done == 0 && o.error.is_some()), "{forged:?}");
    assert!(child.try_wait().unwrap().is_none(), "it runs");
    let done = ask(&mut hand, &kill(0));
    assert!(matches!(&done, Reply::Acted(o) if o.done == 1 && o.error.is_none()), "{done:?}");
    assert!(!child.wait().unwrap().success());
}

#[test]
fn hostile_questions_are_refused_and_the_stream_continues() {
    let (mut here, there) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        let mut link = Link { input: &there, output: &there, inbox: Inbox::default() };
        let mut reply = |_: Asked, _: &Methods| Reply::Opened;
        let kinds = &[AskKind::Probe];
        let _ = serve(&mut link, |_| Ok(demo()), &mut Answers { kinds, reply: &mut reply });
    });
    here.write_all(&Hello::ours().to_bytes().unwrap()).unwrap();
    let many = format!(r#"{{"act":{{"signal":[[{}7],"SIGKILL"]}}}}"#, "7,".repeat(20_000));
    let bodies: [&[u8]; 6] =
        [b"", b"7", b"\xff", br#"{"run":"sh"}"#, br#"{"act":{"signal":[[],"SIGKILL"]}}"#, many.as_bytes()];
    for body in bodies {
        here.write_all(&message(Kind::Ask, body).unwrap()).unwrap();
    }
    let (mut inbox, mut refused) = (Inbox::default(), 0);
    while refused < bodies.len() {
        let mut chunk = [0; 4096];
        let n = here.read(&mut chunk).unwrap();
        assert!(n > 0, "the stream continues");
        inbox.push(&chunk[..n]);
        while let Some(item) = inbox.take().unwrap() {
            if let Item::Message(Kind::Reply, body) = item {
                assert!(matches!(serde_json::from_slice(&body).unwrap(), Answered::Refused(_)));
                refused += 1;
            }
        }
    }
}

/// Questions and replies of the first version that has them: later versions read them too.
#[test]
fn questions_of_the_first_protocol_are_read() {
    let mut inbox = Inbox::default();
    inbox.push(include_bytes!("../../../fuzz/seeds/agent_stream/questions"));
    let (mut asks, mut replies) = (Vec::new(), 0);
    while let Some(Item::Message(kind, body)) = inbox.take().unwrap() {
        match kind {
            Kind::Ask => asks.push(serde_json::from_slice::<Asked>(&body).unwrap().kind()),
            Kind::Reply => {
                let reply: Answered = serde_json::from_slice(&body).unwrap();
                let again = serde_json::to_vec(&reply).unwrap();
                assert_eq!(serde_json::from_slice::<Answered>(&again).unwrap(), reply);
                replies += 1;
            }
            _ => assert!(Hello::parse(&body).unwrap().answers(AskKind::Act)),
        }
    }
    let (act, probe) = (AskKind::Act, AskKind::Probe);
    assert_eq!(asks, [AskKind::Open, probe, AskKind::Why, act, act, act]);
    assert_eq!(replies, 5);
}
