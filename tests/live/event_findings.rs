//! Findings from the events of connections made here: refused, many short ones, reset, never accepted.

use super::world::{World, listen};
use crate::wait::until_ok;
use rustix::net::sockopt;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::collect::{EventMethod, Source};
use sockscope::derive::Engine;
use sockscope::diagnose::finding::flow_diagnoses;
use sockscope::model::{Needs, ProtoSet, Wants};
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn error(e: impl std::fmt::Display) -> String {
    e.to_string()
}

/// Each finding with its process, service and number, and no other.
pub(crate) fn findings_name_who_connects_where_and_how_often() -> Result<(), String> {
    let source = NetlinkSource::new("requested".into()).map_err(error)?;
    let mut source = source.events_by(EventMethod::Bpf);
    let mut engine = Engine::new();
    let wants = Wants::new(Needs::OWNERS | Needs::EVENTS | Needs::LISTENERS, ProtoSet::TCP);
    engine.step(source.sample(&wants).map_err(error)?);

    // Refused.
    for _ in 0..6 {
        assert!(TcpStream::connect("127.0.0.1:7421").is_err());
    }
    // Never accepted.
    let deaf = listen("127.0.0.1:7422", 16, false);
    let clients: Vec<TcpStream> =
        (0..4).map(|_| TcpStream::connect("127.0.0.1:7422").map_err(error)).collect::<Result<_, _>>()?;
    let begun = Instant::now();
    // Reset by the server: data that it does not read.
    let rude = listen("127.0.0.1:7423", 16, false);
    for _ in 0..7 {
        let (mut c, s) = World::pair(&rude, None);
        c.write_all(b"unread").map_err(error)?;
        until_ok(|| s.peek(&mut [0; 6]).map_err(|e| e.to_string()))?;
        drop(s);
    }
    // Many short ones.
    let busy = listen("[::1]:7424", 64, false);
    for _ in 0..300 {
        let (c, s) = World::pair(&busy, None);
        drop(c);
        drop(s);
    }
    until_ok(
        || if begun.elapsed() > Duration::from_millis(1100) { Ok(()) } else { Err("too early".into()) },
    )?;
    // Four are not enough for a finding about who resets.
    for c in &clients {
        sockopt::set_socket_linger(c, Some(Duration::ZERO)).map_err(|e| e.to_string())?;
    }
    drop(clients);

    let comm = std::fs::read_to_string("/proc/self/comm").map_err(error)?;
    let me = format!("{} {}", comm.trim_end(), std::process::id());
    until_ok(|| {
        let snap = engine.step(source.sample(&wants).map_err(error)?);
        if snap.events.window.secs < 5.0 {
            return Err(format!("{} s", snap.events.window.secs));
        }
        let mut found: Vec<(&str, String)> =
            flow_diagnoses(&snap, &|_| true).into_iter().map(|d| (d.finding.name, d.evidence)).collect();
        found.sort();
        let want = [
            (
                "connection-churn",
                format!("{me}: "),
                " connections a second to [::1]:7424, none longer than 1 s",
            ),
            ("connects-refused", format!("{me}: 6 connects to 127.0.0.1:7421 refused (last "), "s)"),
            ("never-accepted", "4 clients of 127.0.0.1:7422 gave up before ".to_owned(), "s)"),
            (
                "resets-sent",
                format!("{me}: 7 of 7 connections on 127.0.0.1:7423 reset by this host (last "),
                "s)",
            ),
        ];
        let same = found.len() == want.len()
            && found
                .iter()
                .zip(&want)
                .all(|(f, w)| f.0 == w.0 && f.1.starts_with(&w.1) && f.1.ends_with(w.2));
        if same { Ok(()) } else { Err(format!("{found:?}")) }
    })?;
    drop(deaf);
    Ok(())
}
