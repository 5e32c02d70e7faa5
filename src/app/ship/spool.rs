//! Batches that wait for the receiver: files of a directory, removed when they were taken.
//!
//! A file is the body of one request, compressed, so that it is sent again byte for byte: the same rows with the same ids. Its name
//! has its number and its rows, so that what is lost can be counted without reading it.

use crate::cli::args::Encoding;
use clap::ValueEnum;
use rustix::fs::{FlockOperation, flock};
use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

impl Encoding {
    /// Value of the header; `None` without compression.
    pub(super) const fn header(self) -> Option<&'static str> {
        match self {
            Self::Zstd => Some("zstd"),
            Self::Gzip => Some("gzip"),
            Self::None => None,
        }
    }

    const fn ending(self) -> &'static str {
        match self {
            Self::Zstd => ".ndjson.zst",
            Self::Gzip => ".ndjson.gz",
            Self::None => ".ndjson",
        }
    }

    /// Compresses.
    pub(super) fn encode(self, text: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd => zstd::encode_all(text, zstd::DEFAULT_COMPRESSION_LEVEL),
            Self::Gzip => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                out.write_all(text)?;
                out.finish()
            }
            Self::None => Ok(text.to_vec()),
        }
    }

    /// Text of what was compressed.
    pub(super) fn decode(self, body: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd => zstd::decode_all(body),
            Self::Gzip => {
                let mut out = Vec::new();
                flate2::read::GzDecoder::new(body).read_to_end(&mut out)?;
                Ok(out)
            }
            Self::None => Ok(body.to_vec()),
        }
    }
}

/// One batch that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Number, in the order in which batches are made.
    pub(super) number: u64,
    /// Its rows.
    pub(super) rows: u64,
    /// Size of its file.
    pub(super) bytes: u64,
    /// Its compression.
    pub(super) encoding: Encoding,
}

impl Entry {
    fn name(&self) -> String {
        format!("{:020}-{}{}", self.number, self.rows, self.encoding.ending())
    }

    /// The entry of a file name, without its size.
    fn parse(name: &str) -> Option<Self> {
        let encoding = Encoding::value_variants().iter().copied().find(|e| name.ends_with(e.ending()))?;
        let (number, rows) = name.strip_suffix(encoding.ending())?.split_once('-')?;
        Some(Self { number: number.parse().ok()?, rows: rows.parse().ok()?, bytes: 0, encoding })
    }
}

/// Batches and rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    /// Batches.
    pub(super) batches: u64,
    /// Rows in them.
    pub(super) rows: u64,
}

impl Amount {
    fn add(&mut self, rows: u64) {
        self.batches += 1;
        self.rows += rows;
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Entry>,
    bytes: u64,
    next: u64,
    /// Batch that is being sent: it is not removed to make room.
    sending: Option<u64>,
    lost: Amount,
}

/// The directory of batches.
#[derive(Debug)]
pub(super) struct Spool {
    dir: PathBuf,
    max: u64,
    state: Mutex<State>,
    id: String,
    /// Holds the lock.
    _lock: File,
}

/// Directory of batches that the receiver refuses for what is in them.
const REFUSED: &str = "refused";

impl Spool {
    /// Opens the directory, made if it is missing, with what waits in it; `max`: bytes of all batches.
    pub(super) fn open(dir: &Path, max: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(dir.join("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| io::Error::other("another sockscope ships from there"))?;
        let mut entries = Vec::new();
        for file in fs::read_dir(dir)? {
            let file = file?;
            let name = file.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.strip_suffix(".part").is_some() {
                fs::remove_file(file.path())?;
            } else if let Some(entry) = Entry::parse(name) {
                entries.push(Entry { bytes: file.metadata()?.len(), ..entry });
            }
        }
        entries.sort_unstable_by_key(|e| e.number);
        let id = match fs::read_to_string(dir.join("id")) {
            Ok(id) if !id.trim().is_empty() => id.trim().to_owned(),
            _ => {
                let id = random_id()?;
                fs::write(dir.join("id"), format!("{id}\n"))?;
                id
            }
        };
        // Numbers of an earlier run are not used again, also if none of its batches waits.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_micros() as u64);
        let state = State {
            bytes: entries.iter().map(|e| e.bytes).sum(),
            next: entries.last().map_or(0, |e| e.number + 1).max(now),
            waiting: entries.into(),
            ..State::default()
        };
        Ok(Self { dir: dir.to_owned(), max, state: Mutex::new(state), id, _lock: lock })
    }

    /// Identity of the directory, in the ids of its batches: random, made with it.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a batch. Above the size of all, the oldest ones are removed and counted as lost; so is this one if it cannot be
    /// written.
    pub(super) fn push(&self, text: &[u8], rows: u64, encoding: Encoding) -> io::Result<()> {
        let body = encoding.encode(text)?;
        let mut state = self.state();
        let entry = Entry { number: state.next, rows, bytes: body.len() as u64, encoding };
        state.next += 1;
        while state.bytes + entry.bytes > self.max {
            let oldest = state.waiting.iter().position(|e| Some(e.number) != state.sending);
            let Some(oldest) = oldest.and_then(|i| state.waiting.remove(i)) else { break };
            state.bytes -= oldest.bytes;
            state.lost.add(oldest.rows);
            fs::remove_file(self.path(&oldest))?;
        }
        if let Err(e) = self.write(&entry, &body) {
            state.lost.add(rows);
            return Err(e);
        }
        state.bytes += entry.bytes;
        state.waiting.push_back(entry);
        Ok(())
    }

    /// Writes a file whole or not at all.
    fn write(&self, entry: &Entry, body: &[u8]) -> io::Result<()> {
        let path = self.path(entry);
        let part = self.dir.join(format!("{}.part", entry.name()));
        let write = || {
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&part)?;
            file.write_all(body)?;
            file.sync_data()?;
            fs::rename(&part, &path)
        };
        write().inspect_err(|_| {
            let _ = fs::remove_file(&part);
        })
    }

    fn path(&self, entry: &Entry) -> PathBuf {
        self.dir.join(entry.name())
    }

    /// The oldest batch that waits, or one of those behind it; it is not removed to make room until the next call.
    pub(super) fn take(&self, behind: usize) -> Option<Entry> {
        let mut state = self.state();
        let entry = state.waiting.get(behind).copied();
        state.sending = entry.map(|e| e.number);
        entry
    }

    /// Body of a batch.
    pub(super) fn read(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        fs::read(self.path(entry))
    }

    /// Removes a batch that was taken.
    pub(super) fn remove(&self, entry: &Entry) -> io::Result<()> {
        self.forget(entry);
        fs::remove_file(self.path(entry))
    }

    /// Puts a batch aside that the receiver refuses. It no longer counts for the size of all.
    pub(super) fn refuse(&self, entry: &Entry) -> io::Result<PathBuf> {
        self.forget(entry);
        let dir = self.dir.join(REFUSED);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let to = dir.join(entry.name());
        fs::rename(self.path(entry), &to)?;
        Ok(to)
    }

    fn forget(&self, entry: &Entry) {
        let mut state = self.state();
        if let Some(i) = state.waiting.iter().position(|e| e.number == entry.number) {
            state.waiting.remove(i);
            state.bytes -= entry.bytes;
        }
        state.sending = None;
    }

    /// Batches and rows that wait.
    pub(super) fn waiting(&self) -> Amount {
        let state = self.state();
        Amount { batches: state.waiting.len() as u64, rows: state.waiting.iter().map(|e| e.rows).sum() }
    }

    /// Takes the number of batches and rows lost since the last call.
    pub(super) fn take_lost(&self) -> Amount {
        std::mem::take(&mut self.state().lost)
    }
}

/// Sixteen random hexadecimal digits.
pub(super) fn random_id() -> io::Result<String> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of the batches that wait.
    fn waiting(spool: &Spool) -> Vec<u64> {
        (0..).map_while(|i| spool.take(i)).map(|e| e.rows).collect()
    }

    #[test]
    fn batches_survive_a_restart_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut numbers = Vec::new();
        for (rows, encoding) in (1..).zip(Encoding::value_variants().iter().copied()) {
            let spool = Spool::open(dir.path(), 1 << 20).unwrap();
            spool.push(b"{\"a\":1}\n{\"a\":2}\n", rows, encoding).unwrap();
            numbers.extend(spool.take(rows as usize - 1).map(|e| e.number));
        }
        assert!(numbers.len() == 3 && numbers.is_sorted());
        // Part of a file, as a crash leaves it, and a file of somebody else.
        fs::write(dir.path().join("00000000000000000009-5.ndjson.zst.part"), "x").unwrap();
        fs::write(dir.path().join("notes.txt"), "x").unwrap();
        let spool = Spool::open(dir.path(), 1 << 20).unwrap();
        assert!(Spool::open(dir.path(), 1).is_err(), "locked");
        assert_eq!(waiting(&spool), [1, 2, 3]);
        assert_eq!(spool.waiting(), Amount { batches: 3, rows: 6 });
        while let Some(entry) = spool.take(0) {
            let text = entry.encoding.decode(&spool.read(&entry).unwrap()).unwrap();
            assert_eq!(text, b"{\"a\":1}\n{\"a\":2}\n");
            spool.remove(&entry).unwrap();
        }
        let id = spool.id().to_owned();
        drop(spool);
        let spool = Spool::open(dir.path(), 1 << 20).unwrap();
        spool.push(b"{}\n", 1, Encoding::None).unwrap();
        assert!(!numbers.contains(&spool.take(0).unwrap().number), "numbers are not used again");
        assert_eq!(spool.id(), id);
        assert!(!dir.path().join("00000000000000000009-5.ndjson.zst.part").exists());
        assert!(dir.path().join("notes.txt").exists());
    }

    #[test]
    fn oldest_batches_make_room_and_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), 100).unwrap();
        for rows in 1..=5 {
            spool.push(&[b'x'; 40], rows, Encoding::None).unwrap();
            // The first one is being sent.
            assert_eq!(spool.take(0).unwrap().rows, 1);
        }
        assert_eq!(waiting(&spool), [1, 5]);
        assert_eq!(spool.take_lost(), Amount { batches: 3, rows: 2 + 3 + 4 });
        assert_eq!(spool.take_lost(), Amount::default());
        let (first, files) = (spool.take(0).unwrap(), || fs::read_dir(dir.path()).unwrap().count());
        assert_eq!(files(), 4, "two batches, the lock and the id");
        let aside = spool.refuse(&first).unwrap();
        assert!(aside.exists() && waiting(&spool) == [5]);
    }

    #[test]
    fn batch_that_cannot_be_written_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), 100).unwrap();
        fs::remove_dir_all(dir.path()).unwrap();
        assert!(spool.push(b"{}", 7, Encoding::None).is_err());
        assert_eq!(spool.take_lost(), Amount { batches: 1, rows: 7 });
        assert_eq!(waiting(&spool), [0_u64; 0]);
    }
}
