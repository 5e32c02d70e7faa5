//! Editing of a line of text.

use super::event::Edit;
use crate::model::text::is_hostile;
use unicode_segmentation::UnicodeSegmentation;

/// Maximum length of the text, in bytes.
const MAX: usize = 4096;

/// Applies one edit to a text and its cursor, a byte offset at the start of a character. A grapheme cluster is moved
/// over and deleted as one.
pub(crate) fn edit(text: &mut String, cursor: &mut usize, edit: Edit) {
    let mut at = (*cursor).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = || text[..at].graphemes(true).next_back().map_or(0, str::len);
    let after = || text[at..].graphemes(true).next().map_or(0, str::len);
    match edit {
        Edit::Insert(c) => {
            if !is_hostile(c) && text.len() < MAX {
                text.insert(at, c);
                at += c.len_utf8();
            }
        }
        Edit::Backspace => {
            let n = before();
            text.drain(at - n..at);
            at -= n;
        }
        Edit::Delete => {
            let n = after();
            text.drain(at..at + n);
        }
        Edit::DeleteWord => {
            let start = word_start(&text[..at]);
            text.drain(start..at);
            at = start;
        }
        Edit::WordLeft => at = word_start(&text[..at]),
        Edit::WordRight => {
            let rest = &text[at..];
            let word = rest.len() - rest.trim_start().len();
            at += rest[word..].find(char::is_whitespace).map_or(rest.len(), |i| word + i);
        }
        Edit::DeleteToStart => {
            text.drain(..at);
            at = 0;
        }
        Edit::Left => at -= before(),
        Edit::Right => at += after(),
        Edit::Start => at = 0,
        Edit::End => at = text.len(),
    }
    *cursor = at;
}

/// Start of the last word of a text.
fn word_start(text: &str) -> usize {
    let kept = text.trim_end();
    kept.rfind(char::is_whitespace).map_or(0, |i| i + kept[i..].chars().next().map_or(1, char::len_utf8))
}

/// Inserts pasted text as one line: line ends and tabs become spaces, control characters are dropped.
pub(crate) fn paste(text: &mut String, cursor: &mut usize, pasted: &str) {
    let line = pasted.trim_matches(['\n', '\r']);
    for c in line.chars() {
        let c = if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c };
        edit(text, cursor, Edit::Insert(c));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_moves_by_words() {
        let (mut t, mut c) = ("nginx  :443 état ".to_owned(), 0);
        let mut go = |e| {
            edit(&mut t, &mut c, e);
            c
        };
        let right: Vec<usize> = (0..4).map(|_| go(Edit::WordRight)).collect();
        assert_eq!(right, [5, 11, 17, 18]);
        let left: Vec<usize> = (0..4).map(|_| go(Edit::WordLeft)).collect();
        assert_eq!(left, [12, 7, 0, 0]);
    }

    #[test]
    fn edits_and_paste_respect_graphemes() {
        let (mut t, mut c) = (String::new(), 0);
        paste(&mut t, &mut c, "state:close-wait\tnginx\x1b[31m\n");
        assert_eq!(t, "state:close-wait nginx[31m");
        edit(&mut t, &mut c, Edit::DeleteWord);
        assert_eq!((t.as_str(), c), ("state:close-wait ", 17));
        edit(&mut t, &mut c, Edit::DeleteWord);
        assert_eq!((t.as_str(), c), ("", 0));
        for ch in "한e\u{301}x".chars() {
            edit(&mut t, &mut c, Edit::Insert(ch));
        }
        edit(&mut t, &mut c, Edit::Left);
        edit(&mut t, &mut c, Edit::Backspace);
        assert_eq!(t, "한x", "an accent goes with its letter");
        edit(&mut t, &mut c, Edit::Start);
        edit(&mut t, &mut c, Edit::Delete);
        assert_eq!((t.as_str(), c), ("x", 0));
        for e in [Edit::Left, Edit::Backspace, Edit::DeleteToStart, Edit::End, Edit::Right, Edit::Delete] {
            edit(&mut t, &mut c, e);
        }
        assert_eq!((t.as_str(), c), ("x", 1));
    }
}
