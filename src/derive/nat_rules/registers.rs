//! Registers of `nf_tables` during evaluation: the source of a value instead of the value, since there is no packet.

use crate::model::nft::{
    NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER, NFT_REG_1, NFT_REG_4, NFT_REG32_00,
    NFT_REG32_15,
};
use crate::model::{Addr, Family};

/// A field of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PacketField {
    Protocol,
    Family,
    Destination,
    DestinationPort,
    Source,
    SourcePort,
    /// Source and destination address, which nft loads as one if a rule matches both.
    Addresses,
    /// Source and destination port, loaded as one.
    BothPorts,
    Mark,
    Interface,
    InterfaceIndex,
    /// The destination is a local address: true for everything that is forwarded.
    Local,
    Other,
}

impl PacketField {
    /// Name of a condition on it, if it has one.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Protocol => Some("protocol"),
            Self::Destination => Some("destination"),
            Self::DestinationPort => Some("destination port"),
            Self::Source => Some("source"),
            Self::SourcePort => Some("source port"),
            Self::Mark => Some("mark"),
            Self::Interface | Self::InterfaceIndex => Some("interface"),
            Self::Family | Self::Local | Self::Other | Self::Addresses | Self::BothPorts => None,
        }
    }

    /// The field that a payload expression loads, by base, offset and length.
    pub(super) fn from_payload(
        base: Option<u32>,
        offset: Option<u32>,
        len: Option<u32>,
        family: Option<Family>,
    ) -> Self {
        const NETWORK: Option<u32> = Some(NFT_PAYLOAD_NETWORK_HEADER);
        const TRANSPORT: Option<u32> = Some(NFT_PAYLOAD_TRANSPORT_HEADER);
        let v6 = family == Some(Family::Inet6);
        match (base, offset, len) {
            (NETWORK, Some(16), Some(..=4)) if !v6 => Self::Destination,
            (NETWORK, Some(24), Some(..=16)) => Self::Destination,
            (NETWORK, Some(9), Some(1)) if !v6 => Self::Protocol,
            (NETWORK, Some(6), Some(1)) => Self::Protocol,
            (NETWORK, Some(12), Some(..=4)) if !v6 => Self::Source,
            (NETWORK, Some(8), Some(..=16)) => Self::Source,
            (TRANSPORT, Some(2), Some(2)) => Self::DestinationPort,
            (NETWORK, Some(12), Some(..=8)) if !v6 => Self::Addresses,
            (NETWORK, Some(8), Some(..=32)) if v6 => Self::Addresses,
            (TRANSPORT, Some(0), Some(2)) => Self::SourcePort,
            (TRANSPORT, Some(0), Some(4)) => Self::BothPorts,
            _ => Self::Other,
        }
    }
}

/// Content of four bytes of the registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RegValue {
    #[default]
    Unknown,
    /// A field of the packet, from this byte on.
    PacketField(PacketField, u8),
    /// A constant.
    Const([u8; 4]),
    /// The map value of the last lookup, from this byte on.
    MapValue(u8),
}

/// All registers, in units of four bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Registers([RegValue; 16]);

/// Index of the first four bytes of a register: `NFT_REG_1` to `NFT_REG_4` have sixteen each, `NFT_REG32_*` four.
pub(super) fn index(register: u32) -> Option<usize> {
    match register {
        NFT_REG_1..=NFT_REG_4 => Some((register - NFT_REG_1) as usize * 4),
        NFT_REG32_00..=NFT_REG32_15 => Some((register - NFT_REG32_00) as usize),
        _ => None,
    }
}

impl Registers {
    /// Content at an index.
    pub(super) fn get(&self, at: usize) -> Option<RegValue> {
        self.0.get(at).copied()
    }

    /// The packet field that a register starts with.
    pub(super) fn field(&self, register: Option<u32>) -> Option<PacketField> {
        match self.get(register.and_then(index)?)? {
            RegValue::PacketField(f, 0) => Some(f),
            _ => None,
        }
    }

    /// Loads a packet field.
    pub(super) fn load(&mut self, register: Option<u32>, len: Option<u32>, field: PacketField) {
        let Some(at) = register.and_then(index) else { return };
        let words = (len.unwrap_or(4).min(16) as usize).div_ceil(4);
        for (i, v) in self.0.iter_mut().skip(at).take(words).enumerate() {
            *v = RegValue::PacketField(field, i as u8 * 4);
        }
    }

    /// Stores a constant.
    pub(super) fn store(&mut self, at: usize, bytes: &[u8]) {
        for (v, chunk) in self.0.iter_mut().skip(at).zip(bytes.chunks(4)) {
            let mut data = [0; 4];
            data[..chunk.len()].copy_from_slice(chunk);
            *v = RegValue::Const(data);
        }
    }

    /// Loads the map value of a lookup.
    pub(super) fn load_map_value(&mut self, at: usize) {
        for (i, v) in self.0.iter_mut().skip(at).take(8).enumerate() {
            *v = RegValue::MapValue(i as u8 * 4);
        }
    }

    /// The bytes from an index on, if they are constant or of the map, with this value of the map.
    pub(super) fn bytes(&self, at: usize, len: usize, map_value: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(len);
        for v in self.0.get(at..at + len.div_ceil(4))? {
            match v {
                RegValue::Const(d) => out.extend_from_slice(d),
                RegValue::MapValue(from) => {
                    let from = usize::from(*from);
                    out.extend_from_slice(map_value.get(from..map_value.len().min(from + 4))?);
                    out.resize(out.len().next_multiple_of(4), 0);
                }
                RegValue::Unknown | RegValue::PacketField(..) => return None,
            }
        }
        out.truncate(len);
        (out.len() == len).then_some(out)
    }

    /// The address at an index.
    pub(super) fn addr(&self, at: Option<usize>, len: usize, map_value: &[u8]) -> Option<Addr> {
        addr(&self.bytes(at?, len, map_value)?)
    }

    /// The port at an index.
    pub(super) fn port(&self, at: Option<usize>, map_value: &[u8]) -> Option<u16> {
        Some(be16(&self.bytes(at?, 2, map_value)?))
    }
}

/// An address of four or sixteen bytes.
pub(super) fn addr(bytes: &[u8]) -> Option<Addr> {
    match bytes.len() {
        4 => Some(Addr::v4(bytes.try_into().ok()?)),
        16 => Some(Addr::v6(bytes.try_into().ok()?)),
        _ => None,
    }
}

/// The first two bytes as a number in network byte order; 0 if there are fewer.
pub(super) fn be16(b: &[u8]) -> u16 {
    b.first_chunk().map_or(0, |b| u16::from_be_bytes(*b))
}
