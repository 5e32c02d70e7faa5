//! Columns that fit a width, and the width of each.

use super::column::{Column, Kind, Role, Width};

/// A column to be placed.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The column.
    pub column: &'static Column,
    /// Width of its title and widest cell; [`super::Width::normal`] where the screen must not jitter.
    pub natural: u16,
    /// Named by the user, besides the default columns: dropped as late as addresses.
    pub named: bool,
}

/// Drop order from which columns are dropped before an address or a name is shortened.
const BEFORE_ADDRESSES: u8 = 4;

/// True for a column whose values are never shortened: a number that is cut is another number.
pub fn is_whole(c: &Column) -> bool {
    match c.kind {
        Kind::Endpoint | Kind::Addr | Kind::List | Kind::States => false,
        Kind::Text => c.values.is_some(),
        _ => true,
    }
}

/// Least width of a printed process: a short name, its pid and the number of further ones.
const OWNER: u16 = 12;

/// Least width of a printed column: that of the content if it is never shortened.
fn least_printed(w: &Candidate) -> u16 {
    if is_whole(w.column) {
        w.natural.max(1)
    } else if w.column.is(Role::Owner) {
        usual(w).clamp(1, OWNER)
    } else {
        least(w)
    }
}

/// Least width: long text, names and endpoints may be shortened, numbers and short words not.
fn least(w: &Candidate) -> u16 {
    let Width { min, normal, .. } = w.column.width;
    let long = match w.column.kind {
        Kind::Endpoint | Kind::Addr | Kind::List | Kind::States => true,
        Kind::Text => normal > 8,
        _ => false,
    };
    (if long { min } else { normal.max(min) }).min(w.natural.max(1))
}

/// Least width, but the usual width of an address or a name.
fn readable(w: &Candidate) -> u16 {
    if is_address(w) || is_name(w) { usual(w).max(1) } else { least(w) }
}

/// True for the names of what a row is about.
const fn is_name(w: &Candidate) -> bool {
    matches!(w.column.kind, Kind::Text) && w.column.drop <= 1
}

const fn is_address(w: &Candidate) -> bool {
    matches!(w.column.kind, Kind::Endpoint | Kind::Addr)
}

/// Normal width, or less if the content is narrower.
fn usual(w: &Candidate) -> u16 {
    w.column.width.normal.min(w.natural)
}

/// Greatest width, or less if the content is narrower.
fn most(w: &Candidate) -> u16 {
    w.column.width.max.min(w.natural)
}

/// The width of each column in `total` screen columns with `gap` between neighbours; `None`: dropped.
///
/// Columns with the highest [`Column::drop`] are dropped, the last of equals first, until the rest fit at their least widths;
/// the one with the lowest always stays. Addresses and names get their normal width before what can be dropped gets a place.
/// Then every column grows to its normal width, addresses first and in step. The remaining space goes to columns with longer
/// content up to their greatest width: addresses first, and always the narrowest, so that a column that lacks little is
/// complete before a long text.
pub fn fit(candidates: &[Candidate], total: u16, gap: u16) -> Vec<Option<u16>> {
    let yields: MayDrop = |w| w.column.drop >= BEFORE_ADDRESSES;
    fit_readable(candidates, total, gap, ((readable, yields), least), |w| w.column.drop)
}

/// The same with whole numbers: columns are dropped instead.
pub fn fit_whole(candidates: &[Candidate], total: u16, gap: u16) -> Vec<Option<u16>> {
    let yields: MayDrop = |w| w.column.drop >= BEFORE_ADDRESSES;
    let first: Least = |w| if is_whole(w.column) { w.natural.max(1) } else { readable(w) };
    let then: Least = |w| if is_whole(w.column) { w.natural.max(1) } else { least(w) };
    fit_readable(candidates, total, gap, ((first, yields), then), |w| w.column.drop)
}

/// The same for rows that are printed once: every column that is dropped late, such as the owner, gets its usual width before
/// any of the others gets a place. Numbers are whole: columns are dropped instead, and the line is longer than `total` if the last
/// column is a longer number.
pub fn fit_rows(candidates: &[Candidate], total: u16, gap: u16) -> Vec<Option<u16>> {
    let answers = |w: &Candidate| {
        let title = super::width(w.column.title) as u16;
        let least = readable(w).max(least_printed(w)).max(title.min(w.natural));
        if rank(w) < BEFORE_ADDRESSES { usual(w).max(least) } else { least }
    };
    let yields: MayDrop = |w| rank(w) >= BEFORE_ADDRESSES;
    fit_readable(candidates, total, gap, ((answers, yields), least_printed), rank)
}

/// Drop order of printed rows: the process is dropped late under each of its names, and so is what the user named.
fn rank(w: &Candidate) -> u8 {
    let c = w.column;
    match c.is(Role::Process) || c.is(Role::Owner) {
        true => c.drop.min(2),
        false if w.named => 0,
        false => c.drop,
    }
}

type Least = fn(&Candidate) -> u16;
type MayDrop = fn(&Candidate) -> bool;

/// Fits columns; the first round keeps the widths and drops the columns given, the second those of the least width.
fn fit_readable(
    candidates: &[Candidate],
    total: u16,
    gap: u16,
    (first, least): ((Least, MayDrop), Least),
    order: fn(&Candidate) -> u8,
) -> Vec<Option<u16>> {
    // The column that is never dropped.
    let last = (0..candidates.len()).min_by_key(|i| (order(&candidates[*i]), *i)).unwrap_or(0);
    let mut kept: Vec<bool> = vec![true; candidates.len()];
    let need = |kept: &[bool], least: fn(&Candidate) -> u16| -> u32 {
        let n = kept.iter().filter(|k| **k).count() as u32;
        let cells: u32 =
            candidates.iter().zip(kept).filter(|(_, k)| **k).map(|(w, _)| u32::from(least(w))).sum();
        cells + n.saturating_sub(1) * u32::from(gap)
    };
    let rounds: [(Least, MayDrop); 2] = [first, (least, |_| true)];
    for (least, may_drop) in rounds {
        while need(&kept, least) > u32::from(total) {
            let victim = (0..candidates.len())
                .filter(|i| kept[*i] && *i != last && may_drop(&candidates[*i]))
                .max_by_key(|i| (order(&candidates[*i]), *i));
            match victim {
                Some(i) => kept[i] = false,
                None => break,
            }
        }
    }
    let least = if need(&kept, first.0) <= u32::from(total) { first.0 } else { least };
    let mut widths: Vec<Option<u16>> =
        candidates.iter().zip(&kept).map(|(w, k)| k.then(|| least(w).min(total))).collect();
    let mut left = u32::from(total).saturating_sub(need(&kept, least)) as u16;
    // One screen column at a time.
    while left > 0 {
        let next = |i: &usize| -> Option<(u8, u32)> {
            let (w, now) = (&candidates[*i], widths[*i]?);
            let address = is_address(w);
            if now < usual(w) {
                // To the one furthest below, so that all are shortened alike.
                Some((u8::from(!address), u32::from(now) * 1000 / u32::from(usual(w))))
            } else if now < most(w) {
                Some((2 + u8::from(!address), u32::from(now)))
            } else {
                None
            }
        };
        let Some((_, i)) = (0..candidates.len()).filter_map(|i| Some((next(&i)?, i))).min() else { break };
        widths[i] = widths[i].map(|w| w + 1);
        left -= 1;
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Align, Value};

    const fn col(name: &'static str, min: u16, normal: u16, max: u16, drop: u8) -> Column {
        let column = Column::new(name, name, Kind::Text, drop, |_, _| Value::Bool(true), "");
        Column { width: Width { min, normal, max }, ..column }
    }
    static A: Column = col("a", 4, 6, 20, 0);
    static B: Column = col("b", 4, 6, 6, 9);
    static C: Column = col("c", 4, 6, 10, 5);

    fn widths(naturals: [u16; 3], total: u16) -> Vec<Option<u16>> {
        let candidates: Vec<_> = [&A, &B, &C]
            .into_iter()
            .zip(naturals)
            .map(|(column, natural)| Candidate { column, natural, named: false })
            .collect();
        fit(&candidates, total, 1)
    }

    #[test]
    fn space_goes_to_addresses_then_to_columns_that_lack_little() {
        static ADDR: Column = Column { kind: Kind::Endpoint, ..col("addr", 12, 21, 47, 0) };
        static QUEUE: Column = Column { kind: Kind::Bytes, align: Align::Right, ..col("queue", 4, 6, 8, 10) };
        static OWNER: Column = col("owner", 8, 16, 32, 0);
        static LINE: Column = col("line", 10, 20, 200, 9);
        let wish = |column, natural| Candidate { column, natural, named: false };
        let w = |candidates: &[Candidate], total| fit(candidates, total, 2);
        let rows = [wish(&ADDR, 14), wish(&ADDR, 21), wish(&OWNER, 30), wish(&QUEUE, 6)];
        // 14 + 21 + 16 + 6 and three gaps: all fit, and what is left is the owner's.
        assert_eq!(w(&rows, 63), [Some(14), Some(21), Some(16), Some(6)]);
        assert_eq!(w(&rows, 68), [Some(14), Some(21), Some(21), Some(6)]);
        // One column less, and the number goes instead of the port or the name.
        assert_eq!(w(&rows, 62), [Some(14), Some(21), Some(23), None]);
        assert_eq!(w(&rows, 40), [Some(12), Some(16), Some(8), None], "then all are cut");
        // The owner lacks three columns and has them, whatever the long text would take.
        assert_eq!(w(&[wish(&OWNER, 19), wish(&LINE, 150)], 60), [Some(19), Some(39)]);
    }

    #[test]
    fn owner_of_printed_rows_is_whole_before_other_columns_get_a_place() {
        static OWNER: Column = col("owner", 8, 18, 32, 0);
        static NETNS: Column = col("netns", 4, 10, 24, 9);
        let rows = [
            Candidate { column: &OWNER, natural: 12, named: false },
            Candidate { column: &A, natural: 6, named: false },
            Candidate { column: &NETNS, natural: 5, named: false },
        ];
        assert_eq!(fit_rows(&rows, 27, 2), [Some(12), Some(6), Some(5)]);
        assert_eq!(fit_rows(&rows, 25, 2), [Some(12), Some(6), None]);
        assert_eq!(fit_rows(&rows, 18, 2).iter().flatten().count(), 2, "then it is shortened");
    }

    #[test]
    fn printed_numbers_are_whole_and_other_columns_are_dropped_for_them() {
        static QUEUE: Column = Column { kind: Kind::Bytes, align: Align::Right, ..col("queue", 4, 6, 8, 11) };
        static OWNER: Column = Column { role: Some(Role::Owner), ..col("owner", 10, 18, 32, 0) };
        static TIMER: Column = Column { values: Some(|| vec!["timewait"]), ..col("timer", 4, 9, 9, 57) };
        let wish = |column, natural| Candidate { column, natural, named: false };
        let rows = [wish(&A, 6), wish(&QUEUE, 9), wish(&TIMER, 8)];
        assert_eq!(fit_rows(&rows, 27, 2), [Some(6), Some(9), Some(8)]);
        for total in 0..27 {
            let widths = fit_rows(&rows, total, 2);
            assert!(matches!(widths[1], None | Some(9)) && widths[2].is_none(), "{total}: {widths:?}");
        }
        // The name of a process may be cut down to the width that leaves its pid whole.
        assert_eq!(fit_rows(&[wish(&OWNER, 30), wish(&QUEUE, 9)], 26, 2), [Some(26), None]);
    }

    #[test]
    fn named_column_of_printed_rows_is_dropped_after_the_default_ones() {
        static RATE: Column = Column { kind: Kind::Bytes, align: Align::Right, ..col("rate", 4, 6, 8, 8) };
        let rows = |named| {
            [(&A, false), (&B, false), (&C, named)].map(|(column, named)| Candidate {
                column,
                natural: 6,
                named,
            })
        };
        assert_eq!(fit_rows(&rows(true), 16, 1), [Some(6), None, Some(6)]);
        assert_eq!(fit_whole(&rows(false), 20, 1), [Some(6), Some(6), Some(6)]);
        let rate = [
            Candidate { column: &A, natural: 6, named: false },
            Candidate { column: &RATE, natural: 12, named: false },
        ];
        assert_eq!(fit_whole(&rate, 19, 1), [Some(6), Some(12)], "wider than its greatest width");
        assert_eq!(fit_whole(&rate, 18, 1), [Some(6), None]);
        assert_eq!(fit(&rate, 18, 1), [Some(6), Some(8)]);
    }

    #[test]
    fn columns_are_dropped_and_never_exceed_the_total() {
        assert_eq!(widths([30, 30, 30], 80), [Some(20), Some(6), Some(10)]);
        assert_eq!(widths([30, 30, 30], 20), [Some(6), Some(6), Some(6)]);
        assert_eq!(widths([30, 30, 30], 13), [Some(6), None, Some(6)]);
        assert_eq!(widths([30, 30, 30], 5), [Some(5), None, None]);
        assert_eq!(widths([30, 30, 30], 0), [Some(0), None, None]);
        assert_eq!(widths([2, 2, 2], 80), [Some(2), Some(2), Some(2)], "no wider than the content");
        for total in 0..90 {
            let w = widths([30, 5, 9], total);
            let n = w.iter().flatten().count() as u16;
            assert!(w.iter().flatten().sum::<u16>() + n.saturating_sub(1) <= total.max(1), "{total}: {w:?}");
        }
    }
}
