//! The filter language by example: what help, manual page and reference say of it. Every example is parsed by a test.

/// One form: how it is written, and what it asks.
pub type Form = (&'static str, &'static str);

/// The language, in sections.
pub const LANGUAGE: &[(&str, &[Form])] = &[
    (
        "Words",
        &[
            ("nginx", "that word in the process, its pid, the address, port, state, user or service"),
            (":443", "that port, at either end"),
            ("10.0.0.0/8", "an address in that network, at either end"),
            (
                "tcp6",
                "a protocol with its family: tcp4 tcp6 udp4 udp6 raw4 raw6, or the family alone: ipv4 ipv6",
            ),
            ("\"two words\"", "text with blanks or other characters that mean something"),
            ("@leaks", "the filter saved under that name"),
        ],
    ),
    (
        "Fields",
        &[
            (
                "state:close-wait,time-wait",
                "one of several; any case, - and _ alike, the words of ss and netstat too",
            ),
            ("port:8000-8999", "a range; port: and addr: are either end, lport: rport: local: remote: one"),
            ("remote:10.0.0.0/8", "a network, an address, or an address with a port"),
            ("process:ng*", "text that matches a pattern; without * and ? a part of it"),
            ("process=nginx", "the whole text"),
            ("process~^ng", "a regular expression"),
            ("user!=root", "not that; the same as not user=root"),
            ("rtt>50ms", "compared: < <= > >=, with the units us ms s m h d"),
            ("recv_q>1M", "bytes, in K M G of 1024"),
            ("fds>80%", "a share of the limit"),
            ("owner_missing:none", "where there is nothing; missing values match no comparison"),
        ],
    ),
    (
        "Together",
        &[
            ("nginx state:listen", "both, as with and"),
            ("nginx or api", "one of them"),
            ("not user:root", "not that; ! does the same"),
            ("(nginx or api) and not :443", "not binds first, then and, then or"),
        ],
    ),
    (
        "As in ss",
        &[
            (
                "state established ( dport = :ssh or sport = :ssh ) dst 10.0.0.0/8",
                "every expression of ss means the same here; but and binds before or, as everywhere else",
            ),
            ("exclude time-wait", "all states but that one; bucket, big, connected, synchronized are sets"),
            ("sport gt 1024", "ports compared by word: eq ne lt gt le ge, or by sign"),
            ("src 127.0.0.1:8080", "an end; also inet: inet6: before it"),
            ("autobound", "the kernel chose the local port"),
            ("dev eth0", "bound to that interface"),
            ("fwmark 0x1/0xff", "a mark under a mask"),
            ("cgroup /system.slice/nginx.service", "made in that control group (v2)"),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Filter, Names, Saved};
    use crate::model::Services;
    use crate::table::SOCKETS;

    #[test]
    fn every_example_is_one() {
        let saved = Saved::from([("leaks".to_owned(), "state:close-wait".to_owned())]);
        for (section, rows) in LANGUAGE {
            for (example, meaning) in *rows {
                let names = Names { services: Services::well_known(), saved: &saved };
                let f = Filter::parse_named(example, &SOCKETS, names);
                assert!(f.is_ok_and(|f| !f.is_everything()), "{section}: {example}");
                assert!(!meaning.is_empty() && !meaning.ends_with('.'));
            }
        }
    }

    #[test]
    fn saved_filters_stand_for_their_text() {
        let saved = Saved::from([
            ("a".to_owned(), "port:1 or port:2".to_owned()),
            ("b".to_owned(), "@a nginx".to_owned()),
            ("loop".to_owned(), "@loop".to_owned()),
            ("bad".to_owned(), "port:".to_owned()),
            ("empty".to_owned(), " ".to_owned()),
        ]);
        let parse = |t: &str| {
            let names = Names { services: Services::well_known(), saved: &saved };
            Filter::parse_named(t, &SOCKETS, names)
        };
        assert_eq!(
            parse("@b not @a").unwrap().to_string(),
            "(port:1 or port:2) and nginx and not (port:1 or port:2)"
        );
        for (text, want) in [
            ("x @loop", "deeply"),
            ("@bad", "in the filter saved as \"bad\""),
            ("@empty", "is empty"),
            ("@aa", "did you mean @a?"),
        ] {
            let e = parse(text).unwrap_err();
            assert!(e.to_string().contains(want), "{text}: {e}");
            assert_eq!(&text[e.span.clone()], text.rsplit(' ').next().unwrap());
        }
    }
}
