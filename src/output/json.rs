//! JSON (RFC 8259): valid for any name, numbers as numbers, missing as `null`.

use super::event::Event;
use super::grid::{BLOCK, Grid, JsonHead, JsonKeys, Listing};
use crate::format::column::SharedKey;
use crate::format::{self, Column, Value};
use crate::model::addr::push_number;
use crate::model::text::is_hostile;
use crate::model::{Proto, Snapshot};
use crate::sync::{cores, par_map};
use crate::table::{HOSTNAME_COLUMN, Identity};
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// One array of objects, one object per line.
pub fn write_array(out: &mut dyn Write, list: &Listing<'_>) -> io::Result<()> {
    out.write_all(b"[")?;
    write_objects(out, list, "\n", ",")?;
    out.write_all(if list.grid.is_empty() { b"]\n" } else { b"\n]\n" })
}

/// One object per line (NDJSON).
pub fn write_lines(out: &mut dyn Write, list: &Listing<'_>) -> io::Result<()> {
    write_objects(out, list, "", "\n")?;
    if list.grid.is_empty() { Ok(()) } else { out.write_all(b"\n") }
}

/// Elements of an array without its brackets; not the `first` ones follow a comma.
pub fn write_elements(out: &mut dyn Write, list: &Listing<'_>, first: bool) -> io::Result<()> {
    if first {
        out.write_all(b"[")?;
    } else if !list.grid.is_empty() {
        out.write_all(b",")?;
    }
    write_objects(out, list, "\n", ",")
}

/// Rows formatted as one piece of work: a megabyte or two of text.
const ROWS: usize = BLOCK / 8;
/// Text written at once where one thread formats all rows, bytes: it stays in the cache.
const TEXT: usize = 32 << 10;

/// Writes every row, preceded by `before` and separated by `between`.
fn write_objects(out: &mut dyn Write, list: &Listing<'_>, before: &str, between: &str) -> io::Result<()> {
    let (grid, n) = (list.grid, list.grid.len());
    let keys = Keys::new(grid.columns(), list.keys);
    // Fewer take less time than other threads to start.
    if n < 4 * ROWS {
        let (mut piece, runs) = (Piece::new(), keys.runs());
        piece.text.reserve(TEXT + TEXT / 4);
        for row in 0..n {
            piece.text.push_str(if row > 0 { between } else { "" });
            piece.text.push_str(before);
            keys.push_shared(&mut piece, grid, row, &runs);
            if piece.text.len() >= TEXT {
                out.write_all(piece.text.as_bytes())?;
                piece.text.clear();
            }
        }
        return out.write_all(piece.text.as_bytes());
    }
    // A few pieces at a time, to bound memory; their buffers are used again, since fresh memory costs a page fault per page.
    let all: Vec<Mutex<Piece<'_>>> = (0..cores()).map(|_| Mutex::new(Piece::new())).collect();
    let piece = |i: usize| all[i].lock().unwrap_or_else(PoisonError::into_inner);
    let runs = keys.runs();
    for first in (0..n).step_by(ROWS * all.len()) {
        let pieces = (n - first).div_ceil(ROWS).min(all.len());
        par_map(pieces, |i| {
            let piece = &mut *piece(i);
            piece.text.clear();
            let begin = first + i * ROWS;
            for row in begin..(begin + ROWS).min(n) {
                if row > 0 {
                    piece.text.push_str(between);
                }
                piece.text.push_str(before);
                keys.push_shared(piece, grid, row, &runs);
            }
        });
        for i in 0..pieces {
            out.write_all(piece(i).text.as_bytes())?;
        }
    }
    Ok(())
}

/// Keys of the columns of a table as they stand in every row, with the punctuation before and after them.
#[derive(Debug)]
pub struct Keys {
    columns: Vec<Key>,
    /// Start of every object.
    head: String,
    /// Keys that the protocol of a row cannot have are left out.
    per_protocol: bool,
}

/// The key of one column.
#[derive(Debug)]
struct Key {
    /// A comma, the name, a colon.
    text: String,
    column: &'static Column,
    /// The column has the same value in all rows with an equal [`Grid::shared_key`].
    shared: bool,
    /// The head of the object has it.
    in_head: bool,
}

/// Rows whose shared text is kept.
const KEPT: usize = 64;

/// Text that rows share: keys and values of the columns with a shared key.
#[derive(Debug, Default)]
struct SharedText<'a> {
    key: Option<SharedKey<'a>>,
    /// One text for each run of such columns, in order.
    runs: Vec<String>,
}

/// One buffer of text, and the shared text of the rows that were last written to it.
#[derive(Debug)]
struct Piece<'a> {
    text: String,
    kept: Vec<SharedText<'a>>,
}

impl Piece<'_> {
    fn new() -> Self {
        Self { text: String::new(), kept: (0..KEPT).map(|_| SharedText::default()).collect() }
    }
}

impl Keys {
    /// The keys of these columns: their names.
    pub fn new(columns: &[&'static Column], keys: JsonKeys<'_>) -> Self {
        let has_head = !matches!(keys, JsonKeys::Columns);
        let key = |column: &&'static Column| {
            let mut text = String::from(",");
            string(&mut text, column.name);
            text.push(':');
            let in_head = has_head && column.name == HOSTNAME_COLUMN;
            Key { text, column, shared: column.shared.is_some(), in_head }
        };
        let mut head = String::from("{");
        if let JsonKeys::PerProtocol(h) | JsonKeys::All(h) = keys {
            push_head(&mut head, h);
        }
        let per_protocol = matches!(keys, JsonKeys::PerProtocol(_));
        Self { columns: columns.iter().map(key).collect(), head, per_protocol }
    }

    /// The keys that the protocol of a row can have, without time and host name: rows of an event, which has both.
    pub fn per_protocol(columns: &[&'static Column]) -> Self {
        Self { per_protocol: true, ..Self::new(columns, JsonKeys::Columns) }
    }

    /// Appends one row of a grid with these columns as an object.
    pub fn push_object(&self, buf: &mut String, grid: &dyn Grid, row: usize) {
        self.push_start(buf, grid, row);
        self.push_columns(buf, grid, row, self.row_proto(grid, row), 0..self.columns.len());
        buf.push('}');
    }

    /// Appends the start of an object: the head of its row, or that of all rows.
    fn push_start(&self, buf: &mut String, grid: &dyn Grid, row: usize) {
        match grid.head(row) {
            Some(head) if self.head.len() > 1 => {
                buf.push('{');
                push_head(buf, head);
            }
            _ => buf.push_str(&self.head),
        }
    }

    /// The protocol by which keys of a row are left out.
    fn row_proto(&self, grid: &dyn Grid, row: usize) -> Option<Proto> {
        if self.per_protocol { grid.proto(row) } else { None }
    }

    fn push_columns(
        &self,
        buf: &mut String,
        grid: &dyn Grid,
        row: usize,
        proto: Option<Proto>,
        columns: Range<usize>,
    ) {
        for (key, column) in self.columns[columns.clone()].iter().zip(columns) {
            if !key.in_head && proto.is_none_or(|p| key.column.is_for(p)) {
                push_after(buf, &key.text);
                value(buf, &grid.value(row, column));
            }
        }
    }

    /// Ranges of columns that are all shared, or all not.
    fn runs(&self) -> Vec<Range<usize>> {
        let runs = self.columns.chunk_by(|a, b| a.shared == b.shared);
        runs.scan(0, |end, run| {
            *end += run.len();
            Some(*end - run.len()..*end)
        })
        .collect()
    }

    /// Appends one row as [`Keys::push_object`] does, with the text of its shared columns from a row before if one had the
    /// same key. Most of the columns of a socket are shared, and sockets of one process mostly have the same key.
    fn push_shared<'a>(&self, piece: &mut Piece<'a>, grid: &'a dyn Grid, row: usize, runs: &[Range<usize>]) {
        let Some(key) = grid.shared_key(row) else { return self.push_object(&mut piece.text, grid, row) };
        let ([a, b, c, d], bytes) = key;
        let hash = (a ^ b.rotate_left(21) ^ c.rotate_left(42) ^ d.rotate_left(11) ^ bytes.len() as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let proto = self.row_proto(grid, row);
        let kept = &mut piece.kept[(hash >> 58) as usize % KEPT];
        if kept.key != Some(key) {
            let is_shared = |run: &&Range<usize>| self.columns.get(run.start).is_some_and(|k| k.shared);
            kept.runs.resize_with(runs.iter().filter(is_shared).count(), String::new);
            for (text, run) in kept.runs.iter_mut().zip(runs.iter().filter(is_shared)) {
                text.clear();
                self.push_columns(text, grid, row, proto, run.clone());
            }
            kept.key = Some(key);
        }
        let mut texts = kept.runs.iter();
        self.push_start(&mut piece.text, grid, row);
        for run in runs {
            if self.columns[run.start].shared {
                push_after(&mut piece.text, texts.next().map_or("", String::as_str));
            } else {
                self.push_columns(&mut piece.text, grid, row, proto, run.clone());
            }
        }
        piece.text.push('}');
    }
}

/// Appends keys that begin with a comma, without it at the start of an object.
fn push_after(buf: &mut String, keys: &str) {
    let begins = buf.as_bytes().last() == Some(&b'{');
    buf.push_str(if begins { keys.strip_prefix(',').unwrap_or(keys) } else { keys });
}

/// Appends time and host name, without braces.
pub fn push_head(buf: &mut String, head: JsonHead<'_>) {
    let ms = head.at.unix_ns / 1_000_000;
    push(buf, format_args!("\"time\":{}.{:03},\"hostname\":", ms / 1000, ms % 1000));
    string(buf, head.hostname);
}

/// Begins an event object: event, time, host name and identity.
pub fn event_head(buf: &mut String, what: Event, head: JsonHead<'_>, id: &Identity, snap: Option<&Snapshot>) {
    push(buf, format_args!("{{\"event\":\"{}\",", what.name()));
    push_head(buf, head);
    buf.push_str(",\"id\":");
    let netns = |n: u16| snap.and_then(|s| s.sample.namespaces.get(usize::from(n))).map_or(0, |n| n.inode);
    match id {
        Identity::Socket(s) => {
            push(buf, format_args!("{{\"netns_inode\":{},\"cookie\":{}}}", netns(s.netns), { s.cookie }));
        }
        Identity::Port(n, proto, local, iface) => push(
            buf,
            format_args!(
                "{{\"netns_inode\":{},\"proto\":\"{}\",\"local\":\"{local}\",\"iface_index\":{iface}}}",
                netns(*n),
                proto.name()
            ),
        ),
        Identity::Event(number) | Identity::Dns(number) => push(buf, format_args!("{{\"seq\":{number}}}")),
        Identity::Process(pid, start) => push(buf, format_args!("{{\"pid\":{pid},\"start_ns\":{start}}}")),
        Identity::Limit(kind, n, whose) => push(
            buf,
            format_args!(
                "{{\"netns_inode\":{},\"limit\":\"{}\",\"subject_hash\":{whose}}}",
                netns(*n),
                kind.info().name
            ),
        ),
        Identity::Edge(proto, port, ends) => {
            push(buf, format_args!("{{\"proto\":\"{}\",\"port\":{port},\"ends\":{ends}}}", proto.name()));
        }
        Identity::Forward(n, proto, host, by, target) => {
            let proto = proto.map_or("any", |p| p.name());
            let head =
                format_args!("{{\"netns_inode\":{},\"proto\":\"{proto}\",\"host\":\"{host}\"", netns(*n))
                    .to_string();
            push(buf, format_args!("{head},\"by\":\"{}\",\"target\":", by.name()));
            match target {
                Some(t) => push(buf, format_args!("\"{t}\"}}")),
                None => buf.push_str("null}"),
            }
        }
        Identity::Peer(a, (_, 0)) => push(buf, format_args!("{{\"addr\":\"{a}\"}}")),
        Identity::Peer(a, (n, iface)) => {
            let zone = snap.map_or_else(|| iface.to_string().into(), |s| s.iface_or_index(*n, *iface));
            buf.push_str("{\"addr\":");
            string(buf, &format!("{a}%{zone}"));
            buf.push('}');
        }
    }
}

/// The number that is printed: with at most three decimals.
pub(super) fn rounded(n: f64) -> f64 {
    let thousandths = (n * 1000.0).round();
    if thousandths.is_finite() { thousandths / 1000.0 } else { n }
}

/// Appends a number with at most three decimals: they exceed the precision of any clock here.
fn push_float(buf: &mut String, n: f64) {
    /// Numbers of fifteen digits are the shortest of those that are the same `f64`.
    const EXACT: f64 = 1e15;
    let thousandths = (n * 1000.0).round();
    if !(0.0..EXACT).contains(&thousandths) || thousandths.is_sign_negative() {
        push(buf, format_args!("{}", thousandths / 1000.0));
        return;
    }
    let thousandths = thousandths as u64;
    push_number(buf, thousandths / 1000);
    let [hundreds, tens, ones] = [100, 10, 1].map(|d| b'0' + (thousandths / d % 10) as u8);
    let decimals = [b'.', hundreds, tens, ones].map(char::from);
    let shown = match (hundreds, tens, ones) {
        (b'0', b'0', b'0') => 0,
        (_, b'0', b'0') => 2,
        (_, _, b'0') => 3,
        _ => 4,
    };
    buf.extend(&decimals[..shown]);
}

/// Appends one value.
pub fn value(buf: &mut String, v: &Value<'_>) {
    match v {
        Value::Bool(b) => buf.push_str(if *b { "true" } else { "false" }),
        Value::Uint(n) => push_number(buf, *n),
        Value::Float(n) | Value::AtLeast(n) if n.is_finite() => {
            push_float(buf, *n);
        }
        // JSON has no NaN or infinity.
        Value::Missing(_) | Value::Float(_) | Value::AtLeast(_) => buf.push_str("null"),
        Value::Text(s) => string(buf, s),
        Value::State(s) => string(buf, s.name()),
        Value::Addr(a) => {
            buf.push('"');
            a.push_to(buf);
            buf.push('"');
        }
        Value::Endpoint(e) => {
            buf.push('"');
            e.push_to(buf);
            buf.push('"');
        }
        Value::Zoned { .. } => string(buf, &format::exact(v)),
        Value::States(counts) => {
            buf.push('{');
            for (i, (s, n)) in counts.present().enumerate() {
                push(buf, format_args!("{}\"{}\":{n}", if i > 0 { "," } else { "" }, s.name()));
            }
            buf.push('}');
        }
        Value::Levels(l) => {
            for (i, n) in l.iter().enumerate() {
                push(buf, format_args!("{}{n}", if i > 0 { ',' } else { '[' }));
            }
            buf.push(']');
        }
        Value::List(items) => {
            buf.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    buf.push(',');
                }
                value(buf, item);
            }
            buf.push(']');
        }
        Value::Record(fields) => {
            buf.push('{');
            for (i, (name, v)) in fields.iter().enumerate() {
                if i > 0 {
                    buf.push(',');
                }
                string(buf, name);
                buf.push(':');
                value(buf, v);
            }
            buf.push('}');
        }
    }
}

/// Appends a string with its quotes. Whatever [`is_hostile`] names is escaped too, though JSON would allow it raw.
pub fn string(buf: &mut String, s: &str) {
    buf.push('"');
    if s.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\') {
        buf.push_str(s);
        buf.push('"');
        return;
    }
    for c in s.chars() {
        match c {
            '"' => buf.push_str("\\\""),
            '\\' => buf.push_str("\\\\"),
            '\n' => buf.push_str("\\n"),
            '\r' => buf.push_str("\\r"),
            '\t' => buf.push_str("\\t"),
            c if is_hostile(c) => {
                let mut units = [0u16; 2];
                for u in c.encode_utf16(&mut units) {
                    push(buf, format_args!("\\u{u:04x}"));
                }
            }
            c => buf.push(c),
        }
    }
    buf.push('"');
}

fn push(buf: &mut String, args: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = std::fmt::Write::write_fmt(buf, args);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Style;
    use crate::model::sample::{ClosedBy, EventKind, EventProcess};
    use crate::model::snapshot::{Direction, ProcessBy};
    use crate::model::{Family, Missing, State, StateCounts};
    use crate::output::Rows;
    use crate::table::{SOCKETS, TABLES};
    use std::sync::Arc;

    /// Sockets of the machine again and again, with differences between the copies in what columns read.
    #[test]
    fn shared_text_is_that_of_each_row() {
        let mut snap = crate::testing::machine();
        snap.live_rows = None;
        let (sockets, facts) = (snap.sample.sockets.clone(), snap.facts.clone());
        for i in 0..40_u32 {
            for (s, f) in sockets.iter().zip(&facts) {
                let (mut s, mut f) = (*s, *f);
                s.id.cookie += u64::from(i) << 32;
                match i % 10 {
                    0 => s.uid += 1,
                    1 => s.state = State::TimeWait,
                    2 => f.owners = (0, 0),
                    3 => f.owner_missing = Some(Missing::NotPermitted),
                    4 => (s.attr_at, s.attr_len) = (s.attr_at + 4, s.attr_len.saturating_sub(4)),
                    5 => s.inode = 0,
                    6 => s.iface += 1,
                    7 => f.owners = (f.owners.0, f.owners.1.saturating_sub(1).max(f.owners.0)),
                    8 => s.proto = Proto::ALL[i as usize % 14].0,
                    _ => s.recv_q += i,
                }
                snap.sample.sockets.push(s);
                snap.facts.insert(snap.live, f);
                snap.live += 1;
            }
        }
        let n = (SOCKETS.live)(&snap);
        assert!(n > 400, "{n}");
        // Events that differ from the previous event in one field that columns read.
        let first = Arc::new(crate::testing::closed_event(&snap.units));
        for i in 0..40_u32 {
            let mut row = (*first).clone();
            let process = row.process.as_deref().cloned().unwrap();
            match i % 13 {
                0 => row.event.kind = EventKind::ALL[i as usize % 6].0,
                1 => row.event.proto = Proto::Udp,
                2 => row.event.family = Family::Inet6,
                3 => row.direction = if i == 3 { Direction::None } else { Direction::In },
                4 => row.process_by = ProcessBy::ALL[i as usize % 4].0,
                5 => row.event.closed_by = Some(ClosedBy::ALL[i as usize % 8].0),
                6 => row.event.errno = i as u16 + 99,
                7 => row.event.from = Some(State::Unknown(i as u8)),
                8 => row.event.uid = (i == 8).then_some(77),
                9 => row.process = (i == 9).then(|| Arc::new(EventProcess { pid: i, ..process })),
                10 => row.unit = None,
                11 => row.netns_name = "another".into(),
                _ => (row.counted, row.count) = (true, u64::from(i)),
            }
            snap.events.rows.extend([Arc::clone(&first), Arc::new(row)]);
        }
        for table in TABLES {
            let columns: Vec<&Column> = table.columns.iter().collect();
            let rows: Vec<u32> = (0..(table.live)(&snap) as u32).collect();
            let grid = Rows { snap: &snap, columns: &columns, rows: &rows };
            let style = &Style::default();
            let head = JsonHead::new(&snap);
            for keys in [JsonKeys::Columns, JsonKeys::PerProtocol(head), JsonKeys::All(head)] {
                let mut out = Vec::new();
                write_lines(
                    &mut out,
                    &Listing {
                        grid: &grid,
                        header: true,
                        style,
                        width: None,
                        color: false,
                        optional: 0,
                        named: &[],
                        keys,
                    },
                )
                .unwrap();
                let text = String::from_utf8(out).unwrap();
                let keys = Keys::new(&columns, keys);
                for (row, line) in text.lines().enumerate() {
                    let mut want = String::new();
                    keys.push_object(&mut want, &grid, row);
                    assert_eq!(line, want, "{} {row}", table.name);
                }
            }
        }
    }

    #[test]
    fn numbers_have_at_most_three_decimals() {
        let mut numbers = vec![0.0, -0.0, -1.5, 1e15, 1e22, f64::MAX, 1_795_801_755.411_999, 0.0004, 0.0005];
        let mut x = 1_u64;
        for _ in 0..20_000 {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            let digits = 10_f64.powi((x % 16) as i32);
            numbers.extend([(x >> 11) as f64 / digits, (x >> 40) as f64 / digits, (x >> 32) as f64 / 1000.0]);
        }
        for n in numbers {
            let mut buf = String::new();
            value(&mut buf, &Value::Float(n));
            assert_eq!(buf, format!("{}", (n * 1000.0).round() / 1000.0), "{n:e}");
        }
    }

    #[test]
    fn any_string_round_trips() {
        for s in [
            "",
            "nginx",
            "a\"b\\c\n\r\t\u{0}\u{1b}[0m",
            "\u{202e}abc\u{2066}",
            "한국어 \u{1f600}",
            "\u{9b}2J\u{7f}",
            "\u{e0041}",
        ] {
            let mut buf = String::new();
            string(&mut buf, s);
            assert!(!buf.chars().any(is_hostile), "{buf:?}");
            assert_eq!(serde_json::from_str::<String>(&buf).unwrap(), s);
        }
    }

    #[test]
    fn values_are_valid_json() {
        let mut counts = StateCounts::default();
        counts.add(State::CloseWait);
        for (v, want) in [
            (Value::Missing(Missing::NotPermitted), "null"),
            (Value::Uint(u64::MAX), "18446744073709551615"),
            (Value::Float(0.5), "0.5"),
            (Value::Float(f64::NAN), "null"),
            (Value::State(State::CloseWait), "\"CLOSE_WAIT\""),
            (Value::States(counts), "{\"CLOSE_WAIT\":1}"),
            (
                Value::List(vec![Value::Record(vec![("pid", Value::Uint(1)), ("comm", Value::text("x"))])]),
                "[{\"pid\":1,\"comm\":\"x\"}]",
            ),
        ] {
            let mut buf = String::new();
            value(&mut buf, &v);
            assert_eq!(buf, want);
        }
    }
}
