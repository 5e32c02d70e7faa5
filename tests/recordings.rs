//! Recordings that are kept permanently, one for each schema: `tests/recordings/schema-N/`.
//!
//! Each is read, and every table of its last moment is compared with the JSON that is kept beside it. After `SCHEMA` was raised,
//! `SOCKSCOPE_KEEP=1 cargo test --test recordings` writes the recording of the new schema, from demo data; one that is there stays as
//! it is. `SOCKSCOPE_EXPECT=1` writes the JSON again, after a column was added.

// Tests may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use sockscope::collect::Source;
use sockscope::collect::scenario::{Scenario, ScenarioSource};
use sockscope::derive::Engine;
use sockscope::format::Style;
use sockscope::frame::{Encoder, FrameKind, SCHEMA};
use sockscope::model::limit::NetCounters;
use sockscope::model::{Sample, Wants, nft};
use sockscope::output::{Format, JsonKeys, Listing, Rows, write};
use sockscope::recording::{Moments, Recording, Retention, Writer};
use sockscope::table::TABLES;
use sockscope::view::View;
use std::path::{Path, PathBuf};

/// Samples of a kept recording, and the first that is a key frame again.
const SAMPLES: usize = 6;
const SECOND_KEY: usize = 4;
/// Time of the first, 2026-05-04T09:00:00Z.
const FIRST: u64 = 1_777_885_200_000_000_000;

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

/// Samples of demo data a second apart, with a ruleset and a namespace beside.
fn samples() -> Vec<Sample> {
    let mut source = ScenarioSource::new(Scenario::named("busy-web").unwrap());
    let sample = |i: usize| {
        let mut sample = source.sample(&Wants::recording()).unwrap();
        (sample.at.unix_ns, sample.duration_us) = (FIRST + i as u64 * 1_000_000_000, 5_000);
        let net = NetCounters { time_wait: Some(7), time_wait_max: Some(4096), ..NetCounters::default() };
        sample.counters.get_or_insert_default().nets.push(net);
        let rules = sample.netfilter.get_or_insert_default();
        if rules.nft.is_empty() {
            // tcp dport 8088 dnat to 172.17.0.2:80
            let port = nft::Expr::Payload {
                dreg: Some(1),
                base: Some(2),
                offset: Some(2),
                len: Some(2),
                sreg: None,
            };
            let is =
                nft::Expr::Cmp { sreg: Some(1), op: Some(0), data: Some(nft::Data::Value([31, 152].into())) };
            let set = |reg, bytes: &[u8]| nft::Expr::Immediate {
                dreg: Some(reg),
                data: Some(nft::Data::Value(bytes.into())),
            };
            let nat = nft::Expr::Nat {
                kind: Some(1),
                family: Some(2),
                addr_min: Some(1),
                addr_max: None,
                proto_min: Some(2),
                proto_max: None,
                flags: None,
            };
            let expressions = vec![port, is, set(1, &[172, 17, 0, 2]), set(2, &[0, 80]), nat];
            let chain = nft::Chain {
                name: "prerouting".into(),
                kind: Some("nat".into()),
                hook: Some(nft::Hook { number: Some(0), priority: -100 }),
                rules: vec![nft::Rule { handle: 4, expressions }],
                ..nft::Chain::default()
            };
            let table =
                nft::Table { family: 2, name: "nat".into(), chains: vec![chain], ..nft::Table::default() };
            rules.nft.push(nft::Ruleset { netns: 0, tables: vec![table] });
        }
        sample
    };
    (0..SAMPLES).map(sample).collect()
}

/// Writes the recording of the schema of today, if there is none.
fn keep(dir: &Path) {
    let mut writer = Writer::open(dir, Retention { min_free: 0, ..Retention::default() }).unwrap();
    let mut encoder = Encoder::new();
    let mut before = None;
    for (i, sample) in samples().into_iter().enumerate() {
        if writer.needs_key(sample.at) || i == SECOND_KEY {
            encoder.restart();
        }
        let frame = encoder.frame(&sample, before.as_ref()).unwrap();
        let kind = if encoder.is_at_key() { FrameKind::Key } else { FrameKind::Delta };
        writer.write(&frame, kind, sample.at).unwrap();
        before = Some(sample);
    }
    writer.close().unwrap();
    let _ = std::fs::remove_file(dir.join(".sscope.lock"));
}

/// The first rows of every table at the last moment, with the columns that are shown unless others are chosen, and facts of all samples.
fn read(dir: &Path) -> String {
    let mut recording = Recording::open(dir).unwrap();
    assert_eq!((recording.len(), recording.skipped_bytes()), (SAMPLES, 0));
    let mut engine = Engine::new();
    let mut last = None;
    let (mut events, mut sockets) = (0, 0);
    for n in 0..recording.len() {
        let sample = recording.sample(n).unwrap().clone();
        assert_eq!(sample.at.unix_ns, FIRST + n as u64 * 1_000_000_000);
        events += sample.events.list.len();
        sockets += sample.sockets.len();
        last = Some(engine.step(sample));
    }
    let snap = last.unwrap();
    let sample = &snap.sample;
    // What a kept recording has to show: each kind of data.
    assert!(events > 0 && sockets > 0);
    assert!(sample.namespaces.len() > 1 && !sample.processes.is_empty() && !sample.owners.is_empty());
    assert!(!sample.containers.is_empty() || !sample.cgroups.is_empty());
    assert!(sample.counters.is_some() && sample.netfilter.as_ref().is_some_and(|n| !n.nft.is_empty()));
    let mut out = format!("{events} events, {sockets} sockets in all samples\n").into_bytes();
    for table in TABLES {
        out.extend(format!("\n# {}\n", table.name).bytes());
        let columns = table.default_columns();
        let mut rows = View::new(table).arrange(&snap).rows;
        rows.truncate(60);
        let listing = Listing {
            grid: &Rows { snap: &snap, columns: &columns, rows: &rows },
            header: true,
            style: &Style::default(),
            width: None,
            optional: 0,
            named: &[],
            keys: JsonKeys::Columns,
            color: false,
        };
        write(&mut out, Format::Ndjson, &listing).unwrap();
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn kept_recording_of_each_schema_is_read_as_ever() {
    let is_set = |name| std::env::var_os(name).is_some();
    for schema in 1..=SCHEMA {
        let dir = kept().join(format!("schema-{schema}"));
        let is_new = schema == SCHEMA && is_set("SOCKSCOPE_KEEP") && !dir.exists();
        if is_new {
            keep(&dir);
        }
        assert!(
            dir.is_dir(),
            "no recording is kept of schema {schema}: SOCKSCOPE_KEEP=1 cargo test --test recordings"
        );
        // The directory has the schema of its name: the number was not raised without a recording.
        let file = std::fs::read_dir(&dir).unwrap().flatten().map(|e| e.path());
        let file = file.into_iter().find(|p| p.extension().is_some_and(|e| e == "sscope")).unwrap();
        let bytes = std::fs::read(file).unwrap();
        assert_eq!(u16::from_le_bytes([bytes[14], bytes[15]]), schema);
        let rows = read(&dir);
        let expected = dir.join("expected.ndjson");
        if is_new || is_set("SOCKSCOPE_EXPECT") {
            std::fs::write(&expected, &rows).unwrap();
        }
        let expected = std::fs::read_to_string(expected).unwrap();
        let differs = rows.lines().zip(expected.lines()).find(|(a, b)| a != b);
        assert!(differs.is_none() && rows.len() == expected.len(), "schema {schema}: {differs:#?}");
    }
    // Nothing of a schema that does not exist.
    let dirs = std::fs::read_dir(kept()).unwrap().count();
    assert_eq!(dirs, usize::from(SCHEMA));
}
