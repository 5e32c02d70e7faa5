//! Text in a given number of screen columns.

use super::style::Style;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Screen columns of a text.
pub fn width(s: &str) -> usize {
    s.width()
}

/// The text in at most `width` screen columns: unchanged if it fits, else cut at a grapheme
/// boundary with an ellipsis. In `ascii` the ellipsis is `..`.
pub fn shorten(s: &str, width: usize, style: &Style) -> String {
    shorten_with(s, width, *style, false)
}

/// The same for a process: its name is cut, the pid behind it and the number of further ones are whole if there is room.
pub fn shorten_name(s: &str, width: usize, style: &Style) -> String {
    let is_pid = |(at, _): &(usize, &str)| {
        let word = s[at + 1..].split(' ').next().unwrap_or_default();
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
    };
    let Some((at, _)) = s.match_indices(' ').find(is_pid).filter(|_| s.width() > width) else {
        return shorten(s, width, style);
    };
    // The number of further ones is left out before a digit of the pid is.
    let (all, alone) = (&s[at..], s[at..].rsplit_once(" +").map_or("", |(pid, _)| pid));
    match [all, alone].into_iter().find(|tail| !tail.is_empty() && tail.width() + 2 <= width) {
        Some(tail) => shorten(&s[..at], width - tail.width(), style) + tail,
        None => shorten(s, width, style),
    }
}

/// The same, keeping the end and cutting in the middle: endpoints, whose port is at the end.
pub fn shorten_middle(s: &str, width: usize, style: &Style) -> String {
    shorten_with(s, width, *style, true)
}

fn shorten_with(s: &str, width: usize, style: Style, middle: bool) -> String {
    if s.width() <= width {
        return s.to_owned();
    }
    let dots = match (style.ascii, width) {
        (_, 0) => return String::new(),
        (true, 1) => ".",
        (true, _) => "..",
        (false, _) => "…",
    };
    let room = width - dots.len().min(dots.width());
    let tail_room = if middle { room / 2 } else { 0 };
    let mut tail: Vec<&str> = Vec::new();
    let mut used = 0;
    for g in s.graphemes(true).rev() {
        if used + g.width() > tail_room {
            break;
        }
        used += g.width();
        tail.push(g);
    }
    let mut out = String::with_capacity(s.len());
    for g in s.graphemes(true) {
        if used + g.width() > room {
            break;
        }
        used += g.width();
        out.push_str(g);
    }
    out.push_str(dots);
    if middle {
        // A wide character that did not fit leaves a column: the end keeps its place.
        out.extend(std::iter::repeat_n(' ', room - used));
    }
    out.extend(tail.into_iter().rev());
    out
}

/// Most words that are wrapped: a command line can have megabytes.
const MOST_WORDS: usize = 400;
/// Narrowest line that words are wrapped to.
const LEAST_WIDTH: usize = 8;

/// Words in lines of at most `width` columns. A longer word has a line of its own and is cut where it is drawn.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace().take(MOST_WORDS) {
        if !line.is_empty() && line.width() + 1 + word.width() > width.max(LEAST_WIDTH) {
            out.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push(line);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_process_is_cut_before_its_pid() {
        let style = Style::default();
        for (text, width, want) in [
            ("nginx 811", 9, "nginx 811"),
            ("prometheus-node 4194304 +2", 18, "promet… 4194304 +2"),
            ("Web Content 811", 9, "Web … 811"),
            ("nginx 4194304", 10, "n… 4194304"),
            ("nginx 4194304 +2", 12, "ngi… 4194304"),
            ("nginx 4194304", 6, "nginx…"),
            ("a name without", 8, "a name …"),
        ] {
            assert_eq!(shorten_name(text, width, &style), want);
        }
    }

    #[test]
    fn text_is_cut_at_grapheme_boundaries() {
        let utf = Style::default();
        let ascii = Style { ascii: true, ..utf };
        for (s, width, want, want_ascii) in [
            ("nginx", 5, "nginx", "nginx"),
            ("nginx", 4, "ngi…", "ng.."),
            ("nginx", 1, "…", "."),
            ("nginx", 0, "", ""),
            ("한국어", 6, "한국어", "한국어"),
            ("한국어", 5, "한국…", "한.."),
            ("한국어", 4, "한…", "한.."),
            ("한국어", 2, "…", ".."),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…", ".."),
            ("👩‍👩‍👧ab", 3, "👩‍👩‍👧…", ".."),
            ("", 3, "", ""),
        ] {
            assert_eq!(shorten(s, width, &utf), want, "{s} {width}");
            assert_eq!(shorten(s, width, &ascii), want_ascii, "{s} {width}");
        }
        assert_eq!(shorten_middle("[2001:db8::1234:5678]:61000", 15, &utf), "[2001:d…]:61000");
        assert_eq!(shorten_middle("서버 서버 100", 9, &utf), "서버… 100");
        assert_eq!(shorten_middle("서버서버서 100", 10, &utf), "서버…  100");
        assert_eq!(shorten_middle("xxxxxxxx 100", 9, &utf), "xxxx… 100");
        for text in ["[2001:db8:1:2:3:4:5:6]:443", "한국어한국어한국어", "plain text here"] {
            for w in 0..40 {
                for s in [shorten(text, w, &utf), shorten_middle(text, w, &utf), shorten(text, w, &ascii)] {
                    assert!(width(&s) <= w, "{s} {w}");
                    assert!(s == text || w == 0 || s.contains('…') || s.contains('.'), "{s} {w}");
                }
            }
        }
    }

    #[test]
    fn words_are_wrapped_by_their_columns() {
        assert_eq!(wrap("one two  three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("한국어 한국어", 8), ["한국어", "한국어"]);
        assert_eq!(wrap("", 8), [""]);
    }
}
