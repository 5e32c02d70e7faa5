//! Sets and maps of `nf_tables` as values of packet fields, resolved once for each use.

use super::fields::{Fields, Form, Key};
use super::interval::Intervals;
use super::packets::{Field, PacketBox, narrow_all};
use super::registers::{Interfaces, Part};
use super::set_ranges::ranges;
use crate::model::nft::{Data, NFT_SET_ELEM_CATCHALL, Set};
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// Most concatenated keys that are subtracted one by one.
const MAX_SUBTRACTED: usize = 16;
/// Concatenated keys of one lookup that are always listed one by one.
const ALWAYS_LISTED: usize = 256;
/// Most concatenated keys that all lookups together list; above, the set is a condition.
const MAX_LISTED: usize = 8_192;

/// The keys of a group of elements.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    /// Values of one field.
    Values(Field, Intervals),
    /// Concatenated keys.
    Boxes(Vec<PacketBox>),
}

impl Keys {
    /// The packets with one of the keys.
    pub(super) fn keep(&self, boxes: &[PacketBox]) -> Vec<PacketBox> {
        match self {
            Self::Values(field, values) => boxes.iter().filter_map(|b| b.narrowed(*field, values)).collect(),
            Self::Boxes(keys) => {
                boxes.iter().flat_map(|b| keys.iter().filter_map(|k| b.intersect(k))).collect()
            }
        }
    }

    /// Cost of [`Keys::keep`] for one box.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Values(..) => 1,
            Self::Boxes(keys) => keys.len(),
        }
    }
}

/// Elements with the same value.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) data: Option<&'a Data>,
    pub(super) keys: Keys,
}

/// A set for keys of these fields.
#[derive(Debug)]
pub(super) struct Resolved<'a> {
    pub(super) groups: Vec<Group<'a>>,
    /// All keys of elements.
    all: Keys,
    name: &'a str,
}

impl Resolved<'_> {
    /// Cost of [`Sets::members`] for one box.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Keeps the packets under the condition that their key is in the set, or is not.
    pub(super) fn membership(&self, boxes: &mut Vec<PacketBox>, fields: &mut Fields, is_in: bool) {
        let field = membership(&self.all, self.name, fields);
        narrow_all(boxes, field, &Intervals::value(is_in.into()));
    }

    /// The packets with a key that is not in the set.
    pub(super) fn others(&self, boxes: &mut Vec<PacketBox>, fields: &mut Fields) {
        others(&self.all, self.name, boxes, fields);
    }
}

fn others(keys: &Keys, name: &str, boxes: &mut Vec<PacketBox>, fields: &mut Fields) {
    match keys {
        Keys::Values(field, values) => narrow_all(boxes, *field, &values.complement(field.highest())),
        Keys::Boxes(keys) if keys.len() <= MAX_SUBTRACTED => {
            for key in keys {
                *boxes = boxes.iter().flat_map(|b| b.subtract(key)).collect();
            }
        }
        Keys::Boxes(_) => {
            let field = membership(keys, name, fields);
            narrow_all(boxes, field, &Intervals::value(0));
        }
    }
}

/// Condition of a key that is in a set.
fn membership(keys: &Keys, name: &str, fields: &mut Fields) -> Field {
    let of = match keys {
        Keys::Values(field, _) => vec![field.id],
        Keys::Boxes(all) => all.iter().take(1).flat_map(PacketBox::fields).map(|(f, _)| f.id).collect(),
    };
    let content: Vec<u8> = of.into_iter().flat_map(u32::to_ne_bytes).collect();
    let text = format!("in set {name}");
    fields.known(Key::Condition(text.as_str().into(), content.into()), &text, Form::Flag, 1)
}

/// First and last key.
type KeyRange<'a> = (&'a [u8], Box<[u8]>);
/// A value and the keys of its elements.
type Elements<'a> = (Option<&'a Data>, Vec<KeyRange<'a>>);

/// First byte of each field in the key.
type Layout = Vec<(usize, Part)>;

/// Sets that were resolved, by their address.
#[derive(Debug, Default)]
pub(in crate::derive) struct Sets<'a> {
    known: FxHashMap<*const Set, (Layout, Rc<Resolved<'a>>)>,
    /// Concatenated keys that lookups have listed.
    listed: usize,
    /// Packets that reached a rule which changes the elements, by the address of the set.
    changed: FxHashMap<*const Set, Vec<PacketBox>>,
}

/// Most boxes of packets that change one set; above, every packet may.
const MAX_CHANGED: usize = 64;

impl<'a> Sets<'a> {
    /// Notes that these packets change the elements of a set: it may have their keys when they look it up later.
    pub(super) fn change(&mut self, set: &'a Set, packets: impl Iterator<Item = PacketBox>) {
        let known = self.changed.entry(set).or_default();
        for p in packets {
            if known.len() >= MAX_CHANGED {
                *known = vec![PacketBox::default()];
                return;
            }
            if !known.iter().any(|k| k.covers(&p)) {
                known.push(p);
            }
        }
    }

    /// True if a rule changes the elements of some set.
    pub(super) fn is_changed(&self, set: &'a Set) -> bool {
        self.changed.contains_key(&std::ptr::from_ref(set))
    }

    /// True if one of these packets changed the elements of a set before.
    pub(super) fn is_changed_by(&self, set: &'a Set, packets: &PacketBox) -> bool {
        let known = self.changed.get(&std::ptr::from_ref(set));
        known.is_some_and(|all| all.iter().any(|k| k.intersects(packets)))
    }

    /// A set looked up by these parts; `None` for parts that are not known.
    pub(super) fn resolve(
        &mut self,
        set: &'a Set,
        layout: Option<Layout>,
        fields: &mut Fields,
        interfaces: &Interfaces,
    ) -> Rc<Resolved<'a>> {
        let layout = layout.unwrap_or_default();
        if let Some((_, known)) = self.known.get(&std::ptr::from_ref(set)).filter(|(l, _)| *l == layout) {
            return known.clone();
        }
        let resolved = Rc::new(resolve(set, &layout, fields, interfaces));
        if !layout.iter().any(|(_, p)| p.field.is_random()) {
            self.known.insert(set, (layout, resolved.clone()));
        }
        resolved
    }

    /// The packets with a key that is in the set, and the number of keys compared. A large set of concatenated keys that many
    /// rules look up is a condition of the later ones.
    pub(super) fn members(
        &mut self,
        set: &Resolved<'_>,
        boxes: &[PacketBox],
        fields: &mut Fields,
    ) -> (Vec<PacketBox>, usize) {
        let Keys::Boxes(keys) = &set.all else { return (set.all.keep(boxes), boxes.len()) };
        let most = ALWAYS_LISTED.max(MAX_LISTED.saturating_sub(self.listed));
        let (mut out, mut compared) = (Vec::new(), 0);
        for b in boxes {
            for key in keys {
                compared += 1;
                out.extend(b.intersect(key));
                if out.len() > most {
                    let field = membership(&set.all, set.name, fields);
                    let mut all = boxes.to_vec();
                    narrow_all(&mut all, field, &Intervals::value(1));
                    return (all, compared);
                }
            }
        }
        if out.len() > ALWAYS_LISTED {
            self.listed += out.len();
        }
        (out, compared)
    }
}

fn resolve<'a>(set: &'a Set, layout: &Layout, fields: &mut Fields, interfaces: &Interfaces) -> Resolved<'a> {
    let (mut order, mut index): (Vec<Elements<'a>>, _) = (Vec::new(), FxHashMap::default());
    // Of the keys that no element has.
    let mut default: Vec<Option<&Data>> = Vec::new();
    for range in ranges(set) {
        let data = range.2.data.as_ref();
        if range.2.flags & NFT_SET_ELEM_CATCHALL != 0 {
            default.push(data);
            continue;
        }
        let at = *index.entry(data_key(data)).or_insert_with(|| {
            order.push((data, Vec::new()));
            order.len() - 1
        });
        order[at].1.push((range.0, range.1));
    }
    let mut keys: Vec<(Option<&Data>, Keys)> = Vec::with_capacity(order.len());
    for (data, spans) in &order {
        let Some(found) = keys_of(spans, layout, interfaces) else {
            return opaque(set, &order, &default, fields);
        };
        keys.push((*data, found));
    }
    let mut all = match layout[..] {
        [(_, part)] => {
            let every =
                keys.iter().flat_map(|(_, k)| if let Keys::Values(_, v) = k { v.spans() } else { &[] });
            Keys::Values(part.field, Intervals::union_of(every.copied().collect()))
        }
        _ => Keys::Boxes(
            keys.iter()
                .flat_map(|(_, k)| if let Keys::Boxes(b) = k { b.as_slice() } else { &[] })
                .cloned()
                .collect(),
        ),
    };
    if let Some(data) = default.first().copied() {
        // Every key that no other element has.
        let mut rest = vec![PacketBox::default()];
        others(&all, &set.name, &mut rest, fields);
        keys.push((data, Keys::Boxes(rest)));
        all = Keys::Boxes(vec![PacketBox::default()]);
    }
    let groups = keys.into_iter().map(|(data, keys)| Group { data, keys }).collect();
    Resolved { groups, all, name: &set.name }
}

fn data_key(data: Option<&Data>) -> (i32, &[u8]) {
    match data {
        None => (-100, &[]),
        Some(Data::Value(bytes)) => (-101, bytes),
        Some(Data::Verdict { code, chain }) => (*code, chain.as_deref().unwrap_or("").as_bytes()),
    }
}

/// The keys of ranges of bytes. `None` if they are not ranges of the fields.
fn keys_of(spans: &[KeyRange<'_>], layout: &Layout, interfaces: &Interfaces) -> Option<Keys> {
    let bounds = |from: usize, first: &'_ [u8], last: &'_ [u8], part: &Part| {
        part.span(first.get(from..)?, last.get(from..)?, interfaces)
    };
    match layout[..] {
        [] => None,
        [(from, part)] => {
            let mut out = Vec::with_capacity(spans.len());
            for (first, last) in spans {
                out.extend_from_slice(bounds(from, first, last, &part)?.spans());
            }
            Some(Keys::Values(part.field, Intervals::union_of(out)))
        }
        _ => {
            let mut out = Vec::with_capacity(spans.len());
            for (first, last) in spans {
                let mut key = PacketBox::default();
                let mut any = true;
                for (from, part) in layout {
                    any &= key.narrow(part.field, &bounds(*from, first, last, part)?);
                }
                if any {
                    out.push(key);
                }
            }
            Some(Keys::Boxes(out))
        }
    }
}

/// A set by keys that are not known: each value is possible.
fn opaque<'a>(
    set: &'a Set,
    order: &[Elements<'a>],
    default: &[Option<&'a Data>],
    fields: &mut Fields,
) -> Resolved<'a> {
    let name = format!("lookup in {}", set.name);
    let all: Vec<Option<&Data>> = order.iter().map(|(d, _)| *d).chain(default.iter().copied()).collect();
    let missing = u64::from(default.is_empty());
    let max = (all.len() as u64 + missing).saturating_sub(1).max(1);
    let field = fields.known(Key::Condition(name.as_str().into(), [].into()), &name, Form::Number, max);
    let last = (all.len() as u128).saturating_sub(1);
    let group = |(i, data)| Group { data, keys: Keys::Values(field, Intervals::value(i)) };
    let every = if all.is_empty() { Intervals::empty() } else { Intervals::span(0, last) };
    let groups = (0..).zip(all).map(group).collect();
    Resolved { groups, all: Keys::Values(field, every), name: &set.name }
}
