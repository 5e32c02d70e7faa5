//! Writes the files of a recording.

use super::retention::{Retention, file_name, files, is_recording, remove_oldest};
use super::{RecordingError, scan};
use crate::frame::{FrameError, FrameKind, seal};
use crate::model::Stamp;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// File that is locked while a process writes to the directory.
const LOCK: &str = ".sscope.lock";

/// Result of writing one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the file.
    Written,
    /// It is not, for this reason. The next frame must be a key frame.
    Dropped(String),
}

/// File that is written.
#[derive(Debug)]
struct Current {
    path: PathBuf,
    file: File,
    /// Length up to the last whole frame.
    len: u64,
}

/// Writer of a recording: the only one of its directory.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    retention: Retention,
    current: Option<Current>,
    last: Stamp,
    /// Held for the lifetime of the writer.
    _lock: File,
}

impl Writer {
    /// Opens a directory, which is made if it does not exist, and locks it.
    pub fn open(dir: &Path, retention: Retention) -> Result<Self, RecordingError> {
        fs::create_dir_all(dir).map_err(|e| RecordingError::io("make directory", dir, e))?;
        let path = dir.join(LOCK);
        let lock = create(&path, OFlags::RDWR).map_err(|e| RecordingError::io("open", &path, e))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(RecordingError::Locked(dir.to_owned())),
            Err(e) => return Err(RecordingError::io("lock", &path, e)),
        }
        let last = Stamp { boot_ns: 0, unix_ns: 0 };
        let mut out = Self { dir: dir.to_owned(), retention, current: None, last, _lock: lock };
        // What a killed writer left behind ends at its last whole frame. A file with other content stays as it is.
        if let Some((path, _)) = files(dir)?.pop()
            && File::open(&path).is_ok_and(|file| is_recording(&file).unwrap_or(false))
        {
            out.append_to(&path)?;
            out.current = None;
        }
        Ok(out)
    }

    /// Opens a file for appending, cut back to its last whole frame.
    fn append_to(&mut self, path: &Path) -> Result<&mut Current, RecordingError> {
        let failed = |operation| move |e: io::Error| RecordingError::io(operation, path, e);
        let file =
            create(path, OFlags::RDWR | OFlags::APPEND).map_err(|e| RecordingError::io("open", path, e))?;
        if !is_recording(&file).map_err(failed("read"))? {
            return Err(failed("write")(io::Error::other("it has other content than a recording")));
        }
        let len = scan::whole_length(&file).map_err(failed("read"))?;
        if file.metadata().map_err(failed("read"))?.len() > len {
            file.set_len(len).map_err(failed("cut"))?;
        }
        Ok(self.current.insert(Current { path: path.to_owned(), file, len }))
    }

    /// Writes one frame. The first of a file must be a key frame: see [`Self::needs_key`].
    pub fn write(&mut self, frame: &[u8], kind: FrameKind, at: Stamp) -> Result<Outcome, RecordingError> {
        let path = self.dir.join(file_name(at.unix_ns));
        if self.current.as_ref().is_none_or(|c| c.path != path) {
            self.append_to(&path)?;
            self.retention.apply(&self.dir, &path, at.unix_ns)?;
        } else if kind == FrameKind::Key {
            self.retention.apply(&self.dir, &path, at.unix_ns)?;
        }
        self.last = at;
        let Some(current) = &mut self.current else { return Ok(Outcome::Dropped(String::new())) };
        if kind == FrameKind::Key
            && let Some(why) = self.retention.exceeded(&self.dir, current.len)
        {
            return Ok(Outcome::Dropped(why));
        }
        let mut written = current.file.write_all(frame);
        while let Err(e) = &written
            && is_full(e)
        {
            let _ = current.file.set_len(current.len);
            if !remove_oldest(&self.dir, &current.path) {
                break;
            }
            written = current.file.write_all(frame);
        }
        match written {
            Ok(()) => current.len += frame.len() as u64,
            Err(e) => {
                let _ = current.file.set_len(current.len);
                if is_full(&e) {
                    return Ok(Outcome::Dropped(format!("{}: {e}", current.path.display())));
                }
                return Err(RecordingError::io("write", &current.path, e));
            }
        }
        // At most a minute is lost when the power fails.
        if kind == FrameKind::Key {
            current.file.sync_data().map_err(|e| RecordingError::io("sync", &current.path, e))?;
        }
        Ok(Outcome::Written)
    }

    /// True if the frame of this time begins a file, and must be a key frame.
    pub fn needs_key(&self, at: Stamp) -> bool {
        let path = self.dir.join(file_name(at.unix_ns));
        self.current.as_ref().is_none_or(|c| c.path != path)
    }

    /// Closes the recording with a frame that marks its end.
    pub fn close(mut self) -> Result<(), RecordingError> {
        if self.current.is_none() {
            return Ok(());
        }
        let end = seal(FrameKind::End, self.last, &[], &[])
            .map_err(|source: FrameError| RecordingError::Frame { path: self.dir.clone(), source })?;
        let Some(current) = &mut self.current else { return Ok(()) };
        let closed = current.file.write_all(&end).and_then(|()| current.file.sync_data());
        closed.map_err(|e| RecordingError::io("write", &current.path, e))
    }
}

/// Opens a file of the recording, made if it does not exist: readable by its owner alone, since it holds command lines, and never
/// through a link.
fn create(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags =
        flags | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = match open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file),
        Err(Errno::LOOP) => return Err(io::Error::other("it is a symbolic link")),
        Err(e) => return Err(e.into()),
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// True if there is no space: `ENOSPC`, `EDQUOT`, `EFBIG`.
fn is_full(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
