//! Descriptors of other processes, opened or copied without doing anything to the file.
//!
//! Between the scan and the use of a descriptor its process can put another file in its place, also one that only root may
//! open. To open a device can have an effect (a watchdog starts), and to ask a file system in user space (FUSE) or to close one
//! of its files can wait for as long as its owner likes. So a file is pinned with `O_PATH`, which does nothing to it, and used
//! only if its link has the expected text.

use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat, readlink};
use rustix::io::Errno;
use rustix::net::sockopt::{socket_linger, socket_type};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use std::mem::ManuallyDrop;
use std::path::Path;

/// Passes a link of this process to the file at this link of a descriptor to `f`, if the text of the link fits (`socket:[7]`);
/// `NOENT` if the file is another one by now.
pub(crate) fn with_pinned<T>(
    link: &Path,
    fits: impl FnOnce(&[u8]) -> bool,
    f: impl FnOnce(&str) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let pinned = openat(CWD, link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let own = format!("/proc/self/fd/{}", pinned.as_raw_fd());
    // The kernel composes it from its own data; that of a file with a path begins with a slash.
    if fits(readlink(&own, Vec::new())?.as_bytes()) { f(&own) } else { Err(Errno::NOENT) }
}

/// Opens the network namespace that a descriptor refers to, if it still does.
pub(crate) fn open_netns(link: &Path) -> Result<OwnedFd, Errno> {
    with_pinned(
        link,
        |text| text.starts_with(b"net:["),
        |own| openat(CWD, own, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()),
    )
}

/// Copy of a socket of another process, which is closed without waiting.
#[derive(Debug)]
pub(crate) struct CopiedSocket(Option<OwnedFd>);

impl CopiedSocket {
    /// Copies the socket; `NOTSOCK` for any other file.
    pub(crate) fn new(process: impl AsFd, fd: u32) -> Result<Self, Errno> {
        let fd = i32::try_from(fd).map_err(|_| Errno::BADF)?;
        let copy = Self(Some(pidfd_getfd(process, fd, PidfdGetfdFlags::empty())?));
        // Answered by the kernel before it looks into the file.
        socket_type(copy.fd()?)?;
        Ok(copy)
    }

    /// The socket.
    pub(crate) fn fd(&self) -> Result<&OwnedFd, Errno> {
        self.0.as_ref().ok_or(Errno::BADF)
    }
}

impl Drop for CopiedSocket {
    fn drop(&mut self) {
        // The close of another file can wait for its file system, and that of a socket with `SO_LINGER` for its peer, if its process
        // has closed it in the meantime.
        if let Some(fd) = self.0.take()
            && !matches!(socket_linger(&fd), Ok(None))
        {
            // Without a thread it stays open.
            let fd = ManuallyDrop::new(fd);
            let close = move || drop(ManuallyDrop::into_inner(fd));
            let _ = std::thread::Builder::new().name("close".into()).spawn(close);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::set_socket_linger;
    use rustix::process::{PidfdFlags, getpid, pidfd_open};
    use std::fs::File;
    use std::net::TcpListener;

    fn link(fd: &impl AsRawFd) -> std::path::PathBuf {
        Path::new("/proc/self/fd").join(fd.as_raw_fd().to_string())
    }

    #[test]
    fn only_a_network_namespace_is_opened() {
        let netns = File::open("/proc/self/ns/net").unwrap();
        assert!(open_netns(&link(&netns)).is_ok());
        // An open of a FIFO without a writer would wait, that of a device could have an effect.
        let (reader, _writer) = rustix::pipe::pipe().unwrap();
        let others = ["/dev/zero", "/proc/self/ns/mnt", "/etc/passwd"].map(|f| File::open(f).unwrap());
        assert_eq!(open_netns(&link(&reader)).unwrap_err(), Errno::NOENT);
        for other in others {
            assert_eq!(open_netns(&link(&other)).unwrap_err(), Errno::NOENT, "{other:?}");
        }
    }

    #[test]
    fn file_that_is_not_the_expected_socket_is_not_used() {
        let (socket, file) = (TcpListener::bind("127.0.0.1:0").unwrap(), File::open("/etc/passwd").unwrap());
        let text = std::fs::read_link(link(&socket)).unwrap().display().to_string();
        assert_eq!(
            with_pinned(&link(&socket), |t| t == text.as_bytes(), |own| Ok(own.is_empty())),
            Ok(false)
        );
        let never = |_: &str| -> Result<(), Errno> { panic!("used") };
        assert_eq!(with_pinned(&link(&socket), |t| t == b"socket:[1]", never), Err(Errno::NOENT));
        assert_eq!(with_pinned(&link(&file), |t| t.starts_with(b"socket:["), never), Err(Errno::NOENT));
    }

    #[test]
    fn only_a_socket_is_copied() {
        let me = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        let (socket, file) = (TcpListener::bind("127.0.0.1:0").unwrap(), File::open("/etc/passwd").unwrap());
        let copy = |fd: u32| CopiedSocket::new(&me, fd).map(|_| ());
        assert_eq!(copy(socket.as_raw_fd() as u32), Ok(()));
        assert_eq!(copy(file.as_raw_fd() as u32), Err(Errno::NOTSOCK));
        assert_eq!(copy(u32::MAX), Err(Errno::BADF));
    }

    #[test]
    fn close_of_a_lingering_socket_does_not_wait() {
        let me = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _server = listener.accept().unwrap();
        // More than the peer, which does not read, takes: the close waits for it as long as the option has it.
        set_socket_linger(&client, Some(std::time::Duration::from_secs(600))).unwrap();
        client.set_nonblocking(true).unwrap();
        while std::io::Write::write(&mut client, &[0; 8192]).is_ok() {}
        client.set_nonblocking(false).unwrap();
        let copy = CopiedSocket::new(&me, client.as_raw_fd() as u32).unwrap();
        // Its process closes it: the copy is the last one.
        drop(client);
        let began = std::time::Instant::now();
        drop(copy);
        assert!(began.elapsed().as_secs() < 60);
    }
}
