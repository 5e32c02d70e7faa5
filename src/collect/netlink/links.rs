//! The network namespace this process is in, and its interfaces.

use super::dump::{Conversation, DumpError, Malformed};
use super::wire::Request;
use crate::model::attr::read_u32;
use crate::model::{Attrs, Family, FaultKind, Faults, Namespace, Sample, text};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use std::collections::BTreeMap;
use std::sync::Arc;

/// `IFLA_IFNAME` (`include/uapi/linux/if_link.h`).
const IFLA_IFNAME: u16 = 3;

/// Reads the namespace anew when its interfaces changed.
pub(super) fn refresh(held: &mut Arc<[Namespace]>, faults: &mut Faults) {
    let inode = inode("/proc/thread-self/ns/net");
    let interfaces = interfaces(faults);
    if held.first().is_some_and(|n| n.inode == inode && n.interfaces == interfaces) {
        return;
    }
    // Not told apart where the first process cannot be looked at: then it is the only one there is to see.
    let first = self::inode("/proc/1/ns/net");
    let name = if first == 0 || first == inode { "host" } else { "here" };
    *held = Arc::from([Namespace { inode, name: name.into(), interfaces }]);
}

/// The name of an interface of the namespace read; its number where it has none.
pub(super) fn name_of(sample: &Sample, index: u32) -> String {
    let name = sample.namespaces.first().and_then(|n| n.interfaces.get(&index));
    name.cloned().unwrap_or_else(|| format!("if{index}"))
}

fn inode(path: &str) -> u64 {
    statx(CWD, path, AtFlags::empty(), StatxFlags::INO).map_or(0, |s| s.stx_ino)
}

/// Interface names by index, asked of the kernel for the namespace this thread is in (rtnetlink(7)); `/sys/class/net`
/// would show those of the namespace it was mounted in.
fn interfaces(faults: &mut Faults) -> BTreeMap<u32, String> {
    let mut out = BTreeMap::new();
    let mut take = |message: &[u8]| {
        let index = read_u32(message, 4).ok_or(Malformed)?;
        // Attributes follow the sixteen bytes of `struct ifinfomsg`; their form is the same everywhere.
        let attrs = Attrs::new(message.get(16..).ok_or(Malformed)?, Family::Inet);
        let name = attrs.get(IFLA_IFNAME).ok_or(Malformed)?;
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        out.insert(index, text::from_bytes(&name[..end]).into_owned());
        Ok(())
    };
    let asked = Conversation::open(None)
        .map_err(DumpError::from)
        .and_then(|mut talk| talk.dump(&Request::links(), &mut take));
    if let Err(e) = asked {
        faults.add(FaultKind::Failed, "interface names", e.to_string());
    }
    out
}
