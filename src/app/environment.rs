//! Environment variables: XDG directories, locale and terminal capabilities. The only place that reads them for display.

use super::terminfo::Terminfo;
use crate::explain::Lang;
use crate::tui::Color;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Name and home directory of a user, as far as the user database has them.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Login name.
    pub(super) name: Option<String>,
    /// Home directory.
    pub(super) home: Option<PathBuf>,
}

/// Account of the user that this process became.
static ACCOUNT: OnceLock<Account> = OnceLock::new();

/// Sets the account of the user that this process became, in place of that of the environment.
pub(super) fn set_account(account: Account) {
    let _ = ACCOUNT.set(account);
}

/// Variables of that account, for a program that is started; `None` for one that the program must not have. Empty if this process is
/// still the user of its environment.
pub(super) fn account_variables() -> Vec<(&'static str, Option<OsString>)> {
    let Some(Account { name, home }) = ACCOUNT.get() else { return Vec::new() };
    let name = name.as_ref().map(OsString::from);
    vec![("HOME", home.clone().map(Into::into)), ("USER", name.clone()), ("LOGNAME", name)]
}

/// User and group who called `sudo(8)` (`SUDO_UID`, `SUDO_GID`); `None` if that is root, or it was not called.
pub(super) fn sudo_user() -> Option<(u32, u32)> {
    let number = |name| env::var(name).ok()?.parse::<u32>().ok();
    let uid = number("SUDO_UID").filter(|uid| *uid != 0 && *uid != u32::MAX)?;
    Some((uid, number("SUDO_GID").filter(|gid| *gid != u32::MAX)?))
}

/// Returns true if a shell asks for completions.
pub(super) fn completes() -> bool {
    env::var_os("COMPLETE").is_some()
}

/// A file of this program in an XDG base directory: that of the variable, or this folder in the home directory. `None` if
/// neither is an absolute path.
fn xdg_file(variable: &str, home: &str, file: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute(variable).or_else(|| Some(home_dir()?.join(home)))?;
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

/// Default directory of a recording.
pub(super) fn recording_dir() -> Option<PathBuf> {
    xdg_file("XDG_STATE_HOME", ".local/state", "recording")
}

/// Default directory of batches that wait for a receiver.
#[cfg(feature = "ship")]
pub(super) fn spool_dir() -> Option<PathBuf> {
    xdg_file("XDG_STATE_HOME", ".local/state", "ship")
}

/// Home directory of the user.
pub(super) fn home_dir() -> Option<PathBuf> {
    let own = || env::var_os("HOME").map(PathBuf::from);
    let home = ACCOUNT.get().map_or_else(own, |account| account.home.clone());
    home.filter(|p| p.is_absolute())
}

/// Directory of the configuration of `ssh`.
pub(super) fn ssh_dir() -> Option<PathBuf> {
    home_dir().map(|home| home.join(".ssh"))
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
    /// `FG;BG`, or with a word between: indices of the sixteen colors, set by rxvt, Konsole and others.
    colorfgbg: Option<String>,
    terminfo: Option<Terminfo>,
}

/// Terminals of 24-bit color whose description is often missing on the host that one logs in to.
const TRUE_COLOR: &[&str] =
    &["kitty", "alacritty", "foot", "ghostty", "wezterm", "contour", "rio", "konsole", "iterm2"];

/// Folders of compiled terminal descriptions, in the order of terminfo(5).
fn terminfo_folders() -> Vec<PathBuf> {
    let var = |name| env::var_os(name).filter(|v| !v.is_empty());
    let own = var("TERMINFO").map(PathBuf::from);
    let home = home_dir().map(|h| h.join(".terminfo"));
    let listed = var("TERMINFO_DIRS").map_or_else(Vec::new, |v| env::split_paths(&v).collect());
    let system = [
        "/etc/terminfo",
        "/lib/terminfo",
        "/usr/share/terminfo",
        "/usr/lib/terminfo",
        "/usr/local/share/terminfo",
    ];
    own.into_iter()
        .chain(home)
        .chain(listed)
        .chain(system.map(PathBuf::from))
        .filter(|p| p.is_absolute())
        .collect()
}

impl TerminalEnv {
    /// Reads the environment.
    pub(super) fn read() -> Self {
        let get =
            |name| env::var_os(name).map(|v| v.to_string_lossy().into_owned()).filter(|v| !v.is_empty());
        let term = get("TERM");
        Self {
            no_color: get("NO_COLOR"),
            clicolor_force: get("CLICOLOR_FORCE").is_some_and(|v| v != "0"),
            colorterm: get("COLORTERM"),
            colorfgbg: get("COLORFGBG"),
            terminfo: term.as_deref().and_then(|t| Terminfo::find(t, &terminfo_folders())),
            term,
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
        let program = term.strip_prefix("xterm-").unwrap_or(term).split('-').next().unwrap_or("");
        match (self.colorterm.as_deref(), term, self.terminfo) {
            (_, "dumb" | "", _) => Color::None,
            (Some("truecolor" | "24bit"), ..) => Color::True,
            _ if term.contains("direct") || TRUE_COLOR.contains(&program) => Color::True,
            (.., Some(Terminfo { true_color: true, .. })) => Color::True,
            (.., Some(Terminfo { colors: 256.., .. })) => Color::Indexed,
            // Its description is of 8 colors.
            _ if term.contains("256") || program == "mlterm" => Color::Indexed,
            (.., Some(Terminfo { colors: 8.., .. })) => Color::Basic,
            (.., Some(_)) => Color::None,
            _ if term.contains("mono") || term.starts_with("vt") => Color::None,
            _ => Color::Basic,
        }
    }

    /// Background of the terminal before it is queried, if known: black or white.
    pub(super) fn background(&self) -> Option<u32> {
        if self.term.as_deref() == Some("linux") {
            return Some(0);
        }
        match self.colorfgbg.as_deref()?.rsplit(';').next()?.parse().ok()? {
            0..=6 | 8 => Some(0),
            7 | 9..=15 => Some(0x00ff_ffff),
            _ => None,
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

    /// True if the terminal has no capabilities at all, or is not named.
    pub(super) fn dumb(&self) -> bool {
        matches!(self.term.as_deref(), Some("dumb") | None)
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
            ..TerminalEnv::default()
        }
    }

    #[test]
    fn color_depth_follows_the_description_of_the_terminal() {
        let depth = |term: &str, colors, true_color| {
            let terminfo = Some(Terminfo { colors, true_color });
            TerminalEnv { terminfo, ..env_with("", "", term, "") }.colors()
        };
        for (term, colors, true_color, want) in [
            ("xterm-kitty", 256, false, Color::True),
            ("strange", 256, true, Color::True),
            ("strange", 256, false, Color::Indexed),
            ("strange", 88, false, Color::Basic),
            ("screen", 8, false, Color::Basic),
            ("vt220", 0, false, Color::None),
            ("xterm-mono", 0, false, Color::None),
            ("screen-256color", 256, false, Color::Indexed),
            ("mlterm", 8, false, Color::Indexed),
            ("xterm-direct", 0x0100_0000, false, Color::True),
        ] {
            assert_eq!(depth(term, colors, true_color), want, "{term}");
        }
        // Without a description, as on a host that one logs in to.
        for term in
            ["xterm-kitty", "alacritty", "foot", "foot-extra", "xterm-ghostty", "wezterm", "konsole-256color"]
        {
            assert_eq!(env_with("", "", term, "").colors(), Color::True, "{term}");
        }
        assert_eq!(env_with("", "", "mlterm", "").colors(), Color::Indexed);
    }

    #[test]
    fn background_is_read_from_colorfgbg() {
        for (value, want) in [
            ("15;0", Some(0)),
            ("0;15", Some(0x00ff_ffff)),
            ("0;default;15", Some(0x00ff_ffff)),
            ("7;default;8", Some(0)),
            ("0;7", Some(0x00ff_ffff)),
            ("default;default", None),
            ("", None),
            ("0;99", None),
        ] {
            let env = TerminalEnv { colorfgbg: Some(value.to_owned()), ..env_with("", "", "rxvt", "") };
            assert_eq!(env.background(), want, "{value}");
        }
        assert_eq!(env_with("", "", "linux", "").background(), Some(0));
        assert_eq!(env_with("", "", "xterm", "").background(), None);
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
