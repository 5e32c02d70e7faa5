//! Language of the screen: English texts in the sources, translations in `assets/lang`.
//!
//! As with gettext(3), the English text is the key: [`tr`] returns its translation into the current language, and the
//! `msg!` macro does the same for a text with `{}` placeholders. A text without a translation stays English;
//! `tests/translations.rs` fails for every such text. Texts of registries are translated where they are shown.
//!
//! The language belongs to the thread. Only the thread that draws sets one, so threads that filter, sort and write rows
//! have English values, and what that thread does for machines (filters, exports, hooks) it does [`in_english`]. Names
//! stay English everywhere: columns, fields, states, commands, views, findings, and kernel terms.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::{Display, Write};
use std::sync::OnceLock;

/// Language of the screen and of `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Korean.
    Ko,
}

impl Lang {
    /// Language of a locale name or a language code: `ko_KR.UTF-8`, `ko`.
    pub fn from_locale(locale: &str) -> Self {
        if locale.to_ascii_lowercase().starts_with("ko") { Self::Ko } else { Self::En }
    }
}

/// Translations into Korean: a TOML table, English text to Korean text.
const KO: &str = include_str!("../../assets/lang/ko.toml");

thread_local! {
    static CURRENT: Cell<Lang> = const { Cell::new(Lang::En) };
}

/// Sets the language of this thread.
pub fn set_lang(lang: Lang) {
    CURRENT.set(lang);
}

/// Language of this thread.
pub fn lang() -> Lang {
    CURRENT.get()
}

/// Runs `f` with English texts, for values that filters, files and scripts depend on.
pub fn in_english<T>(f: impl FnOnce() -> T) -> T {
    let before = CURRENT.replace(Lang::En);
    let out = f();
    CURRENT.set(before);
    out
}

/// Marks a text of a registry that is translated where it is shown: `gettext_noop` of gettext(3).
pub const fn noop(text: &'static str) -> &'static str {
    text
}

/// Translations into Korean. Empty if the catalogue is not valid TOML, which a test rules out.
pub fn catalogue() -> &'static HashMap<String, String> {
    static CATALOGUE: OnceLock<HashMap<String, String>> = OnceLock::new();
    CATALOGUE.get_or_init(|| toml::from_str(KO).unwrap_or_default())
}

/// Translation of `text` into the current language, or `text` itself if there is none.
pub fn tr(text: &str) -> &str {
    match lang() {
        Lang::En => text,
        Lang::Ko => catalogue().get(text).map_or(text, String::as_str),
    }
}

/// Template with each `{}` replaced by the next argument, and each `{0}`, `{1}` … by the argument of that number,
/// because a translation may need another order.
pub fn fill(template: &str, args: &[&dyn Display]) -> String {
    let mut out = String::with_capacity(template.len() + 16 * args.len());
    let (mut rest, mut next) = (template, 0);
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').map_or(rest.len(), |c| open + c);
        out.push_str(&rest[..open]);
        let number = match rest.get(open + 1..close) {
            Some("") => {
                next += 1;
                Some(next - 1)
            }
            Some(digits) => digits.parse().ok(),
            None => None,
        };
        if let Some(arg) = number.and_then(|n: usize| args.get(n)) {
            // Writing to a String cannot fail.
            let _ = write!(out, "{arg}");
        }
        rest = rest.get(close + 1..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

/// Text with `{}` placeholders in the current language: `msg!("{} of {}", used, limit)`. Arguments are formatted by
/// `Display`; anything else is formatted by the caller.
#[macro_export]
macro_rules! msg {
    ($template:literal $(, $arg:expr)* $(,)?) => {
        $crate::model::lang::fill($crate::model::lang::tr($template), &[$(&$arg),*])
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_order_or_by_number() {
        assert_eq!(fill("{} of {}", &[&3, &"8"]), "3 of 8");
        assert_eq!(fill("{1} 중 {0}", &[&3, &8]), "8 중 3");
        assert_eq!(fill("no placeholder", &[]), "no placeholder");
        assert_eq!(fill("{} and {", &[&1]), "1 and ");
    }

    #[test]
    fn catalogue_is_valid_toml() {
        let table: Result<HashMap<String, String>, _> = toml::from_str(KO);
        assert!(table.is_ok(), "{table:?}");
    }

    #[test]
    fn locale_names_choose_the_language() {
        assert_eq!(Lang::from_locale("ko_KR.UTF-8"), Lang::Ko);
        assert_eq!(Lang::from_locale("en_US.UTF-8"), Lang::En);
        assert_eq!(Lang::from_locale("C"), Lang::En);
    }
}
