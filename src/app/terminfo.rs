//! Terminal descriptions of ncurses (terminfo(5)): number of colors. Read here, because two values do not need a dependency; the
//! format is term(5).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Part of a description that is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Terminfo {
    /// Number of colors; 0 without colors.
    pub(super) colors: i32,
    /// Colors of 24 bits by `38;2;R;G;B`: the extended capabilities `RGB` and `Tc`.
    pub(super) true_color: bool,
}

/// Largest description that is read, in bytes; ncurses has 32 KB.
const LARGEST: u64 = 64 << 10;
/// Index of `max_colors` among the numbers.
const MAX_COLORS: usize = 13;

impl Terminfo {
    /// Finds a terminal in these folders, each with subfolders by first letter or by its code in hexadecimal.
    pub(super) fn find(term: &str, folders: &[PathBuf]) -> Option<Self> {
        let first = term.chars().next().filter(|_| !term.contains('/') && !term.starts_with('.'))?;
        let read = |file: &Path| {
            let mut bytes = Vec::new();
            let file = File::open(file).ok().filter(|f| f.metadata().is_ok_and(|m| m.is_file()))?;
            file.take(LARGEST).read_to_end(&mut bytes).ok()?;
            Self::parse(&bytes)
        };
        let file = |folder: &PathBuf| {
            let by_code = format!("{:x}", u32::from(first));
            [first.to_string(), by_code].iter().find_map(|sub| read(&folder.join(sub).join(term)))
        };
        folders.iter().find_map(file)
    }

    /// Parses a compiled description; `None` if it is not one.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader { bytes, at: 0 };
        let number = match r.short()? {
            0o432 => 2,
            0o1036 => 4,
            _ => return None,
        };
        let [names, flags, numbers, strings, text] = r.shorts()?;
        r.skip(names + flags)?;
        r.align();
        let values = r.skip(numbers * number)?;
        let colors = values.chunks(number).nth(MAX_COLORS).map_or(0, integer).max(0);
        r.skip(strings * 2 + text)?;
        r.align();
        let true_color = r.true_color(number).unwrap_or(false);
        Some(Self { colors, true_color })
    }
}

/// A little-endian number of two or four bytes, signed.
fn integer(bytes: &[u8]) -> i32 {
    match *bytes {
        [a, b] => i32::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn skip(&mut self, n: usize) -> Option<&'a [u8]> {
        let part = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(part)
    }

    fn short(&mut self) -> Option<usize> {
        usize::try_from(integer(self.skip(2)?)).ok()
    }

    fn shorts(&mut self) -> Option<[usize; 5]> {
        Some([self.short()?, self.short()?, self.short()?, self.short()?, self.short()?])
    }

    /// Numbers begin at an even offset.
    fn align(&mut self) {
        self.at += self.at % 2;
    }

    /// Looks for `RGB` and `Tc` in the extended part; `None` if there is none.
    fn true_color(&mut self, number: usize) -> Option<bool> {
        let [flags, numbers, strings, _, _] = self.shorts()?;
        let set = self.skip(flags)?;
        self.align();
        self.skip(numbers * number)?;
        let values: Vec<i32> = self.skip(strings * 2)?.chunks(2).map(integer).collect();
        let names: Vec<i32> = self.skip((flags + numbers + strings) * 2)?.chunks(2).map(integer).collect();
        let text = self.bytes.get(self.at..)?;
        let string = |at: usize| text.get(at..).and_then(|t| t.split(|b| *b == 0).next());
        // The names follow the last value.
        let end = |at: &i32| Some(usize::try_from(*at).ok()? + string(usize::try_from(*at).ok()?)?.len() + 1);
        let base = values.iter().filter_map(end).max().unwrap_or(0);
        let known = |(i, at): (usize, &i32)| {
            let name = usize::try_from(*at).ok().and_then(|at| string(base + at));
            matches!(name, Some(b"RGB" | b"Tc")) && set.get(i).is_none_or(|flag| *flag == 1)
        };
        Some(names.iter().enumerate().any(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A description as tic(1) writes it: `max_colors`, and extended flags, numbers and strings with their names.
    fn compiled(colors: i16, flags: &[&str], strings: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        let shorts = |out: &mut Vec<u8>, n: &[i16]| n.iter().for_each(|n| out.extend(n.to_le_bytes()));
        shorts(&mut out, &[0o432, 6, 1, 14, 0, 0]);
        out.extend(b"test|\0\x01");
        out.push(0);
        shorts(&mut out, &[-1; 13]);
        shorts(&mut out, &[colors]);
        if out.len() % 2 == 1 {
            out.push(0);
        }
        let (mut text, mut values, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (_, value) in strings {
            values.push(text.len() as i16);
            text.extend(value.bytes().chain([0]));
        }
        let base = text.len();
        for name in flags.iter().chain(strings.iter().map(|(name, _)| name)) {
            names.push((text.len() - base) as i16);
            text.extend(name.bytes().chain([0]));
        }
        let (f, s) = (flags.len() as i16, strings.len() as i16);
        shorts(&mut out, &[f, 0, s, f + 2 * s, text.len() as i16]);
        out.extend(vec![1; flags.len()]);
        if out.len() % 2 == 1 {
            out.push(0);
        }
        shorts(&mut out, &values);
        shorts(&mut out, &names);
        out.extend(text);
        out
    }

    #[test]
    fn colors_and_true_color_are_read() {
        for (bytes, colors, true_color) in [
            (compiled(8, &[], &[]), 8, false),
            (compiled(256, &["AX", "Tc"], &[("E3", "\x1b[3J"), ("Ss", "x")]), 256, true),
            (compiled(256, &["RGB"], &[]), 256, true),
            (compiled(256, &["AX"], &[("RGB", "8/8/8")]), 256, true),
            (compiled(-1, &["AX"], &[]), 0, false),
        ] {
            assert_eq!(Terminfo::parse(&bytes), Some(Terminfo { colors, true_color }));
        }
        assert_eq!(Terminfo::parse(b"no description"), None);
    }

    #[test]
    fn descriptions_of_this_system_are_read() {
        let folders = ["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo"].map(PathBuf::from);
        for (term, colors) in [("xterm-256color", 256), ("linux", 8), ("vt100", 0), ("screen", 8)] {
            // ncurses-base has them, but not every system is a Debian.
            if let Some(t) = Terminfo::find(term, &folders) {
                assert_eq!(t.colors, colors, "{term}");
            }
        }
        assert_eq!(Terminfo::find("../x/xterm", &folders), None);
        assert_eq!(Terminfo::find("", &folders), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if bytes.len() > 1 {
                (bytes[0], bytes[1]) = (0x1a, 1);
            }
            Terminfo::parse(&bytes);
        }
    }
}
