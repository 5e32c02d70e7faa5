//! The nearest known word to one that is not known.

use super::column::same_word;

/// The candidate nearest to `word`, where it is near enough to be what was meant: a third of its letters, at least one,
/// may be missing, added, wrong or swapped; or it begins with what was typed. Case, `-` and `_` do not count.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(40).map(plain).collect();
    if word.is_empty() {
        return None;
    }
    let allowed = (word.len() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for c in candidates {
        let other: Vec<char> = c.chars().take(40).map(plain).collect();
        let begins = word.len() >= 2 && other.starts_with(&word);
        let d = if begins { 1 } else { distance(&word, &other) };
        // Half a short word may not be wrong: `a` is not near `b`.
        if d > allowed || d >= word.len() {
            continue;
        }
        if best.is_none_or(|(b, name)| d < b || (d == b && same_word(name, c) && c.len() < name.len())) {
            best = Some((d, c));
        }
    }
    best.map(|(_, c)| c)
}

fn plain(c: char) -> char {
    if c == '-' { '_' } else { c.to_ascii_lowercase() }
}

/// Letters to add, drop, change, or swap with their neighbour (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut two_back: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, y) in b.iter().enumerate() {
            let mut d = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                d = d.min(two_back[j - 1] + 1);
            }
            row[j + 1] = d;
        }
        two_back = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant() {
        let words = ["state", "local", "remote", "local_port", "recv_q", "rx", "tx", "process", "pid"];
        for (typed, want) in [
            ("sate", Some("state")),
            ("stat", Some("state")),
            ("lcoal", Some("local")),
            ("REMOTE", Some("remote")),
            ("recv-q", Some("recv_q")),
            ("proces", Some("process")),
            ("proc", Some("process")),
            ("zebra", None),
            ("q", None),
            ("", None),
            ("xr", Some("rx")),
        ] {
            assert_eq!(nearest(typed, words), want, "{typed}");
        }
    }
}
