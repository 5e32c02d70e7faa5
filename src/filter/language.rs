//! The filter language by example, for help, manual page and reference. A test parses every example.

/// An example and its meaning.
pub type Form = (&'static str, &'static str);

/// The language, in sections.
pub const LANGUAGE: &[(&str, &[Form])] = &[
    (
        "Words",
        &[
            ("nginx", "a word in process, pid, address, port, state, user or service"),
            (":443", "a local or remote port"),
            ("10.0.0.0/8", "a local or remote address in this network"),
            ("tcp6", "protocol and family: tcp4 tcp6 udp4 udp6 raw4 raw6; family alone: ipv4 ipv6"),
            ("\"two words\"", "text with blanks or special characters"),
            ("@leaks", "a saved filter"),
        ],
    ),
    (
        "Fields",
        &[
            ("state:close-wait,time-wait", "one of several; any case, - or _, names of ss and netstat too"),
            (
                "port:8000-8999",
                "a range; port: and addr: match local or remote, lport: rport: local: remote: one of them",
            ),
            ("remote:10.0.0.0/8", "a network, an address, or an address with a port"),
            ("process:ng*", "a glob; without * and ? a substring"),
            ("process=nginx", "exact match"),
            ("process~^ng", "a regular expression"),
            ("user!=root", "negation; same as not user=root"),
            ("rtt>50ms", "comparison: < <= > >=, with units us ms s m h d"),
            ("recv_q>1M", "bytes; K M G are powers of 1024"),
            ("fds>80%", "percentage of the limit"),
            ("owner_missing:none", "missing values; they match no comparison"),
        ],
    ),
    (
        "Combinations",
        &[
            ("nginx state:listen", "both conditions, same as and"),
            ("nginx or api", "at least one condition"),
            ("not user:root", "negation, same as !"),
            ("(nginx or api) and not :443", "precedence: not, and, or"),
        ],
    ),
    (
        "ss expressions",
        &[
            (
                "state established ( dport = :ssh or sport = :ssh ) dst 10.0.0.0/8",
                "any ss expression; and binds tighter than or",
            ),
            ("exclude time-wait", "all other states; bucket, big, connected, synchronized are sets"),
            ("sport gt 1024", "comparison by word: eq ne lt gt le ge"),
            ("src 127.0.0.1:8080", "local endpoint; inet: or inet6: may precede it"),
            ("autobound", "the kernel chose the local port"),
            ("dev eth0", "bound to this interface"),
            ("fwmark 0x1/0xff", "a mark with a mask"),
            ("cgroup /system.slice/nginx.service", "created in that cgroup (v2)"),
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
    fn every_example_parses() {
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
    fn saved_filter_expands_to_its_text() {
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
            ("@bad", "in saved filter \"bad\""),
            ("@empty", "is empty"),
            ("@aa", "did you mean @a?"),
        ] {
            let e = parse(text).unwrap_err();
            assert!(e.to_string().contains(want), "{text}: {e}");
            assert_eq!(&text[e.span.clone()], text.rsplit(' ').next().unwrap());
        }
    }
}
