//! The interfaces of a network namespace.

use super::socket::{DumpError, Malformed, NetlinkSocket};
use super::wire::Request;
use crate::model::bytes::read_u32;
use crate::model::{Addr, Attrs, Family, FaultKind, FaultSubject, Faults, Proto, text};
use std::collections::BTreeMap;

/// `IFLA_IFNAME` (`include/uapi/linux/if_link.h`).
const IFLA_IFNAME: u16 = 3;

/// The name of an interface; its number where it has none.
pub(crate) fn name_of(interfaces: &BTreeMap<u32, String>, index: u32) -> String {
    interfaces.get(&index).cloned().unwrap_or_else(|| format!("if{index}"))
}

/// Interface names by index, asked of the kernel for the namespace this thread is in (rtnetlink(7)); `/sys/class/net`
/// would show those of the namespace it was mounted in.
pub(crate) fn interfaces(faults: &mut Faults) -> BTreeMap<u32, String> {
    let mut out = BTreeMap::new();
    let mut take = |message: &[u8]| {
        let index = read_u32(message, 4).ok_or(Malformed)?;
        // Attributes follow the sixteen bytes of `struct ifinfomsg`; their form is the same everywhere.
        let attrs = Attrs::new(message.get(16..).ok_or(Malformed)?, Family::Inet, Proto::Tcp);
        let name = attrs.get(IFLA_IFNAME).ok_or(Malformed)?;
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        out.insert(index, text::from_bytes(&name[..end]).into_owned());
        Ok(())
    };
    let asked = NetlinkSocket::open(None)
        .map_err(DumpError::from)
        .and_then(|mut talk| talk.dump(&Request::links(), &mut take));
    if let Err(e) = asked {
        faults.add(FaultKind::Failed, FaultSubject::InterfaceNames, e.to_string());
    }
    out
}

/// `IFA_ADDRESS` and `IFA_LOCAL` (`include/uapi/linux/if_addr.h`).
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// Addresses of the interfaces of the namespace this thread is in, without those of loopback.
pub(crate) fn addresses(faults: &mut Faults) -> Vec<Addr> {
    let mut out = Vec::new();
    let mut take = |message: &[u8]| {
        let attrs = Attrs::new(message.get(8..).ok_or(Malformed)?, Family::Inet, Proto::Tcp);
        // On a link between two hosts IFA_ADDRESS is the other one's.
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
    let asked = NetlinkSocket::open(None)
        .map_err(DumpError::from)
        .and_then(|mut talk| talk.dump(&Request::addresses(), &mut take));
    if let Err(e) = asked {
        faults.add(FaultKind::Failed, FaultSubject::InterfaceAddresses, e.to_string());
    }
    out
}
