//! Interfaces and addresses from any bytes.

use super::links;
use super::socket::NetlinkSocket;
use crate::collect::fuzz_sample::sample;
use crate::model::{Namespace, Sample};
use std::collections::BTreeMap;

/// The interfaces of these messages, and after the end of that dump their addresses.
pub(crate) fn route(bytes: &[u8]) -> Sample {
    let mut sample = sample();
    let Ok((mut socket, _kernel)) = NetlinkSocket::replay(bytes) else { return sample };
    let (mut interfaces, mut addresses) = (BTreeMap::new(), Vec::new());
    // An error ends a dump with what was read before.
    let _ = links::read_interfaces(&mut socket, &mut interfaces);
    let _ = links::read_addresses(&mut socket, &mut addresses);
    sample.namespaces = [Namespace { inode: 1, name: "fuzz".into(), interfaces }].into();
    sample.addresses = addresses.into_iter().map(|a| (0, a)).collect();
    sample
}
