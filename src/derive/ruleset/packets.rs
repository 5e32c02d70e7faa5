//! Sets of packets: boxes, which are products of a set of values for each field.

use super::interval::Intervals;
use std::cmp::Ordering;

/// Field of a packet, or an unknown that a rule depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::derive) struct Field {
    pub(super) id: u32,
    /// Highest value; [`u64::MAX`] stands for the highest of sixteen bytes.
    pub(super) max: u64,
    /// A new value for each evaluation of a rule: a random number, a rate limit.
    pub(super) random: bool,
}

impl Field {
    const fn fixed(id: u32, max: u64) -> Self {
        Self { id, max, random: false }
    }

    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    pub(in crate::derive) const FAMILY: Self = Self::fixed(0, 255);
    /// `IPPROTO_*`.
    pub(in crate::derive) const PROTO: Self = Self::fixed(1, 255);
    /// Source address.
    pub(in crate::derive) const SADDR: Self = Self::fixed(2, u64::MAX);
    /// Destination address.
    pub(in crate::derive) const DADDR: Self = Self::fixed(3, u64::MAX);
    /// Source port.
    pub(in crate::derive) const SPORT: Self = Self::fixed(4, 0xffff);
    /// Destination port.
    pub(in crate::derive) const DPORT: Self = Self::fixed(5, 0xffff);
    /// Name of the input interface: sixteen bytes, in network byte order.
    pub(in crate::derive) const IIF: Self = Self::fixed(6, u64::MAX);
    /// Name of the output interface.
    pub(in crate::derive) const OIF: Self = Self::fixed(7, u64::MAX);
    /// `NF_CT_STATE_BIT`: one bit.
    pub(in crate::derive) const CT_STATE: Self = Self::fixed(8, 0x40);
    /// Type of the source address: `RTN_*`.
    pub(in crate::derive) const SADDR_TYPE: Self = Self::fixed(9, 11);
    /// Type of the destination address: `RTN_*`.
    pub(in crate::derive) const DADDR_TYPE: Self = Self::fixed(10, 11);
    /// Destination address after translation, if that is a new one.
    pub(in crate::derive) const NEW_DADDR: Self = Self::fixed(11, u64::MAX);
    /// Destination port after translation, if that is a new one.
    pub(in crate::derive) const NEW_DPORT: Self = Self::fixed(12, 0xffff);
    /// Type of the destination address after translation: `RTN_*`.
    pub(in crate::derive) const NEW_DADDR_TYPE: Self = Self::fixed(13, 11);
    /// Name of the input interface at a later hook that has another one.
    pub(in crate::derive) const NEXT_IIF: Self = Self::fixed(14, u64::MAX);
    /// Name of the output interface after translation.
    pub(in crate::derive) const NEXT_OIF: Self = Self::fixed(15, u64::MAX);
    /// Number of the fields above.
    pub(super) const FIXED: u32 = 16;

    pub(in crate::derive) fn highest(self) -> u128 {
        if self.max == u64::MAX { u128::MAX } else { u128::from(self.max) }
    }

    /// All values.
    pub(in crate::derive) fn all(self) -> Intervals {
        Intervals::span(0, self.highest())
    }

    pub(in crate::derive) const fn is_random(self) -> bool {
        self.random
    }
}

/// Packets whose fields have one of the given values each; a field that is not listed can have any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::derive) struct PacketBox {
    /// Ordered by field.
    fields: Vec<(Field, Intervals)>,
}

impl PacketBox {
    pub(in crate::derive) fn fields(&self) -> &[(Field, Intervals)] {
        &self.fields
    }

    fn position(&self, field: Field) -> Result<usize, usize> {
        self.fields.binary_search_by_key(&field.id, |(f, _)| f.id)
    }

    /// The values of a field; `None` for any.
    pub(in crate::derive) fn get(&self, field: Field) -> Option<&Intervals> {
        self.position(field).ok().map(|i| &self.fields[i].1)
    }

    /// The values of a field.
    pub(in crate::derive) fn values(&self, field: Field) -> Intervals {
        self.get(field).cloned().unwrap_or_else(|| field.all())
    }

    /// Replaces the values of a field.
    pub(in crate::derive) fn set(&mut self, field: Field, values: Intervals) {
        match self.position(field) {
            Ok(i) => self.fields[i].1 = values,
            Err(i) => self.fields.insert(i, (field, values)),
        }
    }

    /// Keeps the packets whose field has one of the values; false if none is left.
    pub(in crate::derive) fn narrow(&mut self, field: Field, values: &Intervals) -> bool {
        match self.position(field) {
            Ok(i) => {
                let both = self.fields[i].1.intersect(values);
                let any = !both.is_empty();
                self.fields[i].1 = both;
                any
            }
            Err(i) => {
                self.fields.insert(i, (field, values.clone()));
                !values.is_empty()
            }
        }
    }

    /// The packets with one of the values of the field.
    pub(in crate::derive) fn narrowed(&self, field: Field, values: &Intervals) -> Option<Self> {
        let mut out = self.clone();
        out.narrow(field, values).then_some(out)
    }

    /// The packets with any value of the field.
    pub(super) fn without(&self, field: Field) -> Self {
        Self { fields: self.fields.iter().filter(|(f, _)| *f != field).cloned().collect() }
    }

    pub(in crate::derive) fn intersect(&self, other: &Self) -> Option<Self> {
        let mut fields = Vec::with_capacity(self.fields.len() + other.fields.len());
        let (mut a, mut b) = (&self.fields[..], &other.fields[..]);
        loop {
            match (a, b) {
                ([], rest) | (rest, []) => {
                    fields.extend_from_slice(rest);
                    return Some(Self { fields });
                }
                ([x, after_x @ ..], [y, after_y @ ..]) => match x.0.id.cmp(&y.0.id) {
                    Ordering::Less => {
                        fields.push(x.clone());
                        a = after_x;
                    }
                    Ordering::Greater => {
                        fields.push(y.clone());
                        b = after_y;
                    }
                    Ordering::Equal => {
                        let both = x.1.intersect(&y.1);
                        if both.is_empty() {
                            return None;
                        }
                        fields.push((x.0, both));
                        (a, b) = (after_x, after_y);
                    }
                },
            }
        }
    }

    /// The packets of both, if they differ in at most one field.
    pub(super) fn joined(&self, other: &Self) -> Option<Self> {
        let mut all = self.fields.iter().chain(&other.fields).map(|(f, _)| *f);
        let mut differing = all.by_ref().filter(|f| self.values(*f) != other.values(*f));
        let Some(field) = differing.next() else { return Some(self.clone()) };
        if differing.any(|f| f != field) {
            return None;
        }
        let spans =
            [self.values(field), other.values(field)].iter().flat_map(|v| v.spans().to_vec()).collect();
        let mut out = self.clone();
        out.set(field, Intervals::union_of(spans));
        Some(out)
    }

    pub(in crate::derive) fn intersects(&self, other: &Self) -> bool {
        other.fields.iter().all(|(f, v)| self.get(*f).is_none_or(|mine| mine.intersects(v)))
    }

    /// True if every packet of another box is in this one.
    pub(in crate::derive) fn covers(&self, other: &Self) -> bool {
        self.fields.iter().all(|(f, v)| match other.get(*f) {
            Some(o) => o.is_subset(v),
            None => f.all().is_subset(v),
        })
    }

    /// The packets that are not in another box, as boxes that do not overlap.
    pub(in crate::derive) fn subtract(&self, other: &Self) -> Vec<Self> {
        if !self.intersects(other) {
            return vec![self.clone()];
        }
        let mut out = Vec::new();
        let mut both = self.clone();
        for (field, values) in &other.fields {
            let mine = both.values(*field);
            let outside = mine.subtract(values);
            if !outside.is_empty() {
                let mut part = both.clone();
                part.set(*field, outside);
                out.push(part);
                both.set(*field, mine.intersect(values));
            }
        }
        out
    }
}

/// Keeps the packets whose field has one of the values.
pub(super) fn narrow_all(boxes: &mut Vec<PacketBox>, field: Field, values: &Intervals) {
    boxes.retain_mut(|b| b.narrow(field, values));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIELDS: [Field; 3] = [Field::fixed(0, 4), Field::fixed(1, 4), Field::fixed(2, 4)];

    fn any_box() -> impl Strategy<Value = PacketBox> {
        let values = prop::collection::vec((0..=4u128, 0..=4u128), 1..3).prop_map(Intervals::union_of);
        let field = prop::option::of(values.prop_filter("values", |v| !v.is_empty()));
        prop::array::uniform3(field).prop_map(|all| {
            let mut out = PacketBox::default();
            for (field, values) in FIELDS.iter().zip(all) {
                if let Some(values) = values {
                    out.set(*field, values);
                }
            }
            out
        })
    }

    fn packets() -> impl Iterator<Item = [u128; 3]> {
        (0..125).map(|i| [i / 25, i / 5 % 5, i % 5])
    }

    fn has(b: &PacketBox, packet: [u128; 3]) -> bool {
        FIELDS.iter().zip(packet).all(|(f, v)| b.get(*f).is_none_or(|set| set.contains(v)))
    }

    proptest! {
        #[test]
        fn operations_match_packets_one_by_one(a in any_box(), b in any_box()) {
            let (both, rest) = (a.intersect(&b), a.subtract(&b));
            let (mut overlap, mut covered) = (false, true);
            for p in packets() {
                let (x, y) = (has(&a, p), has(&b, p));
                overlap |= x && y;
                covered &= x || !y;
                prop_assert_eq!(both.as_ref().is_some_and(|c| has(c, p)), x && y);
                prop_assert_eq!(rest.iter().filter(|c| has(c, p)).count(), usize::from(x && !y));
            }
            prop_assert_eq!(a.intersects(&b), overlap);
            prop_assert_eq!(both.is_some(), overlap);
            prop_assert_eq!(a.covers(&b), covered);
        }
    }
}
