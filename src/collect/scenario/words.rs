//! Words of a line of a scenario: `key` or `key=value`, with quotes and escapes.

use crate::model::text;

/// `word`, or `word=value`.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) key: String,
    pub(super) value: Option<String>,
}

impl Word {
    /// The value, which must be there.
    pub(super) fn value(&self) -> Result<&str, String> {
        self.value.as_deref().ok_or_else(|| format!("`{}`: missing value", self.key))
    }
}

/// Splits a line at spaces outside quotes; `#` starts a comment.
pub(super) fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut out = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (key, after) = token(rest, true)?;
        rest = after;
        let value = match rest.strip_prefix('=') {
            Some(r) => {
                let (v, after) = token(r, false)?;
                rest = after;
                Some(v)
            }
            None => None,
        };
        if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
            return Err(format!("missing space before `{rest}`"));
        }
        rest = rest.trim_start();
        out.push(Word { key, value });
    }
    Ok(out)
}

/// First token and the rest; the token of a key ends at `=`.
fn token(s: &str, is_key: bool) -> Result<(String, &str), String> {
    let Some(quoted) = s.strip_prefix('"') else {
        let end = s.find(|c: char| c.is_whitespace() || (is_key && c == '=')).unwrap_or(s.len());
        return Ok((s[..end].to_owned(), &s[end..]));
    };
    let mut bytes = Vec::new();
    let mut chars = quoted.char_indices();
    let end = loop {
        let Some((i, c)) = chars.next() else { return Err("unterminated quote".to_owned()) };
        match c {
            '"' => break i + 1,
            '\\' => {
                let (_, e) = chars.next().ok_or("unterminated quote")?;
                match e {
                    'n' => bytes.push(b'\n'),
                    't' => bytes.push(b'\t'),
                    'r' => bytes.push(b'\r'),
                    'e' => bytes.push(0x1b),
                    '\\' | '"' => bytes.push(e as u8),
                    'x' => {
                        let hex: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                        bytes.push(
                            u8::from_str_radix(&hex, 16).map_err(|_| format!("invalid escape `\\x{hex}`"))?,
                        );
                    }
                    'u' => {
                        let hex: String = chars
                            .by_ref()
                            .map(|(_, c)| c)
                            .skip_while(|c| *c == '{')
                            .take_while(|c| *c != '}')
                            .collect();
                        let c = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                        let c = c.ok_or_else(|| format!("invalid escape `\\u{{{hex}}}`"))?;
                        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                    other => return Err(format!("unknown escape `\\{other}`")),
                }
            }
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    };
    let mut out = text::from_bytes(&bytes).into_owned();
    let mut rest = &quoted[end..];
    if let Some(times) = rest.strip_prefix('*') {
        let end = times.find(|c: char| !c.is_ascii_digit()).unwrap_or(times.len());
        out = out.repeat(number::<usize>(&times[..end])?.min(65_536));
        rest = &times[end..];
    }
    Ok((out, rest))
}

/// Parses a number.
pub(super) fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("invalid number `{word}`"))
}
