//! Subset of the kernel's BTF with the types that a program uses (`Documentation/bpf/btf.rst`).
//!
//! A kernel describes more than 100,000 types. Parsing all of them costs a loader 50 ms and 25 MB; parsing only those that
//! a program uses, with an empty forward declaration for each other one so that type ids stay the same, a fifth of that.
//! (The loader of `aya` 0.14 parses all of it once in any case, 20 ms: `EbpfLoader::new`.)

/// Size of `struct btf_header`.
const HEADER: usize = 24;
const MAGIC: u16 = 0xeb9f;

/// Type kinds (`BTF_KIND_*`).
const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const FWD: u32 = 7;
const TYPEDEF: u32 = 8;
const RESTRICT: u32 = 11;
const FUNC: u32 = 12;
const TYPE_TAG: u32 = 18;

/// BTF with these structures, the types of their fields (but not what those point to) and the functions and typedefs
/// of these names only; `None` if it cannot be parsed.
pub(crate) fn extract(btf: &[u8], structs: &[&str], names: &[&str]) -> Option<Vec<u8>> {
    if btf.get(..2)? != MAGIC.to_ne_bytes() {
        return None;
    }
    let at = |field| word(btf, field).map(|n| n as usize);
    let (header, type_off, type_len, str_off, str_len) = (at(4)?, at(8)?, at(12)?, at(16)?, at(20)?);
    let bytes = btf.get(header..)?.get(type_off..)?.get(..type_len)?;
    let strings = btf.get(header..)?.get(str_off..)?.get(..str_len)?;
    let is_named = |name: u32, among: &[&str]| {
        strings
            .get(name as usize..)
            .is_some_and(|s| among.iter().any(|n| s.starts_with(n.as_bytes()) && s.get(n.len()) == Some(&0)))
    };

    // Types, and whether each is wanted by name. Id 0 is void and not stored.
    let mut types: Vec<&[u8]> = Vec::with_capacity(bytes.len() / 24);
    types.push(&[]);
    let mut wanted = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (name, info) = (word(rest, 0)?, word(rest, 4)?);
        let (kind, members) = (kind_of(info), members_of(info));
        let extra_len = match kind {
            // Enum, func_proto; int, var, decl_tag; kinds without further data.
            6 | 13 => members * 8,
            INT | 14 | 17 => 4,
            PTR | FWD..=FUNC | 16 | TYPE_TAG => 0,
            ARRAY => 12,
            // Also datasec and enum64.
            STRUCT | UNION | 15 | 19 => members * 12,
            _ => return None,
        };
        if matches!(kind, STRUCT | UNION) && is_named(name, structs)
            || matches!(kind, FUNC | TYPEDEF) && is_named(name, names)
        {
            wanted.push((types.len(), true));
        }
        let (this, after) = rest.split_at_checked(12 + extra_len)?;
        types.push(this);
        rest = after;
    }

    let mut kept = vec![false; types.len()];
    let mut last = 0;
    while let Some((id, by_name)) = wanted.pop() {
        let this = *types.get(id)?;
        if id == 0 || kept[id] {
            continue;
        }
        let (name, info, ty) = (word(this, 0)?, word(this, 4)?, word(this, 8)?);
        match kind_of(info) {
            INT | PTR | 16 => {}
            FUNC if by_name => {}
            TYPEDEF..=RESTRICT | TYPE_TAG => wanted.push((ty as usize, false)),
            ARRAY => wanted.extend([word(this, 12)?, word(this, 16)?].map(|id| (id as usize, false))),
            STRUCT | UNION if by_name || name == 0 => {
                for member in this[12..].chunks_exact(12) {
                    wanted.push((word(member, 4)? as usize, false));
                }
            }
            _ => continue,
        }
        kept[id] = true;
        last = last.max(id);
    }

    let mut out = Vec::with_capacity(HEADER + last * 14 + strings.len());
    out.extend_from_slice(&btf[..4]);
    out.resize(HEADER, 0);
    for (this, kept) in types.iter().zip(&kept).take(last + 1).skip(1) {
        if *kept {
            out.extend_from_slice(this);
        } else {
            out.extend_from_slice([0, FWD << 24, 0].map(u32::to_ne_bytes).as_flattened());
        }
    }
    let len = out.len() - HEADER;
    let lengths = [HEADER, 0, len, len, strings.len()];
    out[4..HEADER].copy_from_slice(lengths.map(|n| (n as u32).to_ne_bytes()).as_flattened());
    out.extend_from_slice(strings);
    Some(out)
}

const fn kind_of(info: u32) -> u32 {
    info >> 24 & 0x1f
}

const fn members_of(info: u32) -> usize {
    (info & 0xffff) as usize
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodes a type: name, kind, number of members, size or type, and the data that follows.
    fn ty(name: u32, kind: u32, members: u32, size_or_type: u32, extra: &[u32]) -> Vec<u8> {
        [&[name, kind << 24 | members, size_or_type][..], extra]
            .concat()
            .iter()
            .flat_map(|w| w.to_ne_bytes())
            .collect()
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
    fn named_types_keep_their_ids() {
        let strings = b"\0int\0file\0files\0run\0";
        // Has an int and an unnamed union, points to `files`, and embeds one, which is not wanted by name.
        let int = ty(1, INT, 0, 4, &[32]);
        let file = ty(5, STRUCT, 4, 24, &[1, 1, 0, 0, 4, 32, 1, 5, 64, 1, 3, 128]);
        let files = ty(10, STRUCT, 1, 8, &[0, 1, 0]);
        let unnamed = ty(0, UNION, 1, 4, &[1, 6, 0]);
        let pointer = ty(0, PTR, 0, 3, &[]);
        let constant = ty(0, 10, 0, 1, &[]);
        let proto = ty(0, 13, 1, 0, &[0, 1]);
        let run = ty(16, FUNC, 0, 7, &[]);
        let values = ty(0, 6, 2, 4, &[0, 0, 0, 1]);
        let blank = ty(0, FWD, 0, 0, &[]);
        let all = [&int[..], &file, &files, &unnamed, &pointer, &constant, &proto, &run, &values].concat();
        let fields = [&int[..], &file, &blank, &unnamed, &pointer, &constant];
        // Types after the last one wanted are left out.
        let with = btf(&[&fields.concat()[..], &blank, &run].concat(), strings);
        assert_eq!(extract(&btf(&all, strings), &["file"], &["run"]), Some(with));
        let without = btf(&fields.concat(), strings);
        assert_eq!(extract(&btf(&all, strings), &["file"], &["ru", "runs"]), Some(without));
    }

    #[test]
    fn malformed_btf_gives_none() {
        let strings = b"\0";
        let good = btf(&ty(0, 1, 0, 4, &[32]), strings);
        for bad in [
            &good[..10],
            &good[..good.len() - 1],
            &btf(&ty(0, 1, 0, 4, &[]), strings),
            &btf(&ty(0, 30, 0, 0, &[]), strings),
            &[&[0, 0], &good[2..]].concat(),
        ] {
            assert_eq!(extract(bad, &[], &[]), None, "{bad:?}");
        }
    }
}
