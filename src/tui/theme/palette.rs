//! Colours of the built-in themes, as data, and of user themes, from TOML.

use super::color::Color;
use super::contrast::{is_dark, nearest};
use ratatui::style::Color as C;
use std::borrow::Cow;
use std::collections::BTreeMap;

macro_rules! tones {
    ($($tone:ident $name:literal $help:literal)*) => {
        /// Role of a colour.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Tone { $(#[doc = $help] $tone,)* }

        impl Tone {
            /// Every role, in the order of a palette.
            pub const ALL: &[Self] = &[$(Self::$tone,)*];

            /// Its name in a theme file.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$tone => $name,)* }
            }

            /// Its use.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$tone => $help,)* }
            }
        }
    };
}

tones! {
    Ground "ground" "Background."
    Ink "ink" "Plain text."
    Soft "soft" "Less important text: units, notes."
    Faint "faint" "Least important: rules, zeros, missing values."
    Surface "surface" "Background of bars and windows."
    Lifted "lifted" "Background of the selected line."
    New "new" "Background of a new row."
    Accent "accent" "Keys, the active tab, edited text."
    Good "good" "Normal; connected."
    Warn "warn" "From 75% of a limit; half closed by the peer."
    Bad "bad" "From 90% of a limit; drops."
    Serve "serve" "Listening."
    Opening "opening" "Connection being opened."
    Closing "closing" "Connection being closed."
}

/// Number of roles.
const N: usize = Tone::ALL.len();

/// A theme's colours.
#[derive(Clone, Debug, PartialEq)]
pub struct Palette {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its use.
    pub help: Cow<'static, str>,
    /// Red, green and blue of each [`Tone`], in their order.
    tones: [u32; N],
    /// Their indices among the sixteen colours; `None`: the terminal's default.
    sixteen: [Option<u8>; N],
    /// Maximum colour depth.
    pub most: Color,
    /// High contrast, as of WCAG 1.4.6.
    pub high: bool,
}

/// For a dark background. Neither blue nor dark grey is readable on every black, nor bright green in Solarized.
#[rustfmt::skip]
const DARK_16: [Option<u8>; N] =
    [None, None, None, None, None, None, None, Some(14), None, Some(11), Some(13), Some(14), Some(6), None];
/// For a light background. Green, cyan, yellow and the bright ones are not readable on white.
#[rustfmt::skip]
const LIGHT_16: [Option<u8>; N] =
    [None, None, None, None, None, None, None, Some(4), None, None, Some(1), Some(4), None, None];

const fn palette(
    name: &'static str,
    help: &'static str,
    sixteen: [Option<u8>; N],
    most: Color,
    high: bool,
    tones: [u32; N],
) -> Palette {
    Palette { name: Cow::Borrowed(name), help: Cow::Borrowed(help), tones, sixteen, most, high }
}

/// The built-in themes; the first two are the defaults by background of the terminal.
///
/// In the order of [`Tone`]: ground ink soft faint, surface lifted new, accent good warn bad, serve opening closing.
#[rustfmt::skip]
pub static PALETTES: &[Palette] = &[
    palette("dark", "for a dark background", DARK_16, Color::True, false, [
        0x0010_1114, 0x00e3_e7ee, 0x00a4_acbb, 0x0088_909f, 0x001c_2129, 0x002b_3544, 0x0017_2c22,
        0x0056_b6f0, 0x0077_c488, 0x00e5_b567, 0x00f4_7c83, 0x0086_abf8, 0x0055_c8c4, 0x00b0_a4d6]),
    palette("light", "for a light background", LIGHT_16, Color::True, false, [
        0x00fb_fbfa, 0x0020_242b, 0x004a_525e, 0x005f_6773, 0x00ee_f0f3, 0x00d5_e3f7, 0x00df_f3e2,
        0x0007_58b0, 0x001a_6334, 0x0070_4600, 0x00ad_1a2d, 0x002c_3ba6, 0x0000_606e, 0x0064_2f86]),
    palette("high-contrast", "maximum contrast", DARK_16, Color::True, true, [
        0x0000_0000, 0x00ff_ffff, 0x00e2_e2e2, 0x00b4_b4b4, 0x001c_1c1c, 0x0000_2f6c, 0x0000_3314,
        0x005f_d7ff, 0x007d_ff8a, 0x00ff_e14d, 0x00ff_b0a8, 0x00b4_cdff, 0x0066_fff0, 0x00e4_c8ff]),
    palette("color-blind", "for color-blind users, dark background", DARK_16, Color::True, false, [
        0x0010_1114, 0x00e3_e7ee, 0x00a4_acbb, 0x0088_909f, 0x001c_2129, 0x002b_3544, 0x0012_2a3a,
        0x0056_b4e9, 0x0064_b0f2, 0x00f0_e442, 0x00ff_8a3c, 0x00b9_c7e8, 0x0043_cfae, 0x00d8_9bc2]),
    palette("color-blind-light", "for color-blind users, light background", LIGHT_16, Color::True, false, [
        0x00fb_fbfa, 0x0020_242b, 0x004a_525e, 0x005f_6773, 0x00ee_f0f3, 0x00d5_e3f7, 0x00dc_ecfa,
        0x0000_5a94, 0x0000_5fae, 0x006b_4e00, 0x00b0_0060, 0x003d_4a6b, 0x0000_634d, 0x0084_2f68]),
    palette("16", "the sixteen colors of the terminal", DARK_16, Color::Basic, false, [0; N]),
    palette("mono", "no color: bold, underlined, reversed", DARK_16, Color::None, false, [0; N]),
];

/// Name of a terminal, its sixteen colours, its dark and its light backgrounds.
#[cfg(test)]
pub(crate) type Terminal = (&'static str, [u32; 16], &'static [u32], &'static [u32]);

/// Sixteen colours of terminals and their backgrounds: xterm (`XTerm-col.ad`), VTE, the Linux console
/// (`drivers/tty/vt/vt.c`), Tango and Solarized.
#[cfg(test)]
#[rustfmt::skip]
pub(crate) const TERMINALS: &[Terminal] = &[
    ("xterm", [
        0x0000_0000, 0x00cd_0000, 0x0000_cd00, 0x00cd_cd00, 0x0000_00ee, 0x00cd_00cd, 0x0000_cdcd, 0x00e5_e5e5,
        0x007f_7f7f, 0x00ff_0000, 0x0000_ff00, 0x00ff_ff00, 0x005c_5cff, 0x00ff_00ff, 0x0000_ffff, 0x00ff_ffff,
    ], &[0], &[0x00ff_ffff]),
    ("VTE", [
        0x0000_0000, 0x00c0_1c28, 0x0026_a269, 0x00a2_734c, 0x0012_488b, 0x00a3_47ba, 0x002a_a1b3, 0x00d0_cfcc,
        0x005e_5c64, 0x00f6_6151, 0x0033_da7a, 0x00e9_ad0c, 0x002a_7bde, 0x00c0_61cb, 0x0033_c7de, 0x00ff_ffff,
    ], &[0], &[0x00ff_ffff]),
    ("console", [
        0x0000_0000, 0x00aa_0000, 0x0000_aa00, 0x00aa_5500, 0x0000_00aa, 0x00aa_00aa, 0x0000_aaaa, 0x00aa_aaaa,
        0x0055_5555, 0x00ff_5555, 0x0055_ff55, 0x00ff_ff55, 0x0055_55ff, 0x00ff_55ff, 0x0055_ffff, 0x00ff_ffff,
    ], &[0], &[0x00ff_ffff]),
    ("Tango", [
        0x002e_3436, 0x00cc_0000, 0x004e_9a06, 0x00c4_a000, 0x0034_65a4, 0x0075_507b, 0x0006_989a, 0x00d3_d7cf,
        0x0055_5753, 0x00ef_2929, 0x008a_e234, 0x00fc_e94f, 0x0072_9fcf, 0x00ad_7fa8, 0x0034_e2e2, 0x00ee_eeec,
    ], &[0, 0x002e_3436], &[0x00ff_ffff, 0x00ee_eeec]),
    ("Solarized", [
        0x0007_3642, 0x00dc_322f, 0x0085_9900, 0x00b5_8900, 0x0026_8bd2, 0x00d3_3682, 0x002a_a198, 0x00ee_e8d5,
        0x0000_2b36, 0x00cb_4b16, 0x0058_6e75, 0x0065_7b83, 0x0083_9496, 0x006c_71c4, 0x0093_a1a1, 0x00fd_f6e3,
    ], &[0x0000_2b36], &[0x00fd_f6e3]),
];

pub(super) const SIXTEEN: [C; 16] = [
    C::Black,
    C::Red,
    C::Green,
    C::Yellow,
    C::Blue,
    C::Magenta,
    C::Cyan,
    C::Gray,
    C::DarkGray,
    C::LightRed,
    C::LightGreen,
    C::LightYellow,
    C::LightBlue,
    C::LightMagenta,
    C::LightCyan,
    C::White,
];

impl Palette {
    /// The theme of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PALETTES.iter().find(|p| p.name == name)
    }

    /// The default theme for a background; `None`: unknown background.
    pub fn for_ground(ground: Option<u32>) -> &'static Self {
        &PALETTES[usize::from(ground.is_some_and(|g| !is_dark(g)))]
    }

    /// RGB of a role.
    pub const fn rgb(&self, t: Tone) -> u32 {
        self.tones[t as usize]
    }

    /// Index of a role among the sixteen colours.
    pub fn sixteenth(&self, t: Tone) -> Option<usize> {
        self.sixteen[t as usize].map(usize::from)
    }

    /// Colour of a role at this depth.
    pub fn at(&self, t: Tone, depth: Color) -> C {
        let rgb = self.rgb(t);
        match depth {
            Color::True => C::Rgb((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8),
            Color::Indexed => C::Indexed(nearest(rgb)),
            Color::Basic => self.sixteenth(t).map_or(C::Reset, |i| SIXTEEN[i]),
            Color::None => C::Reset,
        }
    }

    /// True if its background is dark.
    pub fn is_dark(&self) -> bool {
        is_dark(self.rgb(Tone::Ground))
    }

    /// A user theme: the theme it is based on (`like = "light"`, else `dark`), and colours by name
    /// (`accent = "#56b6f0"`).
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let words: BTreeMap<String, toml::Value> = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |s| text[..s.start.min(text.len())].matches('\n').count() + 1);
            format!("line {line}: {}", e.message().replace('\n', " "))
        })?;
        let word = |key: &str| match words.get(key) {
            None => Ok(None),
            Some(toml::Value::String(s)) => Ok(Some(s.as_str())),
            Some(_) => Err(format!("{key} is a text, in quotes")),
        };
        let like = word("like")?.unwrap_or("dark");
        let base = Self::named(like).filter(|p| p.most < Color::Basic);
        let mut p = base.cloned().ok_or_else(|| format!("like: there is no theme {like:?} to begin with"))?;
        p.name = Cow::Owned(name.to_owned());
        p.help = Cow::Owned(format!("{name}, like {like}"));
        for key in words.keys().filter(|k| *k != "like") {
            let Some(t) = Tone::ALL.iter().find(|t| t.name() == key) else {
                let near = crate::format::did_you_mean::nearest(
                    key,
                    Tone::ALL.iter().map(|t| t.name()).chain(["like"]),
                );
                let hint = near.map_or(String::new(), |n| format!(", did you mean {n:?}?"));
                return Err(format!("no color {key:?}{hint}"));
            };
            p.tones[*t as usize] = word(key)?
                .and_then(|w| w.strip_prefix('#').filter(|w| w.len() == 6))
                .and_then(|w| u32::from_str_radix(w, 16).ok())
                .ok_or_else(|| format!("{key}: a color is written like \"#56b6f0\""))?;
        }
        Ok(p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::contrast_check;

    #[test]
    fn user_themes_are_parsed() {
        let p = Palette::parse("mine", "like = \"light\"\naccent = \"#0000ff\"\n").unwrap();
        assert_eq!(
            (p.rgb(Tone::Accent), p.rgb(Tone::Ink), p.is_dark()),
            (0xff, PALETTES[1].rgb(Tone::Ink), false)
        );
        assert_eq!(contrast_check::true_color_faults(&p), [""; 0]);
        let bad = contrast_check::true_color_faults(&Palette::parse("mine", "faint = \"#111111\"").unwrap());
        assert!(bad.iter().any(|f| f.starts_with("faint on ground has a contrast of 1.0")), "{bad:?}");
        for (text, error) in [
            ("acent = \"#000000\"", "no color \"acent\", did you mean \"accent\"?"),
            ("ink = \"red\"", "ink: a color is written like \"#56b6f0\""),
            ("ink = 3", "ink is a text, in quotes"),
            ("like = \"mono\"", "like: there is no theme \"mono\" to begin with"),
            ("ink = \"#00000\"", "ink: a color is written like \"#56b6f0\""),
        ] {
            assert_eq!(Palette::parse("mine", text).unwrap_err(), error);
        }
        assert!(Palette::parse("mine", "\n[").unwrap_err().starts_with("line 2: "));
    }

    #[test]
    fn theme_names_are_unique_words() {
        for (i, p) in PALETTES.iter().enumerate() {
            assert!(PALETTES[..i].iter().all(|o| o.name != p.name) && !p.help.is_empty(), "{}", p.name);
        }
        assert!(PALETTES[0].is_dark() && !PALETTES[1].is_dark());
        assert_eq!(Palette::for_ground(Some(0x00ff_ffff)).name, "light");
        assert_eq!(Palette::for_ground(Some(0x0020_2020)).name, "dark");
        assert_eq!(Palette::for_ground(None).name, "dark");
    }
}
