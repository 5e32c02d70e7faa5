//! Files of a `/proc`, live or captured: opened without blocking, and only if they are regular files.
//!
//! All files of a mounted `/proc` are regular ones. In a captured tree anything can be in their place: the open of a FIFO waits
//! for a writer, and a device may have no end.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Error of a file that is not a regular one; see [`reason`].
const NOT_REGULAR: Errno = Errno::NXIO;
/// Most bytes of a file that is read whole.
pub(crate) const TEXT_MAX: u64 = 16 << 20;

/// Opens a regular file below an open directory.
pub(crate) fn open_at(dir: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    // Without making a terminal that of this process.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = openat(dir, name, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::RegularFile {
        Ok(file)
    } else {
        Err(NOT_REGULAR)
    }
}

/// Opens a regular file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_at(CWD, path).map(File::from).map_err(|e| match e {
        NOT_REGULAR => io::Error::other(reason(e)),
        e => e.into(),
    })
}

/// Text of an error of [`open_at`].
pub(crate) fn reason(e: Errno) -> String {
    if e == NOT_REGULAR { "not a regular file".to_owned() } else { e.to_string() }
}

/// Text of a regular file of at most [`TEXT_MAX`] bytes.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    open(path)?.take(TEXT_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > TEXT_MAX {
        return Err(io::Error::other("larger than 16 MiB"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Start of a regular file, at most [`TEXT_MAX`] bytes; empty if it cannot be read.
pub(crate) fn read_start(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = open(path) {
        // What was read before an error is kept.
        let _ = file.take(TEXT_MAX).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    #[test]
    fn fifo_device_and_directory_are_refused_without_blocking() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        assert!(Command::new("mkfifo").arg(path("fifo")).status().unwrap().success());
        symlink("/dev/zero", path("zero")).unwrap();
        std::fs::create_dir(path("dir")).unwrap();
        symlink("loop", path("loop")).unwrap();
        // A FIFO that has a writer would block in the read.
        let _writer = File::options().read(true).write(true).open(path("fifo")).unwrap();
        for name in ["fifo", "zero", "dir"] {
            assert_eq!(read(&path(name)).unwrap_err().to_string(), "not a regular file", "{name}");
            assert_eq!(read_start(&path(name)), "");
        }
        assert!(read(&path("loop")).is_err());
    }

    #[test]
    fn oversize_file_is_refused_and_its_start_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let big = dir.path().join("big");
        File::create(&big).unwrap().set_len(1 << 42).unwrap();
        assert_eq!(read(&big).unwrap_err().to_string(), "larger than 16 MiB");
        assert_eq!(read_start(&big).len() as u64, TEXT_MAX);
    }

    #[test]
    fn every_kind_of_proc_file_is_a_regular_one() {
        for file in ["self/stat", "self/net/tcp", "sys/kernel/pid_max", "uptime", "self/fdinfo/0"] {
            assert!(read(&Path::new("/proc").join(file)).is_ok_and(|t| !t.is_empty()), "{file}");
        }
    }
}
