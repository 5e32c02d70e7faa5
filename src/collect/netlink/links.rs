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
    read(FaultSubject::InterfaceNames, faults, read_interfaces)
}

/// Interface names by index, of the network namespace of the socket.
pub(crate) fn read_interfaces(
    socket: &mut NetlinkSocket,
    out: &mut BTreeMap<u32, String>,
) -> Result<(), DumpError> {
    let mut decode = |message: &[u8]| {
        let index = read_u32(message, 4).ok_or(Malformed)?;
        // Attributes follow `struct ifinfomsg`, 16 bytes; their format is the same for all families.
        let attrs = Attrs::new(message.get(16..).ok_or(Malformed)?, Family::Inet, Proto::Tcp);
        let name = attrs.get(IFLA_IFNAME).ok_or(Malformed)?;
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        out.insert(index, text::from_bytes(&name[..end]).into_owned());
        Ok(())
    };
    socket.dump(&Request::links(), &mut decode).map(drop)
}

/// Reads from a new socket in the network namespace of the calling thread, as far as possible; a failure becomes a fault.
fn read<T: Default>(
    subject: FaultSubject,
    faults: &mut Faults,
    read: impl FnOnce(&mut NetlinkSocket, &mut T) -> Result<(), DumpError>,
) -> T {
    let mut out = T::default();
    let result = NetlinkSocket::open(None).map_err(DumpError::from);
    if let Err(e) = result.and_then(|mut socket| read(&mut socket, &mut out)) {
        faults.add(FaultKind::Failed, subject, e.to_string());
    }
    out
}

/// `IFA_ADDRESS` and `IFA_LOCAL` (`include/uapi/linux/if_addr.h`).
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// Interface addresses of the network namespace of the calling thread, without loopback addresses.
pub(crate) fn addresses(faults: &mut Faults) -> Vec<Addr> {
    read(FaultSubject::InterfaceAddresses, faults, read_addresses)
}

/// Interface addresses of the network namespace of the socket, without loopback addresses.
pub(crate) fn read_addresses(socket: &mut NetlinkSocket, out: &mut Vec<Addr>) -> Result<(), DumpError> {
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
    socket.dump(&Request::addresses(), &mut decode).map(drop)
}
