//! Words and keys that people try by habit: synonyms of commands, and what to do instead of a key that has no command.

use crate::model::lang::noop;

/// Synonyms of commands, found by the palette and by the search of the help: name of the command, words.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("filter", &["search", "find", "grep", "match"]),
    ("filter-clear", &["reset", "all"]),
    ("undo", &["revert"]),
    ("saved", &["bookmarks", "favorites", "load", "open"]),
    ("save-view", &["bookmark", "preset"]),
    ("by-cell", &["only", "include"]),
    ("not-by-cell", &["hide", "exclude"]),
    ("group", &["tree", "aggregate", "fold"]),
    ("sort", &["order", "top"]),
    ("columns", &["fields", "setup", "show"]),
    ("details", &["inspect", "info", "describe", "open", "view"]),
    ("go-to-peer", &["other", "remote", "counterpart"]),
    ("chart-span", &["graph", "plot", "history", "trend", "zoom", "minutes", "hour"]),
    ("why", &["diagnose", "refused", "timeout", "unreachable", "blocked", "firewall", "path"]),
    ("explain", &["what", "meaning", "man", "doc"]),
    ("ports", &["listen", "listeners", "servers", "services"]),
    ("processes", &["ps", "fds", "descriptors", "programs", "lsof"]),
    ("peers", &["hosts", "remotes", "clients"]),
    ("limits", &["ulimit", "capacity", "exhaustion"]),
    ("events", &["log", "history", "connects", "failures", "short-lived", "tail"]),
    ("forwards", &["nat", "dnat", "docker", "containers", "published", "iptables", "nft"]),
    ("map", &["graph", "topology", "dependencies", "who", "talks"]),
    ("dns", &["resolver", "query", "port53"]),
    ("names", &["resolve", "hostnames", "lookup"]),
    ("alerts", &["warnings", "problems", "health"]),
    ("pause", &["stop", "freeze", "hold"]),
    ("past-minute", &["rewind", "back", "history", "ago", "scrollback", "time"]),
    ("past-alert", &["previous", "problem"]),
    ("past-finding", &["previous", "problem", "diagnosis"]),
    ("past-match", &["previous", "event", "search", "begin", "when"]),
    ("compare", &["diff", "difference", "changes", "changed", "base", "baseline"]),
    ("live", &["now", "resume", "newest"]),
    ("refresh", &["reload", "poll", "update", "now"]),
    ("faster", &["interval", "delay", "speed"]),
    ("slower", &["interval", "delay", "speed"]),
    ("mark", &["tag", "select"]),
    ("mark-all", &["tag", "select"]),
    ("mouse", &["select", "text", "copy"]),
    ("act", &["kill", "close", "signal", "terminate", "copy", "yank", "disconnect", "delete", "drop"]),
    ("write", &["export", "save", "csv", "json", "svg", "screenshot", "dump", "w"]),
    ("raise", &["ulimit", "prlimit", "nofile", "increase"]),
    ("help", &["keys", "shortcuts", "usage", "h"]),
    ("quit", &["exit", "leave", "q", "q!", "wq", "qa", "x"]),
    ("suspend", &["background", "bg"]),
    ("redraw", &["repaint", "clear"]),
];

/// Synonyms of a command.
pub(super) fn synonyms(command: &str) -> &'static [&'static str] {
    SYNONYMS.iter().find(|(name, _)| *name == command).map_or(&[], |(_, words)| words)
}

/// Commands that a newcomer needs, in the order of the help.
pub(super) const ESSENTIALS: [&str; 10] =
    ["filter", "details", "next-view", "group", "sort", "explain", "alerts", "act", "palette", "quit"];

/// Keys without a command that people try by habit: name of the key, commands, and advice with their keys in it.
const INSTEAD: &[(&str, &[&str], &str)] = &[
    ("d", &["act"], noop("{} closes sockets and sends signals")),
    ("delete", &["act"], noop("{} closes sockets and sends signals")),
    ("i", &["details"], noop("{} shows the details")),
    ("N", &["filter", "undo"], noop("{} shows only the matches; {} undoes it")),
    ("p", &["processes", "pause"], noop("{} shows processes, {} pauses")),
    ("P", &["sort"], noop("{} chooses the sort column")),
    ("H", &["columns"], noop("{} chooses the columns")),
    ("I", &["reverse"], noop("{} reverses the sort order")),
    ("T", &["sort"], noop("{} chooses the sort column")),
    ("Z", &["fold-all"], noop("{} collapses or expands all groups")),
    ("f7", &["details-up", "details-down"], noop("{} and {} scroll the details")),
    ("f8", &["details-up", "details-down"], noop("{} and {} scroll the details")),
];

/// Advice for a key that has no command: commands, and a text with a place for the key of each.
pub(super) fn instead(key: super::key::Key) -> Option<(&'static [&'static str], &'static str)> {
    INSTEAD
        .iter()
        .find(|(name, ..)| super::key::parse(name) == Some(key))
        .map(|(_, commands, text)| (*commands, *text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::command::{COMMANDS, Focus};
    use crate::tui::key;

    #[test]
    fn synonyms_and_essentials_name_commands_of_the_table() {
        let of_table = |name: &str| COMMANDS.iter().any(|c| c.name == name && c.applies(Focus::Table));
        for (name, words) in SYNONYMS {
            assert!(of_table(name), "{name}");
            for word in *words {
                assert!(!name.split('-').any(|part| part == *word), "{word} is in the name {name} already");
            }
        }
        for name in ESSENTIALS {
            assert!(of_table(name), "{name}");
        }
    }

    #[test]
    fn keys_with_advice_have_no_command() {
        for (name, commands, text) in INSTEAD {
            assert_eq!(text.matches("{}").count(), commands.len(), "{text}");
            assert!(commands.iter().all(|c| COMMANDS.iter().any(|known| known.name == *c)), "{commands:?}");
            let key = key::parse(name).unwrap();
            let taken = COMMANDS.iter().filter(|c| c.applies(Focus::Table)).flat_map(|c| c.keys);
            assert!(taken.into_iter().all(|k| key::parse(k) != Some(key)), "{name}");
        }
    }
}
