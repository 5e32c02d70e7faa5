use super::*;
use crate::tui::key;
use crossterm::event::{MouseButton, MouseEventKind};
use proptest::prelude::*;

/// Names of the keys of these bytes.
fn keys(bytes: &[u8]) -> Vec<String> {
    let mut d = Decoder::default();
    let mut all = d.feed(bytes);
    all.extend(d.release());
    all.iter()
        .map(|r| match r {
            Received::Input(Event::Key(k)) => key::label(key::from_event(k), true),
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn keys_of_every_terminal_are_decoded() {
    for (bytes, want) in [
        ("q", "q"),
        ("Q", "Q"),
        ("й", "й"),
        ("ㅂ", "ㅂ"),
        ("\r", "Enter"),
        ("\n", "Enter"),
        ("\x1bOM", "Enter"),
        ("\t", "Tab"),
        ("\x1b[Z", "S-Tab"),
        ("\x7f", "Bksp"),
        ("\x08", "Bksp"),
        ("\x03", "^C"),
        ("\x1b", "Esc"),
        ("\x1bx", "A-x"),
        ("\x1b]", "A-]"),
        // xterm, VTE, kitty, foot
        ("\x1b[A", "Up"),
        ("\x1bOB", "Down"),
        ("\x1b[1;5C", "^Right"),
        ("\x1b[1;3D", "A-Left"),
        ("\x1b[1;2A", "S-Up"),
        ("\x1b[3~", "Del"),
        ("\x1b[3;5~", "^Del"),
        ("\x1b[5~", "PgUp"),
        ("\x1bOP", "F1"),
        ("\x1b[1;2P", "S-F1"),
        ("\x1b[15~", "F5"),
        ("\x1b[24~", "F12"),
        ("\x1b[27;5;106~", "^J"),
        ("\x1b[113u", "q"),
        // st
        ("\x1b[P", "Del"),
        ("\x1b[4~", "End"),
        // urxvt
        ("\x1b\x1b[D", "A-Left"),
        ("\x1b\x1b[A", "A-Up"),
        ("\x1b[c", "S-Right"),
        ("\x1b[d", "S-Left"),
        ("\x1b[a", "S-Up"),
        ("\x1bOc", "^Right"),
        ("\x1bOd", "^Left"),
        ("\x1b[7~", "Home"),
        ("\x1b[8~", "End"),
        ("\x1b[5^", "^PgUp"),
        ("\x1b[6$", "S-PgDn"),
        // The Linux console
        ("\x1b[[A", "F1"),
        ("\x1b[[E", "F5"),
        ("\x1b[1~", "Home"),
        // The keypad in application mode
        ("\x1bOj", "*"),
        ("\x1bOk", "+"),
        ("\x1bOm", "-"),
        ("\x1bOo", "/"),
        ("\x1bOp", "0"),
        ("\x1bOy", "9"),
    ] {
        assert_eq!(keys(bytes.as_bytes()), [want], "{bytes:?}");
    }
    assert_eq!(keys(b"\x1b[A\x1bOBq\x1b"), ["Up", "Down", "q", "Esc"]);
    assert_eq!(keys(b"\x1b\x1b"), ["Esc", "Esc"]);
}

#[test]
fn replies_are_never_keys() {
    for (reply, rgb) in [
        ("\x1b]11;rgb:ffff/ffff/ffff\x1b\\", 0x00ff_ffff),
        ("\x1b]11;rgb:1a1a/1b1b/2626\x07", 0x001a_1b26),
        ("\x1b]11;rgb:00/80/ff\x07", 0x0000_80ff),
        ("\x1b]11;rgba:0000/2b2b/3636/ffff\x1b\\", 0x0000_2b36),
    ] {
        // Wherever the reply is cut in two.
        for cut in 0..=reply.len() {
            let mut d = Decoder::default();
            let mut all = d.feed(&reply.as_bytes()[..cut]);
            all.extend(d.feed(&reply.as_bytes()[cut..]));
            assert_eq!(all, [Received::Background(rgb)], "{reply:?} {cut}");
        }
    }
    let mut d = Decoder::default();
    assert_eq!(d.feed(b"\x1b[0n"), [Received::Ready]);
    for other in ["\x1b[?62;22c", "\x1b]10;rgb:0/0/0\x07", "\x1bP1+r524742\x1b\\", "\x1b[I", "\x1b[?2026;1$y"]
    {
        assert_eq!(d.feed(other.as_bytes()), [], "{other:?}");
        assert!(!d.is_holding(), "{other:?}");
    }
}

#[test]
fn escape_right_before_a_reply_a_mouse_report_or_a_paste_is_a_key() {
    let escape = key(KeyCode::Esc, KeyModifiers::NONE);
    for (behind, want) in [
        ("\x1b[0n", Some(Received::Ready)),
        ("\x1b]11;rgb:00/80/ff\x07", Some(Received::Background(0x0000_80ff))),
        ("\x1b[I", None),
        ("\x1b[200~a\x1b[201~", Some(Received::Input(Event::Paste("a".into())))),
    ] {
        let bytes = format!("\x1b{behind}:");
        let want: Vec<Received> = std::iter::once(escape.clone())
            .chain(want)
            .chain([key(KeyCode::Char(':'), KeyModifiers::NONE)])
            .collect();
        for cut in 1..=bytes.len() {
            let mut d = Decoder::default();
            let mut all = d.feed(&bytes.as_bytes()[..cut]);
            all.extend(d.feed(&bytes.as_bytes()[cut..]));
            assert_eq!(all, want, "{behind:?} {cut}");
        }
    }
    let mouse = Decoder::default().feed(b"\x1b\x1b[<0;10;5M");
    assert!(mouse.len() == 2 && mouse[0] == escape, "{mouse:?}");
}

#[test]
fn pastes_are_whole_wherever_they_are_cut() {
    let bytes = "a\x1b[200~state:listen\nport:80 é\x1b[Z\x1b[201~b".as_bytes();
    for cut in 0..=bytes.len() {
        let mut d = Decoder::default();
        let mut all = d.feed(&bytes[..cut]);
        all.extend(d.feed(&bytes[cut..]));
        let paste = Received::Input(Event::Paste("state:listen\nport:80 é\x1b[Z".into()));
        assert_eq!((all.len(), &all[1]), (3, &paste), "{cut}");
    }
}

#[test]
fn mouse_reports_of_three_encodings_are_decoded() {
    let mouse = |bytes: &[u8]| match Decoder::default().feed(bytes).as_slice() {
        [Received::Input(Event::Mouse(m))] => (m.kind, m.column, m.row),
        other => panic!("{other:?}"),
    };
    let left = MouseButton::Left;
    assert_eq!(mouse(b"\x1b[<0;10;5M"), (MouseEventKind::Down(left), 9, 4));
    assert_eq!(mouse(b"\x1b[<0;10;5m"), (MouseEventKind::Up(left), 9, 4));
    assert_eq!(mouse(b"\x1b[<32;11;5M"), (MouseEventKind::Drag(left), 10, 4));
    assert_eq!(mouse(b"\x1b[<65;1;1M"), (MouseEventKind::ScrollDown, 0, 0));
    assert_eq!(mouse(b"\x1b[32;10;5M"), (MouseEventKind::Down(left), 9, 4));
    assert_eq!(mouse(b"\x1b[35;10;5M"), (MouseEventKind::Up(left), 9, 4));
    assert_eq!(mouse(b"\x1b[M *%"), (MouseEventKind::Down(left), 9, 4));
    assert_eq!(mouse(b"\x1b[M`!!"), (MouseEventKind::ScrollUp, 0, 0));
}

proptest! {
    /// Nothing is lost or held forever, whatever arrives.
    #[test]
    fn any_bytes_are_consumed(bytes in proptest::collection::vec(any::<u8>(), 0..200), end in "[a-z]{1,8}") {
        let mut d = Decoder::default();
        let mut all = d.feed(&bytes);
        all.extend(d.release());
        if d.paste.is_none() {
            prop_assert!(!d.is_holding());
            let keys = d.feed(end.as_bytes());
            prop_assert_eq!(keys.len(), end.len());
        }
    }
}
