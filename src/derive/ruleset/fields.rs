//! Fields that a ruleset uses: those of every packet, and one for each further value that a rule depends on.

use super::mark_versions::{Marks, SET_BY_RULE};
use super::packets::Field;
use rustc_hash::{FxHashMap, FxHashSet};

/// Form of the values in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::derive) enum Form {
    Number,
    Hex,
    Addr,
    Iface,
    /// `NFPROTO_*`.
    Family,
    /// `IPPROTO_*`.
    Proto,
    /// `NF_CT_STATE_BIT`.
    CtState,
    /// `RTN_*`.
    AddrType,
    /// A condition that holds or not.
    Flag,
}

/// Identity of a value that a rule depends on: equal for two rules that test the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// `NFT_META_*`.
    Meta(u32),
    /// `NFT_CT_*` and direction.
    Ct(u32, u32),
    /// Bytes of the packet: base, offset, length.
    Payload(u32, u32, u32),
    /// Result and flags.
    Fib(u32, u32),
    /// A field with a mask and xor.
    Masked(u32, u128, u128),
    /// A condition by kind and content.
    Condition(Box<str>, Box<[u8]>),
}

#[derive(Debug)]
struct Info {
    name: String,
    form: Form,
}

/// Names and forms of all fields.
#[derive(Debug)]
pub(in crate::derive) struct Fields {
    all: Vec<Info>,
    known: FxHashMap<Key, Field>,
    /// Values that a rule wrote: a later read is another field.
    changed: FxHashSet<Key>,
    /// The fields of marks before any rule wrote them.
    original: FxHashMap<Key, Field>,
    pub(super) marks: Marks,
    /// Fields that a rule reads in place of those of the packet as it came.
    pub(super) current: Current,
}

/// Fields that have changed since the packet came: each is read in its new place, so that conditions on the packet as it came,
/// and marks written by them, stay true.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Current {
    /// The destination was translated.
    pub(super) translated: bool,
    /// To another address.
    pub(super) new_addr: bool,
    /// To another port.
    pub(super) new_port: bool,
    /// The input interface is another one or none.
    pub(super) next_iif: bool,
}

impl Default for Fields {
    fn default() -> Self {
        let fixed = [
            ("family", Form::Family),
            ("protocol", Form::Proto),
            ("source", Form::Addr),
            ("destination", Form::Addr),
            ("source port", Form::Number),
            ("destination port", Form::Number),
            ("iif", Form::Iface),
            ("oif", Form::Iface),
            ("ct state", Form::CtState),
            ("source type", Form::AddrType),
            ("destination type", Form::AddrType),
            ("new destination", Form::Addr),
            ("new destination port", Form::Number),
            ("new destination type", Form::AddrType),
            ("next iif", Form::Iface),
            ("oif", Form::Iface),
        ];
        debug_assert_eq!(fixed.len(), Field::FIXED as usize);
        let info = |(name, form): (&str, Form)| Info { name: name.to_owned(), form };
        Self {
            all: fixed.map(info).into(),
            known: FxHashMap::default(),
            changed: FxHashSet::default(),
            original: FxHashMap::default(),
            marks: Marks::default(),
            current: Current::default(),
        }
    }
}

impl Fields {
    pub(super) fn push(&mut self, name: &str, form: Form, max: u64, random: bool) -> Field {
        self.all.push(Info { name: name.to_owned(), form });
        Field { id: self.all.len() as u32 - 1, max, random }
    }

    /// The field of a key; a new one if the value was written since.
    pub(super) fn known(&mut self, key: Key, name: &str, form: Form, max: u64) -> Field {
        if let Some(field) = self.known.get(&key) {
            return *field;
        }
        let name = if self.changed.contains(&key) { format!("{name}{SET_BY_RULE}") } else { name.to_owned() };
        let field = self.push(&name, form, max, false);
        self.known.insert(key, field);
        field
    }

    /// The field of a key, if it has one.
    pub(super) fn known_field(&self, key: &Key) -> Option<Field> {
        self.known.get(key).copied()
    }

    /// Field, base field, mask and xor of each field that is part of another one.
    pub(super) fn masked_fields(&self) -> impl Iterator<Item = (u32, u32, u128, u128)> {
        self.known.iter().filter_map(|(key, field)| match key {
            Key::Masked(base, mask, xor) => Some((field.id, *base, *mask, *xor)),
            _ => None,
        })
    }

    /// The field of a mark before any rule wrote it, if one did.
    pub(super) fn original_field(&self, key: &Key) -> Option<Field> {
        self.original.get(key).copied()
    }

    /// The field that is read at this point for one of the packet as it came.
    pub(super) fn now(&self, field: Field) -> Field {
        let c = self.current;
        match field {
            Field::DADDR if c.new_addr => Field::NEW_DADDR,
            Field::DPORT if c.new_port => Field::NEW_DPORT,
            Field::DADDR_TYPE if c.translated => Field::NEW_DADDR_TYPE,
            Field::OIF if c.translated => Field::NEXT_OIF,
            Field::IIF if c.next_iif => Field::NEXT_IIF,
            other => other,
        }
    }

    /// A value that is new at each evaluation.
    pub(super) fn random(&mut self, name: &str, max: u64) -> Field {
        self.push(name, Form::Number, max, true)
    }

    /// Forgets the values that depend on a written one.
    pub(super) fn written(&mut self, key: &Key) {
        self.changed.insert(key.clone());
        if let Some(field) = self.known.remove(key) {
            self.known.retain(|k, _| !matches!(k, Key::Masked(id, ..) if *id == field.id));
        }
    }

    /// Sets the field of a key, which has one.
    pub(super) fn replace(&mut self, key: Key, field: Field) {
        if let Some(before) = self.known.insert(key.clone(), field) {
            self.original.entry(key).or_insert(before);
        }
    }

    /// Marks a new run: the values of another packet.
    pub(super) fn reset(&mut self) {
        self.marks.clear();
        self.current = Current::default();
        self.known.extend(self.original.iter().map(|(key, field)| (key.clone(), *field)));
        for key in std::mem::take(&mut self.changed) {
            if let Some(field) = self.known.remove(&key) {
                self.known.retain(|k, _| !matches!(k, Key::Masked(id, ..) if *id == field.id));
            }
        }
    }

    pub(in crate::derive) fn name(&self, field: Field) -> &str {
        self.all.get(field.id as usize).map_or("?", |i| &i.name)
    }

    pub(in crate::derive) fn form(&self, field: Field) -> Form {
        self.all.get(field.id as usize).map_or(Form::Number, |i| i.form)
    }
}
