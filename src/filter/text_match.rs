//! Text search without copies where possible.

use crate::model::{Addr, Endpoint};
use std::fmt::{self, Write};

/// Text to search for, ignoring case.
#[derive(Clone, Debug)]
pub(crate) struct Needle {
    lower: String,
    ascii: bool,
}

impl Needle {
    pub(crate) fn new(s: &str) -> Self {
        Self { lower: s.to_lowercase(), ascii: s.is_ascii() }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.lower
    }

    /// True if the text contains it.
    pub(crate) fn is_in(&self, hay: &str) -> bool {
        if !self.ascii {
            return hay.to_lowercase().contains(&self.lower);
        }
        let (hay, needle) = (hay.as_bytes(), self.lower.as_bytes());
        let Some((first, rest)) = needle.split_first() else { return true };
        if hay.len() < needle.len() {
            return false;
        }
        (0..=hay.len() - needle.len()).any(|i| {
            hay[i].to_ascii_lowercase() == *first && hay[i + 1..i + needle.len()].eq_ignore_ascii_case(rest)
        })
    }

    /// True if a lower-case text contains it.
    pub(crate) fn is_in_lower(&self, hay: &str) -> bool {
        let (hay, needle) = (hay.as_bytes(), self.lower.as_bytes());
        let Some((first, rest)) = needle.split_first() else { return true };
        let mut from = 0;
        while let Some(i) = hay[from..].iter().position(|b| b == first) {
            from += i + 1;
            if hay[from..].starts_with(rest) {
                return true;
            }
        }
        false
    }

    /// True if it equals the text.
    pub(crate) fn equals(&self, hay: &str) -> bool {
        if self.ascii { hay.eq_ignore_ascii_case(&self.lower) } else { hay.to_lowercase() == self.lower }
    }

    /// True if the text of an IP endpoint could contain it.
    pub(crate) fn may_be_in_endpoint(&self) -> bool {
        self.lower.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b':' | b'[' | b']' | b'*'))
    }
}

/// True if the whole text matches a glob (`*`, `?`, `[…]`), ignoring case. Worst case linear in the text for
/// each `*`.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let fold = |s: &str| -> Vec<char> { s.chars().flat_map(char::to_lowercase).collect() };
    glob_chars(&fold(pattern), &fold(text))
}

fn glob_chars(p: &[char], t: &[char]) -> bool {
    let (mut pi, mut ti) = (0, 0);
    // Position to backtrack to when the last `*` takes one more character.
    let mut back: Option<(usize, usize)> = None;
    loop {
        if p.get(pi) == Some(&'*') {
            back = Some((pi + 1, ti));
            pi += 1;
            continue;
        }
        if ti == t.len() {
            if pi == p.len() {
                return true;
            }
        } else if let Some(next) = step(p, pi, t[ti]) {
            pi = next;
            ti += 1;
            continue;
        }
        match &mut back {
            Some((after, at)) if *at < t.len() => {
                *at += 1;
                (pi, ti) = (*after, *at);
            }
            _ => return false,
        }
    }
}

/// Position in the pattern after matching this character.
fn step(p: &[char], at: usize, c: char) -> Option<usize> {
    match p.get(at)? {
        '?' => Some(at + 1),
        '[' => match class(p, at, c) {
            Some((true, next)) => Some(next),
            Some((false, _)) => None,
            // An unclosed bracket is literal.
            None => (c == '[').then_some(at + 1),
        },
        x => (*x == c).then_some(at + 1),
    }
}

/// Result of matching a class such as `[a-z]` or `[!0-9]`, and the position after it.
fn class(p: &[char], at: usize, c: char) -> Option<(bool, usize)> {
    let mut i = at + 1;
    let not = matches!(p.get(i), Some('!' | '^'));
    i += usize::from(not);
    let first = i;
    let mut found = false;
    loop {
        match *p.get(i)? {
            ']' if i > first => return Some((found != not, i + 1)),
            low => {
                let high = match (p.get(i + 1), p.get(i + 2)) {
                    (Some('-'), Some(h)) if *h != ']' => {
                        i += 2;
                        *h
                    }
                    _ => low,
                };
                found |= (low..=high).contains(&c);
                i += 1;
            }
        }
    }
}

/// A few bytes of text on the stack.
pub(crate) struct Buf {
    bytes: [u8; 64],
    len: usize,
}

impl Buf {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; 64], len: 0 }
    }

    /// The text of an endpoint, as it is shown.
    pub(crate) fn endpoint(&mut self, e: &Endpoint) -> &str {
        self.len = 0;
        if e.is_none() {
            self.push(b'*');
        } else if e.addr.is_v4() {
            self.v4(&e.addr);
            self.port(e.port);
        } else {
            let _ = write!(self, "{e}");
        }
        self.as_str()
    }

    /// The text of an address.
    pub(crate) fn addr(&mut self, a: &Addr) -> &str {
        self.len = 0;
        if a.is_v4() {
            self.v4(a);
        } else {
            let _ = write!(self, "{a}");
        }
        self.as_str()
    }

    fn v4(&mut self, a: &Addr) {
        for (i, b) in a.octets()[12..].iter().enumerate() {
            if i > 0 {
                self.push(b'.');
            }
            self.decimal(u32::from(*b));
        }
    }

    fn port(&mut self, port: u16) {
        self.push(b':');
        if port == 0 { self.push(b'*') } else { self.decimal(u32::from(port)) }
    }

    fn decimal(&mut self, n: u32) {
        if n >= 10 {
            self.decimal(n / 10);
        }
        self.push(b'0' + (n % 10) as u8);
    }

    fn push(&mut self, b: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = b;
            self.len += 1;
        }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

impl Write for Buf {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        s.bytes().for_each(|b| self.push(b));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (p, t, want) in [
            ("ng*", "nginx", true),
            ("ng*", "ang", false),
            ("*", "", true),
            ("", "", true),
            ("?", "", false),
            ("*.sock", "/run/a.sock", true),
            ("/run/*/a?", "/run/x/y/ab", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[ab", "[ab", true),
            ("NG*", "nginx", true),
            ("한*", "한국", true),
            ("***a", "bba", true),
        ] {
            assert_eq!(glob(p, t), want, "{p} {t}");
        }
        assert!(!glob(&"a*".repeat(500), &"a".repeat(499)), "no blow-up");
    }

    #[test]
    fn needles() {
        for (n, h, want) in [
            ("NGINX", "nginx", true),
            ("inx", "NGINX", true),
            ("x", "", false),
            ("", "a", true),
            ("가", "가나", true),
            ("ÄB", "xäby", true),
            ("nginxx", "nginx", false),
        ] {
            assert_eq!(Needle::new(n).is_in(h), want, "{n} {h}");
            assert_eq!(Needle::new(n).is_in_lower(&h.to_lowercase()), want, "{n} {h}");
        }
    }

    #[test]
    fn endpoints_look_as_shown() {
        let mut b = Buf::new();
        for s in ["10.0.0.1", "255.255.255.255", "0.0.0.0", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0"]
        {
            let a: Addr = s.parse().unwrap();
            assert_eq!(b.addr(&a), a.to_string());
            for port in [0, 7, 443, 65535] {
                let e = Endpoint::new(a, port);
                assert_eq!(b.endpoint(&e), e.to_string());
            }
        }
    }
}
