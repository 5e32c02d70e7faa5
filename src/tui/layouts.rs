//! Keyboard layouts other than Latin: the Latin letter at the same place.

/// Keys of a Latin layout, row by row, as the rows of [`LAYOUTS`].
const LATIN: &str = "qwertyuiop[]asdfghjkl;'zxcvbnm,.";

/// Letters at those places; a blank where there is none of its own.
const LAYOUTS: &[&str] = &[
    // Korean (2-beolsik), which types letters before it composes syllables.
    "ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ  ㅁㄴㅇㄹㅎㅗㅓㅏㅣ  ㅋㅌㅊㅍㅠㅜㅡ  ",
    // Russian, Ukrainian
    "йцукенгшщзхъфывапролджэячсмитьбю",
    "йцукенгшщзхїфівапролджєячсмитьбю",
    // Greek
    " ςερτυθιοπ  ασδφγηξκλ  ζχψωβνμ  ",
    // Hebrew
    "  קראטוןםפ  שדגכעיחלךף זסבהנמצתץ",
    // Arabic
    "ضصثقفغعهخحجدشسيبلاتنمكطئءؤر ىةوز",
    // Persian
    "ضصثقفغعهخحجچشسیبلاتنمکگظطزرذدپو ",
];

/// Letters typed with Shift that are no capitals, and their keys.
const SHIFTED: &[(char, char)] = &[
    ('ㅃ', 'Q'),
    ('ㅉ', 'W'),
    ('ㄸ', 'E'),
    ('ㄲ', 'R'),
    ('ㅆ', 'T'),
    ('ㅒ', 'O'),
    ('ㅖ', 'P'),
    ('؟', '?'),
    ('、', '/'),
];

/// The key of a Latin layout at the place of this letter; `None` for a letter of none of the layouts.
pub(crate) fn latin(c: char) -> Option<char> {
    // Full width, as input methods for Chinese and Japanese type it.
    if let 0xff01..=0xff5e = u32::from(c) {
        return char::from_u32(u32::from(c) - 0xfee0);
    }
    if c.is_ascii() {
        return None;
    }
    if let Some((_, key)) = SHIFTED.iter().find(|(letter, _)| *letter == c) {
        return Some(*key);
    }
    let small = c.to_lowercase().next()?;
    let key =
        LAYOUTS.iter().find_map(|l| l.chars().zip(LATIN.chars()).find(|(letter, _)| *letter == small))?.1;
    Some(if small == c { key } else { key.to_ascii_uppercase() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_have_a_letter_or_a_blank_for_each_key() {
        for l in LAYOUTS {
            assert_eq!(l.chars().count(), LATIN.len(), "{l}");
            assert!(!l.chars().any(|c| c.is_ascii() && c != ' '), "{l}");
        }
        assert_eq!((latin('q'), latin('é'), latin('好')), (None, None, None));
        assert_eq!(
            (latin('й'), latin('Й'), latin('ы'), latin('ㅠ')),
            (Some('q'), Some('Q'), Some('s'), Some('b'))
        );
    }
}
