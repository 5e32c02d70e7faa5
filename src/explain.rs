//! Explanations of states, queues, limits, columns and findings, in English and Korean, embedded in the binary.

use crate::diagnose::cause::CAUSES;
use crate::diagnose::finding::FINDINGS;
use crate::format::did_you_mean;
use crate::format::did_you_mean::same_word;
use crate::model::State;
pub use crate::model::lang::Lang;
use crate::table::Table;

/// One topic.
#[derive(Debug)]
pub struct Topic {
    /// Its name: the file's.
    pub name: &'static str,
    /// Aliases.
    pub aliases: &'static [&'static str],
    /// Columns that it explains.
    pub columns: &'static [&'static str],
    en: &'static str,
    ko: &'static str,
}

impl Topic {
    /// Its text (Markdown): a title, a paragraph, sections.
    pub const fn text(&self, lang: Lang) -> &'static str {
        match lang {
            Lang::En => self.en,
            Lang::Ko => self.ko,
        }
    }

    /// Its title.
    pub fn title(&self, lang: Lang) -> &'static str {
        self.text(lang).lines().next().unwrap_or("").trim_start_matches('#').trim()
    }
}

macro_rules! topics {
    ($($name:literal [$($alias:literal),*] [$($column:literal),*];)*) => {
        /// Every topic, in the order in which a newcomer would read them.
        pub const TOPICS: &[Topic] = &[$(Topic {
            name: $name,
            aliases: &[$($alias),*],
            columns: &[$($column),*],
            en: include_str!(concat!("../assets/explain/en/", $name, ".md")),
            ko: include_str!(concat!("../assets/explain/ko/", $name, ".md")),
        },)*];
    };
}

topics! {
    "first-steps" ["start", "newcomer", "help"] [];
    "socket" ["sockets"] ["inode", "cookie", "family", "type", "proto", "sockets", "uid", "user", "age_s", "closed"];
    "descriptor" ["fd", "fds", "descriptors", "file-descriptor"] ["fd", "fds_open", "fds_files", "fds_pipes", "fds_all_sockets",
        "fds_eventfd", "fds_epoll", "fds_timerfd", "fds_signalfd", "fds_inotify", "fds_memfd", "fds_other", "fds_sockets"];
    "five-tuple" ["5-tuple", "endpoint", "tuple"] ["local", "remote", "local_addr", "local_port", "remote_addr",
        "remote_port", "addr", "direction", "service", "scope", "exposure"];
    "stream-and-datagram" ["stream", "datagram", "tcp", "udp"] ["connections"];
    "connection" ["flow", "handshake", "three-way-handshake", "both-sides"] [];
    "server-lifecycle" ["server-life", "server", "accept"] ["clients", "hosts", "listening", "owner", "owners", "process", "processes", "pid"];
    "client-lifecycle" ["client-life", "client", "connect"] ["ports", "auto_port"];
    "backlog" ["accept-queue", "accept_queue", "queue"] ["accept_q", "backlog", "accept_pct"];
    "recv_q" ["receive-queue", "recvq"] ["recv_q"];
    "send_q" ["send-queue", "sendq"] ["send_q"];
    "limits" ["limit", "rlimit", "nofile"] ["fds_soft", "fds_hard", "fds_pct", "fds_left", "fds_per_min"];
    "ephemeral-ports" ["ephemeral", "local-ports"] [];
    "timer" ["timers"] ["timer", "timer_expires_ms", "timer_retrans"];
    "retransmission" ["retransmit", "retrans"] ["total_retrans", "bytes_retrans"];
    "rtt" ["round-trip"] ["rtt_us", "rttvar_us", "min_rtt_us"];
    "window" ["cwnd", "windows"] ["snd_cwnd", "snd_wnd", "rcv_wnd"];
    "families" ["unix", "raw", "icmp", "packet", "netlink", "mptcp", "udplite", "sctp", "dccp", "vsock", "tipc", "xdp"] [];
    "drops" ["drop", "dropped"] ["drops"];
    "dns" ["resolver", "resolvers", "name-resolution"] [];
    "netns" ["namespace", "network-namespace"] ["netns"];
    "port-forwarding" ["forwarding", "dnat"] [];
    "listen" [] [];
    "syn_sent" [] [];
    "syn_recv" [] [];
    "established" ["estab"] [];
    "fin_wait1" [] [];
    "fin_wait2" [] [];
    "close_wait" [] [];
    "last_ack" [] [];
    "closing" [] [];
    "time_wait" [] [];
    "closed" [] [];
    "unconn" [] [];
    "forwarded" [] [];
    "unknown" [] [];
}

/// The topic of a word: its name, an alias, a state in any spelling, or a column it explains.
pub fn topic(word: &str) -> Option<&'static Topic> {
    let word = word.trim();
    let named = |t: &&Topic| same_word(t.name, word) || t.aliases.iter().any(|a| same_word(a, word));
    TOPICS
        .iter()
        .find(named)
        .or_else(|| State::parse(word).and_then(state_topic))
        .or_else(|| TOPICS.iter().find(|t| t.columns.iter().any(|c| same_word(c, word))))
}

/// The topic of a state.
pub fn state_topic(state: State) -> Option<&'static Topic> {
    TOPICS.iter().find(|t| same_word(t.name, state.name()))
}

/// A file of sections: each `## name` explains one column or finding.
struct Sections {
    en: &'static str,
    ko: &'static str,
}

macro_rules! sections {
    ($($file:literal)*) => {
        &[$(Sections {
            en: include_str!(concat!("../assets/explain/en/", $file, ".md")),
            ko: include_str!(concat!("../assets/explain/ko/", $file, ".md")),
        },)*]
    };
}

/// Explanations of columns.
const COLUMNS: &[Sections] = sections! {
    "fields-socket" "fields-owner" "fields-memory" "fields-tcp" "fields-tcp-counts" "fields-kinds" "fields-table" "fields-limits"
    "fields-forward" "fields-map" "fields-events" "fields-dns"
};

/// Explanations of findings.
const FINDING_TEXTS: &[Sections] = sections! { "findings" };

/// Explanations of the causes that `why` finds.
const CAUSE_TEXTS: &[Sections] = sections! { "causes" };

/// The sections of files: name and text.
fn each(files: &'static [Sections], lang: Lang) -> impl Iterator<Item = (&'static str, &'static str)> {
    let text = move |s: &'static Sections| if lang == Lang::Ko { s.ko } else { s.en };
    files
        .iter()
        .flat_map(move |s| text(s).split("\n## ").skip(1))
        .filter_map(|section| section.split_once('\n'))
        .map(|(name, body)| (name.trim(), body.trim()))
}

/// The section of that name.
fn section(files: &'static [Sections], word: &str, lang: Lang) -> Option<(&'static str, &'static str)> {
    let renamed = FINDINGS.iter().find(|f| f.aliases.iter().any(|a| same_word(a, word)));
    let word = renamed.map_or(word, |f| f.name);
    each(files, lang).find(|(name, _)| same_word(name, word))
}

/// Explanation of the exact name of a topic, a column or a finding: the topic first, then the others.
fn named(word: &str, lang: Lang) -> Option<String> {
    let topic = TOPICS.iter().find(|t| same_word(t.name, word));
    let text = topic.map_or("", |t| t.text(lang).trim_end());
    // "See also" stays last.
    let (see, titles) = match lang {
        Lang::En => ("\n## See also", ["As a column", "As a finding", "As a cause"]),
        Lang::Ko => ("\n## 함께 보기", ["열", "진단 항목", "원인"]),
    };
    let (text, see) = text.split_at(text.find(see).unwrap_or(text.len()));
    let mut out = text.trim_end().to_owned();
    for (files, title) in [COLUMNS, FINDING_TEXTS, CAUSE_TEXTS].into_iter().zip(titles) {
        let Some((name, body)) = section(files, word, lang) else { continue };
        out +=
            &if out.is_empty() { format!("# {name}\n\n{body}") } else { format!("\n\n## {title}\n{body}") };
    }
    if !see.is_empty() {
        out = out + "\n" + see;
    }
    (!out.is_empty()).then(|| out + "\n")
}

/// Explanation of a topic, column, state or finding by name or alias.
pub fn explain(word: &str, lang: Lang, tables: &[&'static Table]) -> Result<String, String> {
    let word = word.trim();
    if let Some(text) = named(word, lang) {
        return Ok(text);
    }
    let column = tables.iter().find_map(|t| Some((*t, t.column(word)?)));
    match (topic(word), column) {
        (Some(t), _) => Ok(t.text(lang).trim_end().to_owned() + "\n"),
        (None, Some((t, c))) => Ok(named(c.name, lang)
            .unwrap_or_else(|| format!("# {}\n\nA column of {}. {}\n", c.name, t.noun, c.help))),
        (None, None) => {
            let names = TOPICS.iter().flat_map(|t| std::iter::once(t.name).chain(t.aliases.iter().copied()));
            let columns = tables.iter().flat_map(|t| t.columns.iter().map(|c| c.name));
            let findings = FINDINGS.iter().map(|f| f.name).chain(CAUSES.iter().map(|c| c.name));
            let near = did_you_mean::nearest(word, names.chain(columns).chain(findings));
            let near = near.map_or_else(String::new, |n| format!("; did you mean \"{n}\"?"));
            Err(format!("unknown topic {word:?}{near} (sockscope explain lists the topics)"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::SOCKETS;
    use crate::table::TABLES;

    #[test]
    fn every_topic_has_a_title_and_the_same_sections_in_both_languages() {
        for (i, t) in TOPICS.iter().enumerate() {
            assert!(TOPICS[..i].iter().all(|o| o.name != t.name));
            for lang in [Lang::En, Lang::Ko] {
                let text = t.text(lang);
                assert!(text.starts_with("# ") && text.len() > 120, "{} {lang:?}", t.name);
                let sections = |l| t.text(l).lines().filter(|x| x.starts_with("## ")).count();
                assert_eq!(sections(Lang::En), sections(Lang::Ko), "{}", t.name);
            }
            let hangul = t.ko.chars().filter(|c| ('가'..='힣').contains(c)).count();
            assert!(hangul > 40, "{}: {hangul}", t.name);
            assert!(t.en.chars().all(|c| !('가'..='힣').contains(&c)));
        }
    }

    #[test]
    fn references_of_topics_exist() {
        for t in TOPICS {
            let see = t.en.split("## See also").nth(1).unwrap_or("");
            for word in see.split(',').map(str::trim).filter(|w| !w.is_empty()) {
                assert!(topic(word).is_some(), "{}: {word}", t.name);
            }
            for c in t.columns {
                assert!(TABLES.iter().any(|t| t.column(c).is_some()), "{}: no column {c}", t.name);
            }
        }
        for s in State::all() {
            assert!(state_topic(s).is_some(), "{}", s.name());
        }
        for name in SOCKETS.defaults {
            assert!(topic(name).is_some() || matches!(*name, "state" | "rx" | "tx"), "{name}");
        }
        assert_eq!(topic("FIN-WAIT-1").map(|t| t.name), Some("fin_wait1"));
        assert!(explain("clos_wait", Lang::En, &TABLES).unwrap_err().contains("close_wait"));
        assert!(explain("pmtu", Lang::En, &TABLES).unwrap().contains("tcpi_pmtu"));
        assert!(explain("clos-wait-leak", Lang::En, &TABLES).unwrap_err().contains("close-wait-leak"));
    }

    /// The names behind "See also", and the text before.
    fn see_also(body: &'static str, lang: Lang) -> (&'static str, Vec<&'static str>) {
        let mark = if lang == Lang::Ko { "함께 보기:" } else { "See also:" };
        let (text, see) = body.split_once(mark).unwrap_or((body, ""));
        (text, see.split(',').map(str::trim).filter(|w| !w.is_empty()).collect())
    }

    #[test]
    fn sections_match_in_both_languages() {
        for files in [COLUMNS, FINDING_TEXTS, CAUSE_TEXTS] {
            let en: Vec<_> = each(files, Lang::En).collect();
            let ko: Vec<_> = each(files, Lang::Ko).collect();
            let names =
                |topics: &[(&'static str, &'static str)]| topics.iter().map(|(n, _)| *n).collect::<Vec<_>>();
            assert_eq!(names(&en), names(&ko));
            for (i, ((name, e), (_, k))) in en.iter().zip(&ko).enumerate() {
                assert!(en[..i].iter().all(|(n, _)| !same_word(n, name)), "{name} twice");
                let ((e, e_see), (k, k_see)) = (see_also(e, Lang::En), see_also(k, Lang::Ko));
                assert_eq!(e_see, k_see, "{name}");
                for word in e_see {
                    assert!(
                        !same_word(word, name) && explain(word, Lang::En, &TABLES).is_ok(),
                        "{name}: {word}"
                    );
                }
                assert!(e.len() > 60 && e.trim().ends_with('.'), "{name}: {e}");
                let hangul = |t: &str| t.chars().filter(|c| ('가'..='힣').contains(c)).count();
                assert!(hangul(e) == 0 && hangul(k) > 20 && k.trim().ends_with('.'), "{name}: {k}");
            }
        }
    }

    #[test]
    fn every_column_finding_and_state_has_a_section_and_none_is_unused() {
        for lang in [Lang::En, Lang::Ko] {
            let columns = || TABLES.iter().flat_map(|t| t.columns.iter().map(|c| c.name));
            let missing: Vec<_> = columns().filter(|c| section(COLUMNS, c, lang).is_none()).collect();
            assert!(missing.is_empty(), "{lang:?}: no section for {missing:?}");
            for f in FINDINGS {
                assert!(
                    section(FINDING_TEXTS, f.name, lang).is_some(),
                    "{lang:?}: no section for {}",
                    f.name
                );
            }
            let stray: Vec<_> =
                each(COLUMNS, lang).map(|(n, _)| n).filter(|n| !columns().any(|c| c == *n)).collect();
            assert!(stray.is_empty(), "{lang:?}: no such column: {stray:?}");
            for (name, _) in each(FINDING_TEXTS, lang) {
                assert!(FINDINGS.iter().any(|f| f.name == name), "{lang:?}: no finding {name}");
            }
            for c in CAUSES {
                assert!(section(CAUSE_TEXTS, c.name, lang).is_some(), "{lang:?}: no section for {}", c.name);
            }
            for (name, _) in each(CAUSE_TEXTS, lang) {
                assert!(CAUSES.iter().any(|c| c.name == name), "{lang:?}: no cause {name}");
            }
            for s in State::all() {
                assert!(explain(s.name(), lang, &TABLES).is_ok_and(|t| t.len() > 120), "{}", s.name());
            }
        }
    }

    #[test]
    fn word_that_is_topic_column_and_finding_shows_all_three() {
        let text = explain("drops", Lang::En, &TABLES).unwrap();
        assert!(text.starts_with("# Drops\n"));
        let at = |title: &str| text.find(title).expect(title);
        assert!(at("\n## As a column\n") < at("\n## As a finding\n"));
        assert!(at("\n## As a finding\n") < at("\n## See also\n"));
        assert!(explain("close-wait-leak", Lang::Ko, &TABLES).unwrap().starts_with("# close-wait-leak\n"));
        // An alias of a column, as in filters.
        assert!(explain("cwnd", Lang::En, &TABLES).is_ok() && explain("wscale", Lang::En, &TABLES).is_ok());
    }
}
