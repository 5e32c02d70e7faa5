//! Files that a user names or keeps under the home directory: read with a bound, written without following a link of others.

use rustix::fs::{Mode, OFlags, open};
use rustix::process::geteuid;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Most bytes of a file that is read.
const MAX: u64 = 16 << 20;

/// Text of a regular file of at most 16 MiB. A FIFO would block and a device may have no end: both are an error, except
/// `/dev/null`, which is empty.
pub fn read(file: &Path) -> io::Result<String> {
    // Without blocking on a FIFO, and without making a terminal that of this process.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = File::from(open(file, flags, Mode::empty())?);
    let meta = opened.metadata()?;
    if meta.file_type().is_char_device() && meta.rdev() == fs::metadata("/dev/null").map_or(0, |m| m.rdev()) {
        return Ok(String::new());
    }
    if !meta.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    opened.take(MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX {
        return Err(io::Error::other("larger than 16 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text"))
}

/// Makes the directory of a file if it is missing, and checks that it is this user's own: root with the `HOME` of somebody
/// writes nothing there, nor where a link there leads to.
pub fn make_directory_of(file: &Path) -> io::Result<()> {
    let Some(dir) = file.parent().filter(|d| !d.as_os_str().is_empty()) else { return Ok(()) };
    let existing = dir.ancestors().find_map(|d| fs::canonicalize(d).ok());
    for path in dir.ancestors().chain(existing.iter().flat_map(|d| d.ancestors())) {
        trusted(path)?;
    }
    fs::create_dir_all(dir)?;
    if fs::metadata(dir)?.uid() == geteuid().as_raw() { Ok(()) } else { Err(foreign(dir)) }
}

fn foreign(path: &Path) -> io::Error {
    io::Error::other(format!("{} belongs to another user", path.display()))
}

/// Refuses a directory or link of somebody else than this user and root: its owner could lead anywhere.
fn trusted(path: &Path) -> io::Result<()> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Ok(()) };
    if [0, geteuid().as_raw()].contains(&meta.uid()) || is_unmapped(meta.uid()) {
        return Ok(());
    }
    Err(foreign(path))
}

/// Returns true if this is the user that a user namespace shows for those it does not map, among them root outside.
fn is_unmapped(uid: u32) -> bool {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let is_whole = read("/proc/self/uid_map").split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    !is_whole && read("/proc/sys/kernel/overflowuid").trim().parse() == Ok(uid)
}

/// Replaces a file: written beside it as a new file and renamed, so that neither a full disk loses anything nor a link is
/// followed. A link to a file of this user's own is kept. A new file is readable only by the user.
pub fn replace(file: &Path, text: &str) -> io::Result<()> {
    make_directory_of(file)?;
    let file: PathBuf = match fs::symlink_metadata(file) {
        Ok(m) if m.is_symlink() => {
            trusted(file)?;
            let target = fs::canonicalize(file)?;
            make_directory_of(&target)?;
            target
        }
        _ => file.to_owned(),
    };
    let mode = fs::metadata(&file).map_or(0o600, |m| m.permissions().mode() & 0o777);
    let (beside, mut out) = open_beside(&file, mode)?;
    let result = out.write_all(text.as_bytes()).and_then(|()| fs::rename(&beside, &file));
    if result.is_err() {
        let _ = fs::remove_file(&beside);
    }
    result
}

/// Writes a file that a user names: as a new file beside it, renamed when it is complete, so that a failure leaves what was there. A
/// link of this user's own is kept. A new file is readable only by the user. A pipe or device is written as it is.
pub fn write_whole<T, E>(
    file: &Path,
    failed: impl Fn(io::Error) -> E,
    write: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    let meta = fs::metadata(file).ok();
    if meta.as_ref().is_some_and(|m| !m.is_file()) {
        let out = File::options().write(true).open(file).map_err(failed)?;
        return write(&out);
    }
    let target = match fs::symlink_metadata(file) {
        Ok(m) if m.is_symlink() => trusted(file).and_then(|()| fs::canonicalize(file)).map_err(&failed)?,
        _ => file.to_owned(),
    };
    let mode = meta.map_or(0o600, |m| m.permissions().mode() & 0o777);
    let (beside, out) = open_beside(&target, mode).map_err(&failed)?;
    let result = write(&out).and_then(|t| fs::rename(&beside, &target).map(|()| t).map_err(failed));
    if result.is_err() {
        let _ = fs::remove_file(&beside);
    }
    result
}

/// A new file beside another one.
fn open_beside(file: &Path, mode: u32) -> io::Result<(PathBuf, File)> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    // Left behind by a run with the same pid that was killed.
    let _ = fs::remove_file(&beside);
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits() as i32;
    let out = File::options().write(true).create_new(true).mode(mode).custom_flags(flags).open(&beside)?;
    Ok((beside.into(), out))
}

/// Writes a new file: never overwrites one and never follows a symbolic link. A partly written file is removed.
pub fn write_new<T>(file: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
    let result = write_to(open_new(file)?, write);
    if result.is_err() {
        let _ = fs::remove_file(file);
    }
    result
}

/// Opens a new file: refuses one that exists, and a symbolic link.
pub fn open_new(file: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits() as i32;
    File::options().write(true).create_new(true).custom_flags(flags).open(file)
}

/// Writes to an open file, which the caller removes after an error.
pub fn write_to<T>(out: File, write: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
    let mut out = BufWriter::new(out);
    write(&mut out).and_then(|t| out.flush().map(|()| t))
}

/// Writes a new file of the user's own, with its directory.
pub fn write_new_own(file: &Path, text: &str) -> io::Result<()> {
    make_directory_of(file)?;
    write_new(file, |out| out.write_all(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, symlink};

    #[test]
    fn only_a_regular_file_of_bounded_size_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let error = |f: &Path| read(f).unwrap_err().to_string();
        assert_eq!(error(Path::new("/dev/zero")), "not a regular file");
        assert_eq!(error(dir.path()), "not a regular file");
        assert_eq!(read(Path::new("/dev/null")).unwrap(), "");
        let fifo = dir.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert_eq!(error(&fifo), "not a regular file");
        let big = dir.path().join("big");
        File::create(&big).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(error(&big), "larger than 16 MiB");
    }

    #[test]
    fn link_beside_a_file_is_not_followed_and_a_link_of_the_user_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, file) = (dir.path().join("victim"), dir.path().join("a/file"));
        fs::write(&victim, "before").unwrap();
        replace(&file, "1").unwrap();
        symlink(&victim, format!("{}.{}.new", file.display(), std::process::id())).unwrap();
        replace(&file, "2").unwrap();
        assert_eq!(
            (fs::read_to_string(&victim).unwrap(), fs::read_to_string(&file).unwrap()),
            ("before".into(), "2".into())
        );
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let link = dir.path().join("link");
        symlink(&file, &link).unwrap();
        replace(&link, "3").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "3");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn file_is_replaced_when_complete_and_left_after_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        let write = |path: &Path, text: &str, fails: bool| {
            write_whole(
                path,
                |e| e,
                |mut out| {
                    out.write_all(text.as_bytes())?;
                    if fails { Err(io::Error::other("later")) } else { Ok(()) }
                },
            )
        };
        assert_eq!(write(&file, "half", true).unwrap_err().to_string(), "later");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        write(&file, "one", false).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        symlink(&file, &link).unwrap();
        write(&link, "half", true).unwrap_err();
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        write(&link, "two", false).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        write(Path::new("/dev/null"), "x", false).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn nothing_is_written_in_a_directory_of_another_user() {
        if !geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        chown(dir.path(), Some(61_234), None).unwrap();
        for file in ["file", "a/b/file"] {
            let why = replace(&dir.path().join(file), "x").unwrap_err().to_string();
            assert!(why.ends_with("belongs to another user"), "{why}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
