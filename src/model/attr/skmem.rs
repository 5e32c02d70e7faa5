//! Socket memory: `SK_MEMINFO_*` (`include/uapi/linux/sock_diag.h`).

use super::super::bytes::read_u32;

/// Socket memory: an array of `u32` indexed by `SK_MEMINFO_*` (`include/uapi/linux/sock_diag.h`), in bytes except the
/// drops.
#[derive(Clone, Copy, Debug)]
pub struct SkMem<'a>(pub &'a [u8]);

impl SkMem<'_> {
    fn word(&self, i: usize) -> Option<u32> {
        read_u32(self.0, i * 4)
    }
    /// Receive buffer in use (`RMEM_ALLOC`), bytes.
    pub fn rmem_alloc(&self) -> Option<u32> {
        self.word(0)
    }
    /// Receive buffer limit (`RCVBUF`), bytes.
    pub fn rcvbuf(&self) -> Option<u32> {
        self.word(1)
    }
    /// Bytes handed to the device and not freed yet (`WMEM_ALLOC`).
    pub fn wmem_alloc(&self) -> Option<u32> {
        self.word(2)
    }
    /// Send buffer limit (`SNDBUF`), bytes.
    pub fn sndbuf(&self) -> Option<u32> {
        self.word(3)
    }
    /// Bytes reserved for this socket and unused (`FWD_ALLOC`).
    pub fn fwd_alloc(&self) -> Option<u32> {
        self.word(4)
    }
    /// Queued for sending (`WMEM_QUEUED`), bytes.
    pub fn wmem_queued(&self) -> Option<u32> {
        self.word(5)
    }
    /// Options and filters (`OPTMEM`), bytes.
    pub fn optmem(&self) -> Option<u32> {
        self.word(6)
    }
    /// Bytes in the backlog while the socket is locked (`BACKLOG`).
    pub fn backlog(&self) -> Option<u32> {
        self.word(7)
    }
    /// Packets dropped on receive (`DROPS`), since Linux 4.6.
    pub fn drops(&self) -> Option<u32> {
        self.word(8)
    }
}
