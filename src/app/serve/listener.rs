//! The listening socket, and the connections it accepts.

use super::http::{self, Connection};
use super::published::Published;
use super::start;
use crate::app::exit_status::RunError;
use crate::cli::serve::Listen;
use rustix::fs::Mode;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most connections at a time; another one is answered with 503. Each ends after [`http::TIMEOUT`], however slow its client is.
const MAX_CONNECTIONS: usize = 32;

/// Listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    /// TCP with the address it is bound to.
    Tcp(TcpListener, SocketAddr),
    /// UNIX socket at this path.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Binds.
    pub(super) fn bind(to: &Listen) -> Result<Self, RunError> {
        match to {
            Listen::Tcp(addr) => {
                let failed = |e: io::Error| RunError::Dashboard(format!("listen on {addr}: {e}"));
                let listener = TcpListener::bind(addr).map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                Ok(Self::Tcp(listener, bound))
            }
            Listen::Unix(path) => {
                let failed = |e: io::Error| RunError::Dashboard(format!("listen on {}: {e}", path.display()));
                remove_stale(path).map_err(failed)?;
                // Before any thread was started: the mode is that of the socket from the first moment on.
                let before = rustix::process::umask(Mode::from_raw_mode(0o117));
                let bound = UnixListener::bind(path);
                rustix::process::umask(before);
                Ok(Self::Unix(bound.map_err(failed)?, path.clone()))
            }
        }
    }

    /// Address of the page.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Tcp(_, addr) => format!("http://{addr}/metrics"),
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    /// Starts the thread that accepts.
    pub(super) fn start(&self, published: &Arc<Published>) -> Result<(), RunError> {
        let failed = |e: io::Error| RunError::Dashboard(format!("listen on {}: {e}", self.url()));
        match self {
            Self::Tcp(listener, _) => {
                let listener = listener.try_clone().map_err(failed)?;
                accept(move || listener.accept().map(|(stream, _)| stream), published)
            }
            Self::Unix(listener, _) => {
                let listener = listener.try_clone().map_err(failed)?;
                accept(move || listener.accept().map(|(stream, _)| stream), published)
            }
        }
    }

    /// Removes a UNIX socket.
    pub(super) fn remove(self) {
        if let Self::Unix(_, path) = self {
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes the socket of a process that no longer listens. What is no socket, and one that is in use, stay.
fn remove_stale(path: &Path) -> io::Result<()> {
    let exists = |why: &str| io::Error::new(io::ErrorKind::AlreadyExists, why.to_owned());
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(m) if !m.file_type().is_socket() => Err(exists("exists and is not a socket")),
        Ok(_) if UnixStream::connect(path).is_ok() => Err(exists("another process listens there")),
        Ok(_) => fs::remove_file(path),
    }
}

/// Number of open connections; counted down when dropped.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Accepts on a thread, and answers each connection on one of its own.
fn accept<S: Connection>(
    accept: impl Fn() -> io::Result<S> + Send + 'static,
    published: &Arc<Published>,
) -> Result<(), RunError> {
    let published = Arc::clone(published);
    let open = Arc::new(AtomicUsize::new(0));
    start("listener", move || {
        loop {
            let Ok(stream) = accept() else {
                // Out of descriptors, for example: not in a loop without a pause.
                std::thread::sleep(super::SIGNAL_CHECK);
                continue;
            };
            if open.fetch_add(1, Ordering::AcqRel) >= MAX_CONNECTIONS {
                open.fetch_sub(1, Ordering::AcqRel);
                http::refuse(stream);
                continue;
            }
            let (counted, published) = (Open(Arc::clone(&open)), Arc::clone(&published));
            let mut stream = stream;
            // Without a thread the connection is closed.
            let _ = start("connection", move || {
                http::answer(&mut stream, &published);
                // Before the connection is closed: a client that connects again at its end is not one too many.
                drop(counted);
                drop(stream);
            });
        }
    })
}
