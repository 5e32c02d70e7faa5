//! UNIX domain sockets: bound file, peer, accept queue.

use super::attrs::Attrs;
use crate::model::bytes::read_u32;
use crate::model::diag_attr::unix;
use crate::model::proto::Family;

/// File that a UNIX socket is bound to (`struct unix_diag_vfs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vfs {
    /// Inode of the file.
    pub inode: u32,
    /// Device: minor number in the lower 20 bits, major number above them.
    pub dev: u32,
}

impl<'a> Attrs<'a> {
    /// Inode and device of a UNIX socket's path.
    pub fn vfs(&self) -> Option<Vfs> {
        let raw = if self.family == Family::Unix { self.get(unix::VFS)? } else { return None };
        Some(Vfs { inode: read_u32(raw, 0)?, dev: read_u32(raw, 4)? })
    }

    /// Inodes of the connections in a UNIX listener's accept queue; 0 for a client that has closed.
    pub fn pending(&self) -> Option<impl Iterator<Item = u32> + 'a> {
        let raw = if self.family == Family::Unix { self.get(unix::ICONS)? } else { return None };
        Some(raw.chunks_exact(4).filter_map(|b| read_u32(b, 0)))
    }

    /// Inode of a UNIX socket's peer.
    pub fn unix_peer(&self) -> Option<u32> {
        if self.family == Family::Unix { read_u32(self.get(unix::PEER)?, 0) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Proto;
    use crate::model::attr::push;

    fn words(all: &[u32]) -> Vec<u8> {
        all.iter().flat_map(|n| n.to_ne_bytes()).collect()
    }

    #[test]
    fn bound_file_and_accept_queue_are_read() {
        let mut b = Vec::new();
        push(&mut b, unix::VFS, &words(&[9, 254 << 20 | 1]));
        push(&mut b, unix::ICONS, &words(&[1, 0, 3]));
        let a = Attrs::new(&b, Family::Unix, Proto::Unix);
        assert_eq!(a.vfs(), Some(Vfs { inode: 9, dev: 254 << 20 | 1 }));
        assert_eq!(a.pending().unwrap().collect::<Vec<_>>(), [1, 0, 3]);
        let inet = Attrs::new(&b, Family::Inet, Proto::Tcp);
        assert!(inet.pending().is_none() && inet.vfs().is_none());
    }
}
