//! Recordings of real sockets: what is read back, and writers that are killed, locked out or without space.

use super::netns::Program;
use super::world::{World, listen};
use crate::wait::until_ok;
use sockscope::collect::Source;
use sockscope::collect::sock_diag::NetlinkSource;
use sockscope::derive::Engine;
use sockscope::format::Style;
use sockscope::frame::{Encoder, FrameKind, Frames};
use sockscope::model::{Snapshot, Wants};
use sockscope::output::{Format, JsonKeys, Listing, Rows, write};
use sockscope::recording::{Moments, Outcome, Recording, Retention, Writer};
use sockscope::table::{TABLES, TableId};
use sockscope::view::View;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const US: &str = env!("CARGO_BIN_EXE_sockscope");

/// Moments after which what was written is read back.
const READ_AFTER: usize = 50;

/// Rows of the sockets with every column as JSON, at each twentieth moment of all tables.
fn json(snap: &Snapshot, moment: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for table in TABLES.iter().filter(|t| t.id == TableId::Sockets || moment.is_multiple_of(20)) {
        let columns: Vec<_> = table.columns.iter().collect();
        let rows = View::new(table).arrange(snap).rows;
        let listing = Listing {
            grid: &Rows { snap, columns: &columns, rows: &rows },
            header: true,
            style: &Style::default(),
            width: None,
            optional: 0,
            named: &[],
            keys: JsonKeys::Columns,
            color: false,
        };
        write(&mut out, Format::Json, &listing).expect("rows");
    }
    out
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Samples under churn, `SOCKSCOPE_MOMENTS` of them, read back while the recording is written.
pub(crate) fn replay_gives_the_json_of_each_moment() -> Result<(), String> {
    let moments = number("SOCKSCOPE_MOMENTS", 1000);
    // Few sockets, and others all the time.
    fs::write("/proc/sys/net/ipv4/tcp_max_tw_buckets", "8")
        .map_err(|e| format!("tcp_max_tw_buckets: {e}"))?;
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut source = NetlinkSource::new("requested".into()).map_err(|e| e.to_string())?;
    let mut writer = Writer::open(dir.path(), Retention { min_free: 0, ..Retention::default() })
        .map_err(|e| e.to_string())?;
    let (mut engine, mut replaying, mut encoder) = (Engine::new(), Engine::new(), Encoder::new());
    let listener = listen("127.0.0.1:0", 64, false);
    let mut world = World::default();
    let mut live = Vec::new();
    let mut before = None;
    for i in 0..moments {
        world.established(&listener, None);
        match i % 4 {
            0 => world.close_wait(&listener),
            1 => World::time_wait(&listener),
            2 => drop(world.streams.drain(..world.streams.len() / 3)),
            _ => world.unread(&listener, 100),
        }
        let sample = source.sample(&Wants::recording()).map_err(|e| e.to_string())?;
        if writer.needs_key(sample.at) {
            encoder.restart();
        }
        let frame = encoder.frame(&sample, before.as_ref()).map_err(|e| e.to_string())?;
        let kind = if encoder.is_at_key() { FrameKind::Key } else { FrameKind::Delta };
        let outcome = writer.write(&frame, kind, sample.at).map_err(|e| e.to_string())?;
        if outcome != Outcome::Written {
            return Err(format!("{outcome:?}"));
        }
        live.push(json(&engine.step(sample.clone()), i));
        before = Some(sample);
        if live.len() == READ_AFTER || i + 1 == moments {
            replayed(dir.path(), &mut replaying, i + 1 - live.len(), &live)?;
            live.clear();
        }
    }
    writer.close().map_err(|e| e.to_string())?;
    match Recording::open(dir.path()).map_err(|e| e.to_string())?.len() {
        n if n == moments => Ok(()),
        n => Err(format!("{n} of {moments} samples")),
    }
}

/// Compares the moments of a recording from `first` on with what they were live.
fn replayed(dir: &Path, engine: &mut Engine, first: usize, live: &[Vec<u8>]) -> Result<(), String> {
    let mut recording = Recording::open(dir).map_err(|e| e.to_string())?;
    for (moment, want) in (first..).zip(live) {
        let sample = recording.sample(moment).map_err(|e| format!("moment {moment}: {e}"))?.clone();
        let got = json(&engine.step(sample), moment);
        if got != *want {
            let (got, want) = (String::from_utf8_lossy(&got), String::from_utf8_lossy(want));
            let line = got.split(',').zip(want.split(',')).find(|(g, w)| g != w);
            return Err(format!("moment {moment}: {line:?}"));
        }
    }
    Ok(())
}

fn record(dir: &Path, more: &[&str]) -> Result<Program, String> {
    let mut command = Command::new(US);
    command.args(["record", "--every", "100ms", "--min-free", "0%", "-o"]).arg(dir).args(more);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    child.map(Program).map_err(|e| e.to_string())
}

/// Bytes of all files of the recording.
fn bytes(dir: &Path) -> u64 {
    let sizes = fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|e| e.metadata().ok());
    sizes.map(|m| m.len()).sum()
}

/// Ends a writer that has no chance to do anything about it.
fn kill(mut child: Program) {
    let _ = child.0.kill();
    let _ = child.0.wait();
}

/// Kills a writer at `SOCKSCOPE_KILLS` moments, one after the other in one directory.
pub(crate) fn killed_writer_leaves_whole_samples() -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut samples = 0;
    for i in 0..number("SOCKSCOPE_KILLS", 12) {
        let before = bytes(dir.path());
        let child = record(dir.path(), &[])?;
        until_ok(|| if bytes(dir.path()) > before { Ok(()) } else { Err("nothing is written".into()) })?;
        std::thread::sleep(Duration::from_micros((i as u64 * 7_919) % 60_000));
        kill(child);
        let mut recording = Recording::open(dir.path()).map_err(|e| e.to_string())?;
        if recording.len() <= samples {
            return Err(format!("{} samples after kill {i}, {samples} before", recording.len()));
        }
        for n in samples..recording.len() {
            recording.sample(n).map_err(|e| format!("kill {i}, sample {n}: {e}"))?;
        }
        samples = recording.len();
    }
    Ok(())
}

pub(crate) fn second_writer_is_refused() -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let first = record(dir.path(), &[])?;
    until_ok(|| if bytes(dir.path()) > 0 { Ok(()) } else { Err("nothing is written".into()) })?;
    let second =
        Command::new(US).arg("record").arg("-o").arg(dir.path()).output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    if second.status.code() != Some(2) || !text.contains("another sockscope records there") {
        return Err(format!("{}: {text}", second.status));
    }
    kill(first);
    // The lock ends with its process.
    let third = Command::new(US)
        .args(["record", "--every", "100ms", "--for", "300ms", "--min-free", "0%", "-o"])
        .arg(dir.path())
        .output()
        .map_err(|e| e.to_string())?;
    if third.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&third.stderr).into_owned()) }
}

/// Waits for a line on standard error.
fn wait_for_line(child: &mut Child, wanted: &str) -> Result<(), String> {
    let stderr = child.stderr.as_mut().ok_or("no standard error")?;
    let mut text = Vec::new();
    let mut byte = [0];
    while stderr.read(&mut byte).map_err(|e| e.to_string())? == 1 {
        text.push(byte[0]);
        if byte[0] == b'\n' && String::from_utf8_lossy(&text).contains(wanted) {
            return Ok(());
        }
    }
    Err(format!("no line with {wanted:?}: {}", String::from_utf8_lossy(&text)))
}

/// Records on a file system of its own until it is full, then makes space.
pub(crate) fn full_file_system_pauses_the_recording() -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    super::netns::sh(&format!("mount -t tmpfs -o size=512k tmpfs {}", dir.path().display()))?;
    let filler = dir.path().join("filler");
    fs::write(&filler, vec![0; 300 << 10]).map_err(|e| e.to_string())?;
    // Sockets that come and go make frames that are not empty.
    let listener = listen("127.0.0.1:0", 64, false);
    let mut world = World::default();
    for _ in 0..200 {
        world.established(&listener, None);
    }
    let mut child = record(dir.path(), &[])?;
    wait_for_line(&mut child.0, "recording paused")?;
    fs::remove_file(&filler).map_err(|e| e.to_string())?;
    wait_for_line(&mut child.0, "recording again")?;
    kill(child);
    let file = fs::read_dir(dir.path())
        .map_err(|e| e.to_string())?
        .flatten()
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "sscope"))
        .ok_or("no file")?;
    let mut frames = Frames::new(File::open(file).map_err(|e| e.to_string())?);
    let mut samples = 0;
    while let Some(sample) = frames.sample().map_err(|e| e.to_string())? {
        sample.map_err(|e| e.to_string())?;
        samples += 1;
    }
    let skipped = frames.skipped();
    if samples < 2 || skipped.bytes != 0 || skipped.frames != 0 {
        return Err(format!("{samples} samples, {skipped:?}"));
    }
    Ok(())
}

/// A listener opened after the recording is a difference, and its end is none any more.
pub(crate) fn diff_finds_the_new_listener() -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let diff = |more: &[&str]| {
        let mut command = Command::new(US);
        command.arg("diff").arg(dir.path()).args(["now", "--only", "listeners", "-f", "ndjson"]).args(more);
        let out = command.output().map_err(|e| e.to_string())?;
        Ok::<_, String>((out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned()))
    };
    let recorded = Command::new(US)
        .args(["record", "--every", "100ms", "--for", "300ms", "--min-free", "0%", "-o"])
        .arg(dir.path())
        .output()
        .map_err(|e| e.to_string())?;
    if !recorded.status.success() {
        return Err(String::from_utf8_lossy(&recorded.stderr).into_owned());
    }
    let same = diff(&[])?;
    let listener = listen("127.0.0.1:7979", 9, false);
    let (code, rows) = diff(&[])?;
    drop(listener);
    let again = diff(&[])?;
    let row: serde_json::Value = serde_json::from_str(rows.trim()).map_err(|e| format!("{e}: {rows}"))?;
    let is_new = row["change"] == "new"
        && row["name"] == "tcp 127.0.0.1:7979"
        && row["after"] == "loopback, backlog 9"
        && row["before"].is_null();
    if same != (Some(0), String::new()) || again != same || code != Some(1) || !is_new {
        return Err(format!("{same:?}; {code:?} {rows}; {again:?}"));
    }
    Ok(())
}
