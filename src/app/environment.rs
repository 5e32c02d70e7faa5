//! What the environment says of the terminal. The only place that reads it for display.

use crate::explain::Lang;
use crate::tui::Color;
use std::env;
use std::path::PathBuf;

/// A file of this program below a base directory: what the variable says, else this folder of the user's home
/// (XDG Base Directory Specification). `None` where neither is an absolute path.
fn below(variable: &str, home: &str, file: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(home)))?;
    Some(base.join("sockscope").join(file))
}

/// The configuration file.
pub(super) fn config_file() -> Option<PathBuf> {
    below("XDG_CONFIG_HOME", ".config", "config.toml")
}

/// The file of a theme of the user's own.
pub(super) fn theme_file(name: &str) -> Option<PathBuf> {
    below("XDG_CONFIG_HOME", ".config", &format!("themes/{name}.toml"))
}

/// Where filters typed before are kept.
pub(super) fn history_file() -> Option<PathBuf> {
    below("XDG_STATE_HOME", ".local/state", "history")
}

/// Where it is kept how the dashboard was left.
pub(super) fn session_file() -> Option<PathBuf> {
    below("XDG_STATE_HOME", ".local/state", "session.json")
}

/// The language of the locale.
pub(super) fn lang() -> Lang {
    Words::read().locale.as_deref().map_or(Lang::En, Lang::from_locale)
}

/// The words of the environment that count.
#[derive(Debug, Default)]
pub(super) struct Words {
    no_color: Option<String>,
    colorterm: Option<String>,
    term: Option<String>,
    locale: Option<String>,
}

impl Words {
    /// Reads them.
    pub(super) fn read() -> Self {
        let get =
            |name| env::var_os(name).map(|v| v.to_string_lossy().into_owned()).filter(|v| !v.is_empty());
        Self {
            no_color: get("NO_COLOR"),
            colorterm: get("COLORTERM"),
            term: get("TERM"),
            // The order of setlocale(3).
            locale: get("LC_ALL").or_else(|| get("LC_CTYPE")).or_else(|| get("LANG")),
        }
    }

    /// Colours of the terminal, when nobody asked for more or for none.
    pub(super) fn colors(&self) -> Color {
        if self.no_color.is_some() { Color::None } else { self.colors_of_terminal() }
    }

    /// Colours of the terminal, whatever `NO_COLOR` says.
    pub(super) fn colors_of_terminal(&self) -> Color {
        let term = self.term.as_deref().unwrap_or("");
        match (self.colorterm.as_deref(), term) {
            (_, "dumb" | "") => Color::None,
            (Some("truecolor" | "24bit"), _) => Color::True,
            (_, t) if t.contains("direct") => Color::True,
            (_, t) if t.contains("256") => Color::Indexed,
            (_, t) if t.contains("mono") || t.starts_with("vt") => Color::None,
            _ => Color::Basic,
        }
    }

    /// Whether the locale's character set is UTF-8. Without any locale words: no.
    pub(super) fn utf8(&self) -> bool {
        let l = self.locale.as_deref().unwrap_or("").to_ascii_lowercase();
        l.contains("utf-8") || l.contains("utf8")
    }

    /// Whether the terminal may be asked for its background. The old ones would print the question.
    pub(super) fn answers(&self) -> bool {
        let term = self.term.as_deref().unwrap_or("dumb");
        !["dumb", "linux", "vt", "cons", "ansi", "sun"].iter().any(|old| term.starts_with(old))
    }

    /// Whether the terminal can be taken to have more characters than ASCII: the locale says so, and it is none whose
    /// fonts lack them. Those of the Linux console, of 256 or 512 glyphs, have no eighths of blocks and no small
    /// triangles (console-setup(5)).
    pub(super) fn draws(&self) -> bool {
        self.utf8() && !self.dumb() && self.term.as_deref() != Some("linux")
    }

    /// Whether the terminal can do nothing but print.
    pub(super) fn dumb(&self) -> bool {
        self.term.as_deref() == Some("dumb")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(no_color: &str, colorterm: &str, term: &str, locale: &str) -> Words {
        let some = |s: &str| (!s.is_empty()).then(|| s.to_owned());
        Words { no_color: some(no_color), colorterm: some(colorterm), term: some(term), locale: some(locale) }
    }

    #[test]
    fn colours() {
        for (n, c, t, want) in [
            ("", "truecolor", "xterm-256color", Color::True),
            ("", "", "xterm-256color", Color::Indexed),
            ("", "", "linux", Color::Basic),
            ("", "", "screen", Color::Basic),
            ("", "truecolor", "dumb", Color::None),
            ("", "", "vt100", Color::None),
            ("1", "truecolor", "xterm-256color", Color::None),
        ] {
            assert_eq!(words(n, c, t, "").colors(), want, "{n} {c} {t}");
        }
    }

    #[test]
    fn character_sets() {
        for (l, want) in [
            ("en_US.UTF-8", true),
            ("ko_KR.utf8", true),
            ("C.UTF-8", true),
            ("C", false),
            ("POSIX", false),
            ("", false),
        ] {
            assert_eq!(words("", "", "", l).utf8(), want, "{l}");
            assert_eq!(words("", "", "xterm", l).draws(), want, "{l}");
        }
        assert!(!words("", "", "linux", "en_US.UTF-8").draws(), "its fonts have no triangles");
        assert!(!words("", "", "dumb", "en_US.UTF-8").draws());
    }
}
