//! Neighbours that do not count toward `gc_thresh3`, by rtnetlink(7).

use super::socket::{DumpError, Malformed, NetlinkSocket};
use super::wire::Request;
use crate::model::bytes::read_u32;

/// `NUD_PERMANENT` (`include/uapi/linux/neighbour.h`).
const NUD_PERMANENT: u16 = 0x80;
/// `NTF_EXT_LEARNED`.
const NTF_EXT_LEARNED: u8 = 0x10;
/// Index of the loopback interface of every network namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;

/// Number of neighbours of an address family in the network namespace of the calling thread that the kernel exempts from garbage
/// collection and from `gc_thresh3` (`neigh_alloc`, `neigh_update_gc_list`): permanent ones, those learned by a routing
/// daemon, and those of loopback.
pub(crate) fn exempt(family: u8) -> Result<u64, DumpError> {
    let mut n = 0;
    let mut socket = NetlinkSocket::open(None)?;
    socket.dump(&Request::neighbours(family), |message| {
        n += u64::from(is_exempt(message)?);
        Ok(())
    })?;
    Ok(n)
}

/// Reads `struct ndmsg`: interface, state, flags.
fn is_exempt(message: &[u8]) -> Result<bool, Malformed> {
    let link = read_u32(message, 4).ok_or(Malformed)?;
    let Some([a, b, flags]) = message.get(8..11) else { return Err(Malformed) };
    let state = u16::from_ne_bytes([*a, *b]);
    Ok(link == LOOPBACK || state & NUD_PERMANENT != 0 || flags & NTF_EXT_LEARNED != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permanent_learned_and_loopback_neighbours_are_exempt() {
        let message = |link: u32, state: u16, flags: u8| {
            let mut m = vec![2, 0, 0, 0];
            m.extend(link.to_ne_bytes());
            m.extend(state.to_ne_bytes());
            m.extend([flags, 1]);
            m
        };
        // Reachable, stale, incomplete, failed, no ARP.
        for state in [0x02, 0x04, 0x01, 0x20, 0x40] {
            assert!(matches!(is_exempt(&message(2, state, 0)), Ok(false)));
            assert!(matches!(is_exempt(&message(LOOPBACK, state, 0)), Ok(true)));
            assert!(matches!(is_exempt(&message(2, state, NTF_EXT_LEARNED)), Ok(true)));
        }
        assert!(matches!(is_exempt(&message(2, NUD_PERMANENT, 0)), Ok(true)));
        assert!(is_exempt(&message(2, 2, 0)[..10]).is_err());
    }
}
