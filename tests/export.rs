//! Rows of a recording by `export`, `query`, `events` and `list --between`, compared with `list --at` at each of its moments.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::Value;
use sockscope::format::{Column, Role, Storage};
use sockscope::recording::{Moments, Recording};
use sockscope::table::{TABLES, Table};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Least number of samples of the recording, a second apart.
const SAMPLES: usize = 5;

fn sockscope(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(args)
        .current_dir(dir)
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(out: &Output) -> String {
    assert!(matches!(out.status.code(), Some(0 | 1)), "{out:?}");
    String::from_utf8(out.stdout.clone()).unwrap()
}

fn error(dir: &Path, args: &[&str]) -> String {
    let out = sockscope(dir, args);
    assert_eq!(out.status.code(), Some(2), "{args:?}: {out:?}");
    String::from_utf8(out.stderr).unwrap()
}

/// A directory with a recording of demo data, `incident`. Its samples are a second apart, the first one at 09:00:00.
fn recording() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(["--demo", "record", "-o", "incident", "--every", "100ms", "--min-free", "0%", "--dns"])
        .current_dir(dir.path())
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let incident = dir.path().join("incident");
    while Recording::open(&incident).map_or(0, |r| r.len()) < SAMPLES {
        assert!(start.elapsed() < Duration::from_secs(30) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .unwrap();
    assert!(child.wait().unwrap().success());
    dir
}

/// Moments of a recording, as they are given to `--at`.
fn moments(dir: &Path) -> Vec<String> {
    let rows = text(&sockscope(dir, &["export", "limits", "--from", "incident", "-c", "limit"]));
    let mut all: Vec<String> = rows
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap()["time"].as_str().unwrap().to_owned())
        .collect();
    all.dedup();
    assert!(all.len() >= SAMPLES, "{all:?}");
    all
}

/// Columns of a table but the one that is resolved while it is printed.
fn columns(table: &Table) -> Vec<&'static Column> {
    table.columns.iter().filter(|c| !c.is(Role::RemoteHost)).collect()
}

/// First moments of a recording: for these `--at` derives each sample before, as a span does.
const COMPARED: usize = 3;

fn names(columns: &[&'static Column]) -> String {
    columns.iter().map(|c| c.name).collect::<Vec<_>>().join(",")
}

/// Rows of `list --at` at each moment, in order, with their time.
fn listed(dir: &Path, table: &Table, names: &str) -> Vec<Value> {
    let all = moments(dir);
    if table.is_stream() {
        let span = ["--between", &all[0], &all[COMPARED - 1], "-f", "json", "-c", names];
        let rows = text(&sockscope(dir, &[&[table.name, "--from", "incident"], &span[..]].concat()));
        return serde_json::from_str(&rows).unwrap();
    }
    let mut out = Vec::new();
    for at in &all[..COMPARED] {
        let args = [table.name, "--from", "incident", "--at", at, "-f", "json", "-c", names];
        let rows: Value = serde_json::from_str(&text(&sockscope(dir, &args))).unwrap();
        for mut row in rows.as_array().unwrap().clone() {
            row["time"] = at.clone().into();
            out.push(row);
        }
    }
    out
}

fn ndjson(text: &str) -> Vec<Value> {
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// A field of a Parquet file as JSON has it.
#[cfg(feature = "parquet")]
fn json_of(field: &parquet::record::Field, storage: Storage) -> Value {
    use parquet::record::Field;
    match field {
        Field::Null => Value::Null,
        Field::Bool(b) => (*b).into(),
        Field::Long(n) => (*n).into(),
        Field::ULong(n) => (*n).into(),
        Field::Double(n) => (*n).into(),
        Field::Str(s) if storage == Storage::Json => serde_json::from_str(s).unwrap(),
        Field::Str(s) => s.clone().into(),
        other => panic!("{other:?}"),
    }
}

/// Rows of a Parquet file.
#[cfg(feature = "parquet")]
fn parquet_rows(file: &Path, columns: &[&'static Column]) -> Vec<Value> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;
    let reader = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
    let row = |row: parquet::record::Row| {
        let mut out = serde_json::Map::new();
        for (i, (name, field)) in row.get_column_iter().enumerate() {
            let value = match (i, field) {
                (0, Field::TimestampMicros(us)) => {
                    let at = std::time::UNIX_EPOCH + Duration::from_micros(*us as u64);
                    humantime::format_rfc3339_micros(at).to_string().into()
                }
                (0, other) => panic!("{other:?}"),
                _ => json_of(field, columns[i - 1].kind.storage()),
            };
            out.insert(name.clone(), value);
        }
        Value::Object(out)
    };
    reader.get_row_iter(None).unwrap().map(|r| row(r.unwrap())).collect()
}

/// Equal, numbers by value: 5 and 5.0 are the same.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| is_same(v, w)))
        }
        _ => a == b,
    }
}

fn assert_same(got: &[Value], want: &[Value], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let differs = |k: &&String| !is_same(&g[k.as_str()], &w[k.as_str()]);
        let keys = w.as_object().unwrap();
        assert_eq!(g.as_object().unwrap().len(), keys.len(), "{what} row {i}");
        if let Some(k) = keys.keys().find(differs) {
            panic!("{what} row {i}: {k}: {} instead of {}", g[k], w[k]);
        }
    }
}

#[test]
fn export_in_each_format_is_what_list_prints_at_each_moment() {
    let dir = recording();
    let dir = dir.path();
    let all = moments(dir);
    let span = ["--between", &all[0], &all[COMPARED - 1]];
    for table in TABLES {
        let columns = columns(table);
        let names = names(&columns);
        let want = listed(dir, table, &names);
        // Demo data has no forward with some protocols only; every table has rows.
        assert!(!want.is_empty(), "{}", table.noun);
        let by_time = |mut rows: Vec<Value>| {
            // The time of an event or a question is its own.
            if table.is_stream() {
                for row in &mut rows {
                    row["time"] = Value::Null;
                }
            }
            rows
        };
        let want = by_time(want);
        let export = |more: &[&str]| {
            sockscope(
                dir,
                &[&["export", table.noun, "--from", "incident", "-c", &names][..], &span, more].concat(),
            )
        };
        let out = ndjson(&text(&export(&[])));
        assert_same(&by_time(out), &want, table.noun);
        #[cfg(feature = "parquet")]
        {
            text(&export(&["-o", "rows.parquet"]));
            let rows = parquet_rows(&dir.join("rows.parquet"), &columns);
            assert_same(&by_time(rows), &want, &format!("{} parquet", table.noun));
        }
        let csv = text(&export(&["-f", "csv"]));
        assert_eq!(csv.matches("\r\n").count(), want.len() + 1, "{}", table.noun);
        assert!(csv.starts_with(&format!("time,{names}\r\n")), "{}", table.noun);
    }
}

#[test]
fn each_table_of_sql_is_what_list_prints() {
    let dir = recording();
    let dir = dir.path();
    let all = moments(dir);
    for table in TABLES.into_iter().filter(|t| !t.is_stream()) {
        let columns = columns(table);
        let want = listed(dir, table, &names(&columns));
        let selected: Vec<String> = columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
        let sql = format!("SELECT time, {} FROM {}", selected.join(","), table.noun);
        let span = ["--between", &all[0], &all[COMPARED - 1]];
        let args = [&["query", &sql, "--from", "incident", "-f", "ndjson"], &span[..]].concat();
        let mut rows = ndjson(&text(&sockscope(dir, &args)));
        for row in &mut rows {
            for c in &columns {
                let value = &mut row[c.name];
                match (c.kind.storage(), &*value) {
                    (Storage::Boolean, Value::Number(n)) => *value = (n.as_i64() == Some(1)).into(),
                    (Storage::Json, Value::String(s)) => *value = serde_json::from_str(s).unwrap(),
                    // Above the integers of SQLite.
                    (Storage::Unsigned, Value::String(s)) => *value = s.parse::<u64>().unwrap().into(),
                    _ => {}
                }
            }
        }
        assert_same(&rows, &want, table.noun);
    }
}

#[test]
fn span_has_the_lines_of_each_of_its_moments() {
    let dir = recording();
    let dir = dir.path();
    let all = moments(dir);
    let (start, end) = (&all[1], &all[3]);
    let columns = ["-f", "ndjson", "-c", "local,remote,state,recv_q"];
    let span = [&["list", "--from", "incident", "--between", start, end], &columns[..]].concat();
    let lines = ndjson(&text(&sockscope(dir, &span)));
    let mut want = Vec::new();
    for at in &all[1..=3] {
        let one = [&["list", "--from", "incident", "--at", at], &columns[..]].concat();
        let seconds = humantime::parse_rfc3339(at).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
        for mut row in ndjson(&text(&sockscope(dir, &one))) {
            row["time"] = seconds.as_secs_f64().into();
            row["hostname"] = lines[0]["hostname"].clone();
            want.push(row);
        }
    }
    assert_same(&lines, &want, "list --between");
    let count = |args: &[&str]| text(&sockscope(dir, args)).lines().count();
    let limits = |args: &[&str]| {
        count(&[&["export", "limits", "--from", "incident", "-c", "limit,subject"], args].concat())
    };
    assert_eq!(limits(&[]), limits(&["--at", &all[0]]) * all.len());
    assert_eq!(limits(&["--between", start, end]), limits(&["--at", start]) * 3);
    assert_eq!(limits(&["--every", "2s"]), limits(&["--at", start]) * all.len().div_ceil(2));
}

#[test]
fn events_of_a_span_are_those_within_it() {
    let dir = recording();
    let dir = dir.path();
    let time = |row: &Value| row["time"].as_str().unwrap().to_owned();
    let all = ndjson(&text(&sockscope(dir, &["export", "events", "--from", "incident"])));
    let (start, end) = ("2026-05-04T09:00:01.300Z", "2026-05-04T09:00:02.700Z");
    let span = ["export", "events", "--from", "incident", "--between", start, end];
    let some = ndjson(&text(&sockscope(dir, &span)));
    let inside = |t: &String| {
        t.as_str() >= "2026-05-04T09:00:01.300000Z" && t.as_str() <= "2026-05-04T09:00:02.700000Z"
    };
    let want: Vec<String> = all.iter().map(time).filter(inside).collect();
    assert!(want.len() > 10 && want.len() < all.len(), "{} of {}", want.len(), all.len());
    assert_eq!(some.iter().map(time).collect::<Vec<_>>(), want);
    let printed = ["events", "--from", "incident", "--between", start, end, "-f", "ndjson"];
    assert_eq!(text(&sockscope(dir, &printed)).lines().count(), want.len());
    let grouped = ["events", "--from", "incident", "-g", "process", "-f", "json"];
    let groups: Value = serde_json::from_str(&text(&sockscope(dir, &grouped))).unwrap();
    let sum: u64 = groups.as_array().unwrap().iter().map(|g| g["count"].as_u64().unwrap()).sum();
    assert_eq!(sum as usize, all.len(), "without a moment all of a recording is read");
    let sql = "SELECT count(*) AS n, min(time) AS first, max(time) AS last FROM events";
    let counted = ["query", sql, "--from", "incident", "--between", start, end, "-f", "ndjson"];
    let row = &ndjson(&text(&sockscope(dir, &counted)))[0];
    assert_eq!(row["n"].as_u64(), Some(want.len() as u64));
    let ends = (want.iter().min().map(String::as_str), want.iter().max().map(String::as_str));
    assert_eq!((row["first"].as_str(), row["last"].as_str()), ends);
}

#[test]
fn span_of_a_command_for_one_moment_is_an_error_that_names_another() {
    let dir = recording();
    for (line, want) in [
        ("list", "--format ndjson"),
        ("limits -f json", "sockscope export"),
        ("ports -f ndjson --count", "--format ndjson"),
        ("who 443", "sockscope export port:PORT"),
        ("diff 5m last", "sockscope diff --from"),
        ("replay", "use --at"),
        ("top", "replay --at"),
        ("screenshot", "replay --at"),
        ("record -o x", "list, events, export, query"),
        ("kill pid:1", "list, events, export, query"),
        ("events --for 1s", "--for"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let args = [&words[..], &["--from", "incident", "--between", "-5m", "last"]].concat();
        let e = error(dir.path(), &args);
        assert!(e.contains("--between") && e.contains(want) && e.lines().count() == 1, "{line}: {e}");
    }
    let e = error(dir.path(), &["events", "--between", "-5m", "last"]);
    assert!(e.contains("requires --from"), "{e}");
    let e = error(dir.path(), &["export", "--from", "incident", "--between", "10:00", "11:00"]);
    assert!(e.contains("no sample between") && e.contains("recorded: 2026-05-04T09:00:00Z"), "{e}");
    let e = error(dir.path(), &["export", "--from", "incident", "--between", "last", "-5m"]);
    assert!(e.contains("before the start"), "{e}");
    let wait = ["list", "--from", "incident", "--between", "-5m", "last", "--wait-for", "state:close-wait"];
    assert!(sockscope(dir.path(), &wait).status.success());
}

#[test]
fn failed_export_leaves_the_file_as_it_was() {
    let dir = recording();
    let dir = dir.path();
    let files = || {
        let mut all: Vec<String> =
            std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        all.sort();
        all
    };
    let before = files();
    for (args, want) in [
        (&["export", "--from", "incident", "-o", "no/such/rows.csv"][..], "write no/such/rows.csv"),
        (&["export", "--from", "incident", "-o", "rows.xls"][..], "--format"),
        (&["export", "--from", "incident", "-c", "recv_k"][..], "did you mean \"recv_q\"?"),
        (&["export", "events"][..], "sockscope events"),
        (&["export", "events", "--every", "1s", "--from", "incident"][..], "--every"),
        (&["export", "--from", "incident", "-f", "csv", "-o", "/dev/full"][..], "write /dev/full"),
    ] {
        let e = error(dir, args);
        assert!(e.contains(want), "{args:?}: {e}");
    }
    assert_eq!(files(), before);
    std::fs::write(dir.join("rows.csv"), "before").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(["--demo", "record", "-o", "long", "--every", "100ms", "--for", "6s", "--min-free", "0%"])
        .current_dir(dir)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.wait().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sockscope"))
        .args(["export", "--from", "long", "-c", "all", "-o", "rows.csv"])
        .current_dir(dir)
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !files().iter().any(|f| f.contains(".csv.")) {
        assert!(start.elapsed() < Duration::from_secs(20) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(2), "{out:?}");
    assert_eq!(std::fs::read_to_string(dir.join("rows.csv")).unwrap(), "before");
    assert!(!files().iter().any(|f| f.contains(".csv.")), "{:?}", files());
}

#[test]
fn error_of_sql_names_its_place_and_what_may_be_meant() {
    let dir = tempfile::tempdir().unwrap();
    for (sql, want) in [
        ("SELECT rtt FROM sockets", "at character 8: no such column: rtt; did you mean \"rtt_us\"?"),
        ("SELECT s.recvq FROM sockets s", "did you mean \"recv_q\"?"),
        ("SELECT \"recvq\" FROM sockets s", "did you mean \"recv_q\"?"),
        ("SELECT tim FROM limits", "did you mean \"time\"?"),
        ("SELECT 1 FROM socket", "no such table: socket; did you mean \"sockets\"?"),
        ("SELECT 1 FROM list", "did you mean \"sockets\"?"),
        ("SELECT 1 FROM zzzzzzzz", "tables: sockets, ports"),
        (
            "SELECT limit FROM limits",
            "at character 8: near \"limit\": syntax error; the column is written \"limit\"",
        ),
        ("SELECT é, rtt FROM sockets", "at character 8"),
        ("SELECT 1 FROM", "incomplete input"),
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("", "no statement"),
        ("SELECT load_extension('x')", "only SELECT"),
        ("ATTACH 'x.db' AS x", "only SELECT"),
        ("VACUUM INTO 'x.db'", "only SELECT"),
        ("PRAGMA temp_store", "only SELECT"),
        ("SELECT * FROM pragma_database_list", "only SELECT"),
        ("CREATE TABLE x (y)", "only SELECT"),
        ("CREATE TEMP VIEW x AS SELECT 1", "only SELECT"),
        ("DELETE FROM sockets", "only SELECT"),
        ("INSERT INTO sockets (pid) VALUES (1) RETURNING pid", "only SELECT"),
        ("BEGIN", "only SELECT"),
        ("SELECT time FROM events", "sockscope events"),
    ] {
        let e = error(dir.path(), &["query", sql]);
        assert!(e.contains(want) && e.lines().count() == 1, "{sql}: {e}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn query_is_printed_in_each_format() {
    let dir = tempfile::tempdir().unwrap();
    let sql = "SELECT 0.1 + 0.2 AS x, -5 AS y, NULL AS z, 'a\x1b\"b' AS t, 2.0 / 3 AS r, x'00ff' AS b";
    for (form, want) in [
        ("csv", "x,y,z,t,r,b\r\n0.30000000000000004,-5,,\"a\\e\"\"b\",0.6666666666666666,00ff\r\n"),
        (
            "ndjson",
            "{\"x\":0.30000000000000004,\"y\":-5,\"z\":null,\"t\":\"a\\u001b\\\"b\",\"r\":0.6666666666666666,\"b\":\"00ff\"}\n",
        ),
    ] {
        assert_eq!(text(&sockscope(dir.path(), &["query", sql, "-f", form])), want, "{form}");
    }
    let table = text(&sockscope(dir.path(), &["query", sql]));
    assert!(
        table.starts_with("  X   Y  Z  T") && table.contains("0.667") && !table.contains('\x1b'),
        "{table}"
    );
    // More rows than are written at once.
    let many =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n";
    let rows: Value =
        serde_json::from_str(&text(&sockscope(dir.path(), &["query", many, "-f", "json"]))).unwrap();
    let numbers: Vec<u64> = rows.as_array().unwrap().iter().map(|r| r["i"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=5000));
    assert_eq!(text(&sockscope(dir.path(), &["query", many, "-f", "ndjson"])).lines().count(), 5000);
    assert_eq!(text(&sockscope(dir.path(), &["query", many, "-f", "csv"])).lines().count(), 5001);
    assert_eq!(text(&sockscope(dir.path(), &["query", many])).lines().count(), 5001);
    for (form, want) in [("json", "[]\n"), ("ndjson", ""), ("csv", "a\r\n"), ("table", "")] {
        let out = sockscope(dir.path(), &["query", "SELECT 1 AS a WHERE 0", "-f", form]);
        assert_eq!((out.status.code(), &*String::from_utf8_lossy(&out.stdout)), (Some(1), want), "{form}");
    }
}

#[test]
fn endless_query_ends_on_interrupt() {
    let dir = tempfile::tempdir().unwrap();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    // A job that a script runs in the background ignores the signal, and so would this one.
    let mut child = Command::new("env")
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_sockscope"), "query", sql])
        .current_dir(dir.path())
        .spawn()
        .unwrap();
    // Until then it is a copy of this process or `env`, which may ignore it.
    let comm = format!("/proc/{}/comm", child.id());
    while std::fs::read_to_string(&comm).unwrap() != "sockscope\n" {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    let endless = child.try_wait().unwrap().is_none();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let ended = child.try_wait().unwrap();
    let _ = child.kill();
    assert!(endless && ended.is_some(), "{endless} {ended:?}");
}

#[test]
fn recipes_of_the_documentation_run() {
    let dir = recording();
    let recipes: Vec<&str> = include_str!("../docs/queries.md").split("```").skip(1).step_by(2).collect();
    assert_eq!(recipes.len(), 10);
    let mut answered = 0;
    for recipe in recipes {
        let script = recipe.strip_prefix("sh\n").unwrap().replace("02:13", "last");
        let program = Path::new(env!("CARGO_BIN_EXE_sockscope")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
        let out = Command::new("sh")
            .args(["-c", &script])
            .current_dir(dir.path())
            .envs([("PATH", path.as_str()), ("XDG_CONFIG_HOME", "/nonexistent")])
            .output()
            .unwrap();
        assert!(matches!(out.status.code(), Some(0 | 1)), "{recipe}: {out:?}");
        answered += usize::from(out.status.success());
    }
    // No listener of the demo data comes or goes.
    assert_eq!(answered, 9);
}

/// Output of a program that reads an export.
fn read_by(dir: &Path, program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).current_dir(dir).output();
    let out = out.unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(out.status.success(), "{program}: {out:?}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
#[ignore = "needs sqlite3: tests/run --daemons"]
fn sqlite3_reads_csv_as_list_prints() {
    let dir = recording();
    let dir = dir.path();
    text(&sockscope(
        dir,
        &["export", "--from", "incident", "-c", "state,local,recv_q,pid", "-o", "rows.csv"],
    ));
    for at in &moments(dir)[..COMPARED] {
        let args = ["list", "--from", "incident", "--at", at, "-f", "json", "-c", "state,local,recv_q,pid"];
        let want: Value = serde_json::from_str(&text(&sockscope(dir, &args))).unwrap();
        let sql = format!(
            "SELECT state, local, CAST(recv_q AS INTEGER) AS recv_q, CAST(nullif(pid, '') AS INTEGER) AS pid \
             FROM rows WHERE time = '{at}' ORDER BY rowid"
        );
        let import = [":memory:", "-cmd", ".mode csv", "-cmd", ".import rows.csv rows", "-cmd", ".mode json"];
        let rows = read_by(dir, "sqlite3", &[&import[..], &[&sql]].concat());
        let rows: Value = serde_json::from_str(&rows).unwrap();
        assert_same(rows.as_array().unwrap(), want.as_array().unwrap(), at);
    }
}

#[test]
#[ignore = "needs a Python with duckdb, named by SOCKSCOPE_TEST_DUCKDB: tests/run --daemons"]
fn duckdb_reads_parquet_as_list_prints() {
    let python = std::env::var("SOCKSCOPE_TEST_DUCKDB").expect("SOCKSCOPE_TEST_DUCKDB");
    let dir = recording();
    let dir = dir.path();
    let all = moments(dir);
    let script = "import duckdb, sys
duckdb.sql(\"SET TimeZone='UTC'\")
duckdb.sql(\"COPY (SELECT * REPLACE (strftime(time, '%Y-%m-%dT%H:%M:%S.%fZ') AS time) FROM 'rows.parquet') \
                  TO 'rows.json' (FORMAT json)\")
print(duckdb.sql(\"SELECT typeof(time) FROM 'rows.parquet' LIMIT 1\").fetchall()[0][0])";
    for table in TABLES {
        let names = names(&columns(table));
        let want = listed(dir, table, &names);
        let span = ["--between", &all[0], &all[COMPARED - 1], "-o", "rows.parquet"];
        let export = ["export", table.noun, "--from", "incident", "-c", &names];
        text(&sockscope(dir, &[&export[..], &span].concat()));
        let time_type = read_by(dir, &python, &["-c", script]);
        assert_eq!(time_type.trim(), "TIMESTAMP WITH TIME ZONE");
        let mut rows = ndjson(&std::fs::read_to_string(dir.join("rows.json")).unwrap());
        let mut want = want;
        if table.is_stream() {
            rows.iter_mut().chain(&mut want).for_each(|row| row["time"] = Value::Null);
        }
        assert_same(&rows, &want, table.noun);
    }
}
