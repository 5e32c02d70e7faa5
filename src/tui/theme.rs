//! Roles, and how they look with many colours, few and none; and the characters to draw with.
//!
//! Colours are data: [`palette::PALETTES`], and files of the user's own of the same names.

pub mod contrast;
mod glyphs;
pub mod palette;

pub use super::theme::glyphs::{ASCII, Glyphs, UNICODE};
pub use super::theme::palette::{Palette, Tone};

use crate::model::State;
use ratatui::style::{Modifier, Style};

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Color {
    /// 24 bits.
    #[default]
    True,
    /// The 256 of xterm.
    Indexed,
    /// The 16 of old.
    Basic,
    /// None: bold, dim, reverse and underline only.
    None,
}

impl Color {
    /// The fewer colours of the two.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        self.max(other)
    }
}

/// What things look like, by what they are. The terminal's own foreground and background are left alone, except
/// where a role sets both.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Under everything; sets nothing where the terminal's own ground will do.
    pub ground: Style,
    /// What a gauge fills; sets no background where there is none between ground and text.
    pub track: Style,
    /// Plain text.
    pub text: Style,
    /// What matters most in a row.
    pub strong: Style,
    /// What is there and matters less: units, zeros, notes.
    pub dim: Style,
    /// Less still: rules, empty gauges, what is missing.
    pub faint: Style,
    /// The one accent: keys, the active tab, what is being edited.
    pub accent: Style,
    /// The band of the top line.
    pub band: Style,
    /// The background of that band, to lay under other styles.
    pub on_band: Style,
    /// What lies over the table.
    pub window: Style,
    /// The active tab on it.
    pub tab: Style,
    /// The line of column titles.
    pub head: Style,
    /// The title of the column that sorts.
    pub sorted: Style,
    /// The selected line.
    pub select: Style,
    /// Whether colours with a meaning can be read on the selected line, and stay.
    pub select_keeps: bool,
    /// The cell in it that was gone to.
    pub cell: Style,
    /// A row that is new.
    pub fresh: Style,
    /// A row that has just gone.
    pub gone: Style,
    /// All is well.
    pub good: Style,
    /// Look at it: from three quarters of a limit.
    pub warn: Style,
    /// Act: from nine tenths of a limit.
    pub bad: Style,
    /// It serves.
    pub serve: Style,
    /// It is being set up.
    pub opening: Style,
    /// It is going away.
    pub closing: Style,
    /// A key in the key bar.
    pub key: Style,
}

impl Theme {
    /// The theme of a palette in this depth. `painted`: the ground is drawn too, because the terminal's own is another.
    pub fn new(palette: &Palette, depth: Color, painted: bool) -> Self {
        let depth = depth.least(palette.most);
        if depth == Color::None {
            return Self::plain();
        }
        let basic = depth == Color::Basic;
        let at = |t: Tone| palette.at(t, depth);
        let (plain, bold) = (Style::new(), Modifier::BOLD);
        let fg = |t: Tone| plain.fg(at(t));
        let on = |f: Tone, b: Tone| plain.fg(at(f)).bg(at(b));
        let painted = painted && !basic;
        Self {
            ground: if painted { on(Tone::Ink, Tone::Ground) } else { plain },
            track: if basic { fg(Tone::Faint) } else { plain.bg(at(Tone::Surface)) },
            text: plain,
            strong: plain.add_modifier(bold),
            dim: fg(Tone::Soft),
            faint: fg(Tone::Faint),
            accent: fg(Tone::Accent),
            band: on(Tone::Soft, Tone::Surface),
            on_band: plain.bg(at(Tone::Surface)),
            window: on(Tone::Ink, Tone::Surface),
            tab: on(Tone::Accent, Tone::Surface).add_modifier(bold),
            head: on(Tone::Soft, Tone::Surface),
            sorted: on(Tone::Accent, Tone::Surface).add_modifier(bold),
            // Of sixteen colours none is known to be near the ground and yet another.
            select: if basic { plain.add_modifier(Modifier::REVERSED) } else { on(Tone::Ink, Tone::Lifted) },
            select_keeps: !basic,
            cell: plain.add_modifier(bold).add_modifier(Modifier::UNDERLINED),
            fresh: if basic { fg(Tone::Good) } else { plain.bg(at(Tone::New)) },
            gone: fg(Tone::Faint),
            good: fg(Tone::Good),
            warn: fg(Tone::Warn),
            bad: fg(Tone::Bad).add_modifier(bold),
            serve: fg(Tone::Serve),
            opening: fg(Tone::Opening),
            closing: fg(Tone::Closing),
            key: fg(Tone::Accent),
        }
    }

    /// Without any colour.
    fn plain() -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let dim = plain.add_modifier(Modifier::DIM);
        let reverse = plain.add_modifier(Modifier::REVERSED);
        let under = plain.add_modifier(Modifier::UNDERLINED);
        Self {
            ground: plain,
            track: dim,
            text: plain,
            strong: bold,
            dim: plain,
            faint: dim,
            accent: bold,
            band: plain,
            on_band: plain,
            window: plain,
            tab: reverse,
            head: under,
            sorted: under.add_modifier(Modifier::BOLD),
            select: reverse,
            select_keeps: true,
            cell: bold.add_modifier(Modifier::UNDERLINED),
            fresh: plain,
            gone: dim,
            good: plain,
            warn: bold,
            bad: bold,
            serve: plain,
            opening: plain,
            closing: plain,
            key: bold,
        }
    }

    /// How a state looks.
    pub const fn state(&self, s: State) -> Style {
        match s {
            State::Listen | State::Unconn => self.serve,
            State::Established => self.good,
            State::SynSent | State::SynRecv => self.opening,
            State::CloseWait => self.warn,
            State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing | State::TimeWait => {
                self.closing
            }
            State::Closed | State::Forwarded => self.dim,
        }
    }

    /// How a share of a limit looks, 0 to 1 and above.
    pub fn pressure(&self, share: f64) -> Style {
        if share >= 0.9 {
            self.bad
        } else if share >= 0.75 {
            self.warn
        } else {
            self.good
        }
    }
}
