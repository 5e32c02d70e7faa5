//! Samples of a recording by time.

use super::RecordingError;
use super::retention::files;
use crate::frame::{Decoder, FrameError, FrameHead, FrameKind, HEADER_LEN, head_of};
use crate::model::{Sample, Stamp};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Place of one sample.
#[derive(Clone, Copy, Debug)]
struct Place {
    file: u32,
    offset: u64,
    head: FrameHead,
}

/// One sample of a recording, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Number, from 0.
    pub number: usize,
    /// Time of the sample.
    pub at: Stamp,
}

/// A recording that is read: a file, or a directory of files.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    files: Vec<(PathBuf, File)>,
    places: Vec<Place>,
    decoder: Decoder,
    /// Number of the sample in the decoder.
    decoded: Option<usize>,
    /// Bytes that belong to no whole frame.
    skipped: u64,
    /// First reason why a frame was left out.
    refused: Option<FrameError>,
}

/// Bytes searched at once for the next frame after a damaged one.
const SEARCHED: usize = 1 << 16;

impl Recording {
    /// Opens a recording and reads the times of its samples.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let is_dir = std::fs::metadata(path).map_err(|e| RecordingError::io("open", path, e))?.is_dir();
        let paths = if is_dir {
            files(path)?.into_iter().map(|(path, _)| path).collect()
        } else {
            vec![path.to_owned()]
        };
        let mut out = Self {
            path: path.to_owned(),
            files: Vec::new(),
            places: Vec::new(),
            decoder: Decoder::new(),
            decoded: None,
            skipped: 0,
            refused: None,
        };
        for path in paths {
            out.add_file(path)?;
        }
        if out.places.is_empty() {
            let why = match &out.refused {
                Some(e) => format!(": {e}"),
                None if is_dir => format!(" (files are named as {})", super::file_name(0)),
                None => String::new(),
            };
            return Err(RecordingError::Empty { path: out.path, why });
        }
        Ok(out)
    }

    fn add_file(&mut self, path: PathBuf) -> Result<(), RecordingError> {
        let failed = |e| RecordingError::io("read", &path, e);
        let file = File::open(&path).map_err(|e| RecordingError::io("open", &path, e))?;
        let data = file.metadata().map_err(failed)?;
        if !data.is_file() {
            return Err(failed(io::Error::other("not a regular file")));
        }
        let number = self.files.len() as u32;
        let mut offset = 0;
        while let Some(head) = next_head(&file, data.len(), &mut offset, &mut self.refused).map_err(failed)? {
            if head.kind != FrameKind::End {
                self.places.push(Place { file: number, offset: offset + HEADER_LEN as u64, head });
            }
            offset += HEADER_LEN as u64 + u64::from(head.len);
        }
        self.skipped += data.len() - offset.min(data.len());
        self.files.push((path, file));
        Ok(())
    }

    /// Number of samples.
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    /// True if there is none, which [`Self::open`] refuses.
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes at the ends of files that belong to no whole frame.
    pub const fn skipped_bytes(&self) -> u64 {
        self.skipped
    }

    /// Sample by number.
    pub fn moment(&self, number: usize) -> Option<Moment> {
        self.places.get(number).map(|p| Moment { number, at: p.head.at })
    }

    /// Last sample that is not later than a time, nanoseconds since 1970.
    pub fn at(&self, unix_ns: u64) -> Result<Moment, RecordingError> {
        // A clock that was set back makes times that are not sorted.
        let found = self.places.iter().rposition(|p| p.head.at.unix_ns <= unix_ns);
        match found.and_then(|n| self.moment(n)) {
            Some(moment) => Ok(moment),
            None => Err(RecordingError::NoMoment {
                what: format!("at {}", time_text(unix_ns)),
                from: time_text(self.places.first().map_or(0, |p| p.head.at.unix_ns)),
                to: time_text(self.places.last().map_or(0, |p| p.head.at.unix_ns)),
            }),
        }
    }

    /// Reads a sample.
    pub fn sample(&mut self, number: usize) -> Result<&Sample, RecordingError> {
        let from = match self.decoded {
            Some(last) if last == number => number + 1,
            Some(last) if last < number && self.no_key_between(last + 1, number) => last + 1,
            _ => self.key_before(number),
        };
        for n in from..=number {
            self.decoded = None;
            self.read(n)?;
            self.decoded = Some(n);
        }
        let missing = || RecordingError::Frame { path: self.path.clone(), source: FrameError::NoKey };
        self.decoder.last().ok_or_else(missing)
    }

    fn key_before(&self, number: usize) -> usize {
        let key = self.places.iter().take(number + 1).rposition(|p| p.head.kind == FrameKind::Key);
        key.unwrap_or(number)
    }

    fn no_key_between(&self, from: usize, to: usize) -> bool {
        self.places[from..=to.min(self.places.len() - 1)].iter().all(|p| p.head.kind != FrameKind::Key)
    }

    fn read(&mut self, number: usize) -> Result<(), RecordingError> {
        let unknown = RecordingError::Frame { path: self.path.clone(), source: FrameError::NoKey };
        let Some(place) = self.places.get(number) else { return Err(unknown) };
        let Some((path, file)) = self.files.get(place.file as usize) else { return Err(unknown) };
        let mut body = vec![0; place.head.len as usize];
        file.read_exact_at(&mut body, place.offset).map_err(|e| RecordingError::io("read", path, e))?;
        let frame = self.decoder.frame(&place.head, &body);
        frame.map_err(|source| RecordingError::Frame { path: path.clone(), source })?;
        Ok(())
    }
}

/// Time as text, UTC, with seconds.
fn time_text(unix_ns: u64) -> String {
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_ns)).to_string()
}

/// Next header at or after `offset`, which becomes its place. What is damaged is skipped.
fn next_head(
    file: &File,
    len: u64,
    offset: &mut u64,
    refused: &mut Option<FrameError>,
) -> io::Result<Option<FrameHead>> {
    let mut header = [0; HEADER_LEN];
    loop {
        if *offset + HEADER_LEN as u64 > len {
            return Ok(None);
        }
        file.read_exact_at(&mut header, *offset)?;
        match head_of(&header) {
            Ok(head) if *offset + HEADER_LEN as u64 + u64::from(head.len) <= len => return Ok(Some(head)),
            Err(e @ (FrameError::Schema { .. } | FrameError::ByteOrder)) => {
                refused.get_or_insert(e);
            }
            // Damaged, or cut off: a whole frame can follow where a file was written to again.
            Ok(_) | Err(_) => {}
        }
        match find_magic(file, len, *offset + 1)? {
            Some(next) => *offset = next,
            None => return Ok(None),
        }
    }
}

/// Place of the next bytes that look like a frame.
fn find_magic(file: &File, len: u64, from: u64) -> io::Result<Option<u64>> {
    let magic = crate::frame::MAGIC;
    let mut buffer = vec![0; SEARCHED];
    let mut from = from;
    while from + magic.len() as u64 <= len {
        let wanted = SEARCHED.min((len - from) as usize);
        file.read_exact_at(&mut buffer[..wanted], from)?;
        if let Some(n) = buffer[..wanted].windows(magic.len()).position(|w| w == magic) {
            return Ok(Some(from + n as u64));
        }
        from += (wanted + 1 - magic.len()) as u64;
    }
    Ok(None)
}

/// Length of a file up to the end of its last whole frame.
pub(super) fn whole_length(file: &File) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let (mut offset, mut end) = (0, 0);
    while let Some(head) = next_head(file, len, &mut offset, &mut None)? {
        let body = offset + HEADER_LEN as u64;
        offset = body + u64::from(head.len);
        // The last one can have its length and not its bytes: a file system that was not synced.
        if offset == len {
            let mut bytes = vec![0; head.len as usize];
            file.read_exact_at(&mut bytes, body)?;
            if !head.matches(&bytes) {
                return Ok(end);
            }
        }
        end = offset;
    }
    Ok(end)
}
