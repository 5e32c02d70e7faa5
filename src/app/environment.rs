//! Environment variables: XDG directories, locale and terminal capabilities. The only place that reads them for display.

use crate::explain::Lang;
use crate::tui::Color;
use std::env;
use std::path::PathBuf;

/// A file of this program in an XDG base directory: that of the variable, or this folder in the home directory. `None` if
/// neither is an absolute path.
fn xdg_file(variable: &str, home: &str, file: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(home)))?;
    Some(base.join("sockscope").join(file))
}

/// Configuration file of the system, used where the user has none.
pub(super) const SYSTEM_CONFIG: &str = "/etc/sockscope/config.toml";

/// The configuration file that `SOCKSCOPE_CONFIG` names.
pub(super) fn named_config() -> Option<PathBuf> {
    env::var_os("SOCKSCOPE_CONFIG").map(PathBuf::from).filter(|p| !p.as_os_str().is_empty())
}

/// Default configuration file.
pub(super) fn config_file() -> Option<PathBuf> {
    xdg_file("XDG_CONFIG_HOME", ".config", "config.toml")
}

/// File of a user theme.
pub(super) fn theme_file(name: &str) -> Option<PathBuf> {
    xdg_file("XDG_CONFIG_HOME", ".config", &format!("themes/{name}.toml"))
}

/// Filter history.
pub(super) fn history_file() -> Option<PathBuf> {
    xdg_file("XDG_STATE_HOME", ".local/state", "history")
}

/// Saved session of the dashboard.
pub(super) fn session_file() -> Option<PathBuf> {
    xdg_file("XDG_STATE_HOME", ".local/state", "session.json")
}

/// Language of the locale.
pub(super) fn lang() -> Lang {
    TerminalEnv::read().locale.as_deref().map_or(Lang::En, Lang::from_locale)
}

/// Width of the screen in `COLUMNS`, for output that is not a terminal.
pub(super) fn columns() -> Option<u16> {
    env::var("COLUMNS").ok()?.trim().parse().ok().filter(|n| *n > 0)
}

/// Environment variables about the terminal and the locale.
#[derive(Debug, Default)]
pub(super) struct TerminalEnv {
    no_color: Option<String>,
    clicolor_force: bool,
    colorterm: Option<String>,
    term: Option<String>,
    locale: Option<String>,
}

impl TerminalEnv {
    /// Reads the environment.
    pub(super) fn read() -> Self {
        let get =
            |name| env::var_os(name).map(|v| v.to_string_lossy().into_owned()).filter(|v| !v.is_empty());
        Self {
            no_color: get("NO_COLOR"),
            clicolor_force: get("CLICOLOR_FORCE").is_some_and(|v| v != "0"),
            colorterm: get("COLORTERM"),
            term: get("TERM"),
            // The order of setlocale(3).
            locale: get("LC_ALL").or_else(|| get("LC_CTYPE")).or_else(|| get("LANG")),
        }
    }

    /// True if output that is not a terminal has color too (`CLICOLOR_FORCE`); `NO_COLOR` wins.
    pub(super) const fn forces_color(&self) -> bool {
        self.clicolor_force && self.no_color.is_none()
    }

    /// Color depth for `--color auto`.
    pub(super) fn colors(&self) -> Color {
        if self.no_color.is_some() { Color::None } else { self.terminal_colors() }
    }

    /// Color depth of the terminal, ignoring `NO_COLOR`.
    pub(super) fn terminal_colors(&self) -> Color {
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

    /// True if the locale uses UTF-8; false without a locale.
    pub(super) fn utf8(&self) -> bool {
        let l = self.locale.as_deref().unwrap_or("").to_ascii_lowercase();
        l.contains("utf-8") || l.contains("utf8")
    }

    /// True if the terminal can be queried for its background color. Old ones would print the query.
    pub(super) fn supports_queries(&self) -> bool {
        let term = self.term.as_deref().unwrap_or("dumb");
        !["dumb", "linux", "vt", "cons", "ansi", "sun"].iter().any(|old| term.starts_with(old))
    }

    /// True if the terminal can draw block elements and other Unicode characters. The fonts of the Linux console, of 256
    /// or 512 glyphs, have neither eighth blocks nor small triangles (console-setup(5)).
    pub(super) fn has_unicode(&self) -> bool {
        self.utf8() && !self.dumb() && self.term.as_deref() != Some("linux")
    }

    /// True if the terminal has no capabilities at all.
    pub(super) fn dumb(&self) -> bool {
        self.term.as_deref() == Some("dumb")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env_with(no_color: &str, colorterm: &str, term: &str, locale: &str) -> TerminalEnv {
        let some = |s: &str| (!s.is_empty()).then(|| s.to_owned());
        TerminalEnv {
            no_color: some(no_color),
            clicolor_force: false,
            colorterm: some(colorterm),
            term: some(term),
            locale: some(locale),
        }
    }

    #[test]
    fn color_depth_follows_no_color_colorterm_and_term() {
        for (n, c, t, want) in [
            ("", "truecolor", "xterm-256color", Color::True),
            ("", "", "xterm-256color", Color::Indexed),
            ("", "", "linux", Color::Basic),
            ("", "", "screen", Color::Basic),
            ("", "truecolor", "dumb", Color::None),
            ("", "", "vt100", Color::None),
            ("1", "truecolor", "xterm-256color", Color::None),
        ] {
            assert_eq!(env_with(n, c, t, "").colors(), want, "{n} {c} {t}");
        }
    }

    #[test]
    fn unicode_needs_a_utf8_locale_and_a_capable_terminal() {
        for (l, want) in [
            ("en_US.UTF-8", true),
            ("ko_KR.utf8", true),
            ("C.UTF-8", true),
            ("C", false),
            ("POSIX", false),
            ("", false),
        ] {
            assert_eq!(env_with("", "", "", l).utf8(), want, "{l}");
            assert_eq!(env_with("", "", "xterm", l).has_unicode(), want, "{l}");
        }
        assert!(!env_with("", "", "linux", "en_US.UTF-8").has_unicode(), "no such glyphs");
        assert!(!env_with("", "", "dumb", "en_US.UTF-8").has_unicode());
    }
}
