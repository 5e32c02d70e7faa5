//! Interfaces and addresses of a network namespace, by rtnetlink(7).

use super::socket::{DumpError, Malformed, NetlinkSocket};
use super::wire::Request;
use crate::model::bytes::read_u32;
use crate::model::{Addr, Attrs, Family, FaultKind, FaultSubject, Faults, Proto, text};
use std::collections::BTreeMap;

/// `IFLA_IFNAME` (`include/uapi/linux/if_link.h`).
const IFLA_IFNAME: u16 = 3;

/// The name of an interface, or `ifN` by its index if it is unknown.
pub(crate) fn interface_name(interfaces: &BTreeMap<u32, String>, index: u32) -> String {
    interfaces.get(&index).cloned().unwrap_or_else(|| format!("if{index}"))
}

/// Interface names by index, of the network namespace of the calling thread; `/sys/class/net` shows those of the namespace it
/// was mounted in.
pub(crate) fn interfaces(faults: &mut Faults) -> BTreeMap<u32, String> {
    let mut out = BTreeMap::new();
    let mut decode = |message: &[u8]| {
        let index = read_u32(message, 4).ok_or(Malformed)?;
        // Attributes follow `struct ifinfomsg`, 16 bytes; their format is the same for all families.
        let attrs = Attrs::new(message.get(16..).ok_or(Malformed)?, Family::Inet, Proto::Tcp);
        let name = attrs.get(IFLA_IFNAME).ok_or(Malformed)?;
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        out.insert(index, text::from_bytes(&name[..end]).into_owned());
        Ok(())
    };
    let result = NetlinkSocket::open(None)
        .map_err(DumpError::from)
        .and_then(|mut socket| socket.dump(&Request::links(), &mut decode));
    if let Err(e) = result {
        faults.add(FaultKind::Failed, FaultSubject::InterfaceNames, e.to_string());
    }
    out
}

/// `IFA_ADDRESS` and `IFA_LOCAL` (`include/uapi/linux/if_addr.h`).
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// Interface addresses of the network namespace of the calling thread, without loopback addresses.
pub(crate) fn addresses(faults: &mut Faults) -> Vec<Addr> {
    let mut out = Vec::new();
    let mut decode = |message: &[u8]| {
        let attrs = Attrs::new(message.get(8..).ok_or(Malformed)?, Family::Inet, Proto::Tcp);
        // On a point-to-point link IFA_ADDRESS is the address of the peer.
        let raw = attrs.get(IFA_LOCAL).or_else(|| attrs.get(IFA_ADDRESS)).ok_or(Malformed)?;
        let addr = match raw.len() {
            4 => raw.try_into().map(Addr::v4).map_err(|_| Malformed)?,
            16 => raw.try_into().map(Addr::v6).map_err(|_| Malformed)?,
            _ => return Err(Malformed),
        };
        if addr.scope() != crate::model::Scope::Loopback {
            out.push(addr);
        }
        Ok(())
    };
    let result = NetlinkSocket::open(None)
        .map_err(DumpError::from)
        .and_then(|mut socket| socket.dump(&Request::addresses(), &mut decode));
    if let Err(e) = result {
        faults.add(FaultKind::Failed, FaultSubject::InterfaceAddresses, e.to_string());
    }
    out
}
