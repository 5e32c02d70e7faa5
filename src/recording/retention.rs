//! Names of the files of a recording, and which of them are removed.

use super::RecordingError;
use super::scan::whole_length;
use crate::frame::MAGIC;
use rustix::fs::{Mode, OFlags};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// End of the name of a file.
const EXTENSION: &str = ".sscope";

/// Limits of a recording. The oldest files go first; the one that is written stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Time for which a sample is kept at least.
    pub keep: Duration,
    /// Bytes of all files.
    pub max_size: u64,
    /// Free space of the file system, percent.
    pub min_free: u8,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep: Duration::from_secs(24 * 3600), max_size: 1 << 30, min_free: 5 }
    }
}

/// Name of the file of the hour of a time, nanoseconds since 1970: `2026-11-26T21.sscope`.
pub fn file_name(unix_ns: u64) -> String {
    let time = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_ns));
    // 2026-11-26T21:05:00Z up to the hour.
    let hour: String = time.to_string().chars().take(13).collect();
    hour + EXTENSION
}

/// True for a name that [`file_name`] makes: no other file is removed, or read as part of a directory.
pub fn is_recording_name(name: &str) -> bool {
    let Some(hour) = name.strip_suffix(EXTENSION) else { return false };
    hour.len() == 13
        && hour.bytes().enumerate().all(|(i, c)| match i {
            4 | 7 => c == b'-',
            10 => c == b'T',
            _ => c.is_ascii_digit(),
        })
}

/// Files of a recording in a directory, oldest first, with their sizes. Links and what is not a regular file are left out.
pub(super) fn files(dir: &Path) -> Result<Vec<(PathBuf, u64)>, RecordingError> {
    let failed = |e| RecordingError::io("read", dir, e);
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_str().is_some_and(is_recording_name) {
            continue;
        }
        // Gone meanwhile: removed by its writer.
        if let Ok(data) = entry.metadata()
            && data.is_file()
        {
            out.push((entry.path(), data.len()));
        }
    }
    out.sort();
    Ok(out)
}

/// True if a file of such a name is a recording: it begins with a frame, or has one. A file without any bytes but zeros is what a power
/// failure leaves.
pub(super) fn is_recording(file: &File) -> io::Result<bool> {
    let mut first = [0; MAGIC.len()];
    let read = file.read_at(&mut first, 0)?;
    let first = &first[..read];
    Ok(MAGIC.starts_with(first) || first.iter().all(|b| *b == 0) || whole_length(file)? > 0)
}

/// Removes a file of a recording. One with other content stays: its name is an accident.
fn remove(path: &Path) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let is_ours = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => is_recording(&File::from(file))?,
        Err(_) => false,
    };
    if is_ours {
        fs::remove_file(path)?;
    }
    Ok(is_ours)
}

/// Share of the file system that is free for its users, percent; `None` if it cannot be asked.
fn free_percent(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    stat.f_bavail.saturating_mul(100).checked_div(stat.f_blocks)
}

impl Retention {
    /// Removes the oldest files until the limits hold; `now` is the time of the newest sample, `current` the file that is
    /// written. Returns the number of files removed.
    pub(super) fn apply(&self, dir: &Path, current: &Path, now: u64) -> Result<usize, RecordingError> {
        let keep_ns = u64::try_from(self.keep.as_nanos()).unwrap_or(u64::MAX);
        // The file of that hour still has samples that are kept.
        let oldest = file_name(now.saturating_sub(keep_ns));
        let mut files = files(dir)?;
        files.retain(|(path, _)| path != current);
        let current_size = fs::metadata(current).map_or(0, |m| m.len());
        let mut size = files.iter().map(|(_, n)| n).sum::<u64>().saturating_add(current_size);
        let mut removed = 0;
        for (path, bytes) in files {
            let expired = path.file_name().is_some_and(|n| n.as_encoded_bytes() < oldest.as_bytes());
            let too_large = size > self.max_size;
            let too_full = || free_percent(dir).is_some_and(|free| free < u64::from(self.min_free));
            if !expired && !too_large && !too_full() {
                break;
            }
            if remove(&path).map_err(|e| RecordingError::io("remove", &path, e))? {
                removed += 1;
            }
            size = size.saturating_sub(bytes);
        }
        Ok(removed)
    }

    /// Limit that nothing but the file that is written exceeds, so that writing has to wait: the reason.
    pub(super) fn exceeded(&self, dir: &Path, current_size: u64) -> Option<String> {
        if current_size > self.max_size {
            let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
            let (has, most) = (megabytes(current_size), megabytes(self.max_size));
            return Some(format!(
                "the file of this hour alone has {has} MB, and all files may have {most} MB"
            ));
        }
        let free = free_percent(dir).filter(|free| *free < u64::from(self.min_free))?;
        let least = self.min_free;
        Some(format!("{free}% of the file system is free, below {least}%; no older file to remove"))
    }
}

/// Removes the oldest file but the current one, to make space; false if there is none.
pub(super) fn remove_oldest(dir: &Path, current: &Path) -> bool {
    let Ok(files) = files(dir) else { return false };
    files.into_iter().any(|(path, _)| path != current && matches!(remove(&path), Ok(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    #[test]
    fn name_is_the_hour() {
        assert_eq!(file_name(0), "1970-01-01T00.sscope");
        assert_eq!(file_name(1_777_885_200_000_000_000), "2026-05-04T09.sscope");
        assert_eq!(file_name(1_777_885_200_000_000_000 - 1), "2026-05-04T08.sscope");
        for ours in [file_name(0), file_name(u64::MAX / 2)] {
            assert!(is_recording_name(&ours), "{ours}");
        }
        for other in
            ["2026-05-04T09.sscope.bak", "x", "2026-05-04 09.sscope", "../26-05-04T09.sscope", ".sscope"]
        {
            assert!(!is_recording_name(other), "{other}");
        }
    }

    #[test]
    fn oldest_files_go_first_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = |hour| dir.path().join(file_name(hour * HOUR));
        for hour in 0..10 {
            fs::write(path(hour), [&MAGIC[..], &[7; 96]].concat()).unwrap();
        }
        fs::write(dir.path().join("notes"), [0; 1000]).unwrap();
        // Somebody else's, by accident of this name.
        let other = dir.path().join("1969-12-31T23.sscope");
        fs::write(&other, "important").unwrap();
        let left = |r: Retention| {
            r.apply(dir.path(), &path(9), 9 * HOUR).unwrap();
            assert_eq!(fs::read(&other).unwrap(), b"important");
            files(dir.path()).unwrap().len() - 1
        };
        let any = Retention { keep: Duration::MAX, max_size: u64::MAX, min_free: 0 };
        assert_eq!(left(any), 10);
        assert_eq!(left(Retention { keep: Duration::from_secs(7 * 3600), ..any }), 8);
        assert_eq!(left(Retention { max_size: 350, ..any }), 3);
        assert_eq!(left(Retention { max_size: 1, ..any }), 1, "the current one stays");
        assert!(path(9).exists() && dir.path().join("notes").exists());
        assert!(Retention { max_size: 1, ..any }.exceeded(dir.path(), 100).is_some());
        assert_eq!(any.exceeded(dir.path(), 100), None);
        let why = Retention { min_free: 101, ..any }.exceeded(dir.path(), 100).unwrap();
        assert!(why.ends_with("% of the file system is free, below 101%; no older file to remove"), "{why}");
    }
}
