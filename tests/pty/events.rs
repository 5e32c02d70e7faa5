//! The view of events over connections made here: it follows the newest, holds a selection, filters, and shows the lifecycle of a socket.

use super::namespaces::isolated;
use super::screen::Screen;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// Connects to the listener, sends a byte to the other end, and closes.
fn connect(l: &TcpListener) {
    let mut c = TcpStream::connect(l.local_addr().unwrap()).unwrap();
    let (mut s, _) = l.accept().unwrap();
    c.write_all(b"x").unwrap();
    s.read_exact(&mut [0]).unwrap();
}

/// The selected line.
fn selected(text: &str) -> Option<String> {
    text.lines().find(|l| l.starts_with('▌')).map(str::to_owned)
}

#[test]
fn events_follow_the_newest_hold_a_selection_and_show_its_lifecycle() {
    isolated(|| {
        let (l, other) =
            (TcpListener::bind("127.0.0.1:7501").unwrap(), TcpListener::bind("127.0.0.1:7502").unwrap());
        let mut s = Screen::sockscope(160, 45, &[], &[]);
        s.shows("live");
        s.keys("8");
        // Events are read from the third poll on.
        s.until("the first events", |t| {
            connect(&l);
            t.contains("CLOSED BY") && t.contains("127.0.0.1:7501")
        });
        let first = s.until("a selected event", |t| selected(t).is_some_and(|l| l.contains("7501")));
        // Nothing is selected by hand: the newest stays on top and selected.
        connect(&other);
        s.until("the newest event selected", |t| {
            selected(t).is_some_and(|l| l.contains("7502") && Some(l) != selected(&first))
        });
        // A selection by hand is held while newer events come.
        s.keys("/port:7502\r");
        s.until("only those of the filter", |t| {
            let rows: Vec<&str> = t.lines().skip(4).filter(|l| l.contains("127.0.0.1:75")).collect();
            !rows.is_empty() && rows.iter().all(|l| l.contains("7502"))
        });
        s.keys("j");
        let held = selected(&s.until("the second line", |t| {
            t.lines().position(|l| l.starts_with('▌')).is_some_and(|at| at > 4)
        }))
        .unwrap();
        let time = held.split_whitespace().nth(1).unwrap().to_owned();
        for _ in 0..3 {
            connect(&other);
        }
        let after = s.until("newer events above the selection", |t| {
            // The lines of a frame come one after the other.
            let newer = t.lines().filter(|l| l.contains("127.0.0.1:7502") && l.contains("closed")).count();
            newer >= 5 && selected(t).is_some()
        });
        assert!(selected(&after).unwrap().contains(&time), "{held}\n{after}");
        // The lifecycle of the socket.
        s.keys("\r");
        s.until("the lifecycle of the socket", |t| {
            t.contains("lifecycle") && t.contains("connection established")
        });
        // g: to the top, where the newest is followed again.
        s.keys("\x1b[H");
        connect(&other);
        s.until("the newest again", |t| selected(t).is_some_and(|l| !l.contains(&time)));
        s.keys("q");
        assert_eq!(s.ends(), 0);
        s.is_restored();
    });
}
