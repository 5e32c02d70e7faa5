//! Ranges of the elements of a set.

use crate::model::nft::{Element, NFT_SET_ELEM_INTERVAL_END, NFT_SET_INTERVAL, Set};

/// First and last key of one range, and the element that begins it.
pub(super) type Range<'a> = (&'a [u8], Box<[u8]>, &'a Element);

/// The ranges of a set; a single key is a range of one.
pub(super) fn ranges(set: &Set) -> Vec<Range<'_>> {
    let is_end = |e: &Element| e.flags & NFT_SET_ELEM_INTERVAL_END != 0;
    let mut all: Vec<&Element> = set.elements.iter().collect();
    if set.flags & NFT_SET_INTERVAL == 0 || all.iter().any(|e| e.key_end.is_some()) {
        let last = |e: &Element| e.key_end.clone().unwrap_or_else(|| e.key.clone());
        return all.into_iter().filter(|e| !is_end(e)).map(|e| (&*e.key, last(e), e)).collect();
    }
    // The end of a range is an element of its own, one past the last key; an end sorts before a beginning of the same key.
    all.sort_by(|a, b| a.key.cmp(&b.key).then(is_end(b).cmp(&is_end(a))));
    let mut out = Vec::new();
    for (i, e) in all.iter().enumerate().filter(|(_, e)| !is_end(e)) {
        let next = all[i + 1..].iter().find(|n| n.key > e.key);
        let last = next.map_or_else(|| vec![0xff; e.key.len()].into(), |n| decrement(&n.key));
        out.push((&*e.key, last, *e));
    }
    out
}

/// The key minus one, as a number in network byte order.
fn decrement(key: &[u8]) -> Box<[u8]> {
    let mut out = key.to_vec();
    for b in out.iter_mut().rev() {
        let (less, borrow) = b.overflowing_sub(1);
        *b = less;
        if !borrow {
            break;
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(set: &Set) -> Vec<(Vec<u8>, Vec<u8>)> {
        ranges(set).into_iter().map(|r| (r.0.to_vec(), r.1.to_vec())).collect()
    }

    #[test]
    fn interval_set_yields_closed_ranges() {
        let element = |key: [u8; 2], end| Element {
            key: key.into(),
            flags: if end { NFT_SET_ELEM_INTERVAL_END } else { 0 },
            ..Element::default()
        };
        let plain =
            Set { elements: vec![element([0, 80], false), element([1, 187], false)], ..Set::default() };
        assert_eq!(pairs(&plain), [(vec![0, 80], vec![0, 80]), (vec![1, 187], vec![1, 187])]);
        // 80-89 and 90-99 and everything from 0xff00.
        let elements = vec![
            element([0, 100], true),
            element([0, 90], false),
            element([0, 90], true),
            element([0, 80], false),
            element([255, 0], false),
        ];
        let interval = Set { flags: NFT_SET_INTERVAL, key_len: 2, elements, ..Set::default() };
        assert_eq!(
            pairs(&interval),
            [(vec![0, 80], vec![0, 89]), (vec![0, 90], vec![0, 99]), (vec![255, 0], vec![255, 255])]
        );
        assert_eq!(*decrement(&[1, 0]), [0, 255]);
    }
}
