//! The part of the kernel's BTF that a program needs (`Documentation/bpf/btf.rst`).
//!
//! A kernel describes more than 100,000 types. Taking them all in costs a loader 50 ms and 25 MB; taking in those that
//! a program names, with a blank in the place of each other one so that all keep their numbers, a tenth of it.

/// Bytes before the types: `struct btf_header`.
const HEADER: usize = 24;
const MAGIC: u16 = 0xeb9f;

/// Kinds of types.
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const FWD: u32 = 7;
const FUNC: u32 = 12;

/// The BTF with only these structures, these functions and what has no name of its own; `None` where it is not
/// understood.
pub(super) fn slim(btf: &[u8], structs: &[&str], functions: &[&str]) -> Option<Vec<u8>> {
    if btf.get(..2)? != MAGIC.to_ne_bytes() {
        return None;
    }
    let header = word(btf, 4)? as usize;
    let at = |field| word(btf, field).map(|n| n as usize);
    let (type_off, type_len, str_off, str_len) = (at(8)?, at(12)?, at(16)?, at(20)?);
    let types = btf.get(header..)?.get(type_off..)?.get(..type_len)?;
    let strings = btf.get(header..)?.get(str_off..)?.get(..str_len)?;
    let named = |name: u32, among: &[&str]| {
        strings
            .get(name as usize..)
            .is_some_and(|s| among.iter().any(|n| s.starts_with(n.as_bytes()) && s.get(n.len()) == Some(&0)))
    };

    let mut kept = Vec::with_capacity(types.len() / 2);
    let mut rest = types;
    while !rest.is_empty() {
        let (name, info) = (word(rest, 0)?, word(rest, 4)?);
        let (kind, members) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        let (size, keep) = match kind {
            // Numbers, pointers, arrays, qualifiers, floating point, tags of types.
            1 => (4, true),
            2 | 8..=11 | 16 | 18 => (0, true),
            3 => (12, true),
            STRUCT | UNION => (members * 12, name == 0 || named(name, structs)),
            FWD => (0, true),
            FUNC => (0, named(name, functions)),
            // Enumerations, prototypes, variables, sections, tags of declarations.
            6 | 13 => (members * 8, false),
            15 | 19 => (members * 12, false),
            14 | 17 => (4, false),
            _ => return None,
        };
        let (this, after) = rest.split_at_checked(12 + size)?;
        if keep {
            kept.extend_from_slice(this);
        } else {
            kept.extend([0, FWD << 24, 0].map(u32::to_ne_bytes).as_flattened());
        }
        rest = after;
    }

    let mut out = Vec::with_capacity(HEADER + kept.len() + strings.len());
    out.extend_from_slice(&btf[..4]);
    let lengths = [HEADER, 0, kept.len(), kept.len(), strings.len()];
    out.extend(lengths.map(|n| (n as u32).to_ne_bytes()).as_flattened());
    out.extend_from_slice(&kept);
    out.extend_from_slice(strings);
    Some(out)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A type: name, kind, members, size or type, what follows.
    fn ty(name: u32, kind: u32, members: u32, of: u32, more: &[u32]) -> Vec<u8> {
        [&[name, kind << 24 | members, of][..], more].concat().iter().flat_map(|w| w.to_ne_bytes()).collect()
    }

    fn btf(types: &[u8], strings: &[u8]) -> Vec<u8> {
        let mut out = MAGIC.to_ne_bytes().to_vec();
        out.extend([1, 0]);
        for n in [24, 0, types.len(), types.len(), strings.len()] {
            out.extend((n as u32).to_ne_bytes());
        }
        [&out, types, strings].concat()
    }

    #[test]
    fn what_is_named_stays_in_its_place() {
        let strings = b"\0int\0file\0files\0run\0";
        let int = ty(1, 1, 0, 4, &[32]);
        let file = ty(5, STRUCT, 1, 4, &[0, 1, 0]);
        let files = ty(10, STRUCT, 2, 8, &[0, 1, 0, 0, 1, 32]);
        let unnamed = ty(0, UNION, 1, 4, &[0, 1, 0]);
        let proto = ty(0, 13, 1, 0, &[0, 1]);
        let run = ty(16, FUNC, 0, 5, &[]);
        let values = ty(0, 6, 2, 4, &[0, 0, 0, 1]);
        let blank = ty(0, FWD, 0, 0, &[]);
        let all = [&int[..], &file, &files, &unnamed, &proto, &run, &values].concat();
        let want =
            |last: &[u8]| btf(&[&int[..], &file, &blank, &unnamed, &blank, last, &blank].concat(), strings);
        assert_eq!(slim(&btf(&all, strings), &["file"], &["run"]), Some(want(&run)));
        assert_eq!(slim(&btf(&all, strings), &["file"], &["ru", "runs"]), Some(want(&blank)));
    }

    #[test]
    fn what_is_not_understood_is_left() {
        let strings = b"\0";
        let good = btf(&ty(0, 1, 0, 4, &[32]), strings);
        for bad in [
            &good[..10],
            &good[..good.len() - 1],
            &btf(&ty(0, 1, 0, 4, &[]), strings),
            &btf(&ty(0, 30, 0, 0, &[]), strings),
            &[&[0, 0], &good[2..]].concat(),
        ] {
            assert_eq!(slim(bad, &[], &[]), None, "{bad:?}");
        }
    }
}
