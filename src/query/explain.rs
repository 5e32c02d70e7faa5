//! What states, queues, limits and fields are: topics written for people, in English and Korean, in the binary.

use super::column::same_word;
use super::{Table, suggest};
use crate::model::State;

/// A language that topics are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Korean.
    Ko,
}

impl Lang {
    /// From a locale's name or a language code: `ko_KR.UTF-8`, `ko`.
    pub fn of_locale(locale: &str) -> Self {
        if locale.to_ascii_lowercase().starts_with("ko") { Self::Ko } else { Self::En }
    }
}

/// One topic.
#[derive(Debug)]
pub struct Topic {
    /// Its name: the file's.
    pub name: &'static str,
    /// Other words for it.
    pub aliases: &'static [&'static str],
    /// Columns of any table that it explains.
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
            en: include_str!(concat!("../../assets/explain/en/", $name, ".md")),
            ko: include_str!(concat!("../../assets/explain/ko/", $name, ".md")),
        },)*];
    };
}

topics! {
    "socket" ["sockets"] ["inode", "cookie", "family", "type", "proto", "sockets", "uid", "user", "age_s", "closed"];
    "descriptor" ["fd", "fds", "descriptors", "file-descriptor"] ["fd", "fds_open", "fds_files", "fds_pipes", "fds_all_sockets",
        "fds_eventfd", "fds_epoll", "fds_timerfd", "fds_signalfd", "fds_inotify", "fds_memfd", "fds_other", "fds_sockets"];
    "five-tuple" ["5-tuple", "endpoint", "tuple"] ["local", "remote", "local_addr", "local_port", "remote_addr",
        "remote_port", "addr", "direction", "service", "scope", "exposure"];
    "stream-and-datagram" ["stream", "datagram", "tcp", "udp"] ["connections"];
    "server-life" ["server", "accept"] ["clients", "hosts", "listening", "owner", "owners", "process", "processes", "pid"];
    "client-life" ["client", "connect"] ["ports", "auto_port"];
    "backlog" ["accept-queue", "accept_queue", "queue"] ["accept_q", "backlog", "accept_pct"];
    "recv_q" ["receive-queue", "recvq"] ["recv_q"];
    "send_q" ["send-queue", "sendq"] ["send_q"];
    "limits" ["limit", "rlimit", "nofile"] ["fds_soft", "fds_hard", "fds_pct", "fds_left", "fds_per_min"];
    "ephemeral-ports" ["ephemeral", "local-ports"] [];
    "timer" ["timers"] ["timer", "timer_expires_ms", "timer_retrans"];
    "retransmission" ["retransmit", "retrans"] ["total_retrans", "bytes_retrans"];
    "rtt" ["round-trip"] ["rtt_us", "rttvar_us", "min_rtt_us"];
    "window" ["cwnd", "windows"] ["snd_cwnd", "snd_wnd", "rcv_wnd"];
    "drops" ["drop", "dropped"] ["drops"];
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
}

/// The topic that a word names: its name, another word for it, a state in any spelling, or a column it explains.
pub fn topic(word: &str) -> Option<&'static Topic> {
    let word = word.trim();
    let named = |t: &&Topic| same_word(t.name, word) || t.aliases.iter().any(|a| same_word(a, word));
    TOPICS
        .iter()
        .find(named)
        .or_else(|| State::parse(word).and_then(of_state))
        .or_else(|| TOPICS.iter().find(|t| t.columns.iter().any(|c| same_word(c, word))))
}

/// The topic of a state.
pub fn of_state(state: State) -> Option<&'static Topic> {
    TOPICS.iter().find(|t| same_word(t.name, state.name()))
}

/// What there is to say of a word: a topic, or what a column of some table is.
pub fn explain(word: &str, lang: Lang, tables: &[&'static Table]) -> Result<String, String> {
    let column = tables.iter().find_map(|t| Some((*t, t.column(word)?)));
    match (topic(word), column) {
        (Some(t), _) => Ok(t.text(lang).trim_end().to_owned() + "\n"),
        (None, Some((t, c))) => Ok(format!("# {}\n\nA column of {}. {}\n", c.name, t.noun, c.help)),
        (None, None) => {
            let names = TOPICS.iter().flat_map(|t| std::iter::once(t.name).chain(t.aliases.iter().copied()));
            let columns = tables.iter().flat_map(|t| t.columns.iter().map(|c| c.name));
            let near = suggest::nearest(word, names.chain(columns));
            let near = near.map_or_else(String::new, |n| format!("; did you mean \"{n}\"?"));
            Err(format!("no topic {word:?}{near} (sockscope explain lists them)"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::TABLES;
    use crate::query::table::SOCKETS;

    #[test]
    fn every_topic_is_whole_in_both_languages() {
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
    fn what_a_topic_refers_to_is_there() {
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
            assert!(of_state(s).is_some(), "{}", s.name());
        }
        for name in SOCKETS.defaults {
            assert!(topic(name).is_some() || matches!(*name, "state" | "rx" | "tx"), "{name}");
        }
        assert_eq!(topic("FIN-WAIT-1").map(|t| t.name), Some("fin_wait1"));
        assert!(explain("clos_wait", Lang::En, &TABLES).unwrap_err().contains("close_wait"));
        assert!(explain("pmtu", Lang::En, &TABLES).unwrap().contains("A column of sockets"));
    }
}
