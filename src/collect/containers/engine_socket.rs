//! API sockets of container engines: where they are, who may own them, and connecting to them.

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Interval between two attempts to connect to a socket whose accept queue is full: `poll` does not report it.
const RETRY: Duration = Duration::from_millis(10);

/// Environment variables that name sockets of engines: of Docker, of Podman, and the directory of those of a user.
pub const ENGINE_VARIABLES: [&str; 3] = ["DOCKER_HOST", "CONTAINER_HOST", "XDG_RUNTIME_DIR"];

/// Socket of a possible engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EngineSocket {
    /// Path of the socket.
    pub(crate) path: PathBuf,
    /// The only user whose socket is asked; `None` where the path itself is trusted: given by the caller, or below `/run`,
    /// where only root creates files.
    pub(crate) owner: Option<u32>,
}

/// Sockets of possible engines, those of the system first: if two report the same container, the first one counts.
pub(crate) fn engine_sockets() -> Vec<EngineSocket> {
    let from_env = |variable: &str| {
        let value = std::env::var(variable).ok()?;
        Some(PathBuf::from(value.strip_prefix("unix://")?))
    };
    let trusted = |path: PathBuf| EngineSocket { path, owner: None };
    let [docker, podman, runtime] = ENGINE_VARIABLES;
    let mut out = vec![
        trusted(from_env(docker).unwrap_or_else(|| "/var/run/docker.sock".into())),
        trusted(from_env(podman).unwrap_or_else(|| "/run/podman/podman.sock".into())),
    ];
    let uid = rustix::process::geteuid();
    let own = match std::env::var_os(runtime) {
        Some(dir) => PathBuf::from(dir),
        None => format!("/run/user/{}", uid.as_raw()).into(),
    };
    // Root may have been given the environment of a user, whose directory has another owner.
    let mut users = Vec::new();
    if uid.is_root() {
        users.extend(runtime_dirs(Path::new("/run/user")));
    }
    if users.iter().all(|(dir, _)| *dir != own) {
        users.insert(0, (own, uid.as_raw()));
    }
    for (dir, owner) in users {
        let sockets = ["docker.sock", "podman/podman.sock"].map(|s| dir.join(s));
        out.extend(sockets.map(|path| EngineSocket { path, owner: Some(owner) }));
    }
    let mut seen = std::collections::BTreeSet::new();
    out.retain(|e| seen.insert(e.path.clone()));
    out
}

/// Runtime directories of users, by their names.
fn runtime_dirs(all: &Path) -> impl Iterator<Item = (PathBuf, u32)> {
    let entries = std::fs::read_dir(all).into_iter().flatten().flatten();
    entries.filter_map(|e| Some((e.path(), e.file_name().to_str()?.parse().ok()?)))
}

/// Connects without waiting longer than `deadline`: a socket whose accept queue is full would block forever.
pub(crate) fn connect_until(socket: &EngineSocket, deadline: Instant) -> io::Result<UnixStream> {
    let (address, _file) = address(socket)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    loop {
        match connect(&stream, &address) {
            Ok(()) => break,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if Instant::now() + RETRY < deadline => std::thread::sleep(RETRY),
            Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(e) => return Err(e.into()),
        }
    }
    let stream = UnixStream::from(stream);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Address of the socket. With an owner that of the file that was checked, which stays open until the connection is made:
/// the user could replace the path by a link to a socket that only this process may use.
fn address(socket: &EngineSocket) -> io::Result<(SocketAddrUnix, Option<OwnedFd>)> {
    let Some(owner) = socket.owner else { return Ok((SocketAddrUnix::new(&socket.path)?, None)) };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, &socket.path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a socket"));
    }
    if stat.st_uid != owner {
        let why = format!("owned by uid {}, expected {owner}: not queried", stat.st_uid);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok((SocketAddrUnix::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?, Some(file)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn owned(path: PathBuf) -> EngineSocket {
        EngineSocket { path, owner: Some(rustix::process::geteuid().as_raw()) }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    #[test]
    fn only_the_socket_of_its_owner_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("docker.sock"), dir.path().join("link.sock"));
        let listener = UnixListener::bind(&path).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        connect_until(&owned(path.clone()), soon()).unwrap();
        let of_other = EngineSocket { owner: owned(path.clone()).owner.map(|o| o + 1), path: path.clone() };
        let e = connect_until(&of_other, soon()).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::PermissionDenied, "{e}");
        // A link could lead to a socket of somebody else.
        assert!(connect_until(&owned(link.clone()), soon()).is_err());
        connect_until(&EngineSocket { path: link, owner: None }, soon()).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(connect_until(&owned(dir.path().join("file")), soon()).is_err());
        drop(listener);
    }

    #[test]
    fn full_accept_queue_times_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker.sock");
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let socket = owned(path);
        let mut waiting = Vec::new();
        let e = loop {
            match connect_until(&socket, soon()) {
                Ok(stream) => waiting.push(stream),
                Err(e) => break e,
            }
            assert!(waiting.len() < 10);
        };
        assert_eq!(e.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn runtime_directories_have_the_uid_as_name() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["1000", "x", "61000"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let mut all: Vec<u32> = runtime_dirs(dir.path()).map(|d| d.1).collect();
        all.sort_unstable();
        assert_eq!(all, [1000, 61000]);
    }
}
