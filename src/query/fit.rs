//! Which columns fit a width, and how wide each becomes.

use super::{Column, Kind, Width};

/// One column that would like a place.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The column.
    pub column: &'static Column,
    /// As wide as its title and its widest cell; screens that must not jitter pass [`super::Width::normal`].
    pub natural: u16,
}

/// A column's least width: of long text, names and endpoints something may be cut; of a number or a short word nothing.
fn least(w: &Wish) -> u16 {
    let Width { min, normal, .. } = w.column.width;
    let long = match w.column.kind {
        Kind::Endpoint | Kind::Addr | Kind::List | Kind::States => true,
        Kind::Text => normal > 8,
        _ => false,
    };
    (if long { min } else { normal.max(min) }).min(w.natural.max(1))
}

/// The width of each column in `total` screen columns with `gap` between neighbours; `None`: dropped.
///
/// First the columns with the highest [`Column::drop`] go, the last of equals first, until the rest fit at their least
/// widths; the one with the lowest always stays. Then every column grows to its normal width, all in step, and what is left
/// goes to those whose content is longer, up to their greatest width.
pub fn fit(wishes: &[Wish], total: u16, gap: u16) -> Vec<Option<u16>> {
    // The one that stays to the last.
    let last = (0..wishes.len()).min_by_key(|i| (wishes[*i].column.drop, *i)).unwrap_or(0);
    let mut kept: Vec<bool> = vec![true; wishes.len()];
    let need = |kept: &[bool]| -> u32 {
        let n = kept.iter().filter(|k| **k).count() as u32;
        let cells: u32 = wishes.iter().zip(kept).filter(|(_, k)| **k).map(|(w, _)| u32::from(least(w))).sum();
        cells + n.saturating_sub(1) * u32::from(gap)
    };
    while need(&kept) > u32::from(total) {
        let victim =
            (0..wishes.len()).filter(|i| kept[*i] && *i != last).max_by_key(|i| (wishes[*i].column.drop, *i));
        match victim {
            Some(i) => kept[i] = false,
            None => break,
        }
    }
    let mut widths: Vec<Option<u16>> =
        wishes.iter().zip(&kept).map(|(w, k)| k.then(|| least(w).min(total))).collect();
    let mut left = u32::from(total).saturating_sub(need(&kept)) as u16;
    let goals: [fn(&Wish) -> u16; 2] =
        [|w| w.column.width.normal.min(w.natural), |w| w.column.width.max.min(w.natural)];
    for goal in goals {
        // A column at a time, always to the one furthest from its goal, so that all are cut alike.
        while left > 0 {
            let short = |i: &usize| widths[*i].is_some_and(|w| w < goal(&wishes[*i]));
            let share =
                |i: &usize| u32::from(widths[*i].unwrap_or(0)) * 1000 / u32::from(goal(&wishes[*i]).max(1));
            let Some(next) = (0..wishes.len()).filter(short).min_by_key(share) else { break };
            widths[next] = widths[next].map(|w| w + 1);
            left -= 1;
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::super::{Align, Get, Needs, Value};
    use super::*;

    const fn col(name: &'static str, min: u16, normal: u16, max: u16, drop: u8) -> Column {
        Column {
            name,
            aliases: &[],
            title: name,
            help: "",
            kind: Kind::Text,
            align: Align::Left,
            width: Width { min, normal, max },
            drop,
            needs: Needs::NONE,
            get: Get::Fn(|_, _| Value::Bool(true)),
            any: None,
        }
    }
    static A: Column = col("a", 4, 6, 20, 0);
    static B: Column = col("b", 4, 6, 6, 9);
    static C: Column = col("c", 4, 6, 10, 5);

    fn widths(naturals: [u16; 3], total: u16) -> Vec<Option<u16>> {
        let wishes: Vec<_> = [&A, &B, &C]
            .into_iter()
            .zip(naturals)
            .map(|(column, natural)| Wish { column, natural })
            .collect();
        fit(&wishes, total, 1)
    }

    #[test]
    fn drops_grows_and_never_exceeds() {
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
