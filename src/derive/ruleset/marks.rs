//! Marks that rules write: the mark of the packet and that of the connection, and which packets have which value.
//!
//! Each write is a version of the mark, a field of its own. A condition on a version is a condition on what was written for
//! the packets that reached the write, and on the version before for all others ([`Fields::resolve_marks`]).

use super::fields::{Fields, Form, Key};
use super::interval::{Intervals, Span};
use super::mark_versions::{ALL_BITS, Mark, SET_BY_RULE, Version, Written};
use super::packets::{Field, PacketBox};
use super::taken::{Scope, untaken};
use super::xt::{connmark, mark, masked};

/// Most writes that are followed; after them the mark is unknown.
const MAX_WRITES: usize = 64;
/// Most boxes of packets of one write.
const MAX_WRITTEN: usize = 64;
/// Most boxes that the packets of a condition on a mark are split into.
const MAX_ALTERNATIVES: usize = 256;
/// Most values that are combined with a constant one by one.
const MAX_VALUES: usize = 8;

impl Mark {
    pub(super) const fn key(self) -> Key {
        match self {
            Self::Packet => Key::Meta(crate::model::nft::NFT_META_MARK),
            Self::Connection => Key::Ct(crate::model::nft::NFT_CT_MARK, 0),
        }
    }

    /// The field of its present value.
    pub(super) fn field(self, fields: &mut Fields) -> Field {
        match self {
            Self::Packet => mark(fields),
            Self::Connection => connmark(fields),
        }
    }
}

/// Both marks at a point of the evaluation.
#[derive(Clone, Copy, Debug)]
pub(super) struct SavedMarks {
    count: usize,
    packet: Field,
    connection: Field,
}

/// Fields of the mark of the packet and of the connection at one point.
pub(in crate::derive) type MarksNow = [Option<Field>; 2];

impl Fields {
    pub(super) fn save_marks(&mut self) -> SavedMarks {
        let (packet, connection) = (Mark::Packet.field(self), Mark::Connection.field(self));
        SavedMarks { count: self.marks.versions.len(), packet, connection }
    }

    /// The fields of both marks as they are now; `None` for one that nothing has read or written.
    pub(in crate::derive) fn marks_now(&self) -> MarksNow {
        [Mark::Packet, Mark::Connection].map(|m| self.known_field(&m.key()))
    }

    /// Reads the marks as they were: the packets left the hook before the later writes.
    pub(in crate::derive) fn return_to_marks(&mut self, before: MarksNow) {
        for (which, field) in [Mark::Packet, Mark::Connection].into_iter().zip(before) {
            if let Some(field) = field.or_else(|| self.original_field(&which.key())) {
                self.replace(which.key(), field);
            }
        }
    }

    /// True if the mark is unknown for all packets.
    fn is_exhausted(&mut self, which: Mark) -> bool {
        let field = which.field(self);
        let version = self.marks.by_field.get(&field.id).and_then(|(at, ..)| self.marks.versions.get(*at));
        version.is_some_and(|v| v.value == Written::Unknown && *v.packets == [PacketBox::default()])
    }

    /// Forgets the later writes; true if there were any.
    pub(super) fn restore_marks(&mut self, saved: SavedMarks) -> bool {
        let written = self.marks.versions.len() > saved.count;
        self.marks.versions.truncate(saved.count);
        self.replace(Mark::Packet.key(), saved.packet);
        self.replace(Mark::Connection.key(), saved.connection);
        written
    }

    /// Writes a mark for these packets, which no condition on an older version narrows.
    pub(super) fn write_mark(&mut self, which: Mark, packets: Vec<PacketBox>, value: Written) {
        if packets.is_empty() || self.is_exhausted(which) {
            return;
        }
        let (mut packets, mut value) = (packets, value);
        if packets.len() > MAX_WRITTEN || self.marks.versions.len() >= MAX_WRITES {
            (packets, value) = (vec![PacketBox::default()], Written::Unknown);
        }
        let before = which.field(self);
        let name = self.name(before).to_owned();
        let field = self.push(&name, Form::Hex, before.max, false);
        self.marks.by_field.insert(field.id, (self.marks.versions.len(), ALL_BITS, 0));
        let packets = packets.into();
        self.marks.versions.push(Version { before, packets, value, unknown: None });
        self.replace(which.key(), field);
    }

    /// Rewrites conditions on written marks as conditions on the packets that the writes saw.
    pub(super) fn resolve_marks(&mut self, boxes: &mut Vec<PacketBox>) {
        let written = |b: &PacketBox| b.fields().iter().any(|(f, _)| self.marks.by_field.contains_key(&f.id));
        if self.marks.versions.is_empty() || !boxes.iter().any(written) {
            return;
        }
        let (mut open, mut out) = (std::mem::take(boxes), Vec::new());
        open.reverse();
        while let Some(packets) = open.pop() {
            let version =
                |(f, v): &(Field, Intervals)| Some((*self.marks.by_field.get(&f.id)?, *f, v.clone()));
            let last = packets.fields().iter().filter_map(version).max_by_key(|((version, ..), ..)| *version);
            let Some(((at, mask, xor), field, values)) = last else {
                out.push(packets);
                continue;
            };
            let Some(version) = self.marks.versions.get(at).cloned() else { continue };
            let rest = packets.without(field);
            if out.len() + open.len() > MAX_ALTERNATIVES {
                open.extend(self.with_value(rest, at, Written::Unknown, (mask, xor), &values));
                continue;
            }
            let (mut left, mut found) = (vec![rest], Vec::new());
            for written in &*version.packets {
                for hit in left.iter().filter_map(|l| l.intersect(written)) {
                    found.extend(self.with_value(hit, at, version.value, (mask, xor), &values));
                }
                left = left.iter().flat_map(|l| l.subtract(written)).collect();
            }
            let before = masked(self, version.before, mask, xor);
            left.retain_mut(|l| l.narrow(before, &values));
            open.extend(found.into_iter().chain(left).rev());
        }
        *boxes = out;
    }

    /// The packets whose written value, under the mask and xor, is one of the values.
    fn with_value(
        &mut self,
        mut packets: PacketBox,
        version: usize,
        written: Written,
        (mask, xor): (u128, u128),
        values: &Intervals,
    ) -> Option<PacketBox> {
        let (field, mask, xor) = match written {
            Written::Linear { field, mask: m, xor: x } => (field, m & mask, x & mask ^ xor),
            Written::Unknown => (self.unknown(version), mask, xor),
        };
        if mask == 0 {
            return values.contains(xor).then_some(packets);
        }
        let any = match combined(values, mask, xor) {
            Some(values) => {
                let field = masked(self, field, mask, 0);
                packets.narrow(field, &values)
            }
            None => {
                let field = masked(self, field, mask, xor);
                packets.narrow(field, values)
            }
        };
        any.then_some(packets)
    }

    /// Field of a value that is not known.
    fn unknown(&mut self, version: usize) -> Field {
        let Some(v) = self.marks.versions.get(version) else {
            return self.push(SET_BY_RULE.trim_start(), Form::Hex, u32::MAX.into(), false);
        };
        if let Some(field) = v.unknown {
            return field;
        }
        let (name, max) = (format!("{}{SET_BY_RULE}", self.name(v.before)), v.before.max);
        let field = self.push(&name, Form::Hex, max, false);
        self.marks.versions[version].unknown = Some(field);
        field
    }
}

/// The values of `field & mask` for which `field & mask ^ xor` is one of `values`. `None` if they are too many to list.
fn combined(values: &Intervals, mask: u128, xor: u128) -> Option<Intervals> {
    if xor == 0 {
        return Some(values.clone());
    }
    let each = |values: &Intervals| {
        let spans = values.spans();
        let single = |s: &Span| s.0 == s.1;
        let list = || spans.iter().map(|s| s.0 ^ xor).filter(|v| v & !mask == 0).map(|v| (v, v)).collect();
        (spans.len() <= MAX_VALUES && spans.iter().all(single)).then(|| Intervals::union_of(list()))
    };
    let others = || Some(each(&values.complement(ALL_BITS))?.complement(mask));
    each(values).or_else(others)
}

/// Writer of a mark at one rule.
pub(super) struct MarkWriter<'b> {
    pub(super) fields: &'b mut Fields,
    /// Packets that do not get here and may get to a later rule.
    pub(super) scopes: &'b [Scope],
    /// Connection tracking has not seen the packets yet.
    pub(super) untracked_yet: bool,
}

impl MarkWriter<'_> {
    /// Writes the mark of the packets that were not taken before.
    pub(super) fn write(&mut self, boxes: &mut Vec<PacketBox>, which: Mark, value: Written) {
        self.fields.resolve_marks(boxes);
        // Before tracking there is no connection to mark.
        let no_connection = which == Mark::Connection && self.untracked_yet;
        if no_connection || self.fields.is_exhausted(which) {
            return;
        }
        let (mut packets, mut value) = (Vec::new(), value);
        for b in &*boxes {
            match untaken(self.scopes, b) {
                Some(parts) => packets.extend(parts),
                None => {
                    packets.push(b.clone());
                    value = Written::Unknown;
                }
            }
        }
        if self.untracked_yet {
            // All have the same state here, and another one later.
            packets = packets.iter().map(|p| p.without(Field::CT_STATE)).collect();
        }
        self.fields.write_mark(which, packets, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(n: u128) -> PacketBox {
        let mut out = PacketBox::default();
        out.set(Field::DPORT, Intervals::value(n));
        out
    }

    /// The packets with one of the values in the mark.
    fn with_mark(fields: &mut Fields, mask: u128, values: &Intervals) -> Vec<PacketBox> {
        let now = mark(fields);
        let now = masked(fields, now, mask, 0);
        let mut boxes = vec![PacketBox::default()];
        boxes[0].narrow(now, values);
        fields.resolve_marks(&mut boxes);
        boxes
    }

    #[test]
    fn last_write_decides_for_its_packets() {
        let mut fields = Fields::default();
        let original = mark(&mut fields);
        fields.write_mark(Mark::Packet, vec![port(80)], Written::constant(1));
        fields.write_mark(Mark::Packet, vec![port(81)], Written::constant(2));
        fields.write_mark(Mark::Packet, vec![port(80)], Written::constant(3));
        assert_eq!(with_mark(&mut fields, ALL_BITS, &Intervals::value(3))[0], port(80));
        assert_eq!(with_mark(&mut fields, ALL_BITS, &Intervals::value(2))[0], port(81));
        let rest = with_mark(&mut fields, ALL_BITS, &Intervals::value(1));
        let ports: Vec<_> = rest.iter().map(|b| b.values(Field::DPORT)).collect();
        assert!(rest.iter().all(|b| b.get(original) == Some(&Intervals::value(1))), "only unwritten");
        assert!(ports.iter().all(|p| !p.contains(80) && !p.contains(81)), "{ports:?}");
    }

    #[test]
    fn bits_are_set_and_kept() {
        let mut fields = Fields::default();
        let original = mark(&mut fields);
        let value = Written::Linear { field: original, mask: ALL_BITS & !0x4000, xor: 0x4000 };
        fields.write_mark(Mark::Packet, vec![PacketBox::default()], value);
        assert_eq!(with_mark(&mut fields, 0x4000, &Intervals::value(0x4000)), [PacketBox::default()]);
        assert!(with_mark(&mut fields, 0x4000, &Intervals::value(0)).is_empty());
        let whole = with_mark(&mut fields, ALL_BITS, &Intervals::value(0x4001));
        let low = masked(&mut fields, original, ALL_BITS & !0x4000, 0);
        assert_eq!(whole[0].get(low), Some(&Intervals::value(1)));
        let ct = connmark(&mut fields);
        fields.write_mark(
            Mark::Packet,
            vec![port(80)],
            Written::Linear { field: ct, mask: ALL_BITS, xor: 0 },
        );
        let restored = with_mark(&mut fields, ALL_BITS, &Intervals::value(7));
        assert_eq!(restored.iter().filter(|b| b.get(ct) == Some(&Intervals::value(7))).count(), 1);
    }

    #[test]
    fn many_writes_leave_the_mark_unknown() {
        let mut fields = Fields::default();
        for n in 0..1_000 {
            fields.write_mark(Mark::Packet, vec![port(n)], Written::constant(n as u32));
        }
        assert!(fields.marks.versions.len() <= MAX_WRITES + 1);
        let found = with_mark(&mut fields, ALL_BITS, &Intervals::value(3));
        assert_eq!(found.len(), 1);
        assert!(fields.name(found[0].fields()[0].0).ends_with(SET_BY_RULE));
    }
}
