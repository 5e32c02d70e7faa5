//! Every decoder of bytes from outside as a function of any bytes: the targets of `fuzz/`, and a test that runs them over their
//! seeds. A target panics where a decoder does, or where what it made cannot be derived, printed and read again.

mod shown;
mod text;

use crate::collect::Source;
use crate::collect::fuzzing as bytes;
use crate::collect::remote::{AgentBinary, Ask, FrameSource, Hello, Inbox, Item, Kind, Reply, Request};
use crate::diagnose::why::{Answer, Question};
use crate::model::{Proto, Wants};
use crate::tui::event::ProbeResult;
use shown::show;

/// One decoder under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of the program in `fuzz/Cargo.toml` and of the directory in `fuzz/seeds`.
    pub name: &'static str,
    /// Decodes these bytes.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// Every target.
pub const TARGETS: [Target; 27] = [
    // The slowest one first, so that no processor waits for it at the end.
    target("captured_tree", |b| bytes::captured_tree(b).into_iter().for_each(show)),
    target("sock_diag_inet", |b| show(bytes::sock_diag(Proto::Tcp, b))),
    target("sock_diag_unix", |b| show(bytes::sock_diag(Proto::Unix, b))),
    target("sock_diag_netlink", |b| show(bytes::sock_diag(Proto::Netlink, b))),
    target("sock_diag_packet", |b| show(bytes::sock_diag(Proto::Packet, b))),
    target("sock_diag_vsock", |b| show(bytes::sock_diag(Proto::Vsock, b))),
    target("sock_diag_xdp", |b| show(bytes::sock_diag(Proto::Xdp, b))),
    target("sock_diag_tipc", |b| show(bytes::sock_diag(Proto::Tipc, b))),
    target("nft", |b| show(bytes::nft(b))),
    target("xtables", |b| show(bytes::xtables(b))),
    target("conntrack", |b| show(bytes::conntrack(b))),
    target("conntrack_text", |b| show(bytes::conntrack_text(b))),
    target("route", |b| show(bytes::route(b))),
    target("event_closes", |b| show(bytes::event_closes(b))),
    target("event_records", |b| show(bytes::event_records(b))),
    target("dns", |b| show(bytes::dns(b))),
    target("btf", bytes::btf),
    target("http_answer", bytes::http_answer),
    target("engine_json", |b| show(bytes::engine_json(b))),
    target("proc_line", |b| show(bytes::proc_line(b))),
    target("scenario", |b| bytes::scenario(b).into_iter().for_each(show)),
    target("frame_payload", |b| crate::frame::from_payloads(b).into_iter().for_each(show)),
    target("frame_stream", frames),
    target("agent_stream", agent),
    target("filter", text::filter),
    target("config", text::config),
    target("theme", text::theme),
];

/// Samples of a stream of frames.
fn frames(bytes: &[u8]) {
    let mut frames = crate::frame::Frames::new(bytes);
    while let Ok(Some(sample)) = frames.sample() {
        if let Ok(sample) = sample {
            show(sample.clone());
        }
    }
}

/// Reply of an agent, as a screen reads it.
type Answered = Reply<ProbeResult, Answer>;

/// Samples that an agent sends, and what a reader sends to it.
fn agent(bytes: &[u8]) {
    if let Ok(mut source) = FrameSource::connect(bytes, std::io::sink(), &Hello::ours()) {
        while let Ok(sample) = source.sample(&Wants::default()) {
            show(sample);
        }
    }
    if let Ok(program) = AgentBinary::parse(bytes.to_vec()) {
        let _ = program.interpreter();
    }
    let mut inbox = Inbox::default();
    inbox.push(bytes);
    while let Ok(Some(item)) = inbox.take() {
        match item {
            Item::Message(Kind::Hello, body) => drop(Hello::parse(&body)),
            Item::Message(Kind::Ask, body) => drop(serde_json::from_slice::<Ask<Question>>(&body)),
            Item::Message(Kind::Reply, body) => drop(serde_json::from_slice::<Answered>(&body)),
            Item::Message(_, body) => drop(serde_json::from_slice::<Request>(&body)),
            Item::Frame(..) => {}
        }
    }
}

/// Runs the target of this name.
///
/// # Panics
///
/// If there is none, and where the target does.
pub fn run(name: &str, bytes: &[u8]) {
    let found: Vec<&Target> = TARGETS.iter().filter(|t| t.name == name).collect();
    assert_eq!(found.len(), 1, "targets called {name}");
    for target in found {
        (target.run)(bytes);
    }
}

#[cfg(test)]
mod tests;
