//! Completion of filters.

use super::name::{Saved, quote};
use crate::format::did_you_mean::same_word;
use crate::format::{Column, Kind, Role};
use crate::model::lang::noop;
use crate::model::{Missing, Snapshot, State};
use crate::table::PROCESSES;
use crate::table::Table;
use std::collections::BTreeMap;
use std::ops::Range;

/// Candidates at the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completions {
    /// Bytes of the text that a chosen candidate replaces.
    pub span: Range<usize>,
    /// Candidates, best first.
    pub items: Vec<Item>,
}

/// One candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Text to insert, quoted if needed.
    pub text: String,
    /// Description; may contain unescaped text of the machine.
    pub help: String,
}

/// Maximum number of candidates.
const MAX_ITEMS: usize = 200;

/// Candidates at `cursor` (bytes) in `text`. Values of the machine come from the snapshot; saved filters follow an `@`.
pub fn complete(
    text: &str,
    cursor: usize,
    table: &'static Table,
    snap: Option<&Snapshot>,
    saved: &Saved,
) -> Completions {
    let mut cursor = cursor.min(text.len());
    while !text.is_char_boundary(cursor) {
        cursor -= 1;
    }
    let before = &text[..cursor];
    let start = token_start(before);
    let token = &before[start..];
    // `field` OP `values`: the last of the values is being typed.
    if let Some(op) = token.find([':', '=', '<', '>', '~'])
        && op > 0
        && let Some(field) = named(table, token[..op].trim_end_matches('!'))
    {
        let op_len = token[op..].chars().take_while(|c| matches!(c, ':' | '=' | '<' | '>' | '~')).count();
        let from = start + token[..].rfind(',').map_or(op + op_len, |i| (i + 1).max(op + op_len));
        let typed = text[from..cursor].trim_start_matches(['"', '\'']);
        return Completions { span: from..cursor, items: matching(values(field, table, snap), typed) };
    }
    if let Some(name) = token.strip_prefix('@') {
        let items =
            saved.iter().map(|(name, text)| Item { text: name.clone(), help: text.clone() }).collect();
        return Completions { span: start + 1..cursor, items: matching(items, name) };
    }
    if let Some(port) = token.strip_prefix(':') {
        let items = matching(ports(snap), port);
        return Completions { span: start + 1..cursor, items };
    }
    // After a word of ss its value follows.
    let previous = before[..start].split_whitespace().next_back().unwrap_or("");
    let after_word = match previous.to_ascii_lowercase().as_str() {
        "state" | "exclude" | "excl" => named(table, "state"),
        "dev" | "src" | "dst" | "sport" | "dport" | "cgroup" => named(table, previous),
        _ => None,
    };
    if let Some(field) = after_word {
        return Completions { span: start..cursor, items: matching(values(field, table, snap), token) };
    }
    let token = token.trim_start_matches('!');
    let start = cursor - token.len();
    Completions { span: start..cursor, items: matching(fields(table), token) }
}

/// Start of the word before the cursor; blanks in quotes are part of it.
fn token_start(before: &str) -> usize {
    let mut start = 0;
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (i, c) in before.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match (quote, c) {
            (_, '\\') => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, c) => {
                if c.is_whitespace() || matches!(c, '(' | ')' | '|' | '&') {
                    start = i + c.len_utf8();
                }
            }
        }
    }
    start
}

/// A field that completion has values for.
#[derive(Clone, Copy)]
enum ValueField {
    Column(&'static Column),
    Port,
    Addr,
}

fn named(table: &'static Table, word: &str) -> Option<ValueField> {
    if table.is_sockets() && same_word(word, "port") {
        return Some(ValueField::Port);
    }
    if table.is_sockets() && same_word(word, "addr") {
        return Some(ValueField::Addr);
    }
    table.column(word).map(ValueField::Column)
}

/// Items that begin with the typed text, then those that contain it, ignoring case.
fn matching(items: Vec<Item>, typed: &str) -> Vec<Item> {
    let plain = |s: &str| s.trim_start_matches('"').to_lowercase().replace('-', "_");
    let typed = plain(typed);
    let (mut first, rest): (Vec<Item>, Vec<Item>) =
        items.into_iter().partition(|i| plain(&i.text).starts_with(&typed));
    first.extend(rest.into_iter().filter(|i| !typed.is_empty() && plain(&i.text).contains(&typed)));
    first.truncate(MAX_ITEMS);
    first
}

/// The fields of a table, ready for a value, and the words of the grammar.
fn fields(table: &'static Table) -> Vec<Item> {
    let item = |text: String, help: &str| Item { text, help: help.to_owned() };
    let op = |kind: Kind| match kind {
        Kind::Count
        | Kind::Amount
        | Kind::Bytes
        | Kind::BytesPerSec
        | Kind::PerSec
        | Kind::PerMin
        | Kind::Micros
        | Kind::Millis
        | Kind::Secs
        | Kind::Percent => '>',
        _ => ':',
    };
    let mut out = Vec::new();
    // Columns on the screen first.
    let shown = table.default_columns();
    let others = table.columns.iter().filter(|c| !shown.contains(c));
    let mut columns: Vec<&Column> = shown.clone();
    columns.extend(others);
    if table.is_sockets() {
        out.push(item("port:".to_owned(), "Local or remote port."));
        out.push(item("addr:".to_owned(), "Local or remote address."));
    }
    for c in columns {
        // With its shortest alias.
        let alias = c.aliases.first().filter(|a| !a.starts_with(c.name) && a.len() < c.name.len());
        out.push(item(format!("{}{}", c.name, op(c.kind)), c.help));
        if let Some(a) = alias {
            out.push(item(format!("{a}{}", op(c.kind)), c.help));
        }
    }
    for (word, help) in [
        ("and", noop("Both conditions; also implied between two words.")),
        ("or", noop("At least one of the conditions.")),
        ("not", noop("Negates the next condition.")),
    ] {
        out.push(item(word.to_owned(), help));
    }
    if table.is_sockets() {
        out.push(item("autobound".to_owned(), noop("The kernel chose the local port.")));
    }
    out
}

fn values(field: ValueField, table: &'static Table, snap: Option<&Snapshot>) -> Vec<Item> {
    let column = match field {
        ValueField::Port => return ports(snap),
        ValueField::Addr => return current_values(table, &["local_addr", "remote_addr"], snap),
        ValueField::Column(c) => c,
    };
    match column.kind {
        Kind::State | Kind::States => states(),
        Kind::Bool => ["yes", "no"].map(|s| Item { text: s.to_owned(), help: String::new() }).to_vec(),
        Kind::Port => ports(snap),
        Kind::Text | Kind::List | Kind::Addr | Kind::Endpoint | Kind::Id | Kind::Hex | Kind::Time => {
            match column.values.map(|all| all()) {
                Some(fixed) => {
                    fixed.into_iter().map(|s| Item { text: s.to_owned(), help: String::new() }).collect()
                }
                // All processes, also those without a socket.
                None if column.is(Role::Process) => current_values(&PROCESSES, &["comm"], snap),
                None => current_values(table, &[column.name], snap),
            }
        }
        Kind::Percent => plain(&["50%", "80%", "90%"]),
        Kind::Bytes | Kind::BytesPerSec => plain(&["1k", "64k", "1M", "10M"]),
        Kind::Micros | Kind::Millis => plain(&["1ms", "50ms", "200ms", "1s"]),
        Kind::Secs => plain(&["10s", "1m", "1h", "1d"]),
        Kind::Count | Kind::Amount | Kind::PerSec | Kind::PerMin | Kind::Trend => {
            plain(&["0", "10", "100", "1000"])
        }
    }
}

fn plain(words: &[&str]) -> Vec<Item> {
    words.iter().map(|s| Item { text: (*s).to_owned(), help: String::new() }).collect()
}

fn states() -> Vec<Item> {
    let word = |s: State| s.name().to_ascii_lowercase().replace('_', "-");
    let mut out: Vec<Item> =
        State::all().map(|s| Item { text: word(s), help: s.info().meaning.to_owned() }).collect();
    for (name, help) in [
        ("connected", noop("all states except listen, closed and unconn")),
        ("synchronized", noop("connected, without syn-sent")),
        ("bucket", noop("syn-recv and time-wait")),
        ("big", noop("all states except syn-recv and time-wait")),
        ("all", noop("all states")),
    ] {
        out.push(Item { text: name.to_owned(), help: help.to_owned() });
    }
    out
}

/// Listening ports with their names, then well-known names.
fn ports(snap: Option<&Snapshot>) -> Vec<Item> {
    let services = snap.map_or(crate::model::Services::well_known(), |s| &s.sample.services);
    let mut out: Vec<Item> = Vec::new();
    for p in snap.into_iter().flat_map(Snapshot::each_host).flat_map(|s| &s.ports) {
        let text = p.local.port.to_string();
        if !out.iter().any(|i| i.text == text) {
            let help = services.name(p.local.port, false).unwrap_or("").to_owned();
            out.push(Item { text, help });
        }
    }
    out.extend(services.names().map(|n| Item {
        text: n.to_owned(),
        help: services.port(n).map_or_else(String::new, |p| p.to_string()),
    }));
    out
}

/// Current values of a column, most frequent first.
fn current_values(table: &'static Table, columns: &[&str], snap: Option<&Snapshot>) -> Vec<Item> {
    let Some(snap) = snap else { return Vec::new() };
    let mut counts: BTreeMap<String, (u32, bool)> = BTreeMap::new();
    for column in columns.iter().filter_map(|n| table.column(n)) {
        for number in 0..table.rows(snap) {
            let (snap, row) = snap.at(table.id, number);
            column.any_value(snap, row, &mut |v| {
                match v {
                    crate::format::Value::Missing(Missing::NotApplicable | Missing::NotRead) => {}
                    crate::format::Value::Missing(_) => {
                        counts.entry("none".to_owned()).or_insert((0, true)).0 += 1;
                    }
                    v => {
                        // An address is written as it is; text may need quotes.
                        let is_text = matches!(v, crate::format::Value::Text(_));
                        let text = crate::format::exact(v);
                        counts.entry(if is_text { quote(&text) } else { text }).or_insert((0, false)).0 += 1;
                    }
                }
                false
            });
            // Enough for a menu.
            if counts.len() > 5 * MAX_ITEMS {
                break;
            }
        }
    }
    let mut all: Vec<(String, (u32, bool))> = counts.into_iter().collect();
    all.sort_by(|a, b| a.1.1.cmp(&b.1.1).then(b.1.0.cmp(&a.1.0)));
    let noun = table.noun;
    all.into_iter().map(|(text, (n, _))| Item { text, help: format!("{n} {noun}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Filter;
    use crate::table::SOCKETS;
    use crate::testing::machine;

    #[test]
    fn candidates_fit_the_context() {
        let snap = machine();
        for (text, span, first) in [
            ("sta", 0..3, "state:"),
            ("nginx sta", 6..9, "state:"),
            ("(sta", 1..4, "state:"),
            ("!sta", 1..4, "state:"),
            ("state:clo", 6..9, "close-wait"),
            ("state:closed", 6..12, "closed"),
            ("state:listen,ti", 13..15, "time-wait"),
            ("state esta", 6..10, "established"),
            ("proto:", 6..6, "tcp"),
            ("proc:n", 5..6, "nginx"),
            ("proc!=n", 6..7, "nginx"),
            ("proc:\"api", 5..9, "\"api server\""),
            ("user:w", 5..6, "www-data"),
            (":ht", 1..3, "http"),
            ("port:ss", 5..7, "ssh"),
            ("rx>", 3..3, "1k"),
            ("family:inet", 7..11, "inet"),
            ("dev e", 4..5, "eth0"),
            ("remote_addr:203", 12..15, "203.0.113.5"),
            ("fds_p", 0..5, "fds_pct>"),
            ("an", 0..2, "and"),
        ] {
            let c = complete(text, text.len(), &SOCKETS, Some(&snap), &Saved::new());
            assert_eq!(c.span, span, "{text}");
            assert_eq!(c.items.first().map(|i| i.text.as_str()), Some(first), "{text}: {:?}", c.items);
        }
    }

    #[test]
    fn candidates_parse() {
        let snap = machine();
        for c in SOCKETS.columns {
            for op in [':', '>'] {
                let text = format!("{}{op}", c.name);
                for i in complete(&text, text.len(), &SOCKETS, Some(&snap), &Saved::new()).items {
                    let whole = format!("{text}{}", i.text);
                    if op == ':' {
                        assert!(Filter::parse(&whole, &SOCKETS).is_ok(), "{whole}");
                    }
                }
            }
        }
        for cursor in 0..=10 {
            complete("a 가나 \"", cursor, &SOCKETS, None, &Saved::new());
        }
    }
}
