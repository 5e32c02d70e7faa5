//! Versions of the marks that rules write; [`super::marks`] follows them.

use super::packets::{Field, PacketBox};
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// All bits of a mark.
pub(super) const ALL_BITS: u128 = u32::MAX as u128;
/// After the name of a value that a rule wrote and that is not known.
pub(super) const SET_BY_RULE: &str = " (set by a rule)";

/// Value that a rule writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// `field & mask ^ xor`; a constant with an empty mask.
    Linear {
        field: Field,
        mask: u128,
        xor: u128,
    },
    Unknown,
}

impl Written {
    pub(super) const fn constant(value: u32) -> Self {
        Self::Linear { field: Field::FAMILY, mask: 0, xor: value as u128 }
    }
}

/// The mark of the packet or of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Packet,
    Connection,
}

/// A mark after a write.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) before: Field,
    /// The packets that reached the write.
    pub(super) packets: Rc<[PacketBox]>,
    pub(super) value: Written,
    /// Field of a value that is not known.
    pub(super) unknown: Option<Field>,
}

/// All versions of both marks.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub(super) versions: Vec<Version>,
    /// Version, mask and xor, by field.
    pub(super) by_field: FxHashMap<u32, (usize, u128, u128)>,
}

impl Marks {
    pub(super) fn clear(&mut self) {
        self.versions.clear();
        self.by_field.clear();
    }

    /// Notes that a field is another one under a mask.
    pub(super) fn add_masked(&mut self, field: Field, new: Field, mask: u128, xor: u128) {
        if let Some((version, m, x)) = self.by_field.get(&field.id).copied() {
            self.by_field.insert(new.id, (version, m & mask, x & mask ^ xor));
        }
    }
}
