//! "Did you mean": the nearest known word to an unknown one.

use strsim::osa_distance;

/// Candidate nearest to `word`: within an edit distance (optimal string alignment) of a third of its letters, at least
/// one, or beginning with it. Case is ignored, and `-` equals `_`.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: String = word.chars().take(40).map(plain).collect();
    let letters = word.chars().count();
    if letters == 0 {
        return None;
    }
    let allowed = (letters / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for c in candidates {
        let other: String = c.chars().take(40).map(plain).collect();
        let begins = letters >= 2 && other.starts_with(&word);
        let d = if begins { 1 } else { osa_distance(&word, &other) };
        // A word of one letter matches only itself: `a` is not near `b`.
        if d > allowed || d >= letters {
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

/// Equal in any case, `-` and `_` alike.
pub fn same_word(a: &str, b: &str) -> bool {
    let plain = |c: u8| if c == b'-' { b'_' } else { c.to_ascii_lowercase() };
    a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(x, y)| plain(x) == plain(y))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn nearest_word_is_found() {
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
