//! Escaping of untrusted text (names, command lines, paths) for display.

use std::borrow::Cow;
use std::fmt::Write;

/// True for a character that must not reach a terminal raw: C0 and C1 controls, DEL, bidirectional controls that can
/// reorder a line (U+200E/F, U+202A–E, U+2066–9, U+061C), line and paragraph separators, and invisible characters (zero
/// width, soft hyphen, tags, interlinear, BOM).
pub const fn is_hostile(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Text with every hostile character escaped: `\n`, `\t`, `\r`, `\e`, else `\u{202e}`. Borrowed if there is none.
pub fn escape(s: &str) -> Cow<'_, str> {
    if !s.chars().any(is_hostile) {
        return Cow::Borrowed(s);
    }
    let mut out = String::with_capacity(s.len() + 8);
    for c in s.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\x1b' => out.push_str("\\e"),
            c if is_hostile(c) => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// JSON in which every hostile character is written as `\\uXXXX`: such characters occur only inside of its strings, and mean the
/// same there.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(|c| c != '\n' && is_hostile(c)) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if c == '\n' || !is_hostile(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    Cow::Owned(out)
}

/// Bytes as text; bytes that are not UTF-8 become `\xNN`, so different names stay different.
pub fn from_bytes(b: &[u8]) -> Cow<'_, str> {
    if let Ok(s) = std::str::from_utf8(b) {
        Cow::Borrowed(s)
    } else {
        let mut out = String::with_capacity(b.len() + 8);
        for chunk in b.utf8_chunks() {
            out.push_str(chunk.valid());
            for bad in chunk.invalid() {
                let _ = write!(out, "\\x{bad:02x}");
            }
        }
        Cow::Owned(out)
    }
}

/// C string as text: bytes up to the first NUL, or all of them.
pub fn from_c_str(b: &[u8]) -> Cow<'_, str> {
    let end = b.iter().position(|b| *b == 0).unwrap_or(b.len());
    from_bytes(b.get(..end).unwrap_or(b))
}

/// Error message without the ` (os error 13)` that Rust appends.
pub fn strip_os_error(message: &str) -> Cow<'_, str> {
    let mut out = Cow::Borrowed(message);
    while let Some((head, tail)) = out.split_once(" (os error ").and_then(|(head, rest)| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        Some((head, rest[digits..].strip_prefix(')').filter(|_| digits > 0)?))
    }) {
        out = Cow::Owned(format!("{head}{tail}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_leaves_no_hostile_character() {
        for (raw, want) in [
            ("nginx", "nginx"),
            ("한국어", "한국어"),
            ("a\nb\tc", "a\\nb\\tc"),
            ("\x1b[31mred", "\\e[31mred"),
            ("x\u{202e}y", "x\\u{202e}y"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("a\u{200b}b", "a\\u{200b}b"),
        ] {
            assert_eq!(escape(raw), want);
            assert!(!escape(raw).chars().any(is_hostile));
        }
    }

    #[test]
    fn escaped_json_means_the_same() {
        let text = "a\u{9b}2J\u{202e}\u{e0041}\u{feff}\n\u{1f600}";
        let json = serde_json::to_string(&[text]).unwrap();
        let escaped = escape_json(&json);
        assert!(!escaped.chars().any(is_hostile), "{escaped}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&escaped).unwrap(), [text]);
    }

    #[test]
    fn invalid_utf8_is_escaped() {
        assert_eq!(from_bytes(b"ok"), "ok");
        assert_eq!(from_bytes(b"a\xff\xc3b"), "a\\xff\\xc3b");
    }

    #[test]
    fn os_error_number_is_removed() {
        let denied = std::io::Error::from_raw_os_error(13).to_string();
        assert_eq!(strip_os_error(&denied), "Permission denied");
        assert_eq!(
            strip_os_error("read a: No (os error 2), b: No (os error 13); on"),
            "read a: No, b: No; on"
        );
        for plain in ["", "ok", "(os error x)", "a (os error )", "a (os error 3"] {
            assert_eq!(strip_os_error(plain), plain);
        }
    }
}
